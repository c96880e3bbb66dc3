"""The hub's event loop on virtual time.

``Hub`` asks four things of its loop: ``call_soon``, ``call_later``, ``create_task`` (a read-ahead) and
``call_exception_handler``. Here they are events of the ``World``; those that are ready run in an order drawn from the
seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from aurora.sim.world import World


class Delay:
    """What a coroutine on this loop awaits: so many virtual seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __await__(self) -> Generator[float, None, None]:
        yield self.seconds


class Timer:
    """A call to come, unless it is cancelled."""

    __slots__ = ("_args", "_function", "_loop", "cancelled")

    def __init__(self, loop: SimLoop, function: Callable[..., object], args: tuple[object, ...]) -> None:
        self._loop = loop
        self._function = function
        self._args = args
        self.cancelled = False

    def cancel(self) -> None:
        """Do not call."""
        self.cancelled = True

    def due(self) -> None:
        """The moment has come. Nothing happens in a process that has died."""
        if not self.cancelled and not self._loop.dead:
            self._function(*self._args)


class SimTask:
    """A coroutine that runs beside everything else; the part of ``asyncio.Task`` that the hub uses."""

    def __init__(self, loop: SimLoop, coroutine: Coroutine[float, None, object]) -> None:
        self._loop = loop
        self._coroutine = coroutine
        self._callbacks: list[Callable[[SimTask], object]] = []
        self._result: Any = None
        self._error: BaseException | None = None
        self._done = self._cancelled = False
        loop.call_soon(self._step)

    def _step(self) -> None:
        if self._done:
            return
        try:
            delay_s = self._coroutine.send(None)
        except StopIteration as stop:
            self._finish(stop.value, None)
        except Exception as error:
            self._finish(None, error)
        else:
            self._loop.call_later(delay_s, self._step)

    def _finish(self, result: Any, error: BaseException | None) -> None:
        self._done, self._result, self._error = True, result, error
        self._loop.tasks.pop(self, None)
        for callback in self._callbacks:
            self._loop.call_soon(callback, self)

    def cancel(self) -> bool:
        """Give up; False when it is over already."""
        if self._done:
            return False
        self._cancelled = True
        self._coroutine.close()
        self._finish(None, None)
        return True

    def add_done_callback(self, callback: Callable[[SimTask], object]) -> None:
        """Call with the task once it is over."""
        if self._done:
            self._loop.call_soon(callback, self)
        else:
            self._callbacks.append(callback)

    def done(self) -> bool:
        """Whether it is over."""
        return self._done

    def cancelled(self) -> bool:
        """Whether it was given up."""
        return self._cancelled

    def exception(self) -> BaseException | None:
        """What it raised."""
        return self._error

    def result(self) -> object:
        """What it returned."""
        return self._result


class SimLoop:
    """``jitter_s``: how long whoever is ready may still wait for others. ``dead``: the process has died, and nothing
    of it happens any more."""

    def __init__(self, world: World, rng: random.Random, jitter_s: float) -> None:
        self.world = world
        self.dead = False
        self.tasks: dict[SimTask, None] = {}
        """Those that are not over."""
        self._rng = rng
        self._jitter_s = jitter_s

    def time(self) -> float:
        """Virtual seconds."""
        return self.world.now

    def call_soon(self, function: Callable[..., object], *args: object) -> Timer:
        """Call in one of the next turns: others that are ready may come first."""
        return self.call_later(self._rng.random() * self._jitter_s, function, *args)

    def call_later(self, delay_s: float, function: Callable[..., object], *args: object) -> Timer:
        """Call after so many virtual seconds."""
        timer = Timer(self, function, args)
        self.world.after(delay_s, timer.due)
        return timer

    def create_task(self, coroutine: Coroutine[float, None, object]) -> SimTask:
        """Run a coroutine that awaits ``Delay`` alone."""
        task = SimTask(self, coroutine)
        self.tasks[task] = None
        return task

    def end(self) -> None:
        """The process dies: no task goes on."""
        self.dead = True
        for task in list(self.tasks):
            task.cancel()

    def call_exception_handler(self, context: dict[str, BaseException]) -> None:
        """Whatever a greenlet did not handle ends the run."""
        raise context["exception"]
