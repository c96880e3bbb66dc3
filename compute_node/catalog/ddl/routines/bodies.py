"""Bodies of functions in SQL: a text is checked, an SQL-standard body is analyzed and made into text that is kept.

An error in a text has its place in the CREATE statement, where the text stands in it as a literal. What a text names is
looked up when the function runs; an SQL-standard body depends on what it names.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any, NamedTuple

from pglast import ast

from aurora.errors import InvalidFunctionDefinition, NotSupported, SqlError
from compute_node.catalog.ddl.context import DdlContext, uses
from compute_node.catalog.ddl.expressions import expression_text, named_objects
from compute_node.catalog.ddl.kept_texts import checked_text
from compute_node.catalog.ddl.objects import qualify, used_columns, write_constants, write_stars
from compute_node.catalog.functions.routines import analyzed_statement, only_reads
from compute_node.catalog.routines import ATOMIC, END, RETURN
from compute_node.session import prepare
from compute_node.session.routines import check_final
from compute_node.sql.analyze import analyze
from compute_node.sql.analyze.polymorphism import POLYMORPHIC
from compute_node.sql.analyze.routines import FINAL_STATEMENT, ResultShape, RoutineBody, mismatch, shape_of
from compute_node.sql.analyze.typenames import format_type
from compute_node.sql.deparse.expressions import deparse_stored
from compute_node.sql.deparse.queries import kept_query
from compute_node.sql.expressions import SubLink, walk
from compute_node.sql.parse import parse
from compute_node.sql.rewrite import own_nodes
from compute_node.types import oids
from compute_node.types.registry import Function

Address = tuple[int, int, int]


class StoredBody(NamedTuple):
    """An SQL-standard body as it is kept, and what it depends on."""

    text: str
    uses: frozenset[Address]


def check_types(ctx: DdlContext, function: Function) -> None:
    """42P13 for pseudo-types that SQL has no values of."""
    allowed = (oids.RECORD, oids.VOID)
    result = ctx.view.type(function.result)
    if result.kind == "p" and result.oid not in allowed and result.oid not in POLYMORPHIC:
        raise InvalidFunctionDefinition(f"SQL functions cannot return type {format_type(ctx.view, result.oid)}")
    for oid in function.arguments:
        if ctx.view.type(oid).kind == "p" and oid not in POLYMORPHIC:
            raise InvalidFunctionDefinition(f"SQL functions cannot have arguments of type {format_type(ctx.view, oid)}")


def check_text(ctx: DdlContext, function: Function) -> None:
    """A body given as text: it must parse, and unless types are still open
    its statements must be right and the final one give what is declared."""
    text = function.source
    try:
        _check_statements(ctx, function, text)
    except SqlError as error:
        if error.position is None:
            line = f'SQL function "{function.name}"'
            error.where = line if error.where is None else f"{error.where}\n{line}"
            raise
        place = _place_in_literal(ctx.source, text, error.position - 1)
        if place is None:
            error.internal_position, error.internal_query, error.position = error.position, text, None
        else:
            error.position = place + 1
        raise


def _check_statements(ctx: DdlContext, function: Function, text: str) -> None:
    raws = parse(text)
    if any(kind in POLYMORPHIC for kind in (*function.arguments, function.result)):
        return
    shape = shape_of(ctx.view, function, function.arguments, function.result)
    for number, raw in enumerate(raws, 1):
        if prepare.is_query(raw.node) or isinstance(raw.node, ast.CallStmt):
            is_final = number == len(raws) and prepare.is_query(raw.node)
            body = RoutineBody(function.name, function.argument_names, shape if is_final else None)
            analyze(raw.node, ctx.view, list(function.arguments), text, session=ctx.session, routine=body)
    check_final(ctx.view, raws, shape)


def _place_in_literal(source: str, text: str, offset: int) -> int | None:
    """The offset in the statement of what is at ``offset`` of a literal's value; None when the statement has not
    exactly one literal of that value (literals that go on over several lines are not looked for)."""
    places = []
    for match in re.finditer(r"[$']", source):
        start = match.end()
        if match[0] == "$" and source.startswith(text, start) and source.startswith("$", start + len(text)):
            places.append(start + offset)
        elif match[0] == "'":
            place = _place_between_quotes(source, start, text, offset)
            if place is not None:
                places.append(place)
    return places[0] if len(places) == 1 else None


def _place_between_quotes(source: str, start: int, text: str, offset: int) -> int | None:
    at = place = start
    for index, character in enumerate(text):
        if index == offset:
            place = at
        if source.startswith("\\", at) or source.startswith("''", at):
            at += 1
        elif source.startswith("'", at):
            return None
        if not source.startswith(character, at):
            return None
        at += 1
    if not source.startswith("'", at) or source.startswith("''", at):
        return None
    return at if offset >= len(text) else place


def stored_body(ctx: DdlContext, function: Function, node: ast.Node) -> StoredBody:
    """An SQL-standard body, analyzed. Raises what its statements raise, 42P13, 0A000 for other than queries."""
    if any(kind in POLYMORPHIC for kind in function.arguments):
        raise InvalidFunctionDefinition("SQL function with unquoted function body cannot have polymorphic arguments")
    check_types(ctx, function)
    shape = shape_of(ctx.view, function, function.arguments, function.result)
    found: set[Address] = set()
    if isinstance(node, ast.ReturnStmt):
        text = _statement_text(ctx, function, node, shape, found)
        return StoredBody(RETURN + text.removeprefix("SELECT "), frozenset(found))
    statements = list(node[0] or ())
    texts = []
    for number, item in enumerate(statements, 1):
        texts.append(_statement_text(ctx, function, item, shape if number == len(statements) else None, found))
    if shape is not None and not statements:
        raise mismatch(ctx.view, shape.type, FINAL_STATEMENT)
    return StoredBody(ATOMIC + "".join(f"{text};\n" for text in texts).rstrip("\n") + END, frozenset(found))


_TAGS: dict[type, str] = {
    ast.CreateStmt: "CREATE TABLE",
    ast.CreateTableAsStmt: "CREATE TABLE AS",
    ast.ViewStmt: "CREATE VIEW",
    ast.IndexStmt: "CREATE INDEX",
    ast.CreateSchemaStmt: "CREATE SCHEMA",
    ast.AlterTableStmt: "ALTER TABLE",
    ast.CreateFunctionStmt: "CREATE FUNCTION",
    ast.VariableSetStmt: "SET",
    ast.VariableShowStmt: "SHOW",
    ast.TruncateStmt: "TRUNCATE TABLE",
}


def _command(node: ast.Node) -> str:
    """The statement's command tag, about."""
    if isinstance(node, ast.DropStmt):
        return f"DROP {node.removeType.name.removeprefix('OBJECT_').replace('_', ' ')}"
    return _TAGS.get(type(node), type(node).__name__.removesuffix("Stmt").upper())


