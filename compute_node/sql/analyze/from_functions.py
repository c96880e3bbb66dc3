"""Functions in FROM: one, or several side by side in ROWS FROM; unnest of several arrays (manual, 7.2.1.4)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

from pglast import ast

from aurora.errors import DatatypeMismatch, DuplicateColumn, SqlSyntaxError
from compute_node.sql.analyze.context import NameItem, Scope, fail
from compute_node.sql.analyze.expressions import transform
from compute_node.sql.analyze.from_clause import column_aliases, entry_columns
from compute_node.sql.analyze.functions import resolve_unknown
from compute_node.sql.analyze.naming import column_name
from compute_node.sql.analyze.routines import output_columns
from compute_node.sql.analyze.typenames import format_type, resolve_type_name
from compute_node.sql.expressions import Call, Expr, RowsFrom
from compute_node.sql.query import RangeEntry
from compute_node.types import oids

Field = tuple[str, int, int]
"""a column's name, type and typmod"""


_NO_COLUMNS = frozenset({oids.ANYARRAY, oids.ANYELEMENT, 2281})


class _Called(NamedTuple):
    """One function of a FROM item; ``fields`` is None when it gives plain values."""

    call: Expr
    name: str
    fields: list[Field] | None


def range_function(scope: Scope, node: ast.RangeFunction) -> NameItem:
    """A RangeFunction node as a range entry."""
    calls = _split_unnest(node)
    _check_definitions(node, calls)
    called = [_called(scope, call, node.coldeflist or definitions) for call, definitions in calls]
    alias = node.alias
    shown = alias.aliasname if alias is not None else called[0].name
    columns = [item.fields or [_value_column(scope, item, shown if len(called) == 1 else item.name)] for item in called]
    fields = [field for each in columns for field in each]
    if node.ordinality:
        fields.append(("ordinality", oids.INT8, -1))
    whole = called[0].call
    if len(called) > 1:
        whole = RowsFrom(type=oids.RECORD, calls=tuple(item.call for item in called), widths=tuple(map(len, columns)))
    entry = RangeEntry(
        "function",
        shown,
        column_aliases(alias, tuple(item[0] for item in fields), shown),
        tuple(item[1] for item in fields),
        tuple(item[2] for item in fields),
        function=whole,
        with_ordinality=bool(node.ordinality),
        lateral=True,
        written=alias,
    )
    rte = scope.add_entry(entry)
    dropped = _dropped(scope, called, columns)
    row_type = 0
    kind = scope.catalog.type(whole.type).root
    if len(called) == 1 and not node.ordinality and kind.kind == "c":
        row_type = kind.oid
    return NameItem(
        rte,
        shown,
        entry.column_names,
        entry_columns(rte, entry),
        schema="function",
        dropped=dropped,
        row_type=row_type,
    )


def _split_unnest(node: ast.RangeFunction) -> list[tuple[ast.Node, Any]]:
    """The functions, with the column definitions that stand beside each; ``unnest(a, b)`` is one for each array."""
    found: list[tuple[ast.Node, Any]] = []
    for call, definitions in node.functions:
        if _is_plain_unnest(call) and not definitions and not (node.coldeflist and len(node.functions) == 1):
            for argument in call.args:
                one = ast.FuncCall(
                    funcname=(ast.String(sval="pg_catalog"), ast.String(sval="unnest")),
                    args=(argument,),
                    funcformat=call.funcformat,
                    location=call.location,
                )
                found.append((one, None))
        else:
            found.append((call, definitions))
    return found


def _is_plain_unnest(call: ast.Node) -> bool:
    return (
        isinstance(call, ast.FuncCall)
        and len(call.funcname) == 1
        and call.funcname[0].sval == "unnest"
        and len(call.args or ()) > 1
        and not (call.agg_order or call.agg_filter or call.over or call.agg_star or call.agg_distinct)
        and not call.func_variadic
    )


def _check_definitions(node: ast.RangeFunction, calls: Sequence[tuple[ast.Node, Any]]) -> None:
    """42601 for column definitions beside what cannot have them."""
    if not node.coldeflist:
        return
    place = node.coldeflist[0].location
    if len(node.functions) > 1:
        raise fail(
            SqlSyntaxError,
            "ROWS FROM() with multiple functions cannot have a column definition list",
            place,
            hint="Put a separate column definition list for each function inside ROWS FROM().",
        )
    if _is_plain_unnest(calls[0][0]):
        raise fail(
            SqlSyntaxError,
            "UNNEST() with multiple arguments cannot have a column definition list",
            place,
            hint="Use separate UNNEST() calls inside ROWS FROM(), and attach a column definition list to each one.",
        )
    if node.ordinality:
        raise fail(
            SqlSyntaxError,
            "WITH ORDINALITY cannot be used with a column definition list",
            place,
            hint="Put the column definition list inside ROWS FROM().",
        )
    if calls[0][1]:
        raise fail(SqlSyntaxError, "multiple column definition lists are not allowed for the same function", place)


