"""Runs what the core asks for: ticks it, carries its calls to peers, syncs its page files in a thread, reports back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from aurora.errors import InvariantViolation
from aurora.keys import EncryptedFolder
from aurora.object_store import ObjectStore, open_store
from aurora.sealed_store import SealedStore
from aurora.seams import Net
from storage_node.backup_io import StoreThreads
from storage_node.effects import Call, Effect, SyncFile
from storage_node.node import AnyNode, Refused, StorageFailed

TICK_BUSY_S = 0.005
TICK_IDLE_S = 0.25
"""Longest pause: an idle process that wakes up costs 0.15 ms each time, whatever it does."""

logger = logging.getLogger(__name__)


class Background:
    """The effects of one node. ``run`` ends when cancelled, or raises StorageFailed."""

    def __init__(self, node: AnyNode, net: Net) -> None:
        self._node = node
        self._net = net
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._wake = asyncio.Event()
        self._idle = False
        self._backup: StoreThreads | None = None

    async def run(self) -> None:
        """Tick the node for ever."""
        loop = asyncio.get_running_loop()
        if self._node.config.backup:
            self._backup = StoreThreads(self._open_store(), self._node.on_stored, self._node.on_store_failed)
        try:
            while self._failure is None:
                self._start(self._node.tick())
                self._idle = not self._node.busy
                pause_s = min(max(self._node.due_in_s, TICK_BUSY_S), TICK_IDLE_S) if self._idle else TICK_BUSY_S
                timer = loop.call_later(pause_s, self._wake.set)
                await self._wake.wait()
                timer.cancel()
                self._wake.clear()
            raise self._failure
        finally:
            for task in self._tasks:
                task.cancel()
            if self._backup is not None:
                self._backup.close()

    def _open_store(self) -> ObjectStore:
        """Where the backup goes; what an encrypted node puts there is encrypted too."""
        store, disk = open_store(self._node.config.backup), self._node.disk
        return SealedStore(store, own=disk) if isinstance(disk, EncryptedFolder) else store

    def _start(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if not isinstance(effect, Call | SyncFile):
                if self._backup is not None:
                    self._backup.submit(effect)
                continue
            work = self._call(effect) if isinstance(effect, Call) else self._sync(effect.name)
            task = asyncio.get_running_loop().create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()
        if self._idle and (self._failure is not None or self._node.busy):
            self._wake.set()

    async def _sync(self, name: str) -> None:
        try:
            await asyncio.to_thread(self._node.disk.sync, name)
        except FileNotFoundError:
            logger.info("%s was deleted before it was synced: its PG is held elsewhere now", name)
        except OSError as error:
            raise StorageFailed(f"sync of {name}: {error}") from error
        self._start(self._node.on_synced(name))

    async def _call(self, call: Call) -> None:
        node = self._node
        try:
            if call.streaming:
                async for reply in self._net.stream(call.address, call.method, call.request, call.timeout_s):
                    self._start(node.on_reply(call, reply))
                    if self._idle and node.busy:
                        self._wake.set()
            else:
                reply = await self._net.unary(call.address, call.method, call.request, call.timeout_s)
                self._start(node.on_reply(call, reply))
        except ConnectionError as error:
            node.on_failed(call, str(error))
        except OSError as error:  # the disk refused what the reply brought: a newer epoch, a truncation, a descriptor
            node.refused_by_disk(error, "meta")
            node.on_failed(call, str(error))
        except (InvariantViolation, Refused) as error:
            logger.exception("%s from %s gave what cannot be used", call.method, call.peer_id)
            node.on_failed(call, str(error))
        else:
            node.on_end(call)
