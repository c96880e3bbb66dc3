"""How a table is read: scans by row and by column, fetches by address, chains of versions. It is also what an index
knows of its table.

A kernel that misses a page is restarted after the load. Nothing here changes a page, or waits for a transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

from aurora.datum import Row
from aurora.kernels import columns as columns_kernel
from aurora.kernels import heap_pages as heap_kernel
from aurora.kernels import tuples as tuples_kernel
from aurora.kernels.python.columns import FETCH_ROWS_MAX
from aurora.page import PAGE_BYTES
from compute_node.access.index_access import BATCH_VALUES
from compute_node.access.keys import row_codec
from compute_node.access.lossy_pages import runs
from compute_node.access.read_ahead import ReadAhead
from compute_node.access.stored import resolved, resolved_row
from compute_node.hub import HUB
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.txn.counts import RelationCounts
from compute_node.txn.serializable import SerialSnapshot

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from aurora.kernels.python.columns import Column
    from aurora.kernels.python.heap_pages import HeapPages
    from aurora.kernels.python.tuples import Projection, RowCodec
    from compute_node.access.index_access import HeapReader
    from compute_node.access.storage import Storage
    from compute_node.access.toast import Toaster

ColumnRows: TypeAlias = "tuple[int, list[Column], bool]"
"""(rows, columns, whether there may be handles in some)"""

WRITE_REDO_BYTES = 2 * PAGE_BYTES
"""Log space reserved for one row's heap change: at most two page images' worth."""
BATCH_PAGES = 256
"""A batch by columns has the rows of at most so many pages: they may be wide."""
FIRST_BATCH_ROWS = 128
"""Of a scan by columns: who wants few rows waits for few."""


class TableReader:
    """One relation descriptor's rows under snapshots; the base of ``Table``, which sets ``toast`` and ``_chains``."""

    toast: Toaster | None
    _chains: HeapReader

    def __init__(self, storage: Storage, desc: RelationDesc) -> None:
        self.storage = storage
        self.desc = desc
        self.name = desc.name
        self.relfile = desc.relfile
        shared = desc.oid >= FIRST_NORMAL_OID and desc.persistence != "t"
        self.serial_id = desc.lock_id if shared else 0
        """by what serializable transactions know it; 0: they take no notice of it"""
        self.file = storage.file(desc.relfile)
        self.counts = storage.counts.relation(desc.database, desc.oid, desc.rows, self.file.dead_rows)
        self.codec: RowCodec = row_codec(desc, desc.type_lookup(storage.type_lookup))
        self.heap: HeapPages = heap_kernel.HeapPages(
            storage.arena, storage.mtr, storage.clog, self.file.map, self.codec, desc.relfile
        )
        self.projections: dict[tuple[tuple[int, ...], bool], Projection] = {}
        self._cache = storage.cache
        self._load = storage.cache.load
        self._reserve = storage.volume.reserve

    def for_indexes(self) -> TableReader:
        """A reader that shares what this one has by now: what the table's indexes have of it."""
        shared = TableReader.__new__(TableReader)
        shared.__dict__.update(self.__dict__)
        return shared

    def reserve_write(self) -> None:
        """Reserve the log space of one row's change on a page, before it; may wait."""
        self._reserve(WRITE_REDO_BYTES)

    def load(self, page_no: int) -> None:
        """Bring in a page that a kernel misses; waits."""
        self._load(page_no)

    def projection(self, columns: tuple[int, ...], want_tid: bool) -> Projection:
        """The kernel's form of a column list."""
        key = (columns, want_tid)
        found = self.projections.get(key)
        if found is None:
            found = self.projections[key] = tuples_kernel.Projection(self.codec, columns, want_tid, self.desc.oid)
        return found

    def scan(self, snapshot: Snapshot, columns: tuple[int, ...], want_tid: bool) -> Iterator[list[Row]]:
        """Visible rows, a batch a page (empty pages give none); the tid comes last with ``want_tid``."""
        return self.scan_blocks(snapshot, columns, want_tid, 0, None)

    def scan_blocks(
        self,
        snapshot: Snapshot,
        columns: tuple[int, ...],
        want_tid: bool,
        start: int,
        end: int | None,
        roots: bool = False,
        step: int = 1,
        counted: bool = True,
    ) -> Iterator[list[Row]]:
        """``scan`` of every ``step``-th block from ``start`` to before ``end``; with ``roots`` the tids are those of
        the chains' roots. ``counted``: statistics count it as a scan of the table."""
        if type(snapshot) is SerialSnapshot and self.serial_id:
            snapshot.reader.reads_table(self.serial_id)
        blocks = range(start, self.file.map.blocks if end is None else min(end, self.file.map.blocks), step)
        counts = self.counts if counted else self.storage.counts.uncounted
        counts.scans += 1
        return self._blocks(snapshot, blocks, columns, want_tid, roots, counts)

    def scan_pages(
        self, snapshot: Snapshot, blocks: Sequence[int], columns: tuple[int, ...], want_tid: bool
    ) -> Iterator[list[Row]]:
        """The visible rows of some blocks, which a bitmap has; a batch a page. Statistics count no scan and no rows."""
        counts = self.storage.counts.uncounted
        if type(snapshot) is SerialSnapshot:
            return self.noting(snapshot, self._blocks(snapshot.plain, blocks, columns, True, False, counts), want_tid)
        return self._blocks(snapshot, blocks, columns, want_tid, False, counts)

    def _blocks(
        self,
        snapshot: Snapshot,
        blocks: Sequence[int],
        columns: tuple[int, ...],
        want_tid: bool,
        roots: bool,
        counts: RelationCounts,
    ) -> Iterator[list[Row]]:
        proj = self.projection(columns, want_tid)
        codec, toast = self.codec, self.toast
        scan_page, page_no = self.heap.scan_page, self.file.map.page_no
        ahead = ReadAhead(self._cache, lambda at: page_no(blocks[at]), len(blocks))
        try:
            for at, block in enumerate(blocks):
                if at >= ahead.mark:
                    ahead.advance(at)
                handles = codec.handles
                while isinstance(rows := scan_page(snapshot, block, proj, roots), int):
                    if rows == page_no(block):
                        ahead.missed(at)
                    self._load(rows)
                counts.returned += len(rows)
                if toast is not None and codec.handles != handles:
                    yield from resolved(rows, proj.eager)
                elif rows:
                    yield rows
        finally:
            ahead.close()

    def scan_columns(self, snapshot: Snapshot, columns: tuple[int, ...], kinds: str) -> Iterator[ColumnRows]:
        """The rows of ``scan`` by column, each column in the form of its letter in ``kinds`` (see the columns kernel).
        The first batches are small. Not for serializable transactions."""
        self.counts.scans += 1
        return self._run_columns(snapshot, (0, self.file.map.blocks), columns, kinds, self.counts)

    def page_columns(
        self, snapshot: Snapshot, blocks: Sequence[int], columns: tuple[int, ...], kinds: str
    ) -> Iterator[ColumnRows]:
        """The rows of ``scan_pages`` by column, as ``scan_columns``; ``blocks`` are in order."""
        counts = self.storage.counts.uncounted
        for run in runs(blocks):
            yield from self._run_columns(snapshot, run, columns, kinds, counts)

    def _run_columns(
        self,
        snapshot: Snapshot,
        run: tuple[int, int],
        columns: tuple[int, ...],
        kinds: str,
        counts: RelationCounts,
    ) -> Iterator[ColumnRows]:
        """Of the blocks from the first to before the second."""
        codec, scan_pages, page_no = self.codec, self.heap.scan_columns, self.file.map.page_no
        gathered = columns_kernel.Columns(self.projection(columns, False), kinds)
        most = max(FIRST_BATCH_ROWS, min(columns_kernel.BATCH_ROWS, BATCH_VALUES // max(len(columns), 1)))
        start, blocks = run
        ahead = ReadAhead(self._cache, lambda at: page_no(start + at), blocks - start)
        enough, handles, first, block = FIRST_BATCH_ROWS, codec.handles, start, start
        try:
            while block < blocks:
                if block - start >= ahead.mark:
                    ahead.advance(block - start)
                # ``advance`` is asked for at its block, and a batch has the rows of so many pages at most.
                until = min(blocks, max(start + ahead.mark, block + 1), first + BATCH_PAGES)
                block, missing = scan_pages(snapshot, block, until, gathered, enough)
                if missing:
                    if missing == page_no(block):
                        ahead.missed(block - start)
                    self._load(missing)
                    continue
                count = gathered.count
                if count >= enough or block - first >= BATCH_PAGES or block == blocks:
                    first = block
                    if not count:
                        HUB.pulse()
                        continue
                    enough = min(4 * enough, most)
                    counts.returned += count
                    found = gathered.take()
                    yield count, found, codec.handles != handles
                    handles = codec.handles
                    kinds, before = "".join([column[0] for column in found]), kinds
                    if kinds != before:
                        # What did not fit once will not fit again.
                        gathered = columns_kernel.Columns(self.projection(columns, False), kinds)
        finally:
            ahead.close()

    def fetch(self, snapshot: Snapshot, tid: int, columns: tuple[int, ...]) -> Row | None:
        """The version at ``tid``, None when there is none that the snapshot sees."""
        if type(snapshot) is SerialSnapshot:
            self.note_rows(snapshot, [tid])
        proj = self.projections.get((columns, False)) or self.projection(columns, False)
        while True:
            row = self.heap.fetch(snapshot, tid, proj)
            if isinstance(row, int):
                self._load(row)
            elif row is None or self.toast is None:
                return row
            else:
                return resolved_row(row, proj.eager)

    def version_of_now(self, snapshot: Snapshot, tid: int) -> int | None:
        """The version after ``tid``, or itself, that the snapshot sees; None when the row is gone."""
        at = tid
        while self.fetch(snapshot, at, ()) is None:
            HUB.pulse()
            while (following := self.heap.successor(at)) < 0:
                self._load(-following)
            if not following:
                return None
            at = following
        return at

    def fetch_chains(
        self, snapshot: Snapshot, roots: list[int], columns: tuple[int, ...], want_tid: bool
    ) -> Iterator[list[Row]]:
        """The visible rows of chains by the addresses of their roots (what index entries name), in that order."""
        if type(snapshot) is SerialSnapshot:
            found = self._chains.rows(snapshot.plain, roots, self.projection(columns, True))
            return self.noting(snapshot, found, want_tid)
        return self._chains.rows(snapshot, roots, self.projection(columns, want_tid))

    def fetch_columns(
        self, snapshot: Snapshot, batches: Iterator[list[int]], columns: tuple[int, ...], kinds: str
    ) -> Iterator[ColumnRows]:
        """The rows of ``fetch_chains`` by column, as ``scan_columns``."""
        codec = self.codec
        gathered = columns_kernel.Columns(self.projection(columns, False), kinds)
        most = max(FIRST_BATCH_ROWS, min(columns_kernel.BATCH_ROWS, BATCH_VALUES // max(len(columns), 1)))
        enough, handles = FIRST_BATCH_ROWS, codec.handles
        for tids in batches:
            for start in range(0, len(tids), FETCH_ROWS_MAX):
                self._chains.put(snapshot, tids[start : start + FETCH_ROWS_MAX], gathered)
                count = gathered.count
                if count >= enough:
                    enough = min(4 * enough, most)
                    yield count, gathered.take(), codec.handles != handles
                    handles = codec.handles
        if count := gathered.count:
            yield count, gathered.take(), codec.handles != handles

    def note_rows(self, snapshot: SerialSnapshot, tids: Sequence[int]) -> None:
        """A serializable transaction has seen these versions."""
        if self.serial_id:
            snapshot.reader.reads_rows(self.serial_id, self.relfile, tids)

    def noting(self, snapshot: SerialSnapshot, batches: Iterator[list[Row]], want_tid: bool) -> Iterator[list[Row]]:
        """Batches of rows with their tids, noted as seen."""
        for rows in batches:
            self.note_rows(snapshot, [row[-1] for row in rows])
            yield rows if want_tid else [row[:-1] for row in rows]
