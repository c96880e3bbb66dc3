"""An event loop whose clock jumps to the next timer: waits cost no time, and times are exact."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any


class _Selector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        found: list[Any] = super().select(0)
        if not found and timeout:
            self.now += timeout
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """``time()`` moves only when everybody waits."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._virtual.now


def run_virtual(body: Callable[[], Awaitable[None]]) -> None:
    """Run ``body`` on such a loop; no body waits for more than a virtual hour."""

    async def bound() -> None:
        await asyncio.wait_for(body(), 3600)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(bound())
