"""Expressions kept in the catalog (defaults, checks, index expressions and predicates): parse tree → SQL text,
verified.

They are stored as text that is analyzed again where it is used. Names in it are resolved here once, so a wrong one
fails when the object is made. Source: PostgreSQL manual, ch. 5.2–5.4.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pglast import ast
from pglast.stream import RawStream

from aurora.errors import DatatypeMismatch, InvalidObjectDefinition, NotSupported, SqlError
from compute_node.catalog.ddl.context import (
    CLASS_COLLATION,
    CLASS_NAMESPACE,
    CLASS_OPERATOR,
    CLASS_PROC,
    CLASS_RELATION,
    CLASS_TS_CONFIGURATION,
    CLASS_TS_DICTIONARY,
    CLASS_TYPE,
    DdlContext,
)
from compute_node.catalog.permissions import check_functions
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.sql.analyze.collations import collation_of_expression
from compute_node.sql.analyze.stored import analyze_default, analyze_expression
from compute_node.sql.analyze.typenames import format_type
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.deparse.expressions import deparse_stored
from compute_node.sql.expressions import (
    AggregateCall,
    ArrayOp,
    Call,
    Coalesce,
    CoerceViaIO,
    Collate,
    Const,
    DistinctTest,
    Expr,
    FieldSelect,
    MinMax,
    NullIf,
    RowCompare,
    SqlValue,
    Var,
    XmlExpr,
)
from compute_node.sql.expressions import walk as walk_expression
from compute_node.sql.planner.inline import Inliner
from compute_node.sql.required import functions_of
from compute_node.types import oids
from compute_node.types.oids import TYPE_OIDS


def walk(node: ast.Node) -> Iterator[ast.Node]:
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
    text = ctx.keep(deparse_stored(found, ctx.stored_view, desc), view, named_objects(walk_expression(found)))
    ctx.also_uses(text, used_fields(ctx, found))
    return found, text


def used_fields(ctx: DdlContext, node: Expr) -> set[tuple[int, int]]:
    """The columns of composite types that an expression selects: (relation, attno)."""
    found = set()
    for each in walk_expression(node):
        if isinstance(each, FieldSelect):
            kind = ctx.view.type(each.argument.type).root
            if kind.relation:
                found.add((kind.relation, each.index + 1))
    return found


_CLASS_OF = {
    oids.REGCLASS: CLASS_RELATION,
    oids.REGTYPE: CLASS_TYPE,
    oids.REGPROC: CLASS_PROC,
    TYPE_OIDS["regprocedure"]: CLASS_PROC,
    TYPE_OIDS["regoper"]: CLASS_OPERATOR,
    TYPE_OIDS["regoperator"]: CLASS_OPERATOR,
    TYPE_OIDS["regconfig"]: CLASS_TS_CONFIGURATION,
    TYPE_OIDS["regdictionary"]: CLASS_TS_DICTIONARY,
    TYPE_OIDS["regcollation"]: CLASS_COLLATION,
    oids.REGNAMESPACE: CLASS_NAMESPACE,
}
"""Types whose values are OIDs of objects → the catalog of those."""


def named_objects(nodes: Iterable[Expr]) -> set[tuple[int, int, int]]:
    """The objects that stand among these nodes as constants (``'s'::regclass``), and collations. 0A000 for a role, on
    which only owners and privileges may depend."""
    found = set()
    for node in nodes:
        if isinstance(node, Collate):
            found.add((CLASS_COLLATION, node.collation, 0))
        elif isinstance(node, Const) and node.value is not None:
            if node.type == TYPE_OIDS["regrole"]:
                raise NotSupported("constant of the type regrole cannot be used here")
            if node.type in _CLASS_OF:
                found.add((_CLASS_OF[node.type], node.value, 0))
    return found


def expression_text(node: ast.Node) -> str:
    """The SQL text of a parse tree."""
    return str(RawStream()(copy.deepcopy(node)))


@contextmanager
def without_place() -> Iterator[None]:
    """Errors of the expressions in ALTER TABLE have no position: they are analyzed when the table is changed."""
    try:
        yield
    except SqlError as error:
        error.position = None
        raise


def default_text(ctx: DdlContext, node: ast.Node, column: ColumnDesc) -> str:
    """A column's DEFAULT; 0A000 for references to columns or sub-selects, 42804 when it does not fit the type."""
    columns, subqueries = references(node)
    if columns:
        raise NotSupported("cannot use column reference in DEFAULT expression", position=columns[0][1] + 1)
    if subqueries:
        raise NotSupported("cannot use subquery in DEFAULT expression", position=subqueries[0] + 1)
    view = ctx.tracing()
    found = analyze_default(view, column, node, ctx.source, session=ctx.session)
    return ctx.keep(deparse_stored(found, ctx.stored_view, None), view, named_objects(walk_expression(found)))


def range_var(desc: RelationDesc) -> ast.RangeVar:
    """A reference to a relation by its schema and name; its own rows are meant, not those of its descendants."""
    return ast.RangeVar(schemaname=desc.schema, relname=desc.name, inh=False, relpersistence="p", location=-1)


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


@dataclass(frozen=True, slots=True)
class StoredIndexExpression:
    """An index column's expression, or a partial index's predicate: its text, type, and the columns it reads (0: the
    whole row). ``attno``: the column that it simply is, 0 for any other expression."""

    text: str
    type: int
    uses: tuple[int, ...]
    attno: int = 0
    collation: int = 0
    """-1 where its parts disagree"""


