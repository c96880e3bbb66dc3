"""The operator classes of GiST and SP-GiST: which form their keys have, and what their conditions ask of a key.

A test is given a key and whether it is a leaf's: the key of one value, or one that bounds many. It says whether a value
that the key stands for may meet the condition. Geometry compares with a tolerance of 1e-6, so its tests have one, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from math import isfinite
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from aurora.datum import Datum
from aurora.errors import InvariantViolation, NotSupported
from compute_node.access.gist.forms import (
    ANYWHERE,
    Box,
    BoxForm,
    Form,
    Interval,
    IntervalForm,
    Key,
    SignatureForm,
    interval,
)
from compute_node.access.index_access import ScanKey
from compute_node.types.geometric.areas import Circle, Polygon
from compute_node.types.geometric.numbers import hypot
from compute_node.types.geometric.shapes import Box as GeometricBox
from compute_node.types.geometric.shapes import Point
from compute_node.types.network import Inet
from compute_node.types.ranges.value import (
    EMPTY,
    LOWER_INCLUSIVE,
    LOWER_INFINITE,
    UPPER_INCLUSIVE,
    UPPER_INFINITE,
    Multirange,
    Range,
    span,
)
from compute_node.types.registry import PgType, RangeForm
from compute_node.types.textsearch.query import NOT, OR, Node, TsQuery, nodes
from compute_node.types.textsearch.vector import TsVector

Test = Callable[[Key, bool], bool]
Distance = Callable[[Key], float]


@dataclass(frozen=True, slots=True)
class GistClass:
    """``key``: of a value; ``test``: of a condition (strategy, value); ``distance``: of an ordering operator's right
    side (strategy, value), from the nearest point that a key bounds. ``exact``: of a leaf's key that is the value's
    own. ``boxes``: the keys of many values, where they are boxes: a row is x1, y1, x2, y2. ``bound``: what takes the
    place of a condition's value where settings of the session belong to it."""

    form: Form
    key: Callable[[Datum], Key]
    test: Callable[[int, Datum], Test]
    distance: Callable[[int, Datum], Distance] | None = None
    exact: bool = False
    boxes: Callable[[Sequence[Datum]], NDArray[np.float64]] | None = None
    bound: Callable[[ScanKey], Datum] | None = None

    def asked(self, key: ScanKey) -> Test:
        """``test`` of a scan key."""
        return self.test(key.strategy, key.value if self.bound is None else self.bound(key))


def gist_class(code: int, kind: PgType, options: tuple[str, ...]) -> GistClass:
    """The class of a column of type ``kind``; ``code``: a built-in operator class, ``options`` its parameters."""
    found = GIST_CLASSES.get(code)
    if found is None:
        raise InvariantViolation(f"GiST has no code for operator class {code}")
    return found(kind, options)


def _never(key: Key, leaf: bool) -> bool:
    return False


def _always(key: Key, leaf: bool) -> bool:
    return True


# Geometry

_SLACK: Final = 1.0e-6
FAR: Final = 1.2e308
"""Distances from there on are not computed: of keys such a one says no more than that it is not nearer."""
_SAME = 6


def box_of(value: Datum) -> Box:
    """The bounding box of a point, box, polygon or circle."""
    if isinstance(value, Point):
        found = Box(value.x, value.y, value.x, value.y)
    elif isinstance(value, GeometricBox):
        found = Box(value.low.x, value.low.y, value.high.x, value.high.y)
    elif isinstance(value, Circle):
        (x, y), r = value
        found = Box(x - r, y - r, x + r, y + r)
    elif isinstance(value, Polygon):
        xs, ys = zip(*value.points, strict=True)
        found = Box(min(xs), min(ys), max(xs), max(ys))
    else:
        raise InvariantViolation(f"{type(value).__name__} has no bounding box")
    total = sum(found)
    # Infinities of both signs make NaN of the sum, too.
    return ANYWHERE if total != total and any(each != each for each in found) else found


