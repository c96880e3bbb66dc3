"""The access layer's root: everything that works on one volume's pages.

``Storage`` puts together arena, cache, page editor, superblock, extent directory, commit log and transactions, makes
and drops relation storage, and keeps one ``Table`` a relation descriptor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC
from typing import TYPE_CHECKING

from aurora.datum import Datum
from aurora.errors import InvariantViolation
from aurora.ids import Lsn, Oid, RelFile
from aurora.kernels import clog as clog_kernel
from aurora.kernels import mtr as mtr_kernel
from aurora.page import OFF_KIND, PAGE_BYTES, PageKind
from compute_node.access.cache import PageCache
from compute_node.access.extents import Extents, RelationFile
from compute_node.access.give_back import give_back
from compute_node.access.index_access import RowExpression
from compute_node.access.superblock import Superblock
from compute_node.access.vacuum import Pace, VacuumStats, vacuum
from compute_node.hub import HUB
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.storage_types import storage_type
from compute_node.txn.counts import Counts
from compute_node.txn.manager import TransactionManager
from compute_node.txn.transaction import Txn
from compute_node.types.registry import PgType, TypeEnv
from compute_node.work.progress import Progress

if TYPE_CHECKING:
    from aurora.kernels.python.arena import Arena
    from aurora.kernels.python.clog import Clog
    from aurora.kernels.python.mtr import Mtr
    from compute_node.access.table import Table
    from compute_node.volume.interface import PagedVolume


RowCompiler = Callable[[RelationDesc, str], RowExpression]
"""SQL text over a relation's columns → its function of a whole row"""
ComparisonCompiler = Callable[[RelationDesc, int, int], Callable[[Datum, Datum], Datum]]
"""a relation, an operator, a type → the operator's function on two values of the type"""

CLOG_RELFILE = RelFile(2)
TABLES_MAX = 1536
"""Tables that are kept ready for use, some 17 kB each; those made longest ago go first."""
METADATA_REDO_BYTES = 16_384
"""Log space reserved before a change of superblock or extent directory."""


