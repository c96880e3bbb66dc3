"""Tables, queries, cursors, schemas and databases as XML documents (manual, 9.15.4; SQL/XML, chapter 9).

What the catalog knows is asked in SQL, as any client would ask it, so that the caller sees what it may see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from aurora.datum import Datum, Row
from aurora.errors import DataException, InsufficientPrivilege, InvalidSchemaName
from compute_node.types.common import errors_of_query
from compute_node.types.declare import fn
from compute_node.types.long_text import joined, paced
from compute_node.types.registry import FunctionContext, PgType, SqlResult
from compute_node.types.xml.mapping import writer
from compute_node.types.xml.names import xml_name
from compute_node.types.xml.schemas import (
    Schemas,
    Table,
    database_schema,
    query_schema,
    schema_schema,
)

Columns = Sequence[tuple[str, PgType]]
_INSTANCE: Final = "http://www.w3.org/2001/XMLSchema-instance"


class Style(NamedTuple):
    """The arguments that all of the functions have: NULLs as elements, a forest of rows, the target namespace."""

    nulls: bool
    forest: bool
    namespace: str


def _start(name: str, style: Style, schema: str, is_top: bool) -> str:
    parts = [f"<{name}"]
    if is_top:
        parts.append(f' xmlns:xsi="{_INSTANCE}"')
        if style.namespace:
            parts.append(f' xmlns="{style.namespace}"')
    if schema:
        # Where the schema is: in the document itself.
        given = style.namespace
        parts.append(f' xsi:schemaLocation="{given} #"' if given else ' xsi:noNamespaceSchemaLocation="#"')
    return "".join([*parts, ">\n"])


def _rows(
    context: FunctionContext, rows: Iterable[Row], columns: Columns, table: str, style: Style, is_top: bool
) -> Iterator[str]:
    """Each row as an element."""
    env = context.env
    name = xml_name(table, True) if table else "row" if style.forest else "table"
    start = _start(name, style, "", is_top) if style.forest else "<row>\n"
    end = f"</{name}>\n\n" if style.forest else "</row>\n\n"
    fields = [(xml_name(column, True), writer(item, True)) for column, item in columns]
    for row in paced(rows):
        parts = [start]
        for (column, write), value in zip(fields, row, strict=True):
            if value is not None:
                parts.append(f"  <{column}>{write(value, env)}</{column}>\n")
            elif style.nulls:
                parts.append(f'  <{column} xsi:nil="true"/>\n')
        yield "".join([*parts, end])


def _columns(result: SqlResult) -> Columns:
    found = result.columns or ()
    kinds = result.kinds or [column.kind for column in found]
    return [(column.name, kind) for column, kind in zip(found, kinds, strict=True)]


def _query(context: FunctionContext, text: str) -> tuple[list[Row], Columns]:
    """A query's rows and columns; it may only read. 22000 for what is no query."""
    with errors_of_query(text):
        result = context.run_reading(text)
    if result.columns is None or not result.tag.startswith("SELECT"):
        raise DataException("invalid query")
    return result.rows, _columns(result)


def _described(context: FunctionContext, text: str) -> Columns:
    """A query's columns; it does not run."""
    with errors_of_query(text):
        return _columns(context.describe(text))


def _document(
    context: FunctionContext, text: str, table: str, style: Style, schema: str = "", is_top: bool = True
) -> Iterator[str]:
    rows, columns = _query(context, text)
    name = xml_name(table, True) if table else "table"
    if not style.forest:
        yield _start(name, style, schema, is_top) + "\n"
    if schema:
        yield schema + "\n\n"
    yield from _rows(context, rows, columns, table, style, is_top)
    if not style.forest:
        yield f"</{name}>\n"


