"""The compute node's life: open the volume, install or open the database, serve, end in order.

::

    storage addresses ─► Volume.open ─► [new: create, install image] ─► Storage ─► Engine ─► wire Server
                          fence, recover, truncate                       └► background vacuum
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, NamedTuple

from aurora import exit_status
from aurora.errors import AdminShutdown, InvariantViolation, NotSupported, SerializationFailure, SqlError, VolumeTooNew
from aurora.ids import NO_LSN, Lsn
from aurora.kernels import arena as arena_kernel
from aurora.metrics import MetricsServer
from aurora.rpc import compute_pb2 as cpb
from aurora.stalls import Heartbeat, stalls_of_running_loop
from compute_node.access.auto_vacuum import AutoVacuum
from compute_node.access.prepared_states import PreparedStates
from compute_node.access.storage import Storage
from compute_node.catalog import bootstrap, reading, reconcile
from compute_node.catalog.auto_analyze import AutoAnalyze
from compute_node.catalog.databases import Databases
from compute_node.config import READER, WRITER, Config
from compute_node.engine import Engine
from compute_node.forward.reader import ReaderForwarder
from compute_node.forward.writer import Forwarded
from compute_node.hub import HUB, Waiter
from compute_node.metrics import INSTANCE_METRICS, InstanceSource, describe_turn
from compute_node.opening import Authenticator, member_at, now_us, open_volume, wire_config
from compute_node.replica.catch_up import changed_pages, missing_log
from compute_node.replica.following import Moved
from compute_node.replica.keep import behind, drop_changed
from compute_node.replica.known import PROMOTING, STARTING
from compute_node.replica.replica import Replica, descriptor_of
from compute_node.replica.volume import ReplicaVolume
from compute_node.roles import NameTaken, Place
from compute_node.session.moving import can_move
from compute_node.txn.recovery import Conflict
from compute_node.volume.commands import FleetCommands
from compute_node.volume.volume import Volume
from compute_node.wire.handover import Receiver
from compute_node.wire.server import Server
from compute_node.work.account import INSTANCE
from compute_node.work.server_files import PLACES

if TYPE_CHECKING:
    from aurora.documents import JsonObject
    from aurora.kernels.python.arena import Arena
    from compute_node.catalog.engine import DatabaseEngine
    from compute_node.relations.schema import SystemCatalogs
    from compute_node.session.session import Session


LOGGER = logging.getLogger(__name__)

KEEP_PATIENCE_S = 1.0
VACUUM_NAP_S = 5.0
"""Between two looks for tables that need vacuuming."""
GIVE_BACK_NAP_S = 0.004
"""Between two extents that are given back: the background leaves room for the foreground."""
FOLLOW_AGAIN_S = 0.1
DRAIN_S = 2.0
"""How long a reader goes on applying what has come before it follows another writer."""
END_SESSIONS_S = 1.0
"""How long sessions may take to end when the instance changes its role."""
OPEN_ANYWAY_S = 3.0
"""How long a reader goes on opening when its writer is gone: what it needs may be there in a moment."""
KEEPS_CONNECTIONS = "aurora.failover_keeps_connections"
LEAVE_S = 0.05
"""Between the answer to StepDown and the end of the process."""


class Ended(NamedTuple):
    """Why an instance ended: its process's exit status, and the reason in words, empty when it was asked to."""

    status: int = 0
    reason: str = ""


