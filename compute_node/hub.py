"""The seam between synchronous SQL code and the event loop.

SQL runs as ordinary code inside a greenlet taken from a pool; ``run`` starts it, and it goes straight to its end unless
something calls ``wait``. Waiting switches back to the loop's greenlet; the awaited thing's completion switches in
again. Long work calls ``pulse`` at short intervals of rows or bytes: that lets the loop turn when the turn has lasted
long enough, and raises what interrupts the session meanwhile. Nothing waits while a mini-transaction is in its edit
phase (``Hub.mtr.active``): that is an ``InvariantViolation``.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final, Protocol, TypeVar, TypeVarTuple, Unpack

import greenlet

from aurora.errors import AdminShutdown, InvariantViolation, SqlError
from aurora.stalls import STALL_S, Stalls

TURN_S: Final = 0.01
"""How long a greenlet may hold the loop before it lets others run."""


_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")


class Background(Protocol):
    """Work that goes on beside the greenlets."""

    def done(self) -> bool:
        """Whether it has ended, well or not."""

    def cancel(self) -> bool:
        """Give it up; whether there was something to give up."""


class PageEditor(Protocol):
    """What the hub knows of mini-transactions."""

    @property
    def active(self) -> bool:
        """Whether one is being edited, so that nothing may wait."""


class Waiter:
    """One-shot event that a greenlet waits on and anybody completes: ``wake(value)`` or ``fail(exception)``."""

    __slots__ = ("_greenlet", "done", "error", "value")

    takes_late_error = False
    """Whether an interrupt may replace a value that is there and not yet taken: true where the value means nothing."""

    def __init__(self) -> None:
        self.done = False
        self.value: Any = None
        self.error: BaseException | None = None
        self._greenlet: greenlet.greenlet | None = None

    def wake(self, value: Any = None) -> None:
        """Complete with a value; the waiting greenlet, if any, resumes in the next turn of the loop. Later calls do
        nothing.
        """
        if not self.done:
            self.done, self.value = True, value
            self._resume_soon()

    def fail(self, error: BaseException) -> None:
        """Complete with an exception, raised in the waiting greenlet. Later calls do nothing."""
        if not self.done:
            self.done, self.error = True, error
            self._resume_soon()

    def _resume_soon(self) -> None:
        if self._greenlet is not None:
            HUB.loop.call_soon(HUB.resume, self._greenlet)


class _Turn(Waiter):
    """What ``yield_turn`` waits for."""

    __slots__ = ()
    takes_late_error = True


class Hub:
    """The loop's side: pool of greenlets and the wait primitive. One per process, at ``HUB``."""

    def __init__(self) -> None:
        self.mtr: PageEditor | None = None
        """The process's page editor, once there is one."""
        self.turn_s = TURN_S
        """how long a turn may last"""
        self.turn_ends_s = float("inf")
        """when the running greenlet has held the loop long enough (``time.monotonic``)"""
        self.pulses = 0
        """how often long work looked at the clock; tests read it"""
        self.stalls = Stalls()
        self.describe: Callable[[greenlet.greenlet, Callable[..., object] | None], str] = lambda _worker, _function: ""
        """What a greenlet ran, in words, for the line about a turn that took too long; the function where known."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: greenlet.greenlet | None = None
        self._idle: list[greenlet.greenlet] = []
        self._waiting: dict[greenlet.greenlet, Waiter] = {}
        self._shielded: set[greenlet.greenlet] = set()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop this hub is bound to."""
        if self._loop is None:
            raise InvariantViolation("the hub is not bound to an event loop")
        return self._loop

    def bind(self, loop: asyncio.AbstractEventLoop, turn_s: float = TURN_S) -> None:
        """Bind to the running loop; called in the loop's own greenlet, once per loop. ``turn_s``: how long a turn may
        last; infinite in a simulation, where no real clock may decide who runs."""
        self.turn_s = turn_s
        self._loop = loop
        self._main = greenlet.getcurrent()
        self._forget()

    def run(self, function: Callable[[Unpack[_Args]], object], *args: *_Args) -> None:
        """Run ``function(*args)`` in a pooled greenlet until it ends or first waits. It must handle its exceptions."""
        worker = self._idle.pop() if self._idle else greenlet.greenlet(self._work, parent=self._main)
        start_s = monotonic()
        self.turn_ends_s = start_s + self.turn_s
        worker.switch(function, args)
        if (end_s := monotonic()) - start_s > STALL_S:
            self.stalls.note(start_s, end_s, self.describe(worker, function))

    def resume(self, worker: greenlet.greenlet) -> None:
        """Let a greenlet go on that waits, until it ends or waits again; called by the loop."""
        start_s = monotonic()
        self.turn_ends_s = start_s + self.turn_s
        worker.switch()
        if (end_s := monotonic()) - start_s > STALL_S:
            self.stalls.note(start_s, end_s, self.describe(worker, None))

    def _work(self, function: Callable[..., object], args: tuple[object, ...]) -> None:
        main = self._main
        me = greenlet.getcurrent()
        while True:
            try:
                function(*args)
            except Exception as error:
                self.loop.call_exception_handler(
                    {"message": "unhandled error in a session greenlet", "exception": error}
                )
            function = None  # type: ignore[assignment]
            args = ()
            if len(self._idle) >= 64:
                return
            self._idle.append(me)
            function, args = main.switch()  # type: ignore[union-attr]

    def in_greenlet(self) -> bool:
        """Whether the caller may wait: it runs in one of the pool's greenlets, not on the loop's side, nor in another
        thread."""
        return self._main is not None and greenlet.getcurrent().parent is self._main

    def wait(self, waiter: Waiter) -> Any:
        """Wait until ``waiter`` completes; returns its value or raises its error."""
        if self.mtr is not None and self.mtr.active:
            raise InvariantViolation("wait while a mini-transaction is being edited")
        if not waiter.done:
            me = greenlet.getcurrent()
            if me is self._main:
                raise InvariantViolation("wait outside a session greenlet")
            waiter._greenlet = me
            self._waiting[me] = waiter
            self._main.switch()  # type: ignore[union-attr]
            del self._waiting[me]
            waiter._greenlet = None
        if waiter.error is not None:
            raise waiter.error
        return waiter.value

    def interrupt(self, target: greenlet.greenlet, error: BaseException) -> bool:
        """Fail what ``target`` waits on, so that it goes on with ``error``; False when it waits on nothing, or for
        something that has to come to its end."""
        waiter = self._waiting.get(target)
        if waiter is None or target in self._shielded:
            return False
        if waiter.done:
            if waiter.takes_late_error:
                waiter.error = error
                return True
            return False
        waiter.fail(error)
        return True

    @contextmanager
    def shield(self) -> Iterator[None]:
        """What runs inside has to come to its end: no ``interrupt`` until then. A rollback that a cancel cut short
        would leave its locks to nobody."""
        me = greenlet.getcurrent()
        if me in self._shielded:
            yield
            return
        self._shielded.add(me)
        try:
            yield
        finally:
            self._shielded.discard(me)

    def current(self) -> greenlet.greenlet:
        """The greenlet that asks, for ``interrupt``."""
        return greenlet.getcurrent()

    def abandon(self) -> None:
        """The process has died (in a simulation): whoever waits ends where it stands, and so does the pool. A greenlet
        that is left standing keeps what it was started with, and nothing can collect it."""
        while standing := [*self._waiting, *self._idle]:
            self._forget()
            for each in standing:
                each.throw(greenlet.GreenletExit)

    def _forget(self) -> None:
        """Nobody waits any more; greenlets of an earlier loop, whose thread may have ended, cannot be woken."""
        self._waiting.clear()
        self._shielded.clear()
        self._idle.clear()

    def waiting_stacks(self) -> list[str]:
        """Where each waiting greenlet stands, for diagnosis."""
        return ["".join(traceback.format_stack(each.gr_frame)) for each in self._waiting if each.gr_frame is not None]

    def sleep(self, seconds: float) -> None:
        """Wait that long."""
        waiter = Waiter()
        timer = self.loop.call_later(seconds, waiter.wake)
        try:
            self.wait(waiter)
        finally:
            timer.cancel()

    def await_(self, awaitable: Awaitable[_T]) -> _T:
        """Wait for an asyncio awaitable from a session greenlet."""
        waiter = Waiter()
        task = asyncio.ensure_future(awaitable, loop=self.loop)

        def finished(done: asyncio.Future[_T]) -> None:
            if done.cancelled():
                waiter.fail(asyncio.CancelledError())
            elif (error := done.exception()) is not None:
                waiter.fail(error)
            else:
                waiter.wake(done.result())

        task.add_done_callback(finished)
        result: _T = self.wait(waiter)
        return result

    def in_thread(self, function: Callable[[Unpack[_Args]], _T], *args: *_Args) -> _T:
        """Run ``function(*args)``, which releases the interpreter's lock and touches nothing shared, in a thread and
        wait for its result. An interrupt ends the wait, not the work."""
        return self.await_(asyncio.to_thread(function, *args))

    def beside(self, awaitable: Awaitable[_T], done: Callable[[_T | None], None]) -> Background:
        """Run an asyncio awaitable that no greenlet waits for. ``done`` gets its result, on the loop's side where
        nothing may wait; None when it was cancelled or failed. An error that is no SqlError is a defect, and told.
        """

        def finished(task: asyncio.Future[_T]) -> None:
            error = None if task.cancelled() else task.exception()
            done(None if task.cancelled() or error is not None else task.result())
            if error is not None and not isinstance(error, SqlError):
                self.loop.call_exception_handler({"message": "background work broke", "exception": error})

        task: asyncio.Future[_T] = asyncio.ensure_future(awaitable, loop=self.loop)
        task.add_done_callback(finished)
        return task

    async def call(self, function: Callable[[Unpack[_Args]], _T], *args: *_Args) -> _T:
        """Run ``function(*args)`` in a greenlet and await its result from asyncio code. Who cancels the wait interrupts
        the greenlet (57P01)."""
        future: asyncio.Future[_T] = self.loop.create_future()
        running: list[greenlet.greenlet] = []

        def body() -> None:
            running.append(greenlet.getcurrent())
            try:
                result = function(*args)
            except BaseException as error:
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)

        self.run(body)
        try:
            return await future
        except asyncio.CancelledError:
            if future.cancelled():
                self.interrupt(running[0], AdminShutdown("terminating background work: nobody waits for it"))
            raise

    def yield_turn(self) -> None:
        """Let the loop run other work. Raises what interrupts this greenlet's session meanwhile."""
        waiter = _Turn()
        self.loop.call_soon(waiter.wake)
        self.wait(waiter)

    @staticmethod
    def now_s() -> float:
        """The clock that turns are measured by."""
        return monotonic()

    def pulse(self) -> None:
        """Long work calls this at least once a millisecond or so (every few thousand cheap steps): when the turn has
        lasted ``TURN_S`` it lets the loop turn, and raises a cancel, a timeout, a shutdown that came meanwhile.

        Outside a session's greenlet, and while a mini-transaction is edited, it does nothing.
        """
        self.pulses += 1
        if monotonic() >= self.turn_ends_s and self.in_greenlet() and not (self.mtr is not None and self.mtr.active):
            self.yield_turn()


HUB = Hub()
