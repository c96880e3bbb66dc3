"""The rows of foreign keys: pg_constraint, the triggers on either table, what depends on what; and the check of rows.

``foreign_keys`` reads the clauses, ``partitions/foreign_keys`` gives partitions their part of a key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from aurora.datum import Datum, Row
from aurora.errors import ForeignKeyViolation, InvariantViolation
from compute_node.catalog.ddl.context import CLASS_CONSTRAINT, CLASS_RELATION, CLASS_TRIGGER, DdlContext, object_name
from compute_node.catalog.ddl.relation import class_record, relation
from compute_node.catalog.rows import Record, make_row
from compute_node.relations.descriptors import ForeignKeyDesc, RelationDesc
from compute_node.relations.schema import CATALOGS
from compute_node.session import referential, referential_sql
from compute_node.session.state import SessionState
from compute_node.txn.locks import ACCESS_EXCLUSIVE

ROW, INSERT, DELETE, UPDATE = 1, 4, 8, 16
"""bits of pg_trigger.tgtype"""
_DELETE_FUNCTIONS = {"a": 1654, "r": 1648, "c": 1646, "n": 1650, "d": 1652}
_UPDATE_FUNCTIONS = {"a": 1655, "r": 1649, "c": 1647, "n": 1651, "d": 1653}
_CHECK_INSERT, _CHECK_UPDATE, _RECHECK = 1644, 1645, 1250
_CHECKS = frozenset((_CHECK_INSERT, _CHECK_UPDATE))
MAY_WAIT = frozenset((_DELETE_FUNCTIONS["a"], _UPDATE_FUNCTIONS["a"], *_CHECKS))
"""functions of triggers that can be deferred: of actions only NO ACTION"""


class Triggers(NamedTuple):
    """OIDs of a key's two on one table: of the referenced one's for DELETE and UPDATE, of the referencing one's for
    INSERT and UPDATE."""

    first: int = 0
    second: int = 0


NO_TRIGGERS = Triggers()


def record_of(ctx: DdlContext, oid: int) -> Record:
    """A row of pg_constraint, which must be there."""
    record = ctx.rows.one("pg_constraint", oid=oid)
    if record is None:
        raise InvariantViolation(f"pg_constraint has no row {oid}")
    return record


def whole_key(ctx: DdlContext, oid: int) -> int:
    """What is dropped instead of a constraint: the key whose part for a referenced partition it is; else itself."""
    record = ctx.rows.one("pg_constraint", oid=oid)
    while record is not None and record.conparentid:
        above = record_of(ctx, record.conparentid)
        if above.contype != "f" or above.conrelid != record.conrelid:
            break
        record = above
    return oid if record is None else int(record.oid)


def store(ctx: DdlContext, values: dict[str, Datum]) -> Record:
    """A new foreign key from the columns of its row, and what it depends on; without triggers yet."""
    oid = ctx.next_oid()
    ctx.rows.insert_many("pg_constraint", [make_row("pg_constraint", {**values, "oid": oid})])
    record = record_of(ctx, oid)
    address = (CLASS_CONSTRAINT, oid, 0)
    for attno in record.conkey:
        ctx.depend(address, (CLASS_RELATION, record.conrelid, attno), "a")
    for attno in record.confkey:
        ctx.depend(address, (CLASS_RELATION, record.confrelid, attno), "n")
    ctx.depend(address, (CLASS_RELATION, record.conindid, 0), "n")
    return record


def store_part(ctx: DdlContext, record: Record, name: str, **changed: Datum) -> Record:
    """A key that is a part of another one, for a partition of one of the tables."""
    values = {column: record.values[place] for column, place in CATALOGS["pg_constraint"].position.items()}
    part = {"conname": name, "conparentid": record.oid, "conislocal": False, "coninhcount": 1, "connoinherit": False}
    return store(ctx, {**values, **part, **changed})


def free_name(ctx: DdlContext, desc: RelationDesc, columns: Sequence[str]) -> str:
    """The name of a table's key that is given none."""
    number = 0
    while True:
        name = object_name(desc.name, "_".join(columns), "fkey" + (str(number) if number else ""))
        if not ctx.rows.find("pg_constraint", conname=name, connamespace=desc.namespace):
            return name
        number += 1


def has_constraint(ctx: DdlContext, desc: RelationDesc, name: str) -> bool:
    """Whether a table has a constraint of that name."""
    return any(record.conname == name for record in ctx.rows.find("pg_constraint", conrelid=desc.oid))


def part_name(ctx: DdlContext, record: Record, table: RelationDesc, columns: Sequence[int]) -> str:
    """The name of a part of a key: the key's, where the table has no constraint of that name yet."""
    if not has_constraint(ctx, table, record.conname):
        return str(record.conname)
    return free_name(ctx, table, [table.columns[attno - 1].name for attno in columns])


def add_action_triggers(ctx: DdlContext, record: Record, above: Triggers = NO_TRIGGERS) -> Triggers:
    """The two on the referenced table, of which only NO ACTION can be deferred. ``above``: those that they are parts
    of."""
    on_delete, on_update = record.confdeltype, record.confupdtype
    return Triggers(
        _add_trigger(ctx, record, "a", _DELETE_FUNCTIONS[on_delete], DELETE, on_delete == "a", above.first),
        _add_trigger(ctx, record, "a", _UPDATE_FUNCTIONS[on_update], UPDATE, on_update == "a", above.second),
    )


