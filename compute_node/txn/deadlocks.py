"""Deadlocks: circles of the waits-for graph, looked for whenever a transaction begins to wait.

A circle that holds together only by the order of a relation's queue is undone by another order (PostgreSQL calls it a
soft deadlock). Of any other one a transaction fails with 40P01: the one that begins to wait, if it is on the circle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from aurora.errors import DeadlockDetected, InvariantViolation, SqlError
from compute_node.txn.transaction import Txn

if TYPE_CHECKING:
    from compute_node.txn.locks import Waiting


class Waits(Protocol):
    """What the lock manager knows of those who wait."""

    deadlocks: int

    def blockers(self, txn: Txn) -> list[Txn]:
        """Whom ``txn`` waits for."""

    def put_ahead(self, waits: Txn, ahead: Txn) -> Callable[[bool], None] | None:
        """Where ``waits`` only waits because ``ahead`` came first, put it before that one. What is returned makes it so
        (True) or takes it back (False); None when it waits for a lock that ``ahead`` has."""


def check(locks: Waits, txn: Txn) -> None:
    """``txn`` begins to wait: 40P01 when it waits for itself and no other order of the queues helps. There may be
    another circle too, closed just now: ``txn`` has taken those who waited behind it along to the queue that it waits
    in. The last on that circle fails."""
    while (circle := _circle(locks, txn)) is not None:
        if _reordered(locks, txn, circle):
            continue
        locks.deadlocks += 1
        if circle[0] is txn:
            raise _error(circle)
        _waiting(circle[-1]).waiter.fail(_error(circle))


def _circle(locks: Waits, txn: Txn) -> list[Txn] | None:
    """A circle that can be reached from ``txn``; depth first."""
    path: list[Txn] = [txn]
    seen: set[Txn] = {txn}
    stack: list[Iterator[Txn]] = [iter(locks.blockers(txn))]
    while stack:
        blocker = next(stack[-1], None)
        if blocker is None:
            stack.pop()
            path.pop()
        elif blocker in path:
            return path[path.index(blocker) :]
        elif blocker not in seen:
            seen.add(blocker)
            path.append(blocker)
            stack.append(iter(locks.blockers(blocker)))
    return None


def _reordered(locks: Waits, txn: Txn, circle: list[Txn]) -> bool:
    """Whether the circle is gone once one of it goes before the next; the farthest from ``txn`` is tried first."""
    for place in reversed(range(len(circle))):
        decide = locks.put_ahead(circle[place], circle[(place + 1) % len(circle)])
        if decide is not None:
            helps = _circle(locks, txn) is None
            decide(helps)
            if helps:
                return True
    return False


def _waiting(txn: Txn) -> Waiting:
    """What a transaction of a circle waits for."""
    if txn.waiting is None:
        raise InvariantViolation("a transaction of a circle waits for nothing")
    return txn.waiting


def _error(circle: list[Txn]) -> SqlError:
    lines = []
    for place, txn in enumerate(circle):
        blocker = circle[(place + 1) % len(circle)]
        waiting = _waiting(txn)
        lines.append(
            f"Process {txn.pid} waits for {waiting.what} on {waiting.object_text}; blocked by process {blocker.pid}."
        )
    return DeadlockDetected("deadlock detected", detail="\n".join(lines), hint="See server log for query details.")