class ComputeServer:
    """One instance. ``start`` returns when it serves; ``wait`` until it must end; ``stop`` asks it to."""

    def __init__(self, config: Config) -> None:
        self.config = config
        if config.memory_mb:
            INSTANCE.limit_bytes = config.memory_mb << 20
        PLACES.tsearch_data = config.tsearch_data
        self.address = ""
        self.engine: DatabaseEngine | None = None
        self.owns_process = False
        """whether the process is this instance's alone, so that it may kill it"""
        self._done = asyncio.Event()
        self.ended = Ended()
        self._volume: Volume | None = None
        self._receiver: Receiver | None = None
        self._served: Server | None = None
        self._replica: Replica | None = None
        self._held_from = NO_LSN
        """What this reader shows begins here at the earliest: below it nobody has held what its sessions read."""
        self._applied: dict[int, int] | None = None
        """What the reader had applied that becomes the writer: each protection group's last LSN."""
        self._staying: asyncio.Task[None] | None = None
        self._changing: asyncio.Task[None] | None = None
        """A reader becomes the writer, or has."""
        self._source: InstanceSource | None = None
        self._arena: Arena = arena_kernel.Arena(config.cache_frames)
        self.place = Place(config, now_us, self.promote, self.step_down)
        self._returning: asyncio.Task[None] | None = None
        """Its way back to being a reader."""
        self._tasks: list[asyncio.Task[None]] = []
        self.metrics = MetricsServer(self._problem)
        self._heartbeat: Heartbeat | None = None

    async def start(self) -> str:
        """Open everything; returns HOST:PORT."""
        HUB.bind(asyncio.get_running_loop())
        config = self.config
        await self.metrics.start(config.metrics_listen)
        await self.place.start()
        writes = config.role == WRITER
        if writes and config.peers:
            # It was the writer once; somebody else may be by now.
            writes = await self.place.writer_among_others() is None
        if writes or not await self._read():
            await self._write()
        host, port = self._wire.addresses[0]
        self.address = f"{host}:{port}"
        self.place.be(sql_address=self.address)
        return self.address

    @property
    def _wire(self) -> Server:
        if self._served is None:
            raise InvariantViolation("the instance does not serve yet")
        return self._served

    # The roles

    async def _write(self) -> None:
        """Open the volume for writing and serve it."""
        volume = self._volume = await open_volume(self.config)
        volume.on_over = self._over
        self.place.opened(volume)
        arena = self._arena
        await self._catch_up(arena, volume)
        arena.durable_lsn = volume.vdl
        volume.durable_callbacks.append(lambda vdl: setattr(arena, "durable_lsn", vdl))
        if volume.vdl == 0:
            await HUB.call(bootstrap.install, volume)
        engine = await HUB.call(self._open_engine, arena, volume)
        self.place.writes(volume, engine.storage)
        await self._serve(volume, engine)
        self._tasks.append(asyncio.ensure_future(self._autovacuum(engine)))

    async def _read(self) -> bool:
        """Follow whoever writes and serve what it has written; False: nobody does, and it is for this one to begin."""
        place, found = self.place, None
        while found is None:
            writer = await place.settle()
            if writer is None:
                return False
            try:
                found = await place.connect(writer)
            except NameTaken as error:
                self._end(1, str(error))
                raise AdminShutdown(str(error)) from error
            except (ConnectionError, Moved) as error:
                LOGGER.info("instance %s cannot be followed: %s", writer.id, error)
                await asyncio.sleep(FOLLOW_AGAIN_S)
        arena = self._arena
        pg_last = {point.pg: int(point.lsn) for point in found.pg_last}
        volume = self._volume = ReplicaVolume(
            descriptor_of(found.descriptor), self.config.id, Lsn(found.vdl), found.epoch, pg_last
        )
        volume.on_over = self._over
        arena.durable_lsn = volume.vdl
        volume.durable_callbacks.append(lambda vdl: setattr(arena, "durable_lsn", vdl))
        bootstrap.rows_hash()  # of the program that this process is
        replica = self._replica = Replica(arena, volume, found, now_us)
        place.deliver(replica.received)
        engine = await self._unless_lost(HUB.call(self._open_reading_engine, arena, volume, replica))
        place.reads(volume, engine.storage, replica)
        replica.gap = place.cut
        replica.start()
        await self._serve(volume, engine)
        self._staying = asyncio.ensure_future(self._stay_reader())
        self._staying.add_done_callback(self._stayed)
        return True

    async def _unless_lost(self, opening: Coroutine[None, None, DatabaseEngine]) -> DatabaseEngine:
        """The engine, as long as the writer is there. Without it another one may have fenced it, and storage answers
        nobody who reads under the older epoch: then this process ends, to begin again with the new one."""
        task, lost = asyncio.ensure_future(opening), asyncio.ensure_future(self.place.lost.wait())
        await asyncio.wait({task, lost}, return_when=asyncio.FIRST_COMPLETED)
        lost.cancel()
        if not task.done():
            await asyncio.wait({task}, timeout=OPEN_ANYWAY_S)
        if not task.done():
            task.cancel()
            self._end(exit_status.BROKEN, "the writer went away while this reader began")
            raise AdminShutdown(self.ended.reason)
        return task.result()

    async def _serve(self, volume: Volume, engine: DatabaseEngine) -> None:
        """Let sessions in: at first by listening, later, in another role, by the same sockets."""
        self.engine = engine
        authenticator = Authenticator(engine, self.config.password)
        if self._served is None:
            self._served = Server(engine, authenticator, wire_config(self.config), now_us)
            self._served.on_reload = self._reloaded
            self._served.on_stray_cancel, self.place.cancel = self.place.elsewhere.cancel, self._served.cancel_here
            await self._served.start()
            if self.config.handover is not None:
                self._receiver = Receiver(self._served, self.config.handover)
                self._receiver.start()
        else:
            await HUB.call(self._served.replace_engine, engine, authenticator)
        wire = self._served
        engine.databases.sessions = lambda: list(wire.sessions.values())
        engine.topology = self.place.known
        engine.databases.crash = self.crash
        engine.databases.injected = self.place.injected
        self.place.use_database = self._use_database
        self.place.take_forwarded = lambda stream: Forwarded(stream, wire, self.place.is_writing)
        self._measure(volume, engine, wire)
        wire.away = ""
        wire.release_input()

    def _open_reading_engine(self, arena: Arena, volume: ReplicaVolume, replica: Replica) -> DatabaseEngine:
        storage = Storage(arena, volume, clock=now_us)
        replica.attach(storage)
        fleet = FleetCommands(volume, member_at)
        started = now_us()

        def make(catalogs: SystemCatalogs) -> DatabaseEngine:
            engine: DatabaseEngine = Engine(storage, self.status, started, fleet, catalogs)
            engine.in_recovery = True
            return engine

        databases = Databases(storage, make)
        reading.attach(databases, replica, self._sender)
        storage.txns.recovery.promote = self._promote_soon
        databases.write_elsewhere = lambda oid: self._used_by_writer(storage, oid)
        databases.forwarder = self.place.forwarder = ReaderForwarder(
            self.place.known.writer, self.config.id, volume.descriptor.volume_id
        )
        databases.initial.catalog.warm()
        reading.load_settings(databases, replica)
        return databases.initial

    def _used_by_writer(self, storage: Storage, oid: int) -> None:
        lsn = HUB.await_(self.place.elsewhere.use_database(oid))
        waiter = Waiter()
        storage.volume.when_durable(Lsn(lsn), lambda error: waiter.wake() if error is None else waiter.fail(error))
        HUB.wait(waiter)

    async def _use_database(self, oid: int) -> cpb.UseDatabaseReply:
        """See ``InstanceCalls``."""
        engine, volume = self.engine, self._volume
        if engine is None or volume is None or self.place.feed is None:
            return cpb.UseDatabaseReply(problem=f"{self.config.id} does not write")

        def use() -> Lsn:
            engine.databases.use(oid)
            volume.wait_durable(volume.log.last_cpl)
            return volume.vdl

        try:
            return cpb.UseDatabaseReply(lsn=await HUB.call(use))
        except SqlError as error:
            return cpb.UseDatabaseReply(problem=error.message)

    def _promote_soon(self) -> None:
        """pg_promote: the sessions of a reader end when it becomes the writer, and so does the one that asks."""
        self._promoting = HUB.beside(self.promote("pg_promote"), lambda reply: None)

    def _sender(self) -> str:
        """Where the writer's log comes from."""
        writer = self.place.known.writer()
        return "" if writer is None else writer.feed_address

    async def _stay_reader(self) -> None:
        """As long as the stream holds nothing; then follow another writer, or become it."""
        place = self.place
        while True:
            await place.lost.wait()
            writer = await place.settle()
            if writer is None:
                await self._change("nobody writes")
                return
            replica, engine = self._replica, self.engine
            if replica is None or engine is None:
                return
            drained = await replica.drained(DRAIN_S)
            replica.stand_between()
            try:
                begin = await place.connect(writer)
            except NameTaken as error:
                self._end(1, str(error))
                return
            except (ConnectionError, Moved) as error:
                LOGGER.info("instance %s cannot be followed: %s", writer.id, error)
                replica.go_on()
                await asyncio.sleep(FOLLOW_AGAIN_S)
                place.lost.set()
                continue
            if not begin.held or not (replica.feedback or begin.resumed):
                self._held_from = max(self._held_from, Lsn(begin.held_from))
                await self._end_snapshots()
            others = begin.epoch != replica.volume.epoch
            replica.volume.follow(begin.epoch, descriptor_of(begin.descriptor))  # nodes refuse reads of an older epoch
            if others:
                await _to_the_end(HUB.call(replica.another_writer, begin))
            missing = None if begin.resumed or not drained else await self._missing(replica, begin)
            if begin.resumed or missing is not None:
                replica.go_on(missing)
            else:
                LOGGER.warning("the stream begins anew at %d: the cache is dropped", begin.vdl)
                await self._wire.end_sessions(END_SESSIONS_S)
                await _to_the_end(HUB.call(replica.begin_anew, begin))
                engine.databases.replayed_unknown()
                replica.go_on()
            place.reads(replica.volume, engine.storage, replica)
            if await replica.reached(self._held_from, place.lost):
                self._wire.release_input()

    async def _end_snapshots(self) -> None:
        """What sessions read has not been held all the time: rows that they need may have been vacuumed. Who reads ends
        before the log that says so is applied, and who comes waits until it is."""
        self._wire.hold_input()
        error = SerializationFailure(
            "terminating connection due to conflict with recovery",
            detail=Conflict.SNAPSHOT.value,
            hint="In a moment you should be able to reconnect to the database and repeat your command.",
        )

        def reads(session: Session) -> bool:
            return session.txn is not None or session.greenlet is not None

        for session in filter(reads, self._wire.sessions.values()):
            session.engine.recovery.count(session.engine.database_oid, Conflict.SNAPSHOT)
        await self._wire.end_sessions(END_SESSIONS_S, reads, error)

    def _stayed(self, staying: asyncio.Task[None]) -> None:
        """A reader that does not know any more whom to follow ends, and is started again."""
        if not staying.cancelled() and (error := staying.exception()) is not None:
            LOGGER.error("following has met a defect", exc_info=error)
            self._end(exit_status.BROKEN, "the reader met a defect")

    def _end(self, status: int, reason: str) -> None:
        if not self.ended.status:
            self.ended = Ended(status, reason)
        self._done.set()

    @staticmethod
    async def _missing(replica: Replica, begin: cpb.Begin) -> cpb.Log | None:
        """The log between what a reader has applied and the point where another writer's stream begins."""
        wanted = {point.pg: int(point.lsn) for point in begin.pg_last}
        runs = await missing_log(replica.volume, replica.core.pg_last, wanted)
        if runs is None:
            return None
        made = [
            cpb.PgRun(pg=pg, prev_lsn=prev, first_lsn=first, last_lsn=last, records=records)
            for pg, prev, first, last, records in runs
        ]
        return cpb.Log(runs=made, vdl=begin.vdl, sent_us=now_us(), epoch=begin.epoch)

    async def _change(self, reason: str) -> None:
        """A reader becomes the writer, once, whoever asks and whether or not they still wait for it. What it had as a
        reader is gone by the time that it may fail: then it ends, to be started again as what the others leave it."""
        if self._changing is None:
            self._changing = asyncio.ensure_future(self._take_over(reason))
        await asyncio.shield(self._changing)

    async def _take_over(self, reason: str) -> None:
        try:
            await self._become_writer(reason)
        except AdminShutdown as error:
            LOGGER.warning("%s does not become the writer: %s", self.config.id, error.detail or error)
            self._end(exit_status.FENCED, "another instance has taken over the volume")
        except SqlError as error:
            LOGGER.error("%s does not become the writer: %s", self.config.id, error)
            self._end(exit_status.BROKEN, "the volume could not be opened for writing")
        except Exception:
            LOGGER.exception("%s does not become the writer", self.config.id)
            self._end(exit_status.BROKEN, "becoming the writer met a defect")

    async def _become_writer(self, reason: str) -> None:
        """Fencing comes before anything that others could notice of it."""
        LOGGER.warning("%s becomes the writer: %s", self.config.id, reason)
        place, wire, replica, volume = self.place, self._wire, self._replica, self._volume
        place.be(state=PROMOTING)
        wire.away = "the database system is starting up"
        if place.following is not None:
            place.following.close()
            place.following = None
        # What is applied may wait for a lock that a session holds.
        stays = await HUB.call(self._keeps_connections)
        stopping = asyncio.ensure_future(replica.stop()) if replica is not None else None
        await self._end_sessions(stays)
        if stopping is not None:
            await stopping
        self._replica = None
        if volume is not None:
            # A stream that was to begin anew and could not has left pages of several points: none of them is kept.
            self._applied = dict(volume.recovered.pg_last) if replica is None or replica.whole else {}
            await volume.close()
        if self.engine is not None:
            # What is still on its way is of the reader's last point: it must not come after what the log has changed.
            self.engine.storage.cache.abandon_loads()
        self._arena.pins[:] = 0
        await self._write()

    async def promote(self, reason: str) -> cpb.PromoteReply:
        """See ``aurora.compute.v1.Instance``."""
        if self._changing is None or self._changing.done():
            staying = self._staying
            if self._replica is None or staying is None or self._done.is_set():
                return cpb.PromoteReply(problem=f"{self.config.id} is no reader that follows")
            staying.cancel()
            await asyncio.wait({staying})
        await self._change(reason or "asked to")
        if self._done.is_set():
            return cpb.PromoteReply(problem=self.ended.reason or f"{self.config.id} is shutting down")
        opened = self.place.me()
        return cpb.PromoteReply(epoch=opened.epoch, vdl=opened.applied_lsn)

    async def step_down(self, successor: str) -> cpb.StepDownReply:
        """See ``aurora.compute.v1.Instance``: what is logged becomes durable, sessions end; then this process does, to
        be started again as a reader."""
        volume = self._volume
        if self.place.feed is None or volume is None:
            return cpb.StepDownReply(problem=f"{self.config.id} does not write")
        wire, stays = self._wire, await HUB.call(self._keeps_connections)
        wire.away = "the database system is shutting down"
        await self._end_sessions(stays)
        await HUB.call(volume.wait_durable, volume.log.last_cpl)
        vdl = volume.vdl
        if stays:
            await self._step_back(volume)
        else:
            self.place.be(role=READER, state=STARTING)
            self.ended = Ended(exit_status.FENCED, f"{successor or 'another instance'} takes over")
            HUB.loop.call_later(LEAVE_S, self._done.set)
        return cpb.StepDownReply(vdl=vdl)

    def _keeps_connections(self) -> bool:
        engine = self.engine
        return engine is not None and bool(engine.session_function(None, "system_setting", KEEPS_CONNECTIONS))

    async def _end_sessions(self, but_idle: bool) -> None:
        """Before the role changes. Those that are idle may stay: nothing is heard of them until it has changed."""
        wire = self._wire
        if but_idle:
            wire.hold_input()
        await wire.end_sessions(END_SESSIONS_S, lambda session: not (but_idle and can_move(session)))

    async def _step_back(self, volume: Volume) -> None:
        """Become a reader as this process, for whoever writes next."""
        LOGGER.warning("%s becomes a reader, and its connections stay", self.config.id)
        self.place.steps_back()
        await self._end_tasks()
        volume.on_over = lambda: None
        await volume.close()
        self._changing = self._applied = None
        if self.engine is not None:
            self.engine.storage.cache.abandon_loads()
        self._arena.pins[:] = 0
        for page_no in list(self._arena.page_of[self._arena.page_of >= 0]):
            self._arena.drop(int(page_no))
        self._returning = asyncio.ensure_future(self._return())

    async def _return(self) -> None:
        try:
            if not await self._read():
                await self._write()
        except Exception:
            LOGGER.exception("%s does not become a reader", self.config.id)
            self._end(exit_status.BROKEN, "becoming a reader met a defect")

    async def _catch_up(self, arena: Arena, volume: Volume) -> None:
        """Of the cache of a reader that becomes the writer keep what is still right: pages that were written after what
        it had applied are dropped, and are read again when somebody needs them."""
        known, self._applied = self._applied, None
        if known is None:
            return
        for pg, after in behind(known, volume.recovered.pg_last).items():
            drop_changed(arena, volume.descriptor.pg_of, pg, await changed_pages(volume, pg, after))
        LOGGER.info("%d pages of the cache are kept", len(arena))

    def _measure(self, volume: Volume, engine: DatabaseEngine, wire: Server) -> None:
        config = self.config
        if self._source is not None:
            self._source.role, self._source.volume, self._source.storage = self.place.me().role, volume, engine.storage
            return
        HUB.stalls = stalls_of_running_loop()
        source = self._source = InstanceSource(config.id, config.role, volume, engine.storage, wire, HUB.stalls)
        self.metrics.add(INSTANCE_METRICS, source)
        HUB.describe = lambda worker, function: describe_turn(wire, worker, function)
        self._heartbeat = Heartbeat(HUB.stalls, source.work)

    def _problem(self) -> str:
        """What ``/healthz`` says: empty while the instance takes connections, and may write or follows the writer."""
        volume = self._volume
        if volume is None or self._heartbeat is None:
            return "starting"
        if volume.over:
            return volume.state
        if self._replica is not None:
            return "" if self.place.following is not None else "no writer to follow"
        return "read only: no write quorum yet" if volume.read_only else ""

    def _open_engine(self, arena: Arena, volume: Volume) -> DatabaseEngine:
        storage = Storage(arena, volume, clock=now_us)
        self.place.opens(storage)
        storage.mtr.verify = self.config.verify_redo
        volume.siblings = storage.txns.by_xid.__len__
        started, fleet = now_us(), FleetCommands(volume, member_at)
        databases = Databases(storage, lambda catalogs: Engine(storage, self.status, started, fleet, catalogs))
        engine: DatabaseEngine = databases.initial
        unprepared = databases.restore_prepared()
        orphans = storage.orphans()
        current = reconcile.is_current(databases)

        def tidy() -> None:
            storage.reclaim(orphans)
            if unprepared:
                PreparedStates(storage).remove(*unprepared)
            if not current:
                reconcile.reconcile(databases)

        if not volume.read_only:
            tidy()
        elif orphans or unprepared or not current:
            if not current:
                LOGGER.warning("the volume's built-in catalog rows are another program's until it can be written")

            def writable() -> None:
                volume.background(HUB.call(tidy))

            volume.on_writable = writable
        engine.catalog.warm()
        return engine

    async def _autovacuum(self, engine: DatabaseEngine) -> None:
        storage, databases = engine.storage, engine.databases

        def setting(name: str) -> float:
            return float(databases.initial.session_function(None, "system_setting", name))

        vacuum = AutoVacuum(
            storage,
            setting=setting,
            find=databases.table_of,
            current=databases.current,
            vacuumed=lambda table, stats: databases.vacuumed(table.desc, stats),
            shown=databases.shown,
        )
        analyze = AutoAnalyze(databases.in_use, setting, databases.shown)
        nap_s = VACUUM_NAP_S
        while True:
            await asyncio.sleep(nap_s)
            try:
                nap_s = min(VACUUM_NAP_S, await HUB.call(lambda: setting("autovacuum_naptime")))
                await HUB.call(vacuum.round)
                await HUB.call(analyze.step)
                await HUB.call(storage.give_back, GIVE_BACK_NAP_S)
            except SqlError as error:
                # A fenced or full volume ends it; a lock or a page that could not be had is tried again after the next
                # nap.
                LOGGER.warning("autovacuum: %s", error)
            except Exception:
                # A table that cannot be vacuumed is no reason not to serve, and no reason to leave the others.
                LOGGER.exception("autovacuum met a defect")

    def _over(self) -> None:
        volume = self._volume
        if volume is not None and volume.broken:
            self.ended = Ended(exit_status.BROKEN, "the writer met a defect")
        else:
            self.ended = Ended(exit_status.FENCED, "another writer has taken over the volume")
        self._done.set()

    def status(self) -> JsonObject:
        """What ``aurora_status()`` tells."""
        if self._volume is None or self._served is None or self.engine is None:
            return {"id": self.config.id, "state": "starting"}
        volume = self._volume.status()
        cache, arena = self.engine.storage.cache, self.engine.storage.arena
        return {
            "id": self.config.id,
            "role": self.place.known.me.role,
            "pid": os.getpid(),
            "sessions": len(self._wire.sessions),
            "volume": volume | self.engine.storage.size(),
            "cache": {
                "frames": int(arena.frames),
                "pages": len(arena),
                "hits": int(arena.hits),
                "misses": int(arena.misses),
                "evictions": int(arena.evictions),
                "pages_read": cache.pages_read,
                "pages_ahead": cache.pages_ahead,
            },
        }

    def reload(self) -> None:
        """SIGHUP: read again what may change while the instance runs."""
        if self._served is not None:
            self._wire.reload()

    def _reloaded(self) -> None:
        """A reader's replay has settings of its own, which are read again."""
        if self._replica is not None and self.engine is not None:
            HUB.beside(HUB.call(reading.load_settings, self.engine.databases, self._replica), lambda done: None)

    def crash(self) -> None:
        """End the process at once, as a crash does; 0A000 where it is not this instance's own."""
        if not self.owns_process:
            raise NotSupported("this instance shares its process with others and cannot crash alone")
        os.kill(os.getpid(), signal.SIGKILL)

    def stop(self) -> None:
        """End ``wait``."""
        self._done.set()

    async def wait(self) -> Ended:
        """Serve until ``stop``, or until this writer is fenced or broken; then end in order. Returns why it ended."""
        await self._done.wait()
        await self.close()
        return self.ended

    async def close(self) -> None:
        """End sessions, background work and streams."""
        self.metrics.close()
        if self._staying is not None and self._staying is not asyncio.current_task():
            self._staying.cancel()
        for changing in (self._changing, self._returning):
            if changing is not None and not changing.done():
                changing.cancel()
                await asyncio.wait({changing})
        if self._replica is not None:
            stopping = asyncio.ensure_future(self._replica.stop())
            if self._served is not None:
                await self._wire.shutdown()  # what is applied may wait for a lock that a session holds
            await stopping
        await self.place.close()
        if self._heartbeat is not None:
            self._heartbeat.close()
        await self._end_tasks()
        if self._receiver is not None:
            self._receiver.close()
        if self._served is not None:
            await self._wire.shutdown()
        await self._keep_counters()
        if self._volume is not None:
            await self._volume.close()
        for stack in HUB.waiting_stacks():
            LOGGER.info("closed while somebody waits:\n%s", stack)

    async def _end_tasks(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_counters(self) -> None:
        """At a clean stop: what autovacuum and free-space maps know is logged, if that takes no time."""
        engine, volume = self.engine, self._volume
        if engine is None or volume is None or volume.over or volume.read_only or self.ended.status:
            return

        def keep() -> None:
            AutoVacuum(engine.storage).keep(True)
            volume.wait_durable(engine.storage.log.last_cpl)

        keeping = asyncio.ensure_future(HUB.call(keep))
        done, _ = await asyncio.wait({keeping}, timeout=KEEP_PATIENCE_S)
        if not done:  # without a write quorum it ends with the volume, and there is nobody to hear of it
            keeping.add_done_callback(lambda task: task.cancelled() or task.exception())
        elif keeping.exception() is not None:
            LOGGER.warning("counters were not kept: %s", keeping.exception())


async def _to_the_end(step: Coroutine[None, None, None]) -> None:
    """What must not be left half done: a cancellation is heard when it is over."""
    task = asyncio.ensure_future(step)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


async def serve(config: Config, ready: Callable[[str], None], server_made: Callable[[ComputeServer], None]) -> Ended:
    """Run an instance until it ends; ``ready`` is told the address once it serves. Returns why it ended."""
    server = ComputeServer(config)
    server.owns_process = True
    server_made(server)
    try:
        ready(await server.start())
    except BaseException as error:
        await server.close()
        if isinstance(error, VolumeTooNew):
            LOGGER.error("%s", error)
            return Ended(exit_status.TOO_NEW, error.message)
        if isinstance(error, SqlError) and server.ended.status:
            return server.ended
        raise
    return await server.wait()
