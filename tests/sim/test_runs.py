"""Every seed comes to an end, and leaves nothing behind."""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection
from dataclasses import dataclass

import pytest

from aurora.sim import runs, world
from aurora.sim.compute import runner as compute
from aurora.sim.compute import scenario as compute_scenario
from aurora.sim.readers import runner as readers
from aurora.sim.runs import Failure, Runner
from aurora.sim.world import CALM, World


@dataclass
class _Ran:
    seed: int
    trace: int = 0


class _NoEnd:
    """Something happens again and again at one moment (seed 0), or nothing is given back (seed 1)."""

    def __init__(self, seed: int, _without: Collection[str]) -> None:
        self.seed = seed
        self.world = World(seed, CALM)
        self.world.waiting = lambda: ["somebody waits here"]

    def run(self) -> _Ran:
        if self.seed == 1:
            while True:
                pass
        self._again()
        self.world.run(1.0)
        return _Ran(self.seed)

    def _again(self) -> None:
        self.world.after(0.0, self._again)


NO_END: Runner[_Ran] = Runner("--none ", _NoEnd, lambda seed, without: f"knobs {seed}", ())


def test_a_run_that_does_not_end_fails_and_says_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "EVENTS_MAX", 1000)
    outcome = NO_END.run_one(0)
    assert isinstance(outcome, Failure)
    assert "1001 events up to 0.000000 s" in outcome.message and "somebody waits here" in outcome.message


def test_code_that_never_comes_back_is_ended_where_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "SEED_CPU_S", 0.05)
    outcome = NO_END.run_one(1)
    assert isinstance(outcome, Failure)
    assert "of the processor" in outcome.message and "while True" in outcome.stack


@pytest.mark.parametrize("run_one", [compute.run_one, readers.run_one], ids=["compute", "readers"])
def test_a_run_leaves_nothing_behind(run_one: Callable[[int], object]) -> None:
    for seed in range(3):
        run_one(seed)
    gc.collect()
    found = [each for each in gc.get_objects() if isinstance(each, compute_scenario.Scenario)]
    assert len(found) <= 1, "the last one is known to the hub's loop, nobody knows an earlier one"
