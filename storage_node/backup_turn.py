"""Whose turn it is to stage something, and what was asked of the object store.

Every node holds what is to be staged, one stages it. Each has a rank; rank 0 begins at once, the others wait
``rank × takeover_s`` of standstill. Who stages goes on until it hears that another has come further; two at once do no
harm, for the names and the bytes follow from the LSNs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from storage_node.effects import StoreEffect

RETRY_FIRST_S = 0.5
RETRY_MAX_S = 30.0


class Turn:
    """The turn for one thing. ``done``: how far any node has staged it, as known here."""

    def __init__(self, done: int = 0) -> None:
        self.done = done
        self.holding = False
        self.own = 0
        """How far this node has staged it."""
        self.since: float | None = None
        """Since when there has been something to stage and no progress; None: there is nothing."""

    def heard(self, upto: int, now: float) -> bool:
        """Somebody says that it is staged up to ``upto``; whether that is news. A holder that is overtaken rests."""
        if upto <= self.done:
            return False
        self.done = upto
        if self.since is not None:
            self.since = now
        if upto > self.own:
            self.holding = False
        return True

    def advanced(self, upto: int, now: float) -> None:
        """This node has staged it up to ``upto``."""
        self.own = max(self.own, upto)
        self.done = max(self.done, upto)
        self.since = now

    def mine(self, available: int, now: float, wait_s: float) -> bool:
        """Whether this node, which could stage up to ``available``, is to do it now."""
        if available <= self.done:
            self.since = None
            return False
        if self.since is None:
            self.since = now
        if now - self.since >= wait_s:
            self.holding = True
        return self.holding


class StoreCalls:
    """Requests to the object store under way, and how long to leave it alone after a failure."""

    def __init__(self) -> None:
        self.problem = ""
        """Why the last request failed; empty when it did not."""
        self.not_before = 0.0
        self._failures = 0
        self._asked: dict[int, tuple[StoreEffect, Callable[[Sequence[str]], None], Callable[[], None]]] = {}

    def ask(
        self, effect: StoreEffect, done: Callable[[Sequence[str]], None], failed: Callable[[], None]
    ) -> StoreEffect:
        """Note what is to happen when the effect has been carried out; returns it."""
        self._asked[id(effect)] = (effect, done, failed)
        return effect

    def on_done(self, effect: StoreEffect, names: Sequence[str]) -> None:
        """The effect has been carried out."""
        _, done, _ = self._asked.pop(id(effect))
        self.problem, self._failures = "", 0
        done(names)

    def on_failed(self, effect: StoreEffect, reason: str, now: float) -> bool:
        """It has not; True when that is the first failure since a success."""
        _, _, failed = self._asked.pop(id(effect))
        self.problem = reason
        self.not_before = now + min(RETRY_FIRST_S * 2**self._failures, RETRY_MAX_S)
        self._failures = min(self._failures + 1, 16)
        failed()
        return self._failures == 1
