"""Who reads at an LSN holds the row horizon: catalog readers, reader instances, and what is tied to a transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aurora.errors import InvariantViolation
from compute_node.access.vacuum import vacuum
from compute_node.catalog.rows import CatalogReader
from compute_node.relations.schema import CATALOGS
from compute_node.txn.locks import ROW_EXCLUSIVE, SHARE_UPDATE_EXCLUSIVE
from tests.unit.support_access import INT4, create, describe, make_storage, run_greenlets


def test_a_catalog_reader_that_waits_for_a_page_still_finds_what_was_there() -> None:
    storage = make_storage()
    desc = describe(9000, [INT4, INT4])
    table = create(storage, desc)
    txn = storage.txns.begin()
    tid = table.insert(txn, (1, 0))
    storage.txns.commit(txn)
    seen: list[Any] = []

    def updated_and_pruned() -> None:
        """What others do while the reader waits."""
        at = tid
        for number in (1, 2):
            changer = storage.txns.begin()
            at = table.update(changer, storage.txns.snapshot(changer), at, (1, number), (2,), lambda row: row)
            storage.txns.commit(changer)
        vacuum(table)

    with storage.txns.reading("test") as snapshot:
        updated_and_pruned()
        seen += [row for batch in table.scan(snapshot, (1, 2), False) for row in batch]
    assert seen == [(1, 0)]
    before = storage.txns.row_horizon()
    vacuum(table)
    assert before == storage.volume.vdl and not storage.txns.holds.current


def test_catalog_find_holds_its_snapshot_while_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = make_storage()
    horizons: list[int] = []

    class Rows:
        desc = CATALOGS["pg_class"].desc

        def index(self, desc: Any) -> Rows:
            return self

        def scan(self, snapshot: Any, *_: Any) -> Iterator[list[Any]]:
            txn = storage.txns.begin()
            storage.txns.assign(txn)
            storage.txns.commit(txn)
            horizons.append(storage.txns.row_horizon())
            assert storage.txns.row_horizon() <= snapshot.lsn < storage.volume.vdl
            yield []

    monkeypatch.setattr(storage, "table", lambda desc: Rows())
    assert CatalogReader(storage).all("pg_class") == []
    assert horizons and not storage.txns.holds.current


def test_a_reader_instance_moves_its_hold_forward_only() -> None:
    txns = make_storage().txns
    hold = txns.hold(5, "reader r1")
    assert txns.row_horizon() == 5
    hold.move(7)
    assert txns.row_horizon() == 7
    with pytest.raises(InvariantViolation, match="reader r1"):
        hold.move(6)
    hold.release()
    hold.release()
    assert txns.row_horizon() == txns._volume.vdl


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
def test_what_is_tied_to_a_transaction_keeps_it_from_being_retired(isolation: str) -> None:
    storage = make_storage()
    table = create(storage, describe(9000, [INT4]))
    txns, locks = storage.txns, storage.locks
    writer = txns.begin()
    tid = table.insert(writer, (1,))
    txns.commit(writer)
    attaching: list[Callable[[Any], Any]] = [
        lambda txn: txns.assign(txn),
        lambda txn: txns.savepoint(txn, "s"),
        lambda txn: txns.hold(1, "portal", txn),
        lambda txn: txn.on_commit(lambda lsn: None),
        lambda txn: locks.lock_relation(txn, 9000, ROW_EXCLUSIVE),
        lambda txn: locks.lock_relation(txn, 9000, SHARE_UPDATE_EXCLUSIVE),
        lambda txn: table.lock(txn, txns.snapshot(txn), tid, "key share"),
        lambda txn: setattr(txn, "read_only", True),
    ]

    def main() -> None:
        for attach in attaching:
            txn = txns.begin(isolation)
            attach(txn)
            assert not txns.retire(txn)
            txns.abort(txn)
            assert not txns.holds.current
        plain = txns.begin(isolation)
        txns.snapshot(plain)
        assert txns.retire(plain) == (isolation == "read committed")

    run_greenlets(main)
