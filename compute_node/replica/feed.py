"""The writer's side of the replica stream: its log, as it becomes durable, for whoever follows. Sans-I/O.

::

    Flusher ── runs of each flush ──► pending ── VDL has reached the flush's end ──► waiting ── send, paced
                                                     one Log message for all followers ◄─┤
                                                 kept, for those who come back ◄─────────┘

A message holds whole flushes, so whole mini-transactions, and its ``vdl`` is the last LSN in it: a follower that has
applied a message has applied everything up to that LSN and nothing beyond, and it never sees log that recovery could
still cut off (SIGMOD 2017, section 4.2.4). It is encoded once, however many follow; without followers nothing is
encoded. Nobody waits for a follower: one whose backlog grows past ``BACKLOG_BYTES_MAX`` is sent away and begins anew.

What followers still read holds the row horizon and the PGMRPL down: each has a ``Hold``, moved by what it tells. It
outlives a cut of the stream; one that is silent for ``SILENT_S`` loses it, and is told so when it comes back
(``held``): what its sessions read at older points may be gone. It outlives the writer, too: followers are told of all
holds (``holding``), and who takes over within ``SILENT_S`` has them from its first moment (``expect``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from aurora.ids import Lsn
from aurora.kernels.python.mtr import Run
from aurora.rpc import compute_pb2 as cpb
from compute_node.replica.topology import READER, InstanceState
from compute_node.txn.horizon import Hold, Holds

BACKLOG_BYTES_MAX: Final = 64 << 20
"""What may wait for a follower that does not read."""
KEPT_BYTES_MAX: Final = 16 << 20
"""Messages kept for followers that come back after a cut."""
SILENT_S: Final = 5.0
SURE: Final = 0.9
"""Part of it that is not over by any other clock, when it is not by one's own."""
PACE_S: Final = 0.008
"""Between two messages of log while the writer is busy."""


class Outlet(Protocol):
    """Where a follower's messages go."""

    def send(self, message: bytes) -> None:
        """Send it now, or as soon as the peer reads."""

    @property
    def backlog_bytes(self) -> int:
        """What waits to be sent."""

    def close(self) -> None:
        """End the stream at once."""


class LastWord(NamedTuple):
    """What a writer said last of what it holds for its readers (``FeedCore.holding``): its epoch, and when it came."""

    held: Sequence[cpb.HeldBack] = ()
    epoch: int = 0
    told_s: float = 0.0


class _Nowhere:
    """The outlet of a reader that has not come yet."""

    backlog_bytes = 0

    def send(self, message: bytes) -> None:
        """See ``Outlet``."""

    def close(self) -> None:
        """See ``Outlet``."""


class Follower:
    """One reader as the writer knows it. ``read_point`` holds pages in storage, ``hold`` rows."""

    __slots__ = ("heard_s", "hold", "outlet", "read_point", "sent_bytes", "state")

    def __init__(self, state: InstanceState, outlet: Outlet, hold: Hold, now_s: float) -> None:
        self.state = state
        self.outlet = outlet
        self.hold = hold
        self.read_point = hold.lsn
        self.heard_s = now_s
        self.sent_bytes = 0


