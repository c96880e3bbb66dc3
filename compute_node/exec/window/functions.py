"""The built-in window functions over a whole partition (manual, 9.22).

``WindowFunction.over(part, frames)`` gives a function of (first row, row behind the last, ends of their frames), called
for all rows in turn, a chunk at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from aurora.datum import Datum
from aurora.errors import InvalidArgumentForNthValue, InvalidArgumentForNtile, NotSupported
from compute_node.exec.window.partition import Evaluate

if TYPE_CHECKING:
    from compute_node.exec.window.frames import Frames
    from compute_node.exec.window.partition import Partition

Ends = tuple[list[int], list[int]]
Chunk = Callable[[int, int, Ends], list[Datum]]


class WindowFunction(Protocol):
    """One call of a node."""

    def over(self, part: Partition, frames: Frames) -> Chunk:
        """How it runs over a partition."""


# ranks


class RowNumber:
    """row_number()."""

    def over(self, part: Partition, frames: Frames) -> Chunk:
        """The row's number from 1."""
        return lambda start, stop, ends: list(range(start + 1, stop + 1))


class Rank:
    """rank()."""

    def over(self, part: Partition, frames: Frames) -> Chunk:
        """The number of the first peer."""
        return lambda start, stop, ends: part.by_group(start, stop, lambda group: part.group_start(group) + 1)


class DenseRank:
    """dense_rank()."""

    def over(self, part: Partition, frames: Frames) -> Chunk:
        """The number of the group of peers."""
        return lambda start, stop, ends: part.by_group(start, stop, lambda group: group + 1)


class PercentRank:
    """percent_rank()."""

    def over(self, part: Partition, frames: Frames) -> Chunk:
        """(rank - 1) / (rows - 1); 0 of a single row."""
        others = max(part.count - 1, 1)
        return lambda start, stop, ends: part.by_group(start, stop, lambda group: part.group_start(group) / others)


class CumeDist:
    """cume_dist()."""

    def over(self, part: Partition, frames: Frames) -> Chunk:
        """Rows up to the last peer / rows."""
        return lambda start, stop, ends: part.by_group(
            start, stop, lambda group: part.group_start(group + 1) / part.count
        )


class Ntile:
    """ntile(buckets)."""

    def __init__(self, buckets: Evaluate) -> None:
        self._buckets = buckets

    def over(self, part: Partition, frames: Frames) -> Chunk:
        """Buckets as equal as possible, the greater ones first. The first argument that is not NULL counts."""
        given = part.values(self._buckets)
        state: dict[str, int] = {}

        def values(start: int, stop: int, ends: Ends) -> list[int | None]:
            out: list[int | None] = []
            for row in range(start, stop):
                if not state:
                    buckets: Datum = given[row]
                    if buckets is None:
                        out.append(None)
                        continue
                    if buckets <= 0:
                        raise InvalidArgumentForNtile("argument of ntile must be greater than zero")
                    state["size"], state["more"] = divmod(part.count, buckets)
                    state["first"] = row
                place = row - state["first"]
                size, more = state["size"], state["more"]
                edge = more * (size + 1)
                out.append(place // (size + 1) + 1 if place < edge else more + (place - edge) // max(size, 1) + 1)
            return out

        return values


# values of other rows


class Beside:
    """lag and lead: ``direction`` -1 and 1."""

    def __init__(self, value: Evaluate, offset: Evaluate | None, default: Evaluate | None, direction: int) -> None:
        self._value, self._offset, self._default, self._direction = value, offset, default, direction

    def over(self, part: Partition, frames: Frames) -> Chunk:
        """The value of the row so many rows off; the default where there is none, NULL for a NULL offset."""
        source = part.values(self._value)
        offsets = None if self._offset is None else part.values(self._offset)
        defaults = None if self._default is None else part.values(self._default)
        count, direction = part.count, self._direction

        def values(start: int, stop: int, ends: Ends) -> list[Datum]:
            if offsets is None:
                low, high = start + direction, stop + direction
                inside = list(source[max(low, 0) : min(high, count)])
                return [None] * max(0, -low) + inside + [None] * max(0, high - count)
            out: list[Datum] = []
            for row in range(start, stop):
                offset: Datum = offsets[row]
                if offset is None:
                    out.append(None)
                    continue
                place = row + direction * offset
                if 0 <= place < count:
                    out.append(source[place])
                else:
                    out.append(None if defaults is None else defaults[row])
            return out

        return values


class OfFrame:
    """first_value, last_value and nth_value: the value of the row that ``place`` says, from 1; -1 the last."""

    def __init__(self, value: Evaluate, place: Evaluate | None, last: bool = False) -> None:
        self._value, self._place, self._last = value, place, last

    def over(self, part: Partition, frames: Frames) -> Chunk:
        """NULL where the frame has no such row."""
        source = part.values(self._value)
        places = None if self._place is None else part.values(self._place)

        def values(start: int, stop: int, ends: Ends) -> list[Datum]:
            out: list[Datum] = []
            for row, low, high in zip(range(start, stop), *ends, strict=True):
                place: Datum = 1 if places is None else places[row]
                if place is None:
                    out.append(None)
                    continue
                if place <= 0:
                    raise InvalidArgumentForNthValue("argument of nth_value must be greater than zero")
                at = self._at(frames, row, low, high, place)
                out.append(None if at is None else source[at])
            return out

        return values

    def _at(self, frames: Frames, row: int, low: int, high: int, place: int) -> int | None:
        if not frames.exclude:
            at = high - 1 if self._last else low + place - 1
            return at if low <= at < high else None
        pieces = list(frames.pieces(row, low, high))
        if self._last:
            return pieces[-1][1] - 1 if pieces else None
        for first, end in pieces:
            if place <= end - first:
                return first + place - 1
            place -= end - first
        return None


_WITHOUT_ARGUMENTS: dict[str, Callable[[], WindowFunction]] = {
    "row_number": RowNumber,
    "rank": Rank,
    "dense_rank": DenseRank,
    "percent_rank": PercentRank,
    "cume_dist": CumeDist,
}


def built_in(name: str, arguments: Sequence[Evaluate]) -> WindowFunction:
    """The window function of that name."""
    if name in _WITHOUT_ARGUMENTS:
        return _WITHOUT_ARGUMENTS[name]()
    first = arguments[0]
    second = arguments[1] if len(arguments) > 1 else None
    third = arguments[2] if len(arguments) > 2 else None
    match name:
        case "ntile":
            return Ntile(first)
        case "lag" | "lead":
            return Beside(first, second, third, -1 if name == "lag" else 1)
        case "first_value" | "nth_value":
            return OfFrame(first, second)
        case "last_value":
            return OfFrame(first, None, last=True)
    raise NotSupported(f"window function {name} is not supported")
