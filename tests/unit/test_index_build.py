"""Building a B-tree or a GIN index: in bounded memory, level by level, others run meanwhile."""

from __future__ import annotations

import gc
import random
import tracemalloc
from typing import Any

import pytest
import test_index_trees
from support_access import INT4, TEXT, FakeSession, create, describe, make_storage

from aurora.errors import QueryCanceled, UniqueViolation
from compute_node.access.index_access import ScanKey
from compute_node.access.methods import build_index
from compute_node.hub import HUB
from compute_node.work.account import INSTANCE
from compute_node.work.spill import TEMP_STATISTICS


class Session(FakeSession):
    """A session with little memory; ``checks_left``: then a cancel."""

    def __init__(self, memory_kb: int, checks_left: int = -1) -> None:
        super().__init__(1)
        self.settings: dict[str, Any] = {
            "maintenance_work_mem": memory_kb, "temp_file_limit": -1, "log_temp_files": -1,
        }  # fmt: skip
        self.checks_left = checks_left

    def check_interrupts(self) -> None:
        self.checks_left -= 1
        if not self.checks_left:
            raise QueryCanceled("canceled")


ROWS = 30_000


@pytest.fixture
def unused() -> int:
    """What other tests of this process have left in use."""
    gc.collect()
    return INSTANCE.used_bytes


def filled(repeat: bool = False) -> tuple[Any, Any, list[tuple[int, str]]]:
    storage = make_storage(frames=2048, verify=False)
    table = create(storage, describe(1000, [INT4, TEXT]))
    chance = random.Random(4)
    numbers = list(range(ROWS))
    chance.shuffle(numbers)
    if repeat:
        numbers[-1] = numbers[0]
    rows = [(number, f"row {number % 1000}" + "x" * (number % 90)) for number in numbers]
    txn = storage.txns.begin()
    table.insert_many(txn, rows)
    storage.txns.commit(txn)
    return storage, table, rows


@pytest.mark.parametrize("memory_kb", [64, 1 << 20])
def test_the_tree_has_every_row_in_order(memory_kb: int, unused: int, monkeypatch: pytest.MonkeyPatch) -> None:
    storage, table, rows = filled()
    pulses = 0

    def pulse() -> None:
        nonlocal pulses
        pulses += 1

    monkeypatch.setattr(HUB, "pulse", pulse)
    desc = describe(1000, [INT4, TEXT], [((2, 1), False), ((1,), True)])
    before = TEMP_STATISTICS.files
    txn = storage.txns.begin(session=Session(memory_kb))
    for index in desc.indexes:
        build_index(txn, table, index)
    storage.txns.commit(txn)
    assert (TEMP_STATISTICS.files > before) is (memory_kb == 64)
    assert pulses > ROWS / 2048
    assert INSTANCE.used_bytes == unused
    indexed = storage.table(desc)
    txn = storage.txns.begin()
    snapshot = storage.txns.snapshot(txn)
    found = [row for batch in indexed.indexes[0].scan(snapshot, [], False, (2, 1), False) for row in batch]
    assert found == sorted((text, number) for number, text in rows)
    for number in range(0, ROWS, 997):
        assert len(indexed.indexes[1].lookup(snapshot, (number,), (2,), False)) == 1
    keys = [ScanKey(0, 4, 29_990)]
    assert sum(len(batch) for batch in indexed.indexes[1].scan(snapshot, keys, False, (1,), False)) == 10


@pytest.mark.parametrize("checks_left", [1, 10, 25])
def test_a_canceled_build_leaves_nothing(checks_left: int, unused: int) -> None:
    storage, table, _ = filled()
    txn = storage.txns.begin(session=Session(64, checks_left))
    with pytest.raises(QueryCanceled):
        build_index(txn, table, describe(1000, [INT4, TEXT], [((2,), False)]).indexes[0])
    storage.txns.abort(txn)
    assert INSTANCE.used_bytes == unused


def test_a_repeated_key_is_found_across_files(unused: int) -> None:
    storage, table, _ = filled(repeat=True)
    txn = storage.txns.begin(session=Session(64))
    with pytest.raises(UniqueViolation):
        build_index(txn, table, describe(1000, [INT4, TEXT], [((1,), True)]).indexes[0])
    storage.txns.abort(txn)
    assert INSTANCE.used_bytes == unused


def test_a_gin_build_stays_within_its_memory(unused: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after it has moved rows to files; what it counts is about what it takes."""
    desc = test_index_trees.described(())
    storage = test_index_trees.make_storage(frames=4096)
    storage.mtr.verify = False
    table = create(storage, desc)
    rng = random.Random(6)
    txn = storage.txns.begin()
    table.insert_many(txn, [(n, [rng.randrange(3000) for _ in range(6)], None) for n in range(40_000)])
    storage.txns.commit(txn)
    peak, charge = 0, INSTANCE.charge

    def noted(count: int) -> None:
        nonlocal peak
        charge(count)
        peak = max(peak, INSTANCE.used_bytes)

    monkeypatch.setattr(INSTANCE, "charge", noted)
    before = TEMP_STATISTICS.files
    limit_kb = 1024
    txn = storage.txns.begin(session=Session(limit_kb))
    tracemalloc.start()
    build_index(txn, table, test_index_trees.GIN)
    _, taken = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    storage.txns.commit(txn)
    assert TEMP_STATISTICS.files > before + 3
    assert peak - unused < 2 * limit_kb * 1024
    assert taken < 6 * limit_kb * 1024
    assert INSTANCE.used_bytes == unused
