"""The simulation of a writer with readers over a fixed set of seeds, the seeds kept, and that a seed is a run."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from aurora.sim.compute.checks import WAITS
from aurora.sim.readers.checks import CATALOGUE
from aurora.sim.readers.faults import FAULTS
from aurora.sim.readers.knobs import FAULT_NAMES, READER_WORKLOAD_NAMES, draw
from aurora.sim.readers.runner import Totals, run_many, run_one
from aurora.sim.readers.session import READER_WORKLOADS
from aurora.sim.runs import Failure, quiet
from tests.sim.seeds import kept, told, traces

SEEDS = 24
KEPT = Path(__file__).with_name("readers_seeds.txt")
REPLAYED = 2


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    quiet()
    yield
    logging.disable(logging.NOTSET)


def test_seeds_keep_every_promise_and_try_it() -> None:
    totals = Totals()
    for outcome in run_many(range(100, 100 + SEEDS), os.cpu_count() or 1):
        assert not isinstance(outcome, Failure), told(outcome)
        totals.add(outcome)
    report = "\n".join(totals.report())
    assert all(totals.checked[kind.name] for kind in CATALOGUE if kind.name != WAITS), report
    assert set(totals.struck) == set(FAULTS), report
    assert {f"reader {name}" for name in READER_WORKLOADS} <= set(totals.ran), report
    assert totals.openings > SEEDS and totals.resumed and totals.anew, report


@pytest.mark.parametrize("seed", list(kept(KEPT)))
def test_seeds_kept(seed: int) -> None:
    outcome = run_one(seed)
    assert not isinstance(outcome, Failure), told(outcome)


def test_same_seed_same_trace_whatever_the_hash_seed_and_whatever_ran_before() -> None:
    run_one(REPLAYED + 1)
    here = run_one(REPLAYED)
    assert not isinstance(here, Failure)
    assert traces(REPLAYED, "--readers") == {f"seed {REPLAYED}: trace {here.trace:08x}"}


def test_names_in_the_knobs_are_those_of_the_classes() -> None:
    assert set(FAULT_NAMES) == set(FAULTS)
    assert set(READER_WORKLOAD_NAMES) == set(READER_WORKLOADS)


def test_leaving_a_fault_out_leaves_the_other_draws_as_they_were() -> None:
    whole = next(knobs for knobs in map(draw, range(100)) if len(knobs.faults) > 1)
    seed = next(seed for seed in range(100) if draw(seed) == whole)
    less = draw(seed, [whole.faults[0]])
    assert less.faults == whole.faults[1:]
    assert (less.reader_frames, less.workloads, less.storm_s) == (whole.reader_frames, whole.workloads, whole.storm_s)
