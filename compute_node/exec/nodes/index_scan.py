"""B-tree scan: full-key lookups, ranges over a key prefix, and ``= ANY`` element by element."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from compute_node.exec.compile.rows import batch_function
from compute_node.exec.index_keys import IndexKeys
from compute_node.exec.nodes.base import Batch, Node, executes, output_nullable, scan_nullable
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext


@executes(pl.IndexScan)
class IndexScanNode(Node):
    """A scan whose keys are all given is one ``lookup``; others restart by key inside ``Index.scan``."""

    __slots__ = ("_backward", "_columns", "_index", "_keys", "_relation", "_shape", "_want_tid")

    def __init__(self, plan: pl.IndexScan, builder: Builder) -> None:
        self._relation = plan.relation
        self._index = plan.index
        self._columns = plan.columns
        self._want_tid = plan.want_tid
        self._backward = plan.backward
        self._keys = IndexKeys(plan, builder)
        source = scan_nullable(plan.relation, plan.columns, plan.want_tid)
        self.nullable = output_nullable(plan.output, source)
        self._shape = batch_function(builder, plan.output, plan.filter, len(source), source)

    def _raw(self, ctx: ExecContext) -> Iterator[Batch]:
        """Batches of unfiltered scan rows."""
        index = ctx.storage.table(self._relation).index(self._index)
        for probe in self._keys.probes(ctx, self._backward):
            if probe.full:
                yield index.lookup(ctx.snapshot, probe.equal, self._columns, self._want_tid)
            else:
                yield from index.scan(
                    ctx.snapshot, probe.equal, probe.lower, probe.upper, self._backward, self._columns, self._want_tid
                )

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """In the index's order (reversed when backward)."""
        shape = self._shape
        for batch in self._raw(ctx):
            ctx.check()
            rows = batch if shape is None else shape(ctx, batch)
            if rows:
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
        return rows if shape is None or not rows else shape(ctx, rows)
