"""A transaction's table of descriptors, and what its statement began with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compute_node.catalog.functions.call import Call
    from compute_node.catalog.large_objects.descriptors import Descriptor


class Opened(dict[int, "Descriptor"]):
    """Descriptors by number. ``begun``: (statement, command) before its first change of a large object."""

    begun: tuple[int, int] = (-1, 0)


def opened(call: Call) -> Opened:
    """The transaction's."""
    ties = call.txn.tie()
    if not isinstance(ties.large_objects, Opened):
        ties.large_objects = Opened()
    return ties.large_objects


def changes(call: Call) -> None:
    """A large object is about to be changed: who opens one for reading in this statement does not see it."""
    table = opened(call)
    if table.begun[0] != call.session.statements_in_txn:
        table.begun = call.session.statements_in_txn, call.txn.cid


def command(call: Call) -> int:
    """The command as of which the statement reads."""
    ties = call.txn.ties
    table = None if ties is None else ties.large_objects
    if isinstance(table, Opened) and table.begun[0] == call.session.statements_in_txn:
        return table.begun[1]
    return int(call.txn.cid)
