"""Whether log that this node cannot stage may still come into the backup from another node.

Input: each peer's word in gossip, ``staging_from`` and SCL of a PG → output: wait, or say that there is a hole.

A hole ends the unbroken log of a backup for good, and the nodes give up what they kept below it. So nobody's being late
is taken for proof: a peer that can go on from what is staged is waited for however long its own store fails; one that
has said nothing, or that is still behind itself, for ``hole_wait_s``. When every holder of the PG has said that its log
begins later, there is a hole at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

NOTHING = 1 << 64


class Told(NamedTuple):
    """A peer's last word on a PG."""

    begin: int
    """The log that it can stage follows this LSN; ``NOTHING`` when it stages none."""
    scl: int
    at_s: float


class HoleWatch:
    """What speaks for and against a hole in the backup of one PG."""

    def __init__(self) -> None:
        self._told: dict[str, Told] = {}
        self._staged = -1
        self._since_s = 0.0
        self._looked = False

    def heard(self, node_id: str, told: Told) -> None:
        """A peer's word."""
        self._told[node_id] = told

    def may_come(self, staged: int, peers: Iterable[str], now: float, wait_s: float) -> bool:
        """Whether the log after ``staged``, which this node lacks, may yet be staged by one of ``peers``."""
        if staged != self._staged:
            self._staged, self._since_s, self._looked = staged, now, False
        waiting = now - self._since_s < wait_s
        return any(self._may_bring(self._told.get(peer), staged, now, waiting, wait_s) for peer in peers)

    @staticmethod
    def _may_bring(told: Told | None, staged: int, now: float, waiting: bool, wait_s: float) -> bool:
        if told is None:
            return waiting
        if told.begin > staged:
            return False
        return waiting or (told.scl > staged and now - told.at_s < wait_s)

    def look_first(self) -> bool:
        """True once a hole: the store is to be asked again before it is believed, for a node that has died may have
        staged what it told nobody.
        """
        first, self._looked = not self._looked, True
        return first
