"""NOT NULL and CHECK on new rows, with PostgreSQL's messages (23502, 23514)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from aurora.datum import Row
from aurora.errors import (
    CheckViolation,
    InsufficientPrivilege,
    NotNullViolation,
    SqlError,
    WithCheckOptionViolation,
)
from compute_node.access.stored import resolved_row
from compute_node.exec.compile.compiler import Compiler
from compute_node.exec.compile.unit import Unit, row_scope
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.expressions import Expr
from compute_node.sql.plan import PlannedCheck

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext


SHOWN_BYTES = 64
"""of a value in the detail text; longer ones are cut"""


class RowViolation(Exception):
    """A constraint failed while only some columns of the row were at hand. ``changed`` are the new values of the
    assigned columns."""

    def __init__(self, reason: Reason, changed: Row) -> None:
        super().__init__(reason)
        self.reason = reason
        self.changed = changed


def failing_row(ctx: ExecContext, builder: Builder, relation: RelationDesc, row: Row) -> str | None:
    """The detail line. Of columns that the user may not read only those are shown that the statement sets; None when
    there are none, and where policies hold."""
    if relation.row_security and ctx.session.catalog_function("row_security_active", relation.oid):
        return None
    readable = ctx.session.catalog_function("readable_columns", relation.oid)
    visible = None if readable is None else {*readable, *_set_columns(builder, relation)}
    names, shown = [], []
    # A copied row has handles of stored values.
    row = resolved_row(row, range(len(row)))
    for column, value in zip(relation.columns, row, strict=True):
        if column.dropped or (visible is not None and column.attno not in visible):
            continue
        names.append(column.name)
        if value is None:
            shown.append("null")
            continue
        shown.append(cut(builder.type(column.type).output(value, ctx.env)))
    if visible is None:
        return f"Failing row contains ({', '.join(shown)})."
    return f"Failing row contains ({', '.join(names)}) = ({', '.join(shown)})." if shown else None


def cut(text: str) -> str:
    """A value as a detail shows it."""
    data = text.encode()
    return text if len(data) <= SHOWN_BYTES else data[:SHOWN_BYTES].decode(errors="ignore") + "..."


def _set_columns(builder: Builder, relation: RelationDesc) -> set[int]:
    return {
        attno
        for access in builder.planned.privileges.relations
        if access.relation.oid == relation.oid
        for attno in access.inserted | access.updated
    }


Reason: TypeAlias = "int | str | PlannedCheck"
"""what a row breaks: NOT NULL of an attno, a CHECK by name, a view's or policy's condition"""


def violation(
    ctx: ExecContext,
    builder: Builder,
    relation: RelationDesc,
    row: Row,
    reason: Reason,
    shown: tuple[RelationDesc, tuple[int, ...]] | None = None,
) -> SqlError:
    """The error for a full new row. ``shown``: the table that the statement names, as which the row is shown, and the
    attno here of each of its columns."""
    if isinstance(reason, PlannedCheck) and not reason.of_view:
        return policy_violation(reason)
    if shown is None:
        detail = failing_row(ctx, builder, relation, row)
    else:
        named, attnos = shown
        detail = failing_row(ctx, builder, named, tuple(row[attno - 1] if attno else None for attno in attnos))
    if isinstance(reason, int):
        name = relation.columns[reason - 1].name
        return NotNullViolation(
            f'null value in column "{name}" of relation "{relation.name}" violates not-null constraint',
            detail=detail,
            schema=relation.schema,
            table=relation.name,
            column=name,
        )
    if isinstance(reason, PlannedCheck):
        return WithCheckOptionViolation(f'new row violates check option for view "{reason.relation}"', detail=detail)
    return CheckViolation(
        f'new row for relation "{relation.name}" violates check constraint "{reason}"',
        detail=detail,
        schema=relation.schema,
        table=relation.name,
        constraint=reason,
    )


_WHAT = {
    "conflict": "new row violates row-level security policy{policy} (USING expression) for table",
    "merge update": "target row violates row-level security policy{policy} (USING expression) for table",
    "merge delete": "target row violates row-level security policy{policy} (USING expression) for table",
}


def policy_violation(check: PlannedCheck) -> SqlError:
    """42501 for a row that a policy does not allow."""
    what = _WHAT.get(check.kind, "new row violates row-level security policy{policy} for table")
    policy = f' "{check.policy}"' if check.policy else ""
    return InsufficientPrivilege(f'{what.format(policy=policy)} "{check.relation}"')


def refuse_row(check: PlannedCheck) -> None:
    """Raise that."""
    raise policy_violation(check)


def not_null_attnos(relation: RelationDesc) -> list[int]:
    """Columns that must not be NULL."""
    return [column.attno for column in relation.columns if column.not_null and not column.dropped]


RowVerifier: TypeAlias = "Callable[[ExecContext, list[Row]], None]"
"""raises for the first of a batch of full new rows that breaks something"""


def row_verifier(
    builder: Builder,
    relation: RelationDesc,
    checks: Sequence[tuple[str, Expr]],
    row_checks: Sequence[PlannedCheck] = (),
    shown: tuple[RelationDesc, tuple[int, ...]] | None = None,
) -> RowVerifier | None:
    """Of policies (``row_checks``), NOT NULL and CHECK; None: there are none. ``shown``: see ``violation``."""
    return _verifier(builder, relation, row_checks, not_null_attnos(relation), checks, shown)


def view_verifier(
    builder: Builder,
    relation: RelationDesc,
    row_checks: Sequence[PlannedCheck],
    shown: tuple[RelationDesc, tuple[int, ...]] | None,
) -> RowVerifier | None:
    """Of those of ``row_checks`` that rows must meet when they are stored; None: there are none."""
    return _verifier(builder, relation, [check for check in row_checks if check.of_view], (), (), shown)


def _verifier(
    builder: Builder,
    relation: RelationDesc,
    row_checks: Sequence[PlannedCheck],
    attnos: Sequence[int],
    checks: Sequence[tuple[str, Expr]],
    shown: tuple[RelationDesc, tuple[int, ...]] | None,
) -> RowVerifier | None:
    if not attnos and not checks and not row_checks:
        return None

    def fail(ctx: ExecContext, row: Row, reason: Reason) -> None:
        raise violation(ctx, builder, relation, row, reason, shown)

    unit = Unit()
    compiler = Compiler(unit, row_scope([not column.not_null for column in relation.columns]), builder)
    failure = unit.bind(fail, "g")
    body = ["for r in b:"]
    # Policies are asked before NOT NULL is.
    untested = Compiler(unit, row_scope(None), builder)
    for check in row_checks:
        met = untested.truth(check.condition).text
        body.append(f"    if not ({met}): {failure}(c, r, {unit.bind(check)})")
    if attnos:
        body.append(f"    if {' or '.join(f'r[{attno - 1}] is None' for attno in attnos)}:")
        body.append(f"        {failure}(c, r, next(n for n in {unit.bind(tuple(attnos))} if r[n - 1] is None))")
    for name, expression in checks:
        body.append(f"    if {compiler.falsity(expression).text}: {failure}(c, r, {unit.bind(name)})")
    body.append("return None")
    return unit.link(unit.function("c, b", body))
