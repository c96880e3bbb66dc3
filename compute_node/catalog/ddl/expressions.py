"""Expressions kept in the catalog (defaults, checks, index expressions and predicates): parse tree → SQL text,
verified.

They are stored as text that is analyzed again where it is used. Names in it are resolved here once, so a wrong one
fails when the object is made. Source: PostgreSQL manual, ch. 5.2–5.4.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from pglast import ast
from pglast.stream import RawStream

from aurora.errors import DatatypeMismatch, NotSupported
from compute_node.catalog.ddl.context import DdlContext
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.sql.analyze.stored import analyze_default, analyze_expression
from compute_node.sql.analyze.typenames import format_type
from compute_node.sql.deparse import deparse_stored
from compute_node.sql.expressions import Const, Expr
from compute_node.sql.expressions import walk as walk_expression
from compute_node.types import oids


def walk(node: Any) -> Iterator[ast.Node]:
    """Every node of a parse tree. (pglast's visitors would overwrite the slot in which ``parse`` keeps a literal's
    place.)"""
    if isinstance(node, tuple):
        for item in node:
            yield from walk(item)
    elif isinstance(node, ast.Node):
        yield node
        for attribute in node:
            yield from walk(getattr(node, attribute))


def references(node: ast.Node) -> tuple[list[tuple[str, int]], list[int]]:
    """``(column name, offset)`` of each column reference, and the offsets of sub-selects."""
    columns, subqueries = [], []
    for each in walk(node):
        if isinstance(each, ast.ColumnRef):
            last = each.fields[-1]
            columns.append((last.sval if isinstance(last, ast.String) else "*", each.location or 0))
        elif isinstance(each, ast.SubLink):
            subqueries.append(each.location or 0)
    return columns, subqueries


def _analyzed(ctx: DdlContext, node: ast.Node, desc: RelationDesc | None, clause: str) -> tuple[Expr, str]:
    """The expression, and its text for keeping."""
    view = ctx.tracing()
    found = analyze_expression(view, desc, node, ctx.source, clause, session=ctx.session)
    return found, ctx.keep(deparse_stored(found, ctx.stored_view, desc), view, named_relations(found))


def named_relations(expr: Expr) -> set[int]:
    """The users' relations that stand in an expression as constants."""
    return {
        node.value
        for node in walk_expression(expr)
        if isinstance(node, Const) and node.type == oids.REGCLASS and (node.value or 0) >= FIRST_NORMAL_OID
    }


def expression_text(node: ast.Node) -> str:
    """The SQL text of a parse tree."""
    return str(RawStream()(copy.deepcopy(node)))


def default_text(ctx: DdlContext, node: ast.Node, column: ColumnDesc) -> str:
    """A column's DEFAULT; 0A000 for references to columns or sub-selects, 42804 when it does not fit the type."""
    columns, subqueries = references(node)
    if columns:
        raise NotSupported("cannot use column reference in DEFAULT expression", position=columns[0][1] + 1)
    if subqueries:
        raise NotSupported("cannot use subquery in DEFAULT expression", position=subqueries[0] + 1)
    view = ctx.tracing()
    found = analyze_default(view, column, node, ctx.source, session=ctx.session)
    return ctx.keep(deparse_stored(found, ctx.stored_view, None), view, named_relations(found))


def range_var(desc: RelationDesc) -> ast.RangeVar:
    """A reference to a relation by its schema and name."""
    return ast.RangeVar(schemaname=desc.schema, relname=desc.name, inh=True, relpersistence="p", location=-1)


def attnos(desc: RelationDesc, node: ast.Node) -> tuple[int, ...]:
    """The columns of ``desc`` that an expression names, in order, each once."""
    found = (desc.column(name) for name, _ in references(node)[0])
    return tuple(dict.fromkeys(column.attno for column in found if column is not None))


def check_text(ctx: DdlContext, node: ast.Node, desc: RelationDesc) -> str:
    """A CHECK expression over a table; 42804 unless it is boolean, 0A000 for a sub-select."""
    _, subqueries = references(node)
    if subqueries:
        raise NotSupported("cannot use subquery in check constraint", position=subqueries[0] + 1)
    return _analyzed(ctx, node, desc, "CHECK")[1]


def predicate_text(ctx: DdlContext, node: ast.Node, desc: RelationDesc) -> str:
    """A partial index's WHERE."""
    _, subqueries = references(node)
    if subqueries:
        raise NotSupported("cannot use subquery in index predicate", position=subqueries[0] + 1)
    found, text = _analyzed(ctx, node, desc, "INDEX")
    if found.type != oids.BOOL:
        raise DatatypeMismatch(f"argument of WHERE must be type boolean, not type {format_type(ctx.view, found.type)}")
    return text


def index_expression(ctx: DdlContext, node: ast.Node, desc: RelationDesc) -> tuple[str, int]:
    """An index column's expression: its text and type. 0A000 for a sub-select."""
    _, subqueries = references(node)
    if subqueries:
        raise NotSupported("cannot use subquery in index expression", position=subqueries[0] + 1)
    found, text = _analyzed(ctx, node, desc, "INDEX")
    is_call = isinstance(node, ast.FuncCall) and not text.startswith("(")
    written = text if is_call else f"({text})"
    ctx.keep_as(written, text)
    return written, found.type
