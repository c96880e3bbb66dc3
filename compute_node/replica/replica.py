"""A reader's engine room: what comes from the writer is applied to cache, directory, commit log, catalog, locks.

::

    stream ─► inbox ─► [greenlet] ApplyCore.step ─► volume.applied ─► directory, commit log, superblock looked at again
                                                        └► notes: locks taken, catalog told, locks released

The loop is one greenlet. It may wait for a page of the extent directory and for a relation lock that sessions here
hold: then nothing further is applied, as in a hot standby (PostgreSQL 15, 27.4.2), and after ``max_delay_s`` those in
the way are told to go (``conflict``). Without ``feedback`` the writer holds nothing for sessions here, and says what it
removes: those who may still need it are in the way too (``removed``).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from aurora import notes
from aurora.errors import IoError
from aurora.geometry import Descriptor
from aurora.ids import NO_LSN, Lsn, PageNo
from aurora.page import PAGE_BYTES
from aurora.rpc import compute_pb2 as cpb
from aurora.rpc import storage_pb2 as pb
from compute_node.hub import HUB, Waiter
from compute_node.replica.apply import Applied, ApplyCore, StreamGap
from compute_node.replica.volume import ReplicaVolume
from compute_node.txn.locks import ACCESS_EXCLUSIVE
from compute_node.txn.transaction import Txn

if TYPE_CHECKING:
    from aurora.kernels.python.arena import Arena
    from compute_node.access.storage import Storage


LOGGER = logging.getLogger(__name__)

CatalogChanged = Callable[[notes.Invalidations, Lsn], None]
"""What a commit has changed in the catalogs, and its LSN."""
Conflict = Callable[[int], None]
"""End whoever holds the relation lock (database OID << 32 | OID) here."""
MAX_DELAY_S: Final = 14.0
INBOX_BYTES_MAX: Final = 32 << 20


def descriptor_of(data: bytes) -> Descriptor:
    """The volume's descriptor as the stream carries it."""
    return Descriptor.from_proto(pb.Descriptor.FromString(data))


