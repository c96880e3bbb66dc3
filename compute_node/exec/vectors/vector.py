"""Columns of values and batches of columns.

| kind | ``values`` | Python values |
| --- | --- | --- |
| ``i`` | int64 | integers, OIDs, dates, times, timestamps |
| ``f`` | float64 | float4, float8 |
| ``b`` | bool | booleans |
| ``n`` | int64, unscaled, all with ``scale`` decimals | numerics |
| ``s`` | bytes of all, with ``offsets`` | texts |
| ``o`` | list | anything, None for NULL |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from aurora.datum import Datum, Row
from aurora.errors import SqlError, is_of_a_value
from aurora.kernels import columns as kernel
from aurora.kernels.python.columns import UNSCALED_MAX, unscaled
from compute_node.hub import HUB
from compute_node.types import oids
from compute_node.work.account import Area, column_bytes

if TYPE_CHECKING:
    from aurora.kernels.python.columns import Column

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

KINDS: Final[dict[int, str]] = {
    **dict.fromkeys((oids.INT2, oids.INT4, oids.INT8, oids.OID, oids.DATE, oids.TIME, oids.TIMESTAMP), "i"),
    oids.TIMESTAMPTZ: "i",
    **dict.fromkeys((oids.FLOAT4, oids.FLOAT8), "f"),
    oids.BOOL: "b",
    oids.NUMERIC: "n",
    **dict.fromkeys((oids.TEXT, oids.VARCHAR, oids.BPCHAR), "s"),
}
"""By type, without a collation of its own; all others are ``o``."""
SHORT_BYTES: Final = 256
"""Texts that are longer on average are not copied about."""
EXACT_FLOAT: Final = float(1 << 62)
"""Products and sums of integers that are, as floats, less than this have 63 bits."""


class Unsuited(Exception):
    """Not by columns: the row-wise way is to do these rows. Never seen outside of execution."""


def guarded(work: Callable[[], Datum]) -> Datum:
    """An error of a value is the row-wise code's to raise, if it comes to it."""
    try:
        return work()
    except SqlError as error:
        if not is_of_a_value(error):
            raise
        raise Unsuited from error


@dataclass(slots=True, eq=False)
class Vector:
    """A column. Of a constant there is one value (``is_constant``), which stands for all rows."""

    kind: str
    values: Datum
    nulls: Flags | None = None
    scale: int = 0
    scales: NDArray[np.int16] | None = None
    """of ``n``: as many decimals has each value to be shown with, where not all have the same"""
    offsets: Datum = None
    is_constant: bool = False

    def __len__(self) -> int:
        return len(self.offsets) - 1 if self.kind == "s" else len(self.values)

    def take(self, rows: Ints) -> Vector:
        """The values of these rows."""
        if self.is_constant:
            return self
        nulls = None if self.nulls is None else self.nulls[rows]
        if nulls is not None and not nulls.any():
            nulls = None
        if self.kind == "o":
            values = self.values
            return Vector("o", [values[row] for row in rows.tolist()])
        if self.kind == "s":
            pool, offsets = kernel.gathered(self.values, self.offsets, rows)
            return Vector("s", pool, nulls, offsets=offsets)
        scales = None if self.scales is None else self.scales[rows]
        return Vector(self.kind, self.values[rows], nulls, self.scale, scales)

    def spread(self, count: int) -> Vector:
        """A constant as ``count`` values, a long text as one object; any other column as it is."""
        if not self.is_constant:
            return self
        if self.kind == "o" or (self.kind == "s" and len(self.values) > SHORT_BYTES):
            return Vector("o", self.objects() * count)
        return _plain(self).take(np.zeros(count, np.int64))

    def objects(self) -> list[Datum]:
        """The values as the row-wise code has them."""
        if self.kind == "o":
            return list(self.values)
        found: list[Datum]
        if self.kind == "s":
            found = [*kernel.strings(self.values, self.offsets)]
        elif self.kind == "n":
            numbers, scales = self.values, self.scales
            if scales is None:
                scales = np.full(len(numbers), self.scale, np.int16)
            else:
                numbers = numbers // 10 ** np.minimum(self.scale - scales, 18).astype(np.int64)
            found = [*kernel.decimals(numbers, scales)]
        else:
            found = self.values.tolist()
        if self.nulls is not None:
            for row in np.flatnonzero(self.nulls).tolist():
                found[row] = None
        return found

    @property
    def is_empty(self) -> bool:
        """Whether all is NULL, or nothing is there."""
        return not len(self) or (self.nulls is not None and bool(self.nulls.all()))

    @property
    def size_bytes(self) -> int:
        """What it takes in memory, about."""
        if self.kind == "s":
            return len(self.values) + 8 * len(self.offsets)
        return column_bytes(self.values) if self.kind == "o" else 9 * len(self.values)

    @property
    def narrow(self) -> Vector:
        """The column, long texts as objects: rows of it that are taken again and again are not copied."""
        count = len(self)
        if self.kind != "s" or self.is_constant or len(self.values) <= SHORT_BYTES * max(count, 1):
            return self
        return Vector("o", self.objects())


