"""What statistics count: rows and scans by relation, ends of transactions and sessions by database.

Plain numbers on an object of the relation or database, added to where a page, a batch of rows or a row's change is
handled, and never on the way of a message. What a transaction changes is its own until it ends (``Level.changes``):
only then is it known which rows are live and which are dead. Nothing is kept over a restart, as nothing is in
PostgreSQL after a crash; and each instance counts for itself. Source: PostgreSQL manual, 28.2.

A change of one row, of which a short transaction has a few, costs an append (``LevelCounts.rows``); the commit adds the
list to ``Counts.pending`` at once, and whoever reads counters adds that to them first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

INSERTED, UPDATED, DELETED, HOT = range(4)
Changed = list[int]
"""rows inserted, updated, deleted, updated on their page without index entries (which TRUNCATE leaves as they are)"""
_NONE: Final = [0, 0, 0, 0]
ONE_INSERTED: Final = [1, 0, 0, 0]
ONE_UPDATED: Final = [0, 1, 0, 0]
ONE_DELETED: Final = [0, 0, 1, 0]
ONE_HOT: Final = [0, 1, 0, 1]


Changes = defaultdict["RelationCounts", Changed]
"""what one level of a transaction has changed, by relation"""


def no_changes() -> Changes:
    """Of a level that begins."""
    return defaultdict(_NONE.copy)


def add(mine: Changes, other: Changes) -> None:
    """What another level did is this one's."""
    for counts, changed in other.items():
        _add(mine[counts], changed)


def _add(sums: Changed, changed: Changed, times: int = 1) -> None:
    for at, count in enumerate(changed):
        sums[at] += count * times


class RowChange:
    """The change of one row of a relation, as it is noted: the same object for each such change."""

    __slots__ = ("changed", "counts")

    def __init__(self, counts: RelationCounts, changed: Changed) -> None:
        self.counts = counts
        self.changed = changed


Pending = list[RowChange]
"""changes of rows by transactions that have committed, yet to be added to the relations' counters"""
PENDING_MAX: Final = 4096
"""how many there are before they are added"""


def settle(pending: Pending) -> None:
    """Add them."""
    for row, times in Counter(pending).items():
        row.counts.ended([each * times for each in row.changed], True)
    pending.clear()


class Maintained(NamedTuple):
    """How often and when last (µs since 2000-01-01, 0: never) something was done to a relation."""

    times: int = 0
    last_us: int = 0

    def again(self, now_us: int) -> Maintained:
        """Once more."""
        return Maintained(self.times + 1, now_us)


NEVER: Final = Maintained()


class RelationCounts:
    """Of one table or index. ``live`` and ``dead`` are estimates, as the server had them when counting began or VACUUM
    or ANALYZE last looked, and what has changed since; ``dead`` may be below 0 while commits are pending. ``pending``:
    what else has to be added to them."""

    __slots__ = (
        "analyzed", "auto_analyzed", "auto_vacuumed", "changed", "dead", "deleted", "fetched", "found_one", "hot",
        "inserted", "inserted_since_vacuum", "live", "pending", "returned", "scans", "updated", "vacuumed",
    )  # fmt: skip

    def __init__(self, live: int = 0, dead: int = 0, pending: Pending | None = None) -> None:
        self.pending: Pending = [] if pending is None else pending
        self._begin()
        self.live, self.dead = live, dead

    def clear(self) -> None:
        """Everything begins at 0."""
        settle(self.pending)
        self._begin()

    def _begin(self) -> None:
        self.live = self.dead = 0
        self.vacuumed = self.auto_vacuumed = self.analyzed = self.auto_analyzed = NEVER
        self.scans = self.returned = self.fetched = 0
        """scans begun; rows or entries read by them; rows that index entries led to"""
        self.found_one = 0
        """scans by a key that found its one row, which ``gather`` has yet to add to those"""
        self.inserted = self.updated = self.deleted = self.hot = 0
        """also those of transactions that were rolled back"""
        self.changed = self.inserted_since_vacuum = 0

    def gather(self) -> RelationCounts:
        """Itself, with nothing yet to be added to its scans."""
        found, self.found_one = self.found_one, 0
        self.scans += found
        self.returned += found
        self.fetched += found
        return self

    def ended(self, changed: Changed, committed: bool) -> None:
        """A transaction, or what a savepoint undoes, has changed this much."""
        inserted, updated, deleted, hot = changed
        self.inserted += inserted
        self.updated += updated
        self.deleted += deleted
        self.hot += hot
        self.inserted_since_vacuum += inserted
        if committed:
            self.live += inserted - deleted
            self.dead = max(self.dead + updated + deleted, 0)
            self.changed += inserted + updated + deleted
        else:
            self.dead += inserted + updated

    def emptied(self) -> None:
        """TRUNCATE has given it new, empty storage."""
        self.live = self.dead = self.inserted_since_vacuum = 0

    def was_vacuumed(self, live: int, dead: int, automatic: bool, now_us: int) -> None:
        """VACUUM found these rows and left those dead ones."""
        settle(self.pending)
        self.live, self.dead, self.inserted_since_vacuum = live, dead, 0
        if automatic:
            self.auto_vacuumed = self.auto_vacuumed.again(now_us)
        else:
            self.vacuumed = self.vacuumed.again(now_us)

    def was_analyzed(self, live: int, automatic: bool, now_us: int) -> None:
        """ANALYZE estimates these rows."""
        settle(self.pending)
        self.live, self.changed = live, 0
        if automatic:
            self.auto_analyzed = self.auto_analyzed.again(now_us)
        else:
            self.analyzed = self.analyzed.again(now_us)