class Replica:
    """``volume`` stands at the point of ``begin``. ``attach`` gives it the storage that stands on the volume; until
    then what comes waits."""

    def __init__(self, arena: Arena, volume: ReplicaVolume, begin: cpb.Begin, now_us: Callable[[], int]) -> None:
        self.volume = volume
        self.core = ApplyCore(arena, volume.vdl, volume.recovered.pg_last)
        self.lag_us = -1
        self.last_commit_us: int | None = None
        """Time of the last commit applied, µs since 2000-01-01 UTC."""
        self.max_delay_s = MAX_DELAY_S
        """max_standby_streaming_delay"""
        self.archive_delay_s = MAX_DELAY_S
        """max_standby_archive_delay: of log that is fetched from storage"""
        self.feedback = True
        """hot_standby_feedback: the writer is told what sessions here still read"""
        self._fetched: cpb.Log | None = None
        self._delay_s = MAX_DELAY_S
        self.catalog_changed: CatalogChanged = lambda invalidations, lsn: None
        self.conflict: Conflict = lambda relation: None
        self.removed: Callable[[Lsn, float], None] = lambda below, patience_s: None
        """Waits until nobody reads below an LSN, and sees to it after so long. In a greenlet."""
        self.paused = False
        self.between = False
        """Between two streams: what comes waits until it is known how it goes on."""
        self._of_old_stream = 0
        """So many of the messages that wait are of the stream before"""
        self.gap: Callable[[], None] = lambda: None
        """Told when the stream must begin anew."""
        self._begin = begin
        self._now_us = now_us
        self._told: tuple[int, int] = (0, 0)
        """(the writer's VDL, when it was told) of the oldest word that the log has not reached"""
        self._inbox: deque[cpb.Log] = deque()
        self._inbox_bytes = 0
        self.hold_back: Callable[[bool], None] = lambda much: None
        """Told when more has come than is applied soon, and when that is over."""
        self._waiter: Waiter | None = None
        self._storage: Storage
        self.whole = True
        """False while the stream begins anew: what is here is not of one point"""
        self._turn: cpb.Begin | None = None
        """Of another writer, until what the one before has logged is applied."""
        self._taking = self._discarding = False
        self._idle: Waiter | None = None
        self._locks: dict[int, Txn] = {}
        """Transactions of the writer that hold strong locks, by xid."""
        self._task: asyncio.Task[None] | None = None
        self.stopping = False
        """Nothing further is to begin."""

    # What comes

    def received(self, log: cpb.Log) -> None:
        """A message of the stream."""
        self._inbox.append(log)
        self._inbox_bytes += log.ByteSize()
        if self._inbox_bytes > INBOX_BYTES_MAX:
            self.hold_back(True)
        self._wake()

    def _drop_inbox(self) -> None:
        self._inbox.clear()
        self._inbox_bytes = self._of_old_stream = 0
        self.hold_back(False)

    def _drop_old_stream(self) -> None:
        """What the new stream has sent since its beginning stays: nobody sends it again."""
        for _ in range(self._of_old_stream):
            self._inbox_bytes -= self._inbox.popleft().ByteSize()
        self._of_old_stream = 0
        if self._inbox_bytes <= INBOX_BYTES_MAX // 2:
            self.hold_back(False)

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.wake()

    @property
    def is_drained(self) -> bool:
        """Whether all that has come is applied."""
        return self.whole and not self._inbox and not self.core.waiting

    async def drained(self, patience_s: float) -> bool:
        """Whether all that has come is applied; waits for it that long."""
        deadline_s = HUB.loop.time() + patience_s
        while not self.is_drained:
            if HUB.loop.time() > deadline_s:
                return False
            await asyncio.sleep(0.005)
        return True

    async def reached(self, lsn: Lsn, given_up: asyncio.Event) -> bool:
        """Wait until everything up to ``lsn`` is applied; False when ``given_up`` is set before."""
        while self.core.applied_lsn < lsn:
            if given_up.is_set():
                return False
            await asyncio.sleep(0.001)
        return True

    def stand_between(self) -> None:
        """A stream has ended, another one is to be asked for: apply nothing until ``go_on``."""
        self.between = True
        self._of_old_stream = len(self._inbox)

    def go_on(self, missing: cpb.Log | None = None) -> None:
        """The stream goes on, after ``missing``."""
        if missing is not None:
            self._fetched = missing
            self._inbox.appendleft(missing)
            self._inbox_bytes += missing.ByteSize()
        self.between, self._of_old_stream = False, 0
        self._wake()

    # The loop

    def pause(self, wanted: bool) -> None:
        """Apply nothing from the next message on, or go on."""
        self.paused = wanted
        self._wake()

    @property
    def stands_still(self) -> bool:
        """Whether nothing is being applied."""
        return self._waiter is not None

    def attach(self, storage: Storage) -> None:
        """The storage that stands on the volume: its transactions follow from now on. In a greenlet; may wait."""
        self._storage = storage
        storage.txns.follows = True
        storage.cache.arrived = self.core.patched
        self.core.loading = storage.cache.is_loading
        self._began(self._begin)

    def another_writer(self, begin: cpb.Begin) -> None:
        """Whom it follows now has opened the volume anew: what the one before had not committed is aborted, once all of
        it is applied."""
        self._turn = begin
        self._wake()

    def _turned(self, begin: cpb.Begin) -> None:
        self._turn = None
        for xid in [xid for xid in self._locks if xid < begin.first_xid]:
            self._storage.txns.abort(self._locks.pop(xid))
        self._began(begin)

    def _release_locks(self) -> None:
        for txn in self._locks.values():
            self._storage.txns.abort(txn)
        self._locks.clear()

    def _began(self, begin: cpb.Begin) -> None:
        storage = self._storage
        storage.clog.recovered_below = begin.first_xid
        storage.clog.forget()
        for lock in begin.locks:
            self._lock(lock.xid, tuple(lock.relations))

    def start(self) -> None:
        """Begin to apply."""
        self._task = self.volume.background(HUB.call(self.run))

    def halt(self) -> None:
        """Begin nothing further."""
        self.stopping = True
        self._wake()

    async def stop(self) -> None:
        """Apply nothing more: what has come and is not applied is dropped."""
        task, self._task = self._task, None
        if task is not None:
            self.halt()
            await asyncio.wait({task})

    def run(self) -> None:
        """The loop, until ``halt``. In a greenlet."""
        while not self.stopping:
            turn = self._turn
            if turn is not None and not self._discarding and self.core.applied_lsn >= turn.vdl:
                self._turned(turn)
                continue
            if not self._inbox or self.paused or self.between:
                self._waiter = Waiter()
                HUB.wait(self._waiter)
                continue
            log = self._inbox.popleft()
            self._inbox_bytes -= log.ByteSize()
            if self._inbox_bytes <= INBOX_BYTES_MAX // 2:
                self.hold_back(False)
            self._taking = True
            try:
                self._take(log)
            except (StreamGap, IoError) as error:
                # Storage's error: what stands on the pages of the last mini-transaction was not looked at again.
                LOGGER.warning("the replica stream begins anew: %s", error)
                self.whole = self.whole and not isinstance(error, IoError)
                self._drop_inbox()
                self.gap()
            finally:
                self._taking = False
                idle, self._idle = self._idle, None
                if idle is not None:
                    idle.wake()

    def _take(self, log: cpb.Log) -> None:
        core = self.core
        self._delay_s = self.archive_delay_s if log is self._fetched else self.max_delay_s
        if log.epoch > self.volume.epoch:  # what an earlier writer sent may still wait here
            self.volume.follow(log.epoch)
        if log.removed_below > self._storage.row_horizon():
            self.removed(Lsn(log.removed_below), self._delay_s)
        core.receive((run.pg, run.prev_lsn, run.records) for run in log.runs)
        while not self.stopping and not self._discarding:
            if self._turn is not None and core.applied_lsn >= self._turn.vdl:
                self._turned(self._turn)
            done = core.step()
            if done is None:
                break
            self.volume.applied(done.lsn)
            self._look_again(done)
            for lsn, payload in done.notes:
                self._note(lsn, payload)
            HUB.pulse()
        if not self._inbox:
            core.forget_late()
        self.lag_us = max(0, self._now_us() - log.sent_us)

    def _look_again(self, done: Applied) -> None:
        storage = self._storage
        if done.commit_log or done.notes:
            storage.clog.forget()
        if done.extents:
            storage.extents.reread()
        if done.superblock:
            storage.superblock.reread()

    # Notes

    def _note(self, lsn: Lsn, payload: bytes) -> None:
        note = notes.decode(payload)
        if isinstance(note, notes.Locked):
            self._lock(note.xid, note.relations)
            return
        if note.kind == notes.COMMIT:
            self.last_commit_us = note.time_us
            if note.invalidations is not None:
                self.catalog_changed(note.invalidations, lsn)
        self._ended(note.xid, note.kind)

    def _lock(self, xid: int, relations: tuple[int, ...]) -> None:
        txn = self._locks.get(xid)
        if txn is None:
            txn = self._locks[xid] = self._storage.txns.begin()
        for relation in relations:
            for other in [each for each, txn in self._locks.items() if each != xid and relation in txn.table_locks]:
                # Nobody has it beside another on the writer: that one was cut off with its writer.
                self._ended(other, notes.ABORT)
            timer = HUB.loop.call_later(self._delay_s, self.conflict, relation)
            try:
                self._storage.locks.lock_relation(txn, relation, ACCESS_EXCLUSIVE)
            finally:
                timer.cancel()

    def _ended(self, xid: int, kind: int) -> None:
        if kind != notes.UNDO:
            txn = self._locks.pop(xid, None)
            if txn is not None:
                self._storage.txns.abort(txn)

    # After a cut

    def begin_anew(self, begin: cpb.Begin) -> None:
        """The stream has begun again, elsewhere: the cache is dropped but for what is pinned, which is read again. In a
        greenlet; may wait. Sessions have been told before. When it fails (storage has nothing of that point any more,
        for there is another writer by now), it is for the next stream to try."""
        arena, volume, storage = self._storage.arena, self.volume, self._storage
        self._drop_old_stream()
        self._discarding, self._turn, self.whole = True, None, False
        while self._taking:
            self._idle = Waiter()
            HUB.wait(self._idle)
        self._discarding = False
        self._release_locks()
        storage.cache.abandon_loads()
        pg_last = {point.pg: int(point.lsn) for point in begin.pg_last}
        volume.begin_anew(Lsn(begin.vdl), pg_last)
        core = self.core = ApplyCore(arena, volume.vdl, volume.recovered.pg_last, storage.cache.is_loading)
        storage.cache.arrived = core.patched
        pinned = []
        for frame in range(int(arena.frames)):
            page_no = int(arena.page_of[frame])
            if page_no < 0:
                continue
            if arena.pins[frame]:
                pinned.append((frame, page_no))
            else:
                arena.drop(page_no)
        for frame, page_no in pinned:
            image = volume.read_page(PageNo(page_no))
            arena.page(frame)[:] = image if image is not None else bytes(PAGE_BYTES)
        storage.extents.reread()
        storage.superblock.reread()
        self._began(begin)
        self.whole = True

    @property
    def received_lsn(self) -> Lsn:
        """Up to where log has come, applied or not; 0 when what is here is no beginning to go on from."""
        if not self.whole:
            return NO_LSN
        return Lsn(self._inbox[-1].vdl) if self._inbox else self.core.received_lsn

    def redescribed(self, descriptor: bytes) -> None:
        """The volume is this from now on."""
        self.volume.follow(self.volume.epoch, descriptor_of(descriptor))

    # What the writer is told

    def needs(self) -> tuple[Lsn, Lsn]:
        """(row horizon, read point): the lowest LSN that sessions read at, without ``feedback`` only what those to come
        read at; and the lowest at which pages are asked for."""
        reading = self.volume.reader.lowest_read_point()
        applied = self.core.applied_lsn
        horizon = self._storage.row_horizon() if self.feedback else applied
        return Lsn(horizon), Lsn(min(applied, reading) if reading is not None else applied)

    @property
    def lag_now_us(self) -> int:
        """How far behind the writer what is shown is."""
        lag_us = self.lag_us if not self._inbox else max(self.lag_us, self._now_us() - self._inbox[0].sent_us)
        vdl, told_us = self._told
        return max(lag_us, self._now_us() - told_us) if self.received_lsn < vdl else lag_us

    def told(self, vdl: Lsn) -> None:
        """The writer says where it is, so that lag is known also while no log comes."""
        if self.received_lsn >= self._told[0]:
            self._told = (vdl, self._now_us())

    def measured(self, vdl: Lsn, sent_us: int) -> None:
        """The same from its stream: when nothing is missing, that is a measurement as good as a message of log. After a
        late one, no other may come for long."""
        if self.is_drained and self.core.applied_lsn >= vdl:
            self.lag_us = max(0, self._now_us() - sent_us)
