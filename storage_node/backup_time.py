"""The backup's timeline: when the VDL was what, and which LSN of each PG belongs to it.

Input: the writer's ``Advance`` (VDL and every PG's last LSN at or below it: a *restore point*), the VDL as it is now →
output: timeline objects. Each node gathers moments; the one whose turn it is writes them, the current object anew with
each batch of moments until it is full. A moment says what was durable by then, so a restore to a time never brings
anything later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aurora.rpc import storage_pb2 as pb
from storage_node import backup_objects as objects
from storage_node.backup_objects import Content, Kind
from storage_node.backup_turn import StoreCalls, Turn
from storage_node.effects import PutObject, StoreEffect

if TYPE_CHECKING:
    from storage_node.node import AnyNode

SAMPLE_S = 0.25
"""Least time between two moments that are no restore points."""
OBJECT_MOMENTS = 400
"""A timeline object is full at so many."""
HELD_MOMENTS_MAX = 4096
"""Moments that a node holds while nobody stages them; the oldest go first."""


class Timeline:
    """One node's view of the timeline. Its turn counts in VDLs of restore points."""

    def __init__(self, node: AnyNode, calls: StoreCalls) -> None:
        self._node = node
        self._calls = calls
        self.turn = Turn()
        self._moments: deque[pb.BackupMoment] = deque(maxlen=HELD_MOMENTS_MAX)
        """Moments above what is staged, as they came."""
        self._point_vdl = self._sampled_vdl = 0
        self._sampled_s = self._put_s = float("-inf")
        self._object: list[pb.BackupMoment] = []
        self._name = ""
        self._busy = False

    def heard(self, vdl: int, now: float) -> None:
        """A peer says that the timeline is staged up to the restore point at ``vdl``."""
        if self.turn.heard(vdl, now):
            self._moments = deque((m for m in self._moments if m.vdl > vdl), HELD_MOMENTS_MAX)
            if not self.turn.holding:
                self._name, self._object = "", []

    def point(self, vdl: int, pgs: Sequence[pb.PgLsn]) -> None:
        """The writer says: at this VDL, these are the last LSNs of the PGs."""
        if vdl > self._point_vdl and pgs:
            self._point_vdl = self._sampled_vdl = vdl
            if vdl > self.turn.done:
                self._add(pb.BackupMoment(vdl=vdl, pgs=pgs))

    def sample(self, now: float) -> None:
        """Take note of the VDL when it has moved and some time has passed."""
        if self._node.vdl > self._sampled_vdl and now - self._sampled_s >= SAMPLE_S:
            self._sampled_s, self._sampled_vdl = now, self._node.vdl
            self._add(pb.BackupMoment(vdl=self._node.vdl))

    def _add(self, moment: pb.BackupMoment) -> None:
        moment.wall_ms = int(self._node.clock.wall() * 1000)
        self._moments.append(moment)

    def step(self, now: float, rank: int) -> list[StoreEffect]:
        """Write what there is, when it is this node's turn."""
        self.sample(now)
        config = self._node.config
        if not self.turn.mine(self._point_vdl, now, rank * config.takeover_s) or self._busy:
            return []
        if now - self._put_s < config.stage_age_s or not self._moments:
            return []
        if len(self._object) >= OBJECT_MOMENTS:
            self._name, self._object = "", []
        if not self._name:
            self._name = objects.time_name(self._node.volume_id, self._moments[0].wall_ms, config.node_id)
        gathered = [*self._object, *self._moments]
        upto = self._point_vdl
        head = pb.BackupTimeline(
            descriptor=self._node.meta.value.descriptor,
            truncations=[pb.Truncation(epoch=e, vdl=vdl, upper=upper) for e, vdl, upper in self._node.truncations],
            moments=gathered,
        )
        self._busy, self._put_s = True, now
        effect = PutObject(self._name, Content(Kind.TIMELINE, self._node.volume_id, 0, head))
        return [self._calls.ask(effect, lambda _: self._stored(effect.name, gathered, upto), self._failed)]

    def _stored(self, name: str, gathered: list[pb.BackupMoment], upto: int) -> None:
        self._busy = False
        if name == self._name:
            self._object = gathered
        written = {id(moment) for moment in gathered}
        self._moments = deque((m for m in self._moments if id(m) not in written), HELD_MOMENTS_MAX)
        self.turn.advanced(upto, self._node.clock.monotonic())

    def _failed(self) -> None:
        self._busy = False
