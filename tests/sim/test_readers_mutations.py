"""Each broken rule of readers and promotions is caught, within the budget of seeds, by the checker of what it
breaks."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from aurora.sim.compute import checks as compute_checks
from aurora.sim.readers.checks import CATALOGUE
from aurora.sim.readers.runner import run_one
from aurora.sim.runs import CORES_OWN, Failure, quiet
from tests.sim.mutations import Mutation
from tests.sim.readers_mutations import MUTATIONS

SEEDS_MAX = 100


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    quiet()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_broken_rule_is_caught_by_its_checker(mutation: Mutation) -> None:
    for seed in range(mutation.first, mutation.first + SEEDS_MAX):
        with mutation.applied():
            outcome = run_one(seed)
        if isinstance(outcome, Failure):
            assert outcome.checker in mutation.expected, f"seed {seed}: {outcome.message}\n{outcome.stack}"
            assert f"--readers --seed {seed}" in outcome.command
            return
    pytest.fail(f"{mutation.name} is not caught by {SEEDS_MAX} seeds from {mutation.first} on")


def test_every_promise_that_readers_add_is_broken_by_some_mutation() -> None:
    known = {kind.name for kind in CATALOGUE}
    expected = {name for mutation in MUTATIONS for name in mutation.expected}
    assert expected <= known | {CORES_OWN}
    assert known - {kind.name for kind in compute_checks.CATALOGUE} <= expected
