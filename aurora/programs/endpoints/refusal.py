"""What a client hears when nobody can take it: PostgreSQL's 57P03, in the form that its first message asks for.

Sans I/O: bytes in → bytes out and whether to close. TLS and GSS are declined (the router has no certificate: only
instances do), a cancel request needs no answer. Source: PostgreSQL manual, chapter 55.2.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

CANCEL_CODE: Final = 80877102
SSL_CODE: Final = 80877103
GSS_CODE: Final = 80877104
CANCEL_BYTES: Final = 16
STARTUP_BYTES_MAX: Final = 10_000


class Answer(NamedTuple):
    """Bytes to send, then whether to close."""

    data: bytes
    close: bool


class Cancel(NamedTuple):
    """A cancel request."""

    pid: int
    secret: int


def cannot_connect_now(detail: str) -> bytes:
    """An ErrorResponse: FATAL, 57P03."""
    fields = (
        ("S", "FATAL"),
        ("V", "FATAL"),
        ("C", "57P03"),
        ("M", "the database system is starting up"),
        ("D", detail),
    )
    body = b"".join(code.encode() + text.encode() + b"\0" for code, text in fields) + b"\0"
    return b"E" + (len(body) + 4).to_bytes(4, "big") + body


def cancel_in(data: bytes) -> Cancel | None:
    """The cancel request that a connection begins with, if it does."""
    if len(data) < CANCEL_BYTES:
        return None
    length, code, pid, secret = struct.unpack_from(">IIII", data)
    return Cancel(pid, secret) if (length, code) == (CANCEL_BYTES, CANCEL_CODE) else None


def cancel_request(cancel: Cancel) -> bytes:
    """The packet of a cancel request."""
    return struct.pack(">IIII", CANCEL_BYTES, CANCEL_CODE, cancel.pid & 0xFFFFFFFF, cancel.secret)


class Refusal:
    """One client's refusal."""

    def __init__(self, detail: str) -> None:
        self._detail = detail
        self._buffer = b""

    def feed(self, data: bytes) -> Answer:
        """Take bytes of the client."""
        self._buffer += data
        out = b""
        while len(self._buffer) >= 8:
            length, code = struct.unpack_from(">II", self._buffer)
            if not 8 <= length <= STARTUP_BYTES_MAX or code == CANCEL_CODE:
                return Answer(out, True)
            if code not in (SSL_CODE, GSS_CODE):
                return Answer(out + cannot_connect_now(self._detail), True)
            if len(self._buffer) > 8:  # more before the answer: nothing that speaks this protocol
                return Answer(out, True)
            out += b"N"
            self._buffer = b""
        return Answer(out, False)
