"""Keys of groups and joins: columns of values as numbers of int64, and these as group numbers."""

from __future__ import annotations

from collections.abc import Sequence
from os import urandom
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from aurora.datum import Datum, Row
from aurora.kernels import groups as kernel
from compute_node.exec.vectors.vector import Flags, Ints, Unsuited, Vector, rescaled
from compute_node.sql import expressions as ex
from compute_node.types import oids

if TYPE_CHECKING:
    from aurora.kernels.python.groups import Texts

Numbers = NDArray[np.int32]
Hashes = NDArray[np.uint64]
KEY_KINDS = frozenset("ibns")
_SEED: Final = int.from_bytes(urandom(8), "little")
"""Who chooses values does not choose in which file they go."""


class KeyColumn:
    """One key: its values as int64 parts, equal where the values are. Texts are numbered."""

    __slots__ = ("_kind", "_padded", "scale", "texts")

    def __init__(self, kind: str, type_oid: int) -> None:
        self._kind, self._padded = kind, type_oid == oids.BPCHAR
        self.scale = -1
        """of numerics, as soon as there is a value"""
        self.texts: Texts | None = kernel.Texts(self._padded) if kind == "s" else None

    def check(self, column: Vector) -> None:
        """``Unsuited`` when the column's values are not comparable with those before as numbers."""
        if column.kind != self._kind or column.scales is not None:
            raise Unsuited
        if self._kind == "n" and self.scale not in (-1, column.scale) and not column.is_empty:
            raise Unsuited

    def part(self, column: Vector, add: bool = True) -> Ints:
        """The column's part of each row's key. ``add``: new texts get numbers; else they have -1."""
        if self.texts is not None:
            work = self.texts.assign if add else self.texts.find
            return work(column.values, column.offsets, column.nulls)
        if self._kind == "n" and not column.is_empty:
            self.scale = column.scale
        part: Ints = column.values.astype(np.int64, copy=False)
        return np.ascontiguousarray(part)

    def column(self, part: Ints, nulls: Flags | None) -> Vector:
        """The values of parts."""
        if self.texts is not None:
            pool, offsets = self.texts.taken(part)
            return Vector("s", pool, nulls, offsets=offsets)
        if self._kind == "b":
            return Vector("b", part != 0, nulls)
        return Vector(self._kind, part, nulls, max(self.scale, 0))

    def hashes(self, column: Vector, seed: int) -> Hashes:
        """A number of 64 bits for each value, the same for equal ones."""
        if self.texts is not None:
            found: Hashes = kernel.text_hashes(column.values, column.offsets, self._padded, seed)
        else:
            found = column.values.astype(np.int64).view(np.uint64) ^ np.uint64(seed)
        return found if column.nulls is None else np.where(column.nulls, np.uint64(seed), found)

    @property
    def size_bytes(self) -> int:
        """What its texts take."""
        return 0 if self.texts is None else self.texts.size_bytes


