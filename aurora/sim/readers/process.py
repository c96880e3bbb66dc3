"""Several processes in one: each has a hub of its own, of which only one is in force at a time.

SQL code waits by the module's ``HUB``. Whatever happens in a process happens inside ``Process.do``, which puts that
process' state into ``HUB`` for as long as it lasts.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

from aurora.sim.compute.loop import SimLoop, Timer
from aurora.sim.world import World
from compute_node.hub import HUB, Hub


class ProcessLoop(SimLoop):
    """A ``SimLoop`` whose calls happen in their process, or not while that stands still."""

    def __init__(self, process: Process, world: World, jitter_s: float) -> None:
        super().__init__(world, world.stream(f"loop {process.name}"), jitter_s)
        self._process = process

    def call_later(self, delay_s: float, function: Callable[..., object], *args: object) -> Timer:
        timer = Timer(self, function, args)
        self.world.after(delay_s, lambda: self._process.do(timer.due))
        return timer


class Process:
    """``name`` is unique in a run."""

    def __init__(self, world: World, name: str, jitter_s: float) -> None:
        self.world = world
        self.name = name
        self._hub: dict[str, Any] = Hub().__dict__
        self._before: list[dict[str, Any]] = []
        self.loop = ProcessLoop(self, world, jitter_s)
        with self:
            HUB.bind(self.loop, turn_s=float("inf"))  # type: ignore[arg-type]

    @property
    def dead(self) -> bool:
        """Whether it has ended."""
        return self.loop.dead

    @property
    def stands_still(self) -> bool:
        """Whether it is stopped (SIGSTOP)."""
        return self.world.stands_still(self.name)

    def __enter__(self) -> Process:
        self._before.append(HUB.__dict__)
        HUB.__dict__ = self._hub
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        HUB.__dict__ = self._before.pop()

    def do(self, action: Callable[[], object]) -> None:
        """Let something happen in the process: now, when it goes on, or never when it is dead."""

        def inside() -> None:
            if not self.dead:
                with self:
                    action()

        self.world.at(self.name, inside)

    def soon(self, delay_s: float, action: Callable[[], object]) -> None:
        """The same after a while."""
        self.world.after(delay_s, lambda: self.do(action))

    def run(self, function: Callable[[], object]) -> None:
        """Run something in a greenlet of the process, soon: one may ask for another."""
        self.soon(0.0, lambda: HUB.run(function))

    def waiting_stacks(self) -> list[str]:
        """Where each of its greenlets that wait stands."""
        with self:
            return HUB.waiting_stacks()

    def end(self) -> None:
        """SIGKILL."""
        if not self.dead:
            self.loop.end()
            with self:
                HUB.abandon()
            self.world.forget(self.name)
