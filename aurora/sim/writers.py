"""A simulated writer: the real cores (recovery, handshake, flusher, fleet, writer core) over the simulated network.

Stands for ``compute_node/volume/volume.py`` and ``streams.py``, the glue around the same cores. Workloads commit MTRs
through ``commit`` and hold read points with ``hold``. A paused writer does nothing and hears nothing until it is
resumed; what was on its way to it arrives then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from aurora.geometry import Descriptor, newest_known
from aurora.kernels import mtr, redo
from aurora.rpc import storage_pb2 as pb
from aurora.sim.checks import Checks
from aurora.sim.knobs import Knobs
from aurora.sim.model import Change, Opening
from aurora.sim.nodes import SimNode
from aurora.sim.world import Action, World
from compute_node.volume.fleet import AskStates, ChangeRefused, Fleet, SendDescriptor
from compute_node.volume.flusher import Flushed, Flusher
from compute_node.volume.handshake import Handshake, HandshakeAnswer, HandshakeEffect, NoVolume
from compute_node.volume.messages import Requests, read_copy, read_fence, read_log, read_states, read_truncate
from compute_node.volume.monitor import Monitor
from compute_node.volume.recovery import (
    Answer,
    Effect,
    Outdated,
    Recovered,
    Recovery,
    SendAppend,
    SendFence,
    SendFetch,
    Superseded,
)
from compute_node.volume.writer_core import WriterCore

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from aurora.kernels.python.mtr import RedoLog


VOLUME_ID = b"v" * 16
HOUSEKEEPING_S: Final = 0.1
RECOVERY_TICK_S: Final = 0.05
STREAM_TIMEOUT_S: Final = 0.4
MTR_MARGIN_BYTES: Final = 100_000

Done: TypeAlias = "Callable[[Message], None]"
"""Gets a reply, None when there is none."""


def _if_there(read: Callable[[Any], Any], done: Done) -> Done:
    """``done``, for what ``read`` makes of the reply."""
    return lambda reply: done(None if reply is None else read(reply))


class Edit(NamedTuple):
    """One record of an MTR: ``ops`` on a page, or a note when ``page_no`` is ``NO_PAGE``. ``fresh``: from zeros."""

    page_no: int
    ops: bytes
    fresh: bool = False


class SimWriter:
    """One incarnation of the writer. ``state``: recovering, open, fenced or dead."""

    def __init__(self, world: World, name: str, nodes: Mapping[str, SimNode], checks: Checks, knobs: Knobs) -> None:
        self.world = world
        self.name = name
        self.state = "recovering"
        self.paused = False
        self.opening: Opening | None = None
        self.recovered: Recovered | None = None
        self._nodes = nodes
        self._checks = checks
        self._knobs = knobs
        self._rng = world.stream(name)
        self._holds: Counter[int] = Counter()
        self._recovery: Recovery | None = None
        self._descriptor: Descriptor
        self._core: WriterCore
        self._log: RedoLog
        self.fleet: Fleet | None = None
        self._monitor: Monitor
        self._flusher: Flusher
        self._requests = Requests(VOLUME_ID, name)
        self._connections: dict[int, int] = {}
        self._lives: dict[int, int] = {}
        """Which incarnation of the node the stream is to: it ends with the process."""
        self._held: list[Action] = []
        self._armed = False
        self._found: dict[str, Descriptor] = {}
        self._find()
        self._later(RECOVERY_TICK_S, self._recovery_tick)

    # Being there, or not

    def _later(self, delay_s: float, action: Action) -> None:
        self.world.after(delay_s, lambda: self._do(action))

    def _do(self, action: Action) -> None:
        if self.state in ("dead", "fenced"):
            return
        if self.paused:
            self._held.append(action)
        else:
            action()

    def pause(self) -> None:
        """Stop the process."""
        self.paused = True
        self.world.note(f"{self.name} is paused")

    def resume(self) -> None:
        """Continue it: everything that came meanwhile is handled now."""
        self.paused = False
        self.world.note(f"{self.name} is resumed")
        held, self._held = self._held, []
        for action in held:
            self._do(action)

    @property
    def alive(self) -> bool:
        """Whether it recovers or is open."""
        return self.state in ("recovering", "open")

    def kill(self) -> None:
        """SIGKILL."""
        self.state = "dead"
        self.world.note(f"{self.name} is killed")

    def _call(self, node: int, method: str, request: Message, done: Done, refusal: Any = None) -> None:
        peer = self._node(node)
        life = peer.life  # a connection is to a process: what was sent on it never reaches the next one
        self.world.call(
            self.name,
            peer.name,
            lambda: peer.serve(method, request, refusal) if peer.life == life else None,
            lambda answer: self._do(lambda: done(answer)),
        )

    def _node(self, node: int) -> SimNode:
        """The node of that node index."""
        return self._nodes[self._descriptor.nodes[node].node_id]

    # Recovery

    def _find(self) -> None:
        """Ask everybody for the descriptor: as ``driver.find`` does."""
        for name, node in sorted(self._nodes.items()):
            self.world.call(
                self.name,
                name,
                partial(node.serve, "ReadDescriptor", pb.ReadDescriptorRequest()),
                partial(self._find_answered, name),
            )

    def _find_answered(self, name: str, reply: Message) -> None:
        self._do(lambda: self._on_found(name, reply))

    def _on_found(self, name: str, reply: Message) -> None:
        if reply is None or not reply.present or self._recovery is not None:
            return
        self._found[name] = Descriptor.from_proto(reply.descriptor)
        newest = newest_known(self._found.values(), self._found)
        if newest is not None:
            self._recover(newest, 1)

    def _recover(self, descriptor: Descriptor, epoch: int) -> None:
        self._descriptor = descriptor
        self._recovery = Recovery(descriptor, epoch, draw=lambda most: self._rng.randint(1, most))
        self._send(self._recovery.start())

    def _recovery_tick(self) -> None:
        if self.state == "recovering":
            if self._recovery is None:
                self._find()
            else:
                self._feed(self._recovery, self._recovery.tick)
            self._later(RECOVERY_TICK_S, self._recovery_tick)

    def _feed(self, recovery: Recovery, step: Any, *args: Any) -> None:
        if recovery is not self._recovery:
            return
        try:
            effects = step(*args)
        except Superseded as error:
            self.world.note(f"{self.name}: {error}")
            self.state = "fenced"
            return
        except Outdated as error:
            self.world.note(f"{self.name}: {error}")
            self._recover(error.descriptor, error.epoch)
            return
        self._send(effects)
        if self._recovery.result is not None and self.state == "recovering":
            self._open(self._recovery.result)

    def _send(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        recovery = self._recovery
        if recovery is None:
            return

        def answered(answer: Answer | None) -> None:
            self._feed(recovery, recovery.on_reply, effect, answer)

        requests = self._requests
        if isinstance(effect, SendFence):
            request = requests.fence(effect.epoch, effect.opened)
            self._call(effect.node, "Fence", request, _if_there(read_fence, answered))
        elif isinstance(effect, SendFetch):
            self._call(effect.node, "FetchLog", requests.fetch(effect), _if_there(read_log, answered))
        elif isinstance(effect, SendAppend):
            life = self._node(effect.node).life
            self._append(effect.node, requests.copy(effect), _if_there(read_copy, answered), life)
        else:
            request = requests.truncate(effect.epoch, effect.range, effect.descriptor)
            self._call(effect.node, "Truncate", request, _if_there(read_truncate, answered))

    def _append(self, node: int, message: pb.AppendRequest, done: Done, life: int) -> None:
        """A message on a stream to that incarnation of the node; ``done`` gets the reply once, or None after a time."""
        peer = self._node(node)
        finished = False

        def finish(reply: pb.AppendReply | None) -> None:
            nonlocal finished
            if not finished:
                finished = True
                self._do(lambda: done(reply))

        def arrive() -> None:
            if peer.life == life:
                peer.append(message, lambda reply: self.world.send(peer.name, self.name, lambda: finish(reply)))

        self.world.send(self.name, peer.name, arrive)
        self.world.after(STREAM_TIMEOUT_S, lambda: finish(None))

    # Writing

    def _open(self, recovered: Recovered) -> None:
        self.state = "open"
        self.recovered = recovered
        self.world.note(f"{self.name} opens: epoch {recovered.epoch}, VDL {recovered.vdl}, next {recovered.next_lsn}")
        self._descriptor = recovered.descriptor
        self.opening = self._checks.opened(self.name, recovered.epoch, recovered.vdl, recovered.descriptor)
        knobs = self._knobs
        self._core = WriterCore(
            VOLUME_ID, recovered, self._message, in_flight_max=knobs.in_flight_max,
            retained_bytes_max=knobs.retained_bytes_max,
        )  # fmt: skip
        self._log = mtr.RedoLog(recovered.next_lsn, recovered.vdl, knobs.pages_per_pg, recovered.pg_last)
        self.fleet = Fleet(self._core)
        self._monitor = Monitor(self._core, self.fleet, knobs.replace_after_s, knobs.away_after_s)
        self._flusher = Flusher(self._log, self._core, self.fleet, self._pgmrpl)
        self._meet()
        self._later(HOUSEKEEPING_S, self._housekeeping)

    # The fleet

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor that it goes by; it is open."""
        return self._descriptor

    def known_nodes(self) -> set[str]:
        """Ids of the nodes of its fleet; none before it is open."""
        return {node.node_id for node in self._descriptor.nodes} if self.opening is not None else set()

    def _meet(self) -> None:
        """Connect to the nodes that have come into the descriptor."""
        self._descriptor = self._core.descriptor
        for node in range(len(self._descriptor.nodes)):
            if node not in self._connections:
                self._connections[node] = 0
                self._connect(node)

    def change(self, request: Callable[[Fleet], None]) -> bool:
        """Ask for a change of the fleet; False when it is refused, or this writer is not open."""
        if self.state != "open" or self.fleet is None or self.paused:
            return False
        try:
            request(self.fleet)
        except ChangeRefused as error:
            self.world.note(f"{self.name}: {error}")
            return False
        self._step_fleet()
        return True

    def _step_fleet(self) -> None:
        if self.fleet is None:
            return
        effects = self.fleet.tick()
        proposal = self.fleet.proposal
        if self.opening is not None and proposal is not None and proposal is not self.opening.proposal:
            self._checks.proposed(self.opening, proposal)
        self._moved(self.opening is not None and self._core.vdl > self.opening.vdl)
        for effect in effects:
            if isinstance(effect, SendDescriptor):
                self._tell(effect.node, effect.descriptor)
            elif isinstance(effect, AskStates):
                self._poll(effect.node)
        if self._core.descriptor is not self._descriptor:
            self.world.note(f"{self.name} proposes {self._core.descriptor.version}")
            self._meet()

    def _tell(self, node: int, descriptor: Descriptor, done: Callable[[bool | None], None] | None = None) -> None:
        """Have the node take the descriptor; ``done`` gets whether it has it now, None when it does not answer."""

        connection = self._connections[node]

        def told(reply: Message) -> None:
            if connection != self._connections[node]:
                reply = None  # of a connection that is over: the node may have lost its disk since
            if reply is not None and reply.ok:
                self._on_taken(node, descriptor)
            if done is not None:
                done(None if reply is None else reply.ok)

        self._call(node, "WriteDescriptor", self._requests.write_descriptor(self._core.epoch, descriptor), told)

    def _on_taken(self, node: int, descriptor: Descriptor) -> None:
        if self.fleet is None or self.opening is None:
            return
        committed = self.fleet.on_taken(node, descriptor)
        if committed:
            self._checks.committed(self.opening, descriptor)
        self._moved(self._core.vdl > self.opening.vdl)
        if committed:
            self.world.note(f"{self.name} commits {descriptor.version}")
            self._meet()
            self._flush()
            self._step_fleet()

    # Streams

    def _message(self, sequence: int, batches: bytes, vdl: int, pgmrpl: int) -> bytes:
        self._checks.told(vdl, pgmrpl)
        core = self._core
        return self._requests.append(core.epoch, core.descriptor.membership_epoch, sequence, batches, vdl, pgmrpl)

    def _connect(self, node: int) -> None:
        """Shake hands, then stream: as ``streams.NodeStream`` does."""
        if self.recovered is not None:
            self._lives[node] = self._node(node).life
            shake = Handshake(self._core, node, self.recovered.truncations)
            self._shake(shake, shake.start())

    def _shake(self, shake: Handshake, effect: HandshakeEffect) -> None:
        node, requests = effect.node, self._requests

        def answered(answer: HandshakeAnswer | None) -> None:
            if answer is None:
                self._lost(node)
                return
            following = shake.on_reply(effect, answer)
            if following is not None:
                self._shake(shake, following)
            elif shake.answer is not None:
                self._connections[node] += 1
                self._moved(self._core.on_met(node, shake.answer))
                self._pump(node)
            else:
                self._lost(node)

        if isinstance(effect, SendFence):

            def fenced(reply: Message) -> None:
                answered(reply if reply is None or isinstance(reply, NoVolume) else read_fence(reply))

            self._call(node, "Fence", requests.fence(effect.epoch, effect.opened), fenced, NoVolume())
        elif isinstance(effect, SendDescriptor):
            self._tell(node, effect.descriptor, answered)
        else:
            request = requests.truncate(effect.epoch, effect.range)
            self._call(node, "Truncate", request, _if_there(read_truncate, answered))

    def _lost(self, node: int) -> None:
        self._connections[node] += 1
        self._core.on_disconnected(node)
        if self._core.fenced_by():
            self.world.note(f"{self.name} learns that it is fenced")
            self.state = "fenced"
            return
        self._later(self._rng.uniform(0.05, 0.3), lambda: self._connect(node))

    def _pump(self, node: int) -> None:
        connection = self._connections[node]

        def replied(reply: pb.AppendReply | None) -> None:
            if connection != self._connections[node]:
                return
            if reply is None:
                self._lost(node)
                return
            if reply.refused_membership:
                self._core.on_stale(node)
                self._pump(node)
                return
            scls = [(entry.pg, entry.lsn) for entry in reply.scl]
            self._moved(self._core.on_ack(node, reply.sequence, scls, reply.refused_epoch, reply.error))
            if not self._core.links[node].connected:
                self._lost(node)
                return
            if self._flusher.wanted:
                self._flush()
            self._pump(node)

        while (message := self._core.next_message(node)) is not None:
            self._append(node, pb.AppendRequest.FromString(message), replied, self._lives[node])

    def _moved(self, advanced: bool) -> None:
        if advanced and self.opening is not None:
            self.world.note(f"{self.name}: VDL {self._core.vdl}")
            self._checks.advanced(self.opening, self._core.vdl)

    def commit(self, edits: Sequence[Edit]) -> int | None:
        """One MTR: its last record is the consistency point, whose LSN is returned; None under back-pressure."""
        opening = self.opening
        if opening is None or self.state != "open" or self._log.next_lsn + MTR_MARGIN_BYTES > self._core.lsn_limit:
            return None
        history, lsn = opening.history, 0
        for left, edit in zip(reversed(range(len(edits))), edits, strict=True):
            note = edit.page_no == redo.NO_PAGE
            prev = 0 if edit.fresh or note else history.page_last(edit.page_no)
            flags = (redo.FLAG_NOTE if note else 0) | (0 if left else redo.FLAG_CPL)
            lsn = self._log.append(edit.page_no, prev, edit.ops, flags)
            history.add(Change(lsn, edit.page_no, edit.ops, edit.fresh, not left))
        self._checks.ledger.commits += 1
        if not self._armed:
            self._armed = True
            self._later(0.0, self._flush)
        return lsn

    def _flush(self) -> None:
        self._armed = False
        flushed = self._flusher.flush()
        if flushed is Flushed.GROW:
            self._step_fleet()
        elif flushed is not Flushed.NOTHING:
            if flushed is Flushed.SENT_FIRST:
                self._later(0.0, self._flush)
            for node in self._connections:
                self._pump(node)

    def _housekeeping(self) -> None:
        if self._flusher.pending:
            self._flush()
        self._core.pgmrpl = self._pgmrpl()
        self._core.nudge_idle(always=self._rng.random() < 0.1)
        self._monitor.tick(self.world.now)
        self._step_fleet()
        for node in list(self._connections):
            peer = self._node(node)
            if self._core.links[node].connected and peer.core is not None and peer.life != self._lives[node]:
                self._lost(node)
            self._pump(node)
            if self._core.lagging(node):
                self._poll(node)
            if self._node(node).store is not None:
                self._tell_point(node)
        self._later(HOUSEKEEPING_S, self._housekeeping)

    def _tell_point(self, node: int) -> None:
        """What the backup needs to know: as ``points.RestorePoints`` tells it."""
        self._checks.told(self._core.vdl, min(self._core.pgmrpl, self._core.vdl))
        request = self._requests.restore_point(self._core.epoch, self._core.pgmrpl, self._core.tracker)
        self._call(node, "Advance", request, lambda reply: None)

    def _poll(self, node: int) -> None:
        connection = self._connections[node]

        def polled(reply: Message) -> None:
            if reply is not None and connection == self._connections[node]:
                scls = read_states(reply.pgs)
                self._moved(self._core.on_polled(node, reply.volume_epoch, reply.membership_epoch, scls))

        self._call(node, "Status", pb.StatusRequest(), polled)

    # Reading

    def _pgmrpl(self) -> int:
        return min([self._core.vdl, *self._holds])

    @property
    def vdl(self) -> int:
        """What its clients were told is durable; it is open."""
        return self._core.vdl

    def pg_last(self, pg: int) -> int:
        """The group's last LSN at or below the VDL; 0 when it has none."""
        return self._core.tracker.pg_durable.get(pg, 0)

    def covering(self, pg: int, pg_lsn: int) -> list[int]:
        """The nodes that are known to cover the group up to ``pg_lsn`` and keep its pages."""
        if pg >= len(self._descriptor.groups):
            return []
        slots = self._descriptor.groups[pg].slots
        full = [self._descriptor.index_of[name] for slot in slots if not slot.tail for name in slot.alternatives]
        return [node for node in full if self._core.tracker.scl(pg, node) >= pg_lsn]

    def hold(self, point: int) -> None:
        """Hold the PGMRPL at or below ``point``."""
        self._holds[point] += 1

    def release(self, point: int) -> None:
        """Undo one ``hold``."""
        self._holds[point] -= 1
        if not self._holds[point]:
            del self._holds[point]

    def ask(self, node: int, method: str, request: Message, done: Done) -> None:
        """A call to a node in this writer's name; ``done`` gets the reply or None, unless the writer is gone."""
        self._call(node, method, request, done)

    @property
    def idle(self) -> bool:
        """Whether all that it committed is durable."""
        return (
            self.state == "open"
            and not (self._flusher.pending or self._core.undurable)
            and self.fleet is not None
            and not self.fleet.busy
        )
