"""``SessionState``: what one session is made of. Data, and the few operations that keep parts of it in step.

``turn`` runs the client's messages over it, ``transactions`` its transaction block, ``settings_effects`` brings changed
settings into it; ``view`` is what SQL functions see of it, ``session`` the whole. An idle session owns no greenlet and
no buffer.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from datetime import UTC
from typing import TYPE_CHECKING, Protocol

import greenlet

from aurora.datum import Datum, Row
from aurora.errors import InFailedSqlTransaction, InsufficientPrivilege, QueryCanceled, SqlError
from aurora.ids import NO_LSN
from compute_node.exec.context import ExecContext
from compute_node.hub import HUB
from compute_node.protocol import messages
from compute_node.session import settings_effects
from compute_node.session.engine import Engine
from compute_node.session.output import Output
from compute_node.session.plans import PlanCache, PlanSpace
from compute_node.session.settings import GUARDED, Setting, Settings, SettingValue, split_list
from compute_node.txn.dependency import Dependency
from compute_node.txn.transaction import Txn
from compute_node.types.registry import PgType, TypeEnv
from compute_node.work.progress import Progress
from compute_node.work.waits import SLEEP, Waits

if TYPE_CHECKING:
    from aurora.histogram import Histogram
    from compute_node.session.forwarding import Forwarding
    from compute_node.session.notifications import Notifying
    from compute_node.session.portals import Portal
    from compute_node.session.prepared import Prepared
    from compute_node.session.routines import RoutinePlan
    from compute_node.sql.literals import LiteralRules

IDLE, IN_BLOCK, FAILED = 0, 1, 2
"""States of the transaction block."""


class Disconnected(BaseException):
    """The client has gone while its session waited. Not an Exception: nothing on the way may take it for an error."""


class Port(Protocol):
    """What a session uses of its connection. ``data`` from ``position`` on is input that is not yet consumed."""

    data: bytes
    position: int
    eager: bool
    """Whether the turn has waited, so that each answer is sent as it is complete."""
    stays: bool
    """Whether it may outlive the instance's role."""

    def flush(self) -> None:
        """Send what the session has put out so far; waits when the client does not read."""

    def next_message(self) -> tuple[int, bytes]:
        """The next message (type, payload); waits for it. Raises Disconnected."""

    def close(self) -> None:
        """Close after the output."""

    def terminate(self, error: SqlError | None = None) -> None:
        """End the session with that error (57P01 without one): at once if idle, else at its next wait or batch."""

    @property
    def local_address(self) -> tuple[str, int] | None:
        """Host and port that the client has connected to; None when it is not TCP."""

    def deliver(self) -> None:
        """Notifications have come: send them if the session is idle."""


class Timer(Protocol):
    """What stops a timeout."""

    def cancel(self) -> None:
        """It does not happen."""


class Backends(Protocol):
    """All sessions of this instance."""

    @property
    def sessions(self) -> Mapping[int, SessionState]:
        """By pid."""

    def signal(self, pid: int, terminate: bool) -> bool:
        """Cancel or end one; False when there is none of that pid."""

    def reload(self) -> None:
        """Read again what may change while the instance runs."""

    def file_rules(self) -> Iterator[Row]:
        """The rows of pg_hba_file_rules."""

    def commit_waits(self, engine: Engine | None = None) -> Histogram:
        """How long answers were held back until what they depend on was durable, in seconds: of the sessions of a
        database, or of all."""


class HeldLocks(Protocol):
    """The advisory locks of a session."""

    counts: dict[tuple[int, int], int]
    """how often it has taken each (key, mode)"""

    @property
    def owner(self) -> Txn:
        """Whose they are in the lock table."""


