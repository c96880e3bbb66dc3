"""FROM: range entries, joins, visible names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pglast import ast

from aurora.errors import (
    AmbiguousColumn,
    DatatypeMismatch,
    DuplicateAlias,
    DuplicateColumn,
    InsufficientPrivilege,
    InvalidColumnReference,
    InvalidSchemaName,
    NotSupported,
    StatementTooComplex,
    UndefinedColumn,
    UndefinedTable,
    WrongObjectType,
)
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.sql.analyze.coercion import coerce_to_common, select_common_type
from compute_node.sql.analyze.context import Analysis, NameItem, Scope, fail, session_env, stored_env
from compute_node.sql.analyze.expressions import transform_where
from compute_node.sql.analyze.operators import make_operator
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import And, Coalesce, Expr, Var
from compute_node.sql.query import CommonTable, FromItem, JoinItem, Query, RangeEntry
from compute_node.types import oids

_USUAL_COLLATIONS = frozenset({0, 100})
_CATALOG_COLLATIONS = frozenset({0, 100, 950})
"""the catalogs' texts are in C, which asks for the pass only beside another one"""
_READABLE = frozenset("rvmptSf")


def transform_from(scope: Scope, nodes: Sequence[ast.Node] | None) -> None:
    """The whole FROM list: fills the scope's range table, from_items and visible names."""
    items: list[NameItem] = []
    for node in nodes or ():
        joined, visible = _item(scope, node, items)
        _check_unique(scope.items + items, visible)
        items += visible
        scope.query.from_items.append(joined)
    for item in items:
        item.lateral_only = False
        item.lateral_ok = True
    scope.items = scope.items + [item for item in items if item not in scope.items]


def _check_unique(existing: list[NameItem], added: list[NameItem]) -> None:
    for new in added:
        if not new.table_visible or not new.alias:
            continue
        for old in existing:
            if old.table_visible and old.alias == new.alias:
                same_schema = old.relation is not None and new.relation is not None and old.schema != new.schema
                if same_schema and old.alias == (old.relation and old.relation.name):
                    continue
                raise DuplicateAlias(f'table name "{new.alias}" specified more than once')


def from_item(scope: Scope, node: ast.Node) -> tuple[FromItem | JoinItem, list[NameItem]]:
    """One FROM item by itself, and what it offers to name resolution."""
    return _item(scope, node, [])


def _item(scope: Scope, node: ast.Node, left: list[NameItem]) -> tuple[FromItem | JoinItem, list[NameItem]]:
    """One FROM item; ``left`` are the entries a LATERAL item may reference."""
    if isinstance(node, ast.RangeVar):
        item = range_var(scope, node)
        return FromItem(item.rte), [item]
    if isinstance(node, ast.RangeTableSample):
        from compute_node.sql.analyze.samples import range_sample

        return _lateral(scope, left, True, lambda: range_sample(scope, node))
    if isinstance(node, ast.RangeSubselect):
        return _lateral(scope, left, bool(node.lateral), lambda: _subselect(scope, node))
    if isinstance(node, ast.RangeFunction):
        from compute_node.sql.analyze.from_functions import range_function

        return _lateral(scope, left, True, lambda: range_function(scope, node))
    if isinstance(node, ast.RangeTableFunc):
        from compute_node.sql.analyze.xml import range_xmltable

        return _lateral(scope, left, True, lambda: range_xmltable(scope, node))
    if isinstance(node, ast.JoinExpr):
        return _join(scope, node, left)
    raise NotSupported(f"{type(node).__name__} in FROM is not supported")


def _lateral(scope: Scope, left: list[NameItem], lateral: bool, build: Any) -> tuple[FromItem, list[NameItem]]:
    """Build a FROM item whose own expressions may see the entries to its left."""
    saved_items, saved_active = scope.items, scope.lateral_active
    for item in left:
        item.lateral_only = True
    scope.items = saved_items + left
    scope.lateral_active = lateral
    try:
        item = build()
    finally:
        scope.items, scope.lateral_active = saved_items, saved_active
    return FromItem(item.rte), [item]


def column_aliases(alias: ast.Alias | None, names: tuple[str, ...], shown: str) -> tuple[str, ...]:
    """Column names with the alias's column list applied; 42P10 when it is too long."""
    given = [item.sval for item in alias.colnames or ()] if alias is not None else []
    if len(given) > len(names):
        raise InvalidColumnReference(
            f'table "{shown}" has {len(names)} columns available but {len(given)} columns specified'
        )
    return tuple(given) + names[len(given) :]


