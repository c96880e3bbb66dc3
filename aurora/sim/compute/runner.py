"""Seeds of the compute half; see ``aurora/sim/runs.py``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aurora.sim import runs
from aurora.sim.compute.checks import CATALOGUE
from aurora.sim.compute.knobs import draw
from aurora.sim.compute.scenario import Outcome, Scenario
from aurora.sim.runs import Runner
from compute_node.access.hash import pages

HASH_PAGE_ENTRIES = 4


@dataclass
class Totals(runs.Totals):
    """``ran``: transactions and service rounds that came to their end."""

    crashes: int = 0
    evictions: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    ran: Counter[str] = field(default_factory=Counter)

    def report(self) -> Iterator[str]:
        """Lines for people."""
        yield f"{self.seeds} seeds: {self.commits} commits, {self.crashes} crashes, {self.evictions} pages evicted"
        yield from self.promises((kind.name, kind.promise) for kind in CATALOGUE)
        yield runs.counts("faults", self.struck)
        yield runs.counts("errors", self.errors)
        yield runs.counts("ran", self.ran)


@contextmanager
def small_hash_pages() -> Iterator[None]:
    """Hash indexes with few entries a page, so that a few rows make them split."""
    usual = pages.CAPACITY
    pages.CAPACITY = HASH_PAGE_ENTRIES
    try:
        yield
    finally:
        pages.CAPACITY = usual


RUNNER: Runner[Outcome] = Runner(
    "--compute ", Scenario, draw, ("faults", "services", "workloads"), around=small_hash_pages
)
run_one, run_many, shrink = RUNNER.run_one, RUNNER.run_many, RUNNER.shrink
