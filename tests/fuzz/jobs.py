"""A job: some of a run's cases, in a process of its own, with a cluster of its own."""

from __future__ import annotations

import gc
import logging
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import aurora
from compute_node.__main__ import GC_THRESHOLDS
from tests.fuzz.run import (
    BULK,
    KINDS,
    MIXED,
    QUERIES_A_CASE,
    VIEWS,
    Difference,
    Servers,
    Tally,
    cases_of,
    connect,
    fuzz,
)

_MEMORY = Path("/dev/shm")
"""Where the cluster's files are, if there is such a folder: no query waits for a disk."""
_TOLD_CASES = 4
"""After so many cases it is told how far it is."""


@dataclass(frozen=True, slots=True)
class Run:
    """What ``python -m tests.fuzz`` was asked for; ``--help`` says what each of them is."""

    queries: int
    seed: list[int]
    case: int
    differences: int
    timeout_ms: int
    postgres: str | None
    server: str | None
    kind: str
    jobs: int


def cases_in(run: Run, job: int) -> Tally:
    """The job's cases of each seed, in this process, to their end or to so many differences; each is printed."""
    logging.getLogger().setLevel(logging.ERROR)  # a loop that stands still for a moment is no difference
    gc.set_threshold(*GC_THRESHOLDS)
    if _MEMORY.is_dir():
        tempfile.tempdir = str(_MEMORY)
    schema = f"fuzz{job or ''}"
    last = run.case + max(1, -(-run.queries // (QUERIES_A_CASE * len(run.seed))))
    kinds = KINDS if run.kind == "all" else [kind for kind in (MIXED, BULK, VIEWS) if kind.name == run.kind]
    tally = Tally()

    def found(script: str) -> None:
        print(script, end="\n\n", flush=True)
        if tally.differences >= run.differences:
            raise Difference

    with aurora.cluster() as cluster:
        own = connect(run.server or cluster.dsn, run.timeout_ms, schema)
        other = connect(run.postgres, run.timeout_ms, schema) if run.postgres else None
        gc.collect()
        gc.freeze()
        with suppress(Difference):
            for seed in run.seed:
                cases = cases_of(job, run.jobs, range(run.case, last))
                for _ in fuzz(Servers(own, other, schema), seed, cases, found, tally, kinds):
                    if not tally.cases % _TOLD_CASES:
                        told = f"{tally.queries} queries, {tally.errors} errors, too long: {tally.late_at or 'none'}"
                        print(told, file=sys.stderr, flush=True)
    return tally
