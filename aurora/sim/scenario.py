"""A seed's run: a storm in which workloads and faults meet, then a calm in which everything must come right.

::

    knobs.draw(seed) ─► cluster + workloads + faults ─► storm ─► heal ─► level ─► coalesced ─► every checker's last word

The calm must end: a fleet that has not converged within ``CALM_S`` has broken its last promise.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Final

from aurora.buggify import installed
from aurora.object_store import MemoryStore
from aurora.sim.checks import CheckFailed
from aurora.sim.cluster import SimCluster
from aurora.sim.faults import FAULTS, Fault
from aurora.sim.knobs import draw
from aurora.sim.points import Luck
from aurora.sim.workloads import WORKLOADS, Workload
from aurora.sim.world import CALM, World

STEP_S: Final = 0.1
CALM_S: Final = 30.0
CALM_STEP_S: Final = 0.25
BASELINE_HOLD_JUMP_S: Final = 60.0
"""Clocks jump so far before the last coalescing, so that nobody waits for a baseline's hold to end."""
COALESCE_AT_ONCE_MB: Final = 1e-9


@dataclass(frozen=True)
class Outcome:
    """What a run did. ``trace`` is its checksum: the same for the same seed. ``checked``: comparisons by checker.
    ``struck``: faults that did something. ``steps``: committed changes of the fleet (``model.STEPS``).
    """

    seed: int
    trace: int
    commits: int
    openings: int
    acknowledged_lsn: int
    checked: dict[str, int] = field(default_factory=dict)
    fired: dict[str, int] = field(default_factory=dict)
    struck: dict[str, int] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)


class Scenario:
    """Builds the fleet from the seed and drives it through a storm into the calm."""

    def __init__(self, seed: int, without: Collection[str] = (), store: MemoryStore | None = None) -> None:
        self.seed = seed
        self.knobs = draw(seed, without)
        self.world = World(seed, self.knobs.weather)
        self.luck = Luck(seed)
        self._rng = self.world.stream("scenario")
        with self._points():
            self.cluster = SimCluster(self.world, self.knobs, store)
            self.faults: list[Fault] = [FAULTS[name](self.cluster) for name in self.knobs.faults]
            self.workloads: list[Workload] = [WORKLOADS[name]() for name in self.knobs.workloads]
            self.cluster.start_writer()
            for workload in self.workloads:
                workload.start(self.world, self.cluster)
                self._next_tick(workload)

    def _points(self) -> nullcontext[None]:
        return installed(self.luck) if self.knobs.buggify else nullcontext()  # type: ignore[return-value]

    def _next_tick(self, workload: Workload) -> None:
        def due() -> None:
            if not self.cluster.calm:
                workload.tick()
                self._next_tick(workload)

        self.world.after(workload.rng.expovariate(self.knobs.commits_per_s), due)

    def run(self) -> Outcome:
        """The storm, then the calm. Raises CheckFailed, or what a core raised."""
        with self._points():
            self._storm()
        self._heal()
        self._level()
        self._coalesce()
        checks, ledger = self.cluster.checks, self.cluster.ledger
        for workload in self.workloads:
            workload.check()
        checks.finished(self.cluster.nodes)
        self.world.note(f"ends at {ledger.current.vdl if ledger.current else 0}, {self.world.rng.random()}")
        return Outcome(
            self.seed, self.world.trace, ledger.commits, len(ledger.openings), ledger.acknowledged,
            {checker.name: checker.exercised for checker in checks.all}, dict(self.luck.fired),
            {fault.name: fault.struck for fault in self.faults if fault.struck}, dict(ledger.steps),
        )  # fmt: skip

    def _storm(self) -> None:
        world, rng, cluster = self.world, self._rng, self.cluster
        weights = [fault.weight for fault in self.faults]
        while world.now < self.knobs.storm_s:
            if self.faults and rng.random() < self.knobs.strike:
                fault = rng.choices(self.faults, weights)[0]
                fault.struck += fault.strike()
            if cluster.lost() and rng.random() < 0.3:
                cluster.start_writer()
            world.run(world.now + STEP_S)
            if rng.random() < self.knobs.inspect:
                self._inspect()

    def _inspect(self) -> None:
        """Look at all nodes; read at the VDL or at some older point that no node may have collected."""
        ledger = self.cluster.ledger
        if ledger.current is not None:
            low = min(ledger.told_pgmrpl, ledger.current.vdl)
            point = ledger.current.vdl if self._rng.random() < 0.5 else self._rng.randint(low, ledger.current.vdl)
            self.cluster.checks.inspect(self.cluster.nodes, point)

    def _heal(self) -> None:
        world, cluster = self.world, self.cluster
        cluster.calm = True
        world.weather = CALM
        world.heal()
        for fault in self.faults:
            fault.heal()
        for node in cluster.nodes:
            if world.stands_still(node.name):
                world.go_on(node.name)
            node.start()
        for writer in cluster.writers:
            if writer.paused:
                writer.resume()

    def _until(self, what: str, missing: Callable[[], str]) -> None:
        """Let time pass until nothing is missing any more."""
        world = self.world
        deadline = world.now + CALM_S
        while reason := missing():
            if world.now > deadline:
                self.cluster.checks.inspect(self.cluster.nodes, 0)
                raise CheckFailed(self.cluster.checks.copies.name, f"{CALM_S:g} s of calm, and not {what}: {reason}")
            world.run(world.now + CALM_STEP_S)

    def _level(self) -> None:
        """What was committed becomes durable, each node gets all of it, and what had decayed is found and mended."""
        cluster, checks = self.cluster, self.cluster.checks

        def missing() -> str:
            last = max(cluster.writers, key=lambda writer: writer.opening.epoch if writer.opening else 0)
            if any(writer.state == "recovering" for writer in cluster.writers):
                return "a writer recovers still"
            if cluster.lost():
                cluster.start_writer()
                return "no writer is open"
            if last.state != "open":
                return f"{last.name} is {last.state}, and no other has opened"
            if not last.idle:
                return f"{last.name} has commits that are not durable"
            checks.copies.descriptor = last.descriptor
            reason = checks.copies.differences(cluster.nodes)
            if not reason:
                checks.inspect(cluster.nodes, cluster.ledger.current.vdl if cluster.ledger.current else 0)
                reason = checks.copies.differences(cluster.nodes)
            return reason

        self._until("level", missing)

    def _coalesce(self) -> None:
        """Everything into the page stores: nobody holds a read point any more, and no baseline its log."""
        cluster, checks = self.cluster, self.cluster.checks
        for node in cluster.nodes:
            node.clock.jump(BASELINE_HOLD_JUMP_S)
            if node.core is not None:
                node.core.config = replace(node.core.config, coalesce_log_mb=COALESCE_AT_ONCE_MB)

        def missing() -> str:
            checks.copies.descriptor = cluster.latest()  # the writer's monitor may have something to do still
            busy = any(writer.state == "open" and not writer.idle for writer in cluster.writers)
            different = checks.copies.differences(cluster.nodes) or checks.copies.uncoalesced(cluster.nodes)
            return different or ("the fleet is changed still" if busy else "")

        self._until("coalesced", missing)
