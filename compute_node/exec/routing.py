"""New rows of a partitioned table → the partitions that take them, each stored by its own ``RowStore``.

```
batch ─ Placer of the root ─┬─ leaf: rows as it lays them out ─► RowStore
                            └─ partitioned again ─ Placer ─ …
```

A batch is divided once and each leaf gets its rows together, so that the bulk code of tables and indexes stays in use.
A row without a partition raises its error when the rows before it have been stored, as if they had come one by one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from aurora.datum import Row
from aurora.errors import InvariantViolation, SqlError
from compute_node.exec.nodes.base import Batch
from compute_node.exec.placing import PartitionTest, Placer, layout, no_partition
from compute_node.exec.row_store import RowStore
from compute_node.relations.foreign import refuse_changes
from compute_node.relations.partitions import NONE
from compute_node.sql import expressions as ex
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.access.table import Table
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext


def over_layout(node: ex.Expr, target_of: Sequence[int]) -> ex.Expr:
    """An expression over rows of one table over those of another: ``target_of`` has the new place of each old one. Of
    sides 0 and 1; system columns (side 2) stay."""
    if isinstance(node, ex.Column) and node.side < 2 and node.index < len(target_of):
        return dataclasses.replace(node, index=target_of[node.index])
    return ex.map_children(node, lambda child: over_layout(child, target_of))


def plan_of_leaf(plan: pl.Insert, leaf: pl.Route) -> pl.Insert:
    """The insertion into one partition, over its own layout."""
    target_of = leaf.target_of
    moved = leaf.places is not None

    def of(node: ex.Expr) -> ex.Expr:
        return over_layout(node, target_of) if moved else node

    return dataclasses.replace(
        plan,
        relation=leaf.relation,
        checks=leaf.checks,
        generated=leaf.generated,
        returning=tuple([of(item) for item in plan.returning]),
        row_checks=tuple([check._replace(condition=of(check.condition)) for check in plan.row_checks]),
        arbiters=leaf.arbiters,
        conflict_assignments=tuple([(target_of[attno - 1] + 1, of(item)) for attno, item in plan.conflict_assignments]),
        conflict_where=None if plan.conflict_where is None else of(plan.conflict_where),
        route=None,
    )


def router_of(moves: pl.Moves | None, builder: Builder) -> Router | None:
    """What stores moved rows, and asks of them what is asked of changed ones; None when they may not move."""
    if moves is None or moves.route is None:
        return None
    asked = [check._replace(kind="insert") if check.kind == "update" else check for check in moves.row_checks]
    plan = pl.Insert(relation=moves.root, child=pl.Result(), route=moves.route, row_checks=tuple(asked))
    return Router(plan, moves.route, builder)


class _Step:
    """A partitioned table on the way: how its rows are laid out, and what places them."""

    __slots__ = ("lay", "placer")

    def __init__(self, route: pl.Route, builder: Builder) -> None:
        self.lay = layout(route.places)
        self.placer = Placer(builder, route.relation)


class _Leaf:
    """A partition with rows."""

    __slots__ = ("lay", "store")

    def __init__(self, plan: pl.Insert, route: pl.Route, builder: Builder) -> None:
        self.lay = layout(route.places)
        attnos = tuple([place + 1 for place in route.target_of])
        self.store = RowStore(plan_of_leaf(plan, route), builder, shown=(plan.relation, attnos))


Part = tuple[pl.Route, list[Row], list[int] | None]
"""a leaf, its rows as the root has them, and their places in the batch (None: it is the whole batch)"""


class Router:
    """Of one INSERT (or COPY) into a partitioned table. Code for a partition is made when its first row comes."""

    __slots__ = ("_builder", "_leaves", "_plan", "_route", "_steps", "_test")

    def __init__(self, plan: pl.Insert, route: pl.Route, builder: Builder) -> None:
        self._plan = plan
        self._route = route
        self._builder = builder
        self._steps: dict[int, _Step] = {}
        self._leaves: dict[int, _Leaf] = {}
        self._test = PartitionTest(builder, route.relation) if route.relation.is_partition else None
        self._step(route)

    def _step(self, route: pl.Route) -> _Step:
        found = self._steps.get(route.relation.oid)
        if found is None:
            found = self._steps[route.relation.oid] = _Step(route, self._builder)
        return found

    def _leaf(self, route: pl.Route) -> _Leaf:
        found = self._leaves.get(route.relation.oid)
        if found is None:
            refuse_changes(route.relation, "insert into")
            found = self._leaves[route.relation.oid] = _Leaf(self._plan, route, self._builder)
        return found

    def parts(self, ctx: ExecContext, rows: list[Row]) -> Iterator[Part]:
        """A batch divided. 23514 for the first row without a partition, after the parts of the rows before it."""
        if self._test is not None:
            self._test.check(ctx, rows)
        yield from self._parts(ctx, self._route, rows, None)

    def _parts(self, ctx: ExecContext, route: pl.Route, rows: list[Row], places: list[int] | None) -> Iterator[Part]:
        step = self._step(route)
        own = rows if step.lay is None else step.lay(rows)
        numbers = step.placer.numbers(ctx, own)
        first = numbers[0]
        if numbers.count(first) == len(numbers) and first != NONE:
            yield from self._part(ctx, route.partitions[first], rows, places)
            return
        missing = numbers.index(NONE) if NONE in numbers else len(numbers)
        groups: dict[int, tuple[list[Row], list[int]]] = {}
        for at in range(missing):
            number = numbers[at]
            group = groups.get(number)
            if group is None:
                group = groups[number] = [], []
            group[0].append(rows[at])
            group[1].append(at if places is None else places[at])
        for number, (mine, where) in groups.items():
            yield from self._part(ctx, route.partitions[number], mine, where)
        if missing < len(numbers):
            error = no_partition(ctx, self._builder, route.relation, own[missing])
            error.row = missing if places is None else places[missing]
            raise error

    def _part(self, ctx: ExecContext, route: pl.Route, rows: list[Row], places: list[int] | None) -> Iterator[Part]:
        if route.relation.is_partitioned:
            yield from self._parts(ctx, route, rows, places)
        else:
            yield route, rows, places

    def run(self, ctx: ExecContext, batches: Iterable[Batch]) -> int:
        """Store the rows; how many were inserted, or updated by ON CONFLICT."""
        touched: dict[int, set[int]] = {}
        count = 0
        for batch in batches:
            ctx.check()
            count += self.store(ctx, batch, touched)
        return count

    def store(self, ctx: ExecContext, batch: Batch, touched: dict[int, set[int]]) -> int:
        """The same for one batch; ``touched``: by partition, the rows that the statement has written. An error says
        by its index in the batch which ``row`` it was, where that is known."""
        count = 0
        for route, rows, places in self.parts(ctx, batch):
            try:
                leaf = self._leaf(route)
            except SqlError as error:
                error.row = 0 if places is None else places[0]
                raise
            mine = rows if leaf.lay is None else leaf.lay(rows)
            written = touched.setdefault(route.relation.oid, set())
            try:
                count += leaf.store.run(ctx, leaf.store.checked(ctx, mine), written)
            except SqlError as error:
                if error.row is None:
                    error.row = leaf.store.first_wrong(ctx, mine)
                if error.row is not None and places is not None:
                    error.row = places[error.row]
                raise
        return count

    def store_one(self, ctx: ExecContext, row: Row) -> tuple[Table, int]:
        """Store one row, without the detours that pay for many: the table that has it, and its tid there."""
        if self._test is not None:
            self._test.check(ctx, [row])
        route = self._route
        while route.relation.is_partitioned:
            step = self._step(route)
            own = [row] if step.lay is None else step.lay([row])
            number = step.placer.numbers(ctx, own)[0]
            if number == NONE:
                raise no_partition(ctx, self._builder, route.relation, own[0])
            route = route.partitions[number]
        leaf = self._leaf(route)
        for batch in leaf.store.checked(ctx, [row] if leaf.lay is None else leaf.lay([row])):
            return leaf.store.insert_one(ctx, batch[0])
        raise InvariantViolation("a row went nowhere")

    def returned(self, ctx: ExecContext, batches: Iterable[Batch]) -> Iterator[Batch]:
        """RETURNING's rows, in the order of the rows that came."""
        touched: dict[int, set[int]] = {}
        single = bool(self._plan.conflict)
        for batch in batches:
            ctx.check()
            if single:
                # Some rows return nothing.
                out: Batch = []
                for row in batch:
                    for route, rows, _ in self.parts(ctx, [row]):
                        out += self._returned(ctx, route, rows, touched)
                yield out
                continue
            found: list[Row] = [()] * len(batch)
            for route, rows, places in self.parts(ctx, batch):
                made = self._returned(ctx, route, rows, touched)
                if places is None:
                    found = made
                    continue
                for place, row in zip(places, made, strict=True):
                    found[place] = row
            yield found

    def _returned(self, ctx: ExecContext, route: pl.Route, rows: list[Row], touched: dict[int, set[int]]) -> Batch:
        leaf = self._leaf(route)
        mine = rows if leaf.lay is None else leaf.lay(rows)
        written = touched.setdefault(route.relation.oid, set())
        found: Batch = []
        for batch in leaf.store.returned(ctx, leaf.store.checked(ctx, mine), written):
            found += batch
        return found
