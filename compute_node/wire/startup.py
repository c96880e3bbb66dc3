"""The time before the first query, sans I/O: bytes in → actions out.

Startup packet, SSLRequest, GSSENCRequest, CancelRequest, then what the door (``Door``) asks of this client: nothing
(trust), SCRAM-SHA-256, or the password in the clear. The machine never reads past what it needs: after an accepted
SSLRequest the transport changes, so bytes that follow it in clear text are refused.
Source: PostgreSQL manual, chapters 55.2.1, 55.2.9, 55.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from aurora.errors import (
    InvalidAuthorizationSpecification,
    InvalidPassword,
    NotSupported,
    ProtocolViolation,
)
from compute_node.protocol import messages
from compute_node.wire import scram

MAX_STARTUP_BYTES = 10000
MAX_PASSWORD_BYTES = 65535


@dataclass(frozen=True, slots=True)
class Role:
    """What authentication needs to know of a role. ``verifier`` is the stored password, None without one or when it has
    expired (VALID UNTIL); ``connection_limit`` -1 for none."""

    verifier: str | None
    superuser: bool
    can_login: bool
    oid: int = 10
    connection_limit: int = -1


class Authenticator(Protocol):
    """Where roles come from."""

    def lookup(self, user: str) -> Role | None:
        """The role of that name, None when there is none."""

    def is_member(self, user: str, role: str) -> bool:
        """Whether a role belongs to another, directly or through others; being a superuser does not make it one."""


class Door(Protocol):
    """What one client has to show, by where it comes from (``hba``), and how long it has to wait (``throttle``)."""

    def method(self, user: str, database: str, tls: bool) -> str:
        """``trust``, ``scram-sha-256`` or ``password``. FATAL 28000: it may not come in at all."""

    def wait_s(self, user: str) -> float:
        """How long before a password of this user is heard. FATAL 28P01: too many others are before it."""

    def heard(self, user: str, right: bool) -> None:
        """A password was right, or wrong."""


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes for the client."""

    data: bytes


@dataclass(frozen=True, slots=True)
class StartTls:
    """Answer ``S`` and put TLS under the connection; the machine goes on afterwards."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Feed nothing for so long, then an empty string: the machine goes on then."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Drop:
    """What came is no startup packet: close without an answer, as PostgreSQL does."""

    reason: str


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


Action = Send | StartTls | Wait | Drop | Cancel | Authenticated


class Startup:
    """One connection's way to being authenticated.

    ``nonce`` gives a fresh printable server nonce.
    Errors are FATAL: 08P01 malformed, 0A000 unknown protocol, 28000 no such role, 28P01 wrong password.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        door: Door,
        tls_available: bool,
        nonce: Callable[[], str],
        mock_secret: bytes,
    ) -> None:
        self._authenticator = authenticator
        self._door = door
        self._tls = False
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
            return [Drop("invalid length of startup packet")]
        if len(buffer) < length:
            return None
        code = int.from_bytes(buffer[4:8], "big")
        payload, self._buffer = buffer[8:length], buffer[length:]
        if code == messages.CANCEL_REQUEST:
            if len(payload) != 8:
                return [Drop("invalid length of cancel request packet")]
            return [Cancel(int.from_bytes(payload[:4], "big", signed=True), int.from_bytes(payload[4:], "big"))]
        if code in (messages.SSL_REQUEST, messages.GSS_REQUEST):
            if self._buffer:
                raise ProtocolViolation(
                    "received unencrypted data after SSL request", severity="FATAL",
                    detail="This could be either a client-software bug or evidence of an attempted"
                    " man-in-the-middle attack.",
                )  # fmt: skip
            if code == messages.SSL_REQUEST and self._tls_available:
                self._tls_available, self._tls = False, True
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
        method = self._door.method(self._user, self._database, self._tls)
        self._role = self._authenticator.lookup(self._user)
        if method == "trust":
            return [*actions, self._accept()]
        self._handle = self._ask_in_clear if method == "password" else self._ask
        return [*actions, Wait(self._door.wait_s(self._user))]

    def _verifier(self) -> tuple[scram.Verifier, bool]:
        """The role's verifier and False; one that nothing fits and True when it has none."""
        verifier = None
        if self._role is not None and self._role.verifier is not None:
            verifier = scram.Verifier.parse(self._role.verifier)
        return verifier or scram.mock_verifier(self._user, self._mock_secret), verifier is None

    def _ask(self) -> list[Action]:
        verifier, doomed = self._verifier()
        self._scram = scram.ScramServer(self._user, verifier, self._nonce(), doomed)
        self._handle = self._scram_first
        return [Send(messages.authentication(10, scram.MECHANISM.encode() + b"\0\0"))]

    def _ask_in_clear(self) -> list[Action]:
        self._handle = self._clear_password
        return [Send(messages.authentication(3))]

    def _clear_password(self) -> list[Action] | None:
        payload = self._password_message()
        if payload is None:
            return None
        if payload[-1:] != b"\0":
            raise ProtocolViolation("invalid password packet size", severity="FATAL")
        verifier, doomed = self._verifier()
        try:
            right = verifier.fits(payload[:-1].decode()) and not doomed
        except UnicodeDecodeError:
            right = False
        self._door.heard(self._user, right)
        if not right:
            raise InvalidPassword(f'password authentication failed for user "{self._user}"', severity="FATAL")
        return [self._accept()]

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
        try:
            answer = self._exchange().final(payload)
        except InvalidPassword:
            self._door.heard(self._user, False)
            raise
        self._door.heard(self._user, True)
        return [Send(messages.authentication(12, answer)), self._accept()]

    def _exchange(self) -> scram.ScramServer:
        if self._scram is None:
            raise ProtocolViolation("SASL response without a request", severity="FATAL")
        return self._scram
