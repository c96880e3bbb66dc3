"""WITH: common table expressions, recursive ones too."""

from __future__ import annotations

from copy import copy

from pglast import ast

from aurora.errors import (
    DatatypeMismatch,
    DuplicateAlias,
    InvalidColumnReference,
    InvalidRecursion,
    NotSupported,
    SqlSyntaxError,
)
from compute_node.sql.analyze.coercion import coerce, coerce_to_common, common_typmod, select_common_type
from compute_node.sql.analyze.context import Scope, fail, start_of
from compute_node.sql.analyze.functions import resolve_unknown
from compute_node.sql.analyze.recursion import check_recursion, in_order, references
from compute_node.sql.analyze.search_cycle import (
    check_names,
    check_terms,
    extended_initial,
    extended_recursive,
    read_clauses,
)
from compute_node.sql.analyze.typenames import format_type
from compute_node.sql.expressions import AggregateCall, Const, walk
from compute_node.sql.query import CommonTable, Query, Target, WrittenItem
from compute_node.types import oids

_CHANGES = (ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt)


def transform_with(scope: Scope, node: ast.WithClause) -> None:
    """Analyze the items of a WITH clause into ``scope.ctes`` and the query's list."""
    names = [item.ctename for item in node.ctes]
    for index, item in enumerate(node.ctes):
        if item.ctename in names[:index]:
            raise fail(DuplicateAlias, f'WITH query name "{item.ctename}" specified more than once', item.location or 0)
        _check_change(scope, item)
    items = in_order(node) if node.recursive else list(node.ctes)
    selves = [bool(node.recursive) and references(item.ctequery, item.ctename) for item in items]
    for item, recursive in zip(items, selves, strict=True):
        if recursive:
            check_recursion(item)
    for index, (item, recursive) in enumerate(zip(items, selves, strict=True)):
        scope.pending_cte = tuple([each.ctename for each in items[index:]])
        if not recursive and (item.search_clause is not None or item.cycle_clause is not None):
            raise fail(SqlSyntaxError, "WITH query is not recursive", item.location or 0)
        cte = _recursive(scope, item) if recursive else _plain(scope, item)
        scope.ctes[item.ctename] = cte
        scope.query.ctes.append(cte)
    scope.pending_cte = ()


def _check_change(scope: Scope, item: ast.CommonTableExpr) -> None:
    location = item.location or 0
    if isinstance(item.ctequery, ast.MergeStmt):
        raise fail(NotSupported, "MERGE not supported in WITH query", location)
    if isinstance(item.ctequery, _CHANGES) and scope.parent is not None and not scope.parent.is_around_rule:
        message = "WITH clause containing a data-modifying statement must be at the top level"
        raise fail(NotSupported, message, location)


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


def _names(targets: list[Target]) -> tuple[str, ...]:
    return tuple([target.name for target in targets if not target.junk])


def _plain(scope: Scope, item: ast.CommonTableExpr) -> CommonTable:
    from compute_node.sql.analyze.select import analyze_select

    if isinstance(item.ctequery, _CHANGES):
        query = _change(scope.child(), item.ctequery)
        written = WrittenItem(item, _names(query.returning))
        _rename(query.returning, item)
        return CommonTable(item.ctename, query, materialized=True, written=written)
    query = analyze_select(scope.child(), item.ctequery)
    written = WrittenItem(item, _names(query.targets))
    _rename(query.targets, item)
    return CommonTable(item.ctename, query, materialized=_materialized(item), written=written)


def _change(scope: Scope, node: ast.Node) -> Query:
    """A data-modifying item."""
    from compute_node.sql.analyze.dml import analyze_delete, analyze_insert, analyze_update

    if isinstance(node, ast.InsertStmt):
        return analyze_insert(scope, node)
    return analyze_update(scope, node) if isinstance(node, ast.UpdateStmt) else analyze_delete(scope, node)


