"""The promises of the compute half, and the comparisons that hold it to them.

``Checks`` counts each comparison under the promise's name and raises ``CheckFailed`` where one does not hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from aurora.datum import Row
from aurora.sim.checks import CheckFailed

SNAPSHOT_ROWS, NEWEST, UNIQUE, LOCKS = "snapshot-rows", "newest-version", "unique-keys", "locks"
INDEXES, HORIZON, EXTENTS, GATE = "index-and-heap", "horizon", "extents", "output-gate"
CHUNKS = "chunks-of-values"
DURABLE, WAITS, LOG = "acknowledged-kept", "every-wait-ends", "log-makes-pages"


@dataclass(frozen=True)
class Promise:
    """A promise by its name."""

    name: str
    promise: str


CATALOGUE: Final = (
    Promise(SNAPSHOT_ROWS, "a statement sees the rows of its snapshot, no more and no fewer"),
    Promise(NEWEST, "a write or lock meets the newest version of its row, or fails as its isolation demands"),
    Promise(UNIQUE, "no two rows have one unique key, and 23505 is said only where one is there"),
    Promise(LOCKS, "conflicting locks are never held at once, and who takes one sees what its last holder committed"),
    Promise(INDEXES, "each index leads to the rows of the heap, and to nothing else"),
    Promise(CHUNKS, "a value out of line is there as long as a row that somebody may see has it, and no longer"),
    Promise(HORIZON, "the row horizon passes nobody who reads"),
    Promise(EXTENTS, "each page has one owner, and gets another one only when nobody can read what it held"),
    Promise(GATE, "nothing is shown before it is durable"),
    Promise(DURABLE, "after a crash what was acknowledged is there, whole, and nothing that did not commit"),
    Promise(WAITS, "every wait ends"),
    Promise(LOG, "the log alone gives every page"),
)


class Checks:
    """See the module."""

    def __init__(self) -> None:
        self.checked: Counter[str] = Counter()

    def require(self, name: str, holds: bool, message: str) -> None:
        """Count a comparison."""
        self.checked[name] += 1
        if not holds:
            raise CheckFailed(name, message)

    def none(self, name: str, faults: Iterable[str]) -> None:
        """There must be no fault."""
        self.checked[name] += 1
        for fault in faults:
            raise CheckFailed(name, fault)

    def rows(self, name: str, what: str, found: Iterable[Row], expected: Iterable[Row]) -> None:
        """Two sets of rows are one."""
        self.checked[name] += 1
        have, want = sorted(found), sorted(expected)
        if have != want:
            missing = [_short(row) for row in want if row not in have]
            foreign = [_short(row) for row in have if row not in want]
            twice = len(have) - len(set(have))
            raise CheckFailed(
                name, f"{what}: {len(have)} rows, expected {len(want)}; missing {missing[:4]}, foreign {foreign[:4]}"
                f"{f', {twice} twice' if twice else ''}",
            )  # fmt: skip


def _short(row: Row) -> Row:
    return tuple(f"{value[:12]}…" if isinstance(value, str) and len(value) > 12 else value for value in row)