def predicate_text(ctx: DdlContext, node: ast.Node, desc: RelationDesc) -> StoredIndexExpression:
    """A partial index's WHERE. Errors: 0A000 for a sub-select, 42804, 42P17 unless it is immutable."""
    _, subqueries = references(node)
    if subqueries:
        raise NotSupported("cannot use subquery in index predicate", position=subqueries[0] + 1)
    found, text = _analyzed(ctx, node, desc, "INDEX")
    check_functions(ctx.view, desc.owner, functions_of(found))
    _refuse_system_columns(found)
    if found.type != oids.BOOL:
        raise DatatypeMismatch(
            f"argument of WHERE must be type boolean, not type {format_type(ctx.view, found.type)}",
            position=found.location + 1 if found.location >= 0 else None,
        )
    if not is_immutable(ctx.view, found):
        raise InvalidObjectDefinition("functions in index predicate must be marked IMMUTABLE")
    _refuse_system_columns(found)
    return StoredIndexExpression(text, found.type, uses(found))


def index_expression(ctx: DdlContext, node: ast.Node, desc: RelationDesc) -> StoredIndexExpression:
    """An index column's expression. Errors: 0A000 for a sub-select, 42P17 unless it is immutable."""
    _, subqueries = references(node)
    if subqueries:
        raise NotSupported("cannot use subquery in index expression", position=subqueries[0] + 1)
    found, text = _analyzed(ctx, node, desc, "INDEX")
    check_functions(ctx.view, desc.owner, functions_of(found))
    collation = collation_of_expression(ctx.view, desc, found)
    column = found
    while isinstance(column, Collate):
        column = column.argument
    if isinstance(column, Var) and column.attno > 0:
        return StoredIndexExpression("", column.type, (column.attno,), column.attno, collation)
    _refuse_system_columns(found)
    if not is_immutable(ctx.view, found):
        raise InvalidObjectDefinition("functions in index expression must be marked IMMUTABLE")
    _refuse_system_columns(found)
    written = index_text(found, text)
    ctx.keep_as(written, text)
    return StoredIndexExpression(written, found.type, uses(found), collation=collation)


def statistics_expression(ctx: DdlContext, node: ast.Node, desc: RelationDesc) -> tuple[str, int, list[int]]:
    """An expression of a statistics object: its text, its type and the columns that it uses. 0A000, 42803."""
    found, text = _analyzed(ctx, node, desc, "STATISTICS")
    check_functions(ctx.view, desc.owner, functions_of(found))
    return text, found.type, [attno for attno in uses(found) if attno]


def partition_expression(ctx: DdlContext, node: ast.Node, desc: RelationDesc) -> tuple[Expr, StoredIndexExpression]:
    """An expression of a partition key, and what of it is kept. 0A000 for a sub-select."""
    found, text = _analyzed(ctx, node, desc, "PARTITION")
    collation = collation_of_expression(ctx.view, desc, found)
    column = found
    while isinstance(column, Collate):
        column = column.argument
    attno = column.attno if isinstance(column, Var) and column.attno > 0 else 0
    return found, StoredIndexExpression(text, found.type, uses(found), attno, collation)


def _refuse_system_columns(node: Expr) -> None:
    if any(attno < 0 for attno in uses(node)):
        raise NotSupported("index creation on system columns is not supported")


def index_text(node: Expr, text: str) -> str:
    """An index expression as CREATE INDEX takes it: in parentheses, unless it looks like a function call."""
    is_call = isinstance(node, Call) and not node.operator and node.display not in ("cast", "coercion")
    return text if is_call or isinstance(node, (Coalesce, MinMax, NullIf, XmlExpr)) else f"({text})"


def uses(node: Expr) -> tuple[int, ...]:
    """The columns that an expression over one table reads (0: the whole row)."""
    return tuple(dict.fromkeys(item.attno for item in walk_expression(node) if isinstance(item, Var)))


_STABLE_INPUT = frozenset(
    {
        oids.REGPROC, 142, 790, 1033, oids.DATE, oids.TIME, oids.TIMESTAMP, oids.TIMESTAMPTZ, oids.INTERVAL,
        oids.TIMETZ, 2202, 2203, 2204, oids.REGCLASS, 4191, oids.REGTYPE, 4096, oids.REGNAMESPACE, 3734, 3769,
    }
)  # fmt: skip
"""Types whose text input depends on settings or the catalog: xml, money, aclitem, times, reg types."""
_STABLE_OUTPUT = _STABLE_INPUT - {142, oids.TIME, oids.INTERVAL, oids.TIMETZ}


def is_immutable(view: CatalogView, node: Expr) -> bool:
    """Whether the expression gives the same value for the same row at any time, whatever the settings. Of a function in
    SQL that the planner puts in its place counts what it does, not what was said of it."""
    for item in walk_expression(Inliner(view, None).expression(node)):
        if isinstance(item, SqlValue):
            return False
        if isinstance(item, CoerceViaIO) and (item.argument.type in _STABLE_OUTPUT or item.type in _STABLE_INPUT):
            return False
        functions: tuple[int, ...] = ()
        if isinstance(item, (Call, ArrayOp, AggregateCall)):
            functions = (item.function,)
        elif isinstance(item, (DistinctTest, NullIf)):
            functions = (item.equality,)
        elif isinstance(item, RowCompare):
            functions = (*item.less, *item.equal)
        if any(function and view.function(function).volatility != "i" for function in functions):
            return False
    return True
