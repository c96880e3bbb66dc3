"""The listening server: connections in, sessions kept by pid, cancel requests, limits, graceful shutdown.

``Server.start`` listens on the hub's loop. ``activity`` shows its sessions.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import socket
import ssl
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from aurora.datum import Row
from aurora.errors import (
    AdminShutdown,
    CannotConnectNow,
    InsufficientPrivilege,
    InvalidAuthorizationSpecification,
    InvalidPassword,
    SqlError,
    SqlSyntaxError,
    TooManyConnections,
)
from aurora.histogram import Histogram
from compute_node.session import audit, statement_counts
from compute_node.session.encoded import behind
from compute_node.session.engine import Engine
from compute_node.session.moving import can_move, move
from compute_node.session.plans import PlanCache
from compute_node.session.session import Session
from compute_node.session.settings import REPORTED, SettingValue, split_list
from compute_node.session.statement_counts import StatementCounts
from compute_node.wire import hba
from compute_node.wire.connection import Connection
from compute_node.wire.startup import Authenticated, Authenticator, Role, Startup
from compute_node.wire.throttle import Throttle

if TYPE_CHECKING:
    from aurora.documents import JsonObject


LOGGER = logging.getLogger(__name__)
_US_IN_S = 1_000_000


@dataclass(frozen=True, slots=True)
class WireConfig:
    """What the wire needs of the configuration.

    ``hba_file`` holds the rules of who may connect (``hba``); ``default_rules`` stand in for it when there is none.
    ``settings``: the server's own values by lower-cased name (config file, command line), already parsed.
    """

    host: str = "127.0.0.1"
    port: int = 5432
    max_connections: int = 10000
    reserved_connections: int = 3
    authentication_timeout_s: float = 60.0
    hba_file: Path | None = None
    default_rules: str = hba.DEFAULT_TRUST
    tls_cert: Path | None = None
    tls_key: Path | None = None
    settings: dict[str, SettingValue] = field(default_factory=dict)


class Server:
    """All connections of one instance. ``clock`` gives µs since 2000-01-01 UTC."""

    def __init__(
        self, engine: Engine, authenticator: Authenticator, config: WireConfig, clock: Callable[[], int]
    ) -> None:
        self.engine = engine
        self.config = config
        self.plans = PlanCache()
        self.connections: set[Connection] = set()
        self.sessions: dict[int, Session] = {}
        self.reported = REPORTED
        self._commit_waits = Histogram()
        """of the sessions that have ended"""
        self._commit_waits_by_database: WeakKeyDictionary[Engine, Histogram] = WeakKeyDictionary()
        self.tls_context = _tls(config)
        self.throttle = Throttle()
        self.rules = hba.parse(self._rules_text())
        if self.rules.errors:
            raise HbaUnusable(f"{config.hba_file}: {'; '.join(self.rules.errors)}")
        self._authenticator = authenticator
        self._clock = clock
        self._pids = itertools.count(1001)
        self._mock_secret = secrets.token_bytes(32)
        self._server: asyncio.Server | None = None
        self._shutting_down = False
        self._has_loaded = False
        """whether what the instance loads at its start is there"""
        self.holds_input = False
        self.on_stray_cancel: Callable[[int, int], None] | None = None
        """Told of cancel requests that fit no session here (``handover``, ``replica.elsewhere``)."""
        self.on_reload: Callable[[], None] = lambda: None
        """Told at each reload."""
        self.on_away: Callable[[], None] | None = None
        """Told when ``away`` changes (``handover``)."""
        self._away = ""

    @property
    def away(self) -> str:
        """Why nobody is let in now (57P03), while the instance changes its role; empty: they are"""
        return self._away

    @away.setter
    def away(self, reason: str) -> None:
        changed, self._away = self._away != reason, reason
        if changed and self.on_away is not None:
            self.on_away()

    @property
    def lets_in(self) -> bool:
        """Whether it makes sense to connect now."""
        return not self._away and not self._shutting_down

    def replace_engine(self, engine: Engine, authenticator: Authenticator) -> None:
        """Another engine from now on: the instance has changed its role. Sessions that have not ended go on in it. In a
        greenlet."""
        self.engine, self._authenticator = engine, authenticator
        counts, self.plans = self.plans.counts, PlanCache()
        self.plans.counts = counts
        for session in list(self.sessions.values()):
            try:
                if not can_move(session):
                    raise AdminShutdown("terminating connection due to administrator command")
                with engine.connecting(session.database, session.role_oid, session.login_superuser) as its:
                    move(session, its, self.plans)
            except SqlError as error:
                connection = behind(session.port)
                if isinstance(connection, Connection):
                    connection.terminate(error)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens."""
        if self._server is None:
            return []
        return [listener.getsockname()[:2] for listener in self._server.sockets]

    async def start(self) -> None:
        """Listen. The hub must be bound to the running loop."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self), self.config.host, self.config.port, backlog=1024, reuse_address=True
        )

    async def take(self, accepted: socket.socket) -> None:
        """Serve a connection that another process has accepted; it is closed when that fails."""
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: Connection(self), accepted)
        except OSError as error:
            LOGGER.info("a handed-over connection was gone already: %s", error)
            accepted.close()

    async def shutdown(self, grace_s: float = 5.0) -> None:
        """Stop listening, end every session (57P01), wait for those that run or wait for the log, at most
        ``grace_s``."""
        self._shutting_down = True
        if self._server is not None:
            self._server.close()
        await self.end_sessions(grace_s)

    async def end_sessions(
        self,
        grace_s: float,
        which: Callable[[Session], bool] = lambda session: True,
        error: SqlError | None = None,
    ) -> None:
        """End every session, or those of ``which``, with the error (57P01); wait for those that run or wait for the
        log, at most ``grace_s``. Clients that are still connecting are no sessions: while the instance changes its role
        they are refused when they have said who they are."""
        ending = {each for each in self.connections if _ends(each.session, which) or self._shutting_down}
        for connection in ending:
            connection.terminate(copy(error))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace_s
        while ending & self.connections and loop.time() < deadline:
            await asyncio.sleep(0.01)
        for connection in ending & self.connections:
            connection.abandon()
        while any(which(each) for each in self.sessions.values()) and loop.time() < deadline + 1:
            await asyncio.sleep(0.01)

    def hold_input(self) -> None:
        """Hear no client for now: what they send waits, new ones too. What runs goes on."""
        self.holds_input = True
        for connection in self.connections:
            connection.hold_input()

    def release_input(self) -> None:
        """Hear them again."""
        if self.holds_input:
            self.holds_input = False
            for connection in self.connections:
                connection.release_input()

    # ---- for connections ----

    @property
    def is_crowded(self) -> bool:
        """Whether even a client that has proved nothing yet is one too many, as PostgreSQL's postmaster counts."""
        return len(self.connections) >= 2 * self.config.max_connections

    def make_startup(self, transport: asyncio.BaseTransport) -> Startup:
        """The startup machine of a new connection."""
        return Startup(
            self,
            ClientDoor(self, transport.get_extra_info("peername")),
            self.tls_context is not None,
            lambda: secrets.token_urlsafe(18),
            self._mock_secret,
        )

    def make_session(self, connection: Connection, who: Authenticated) -> Session:
        """Admit an authenticated client. Raises 53300, 57P03, and errors of its startup settings."""
        self.check_open()
        taken, limit = len(self.sessions), self.config.max_connections
        if taken >= limit:
            raise TooManyConnections("sorry, too many clients already", severity="FATAL")
        if taken >= limit - self.config.reserved_connections and not who.role.superuser:
            raise TooManyConnections(
                "remaining connection slots are reserved for non-replication superuser connections", severity="FATAL"
            )
        if who.role.connection_limit >= 0 and not who.role.superuser:
            held = sum(session.session_user == who.user for session in self.sessions.values())
            if held >= who.role.connection_limit:
                raise TooManyConnections(f'too many connections for role "{who.user}"', severity="FATAL")
        initial = self.engine
        with initial.connecting(who.database, who.role.oid, who.role.superuser) as engine:
            session = self._new_session(engine, connection, who)
            self.check_open()
            if self.engine is not initial:  # the instance has changed its role while this one waited
                raise CannotConnectNow("the database system is starting up", severity="FATAL")
            self.sessions[session.pid] = session
        engine.counts.sessions += 1
        engine.recovery.listeners.add(session)
        audit.logged_in(session)
        return session

    def _new_session(self, engine: Engine, connection: Connection, who: Authenticated) -> Session:
        if not self._has_loaded:
            self._load_libraries()
        pid = next(self._pids)
        session = Session(
            engine, connection, self.plans, self._clock, who.user, who.database, who.role.superuser,
            self.config.settings, pid, secrets.randbits(32), who.role.oid, self,
        )  # fmt: skip
        peer = connection.peer
        if isinstance(peer, tuple):
            session.client_address, session.client_port = peer[0], peer[1]
        for name, value in self.engine.session_function(None, "stored_settings", who.database, who.role.oid) or ():
            try:
                session.settings.set_stored(name, value)
            except SqlError as error:
                LOGGER.warning("stored setting %s of %s: %s", name, who.user, error)
        for name, value in who.options.items():
            if name == "options":
                for key, text in _command_line(value):
                    session.settings.set_startup(key, text)
            else:
                session.settings.set_startup(name, value)
        return session

    def _load_libraries(self) -> None:
        """Set up what shared_preload_libraries names, as it was when the instance began."""

        def value(name: str) -> SettingValue:
            given = self.config.settings.get(name)
            return self.engine.session_function(None, "system_setting", name) if given is None else given

        wanted = split_list(str(value("shared_preload_libraries") or ""))
        most = int(value("pg_stat_statements.max") or 0) if statement_counts.LIBRARY in wanted else 0
        if self._has_loaded:  # others were let in while it read
            return
        self._has_loaded = True
        for name in wanted:
            if name == statement_counts.LIBRARY:
                self.plans.counts = StatementCounts(most, self._clock)
            else:
                LOGGER.warning("shared_preload_libraries: there is no library %s", name)

    def forget(self, session: Session) -> None:
        """A session has ended."""
        if self.sessions.pop(session.pid, None) is not None:
            session.engine.counts.session_ended(session.ended_by, (self._clock() - session.backend_start) / _US_IN_S)
        if session.commit_waits is not None:
            self._commit_waits.add(session.commit_waits)
            self._commit_waits_by_database.setdefault(session.engine, Histogram()).add(session.commit_waits)
            session.commit_waits = None

    def commit_waits(self, engine: Engine | None = None) -> Histogram:
        """How long answers were held back until what they depend on was durable, in seconds: of the sessions of a
        database, or of all; those that have ended are among them."""
        found = Histogram()
        ended = self._commit_waits if engine is None else self._commit_waits_by_database.get(engine)
        running = [each for each in self.sessions.values() if engine is None or each.engine is engine]
        for waits in (ended, *(session.commit_waits for session in running)):
            if waits is not None:
                found.add(waits)
        return found

    def cancel(self, pid: int, secret: int) -> None:
        """A cancel request; one that fits no session here may be for another instance's, else it does nothing."""
        if not self.cancel_here(pid, secret) and self.on_stray_cancel is not None:
            self.on_stray_cancel(pid, secret)

    def cancel_here(self, pid: int, secret: int) -> bool:
        """A cancel request; False when pid and secret are those of no session here."""
        session = self.sessions.get(pid)
        if session is None or not secrets.compare_digest(session.secret.to_bytes(4, "big"), secret.to_bytes(4, "big")):
            return False
        return self.signal(pid, False)

    def signal(self, pid: int, terminate: bool) -> bool:
        """Cancel or end a session; False when there is none of that pid."""
        session = self.sessions.get(pid)
        if session is None:
            return False
        connection = behind(session.port)
        if not isinstance(connection, Connection):
            raise InsufficientPrivilege(f"session {pid} has no connection")
        if terminate:
            connection.terminate(AdminShutdown("terminating connection due to administrator command"))
        else:
            connection.cancel()
        return True

    def _rules_text(self) -> str:
        file = self.config.hba_file
        try:
            return self.config.default_rules if file is None else file.read_text()
        except OSError as error:
            raise HbaUnusable(f"{file}: {error.strerror or error}") from error

    def reload(self) -> None:
        """Read rules and certificate again (SIGHUP, pg_reload_conf); those that cannot be used leave those in force as
        they are."""
        self.on_reload()
        try:
            self.tls_context = _tls(self.config)
        except OSError as error:
            LOGGER.error("%s: %s; the certificate stays as it was", self.config.tls_cert, error)
        try:
            rules = hba.parse(self._rules_text())
        except HbaUnusable as error:
            LOGGER.error("%s; the rules stay as they were", error)
            return
        if rules.errors:
            LOGGER.error("%s: %s; the rules stay as they were", self.config.hba_file, "; ".join(rules.errors))
            return
        self.rules = rules
        LOGGER.info("rules of who may connect were read: %d", len(rules.rules))

    def file_rules(self) -> Iterator[Row]:
        """The rules as the file has them now, wrong lines included, as rows of pg_hba_file_rules."""
        for rule in hba.parse(self._rules_text()).rules:
            if rule.error is not None:
                yield (rule.line, *[None] * 7, rule.error)
                continue
            names = [[token.text for token in tokens] for tokens in (rule.databases, rule.users)]
            options = list(rule.options) or None
            yield (rule.line, rule.type, *names, rule.address, rule.netmask, rule.method, options, None)

    def lookup(self, user: str) -> Role | None:
        """See ``Authenticator``: of the engine that there is now."""
        return self._authenticator.lookup(user)

    def check_open(self) -> None:
        """57P03 while nobody is let in."""
        if self._shutting_down or self.away:
            raise CannotConnectNow(self.away or "the database system is shutting down", severity="FATAL")

    def forces_tls(self) -> bool:
        """Whether rds.force_ssl is on and there is a certificate to begin TLS with; called in a greenlet."""
        if self.tls_context is None:
            return False
        return bool(self.engine.session_function(None, "system_setting", "rds.force_ssl"))

    def is_member(self, user: str, role: str) -> bool:
        """Whether a user belongs to a role."""
        return self._authenticator.is_member(user, role)

    def activity(self) -> list[JsonObject]:
        """One dict a session, keys as pg_stat_activity's columns; times are µs since 2000-01-01 UTC."""
        rows = []
        for connection in self.connections:
            session = connection.session
            if session is None:
                continue
            running = connection.is_running
            waits = connection.is_held
            rows.append(
                {
                    "datname": session.database,
                    "pid": session.pid,
                    "usesysid": session.role_oid,
                    "usename": session.user,
                    "application_name": session.application_name,
                    "client_addr": session.client_address,
                    "client_port": session.client_port,
                    "backend_start": session.backend_start,
                    "xact_start": session.env.transaction_timestamp if session.txn is not None else None,
                    "query_start": session.query_start,
                    "state_change": session.query_start if running else session.state_change,
                    "wait_event_type": "IPC" if waits else None if running else "Client",
                    "wait_event": "QuorumCommit" if waits else None if running else "ClientRead",
                    "state": "active" if running or waits else session.state,
                    "query": session.query[:1024],
                    "backend_type": "client backend",
                }
            )
        return rows


