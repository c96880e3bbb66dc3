"""Values in their stored forms, numeric's everyday arithmetic, hashes: what is asked for each row.

What is long, large or rare has its code in ``compute_node/types``; the functions say with None that it is needed.
"""

from __future__ import annotations

import decimal
import struct
import uuid
from decimal import ROUND_HALF_UP, Decimal

from aurora.datum import Datum
from aurora.errors import SubstringError

DIGITS_MAX = 18
"""of a number that arithmetic here takes"""
_ARRAY_HEAD = b"\0\0\0\1\0\0\0\0"
_FROM_ONE = b"\0\0\0\1"
_MASK = 0xFFFFFFFF
_MASK64 = 0xFFFFFFFFFFFFFFFF
_BEGIN = 0x9E3779B9 + 3923095
_WORDS = struct.Struct("<3I")


def uuid_text(data: bytes) -> str:
    """The canonical text of the 16 bytes of a uuid."""
    return str(uuid.UUID(bytes=data))


def uuid_bytes(text: str) -> bytes:
    """Inverse of ``uuid_text``."""
    return bytes.fromhex(text.replace("-", ""))


def fixed_array(data: bytes, code: str) -> list[Datum] | None:
    """A stored array of one dimension from 1 on without NULLs, of elements of one of struct's codes ``h i q I d``; None
    of any other."""
    size = 4 + struct.calcsize(">" + code)
    count, rest = divmod(len(data) - 20, size)
    if rest or count < 1 or count > 1000 or data[:8] != _ARRAY_HEAD or data[16:20] != _FROM_ONE:
        return None
    return list(struct.unpack_from(">" + ("i" + code) * count, data, 20)[1::2])


def text_array(data: bytes) -> list[Datum] | None:
    """As ``fixed_array``, of texts."""
    if len(data) < 24 or len(data) > 8000 or data[:8] != _ARRAY_HEAD or data[16:20] != _FROM_ONE:
        return None
    found: list[Datum] = []
    at, end = 20, len(data)
    while at < end:
        start = at + 4
        at = start + int.from_bytes(data[at:start], "big")
        if start > end or at > end:
            return None
        found.append(str(data[start:at], "utf-8"))
    return found


def whole_range(data: bytes) -> tuple[int, int, int] | None:
    """(lower, upper, flags) of a stored range between two signed integers of four or eight bytes; None of another."""
    if len(data) not in (17, 25) or data[0] & 25:
        return None
    size = (len(data) - 9) // 2
    lower, upper = data[1:5], data[5 + size : 9 + size]
    if int.from_bytes(lower, "big") != size or int.from_bytes(upper, "big") != size:
        return None
    first, second = data[5 : 5 + size], data[9 + size :]
    return int.from_bytes(first, "big", signed=True), int.from_bytes(second, "big", signed=True), data[0] & 31


def initcap(text: str) -> str | None:
    """Words with a capital first letter and small others; None of a text that is not ASCII."""
    if not text.isascii():
        return None
    out = []
    inside = False
    for char in text:
        out.append(char.lower() if inside else char.upper())
        inside = char.isalnum()
    return "".join(out)


def substring(text: str, start: int, length: int) -> str:
    """``length`` characters from ``start`` on, which counts from 1; 22011."""
    if length < 0:
        raise SubstringError("negative substring length not allowed")
    return text[max(start - 1, 0) : max(start - 1 + length, 0)]


# Bob Jenkins' lookup3, as PostgreSQL has it.


def _turn(x: int, count: int) -> int:
    return (x << count | x >> (32 - count)) & _MASK


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    a = (a - c & _MASK) ^ _turn(c, 4)
    c = c + b & _MASK
    b = (b - a & _MASK) ^ _turn(a, 6)
    a = a + c & _MASK
    c = (c - b & _MASK) ^ _turn(b, 8)
    b = b + a & _MASK
    a = (a - c & _MASK) ^ _turn(c, 16)
    c = c + b & _MASK
    b = (b - a & _MASK) ^ _turn(a, 19)
    a = a + c & _MASK
    c = (c - b & _MASK) ^ _turn(b, 4)
    return a, b + a & _MASK, c


