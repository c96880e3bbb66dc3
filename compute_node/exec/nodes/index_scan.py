"""Index scan: full-key lookups, scans by keys, and ``= ANY`` element by element."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from compute_node.exec.compile.rows import batch_function
from compute_node.exec.compile.runtime import concatenate
from compute_node.exec.index_keys import IndexKeys
from compute_node.exec.nodes.base import Batch, Node, executes, output_nullable, scan_nullable
from compute_node.exec.stored_values import scan_columns
from compute_node.sql import expressions as ex
from compute_node.sql import plan as pl
from compute_node.types.oids import BOOL

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext


def scan_condition(plan: pl.IndexScan | pl.BitmapHeapScan) -> ex.Expr | None:
    """What each row found must meet."""
    if plan.recheck is None or plan.filter is None:
        return plan.filter if plan.recheck is None else plan.recheck
    return ex.And(type=BOOL, arguments=(plan.recheck, plan.filter))


@executes(pl.IndexScan)
class IndexScanNode(Node):
    """A scan whose keys are all given is one ``lookup``; others are ``IndexAccess.scan``. What the index does not
    promise (``recheck``) is tested with the filter."""

    __slots__ = ("_backward", "_columns", "_index", "_keys", "_relation", "_shape", "_stored", "_want_tid")

    def __init__(self, plan: pl.IndexScan, builder: Builder) -> None:
        self._relation = plan.relation
        self._index = plan.index
        read = scan_columns(builder, plan.relation, plan.columns, plan.output, scan_condition(plan))
        self._columns, self._stored = read.columns, read.output
        self._want_tid = plan.want_tid
        self._backward = plan.backward
        self._keys = IndexKeys(plan.relation, plan.index, plan.keys, plan.point, builder)
        source = scan_nullable(plan.relation, plan.columns, plan.want_tid)
        self.nullable = output_nullable(plan.output, source)
        self._shape = batch_function(builder, plan.output, scan_condition(plan), len(source), source, read.stored)

    def _raw(self, ctx: ExecContext) -> Iterator[Batch]:
        """Batches of unfiltered scan rows."""
        index = ctx.storage.table(self._relation).index(self._index)
        is_point = self._keys.is_point
        for keys in self._keys.probes(ctx, self._backward):
            if is_point:
                values = tuple([key.value for key in keys])
                yield index.lookup(ctx.snapshot, values, self._columns, self._want_tid)
            else:
                yield from index.scan(ctx.snapshot, keys, self._backward, self._columns, self._want_tid)

    def keep_stored(self, positions: frozenset[int]) -> frozenset[int]:
        """See ``Node``."""
        return self._stored.keep(positions)

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """In the index's order (reversed when backward)."""
        shape = self._shape
        stored = self._stored
        for batch in self._raw(ctx):
            ctx.check()
            rows = batch if shape is None else shape(ctx, batch)
            if stored:
                yield from stored.resolved(rows)
            elif rows:
                yield rows

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
