"""The tables of a publication as a statement names them: with column lists, and row filters that are checked.

``FOR TABLE t (a, b) WHERE (a > 1), ONLY u`` → ``Member``s with their descendants, each table once. A row filter is
evaluated outside of any query, so it may use columns, constants, and what is built in and immutable. Source: PostgreSQL
manual, ch. 31.3 and 31.4, CREATE PUBLICATION.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from pglast import ast

from aurora.errors import (
    DuplicateObject,
    InvalidColumnReference,
    InvalidParameterValue,
    InvariantViolation,
    NotSupported,
    UndefinedColumn,
    UndefinedTable,
    WrongObjectType,
)
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.rows import Record
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.schema import FIRST_NORMAL_OID, NAMESPACE_TOAST
from compute_node.sql.analyze.context import start_of
from compute_node.sql.analyze.names import SYSTEM_NAMES
from compute_node.sql.analyze.stored import analyze_expression
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.deparse.expressions import deparse_stored
from compute_node.sql.expressions import (
    And,
    ArrayExpr,
    ArrayOp,
    BooleanTest,
    Call,
    Case,
    Coalesce,
    CoerceTypmod,
    Collate,
    Const,
    DistinctTest,
    ElementValue,
    Expr,
    MinMax,
    Not,
    NullIf,
    NullTest,
    Or,
    Relabel,
    RowCompare,
    RowExpr,
    SubLink,
    Var,
    XmlExpr,
    children,
)
from compute_node.txn.locks import SHARE_UPDATE_EXCLUSIVE

_PLURALS = {
    "S": "sequences", "t": "TOAST tables", "v": "views", "m": "materialized views", "f": "foreign tables",
}  # fmt: skip
_ALLOWED = (
    And, ArrayExpr, ArrayOp, BooleanTest, Call, Case, Coalesce, CoerceTypmod, Collate, Const, DistinctTest,
    ElementValue, MinMax, Not, NullIf, NullTest, Or, Relabel, RowCompare, RowExpr, Var, XmlExpr,
)  # fmt: skip


class Member:
    """A table with the column list and the row filter that are written for it, or for a table it inherits from."""

    def __init__(self, desc: RelationDesc, written: ast.PublicationTable) -> None:
        self.desc = desc
        self._columns = written.columns
        self._where = written.whereClause
        self.row_filter: str | None = None
        """SQL over its columns, once analyzed"""
        self._filter: Expr | None = None

    @property
    def has_columns(self) -> bool:
        """Whether a column list is written."""
        return self._columns is not None

    @property
    def has_filter(self) -> bool:
        """Whether a row filter is written."""
        return self._where is not None

    def analyze_filter(self, ctx: DdlContext, publication: Record) -> None:
        """Make ``row_filter`` of what is written. 22023, 0A000, and what the expression raises."""
        if self._where is None:
            return
        if self.desc.is_partitioned and not publication.pubviaroot:
            raise InvalidParameterValue(
                f'cannot use publication WHERE clause for relation "{self.desc.name}"',
                detail="WHERE clause cannot be used for a partitioned table when publish_via_partition_root is false.",
            )
        view = ctx.tracing()
        found = analyze_expression(view, self.desc, self._where, ctx.source, "PUBLICATION", ctx.session)
        _check_filter(ctx.view, self.desc, found)
        self._filter = found
        self.row_filter = ctx.keep(deparse_stored(found, ctx.stored_view, self.desc), view)

    def filtered_columns(self) -> set[int]:
        """The columns that the row filter names."""
        waiting = [] if self._filter is None else [self._filter]
        found = set()
        while waiting:
            node = waiting.pop()
            if isinstance(node, Var):
                found.add(node.attno)
            waiting += children(node)
        return found

    def column_numbers(self) -> list[int] | None:
        """The column list as attnos in their order. 42703, 42P10, 42710."""
        if self._columns is None:
            return None
        found: list[int] = []
        for item in self._columns:
            column = self.desc.column(item.sval)
            if item.sval in SYSTEM_NAMES.values():
                raise InvalidColumnReference(f'cannot use system column "{item.sval}" in publication column list')
            if column is None:
                raise UndefinedColumn(f'column "{item.sval}" of relation "{self.desc.name}" does not exist')
            if column.generated:
                raise InvalidColumnReference(f'cannot use generated column "{item.sval}" in publication column list')
            if column.attno in found:
                raise DuplicateObject(f'duplicate column "{item.sval}" in publication column list')
            found.append(column.attno)
        return sorted(found)

    def check_publishable(self) -> None:
        """22023 for what cannot be published."""
        desc, what = self.desc, None
        if desc.kind not in "rp":
            what = _PLURALS[desc.kind]
        elif desc.oid < FIRST_NORMAL_OID or desc.namespace == NAMESPACE_TOAST:
            what = "system tables"
        elif desc.persistence != "p":
            what = "temporary tables" if desc.persistence == "t" else "unlogged tables"
        if what is not None:
            raise InvalidParameterValue(
                f'cannot add relation "{desc.name}" to publication',
                detail=f"This operation is not supported for {what}.",
            )

    def is_kept(self, row: Record) -> bool:
        """Whether SET leaves what is there."""
        columns = None if row.prattrs is None else sorted(row.prattrs)
        return bool(row.prqual == self.row_filter and columns == self.column_numbers())


def named_tables(ctx: DdlContext, tables: Sequence[ast.PublicationTable]) -> list[Member]:
    """The tables, locked, with what inherits from them unless ONLY is said. 42P01, 42809; 42710 for one that comes
    twice with a filter or a list."""
    found: dict[int, Member] = {}
    for written in tables:
        desc = ctx.find(written.relation)
        if desc is None:
            raise InvariantViolation("a relation that is not there")
        if desc.kind in "iIc":
            raise WrongObjectType(f'"{desc.name}" is {"a composite type" if desc.kind == "c" else "an index"}')
        ctx.lock(desc, SHARE_UPDATE_EXCLUSIVE)
        locked = ctx.view.relation(desc.oid)
        if locked is None:
            raise UndefinedTable(f'relation "{desc.name}" does not exist')
        family = [locked]
        if written.relation.inh and locked.children and not locked.is_partitioned:
            family += ctx.lock_descendants(locked, partial(ctx.lock, mode=SHARE_UPDATE_EXCLUSIVE))
        for each in family:
            _add(found, Member(each, written))
    return list(found.values())


def _add(found: dict[int, Member], member: Member) -> None:
    before = found.setdefault(member.desc.oid, member)
    if before is member:
        return
    for what, either in (
        ("WHERE clauses", before.has_filter or member.has_filter),
        ("column lists", before.has_columns or member.has_columns),
    ):
        if either:
            raise DuplicateObject(f'conflicting or redundant {what} for table "{member.desc.name}"')


def check_lists(publication: Record, members: Sequence[Member], has_schemas: bool) -> None:
    """22023 for a column list where there may be none."""
    for member in members:
        if not member.has_columns:
            continue
        detail = None
        if has_schemas:
            detail = "Column lists cannot be specified in publications containing FOR TABLES IN SCHEMA elements."
        elif member.desc.is_partitioned and not publication.pubviaroot:
            detail = "Column lists cannot be specified for partitioned tables when publish_via_partition_root is false."
        if detail is not None:
            desc = member.desc
            raise InvalidParameterValue(
                f'cannot use column list for relation "{desc.schema}.{desc.name}" in publication'
                f' "{publication.pubname}"',
                detail=detail,
            )


# --- row filters ------------------------------------------------------------------------------------------------------


def _check_filter(catalog: CatalogView, desc: RelationDesc, top: Expr) -> None:
    """0A000 for the first part, from outside to inside, that a row filter may not have."""
    waiting = [top]
    while waiting:
        node = waiting.pop()
        parts = list(children(node))
        detail = next((text for is_wrong, text in _RULES if is_wrong(catalog, node)), None)
        if detail is None and any(_collation(desc, each) >= FIRST_NORMAL_OID for each in (node, *parts)):
            # What compares by it is told of before it.
            detail = "User-defined collations are not allowed."
        if detail is not None:
            # A sub-select begins where what is compared with it does.
            places = [start_of(each) for each in (node, *(parts if isinstance(node, SubLink) else ()))]
            location = min((each for each in places if each >= 0), default=-1)
            raise NotSupported(
                "invalid publication WHERE expression", detail=detail, position=location + 1 if location >= 0 else None
            )
        waiting += reversed(parts)


def _collation(desc: RelationDesc, node: Expr) -> int:
    """A column's, or the one that COLLATE says; 0 of anything else."""
    if isinstance(node, Collate):
        return node.collation
    return desc.columns[node.attno - 1].collation if isinstance(node, Var) and node.attno > 0 else 0