def _ends(session: Session | None, which: Callable[[Session], bool]) -> bool:
    return session is not None and which(session)


class HbaUnusable(Exception):
    """The rules of who may connect cannot be read or used."""


class ClientDoor:
    """What one client, seen from its address, has to show. See ``startup.Door``."""

    def __init__(self, server: Server, peer: object) -> None:
        self._server = server
        self._address = hba.address_of(peer[0]) if isinstance(peer, tuple) else None
        self._shown = str(self._address) if self._address is not None else "[local]"

    def method(self, user: str, database: str, tls: bool) -> str:
        """See ``startup.Door``."""
        self._server.check_open()
        if not tls and self._server.forces_tls():
            raise self._refused("no pg_hba.conf entry for", user, database, tls)
        client = hba.Client(user, database, self._address, tls, lambda role: self._server.is_member(user, role))
        rule = self._server.rules.match(client)
        if rule is not None and rule.method != "reject":
            # A stored password is a SCRAM secret, so what md5 asks for is SCRAM, as in PostgreSQL.
            return "scram-sha-256" if rule.method == "md5" else rule.method
        verb = "pg_hba.conf rejects connection for" if rule is not None else "no pg_hba.conf entry for"
        raise self._refused(verb, user, database, tls)

    def _refused(self, verb: str, user: str, database: str, tls: bool) -> SqlError:
        what = f'host "{self._shown}", user "{user}", database "{database}", '
        what += "SSL encryption" if tls else "no encryption"
        return InvalidAuthorizationSpecification(f"{verb} {what}", severity="FATAL")

    def wait_s(self, user: str) -> float:
        """See ``startup.Door``."""
        wait = self._server.throttle.wait_s(user, self._shown, monotonic())
        if wait is None:
            LOGGER.info("role %s from %s: refused, too many attempts wait before it", user, self._shown)
            raise InvalidPassword(f'password authentication failed for user "{user}"', severity="FATAL")
        return wait

    def heard(self, user: str, right: bool) -> None:
        """See ``startup.Door``."""
        if right:
            self._server.throttle.succeeded(user, self._shown)
            return
        LOGGER.info("role %s from %s: wrong password", user, self._shown)
        self._server.throttle.failed(user, self._shown, monotonic())


def _tls(config: WireConfig) -> ssl.SSLContext | None:
    if config.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(config.tls_cert, config.tls_key)
    return context


def _command_line(text: str) -> list[tuple[str, str]]:
    """The settings in the startup parameter ``options``: ``-c name=value`` and ``--name=value``; a backslash quotes."""
    words: list[str] = []
    word, quoted, started = "", False, False
    for char in text:
        if quoted:
            word, quoted = word + char, False
        elif char == "\\":
            quoted = started = True
        elif char.isspace():
            if started:
                words.append(word)
            word, started = "", False
        else:
            word, started = word + char, True
    if started:
        words.append(word)
    pairs = []
    position = 0
    while position < len(words):
        item = words[position]
        if item == "-c" and position + 1 < len(words):
            position += 1
            item = words[position]
        elif item.startswith(("-c", "--")):
            item = item[2:]
        else:
            raise _bad_option(item)
        name, separator, value = item.partition("=")
        if not separator:
            raise _bad_option(item)
        pairs.append((name.replace("-", "_"), value))
        position += 1
    return pairs


def _bad_option(item: str) -> SqlError:
    return SqlSyntaxError(f"invalid command-line argument for server process: {item}", severity="FATAL")
