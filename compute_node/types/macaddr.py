"""macaddr and macaddr8: an int of six or eight bytes (manual, 8.9.4, 8.9.5 and 9.12)."""

from __future__ import annotations

import re

from aurora.errors import NumericValueOutOfRange
from compute_node.types.common import WHITESPACE, invalid_syntax, wrong_length
from compute_node.types.declare import casts, comparisons, fn, operator_classes, operators
from compute_node.types.registry import REGISTRY, PgType, TypeEnv

_ALL6 = (1 << 48) - 1
_ALL8 = (1 << 64) - 1
_LONG = rf"[{WHITESPACE}]*([+-]?(?:0[xX])?[0-9a-fA-F]++)"
_PAIR = rf"[{WHITESPACE}]*((?>[+-][0-9a-fA-F]|[0-9a-fA-F]{{1,2}}))"
"""Two characters if there are two, as C's %2x"""


def _form(template: str, part: str) -> re.Pattern[str]:
    return re.compile("".join(part if char == "x" else re.escape(char) for char in template) + rf"[{WHITESPACE}]*")


_FORMS = (
    _form("x:x:x:x:x:x", _LONG),
    _form("x-x-x-x-x-x", _LONG),
    _form("xxx:xxx", _PAIR),
    _form("xxx-xxx", _PAIR),
    _form("xx.xx.xx", _PAIR),
    _form("xx-xx-xx", _PAIR),
    _form("xxxxxx", _PAIR),
)


def macaddr_in(text: str, typmod: int, env: TypeEnv) -> int:
    """Six bytes, apart in any of seven ways; 22P02, 22003 for a part beyond a byte."""
    match = next((found for form in _FORMS if (found := form.fullmatch(text)) is not None), None)
    if match is None:
        raise invalid_syntax("macaddr", text)
    parts = [int(part, 16) for part in match.groups()]
    if any(not 0 <= part <= 255 for part in parts):
        raise NumericValueOutOfRange(f'invalid octet value in "macaddr" value: "{text}"')
    return int.from_bytes(bytes(parts), "big")


_PAIR8 = re.compile(r"[0-9a-fA-F]{2}")
_SPACES = re.compile(rf"[{WHITESPACE}]*")


def macaddr8_in(text: str, typmod: int, env: TypeEnv) -> int:
    """Six or eight pairs of digits with one kind of separator, or none; of six, FF FE comes into the middle. 22P02."""
    stripped = text.lstrip(WHITESPACE)
    at, spacer, parts = 0, "", bytearray()
    while at + 1 < len(stripped):
        pair = _PAIR8.match(stripped, at)
        if pair is None or len(parts) == 8:
            raise invalid_syntax("macaddr8", text)
        parts.append(int(pair[0], 16))
        at += 2
        if stripped[at : at + 1] in (":", "-", ".") and at < len(stripped):
            spacer = spacer or stripped[at]
            if spacer != stripped[at]:
                raise invalid_syntax("macaddr8", text)
            at += 1
        if len(parts) in (6, 8):
            end = _SPACES.match(stripped, at)
            if end is not None and end.end() > at:
                if end.end() < len(stripped):
                    raise invalid_syntax("macaddr8", text)
                at = end.end()
    if len(parts) == 6:
        parts[3:3] = b"\xff\xfe"
    if len(parts) != 8:
        raise invalid_syntax("macaddr8", text)
    return int.from_bytes(parts, "big")


def _receive(data: bytes, typmod: int) -> int:
    if len(data) != 6:
        raise wrong_length(data, 6)
    return int.from_bytes(data, "big")


def _receive8(data: bytes, typmod: int) -> int:
    if len(data) == 6:
        data = data[:3] + b"\xff\xfe" + data[3:]
    if len(data) != 8:
        raise wrong_length(data, 8)
    return int.from_bytes(data, "big")


def _text(size: int, value: int) -> str:
    return value.to_bytes(size, "big").hex(":")


for _oid, _name, _array, _size, _input, _read in (
    (829, "macaddr", 1040, 6, macaddr_in, _receive),
    (774, "macaddr8", 775, 8, macaddr8_in, _receive8),
):
    REGISTRY.add_type(
        PgType(
            oid=_oid,
            name=_name,
            length=_size,
            by_value=False,
            category="U",
            array=_array,
            input=_input,
            output=lambda value, env, size=_size: _text(size, value),  # type: ignore[misc]
            text_bytes=lambda value, size=_size: _text(size, value).encode(),  # type: ignore[misc]
            receive=_read,
            send=lambda value, size=_size: value.to_bytes(size, "big"),  # type: ignore[misc]
            disk="x",
            to_disk=lambda value, size=_size: value.to_bytes(size, "big"),  # type: ignore[misc]
            from_disk=lambda data: int.from_bytes(data, "big"),
            sort_key=lambda value, size=_size: value.to_bytes(size, "big"),  # type: ignore[misc]
        )
    )

