"""The time before the first query, sans I/O: bytes in → actions out.

Startup packet, SSLRequest, GSSENCRequest, CancelRequest, then trust or SCRAM-SHA-256. The machine never reads past what
it needs: after an accepted SSLRequest the transport changes, so bytes that follow it in clear text are refused.
Source: PostgreSQL manual, chapters 55.2.1, 55.2.9, 55.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from aurora.errors import (
    InvalidAuthorizationSpecification,
    NotSupported,
    ProtocolViolation,
)
from compute_node.protocol import messages
from compute_node.wire import scram

MAX_STARTUP_BYTES = 10000
MAX_PASSWORD_BYTES = 65535


@dataclass(frozen=True, slots=True)
class Role:
    """What authentication needs to know of a role. ``verifier`` is the stored password, None without one."""

    verifier: str | None
    superuser: bool
    can_login: bool
    oid: int = 10


class Authenticator(Protocol):
    """Where roles come from."""

    def lookup(self, user: str) -> Role | None:
        """The role of that name, None when there is none."""


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes for the client."""

    data: bytes


@dataclass(frozen=True, slots=True)
class StartTls:
    """Answer ``S`` and put TLS under the connection; the machine goes on afterwards."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """A cancel request: try it, then close without an answer."""

    pid: int
    secret: int


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The user is who it says; ``options`` are the other startup parameters. ``rest`` came after it."""

    user: str
    database: str
    role: Role
    options: dict[str, str] = field(default_factory=dict)
    rest: bytes = b""


Action = Send | StartTls | Cancel | Authenticated


class Startup:
    """One connection's way to being authenticated.

    ``trusted`` says whether the peer's address needs no password; ``nonce`` gives a fresh printable server nonce.
    Errors are FATAL: 08P01 malformed, 0A000 unknown protocol, 28000 no such role, 28P01 wrong password.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        trusted: bool,
        tls_available: bool,
        nonce: Callable[[], str],
        mock_secret: bytes,
    ) -> None:
        self._authenticator = authenticator
        self._trusted = trusted
        self._tls_available = tls_available
        self._nonce = nonce
        self._mock_secret = mock_secret
        self._buffer = b""
        self._handle: Callable[[], list[Action] | None] = self._startup_packet
        self._user = ""
        self._database = ""
        self._options: dict[str, str] = {}
        self._role: Role | None = None
        self._scram: scram.ScramServer | None = None

    def feed(self, data: bytes) -> list[Action]:
        """Take bytes; returns what to do, in order. Raises a FATAL SqlError."""
        self._buffer += data
        actions: list[Action] = []
        while True:
            step = self._handle()
            if step is None:
                return actions
            actions += step
            if step and not isinstance(step[-1], Send):
                return actions

    def _startup_packet(self) -> list[Action] | None:
        buffer = self._buffer
        if len(buffer) < 4:
            return None
        length = int.from_bytes(buffer[:4], "big")
        if length < 8 or length > MAX_STARTUP_BYTES:
            raise ProtocolViolation("invalid length of startup packet", severity="FATAL")
        if len(buffer) < length:
            return None
        code = int.from_bytes(buffer[4:8], "big")
        payload, self._buffer = buffer[8:length], buffer[length:]
        if code == messages.CANCEL_REQUEST:
            if len(payload) != 8:
                raise ProtocolViolation("invalid length of startup packet", severity="FATAL")
            return [Cancel(int.from_bytes(payload[:4], "big", signed=True), int.from_bytes(payload[4:], "big"))]
        if code in (messages.SSL_REQUEST, messages.GSS_REQUEST):
            if self._buffer:
                raise ProtocolViolation(
                    "received unencrypted data after SSL request", severity="FATAL",
                    detail="This could be either a client-software bug or evidence of an attempted"
                    " man-in-the-middle attack.",
                )  # fmt: skip
            if code == messages.SSL_REQUEST and self._tls_available:
                self._tls_available = False
                return [StartTls()]
            return [Send(b"N")]
        if code >> 16 != 3:
            raise NotSupported(
                f"unsupported frontend protocol {code >> 16}.{code & 0xFFFF}: server supports 3.0 to 3.0",
                severity="FATAL",
            )
        return self._parameters(payload, code & 0xFFFF)

    def _parameters(self, payload: bytes, minor: int) -> list[Action]:
        reader = messages.Reader(payload)
        pairs: dict[str, str] = {}
        while True:
            name = reader.cstring()
            if not name:
                break
            try:
                pairs[name.decode()] = reader.cstring().decode()
            except UnicodeDecodeError as error:
                raise ProtocolViolation("invalid startup packet layout: not UTF-8", severity="FATAL") from error
        unknown = [name for name in pairs if name.startswith("_pq_.")]
        actions: list[Action] = []
        if minor or unknown:
            actions.append(Send(messages.negotiate_version(unknown)))
        self._user = pairs.pop("user", "")
        if not self._user:
            raise InvalidAuthorizationSpecification(
                "no PostgreSQL user name specified in startup packet", severity="FATAL"
            )
        self._database = pairs.pop("database", "") or self._user
        replication = pairs.pop("replication", "off")
        if replication.lower() not in ("off", "false", "no", "0"):
            raise NotSupported("replication connections are not supported", severity="FATAL")
        self._options = {name: value for name, value in pairs.items() if not name.startswith("_pq_.")}
        self._role = self._authenticator.lookup(self._user)
        if self._trusted:
            return [*actions, self._accept()]
        verifier = None
        if self._role is not None and self._role.verifier is not None:
            verifier = scram.Verifier.parse(self._role.verifier)
        self._scram = scram.ScramServer(
            self._user, verifier or scram.mock_verifier(self._user, self._mock_secret), self._nonce(), verifier is None
        )
        self._handle = self._scram_first
        return [*actions, Send(messages.authentication(10, scram.MECHANISM.encode() + b"\0\0"))]

    def _accept(self) -> Action:
        role = self._role
        if role is None:
            raise InvalidAuthorizationSpecification(f'role "{self._user}" does not exist', severity="FATAL")
        if not role.can_login:
            raise InvalidAuthorizationSpecification(f'role "{self._user}" is not permitted to log in', severity="FATAL")
        return Authenticated(self._user, self._database, role, self._options, self._buffer)

    def _password_message(self) -> bytes | None:
        buffer = self._buffer
        if len(buffer) < 5:
            return None
        length = int.from_bytes(buffer[1:5], "big")
        if buffer[0] != 112 or length < 4 or length > MAX_PASSWORD_BYTES:
            raise ProtocolViolation(f"expected SASL response, got message type {buffer[0]}", severity="FATAL")
        if len(buffer) < length + 1:
            return None
        self._buffer = buffer[length + 1 :]
        return buffer[5 : length + 1]

    def _scram_first(self) -> list[Action] | None:
        payload = self._password_message()
        if payload is None:
            return None
        reader = messages.Reader(payload)
        if reader.cstring() != scram.MECHANISM.encode():
            raise ProtocolViolation("client selected an invalid SASL authentication mechanism", severity="FATAL")
        data = reader.take(reader.i32())
        reader.end()
        self._handle = self._scram_final
        return [Send(messages.authentication(11, self._exchange().first(data)))]

    def _scram_final(self) -> list[Action] | None:
        payload = self._password_message()
        if payload is None:
            return None
        answer = self._exchange().final(payload)
        return [Send(messages.authentication(12, answer)), self._accept()]

    def _exchange(self) -> scram.ScramServer:
        if self._scram is None:
            raise ProtocolViolation("SASL response without a request", severity="FATAL")
        return self._scram
