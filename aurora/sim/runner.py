"""Seeds of the storage half; see ``aurora/sim/runs.py``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from aurora.sim import runs
from aurora.sim.checks import CATALOGUE
from aurora.sim.knobs import SWITCHES, draw
from aurora.sim.model import STEPS
from aurora.sim.points import points
from aurora.sim.runs import Runner
from aurora.sim.scenario import Outcome, Scenario


@dataclass
class Totals(runs.Totals):
    """``steps`` counts committed changes of the fleet, ``fired`` points."""

    openings: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    fired: Counter[str] = field(default_factory=Counter)

    def report(self) -> Iterator[str]:
        """Lines for people."""
        yield f"{self.seeds} seeds: {self.commits} commits, {self.openings} writers opened"
        yield from self.promises((kind.name, kind.promise) for kind in CATALOGUE)
        yield runs.counts("faults", self.struck)
        yield "fleet: " + ", ".join(f"{name} {self.steps[name]}" for name in STEPS)
        names = [name for name, _ in points()]
        yield "points: " + ", ".join(f"{name} {self.fired[name]}" for name in names)
        silent = [name for name in names if not self.fired[name]]
        if silent:
            yield "points that never fired: " + ", ".join(silent)


RUNNER: Runner[Outcome] = Runner("", Scenario, draw, ("faults", "workloads"), SWITCHES)
run_one, run_many, shrink = RUNNER.run_one, RUNNER.run_many, RUNNER.shrink
