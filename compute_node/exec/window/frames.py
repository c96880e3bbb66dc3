"""Frames: for each row of a partition the rows from ``low`` up to ``high`` (exclusive), and what EXCLUDE takes out.

Both ends never go back from one row to the next, so each is found from where the last one was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from aurora.datum import Datum
from aurora.errors import InvalidPrecedingOrFollowingSize, InvariantViolation, NullValueNotAllowed
from compute_node.hub import HUB
from compute_node.sql.query import Frame

if TYPE_CHECKING:
    from compute_node.exec.window.partition import Partition

Bounds = Callable[[int, int], list[int]]
"""(first row, row behind the last) → one end of the frame of each"""
InRange = Callable[[Datum, Datum, Datum, bool, bool], bool]

PULSE_ROWS = 4096


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


def ends_of(
    part: Partition, frame: Frame, offset: Datum, in_range: InRange | None, order: Order | None, high: bool
) -> Bounds:  # fmt: skip
    """Where frames begin, or with ``high`` behind where they end."""
    kind, mode = (frame.end if high else frame.start), frame.mode
    if kind.startswith("unbounded"):
        edge = part.count if high else 0
        return lambda start, stop: [edge] * (stop - start)
    if mode == "range" and kind != "current row":
        if in_range is None or order is None:
            raise InvariantViolation("RANGE with an offset without a function to compare with")
        return _by_value(part, order, in_range, offset, kind == "preceding", high)
    shift = 0 if kind == "current row" else -offset if kind == "preceding" else offset
    return _shifted(part, shift + high) if mode == "rows" else _by_group(part, shift + high)


def _shifted(part: Partition, shift: int) -> Bounds:
    count = part.count

    def bounds(start: int, stop: int) -> list[int]:
        if start + shift >= 0 and stop + shift <= count + 1:
            return list(range(start + shift, stop + shift))
        return [min(max(row + shift, 0), count) for row in range(start, stop)]

    return bounds


def _by_group(part: Partition, shift: int) -> Bounds:
    """The start of the group ``shift`` groups from the row's."""
    return lambda start, stop: part.by_group(start, stop, lambda group: part.group_start(group + shift))


def _by_value(part: Partition, order: Order, in_range: InRange, offset: Datum, preceding: bool, high: bool) -> Bounds:
    values, nulls_first = order.values, order.nulls_first
    sub, less = preceding != order.descending, order.descending != high
    state = [0]

    def bounds(start: int, stop: int) -> list[int]:
        at, count = state[0], part.count
        out = []
        for row in range(start, stop):
            base = values[row]
            while at < count:
                value = values[at]
                if value is None or base is None:
                    # NULLs and the others are two groups, of which the one or the other comes first.
                    if ((value is None) != nulls_first) >= ((base is None) != nulls_first) + high:
                        break
                elif bool(in_range(value, base, offset, sub, less)) != high:
                    break
                at += 1
                if not at % PULSE_ROWS:
                    HUB.pulse()
            out.append(at)
        state[0] = at
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