def _final(a: int, b: int, c: int) -> int:
    c = (c ^ b) - _turn(b, 14) & _MASK
    a = (a ^ c) - _turn(c, 11) & _MASK
    b = (b ^ a) - _turn(a, 25) & _MASK
    c = (c ^ b) - _turn(b, 16) & _MASK
    a = (a ^ c) - _turn(c, 4) & _MASK
    b = (b ^ a) - _turn(a, 14) & _MASK
    return b << 32 | (c ^ b) - _turn(b, 24) & _MASK


Hashing = tuple[int, int, int]
"""the state of a hash between two pieces of what is hashed"""


def hash_begin(length: int, seed: int = 0) -> Hashing:
    """The state before the first piece of so many bytes."""
    a = b = c = _BEGIN + length & _MASK
    seed &= _MASK64
    if seed:
        return _mix(a + (seed >> 32) & _MASK, b + (seed & _MASK) & _MASK, c)
    return a, b, c


def hash_more(state: Hashing, piece: bytes) -> Hashing:
    """The state after a piece, whose length is a multiple of 12."""
    a, b, c = state
    for x, y, z in _WORDS.iter_unpack(piece):
        a, b, c = _mix(a + x & _MASK, b + y & _MASK, c + z & _MASK)
    return a, b, c


def hash_end(state: Hashing, rest: bytes) -> int:
    """The hash, 64 bits, unsigned, after the last piece of less than 12 bytes."""
    a, b, c = state
    a += int.from_bytes(rest[:4], "little")
    b += int.from_bytes(rest[4:8], "little")
    # The lowest byte of c is the length's.
    c += int.from_bytes(rest[8:12], "little") << 8
    return _final(a & _MASK, b & _MASK, c & _MASK)


def hash_bytes(data: bytes, seed: int = 0) -> int:
    """64 bits, unsigned; without a seed the lower 32 are the plain hash."""
    whole = len(data) - len(data) % 12
    return hash_end(hash_more(hash_begin(len(data), seed), data[:whole]), data[whole:])


def hash_word(value: int, seed: int = 0) -> int:
    """As ``hash_bytes``, of 32 bits."""
    a, b, c = hash_begin(4, seed)
    return _final(a + (value & _MASK) & _MASK, b, c)


def hash_text(text: str) -> int:
    """A text's plain hash, as a signed number of 32 bits."""
    return ((hash_bytes(text.encode()) & _MASK) ^ 0x80000000) - 0x80000000


def hash_int(value: int) -> int:
    """The plain hash of 32 bits, as a signed number of 32 bits."""
    return ((hash_word(value) & _MASK) ^ 0x80000000) - 0x80000000


# Numbers.

EXACT = decimal.Context(
    prec=300_000,
    rounding=ROUND_HALF_UP,
    Emin=-999_999,
    Emax=999_999,
    capitals=1,
    clamp=0,
    flags=[],
    traps=[decimal.InvalidOperation, decimal.Overflow],
)
"""Wide enough that sums, products and roundings of any two values are exact; rounds half away from zero."""
_PIECE_BYTES = 1024
_SPECIAL = (Decimal("NaN"), Decimal("Infinity"), Decimal("-Infinity"))


def number(data: bytes) -> Decimal:
    """A stored numeric: scale (u16, 0x8000 and a code for NaN and the infinities), then the unscaled value as a signed
    little-endian integer."""
    scale = data[0] | data[1] << 8
    if scale & 0x8000:
        return _SPECIAL[scale & 3]
    value = int.from_bytes(data[2:], "little", signed=True)
    if len(data) <= _PIECE_BYTES:
        return Decimal(value).scaleb(-scale, EXACT)
    magnitude = _joined(abs(value).to_bytes(len(data), "little"))
    return (magnitude if value >= 0 else magnitude.copy_negate()).scaleb(-scale, EXACT)