_LEFT, _OVER_LEFT, _OVERLAPS, _OVER_RIGHT, _RIGHT = 1, 2, 3, 4, 5
_CONTAINS, _CONTAINED, _OVER_BELOW, _BELOW, _ABOVE, _OVER_ABOVE = 7, 8, 9, 10, 11, 12


def _box_test(strategy: int, value: Datum) -> Test:
    wanted = box_of(value)
    if wanted == ANYWHERE:
        # One coordinate may be NaN, and the condition be about the other.
        return _always
    a1, b1, a2, b2 = wanted
    a1, b1, a2, b2 = a1 - _SLACK, b1 - _SLACK, a2 + _SLACK, b2 + _SLACK
    # Of a leaf the whole key is on one side; of an inner entry a part of it is.
    tests: dict[int, Test] = {
        _LEFT: lambda key, leaf: key[2 if leaf else 0] <= a1 + 2 * _SLACK,
        _OVER_LEFT: lambda key, leaf: key[2 if leaf else 0] <= a2,
        _OVER_RIGHT: lambda key, leaf: key[0 if leaf else 2] >= a1,
        _RIGHT: lambda key, leaf: key[0 if leaf else 2] >= a2 - 2 * _SLACK,
        _OVER_BELOW: lambda key, leaf: key[3 if leaf else 1] <= b2,
        _BELOW: lambda key, leaf: key[3 if leaf else 1] <= b1 + 2 * _SLACK,
        _ABOVE: lambda key, leaf: key[1 if leaf else 3] >= b2 - 2 * _SLACK,
        _OVER_ABOVE: lambda key, leaf: key[1 if leaf else 3] >= b1,
    }
    found = tests.get(strategy)
    if found is not None:
        return lambda key, leaf: found(key, leaf) or key == ANYWHERE
    if strategy in (_SAME, _CONTAINS):
        return lambda key, leaf: (
            key[0] <= a1 + 2 * _SLACK
            and key[1] <= b1 + 2 * _SLACK
            and key[2] >= a2 - 2 * _SLACK
            and key[3] >= b2 - 2 * _SLACK
        )
    return lambda key, leaf: key[0] <= a2 and key[1] <= b2 and key[2] >= a1 and key[3] >= b1


_POINT_BELOW, _POINT_ABOVE = 29, 30


def _point_test(strategy: int, value: Datum) -> Test:
    return _box_test({_POINT_BELOW: _BELOW, _POINT_ABOVE: _ABOVE}.get(strategy, strategy), value)


def _box_distance(strategy: int, value: Datum) -> Distance:
    x, y = value
    if not (isfinite(x) and isfinite(y)):
        # The rows are measured: an infinity less itself is no number.
        return lambda key: float("nan")

    def far(key: Box) -> float:
        across, along = max(0.0, key[0] - x, x - key[2]), max(0.0, key[1] - y, y - key[3])
        return FAR if across >= FAR or along >= FAR else hypot(across, along)

    return far


def _boxes(exact: bool, kind: PgType, options: tuple[str, ...]) -> GistClass:
    return GistClass(BoxForm(), box_of, _box_test, _box_distance, exact)


def _boxes_of_points(points: Sequence[Point]) -> NDArray[np.float64]:
    places = np.fromiter(chain.from_iterable(points), np.float64, 2 * len(points)).reshape(-1, 2)
    found = np.concatenate((places, places), axis=1)
    found[np.isnan(places).any(axis=1)] = ANYWHERE
    return found


def _points(kind: PgType, options: tuple[str, ...]) -> GistClass:
    return GistClass(BoxForm(), box_of, _point_test, _box_distance, True, _boxes_of_points)


# Ranges

_ADJACENT, _HAS_ELEMENT, _EQUALS = 6, 16, 18
_NO_LOW, _NO_HIGH = b"\0", b"\2"


