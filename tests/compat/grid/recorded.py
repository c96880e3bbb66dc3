"""The recorded grid: one line a question, in ``expected/<kind>.json``.

``[expression, [types], answers]``, and ``true`` at the end for an aggregate. An answer is a text, null, or the
number of an error in the file's last line, which lists each error once.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.compat.grid.cells import Answer, Asked, Question

FOLDER = Path(__file__).parent / "expected"
KINDS = ("operators", "functions", "casts")
SAMPLES = FOLDER / "samples.json"
DIFFERS: dict[str, str] = json.loads((Path(__file__).parent / "differs.json").read_text())
"""Cell or sample, as it is shown → since when and why its answer is another one here. An entry whose answer is
PostgreSQL's by now fails ``test_what_is_listed_differs``."""


def write_samples(samples: dict[str, list[tuple[str, Answer]]]) -> None:
    """By family, expressions with their answers, one a line."""
    families = []
    for family, pairs in samples.items():
        lines = ",\n".join(json.dumps(pair, ensure_ascii=False) for pair in pairs)
        families.append(f"{json.dumps(family)}: [\n{lines}\n]")
    SAMPLES.write_text("{\n" + ",\n".join(families) + "\n}\n")


def read_samples() -> dict[str, list[tuple[str, Answer]]]:
    """What ``write_samples`` wrote."""
    found: dict[str, list[tuple[str, Answer]]] = json.loads(SAMPLES.read_text())
    return found


def write(kind: str, asked: list[Asked]) -> None:
    """The file of one kind."""
    errors: dict[str, int] = {}
    lines = []
    for each in asked:
        answers = [
            errors.setdefault(json.dumps(answer, ensure_ascii=False), len(errors))
            if isinstance(answer, list)
            else answer
            for answer in each.answers
        ]
        question = each.question
        line = [question.expression, list(question.types), answers, *([True] if question.aggregate else [])]
        lines.append(json.dumps(line, ensure_ascii=False, separators=(",", ":")))
    lines.append("[" + ",\n".join(errors) + "]")
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{kind}.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


def read(kind: str) -> list[Asked]:
    """What ``write`` wrote."""
    *lines, errors = json.loads((FOLDER / f"{kind}.json").read_text())
    found = []
    for expression, types, answers, *aggregate in lines:
        question = Question(expression, tuple(types), bool(aggregate))
        given: list[Answer] = [errors[each] if isinstance(each, int) else each for each in answers]
        failing = [cell for cell, each in zip(question.cells(), given, strict=True) if isinstance(each, list)]
        found.append(Asked(question, given, failing))
    return found
