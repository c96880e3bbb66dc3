"""A seed's run: a storm in which clients, services and faults meet, then a calm in which every wait must end.

::

    knobs.draw(seed) ─► Instance ◄─ sessions run workloads, services run beside them
                           │  ▲
                  crash ◄──┘  └── recovery opens what the log has left ─► the oracle forgets what it cut off
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from aurora.errors import SerializationFailure, SqlError
from aurora.sim.checks import CheckFailed
from aurora.sim.compute.checks import DURABLE, WAITS, Checks
from aurora.sim.compute.faults import FAULTS, Fault
from aurora.sim.compute.instance import Instance
from aurora.sim.compute.knobs import Knobs, draw
from aurora.sim.compute.model import Oracle
from aurora.sim.compute.session import SimSession
from aurora.sim.compute.workloads import SERVICES, WORKLOADS, Service, Workload
from aurora.sim.world import CALM, World
from compute_node.hub import HUB
from compute_node.txn.locks import SHARE_UPDATE_EXCLUSIVE

STEP_S: Final = 0.02
CALM_S: Final = 60.0
LOOK_S: Final = 0.002
AT_ONCE_MAX: Final = 20
"""Transactions of a client without thinking and without waiting, which take no virtual time at all: after so many it
pauses, or nobody else's time would come."""
PAUSE_S: Final = 0.002
EXPECTED: Final = frozenset(("40001", "40P01", "23505", "55P03", "57014"))
"""What PostgreSQL answers to such transactions as well."""


@dataclass(frozen=True)
class Outcome:
    """What a run did. ``trace`` is its checksum: the same for the same seed."""

    seed: int
    trace: int
    commits: int
    crashes: int
    evictions: int
    checked: dict[str, int] = field(default_factory=dict)
    struck: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    ran: dict[str, int] = field(default_factory=dict)
    """transactions and service rounds that came to their end, by name"""


