"""HeldRow: in the place of a scan, the one row that the execution holds while it finds a row again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aurora.datum import Row
from compute_node.exec.compile.rows import batch_function
from compute_node.exec.nodes.base import Batch, Node, executes, output_nullable
from compute_node.exec.recheck import HELD, Held
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext

CTID, TABLE_OID = -1, -6


@executes(pl.HeldRow)
class HeldRowNode(Node):
    """One row or none."""

    __slots__ = ("_columns", "_relation", "_shape", "_source")

    def __init__(self, plan: pl.HeldRow, builder: Builder) -> None:
        self._source = plan.source
        self._relation = plan.relation
        self._columns = plan.columns
        self.nullable = output_nullable(plan.output, None)
        self._shape = batch_function(builder, plan.output, plan.filter, len(plan.columns))

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """The held row, filtered and projected."""
        held: Held | None = ctx.scratch[HELD].get(self._source)
        if held is None:
            return
        row = self._from_table(ctx, held, self._relation) if self._relation is not None else self._from_values(held)
        if row is None:
            return
        rows = [row] if self._shape is None else self._shape(ctx, [row])
        if rows:
            yield rows

    def _from_values(self, held: Held) -> Row:
        values = held.columns or {}
        return tuple(values.get(attno) for attno in self._columns)

    def _from_table(self, ctx: ExecContext, held: Held, relation: RelationDesc) -> Row | None:
        columns, values = self._columns, held.values
        if values is not None and all(attno > 0 or attno in (CTID, TABLE_OID) for attno in columns):
            system = {CTID: held.tid, TABLE_OID: relation.oid}
            return tuple(values[attno - 1] if attno > 0 else system[attno] for attno in columns)
        snapshot = ctx.snapshot if values is None else ctx.storage.txns.latest_snapshot(ctx.txn)
        row: Row | None = ctx.storage.table(relation).fetch(snapshot, held.tid, columns)
        return row
