"""The whole of compute over a volume in memory, behind sockets: what tests of sessions on the real engine run on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from wire_fakes import CLIENTS, FakeRoles, fake_clock

from aurora.kernels import arena as arena_kernel
from compute_node.access.memory_volume import MemoryVolume
from compute_node.access.storage import Storage
from compute_node.catalog.bootstrap import install
from compute_node.catalog.databases import Databases
from compute_node.engine import Engine
from compute_node.hub import HUB
from compute_node.relations.schema import SystemCatalogs
from compute_node.wire.server import Server, WireConfig

Test = Callable[[Server, Engine], Awaitable[Any]]


class CountingEngine(Engine):
    """Keeps the texts that were compiled."""

    def __init__(self, storage: Storage, catalogs: SystemCatalogs) -> None:
        super().__init__(storage, dict, catalogs=catalogs)
        self.compiled: list[str] = []

    def compile(
        self,
        statement: Any,
        session: Any,
        param_types: Any,
        source: str,
        lifted: Any,
        routine: Any = None,
        values: Any = None,
    ) -> Any:
        self.compiled.append(source)
        return super().compile(statement, session, param_types, source, lifted, routine, values)


def serve_engine(test: Test, config: WireConfig | None = None) -> Any:
    """Run ``await test(server, engine)`` against a server on a free port, with a new database."""

    async def body() -> Any:
        HUB.bind(asyncio.get_running_loop())

        def open_engine() -> CountingEngine:
            volume = MemoryVolume()
            install(volume)
            storage = Storage(arena_kernel.Arena(4096), volume)
            engine: CountingEngine = Databases(storage, lambda catalogs: CountingEngine(storage, catalogs)).initial
            engine.catalog.warm()
            return engine

        engine = await HUB.call(open_engine)
        server = Server(engine, FakeRoles(), config or WireConfig(port=0), fake_clock)
        await server.start()
        try:
            return await asyncio.wait_for(test(server, engine), 60)
        finally:
            for close in CLIENTS:
                await close()
            CLIENTS.clear()
            await server.shutdown(1.0)

    return asyncio.run(body())
