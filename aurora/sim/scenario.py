"""A seed's run: six nodes, writers that come and go, and everything that goes wrong in between."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from aurora.geometry import Member
from aurora.object_store import MemoryStore
from aurora.placement import initial
from aurora.quorum import SEGMENTS
from aurora.sim.checks import Checker, CheckFailed
from aurora.sim.disk import SimDisk
from aurora.sim.nodes import SimNode
from aurora.sim.world import CALM, Weather, World
from aurora.sim.writers import VOLUME_ID, SimWriter
from storage_node.config import NodeConfig

PAGES = 9
PAGES_PER_PG = 3
STORM_S = 4.0
CALM_S = 12.0
STEP_S = 0.1


@dataclass(frozen=True)
class Outcome:
    """What a run did. ``trace`` is its checksum: the same for the same seed."""

    seed: int
    trace: int
    commits: int
    reads: int
    openings: int
    acknowledged_lsn: int


class Scenario:
    """Builds the fleet from the seed and drives it through a storm into the calm. With a ``store`` the nodes stage a
    backup there.
    """

    def __init__(self, seed: int, store: MemoryStore | None = None) -> None:
        self.seed = seed
        self.world = world = World(seed, Weather())
        rng = world.rng
        world.weather = Weather(
            loss=rng.choice((0.0, 0.005, 0.02)), duplicate=rng.choice((0.0, 0.02)), slow=rng.choice((0.0, 0.02, 0.1))
        )
        members = tuple(Member(f"az{z}-{n}", f"az{z}", f"az{z}-{n}:1") for z in (1, 2, 3) for n in "ab")
        descriptor = initial(VOLUME_ID, members, PAGES_PER_PG, groups=1, tails=rng.random() < 0.3)
        fleet: dict[str, SimNode] = {}
        coalesce_mb = rng.choice((0.002, 0.01, 1.0))
        spares = [Member(f"az{z}-{n}", f"az{z}", f"az{z}-{n}:1") for z in (1, 2, 3) for n in "cd"]
        self.spares = rng.sample(spares, rng.choice((0, 1, 3, 6)))
        for member in (*members, *self.spares):
            config = NodeConfig(
                node_id=member.node_id, az=member.az, cache_mb=0.2, log_cache_mb=0.01, log_file_mb=0.004,
                coalesce_log_mb=coalesce_mb, coalesce_age_s=1.0, gossip_ms=150, refill_range_kb=8,
                backup="" if store is None else "memory:", stage_age_s=0.2, takeover_s=1.0, snapshot_age_s=1.0,
            )  # fmt: skip
            fleet[member.node_id] = SimNode(world, config, descriptor, fleet, store)
        self.fleet, self.descriptor = fleet, descriptor
        self.nodes = list(fleet.values())
        self.checker = Checker(self.nodes, PAGES, PAGES_PER_PG)
        self.writers: list[SimWriter] = []
        self._calm = self._wiped = False
        self._start_writer()

    def _start_writer(self) -> None:
        name = f"writer-{len(self.writers) + 1}"
        self.world.note(f"{name} starts")
        self.writers.append(SimWriter(self.world, name, self.fleet, self.descriptor, self.checker, PAGES))

    def run(self) -> Outcome:
        """The storm, then the calm in which all must come right. Raises CheckFailed, or what a core raised."""
        world = self.world
        while world.now < STORM_S:
            self._strike()
            world.run(world.now + STEP_S)
            if world.rng.random() < 0.3:
                self.checker.nodes_hold_the_truth()
        self._settle()
        checker = self.checker
        return Outcome(
            self.seed, world.trace, checker.commits, checker.reads, len(checker.openings), checker.acknowledged
        )

    def _strike(self) -> None:
        """One step of bad luck."""
        world, rng = self.world, self.world.rng
        luck = rng.random()
        writer = self.writers[-1]
        down = [node for node in self.nodes if node.core is None]
        if luck < 0.12:
            if len(down) < rng.choice((2, 2, 3)):
                rng.choice([node for node in self.nodes if node.core is not None]).crash()
        elif luck < 0.3:
            if down:
                rng.choice(down).start()
        elif luck < 0.36:
            self._cut()
        elif luck < 0.42:
            world.cuts.clear()
        elif luck < 0.47:
            writer.kill()
            self._start_writer()
        elif luck < 0.52:
            writer.pause()
            self._start_writer()
            world.after(rng.uniform(0.1, 2.0), writer.resume)
        elif luck < 0.54:
            self._start_writer()  # the other one neither knows nor has stopped
        elif luck < 0.56:
            for node in self.nodes:
                node.crash()
            world.after(rng.uniform(0.01, 0.3), self._start_nodes)
        elif luck < 0.62:
            self._take_away(writer, rng.sample(self.nodes, 2))
        elif luck < 0.80 and self.spares:
            self._change_membership(writer)
        elif luck < 0.82 and not self._wiped:
            victim = rng.choice(self.nodes)
            victim.crash()
            victim.disk = SimDisk()
            world.note(f"{victim.name} has lost its disk")
            self._wiped = True

    def _change_membership(self, writer: SimWriter) -> None:
        rng = self.world.rng
        spare = rng.choice(self.spares)
        luck = rng.random()
        if luck < 0.3:
            writer.change(lambda fleet: fleet.add(spare))
        elif luck < 0.7:
            lost = rng.choice([node.name for node in self.nodes if node.name.startswith(spare.az)])
            writer.change(lambda fleet: fleet.replace(lost, spare.node_id))
        elif luck < 0.8:
            writer.change(lambda fleet: fleet.go_back(spare.node_id))
        elif luck < 0.9:
            writer.change(lambda fleet: fleet.set_away(rng.choice(("az1", "az2", "az3"))))
        else:
            writer.change(lambda fleet: fleet.set_away(""))

    def _start_nodes(self) -> None:
        for node in self.nodes:
            node.start()

    def _take_away(self, writer: SimWriter, few: list[SimNode]) -> None:
        """The writer reaches a few nodes only, less than a quorum; then these and the writer are gone together."""
        world = self.world
        world.note(f"{writer.name} reaches {[node.name for node in few]} only")
        world.cuts |= {frozenset((writer.name, node.name)) for node in self.nodes if node not in few}
        world.cuts |= {frozenset((one.name, other.name)) for one in few for other in self.nodes if other not in few}

        def gone() -> None:
            if self._calm:
                return
            world.cuts.clear()
            writer.kill()
            for node in few:
                node.crash()
            self._start_writer()

        world.after(world.rng.uniform(0.1, 0.4), gone)

    def _cut(self) -> None:
        """Separate one or two nodes, or a writer's view of some, from the rest."""
        rng = self.world.rng
        names = [node.name for node in self.nodes]
        alone = set(rng.sample(names, rng.choice((1, 2, 2, 3))))
        others = [*names, *(writer.name for writer in self.writers)]
        if rng.random() < 0.3:
            others = [self.writers[-1].name]
        pairs = {frozenset((one, other)) for one in alone for other in others if other not in alone}
        self.world.cuts |= pairs
        self.world.note(f"cut off: {sorted(alone)} from {sorted(others)[-1]} and {len(others)} in all")

    def _settle(self) -> None:
        """Heal everything: then what was committed must become durable, and each node must get all of it."""
        world = self.world
        self._calm = True
        world.weather = CALM
        world.cuts.clear()
        for node in self.nodes:
            node.start()
        for writer in self.writers:
            if writer.paused:
                writer.resume()
        if all(writer.state in ("fenced", "dead") for writer in self.writers):
            self._start_writer()
        deadline = world.now + CALM_S
        while world.now < deadline:
            world.run(world.now + 0.5)
            last = max(self.writers, key=lambda writer: writer.opening.epoch if writer.opening else 0)
            if last.state == "open" and not any(writer.state == "recovering" for writer in self.writers):
                last.stop_working()
                if last.idle and self._caught_up(last):
                    break
            elif all(writer.state in ("fenced", "dead") for writer in self.writers):
                self._start_writer()
        else:
            self.checker.nodes_hold_the_truth()
            self.checker.all_caught_up(last.descriptor)
            raise CheckFailed(f"after {CALM_S} s of calm no writer is open and idle: {[w.state for w in self.writers]}")
        self.checker.nodes_hold_the_truth()
        self.checker.all_caught_up(last.descriptor)
        if any(a.epoch == b.epoch for a, b in combinations(self.checker.openings, 2)):
            raise CheckFailed("4: two writers opened with one epoch")

    def _caught_up(self, writer: SimWriter) -> bool:
        try:
            self.checker.all_caught_up(writer.descriptor)
        except CheckFailed:
            return False
        return True


def run_seed(seed: int) -> Outcome:
    """Run one seed to its end."""
    if SEGMENTS != 6:
        raise CheckFailed("the scenarios are made for six segments")
    return Scenario(seed).run()
