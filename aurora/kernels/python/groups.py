"""Grouping and folding of column batches: keys to numbers, numbers to states.

Group numbers are int32, from 0 in the order in which keys are first seen. A fold takes (groups, values, nulls, states
…): ``groups`` None is one group for all rows, ``nulls`` a bool array or None; states are arrays with one entry a group,
changed in place. Rows are folded in their order, so that a sum of floats is the same as row by row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aurora.errors import NumericValueOutOfRange

if TYPE_CHECKING:
    Ints = NDArray[np.int64]
    Words = NDArray[np.uint64]
    Numbers = NDArray[np.int32]
    Reals = NDArray[np.float64]
    Flags = NDArray[np.bool_]

PARTS_MAX = 64
_WORD = (1 << 64) - 1


class Groups:
    """Numbers of keys of ``width`` (at most ``PARTS_MAX``) parts; a part is an int64 or NULL."""

    def __init__(self, width: int) -> None:
        if not 0 < width <= PARTS_MAX:
            raise ValueError(f"{width} parts")
        self.width = width
        self._numbers: dict[tuple[int | None, ...], int] = {}

    @property
    def count(self) -> int:
        """Keys so far."""
        return len(self._numbers)

    def assign(self, parts: Sequence[Ints], nulls: Sequence[Flags | None], match_null: bool) -> Numbers:
        """The number of each row's key, added if it is new. Without ``match_null`` a row with a NULL has -1."""
        numbers = self._numbers
        found = []
        for key in self._keys(parts, nulls):
            if not match_null and None in key:
                found.append(-1)
            else:
                found.append(numbers.setdefault(key, len(numbers)))
        return np.array(found, np.int32)

    def find(self, parts: Sequence[Ints], nulls: Sequence[Flags | None], match_null: bool = False) -> Numbers:
        """The number of each row's key; -1 where it is not known, and without ``match_null`` of a row with a NULL."""
        get = self._numbers.get
        found = [-1 if None in key and not match_null else get(key, -1) for key in self._keys(parts, nulls)]
        return np.array(found, np.int32)

    def _keys(self, parts: Sequence[Ints], nulls: Sequence[Flags | None]) -> Iterator[tuple[int | None, ...]]:
        if len(parts) != self.width or len(nulls) != self.width:
            raise ValueError(f"{len(parts)} parts of {self.width}")
        columns = []
        for part, flags in zip(parts, nulls, strict=True):
            values: list[int | None] = part.tolist()
            if flags is not None:
                values = [None if flag else value for value, flag in zip(values, flags.tolist(), strict=True)]
            columns.append(values)
        return zip(*columns, strict=True)

    def part(self, place: int) -> tuple[Ints, Flags | None]:
        """(values, nulls) of one part, by group."""
        values = [key[place] for key in self._numbers]
        nulls = np.array([value is None for value in values], np.bool_)
        return np.array([value or 0 for value in values], np.int64), nulls if nulls.any() else None


class Texts:
    """Numbers of texts. ``padded``: blanks at the end do not count; the text is then the first that came."""

    def __init__(self, padded: bool) -> None:
        self._padded = padded
        self._numbers: dict[bytes, int] = {}
        self._texts: list[bytes] = []

    @property
    def size_bytes(self) -> int:
        """What the texts take."""
        return sum(map(len, self._texts))

    def assign(self, pool: bytes, offsets: Ints, nulls: Flags | None) -> Ints:
        """The number of each text, which is added if it is new; 0 for a NULL."""
        found = []
        for text, null in self._rows(pool, offsets, nulls):
            key = text.rstrip(b" ") if self._padded else text
            if null:
                found.append(0)
                continue
            if key not in self._numbers:
                self._numbers[key] = len(self._texts)
                self._texts.append(text)
            found.append(self._numbers[key])
        return np.array(found, np.int64)

    def find(self, pool: bytes, offsets: Ints, nulls: Flags | None) -> Ints:
        """The number of each text, -1 where it is not known; 0 for a NULL."""
        return np.array(
            [
                0 if null else self._numbers.get(text.rstrip(b" ") if self._padded else text, -1)
                for text, null in self._rows(pool, offsets, nulls)
            ],
            np.int64,
        )

    @staticmethod
    def _rows(pool: bytes, offsets: Ints, nulls: Flags | None) -> Iterator[tuple[bytes, bool]]:
        ends = offsets.tolist()
        flags = [False] * (len(ends) - 1) if nulls is None else nulls.tolist()
        return zip((pool[start:end] for start, end in pairwise(ends)), flags, strict=True)

    def taken(self, numbers: Ints) -> tuple[bytes, Ints]:
        """(pool, offsets) of the texts of these numbers."""
        texts = [self._texts[number] if self._texts else b"" for number in numbers.tolist()]
        return b"".join(texts), np.cumsum([0, *map(len, texts)], dtype=np.int64)


