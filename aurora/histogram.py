"""Fixed-bucket histograms, cheap enough for a hot path: one bisection and two additions an observation.

Input: values → output: cumulative counts a bucket, their sum. Pure; whoever measures passes the value in.
Invariant: the bounds ascend, and the last bucket (above all bounds) takes what is left.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Final

from aurora.errors import InvariantViolation

LATENCY_BOUNDS_S: Final = (
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
)  # fmt: skip
"""Upper bounds in seconds: 50 µs to 10 s, close enough to each other around 0.5 ms, 1 ms and 5 ms to see a target."""


class Histogram:
    """Counts of values by bucket. ``bounds`` are inclusive upper bounds; ``sum`` is that of all values."""

    __slots__ = ("_counts", "bounds", "sum")

    def __init__(self, bounds: Sequence[float] = LATENCY_BOUNDS_S) -> None:
        if not bounds or any(low >= high for low, high in pairwise(bounds)):
            raise InvariantViolation(f"histogram bounds must ascend: {tuple(bounds)}")
        self.bounds = tuple(bounds)
        self.sum = 0.0
        self._counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def add(self, other: Histogram) -> None:
        """Count all that another one of the same bounds has counted."""
        if other.bounds != self.bounds:
            raise InvariantViolation("histograms of different bounds cannot be added")
        self._counts = [mine + theirs for mine, theirs in zip(self._counts, other._counts, strict=True)]
        self.sum += other.sum

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self._counts)

    def cumulative(self) -> list[tuple[float, int]]:
        """``(upper bound, values at or below it)``, the last bound infinite."""
        return list(zip((*self.bounds, float("inf")), accumulate(self._counts), strict=True))

    def quantile(self, share: float) -> float:
        """The upper bound of the bucket in which the quantile lies; 0 when nothing was observed."""
        if not 0 <= share <= 1:
            raise InvariantViolation(f"quantile {share}")
        total = self.count
        if not total:
            return 0.0
        return next(bound for bound, upto in self.cumulative() if upto >= share * total)
