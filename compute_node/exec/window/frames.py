"""Frames: for each row of a partition the rows from ``low`` up to ``high`` (exclusive), and what EXCLUDE takes out.

Both ends never go back from one row to the next, so each is found from where the last one was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from aurora.datum import Datum
from aurora.errors import InvalidPrecedingOrFollowingSize, InvariantViolation, NullValueNotAllowed
from compute_node.sql.query import Frame

if TYPE_CHECKING:
    from compute_node.exec.window.partition import Partition

Bounds = Callable[[int, int], list[int]]
"""(first row, row behind the last) → one end of the frame of each"""
InRange = Callable[[Datum, Datum, Datum, bool, bool], bool]

BEYOND = 1 << 62


def check_offset(value: Datum, mode: str, end: str) -> Datum:
    """The offset of a frame's ``starting`` or ``ending`` end; 22004, 22013."""
    if value is None:
        raise NullValueNotAllowed(f"frame {end} offset must not be null")
    if mode != "range" and value < 0:
        raise InvalidPrecedingOrFollowingSize(f"frame {end} offset must not be negative")
    return value


class Order:
    """The order of a window whose RANGE has offsets: the one column's values and direction."""

    __slots__ = ("descending", "nulls_first", "values")

    def __init__(self, values: Sequence[Datum], descending: bool, nulls_first: bool) -> None:
        self.values, self.descending, self.nulls_first = values, descending, nulls_first


def low_ends(
    part: Partition, frame: Frame, offset: Datum, in_range: InRange | None, order: Order | None
) -> Bounds:  # fmt: skip
    """Where frames begin."""
    kind, mode = frame.start, frame.mode
    if kind == "unbounded preceding":
        return lambda start, stop: [0] * (stop - start)
    if mode == "rows":
        shift = 0 if kind == "current row" else -offset if kind == "preceding" else offset
        return _shifted(part, shift)
    if mode == "groups" or kind == "current row":
        return _by_group(part, 0 if kind == "current row" else -offset if kind == "preceding" else offset, 0)
    if in_range is None or order is None:
        raise InvariantViolation("RANGE with an offset without a function to compare with")
    return _low_range(part, order, in_range, offset, kind == "preceding")


def high_ends(
    part: Partition, frame: Frame, offset: Datum, in_range: InRange | None, order: Order | None
) -> Bounds:  # fmt: skip
    """Behind where they end."""
    kind, mode = frame.end, frame.mode
    if kind == "unbounded following":
        return lambda start, stop: [part.count] * (stop - start)
    if mode == "rows":
        shift = 0 if kind == "current row" else -offset if kind == "preceding" else offset
        return _shifted(part, shift + 1)
    if mode == "groups" or kind == "current row":
        return _by_group(part, 0 if kind == "current row" else -offset if kind == "preceding" else offset, 1)
    if in_range is None or order is None:
        raise InvariantViolation("RANGE with an offset without a function to compare with")
    return _high_range(part, order, in_range, offset, kind == "preceding")


def _shifted(part: Partition, shift: int) -> Bounds:
    count = part.count

    def bounds(start: int, stop: int) -> list[int]:
        if start + shift >= 0 and stop + shift <= count + 1:
            return list(range(start + shift, stop + shift))
        return [min(max(row + shift, 0), count) for row in range(start, stop)]

    return bounds


def _by_group(part: Partition, shift: int, more: int) -> Bounds:
    """The start of the group ``shift`` groups from the row's, or with ``more`` its end."""

    def bounds(start: int, stop: int) -> list[int]:
        group = part.group_of(start)
        out: list[int] = []
        while start < stop:
            end = min(part.group_start(group + 1), stop)
            out += [part.group_start(group + shift + more)] * (end - start)
            start, group = end, group + 1
        return out

    return bounds


def _low_range(part: Partition, order: Order, in_range: InRange, offset: Datum, preceding: bool) -> Bounds:
    values, nulls_first = order.values, order.nulls_first
    sub, less = preceding != order.descending, order.descending
    state = [0]

    def bounds(start: int, stop: int) -> list[int]:
        low, count = state[0], part.count
        out = []
        for row in range(start, stop):
            base = values[row]
            while low < count:
                value = values[low]
                if value is None or base is None:
                    if nulls_first:
                        if value is not None or base is None:
                            break
                    elif value is None or base is not None:
                        break
                elif in_range(value, base, offset, sub, less):
                    break
                low += 1
            out.append(low)
        state[0] = low
        return out

    return bounds


def _high_range(part: Partition, order: Order, in_range: InRange, offset: Datum, preceding: bool) -> Bounds:
    values, nulls_first = order.values, order.nulls_first
    sub, less = preceding != order.descending, not order.descending
    state = [0]

    def bounds(start: int, stop: int) -> list[int]:
        high, count = state[0], part.count
        out = []
        for row in range(start, stop):
            base = values[row]
            while high < count:
                value = values[high]
                if value is None or base is None:
                    if nulls_first:
                        if value is not None and base is None:
                            break
                    elif value is None and base is not None:
                        break
                elif not in_range(value, base, offset, sub, less):
                    break
                high += 1
            out.append(high)
        state[0] = high
        return out

    return bounds


class Frames:
    """The frames of a partition's rows."""

    __slots__ = ("_high", "_low", "_part", "exclude", "fixed_low")

    def __init__(self, part: Partition, frame: Frame, low: Bounds, high: Bounds) -> None:
        self._part, self._low, self._high = part, low, high
        self.exclude = frame.exclude
        self.fixed_low = frame.start == "unbounded preceding"

    def ends(self, start: int, stop: int) -> tuple[list[int], list[int]]:
        """Both ends of the frames of some rows; called for all rows in turn."""
        return self._low(start, stop), self._high(start, stop)

    def pieces(self, row: int, low: int, high: int) -> Iterator[tuple[int, int]]:
        """The parts of a row's frame that EXCLUDE leaves, none of them empty."""
        if low >= high:
            return
        exclude = self.exclude
        if not exclude:
            yield low, high
            return
        if exclude == "current row":
            holes = [(row, row + 1)]
        else:
            group = self._part.group_of(row)
            first, last = self._part.group_start(group), self._part.group_start(group + 1)
            holes = [(first, last)] if exclude == "group" else [(first, row), (row + 1, last)]
        for hole, end in holes:
            if end <= low or hole >= high or hole == end:
                continue
            if low < hole:
                yield low, hole
            low = max(low, end)
        if low < high:
            yield low, high