class FunctionCounts:
    """Calls of one function, and seconds in it with and without those that it calls."""

    __slots__ = ("calls", "self_s", "total_s")

    def __init__(self) -> None:
        self.calls = 0
        self.total_s = self.self_s = 0.0


class DatabaseCounts:
    """Of one database. Times in seconds; ``reset_us``: 0 for never."""

    def __init__(self) -> None:
        self.functions: dict[int, FunctionCounts] = {}
        self.reset_us = 0
        self.clear()

    def clear(self) -> None:
        """Everything begins at 0."""
        self.commits = self.rollbacks = self.deadlocks = 0
        self.temp_files = self.temp_bytes = 0
        self.sessions = self.abandoned = self.fatal = self.killed = 0
        self.session_s = 0.0
        """of sessions that have ended"""
        self.gone = RelationCounts()
        """sums of what was counted for relations that are no more, or whose counters were reset by themselves"""

    def session_ended(self, by: str, lasted_s: float) -> None:
        """A session has ended: ``killed``, ``fatal``, ``abandoned``, or in good order."""
        self.session_s += lasted_s
        if by:
            setattr(self, by, getattr(self, by) + 1)

    def keep(self, counts: RelationCounts) -> None:
        """The counters of a relation go: the database's sums keep them."""
        gone = self.gone
        counts.gather()
        for name in ("returned", "fetched", "inserted", "updated", "deleted"):
            setattr(gone, name, getattr(gone, name) + getattr(counts, name))


_NOTHING: Final = DatabaseCounts()
"""of every database that is not open here; only read"""


class Counts:
    """All counters of an instance: of databases by OID, 0 for what is shared, and of their relations."""

    def __init__(self) -> None:
        self._databases: dict[int, DatabaseCounts] = {0: DatabaseCounts()}
        self._relations: dict[int, dict[int, RelationCounts]] = {}
        self.pending: Pending = []
        self.uncounted = RelationCounts()
        """takes what is not to be counted"""

    def database(self, oid: int) -> DatabaseCounts:
        """A database's, to be read: zeros of one that is not open here, or is none."""
        return self._databases.get(oid, _NOTHING)

    def open_database(self, oid: int) -> DatabaseCounts:
        """A database's, made if there are none: its engine starts."""
        found = self._databases.get(oid)
        if found is None:
            found = self._databases[oid] = DatabaseCounts()
        return found

    def relation(self, database: int, oid: int, live: float = 0, dead: int = 0) -> RelationCounts:
        """A relation's; made with what is known of its rows if there are none."""
        mine = self._relations.setdefault(database, {})
        found = mine.get(oid)
        if found is None:
            found = mine[oid] = RelationCounts(max(int(live), 0), max(dead, 0), self.pending)
        return found

    def known(self, database: int, oid: int) -> RelationCounts | None:
        """A relation's, None for one that nothing was done with since the start."""
        settle(self.pending)
        found = self._relations.get(database, {}).get(oid)
        return None if found is None else found.gather()

    def of(self, database: int) -> list[RelationCounts]:
        """Those of a database's relations, and the sums of those that are no more."""
        settle(self.pending)
        return [self.database(database).gone, *(each.gather() for each in self._relations.get(database, {}).values())]

    def relations(self, database: int) -> list[tuple[int, RelationCounts]]:
        """(OID, counters) of a database's relations that something was done with since the start."""
        settle(self.pending)
        return [(oid, each.gather()) for oid, each in self._relations.get(database, {}).items()]

    def dropped(self, database: int, oid: int) -> None:
        """A relation is no more."""
        settle(self.pending)
        found = self._relations.get(database, {}).pop(oid, None)
        mine = self._databases.get(database)
        if found is not None and mine is not None:
            mine.keep(found)

    def function_dropped(self, database: int, oid: int) -> None:
        """A function is no more."""
        mine = self._databases.get(database)
        if mine is not None:
            mine.functions.pop(oid, None)

    def database_dropped(self, oid: int) -> None:
        """A database is no more."""
        self._databases.pop(oid, None)
        self._relations.pop(oid, None)

    def reset_relation(self, database: int, oid: int, now_us: int) -> None:
        """A relation's counters, if there are any, begin at 0; the sums of its database stay."""
        found, mine = self.known(database, oid), self._databases.get(database)
        if found is not None and mine is not None:
            mine.keep(found)
            mine.reset_us = now_us
            found.clear()

    def reset_function(self, database: int, oid: int, now_us: int) -> None:
        """A function's counters, if there are any, go."""
        mine = self._databases.get(database)
        if mine is not None and mine.functions.pop(oid, None) is not None:
            mine.reset_us = now_us

    def reset_database(self, database: int, now_us: int) -> None:
        """All of a database's counters begin at 0."""
        mine = self._databases.get(database)
        if mine is None:
            return
        mine.clear()
        mine.functions.clear()
        mine.reset_us = now_us
        for counts in self._relations.get(database, {}).values():
            counts.clear()


