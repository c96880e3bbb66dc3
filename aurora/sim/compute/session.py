"""One client's session: statements on production's tables, each with what the oracle expects of it.

A statement is: catalog row → lock → catalog row again → snapshot → rows. A ``Reading`` is a reader at a snapshot, for
as long as it may read on. Answers go through ``gate``, as a connection's do: nothing is shown before what
the session depends on is durable.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import greenlet

from aurora.datum import Datum, Row
from aurora.errors import (
    InvariantViolation,
    LockNotAvailable,
    QueryCanceled,
    SerializationFailure,
    SqlError,
    UniqueViolation,
)
from aurora.sim.compute.checks import GATE, LOCKS, NEWEST, SNAPSHOT_ROWS, UNIQUE
from aurora.sim.compute.model import ModelTxn, Oracle, Write
from aurora.sim.compute.tables import CATALOG_DESC, COLUMNS, Shape, changed_columns, lock_id, values_of
from compute_node.access.index_access import IndexAccess, ScanKey
from compute_node.txn.dependency import Dependency
from compute_node.txn.locks import ACCESS_SHARE, FIRST_STRONG, ROW_EXCLUSIVE, WAIT, WeakLocks

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from aurora.sim.compute.instance import Instance
    from compute_node.access.page_updates import Values
    from compute_node.access.table import Table
    from compute_node.relations.descriptors import RelationDesc
    from compute_node.txn.horizon import Hold
    from compute_node.txn.transaction import Txn

_LESS, _GREATER_EQUAL = 1, 4
"""B-tree strategies"""


class Reading:
    """A snapshot in use on one table; ``own`` are the transaction's writes that it sees."""

    __slots__ = ("expected", "lsn", "own", "relfile", "snapshot", "table", "what")

    def __init__(
        self, what: str, table: Table, snapshot: Snapshot, own: tuple[Write, ...], expected: dict[int, Row]
    ) -> None:
        self.what = what
        self.table = table
        self.relfile = table.relfile
        self.snapshot = snapshot
        self.lsn = int(snapshot.lsn)
        self.own = own
        self.expected = expected


class Cursor:
    """A scan that goes on over several statements."""

    def __init__(self, reading: Reading, batches: Iterator[list[Row]], hold: Hold, depth: int) -> None:
        self.reading = reading
        self.batches = batches
        self.hold = hold
        self.depth = depth
        self.rows: list[Row] = []


