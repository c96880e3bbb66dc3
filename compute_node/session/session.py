"""One client's SQL side: its messages, its transaction, its settings, its output of the current turn.

``process`` runs in a greenlet from the connection's data callback, straight to the end of the complete messages at
hand. It starts with the packet that prepared statements come as (Bind, Describe, Execute, Sync), decoded by a kernel
in one go and run without the general machinery; everything that the fast way is not sure about goes the general way.

Output gathers in ``out`` and leaves at the end of the turn. ``gated`` says that it holds a row, an error or a
transaction's end; then the connection holds it back until ``dep_lsn`` is durable (design, wall 5). An idle session
owns no greenlet and no buffer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC
from typing import Any, Protocol

import greenlet

from aurora.errors import InFailedSqlTransaction, InsufficientPrivilege, InternalError, QueryCanceled, SqlError
from aurora.kernels import wire as wire_kernel
from compute_node.hub import HUB
from compute_node.protocol import messages
from compute_node.session import transactions
from compute_node.session.engine import Engine
from compute_node.session.plans import PlanCache, plan_depends_on
from compute_node.session.portals import Portal
from compute_node.session.prepared import Prepared
from compute_node.session.settings import (
    GUARDED,
    REPORTED,
    Setting,
    Settings,
    SettingValue,
    define_or_raise,
    show_value,
    zone_for,
)
from compute_node.session.statement import Statement
from compute_node.types.registry import PgType, TypeEnv

LOGGER = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 1 << 30
READY = (messages.READY_IDLE, messages.READY_IN_BLOCK, messages.READY_FAILED)
_SELECTED = tuple(messages.command_complete("SELECT", count) for count in range(128))
_NOTICE_ORDER = {"debug5": 0, "debug4": 1, "debug3": 2, "debug2": 3, "debug1": 4, "log": 5, "notice": 6, "warning": 7}


class Disconnected(BaseException):
    """The client has gone while its session waited. Not an Exception: nothing on the way may take it for an error."""


class Port(Protocol):
    """What a session uses of its connection. ``data`` from ``position`` on is input that is not yet consumed."""

    data: bytes
    position: int

    def flush(self) -> None:
        """Send what the session has put out so far; waits when the client does not read."""

    def next_message(self) -> tuple[int, bytes]:
        """The next message (type, payload); waits for it. Raises Disconnected."""

    def close(self) -> None:
        """Close after the output."""


class Session:
    """One connection's session. ``clock`` gives µs since 2000-01-01 UTC."""

    __slots__ = (
        "__weakref__",
        "application_name",
        "backend_start",
        "block",
        "client_address",
        "client_port",
        "clock",
        "commit_at_once",
        "database",
        "default_deferrable",
        "default_isolation",
        "default_read_only",
        "dep_lsn",
        "engine",
        "env",
        "extra",
        "free_lsn",
        "gated",
        "greenlet",
        "guarded",
        "held_lsn",
        "idle_in_txn_timeout_ms",
        "idle_timeout_ms",
        "interrupt_error",
        "lift_literals",
        "lock_timeout_ms",
        "lock_waiter",
        "login_superuser",
        "notice_level",
        "out",
        "pid",
        "pipelined",
        "plain_defaults",
        "plans",
        "point_context",
        "port",
        "portals",
        "query",
        "query_start",
        "registry",
        "retired_txn",
        "role_oid",
        "savepoints",
        "secret",
        "session_oid",
        "session_user",
        "settings",
        "several_statements",
        "skipping",
        "space",
        "state_change",
        "statement_timeout_ms",
        "statements",
        "statements_in_txn",
        "status_changes",
        "superuser",
        "sync_commit",
        "terminating",
        "timer",
        "txn",
        "user",
        "user_oid",
        "xact_start",
    )  # fmt: skip

    def __init__(
        self,
        engine: Engine,
        port: Port,
        plans: PlanCache,
        clock: Callable[[], int],
        user: str,
        database: str,
        superuser: bool,
        base_settings: dict[str, SettingValue],
        pid: int = 0,
        secret: int = 0,
        role_oid: int = 10,
        registry: Any = None,
    ) -> None:
        self.engine, self.port, self.plans, self.clock = engine, port, plans, clock
        self.user = self.session_user = user
        self.database, self.superuser, self.role_oid = database, superuser, role_oid
        self.user_oid = self.session_oid = role_oid
        """the current user's role and the session user's; ``role_oid`` is the one that logged in"""
        self.login_superuser = superuser
        self.pid, self.secret, self.registry = pid, secret, registry
        self.client_address: str | None = None
        self.client_port = -1
        self.out: list[bytes] = []
        self.gated = False
        self.dep_lsn = 0
        self.free_lsn = self.held_lsn = 0
        self.block = transactions.IDLE
        self.txn: Any = None
        self.retired_txn: Any = None
        """a transaction that has ended without a trace and can begin again"""
        self.point_context: Any = None
        """the context of point statements, used again and again"""
        self.savepoints: list[tuple[str, int]] | None = None
        self.statements_in_txn = 0
        self.several_statements = False
        """the simple query that runs has several statements, and so an implicit transaction block"""
        self.pipelined = False
        """an Execute has ended since the last Sync"""
        self.commit_at_once = False
        self.skipping = False
        self.statements: dict[bytes, Prepared] = {}
        self.portals: dict[bytes, Portal] = {}
        self.extra: dict[str, Any] | None = None
        """per-session state of other stages (temporary objects, sequences' currval, …)"""
        self.greenlet: greenlet.greenlet | None = None
        self.interrupt_error: SqlError | Disconnected | None = None
        self.lock_waiter: Any = None
        """what the lock manager has this session wait on; its own"""
        self.terminating = False
        self.timer: Any = None
        self.query = ""
        now = clock()
        self.backend_start = self.query_start = self.state_change = now
        self.xact_start = 0
        self.application_name = ""
        self.env = TypeEnv(timezone=UTC, lookup=self.catalog_function)
        self.status_changes: dict[str, str] | None = None
        self.statement_timeout_ms = self.lock_timeout_ms = 0
        self.idle_timeout_ms = self.idle_in_txn_timeout_ms = 0
        self.guarded = False
        self.sync_commit = True
        self.lift_literals = True
        self.notice_level = 6
        self.plain_defaults, self.default_isolation = True, "read committed"
        self.default_read_only = self.default_deferrable = False
        self.settings = Settings(base_settings, superuser, self._setting_changed, self._permit_setting)
        for name in base_settings:
            self._setting_changed(define_or_raise(name).name, base_settings[name])
        self.settings.force("session_authorization", user)
        self.settings.force("is_superuser", superuser)
        self.settings.force("in_hot_standby", engine.in_recovery)
        self.status_changes = None
        self.space = plans.space(self._environment())

    # ---- the turn ----

    def process(self) -> None:
        """Run every complete message of the port's input. Raises ProtocolViolation for bytes that are no message, and
        Disconnected."""
        self.greenlet = greenlet.getcurrent()
        port = self.port
        match_point, next_message = wire_kernel.match_point, wire_kernel.next_message
        while True:
            data, at = port.data, port.position
            if at >= len(data):
                return
            if data[at] == 66 and not self.skipping:
                packet = match_point(data, at, self.statements)
                if packet is not None and self._run_point(packet):
                    port.position = packet[4]
                    continue
            try:
                found = next_message(data, at, MAX_MESSAGE_BYTES)
            except ValueError:
                raise messages.malformed("invalid message length") from None
            if found is None:
                return
            kind, start, end = found
            port.position = end
            if not self._dispatch(kind, data, start, end):
                return

    def _dispatch(self, kind: int, data: bytes, start: int, end: int) -> bool:
        """One message the general way; False ends the session."""
        if kind == 88:
            self.port.close()
            return False
        if self.skipping and kind != 83:
            return True
        try:
            if kind == 83:
                if start != end:
                    raise messages.malformed()
                self.sync()
            elif kind == 81:
                simple.query(self, messages.read_string(data, start, end))
            else:
                handler = extended.HANDLERS.get(kind)
                if handler is None:
                    raise messages.malformed(f"invalid frontend message type {kind}")
                if self.guarded:
                    # From the first message of a sequence to the end of its Execute.
                    self.arm_timeout()
                handler(self, data, start, end)
        except Exception as error:
            self.disarm_timeout()
            self.fail(error)
            if kind == 81 or kind == 83:
                self.skipping = False
                self.ready()
            else:
                self.skipping = True
        return not self.terminating

    def _run_point(self, packet: tuple[Any, tuple[Any, ...], bytes, bool, int]) -> bool:
        """Bind, Describe, Execute, Sync at once; False leaves them to the general way."""
        prepared, params, formats, described, _ = packet
        plan: Statement | None = prepared.statement
        engine = self.engine
        out = self.out
        if plan is None:
            return False
        if plan.fast is not None:
            if self.status_changes or self.guarded or len(formats) > 2:
                return False
            self.plans.statements += 1
            out.append(messages.BIND_COMPLETE_NO_DATA if described else messages.BIND_COMPLETE)
            try:
                out.append(plan.fast(self))
            except Exception as error:
                self.fail(error)
            out.append(READY[self.block])
            return True
        point = plan.point
        if (
            point is None
            or plan.version != engine.catalog.version
            or self.block == 2
            or self.guarded
            or (self.txn is not None and self.txn.catalog_changed)
        ):
            return False
        columns = plan.columns
        result = None
        if columns is not None:
            # The general way makes the format and any error of it; from then on it is here.
            result = plan.formats.get(formats)
            if result is None:
                return False
        self.query = plan.source
        self.query_start = self.env.statement_timestamp = self.clock()
        try:
            txn = self.txn
            if txn is None:
                txn = transactions.ensure(self)
            if plan.writes and txn.read_only:
                return False
            if plan.locks not in txn.weak_locks and not engine.lock_relations(self, plan.locks):
                return False
            self.statements_in_txn += 1
            self.plans.statements += 1
            context = self.point_context
            if context is None:
                context = self.point_context = engine.begin_statement(self)
            else:
                context.txn, context.snapshot = txn, engine.snapshot(txn)
            if result is None:
                out.append(messages.BIND_COMPLETE_NO_DATA if described else messages.BIND_COMPLETE)
                count = point(context, params)
                out.append(messages.command_complete(plan.tag, count))
            else:
                out.append(result.bound_described if described else messages.BIND_COMPLETE)
                rows = point(context, params)
                count = len(rows)
                if count:
                    self.gated = True
                    out.append(wire_kernel.encode_rows(rows, result.codes, result.converters, self.env))
                if count < 128 and plan.tag == "SELECT":
                    out.append(_SELECTED[count])
                else:
                    out.append(messages.command_complete(plan.tag, count))
            if self.block == 0:
                transactions.commit(self)
        except Exception as error:
            self.fail(error)
        if self.status_changes:
            self._report_status()
        out.append(READY[self.block])
        return True

    def sync(self) -> None:
        """End of an extended-query sequence: commit what is not in a block, then say ready."""
        self.skipping = False
        self.disarm_timeout()
        if self.block == transactions.IDLE and self.txn is not None:
            transactions.commit(self)
        self.ready()

    def ready(self) -> None:
        """ReadyForQuery, after reports of changed settings."""
        if self.status_changes:
            self._report_status()
        self.several_statements = self.pipelined = self.commit_at_once = False
        self.out.append(READY[self.block])
        self.state_change = self.clock()

    def fail(self, error: Exception) -> None:
        """Answer an error, and fail or end the transaction."""
        if isinstance(error, SqlError):
            reported = error
        elif isinstance(error, RecursionError):
            reported = SqlError("stack depth limit exceeded")
        else:
            LOGGER.error("internal error in a session", exc_info=error, extra={"query": self.query})
            reported = InternalError(f"internal error: {type(error).__name__}: {error}")
        self.interrupt_error = None
        self.gated = True
        # The transaction ends first: what it still waits for must not hold up the others.
        try:
            transactions.statement_failed(self)
        except Exception as second:
            LOGGER.exception("rollback failed")
            self.terminating = True
            reported = InternalError(f"could not roll back: {second}", severity="FATAL")
            self.txn, self.block = None, transactions.IDLE
        self.out.append(messages.error_response(reported))
        if reported.severity in ("FATAL", "PANIC"):
            self.terminating = True
            self.port.close()

    def failed_block(self) -> SqlError:
        """25P02."""
        return InFailedSqlTransaction("current transaction is aborted, commands ignored until end of transaction block")

    # ---- statements ----

    def begin_statement(self, source: str) -> Any:
        """Book-keeping at the start of a statement: its transaction, times, the engine's context."""
        self.query = source
        self.query_start = self.env.statement_timestamp = self.clock()
        transactions.ensure(self)
        self.statements_in_txn += 1
        self.plans.statements += 1
        return self.engine.begin_statement(self)

    def notice(self, notice: SqlError, severity: str = "NOTICE") -> None:
        """Send a notice or warning, if client_min_messages lets it through."""
        if _NOTICE_ORDER.get(severity.lower(), 7) >= self.notice_level:
            self.out.append(messages.notice_response(notice, severity))

    def check_interrupts(self) -> None:
        """Raise what a cancel, timeout or shutdown has left for this session; called at batch boundaries."""
        error = self.interrupt_error
        if error is not None:
            self.interrupt_error = None
            raise error

    @property
    def cancel_requested(self) -> bool:
        """What the executor asks at batch boundaries; raises here, so that a timeout or shutdown keeps its own
        error."""
        self.check_interrupts()
        return False

    def interrupt(self, error: SqlError | Disconnected) -> None:
        """Make the running statement end with ``error``: at once if it waits, else at its next batch boundary."""
        self.interrupt_error = error
        if self.greenlet is not None and HUB.interrupt(self.greenlet, error):
            self.interrupt_error = None

    def arm_timeout(self) -> None:
        """Start statement_timeout for a statement."""
        if self.statement_timeout_ms and self.timer is None:
            self.timer = HUB.loop.call_later(self.statement_timeout_ms / 1000, self._timed_out)

    def disarm_timeout(self) -> None:
        """Stop statement_timeout."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _timed_out(self) -> None:
        self.timer = None
        self.interrupt(QueryCanceled("canceling statement due to statement timeout"))

    def add_portal(self, portal: Portal) -> None:
        """Open a portal; an unnamed one replaces the last."""
        name = portal.name.encode()
        self.drop_portal(name)
        portal.level = len(self.savepoints or ())
        self.portals[name] = portal

    def drop_portal(self, name: bytes) -> None:
        """Close one, if it is there."""
        portal = self.portals.pop(name, None)
        if portal is not None:
            portal.close()

    def drop_portals(self, level: int = 0) -> None:
        """Close those that were opened with at least so many savepoints, except those that their transaction left."""
        for name, portal in list(self.portals.items()):
            if portal.level >= level and not (portal.held and level):
                self.drop_portal(name)

    def close_portals(self, committed: bool) -> None:
        """At a transaction's end: portals end; cursors WITH HOLD of a committed transaction stay, materialized
        before."""
        for name, portal in list(self.portals.items()):
            if not (portal.held or (committed and portal.hold_rows(self))):
                self.drop_portal(name)

    def end_of_execute(self) -> None:
        """After an Execute: what must be alone in its transaction is committed at once, all else with Sync."""
        if self.commit_at_once:
            self.commit_at_once = False
            if self.block == transactions.IDLE:
                transactions.commit(self)
        else:
            self.pipelined = True

    def characteristics(self) -> tuple[str, bool, bool]:
        """(isolation, read only, deferrable) of the transaction, or those that the next would have."""
        if self.txn is None:
            return self.default_isolation, self.default_read_only, self.default_deferrable
        return self.txn.isolation, self.txn.read_only, False

    def disconnect(self) -> None:
        """The client is gone and nothing of the session runs: give everything back."""
        self.terminating = True
        self.disarm_timeout()
        self.drop_portals()
        self.statements.clear()
        transactions.abort(self)
        self.engine.end_session(self)

    @property
    def gate_lsn(self) -> int:
        """The LSN that must be durable before rows, errors and transaction ends go out: ``dep_lsn``, unless that is
        this session's own commit with synchronous_commit = off; then what it depended on before."""
        return self.held_lsn if self.dep_lsn == self.free_lsn else self.dep_lsn

    @property
    def state(self) -> str:
        """pg_stat_activity.state between statements."""
        return ("idle", "idle in transaction", "idle in transaction (aborted)")[self.block]

    # ---- settings ----

    def _environment(self) -> tuple[Any, ...]:
        """What analysis depends on; equal environments share plans."""
        changed = self.settings.overridden()
        relevant = tuple(sorted((k, v) for k, v in changed.items() if plan_depends_on(define_or_raise(k).name)))
        return (self.user, self.database, relevant)

    def _report_status(self) -> None:
        for name, text in (self.status_changes or {}).items():
            self.out.append(messages.parameter_status(name, text))
        self.status_changes = None

    def _setting_changed(self, name: str, value: SettingValue) -> None:
        env = self.env
        if name in REPORTED:
            if self.status_changes is None:
                self.status_changes = {}
            self.status_changes[name] = show_value(define_or_raise(name), value)
        if name == "TimeZone":
            zone = zone_for(str(value))
            if zone is not None:
                env.timezone, env.timezone_name = zone, str(value)
        elif name == "DateStyle":
            env.datestyle = str(value)
        elif name == "IntervalStyle":
            env.intervalstyle = str(value)
        elif name == "extra_float_digits":
            env.extra_float_digits = int(value)
        elif name == "bytea_output":
            env.bytea_output = str(value)
        elif name == "synchronous_commit":
            self.sync_commit = value != "off"
        elif name == "statement_timeout":
            self.statement_timeout_ms = int(value)
            self.guarded = bool(value)
        elif name == "lock_timeout":
            self.lock_timeout_ms = int(value)
        elif name == "idle_session_timeout":
            self.idle_timeout_ms = int(value)
        elif name == "idle_in_transaction_session_timeout":
            self.idle_in_txn_timeout_ms = int(value)
        elif name in ("aurora.lift_literals", "standard_conforming_strings"):
            get = self.settings.get if hasattr(self, "settings") else (lambda _: True)
            self.lift_literals = bool(get("aurora.lift_literals")) and bool(get("standard_conforming_strings"))
        elif name == "client_min_messages":
            self.notice_level = _NOTICE_ORDER.get(str(value), 8)
        elif name == "application_name":
            self.application_name = str(value)
        elif name in GUARDED:
            self._identity_changed(name, str(value))
        elif name.startswith("default_transaction_"):
            if name == "default_transaction_isolation":
                self.default_isolation = str(value)
            elif name == "default_transaction_read_only":
                self.default_read_only = bool(value)
            else:
                self.default_deferrable = bool(value)
            self.plain_defaults = (
                self.default_isolation == "read committed"
                and not self.default_read_only
                and not self.default_deferrable
            )
        if plan_depends_on(name) and hasattr(self, "space"):
            self.space = self.plans.space(self._environment())

    def _permit_setting(self, setting: Setting, value: SettingValue) -> None:
        """Whether the session may change a setting that depends on who asks; 42501, 22023."""
        if setting.name in GUARDED:
            if setting.name == "session_authorization" or value != "none":
                self.engine.session_function(self, "check_identity", setting.name, str(value))
        elif not self.engine.session_function(self, "role_is_superuser", self.user_oid):
            raise InsufficientPrivilege(f'permission denied to set parameter "{setting.name}"')

    def _identity_changed(self, name: str, value: str) -> None:
        """SET ROLE and SET SESSION AUTHORIZATION: the rights are those of the new current user, and no statement that
        was prepared keeps those of the old one."""
        if not hasattr(self, "space"):
            # Still being made: whoever connects says what it is.
            return
        before = self.user_oid
        if name == "session_authorization":
            self.session_user, self.session_oid = value, self._role_of(value)
        if name == "session_authorization" or value == "none":
            self.user, self.user_oid = self.session_user, self.session_oid
        else:
            self.user, self.user_oid = value, self._role_of(value)
        if self.user_oid != before:
            for prepared in self.statements.values():
                if prepared.statement is not None:
                    prepared.statement = prepared.statement.outdated()
        superuser = bool(self.engine.session_function(self, "role_is_superuser", self.user_oid))
        if superuser != self.superuser:
            self.superuser = self.settings.superuser = superuser
            self.settings.force("is_superuser", superuser)

    def _role_of(self, name: str) -> int:
        """A role's OID, 0 for one that has been dropped; the log-in role's name may have been another one."""
        if name == self.settings.default("session_authorization"):
            return self.role_oid
        return int(self.engine.session_function(self, "find_role", name) or 0)

    # ---- what functions see of the session (types.registry.SessionView) ----

    def get_setting(self, name: str, missing_ok: bool) -> str | None:
        """current_setting."""
        return setting_statements.show(self, name, missing_ok)

    def set_setting(self, name: str, value: str | None, is_local: bool) -> str:
        """set_config."""
        setting_statements.assign(self, name, value, is_local)
        return setting_statements.show(self, name, False) or ""

    def catalog_function(self, name: str, *args: Any) -> Any:
        """A function that the catalog answers."""
        return self.engine.session_function(self, name, *args)

    def search_path_schemas(self, include_implicit: bool) -> list[str]:
        """current_schemas."""
        found: list[str] = self.engine.session_function(self, "search_path_schemas", include_implicit)
        return found

    def type_of(self, oid: int) -> PgType:
        """A type by OID, as this session's catalog has it; raises 42704."""
        kind: PgType = self.engine.catalog.view(self).type(oid)
        return kind

    def current_xid(self, assign: bool) -> int | None:
        """The transaction's xid."""
        found: int | None = self.engine.session_function(self, "current_xid", assign)
        return found

    def wal_lsn(self) -> int:
        """The end of the log."""
        return int(self.engine.session_function(self, "wal_lsn"))

    def sleep(self, seconds: float) -> None:
        """pg_sleep."""
        HUB.sleep(seconds)
        self.check_interrupts()

    def signal_backend(self, pid: int, terminate: bool) -> bool:
        """pg_cancel_backend and pg_terminate_backend."""
        return bool(self.engine.session_function(self, "signal_backend", pid, terminate))


# At the end: these modules are written against Session, and Session calls them.
from compute_node.session import extended, setting_statements, simple  # noqa: E402
