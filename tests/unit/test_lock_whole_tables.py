"""A transaction with very many rows FOR KEY SHARE holds all rows of the table."""

from __future__ import annotations

from typing import Any

import pytest

from compute_node.txn import locks
from compute_node.txn.locks import FOR_KEY_SHARE, FOR_NO_KEY_UPDATE, FOR_UPDATE, WHOLE, LockManager
from compute_node.txn.transaction import Level, Txn


class Manager:
    vdl = 100
    active: dict[Txn, None] = {}


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> LockManager:
    monkeypatch.setattr(locks, "KEY_SHARE_MAX", 2000)
    made: Any = Manager()
    return LockManager(made, max_row_locks=4000)


def _txn() -> Txn:
    return Txn("read committed", False, False, None)


def _hold(manager: LockManager, txn: Txn, relfile: int, count: int) -> None:
    for tid in range(1, count + 1):
        manager.hold_row(txn, relfile, [tid], FOR_KEY_SHARE)


def test_very_many_keys_are_all_of_them(manager: LockManager) -> None:
    one, other = _txn(), _txn()
    _hold(manager, one, 7, 100_000)
    assert len(manager.rows) < 4000
    assert manager.row_blockers(other, 7, 200_000, FOR_UPDATE) == [one]
    assert manager.row_blockers(other, 7, 200_000, FOR_NO_KEY_UPDATE) == []
    assert manager.row_blockers(other, 8, 200_000, FOR_UPDATE) == []
    assert manager.row_blockers(one, 7, 200_000, FOR_UPDATE) == []
    manager.hold_row(other, 7, [50_005], FOR_KEY_SHARE)
    assert manager.row_blockers(_txn(), 7, 50_005, FOR_UPDATE) == [other, one]


def test_few_of_another_table_are_not(manager: LockManager) -> None:
    one, other = _txn(), _txn()
    _hold(manager, one, 7, 50_000)
    _hold(manager, one, 8, 10)
    assert manager.row_blockers(other, 8, 10, FOR_UPDATE) == [one]
    assert manager.row_blockers(other, 8, 11, FOR_UPDATE) == []


def test_they_go_with_the_transaction(manager: LockManager) -> None:
    one = _txn()
    _hold(manager, one, 7, 50_000)
    manager.release_all(one, one.tie(), 0)
    assert not manager.rows and not manager.whole


def test_a_commit_that_is_not_durable_yet_is_known(manager: LockManager) -> None:
    one, other = _txn(), _txn()
    _hold(manager, one, 7, 50_000)
    manager.release_all(one, one.tie(), 150)
    assert manager.row_blockers(other, 7, 99_999, FOR_UPDATE) == []
    assert other.dependency.lsn == 150
    manager._manager.vdl = 200  # type: ignore[misc]
    manager.row_blockers(other, 7, 1, FOR_UPDATE)
    assert not manager.rows and not manager.whole


def test_a_rollback_to_a_savepoint_gives_them_back(manager: LockManager) -> None:
    one, other = _txn(), _txn()
    _hold(manager, one, 7, 10)
    one.levels.append(Level("s"))
    for tid in range(11, 50_000):
        manager.hold_row(one, 7, [tid], FOR_KEY_SHARE)
    assert (7, WHOLE) in manager.rows
    manager.release_rows_of_level(one, 1)
    assert manager.row_blockers(other, 7, 60_000, FOR_UPDATE) == []
    assert manager.row_blockers(other, 7, 10, FOR_UPDATE) == [one]
