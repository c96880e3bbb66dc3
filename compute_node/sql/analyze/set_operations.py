"""UNION, INTERSECT, EXCEPT: both sides analyzed on their own, columns unified (manual 10.5)."""

from __future__ import annotations

import dataclasses

from pglast import ast

from aurora.errors import NotSupported, SqlSyntaxError
from compute_node.sql.analyze.coercion import coerce_to_common, common_typmod, select_common_type
from compute_node.sql.analyze.context import NameItem, Scope, fail, start_of
from compute_node.sql.analyze.functions import resolve_unknown
from compute_node.sql.analyze.operators import check_groupable
from compute_node.sql.analyze.select import analyze_select, lock_words, order_by_output, transform_limit
from compute_node.sql.expressions import Const, Expr, Param, Var
from compute_node.sql.query import FromItem, Query, RangeEntry, Target
from compute_node.sql.rewrite import nested_query
from compute_node.types import oids

_KINDS = {1: "union", 2: "intersect", 3: "except"}


def analyze_set_operation(scope: Scope, node: ast.SelectStmt) -> Query:
    """A tree of set operations into ``scope.query``: ``set_op`` holds the two sides, targets are Vars of entry 0 (the
    operation's result, a range entry of kind subquery without a query)."""
    query = scope.query
    kind = _KINDS[int(node.op)]
    left = _side(scope, node.larg)
    right = _side(scope, node.rarg)
    left, right = unify(scope, left, right, kind.upper(), bool(node.all))
    query.set_op = (kind, bool(node.all), left, right)
    finish_set_operation(scope, query, left, right)
    query.order_by = order_by_output(scope, node.sortClause or ())
    transform_limit(scope, node)
    if node.lockingClause:
        raise NotSupported(f"{lock_words(node.lockingClause[0])} is not allowed with UNION/INTERSECT/EXCEPT")
    return query


def _side(scope: Scope, node: ast.SelectStmt) -> Query:
    if node.lockingClause:
        shown = lock_words(node.lockingClause[0])
        raise NotSupported(f"{shown} is not allowed with UNION/INTERSECT/EXCEPT")
    # a side sees the enclosing level's outer names and CTEs but nothing of its sibling:
    # it counts as a query level of its own
    return analyze_select(scope.child(), node, resolve_unknowns=False)


def visible(query: Query) -> list[Target]:
    """The targets a client or an enclosing query sees."""
    return [item for item in query.targets if not item.junk]


def unify(scope: Scope, left: Query, right: Query, construct: str, keep_all: bool) -> tuple[Query, Query]:
    """Both sides with columns coerced to common types; 42601 when their numbers differ, 42804 when types do not
    match."""
    ones, others = visible(left), visible(right)
    if len(ones) != len(others):
        location = start_of(others[0].expression) if others else -1
        raise fail(SqlSyntaxError, f"each {construct} query must have the same number of columns", location)
    for one, other in zip(ones, others, strict=True):
        pair = [one.expression, other.expression]
        common = select_common_type(scope, pair, construct)
        for target, side in ((one, left), (other, right)):
            if target.expression.type != oids.UNKNOWN:
                target.written = target.expression
            target.expression = _unified(scope, side, target.expression, common, construct)
        if not keep_all or construct != "UNION":
            check_groupable(scope, common, one.expression.location)
    return _settled(scope, left, ones), _settled(scope, right, others)


def _unified(scope: Scope, side: Query, expr: Expr, common: int, construct: str) -> Expr:
    if expr.type == common:
        return expr
    if side.set_op is not None or side.distinct or side.group_by or side.order_by or side.windows:
        if not isinstance(expr, (Const, Param)):
            return _Pending(type=common, argument=expr)
    return coerce_to_common(scope, expr, common, construct)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Pending(Expr):
    """A column whose conversion must happen above its query, because converting it inside would change what DISTINCT,
    GROUP BY, ORDER BY or a nested set operation compares."""

    argument: Expr


def _settled(scope: Scope, side: Query, targets: list[Target]) -> Query:
    """The side itself, or ``SELECT converted FROM (side)`` when some column waits for conversion."""
    if not any(isinstance(item.expression, _Pending) for item in targets):
        return side
    wanted = [item.expression.type for item in targets]
    for item in targets:
        if isinstance(item.expression, _Pending):
            item.expression = item.expression.argument
    names = tuple(item.name for item in targets)
    types = tuple(item.expression.type for item in targets)
    typmods = tuple(item.expression.typmod for item in targets)
    inner = nested_query(side)
    outer = Query(
        "select", range_table=[RangeEntry("subquery", "unnamed_subquery", names, types, typmods, query=inner)]
    )
    outer.from_items = [FromItem(0)]
    outer.made = True
    for index, (name, type_oid, target) in enumerate(zip(names, types, wanted, strict=True)):
        column: Expr = Var(type=type_oid, typmod=typmods[index], rte=0, attno=index + 1)
        if type_oid == oids.UNKNOWN:
            column = resolve_unknown(scope, column)
        outer.targets.append(Target(coerce_to_common(scope, column, target, "UNION"), name))
    return outer


def finish_set_operation(scope: Scope, query: Query, left: Query, right: Query) -> None:
    """The operation's own range entry, targets and names, from the unified sides."""
    ones, others = visible(left), visible(right)
    names = tuple(item.name for item in ones)
    types = tuple(item.expression.type for item in ones)
    typmods = tuple(
        common_typmod([one.expression, other.expression], one.expression.type)
        for one, other in zip(ones, others, strict=True)
    )
    entry = RangeEntry("subquery", "*SELECT*", names, types, typmods)
    rte = scope.add_entry(entry)
    query.targets = [
        Target(Var(type=type_oid, typmod=typmod, rte=rte, attno=index + 1), name)
        for index, (name, type_oid, typmod) in enumerate(zip(names, types, typmods, strict=True))
    ]
    scope.items = [
        NameItem(rte, "*SELECT*", names, tuple(item.expression for item in query.targets), table_visible=False)
    ]
