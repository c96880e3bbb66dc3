"""Functions in FROM: one or several in step (ROWS FROM), column definition lists, WITH ORDINALITY (manual, 7.2.1.4)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

from pglast import ast

from aurora.errors import DatatypeMismatch, DuplicateColumn, SqlSyntaxError
from compute_node.sql.analyze.context import Scope, fail
from compute_node.sql.analyze.expressions import transform
from compute_node.sql.analyze.functions import resolve_unknown
from compute_node.sql.analyze.naming import column_name
from compute_node.sql.analyze.routines import output_columns
from compute_node.sql.analyze.typenames import format_type, resolve_type_name
from compute_node.sql.expressions import Call, Expr, RowsFrom
from compute_node.types import oids

Field = tuple[str, int, int]
"""name, type, typmod of a column"""
_NO_COLUMNS = frozenset({oids.ANYARRAY, oids.ANYELEMENT, 2281})


class TableFunction(NamedTuple):
    """One function of a FROM item with the columns that it gives. ``dropped``: those that only keep their places."""

    call: Expr
    name: str
    fields: list[Field]
    dropped: frozenset[int] = frozenset()


def table_functions(scope: Scope, node: ast.RangeFunction) -> list[TableFunction]:
    """The functions of a FROM item, in order. Raises 42601, 42804, 42701."""
    items = [pair for item in node.functions for pair in _unnested(item[0], item[1])]
    if node.coldeflist and node.is_rowsfrom and len(items) > 1:
        raise fail(
            SqlSyntaxError,
            "ROWS FROM() with multiple functions cannot have a column definition list",
            _location(node.coldeflist),
            hint="Put a separate column definition list for each function inside ROWS FROM().",
        )
    if node.coldeflist and len(items) > 1:
        raise fail(
            SqlSyntaxError,
            "UNNEST() with multiple arguments cannot have a column definition list",
            _location(node.coldeflist),
            hint="Use separate UNNEST() calls inside ROWS FROM(), and attach a column definition list to each one.",
        )
    if node.coldeflist and node.ordinality:
        raise fail(
            SqlSyntaxError,
            "WITH ORDINALITY cannot be used with a column definition list",
            _location(node.coldeflist),
            hint="Put the column definition list inside ROWS FROM().",
        )
    alias = node.alias.aliasname if node.alias is not None and len(items) == 1 else ""
    saved_srf, saved_clause = scope.has_srf, scope.clause
    scope.clause = "FROM"
    try:
        return [_one(scope, call, node.coldeflist or definitions, alias) for call, definitions in items]
    finally:
        scope.has_srf, scope.clause = saved_srf, saved_clause


def combined(found: Sequence[TableFunction]) -> Expr:
    """What the executor runs for them."""
    if len(found) == 1:
        return found[0].call
    return RowsFrom(
        type=oids.RECORD,
        calls=tuple([item.call for item in found]),
        counts=tuple([len(item.fields) for item in found]),
    )


def _location(nodes: Any) -> int:
    first = nodes[0]
    return first.location if first.location is not None else -1


def _unnested(node: Any, definitions: Any) -> list[tuple[Any, Any]]:
    """``unnest(a, b)`` is ROWS FROM of one unnest each."""
    plain = (
        isinstance(node, ast.FuncCall)
        and [item.sval for item in node.funcname] in (["unnest"], ["pg_catalog", "unnest"])
        and len(node.args or ()) > 1
        and not (node.agg_star or node.agg_distinct or node.agg_order or node.agg_filter or node.func_variadic)
    )
    if not plain or definitions or any(isinstance(item, ast.NamedArgExpr) for item in node.args):
        return [(node, definitions)]
    name = (ast.String(sval="pg_catalog"), ast.String(sval="unnest"))
    return [
        (ast.FuncCall(funcname=name, args=(item,), funcformat=node.funcformat, location=node.location), None)
        for item in node.args
    ]


def _one(scope: Scope, node: Any, definitions: Any, alias: str) -> TableFunction:
    call = resolve_unknown(scope, transform(scope, node))
    name = column_name(node)
    if definitions:
        fields = _defined(scope, call, definitions)
        if isinstance(call, Call):
            call = dataclasses.replace(call, columns=tuple([(kind, typmod) for _, kind, typmod in fields]))
        return TableFunction(call, name, fields)
    columns = _output_columns(scope, call)
    if columns is not None:
        return TableFunction(call, name, columns)
    kind = scope.catalog.type(call.type).root
    if kind.kind == "c":
        # Dropped columns keep their places in the value.
        fields = [(f.name, oids.INT4 if f.type is None else f.type.oid, f.typmod) for f in kind.fields]
        return TableFunction(call, name, fields, frozenset(i for i, f in enumerate(kind.fields) if f.type is None))
    if call.type == oids.RECORD and isinstance(call, Call):
        raise fail(
            SqlSyntaxError, 'a column definition list is required for functions returning "record"', call.location
        )
    if kind.oid in _NO_COLUMNS:
        shown = format_type(scope.catalog, kind.oid)
        raise fail(DatatypeMismatch, f'function "{name}" in FROM has unsupported return type {shown}', call.location)
    output = scope.catalog.function(call.function).output_name if isinstance(call, Call) else ""
    return TableFunction(call, name, [(output or alias or name, call.type, call.typmod)])


def _output_columns(scope: Scope, call: Expr) -> list[Field] | None:
    """The columns of a function with several OUT arguments; None of any other."""
    if not isinstance(call, Call):
        return None
    function = scope.catalog.function(call.function)
    if not function.out_columns or (len(function.out_columns) == 1 and call.type != oids.RECORD):
        return None
    types = [item.type for item in call.arguments]
    return [(name, kind, -1) for name, kind in output_columns(scope.catalog, function, types)]


def _defined(scope: Scope, call: Expr, definitions: Any) -> list[Field]:
    """A column definition list: ``AS (a int, b text)``."""
    where = _location(definitions)
    if _output_columns(scope, call) is not None:
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
            raise fail(
                DuplicateColumn,
                f'column name "{item.colname}" specified more than once',
                item.location if item.location is not None else -1,
            )
        if item.typeName.setof:
            raise fail(
                DatatypeMismatch,
                f'column "{item.colname}" cannot be declared SETOF',
                item.location if item.location is not None else -1,
            )
        fields.append((item.colname, *resolve_type_name(scope.catalog, item.typeName)))
    return fields
