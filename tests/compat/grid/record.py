"""Records PostgreSQL 15's answers to the grid: ``python -m tests.compat.grid.record DSN``.

With a second DSN nothing is written: the answers of that server are compared, all cells of them, and what differs is
shown; ``[kind [regular expression]]`` chooses the questions. Read the diff before you commit what is recorded.
"""

from __future__ import annotations

import re
import sys

from tests.compat.grid.cells import Asked, Server
from tests.compat.grid.questions import KINDS
from tests.compat.grid.recorded import write

_NOT_THERE = ("42883", "42846", "42725", "0A000", "42804")
_SHOWN = 3


def answers(oracle: Server, kind: str) -> list[Asked]:
    """The questions of a kind that PostgreSQL does not refuse as a whole."""
    asked = [oracle.ask(question) for question in KINDS[kind](oracle)]
    return [each for each in asked if not _refused(each)]


def _refused(asked: Asked) -> bool:
    return all(isinstance(answer, list) and answer[0] in _NOT_THERE for answer in asked.answers)


def compare(oracle: Server, ours: Server, kind: str, only: str) -> None:
    """Print the cells that differ."""
    for question in KINDS[kind](oracle):
        if re.search(only, question.name) is None:
            continue
        asked = oracle.ask(question)
        found = [] if _refused(asked) else list(ours.ask_again(asked, 2))
        for cell, theirs, mine in found[:_SHOWN]:
            print(f"{question.shown(cell)}\n    ours       {mine!r}\n    PostgreSQL {theirs!r}", flush=True)


def main() -> None:
    """Record, or compare."""
    oracle = Server(sys.argv[1])
    oracle.prepare()
    if len(sys.argv) == 2:
        for kind in KINDS:
            write(kind, answers(oracle, kind))
    else:
        ours = Server(sys.argv[2])
        ours.prepare()
        for kind in sys.argv[3:4] or list(KINDS):
            compare(oracle, ours, kind, sys.argv[4] if len(sys.argv) > 4 else "")
        ours.finish()
    oracle.finish()


if __name__ == "__main__":
    main()
