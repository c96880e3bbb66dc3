"""Empty leaves leave a B-tree, in two mini-transactions, and their pages are used again."""

from __future__ import annotations

import random
from typing import Any

import pytest
from support_access import INT4, TEXT, create, describe, make_storage, rows_of

from aurora.kernels.python.btree import DELETED, INCOMPLETE_SPLIT, LEAF
from compute_node.access.btree import shrink
from compute_node.access.memory_volume import MemoryVolume
from compute_node.access.vacuum import vacuum as vacuum_table

DESC = describe(1000, [INT4, TEXT], [((1,), True), ((2,), False)])
PAD = 300


def vacuum(table: Any) -> None:
    """Vacuum, and what it logged is durable."""
    vacuum_table(table)
    table.storage.volume.advance()


def fill(table: Any, numbers: Any) -> None:
    txn = table.storage.txns.begin()
    for number in numbers:
        table.insert(txn, (number, f"{number:08}" + "x" * PAD))
    table.storage.txns.commit(txn)


def delete(table: Any, which: Any) -> None:
    storage = table.storage
    txn = storage.txns.begin()
    snapshot = storage.txns.snapshot(txn)
    for batch in list(table.scan(snapshot, (1,), True)):
        for number, tid in batch:
            if which(number):
                table.delete(txn, snapshot, tid, lambda row, at: True, ())
    storage.txns.commit(txn)


def pages(index: Any) -> dict[int, tuple[int, int, int, bytes, list[bytes]]]:
    """Every page of the tree that a downlink or a right link leads to."""
    found = {}
    start = index.writer.root()
    while start:
        block, following = start, 0
        while block:
            page = found[block] = index.writer.page(block)
            if page[1] and not following:
                following = int.from_bytes(page[4][0][-4:], "little")
            block = page[2]
        start = following
    return found


def check(table: Any, numbers: Any) -> None:
    """Heap and both indexes agree with the model, every leaf has its downlink, none is deleted."""
    storage = table.storage
    numbers = sorted(numbers)
    assert [row[0] for row in rows_of(table)] == numbers
    with storage.txns.reading("test") as snapshot:
        for index in table.indexes:
            for backward in (False, True):
                batches = index.scan(snapshot, [], backward, (1,), False)
                found = [row[0] for batch in batches for row in batch]
                assert found == (numbers[::-1] if backward else numbers)
            tree = pages(index)
            linked = {int.from_bytes(item[-4:], "little") for page in tree.values() if page[1] for item in page[4]}
            assert linked | {index.writer.root()} == set(tree)
            assert not any(page[0] & (DELETED | INCOMPLETE_SPLIT) for page in tree.values())


def leaves(index: Any) -> list[int]:
    """How many items each leaf has."""
    return [len(page[4]) for page in pages(index).values() if page[0] & LEAF]


@pytest.mark.parametrize("which", ["all", "front", "back", "middle", "alternate", "first leaf"])
def test_empty_leaves_go(which: str) -> None:
    storage = make_storage(frames=2000)
    table = create(storage, DESC)
    fill(table, range(3000))
    rules = {
        "all": lambda number: True,
        "front": lambda number: number < 2500,
        "back": lambda number: number >= 500,
        "middle": lambda number: 300 < number < 2700,
        "alternate": lambda number: number // 200 % 2,
        "first leaf": lambda number: number < 40,
    }
    rule = rules[which]
    before = len(leaves(table.indexes[1]))
    assert before > 100
    delete(table, rule)
    vacuum(table)
    left = [number for number in range(3000) if not rule(number)]
    check(table, left)
    sizes = leaves(table.indexes[1])
    assert len(sizes) <= before * len(left) // 3000 + 12
    assert sizes.count(0) <= (1 if not left else 0)
    if not left:
        assert len(pages(table.indexes[1])) == 1  # the root is a leaf again
    # Its pages are used again.
    before = [(index.file.fresh, len(index.file.free)) for index in table.indexes]
    fill(table, (number for number in range(3000) if rule(number)))
    check(table, range(3000))
    for index, (fresh, free) in zip(table.indexes, before, strict=True):
        assert index.file.fresh == fresh or not index.file.free
        assert len(pages(index)) + 1 >= index.file.fresh or len(index.file.free) < free


