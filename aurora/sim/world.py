"""Virtual time, clocks that are wrong, and a network that delays, reorders, loses, duplicates and partitions.

Everything random comes from generators named after the seed (``World.stream``), everything that happens from one queue,
so a run is a function of its seed. ``trace`` is a running checksum over what happened, ``recent`` its last lines.
"""

from __future__ import annotations

import heapq
import random
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aurora.errors import InvariantViolation

if TYPE_CHECKING:
    from google.protobuf.message import Message


Action = Callable[[], None]
WALL_START_S = 1_700_000_000.0

TRACE_LINES: Final = 200
RETRANSMIT_S: Final = 0.2
EVENTS_MAX: Final = 500_000
"""A seed's run has some ten thousand; one that has so many does not end."""


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad the network is: seconds of delay, and probabilities a message."""

    delay_min_s: float = 0.0005
    delay_max_s: float = 0.004
    slow: float = 0.02
    slow_max_s: float = 0.15
    loss: float = 0.01
    duplicate: float = 0.01


CALM = Weather(slow=0.0, loss=0.0, duplicate=0.0)


class Endless(InvariantViolation):
    """A run that does not come to its end."""


class StreamBroken(Exception):
    """The server of a streamed answer ends it with an error."""


class World:
    """Clock (``monotonic``), queue and network. Endpoints are names. ``waiting`` tells what waits, for a failure.

    ``cuts`` separate two of them in both directions, ``one_way`` cuts ``(source, target)``, ``slow_links`` delay.
    """

    def __init__(self, seed: int, weather: Weather) -> None:
        self.seed = seed
        self.rng = self.stream("network")
        self.weather = weather
        self.now = 0.0
        self.trace = 0
        self.recent: deque[str] = deque(maxlen=TRACE_LINES)
        self.cuts: set[frozenset[str]] = set()
        self.one_way: set[tuple[str, str]] = set()
        self.slow_links: dict[tuple[str, str], float] = {}
        self.waiting: Callable[[], list[str]] = list
        self._queue: list[tuple[float, int, Action]] = []
        self._count = 0
        self._stopped: dict[str, int] = {}
        self._held: dict[str, list[Action]] = {}

    def stream(self, name: str) -> random.Random:
        """A generator of its own for one purpose: leaving one kind of fault out does not change the others' luck."""
        return random.Random(f"{self.seed}/{name}")

    def monotonic(self) -> float:
        """Virtual seconds since the start."""
        return self.now

    def wall(self) -> float:
        """The same, as a time of day: the simulated world begins at a fixed moment."""
        return WALL_START_S + self.now

    def note(self, text: str) -> None:
        """Write a line of the trace."""
        line = f"{self.now:.6f} {text}"
        self.trace = zlib.crc32(line.encode(), self.trace)
        self.recent.append(line)

    def after(self, delay_s: float, action: Action) -> None:
        """Run ``action`` in ``delay_s`` virtual seconds."""
        self._count += 1
        heapq.heappush(self._queue, (self.now + delay_s, self._count, action))

    def when(self, due_s: float, action: Action) -> None:
        """Run ``action`` at that time: two for one time in the order in which they were given. A delay from now to it
        may round to either side of it."""
        self._count += 1
        heapq.heappush(self._queue, (max(due_s, self.now), self._count, action))

    def run(self, until_s: float) -> None:
        """Let everything happen up to ``until_s``."""
        while self._queue and self._queue[0][0] <= until_s:
            self.now, _, action = heapq.heappop(self._queue)
            action()
            if self._count > EVENTS_MAX:
                stacks = "\n".join(self.waiting())
                raise Endless(f"{self._count} events up to {self.now:.6f} s, and no end of them\n{stacks}")
        self.now = until_s

    # Processes that stand still

    def stop(self, name: str) -> None:
        """The process does nothing (SIGSTOP, a long sync): what reaches it waits. Stops nest."""
        self._stopped[name] = self._stopped.get(name, 0) + 1

    def go_on(self, name: str) -> None:
        """Undo one ``stop``; with the last one, everything that waited happens now."""
        left = self._stopped.get(name, 0) - 1
        if left > 0:
            self._stopped[name] = left
            return
        self.forget(name, self._held.pop(name, []))

    def forget(self, name: str, run: list[Action] | None = None) -> None:
        """The process is gone, or goes on: nothing is held for it any more, ``run`` happens."""
        self._stopped.pop(name, None)
        self._held.pop(name, None)
        for action in run or ():
            self.at(name, action)

    def stands_still(self, name: str) -> bool:
        """Whether the process is stopped."""
        return name in self._stopped

    def at(self, name: str, action: Action) -> None:
        """Run ``action`` in the process: now, or when it goes on."""
        if name in self._stopped:
            self._held.setdefault(name, []).append(action)
        else:
            action()

    # The network

    def cut_off(self, source: str, target: str) -> bool:
        """Whether nothing gets from the one to the other now."""
        return frozenset((source, target)) in self.cuts or (source, target) in self.one_way

    def heal(self) -> None:
        """Every link works again."""
        self.cuts.clear()
        self.one_way.clear()
        self.slow_links.clear()

    def send(self, source: str, target: str, deliver: Action, ordered: bool = False) -> None:
        """Carry a message: ``deliver`` runs at its arrival, maybe twice, maybe never.

        ``ordered``: part of a stream, which sends what was lost again and never shows a message twice.
        """
        weather, rng = self.weather, self.rng
        if self.cut_off(source, target):
            return
        lost = rng.random() < weather.loss
        if lost and not ordered:
            return
        copies = 2 if rng.random() < weather.duplicate and not ordered else 1
        for _ in range(copies):
            delay = rng.uniform(weather.delay_min_s, weather.delay_max_s) + self.slow_links.get((source, target), 0.0)
            if rng.random() < weather.slow:
                delay = rng.uniform(delay, delay + weather.slow_max_s)
            if lost:
                delay += RETRANSMIT_S
            self.after(delay, lambda: None if self.cut_off(source, target) else self.at(target, deliver))

    def call(
        self,
        source: str,
        target: str,
        serve: Callable[[], Message],
        done: Callable[[Message], None],
        timeout_s: float = 0.3,
    ) -> None:
        """A request and its answer. ``serve`` runs at the target and may run twice; ``done`` gets its result once.

        ``done(None)`` when no answer comes in time or ``serve`` gave None (a refusal, a node that is down).
        """
        finished = False

        def finish(answer: Message) -> None:
            nonlocal finished
            if not finished:
                finished = True
                done(answer)

        def arrive() -> None:
            answer = serve()
            self.send(target, source, lambda: finish(answer))

        self.send(source, target, arrive)
        self.after(timeout_s, lambda: self.at(source, lambda: finish(None)))

    def call_streamed(
        self,
        source: str,
        target: str,
        serve: Callable[[], Iterator[Message]],
        item: Callable[[Message], None],
        done: Callable[[bool], None],
        silence_s: float = 0.6,
    ) -> None:
        """A request answered by messages in order; the next is made when the one before has arrived.

        ``done`` gets once whether the stream ended well: not when ``serve`` or its iterator raised ``StreamBroken``, or
        nothing came for ``silence_s``.
        """
        received = 0
        finished = opened = False

        def finish(well: bool) -> None:
            nonlocal finished
            if not finished:
                finished = True
                done(well)

        def watch(seen: int) -> None:
            self.after(silence_s, lambda: self.at(source, lambda: finish(False)) if received == seen else None)

        def push(replies: Iterator[Message]) -> None:
            try:
                reply = next(replies)
            except StopIteration:
                self.send(target, source, lambda: finish(True), ordered=True)
            except StreamBroken:
                self.send(target, source, lambda: finish(False), ordered=True)
            else:
                self.send(target, source, lambda: arrive(reply, replies), ordered=True)

        def arrive(reply: Message, replies: Iterator[Message]) -> None:
            nonlocal received
            if not finished:
                received += 1
                watch(received)
                item(reply)
                self.send(source, target, lambda: push(replies), ordered=True)

        def begin() -> None:
            nonlocal opened
            if not opened:
                opened = True
                push(serve())

        watch(0)
        self.send(source, target, begin, ordered=True)


class SkewedClock:
    """A process' own monotonic clock: started at another moment, running too fast or too slow, jumping forward."""

    def __init__(self, world: World, offset_s: float) -> None:
        self.rate = 1.0
        self._world = world
        self._base_s = offset_s
        self._since_s = world.now

    def monotonic(self) -> float:
        """What the process believes."""
        return self._base_s + (self._world.now - self._since_s) * self.rate

    def wall(self) -> float:
        """The time of day, which is the world's: clocks of machines are set by it."""
        return self._world.wall()

    def jump(self, seconds: float) -> None:
        """Time passed without the process (a suspended machine)."""
        self._base_s += seconds

    def run_at(self, rate: float) -> None:
        """Go on at ``rate`` seconds a second."""
        self._base_s, self._since_s = self.monotonic(), self._world.now
        self.rate = rate
