"""How far log held out of order reaches: entries as ``(previous LSN, first LSN, last LSN)`` in → disjoint spans.

An entry that begins within a span, or where it ends, belongs to it. Log comes in order but for its gaps, so that there
are as many spans as gaps, and an entry more costs no search of the others.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class Coverage:
    """Spans only grow; ``clear`` is the one way back."""

    __slots__ = ("_ends", "_firsts", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        """Of each span the LSN before its first entry, ascending."""
        self._firsts: list[int] = []
        """Of each span its first entry's first LSN."""
        self._ends: list[int] = []
        """Of each span its last LSN, ascending and below the next one's start."""

    @property
    def highest(self) -> int:
        """The last LSN of all; 0 when there is nothing."""
        return self._ends[-1] if self._ends else 0

    def __len__(self) -> int:
        return len(self._starts)

    def clear(self) -> None:
        """Nothing is held any more."""
        self._starts.clear()
        self._firsts.clear()
        self._ends.clear()

    def forget(self, upto: int) -> None:
        """Drop the spans that end at or below ``upto``."""
        gone = bisect_right(self._ends, upto)
        del self._starts[:gone], self._firsts[:gone], self._ends[:gone]

    def add(self, prev: int, first: int, last: int) -> None:
        """One entry more."""
        low = bisect_left(self._ends, prev)  # the first span that ends at or behind its beginning
        high = bisect_right(self._starts, last)  # behind the last one that begins at or before its end
        if low < high:
            if self._starts[low] <= prev:
                prev, first = self._starts[low], self._firsts[low]
            last = max(last, self._ends[high - 1])
        self._starts[low:high], self._firsts[low:high], self._ends[low:high] = [prev], [first], [last]

    def reach(self, after: int) -> tuple[int, int]:
        """How far the entries continue each other from ``after``, and the first LSN behind the gap that follows (0:
        nothing is held there).
        """
        at = bisect_left(self._ends, after)
        if at < len(self._starts) and self._starts[at] <= after:
            after = self._ends[at]
            at += 1
        return after, self._firsts[at] if at < len(self._firsts) else 0
