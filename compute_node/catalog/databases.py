"""The databases of one volume: whose relation files are whose, and one engine for each that is in use.

Shared catalogs (pg_database, pg_authid …) are everybody's. Of the others every database has its own relation files: in
the initial database they are the catalogs' OIDs, of the others the map says which. The map is a heap table of the
volume that no catalog lists, written in the same transaction as pg_database:

    database oid | catalog's relation file in the initial database | relation file here

A database is locked under its OID: ROW EXCLUSIVE by who connects, SHARE while it is copied, ACCESS EXCLUSIVE while it
is dropped. A database without rows in the map has never been used: template0, and template1 at first. Its catalogs are
those of the image that a new volume is made of, and they are written when somebody connects to it. So a new volume need
not hold them three times. A reader has the writer write them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aurora.datum import Datum
from aurora.errors import (
    InsufficientPrivilege,
    InvalidCatalogName,
    NotSupported,
    ObjectNotInPrerequisiteState,
    TooManyConnections,
)
from aurora.ids import Lsn, Oid, RelFile, Xid
from aurora.notes import Invalidations
from compute_node.access.clone import pages_of, write_pages
from compute_node.access.prepared_states import PreparedStates
from compute_node.access.vacuum import VacuumStats
from compute_node.catalog import bootstrap, statistics
from compute_node.catalog.cache import Catalog
from compute_node.catalog.layer import Change
from compute_node.catalog.rows import CatalogReader, Record
from compute_node.hub import HUB
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.relations.schema import CATALOGS, INITIAL, INITIAL_DATABASE, MAPPED, SystemCatalogs
from compute_node.replica.injected import InjectedFailure
from compute_node.replica.single import SingleInstance
from compute_node.txn.locks import EXCLUSIVE, ROW_EXCLUSIVE, SHARE_UPDATE_EXCLUSIVE
from compute_node.txn.transaction import Txn
from compute_node.types.acl import CONNECT

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from compute_node.access.index_access import RowExpression
    from compute_node.access.storage import Storage
    from compute_node.access.table import Table
    from compute_node.catalog.engine import DatabaseEngine
    from compute_node.replica.topology import TopologySource
    from compute_node.session.forwarding import Forwarder
    from compute_node.session.state import SessionState


SINGLE: Final = "instance-1"
"""How an instance is called that has no name"""
MAP_RELFILE: Final = RelFile(3)
_MAP = RelationDesc(
    oid=Oid(MAP_RELFILE),
    relfile=MAP_RELFILE,
    name="database_map",
    schema="",
    namespace=0,
    kind="r",
    columns=tuple(
        ColumnDesc(number, name, 26, -1, True) for number, name in enumerate(("database", "file", "here"), 1)
    ),
    is_shared=True,
    database=0,
)
_EVERY = (1, 2, 3)


def _no_process() -> None:
    raise NotSupported("this instance has no process of its own that could crash")


class Databases:
    """``make_engine`` opens the engine of a database over its catalogs. ``sessions`` gives the names of the databases
    that sessions are connected to, one a session."""

    def __init__(self, storage: Storage, make_engine: Callable[[SystemCatalogs], DatabaseEngine]) -> None:
        self.storage = storage
        self._make_engine = make_engine
        self._engines: dict[int, DatabaseEngine] = {}
        self._arriving: list[str] = []
        """the databases of clients that are being let in"""
        self.sessions: Callable[[], list[SessionState]] = list
        self.topology: TopologySource = SingleInstance(SINGLE, "", lambda: storage.volume.vdl, storage.clock)
        """the instances of the cluster, for the engines of all databases"""
        self.injected = InjectedFailure(HUB.now_s, random.random)
        """what the feed of log to readers has to suffer"""
        self.forwarder: Forwarder | None = None
        """what has the writer run the statements of this reader"""
        self.write_elsewhere: Callable[[int], None] | None = None
        """of a reader: has the writer write a database's catalogs, and waits until they are here; in a greenlet"""
        self.crash: Callable[[], None] = _no_process
        """ends the instance's process at once"""
        initial = self._add(INITIAL)
        self.catalog: Catalog = initial.catalog

    def _add(self, catalogs: SystemCatalogs) -> DatabaseEngine:
        engine = self._engines[catalogs.database] = self._make_engine(catalogs)
        engine.databases = self
        # An index's expressions are compiled with the catalog of its table's database.
        self.storage.compile_row_expression = self._compile_row
        self.storage.compile_comparison = self._compile_comparison
        engine.catalog.others = lambda: [other.catalog for other in list(self._engines.values()) if other is not engine]
        return engine

    def _compile_row(self, relation: RelationDesc, text: str) -> RowExpression:
        return self.engine(relation.database or INITIAL_DATABASE).row_expressions.compile(relation, text)

    def _compile_comparison(self, relation: RelationDesc, operator: int, kind: int) -> Callable[[Datum, Datum], Datum]:
        engine = self.engine(relation.database or INITIAL_DATABASE)
        return engine.row_expressions.comparison(relation, operator, kind)

    @property
    def initial(self) -> DatabaseEngine:
        """The engine of the initial database."""
        return self._engines[INITIAL_DATABASE]

    # connecting

    @contextmanager
    def connecting(self, name: str, role: int, superuser: bool) -> Iterator[DatabaseEngine]:
        """The engine for a new session of a role, which is known to ``sessions`` when the block ends. Waits while the
        database is being copied or dropped. 3D000, 55000, 42501, 53300; all FATAL."""
        txns = self.storage.txns
        txn = txns.begin()
        try:
            # Who drops or copies the database has its lock; after that it may be another one, or none.
            self.storage.locks.lock_relation(txn, self._find(name).oid, ROW_EXCLUSIVE, name)
            record = self._find(name)
            self._arriving.append(name)
        finally:
            txns.abort(txn)
        try:
            self._admit(record, role, superuser)
            yield self.engine(int(record.oid))
        finally:
            self._arriving.remove(name)

    def _admit(self, record: Record, role: int, superuser: bool) -> None:
        name = record.datname
        if not record.datallowconn:
            raise ObjectNotInPrerequisiteState(
                f'database "{name}" is not currently accepting connections', severity="FATAL"
            )
        if superuser:
            return
        if not self.catalog.shared().rights(role).database(record.oid, CONNECT):
            raise InsufficientPrivilege(
                f'permission denied for database "{name}"',
                detail="User does not have CONNECT privilege.",
                severity="FATAL",
            )
        if 0 <= record.datconnlimit < self.connected(name):
            raise TooManyConnections(f'too many connections for database "{name}"', severity="FATAL")

    def _find(self, name: str) -> Record:
        record = self.catalog.database(name)
        if record is None:
            raise InvalidCatalogName(f'database "{name}" does not exist', severity="FATAL")
        return record

    def connected(self, name: str, but: SessionState | None = None) -> int:
        """How many sessions are connected to a database or about to be, ``but`` one."""
        there = [session for session in self.sessions() if session.database == name and session is not but]
        return len(there) + self._arriving.count(name)

    def engine(self, oid: int) -> DatabaseEngine:
        """The engine of a database; its catalogs are written if it has never been used."""
        found = self._engines.get(oid)
        if found is None:
            relfiles = self.relfiles(oid) or self._write_unused(oid)
            # Reading the map may have waited, and another session may have opened it.
            found = self._engines.get(oid) or self._add(SystemCatalogs(oid, relfiles))
        return found

    def opened(self, oid: int) -> DatabaseEngine | None:
        """The engine of a database that has been used since the instance began."""
        return self._engines.get(oid)

    def use(self, oid: int) -> None:
        """See that a database has its catalogs, for a reader's session. 3D000."""
        if CatalogReader(self.storage).one("pg_database", oid=oid) is None:
            raise InvalidCatalogName(f"database {oid} does not exist")
        self.engine(oid)

    def _write_unused(self, oid: int) -> dict[int, RelFile]:
        txns = self.storage.txns
        if self.write_elsewhere is not None:
            self.write_elsewhere(oid)
            relfiles = self.relfiles(oid)
            if relfiles is None:  # it was dropped meanwhile
                raise InvalidCatalogName(f"database {oid} does not exist", severity="FATAL")
            return relfiles
        txn = txns.begin()
        try:
            # One session writes them; the others find them written.
            self.storage.locks.lock_relation(txn, oid, SHARE_UPDATE_EXCLUSIVE)
            relfiles = self.relfiles(oid)
            if relfiles is None:
                relfiles = dict(self.write_catalogs(txn, oid, None).relfiles)
                txns.commit(txn)
            return relfiles
        finally:
            txns.abort(txn)

    # the map

    def relfiles(self, oid: int, txn: Txn | None = None) -> dict[int, RelFile] | None:
        """Relation file in the initial database → relation file here; None of a database that was never used."""
        if not self.storage.exists(MAP_RELFILE):
            return None
        table = self.storage.table(_MAP)

        def rows(snapshot: Snapshot) -> dict[int, RelFile]:
            return {
                file: here
                for batch in table.scan(snapshot, _EVERY, False)
                for database, file, here in batch
                if database == oid
            }

        if txn is not None:
            return rows(self.storage.txns.latest_snapshot(txn)) or None
        with self.storage.txns.reading("database map") as snapshot:
            return rows(snapshot) or None

    def extended_catalogs(self, txn: Txn, oid: int) -> SystemCatalogs | None:
        """The same for a program that has other catalogs than the one which wrote the map: new ones are mapped."""
        relfiles = self.relfiles(oid)
        if relfiles is None:
            return None
        missing = {file: self.storage.new_relfile() for file in MAPPED if file not in relfiles}
        if missing:
            self.storage.table(_MAP).insert_many(txn, [(oid, file, here) for file, here in missing.items()])
            txn.cid += 1
        return SystemCatalogs(oid, relfiles | missing)

    def catalogs(self, oid: int) -> SystemCatalogs | None:
        """The system catalogs of a database; None of one that was never used."""
        if oid == INITIAL_DATABASE:
            return INITIAL
        relfiles = self.relfiles(oid)
        return None if relfiles is None else SystemCatalogs(oid, relfiles)

    # vacuum and analyze

    def in_use(self) -> list[DatabaseEngine]:
        """The engines of the databases that were in use since the start."""
        return list(self._engines.values())

    def table_of(self, relfile: int) -> Table | None:
        """The ``Table`` of a relation file, whatever its database; None when it is no table's. May wait."""
        for record in CatalogReader(self.storage).all("pg_database"):
            if record.oid == INITIAL_DATABASE or self.relfiles(record.oid) is not None:
                found = statistics.table_of(self.engine(int(record.oid)).catalog, relfile)
                if found is not None:
                    return found
        return None

    def current(self, desc: RelationDesc) -> RelationDesc | None:
        """A table as the catalog of its database has it now; a TOAST table that has no autovacuum parameters of its own
        with those of its table, as PostgreSQL has it. None: it has gone. May wait."""
        layer = self.engine(desc.database or INITIAL_DATABASE).catalog.shared()
        found = layer.relation(desc.oid)
        if found is None or found.kind != "t" or any(each.startswith("autovacuum_") for each in found.options):
            return found
        owner = layer.relation(int(found.name.removeprefix("pg_toast_")))
        return found if owner is None else replace(found, options=owner.options)

    def shown(self, desc: RelationDesc) -> str:
        """How the log names a table."""
        record = CatalogReader(self.storage).one("pg_database", oid=desc.database or INITIAL_DATABASE)
        return f"{'?' if record is None else record.datname}.{desc.schema}.{desc.name}"

    def vacuumed(self, desc: RelationDesc, stats: VacuumStats) -> None:
        """Note a table's size after a vacuum; a shared catalog's in the initial database. May wait."""
        statistics.vacuumed(self.engine(desc.database or INITIAL_DATABASE).catalog, desc, stats)

    # making and dropping

    def write_catalogs(self, txn: Txn, oid: int, template: SystemCatalogs | None) -> SystemCatalogs:
        """Write the catalogs of a new database: a copy of the template's, or (None) those of a new volume."""
        storage = self.storage
        # Nobody writes to the map before the transaction that makes its file has ended.
        storage.locks.lock_relation(txn, _MAP.lock_id, EXCLUSIVE, _MAP.name)
        if not storage.exists(MAP_RELFILE):
            storage.create_storage(txn, MAP_RELFILE)
        image = bootstrap.image_files() if template is None else {}
        source = {} if template is None else template.relfiles
        relfiles: dict[int, RelFile] = {}
        for file in MAPPED:
            here = relfiles[file] = storage.new_relfile()
            pages = image.get(file, ()) if template is None else pages_of(storage, storage.file(source[file]))
            write_pages(storage, txn, here, pages)
        storage.table(_MAP).insert_many(txn, [(oid, file, here) for file, here in relfiles.items()])
        txn.cid += 1
        return SystemCatalogs(oid, relfiles)

    def lock_tables(self, txn: Txn, catalogs: SystemCatalogs, mode: int) -> None:
        """Keep vacuum, and whoever else would change its pages, away from a database without sessions."""
        reader = CatalogReader(self.storage, None, catalogs)
        for row in reader.all("pg_class"):
            if row.relkind in "rtm" and not row.relisshared:
                lock = catalogs.database << 32 | row.oid
                self.storage.locks.lock_relation(txn, lock, mode, row.relname)

    def files(self, oid: int) -> Iterator[RelFile]:
        """The relation files of a database, shared catalogs not among them."""
        catalogs = self.catalogs(oid)
        if catalogs is None:
            return
        yield from catalogs.relfiles.values()
        for row in CatalogReader(self.storage, None, catalogs).all("pg_class"):
            if row.relfilenode and row.oid not in catalogs.relfiles and not row.relisshared:
                yield row.relfilenode

    def drop_files(self, txn: Txn, oid: int) -> None:
        """Give a database's relation files back when ``txn`` commits."""
        storage = self.storage
        for relfile in list(self.files(oid)):
            if storage.exists(relfile):
                storage.drop_storage(txn, relfile)
        if storage.exists(MAP_RELFILE):
            table = storage.table(_MAP)
            snapshot = storage.txns.latest_snapshot(txn)
            gone = [
                tid for batch in table.scan(snapshot, _EVERY, True) for database, _, _, tid in batch if database == oid
            ]
            for tid in gone:
                table.delete(txn, snapshot, tid, lambda row, at: True, ())
            txn.cid += 1

    # transactions of an earlier process

    def restore_prepared(self) -> list[Xid]:
        """Make prepared transactions again, on the writer before its first session; the xids whose states are left
        over. May wait."""
        return self.storage.txns.prepared.restore(PreparedStates(self.storage).all(), self.replayed)

    # following another instance's log

    def replayed(self, invalidations: Invalidations, commit_lsn: Lsn) -> None:
        """The writer has changed catalogs of a database, as of ``commit_lsn``, which is applied here."""
        names: dict[int, str] = {CATALOGS[name].desc.oid: name for name in CATALOGS}
        written = {names[oid]: set(rows) for oid, rows in invalidations.rows.items() if oid in names}
        engine = self._engines.get(invalidations.database)
        if engine is not None:
            engine.catalog.committed(Change(set(invalidations.relations), written), commit_lsn)
            return
        shared = {name: oids for name, oids in written.items() if CATALOGS[name].desc.is_shared}
        if shared:
            self.initial.catalog.committed(Change(written=shared), commit_lsn)

    def replayed_unknown(self) -> None:
        """What the writer has changed meanwhile is not known: every database's catalog is read anew."""
        for engine in self._engines.values():
            engine.catalog.begin_anew()

    def close(self, oid: int) -> None:
        """A database has been dropped."""
        self._engines.pop(oid, None)
        self.storage.counts.database_dropped(oid)
