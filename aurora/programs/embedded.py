"""The whole cluster inside this process, for tests and notebooks: the same storage nodes and the same writer, on one
thread.

``with aurora.cluster() as c: psycopg.connect(c.dsn)``. The six nodes keep their files in a temporary folder (or
``data``); gRPC and PostgreSQL's protocol go over loopback as always. One cluster a process at a time.
"""

from __future__ import annotations

import asyncio
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
from aurora.programs.places import free_ports
from aurora.programs.supervisor import NODES

if TYPE_CHECKING:
    from aurora.documents import JsonObject


PAGES_PER_PG_DEFAULT = (10 << 30) // 8192
START_TIMEOUT_S = 60.0

_running = threading.Lock()


class EmbeddedCluster:
    """A running embedded cluster. ``dsn`` is for libpq and drivers, ``address`` is (host, port)."""

    def __init__(self, data: Path, pages_per_pg: int, cache_mb: int) -> None:
        self.data = data
        self.address = (LOOPBACK, 0)
        self._pages_per_pg = pages_per_pg
        self._cache_mb = cache_mb
        self._secret = secrets.token_urlsafe(32)
        """What the nodes ask for: another program of this machine is to find nothing open."""
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._nodes: JsonObject = {}
        self._compute: Any = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._main, name="aurora-embedded", daemon=True)

    @property
    def dsn(self) -> str:
        """libpq connection string of the writer."""
        return f"host={self.address[0]} port={self.address[1]} user=postgres dbname=postgres"

    def start(self) -> None:
        """Returns when the writer answers."""
        self._thread.start()
        if not self._ready.wait(START_TIMEOUT_S):
            raise TimeoutError(f"the embedded cluster did not start within {START_TIMEOUT_S:g} s")
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """End the writer, then the nodes."""
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None and self._thread.is_alive():
            loop.call_soon_threadsafe(stop.set)
        self._thread.join()

    def status(self) -> JsonObject:
        """What the writer says of itself and the volume."""
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
        from compute_node.config import Config
        from compute_node.server import ComputeServer
        from storage_node.config import NodeConfig, Peer
        from storage_node.server import NodeServer

        self._loop = asyncio.get_running_loop()
        before = held_secret()
        use_secret(self._secret)
        self._stop = asyncio.Event()
        ports = free_ports(len(NODES))
        places = [(node, az, f"{LOOPBACK}:{port}") for (node, az), port in zip(NODES, ports, strict=True)]
        try:
            for node, az, address in places:
                peers = tuple(Peer(other, zone, where) for other, zone, where in places if other != node)
                server = NodeServer(
                    NodeConfig(
                        node_id=node, az=az, listen=address, data=self.data / node, peers=peers, secret=self._secret
                    )
                )
                await server.start()
                self._nodes[node] = server
            config = Config(
                id="instance-1",
                role="writer",
                host=LOOPBACK,
                port=0,
                storage=tuple(address for _, _, address in places),
                pages_per_pg=self._pages_per_pg,
                cache_mb=self._cache_mb,
            )
            self._compute = ComputeServer(config)
            host, _, port = (await self._compute.start()).rpartition(":")
            self.address = (host, int(port))
            self._ready.set()
            await self._stop.wait()
        finally:
            if self._compute is not None:
                await self._compute.close()
            for server in self._nodes.values():
                server.stop()
                await server.wait()
            use_secret(before)


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


@contextmanager
def cluster(
    data: str | Path | None = None, *, pages_per_pg: int = PAGES_PER_PG_DEFAULT, cache_mb: int = 64
) -> Iterator[EmbeddedCluster]:
    """Start an embedded cluster for the length of a ``with`` block.

    ``data`` keeps the storage nodes' files (default: a temporary folder that goes at the end), ``pages_per_pg`` is the
    size of a protection group in 8 KiB pages, ``cache_mb`` the writer's page cache. RuntimeError when one runs in this
    process already.
    """
    if not _running.acquire(blocking=False):
        raise RuntimeError("an embedded cluster already runs in this process")
    temporary = tempfile.mkdtemp(prefix="aurora-embedded-") if data is None else None
    try:
        embedded = EmbeddedCluster(Path(temporary if temporary is not None else data or "."), pages_per_pg, cache_mb)
        try:
            embedded.start()
            yield embedded
        finally:
            embedded.stop()
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        _running.release()
