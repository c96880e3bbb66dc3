"""The append path between the wire and the core: messages in, one write and one sync for all that came together, acks
out.

::

    AppendLog on the contract's port (grpc.aio)   ─ stage … [end of the loop's turn] ─┐
    AppendLog on the log port (stream_server.py)  ─ stage … [end of the read] ────────┴─ flush ─ put(reply) to each

The log port costs a third of the contract's port a message (docs/decisions/append-stream-server.md); both lead to the
same core and may be used at the same time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from google.protobuf.message import DecodeError

from aurora.errors import InvariantViolation
from aurora.histogram import Histogram
from aurora.rpc import storage_pb2 as pb
from aurora.rpc.stream_server import Receiver, ServedStream
from storage_node.admission import APPEND_STREAMS_MAX, BACKLOG_BYTES_MAX, READ_STREAMS_MAX
from storage_node.faults import Faults
from storage_node.late import LateAppends
from storage_node.node import StorageFailed, StorageNode
from storage_node.page_reads import PageReads, ReadStream

APPEND_LOG = "/aurora.storage.v1.Storage/AppendLog"
READ_STREAM = "/aurora.storage.v1.Storage/ReadStream"
LOG_PORT_STREAMS_MAX = {APPEND_LOG: APPEND_STREAMS_MAX, READ_STREAM: READ_STREAMS_MAX}

logger = logging.getLogger(__name__)


class Replies(Protocol):
    """Where the replies of one stream go."""

    def put(self, reply: pb.AppendReply) -> None:
        """Send a reply, now or soon."""


class Appends:
    """Stages and flushes. ``on_fatal`` is called once when the log cannot be synced, or what is staged cannot be taken
    in; ``failed`` is true from then.
    """

    def __init__(self, node: StorageNode[Replies], on_fatal: Callable[[], None], faults: Faults | None = None) -> None:
        self.node = node
        self._late = None if faults is None else LateAppends(faults, self.take, self.flush)
        self.failed = False
        self.armed = False
        """Whether a flush comes at the end of this turn of the loop."""
        self.appends = 0
        self.refused = 0
        self.ack_seconds = Histogram()
        """From an append's arrival to its ack, sync included."""
        self._staged_s: list[float] = []
        self._on_fatal = on_fatal

    def stage(self, request: pb.AppendRequest, replies: Replies) -> None:
        """Take an append, unless a fault on purpose has it."""
        late = self._late
        if late is None or not (late.held or late.faults.found) or not late.takes(request, replies):
            self.take(request, replies)

    def take(self, request: pb.AppendRequest, replies: Replies) -> None:
        """Take an append; the reply comes from ``flush``, or at once when the node refuses."""
        staged_s = monotonic()
        try:
            refusal = self.node.on_append(request, replies)
        except OSError as error:
            self.node.refused_by_disk(error, "meta")
            refusal = pb.AppendReply(sequence=request.sequence, error=f"node {self.node.config.node_id}: {error}")
        self.appends += 1
        if refusal is not None:
            self.refused += 1
            replies.put(refusal)
        else:
            self._staged_s.append(staged_s)

    def flush_soon(self) -> None:
        """Flush at the end of this turn of the loop."""
        if not self.armed:
            self.armed = True
            asyncio.get_running_loop().call_soon(self._flush_armed)

    def _flush_armed(self) -> None:
        self.armed = False
        self.flush()

    def flush(self) -> None:
        """Write, sync and answer what is staged, over all streams."""
        if self.failed:
            return
        try:
            for replies, reply in self.node.flush():
                replies.put(reply)
                self.refused += bool(reply.error)
            acked_s = monotonic()
            for staged_s in self._staged_s:
                self.ack_seconds.observe(acked_s - staged_s)
            self._staged_s.clear()
        except (StorageFailed, InvariantViolation):  # after the latter, log may be on the disk that the core lacks
            logger.exception("nothing can be acknowledged any more; the node ends")
            self.failed = True
            self._on_fatal()


class LogPort:
    """The streams on the log port; the instance itself makes a receiver for each (``serve_streams``)."""

    def __init__(self, appends: Appends, reads: PageReads) -> None:
        self._appends = appends
        self._reads = reads
        self._streams: dict[str, set[ServedStream]] = {APPEND_LOG: set(), READ_STREAM: set()}
        self._surplus: set[ServedStream] = set()

    def __call__(self, stream: ServedStream, method: str) -> Receiver | None:
        """A new stream."""
        held = self._streams.get(method)
        if held is None:
            return None
        if len(held) >= LOG_PORT_STREAMS_MAX[method]:
            self._surplus.add(stream)
            return SurplusStream(stream, method, self._surplus.discard)
        held.add(stream)
        if method == APPEND_LOG:
            return LogStream(stream, self._appends, held.discard)
        return ReadStream(stream, self._reads, held.discard)

    def close(self) -> None:
        """End all streams: what has been read has been answered."""
        for stream in [*self._surplus, *(stream for held in self._streams.values() for stream in held)]:
            stream.finish()


class SurplusStream:
    """A stream too many: it ends with its first message."""

    __slots__ = ("_gone", "_method", "_stream")

    def __init__(self, stream: ServedStream, method: str, gone: Callable[[ServedStream], None]) -> None:
        self._stream = stream
        self._method = method
        self._gone = gone

    def received(self, message: bytes) -> None:
        """End the connection."""
        logger.error("stream ended: %d others of %s are open", LOG_PORT_STREAMS_MAX[self._method], self._method)
        self._stream.close()
        self.ended()

    def read_done(self) -> None:
        """Nothing was taken."""

    def ended(self) -> None:
        """The stream is over."""
        self._gone(self._stream)


class LogStream:
    """Receives the messages of one stream on the log port, and sends its replies."""

    __slots__ = ("_appends", "_gone", "_slow_s", "_stream")

    def __init__(self, stream: ServedStream, appends: Appends, gone: Callable[[ServedStream], None]) -> None:
        self._stream = stream
        self._appends = appends
        self._gone = gone
        self._slow_s = appends.node.config.slow_ms / 1000

    def received(self, message: bytes) -> None:
        """Stage one append; a message that does not parse ends the connection."""
        try:
            request = pb.AppendRequest.FromString(message)
        except DecodeError as error:
            logger.error("append stream ended: %s", error)
            self._stream.close()
            self.ended()
            return
        self._appends.stage(request, self)

    def read_done(self) -> None:
        """Flush what the read brought."""
        self._appends.flush()

    def put(self, reply: pb.AppendReply) -> None:
        """Send a reply; the transport writes it in this turn of the loop. A client that takes none is given up."""
        if self._slow_s:
            asyncio.get_running_loop().call_later(self._slow_s, self._stream.send, reply.SerializeToString())
        else:
            self._stream.send(reply.SerializeToString())
        if self._stream.backlog_bytes > BACKLOG_BYTES_MAX:
            logger.error("append stream ended: the client does not take its replies")
            self._stream.close()
            self.ended()

    def ended(self) -> None:
        """The stream is over."""
        self._gone(self._stream)
