"""Records PostgreSQL 15's answers to the .sql files: `python -m tests.compat.record DSN [family …]`.

Writes `expected/<family>.json`: a list of {"sql", "simple", "extended"}; "extended" only where that protocol's outcome
is another one; and `expected/plain/<family>.json`: a plain role's answers where they differ. Without names of families
also `expected/describe.out`, what psql prints for `describe.psql`, and `expected/protocol.json`, the answers to the
packets of `protocol.txt`. Review the diff: these files are the specification.
"""

from __future__ import annotations

import json
import sys

from tests.compat import protocol
from tests.compat.replay import (
    DESCRIBED,
    Outcome,
    Replay,
    describe,
    expected_path,
    families,
    plain_families,
    plain_path,
    statements,
)


def record(dsn: str, family: str) -> None:
    """Writes the answers to one file."""
    outcomes = []
    for extended in (False, True):
        replay = Replay(dsn, extended, {})
        outcomes.append(replay.run(family))
        replay.close()
    entries = []
    for statement, simple, other in zip(statements(family), *outcomes, strict=True):
        entry = {"sql": statement.sql, "simple": simple}
        if other != simple:
            entry["extended"] = other
        entries.append(json.dumps(entry, ensure_ascii=False))
    expected_path(family).write_text("[\n" + ",\n".join(entries) + "\n]\n")
    if family in plain_families():
        record_plain(dsn, family, outcomes[0])


def record_plain(dsn: str, family: str, usual: list[Outcome]) -> None:
    """Writes the answers to a plain role, where they are others: {"at", "sql", "outcome"} of each."""
    replay = Replay(dsn, False, {}, plain=True)
    outcomes = replay.run(family)
    replay.close()
    lines = [
        json.dumps({"at": at, "sql": statement.sql, "outcome": outcome}, ensure_ascii=False)
        for at, (statement, outcome, other) in enumerate(zip(statements(family), outcomes, usual, strict=True))
        if outcome != other
    ]
    plain_path(family).parent.mkdir(exist_ok=True)
    plain_path(family).write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    for name in [name for name in sys.argv[2:] or families() if name != "protocol"]:
        record(sys.argv[1], name)
    if not sys.argv[2:]:
        DESCRIBED.write_text(describe(sys.argv[1]))
    if not sys.argv[2:] or "protocol" in sys.argv[2:]:
        protocol.write(sys.argv[1])
