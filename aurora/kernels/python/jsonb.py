"""jsonb values: what is asked of each row of a query, on values of up to ``SHORT_BYTES`` and ``DEPTH_MAX`` levels.

The form is that of docs/formats.md, "jsonb": a byte that says the kind, then the content; arrays and objects have
tables of where each element, key and value ends, so that one is found without decoding the others. Longer values are
the work of ``compute_node.types.json``, which lets others run in between.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import accumulate
from json.encoder import encode_basestring
from typing import Any

NULL, STRING, NUMBER, FALSE, TRUE, ARRAY, OBJECT = 0x00, 0x01, 0x02, 0x03, 0x04, 0x10, 0x11
"""The first byte of a value."""
SHORT_BYTES = 1 << 20
"""Longer values are not for functions that look at all of one: their loops have no pulse."""
DEPTH_MAX = 100
"""Of values with more levels they give None."""
HEAD_BYTES = 5
"""kind, u32 count"""
ZEROS_MAX = 40
"""More zeros than these at the end of a whole number are kept as an exponent."""

_HEAD = struct.Struct("<BI")
_U32 = struct.Struct("<I")
_TABLES = [struct.Struct(f"<{count}I") for count in range(65)]
_EMPTY_ARRAY = _HEAD.pack(ARRAY, 0)


def count_of(data: bytes) -> int:
    """Elements or pairs of a container."""
    return int(_U32.unpack_from(data, 1)[0])


def table(data: bytes, at: int, count: int) -> Sequence[int]:
    """``count`` ends that stand at ``at``."""
    return _TABLES[count].unpack_from(data, at) if count < len(_TABLES) else struct.unpack_from(f"<{count}I", data, at)


def elements(data: bytes) -> Iterator[bytes]:
    """An array's elements."""
    count = count_of(data)
    base = HEAD_BYTES + 4 * count
    start = 0
    for end in table(data, HEAD_BYTES, count):
        yield data[base + start : base + end]
        start = end


def keys(data: bytes) -> Iterator[bytes]:
    """An object's keys, in their order: by length, then bytes."""
    count = count_of(data)
    base = HEAD_BYTES + 8 * count
    start = 0
    for end in table(data, HEAD_BYTES, count):
        yield data[base + start : base + end]
        start = end


