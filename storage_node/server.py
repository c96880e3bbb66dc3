"""The process of a storage node: core, service and background work on one event loop, until a signal or a failure."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import grpc.aio

from aurora.keys import EncryptedFolder, open_disk
from aurora.metrics import MetricsServer
from aurora.rpc import storage_pb2_grpc
from aurora.rpc.channels import OPTIONS, GrpcNet, listen
from aurora.rpc.secret import SecretCheck
from aurora.rpc.secret import use as use_secret
from aurora.rpc.stream_server import serve_streams
from aurora.rpc.tls import Tls
from aurora.rpc.tls import use as use_tls
from aurora.seams import SystemClock
from aurora.stalls import Heartbeat, stalls_of_running_loop
from storage_node.admission import CALLS_MAX
from storage_node.append import Appends, LogPort, Replies
from storage_node.background import Background
from storage_node.config import NodeConfig
from storage_node.faults import Faults
from storage_node.measured_disk import MeasuredDisk
from storage_node.metrics import NODE_METRICS, NodeSource
from storage_node.node import StorageFailed, StorageNode
from storage_node.page_reads import PageReads
from storage_node.service import StorageService

GRACE_S = 0.2

logger = logging.getLogger(__name__)


class NodeServer:
    """One node, served: ``start``, then ``wait``, which returns after ``stop`` or raises StorageFailed."""

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        self.stalls = stalls_of_running_loop()
        self.tls = Tls(config.tls) if config.tls is not None else None
        self.measured: MeasuredDisk
        self.disk = open_disk(config.data, config.key_source, self._measure)
        self.node: StorageNode[Replies] = StorageNode(config, self.disk, SystemClock(), random.Random())
        if isinstance(self.disk, EncryptedFolder):
            self.node.scrub.mend_keys = self.disk.mend_keys
        self.address = ""
        self._done = asyncio.Event()
        self._net = GrpcNet(self.tls, config.secret)
        faults = Faults(time.monotonic, random.random)
        self._appends = Appends(self.node, self.stop, faults)
        reads = PageReads(self.node, faults)
        self._log_port = LogPort(self._appends, reads)
        self._log_server: asyncio.Server | None = None
        self._service = StorageService(self.node, self._appends, reads, faults)
        checks = [SecretCheck(config.secret)] if config.secret is not None else []
        self._server = grpc.aio.server(options=OPTIONS, maximum_concurrent_rpcs=CALLS_MAX, interceptors=checks)
        self._background: asyncio.Task[None] | None = None
        self.metrics = MetricsServer(lambda: f"the disk refuses: {self.node.note}" if self.node.note else "")
        self._heartbeat: Heartbeat | None = None

    def _measure(self, folder: Path) -> MeasuredDisk:
        self.measured = MeasuredDisk(folder, self.stalls)
        return self.measured

    async def start(self) -> str:
        """Begin to serve; returns the address, with the port that was taken. OSError when it cannot be bound."""
        storage_pb2_grpc.add_StorageServicer_to_server(self._service, self._server)
        port = listen(self._server, self.config.listen, self.tls)
        host = self.config.listen.rpartition(":")[0]
        if not self.config.listen.startswith("unix:"):
            self._log_server = await serve_streams(
                host.strip("[]"), self.config.log_port, self._log_port, self.tls, self.config.secret
            )
            self._service.log_port = self._log_server.sockets[0].getsockname()[1]
        await self._server.start()
        self.address = f"{host}:{port}" if host else self.config.listen
        self._background = asyncio.get_running_loop().create_task(Background(self.node, self._net).run())
        self._background.add_done_callback(lambda _: self._done.set())
        source = NodeSource(self.node, self._appends, self._service.page_reads.counts, self.measured, self.stalls)
        self._heartbeat = Heartbeat(self.stalls, source.work)
        self.metrics.add(NODE_METRICS, source)
        await self.metrics.start(self.config.metrics_listen)
        return self.address

    def stop(self) -> None:
        """End ``wait``."""
        self._done.set()

    async def wait(self) -> None:
        """Serve until ``stop``; then finish requests, close files. StorageFailed when the node cannot go on."""
        await self._done.wait()
        background = self._background
        if background is not None:
            background.cancel()
        self.metrics.close()
        if self._heartbeat is not None:
            self._heartbeat.close()
        if self._log_server is not None:
            self._log_server.close()
        self._log_port.close()
        self._service.close()
        await self._server.stop(GRACE_S)
        await self._net.close()
        self.disk.close()
        if self._appends.failed:
            raise StorageFailed("the hot log could not be synced")
        if background is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await background


async def serve(config: NodeConfig, ready: Callable[[str], None]) -> None:
    """Run a node until SIGTERM or SIGINT; ``ready`` is told the address once it serves."""
    server = NodeServer(config)
    use_tls(server.tls)
    use_secret(config.secret)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    ready(await server.start())
    await server.wait()
    logger.info("node %s stopped", config.node_id)
