"""Resolution of column references against the visible range entries, with PostgreSQL's errors and hints."""

from __future__ import annotations

from collections.abc import Iterator

from pglast import ast

from aurora.errors import AmbiguousAlias, AmbiguousColumn, NotSupported, SqlError, UndefinedColumn, UndefinedTable
from compute_node.sql.analyze.context import NameItem, Scope, fail, shift_levels
from compute_node.sql.analyze.routines import find_argument, output_columns
from compute_node.sql.expressions import Expr, FieldSelect, RowExpr, Var
from compute_node.types import oids

SYSTEM_COLUMNS = {
    "ctid": (-1, oids.TID),
    "xmin": (-2, oids.XID),
    "cmin": (-3, oids.CID),
    "xmax": (-4, oids.XID),
    "cmax": (-5, oids.CID),
    "tableoid": (-6, oids.OID),
}
SYSTEM_NAMES = {attno: name for name, (attno, _) in SYSTEM_COLUMNS.items()}


def _levels(scope: Scope) -> Iterator[tuple[int, Scope]]:
    level, current = 0, scope
    while True:
        yield level, current
        if current.parent is None:
            return
        level, current = level + 1, current.parent


def _usable(scope: Scope, item: NameItem, location: int) -> bool:
    """Whether a LATERAL-only entry may be referenced here; a FULL or RIGHT join's other side raises 42P10."""
    if not item.lateral_only:
        return True
    if not scope.lateral_active:
        return False
    if not item.lateral_ok:
        from aurora.errors import InvalidColumnReference

        raise fail(
            InvalidColumnReference,
            f'invalid reference to FROM-clause entry for table "{item.alias}"',
            location,
            detail="The combining JOIN type must be INNER or LEFT for a LATERAL reference.",
        )
    return True


def at(expr: Expr, level: int, location: int) -> Expr:
    """A column's expression as seen ``level`` query levels further in, with the reference's location."""
    if isinstance(expr, Var):
        return Var(
            type=expr.type,
            typmod=expr.typmod,
            rte=expr.rte,
            attno=expr.attno,
            levels_up=expr.levels_up + level,
            location=location,
        )
    return shift_levels(expr, level) if level else expr


def _column_of(item: NameItem, name: str, location: int) -> Expr | None:
    names = item.names
    if name not in names:
        return None
    found = None
    for index, each in enumerate(names):
        if each == name and index not in item.dropped:
            if found is not None:
                raise fail(AmbiguousColumn, f'column reference "{name}" is ambiguous', location)
            found = item.columns[index]
    return found


def _system_column(item: NameItem, name: str, level: int, location: int) -> Expr | None:
    if item.relation is None or item.relation.kind == "v" or name not in SYSTEM_COLUMNS:
        return None
    attno, type_oid = SYSTEM_COLUMNS[name]
    return Var(type=type_oid, rte=item.rte, attno=attno, levels_up=level, location=location)


def find_column(scope: Scope, name: str, location: int) -> Expr | None:
    """An unqualified column name, innermost level first; None when there is none. 42702 when ambiguous."""
    for level, current in _levels(scope):
        found = None
        for item in current.items:
            if not item.columns_visible:
                continue
            if name not in item.names and name not in SYSTEM_COLUMNS:
                continue
            column = _column_of(item, name, location) or _system_column(item, name, 0, location)
            if column is None or not _usable(current, item, location):
                continue
            if found is not None:
                raise fail(AmbiguousColumn, f'column reference "{name}" is ambiguous', location)
            found = column
        if found is not None:
            return at(found, level, location)
    return None


def find_table(scope: Scope, schema: str | None, name: str, location: int) -> tuple[NameItem, int] | None:
    """A visible range entry by (schema-qualified) name, and how many levels out it is. 42P09 when ambiguous."""
    for level, current in _levels(scope):
        found = None
        for item in current.items:
            if not item.table_visible or item.alias != name:
                continue
            if schema is not None and (item.relation is None or item.schema != schema):
                continue
            if not _usable(current, item, location):
                continue
            if found is not None:
                raise fail(AmbiguousAlias, f'table reference "{name}" is ambiguous', location)
            found = item
        if found is not None:
            return found, level
    return None


