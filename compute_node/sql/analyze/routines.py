"""Statements of functions in the language SQL: their arguments by name, and the final one's columns as the declared
result.

Sources: PostgreSQL manual, 38.5 (SQL functions), 38.5.1 (arguments), CREATE FUNCTION.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from aurora.errors import InvalidFunctionDefinition, SqlError
from compute_node.sql.analyze.coercion import coerce
from compute_node.sql.analyze.context import Scope
from compute_node.sql.analyze.polymorphism import resolve
from compute_node.sql.analyze.typenames import format_type
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Expr, Param, Var
from compute_node.sql.query import FromItem, Query, RangeEntry, Target
from compute_node.types import oids
from compute_node.types.oids import RECORD
from compute_node.types.registry import Function


class ResultShape(NamedTuple):
    """What a final statement must give. ``columns``: (type, typmod) of each, of a row result whose columns are known;
    None for any other."""

    type: int
    columns: tuple[tuple[int, int], ...] | None = None
    is_procedure: bool = False


@dataclass(frozen=True, slots=True)
class RoutineBody:
    """What analysis knows of the function whose statement it looks at; the types of its arguments are the
    parameters'. ``shape`` is None for a statement that is not the final one, and for a function that gives nothing."""

    name: str
    argument_names: tuple[str, ...]
    shape: ResultShape | None = None
    stored: bool = False
    """of an SQL-standard body: its names were allowed when it was stored"""
    trusted: bool = False
    """no function's, but a query that the program has made for itself: nobody's privileges are asked for"""


def find_argument(scope: Scope, parts: Sequence[str], location: int) -> Expr | None:
    """``argument``, ``function.argument``, ``argument.field`` or ``function.argument.field``; None for what is no
    argument's name."""
    body = scope.analysis.routine
    if body is None or len(parts) > 3:
        return None
    first, *rest = parts
    if rest and first == body.name:
        found = _argument(scope, body, rest[0], location)
        if found is not None:
            return _field(scope, found, rest[1:], location)
    found = _argument(scope, body, first, location)
    return None if found is None or len(rest) > 1 else _field(scope, found, rest, location)


def _argument(scope: Scope, body: RoutineBody, name: str, location: int) -> Param | None:
    if not name or name not in body.argument_names:
        return None
    number = body.argument_names.index(name) + 1
    return Param(type=scope.analysis.param_types[number - 1], number=number, location=location)


def _field(scope: Scope, argument: Expr, names: Sequence[str], location: int) -> Expr | None:
    from compute_node.sql.analyze.names import fields_of

    if not names:
        return argument
    return next((each for name, each in fields_of(scope, argument) or () if name == names[0]), None)


def output_columns(catalog: CatalogView, function: Function, arguments: Sequence[int]) -> tuple[tuple[str, int], ...]:
    """The columns of a function's row result, polymorphic ones as they are for arguments of these types."""
    columns = function.out_columns
    if not any(catalog.type(kind).kind == "p" for _, kind in columns):
        return columns
    given = arguments[: len(function.arguments)]
    declared = function.arguments[: len(given)]
    return tuple((name, resolve(catalog, given, declared, kind)[1]) for name, kind in columns)


def row_columns(catalog: CatalogView, type_oid: int) -> tuple[tuple[int, int], ...] | None:
    """(type, typmod) of a composite type's columns; None for any other type."""
    kind = catalog.type(type_oid)
    if kind.kind != "c":
        return None
    return tuple((field.type.oid, field.typmod) for field in kind.fields if field.type is not None)


# the final statement


def fit_result(scope: Scope, query: Query, shape: ResultShape) -> Query:
    """The final statement with its columns converted, by assignment casts, to what the function is declared to return.
    42P13 when they do not fit."""
    catalog = scope.catalog
    targets = query.targets if query.command == "select" else query.returning
    visible = [item for item in targets if not item.junk]
    if not visible and query.command != "select":
        raise mismatch(catalog, shape.type, FINAL_STATEMENT)
    kind = catalog.type(shape.type)
    if kind.kind in ("b", "d", "e", "r", "m"):
        if len(visible) != 1:
            raise mismatch(catalog, shape.type, "Final statement must return exactly one column.")
        have = visible[0].expression.type
        wanted = _fit(scope, query, visible, [(shape.type, -1)])
        if wanted is None:
            raise mismatch(catalog, shape.type, f"Actual return type is {format_type(catalog, have)}.")
        return wanted
    if kind.kind != "c" and shape.type != RECORD:
        raise InvalidFunctionDefinition(
            f"return type {format_type(catalog, shape.type)} is not supported for SQL functions"
        )
    if len(visible) == 1 and not shape.is_procedure:
        whole = _fit(scope, query, visible, [(shape.type, -1)])
        if whole is not None:
            return whole
    if shape.columns is None:
        return query
    return _fit_columns(scope, query, visible, shape)


