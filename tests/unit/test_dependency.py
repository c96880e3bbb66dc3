"""What a session's output depends on, and which of it must be waited for (wall 5)."""

from __future__ import annotations

from compute_node.txn.dependency import Dependency
from compute_node.txn.transaction import Txn


def test_the_gate_is_the_highest_that_was_seen() -> None:
    dependency = Dependency()
    assert dependency.gate_lsn == 0
    dependency.on(30)
    dependency.on(20)
    assert (dependency.lsn, dependency.gate_lsn) == (30, 30)
    dependency.committed(40, dependency.gate_lsn, waits=True)
    assert dependency.gate_lsn == 40


def test_a_commit_that_does_not_wait_for_itself_waits_for_what_came_before() -> None:
    dependency = Dependency()
    dependency.on(30)
    dependency.committed(40, dependency.gate_lsn, waits=False)
    assert (dependency.lsn, dependency.gate_lsn) == (40, 30)
    # Neither does a second one wait for the first.
    dependency.committed(50, dependency.gate_lsn, waits=False)
    assert (dependency.lsn, dependency.gate_lsn) == (50, 30)
    # Whatever is seen after it holds the output again, the own commit below it included.
    dependency.on(60)
    assert dependency.gate_lsn == 60
    dependency.committed(70, dependency.gate_lsn, waits=False)
    assert dependency.gate_lsn == 60


def test_a_transaction_shares_its_sessions() -> None:
    class Session:
        dependency = Dependency()

    txn = Txn("read committed", False, False, Session())
    txn.depend(12)
    assert Session.dependency.lsn == 12
    alone = Txn("read committed", False, False, None)
    alone.depend(13)
    assert (alone.dependency.lsn, Session.dependency.lsn) == (13, 12)
