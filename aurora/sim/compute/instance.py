"""One life of a writer: storage, sessions, background work, and the inspection of all of it without a wait."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import greenlet

from aurora.datum import Datum
from aurora.errors import InvariantViolation, SqlError
from aurora.ids import NO_LSN
from aurora.kernels import arena as arena_kernel
from aurora.kernels.python.clog import Snapshot
from aurora.sim.compute.checks import CHUNKS, DURABLE, EXTENTS, HORIZON, INDEXES, LOG, SNAPSHOT_ROWS, Checks
from aurora.sim.compute.knobs import Knobs
from aurora.sim.compute.loop import SimLoop
from aurora.sim.compute.model import Oracle
from aurora.sim.compute.pages import Structure, sees
from aurora.sim.compute.session import Reading, SimSession
from aurora.sim.compute.tables import (
    CATALOG_DESC,
    CATALOG_INDEX,
    CATALOG_RELFILE,
    CATALOG_SHAPE,
    Descriptors,
    new_catalog_row,
    relfiles,
)
from aurora.sim.compute.volume import SimVolume
from aurora.sim.world import World
from compute_node.access.extents import CLEAN, FIRST_DIRECTORY_PAGE
from compute_node.access.methods import build_index
from compute_node.access.storage import CLOG_RELFILE, Storage
from compute_node.hub import HUB

if TYPE_CHECKING:
    from aurora.kernels.python.arena import Arena
    from compute_node.access.table import Table
    from compute_node.relations.descriptors import RelationDesc


FIRST_TABLE_OID: Final = 1000
OIDS_A_TABLE: Final = 10
BANK_ACCOUNTS: Final = 8
BANK_START: Final = 100


class Instance:
    """``readings``: who reads now. ``index_lsn``: since when an index has all rows. ``catalog_lsn``: the newest commit
    that changed the catalog."""

    def __init__(
        self, world: World, knobs: Knobs, oracle: Oracle, checks: Checks, life: int, before: SimVolume | None = None
    ) -> None:
        self.world = world
        self.knobs = knobs
        self.oracle = oracle
        self.checks = checks
        self.life = life
        self.rng: random.Random = world.stream(f"life {life}")
        self.loop = self._make_loop()
        self.volume = self._make_volume(before)
        self.readings: dict[Reading, None] = {}
        self.descriptors = Descriptors()
        self.index_lsn: dict[int, int] = {}
        self.catalog_lsn = NO_LSN
        self.sessions: list[SimSession] = []
        self.opened = False
        self.busy = 0
        """greenlets that have work under way"""
        self._storage: Storage | None = None
        self._free: dict[int, tuple[int, bool]] = {}
        """start of each free extent → since when, whether its pages hold nothing"""

    def _make_loop(self) -> SimLoop:
        loop = SimLoop(self.world, self.world.stream(f"loop {self.life}"), self.knobs.jitter_s)
        HUB.bind(loop, turn_s=float("inf"))  # type: ignore[arg-type]
        return loop

    def _make_volume(self, before: SimVolume | None) -> SimVolume:
        return SimVolume(self.loop, self.world.stream(f"volume {self.life}"), self.knobs, before)

    def _make_arena(self) -> Arena:
        return arena_kernel.Arena(self.knobs.frames)

    def _everybody(self) -> Iterator[Reading]:
        """All whose snapshots this writer must keep."""
        yield from self.readings

    @property
    def storage(self) -> Storage:
        """The storage, once it is open."""
        if self._storage is None:
            raise InvariantViolation("self._storage is not there")
        return self._storage

    # Opening and dying

    def open(self) -> None:
        """Open the volume as the server does, or make what a new one needs. In a greenlet."""
        storage = self._storage = Storage(self._make_arena(), self.volume)
        storage.mtr.verify = self.knobs.verify
        storage.txns.xid_range = self.knobs.xid_range
        self._storage_made()
        if storage.is_new:
            self._create()
        else:
            storage.reclaim(storage.orphans())
            self._recovered()
        self.opened = True

    def _storage_made(self) -> None:
        """The storage stands on the volume, and has changed nothing yet."""

    def _create(self) -> None:
        session = SimSession(self, 0, self.rng)
        session.begin("read committed")
        self.oracle.file(CATALOG_RELFILE, CATALOG_SHAPE.unique_columns)
        self.make_files(session, CATALOG_DESC)
        for at, shape in enumerate((0, 1, 2, 3, 5)):
            self.create_table(session, FIRST_TABLE_OID + at * OIDS_A_TABLE, shape)
        found = session.find(FIRST_TABLE_OID)
        if found is None:
            raise InvariantViolation("found is not there")
        bank = found[0]
        for number in range(BANK_ACCOUNTS):
            row = (number + 1, number, "account", BANK_START)
            self.storage.table(bank).insert(session.running, row)
            self.oracle.wrote(session.model, bank.relfile, row[0], row)
        session.commit()
        session.gate(0)
        self.oracle.acknowledged(session.own_commit_lsn)

    def _recovered(self) -> None:
        """After a crash: all that was acknowledged, and nothing else."""
        vdl = self.volume.vdl
        self.checks.require(
            DURABLE, vdl >= self.oracle.acknowledged_lsn,
            f"the log ends at {vdl}, a commit at {self.oracle.acknowledged_lsn} was acknowledged",
        )  # fmt: skip
        self.inspect(DURABLE)

    def make_files(self, session: SimSession, desc: RelationDesc) -> Table:
        """The storage of a table and its empty indexes; the table without its indexes, then with them."""
        for each in (desc,) if desc.toast is None else (desc.toast, desc):
            self.storage.create_storage(session.running, each.relfile)
            table = self.storage.table(replace(each, indexes=()))
            for index in each.indexes:
                build_index(session.running, table, index)
        return self.storage.table(desc)

    def create_table(self, session: SimSession, oid: int, shape: int) -> None:
        """CREATE TABLE, with its row in the catalog."""
        row = new_catalog_row(oid, shape, self.storage.new_relfile)
        desc, made = self.descriptors.of(row)
        self.oracle.file(desc.relfile, made.unique_columns)
        self.make_files(session, desc)
        session.changed_catalog = True
        self.storage.table(CATALOG_DESC).insert(session.running, row)
        self.oracle.wrote(session.model, CATALOG_RELFILE, oid, row)

    def die(self) -> int:
        """The process is gone; the VDL that its log leaves."""
        self.loop.end()
        HUB.abandon()
        self.readings.clear()
        vdl = self.volume.crash()
        self.oracle.crashed(vdl)
        self.index_lsn.clear()
        return vdl

    def run(self, function: Callable[[], None]) -> None:
        """Run something beside everything else."""

        def body() -> None:
            self.busy += 1
            function()
            self.busy -= 1

        HUB.run(body)

    def interrupt(self, worker: greenlet.greenlet, error: SqlError) -> bool:
        """Fail what a greenlet waits for."""
        return HUB.interrupt(worker, error)

    def acknowledged(self, lsn: int) -> None:
        """A client has been told that the commit at ``lsn`` is done."""
        self.oracle.acknowledged(lsn)

    # Inspection

    def tables(self) -> list[tuple[int, Table]]:
        """(OID, table) of what is committed."""
        rows = self.oracle.visible(CATALOG_RELFILE, 1 << 62)
        return [(oid, self.storage.table(self.descriptors.of(row)[0])) for oid, row in rows.items()]

    def with_toast(self, table: Table) -> list[Datum]:
        """A table, and its TOAST table."""
        return [table] if table.desc.toast is None else [table, self.storage.table(table.desc.toast)]

    def inspect(self, rows: str = SNAPSHOT_ROWS) -> None:
        """Look at everything, now."""
        self.look_at_horizon()
        self.checks.none(EXTENTS, self._extents())
        structures: dict[int, Structure] = {}
        for reading in list(self.readings):
            made = structures.setdefault(id(reading.table), Structure(self.storage, reading.table))
            usable = [i for i in reading.table.indexes if self.index_lsn.get(i.relfile, 0) <= reading.lsn]
            if reading.relfile in self.storage.extents.files:
                for what, found in sees(made, reading, usable):
                    self.checks.rows(rows, what, found, reading.expected.values())
        now = Snapshot(1 << 62, set(), 0)
        catalog = self.storage.table(CATALOG_DESC)
        for _, table in [*self.tables(), (0, catalog)]:
            structure = Structure(self.storage, table)
            expected = self.oracle.visible(table.relfile, 1 << 62)
            self.checks.rows(rows, f"table {table.desc.oid} now", structure.rows(now), expected.values())
            for index in table.indexes:
                what = f"table {table.desc.oid} now, by {index.desc.name}"
                self.checks.rows(INDEXES, what, structure.rows_by(index, now), expected.values())
            for each in structure.all():
                for index in each.table.indexes:
                    self.checks.none(INDEXES, each.dangling(index))
                    self.checks.none(INDEXES, each.disorder(index))

    def trim(self) -> None:
        """Let the oracle forget what nobody can see any more, after a crash neither."""
        held = [txn.snapshot_lsn for txn in self.oracle.running if txn.repeatable and txn.snapshot_lsn]
        self.oracle.trim(min([self.volume.vdl, *held, *(reading.lsn for reading in self._everybody())]))

    def look_at_horizon(self) -> None:
        """The row horizon is at or below everybody's snapshot."""
        horizon = self.storage.txns.row_horizon()
        for reading in self._everybody():
            self.checks.require(
                HORIZON, horizon <= reading.lsn, f"the horizon is {horizon}, {reading.what} reads at {reading.lsn}"
            )

    def _extents(self) -> Iterator[str]:
        """The directory says of each page below the high water mark whose it is, once."""
        extents, storage = self.storage.extents, self.storage
        owners: dict[int, str] = {}
        used = 1

        def own(start: int, pages: int, who: str) -> Iterator[str]:
            for page_no in range(start, start + pages):
                if page_no in owners:
                    yield f"page {page_no} belongs to {owners[page_no]} and to {who}"
                owners[page_no] = who

        yield from own(0, 1, "the superblock")
        arena: Arena = Structure(storage, storage.table(CATALOG_DESC)).arena
        page_no = FIRST_DIRECTORY_PAGE
        while page_no:
            used += 1
            yield from own(page_no, 1, "the directory")
            page_no = struct.unpack_from("<Q", arena.page(page_no), 24)[0]
        for relfile, file in extents.files.items():
            for entry in file.every_entry():
                used += entry.pages
                yield from own(entry.start, entry.pages, f"relation file {relfile}")
                if entry.pack() != bytes(arena.page(int(storage.arena.page_of[entry.frame]))[entry.offset :][:48]):
                    yield f"the directory's page does not say what its entry for page {entry.start} does"
        for entry in extents._free:
            yield from own(entry.start, entry.pages, "nobody")
        high = int(storage.superblock.high_water)
        if sorted(owners) != list(range(high)):
            yield f"of {high} pages {sorted(set(range(high)) ^ set(owners))[:5]} have no owner"
        if used != extents.used_pages:
            yield f"{used} pages are in use, {extents.used_pages} are said to be"

    def look_at_extents(self) -> None:
        """Free extents that have an owner now, or were given back, were free since an LSN that no reader needs."""
        now = {each.start: (int(each.freed), bool(each.flags & CLEAN)) for each in self.storage.extents._free}
        oldest = min([self.volume.vdl, *(reading.lsn for reading in self._everybody())])
        for start, (freed, clean) in self._free.items():
            if start not in now or now[start][1] != clean:
                self.checks.require(
                    EXTENTS, freed <= oldest, f"the extent at page {start}, free since {freed}, is used again: {oldest}"
                )
        self._free = now

    def files_are_the_catalogs(self) -> None:
        """Nobody runs: the relation files are those that the catalog names."""
        wanted = {CLOG_RELFILE, CATALOG_RELFILE, CATALOG_INDEX}
        for _, table in self.tables():
            wanted.update(relfiles(table.desc))
        have = set(self.storage.extents.files)
        self.checks.require(EXTENTS, have == wanted, f"relation files {have ^ wanted} are there or not, wrongly")

    def no_garbage(self) -> None:
        """Everything was vacuumed, and nobody reads: an index has one entry a row, and every chunk is of some row."""
        for oid, table in self.tables():
            visible = self.oracle.visible(table.relfile, 1 << 62).values()
            structure = Structure(self.storage, table)
            self.checks.none(CHUNKS, structure.chunks_of_nobody())
            for index in table.indexes:
                entries = sum(1 for _ in structure.tids(index))
                at, is_hash = index.desc.columns[0] - 1, index.desc.method == "hash"
                rows = sum(not is_hash or row[at] is not None for row in visible)
                self.checks.require(
                    INDEXES, entries == rows, f"table {oid}: {entries} entries in {index.desc.name} for {rows} rows"
                )

    def log_makes_pages(self) -> None:
        """All is durable: the cache's pages are those that the log gave."""
        arena = self.storage.arena
        for frame in range(arena.frames):
            page_no = int(arena.page_of[frame])
            image = self.volume.pages.get(page_no)
            if page_no >= 0 and (image is not None or arena.page_lsn(frame)):
                self.checks.require(
                    LOG, image is not None and bytes(arena.page(frame)) == bytes(image), f"page {page_no} differs"
                )
