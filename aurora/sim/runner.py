"""Many seeds over processes: what fails and how to run it again, what was exercised, which points fired.

A seed's run is a function of the seed alone, so processes share nothing and results come back in seed order. A failure
is data here (``Failure``); ``shrink`` takes faults, workloads and switches away from it while it stays the same.
"""

from __future__ import annotations

import logging
import multiprocessing
import traceback
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from aurora.errors import InvariantViolation
from aurora.sim.checks import CATALOGUE, CheckFailed
from aurora.sim.knobs import SWITCHES, draw
from aurora.sim.model import STEPS
from aurora.sim.points import points
from aurora.sim.scenario import Outcome, Scenario

CORES_OWN: Final = "the cores' own invariants"
CHUNK_SEEDS: Final = 4


@dataclass(frozen=True)
class Failure:
    """A seed that failed. ``checker``: which promise was broken; ``recent``: the trace's last lines."""

    seed: int
    without: tuple[str, ...]
    checker: str
    message: str
    knobs: str
    recent: tuple[str, ...]
    stack: str
    which: str = ""
    """the simulator's flag, where it is not storage's"""

    @property
    def command(self) -> str:
        """What replays it."""
        less = f" --without {','.join(self.without)}" if self.without else ""
        return f"python -m aurora.sim {self.which}--seed {self.seed}{less} --log"


@dataclass
class Totals:
    """Sums over the runs that ended well; ``struck`` counts faults that did something, ``steps`` committed changes
    of the fleet, ``fired`` points, ``checked`` comparisons.
    """

    seeds: int = 0
    commits: int = 0
    openings: int = 0
    checked: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    fired: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Add one run."""
        self.seeds += 1
        self.commits += outcome.commits
        self.openings += outcome.openings
        self.checked.update(outcome.checked)
        self.struck.update(outcome.struck)
        self.steps.update(outcome.steps)
        self.fired.update(outcome.fired)

    def report(self) -> Iterator[str]:
        """Lines for people."""
        yield f"{self.seeds} seeds: {self.commits} commits, {self.openings} writers opened"
        yield "checked:"
        for kind in CATALOGUE:
            yield f"  {self.checked[kind.name]:>10}  {kind.name}: {kind.promise}"
        yield "faults:  " + ", ".join(f"{name} {count}" for name, count in sorted(self.struck.items()))
        yield "fleet:   " + ", ".join(f"{name} {self.steps[name]}" for name in STEPS)
        names = [name for name, _ in points()]
        yield "points:  " + ", ".join(f"{name} {self.fired[name]}" for name in names)
        silent = [name for name in names if not self.fired[name]]
        if silent:
            yield "points that never fired: " + ", ".join(silent)


def run_one(seed: int, without: Collection[str] = ()) -> Outcome | Failure:
    """Run a seed; whatever it raises is its failure."""
    recent: tuple[str, ...] = ()
    try:
        scenario = Scenario(seed, without)
        try:
            return scenario.run()
        except Exception:
            recent = tuple(scenario.world.recent)
            raise
    except Exception as error:
        checker = error.checker if isinstance(error, CheckFailed) else CORES_OWN
        kind = "" if isinstance(error, CheckFailed | InvariantViolation) else f"{type(error).__name__}: "
        return Failure(
            seed, tuple(without), checker, f"{kind}{error}", str(draw(seed, without)), recent, traceback.format_exc()
        )


def run_many(seeds: Iterable[int], jobs: int, without: Collection[str] = ()) -> Iterator[Outcome | Failure]:
    """Run seeds over ``jobs`` processes (1: in this one); the results in the order of the seeds."""
    seeds = list(seeds)
    if jobs <= 1:
        yield from (run_one(seed, without) for seed in seeds)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=quiet) as pool:
        yield from pool.map(run_one, seeds, [tuple(without)] * len(seeds), chunksize=CHUNK_SEEDS)


def quiet() -> None:
    """The cores log what the faults do to them: nobody wants to read that of a thousand runs."""
    logging.disable(logging.CRITICAL)


def shrink(failure: Failure) -> Failure:
    """The same failure (by the same checker) with as little switched on as one pass of leaving things out finds."""
    knobs = draw(failure.seed, failure.without)
    for name in (*SWITCHES, *knobs.faults, *knobs.workloads):
        smaller = run_one(failure.seed, (*failure.without, name))
        if isinstance(smaller, Failure) and smaller.checker == failure.checker:
            failure = smaller
    return failure
