"""A volume whose pages come late and whose log becomes durable late; a crash cuts the log off anywhere above the VDL.

The pages, and how the log makes them, are ``MemoryVolume``'s. What is added here is time, drawn from the seed: a page
read waits or not and gives the page as of the VDL at its beginning; the VDL follows the log in uneven steps, each to a
CPL; log space and new protection groups may have to be waited for.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from aurora.errors import SqlError
from aurora.ids import Lsn
from aurora.kernels import mtr as mtr_kernel
from aurora.sim.compute.knobs import Knobs
from aurora.sim.compute.loop import Delay, SimLoop
from compute_node.access.memory_volume import MemoryVolume
from compute_node.hub import HUB

if TYPE_CHECKING:
    from aurora.kernels.python.mtr import RedoLog


GAP_BYTES: Final = 1000
"""LSNs that recovery skips above what the dead writer may have used."""


class SimVolume(MemoryVolume):
    """``before`` is the dead process' volume, already cut off."""

    def __init__(self, loop: SimLoop, rng: random.Random, knobs: Knobs, before: SimVolume | None = None) -> None:
        super().__init__(auto=False, pages_per_pg=knobs.pages_per_pg)
        self.fenced = False
        self.slow_pages = self.slow_log = 1.0
        """factors on the delays"""
        self._loop = loop
        self._rng = rng
        self._knobs = knobs
        self._armed = False
        self._last_ack_s = 0.0
        if before is not None:
            self.pages, self.vdl, self.pg_last = before.pages, before.vdl, before.pg_last
            next_lsn = int(before.log.next_lsn) + GAP_BYTES
            self.log: RedoLog = mtr_kernel.RedoLog(next_lsn, self.vdl, knobs.pages_per_pg, self.pg_last)

    # The log

    def flush_soon(self, reason: str = "") -> None:
        """Send what is in the log at the end of this turn; it is durable some time later."""
        if not self._armed:
            self._armed = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._armed = False
        cpl = int(self.log.last_cpl)
        if cpl <= self.vdl:
            return
        low, high = self._knobs.flush_s
        due = self._loop.time() + self._rng.uniform(low, high) * self.slow_log
        self._last_ack_s = due = max(due, self._last_ack_s)
        if self._rng.random() < 0.3:  # a part of it first
            part = self._rng.randint(self.vdl, cpl)
            self._loop.call_later(max(0.0, due - self._loop.time()) / 2, self.advance, part)
        self._loop.call_later(due - self._loop.time(), self.advance, cpl)

    def advance(self, lsn: Lsn | None = None) -> None:
        """As ``MemoryVolume.advance``; tells the arena nothing: its owner asks."""
        before = self.vdl
        super().advance(lsn)
        if self.vdl > before:
            self._loop.world.note(f"vdl {self.vdl}")

    def when_durable(self, lsn: Lsn, done: Callable[[SqlError | None], None]) -> None:
        """As in ``MemoryVolume``, and arms a flush."""
        super().when_durable(lsn, done)
        if lsn > self.vdl:
            self.flush_soon()

    def crash(self) -> int:
        """The writer is dead. A random part of the log above the VDL survives, up to a CPL: the VDL of recovery."""
        self._waiting.clear()
        super().advance(Lsn(self._rng.randint(self.vdl, max(self.vdl, self.log.last_lsn))))
        return self.vdl

    # Pages

    def _delay_s(self) -> float:
        if self._rng.random() >= self._knobs.page_wait:
            return 0.0
        return self._rng.expovariate(1 / self._knobs.page_s) * self.slow_pages

    def read_page(self, page_no: int) -> bytes | None:
        """The page as of the VDL of this moment, after a while."""
        image = super().read_page(page_no)
        delay_s = self._delay_s()
        if delay_s and HUB.in_greenlet():
            HUB.sleep(delay_s)
        return image

    async def read_pages(self, page_nos: Sequence[int]) -> list[bytes | None]:
        """The same for several."""
        images = [MemoryVolume.read_page(self, page_no) for page_no in page_nos]
        await Delay(self._delay_s())
        return images

    # Space

    def _may_wait(self) -> None:
        if HUB.in_greenlet() and self._rng.random() < self._knobs.space_wait:
            self.flush_soon()
            HUB.sleep(self._rng.random() * self._knobs.flush_s[1])

    def reserve(self, nbytes: int) -> None:
        """Log space, which may have to be waited for."""
        self._may_wait()

    def ensure_pages(self, upto_page: int) -> None:
        """Protection groups, which may have to be waited for."""
        super().ensure_pages(upto_page)
        self._may_wait()
