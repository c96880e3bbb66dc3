"""bit and bit varying: I/O, typmods, comparison, operators and functions (manual, 8.10 and 9.6).

A value is a str of ``0`` and ``1``; its order as a str is the type's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any, Final

from aurora.datum import Datum
from aurora.errors import (
    ArraySubscriptError,
    InvalidBinaryRepresentation,
    InvalidParameterValue,
    InvalidTextRepresentation,
    NumericValueOutOfRange,
    ProgramLimitExceeded,
    ProtocolViolation,
    SqlError,
    StringDataLengthMismatch,
    StringDataRightTruncation,
    SubstringError,
)
from compute_node.hub import HUB
from compute_node.types.common import parse_typmod_int
from compute_node.types.declare import agg, casts, comparisons, fn, fns, operator_classes, operators
from compute_node.types.long_text import PIECE, joined_bytes, pieces
from compute_node.types.registry import REGISTRY, PgType, TypeEnv

_LENGTH_MAX: Final = 2147483640
_TYPMOD_MAX: Final = 83886080
_INT4_MAX: Final = 2147483647
_U32 = struct.Struct(">I")


def _digits(text: str) -> str:
    """Binary digits, or hexadecimal ones after an X; 22P02."""
    if text[:1] in ("x", "X"):
        bad = next((char for char in text[1:] if char not in "0123456789abcdefABCDEF"), None)
        if bad is not None:
            raise InvalidTextRepresentation(f'"{bad}" is not a valid hexadecimal digit')
        return "".join(f"{int(piece, 16):0{4 * len(piece)}b}" for piece in _pieces(text[1:]) if piece)
    digits = text[1:] if text[:1] in ("b", "B") else text
    bad = next(iter(digits.replace("0", "").replace("1", "")), None)
    if bad is not None:
        raise InvalidTextRepresentation(f'"{bad}" is not a valid binary digit')
    return digits


def _mismatch(length: int, typmod: int) -> SqlError:
    return StringDataLengthMismatch(f"bit string length {length} does not match type bit({typmod})")


def _too_long(typmod: int) -> SqlError:
    return StringDataRightTruncation(f"bit string too long for type bit varying({typmod})")


def bit_in(text: str, typmod: int, env: TypeEnv) -> str:
    """Text input of bit; 22P02, 22026 for another length than the typmod's."""
    return _exact(_digits(text), typmod)


def _exact(value: str, typmod: int) -> str:
    if typmod > 0 and len(value) != typmod:
        raise _mismatch(len(value), typmod)
    return value


def _at_most(value: str, typmod: int) -> str:
    if typmod > 0 and len(value) > typmod:
        raise _too_long(typmod)
    return value


def _bit_cast(value: str, typmod: int, explicit: bool = False) -> str:
    """To a length: zeros are added or bits cut at the right, where the cast is explicit (22026 otherwise)."""
    if typmod <= 0 or len(value) == typmod:
        return value
    if not explicit:
        raise _mismatch(len(value), typmod)
    return value[:typmod].ljust(typmod, "0")


def _varbit_cast(value: str, typmod: int, explicit: bool = False) -> str:
    if typmod <= 0 or len(value) <= typmod:
        return value
    if not explicit:
        raise _too_long(typmod)
    return value[:typmod]


def _packed(value: str) -> bytes:
    """Length in bits (u32), then the bits from the highest of the first byte on."""
    return _U32.pack(len(value)) + joined_bytes([_bytes(piece) for piece in _pieces(value)])


def _bytes(piece: str) -> bytes:
    count = (len(piece) + 7) // 8
    number = int(piece, 2) << (count * 8 - len(piece)) if piece else 0
    return number.to_bytes(count, "big")


def _pieces(value: str) -> Iterable[str]:
    """The digits, of a long value in pieces of whole bytes, with a pulse between."""
    return (value,) if len(value) <= PIECE else pieces(value)


def _unpacked(data: bytes, typmod: int = -1) -> str:
    if len(data) < 4:
        raise ProtocolViolation("insufficient data left in message")
    length = _U32.unpack_from(data)[0]
    count = (length + 7) // 8
    if length > _LENGTH_MAX:
        raise InvalidBinaryRepresentation("invalid length in external bit string")
    if len(data) - 4 < count:
        raise ProtocolViolation("insufficient data left in message")
    if len(data) - 4 > count:
        raise InvalidBinaryRepresentation("incorrect binary data format")
    step = PIECE // 8
    digits = [f"{int.from_bytes(part, 'big'):0{len(part) * 8}b}" for part in _parts(data[4:], step)]
    return "".join(digits)[:length]


