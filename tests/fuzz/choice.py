"""Decisions of the generator, drawn from hypothesis: what comes first in a list is simplest, so that a failing case
shrinks towards it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from hypothesis import strategies as st

_T = TypeVar("_T")


class Choice:
    """A source of decisions."""

    def __init__(self, draw: Callable[[st.SearchStrategy[int]], int]) -> None:
        self._draw = draw

    def number(self, low: int, high: int) -> int:
        """Of ``low`` to ``high``, both included."""
        return self._draw(st.integers(low, high))

    def of(self, items: Sequence[_T]) -> _T:
        """One of them."""
        return items[self.number(0, len(items) - 1)]

    def chance(self, percent: int) -> bool:
        """Whether to do something that need not be done."""
        return self.number(0, 99) >= 100 - percent

    def some(self, items: Sequence[_T], least: int, most: int) -> list[_T]:
        """Different ones of them, in their order."""
        wanted = self.number(min(least, len(items)), min(most, len(items)))
        left = list(range(len(items)))
        chosen = sorted(left.pop(self.number(0, len(left) - 1)) for _ in range(wanted))
        return [items[at] for at in chosen]