def _operators(node: Expr) -> tuple[int, ...]:
    if isinstance(node, (Call, ArrayOp)):
        return (node.operator,)
    return (*node.less, *node.equal) if isinstance(node, RowCompare) else ()


def _functions(node: Expr) -> tuple[int, ...]:
    if isinstance(node, (Call, ArrayOp)):
        return (node.function,)
    if isinstance(node, (DistinctTest, NullIf)):
        return (node.equality,)
    return ()


def _is_mutable(catalog: CatalogView, oid: int) -> bool:
    return oid >= FIRST_NORMAL_OID or catalog.function(oid).volatility != "i"


_RULES: tuple[tuple[Callable[[CatalogView, Expr], bool], str], ...] = (
    (lambda catalog, node: isinstance(node, Var) and node.attno < 0, "System columns are not allowed."),
    (
        lambda catalog, node: any(oid >= FIRST_NORMAL_OID for oid in _operators(node)),
        "User-defined operators are not allowed.",
    ),
    (
        lambda catalog, node: not isinstance(node, _ALLOWED),
        "Only columns, constants, built-in operators, built-in data types, built-in collations, and immutable built-in"
        " functions are allowed.",
    ),
    (lambda catalog, node: node.type >= FIRST_NORMAL_OID, "User-defined types are not allowed."),
    (
        lambda catalog, node: any(_is_mutable(catalog, oid) for oid in _functions(node)),
        "User-defined or built-in mutable functions are not allowed.",
    ),
)
