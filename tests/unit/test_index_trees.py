"""GIN and GiST against a scan of the table: after random work and vacuums, and when the log ends after any
mini-transaction."""

from __future__ import annotations

import random
from itertools import groupby
from typing import Any

import numpy as np
import pytest

from aurora.kernels import arena as arena_kernel
from aurora.kernels import redo
from compute_node.access.dead_rows import DeadRows
from compute_node.access.gin import entries
from compute_node.access.gin.entries import compacted, entries_of, gathered, item_key, without
from compute_node.access.gist.pages import ROOT
from compute_node.access.index_access import ScanKey
from compute_node.access.memory_volume import MemoryVolume
from compute_node.access.methods import build_index
from compute_node.access.storage import Storage
from compute_node.access.vacuum import vacuum
from compute_node.relations.descriptors import ColumnDesc, IndexDesc, RelationDesc
from compute_node.types.geometric.shapes import Box, Point
from compute_node.types.registry import REGISTRY
from tests.unit.support_access import create, latest, run_greenlets
from tests.unit.test_index_hash import cut_off

INT4, INT4_ARRAY, BOX = 23, 1007, 603
GIN = IndexDesc(
    2001, 2001, "g", (2,), False, False, key_types=(INT4_ARRAY,), operator_classes=(10064,), method="gin",
    codes=(10064,), class_options=((),),
)  # fmt: skip
GIST = IndexDesc(
    2002, 2002, "s", (3,), False, False, key_types=(BOX,), operator_classes=(10060,), method="gist", codes=(10060,),
    class_options=((),),
)  # fmt: skip
OVERLAPS, CONTAINS = 1, 2
"""of arrays"""
BOX_OVERLAPS = 3
COLUMNS = (1, 2, 3)


def described(indexes: tuple[IndexDesc, ...] = (GIN, GIST)) -> RelationDesc:
    kinds = (INT4, INT4_ARRAY, BOX)
    columns = tuple(ColumnDesc(at + 1, "abc"[at], kind, -1, False) for at, kind in enumerate(kinds))
    return RelationDesc(2000, 2000, "t", "public", 2200, "r", columns, indexes, database=0)


def make_storage(volume: Any = None, frames: int = 512) -> Storage:
    storage = Storage(arena_kernel.Arena(frames), volume or MemoryVolume(), REGISTRY.types.__getitem__)
    storage.mtr.verify = True
    return storage


def row(rng: random.Random, number: int) -> tuple[Any, ...]:
    array = rng.choice([None, [], [None, 1], [rng.randrange(40) for _ in range(rng.randrange(1, 6))]])
    x, y = rng.randrange(100), rng.randrange(100)
    box = (
        None if rng.random() < 0.1 else Box(Point(float(x + rng.randrange(4)), float(y + 2)), Point(float(x), float(y)))
    )
    return number, array, box


def by_index(table: Any, number: int, keys: list[ScanKey]) -> set[Any]:
    snapshot = latest(table.storage)
    return {found[0] for batch in table.indexes[number].scan(snapshot, keys, False, (1,), False) for found in batch}


def check(table: Any, rng: random.Random) -> None:
    """What the indexes give holds what a scan finds, and, of these classes, nothing else."""
    rows = [found for batch in table.scan(latest(table.storage), COLUMNS, False) for found in batch]
    for item in rng.sample(range(40), 3):
        wanted = {found[0] for found in rows if found[1] is not None and item in found[1]}
        assert by_index(table, 0, [ScanKey(0, OVERLAPS, [item])]) == wanted
        both = {found[0] for found in rows if found[1] is not None and {item, 7} <= set(found[1])}
        assert both <= by_index(table, 0, [ScanKey(0, CONTAINS, [item, 7])]) <= wanted
    every = {found[0] for found in rows if found[1] is not None}
    assert by_index(table, 0, [ScanKey(0, CONTAINS, [])]) == every
    x, y = float(rng.randrange(90)), float(rng.randrange(90))
    area = Box(Point(x + 9.5, y + 9.5), Point(x + 0.5, y + 0.5))
    wanted = {
        number
        for number, _, box in rows
        if box is not None
        and box.low.x <= area.high.x
        and box.high.x >= area.low.x
        and box.low.y <= area.high.y
        and box.high.y >= area.low.y
    }
    assert by_index(table, 1, [ScanKey(0, BOX_OVERLAPS, area)]) == wanted


