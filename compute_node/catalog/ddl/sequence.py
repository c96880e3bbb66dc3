"""CREATE / ALTER SEQUENCE, serial columns, and the running of sequences (nextval, currval, setval).

A sequence is a relation of kind S with one row (last_value, log_cnt, is_called), and a pg_sequence row with its
parameters. ``nextval`` is not transactional: values are taken in memory out of a stretch of 32, whose end a small
transaction of its own has written before, so that after a crash at most 32 values are skipped (PostgreSQL does the
same). Invariant: what the row says is never below a value handed out. Source: PostgreSQL manual, "CREATE SEQUENCE"
and ch. 9.17.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pglast import ast

from aurora.errors import (
    InvalidParameterValue,
    NumericValueOutOfRange,
    ObjectNotInPrerequisiteState,
    SequenceGeneratorLimitExceeded,
    SqlSyntaxError,
    UndefinedColumn,
    UndefinedTable,
    WrongObjectType,
)
from compute_node.catalog.ddl.context import CLASS_RELATION, DdlContext, cut_name
from compute_node.catalog.ddl.ownership import give_relation
from compute_node.catalog.ddl.persistence import persistence_of
from compute_node.catalog.ddl.relation import create_relation
from compute_node.catalog.rows import CatalogReader, Record
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.relations.schema import INITIAL, SystemCatalogs
from compute_node.sql.analyze.typenames import resolve_type_name
from compute_node.txn.locks import ROW_EXCLUSIVE, SHARE_ROW_EXCLUSIVE, WeakLocks
from compute_node.types import oids

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from compute_node.access.storage import Storage
    from compute_node.txn.transaction import Txn


SERIAL_TYPES = {
    "serial": oids.INT4,
    "serial4": oids.INT4,
    "bigserial": oids.INT8,
    "serial8": oids.INT8,
    "smallserial": oids.INT2,
    "serial2": oids.INT2,
}
_BITS = {oids.INT2: 15, oids.INT4: 31, oids.INT8: 63}
_TYPE_NAMES = {oids.INT2: "smallint", oids.INT4: "integer", oids.INT8: "bigint"}
_STRETCH = 32
_COLUMNS = [
    ColumnDesc(1, "last_value", oids.INT8, -1, True),
    ColumnDesc(2, "log_cnt", oids.INT8, -1, True),
    ColumnDesc(3, "is_called", oids.BOOL, -1, True),
]
_ATTNOS = (1, 2, 3)


@dataclass(slots=True)
class Parameters:
    """A pg_sequence row."""

    kind: int = oids.INT8
    start: int = 1
    increment: int = 1
    least: int = 1
    greatest: int = (1 << 63) - 1
    cache: int = 1
    cycle: bool = False


def _number(option: ast.DefElem) -> int:
    value = option.arg
    if isinstance(value, ast.Integer):
        return value.ival or 0
    if isinstance(value, ast.Float):
        return int(value.fval)
    raise SqlSyntaxError(f"sequence option {option.defname} needs an integer")


def parameters(
    ctx: DdlContext, options: Items[ast.DefElem] | None, kind: int | None, old: Parameters | None
) -> Parameters:
    """The parameters that the options of CREATE (``old`` None) or ALTER SEQUENCE ask for; 22023."""
    given = {option.defname: option for option in options or ()}
    result = Parameters() if old is None else Parameters(*(getattr(old, name) for name in Parameters.__slots__))
    if "as" in given:
        kind, _ = resolve_type_name(ctx.view, given["as"].arg)
    if kind is not None:
        if kind not in _BITS:
            raise InvalidParameterValue("sequence type must be smallint, integer, or bigint")
        result.kind = kind
    if "increment" in given:
        result.increment = _number(given["increment"])
        if result.increment == 0:
            raise InvalidParameterValue("INCREMENT must not be zero")
    if "cycle" in given:
        result.cycle = bool(given["cycle"].arg.boolval)
    top = 1 << _BITS[result.kind]
    ascending = result.increment > 0
    for name, attribute in (("maxvalue", "greatest"), ("minvalue", "least")):
        option = given.get(name)
        if option is not None and option.arg is not None:
            setattr(result, attribute, _number(option))
        elif option is not None or old is None:
            default = (top - 1 if ascending else -1) if attribute == "greatest" else (1 if ascending else -top)
            setattr(result, attribute, default)
    for word, value in (("MAXVALUE", result.greatest), ("MINVALUE", result.least)):
        if not -top <= value < top:
            raise InvalidParameterValue(
                f"{word} ({value}) is out of range for sequence data type {_TYPE_NAMES[result.kind]}"
            )
    if result.least >= result.greatest:
        raise InvalidParameterValue(f"MINVALUE ({result.least}) must be less than MAXVALUE ({result.greatest})")
    if "start" in given:
        result.start = _number(given["start"])
    elif old is None:
        result.start = result.least if ascending else result.greatest
    if result.start < result.least:
        raise InvalidParameterValue(f"START value ({result.start}) cannot be less than MINVALUE ({result.least})")
    if result.start > result.greatest:
        raise InvalidParameterValue(f"START value ({result.start}) cannot be greater than MAXVALUE ({result.greatest})")
    if "cache" in given:
        result.cache = _number(given["cache"])
        if result.cache < 1:
            raise InvalidParameterValue(f"CACHE ({result.cache}) must be greater than zero")
    return result


def make_sequence(
    ctx: DdlContext, schema: tuple[str, int], name: str, wanted: Parameters, persistence: str
) -> RelationDesc:
    """The relation, its row and its pg_sequence row."""
    desc = create_relation(ctx, schema, name, "S", _COLUMNS, persistence=persistence)
    ctx.storage.table(desc).insert(ctx.txn, (wanted.start, 0, False))
    ctx.txn.cid += 1
    ctx.rows.insert(
        "pg_sequence",
        seqrelid=desc.oid,
        seqtypid=wanted.kind,
        seqstart=wanted.start,
        seqincrement=wanted.increment,
        seqmax=wanted.greatest,
        seqmin=wanted.least,
        seqcache=wanted.cache,
        seqcycle=wanted.cycle,
    )
    return desc


def create_owned_sequence(
    ctx: DdlContext, table: RelationDesc, column: ColumnDesc, options: Items[ast.DefElem] | None, *, identity: bool,
    statement: str = "ALTER TABLE",
) -> int:  # fmt: skip
    """The sequence behind a serial or identity column that ``statement`` makes; returns its OID."""
    name = ctx.free_name(table.namespace, [table.name, column.name], "seq")
    serial = f'serial column "{table.name}.{column.name}"'
    ctx.notice(f'{statement} will create implicit sequence "{name}" for {serial}', severity="DEBUG1")
    wanted = parameters(ctx, options, column.type, None)
    made = make_sequence(ctx, (table.schema, table.namespace), name, wanted, table.persistence)
    ctx.depend((CLASS_RELATION, made.oid, 0), (CLASS_RELATION, table.oid, column.attno), "i" if identity else "a")
    if made.owner != table.owner:
        give_relation(ctx, made, table.owner)
    return made.oid


def _owner(ctx: DdlContext, desc: RelationDesc, option: ast.DefElem | None) -> None:
    if option is None:
        return
    names = [item.sval for item in option.arg]
    ctx.rows.delete_where("pg_depend", classid=CLASS_RELATION, objid=desc.oid, refclassid=CLASS_RELATION)
    if names == ["none"]:
        return
    if len(names) < 2:
        raise SqlSyntaxError("invalid OWNED BY option", hint="Specify OWNED BY table.column or OWNED BY NONE.")
    schema = names[-3] if len(names) > 2 else None
    table = ctx.view.find_relation(schema, names[-2])
    if table is None:
        raise UndefinedTable(f'relation "{names[-2]}" does not exist')
    column = table.column(names[-1])
    if column is None:
        raise UndefinedColumn(f'column "{names[-1]}" of relation "{table.name}" does not exist')
    if table.owner != desc.owner:
        raise ObjectNotInPrerequisiteState("sequence must have same owner as table it is linked to")
    if table.namespace != desc.namespace:
        raise ObjectNotInPrerequisiteState("sequence must be in same schema as table it is linked to")
    ctx.depend((CLASS_RELATION, desc.oid, 0), (CLASS_RELATION, table.oid, column.attno), "a")


def create_sequence(ctx: DdlContext, node: ast.CreateSeqStmt) -> str:
    """CREATE SEQUENCE."""
    name = cut_name(node.sequence.relname)
    schema = ctx.creation_schema(node.sequence)
    if node.if_not_exists and ctx.view.layer.relation_oid(schema[1], name) is not None:
        ctx.notice(f'relation "{name}" already exists, skipping', sqlstate="42P07")
        return "CREATE SEQUENCE"
    wanted = parameters(ctx, node.options, None, None)
    desc = make_sequence(ctx, schema, name, wanted, persistence_of(schema, node.sequence))
    _owner(ctx, desc, next((option for option in node.options or () if option.defname == "owned_by"), None))
    return "CREATE SEQUENCE"


def alter_sequence(ctx: DdlContext, node: ast.AlterSeqStmt) -> str:
    """ALTER SEQUENCE … options."""
    desc = ctx.find(node.sequence, missing_ok=bool(node.missing_ok))
    if desc is None:
        ctx.notice(f'relation "{node.sequence.relname}" does not exist, skipping')
        return "ALTER SEQUENCE"
    if desc.kind != "S":
        raise WrongObjectType(f'"{desc.name}" is not a sequence')
    ctx.check_owner(desc)
    _owner(ctx, desc, change_sequence(ctx, desc, node.options).get("owned_by"))
    return "ALTER SEQUENCE"


def change_sequence(ctx: DdlContext, desc: RelationDesc, options: Items[ast.DefElem] | None) -> dict[str, ast.DefElem]:
    """Give a sequence other options; returns them by name."""
    ctx.lock(desc, SHARE_ROW_EXCLUSIVE)
    record = ctx.rows.one("pg_sequence", seqrelid=desc.oid)
    if record is None:
        raise UndefinedTable(f'relation "{desc.name}" does not exist')
    wanted = parameters(ctx, options, None, from_record(record))
    ctx.rows.update(
        "pg_sequence",
        record,
        seqtypid=wanted.kind,
        seqstart=wanted.start,
        seqincrement=wanted.increment,
        seqmax=wanted.greatest,
        seqmin=wanted.least,
        seqcache=wanted.cache,
        seqcycle=wanted.cycle,
    )
    given = {option.defname: option for option in options or ()}
    value = None
    if "restart" in given:
        value = wanted.start if given["restart"].arg is None else _number(given["restart"])
    ctx.engine.sequences.alter(desc, ctx.txn, wanted, value)
    ctx.changes.touch(desc.oid)
    return given


def from_record(record: Record) -> Parameters:
    """A pg_sequence row as parameters."""
    return Parameters(
        record.seqtypid,
        record.seqstart,
        record.seqincrement,
        record.seqmin,
        record.seqmax,
        record.seqcache,
        record.seqcycle,
    )


@dataclass(slots=True)
class _Running:
    parameters: Parameters
    last: int
    called: bool
    written: int
    """values that may still be handed out before the row must be written again"""
    changed_by: Txn | None = None
    """the transaction that has altered it and has not ended: nobody else uses it meanwhile"""


class Sequences:
    """The running sequences of this process; one per engine."""

    def __init__(self, storage: Storage, catalogs: SystemCatalogs = INITIAL) -> None:
        self._storage = storage
        self._catalogs = catalogs
        self._running: dict[int, _Running] = {}
        self._locks: dict[int, WeakLocks] = {}

    def _lock(self, desc: RelationDesc, txn: Txn) -> None:
        """Who takes a value keeps ALTER and DROP SEQUENCE out until its transaction ends."""
        locks = self._locks.get(desc.oid)
        if locks is None:
            locks = self._locks[desc.oid] = WeakLocks(((desc.lock_id, ROW_EXCLUSIVE),))
        if locks not in txn.weak_locks:
            self._storage.locks.take_weak(txn, locks)

    def alter(self, desc: RelationDesc, txn: Txn, wanted: Parameters | None = None, restart: int | None = None) -> None:
        """ALTER SEQUENCE and TRUNCATE … RESTART IDENTITY, as part of ``txn``, which has the sequence for itself."""
        before = self._load(desc, txn)
        last, called = (before.last, before.called) if restart is None else (restart, False)
        after = _Running(wanted or before.parameters, last, called, 0, txn)

        def undone() -> None:
            self._running[desc.oid] = before

        def committed(_lsn: int) -> None:
            after.changed_by = None

        self._write_in(desc, last, called, txn)
        self._running[desc.oid] = after
        txn.on_undo(undone)
        txn.on_commit(committed)

    def forget(self, oid: int) -> None:
        """Read the sequence anew at its next use: it was altered, or a rollback undid its making."""
        self._running.pop(oid, None)

    def _load(self, desc: RelationDesc, txn: Txn | None) -> _Running:
        found = self._running.get(desc.oid)
        if found is None:
            txns = self._storage.txns
            if txn is None:
                with txns.reading("sequence") as snapshot:
                    found = self._read(desc, snapshot)
            else:
                found = self._read(desc, txns.latest_snapshot(txn))
            self._running[desc.oid] = found
        return found

    def _read(self, desc: RelationDesc, snapshot: Snapshot) -> _Running:
        record = CatalogReader(self._storage, snapshot, self._catalogs).one("pg_sequence", seqrelid=desc.oid)
        if record is None:
            raise UndefinedTable(f'relation "{desc.name}" does not exist')
        row = next(row for batch in self._storage.table(desc).scan(snapshot, _ATTNOS, False) for row in batch)
        return _Running(from_record(record), row[0], row[2], 0)

    def next(self, desc: RelationDesc, txn: Txn | None = None) -> int:
        """nextval: 2200H when the end is reached and it does not cycle."""
        if txn is not None:
            self._lock(desc, txn)
        state = self._load(desc, txn)
        wanted = state.parameters
        value = state.last
        if state.called:
            value += wanted.increment
            if not wanted.least <= value <= wanted.greatest:
                if not wanted.cycle:
                    word, bound = ("maximum", wanted.greatest) if wanted.increment > 0 else ("minimum", wanted.least)
                    raise SequenceGeneratorLimitExceeded(
                        f'nextval: reached {word} value of sequence "{desc.name}" ({bound})'
                    )
                value = wanted.least if wanted.increment > 0 else wanted.greatest
                state.written = 0
        if state.written <= 0:
            ahead = value + wanted.increment * (_STRETCH - 1)
            ahead = max(wanted.least, min(wanted.greatest, ahead))
            self._write(desc, ahead, True, txn)
            state.written = _STRETCH
        state.written -= 1
        state.last, state.called = value, True
        return value

    def set(self, desc: RelationDesc, value: int, called: bool, txn: Txn | None = None) -> None:
        """setval: 22003 out of the sequence's bounds."""
        if txn is not None:
            self._lock(desc, txn)
        wanted = self._load(desc, txn).parameters
        if not wanted.least <= value <= wanted.greatest:
            raise NumericValueOutOfRange(
                f'setval: value {value} is out of bounds for sequence "{desc.name}" ({wanted.least}..{wanted.greatest})'
            )
        self._write(desc, value, called, txn)
        state = self._running[desc.oid]
        state.last, state.called, state.written = value, called, 0

    def row(self, desc: RelationDesc, txn: Txn) -> tuple[int, int, bool]:
        """What ``SELECT * FROM sequence`` shows: last_value, log_cnt, is_called."""
        state = self._load(desc, txn)
        return state.last, state.written, state.called

    def last_value(self, desc: RelationDesc) -> int | None:
        """pg_sequence_last_value: None before the first nextval."""
        state = self._load(desc, None)
        return state.last if state.called else None

    def _write_in(self, desc: RelationDesc, value: int, called: bool, txn: Txn) -> None:
        """Replace the row as part of ``txn``."""
        table = self._storage.table(desc)
        snapshot = self._storage.txns.latest_snapshot(txn)
        found = [row for batch in table.scan(snapshot, _ATTNOS, True) for row in batch]
        table.update(txn, snapshot, found[0][-1], (value, 0, called), _ATTNOS, lambda _: None)
        txn.cid += 1

    def _write(self, desc: RelationDesc, value: int, called: bool, txn: Txn | None) -> None:
        """Replace the row, in a transaction of its own when the sequence is committed, else in the one that made it."""
        txns = self._storage.txns
        table = self._storage.table(desc)
        if txn is not None and self._load(desc, txn).changed_by is txn:
            self._write_in(desc, value, called, txn)
            return
        own = txns.begin()
        snapshot = txns.latest_snapshot(own)
        found = [row for batch in table.scan(snapshot, _ATTNOS, True) for row in batch]
        if not found and txn is not None:
            txns.abort(own)
            self._write_in(desc, value, called, txn)
            return
        if not found:
            txns.abort(own)
            raise ObjectNotInPrerequisiteState(f'sequence "{desc.name}" has no row')
        table.update(own, snapshot, found[0][-1], (value, 0, called), _ATTNOS, lambda _: None)
        lsn = txns.commit(own)
        if txn is not None:
            # A value may be shown only once what forbids its repetition is durable.
            txn.depend(lsn)
