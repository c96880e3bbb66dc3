"""Startup and SCRAM-SHA-256, sans I/O: RFC 7677's example, refusals, split input."""

from __future__ import annotations

import hashlib
import hmac
import struct
from base64 import b64decode, b64encode

import pytest
from wire_fakes import FakeRoles, fields

from aurora.errors import InvalidAuthorizationSpecification, InvalidPassword, NotSupported, ProtocolViolation
from compute_node.protocol import messages
from compute_node.wire import scram
from compute_node.wire.startup import Authenticated, Cancel, Drop, Send, StartTls, Startup, Wait

RFC_SALT = b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
RFC_NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"


def packet(code: int, payload: bytes = b"") -> bytes:
    return struct.pack("!ii", len(payload) + 8, code) + payload


def parameters(**values: str) -> bytes:
    pairs = b"".join(f"{name}\0{value}\0".encode() for name, value in values.items())
    return packet(messages.PROTOCOL_3, pairs + b"\0")


class FakeDoor:
    """Answers one method; keeps what it heard."""

    def __init__(self, method: str, wait_s: float = 0.0) -> None:
        self._method, self._wait_s = method, wait_s
        self.seen: list[tuple[str, str, bool]] = []
        self.passwords: list[tuple[str, bool]] = []

    def method(self, user: str, database: str, tls: bool) -> str:
        self.seen.append((user, database, tls))
        return self._method

    def wait_s(self, user: str) -> float:
        return self._wait_s

    def heard(self, user: str, right: bool) -> None:
        self.passwords.append((user, right))


def machine(trusted: bool = True, tls: bool = False, door: FakeDoor | None = None, **verifiers: str | None) -> Startup:
    door = door or FakeDoor("trust" if trusted else "scram-sha-256")
    return Startup(FakeRoles(**verifiers), door, tls, lambda: RFC_NONCE, b"secret")


def test_verifier_is_postgresqls_form() -> None:
    verifier = scram.make_verifier("pencil", RFC_SALT)
    text = verifier.text()
    assert text == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
        ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )
    assert scram.Verifier.parse(text) == verifier
    for bad in ("", "md5abc", text[:-3], text.replace("4096", "x"), text.replace("SCRAM", "SHRAM")):
        assert scram.Verifier.parse(bad) is None


def test_rfc_7677_exchange() -> None:
    server = scram.ScramServer("user", scram.make_verifier("pencil", RFC_SALT), RFC_NONCE)
    assert server.first(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO") == (
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    assert server.final(
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    ) == (b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


def proof_for(password: str, bare: str, answer: str) -> str:
    values = dict(part.split("=", 1) for part in answer.split(","))
    without = f"c=biws,r={values['r']}"
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), b64decode(values["s"]), int(values["i"]))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    signature = hmac.digest(hashlib.sha256(client_key).digest(), f"{bare},{answer},{without}".encode(), "sha256")
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    return f"{without},p={b64encode(proof).decode()}"


@pytest.mark.parametrize("user", ["alice", "nobody", "bare"])
def test_every_user_goes_through_the_same_exchange(user: str) -> None:
    door = FakeDoor("scram-sha-256", 0.5)
    start = machine(False, door=door, alice=scram.make_verifier("right", RFC_SALT).text(), bare=None)
    assert start.feed(parameters(user=user, database="db")) == [Wait(0.5)]
    (request,) = start.feed(b"")
    assert isinstance(request, Send)
    assert request.data.endswith(b"SCRAM-SHA-256\0\0")
    bare = "n=,r=abc"
    first = scram.MECHANISM.encode() + b"\0" + struct.pack("!i", len(bare) + 3) + f"n,,{bare}".encode()
    (answer,) = start.feed(messages.message(b"p", first))
    assert isinstance(answer, Send)
    final = proof_for("right", bare, answer.data[9:].decode()).encode()
    if user == "alice":
        last, who = start.feed(messages.message(b"p", final) + b"Q")
        assert isinstance(last, Send)
        assert isinstance(who, Authenticated)
        assert (who.user, who.database, who.rest) == ("alice", "db", b"Q")
    else:
        with pytest.raises(InvalidPassword, match=f'password authentication failed for user "{user}"'):
            start.feed(messages.message(b"p", final))
    assert door.seen == [(user, "db", False)]
    assert door.passwords == [(user, user == "alice")]


