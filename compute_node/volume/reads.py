"""Page reads: one segment answers, the fastest whose SCL covers the request.

A read's point is the VDL at that moment; the request names the protection group's last LSN ≤ that point, so that a node
knows whether it covers it. A slow node is hedged by the next, one that fails or is behind is followed by the next; now
and then a read goes to another node, to learn its speed anew. Read points in flight hold the PGMRPL down.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio

from aurora.errors import DataCorrupted, IoError
from aurora.page import PAGE_BYTES
from aurora.rpc import storage_pb2 as pb

if TYPE_CHECKING:
    from compute_node.volume.streams import NodeStream
    from compute_node.volume.volume import Volume

logger = logging.getLogger(__name__)

PROBE_EVERY: Final = 64
HEDGE_MIN_S: Final = 0.02
HEDGE_FACTOR: Final = 4.0
ATTEMPT_TIMEOUT_S: Final = 2.0
PATIENCE_S: Final = 30.0
"""How long a read tries, round after round, before it is an I/O error."""
ROUND_PAUSE_S: Final = 0.03
_EWMA: Final = 0.1


class PageReader:
    """Reads pages for one volume. ``held`` counts the reads in flight by read point."""

    def __init__(self, volume: Volume, rng: random.Random | None = None) -> None:
        self.held: Counter[int] = Counter()
        self.reads = 0
        self.hedges = 0
        self.retries = 0
        self._volume = volume
        self._rng = rng or random.Random()

    def lowest_read_point(self) -> int | None:
        """The lowest read point in flight; None when there is none."""
        return min(self.held) if self.held else None

    async def read(self, page_nos: Sequence[int]) -> list[bytes | None]:
        """The pages as of the VDL now: 8192 bytes each, None for one never written.

        IoError (58030) when no node could answer for 30 seconds; AdminShutdown (57P01) when the writer is fenced;
        DataCorrupted (XX001) when one answers nonsense.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_S
        found: dict[int, bytes | None] = {}
        missing = list(dict.fromkeys(page_nos))
        while True:
            if self._volume.fenced:
                raise self._volume.fenced_error()
            read_point = self._volume.vdl
            self.held[read_point] += 1
            try:
                missing = await self._round(missing, read_point, found)
            finally:
                self.held[read_point] -= 1
                if not self.held[read_point]:
                    del self.held[read_point]
            if not missing:
                return [found[page_no] for page_no in page_nos]
            if loop.time() > deadline:
                raise IoError(
                    f"could not read page {missing[0]} of the volume: no storage node answers for it",
                    detail=f"Read point {read_point}; {self._volume.problems()}.",
                )
            self.retries += 1
            await asyncio.sleep(ROUND_PAUSE_S)

    async def _round(self, page_nos: list[int], read_point: int, found: dict[int, bytes | None]) -> list[int]:
        """Try every node that covers the pages at ``read_point``; fills ``found`` and returns what is missing still."""
        volume = self._volume
        pg_lsns: dict[int, int] = {
            pg: volume.pg_last(pg) for pg in {volume.descriptor.pg_of(page_no) for page_no in page_nos}
        }
        request = pb.ReadPagesRequest(volume_id=volume.descriptor.volume_id, volume_epoch=volume.epoch)
        for page_no in page_nos:
            pg_lsn = pg_lsns[volume.descriptor.pg_of(page_no)]
            if pg_lsn:
                request.pages.add(page_no=page_no, pg_lsn=pg_lsn, read_point=read_point)
            else:
                found[page_no] = None  # nothing was ever written to that group
        missing = {page.page_no for page in request.pages}
        queue = self._order(pg_lsns)
        running: dict[asyncio.Task[Any], NodeStream] = {}
        self.reads += bool(missing)
        try:
            while missing and (queue or running):
                wait_s: float | None = None
                if queue:
                    node = queue.pop(0)
                    running[asyncio.ensure_future(self._attempt(node, request))] = node
                    wait_s = max(HEDGE_MIN_S, HEDGE_FACTOR * node.latency_s) if queue else None
                done, _ = await asyncio.wait(running, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                if not done and queue:
                    self.hedges += 1
                for task in done:
                    del running[task]
                    for image in task.result():
                        if image.page_no in missing and not image.behind and not image.collected:
                            found[image.page_no] = _page(image)
                            missing.discard(image.page_no)
        finally:
            for task in running:
                task.cancel()
        return list(missing)

    def _order(self, pg_lsns: dict[int, int]) -> list[NodeStream]:
        """Nodes that cover the request, fastest first; unconnected ones last, for they may be back."""
        volume = self._volume
        able = [
            node for node in volume.streams if all(volume.scl(pg, node.index) >= lsn for pg, lsn in pg_lsns.items())
        ]
        able.sort(key=lambda node: (not volume.connected(node.index), node.latency_s))
        if len(able) > 1 and self.reads % PROBE_EVERY == PROBE_EVERY - 1:
            able.insert(0, able.pop(self._rng.randrange(1, len(able))))
        return able

    async def _attempt(self, node: NodeStream, request: Any) -> Sequence[Any]:
        loop = asyncio.get_running_loop()
        start = loop.time()
        try:
            reply = await node.calls.stub.ReadPages(request, timeout=ATTEMPT_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            logger.debug("page read from %s: %s %s", node.member.node_id, error.code().name, error.details())
            node.latency_s = max(2 * node.latency_s, HEDGE_MIN_S)  # others come first for a while
            return ()
        took = loop.time() - start
        node.latency_s = took if not node.latency_s else node.latency_s + _EWMA * (took - node.latency_s)
        pages: Sequence[Any] = reply.pages
        return pages


def _page(image: Any) -> bytes | None:
    content: bytes = image.image
    if not content:
        return None
    if len(content) != PAGE_BYTES:
        raise DataCorrupted(f"a storage node gave {len(content)} bytes for page {image.page_no}")
    return content
