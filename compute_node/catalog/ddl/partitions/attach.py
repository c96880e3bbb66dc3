"""ALTER TABLE … ATTACH PARTITION: a table that is there becomes a partition."""

from __future__ import annotations

from pglast import ast

from aurora.errors import (
    DatatypeMismatch,
    DuplicateTable,
    InvalidObjectDefinition,
    InvariantViolation,
    UndefinedTable,
    WrongObjectType,
)
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.ddl.inheriting import match_checks, match_columns
from compute_node.catalog.ddl.partitions.bounds import BoundReader, check_bound
from compute_node.catalog.ddl.partitions.contents import check_default, check_partition
from compute_node.catalog.ddl.partitions.create import (
    check_persistence,
    lock_default,
    store_bound,
)
from compute_node.catalog.ddl.partitions.foreign_keys import (
    inherit_foreign_keys,
)
from compute_node.catalog.ddl.partitions.indexes import below, inherit_indexes
from compute_node.catalog.ddl.relation import attribute_record, class_record, relation
from compute_node.catalog.inheritance import descendants_of
from compute_node.relations.descriptors import RelationDesc
from compute_node.txn.locks import ACCESS_EXCLUSIVE


def named_table(ctx: DdlContext, name: ast.RangeVar, mode: int) -> RelationDesc:
    """The table that is to come or go, locked in this mode. 42P01."""
    desc = ctx.find(name)
    if desc is None:
        raise InvariantViolation(f"{name.relname} is not there")
    ctx.lock(desc, mode)
    found = ctx.view.relation(desc.oid)
    if found is None:
        raise UndefinedTable(f'relation "{name.relname}" does not exist')
    return found


def require_partitioned(desc: RelationDesc) -> None:
    """42P17 for another table."""
    if not desc.is_partitioned:
        raise InvalidObjectDefinition(f'table "{desc.name}" is not partitioned')


def attach_partition(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd, _recurse: bool) -> None:
    """ATTACH PARTITION. 42P17, 42809, 42P07, 42804, 23514."""
    require_partitioned(desc)
    node = command.def_
    bound = BoundReader(ctx, desc).read(node.bound)
    default = lock_default(ctx, desc)
    table = named_table(ctx, node.name, ACCESS_EXCLUSIVE)
    _check_fit(ctx, desc, table)
    for each in below(ctx, table):
        ctx.lock(each, ACCESS_EXCLUSIVE)
    check_bound(ctx, desc, table.name, bound, node.bound)
    match_columns(ctx, table, desc)
    match_checks(ctx, relation(ctx, table.oid), desc)
    _as_parents(ctx, relation(ctx, table.oid))
    store_bound(ctx, relation(ctx, table.oid), desc, bound)
    inherit_indexes(ctx, table, relation(ctx, desc.oid), "attach")
    inherit_foreign_keys(ctx, table.oid, relation(ctx, desc.oid), validate=True)
    check_partition(ctx, relation(ctx, table.oid))
    if default is not None:
        check_default(ctx, relation(ctx, desc.oid), relation(ctx, default.oid), attached=True)


def _check_fit(ctx: DdlContext, desc: RelationDesc, table: RelationDesc) -> None:
    """Whether a table may be a partition at all."""
    if table.kind not in "rpf":
        raise WrongObjectType(f'"{table.name}" is not a table or foreign table')
    ctx.check_owner(table)
    record = class_record(ctx, table.oid)
    if record.relispartition:
        raise WrongObjectType(f'"{table.name}" is already a partition')
    if record.reloftype:
        raise WrongObjectType("cannot attach a typed table as partition")
    if table.parents:
        raise WrongObjectType("cannot attach inheritance child as partition")
    if table.children and not table.is_partitioned:
        raise WrongObjectType("cannot attach inheritance parent as partition")
    if desc.oid in descendants_of(ctx.rows, table.oid):
        raise DuplicateTable(
            "circular inheritance not allowed", detail=f'"{desc.name}" is already a child of "{table.name}".'
        )
    check_persistence(ctx, desc, table.persistence, "attach")
    for column in table.columns:
        if not column.dropped and desc.column(column.name) is None:
            raise DatatypeMismatch(
                f'table "{table.name}" contains column "{column.name}" not found in parent "{desc.name}"',
                detail="The new partition may contain only the columns present in parent.",
            )


def _as_parents(ctx: DdlContext, table: RelationDesc) -> None:
    """The columns and constraints of a partition are its parent's alone."""
    for column in table.columns:
        if not column.dropped:
            ctx.rows.update("pg_attribute", attribute_record(ctx, table.oid, column.attno), attislocal=False)
    for record in ctx.rows.find("pg_constraint", conrelid=table.oid):
        if record.contype == "c" and record.coninhcount:
            ctx.rows.update("pg_constraint", record, conislocal=False)
    ctx.changes.touch(table.oid)