class Scenario:
    """See the module."""

    def __init__(self, seed: int, without: Collection[str] = ()) -> None:
        self.seed = seed
        self.knobs: Knobs = draw(seed, without)
        self.world = World(seed, CALM)
        self.world.waiting = self.waiting
        self.oracle = Oracle()
        self.checks = Checks()
        self.rng = self.world.stream("scenario")
        self.calm = False
        self.crashes = 0
        self.evictions = 0
        self.struck: dict[str, int] = {}
        self.errors: dict[str, int] = {}
        self.ran: dict[str, int] = {}
        self.instance = Instance(self.world, self.knobs, self.oracle, self.checks, 0)
        self.faults: list[Fault] = [FAULTS[name](self) for name in self.knobs.faults]

    def run(self) -> Outcome:
        """The storm, then the calm."""
        try:
            self._begin()
            self._storm(self.knobs.storm_s)
            self._settle()
            self._last_words()
        finally:
            self.instance.loop.end()
            HUB.abandon()
        self.world.note(f"ends at {self.instance.volume.vdl}, {self.rng.random()}")
        return Outcome(
            self.seed, self.world.trace, self.oracle.commits, self.crashes, self.evictions,
            dict(self.checks.checked), self.struck, self.errors, self.ran,
        )  # fmt: skip

    def waiting(self) -> list[str]:
        """Where each greenlet that waits stands."""
        return HUB.waiting_stacks()

    # Lives

    def _begin(self) -> None:
        """Open the instance and let its clients come."""
        instance = self.instance
        instance.run(instance.open)
        self._until(lambda: instance.opened, "opening")
        for number in range(1, self.knobs.sessions + 1):
            stream = self.world.stream(f"session {instance.life}.{number}")
            session = SimSession(instance, number, stream)
            instance.sessions.append(session)
            instance.run(lambda session=session: self._client(session))  # type: ignore[misc]
        for name in self.knobs.services:
            service = SERVICES[name](instance)
            instance.run(lambda service=service: self._serve(service))  # type: ignore[misc]

    def crash(self) -> None:
        """The writer dies, and another one opens what its log has left; maybe that one dies over it, too."""
        self.evictions += int(self.instance.storage.arena.evictions)
        self._next_life()
        while self.rng.random() < 0.2:
            self.instance.run(self.instance.open)
            self.world.run(self.world.now + self.rng.random() * 10 * self.knobs.page_s)
            self._next_life()
        self._begin()

    def _next_life(self) -> None:
        before = self.instance
        self.crashes += 1
        self.world.note(f"crash: the log ends at {before.die()}")
        self.instance = Instance(self.world, self.knobs, self.oracle, self.checks, before.life + 1, before.volume)

    def _client(self, session: SimSession) -> None:
        """Transactions one after the other."""
        session.greenlet = HUB.current()
        rng = session.rng
        workloads = [WORKLOADS[name](session.instance) for name in self.knobs.workloads]
        moment_s, at_once = 0.0, 0
        while not self.calm:
            at_once = at_once + 1 if self.world.now == moment_s else 0
            moment_s = self.world.now
            if self.knobs.think_s:
                HUB.sleep(rng.expovariate(1 / self.knobs.think_s))
            elif at_once < AT_ONCE_MAX:
                HUB.yield_turn()
            else:
                HUB.sleep(PAUSE_S)
            session.active, session.interrupt_error = True, None
            self._transaction(session, rng.choice(workloads))
            session.active = False

    def _transaction(self, session: SimSession, workload: Workload) -> None:
        rng = session.rng
        repeatable = rng.random() < self.knobs.repeatable
        try:
            session.begin("repeatable read" if repeatable else "read committed")
            workload.script(session, rng)
            if rng.random() < 0.1:
                session.abort()
                return
            lsn = session.commit()
        except SqlError as error:
            self._failed(session, workload, error)
            return
        self.ran[workload.name] = self.ran.get(workload.name, 0) + 1
        if lsn:
            self._answer(session, lsn)

    def _answer(self, session: SimSession, lsn: int) -> None:
        """The client hears of its commit once that is durable; maybe it goes on without waiting for that."""

        def told(_: object = None) -> None:
            self.checks.require(DURABLE, lsn <= session.instance.volume.vdl, f"{lsn} is acknowledged too early")
            session.instance.acknowledged(lsn)

        if session.rng.random() < self.knobs.pipelined:
            session.instance.volume.when_durable(session.dependency.lsn, told)
            return
        session.interrupt_error = None
        try:
            session.gate(lsn)
        except SqlError as error:  # cancelled: the client does not know what became of it
            self._count(error)
            return
        told()

    def _failed(self, session: SimSession, workload: Workload, error: SqlError) -> None:
        if error.sqlstate not in EXPECTED:
            raise error
        if isinstance(error, SerializationFailure) and not session.model.repeatable:
            raise CheckFailed(WAITS, f"READ COMMITTED failed with {error} in {workload.name}")
        self._count(error)
        self.world.note(f"s{session.pid} {workload.name}: {error.sqlstate}")
        session.abort()

    def _count(self, error: SqlError) -> None:
        self.errors[error.sqlstate] = self.errors.get(error.sqlstate, 0) + 1

    def _serve(self, service: Service) -> None:
        rng = self.world.stream(f"{service.name} {service.instance.life}")
        while not self.calm:
            HUB.sleep(rng.uniform(0.01, 0.1))
            service.turn(rng)
            self.ran[service.name] = self.ran.get(service.name, 0) + 1

    # The course of a run

    def _look(self) -> None:
        if self.instance.opened:
            self.instance.look_at_horizon()
            self.instance.look_at_extents()

    def _run(self, until_s: float) -> None:
        while self.world.now < until_s:
            self.world.run(min(until_s, self.world.now + LOOK_S))
            self._look()

    def _until(self, happened: object, what: str) -> None:
        until_s = self.world.now + CALM_S
        while not happened():  # type: ignore[operator]
            if self.world.now >= until_s:
                stacks = "\n".join(self.waiting())
                raise CheckFailed(WAITS, f"{what} does not end in {CALM_S} s\n{stacks}")
            self.world.run(self.world.now + LOOK_S)
            self._look()

    def _storm(self, end_s: float) -> None:
        weights = [fault.weight for fault in self.faults]
        while self.world.now < end_s:
            if self.faults and self.rng.random() < self.knobs.strike:
                fault = self.rng.choices(self.faults, weights)[0]
                if fault.strike():
                    self.struck[fault.name] = self.struck.get(fault.name, 0) + 1
            self._run(self.world.now + STEP_S)
            self._trim()
            self._inspect(self.knobs.inspect)

    def _trim(self) -> None:
        self.instance.trim()

    def _inspect(self, chance: float) -> None:
        if self.rng.random() < chance:
            self.instance.inspect()

    def _settle(self) -> None:
        """Nobody begins anything new; what is under way must come to its end."""
        self.calm = True
        for fault in self.faults:
            fault.heal()
        instance = self.instance
        self._until(lambda: not instance.busy, "a transaction")
        instance.volume.flush_soon()
        self._until(lambda: instance.volume.vdl >= instance.volume.log.last_cpl, "durability")

    def _last_words(self) -> None:
        """What holds when nobody runs: files, pages, and after a vacuum no entry too many."""
        instance = self.instance
        instance.inspect()
        instance.files_are_the_catalogs()
        instance.run(self._vacuum_all)
        self._until(lambda: not instance.busy, "the last vacuum")
        instance.volume.flush_soon()
        self._until(lambda: instance.volume.vdl >= instance.volume.log.last_cpl, "durability")
        instance.inspect()
        instance.no_garbage()
        instance.log_makes_pages()
        self.evictions += int(instance.storage.arena.evictions)

    def _vacuum_all(self) -> None:
        storage = self.instance.storage
        for _, table in self.instance.tables():
            txn = storage.txns.begin()
            storage.locks.lock_relation(txn, table.desc.lock_id, SHARE_UPDATE_EXCLUSIVE)
            for each in self.instance.with_toast(table):
                storage.vacuum(each, True)
            storage.txns.abort(txn)
