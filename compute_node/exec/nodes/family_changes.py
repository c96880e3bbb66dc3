"""UPDATE and DELETE over a table and those that inherit from it: each of the child's rows says which row of which table
it is about."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from aurora.datum import Row
from aurora.errors import InvariantViolation
from compute_node.exec.assignments import RowChange
from compute_node.exec.nodes.base import Batch, Node, executes
from compute_node.exec.nodes.delete import Deletion
from compute_node.exec.placing import Mover
from compute_node.exec.recheck import Held, Rechecker
from compute_node.exec.routing import router_of
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.access.table import Table
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext

BATCH_ROWS = 256


class FamilyChange(Node):
    """``run`` gives the number of rows, ``batches`` those of RETURNING."""

    __slots__ = ("_address", "_again", "_child", "_returns")

    def __init__(self, plan: pl.FamilyUpdate | pl.FamilyDelete, builder: Builder) -> None:
        if plan.again is None:
            raise InvariantViolation("rows are changed that cannot be found again")
        self._again = Rechecker(plan.again, builder)
        self._child = builder.node(plan.child)
        self._address = plan.address
        self._returns = bool(plan.returning)
        self.nullable = None

    @abstractmethod
    def _change(self, ctx: ExecContext, table: Table, source: int, tid: int, row: Row) -> Row | None:
        """Change one row: what RETURNING gives, an empty row without it; None where there was nothing to change."""

    def _changed(self, ctx: ExecContext, batches: Iterable[Batch]) -> Iterator[Row]:
        """Changes everything that qualifies. A joined row may name the same target several times: once it is changed,
        the others are left out."""
        address = self._address
        done: set[tuple[int, int]] = set()
        for batch in batches:
            for row in batch:
                tid = row[address.tid]
                if tid is None:
                    continue
                source, relation = address.of(row)
                if (source, tid) in done:
                    continue
                ctx.check()
                returned = self._change(ctx, ctx.storage.table(relation), source, tid, row)
                if returned is not None:
                    done.add((source, tid))
                    yield returned

    def run(self, ctx: ExecContext) -> int:
        """Changes everything that qualifies."""
        return self.run_over(ctx, self._child.batches(ctx))

    def run_over(self, ctx: ExecContext, batches: Iterable[Batch]) -> int:
        """Changes the rows of the child that somebody else has found."""
        return sum(1 for _ in self._changed(ctx, batches))

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """RETURNING's rows."""
        if not self._returns:
            self.run(ctx)
            return
        out: Batch = []
        for row in self._changed(ctx, self._child.batches(ctx)):
            out.append(row)
            if len(out) >= BATCH_ROWS:
                yield out
                out = []
        if out:
            yield out

    def _joined(self, relation: RelationDesc, row: Row) -> Row:
        """A row as the expressions about a table see it: behind the table's own columns."""
        return (None,) * len(relation.columns) + row

    def _found_again(
        self, ctx: ExecContext, relation: RelationDesc, source: int, joined: Row, at: int, values: Row
    ) -> Row | None:
        """What such a row has become, given the newest version of the table's row."""
        width = len(relation.columns)
        fresh = self._again.row(ctx, joined[width:], {source: Held(at, values)})
        return None if fresh is None else self._joined(relation, fresh)


@executes(pl.FamilyUpdate)
class FamilyUpdateNode(FamilyChange):
    """UPDATE."""

    __slots__ = ("_changes",)

    def __init__(self, plan: pl.FamilyUpdate, builder: Builder) -> None:
        super().__init__(plan, builder)
        moves, router = plan.moves, router_of(plan.moves, builder)
        self._changes = {
            each.source: (
                each.relation,
                RowChange(
                    builder,
                    each.relation,
                    each.assignments,
                    None,
                    each.checks,
                    each.returning,
                    whole=True,
                    system=each.system,
                    generated=each.generated,
                    shown=(plan.relation, each.attnos),
                    mover=None if moves is None else Mover(moves, each.relation, router, builder),
                    row_checks=each.row_checks,
                ),
            )
            for each in plan.tables
        }

    def _change(self, ctx: ExecContext, table: Table, source: int, tid: int, row: Row) -> Row | None:
        relation, change = self._changes[source]

        def find_again(ctx: ExecContext, joined: Row, at: int, values: Row) -> Row | None:
            return self._found_again(ctx, relation, source, joined, at, values)

        outcome = change.apply(ctx, table, tid, self._joined(relation, row), find_again)
        return None if outcome.tid is None else outcome.returned or ()


@executes(pl.FamilyDelete)
class FamilyDeleteNode(FamilyChange):
    """DELETE."""

    __slots__ = ("_deletions",)

    def __init__(self, plan: pl.FamilyDelete, builder: Builder) -> None:
        super().__init__(plan, builder)
        self._deletions = {
            each.source: Deletion(builder, each.relation, None, each.returning, each.system, whole=True)
            for each in plan.tables
        }

    def _change(self, ctx: ExecContext, table: Table, source: int, tid: int, row: Row) -> Row | None:
        deletion = self._deletions[source]
        relation = deletion.relation

        def find_again(ctx: ExecContext, joined: Row, at: int, values: Row) -> Row | None:
            return self._found_again(ctx, relation, source, joined, at, values)

        joined = self._joined(relation, row)
        if deletion.returning is not None:
            return deletion.returned(ctx, table, tid, joined, find_again)
        test = deletion.test(ctx, joined, [None], find_again)
        return () if table.delete(ctx.txn, ctx.snapshot, tid, test, deletion.needed) else None