class FeedCore:
    """Made when the volume is opened, before anything is logged. ``holds``: of the writer's transactions, once there
    are any. ``clock_us``: µs since 2000-01-01 UTC, for lag. ``epoch``: the volume epoch that this writer has."""

    def __init__(self, vdl: Lsn, epoch: int, holds: Holds, clock_us: Callable[[], int]) -> None:
        self.vdl = vdl
        """Up to where followers have been told."""
        self.epoch = epoch
        self.followers: dict[str, Follower] = {}
        self._parked: dict[str, Follower] = {}
        """Those whose stream has ended, until they come back or have been silent for too long; and those that are
        expected."""
        self._holds = holds
        self._clock_us = clock_us
        self.removed_below: Callable[[], int] = lambda: 0
        """See ``TransactionManager.removed_below``; of the writer's transactions, once there are any."""
        self._told_removed = 0
        self._pending: deque[tuple[int, list[Run]]] = deque()
        self._durable: list[Run] = []
        self._durable_lsn = vdl
        self._kept: deque[tuple[int, bytes]] = deque()
        """(VDL after it, message)"""
        self._kept_bytes = 0
        self._kept_from: int = vdl
        """A follower that has applied this much, or more, can go on with what is kept."""
        self._let_go: int = vdl
        """Below this read point storage has been allowed to collect, by this writer or one before."""

    # The log

    def flushed(self, runs: list[Run]) -> None:
        """A flush has left for the nodes."""
        self._pending.append((runs[0][3] if len(runs) == 1 else max(run[3] for run in runs), runs))

    def advance(self, vdl: Lsn) -> None:
        """The VDL has advanced: what it covers goes to the followers."""
        pending = self._pending
        alone = not self.followers and not self._parked
        while pending and pending[0][0] <= vdl:
            end, runs = pending.popleft()
            self._durable_lsn = Lsn(end)
            if alone:
                self.vdl, self._kept_from = self._durable_lsn, end
            else:
                self._durable += runs

    @property
    def waiting(self) -> bool:
        """Whether something is to be sent. Sending costs the writer the same for much and little: a busy one paces it
        (``PACE_S``)."""
        return self._durable_lsn > self.vdl

    def send(self) -> None:
        """Send what has become durable since the last time."""
        runs, self._durable = self._durable, []
        self.vdl = self._durable_lsn
        if not runs:
            return
        reply = cpb.FollowReply()
        log = reply.log
        log.vdl, log.sent_us, log.epoch = self.vdl, self._clock_us(), self.epoch
        # A removal's records are above the LSN below which it removes: those that this message has are covered.
        removed = min(self.removed_below(), self.vdl)
        if removed > self._told_removed:
            log.removed_below = self._told_removed = removed
        for pg, prev, first, last, _, records in runs:
            log.runs.add(pg=pg, prev_lsn=prev, first_lsn=first, last_lsn=last, records=records)
        message = reply.SerializeToString()
        self._keep(message)
        for follower in list(self.followers.values()):
            follower.outlet.send(message)
            follower.sent_bytes += len(message)
            if follower.outlet.backlog_bytes > BACKLOG_BYTES_MAX:
                self.cut(follower)

    def _keep(self, message: bytes) -> None:
        self._kept.append((self.vdl, message))
        self._kept_bytes += len(message)
        while self._kept_bytes > KEPT_BYTES_MAX:
            upto, old = self._kept.popleft()
            self._kept_bytes -= len(old)
            self._kept_from = upto

    # Holds

    def holding(self, now_s: float) -> list[cpb.HeldBack]:
        """What is held for whom: followers are told, for one of them may be the next writer."""
        return [
            cpb.HeldBack(
                id=name,
                row_horizon=each.hold.lsn,
                read_point=each.read_point,
                silent_ms=int((now_s - each.heard_s) * 1000) + 1,
            )
            for group in (self.followers, self._parked)
            for name, each in group.items()
        ]

    def expect(self, word: LastWord, now_s: float) -> None:
        """This writer has just opened the volume. If nobody has in between, the one before has not given up a hold
        whose reader has not been silent for ``SILENT_S`` by now: none of its log comes any more."""
        if word.epoch != self.epoch - 1:
            return
        for each in word.held:
            silent_s = each.silent_ms / 1000 + (now_s - word.told_s)
            if silent_s < SILENT_S * SURE and each.row_horizon <= self.vdl:
                hold = self._holds.add(Lsn(each.row_horizon), f"reader {each.id}")
                follower = self._parked[each.id] = Follower(InstanceState(each.id, READER), _Nowhere(), hold, now_s)
                follower.read_point = Lsn(each.read_point)

    def hold_in(self, holds: Holds) -> None:
        """``holds`` are the writer's from now on: its storage is open, and nothing has been removed yet."""
        for each in (*self.followers.values(), *self._parked.values()):
            each.hold = holds.add(each.hold.lsn, each.hold.owner)
        self._holds = holds

    # Followers

    def join(
        self,
        state: InstanceState,
        outlet: Outlet,
        resume_lsn: Lsn,
        row_horizon: Lsn,
        pg_last: Mapping[int, int],
        vdl: Lsn,
        details: Callable[[cpb.Begin], None],
        now_s: float,
    ) -> Follower:
        """A reader comes, or comes back. ``pg_last``: each protection group's last LSN at ``vdl``, which is the
        volume's now; ``details`` fills in the rest of the message that begins the stream."""
        if self.waiting:
            self.send()
        old = self.followers.get(state.id)
        if old is not None:
            self.cut(old)
        parked = self._parked.pop(state.id, None)
        resumed = bool(resume_lsn) and self._kept_from <= resume_lsn <= self.vdl
        # What has come there and waits is applied from further back, over pages of that point.
        applied = Lsn(min(state.applied_lsn or resume_lsn, resume_lsn))
        # One that was to begin anew, and was cut off before it had, is still further back than what is kept for it.
        if resumed and applied < (self._let_go if parked is None else parked.read_point):
            resumed = False
        at = resume_lsn if resumed else vdl
        held = parked is not None and parked.hold.lsn <= row_horizon
        # What nobody has held may have been removed up to the VDL: below it the reader must show nothing any more.
        hold = self._holds.add(parked.hold.lsn if parked is not None and held else vdl, f"reader {state.id}")
        follower = Follower(state, outlet, hold, now_s)
        follower.read_point = min(applied if resumed else at, hold.lsn)
        if parked is not None:
            follower.sent_bytes = parked.sent_bytes
            follower.read_point = min(follower.read_point, parked.read_point)
            parked.hold.release()
        begin = cpb.Begin(vdl=at, resumed=resumed, epoch=self.epoch, held=held, held_from=hold.lsn)
        if not resumed:
            begin.pg_last.extend(cpb.PgPoint(pg=pg, lsn=lsn) for pg, lsn in sorted(pg_last.items()) if lsn)
        details(begin)
        outlet.send(cpb.FollowReply(begin=begin).SerializeToString())
        if resumed:
            for upto, message in self._kept:
                if upto > resume_lsn:
                    outlet.send(message)
        self.followers[state.id] = follower
        return follower

    def heard(self, follower: Follower, state: InstanceState, row_horizon: Lsn, read_point: Lsn, now_s: float) -> None:
        """A follower tells how far it is and what it still needs."""
        follower.state, follower.heard_s = state, now_s
        row_horizon = min(row_horizon, self.vdl)  # it comes from the network
        if row_horizon > follower.hold.lsn:
            follower.hold.move(row_horizon)
        follower.read_point = max(follower.read_point, read_point)

    def cut(self, follower: Follower) -> None:
        """A follower's stream has ended: what it needs is held until it comes back, or for ``SILENT_S``."""
        if self.followers.get(follower.state.id) is follower:
            del self.followers[follower.state.id]
            self._parked[follower.state.id] = follower
        follower.outlet.close()

    def leave(self, follower: Follower) -> None:
        """A follower is gone, or sent away: it holds nothing any more."""
        for group in (self.followers, self._parked):
            if group.get(follower.state.id) is follower:
                del group[follower.state.id]
        follower.hold.release()
        follower.outlet.close()
        if not self.followers and not self._parked:
            # Who comes now begins anew.
            if self.waiting:
                self.send()
            self._kept.clear()
            self._kept_bytes, self._kept_from = 0, self.vdl

    def tick(self, now_s: float) -> None:
        """Send those away that have been silent for too long."""
        for follower in (*self.followers.values(), *self._parked.values()):
            if now_s - follower.heard_s > SILENT_S:
                self.leave(follower)

    def tell(self, message: bytes) -> None:
        """Something for every follower (the topology)."""
        for follower in self.followers.values():
            follower.outlet.send(message)

    def read_point(self, limit: int) -> int:
        """The lowest read point that followers still need, at most ``limit``: storage may collect what is below."""
        point = min([limit, *(each.read_point for each in (*self.followers.values(), *self._parked.values()))])
        self._let_go = max(self._let_go, point)
        return point

    def close(self) -> None:
        """This writer is over."""
        for follower in (*self.followers.values(), *self._parked.values()):
            self.leave(follower)
