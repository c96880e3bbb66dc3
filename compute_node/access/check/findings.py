"""What a check finds, and what it keeps of an index: entries as numbers of 64 bits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aurora.datum import Datum
from aurora.errors import IndexCorrupted, IoError, SqlError

if TYPE_CHECKING:
    from compute_node.access.cache import PageCache
    from compute_node.access.extents import RelationFile
    from compute_node.work.account import Area


Numbers = NDArray[np.uint64]
NONSENSE = (IndexCorrupted, IndexError, ValueError, OverflowError)
"""What reading a page that makes no sense may raise, besides ``struct.error``."""
OTHER_CLASSES = ("08", "40", "53", "55", "57", "58")
"""Classes of SQLSTATEs that say nothing about data: connections, rollbacks, resources, cancels, files."""
TOLD_MAX = 20
"""Faults of one kind that are told of one relation: a page of nonsense may have thousands."""


class Fault(NamedTuple):
    """Something that should not be so: in which relation, where, and what."""

    relation: str
    place: str
    text: str


def is_of_the_data(error: SqlError) -> bool:
    """Whether an error says that data is bad, not that storage cannot be reached or that somebody cancels."""
    return not isinstance(error, IoError) and error.sqlstate[:2] not in OTHER_CLASSES


def page_of(cache: PageCache, file: RelationFile, block: int) -> bytes:
    """A copy of a block's page as it is now; may wait."""
    return bytes(cache.arena.page(cache.get(file.map.page_no(block))))


class Numbered:
    """Numbers that are gathered a few at a time, counted in an area of memory, and looked up at the end."""

    def __init__(self, area: Area) -> None:
        self._area = area
        self._parts: list[Numbers] = []

    def add(self, numbers: Iterable[int]) -> None:
        """Some more."""
        part = np.fromiter(numbers, np.uint64)
        if part.size:
            self._area.add(part.nbytes)
            self._parts.append(part)

    def all(self) -> Numbers:
        """In the order in which they came."""
        if len(self._parts) != 1:
            self._parts = [np.concatenate(self._parts) if self._parts else np.empty(0, np.uint64)]
        return self._parts[0]


def number_of(entry: bytes) -> int:
    """Entries are told apart by 64 bits of their hash; 0: none."""
    return hash(entry) & 0xFFFFFFFFFFFFFFFF if entry else 0


class IndexCheck(ABC):
    """A walk through the pages of one index, which keeps its entries: ``entries`` as hashes, ``tids`` as row addresses,
    in the same order."""

    def __init__(self, area: Area) -> None:
        self.entries = Numbered(area)
        self.tids = Numbered(area)

    @abstractmethod
    def walk(self) -> Iterator[tuple[str, str]]:
        """(place, text) of what is wrong; yields between pages, so that others may run."""

    @abstractmethod
    def of_row(self, values: Sequence[Datum], tid: int) -> tuple[Sequence[bytes], bytes]:
        """The entries that a row at this address has, and what no two rows of a unique index have in common (empty: it
        may share it)."""

    def fault_of(self, values: Sequence[Datum], tid: int) -> str:
        """What is wrong with how the index holds a visible row that has no entry of its own there; empty: nothing."""
        return ""

    def keep(self, items: Sequence[tuple[bytes, int]]) -> None:
        """A page's entries with their row addresses."""
        self.entries.add(number_of(item) for item, _ in items)
        self.tids.add(tid for _, tid in items)
