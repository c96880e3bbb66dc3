"""Aggregates over groups of column batches. A state here becomes the state that the row-wise code has, so that it can
give the result, or go on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

import numpy as np

from aurora.datum import Datum
from aurora.kernels import columns as columns_kernel
from aurora.kernels import groups as kernel
from compute_node.exec.vectors.keys import GroupKeys, Numbers
from compute_node.exec.vectors.sort import sorted_rows
from compute_node.exec.vectors.vector import Flags, Ints, Unsuited, Vector, rescaled
from compute_node.hub import HUB

LARGE_STATES: Final = 1 << 16
"""Arrays of more states grow by a quarter."""


class GroupState(ABC):
    """The states of one aggregate call, one a group."""

    __slots__ = ("_arrays",)

    dtypes: tuple[type[np.generic], ...] = (np.int64,)
    kinds = ""
    """of the arguments that it takes; nothing: any"""

    def __init__(self) -> None:
        self._arrays: list[Datum] = [np.zeros(1, dtype) for dtype in self.dtypes]

    def grow(self, count: int) -> None:
        """Room for as many groups."""
        have = len(self._arrays[0])
        if have < count:
            size = max(count, have * 2 if have < LARGE_STATES else have * 5 // 4)
            self._arrays = [np.concatenate([each, np.zeros(size - have, each.dtype)]) for each in self._arrays]

    def check(self, column: Vector | None) -> None:
        """``Unsuited`` when the column is not what ``add`` takes."""
        if self.kinds and (column is None or column.kind not in self.kinds):
            raise Unsuited

    @abstractmethod
    def add(self, groups: Numbers | None, rows: int, column: Vector | None) -> None:
        """Fold a checked column of ``rows`` values. ``groups`` None: there is one."""

    @abstractmethod
    def states(self, start: int, stop: int) -> list[Datum]:
        """The row-wise states of the groups from ``start`` to before ``stop``."""

    def finished(self, start: int, stop: int) -> list[Datum]:
        """The states when no more rows come: what the aggregates' final functions take."""
        return self.states(start, stop)

    def result(self, start: int, stop: int) -> Vector:
        """The aggregate's result for these groups, when no more rows come. ``Unsuited`` when it has no such form: the
        final function makes it of ``finished``."""
        raise Unsuited

    @property
    def size_bytes(self) -> int:
        """What the states take."""
        return sum(each.nbytes for each in self._arrays)

    def lists(self, start: int, stop: int) -> list[list[Datum]]:
        """The arrays' parts as lists."""
        return [each[start:stop].tolist() for each in self._arrays]


class Count(GroupState):
    """count(*), count(any)."""

    def add(self, groups: Numbers | None, rows: int, column: Vector | None) -> None:
        """NULLs are not counted."""
        nulls = None if column is None else column.nulls
        if column is not None and column.kind == "o":
            nulls = np.array([value is None for value in column.values], np.bool_)
        kernel.count_into(groups, rows, nulls, self._arrays[0])

    def states(self, start: int, stop: int) -> list[Datum]:
        """Numbers."""
        return self.lists(start, stop)[0]

    def result(self, start: int, stop: int) -> Vector:
        """See ``GroupState``."""
        return Vector("i", self._arrays[0][start:stop])


PART_VALUES: Final = 4096
"""Values that are collected at once."""


class Different:
    """So many different values, none of them NULL, as if they were there."""

    __slots__ = ("_count",)

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __contains__(self, value: Datum) -> bool:
        return False


class CountDistinct(GroupState):
    """count(DISTINCT …): the values of each group are numbered, and each number is of one group."""

    __slots__ = ("_counts", "_keys", "_order")

    def __init__(self, kind: str, type_oid: int) -> None:
        super().__init__()
        self._keys = GroupKeys("i" + kind, (0, type_oid))
        self._counts: Datum = None
        self._order: Datum = None

    def check(self, column: Vector | None) -> None:
        """All values are kept, in a form that is comparable."""
        if column is None:
            raise Unsuited
        self._keys.check([Vector("i", ()), column])

    def add(self, groups: Numbers | None, rows: int, column: Vector | None) -> None:
        """New pairs of group and value are counted once."""
        if column is None:
            return
        numbers = np.zeros(rows, np.int64) if groups is None else groups.astype(np.int64)
        if column.nulls is not None:
            known = np.flatnonzero(~column.nulls)
            numbers, column = numbers[known], column.take(known)
        self._keys.assign([Vector("i", numbers), column])

    def states(self, start: int, stop: int) -> list[Datum]:
        """Dicts of the values, as if they had been collected."""
        found: list[dict[Datum, None]] = [{} for _ in range(start, stop)]
        groups = self._keys.numbers(0)
        if self._order is None:
            self._order = sorted_rows([groups])
        ends = np.searchsorted(groups, (start, stop), sorter=self._order)
        chosen = self._order[ends[0] : ends[1]]
        for first in range(0, len(chosen), PART_VALUES):
            HUB.pulse()
            for group, value in self._keys.rows_of(chosen[first : first + PART_VALUES]):
                found[group - start][value] = None
        return list(found)

    def finished(self, start: int, stop: int) -> list[Datum]:
        """How many different values there are."""
        return [Different(each) for each in self.result(start, stop).values.tolist()]

    def result(self, start: int, stop: int) -> Vector:
        """See ``GroupState``."""
        if self._counts is None:
            self._counts = np.bincount(self._keys.numbers(0), minlength=stop)
        # The last groups may have no value.
        counts = self._counts[start:stop]
        return Vector("i", np.concatenate([counts, np.zeros(stop - start - len(counts), np.int64)]))

    @property
    def size_bytes(self) -> int:
        """What the values take."""
        return self._keys.size_bytes