class SessionState:
    """One connection's session. ``clock`` gives µs since 2000-01-01 UTC. Output gathers in ``out``; ``gated`` says that
    it holds a row, an error or a transaction's end, which waits for what ``dependency`` says."""

    __slots__ = (
        "__weakref__",
        "advisory_locks",
        "application_name",
        "backend_start",
        "block",
        "bypasses_policies",
        "client_address",
        "client_port",
        "client_wait",
        "clock",
        "commit_at_once",
        "commit_waits",
        "count_level",
        "creating_extension",
        "database",
        "default_deferrable",
        "default_isolation",
        "default_read_only",
        "definers",
        "dependency",
        "depth",
        "encoding",
        "ended_by",
        "engine",
        "env",
        "failed_characteristics",
        "forwarding",
        "gated",
        "gathering",
        "greenlet",
        "guarded",
        "idle_in_txn_timeout_ms",
        "idle_timeout_ms",
        "inbox",
        "inner_functions_s",
        "interrupt_error",
        "last_sequence",
        "lift_literals",
        "literal_rules",
        "lock_timeout_ms",
        "login_superuser",
        "notice_level",
        "notifying",
        "on_commit",
        "out",
        "pid",
        "pipelined",
        "plain_defaults",
        "plans",
        "point_context",
        "port",
        "portals",
        "progress",
        "query",
        "query_start",
        "read_after_lsn",
        "registry",
        "reported",
        "restricted",
        "retired_txn",
        "role_oid",
        "routine_plans",
        "running_functions",
        "savepoints",
        "secret",
        "sequence_values",
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
        "temp_schema",
        "terminating",
        "timer",
        "tracks",
        "txn",
        "user",
        "user_oid",
        "waited",
    )

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
        registry: Backends | None = None,
    ) -> None:
        self.engine, self.port, self.plans, self.clock = engine, port, plans, clock
        self.user = self.session_user = user
        self.database, self.superuser, self.role_oid = database, superuser, role_oid
        self.user_oid = self.session_oid = role_oid
        """the current user's role and the session user's; ``role_oid`` is the one that logged in"""
        self.login_superuser = superuser
        self.pid, self.secret, self.registry = pid, secret, registry
        self.ended_by = ""
        """``killed`` by an administrator, ``fatal``: by an error, ``abandoned`` by its client; else it just ended"""
        self.client_address: str | None = None
        self.client_port = -1
        self.out = Output()
        self.encoding = "UTF8"
        """the client's; in any other ``out`` and ``port`` convert (``encoded``)"""
        self.gated = False
        self.dependency = Dependency()
        self.block = IDLE
        self.txn: Txn | None = None
        self.retired_txn: Txn | None = None
        """a transaction that has ended without a trace and can begin again"""
        self.point_context: ExecContext | None = None
        """the context of point statements, used again and again"""
        self.failed_characteristics = ("read committed", False, False)
        """(isolation, read only, deferrable) of the transaction of a failed block, for COMMIT AND CHAIN"""
        self.savepoints: list[tuple[str, int]] | None = None
        self.statements_in_txn = 0
        self.bypasses_policies = False
        """while the statements of foreign keys are planned, which see all rows"""
        self.definers = 0
        """how many SECURITY DEFINER functions run: nobody changes roles within them"""
        self.restricted = 0
        """how many security-restricted operations run (``acting``)"""
        self.inner_functions_s = 0.0
        """how long functions took that the running one has called, while that is counted"""
        self.running_functions: set[int] = set()
        """those whose time is counted"""
        self.creating_extension = 0
        """the OID of the extension whose script runs"""
        self.depth = 0
        """how many functions deep the statement is that runs (``nested``)"""
        self.count_level = 0
        """how many statements deep it is, for what is counted by statement (``statement_counts``)"""
        self.tracks = 1
        """statements of how many levels are counted (pg_stat_statements.track)"""
        self.progress: Progress | None = None
        """how far the command is that runs, if it is one that tells"""
        self.several_statements = False
        """the simple query that runs has several statements, and so an implicit transaction block"""
        self.pipelined = False
        """an Execute has ended since the last Sync"""
        self.commit_at_once = False
        self.skipping = False
        self.statements: dict[bytes, Prepared] = {}
        self.portals: dict[bytes, Portal] = {}
        self.temp_schema: str | None = None
        """its schema of temporary relations, once it has one"""
        self.on_commit: dict[int, bool] | None = None
        """temporary tables by OID that a commit empties, or drops (true)"""
        self.sequence_values: dict[int, int] | None = None
        """currval by the sequence's OID"""
        self.last_sequence: int | None = None
        """lastval's sequence"""
        self.routine_plans: tuple[Txn | None, dict[Hashable, RoutinePlan]] | None = None
        """what a transaction that has changed the catalog has planned for its functions"""
        self.advisory_locks: HeldLocks | None = None
        self.gathering = False
        """a statement runs in pieces: what foreign keys want of its changes waits for the last one"""
        self.notifying: Notifying | None = None
        """what its transaction says with NOTIFY, and begins to LISTEN to"""
        self.inbox: list[bytes] = []
        """notifications that its client has not been sent yet"""
        """its own ones, not its transaction's"""
        self.greenlet: greenlet.greenlet | None = None
        """what its turn runs in"""
        self.interrupt_error: SqlError | Disconnected | None = None
        self.terminating = False
        self.timer: Timer | None = None
        self.waited: Waits | None = None
        """what it has waited for, once it has waited"""
        self.commit_waits: Histogram | None = None
        """how long its answers were held back until what they depend on was durable, in seconds"""
        self.query = ""
        self.backend_start = self.query_start = self.state_change = clock()
        self.application_name = ""
        self.env = TypeEnv(timezone=UTC, session=self, lookup=self.catalog_function)
        self.status_changes: dict[str, str] | None = None
        self.reported: dict[str, str] = {}
        """what the client was last told of its settings"""
        self.statement_timeout_ms = self.lock_timeout_ms = 0
        self.idle_timeout_ms = self.idle_in_txn_timeout_ms = 0
        self.guarded = False
        self.sync_commit = True
        self.read_after_lsn = NO_LSN
        """what this instance must show before the next query (``read_after``); none once it does"""
        self.client_wait: str | None = None
        """what a running statement waits for the client to do: ClientRead or ClientWrite, as pg_stat_activity has it"""
        self.forwarding: Forwarding | None = None
        """what of it runs on the writer, once something does"""
        self.lift_literals = True
        self.literal_rules: LiteralRules | None = None
        self.notice_level = settings_effects.NOTICE_LEVELS["notice"]
        self.plain_defaults, self.default_isolation = True, "read committed"
        self.default_read_only = self.default_deferrable = False
        self.space = PlanSpace()
        self.settings = Settings(base_settings, superuser, self._setting_changed, self._permit_setting)
        for name, value in base_settings.items():
            settings_effects.apply(self, name, value)
        self.settings.force("session_authorization", user)
        self.settings.force("is_superuser", superuser)
        self.settings.force("in_hot_standby", engine.in_recovery)
        self.status_changes = None
        self.environment_changed()

    def _setting_changed(self, name: str, value: SettingValue) -> None:
        settings_effects.apply(self, name, value)
        if settings_effects.plan_depends_on(name):
            self.environment_changed()

    def environment_changed(self) -> None:
        """What plans depend on has changed: other plans are shared with other sessions from now on, and what was
        prepared is planned again."""
        space = self.plans.space(settings_effects.environment(self))
        if space is not self.space:
            self.space = space
            for prepared in self.statements.values():
                if prepared.statement is not None:
                    prepared.statement = prepared.statement.outdated()

    def _permit_setting(self, setting: Setting, value: SettingValue) -> None:
        """Whether the session may change a setting that depends on who asks; 42501, 22023."""
        if setting.name in GUARDED:
            if self.definers:
                raise InsufficientPrivilege(f'cannot set parameter "{setting.name}" within security-definer function')
            if self.restricted:
                message = f'cannot set parameter "{setting.name}" within security-restricted operation'
                raise InsufficientPrivilege(message)
            # Whoever logged in may always be that again, with no role set.
            if value != ("none" if setting.name == "role" else self.settings.default(setting.name)):
                self.catalog_function("check_identity", setting.name, str(value))
        elif not (
            self.catalog_function("role_is_superuser", self.user_oid)
            or self._is_superuser_for(setting)
            or self.catalog_function("may_set_parameter", setting.name)
        ):
            raise InsufficientPrivilege(f'permission denied to set parameter "{setting.name}"')

    def role_changed(self) -> None:
        """Its instance has become a reader, or the writer: the next transaction is of the new kind, and the client is
        told before the next ReadyForQuery."""
        self.retired_txn = None
        self.settings.force("in_hot_standby", self.engine.in_recovery)

    def _is_superuser_for(self, setting: Setting) -> bool:
        """Whether members of rds_superuser may change a setting as superusers do, and this is one."""
        named = split_list(str(self.settings.get("rds.superuser_variables")))
        return setting.name in named and bool(self.catalog_function("has_predefined_role", "rds_superuser"))

    def has_waited(self, event: int, seconds: float) -> None:
        """A wait for that event (``work.waits``) has ended."""
        if self.waited is None:
            self.waited = Waits()
        self.waited.note(event, seconds)

    def sleep(self, seconds: float) -> None:
        """Wait at least that long without holding up the loop; ends early with what interrupts the session."""
        began_s = HUB.now_s()
        try:
            left_s = seconds
            while left_s > 0:
                HUB.sleep(left_s)  # the loop's timers are exact to a millisecond, early as well as late
                left_s = began_s + seconds - HUB.now_s()
        finally:
            took_s = HUB.now_s() - began_s
            self.has_waited(SLEEP, took_s)
            self.engine.storage.locks.waited.note(SLEEP, took_s)
        self.check_interrupts()

    # ---- interrupts ----

    def check_interrupts(self) -> None:
        """Raise what a cancel, timeout or shutdown has left for this session; called at batch boundaries."""
        error = self.interrupt_error
        if error is not None:
            self.interrupt_error = None
            raise error

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

    # ---- portals ----

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

    # ---- what is asked of it ----

    def notice(self, notice: SqlError, severity: str = "NOTICE") -> None:
        """Send a notice or warning, if client_min_messages lets it through."""
        if settings_effects.NOTICE_LEVELS.get(severity.lower(), 7) >= self.notice_level:
            shown = "DEBUG" if severity.startswith("DEBUG") else severity  # the levels have one name outside
            self.out.append(messages.notice_response(notice, shown))

    def failed_block(self) -> SqlError:
        """25P02."""
        return InFailedSqlTransaction("current transaction is aborted, commands ignored until end of transaction block")

    def characteristics(self) -> tuple[str, bool, bool]:
        """(isolation, read only, deferrable) of the transaction, or those that the next would have."""
        if self.txn is None:
            read_only = self.default_read_only or self.engine.in_recovery
            return self.default_isolation, read_only, self.default_deferrable
        return self.txn.isolation, self.txn.read_only, self.txn.deferrable

    @property
    def state(self) -> str:
        """pg_stat_activity.state."""
        if self.greenlet is not None:
            return "active"
        return ("idle", "idle in transaction", "idle in transaction (aborted)")[self.block]

    @property
    def xact_start(self) -> int:
        """When its transaction began; 0 without one."""
        return 0 if self.txn is None else self.env.transaction_timestamp

    def catalog_function(self, name: str, *args: Datum) -> Datum:
        """A function that the catalog answers."""
        return self.engine.session_function(self, name, *args)

    def type_of(self, oid: int) -> PgType:
        """A type by OID, as this session's catalog has it; raises 42704."""
        kind: PgType = self.engine.catalog.view(self).type(oid)
        return kind