def work(table: Any, rng: random.Random, steps: int, commits: list[Any]) -> None:
    storage = table.storage
    for step in range(steps):
        txn = storage.txns.begin()
        choice = rng.random()
        known = [found[-1] for batch in table.scan(latest(storage), (1,), True) for found in batch]
        if choice < 0.6 or not known:
            table.insert_many(txn, [row(rng, 1000 * step + n) for n in range(rng.choice([1, 3, 60]))])
        else:
            snapshot = storage.txns.snapshot(txn)
            for tid in rng.sample(known, min(len(known), 8)):
                if choice < 0.8:
                    new = row(rng, 0)[1:]
                    table.update_columns(txn, snapshot, tid, (2, 3), lambda _, new=new: new, (1,))
                else:
                    table.delete(txn, snapshot, tid, lambda _: True, (1,))
        if rng.random() < 0.15:
            storage.txns.abort(txn)
        else:
            commits.append(storage.txns.commit(txn))


@pytest.mark.parametrize("seed", range(3))
def test_random_work(seed: int) -> None:
    rng = random.Random(seed)

    def body() -> None:
        storage = make_storage(frames=96)
        table = create(storage, described())
        for _ in range(6):
            work(table, rng, 25, [])
            check(table, rng)
            vacuum(table)
            check(table, rng)
        assert not table.indexes[1].tree.node(ROOT).is_leaf

    run_greenlets(body)


def test_rare_items_are_looked_for_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """An item of many rows is not read where another leaves few."""

    def body() -> None:
        table = create(make_storage(frames=1024), described((GIN,)))
        txn = table.storage.txns.begin()
        # Rows of one item far apart, so that it has several leaves.
        table.insert_many(txn, [(n, [1, 2, 1000 + n // 3] if n % 2 else [-n], None) for n in range(30_000)])
        table.storage.txns.commit(txn)
        writer = table.indexes[0].writer
        page, read = writer.page, []
        monkeypatch.setattr(writer, "page", lambda block: read.append(block) or page(block))
        many = by_index(table, 0, [ScanKey(0, CONTAINS, [1, 2])])
        assert len(many) == 15_000
        whole, read[:] = len(read), []
        assert by_index(table, 0, [ScanKey(0, CONTAINS, [1, 2, 1500])]) == {1501}
        assert len(read) <= 3 < whole

    run_greenlets(body)


def test_a_build_finds_what_inserts_find() -> None:
    rng = random.Random(5)

    def body() -> None:
        storage = make_storage()
        table = create(storage, described(()))
        txn = storage.txns.begin()
        table.insert_many(txn, [row(rng, n) for n in range(3000)])
        for index in (GIN, GIST):
            build_index(txn, table, index)
        storage.txns.commit(txn)
        table = storage.table(described())
        for _ in range(5):
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
        work(table, rng, 30, [])
        runs = volume.log.take()
        ends = _ends(runs, volume.vdl)
        for point in ends[:: max(1, len(ends) // 12)]:
            reopened = make_storage(cut_off(volume, runs, point))
            again = reopened.table(described())
            check(again, rng)
            work(again, rng, 3, [])
            check(again, rng)

    run_greenlets(body)


def _ends(runs: list[Any], start: int) -> list[int]:
    return sorted(
        at for run in runs for at, _, _, _, flags, _, _ in redo.scan(run[5], run[1]) if flags & 1 and at > start
    )


def test_entries_of_one_item_are_packed() -> None:
    rng = random.Random(1)
    tids = np.array(sorted({rng.randrange(5000) << 16 | rng.randrange(1, 200) for _ in range(3000)}), dtype=np.int64)
    key = item_key(3, b"a\0b")
    packed = list(entries_of(key, tids))
    assert gathered(packed).tolist() == tids.tolist()
    assert sum(map(len, packed)) < 4 * len(tids)
    single = sorted(entry for tid in tids for entry in entries_of(key, np.array([tid], dtype=np.int64)))
    assert compacted(single) == packed
    dead = tids[::3].tolist()
    known = DeadRows()
    for block, those in groupby(dead, key=lambda tid: tid >> 16):
        held = bytearray(32)
        for tid in those:
            held[(tid & 0xFFFF) >> 3] |= 1 << (tid & 7)
        known.add(block, bytes(held), 1)
    assert list(known) == dead
    for given in (packed, single):
        kept, removed = without(given, known.has)
        assert removed == len(dead)
        assert gathered(kept).tolist() == sorted(set(tids.tolist()) - set(dead))
    assert entries.key_bytes(packed[0]) == len(key)
