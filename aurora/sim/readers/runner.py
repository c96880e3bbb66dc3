"""Seeds of a writer and its readers; see ``aurora/sim/runs.py``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from aurora.sim import runs
from aurora.sim.compute.runner import small_hash_pages
from aurora.sim.readers.checks import CATALOGUE
from aurora.sim.readers.knobs import draw
from aurora.sim.readers.scenario import Outcome, Scenario
from aurora.sim.runs import Runner


@dataclass
class Totals(runs.Totals):
    """``resumed``, ``anew``: streams that went on after a cut, and those that began again elsewhere."""

    openings: int = 0
    resumed: int = 0
    taken_over: int = 0
    anew: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    ran: Counter[str] = field(default_factory=Counter)

    def report(self) -> Iterator[str]:
        """Lines for people."""
        yield f"{self.seeds} seeds: {self.commits} commits, {self.openings} writers opened"
        yield f"streams that went on: {self.resumed}, that began anew: {self.anew}"
        yield f"held on by another writer: {self.taken_over}"
        yield from self.promises((kind.name, kind.promise) for kind in CATALOGUE)
        yield runs.counts("faults", self.struck)
        yield runs.counts("errors", self.errors)
        yield runs.counts("ran", self.ran)


RUNNER: Runner[Outcome] = Runner(
    "--readers ", Scenario, draw, ("faults", "services", "workloads", "reader_workloads"), around=small_hash_pages
)
run_one, run_many, shrink = RUNNER.run_one, RUNNER.run_many, RUNNER.shrink
