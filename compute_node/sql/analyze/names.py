"""Resolution of column references against the visible range entries, with PostgreSQL's errors and hints."""

from __future__ import annotations

from collections.abc import Iterator

from pglast import ast

from aurora.errors import (
    AmbiguousAlias,
    AmbiguousColumn,
    SqlError,
    UndefinedColumn,
    UndefinedTable,
    WrongObjectType,
)
from compute_node.sql.analyze.context import NameItem, Scope, fail, shift_levels
from compute_node.sql.analyze.routines import find_argument, output_columns
from compute_node.sql.expressions import Call, Expr, FieldSelect, RowExpr, SubLink, Var
from compute_node.sql.row_types import is_row_of
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


_UNREACHABLE = 'There is an entry for table "{}", but it cannot be referenced from this part of the query.'


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

        message = f'invalid reference to FROM-clause entry for table "{item.alias}"'
        if item.rte >= 0 and item.rte == scope.query.result_rte:
            raise fail(InvalidColumnReference, message, location, hint=_UNREACHABLE.format(item.alias))
        detail = "The combining JOIN type must be INNER or LEFT for a LATERAL reference."
        raise fail(InvalidColumnReference, message, location, detail=detail)
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
    if item.relation is None or item.relation.kind == "v" or name not in SYSTEM_COLUMNS or not item.system_columns:
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
    if item.row_type:
        return RowExpr(type=item.row_type, arguments=columns, names=item.names, whole=True, location=location)
    if len(columns) == 1 and item.relation is None and item.schema == "function":
        return columns[0]
    return RowExpr(type=oids.RECORD, arguments=columns, names=item.names, whole=True, location=location)


def missing_table(scope: Scope, name: str, location: int, schema: str | None = None) -> SqlError:
    """42P01 for a qualifier that names no visible range entry."""
    shown = name
    for _, current in _levels(scope):
        if any(alias == name for alias, _ in current.unreachable):
            known = f'There is an entry for table "{name}", but it cannot be referenced from this part of the query.'
            message = f'invalid reference to FROM-clause entry for table "{shown}"'
            return fail(UndefinedTable, message, location, hint=known)
        for item in current.items:
            if not item.hinted:
                continue
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


def _offered(item: NameItem) -> tuple[str, tuple[str, ...]]:
    return item.alias, tuple([name for at, name in enumerate(item.names) if name and at not in item.dropped])


