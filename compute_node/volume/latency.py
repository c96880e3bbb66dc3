"""How fast a node answers page reads, learned from its answers. Pure: times come in, a rank and a hedge delay go out.

Two questions are asked of it, with different memories:

- *who is fastest* (``typical_s``): the median of the last ``RECENT`` answers. One outlier moves nothing; a node that
  got slow has lost its place after three answers, and has won it back after three.
- *when to ask another as well* (``hedge_s``): a little past the ``HEDGE_QUANTILE`` of the last ``WINDOW`` answers. A
  node that got slow is still waited for as long as it deserved before; one that is always slow is given its time.

A run of pages is scaled to what one page would have taken (``weight``), so that one model serves both.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from typing import Final

RECENT: Final = 5
WINDOW: Final = 128
HEDGE_QUANTILE: Final = 0.97
HEDGE_MARGIN: Final = 1.2
"""Where all answers take the same time, the quantile is that time, and most of them are just about to come."""
HEDGE_MIN_S: Final = 0.0015
"""Below this a hedge would only answer the jitter of two processes on one machine."""
HEDGE_MAX_S: Final = 1.0
HEDGE_UNKNOWN_S: Final = 0.005
"""While fewer than ``KNOWN`` answers have come."""
KNOWN: Final = 16
RUN_PAGE_WEIGHT: Final = 0.15
"""What a further page of a run costs, in single reads."""


def weight(pages: int) -> float:
    """What a request of that many pages costs, in single reads."""
    return 1.0 + RUN_PAGE_WEIGHT * (pages - 1)


class NodeLatency:
    """One node's recent answers. ``failures``: failed attempts since its last answer."""

    __slots__ = ("_ordered", "_recent", "_window", "failures", "typical_s")

    def __init__(self) -> None:
        self.failures = 0
        self.typical_s = 0.0
        """Seconds that a read of one page takes; 0: nothing is known yet."""
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._window: deque[float] = deque()
        self._ordered: list[float] = []

    def answered(self, took_s: float, pages: int = 1) -> None:
        """An answer came after that time, whether or not somebody still waited for it."""
        self.failures = 0
        self._sample(took_s / weight(pages))

    def overdue(self, waited_s: float, pages: int = 1) -> None:
        """Another node's answer came first; this one's would have taken longer than that. Its true time follows by
        ``answered`` if it comes at all."""
        if waited_s / weight(pages) > self.typical_s:
            self._recent.append(waited_s / weight(pages))
            self._rank()

    def failed(self) -> None:
        """The attempt failed: others come first until it has answered again."""
        self.failures += 1

    def _sample(self, one_s: float) -> None:
        self._recent.append(one_s)
        self._rank()
        self._window.append(one_s)
        insort(self._ordered, one_s)
        if len(self._window) > WINDOW:
            del self._ordered[bisect_left(self._ordered, self._window.popleft())]

    def _rank(self) -> None:
        ordered = sorted(self._recent)
        self.typical_s = ordered[len(ordered) // 2]

    def quantile_s(self, share: float) -> float:
        """The time within which that share of the window's answers came; 0 without any."""
        ordered = self._ordered
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def hedge_s(self, pages: int = 1) -> float:
        """How long this node deserves to be waited for before another is asked as well."""
        if len(self._ordered) < KNOWN:
            return HEDGE_UNKNOWN_S * weight(pages)
        return min(max(HEDGE_MARGIN * self.quantile_s(HEDGE_QUANTILE), HEDGE_MIN_S), HEDGE_MAX_S) * weight(pages)
