"""Simulated storage nodes: the real core on a simulated disk, with crashes, restarts, stops and slow syncs.

Stands for ``storage_node/service.py`` and ``background.py``: requests into the core, ticks and effects out of it. The
power may go in the middle of any handler (``PowerLost``), a failed sync ends the process (``StorageFailed``), a refusal
of the disk is told to the core. Anything else that a core raises ends the run: it is a defect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from aurora.geometry import Descriptor
from aurora.object_store import MemoryStore, ObjectStoreError
from aurora.rpc import storage_pb2 as pb
from aurora.sim.disk import PowerLost, SimDisk
from aurora.sim.world import Action, SkewedClock, StreamBroken, World
from storage_node.backup_objects import perform
from storage_node.config import NodeConfig
from storage_node.effects import Call, Effect, StoreEffect, SyncFile
from storage_node.node import Refused, StorageFailed, StorageNode

if TYPE_CHECKING:
    from google.protobuf.message import Message


TICK_BUSY_S: Final = 0.01
TICK_IDLE_S: Final = 0.1
FLUSH_S: Final = 0.0003
PAGE_SYNC_MAX_S: Final = 0.01
RESTART_MAX_S: Final = 0.5
STORE_MAX_S: Final = 0.05
"""Longest that the object store takes."""
CLOCK_OFFSET_MAX_S: Final = 1000.0

AppendDone = Callable[[pb.AppendReply], None]
T = TypeVar("T")

_HANDLERS = {
    "ReadPages": "on_read",
    "Fence": "on_fence",
    "Truncate": "on_truncate",
    "FetchLog": "on_fetch_log",
    "FetchRange": "on_fetch_range",
    "Gossip": "on_gossip",
    "Status": "on_status",
    "ReadDescriptor": "on_read_descriptor",
    "WriteDescriptor": "on_write_descriptor",
    "Advance": "on_advance",
}
_STREAMED = ("FetchLog",)


class NodeWatch(Protocol):
    """Who sees what a node tells others: the checkers."""

    def answered(self, node: SimNode, method: str, request: Message, reply: Message) -> None:
        """A unary request was answered."""

    def acked(self, node: SimNode, request: pb.AppendRequest, reply: pb.AppendReply) -> None:
        """An append was answered."""

    def crashed(self, node: SimNode) -> None:
        """It is about to lose its memory; ``core`` is still there."""

    def wiped(self, node: SimNode) -> None:
        """It is down, and its disk is empty now."""

    def restarted(self, node: SimNode) -> None:
        """It runs again, from what its disk holds."""


class SimNode:
    """One storage node. ``core`` is None while it is down; ``life`` counts its incarnations."""

    def __init__(
        self,
        world: World,
        config: NodeConfig,
        descriptor: Descriptor,
        fleet: Mapping[str, SimNode],
        watch: NodeWatch,
        store: MemoryStore | None = None,
    ) -> None:
        self.world = world
        self.name = config.node_id
        self.config = config
        self.disk = SimDisk()
        self.core: StorageNode[AppendDone] | None = None
        self.life = 0
        self.rotten = False
        """Whether its medium has decayed: it may then hold less than it acknowledged, and not know that."""
        self.sync_s = 0.0
        """How long a sync takes beyond the ordinary."""
        self.store = store
        """The object store of the backup, if there is one."""
        self.clock = SkewedClock(world, 0.0)
        self._rng = world.stream(f"node {self.name}")
        self._fleet = fleet
        self._watch = watch
        self._armed = False
        self.start()
        if self.name in descriptor.index_of:
            self.serve("WriteDescriptor", pb.WriteDescriptorRequest(descriptor=descriptor.to_proto(pb.Descriptor())))

    # Being there, or not

    def start(self) -> None:
        """Start (again) from what the disk holds; a disk that refuses the start is tried again later."""
        if self.core is not None:
            return
        self.life += 1
        self._armed = False
        self.clock = SkewedClock(self.world, self._rng.uniform(0.0, CLOCK_OFFSET_MAX_S))
        try:
            self.core = StorageNode(self.config, self.disk, self.clock, self._rng)
        except OSError as error:
            self.world.note(f"{self.name} cannot start: {error}")
            self._restart_later()
            return
        except PowerLost:
            self.disk.crash(self._rng)
            self.world.note(f"{self.name} crashes while it starts")
            self._restart_later()
            return
        self.world.note(f"{self.name} starts")
        self._watch.restarted(self)
        self._later(self._rng.uniform(0, TICK_IDLE_S), self._tick)

    def _restart_later(self) -> None:
        self.world.after(self._rng.uniform(0.05, RESTART_MAX_S), self.start)

    def crash(self) -> None:
        """Power off: what was not synced is lost, or torn."""
        if self.core is not None:
            self._watch.crashed(self)
            self.core = None
            self.world.forget(self.name)
            self.disk.crash(self._rng)
            self.world.note(f"{self.name} crashes")

    def wipe(self) -> None:
        """Power off, and an empty disk in place of the old one."""
        self.crash()
        self.disk = SimDisk()
        self._watch.wiped(self)
        self.world.note(f"{self.name} gets an empty disk")

    def sound(self, pg: int) -> bool:
        """Whether it is up and its segment of the PG has all that it ever acknowledged, as far as it knows."""
        core = self.core
        return core is not None and pg in core.segments and pg not in core.hollow

    def _guarded(self, run: Callable[[], T]) -> T | None:
        """Run something of the core; None when the process did not survive it."""
        try:
            return run()
        except PowerLost:
            self.world.note(f"{self.name}: the power goes in the middle of an operation")
        except StorageFailed as error:
            self.world.note(f"{self.name} ends: {error}")
        self.crash()
        self._restart_later()
        return None

    def _later(self, delay_s: float, action: Action) -> None:
        """A timer of this incarnation; it waits while the process stands still."""
        life = self.life

        def due() -> None:
            if self.core is not None and self.life == life:
                self._guarded(action)

        self.world.after(delay_s, lambda: self.world.at(self.name, due))

    # Requests

    def serve(self, method: str, request: Message, refusal: Message | None = None) -> Message:
        """The answer to a unary request (a list for a streamed one); ``refusal`` when it refuses, None when it is
        down or its disk fails.
        """
        core = self.core
        if core is None:
            return None

        def handle() -> Any:
            try:
                answer = getattr(core, _HANDLERS[method])(request)
                return [_copy(reply) for reply in answer] if method in _STREAMED else _copy(answer)
            except Refused:
                return refusal
            except OSError:
                return None

        answer = self._guarded(handle)
        if answer is not None and answer is not refusal and method not in _STREAMED:
            self._watch.answered(self, method, request, answer)
        return answer

    def serve_stream(self, method: str, request: Message) -> Iterator[Message]:
        """The answers to a streamed request, made one at a time; StreamBroken when it is down, ends or refuses."""
        core, life = self.core, self.life
        replies = getattr(core, _HANDLERS[method])(request) if core is not None else iter(())

        def advance() -> Any:
            try:
                return next(replies, None)
            except (Refused, OSError) as error:
                raise StreamBroken(str(error)) from error

        while True:
            if self.core is None or self.life != life:
                raise StreamBroken(f"{self.name} is gone")
            reply = self._guarded(advance)
            if self.core is None:
                raise StreamBroken(f"{self.name} is gone")
            if reply is None:
                return
            yield _copy(reply)

    def append(self, request: pb.AppendRequest, done: AppendDone) -> None:
        """An append arrives; ``done`` gets the reply, unless the node crashes before."""
        core = self.core
        if core is None:
            return

        def answered(reply: pb.AppendReply) -> None:
            self._watch.acked(self, request, reply)
            done(reply)

        def stage() -> pb.AppendReply | None:
            try:
                return core.on_append(request, answered)
            except OSError as error:
                core.refused_by_disk(error, "meta")
                return pb.AppendReply(sequence=request.sequence, error=str(error))

        refusal = self._guarded(stage)
        if refusal is not None:
            done(refusal)
        elif not self._armed and self.core is not None:
            self._armed = True
            self._later(FLUSH_S, self._flush)

    def _flush(self) -> None:
        if not self.sync_s:
            self._write()
            return
        # The sync of the hot log holds the whole process up.
        self.world.stop(self.name)
        life = self.life

        def synced() -> None:
            if self.core is not None and self.life == life:
                self._guarded(self._write)
                self.world.go_on(self.name)

        self.world.after(self.sync_s, synced)

    def _write(self) -> None:
        self._armed = False
        if self.core is not None:
            for done, reply in self.core.flush():
                done(reply)

    # Background

    def _tick(self) -> None:
        core = self.core
        if core is not None:
            self._perform(core.tick())
            pause_s = TICK_BUSY_S if core.busy else min(max(core.due_in_s, TICK_BUSY_S), TICK_IDLE_S)
            self._later(pause_s / self.clock.rate, self._tick)

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, SyncFile):
                self._later(self._rng.uniform(0, PAGE_SYNC_MAX_S) + self.sync_s, partial(self._sync, effect.name))
            elif isinstance(effect, Call):
                self._call(effect)
            else:
                self.world.after(self._rng.uniform(0.001, STORE_MAX_S), partial(self._store, effect, self.life))

    def _store(self, effect: StoreEffect, life: int) -> None:
        """The object store is outside: what a node asked of it happens, even if the node has crashed meanwhile."""
        if self.store is None:
            return
        core = self.core if self.life == life else None
        try:
            names = perform(self.store, effect)
        except ObjectStoreError as error:
            reason = str(error)
            if core is not None:
                self._guarded(lambda: core.on_store_failed(effect, reason))
        else:
            if core is not None:
                self._guarded(lambda: core.on_stored(effect, names))

    def _sync(self, name: str) -> None:
        try:
            self.disk.sync(name)
        except FileNotFoundError:
            self.world.note(f"{self.name}: {name} is gone: its PG is held elsewhere now")
        except OSError as error:
            raise StorageFailed(f"sync of {name}: {error}") from error
        if self.core is not None:
            self._perform(self.core.on_synced(name))

    def _call(self, call: Call) -> None:
        peer, life = self._fleet[call.peer_id], self.life

        def alive() -> bool:
            return self.core is not None and self.life == life

        def take(reply: Message) -> None:
            core = self.core
            if core is None or not alive():
                return
            try:
                self._perform(core.on_reply(call, reply))
            except OSError as error:
                core.refused_by_disk(error, "meta")

        def end(well: bool) -> None:
            if self.core is not None and alive():
                self.core.on_end(call) if well else self.core.on_failed(call, "no answer")

        request = _copy(call.request)
        if call.streaming:
            self.world.call_streamed(
                self.name, peer.name, lambda: peer.serve_stream(call.method, request),
                lambda reply: self._guarded(partial(take, reply)), end,
            )  # fmt: skip
        else:

            def done(answer: Any) -> None:
                if answer is not None:
                    self._guarded(partial(take, answer))
                end(answer is not None)

            self.world.call(self.name, peer.name, lambda: peer.serve(call.method, request), done)


def _copy(message: Message) -> Message:
    """What the wire does: the receiver never shares the sender's object."""
    return type(message).FromString(message.SerializeToString())
