"""One instance of the database: the stages put together behind what a session asks for (``session/engine.py``).

statement → analyze → plan → build → run in a context with transaction and snapshot → access methods → log. The engine
owns nothing that a restart could miss: everything here is cache.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import greenlet
from pglast import ast

from aurora.datum import Datum
from aurora.errors import (
    InsufficientPrivilege,
    InvariantViolation,
    NotSupported,
    UndefinedTable,
    WrongObjectType,
)
from compute_node.access.storage import Storage
from compute_node.catalog.cache import Catalog
from compute_node.catalog.databases import Databases
from compute_node.catalog.ddl import Ddl
from compute_node.catalog.ddl.sequence import Sequences
from compute_node.catalog.functions import advisory, catalog_function
from compute_node.catalog.functions.information import flags_of
from compute_node.catalog.permissions import check_required
from compute_node.catalog.published_changes import refused_change
from compute_node.catalog.view import CatalogView, Trace, still_true
from compute_node.exec.context import ExecContext
from compute_node.exec.copy_target import CopyTarget, input_columns
from compute_node.exec.executable import Executable
from compute_node.exec.explain import Explanation, SeveralExplanations
from compute_node.exec.explain.instrument import timed
from compute_node.exec.row_expressions import RowExpressions
from compute_node.exec.several import executable_of
from compute_node.exec.statement_locks import statement_locks
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.relations.foreign import refuse_changes
from compute_node.relations.schema import INITIAL, ROLE_POSTGRES, SystemCatalogs
from compute_node.session import foreign_files, read_only
from compute_node.session.exported_snapshots import ExportedSnapshots
from compute_node.session.notifications import Channels
from compute_node.session.read_after import LsnWaits
from compute_node.session.settings import DEFINITIONS, show_value
from compute_node.session.state import SessionState
from compute_node.sql.analyze import analyze
from compute_node.sql.analyze.dml import refuse_catalog
from compute_node.sql.analyze.routines import RoutineBody
from compute_node.sql.analyze.row_addresses import add_addresses
from compute_node.sql.analyze.stored import default_of
from compute_node.sql.expressions import Expr
from compute_node.sql.parse import RawStatement
from compute_node.sql.plan import Addressed, PlannedStmt
from compute_node.sql.planner import combined, plan
from compute_node.sql.planner.changed_rows import checks, copy_condition, generated
from compute_node.sql.planner.routes import route_of
from compute_node.sql.required import RelationAccess, Required
from compute_node.sql.rewriter import Rewritten, rewrite
from compute_node.sql.rewriter.policies import affected
from compute_node.txn.locks import ROW_EXCLUSIVE, WeakLocks
from compute_node.txn.transaction import Txn
from compute_node.types.acl import INSERT
from compute_node.volume.commands import FleetCommands

if TYPE_CHECKING:
    from aurora.documents import JsonObject
    from aurora.kernels.python.clog import Snapshot
    from compute_node.catalog.engine import DatabaseEngine
    from compute_node.replica.topology import TopologySource
    from compute_node.session.engine import OptionValue
    from compute_node.session.forwarding import Forwarder
    from compute_node.sql.planner.values import KnownValues

foreign_files.declare()


class Told(NamedTuple):
    """What the catalog has told of the objects that a plan names: the plan is valid as long as it would be told the
    same, along the same search path."""

    path: tuple[tuple[str, int], ...]
    answers: Trace


class Engine:
    """``storage`` is open on the volume; ``status`` gives what ``aurora status`` shows of this instance,
    ``start_time_us`` is in µs since 2000-01-01 UTC."""

    def __init__(
        self,
        storage: Storage,
        status: Callable[[], JsonObject],
        start_time_us: int = 0,
        fleet: FleetCommands | None = None,
        catalogs: SystemCatalogs = INITIAL,
    ) -> None:
        self.storage = storage
        self.volume = storage.volume
        self.txns = storage.txns
        self.recovery = storage.txns.recovery
        self._locks = storage.locks
        self.catalog = Catalog(storage, catalogs)
        self.sequences = Sequences(storage, catalogs)
        self.channels = Channels()
        self.database_oid = catalogs.database
        self.counts = storage.counts.open_database(catalogs.database)
        self.lsn_waits = LsnWaits()
        self.exported_snapshots = ExportedSnapshots()
        self.ddl = Ddl(self)
        self.databases: Databases
        """those of the volume; set by ``Databases``"""
        self.start_time_us = start_time_us
        self._status = status
        self._fleet = fleet
        self.snapshot = storage.txns.snapshot
        self.row_expressions = RowExpressions(
            storage, self._neutral_view, self._running_session, partial(self.session_function, None)
        )
        storage.compile_row_expression = self.row_expressions.compile
        storage.compile_comparison = self.row_expressions.comparison

    @property
    def in_recovery(self) -> bool:
        """Whether this instance is a reader; it may change while sessions live (``Recovery.set``)."""
        return self.recovery.active

    @in_recovery.setter
    def in_recovery(self, active: bool) -> None:
        self.recovery.set(active)

    @property
    def topology(self) -> TopologySource:
        """The instances of the cluster; setting it is for all databases of this one."""
        return self.databases.topology

    @topology.setter
    def topology(self, source: TopologySource) -> None:
        self.databases.topology = source

    @property
    def forwarder(self) -> Forwarder | None:
        """See ``session.engine.Engine``."""
        return self.databases.forwarder

    def _running_session(self) -> Any:
        """Whose statement the running greenlet is; None for what the instance does by itself."""
        running = greenlet.getcurrent()
        return next((each for each in self.databases.sessions() if each.greenlet is running), None)

    def _neutral_view(self) -> CatalogView:
        """The committed catalog as no session in particular sees it."""
        return self.catalog.make_view(self.catalog.shared(), "", "postgres", ROLE_POSTGRES)

    def end_session(self, session: SessionState) -> None:
        """The client is gone and its transaction ended: drop the session's temporary relations, release its locks."""
        advisory.end_session(self, session)
        if session.temp_schema is None:
            return
        txn = session.txn = self.txns.begin(session=session)
        try:
            self.ddl.end_session(session, txn)
            self.txns.commit(txn)
        finally:
            session.txn = None
            self.txns.abort(txn)

    def connecting(self, database: str, role: int, superuser: bool) -> AbstractContextManager[DatabaseEngine]:
        """See ``session.engine.Engine.connecting``."""
        return self.databases.connecting(database, role, superuser)

    def begin_statement(self, session: SessionState, snapshot: Snapshot | None = None) -> ExecContext:
        """The context of the session's next statement, with that snapshot or one of now."""
        txn = session.txn
        if txn is None:
            raise InvariantViolation("a statement without a transaction")
        reading = self.snapshot(txn) if snapshot is None else snapshot
        # Every session is a FunctionView; its base alone does not know.
        running: Any = session
        return ExecContext(running, txn, reading, session.env, self.storage)

    def lock_relations(self, session: SessionState, locks: WeakLocks) -> bool:
        """Take a statement's relation locks for the session's transaction; may wait. False: the catalog has changed
        meanwhile, so its plan must be made again. Errors: 40P01, 55P03, 57014."""
        txn = session.txn
        if txn is None:
            raise InvariantViolation("relation locks without a transaction")
        if not self._locks.strong:
            # What take_weak would do, without a wait in it.
            txn.weak_locks.add(locks)
            return True
        version = self.catalog.version
        self._locks.take_weak(txn, locks)
        if self.catalog.version == version:
            return True
        if txn.catalog_changed and txn.catalog is not None:
            txn.catalog.touch()  # its own layer stands on the shared one of before
        return False

    def _plan(
        self,
        node: ast.Node,
        session: SessionState,
        param_types: list[int],
        source: str,
        lifted: dict[int, int] | None,
        routine: RoutineBody | None = None,
        addressed: bool = False,
        values: KnownValues | None = None,
    ) -> tuple[PlannedStmt, CatalogView]:
        given = list(param_types)
        slots, decisive = lifted or {}, set[int]()
        while True:
            version = self.catalog.version
            view = self.catalog.view(session).traced()
            if routine is not None and routine.stored:
                view = view.of_stored_text()
            query = analyze(node, view, param_types, source, slots, session, routine=routine)
            tables: tuple[Addressed, ...] = ()
            if addressed:
                query, tables = add_addresses(view, query)
            trusted = routine is not None and routine.trusted
            made = Rewritten((query,), 0, "") if trusted else rewrite(query, view, session)
            steps = [plan(each, view, session.settings, session, values) for each in made.queries]
            planned = combined(query, steps, made.main, made.shape) if made.shape else steps[0]
            planned.addressed = tables
            if found := {offset for offset, slot in slots.items() if slot in planned.decisive_slots}:
                # Their values decide whether an index can be used: they stay literals.
                decisive |= found
                slots = {offset: slot for offset, slot in slots.items() if offset not in found}
                param_types[:] = given
                continue
            planned.kept_literals |= decisive
            if self.in_recovery:
                _refuse_unreadable(planned, view)
            if session.txn is None or (
                self.lock_relations(session, statement_locks(planned, view)) and self.catalog.version == version
            ):
                return planned, view
            param_types[:] = given

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
        """Analyze, plan and build; see ``session.engine.Engine.compile``."""
        planned, view = self._plan(
            statement.node, session, param_types, source, lifted, routine, statement.addressed, values
        )
        executable = executable_of(planned, view, param_types)
        refused = refused_change(planned, view)
        executable.told = Told(view.path, dict(view.trace or {}))
        try:
            if routine is None or not routine.trusted:
                check_required(view, session.user_oid, planned.privileges)
        except InsufficientPrivilege as error:
            # The plan may be made (PREPARE, Parse) and described; it is not run.
            refused = error
        if refused is not None:
            executable.refuse(refused)
        return executable, set(planned.kept_literals)

    def still_valid(self, session: SessionState, executable: Executable) -> bool:
        """See ``session.engine.Engine.still_valid``."""
        told = executable.told
        if executable.refused is not None or not isinstance(told, Told):
            return False
        while True:
            view = self.catalog.view(session)
            if told.path != view.path or not still_true(view.layer, told.answers):
                return False
            if self.catalog.layer(session) is view.layer:
                break
        try:
            check_required(view, session.user_oid, executable.planned.privileges)
        except InsufficientPrivilege:
            return False
        return True

    def explain(
        self,
        session: SessionState,
        statement: RawStatement,
        options: Mapping[str, OptionValue],
        param_types: list[int],
        source: str,
        values: KnownValues | None = None,
    ) -> Explanation | SeveralExplanations:
        """A statement to be explained, and with ANALYZE to be run."""
        (planned, view), planning_s = timed(
            lambda: self._plan(statement.node, session, param_types, source, None, values=values)
        )
        check_required(view, session.user_oid, planned.privileges)
        if (refused := refused_change(planned, view)) is not None:
            raise refused
        shown = SeveralExplanations if planned.shape else Explanation
        return shown(planned, options, view, session.env, planning_s, self._changed_settings(session))

    @staticmethod
    def _changed_settings(session: SessionState) -> dict[str, str]:
        """The settings that EXPLAIN's SETTINGS shows: those that planning depends on and that were changed, by name."""
        found = {}
        for key, value in sorted(session.settings.overridden().items()):
            setting = DEFINITIONS[key]
            if "EXPLAIN" in flags_of(setting.name) and value != setting.boot:
                found[setting.name] = show_value(setting, value)
        return found

    def copy_target(
        self,
        session: SessionState,
        txn: Txn,
        relation: ast.RangeVar,
        columns: list[str] | None,
        where: ast.Node | None = None,
    ) -> CopyTarget:
        """Open a relation for COPY FROM: locked, with the defaults of the columns that the input lacks. ``where``: of
        the session's statement. Errors: 42P01, 42809.
        """
        view = self.catalog.view(session)
        desc = view.find_relation(relation.schemaname, relation.relname)
        if desc is None:
            raise UndefinedTable(f'relation "{relation.relname}" does not exist')
        refuse_changes(desc, "insert into")
        if desc.kind not in "rp":
            hint = "To enable copying to a view, provide an INSTEAD OF INSERT trigger." if desc.kind == "v" else None
            noun = desc.noun
            if noun in ("index", "composite type"):
                raise WrongObjectType(f'"{desc.name}" is {"an" if noun == "index" else "a"} {noun}')
            what = "non-table relation" if desc.kind == "t" else noun
            raise WrongObjectType(f'cannot copy to {what} "{desc.name}"', hint=hint)
        written = [column.attno for column in input_columns(desc, columns)]
        access = RelationAccess(desc, INSERT, inserted=frozenset(written))
        check_required(view, session.user_oid, Required((access,)))
        refuse_catalog(desc)
        if view.policies_hold(desc, session.user_oid):
            if session.settings.show("row_security") == "off":
                raise affected(view, desc, session.user_oid)
            raise NotSupported("COPY FROM not supported with row-level security", hint="Use INSERT statements instead.")
        if txn.read_only and desc.persistence != "t":
            raise read_only.refused("COPY FROM")
        self.storage.locks.lock_relation(txn, desc.lock_id, ROW_EXCLUSIVE, desc.name)
        view = self.catalog.view(session)
        if view.find_relation(relation.schemaname, relation.relname) is not desc:
            # Changed, or dropped, while this waited for the lock.
            return self.copy_target(session, txn, relation, columns, where)
        route = route_of(view, desc, checks, generated)
        for leaf in () if route is None else route.leaves():
            self.storage.locks.lock_relation(txn, leaf.relation.lock_id, ROW_EXCLUSIVE, leaf.relation.name)
        if self.catalog.view(session).find_relation(relation.schemaname, relation.relname) is not desc:
            return self.copy_target(session, txn, relation, columns, where)
        condition = None if where is None else copy_condition(view, desc, where, session.query, session)
        context = self.begin_statement(session)
        return CopyTarget(
            context,
            view,
            desc,
            columns,
            self._defaults(session, view, desc, columns),
            checks(view, desc),
            generated(view, desc),
            condition,
            route,
        )

    @staticmethod
    def _defaults(
        session: SessionState, view: CatalogView, desc: RelationDesc, columns: list[str] | None
    ) -> dict[int, Expr]:
        given = {column.attno for column in input_columns(desc, columns)}
        return {
            column.attno: default_of(view, column, session)
            for column in desc.columns
            if column.attno not in given and not (column.dropped or column.generated) and _has_default(view, column)
        }

    def session_function(self, session: SessionState | None, name: str, *args: Datum) -> Datum:
        """What sessions and functions ask by name."""
        if name == "aurora_status":
            return json.dumps(self._status())
        if session is not None and self._fleet is not None and name in self._fleet:
            return self._fleet.call(session, name, *args)
        return catalog_function(self, session, name, *args)


def _refuse_unreadable(planned: PlannedStmt, view: CatalogView) -> None:
    """0A000 on a reader for temporary tables: they are their session's, on the writer."""
    for oid in planned.relations:
        desc = view.relation(oid)
        if desc is not None and desc.persistence == "t":
            raise NotSupported("cannot access temporary or unlogged relations during recovery")


def _has_default(view: CatalogView, column: ColumnDesc) -> bool:
    """Its own, or its domain's."""
    domain = view.type(column.type).domain
    return column.has_default or (domain is not None and domain.default is not None)
