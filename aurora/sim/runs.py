"""Many seeds over processes, for each of the simulators: what fails and how to run it again, what was exercised.

A seed's run is a function of the seed alone, so processes share nothing and results come back in seed order. A failure
is data here (``Failure``); ``shrink`` takes faults, workloads and switches away from it while it stays the same. Every
seed ends: virtual time has ``EVENTS_MAX`` events (``aurora/sim/world.py``), and code that never comes back to it
``SEED_CPU_S``.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, fields
from typing import Final, Generic, Protocol, TypeVar

from aurora.errors import InvariantViolation
from aurora.sim.checks import CheckFailed
from aurora.sim.world import Endless, World

CORES_OWN: Final = "the cores' own invariants"
CHUNK_SEEDS: Final = 4
SEED_CPU_S: Final = 120.0
"""A seed takes 0.3 s, now and then 5 s."""


class HasCounts(Protocol):
    """What a run did; every other field that ``Totals`` has too is added up."""

    @property
    def seed(self) -> int:
        """Whose run it was."""

    @property
    def trace(self) -> int:
        """Its checksum."""


_Outcome = TypeVar("_Outcome", bound=HasCounts)
_Made = TypeVar("_Made", bound=HasCounts, covariant=True)


class Runs(Protocol[_Made]):
    """A seed's scenario."""

    @property
    def world(self) -> World:
        """Where it happens."""

    def run(self) -> _Made:
        """From the beginning to the end."""


@dataclass(frozen=True)
class Failure:
    """A seed that failed. ``checker``: which promise was broken; ``recent``: the trace's last lines."""

    seed: int
    without: tuple[str, ...]
    checker: str
    message: str
    knobs: str
    recent: tuple[str, ...]
    stack: str
    which: str = ""
    """the simulator's flag, where it is not storage's"""

    @property
    def command(self) -> str:
        """What replays it."""
        less = f" --without {','.join(self.without)}" if self.without else ""
        return f"python -m aurora.sim {self.which}--seed {self.seed}{less} --log"


@dataclass
class Totals:
    """Sums over the runs that ended well; ``struck`` counts faults that did something."""

    seeds: int = 0
    commits: int = 0
    checked: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: HasCounts) -> None:
        """Add one run."""
        for each in fields(self):
            name = each.name
            if name == "seeds":
                self.seeds += 1
            elif isinstance(counts := getattr(self, name), Counter):
                counts.update(getattr(outcome, name))
            else:
                setattr(self, name, counts + getattr(outcome, name))

    def promises(self, names: Iterable[tuple[str, str]]) -> Iterator[str]:
        """Lines for people: how often each ``(name, promise)`` was looked at."""
        yield "checked:"
        for name, promise in names:
            yield f"  {self.checked[name]:>10}  {name}: {promise}"


def counts(title: str, each: Counter[str]) -> str:
    """A line for people."""
    return f"{title}: " + ", ".join(f"{name} {count}" for name, count in sorted(each.items()))


@dataclass(frozen=True)
class Runner(Generic[_Outcome]):
    """One of the simulators. ``which``: its flag. ``parts``: what ``shrink`` tries to leave out of a run's knobs.
    ``around``: what holds while a seed runs."""

    which: str
    scenario: Callable[[int, Collection[str]], Runs[_Outcome]]
    draw: Callable[[int, Collection[str]], object]
    parts: tuple[str, ...]
    switches: tuple[str, ...] = ()
    around: Callable[[], AbstractContextManager[object]] = nullcontext

    def run_one(self, seed: int, without: Collection[str] = ()) -> _Outcome | Failure:
        """Run a seed; whatever it raises is its failure."""
        recent: tuple[str, ...] = ()
        try:
            scenario = self.scenario(seed, without)
            try:
                with self.around(), _bounded():
                    return scenario.run()
            except Exception:
                recent = tuple(scenario.world.recent)
                raise
        except Exception as error:
            checker = error.checker if isinstance(error, CheckFailed) else CORES_OWN
            kind = "" if isinstance(error, CheckFailed | InvariantViolation) else f"{type(error).__name__}: "
            return Failure(
                seed, tuple(without), checker, f"{kind}{error}", str(self.draw(seed, without)), recent,
                traceback.format_exc(), self.which,
            )  # fmt: skip

    def run_many(self, seeds: Iterable[int], jobs: int, without: Collection[str] = ()) -> Iterator[_Outcome | Failure]:
        """Run seeds over ``jobs`` processes (1: in this one); the results in the order of the seeds."""
        seeds = list(seeds)
        if jobs <= 1:
            yield from (self.run_one(seed, without) for seed in seeds)
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, mp_context=context, initializer=quiet) as pool:
            yield from pool.map(self.run_one, seeds, [tuple(without)] * len(seeds), chunksize=CHUNK_SEEDS)

    def shrink(self, failure: Failure) -> Failure:
        """The same failure (by the same checker) with as little switched on as one pass of leaving things out finds."""
        knobs = self.draw(failure.seed, failure.without)
        for name in (*self.switches, *(name for part in self.parts for name in getattr(knobs, part))):
            smaller = self.run_one(failure.seed, (*failure.without, name))
            if isinstance(smaller, Failure) and smaller.checker == failure.checker:
                failure = smaller
        return failure


@contextmanager
def _bounded() -> Iterator[None]:
    """What runs inside, in the main thread, ends after ``SEED_CPU_S`` of this process' time, where it stands."""

    def over(_signal: int, _frame: object) -> None:
        raise Endless(f"the run has taken {SEED_CPU_S} s of the processor")

    usual = signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, SEED_CPU_S, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, usual)


def quiet() -> None:
    """The cores log what the faults do to them: nobody wants to read that of a thousand runs."""
    logging.disable(logging.CRITICAL)
