"""Work in threads: what releases the interpreter's lock, or can be switched away from, and cannot pulse.

A session's greenlet waits for the result; a cancel or timeout ends the wait at once, and the thread's result is dropped
when it comes. Nothing in such a thread may touch what the event loop's thread owns.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar, TypeVarTuple, Unpack

from compute_node.hub import HUB, Waiter

THREADS_MAX: Final = 2

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")
_collecting = 0


class Pool:
    """A few threads for one kind of work. While all are taken, a statement waits for one, interruptibly."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._threads: ThreadPoolExecutor | None = None

    def run(self, function: Callable[[Unpack[_Args]], _T], *args: *_Args) -> _T:
        """``function(*args)`` in a thread, while this greenlet waits; outside a session's greenlet it runs at once."""
        if not HUB.in_greenlet() or (HUB.mtr is not None and HUB.mtr.active):
            return function(*args)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix=self._name)
        waiter, loop = Waiter(), HUB.loop

        def finished(future: Future[_T]) -> None:
            if future.cancelled() or loop.is_closed():
                return
            error = future.exception()
            tell = partial(waiter.fail, error) if error is not None else partial(waiter.wake, future.result())
            try:
                loop.call_soon_threadsafe(tell)
            except RuntimeError:  # closed meanwhile: nobody waits any more
                if not loop.is_closed():
                    raise

        future = self._threads.submit(function, *args)
        future.add_done_callback(finished)
        try:
            result: _T = HUB.wait(waiter)
        finally:
            future.cancel()
        return result


_WORK: Final = Pool("work")
XPATHS: Final = Pool("xpath")
"""XPath alone: a cancelled expression keeps its thread until libxml2 is done with it, and nothing else may wait."""


def run_in_thread(function: Callable[[Unpack[_Args]], _T], *args: *_Args) -> _T:
    """``function(*args)`` in a thread of those for all work that ends soon by itself; see ``Pool.run``."""
    return _WORK.run(function, *args)


class NoCollection:
    """``with NoCollection():`` the cycle collector pauses: making millions of objects must not stop everybody to look
    at them again and again, nor once at all of them in the end, so that it never looks at what was made meanwhile. For
    trees, which are freed without it. May nest, in any threads."""

    def __enter__(self) -> None:
        global _collecting
        if not _collecting:
            gc.collect(1)  # what is garbage by now is still found
        _collecting += 1
        gc.disable()

    def __exit__(self, *_: object) -> None:
        global _collecting
        _collecting -= 1
        if not _collecting:
            gc.freeze()
            gc.enable()
