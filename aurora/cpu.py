"""How busy this process keeps the machine: per cent of all its cores, over the time since it was last asked."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final

WINDOW_S: Final = 1.0
"""Asked again within that time it gives the same answer."""


class CpuMeter:
    """``percent()``: 0 … 100. ``clock`` counts seconds, ``used`` its CPU seconds."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        used: Callable[[], float] = time.process_time,
        cores: int | None = None,
    ) -> None:
        self._clock, self._used = clock, used
        self._cores = cores or os.cpu_count() or 1
        self._since_s, self._used_s = clock(), used()
        self._percent = 0.0

    def percent(self) -> float:
        """The share of the machine's cores that this process has used since the last answer."""
        now_s = self._clock()
        passed_s = now_s - self._since_s
        if passed_s >= WINDOW_S:
            used_s = self._used()
            self._percent = min(100.0, max(0.0, 100 * (used_s - self._used_s) / passed_s / self._cores))
            self._since_s, self._used_s = now_s, used_s
        return self._percent
