"""What a session asks of the database behind it: the contract, as protocols."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, TypeAlias

from pglast import ast

from aurora.datum import Datum, Row
from compute_node.access.storage import Storage
from compute_node.exec.context import ExecContext
from compute_node.exec.executable import Executable
from compute_node.sql.analyze.routines import RoutineBody
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.parse import RawStatement
from compute_node.txn.counts import DatabaseCounts
from compute_node.txn.locks import WeakLocks
from compute_node.txn.manager import TransactionManager
from compute_node.txn.recovery import Recovery
from compute_node.txn.transaction import Txn
from compute_node.types.registry import PgType
from compute_node.volume.interface import PagedVolume

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from compute_node.exec.nodes.base import Batch
    from compute_node.session.exported_snapshots import ExportedSnapshots
    from compute_node.session.forwarding import Forwarder
    from compute_node.session.notifications import Channels
    from compute_node.session.read_after import LsnWaits
    from compute_node.session.state import SessionState
    from compute_node.sql.planner.values import KnownValues


OptionValue: TypeAlias = bool | str
"""The value of an option of EXPLAIN or BEGIN"""


class Catalog(Protocol):
    """The catalog as sessions see it."""

    version: int
    """of the committed catalog; plans made under another one are made again"""

    def view(self, session: SessionState) -> CatalogView:
        """The view that analysis and planning use: this session's search path, and its transaction's own changes."""


class CopyTarget(Protocol):
    """Where COPY FROM puts rows."""

    columns: list[tuple[str, PgType, int]]
    """(name, type, typmod) of each column that the input has, in its order"""
    oid: int
    """the table's"""
    stored: int
    """rows inserted so far"""
    excluded: int
    """rows so far that WHERE was not true of"""
    table_columns: tuple[str, ...]
    """of the whole table"""

    def write_rows(self, rows: list[Row]) -> None:
        """Insert rows of typed values."""

    def finish(self) -> int:
        """End of the input; returns the number of rows."""


class Ddl(Protocol):
    """Statements that change the catalog, and maintenance."""

    def execute(
        self,
        session: SessionState,
        txn: Txn,
        node: ast.Node,
        source: str,
        param_types: tuple[int, ...],
        params: Row,
        query_rows: Callable[[], Iterator[Batch]] | None = None,
    ) -> str:
        """Run it; returns the command tag. ``params``: the values of ``$1`` … in the query of CREATE TABLE AS,
        ``query_rows``: runs it instead (for EXPLAIN)."""

    def has_made(self, session: SessionState, txn: Txn, node: ast.CreateTableAsStmt, source: str) -> bool:
        """Whether the table of CREATE TABLE AS IF NOT EXISTS is there, with a notice. 42P07 without IF NOT EXISTS."""

    def before_commit(self, session: SessionState, txn: Txn) -> None:
        """What ON COMMIT says of the session's temporary tables."""


class Explanation(Protocol):
    """What EXPLAIN shows of a statement."""

    query_id: int | None
    """the statement's identifier, for VERBOSE; None: it has none"""

    @property
    def executable(self) -> Executable | None:
        """With ANALYZE: the statement, to be run within ``measure``; else None."""

    def measure(self, run: Callable[[], object]) -> None:
        """Run it and take its time."""

    def lines(self) -> list[str]:
        """The rows of EXPLAIN's one column."""


class Engine(Protocol):
    """One instance of the database."""

    counts: DatabaseCounts
    """what statistics count of its database"""
    in_recovery: bool
    """Whether it is a reader; may change while sessions live"""

    @property
    def recovery(self) -> Recovery:
        """What sessions ask of the replay of the writer's log, and tell it."""

    @property
    def txns(self) -> TransactionManager:
        """Its transactions."""

    @property
    def volume(self) -> PagedVolume:
        """Its log."""

    @property
    def catalog(self) -> Catalog:
        """The catalog of its database."""

    @property
    def channels(self) -> Channels:
        """Who listens to what in its database."""

    @property
    def storage(self) -> Storage:
        """The root of the access layer: tables by descriptor."""

    @property
    def ddl(self) -> Ddl:
        """What changes that catalog."""

    @property
    def database_oid(self) -> int:
        """Its database."""

    @property
    def lsn_waits(self) -> LsnWaits:
        """Who waits until this instance shows an LSN."""

    @property
    def forwarder(self) -> Forwarder | None:
        """What has the writer run a reader's statements; None where nobody does."""

    @property
    def exported_snapshots(self) -> ExportedSnapshots:
        """Snapshots that other transactions may take over."""

    def connecting(self, database: str, role: int, superuser: bool) -> AbstractContextManager[Engine]:
        """The engine of a database, for a new session that is known by the end of the block. May wait. 3D000, 55000,
        42501, 53300; all FATAL."""

    def end_session(self, session: SessionState) -> None:
        """The client is gone and its transaction has ended: give back what the session itself holds. May wait."""

    def snapshot(self, txn: Txn) -> Snapshot:
        """A snapshot of now for the transaction's next statement."""

    def begin_statement(self, session: SessionState, snapshot: Snapshot | None = None) -> ExecContext:
        """The execution context of the session's next statement: its transaction, the session, and that snapshot or
        one of now."""

    def lock_relations(self, session: SessionState, locks: WeakLocks) -> bool:
        """Take what an executable names as its ``locks`` for the session's transaction; may wait. False: the catalog
        has changed meanwhile. ``compile`` has done it for what it returns."""

    def copy_target(
        self,
        session: SessionState,
        txn: Txn,
        relation: ast.RangeVar,
        columns: list[str] | None,
        where: ast.Node | None = None,
    ) -> CopyTarget:
        """Open a relation (pglast RangeVar) for COPY FROM; None is all columns. ``where``: which rows are inserted."""

    def compile(
        self,
        statement: RawStatement,
        session: SessionState,
        param_types: list[int],
        source: str,
        lifted: dict[int, int],
        routine: RoutineBody | None = None,
        values: KnownValues | None = None,
    ) -> tuple[Executable, set[int]]:
        """Analyze, plan and build one statement (``sql.parse.RawStatement``), of a function's body if ``routine``, for
        these values of its parameters. Fills ``param_types``, also for the lifted literals' slots; returns
        ``(executable, set of literal offsets that were looked at)``."""

    def still_valid(self, session: SessionState, executable: Executable) -> bool:
        """Whether an executable's plan may still run, for this session now: all objects that it names are what they
        were, and the user holds the privileges that it needs. May wait for pages."""

    def session_function(self, session: SessionState | None, name: str, *args: Datum) -> Datum:
        """What SessionView's catalog_function, search_path_schemas and current_xid ask of the engine."""

    def explain(
        self,
        session: SessionState,
        statement: RawStatement,
        options: Mapping[str, OptionValue],
        param_types: list[int],
        source: str,
        values: KnownValues | None = None,
    ) -> Explanation:
        """A statement to be explained, for these values of its parameters, and with ANALYZE to be run."""
