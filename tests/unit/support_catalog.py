"""A catalog on a volume in memory, with a session: what the tests of catalog and DDL run on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC
from typing import Any

from aurora.kernels import arena as arena_kernel
from compute_node.access.memory_volume import MemoryVolume
from compute_node.access.storage import Storage
from compute_node.catalog.bootstrap import install
from compute_node.catalog.cache import Catalog
from compute_node.catalog.databases import Databases
from compute_node.catalog.ddl import Ddl
from compute_node.catalog.ddl.sequence import Sequences
from compute_node.catalog.functions import catalog_function
from compute_node.exec.context import ExecContext
from compute_node.hub import HUB
from compute_node.relations.schema import INITIAL, SystemCatalogs
from compute_node.session import door
from compute_node.session.plans import PlanCache
from compute_node.session.prepare import compile_statement
from compute_node.session.sinks import RowList
from compute_node.session.state import IN_BLOCK
from compute_node.sql.analyze import analyze
from compute_node.sql.parse import RawStatement, parse
from compute_node.txn.counts import DatabaseCounts
from compute_node.txn.dependency import Dependency
from compute_node.types.registry import TypeEnv


class Settings:
    """A session's settings."""

    def __init__(self) -> None:
        self.values = {"search_path": '"$user", public', "default_toast_compression": "pglz"}

    def get(self, name: str) -> Any:
        """Memory and its files are not limited here."""
        memory = {
            "work_mem": 4096,
            "hash_mem_multiplier": 2.0,
            "maintenance_work_mem": 65536,
            "default_statistics_target": 100,
            "vacuum_cost_delay": 0,
            "vacuum_cost_limit": 200,
        }
        return self.values[name] if name in self.values else memory.get(name, -1)

    def show(self, name: str) -> str:
        return self.values[name]

    @property
    def search_path(self) -> str:
        """As ``show`` has it."""
        return self.values["search_path"]

    def overridden(self) -> dict[str, Any]:
        """None was set."""
        return {}

    def mark(self) -> int:
        """Nobody changes a setting here, so there is nothing to go back to."""
        return 0

    def rollback_to(self, mark: int) -> None:
        """See ``mark``."""


class Session:
    """What the catalog and DDL use of a session."""

    def __init__(self, engine: Engine, pid: int = 1, user: str = "postgres") -> None:
        self.engine, self.pid, self.user, self.session_user = engine, pid, user, user
        self.database = "postgres"
        role = engine.catalog.role(user)
        self.role_oid = self.user_oid = self.session_oid = 10 if role is None else role.oid
        self.txn: Any = None
        self.dependency = Dependency()
        self.temp_schema = self.sequence_values = self.last_sequence = self.advisory_locks = self.registry = None
        self.routine_plans = None
        self.env = TypeEnv(timezone=UTC)
        self.env.lookup = self.catalog_function
        self.settings = Settings()
        self.notices: list[tuple[str, str]] = []
        self.details: list[str | None] = []
        self.block = IN_BLOCK
        self.several_statements = False
        self.query, self.query_start, self.statements_in_txn, self.depth, self.restricted = "", 0, 0, 0, 0
        self.plans = PlanCache()
        self.superuser, self.space, self.statements = True, None, {}
        self.portals: dict[bytes, Any] = {}
        self.interrupt_error = None
        self.read_after_lsn = self.creating_extension = 0
        self.progress: Any = None
        self.gated = self.sync_commit = False

    def get_setting(self, name: str, missing_ok: bool) -> str | None:
        return self.settings.values[name]

    def environment_changed(self) -> None:
        pass

    def clock(self) -> int:
        return 0

    def notice(self, notice: Any, severity: str = "NOTICE") -> None:
        self.notices.append((severity, notice.message))
        self.details.append(notice.detail)

    def check_interrupts(self) -> None:
        pass

    def catalog_function(self, name: str, *args: Any) -> Any:
        return self.engine.functions(self, name, *args)

    def search_path_schemas(self, include_implicit: bool) -> list[str]:
        path: list[str] = self.engine.functions(self, "search_path_schemas", include_implicit)
        return path

    def run(self, sql: str) -> Any:
        """Statements in one implicit transaction, unless one is open; the last one's tag or rows."""
        own = self.txn is None
        if own:
            self.txn = self.engine.storage.txns.begin(session=self)
        result: Any = None
        try:
            for statement in parse(sql):
                result = self._one(statement, sql)
        except BaseException:
            if own:
                self.engine.storage.txns.abort(self.txn)
                self.txn = None
            raise
        if own:
            self.engine.storage.txns.commit(self.txn)
            self.txn = None
        return result

    def _one(self, statement: RawStatement, sql: str) -> Any:
        kind = type(statement.node).__name__
        is_query = kind in ("SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt")
        if is_query and not (kind == "SelectStmt" and statement.node.intoClause is not None):
            prepared, _ = compile_statement(self, statement, sql, [])
            rows = RowList()
            count = door.run(self, prepared, (), rows)
            return count if prepared.columns is None else rows.found
        return self.engine.ddl.execute(self, self.txn, statement.node, sql)

    def begin(self) -> None:
        self.txn = self.engine.storage.txns.begin(session=self)

    def commit(self) -> None:
        self.engine.storage.txns.commit(self.txn)
        self.txn = None

    def rollback(self) -> None:
        self.engine.storage.txns.abort(self.txn)
        self.txn = None


class Engine:
    """Storage, catalog and DDL of one instance."""

    def __init__(
        self, volume: Any = None, frames: int = 4096, storage: Any = None, catalogs: SystemCatalogs = INITIAL
    ) -> None:
        if volume is None and storage is None:
            volume = MemoryVolume()
            install(volume)
        self.storage = storage or Storage(arena_kernel.Arena(frames), volume)
        self.volume = self.storage.volume
        self.catalog = Catalog(self.storage, catalogs)
        self.sequences = Sequences(self.storage, catalogs)
        self.ddl = Ddl(self)
        self.txns, self.counts = self.storage.txns, DatabaseCounts()
        self.databases: Any = None
        self.in_recovery = False

    def session(self, pid: int = 1, user: str = "postgres") -> Session:
        return Session(self, pid, user)

    def functions(self, session: Session, name: str, *args: Any) -> Any:
        return catalog_function(self, session, name, *args)

    def compile(
        self,
        statement: Any,
        session: Any,
        param_types: list[int],
        source: str,
        lifted: dict[int, int],
        routine: Any = None,
        values: Any = None,
    ) -> Any:
        from compute_node.exec.executable import build
        from compute_node.sql.planner import plan

        view = self.catalog.view(session)
        query = analyze(statement.node, view, param_types, source, session=session)
        return build(plan(query, view, {}), view), set()

    def begin_statement(self, session: Any, snapshot: Any = None) -> ExecContext:
        snapshot = self.storage.txns.snapshot(session.txn)
        return ExecContext(session, session.txn, snapshot, session.env, self.storage)


def open_databases(volume: Any = None) -> Databases:
    """The databases of a volume, a new one without one."""
    if volume is None:
        volume = MemoryVolume()
        install(volume)
    storage = Storage(arena_kernel.Arena(4096), volume)
    storage.reclaim(storage.orphans())
    return Databases(storage, lambda catalogs: Engine(storage=storage, catalogs=catalogs))


def in_greenlet(function: Callable[[], Any]) -> Any:
    """Run ``function`` as session code runs, on a loop of its own."""

    async def main() -> Any:
        HUB.bind(asyncio.get_running_loop())
        return await HUB.call(function)

    return asyncio.run(main())