def whole_row(item: NameItem, level: int, location: int) -> Expr:
    """A reference to the entry's whole row: a composite for relations, a RowExpr of the columns otherwise."""
    if item.relation is not None and item.rte >= 0 and item.columns and all(isinstance(c, Var) for c in item.columns):
        row_type = item.relation.row_type or oids.RECORD
        return Var(type=row_type, rte=item.rte, attno=0, levels_up=level, location=location)
    columns = tuple(at(column, level, location) for column in item.columns)
    if len(columns) == 1 and item.relation is None and item.schema == "function":
        return columns[0]
    return RowExpr(type=oids.RECORD, arguments=columns, names=item.names, location=location)


def missing_table(scope: Scope, name: str, location: int, schema: str | None = None) -> SqlError:
    """42P01 for a qualifier that names no visible range entry."""
    shown = f"{schema}.{name}" if schema else name
    for _, current in _levels(scope):
        for item in current.items:
            relation = item.relation
            hint = None
            if relation is not None and relation.name == name and item.alias != name and item.table_visible:
                hint = f'Perhaps you meant to reference the table alias "{item.alias}".'
            elif item.alias == name:
                hint = (
                    f'There is an entry for table "{item.alias}", '
                    "but it cannot be referenced from this part of the query."
                )
            if hint is not None:
                message = f'invalid reference to FROM-clause entry for table "{shown}"'
                return fail(UndefinedTable, message, location, hint=hint)
    return fail(UndefinedTable, f'missing FROM-clause entry for table "{shown}"', location)


def _distance(one: str, other: str, limit: int) -> int:
    """Levenshtein distance, or ``limit`` + 1 when it is larger."""
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    previous = list(range(len(other) + 1))
    for index, left in enumerate(one, 1):
        current = [index]
        for position, right in enumerate(other, 1):
            current.append(min(previous[position] + 1, current[-1] + 1, previous[position - 1] + (left != right)))
        previous = current
    return min(previous[-1], limit + 1)