def test_a_queue_does_not_grow() -> None:
    storage = make_storage(frames=2000)
    table = create(storage, DESC)
    sizes = []
    for turn in range(12):
        fill(table, range(turn * 400, turn * 400 + 400))
        delete(table, lambda number, turn=turn: number < turn * 400 + 300)
        vacuum(table)
        sizes.append(sum(int(index.file.map.blocks) for index in table.indexes))
    check(table, range(11 * 400 + 300, 12 * 400))
    assert sizes[-1] <= sizes[1] + 4


def test_pages_wait_for_the_row_horizon_and_survive_a_restart() -> None:
    volume = MemoryVolume()
    storage = make_storage(volume, frames=2000)
    table = create(storage, DESC)
    fill(table, range(2000))
    hold = storage.txns.hold(storage.volume.vdl, "a reader instance")
    delete(table, lambda number: number < 1500)
    index = table.indexes[1]
    vacuum(table)
    assert len(index.file.free) == 0  # the rows are still there for it
    hold.release()
    vacuum(table)
    assert len(index.file.free) > 40
    hold = storage.txns.hold(1, "a reader instance")
    taken = index.writer._new_block()
    assert taken == index.file.fresh - 1  # a fresh one: somebody may be on the way to the others
    hold.release()
    volume.advance()
    storage = make_storage(volume, frames=2000)
    table = storage.table(DESC)
    fill(table, range(1500))
    check(table, range(2000))
    file = table.indexes[1].file
    assert file.free.loaded and not file.free
    assert len(pages(table.indexes[1])) + 4 >= file.fresh  # all of them are in the tree again


def test_a_crash_between_the_two_leaves_an_unfinished_split(monkeypatch: pytest.MonkeyPatch) -> None:
    class Crash(Exception):
        pass

    def crash(self: Any, left: int, right: int) -> int:
        raise Crash

    volume = MemoryVolume()
    table = create(make_storage(volume, frames=2000), DESC)
    fill(table, range(1000))
    delete(table, lambda number: 300 <= number < 600)
    with monkeypatch.context() as patched:
        patched.setattr(shrink.TreeShrinker, "_absorb", crash)
        with pytest.raises(Crash):
            vacuum(table)
    volume.advance()
    table = make_storage(volume, frames=2000).table(DESC)
    index = table.indexes[1] if any(page[0] & INCOMPLETE_SPLIT for page in pages(table.indexes[1]).values()) else None
    flagged = [each for each in table.indexes if any(p[0] & INCOMPLETE_SPLIT for p in pages(each).values())]
    assert flagged and (index is None or index in flagged)
    fill(table, range(300, 600))
    numbers = set(range(1000))
    assert [row[0] for row in rows_of(table)] == sorted(numbers)
    fill(table, range(1000, 2500))
    delete(table, lambda number: number % 3)
    vacuum(table)
    assert [row[0] for row in rows_of(table)] == [number for number in range(2500) if number % 3 == 0]


@pytest.mark.parametrize("seed", range(6))
def test_random_work_with_a_small_cache_and_restarts(seed: int) -> None:
    rng = random.Random(seed)
    volume = MemoryVolume()
    storage = make_storage(volume, frames=40)
    table = create(storage, DESC)
    model: set[int] = set()
    for _ in range(25):
        low = rng.randrange(1500)
        new = set(range(low, low + rng.randrange(1, 300))) - model
        fill(table, sorted(new, key=lambda _: rng.random()))
        model |= new
        low = rng.randrange(1500)
        gone = range(low, low + rng.randrange(700))
        delete(table, lambda number, gone=gone: number in gone)
        model -= set(gone)
        if rng.random() < 0.7:
            vacuum(table)
        if rng.random() < 0.2:
            volume.advance()
            storage = make_storage(volume, frames=40)
            table = storage.table(DESC)
    vacuum(table)
    check(table, model)