comparisons("""
830 macaddr_eq(macaddr, macaddr) bool
835 macaddr_ne(macaddr, macaddr) bool
831 macaddr_lt(macaddr, macaddr) bool
832 macaddr_le(macaddr, macaddr) bool
833 macaddr_gt(macaddr, macaddr) bool
834 macaddr_ge(macaddr, macaddr) bool
836 macaddr_cmp(macaddr, macaddr) int4
4113 macaddr8_eq(macaddr8, macaddr8) bool
4118 macaddr8_ne(macaddr8, macaddr8) bool
4114 macaddr8_lt(macaddr8, macaddr8) bool
4115 macaddr8_le(macaddr8, macaddr8) bool
4116 macaddr8_gt(macaddr8, macaddr8) bool
4117 macaddr8_ge(macaddr8, macaddr8) bool
4119 macaddr8_cmp(macaddr8, macaddr8) int4
""")


def _shortened(value: int) -> int:
    if value >> 24 & 0xFFFF != 0xFFFE:
        raise NumericValueOutOfRange(
            "macaddr8 data out of range to convert to macaddr",
            hint="Only addresses that have FF and FE as values in the 4th and 5th bytes from the left, for example"
            " xx:xx:xx:ff:fe:xx:xx:xx, are eligible to be converted from macaddr8 to macaddr.",
        )
    return value >> 40 << 24 | value & 0xFFFFFF


fn(3144, "macaddr_not(macaddr) macaddr", lambda value: value ^ _ALL6)
fn(3145, "macaddr_and(macaddr, macaddr) macaddr", int.__and__)
fn(3146, "macaddr_or(macaddr, macaddr) macaddr", int.__or__)
fn(753, "trunc(macaddr) macaddr", lambda value: value >> 24 << 24)
fn(4120, "macaddr8_not(macaddr8) macaddr8", lambda value: value ^ _ALL8)
fn(4121, "macaddr8_and(macaddr8, macaddr8) macaddr8", int.__and__)
fn(4122, "macaddr8_or(macaddr8, macaddr8) macaddr8", int.__or__)
fn(4112, "trunc(macaddr8) macaddr8", lambda value: value >> 40 << 40)
fn(4125, "macaddr8_set7bit(macaddr8) macaddr8", lambda value: value | 2 << 56)
fn(4123, "macaddr8(macaddr) macaddr8", lambda value: value >> 24 << 40 | 0xFFFE << 24 | value & 0xFFFFFF)
fn(4124, "macaddr(macaddr8) macaddr", _shortened)
operators("""
1220 macaddr = macaddr bool 830 commutator=1220 negator=1221 merges hashes
1221 macaddr <> macaddr bool 835 commutator=1221 negator=1220
1222 macaddr < macaddr bool 831 commutator=1224 negator=1225
1223 macaddr <= macaddr bool 832 commutator=1225 negator=1224
1224 macaddr > macaddr bool 833 commutator=1222 negator=1223
1225 macaddr >= macaddr bool 834 commutator=1223 negator=1222
3147 - ~ macaddr macaddr 3144
3148 macaddr & macaddr macaddr 3145
3149 macaddr | macaddr macaddr 3146
3362 macaddr8 = macaddr8 bool 4113 commutator=3362 negator=3363 merges hashes
3363 macaddr8 <> macaddr8 bool 4118 commutator=3363 negator=3362
3364 macaddr8 < macaddr8 bool 4114 commutator=3366 negator=3367
3365 macaddr8 <= macaddr8 bool 4115 commutator=3367 negator=3366
3366 macaddr8 > macaddr8 bool 4116 commutator=3364 negator=3365
3367 macaddr8 >= macaddr8 bool 4117 commutator=3365 negator=3364
3368 - ~ macaddr8 macaddr8 4120
3369 macaddr8 & macaddr8 macaddr8 4121
3370 macaddr8 | macaddr8 macaddr8 4122
""")
casts("""
10179 macaddr macaddr8 4123 i f
10180 macaddr8 macaddr 4124 i f
""")
operator_classes("""
10024 macaddr_ops 1984 macaddr_ops macaddr 403 default 1222,1223,1220,1225,1224 836,3359,0,5051
10025 macaddr_ops 1985 macaddr_ops macaddr 405 default 1220 399,778
10026 macaddr8_ops 3371 macaddr8_ops macaddr8 403 default 3364,3365,3362,3367,3366 4119,0,0,5051
10027 macaddr8_ops 3372 macaddr8_ops macaddr8 405 default 3362 328,781
""")
