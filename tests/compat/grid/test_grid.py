"""Every operator, function, aggregate and cast over the edge values of its types: PostgreSQL 15's answers.

A usual run asks one part of the questions, another one each day, so that ``_PARTS`` days ask them all; ``GRID=all``
asks them all at once, which takes half a minute, and ``GRID=2`` part 2. What ``differs.json`` lists is asked each time:
an entry whose answers are PostgreSQL's by now has to go.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from aurora.programs.supervisor import Cluster
from tests.compat.grid.cells import Answer, Asked, Server
from tests.compat.grid.recorded import DIFFERS, KINDS, read, read_samples

pytestmark = pytest.mark.cluster
_SHOWN = 12
_PARTS = 5
_ERRORS_SAMPLED = 1
"""Of each question, for each SQLSTATE: an error needs a statement of its own."""


def _day() -> int:
    return datetime.now(UTC).toordinal()


def _part(asked: list[Asked]) -> tuple[list[Asked], str]:
    """The questions of this run, and how to ask them again."""
    chosen = os.environ.get("GRID") or str(_day() % _PARTS)
    return (asked if chosen == "all" else asked[int(chosen) :: _PARTS]), f"GRID={chosen}"


def _differing(server: Server, asked: Asked, errors: int) -> Iterator[tuple[str, Answer, Answer]]:
    """Cells whose answer here is another one: as they are shown, PostgreSQL's answer and ours."""
    for cell, theirs, mine in server.ask_again(asked, errors, _day() // _PARTS):
        yield asked.question.shown(cell), theirs, mine


@pytest.mark.parametrize("kind", KINDS)
def test_cells_are_postgresqls(shared_cluster: Cluster, kind: str) -> None:
    """All cells that have a value, and errors of each kind; no cell is an internal error that PostgreSQL has not."""
    server = Server(shared_cluster.dsn())
    server.prepare()
    found = []
    part, again = _part(read(kind))
    for asked in part:
        for shown, theirs, mine in _differing(server, asked, _ERRORS_SAMPLED):
            if shown not in DIFFERS or (isinstance(mine, list) and mine[0] == "XX000"):
                found.append(f"{shown}\n    ours       {mine!r}\n    PostgreSQL {theirs!r}")
    server.finish()
    assert not found, f"{len(found)} differences ({again})\n" + "\n".join(found[:_SHOWN])


def test_what_is_listed_differs(shared_cluster: Cluster) -> None:
    """Each entry of ``differs.json`` is a cell or a sample whose answer is not PostgreSQL's."""
    server = Server(shared_cluster.dsn())
    server.prepare()
    differing: set[str] = set()
    for asked in (asked for kind in KINDS for asked in read(kind)):
        if any(asked.question.shown(cell) in DIFFERS for cell in asked.question.cells()):
            differing.update(shown for shown, _, _ in _differing(server, asked, len(asked.answers)))
    server.settle()
    samples = [pair for pairs in read_samples().values() for pair in pairs if pair[0] in DIFFERS]
    answers = server.expressions([expression for expression, _ in samples])
    differing.update(pair[0] for pair, mine in zip(samples, answers, strict=True) if mine != pair[1])
    server.finish()
    assert set(DIFFERS) <= differing, f"PostgreSQL's answers by now: {sorted(set(DIFFERS) - differing)}"


def test_samples_are_postgresqls(shared_cluster: Cluster) -> None:
    """Random expressions of every family: numbers at their scales, templates, zones, spans, patterns, ranges, JSON …"""
    server = Server(shared_cluster.dsn())
    server.settle()
    found = []
    for pairs in read_samples().values():
        good = [pair for pair in pairs if not isinstance(pair[1], list)]
        bad = [pair for pair in pairs if isinstance(pair[1], list)]
        for some in (good, bad):
            answers = server.expressions([expression for expression, _ in some])
            for (expression, theirs), mine in zip(some, answers, strict=True):
                if mine != theirs and expression not in DIFFERS:
                    found.append(f"{expression}\n    ours       {mine!r}\n    PostgreSQL {theirs!r}")
    server.finish()
    assert not found, f"{len(found)} differences\n" + "\n".join(found[:_SHOWN])
