"""Exclusion constraints: no two rows whose values meet all of the constraint's operators.

row ─► entry ─► scan of the same index by the operators' strategies ─► rows that may conflict ─► wait for those in
doubt, test the others by the operators ─► 23P01. The entry is made first: of two who come at once, at least one finds
the other's. Of two rows of INSERT … ON CONFLICT one is taken back then (``txn/locks.py``). A row with a NULL among its
values conflicts with none. Source: PostgreSQL manual, CREATE TABLE, EXCLUDE.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from aurora.datum import Datum, Row
from aurora.errors import ExclusionViolation, InvariantViolation, SqlError
from aurora.ids import Lsn
from aurora.kernels.python.heap import LIVE, UNDECIDED
from compute_node.access.btree.index import BTreeIndex
from compute_node.access.gist.index import GistIndex, SpGistIndex
from compute_node.access.hash.index import HashIndex
from compute_node.access.index_access import IndexAccess, ScanKey
from compute_node.access.row_events import NewEntries, UniqueKey, events_of
from compute_node.access.stored import resolved_row
from compute_node.hub import HUB
from compute_node.relations.descriptors import IndexDesc
from compute_node.txn.transaction import Txn

if TYPE_CHECKING:
    from compute_node.access.table import Table

Comparison = Callable[[Datum, Datum], Datum]


class _Excluding(IndexAccess):
    """Comes before an access method's class: what it enters must not conflict."""

    def __init__(self, table: Table, desc: IndexDesc) -> None:
        super().__init__(table, desc)
        compile_comparison = table.storage.compile_comparison
        if compile_comparison is None:
            raise InvariantViolation(f"nobody compiles the operators of constraint {desc.name}")
        self._operators: list[tuple[int, Comparison]] = [
            (each.strategy, compile_comparison(table.desc, each.operator, kind))
            for each, kind in zip(desc.exclusion, desc.key_types, strict=True)
        ]

    def build(self, txn: Txn) -> None:
        """See ``IndexAccess``. Errors: 23P01 for rows that are in conflict."""
        super().build(txn)  # type: ignore[safe-super]  # the access method's comes next
        table = self.table
        columns = tuple(range(1, len(table.desc.columns) + 1))
        snapshot = self._storage.txns.latest_snapshot(txn)
        for rows in table.scan_blocks(snapshot, columns, True, 0, None, True):
            for row in rows:
                key = self.keys.of(row[:-1])
                other = None if key is None else self._conflict(txn, key, row[-1])
                if key is not None and other is not None:
                    detail = f"Key {self._shown(key)} conflicts with key {self._shown(other[1])}."
                    raise self._error(f'could not create exclusion constraint "{self.desc.name}"', detail)
            HUB.pulse()

    def add(self, txn: Txn, values: Sequence[Datum], tid: int, check: bool = True) -> int:
        """See ``IndexAccess``. Errors: 23P01."""
        super().add(txn, values, tid, check)  # type: ignore[safe-super]
        if check:
            self._check(txn, values, tid)
        return 0

    def add_many(self, txn: Txn, rows: Sequence[Sequence[Datum]], tids: Sequence[int], check: bool = True) -> None:
        """See ``IndexAccess``. Errors: 23P01."""
        for number, (row, tid) in enumerate(zip(rows, tids, strict=True)):
            try:
                self.add(txn, row, tid, check)
            except SqlError as error:
                error.row = number
                raise

    def try_add(self, txn: Txn, values: Sequence[Datum], tid: int) -> int:
        """See ``IndexAccess``."""
        super().add(txn, values, tid)  # type: ignore[safe-super]
        key = self.keys.of(values)
        return int(key is not None and self._conflict(txn, key, tid, uncertain=True) is not None)

    def find_conflict(self, txn: Txn, values: Sequence[Datum]) -> int:
        """See ``IndexAccess``: of the first row found that is in conflict."""
        key = self.keys.of(values)
        found = None if key is None else self._conflict(txn, key, 0)
        return 0 if found is None else found[0]

    def recheck(self, txn: Txn, values: Sequence[Datum], tid: int) -> None:
        """A row must be in conflict with none by now. Errors: 23P01, 40P01."""
        self._raise_conflict(txn, values, tid)

    def _check(self, txn: Txn, values: Sequence[Datum], tid: int) -> None:
        if self.desc.immediate:
            self._raise_conflict(txn, values, tid)
            return
        key = self.keys.of(values)
        if key is not None and self._is_suspect(txn, key, tid):
            desc = self.desc
            event = UniqueKey(desc.constraint, desc.oid, desc.deferred)
            events_of(txn).now.append(NewEntries(event, self.table.desc, array("Q", (tid,))))

    def _is_suspect(self, txn: Txn, key: Row, tid: int) -> bool:
        """Whether a row in doubt, or a live one in conflict, is there already: who comes later looks again later."""
        if None in key:
            return False
        for tids in self.tids(self._scan_keys(key)):
            for other in tids:
                if other == tid:
                    continue
                while isinstance(state := self._heap.conflict(other, txn.own), int):
                    self._load(state)
                if state[0] == UNDECIDED:
                    if self._is_withdrawn(state[1], other):
                        continue
                    return True
                if state[0] == LIVE and (found := self._tested(txn, key, other)) is not None and found[0] != tid:
                    return True
        return False

    def _raise_conflict(self, txn: Txn, values: Sequence[Datum], tid: int) -> None:
        key = self.keys.of(values)
        found = None if key is None else self._conflict(txn, key, tid)
        if key is None or found is None:
            return
        if txn.serial is not None:
            txn.serial.check_doomed("write")
        detail = None
        if self._is_readable(txn):
            detail = f"Key {self._shown(key)} conflicts with existing key {self._shown(found[1])}."
        raise self._error(f'conflicting key value violates exclusion constraint "{self.desc.name}"', detail)

    def _conflict(self, txn: Txn, key: Row, tid: int, uncertain: bool = False) -> tuple[int, Row] | None:
        """A live row in conflict with ``key``, other than the one at ``tid``: its address and its key. Waits for rows
        in doubt; with ``uncertain`` only if this row is the one to stay: else they are in conflict, too. Who comes
        behind this row's entry finds that."""
        if None in key:
            return None
        keys = self._scan_keys(key)
        locks = self._storage.locks
        while True:
            newest = undecided = 0
            for tids in self.tids(keys):
                for other in tids:
                    if other == tid:
                        continue
                    while isinstance(state := self._heap.conflict(other, txn.own), int):
                        self._load(state)
                    outcome, extra = state
                    if outcome == UNDECIDED:
                        if self._is_withdrawn(extra, other):
                            continue
                        if uncertain and not locks.may_wait_for_row(txn, extra):
                            return other, key
                        undecided = extra
                        break
                    newest = max(newest, extra)
                    if outcome == LIVE and (found := self._tested(txn, key, other)) is not None and found[0] != tid:
                        if extra:
                            txn.depend(Lsn(extra))
                        return found
                if undecided:
                    break
            if not undecided:
                if newest:
                    txn.depend(Lsn(newest))
                return None
            locks.wait_for_xid(txn, undecided, self.desc.name)

    def _is_withdrawn(self, xid: int, tid: int) -> bool:
        return self._storage.locks.is_withdrawn(xid, self.table.desc.relfile, tid)

    def _scan_keys(self, key: Row) -> list[ScanKey]:
        """The conditions that the method can look for; a B-tree's end with the first that is no equality."""
        found: list[ScanKey] = []
        for column, (strategy, _) in enumerate(self._operators):
            found.append(ScanKey(column, strategy, key[column]))
            if self.method.ordered and strategy != self.method.equality:
                break
        return found

    def _tested(self, txn: Txn, key: Row, root: int) -> tuple[int, Row] | None:
        """The live row of a chain, if it is in conflict."""
        table = self.table
        columns = self.keys.columns
        proj = table.projection(columns, True)
        snapshot = self._storage.txns.latest_snapshot(txn)
        while isinstance(row := self._heap.fetch_chain(snapshot, root, proj), int):
            self._load(row)
        if row is None:
            return None
        if table.toast is not None:
            row = resolved_row(row, proj.eager)
        other = row[:-1] if self.keys.is_plain else self.keys.of(row[:-1])
        if other is None or None in other:
            return None
        for (_, compare), mine, theirs in zip(self._operators, key, other, strict=True):
            if compare(theirs, mine) is not True:
                return None
        return row[-1], other

    def _shown(self, key: Row) -> str:
        texts = ", ".join(self._text(position, value) for position, value in enumerate(key))
        return f"({', '.join(self.keys.names)})=({texts})"

    def _error(self, message: str, detail: str | None) -> SqlError:
        desc = self.table.desc
        return ExclusionViolation(
            message, detail=detail, schema=desc.schema, table=desc.name, constraint=self.desc.name
        )


class ExcludingBTree(_Excluding, BTreeIndex):
    """A B-tree with an exclusion constraint."""


class ExcludingHash(_Excluding, HashIndex):
    """A hash index with an exclusion constraint."""


class ExcludingGist(_Excluding, GistIndex):
    """A GiST index with an exclusion constraint."""


class ExcludingSpGist(_Excluding, SpGistIndex):
    """An SP-GiST index with an exclusion constraint."""


EXCLUDING: dict[str, type[_Excluding]] = {
    each.method.name: each for each in (ExcludingBTree, ExcludingHash, ExcludingGist, ExcludingSpGist)
}
