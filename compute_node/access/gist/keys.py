"""Keys of an index with several columns: a form's key for each, and whether there are NULLs."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aurora.datum import Datum
from aurora.errors import IndexCorrupted
from compute_node.access.gist.classes import GistClass
from compute_node.access.gist.forms import Key, Together

NULLS, VALUES = 1, 2
_SIZE = struct.Struct("<H")
_HEAD = struct.Struct("<BH")


class Part(NamedTuple):
    """One column: flags, and the key of its values, None without any."""

    flags: int
    key: Key


_NULL = Part(NULLS, None)
CURVE_BYTES_MAX = 64
"""Of a column's place on its curve"""
Keys = tuple[Part, ...]


class KeyForms:
    """What the tree asks of whole keys."""

    def __init__(self, classes: Sequence[GistClass]) -> None:
        self.classes = list(classes)
        self._forms = [each.form for each in classes]

    def of(self, values: Sequence[Datum]) -> Keys:
        """The key of a row's values."""
        parts = [
            _NULL if value is None else Part(VALUES, each.key(value))
            for each, value in zip(self.classes, values, strict=True)
        ]
        return tuple(parts)

    def encode(self, keys: Keys) -> bytes:
        """The stored bytes."""
        if len(keys) == 1 and keys[0][0] & VALUES:
            ((flags, key),) = keys
            data = self._forms[0].encode(key)
            return _HEAD.pack(flags, len(data)) + data
        parts: list[bytes] = []
        for (flags, key), form in zip(keys, self._forms, strict=True):
            parts.append(bytes((flags,)))
            if flags & VALUES:
                data = form.encode(key)
                parts += (_SIZE.pack(len(data)), data)
        return b"".join(parts)

    def decode(self, data: bytes, at: int) -> Keys:
        """The key whose bytes begin at ``at``. Errors: XX002."""
        if len(self._forms) == 1 and data[at] & VALUES:
            flags, size = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            if at + size == len(data):
                return (Part(flags, self._forms[0].decode(data[at:])),)
            raise IndexCorrupted(f"a key of {len(data)} bytes ends at {at + size}")
        found: list[Part] = []
        for form in self._forms:
            flags = data[at]
            at += 1
            if not flags & VALUES:
                found.append(Part(flags, None))
                continue
            size = data[at] | data[at + 1] << 8
            at += 2 + size
            found.append(Part(flags, form.decode(data[at - size : at])))
        if at != len(data):
            raise IndexCorrupted(f"a key of {len(data)} bytes ends at {at}")
        return tuple(found)

    def _rows(self, stored: Sequence[bytes], at: int) -> NDArray[np.uint8] | None:
        """Keys whose bytes begin at ``at`` as rows, if all have values, of the same width, of one column."""
        size = at + _HEAD.size + self._forms[0].width
        if len(self._forms) > 1 or not self._forms[0].width or set(map(len, stored)) != {size}:
            return None
        return np.frombuffer(b"".join(stored), np.uint8).reshape(-1, size)

    def decode_all(self, stored: Sequence[bytes], at: int) -> list[Keys]:
        """``decode`` of each."""
        rows = self._rows(stored, at)
        if rows is None:
            return [self.decode(each, at) for each in stored]
        keys = self._forms[0].decode_rows(rows[:, at + _HEAD.size :])
        return [(Part(flags, key),) for flags, key in zip(rows[:, at].tolist(), keys, strict=True)]

    def union_of_stored(self, stored: Sequence[bytes], at: int) -> Keys:
        """``union`` of keys whose bytes begin at ``at``."""
        rows = self._rows(stored, at)
        if rows is not None:
            flags = int(np.bitwise_or.reduce(rows[:, at]))
            return (Part(flags, self._forms[0].union_of_rows(rows[:, at + _HEAD.size :])),)
        all_flags = [0] * len(self._forms)
        values: list[list[bytes]] = [[] for _ in self._forms]
        for data in stored:
            place = at
            for column, those in enumerate(values):
                flags = data[place]
                all_flags[column] |= flags
                place += 1
                if flags & VALUES:
                    end = place + 2 + (data[place] | data[place + 1] << 8)
                    those.append(data[place + 2 : end])
                    place = end
        return tuple(
            Part(flags, form.union_of_stored(those) if those else None)
            for form, flags, those in zip(self._forms, all_flags, values, strict=True)
        )

    def union(self, keys: Sequence[Keys]) -> Keys:
        """The smallest key that holds all; at least one."""
        found: list[Part] = []
        for form, parts in zip(self._forms, zip(*keys, strict=True), strict=True):
            flags = 0
            for part in parts:
                flags |= part.flags
            values = [part.key for part in parts if part.flags & VALUES]
            found.append(Part(flags, form.union(values) if values else None))
        return tuple(found)

    def holds(self, outer: Keys, inner: Keys) -> bool:
        """Whether ``outer`` is its own union with ``inner``."""
        for form, one, other in zip(self._forms, outer, inner, strict=True):
            if other.flags & ~one.flags:
                return False
            if other.flags & VALUES and not form.holds(one.key, other.key):
                return False
        return True

    def penalty(self, outer: Keys, inner: Keys) -> tuple[float, ...]:
        """How much ``outer`` grows, column by column: the first decides, then the next."""
        found: list[float] = []
        for form, one, other in zip(self._forms, outer, inner, strict=True):
            if other.flags & ~one.flags:
                found.append(float("inf"))
            elif other.flags & VALUES:
                found.append(form.penalty(one.key, other.key))
            else:
                found.append(0.0)
        return tuple(found)

    def together(self, keys: Sequence[Keys]) -> Together | None:
        """Many keys as arrays; None: there are none."""
        if len(self._forms) > 1 or not all(each[0].flags & VALUES for each in keys):
            return None
        return self._forms[0].together([each[0].key for each in keys])

    def least(self, outers: Sequence[Keys], together: Together | None, inner: Keys) -> int:
        """The place of the first of the keys, at least one, that grows least by ``inner``."""
        if together is not None and inner[0].flags == VALUES:
            place = together.least(inner[0].key)
            if place is not None:
                return place
        best, fewest = 0, None
        for at, outer in enumerate(outers):
            found = self.penalty(outer, inner)
            if fewest is None or found < fewest:
                best, fewest = at, found
                if not any(found):
                    break
        return best

    def divided(self, keys: Sequence[Keys], sizes: Sequence[int]) -> tuple[list[int], list[int]]:
        """The keys' places in two parts of about the same size in bytes; at least two keys."""
        places = list(range(len(keys)))
        for column, form in enumerate(self._forms):
            parts = [each[column] for each in keys]
            if all(part == parts[0] for part in parts):
                continue
            values = [place for place in places if parts[place].flags & VALUES]
            order = dict(zip(values, form.order([parts[place].key for place in values]), strict=True)) if values else {}
            nulls = [place for place in places if not parts[place].flags & VALUES]
            places = nulls + sorted(values, key=order.__getitem__)
            break
        total = sum(sizes)
        sums = accumulate(sizes[place] for place in places)
        cut = next((at for at, size in enumerate(sums, 1) if size * 2 >= total), len(places))
        cut = min(max(cut, 1), len(places) - 1)
        return places[:cut], places[cut:]

    def curves(self, keys: Sequence[Keys]) -> list[bytes]:
        """What to sort by for a build, of each key: the columns' one after the other."""
        found = [b""] * len(keys)
        for column, form in enumerate(self._forms):
            parts = [each[column] for each in keys]
            places = iter(form.curves([key for flags, key in parts if flags & VALUES]))
            found = [
                before + bytes((flags,)) + (next(places)[:CURVE_BYTES_MAX] if flags & VALUES else b"")
                for before, (flags, _) in zip(found, parts, strict=True)
            ]
        return found
