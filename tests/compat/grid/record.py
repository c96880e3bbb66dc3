"""Records PostgreSQL 15's answers to the grid: ``python -m tests.compat.grid.record DSN``.

With a second DSN nothing is written: the answers of that server are compared, all cells of them, and what differs is
shown; ``[kind [regular expression]]`` chooses the questions; ``samples [seed [family …]]``
asks both random expressions. Read the diff before you commit what is recorded.
"""

from __future__ import annotations

import random
import re
import sys

from tests.compat.grid.cells import Answer, Asked, Server
from tests.compat.grid.questions import KINDS
from tests.compat.grid.recorded import write, write_samples
from tests.compat.grid.samples import FAMILIES

_NOT_THERE = ("42883", "42846", "42725", "0A000", "42804")
_SHOWN = 3
_SEED = "2026"
_RECORDED = 80
_COMPARED = 1000


def answers(oracle: Server, kind: str) -> list[Asked]:
    """The questions of a kind that PostgreSQL does not refuse as a whole."""
    asked = [oracle.ask(question) for question in KINDS[kind](oracle)]
    return [each for each in asked if not _refused(each)]


def _refused(asked: Asked) -> bool:
    return all(isinstance(answer, list) and answer[0] in _NOT_THERE for answer in asked.answers)


def sample(oracle: Server, seed: str, family: str, count: int) -> list[tuple[str, Answer]]:
    """Random expressions of a family with their answers."""
    chooser = random.Random(family + seed)
    expressions = [FAMILIES[family](chooser) for _ in range(count)]
    return list(zip(expressions, oracle.expressions(expressions), strict=True))


def compare_samples(oracle: Server, ours: Server, seed: str, families: list[str]) -> None:
    """Print the random expressions whose answers differ."""
    for family in families or list(FAMILIES):
        asked = sample(oracle, seed, family, _COMPARED)
        answers = ours.expressions([expression for expression, _ in asked])
        for (expression, theirs), mine in zip(asked, answers, strict=True):
            if theirs != mine:
                print(f"{expression}\n    ours       {mine!r}\n    PostgreSQL {theirs!r}", flush=True)


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
        oracle.settle()
        write_samples({family: sample(oracle, _SEED, family, _RECORDED) for family in FAMILIES})
    else:
        ours = Server(sys.argv[2])
        ours.prepare()
        if sys.argv[3:4] == ["samples"]:
            oracle.settle()
            ours.settle()
            compare_samples(oracle, ours, sys.argv[4] if len(sys.argv) > 4 else _SEED, sys.argv[5:])
        for kind in [kind for kind in sys.argv[3:4] or list(KINDS) if kind in KINDS]:
            compare(oracle, ours, kind, sys.argv[4] if len(sys.argv) > 4 else "")
        ours.finish()
    oracle.finish()


if __name__ == "__main__":
    main()
