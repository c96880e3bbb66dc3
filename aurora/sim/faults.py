"""What goes wrong: one class a fault, each with a place in a run's luck; ``heal`` takes back what would last.

Faults strike during the storm only. They keep to what the fleet promises to survive without loss: any number of crashes
(only what was not synced is lost); the loss of disks as long as a read quorum of sound copies is left
(``SimCluster.may_lose``), for who lost its disk counts nowhere until it is filled again; rotten bits and unreadable
sectors on ``ROTTEN_NODES_MAX`` nodes a run only, and never on both meta files, for such a node may have forgotten what
it acknowledged, and votes. A record is acknowledged when four of six hold it, and recovery asks at least four of six:
these sets meet in two nodes, so one copy may be gone in this way and not two, and none beside a lost disk.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import ClassVar, Final

from aurora.geometry import Descriptor
from aurora.sim.cluster import SimCluster
from aurora.sim.disk import SimDisk
from aurora.sim.nodes import SimNode
from aurora.sim.writers import SimWriter

ROTTEN_NODES_MAX: Final = 1
DECAY_MAX: Final = 3
"""Places of a node's files that one stroke hits."""
WATCH_S: Final = 0.002
CUT_WAIT_S: Final = 2.0
"""How long a stroke waits for a change of the fleet."""


class Fault:
    """A kind of bad luck. ``weight``: how often it is chosen, against the others that are on. ``struck``: times that it
    did something.
    """

    name: ClassVar[str]
    weight: ClassVar[float] = 1.0

    def __init__(self, cluster: SimCluster) -> None:
        self.cluster = cluster
        self.world = cluster.world
        self.rng: random.Random = cluster.world.stream(f"fault {self.name}")
        self.struck = 0

    def strike(self) -> bool:
        """Do it once; False when there is nothing to do it to, or only will be (then it counts by itself)."""
        raise NotImplementedError

    def heal(self) -> None:
        """Undo what lasts; called when the storm is over."""

    def later(self, low_s: float, high_s: float, nodes: Sequence[SimNode]) -> None:
        """Start these nodes again after a while."""
        for node in nodes:
            self.world.after(self.rng.uniform(low_s, high_s), node.start)

    def some_node(self) -> SimNode | None:
        """A node that runs."""
        up = self.cluster.up()
        return self.rng.choice(up) if up else None


class CrashNode(Fault):
    """A node loses power; most of the time no more than two or three are down at once."""

    name = "crash-node"
    weight = 2.0

    def strike(self) -> bool:
        down = len(self.cluster.nodes) - len(self.cluster.up())
        node = self.some_node()
        if node is None or down >= self.rng.choice((2, 2, 3)):
            return False
        node.crash()
        self.later(0.05, 1.5, [node])
        return True


class CrashAll(Fault):
    """The power of the whole fleet goes."""

    name = "crash-all"
    weight = 0.4

    def strike(self) -> bool:
        up = self.cluster.up()
        for node in up:
            node.crash()
        self.later(0.01, 0.5, self.cluster.nodes)
        return bool(up)


class AzPower(Fault):
    """One availability zone loses power."""

    name = "az-power"
    weight = 0.7

    def strike(self) -> bool:
        az = self.rng.choice(("az1", "az2", "az3"))
        nodes = [node for node in self.cluster.nodes if node.config.az == az]
        up = [node for node in nodes if node.core is not None]
        for node in up:
            node.crash()
        self.later(0.3, 1.5, nodes)
        return bool(up)


class PowerMidWrite(Fault):
    """A node, or each of them, loses power in the middle of one of its next disk operations."""

    name = "power-mid-write"
    weight = 1.5

    def strike(self) -> bool:
        up = self.cluster.up()
        for node in up if self.rng.random() < 0.2 else self.rng.sample(up, min(1, len(up))):
            node.disk.light_fuse(self.rng.randint(1, self.rng.choice((3, 30))), self.rng.random() < 0.5)
        return bool(up)

    def heal(self) -> None:
        for node in self.cluster.nodes:
            node.disk.light_fuse(0, True)


