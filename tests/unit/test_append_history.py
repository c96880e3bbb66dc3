"""The checker of append histories finds what is wrong with histories that are, and nothing in serial ones."""

from __future__ import annotations

import random

from tests.append_history import ABORTED, COMMITTED, UNKNOWN, Transaction, anomalies, cycles


def _txn(number: int, *steps: tuple[int, int | None, tuple[int, ...] | None], outcome: str = COMMITTED) -> Transaction:
    return Transaction(number, list(steps), outcome)


def test_serial_histories_have_none() -> None:
    rng = random.Random(1)
    for _ in range(200):
        lists: dict[int, list[int]] = {key: [] for key in range(4)}
        history, value = [], 0
        for number in range(30):
            txn = Transaction(number)
            txn.outcome = rng.choice((COMMITTED, COMMITTED, ABORTED, UNKNOWN))
            mine = {key: list(values) for key, values in lists.items()}
            for _ in range(rng.randint(1, 4)):
                key = rng.randrange(4)
                if rng.random() < 0.5:
                    value += 1
                    mine[key].append(value)
                    txn.steps.append((key, value, None))
                else:
                    txn.steps.append((key, None, tuple(mine[key])))
            if txn.outcome == COMMITTED or (txn.outcome == UNKNOWN and rng.random() < 0.5):
                lists = mine
            history.append(txn)
        assert anomalies(history, lists) == []


def test_write_skew_is_a_cycle() -> None:
    history = [_txn(1, (1, None, ()), (2, 10, None)), _txn(2, (2, None, ()), (1, 20, None))]
    assert anomalies(history, {1: [20], 2: [10]}) == ["cycle of transactions [1, 2]"]


def test_the_read_only_transaction_that_sees_too_much() -> None:
    # Fekete, O'Neil and O'Neil 2004: 1 and 2 alone are serializable, with what 3 saw they are not.
    history = [
        _txn(1, (1, None, ()), (2, None, ()), (1, 10, None)),
        _txn(2, (2, 20, None)),
        _txn(3, (1, None, ()), (2, None, (20,))),
    ]
    lists = {1: [10], 2: [20]}
    assert anomalies(history[:2], lists) == []
    assert anomalies(history, lists) == ["cycle of transactions [1, 2, 3]"]


def test_lost_doubled_and_aborted_values() -> None:
    lost = [_txn(1, (1, 10, None)), _txn(2, (1, 20, None))]
    assert any("not all that it appended" in each for each in anomalies(lost, {1: [20]}))
    assert any("twice" in each for each in anomalies(lost, {1: [10, 20, 10]}))
    aborted = [_txn(1, (1, 10, None), outcome=ABORTED)]
    assert anomalies(aborted, {1: [10]}) == ["key 1 has 10 of an aborted transaction"]
    dirty = [_txn(1, (1, 10, None), outcome=ABORTED), _txn(2, (1, None, (10,)))]
    assert any("read [10] of key 1" in each for each in anomalies(dirty, {1: []}))
    half = [_txn(1, (1, 10, None), (2, 11, None), outcome=UNKNOWN)]
    assert any("was unknown, and not all" in each for each in anomalies(half, {1: [10], 2: []}))


def test_long_cycles_are_found_without_recursion() -> None:
    size = 5000
    assert cycles({at: [(at + 1) % size] for at in range(size)}) == [list(range(size))]
    assert cycles({at: [at + 1] for at in range(size)} | {size: []}) == []
