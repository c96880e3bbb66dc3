"""Index scan: full-key lookups, scans by keys, and ``= ANY`` element by element."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from compute_node.exec.compile.runtime import concatenate
from compute_node.exec.index_keys import IndexKeys, IndexOrders, scan_condition
from compute_node.exec.nodes.base import Batch, executes
from compute_node.exec.nodes.table_scan import TableScanNode
from compute_node.exec.vectors.scan import ROWS_MIN
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.access.table_reader import ColumnRows
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext


@executes(pl.IndexScan)
class IndexScanNode(TableScanNode):
    """A scan whose keys are all given is one ``lookup``; others are ``IndexAccess.scan``. What the index does not
    promise (``recheck``) is tested with the filter."""

    __slots__ = ("_backward", "_index", "_keys", "_orders")

    def __init__(self, plan: pl.IndexScan, builder: Builder) -> None:
        many = plan.rows >= ROWS_MIN and not plan.point and not plan.orders
        super().__init__(plan, builder, scan_condition(plan), many)
        self._index = plan.index
        self._backward = plan.backward
        self._keys = IndexKeys(plan.relation, plan.index, plan.keys, plan.point, builder)
        self._orders = IndexOrders(plan.orders, builder) if plan.orders else None

    def _source(self, ctx: ExecContext) -> Iterator[Batch]:
        """In the index's order (reversed when backward)."""
        index = ctx.storage.table(self._relation).index(self._index)
        is_point = self._keys.is_point
        for keys in self._keys.probes(ctx, self._backward):
            if self._orders is not None:
                orders = self._orders.keys(ctx)
                yield from index.scan_nearest(ctx.snapshot, keys, orders, self._columns, self._want_tid, ctx.area())
            elif is_point:
                values = tuple([key.value for key in keys])
                yield index.lookup(ctx.snapshot, values, self._columns, self._want_tid)
            else:
                yield from index.scan(ctx.snapshot, keys, self._backward, self._columns, self._want_tid)

    def _column_source(self, ctx: ExecContext, attnos: tuple[int, ...], kinds: str) -> Iterator[ColumnRows]:
        index = ctx.storage.table(self._relation).index(self._index)
        for keys in self._keys.probes(ctx, self._backward):
            yield from index.scan_columns(ctx.snapshot, keys, self._backward, attnos, kinds)

    @property
    def is_lookup(self) -> bool:
        """By a whole key."""
        return self._keys.is_lookup

    def fetch(self, ctx: ExecContext) -> Batch:
        """All rows; the inner side of a parameterised join spends most of its time here."""
        shape = self._shape
        keys = self._keys
        if not keys.is_lookup:
            return [row for batch in self.batches(ctx) for row in batch]
        key = keys.lookup_key(ctx)
        if key is None:
            return []
        index = ctx.storage.table(self._relation).index(self._index)
        rows: Batch = index.lookup(ctx.snapshot, key, self._columns, self._want_tid)
        if rows and shape is not None:
            rows = shape(ctx, rows)
        if rows and self._stored:
            return concatenate(self._stored.resolved(rows))
        return rows