class SyncError(Fault):
    """A node's next sync is an I/O error."""

    name = "sync-error"

    def strike(self) -> bool:
        node = self.some_node()
        if node is None:
            return False
        node.disk.sync_fails = True
        return True

    def heal(self) -> None:
        for node in self.cluster.nodes:
            node.disk.sync_fails = False


class DiskFull(Fault):
    """A node's disk is full, or has a little room left; later there is room again."""

    name = "disk-full"

    def strike(self) -> bool:
        node = self.rng.choice(self.cluster.nodes)
        node.disk.capacity_bytes = node.disk.used_bytes + self.rng.choice((0, 500, 9000))
        self.world.note(f"the disk of {node.name} is full")
        self.world.after(self.rng.uniform(0.2, 2.0), lambda: self._room(node))
        return True

    def _room(self, node: SimNode) -> None:
        node.disk.capacity_bytes = None

    def heal(self) -> None:
        for node in self.cluster.nodes:
            self._room(node)


class SlowDisk(Fault):
    """A node's syncs take long for a while."""

    name = "slow-disk"

    def strike(self) -> bool:
        node = self.rng.choice(self.cluster.nodes)
        node.sync_s = self.rng.uniform(0.01, 0.3)
        self.world.note(f"the disk of {node.name} is slow")
        self.world.after(self.rng.uniform(0.2, 2.0), lambda: self._fast(node))
        return True

    def _fast(self, node: SimNode) -> None:
        node.sync_s = 0.0

    def heal(self) -> None:
        for node in self.cluster.nodes:
            self._fast(node)


class Decay(Fault):
    """A node's medium decays in some places. See the module for how many nodes may be hit."""

    def harm(self, disk: SimDisk, name: str, offset: int) -> None:
        """Have the file decay there."""
        raise NotImplementedError

    def strike(self) -> bool:
        rotten = [node for node in self.cluster.nodes if node.rotten]
        if not rotten and not self.cluster.whole():
            return False
        node = self.rng.choice(rotten if len(rotten) >= ROTTEN_NODES_MAX else self.cluster.nodes)
        names = [name for name in node.disk.list() if name != "meta-copy" and node.disk.size(name)]
        for _ in range(self.rng.randint(1, DECAY_MAX) if names else 0):
            name = self.rng.choice(names)
            offset = self.rng.randrange(node.disk.size(name))
            self.harm(node.disk, name, offset)
            node.rotten = True
            self.world.note(f"{self.name}: {name} of {node.name} at {offset}")
        return bool(names)


class BitRot(Decay):
    """Bits of a node's files flip."""

    name = "bit-rot"

    def harm(self, disk: SimDisk, name: str, offset: int) -> None:
        disk.flip_bit(name, offset, self.rng.randrange(8))


class LostSector(Decay):
    """Sectors of a node's files give an I/O error until they are written anew."""

    name = "lost-sector"

    def harm(self, disk: SimDisk, name: str, offset: int) -> None:
        disk.lose_sectors(name, offset, self.rng.choice((1, 1, 5000)))


class EmptyDisk(Fault):
    """A node, a zone, or a zone and one more come back with empty disks, and are filled by their peers."""

    name = "empty-disk"
    weight = 0.6

    def strike(self) -> bool:
        rng, nodes = self.rng, self.cluster.nodes
        lost = [rng.choice(nodes)]
        if rng.random() < 0.5:
            lost += [node for node in nodes if node.config.az == lost[0].config.az and node is not lost[0]]
            lost += rng.sample([node for node in nodes if node not in lost], rng.choice((0, 1)))
        wiped = [node for node in lost if self._wipe(node)]
        self.later(0.0, 0.5, wiped)
        return bool(wiped)

    def _wipe(self, node: SimNode) -> bool:
        rotten = any(other.rotten for other in self.cluster.nodes)
        if not node.rotten if rotten else not self.cluster.may_lose(node):
            return False
        node.wipe()
        return True


