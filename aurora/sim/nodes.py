"""Simulated storage nodes: the real core on a simulated disk, with crashes and restarts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from aurora.geometry import Descriptor
from aurora.object_store import MemoryStore, ObjectStoreError
from aurora.rpc import storage_pb2 as pb
from aurora.sim.disk import SimDisk
from aurora.sim.world import World
from storage_node.backup_objects import perform
from storage_node.config import NodeConfig
from storage_node.effects import Call, Effect, StoreEffect, SyncFile
from storage_node.node import Refused, StorageNode

TICK_S = 0.04
FLUSH_S = 0.0003
STORE_MAX_S = 0.05
"""Longest that the object store takes."""

AppendDone = Callable[[pb.AppendReply], None]

_HANDLERS = {
    "ReadPages": "on_read",
    "Fence": "on_fence",
    "Truncate": "on_truncate",
    "FetchLog": "on_fetch_log",
    "FetchRange": "on_fetch_range",
    "Gossip": "on_gossip",
    "Status": "on_status",
    "WriteDescriptor": "on_write_descriptor",
    "ReadDescriptor": "on_read_descriptor",
    "Advance": "on_advance",
}
_STREAMED = ("FetchLog",)


class SimNode:
    """One storage node. ``core`` is None while it is down; ``life`` counts its incarnations. ``store``: where its
    backup goes; its configuration says whether there is one.
    """

    def __init__(
        self,
        world: World,
        config: NodeConfig,
        descriptor: Descriptor,
        fleet: Mapping[str, SimNode],
        store: MemoryStore | None = None,
    ) -> None:
        self.world = world
        self.name = config.node_id
        self.config = config
        self.disk = SimDisk()
        self.core: StorageNode[AppendDone] | None = None
        self.life = 0
        self.store = store
        self._fleet = fleet
        self._armed = False
        self.start()
        if self.name in descriptor.index_of:
            self.serve("WriteDescriptor", pb.WriteDescriptorRequest(descriptor=descriptor.to_proto(pb.Descriptor())))

    def start(self) -> None:
        """Start (again) from what the disk holds."""
        if self.core is None:
            self.life += 1
            self._armed = False
            self.core = StorageNode(self.config, self.disk, self.world, self.world.rng)
            self.world.note(f"{self.name} starts")
            life = self.life
            self.world.after(self.world.rng.uniform(0, TICK_S), lambda: self._tick(life))

    def crash(self) -> None:
        """Power off: what was not synced is lost, or torn."""
        if self.core is not None:
            self.core = None
            self.disk = self.disk.crash(self.world.rng)
            self.world.note(f"{self.name} crashes")

    def alive(self, life: int) -> bool:
        """Whether it still is that incarnation."""
        return self.core is not None and self.life == life

    def serve(self, method: str, request: Any) -> Any:
        """The answer to a unary request (a list for a streamed one); None when it is down or refuses."""
        if self.core is None:
            return None
        try:
            answer = getattr(self.core, _HANDLERS[method])(request)
            return [_copy(reply) for reply in answer] if method in _STREAMED else answer
        except Refused:
            return None

    def append(self, request: pb.AppendRequest, done: AppendDone) -> None:
        """An append arrives; ``done`` gets the reply, unless the node crashes before."""
        if self.core is None:
            return
        refusal = self.core.on_append(request, done)
        if refusal is not None:
            done(refusal)
        elif not self._armed:
            self._armed = True
            life = self.life
            self.world.after(FLUSH_S, lambda: self._flush(life))

    def _flush(self, life: int) -> None:
        if self.alive(life) and self.core is not None:
            self._armed = False
            for done, reply in self.core.flush():
                done(reply)

    def _tick(self, life: int) -> None:
        if self.alive(life) and self.core is not None:
            self._perform(self.core.tick(), life)
            self.world.after(TICK_S, lambda: self._tick(life))

    def _perform(self, effects: Iterable[Effect], life: int) -> None:
        for effect in effects:
            if isinstance(effect, SyncFile):
                self.world.after(self.world.rng.uniform(0, 0.01), partial(self._sync, effect.name, life))
            elif isinstance(effect, Call):
                self._call(effect, life)
            else:
                self.world.after(self.world.rng.uniform(0.001, STORE_MAX_S), partial(self._store, effect, life))

    def _store(self, effect: StoreEffect, life: int) -> None:
        """The object store is outside: what a node asked of it happens, even if the node has crashed meanwhile."""
        if self.store is None:
            return
        try:
            names = perform(self.store, effect)
        except ObjectStoreError as error:
            if self.alive(life) and self.core is not None:
                self.core.on_store_failed(effect, str(error))
        else:
            if self.alive(life) and self.core is not None:
                self.core.on_stored(effect, names)

    def _sync(self, name: str, life: int) -> None:
        if self.alive(life) and self.core is not None:
            if name in self.disk.list():  # else its PG was given to another node meanwhile
                self.disk.sync(name)
            self._perform(self.core.on_synced(name), life)

    def _call(self, call: Call, life: int) -> None:
        peer = self._fleet[call.peer_id]

        def done(answer: Any) -> None:
            core = self.core
            if core is None or self.life != life:
                return
            if answer is None:
                core.on_failed(call, "no answer")
                return
            for reply in answer if isinstance(answer, list) else [answer]:
                self._perform(core.on_reply(call, reply), life)
            core.on_end(call)

        request = _copy(call.request)
        self.world.call(self.name, call.peer_id, lambda: peer.serve(call.method, request), done)


def _copy(message: Any) -> Any:
    """What the wire does: the receiver never shares the sender's object."""
    return type(message).FromString(message.SerializeToString())
