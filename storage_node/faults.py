"""Faults on purpose: appends and page reads that are refused or delayed for a time, as a failing or congested disk
would have it (``Inject`` in protos/storage.proto).

Input: a request's protection groups → output: refuse it, or delay it by so much. Pure; clock and chance are passed in.
A refused append is answered with an error and a refused read likewise: the writer sends again, a reader asks another
node. Nothing that the node has acknowledged is touched. What it keeps of faults is in memory alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from aurora import batch
from aurora.rpc import storage_pb2 as pb

REFUSAL: Final = "a disk failure was asked for"
DURATION_MAX_S: Final = 86_400.0
DELAY_MAX_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Fault:
    """``pg``: of requests that touch it; None: of all. ``delay_s``: least and most, when it does not refuse."""

    pg: int | None
    share: float
    until_s: float
    refuses: bool
    delay_s: tuple[float, float] = (0.0, 0.0)


class Faults:
    """``chance`` gives numbers from 0 up to 1, ``now_s`` is a monotonic clock in seconds."""

    def __init__(self, now_s: Callable[[], float], chance: Callable[[], float]) -> None:
        self._now_s, self._chance = now_s, chance
        self.found: dict[tuple[int | None, bool], Fault] = {}
        """By place and kind; requests need not be looked at while there is none. Some may be over."""

    def inject(self, request: pb.InjectRequest) -> None:
        """Begin, replace or end a fault. ValueError for numbers that make no sense."""
        share, duration_s = request.share, request.duration_ms / 1000
        delay_s = (request.delay_min_us / 1e6, request.delay_max_us / 1e6)
        if not 0 <= share <= 1 or duration_s > DURATION_MAX_S or not delay_s[0] <= delay_s[1] <= DELAY_MAX_S:
            raise ValueError("no such fault: share 0 … 1, at most a day, delays of at most 100 ms, the lesser first")
        pg = request.pg if request.HasField("pg") else None
        key = (pg, request.refuse)
        if share and duration_s:
            self.found[key] = Fault(pg, share, self._now_s() + duration_s, request.refuse, delay_s)
        else:
            self.found.pop(key, None)

    @property
    def note(self) -> str:
        """What it does on purpose, in words; empty: nothing."""
        self._expire()
        return "; ".join(
            f"{'refuses' if fault.refuses else 'delays'} {fault.share:.0%} of requests"
            + ("" if fault.pg is None else f" for protection group {fault.pg}")
            + f" for {fault.until_s - self._now_s():.0f} s, as was asked for"
            for fault in self.found.values()
        )

    def _expire(self) -> None:
        now_s = self._now_s()
        for key in [key for key, fault in self.found.items() if now_s >= fault.until_s]:
            del self.found[key]

    def verdict(self, groups: Iterable[int]) -> float | None:
        """None: refuse the request that touches these protection groups. Else the seconds to delay it by."""
        self._expire()
        touched = set(groups)
        delay_s = 0.0
        for fault in self.found.values():
            if (fault.pg is not None and fault.pg not in touched) or self._chance() >= fault.share:
                continue
            if fault.refuses:
                return None
            least_s, most_s = fault.delay_s
            delay_s += least_s + (most_s - least_s) * self._chance()
        return delay_s


def groups_of(batches: bytes) -> set[int]:
    """The protection groups of an append's batches; those before the first that is damaged."""
    found, at = set(), 0
    try:
        while at < len(batches):
            found.add(batch.decode_header(batches, at).pg)
            at += batch.frame_bytes(batches, at)
    except batch.BatchCorrupt:
        return found
    return found