class StopNode(Fault):
    """A node's process stands still for a while, then goes on with all that came meanwhile."""

    name = "stop-node"
    weight = 1.5

    def strike(self) -> bool:
        node = self.some_node()
        if node is None:
            return False
        life = node.life
        self.world.stop(node.name)
        self.world.note(f"{node.name} stands still")

        def go_on() -> None:
            if node.life == life and node.core is not None:
                self.world.note(f"{node.name} goes on")
                self.world.go_on(node.name)

        self.world.after(self.rng.uniform(0.05, 1.5), go_on)
        return True


class Clock(Fault):
    """A node's clock runs too fast or too slow, or jumps ahead."""

    name = "clock"

    def strike(self) -> bool:
        clock = self.rng.choice(self.cluster.nodes).clock
        if self.rng.random() < 0.5:
            clock.run_at(self.rng.choice((0.5, 0.9, 1.1, 2.0)))
        else:
            clock.jump(self.rng.choice((0.1, 1.0, 30.0, 1000.0)))
        return True

    def heal(self) -> None:
        for node in self.cluster.nodes:
            node.clock.run_at(1.0)


class Partition(Fault):
    """One to three nodes, or one zone, are cut off from the rest, or from the writer alone; healed after a while."""

    name = "partition"
    weight = 2.0

    def strike(self) -> bool:
        rng, world = self.rng, self.world
        names = [node.name for node in self.cluster.nodes]
        alone = set(rng.sample(names, rng.choice((1, 2, 2, 3))))
        if rng.random() < 0.3:
            az = rng.choice(("az1", "az2", "az3"))
            alone = {name for name in names if name.startswith(az)}
        others = [*names, *(writer.name for writer in self.cluster.writers)]
        if rng.random() < 0.3:
            others = [self.cluster.writer.name]
        pairs = {frozenset((one, other)) for one in alone for other in others if other not in alone}
        world.cuts |= pairs
        world.note(f"cut off: {sorted(alone)} from {others[-1]} and {len(others)} in all")
        world.after(rng.uniform(0.1, 1.5), lambda: world.cuts.difference_update(pairs))
        return True

    def heal(self) -> None:
        self.world.heal()


class OneWayCut(Fault):
    """Messages get from one side to the other, and nothing back."""

    name = "one-way-cut"

    def strike(self) -> bool:
        rng, world = self.rng, self.world
        names = [node.name for node in self.cluster.nodes]
        deaf = rng.sample(names, rng.choice((1, 1, 2)))
        others = [self.cluster.writer.name, *(name for name in names if name not in deaf and rng.random() < 0.5)]
        pairs = {(other, one) for one in deaf for other in others}
        if rng.random() < 0.5:
            pairs = {(target, source) for source, target in pairs}
        world.one_way |= pairs
        world.note(f"one way only: {sorted(pairs)[0]} and {len(pairs)} in all")
        world.after(rng.uniform(0.1, 1.5), lambda: world.one_way.difference_update(pairs))
        return True

    def heal(self) -> None:
        self.world.heal()


class SlowLink(Fault):
    """All that a node sends or gets takes long for a while."""

    name = "slow-link"

    def strike(self) -> bool:
        rng, world = self.rng, self.world
        node = rng.choice(self.cluster.nodes)
        delay_s = rng.uniform(0.02, 0.35)
        for other in (*(peer.name for peer in self.cluster.nodes), self.cluster.writer.name):
            if rng.random() < 0.8:
                world.slow_links[node.name, other] = world.slow_links[other, node.name] = delay_s
        world.note(f"{node.name} is {delay_s:.3f} s away")
        world.after(rng.uniform(0.3, 2.0), world.slow_links.clear)
        return True

    def heal(self) -> None:
        self.world.heal()


class KillWriter(Fault):
    """The writer is killed, another starts."""

    name = "kill-writer"

    def strike(self) -> bool:
        writer = self.cluster.writer
        alive = writer.alive
        writer.kill()
        self.cluster.start_writer()
        return alive