class SimSession:
    """What transactions use of a session (``pid`` to ``txn``), and its statements."""

    def __init__(self, instance: Instance, number: int, rng: random.Random) -> None:
        self.instance = instance
        self.pid = number
        self.dependency = Dependency()
        self.lock_timeout_ms = 0
        self.database, self.state = "postgres", "active"
        self.txn: Txn | None = None
        self.rng = rng
        self.greenlet: greenlet.greenlet | None = None
        self.interrupt_error: SqlError | None = None
        self.model: ModelTxn
        self.active = False
        self.changed_catalog = False
        self.own_commit_lsn = 0
        self.cursors: list[Cursor] = []
        self.storage = instance.storage
        self.checks = instance.checks
        self._count = 0

    @property
    def oracle(self) -> Oracle:
        """What is true for this instance."""
        return self.instance.oracle

    def catalog_function(self, name: str, *args: Datum) -> Datum:
        """What the access layer asks of a session: it is a superuser's."""

    def has_waited(self, event: int, seconds: float) -> None:
        """Nobody asks."""

    # Transactions

    def begin(self, isolation: str) -> None:
        """BEGIN."""
        self._count += 1
        self.changed_catalog = False
        self.txn = self.storage.txns.begin(isolation, session=self)
        self.model = self.oracle.begin(f"s{self.pid}.{self._count}", isolation == "repeatable read")

    def commit(self) -> int:
        """COMMIT, without its answer; the commit LSN."""
        self.close_cursors(0)
        lsn = self.storage.txns.commit(self.running)
        self.txn = None
        self.own_commit_lsn = max(self.own_commit_lsn, lsn)
        if self.changed_catalog:
            self.instance.catalog_lsn = max(self.instance.catalog_lsn, lsn)
        self.checks.none(UNIQUE, self.oracle.committed(self.model, lsn))
        self.instance.world.note(f"{self.model.name} commits {lsn}")
        return lsn

    @property
    def running(self) -> Txn:
        """Its transaction."""
        if self.txn is None:
            raise InvariantViolation("no transaction runs")
        return self.txn

    def abort(self) -> None:
        """ROLLBACK."""
        txn, self.txn = self.txn, None
        self.close_cursors(0)
        if txn is not None:
            self.storage.txns.abort(txn)
            self.oracle.aborted(self.model)

    def savepoint(self, name: str) -> None:
        """SAVEPOINT."""
        self.storage.txns.savepoint(self.running, name)
        self.oracle.savepoint(self.model, name)

    def rollback_to(self, name: str) -> None:
        """ROLLBACK TO; cursors opened since are closed."""
        level = max(at for at, (each, _) in enumerate(self.model.savepoints) if each == name)
        self.close_cursors(level + 1)
        self.storage.txns.rollback_to(self.running, name)
        self.oracle.rollback_to(self.model, name)

    def release(self, name: str) -> None:
        """RELEASE."""
        level = max(at for at, (each, _) in enumerate(self.model.savepoints) if each == name)
        for cursor in self.cursors:
            cursor.depth = min(cursor.depth, level)
        self.storage.txns.release(self.running, name)
        self.oracle.release(self.model, name)

    def check_interrupts(self) -> None:
        """A cancel that met no wait."""
        error, self.interrupt_error = self.interrupt_error, None
        if error is not None:
            raise error

    def gate(self, needs_lsn: int) -> None:
        """Show an answer that depends on the commit at ``needs_lsn``."""
        volume = self.instance.volume
        volume.wait_durable(self.dependency.lsn)
        self.checks.require(
            GATE, needs_lsn <= volume.vdl, f"s{self.pid} shows what depends on {needs_lsn}, the VDL is {volume.vdl}"
        )

    # Tables

    def find(self, oid: int) -> tuple[RelationDesc, Shape] | None:
        """The table's descriptor of now; None when it is dropped."""
        catalog = self.storage.table(CATALOG_DESC)
        if self.changed_catalog:
            reading = self.reading("own catalog", catalog, self.storage.txns.latest_snapshot(self.running), None)
            with reading as own:
                rows = catalog.indexes[0].lookup(own.snapshot, (oid,), COLUMNS, False)
                self._same("catalog", rows, own.expected.get(oid))
        else:
            with self.storage.txns.reading("catalog") as snapshot, self.reading(
                "catalog", catalog, snapshot, 0
            ) as shared:  # fmt: skip
                rows = catalog.indexes[0].lookup(snapshot, (oid,), COLUMNS, False)
                self._same("catalog", rows, shared.expected.get(oid))
            self.dependency.on(self.instance.catalog_lsn)
        return self.instance.descriptors.of(rows[0]) if rows else None

    def _same(self, what: str, rows: list[Row], expected: Row | None) -> None:
        self.checks.rows(SNAPSHOT_ROWS, f"s{self.pid} {what}", rows, [] if expected is None else [expected])

    def open(self, oid: int, mode: int = ACCESS_SHARE, wait: str = WAIT) -> tuple[Table, Shape] | None:
        """Lock a table and open it; None when it is not there."""
        found = self.find(oid)
        while found is not None:
            self.lock_table(oid, mode, wait)
            again = self.find(oid)
            if again is None or again[0] is found[0]:
                return None if again is None else (self.storage.table(again[0]), again[1])
            found = again
        return None

    def lock_table(self, oid: int, mode: int, wait: str = WAIT) -> None:
        """LOCK TABLE, or what a statement does before it reads. Error: 55P03."""
        if mode < FIRST_STRONG - 1:
            self.storage.locks.take_weak(self.running, WeakLocks(((lock_id(oid), mode),)))
        elif not self.storage.locks.lock_relation(self.running, lock_id(oid), mode, f"t{oid}", wait):
            raise LockNotAvailable("skipped")
        holders = self.oracle.table_holders(self.model, oid, mode)
        self.checks.require(LOCKS, not holders, f"{self.model.name} has table {oid} in mode {mode} beside {holders}")
        self.oracle.locked_table(self.model, oid, mode)

    # Reading

    @contextmanager
    def reading(self, what: str, table: Table, snapshot: Snapshot, own: int | None) -> Iterator[Reading]:
        """Register a reader; it sees the first ``own`` of the transaction's writes (None: all)."""
        found = self._reading(what, table, snapshot, own)
        try:
            yield found
        finally:
            self.instance.readings.pop(found, None)

    def _reading(self, what: str, table: Table, snapshot: Snapshot, own: int | None) -> Reading:
        writes = tuple(self.model.writes[:own])
        expected = self.oracle.visible(table.relfile, snapshot.lsn, writes)
        found = Reading(f"s{self.pid} {what}", table, snapshot, writes, expected)
        self.instance.readings[found] = None
        return found

    def snapshot(self) -> Snapshot:
        """The next statement's snapshot, which must cover what this client knows of."""
        model, vdl = self.model, self.instance.volume.vdl
        snapshot = self.storage.txns.snapshot(self.running)
        if model.repeatable and model.snapshot_lsn:
            self.checks.require(
                SNAPSHOT_ROWS, snapshot.lsn == model.snapshot_lsn, f"{model.name}: another snapshot {snapshot.lsn}"
            )
            return snapshot
        model.snapshot_lsn = int(snapshot.lsn)
        self.checks.require(
            SNAPSHOT_ROWS, snapshot.lsn >= vdl, f"{model.name} reads at {snapshot.lsn}, the VDL is {vdl}"
        )
        self.checks.require(
            SNAPSHOT_ROWS, snapshot.lsn >= self.own_commit_lsn,
            f"{model.name} reads at {snapshot.lsn}, its session has committed at {self.own_commit_lsn}",
        )  # fmt: skip
        self.checks.require(
            LOCKS, snapshot.lsn >= model.must_see_lsn,
            f"{model.name} reads at {snapshot.lsn}, a lock that it has was held by the commit at {model.must_see_lsn}",
        )  # fmt: skip
        return snapshot

    @contextmanager
    def statement(self, what: str, table: Table) -> Iterator[Reading]:
        """A statement that reads ``table``; its answer is shown at the end, unless the client is far ahead."""
        self.check_interrupts()
        with self.reading(what, table, self.snapshot(), None) as found:
            if not self.model.repeatable:
                self.checks.none(UNIQUE, self._twice(found))
            yield found
        if self.rng.random() >= self.instance.knobs.pipelined:
            self.gate(self.oracle.last_change_lsn(found.relfile, found.lsn))

    def _twice(self, reading: Reading) -> Iterator[str]:
        """Keys that READ COMMITTED sees twice. (REPEATABLE READ may: a row that was deleted since its snapshot, and its
        own.)"""
        for position in self.oracle.unique[reading.relfile]:
            values = [row[position] for row in reading.expected.values() if row[position] is not None]
            if len(values) != len(set(values)):
                yield f"{reading.what} at {reading.lsn} sees keys of column {position + 1} twice"

    def scan(self, table: Table) -> list[Row]:
        """SELECT without a condition."""
        with self.statement("scan", table) as reading:
            rows = [row for batch in table.scan(reading.snapshot, COLUMNS, False) for row in batch]
            self.checks.rows(SNAPSHOT_ROWS, reading.what, rows, reading.expected.values())
        return rows

    def usable(self, table: Table, lsn: int) -> list[IndexAccess]:
        """Its indexes that have all rows that a snapshot at ``lsn`` sees."""
        made = self.instance.index_lsn
        return [index for index in table.indexes if made.get(index.relfile, 0) <= lsn]

    def scan_index(self, table: Table, low: int | None, high: int | None) -> None:
        """SELECT by a range of an index's first column, in order."""
        with self.statement("index scan", table) as reading:
            indexes = self.usable(table, reading.lsn)
            if not indexes:
                return
            index, backward = self.rng.choice(indexes), self.rng.random() < 0.5
            if index.desc.method == "hash":
                self._scan_hash(reading, index, low)
                return
            if index.desc.columns[0] == 3:
                low = high = None
            keys = [] if low is None else [ScanKey(0, _GREATER_EQUAL, low)]
            keys += [] if high is None else [ScanKey(0, _LESS, high)]
            found = index.scan(reading.snapshot, keys, backward, COLUMNS, False)
            rows = [row for batch in found for row in batch]
            attnos = index.desc.columns
            at = attnos[0] - 1
            wanted = [
                row
                for row in reading.expected.values()
                if (low is None or (row[at] is not None and row[at] >= low))
                and (high is None or (row[at] is not None and row[at] < high))
            ]
            self.checks.rows(SNAPSHOT_ROWS, f"{reading.what} by {index.desc.name}", rows, wanted)
            seen = [tuple((row[attno - 1] is None, row[attno - 1]) for attno in attnos) for row in rows]
            self.checks.require(
                SNAPSHOT_ROWS, seen == sorted(seen, reverse=backward), f"{reading.what} by {index.desc.name}: disorder"
            )

    def _scan_hash(self, reading: Reading, index: IndexAccess, value: int | None) -> None:
        """SELECT by equality: what a lossy scan gives is checked again, as the executor does."""
        at = index.desc.columns[0] - 1
        found = index.scan(reading.snapshot, [ScanKey(0, 1, value)], False, COLUMNS, False)
        rows = [row for batch in found for row in batch if value is not None and row[at] == value]
        wanted = [row for row in reading.expected.values() if value is not None and row[at] == value]
        self.checks.rows(SNAPSHOT_ROWS, f"{reading.what} by {index.desc.name}", rows, wanted)

    def lookup(self, reading: Reading, number: int) -> tuple[Row, int] | None:
        """A row and its tid by its number, in the statement's snapshot."""
        rows = reading.table.indexes[0].lookup(reading.snapshot, (number,), COLUMNS, True)
        self._same(f"lookup of {number}", [row[:-1] for row in rows], reading.expected.get(number))
        return (rows[0][:-1], rows[0][-1]) if rows else None

    # Cursors

    def open_cursor(self, table: Table) -> Cursor:
        """DECLARE; its transaction holds its snapshot."""
        self.check_interrupts()
        snapshot = self.snapshot()
        hold = self.storage.txns.hold(snapshot.lsn, "cursor", self.txn)
        reading = self._reading("cursor", table, snapshot, None)
        cursor = Cursor(reading, table.scan(snapshot, COLUMNS, False), hold, len(self.model.savepoints))
        self.cursors.append(cursor)
        return cursor

    def fetch(self, cursor: Cursor, batches: int) -> bool:
        """FETCH; whether there was an end, and then all rows have come."""
        self.check_interrupts()
        for _ in range(batches):
            rows = next(cursor.batches, None)
            if rows is None:
                reading = cursor.reading
                self.checks.rows(SNAPSHOT_ROWS, reading.what, cursor.rows, reading.expected.values())
                self.close_cursor(cursor)
                return True
            cursor.rows += rows
        return False

    def close_cursor(self, cursor: Cursor) -> None:
        """CLOSE."""
        self.cursors.remove(cursor)
        cursor.batches.close()  # type: ignore[attr-defined]
        cursor.hold.release()
        self.instance.readings.pop(cursor.reading, None)

    def close_cursors(self, depth: int) -> None:
        """Those opened under ``depth`` savepoints or more."""
        for cursor in [each for each in self.cursors if each.depth >= depth]:
            self.close_cursor(cursor)

    # Writing

    def _met(self, reading: Reading, number: int, row: Row, strength: int) -> None:
        """A write or lock has met ``row`` as the newest version, and nobody holds it."""
        newest = self.oracle.newest(reading.relfile, number, self.model)
        self.checks.require(
            NEWEST, newest.row == row, f"{reading.what} meets {row} as the newest version of row {number}: {newest}"
        )
        self.checks.require(
            NEWEST, not self.model.repeatable or newest.lsn <= reading.lsn,
            f"{reading.what} at {reading.lsn} goes on with a version of {newest.lsn}",
        )  # fmt: skip
        self._held(reading, number, strength)

    def _held(self, reading: Reading, number: int, strength: int) -> None:
        holders = self.oracle.row_holders(self.model, reading.relfile, number, strength)
        self.checks.require(LOCKS, not holders, f"{reading.what} has row {number} beside {holders}")

    def _gone(self, reading: Reading, number: int) -> None:
        newest = self.oracle.newest(reading.relfile, number, self.model)
        self.checks.require(NEWEST, newest.row is None, f"{reading.what} takes row {number} for gone: {newest}")

    @contextmanager
    def _serializing(self, reading: Reading, number: int) -> Iterator[None]:
        """40001 is right only where a commit that the snapshot does not see has changed the row."""
        try:
            yield
        except SerializationFailure:
            newest = self.oracle.newest(reading.relfile, number, self.model)
            self.checks.require(
                NEWEST, self.model.repeatable and newest.lsn > reading.lsn,
                f"{reading.what} at {reading.lsn} fails with 40001 at row {number}, whose newest is {newest}",
            )  # fmt: skip
            raise

    def _duplicate(self, what: str, relfile: int, row: Row) -> None:
        """23505 is right only where the key is there."""
        unique = self.oracle.unique[relfile]
        there = [at for at in unique if set(self.oracle.with_value(relfile, at, row[at], self.model)) - {row[0]}]
        self.checks.require(UNIQUE, bool(there), f"{self.model.name} {what} {row[:2]} is refused: no such key is there")

    def update(self, table: Table, number: int, change: Callable[[Row], Row]) -> Row | None:
        """UPDATE of one row by its number: its new values. Errors: 23505, 40001, 40P01, 57014."""
        with self.statement("update", table) as reading:
            found = self.lookup(reading, number)
            if found is None:
                return None
            sample = change(found[0])
            columns = changed_columns(found[0], sample)
            strength = 2
            new: Row = ()

            def compute(row: Row) -> list[Datum]:
                nonlocal new, strength
                # Whoever holds it FOR KEY SHARE is waited for once the new row turns out to have another key.
                self._met(reading, number, row, 2)
                changed = change(row)
                new = tuple(changed[at] if at + 1 in columns else row[at] for at in range(4))
                strength = 3 if new[1] != row[1] and 1 in self.oracle.unique[table.relfile] else 2
                return values_of(new, columns)

            try:
                with self._serializing(reading, number):
                    tid = table.update_columns(self.running, reading.snapshot, found[1], columns, compute, COLUMNS)
            except UniqueViolation:
                self._duplicate("update", table.relfile, new)
                raise
            if tid is None:
                self._gone(reading, number)
                return None
            holders = self.oracle.row_holders(self.model, reading.relfile, number, strength)
            self.checks.require(LOCKS, not holders, f"{reading.what} has changed row {number} beside {holders}")
            self.oracle.wrote(self.model, table.relfile, number, new, strength)
            return new

    def update_many(self, table: Table, change: Callable[[Row], Row]) -> int:
        """UPDATE of all rows; how many there were. Errors: 40001, 40P01, 57014."""
        with self.statement("bulk update", table) as reading:
            sample = (0, -1, "?", -1)
            columns = changed_columns(sample, change(sample))
            made: dict[int, Row] = {}

            def compute(rows: list[Row], tids: list[int], at: int) -> list[Values]:
                for row in rows:
                    self._met(reading, row[0], row, 2)
                    made[row[0]] = change(row)
                return [values_of(made[row[0]], columns) for row in rows]

            later: list[int] = []
            try:
                for batch in table.scan(reading.snapshot, (), True):
                    tids = [row[0] for row in batch]
                    table.update_many(self.running, reading.snapshot, tids, columns, compute, COLUMNS, later)
                table.enter_many(self.running, columns, COLUMNS, later)
            except SerializationFailure:
                newest = [self.oracle.newest(reading.relfile, number, self.model).lsn for number in reading.expected]
                self.checks.require(
                    NEWEST, self.model.repeatable and max(newest, default=0) > reading.lsn,
                    f"{reading.what} at {reading.lsn} fails with 40001, and no row is newer",
                )  # fmt: skip
                raise
            now = self.storage.txns.latest_snapshot(self.running)
            there = {row[0]: row for batch in table.scan(now, COLUMNS, False) for row in batch}
            for number, new in made.items():
                if number in there:
                    self._same(f"bulk update of {number}", [there[number]], new)
                    self.oracle.wrote(self.model, table.relfile, number, new, 2)
                else:
                    self._gone(reading, number)
            return len(made)

    def delete(self, table: Table, number: int) -> bool:
        """DELETE of one row by its number. Errors: 40001, 40P01, 57014."""
        with self.statement("delete", table) as reading:
            found = self.lookup(reading, number)
            if found is None:
                return False
            with self._serializing(reading, number):
                done = table.delete(self.running, reading.snapshot, found[1], lambda row, at: True, COLUMNS)
            newest = self.oracle.newest(table.relfile, number, self.model)
            if not done:
                self._gone(reading, number)
                return False
            self._met(reading, number, newest.row or (), 3)
            self.oracle.wrote(self.model, table.relfile, number, None)
            return True

    def insert(self, table: Table, row: Row) -> None:
        """INSERT. Errors: 23505, 40P01, 57014."""
        with self.statement("insert", table):
            try:
                table.insert(self.running, row)
            except UniqueViolation:
                self._duplicate("insert", table.relfile, row)
                raise
            self.oracle.wrote(self.model, table.relfile, row[0], row)

    def insert_many(self, table: Table, rows: list[Row]) -> None:
        """INSERT of many rows with new numbers, page by page."""
        with self.statement("bulk insert", table):
            try:
                table.insert_many(self.running, rows)
            except UniqueViolation as error:
                self._duplicate("bulk insert", table.relfile, rows[error.row or 0])
                raise
            for row in rows:
                self.oracle.wrote(self.model, table.relfile, row[0], row)

    def insert_or_skip(self, table: Table, row: Row) -> bool:
        """INSERT … ON CONFLICT DO NOTHING; whether it was inserted."""
        with self.statement("insert or skip", table):
            tid, _ = table.insert_or_find(self.running, row, table.indexes[1:])
            if tid:
                self.oracle.wrote(self.model, table.relfile, row[0], row)
            return bool(tid)

    def lock(self, table: Table, number: int, strength: int, wait: str = WAIT) -> Row | None:
        """SELECT … FOR of one row by its number. Errors: 40001, 40P01, 55P03, 57014."""
        with self.statement("lock", table) as reading:
            found = self.lookup(reading, number)
            if found is None:
                return None
            with self._serializing(reading, number):
                locked = table.lock(self.running, reading.snapshot, found[1], strength, wait)
            if locked is None:
                if wait == WAIT:
                    self._gone(reading, number)
                return None
            if strength == 0 and not locked[2]:
                # FOR KEY SHARE goes on with the version that it saw when only other columns have changed since.
                self._same(f"lock of {number}", [locked[1]], found[0])
                self._held(reading, number, strength)
            else:
                self._met(reading, number, locked[1], strength)
            self.oracle.locked(self.model, table.relfile, number, strength)
            return locked[1]

    def open_for_write(self, oid: int) -> tuple[Table, Shape] | None:
        """``open`` as INSERT, UPDATE and DELETE do."""
        return self.open(oid, ROW_EXCLUSIVE)

    def cancel(self) -> None:
        """What a cancel request does; nothing between two transactions."""
        if not self.active:
            return
        error = QueryCanceled("canceling statement due to user request")
        self.interrupt_error = error
        if self.greenlet is not None and self.instance.interrupt(self.greenlet, error):
            self.interrupt_error = None
