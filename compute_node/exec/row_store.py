"""How the new rows of one table are stored: generated columns, constraints, ON CONFLICT, RETURNING.

``InsertNode`` has one for its table; of a partitioned table each partition has one of its own, over its own layout.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from aurora.datum import Row
from aurora.errors import CardinalityViolation, ObjectNotInPrerequisiteState, SerializationFailure, SqlError
from compute_node.access.stored import adopted
from compute_node.exec.assignments import RowChange, generator, system_values
from compute_node.exec.compile.rows import batch_function
from compute_node.exec.constraints import row_verifier, view_verifier
from compute_node.exec.nodes.base import Batch
from compute_node.exec.placing import Mover, PartitionTest
from compute_node.relations.descriptors import IndexDesc, RelationDesc
from compute_node.sql import expressions as ex
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.access.table import Table
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext


def _beside(node: ex.Expr, width: int) -> ex.Expr:
    """The expression with system columns behind those of the row."""
    if isinstance(node, ex.Column) and node.side == 2:
        return dataclasses.replace(node, side=0, index=width + node.index)
    return ex.map_children(node, lambda child: _beside(child, width))


def copied_columns(plan: pl.Insert) -> frozenset[int]:
    """Positions of the columns that nothing here looks at: what is stored of another table's value is copied."""
    relation = plan.relation
    keyed = {attno for index in relation.indexes for attno in index.columns}
    looked_at = plan.returning or plan.conflict or plan.checks or plan.row_checks or plan.generated or 0 in keyed
    looked_at = looked_at or relation.is_partition or relation.is_partitioned
    if looked_at or relation.toast is None or any(index.predicate is not None for index in relation.indexes):
        return frozenset()
    return frozenset(column.attno - 1 for column in relation.columns if column.attno not in keyed)


