"""The simulated cluster that faults and workloads act on: six nodes, writers that come and go, the checkers."""

from __future__ import annotations

from aurora.geometry import Descriptor, Member
from aurora.sim.checks import Checks
from aurora.sim.knobs import Knobs
from aurora.sim.model import Ledger
from aurora.sim.nodes import SimNode
from aurora.sim.world import World
from aurora.sim.writers import VOLUME_ID, SimWriter
from storage_node.config import NodeConfig, Peer


class SimCluster:
    """``nodes`` in segment order; ``writers`` in the order of their starts. ``calm`` is set when the faults stop."""

    def __init__(self, world: World, knobs: Knobs) -> None:
        self.world = world
        self.knobs = knobs
        self.calm = False
        self.ledger = Ledger(knobs.pages, knobs.pages_per_pg)
        self.checks = Checks(self.ledger)
        members = tuple(Member(f"az{z}-{n}", f"az{z}", f"az{z}-{n}:1") for z in (1, 2, 3) for n in "ab")
        self.descriptor = Descriptor(VOLUME_ID, 1, 1, 1, knobs.pages_per_pg, members)
        fleet: dict[str, SimNode] = {}
        peers = tuple(Peer(member.node_id, member.az, member.address) for member in members)
        for member in members:
            config = NodeConfig(
                node_id=member.node_id, az=member.az, peers=peers, cache_mb=knobs.cache_mb,
                log_cache_mb=knobs.log_cache_mb, log_file_mb=knobs.log_file_mb, coalesce_log_mb=knobs.coalesce_log_mb,
                coalesce_age_s=knobs.coalesce_age_s, gossip_ms=knobs.gossip_ms,
            )  # fmt: skip
            fleet[member.node_id] = SimNode(world, config, self.descriptor, fleet, self.checks)
        self.nodes = list(fleet.values())
        self.writers: list[SimWriter] = []

    def up(self) -> list[SimNode]:
        """The nodes that run."""
        return [node for node in self.nodes if node.core is not None]

    def start_writer(self) -> None:
        """A new incarnation of the writer; it takes the volume over."""
        name = f"writer-{len(self.writers) + 1}"
        self.world.note(f"{name} starts")
        self.writers.append(SimWriter(self.world, name, self.nodes, self.checks, self.knobs))

    def open_writers(self) -> list[SimWriter]:
        """Those that would take a commit: more than one when a newer one has not been noticed yet."""
        return [writer for writer in self.writers if writer.state == "open" and not writer.paused]

    @property
    def writer(self) -> SimWriter:
        """The one started last."""
        return self.writers[-1]

    def lost(self) -> bool:
        """Whether no writer is left that could open or is open."""
        return all(writer.state in ("fenced", "dead") for writer in self.writers)