def _parts(data: bytes, step: int) -> Iterator[bytes]:
    for start in range(0, len(data), step):
        if start:
            HUB.pulse()
        yield data[start : start + step]


def _typmod_in(name: str) -> Datum:
    def read(arguments: list[str]) -> int:
        numbers = [parse_typmod_int("integer", each) for each in arguments]
        if len(numbers) != 1:
            raise InvalidParameterValue("invalid type modifier")
        if numbers[0] < 1:
            raise InvalidParameterValue(f"length for type {name} must be at least 1")
        if numbers[0] > _TYPMOD_MAX:
            raise InvalidParameterValue(f"length for type {name} cannot exceed {_TYPMOD_MAX}")
        return numbers[0]

    return read


for _oid, _name, _array in ((1560, "bit", 1561), (1562, "varbit", 1563)):
    _check, _cast = (_exact, _bit_cast) if _name == "bit" else (_at_most, _varbit_cast)
    REGISTRY.add_type(
        PgType(
            oid=_oid,
            name=_name,
            formatted_name="bit varying" if _name == "varbit" else None,
            length=-1,
            by_value=False,
            category="V",
            preferred=_name == "varbit",
            storage="x",
            array=_array,
            input=lambda text, typmod, env, check=_check: check(_digits(text), typmod),  # type: ignore[misc]
            output=lambda value, env: value,
            text_bytes=str.encode,
            receive=lambda data, typmod, check=_check: check(_unpacked(data), typmod),  # type: ignore[misc]
            send=_packed,
            disk="x",
            to_disk=_packed,
            from_disk=_unpacked,
            sort_key=lambda value: value.encode() + b"\0",
            typmod_in=_typmod_in(_name),
            typmod_out=lambda typmod: f"({typmod})",
            typmod_cast=_cast,
        )
    )

comparisons("""
1581 biteq(bit, bit) bool
1582 bitne(bit, bit) bool
1595 bitlt(bit, bit) bool
1594 bitle(bit, bit) bool
1593 bitgt(bit, bit) bool
1592 bitge(bit, bit) bool
1596 bitcmp(bit, bit) int4
1666 varbiteq(varbit, varbit) bool
1667 varbitne(varbit, varbit) bool
1671 varbitlt(varbit, varbit) bool
1670 varbitle(varbit, varbit) bool
1669 varbitgt(varbit, varbit) bool
1668 varbitge(varbit, varbit) bool
1672 varbitcmp(varbit, varbit) int4
""")


def _bitwise(word: str, number: Any) -> Datum:
    def combine(a: str, b: str) -> str:
        if len(a) != len(b):
            raise StringDataLengthMismatch(f"cannot {word} bit strings of different sizes")
        if len(a) <= PIECE:
            return f"{number(int(a, 2), int(b, 2)):0{len(a)}b}" if a else ""
        return "".join(combine(*pair) for pair in zip(pieces(a), pieces(b), strict=True))

    return combine


_and = _bitwise("AND", int.__and__)
_or = _bitwise("OR", int.__or__)
_xor = _bitwise("XOR", int.__xor__)
_FLIP = str.maketrans("01", "10")


def _shift(value: str, count: int) -> str:
    """To the left, or for a negative count to the right; zeros come in."""
    size = len(value)
    if abs(count) >= size:
        return "0" * size
    return value[count:] + "0" * count if count >= 0 else "0" * -count + value[:count]


def _concatenate(a: str, b: str) -> str:
    if len(a) + len(b) > _LENGTH_MAX:
        raise ProgramLimitExceeded(f"bit string length exceeds the maximum allowed ({_LENGTH_MAX})")
    return a + b


def _substring(value: str, start: int, length: int | None = None) -> str:
    if length is None:
        return value[max(start - 1, 0) :]
    if length < 0:
        raise SubstringError("negative substring length not allowed")
    return value[max(start - 1, 0) : max(start - 1 + length, 0)]


def _overlay(value: str, new: str, start: int, length: int | None = None) -> str:
    if start <= 0:
        raise SubstringError("negative substring length not allowed")
    count = len(new) if length is None else length
    if not -_INT4_MAX - 1 <= start + count <= _INT4_MAX:
        raise NumericValueOutOfRange("integer out of range")
    return _concatenate(value[: start - 1] + new, value[max(start - 1 + count, 0) :])


def _position(value: str, part: str) -> int:
    return value.find(part) + 1 if value else 0


def _place(value: str, index: int) -> int:
    if not 0 <= index < len(value):
        raise ArraySubscriptError(f"bit index {index} out of valid range (0..{len(value) - 1})")
    return index


