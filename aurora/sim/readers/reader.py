"""One life of a reader: ``Replica`` on a ``ReaderVolume``, its stream, its sessions; it may become the writer.

What ``ComputeServer`` and ``Place`` do around ``Replica`` with coroutines is done here with callbacks, in their order.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from aurora.datum import Datum
from aurora.errors import AdminShutdown, InvariantViolation, IoError, SerializationFailure, SqlError
from aurora.ids import NO_LSN, Lsn
from aurora.kernels import arena as arena_kernel
from aurora.kernels.python.clog import Snapshot
from aurora.page import PAGE_BYTES
from aurora.rpc import compute_pb2 as cpb
from aurora.sim.compute.checks import SNAPSHOT_ROWS
from aurora.sim.compute.model import Oracle
from aurora.sim.compute.pages import Structure, sees
from aurora.sim.compute.session import Reading
from aurora.sim.compute.tables import CATALOG_DESC, CATALOG_RELFILE, Descriptors
from aurora.sim.readers.checks import DURABLE_ONLY, FORWARD, NEEDED, PAGES
from aurora.sim.readers.link import Link
from aurora.sim.readers.process import Process
from aurora.sim.readers.session import ReaderSession
from aurora.sim.readers.volume import ReaderVolume
from compute_node.access.storage import Storage
from compute_node.hub import HUB
from compute_node.replica.feed import LastWord
from compute_node.replica.messages import to_proto
from compute_node.replica.replica import Replica
from compute_node.replica.topology import READER, InstanceState

if TYPE_CHECKING:
    import greenlet

    from aurora.sim.readers.scenario import Scenario
    from compute_node.access.table import Table
    from compute_node.replica.volume import ReplicaVolume

TELL_S: Final = 0.02
AGAIN_S: Final = 0.01
DRAIN_S: Final = 0.05
GRACE_S: Final = 0.005
UNREADABLE: Final = 0.3
"""How often no node tells the log in between."""
FOREVER: Final = 1 << 62


class Reader:
    """``name`` is the instance's id, ``process`` this life of it. For its sessions it is what ``Instance`` is."""

    catalog_lsn = NO_LSN

    def __init__(self, scenario: Scenario, name: str, process: Process) -> None:
        self.scenario = scenario
        self.name = name
        self.process = process
        self.world = scenario.world
        self.knobs = scenario.knobs
        self.checks = scenario.checks
        self.index_lsn = scenario.index_lsn
        self.rng: random.Random = self.world.stream(f"reader {process.name}")
        self._stray_rng: random.Random = self.world.stream(f"stray reads {process.name}")
        self.loop = process.loop
        self.readings: dict[Reading, None] = {}
        self.descriptors = Descriptors()
        self.sessions: list[ReaderSession] = []
        self.arena = arena_kernel.Arena(self.knobs.reader_frames)
        self.link: Link | None = None
        self.storage: Storage
        self.volume: ReaderVolume
        self.replica: Replica
        self.opened = False
        self.away = True
        """No session may begin."""
        self.promoting = False
        self.anew = False
        """The stream has begun anew, and what is here is not of one point yet."""
        self._word = LastWord()
        self._held_from = 0
        self._seen_lsn = self._seen_epoch = 0
        self._patient_until_s = 0.0
        self._opening = self._going_on = self._drained = self._applying = False
        self._early: list[cpb.Log] = []
        """What has come before there was a ``Replica``."""
        self._sink: Callable[[cpb.Log], None] = self._early.append

    @property
    def oracle(self) -> Oracle:
        """What is true: a reader follows whatever log goes on."""
        return self.scenario.oracle

    @property
    def dead(self) -> bool:
        """Whether its process has ended."""
        return self.process.dead

    @property
    def applied_lsn(self) -> int:
        """What its pages are of."""
        return int(self.volume.vdl) if self.opened or self._opening else FOREVER

    def state(self) -> InstanceState:
        """As others know it."""
        applied = Lsn(self.applied_lsn if self.opened else 0)
        return InstanceState(self.name, READER, applied_lsn=applied, epoch=self.volume.epoch if self.opened else 0)

    # The stream

    def connect(self) -> None:
        """Follow whoever writes, if anybody does."""
        if self.dead or self.promoting or self.link is not None:
            return
        writer = self.scenario.writer_seen_by(self)
        if self._opening or self._going_on or writer is None or not self._has_drained():
            self.process.soon(self.rng.random() * AGAIN_S, self.connect)
            return
        if self.opened:
            self.replica.stand_between()
        self.link = Link(self.world, self.scenario.link_rng, self.knobs.link_s, writer, self)
        request = cpb.FollowRequest()
        if self.opened:
            request.resume_lsn, request.row_horizon = self.replica.received_lsn, self.replica.needs()[0]
        request.self.CopyFrom(to_proto(self.state()))
        self.link.tell(request)

    def _has_drained(self) -> bool:
        """Whether what has come is applied, or that was waited for long enough."""
        self._drained = self.opened and self.replica.is_drained
        return not self.opened or self._drained or self.world.now > self._patient_until_s

    def heard(self, link: Link, reply: cpb.FollowReply) -> None:
        """A message of the stream."""
        if link is not self.link or self.promoting:
            return
        kind = reply.WhichOneof("body")
        if kind == "begin":
            self._begun(link, reply.begin)
        elif kind == "log":
            self._sink(reply.log)
        elif kind == "topology":
            self._word = LastWord(reply.topology.held, reply.topology.epoch, self.world.now)

    def ended(self, link: Link) -> None:
        """The stream has ended."""
        if link is self.link:
            self.link = None
            self._patient_until_s = self.world.now + self.rng.random() * DRAIN_S
            link.close()
            self.process.soon(self.rng.random() * AGAIN_S, self.connect)

    def cut(self) -> None:
        """As ``Place.cut``."""
        link = self.link
        if link is not None:
            link.cut()
            self.ended(link)

    def _begun(self, link: Link, begin: cpb.Begin) -> None:
        self.world.note(f"{self.process.name} begins at {begin.vdl}, resumed {begin.resumed}, held {begin.held}")
        self._tell(link)
        if self.opened:
            self.scenario.resumed += begin.resumed
            self.scenario.anew += not begin.resumed
        if not self.opened:
            link.settled = True
            self._open(begin)
        else:
            HUB.run(self._again, link, begin)

    def _again(self, link: Link, begin: cpb.Begin) -> None:
        """As ``ComputeServer._stay_reader``: the stream goes on, and not for those who read already."""
        self._going_on = True
        replica = self.replica
        if not begin.held or not (replica.feedback or begin.resumed):
            self._held_from = max(self._held_from, begin.held_from)
            self.end_sessions()
        another = begin.epoch != self.volume.epoch
        self.scenario.taken_over += another and begin.held
        self.volume.follow(begin.epoch)
        if another:
            replica.another_writer(begin)
        missing = None if begin.resumed or not self._drained else self._missing(begin)
        if not begin.resumed and missing is None:
            self.end_sessions()
            self._one_is_left()
            self.anew = True
            try:
                replica.begin_anew(begin)
            except IoError as error:
                self.world.note(f"{self.process.name} cannot begin anew: {error}")
                self._going_on = False
                self.cut()
                return
            self.anew = False
        replica.go_on(missing)
        link.settled = True
        while self.applied_lsn < self._held_from and link is self.link:
            HUB.sleep(0.001)
        if self.applied_lsn >= self._held_from and not self.promoting:
            self.away = False
        self._going_on = False

    def _one_is_left(self) -> None:
        """A session does not end in its time of grace: what it has asked for comes when nobody waits any more."""
        rng, cache = self._stray_rng, self.storage.cache
        changed = self.scenario.nodes.changed_since(self.applied_lsn)
        wanted = rng.sample(changed, min(len(changed), cache.read_ahead_pages))
        for page_no in wanted:
            cache.forget((page_no,))
        if cache.read_ahead(wanted) is not None:
            HUB.sleep(rng.random() * GRACE_S)

    def _missing(self, begin: cpb.Begin) -> cpb.Log | None:
        """As ``ComputeServer._missing``."""
        self.volume.follow(begin.epoch)
        wanted = {point.pg: int(point.lsn) for point in begin.pg_last}
        if self.rng.random() < UNREADABLE:
            return None
        applied = dict(self.replica.core.pg_last)
        HUB.sleep(self.rng.random() * self.knobs.page_s)
        runs = self.scenario.nodes.log_between(applied, wanted)
        made = [
            cpb.PgRun(pg=pg, prev_lsn=prev, first_lsn=first, last_lsn=last, records=records)
            for pg, prev, first, last, records in runs
        ]
        return cpb.Log(runs=made, vdl=begin.vdl, sent_us=self.now_us(), epoch=begin.epoch)

    def _tell(self, link: Link) -> None:
        """What this reader needs, every now and then."""
        if link is not self.link or self.dead:
            return
        if self.opened:
            horizon, read_point = self.replica.needs()
            request = cpb.FollowRequest(applied_lsn=self.volume.vdl, row_horizon=horizon, read_point=read_point)
            request.self.CopyFrom(to_proto(self.state()))
            link.tell(request)
        else:
            link.tell(cpb.FollowRequest(self=to_proto(self.state())))
        self.process.soon(TELL_S, lambda: self._tell(link))

    # Opening

    def _open(self, begin: cpb.Begin) -> None:
        """As ``ComputeServer._read``."""
        self._opening = True
        world = self.world
        point = Lsn(begin.vdl), begin.epoch, {each.pg: int(each.lsn) for each in begin.pg_last}
        volume = self.volume = ReaderVolume(
            world.stream(f"pages {self.process.name}"),
            self.knobs,
            self.scenario.nodes,
            point,
            self._collected,
            world.monotonic,
        )
        self._durable(volume.vdl)
        volume.durable_callbacks.append(self._durable)
        replica = self.replica = Replica(self.arena, cast("ReplicaVolume", volume), begin, self.now_us)
        replica.max_delay_s = replica.archive_delay_s = self.knobs.max_delay_s
        replica.feedback = self.knobs.feedback
        replica.conflict, replica.gap, replica.removed = self._conflict, self.cut, self._make_way
        HUB.run(self._open_storage)

    def _open_storage(self) -> None:
        try:
            self.storage = Storage(self.arena, cast(Any, self.volume))
        except IoError as error:
            # What it was to begin with is gone, for there is another writer by now: the process ends.
            self.world.note(f"{self.process.name} cannot open: {error}")
            self.world.after(0.0, lambda: self.scenario.gone(self))
            return
        self.replica.attach(self.storage)
        self.opened, self.away, self._opening = True, False, False
        early, self._sink = self._early, self.replica.received
        for log in early:
            self.replica.received(log)
        self._applying = True
        self.process.run(self._apply)
        for number in range(1, self.knobs.reader_sessions + 1):
            session = ReaderSession(self, number, self.world.stream(f"session {self.process.name}.{number}"))
            self.sessions.append(session)
            self.process.run(lambda session=session: self.scenario.read(session))  # type: ignore[misc]

    def _apply(self) -> None:
        self.replica.run()
        self._applying = False

    def _durable(self, lsn: int) -> None:
        self.arena.durable_lsn = lsn

    def now_us(self) -> int:
        """Virtual µs."""
        return int(self.world.now * 1e6)

    def _collected(self, read_point: int) -> None:
        """Storage has no version of a page that old any more."""
        writer, link = self.scenario.writer, self.link
        held = writer is not None and writer.holds_for(self) and not self.anew and not self.promoting
        held = held and link is not None and link.follower is not None and read_point >= link.follower.read_point
        self.checks.require(
            NEEDED,
            not held,
            f"{self.name} reads at {read_point}, and versions below {self.volume.nodes.pgmrpl} are gone",
        )

    # Sessions

    def interrupt(self, worker: greenlet.greenlet, error: SqlError) -> bool:
        """Fail what a greenlet waits for."""
        with self.process:
            return HUB.interrupt(worker, error)

    def stop_session(self, session: ReaderSession, error: SqlError) -> None:
        """It is to end with this error, as soon as it waits or looks."""
        session.interrupt_error = error
        if session.greenlet is not None and HUB.interrupt(session.greenlet, error):
            session.interrupt_error = None

    def _conflict(self, relation: int) -> None:
        """Whoever holds the relation lock here must go."""
        for session in self.sessions:
            txn = session.txn
            if session.active and txn is not None:
                if any(relation == each for locks in txn.weak_locks for each, _ in locks.modes) or (
                    txn.ties is not None and relation in txn.ties.table_locks
                ):
                    self.stop_session(
                        session, SerializationFailure("canceling statement due to conflict with recovery")
                    )

    def _make_way(self, below: Lsn, patience_s: float) -> None:
        """As ``reading.make_way``."""
        deadline_s = self.world.now + patience_s
        while not self.replica.stopping:
            there = [each for each in self.sessions if each.active and each.may_read_below(below)]
            is_over = self.world.now >= deadline_s
            if not there and self.storage.txns.holds.oldest(below) >= below:
                return
            for session in there if is_over else ():
                self.stop_session(session, SerializationFailure("canceling statement due to conflict with recovery"))
            HUB.sleep(0.001)

    def end_sessions(self) -> None:
        """As ``Server.end_sessions``. In a greenlet; waits until all have ended."""
        self.away = True
        while any(session.active for session in self.sessions):
            for session in self.sessions:
                if session.active:
                    self.stop_session(session, AdminShutdown("terminating connection due to administrator command"))
            HUB.sleep(0.0005)
        for session in self.sessions:
            session.read_lsn = 0

    # Another role

    def promote(self) -> None:
        """As ``ComputeServer._change``."""
        if self.dead or self.promoting or not self.opened:
            return
        self.promoting, self.away = True, True
        if self.link is not None:
            self.link.close()
            self.link = None
        self.process.run(self._change)

    def _change(self) -> None:
        while self._going_on:
            HUB.sleep(0.001)
        self.replica.halt()
        self.end_sessions()
        while self._applying:
            HUB.sleep(0.001)
        applied = dict(self.volume.pg_last) if self.replica.whole else {}
        self.storage.cache.abandon_loads()
        self.arena.pins[:] = 0
        self.scenario.opens(self.process, self, applied, self._word)

    # Inspection

    @property
    def shows(self) -> bool:
        """Whether its pages are of one point."""
        return self.opened and not self.dead and not self.promoting and not self.anew

    def look(self) -> None:
        """What holds at every moment."""
        if not self.shows:
            return
        applied, nodes = self.applied_lsn, self.scenario.nodes
        self.checks.require(FORWARD, applied >= self._seen_lsn, f"{self.name} was at {self._seen_lsn}, is at {applied}")
        epoch = self.volume.epoch
        self.checks.require(
            FORWARD, epoch >= self._seen_epoch, f"{self.name} has followed epoch {self._seen_epoch}, follows {epoch}"
        )
        self._seen_lsn, self._seen_epoch = applied, epoch
        self.checks.require(
            DURABLE_ONLY, applied <= nodes.acked_lsn, f"{self.name} has applied {applied}, of {nodes.acked_lsn} durable"
        )
        for session in self.sessions:
            session.look_at_locks()

    def inspect(self) -> None:
        """Every page, what each reader here sees, and every table as of what is applied."""
        if not self.shows:
            return
        self.compare_pages()
        structures: dict[int, Structure] = {}
        for reading in list(self.readings):
            made = structures.setdefault(id(reading.table), Structure(self.storage, reading.table))
            usable = [index for index in reading.table.indexes if self.index_lsn.get(index.relfile, 0) <= reading.lsn]
            for what, found in sees(made, reading, cast(list[Datum], usable)):
                self.checks.rows(SNAPSHOT_ROWS, f"{self.name} {what}", found, reading.expected.values())
        lsn = self.applied_lsn
        snapshot = Snapshot(lsn, set(), 0)
        for oid, table in [*self.tables(), (0, self.storage.table(CATALOG_DESC))]:
            structure = Structure(self.storage, table)
            expected = self.oracle.visible(table.relfile, lsn)
            self.checks.rows(
                SNAPSHOT_ROWS, f"{self.name}: table {oid} at {lsn}", structure.rows(snapshot), expected.values()
            )

    def compare_pages(self) -> None:
        """The pages of the cache with those that the log gives at the applied LSN."""
        arena, lsn, nodes = self.arena, self.applied_lsn, self.scenario.nodes
        for frame in range(int(arena.frames)):
            page_no = int(arena.page_of[frame])
            if page_no >= 0:
                image = nodes.page_at(page_no, lsn) or bytes(PAGE_BYTES)
                self.checks.require(
                    PAGES, bytes(arena.page(frame)) == image,
                    f"{self.name}'s page {page_no} at {lsn} has LSN {arena.page_lsn(frame)}, the writer's has"
                    f" {int.from_bytes(image[:8], 'little')}",
                )  # fmt: skip

    def tables(self) -> list[tuple[int, Table]]:
        """(OID, table) of what is committed at the applied LSN."""
        if self.storage is None:
            raise InvariantViolation("the reader is not open")
        rows = self.oracle.visible(CATALOG_RELFILE, self.applied_lsn)
        return [(oid, self.storage.table(self.descriptors.of(row)[0])) for oid, row in rows.items()]
