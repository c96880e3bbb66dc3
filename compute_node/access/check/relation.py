"""All of one table: its indexes, then its heap, then each against the other, then the values out of line."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aurora.datum import Datum, Row
from aurora.errors import InvariantViolation, SqlError
from compute_node.access.brin.index import BrinIndex
from compute_node.access.btree.index import BTreeIndex
from compute_node.access.check.brin import BrinCheck
from compute_node.access.check.btree import BTreeCheck
from compute_node.access.check.findings import (
    NONSENSE,
    TOLD_MAX,
    Fault,
    IndexCheck,
    Numbered,
    is_of_the_data,
    number_of,
)
from compute_node.access.check.gin import GinCheck
from compute_node.access.check.gist import GistCheck
from compute_node.access.check.hash import HashCheck
from compute_node.access.check.heap import HeapCheck
from compute_node.access.gin.index import GinIndex
from compute_node.access.gist.index import GistIndex
from compute_node.access.hash.index import HashIndex
from compute_node.access.stored import Toasted
from compute_node.hub import HUB
from compute_node.relations.descriptors import RelationDesc
from compute_node.work.account import Account, Area

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from compute_node.access.check.findings import Numbers
    from compute_node.access.index_access import IndexAccess
    from compute_node.access.storage import Storage

NO_LIMIT = 1 << 62
"""Numbers go to no file: the instance's limit alone counts."""
IN_PLACE_MAX = 1 << 16
"""More numbers are compared in a thread, so that others may run."""


def check_of(index: IndexAccess, area: Area) -> IndexCheck | None:
    """The walk through an index of this method; None when there is none for it."""
    if isinstance(index, BTreeIndex):
        return BTreeCheck(index, area)
    if isinstance(index, HashIndex):
        return HashCheck(index, area)
    if isinstance(index, GinIndex):
        return GinCheck(index, area)
    if isinstance(index, GistIndex):
        return GistCheck(index, area)
    if isinstance(index, BrinIndex):
        return BrinCheck(index, area)
    return None


def check_relation(
    storage: Storage,
    desc: RelationDesc,
    snapshot: Snapshot,
    account: Account,
    broken: Callable[[Row], Iterator[str]] = lambda _: iter(()),
) -> Iterator[Fault]:
    """What is wrong with a table or materialized view, its indexes and its TOAST table. ``snapshot`` is held by the
    caller, and vacuum kept out; ``broken`` names the constraints that a row breaks."""
    toast = desc.toast
    table = _TableCheck(storage, desc, snapshot, account, broken)
    yield from table.run()
    if toast is not None and storage.exists(toast.relfile):
        chunks = _TableCheck(storage, toast, snapshot, account)
        yield from chunks.run()
        lost = np.setdiff1d(chunks.chunk_ids.all(), table.value_ids.all())
        yield from chunks.told((f"value {each}", "is in visible chunks, and no row has it") for each in lost.tolist())
        chunks.close()
    table.close()


class _IndexRows:
    """What the visible rows say of one index, beside what was found in it."""

    def __init__(self, index: IndexAccess, check: IndexCheck, area: Area) -> None:
        self.index, self.check = index, check
        self.entries, self.tids, self.keys = Numbered(area), Numbered(area), Numbered(area)
        """of its entries, with their rows' addresses; a number a row"""


