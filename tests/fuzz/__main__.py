"""``python -m tests.fuzz``: random queries until a number or a number of differences."""

from __future__ import annotations

import argparse
import gc
import logging
import multiprocessing
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
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
TOLD_CASES = 4
"""After so many cases it is told how far it is."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--queries", type=int, default=5000, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="where to begin (default: %(default)s)")
    parser.add_argument("--case", type=int, default=0, help="the first case of the seed (default: %(default)s)")
    parser.add_argument("--differences", type=int, default=1, help="stop after so many (default: %(default)s)")
    parser.add_argument("--timeout-ms", type=int, default=2000, help="of a statement (default: %(default)s)")
    parser.add_argument("--postgres", metavar="DSN", help="a PostgreSQL 15 to compare with: a database of its own")
    parser.add_argument("--server", metavar="DSN", help="the server to test (default: a cluster in each process)")
    parser.add_argument("--kind", choices=["all", "mixed", "bulk", "views"], default="all", help="of cases")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the cases (default: %(default)s)")
    given = parser.parse_args()
    if given.jobs == 1:
        tally = _some(given, 0)
    else:
        with ProcessPoolExecutor(given.jobs, multiprocessing.get_context("spawn")) as pool:
            tally = Tally()
            for each in pool.map(_some, [given] * given.jobs, range(given.jobs)):
                tally.add(each)
    asked = f"{tally.queries} queries over {tally.cases} sets of tables"
    print(f"{asked}, {tally.errors} of them errors, {tally.late} too long, {tally.differences} differences")
    for told, count in sorted(tally.told.items(), key=lambda item: -item[1])[:20]:
        print(f"{count:6} {told}")
    return 1 if tally.differences else 0


def _some(given: argparse.Namespace, job: int) -> Tally:
    """The job's cases, in this process, to their end or to so many differences."""
    logging.getLogger().setLevel(logging.ERROR)  # a loop that stands still for a moment is no difference
    gc.set_threshold(*GC_THRESHOLDS)
    if _MEMORY.is_dir():
        tempfile.tempdir = str(_MEMORY)
    schema = f"fuzz{job or ''}"
    last = given.case + max(1, -(-given.queries // QUERIES_A_CASE))
    kinds = KINDS if given.kind == "all" else [kind for kind in (MIXED, BULK, VIEWS) if kind.name == given.kind]
    tally = Tally()

    def found(script: str) -> None:
        print(script, end="\n\n", flush=True)
        if tally.differences >= given.differences:
            raise Difference

    with aurora.cluster() as cluster:
        own = connect(given.server or cluster.dsn, given.timeout_ms, schema)
        other = connect(given.postgres, given.timeout_ms, schema) if given.postgres else None
        gc.collect()
        gc.freeze()
        cases = cases_of(job, given.jobs, range(given.case, last))
        with suppress(Difference):
            for _ in fuzz(Servers(own, other, schema), given.seed, cases, found, tally, kinds):
                if not tally.cases % TOLD_CASES:
                    told = f"{tally.queries} queries, {tally.errors} errors, {tally.late} too long"
                    print(told, file=sys.stderr, flush=True)
    return tally


if __name__ == "__main__":
    sys.exit(main())
