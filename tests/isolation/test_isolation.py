"""Every script, played on an embedded cluster, shows what PostgreSQL 15 showed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import psycopg
import pytest

import aurora
from tests.isolation.player import Player
from tests.isolation.script import Script, expected, families, scripts

pytestmark = pytest.mark.cluster

ALL = [(family, script) for family in families() for script in scripts(family)]


@pytest.fixture(scope="module")
def player() -> Iterator[Player]:
    with aurora.cluster() as cluster:
        with psycopg.connect(cluster.dsn, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET max_prepared_transactions = 10")
        player = Player(cluster.dsn)
        yield player
        player.close()


@pytest.mark.parametrize(("family", "script"), ALL, ids=[f"{family}-{script.name}" for family, script in ALL])
def test_sessions_see_what_they_see_in_postgresql(player: Player, family: str, script: Script) -> None:
    """What waits, for how long, and what each step shows."""
    recorded = expected(family)[script.name]
    shown = player.play(script)
    lines = recorded.splitlines(), shown.splitlines()
    assert shown == recorded, "\n".join(difflib.unified_diff(*lines, "PostgreSQL", "here", lineterm="", n=30))


@pytest.mark.parametrize("family", families())
def test_transcripts_are_of_the_scripts(family: str) -> None:
    """Each script has a transcript, with its own steps in it, and the other way round."""
    recorded = expected(family)
    written = {script.name: script for script in scripts(family)}
    assert list(recorded) == list(written)
    for name, script in written.items():
        for session, sql in script.steps:
            assert f"{session}: {sql}" in recorded[name], f"{family} {name}: record it again"
