"""A relation whose extents belonged to another before: nothing of that owner shows, also in blocks not yet used."""

from __future__ import annotations

from typing import Any

from compute_node.access.memory_volume import MemoryVolume
from tests.unit.support_access import INT4, create, describe, make_storage, rows_of, run_greenlets

ROWS = 6300


def _fill(storage: Any, table: Any, start: int) -> None:
    txn = storage.txns.begin()
    table.insert_many(txn, [(start + n, n) for n in range(ROWS)])
    storage.txns.commit(txn)


def _drop(storage: Any, table: Any) -> None:
    txn = storage.txns.begin()
    storage.drop_storage(txn, table.relfile)
    storage.txns.commit(txn)


def test_recycled_blocks_show_nothing_of_their_earlier_owner() -> None:
    def scenario() -> None:
        volume = MemoryVolume()
        storage = make_storage(volume, frames=2048, verify=False)
        first = create(storage, describe(100, [INT4, INT4]))
        _fill(storage, first, 0)
        _drop(storage, first)
        second = create(storage, describe(200, [INT4, INT4]))
        _fill(storage, second, 1_000_000)
        expected = [(1_000_000 + n, n) for n in range(ROWS)]
        assert second.file.map.blocks > second.file.fresh, "the case needs blocks that are reserved and not used"
        assert rows_of(second) == expected
        storage.vacuum(second)
        _fill(storage, second, 2_000_000)
        expected += [(2_000_000 + n, n) for n in range(ROWS)]
        assert rows_of(second) == expected
        # After a restart the reserved blocks count as given out; vacuum finds them empty, and they fill.
        volume.advance()
        reopened = make_storage(volume, frames=2048, verify=False)
        table = reopened.table(describe(200, [INT4, INT4]))
        assert rows_of(table) == expected
        reopened.vacuum(table)
        _fill(reopened, table, 3_000_000)
        for n in range(100):
            txn = reopened.txns.begin()
            table.insert(txn, (4_000_000 + n, n))
            reopened.txns.commit(txn)
        expected += [(3_000_000 + n, n) for n in range(ROWS)] + [(4_000_000 + n, n) for n in range(100)]
        assert rows_of(table) == expected

    run_greenlets(scenario)