def _statement_text(
    ctx: DdlContext, function: Function, node: ast.Node, shape: ResultShape | None, found: set[Address]
) -> str:
    is_return = isinstance(node, ast.ReturnStmt)
    if isinstance(node, ast.ReturnStmt):
        select: Any = parse("SELECT 1")[0].node
        select.targetList[0].val = node.returnval
        node = select
    if not prepare.is_query(node):
        raise NotSupported(f"{_command(node)} is not yet supported in unquoted SQL function body")
    view = ctx.tracing()
    body = RoutineBody(function.name, function.argument_names, shape)
    query = analyze(node, view, list(function.arguments), ctx.source, session=ctx.session, routine=body)
    found |= uses(view.trace or {})
    found |= used_columns(ctx, query)
    found |= set(filter(ctx.is_there, named_objects(own_nodes(query))))
    result = query.targets[0].expression if query.targets else None
    if is_return and result is not None and not any(isinstance(part, SubLink) for part in walk(result)):
        # Names are whole in it, those in literals too.
        return "SELECT " + deparse_stored(result, ctx.stored_view, None)

    def as_written() -> str:
        write_stars(node, query.stars)
        write_constants(ctx, node, query)
        qualify(ctx, node)
        return expression_text(node)

    if not only_reads(query):
        return as_written()
    if shape is not None:
        # Without the casts to what the function gives, which it gets when it runs.
        body = RoutineBody(function.name, function.argument_names)
        query = analyze(node, ctx.view, list(function.arguments), ctx.source, session=ctx.session, routine=body)
    read = partial(analyzed_statement, ctx.view, ctx.session, function)
    return checked_text(query, read, lambda: kept_query(query, ctx.stored_view), as_written)
