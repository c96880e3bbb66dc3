"""Every operator, function, aggregate and cast over the edge values of its types: PostgreSQL 15's answers."""

from __future__ import annotations

import os

import pytest

from aurora.programs.supervisor import Cluster
from tests.compat.grid.cells import Server
from tests.compat.grid.recorded import DIFFERS, KINDS, read, read_samples

pytestmark = pytest.mark.cluster
_SHOWN = 12
_EVERY = 1 if os.environ.get("GRID") == "all" else 5
"""One question of so many is asked in a usual run; ``GRID=all`` asks them all, which takes half a minute."""
_ERRORS_SAMPLED = 1
"""Of each question, for each SQLSTATE: an error needs a statement of its own."""


@pytest.mark.parametrize("kind", KINDS)
def test_cells_are_postgresqls(shared_cluster: Cluster, kind: str) -> None:
    """All cells that have a value, and errors of each kind; no cell is an internal error that PostgreSQL has not."""
    server = Server(shared_cluster.dsn())
    server.prepare()
    found = []
    for asked in read(kind)[::_EVERY]:
        for cell, theirs, mine in server.ask_again(asked, _ERRORS_SAMPLED):
            shown = asked.question.shown(cell)
            known = asked.question.name in DIFFERS or shown in DIFFERS
            if not known or (isinstance(mine, list) and mine[0] == "XX000"):
                found.append(f"{shown}\n    ours       {mine!r}\n    PostgreSQL {theirs!r}")
    server.finish()
    assert not found, f"{len(found)} differences\n" + "\n".join(found[:_SHOWN])


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
