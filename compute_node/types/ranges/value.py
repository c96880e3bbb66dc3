"""Range and multirange values, and their arithmetic.

A bound's place on the line is a tuple: (-1,) for no lower bound, (1,) for no upper one, else (0, key, nudge), where the
nudge is 1 for an exclusive lower bound and -1 for an exclusive upper one. All comparisons of bounds are comparisons of
places, so each operator is a line. Source: PostgreSQL manual, 8.17.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from operator import itemgetter
from sys import getsizeof
from typing import NamedTuple

from aurora.datum import Row
from aurora.errors import DataException
from compute_node.hub import HUB
from compute_node.types.long_text import STEPS, paced
from compute_node.types.registry import RangeForm, Value

EMPTY, LOWER_INCLUSIVE, UPPER_INCLUSIVE, LOWER_INFINITE, UPPER_INFINITE = 1, 2, 4, 8, 16
"""Bits of ``Range.flags``, which are those of the binary form."""
_LOWER, _UPPER = LOWER_INCLUSIVE | LOWER_INFINITE, UPPER_INCLUSIVE | UPPER_INFINITE
NO_LOWER, NO_UPPER = (-1,), (1,)

Place = Row


class Range:
    """An immutable range: bounds (None where there is none) and flags. ``==`` and ``hash`` are those of the bounds'
    Python values; the type's own equality is that of ``order``."""

    __slots__ = ("flags", "lower", "upper")

    def __init__(self, lower: Value, upper: Value, flags: int) -> None:
        self.lower = lower
        self.upper = upper
        self.flags = flags

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is Range
            and self.flags == other.flags
            and self.lower == other.lower
            and self.upper == other.upper
        )

    def __hash__(self) -> int:
        return hash((self.flags, self.lower, self.upper))

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + getsizeof(self.lower) + getsizeof(self.upper)

    def __repr__(self) -> str:
        return f"Range({self.lower!r}, {self.upper!r}, {self.flags})"


NOTHING = Range(None, None, EMPTY)
"""the empty range"""


class Multirange:
    """An immutable multirange: ranges in order, none empty, none touching another."""

    __slots__ = ("ranges",)

    def __init__(self, ranges: tuple[Range, ...]) -> None:
        self.ranges = ranges

    def __eq__(self, other: object) -> bool:
        return type(other) is Multirange and self.ranges == other.ranges

    def __hash__(self) -> int:
        return hash(self.ranges)

    def __sizeof__(self) -> int:
        """About: the ranges are taken to be alike."""
        count = len(self.ranges)
        return object.__sizeof__(self) + getsizeof(self.ranges) + count * (getsizeof(self.ranges[0]) if count else 0)

    def __repr__(self) -> str:
        return f"Multirange({self.ranges!r})"


class Ends(NamedTuple):
    """The places of a range's two bounds."""

    low: Place
    high: Place


def ends(form: RangeForm, value: Range) -> Ends:
    """The places of the bounds of a range that is not empty."""
    flags, key = value.flags, form.key
    low: Place = NO_LOWER
    high: Place = NO_UPPER
    if not flags & LOWER_INFINITE:
        low = (0, value.lower if key is None else key(value.lower), 0 if flags & LOWER_INCLUSIVE else 1)
    if not flags & UPPER_INFINITE:
        high = (0, value.upper if key is None else key(value.upper), 0 if flags & UPPER_INCLUSIVE else -1)
    return Ends(low, high)


def order(form: RangeForm, value: Range) -> Place:
    """A comparable and hashable object: the empty range is before all others, then lower and upper bound."""
    return (0,) if value.flags & EMPTY else (1, *ends(form, value))


def multirange_order(form: RangeForm, value: Multirange) -> tuple[Place, ...]:
    """A comparable and hashable object: range by range, the shorter before the longer."""
    return tuple(ends(form, each) for each in steps(value.ranges))


def make_range(form: RangeForm, lower: Value, upper: Value, flags: int) -> Range:
    """The range in its canonical form. 22000 when the lower bound is above the upper one."""
    made = _checked(form, lower, upper, flags)
    if form.canonical is None or made.flags & EMPTY:
        return made
    lower, upper, flags = form.canonical(made.lower, made.upper, made.flags)
    return made if flags == made.flags else _checked(form, lower, upper, flags)


def _checked(form: RangeForm, lower: Value, upper: Value, flags: int) -> Range:
    if flags & EMPTY:
        return NOTHING
    if flags & LOWER_INFINITE:
        lower, flags = None, flags & ~LOWER_INCLUSIVE
    if flags & UPPER_INFINITE:
        upper, flags = None, flags & ~UPPER_INCLUSIVE
    if not flags & (LOWER_INFINITE | UPPER_INFINITE):
        key = form.key
        low, high = (lower, upper) if key is None else (key(lower), key(upper))
        if high < low:
            raise DataException("range lower bound must be less than or equal to range upper bound")
        if low == high and flags & (LOWER_INCLUSIVE | UPPER_INCLUSIVE) != LOWER_INCLUSIVE | UPPER_INCLUSIVE:
            return NOTHING
    return Range(lower, upper, flags)


