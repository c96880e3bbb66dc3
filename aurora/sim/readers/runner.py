"""Many seeds over processes, as ``aurora/sim/compute/runner.py`` does."""

from __future__ import annotations

import multiprocessing
import traceback
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from aurora.errors import InvariantViolation
from aurora.sim.checks import CheckFailed
from aurora.sim.compute.runner import small_hash_pages
from aurora.sim.readers.checks import CATALOGUE
from aurora.sim.readers.knobs import draw
from aurora.sim.readers.scenario import Outcome, Scenario
from aurora.sim.runner import CHUNK_SEEDS, CORES_OWN, Failure, quiet


@dataclass
class Totals:
    """Sums over the runs that ended well."""

    seeds: int = 0
    commits: int = 0
    openings: int = 0
    resumed: int = 0
    taken_over: int = 0
    anew: int = 0
    checked: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    ran: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Add one run."""
        self.seeds += 1
        self.commits += outcome.commits
        self.openings += outcome.openings
        self.resumed += outcome.resumed
        self.taken_over += outcome.taken_over
        self.anew += outcome.anew
        self.checked.update(outcome.checked)
        self.struck.update(outcome.struck)
        self.errors.update(outcome.errors)
        self.ran.update(outcome.ran)

    def report(self) -> Iterator[str]:
        """Lines for people."""
        yield f"{self.seeds} seeds: {self.commits} commits, {self.openings} writers opened"
        yield f"streams that went on: {self.resumed}, that began anew: {self.anew}"
        yield f"held on by another writer: {self.taken_over}"
        yield "checked:"
        for kind in CATALOGUE:
            yield f"  {self.checked[kind.name]:>10}  {kind.name}: {kind.promise}"
        for title, counts in (("faults", self.struck), ("errors", self.errors), ("ran", self.ran)):
            yield f"{title}: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def run_one(seed: int, without: Collection[str] = ()) -> Outcome | Failure:
    """Run a seed; whatever it raises is its failure."""
    recent: tuple[str, ...] = ()
    try:
        scenario = Scenario(seed, without)
        try:
            with small_hash_pages():
                return scenario.run()
        except Exception:
            recent = tuple(scenario.world.recent)
            raise
    except Exception as error:
        checker = error.checker if isinstance(error, CheckFailed) else CORES_OWN
        kind = "" if isinstance(error, CheckFailed | InvariantViolation) else f"{type(error).__name__}: "
        return Failure(
            seed, tuple(without), checker, f"{kind}{error}", str(draw(seed, without)), recent, traceback.format_exc(),
            "--readers ",
        )  # fmt: skip


def run_many(seeds: Iterable[int], jobs: int, without: Collection[str] = ()) -> Iterator[Outcome | Failure]:
    """Run seeds over ``jobs`` processes (1: in this one); the results in the order of the seeds."""
    seeds = list(seeds)
    if jobs <= 1:
        yield from (run_one(seed, without) for seed in seeds)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=quiet) as pool:
        yield from pool.map(run_one, seeds, [tuple(without)] * len(seeds), chunksize=CHUNK_SEEDS)


def shrink(failure: Failure) -> Failure:
    """The same failure with as few faults, workloads and services as one pass of leaving things out finds."""
    knobs = draw(failure.seed, failure.without)
    for name in (*knobs.faults, *knobs.services, *knobs.workloads, *knobs.reader_workloads):
        smaller = run_one(failure.seed, (*failure.without, name))
        if isinstance(smaller, Failure) and smaller.checker == failure.checker:
            failure = smaller
    return failure
