"""The settings of one run, all drawn from its seed: sizes, timings, weather, and which faults and workloads are on.

Small sizes make rare things common: hot log files of a few batches, caches of a few pages, groups of one page. Each run
enables a random subset of the faults (Groce et al., "Swarm Testing", 2012): a fault that is always on hides what
happens without it. ``without`` takes things away from a seed's run and leaves its other draws as they were: that is how
a failure is made smaller.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

from aurora.sim.world import Weather

FAULT_NAMES: Final = (
    "crash-node", "crash-all", "az-power", "power-mid-write", "sync-error", "disk-full", "slow-disk", "bit-rot",
    "empty-disk", "stop-node", "clock", "partition", "one-way-cut", "slow-link", "kill-writer", "pause-writer",
    "second-writer", "take-away", "lone-holder", "replace-node", "zone-away", "cut-proposal", "lost-sector",
)  # fmt: skip
WORKLOAD_NAMES: Final = ("bank", "scatter", "read-hold", "large", "hot-page", "idle")
SWITCHES: Final = ("buggify", "weather")
"""What else ``without`` can take away."""


@dataclass(frozen=True, slots=True)
class Knobs:
    """See the module. Sizes as in ``NodeConfig``."""

    pages: int
    pages_per_pg: int
    cache_mb: float
    log_cache_mb: float
    log_file_mb: float
    coalesce_log_mb: float
    coalesce_age_s: float
    gossip_ms: float
    in_flight_max: int
    retained_bytes_max: int
    commits_per_s: float
    storm_s: float
    strike: float
    """Probability of a stroke of bad luck a step."""
    inspect: float
    """Probability of an inspection a step."""
    weather: Weather
    spares: int
    """Nodes beyond six that may replace others."""
    tails: bool
    replace_after_s: float
    away_after_s: float
    buggify: bool
    faults: tuple[str, ...]
    workloads: tuple[str, ...]

    def __str__(self) -> str:
        return ", ".join(f"{field.name} {getattr(self, field.name)}" for field in fields(self))


def draw(seed: int, without: Collection[str] = ()) -> Knobs:
    """The settings of a seed's run, ``without`` some of its faults, workloads and switches."""
    rng = random.Random(f"{seed}/knobs")
    knobs = Knobs(
        pages=rng.choice((3, 5, 9, 9, 14)),
        pages_per_pg=rng.choice((1, 2, 3, 3, 8)),
        cache_mb=rng.choice((0.2, 0.2, 1.0)),
        log_cache_mb=rng.choice((0.001, 0.01, 1.0)),
        log_file_mb=rng.choice((0.001, 0.004, 0.02)),
        coalesce_log_mb=rng.choice((0.0005, 0.002, 0.01, 1.0)),
        coalesce_age_s=rng.choice((0.5, 1.0, 4.0)),
        gossip_ms=rng.choice((60.0, 150.0, 150.0, 300.0)),
        in_flight_max=rng.choice((1, 1, 3)),
        retained_bytes_max=rng.choice((1000, 4000, 100_000)),
        commits_per_s=rng.choice((15.0, 30.0, 60.0)),
        storm_s=rng.uniform(1.5, 4.5),
        strike=rng.choice((0.2, 0.4, 0.7)),
        inspect=rng.choice((0.1, 0.2, 0.3)),
        weather=Weather(
            loss=rng.choice((0.0, 0.005, 0.02)),
            duplicate=rng.choice((0.0, 0.02)),
            slow=rng.choice((0.0, 0.02, 0.1)),
        ),
        spares=rng.choice((0, 1, 3, 6)),
        tails=rng.random() < 0.25,
        replace_after_s=rng.choice((0.0, 0.0, 0.5, 1.5)),
        away_after_s=rng.choice((0.0, 0.0, 1.0)),
        buggify=rng.random() < 0.8,
        faults=_subset(seed, FAULT_NAMES, rng.choice((0.2, 0.4, 0.7))),
        workloads=_subset(seed, WORKLOAD_NAMES, 0.5) or ("scatter",),
    )
    return replace(
        knobs,
        buggify=knobs.buggify and "buggify" not in without,
        weather=Weather(slow=0.0, loss=0.0, duplicate=0.0) if "weather" in without else knobs.weather,
        faults=tuple(name for name in knobs.faults if name not in without),
        workloads=tuple(name for name in knobs.workloads if name not in without) or ("scatter",),
    )


def _subset(seed: int, names: Sequence[str], chance: float) -> tuple[str, ...]:
    """Each name by luck of its own, so that a new fault leaves a seed's other faults as they were."""
    return tuple(name for name in names if random.Random(f"{seed}/{name} is on").random() < chance)
