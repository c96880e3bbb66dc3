"""Bit strings, money, network addresses, geometric types, snapshots: text, binary and stored forms come back.

B-tree keys are in the order of the type.
"""

from __future__ import annotations

import itertools
import zoneinfo
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute_node.types import REGISTRY
from compute_node.types.formatting.moment_out import timestamp_to_char
from compute_node.types.formatting.template import CACHED_LENGTH_MAX
from compute_node.types.geometric.areas import Circle, Path, Polygon, inside, polygon_holds
from compute_node.types.geometric.shapes import Box, Line, Lseg, Point, box_of
from compute_node.types.long_text import PIECE
from compute_node.types.network import Inet
from compute_node.types.registry import TypeEnv
from compute_node.types.snapshot import Snapshot

ENV = TypeEnv(zoneinfo.ZoneInfo("UTC"))
_number = st.floats(allow_nan=False, allow_infinity=True)
_point = st.builds(Point, _number, _number)
_points = st.lists(_point, min_size=1, max_size=8).map(tuple)
_bits = st.text("01", max_size=70)


def _inets() -> st.SearchStrategy[Inet]:
    four = st.builds(Inet, st.just(4), st.integers(0, 32), st.integers(0, 2**32 - 1))
    return four | st.builds(Inet, st.just(6), st.integers(0, 128), st.integers(0, 2**128 - 1))


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "bit": _bits,
    "varbit": _bits,
    "money": st.integers(-(2**63), 2**63 - 1),
    "inet": _inets(),
    "cidr": _inets().map(lambda value: value._replace(address=value.network)),
    "macaddr": st.integers(0, 2**48 - 1),
    "macaddr8": st.integers(0, 2**64 - 1),
    "xid8": st.integers(0, 2**64 - 1),
    "pg_lsn": st.integers(0, 2**64 - 1),
    "point": _point,
    "lseg": st.builds(Lseg, _point, _point),
    "box": st.builds(box_of, _point, _point),
    "line": st.builds(Line, st.just(1.0), _number, _number),
    "path": st.builds(Path, st.booleans(), _points),
    "polygon": st.builds(Polygon, _points),
    "circle": st.builds(Circle, _point, st.floats(min_value=0.0, allow_nan=False)),
    "pg_snapshot": st.lists(st.integers(5, 99), unique=True).map(lambda xids: Snapshot(5, 100, tuple(sorted(xids)))),
}


@pytest.mark.parametrize("name", VALUES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_all_forms_come_back(name: str, data: st.DataObject) -> None:
    kind = REGISTRY.types_by_name[name]
    value = data.draw(VALUES[name])
    assert kind.input(kind.output(value, ENV), -1, ENV) == value
    assert kind.send is not None and kind.receive is not None
    assert kind.receive(kind.send(value), -1) == value
    if kind.disk == "x":
        assert kind.to_disk is not None and kind.from_disk is not None
        assert kind.from_disk(kind.to_disk(value)) == value
    hash(value)


@pytest.mark.parametrize("name", ["bit", "varbit", "money", "inet", "macaddr", "macaddr8", "xid8", "pg_lsn"])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_keys_are_in_order(name: str, data: st.DataObject) -> None:
    kind = REGISTRY.types_by_name[name]
    order, key = kind.sort_value or (lambda value: value), kind.sort_key
    assert key is not None
    values = data.draw(st.lists(VALUES[name], min_size=2, max_size=6))
    for a, b in itertools.combinations(values, 2):
        assert (order(a) < order(b)) == (key(a) < key(b))
        assert (order(a) == order(b)) == (key(a) == key(b))


def test_a_long_bit_string_is_worked_on_in_pieces() -> None:
    kind = REGISTRY.types_by_name["varbit"]
    value = ("10" * PIECE) + "1"
    assert kind.to_disk is not None and kind.from_disk is not None
    assert kind.from_disk(kind.to_disk(value)) == value
    both = next(each for each in REGISTRY.functions_by_name["bitand"])
    assert both.implementation(value, "1" * len(value)) == value
    assert kind.input("x" + "a5" * PIECE, -1, ENV) == "10100101" * PIECE


@given(st.integers(-5, 15), st.integers(-5, 15))
def test_a_point_in_a_square(x: int, y: int) -> None:
    square = (Point(0.0, 0.0), Point(10.0, 0.0), Point(10.0, 10.0), Point(0.0, 10.0))
    edge = (x in (0, 10) and 0 <= y <= 10) or (y in (0, 10) and 0 <= x <= 10)
    within = 0 < x < 10 and 0 < y < 10
    assert inside(Point(float(x), float(y)), square) == (2 if edge else 1 if within else 0)


def test_a_polygon_of_many_corners_holds_another() -> None:
    """No recursion: one edge of the inner polygon crosses thousands of the outer one's."""
    comb: list[Point] = []
    for at in range(2000):
        comb += [Point(float(at), 10.0), Point(at + 0.25, 1.0), Point(at + 0.75, 10.0)]
    outer = Polygon((Point(-1.0, 0.0), Point(-1.0, 10.0), *comb, Point(2001.0, 10.0), Point(2001.0, 0.0)))
    low = Polygon((Point(0.0, 0.2), Point(1999.0, 0.2), Point(1999.0, 0.8), Point(0.0, 0.8)))
    high = Polygon((Point(0.0, 0.2), Point(1999.0, 0.2), Point(1999.0, 5.0), Point(0.0, 5.0)))
    assert polygon_holds(outer, low)
    assert not polygon_holds(outer, high)


def test_templates_of_both_lengths_give_the_same() -> None:
    short = "YYYY-MM-DD HH24:MI:SS"
    padded = short + '"' + "x" * CACHED_LENGTH_MAX + '"'
    assert timestamp_to_char(0, padded) == (timestamp_to_char(0, short) or "") + "x" * CACHED_LENGTH_MAX


def test_a_box_is_ordered_by_its_corners() -> None:
    assert box_of(Point(1.0, 4.0), Point(3.0, 2.0)) == Box(Point(3.0, 4.0), Point(1.0, 2.0))
