"""ANALYZE of one table: a sample of its rows → what is known of its columns, and its size (manual, ANALYZE)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aurora.datum import Row
from aurora.errors import InvariantViolation
from compute_node.access.stored import LAZY
from compute_node.catalog.column_statistics import store
from compute_node.catalog.column_statistics.collect import analyze_column
from compute_node.catalog.column_statistics.extended import analyze_extended, target_of
from compute_node.catalog.column_statistics.sample import ROWS_A_TARGET, Sample, choose, take, together
from compute_node.catalog.reloptions import option_number
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.sql.family_tables import matching_attnos, tables_of
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
    foreign: Callable[[RelationDesc, Sequence[ColumnDesc]], tuple[int, Iterator[list[Row]]]] | None = None
    """of a foreign table: its pages, and these columns of its rows"""


def gather(by: Gathering, desc: RelationDesc, named: Sequence[int] = ()) -> None:
    """Gather what the planner knows of a table: of its columns (the ``named`` alone, if any), its size and its
    indexes'; of one with descendants also what is known of the rows of all of them. The caller holds SHARE UPDATE
    EXCLUSIVE on it. May wait, and lets others run."""
    if not desc.is_partitioned:
        _gather(by, desc, [desc], named, tree=False)
    if desc.children:
        tables = tables_of(by.view, desc)
        if by.say is not None:
            by.say(f'analyzing "{desc.schema}.{desc.name}" inheritance tree')
        _gather(by, desc, tables, named, tree=True)


def _gather(
    by: Gathering, desc: RelationDesc, tables: Sequence[RelationDesc], named: Sequence[int], tree: bool
) -> None:
    """From a sample of the tables' rows, which each gives as much of as it has pages."""
    rows, lookup = by.changes.rows, by.view.type
    records = {
        record.attnum: record
        for record in rows.find("pg_attribute", attrelid=desc.oid)
        if record.attnum > 0 and not record.attisdropped and record.attstattarget
    }
    targets = {
        attno: by.default_target if record.attstattarget < 0 else int(record.attstattarget)
        for attno, record in records.items()
    }
    options = {attno: record.attoptions or () for attno, record in records.items()}
    columns = [desc.columns[attno - 1] for attno in sorted(targets) if not named or attno in named]
    wanted = [targets[column.attno] for column in columns]
    wanted += [
        target_of(record, targets, by.default_target) for record in rows.find("pg_statistic_ext", stxrelid=desc.oid)
    ]
    size = ROWS_A_TARGET * max(wanted, default=1)
    account = Account()
    try:
        sample = _sample(by, desc, tables, columns, size, Area(account, 0))
        if sample.rows:
            for position, column in enumerate(columns):
                facts = analyze_column(by.view, column, sample, position, targets[column.attno])
                if distinct := option_number(
                    options[column.attno], "n_distinct_inherited" if tree else "n_distinct", 0
                ):
                    facts = replace(facts, distinct=distinct)
                store.write(rows, lookup, desc.oid, column.attno, facts, tree)
            analyze_extended(
                by.view,
                rows,
                by.storage,
                desc,
                columns,
                sample,
                targets,
                by.default_target,
                tree,
                by.warn,
                by.automatic,
            )
    finally:
        account.close()
    if not tree:
        _note_size(by, desc, sample)
    by.changes.touch(desc.oid)
    if not tree and by.storage.exists(desc.relfile):
        by.storage.table(desc).counts.was_analyzed(int(sample.total), by.automatic, by.now_us)


def _sample(
    by: Gathering,
    desc: RelationDesc,
    tables: Sequence[RelationDesc],
    columns: Sequence[ColumnDesc],
    size: int,
    area: Area,
) -> Sample:
    blocks = {table.oid: _blocks(by, table) for table in tables}
    whole = sum(blocks.values())
    parts: list[Sample] = []
    for table in tables:
        share = size if len(tables) == 1 else round(size * blocks[table.oid] / max(whole, 1))
        part = Sample([])
        if desc.kind == "f" and by.foreign is not None:
            pages, batches = by.foreign(desc, columns)
            part = choose(batches, pages, desc.oid, size, area)
            if by.say is not None:
                by.say(f'"{desc.name}": file contains {part.seen} rows; {len(part.rows)} rows in sample')
            return part
        if by.storage.exists(table.relfile) and (share or len(tables) == 1):
            mine = matching_attnos(desc, table)
            lookup = by.view.type
            attnos = tuple(mine[each.attno - 1] + (LAZY if lookup(each.type).length < 0 else 0) for each in columns)
            part = take(by.storage.table(table), by.changes.rows.snapshot(), attnos, share, area)
        parts.append(part)
        if by.say is not None:
            seen = f'"{table.name}": scanned {part.scanned} of {part.pages} pages'
            found = f"containing {part.seen} live rows and 0 dead rows"
            by.say(f"{seen}, {found}; {len(part.rows)} rows in sample, {part.total:.0f} estimated total rows")
    return parts[0] if len(parts) == 1 else together(parts)


def _blocks(by: Gathering, desc: RelationDesc) -> int:
    return int(by.storage.blocks(desc.relfile)) if by.storage.exists(desc.relfile) else 0


def _note_size(by: Gathering, desc: RelationDesc, sample: Sample) -> None:
    wanted = [(desc.oid, sample.pages)]
    wanted += [(index.oid, int(by.storage.blocks(index.relfile))) for index in desc.indexes]
    for oid, count in wanted:
        record = by.changes.rows.one("pg_class", oid=oid)
        if record is None:
            raise InvariantViolation(f"pg_class has no row {oid}")
        if record.relpages != count or record.reltuples != sample.total:
            by.changes.rows.update("pg_class", record, relpages=count, reltuples=sample.total)
