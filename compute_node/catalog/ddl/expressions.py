"""Expressions kept in the catalog (defaults, checks, index expressions and predicates): parse tree → SQL text, verified.

They are stored as text that is analyzed again where it is used. Names in it are resolved here once, so a wrong one fails when
the object is made. Source: PostgreSQL manual, ch. 5.2–5.4.
"""

from __future__ import annotations

from pglast import ast, enums
from pglast.stream import RawStream
from pglast.visitors import Visitor

from aurora.errors import DatatypeMismatch, GroupingError, InvalidColumnReference, NotSupported
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.descriptors import ColumnDesc, RelationDesc
from compute_node.sql.analyze import analyze
from compute_node.sql.analyze.coercion import can_coerce
from compute_node.sql.analyze.typenames import format_type
from compute_node.sql.expressions import Expr
from compute_node.sql.parse import literal_location
from compute_node.types import oids

_STRINGS = (oids.TEXT, oids.VARCHAR, oids.BPCHAR, oids.NAME)


class _References(Visitor):  # type: ignore[misc]
    """Collects column names, and the places of what a stored expression may not hold."""

    def __init__(self) -> None:
        super().__init__()
        self.columns: list[tuple[str, int]] = []
        self.subqueries: list[int] = []

    def visit_ColumnRef(self, _: object, node: ast.ColumnRef) -> None:
        last = node.fields[-1]
        self.columns.append((last.sval if isinstance(last, ast.String) else "*", node.location or 0))

    def visit_SubLink(self, _: object, node: ast.SubLink) -> None:
        self.subqueries.append(node.location or 0)


def references(node: ast.Node) -> tuple[list[tuple[str, int]], list[int]]:
    """``(column name, offset)`` of each column reference, and the offsets of sub-selects."""
    visitor = _References()
    visitor(ast.ResTarget(val=node))
    return visitor.columns, visitor.subqueries


def _analyzed(ctx: DdlContext, node: ast.Node, table: ast.RangeVar | None) -> Expr:
    select = ast.SelectStmt(
        targetList=(ast.ResTarget(val=node, location=-1),),
        fromClause=None if table is None else (table,),
        limitOption=enums.LimitOption.LIMIT_OPTION_DEFAULT,
        op=enums.SetOperation.SETOP_NONE,
        all=False,
    )
    query = analyze(select, ctx.view, [], ctx.source, session=ctx.session)
    if query.has_aggregates:
        raise GroupingError("aggregate functions are not allowed here")
    return query.targets[0].expression


def expression_text(node: ast.Node) -> str:
    """The SQL text of a parse tree."""
    return str(RawStream()(node))


def default_text(ctx: DdlContext, node: ast.Node, column: ColumnDesc) -> str:
    """A column's DEFAULT; 0A000 for references to columns or sub-selects, 42804 when it does not fit the type."""
    columns, subqueries = references(node)
    if columns:
        raise NotSupported("cannot use column reference in DEFAULT expression", position=columns[0][1] + 1)
    if subqueries:
        raise NotSupported("cannot use subquery in DEFAULT expression", position=subqueries[0] + 1)
    view = ctx.view
    if isinstance(node, ast.A_Const):
        return _literal_default(ctx, node, column)
    found = _analyzed(ctx, node, None)
    if found.type != oids.UNKNOWN and not can_coerce(view, [found.type], [column.type], "a"):
        raise DatatypeMismatch(
            f'column "{column.name}" is of type {format_type(view, column.type)} but default expression is of type '
            f"{format_type(view, found.type)}",
            hint="You will need to rewrite or cast the expression.",
        )
    return expression_text(node)


def _literal_default(ctx: DdlContext, node: ast.A_Const, column: ColumnDesc) -> str:
    """A bare literal: checked by its type's input at once, and kept as PostgreSQL shows it (``'x'::text``)."""
    view = ctx.view
    kind = view.type(column.type)
    type_name = format_type(view, column.type)
    if node.isnull:
        return f"NULL::{type_name}"
    if isinstance(node.val, ast.String):
        cast = ast.TypeCast(arg=node, typeName=_type_node(view.type(column.type).name), location=-1)
        position = literal_location(node)
        try:
            _analyzed(ctx, cast, None)
        except DatatypeMismatch as error:
            error.position = position + 1 if position >= 0 else None
            raise
        return f"{expression_text(node)}::{type_name}"
    found = _analyzed(ctx, node, None)
    if not can_coerce(view, [found.type], [kind.oid], "a"):
        raise DatatypeMismatch(
            f'column "{column.name}" is of type {type_name} but default expression is of type '
            f"{format_type(view, found.type)}",
            hint="You will need to rewrite or cast the expression.",
        )
    text = expression_text(node)
    return text.lower() if isinstance(node.val, ast.Boolean) else text


def _type_node(name: str) -> ast.TypeName:
    return ast.TypeName(names=(ast.String(sval="pg_catalog"), ast.String(sval=name)), typemod=-1, location=-1)


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
    found = _analyzed(ctx, node, range_var(desc))
    if found.type not in (oids.BOOL, oids.UNKNOWN):
        raise DatatypeMismatch(
            f"argument of CHECK must be type boolean, not type {format_type(ctx.view, found.type)}",
            position=_start(node),
        )
    return f"({expression_text(node)})"


def predicate_text(ctx: DdlContext, node: ast.Node, desc: RelationDesc) -> str:
    """A partial index's WHERE."""
    _, subqueries = references(node)
    if subqueries:
        raise NotSupported("cannot use subquery in index predicate", position=subqueries[0] + 1)
    found = _analyzed(ctx, node, range_var(desc))
    if found.type not in (oids.BOOL, oids.UNKNOWN):
        raise DatatypeMismatch(f"argument of WHERE must be type boolean, not type {format_type(ctx.view, found.type)}")
    return f"({expression_text(node)})"


def index_expression(ctx: DdlContext, node: ast.Node, desc: RelationDesc) -> tuple[str, int]:
    """An index column's expression: its text and type. 0A000 for a sub-select."""
    _, subqueries = references(node)
    if subqueries:
        raise NotSupported("cannot use subquery in index expression", position=subqueries[0] + 1)
    found = _analyzed(ctx, node, range_var(desc))
    if found.type == oids.UNKNOWN:
        raise InvalidColumnReference("index expression has no type")
    text = expression_text(node).replace("\n", " ")
    return (text if isinstance(node, ast.FuncCall) else f"({text})"), found.type


def _start(node: ast.Node) -> int | None:
    location = getattr(node, "location", None)
    return None if location is None or location < 0 else int(location) + 1
