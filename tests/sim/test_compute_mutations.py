"""Each broken rule of the compute half is caught, within the budget of seeds, by the checker of what it breaks."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from aurora.sim.__main__ import main
from aurora.sim.compute.checks import CATALOGUE, LOG, WAITS
from aurora.sim.compute.runner import run_one, shrink
from aurora.sim.runs import CORES_OWN, Failure, quiet
from tests.sim.compute_mutations import MUTATIONS
from tests.sim.mutations import Mutation

SEEDS_MAX = 200
HELD_BY_OTHERS = {WAITS, LOG}
"""A wait without an end ends a run anyhow; the log's pages are the redo kernels' tests'."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    quiet()
    yield
    logging.disable(logging.NOTSET)


def _first_failure(mutation: Mutation) -> Failure:
    for seed in range(mutation.first, mutation.first + SEEDS_MAX):
        with mutation.applied():
            outcome = run_one(seed)
        if isinstance(outcome, Failure):
            return outcome
    pytest.fail(f"{mutation.name} is not caught by {SEEDS_MAX} seeds from {mutation.first} on")


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_broken_rule_is_caught_by_its_checker(mutation: Mutation) -> None:
    failure = _first_failure(mutation)
    assert failure.checker in mutation.expected, f"seed {failure.seed}: {failure.message}\n{failure.stack}"
    assert f"--compute --seed {failure.seed}" in failure.command


def test_every_promise_is_broken_by_some_mutation() -> None:
    known = {kind.name for kind in CATALOGUE}
    expected = {name for mutation in MUTATIONS for name in mutation.expected}
    assert expected <= known | {CORES_OWN}
    assert known - HELD_BY_OTHERS <= expected


def test_shrinking_and_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    mutation = next(mutation for mutation in MUTATIONS if mutation.name == "locks pass on without their LSN")
    failure = _first_failure(mutation)
    with mutation.applied():
        smaller = shrink(failure)
        assert smaller.checker == failure.checker and len(smaller.without) > 2
        assert main(["--compute", "--first", str(failure.seed), "--seeds", "1", "--jobs", "1"]) == 1
    assert f"again: python -m aurora.sim --compute --seed {failure.seed} --log" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--compute", "--without", "az-power"])
    assert main(["--compute", "--checks"]) == 0
    assert all(kind.promise in capsys.readouterr().out for kind in CATALOGUE[:1])
