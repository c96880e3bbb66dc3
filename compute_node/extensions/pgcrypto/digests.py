"""digest and hmac over OpenSSL's algorithms, and random bytes. Errors: 22023, 39000."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid
from collections.abc import Callable
from typing import Any, Final

from aurora.errors import ExternalRoutineInvocationException, InvalidParameterValue
from compute_node.extensions.library import define
from compute_node.hub import HUB

_ALIASES: Final = {
    "rmd160": "ripemd160", "ripemd": "ripemd160", "blake2b512": "blake2b", "blake2s256": "blake2s",
    "sha512-224": "sha512_224", "sha512-256": "sha512_256",
    **{f"sha3-{bits}": f"sha3_{bits}" for bits in (224, 256, 384, 512)},
}  # fmt: skip
_OLD: Final = frozenset(("md4", "mdc2", "whirlpool"))
"""names that OpenSSL 3 knows, and does not do"""
_RANDOM_BYTES_MAX: Final = 1024
_PIECE_BYTES: Final = 1 << 22


def _algorithm(name: str) -> Callable[..., Any]:
    lowered = name.lower()
    if lowered in _OLD:
        raise InvalidParameterValue(f'Cannot use "{lowered}": Cipher cannot be initialized')
    try:
        made = hashlib.new(_ALIASES.get(lowered, lowered), usedforsecurity=False)
    except ValueError:
        made = None
    if made is None or not made.digest_size:
        raise InvalidParameterValue(f'Cannot use "{lowered}": No such hash algorithm')

    def make(data: bytes = b"") -> Any:
        found = made.copy()
        found.update(data)
        return found

    return make


def as_bytes(value: str | bytes) -> bytes:
    """A text as UTF-8, bytea as it is."""
    return value.encode() if isinstance(value, str) else value


def _fed(running: Any, data: bytes) -> bytes:
    for at in range(0, len(data), _PIECE_BYTES):
        running.update(data[at : at + _PIECE_BYTES])
        HUB.pulse()
    result: bytes = running.digest()
    return result


def _digest(data: str | bytes, name: str) -> bytes:
    return _fed(_algorithm(name)(b""), as_bytes(data))


def _hmac(data: str | bytes, key: str | bytes, name: str) -> bytes:
    return _fed(hmac.new(as_bytes(key), b"", _algorithm(name)), as_bytes(data))


def _random_bytes(count: int) -> bytes:
    if not 1 <= count <= _RANDOM_BYTES_MAX:
        raise ExternalRoutineInvocationException("Length not in range")
    return secrets.token_bytes(count)


define("pg_digest", 2, _digest)
define("pg_hmac", 3, _hmac)
define("pg_random_bytes", 1, _random_bytes)
define("pg_random_uuid", 0, lambda: str(uuid.uuid4()))
