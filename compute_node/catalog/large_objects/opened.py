"""A transaction's table of descriptors, and what its statement began with."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compute_node.catalog.functions.call import Call
    from compute_node.catalog.large_objects.descriptors import Descriptor
    from compute_node.txn.transaction import Txn


class Opened:
    """Descriptors by number. ``begun``: (statement, command) before its first change of a large object."""

    def __init__(self) -> None:
        self.begun: tuple[int, int] = (-1, 0)
        self._table: dict[int, Descriptor] = {}
        self._free: list[int] = []
        """a heap of the numbers below the greatest one ever given that nobody has"""

    def add(self, descriptor: Descriptor) -> int:
        """Its number: the least that is free."""
        number = heappop(self._free) if self._free else len(self._table)
        self._table[number] = descriptor
        return number

    def get(self, number: int) -> Descriptor | None:
        """The one of that number."""
        return self._table.get(number)

    def close(self, number: int) -> None:
        """It ends, and its number is free."""
        self._table.pop(number).close()
        heappush(self._free, number)

    def close_of(self, oid: int) -> None:
        """Those of a large object that is removed."""
        for number in [number for number, each in self._table.items() if each.oid == oid]:
            self.close(number)


def opened(txn: Txn) -> Opened:
    """The transaction's."""
    ties = txn.tie()
    if not isinstance(ties.large_objects, Opened):
        ties.large_objects = Opened()
    return ties.large_objects


def changes(call: Call) -> None:
    """A large object is about to be changed: who opens one for reading in this statement does not see it."""
    table = opened(call.txn)
    if table.begun[0] != call.session.statements_in_txn:
        table.begun = call.session.statements_in_txn, call.txn.cid


def command(call: Call) -> int:
    """The command as of which the statement reads."""
    ties = call.txn.ties
    table = None if ties is None else ties.large_objects
    if isinstance(table, Opened) and table.begun[0] == call.session.statements_in_txn:
        return table.begun[1]
    return int(call.txn.cid)