class RowStore:
    """Of the table that ``plan`` inserts into; ``stored``: positions of columns that may be handles of stored values;
    ``test``: of a partition that the statement names itself; ``shown``: the table that it names instead of this one."""

    __slots__ = (
        "_arbiters",
        "_conflict",
        "_generate",
        "_on_conflict",
        "_relation",
        "_returning",
        "_stored",
        "_system",
        "_test",
        "_verify",
        "_verify_stored",
    )

    def __init__(
        self,
        plan: pl.Insert,
        builder: Builder,
        stored: tuple[int, ...] = (),
        test: PartitionTest | None = None,
        shown: tuple[RelationDesc, tuple[int, ...]] | None = None,
    ) -> None:
        self._relation, self._system = plan.relation, plan.system
        of_inserts = [check for check in plan.row_checks if check.kind == "insert"]
        self._verify = row_verifier(builder, plan.relation, plan.checks, of_inserts, shown)
        self._verify_stored = view_verifier(builder, plan.relation, plan.row_checks, shown)
        self._generate = generator(builder, plan.relation, plan.generated)
        self._stored = stored
        self._test = test
        width = len(plan.relation.columns)
        self._returning: Any = None
        if plan.returning:
            shape = batch_function(builder, [_beside(item, width) for item in plan.returning], None, width)
            self._returning = shape if shape is not None else lambda ctx, rows: rows
        self._conflict = plan.conflict
        self._arbiters = plan.arbiters
        self._on_conflict: RowChange | None = None
        if plan.conflict == "update":
            self._on_conflict = RowChange(
                builder,
                plan.relation,
                plan.conflict_assignments,
                plan.conflict_where,
                plan.checks,
                plan.returning,
                proposed=True,
                system=plan.system,
                generated=plan.generated,
                row_checks=plan.row_checks,
                mover=Mover(pl.Moves(plan.relation, None), plan.relation, None, builder)
                if plan.relation.is_partition
                else None,
            )

    def checked(self, ctx: ExecContext, batch: Batch) -> Iterable[Batch]:
        """The rows as they are to be stored, in as many batches as they need."""
        if self._generate is not None:
            batch = self._generate(ctx, batch)
        if self._verify is not None:
            self._verify(ctx, batch)
        if self._test is not None:
            self._test.check(ctx, batch)
        if self._stored:
            toast = ctx.storage.table(self._relation).toast
            if toast is not None:
                return adopted(batch, self._stored, toast)
        return (batch,)

    def in_order(self, ctx: ExecContext, batch: Batch) -> Iterable[Batch]:
        """The same, and the error of a row that is refused when those before it have been stored: an index may refuse
        one of them."""
        try:
            return self.checked(ctx, batch)
        except SqlError:
            found = self._first_wrong(ctx, batch) if len(batch) > 1 else None
            if found is None:
                raise
            at, error = found
            return self._up_to(ctx, batch[:at], error)

    def _up_to(self, ctx: ExecContext, batch: Batch, error: SqlError) -> Iterator[Batch]:
        if batch:
            yield from self.checked(ctx, batch)
        raise error

    def _first_wrong(self, ctx: ExecContext, batch: Batch) -> tuple[int, SqlError] | None:
        """The first row that the table's constraints refuse, by its index, and why."""
        for number, row in enumerate(batch):
            try:
                self.checked(ctx, [row])
            except SqlError as error:
                return number, error
        return None

    def first_wrong(self, ctx: ExecContext, batch: Batch) -> int | None:
        """The index of the first row that the table's constraints refuse."""
        found = self._first_wrong(ctx, batch)
        return None if found is None else found[0]

    def run(self, ctx: ExecContext, batches: Iterable[Batch], touched: set[int]) -> int:
        """Store checked rows; the number of rows inserted (or updated by ON CONFLICT). ``touched``: the rows that the
        statement has written."""
        table = ctx.storage.table(self._relation)
        if self._conflict:
            return sum(len(rows) for rows in self._resolved(ctx, table, batches, touched))
        count = 0
        for batch in batches:
            ctx.check()
            self._insert(ctx, table, batch)
            count += len(batch)
        return count

    def _insert(self, ctx: ExecContext, table: Table, batch: Batch) -> None:
        """Store checked rows. Where a view refuses one, the table's indexes may refuse one of those up to it first."""
        refused: SqlError | None = None
        if self._verify_stored is not None:
            for number, row in enumerate(batch):
                try:
                    self._verify_stored(ctx, [row])
                except SqlError as error:
                    refused, batch = error, batch[: number + 1]
                    break
        if len(batch) == 1:
            table.insert(ctx.txn, batch[0])
        else:
            table.insert_many(ctx.txn, batch)
        if refused is not None:
            raise refused

    def insert_one(self, ctx: ExecContext, row: Row) -> tuple[Table, int]:
        """Store one checked row: the table, and its tid there."""
        table = ctx.storage.table(self._relation)
        tid = table.insert(ctx.txn, row)
        if self._verify_stored is not None:
            self._verify_stored(ctx, [row])
        return table, tid

    def returned(self, ctx: ExecContext, batches: Iterable[Batch], touched: set[int]) -> Iterator[Batch]:
        """RETURNING's rows; each batch is stored before it is given."""
        table = ctx.storage.table(self._relation)
        if self._conflict:
            yield from self._resolved(ctx, table, batches, touched)
            return
        for batch in batches:
            ctx.check()
            if self._system:
                stored = [(*self.insert_one(ctx, row), row) for row in batch]
                yield self._returning(ctx, [self._whole(ctx, *each) for each in stored])
                continue
            self._insert(ctx, table, batch)
            yield self._returning(ctx, batch)

    def _whole(self, ctx: ExecContext, table: Table, tid: int, row: Row) -> Row:
        """An inserted row with the system columns that RETURNING reads."""
        return (*row, *system_values(ctx, table, tid, self._system)) if self._system else row

    def _resolved(self, ctx: ExecContext, table: Table, batches: Iterable[Batch], touched: set[int]) -> Iterator[Batch]:
        """ON CONFLICT row by row; yields RETURNING's rows, or one empty row per row that counts."""
        for batch in batches:
            ctx.check()
            out: Batch = []
            for row in batch:
                result = self._store(ctx, table, row, touched)
                if result is not None:
                    out.append(result)
            yield out

    def _arbitrates(self, index: IndexDesc) -> bool:
        is_named = index.oid in self._arbiters
        return is_named if self._arbiters else index.unique or bool(index.exclusion)

    def _store(self, ctx: ExecContext, table: Table, row: Row, touched: set[int]) -> Row | None:
        arbiters = [index for index in table.indexes if self._arbitrates(index.desc)]
        for index in arbiters:
            if not index.desc.immediate:
                raise ObjectNotInPrerequisiteState(
                    "ON CONFLICT does not support deferrable unique constraints/exclusion constraints as arbiters",
                    schema=self._relation.schema,
                    table=self._relation.name,
                    constraint=index.desc.name,
                )
        while True:
            tid, found = table.insert_or_find(ctx.txn, row, arbiters)
            if not found:
                touched.add(tid)
                if self._verify_stored is not None:
                    self._verify_stored(ctx, [row])
                if self._returning is None:
                    return ()
                returned: Row = self._returning(ctx, [self._whole(ctx, table, tid, row)])[0]
                return returned
            if self._on_conflict is None:
                self._check_seen(ctx, table, found)
                return None
            if found in touched:
                raise CardinalityViolation(
                    "ON CONFLICT DO UPDATE command cannot affect row a second time",
                    hint="Ensure that no rows proposed for insertion within the same command have "
                    "duplicate constrained values.",
                )
            self._check_seen(ctx, table, found)
            outcome = self._on_conflict.apply_latest(ctx, table, found, row)
            if outcome.gone:
                # Deleted between the probe and the lock: the insertion may succeed now.
                continue
            if outcome.tid is None:
                return None
            touched.add(outcome.tid)
            return outcome.returned if outcome.returned is not None else ()

    @staticmethod
    def _check_seen(ctx: ExecContext, table: Table, found: int) -> None:
        """40001 in REPEATABLE READ for a conflict with a row that the snapshot does not see."""
        if ctx.txn.follow:
            return
        seen = ctx.storage.txns.own_snapshot(ctx.txn, ctx.snapshot)
        if table.fetch(seen, found, ()) is None:
            raise SerializationFailure("could not serialize access due to concurrent update")