def _set_bit(value: str, index: int, bit: int) -> str:
    at = _place(value, index)
    if bit not in (0, 1):
        raise InvalidParameterValue("new bit must be 0 or 1")
    return f"{value[:at]}{bit}{value[at + 1 :]}"


def _from_integer(value: int, length: int) -> str:
    """The lowest bits in two's complement; the sign goes on to the left."""
    length = length if 0 < length <= _LENGTH_MAX else 1
    return f"{value & ((1 << length) - 1):0{length}b}"


def _to_integer(bits: int, name: str) -> Datum:
    def convert(value: str) -> int:
        if len(value) > bits:
            raise NumericValueOutOfRange(f"{name} out of range")
        number = int(value or "0", 2)
        return number - (1 << bits) if number >> (bits - 1) else number

    return convert


fn(1673, "bitand(bit, bit) bit", _and)
fn(1674, "bitor(bit, bit) bit", _or)
fn(1675, "bitxor(bit, bit) bit", _xor)
fn(1676, "bitnot(bit) bit", lambda value: value.translate(_FLIP))
fn(1677, "bitshiftleft(bit, int4) bit", _shift)
fn(1678, "bitshiftright(bit, int4) bit", lambda value, count: _shift(value, -count))
fn(1679, "bitcat(varbit, varbit) varbit", _concatenate)
fns(
    """
1680 substring(bit, int4, int4) bit
1699 substring(bit, int4) bit
""",
    _substring,
)
fns(
    """
3030 overlay(bit, bit, int4, int4) bit
3031 overlay(bit, bit, int4) bit
""",
    _overlay,
)
fns(
    """
1681 length(bit) int4
1812 bit_length(bit) int4
""",
    len,
)
fn(1682, "octet_length(bit) int4", lambda value: (len(value) + 7) // 8)
fn(6162, "bit_count(bit) int8", lambda value: value.count("1"))
fn(1698, "position(bit, bit) int4", _position)
fn(3032, "get_bit(bit, int4) int4", lambda value, index: int(value[_place(value, index)]))
fn(3033, "set_bit(bit, int4, int4) bit", _set_bit)
fns(
    """
1683 bit(int4, int4) bit
2075 bit(int8, int4) bit
""",
    _from_integer,
)
fn(1684, "int4(bit) int4", _to_integer(32, "integer"))
fn(2076, "int8(bit) int8", _to_integer(64, "bigint"))
fn(1685, "bit(bit, int4, bool) bit", _bit_cast)
fn(1687, "varbit(varbit, int4, bool) varbit", _varbit_cast)


def _fold(combine: Any) -> Datum:
    return lambda state, value: value if state is None else combine(state, value)


for _oid, _name, _combine in ((2242, "bit_and", _and), (2243, "bit_or", _or), (6167, "bit_xor", _xor)):
    agg(
        _oid,
        f"{_name}(bit) bit",
        lambda: None,
        _fold(_combine),
        lambda state: state,
        transition_type=1560,
    )
operators("""
1784 bit = bit bool 1581 commutator=1784 negator=1785 merges
1785 bit <> bit bool 1582 commutator=1785 negator=1784
1786 bit < bit bool 1595 commutator=1787 negator=1789
1787 bit > bit bool 1593 commutator=1786 negator=1788
1788 bit <= bit bool 1594 commutator=1789 negator=1787
1789 bit >= bit bool 1592 commutator=1788 negator=1786
1791 bit & bit bit 1673 commutator=1791
1792 bit | bit bit 1674 commutator=1792
1793 bit # bit bit 1675 commutator=1793
1794 - ~ bit bit 1676
1795 bit << int4 bit 1677
1796 bit >> int4 bit 1678
1797 varbit || varbit varbit 1679
1804 varbit = varbit bool 1666 commutator=1804 negator=1805 merges
1805 varbit <> varbit bool 1667 commutator=1805 negator=1804
1806 varbit < varbit bool 1671 commutator=1807 negator=1809
1807 varbit > varbit bool 1669 commutator=1806 negator=1808
1808 varbit <= varbit bool 1670 commutator=1809 negator=1807
1809 varbit >= varbit bool 1668 commutator=1808 negator=1806
""")
casts("""
10183 bit varbit 0 i b
10184 varbit bit 0 i b
10185 int8 bit 2075 e f
10186 int4 bit 1683 e f
10187 bit int8 2076 e f
10188 bit int4 1684 e f
10211 bit bit 1685 i f
10212 varbit varbit 1687 i f
""")
operator_classes("""
10002 bit_ops 423 bit_ops bit 403 default 1786,1788,1784,1789,1787 1596,0,0,5051
10043 varbit_ops 2002 varbit_ops varbit 403 default 1806,1808,1804,1809,1807 1672,0,0,5051
""")
