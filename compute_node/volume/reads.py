"""Page reads: one segment answers, the fastest whose SCL covers the request.

::

    read(pages) ─ by protection group ─► Race ─► fastest covering node ─ answer ─► pages
                                          │ hedge delay passed, failed, or behind: the next node as well
                                          └ now and then another node beside the fastest, to learn its speed anew

A read's point is the VDL at that moment; the request names the protection group's last LSN ≤ that point, so that a node
knows whether it covers it. Read points in flight hold the PGMRPL down.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from aurora.errors import DataCorrupted, IoError
from aurora.page import PAGE_BYTES
from aurora.rpc import storage_pb2 as pb
from compute_node.volume.latency import NodeLatency
from compute_node.volume.read_channel import ATTEMPT_TIMEOUT_S, ReadChannel

if TYPE_CHECKING:
    from compute_node.volume.streams import NodeStream
    from compute_node.volume.volume import Volume

PROBE_EVERY: Final = 64
"""Every so many requests another node than the fastest is asked as well."""
PATIENCE_S: Final = 30.0
"""How long a read tries, round after round, before it is an I/O error."""
ROUND_PAUSE_S: Final = 0.03


class Source:
    """A node as reads see it: how to ask it, and how fast it has been."""

    __slots__ = ("channel", "latency")

    def __init__(self, channel: ReadChannel) -> None:
        self.channel = channel
        self.latency = NodeLatency()


class Race:
    """One request of one protection group: asks ``sources`` in turn until all its pages are found.

    ``done`` gets the found pages; ``sources`` may have been exhausted before all were. What comes after that is only
    learned from. ``probe`` is asked beside the first, and nobody waits for it.
    """

    def __init__(
        self,
        request: pb.ReadPagesRequest,
        sources: Sequence[Source],
        probe: Source | None,
        done: asyncio.Future[dict[int, bytes | None]],
    ) -> None:
        self.found: dict[int, bytes | None] = {}
        self.hedges = 0
        self._request = request
        self._pages = len(request.pages)
        self._queue = list(sources)
        self._done = done
        self._probe = probe if probe is not sources[0] else None
        self._running: dict[Source, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._next()
        if self._probe is not None:
            self._queue.remove(self._probe)
            self._ask(self._probe)

    def _ask(self, source: Source) -> None:
        self._running[source] = self._loop.time()
        source.channel.ask(self._request, lambda reply: self._on_answer(source, reply))

    def _next(self) -> None:
        """Ask the next, and see to it that the one after it is asked in time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._queue:
            source = self._queue.pop(0)
            self._ask(source)
            wait_s = source.latency.hedge_s(self._pages) if self._queue else ATTEMPT_TIMEOUT_S
            self._timer = self._loop.call_later(wait_s, self._on_timer)
        elif not self._running:
            self._finish()
        else:
            self._timer = self._loop.call_later(ATTEMPT_TIMEOUT_S, self._on_timer)

    def _on_timer(self) -> None:
        if self._done.done():
            return
        if self._queue:
            self.hedges += 1
            self._next()
        else:
            for source in self._running:
                source.latency.failed()
            self._finish()

    def _on_answer(self, source: Source, reply: pb.ReadPagesReply | None) -> None:
        since = self._running.pop(source)
        if reply is None:
            source.latency.failed()
        else:
            source.latency.answered(self._loop.time() - since, self._pages)
        if self._done.done():
            return
        if reply is not None:
            try:
                self._take(reply)
            except DataCorrupted as error:
                self._stop()
                self._done.set_exception(error)
                return
            if len(self.found) == self._pages:
                self._finish()
                return
        if source is not self._probe or not self._running:
            self._next()

    def _take(self, reply: pb.ReadPagesReply) -> None:
        for image in reply.pages:
            if image.behind or image.collected:
                continue
            content: bytes = image.image
            if content and len(content) != PAGE_BYTES:
                raise DataCorrupted(f"a storage node gave {len(content)} bytes for page {image.page_no}")
            self.found[image.page_no] = content or None

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._loop.time()
        for source, since in self._running.items():
            source.latency.overdue(now - since, self._pages)

    def _finish(self) -> None:
        self._stop()
        self._done.set_result(self.found)