FINAL_STATEMENT = "Function's final statement must be SELECT or INSERT/UPDATE/DELETE RETURNING."


def mismatch(catalog: CatalogView, result: int, detail: str) -> SqlError:
    """42P13 for a body that does not give what is declared."""
    return InvalidFunctionDefinition(
        f"return type mismatch in function declared to return {format_type(catalog, result)}", detail=detail
    )


def _fit_columns(scope: Scope, query: Query, visible: list[Target], shape: ResultShape) -> Query:
    catalog, columns = scope.catalog, shape.columns or ()
    for number, item in enumerate(visible, 1):
        if number > len(columns):
            raise mismatch(catalog, shape.type, "Final statement returns too many columns.")
        wanted = columns[number - 1]
        if coerce(scope, item.expression, *wanted, "a") is None:
            have = format_type(catalog, item.expression.type)
            raise mismatch(
                catalog,
                shape.type,
                f"Final statement returns {have} instead of {format_type(catalog, wanted[0])} at column {number}.",
            )
    if len(visible) < len(columns):
        raise mismatch(catalog, shape.type, "Final statement returns too few columns.")
    fitted = _fit(scope, query, visible, columns)
    return query if fitted is None else fitted


def _fit(scope: Scope, query: Query, visible: list[Target], wanted: Sequence[tuple[int, int]]) -> Query | None:
    """The query with its columns as these types; None when one has no assignment cast to it."""
    if all(_same(item.expression, *kind) for item, kind in zip(visible, wanted, strict=True)):
        return query
    if query.command == "select" and not _is_plain(query):
        query = _wrapped(query, visible)
        visible = query.targets
    changed: dict[int, Target] = {}
    for item, (kind, typmod) in zip(visible, wanted, strict=True):
        value = coerce(scope, item.expression, kind, typmod, "a")
        if value is None:
            return None
        changed[id(item)] = dataclasses.replace(item, expression=value)
    if query.command == "select":
        return dataclasses.replace(query, targets=[changed.get(id(item), item) for item in query.targets])
    return dataclasses.replace(query, returning=[changed.get(id(item), item) for item in query.returning])


def _same(expression: Expr, kind: int, typmod: int) -> bool:
    return expression.type == kind and typmod in (-1, expression.typmod)


def _is_plain(query: Query) -> bool:
    """Whether no other clause refers to the columns of the result."""
    return not (
        query.set_op or query.group_by or query.order_by or query.distinct or query.distinct_on
        or query.has_srfs
    )  # fmt: skip


def _wrapped(query: Query, visible: list[Target]) -> Query:
    """SELECT its columns FROM (the query)."""
    types = tuple(item.expression.type for item in visible)
    typmods = tuple(item.expression.typmod for item in visible)
    names = tuple(item.name for item in visible)
    entry = RangeEntry("subquery", "unnamed_subquery", names, types, typmods, query=query)
    targets = [
        Target(Var(type=kind, typmod=typmod, rte=0, attno=index + 1), name)
        for index, (name, kind, typmod) in enumerate(zip(names, types, typmods, strict=True))
    ]
    return Query(
        "select", range_table=[entry], from_items=[FromItem(0)], targets=targets,
        param_types=query.param_types, relations=query.relations, privileges=query.privileges,
        momentary=query.momentary,
    )  # fmt: skip


def shape_of(
    catalog: CatalogView,
    function: Function,
    arguments: Sequence[int],
    result: int,
    columns: Sequence[tuple[int, int]] = (),
) -> ResultShape | None:
    """What the final statement must give for a call with these types; None when nothing is wanted of it.
    ``columns``: those that the caller says."""
    if result == oids.VOID:
        return None
    known: tuple[tuple[int, int], ...] | None = tuple(columns) or None
    if known is None and function.out_columns:
        known = tuple((kind, -1) for _, kind in output_columns(catalog, function, arguments))
    if known is None:
        known = row_columns(catalog, result)
    return ResultShape(result, known, function.kind == "p")