def _called(scope: Scope, node: ast.Node, definitions: Any) -> _Called:
    saved_srf, saved_clause = scope.has_srf, scope.clause
    scope.clause = "FROM"
    try:
        call = resolve_unknown(scope, transform(scope, node))
    finally:
        scope.has_srf, scope.clause = saved_srf, saved_clause
    fields = _function_columns(scope, call, definitions)
    if definitions and isinstance(call, Call):
        call = dataclasses.replace(call, columns=tuple((kind, typmod, name) for name, kind, typmod in fields or ()))
    if fields is None and call.type == oids.RECORD and isinstance(call, Call):
        raise fail(
            SqlSyntaxError,
            'a column definition list is required for functions returning "record"',
            call.location,
        )
    if fields is None and scope.catalog.type(call.type).root.oid in _NO_COLUMNS:
        shown = format_type(scope.catalog, call.type)
        message = f'function "{column_name(node)}" in FROM has unsupported return type {shown}'
        raise fail(DatatypeMismatch, message, call.location)
    return _Called(call, column_name(node), fields)


def _value_column(scope: Scope, item: _Called, name: str) -> Field:
    """The one column of a function that gives plain values."""
    return _output_name(scope, item.call) or name, item.call.type, item.call.typmod


def _dropped(scope: Scope, called: Sequence[_Called], columns: Sequence[list[Field]]) -> frozenset[int]:
    """Places of columns that their row types have no more."""
    found, start = set(), 0
    for item, fields in zip(called, columns, strict=True):
        kind = scope.catalog.type(item.call.type).root
        found |= {start + index for index, field in enumerate(kind.fields) if field.type is None}
        start += len(fields)
    return frozenset(found)


def _output_name(scope: Scope, call: Expr) -> str:
    """The name of a function's only OUT argument, which is the column's whatever the alias; empty without one."""
    return scope.catalog.function(call.function).output_name if isinstance(call, Call) else ""


def _defined_columns(scope: Scope, call: Expr, definitions: Any) -> list[Field]:
    """Those of a column definition list, which only a function of anonymous rows may have."""
    where = _place(definitions[0])
    if isinstance(call, Call) and call.type == oids.RECORD and scope.catalog.function(call.function).out_columns:
        raise fail(SqlSyntaxError, "a column definition list is redundant for a function with OUT parameters", where)
    if scope.catalog.type(call.type).root.kind == "c":
        raise fail(
            SqlSyntaxError,
            "a column definition list is redundant for a function returning a named composite type",
            where,
        )
    if call.type != oids.RECORD:
        raise fail(SqlSyntaxError, 'a column definition list is only allowed for functions returning "record"', where)
    fields: list[Field] = []
    for item in definitions:
        if any(item.colname == name for name, _, _ in fields):
            raise fail(DuplicateColumn, f'column name "{item.colname}" specified more than once', _place(item))
        if item.typeName.setof:
            raise fail(DatatypeMismatch, f'column "{item.colname}" cannot be declared SETOF', _place(item))
        fields.append((item.colname, *resolve_type_name(scope.catalog, item.typeName)))
    return fields


def _place(item: Any) -> int:
    return item.location if item.location is not None else -1


def _function_columns(scope: Scope, call: Expr, definitions: Any) -> list[tuple[str, int, int]] | None:
    """Columns of a function that returns rows; None for one that returns plain values."""
    if definitions:
        return _defined_columns(scope, call, definitions)
    if isinstance(call, Call):
        function = scope.catalog.function(call.function)
        if function.out_columns and (len(function.out_columns) > 1 or call.type == oids.RECORD):
            types = [item.type for item in call.arguments]
            return [(name, kind, -1) for name, kind in output_columns(scope.catalog, function, types)]
        if function.out_columns:  # its name is the column's, whatever the alias
            return [(function.out_columns[0][0], call.type, call.typmod)]
    kind = scope.catalog.type(call.type).root
    if kind.kind == "c":
        # Dropped columns keep their places in the value.
        return [(f.name, oids.INT4 if f.type is None else f.type.oid, f.typmod) for f in kind.fields]
    return None
