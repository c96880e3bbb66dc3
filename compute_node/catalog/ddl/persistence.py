"""UNLOGGED: it is recorded, shown and dumped. Rows go to the log all the same: the log is the database.

A table's indexes, its TOAST table and the sequences that its columns own are what it is. Source: PostgreSQL manual,
CREATE TABLE, ALTER TABLE.
"""

from __future__ import annotations

from typing import Final

from pglast import ast, enums

from aurora.errors import InvalidTableDefinition, ObjectNotInPrerequisiteState
from compute_node.catalog.ddl.context import CLASS_RELATION, DdlContext
from compute_node.catalog.ddl.relation import class_record
from compute_node.relations.descriptors import RelationDesc

PERMANENT: Final = "p"
UNLOGGED: Final = "u"
TEMPORARY: Final = "t"


def persistence_of(schema: tuple[str, int], name: ast.RangeVar) -> str:
    """Of a relation that is made under this name in this schema."""
    if schema[0].startswith("pg_temp_"):
        return TEMPORARY
    return UNLOGGED if name.relpersistence == UNLOGGED else PERMANENT


def set_logged(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd) -> None:
    """SET LOGGED, SET UNLOGGED. A partitioned table has no rows to which it could apply. 42P16, 55000."""
    wanted = PERMANENT if command.subtype == enums.AlterTableType.AT_SetLogged else UNLOGGED
    if desc.persistence == TEMPORARY:
        raise InvalidTableDefinition(
            f'cannot change logged status of table "{desc.name}" because it is temporary',
            schema=desc.schema,
            table=desc.name,
        )
    if desc.persistence == wanted or desc.is_partitioned:
        return
    if wanted == UNLOGGED and ctx.rows.find("pg_publication_rel", prrelid=desc.oid):
        raise ObjectNotInPrerequisiteState(
            f'cannot change table "{desc.name}" to unlogged because it is part of a publication',
            detail="Unlogged relations cannot be replicated.",
        )
    _check_keys(ctx, desc, wanted)
    changed = [desc.oid, *(index.oid for index in desc.indexes), *_owned_sequences(ctx, desc)]
    if desc.toast is not None:
        changed += [desc.toast.oid, *(index.oid for index in desc.toast.indexes)]
    for oid in changed:
        ctx.rows.update("pg_class", class_record(ctx, oid), relpersistence=wanted)
    ctx.changes.touch(*changed)


def _check_keys(ctx: DdlContext, desc: RelationDesc, wanted: str) -> None:
    """No permanent table refers to one that is not."""
    refers = wanted == PERMANENT
    held = {"conrelid" if refers else "confrelid": desc.oid}
    for key in ctx.rows.find("pg_constraint", **held):
        other = ctx.view.relation(key.confrelid if refers else key.conrelid) if key.contype == "f" else None
        if other is not None and other.oid != desc.oid and other.persistence != wanted:
            ways = ("logged", "unlogged") if refers else ("unlogged", "logged")
            raise InvalidTableDefinition(
                f'could not change table "{desc.name}" to {ways[0]}'
                f' because it references {ways[1]} table "{other.name}"',
                schema=desc.schema,
                table=desc.name,
                constraint=key.conname,
            )


def _owned_sequences(ctx: DdlContext, desc: RelationDesc) -> list[int]:
    """Those of serial and identity columns."""
    return [
        record.objid
        for record in ctx.rows.find("pg_depend", refclassid=CLASS_RELATION, refobjid=desc.oid)
        if record.classid == CLASS_RELATION
        and record.refobjsubid
        and record.deptype in "ai"
        and class_record(ctx, record.objid).relkind == "S"
    ]
