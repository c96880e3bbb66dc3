"""Target lists: stars, names, origins; and the assignments of INSERT and UPDATE."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pglast import ast

from aurora.errors import DatatypeMismatch, NotSupported, SqlSyntaxError, UndefinedColumn
from compute_node.relations.descriptors import ColumnDesc
from compute_node.sql.analyze.coercion import coerce
from compute_node.sql.analyze.context import NameItem, Scope, fail
from compute_node.sql.analyze.expressions import transform, transform_assigned
from compute_node.sql.analyze.names import at, fields_of, find_table, missing_table, split_fields
from compute_node.sql.analyze.naming import column_name
from compute_node.sql.analyze.routines import find_argument
from compute_node.sql.analyze.typenames import format_type
from compute_node.sql.expressions import Expr, Var, leftmost_location
from compute_node.sql.query import Target
from compute_node.types import oids


def origin(scope: Scope, expr: Expr) -> tuple[int, int]:
    """(table OID, attno) of a plain column reference, for RowDescription; (0, 0) otherwise."""
    if not isinstance(expr, Var) or expr.attno <= 0:
        return 0, 0
    current = scope
    for _ in range(expr.levels_up):
        if current.parent is None:
            return 0, 0
        current = current.parent
    entry = current.query.range_table[expr.rte]
    if entry.relation is not None:
        return entry.relation.oid, expr.attno
    if entry.query is not None:
        visible = [item for item in entry.query.targets if not item.junk]
        if expr.attno <= len(visible):
            return visible[expr.attno - 1].table, visible[expr.attno - 1].column
    return 0, 0


def make_target(scope: Scope, expr: Expr, name: str) -> Target:
    """A visible target-list entry."""
    table, column = origin(scope, expr)
    return Target(expr, name, table=table, column=column)


def _note_star(scope: Scope, node: ast.ColumnRef, items: Iterable[NameItem]) -> None:
    """What a star stands for now: who keeps the text writes the columns instead."""
    if not scope.analysis.view_depth:
        columns = [
            (item.alias if item.table_visible else None, name)
            for item in items
            for index, name in enumerate(item.names)
            if index not in item.dropped and index not in item.unexpanded
        ]
        scope.analysis.stars[id(node)] = (node, columns)


def _star_columns(item: NameItem, level: int, location: int) -> Iterator[tuple[str, Expr]]:
    for index, (name, column) in enumerate(zip(item.names, item.columns, strict=True)):
        if index not in item.dropped and index not in item.unexpanded:
            yield name, at(column, level, location)


def expand_star(scope: Scope, node: ast.ColumnRef) -> list[tuple[str, Expr]]:
    """``*`` or ``t.*`` as (name, expression) pairs."""
    location = node.location if node.location is not None else -1
    if len(node.fields) == 1:
        visible = [item for item in scope.items if item.columns_visible and not item.lateral_only]
        if not visible:
            raise fail(SqlSyntaxError, "SELECT * with no tables specified is not valid", location)
        _note_star(scope, node, visible)
        return [pair for item in visible for pair in _star_columns(item, 0, location)]
    schema, table, _ = split_fields(scope, node)
    entry = find_table(scope, schema, table or "", location)
    if entry is None:
        names = (table or "",) if schema is None else (schema, table or "")
        argument = find_argument(scope, names, location)
        if argument is not None:
            return expand_fields(scope, argument, location)
        raise missing_table(scope, table or "", location, schema)
    _note_star(scope, node, entry[:1])
    return list(_star_columns(entry[0], entry[1], location))


def expand_fields(scope: Scope, argument: Expr, location: int) -> list[tuple[str, Expr]]:
    """``(composite).*`` as (name, expression) pairs."""
    if isinstance(argument, Var) and argument.attno == 0:
        current = scope
        for _ in range(argument.levels_up):
            if current.parent is not None:
                current = current.parent
        for item in current.items:
            if item.rte == argument.rte:
                return list(_star_columns(item, argument.levels_up, location))
    fields = fields_of(scope, argument)
    if fields is None and argument.type == oids.RECORD:
        raise fail(DatatypeMismatch, "record type has not been registered", location)
    if fields is None:
        shown = format_type(scope.catalog, argument.type)
        raise fail(DatatypeMismatch, f"type {shown} is not composite", location)
    return fields


def expand_row_items(scope: Scope, nodes: Iterable[ast.Node], allow_default: bool = False) -> list[Expr]:
    """The items of ROW(…) or VALUES with stars expanded."""
    items: list[Expr] = []
    for node in nodes:
        if isinstance(node, ast.ColumnRef) and isinstance(node.fields[-1], ast.A_Star):
            items += [expr for _, expr in expand_star(scope, node)]
        elif isinstance(node, ast.A_Indirection) and isinstance(node.indirection[-1], ast.A_Star):
            inner = node.arg
            if len(node.indirection) > 1:
                inner = ast.A_Indirection(arg=node.arg, indirection=node.indirection[:-1])
            items += [expr for _, expr in expand_fields(scope, transform(scope, inner), node.location or -1)]
        else:
            items.append(transform_assigned(scope, node) if allow_default else transform(scope, node))
    return items


def transform_targets(scope: Scope, nodes: Sequence[ast.ResTarget]) -> list[Target]:
    """A SELECT or RETURNING list."""
    targets: list[Target] = []
    for node in nodes:
        value = node.val
        if isinstance(value, ast.ColumnRef) and isinstance(value.fields[-1], ast.A_Star):
            targets += [make_target(scope, expr, name) for name, expr in expand_star(scope, value)]
            continue
        if isinstance(value, ast.A_Indirection) and isinstance(value.indirection[-1], ast.A_Star):
            inner = value.arg
            if len(value.indirection) > 1:
                inner = ast.A_Indirection(arg=value.arg, indirection=value.indirection[:-1])
            argument = transform(scope, inner)
            pairs = expand_fields(scope, argument, node.location or 0)
            targets += [make_target(scope, expr, name) for name, expr in pairs]
            continue
        expr = transform(scope, value)
        targets.append(make_target(scope, expr, node.name or column_name(value)))
    return targets


def assign(scope: Scope, expr: Expr, column: ColumnDesc, location: int, node: ast.Node | None = None) -> Expr:
    """A value as what is stored in the column (assignment cast and typmod). Raises 42804 with PostgreSQL's hint."""
    result = coerce(scope, expr, column.type, column.typmod, "a", -1)
    if result is None:
        catalog = scope.catalog
        names = f"{format_type(catalog, column.type)} but expression is of type {format_type(catalog, expr.type)}"
        where = leftmost_location(expr)
        raise fail(
            DatatypeMismatch,
            f'column "{column.name}" is of type {names}',
            where if where >= 0 else location,
            hint="You will need to rewrite or cast the expression.",
        )
    return result


def target_column(columns: Sequence[ColumnDesc], relation: str, name: str, location: int) -> ColumnDesc:
    """The table column that INSERT or UPDATE names; 42703 ``column "x" of relation "t" does not exist``."""
    for item in columns:
        if item.name == name and not item.dropped:
            return item
    if name in ("ctid", "xmin", "cmin", "xmax", "cmax", "tableoid"):
        raise fail(NotSupported, f'cannot assign to system column "{name}"', location)
    raise fail(UndefinedColumn, f'column "{name}" of relation "{relation}" does not exist', location)
