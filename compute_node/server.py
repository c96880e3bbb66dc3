"""The compute node's life: open the volume, install or open the database, serve, end in order.

::

    storage addresses ─► Volume.open ─► [new: create, install image] ─► Storage ─► Engine ─► wire Server
                          fence, recover, truncate                       └► background vacuum
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import grpc

from aurora import exit_status
from aurora.cpu import CpuMeter
from aurora.errors import NotSupported, SqlError, VolumeTooNew
from aurora.geometry import Member
from aurora.kernels import arena as arena_kernel
from aurora.metrics import MetricsServer
from aurora.rpc import storage_pb2 as pb
from aurora.rpc.channels import open_channel, storage_stub
from aurora.stalls import Heartbeat, stalls_of_running_loop
from compute_node.access.storage import Storage
from compute_node.access.vacuum import AUTOVACUUM_NAP_S, AutoVacuum
from compute_node.catalog import bootstrap, reconcile
from compute_node.catalog.databases import Databases
from compute_node.config import WRITER, Config
from compute_node.engine import Engine
from compute_node.hub import HUB
from compute_node.metrics import INSTANCE_METRICS, InstanceSource, describe_turn
from compute_node.replica.single import SingleInstance
from compute_node.session.settings import SettingValue
from compute_node.volume.commands import FleetCommands
from compute_node.volume.volume import Volume, VolumeNotFound
from compute_node.wire import hba, scram
from compute_node.wire.handover import Receiver
from compute_node.wire.server import Server, WireConfig
from compute_node.wire.startup import Role
from compute_node.work.account import INSTANCE

if TYPE_CHECKING:
    from aurora.documents import JsonObject
    from aurora.kernels.python.arena import Arena
    from compute_node.catalog.engine import DatabaseEngine


LOGGER = logging.getLogger(__name__)

POSTGRES_EPOCH_US = 946_684_800_000_000
"""2000-01-01 UTC in µs since 1970."""
FIND_TIMEOUT_S = 60.0
SUPERUSER = "postgres"
DEFAULT_PORT = 5432
RESERVED_CONNECTIONS = 3
"""Of ``max_connections``, for superusers alone."""
KEEP_PATIENCE_S = 1.0
VACUUM_NAP_S = 5.0
"""Between two looks for tables that need vacuuming."""


class Ended(NamedTuple):
    """Why an instance ended: its process's exit status, and the reason in words, empty when it was asked to."""

    status: int = 0
    reason: str = ""


def now_us() -> int:
    """µs since 2000-01-01 UTC."""
    return time.time_ns() // 1000 - POSTGRES_EPOCH_US


