"""Changes of rows that foreign keys have yet to look at: kept with their transaction from the change to the check.

```
WatchedTable ─ event ─► RowEvents.now ─ end of the statement ─► checks and actions (session/referential.py)
                                    └─ deferred ─► RowEvents.deferred ─ commit, SET CONSTRAINTS ─► the same
```

An event is kept by row addresses, not values, where one statement makes many: eight bytes a row. A rollback to a
savepoint takes back what was deferred since, and gives back what was checked since (``Txn.on_undo``).
Source: PostgreSQL manual, chapter 39.1, and SET CONSTRAINTS.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from aurora.datum import Row
from compute_node.relations.descriptors import ForeignKeyDesc, RelationDesc
from compute_node.txn.transaction import Level, Txn

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot


class NewReferences:
    """Rows of the referencing table that are new, or have another key: their key must be there."""

    __slots__ = ("key", "relation", "tids")

    def __init__(self, key: ForeignKeyDesc, relation: RelationDesc, tids: array[int]) -> None:
        self.key = key
        self.relation = relation
        self.tids = tids


class LostKey:
    """A row of the referenced table is gone, or has another key: ``old`` may be referenced still. ``new`` is None
    for a row that was deleted."""

    __slots__ = ("key", "new", "old", "relation")

    def __init__(self, key: ForeignKeyDesc, relation: RelationDesc, old: Row, new: Row | None) -> None:
        self.key = key
        self.relation = relation
        self.old = old
        self.new = new


class UniqueKey(NamedTuple):
    """A unique constraint that can be deferred, as SET CONSTRAINTS knows it."""

    oid: int
    index_oid: int
    deferred: bool
    deferrable: bool = True


class NewEntries:
    """Rows that were entered into the index of such a constraint: their keys must be theirs alone."""

    __slots__ = ("key", "relation", "tids")

    def __init__(self, key: UniqueKey, relation: RelationDesc, tids: array[int]) -> None:
        self.key = key
        self.relation = relation
        self.tids = tids


Event = NewReferences | LostKey | NewEntries


class RowEvents:
    """Those of one transaction. ``now``: to be looked at when the statement ends; ``deferred``: at the commit. SET
    CONSTRAINTS: ``deferred_all`` (None: nothing said) and ``deferred_of`` by constraint. ``crosscheck``: while actions
    of a REPEATABLE READ transaction run under a newer snapshot, the one that their rows must be seen by."""

    __slots__ = ("_marked", "crosscheck", "deferred", "deferred_all", "deferred_of", "firing", "now")

    def __init__(self) -> None:
        self.now: list[Event] = []
        self.deferred: list[Event] = []
        self.deferred_all: bool | None = None
        self.deferred_of: dict[int, bool] = {}
        self.firing = False
        self.crosscheck: Snapshot | None = None
        self._marked: Level | None = None

    def is_deferred(self, key: ForeignKeyDesc | UniqueKey) -> bool:
        """Whether the key's checks wait for the commit."""
        if not key.deferrable:
            return False
        found = self.deferred_of.get(key.oid, self.deferred_all)
        return key.deferred if found is None else found

    def defer(self, txn: Txn, event: Event) -> None:
        """Leave an event for the commit."""
        level = txn.levels[-1]
        if self._marked is not level:
            self._marked = level
            txn.on_undo(self._back_to(len(self.deferred)))
        self.deferred.append(event)

    def _back_to(self, count: int) -> Callable[[], None]:
        def undo() -> None:
            del self.deferred[count:]
            self._marked = None

        return undo

    def save(self, txn: Txn) -> None:
        """Before events are taken out of ``deferred`` or the modes change: a rollback to a savepoint puts them back."""
        kept = list(self.deferred), self.deferred_all, dict(self.deferred_of)

        def undo() -> None:
            self.deferred, self.deferred_all, self.deferred_of = kept
            self._marked = None

        txn.on_undo(undo)

    def forget_statement(self) -> None:
        """The statement that made the events of ``now`` has failed."""
        self.now.clear()

    def touches(self, relation: int) -> bool:
        """Whether an event is left that is about a row of that table."""
        return any(event.relation.oid == relation for event in (*self.now, *self.deferred))


def known_events(txn: Txn) -> RowEvents | None:
    """The transaction's, None where there have been none."""
    events = None if txn.ties is None else txn.ties.events
    return events if isinstance(events, RowEvents) else None


def events_of(txn: Txn) -> RowEvents:
    """The transaction's, made if there are none."""
    events = known_events(txn)
    if events is None:
        events = txn.tie().events = RowEvents()
    return events
