"""The type ``cube``: reading, writing, its stored and binary form, its order.

Corners are kept as they are given; what asks for a lower or upper one takes the lesser or greater coordinate.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from aurora.errors import InvalidTextRepresentation, ProgramLimitExceeded, SqlError
from compute_node.extensions.library import base_type
from compute_node.types.common import wrong_length
from compute_node.types.floating import float8_in, float8_text, float_key
from compute_node.types.registry import PgType, TypeEnv

DIMENSIONS_MAX: Final = 100
_TOO_MANY: Final = f"A cube cannot have more than {DIMENSIONS_MAX} dimensions."
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?inf(?:inity)?|nan", re.I)
_BLANK: Final = " \t\n\r\f"
_POINT: Final = 1 << 31
_HEADER: Final = struct.Struct(">I")
_BELOW, _ENDS, _MORE = b"\1", b"\2", b"\3"
"""In a key: further coordinates are below 0, there are none, there are others"""
Coordinates = tuple[float, ...]


class Cube(NamedTuple):
    """``first`` and ``second`` corner; of a point the second is None."""

    first: Coordinates
    second: Coordinates | None = None

    @property
    def other(self) -> Coordinates:
        """The second corner."""
        return self.first if self.second is None else self.second

    def low(self) -> list[float]:
        """The lesser coordinates."""
        return [_lesser(one, other) for one, other in zip(self.first, self.other, strict=True)]

    def high(self) -> list[float]:
        """The greater coordinates."""
        return [_greater(one, other) for one, other in zip(self.first, self.other, strict=True)]


def _lesser(one: float, other: float) -> float:
    return one if one < other else other


def _greater(one: float, other: float) -> float:
    return one if one > other else other


def made(first: Sequence[float], second: Sequence[float]) -> Cube:
    """Of two corners, which may be one."""
    if all(one == other for one, other in zip(first, second, strict=True)):
        return Cube(tuple(first))
    return Cube(tuple(first), tuple(second))


def too_many(message: str) -> SqlError:
    """54000"""
    return ProgramLimitExceeded(message, detail=_TOO_MANY)


# Text


def _wrong(detail: str) -> SqlError:
    return InvalidTextRepresentation("invalid input syntax for cube", detail=detail)


class _Reader:
    """Tokens of a text: numbers, single characters, "" at the end."""

    def __init__(self, text: str, env: TypeEnv) -> None:
        self._text = text
        self._env = env
        self._at = 0
        self.token = ""
        self._next()

    def _next(self) -> None:
        text, at = self._text, self._at
        while at < len(text) and text[at] in _BLANK:
            at += 1
        match = _NUMBER.match(text, at)
        self.token = text[at : at + 1] if match is None else match.group()
        self._at = at + len(self.token)

    def _refused(self) -> SqlError:
        return _wrong(f'syntax error at or near "{self.token}"' if self.token else "syntax error at end of input")

    def _take(self, token: str) -> None:
        if self.token != token:
            raise self._refused()
        self._next()

    def _list(self) -> list[str]:
        found: list[str] = []
        while True:
            if _NUMBER.fullmatch(self.token) is None:
                raise self._refused()
            found.append(self.token)
            self._next()
            if self.token != ",":
                return found
            self._next()

    def _corner(self) -> list[str]:
        self._take("(")
        found = [] if self.token == ")" else self._list()
        self._take(")")
        return found

    def read(self) -> Cube:
        """``[(1,2),(3,4)]``, ``(1,2),(3,4)``, ``(1,2)`` or ``1,2``."""
        if self.token == "[":
            self._next()
            first = self._corner()
            self._take(",")
            second = self._corner()
            self._take("]")
            self._check(first, second)
            return self._whole(first, second)
        if self.token != "(":
            return self._whole(self._list(), None)
        first = self._corner()
        if self.token != ",":
            return self._whole(first, None)
        self._next()
        second = self._corner()
        self._check(first, second)
        return self._whole(first, second)

    @staticmethod
    def _check(first: list[str], second: list[str]) -> None:
        if len(first) != len(second):
            raise _wrong(f"Different point dimensions in ({','.join(first)}) and ({','.join(second)}).")
        if len(first) > DIMENSIONS_MAX:
            raise _wrong(_TOO_MANY)

    def _whole(self, first: list[str], second: list[str] | None) -> Cube:
        if self.token:
            raise self._refused()
        if second is None:
            self._check(first, first)
            return Cube(self._numbers(first))
        return made(self._numbers(first), self._numbers(second))

    def _numbers(self, texts: list[str]) -> Coordinates:
        return tuple([float8_in(text, -1, self._env) for text in texts])


def _read(text: str, typmod: int, env: TypeEnv) -> Cube:
    return _Reader(text, env).read()


def _write(value: Cube, env: TypeEnv) -> str:
    corners = (value.first,) if value.second is None else (value.first, value.second)
    return ",".join(
        f"({', '.join([float8_text(each, env.extra_float_digits) for each in corner])})" for corner in corners
    )


# Bytes


def to_bytes(value: Cube) -> bytes:
    """u32 dimensions, the highest bit of a point's; its corners, float8 each."""
    coordinates = value.first + (value.second or ())
    header = len(value.first) | (_POINT if value.second is None else 0)
    return _HEADER.pack(header) + struct.pack(f">{len(coordinates)}d", *coordinates)


def from_bytes(data: bytes, typmod: int = -1) -> Cube:
    """See ``to_bytes``. Errors: 54000, 08P01, 22P03."""
    if len(data) < _HEADER.size:
        raise wrong_length(data, _HEADER.size)
    (header,) = _HEADER.unpack_from(data)
    count = header & ~_POINT
    if count > DIMENSIONS_MAX:
        raise too_many("cube dimension is too large")
    corners = 1 if header & _POINT else 2
    size = _HEADER.size + 8 * corners * count
    if len(data) != size:
        raise wrong_length(data, size)
    found = struct.unpack_from(f">{corners * count}d", data, _HEADER.size)
    return Cube(found) if corners == 1 else Cube(found[:count], found[count:])


def key(value: Cube) -> bytes:
    """memcmp key: by the lesser coordinates, then by the greater ones. Further coordinates compare with 0."""
    return _key_of(value.low()) + _key_of(value.high())


def _key_of(coordinates: Sequence[float]) -> bytes:
    found, below = _ENDS, False
    for each in reversed(coordinates):
        # Of those from here on the first that is not 0 decides.
        below = each < 0 if each else below
        found = (_BELOW if below else _MORE) + float_key(each) + found
    return found


def declare() -> None:
    """Make the type known."""
    base_type(
        PgType(
            oid=0, name="cube", length=-1, by_value=False, category="U", align="d", storage="p", array=0,
            input=_read, output=_write, receive=from_bytes, send=to_bytes, disk="x",
            to_disk=to_bytes, from_disk=from_bytes, sort_value=key, sort_key=key,
        ),
        "cube_in", "cube_out", "cube_recv", "cube_send",
    )  # fmt: skip
