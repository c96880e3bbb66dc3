"""The simulator over a fixed set of seeds, the seeds kept, and that a seed is a run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aurora.sim.checks import CATALOGUE
from aurora.sim.faults import FAULTS
from aurora.sim.knobs import FAULT_NAMES, WORKLOAD_NAMES, draw
from aurora.sim.model import STEPS
from aurora.sim.points import points
from aurora.sim.runner import Totals, run_many, run_one
from aurora.sim.runs import Failure
from aurora.sim.workloads import WORKLOADS
from tests.log_rule import DAMAGE, DISK_REFUSES, FLEET_CHANGES
from tests.sim.seeds import kept, told, traces

pytestmark = pytest.mark.logs(DAMAGE, DISK_REFUSES, FLEET_CHANGES)

SEEDS = 200
KEPT = Path(__file__).with_name("seeds.txt")
REPLAYED = 7
HARDLY_EVER = {"fetch-log-cut", "recovery-looks-again", "recovery-fetches-part"}
"""Points that only some hundred seeds reach."""


def test_seeds_keep_every_promise_and_try_it() -> None:
    totals = Totals()
    for outcome in run_many(range(SEEDS), os.cpu_count() or 1):
        assert not isinstance(outcome, Failure), told(outcome)
        totals.add(outcome)
    report = "\n".join(totals.report())
    assert all(totals.checked[kind.name] > SEEDS for kind in CATALOGUE), report
    assert set(totals.struck) == set(FAULTS), report
    assert set(totals.steps) == set(STEPS), report
    assert {name for name, _ in points()} - set(totals.fired) <= HARDLY_EVER, report


@pytest.mark.parametrize("seed", list(kept(KEPT)))
def test_seeds_kept(seed: int) -> None:
    outcome = run_one(seed)
    assert not isinstance(outcome, Failure), told(outcome)


def test_same_seed_same_trace_whatever_the_hash_seed_and_whatever_ran_before() -> None:
    run_one(REPLAYED + 1)
    here = run_one(REPLAYED)
    assert not isinstance(here, Failure)
    assert traces(REPLAYED) == {f"seed {REPLAYED}: trace {here.trace:08x}"}


def test_names_in_the_knobs_are_those_of_the_classes() -> None:
    assert set(FAULT_NAMES) == set(FAULTS)
    assert set(WORKLOAD_NAMES) == set(WORKLOADS)


def test_leaving_a_fault_out_leaves_the_other_draws_as_they_were() -> None:
    whole = draw(REPLAYED)
    less = draw(REPLAYED, [whole.faults[0]])
    assert less.faults == whole.faults[1:]
    assert (less.pages, less.weather, less.workloads, less.storm_s) == (
        whole.pages, whole.weather, whole.workloads, whole.storm_s
    )  # fmt: skip
