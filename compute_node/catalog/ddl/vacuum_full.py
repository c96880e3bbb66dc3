"""VACUUM FULL: a table is written anew without its dead versions, and its indexes and its TOAST table with it.

rows of the old storage, in their order ─► new storage ─► indexes built ─► the commit exchanges them

The old storage goes with the commit, the new one if there is none: a crash leaves one of them. Source: PostgreSQL
manual, VACUUM.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from aurora.datum import Row
from compute_node.access.table import Table
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.ddl.rewrite import write_anew
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.plan import SYSTEM_COLUMNS
from compute_node.work.progress import Cluster, reporting

_XMIN = next(attno for attno, name in SYSTEM_COLUMNS.items() if name == "xmin")


class Rewriting:
    """What VERBOSE tells of a table that is written anew; made before it begins."""

    def __init__(self, ctx: DdlContext, desc: RelationDesc) -> None:
        file = ctx.storage.table(desc).file
        self._ctx = ctx
        self._shown = f'"{desc.schema}.{desc.name}"'
        self._pages, self._dead = int(file.map.blocks), int(file.dead_rows)
        self._began = os.times()

    def done(self, rows: int) -> None:
        """It has so many rows now."""
        began, now = self._began, os.times()
        user, system, elapsed = now.user - began.user, now.system - began.system, now.elapsed - began.elapsed
        self._ctx.notice(
            f"{self._shown}: found {self._dead} removable, {rows} nonremovable row versions in {self._pages} pages",
            severity="INFO",
            detail="0 dead row versions cannot be removed yet.\n"
            f"CPU: user: {user:.2f} s, system: {system:.2f} s, elapsed: {elapsed:.2f} s.",
        )


def rewrite_table(ctx: DdlContext, desc: RelationDesc, verbose: bool) -> None:
    """Write a table, a materialized view, or a TOAST table alone anew; the caller holds ACCESS EXCLUSIVE on it, and on
    the table of a TOAST table. 55006."""
    ctx.check_unused(desc, "VACUUM")
    if verbose:
        ctx.notice(f'vacuuming "{desc.schema}.{desc.name}"', severity="INFO")
    told = Rewriting(ctx, desc)
    with reporting(ctx.session, "CLUSTER", desc.oid) as progress:
        progress.put(Cluster.COMMAND, Cluster.VACUUM_FULL)
        progress.put(Cluster.PHASE, Cluster.SCANNING)
        count = write_anew(ctx, desc, _as_stored(ctx, desc), progress)
    if desc.kind == "t":
        ctx.changes.touch(int(desc.name.removeprefix("pg_toast_")))
    if verbose:
        told.done(count)


def _as_stored(ctx: DdlContext, desc: RelationDesc) -> Iterator[list[Row]]:
    """The rows in the order in which they lie, NULL for dropped columns, long values as they are stored; last who
    inserted each."""
    table: Table = ctx.storage.table(desc)
    every = tuple(range(1, len(desc.columns) + 1)) if table.toast is None else table.toast.lazy_columns
    dropped = [column.attno - 1 for column in desc.columns if column.dropped]
    scan = table.scan_blocks(ctx.rows.snapshot(), (*every, _XMIN), False, 0, None, counted=False)
    return _without(scan, dropped) if dropped else scan


def _without(batches: Iterator[list[Row]], dropped: list[int]) -> Iterator[list[Row]]:
    for batch in batches:
        yield [tuple(None if at in dropped else value for at, value in enumerate(row)) for row in batch]