def text_hashes(pool: bytes, offsets: Ints, padded: bool, seed: int) -> Words:
    """A hash of each text (FNV-1a from ``seed`` on). ``padded``: without the blanks at its end."""
    found = []
    for start, end in pairwise(offsets.tolist()):
        hashed = seed
        for byte in pool[start:end].rstrip(b" ") if padded else pool[start:end]:
            hashed = (hashed ^ byte) * 0x100000001B3 & _WORD
        found.append(hashed)
    return np.array(found, np.uint64)


def _known(groups: Numbers | None, rows: int, nulls: Flags | None) -> Iterator[tuple[int, int]]:
    """(row, group) of the rows that are not NULL."""
    for row in range(rows):
        if nulls is None or not nulls[row]:
            yield row, 0 if groups is None else int(groups[row])


def count_into(groups: Numbers | None, rows: int, nulls: Flags | None, counts: Ints) -> None:
    """Count the rows that are not NULL."""
    for _, group in _known(groups, rows, nulls):
        counts[group] += 1


def sum_into(groups: Numbers | None, values: Ints, nulls: Flags | None, low: Words, high: Ints, counts: Ints) -> None:
    """Sums of 128 bits in two words, and how many values there were."""
    for row, group in _known(groups, len(values), nulls):
        total = (int(high[group]) << 64 | int(low[group])) + int(values[row])
        low[group], high[group] = total & _WORD, total >> 64
        counts[group] += 1


def sum_floats_into(groups: Numbers | None, values: Reals, nulls: Flags | None, sums: Reals, counts: Ints) -> None:
    """Errors: 22003."""
    for row, group in _known(groups, len(values), nulls):
        value, before = float(values[row]), float(sums[group])
        total = before + value if counts[group] else value
        if math.isinf(total) and not math.isinf(before) and not math.isinf(value):
            raise NumericValueOutOfRange("value out of range: overflow")
        sums[group] = total
        counts[group] += 1


def moments_into(
    groups: Numbers | None, values: Reals, nulls: Flags | None, sums: Reals, spreads: Reals, counts: Ints
) -> None:
    """Sums, and sums of squared distances from the mean (Youngs and Cramer). Errors: 22003."""
    for row, group in _known(groups, len(values), nulls):
        value, before, n = float(values[row]), float(sums[group]), float(counts[group])
        total, spread = before + value, float(spreads[group])
        if n:
            rest = value * (n + 1.0) - total
            spread += rest * rest / ((n + 1.0) * n)
            if math.isinf(total) or math.isinf(spread):
                if not math.isinf(before) and not math.isinf(value):
                    raise NumericValueOutOfRange("value out of range: overflow")
                spread = math.nan
        elif not math.isfinite(value):
            spread = math.nan
        sums[group], spreads[group] = total, spread
        counts[group] += 1


def extreme_into(
    groups: Numbers | None, values: Ints, nulls: Flags | None, best: Ints, counts: Ints, greatest: bool
) -> None:
    """The least or greatest value."""
    for row, group in _known(groups, len(values), nulls):
        value = values[row]
        if not counts[group] or (value > best[group] if greatest else value < best[group]):
            best[group] = value
        counts[group] += 1


def extreme_floats_into(
    groups: Numbers | None, values: Reals, nulls: Flags | None, best: Reals, counts: Ints, greatest: bool
) -> None:
    """The least or greatest value; NaN is above all. Of equal ones, such as zeros, the last."""
    for row, group in _known(groups, len(values), nulls):
        value, known = float(values[row]), float(best[group])
        above = (math.isnan(value) and not math.isnan(known)) or value > known
        below = (math.isnan(known) and not math.isnan(value)) or value < known
        if not counts[group] or not (below if greatest else above):
            best[group] = value
        counts[group] += 1
