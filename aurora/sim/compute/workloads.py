"""What clients do, one class a kind of transaction, and what the writer does beside them.

A workload's ``script`` is one transaction's statements; errors that PostgreSQL may give too end it, and the session
rolls back. A service's ``turn`` is one round of background work in a greenlet of its own.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, ClassVar, Final

from aurora.datum import Row
from aurora.errors import UniqueViolation
from aurora.sim.compute.checks import LOCKS, NEWEST, SNAPSHOT_ROWS
from aurora.sim.compute.instance import BANK_ACCOUNTS, BANK_START, FIRST_TABLE_OID, OIDS_A_TABLE, Instance
from aurora.sim.compute.model import Oracle
from aurora.sim.compute.session import SimSession
from aurora.sim.compute.tables import (
    CATALOG_DESC,
    CATALOG_RELFILE,
    COLUMNS,
    SHAPES,
    TEXT_BYTES_MAX,
    Shape,
    catalog_row,
    index_desc,
    lock_id,
    new_catalog_row,
    relfiles,
    toast_files,
)
from compute_node.access.auto_vacuum import AutoVacuum, built_in
from compute_node.access.methods import build_index
from compute_node.access.vacuum_truncate import truncate_tail
from compute_node.hub import HUB
from compute_node.txn.locks import (
    ACCESS_EXCLUSIVE,
    NOWAIT,
    SHARE,
    SHARE_ROW_EXCLUSIVE,
    SHARE_UPDATE_EXCLUSIVE,
    SKIP_LOCKED,
    WAIT,
)

if TYPE_CHECKING:
    from compute_node.access.table import Table


BANK_OID: Final = FIRST_TABLE_OID
KEYED_OID: Final = FIRST_TABLE_OID + OIDS_A_TABLE
OTHER_OIDS: Final = tuple(FIRST_TABLE_OID + at * OIDS_A_TABLE for at in range(1, 7))
BIG_BYTES: Final = (2000, 7600)
LONG_BYTES: Final = (1500, 3000, 6000, 6000, 20000)
"""Values that are stored out of line"""
ROWS_MAX: Final = 150
"""Tables are kept small: a look at everything must stay cheap."""


class Workload:
    """See the module."""

    name: ClassVar[str]
    isolation: ClassVar[str] = ""
    """its only one, where that matters"""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.knobs = instance.knobs

    @property
    def oracle(self) -> Oracle:
        """What is true for this writer."""
        return self.instance.oracle

    def script(self, session: SimSession, rng: random.Random) -> None:
        """The statements of one transaction."""
        raise NotImplementedError

    # Parts of scripts

    def row(self, rng: random.Random, pad_bytes: int = 0) -> Row:
        """A new row."""
        pad = rng.choice("abc") * rng.randrange(pad_bytes or self.knobs.pad_bytes)
        return self.oracle.next_number(), self.value(rng), pad, rng.randrange(5)

    def value(self, rng: random.Random) -> int | None:
        """A value of column ``b``, which others use too."""
        return None if rng.random() < 0.05 else rng.randrange(self.knobs.keys)

    def some_number(self, rng: random.Random, relfile: int) -> int:
        """The number of a row that is there, was there, or never was."""
        numbers = list(self.oracle.files[relfile])
        return rng.choice(numbers[-20:]) if numbers and rng.random() < 0.95 else 1 + rng.randrange(100)

    def change(self, session: SimSession, rng: random.Random, table: Table) -> None:
        """INSERT, UPDATE or DELETE of one row."""
        kind = rng.random()
        rows = len(self.oracle.files[table.relfile])
        if kind < (0.5 if rows < ROWS_MAX else 0.1):
            row = self.row(rng)
            if table.toast is not None and rng.random() < 0.6:
                row = (*row[:2], self.long_text(rng), row[3])
            session.insert(table, row)
            return
        number = self.some_number(rng, table.relfile)
        if kind < 0.65:
            session.delete(table, number)
        elif kind < 0.8:
            value = self.value(rng)
            session.update(table, number, lambda row: (row[0], value, row[2], row[3]))
        elif kind < 0.9:
            digit = rng.randrange(5)
            session.update(table, number, lambda row: (row[0], row[1], row[2], digit))
        else:
            pad = rng.choice("xyz") * rng.randrange(self.knobs.pad_bytes)
            if table.toast is not None and rng.random() < 0.6:
                pad = self.long_text(rng)
            session.update(table, number, lambda row: (row[0], row[1], pad, row[3]))

    def long_text(self, rng: random.Random) -> str:
        """A value for a table with TOAST: one that hardly shrinks, or one that does."""
        size = rng.choice(LONG_BYTES)
        if rng.random() < 0.3:
            return f"{rng.getrandbits(64):x}" * (size // 16)
        return f"{rng.getrandbits(4 * size):x}"


class Bank(Workload):
    """Transfers between accounts; at every snapshot the balances add up."""

    name = "bank"

    def script(self, session: SimSession, rng: random.Random) -> None:
        opened = session.open_for_write(BANK_OID)
        if opened is None:
            return
        table = opened[0]
        source, target = rng.sample(range(1, BANK_ACCOUNTS + 1), 2)
        amount = rng.randrange(1, 20)
        session.update(table, source, lambda row: (*row[:3], row[3] - amount))
        session.update(table, target, lambda row: (*row[:3], row[3] + amount))
        if rng.random() < 0.3:
            total = sum(row[3] for row in session.scan(table))
            wanted = BANK_ACCOUNTS * BANK_START
            session.checks.require(SNAPSHOT_ROWS, total == wanted, f"the bank has {total}, not {wanted}")


class Keys(Workload):
    """Rows with unique keys that conflict, in transactions of a few statements."""

    name = "keys"

    def script(self, session: SimSession, rng: random.Random) -> None:
        for _ in range(rng.randint(1, 4)):
            opened = session.open_for_write(rng.choice((KEYED_OID, KEYED_OID, *OTHER_OIDS)))
            if opened is None:
                continue
            table, shape = opened
            if shape.name == "keyed" and rng.random() < 0.2:
                session.insert_or_skip(table, self.row(rng))
            else:
                self.change(session, rng, table)
            if rng.random() < 0.3:
                session.scan(table)


class Savepoints(Workload):
    """Statements under savepoints that are released, rolled back to, or fail."""

    name = "savepoints"

    def script(self, session: SimSession, rng: random.Random) -> None:
        for _ in range(rng.randint(2, 5)):
            opened = session.open_for_write(rng.choice(OTHER_OIDS[:3]))
            if opened is None:
                continue
            session.savepoint("s")
            try:
                for _ in range(rng.randint(1, 3)):
                    self.change(session, rng, opened[0])
                    if rng.random() < 0.2:
                        session.savepoint("t")
            except UniqueViolation:
                session.rollback_to("s")
                continue
            if rng.random() < 0.4:
                session.rollback_to("s")
            elif rng.random() < 0.5:
                session.release("s")
            if rng.random() < 0.3:
                session.scan(opened[0])


class RowLocks(Workload):
    """SELECT … FOR, of all strengths; what is done under FOR UPDATE is seen by the next who has it."""

    name = "row-locks"

    def script(self, session: SimSession, rng: random.Random) -> None:
        opened, children = session.open(BANK_OID, 2), session.open_for_write(KEYED_OID)
        if opened is None or children is None:
            return
        for _ in range(rng.randint(1, 2)):
            number = rng.randint(1, BANK_ACCOUNTS)
            wait = rng.choice((WAIT, WAIT, WAIT, NOWAIT, SKIP_LOCKED))
            strength = rng.choice((3, 3, 2, 1, 0))
            if session.lock(opened[0], number, strength, wait) is None:
                continue
            self._under_the_lock(session, rng, children[0], number, strength)
            if rng.random() < 0.2:
                session.update(opened[0], number, lambda row: (*row[:2], "locked", row[3]))

    def _under_the_lock(
        self, session: SimSession, rng: random.Random, table: Table, parent: int, strength: int
    ) -> None:
        mine = f"child of {parent}: "
        seen = [int(row[2][len(mine) :]) for row in session.scan(table) if row[2].startswith(mine)]
        if strength == 3 and not session.model.repeatable and rng.random() < 0.7:
            turn = max(seen, default=0) + 1
            others = [
                row
                for row in self.oracle.visible(table.relfile, 1 << 62, session.model.writes).values()
                if row[2].startswith(mine) and int(row[2][len(mine) :]) >= turn
            ]
            session.checks.require(LOCKS, not others, f"{session.model.name} is child {turn} of {parent}: {others}")
            session.insert(table, (self.oracle.next_number(), None, f"{mine}{turn}", 0))


class Cursors(Workload):
    """Cursors that stay open while their own transaction and others go on."""

    name = "cursors"

    def script(self, session: SimSession, rng: random.Random) -> None:
        opened = session.open_for_write(rng.choice((BANK_OID, *OTHER_OIDS)))
        if opened is None:
            return
        table = opened[0]
        cursors = [session.open_cursor(table)]
        for _ in range(rng.randint(2, 8)):
            kind = rng.random()
            if kind < 0.15:
                cursors.append(session.open_cursor(table))
            elif kind < 0.5:
                HUB.sleep(rng.random() * self.knobs.flush_s[1])
                session.scan(table)
            elif kind < 0.7 and table.desc.oid != BANK_OID:
                self.change(session, rng, table)
            for cursor in [each for each in cursors if each in session.cursors]:
                session.fetch(cursor, 1)
        for cursor in [each for each in cursors if each in session.cursors]:
            session.fetch(cursor, 1 << 30)


class Scans(Workload):
    """Reads by heap and index, forwards and backwards, several in a transaction."""

    name = "scans"

    def script(self, session: SimSession, rng: random.Random) -> None:
        for _ in range(rng.randint(1, 4)):
            opened = session.open(rng.choice((BANK_OID, *OTHER_OIDS)))
            if opened is None:
                continue
            if rng.random() < 0.5:
                session.scan(opened[0])
            else:
                low = rng.choice((None, rng.randrange(self.knobs.keys)))
                high = rng.choice((None, rng.randrange(self.knobs.keys) + 1))
                session.scan_index(opened[0], low, high)
            if rng.random() < 0.3:
                HUB.sleep(rng.random() * self.knobs.flush_s[1])


class BigRows(Workload):
    """Rows of up to a page."""

    name = "big-rows"

    def script(self, session: SimSession, rng: random.Random) -> None:
        opened = session.open_for_write(rng.choice(OTHER_OIDS))
        if opened is None:
            return
        table, shape = opened
        longest = TEXT_BYTES_MAX if shape.name == "texts" else BIG_BYTES[1]
        for _ in range(rng.randint(1, 3)):
            if shape.toast:
                self.change(session, rng, table)
            elif rng.random() < 0.5 and len(self.oracle.files[table.relfile]) < ROWS_MAX:
                session.insert(table, self.row(rng, min(longest, rng.randint(*BIG_BYTES))))
            else:
                pad = "big" * (min(longest, rng.randint(*BIG_BYTES)) // 3)
                number = self.some_number(rng, table.relfile)
                session.update(table, number, lambda row, pad=pad: (*row[:2], pad, row[3]))  # type: ignore[misc]


class Bulk(Workload):
    """Many rows in, changed or out, in one statement."""

    name = "bulk"

    def script(self, session: SimSession, rng: random.Random) -> None:
        opened = session.open_for_write(rng.choice(OTHER_OIDS))
        if opened is None:
            return
        table, shape = opened
        if len(self.oracle.files[table.relfile]) < ROWS_MAX:
            count = rng.randint(10, 60)
            rows = [self.row(rng) for _ in range(count)]
            session.insert_many(table, [(*row[:1], None, *row[2:]) if shape.name == "keyed" else row for row in rows])
            if rng.random() < 0.5:
                return
        if rng.random() < 0.6:
            digit, pad = rng.randrange(5), rng.choice("uvw") * rng.randrange(self.knobs.pad_bytes)
            if rng.random() < 0.5:
                session.update_many(table, lambda row: (*row[:3], digit))
            else:
                session.update_many(table, lambda row: (*row[:2], pad, row[3]))
            return
        for row in session.scan(table):
            if rng.random() < 0.8:
                session.delete(table, row[0])


class TableLocks(Workload):
    """LOCK TABLE as a mutex: the next who has it sees what the last one did."""

    name = "table-locks"

    def script(self, session: SimSession, rng: random.Random) -> None:
        mode = rng.choice((SHARE, SHARE_ROW_EXCLUSIVE, ACCESS_EXCLUSIVE))
        wait = rng.choice((WAIT, WAIT, NOWAIT))
        opened = session.open(rng.choice(OTHER_OIDS[:2]), mode, wait)
        if opened is None:
            return
        session.scan(opened[0])
        may_write = mode != SHARE or session.open_for_write(opened[0].desc.oid) is not None
        if may_write and rng.random() < 0.7:
            self.change(session, rng, opened[0])


class Tables(Workload):
    """CREATE, DROP, TRUNCATE, a rewrite, CREATE INDEX."""

    name = "tables"

    def script(self, session: SimSession, rng: random.Random) -> None:
        oid = rng.choice(OTHER_OIDS)
        kind = rng.random()
        opened = session.open(oid, SHARE_ROW_EXCLUSIVE if kind < 0.25 else ACCESS_EXCLUSIVE)
        if opened is None:
            session.lock_table(oid, ACCESS_EXCLUSIVE)
            if session.find(oid) is None:
                self.instance.create_table(session, oid, rng.randrange(len(SHAPES)))
            return
        table, shape = opened
        if kind < 0.25:
            self._create_index(session, table, shape)
        elif kind < 0.5:
            self._replace(session, table, shape, [])
        elif kind < 0.75:
            with session.statement("rewrite", table) as reading:
                batches = table.scan(reading.snapshot, COLUMNS, False)
                rows = [row for batch in batches for row in batch]
                session.checks.rows(SNAPSHOT_ROWS, reading.what, rows, reading.expected.values())
            self._replace(session, table, shape, rows)
        elif oid != KEYED_OID:
            for relfile in relfiles(table.desc):
                self.instance.storage.drop_storage(session.running, relfile)
            self._catalog(session, oid, None)
        if rng.random() < 0.5:
            found = session.find(oid)
            if found is not None:
                again = self.instance.storage.table(found[0])
                self.change(session, rng, again)
                session.scan(again)

    def _replace(self, session: SimSession, table: Table, shape: Shape, rows: list[Row]) -> None:
        """New storage with these rows."""
        instance, storage = self.instance, self.instance.storage
        for relfile in relfiles(table.desc):
            storage.drop_storage(session.running, relfile)
        row = new_catalog_row(table.desc.oid, SHAPES.index(shape), storage.new_relfile)
        desc, _ = instance.descriptors.of(row)
        self.oracle.file(desc.relfile, shape.unique_columns)
        fresh = instance.make_files(session, desc)
        fresh.insert_many(session.running, rows)
        for each in rows:
            self.oracle.wrote(session.model, desc.relfile, each[0], each)
        self._catalog(session, table.desc.oid, row)

    def _create_index(self, session: SimSession, table: Table, shape: Shape) -> None:
        instance, storage, desc = self.instance, self.instance.storage, table.desc
        if len(desc.indexes) > len(shape.keys):
            return
        relfile = storage.new_relfile()
        build_index(session.running, table, index_desc(desc.oid, len(shape.keys), relfile, shape))
        files = tuple(index.relfile for index in desc.indexes)
        instance.index_lsn[relfile] = 1 << 62
        session.running.on_commit(lambda lsn: instance.index_lsn.update({relfile: lsn}))
        row = catalog_row(desc.oid, desc.relfile, (*files, relfile), SHAPES.index(shape), toast_files(desc))
        self._catalog(session, desc.oid, row)

    def _catalog(self, session: SimSession, oid: int, row: Row | None) -> None:
        """Replace, or remove, the table's row in the catalog."""
        session.changed_catalog = True
        catalog, txn = self.instance.storage.table(CATALOG_DESC), session.running
        with session.reading("catalog update", catalog, self.instance.storage.txns.latest_snapshot(txn), None) as found:
            rows = catalog.indexes[0].lookup(found.snapshot, (oid,), COLUMNS, True)
            session._same("catalog update", [each[:-1] for each in rows], found.expected.get(oid))
            if row is None:
                done: object = catalog.delete(txn, found.snapshot, rows[0][-1], lambda row, at: False, COLUMNS)
            else:
                done = catalog.update(txn, found.snapshot, rows[0][-1], row, (2, 3, 4), lambda _: None)
        session.checks.require(NEWEST, bool(done), f"the catalog row of table {oid} changed under its lock")
        self.oracle.wrote(session.model, CATALOG_RELFILE, oid, row)
        txn.cid += 1


