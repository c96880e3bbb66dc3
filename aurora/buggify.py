"""Fault points: rare branches of production code that the simulator makes common.

``if buggify("name"):`` stands where the code may legally take its rare branch although nothing calls for it: begin a
new file, stop a batch early, miss a cache. In production it is False at the price of a call. The simulator installs a
chooser drawn from its seed: in each run some points are active, and an active one fires now and then. A point never
makes the code do what it must not; it makes it do what it seldom does. Names are unique: one place, one name
(``tests/unit/test_house.py``); ``python -m aurora.sim --points`` lists them. Source: FoundationDB's BUGGIFY.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Chooser = Callable[[str], bool]
"""Whether the point of that name takes its rare branch this time."""


def _never(point: str) -> bool:
    return False


_chooser: Chooser = _never


def buggify(point: str) -> bool:
    """Whether to take the rare branch here; always False outside the simulator."""
    return _chooser(point)


@contextmanager
def installed(chooser: Chooser) -> Iterator[None]:
    """Have ``chooser`` decide inside the block."""
    global _chooser
    before, _chooser = _chooser, chooser
    try:
        yield
    finally:
        _chooser = before