class _Edges:
    """The bounds of a range type as bytes."""

    def __init__(self, kind: PgType) -> None:
        form = kind.root.range_form
        if form is None or form.bound_key is None:
            raise NotSupported(f"an index of {kind.name} is not supported: its bounds have no order of bytes")
        self.form: RangeForm = form
        self._bound: Callable[[Datum], bytes] = form.bound_key
        self._escaped = form.subtype.length < 0

    def _value(self, value: Datum) -> bytes:
        data = self._bound(value)
        return b"\1" + (data.replace(b"\0", b"\0\xff") + b"\0\0" if self._escaped else data)

    def of(self, value: Datum) -> Interval:
        """Of a range; of a multirange, from its first to its last bound."""
        found: Range = span(self.form, value) if isinstance(value, Multirange) else value
        flags = found.flags
        if flags & EMPTY:
            return Interval(None, None, True)
        low, high = _NO_LOW, _NO_HIGH
        if not flags & LOWER_INFINITE:
            low = self._value(found.lower) + (b"\1" if flags & LOWER_INCLUSIVE else b"\2")
        if not flags & UPPER_INFINITE:
            high = self._value(found.upper) + (b"\1" if flags & UPPER_INCLUSIVE else b"\0")
        return interval(low, high)

    def element(self, value: Datum) -> Interval:
        """Of one element."""
        place = self._value(value) + b"\1"
        return interval(place, place)


def _ranges(kind: PgType, options: tuple[str, ...]) -> GistClass:
    edges = _Edges(kind)
    return GistClass(IntervalForm(), edges.of, partial(_range_test, edges))


def _has_empty(key: Interval, leaf: bool) -> bool:
    return key.empty


def _range_test(edges: _Edges, strategy: int, value: Datum) -> Test:
    wanted = edges.element(value) if strategy == _HAS_ELEMENT else edges.of(value)
    low, high = wanted.low, wanted.high
    if low is None or high is None:
        return {_CONTAINS: _always, _CONTAINED: _has_empty, _EQUALS: _has_empty}.get(strategy, _never)
    tests: dict[int, Callable[[bytes, bytes, bool], bool]] = {
        _LEFT: lambda a, b, leaf: (b if leaf else a) <= high,
        _OVER_LEFT: lambda a, b, leaf: (b if leaf else a) <= high,
        _OVER_RIGHT: lambda a, b, leaf: (a if leaf else b) >= low,
        _RIGHT: lambda a, b, leaf: (a if leaf else b) >= low,
        # Neighbours differ in the last byte, which says whether the bound belongs to them.
        _ADJACENT: lambda a, b, leaf: a[:-1] <= high and b >= low[:-1],
        _CONTAINS: lambda a, b, leaf: a <= low and b >= high,
        _HAS_ELEMENT: lambda a, b, leaf: a <= low and b >= high,
        _EQUALS: lambda a, b, leaf: a <= low and b >= high,
    }

    def overlaps(a: bytes, b: bytes, leaf: bool) -> bool:
        return a <= high and b >= low

    found = tests.get(strategy, overlaps)
    takes_empty = strategy == _CONTAINED

    def test(key: Interval, leaf: bool) -> bool:
        if key.empty and takes_empty:
            return True
        return key.low is not None and key.high is not None and found(key.low, key.high, leaf)

    return test


# Network addresses

_ADDRESS_LESS, _ADDRESS_GREATER = (20, 21), (22, 23)
_NOT_EQUAL: Final = 19


def _address_interval(value: Inet) -> Interval:
    """All of its network's addresses."""
    size, version = value.width // 8, bytes((value.version,))
    first = value.network
    return Interval(version + first.to_bytes(size, "big"), version + (first | value.host_mask).to_bytes(size, "big"))


def _address_test(strategy: int, value: Inet) -> Test:
    low, high = _address_interval(value)[:2]
    if strategy == _NOT_EQUAL or low is None or high is None:
        return _always
    if strategy in _ADDRESS_LESS:
        return lambda key, leaf: key.low is not None and key.low <= high
    if strategy in _ADDRESS_GREATER:
        return lambda key, leaf: key.high is not None and key.high >= low
    return lambda key, leaf: key.low is not None and key.low <= high and key.high >= low