class Service:
    """See the module."""

    name: ClassVar[str]

    def __init__(self, instance: Instance) -> None:
        self.instance = instance

    def turn(self, rng: random.Random) -> None:
        """One round."""
        raise NotImplementedError


class ManualVacuum(Service):
    """VACUUM [FREEZE] of some table, and the cut of its end."""

    name = "vacuum"

    def turn(self, rng: random.Random) -> None:
        storage = self.instance.storage
        oids = [oid for oid, _ in self.instance.tables()]
        oid = rng.choice([*oids, CATALOG_DESC.oid])
        txn = storage.txns.begin()
        try:
            if not storage.locks.lock_relation(txn, lock_id(oid), SHARE_UPDATE_EXCLUSIVE, f"t{oid}", SKIP_LOCKED):
                return
            tables = dict(self.instance.tables())
            table = storage.table(CATALOG_DESC) if oid == CATALOG_DESC.oid else tables.get(oid)
            if table is not None:
                freeze = rng.random() < 0.5
                for each in self.instance.with_toast(table):
                    storage.locks.lock_relation(txn, each.desc.lock_id, SHARE_UPDATE_EXCLUSIVE, each.name, WAIT)
                    storage.vacuum(each, freeze)
                    if oid != CATALOG_DESC.oid:
                        truncate_tail(txn, each)
        finally:
            storage.txns.abort(txn)


class Auto(Service):
    """Autovacuum, soon and often."""

    name = "autovacuum"

    def turn(self, rng: random.Random) -> None:
        instance = self.instance
        tables = {each.relfile: each for _, table in instance.tables() for each in instance.with_toast(table)}
        setting = built_in(autovacuum_vacuum_threshold=3, autovacuum_vacuum_scale_factor=0.05)
        AutoVacuum(self.instance.storage, setting, tables.get).step()


class GiveBack(Service):
    """The pages of free extents go back to storage."""

    name = "give-back"

    def turn(self, rng: random.Random) -> None:
        self.instance.storage.give_back()


WORKLOADS: Final[dict[str, type[Workload]]] = {
    kind.name: kind
    for kind in (Bank, Keys, Savepoints, RowLocks, Cursors, Tables, TableLocks, BigRows, Bulk, Scans)
}  # fmt: skip
SERVICES: Final[dict[str, type[Service]]] = {kind.name: kind for kind in (ManualVacuum, Auto, GiveBack)}
