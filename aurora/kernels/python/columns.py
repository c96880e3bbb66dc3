"""Rows by column: what a scan gives to execution over column batches, and text that is looked at as bytes.

A column of a batch is a tuple that begins with its kind:

| kind | then |
| --- | --- |
| ``i`` | int64 array: integers, OIDs, dates, timestamps; nulls |
| ``f`` | float64 array; nulls |
| ``b`` | bool array; nulls |
| ``n`` | numerics: int64 array of unscaled values, int16 array of scales; nulls |
| ``s`` | texts: their bytes in one, int64 array of n + 1 offsets; nulls |
| ``o`` | list of values, None for NULL |

``nulls`` is a bool array, None when nothing is NULL; at a NULL the number is 0 and the text empty. A numeric of more
than 64 bits, NaN, and a text that is stored compressed or out of line have no place in ``n`` and ``s``: a batch with
one has the column as ``o``, with a handle (``Toasted``) for what is stored apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aurora.datum import Datum, Row
from aurora.kernels.python.tuples import Projection, Toasted
from aurora.page import PAGE_BYTES

if TYPE_CHECKING:
    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]

BATCH_ROWS = 8192
"""A batch is complete with as many rows; a page's go together."""
PAGE_ROWS_MAX = PAGE_BYTES // 36
"""No page has more: a row takes at least its header and its line pointer."""
FETCH_ROWS_MAX = 1024
"""So many row addresses may be fetched into a batch that is not complete."""
UNSCALED_MAX = (1 << 63) - 1
SCALE_MAX = 0x3FFF

Column = tuple[Datum, ...]


def decimal_of(number: int, scale: int) -> Decimal:
    """The numeric of an unscaled value."""
    return Decimal(f"{number}E-{scale}")


def decimals(numbers: Ints, scales: NDArray[np.int16]) -> list[Decimal]:
    """``decimal_of`` each."""
    return [decimal_of(number, scale) for number, scale in zip(numbers.tolist(), scales.tolist(), strict=True)]


def unscaled(value: Decimal) -> tuple[int, int] | None:
    """(unscaled value, scale); None when it is no number, or has more than 64 bits."""
    if not value.is_finite():
        return None
    negative, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or not 0 <= -exponent <= SCALE_MAX or len(digits) > 19:
        return None
    number = int("".join(map(str, digits)))
    number = -number if negative else number
    return (number, -exponent) if -UNSCALED_MAX <= number <= UNSCALED_MAX else None


def unscaled_each(values: Sequence[Decimal | None]) -> tuple[Ints, NDArray[np.int16]] | None:
    """``unscaled`` of all, zeros for NULL; None when one of them has no such form."""
    parts = [(0, 0) if value is None else unscaled(value) for value in values]
    if None in parts:
        return None
    numbers = np.array([part[0] for part in parts if part is not None], np.int64)
    return numbers, np.array([part[1] for part in parts if part is not None], np.int16)


class Columns:
    """Rows of a scan, gathered by column: ``HeapFile.scan_columns`` puts a page's rows in, ``take`` gives what is
    there when it ``is_full`` or the scan has ended. ``kinds`` has one letter a column of the projection, which is of
    different columns of the table."""

    def __init__(self, projection: Projection, kinds: str) -> None:
        attnos = [attno & 0xFFFF for attno in projection.columns]
        if projection.want_tid or min(projection.columns, default=1) < 1 or len(kinds) != len(attnos):
            raise ValueError("columns of the table only, and one kind for each")
        if len(set(attnos)) < len(attnos):
            raise ValueError("a column is there twice")
        self.projection = projection
        self.kinds = kinds
        self._rows: list[Row] = []

    @property
    def count(self) -> int:
        """Rows that are there."""
        return len(self._rows)

    @property
    def is_full(self) -> bool:
        """Whether a batch is complete."""
        return len(self._rows) >= BATCH_ROWS

    def put(self, page: memoryview | bytes, offset: int) -> None:
        """Add the tuple image at ``offset``."""
        self._rows.append(self.projection.row(page, offset, 0))

    def undo(self, count: int) -> None:
        """Forget all but the first ``count`` rows."""
        del self._rows[count:]

    def take(self) -> list[Column]:
        """The columns of the rows that were put since."""
        rows, self._rows = self._rows, []
        return [_column(kind, [row[place] for row in rows]) for place, kind in enumerate(self.kinds)]


def _column(kind: str, values: list[Datum]) -> Column:
    nulls = np.array([value is None for value in values], np.bool_)
    known: Flags | None = nulls if nulls.any() else None
    if kind == "o":
        return kind, values
    if kind == "n":
        parts = None if any(type(value) is Toasted for value in values) else unscaled_each(values)
        return ("o", values) if parts is None else (kind, *parts, known)
    if kind == "s":
        if any(type(value) is Toasted for value in values):
            return "o", values
        encoded = [b"" if value is None else value.encode() for value in values]
        offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        return kind, b"".join(encoded), offsets, known
    dtype = {"i": np.int64, "f": np.float64, "b": np.bool_}[kind]
    return kind, np.array([0 if value is None else value for value in values], dtype), known


def strings(pool: bytes, offsets: Ints) -> list[str]:
    """The texts between the offsets."""
    ends = offsets.tolist()
    return [pool[start:end].decode() for start, end in pairwise(ends)]


def gathered(pool: bytes, offsets: Ints, rows: Ints) -> tuple[bytes, Ints]:
    """(pool, offsets) of these rows alone."""
    chosen = [pool[offsets[row] : offsets[row + 1]] for row in rows.tolist()]
    return b"".join(chosen), np.cumsum([0, *map(len, chosen)], dtype=np.int64)


def _texts(pool: bytes, offsets: Ints, padded: bool) -> list[bytes]:
    ends = offsets.tolist()
    texts = [pool[start:end] for start, end in pairwise(ends)]
    return [text.rstrip(b" ") for text in texts] if padded else texts


def equal_to(pool: bytes, offsets: Ints, text: bytes, padded: bool) -> Flags:
    """Which of the texts are ``text``; ``padded``: blanks at the end do not count."""
    wanted = text.rstrip(b" ") if padded else text
    return np.array([each == wanted for each in _texts(pool, offsets, padded)], np.bool_)


def pairwise_equal(pool: bytes, offsets: Ints, other: bytes, other_offsets: Ints, padded: bool) -> Flags:
    """Which texts are the same, row by row."""
    pairs = zip(_texts(pool, offsets, padded), _texts(other, other_offsets, padded), strict=True)
    return np.array([a == b for a, b in pairs], np.bool_)


def like(pool: bytes, offsets: Ints, parts: Sequence[bytes]) -> Flags:
    """Which texts are the first part, anything, the next part, anything … and the last part at their end."""
    return np.array([_is_like(text, parts) for text in _texts(pool, offsets, False)], np.bool_)


def _is_like(text: bytes, parts: Sequence[bytes]) -> bool:
    if len(parts) == 1:
        return text == parts[0]
    first, *middle, last = parts
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True
