"""Constraints and indexes of tables: PRIMARY KEY, UNIQUE, CHECK, NOT NULL, and CREATE INDEX.

Key columns → index and constraint rows. Used by CREATE TABLE, ALTER TABLE and CREATE INDEX alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pglast import ast, enums

from aurora.errors import (
    CheckViolation,
    DatatypeMismatch,
    DuplicateColumn,
    InvalidParameterValue,
    InvalidTableDefinition,
    NotNullViolation,
    NotSupported,
    UndefinedColumn,
    UndefinedObject,
)
from compute_node.catalog.ddl.context import CLASS_RELATION, DdlContext, cut_name
from compute_node.catalog.ddl.expressions import attnos, check_text, index_expression, predicate_text, range_var
from compute_node.catalog.ddl.relation import (
    attribute_record,
    create_constraint,
    create_index,
    relation,
)
from compute_node.relations.descriptors import IndexDesc, RelationDesc
from compute_node.relations.schema import BTREE_AM
from compute_node.sql.analyze.coercion import is_binary_coercible
from compute_node.sql.analyze.typenames import format_type
from compute_node.txn.locks import SHARE

_KEYS_MAX = 32


@dataclass(slots=True)
class KeyColumn:
    """One column of an index: an attno, or an expression (attno 0)."""

    attno: int
    type: int
    operator_class: int
    descending: bool = False
    nulls_first: bool = False
    expression: str | None = None
    name: str = ""


def operator_class(ctx: DdlContext, kind: int, named: Sequence[Any] | None = None) -> int:
    """The operator class of a B-tree column; 42704 without one."""
    view = ctx.view
    default = view.default_operator_class(kind)
    if named:
        name = ".".join(item.sval for item in named)
        chosen = view.find_operator_class(named[-2].sval if len(named) > 1 else None, named[-1].sval, BTREE_AM)
        if chosen is None:
            raise UndefinedObject(f'operator class "{name}" does not exist for access method "btree"')
        if chosen.input_type != kind and not is_binary_coercible(view, kind, chosen.input_type):
            raise DatatypeMismatch(f'operator class "{name}" does not accept data type {format_type(view, kind)}')
        if default is not None and chosen.support[:1] != default.support[:1]:
            # A B-tree orders by the type itself.
            raise NotSupported(f'an index in the order of operator class "{name}" is not supported')
        return chosen.oid
    if default is None or view.type(kind).sort_key is None:
        raise UndefinedObject(
            f'data type {format_type(view, kind)} has no default operator class for access method "btree"',
            hint="You must specify an operator class for the index or define a default operator class for the"
            " data type.",
        )
    return default.oid


def plain_key(ctx: DdlContext, desc: RelationDesc, name: str, position: int | None) -> KeyColumn:
    """A key column of a constraint by name; 42703."""
    column = desc.column(name)
    if column is None:
        raise UndefinedColumn(f'column "{name}" named in key does not exist', position=position)
    return KeyColumn(column.attno, column.type, operator_class(ctx, column.type), name=name)


def make_index(
    ctx: DdlContext,
    desc: RelationDesc,
    name: str,
    keys: Sequence[KeyColumn],
    *,
    unique: bool,
    primary: bool = False,
    included: tuple[int, ...] = (),
    predicate: str | None = None,
    nulls_not_distinct: bool = False,
) -> IndexDesc:
    """Create and fill an index over ``keys``."""
    if len(keys) + len(included) > _KEYS_MAX:
        raise NotSupported(f"cannot use more than {_KEYS_MAX} columns in an index")
    index = IndexDesc(
        oid=0,
        relfile=0,
        name=name,
        columns=tuple(key.attno for key in keys),
        unique=unique,
        primary=primary,
        descending=tuple(key.descending for key in keys),
        nulls_first=tuple(key.nulls_first for key in keys),
        key_types=tuple(key.type for key in keys),
        operator_classes=tuple(key.operator_class for key in keys),
        included=included,
        expressions=tuple(key.expression for key in keys if key.expression is not None),
        predicate=predicate,
        nulls_not_distinct=nulls_not_distinct,
    )
    made = create_index(ctx, desc, index, [key.name for key in keys])
    for attno in dict.fromkeys([*made.columns, *made.included]):
        if attno:
            ctx.depend((CLASS_RELATION, made.oid, 0), (CLASS_RELATION, desc.oid, attno), "a")
    if made.expressions or predicate is not None:
        ctx.depend((CLASS_RELATION, made.oid, 0), (CLASS_RELATION, desc.oid, 0), "a")
    return made


def add_key(ctx: DdlContext, desc: RelationDesc, node: ast.Constraint, columns: Sequence[str]) -> None:
    """PRIMARY KEY or UNIQUE over named columns: the index and the constraint. 42P16, 42703, 42701, 23502, 23505."""
    if node.deferrable or node.initdeferred:
        raise NotSupported("deferrable constraints are not supported")
    primary = node.contype == enums.ConstrType.CONSTR_PRIMARY
    position = (node.location or 0) + 1 if node.location is not None and node.location >= 0 else None
    if node.indexname:
        raise NotSupported("ADD CONSTRAINT USING INDEX is not supported")
    if primary and any(index.primary for index in desc.indexes):
        raise InvalidTableDefinition(f'multiple primary keys for table "{desc.name}" are not allowed')
    keys = [plain_key(ctx, desc, name, position) for name in columns]
    for number, name in enumerate(columns):
        if name in columns[:number]:
            what = "primary key" if primary else "unique"
            raise DuplicateColumn(f'column "{name}" appears twice in {what} constraint', position=position)
    if primary:
        for key in keys:
            require_not_null(ctx, relation(ctx, desc.oid), key.attno)
        desc = relation(ctx, desc.oid)
    included = tuple(plain_key(ctx, desc, item.sval, position).attno for item in node.including or ())
    if node.conname:
        name = cut_name(node.conname)
    else:
        label = "pkey" if primary else "key"
        parts = [desc.name] if primary else [desc.name, *columns, *(item.sval for item in node.including or ())]
        name = ctx.free_name(desc.namespace, parts, label)
    index = make_index(
        ctx,
        desc,
        name,
        keys,
        unique=True,
        primary=primary,
        included=included,
        nulls_not_distinct=bool(node.nulls_not_distinct),
    )
    create_constraint(ctx, desc, name, "p" if primary else "u", tuple(key.attno for key in keys), index=index.oid)


def add_check(ctx: DdlContext, desc: RelationDesc, node: ast.Constraint, column: str | None, validate: bool) -> None:
    """A CHECK constraint; 23514 when ``validate`` finds a row that breaks it."""
    text = check_text(ctx, node.raw_expr, desc)
    columns = attnos(desc, node.raw_expr)
    if node.conname:
        name = cut_name(node.conname)
    else:
        used = column
        if used is None and len(columns) == 1:
            used = desc.columns[columns[0] - 1].name
        taken = {record.conname for record in ctx.rows.find("pg_constraint", conrelid=desc.oid)}
        name = ctx.free_name(0, [desc.name, used] if used else [desc.name], "check", taken)
    create_constraint(ctx, desc, name, "c", columns, check=text, no_inherit=bool(node.is_no_inherit))
    if validate and not node.skip_validation and _any_row(ctx, desc, _not(node.raw_expr)):
        raise CheckViolation(
            f'check constraint "{name}" of relation "{desc.name}" is violated by some row',
            schema=desc.schema,
            table=desc.name,
            constraint=name,
        )


def _not(node: ast.Node) -> ast.Node:
    return ast.BoolExpr(boolop=enums.BoolExprType.NOT_EXPR, args=(node,), location=-1)


def _any_row(ctx: DdlContext, desc: RelationDesc, condition: ast.Node) -> bool:
    """Whether a row of the table satisfies ``condition``."""
    one = ast.A_Const(val=ast.Integer(ival=1), isnull=False)
    select = ast.SelectStmt(
        targetList=(ast.ResTarget(val=one, location=-1),),
        fromClause=(range_var(desc),),
        whereClause=condition,
        limitCount=one,
        limitOption=enums.LimitOption.LIMIT_OPTION_COUNT,
        op=enums.SetOperation.SETOP_NONE,
        all=False,
    )
    return any(batch for batch in ctx.fetch(select))


def require_not_null(ctx: DdlContext, desc: RelationDesc, attno: int) -> None:
    """Make a column NOT NULL; 23502 when it holds a NULL."""
    column = desc.columns[attno - 1]
    if column.not_null:
        return
    table = ctx.storage.table(desc)
    for batch in table.scan(ctx.rows.snapshot(), (attno,), False):
        for row in batch:
            if row[0] is None:
                raise NotNullViolation(
                    f'column "{column.name}" of relation "{desc.name}" contains null values',
                    schema=desc.schema,
                    table=desc.name,
                    column=column.name,
                )
    ctx.rows.update("pg_attribute", attribute_record(ctx, desc.oid, attno), attnotnull=True)
    ctx.changes.touch(desc.oid)


def create_index_statement(ctx: DdlContext, node: ast.IndexStmt) -> str:
    """CREATE [UNIQUE] INDEX; CONCURRENTLY builds it like any other, which locks the table's writers out meanwhile."""
    desc = ctx.table(node.relation, SHARE)
    method = node.accessMethod or "btree"
    if method != "btree":
        if ctx.rows.one("pg_am", amname=method) is None:
            raise UndefinedObject(f'access method "{method}" does not exist')
        raise NotSupported(f'access method "{method}" is not supported')
    if node.options:
        for option in node.options:
            if option.defname not in ("fillfactor", "deduplicate_items"):
                raise InvalidParameterValue(f'unrecognized parameter "{option.defname}"')
    if node.idxname and ctx.view.layer.relation_oid(desc.namespace, node.idxname) is not None and node.if_not_exists:
        ctx.notice(f'relation "{node.idxname}" already exists, skipping', sqlstate="42P07")
        return "CREATE INDEX"
    keys = [_index_key(ctx, desc, element) for element in node.indexParams]
    included = []
    for element in node.indexIncludingParams or ():
        if element.expr is not None:
            raise NotSupported("expressions are not supported in included columns")
        included.append(_column(desc, element.name))
    predicate = None if node.whereClause is None else predicate_text(ctx, node.whereClause, desc)
    if node.idxname:
        name = cut_name(node.idxname)
    else:
        names = [key.name for key in keys] + [desc.columns[attno - 1].name for attno in included]
        name = ctx.free_name(desc.namespace, [desc.name, *names], "idx")
    make_index(
        ctx,
        desc,
        name,
        keys,
        unique=bool(node.unique),
        included=tuple(included),
        predicate=predicate,
        nulls_not_distinct=bool(node.nulls_not_distinct),
    )
    return "CREATE INDEX"


def _column(desc: RelationDesc, name: str) -> int:
    column = desc.column(name)
    if column is None:
        raise UndefinedColumn(f'column "{name}" does not exist')
    return column.attno


def _index_key(ctx: DdlContext, desc: RelationDesc, element: ast.IndexElem) -> KeyColumn:
    descending = element.ordering == enums.SortByDir.SORTBY_DESC
    order = element.nulls_ordering
    nulls_first = (
        descending if order == enums.SortByNulls.SORTBY_NULLS_DEFAULT else order == enums.SortByNulls.SORTBY_NULLS_FIRST
    )
    if element.name is not None:
        attno = _column(desc, element.name)
        kind = desc.columns[attno - 1].type
        return KeyColumn(
            attno, kind, operator_class(ctx, kind, element.opclass), descending, nulls_first, name=element.name
        )
    text, kind = index_expression(ctx, element.expr, desc)
    expr = element.expr
    name = expr.funcname[-1].sval if isinstance(expr, ast.FuncCall) else "expr"
    chosen = operator_class(ctx, kind, element.opclass)
    return KeyColumn(0, kind, chosen, descending, nulls_first, expression=text, name=name)