class PauseWriter(Fault):
    """The writer stands still, another starts, then the first goes on."""

    name = "pause-writer"

    def strike(self) -> bool:
        writer = self.cluster.writer
        alive = writer.alive and not writer.paused
        writer.pause()
        self.cluster.start_writer()
        self.world.after(self.rng.uniform(0.1, 2.0), writer.resume)
        return alive

    def heal(self) -> None:
        for writer in self.cluster.writers:
            if writer.paused:
                writer.resume()


class SecondWriter(Fault):
    """Another writer starts; the first neither knows nor has stopped."""

    name = "second-writer"
    weight = 0.5

    def strike(self) -> bool:
        alive = self.cluster.writer.alive
        self.cluster.start_writer()
        return alive


class TakeAway(Fault):
    """The writer reaches two nodes only, less than a quorum; then these and the writer are gone together."""

    name = "take-away"

    def strike(self) -> bool:
        world, cluster = self.world, self.cluster
        writer, few = cluster.writer, self.rng.sample(cluster.nodes, 2)
        alive = writer.alive
        world.note(f"{writer.name} reaches {[node.name for node in few]} only")
        pairs = {frozenset((writer.name, node.name)) for node in cluster.nodes if node not in few}
        pairs |= {frozenset((one.name, other.name)) for one in few for other in cluster.nodes if other not in few}
        world.cuts |= pairs

        def gone() -> None:
            if cluster.calm:
                return
            world.cuts.difference_update(pairs)
            writer.kill()
            for node in few:
                node.crash()
            self.later(0.3, 1.5, few)
            cluster.start_writer()

        world.after(self.rng.uniform(0.1, 0.4), gone)
        return alive

    def heal(self) -> None:
        self.world.heal()


class LoneHolder(Fault):
    """The writer reaches one node only, from which the others get what they can before it and the writer are gone:
    some groups' parts of an MTR spread, others do not.
    """

    name = "lone-holder"

    def strike(self) -> bool:
        world, cluster = self.world, self.cluster
        writer, one = cluster.writer, self.rng.choice(cluster.nodes)
        alive = writer.alive
        world.note(f"{writer.name} reaches {one.name} only")
        pairs = {frozenset((writer.name, node.name)) for node in cluster.nodes if node is not one}
        world.cuts |= pairs
        deadline = world.now + self.rng.uniform(0.05, 0.4)

        def watch() -> None:
            if cluster.calm:
                return
            if world.now < deadline and not self._spread(one):
                world.after(WATCH_S, watch)
                return
            world.cuts.difference_update(pairs)
            writer.kill()
            one.crash()
            self.later(0.3, 1.5, [one])
            cluster.start_writer()

        watch()
        return alive

    def _spread(self, one: SimNode) -> bool:
        """Whether some node has got all of one group from ``one``, and lacks some of another."""
        held = {pg: segment.scl for pg, segment in one.core.segments.items()} if one.core is not None else {}
        for node in self.cluster.up():
            scls = {pg: segment.scl for pg, segment in node.core.segments.items()} if node.core is not None else {}
            lacks = {pg for pg, scl in held.items() if scls.get(pg, 0) < scl}
            ahead = any(scls.get(pg, 0) > max(self._others(node, one, pg), 0) for pg in held if pg not in lacks)
            if node is not one and lacks and ahead:
                return True
        return False

    def _others(self, node: SimNode, one: SimNode, pg: int) -> int:
        rest = [other for other in self.cluster.up() if other is not node and other is not one]
        return max((o.core.segments[pg].scl for o in rest if o.core is not None and pg in o.core.segments), default=0)

    def heal(self) -> None:
        self.world.heal()


