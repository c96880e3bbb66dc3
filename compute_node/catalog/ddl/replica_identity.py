"""ALTER TABLE … REPLICA IDENTITY: by which columns logical replication names an old row. It is recorded, and shown.

Source: PostgreSQL manual, ALTER TABLE.
"""

from __future__ import annotations

from pglast import ast

from aurora.errors import NotSupported, UndefinedObject, WrongObjectType
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.ddl.relation import class_record
from compute_node.relations.descriptors import IndexDesc, RelationDesc

_BY_INDEX, _NOTHING = "i", "n"


def set_replica_identity(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd) -> None:
    """DEFAULT, FULL, NOTHING or USING INDEX. 42704, 42809, 0A000."""
    kind = str(getattr(command.def_.identity_type, "value", command.def_.identity_type))
    index = _index(ctx, desc, command.def_.name) if kind == _BY_INDEX else None
    ctx.rows.update("pg_class", class_record(ctx, desc.oid), relreplident=kind)
    for record in ctx.rows.find("pg_index", indrelid=desc.oid):
        wanted = index is not None and record.indexrelid == index.oid
        if record.indisreplident != wanted:
            ctx.rows.update("pg_index", record, indisreplident=wanted)
    ctx.changes.touch(desc.oid)


def _index(ctx: DdlContext, desc: RelationDesc, name: str) -> IndexDesc:
    oid = ctx.view.layer.relation_oid(desc.namespace, name)
    if oid is None:
        raise UndefinedObject(f'index "{name}" for table "{desc.name}" does not exist')
    index = next((each for each in desc.indexes if each.oid == oid), None)
    if index is None:
        raise WrongObjectType(f'"{name}" is not an index for table "{desc.name}"')
    if not index.unique:
        raise WrongObjectType(f'cannot use non-unique index "{name}" as replica identity')
    if not index.immediate:
        raise NotSupported(f'cannot use non-immediate index "{name}" as replica identity')
    if 0 in index.columns:
        raise NotSupported(f'cannot use expression index "{name}" as replica identity')
    if index.predicate is not None:
        raise NotSupported(f'cannot use partial index "{name}" as replica identity')
    if not index.valid:
        raise NotSupported(f'cannot use invalid index "{name}" as replica identity')
    for attno in index.columns:
        column = desc.columns[attno - 1]
        if not column.not_null:
            raise WrongObjectType(
                f'index "{name}" cannot be used as replica identity because column "{column.name}" is nullable'
            )
    return index


def names_rows(ctx: DdlContext, desc: RelationDesc, attno: int) -> bool:
    """Whether a column is one of the index that names old rows."""
    record = ctx.rows.one("pg_index", indrelid=desc.oid, indisreplident=True)
    found = () if record is None else [each for each in desc.indexes if each.oid == record.indexrelid]
    return any(attno in index.columns for index in found)
