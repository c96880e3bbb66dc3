"""``python -m aurora.sim``: run seeds; a failure prints its seed, the promise broken, and how to run it again.

``--seeds N [--first F] [--jobs J]`` runs many, ``--seed S [--without A,B] [--log]`` one, ``--shrink`` makes a failure
smaller, ``--points`` and ``--checks`` list what there is. ``--compute`` runs the compute half's simulator
(``aurora/sim/compute``) instead of the storage half's, ``--readers`` that of a writer and its readers
(``aurora/sim/readers``).
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from aurora.sim import runner as storage_runner
from aurora.sim.checks import CATALOGUE
from aurora.sim.compute import checks as compute_checks
from aurora.sim.compute import knobs as compute_knobs
from aurora.sim.compute import runner as compute_runner
from aurora.sim.faults import FAULTS
from aurora.sim.knobs import SWITCHES, draw
from aurora.sim.points import points
from aurora.sim.readers import checks as readers_checks
from aurora.sim.readers import knobs as readers_knobs
from aurora.sim.readers import runner as readers_runner
from aurora.sim.runs import Failure, quiet
from aurora.sim.workloads import WORKLOADS

PROGRESS_S = 10.0
TRACE_LINES = 60


class _Which(NamedTuple):
    """One of the simulators: its runner module, what draws its knobs, its promises, what ``--without`` knows."""

    runner: Any
    draw: Callable[..., object]
    promises: Iterable[Any]
    names: set[str]


_STORAGE = _Which(storage_runner, draw, CATALOGUE, {*FAULTS, *WORKLOADS, *SWITCHES})
_COMPUTE = _Which(
    compute_runner,
    compute_knobs.draw,
    compute_checks.CATALOGUE,
    {*compute_knobs.FAULT_NAMES, *compute_knobs.WORKLOAD_NAMES, *compute_knobs.SERVICE_NAMES},
)
_READERS = _Which(
    readers_runner,
    readers_knobs.draw,
    readers_checks.CATALOGUE,
    {
        *readers_knobs.FAULT_NAMES,
        *readers_knobs.WORKLOAD_NAMES,
        *readers_knobs.SERVICE_NAMES,
        *readers_knobs.READER_WORKLOAD_NAMES,
    },
)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m aurora.sim", description=__doc__)
    parser.add_argument("--compute", action="store_true", help="transactions, locks, cache, vacuum, extents")
    parser.add_argument("--readers", action="store_true", help="a writer, its readers, promotions")
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count(), help="processes (default: the cores)")
    parser.add_argument("--seed", type=int, help="run this one seed only and print its trace's checksum")
    parser.add_argument("--without", default="", help="faults, workloads and switches to leave out, with commas")
    parser.add_argument("--shrink", action="store_true", help="try a failure with less and less switched on")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first failure")
    parser.add_argument("--log", action="store_true", help="with --seed: show the trace and what the cores log")
    parser.add_argument("--points", action="store_true", help="list the fault points in the code")
    parser.add_argument("--checks", action="store_true", help="list the promises")
    arguments = parser.parse_args(argv)
    arguments.without = tuple(filter(None, arguments.without.split(",")))
    arguments.which = _READERS if arguments.readers else _COMPUTE if arguments.compute else _STORAGE
    unknown = set(arguments.without) - arguments.which.names
    if unknown:
        parser.error(f"--without does not know {', '.join(sorted(unknown))}")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Exit status 1 when a seed fails."""
    arguments = _parse(argv)
    if arguments.points:
        print("\n".join(f"{name:28} {where}" for name, where in points()))
        return 0
    if arguments.checks:
        print("\n".join(f"{kind.name:28} {kind.promise}" for kind in arguments.which.promises))
        return 0
    if arguments.log:
        logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="           %(name)s: %(message)s")
    else:
        quiet()
    if arguments.seed is not None:
        print(f"seed {arguments.seed}: {arguments.which.draw(arguments.seed, arguments.without)}")
        outcome = arguments.which.runner.run_one(arguments.seed, arguments.without)
        if isinstance(outcome, Failure):
            _tell(outcome, arguments)
            return 1
        print(f"seed {arguments.seed}: trace {outcome.trace:08x}")
        return 0
    return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    failed = 0
    runner = arguments.which.runner
    totals = runner.Totals()
    began = told = time.monotonic()
    for outcome in runner.run_many(seeds, arguments.jobs, arguments.without):
        if isinstance(outcome, Failure):
            failed += 1
            _tell(outcome, arguments)
            if not arguments.keep_going:
                return 1
        else:
            totals.add(outcome)
        now = time.monotonic()
        if now - told > PROGRESS_S:
            told = now
            done = totals.seeds + failed
            print(f"{done} of {len(seeds)} seeds, {done / (now - began):.1f} a second", flush=True)
    took = time.monotonic() - began
    print("\n".join(totals.report()))
    print(f"{took:.1f} s, {len(seeds) / took:.1f} seeds a second on {arguments.jobs} processes; {failed} failed")
    return int(failed > 0)


def _tell(failure: Failure, arguments: argparse.Namespace) -> None:
    if arguments.shrink:
        failure = arguments.which.runner.shrink(failure)
    sys.stderr.write("\n".join(_lines(failure)) + "\n")


def _lines(failure: Failure) -> Iterator[str]:
    yield from failure.recent[-TRACE_LINES:]
    yield failure.stack
    yield f"seed {failure.seed}: {failure.knobs}"
    yield f"seed {failure.seed} fails: {failure.message}"
    yield f"broken: {failure.checker}"
    yield f"again: {failure.command}"


if __name__ == "__main__":
    sys.exit(main())