def _joined(data: bytes) -> Decimal:
    """An unsigned integer: Python's own way takes a time that grows with the square of its length."""
    parts = [
        Decimal(int.from_bytes(data[at : at + _PIECE_BYTES], "little")) for at in range(0, len(data), _PIECE_BYTES)
    ]
    unit = Decimal(1 << 8 * _PIECE_BYTES)
    while len(parts) > 1:
        parts += [Decimal(0)] * (len(parts) % 2)
        parts = [EXACT.fma(high, unit, low) for low, high in zip(parts[::2], parts[1::2], strict=True)]
        unit = EXACT.multiply(unit, unit)
    return parts[0]


def _parts(value: Decimal) -> tuple[int, int] | None:
    """(unscaled value, scale) of a number of few digits."""
    if not -DIGITS_MAX <= value.adjusted() < DIGITS_MAX:
        return None
    text = str(value)
    whole, _, fraction = text.partition(".")
    digits = whole.removeprefix("-") + fraction
    if not digits.isdigit() or len(digits) > DIGITS_MAX:
        return None
    return int(whole + fraction), len(fraction)


def _made(value: int, scale: int) -> Decimal:
    return Decimal(f"{value}E-{scale}")


def _first_group(value: int, scale: int) -> tuple[int, int]:
    """(weight, first digit) in base 10000; (0, 0) of zero."""
    if not value:
        return 0, 0
    digits = str(abs(value))
    exponent = len(digits) - 1 - scale
    weight = exponent // 4
    count = exponent - 4 * weight + 1
    return weight, int(digits[:count].ljust(count, "0"))


def divided(a: Decimal, b: Decimal) -> Decimal | None:
    """a / b with at least 16 significant digits and both scales, rounded half away from zero; None of a number of many
    digits, and of a division by zero."""
    first, second = _parts(a), _parts(b)
    if first is None or second is None or not second[0]:
        return None
    (weight_a, group_a), (weight_b, group_b) = _first_group(*first), _first_group(*second)
    scale = max(16 - 4 * (weight_a - weight_b - (group_a <= group_b)), first[1], second[1], 0)
    shift = scale - first[1] + second[1]
    if shift > 38 - DIGITS_MAX:
        return None
    whole, rest = divmod(abs(first[0]) * 10**shift, abs(second[0]))
    whole += 2 * rest >= abs(second[0])
    return _made(-whole if (first[0] < 0) != (second[0] < 0) else whole, scale)


def rest(a: Decimal, b: Decimal) -> Decimal | None:
    """a % b with the sign of a and the larger scale; None as of ``divided``."""
    first, second = _parts(a), _parts(b)
    if first is None or second is None or not second[0]:
        return None
    scale = max(first[1], second[1])
    left, right = abs(first[0]) * 10 ** (scale - first[1]), abs(second[0]) * 10 ** (scale - second[1])
    found = left % right
    return _made(-found if first[0] < 0 else found, scale)


def rounded(value: Decimal, scale: int) -> Decimal | None:
    """Half away from zero, to ``scale`` decimals from 0 on; None of a number of many digits."""
    return _cut(value, scale, True)


def truncated(value: Decimal, scale: int) -> Decimal | None:
    """Towards zero, as ``rounded``."""
    return _cut(value, scale, False)


def _cut(value: Decimal, scale: int, half: bool) -> Decimal | None:
    parts = _parts(value)
    if parts is None or not 0 <= scale <= DIGITS_MAX:
        return None
    unscaled, before = parts
    if scale == before:
        return value
    if scale >= before:
        return None if scale - before > DIGITS_MAX else _made(unscaled * 10 ** (scale - before), scale)
    unit = 10 ** (before - scale)
    whole, left = divmod(abs(unscaled), unit)
    whole += half and 2 * left >= unit
    return _made(-whole if unscaled < 0 else whole, scale)


def whole_number(value: Decimal) -> int | None:
    """The nearest integer, half away from zero; None of a number of many digits."""
    parts = _parts(value)
    if parts is None:
        return None
    unit: int = 10 ** parts[1]
    whole, left = divmod(abs(parts[0]), unit)
    whole += 2 * left >= unit
    return -whole if parts[0] < 0 else whole
