"""Rows that are there already: whether they belong where a new bound puts them (23514)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aurora.errors import CheckViolation, InvariantViolation
from compute_node.catalog.ddl.context import DdlContext
from compute_node.exec.builder import Builder
from compute_node.exec.context import ExecContext
from compute_node.exec.placing import Placer, layout
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.analyze.stored import analyze_stored
from compute_node.sql.expressions import Expr, NullTest, Var
from compute_node.sql.partitioning import bound_constraint, leaves_of, moved, partition_constraint, places_of
from compute_node.sql.plan import PlannedStmt, Result
from compute_node.sql.planner.fold import fold
from compute_node.sql.planner.index_proof import Proof
from compute_node.sql.planner.quals import conjuncts
from compute_node.types import oids


@contextmanager
def running(ctx: DdlContext) -> Iterator[tuple[ExecContext, Builder]]:
    """What expressions are compiled and evaluated with, within a DDL statement."""
    run = ctx.engine.begin_statement(ctx.session)
    run.start((), 0)
    try:
        yield run, Builder(PlannedStmt(command="select", plan=Result(), columns=None), ctx.view)
    finally:
        run.finish()


def check_partition(ctx: DdlContext, table: RelationDesc) -> None:
    """A table has just become a partition: 23514 for a row that it may not have there, or above."""
    steps: list[tuple[RelationDesc, int]] = []
    child: RelationDesc = table
    while child.is_partition:
        parent = _relation(ctx, child.parents[0])
        steps.append((parent, child.oid))
        child = parent
    constraint = [fold(ctx.view, item) for item in partition_constraint(ctx.view, table)]
    for leaf in leaves_of(ctx.view, table) if table.is_partitioned else [table]:
        # What a foreign table has is not ours to look at.
        if leaf.kind != "f" and not follows_constraint(ctx, leaf, [moved(item, table, leaf) for item in constraint]):
            message = f'partition constraint of relation "{leaf.name}" is violated by some row'
            _check_leaf(ctx, leaf, steps, message, leaf)


def check_default(ctx: DdlContext, parent: RelationDesc, default: RelationDesc, *, attached: bool = False) -> None:
    """The parent has a new partition: 23514 for a row of the default one that belongs there. The error names the
    default partition, of one that was attached the table that has the row."""
    bound = default.bound
    if bound is None:
        raise InvariantViolation(f"default partition {default.oid} has no bound")
    constraint = [moved(fold(ctx.view, each), parent, default) for each in bound_constraint(ctx.view, parent, bound)]
    for leaf in leaves_of(ctx.view, default) if default.is_partitioned else [default]:
        if leaf.kind == "f":
            ctx.notice(
                f'skipped scanning foreign table "{leaf.name}" which is a partition of default partition '
                f'"{default.name}"',
                severity="WARNING", sqlstate="23514",
            )  # fmt: skip
            continue
        if not follows_constraint(ctx, leaf, [moved(item, default, leaf) for item in constraint]):
            named = leaf if attached else default
            message = f'updated partition constraint for default partition "{named.name}" would be violated by some row'
            _check_leaf(ctx, leaf, [(parent, default.oid)], message, named)


def _relation(ctx: DdlContext, oid: int) -> RelationDesc:
    found = ctx.view.relation(oid)
    if found is None:
        raise InvariantViolation(f"relation {oid} is not in the catalog")
    return found


def follows_constraint(ctx: DdlContext, leaf: RelationDesc, constraint: Sequence[Expr]) -> bool:
    """Whether the table's own constraints let no rows in but those that satisfy ``constraint``, conjuncts over its
    columns: then none need be looked at."""
    known: list[Expr] = [
        NullTest(
            type=oids.BOOL,
            argument=Var(type=column.type, typmod=column.typmod, rte=0, attno=column.attno),
            negated=True,
        )
        for column in leaf.columns
        if column.not_null and not column.dropped
    ]
    valid = {row.conname for row in ctx.rows.find("pg_constraint", conrelid=leaf.oid) if row.convalidated}
    for name, text in leaf.checks:
        if name in valid:
            known += conjuncts(fold(ctx.view, analyze_stored(ctx.view, leaf, text)))
    return Proof(ctx.view, known, []).implies(constraint)


def _check_leaf(
    ctx: DdlContext, leaf: RelationDesc, steps: Sequence[tuple[RelationDesc, int]], message: str, named: RelationDesc
) -> None:
    every = tuple(column.attno for column in leaf.columns)
    with running(ctx) as (run, builder):
        tests = []
        for parent, child in steps:
            placer = Placer(builder, parent)
            tests.append((placer, layout(places_of(leaf, parent)), placer.index.oids.index(child)))
        for batch in ctx.storage.table(leaf).scan(ctx.rows.snapshot(), every, False):
            run.check()
            for placer, lay, wanted in tests:
                numbers = placer.numbers(run, batch if lay is None else lay(batch))
                if numbers.count(wanted) < len(numbers):
                    raise CheckViolation(message, schema=named.schema, table=named.name)
