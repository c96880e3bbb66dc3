"""Constraints of tables: PRIMARY KEY, UNIQUE, CHECK, NOT NULL.

Key columns → index and constraint rows. Used by CREATE TABLE and ALTER TABLE alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pglast import ast, enums

from aurora.datum import Datum
from aurora.errors import (
    CheckViolation,
    DuplicateColumn,
    DuplicateObject,
    DuplicateTable,
    InvalidObjectDefinition,
    InvalidTableDefinition,
    InvariantViolation,
    NotNullViolation,
    NotSupported,
    ObjectNotInPrerequisiteState,
    UndefinedColumn,
    UndefinedObject,
    WrongObjectType,
)
from compute_node.catalog.ddl.context import CLASS_RELATION, DdlContext, cut_name
from compute_node.catalog.ddl.expressions import attnos, check_text, range_var
from compute_node.catalog.ddl.foreign_key_rows import add_recheck_trigger
from compute_node.catalog.ddl.indexes import IndexOptions, KeyColumn, make_index, operator_class
from compute_node.catalog.ddl.partitions.indexes import check_unique, refuse_foreign, spread
from compute_node.catalog.ddl.relation import (
    attribute_record,
    class_record,
    create_constraint,
    relation,
)
from compute_node.catalog.inheritance import children_of
from compute_node.catalog.reloptions import index_options
from compute_node.catalog.rows import Record
from compute_node.relations.access_methods import BTREE
from compute_node.relations.descriptors import ColumnDesc, IndexDesc, RelationDesc
from compute_node.sql.parse import parse


def plain_key(ctx: DdlContext, desc: RelationDesc, name: str, position: int | None) -> KeyColumn:
    """A key column of a constraint by name; 42703."""
    column = _named(desc, name, position)
    kind = operator_class(ctx, column.type)
    return KeyColumn(column.attno, column.type, kind, name=name, collation=column.collation)


def _named(desc: RelationDesc, name: str, position: int | None) -> ColumnDesc:
    column = desc.column(name)
    if column is None:
        raise UndefinedColumn(f'column "{name}" named in key does not exist', position=position)
    return column


def add_key(
    ctx: DdlContext, desc: RelationDesc, node: ast.Constraint, columns: Sequence[str], recurse: bool = True
) -> None:
    """PRIMARY KEY or UNIQUE over named columns: the index and the constraint, of a partitioned table also its
    partitions' unless not to ``recurse``. 42P16, 42703, 42701, 23502, 23505."""
    primary = node.contype == enums.ConstrType.CONSTR_PRIMARY
    position = (node.location or 0) + 1 if node.location is not None and node.location >= 0 else None
    if node.indexname:
        key_by_index(ctx, desc, node, position)
        return
    if primary and any(index.primary for index in desc.indexes):
        raise InvalidTableDefinition(f'multiple primary keys for table "{desc.name}" are not allowed')
    keys = [plain_key(ctx, desc, name, position) for name in columns]
    for number, name in enumerate(columns):
        if name in columns[:number]:
            what = "primary key" if primary else "unique"
            raise DuplicateColumn(f'column "{name}" appears twice in {what} constraint', position=position)
    if primary:
        if not recurse:
            check_children(ctx, desc, columns)
        for key in keys:
            require_not_null(ctx, relation(ctx, desc.oid), key.attno)
        desc = relation(ctx, desc.oid)
    check_unique(desc, [key.attno for key in keys], "PRIMARY KEY" if primary else "UNIQUE")
    if recurse:
        refuse_foreign(ctx, desc)
    included = tuple(_named(desc, item.sval, None).attno for item in node.including or ())
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
        IndexOptions(
            unique=True,
            primary=primary,
            included=included,
            nulls_not_distinct=bool(node.nulls_not_distinct),
            immediate=not node.deferrable,
            valid=recurse or not (desc.is_partitioned and desc.children),
            storage=index_options(BTREE, node.options),
        ),
    )
    constraint = create_constraint(
        ctx,
        desc,
        name,
        "p" if primary else "u",
        tuple(key.attno for key in keys),
        index=index.oid,
        deferrable=bool(node.deferrable),
        deferred=bool(node.initdeferred),
    )
    if node.deferrable:
        add_recheck_trigger(ctx, desc, constraint, index.oid, primary=primary, deferred=bool(node.initdeferred))
    if desc.is_partitioned and recurse:
        spread(ctx, relation(ctx, desc.oid), replace(index, constraint=constraint))


