"""A ``Follow`` stream: what is sent arrives in its order, some time later, or not at all."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from aurora.rpc import compute_pb2 as cpb
from aurora.sim.readers.process import Process
from aurora.sim.world import World

if TYPE_CHECKING:
    from aurora.sim.readers.reader import Reader
    from aurora.sim.readers.writer import Writer
    from compute_node.replica.feed import Follower


class Link:
    """One stream, and the ``Outlet`` of the writer's end. ``slow`` is a factor on its delays.

    ``settled``: the reader shows nothing any more that the writer does not hold for it.
    """

    def __init__(self, world: World, rng: random.Random, delay_s: float, writer: Writer, reader: Reader) -> None:
        self.world = world
        self.rng = rng
        self.writer = writer
        self.reader = reader
        self.slow = 1.0
        self.settled = False
        self.follower: Follower | None = None
        self.closed = self.is_cut = False
        self._delay_s = delay_s
        self._last_s = {"to reader": 0.0, "to writer": 0.0}
        self._backlog = 0

    def _carry(self, way: str, process: Process, deliver: Callable[[], object]) -> None:
        due_s = self.world.now + self.rng.expovariate(1 / self._delay_s) * self.slow
        due_s = self._last_s[way] = max(due_s, self._last_s[way])
        self.world.when(due_s, lambda: None if self.is_cut else process.do(deliver))

    # The writer's end

    def send(self, message: bytes) -> None:
        """See ``Outlet``."""
        if self.closed:
            return
        self._backlog += len(message)

        def deliver() -> None:
            self._backlog -= len(message)
            self.reader.heard(self, cpb.FollowReply.FromString(message))

        self._carry("to reader", self.reader.process, deliver)

    @property
    def backlog_bytes(self) -> int:
        """See ``Outlet``."""
        return self._backlog

    def close(self) -> None:
        """See ``Outlet``: what was sent before still arrives, or is dropped."""
        if self.closed:
            return
        self.closed = True
        if self.rng.random() < 0.5:
            self._carry("to reader", self.reader.process, lambda: self.reader.ended(self))
        else:
            self.cut()

    # The reader's end

    def tell(self, request: cpb.FollowRequest) -> None:
        """The reader says something."""
        self._carry("to writer", self.writer.process, lambda: self.writer.hears(self, request))

    # Both

    def cut(self) -> None:
        """What is on its way is lost, and both ends notice some time."""
        if self.is_cut:
            return
        self.is_cut = True
        reader, writer = self.reader, self.writer
        reader.process.soon(self.rng.random() * 0.05, lambda: reader.ended(self))
        writer.process.soon(self.rng.random() * 0.05, lambda: writer.left(self))