def entry_columns(rte: int, entry: RangeEntry) -> tuple[Expr, ...]:
    """Vars for the columns of a range entry."""
    return tuple(
        Var(type=type_oid, typmod=typmod, rte=rte, attno=index + 1)
        for index, (type_oid, typmod) in enumerate(zip(entry.column_types, entry.column_typmods, strict=True))
    )


def find_cte(scope: Scope, name: str) -> tuple[CommonTable, int] | None:
    """A WITH item by name and how many levels out it is."""
    level, current = 0, scope
    while True:
        cte = current.ctes.get(name)
        if cte is not None:
            return cte, level
        if current.parent is None:
            return None
        level, current = level + 1, current.parent


def open_relation(scope: Scope, node: ast.RangeVar) -> RelationDesc:
    """The relation a RangeVar names. Raises 42P01, 3F000, 0A000 for another database."""
    location = node.location if node.location is not None else -1
    if node.catalogname:
        current = getattr(scope.catalog, "database", None)
        if current is not None and node.catalogname != current:
            shown = f"{node.catalogname}.{node.schemaname}.{node.relname}"
            raise fail(NotSupported, f'cross-database references are not implemented: "{shown}"', location)
    try:
        relation = scope.catalog.find_relation(node.schemaname, node.relname)
    except InvalidSchemaName:
        relation = None  # a query's answer to an unknown schema is that there is no such relation
    except InsufficientPrivilege as error:
        raise fail(InsufficientPrivilege, error.message, location) from None
    if relation is None:
        shown = f"{node.schemaname}.{node.relname}" if node.schemaname else node.relname
        pending = any(node.relname in level.pending_cte for level in _scopes(scope)) and not node.schemaname
        if pending:
            raise fail(
                UndefinedTable,
                f'relation "{shown}" does not exist',
                location,
                detail=f'There is a WITH item named "{shown}", '
                "but it cannot be referenced from this part of the query.",
                hint="Use WITH RECURSIVE, or re-order the WITH items to remove forward references.",
            )
        raise fail(UndefinedTable, f'relation "{shown}" does not exist', location)
    scope.analysis.relations.add(relation.oid)
    return relation


def _scopes(scope: Scope | None) -> list[Scope]:
    found = []
    while scope is not None:
        found.append(scope)
        scope = scope.parent
    return found


def relation_entry(scope: Scope, relation: RelationDesc, alias: ast.Alias | None, descends: bool = False) -> NameItem:
    """Add a table's range entry; dropped columns keep their place. ``descends``: with its descendants' rows."""
    usual = _USUAL_COLLATIONS if relation.oid >= FIRST_NORMAL_OID else _CATALOG_COLLATIONS
    if not scope.analysis.collated and not usual.issuperset([each.collation for each in relation.columns]):
        scope.analysis.collated = True
    shown = alias.aliasname if alias is not None else relation.name
    live = tuple(column.name for column in relation.columns if not column.dropped)
    renamed = iter(column_aliases(alias, live, shown))
    names = tuple("" if column.dropped else next(renamed) for column in relation.columns)
    entry = RangeEntry(
        "relation",
        shown,
        names,
        tuple(column.type for column in relation.columns),
        tuple(column.typmod for column in relation.columns),
        relation=relation,
        written=alias,
        descends=descends,
    )
    rte = scope.add_entry(entry)
    dropped = frozenset(index for index, column in enumerate(relation.columns) if column.dropped)
    item = NameItem(rte, shown, names, entry_columns(rte, entry), relation, relation.schema, dropped=dropped)
    item.system_columns = relation.kind != "v"  # it is the target of a change
    return item


class AnalyzedView(NamedTuple):
    """A view's query, the relations that it reads (OIDs), and whether it holds the time of its analysis."""

    query: Query
    relations: frozenset[int]
    momentary: bool


_NO_ROWS = {"c": "a composite type", "i": "an index", "I": "an index"}


def range_var(scope: Scope, node: ast.RangeVar) -> NameItem:
    """A table, view or CTE reference."""
    if not node.schemaname:
        found = find_cte(scope, node.relname)
        if found is not None:
            return _cte_entry(scope, node, *found)
    relation = open_relation(scope, node)
    if relation.kind in _NO_ROWS:
        raise fail(WrongObjectType, f'"{relation.name}" is {_NO_ROWS[relation.kind]}', node.location or 0)
    if relation.kind not in _READABLE:
        raise fail(
            WrongObjectType,
            f'cannot open relation "{relation.name}"',
            node.location if node.location is not None else -1,
            detail="This operation is not supported for this kind of relation.",
        )
    if relation.kind == "v":
        return _view_entry(scope, relation, node.alias, bool(node.inh))
    return relation_entry(scope, relation, node.alias, bool(node.inh))


