"""SCRAM-SHA-256 on the server's side (RFC 5802, RFC 7677): client messages in → server messages out.

The stored verifier has PostgreSQL's form ``SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`` (base 64). A user that
does not exist, or has no password, goes through the whole exchange with a made-up verifier and fails at its end, so
that the exchange tells nothing about which users exist.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import stringprep
import unicodedata
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass

from aurora.errors import InvalidPassword, ProtocolViolation

MECHANISM = "SCRAM-SHA-256"
ITERATIONS = 4096


@dataclass(frozen=True, slots=True)
class Verifier:
    """What the server keeps of a password."""

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    def text(self) -> str:
        """The stored form."""
        salt, stored, server = (b64encode(part).decode() for part in (self.salt, self.stored_key, self.server_key))
        return f"{MECHANISM}${self.iterations}:{salt}${stored}:{server}"

    def fits(self, password: str) -> bool:
        """Whether a password in the clear is the one."""
        return hmac.compare_digest(make_verifier(password, self.salt, self.iterations).stored_key, self.stored_key)

    @staticmethod
    def parse(text: str) -> Verifier | None:
        """The verifier in a stored text, None when it has another form."""
        try:
            mechanism, parameters, keys = text.split("$")
            iterations, salt = parameters.split(":")
            stored, server = keys.split(":")
            verifier = Verifier(
                int(iterations),
                b64decode(salt, validate=True),
                b64decode(stored, validate=True),
                b64decode(server, validate=True),
            )
        except (ValueError, Base64Error):
            return None
        if mechanism != MECHANISM or len(verifier.stored_key) != 32 or len(verifier.server_key) != 32:
            return None
        return verifier


def saslprep(password: str) -> str:
    """RFC 4013's preparation; a password that it forbids is used as it is, as PostgreSQL does."""
    mapped = "".join(" " if stringprep.in_table_c12(c) else c for c in password if not stringprep.in_table_b1(c))
    prepared = unicodedata.normalize("NFKC", mapped)
    if not prepared:
        return password
    prohibited = (
        stringprep.in_table_c12, stringprep.in_table_c21_c22, stringprep.in_table_c3, stringprep.in_table_c4,
        stringprep.in_table_c5, stringprep.in_table_c6, stringprep.in_table_c7, stringprep.in_table_c8,
        stringprep.in_table_c9, stringprep.in_table_a1,
    )  # fmt: skip
    if any(check(c) for c in prepared for check in prohibited):
        return password
    if any(stringprep.in_table_d1(c) for c in prepared) and (
        any(stringprep.in_table_d2(c) for c in prepared)
        or not (stringprep.in_table_d1(prepared[0]) and stringprep.in_table_d1(prepared[-1]))
    ):
        return password
    return prepared


def make_verifier(password: str, salt: bytes | None = None, iterations: int = ITERATIONS) -> Verifier:
    """The verifier of a password; ``salt`` is random when not given."""
    salt = secrets.token_bytes(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", saslprep(password).encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return Verifier(iterations, salt, hashlib.sha256(client_key).digest(), hmac.digest(salted, b"Server Key", "sha256"))


def mock_verifier(user: str, secret: bytes) -> Verifier:
    """A verifier that no password fits, the same each time for one user and cluster secret."""
    salt = hmac.digest(secret, b"salt" + user.encode(), "sha256")[:16]
    stored = hmac.digest(secret, b"stored" + user.encode(), "sha256")
    return Verifier(ITERATIONS, salt, stored, hmac.digest(secret, b"server" + user.encode(), "sha256"))


def _attributes(text: str, expected: str) -> list[str]:
    """The values of a SCRAM message's attributes, which must start with the letters ``expected``, in order."""
    parts = text.split(",")
    if len(parts) < len(expected):
        raise ProtocolViolation("malformed SCRAM message", detail="Message is incomplete.", severity="FATAL")
    for part, letter in zip(parts, expected, strict=False):
        if part[:2] != letter + "=":
            raise ProtocolViolation(
                "malformed SCRAM message", detail=f"Expected attribute \"{letter}\" but found \"{part[:1]}\".",
                severity="FATAL",
            )  # fmt: skip
    return [part[2:] for part in parts]


class ScramServer:
    """One exchange: ``first(client-first)`` → server-first, ``final(client-final)`` → server-final.

    ``doomed`` makes a right proof fail too. Errors: 08P01 for a malformed message, 28P01 for a wrong password.
    """

    def __init__(self, user: str, verifier: Verifier, server_nonce: str, doomed: bool = False) -> None:
        self._user = user
        self._verifier = verifier
        self._server_nonce = server_nonce
        self._doomed = doomed
        self._gs2_header = ""
        self._nonce = ""
        self._auth_prefix = ""

    def first(self, data: bytes) -> bytes:
        """Take client-first; returns server-first."""
        text = _decode(data)
        pieces = text.split(",", 2)
        if len(pieces) < 3:
            raise ProtocolViolation("malformed SCRAM message", severity="FATAL")
        binding, authzid, bare = pieces
        if binding.startswith("p="):
            raise ProtocolViolation(
                "client selected SCRAM-SHA-256 without channel binding, but the SCRAM message includes channel"
                " binding data",
                severity="FATAL",
            )
        if binding not in ("n", "y") or authzid:
            raise ProtocolViolation("malformed SCRAM message", severity="FATAL")
        client_nonce = _attributes(bare, "nr")[1]
        if not client_nonce or not all(33 <= ord(c) <= 126 for c in client_nonce):
            raise ProtocolViolation("non-printable characters in SCRAM nonce", severity="FATAL")
        self._gs2_header = f"{binding},,"
        self._nonce = client_nonce + self._server_nonce
        salt = b64encode(self._verifier.salt).decode()
        answer = f"r={self._nonce},s={salt},i={self._verifier.iterations}"
        self._auth_prefix = f"{bare},{answer},"
        return answer.encode()

    def final(self, data: bytes) -> bytes:
        """Take client-final; returns server-final, or raises 28P01."""
        text = _decode(data)
        without_proof, separator, proof_text = text.rpartition(",p=")
        if not separator:
            raise ProtocolViolation("malformed SCRAM message", severity="FATAL")
        binding, nonce = _attributes(without_proof, "cr")[:2]
        try:
            header = b64decode(binding, validate=True)
            proof = b64decode(proof_text, validate=True)
        except (ValueError, Base64Error) as error:
            raise ProtocolViolation("malformed SCRAM message", severity="FATAL") from error
        if header != self._gs2_header.encode():
            raise ProtocolViolation(
                "unexpected SCRAM channel-binding attribute in client-final-message", severity="FATAL"
            )
        if nonce != self._nonce:
            raise ProtocolViolation("invalid SCRAM response", detail="Nonce does not match.", severity="FATAL")
        if len(proof) != 32:
            raise ProtocolViolation("malformed SCRAM message", severity="FATAL")
        auth_message = (self._auth_prefix + without_proof).encode()
        signature = hmac.digest(self._verifier.stored_key, auth_message, "sha256")
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
        fits = hmac.compare_digest(hashlib.sha256(client_key).digest(), self._verifier.stored_key)
        if not fits or self._doomed:
            raise InvalidPassword(f'password authentication failed for user "{self._user}"', severity="FATAL")
        return b"v=" + b64encode(hmac.digest(self._verifier.server_key, auth_message, "sha256"))


def _decode(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ProtocolViolation("malformed SCRAM message", severity="FATAL") from error
