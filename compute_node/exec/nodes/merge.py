"""MERGE: for each row of source and target joined, the first action whose condition holds.

A target row that somebody else changes is waited for. Its newest version is joined again with the same source row: when
they still match, the actions for matched rows are tried anew; when not, or when the row is gone, those for rows that do
not match (PostgreSQL's EvalPlanQual).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from aurora.datum import Datum, Row
from aurora.errors import CardinalityViolation
from compute_node.exec.assignments import RowChange, generator
from compute_node.exec.compile.rows import row_function, truth_function
from compute_node.exec.compile.unit import row_scope
from compute_node.exec.constraints import refuse_row, row_verifier
from compute_node.exec.nodes.base import Batch, Node, executes
from compute_node.exec.placing import Mover, PartitionTest
from compute_node.exec.recheck import Held, Rechecker
from compute_node.exec.routing import Router, router_of
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.access.table import Table
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext
    from compute_node.relations.descriptors import RelationDesc


class _Action:
    """One WHEN clause, compiled."""

    __slots__ = ("allowed", "applies", "before", "change", "command", "strength", "values")

    def __init__(
        self,
        plan: pl.Merge | pl.ChangedTable,
        action: pl.MergeStep,
        builder: Builder,
        named: RelationDesc | None = None,
        found: Sequence[pl.PlannedCheck] = (),
        mover: Mover | None = None,
    ) -> None:
        shown = (named, plan.attnos) if named is not None and isinstance(plan, pl.ChangedTable) else None
        self.command = action.command
        self.applies: Callable[..., Datum] | None = None
        if action.condition is not None:
            self.applies = truth_function(builder, action.condition)
        self.allowed: list[tuple[pl.PlannedCheck, Callable[..., Datum]]] = []
        """what the row that is deleted must meet"""
        self.change: RowChange | None = None
        self.values: Callable[..., Row] | None = None
        self.strength = "update"
        self.before: Row = (None,) * len(plan.relation.columns) if isinstance(plan, pl.ChangedTable) else ()
        """what stands for a table's own columns, in front of the row"""
        if action.command == "update":
            self.change = RowChange(
                builder,
                plan.relation,
                action.assignments,
                None,
                plan.checks,
                (),
                whole=True,
                generated=plan.generated,
                row_checks=plan.row_checks,
                shown=shown,
                mover=mover,
            )
            keys = {attno for index in plan.relation.indexes if index.unique for attno in index.columns}
            if not keys & set(self.change.changed):
                self.strength = "no key update"
        elif action.command == "delete":
            self.allowed = [
                (check, truth_function(builder, check.condition)) for check in found if check.kind == "merge delete"
            ]
        elif action.command == "insert":
            self.values = row_function(builder, action.values, row_scope(None), "c, r")


@executes(pl.Merge)
class MergeNode(Node):
    """``run`` gives the number of rows inserted, updated and deleted."""

    __slots__ = (
        "_address",
        "_child",
        "_generate",
        "_matched",
        "_recheck",
        "_relation",
        "_router",
        "_test",
        "_unmatched",
        "_verify",
    )

    def __init__(self, plan: pl.Merge, builder: Builder) -> None:
        self._relation, self._address = plan.relation, plan.address
        self._child = builder.node(plan.child)
        self._recheck = Rechecker(plan.again, builder)
        moves, router = plan.moves, router_of(plan.moves, builder)
        self._matched = {
            each.relation.oid: [
                _Action(
                    each,
                    step,
                    builder,
                    plan.relation,
                    plan.row_checks,
                    None if moves is None else Mover(moves, each.relation, router, builder),
                )
                for step in each.steps
                if step.matched
            ]
            for each in plan.tables or (() if plan.relation.is_partitioned else (plan,))
        }
        self._router = None
        if plan.route is not None:
            self._router = Router(
                pl.Insert(relation=plan.relation, child=pl.Result(), route=plan.route, row_checks=plan.row_checks),
                plan.route,
                builder,
            )
        is_leaf = plan.relation.is_partition and plan.route is None
        self._test = PartitionTest(builder, plan.relation) if is_leaf else None
        self._unmatched = [_Action(plan, step, builder) for step in plan.steps if not step.matched]
        self._generate = generator(builder, plan.relation, plan.generated)
        of_inserts = [check for check in plan.row_checks if check.kind == "insert"]
        self._verify = row_verifier(builder, plan.relation, plan.checks, of_inserts)
        self.nullable = None

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """There are no rows to give."""
        self.run(ctx)
        return iter(())

    def run(self, ctx: ExecContext) -> int:
        """Works on every joined row."""
        touched: set[tuple[int, int]] = set()
        count = 0
        # The target is read to its end first: what is stored here must not be met by the scan.
        with closing(ctx.tuplestore()) as rows:
            for batch in self._child.batches(ctx):
                ctx.check()
                rows.append(batch)
            for batch in rows.batches():
                for row in batch:
                    ctx.check()
                    done = None if row[self._address.tid] is None else self._on_match(ctx, row, touched)
                    if done is None:
                        done = self._on_none(ctx, row)
                    count += done
        return count

    @staticmethod
    def _first(ctx: ExecContext, actions: list[_Action], row: Row) -> _Action | None:
        found = next((each for each in actions if each.applies is None or each.applies(ctx, row)), None)
        return None if found is None or found.command == "nothing" else found

    def _on_match(self, ctx: ExecContext, row: Row, touched: set[tuple[int, int]]) -> bool | None:
        """Whether the row was changed; None when it does not match any more."""
        tid = row[self._address.tid]
        source, relation = self._address.of(row)
        actions, table = self._matched[relation.oid], ctx.storage.table(relation)
        action = self._first(ctx, actions, row)
        if action is None:
            return False
        if (relation.oid, tid) in touched:
            raise CardinalityViolation(
                "MERGE command cannot affect row a second time",
                hint="Ensure that not more than one source row matches any one target row.",
            )
        locked = table.lock(ctx.txn, ctx.snapshot, tid, action.strength)
        if locked is None:
            return None
        if locked[2]:
            fresh = self._recheck.row(ctx, row, {source: Held(locked[0], locked[1])})
            if fresh is None or fresh[self._address.tid] is None:
                return None
            row = fresh
            action = self._first(ctx, actions, row)
            if action is None:
                return False
        touched.add((relation.oid, tid))
        self._change(ctx, table, tid, row, action)
        return True

    @staticmethod
    def _change(ctx: ExecContext, table: Table, tid: int, row: Row, action: _Action) -> None:
        if action.change is not None:
            joined = action.before + row
            action.change.apply(ctx, table, tid, joined, lambda ctx, joined, at, values: joined)
        else:
            for check, allows in action.allowed:
                if not allows(ctx, row):
                    refuse_row(check)
            table.delete(ctx.txn, ctx.snapshot, tid, lambda values, at: True, ())

    def _on_none(self, ctx: ExecContext, row: Row) -> bool:
        action = self._first(ctx, self._unmatched, row)
        if action is None or action.values is None:
            return False
        values = action.values(ctx, row)
        if self._router is not None:
            self._router.store_one(ctx, values)
            return True
        if self._generate is not None:
            values = self._generate(ctx, [values])[0]
        if self._verify is not None:
            self._verify(ctx, [values])
        if self._test is not None:
            self._test.check(ctx, [values])
        ctx.storage.table(self._relation).insert(ctx.txn, values)
        return True
