"""Page reads that come on a stream: requests in, answers out, in slices of the loop's time.

::

    ReadStream.received ─► PageReads.ask ─ a few pages: at once ───────────────────► answer(reply)
                                         └ a run: a slice of pages a turn of the loop ─┘

A single page is answered in the transport's callback. A run (a scan's read-ahead) gives the loop its turn after each
``SLICE_PAGES``, so that neither appends nor another's single page wait for all of it; runs are served in turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from google.protobuf.message import DecodeError

from aurora.errors import InvariantViolation
from aurora.histogram import Histogram
from aurora.rpc import storage_pb2 as pb
from aurora.rpc.stream_server import ServedStream
from storage_node.admission import READ_PAGES_MAX
from storage_node.node import Refused, StorageNode

SLICE_PAGES = 8
"""Pages built before the loop gets its turn: about 0.3 ms."""
RUNS_MAX = 256
"""Requests that may wait for their next slice; further ones are refused, and the client asks another node."""
BACKLOG_MAX_BYTES = 32 << 20
"""Answers that a client may leave unread before its connection is ended."""

logger = logging.getLogger(__name__)

Answer = Callable[[pb.ReadPagesReply], None]


@dataclass(slots=True)
class ReadCounts:
    """Page reads as they are answered. ``behind`` and ``collected`` are among ``pages``."""

    requests: int = 0
    pages: int = 0
    behind: int = 0
    collected: int = 0
    seconds: Histogram = field(default_factory=Histogram)
    """Of whole requests, without what gRPC adds."""

    def answered(self, reply: pb.ReadPagesReply, took_s: float) -> None:
        """Count one request."""
        self.requests += 1
        self.pages += len(reply.pages)
        for page in reply.pages:
            self.behind += page.behind
            self.collected += page.collected
        self.seconds.observe(took_s)


class Run:
    """A request under way, and what it has so far."""

    __slots__ = ("answer", "at", "began_s", "reply", "request")

    def __init__(self, request: pb.ReadPagesRequest, answer: Answer) -> None:
        self.request = request
        self.answer = answer
        self.reply = pb.ReadPagesReply(request_id=request.request_id)
        self.at = 0
        self.began_s = monotonic()


class PageReads:
    """Serves requests of all streams of one node."""

    def __init__(self, node: StorageNode[Any]) -> None:
        self.node = node
        self.counts = ReadCounts()
        self._runs: deque[Run] = deque()

    def ask(self, request: pb.ReadPagesRequest, answer: Answer) -> None:
        """Answer the request, at once when it is short; a refusal is an answer with ``error`` set."""
        run = Run(request, answer)
        if len(request.pages) > READ_PAGES_MAX:
            text = f"{len(request.pages)} pages in one request, {READ_PAGES_MAX} at most"
            answer(pb.ReadPagesReply(request_id=request.request_id, error=text))
            return
        if len(self._runs) >= RUNS_MAX and len(request.pages) > SLICE_PAGES:
            answer(pb.ReadPagesReply(request_id=request.request_id, error=f"{RUNS_MAX} runs of pages wait already"))
            return
        if self._serve(run):
            return
        self._runs.append(run)
        if len(self._runs) == 1:
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        run = self._runs.popleft()
        if not self._serve(run):
            self._runs.append(run)
        if self._runs:
            asyncio.get_running_loop().call_soon(self._turn)

    def _serve(self, run: Run) -> bool:
        """Build a slice; True when the run has been answered."""
        request, at = run.request, run.at
        try:
            run.reply.pages.extend(self.node.read_slice(request, at, at + SLICE_PAGES))
        except Refused as error:
            run.answer(pb.ReadPagesReply(request_id=request.request_id, error=str(error)))
            return True
        except (InvariantViolation, OSError) as error:
            logger.exception("a page read failed")
            run.answer(pb.ReadPagesReply(request_id=request.request_id, error=str(error)))
            return True
        run.at = at + SLICE_PAGES
        if run.at < len(request.pages):
            return False
        self.counts.answered(run.reply, monotonic() - run.began_s)
        run.answer(run.reply)
        return True


class ReadStream:
    """Receives the requests of one stream on the log port, and sends the answers."""

    __slots__ = ("_gone", "_reads", "_slow_s", "_stream")

    def __init__(self, stream: ServedStream, reads: PageReads, gone: Callable[[ServedStream], None]) -> None:
        self._stream = stream
        self._reads = reads
        self._gone = gone
        self._slow_s = reads.node.config.slow_ms / 1000

    def received(self, message: bytes) -> None:
        """One request; a message that does not parse ends the connection."""
        try:
            request = pb.ReadPagesRequest.FromString(message)
        except DecodeError as error:
            logger.error("read stream ended: %s", error)
            self._stream.close()
            self.ended()
            return
        self._reads.ask(request, self._send)

    def _send(self, reply: pb.ReadPagesReply) -> None:
        if self._stream.backlog_bytes > BACKLOG_MAX_BYTES:
            logger.error("read stream ended: the client leaves %d bytes unread", self._stream.backlog_bytes)
            self._stream.close()
            self.ended()
            return
        if self._slow_s:
            asyncio.get_running_loop().call_later(self._slow_s, self._stream.send, reply.SerializeToString())
        else:
            self._stream.send(reply.SerializeToString())

    def read_done(self) -> None:
        """Nothing is gathered: each request has been taken up."""

    def ended(self) -> None:
        """The stream is over; answers still under way go nowhere."""
        self._gone(self._stream)