class ReplaceNode(Fault):
    """Not bad luck but an operator's work, in the middle of all this: spare nodes join, replace others, and go back."""

    name = "replace-node"
    weight = 2.0

    def strike(self) -> bool:
        rng, writer = self.rng, self.cluster.writer
        if not self.cluster.spares:
            return False
        spare = rng.choice(self.cluster.spares)
        luck = rng.random()
        if luck < 0.3 or spare.node_id not in writer.known_nodes():
            return writer.change(lambda fleet: fleet.add(spare))
        if luck < 0.85:
            holders = {name for group in self.cluster.latest().groups for name in group.holders()}
            lost = rng.choice(sorted(name for name in holders if name.startswith(spare.az)))
            return writer.change(lambda fleet: fleet.replace(lost, spare.node_id))
        return writer.change(lambda fleet: fleet.go_back(spare.node_id))


class ZoneAway(Fault):
    """The operator counts a zone out, or all in again."""

    name = "zone-away"
    weight = 0.7

    def strike(self) -> bool:
        writer = self.cluster.writer
        away = writer.opening is not None and any(group.away for group in writer.opening.committed.groups)
        zone = "" if away and self.rng.random() < 0.6 else self.rng.choice(("az1", "az2", "az3"))
        return writer.change(lambda fleet: fleet.set_away(zone))


class CutProposal(Fault):
    """The operator wants a change of the fleet. While its last step is proposed, the writer loses some nodes, above all
    those that leave. Then it may be killed, with its proposal half known.
    """

    name = "cut-proposal"
    weight = 1.5

    def __init__(self, cluster: SimCluster) -> None:
        super().__init__(cluster)
        self._operators = (ReplaceNode(cluster), ZoneAway(cluster))

    def strike(self) -> bool:
        world, cluster, writer = self.world, self.cluster, self.cluster.writer
        deadline = world.now + CUT_WAIT_S
        self.rng.choice(self._operators).strike()

        def watch() -> None:
            proposal = writer.opening.proposal if writer.opening is not None else None
            if cluster.calm or world.now > deadline or not writer.alive:
                return
            if proposal is None or writer.opening is None or not _settles(writer.opening.committed, proposal):
                world.after(WATCH_S, watch)
                return
            self._cut(writer, writer.opening.committed, proposal)

        watch()
        return False

    def _cut(self, writer: SimWriter, committed: Descriptor, proposal: Descriptor) -> None:
        rng, world = self.rng, self.world
        pg = rng.randrange(len(committed.groups))
        old, new = committed.groups[pg], proposal.groups[pg]
        leaving = set(old.holders()) - set(new.holders())
        leaving |= {name for name in new.holders() if new.away and committed.az_of[name] == new.away}
        staying = sorted(set(new.holders()) - leaving)
        alone = {*leaving, *rng.sample(staying, rng.choice((1, 2, 2)))}
        pairs = {frozenset((writer.name, name)) for name in alone}
        world.cuts |= pairs
        world.note(f"{writer.name} has proposed {proposal.version}, and is cut off from {sorted(alone)}")
        self.struck += 1
        kills = rng.random() < 0.4

        def mend() -> None:
            world.cuts.difference_update(pairs)
            if kills and not self.cluster.calm and self.cluster.writer is writer:
                writer.kill()
                self.cluster.start_writer()

        world.after(rng.uniform(0.1, 0.8), mend)

    def heal(self) -> None:
        self.world.heal()


def _settles(old: Descriptor, new: Descriptor) -> bool:
    """Whether the step ends a change of some group: from then on fewer sets or models decide."""
    return any(before.changing and before != after for before, after in zip(old.groups, new.groups, strict=False))


FAULTS: Final[dict[str, type[Fault]]] = {
    kind.name: kind
    for kind in (
        CrashNode, CrashAll, AzPower, PowerMidWrite, SyncError, DiskFull, SlowDisk, BitRot, LostSector, EmptyDisk,
        StopNode, Clock, Partition, OneWayCut, SlowLink, KillWriter, PauseWriter, SecondWriter, TakeAway, LoneHolder,
        ReplaceNode, ZoneAway, CutProposal,
    )
}  # fmt: skip
