"""Carries the backup's effects out: two threads between the node's event loop and the object store.

The threads are daemons, for a store that does not answer must not keep the process from ending: what was under way is
asked for again after the next start.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence

from aurora.object_store import ObjectStore, ObjectStoreError
from storage_node.backup_objects import perform
from storage_node.effects import StoreEffect

THREADS = 2

Done = Callable[[StoreEffect, Sequence[str]], None]
Failed = Callable[[StoreEffect, str], None]


class StoreThreads:
    """``submit`` an effect; ``done`` or ``failed`` is called on the loop's thread. ``close`` drops what waits."""

    def __init__(self, store: ObjectStore, done: Done, failed: Failed) -> None:
        self._store = store
        self._done = done
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[StoreEffect | None] = queue.SimpleQueue()
        self._closed = False
        for number in range(THREADS):
            threading.Thread(target=self._work, name=f"backup-{number}", daemon=True).start()

    def submit(self, effect: StoreEffect) -> None:
        """Carry the effect out as soon as a thread is free."""
        self._queue.put(effect)

    def close(self) -> None:
        """No more is told; the threads end with what they are doing."""
        self._closed = True
        for _ in range(THREADS):
            self._queue.put(None)

    def _work(self) -> None:
        while (effect := self._queue.get()) is not None and not self._closed:
            try:
                names = perform(self._store, effect)
            except ObjectStoreError as error:
                self._tell(self._failed, effect, str(error))
            except Exception as error:  # a defect: told like a failure, so that the node goes on and says so
                self._tell(self._failed, effect, f"{type(error).__name__}: {error}")
            else:
                self._tell(self._done, effect, names)

    def _tell(self, what: Callable[..., None], *arguments: object) -> None:
        def tell() -> None:
            if not self._closed:
                what(*arguments)

        if not self._closed:
            try:
                self._loop.call_soon_threadsafe(tell)
            except RuntimeError:
                self._closed = True  # the loop has ended
