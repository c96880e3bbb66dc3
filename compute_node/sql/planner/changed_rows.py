"""What is said of a row that is stored: CHECK constraints, generated columns, COPY's WHERE, and what RETURNING sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pglast import ast

from aurora.errors import NotSupported
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.analyze.stored import analyze_expression, analyze_stored, generated_value
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Column, Const, Expr, RowExpr, Var
from compute_node.sql.plan import PlannedCheck
from compute_node.sql.planner.create import replace_columns
from compute_node.sql.planner.fold import fold
from compute_node.sql.query import RowCheck
from compute_node.types import oids


def checks(catalog: CatalogView, relation: RelationDesc) -> tuple[tuple[str, Expr], ...]:
    """The table's CHECK constraints over a new row's columns; analyzed once per descriptor."""
    if not relation.checks:
        return ()
    cached = relation.extra.get("checks")
    if cached is None:
        cached = relation.extra["checks"] = tuple(
            (name, fold(catalog, _over_row(analyze_stored(catalog, relation, text), relation)))
            for name, text in relation.checks
        )
    return tuple(cached)


def copy_condition(catalog: CatalogView, relation: RelationDesc, node: ast.Node, source: str, session: object) -> Expr:
    """COPY FROM's WHERE over a new row's columns."""
    condition = analyze_expression(catalog, relation, node, source, "COPY", session)
    return fold(catalog, _over_row(condition, relation))


def generated(catalog: CatalogView, relation: RelationDesc) -> tuple[tuple[int, Expr], ...]:
    """The table's generated columns, as ``checks``: attno and expression over a new row."""
    if not any(column.generated for column in relation.columns):
        return ()
    cached = relation.extra.get("generated")
    if cached is None:
        cached = relation.extra["generated"] = tuple(
            (column.attno, fold(catalog, _over_row(generated_value(catalog, relation, column), relation)))
            for column in relation.columns
            if column.generated and not column.dropped
        )
    return tuple(cached)


def whole_row(relation: RelationDesc, row_type: int) -> Expr:
    """The full row as one value; dropped columns keep their places."""
    return RowExpr(
        type=row_type,
        arguments=tuple(
            Const(type=oids.INT4, value=None)
            if column.dropped
            else Column(type=column.type, typmod=column.typmod, index=column.attno - 1)
            for column in relation.columns
        ),
        names=tuple(column.name for column in relation.columns),
    )


def _over_row(node: Expr, relation: RelationDesc) -> Expr:
    def column(var: Var) -> Expr:
        if var.attno == -6:
            return Const(type=oids.OID, value=relation.oid)
        if var.attno == 0:
            return whole_row(relation, var.type)
        if var.attno < 0:
            raise NotSupported("system column references in CHECK constraints are not supported")
        return Column(type=var.type, typmod=var.typmod, index=var.attno - 1)

    return replace_columns(node, column)


def row_checks(asked: Sequence[tuple[RowCheck, Expr]], over: Callable[[Expr], Expr]) -> tuple[PlannedCheck, ...]:
    """What views and policies ask of new rows, their conditions prepared; ``over`` binds the target's columns."""
    return tuple(PlannedCheck(check.kind, check.relation, check.policy, over(condition)) for check, condition in asked)


SYSTEM_SIDE = 2
"""of the system columns of a row as it has become"""


def new_row(
    relation: RelationDesc,
    rte: int,
    extra: dict[tuple[int, int], Expr],
    side: int = 0,
    system: list[int] | None = None,
) -> Callable[[Var], Expr]:
    """Vars of the target as columns of its full row; other Vars from ``extra``. ``system``: gets the system columns
    that are read of the row as it has become."""

    def column(var: Var) -> Expr:
        if var.rte == rte:
            if var.attno > 0:
                return Column(type=var.type, typmod=var.typmod, index=var.attno - 1, side=side)
            # A row of a partition may belong into another one after the change.
            in_parts = relation.is_partitioned or relation.is_partition
            if var.attno == -6 and not (in_parts and system is not None):
                return Const(type=oids.OID, value=relation.oid)
            if system is not None:
                if var.attno not in system:
                    system.append(var.attno)
                return Column(type=var.type, index=system.index(var.attno), side=SYSTEM_SIDE)
        found = extra.get((var.rte, var.attno))
        if found is None:
            raise NotSupported("system columns are not supported here")
        return found

    return column
