"""BRIN against a scan of the table: after random work, vacuums and summaries that come and go, when the log ends after
any mini-transaction, and beside inserts into a range that is being summarized."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from aurora.kernels import arena as arena_kernel
from aurora.kernels import redo
from compute_node.access.brin import index as brin_index
from compute_node.access.brin.classes import Bloom, MinmaxMulti, Order, brin_class
from compute_node.access.index_access import ScanKey
from compute_node.access.lossy_pages import intersected, parts_of, runs
from compute_node.access.memory_volume import MemoryVolume
from compute_node.access.methods import build_index
from compute_node.access.storage import Storage
from compute_node.access.vacuum import vacuum
from compute_node.hub import HUB
from compute_node.relations.access_methods import IS_NULL, NOT_NULL
from compute_node.relations.descriptors import ColumnDesc, IndexDesc, RelationDesc
from compute_node.types import oids
from compute_node.types.geometric.shapes import Box, Point
from compute_node.types.registry import REGISTRY
from tests.unit.support_access import create, latest, run_greenlets, spawn
from tests.unit.test_index_hash import cut_off

BOX = 603
MINMAX, MULTI, BLOOM, BOXES, TEXTS = 10104, 10105, 10106, 10163, 10107
LESS, EQUAL, GREATER = 1, 3, 5
OVERLAPS = 3
COLUMNS = (1, 2, 3, 4)


def described_index(oid: int, name: str, columns: dict[int, tuple[int, int]], *options: str, pages: int) -> IndexDesc:
    """``columns``: attno → (type, operator class)."""
    kinds, codes = zip(*columns.values(), strict=True)
    return IndexDesc(
        oid, oid, name, tuple(columns), False, False, key_types=kinds, operator_classes=codes, codes=codes,
        method="brin", class_options=(options,) * len(columns), options=(f"pages_per_range={pages}",),
    )  # fmt: skip


INDEXES = (
    described_index(3001, "m", {1: (oids.INT4, MINMAX), 4: (oids.TEXT, TEXTS)}, pages=1),
    described_index(3002, "u", {2: (oids.INT4, MULTI)}, "values_per_range=8", pages=2),
    described_index(3003, "b", {2: (oids.INT4, BLOOM)}, "n_distinct_per_range=40", pages=3),
    described_index(3004, "x", {3: (BOX, BOXES)}, pages=1),
)


def described(indexes: tuple[IndexDesc, ...] = INDEXES) -> RelationDesc:
    kinds = (oids.INT4, oids.INT4, BOX, oids.TEXT)
    columns = tuple(ColumnDesc(at + 1, "abcd"[at], kind, -1, False) for at, kind in enumerate(kinds))
    return RelationDesc(3000, 3000, "t", "public", 2200, "r", columns, indexes, database=0)


def make_storage(volume: Any = None, frames: int = 512) -> Storage:
    storage = Storage(arena_kernel.Arena(frames), volume or MemoryVolume(), REGISTRY.types.__getitem__)
    storage.mtr.verify = True
    return storage


def row(rng: random.Random, number: int) -> tuple[Any, ...]:
    x, y = float(number // 3 + rng.randrange(5)), float(rng.randrange(50))
    return (
        None if rng.random() < 0.05 else number,
        None if rng.random() < 0.1 else rng.randrange(5) * 1000 + rng.randrange(40),
        None if rng.random() < 0.1 else Box(Point(x + 2, y + 1), Point(x, y)),
        None if rng.random() < 0.1 else chr(97 + number % 26) * rng.randrange(1, 700),
    )


def pages(table: Any, number: int, keys: list[ScanKey]) -> list[int]:
    return [tid >> 16 for tids in table.indexes[number].tids(keys) for tid in tids]


def found(table: Any, number: int, keys: list[ScanKey], meets: Callable[[Any], bool]) -> list[Any]:
    blocks = pages(table, number, keys)
    assert blocks == sorted(set(blocks))
    batches = table.scan_pages(latest(table.storage), blocks, COLUMNS, False)
    return sorted((each for batch in batches for each in batch if meets(each)), key=repr)


def check(table: Any, rng: random.Random) -> None:
    """Rows that meet a condition are on the pages that an index gives."""
    rows = [each for batch in table.scan(latest(table.storage), COLUMNS, False) for each in batch]
    high = max([each[0] for each in rows if each[0] is not None], default=0)
    a, b = rng.randrange(high + 1), rng.randrange(5) * 1000 + rng.randrange(40)
    text = chr(97 + rng.randrange(26)) * 300
    x = float(rng.randrange(high // 3 + 1))
    area = Box(Point(x + 4, 30.5), Point(x + 0.5, 10.5))
    int4 = oids.INT4
    conditions: list[tuple[int, list[ScanKey], Callable[[Any], bool]]] = [
        (0, [ScanKey(0, LESS, a, kind=int4)], lambda r: r[0] is not None and r[0] < a),
        (0, [ScanKey(0, EQUAL, a, kind=int4)], lambda r: r[0] == a),
        (0, [ScanKey(0, GREATER, a, kind=int4)], lambda r: r[0] is not None and r[0] > a),
        (0, [ScanKey(0, IS_NULL)], lambda r: r[0] is None),
        (0, [ScanKey(0, NOT_NULL), ScanKey(1, IS_NULL)], lambda r: r[0] is not None and r[3] is None),
        (0, [ScanKey(1, LESS, text, kind=oids.TEXT)], lambda r: r[3] is not None and r[3] < text),
        (0, [ScanKey(1, GREATER, text, kind=oids.TEXT)], lambda r: r[3] is not None and r[3] > text),
        (1, [ScanKey(0, EQUAL, b, kind=int4)], lambda r: r[1] == b),
        (1, [ScanKey(0, GREATER, b, kind=int4)], lambda r: r[1] is not None and r[1] > b),
        (2, [ScanKey(0, EQUAL, b, kind=int4)], lambda r: r[1] == b),
        (2, [ScanKey(0, IS_NULL)], lambda r: r[1] is None),
        (
            3,
            [ScanKey(0, OVERLAPS, area, kind=BOX)],
            lambda r: (
                r[2] is not None
                and r[2].low.x <= area.high.x
                and r[2].high.x >= area.low.x
                and r[2].low.y <= area.high.y
                and r[2].high.y >= area.low.y
            ),
        ),
    ]
    for number, keys, meets in conditions:
        assert found(table, number, keys, meets) == sorted(filter(meets, rows), key=repr), (number, keys)


def work(table: Any, rng: random.Random, steps: int, first: int) -> None:
    storage = table.storage
    for step in range(steps):
        txn = storage.txns.begin()
        choice = rng.random()
        known = [each[-1] for batch in table.scan(latest(storage), (1,), True) for each in batch]
        if choice < 0.5 or not known:
            start = first + 60 * step
            table.insert_many(txn, [row(rng, start + n) for n in range(rng.choice([1, 3, 40]))])
        else:
            snapshot = storage.txns.snapshot(txn)
            for tid in rng.sample(known, min(len(known), 8)):
                if choice < 0.7:
                    new = row(rng, rng.randrange(first + 60 * steps))
                    table.update_columns(txn, snapshot, tid, COLUMNS, lambda _, new=new: new, (1,))
                elif choice < 0.8:
                    table.update_columns(txn, snapshot, tid, (2,), lambda _: (4444,), (1,))
                else:
                    table.delete(txn, snapshot, tid, lambda _: True, (1,))
        for index in table.indexes:
            if rng.random() < 0.15:
                index.desummarize(rng.randrange(table.file.fresh + 2))
            if rng.random() < 0.2:
                # The transaction that has just written is still open.
                index.summarize(HUB.pulse, rng.choice([None, rng.randrange(table.file.fresh + 2)]))
        if rng.random() < 0.2:
            storage.txns.abort(txn)
        else:
            storage.txns.commit(txn)


@pytest.mark.parametrize("seed", range(4))
def test_random_work(seed: int) -> None:
    rng = random.Random(seed)

    def body() -> None:
        table = create(make_storage(frames=64), described())
        for turn in range(5):
            work(table, rng, 25, 2000 * turn)
            check(table, rng)
            vacuum(table)
            check(table, rng)
        blocks = table.file.fresh
        assert blocks > 20
        for index in table.indexes:
            full = blocks // index.store.pages_per_range
            assert all(index.store.find(number) is not None for number in range(full)), "vacuum summarizes"
        # A summary rules ranges out, or this test would show nothing.
        for index in table.indexes:
            index.desummarize(0)
            index.summarize(HUB.pulse)
        assert len(pages(table, 0, [ScanKey(0, EQUAL, -5, kind=oids.INT4)])) == 0
        assert len(pages(table, 3, [ScanKey(0, OVERLAPS, Box(Point(-1.0, -1.0), Point(-2.0, -2.0)))])) == 0

    run_greenlets(body)


def test_a_build_and_summaries_hold_the_same_rows() -> None:
    rng = random.Random(5)

    def body() -> None:
        storage = make_storage()
        table = create(storage, described(()))
        txn = storage.txns.begin()
        table.insert_many(txn, [row(rng, n) for n in range(1500)])
        for index in INDEXES:
            build_index(txn, table, index)
        storage.txns.commit(txn)
        table = storage.table(described())
        for _ in range(4):
            check(table, rng)
        for index in table.indexes:
            ranges = -(-table.file.fresh // index.store.pages_per_range)
            built = [index.store.find(number) for number in range(ranges)]
            for number in range(ranges):
                index.desummarize(number * index.store.pages_per_range)
                assert index.store.find(number) is None
            assert index.summarize(HUB.pulse) == ranges
            assert [index.store.find(number) for number in range(ranges)] == built or index is table.indexes[1]
        for _ in range(4):
            check(table, rng)

    run_greenlets(body)


def test_the_log_ends_after_any_mini_transaction() -> None:
    """Whatever has reached storage, the indexes agree with the table, and go on from there."""
    rng = random.Random(9)

    def body() -> None:
        volume = MemoryVolume(auto=False, keep_history=True)
        storage = make_storage(volume)
        table = create(storage, described())
        volume.advance()
        work(table, rng, 40, 0)
        log = volume.log.take()
        ends = sorted(
            at for run in log for at, _, _, _, flags, _, _ in redo.scan(run[5], run[1]) if flags & 1 and at > volume.vdl
        )
        for point in ends[:: max(1, len(ends) // 40)]:
            again = make_storage(cut_off(volume, log, point)).table(described())
            check(again, rng)
            work(again, rng, 3, 5000)
            check(again, rng)

    run_greenlets(body)


def test_rows_that_come_while_a_range_is_summarized(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before and after their page is read, rolled back and committed; also into a range without a summary."""
    read = brin_index.versions_of

    def slowly(*args: Any) -> Any:
        HUB.yield_turn()
        rows = read(*args)
        HUB.yield_turn()
        return rows

    monkeypatch.setattr(brin_index, "versions_of", slowly)

    async def go(seed: int) -> None:
        rng = random.Random(seed)
        table = await HUB.call(lambda: create(make_storage(frames=96), described()))
        await HUB.call(lambda: work(table, rng, 12, 0))

        def summarize() -> None:
            for index in table.indexes:
                for number in range(-(-table.file.fresh // index.store.pages_per_range)):
                    index.desummarize(number * index.store.pages_per_range)
                index.summarize(HUB.pulse)

        def write(number: int) -> None:
            storage = table.storage
            for step in range(30):
                txn = storage.txns.begin()
                table.insert(txn, row(rng, number + step))
                HUB.yield_turn()
                if rng.random() < 0.3:
                    storage.txns.abort(txn)
                else:
                    storage.txns.commit(txn)

        results = await spawn(summarize, lambda: write(90_000), lambda: write(95_000))
        assert results == [None, None, None], results
        assert not any(index.file.unfinished for index in table.indexes)
        await HUB.call(lambda: check(table, rng))
        await HUB.call(lambda: check(table, rng))

    async def bound(seed: int) -> None:
        HUB.bind(asyncio.get_running_loop())
        await go(seed)

    for seed in range(4):
        asyncio.run(bound(seed))


def test_a_row_that_comes_after_its_page_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is like no other: only its own entry makes the summary hold it."""
    read, rng = brin_index.versions_of, random.Random(8)

    def body() -> None:
        table = create(make_storage(), described())
        work(table, rng, 10, 0)
        storage = table.storage
        entered: list[tuple[int, int]] = []

        def entering(*args: Any) -> Any:
            rows = read(*args)
            txn, number = storage.txns.begin(), len(entered) + 1
            box = Box(Point(-100.0 * number, -9.0), Point(-100.0 * number - 1, -10.0))
            entered.append((number, table.insert(txn, (-number, 50_000 + 100 * number, box, None)) >> 16))
            storage.txns.commit(txn)
            return rows

        with monkeypatch.context() as patched:
            patched.setattr(brin_index, "versions_of", entering)
            for index in table.indexes:
                size, last = index.store.pages_per_range, table.file.fresh - 1
                index.desummarize(last)
                assert index.summarize(HUB.pulse, last) == 1
                assert any(block // size == last // size for _, block in entered)
        for number, block in entered:
            value = 50_000 + 100 * number
            assert block in pages(table, 0, [ScanKey(0, EQUAL, -number, kind=oids.INT4)])
            assert block in pages(table, 1, [ScanKey(0, EQUAL, value, kind=oids.INT4)])
            assert block in pages(table, 2, [ScanKey(0, EQUAL, value, kind=oids.INT4)])
            area = Box(Point(-100.0 * number - 0.2, -9.5), Point(-100.0 * number - 0.8, -9.8))
            assert block in pages(table, 3, [ScanKey(0, OVERLAPS, area, kind=BOX)])

    run_greenlets(body)


def test_summaries_of_many_ranges_have_maps_and_pages_of_their_own() -> None:
    def body() -> None:
        storage = make_storage()
        table = create(storage, described(INDEXES[:1]))
        store = table.indexes[0].store
        data = {number: bytes((number % 251,)) * (number % 90 + 1) for number in (*range(0, 5000, 7), 2040 * 1024 + 3)}
        for number, each in data.items():
            if number:
                assert store.change(number, lambda _, each=each: each)
        for number in list(data)[1::2]:
            # They grow out of their pages.
            data[number] += b"x" * 200
            assert store.change(number, lambda _, each=data[number]: each)
        for number in list(data)[2::5]:
            assert store.remove(number)
            assert not store.remove(number)
            del data[number]
        for number, each in data.items():
            if number:
                assert store.find(number) == each
        assert store.find(1) is None

    run_greenlets(body)


def test_many_values_keep_the_widest_gaps() -> None:
    order = Order(REGISTRY.types[oids.INT4])
    multi = MinmaxMulti(order, 8)
    part = multi.packed(multi.extended(None, [1, 2, 3, 1000, 1001, 5000, 5001, 9000, 9003, 9001]))
    assert part == tuple(
        (order.key(low), order.key(high)) for low, high in ((1, 3), (1000, 1001), (5000, 5001), (9000, 9003))
    )
    test = multi.test(EQUAL, 4000, oids.INT4)
    assert not test(part)
    assert multi.test(EQUAL, 5000, oids.INT8)(part)
    assert multi.decode(multi.encode(part)) == part
    assert multi.extended(part, [9002, 2]) is part


def test_dates_are_compared_with_moments_of_any_time_zone() -> None:
    minmax = brin_class(10136, REGISTRY.types[oids.DATE], (), 1)
    part = minmax.extended(None, [100, 200])
    day = 86_400_000_000
    for kind in (oids.TIMESTAMP, oids.TIMESTAMPTZ):
        assert minmax.test(EQUAL, 150 * day, kind)(part)
        assert minmax.test(LESS, 100 * day + day // 2, kind)(part)
        assert not minmax.test(LESS, 97 * day, kind)(part)
        assert not minmax.test(GREATER, 203 * day, kind)(part)
        assert minmax.test(LESS, 2**63 - 1, kind)(part)
    ends = minmax.extended(None, [2**31 - 1])
    assert minmax.test(EQUAL, 2**63 - 1, oids.TIMESTAMP)(ends)
    assert not minmax.test(LESS, 5 * day, oids.TIMESTAMP)(ends)


def test_a_filter_has_the_size_that_its_options_say() -> None:
    small = Bloom(REGISTRY.types[oids.INT4], 16, 0.25, 1)
    part = small.extended(None, [1, 2, 3])
    assert len(part) == 6
    assert all(small.test(EQUAL, value, oids.INT4)(part) for value in (1, 2, 3))
    wide = Bloom(REGISTRY.types[oids.INT4], -0.1, 0.01, 128)
    part = wide.extended(None, list(range(3000)))
    assert len(part) == 4462
    assert sum(wide.test(EQUAL, value, oids.INT4)(part) for value in range(10_000, 12_000)) < 40


def test_bitmaps_of_pages_and_rows() -> None:
    rng = random.Random(3)

    def rows_of(tids: set[int]) -> set[int]:
        """As if each page had three rows."""
        return {tid for tid in tids if tid & 0xFFFF} | {
            tid | slot for tid in tids if not tid & 0xFFFF for slot in (1, 2, 3)
        }

    for _ in range(200):
        one, other = (
            {rng.randrange(6) << 16 | rng.choice([0, 1, 2, 3]) for _ in range(rng.randrange(8))} for _ in range(2)
        )
        arrays = [np.array(sorted(each), dtype=np.int64) for each in (one, other)]
        both = intersected(*arrays)
        assert both.tolist() == sorted(set(both.tolist()))
        assert rows_of(set(both.tolist())) == rows_of(one) & rows_of(other)
        parts = list(parts_of(arrays[0]))
        assert rows_of({tid for _, part in parts for tid in part.tolist()}) == rows_of(one)
        blocks = [tid >> 16 for _, part in parts for tid in part.tolist()]
        assert blocks == sorted(blocks)
        assert all((not tid & 0xFFFF) == lossy for lossy, part in parts for tid in part.tolist())
        pages_ = [tid for lossy, part in parts if lossy for tid in part.tolist()]
        assert len(pages_) == len(set(pages_))
    assert list(runs([1, 2, 3, 7, 9, 10])) == [(1, 4), (7, 8), (9, 11)]
    assert list(runs([])) == []
