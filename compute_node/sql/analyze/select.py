"""SELECT: plain queries, VALUES and set operations, with ORDER BY, DISTINCT, LIMIT and the locking clause."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from pglast import ast

from aurora.errors import (
    AmbiguousColumn,
    GroupingError,
    InvalidColumnReference,
    InvalidRowCountInLimit,
    NotSupported,
    SqlSyntaxError,
    UndefinedTable,
    WindowingError,
    WrongObjectType,
)
from compute_node.hub import HUB
from compute_node.sql.analyze.aggregates import check_grouping
from compute_node.sql.analyze.coercion import coerce_to, coerce_to_common, common_typmod, select_common_type
from compute_node.sql.analyze.context import Scope, fail
from compute_node.sql.analyze.ctes import transform_with
from compute_node.sql.analyze.expressions import expression_location, transform, transform_where
from compute_node.sql.analyze.from_clause import entry_columns, transform_from
from compute_node.sql.analyze.functions import resolve_unknown
from compute_node.sql.analyze.grouping import transform_group_by
from compute_node.sql.analyze.names import find_column
from compute_node.sql.analyze.operators import check_groupable, check_sortable
from compute_node.sql.analyze.targets import expand_row_items, transform_targets
from compute_node.sql.analyze.windows import define_windows
from compute_node.sql.expressions import AggregateCall, Expr, SortKey, WindowCall, walk
from compute_node.sql.parse import literal_location
from compute_node.sql.query import FromItem, Query, RangeEntry, Target
from compute_node.types import oids

_STRENGTH = {1: "key share", 2: "share", 3: "no key update", 4: "update"}
_WAIT = {0: "block", 1: "skip", 2: "nowait"}


def analyze_select(scope: Scope, node: ast.SelectStmt, resolve_unknowns: bool = True) -> Query:
    """Analyze a SELECT, VALUES or set operation into ``scope.query`` and return it."""
    if not isinstance(node, ast.SelectStmt):
        raise NotSupported(f"{type(node).__name__} is not supported here")
    if node.intoClause is not None:
        raise fail(SqlSyntaxError, "SELECT ... INTO is not allowed here", -1)
    if node.withClause is not None:
        transform_with(scope, node.withClause)
    if node.valuesLists:
        return _values(scope, node, resolve_unknowns)
    if node.op is not None and int(node.op) != 0:
        from compute_node.sql.analyze.set_operations import analyze_set_operation

        return analyze_set_operation(scope, node)
    return _plain(scope, node, resolve_unknowns)


def _plain(scope: Scope, node: ast.SelectStmt, resolve_unknowns: bool) -> Query:
    query = scope.query
    scope.windows = list(node.windowClause or ())
    transform_from(scope, node.fromClause)
    matching = bool(
        node.groupClause or node.sortClause or node.distinctClause or node.havingClause or node.windowClause
    )
    scope.analysis.keep_depth += matching
    scope.clause = "SELECT"
    query.targets = transform_targets(scope, node.targetList or ())
    scope.analysis.keep_depth -= matching
    query.where = transform_where(scope, node.whereClause, "WHERE")
    scope.analysis.keep_depth += matching
    query.having = transform_where(scope, node.havingClause, "HAVING")
    order_targets = _order_by(scope, node.sortClause or ())
    written = len(order_targets)
    transform_group_by(scope, node)
    if resolve_unknowns:
        for target in query.targets:
            target.expression = resolve_unknown(scope, target.expression)
    _distinct(scope, node, order_targets)
    query.order_written = written
    query.order_by = tuple(order_targets)
    for key in query.order_by:
        check_sortable(
            scope, query.targets[key.expression].expression.type, query.targets[key.expression].expression.location
        )
    scope.analysis.keep_depth -= matching
    transform_limit(scope, node)
    if scope.windows:
        define_windows(scope)
    if query.has_aggregates or query.group_by or query.having is not None:
        check_grouping(scope, query)
    if scope.has_srf:
        query.has_srfs = True
    for locking in node.lockingClause or ():
        _locking(scope, locking)
    return query


# --- ORDER BY, GROUP BY, DISTINCT -----------------------------------------------------------------------------------


def sort_direction(item: ast.SortBy) -> tuple[bool, bool]:
    """(descending, nulls first) of a SortBy; NULLs sort as larger than everything unless said otherwise."""
    direction = item.sortby_dir.name
    if direction == "SORTBY_USING":
        name = item.useOp[-1].sval
        if name not in ("<", ">"):
            raise fail(
                SqlSyntaxError,
                f"operator {name} is not a valid ordering operator",
                item.location or 0,
                hint='Ordering operators must be "<" or ">" members of btree operator families.',
            )
        descending = name == ">"
    else:
        descending = direction == "SORTBY_DESC"
    nulls = item.sortby_nulls.name
    nulls_first = descending if nulls == "SORTBY_NULLS_DEFAULT" else nulls == "SORTBY_NULLS_FIRST"
    return descending, nulls_first


def find_target(scope: Scope, node: ast.Node, clause: str) -> int:
    """The target-list index of an ORDER BY, GROUP BY or DISTINCT ON item (SQL-92 names and ordinals first, then an
    expression, added as junk when it is not there)."""
    targets = scope.query.targets
    if isinstance(node, ast.ColumnRef) and len(node.fields) == 1 and isinstance(node.fields[0], ast.String):
        name = node.fields[0].sval
        location = node.location if node.location is not None else -1
        if clause != "GROUP BY" or find_column(scope, name, location) is None:
            found = -1
            for index, target in enumerate(targets):
                if not target.junk and target.name == name:
                    if found >= 0 and target.expression != targets[found].expression:
                        raise fail(AmbiguousColumn, f'{clause} "{name}" is ambiguous', location)
                    found = index if found < 0 else found
            if found >= 0:
                return _groupable_target(targets[found], found, clause)
    if isinstance(node, ast.A_Const):
        location = literal_location(node)
        if isinstance(node.val, ast.Integer):
            if location >= 0:
                scope.analysis.kept.add(location)
            position = node.val.ival or 0
            visible = [index for index, target in enumerate(targets) if not target.junk]
            if not 1 <= position <= len(visible):
                raise fail(InvalidColumnReference, f"{clause} position {position} is not in select list", location)
            found = visible[position - 1]
            return _groupable_target(targets[found], found, clause)
        raise fail(SqlSyntaxError, f"non-integer constant in {clause}", location)
    return find_expression(scope, node, clause)


def _groupable_target(target: Target, index: int, clause: str) -> int:
    """The index of a target that GROUP BY names by its name or number: it may hold no aggregate or window function."""
    if clause == "GROUP BY":
        for item in walk(target.expression):
            if isinstance(item, AggregateCall) and not item.levels_up:
                raise fail(GroupingError, "aggregate functions are not allowed in GROUP BY", item.location)
            if isinstance(item, WindowCall):
                raise fail(WindowingError, "window functions are not allowed in GROUP BY", item.location)
    return index


def find_expression(scope: Scope, node: ast.Node, clause: str) -> int:
    """The index of the target that is this expression, added as junk when there is none."""
    targets = scope.query.targets
    previous, scope.clause = scope.clause, clause
    try:
        expr = transform(scope, node)
    finally:
        scope.clause = previous
    for index, target in enumerate(targets):
        if target.expression == expr:
            return index
    targets.append(Target(resolve_unknown(scope, expr), "?column?", junk=True))
    return len(targets) - 1


def _order_by(scope: Scope, items: Sequence[ast.SortBy]) -> list[SortKey[int]]:
    keys: list[SortKey[int]] = []
    for item in items:
        index = find_target(scope, item.node, "ORDER BY")
        target = scope.query.targets[index]
        target.expression = resolve_unknown(scope, target.expression)
        descending, nulls_first = sort_direction(item)
        if all(key.expression != index for key in keys):
            keys.append(SortKey(index, target.expression.type, descending, nulls_first))
    return keys


def _distinct(scope: Scope, node: ast.SelectStmt, order: list[SortKey[int]]) -> None:
    query = scope.query
    clause = node.distinctClause
    if not clause:
        return
    items = [item for item in clause if item is not None]
    for target in query.targets:
        target.expression = resolve_unknown(scope, target.expression)
    if not items:
        query.distinct = True
        for key in order:
            target = query.targets[key.expression]
            if target.junk:
                raise fail(
                    InvalidColumnReference,
                    "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
                    target.expression.location,
                )
        for target in query.targets:
            if not target.junk:
                check_groupable(scope, target.expression.type, target.expression.location)
        return
    chosen = []
    locations: dict[int, int] = {}
    for item in items:
        index = find_target(scope, item, "DISTINCT ON")
        locations.setdefault(index, getattr(item, "location", None) or -1)
        check_groupable(scope, query.targets[index].expression.type, query.targets[index].expression.location)
        if index not in chosen:
            chosen.append(index)
    keys = [key.expression for key in order]
    leading = 0
    while leading < len(keys) and keys[leading] in chosen:
        leading += 1
    late = [index for index in keys[leading:] if index in chosen and index not in keys[:leading]]
    if leading < len(keys):
        late += [index for index in chosen if index not in keys]
    if late:
        raise fail(
            InvalidColumnReference,
            "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
            locations[late[0]],
        )
    ordered = {key.expression for key in order}
    for index in chosen:
        if index not in ordered:
            order.append(SortKey(index, query.targets[index].expression.type))
    query.distinct = True
    query.distinct_on = tuple(chosen)


# --- LIMIT, locking -------------------------------------------------------------------------------------------------


def transform_limit(scope: Scope, node: ast.SelectStmt) -> None:
    """LIMIT, OFFSET and WITH TIES as int8 expressions without columns of this query."""
    query = scope.query
    for clause, value in (("LIMIT", node.limitCount), ("OFFSET", node.limitOffset)):
        if value is None:
            continue
        if isinstance(value, ast.A_Const) and value.isnull and clause == "LIMIT":
            if node.limitOption is not None and node.limitOption.name == "LIMIT_OPTION_WITH_TIES":
                raise InvalidRowCountInLimit("row count cannot be null in FETCH FIRST ... WITH TIES clause")
            continue
        previous, scope.clause = scope.clause, clause
        items, scope.items = scope.items, []
        try:
            saved = scope.items
            scope.items = items
            expr = transform(scope, value)
            scope.items = saved
            expr = coerce_to(scope, expr, oids.INT8, clause)
            _no_columns(expr, clause)
        finally:
            scope.clause, scope.items = previous, items
        if clause == "LIMIT":
            query.limit = expr
        else:
            query.offset = expr
    if node.limitOption is not None and node.limitOption.name == "LIMIT_OPTION_WITH_TIES":
        if not query.order_by:
            raise SqlSyntaxError("WITH TIES cannot be specified without ORDER BY clause")
        query.with_ties = True


def _no_columns(expr: Expr, clause: str) -> None:
    from compute_node.sql.expressions import Var, walk

    for item in walk(expr):
        if isinstance(item, Var) and item.levels_up == 0:
            raise fail(InvalidColumnReference, f"argument of {clause} must not contain variables", item.location)


_LOCKED_KINDS = ("relation", "subquery")
_NOT_LOCKED = {"join": "a join", "function": "a function", "values": "VALUES", "cte": "a WITH query"}


def lock_words(node: ast.LockingClause) -> str:
    """A locking clause as messages name it."""
    return f"FOR {_STRENGTH[int(node.strength)].upper()}"


def _locking(scope: Scope, node: ast.LockingClause) -> None:
    query = scope.query
    strength, wait = _STRENGTH[int(node.strength)], _WAIT[int(node.waitPolicy)]
    shown = f"FOR {strength.upper()}"
    entries = None
    if node.lockedRels:
        entries = []
        for item in node.lockedRels:
            location = item.location if item.location is not None else -1
            if item.schemaname:
                raise fail(SqlSyntaxError, f"{shown} must specify unqualified relation names", location)
            for index, entry in enumerate(query.range_table):
                if entry.alias == item.relname:
                    if entry.kind not in _LOCKED_KINDS:
                        what = _NOT_LOCKED.get(entry.kind, f"a {entry.kind}")
                        raise fail(NotSupported, f"{shown} cannot be applied to {what}", location)
                    entries.append(index)
                    break
            else:
                message = f'relation "{item.relname}" in {shown} clause not found in FROM clause'
                raise fail(UndefinedTable, message, location)
    _lock_entries(query, strength, wait, entries)


def _lock_entries(query: Query, strength: str, wait: str, entries: list[int] | None) -> None:
    """Lock the rows of these range entries (None: of all tables and sub-selects); those of a sub-select are the rows of
    all that it reads."""
    shown = f"FOR {strength.upper()}"
    for condition, what in (
        (query.set_op is not None, "UNION/INTERSECT/EXCEPT"),
        (query.distinct, "DISTINCT clause"),
        (bool(query.group_by), "GROUP BY clause"),
        (query.having is not None, "HAVING clause"),
        (query.has_aggregates, "aggregate functions"),
        (query.has_windows, "window functions"),
        (query.has_srfs, "set-returning functions in the target list"),
    ):
        if condition:
            raise NotSupported(f"{shown} is not allowed with {what}")
    if entries is None:
        entries = [index for index, entry in enumerate(query.range_table) if entry.kind in _LOCKED_KINDS]
    for index in entries:
        entry = query.range_table[index]
        if entry.relation is not None and entry.relation.kind == "t":
            raise WrongObjectType(f'cannot lock rows in TOAST relation "{entry.relation.name}"')
        if entry.relation is not None and entry.relation.kind == "m":
            raise WrongObjectType(f'cannot lock rows in materialized view "{entry.relation.name}"')
        if entry.kind == "subquery" and entry.query is not None:
            # A view's query is shared: the locked one is a copy.
            inner = dataclasses.replace(entry.query, range_table=list(entry.query.range_table))
            _lock_entries(inner, strength, wait, None)
            query.range_table[index] = dataclasses.replace(entry, query=inner)
    query.locking += ((strength, wait, tuple(entries)),)


# --- VALUES ---------------------------------------------------------------------------------------------------------


def transform_rows(scope: Scope, lists: Sequence[Sequence[ast.Node]], allow_default: bool) -> list[list[Expr]]:
    """The rows of VALUES, all of one length, not yet of common types."""
    previous, scope.clause = scope.clause, "VALUES ROW" if allow_default and len(lists) == 1 else "VALUES"
    rows: list[list[Expr]] = []
    try:
        for row in lists:
            values = expand_row_items(scope, row, allow_default)
            if rows and len(values) != len(rows[0]):
                raise fail(
                    SqlSyntaxError, "VALUES lists must all be the same length", values[0].location if values else -1
                )
            rows.append(values)
    finally:
        scope.clause = previous
    return rows


def _values(scope: Scope, node: ast.SelectStmt, resolve_unknowns: bool) -> Query:
    query = scope.query
    rows = transform_rows(scope, node.valuesLists, allow_default=False)
    types, typmods = [], []
    for index in range(len(rows[0])):
        column = [row[index] for row in rows]
        if not resolve_unknowns and len(rows) == 1:
            types.append(column[0].type)
            typmods.append(column[0].typmod)
            continue
        common = select_common_type(scope, column, "VALUES")
        for row, value in zip(rows, column, strict=True):
            HUB.pulse()
            row[index] = coerce_to_common(scope, value, common, "VALUES")
        types.append(common)
        typmods.append(common_typmod([row[index] for row in rows], common))
    names = tuple(f"column{index + 1}" for index in range(len(types)))
    entry = RangeEntry(
        "values",
        "*VALUES*",
        names,
        tuple(types),
        tuple(typmods),
        values=tuple([tuple(row) for row in rows]),
        lateral=True,
    )
    rte = scope.add_entry(entry)
    query.from_items.append(FromItem(rte))
    columns = entry_columns(rte, entry)
    query.targets = [Target(column, name) for column, name in zip(columns, names, strict=True)]
    from compute_node.sql.analyze.context import NameItem

    scope.items = [NameItem(rte, "*VALUES*", names, columns)]
    query.order_by = tuple(_order_by(scope, node.sortClause or ()))
    transform_limit(scope, node)
    if node.lockingClause:
        raise NotSupported("FOR UPDATE cannot be applied to VALUES")
    return query


def order_by_output(scope: Scope, items: Sequence[ast.SortBy]) -> tuple[SortKey[int], ...]:
    """ORDER BY of a set operation: only output names and ordinals."""
    keys: list[SortKey[int]] = []
    count = len(scope.query.targets)
    for item in items:
        index = find_target(scope, item.node, "ORDER BY")
        if index >= count:
            raise fail(
                NotSupported,
                "invalid UNION/INTERSECT/EXCEPT ORDER BY clause",
                expression_location(item.node),
                detail="Only result column names can be used, not expressions or functions.",
                hint="Add the expression/function to every SELECT, or move the UNION into a FROM clause.",
            )
        descending, nulls_first = sort_direction(item)
        keys.append(SortKey(index, scope.query.targets[index].expression.type, descending, nulls_first))
    return tuple(keys)
