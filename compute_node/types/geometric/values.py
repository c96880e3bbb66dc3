"""Text and binary forms of the geometric types.

A number is read as float8 is; between numbers PostgreSQL is liberal: most delimiters can be left out.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable
from typing import Any, Final

from aurora.datum import Datum
from aurora.errors import InvalidBinaryRepresentation, InvalidTextRepresentation, ProtocolViolation, SqlError
from compute_node.types.common import WHITESPACE, invalid_syntax, wrong_length
from compute_node.types.floating import float8_text, parse_float
from compute_node.types.geometric.areas import Circle, Path, Polygon
from compute_node.types.geometric.numbers import is_zero, less
from compute_node.types.geometric.shapes import Box, Line, Lseg, Point, line_at, lseg_slope, point_eq
from compute_node.types.long_text import joined, paced
from compute_node.types.registry import REGISTRY, PgType, TypeEnv

_NUMBER = re.compile(
    rf"[{WHITESPACE}]*([+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|nan|infinity|inf))[{WHITESPACE}]*",
    re.IGNORECASE,
)
_SPACES = re.compile(rf"[{WHITESPACE}]*")


class _Reader:
    """Goes through a text; every error is 22P02 for the whole of it."""

    def __init__(self, text: str, name: str) -> None:
        self.text, self.name, self.place = text, name, 0

    def error(self) -> SqlError:
        return invalid_syntax(self.name, self.text)

    @property
    def char(self) -> str:
        return self.text[self.place : self.place + 1]

    def spaces(self) -> None:
        match = _SPACES.match(self.text, self.place)
        self.place = match.end() if match else self.place

    def take(self, char: str) -> bool:
        """Pass over a character if it is there."""
        found = bool(char) and self.char == char
        self.place += found
        return found

    def expect(self, char: str) -> None:
        if not self.take(char):
            raise self.error()

    def end(self) -> None:
        if self.place < len(self.text):
            raise self.error()

    def number(self) -> float:
        match = _NUMBER.match(self.text, self.place)
        if match is None:
            raise self.error()
        self.place = match.end()
        return parse_float(match[1], "double precision")

    def pair(self) -> Point:
        """``x,y`` with or without parentheses."""
        self.spaces()
        delimited = self.take("(")
        x = self.number()
        self.expect(",")
        y = self.number()
        if delimited:
            self.expect(")")
            self.spaces()
        return Point(x, y)

    def second_parenthesis(self) -> int:
        """Where another one follows the one that is here; -1 where none does."""
        match = _SPACES.match(self.text, self.place + 1)
        at = match.end() if match else self.place + 1
        return at if self.text.startswith("(", at) else -1

    def points(self, count: int, may_be_open: bool) -> tuple[tuple[Point, ...], bool]:
        """(points, whether in brackets)."""
        depth = 0
        self.spaces()
        is_open = self.char == "["
        if is_open:
            if not may_be_open:
                raise self.error()
            depth, self.place = 1, self.place + 1
        elif self.char == "(":
            second = self.second_parenthesis()
            if second >= 0:
                depth, self.place = 1, second
            elif self.text.rfind("(") == self.place:
                depth = 1
                self.place += 1
                self.spaces()
        found = []
        for _ in paced(range(count)):
            found.append(self.pair())
            self.take(",")
        while depth:
            if not (self.take(")") or (is_open and depth == 1 and self.take("]"))):
                raise self.error()
            depth -= 1
            self.spaces()
        return tuple(found), is_open

    def count(self) -> int:
        """How many points the commas make."""
        commas = self.text.count(",")
        if commas % 2 == 0:
            raise self.error()
        return (commas + 1) // 2


def point_in(text: str, typmod: int, env: TypeEnv) -> Point:
    """``(x,y)``, ``x,y``."""
    reader = _Reader(text, "point")
    found = reader.pair()
    reader.end()
    return found


def _two(text: str, name: str, may_be_open: bool) -> Lseg:
    reader = _Reader(text, name)
    points, _ = reader.points(2, may_be_open)
    reader.end()
    return Lseg(*points)


def lseg_in(text: str, typmod: int, env: TypeEnv) -> Lseg:
    """``[(x,y),(x,y)]`` and what is like it."""
    return _two(text, "lseg", True)


def box_in(text: str, typmod: int, env: TypeEnv) -> Box:
    """Any two opposite corners."""
    return _ordered(*_two(text, "box", False))


def _ordered(high: Point, low: Point) -> Box:
    high_x, low_x = (low.x, high.x) if less(high.x, low.x) else (high.x, low.x)
    high_y, low_y = (low.y, high.y) if less(high.y, low.y) else (high.y, low.y)
    return Box(Point(high_x, high_y), Point(low_x, low_y))


def line_in(text: str, typmod: int, env: TypeEnv) -> Line:
    """``{a,b,c}`` or two points."""
    reader = _Reader(text, "line")
    reader.spaces()
    if reader.take("{"):
        a = reader.number()
        reader.expect(",")
        b = reader.number()
        reader.expect(",")
        c = reader.number()
        reader.expect("}")
        reader.spaces()
        reader.end()
        if is_zero(a) and is_zero(b):
            raise InvalidTextRepresentation("invalid line specification: A and B cannot both be zero")
        return Line(a, b, c)
    lseg = _two(text, "line", True)
    if point_eq(lseg.begin, lseg.end):
        raise InvalidTextRepresentation("invalid line specification: must be two distinct points")
    return line_at(lseg.begin, lseg_slope(lseg))


def path_in(text: str, typmod: int, env: TypeEnv) -> Path:
    """Open in brackets, closed otherwise."""
    reader = _Reader(text, "path")
    count = reader.count()
    reader.spaces()
    single = reader.char == "(" and text.rfind("(") == reader.place
    if single:
        reader.place += 1
    points, is_open = reader.points(count, True)
    if single:
        reader.expect(")")
        reader.spaces()
    reader.end()
    return Path(not is_open, points)


def polygon_in(text: str, typmod: int, env: TypeEnv) -> Polygon:
    """The corners in a row."""
    reader = _Reader(text, "polygon")
    points, _ = reader.points(reader.count(), False)
    reader.end()
    return Polygon(points)


def circle_in(text: str, typmod: int, env: TypeEnv) -> Circle:
    """``<(x,y),r>`` and what is like it; no negative radius."""
    reader = _Reader(text, "circle")
    reader.spaces()
    depth = 0
    if reader.take("<"):
        depth = 1
    elif reader.char == "(":
        second = reader.second_parenthesis()
        if second >= 0:
            depth, reader.place = 1, second
    center = reader.pair()
    reader.take(",")
    radius = reader.number()
    if radius < 0.0:
        raise reader.error()
    while depth:
        if not (reader.take(")") or reader.take(">")):
            raise reader.error()
        depth -= 1
        reader.spaces()
    reader.end()
    return Circle(center, radius)


def _pair(point: Point, env: TypeEnv) -> str:
    digits = env.extra_float_digits
    return f"({float8_text(point[0], digits)},{float8_text(point[1], digits)})"


def _row(points: Iterable[Point], env: TypeEnv) -> str:
    return joined([_pair(point, env) for point in paced(points)], ",")


def path_out(value: Path, env: TypeEnv) -> str:
    """In parentheses when it is closed, in brackets when it is open."""
    row = _row(value.points, env)
    return f"({row})" if value.closed else f"[{row}]"


def line_out(value: Line, env: TypeEnv) -> str:
    """``{a,b,c}``."""
    return "{" + ",".join(float8_text(number, env.extra_float_digits) for number in value) + "}"


def circle_out(value: Circle, env: TypeEnv) -> str:
    """``<(x,y),r>``."""
    return f"<{_pair(value.center, env)},{float8_text(value.radius, env.extra_float_digits)}>"


def _numbers(count: int) -> tuple[Callable[[bytes], tuple[float, ...]], Callable[..., bytes]]:
    codec = struct.Struct(f">{count}d")

    def read(data: bytes) -> tuple[float, ...]:
        if len(data) != codec.size:
            raise wrong_length(data, codec.size)
        return codec.unpack(data)

    return read, codec.pack


_read2, _pack2 = _numbers(2)
_read3, _pack3 = _numbers(3)
_read4, _pack4 = _numbers(4)


def _line_receive(data: bytes, typmod: int) -> Line:
    line = Line(*_read3(data))
    if is_zero(line.a) and is_zero(line.b):
        raise InvalidBinaryRepresentation("invalid line specification: A and B cannot both be zero")
    return line


def _lseg_receive(data: bytes, typmod: int) -> Lseg:
    x, y, x2, y2 = _read4(data)
    return Lseg(Point(x, y), Point(x2, y2))


def _circle_receive(data: bytes, typmod: int) -> Circle:
    x, y, radius = _read3(data)
    if radius < 0.0:
        raise InvalidBinaryRepresentation('invalid radius in external "circle" value')
    return Circle(Point(x, y), radius)


_POINTS_MAX: Final = (2**31 - 33) // 16


def _points_receive(data: bytes, name: str) -> tuple[Point, ...]:
    if len(data) < 4:
        raise ProtocolViolation("insufficient data left in message")
    (count,) = struct.unpack_from(">i", data)
    if not 0 < count < _POINTS_MAX:
        raise InvalidBinaryRepresentation(f'invalid number of points in external "{name}" value')
    if len(data) != 4 + 16 * count:
        raise wrong_length(data, 4 + 16 * count)
    numbers = struct.unpack_from(f">{2 * count}d", data, 4)
    return tuple(map(Point, numbers[::2], numbers[1::2]))


def _points_send(points: tuple[Point, ...]) -> bytes:
    return struct.pack(f">i{2 * len(points)}d", len(points), *(number for point in points for number in point))


def _path_receive(data: bytes, typmod: int) -> Path:
    return Path(data[:1] != b"\0", _points_receive(data[1:], "path"))


def _lseg_send(value: Datum) -> bytes:
    return _pack4(*value[0], *value[1])


def _type(
    oid: int,
    name: str,
    array: int,
    length: int,
    read: Callable[[str, int, TypeEnv], Datum],
    write: Callable[[Datum, TypeEnv], str],
    receive: Callable[[bytes, int], Datum],
    send: Callable[[Datum], bytes],
    element: int = 0,
    **more: Any,
) -> None:
    REGISTRY.add_type(
        PgType(
            oid=oid,
            name=name,
            length=length,
            by_value=False,
            category="G",
            align="d",
            storage="x" if length < 0 else "p",
            array=array,
            input=read,
            output=write,
            receive=receive,
            send=send,
            disk="x",
            to_disk=send,
            from_disk=lambda data: receive(data, -1),
            element=element,
            element_type=REGISTRY.types[element] if element else None,
            **more,
        )
    )


_type(
    600,
    "point",
    1017,
    16,
    point_in,
    _pair,
    lambda data, typmod: Point(*_read2(data)),
    lambda value: _pack2(*value),
    element=701,
)
_type(
    601,
    "lseg",
    1018,
    32,
    lseg_in,
    lambda value, env: f"[{_row(value, env)}]",
    _lseg_receive,
    _lseg_send,
    element=600,
)
_type(628, "line", 629, 24, line_in, line_out, _line_receive, lambda value: _pack3(*value), element=701)
_type(
    603,
    "box",
    1020,
    32,
    box_in,
    _row,
    lambda data, typmod: _ordered(*_lseg_receive(data, typmod)),
    _lseg_send,
    delimiter=";",
    element=600,
)
_type(
    602,
    "path",
    1019,
    -1,
    path_in,
    path_out,
    _path_receive,
    lambda value: bytes((value.closed,)) + _points_send(value.points),
)
_type(
    604,
    "polygon",
    1027,
    -1,
    polygon_in,
    lambda value, env: f"({_row(value.points, env)})",
    lambda data, typmod: Polygon(_points_receive(data, "polygon")),
    lambda value: _points_send(value.points),
)
_type(
    718,
    "circle",
    719,
    24,
    circle_in,
    circle_out,
    _circle_receive,
    lambda value: _pack3(*value.center, value.radius),
)
