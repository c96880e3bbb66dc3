"""Indexes of partitioned tables: one has no pages, and is the parent of an index of each partition.

A partition gets one for each index of its parent: one of its own that is alike, or a new one. The child goes with the
parent (pg_depend P) and with its table (S), and cannot be dropped by itself. An index made ON ONLY the parent is not
valid until each partition has its part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pglast import ast

from aurora.errors import (
    InvalidObjectDefinition,
    InvariantViolation,
    NotSupported,
    ObjectNotInPrerequisiteState,
    SqlError,
    UndefinedTable,
    WrongObjectType,
)
from compute_node.catalog.ddl.context import CLASS_CONSTRAINT, CLASS_RELATION, DdlContext
from compute_node.catalog.ddl.foreign_key_rows import record_of
from compute_node.catalog.ddl.indexes import copy_index
from compute_node.catalog.ddl.relation import class_record, relation
from compute_node.relations.descriptors import IndexDesc, RelationDesc
from compute_node.sql.partitioning import key_of
from compute_node.txn.locks import ACCESS_EXCLUSIVE


def check_unique(desc: RelationDesc, columns: Iterable[int], what: str) -> None:
    """0A000 for a key of a partitioned table that could be twice in two partitions. ``what``: PRIMARY KEY or UNIQUE."""
    if not desc.is_partitioned:
        return
    covered = set(columns)
    for attno in key_of(desc).columns:
        if not attno:
            raise NotSupported(
                f"unsupported {what} constraint with partition key definition",
                detail=f"{what} constraints cannot be used when partition keys include expressions.",
            )
        if attno not in covered:
            raise NotSupported(
                "unique constraint on partitioned table must include all partitioning columns",
                detail=f'{what} constraint on table "{desc.name}" lacks column "{desc.columns[attno - 1].name}" which '
                "is part of the partition key.",
            )


def refuse_foreign(ctx: DdlContext, desc: RelationDesc) -> None:
    """42809 for a unique index of a partitioned table that foreign tables are partitions of."""
    if any(each.kind == "f" for each in below(ctx, desc)):
        raise WrongObjectType(
            f'cannot create unique index on partitioned table "{desc.name}"',
            detail=f'Table "{desc.name}" contains partitions that are foreign tables.',
        )


def below(ctx: DdlContext, desc: RelationDesc) -> Iterator[RelationDesc]:
    """All tables that a partitioned one is made of, however deep, from the top."""
    for oid in desc.children if desc.is_partitioned else ():
        child = relation(ctx, oid)
        yield child
        yield from below(ctx, child)


def spread(ctx: DdlContext, table: RelationDesc, index: IndexDesc) -> bool:
    """A new index of a partitioned table: each partition gets its part. Whether it is valid: it is not where a part is
    an index ON ONLY a partition."""
    children = [relation(ctx, oid) for oid in table.children]
    parts = [ensure(ctx, child, table, index, also_invalid=True) for child in children if child.kind != "f"]
    if not all(parts):
        record = ctx.rows.one("pg_index", indexrelid=index.oid)
        if record is None:
            raise InvariantViolation(f"pg_index has no row {index.oid}")
        ctx.rows.update("pg_index", record, indisvalid=False)
        ctx.changes.touch(index.oid, table.oid)
    return all(parts)


def inherit_indexes(ctx: DdlContext, child: RelationDesc, parent: RelationDesc, verb: str = "create") -> None:
    """A new partition gets its part of each index of its parent; a foreign one has none, and 42809 of a unique one.
    ``verb``: create or attach."""
    if child.kind == "f":
        if any(index.unique for index in parent.indexes):
            if verb == "create":
                message = f'cannot create foreign partition of partitioned table "{parent.name}"'
                detail = f'Table "{parent.name}" contains indexes that are unique.'
            else:
                message = (
                    f'cannot attach foreign table "{child.name}" as partition of partitioned table "{parent.name}"'
                )
                detail = f'Partitioned table "{parent.name}" contains unique indexes.'
            raise WrongObjectType(message, detail=detail)
        return
    for index in parent.indexes:
        ensure(ctx, relation(ctx, child.oid), parent, index)


def ensure(
    ctx: DdlContext, child: RelationDesc, parent: RelationDesc, index: IndexDesc, *, also_invalid: bool = False
) -> bool:
    """The part of a parent's index that is for one partition: an index of its own that is alike, or a new one. Whether
    it is valid."""
    for own in child.indexes:
        usable = (own.valid or also_invalid) and (own.constraint or not index.constraint)
        if usable and _is_free(ctx, own) and is_alike(child, own, parent, index):
            attach(ctx, child, own, index)
            return own.valid
    made = copy_index(ctx, child, parent, index)
    if made.constraint:
        ctx.rows.update("pg_constraint", record_of(ctx, made.constraint), connoinherit=False)
    attach(ctx, relation(ctx, child.oid), made, index)
    return spread(ctx, relation(ctx, child.oid), made) if child.is_partitioned else True


def _is_free(ctx: DdlContext, index: IndexDesc) -> bool:
    return not ctx.rows.find("pg_inherits", inhrelid=index.oid)


def is_alike(child: RelationDesc, own: IndexDesc, parent: RelationDesc, index: IndexDesc) -> bool:
    """Whether a partition's index could be the part of its parent's."""

    def names(table: RelationDesc, attnos: Sequence[int]) -> list[str]:
        return [table.columns[attno - 1].name if attno else "" for attno in attnos]

    return (
        (own.unique, own.nulls_not_distinct, own.method, own.operator_classes, own.collations)
        == (index.unique, index.nulls_not_distinct, index.method, index.operator_classes, index.collations)
        and names(child, own.columns) == names(parent, index.columns)
        and names(child, own.included) == names(parent, index.included)
        and (own.expressions, own.predicate) == (index.expressions, index.predicate)
    )


def attach(ctx: DdlContext, table: RelationDesc, own: IndexDesc, index: IndexDesc) -> None:
    """A partition's index becomes the part of its parent's, and so does its constraint."""
    ctx.rows.insert("pg_inherits", inhrelid=own.oid, inhparent=index.oid, inhseqno=1)
    ctx.rows.update("pg_class", class_record(ctx, own.oid), relispartition=True)
    record = class_record(ctx, index.oid)
    if not record.relhassubclass:
        ctx.rows.update("pg_class", record, relhassubclass=True)
    _tie(ctx, (CLASS_RELATION, own.oid, 0), (CLASS_RELATION, index.oid, 0), table)
    if index.constraint and own.constraint:
        found = record_of(ctx, own.constraint)
        ctx.rows.update(
            "pg_constraint", found, conislocal=False, coninhcount=found.coninhcount + 1, conparentid=index.constraint
        )
        _tie(ctx, (CLASS_CONSTRAINT, own.constraint, 0), (CLASS_CONSTRAINT, index.constraint, 0), table)
    ctx.changes.touch(own.oid, index.oid, table.oid)


def _tie(ctx: DdlContext, own: tuple[int, int, int], above: tuple[int, int, int], table: RelationDesc) -> None:
    ctx.depend(own, above, "P")
    ctx.depend(own, (CLASS_RELATION, table.oid, 0), "S")


def release_indexes(ctx: DdlContext, table: RelationDesc) -> None:
    """A table is no partition any more: its indexes are its own."""
    for own in table.indexes:
        links = ctx.rows.find("pg_inherits", inhrelid=own.oid)
        if not links:
            continue
        for link in links:
            ctx.rows.delete("pg_inherits", link)
            ctx.changes.touch(link.inhparent)
        ctx.rows.update("pg_class", class_record(ctx, own.oid), relispartition=False)
        _untie(ctx, CLASS_RELATION, own.oid)
        if own.constraint:
            found = record_of(ctx, own.constraint)
            if found.conparentid:
                ctx.rows.update("pg_constraint", found, conislocal=True, coninhcount=0, conparentid=0)
                _untie(ctx, CLASS_CONSTRAINT, own.constraint)
        ctx.changes.touch(own.oid, table.oid)


def _untie(ctx: DdlContext, class_oid: int, oid: int) -> None:
    for kind in "PS":
        ctx.rows.delete_where("pg_depend", classid=class_oid, objid=oid, deptype=kind)


def validate(ctx: DdlContext, table: RelationDesc, index: IndexDesc) -> None:
    """An index ON ONLY a partitioned table is valid once each partition has its part, and those are."""
    record = ctx.rows.one("pg_index", indexrelid=index.oid)
    if record is None or record.indisvalid:
        return
    parts = {link.inhrelid for link in ctx.rows.find("pg_inherits", inhparent=index.oid)}
    for oid in table.children:
        if not any(own.oid in parts and own.valid for own in relation(ctx, oid).indexes):
            return
    ctx.rows.update("pg_index", record, indisvalid=True)
    ctx.changes.touch(index.oid, table.oid)
    if table.is_partition:
        parent = relation(ctx, table.parents[0])
        for link in ctx.rows.find("pg_inherits", inhrelid=index.oid):
            above = next((each for each in parent.indexes if each.oid == link.inhparent), None)
            if above is not None:
                validate(ctx, parent, above)


def attach_index(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd, _recurse: bool) -> None:
    """ALTER INDEX … ATTACH PARTITION. 42809, 55000, 42P01."""
    table, index = _with_table(ctx, desc.oid)
    name = command.def_.name
    found = ctx.find(name)
    if found is None or found.kind not in "iI":
        raise InvalidObjectDefinition(f'"{name.relname}" is not an index')
    ctx.lock(found, ACCESS_EXCLUSIVE)
    ctx.check_owner(found)
    child, own = _with_table(ctx, found.oid)
    links = ctx.rows.find("pg_inherits", inhrelid=own.oid)
    if any(link.inhparent == index.oid for link in links):
        return

    def refused(detail: str) -> SqlError:
        return ObjectNotInPrerequisiteState(
            f'cannot attach index "{own.name}" as a partition of index "{index.name}"', detail=detail
        )

    if links:
        raise refused(f'Index "{own.name}" is already attached to another index.')
    if child.oid not in table.children:
        raise refused(f'Index "{own.name}" is not an index on any partition of table "{table.name}".')
    if not is_alike(child, own, table, index):
        if _taken(ctx, child, index):
            raise refused(f'Another index is already attached for partition "{child.name}".')
        mismatch = refused("The index definitions do not match.")
        raise InvalidObjectDefinition(mismatch.message, detail=mismatch.detail)
    if index.constraint and not own.constraint:
        raise refused(
            f'The index "{index.name}" belongs to a constraint in table "{table.name}" but no constraint exists for'
            f' index "{own.name}".'
        )
    if _taken(ctx, child, index):
        raise refused(f'Another index is already attached for partition "{child.name}".')
    attach(ctx, child, own, index)
    validate(ctx, relation(ctx, table.oid), index)


def _taken(ctx: DdlContext, child: RelationDesc, index: IndexDesc) -> bool:
    parts = {link.inhrelid for link in ctx.rows.find("pg_inherits", inhparent=index.oid)}
    return any(each.oid in parts for each in child.indexes)


def _with_table(ctx: DdlContext, oid: int) -> tuple[RelationDesc, IndexDesc]:
    record = ctx.rows.one("pg_index", indexrelid=oid)
    if record is None:
        raise UndefinedTable(f"index {oid} does not exist")
    table = relation(ctx, record.indrelid)
    return table, next(each for each in table.indexes if each.oid == oid)
