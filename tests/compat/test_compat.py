"""Every .sql file, by both protocols, with and without lifted literals, answers what PostgreSQL 15 answered."""

from __future__ import annotations

import json

import pytest

from aurora.programs.supervisor import Cluster
from compute_node.types.collation.icu_ import available
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
from tests.conftest import needs

pytestmark = pytest.mark.cluster
_SHOWN = 12


def _check_runnable(family: str) -> None:
    if family == "collations" and not available():
        pytest.skip("PyICU is not installed")


@pytest.mark.parametrize("lift", ["on", "off"])
@pytest.mark.parametrize("protocol", ["simple", "extended"])
@pytest.mark.parametrize("family", families())
def test_answers_are_postgresqls(shared_cluster: Cluster, family: str, protocol: str, lift: str) -> None:
    """Columns, rows, tags, errors and notices of each statement."""
    _check_runnable(family)
    replay = Replay(shared_cluster.dsn(), protocol == "extended", {"aurora.lift_literals": lift})
    outcomes = replay.run(family, repeat=lift == "on")
    replay.close()
    found = differences(family, protocol, outcomes)
    assert not found, f"{len(found)} differences\n" + "\n".join(found[:_SHOWN])


@pytest.mark.parametrize("family", plain_families())
def test_answers_to_a_plain_role_are_postgresqls(shared_cluster: Cluster, family: str) -> None:
    """The same statements of a role that is no superuser: what it may, it may, and what not is refused alike."""
    _check_runnable(family)
    replay = Replay(shared_cluster.dsn(), False, {}, plain=True)
    outcomes = replay.run(family, repeat=True)
    replay.close()
    others = {each["at"]: each for each in json.loads(plain_path(family).read_text())}
    for at, statement in enumerate(statements(family)):
        if at in others and others[at]["sql"] != statement.sql:
            raise ValueError(f"plain/{family}.json is older than its .sql file: {statement.sql}")
    found = differences(family, "simple", outcomes, {at: each["outcome"] for at, each in others.items()})
    assert not found, f"{len(found)} differences\n" + "\n".join(found[:_SHOWN])


def test_packets_are_answered_as_by_postgresql(shared_cluster: Cluster) -> None:
    """Every message that answers the packets of `protocol.txt`."""
    expected = json.loads(protocol.EXPECTED.read_text())
    found = protocol.replay(shared_cluster.dsn())
    assert [entry["packet"] for entry in expected] == protocol.steps(), "protocol.json is older than protocol.txt"
    differing = [(mine, theirs) for theirs, mine in zip(expected, found, strict=True) if mine != theirs]
    assert not differing, "\n".join(f"ours {mine}\nPostgreSQL {theirs['answer']}" for mine, theirs in differing)


@needs("psql")
def test_describe_commands_print_the_same(shared_cluster: Cluster) -> None:
    """psql's \\d family."""
    assert describe(shared_cluster.dsn()).splitlines() == DESCRIBED.read_text().splitlines()


def differences(
    family: str, protocol: str, outcomes: list[Outcome], others: dict[int, Outcome] | None = None
) -> list[str]:
    """What differs from the recorded answers, as text for people. ``others``: by the statement's number, answers that
    stand for the usual ones."""
    entries = json.loads(expected_path(family).read_text())
    found = []
    for at, (statement, entry, outcome) in enumerate(zip(statements(family), entries, outcomes, strict=True)):
        if entry["sql"] != statement.sql:
            raise ValueError(f"{family}.json is older than its .sql file: {statement.sql}")
        expected = (others or {}).get(at, entry.get(protocol, entry["simple"]))
        if statement.differs is not None or (others is not None and statement.differs_plain is not None):
            if outcome.get("error", {}).get("sqlstate") == "XX000":
                found.append(f"{statement.sql}\n    internal: {outcome}")
        elif outcome != expected:
            keys = sorted(key for key in {*outcome, *expected} if outcome.get(key) != expected.get(key))
            shown = "".join(
                f"\n    {key}: ours {outcome.get(key)}\n    {key}: PostgreSQL {expected.get(key)}" for key in keys
            )
            found.append(statement.sql + shown)
    return found