class Storage:
    """Opens (or initialises) the volume's pages; call it in a greenlet. ``type_lookup`` gives the PgType of an OID,
    ``clock`` µs since 2000-01-01 UTC, for the log."""

    def __init__(
        self,
        arena: Arena,
        volume: PagedVolume,
        type_lookup: Callable[[int], PgType] | None = None,
        clock: Callable[[], int] = lambda: 0,
    ) -> None:
        self.arena = arena
        self.volume = volume
        self.log = volume.log
        self.clock = clock
        self.mtr: Mtr = mtr_kernel.Mtr(arena, volume.log)
        HUB.mtr = self.mtr
        self.cache = PageCache(arena, volume)
        self.type_lookup = type_lookup or storage_type
        self.type_env = TypeEnv(timezone=UTC)
        """how values are shown in error details"""
        self.compile_row_expression: RowCompiler | None = None
        """for indexes on expressions and partial ones; set by the engine"""
        self.compile_comparison: ComparisonCompiler | None = None
        """for exclusion constraints: the function of an operator on two values of a type; set by the engine"""
        self.superblock = Superblock(self.cache, self.mtr)
        self.is_new = self.superblock.is_new
        self.extents = Extents(self.cache, self.mtr, self.superblock, self.row_horizon, self._removed)
        self.clog_file = self.extents.files.get(CLOG_RELFILE) or self.extents.create(CLOG_RELFILE, 0)
        self.clog_file.end_known = True  # TransactionManager knows it
        self.clog: Clog = clog_kernel.Clog(arena, self.mtr, self.clog_file.map)
        self.counts = Counts()
        self.txns = TransactionManager(self)
        self.locks = self.txns.locks
        self.unsummarized: dict[RelFile, set[tuple[Oid, int]]] = {}
        """by table: (BRIN index, block) whose range the autovacuum daemon is to summarize"""
        self._tables: dict[int, tuple[RelationDesc, Table]] = {}
        self._indexed: dict[int, int] = {}
        """index's relation file → its table's, of the tables in use"""
        volume.flush_soon("opened")

    def _removed(self, below: int) -> None:
        self.txns.removed(below)

    def row_horizon(self) -> int:
        """See ``TransactionManager.row_horizon``."""
        return self.txns.row_horizon()

    # Relations

    def table(self, desc: RelationDesc) -> Table:
        """The ``Table`` of a descriptor; the same object as long as the descriptor is."""
        known = self._tables.get(desc.relfile)
        if known is not None and known[0] is desc:
            return known[1]
        from compute_node.access.table import Table
        from compute_node.access.watched_table import WatchedTable

        table = WatchedTable(self, desc) if desc.is_watched else Table(self, desc)
        self._tables[desc.relfile] = (desc, table)
        for index in table.indexes:
            self._indexed[index.relfile] = desc.relfile
        if len(self._tables) > TABLES_MAX:
            self._forget_table(next(iter(self._tables)))
        return table

    def _forget_table(self, relfile: int) -> None:
        """The next who asks for that table gets a new object. Whoever has the old one may go on with it."""
        known = self._tables.pop(relfile, None)
        for index in () if known is None else known[1].indexes:
            self._indexed.pop(index.relfile, None)

    def open_table(self, relfile: RelFile) -> Table | None:
        """The table of a relation file, if it is in use."""
        known = self._tables.get(relfile)
        return None if known is None else known[1]

    def file(self, relfile: RelFile) -> RelationFile:
        """The relation file of that number; InvariantViolation when there is none."""
        file = self.extents.files.get(relfile)
        if file is None:
            raise InvariantViolation(f"relation file {relfile} does not exist")
        return file

    def exists(self, relfile: RelFile) -> bool:
        """Whether the relation file has storage."""
        return relfile in self.extents.files

    def blocks(self, relfile: RelFile) -> int:
        """Length of a relation in blocks."""
        return int(self.file(relfile).map.blocks)

    def new_relfile(self) -> RelFile:
        """A number for a new relation file."""
        self.volume.reserve(METADATA_REDO_BYTES)
        return self.superblock.take_relfile()

    def next_oid(self) -> Oid:
        """A number for a new catalog object, from 16384."""
        self.volume.reserve(METADATA_REDO_BYTES)
        return self.superblock.take_oid()

    def extend_clog(self, last_block: int) -> None:
        """Make the commit log's pages up to that block; may wait."""
        file = self.clog_file
        if file.map.blocks <= last_block:
            self.extents.reserve_blocks(file, last_block + 1 - file.map.blocks)
        while file.fresh <= last_block:
            block = file.fresh
            try:
                frame = self.cache.get(file.map.page_no(self.extents.new_block(file)))
            except BaseException:
                file.fresh = block  # cancelled: the block is none of the commit log's yet
                raise
            with self.mtr:
                self.mtr.put_u8(frame, OFF_KIND, PageKind.CLOG)

    def create_storage(self, txn: Txn, relfile: RelFile) -> RelationFile:
        """An empty relation file, which goes away again if ``txn`` aborts."""
        self.volume.reserve(METADATA_REDO_BYTES)
        creator = txn.write_xid or self.txns.assign(txn)
        file = self.extents.create(relfile, creator)
        txn.levels[-1].created.append(relfile)
        return file

    def drop_storage(self, txn: Txn, relfile: RelFile) -> None:
        """Give the relation file back when ``txn`` commits."""
        if not txn.write_xid:
            self.txns.assign(txn)
        txn.levels[-1].dropped.append(relfile)

    def release_storage(self, relfile: RelFile, lsn: Lsn) -> None:
        """Part of a commit's or abort's MTR: the relation file is gone as of ``lsn``."""
        self.extents.free(relfile, lsn)
        # A table whose index it was is out of date, too: its transaction has dropped the index, or not made it.
        for each in (relfile, self._indexed.get(relfile)):
            if each is not None:
                self._forget_table(each)

    def vacuum(
        self, table: Table, freeze_all: bool = False, pace: Pace | None = None, progress: Progress | None = None
    ) -> VacuumStats:
        """Vacuum a table; the caller holds SHARE UPDATE EXCLUSIVE on it and no snapshot. ``progress``: who is told how
        far it is."""
        return vacuum(table, freeze_all, pace, progress=progress)

    def give_back(self, nap_s: float = 0.0) -> int:
        """Give the pages of free extents back to storage, as far as the row horizon allows; how many."""
        return give_back(self, nap_s)

    def size(self) -> dict[str, int]:
        """``used_bytes``: superblock, directory, extents in use; ``allocated_bytes``: every page number handed out."""
        return {
            "used_bytes": self.extents.used_pages * PAGE_BYTES,
            "allocated_bytes": int(self.superblock.high_water) * PAGE_BYTES,
        }

    def orphans(self) -> list[RelFile]:
        """Relation files whose creator was cut off by a restart; asked before the first session begins."""
        return self.extents.orphans(self.txns.is_aborted)

    def reclaim(self, orphans: Sequence[RelFile]) -> None:
        """Free their storage."""
        for relfile in orphans:
            self.volume.reserve(METADATA_REDO_BYTES)
            with self.mtr:
                self.release_storage(relfile, self.log.next_lsn)
