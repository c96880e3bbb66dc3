"""Where UPDATE and DELETE get their rows from: the tids of a scan, or a join's rows that carry the tid."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aurora.datum import Row
from compute_node.exec.assignments import columns_used
from compute_node.exec.plan_walk import plan_expressions, plan_nodes
from compute_node.sql import expressions as ex
from compute_node.sql import plan as pl
from compute_node.types.oids import TID

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext

Scan = pl.SeqScan | pl.IndexScan | pl.BitmapHeapScan | pl.TidScan
SCANS = (pl.SeqScan, pl.IndexScan, pl.BitmapHeapScan, pl.TidScan)


def tid_scan(scan: Scan) -> Scan:
    """The scan, reading only what its conditions need and giving rows ``(tid,)``."""
    recheck = scan.recheck if isinstance(scan, (pl.IndexScan, pl.BitmapHeapScan)) else None
    used = sorted(columns_used([scan.filter, recheck]))
    columns = tuple(scan.columns[index] for index in used)
    moved = {old: new for new, old in enumerate(used)}

    def renumber(node: ex.Expr) -> ex.Expr:
        if isinstance(node, ex.Column) and node.side == 0:
            return dataclasses.replace(node, index=moved[node.index])
        return ex.map_children(node, renumber)

    if isinstance(scan, (pl.IndexScan, pl.BitmapHeapScan)) and recheck is not None:
        scan = dataclasses.replace(scan, recheck=renumber(recheck))
    return dataclasses.replace(
        scan,
        columns=columns,
        filter=None if scan.filter is None else renumber(scan.filter),
        output=(ex.Column(type=TID, index=len(columns)),),
        want_tid=True,
    )


def looks_around(plan: pl.Update | pl.Delete, builder: Builder) -> bool:
    """Whether a function that the statement calls, or a sub-select may call, can see what it has changed so far."""
    return any(
        isinstance(item, ex.SubPlan)
        or (isinstance(item, ex.Call) and builder.function(item.function).volatility == "v")
        for node in plan_nodes(plan)
        for expr in plan_expressions(node)
        for item in ex.walk(expr)
    )


class ModifySource:
    """``rows(ctx)`` gives (tid, the child's row or None) pairs; ``scanned``: there is no row beside the tid."""

    __slots__ = ("_node", "_tid", "scanned")

    def __init__(self, child: pl.Plan, tid_column: int, builder: Builder, uses_joined: bool) -> None:
        self.scanned = isinstance(child, SCANS) and not uses_joined
        self._tid = tid_column
        original = child
        if self.scanned and isinstance(child, SCANS):
            child = tid_scan(child)
        elif isinstance(child, SCANS) and tid_column < 0:
            tid = ex.Column(type=TID, index=len(child.columns))
            child = dataclasses.replace(child, output=(*child.output, tid), want_tid=True)
        self._node = builder.node(child, original)

    def tids(self, ctx: ExecContext) -> Iterator[list[int]]:
        """The tids of a scan's rows (``scanned``), a batch at a time."""
        for batch in self._node.batches(ctx):
            yield [row[0] for row in batch]

    def rows(self, ctx: ExecContext, changed: set[int]) -> Iterator[tuple[int, Row | None]]:
        """A joined row may name the same target several times: once it is in ``changed``, the others are left out."""
        if self.scanned:
            for batch in self._node.batches(ctx):
                for row in batch:
                    yield row[0], None
            return
        position = self._tid
        for batch in self._node.batches(ctx):
            for row in batch:
                tid = row[position]
                if tid is not None and tid not in changed:
                    yield tid, row
