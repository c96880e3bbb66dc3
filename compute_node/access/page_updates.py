"""UPDATE of many rows, a page's rows in one mini-transaction.

rows of one page that nobody is in the way of ─► new values ─► one kernel call ─► index entries in runs. A row that
somebody else changes or has locked, that is stored out of line, or whose new version finds no room is updated by itself
(``Table.update_columns``), and then it goes on by pages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from aurora.datum import Datum, Row
from aurora.page import PAGE_BYTES
from compute_node.access.index_access import IndexAccess
from compute_node.txn.counts import HOT, UPDATED
from compute_node.work.account import batch_bytes

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from aurora.kernels.python.tuples import Projection
    from compute_node.access.table import Table, UpdatePlan
    from compute_node.txn.transaction import Txn

Values = Sequence[Datum] | None
ComputeMany = Callable[[list[Row], list[int], int], list[Values]]
"""New values of rows, which are the versions ``tids`` from a place on; None: the row does not qualify."""

ROWS_MIN = 4
"""Fewer are updated one by one."""
STEP_BYTES = 64 << 10
"""So much of new values is computed at once, and one step more."""
LONG_BYTES = 1024
PAGE_REDO_BYTES = 4 * PAGE_BYTES
"""Log space reserved for the change of a page's rows: every row's new version, here or on another page, and some bytes
of every old one."""


class PageUpdates:
    """One statement's updates of ``table``: of ``changed`` columns, whose values are computed of those in ``needed``.
    Tids in ``later`` are for ``Table.enter_many``."""

    def __init__(
        self,
        table: Table,
        txn: Txn,
        snapshot: Snapshot,
        changed: tuple[int, ...],
        needed: tuple[int, ...],
        later: list[int],
    ) -> None:
        self._table, self._txn, self._snapshot = table, txn, snapshot
        self._changed, self._needed, self._later = changed, needed, later
        self._plan: UpdatePlan = table.plan_of(changed, needed)
        self._locks = table.storage.locks
        self._ready: list[tuple[Row, Values]] = []
        """Of the next rows what was computed already: they could not be updated with those before."""
        self._alone = (txn.serial is None or not table.serial_id) and self._plan.by_pages

    def run(self, tids: list[int], compute: ComputeMany) -> int:
        """Update what qualifies of the versions that the snapshot sees; how many. Errors as for
        ``Table.update_columns``."""
        at = count = 0
        self._ready = []
        while at < len(tids):
            by_pages = self._alone and len(tids) - at >= ROWS_MIN and not self._locks.rows
            made = self._page(tids, at, compute) if by_pages else []
            if made:
                count += self._follow(tids, at, made)
                at += len(made)
                del self._ready[: len(made)]
                continue
            place = at
            known = self._ready.pop(0) if self._ready else None

            def one(row: Row, place: int = place, known: tuple[Row, Values] | None = known) -> Values:
                # It may be another version by now; equal numbers may have other decimals.
                is_known = known is not None and known[0] == row and repr(known[0]) == repr(row)
                return known[1] if known is not None and is_known else compute([row], tids, place)[0]

            updated = self._table.update_columns(
                self._txn, self._snapshot, tids[at], self._changed, one, self._needed, None, self._later
            )
            count += updated is not None
            at += 1
        return count

    def _probe(self, tids: list[int], at: int, proj: Projection, most: int) -> list[Row]:
        """Columns of the versions from ``at`` on, of one page, that nobody is in the way of; ``most`` of them (0:
        all)."""
        table = self._table
        if most:
            tids, at = tids[at : at + most], 0
        while isinstance(rows := table.heap.probe_page(tids, at, proj), int):
            table.load(rows)
        return rows

    def _page(self, tids: list[int], at: int, compute: ComputeMany) -> list[int]:
        """The new tids (0: none) of the rows from ``at`` on, as many as go in one step; none when the first one needs a
        look of its own."""
        table, plan, txn = self._table, self._plan, self._txn
        xid = txn.write_xid or table.storage.txns.assign(txn)
        handles = table.codec.handles
        rows = self._probe(tids, at, plan.projection, 0)
        if not rows or table.codec.handles != handles:
            return []
        values = self._values(rows, tids, at, compute)
        new_keys = self._new_keys(tids, at, values)
        if new_keys is None or table.codec.handles != handles:
            return []
        table.reserve_bytes(PAGE_REDO_BYTES)
        block, elsewhere = tids[at] >> 16, -1
        if table.full_page == (block, xid, txn.cid) and table.file.target != block:
            elsewhere = table.file.target
        while not self._locks.rows:
            made = table.heap.update_page(
                tids, at, values, plan.positions, xid, txn.cid, plan.hot, new_keys or None, elsewhere
            )
            if not isinstance(made, int):
                return made
            table.load(made)
        return []

    def _values(self, rows: list[Row], tids: list[int], at: int, compute: ComputeMany) -> list[Values]:
        """The new values of the first rows: of all, if they are not too long together."""
        ready = self._ready
        size, step = 0, ROWS_MIN
        while len(ready) < len(rows) and size <= STEP_BYTES:
            start = len(ready)
            some = rows[start : start + step]
            fresh = compute(some, tids, at + start)
            ready += zip(some, fresh, strict=True)
            length = batch_bytes([tuple(value) for value in fresh if value is not None])
            size += length
            step = 1 if length > LONG_BYTES * step else 16
        return [value for _, value in ready[: len(rows)]]

    def _new_keys(self, tids: list[int], at: int, values: list[Values]) -> bytes | None:
        """A byte a row, 1: the values that make it known change (none: nobody's do). None when the order of the rows
        matters: a key is to become what another row's is, which is an error or not by who is first."""
        plan = self._plan
        if plan.keys is None:
            return b""
        rows = self._probe(tids, at, plan.keys, len(values))
        if len(rows) < len(values):
            return None
        places = plan.key_positions
        changes = [
            new is not None and row != tuple([new[place] for place in places])
            for row, new in zip(rows, values, strict=True)
        ]
        if any(changes) and not all(self._is_free(each, tids, at, values) for each in plan.uniques):
            return None
        return bytes(changes)

    def _is_free(self, index: IndexAccess, tids: list[int], at: int, values: list[Values]) -> bool:
        """Whether no new key is the old key of one of these rows."""
        columns = list(enumerate(index.desc.columns))
        rows = self._probe(tids, at, self._table.projection(tuple(index.desc.columns), False), len(values))
        if len(rows) < len(values):
            return False
        places = {attno: place for place, attno in enumerate(self._changed)}
        old: set[bytes] = set()
        new: set[bytes] = set()
        for row, fresh in zip(rows, values, strict=True):
            if fresh is None:
                continue
            before = index.key_bytes(row)
            after = index.key_bytes([fresh[places[attno]] if attno in places else row[i] for i, attno in columns])
            if before != after:
                old.add(before)
                new.add(after)
        return old.isdisjoint(new)

    def _follow(self, tids: list[int], at: int, made: list[int]) -> int:
        """What belongs to new versions: counts, index entries; their number."""
        plan, table, block = self._plan, self._table, tids[at] >> 16
        fresh = [tid for tid in made if tid]
        entered = [tid for tid in fresh if tid >> 16 != block] if plan.hot else fresh
        if fresh:
            counted = self._txn.levels[-1].changed(table.counts)
            counted[UPDATED] += len(fresh)
            counted[HOT] += len(fresh) - len(entered)
        table.file.dead_rows += len(entered)
        if plan.may_wait:
            self._later += entered
        else:
            table.enter_many(self._txn, self._changed, self._needed, entered)
        return len(fresh)
