"""The compute half's simulator over a fixed set of seeds, the seeds kept, and that a seed is a run."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from aurora.sim.compute.checks import CATALOGUE, WAITS
from aurora.sim.compute.knobs import FAULT_NAMES, SERVICE_NAMES, WORKLOAD_NAMES, draw
from aurora.sim.compute.runner import Totals, run_many, run_one
from aurora.sim.compute.scenario import EXPECTED, FAULTS
from aurora.sim.compute.workloads import SERVICES, WORKLOADS
from aurora.sim.runs import Failure, quiet
from tests.sim.seeds import kept, told, traces

SEEDS = 64
KEPT = Path(__file__).with_name("compute_seeds.txt")
REPLAYED = 7


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    quiet()
    yield
    logging.disable(logging.NOTSET)


def test_seeds_keep_every_promise_and_try_it() -> None:
    totals = Totals()
    for outcome in run_many(range(SEEDS), os.cpu_count() or 1):
        assert not isinstance(outcome, Failure), told(outcome)
        totals.add(outcome)
    report = "\n".join(totals.report())
    assert all(totals.checked[kind.name] > SEEDS for kind in CATALOGUE if kind.name != WAITS), report
    assert set(totals.struck) == set(FAULTS), report
    assert set(totals.ran) == {*WORKLOADS, *SERVICES}, report
    assert set(totals.errors) == EXPECTED, report
    assert totals.evictions > SEEDS and totals.crashes > SEEDS // 4, report


@pytest.mark.parametrize("seed", list(kept(KEPT)))
def test_seeds_kept(seed: int) -> None:
    outcome = run_one(seed)
    assert not isinstance(outcome, Failure), told(outcome)


def test_same_seed_same_trace_whatever_the_hash_seed_and_whatever_ran_before() -> None:
    run_one(REPLAYED + 1)
    here = run_one(REPLAYED)
    assert not isinstance(here, Failure)
    assert traces(REPLAYED, "--compute") == {f"seed {REPLAYED}: trace {here.trace:08x}"}


def test_names_in_the_knobs_are_those_of_the_classes() -> None:
    assert set(FAULT_NAMES) == set(FAULTS)
    assert set(WORKLOAD_NAMES) == set(WORKLOADS)
    assert set(SERVICE_NAMES) == set(SERVICES)


def test_leaving_a_fault_out_leaves_the_other_draws_as_they_were() -> None:
    whole = draw(REPLAYED)
    less = draw(REPLAYED, [whole.workloads[0]])
    assert less.workloads == whole.workloads[1:]
    assert (less.frames, less.faults, less.services, less.storm_s) == (
        whole.frames, whole.faults, whole.services, whole.storm_s
    )  # fmt: skip
