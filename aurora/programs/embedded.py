"""The whole cluster for tests and notebooks: the same storage nodes and instances, started in a second or two.

``with aurora.cluster() as c: psycopg.connect(c.dsn)``. The six nodes run on one thread of this process and keep their
files in a temporary folder (or ``data``); gRPC and PostgreSQL's protocol go over loopback as always. So does a single
writer. With readers the instances are processes of their own (``embedded_instances``). One cluster a process at a time.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aurora.addresses import LOOPBACK
from aurora.errors import InvariantViolation
from aurora.programs.description import READER, WRITER
from aurora.programs.embedded_instances import EmbeddedInstances, Instance, dsn_of
from aurora.programs.places import free_ports
from aurora.programs.supervisor import NODES

if TYPE_CHECKING:
    from aurora.documents import JsonObject
    from aurora.programs.instances import Failover


PAGES_PER_PG_DEFAULT = (10 << 30) // 8192
START_TIMEOUT_S = 60.0
ALONE = "instance-1"
"""The writer's id, as with readers"""

_running = threading.Lock()


class EmbeddedCluster:
    """A running embedded cluster. ``dsn`` is for libpq and drivers, ``address`` is (host, port): the writer's."""

    def __init__(self, data: Path, pages_per_pg: int, cache_mb: int, readers: int = 0) -> None:
        self.data = data
        self._address = (LOOPBACK, 0)
        self._pages_per_pg = pages_per_pg
        self._cache_mb = cache_mb
        self._reader_count = readers
        self._secret = secrets.token_urlsafe(32)
        """What the nodes ask for: another program of this machine is to find nothing open."""
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._nodes: JsonObject = {}
        self._compute: Any = None
        self._processes: EmbeddedInstances | None = None
        self._ports = free_ports(len(NODES))
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._main, name="aurora-embedded", daemon=True)

    @property
    def instances(self) -> tuple[Instance, ...]:
        """All instances that run, the writer first."""
        if self._processes is not None:
            return self._processes.instances()
        return (Instance(ALONE, WRITER, self._address),)

    @property
    def readers(self) -> tuple[Instance, ...]:
        """The readers that run."""
        return tuple(one for one in self.instances if one.role == READER)

    @property
    def address(self) -> tuple[str, int]:
        """Where the writer listens."""
        return self._address if self._processes is None else self._processes.instances()[0].address

    @property
    def dsn(self) -> str:
        """libpq connection string of who is the writer now."""
        return dsn_of([self.address])

    @property
    def reader_dsn(self) -> str:
        """libpq connection string of a reader; of the writer when there is none."""
        return next(iter(self.readers), self.instances[0]).dsn

    @property
    def cluster_dsn(self) -> str:
        """libpq connection string that leads to the writer whoever that is, after a failover too: of all instances,
        with ``target_session_attrs``."""
        return dsn_of([one.address for one in self.instances]) + " target_session_attrs=read-write"

    def failover(self, to: str = "") -> Failover:
        """Have the best reader write, or the one of this id; returns when it does, and who wrote before follows it."""
        if self._processes is None:
            raise RuntimeError("there is no reader to take over: start the cluster with readers=")
        return self._processes.failover(to)

    def kill(self, instance_id: str) -> None:
        """SIGKILL to an instance of a cluster with readers; it stays down until ``restart``."""
        if self._processes is None:
            raise RuntimeError("a single writer runs in this process and cannot be killed: start it with readers=")
        self._processes.cluster.kill(instance_id)

    def restart(self, instance_id: str) -> None:
        """Start an instance that was killed; returns when it answers."""
        if self._processes is None:
            raise RuntimeError("only a cluster with readers has instances to start: start it with readers=")
        self._processes.restart(instance_id)

    def start(self) -> None:
        """Returns when the writer answers, and all readers."""
        if self._reader_count:
            instances = EmbeddedInstances(
                self.data / "instances", self._ports, self._reader_count, self._pages_per_pg, self._cache_mb
            )
            self._secret = instances.cluster.secret()
            self._processes = instances
        self._thread.start()
        if not self._ready.wait(START_TIMEOUT_S):
            raise TimeoutError(f"the embedded cluster did not start within {START_TIMEOUT_S:g} s")
        if self._error is not None:
            raise self._error
        if self._processes is not None:
            self._processes.start()

    def stop(self) -> None:
        """End the instances, then the nodes."""
        if self._processes is not None:
            self._processes.stop()
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None and self._thread.is_alive():
            loop.call_soon_threadsafe(stop.set)
        if self._thread.ident is not None:
            self._thread.join()

    def status(self) -> JsonObject:
        """What the writer says of itself and the volume."""
        if self._processes is not None:
            import psycopg

            with psycopg.connect(self.dsn, autocommit=True) as connection:
                row = connection.execute("select aurora_status()").fetchone()
            return dict(json.loads(row[0])) if row else {}
        if self._loop is None or self._compute is None:
            raise InvariantViolation("the embedded cluster does not run")

        async def ask() -> JsonObject:
            return dict(self._compute.status())

        return asyncio.run_coroutine_threadsafe(ask(), self._loop).result(10)

    def _main(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(self._serve())
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        from aurora.rpc.secret import held as held_secret
        from aurora.rpc.secret import use as use_secret

        self._loop = asyncio.get_running_loop()
        before = held_secret()
        use_secret(self._secret)
        self._stop = asyncio.Event()
        try:
            await self._start_nodes()
            if not self._reader_count:
                await self._start_writer()
            self._ready.set()
            await self._stop.wait()
        finally:
            if self._compute is not None:
                await self._compute.close()
            for server in self._nodes.values():
                server.stop()
                await server.wait()
            use_secret(before)

    async def _start_nodes(self) -> None:
        from storage_node.config import NodeConfig, Peer
        from storage_node.server import NodeServer

        places = [(node, az, f"{LOOPBACK}:{port}") for (node, az), port in zip(NODES, self._ports, strict=True)]
        for node, az, address in places:
            peers = tuple(Peer(other, zone, where) for other, zone, where in places if other != node)
            server = NodeServer(
                NodeConfig(node_id=node, az=az, listen=address, data=self.data / node, peers=peers, secret=self._secret)
            )
            await server.start()
            self._nodes[node] = server

    async def _start_writer(self) -> None:
        from compute_node.config import Config
        from compute_node.server import ComputeServer

        config = Config(
            id=ALONE,
            role=WRITER,
            host=LOOPBACK,
            port=0,
            storage=tuple(f"{LOOPBACK}:{port}" for port in self._ports),
            pages_per_pg=self._pages_per_pg,
            cache_mb=self._cache_mb,
        )
        self._compute = ComputeServer(config)
        host, _, port = (await self._compute.start()).rpartition(":")
        self._address = (host, int(port))


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


@contextmanager
def cluster(
    data: str | Path | None = None, *, readers: int = 0, pages_per_pg: int = PAGES_PER_PG_DEFAULT, cache_mb: int = 64
) -> Iterator[EmbeddedCluster]:
    """Start an embedded cluster for the length of a ``with`` block.

    ``data`` keeps the storage nodes' files (default: a temporary folder that goes at the end), ``readers`` is how many
    readers follow the writer (0 to 15), ``pages_per_pg`` is the size of a protection group in 8 KiB pages, ``cache_mb``
    an instance's page cache. RuntimeError when one runs in this process already.
    """
    if not _running.acquire(blocking=False):
        raise RuntimeError("an embedded cluster already runs in this process")
    temporary = tempfile.mkdtemp(prefix="aurora-embedded-") if data is None else None
    try:
        folder = Path(temporary if temporary is not None else data or ".")
        embedded = EmbeddedCluster(folder, pages_per_pg, cache_mb, readers)
        try:
            embedded.start()
            yield embedded
        finally:
            embedded.stop()
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        _running.release()