def between(form: RangeForm, first: Range, second: Range) -> Range:
    """From the lower bound of ``first`` to the upper one of ``second``."""
    return make_range(form, first.lower, second.upper, first.flags & _LOWER | second.flags & _UPPER)


def _before_start(form: RangeForm, first: Range, second: Range) -> Range:
    """From the lower bound of ``first`` to where ``second`` begins."""
    inclusive = 0 if second.flags & LOWER_INCLUSIVE else UPPER_INCLUSIVE
    return make_range(form, first.lower, second.lower, first.flags & _LOWER | inclusive)


def _after_end(form: RangeForm, first: Range, second: Range) -> Range:
    """From where ``first`` ends to the upper bound of ``second``."""
    inclusive = 0 if first.flags & UPPER_INCLUSIVE else LOWER_INCLUSIVE
    return make_range(form, first.upper, second.upper, inclusive | second.flags & _UPPER)


def contains_place(form: RangeForm, value: Range, place: Place) -> bool:
    """Whether an element, as its place, is in the range."""
    if value.flags & EMPTY:
        return False
    low, high = ends(form, value)
    return low <= place <= high


def element_place(form: RangeForm, element: Value) -> Place:
    """Where an element is."""
    return 0, element if form.key is None else form.key(element), 0


def contains(form: RangeForm, first: Range, second: Range) -> bool:
    """Whether ``second`` is in ``first``."""
    if second.flags & EMPTY:
        return True
    if first.flags & EMPTY:
        return False
    one, other = ends(form, first), ends(form, second)
    return one.low <= other.low and other.high <= one.high


def overlaps(form: RangeForm, first: Range, second: Range) -> bool:
    """Whether they have a point in common."""
    if (first.flags | second.flags) & EMPTY:
        return False
    if form.key is None and first.flags == second.flags == LOWER_INCLUSIVE:
        return bool(first.lower < second.upper and second.lower < first.upper)
    one, other = ends(form, first), ends(form, second)
    return one.low <= other.high and other.low <= one.high


def before(form: RangeForm, first: Range, second: Range) -> bool:
    """Whether all of ``first`` is below all of ``second``; neither is empty."""
    if (first.flags | second.flags) & EMPTY:
        return False
    return ends(form, first).high < ends(form, second).low


def meets(form: RangeForm, first: Range, second: Range) -> bool:
    """Whether ``second`` begins where ``first`` ends, with nothing between and nothing in common."""
    if first.flags & UPPER_INFINITE or second.flags & LOWER_INFINITE:
        return False
    key = form.key
    high, low = (first.upper, second.lower) if key is None else (key(first.upper), key(second.lower))
    ends_there, begins_there = bool(first.flags & UPPER_INCLUSIVE), bool(second.flags & LOWER_INCLUSIVE)
    if high == low:
        return ends_there != begins_there
    if not high < low or form.canonical is None or (begins_there and not ends_there):
        # In the last case the first bound itself is between.
        return False
    # A discrete subtype: is there anything between?
    flags = (0 if ends_there else LOWER_INCLUSIVE) | (0 if begins_there else UPPER_INCLUSIVE)
    return bool(make_range(form, first.upper, second.lower, flags).flags & EMPTY)


def adjacent(form: RangeForm, first: Range, second: Range) -> bool:
    """Whether one begins where the other ends."""
    if (first.flags | second.flags) & EMPTY:
        return False
    return meets(form, first, second) or meets(form, second, first)


def merged(form: RangeForm, first: Range, second: Range) -> Range:
    """The smallest range that holds both."""
    if first.flags & EMPTY:
        return second
    if second.flags & EMPTY:
        return first
    one, other = ends(form, first), ends(form, second)
    return between(form, first if one.low <= other.low else second, first if one.high >= other.high else second)


def union(form: RangeForm, first: Range, second: Range) -> Range:
    """The points of either; 22000 when there is a gap."""
    if not (first.flags | second.flags) & EMPTY:
        if not overlaps(form, first, second) and not adjacent(form, first, second):
            raise DataException("result of range union would not be contiguous")
    return merged(form, first, second)


def intersection(form: RangeForm, first: Range, second: Range) -> Range:
    """The points of both."""
    if not overlaps(form, first, second):
        return NOTHING
    one, other = ends(form, first), ends(form, second)
    return between(form, first if one.low >= other.low else second, first if one.high <= other.high else second)


def difference(form: RangeForm, first: Range, second: Range) -> Range:
    """The points of ``first`` that are not in ``second``; 22000 when they are two ranges."""
    if not overlaps(form, first, second):
        return first
    one, other = ends(form, first), ends(form, second)
    if one.low < other.low:
        if one.high > other.high:
            raise DataException("result of range difference would not be contiguous")
        return _before_start(form, first, second)
    return NOTHING if one.high <= other.high else _after_end(form, second, first)


