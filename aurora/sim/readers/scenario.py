"""A seed's run with readers: a storm of commits, reads, cuts, pauses, deaths and promotions, then a calm in which every
reader must have caught up.

::

    Writer ── feed ─► Readers ◄─ their sessions read
      │ dies, stands still, or knows nothing
      └► a reader, or two at once: Nodes.open fences all others ─► what was cut off is forgotten ─► Writer
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import compute_node.replica.feed as feed
from aurora.errors import SqlError
from aurora.sim.compute import scenario as compute
from aurora.sim.compute.checks import DURABLE, Checks
from aurora.sim.compute.model import Oracle
from aurora.sim.compute.session import SimSession
from aurora.sim.compute.workloads import SERVICES
from aurora.sim.readers.faults import FAULTS
from aurora.sim.readers.knobs import ReaderKnobs, draw
from aurora.sim.readers.nodes import Nodes
from aurora.sim.readers.process import Process
from aurora.sim.readers.reader import Reader
from aurora.sim.readers.session import READER_WORKLOADS, ReaderSession
from aurora.sim.readers.writer import Writer
from aurora.sim.world import CALM, World
from compute_node.hub import HUB
from compute_node.replica.feed import LastWord
from compute_node.replica.known import followable, rank
from compute_node.replica.topology import WRITER, InstanceState

if TYPE_CHECKING:
    from aurora.kernels.python.arena import Arena

FOREVER: Final = 1 << 62
READ_ERRORS: Final = frozenset(("40001", "57P01", "57014", "58030"))
"""What PostgreSQL answers to sessions on a standby as well; and that storage has no version that old any more."""


@dataclass(frozen=True)
class Outcome:
    """What a run did. ``trace`` is its checksum: the same for the same seed."""

    seed: int
    trace: int
    commits: int
    openings: int
    resumed: int
    anew: int
    taken_over: int
    """streams that went on with another writer that held what the one before had held"""
    checked: dict[str, int] = field(default_factory=dict)
    struck: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    ran: dict[str, int] = field(default_factory=dict)


class Scenario(compute.Scenario):
    """``instance`` is the writer whose log goes on, dead or not."""

    knobs: ReaderKnobs
    instance: Writer

    def __init__(self, seed: int, without: Collection[str] = ()) -> None:
        self.seed = seed
        self.knobs = draw(seed, without)
        self.world = World(seed, CALM)
        self.world.waiting = self.waiting
        self.oracle = Oracle()
        self.checks = Checks()
        self.rng = self.world.stream("scenario")
        self.link_rng = self.world.stream("links")
        self.nodes = Nodes(self.knobs.pages_per_pg)
        self.index_lsn: dict[int, int] = {}
        self.calm = False
        self.openings = self.resumed = self.anew = self.taken_over = 0
        self.struck: dict[str, int] = {}
        self.errors: dict[str, int] = {}
        self.ran: dict[str, int] = {}
        self.readers: list[Reader] = []
        self.zombies: list[Writer] = []
        self.processes: list[Process] = []
        self._names = [f"r{number}" for number in range(self.knobs.readers, 0, -1)]
        self.faults = [FAULTS[name](self) for name in self.knobs.faults]

    def run(self) -> Outcome:  # type: ignore[override]
        """The storm, then the calm."""
        try:
            with settings(self.knobs):
                self.opens(self._process("first"), None, {}, LastWord())
                self._until(lambda: self.serving, "opening")
                for _ in range(self.knobs.readers):
                    self.new_reader()
                self._storm(self.world.now + self.knobs.storm_s)
                self._settle()
                self._last_words()
        finally:
            for process in self.processes:
                process.end()
        self.world.note(f"ends at {self.instance.volume.vdl}, {self.rng.random()}")
        return Outcome(
            self.seed, self.world.trace, self.oracle.commits, self.openings, self.resumed, self.anew,
            self.taken_over, dict(self.checks.checked), self.struck, self.errors, self.ran,
        )  # fmt: skip

    def waiting(self) -> list[str]:
        return [f"{each.name}: {stack}" for each in self.processes if not each.dead for stack in each.waiting_stacks()]

    # Who is there

    def _process(self, what: str) -> Process:
        made = Process(self.world, f"{len(self.processes)}-{what}", self.knobs.jitter_s)
        self.processes.append(made)
        return made

    @property
    def serving(self) -> bool:
        """Whether there is a writer, and it is open."""
        return self.nodes.epoch > 0 and self.instance.opened and not self.instance.dead

    @property
    def writer(self) -> Writer | None:
        """The writer of the log that goes on, when it lives."""
        return self.instance if self.nodes.epoch and not self.instance.dead else None

    def writer_seen_by(self, reader: Reader) -> Writer | None:
        """Whom a reader finds: of those that say that they write, the one with the highest epoch that answers."""
        found = {
            each.process.name: each
            for each in (self.instance, *self.zombies)
            if each.feed is not None and not each.dead and not each.process.stands_still
        }
        told = [InstanceState(name, WRITER, epoch=each.epoch) for name, each in found.items()]
        chosen = followable(told, reader.volume.epoch if reader.opened else 0)
        return None if chosen is None else found[chosen.id]

    def new_reader(self) -> None:
        """An instance begins as a reader, with nothing in its cache."""
        name = self._names.pop()
        reader = Reader(self, name, self._process(name))
        self.readers.append(reader)
        reader.process.soon(self.rng.random() * 0.02, reader.connect)

    def _brought_back(self) -> None:
        """Whoever restarts instances restarts one, as a reader."""
        if self._names and len(self.readers) < self.knobs.readers:
            self.new_reader()

    def gone(self, reader: Reader) -> None:
        """A reader's process ends; it comes back."""
        self.world.note(f"{reader.process.name} is killed")
        if reader.dead or reader not in self.readers:
            return
        self.readers.remove(reader)
        self._names.append(reader.name)
        link = reader.link
        reader.process.end()
        if link is not None:
            self.world.after(0.0, link.cut)
        self.world.after(self.rng.uniform(0.01, 0.1), self._brought_back)

    # Who writes

    def opens(self, process: Process, reader: Reader | None, applied: dict[int, int], word: LastWord) -> None:
        """An instance opens the volume for writing: fencing comes first."""
        before = self.instance if self.nodes.epoch else None
        used = 0 if before is None else int(before.volume.log.next_lsn)
        opened = self.nodes.open(self.rng, used)
        self.openings += 1
        self.world.note(f"{process.name} opens epoch {opened.epoch} at {opened.vdl}")
        if before is not None:
            self.checks.require(
                DURABLE, opened.vdl >= self.oracle.acknowledged_lsn,
                f"the log ends at {opened.vdl}, a commit at {self.oracle.acknowledged_lsn} was acknowledged",
            )  # fmt: skip
            if not before.dead:
                before.oracle = self.oracle.copy()
                before.index_lsn = dict(self.index_lsn)
                self.zombies.append(before)
            self.oracle.crashed(opened.vdl)
            for relfile in [each for each, lsn in self.index_lsn.items() if lsn > opened.vdl]:
                del self.index_lsn[relfile]
        arena: Arena | None = None
        if reader is not None:
            arena = reader.arena
            self.readers.remove(reader)
            self._names.append(reader.name)
            self.world.after(self.rng.uniform(0.01, 0.2), self._brought_back)
        writer = self.instance = Writer(self, process, opened, arena, applied, word)
        process.run(lambda: self._open(writer))

    def _open(self, writer: Writer) -> None:
        """Open the storage and let clients come."""
        writer.busy += 1
        writer.open()
        writer.busy -= 1
        writer.serve()
        self.world.note(f"epoch {writer.epoch} is open")
        for number in range(1, self.knobs.sessions + 1):
            session = SimSession(writer, number, self.world.stream(f"session {writer.epoch}.{number}"))
            writer.sessions.append(session)
            writer.run(lambda session=session: self._client(session))  # type: ignore[misc]
        for name in self.knobs.services:
            service = SERVICES[name](writer)
            writer.run(lambda service=service: self._serve(service))  # type: ignore[misc]

    def ended(self, writer: Writer, why: str) -> None:
        """A writer's process ends."""
        if writer.ending:
            return
        writer.ending = True
        self.world.note(f"epoch {writer.epoch} ends: {why}")
        links = [reader.link for reader in self.readers if reader.link is not None and reader.link.writer is writer]
        self.world.after(0.0, lambda: self._dies(writer))
        for link in links:
            self.world.after(0.0, link.cut)
        if writer in self.zombies:
            self.zombies.remove(writer)
            self.world.after(self.rng.uniform(0.01, 0.1), self._brought_back)
        else:
            self.elect(self.rng.uniform(0.005, 0.1))

    @staticmethod
    def _dies(writer: Writer) -> None:
        writer.die()

    def elect(self, after_s: float) -> None:
        """The readers find out who takes over; when there is none, somebody begins from nothing."""
        epoch = self.nodes.epoch

        def choose() -> None:
            if self.nodes.epoch != epoch or (self.calm and self.serving):
                return  # somebody has, or it has come back
            reader = self.best_reader()
            if reader is not None:
                reader.promote()
                self.world.after(0.3, choose)  # it may die over it
            else:
                process = self._process("anew")
                process.run(lambda: self.opens(process, None, {}, LastWord()))

        self.world.after(after_s, choose)

    def best_reader(self) -> Reader | None:
        """Who takes over."""
        ready = [each for each in self.readers if each.shows and not each.process.stands_still]
        return min(ready, key=lambda each: rank(each.state()), default=None)

    # Readers' clients

    def read(self, session: ReaderSession) -> None:
        """Transactions one after the other, as long as its instance is a reader."""
        session.greenlet = HUB.current()
        reader, rng = session.reader, session.rng
        workloads = [READER_WORKLOADS[name](reader) for name in self.knobs.reader_workloads]  # type: ignore[arg-type]
        while not self.calm and not reader.promoting:
            HUB.sleep(rng.expovariate(1 / (self.knobs.think_s or 0.001)))
            if reader.away or self.calm:
                continue
            session.active, session.interrupt_error = True, None
            workload = rng.choice(workloads)
            try:
                session.begin("repeatable read" if rng.random() < self.knobs.repeatable else "read committed")
                workload.script(session, rng)
                session.commit()
            except SqlError as error:
                if error.sqlstate not in READ_ERRORS:
                    raise
                session.abort()
                name = f"reader {error.sqlstate}"
                self.errors[name] = self.errors.get(name, 0) + 1
            else:
                name = f"reader {workload.name}"
                self.ran[name] = self.ran.get(name, 0) + 1
            session.active = False

    # The course of a run

    def _look(self) -> None:
        if self.serving:
            self.instance.look_at_horizon()
            self.instance.look_at_extents()
        for reader in self.readers:
            reader.look()

    def _trim(self) -> None:
        read = [int(reading.lsn) for reader in self.readers for reading in reader.readings]
        read += [reader.applied_lsn for reader in self.readers]
        txns = [session.txn for reader in self.readers for session in reader.sessions if session.txn is not None]
        read += [int(txn.oldest_lsn) for txn in txns if txn.oldest_lsn]
        read += [min(reader.volume.reads, default=FOREVER) for reader in self.readers if reader.opened]
        for writer in (self.instance, *self.zombies):  # readers that have not begun yet with what they were told
            read += [int(hold.lsn) for hold in writer.storage.txns.holds.current] if writer.opened else []
        oldest = min([int(self.instance.volume.vdl), self.nodes.pgmrpl, *read])
        self.nodes.trim(oldest)
        if self.serving:
            held = [txn.snapshot_lsn for txn in self.oracle.running if txn.repeatable and txn.snapshot_lsn]
            readings = [reading.lsn for reading in self.instance.readings]
            self.oracle.trim(min([oldest, *held, *readings]))

    def _inspect(self, chance: float) -> None:
        for reader in self.readers:
            if self.rng.random() < chance:
                reader.inspect()
        if self.serving and self.rng.random() < chance / 4:
            self.instance.inspect()

    def _settle(self) -> None:
        """Nobody begins anything new; what is under way must come to its end, and readers catch up."""
        self.calm = True
        for fault in self.faults:
            fault.heal()
        self._until(lambda: self.serving and not self.instance.busy and not self.zombies, "a transaction")
        self._durable()

    def _durable(self) -> None:
        def there() -> bool:
            volume = self.instance.volume
            if not self.serving or self.instance.storage.row_horizon() < volume.log.last_cpl:
                return False
            return len(self.readers) == self.knobs.readers and all(
                each.shows and each.link is not None and each.link.settled and each.applied_lsn == volume.vdl
                for each in self.readers
            )

        self.instance.process.do(lambda: self.instance.volume.flush_soon())
        self._until(there, "durability, or a reader's catching up")

    def _last_words(self) -> None:
        """What holds when nobody writes: files, pages, and after a vacuum no entry too many."""
        self._everything()
        self.instance.files_are_the_catalogs()
        self.instance.run(self._vacuum_all)
        self._until(lambda: not self.instance.busy, "the last vacuum")
        self._durable()
        self._everything()
        self.instance.no_garbage()
        self.instance.log_makes_pages()

    def _everything(self) -> None:
        self.instance.inspect()
        for reader in self.readers:
            reader.inspect()


@contextmanager
def settings(knobs: ReaderKnobs) -> Iterator[None]:
    """The feed's bounds, as the run has them."""
    usual = feed.SILENT_S, feed.KEPT_BYTES_MAX, feed.BACKLOG_BYTES_MAX
    made = knobs.silent_s, knobs.kept_bytes, knobs.backlog_bytes
    feed.SILENT_S, feed.KEPT_BYTES_MAX, feed.BACKLOG_BYTES_MAX = made  # type: ignore[misc]
    try:
        yield
    finally:
        feed.SILENT_S, feed.KEPT_BYTES_MAX, feed.BACKLOG_BYTES_MAX = usual  # type: ignore[misc]
