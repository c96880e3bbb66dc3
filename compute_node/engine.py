"""One instance of the database: the stages put together behind what a session asks for (``session/engine.py``).

statement → analyze → plan → build → run in a context with transaction and snapshot → access methods → log. The engine owns
nothing that a restart could miss: everything here is cache.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from aurora.errors import InvalidCatalogName, ReadOnlySqlTransaction
from compute_node.access.storage import Storage
from compute_node.catalog import functions as catalog_functions
from compute_node.catalog.cache import Catalog
from compute_node.catalog.ddl import Ddl
from compute_node.exec import explain as explain_module
from compute_node.exec.context import ExecContext
from compute_node.exec.copy_target import CopyTarget
from compute_node.exec.executable import Executable, build
from compute_node.sql.analyze import analyze
from compute_node.sql.parse import RawStatement
from compute_node.sql.planner import plan

class Engine:
    """``storage`` is open on the volume. ``status`` gives what ``aurora status`` shows of this instance."""

    def __init__(self, storage: Storage, status: Callable[[], dict[str, Any]]) -> None:
        self.storage = storage
        self.volume = storage.volume
        self.txns = storage.txns
        self.catalog = Catalog(storage)
        self.ddl = Ddl(self)
        self.in_recovery = False
        self._status = status
        self._snapshot = storage.txns.snapshot

    def begin_statement(self, session: Any) -> ExecContext:
        """The context of the session's next statement, with a snapshot of now."""
        txn = session.txn
        return ExecContext(session, txn, self._snapshot(txn), session.env, self.storage, self.catalog)

    def compile(
        self, statement: RawStatement, session: Any, param_types: list[int], source: str, lifted: dict[int, int]
    ) -> tuple[Executable, set[int]]:
        """Analyze, plan and build; see ``session.engine.Engine.compile``."""
        view = self.catalog.view(session)
        query = analyze(statement.node, view, param_types, source, lifted, session)
        planned = plan(query, view, session.settings)
        if not planned.read_only and session.txn is not None and session.txn.read_only:
            raise ReadOnlySqlTransaction(f"cannot execute {planned.command.upper()} in a read-only transaction")
        return build(planned, view), set(planned.kept_literals)

    def explain(
        self, session: Any, statement: RawStatement, options: dict[str, Any], param_types: list[int], source: str
    ) -> list[str]:
        """The lines of EXPLAIN."""
        view = self.catalog.view(session)
        query = analyze(statement.node, view, param_types, source, None, session)
        planned = plan(query, view, session.settings)
        return explain_module.explain(planned, view, options, self.begin_statement(session))

    def copy_target(self, session: Any, txn: Any, relation: Any, columns: list[str] | None) -> CopyTarget:
        """Open a relation for COPY FROM."""
        return CopyTarget.open(self.begin_statement(session), self.catalog.view(session), relation, columns)

    def session_function(self, session: Any, name: str, *args: Any) -> Any:
        """What sessions and functions ask by name."""
        own = getattr(self, f"_function_{name}", None)
        if own is not None:
            return own(session, *args)
        return catalog_functions.call(self, session, name, *args)

    def _function_check_database(self, session: Any, name: str) -> None:
        if self.catalog.database(name) is None:
            raise InvalidCatalogName(f'database "{name}" does not exist', severity="FATAL")

    def _function_find_role(self, session: Any, name: str) -> Any:
        return self.catalog.role(name)

    def _function_current_xid(self, session: Any, assign: bool) -> int | None:
        txn = session.txn
        if txn.levels[0].xid == 0 and assign:
            self.txns.assign(txn)
        return int(txn.levels[0].xid) or None

    def _function_wal_lsn(self, session: Any) -> int:
        return int(self.storage.log.next_lsn)

    def _function_aurora_status(self, session: Any) -> str:
        return json.dumps(self._status())