def missing_column(scope: Scope, name: str, qualifier: str | None, location: int) -> SqlError:
    """42703 with the hint for near names, as PostgreSQL chooses them."""
    message = f'column "{name}" does not exist' if qualifier is None else f"column {qualifier}.{name} does not exist"
    best: list[tuple[str, str]] = []
    limit = min(3, len(name) // 2)
    best_distance = limit + 1
    for _, current in _levels(scope):
        for item in current.items:
            extra = 0
            if qualifier is not None:
                extra = _distance(qualifier, item.alias, 3)
            for index, each in enumerate(item.names):
                if index in item.dropped or not each:
                    continue
                if each == name and (qualifier is None or item.alias == qualifier):
                    hint = (
                        f'There is a column named "{name}" in table "{item.alias}", '
                        "but it cannot be referenced from this part of the query."
                    )
                    return fail(UndefinedColumn, message, location, hint=hint)
                distance = _distance(name, each, 3) + extra
                if distance > limit or not item.alias or item.alias == "unnamed_join":
                    continue
                if distance < best_distance:
                    best, best_distance = [(item.alias, each)], distance
                elif distance == best_distance and (item.alias, each) not in best:
                    best.append((item.alias, each))
    closest: str | None = None
    if len(best) == 1:
        closest = f'Perhaps you meant to reference the column "{best[0][0]}.{best[0][1]}".'
    elif len(best) == 2:
        (a, b), (c, d) = best
        closest = f'Perhaps you meant to reference the column "{a}.{b}" or the column "{c}.{d}".'
    return fail(UndefinedColumn, message, location, hint=closest)


def split_fields(scope: Scope, node: ast.ColumnRef) -> tuple[str | None, str | None, str]:
    """(schema, table, column) of a dotted reference; the star is given as ``*``."""
    parts = [item.sval if isinstance(item, ast.String) else "*" for item in node.fields]
    if len(parts) > 4:
        from aurora.errors import SqlSyntaxError

        raise fail(SqlSyntaxError, f"improper qualified name (too many dotted names): {'.'.join(parts)}", node.location)
    if len(parts) == 4:
        parts = parts[1:]
    column = parts[-1]
    table = parts[-2] if len(parts) > 1 else None
    schema = parts[-3] if len(parts) > 2 else None
    return schema, table, column


def resolve_column(scope: Scope, node: ast.ColumnRef) -> Expr:
    """A ColumnRef (not a star) as an expression. Raises 42703, 42702, 42P01."""
    location = node.location if node.location is not None else -1
    schema, table, column = split_fields(scope, node)
    if table is None:
        found = find_column(scope, column, location)
        if found is not None:
            return found
        entry = find_table(scope, None, column, location)
        if entry is not None:
            return whole_row(entry[0], entry[1], location)
        argument = find_argument(scope, (column,), location)
        if argument is not None:
            return argument
        raise missing_column(scope, column, None, location)
    entry = find_table(scope, schema, table, location)
    parts = (table, column) if schema is None else (schema, table, column)
    if entry is None:
        argument = find_argument(scope, parts, location)
        if argument is not None:
            return argument
        composite = find_column(scope, table, location) if schema is None else None
        if composite is not None:
            raise fail(NotSupported, "field selection from a column needs parentheses around the column", location)
        raise missing_table(scope, table, location, schema)
    item, level = entry
    expr = _column_of(item, column, location)
    if expr is not None:
        return at(expr, level, location)
    system = _system_column(item, column, level, location)
    if system is not None:
        return system
    argument = find_argument(scope, parts, location)
    if argument is not None:
        return argument
    raise missing_column(scope, column, table, location)


def select_field(scope: Scope, argument: Expr, name: str, location: int) -> Expr:
    """``(composite).name``. Raises 42703 for an unknown field, 42809 for a type that has no fields."""
    if isinstance(argument, Var) and argument.attno == 0:
        current = scope
        for _ in range(argument.levels_up):
            if current.parent is not None:
                current = current.parent
        entry = current.query.range_table[argument.rte]
        for index, each in enumerate(entry.column_names):
            if each == name:
                return Var(
                    type=entry.column_types[index],
                    typmod=entry.column_typmods[index],
                    rte=argument.rte,
                    attno=index + 1,
                    levels_up=argument.levels_up,
                    location=location,
                )
        relation = entry.relation
        shown = relation.name if relation is not None else entry.alias
        raise fail(UndefinedColumn, f'column "{name}" not found in data type {shown}', location)
    fields = composite_fields(scope, argument)
    if fields is None:
        from aurora.errors import WrongObjectType
        from compute_node.sql.analyze.typenames import format_type

        if argument.type == oids.RECORD:
            raise fail(UndefinedColumn, f'could not identify column "{name}" in record data type', location)
        shown = format_type(scope.catalog, argument.type)
        message = f"column notation .{name} applied to type {shown}, which is not a composite type"
        raise fail(WrongObjectType, message, location)
    for index, (each, type_oid) in enumerate(fields):
        if each == name:
            if isinstance(argument, RowExpr):
                return argument.arguments[index]
            return FieldSelect(type=type_oid, argument=argument, index=index, location=location)
    raise fail(UndefinedColumn, f'column "{name}" not found in data type record', location)


def composite_fields(scope: Scope, argument: Expr) -> list[tuple[str, int]] | None:
    """(name, type) of each field of a composite expression; None when it has none that are known."""
    from compute_node.sql.expressions import Call

    if isinstance(argument, RowExpr):
        names = argument.names or tuple(f"f{index + 1}" for index in range(len(argument.arguments)))
        return [(name, item.type) for name, item in zip(names, argument.arguments, strict=True)]
    if isinstance(argument, Call):
        function = scope.catalog.function(argument.function)
        if function.out_columns:
            return list(output_columns(scope.catalog, function, [item.type for item in argument.arguments]))
    find = getattr(scope.catalog, "relation_of_row_type", None)
    relation = find(argument.type) if find is not None else None
    if relation is not None:
        return [("" if column.dropped else column.name, column.type) for column in relation.columns]
    return None
