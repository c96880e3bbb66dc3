"""CREATE TABLE … PARTITION OF: a table with its parent's columns and constraints takes a part of its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from pglast import ast

from aurora.errors import (
    DuplicateColumn,
    InvalidObjectDefinition,
    InvariantViolation,
    NotSupported,
    UndefinedColumn,
    UndefinedTable,
    WrongObjectType,
)
from compute_node.catalog.ddl.column_specs import ColumnSpec
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.ddl.inheritance import Inheritance, link, merge_parents
from compute_node.catalog.ddl.partitions.bounds import BoundReader, check_bound
from compute_node.catalog.ddl.partitions.contents import check_default
from compute_node.catalog.ddl.relation import class_record, relation, touch_family
from compute_node.catalog.layer import NEUTRAL_ENV
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.partitions import NONE, PartitionBound
from compute_node.sql.partitioning import key_of, partitions_of
from compute_node.txn.locks import ACCESS_EXCLUSIVE


def open_partitioned(ctx: DdlContext, name: ast.RangeVar, persistence: str) -> RelationDesc:
    """The table to be a partition of, locked. 42P01, 42P17, 42809, 42501."""
    desc = ctx.find(name)
    if desc is None:
        raise InvariantViolation(f"{name.relname} is not there")
    if not desc.is_partitioned:
        raise InvalidObjectDefinition(f'"{desc.name}" is not partitioned')
    ctx.check_owner(desc)
    ctx.lock(desc, ACCESS_EXCLUSIVE)
    found = ctx.view.relation(desc.oid)
    if found is None:
        raise UndefinedTable(f'relation "{name.relname}" does not exist')
    ctx.check_unused(found, "CREATE TABLE .. PARTITION OF")
    check_persistence(ctx, found, persistence)
    ctx.check_owner(found)
    return found


def check_persistence(ctx: DdlContext, parent: RelationDesc, persistence: str, verb: str = "create") -> None:
    """42809 where one is temporary and the other is not."""
    if parent.persistence == "t" and persistence != "t":
        raise WrongObjectType(f'cannot {verb} a permanent relation as partition of temporary relation "{parent.name}"')
    if parent.persistence != "t" and persistence == "t":
        raise WrongObjectType(f'cannot {verb} a temporary relation as partition of permanent relation "{parent.name}"')
    if ctx.is_of_other_session(parent):
        raise WrongObjectType(f"cannot {verb} as partition of temporary relation of another session")


def inherited_columns(ctx: DdlContext, parent: RelationDesc) -> tuple[list[ColumnSpec], Inheritance]:
    """The parent's columns, and what else a partition gets from it."""
    specs, made = merge_parents(ctx, [parent], [])
    made.parents.clear()  # the link says that it is a partition
    return specs, made


Take = Callable[[ColumnSpec, str, ast.Constraint, bool | None], bool | None]
"""applies one constraint of a column: (column, table, constraint, whether NULL was said) → the latter"""


def apply_options(
    specs: Sequence[ColumnSpec], elements: Sequence[ast.Node], take: Take, table: str
) -> list[ast.Constraint]:
    """What the statement says of the parent's columns; the table constraints. 42703, 42701, 0A000."""
    by_name = {spec.column.name: spec for spec in specs}
    constraints: list[ast.Constraint] = []
    seen: set[str] = set()
    for element in elements:
        if not isinstance(element, ast.ColumnDef):
            constraints.append(element)
            continue
        name = element.colname
        if name in seen:
            raise DuplicateColumn(f'column "{name}" specified more than once')
        seen.add(name)
        spec = by_name.get(name)
        if spec is None:
            raise UndefinedColumn(f'column "{name}" does not exist')
        _apply(spec, element, take, table)
    return constraints


def _apply(spec: ColumnSpec, element: ast.ColumnDef, take: Take, table: str) -> None:
    inherited = spec.column
    own = ColumnSpec(replace(inherited, not_null=False, generated="", identity=""))
    nullable: bool | None = None
    for constraint in element.constraints or ():
        nullable = take(own, table, constraint, nullable)
    if own.generated is not None:
        raise NotSupported("generated columns are not supported on partitions")
    if own.identity is not None:
        raise NotSupported("identity columns are not supported on partitions")
    if own.default is not None:
        spec.default_text = None
        if inherited.generated:
            # As in PostgreSQL 15, it takes the place of the expression.
            spec.generated = own.default
        else:
            spec.default = own.default
    if nullable is False:
        spec.column = replace(inherited, not_null=True)
    spec.keys, spec.checks, spec.foreign = own.keys, own.checks, own.foreign


def bind(ctx: DdlContext, desc: RelationDesc, parent: RelationDesc, node: ast.PartitionBoundSpec) -> None:
    """A new table becomes a partition of ``parent``: its bound is checked and stored. 42P16, 42P17, 23514."""
    bound = BoundReader(ctx, parent).read(node)
    check_bound(ctx, parent, desc.name, bound, node)
    default = lock_default(ctx, parent)
    store_bound(ctx, desc, parent, bound)
    if default is not None:
        check_default(ctx, relation(ctx, parent.oid), relation(ctx, default.oid))


def lock_default(ctx: DdlContext, parent: RelationDesc) -> RelationDesc | None:
    """The default partition of a table that gets another one: nobody may put rows there meanwhile."""
    index = partitions_of(ctx.view, parent)
    if index.default == NONE:
        return None
    default = relation(ctx, index.oids[index.default])
    ctx.lock(default, ACCESS_EXCLUSIVE)
    for each in _below(ctx, default):
        ctx.lock(each, ACCESS_EXCLUSIVE)
    return relation(ctx, default.oid)


def _below(ctx: DdlContext, desc: RelationDesc) -> list[RelationDesc]:
    found: list[RelationDesc] = []
    for oid in desc.children:
        child = relation(ctx, oid)
        found += [child, *_below(ctx, child)]
    return found


def store_bound(ctx: DdlContext, desc: RelationDesc, parent: RelationDesc, bound: PartitionBound) -> None:
    """Write down that a table is a partition."""
    link(ctx, desc, parent, 1, partition=True)
    packed = bound.packed(key_of(parent), ctx.view.type, NEUTRAL_ENV)
    ctx.rows.update("pg_class", class_record(ctx, desc.oid), relispartition=True, relpartbound=packed)
    if bound.is_default:
        set_default_partition(ctx, parent, desc.oid)
    touch_below(ctx, desc)
    touch_family(ctx, parent.oid)


def set_default_partition(ctx: DdlContext, parent: RelationDesc, oid: int) -> None:
    """``oid``: the default partition, 0 for none."""
    record = ctx.rows.one("pg_partitioned_table", partrelid=parent.oid)
    if record is None:
        raise InvariantViolation(f"pg_partitioned_table has no row {parent.oid}")
    ctx.rows.update("pg_partitioned_table", record, partdefid=oid)


def touch_below(ctx: DdlContext, desc: RelationDesc) -> None:
    """What was planned for a table and those below it is out of date: they have other constraints."""
    ctx.changes.touch(desc.oid, *(each.oid for each in _below(ctx, relation(ctx, desc.oid))))
