"""WITH: common table expressions, recursive ones too."""

from __future__ import annotations

from pglast import ast

from aurora.errors import DatatypeMismatch, DuplicateAlias, InvalidColumnReference, InvalidRecursion, NotSupported
from compute_node.sql.analyze.coercion import coerce, coerce_to_common
from compute_node.sql.analyze.context import Scope, fail
from compute_node.sql.analyze.functions import resolve_unknown
from compute_node.sql.analyze.typenames import format_type
from compute_node.sql.expressions import AggregateCall, walk
from compute_node.sql.query import CommonTable, Query, Target
from compute_node.types import oids


def transform_with(scope: Scope, node: ast.WithClause) -> None:
    """Analyze the items of a WITH clause into ``scope.ctes`` and the query's list."""
    names = [item.ctename for item in node.ctes]
    for index, item in enumerate(node.ctes):
        if item.ctename in names[:index]:
            raise fail(DuplicateAlias, f'WITH query name "{item.ctename}" specified more than once', item.location or 0)
    for index, item in enumerate(_ordered(node) if node.recursive else list(node.ctes)):
        scope.pending_cte = tuple(names[index:])
        if item.search_clause is not None or item.cycle_clause is not None:
            raise fail(NotSupported, "SEARCH and CYCLE clauses are not supported yet", item.location or 0)
        if not isinstance(item.ctequery, ast.SelectStmt):
            raise fail(NotSupported, "data-modifying statements in WITH are not supported yet", item.location or 0)
        recursive = bool(node.recursive) and mentions(item.ctequery, item.ctename)
        cte = _recursive(scope, item) if recursive else _plain(scope, item)
        scope.ctes[item.ctename] = cte
        scope.query.ctes.append(cte)
    scope.pending_cte = ()


def _ordered(node: ast.WithClause) -> list[ast.CommonTableExpr]:
    """WITH RECURSIVE allows forward references: items in an order in which each comes after those it mentions."""
    remaining, done = list(node.ctes), []
    names = {item.ctename for item in remaining}
    while remaining:
        for item in remaining:
            waiting = {other.ctename for other in remaining if other is not item} & names
            if not any(mentions(item.ctequery, name) for name in waiting):
                done.append(item)
                remaining.remove(item)
                break
        else:
            item = remaining[0]
            raise fail(NotSupported, "mutual recursion between WITH items is not implemented", item.location or 0)
    return done


def mentions(node: ast.Node, name: str) -> bool:
    """Whether a parse tree has an unqualified table reference of that name."""
    if isinstance(node, tuple):
        return any(mentions(item, name) for item in node if item is not None)
    if isinstance(node, ast.RangeVar):
        return bool(node.relname == name and not node.schemaname)
    if isinstance(node, ast.Node):
        for attribute in node:
            value = getattr(node, attribute)
            if isinstance(value, (tuple, ast.Node)) and mentions(value, name):
                return True
    return False


def _materialized(item: ast.CommonTableExpr) -> bool | None:
    return {0: None, 1: True, 2: False}[int(item.ctematerialized)]


def _rename(targets: list[Target], item: ast.CommonTableExpr) -> None:
    given = [each.sval for each in item.aliascolnames or ()]
    visible = [target for target in targets if not target.junk]
    if len(given) > len(visible):
        raise fail(
            InvalidColumnReference,
            f'WITH query "{item.ctename}" has {len(visible)} columns available but {len(given)} columns specified',
            item.location or 0,
        )
    for target, name in zip(visible, given, strict=False):
        target.name = name


def _plain(scope: Scope, item: ast.CommonTableExpr) -> CommonTable:
    from compute_node.sql.analyze.select import analyze_select

    query = analyze_select(scope.child(), item.ctequery)
    _rename(query.targets, item)
    return CommonTable(item.ctename, query, materialized=_materialized(item))


def _recursive(scope: Scope, item: ast.CommonTableExpr) -> CommonTable:
    """``non-recursive UNION [ALL] recursive``. The column types are those of the non-recursive term (42804
    otherwise)."""
    from compute_node.sql.analyze.select import analyze_select
    from compute_node.sql.analyze.set_operations import finish_set_operation, visible

    node, name = item.ctequery, item.ctename
    location = item.location or 0
    if node.op is None or int(node.op) != 1:
        message = f'recursive query "{name}" does not have the form non-recursive-term UNION [ALL] recursive-term'
        raise fail(InvalidRecursion, message, location)
    if mentions(node.larg, name):
        message = f'recursive reference to query "{name}" must not appear within its non-recursive term'
        raise fail(InvalidRecursion, message, location)
    if node.sortClause or node.limitCount is not None or node.limitOffset is not None or node.lockingClause:
        raise fail(NotSupported, "ORDER BY, LIMIT or FOR UPDATE in a recursive query is not implemented", location)
    body = scope.child()
    if node.withClause is not None:
        transform_with(body, node.withClause)
    initial = analyze_select(body.child(), node.larg, resolve_unknowns=False)
    for target in initial.targets:
        target.expression = resolve_unknown(scope, target.expression)
    shown = Query("select", targets=[Target(target.expression, target.name) for target in visible(initial)])
    _rename(shown.targets, item)
    cte = CommonTable(name, shown, recursive=True, materialized=_materialized(item))
    body.ctes[name] = cte
    recursive = analyze_select(body.child(), node.rarg, resolve_unknowns=False)
    del body.ctes[name]
    parts = [each for target in recursive.targets for each in walk(target.expression)]
    aggregate = next((each for each in parts if isinstance(each, AggregateCall) and each.levels_up == 0), None)
    if aggregate is not None:
        message = "aggregate functions are not allowed in a recursive query's recursive term"
        raise fail(InvalidRecursion, message, aggregate.location)
    ones, others = visible(initial), visible(recursive)
    if len(ones) != len(others):
        from aurora.errors import SqlSyntaxError

        raise fail(
            SqlSyntaxError, "each UNION query must have the same number of columns", others[0].expression.location
        )
    for index, (one, other) in enumerate(zip(ones, others, strict=True)):
        wanted = one.expression.type
        expr = other.expression
        if expr.type == oids.UNKNOWN:
            expr = coerce_to_common(scope, expr, wanted, "UNION")
        if expr.type != wanted:
            converted = coerce(scope, expr, wanted)
            if converted is None or _would_win(scope, wanted, expr.type):
                have, overall = format_type(scope.catalog, wanted), format_type(scope.catalog, expr.type)
                raise fail(
                    DatatypeMismatch,
                    f'recursive query "{name}" column {index + 1} has type {have} in non-recursive term '
                    f"but type {overall} overall",
                    one.expression.location,
                    hint="Cast the output of the non-recursive term to the correct type.",
                )
            expr = converted
        other.expression = expr
    query = body.query
    query.set_op = ("union", bool(node.all), initial, recursive)
    finish_set_operation(body, query, initial, recursive)
    _rename(query.targets, item)
    return CommonTable(name, query, recursive=True, materialized=_materialized(item))


def _would_win(scope: Scope, own: int, other: int) -> bool:
    """Whether the common type of the two would be the other one."""
    from compute_node.sql.analyze.coercion import common_type_or_none

    return common_type_or_none(scope.catalog, [own, other]) != own
