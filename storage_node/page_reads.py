"""Page reads between the wire and the core: requests in, answers out, in slices of the loop's time.

::

    ReadStream.received ─┐                ┌ a few pages: at once ──────────────────────────┐
    StorageService.read ─┴► PageReads.ask ┴ a run: waits ─► a slice a turn of the loop ────┴► Asker.answer(reply)

A single page is answered in the transport's callback. A run (a scan's read-ahead) gives the loop its turn after each
``SLICE_PAGES``, so that neither appends nor another's single page wait for all of it. Runs are built one after the
other, in the order asked: what is held for those that wait is their requests alone. Who has gone is passed over.

Where much log waits for the index, each turn indexes some of it, for ``slice_ms``, and every request waits until the
index has reached its LSN. That comes, for what is appended meanwhile lies behind it; the client asks another node
before.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

from google.protobuf.message import DecodeError

from aurora.errors import InvariantViolation
from aurora.histogram import Histogram
from aurora.rpc import storage_pb2 as pb
from aurora.rpc.stream_server import ServedStream
from storage_node.admission import READ_PAGES_MAX, UNREAD_BYTES_MAX
from storage_node.faults import REFUSAL, Faults
from storage_node.node import AnyNode, Refused

SLICE_PAGES = 8
"""Pages built before the loop gets its turn: about 0.3 ms."""
RUNS_MAX = 256
"""Requests that may wait for their turn; further ones are refused, and the client asks another node."""

logger = logging.getLogger(__name__)


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


class Asker(Protocol):
    """Who asked, and takes the answer."""

    @property
    def gone(self) -> bool:
        """Whether nobody waits for the answer any more."""

    def answer(self, reply: pb.ReadPagesReply) -> None:
        """Take it; called at most once a request, and not when ``gone``."""


class Run:
    """A request under way, and what it has so far."""

    __slots__ = ("asker", "began_s", "reply", "request")

    def __init__(self, request: pb.ReadPagesRequest, asker: Asker) -> None:
        self.request = request
        self.asker = asker
        self.reply = pb.ReadPagesReply(request_id=request.request_id)
        self.began_s = monotonic()

    def refuse(self, reason: str) -> None:
        """Answer with ``error`` in place of pages."""
        self.asker.answer(pb.ReadPagesReply(request_id=self.request.request_id, error=reason))


class PageReads:
    """Serves the requests of all clients of one node."""

    def __init__(self, node: AnyNode, faults: Faults | None = None) -> None:
        self.node = node
        self._faults = faults
        self.counts = ReadCounts()
        self.streams: set[ReadStream] = set()
        """Those of the log port, whose clients may leave answers unread."""
        self._runs: deque[Run] = deque()
        self._armed = False
        self._index_s = node.config.slice_ms / 1000
        self._behind = False
        """Whether the page that was looked at last waits for the index: no request is tried before its turn then."""

    def ask(self, request: pb.ReadPagesRequest, asker: Asker) -> None:
        """Answer the request, at once when it is short; a refusal is an answer with ``error`` set."""
        if self._faults is None or not self._faults.found or not self._fails(self._faults, request, asker):
            self._ask(request, asker)

    def _fails(self, faults: Faults, request: pb.ReadPagesRequest, asker: Asker) -> bool:
        """Whether a fault on purpose has the request: then it is answered, or asked again later."""
        descriptor = self.node.descriptor
        groups = set() if descriptor is None else {descriptor.pg_of(page.page_no) for page in request.pages}
        delay_s = faults.verdict(groups)
        if delay_s is None:
            Run(request, asker).refuse(REFUSAL)
        elif delay_s:
            asyncio.get_running_loop().call_later(delay_s, self._ask_late, request, asker)
        return delay_s is None or delay_s > 0

    def _ask_late(self, request: pb.ReadPagesRequest, asker: Asker) -> None:
        if not asker.gone:
            self._ask(request, asker)

    def _ask(self, request: pb.ReadPagesRequest, asker: Asker) -> None:
        run = Run(request, asker)
        pages = len(request.pages)
        if pages > READ_PAGES_MAX:
            run.refuse(f"{pages} pages in one request, {READ_PAGES_MAX} at most")
        elif pages <= SLICE_PAGES and not self._behind and self._serve(run):
            pass
        elif len(self._runs) >= RUNS_MAX:
            run.refuse(f"{RUNS_MAX} requests wait already")
        else:
            self._runs.append(run)
            self._arm()

    def _arm(self) -> None:
        if self._runs and not self._armed:
            self._armed = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._armed = False
        run = self._runs.popleft()
        until_s = monotonic() + self._index_s
        try:
            done = run.asker.gone or self._serve(run)
            while not done and self._behind and monotonic() < until_s:
                done = self._serve(run)
            if done:
                pass
            elif run.reply.pages:
                self._runs.appendleft(run)
            else:  # it waits for the index, and holds nothing: another protection group's may be able to go on
                self._runs.append(run)
        finally:
            self._arm()  # whatever became of this one, the others go on

    def _serve(self, run: Run) -> bool:
        """Build a slice; True when the run has been answered."""
        request, reply = run.request, run.reply
        at = len(reply.pages)
        stop = min(at + SLICE_PAGES, len(request.pages))
        self._behind = False
        try:
            reply.pages.extend(self.node.read_slice(request, at, stop))
        except Refused as error:
            run.refuse(str(error))
            return True
        except (InvariantViolation, OSError) as error:
            logger.exception("a page read failed")
            run.refuse(str(error))
            return True
        self._behind = len(reply.pages) < stop
        if len(reply.pages) < len(request.pages):
            return False
        self.counts.answered(reply, monotonic() - run.began_s)
        run.asker.answer(reply)
        return True

    def bound_unread(self) -> None:
        """End the streams that leave most unread until the rest is within ``UNREAD_BYTES_MAX``."""
        while sum(stream.backlog_bytes for stream in self.streams) > UNREAD_BYTES_MAX:
            worst = max(self.streams, key=lambda stream: stream.backlog_bytes)
            logger.error("read stream ended: the client leaves %d bytes unread", worst.backlog_bytes)
            worst.give_up()


class ReadStream:
    """Receives the requests of one stream on the log port, and sends the answers."""

    __slots__ = ("_forget", "_reads", "_slow_s", "_stream", "gone")

    def __init__(self, stream: ServedStream, reads: PageReads, forget: Callable[[ServedStream], None]) -> None:
        self.gone = False
        self._stream = stream
        self._reads = reads
        self._forget = forget
        self._slow_s = reads.node.config.slow_ms / 1000
        reads.streams.add(self)

    @property
    def backlog_bytes(self) -> int:
        """Bytes of answers that the client has not taken yet."""
        return self._stream.backlog_bytes

    def received(self, message: bytes) -> None:
        """One request; a message that does not parse ends the connection."""
        try:
            request = pb.ReadPagesRequest.FromString(message)
        except DecodeError as error:
            logger.error("read stream ended: %s", error)
            self.give_up()
            return
        self._reads.ask(request, self)

    def answer(self, reply: pb.ReadPagesReply) -> None:
        """Send it; whether all clients together leave too much unread is looked at then."""
        if self._slow_s:
            asyncio.get_running_loop().call_later(self._slow_s, self._stream.send, reply.SerializeToString())
        else:
            self._stream.send(reply.SerializeToString())
        if self._stream.backlog_bytes:
            self._reads.bound_unread()

    def read_done(self) -> None:
        """Nothing is gathered: each request has been taken up."""

    def give_up(self) -> None:
        """End the connection."""
        self._stream.close()
        self.ended()

    def ended(self) -> None:
        """The stream is over; its requests are dropped."""
        self.gone = True
        self._reads.streams.discard(self)
        self._forget(self._stream)
