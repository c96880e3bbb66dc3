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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from aurora.errors import InvariantViolation
from aurora.ids import Lsn

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
    __slots__ = ("pgcl", "place", "quorum", "scls", "waiting")

    def __init__(self, quorum: Quorum, nodes: int) -> None:
        self.scls = [0] * nodes
        self.pgcl = 0
        self.waiting: deque[tuple[int, _Group]] = deque()
        self.require(quorum, nodes)

    def require(self, quorum: Quorum, nodes: int) -> None:
        """From now on ``quorum`` decides, over ``nodes`` nodes."""
        self.scls += [0] * (nodes - len(self.scls))
        self.quorum = quorum
        self.place = -1
        """Where the PGCL is in the sorted SCLs; -1 when the quorum is no plain count of all nodes."""
        if isinstance(quorum, Threshold) and sorted(quorum.segments) == list(range(len(self.scls))):
            self.place = len(self.scls) - quorum.count

    def reached(self) -> int:
        """The LSN that a quorum has reached."""
        return sorted(self.scls)[self.place] if self.place >= 0 else self.quorum.reached(self.scls)


class QuorumTracker:
    """Follows what is at quorum. ``vcl``, ``vdl``: volume-wide; ``pg_durable[pg]``: that group's last LSN ≤ VDL.

    ``start`` is the VDL at which the volume was opened, ``pg_last`` each group's last LSN at or below it.
    An ack costs O(1) amortized: a sort of six integers when it can matter, nothing when it is late.
    """

    def __init__(
        self,
        start: int = 0,
        pg_last: dict[int, int] | None = None,
        quorum_of: Callable[[int], Quorum] = lambda pg: WRITE_QUORUM,
        nodes: int = SEGMENTS,
    ) -> None:
        self.vcl = start
        self.vdl = Lsn(start)
        self.pg_durable: dict[int, int] = dict(pg_last or {})
        self.appended = start
        """Last LSN that was appended."""
        self._quorum_of = quorum_of
        self._nodes = nodes
        self._pgs: dict[int, _PgTrack] = {}
        self._groups: deque[_Group] = deque()
        self._undurable: deque[tuple[int, int]] = deque()

    def require(self, quorum_of: Callable[[int], Quorum], nodes: int) -> None:
        """From now on these quorums decide what has not been reached yet; what has been stays reached."""
        self._quorum_of, self._nodes = quorum_of, nodes
        for pg, track in self._pgs.items():
            track.require(quorum_of(pg), nodes)

    def _track(self, pg: int) -> _PgTrack:
        track = self._pgs.get(pg)
        if track is None:
            track = self._pgs[pg] = _PgTrack(self._quorum_of(pg), self._nodes)
        return track

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
            self._track(pg).waiting.append((last, group))

    def ack(self, pg: int, node: int, scl: int) -> bool:
        """The segment of ``pg`` on ``node`` is complete up to ``scl``. Returns whether the VDL advanced."""
        track = self._pgs.get(pg) or self._track(pg)
        scls = track.scls
        if scl <= scls[node]:
            return False
        scls[node] = scl
        return scl > track.pgcl and self._settle(track)

    def recount(self) -> bool:
        """The quorums have changed: look again at all that was acknowledged. Returns whether the VDL advanced."""
        vdl = self.vdl
        for track in self._pgs.values():
            self._settle(track)
        return self.vdl > vdl

    def _settle(self, track: _PgTrack) -> bool:
        pgcl = track.reached()
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
                self.vdl = Lsn(group.cpl)
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

    def reached(self, pg: int) -> int:
        """The LSN that a write quorum has reached as the quorum is now: after a change it may be below ``pgcl``."""
        track = self._pgs.get(pg)
        return track.reached() if track else 0

    def scl(self, pg: int, node: int) -> int:
        """What the node last reported; 0 when never heard of."""
        track = self._pgs.get(pg)
        return track.scls[node] if track else 0

    def forget(self, node: int, pgs: Iterable[int]) -> None:
        """The node does not hold these segments any more, or begins them anew: its word of them counts no longer."""
        for pg in pgs:
            if pg in self._pgs:
                self._pgs[pg].scls[node] = 0

    @property
    def pending_groups(self) -> int:
        """Appends that are not at quorum."""
        return len(self._groups)