class PageReader:
    """Reads pages for one volume. ``held`` counts the reads in flight by read point."""

    def __init__(self, volume: Volume, rng: random.Random | None = None) -> None:
        self.held: Counter[int] = Counter()
        self.reads = 0
        """Requests, each of one or more pages of a protection group."""
        self.pages = 0
        self.hedges = 0
        self.probes = 0
        self.retries = 0
        self._volume = volume
        self._rng = rng or random.Random()

    def lowest_read_point(self) -> int | None:
        """The lowest read point in flight; None when there is none."""
        return min(self.held) if self.held else None

    async def read(self, page_nos: Sequence[int]) -> list[bytes | None]:
        """The pages as of the VDL now: 8192 bytes each, None for one never written.

        IoError (58030) when no node could answer for 30 seconds; ``Volume.over_error`` when the volume is over;
        DataCorrupted (XX001) when one answers nonsense.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_S
        found: dict[int, bytes | None] = {}
        missing = list(dict.fromkeys(page_nos))
        pause_s = 0.0  # at first: the membership may have changed on the way
        while True:
            if self._volume.over:
                raise self._volume.over_error()
            read_point = self._volume.vdl
            self.held[read_point] += 1
            try:
                await self._round(missing, read_point, found)
            finally:
                self.held[read_point] -= 1
                if not self.held[read_point]:
                    del self.held[read_point]
            missing = [page_no for page_no in missing if page_no not in found]
            if not missing:
                return [found[page_no] for page_no in page_nos]
            if loop.time() > deadline:
                raise IoError(
                    f"could not read page {missing[0]} of the volume: no storage node answers for it",
                    detail=f"Read point {read_point}; {self._volume.problems()}.",
                )
            self.retries += 1
            await asyncio.sleep(pause_s)
            pause_s = ROUND_PAUSE_S

    async def _round(self, page_nos: Iterable[int], read_point: int, found: dict[int, bytes | None]) -> None:
        """Ask for the pages at ``read_point``, each protection group's of its own nodes; fills ``found``."""
        groups: dict[int, list[int]] = {}
        pg_of: Callable[[int], int] = self._volume.descriptor.pg_of
        for page_no in page_nos:
            groups.setdefault(pg_of(page_no), []).append(page_no)
        races = []
        for pg, numbers in groups.items():
            pg_lsn = self._volume.pg_last(pg)
            if not pg_lsn:
                found.update(dict.fromkeys(numbers))  # nothing was ever written to that group
                continue
            sources = self._order(pg, pg_lsn)
            if sources:
                races.append(self._race(numbers, pg_lsn, read_point, sources))
        try:
            for _, done in races:
                found.update(await done)
        finally:
            for race, done in races:
                self.hedges += race.hedges
                if not done.cancel() and not done.cancelled():
                    done.exception()  # of two that failed, one is told

    def _race(
        self, page_nos: list[int], pg_lsn: int, read_point: int, sources: list[Source]
    ) -> tuple[Race, asyncio.Future[dict[int, bytes | None]]]:
        volume = self._volume
        request = pb.ReadPagesRequest(
            volume_id=volume.descriptor.volume_id,
            volume_epoch=volume.epoch,
            membership_epoch=volume.descriptor.membership_epoch,
        )
        for page_no in page_nos:
            request.pages.add(page_no=page_no, pg_lsn=pg_lsn, read_point=read_point)
        self.reads += 1
        self.pages += len(page_nos)
        probe = None
        if self.reads % PROBE_EVERY == 0 and len(sources) > 1 and len(page_nos) == 1:
            self.probes += 1
            probe = sources[self._rng.randrange(1, len(sources))]
        done: asyncio.Future[dict[int, bytes | None]] = asyncio.get_running_loop().create_future()
        return Race(request, sources, probe, done), done

    def _holders(self, pg: int) -> Iterable[NodeStream]:
        """The nodes that hold, or are about to hold, a full segment of the protection group: a tail has no pages."""
        descriptor, streams = self._volume.descriptor, self._volume.streams
        for slot in descriptor.groups[pg].slots:
            if not slot.tail:
                for node_id in slot.alternatives:
                    yield streams[descriptor.index_of[node_id]]

    def _order(self, pg: int, pg_lsn: int) -> list[Source]:
        """Nodes that cover the request, fastest first; those that failed or are not connected last, for they may be
        back."""
        volume = self._volume
        able = [node for node in self._holders(pg) if volume.scl(pg, node.index) >= pg_lsn]
        able.sort(
            key=lambda node: (
                not volume.connected(node.index),
                node.source.latency.failures > 0,
                node.source.latency.typical_s,
            )
        )
        return [node.source for node in able]
