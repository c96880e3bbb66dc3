"""The reader's side of the replica stream: the writer's log, applied to the pages that this cache has. Sans-I/O.

::

    Log message ──► records in LSN order ──► mini-transaction by mini-transaction ──► resident pages
                                                                │                └──► pages on their way: when they come
                                                                └► notes, and what has changed besides pages

A record of a page that is not in the cache does nothing: whoever needs the page reads it from storage at the applied
point. One of a page that is being read is kept until the page is there (``patched``), for the read may have asked for
it at an earlier point. After each mini-transaction ``applied_lsn`` is its last LSN: a page in the cache is the writer's
at that LSN.

Invariants: records come in one chain of the volume, without a gap; a page's record follows the one that the page has
(``page_prev_lsn``); nothing is applied in part.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aurora.errors import InvariantViolation
from aurora.ids import Lsn
from aurora.kernels import redo
from aurora.kernels.python.redo import FLAG_CPL, FLAG_NOTE, is_free
from aurora.page import OFF_KIND, PAGE_BYTES, PageKind

if TYPE_CHECKING:
    from aurora.kernels.python.arena import Arena

Record = tuple[int, int, int, int, int, int, int, bytes, int]
"""``(lsn, prev_lsn, page_no, page_prev_lsn, flags, offset, end, run, pg)``"""

SUPERBLOCK_PAGE: Final = 0


@dataclass(slots=True)
class Applied:
    """What one mini-transaction has done besides pages: its notes, and which of the structures that stand on pages are
    out of date."""

    lsn: Lsn
    notes: list[tuple[Lsn, bytes]] = field(default_factory=list)
    extents: bool = False
    commit_log: bool = False
    superblock: bool = False
    records: int = 0


class StreamGap(Exception):
    """The log that came does not follow what is applied: begin again."""


class ApplyCore:
    """``loading`` tells whether a page is on its way into the arena."""

    def __init__(
        self,
        arena: Arena,
        applied_lsn: Lsn,
        pg_last: dict[int, int],
        loading: Callable[[int], bool] = lambda page_no: False,
    ) -> None:
        self.applied_lsn = applied_lsn
        self.received_lsn = applied_lsn
        self.pg_last = pg_last
        """Shared with the volume: each protection group's last LSN ≤ ``applied_lsn``."""
        self.records = 0
        self.loading = loading
        self._arena = arena
        self._queue: deque[Record] = deque()
        self._late: dict[int, list[Record]] = {}

    @property
    def waiting(self) -> int:
        """Records that have come and are not applied."""
        return len(self._queue)

    def receive(self, runs: Iterable[tuple[int, int, bytes]]) -> None:
        """The runs ``(pg, prev_lsn, records)`` of a message; StreamGap when log is missing before them."""
        found: list[Record] = []
        groups = set()
        for pg, prev_lsn, data in runs:
            groups.add(pg)
            found += [(*record, data, pg) for record in redo.scan(data, prev_lsn)]
        if len(groups) > 1:
            found.sort()
        received = self.received_lsn
        for record in found:
            lsn = record[0]
            if lsn <= received:
                continue  # from before the stream began
            if record[1] != received:
                raise StreamGap(f"record {lsn} follows {record[1]}, and {received} is the last one here")
            self._queue.append(record)
            received = Lsn(lsn)
        self.received_lsn = received

    def step(self) -> Applied | None:
        """Apply the next mini-transaction; None when there is none."""
        queue = self._queue
        if not queue:
            return None
        done = Applied(self.applied_lsn)
        while True:
            record = queue.popleft()
            lsn, _, _, _, flags, offset, end, data, pg = record
            done.records += 1
            if flags & FLAG_NOTE:
                done.notes.append((Lsn(lsn), data[offset:end]))
            else:
                self._apply(record, done)
            self.pg_last[pg] = lsn
            if flags & FLAG_CPL:
                self.applied_lsn = done.lsn = Lsn(lsn)
                self.records += done.records
                return done
            if not queue:
                raise InvariantViolation(f"the log ends at {lsn} inside a mini-transaction")

    def _apply(self, record: Record, done: Applied) -> None:
        lsn, _, page_no, page_prev_lsn, _, offset, end, data, _ = record
        arena = self._arena
        if not arena.contains(page_no):
            if self.loading(page_no):
                self._late.setdefault(page_no, []).append(record)
            return
        if is_free(page_prev_lsn, offset, end):
            arena.drop(page_no)
            return
        frame = arena.lookup(page_no)
        page_lsn = arena.page_lsn(frame)
        if page_lsn != page_prev_lsn:
            if page_lsn >= lsn:
                return
            raise InvariantViolation(f"record {lsn} of page {page_no} follows {page_prev_lsn}, the page has {page_lsn}")
        page = arena.page(frame)
        redo.apply(page, data, offset, end, lsn)
        kind = page[OFF_KIND]
        if kind == PageKind.CLOG:
            done.commit_log = True
        elif kind == PageKind.EXTENTS:
            done.extents = True
        elif page_no == SUPERBLOCK_PAGE:
            done.superblock = True

    def patched(self, page_no: int, image: bytes | None) -> bytes | None:
        """A page that has come from storage, brought to ``applied_lsn``."""
        late = self._late.pop(page_no, None)
        if late is None:
            return image
        page = bytearray(image) if image is not None else bytearray(PAGE_BYTES)
        for lsn, _, _, page_prev_lsn, _, offset, end, data, _ in late:
            if int.from_bytes(page[:8], "little") >= lsn:
                continue  # kept for a load that failed: this one was asked for later
            if is_free(page_prev_lsn, offset, end):
                page = bytearray(PAGE_BYTES)
            else:
                redo.apply(page, data, offset, end, lsn)
        return bytes(page) if any(page) else None

    def forget_late(self) -> None:
        """Drop what waits for pages that are not on their way any more."""
        for page_no in [page_no for page_no in self._late if not self.loading(page_no)]:
            del self._late[page_no]
