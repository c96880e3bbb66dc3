"""ANALYZE of one table: a sample of its rows → what is known of its columns, and its size (manual, ANALYZE)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aurora.errors import InvariantViolation
from compute_node.access.stored import LAZY
from compute_node.catalog.column_statistics import store
from compute_node.catalog.column_statistics.collect import analyze_column
from compute_node.catalog.column_statistics.extended import analyze_extended
from compute_node.catalog.column_statistics.sample import ROWS_A_TARGET, Sample, take
from compute_node.relations.descriptors import RelationDesc
from compute_node.work.account import Account, Area

if TYPE_CHECKING:
    from compute_node.access.storage import Storage
    from compute_node.catalog.cache import TxnCatalog
    from compute_node.catalog.view import CatalogView


@dataclass(slots=True)
class Gathering:
    """Who gathers, in whose transaction. ``default_target``: of columns that say none; ``say``: hears what was seen,
    ``warn``: what could not be found."""

    storage: Storage
    changes: TxnCatalog
    view: CatalogView
    default_target: int
    now_us: int
    automatic: bool = False
    say: Callable[[str], None] | None = None
    warn: Callable[[str], None] | None = None


def gather(by: Gathering, desc: RelationDesc, named: Sequence[int] = ()) -> None:
    """Gather what the planner knows of a table: of its columns (the ``named`` alone, if any), its size and its
    indexes'. The caller holds SHARE UPDATE EXCLUSIVE on it. May wait, and lets others run."""
    rows, lookup = by.changes.rows, by.view.type
    targets = {
        record.attnum: by.default_target if record.attstattarget < 0 else int(record.attstattarget)
        for record in rows.find("pg_attribute", attrelid=desc.oid)
        if record.attnum > 0 and not record.attisdropped and record.attstattarget
    }
    columns = [desc.columns[attno - 1] for attno in sorted(targets) if not named or attno in named]
    size = ROWS_A_TARGET * max((targets[column.attno] for column in columns), default=1)
    sample = Sample([])
    account = Account()
    try:
        if by.storage.exists(desc.relfile):
            table = by.storage.table(desc)
            attnos = tuple(column.attno + (LAZY if lookup(column.type).length < 0 else 0) for column in columns)
            sample = take(table, rows.snapshot(), attnos, size, Area(account, 0))
        if by.say is not None:
            seen = f'"{desc.name}": scanned {sample.scanned} of {sample.pages} pages'
            found = f"containing {sample.seen} live rows and 0 dead rows"
            by.say(f"{seen}, {found}; {len(sample.rows)} rows in sample, {sample.total:.0f} estimated total rows")
        if sample.rows:
            for position, column in enumerate(columns):
                facts = analyze_column(by.view, column, sample, position, targets[column.attno])
                store.write(rows, lookup, desc.oid, column.attno, facts)
            analyze_extended(by.view, rows, by.storage, desc, columns, sample, by.default_target, by.warn)
    finally:
        account.close()
    _note_size(by, desc, sample)
    by.changes.touch(desc.oid)
    if by.storage.exists(desc.relfile):
        by.storage.table(desc).counts.was_analyzed(int(sample.total), by.automatic, by.now_us)


def _note_size(by: Gathering, desc: RelationDesc, sample: Sample) -> None:
    wanted = [(desc.oid, sample.pages)]
    wanted += [(index.oid, int(by.storage.blocks(index.relfile))) for index in desc.indexes]
    for oid, count in wanted:
        record = by.changes.rows.one("pg_class", oid=oid)
        if record is None:
            raise InvariantViolation(f"pg_class has no row {oid}")
        if record.relpages != count or record.reltuples != sample.total:
            by.changes.rows.update("pg_class", record, relpages=count, reltuples=sample.total)
