"""The listening server: connections in, sessions kept by pid, cancel requests, limits, graceful shutdown.

``Server.start`` listens on the hub's loop. ``activity`` is what pg_stat_activity shows.
"""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import logging
import secrets
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aurora.errors import (
    AdminShutdown,
    CannotConnectNow,
    InsufficientPrivilege,
    SqlError,
    SqlSyntaxError,
    TooManyConnections,
)
from aurora.histogram import Histogram
from compute_node.session.engine import Engine
from compute_node.session.plans import PlanCache
from compute_node.session.session import Session
from compute_node.session.settings import REPORTED, SettingValue
from compute_node.wire.connection import Connection
from compute_node.wire.startup import Authenticated, Authenticator, Startup

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WireConfig:
    """What the wire needs of the configuration.

    ``trust_loopback``: no password from 127.0.0.0/8, ::1 and unix sockets; every other address needs SCRAM-SHA-256.
    ``settings``: the server's own values by lower-cased name (config file, command line), already parsed.
    """

    host: str = "127.0.0.1"
    port: int = 5432
    max_connections: int = 10000
    reserved_connections: int = 3
    authentication_timeout_s: float = 60.0
    trust_loopback: bool = True
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
        self.commit_wait_seconds = Histogram()
        """How long answers were held back until what they depend on was durable."""
        self.tls_context = _tls(config)
        self._authenticator = authenticator
        self._clock = clock
        self._pids = itertools.count(1001)
        self._mock_secret = secrets.token_bytes(32)
        self._server: asyncio.Server | None = None
        self._shutting_down = False

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens."""
        if self._server is None:
            return []
        return [socket.getsockname()[:2] for socket in self._server.sockets]

    async def start(self) -> None:
        """Listen. The hub must be bound to the running loop."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self), self.config.host, self.config.port, backlog=1024, reuse_address=True
        )

    async def shutdown(self, grace_s: float = 5.0) -> None:
        """Stop listening, end every session (57P01), wait for those that run or wait for the log, at most
        ``grace_s``."""
        self._shutting_down = True
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.terminate()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace_s
        while self.connections and loop.time() < deadline:
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.abandon()
        while self.sessions and loop.time() < deadline + 1:
            await asyncio.sleep(0.01)

    # ---- for connections ----

    def make_startup(self, transport: Any) -> Startup:
        """The startup machine of a new connection."""
        peer = transport.get_extra_info("peername")
        trusted = self.config.trust_loopback and _is_loopback(peer)
        return Startup(
            self._authenticator,
            trusted,
            self.tls_context is not None,
            lambda: secrets.token_urlsafe(18),
            self._mock_secret,
        )

    def make_session(self, connection: Connection, who: Authenticated) -> Session:
        """Admit an authenticated client. Raises 53300, 57P03, and errors of its startup settings."""
        if self._shutting_down:
            raise CannotConnectNow("the database system is shutting down", severity="FATAL")
        taken, limit = len(self.sessions), self.config.max_connections
        if taken >= limit:
            raise TooManyConnections("sorry, too many clients already", severity="FATAL")
        if taken >= limit - self.config.reserved_connections and not who.role.superuser:
            raise TooManyConnections(
                "remaining connection slots are reserved for non-replication superuser connections", severity="FATAL"
            )
        self.engine.session_function(None, "check_database", who.database)
        pid = next(self._pids)
        session = Session(
            self.engine, connection, self.plans, self._clock, who.user, who.database, who.role.superuser,
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
        self.sessions[pid] = session
        return session

    def forget(self, session: Session) -> None:
        """A session has ended."""
        self.sessions.pop(session.pid, None)

    def cancel(self, pid: int, secret: int) -> None:
        """A cancel request; a wrong secret does nothing."""
        session = self.sessions.get(pid)
        if session is not None and secrets.compare_digest(session.secret.to_bytes(4, "big"), secret.to_bytes(4, "big")):
            self.signal(pid, False)

    def signal(self, pid: int, terminate: bool) -> bool:
        """Cancel or end a session; False when there is none of that pid."""
        session = self.sessions.get(pid)
        if session is None:
            return False
        connection = session.port
        if not isinstance(connection, Connection):
            raise InsufficientPrivilege(f"session {pid} has no connection")
        if terminate:
            connection.terminate(AdminShutdown("terminating connection due to administrator command"))
        else:
            connection.cancel()
        return True

    def activity(self) -> list[dict[str, Any]]:
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


def _tls(config: WireConfig) -> ssl.SSLContext | None:
    if config.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(config.tls_cert, config.tls_key)
    return context


def _is_loopback(peer: Any) -> bool:
    if not isinstance(peer, tuple):
        # A unix socket: the file system has already said who may.
        return True
    try:
        address = ipaddress.ip_address(peer[0].split("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


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
