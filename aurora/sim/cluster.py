"""The simulated cluster that faults and workloads act on: storage nodes, writers that come and go, the checkers."""

from __future__ import annotations

from aurora.geometry import Descriptor, Member
from aurora.object_store import MemoryStore
from aurora.placement import initial
from aurora.sim.checks import Checks, readable
from aurora.sim.knobs import Knobs
from aurora.sim.model import Ledger
from aurora.sim.nodes import SimNode
from aurora.sim.world import World
from aurora.sim.writers import VOLUME_ID, SimWriter
from storage_node.config import NodeConfig, Peer


class SimCluster:
    """``nodes``: all that there are, the six of the volume's first descriptor before the spares; ``writers`` in the
    order of their starts. ``calm`` is set when the faults stop. ``store``: the backup's, None for no backup.
    """

    def __init__(self, world: World, knobs: Knobs, store: MemoryStore | None = None) -> None:
        self.world = world
        self.knobs = knobs
        self.calm = False
        self.ledger = Ledger(knobs.pages, knobs.pages_per_pg)
        self.checks = Checks(self.ledger)
        members = tuple(Member(f"az{z}-{n}", f"az{z}", f"az{z}-{n}:1") for z in (1, 2, 3) for n in "ab")
        letters = [f"az{z}-{n}" for n in "cd" for z in (1, 2, 3)][: knobs.spares]
        self.spares = [Member(name, name[:3], f"{name}:1") for name in letters]
        self.descriptor = initial(VOLUME_ID, members, knobs.pages_per_pg, tails=knobs.tails)
        self.fleet: dict[str, SimNode] = {}
        peers = tuple(Peer(member.node_id, member.az, member.address) for member in members)
        for member in (*members, *self.spares):
            config = NodeConfig(
                node_id=member.node_id, az=member.az, peers=peers, cache_mb=knobs.cache_mb,
                log_cache_mb=knobs.log_cache_mb, log_file_mb=knobs.log_file_mb, coalesce_log_mb=knobs.coalesce_log_mb,
                coalesce_age_s=knobs.coalesce_age_s, gossip_ms=knobs.gossip_ms, refill_range_kb=8,
                backup="" if store is None else "memory:", stage_age_s=0.2, takeover_s=1.0, snapshot_age_s=1.0,
            )  # fmt: skip
            self.fleet[member.node_id] = SimNode(world, config, self.descriptor, self.fleet, self.checks, store)
        self.nodes = list(self.fleet.values())
        self.writers: list[SimWriter] = []

    def descriptors(self) -> list[Descriptor]:
        """Those by which anybody goes now: writers that live, with what they propose, and nodes that are up."""
        known = [node.core.descriptor for node in self.up() if node.core is not None]
        for writer in self.writers:
            if writer.alive and writer.opening is not None:
                known += writer.opening.in_force
        return list({held.version: held for held in known if held is not None}.values())

    def may_lose(self, node: SimNode) -> bool:
        """Whether without this node's disk every group has a read quorum of sound copies left: the fleet promises to
        survive its loss. A node that is down does not count as sound, nor one with rotten bits.
        """
        others = [other for other in self.nodes if other is not node and not other.rotten]
        known = self.descriptors()
        return bool(known) and all(
            readable(sound := {other.name for other in others if other.sound(pg)}, descriptor, pg)
            and not descriptor.settled_quorum(pg).satisfied(
                sum(1 << index for index in descriptor.holders(pg) if descriptor.nodes[index].node_id not in sound)
            )
            for descriptor in known
            for pg in range(len(descriptor.groups))
        )

    def whole(self) -> bool:
        """Whether no segment waits to be filled, as far as can be seen: every node is up."""
        return all(node.core is not None and not node.core.hollow for node in self.nodes)

    def up(self) -> list[SimNode]:
        """The nodes that run."""
        return [node for node in self.nodes if node.core is not None]

    def start_writer(self) -> None:
        """A new incarnation of the writer; it takes the volume over."""
        name = f"writer-{len(self.writers) + 1}"
        self.world.note(f"{name} starts")
        self.writers.append(SimWriter(self.world, name, self.fleet, self.checks, self.knobs))

    def open_writers(self) -> list[SimWriter]:
        """Those that would take a commit: more than one when a newer one has not been noticed yet."""
        return [writer for writer in self.writers if writer.state == "open" and not writer.paused]

    @property
    def writer(self) -> SimWriter:
        """The one started last."""
        return self.writers[-1]

    def latest(self) -> Descriptor:
        """The newest descriptor that an open writer goes by; the first one before any has opened."""
        known = [writer.descriptor for writer in self.writers if writer.opening is not None]
        return max(known, key=lambda descriptor: descriptor.version, default=self.descriptor)

    def lost(self) -> bool:
        """Whether no writer is left that could open or is open."""
        return all(writer.state in ("fenced", "dead") for writer in self.writers)
