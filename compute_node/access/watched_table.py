"""A table that foreign keys watch: the writes of ``Table``, each of which leaves an event for those keys. (Of unique
constraints that can be deferred their indexes leave the events.)

Only tables with foreign keys, or whose keys are named by some, are opened as one of these: the others do not pay. A
change that leaves a foreign key's columns alone leaves no event.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from aurora.datum import Datum, Row
from aurora.errors import SerializationFailure
from compute_node.access.index_access import IndexAccess
from compute_node.access.page_updates import ComputeMany
from compute_node.access.row_events import LostKey, NewReferences, events_of, known_events
from compute_node.access.table import BULK_ROWS_MIN, Compute, Table
from compute_node.relations.descriptors import ForeignKeyDesc, RelationDesc
from compute_node.txn.transaction import Txn

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from compute_node.access.storage import Storage


def is_checked(key: ForeignKeyDesc, values: Sequence[Datum]) -> bool:
    """Whether a row with this key refers to one: with MATCH SIMPLE a NULL anywhere means that it does not."""
    nulls = sum(value is None for value in values)
    return nulls < len(values) if key.match_full else not nulls


def _other_key(old: Datum, new: Datum) -> bool:
    """Whether a referenced value has become another one; one that only is written in another way counts too."""
    return bool(old != new) or repr(old) != repr(new)


def note_move(txn: Txn, root: RelationDesc, old: Row, new: Row) -> None:
    """A row of a partitioned table has moved to another partition: to keys that refer to the whole it has changed.
    ``old`` and ``new`` as ``root`` lays them out."""
    for key in root.referenced_by:
        before = tuple([old[attno - 1] for attno in key.referenced_columns])
        after = tuple([new[attno - 1] for attno in key.referenced_columns])
        if None not in before and any(map(_other_key, before, after)):
            events_of(txn).now.append(LostKey(key, root, before, after))


class _Watch:
    """What an update of certain columns means for the foreign keys: those that it touches, the columns that they
    need of the old row (after those that the update itself needs), and which of the new values are whose."""

    __slots__ = ("lost", "needed", "new")

    def __init__(self, desc: RelationDesc, changed: tuple[int, ...], needed: tuple[int, ...]) -> None:
        touched = set(changed)
        self.new = [key for key in desc.foreign_keys if touched.intersection(key.columns)]
        self.lost = [key for key in desc.referenced_by if touched.intersection(key.referenced_columns)]
        extra = {attno for key in self.new for attno in key.columns}
        extra |= {attno for key in self.lost for attno in key.referenced_columns}
        self.needed = (*needed, *sorted(extra))


class WatchedTable(Table):
    """See ``Table``."""

    def __init__(self, storage: Storage, desc: RelationDesc) -> None:
        super().__init__(storage, desc)
        self._watches: dict[tuple[tuple[int, ...], tuple[int, ...]], _Watch] = {}
        referenced = {attno for key in desc.referenced_by for attno in key.referenced_columns}
        self._referenced = tuple(sorted(referenced))

    # Inserting

    def insert(self, txn: Txn, values: Sequence[Datum]) -> int:
        """As ``Table.insert``."""
        tid = super().insert(txn, values)
        self._inserted(txn, values, tid)
        return tid

    def _inserted(self, txn: Txn, values: Sequence[Datum], tid: int) -> None:
        for key in self.desc.foreign_keys:
            if is_checked(key, [values[attno - 1] for attno in key.columns]):
                events_of(txn).now.append(NewReferences(key, self.desc, array("Q", (tid,))))

    def insert_or_find(self, txn: Txn, values: Sequence[Datum], arbiters: Sequence[IndexAccess]) -> tuple[int, int]:
        """As ``Table.insert_or_find``."""
        tid, found = super().insert_or_find(txn, values, arbiters)
        if not found:
            self._inserted(txn, values, tid)
        return tid, found

    def insert_many(self, txn: Txn, rows: Sequence[Sequence[Datum]]) -> int:
        """As ``Table.insert_many``."""
        if len(rows) < BULK_ROWS_MIN or not self.desc.foreign_keys:
            return super().insert_many(txn, rows)
        tids = self._insert_bulk(txn, rows)
        for key in self.desc.foreign_keys:
            places = [attno - 1 for attno in key.columns]
            checked = [
                tid for tid, row in zip(tids, rows, strict=True) if is_checked(key, [row[place] for place in places])
            ]
            if checked:
                events_of(txn).now.append(NewReferences(key, self.desc, array("Q", checked)))
        return len(rows)

    def _check_seen(self, txn: Txn, tid: int) -> None:
        """40001 for a referential action of a REPEATABLE READ transaction on a row that its snapshot does not see."""
        events = known_events(txn)
        seen_by = None if events is None else events.crosscheck
        if seen_by is not None and self.fetch(seen_by, tid, ()) is None:
            raise SerializationFailure("could not serialize access due to concurrent update")

    def update_columns(
        self,
        txn: Txn,
        snapshot: Snapshot,
        tid: int,
        changed: tuple[int, ...],
        compute: Compute,
        needed: tuple[int, ...],
        recheck: Callable[[int, Row], Compute | None] | None = None,
        later: list[int] | None = None,
    ) -> int | None:
        """As ``Table.update_columns``."""
        watch = self._watches.get((changed, needed))
        if watch is None:
            watch = self._watches[changed, needed] = _Watch(self.desc, changed, needed)
        self._check_seen(txn, tid)
        if not watch.new and not watch.lost:
            return super().update_columns(txn, snapshot, tid, changed, compute, needed, recheck, later)
        width = len(needed)
        kept: list[tuple[Row, Sequence[Datum]]] = []

        def keeping(inner: Compute) -> Compute:
            def computed(row: Row) -> Sequence[Datum] | None:
                values = inner(row[:width])
                if values is not None:
                    kept[:] = [(row, values)]
                return values

            return computed

        def checked_again(at: int, row: Row) -> Compute | None:
            again = None if recheck is None else recheck(at, row[:width])
            return None if again is None else keeping(again)

        new_tid = super().update_columns(
            txn, snapshot, tid, changed, keeping(compute), watch.needed, None if recheck is None else checked_again
        )
        if new_tid is not None:
            self._updated(txn, watch, width, changed, kept[0], new_tid)
        return new_tid

    def update_many(
        self,
        txn: Txn,
        snapshot: Snapshot,
        tids: list[int],
        changed: tuple[int, ...],
        compute: ComputeMany,
        needed: tuple[int, ...],
        later: list[int],
    ) -> int:
        """As ``Table.update_many``; one by one where each is looked at."""
        watch, events = _Watch(self.desc, changed, needed), known_events(txn)
        if not watch.new and not watch.lost and (events is None or events.crosscheck is None):
            return super().update_many(txn, snapshot, tids, changed, compute, needed, later)
        count = 0
        for place, tid in enumerate(tids):

            def one(row: Row, place: int = place) -> Sequence[Datum] | None:
                return compute([row], tids, place)[0]

            count += self.update_columns(txn, snapshot, tid, changed, one, needed, None, later) is not None
        return count

    def _updated(
        self,
        txn: Txn,
        watch: _Watch,
        width: int,
        changed: tuple[int, ...],
        kept: tuple[Row, Sequence[Datum]],
        tid: int,
    ) -> None:
        old = dict(zip(watch.needed[width:], kept[0][width:], strict=True))
        new = {**old, **{attno: value for attno, value in zip(changed, kept[1], strict=True) if attno in old}}
        for key in watch.lost:
            before = tuple(old[attno] for attno in key.referenced_columns)
            after = tuple(new[attno] for attno in key.referenced_columns)
            if None not in before and any(map(_other_key, before, after)):
                events_of(txn).now.append(LostKey(key, self.desc, before, after))
        for key in watch.new:
            after = tuple(new[attno] for attno in key.columns)
            if is_checked(key, after) and after != tuple(old[attno] for attno in key.columns):
                events_of(txn).now.append(NewReferences(key, self.desc, array("Q", (tid,))))

    def delete(
        self,
        txn: Txn,
        snapshot: Snapshot,
        tid: int,
        recheck: Callable[[Row, int], bool],
        needed: tuple[int, ...],
        away: bool = False,
    ) -> int:
        """As ``Table.delete``."""
        self._check_seen(txn, tid)
        at = super().delete(txn, snapshot, tid, recheck, needed, away)
        if at and self._referenced:
            row = self.fetch(self.storage.txns.last_snapshot_before(txn), at, self._referenced)
            old = dict(zip(self._referenced, row or (), strict=True))
            for key in self.desc.referenced_by:
                if away and key.parent:
                    continue  # of the whole table, where the row only changes: see ``note_move``
                before = tuple(old[attno] for attno in key.referenced_columns)
                if None not in before:
                    events_of(txn).now.append(LostKey(key, self.desc, before, None))
        return at

    def delete_many(
        self,
        txn: Txn,
        snapshot: Snapshot,
        tids: list[int],
        recheck: Callable[[Row, int], bool],
        needed: tuple[int, ...],
    ) -> int:
        """As ``Table.delete_many``: one by one, for each is looked at."""
        return sum(self.delete(txn, snapshot, tid, recheck, needed) != 0 for tid in tids)

    # Looking again

    def current(self, txn: Txn, tid: int, columns: tuple[int, ...]) -> Row | None:
        """The columns of a row that this transaction wrote as version ``tid``, as it is by now; None when it has been
        deleted."""
        found = self.current_version(txn, tid, columns)
        return None if found is None else found[1]

    def current_version(self, txn: Txn, tid: int, columns: tuple[int, ...]) -> tuple[int, Row] | None:
        """See ``current``: with the address of the version that it is by now."""
        snapshot = self.storage.txns.latest_snapshot(txn)
        while True:
            row = self.fetch(snapshot, tid, columns)
            if row is not None:
                return tid, row
            while (following := self.heap.successor(tid)) < 0:
                self._load(-following)
            if not following:
                return None
            tid = following