def add_check_triggers(ctx: DdlContext, record: Record, above: Triggers = NO_TRIGGERS) -> Triggers:
    """The two on the referencing table."""
    return Triggers(
        _add_trigger(ctx, record, "c", _CHECK_INSERT, INSERT, True, above.first),
        _add_trigger(ctx, record, "c", _CHECK_UPDATE, UPDATE, True, above.second),
    )


def _add_trigger(
    ctx: DdlContext, record: Record, letter: str, function: int, event: int, may_wait: bool, above: int
) -> int:
    oid = ctx.next_oid()
    table, other = record.conrelid, record.confrelid
    if letter == "a":
        table, other = other, table
    ctx.rows.insert(
        "pg_trigger",
        oid=oid,
        tgrelid=table,
        tgparentid=above,
        tgname=f"RI_ConstraintTrigger_{letter}_{oid}",
        tgfoid=function,
        tgtype=ROW | event,
        tgenabled="O",
        tgisinternal=True,
        tgconstrrelid=other,
        tgconstrindid=record.conindid,
        tgconstraint=record.oid,
        tgdeferrable=may_wait and record.condeferrable,
        tginitdeferred=may_wait and record.condeferred,
        tgargs=b"",
    )
    ctx.depend((CLASS_TRIGGER, oid, 0), (CLASS_CONSTRAINT, record.oid, 0), "i")
    described = class_record(ctx, table)
    if not described.relhastriggers:
        ctx.rows.update("pg_class", described, relhastriggers=True)
    ctx.changes.touch(table, other)
    return oid


def triggers_of(ctx: DdlContext, record: Record, *, checks: bool) -> Triggers:
    """A key's triggers on the referencing table (``checks``), or on the referenced one."""
    found = [row for row in ctx.rows.find("pg_trigger", tgconstraint=record.oid) if (row.tgfoid in _CHECKS) == checks]
    if len(found) != 2:
        raise InvariantViolation(f"foreign key {record.conname} has {len(found)} triggers on a table")
    first, second = sorted(found, key=lambda row: bool(row.tgtype & UPDATE))
    return Triggers(first.oid, second.oid)


def add_recheck_trigger(
    ctx: DdlContext, desc: RelationDesc, constraint: int, index: int, *, primary: bool, deferred: bool
) -> None:
    """The row in pg_trigger of a unique constraint that can be deferred."""
    oid = ctx.next_oid()
    ctx.rows.insert(
        "pg_trigger",
        oid=oid,
        tgrelid=desc.oid,
        tgname=f"{'PK' if primary else 'Unique'}_ConstraintTrigger_{oid}",
        tgfoid=_RECHECK,
        tgtype=ROW | INSERT | UPDATE,
        tgenabled="O",
        tgisinternal=True,
        tgconstrindid=index,
        tgconstraint=constraint,
        tgdeferrable=True,
        tginitdeferred=deferred,
        tgargs=b"",
    )
    ctx.depend((CLASS_TRIGGER, oid, 0), (CLASS_CONSTRAINT, constraint, 0), "i")
    record = class_record(ctx, desc.oid)
    if not record.relhastriggers:
        ctx.rows.update("pg_class", record, relhastriggers=True)
    ctx.changes.touch(desc.oid)


def remove_trigger(ctx: DdlContext, oid: int) -> None:
    """Part of dropping a foreign key: its table is locked and forgets it."""
    record = ctx.rows.one("pg_trigger", oid=oid)
    if record is None:
        return
    desc = ctx.view.relation(record.tgrelid)
    if desc is not None:
        ctx.lock(desc, ACCESS_EXCLUSIVE)
        ctx.check_unused(desc, "DROP TABLE")
    ctx.changes.touch(record.tgrelid)
    ctx.rows.delete("pg_trigger", record)


@contextmanager
def _upkeep_memory(session: SessionState) -> Iterator[None]:
    """A query over whole tables has the memory of their upkeep, and no more of it for a hash table than for a sort."""
    settings = session.settings
    mark = settings.mark()
    settings.set("work_mem", f"{settings.get('maintenance_work_mem')}kB", local=True)
    settings.set("hash_mem_multiplier", "1", local=True)
    try:
        yield
    finally:
        settings.rollback_to(mark)


def check_rows(ctx: DdlContext, key: ForeignKeyDesc) -> None:
    """23503 unless every row has its referenced row: one query over both tables, by whatever plan is best."""
    session = ctx.session
    table, referenced = relation(ctx, key.table), relation(ctx, key.referenced)
    text = referential_sql.violations_text(ctx.view, key)
    # Whoever owns the one table need not be able to read the other.
    with _upkeep_memory(session):
        rows: list[Row] = next((batch for batch in ctx.fetch_own(text) if batch), [])
    if not rows:
        return
    values = tuple(rows[0])
    if None in values:
        raise ForeignKeyViolation(
            f'insert or update on table "{table.name}" violates foreign key constraint "{key.name}"',
            detail="MATCH FULL does not allow mixing of null and nonnull key values.",
            schema=table.schema,
            table=table.name,
            constraint=key.name,
        )
    raise referential.missing_key(session, table, referenced, key, values)


def check_removed(ctx: DdlContext, key: ForeignKeyDesc) -> None:
    """23503 where a row refers to one of the partition that a part of a key is about."""
    text = referential_sql.referenced_text(ctx.view, key)
    rows: list[Row] = next((batch for batch in ctx.fetch_own(text) if batch), [])
    if rows:
        table, part = relation(ctx, key.table), relation(ctx, key.referenced)
        raise referential.still_referenced(ctx.session, part, table, key, tuple(rows[0]))