def analyze_view(catalog: CatalogView, view: RelationDesc, session: object) -> AnalyzedView:
    """A view's query by itself, for a change of the view."""
    from compute_node.sql.analyze.collations import collate_query

    analysis = Analysis(catalog, [], "", session_env(session), allow_params=False)
    scope = Scope(analysis, Query("select"))
    query = _view_query(scope, view)
    if analysis.collated:
        collate_query(scope, query)
    return AnalyzedView(query, frozenset(analysis.relations), analysis.momentary)


def _view_entry(scope: Scope, relation: RelationDesc, alias: ast.Alias | None, descends: bool) -> NameItem:
    """A view reference: its stored SELECT, analyzed as a sub-select of its own."""
    query = _view_query(scope, relation)
    shown = alias.aliasname if alias is not None else relation.name
    visible = [item for item in query.targets if not item.junk]
    given = tuple(column.name for column in relation.columns) or tuple(item.name for item in visible)
    entry = RangeEntry(
        "subquery",
        shown,
        column_aliases(alias, given, shown),
        tuple(item.expression.type for item in visible),
        tuple(item.expression.typmod for item in visible),
        relation=relation,
        query=query,
        written=alias,
        descends=descends,
    )
    rte = scope.add_entry(entry)
    return NameItem(rte, shown, entry.column_names, entry_columns(rte, entry), relation, relation.schema)


def _view_query(scope: Scope, relation: RelationDesc) -> Query:
    """What a view selects."""
    from compute_node.sql.analyze.select import analyze_select
    from compute_node.sql.parse import parse

    analysis = scope.analysis
    if analysis.view_depth >= 50:
        raise StatementTooComplex(f'infinite recursion detected in rules for relation "{relation.name}"')
    statement = parse(relation.view_sql or "")[0].node
    lifted, source, allowed = analysis.lifted, analysis.source, analysis.allow_params
    analysis.lifted, analysis.source, analysis.allow_params = {}, relation.view_sql or "", False
    catalog, analysis.catalog = analysis.catalog, analysis.catalog.of_view()
    env, analysis.env = analysis.env, stored_env(analysis.env)
    analysis.view_depth += 1
    try:
        return analyze_select(Scope(analysis, Query("select")), statement, resolve_unknowns=True)
    finally:
        analysis.lifted, analysis.source, analysis.allow_params = lifted, source, allowed
        analysis.catalog, analysis.env = catalog, env
        analysis.view_depth -= 1


def _cte_entry(scope: Scope, node: ast.RangeVar, cte: CommonTable, level: int) -> NameItem:
    shown = node.alias.aliasname if node.alias is not None else node.relname
    query = cte.query
    source = query.returning if query.command != "select" else query.targets
    visible = [item for item in source if not item.junk]
    if query.command != "select" and not visible:
        raise fail(
            NotSupported,
            f'WITH query "{cte.name}" does not have a RETURNING clause',
            node.location if node.location else -1,
        )
    entry = RangeEntry(
        "cte",
        shown,
        column_aliases(node.alias, tuple(item.name for item in visible), shown),
        tuple(item.expression.type for item in visible),
        tuple(item.expression.typmod for item in visible),
        cte=cte.name,
        cte_levels_up=level,
        written=node.alias,
    )
    rte = scope.add_entry(entry)
    hidden = frozenset(range(len(visible) - cte.hidden, len(visible)))
    return NameItem(rte, shown, entry.column_names, entry_columns(rte, entry), unexpanded=hidden)


def _subselect(scope: Scope, node: ast.RangeSubselect) -> NameItem:
    from compute_node.sql.analyze.select import analyze_select

    child = scope.child()
    clause, scope.clause = scope.clause, "FROM SUBSELECT"
    query = analyze_select(child, node.subquery, resolve_unknowns=True)
    scope.clause = clause
    shown = node.alias.aliasname if node.alias is not None else "unnamed_subquery"
    visible = [item for item in query.targets if not item.junk]
    entry = RangeEntry(
        "subquery",
        shown,
        column_aliases(node.alias, tuple(item.name for item in visible), shown),
        tuple(item.expression.type for item in visible),
        tuple(item.expression.typmod for item in visible),
        query=query,
        lateral=bool(node.lateral),
        written=node.alias,
    )
    rte = scope.add_entry(entry)
    return NameItem(rte, shown, entry.column_names, entry_columns(rte, entry), table_visible=node.alias is not None)


# --- joins ----------------------------------------------------------------------------------------------------------


