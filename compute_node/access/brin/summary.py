"""A range's summary of all columns of an index, and its stored bytes.

For each column a byte (1: there are NULLs, 2: there are values) and, with values, u16 length and the bytes of its
class. A range without rows has neither in any column.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from aurora.datum import Row
from aurora.errors import IndexCorrupted
from compute_node.access.brin.classes import BrinClass, Part
from compute_node.access.index_access import ScanKey
from compute_node.relations.access_methods import IS_NULL, NOT_NULL

NULLS, VALUES = 1, 2
_SIZE = struct.Struct("<H")


class Column(NamedTuple):
    """Of one column: flags, and what its class keeps of its values, None without any."""

    flags: int
    part: Part | None


Summary = tuple[Column, ...]
_NOTHING: Final = Column(0, None)


class Summaries:
    """What an index's columns make of rows. ``classes``: theirs."""

    def __init__(self, classes: Sequence[BrinClass]) -> None:
        self._classes = list(classes)
        self.empty: Summary = (_NOTHING,) * len(self._classes)

    def extended(self, summary: Summary, keys: Sequence[Row]) -> Summary:
        """What holds the rows, too: ``summary`` itself when it does already."""
        if not keys:
            return summary
        found: list[Column] = []
        is_new = False
        for at, (each, (flags, part)) in enumerate(zip(self._classes, summary, strict=True)):
            values = [key[at] for key in keys if key[at] is not None]
            wanted = flags | (VALUES if values else 0) | (NULLS if len(values) < len(keys) else 0)
            extended = each.extended(part, values) if values else part
            is_new = is_new or wanted != flags or extended is not part
            found.append(Column(wanted, extended))
        return tuple(found) if is_new else summary

    def test(self, keys: Sequence[ScanKey]) -> Callable[[Summary], bool]:
        """Whether a range of a summary may have rows that meet all conditions."""
        tests: list[tuple[int, int, Callable[[Part], bool] | None]] = []
        for key in keys:
            if key.strategy == IS_NULL:
                tests.append((key.column, NULLS, None))
            elif key.strategy == NOT_NULL:
                tests.append((key.column, VALUES, None))
            else:
                test = self._classes[key.column].test(key.strategy, key.value, key.kind)
                tests.append((key.column, VALUES, test))

        def meets(summary: Summary) -> bool:
            for column, flag, wanted in tests:
                flags, part = summary[column]
                if not flags & flag or (wanted is not None and not wanted(part)):
                    return False
            return True

        return meets

    def encode(self, summary: Summary) -> bytes:
        """The stored bytes."""
        pieces: list[bytes] = []
        for each, (flags, part) in zip(self._classes, summary, strict=True):
            pieces.append(bytes((flags,)))
            if flags & VALUES:
                data = each.encode(each.packed(part))
                pieces += (_SIZE.pack(min(len(data), 0xFFFF)), data)
        return b"".join(pieces)

    def decode(self, data: bytes) -> Summary:
        """The summary of stored bytes. Errors: XX002."""
        found: list[Column] = []
        at = 0
        try:
            for each in self._classes:
                flags = data[at]
                at += 1
                if not flags & VALUES:
                    found.append(Column(flags, None))
                    continue
                (size,) = _SIZE.unpack_from(data, at)
                at += _SIZE.size + size
                found.append(Column(flags, each.decode(data[at - size : at])))
        except (IndexError, ValueError, struct.error) as error:
            raise IndexCorrupted(f"a summary of {len(data)} bytes makes no sense: {error}") from error
        if at != len(data):
            raise IndexCorrupted(f"a summary of {len(data)} bytes ends at {at}")
        return tuple(found)
