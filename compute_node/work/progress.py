"""How far a command is that runs long: what the progress views show of it (manual, 28.4).

A command's numbers are 20 parameters, as in PostgreSQL, whose views read them by place. The command sets them where it
handles a batch anyway; who looks at the views reads them. A command within another one (an index that CLUSTER builds)
reports to nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

PARAMETERS: Final = 20


class Progress:
    """One command's, about one relation (its OID, 0: none)."""

    __slots__ = ("command", "relation", "values")

    def __init__(self, command: str, relation: int) -> None:
        self.command, self.relation = command, relation
        self.values = [0] * PARAMETERS

    def put(self, number: int, value: int) -> None:
        """Set a parameter; numbers are from 1."""
        self.values[number - 1] = value

    def add(self, number: int, value: int) -> None:
        """Add to a parameter."""
        self.values[number - 1] += value


class Reporting(Protocol):
    """A session, as far as it reports."""

    progress: Progress | None


@contextmanager
def reporting(session: Reporting, command: str, relation: int) -> Iterator[Progress]:
    """What the session runs is this command, until the end of the context."""
    found = Progress(command, relation)
    if session.progress is not None:
        yield found
        return
    session.progress = found
    try:
        yield found
    finally:
        session.progress = None


class Copy:
    """Parameters of COPY, and what they may be."""

    BYTES, BYTES_TOTAL, ROWS, EXCLUDED, COMMAND, TYPE = range(1, 7)
    FROM, TO = 1, 2
    FILE, PROGRAM, PIPE = 1, 2, 3


class Analyze:
    """Parameters of ANALYZE, and its phases."""

    PHASE = 1
    ACQUIRING, ACQUIRING_INHERITED, COMPUTING = 1, 2, 3


class Cluster:
    """Parameters of CLUSTER, and its phases."""

    COMMAND, PHASE, INDEX, SCANNED, WRITTEN = range(1, 6)
    REBUILT = 8
    CLUSTER, VACUUM_FULL = 1, 2
    SCANNING, SORTING, WRITING, SWAPPING, REBUILDING, CLEANING = 1, 3, 4, 5, 6, 7


class CreateIndex:
    """Parameters of CREATE INDEX and REINDEX, and the phases."""

    COMMAND, INDEX, METHOD, PHASE, SUBPHASE, ROWS = 1, 7, 9, 10, 11, 13
    CREATE, CREATE_CONCURRENTLY, REINDEX, REINDEX_CONCURRENTLY = 1, 2, 3, 4
    BUILDING = 2


class VacuumTable:
    """Parameters of VACUUM, and its phases."""

    PHASE, BLOCKS, SCANNED, VACUUMED, INDEX_PASSES, DEAD_MAX, DEAD = range(1, 8)
    SCANNING, INDEXES, HEAP, CLEANUP, TRUNCATING, FINAL = range(1, 7)
