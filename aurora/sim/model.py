"""What is true: the records of each line of writers, who opened when, and what was acknowledged.

Each opened writer has its own ``History``: the records of its predecessor up to the VDL that it recovered, then its
own. Pages of the model are made by the redo kernel's specification (``aurora/kernels/python/redo.py``), while the nodes
run whichever side is chosen. Next stage: ``checks`` compare the nodes with this.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from aurora.geometry import Descriptor
from aurora.kernels.python import redo
from aurora.kernels.python.mtr import NOTE_PG
from aurora.page import PAGE_BYTES

_lsn = attrgetter("lsn")


@dataclass(frozen=True, slots=True)
class Change:
    """One record: ``ops`` on ``page_no`` (``redo.NO_PAGE``: a note). ``fresh``: the page starts anew, from zeros."""

    lsn: int
    page_no: int
    ops: bytes
    fresh: bool
    cpl: bool


class History:
    """The records of one line of writers, in LSN order."""

    def __init__(self, pages_per_pg: int) -> None:
        self.changes: list[Change] = []
        self._pages_per_pg = pages_per_pg
        self._pages: dict[int, list[Change]] = defaultdict(list)
        self._pgs: dict[int, list[int]] = defaultdict(list)
        self._built: dict[int, tuple[int, bytearray]] = {}
        """Page → how many of its changes are in the page that was built last, and that page."""

    def add(self, change: Change) -> None:
        """Append a record."""
        self.changes.append(change)
        if change.page_no == redo.NO_PAGE:
            self._pgs[NOTE_PG].append(change.lsn)
        else:
            self._pages[change.page_no].append(change)
            self._pgs[change.page_no // self._pages_per_pg].append(change.lsn)

    def upto(self, lsn: int) -> History:
        """The part at or below ``lsn``."""
        part = History(self._pages_per_pg)
        for change in self.changes[: bisect_right(self.changes, lsn, key=_lsn)]:
            part.add(change)
        return part

    def at(self, lsn: int) -> Change | None:
        """The record at ``lsn``."""
        place = bisect_left(self.changes, lsn, key=_lsn)
        found = self.changes[place] if place < len(self.changes) else None
        return found if found is not None and found.lsn == lsn else None

    def page(self, page_no: int, lsn: int) -> bytes | None:
        """The page as of ``lsn``, its LSN in its header; None when never written by then."""
        changes = self._pages.get(page_no, [])
        count = bisect_right(changes, lsn, key=_lsn)
        if not count:
            return None
        done, page = self._built.get(page_no, (0, bytearray(PAGE_BYTES)))
        if done > count:
            done, page = 0, bytearray(PAGE_BYTES)
        for change in changes[done:count]:
            if change.fresh:
                page[:] = bytes(PAGE_BYTES)
            redo.apply(page, change.ops, 0, len(change.ops), change.lsn)
        self._built[page_no] = (count, page)
        return bytes(page)

    def page_last(self, page_no: int) -> int:
        """LSN of the page's last record, 0 when it has none."""
        changes = self._pages.get(page_no)
        return changes[-1].lsn if changes else 0

    def lsns(self, pg: int) -> list[int]:
        """The LSNs of a protection group's records."""
        return self._pgs.get(pg, [])

    def pg_last(self, pg: int, lsn: int) -> int:
        """The group's last LSN at or below ``lsn``; 0 when it has none."""
        lsns = self.lsns(pg)
        place = bisect_right(lsns, lsn)
        return lsns[place - 1] if place else 0

    @property
    def pgs(self) -> list[int]:
        """The groups that have records."""
        return sorted(self._pgs)


@dataclass
class Opening:
    """A writer that opened: what it found, and how far it was acknowledged."""

    name: str
    epoch: int
    vdl_found: int
    vdl: int
    history: History
    found: Descriptor
    committed: Descriptor
    """What it goes by, ``found`` at first."""
    proposal: Descriptor | None = None
    """What it has proposed and not committed yet."""
    reached: dict[int, int] = field(default_factory=dict)
    """PG → LSN that enough nodes held when other descriptors were in force: that counts for good."""

    @property
    def in_force(self) -> tuple[Descriptor, ...]:
        """The descriptors that both decide what is durable at this moment."""
        return (self.committed,) if self.proposal is None else (self.committed, self.proposal)


STEPS: Final = (
    "node-added", "grown", "replacement-begun", "replacement-done", "gone-back", "model-begun", "zone-counted-out",
    "zones-counted-again",
)  # fmt: skip


def steps(old: Descriptor, new: Descriptor) -> Iterator[str]:
    """What the step from one committed descriptor to the next did, of ``STEPS``."""
    if len(new.nodes) > len(old.nodes):
        yield "node-added"
    if len(new.groups) > len(old.groups):
        yield "grown"
    for before, after in zip(old.groups, new.groups, strict=False):
        for was, now in zip(before.slots, after.slots, strict=True):
            if now.candidate and not was.candidate:
                yield "replacement-begun"
            if was.candidate and not now.candidate:
                yield "replacement-done" if now.member == was.candidate else "gone-back"
        if after.away_next is not None and before.away_next is None:
            yield "model-begun"
        if after.away != before.away:
            yield "zone-counted-out" if after.away else "zones-counted-again"


@dataclass
class Ledger:
    """``openings`` in the order of their epochs; ``acknowledged``: the highest LSN that a client was told is durable.

    ``told_vdl``, ``told_pgmrpl``: the highest that any writer told any node.
    """

    pages: int
    pages_per_pg: int
    openings: list[Opening] = field(default_factory=list)
    acknowledged: int = 0
    told_vdl: int = 0
    told_pgmrpl: int = 0
    commits: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    """Committed changes of the fleet, by kind (``STEPS``)."""

    @property
    def current(self) -> Opening | None:
        """The opening with the greatest epoch."""
        return self.openings[-1] if self.openings else None

    def pgs(self) -> range:
        """All protection groups."""
        return range(-(-self.pages // self.pages_per_pg))

    def pages_of(self, pg: int) -> range:
        """The pages of a group."""
        return range(pg * self.pages_per_pg, min((pg + 1) * self.pages_per_pg, self.pages))