def missing_column(scope: Scope, name: str, qualifier: str | None, location: int) -> SqlError:
    """42703 with the hint for near names, as PostgreSQL chooses them."""
    message = f'column "{name}" does not exist' if qualifier is None else f"column {qualifier}.{name} does not exist"
    best: list[tuple[str, str]] = []
    limit = min(3, len(name.encode()) // 2)
    best_distance = 3
    for _, current in _levels(scope):
        for alias, names in (*current.unreachable, *(_offered(item) for item in current.items if item.hinted)):
            extra = 0
            if qualifier is not None:
                extra = _distance(qualifier, alias, 3)
            for each in names:
                if each == name and (qualifier is None or alias == qualifier):
                    hint = (
                        f'There is a column named "{name}" in table "{alias}", '
                        "but it cannot be referenced from this part of the query."
                    )
                    return fail(UndefinedColumn, message, location, hint=hint)
                distance = _distance(name, each, 3)
                if distance > limit or not alias or alias == "unnamed_join":
                    continue
                distance += extra
                if distance < best_distance:
                    best, best_distance = [(alias, each)], distance
                elif distance == best_distance and (alias, each) not in best:
                    best.append((alias, each))
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
    called = function_of_row(scope, whole_row(item, level, location), column, location)
    if called is not None:
        return called
    raise missing_column(scope, column, table, location)


def _columns_of_row(scope: Scope, argument: Var) -> Iterator[tuple[str, Expr]]:
    """The columns of a whole-row reference."""
    current = scope
    for _ in range(argument.levels_up):
        if current.parent is not None:
            current = current.parent
    entry = current.query.range_table[argument.rte]
    dropped = () if entry.relation is None else [column.dropped for column in entry.relation.columns]
    for index, name in enumerate(entry.column_names):
        if index < len(dropped) and dropped[index]:
            continue
        yield (
            name,
            Var(
                type=entry.column_types[index],
                typmod=entry.column_typmods[index],
                rte=argument.rte,
                attno=index + 1,
                levels_up=argument.levels_up,
                location=argument.location,
            ),
        )


def fields_of(scope: Scope, argument: Expr) -> list[tuple[str, Expr]] | None:
    """(name, expression) of each field of a composite expression, in order, without dropped ones; None when it has
    none that are known."""
    if isinstance(argument, Var) and argument.attno == 0:
        return list(_columns_of_row(scope, argument))
    if isinstance(argument, RowExpr):
        names = argument.names or tuple(f"f{index + 1}" for index in range(len(argument.arguments)))
        live = [each.type is not None for each in scope.catalog.type(argument.type).fields] or [True] * len(names)
        return [pair for pair, keep in zip(zip(names, argument.arguments, strict=True), live, strict=True) if keep]
    location = argument.location
    if isinstance(argument, Call):
        function = scope.catalog.function(argument.function)
        if function.out_columns:
            return [
                (name, FieldSelect(type=kind, argument=argument, index=index, location=location))
                for index, (name, kind) in enumerate(
                    output_columns(scope.catalog, function, [item.type for item in argument.arguments])
                )
            ]
    kind = scope.catalog.type(argument.type).root
    if kind.kind == "c":
        return [
            (
                field.name,
                FieldSelect(
                    type=field.type.oid, typmod=field.typmod, argument=argument, index=index, location=location
                ),
            )
            for index, field in enumerate(kind.fields)
            if field.type is not None
        ]
    return None if argument.type != oids.RECORD else fields_of_record(scope, argument)


def fields_of_record(scope: Scope, argument: Expr) -> list[tuple[str, Expr]] | None:
    """The fields of an anonymous row, found where the row was made: in a sub-select, a CTE, an outer query."""
    source = _origin(scope, argument)
    if source is None:
        return None
    origin_scope, expr = source
    fields = fields_of(origin_scope, expr)
    if fields is None:
        return None
    return [
        (
            name,
            FieldSelect(type=each.type, typmod=each.typmod, argument=argument, index=index, location=argument.location),
        )
        for index, (name, each) in enumerate(fields)
    ]


def _origin(scope: Scope, argument: Expr) -> tuple[Scope, Expr] | None:
    """The expression, and the query level that it stands on, behind a column of a sub-select or a CTE."""
    if isinstance(argument, SubLink) and argument.kind == "EXPR":
        visible = [item for item in argument.query.targets if not item.junk]
        return Scope(scope.analysis, argument.query, parent=scope), visible[0].expression
    if not isinstance(argument, Var) or argument.attno <= 0:
        return None
    current = scope
    for _ in range(argument.levels_up):
        if current.parent is None:
            return None
        current = current.parent
    entry = current.query.range_table[argument.rte]
    query = entry.query
    if entry.kind == "cte" and entry.cte is not None:
        for _ in range(entry.cte_levels_up):
            if current.parent is None:
                return None
            current = current.parent
        table = current.ctes.get(entry.cte)
        query = None if table is None else table.query
    if query is None:
        return None
    visible = [item for item in query.targets if not item.junk]
    if argument.attno > len(visible):
        return None
    return Scope(scope.analysis, query, parent=current), visible[argument.attno - 1].expression


def select_field(scope: Scope, argument: Expr, name: str, location: int) -> Expr:
    """``(composite).name``. Raises 42703 for an unknown field, 42809 for a type that has no fields."""
    from compute_node.sql.analyze.typenames import format_type

    fields = fields_of(scope, argument)
    if fields is None:
        if argument.type == oids.RECORD:
            raise fail(UndefinedColumn, f'could not identify column "{name}" in record data type', location)
        if argument.type == oids.UNKNOWN:
            shown = "unknown"
        else:
            shown = format_type(scope.catalog, argument.type)
        message = f"column notation .{name} applied to type {shown}, which is not a composite type"
        raise fail(WrongObjectType, message, location)
    for each, expr in fields:
        if each == name:
            return expr
    called = function_of_row(scope, argument, name, location)
    if called is not None:
        return called
    if isinstance(argument, RowExpr) and fields:
        sources = {(e.rte, e.levels_up) if isinstance(e, Var) else None for _, e in fields}
        first = fields[0][1]
        if len(sources) == 1 and isinstance(first, Var):
            raise missing_column(scope, name, scope_alias(scope, first), location)
    if isinstance(argument, Var) and argument.attno == 0:
        raise missing_column(scope, name, scope_alias(scope, argument), location)
    if argument.type == oids.RECORD:
        raise fail(UndefinedColumn, f'could not identify column "{name}" in record data type', location)
    shown = format_type(scope.catalog, argument.type)
    raise fail(UndefinedColumn, f'column "{name}" not found in data type {shown}', location)


def function_of_row(scope: Scope, argument: Expr, name: str, location: int) -> Expr | None:
    """``row.function``: the call of a user's function that takes the row; None without one."""
    from compute_node.sql.analyze.functions import call_function

    taken = {each.arguments[0] for each in scope.catalog.functions(None, name) if len(each.arguments) == 1}
    if not taken & {argument.type, oids.RECORD} and not any(
        is_row_of(scope.catalog, argument.type, kind) for kind in taken
    ):
        return None
    _, found = call_function(scope, None, name, [argument], location)
    return found if isinstance(found, Expr) else None


def scope_alias(scope: Scope, argument: Var) -> str:
    """The name of the range entry that a whole-row reference is of."""
    current = scope
    for _ in range(argument.levels_up):
        if current.parent is not None:
            current = current.parent
    return current.query.range_table[argument.rte].alias