class _TableCheck:
    def __init__(
        self,
        storage: Storage,
        desc: RelationDesc,
        snapshot: Snapshot,
        account: Account,
        broken: Callable[[Row], Iterator[str]] = lambda _: iter(()),
    ) -> None:
        self._desc = desc
        self._broken = broken
        self._name = f"{desc.schema}.{desc.name}"
        self._table = storage.table(desc)
        self._area = Area(account, NO_LIMIT)
        self._heap = HeapCheck(self._table, snapshot, self._area)
        self._tids = Numbered(self._area)
        self.value_ids, self.chunk_ids = Numbered(self._area), Numbered(self._area)
        """values out of line that visible rows have; of a TOAST table: those of its visible chunks"""
        self._is_toast = desc.kind == "t"

    def told(self, faults: Iterator[tuple[str, str]], relation: str = "") -> Iterator[Fault]:
        """The first few faults, and how many more there are."""
        count = 0
        for place, text in faults:
            count += 1
            if count <= TOLD_MAX:
                yield Fault(relation or self._name, place, text)
        if count > TOLD_MAX:
            yield Fault(relation or self._name, "", f"{count - TOLD_MAX} more faults of this kind")

    def run(self) -> Iterator[Fault]:
        """Indexes first: an entry that is found has its row's line pointer for as long as vacuum is kept out."""
        indexes: list[_IndexRows] = []
        for index in self._table.indexes:
            check = check_of(index, self._area) if index.desc.valid else None
            if check is None:
                continue
            yield from self.told(_readable(check), self._index_name(index))
            indexes.append(_IndexRows(index, check, self._area))
        yield from self.told(self._rows(indexes))
        roots = self._heap.roots.all()
        tids = self._tids.all()
        for each in indexes:
            yield from self.told(self._compared(each, roots, tids), self._index_name(each.index))

    def close(self) -> None:
        """Give its memory back."""
        self._area.clear()

    def _index_name(self, index: IndexAccess) -> str:
        return f"{self._desc.schema}.{index.desc.name}"

    # Rows

    def _rows(self, indexes: Sequence[_IndexRows]) -> Iterator[tuple[str, str]]:
        for found in self._heap.walk():
            if isinstance(found, tuple):
                yield found
                continue
            HUB.pulse()
            rows = []
            for row in found:
                values: list[Datum] = list(row[:-1])
                faults = [*self._nulls(values), *self._resolve(values), *self._rules(values)]
                yield from ((_shown(row[-1]), text) for text in faults)
                rows.append((values, row[-1]))
            if self._is_toast:
                self.chunk_ids.add(values[0] for values, _ in rows)
            self._tids.add(tid for _, tid in rows)
            for each in indexes:
                yield from self._entries(each, rows)

    def _nulls(self, values: Sequence[Datum]) -> Iterator[str]:
        for column, value in zip(self._desc.columns, values, strict=True):
            if value is None and column.not_null and not column.dropped:
                yield f"column {column.name} is NULL"

    def _rules(self, values: Sequence[Datum]) -> Iterator[str]:
        try:
            for name in self._broken(tuple(values)):
                yield f'breaks the constraint "{name}"'
        except SqlError as error:
            if not is_of_the_data(error):
                raise
            yield f"its constraints cannot be checked: {error}"

    def _resolve(self, values: list[Datum]) -> Iterator[str]:
        """Values in place of their handles; what cannot be had becomes NULL."""
        for at, value in enumerate(values):
            if type(value) is not Toasted:
                continue
            if value.is_external:
                self.value_ids.add((value.value_id,))
            try:
                values[at] = value.codec.reader.value(value)
            except (*NONSENSE, struct.error) as error:
                values[at] = None
                yield f"column {self._desc.columns[at].name} cannot be read: {error}"
            except SqlError as error:
                if not is_of_the_data(error):
                    raise
                values[at] = None
                yield f"column {self._desc.columns[at].name} cannot be read: {error}"

    def _entries(self, each: _IndexRows, rows: Sequence[tuple[list[Datum], int]]) -> Iterator[tuple[str, str]]:
        """The numbers of the rows' entries and keys."""
        entries: list[int] = []
        tids: list[int] = []
        keys: list[int] = []
        unique = each.index.desc.unique
        for values, tid in rows:
            found: Sequence[bytes] = ()
            key = b""
            try:
                found, key = each.check.of_row(values, tid)
                if text := each.check.fault_of(values, tid):
                    yield _shown(tid), f"{text} {each.index.desc.name}"
            except SqlError as error:
                if not is_of_the_data(error):
                    raise
                yield _shown(tid), f"its key in {each.index.desc.name} cannot be computed: {error}"
            entries += [number_of(entry) for entry in found]
            tids += [tid] * len(found)
            if unique:
                keys.append(number_of(key))
        each.entries.add(entries)
        each.tids.add(tids)
        each.keys.add(keys)

    # Rows and entries

    def _compared(self, each: _IndexRows, roots: Numbers, tids: Numbers) -> Iterator[tuple[str, str]]:
        lost = each.tids.all()[_apart(_absent, each.entries.all(), each.check.entries.all())]
        for tid in np.unique(lost).tolist():
            yield _shown(tid), "has no entry for this row"
        named = each.check.tids.all()
        for tid in np.unique(named[_apart(_absent, named, roots)]).tolist():
            yield _shown(tid), "has an entry for this address, and there is no row"
        if each.index.desc.unique:
            for first, second in _apart(_twice, each.keys.all()).tolist():
                yield _shown(int(tids[second])), f"has the key of the row at {_shown(int(tids[first]))}"


def _readable(check: IndexCheck) -> Iterator[tuple[str, str]]:
    """The walk; pages that make no sense end it."""
    try:
        yield from check.walk()
    except (*NONSENSE, InvariantViolation, struct.error) as error:
        yield "", f"cannot be read to its end: {error!r}"


def _apart(work: Callable[..., NDArray[np.int64]], *numbers: Numbers) -> NDArray[np.int64]:
    if sum(each.size for each in numbers) <= IN_PLACE_MAX or not HUB.in_greenlet():
        return work(*numbers)
    return HUB.in_thread(work, *numbers)


def _absent(wanted: Numbers, there: Numbers) -> NDArray[np.int64]:
    """Places in ``wanted`` of what is not ``there``."""
    return np.flatnonzero(~np.isin(wanted, there))


def _twice(keys: Numbers) -> NDArray[np.int64]:
    """Pairs of places of one key, (earlier, later); 0 is none."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    again = np.flatnonzero((ordered[1:] == ordered[:-1]) & (ordered[1:] != 0))
    return np.stack([order[again], order[again + 1]], axis=1)


def _shown(tid: int) -> str:
    return f"({tid >> 16},{tid & 0xFFFF})"