def _tables(context: FunctionContext, schema: int) -> list[Table]:
    """The tables and views of a schema that the caller may read."""
    rows = context.run(
        "SELECT c.oid::pg_catalog.int8, c.relname, n.nspname, c.oid::pg_catalog.regclass::pg_catalog.text"
        " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relnamespace = $1 AND c.relkind IN ('r', 'm', 'v')"
        " AND pg_catalog.has_table_privilege(c.oid, 'SELECT') ORDER BY c.relname",
        (schema,),
        (26,),
    ).rows
    return [Table(*row) for row in rows]


def _table(context: FunctionContext, oid: int) -> Table:
    rows = context.run(
        "SELECT c.oid::pg_catalog.int8, c.relname, n.nspname, c.oid::pg_catalog.regclass::pg_catalog.text"
        " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1",
        (oid,),
        (26,),
    ).rows
    if not rows:
        raise DataException(f"could not find relation {oid}")
    return Table(*rows[0])


def _schema_oid(context: FunctionContext, name: str) -> int:
    """3F000, 42501."""
    rows = context.run(
        "SELECT oid::pg_catalog.int8, pg_catalog.has_schema_privilege(oid, 'USAGE')"
        " FROM pg_catalog.pg_namespace WHERE nspname = $1",
        (name,),
        (19,),
    ).rows
    if not rows:
        raise InvalidSchemaName(f'schema "{name}" does not exist')
    oid, may_use = rows[0]
    if not may_use:
        raise InsufficientPrivilege(f"permission denied for schema {name}")
    return int(oid)


def _databases_schemas(context: FunctionContext) -> list[tuple[int, str]]:
    rows = context.run(
        "SELECT oid::pg_catalog.int8, nspname FROM pg_catalog.pg_namespace"
        " WHERE pg_catalog.has_schema_privilege(oid, 'USAGE')"
        " AND NOT (nspname ~ '^pg_' OR nspname = 'information_schema') ORDER BY nspname"
    ).rows
    return [(int(oid), str(name)) for oid, name in rows]


def _types_of(context: FunctionContext, table: Table) -> Columns:
    return _described(context, f"SELECT * FROM {table.shown}")


def _schemas(context: FunctionContext) -> Schemas:
    def namespace_of(item: PgType) -> str:
        rows = context.run("SELECT nspname FROM pg_catalog.pg_namespace WHERE oid = $1", (item.namespace,), (26,)).rows
        return str(rows[0][0]) if rows else ""

    return Schemas(context.session.database, namespace_of, context.env.xml_binary)


# What each kind of object becomes: the data, and the schema


def _table_parts(context: FunctionContext, table: Table, style: Style, schema: str, is_top: bool) -> Iterator[str]:
    return _document(context, f"SELECT * FROM {table.shown}", table.name, style, schema, is_top)


def _schema_parts(
    context: FunctionContext, oid: int, name: str, style: Style, schema: str, is_top: bool
) -> Iterator[str]:
    shown = xml_name(name, True)
    yield _start(shown, style, schema, is_top) + "\n"
    if schema:
        yield schema + "\n\n"
    for table in _tables(context, oid):
        yield from _table_parts(context, table, style, "", False)
        yield "\n"
    yield f"</{shown}>\n"


def _database_parts(context: FunctionContext, style: Style, schema: str) -> Iterator[str]:
    shown = xml_name(context.session.database, True)
    yield _start(shown, style, schema, True) + "\n"
    if schema:
        yield schema + "\n\n"
    for oid, name in _databases_schemas(context):
        yield from _schema_parts(context, oid, name, style, "", False)
        yield "\n"
    yield f"</{shown}>\n"


def _table_schema(context: FunctionContext, oid: int, style: Style) -> str:
    table = _table(context, oid)
    return query_schema(_schemas(context), _types_of(context, table), table, *style)


def _schema_schema(context: FunctionContext, name: str, style: Style) -> str:
    tables = _tables(context, _schema_oid(context, name))
    types = [_types_of(context, table) for table in tables]
    return schema_schema(_schemas(context), name, tables, types, *style)


def _database_schema(context: FunctionContext, style: Style) -> str:
    schemas = _databases_schemas(context)
    types = [_types_of(context, table) for oid, _ in schemas for table in _tables(context, oid)]
    return database_schema(_schemas(context), [name for _, name in schemas], types, style.namespace)