def pairs(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """An object's keys and values, in the keys' order."""
    count = count_of(data)
    if count:
        ends = HEAD_BYTES + 4 * count
        base = ends + 4 * count + int(_U32.unpack_from(data, ends - 4)[0])
        start = 0
        for key, end in zip(keys(data), table(data, ends, count), strict=True):
            yield key, data[base + start : base + end]
            start = end


def find_key(data: bytes, name: bytes) -> int:
    """Which of an object's pairs has this key; -1 without one. A binary search among the keys."""
    count = count_of(data)
    ends = table(data, HEAD_BYTES, count)
    base = HEAD_BYTES + 8 * count
    size = len(name)
    low, high = 0, count
    while low < high:
        middle = (low + high) >> 1
        start, end = ends[middle - 1] if middle else 0, ends[middle]
        length = end - start
        key = data[base + start : base + end] if length == size else b""
        if length == size and key == name:
            return middle
        if length < size or (length == size and key < name):
            low = middle + 1
        else:
            high = middle
    return -1


def value_at(data: bytes, index: int) -> bytes:
    """The value of an object's pair."""
    count = count_of(data)
    ends = HEAD_BYTES + 4 * count
    base = ends + 4 * count + int(_U32.unpack_from(data, ends - 4)[0])
    place = ends + 4 * index
    start = int(_U32.unpack_from(data, place - 4)[0]) if index else 0
    return data[base + start : base + int(_U32.unpack_from(data, place)[0])]


def field(data: bytes, name: str) -> bytes | None:
    """The value of an object's key; None where there is none."""
    if data[0] != OBJECT:
        return None
    found = find_key(data, name.encode())
    return None if found < 0 else value_at(data, found)


def element(data: bytes, index: int) -> bytes | None:
    """An array's element, negative ones from the end; a scalar counts as an array of itself."""
    if data[0] == OBJECT:
        return None
    if data[0] != ARRAY:
        return data if index in (0, -1) else None
    count = count_of(data)
    if index < 0:
        index += count
    if not 0 <= index < count:
        return None
    base = HEAD_BYTES + 4 * count
    place = HEAD_BYTES + 4 * index
    start = int(_U32.unpack_from(data, place - 4)[0]) if index else 0
    return data[base + start : base + int(_U32.unpack_from(data, place)[0])]


def parts(data: bytes) -> list[bytes]:
    """An array's elements."""
    return list(elements(data))


def members(data: bytes) -> list[tuple[bytes, bytes]]:
    """An object's keys and values, as they are stored."""
    return list(pairs(data))


def exists(data: bytes, name: str) -> bool:
    """Whether it is a key of the object, a string of the array, or the string itself."""
    if data[0] == OBJECT:
        return find_key(data, name.encode()) >= 0
    string = b"\1" + name.encode()
    return string in elements(data) if data[0] == ARRAY else data == string


# building


def array_of(parts: list[bytes]) -> bytes:
    """An array of values."""
    return _container(ARRAY, (), parts)


def object_of(members: dict[bytes, bytes]) -> bytes:
    """An object of values by their keys' UTF-8."""
    names = sorted(members, key=lambda key: (len(key), key))
    return _container(OBJECT, names, [members[name] for name in names])


def _container(kind: int, names: Sequence[bytes], values: Sequence[bytes]) -> bytes:
    ends = [*accumulate(map(len, names)), *accumulate(map(len, values))]
    return b"".join((_HEAD.pack(kind, len(values)), struct.pack(f"<{len(ends)}I", *ends), *names, *values))


def replaced(data: bytes, index: int, value: bytes) -> bytes:
    """The container with another element, or another value of its pair, at ``index``."""
    if data[0] == ARRAY:
        parts = list(elements(data))
        parts[index] = value
        return array_of(parts)
    values = [each for _, each in pairs(data)]
    values[index] = value
    return _container(OBJECT, list(keys(data)), values)


# numbers


def decimal_of(data: bytes) -> Decimal:
    """A number's value, its exponent as it is kept."""
    return Decimal(data[1:].decode())


def number_text(data: bytes) -> str:
    """A number as it is shown: all digits."""
    return format(decimal_of(data), "f") if b"E" in data else data[1:].decode()


def number_key(data: bytes) -> bytes:
    """memcmp key of a number, that of numeric: class byte, for a value other than zero its exponent (u32) and digit
    pairs + 1 ended by 0, complemented when negative."""
    value = decimal_of(data)
    if not value:
        return b"\x30"
    negative, digits, _ = value.as_tuple()
    text = "".join(map(str, digits)).rstrip("0")
    text += "0" * (len(text) % 2)
    pairs_ = bytes(int(text[at : at + 2]) + 1 for at in range(0, len(text), 2))
    body = struct.pack(">I", value.adjusted() + 0x80000000) + pairs_ + b"\0"
    return b"\x20" + bytes(255 - byte for byte in body) if negative else b"\x40" + body


# order


def sort_key(data: bytes, inside: bool = False) -> bytes | None:
    """memcmp key of a value: equal for equal values. At the top, not ``inside``, an empty array stands before all
    else. None: too deep."""
    if data == _EMPTY_ARRAY and not inside:
        return b"\0"
    out = bytearray()
    return bytes(out) if _put_key(data, out, 0) else None


def _put_key(data: bytes, out: bytearray, depth: int) -> bool:
    if depth > DEPTH_MAX:
        return False
    kind = data[0]
    out += KIND_KEYS[kind]
    if kind == STRING:
        out += data[1:]
        out.append(0)
    elif kind == NUMBER:
        out += number_key(data)
    elif kind >= ARRAY:
        out += count_of(data).to_bytes(4, "big")
        if kind == ARRAY:
            return all(_put_key(each, out, depth + 1) for each in elements(data))
        for key, value in pairs(data):
            out += key
            out.append(0)
            if not _put_key(value, out, depth + 1):
                return False
    return True


KIND_KEYS = {NULL: b"\1", STRING: b"\2", NUMBER: b"\3", FALSE: b"\4\0", TRUE: b"\4\1", ARRAY: b"\5", OBJECT: b"\6"}


# text


def text(data: bytes) -> str | None:
    """A value as JSON text: a blank after each comma and colon. None: too deep."""
    out: list[str] = []
    return "".join(out) if _put_text(data, out, 0) else None


def _put_text(data: bytes, out: list[str], depth: int) -> bool:
    if depth > DEPTH_MAX:
        return False
    kind = data[0]
    if kind == ARRAY:
        out.append("[")
        for number, each in enumerate(elements(data)):
            if number:
                out.append(", ")
            if not _put_text(each, out, depth + 1):
                return False
        out.append("]")
    elif kind == OBJECT:
        out.append("{")
        for number, (key, value) in enumerate(pairs(data)):
            out.append(", " if number else "")
            out.append(encode_basestring(key.decode()) + ": ")
            if not _put_text(value, out, depth + 1):
                return False
        out.append("}")
    else:
        out.append(scalar_text(data))
    return True


def scalar_text(data: bytes) -> str:
    """What is no container, as JSON text."""
    kind = data[0]
    if kind == STRING:
        return encode_basestring(data[1:].decode())
    if kind == NUMBER:
        return number_text(data)
    return WORDS[kind]


WORDS = {NULL: "null", FALSE: "false", TRUE: "true"}


# containment


def contains(whole: bytes, part: bytes) -> bool | None:
    """``whole @> part``. None: too deep."""
    if (whole[0] == OBJECT) != (part[0] == OBJECT):
        return False
    if whole[0] < ARRAY:
        return part[0] < ARRAY and same_scalar(whole, part)
    if part[0] < ARRAY:  # an array contains a scalar that is an element, at the top only
        return any(same_scalar(each, part) for each in elements(whole))
    return _contains(whole, part, 0)


def same_scalar(a: bytes, b: bytes) -> bool:
    """Whether two values, one of them a scalar, are equal."""
    return a == b or (a[0] == NUMBER == b[0] and decimal_of(a) == decimal_of(b))


def _contains(whole: bytes, part: bytes, depth: int) -> bool | None:
    if depth > DEPTH_MAX:
        return None
    if whole[0] != part[0]:
        return False
    if part[0] == OBJECT:
        if count_of(part) > count_of(whole):
            return False
        for key, wanted in pairs(part):
            at = find_key(whole, key)
            if at < 0:
                return False
            result = _holds(value_at(whole, at), wanted, depth)
            if not result:
                return result
        return True
    for wanted in elements(part):
        result = False
        for each in elements(whole):
            result = _holds(each, wanted, depth)
            if result or result is None:
                break
        if not result:
            return result
    return True


def _holds(value: bytes, wanted: bytes, depth: int) -> bool | None:
    return same_scalar(value, wanted) if wanted[0] < ARRAY else _contains(value, wanted, depth + 1)


# reading


def parse(source: str) -> bytes | None:
    """The value of a JSON text, when it is short and plain: None for one that is longer than ``SHORT_BYTES``, has
    escapes by code, a number in another form than ``-12.5``, too many levels, or is no JSON at all."""
    if len(source) > SHORT_BYTES:
        return None
    found = parse_part(source, 0)
    return found[0] if found is not None and not source[found[1] :].strip(_SPACE) else None


def parse_part(source: str, start: int) -> tuple[bytes, int] | None:
    """The value that begins at ``start`` of a text, after space, and where it ends; None as ``parse`` says. A text
    whose part is not to be the whole has ASCII characters only."""
    begin = start
    while begin < len(source) and source[begin] in _SPACE:
        begin += 1
    end = _part_end(source, begin, start)
    if end is None:
        return None
    try:
        value, stop = _SCANNER.raw_decode(source[begin:end])
        made = _encoded(value)
    except ValueError:  # a surrogate is one too
        return None
    stop += begin
    if _CODED.search(source, begin, stop) is not None or stop == start + SHORT_BYTES < len(source):
        return None
    return made, stop


_SPACE = " \t\n\r"
_CODED = re.compile(r"(?<!\\)(?:\\\\)*\\u")
_MARK = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)


