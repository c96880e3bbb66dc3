"""The settings of one run, all drawn from its seed: caches of a few pages, keys of a small range, commits that take
long to be durable. ``aurora/sim/knobs.py`` says why they are extreme.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

FAULT_NAMES: Final = ("crash", "cancel", "slow-log", "slow-pages")
WORKLOAD_NAMES: Final = (
    "bank", "keys", "savepoints", "row-locks", "cursors", "tables", "table-locks", "big-rows", "bulk", "scans",
)  # fmt: skip
SERVICE_NAMES: Final = ("vacuum", "autovacuum", "give-back")
"""What the writer does beside its clients."""


@dataclass(frozen=True, slots=True)
class Knobs:
    """See the module."""

    frames: int
    sessions: int
    pages_per_pg: int
    page_wait: float
    """Probability that a page read waits, and for how long on average."""
    page_s: float
    flush_s: tuple[float, float]
    """From a flush to its ack."""
    space_wait: float
    """Probability that log space or a new protection group is waited for."""
    jitter_s: float
    think_s: float
    storm_s: float
    strike: float
    inspect: float
    keys: int
    """Different values of the columns that conflict."""
    pad_bytes: int
    repeatable: float
    """Share of REPEATABLE READ transactions."""
    pipelined: float
    """Share of commits whose answer the client does not wait for."""
    verify: bool
    """Replay every mini-transaction on the before-images."""
    xid_range: int
    """Xids that one write of the superblock reserves."""
    faults: tuple[str, ...]
    workloads: tuple[str, ...]
    services: tuple[str, ...]

    def __str__(self) -> str:
        return ", ".join(f"{field.name} {getattr(self, field.name)}" for field in fields(self))


def draw(seed: int, without: Collection[str] = ()) -> Knobs:
    """The settings of a seed's run, ``without`` some of its faults, workloads and services."""
    rng = random.Random(f"{seed}/compute knobs")
    knobs = Knobs(
        frames=rng.choice((24, 32, 48, 200)),
        sessions=rng.randint(2, 6),
        pages_per_pg=rng.choice((16, 64, 512)),
        page_wait=rng.choice((0.2, 0.6, 1.0)),
        page_s=rng.choice((0.0005, 0.002, 0.01)),
        flush_s=rng.choice(((0.0005, 0.002), (0.002, 0.02), (0.01, 0.08))),
        space_wait=rng.choice((0.0, 0.02, 0.2)),
        jitter_s=rng.choice((0.0, 0.0001, 0.001)),
        think_s=rng.choice((0.0, 0.002, 0.01)),
        storm_s=rng.uniform(0.6, 1.6),
        strike=rng.choice((0.05, 0.15, 0.3)),
        inspect=rng.choice((0.1, 0.2)),
        keys=rng.choice((4, 12, 40)),
        pad_bytes=rng.choice((40, 400, 900)),
        repeatable=rng.choice((0.0, 0.2, 0.5)),
        pipelined=rng.choice((0.0, 0.3, 0.8)),
        verify=rng.random() < 0.3,
        xid_range=rng.choice((20, 2000, 4096)),
        faults=_subset(seed, FAULT_NAMES, rng.choice((0.3, 0.6, 0.9))),
        workloads=_subset(seed, WORKLOAD_NAMES, 0.5) or ("keys",),
        services=_subset(seed, SERVICE_NAMES, 0.7),
    )
    return replace(
        knobs,
        faults=tuple(name for name in knobs.faults if name not in without),
        workloads=tuple(name for name in knobs.workloads if name not in without) or ("keys",),
        services=tuple(name for name in knobs.services if name not in without),
    )


def _subset(seed: int, names: Sequence[str], chance: float) -> tuple[str, ...]:
    return tuple(name for name in names if random.Random(f"{seed}/compute {name} is on").random() < chance)
