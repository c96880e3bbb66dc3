"""Quorum arithmetic: acks of six segments a protection group → PGCL, VCL and VDL.

Input: the runs of records that the writer sent (``append``) and the segment complete LSNs (SCL) that the nodes reported
(``ack``). Output: per protection group the LSN that a write quorum has reached (PGCL), the volume complete LSN (VCL:
all at or below is at quorum) and the volume durable LSN (VDL: the highest consistency point ≤ VCL).

Source: "Amazon Aurora: On Avoiding Distributed Consensus for I/Os, Commits, and Membership Changes" (2018), sections 2
and 3; "Amazon Aurora: Design Considerations" (2017), section 4. Pure: no clock, no I/O. VCL, VDL and PGCL never go
back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aurora.errors import InvariantViolation

SEGMENTS = 6
"""Copies of a protection group: two in each of three availability zones."""

WRITE_SEGMENTS = 4
READ_SEGMENTS = 3


class Quorum:
    """A monotone expression over segments: which sets of segments are enough."""

    def satisfied(self, segments: int) -> bool:
        """Whether the bit set ``segments`` (bit i = segment i) is enough."""
        raise NotImplementedError

    def reached(self, scls: Sequence[int]) -> int:
        """The highest LSN that a sufficient set of segments has reached, given the SCL of each segment."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Threshold(Quorum):
    """At least ``count`` of ``segments`` (indexes)."""

    count: int
    segments: tuple[int, ...] = tuple(range(SEGMENTS))

    def satisfied(self, segments: int) -> bool:
        return sum(segments >> index & 1 for index in self.segments) >= self.count

    def reached(self, scls: Sequence[int]) -> int:
        return sorted([scls[index] for index in self.segments])[-self.count]


@dataclass(frozen=True, slots=True)
class AllOf(Quorum):
    """Every part must hold: write sets while a segment is being replaced (4/6 of the old AND 4/6 of the new)."""

    parts: tuple[Quorum, ...]

    def satisfied(self, segments: int) -> bool:
        return all(part.satisfied(segments) for part in self.parts)

    def reached(self, scls: Sequence[int]) -> int:
        return min(part.reached(scls) for part in self.parts)


@dataclass(frozen=True, slots=True)
class AnyOf(Quorum):
    """One part is enough: read sets while a segment is being replaced."""

    parts: tuple[Quorum, ...]

    def satisfied(self, segments: int) -> bool:
        return any(part.satisfied(segments) for part in self.parts)

    def reached(self, scls: Sequence[int]) -> int:
        return max(part.reached(scls) for part in self.parts)


WRITE_QUORUM: Quorum = Threshold(WRITE_SEGMENTS)
READ_QUORUM: Quorum = Threshold(READ_SEGMENTS)

RunBounds = tuple[int, int, int, int]
"""``(pg, first_lsn, last_lsn, last_cpl)``; ``last_cpl`` is 0 when the run holds no consistency point."""


class _Group:
    """What was appended at once; it counts only as a whole, because the LSNs of its runs interleave."""

    __slots__ = ("cpl", "ends", "last", "missing")

    def __init__(self, last: int, cpl: int, ends: list[tuple[int, int]]) -> None:
        self.last = last
        self.cpl = cpl
        self.ends = ends
        self.missing = len(ends)


class _PgTrack:
    __slots__ = ("pgcl", "scls", "waiting")

    def __init__(self, segments: int) -> None:
        self.scls = [0] * segments
        self.pgcl = 0
        self.waiting: deque[tuple[int, _Group]] = deque()


class QuorumTracker:
    """Follows what is at quorum. ``vcl``, ``vdl``: volume-wide; ``pg_durable[pg]``: that group's last LSN ≤ VDL.

    ``start`` is the VDL at which the volume was opened, ``pg_last`` each group's last LSN at or below it.
    An ack costs O(1) amortized: a sort of six integers when it can matter, nothing when it is late.
    """

    def __init__(
        self,
        start: int = 0,
        pg_last: dict[int, int] | None = None,
        quorum: Quorum = WRITE_QUORUM,
        segments: int = SEGMENTS,
    ) -> None:
        self.vcl = start
        self.vdl = start
        self.pg_durable: dict[int, int] = dict(pg_last or {})
        self.appended = start
        """Last LSN that was appended."""
        self._quorum = quorum
        self._fast = quorum == WRITE_QUORUM and segments == SEGMENTS
        self._segments = segments
        self._pgs: dict[int, _PgTrack] = {}
        self._groups: deque[_Group] = deque()
        self._undurable: deque[tuple[int, int]] = deque()

    def append(self, pg: int, first_lsn: int, last_lsn: int, last_cpl: int) -> None:
        """One run on its own: everything in it lies above all that was appended before."""
        self.append_group(((pg, first_lsn, last_lsn, last_cpl),))

    def append_group(self, runs: Iterable[RunBounds]) -> None:
        """Runs of several groups whose LSNs may interleave (one flush): at quorum only together.

        The last record must be a consistency point, or the group must hold none: then no VDL splits a run.
        """
        low = high = cpl = 0
        ends: list[tuple[int, int]] = []
        for pg, first, last, run_cpl in runs:
            low = first if not low else min(low, first)
            high = max(high, last)
            cpl = max(cpl, run_cpl)
            ends.append((last, pg))
        if not ends or low <= self.appended or cpl not in (0, high):
            raise InvariantViolation(f"append of [{low}, {high}] with CPL {cpl} after {self.appended}")
        self.appended = high
        if len(ends) > 1:
            ends.sort()
        group = _Group(high, cpl, ends)
        self._groups.append(group)
        for last, pg in ends:
            track = self._pgs.get(pg)
            if track is None:
                track = self._pgs[pg] = _PgTrack(self._segments)
            track.waiting.append((last, group))

    def ack(self, pg: int, segment: int, scl: int) -> bool:
        """Segment ``segment`` of ``pg`` is complete up to ``scl``. Returns whether the VDL advanced."""
        track = self._pgs.get(pg)
        if track is None:
            track = self._pgs[pg] = _PgTrack(self._segments)
        scls = track.scls
        if scl <= scls[segment]:
            return False
        scls[segment] = scl
        if scl <= track.pgcl:
            return False
        pgcl = sorted(scls)[SEGMENTS - WRITE_SEGMENTS] if self._fast else self._quorum.reached(scls)
        if pgcl <= track.pgcl:
            return False
        track.pgcl = pgcl
        waiting = track.waiting
        completed = False
        while waiting and waiting[0][0] <= pgcl:
            group = waiting.popleft()[1]
            group.missing -= 1
            completed = completed or not group.missing
        return completed and self._advance()

    def _advance(self) -> bool:
        vdl = self.vdl
        groups, undurable = self._groups, self._undurable
        while groups and not groups[0].missing:
            group = groups.popleft()
            self.vcl = group.last
            undurable.extend(group.ends)
            if group.cpl:
                self.vdl = group.cpl
        if self.vdl == vdl:
            return False
        vdl, durable = self.vdl, self.pg_durable
        while undurable and undurable[0][0] <= vdl:
            last, pg = undurable.popleft()
            durable[pg] = last
        return True

    def pgcl(self, pg: int) -> int:
        """The LSN that a write quorum of ``pg`` has reached; 0 before any."""
        track = self._pgs.get(pg)
        return track.pgcl if track else 0

    def scl(self, pg: int, segment: int) -> int:
        """What the segment last reported; 0 when never heard of."""
        track = self._pgs.get(pg)
        return track.scls[segment] if track else 0

    @property
    def pending_groups(self) -> int:
        """Appends that are not at quorum."""
        return len(self._groups)