def _query_schema(context: FunctionContext, text: str, style: Style) -> str:
    return query_schema(_schemas(context), _described(context, text), None, *style)


def _cursor(context: FunctionContext, name: str, count: int) -> tuple[list[Row], Columns]:
    quoted = '"' + name.replace('"', '""') + '"'
    result = context.run(f"FETCH {'FORWARD' if count >= 0 else 'BACKWARD'} {abs(count)} FROM {quoted}")
    return result.rows, _columns(result)


def _cursor_parts(context: FunctionContext, name: str, count: int, style: Style) -> Iterator[str]:
    rows, columns = _cursor(context, name, max(count, 0))
    if not style.forest:
        yield _start("table", style, "", True) + "\n"
    yield from _rows(context, rows if count > 0 else (), columns, "", style, True)
    if not style.forest:
        yield "</table>\n"


# The functions

_Subject = Sequence[Any]
_STYLE: Final = ("nulls", "tableforest", "targetns")


def _declare(oid: int, signature: str, names: tuple[str, ...], run: Callable[..., str]) -> None:
    """``run(context, subject …, style)``."""

    def call(context: FunctionContext, *arguments: Any) -> Datum:
        *subject, nulls, forest, namespace = arguments
        return run(context, *subject, Style(nulls, forest, namespace))

    count = signature.count(",") + 1
    fn(oid, signature, call, needs_context=True, argument_names=(*names, *_STYLE)[:count])


def _table_data(context: FunctionContext, oid: int, style: Style, schema: str = "") -> str:
    return joined(list(_table_parts(context, _table(context, oid), style, schema, True)))


def _query_data(context: FunctionContext, text: str, style: Style, schema: str = "") -> str:
    return joined(list(_document(context, text, "", style, schema)))


def _schema_data(context: FunctionContext, name: str, style: Style, schema: str = "") -> str:
    return joined(list(_schema_parts(context, _schema_oid(context, name), name, style, schema, True)))


def _database_data(context: FunctionContext, style: Style, schema: str = "") -> str:
    return joined(list(_database_parts(context, style, schema)))


def _both(data: Callable[..., str], schema: Callable[..., str]) -> Callable[..., str]:
    return lambda context, *subject: data(context, *subject, schema(context, *subject))


def _declare_three(oids: tuple[int, int, int], kind: str, subject: str, names: tuple[str, ...], flags: str) -> None:
    data, schema = _RUN[kind]
    arguments = f"{subject + ', ' if subject else ''}bool, bool, text"
    for oid, ending, run in zip(
        oids, ("xml", "xmlschema", "xml_and_xmlschema"), (data, schema, _both(data, schema)), strict=True
    ):
        _declare(oid, f"{kind}_to_{ending}({arguments}) xml {flags}", names, run)


_RUN: Final[dict[str, tuple[Callable[..., str], Callable[..., str]]]] = {
    "table": (_table_data, _table_schema),
    "query": (_query_data, _query_schema),
    "schema": (_schema_data, _schema_schema),
    "database": (_database_data, _database_schema),
}
_declare_three((2923, 2926, 2929), "table", "regclass", ("tbl",), "stable")
_declare_three((2924, 2927, 2930), "query", "text", ("query",), "volatile")
_declare_three((2933, 2934, 2935), "schema", "name", ("schema",), "stable")
_declare_three((2936, 2937, 2938), "database", "", (), "stable")
_declare(
    2925,
    "cursor_to_xml(refcursor, int4, bool, bool, text) xml volatile",
    ("cursor", "count"),
    lambda context, name, count, style: joined(list(_cursor_parts(context, name, count, style))),
)
_declare(
    2928,
    "cursor_to_xmlschema(refcursor, bool, bool, text) xml volatile",
    ("cursor",),
    lambda context, name, style: query_schema(_schemas(context), _cursor(context, name, 0)[1], None, *style),
)
