"""A volume in memory: for bootstrap images and tests.

The log's runs are applied to pages in a dict by the same ``redo.apply`` as everywhere. ``auto`` makes the log durable
as soon as it is flushed; else ``advance`` does, up to a chosen LSN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from aurora.errors import InvariantViolation, SqlError
from aurora.ids import FIRST_LSN, NO_LSN, Lsn
from aurora.kernels import mtr as mtr_kernel
from aurora.kernels import redo
from aurora.page import PAGE_BYTES
from compute_node.hub import HUB, Waiter
from compute_node.volume.doubt import Doubt

if TYPE_CHECKING:
    from aurora.kernels.python.mtr import RedoLog


Done = Callable[[SqlError | None], None]


class MemoryVolume:
    """Interface of ``compute_node.volume.Volume`` as far as access methods use it. ``history`` keeps every run taken
    from the log when ``keep_history``."""

    def __init__(self, auto: bool = True, pages_per_pg: int = 512, keep_history: bool = False) -> None:
        self.log: RedoLog = mtr_kernel.RedoLog(FIRST_LSN, 0, pages_per_pg, {})
        self.volume_id = bytes(16)
        self.auto = auto
        self.vdl = NO_LSN
        self.fenced = False
        self.keep_history = keep_history
        self.history: list[tuple[int, int, int, int, int, bytes]] = []
        self.pages: dict[int, bytearray] = {}
        self.reads = 0
        self.pg_last: dict[int, int] = {}
        """The last durable LSN of each protection group."""
        self._records: list[tuple[int, int, int, bytes, bool]] = []
        self._cpls: list[int] = []
        self.ensured: list[int] = []
        """What ``ensure_pages`` was asked for."""
        self._waiting: list[tuple[int, Done]] = []

    def flush_soon(self, reason: str = "") -> None:
        """Make the log durable, when ``auto``."""
        if self.auto:
            self.advance()

    def advance(self, lsn: Lsn | None = None) -> None:
        """Raise the VDL to the last CPL at or below ``lsn`` (None: all of the log) and apply the records up to
        there."""
        self._take()
        upto = max((at for at in self._cpls if lsn is None or at <= lsn), default=self.vdl)
        self._cpls = [at for at in self._cpls if at > upto]
        self._apply(upto)
        self.vdl = max(self.vdl, Lsn(upto))
        ready = sorted((entry for entry in self._waiting if entry[0] <= self.vdl), key=lambda entry: entry[0])
        self._waiting = [entry for entry in self._waiting if entry[0] > self.vdl]
        for _, done in ready:
            done(None)

    def _take(self) -> None:
        """What is in the log's open end: its records in LSN order, its CPLs."""
        for run in self.log.take():
            if self.keep_history:
                self.history.append(run)
            pg, prev, _, _, _, data = run
            for at, _, page_no, page_prev, flags, offset, end in redo.scan(data, prev):
                self._records.append((at, pg, -1 if flags & 2 else page_no, data[offset:end], not page_prev))
                if flags & 1:
                    self._cpls.append(at)
        self._records.sort()

    def _apply(self, upto: int) -> None:
        applied = 0
        for at, pg, page_no, ops, starts_anew in self._records:
            if at > upto:
                break
            applied += 1
            self.pg_last[pg] = at
            if page_no < 0:
                continue
            if starts_anew:
                self.pages.pop(page_no, None)
            if starts_anew and not ops:
                continue  # FREE
            page = self.pages.setdefault(page_no, bytearray(PAGE_BYTES))
            redo.apply(page, ops, 0, len(ops), at)
        del self._records[:applied]

    doubt = Doubt(float("inf"))

    def holds_back(self, _now_s: float) -> bool:
        """No other writer can open it."""
        return False

    def when_sure(self, done: Done) -> None:
        """It always is."""
        done(None)

    def when_durable(self, lsn: Lsn, done: Done) -> None:
        """Call ``done(None)`` once ``vdl`` ≥ lsn."""
        if self.vdl >= lsn:
            done(None)
        else:
            self._waiting.append((lsn, done))

    def wait_durable(self, lsn: Lsn) -> None:
        """Wait until ``vdl`` ≥ lsn."""
        self.flush_soon()
        if self.vdl < lsn:
            waiter = Waiter()
            self.when_durable(lsn, waiter.wake)
            HUB.wait(waiter)

    def reserve(self, nbytes: int) -> None:
        """Log space is never short here; pending log is applied now and then so that it does not pile up."""
        if self.auto and self.log.pending_bytes > 1 << 20:
            self.advance()

    def ensure_pages(self, upto_page: int) -> None:
        """See ``Volume.ensure_pages``: any page will do here."""
        if HUB.mtr is not None and HUB.mtr.active:
            raise InvariantViolation("pages are ensured before a mini-transaction, not while one is being edited")
        self.ensured.append(upto_page)

    def read_page(self, page_no: int) -> bytes | None:
        """The page as of the VDL."""
        self.reads += 1
        page = self.pages.get(page_no)
        return None if page is None else bytes(page)

    async def read_pages(self, page_nos: Sequence[int]) -> list[bytes | None]:
        """Several pages as of the VDL."""
        return [self.read_page(page_no) for page_no in page_nos]
