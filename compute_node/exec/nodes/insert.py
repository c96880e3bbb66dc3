"""INSERT: checks the child's rows, stores them, and gives RETURNING's rows; ON CONFLICT."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from compute_node.exec.modify_source import SCANS
from compute_node.exec.nodes.base import Batch, Node, executes
from compute_node.exec.placing import PartitionTest
from compute_node.exec.plan_walk import plan_nodes
from compute_node.exec.routing import Router
from compute_node.exec.row_store import RowStore, copied_columns
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext


@executes(pl.Insert)
class InsertNode(Node):
    """``run`` gives the number of rows, ``batches`` those of RETURNING. ``route``: of a partitioned table, whose rows
    go to its partitions."""

    __slots__ = ("_child", "_reads_itself", "_returns", "_router", "_store")

    def __init__(self, plan: pl.Insert, builder: Builder) -> None:
        self._child = builder.node(plan.child)
        self._returns = bool(plan.returning)
        targets = {plan.relation.oid}
        if plan.route is not None:
            targets |= {leaf.relation.oid for leaf in plan.route.leaves()}
        self._reads_itself = any(
            node.relation.oid in targets for node in plan_nodes(plan.child) if isinstance(node, SCANS)
        )
        stored = tuple(sorted(self._child.keep_stored(copied_columns(plan))))
        self._router = None if plan.route is None else Router(plan, plan.route, builder)
        test = PartitionTest(builder, plan.relation) if plan.relation.is_partition and plan.route is None else None
        self._store = RowStore(plan, builder, stored, test) if plan.route is None else None
        self.nullable = None

    def _source(self, ctx: ExecContext) -> Iterable[Batch]:
        """The child's rows. A table that is read while it grows is read to its end first."""
        source: Iterable[Batch] = self._child.batches(ctx)
        return list(source) if self._reads_itself else source

    def _checked(self, ctx: ExecContext, store: RowStore) -> Iterator[Batch]:
        for batch in self._source(ctx):
            yield from store.in_order(ctx, batch)

    def run(self, ctx: ExecContext) -> int:
        """Inserts everything; the number of rows inserted (or updated by ON CONFLICT)."""
        if self._store is not None:
            return self._store.run(ctx, self._checked(ctx, self._store), set())
        return 0 if self._router is None else self._router.run(ctx, self._source(ctx))

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """RETURNING's rows; each batch is stored before it is given."""
        if not self._returns:
            self.run(ctx)
            return
        found: Iterable[Batch] = ()
        if self._store is not None:
            found = self._store.returned(ctx, self._checked(ctx, self._store), set())
        elif self._router is not None:
            found = self._router.returned(ctx, self._source(ctx))
        for rows in found:
            if rows:
                yield rows