class LevelCounts:
    """What a transaction's or savepoint's level has changed, and what savepoints below it have undone; None until there
    is something. Without ``changes`` there is nothing else than ``rows``."""

    __slots__ = ("changes", "emptied", "lost", "rows")

    rows: list[RowChange]
    """changes of single rows, not in ``changes`` yet"""
    changes: Changes | None
    emptied: dict[RelationCounts, Changed] | None
    """relations that TRUNCATE has emptied: rows that were inserted, updated and deleted before it, which count if it is
    undone, as those after it do if not"""
    lost: Changes | None

    def changed(self, counts: RelationCounts) -> Changed:
        """What it has changed in a relation, to be added to."""
        return self.sums()[counts]

    def note(self, row: RowChange) -> None:
        """One row was changed."""
        rows = self.rows
        rows.append(row)
        if len(rows) > PENDING_MAX:
            self.sums()

    def sums(self) -> Changes:
        """All that it has changed."""
        changes = self.changes
        if changes is None:
            changes = self.changes = no_changes()
        if self.rows:
            for row, times in Counter(self.rows).items():
                _add(changes[row.counts], row.changed, times)
            self.rows.clear()
        return changes

    def empty(self, counts: RelationCounts) -> None:
        """TRUNCATE of a relation."""
        if self.emptied is None:
            self.emptied = {}
        changed = self.changed(counts)
        self.emptied.setdefault(counts, changed[:HOT])
        changed[:HOT] = _NONE[:HOT]

    def _fill_again(self) -> None:
        """What TRUNCATE has done is undone."""
        for counts, before in (self.emptied or {}).items():
            self.changed(counts)[:HOT] = before
        self.emptied = None

    def keep(self, below: LevelCounts) -> None:
        """A savepoint below is released."""
        for counts in below.emptied or ():
            self.empty(counts)
        if below.changes is None:
            self.rows += below.rows
        else:
            add(self.sums(), below.sums())
            self._lose(below.lost)

    def lose(self, below: LevelCounts) -> None:
        """A savepoint below is undone."""
        below._fill_again()
        self._lose(below.sums())
        self._lose(below.lost)

    def _lose(self, changes: Changes | None) -> None:
        if changes:
            self.sums()
            if self.lost is None:
                self.lost = no_changes()
            add(self.lost, changes)

    def ended(self, committed: bool) -> None:
        """The transaction has ended."""
        if not committed:
            self._fill_again()
        emptied = self.emptied or ()
        for counts in emptied:
            counts.emptied()
        if self.lost is not None:
            for counts, changed in self.lost.items():
                counts.ended(changed, False)
            for counts in emptied:
                counts.dead = 0  # nobody knows which of them were there before
        for counts, changed in self.sums().items():
            counts.ended(changed, committed)


def keep(levels: Sequence[LevelCounts]) -> None:
    """The first level gets what those below it have done."""
    for at in range(len(levels) - 1, 0, -1):
        levels[at - 1].keep(levels[at])


def apply(levels: Sequence[LevelCounts], committed: bool, pending: Pending) -> None:
    """A transaction has ended."""
    settle(pending)
    if committed:
        if len(levels) > 1:
            keep(levels)
        levels[0].ended(True)
    else:
        for level in levels:
            level.ended(False)
