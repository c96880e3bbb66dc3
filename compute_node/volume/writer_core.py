"""The writer's protocol core: runs in, messages to the nodes out; acks in, VDL out. Sans-I/O.

::

    flush(runs) ─► retained flushes ─► next_message(node) ─► [stream] ─► on_ack(node, …) ─► tracker ─► vdl

A flush is encoded once, a frame a protection group, and its message is built once for all nodes that hold the same
groups and stand at the same place. A node with
``in_flight_max`` messages unacknowledged gets nothing more: what is flushed meanwhile is gathered into its next
message, so a slow node never slows the others. Flushes are retained until they are durable and every connected node has
acknowledged them; beyond ``retained_bytes_max`` the durable ones go, and a node that still needed them is *behind*: it
goes on with the oldest one retained and gets the rest from its peers.

Which nodes make a quorum is the descriptor's word; ``adopt`` takes a new one while the log flows.

Invariants: what is not durable is retained; LSNs never exceed max(VDL, the epoch's first) + LAL + margin; one epoch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from aurora import batch as batches
from aurora.buggify import buggify
from aurora.errors import InvariantViolation
from aurora.geometry import Descriptor
from aurora.ids import Lsn
from aurora.kernels.python.mtr import Run
from aurora.quorum import AllOf, Quorum, QuorumTracker
from compute_node.volume.recovery import LAL_BYTES, LAL_MARGIN_BYTES, FenceAnswer, Recovered

MESSAGE_MAX_BYTES: Final = 4 << 20
"""A message stops gathering flushes here."""

BuildMessage = Callable[[int, bytes, int, int], bytes]
"""``(sequence, batches, vdl, pgmrpl)`` → the serialized AppendRequest."""


class _Flush:
    __slots__ = ("bytes", "ends", "frames", "last_lsn")

    def __init__(self, last_lsn: int, frames: list[bytes], ends: list[tuple[int, int]]) -> None:
        self.last_lsn = last_lsn
        self.frames = frames
        """One a run, in the order of ``ends``."""
        self.ends = ends
        """``(pg, last LSN)`` of each run."""
        self.bytes = sum(map(len, frames))


class NodeLink:
    """What the writer knows about its stream to one node. ``sent`` and ``acked`` count flushes."""

    __slots__ = (
        "acked",
        "before",
        "behind",
        "connected",
        "error",
        "filled",
        "in_flight",
        "leaves",
        "nudge",
        "pgs",
        "refused_epoch",
        "sent",
        "sound",
        "taken",
        "told_vdl",
    )

    def __init__(self, pgs: frozenset[int]) -> None:
        self.pgs = pgs
        """Protection groups of which the node holds a segment, or is to hold one."""
        self.filled: set[int] = set()
        """Those of which it has said, under the present membership epoch, that its segment is not hollow."""
        self.taken: tuple[int, int] = (0, 0)
        """Version of the descriptor that it has taken last, as far as it said so since it was met."""
        self.before: dict[int, int] = {}
        """PG → SCL that it had told before it was met anew: what people and page readers go by meanwhile."""
        self.leaves = False
        """It holds segments by the committed descriptor which it does not by the proposal."""
        self.sound: set[int] = set()
        """PGs of which it has said, since it was met, that its segment is not hollow."""
        self.connected = False
        self.behind = False
        self.in_flight = 0
        self.sent = 0
        self.acked = 0
        self.told_vdl = 0
        self.nudge = False
        """Send a message even when it carries no log."""
        self.refused_epoch = 0
        """The newer epoch that the node has adopted; 0 = none. Such a node takes nothing from this writer any more."""
        self.error = ""
        """Why the node did not append; empty when it did."""


class WriterCore:
    """See the module. ``tracker`` holds VCL, VDL and what each segment has; ``links`` the streams, by node index."""

    def __init__(
        self,
        volume_id: bytes,
        recovered: Recovered,
        build_message: BuildMessage,
        in_flight_max: int = 1,
        retained_bytes_max: int = 32 << 20,
    ) -> None:
        if recovered.read_only:
            raise InvariantViolation("a volume recovered for reading has no writer")
        self.volume_id = volume_id
        self.epoch = recovered.epoch
        self.descriptor = recovered.descriptor
        self.tracker = QuorumTracker(
            recovered.vdl, recovered.pg_last, self.descriptor.write_quorum, len(self.descriptor.nodes)
        )
        self.members = self.descriptor.nodes
        """The fleet; retired is only who is so under the committed descriptor as well."""
        self._committed = self.descriptor
        self.links: list[NodeLink] = []
        self.pgmrpl: int = recovered.vdl
        """Lowest read point still needed; told to the nodes with every message."""
        self.flushes = 0
        self.messages = 0
        self.flushed_bytes = 0
        self._build = build_message
        self._in_flight_max = in_flight_max
        self._retained_max = retained_bytes_max
        self._floor = max(recovered.vdl, recovered.next_lsn - 1)
        self.pg_last = dict(recovered.pg_last)
        self._retained: deque[_Flush] = deque()
        self._first = 0  # number of the oldest retained flush
        self._retained_bytes = 0
        # (start, groups) → message, while nothing newer is flushed
        self._built: dict[tuple[int, frozenset[int]], tuple[bytes, int, int]] = {}
        self._quorums: list[Quorum] = []
        self.adopt(self.descriptor)

    def adopt(self, descriptor: Descriptor, and_also: Descriptor | None = None) -> bool:
        """Let a descriptor with the same nodes, or more, decide from now on; returns whether the VDL advanced.

        ``and_also``: the committed one, while ``descriptor`` is only proposed: what is durable must be so under both,
        and the holders under both are served.
        """
        self._committed = and_also or descriptor
        stays = {node.node_id for node in self._committed.nodes if not node.retired}
        self.members = tuple(
            replace(node, retired=False) if node.node_id in stays else node for node in descriptor.nodes
        )

        def quorum_of(pg: int) -> Quorum:
            quorum = descriptor.write_quorum(pg)
            if and_also is None or pg >= len(and_also.groups) or and_also.write_quorum(pg) == quorum:
                return quorum
            return AllOf((and_also.write_quorum(pg), quorum))

        if descriptor.membership_epoch > self.descriptor.membership_epoch:
            for link in self.links:
                link.filled.clear()
        self.descriptor = descriptor
        self.links += [NodeLink(frozenset()) for _ in range(len(descriptor.nodes) - len(self.links))]
        self.tracker.require(quorum_of, len(descriptor.nodes))
        self._quorums = list(dict.fromkeys(quorum_of(pg) for pg in range(len(descriptor.groups))))
        shared: dict[frozenset[int], frozenset[int]] = {}
        for index, (node, link) in enumerate(zip(descriptor.nodes, self.links)):
            pgs, before = descriptor.groups_of(node.node_id), self._committed.groups_of(node.node_id)
            link.leaves = not before <= pgs
            pgs |= before
            # A group that is new to it, or that it had before: what was said of its segment before does not count.
            self.tracker.forget(index, pgs ^ link.pgs)
            link.sound -= pgs ^ link.pgs
            link.pgs = shared.setdefault(pgs, pgs)
        self._built.clear()
        return self.tracker.recount()

    @property
    def vdl(self) -> Lsn:
        """Volume durable LSN."""
        return self.tracker.vdl

    @property
    def lsn_limit(self) -> int:
        """No LSN may be allocated above this."""
        return max(self.tracker.vdl, self._floor) + LAL_BYTES

    def flush(self, runs: Sequence[Run]) -> None:
        """Take what ``RedoLog.take`` gave: encode it and queue it for every node."""
        frames = [batches.encode(self.volume_id, self.epoch, run) for run in runs]
        ends = [(run[0], run[3]) for run in runs]
        last = max(lsn for _, lsn in ends)
        if last > self.lsn_limit + LAL_MARGIN_BYTES:
            raise InvariantViolation(f"LSN {last} was allocated above the limit {self.lsn_limit}")
        self.tracker.append_group([(run[0], run[2], run[3], run[4]) for run in runs])
        self.pg_last.update(ends)
        flush = _Flush(last, frames, ends)
        self._retained.append(flush)
        self._retained_bytes += flush.bytes
        self._built.clear()
        self.flushes += 1
        self.flushed_bytes += len(flush.frames)
        if self._retained_bytes > self._retained_max:
            self._trim()

    def has_room(self) -> bool:
        """Whether a flush would be sent at once to a write quorum of every group, or to all that are connected."""
        room, idle, busy = self._in_flight_max, 0, 0
        for index, link in enumerate(self.links):
            if link.connected:
                if link.in_flight < room:
                    idle |= 1 << index
                else:
                    busy += 1
        if not busy:
            return True
        return all(quorum.satisfied(idle) for quorum in self._quorums)

    def next_message(self, node: int) -> bytes | None:
        """The message to write to ``node`` now, counted as sent; None when there is nothing to send or no room."""
        link = self.links[node]
        if not link.connected or link.in_flight >= self._in_flight_max:
            return None
        start = max(link.sent, self._first)
        end = self._first + len(self._retained)
        if start < end and len(self.links) > len(self.descriptor.groups[0].slots):
            start = self._skip(link, start, end)
        if start >= end and not link.nudge:
            return None
        built = self._built.get((start, link.pgs)) if start < end else None
        if built is None:
            built = self._gather(link.pgs, start, end)
            if start < end:
                self._built[(start, link.pgs)] = built
        message, link.sent, link.told_vdl = built
        link.in_flight += 1
        link.nudge = False
        self.messages += 1
        return message

    def _skip(self, link: NodeLink, start: int, end: int) -> int:
        """Pass over flushes that have nothing for the node."""
        while start < end and not any(pg in link.pgs for pg, _ in self._retained[start - self._first].ends):
            start += 1
        link.sent = start
        if not link.in_flight:
            link.acked = start
        return start

    def _gather(self, pgs: frozenset[int], start: int, end: int) -> tuple[bytes, int, int]:
        """Message of the flushes from ``start`` on: ``(bytes, number after its last flush, VDL it tells)``."""
        parts: list[bytes] = []
        size = 0
        at = start
        while at < end and size < MESSAGE_MAX_BYTES:
            flush = self._retained[at - self._first]
            for (pg, _), frame in zip(flush.ends, flush.frames):
                if pg in pgs:
                    parts.append(frame)
                    size += len(frame)
            at += 1
            if buggify("message-stops-early"):
                break
        vdl = self.tracker.vdl
        return self._build(at, parts[0] if len(parts) == 1 else b"".join(parts), vdl, min(self.pgmrpl, vdl)), at, vdl

    def on_stale(self, node: int) -> None:
        """The node refused a message for its membership epoch, which the next one will carry: send that log again."""
        link = self.links[node]
        if link.connected:
            link.in_flight -= 1
            link.sent = min(link.sent, link.acked)
            self._built.clear()

    def on_ack(
        self, node: int, sequence: int, scls: Iterable[tuple[int, int]], refused_epoch: int = 0, error: str = ""
    ) -> bool:
        """A reply on the stream of ``node``; returns whether the VDL advanced.

        A refusal or an error marks the link, which then takes nothing more until it is connected anew.
        """
        link = self.links[node]
        if not link.connected:
            return False
        link.in_flight -= 1
        if refused_epoch or error:
            link.refused_epoch, link.error, link.connected = refused_epoch, error, False
            return False
        link.acked = max(link.acked, sequence if link.in_flight else link.sent)
        advanced = self.on_scls(node, scls)
        if self._retained and self._retained[0].last_lsn <= self.tracker.vdl:
            self._trim()
        return advanced

    def on_states(self, node: int, membership_epoch: int, scls: Mapping[int, int]) -> bool:
        """What the node says of its segments that are not hollow, and the membership epoch that it knows."""
        link = self.links[node]
        if membership_epoch >= self.descriptor.membership_epoch:
            link.filled = set(scls)
            link.sound |= scls.keys()
        return self.on_scls(node, scls.items())

    def on_scls(self, node: int, scls: Iterable[tuple[int, int]]) -> bool:
        """``(pg, scl)`` that ``node`` reports; returns whether the VDL advanced."""
        advanced = False
        ack = self.tracker.ack
        for pg, scl in scls:
            if ack(pg, node, scl):
                advanced = True
        return advanced

    def on_polled(self, node: int, volume_epoch: int, membership_epoch: int, scls: Mapping[int, int]) -> bool:
        """As ``on_states``, from a node's status. Under another epoch the SCLs are of another writer's chain, and say
        nothing of this one's records.
        """
        return volume_epoch == self.epoch and self.on_states(node, membership_epoch, scls)

    def on_connected(self, node: int, scls: Mapping[int, int]) -> bool:
        """A new stream to ``node``, which holds what ``scls`` says (and every truncation; hollow segments left out).
        Returns as ``on_scls``.

        What is retained above its SCL is sent again; what is not, it gets from its peers.
        """
        link = self.links[node]
        self.tracker.forget(node, link.pgs - scls.keys())
        advanced = self.on_scls(node, scls.items())
        at = self._first
        for flush in self._retained:
            if any(pg in link.pgs and scls.get(pg, 0) < last for pg, last in flush.ends):
                break
            at += 1
        link.connected, link.behind, link.in_flight = True, False, 0
        link.sent = link.acked = at
        link.before.clear()
        link.refused_epoch, link.error = 0, ""
        link.nudge = True
        return advanced

    @property
    def committed(self) -> Descriptor:
        """The descriptor that holds, while another may be proposed."""
        return self._committed

    def sound(self, pg: int) -> int:
        """Mask of the nodes whose segments of the group count, as far as they have said so."""
        return sum(
            1 << node
            for node, link in enumerate(self.links)
            if pg in link.sound or (pg in link.pgs and self.tracker.scl(pg, node))
        )

    def latest_for(self, node: int) -> Descriptor:
        """The descriptor that the node is to have: who leaves is told of the proposal by the fleet alone."""
        return self._committed if self.links[node].leaves else self.descriptor

    def on_meeting(self, node: int) -> None:
        """The node is about to be met, and may have lost its disk since it was last: what it acknowledged before counts
        no longer for what is not durable yet, nor which descriptor it took, until it says so again.
        """
        link = self.links[node]
        link.before = {pg: max(self.tracker.scl(pg, node), link.before.get(pg, 0)) for pg in link.pgs}
        self.tracker.forget(node, link.pgs)
        link.filled.clear()
        link.sound.clear()
        link.taken = (0, 0)

    def on_met(self, node: int, answer: FenceAnswer) -> bool:
        """A new stream to ``node``, whose handshake ended with this answer. Returns as ``on_scls``."""
        epoch = answer.descriptor.membership_epoch if answer.descriptor is not None else 0
        return self.on_connected(node, answer.scls) | self.on_states(node, epoch, answer.scls)

    def on_disconnected(self, node: int) -> None:
        """The stream to ``node`` is gone; what it had in flight may or may not have arrived."""
        link = self.links[node]
        link.connected = False
        link.in_flight = 0

    def _trim(self) -> None:
        vdl = self.tracker.vdl
        needed = self._first + len(self._retained)
        for link in self.links:
            if link.connected and link.acked < needed:
                needed = link.acked
                if (
                    needed <= self._first
                    and self._retained_bytes <= self._retained_max
                    and not buggify("writer-trims-early")
                ):
                    return  # most acks: another node still needs the oldest flush
        retained = self._retained
        while retained and retained[0].last_lsn <= vdl:
            if (
                self._first >= needed
                and self._retained_bytes <= self._retained_max
                and not buggify("writer-trims-early")
            ):
                break
            self._retained_bytes -= retained.popleft().bytes
            self._first += 1
        for link in self.links:
            if link.connected and link.sent < self._first:
                link.behind = True
                link.sent = self._first
                link.acked = max(link.acked, self._first)

    def nudge_idle(self, always: bool = False) -> None:
        """Have nodes that do not know the VDL yet (or, ``always``, all) told it by an empty message."""
        for link in self.links:
            if link.connected and not link.in_flight and (always or link.told_vdl < self.tracker.vdl):
                link.nudge = True

    def lagging(self, node: int) -> bool:
        """Whether a connected node has acknowledged all it was sent, and still lacks some of it: it waits for its
        peers.
        """
        link = self.links[node]
        if not link.connected or link.in_flight or link.acked < self._first + len(self._retained):
            return False
        return any(pg in link.pgs and self.tracker.scl(pg, node) < last for pg, last in self.pg_last.items())

    def lag_bytes(self, node: int) -> int:
        """How far the node's SCL is behind what was flushed: the most over the protection groups, in log bytes."""
        pgs = self.links[node].pgs
        return max((last - self.told_scl(pg, node) for pg, last in self.pg_last.items() if pg in pgs), default=0)

    def told_scl(self, pg: int, node: int) -> int:
        """The SCL that the node told last, also before it was met anew: it may hold less."""
        return max(self.tracker.scl(pg, node), self.links[node].before.get(pg, 0))

    def fenced_by(self) -> int:
        """The newer epoch that makes a write quorum impossible for this writer; 0 = none."""
        refused = [link.refused_epoch for link in self.links if link.refused_epoch]
        if not refused:
            return 0
        left = sum(1 << index for index, link in enumerate(self.links) if not link.refused_epoch)
        return 0 if all(quorum.satisfied(left) for quorum in self._quorums) else max(refused)

    def excludes_others(self, sure: int) -> bool:
        """Whether the nodes of the mask ``sure``, which have adopted no newer epoch, leave another writer no write
        quorum."""
        others = ((1 << len(self.links)) - 1) & ~sure
        return not all(quorum.satisfied(others) for quorum in self._quorums)

    @property
    def retained_bytes(self) -> int:
        """Memory held by flushes that may have to be sent (again)."""
        return self._retained_bytes

    @property
    def undurable(self) -> bool:
        """Whether something flushed is not durable yet."""
        return self.tracker.pending_groups > 0
