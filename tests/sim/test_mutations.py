"""Each broken rule is caught, within the budget of seeds, by the checker of the promise that it breaks."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from aurora.sim.__main__ import main
from aurora.sim.checks import CATALOGUE, CheckFailed
from aurora.sim.points import points
from aurora.sim.runner import run_one, shrink
from aurora.sim.runs import CORES_OWN, Failure, quiet
from tests.log_rule import DAMAGE, DISK_REFUSES, FLEET_CHANGES
from tests.sim.mutations import MUTATIONS, Mutation

pytestmark = pytest.mark.logs(
    DAMAGE, DISK_REFUSES, FLEET_CHANGES, r"^(WARNING|ERROR|CRITICAL) (storage_node|compute_node)"
)

SEEDS_MAX = 500
MUST_BE_CAUGHT = {"write quorum 3", "ack before sync", "no epoch check", "collection above PGMRPL"}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    quiet()
    yield
    logging.disable(logging.NOTSET)


def _first_failure(mutation: Mutation) -> Failure:
    for seed in range(mutation.first, SEEDS_MAX):
        with mutation.applied():
            outcome = run_one(seed)
        if isinstance(outcome, Failure):
            return outcome
    pytest.fail(f"{mutation.name} is not caught by {SEEDS_MAX} seeds")


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_broken_rule_is_caught_by_its_checker(mutation: Mutation) -> None:
    failure = _first_failure(mutation)
    assert failure.checker in mutation.expected, f"seed {failure.seed}: {failure.message}\n{failure.stack}"
    assert f"--seed {failure.seed}" in failure.command


def test_every_promise_is_broken_by_some_mutation() -> None:
    known = {kind.name for kind in CATALOGUE}
    expected = {name for mutation in MUTATIONS for name in mutation.expected}
    assert expected <= known | {CORES_OWN}
    assert known <= expected
    assert {mutation.name for mutation in MUTATIONS} >= MUST_BE_CAUGHT


def test_shrinking_takes_away_what_a_failure_does_not_need() -> None:
    mutation = next(mutation for mutation in MUTATIONS if mutation.name == "write quorum 3")
    with mutation.applied():
        failure = run_one(0)
        assert isinstance(failure, Failure)
        smaller = shrink(failure)
        assert smaller.checker == failure.checker
        assert set(smaller.without) > {"weather", "buggify"}
        again = run_one(smaller.seed, smaller.without)
        assert isinstance(again, Failure) and again.message == smaller.message


def test_the_command_line_tells_a_failure_and_how_to_run_it_again(capsys: pytest.CaptureFixture[str]) -> None:
    mutation = next(mutation for mutation in MUTATIONS if mutation.name == "write quorum 3")
    with mutation.applied():
        assert main(["--seeds", "2", "--jobs", "1", "--keep-going"]) == 1
        told = capsys.readouterr()
        assert main(["--seed", "0", "--shrink", "--without", "weather"]) == 1
    assert told.err.count("broken: acknowledged-never-lost") == 2
    assert "again: python -m aurora.sim --seed 1 --log" in told.err
    assert "2 failed" in told.out
    assert "again: python -m aurora.sim --seed 0 --without weather,buggify," in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--without", "rain"])


def test_the_command_line_lists_points_and_promises(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--points"]) == main(["--checks"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name, _ in points())
    assert all(kind.promise in listed for kind in CATALOGUE)


def test_a_failed_check_names_its_promise() -> None:
    error = CheckFailed("same-bytes", "page 3 differs")
    assert (error.checker, str(error)) == ("same-bytes", "same-bytes: page 3 differs")