def check_children(ctx: DdlContext, desc: RelationDesc, columns: Sequence[str]) -> None:
    """Columns that are to be NOT NULL in a partitioned table ONLY are so in its partitions; 42P16."""
    for oid in children_of(ctx.rows, desc.oid) if desc.is_partitioned else ():
        child = relation(ctx, oid)
        for name in columns:
            column = child.column(name)
            if column is not None and not column.not_null:
                raise InvalidTableDefinition(
                    "constraint must be added to child tables too",
                    detail=f'Column "{name}" of relation "{child.name}" is not already NOT NULL.',
                    hint="Do not specify the ONLY keyword.",
                )


def key_by_index(ctx: DdlContext, desc: RelationDesc, node: ast.Constraint, position: int | None) -> None:
    """PRIMARY KEY or UNIQUE USING INDEX: an index that is there becomes the constraint's. 42704, 42809, 55000."""
    primary = node.contype == enums.ConstrType.CONSTR_PRIMARY
    if desc.is_partitioned:
        raise NotSupported("ALTER TABLE / ADD CONSTRAINT USING INDEX is not supported on partitioned tables")
    if primary and any(index.primary for index in desc.indexes):
        raise InvalidTableDefinition(f'multiple primary keys for table "{desc.name}" are not allowed')
    index = _fit_index(ctx, desc, node, position)
    name = cut_name(node.conname) if node.conname else index.name
    if primary:
        for attno in index.columns:
            require_not_null(ctx, relation(ctx, desc.oid), attno)
    if name != index.name:
        ctx.notice(f'ALTER TABLE / ADD CONSTRAINT USING INDEX will rename index "{index.name}" to "{name}"')
        if ctx.view.layer.relation_oid(desc.namespace, name) is not None:
            raise DuplicateTable(f'relation "{name}" already exists')
        ctx.rows.update("pg_class", class_record(ctx, index.oid), relname=name)
    record = ctx.rows.one("pg_index", indexrelid=index.oid)
    if record is None:
        raise InvariantViolation(f"pg_index has no row {index.oid}")
    ctx.rows.update("pg_index", record, indisprimary=primary, indimmediate=not node.deferrable)
    # The index goes with its constraint from now on, and no longer by itself with its columns.
    ctx.rows.delete_where("pg_depend", classid=CLASS_RELATION, objid=index.oid, refobjid=desc.oid, deptype="a")
    deferrable, deferred = bool(node.deferrable), bool(node.initdeferred)
    constraint = create_constraint(
        ctx, relation(ctx, desc.oid), name, "p" if primary else "u", index.columns, index=index.oid,
        deferrable=deferrable, deferred=deferred,
    )  # fmt: skip
    if deferrable:
        add_recheck_trigger(ctx, desc, constraint, index.oid, primary=primary, deferred=deferred)
    ctx.changes.touch(index.oid, desc.oid)


def _fit_index(ctx: DdlContext, desc: RelationDesc, node: ast.Constraint, position: int | None) -> IndexDesc:
    """The index that USING INDEX names, fit for a constraint."""
    name = node.indexname
    oid = ctx.view.layer.relation_oid(desc.namespace, name)
    if oid is None:
        raise UndefinedObject(f'index "{name}" does not exist', position=position)
    if any(record.conindid == oid for record in ctx.rows.find("pg_constraint", conrelid=desc.oid)):
        raise ObjectNotInPrerequisiteState(f'index "{name}" is already associated with a constraint', position=position)
    index = next((each for each in desc.indexes if each.oid == oid), None)
    if index is None:
        raise ObjectNotInPrerequisiteState(f'index "{name}" does not belong to table "{desc.name}"', position=position)
    if not index.valid:
        raise ObjectNotInPrerequisiteState(f'index "{name}" is not valid', position=position)
    problem = None
    if not index.unique:
        problem = f'"{name}" is not a unique index'
    elif index.expressions:
        problem = f'index "{name}" contains expressions'
    elif index.predicate is not None:
        problem = f'"{name}" is a partial index'
    else:
        for place, attno in enumerate(index.columns):
            column = desc.columns[attno - 1]
            usual = index.operator_classes[place] == operator_class(ctx, column.type)
            plain = not index.descending[place] and not index.nulls_first[place]
            if not plain or not usual or index.collations[place] != column.collation:
                problem = f'index "{name}" column number {place + 1} does not have default sorting behavior'
                break
    if problem is not None:
        detail = "Cannot create a primary key or unique constraint using such an index."
        raise WrongObjectType(problem, detail=detail, position=position)
    return index


