"""Changes of the fleet under a running writer: growth, replacement of a segment, zones that stay away. Sans-I/O.

::

    wanted ─► propose ─► [SendDescriptor to all] ─► taken by quorums of old and new ─► committed ─► next step

One descriptor is proposed at a time, by the writer alone, so no consensus is needed: the volume epoch that fences an
older writer's log fences its proposals too, and recovery settles the one that it left. While a descriptor is proposed
the log must be durable under the committed one AND the proposed one. A replacement of F by G takes two steps (Aurora
2018, section 4):

1. *begin*: G becomes the candidate of F's slots: write set 4/6 ABCDEF AND 4/6 ABCDEG, read set either;
2. *commit* once G's segments are filled: ABCDEG; or *go back* at any time: ABCDEF. Until the step is committed, who
   leaves is served as before, and told last, when nothing but its word is lacking.

Another replacement may begin meanwhile (four sets). A change of model (a zone away: 3/4 of the others; and back) takes
two steps as well: both models at once, then, when all that was written before is durable under both, the new one.

Invariants: one proposal at a time; a step is proposed only when what it needs is durable already.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from aurora.errors import InvariantViolation
from aurora.geometry import CANDIDATES_MAX, Descriptor, Group, Member, Slot
from aurora.kernels.python.mtr import Run
from aurora.placement import grown, spare_for
from compute_node.volume.writer_core import WriterCore

logger = logging.getLogger(__name__)


class ChangeRefused(Exception):
    """The change cannot be made to the fleet as it is; the text says why."""


@dataclass(frozen=True, slots=True)
class SendDescriptor:
    """Have the node take the proposal."""

    node: int
    descriptor: Descriptor


@dataclass(frozen=True, slots=True)
class AskStates:
    """Ask the node what its segments hold: it fills a slot."""

    node: int


Effect = SendDescriptor | AskStates

Request = Callable[[Descriptor], Descriptor]
"""A wanted change: what it makes of the descriptor as it is then. Raises ChangeRefused."""


class Fleet:
    """The writer's hand on the descriptor. ``committed`` is what holds, ``proposal`` what is on its way.

    ``tick`` is to be called some times a second, and when ``grow`` has returned True.
    """

    def __init__(self, core: WriterCore) -> None:
        self.core = core
        self.committed = core.descriptor
        self.proposal: Descriptor | None = None
        self.wanted_groups = len(self.committed.groups)
        self.steps = 0
        """Descriptors committed by this writer."""
        self._requests: deque[Request] = deque()
        self._marks: dict[int, int] = {}
        """PG → LSN that must be durable under both models before a change of model is committed."""
        self._problem = ""
        """Why the last step that could not be planned was not taken."""

    # --- what is wanted

    def grow(self, groups: int) -> bool:
        """The volume shall have ``groups`` PGs at least; returns whether there is something to do."""
        self.wanted_groups = max(self.wanted_groups, groups)
        return self.wanted_groups > len(self.committed.groups)

    def add(self, member: Member) -> None:
        """A node joins the fleet; it holds nothing yet. ChangeRefused when another has its id, or when its zone is none
        of the volume's.
        """
        self._request(lambda descriptor: with_node(descriptor, member))

    def remove(self, node_id: str) -> None:
        """A node that holds nothing leaves the fleet. ChangeRefused for one that holds a segment, or is to hold one."""
        self._request(lambda descriptor: without_node(descriptor, node_id))

    def replace(self, lost: str, by: str | None, avoid: Collection[str] = ()) -> None:
        """Begin to replace ``lost`` by ``by``, or by spare nodes of its zone but those to ``avoid``, in all its PGs.
        ChangeRefused when that cannot be.
        """
        self._request(lambda descriptor: replacing(descriptor, lost, by, avoid))

    def go_back(self, candidate: str) -> None:
        """Give up every replacement by ``candidate``. ChangeRefused when there is none."""
        self._request(lambda descriptor: without_candidate(descriptor, candidate))

    def set_away(self, zone: str) -> None:
        """Count on the other two zones alone (3/4); "" counts on all three again (4/6). ChangeRefused when not now."""
        self._request(lambda descriptor: changing_model(descriptor, zone))

    def _request(self, request: Request) -> None:
        latest = self.proposal or self.committed
        for earlier in (*self._requests, request):
            latest = earlier(latest)
        self._requests.append(request)

    def covers(self, runs: Sequence[Run]) -> bool:
        """Whether the volume has the PGs of all the runs; else it must grow before they can be flushed."""
        groups = len(self.committed.groups)
        return all(run[0] < groups for run in runs)

    @property
    def busy(self) -> bool:
        """Whether anything is on its way."""
        return bool(
            self.proposal
            or self._requests
            or self.wanted_groups > len(self.committed.groups)
            or any(group.changing for group in self.committed.groups)
        )

    # --- what is done

    def tick(self) -> list[Effect]:
        """Do the next step, or urge the present one."""
        if self.proposal is None:
            step = self._next()
            if step is not None:
                self._propose(step)
        latest = self.proposal or self.committed
        # They drop their segments when they take it, and their acks are of use until all else that it takes is there.
        leaving = sum(1 << node for node, link in enumerate(self.core.links) if link.leaves)
        effects: list[Effect] = [
            SendDescriptor(node, latest)
            for node, link in enumerate(self.core.links)
            if link.connected
            and link.taken != latest.version
            and not self.core.members[node].retired
            and (not link.leaves or self._quorums_took(latest, self._took(latest) | leaving))
        ]
        if self.proposal is None:
            candidates = {slot.candidate for group in latest.groups for slot in group.slots if slot.candidate}
            asked = {latest.index_of[candidate] for candidate in candidates}
            for pg, group in enumerate(latest.groups):
                if group.changing:
                    asked.update(node for node in latest.holders(pg) if pg not in self.core.links[node].sound)
            effects += [AskStates(node) for node in sorted(asked)]
        return effects

    def _took(self, descriptor: Descriptor) -> int:
        """Mask of the nodes that have said that they have this descriptor."""
        return sum(1 << node for node, link in enumerate(self.core.links) if link.taken == descriptor.version)

    def _next(self) -> Descriptor | None:
        """The descriptor to propose next; None when the committed one will do for now."""
        latest = step = self.committed
        while self._requests and step == latest:
            step = self._planned(self._requests.popleft(), latest)
        if step == latest and self.wanted_groups > len(latest.groups):
            step = self._planned(lambda now: grown(now, self.wanted_groups, self._unfit(now)), latest)
        if step == latest:
            step = self._planned(self._settle, latest)
        if step == latest:
            return None
        return replace(step, generation=latest.generation + 1, proposer_epoch=self.core.epoch)

    def _planned(self, plan: Request, latest: Descriptor) -> Descriptor:
        """What the plan makes of the descriptor; the descriptor as it is when it cannot be carried out: that is logged,
        and no reason for the log and the other steps to stand still.
        """
        try:
            return plan(latest)
        except ChangeRefused as error:
            # It could be made when it was asked for; a step taken since then stands against it.
            logger.warning("a change of the fleet is dropped: %s", error)
        except InvariantViolation as error:
            if str(error) != self._problem:  # growth is planned anew at each tick
                self._problem = str(error)
                logger.error("a change of the fleet cannot be planned: %s", error)
        return latest

    def _unfit(self, latest: Descriptor) -> dict[str, int]:
        """Nodes that should get no new segments, the least fit with the greatest number: silent ones (one that was
        added a moment ago may be among them), and those being replaced, which are to hold nothing.
        """
        unfit = {node.node_id: 1 for node, link in zip(latest.nodes, self.core.links) if not link.connected}
        unfit |= {slot.member: 2 for group in latest.groups for slot in group.slots if slot.candidate}
        return unfit

    def _settle(self, latest: Descriptor) -> Descriptor:
        groups = [self._settled(pg, group) for pg, group in enumerate(latest.groups)]
        if groups == list(latest.groups):
            return latest
        kept = {node_id for group in groups for node_id in group.holders()}
        gone = {node_id for group in latest.groups for node_id in group.holders()} - kept
        nodes = tuple(replace(node, retired=True) if node.node_id in gone else node for node in latest.nodes)
        return replace(_membership(latest, groups), nodes=nodes)

    def _settled(self, pg: int, group: Group) -> Group:
        """The group after those of its changes that may be committed now."""
        links, index_of = self.core.links, self.committed.index_of
        slots = [
            Slot(slot.candidate, tail=slot.tail)
            if slot.candidate and pg in links[index_of[slot.candidate]].filled
            else slot
            for slot in group.slots
        ]
        if slots != list(group.slots):
            group = _regroup(group, slots)
        if group.away_next is not None and self.core.tracker.reached(pg) >= self._marks.get(pg, 0):
            group = replace(group, away=group.away_next, away_next=None, membership_epoch=group.membership_epoch + 1)
        if group is not self.committed.groups[pg] and not self._serves(pg, group):
            return self.committed.groups[pg]
        return group

    def _serves(self, pg: int, group: Group) -> bool:
        """Whether segments that count are a write quorum of the group as it is to be. Without one it could neither
        write nor ever fill those that do not count.
        """
        groups = list(self.committed.groups)
        groups[pg] = group
        return replace(self.committed, groups=tuple(groups)).write_quorum(pg).satisfied(self.core.sound(pg))

    def _propose(self, step: Descriptor) -> None:
        if len(step.nodes) < len(self.committed.nodes) or step.version <= self.committed.version:
            raise InvariantViolation(f"proposal {step.version} with {len(step.nodes)} nodes after {self.committed}")
        self.proposal = step
        # From here on: what was counted under the committed quorums alone lies at or below these LSNs.
        self.core.adopt(step, and_also=self.committed)
        self._marks = dict(self.core.pg_last)
        logger.info("descriptor %s is proposed: %s", step.version, describe(self.committed, step))

    def on_taken(self, node: int, descriptor: Descriptor) -> bool:
        """The node has taken the descriptor; returns whether that committed it (the VDL may have advanced then)."""
        if descriptor == (self.proposal or self.committed):
            self.core.links[node].taken = descriptor.version
        if descriptor != self.proposal or not self._quorums_took(descriptor, self._took(descriptor)):
            return False
        logger.info("descriptor %s is committed", descriptor.version)
        self.committed, self.proposal = descriptor, None
        self.steps += 1
        self.core.adopt(descriptor)
        return True

    def _quorums_took(self, new: Descriptor, took: int) -> bool:
        old = self.committed
        changed = {pg for pg, group in enumerate(new.groups) if pg >= len(old.groups) or old.groups[pg] != group}
        return all(
            descriptor.write_quorum(pg).satisfied(took)
            for pg in changed | {0}
            for descriptor in (old, new)
            if pg < len(descriptor.groups)
        )


def with_node(descriptor: Descriptor, member: Member) -> Descriptor:
    """The descriptor with a node more; an address that has changed is taken over."""
    if member.az not in descriptor.zones:
        zones = ", ".join(sorted(descriptor.zones))
        raise ChangeRefused(f"{member.node_id} is in zone {member.az!r}, the volume in {zones}")
    if member.node_id not in descriptor.index_of:
        return replace(descriptor, nodes=(*descriptor.nodes, member))
    held = descriptor.member(member.node_id)
    if held.az != member.az:
        raise ChangeRefused(f"the fleet has a node {member.node_id} in zone {held.az}")
    nodes = tuple(member if node.node_id == member.node_id else node for node in descriptor.nodes)
    return replace(descriptor, nodes=nodes)


def without_node(descriptor: Descriptor, node_id: str) -> Descriptor:
    """The descriptor with a node retired that holds nothing."""
    if node_id not in descriptor.index_of:
        raise ChangeRefused(f"{node_id} is no node of the fleet")
    if descriptor.member(node_id).retired:
        raise ChangeRefused(f"{node_id} has left the fleet already")
    if held := descriptor.groups_of(node_id):
        raise ChangeRefused(f"{node_id} holds a segment of PG {min(held)}, or is to hold one")
    nodes = tuple(replace(node, retired=True) if node.node_id == node_id else node for node in descriptor.nodes)
    return replace(descriptor, nodes=nodes)


def replacing(descriptor: Descriptor, lost: str, by: str | None, avoid: Collection[str] = ()) -> Descriptor:
    """The first step of a replacement: ``by`` is the candidate of all slots of ``lost``; None: the least loaded spares
    of its zone are, each for the PGs of which it holds nothing, and a PG without a spare stays as it is.
    """
    _check_replacement(descriptor, lost, by)
    for pg in sorted(descriptor.groups_of(lost)):
        group = descriptor.groups[pg]
        slot = group.slot_of(lost)
        if slot is None or slot.member != lost:
            continue
        if slot.candidate:
            raise ChangeRefused(f"{lost} is being replaced by {slot.candidate} in PG {pg} already")
        candidate = by or spare_for(descriptor, pg, lost, avoid)
        if candidate is None:
            continue
        if candidate in group.holders():
            raise ChangeRefused(f"{candidate} holds a segment of PG {pg} already")
        if sum(bool(other.candidate) for other in group.slots) >= CANDIDATES_MAX:
            raise ChangeRefused(f"{CANDIDATES_MAX} segments of PG {pg} are being replaced already")
        groups = list(descriptor.groups)
        groups[pg] = _regroup(group, [replace(s, candidate=candidate) if s is slot else s for s in group.slots])
        descriptor = replace(descriptor, groups=tuple(groups))
    if not any(slot.member == lost and slot.candidate for group in descriptor.groups for slot in group.slots):
        raise ChangeRefused(f"{lost} holds no segment that another node could take")
    return _membership(descriptor, descriptor.groups)


def _check_replacement(descriptor: Descriptor, lost: str, by: str | None) -> None:
    for node_id in (lost, by):
        if node_id is not None and node_id not in descriptor.index_of:
            raise ChangeRefused(f"{node_id} is no node of the fleet")
    if by is None:
        return
    if descriptor.member(by).retired:
        raise ChangeRefused(f"{by} was replaced itself; add it to the fleet again first")
    if descriptor.az_of[lost] != descriptor.az_of[by]:
        raise ChangeRefused(f"{by} is in zone {descriptor.az_of[by]}, {lost} in {descriptor.az_of[lost]}")


def without_candidate(descriptor: Descriptor, candidate: str) -> Descriptor:
    """The way back of every replacement by ``candidate``."""
    groups = [
        _regroup(group, [replace(s, candidate="") if s.candidate == candidate else s for s in group.slots])
        if group.is_candidate(candidate)
        else group
        for group in descriptor.groups
    ]
    if groups == list(descriptor.groups):
        raise ChangeRefused(f"{candidate} replaces no other node")
    return _membership(descriptor, groups)


def changing_model(descriptor: Descriptor, zone: str) -> Descriptor:
    """The first step of a change of model: both models at once."""
    if zone and zone not in descriptor.zones:
        raise ChangeRefused(f"no segment is in a zone {zone!r}")
    if any(group.away_next is not None for group in descriptor.groups):
        raise ChangeRefused("the quorum model is being changed already")
    if all(group.away == zone for group in descriptor.groups):
        raise ChangeRefused(f"zone {zone} is away already" if zone else "no zone is away")
    if zone and any(group.away not in ("", zone) for group in descriptor.groups):
        raise ChangeRefused("another zone is away")
    groups = [
        group if group.away == zone else replace(group, away_next=zone, membership_epoch=group.membership_epoch + 1)
        for group in descriptor.groups
    ]
    return _membership(descriptor, groups)


def _regroup(group: Group, slots: Iterable[Slot]) -> Group:
    return replace(group, slots=tuple(slots), membership_epoch=group.membership_epoch + 1)


def _membership(descriptor: Descriptor, groups: Iterable[Group]) -> Descriptor:
    return replace(descriptor, groups=tuple(groups), membership_epoch=descriptor.membership_epoch + 1)


def describe(old: Descriptor, new: Descriptor) -> str:
    """What changes from one descriptor to the next, in words."""
    said = []
    if len(new.groups) > len(old.groups):
        said.append(f"{len(new.groups)} protection groups instead of {len(old.groups)}")
    gone = [now.node_id for was, now in zip(old.nodes, new.nodes) if now.retired and not was.retired]
    if gone:
        said.append("retired " + ", ".join(gone))
    if len(new.nodes) > len(old.nodes):
        said.append("new nodes " + ", ".join(node.node_id for node in new.nodes[len(old.nodes) :]))
    for pg, (before, after) in enumerate(zip(old.groups, new.groups)):
        for was, now in zip(before.slots, after.slots):
            if was != now:
                said.append(f"PG {pg}: {'/'.join(was.alternatives)} becomes {'/'.join(now.alternatives)}")
        if (before.away, before.away_next) != (after.away, after.away_next):
            model = after.away if after.away_next is None else after.away_next
            said.append(f"PG {pg}: {f'zone {model} away' if model else 'all zones count'}")
    return "; ".join(said[:8]) or "proposed again"
