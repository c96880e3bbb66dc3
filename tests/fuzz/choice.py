"""Decisions of the generator: numbers, of which 0 is always the simplest. What is decided is kept, so that the same
decisions can be made again, or simpler ones (``shrink``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

_T = TypeVar("_T")
Draw = Callable[[int], int]
"""A number of 0 to that one"""


class Choice:
    """A source of decisions; ``made`` are those so far."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self.made: list[int] = []
        self.parameters: list[tuple[str, str]] | None = None
        """(type, value) of what stands as ``$n`` in the text; None: values stand there themselves."""
        self.expression_depth = 3
        """How deep expressions go. Of plain ones plans have more to choose, and column batches more to do."""

    def number(self, low: int, high: int) -> int:
        """Of ``low`` to ``high``, both included."""
        drawn = min(self._draw(high - low), high - low)
        self.made.append(drawn)
        return low + drawn

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


def drawn_from(*seeds: int) -> Draw:
    """Random decisions, the same ones for the same seeds."""
    source = Random("-".join(map(str, seeds)))
    return lambda high: source.randint(0, high)


def drawn_again(made: Sequence[int]) -> Draw:
    """These decisions, the simplest ones after them."""
    left = iter(made)
    return lambda high: next(left, 0)