# multiranges


_PULSE_STEPS = 256
"""Pairs of ranges that are compared without a pulse"""


def steps(ranges: Sequence[Range]) -> Iterable[Range]:
    """The ranges, for a loop over all: with pulses when they are many."""
    return ranges if len(ranges) <= STEPS else paced(ranges)


def make_multirange(form: RangeForm, ranges: Iterable[Range]) -> Multirange:
    """The multirange of ranges in any order: sorted, without empty ones, with neighbours made one."""
    joined: list[Range] = []
    high: Place = ()
    for place, each in _in_order([(ends(form, each), each) for each in paced(ranges) if not each.flags & EMPTY]):
        if joined and not (high < place.low and not meets(form, joined[-1], each)):
            if place.high > high:
                joined[-1], high = between(form, joined[-1], each), place.high
        else:
            joined.append(each)
            high = place.high
    return Multirange(tuple(joined))


def _in_order(placed: list[tuple[Ends, Range]]) -> Iterable[tuple[Ends, Range]]:
    """Sorted by place; many a piece at a time."""
    if len(placed) <= STEPS:
        return sorted(placed, key=_PLACE)
    pieces = [sorted(placed[start : start + STEPS], key=_PLACE) for start in paced_range(len(placed))]
    return paced(merge(*pieces, key=_PLACE))


def paced_range(count: int) -> Iterator[int]:
    """Where pieces of ``STEPS`` begin, with a pulse at each."""
    for start in range(0, count, STEPS):
        HUB.pulse()
        yield start


_PLACE = itemgetter(0)


def span(form: RangeForm, value: Multirange) -> Range:
    """The smallest range that holds all; empty for no ranges."""
    return between(form, value.ranges[0], value.ranges[-1]) if value.ranges else NOTHING


def _holder(form: RangeForm, ranges: Sequence[Range], place: Place) -> Range | None:
    """The last range that begins at or before a place."""
    low, high = 0, len(ranges)
    while low < high:
        middle = (low + high) // 2
        if place < ends(form, ranges[middle]).low:
            high = middle
        else:
            low = middle + 1
    return ranges[low - 1] if low else None


def multirange_contains_place(form: RangeForm, value: Multirange, place: Place) -> bool:
    """Whether an element, as its place, is in one of the ranges."""
    holder = _holder(form, value.ranges, place)
    return holder is not None and contains_place(form, holder, place)


def multirange_contains_range(form: RangeForm, value: Multirange, item: Range) -> bool:
    """Whether one of the ranges holds all of ``item``."""
    if item.flags & EMPTY:
        return True
    holder = _holder(form, value.ranges, ends(form, item).low)
    return holder is not None and contains(form, holder, item)


def multirange_contains(form: RangeForm, first: Multirange, second: Multirange) -> bool:
    """Whether every range of ``second`` is within one of ``first``."""
    return all(multirange_contains_range(form, first, each) for each in steps(second.ranges))


def multirange_overlaps_range(form: RangeForm, value: Multirange, item: Range) -> bool:
    """Whether they have a point in common."""
    if item.flags & EMPTY:
        return False
    holder = _holder(form, value.ranges, ends(form, item).high)
    return holder is not None and overlaps(form, holder, item)


def multirange_overlaps(form: RangeForm, first: Multirange, second: Multirange) -> bool:
    """Whether they have a point in common."""
    return any(multirange_overlaps_range(form, first, each) for each in steps(second.ranges))


def multirange_intersection(form: RangeForm, first: Multirange, second: Multirange) -> Multirange:
    """The points of both."""
    out: list[Range] = []
    ones, others = first.ranges, second.ranges
    at = to = 0
    while at < len(ones) and to < len(others):
        if not (at + to) % _PULSE_STEPS:
            HUB.pulse()
        common = intersection(form, ones[at], others[to])
        if not common.flags & EMPTY:
            out.append(common)
        if ends(form, ones[at]).high < ends(form, others[to]).high:
            at += 1
        else:
            to += 1
    return make_multirange(form, out)


def multirange_difference(form: RangeForm, first: Multirange, second: Multirange) -> Multirange:
    """The points of ``first`` that are not in ``second``."""
    out: list[Range] = []
    cuts = second.ranges
    at = 0
    for number, rest in enumerate(first.ranges):
        if not number % _PULSE_STEPS:
            HUB.pulse()
        while at < len(cuts) and before(form, cuts[at], rest):
            at += 1
        to = at
        while to < len(cuts) and overlaps(form, rest, cuts[to]):
            here, cut = ends(form, rest), ends(form, cuts[to])
            if here.low < cut.low:
                out.append(_before_start(form, rest, cuts[to]))
            rest = _after_end(form, cuts[to], rest) if cut.high < here.high else NOTHING
            to += 1
        out.append(rest)
        at = max(at, to - 1)
    return make_multirange(form, out)