def _join(scope: Scope, node: ast.JoinExpr, left: list[NameItem]) -> tuple[JoinItem, list[NameItem]]:
    kind = {0: "inner", 1: "left", 2: "full", 3: "right"}[int(node.jointype)]
    left_tree, left_items = _item(scope, node.larg, left)
    lateral_ok = kind in ("inner", "left")
    for item in left_items:
        item.lateral_ok = lateral_ok
    right_tree, right_items = _item(scope, node.rarg, left + left_items)
    for item in left_items:
        item.lateral_only, item.lateral_ok = False, True
    _check_unique(left_items, right_items)
    left_columns, right_columns = _flat(left_items), _flat(right_items)
    using = [item.sval for item in node.usingClause or ()]
    if node.isNatural:
        right_names = [name for name, _ in right_columns]
        using = [name for name, _ in left_columns if name in right_names]
        using = list(dict.fromkeys(using))
    saved_items, saved_active = scope.items, scope.lateral_active
    scope.items, scope.lateral_active = saved_items + left_items + right_items, False
    merged: list[tuple[str, Expr]] = []
    condition: Expr | None
    try:
        if using:
            condition, merged = _using(scope, kind, using, left_columns, right_columns)
        else:
            condition = transform_where(scope, node.quals, "JOIN/ON")
    finally:
        scope.items, scope.lateral_active = saved_items, saved_active
    rest = [pair for pair in left_columns + right_columns if pair[0] not in using]
    columns = merged + rest
    alias, named = node.alias, node.join_using_alias
    names = tuple(name for name, _ in columns)
    if alias is not None:
        names = column_aliases(alias, names, alias.aliasname)
    entry = RangeEntry(
        "join",
        alias.aliasname if alias is not None else named.aliasname if named is not None else "unnamed_join",
        names,
        tuple(expr.type for _, expr in columns),
        tuple(expr.typmod for _, expr in columns),
        join_aliases=tuple(expr for _, expr in columns),
        written=alias,
    )
    rte = scope.add_entry(entry)
    sides = [(dict(left_columns)[name], dict(right_columns)[name]) for name in using]
    columns_of_using = tuple((name, expr, *pair) for (name, expr), pair in zip(merged, sides, strict=True))
    tree = JoinItem(kind, left_tree, right_tree, condition, rte, columns_of_using, named.aliasname if named else "")
    members = left_items + right_items
    if named is not None:
        merged_names, values = zip(*merged, strict=True)
        members.append(NameItem(-1, named.aliasname, merged_names, values, columns_visible=False, hinted=False))
        _check_unique(members[:-1], members[-1:])
    item = NameItem(
        -1,
        entry.alias if alias is not None else "unnamed_join",
        names,
        tuple(expr for _, expr in columns),
        table_visible=alias is not None,
    )
    if alias is not None:
        return tree, [item]
    if not using:
        # without merged columns the members themselves serve unqualified names, in the same order
        return tree, members
    for member in members:
        member.columns_visible = False
    return tree, [*members, item]


def _flat(items: list[NameItem]) -> list[tuple[str, Expr]]:
    return [
        (name, column)
        for item in items
        if item.columns_visible
        for index, (name, column) in enumerate(zip(item.names, item.columns, strict=True))
        if index not in item.dropped
    ]


def _using(
    scope: Scope, kind: str, names: list[str], left: list[tuple[str, Expr]], right: list[tuple[str, Expr]]
) -> tuple[Expr, list[tuple[str, Expr]]]:
    """The condition and merged columns of USING (a, b) or NATURAL."""
    tests: list[Expr] = []
    merged: list[tuple[str, Expr]] = []
    for place, name in enumerate(names):
        if name in names[:place]:
            raise DuplicateColumn(f'column name "{name}" appears more than once in USING clause')
        pair = []
        for side, columns in (("left", left), ("right", right)):
            found = [expr for each, expr in columns if each == name]
            if not found:
                raise UndefinedColumn(f'column "{name}" specified in USING clause does not exist in {side} table')
            if len(found) > 1:
                raise AmbiguousColumn(f'common column name "{name}" appears more than once in {side} table')
            pair.append(found[0])
        one, other = pair
        test = make_operator(scope, None, "=", one, other, -1)
        if test.type != oids.BOOL:
            raise DatatypeMismatch("JOIN/USING requires an operator that yields boolean")
        tests.append(test)
        common = select_common_type(scope, [one, other], "JOIN/USING")
        one, other = (coerce_to_common(scope, item, common, "JOIN/USING") for item in (one, other))
        if kind == "right":
            value: Expr = other
        elif kind == "full":
            value = Coalesce(type=common, arguments=(one, other))
        else:
            value = one
        merged.append((name, value))
    condition = tests[0] if len(tests) == 1 else And(type=oids.BOOL, arguments=tuple(tests))
    return condition, merged