def _part_end(source: str, begin: int, start: int) -> int | None:
    """Where the value at ``begin`` ends at the latest; None where it has too many levels, or is too long."""
    if source[begin : begin + 1] not in ("[", "{"):
        return min(len(source), start + SHORT_BYTES)
    depth = 0
    for mark in _MARK.finditer(source, begin):
        sign = mark[0]
        if sign in ("[", "{"):
            depth += 1
            if depth > DEPTH_MAX:
                return None
        elif sign in ("]", "}"):
            depth -= 1
            if not depth:
                return mark.end() if mark.end() - start <= SHORT_BYTES else None
    return min(len(source), start + SHORT_BYTES)


FRACTION_MAX = 1000


class _Made:
    """The bytes of a part that has been read."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


def _plain_number(word: str) -> _Made:
    digits = word.removeprefix("-")
    whole_, point, fraction = digits.partition(".")
    plain = whole_.isdigit() and len(whole_) <= ZEROS_MAX
    plain = plain and (not point or (fraction.isdigit() and len(fraction) <= FRACTION_MAX))
    if not plain or (len(digits) < len(word) and not digits.strip("0.")):
        raise ValueError(word)
    return _Made(b"\2" + word.encode())


def _object(found: list[tuple[str, Any]]) -> _Made:
    return _Made(object_of({key.encode(): _encoded(value) for key, value in found}))


def _encoded(value: Any) -> bytes:
    if type(value) is _Made:
        return value.data
    if type(value) is str:
        return b"\1" + value.encode()
    if type(value) is list:
        return array_of([_encoded(each) for each in value])
    return bytes((NULL if value is None else TRUE if value else FALSE,))


def _refuse(word: str) -> Any:
    raise ValueError(word)


_SCANNER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_plain_number, parse_int=_plain_number, parse_constant=_refuse
)
