"""crypt and gen_salt: hashes of passwords, by the prefix of the salt (manual, F.28.2). Errors: 22023, 0A000."""

from __future__ import annotations

import hashlib
import importlib
import secrets
from typing import Any, Final

from aurora.errors import ExternalRoutineInvocationException, InvalidParameterValue, NotSupported, SqlError
from compute_node.extensions.library import define
from compute_node.extensions.pgcrypto import des_crypt
from compute_node.extensions.pgcrypto.des_crypt import ALPHABET
from compute_node.hub import HUB

_MD5_ROUNDS: Final = 1000
_XDES_ROUNDS, _XDES_ROUNDS_MAX = 29 * 25, (1 << 24) - 1
_BF_COST, _BF_COST_MIN, _BF_COST_MAX = 6, 4, 31
_BF_ALPHABET: Final = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_BF_SETTING_BYTES: Final = 29
_BF_PASSWORD_BYTES_MAX: Final = 72


def _invalid_salt() -> SqlError:
    return InvalidParameterValue("invalid salt")


def _crypt(password: str, setting: str) -> str:
    data = password.encode().partition(b"\0")[0]
    if setting.startswith(("$2a$", "$2x$")):
        return _blowfish(data, setting)
    if setting.startswith("$2$"):
        raise ExternalRoutineInvocationException("crypt(3) returned NULL")
    if setting.startswith("$1$"):
        return _md5(data, setting)
    if setting.startswith("_"):
        if len(setting.encode()) < 9:
            raise _invalid_salt()
        return des_crypt.extended(data, setting)
    if len(setting.encode()) < 2:
        raise _invalid_salt()
    return des_crypt.traditional(data, setting)


def _md5(password: bytes, setting: str) -> str:
    """The hash of FreeBSD: a thousand digests over password and salt."""
    salt = setting[3:].partition("$")[0].encode()[:8]

    def digest(*parts: bytes) -> bytes:
        return hashlib.md5(b"".join(parts), usedforsecurity=False).digest()

    inner = digest(password, salt, password)
    parts = [password, b"$1$", salt, (inner * (len(password) // 16 + 1))[: len(password)]]
    length = len(password)
    while length:
        parts.append(b"\0" if length & 1 else password[:1])
        length >>= 1
    done = digest(*parts)
    for turn in range(_MD5_ROUNDS):
        if turn % 200 == 0:
            HUB.pulse()
        first, last = (password, done) if turn & 1 else (done, password)
        done = digest(first, salt if turn % 3 else b"", password if turn % 7 else b"", last)
    groups = [(done[a], done[a + 6], done[12 + a] if a < 4 else done[5]) for a in range(5)]
    text = "".join(_digits((a << 16) | (b << 8) | c, 4) for a, b, c in groups) + _digits(done[11], 2)
    return f"$1${salt.decode(errors='replace')}${text}"


def _digits(value: int, count: int) -> str:
    """A number of crypt(3), least significant digit first."""
    return "".join(ALPHABET[value >> 6 * place & 63] for place in range(count))


def _bcrypt() -> Any:
    try:
        return importlib.import_module("bcrypt")
    except ImportError:
        raise NotSupported("hashes of the type bf need the library bcrypt, which is not installed") from None


def _blowfish(password: bytes, setting: str) -> str:
    """bcrypt; ``$2x$``, which repeats an old error with bytes above 127, is only for passwords without them."""
    cost = setting[4:6]
    salt = setting[7:_BF_SETTING_BYTES]
    whole = len(setting) >= _BF_SETTING_BYTES and setting[6] == "$" and cost.isascii() and cost.isdigit()
    if not whole or not _BF_COST_MIN <= int(cost) <= _BF_COST_MAX or not set(salt) <= set(_BF_ALPHABET):
        raise _invalid_salt()
    if setting[2] == "x" and not password.isascii():
        raise NotSupported("hashes of the type $2x$ are not supported for passwords with other characters than ASCII")
    start = f"$2a${cost}${salt}".encode()
    made: bytes = HUB.in_thread(_bcrypt().hashpw, password[:_BF_PASSWORD_BYTES_MAX], start)
    return setting[:4] + made.decode()[4:]


def _salt(kind: str, rounds: int = 0) -> str:
    lowered = kind.lower()
    if lowered not in _SALTS:
        raise InvalidParameterValue("gen_salt: Unknown salt algorithm")
    made = _SALTS[lowered](rounds)
    if made is None:
        raise InvalidParameterValue("gen_salt: Incorrect number of rounds")
    return made


def _random(count: int) -> str:
    return "".join(ALPHABET[secrets.randbelow(64)] for _ in range(count))


def _salt_des(rounds: int) -> str | None:
    return _random(2) if rounds in (0, des_crypt.TRADITIONAL_ROUNDS) else None


def _salt_md5(rounds: int) -> str | None:
    return f"$1${_random(8)}" if rounds in (0, _MD5_ROUNDS) else None


def _salt_xdes(rounds: int) -> str | None:
    count = rounds or _XDES_ROUNDS
    if not 1 <= count <= _XDES_ROUNDS_MAX or count % 2 == 0:
        return None
    return f"_{_digits(count, 4)}{_random(4)}"


def _salt_bf(rounds: int) -> str | None:
    cost = rounds or _BF_COST
    if not _BF_COST_MIN <= cost <= _BF_COST_MAX:
        return None
    bits = secrets.randbits(128) << 4
    return f"$2a${cost:02}$" + "".join(_BF_ALPHABET[bits >> shift & 63] for shift in range(126, -1, -6))


_SALTS: Final = {"des": _salt_des, "md5": _salt_md5, "xdes": _salt_xdes, "bf": _salt_bf}

define("pg_crypt", 2, _crypt)
define("pg_gen_salt", 1, _salt)
define("pg_gen_salt_rounds", 2, _salt)