def _hashed(keys: Sequence[KeyColumn], columns: Sequence[Vector], level: int) -> Hashes:
    """A hash of each row's key, another one at each level."""
    seed = (_SEED + level * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    found = np.zeros(len(columns[0]), np.uint64)
    for key, column in zip(keys, columns, strict=True):
        found = (found + key.hashes(column, seed)) * np.uint64(0xBF58476D1CE4E5B9)
        found ^= found >> np.uint64(29)
        found *= np.uint64(0x94D049BB133111EB)
        found ^= found >> np.uint64(32)
    return found


class JoinKeys:
    """Numbers the keys of a join's inner side, and finds those of the outer side."""

    __slots__ = ("_columns", "_groups")

    def __init__(self, kinds: str, types: Sequence[int]) -> None:
        self._columns = [KeyColumn(kind, oid) for kind, oid in zip(kinds, types, strict=True)]
        self._groups = kernel.Groups(len(kinds))

    @property
    def count(self) -> int:
        """Keys so far."""
        return int(self._groups.count)

    @property
    def size_bytes(self) -> int:
        """What the keys take."""
        return self.count * 8 * (2 + len(self._columns)) + sum(column.size_bytes for column in self._columns)

    def add(self, columns: Sequence[Vector]) -> Numbers:
        """The number of each row's key; -1 where a part is NULL. ``Unsuited`` as ``KeyColumn.check``."""
        for key, column in zip(self._columns, columns, strict=True):
            key.check(column)
        parts = [key.part(column) for key, column in zip(self._columns, columns, strict=True)]
        found: Numbers = self._groups.assign(parts, [column.nulls for column in columns], False)
        return found

    def find(self, columns: Sequence[Vector]) -> Numbers:
        """The number of each row's key; -1 where there is none."""
        parts = []
        for key, column in zip(self._columns, columns, strict=True):
            if column.kind == "n" and not column.is_empty and key.scale >= 0:
                scale = key.scale
                if column.scale > scale:
                    raise Unsuited
                column = Vector("n", rescaled(column, scale), column.nulls, scale)
            key.check(column)
            parts.append(key.part(column, False))
        found: Numbers = self._groups.find(parts, [column.nulls for column in columns])
        return found


class GroupKeys:
    """Numbers the groups of a GROUP BY as they come."""

    __slots__ = ("_columns", "_groups", "_read")

    def __init__(self, kinds: str, types: Sequence[int]) -> None:
        self._columns = [KeyColumn(kind, oid) for kind, oid in zip(kinds, types, strict=True)]
        self._groups = kernel.Groups(len(kinds))
        self._read: dict[int, tuple[Ints, Flags | None]] = {}

    @property
    def count(self) -> int:
        """Groups so far."""
        return int(self._groups.count)

    @property
    def size_bytes(self) -> int:
        """What the keys take."""
        return self.count * 8 * (2 + len(self._columns)) + sum(column.size_bytes for column in self._columns)

    def check(self, columns: Sequence[Vector]) -> None:
        """``Unsuited`` when these cannot be added."""
        for key, column in zip(self._columns, columns, strict=True):
            key.check(column)

    def assign(self, columns: Sequence[Vector]) -> Numbers:
        """The group of each row."""
        parts = [key.part(column) for key, column in zip(self._columns, columns, strict=True)]
        found: Numbers = self._groups.assign(parts, [column.nulls for column in columns], True)
        return found

    def find(self, columns: Sequence[Vector]) -> Numbers:
        """The group of each row; -1 where there is none yet."""
        parts = [key.part(column, False) for key, column in zip(self._columns, columns, strict=True)]
        found: Numbers = self._groups.find(parts, [column.nulls for column in columns], True)
        return found

    def hashes(self, columns: Sequence[Vector], level: int) -> Hashes:
        """A hash of each row's key, another one at each level."""
        return _hashed(self._columns, columns, level)

    def numbers(self, place: int) -> Ints:
        """The parts of one key that is a number and never NULL, by group."""
        return self._parts(place)[0]

    def rows_of(self, groups: Ints) -> list[Row]:
        """The keys' values of these groups, a tuple a group."""
        columns: list[list[Datum]] = [column.objects() for column in self.columns_of(groups)]
        return list(zip(*columns, strict=True))

    def columns_of(self, groups: Ints) -> list[Vector]:
        """The same by column."""
        found = []
        for place, key in enumerate(self._columns):
            part, nulls = self._parts(place)
            some = None if nulls is None else nulls[groups]
            found.append(key.column(part[groups], some if some is not None and some.any() else None))
        return found

    def _parts(self, place: int) -> tuple[Ints, Flags | None]:
        # Asked for again and again when no more groups come.
        known = self._read.get(place)
        if known is None or len(known[0]) != self.count:
            known = self._read[place] = self._groups.part(place)
        return known


def key_kinds(keys: Sequence[ex.Expr], kinds: Sequence[str]) -> str | None:
    """The kinds together when all can be keys. Equal values of char(n) have one spelling, of bpchar any."""
    found = "".join(kinds)
    if any(key.type == oids.BPCHAR and key.typmod < 0 for key in keys):
        return None
    if not 0 < len(keys) <= 64 or not KEY_KINDS.issuperset(found):
        return None
    return found