def _plain(constant: Vector) -> Vector:
    return Vector(
        constant.kind, constant.values, constant.nulls, constant.scale, constant.scales, constant.offsets, False
    )


class ColumnBatch:
    """``count`` rows by column. A batch of some rows of another takes a column when it is asked for."""

    __slots__ = ("_columns", "_left", "_parts", "count")

    def __init__(self, count: int, columns: Sequence[Vector]) -> None:
        self.count = count
        self._columns: list[Vector | None] = list(columns)
        self._parts: tuple[tuple[ColumnBatch, Ints], ...] = ()
        """where columns come from that nobody has asked for; nothing when there is none, as a source is memory"""
        self._left = 0
        """how many there are"""

    @classmethod
    def of_rows(cls, rows: list[Row], width: int) -> ColumnBatch:
        """Rows as columns of anything."""
        columns = zip(*rows, strict=True) if width else ()
        return cls(len(rows), [Vector("o", list(column)) for column in columns])

    @property
    def width(self) -> int:
        """How many columns."""
        return len(self._columns)

    def column(self, index: int) -> Vector:
        """The column of that number."""
        found = self._columns[index]
        if found is None:
            at = index
            for source, rows in self._parts:
                if at < source.width:
                    found = self._columns[index] = source.column(at).take(rows)
                    self._left -= 1
                    if not self._left:
                        self._parts = ()
                    break
                at -= source.width
            else:
                raise IndexError(f"column {index}")
        return found

    def given_up(self, index: int) -> Vector:
        """The column, which the batch then has no more."""
        found = self.column(index)
        self._columns[index] = None
        return found

    @property
    def narrow(self) -> ColumnBatch:
        """The batch with its columns narrow."""
        return ColumnBatch(self.count, [self.column(index).narrow for index in range(self.width)])

    def some(self, rows: Ints) -> ColumnBatch:
        """The batch of these rows."""
        return ColumnBatch.joined(len(rows), (self, rows))

    @classmethod
    def joined(cls, count: int, *parts: tuple[ColumnBatch, Ints]) -> ColumnBatch:
        """Rows of batches side by side."""
        found = cls(count, ())
        found._left = sum(source.width for source, _ in parts)
        found._columns = [None] * found._left
        if found._left:
            found._parts = parts
        return found

    @classmethod
    def of_nulls(cls, count: int, kinds: str) -> ColumnBatch:
        """Nothing but NULL."""
        return cls(count, [constant(None, kind).spread(count) for kind in kinds])

    @property
    def size_bytes(self) -> int:
        """What its columns take in memory, about."""
        return sum(self.column(index).size_bytes for index in range(self.width))

    def rows(self) -> list[Row]:
        """The batch as tuples."""
        if not self._columns:
            return [()] * self.count
        columns = [self.column(index).spread(self.count).objects() for index in range(len(self._columns))]
        return list(zip(*columns, strict=True))


def scanned(column: Column) -> Vector:
    """A column as the scan kernel gives it."""
    kind = column[0]
    if kind == "o":
        return Vector("o", column[1])
    if kind == "s":
        return Vector("s", column[1], column[3], offsets=column[2])
    if kind != "n":
        return Vector(kind, column[1], column[2])
    _, values, scales, nulls = column
    if not len(scales):
        return Vector("n", values, nulls)
    scale = int(scales.max())
    if nulls is None:
        least = int(scales.min())
    else:
        known = scales[~nulls]
        least = int(known.min()) if len(known) else scale
    if least == scale:
        return Vector("n", values, nulls, scale)
    if scale - least > 18:
        return Vector("o", _shown(values, scales, nulls))
    powers = 10 ** (scale - np.maximum(scales, least)).astype(np.int64)
    if np.abs(values * 1.0).max() * float(powers.max()) > EXACT_FLOAT:
        return Vector("o", _shown(values, scales, nulls))
    return Vector("n", values * powers, nulls, scale, scales)


def _shown(values: Ints, scales: NDArray[np.int16], nulls: Flags | None) -> list[Datum]:
    found: list[Datum] = list(kernel.decimals(values, scales))
    for row in [] if nulls is None else np.flatnonzero(nulls).tolist():
        found[row] = None
    return found