def _recursive(scope: Scope, item: ast.CommonTableExpr) -> CommonTable:
    """``non-recursive UNION [ALL] recursive``. The column types are those of the non-recursive term (42804
    otherwise)."""
    from compute_node.sql.analyze.select import analyze_select
    from compute_node.sql.analyze.set_operations import finish_set_operation, visible

    node, name = item.ctequery, item.ctename
    body = scope.child()
    if node.withClause is not None:
        transform_with(body, node.withClause)
    initial = analyze_select(body.child(), node.larg, resolve_unknowns=False)
    for target in initial.targets:
        target.expression = resolve_unknown(scope, target.expression)
    shown = Query("select", targets=[Target(target.expression, target.name) for target in visible(initial)])
    _rename(shown.targets, item)
    names = [target.name for target in shown.targets]
    extra = read_clauses(scope, item, names)
    cte = CommonTable(name, shown, recursive=True, materialized=_materialized(item))
    if extra is not None:
        shown.targets += [Target(Const(type=kind, value=None), each) for each, kind in extra.columns()]
        cte.hidden = len(extra.columns())
    body.ctes[name] = cte
    recursive = analyze_select(body.child(), node.rarg, resolve_unknowns=False)
    del body.ctes[name]
    if extra is not None:
        check_names(extra, names)
        check_terms(item)
    parts = [each for target in recursive.targets for each in walk(target.expression)]
    aggregate = next((each for each in parts if isinstance(each, AggregateCall) and each.levels_up == 0), None)
    if aggregate is not None:
        message = "aggregate functions are not allowed in a recursive query's recursive term"
        raise fail(InvalidRecursion, message, aggregate.location)
    ones, others = visible(initial), visible(recursive)
    if len(ones) != len(others):
        raise fail(
            SqlSyntaxError, "each UNION query must have the same number of columns", start_of(others[0].expression)
        )
    for index, (one, other) in enumerate(zip(ones, others, strict=True)):
        wanted = one.expression.type
        expr = other.expression
        if expr.type == oids.UNKNOWN:
            expr = coerce_to_common(scope, expr, wanted, "UNION")
        if expr.type != wanted:
            select_common_type(scope, [one.expression, expr], "UNION")
            converted = coerce(scope, expr, wanted)
            if converted is None or _would_win(scope, wanted, expr.type):
                have, overall = format_type(scope.catalog, wanted), format_type(scope.catalog, expr.type)
                raise fail(
                    DatatypeMismatch,
                    f'recursive query "{name}" column {index + 1} has type {have} in non-recursive term '
                    f"but type {overall} overall",
                    start_of(one.expression),
                    hint="Cast the output of the non-recursive term to the correct type.",
                )
            expr = converted
        other.expression = expr
        typmod = one.expression.typmod
        if typmod >= 0 and common_typmod([one.expression, expr], wanted) != typmod:
            have, overall = format_type(scope.catalog, wanted, typmod), format_type(scope.catalog, wanted)
            raise fail(
                DatatypeMismatch,
                f'recursive query "{name}" column {index + 1} has type {have} in non-recursive term '
                f"but type {overall} overall",
                start_of(one.expression),
                hint="Cast the output of the non-recursive term to the correct type.",
            )
    written = WrittenItem(item, _names(initial.targets))
    if extra is not None:
        written = WrittenItem(item, written.names, extra.mark, extra.unmarked, (initial, copy(recursive)))
        initial = extended_initial(scope, extra, initial, names)
        recursive = extended_recursive(scope, extra, recursive, names)
    query = body.query
    query.set_op = ("union", bool(node.all), initial, recursive)
    finish_set_operation(body, query, initial, recursive)
    _rename(query.targets, item)
    return CommonTable(name, query, recursive=True, materialized=_materialized(item), written=written)


def _would_win(scope: Scope, own: int, other: int) -> bool:
    """Whether the common type of the two would be the other one."""
    from compute_node.sql.analyze.coercion import common_type_or_none

    return common_type_or_none(scope.catalog, [own, other]) != own
