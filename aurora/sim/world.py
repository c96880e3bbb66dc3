"""Virtual time, and a network that delays, reorders, loses, duplicates and partitions.

Everything random comes from the world's one generator, everything that happens from its one queue, so a run is a
function of its seed. ``trace`` is a running checksum over what happened, ``recent`` its last lines.
"""

from __future__ import annotations

import heapq
import random
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Action = Callable[[], None]
WALL_START_S = 1_700_000_000.0


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


class World:
    """Clock (``monotonic``), queue and network. Endpoints are names; a cut separates two of them in both directions."""

    def __init__(self, seed: int, weather: Weather) -> None:
        self.rng = random.Random(seed)
        self.weather = weather
        self.now = 0.0
        self.trace = 0
        self.recent: deque[str] = deque(maxlen=200)
        self.cuts: set[frozenset[str]] = set()
        self._queue: list[tuple[float, int, Action]] = []
        self._count = 0

    def monotonic(self) -> float:
        """Virtual seconds since the start: the world is the cores' ``Clock``."""
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

    def run(self, until_s: float) -> None:
        """Let everything happen up to ``until_s``."""
        while self._queue and self._queue[0][0] <= until_s:
            self.now, _, action = heapq.heappop(self._queue)
            action()
        self.now = until_s

    def cut_off(self, source: str, target: str) -> bool:
        """Whether the two cannot reach each other now."""
        return frozenset((source, target)) in self.cuts

    def send(self, source: str, target: str, deliver: Action) -> None:
        """Carry a message: ``deliver`` runs at its arrival, maybe twice, maybe never."""
        weather, rng = self.weather, self.rng
        if self.cut_off(source, target) or rng.random() < weather.loss:
            return
        for _ in range(2 if rng.random() < weather.duplicate else 1):
            delay = rng.uniform(weather.delay_min_s, weather.delay_max_s)
            if rng.random() < weather.slow:
                delay = rng.uniform(delay, weather.slow_max_s)
            self.after(delay, lambda: None if self.cut_off(source, target) else deliver())

    def call(
        self,
        source: str,
        target: str,
        serve: Callable[[], Any],
        done: Callable[[Any], None],
        timeout_s: float = 0.3,
    ) -> None:
        """A request and its answer. ``serve`` runs at the target and may run twice; ``done`` gets its result once.

        ``done(None)`` when no answer comes in time or ``serve`` gave None (a refusal, a node that is down).
        """
        finished = False

        def finish(answer: Any) -> None:
            nonlocal finished
            if not finished:
                finished = True
                done(answer)

        def arrive() -> None:
            answer = serve()
            self.send(target, source, lambda: finish(answer))

        self.send(source, target, arrive)
        self.after(timeout_s, lambda: finish(None))