def constant(value: Datum, kind: str) -> Vector:
    """A value as a column that stands for all rows."""
    nulls = np.ones(1, np.bool_) if value is None else None
    if kind == "o":
        return Vector("o", [value], is_constant=True)
    if kind == "s":
        data = b"" if value is None else value.encode()
        return Vector("s", data, nulls, offsets=np.array([0, len(data)], np.int64), is_constant=True)
    if kind == "n":
        parts = (0, 0) if value is None else unscaled(value)
        if parts is None:
            raise Unsuited
        return Vector("n", np.array([parts[0]], np.int64), nulls, parts[1], is_constant=True)
    dtype = {"i": np.int64, "f": np.float64, "b": np.bool_}[kind]
    return Vector(kind, np.array([0 if value is None else value], dtype), nulls, is_constant=True)


def rescaled(vector: Vector, scale: int) -> Ints:
    """The unscaled values with as many decimals, which are not fewer."""
    more = scale - vector.scale
    values: Ints = vector.values
    if not more or not len(values):
        return values
    if more > 18 or float(np.abs(values * 1.0).max()) * 10.0**more > UNSCALED_MAX / 2:
        raise Unsuited
    scaled: Ints = values * 10**more
    return scaled


def concatenated(columns: Sequence[Vector]) -> Vector:
    """Columns one after the other; as objects where they have different forms. A part without a value has any scale."""
    first = columns[0]
    if len(columns) == 1:
        return first
    if any(each.kind != first.kind for each in columns) or first.kind == "o":
        return Vector("o", [value for each in columns for value in each.objects()])
    nulls = None
    if any(each.nulls is not None for each in columns):
        nulls = np.concatenate(
            [np.zeros(len(each), np.bool_) if each.nulls is None else each.nulls for each in columns]
        )
    if first.kind == "s":
        starts = np.cumsum([0, *(len(each.values) for each in columns)])
        ends = [each.offsets[1:] + start for each, start in zip(columns, starts, strict=False)]
        offsets = np.concatenate([np.zeros(1, np.int64), *ends])
        return Vector("s", b"".join([each.values for each in columns]), nulls, offsets=offsets)
    scale, scales = first.scale, None
    if first.kind == "n":
        known = [each for each in columns if not each.is_empty]
        scale = known[0].scale if known else scale
        if any(each.scale != scale for each in known):
            return Vector("o", [value for each in columns for value in each.objects()])
        if any(each.scales is not None for each in known):
            scales = np.concatenate([_scales(each, scale) for each in columns])
    return Vector(first.kind, np.concatenate([each.values for each in columns]), nulls, scale, scales)


def stacked(batches: Sequence[ColumnBatch], area: Area | None = None) -> ColumnBatch:
    """Batches one after the other, which are given up. ``area``: where they are counted, and what is there twice in
    between."""
    columns = []
    for index in range(batches[0].width):
        HUB.pulse()
        parts = [batch.given_up(index).spread(batch.count) for batch in batches]
        size = sum(part.size_bytes for part in parts)
        if area is not None:
            area.add(size)
        columns.append(concatenated(parts))
        del parts
        if area is not None:
            area.take_back(size)
    return ColumnBatch(sum(batch.count for batch in batches), columns)


def _scales(column: Vector, scale: int) -> NDArray[np.int16]:
    if column.scales is None or column.is_empty:
        return np.full(len(column), scale, np.int16)
    return column.scales


_DTYPES: Final = {"i": np.int64, "n": np.int64, "f": np.float64, "b": np.bool_}


def packed(column: Vector) -> Row:
    """A column as plain values and bytes, for a file."""
    values = column.values if column.kind in "so" else np.ascontiguousarray(column.values).tobytes()
    nulls = None if column.nulls is None else column.nulls.tobytes()
    scales = None if column.scales is None else column.scales.tobytes()
    offsets = None if column.offsets is None else np.ascontiguousarray(column.offsets).tobytes()
    return column.kind, values, nulls, column.scale, scales, offsets


def unpacked(row: Row) -> Vector:
    """Inverse of ``packed``."""
    kind, values, nulls, scale, scales, offsets = row
    return Vector(
        kind,
        values if kind in "so" else np.frombuffer(values, _DTYPES[kind]),
        None if nulls is None else np.frombuffer(nulls, np.bool_),
        scale,
        None if scales is None else np.frombuffer(scales, np.int16),
        None if offsets is None else np.frombuffer(offsets, np.int64),
    )
