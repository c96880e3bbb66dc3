"""UPDATE and DELETE of many rows by pages: what single rows would give, beside others, and cut anywhere."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import pytest
from support_access import INT4, TEXT, FakeSession, create, describe, latest, make_storage, rows_of, spawn

from aurora.errors import SerializationFailure, UniqueViolation
from aurora.kernels import mtr as mtr_kernel
from compute_node.access.memory_volume import MemoryVolume
from compute_node.access.vacuum import vacuum
from compute_node.hub import HUB
from compute_node.txn.counts import HOT, UPDATED

DESC = describe(1000, [INT4, TEXT, INT4], [((1,), True), ((2,), False)])
Row = tuple[Any, ...]
Change = Callable[[Row], Row | None]
EVERY = (1, 2, 3)


def filled(storage: Any, count: int, pad: int = 40, desc: Any = DESC) -> Any:
    table = create(storage, desc)
    txn = storage.txns.begin()
    table.insert_many(txn, [(number, f"{number:06}" + "p" * pad, 0) for number in range(count)])
    storage.txns.commit(txn)
    return table


def update(table: Any, txn: Any, columns: tuple[int, ...], change: Change, snapshot: Any = None) -> int:
    """UPDATE of all rows that the snapshot sees."""
    snapshot = snapshot or table.storage.txns.snapshot(txn)

    def compute(rows: list[Row], tids: list[int], at: int) -> list[Any]:
        made = [change(row) for row in rows]
        return [None if row is None else tuple(row[attno - 1] for attno in columns) for row in made]

    later: list[int] = []
    count = 0
    for batch in table.scan(snapshot, (), True):
        count += table.update_many(txn, snapshot, [row[0] for row in batch], columns, compute, EVERY, later)
    table.enter_many(txn, columns, EVERY, later)
    return count


def delete(table: Any, txn: Any, wanted: Callable[[Row], bool]) -> int:
    snapshot = table.storage.txns.snapshot(txn)
    tids = [row[3] for batch in table.scan(snapshot, EVERY, True) for row in batch if wanted(row)]
    return table.delete_many(txn, snapshot, tids, lambda row, at: True, ())


def check(table: Any, rows: list[Row]) -> None:
    assert rows_of(table) == sorted(rows)
    snapshot = latest(table.storage)
    for index, position in zip(table.indexes, (0, 1), strict=True):
        found = [row for batch in index.scan(snapshot, [], False, EVERY, False) for row in batch]
        assert [row[position] for row in found] == sorted(row[position] for row in rows)
        assert sorted(found) == sorted(rows)


@pytest.mark.parametrize("pad", [0, 300, 2000])
def test_all_rows_change(pad: int) -> None:
    storage = make_storage(frames=4000)
    table = filled(storage, 500, pad)
    txn = storage.txns.begin()
    assert update(table, txn, (3,), lambda row: None if row[0] % 5 == 0 else (*row[:2], row[0])) == 400
    counted = txn.levels[-1].changed(table.counts)
    assert counted[UPDATED] == 400
    assert counted[HOT] < 400
    storage.txns.commit(txn)
    rows = [(row[0], row[1], row[0] if row[0] % 5 else 0) for row in rows_of(table)]
    check(table, rows)
    vacuum(table)
    txn = storage.txns.begin()
    # Half of each page is free now: new versions stay on it.
    assert update(table, txn, (3,), lambda row: (*row[:2], -1) if row[0] % 5 == 0 else None) == 100
    assert txn.levels[-1].changed(table.counts)[HOT] >= (0 if pad == 2000 else 50)
    storage.txns.commit(txn)
    check(table, [row if row[0] % 5 else (*row[:2], -1) for row in rows])
    txn = storage.txns.begin()
    update(table, txn, (2, 3), lambda row: (row[0], "changed " + row[1], 7))
    storage.txns.abort(txn)
    check(table, [row if row[0] % 5 else (*row[:2], -1) for row in rows])


@pytest.mark.parametrize("pad", [3, 900, 3000])
def test_a_new_value_is_computed_once_and_few_of_them_ahead(pad: int) -> None:
    """Also where new versions find no room on their page, one by one."""

    storage = make_storage(frames=4000)
    table = filled(storage, 400, desc=describe(1000, [INT4, TEXT, INT4], [((1,), True)]))
    computed: list[int] = []

    def change(row: Row) -> Row:
        computed.append(row[0])
        return row[0], "n" * pad, row[2]

    txn = storage.txns.begin()
    assert update(table, txn, (2,), change) == 400
    storage.txns.commit(txn)
    assert sorted(computed) == list(range(400))
    assert {row[1] for row in rows_of(table)} == {"n" * pad}


def test_who_is_first_decides_whether_a_key_is_free() -> None:
    """Row by row, as in PostgreSQL: a key may go to where none is any more, not to where one is still."""
    storage = make_storage(frames=2000)
    table = filled(storage, 300)
    txn = storage.txns.begin()
    with pytest.raises(UniqueViolation, match="t1000_i0"):
        update(table, txn, (1,), lambda row: (row[0] + 1, *row[1:]))
    storage.txns.abort(txn)
    for step in (-1, 1000):
        before = rows_of(table)
        txn = storage.txns.begin()
        assert update(table, txn, (1,), lambda row, step=step: (row[0] + step, *row[1:])) == 300
        storage.txns.commit(txn)
        check(table, [(row[0] + step, *row[1:]) for row in before])


def test_rows_in_others_hands() -> None:
    """A row that another transaction changes is waited for and taken as it is then; locked ones are waited for too."""

    async def go() -> None:
        storage = make_storage(frames=2000)
        table = filled(storage, 300)
        other = storage.txns.begin(session=FakeSession(1))

        def first() -> None:
            snapshot = storage.txns.snapshot(other)
            for number, values in ((120, (120, "other", 50)), (121, None)):
                (row,) = table.indexes[0].lookup(snapshot, (number,), EVERY, True)
                if values is None:
                    assert table.delete(other, snapshot, row[3], lambda row, at: True, EVERY)
                else:
                    assert table.update(other, snapshot, row[3], values, (2, 3), lambda row: None)

        def second() -> int:
            txn = storage.txns.begin(session=FakeSession(2))
            count = update(table, txn, (3,), lambda row: (*row[:2], row[2] + 1))
            storage.txns.commit(txn)
            return count

        def third() -> None:
            for _ in range(50):
                HUB.yield_turn()
            storage.txns.commit(other)

        await HUB.call(first)
        assert await spawn(second, third) == [299, None]
        rows = {row[0]: row for row in rows_of(table)}
        assert rows[120] == (120, "other", 51)
        assert 121 not in rows
        assert {row[2] for number, row in rows.items() if number != 120} == {1}
        check(table, list(rows.values()))

    import asyncio

    async def main() -> None:
        HUB.bind(asyncio.get_running_loop())
        await go()

    asyncio.run(main())


def test_repeatable_read_refuses_what_has_changed() -> None:
    storage = make_storage(frames=2000)
    table = filled(storage, 100)
    txn = storage.txns.begin("repeatable read")
    snapshot = storage.txns.snapshot(txn)
    other = storage.txns.begin()
    assert update(table, other, (3,), lambda row: (*row[:2], 9) if row[0] == 60 else None) == 1
    storage.txns.commit(other)
    with pytest.raises(SerializationFailure):
        update(table, txn, (3,), lambda row: (*row[:2], 1), snapshot)
    storage.txns.abort(txn)


def reopened(volume: MemoryVolume, upto: int, records: list[Any], base: MemoryVolume) -> Any:
    """A storage on what a crash leaves when the log is durable up to ``upto``."""
    left = MemoryVolume()
    left.pages = copy.deepcopy(base.pages)
    left.pg_last = dict(base.pg_last)
    left._records = [each for each in records if each[0] <= upto]
    left._apply(upto)
    left.vdl = type(volume.vdl)(upto)
    left.log = mtr_kernel.RedoLog(upto + 20_000_000, upto, 512, left.pg_last)
    return make_storage(left, frames=2000)


@pytest.mark.parametrize("seed", range(2))
def test_a_bulk_statement_that_is_cut_anywhere_leaves_nothing(seed: int) -> None:
    """UPDATE, DELETE, INSERT and VACUUM in bulk, and a crash after any of their mini-transactions: rows and indexes are
    as before the transaction (the vacuum's, as after its commit), and the database goes on from there."""
    rng = random.Random(seed)
    volume = MemoryVolume()
    table = filled(make_storage(volume, frames=2000), 400)
    volume.advance()
    base = copy.copy(volume)
    base.pages, base.pg_last = copy.deepcopy(volume.pages), dict(volume.pg_last)
    before = rows_of(table)
    storage = table.storage
    volume.auto = False
    txn = storage.txns.begin()
    update(table, txn, (2, 3), lambda row: (row[0], f"{row[0]:03}", 1) if row[0] % 2 else None)
    delete(table, txn, lambda row: row[0] % 3 == 0)
    table.insert_many(txn, [(number, f"new {number}", 2) for number in range(1000, 1600)])
    update(table, txn, (1,), lambda row: (row[0] + 10_000, *row[1:]))
    commit_lsn = storage.txns.commit(txn)
    after = rows_of(table)
    volume._take()
    records, cpls = list(volume._records), list(volume._cpls)
    volume.advance()
    vacuum(table)
    volume._take()
    records += volume._records
    cpls += volume._cpls
    assert sum(cpl > commit_lsn for cpl in cpls) > 10
    for upto in (*rng.sample(cpls, 15), cpls[-1]):
        again = reopened(volume, upto, records, base).table(DESC)
        rows = after if upto >= commit_lsn else before
        check(again, rows)
        txn = again.storage.txns.begin()
        assert update(again, txn, (2,), lambda row: (row[0], "again", row[2])) == len(rows)
        again.storage.txns.commit(txn)
        vacuum(again)
        check(again, [(row[0], "again", row[2]) for row in rows])


def test_a_clean_table_is_vacuumed_without_a_look_at_its_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = make_storage(frames=2000)
    table = filled(storage, 2000)
    txn = storage.txns.begin()
    delete(table, txn, lambda row: row[0] % 7 == 0)
    storage.txns.commit(txn)
    looked: list[int] = []
    heap = table.heap

    class Watched:
        def __getattr__(self, name: str) -> Any:
            return getattr(heap, name)

        def vacuum_page(self, block: int, *args: Any) -> Any:
            looked.append(block)
            return heap.vacuum_page(block, *args)

    monkeypatch.setattr(table, "heap", Watched())
    first = vacuum(table)
    assert (first.pages, first.rows, first.versions) == (table.file.fresh, 1714, 286)
    looked.clear()
    second = vacuum(table)
    assert looked == []
    assert (second.pages, second.rows, second.versions) == (table.file.fresh, 1714, 0)
    txn = storage.txns.begin()
    assert update(table, txn, (3,), lambda row: (*row[:2], 1) if row[0] == 1000 else None) == 1
    storage.txns.commit(txn)
    third = vacuum(table)
    assert 1 <= len(set(looked)) <= 2
    assert (third.rows, third.versions) == (1714, 1)
    looked.clear()
    vacuum(table, freeze_all=True)
    assert len(set(looked)) == table.file.fresh
