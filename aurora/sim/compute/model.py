"""The serial oracle: every row's versions in commit order, and what a snapshot, a write or a lock must meet there.

It knows nothing of pages, xids or chains. A row is a relation file and a number that its table never gives twice
(column ``a``). Its committed versions are in the order of their commit LSNs; what a running transaction has written
lies over them for itself alone. Generations of a table (TRUNCATE, a rewrite) are relation files of their own.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aurora.datum import Datum, Row

Key = tuple[int, int]
"""(relation file, row number)"""

ROW_CONFLICTS = {0: (3,), 1: (2, 3), 2: (1, 2, 3), 3: (0, 1, 2, 3)}
"""FOR KEY SHARE, SHARE, NO KEY UPDATE, UPDATE (PostgreSQL's manual, table 13.3)."""
TABLE_CONFLICTS = {
    1: (8,), 2: (7, 8), 3: (5, 6, 7, 8), 4: (4, 5, 6, 7, 8), 5: (3, 4, 6, 7, 8), 6: (3, 4, 5, 6, 7, 8),
    7: (2, 3, 4, 5, 6, 7, 8), 8: (1, 2, 3, 4, 5, 6, 7, 8),
}  # fmt: skip
"""ACCESS SHARE to ACCESS EXCLUSIVE (table 13.2)."""


class Version(NamedTuple):
    """``row`` None: deleted."""

    lsn: int
    row: Row | None


class Write(NamedTuple):
    """One change by a running transaction; ``key_changed``: it deleted the row or changed a unique key."""

    relfile: int
    number: int
    row: Row | None
    strength: int


@dataclass(slots=True, eq=False)
class ModelTxn:
    """``must_see_lsn``: commits whose locks it took over."""

    name: str
    repeatable: bool
    writes: list[Write] = field(default_factory=list)
    savepoints: list[tuple[str, int]] = field(default_factory=list)
    row_locks: dict[Key, list[tuple[int, int]]] = field(default_factory=dict)
    """→ (strength, how many savepoints there were), the strongest last"""
    table_locks: dict[int, set[int]] = field(default_factory=dict)
    must_see_lsn: int = 0
    snapshot_lsn: int = 0


class Oracle:
    """See the module. ``files`` are the relation files' rows; ``unique`` their unique columns (positions)."""

    def __init__(self) -> None:
        self.files: dict[int, dict[int, list[Version]]] = {}
        self.unique: dict[int, tuple[int, ...]] = {}
        self.running: dict[ModelTxn, None] = {}
        self.commits = 0
        self.last_commit_lsn = 0
        self.acknowledged_lsn = 0
        self._changes: dict[int, list[int]] = {}
        """commit LSNs that changed each file"""
        self._number = 100
        self._row_released: dict[Key, dict[int, int]] = {}
        self._table_released: dict[int, dict[int, int]] = {}

    def next_number(self) -> int:
        """A row number that no row has."""
        self._number += 1
        return self._number

    def file(self, relfile: int, unique: tuple[int, ...]) -> None:
        """A relation file comes into being."""
        self.files[relfile] = {}
        self.unique[relfile] = unique

    # What is there

    def visible(self, relfile: int, lsn: int, own: Sequence[Write] = ()) -> dict[int, Row]:
        """Row number → row, as of ``lsn`` with these writes of one's own."""
        found: dict[int, Row] = {}
        for number, versions in self.files[relfile].items():
            for version in reversed(versions):
                if version.lsn <= lsn:
                    if version.row is not None:
                        found[number] = version.row
                    break
        for write in own:
            if write.relfile == relfile:
                if write.row is None:
                    found.pop(write.number, None)
                else:
                    found[write.number] = write.row
        return found

    def newest(self, relfile: int, number: int, txn: ModelTxn) -> Version:
        """The newest version of a row: the transaction's own (LSN 0), else the last committed one."""
        for write in reversed(txn.writes):
            if (write.relfile, write.number) == (relfile, number):
                return Version(0, write.row)
        versions = self.files[relfile].get(number)
        return versions[-1] if versions else Version(0, None)

    def with_value(self, relfile: int, position: int, value: Datum, txn: ModelTxn | None = None) -> list[int]:
        """Numbers of the newest rows, committed or one's own, that have a value."""
        rows = self.visible(relfile, 1 << 62, txn.writes if txn is not None else ())
        return [number for number, row in rows.items() if row[position] == value]

    def last_change_lsn(self, relfile: int, upto_lsn: int) -> int:
        """The newest commit at or below ``upto_lsn`` that changed the file."""
        changes = self._changes.get(relfile, [])
        at = bisect_right(changes, upto_lsn)
        return changes[at - 1] if at else 0

    # What happens

    def begin(self, name: str, repeatable: bool) -> ModelTxn:
        """A transaction begins."""
        txn = ModelTxn(name, repeatable)
        self.running[txn] = None
        return txn

    def wrote(self, txn: ModelTxn, relfile: int, number: int, row: Row | None, strength: int = 3) -> None:
        """It has changed a row."""
        txn.writes.append(Write(relfile, number, row, strength))
        self._take_over(txn, (relfile, number), strength)

    def locked(self, txn: ModelTxn, relfile: int, number: int, strength: int) -> None:
        """It has locked a row (SELECT … FOR)."""
        key = (relfile, number)
        held = txn.row_locks.get(key)
        if held is None or held[-1][0] < strength:
            txn.row_locks.setdefault(key, []).append((strength, len(txn.savepoints)))
        self._take_over(txn, key, strength)

    def _take_over(self, txn: ModelTxn, key: Key, strength: int) -> None:
        for other, lsn in self._row_released.get(key, {}).items():
            if other in ROW_CONFLICTS[strength]:
                txn.must_see_lsn = max(txn.must_see_lsn, lsn)

    def locked_table(self, txn: ModelTxn, oid: int, mode: int) -> None:
        """It has locked a table."""
        txn.table_locks.setdefault(oid, set()).add(mode)
        for other, lsn in self._table_released.get(oid, {}).items():
            if other in TABLE_CONFLICTS[mode]:
                txn.must_see_lsn = max(txn.must_see_lsn, lsn)

    def row_holders(self, txn: ModelTxn, relfile: int, number: int, strength: int) -> list[str]:
        """Other running transactions that hold a row against ``strength``."""
        conflicts, found = ROW_CONFLICTS[strength], []
        for other in self.running:
            if other is txn:
                continue
            held = other.row_locks.get((relfile, number))
            if (held is not None and held[-1][0] in conflicts) or any(
                (w.relfile, w.number) == (relfile, number) and w.strength in conflicts for w in other.writes
            ):
                found.append(other.name)
        return found

    def table_holders(self, txn: ModelTxn, oid: int, mode: int) -> list[str]:
        """Other running transactions that hold a table against ``mode``."""
        conflicts = TABLE_CONFLICTS[mode]
        return [
            other.name
            for other in self.running
            if other is not txn and any(held in conflicts for held in other.table_locks.get(oid, ()))
        ]

    def savepoint(self, txn: ModelTxn, name: str) -> None:
        """SAVEPOINT."""
        txn.savepoints.append((name, len(txn.writes)))

    def _level(self, txn: ModelTxn, name: str) -> int:
        return max(at for at, (each, _) in enumerate(txn.savepoints) if each == name)

    def release(self, txn: ModelTxn, name: str) -> None:
        """RELEASE of the newest savepoint of that name."""
        level = self._level(txn, name)
        del txn.savepoints[level:]
        for held in txn.row_locks.values():
            held[:] = [(strength, min(depth, level)) for strength, depth in held]

    def rollback_to(self, txn: ModelTxn, name: str) -> None:
        """ROLLBACK TO the newest savepoint of that name."""
        level = self._level(txn, name)
        del txn.writes[txn.savepoints[level][1] :]
        del txn.savepoints[level + 1 :]
        kept = {key: [each for each in held if each[1] <= level] for key, held in txn.row_locks.items()}
        txn.row_locks = {key: held for key, held in kept.items() if held}

    def aborted(self, txn: ModelTxn) -> None:
        """It has rolled back."""
        del self.running[txn]

    def committed(self, txn: ModelTxn, lsn: int) -> Iterator[str]:
        """It has committed; what is wrong with that."""
        del self.running[txn]
        if not lsn:
            if txn.writes:
                yield f"{txn.name} wrote rows and has no commit LSN"
            return
        if lsn <= self.last_commit_lsn:
            yield f"{txn.name} commits at {lsn}, after a commit at {self.last_commit_lsn}"
        self.last_commit_lsn = lsn
        self.commits += 1
        final = {(write.relfile, write.number): write.row for write in txn.writes}
        for (relfile, number), row in final.items():
            self.files[relfile].setdefault(number, []).append(Version(lsn, row))
        for relfile in {relfile for relfile, _ in final}:
            self._changes.setdefault(relfile, []).append(lsn)
        for write in txn.writes:
            self._released(self._row_released, (write.relfile, write.number), write.strength, lsn)
        for key, held in txn.row_locks.items():
            self._released(self._row_released, key, held[-1][0], lsn)
        for oid, modes in txn.table_locks.items():
            for mode in modes:
                self._released(self._table_released, oid, mode, lsn)
        yield from self._not_unique(final)

    @staticmethod
    def _released(released: dict[Any, dict[int, int]], key: Any, strength: int, lsn: int) -> None:
        released.setdefault(key, {})[strength] = lsn

    def _not_unique(self, final: dict[Key, Row | None]) -> Iterator[str]:
        for (relfile, number), row in final.items():
            for position in self.unique[relfile] if row is not None else ():
                value = row[position]  # type: ignore[index]
                others = self.with_value(relfile, position, value)
                if value is not None and others != [number]:
                    yield f"rows {others} of file {relfile} all have {value} in column {position + 1}"

    def trim(self, oldest_lsn: int) -> None:
        """Forget versions that no snapshot at or after ``oldest_lsn`` sees."""
        for rows in self.files.values():
            for number, versions in list(rows.items()):
                while len(versions) > 1 and versions[1].lsn <= oldest_lsn:
                    del versions[0]
                if len(versions) == 1 and versions[0].row is None and versions[0].lsn <= oldest_lsn:
                    del rows[number]

    def acknowledged(self, lsn: int) -> None:
        """A client has been told that the commit at ``lsn`` is done."""
        self.acknowledged_lsn = max(self.acknowledged_lsn, lsn)

    def copy(self) -> Oracle:
        """The same once more: for a writer that goes on without knowing that there is another one."""
        made = Oracle()
        for relfile, rows in self.files.items():
            made.files[relfile] = {number: list(versions) for number, versions in rows.items()}
        made.unique, made.running = dict(self.unique), dict(self.running)
        made.commits, made.last_commit_lsn, made.acknowledged_lsn = (
            self.commits, self.last_commit_lsn, self.acknowledged_lsn
        )  # fmt: skip
        made._changes = {relfile: list(lsns) for relfile, lsns in self._changes.items()}
        made._number = self._number
        made._row_released = {key: dict(found) for key, found in self._row_released.items()}
        made._table_released = {oid: dict(found) for oid, found in self._table_released.items()}
        return made

    def crashed(self, vdl: int) -> None:
        """The writer has died, and its log ends at ``vdl``."""
        self.running.clear()
        self._row_released.clear()
        self._table_released.clear()
        self.last_commit_lsn = min(self.last_commit_lsn, vdl)
        for changes in self._changes.values():
            del changes[bisect_right(changes, vdl) :]
        for rows in self.files.values():
            for number, versions in list(rows.items()):
                rows[number] = [version for version in versions if version.lsn <= vdl]
                if not rows[number]:
                    del rows[number]
