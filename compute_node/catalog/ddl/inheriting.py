"""ALTER TABLE … INHERIT and NO INHERIT: a table that is there gets a parent, or loses one (manual, ALTER TABLE)."""

from __future__ import annotations

from pglast import ast

from aurora.errors import (
    CollationMismatch,
    DatatypeMismatch,
    DuplicateTable,
    InvalidObjectDefinition,
    InvariantViolation,
    UndefinedTable,
    WrongObjectType,
)
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.ddl.inheritance import check_parent, link, unlink
from compute_node.catalog.ddl.relation import attribute_record, class_record, relation
from compute_node.catalog.inheritance import descendants_of
from compute_node.relations.descriptors import RelationDesc
from compute_node.txn.locks import ACCESS_SHARE, SHARE_UPDATE_EXCLUSIVE


def _parent(ctx: DdlContext, name: ast.RangeVar, mode: int) -> RelationDesc:
    desc = ctx.find(name)
    if desc is None:
        raise InvariantViolation(f"{name.relname} is not there")
    ctx.lock(desc, mode)
    desc = ctx.view.relation(desc.oid)
    if desc is None:
        raise UndefinedTable(f'relation "{name.relname}" does not exist')
    return desc


def _refuse(ctx: DdlContext, desc: RelationDesc) -> None:
    """42809 for a table whose parents are not for this to say."""
    record = class_record(ctx, desc.oid)
    if record.reloftype:
        raise WrongObjectType("cannot change inheritance of typed table")
    if record.relispartition:
        raise WrongObjectType("cannot change inheritance of a partition")
    if desc.is_partitioned:
        raise WrongObjectType("cannot change inheritance of partitioned table")


def add_parent(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd, _recurse: bool) -> None:
    """INHERIT: the table must have the parent's columns and CHECK constraints. 42809, 42P07, 42804, 42P17."""
    _refuse(ctx, desc)
    parent = _parent(ctx, command.def_, SHARE_UPDATE_EXCLUSIVE)
    check_parent(ctx, parent, desc.persistence, altering=True)
    if ctx.is_of_other_session(desc):
        raise WrongObjectType("cannot inherit to temporary relation of another session")
    if parent.oid in descendants_of(ctx.rows, desc.oid):
        raise DuplicateTable(
            "circular inheritance not allowed", detail=f'"{parent.name}" is already a child of "{desc.name}".'
        )
    links = ctx.rows.find("pg_inherits", inhrelid=desc.oid)
    if any(each.inhparent == parent.oid for each in links):
        raise DuplicateTable(f'relation "{parent.name}" would be inherited from more than once')
    match_columns(ctx, desc, parent)
    match_checks(ctx, desc, parent)
    link(ctx, relation(ctx, desc.oid), parent, max((each.inhseqno for each in links), default=0) + 1)


def match_columns(ctx: DdlContext, desc: RelationDesc, parent: RelationDesc) -> None:
    """Each of the parent's columns is one of the child's, which counts one parent more."""
    for column in parent.columns:
        if column.dropped:
            continue
        mine = desc.column(column.name)
        if mine is None:
            raise DatatypeMismatch(f'child table is missing column "{column.name}"')
        if (mine.type, mine.typmod) != (column.type, column.typmod):
            raise DatatypeMismatch(f'child table "{desc.name}" has different type for column "{column.name}"')
        if mine.collation != column.collation:
            raise CollationMismatch(f'child table "{desc.name}" has different collation for column "{column.name}"')
        if column.not_null and not mine.not_null:
            raise DatatypeMismatch(f'column "{column.name}" in child table must be marked NOT NULL')
        if column.generated and not mine.generated:
            raise DatatypeMismatch(f'column "{column.name}" in child table must be a generated column')
        if column.generated and column.default != mine.default:
            raise DatatypeMismatch(f'column "{column.name}" in child table has a conflicting generation expression')
        record = attribute_record(ctx, desc.oid, mine.attno)
        ctx.rows.update("pg_attribute", record, attinhcount=record.attinhcount + 1)
    ctx.changes.touch(desc.oid)


def match_checks(ctx: DdlContext, desc: RelationDesc, parent: RelationDesc) -> None:
    """The same of CHECK constraints that are for children, too."""
    mine = {each.conname: each for each in ctx.rows.find("pg_constraint", conrelid=desc.oid) if each.contype == "c"}
    for record in ctx.rows.find("pg_constraint", conrelid=parent.oid):
        if record.contype != "c" or record.connoinherit:
            continue
        name = record.conname
        found = mine.get(name)
        if found is None:
            raise DatatypeMismatch(f'child table is missing constraint "{name}"')
        if found.conbin != record.conbin:
            raise DatatypeMismatch(f'child table "{desc.name}" has different definition for check constraint "{name}"')
        if found.connoinherit:
            raise InvalidObjectDefinition(
                f'constraint "{name}" conflicts with non-inherited constraint on child table "{desc.name}"'
            )
        if record.convalidated and not found.convalidated:
            raise InvalidObjectDefinition(
                f'constraint "{name}" conflicts with NOT VALID constraint on child table "{desc.name}"'
            )
        ctx.rows.update("pg_constraint", found, coninhcount=found.coninhcount + 1)


def drop_parent(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd, _recurse: bool) -> None:
    """NO INHERIT: what came from the parent is the table's own from now on. 42809, 42P01."""
    _refuse(ctx, desc)
    parent = _parent(ctx, command.def_, ACCESS_SHARE)
    if not unlink(ctx, desc, parent):
        raise UndefinedTable(f'relation "{parent.name}" is not a parent of relation "{desc.name}"')
    leave_parent(ctx, desc, parent)


def leave_parent(ctx: DdlContext, desc: RelationDesc, parent: RelationDesc) -> None:
    """A child's columns and constraints count one parent less; those without any are its own."""
    for column in parent.columns:
        mine = None if column.dropped else desc.column(column.name)
        if mine is not None:
            record = attribute_record(ctx, desc.oid, mine.attno)
            count = max(record.attinhcount - 1, 0)
            ctx.rows.update("pg_attribute", record, attinhcount=count, attislocal=record.attislocal or not count)
    names = {
        each.conname
        for each in ctx.rows.find("pg_constraint", conrelid=parent.oid)
        if each.contype == "c" and not each.connoinherit
    }
    for found in ctx.rows.find("pg_constraint", conrelid=desc.oid):
        if found.contype == "c" and found.conname in names:
            count = max(found.coninhcount - 1, 0)
            ctx.rows.update("pg_constraint", found, coninhcount=count, conislocal=found.conislocal or not count)
    ctx.changes.touch(desc.oid)