class ComputeServer:
    """One instance. ``start`` returns when it serves; ``wait`` until it must end; ``stop`` asks it to."""

    def __init__(self, config: Config) -> None:
        self.config = config
        if config.memory_mb:
            INSTANCE.limit_bytes = config.memory_mb << 20
        self.address = ""
        self.engine: DatabaseEngine | None = None
        self._done = asyncio.Event()
        self.ended = Ended()
        self._volume: Volume | None = None
        self._wire: Server | None = None
        self._receiver: Receiver | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.metrics = MetricsServer(self._problem)
        self._heartbeat: Heartbeat | None = None

    async def start(self) -> str:
        """Open everything; returns HOST:PORT."""
        HUB.bind(asyncio.get_running_loop())
        config = self.config
        if config.role != WRITER:
            raise NotSupported("an instance cannot be a reader yet: start it with --role writer")
        await self.metrics.start(config.metrics_listen)
        volume = self._volume = await self._open_volume()
        volume.on_over = self._over
        arena = arena_kernel.Arena(config.cache_frames)
        arena.durable_lsn = volume.vdl
        volume.durable_callbacks.append(lambda vdl: setattr(arena, "durable_lsn", vdl))
        if volume.vdl == 0:
            await HUB.call(bootstrap.install, volume)
        engine = self.engine = await HUB.call(self._open_engine, arena, volume)
        self._wire = Server(engine, _Authenticator(engine, config.password), self._wire_config(), now_us)
        engine.databases.sessions = lambda: list(self._wire.sessions.values()) if self._wire is not None else []
        single = SingleInstance(
            config.id, str(uuid.uuid4()), lambda: volume.vdl, now_us, CpuMeter().percent, lambda: volume.epoch
        )
        engine.topology = single
        await self._wire.start()
        if config.handover is not None:
            self._receiver = Receiver(self._wire, config.handover)
            self._receiver.start()
        self._measure(volume, engine, self._wire)
        self._tasks.append(asyncio.ensure_future(self._autovacuum(engine)))
        host, port = self._wire.addresses[0]
        self.address = f"{host}:{port}"
        single.sql_address = self.address
        return self.address

    def _measure(self, volume: Volume, engine: DatabaseEngine, wire: Server) -> None:
        config = self.config
        HUB.stalls = stalls_of_running_loop()
        source = InstanceSource(config.id, config.role, volume, engine.storage, wire, HUB.stalls)
        self.metrics.add(INSTANCE_METRICS, source)
        HUB.describe = lambda worker, function: describe_turn(wire, worker, function)
        self._heartbeat = Heartbeat(HUB.stalls, source.work)

    def _problem(self) -> str:
        """What ``/healthz`` says: empty while the instance takes connections and may write."""
        volume = self._volume
        if volume is None or self._heartbeat is None:
            return "starting"
        return volume.state if volume.over else "read only: no write quorum yet" if volume.read_only else ""

    def _open_engine(self, arena: Arena, volume: Volume) -> DatabaseEngine:
        storage = Storage(arena, volume, clock=now_us)
        storage.mtr.verify = self.config.verify_redo
        volume.siblings = storage.txns.by_xid.__len__
        started, fleet = now_us(), FleetCommands(volume, member_at)
        databases = Databases(storage, lambda catalogs: Engine(storage, self.status, started, fleet, catalogs))
        engine: DatabaseEngine = databases.initial
        orphans = storage.orphans()
        current = reconcile.is_current(databases)

        def tidy() -> None:
            storage.reclaim(orphans)
            if not current:
                reconcile.reconcile(databases)

        if not volume.read_only:
            tidy()
        elif orphans or not current:
            if not current:
                LOGGER.warning("the volume's built-in catalog rows are another program's until it can be written")

            def writable() -> None:
                volume.background(HUB.call(tidy))

            volume.on_writable = writable
        engine.catalog.warm()
        return engine

    def _wire_config(self) -> WireConfig:
        config = self.config
        return WireConfig(
            host=config.host,
            port=config.port,
            max_connections=config.max_connections,
            reserved_connections=min(RESERVED_CONNECTIONS, config.max_connections - 1),
            authentication_timeout_s=config.authentication_timeout_s,
            hba_file=config.hba_file,
            default_rules=hba.DEFAULT_PASSWORD if config.password else hba.DEFAULT_TRUST,
            tls_cert=config.tls_cert,
            tls_key=config.tls_key,
            settings=self._settings(),
        )

    def _settings(self) -> dict[str, SettingValue]:
        """What SHOW tells of this instance's own configuration."""
        config = self.config
        return {
            "listen_addresses": config.host,
            "port": config.port or DEFAULT_PORT,
            "max_connections": config.max_connections,
            "aurora.memory_limit": INSTANCE.limit_bytes // 1024,
            "superuser_reserved_connections": min(RESERVED_CONNECTIONS, config.max_connections - 1),
            "authentication_timeout": int(config.authentication_timeout_s),
            "hba_file": str(config.hba_file or ""),
            "ssl": config.tls_cert is not None,
        }

    async def _open_volume(self) -> Volume:
        config = self.config
        try:
            return await self._find_volume()
        except VolumeNotFound:
            LOGGER.info("the storage nodes are empty: creating a volume")
        members = [await member_at(address) for address in config.storage]
        await Volume.create(members, config.pages_per_pg, tails=config.tails)
        return await self._find_volume()

    async def _find_volume(self) -> Volume:
        config = self.config
        return await Volume.open(
            config.storage,
            config.id,
            read_only_after_s=config.read_only_after_s or None,
            find_timeout_s=FIND_TIMEOUT_S,
            replace_after_s=config.replace_after_s,
            away_after_s=config.zone_away_after_s,
        )

    async def _autovacuum(self, engine: DatabaseEngine) -> None:
        storage, databases = engine.storage, engine.databases
        vacuum = AutoVacuum(
            storage,
            find=databases.table_of,
            vacuumed=lambda table, stats: databases.vacuumed(table.desc, stats),
        )
        while True:
            await asyncio.sleep(VACUUM_NAP_S)
            try:
                await HUB.call(vacuum.step)
                await HUB.call(storage.give_back, AUTOVACUUM_NAP_S)
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
        if self._volume is None or self._wire is None or self.engine is None:
            return {"id": self.config.id, "state": "starting"}
        volume = self._volume.status()
        cache, arena = self.engine.storage.cache, self.engine.storage.arena
        return {
            "id": self.config.id,
            "role": self.config.role,
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
        if self._wire is not None:
            self._wire.reload()

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
        if self._heartbeat is not None:
            self._heartbeat.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._receiver is not None:
            self._receiver.close()
        if self._wire is not None:
            await self._wire.shutdown()
        await self._keep_counters()
        if self._volume is not None:
            await self._volume.close()

    async def _keep_counters(self) -> None:
        """At a clean stop: what autovacuum and free-space maps know is logged, if that takes no time."""
        engine, volume = self.engine, self._volume
        if engine is None or volume is None or volume.over or volume.read_only:
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


class _Authenticator:
    """Roles from the catalog; the superuser's password may come from the configuration."""

    def __init__(self, engine: DatabaseEngine, password: str | None) -> None:
        self._engine = engine
        self._verifier = scram.make_verifier(password).text() if password else None

    def lookup(self, user: str) -> Role | None:
        """The role of that name; called in a greenlet."""
        role = self._engine.catalog.role(user)
        if role is None:
            return None
        verifier = role.verifier
        if user == SUPERUSER and self._verifier is not None:
            verifier = self._verifier
        if role.valid_until is not None and role.valid_until <= now_us():
            verifier = None
        return Role(verifier, role.superuser, role.can_login, role.oid, role.connection_limit)

    def is_member(self, user: str, role: str) -> bool:
        """Whether a role belongs to another, directly or through others; called in a greenlet."""
        member, wanted = self._engine.catalog.role(user), self._engine.catalog.role(role)
        if member is None or wanted is None:
            return False
        seen, queue = {member.oid}, [member.oid]
        while queue:
            for record in self._engine.catalog.shared().reader.find("pg_auth_members", member=queue.pop()):
                if record.roleid not in seen:
                    seen.add(record.roleid)
                    queue.append(record.roleid)
        return wanted.oid in seen


async def member_at(address: str) -> Member:
    """What the node at an address calls itself; waits until it answers."""
    channel = open_channel(address)
    try:
        while True:
            try:
                reply = await storage_stub(channel).Status(pb.StatusRequest(), timeout=2.0)
            except grpc.aio.AioRpcError as error:
                LOGGER.info("storage node %s does not answer yet: %s", address, error.code().name)
                await asyncio.sleep(0.1)
                continue
            return Member(reply.node_id, reply.az, address)
    finally:
        await channel.close()


async def serve(config: Config, ready: Callable[[str], None], server_made: Callable[[ComputeServer], None]) -> Ended:
    """Run an instance until it ends; ``ready`` is told the address once it serves. Returns why it ended."""
    server = ComputeServer(config)
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
