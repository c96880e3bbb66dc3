"""CREATE TABLE (LIKE …): the columns of another relation, and what INCLUDING says of it (manual, CREATE TABLE).

``source`` and ``columns`` come before the table is made, ``copy_extras`` after it: checks, indexes with their
constraints, statistics objects, and the comments on all of them.
"""

from __future__ import annotations

from dataclasses import replace

from pglast import ast, enums

from aurora.errors import InvalidSchemaName, InvalidTableDefinition, InvariantViolation, UndefinedTable, WrongObjectType
from compute_node.catalog.ddl.column_specs import ColumnSpec
from compute_node.catalog.ddl.constraints import add_check
from compute_node.catalog.ddl.context import CLASS_CONSTRAINT, CLASS_RELATION, CLASS_STATISTIC_EXT, DdlContext
from compute_node.catalog.ddl.identity import like_identity
from compute_node.catalog.ddl.indexes import copy_index
from compute_node.catalog.ddl.relation import relation
from compute_node.catalog.ddl.statistics_objects import copy_statistics
from compute_node.catalog.permissions import denied_relation
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.sql.parse import parse
from compute_node.types.acl import SELECT

_O = enums.TableLikeOption
_SOURCES = "rvmcfp"
_REFUSED = {"S": "sequences", "i": "indexes", "I": "partitioned indexes", "t": "TOAST tables"}


def source(ctx: DdlContext, element: ast.TableLikeClause) -> RelationDesc:
    """What the table is to be like. Errors: 42501, 42809, 42P01."""
    position = (element.relation.location or 0) + 1
    try:
        found = ctx.find(element.relation)
    except (UndefinedTable, InvalidSchemaName) as error:
        error.position = position
        raise
    if found is None:
        raise InvariantViolation("the source of LIKE is not there")
    if found.kind not in _SOURCES:
        raise WrongObjectType(
            f'relation "{found.name}" is invalid in LIKE clause',
            detail=f"This operation is not supported for {_REFUSED[found.kind]}.", position=position,
        )  # fmt: skip
    if not ctx.rights.relation(found, SELECT):
        raise denied_relation(found)
    return found


def columns(ctx: DdlContext, model: RelationDesc, options: int, count: int) -> list[ColumnSpec]:
    """Its columns, numbered after ``count`` others."""
    result = []
    for column in model.columns:
        if column.dropped:
            continue
        count += 1
        spec = ColumnSpec(
            ColumnDesc(count, column.name, column.type, column.typmod, column.not_null, collation=column.collation)
        )
        if options & _O.CREATE_TABLE_LIKE_STORAGE:
            spec.column = replace(spec.column, storage=column.storage)
        if options & _O.CREATE_TABLE_LIKE_COMPRESSION:
            spec.column = replace(spec.column, compression=column.compression)
        if column.identity and options & _O.CREATE_TABLE_LIKE_IDENTITY:
            spec.identity = like_identity(ctx, model, column)
            spec.column = replace(spec.column, identity=column.identity)
        wanted = _O.CREATE_TABLE_LIKE_GENERATED if column.generated else _O.CREATE_TABLE_LIKE_DEFAULTS
        if options & wanted and not column.identity:
            spec.default_text = column.default
            spec.column = replace(spec.column, generated=column.generated)
        result.append(spec)
    return result


def copy_extras(ctx: DdlContext, oid: int, model: RelationDesc, options: int) -> None:
    """Checks, indexes, statistics objects and comments; columns are matched by name. Errors: 42P16."""
    commented = bool(options & _O.CREATE_TABLE_LIKE_COMMENTS)
    if commented:
        for column in model.columns:
            made = None if column.dropped else relation(ctx, oid).column(column.name)
            if made is not None:
                _copy_comment(ctx, CLASS_RELATION, (model.oid, column.attno), (oid, made.attno))
    if options & _O.CREATE_TABLE_LIKE_CONSTRAINTS:
        _copy_checks(ctx, oid, model, commented)
    if options & _O.CREATE_TABLE_LIKE_INDEXES:
        for index in model.indexes:
            desc = relation(ctx, oid)
            if index.primary and any(each.primary for each in desc.indexes):
                raise InvalidTableDefinition(f'multiple primary keys for table "{desc.name}" are not allowed')
            copied = copy_index(ctx, desc, model, index)
            if commented:
                _copy_comment(ctx, CLASS_RELATION, (index.oid, 0), (copied.oid, 0))
    if options & _O.CREATE_TABLE_LIKE_STATISTICS:
        for old, new in copy_statistics(ctx, relation(ctx, oid), model):
            if commented:
                _copy_comment(ctx, CLASS_STATISTIC_EXT, (old, 0), (new, 0))


def _copy_checks(ctx: DdlContext, oid: int, model: RelationDesc, commented: bool) -> None:
    records = {row.conname: row for row in ctx.rows.find("pg_constraint", conrelid=model.oid) if row.contype == "c"}
    for name, text in model.checks:
        check = ast.Constraint(
            contype=enums.ConstrType.CONSTR_CHECK,
            conname=name,
            raw_expr=parse(f"SELECT {text}")[0].node.targetList[0].val,
            is_no_inherit=bool(records[name].connoinherit),
        )
        add_check(ctx, relation(ctx, oid), check, None, validate=False)
        made = ctx.rows.one("pg_constraint", conrelid=oid, conname=name)
        if commented and made is not None:
            _copy_comment(ctx, CLASS_CONSTRAINT, (records[name].oid, 0), (made.oid, 0))


def _copy_comment(ctx: DdlContext, class_oid: int, old: tuple[int, int], new: tuple[int, int]) -> None:
    """The comment on an object, or on a column of it."""
    found = ctx.rows.one("pg_description", objoid=old[0], classoid=class_oid, objsubid=old[1])
    if found is not None:
        ctx.rows.insert(
            "pg_description", objoid=new[0], classoid=class_oid, objsubid=new[1], description=found.description
        )