def add_check(
    ctx: DdlContext,
    desc: RelationDesc,
    node: ast.Constraint,
    column: str | None,
    validate: bool,
    inherited: bool = False,
) -> str | None:
    """A CHECK constraint, the table's own or ``inherited``; 23514 when ``validate`` finds a row that breaks it. Returns
    its name; None where it was merged with one that is there. 42710, 42P17."""
    if desc.is_partitioned and node.is_no_inherit:
        raise InvalidTableDefinition(f'cannot add NO INHERIT constraint to partitioned table "{desc.name}"')
    text = check_text(ctx, node.raw_expr, desc)
    columns = attnos(desc, node.raw_expr)
    known = {record.conname: record for record in ctx.rows.find("pg_constraint", conrelid=desc.oid)}
    if node.conname:
        name = cut_name(node.conname)
        if name in known:
            _merge_check(ctx, desc, node, known[name], text, inherited)
            return None
    else:
        used = column
        if used is None and len(columns) == 1:
            used = desc.columns[columns[0] - 1].name
        name = ctx.free_name(0, [desc.name, used] if used else [desc.name], "check", set(known))
    oid = create_constraint(
        ctx, desc, name, "c", columns, check=text, no_inherit=bool(node.is_no_inherit),
        validated=not (validate and node.skip_validation),
    )  # fmt: skip
    if inherited:
        record = ctx.rows.one("pg_constraint", oid=oid)
        if record is not None:
            ctx.rows.update("pg_constraint", record, conislocal=False, coninhcount=1)
    if validate and not node.skip_validation:
        _check_rows(ctx, desc, name, node.raw_expr)
    return name


def _merge_check(
    ctx: DdlContext, desc: RelationDesc, node: ast.Constraint, record: Record, text: str, inherited: bool
) -> None:
    """A CHECK constraint that is there already: inherited, it may be the table's own, too, and the other way round."""
    same = record.contype == "c" and record.conbin == text
    if not same or not (inherited or not record.conislocal):
        raise DuplicateObject(f'constraint "{record.conname}" for relation "{desc.name}" already exists')
    conflict = None
    if record.connoinherit:
        conflict = "non-inherited"
    elif record.coninhcount and node.is_no_inherit:
        conflict = "inherited"
    elif not node.skip_validation and not record.convalidated:
        conflict = "NOT VALID"
    if conflict is not None:
        raise InvalidObjectDefinition(
            f'constraint "{record.conname}" conflicts with {conflict} constraint on relation "{desc.name}"'
        )
    ctx.notice(f'merging constraint "{record.conname}" with inherited definition')
    values: dict[str, Datum] = {"coninhcount": record.coninhcount + 1} if inherited else {"conislocal": True}
    if desc.is_partition:
        values["conislocal"] = False  # a partition has nothing of its own that its parent has, too
    ctx.rows.update("pg_constraint", record, **values)
    ctx.changes.touch(desc.oid)


def _check_rows(ctx: DdlContext, desc: RelationDesc, name: str, condition: ast.Node) -> None:
    """23514 when a row breaks the condition. A table that has none of its own is not asked."""
    if desc.has_rows_here and _any_row(ctx, desc, _not(condition)):
        raise CheckViolation(
            f'check constraint "{name}" of relation "{desc.name}" is violated by some row',
            schema=desc.schema,
            table=desc.name,
            constraint=name,
        )


def validate_check(ctx: DdlContext, desc: RelationDesc, record: Record) -> None:
    """VALIDATE CONSTRAINT of one that was added NOT VALID."""
    text = f"SELECT {record.conbin}"
    _check_rows(ctx, desc, record.conname, parse(text)[0].node.targetList[0].val)
    ctx.rows.update("pg_constraint", record, convalidated=True)
    ctx.changes.touch(desc.oid)


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
    if desc.is_partitioned:
        for oid in desc.children:
            child = relation(ctx, oid)
            require_not_null(ctx, child, next(each.attno for each in child.columns if each.name == column.name))
    rows = ctx.storage.table(desc).scan(ctx.rows.snapshot(), (attno,), False) if desc.has_rows_here else ()
    for batch in rows:
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
