"""The six copies as one: log by epoch, pages at any LSN that is not collected, fencing.

What nodes do among themselves is the storage half's. Here the log of the newest epoch is taken in, an older one's is
refused; recovery ends the log at a consistency point between what was acknowledged and what was stored.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from typing import Final, NamedTuple

from aurora.ids import Lsn
from aurora.kernels import redo
from aurora.kernels.python.mtr import Run
from aurora.page import PAGE_BYTES

GAP_BYTES: Final = 1000
"""LSNs that recovery skips above what the last writer may have used."""
COLLECTED: Final = b""
"""In the place of a page that cannot be read at that LSN any more."""


class Change(NamedTuple):
    """A record as it acts on a page; ``anew``: on an empty one."""

    lsn: int
    anew: bool
    ops: bytes


class Opened(NamedTuple):
    """What a writer gets that has opened the volume."""

    epoch: int
    vdl: Lsn
    next_lsn: int
    pg_last: dict[int, int]
    pages: dict[int, bytearray]


class Nodes:
    """See the module. ``acked_lsn``: what a writer may have been told to be durable. ``pgmrpl``: versions below are
    collected."""

    def __init__(self, pages_per_pg: int) -> None:
        self.pages_per_pg = pages_per_pg
        self.epoch = 0
        self.acked_lsn = 0
        self.pgmrpl = 0
        self.last_lsn = 0
        self.cuts: dict[int, int] = {}
        """Each epoch but the newest → where its log ends."""
        self._used_lsn = 0
        self._chain: list[int] = []
        self._pgs: list[int] = []
        self._cpls: list[int] = []
        self._raw: dict[int, bytes] = {}
        """Each record as it is in the log."""
        self._base: dict[int, bytes] = {}
        self._changes: dict[int, list[Change]] = {}

    # Writers

    def open(self, rng: random.Random, used_lsn: int) -> Opened:
        """Another writer opens the volume: all others are fenced, the log ends somewhere behind what was acknowledged.
        ``used_lsn``: how far the last writer's LSNs go."""
        self._used_lsn = max(self._used_lsn, used_lsn, self.last_lsn)
        upto = rng.randint(self.acked_lsn, max(self.acked_lsn, self.last_lsn))
        at = bisect_right(self._cpls, upto)
        vdl = self._cpls[at - 1] if at else 0
        self.cuts[self.epoch] = vdl
        self.epoch += 1
        self._cut(vdl)
        next_lsn = self._used_lsn + GAP_BYTES if self.epoch > 1 else 1
        pages = {page_no: bytearray(image) for page_no in self._pages() if (image := self.page_at(page_no, vdl))}
        return Opened(self.epoch, Lsn(vdl), next_lsn, self.pg_last_at(vdl), pages)

    def _cut(self, vdl: int) -> None:
        for records in self._changes.values():
            while records and records[-1].lsn > vdl:
                records.pop()
        at = bisect_right(self._chain, vdl)
        for lsn in self._chain[at:]:
            del self._raw[lsn]
        del self._chain[at:], self._pgs[at:]
        del self._cpls[bisect_right(self._cpls, vdl) :]
        self.last_lsn = self.acked_lsn = vdl

    def limit(self, epoch: int) -> int:
        """Where an epoch's log ends, as far as anybody can tell."""
        return min((cut for each, cut in self.cuts.items() if each >= epoch), default=1 << 62)

    def log_between(self, applied: dict[int, int], wanted: dict[int, int]) -> list[tuple[int, int, int, int, bytes]]:
        """Runs ``(pg, prev_lsn, first_lsn, last_lsn, records)`` from each group's ``applied`` LSN to the ``wanted``."""
        runs = []
        for pg, last in wanted.items():
            after = applied.get(pg, 0)
            lsns = [lsn for lsn, each in zip(self._chain, self._pgs, strict=True) if each == pg and after < lsn <= last]
            if lsns:
                runs.append((pg, after, lsns[0], lsns[-1], b"".join(self._raw[lsn] for lsn in lsns)))
        return runs

    def append(self, epoch: int, runs: list[Run]) -> bool:
        """A flush; False: its writer is fenced."""
        if epoch != self.epoch:
            return False
        found = []
        for pg, prev, _, _, _, data in runs:
            at = 0
            for lsn, _, page_no, page_prev, flags, offset, end in redo.scan(data, prev):
                found.append((lsn, pg, page_no, page_prev, flags, data[offset:end]))
                self._raw[lsn] = data[at:end]
                at = end
        for lsn, pg, page_no, page_prev, flags, ops in sorted(found):
            self._chain.append(lsn)
            self._pgs.append(pg)
            if flags & 1:
                self._cpls.append(lsn)
            if not flags & 2:
                self._changes.setdefault(page_no, []).append(Change(lsn, not page_prev, ops))
            self.last_lsn = lsn
        return True

    def pg_last_at(self, lsn: int) -> dict[int, int]:
        """Each protection group's last LSN up to ``lsn``."""
        upto = bisect_right(self._chain, lsn)
        return dict(zip(self._pgs[:upto], self._chain[:upto], strict=True))

    # Pages

    def _pages(self) -> list[int]:
        return sorted({*self._base, *self._changes})

    def page_at(self, page_no: int, lsn: int) -> bytes | None:
        """The page as of ``lsn``: what the log alone says."""
        image = self._base.get(page_no)
        page = bytearray(image) if image is not None else None
        for change in self._changes.get(page_no, ()):
            if change.lsn > lsn:
                break
            page = self._changed(page, change)
        return None if page is None else bytes(page)

    @staticmethod
    def _changed(page: bytearray | None, change: Change) -> bytearray | None:
        if change.anew and not change.ops:
            return None  # FREE
        if page is None or change.anew:
            page = bytearray(PAGE_BYTES)
        redo.apply(page, change.ops, 0, len(change.ops), change.lsn)
        return page

    def read(self, page_no: int, read_point: int, pg_lsn: int, rng: random.Random) -> bytes | None:
        """What a node answers that has the group's log up to ``pg_lsn`` at least; ``COLLECTED``."""
        if read_point < self.pgmrpl:
            return COLLECTED
        if not pg_lsn:
            return None
        return self.page_at(page_no, min(read_point, pg_lsn) if rng.random() < 0.5 else read_point)

    def changed_pages(self, pg: int, after_lsn: int, upto_lsn: int) -> set[int]:
        """The pages of a group that the log in ``(after_lsn, upto_lsn]`` touches."""
        return {
            page_no
            for page_no, changes in self._changes.items()
            if page_no // self.pages_per_pg == pg and any(after_lsn < each.lsn <= upto_lsn for each in changes)
        }

    def changed_since(self, lsn: int) -> list[int]:
        """The pages that the log after ``lsn`` touches."""
        return [page_no for page_no in self._pages() if (made := self._changes.get(page_no)) and made[-1].lsn > lsn]

    def trim(self, lsn: int) -> None:
        """Nobody reads or compares below ``lsn`` any more: forget how pages came to be what they are there."""
        for page_no, changes in list(self._changes.items()):
            if not changes or changes[0].lsn > lsn:
                continue
            image = self._base.pop(page_no, None)
            page = bytearray(image) if image is not None else None
            done = 0
            for change in changes:
                if change.lsn > lsn:
                    break
                page = self._changed(page, change)
                done += 1
            del changes[:done]
            if page is not None:
                self._base[page_no] = bytes(page)