def _addresses(kind: PgType, options: tuple[str, ...]) -> GistClass:
    return GistClass(IntervalForm(), _address_interval, _address_test)


# Texts

_BYTES_LESS, _BYTES_GREATER, _BYTES_EQUAL, _BEGINS = (1, 2), (4, 5), 3, 28


def _text_interval(value: str) -> Interval:
    data = value.encode()
    return interval(data, data)


def _text_test(strategy: int, value: str) -> Test:
    data = value.encode()
    low, high = _text_interval(value)[:2]
    if low is None or high is None:
        return _always
    if strategy in _BYTES_LESS:
        return lambda key, leaf: key.low <= data
    if strategy in _BYTES_GREATER:
        return lambda key, leaf: key.high >= data
    if strategy == _BYTES_EQUAL:
        return lambda key, leaf: key.low <= data and key.high >= data
    if strategy == _BEGINS:
        size = len(data)
        return lambda key, leaf: key.low[:size] <= data and key.high >= data
    # < and its like go by the collation, which need not be that of the bytes.
    return _always


def _texts(kind: PgType, options: tuple[str, ...]) -> GistClass:
    return GistClass(IntervalForm(), _text_interval, _text_test)


# Documents and queries

SIGNATURE_BYTES: Final = 124
_QUERY_BYTES: Final = 8


def _documents(kind: PgType, options: tuple[str, ...]) -> GistClass:
    size = next((int(each.partition("=")[2]) for each in options if each.startswith("siglen=")), SIGNATURE_BYTES)
    form = SignatureForm(size)

    def key(value: TsVector) -> int:
        found = 0
        for lexeme, _ in value.entries:
            found |= 1 << crc32(lexeme.encode()) % form.bits
        return found

    return GistClass(form, key, partial(_document_test, form))


def _document_test(form: SignatureForm, strategy: int, value: TsQuery) -> Test:
    root = value.root
    if root is None:
        return _never
    wanted = _needed(root, form.bits)
    return lambda key, leaf: wanted(key)


def _needed(node: Node, bits: int) -> Callable[[int], bool]:
    """Whether a signature may be that of a document that matches."""
    if not node.operator:
        if node.prefix:
            return lambda key: True
        bit = 1 << crc32(node.lexeme.encode()) % bits
        return lambda key: bool(key & bit)
    if node.operator == NOT or node.left is None or node.right is None:
        return lambda key: True
    one, other = _needed(node.left, bits), _needed(node.right, bits)
    if node.operator == OR:
        return lambda key: one(key) or other(key)
    return lambda key: one(key) and other(key)


def _query_key(value: TsQuery) -> int:
    found = 0
    for node in nodes(value.root):
        if not node.operator:
            found |= 1 << crc32(node.lexeme.encode()) % (8 * _QUERY_BYTES)
    return found


def _query_test(strategy: int, value: TsQuery) -> Test:
    wanted = _query_key(value)
    if strategy == _CONTAINS:
        return lambda key, leaf: not wanted & ~key
    return lambda key, leaf: not key & ~wanted if leaf else True


def _queries(kind: PgType, options: tuple[str, ...]) -> GistClass:
    return GistClass(SignatureForm(_QUERY_BYTES), _query_key, _query_test)


_Maker = Callable[[PgType, tuple[str, ...]], GistClass]
GIST_CLASSES: Final[dict[int, _Maker]] = {
    # GiST
    10017: _addresses,
    10060: partial(_boxes, True),
    10061: _points,
    10062: partial(_boxes, False),
    10063: partial(_boxes, False),
    10072: _documents,
    10075: _queries,
    10078: _ranges,
    10082: _ranges,
    # SP-GiST
    10018: _addresses,
    10079: _ranges,
    10083: partial(_boxes, True),
    10084: _points,
    10085: _points,
    10086: _texts,
    10087: partial(_boxes, False),
}
"""by the class's code (``IndexDesc.codes``); extensions add theirs"""