def _none_of(counts: Ints) -> Flags | None:
    """Which groups have no value."""
    nulls: Flags = counts == 0
    return nulls if nulls.any() else None


class Sum(GroupState):
    """sum and avg of integers and numerics: exact, of 128 bits. A sum has as many decimals as the value of its group
    that has most; these are looked at when not all values have as many."""

    __slots__ = ("_average", "_kind", "_numeric", "_scale", "_varied")
    dtypes = (np.uint64, np.int64, np.int64)
    """low and high words, counts; then, when the numbers of decimals differ, most decimals and counts of these"""

    def __init__(self, numeric: bool, average: bool, kind: str = "n") -> None:
        """``kind``: of a sum."""
        super().__init__()
        self._numeric, self._average, self._kind = numeric, average, kind
        self._scale = -1
        self._varied = False

    def check(self, column: Vector | None) -> None:
        """All are added with as many decimals as the first batch has at most."""
        if column is None or column.kind != ("n" if self._numeric else "i"):
            raise Unsuited
        if self._numeric and self._scale >= 0 and not column.is_empty:
            if column.scale > self._scale:
                raise Unsuited
            rescaled(column, self._scale)

    def add(self, groups: Numbers | None, rows: int, column: Vector | None) -> None:
        """The sum in two words, and the count."""
        if column is None or column.is_empty:
            return
        low, high, counts = self._arrays[:3]
        values = column.values
        if self._numeric:
            self._scale = max(self._scale, column.scale)
            values = rescaled(column, self._scale)
            if not self._varied and (column.scales is not None or column.scale < self._scale):
                self._varied = True
                self._arrays += [np.full(len(counts), self._scale, np.int64), counts.copy()]
            if self._varied:
                shown = np.full(rows, column.scale) if column.scales is None else column.scales
                decimals, decided = self._arrays[3:]
                kernel.extreme_into(groups, shown.astype(np.int64), column.nulls, decimals, decided, True)
        kernel.sum_into(groups, values, column.nulls, low, high, counts)

    def states(self, start: int, stop: int) -> list[Datum]:
        """(count, sum) of an average, else the sum, which is None before the first value."""
        low, high, counts = self.lists(start, stop)[:3]
        values: list[Datum] = [(above << 64) + below for below, above in zip(low, high, strict=True)]
        if self._numeric:
            scale = max(self._scale, 0)
            shown = self._arrays[3][start:stop].tolist() if self._varied else [scale] * (stop - start)
            # An average begins with a zero without decimals.
            shown = [decimals if n else 0 for decimals, n in zip(shown, counts, strict=True)]
            values = [
                columns_kernel.decimal_of(total // 10 ** (scale - each), each)
                for total, each in zip(values, shown, strict=True)
            ]
        if self._average:
            return list(zip(counts, values, strict=True))
        return [value if n else None for value, n in zip(values, counts, strict=True)]

    def result(self, start: int, stop: int) -> Vector:
        """Of a sum that has 64 bits, where all values had as many decimals."""
        low, high, counts = (each[start:stop] for each in self._arrays[:3])
        values = low.view(np.int64)
        if self._average or self._varied or (high != values >> 63).any() or (values == np.iinfo(np.int64).min).any():
            raise Unsuited
        return Vector(self._kind, values, _none_of(counts), max(self._scale, 0))


class RealSum(GroupState):
    """sum(float8)."""

    dtypes = (np.float64, np.int64)
    kinds = "f"

    def add(self, groups: Numbers | None, rows: int, column: Vector | None) -> None:
        """Row by row, in their order. Errors: 22003."""
        if column is not None:
            kernel.sum_floats_into(groups, column.values, column.nulls, *self._arrays)

    def states(self, start: int, stop: int) -> list[Datum]:
        """None before the first value."""
        sums, counts = self.lists(start, stop)
        return [value if n else None for value, n in zip(sums, counts, strict=True)]

    def result(self, start: int, stop: int) -> Vector:
        """See ``GroupState``."""
        sums, counts = (each[start:stop] for each in self._arrays)
        return Vector("f", sums, _none_of(counts))


class Moments(GroupState):
    """avg, variance and deviation of floats."""

    dtypes = (np.float64, np.float64, np.int64)
    kinds = "f"

    def add(self, groups: Numbers | None, rows: int, column: Vector | None) -> None:
        """Youngs and Cramer's sums. Errors: 22003."""
        if column is not None:
            kernel.moments_into(groups, column.values, column.nulls, *self._arrays)

    def states(self, start: int, stop: int) -> list[Datum]:
        """(count, sum, spread)."""
        sums, spreads, counts = self.lists(start, stop)
        return [(float(n), total, spread) for total, spread, n in zip(sums, spreads, counts, strict=True)]


class Extreme(GroupState):
    """min and max of what is ordered as its numbers are; and, or of booleans."""

    __slots__ = ("_boolean", "_greatest", "_kind", "_scale")
    dtypes = (np.int64, np.int64)

    def __init__(self, greatest: bool, kind: str = "i") -> None:
        super().__init__()
        self._greatest, self._kind, self._boolean = greatest, kind, kind == "b"
        self._scale = -1

    def check(self, column: Vector | None) -> None:
        """A numeric is shown with its own decimals."""
        if column is None or column.kind != self._kind or column.scales is not None:
            raise Unsuited
        if column.kind == "n" and self._scale not in (-1, column.scale) and not column.is_empty:
            raise Unsuited

    def add(self, groups: Numbers | None, rows: int, column: Vector | None) -> None:
        """By value."""
        if column is None or column.is_empty:
            return
        if column.kind == "n":
            self._scale = column.scale
        values = np.ascontiguousarray(column.values.astype(np.int64, copy=False))
        best, counts = self._arrays
        kernel.extreme_into(groups, values, column.nulls, best, counts, self._greatest)

    def states(self, start: int, stop: int) -> list[Datum]:
        """None before the first value."""
        best, counts = self.lists(start, stop)
        if self._boolean:
            best = [value != 0 for value in best]
        elif self._scale >= 0:
            best = [columns_kernel.decimal_of(value, self._scale) for value in best]
        return [value if n else None for value, n in zip(best, counts, strict=True)]

    def result(self, start: int, stop: int) -> Vector:
        """See ``GroupState``."""
        best, counts = (each[start:stop] for each in self._arrays)
        nulls = _none_of(counts)
        if self._boolean:
            return Vector("b", best != 0, nulls)
        return Vector(self._kind, best, nulls, max(self._scale, 0))


class RealExtreme(GroupState):
    """min and max of floats."""

    __slots__ = ("_greatest",)
    dtypes = (np.float64, np.int64)
    kinds = "f"

    def __init__(self, greatest: bool) -> None:
        super().__init__()
        self._greatest = greatest

    def add(self, groups: Numbers | None, rows: int, column: Vector | None) -> None:
        """NaN is above all."""
        if column is not None:
            best, counts = self._arrays
            kernel.extreme_floats_into(groups, column.values, column.nulls, best, counts, self._greatest)

    def states(self, start: int, stop: int) -> list[Datum]:
        """None before the first value."""
        best, counts = self.lists(start, stop)
        return [value if n else None for value, n in zip(best, counts, strict=True)]

    def result(self, start: int, stop: int) -> Vector:
        """See ``GroupState``."""
        best, counts = (each[start:stop] for each in self._arrays)
        return Vector("f", best, _none_of(counts))


COUNT_ANY: Final = 2147
STATES: Final[dict[int, Callable[[], GroupState]]] = {
    **dict.fromkeys((2803, COUNT_ANY), Count),
    2107: lambda: Sum(False, False),
    **dict.fromkeys((2108, 2109), lambda: Sum(False, False, "i")),
    **dict.fromkeys((2100, 2101, 2102), lambda: Sum(False, True)),
    2114: lambda: Sum(True, False),
    2103: lambda: Sum(True, True),
    2111: RealSum,
    **dict.fromkeys((2104, 2105, 2644, 2645, 2151, 2152, 2721, 2722, 2157, 2158, 2715, 2716, 2727, 2728), Moments),
    **dict.fromkeys((2115, 2116, 2117, 2118, 2122, 2123, 2126, 2127), lambda: Extreme(True)),
    **dict.fromkeys((2131, 2132, 2133, 2134, 2138, 2139, 2142, 2143), lambda: Extreme(False)),
    2130: lambda: Extreme(True, "n"),
    2146: lambda: Extreme(False, "n"),
    **dict.fromkeys((2119, 2120), lambda: RealExtreme(True)),
    **dict.fromkeys((2135, 2136), lambda: RealExtreme(False)),
    **dict.fromkeys((2517, 2519), lambda: Extreme(False, "b")),
    2518: lambda: Extreme(True, "b"),
}
"""By pg_proc OID: what makes the states of a call."""