@pytest.mark.parametrize(("password", "right"), [(b"right\0", True), (b"wrong\0", False), (b"\xff\0", False)])
def test_a_password_in_the_clear(password: bytes, right: bool) -> None:
    door = FakeDoor("password")
    start = machine(door=door, alice=scram.make_verifier("right", RFC_SALT).text())
    assert start.feed(parameters(user="alice")) == [Wait(0.0)]
    assert start.feed(b"") == [Send(messages.authentication(3))]
    if right:
        (who,) = start.feed(messages.message(b"p", password))
        assert isinstance(who, Authenticated)
    else:
        with pytest.raises(InvalidPassword):
            start.feed(messages.message(b"p", password))
    assert door.passwords == [("alice", right)]


@pytest.mark.parametrize(
    "first", [b"GET / HTTP/1.1\r\n\r\n", b"X\0\0\0\4", b"\0\0\0\5\0", b"\0\0\0\x0c\x04\xd2\x16.abcd"]
)
def test_what_is_no_startup_packet_is_closed_without_an_answer(first: bytes) -> None:
    (action,) = machine().feed(first)
    assert isinstance(action, Drop)


def test_the_door_is_told_whether_tls_is_up() -> None:
    door = FakeDoor("trust")
    start = machine(tls=True, door=door)
    assert start.feed(packet(messages.SSL_REQUEST)) == [StartTls()]
    start.feed(parameters(user="postgres"))
    assert door.seen == [("postgres", "postgres", True)]


def test_wrong_password() -> None:
    server = scram.ScramServer("u", scram.make_verifier("right", RFC_SALT), RFC_NONCE)
    answer = server.first(b"n,,n=,r=abc").decode()
    with pytest.raises(InvalidPassword):
        server.final(proof_for("wrong", "n=,r=abc", answer).encode())


@pytest.mark.parametrize("data", [b"", b"n,,", b"p=tls-unique,,n=,r=a", b"n,,m=x,n=,r=a", b"n,,n=,r=", b"\xff,,n=,r=a"])
def test_malformed_scram(data: bytes) -> None:
    server = scram.ScramServer("u", scram.make_verifier("right", RFC_SALT), RFC_NONCE)
    with pytest.raises(ProtocolViolation):
        server.first(data)


def test_trust_byte_by_byte() -> None:
    start = machine()
    data = parameters(user="postgres", application_name="x")
    actions = [action for byte in data for action in start.feed(bytes([byte]))]
    assert len(actions) == 1
    assert isinstance(actions[0], Authenticated)
    assert actions[0].database == "postgres"
    assert actions[0].options == {"application_name": "x"}


def test_requests_before_startup() -> None:
    assert machine().feed(packet(messages.SSL_REQUEST)) == [Send(b"N")]
    assert machine().feed(packet(messages.GSS_REQUEST)) == [Send(b"N")]
    assert machine(tls=True).feed(packet(messages.SSL_REQUEST)) == [StartTls()]
    assert machine().feed(packet(messages.CANCEL_REQUEST, struct.pack("!iI", 7, 2**32 - 1))) == [Cancel(7, 2**32 - 1)]
    with pytest.raises(ProtocolViolation, match="unencrypted data after SSL request"):
        machine(tls=True).feed(packet(messages.SSL_REQUEST) + b"x")


def test_newer_minor_version_is_negotiated() -> None:
    first, who = machine().feed(packet(196610, b"user\0postgres\0_pq_.x\x001\0\0"))
    assert first == Send(messages.negotiate_version(["_pq_.x"]))
    assert isinstance(who, Authenticated)


def test_refusals() -> None:
    with pytest.raises(NotSupported, match=r"unsupported frontend protocol 2\.0"):
        machine().feed(packet(131072))
    with pytest.raises(InvalidAuthorizationSpecification, match='role "eve" does not exist'):
        machine().feed(parameters(user="eve"))
    with pytest.raises(InvalidAuthorizationSpecification, match="no PostgreSQL user name"):
        machine().feed(parameters(database="x"))
    with pytest.raises(NotSupported, match="replication"):
        machine().feed(parameters(user="postgres", replication="true"))
    with pytest.raises(ProtocolViolation):
        machine().feed(struct.pack("!ii", 9, 196608) + b"u")


def test_error_response_has_every_field() -> None:
    error = ProtocolViolation(
        "m",
        detail="d",
        hint="h",
        position=3,
        where="w",
        schema="s",
        table="t",
        column="c",
        data_type="y",
        constraint="n",
    )
    found = fields(messages.error_response(error))
    assert found == {
        "S": "ERROR", "V": "ERROR", "C": "08P01", "M": "m", "D": "d", "H": "h", "P": "3", "W": "w", "s": "s", "t": "t",
        "c": "c", "d": "y", "n": "n",
    }  # fmt: skip
