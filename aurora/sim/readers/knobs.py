"""The settings of a run with readers: those of the compute half, smaller, and the readers' own."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Final

from aurora.sim.compute import knobs as compute
from aurora.sim.compute.knobs import SERVICE_NAMES, WORKLOAD_NAMES, Knobs

FAULT_NAMES: Final = (
    "kill-writer", "pause-writer", "second-writer", "both-promote", "old-writer", "cut-stream", "slow-stream",
    "pause-reader", "kill-reader", "cancel", "cancel-reader", "slow-log", "slow-pages",
)  # fmt: skip
READER_WORKLOAD_NAMES: Final = ("scans", "totals", "lookups", "open-cursors", "holders")


@dataclass(frozen=True, slots=True)
class ReaderKnobs(Knobs):
    """See the module."""

    readers: int
    reader_frames: int
    reader_sessions: int
    reader_workloads: tuple[str, ...]
    link_s: float
    silent_s: float
    """``SILENT_S`` of the feed"""
    kept_bytes: int
    """``KEPT_BYTES_MAX`` of the feed"""
    backlog_bytes: int
    """``BACKLOG_BYTES_MAX`` of the feed"""
    max_delay_s: float
    """How long a lock of the writer waits for sessions on a reader."""
    feedback: bool
    """``hot_standby_feedback``: else the writer holds nothing for what sessions on readers read, and tells what it
    removes"""

    def __str__(self) -> str:
        return ", ".join(f"{field.name} {getattr(self, field.name)}" for field in fields(self))


def draw(seed: int, without: Collection[str] = ()) -> ReaderKnobs:
    """The settings of a seed's run, ``without`` some of its faults, workloads and services."""
    rng = random.Random(f"{seed}/reader knobs")
    base = compute.draw(seed, without)
    settings = {field.name: getattr(base, field.name) for field in fields(base)}
    chance = rng.choice((0.3, 0.6, 0.9))
    settings |= {
        "storm_s": rng.uniform(0.2, 0.6),
        "sessions": rng.randint(2, 4),
        "frames": rng.choice((32, 48, 200)),
        "pad_bytes": rng.choice((40, 400)),
        "inspect": rng.choice((0.1, 0.3)),
        "strike": rng.choice((0.1, 0.2, 0.4)),
        "faults": tuple(
            name
            for name in FAULT_NAMES
            if name not in without and random.Random(f"{seed}/reader {name} is on").random() < chance
        ),
    }
    read = [name for name in READER_WORKLOAD_NAMES if random.Random(f"{seed}/reader {name} is on").random() < 0.6]
    return ReaderKnobs(
        **settings,
        readers=rng.choice((1, 2, 3, 3)),
        reader_frames=rng.choice((16, 24, 48, 200)),
        reader_sessions=rng.randint(1, 3),
        reader_workloads=tuple(name for name in read if name not in without) or ("totals",),
        link_s=rng.choice((0.0005, 0.002, 0.01)),
        silent_s=rng.choice((0.1, 0.2, 0.5)),
        kept_bytes=rng.choice((2_000, 20_000, 500_000)),
        backlog_bytes=rng.choice((20_000, 100_000, 1_000_000)),
        max_delay_s=rng.choice((0.005, 0.05, 0.2)),
        feedback=random.Random(f"{seed}/reader feedback").random() < 0.7,
    )


__all__ = ["FAULT_NAMES", "READER_WORKLOAD_NAMES", "SERVICE_NAMES", "WORKLOAD_NAMES", "ReaderKnobs", "draw"]
