"""Foreign keys of and to partitioned tables: each partition has its part of the key.

```
f ──► p        f1 ──► p                    f ──► p1
the key        part of a referencing one:  part of a referenced one:
               checks rows of f1           acts on what goes from p1
```

Parts are rows of pg_constraint whose ``conparentid`` is what they are a part of, on as many levels as there are
partitions. The part of a referencing partition goes with that or with the key (pg_depend P, S); that of a referenced
one is the key's own (i). A partition's own key that is alike becomes its part; a partition that leaves keeps its part.
Source: PostgreSQL manual, ch. 5.11 and ALTER TABLE.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aurora.errors import InternalError, WrongObjectType
from compute_node.catalog.ddl.context import CLASS_CONSTRAINT, CLASS_RELATION, CLASS_TRIGGER, DdlContext
from compute_node.catalog.ddl.dependencies import drop
from compute_node.catalog.ddl.foreign_key_rows import (
    NO_TRIGGERS,
    Triggers,
    add_action_triggers,
    add_check_triggers,
    check_removed,
    check_rows,
    part_name,
    record_of,
    store_part,
    triggers_of,
)
from compute_node.catalog.ddl.relation import relation
from compute_node.catalog.foreign_keys import foreign_key
from compute_node.catalog.rows import Record
from compute_node.relations.descriptors import ForeignKeyDesc, RelationDesc
from compute_node.sql.partitioning import partitions_of
from compute_node.txn.locks import ACCESS_EXCLUSIVE, SHARE, SHARE_ROW_EXCLUSIVE

_ALIKE = ("confrelid", "confkey", "conpfeqop", "condeferrable", "condeferred", "confupdtype", "confdeltype",
          "confmatchtype")  # fmt: skip
"""columns of pg_constraint in which a partition's own key is as the table's, or is not its part"""


def _partitions(ctx: DdlContext, desc: RelationDesc) -> list[RelationDesc]:
    if not desc.is_partitioned:
        return []
    return [relation(ctx, oid) for oid in partitions_of(ctx.view, desc).oids]


def _mapped(source: RelationDesc, target: RelationDesc, attnos: Sequence[int]) -> list[int]:
    """Columns of one table as another one numbers them."""
    found = []
    for attno in attnos:
        column = target.column(source.columns[attno - 1].name)
        if column is None:
            raise InternalError(f'"{target.name}" has no column "{source.columns[attno - 1].name}"')
        found.append(column.attno)
    return found


# --- the referenced side ----------------------------------------------------------------------------------------------


def add_actions(ctx: DdlContext, record: Record, above: Triggers = NO_TRIGGERS) -> None:
    """What a key does when referenced rows go: its triggers, and a part for each partition of the referenced table."""
    own = add_action_triggers(ctx, record, above)
    referenced = relation(ctx, record.confrelid)
    for part in _partitions(ctx, referenced):
        _refer_to(ctx, record, referenced, part, own)


def _refer_to(ctx: DdlContext, record: Record, referenced: RelationDesc, part: RelationDesc, above: Triggers) -> None:
    ctx.lock(part, SHARE_ROW_EXCLUSIVE)
    parts = {link.inhrelid for link in ctx.rows.find("pg_inherits", inhparent=record.conindid)}
    index = next((each for each in part.indexes if each.oid in parts), None)
    if index is None:
        raise InternalError(f"index for {record.conindid} not found in partition {part.name}")
    table = relation(ctx, record.conrelid)
    made = store_part(
        ctx,
        record,
        part_name(ctx, record, table, record.conkey),
        confrelid=part.oid,
        confkey=_mapped(referenced, part, record.confkey),
        conindid=index.oid,
    )
    ctx.depend((CLASS_CONSTRAINT, made.oid, 0), (CLASS_CONSTRAINT, record.oid, 0), "i")
    add_actions(ctx, made, above)


# --- the referencing side ---------------------------------------------------------------------------------------------


def add_checks(ctx: DdlContext, record: Record, *, validate: bool, above: Triggers = NO_TRIGGERS) -> None:
    """What a key asks of referencing rows: its triggers, and a part for each partition of the referencing table.
    ``validate``: they may have rows (23503)."""
    own = add_check_triggers(ctx, record, above)
    table = relation(ctx, record.conrelid)
    for part in _partitions(ctx, table):
        ctx.lock(part, SHARE_ROW_EXCLUSIVE)
        ctx.check_unused(part, "ALTER TABLE")
        _refer_from(ctx, record, table, part, own, validate=validate)
    if validate and not table.is_partitioned:
        check_rows(ctx, foreign_key(record))


def _refer_from(
    ctx: DdlContext, record: Record, table: RelationDesc, part: RelationDesc, above: Triggers, *, validate: bool
) -> None:
    columns = _mapped(table, part, record.conkey)
    for own in _records(ctx, relation(ctx, part.oid).foreign_keys):
        alike = all(getattr(own, name) == getattr(record, name) for name in _ALIKE)
        if alike and list(own.conkey) == columns and own.convalidated and not own.conparentid:
            _adopt(ctx, own, record, part, above)
            return
    set_columns = record.confdelsetcols
    made = store_part(
        ctx,
        record,
        part_name(ctx, record, part, columns),
        connamespace=part.namespace,
        conrelid=part.oid,
        conkey=columns,
        confdelsetcols=None if set_columns is None else _mapped(table, part, set_columns),
    )
    _tie(ctx, CLASS_CONSTRAINT, made.oid, record.oid, part)
    add_checks(ctx, made, validate=validate, above=above)


def _adopt(ctx: DdlContext, own: Record, record: Record, part: RelationDesc, above: Triggers) -> None:
    """A partition's own key becomes its part of its parent's, whose actions reach it."""
    gone = [(CLASS_TRIGGER, oid, 0) for oid in triggers_of(ctx, own, checks=False)]
    for each in ctx.rows.find("pg_constraint", conparentid=own.oid):
        if each.conrelid == part.oid:
            gone.append((CLASS_CONSTRAINT, each.oid, 0))
    for class_oid, oid, _ in gone:
        ctx.rows.delete_where("pg_depend", classid=class_oid, objid=oid, deptype="i")
    drop(ctx, gone, cascade=False)
    ctx.rows.update(
        "pg_constraint",
        record_of(ctx, own.oid),
        conparentid=record.oid,
        conislocal=False,
        coninhcount=own.coninhcount + 1,
    )
    _tie(ctx, CLASS_CONSTRAINT, own.oid, record.oid, part)
    for oid, parent in zip(triggers_of(ctx, own, checks=True), above, strict=True):
        _set_parent(ctx, oid, parent)
        _tie(ctx, CLASS_TRIGGER, oid, parent, part)
    ctx.changes.touch(own.conrelid, own.confrelid)


def _set_parent(ctx: DdlContext, oid: int, parent: int) -> None:
    trigger = ctx.rows.one("pg_trigger", oid=oid)
    if trigger is None:
        raise InternalError(f"pg_trigger has no row {oid}")
    ctx.rows.update("pg_trigger", trigger, tgparentid=parent)


def _tie(ctx: DdlContext, class_oid: int, own: int, above: int, part: RelationDesc) -> None:
    ctx.depend((class_oid, own, 0), (class_oid, above, 0), "P")
    ctx.depend((class_oid, own, 0), (CLASS_RELATION, part.oid, 0), "S")


def _untie(ctx: DdlContext, class_oid: int, oid: int) -> None:
    for kind in "PS":
        ctx.rows.delete_where("pg_depend", classid=class_oid, objid=oid, deptype=kind)


# --- partitions that come and go --------------------------------------------------------------------------------------


def _records(ctx: DdlContext, keys: Iterable[ForeignKeyDesc]) -> list[Record]:
    """Rows of keys, in the order in which they were made."""
    return [record_of(ctx, oid) for oid in sorted(key.oid for key in keys)]


def inherit_foreign_keys(ctx: DdlContext, oid: int, parent: RelationDesc, *, validate: bool) -> None:
    """A new partition gets its part of each key of its parent, and of each that refers to it. 23503."""
    above_keys = relation(ctx, parent.oid).foreign_keys
    if above_keys and relation(ctx, oid).kind == "f":
        raise WrongObjectType("foreign key constraints are not supported on foreign tables")
    for record in _records(ctx, above_keys):
        ctx.lock(relation(ctx, record.confrelid), SHARE_ROW_EXCLUSIVE)
        above = triggers_of(ctx, record, checks=True)
        _refer_from(ctx, record, parent, relation(ctx, oid), above, validate=validate)
    for record in _records(ctx, relation(ctx, parent.oid).referenced_by):
        above = triggers_of(ctx, record, checks=False)
        _refer_to(ctx, record, parent, relation(ctx, oid), above)


def _parts_to(ctx: DdlContext, oid: int) -> list[Record]:
    """The parts of larger keys that refer to a partition."""
    return _records(ctx, [key for key in relation(ctx, oid).referenced_by if key.parent])


def refuse_referenced(ctx: DdlContext, table: RelationDesc) -> None:
    """A partition is to leave: 23503 where a key of the whole table refers to one of its rows."""
    for record in _parts_to(ctx, table.oid):
        ctx.lock(relation(ctx, record.conrelid), SHARE)
        check_removed(ctx, foreign_key(record))


def release_foreign_keys(ctx: DdlContext, table: RelationDesc) -> None:
    """A table is no partition any more: its keys are its own, and those of others do not refer to it."""
    for record in _parts_to(ctx, table.oid):
        ctx.lock(relation(ctx, record.conrelid), ACCESS_EXCLUSIVE)
        ctx.rows.delete_where("pg_depend", classid=CLASS_CONSTRAINT, objid=record.oid, deptype="i")
        drop(ctx, [(CLASS_CONSTRAINT, record.oid, 0)], cascade=False)
    for record in _records(ctx, [key for key in table.foreign_keys if key.parent]):
        count = record.coninhcount - 1
        ctx.rows.update(
            "pg_constraint", record, conparentid=0, coninhcount=count, conislocal=record.conislocal or not count
        )
        _untie(ctx, CLASS_CONSTRAINT, record.oid)
        for oid in triggers_of(ctx, record, checks=True):
            _set_parent(ctx, oid, 0)
            _untie(ctx, CLASS_TRIGGER, oid)
        add_actions(ctx, record_of(ctx, record.oid))
        ctx.changes.touch(record.conrelid, record.confrelid)
