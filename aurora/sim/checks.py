"""One checker for each promise of the storage fleet; a broken promise raises ``CheckFailed``.

What happens is told to ``Checks``, which tells each checker: a writer opened or advanced, a node acknowledged,
answered, crashed or restarted, the state of a node's log, a page that was read. Each counts how often it really
compared something (``exercised``), so that a run can show that nothing passed for want of trying. ``CATALOGUE`` lists
them; docs/architecture/simulator.md says what each stands for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, ClassVar, Final

from aurora import batch as batches
from aurora import truncation
from aurora.buggify import installed
from aurora.errors import InvariantViolation
from aurora.geometry import Descriptor
from aurora.kernels import redo
from aurora.rpc import storage_pb2 as pb
from aurora.sim.model import History, Ledger, Opening, steps
from aurora.sim.nodes import SimNode

if TYPE_CHECKING:
    from google.protobuf.message import Message


COPIES_ACKNOWLEDGED: Final = 4
"""Copies of six that hold a commit before it is acknowledged: the rule itself, not the code's constant."""
FULL_COPIES: Final = 3
"""That many full segments, all there are, will do where the other three are tails."""
COPIES_WITHOUT_ZONE: Final = 3
"""Of the four copies that are left while a zone is counted out."""
COPIES_READ: Final = 3
COPIES_READ_WITHOUT_ZONE: Final = 2


def enough(holders: Collection[str], descriptor: Descriptor, pg: int, settled: bool = False) -> bool:
    """Whether these nodes hold a record so that it may be acknowledged: the rule, counted in the simplest way.

    ``settled``: whether that many hold it as must hold what was acknowledged before the changes that are on the way.
    """
    group = descriptor.groups[pg]
    for members in product(*((slot.member,) if settled else slot.alternatives for slot in group.slots)):
        for away in {group.away, group.away if settled or group.away_next is None else group.away_next}:
            counted = [name for name in members if not away or descriptor.az_of[name] != away]
            held = sum(name in holders for name in counted)
            if away:
                if held < COPIES_WITHOUT_ZONE:
                    return False
                continue
            full = [name for name, slot in zip(members, group.slots, strict=True) if not slot.tail]
            all_full = len(full) == FULL_COPIES and all(name in holders for name in full)
            if held < COPIES_ACKNOWLEDGED and not all_full:
                return False
    return True


def readable(sound: Collection[str], descriptor: Descriptor, pg: int) -> bool:
    """Whether these nodes are a read quorum of the PG by every membership and model of the descriptor, counted in the
    simplest way: what was acknowledged can be found as long as they keep it.
    """
    group = descriptor.groups[pg]
    for slots in product(*([(name, slot.tail) for name in slot.alternatives] for slot in group.slots)):
        for away in {group.away, group.away if group.away_next is None else group.away_next}:
            left = [tail for name, tail in slots if name in sound and (not away or descriptor.az_of[name] != away)]
            if len(left) < (COPIES_READ_WITHOUT_ZONE if away else COPIES_READ) or all(left):
                return False
    return True


class CheckFailed(Exception):
    """A promise was broken; ``checker`` is the name of the one that noticed."""

    def __init__(self, checker: str, message: str) -> None:
        super().__init__(f"{checker}: {message}")
        self.checker = checker


@dataclass(frozen=True)
class HeldLog:
    """What a node's segment holds: ``records`` are ``(previous LSN of the group, LSN)`` above ``collected_lsn``."""

    node: SimNode
    pg: int
    collected_lsn: int
    scl: int
    records: Sequence[tuple[int, int]]
    truncations: Sequence[truncation.Range]
    informed: bool
    """Whether the node has adopted the current epoch and knows the range that its recovery voided."""


@dataclass(frozen=True)
class PageRead:
    """A page as a node gave it for ``point``. ``held``: a living writer held the point meanwhile."""

    node: str
    page_no: int
    point: int
    image: pb.PageImage
    opening: Opening
    held: bool


class Checker:
    """A promise. The methods are what may happen; each does nothing unless the promise is about it."""

    name: ClassVar[str]
    promise: ClassVar[str]

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.exercised = 0

    def require(self, holds: bool, message: str) -> None:
        """Count a comparison; CheckFailed when it does not hold."""
        self.exercised += 1
        if not holds:
            raise CheckFailed(self.name, message)

    def opened(self, opening: Opening, last: Opening | None, newest: bool) -> None:
        """A writer has recovered; ``last`` is the one before it, ``newest``: no later one has opened already."""

    def advanced(self, opening: Opening, vdl: int) -> None:
        """A writer's VDL goes to ``vdl`` (``opening.vdl`` is what it was), and its clients are told."""

    def proposed(self, opening: Opening, proposal: Descriptor) -> None:
        """A writer proposes a descriptor; ``opening.committed`` is what it changes."""

    def committed(self, opening: Opening, descriptor: Descriptor) -> None:
        """A writer's proposal is committed; ``opening.committed`` is what held before."""

    def took(self, node: SimNode, descriptor: pb.Descriptor) -> None:
        """A node said that it has taken a descriptor."""

    def told(self, vdl: int, pgmrpl: int) -> None:
        """A writer puts these hints into a message to a node."""

    def claimed(self, node: SimNode, epoch: int, scls: Iterable[tuple[int, int]]) -> None:
        """A node told somebody its SCLs."""

    def acked(self, node: SimNode, request: pb.AppendRequest) -> None:
        """A node acknowledged an append."""

    def truncated(self, node: SimNode, span: truncation.Range) -> None:
        """A node says that it has written a truncation range."""

    def crashed(self, node: SimNode) -> None:
        """A node is about to lose its memory."""

    def wiped(self, node: SimNode) -> None:
        """A node has lost its disk, and with it all that it promised."""

    def restarted(self, node: SimNode) -> None:
        """A node runs again."""

    def log(self, held: HeldLog) -> None:
        """The log of one segment, as of now."""

    def node(self, node: SimNode) -> None:
        """A node that is up, as of now."""

    def read(self, read: PageRead) -> None:
        """A page that a node served, or said to have collected."""

    def finished(self, nodes: Sequence[SimNode]) -> None:
        """The run is over, everything healed."""


class AcknowledgedNeverLost(Checker):
    """A commit is told to be durable when four of six hold it, under the committed descriptor and under the one that is
    proposed, a change of the fleet leaves it so, what a node claims survives its crash, and each later recovery finds
    it.
    """

    name = "acknowledged-never-lost"
    promise = "an acknowledged commit is never lost"

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._highest: dict[tuple[str, int], int] = {}
        self._claims: dict[tuple[str, int], int] = {}
        self._joined: dict[tuple[str, int], int] = {}
        """(Node, PG) → the group's membership epoch in which it was made a candidate: its word counts from there on."""

    def claimed(self, node: SimNode, epoch: int, scls: Iterable[tuple[int, int]]) -> None:
        for pg, scl in scls:
            key = node.name, pg
            self._claims[key] = scl
            if key not in self._joined or _membership_known(node, pg) >= self._joined[key]:
                self._highest[key] = max(self._highest.get(key, 0), scl)

    def proposed(self, opening: Opening, proposal: Descriptor) -> None:
        self._count(opening)
        groups = opening.committed.groups
        for pg, group in enumerate(proposal.groups[: len(groups)]):
            for slot in group.slots:
                if slot.candidate and not groups[pg].slot_of(slot.candidate):
                    self._joined[slot.candidate, pg] = group.membership_epoch
                    self._highest.pop((slot.candidate, pg), None)

    def _count(self, opening: Opening) -> None:
        """Other descriptors decide from now on: what has been held by enough nodes until now stays acknowledged."""
        for pg in opening.history.pgs:
            for lsn in sorted((scl for (_, at), scl in self._highest.items() if at == pg), reverse=True):
                holders = self._holders(pg, lsn)
                if all(pg < len(held.groups) and enough(holders, held, pg) for held in opening.in_force):
                    opening.reached[pg] = max(opening.reached.get(pg, 0), lsn)
                    break

    def committed(self, opening: Opening, descriptor: Descriptor) -> None:
        self._count(opening)
        for pg, group in enumerate(opening.committed.groups):
            for slot, now in zip(group.slots, descriptor.groups[pg].slots, strict=True):
                if now.member != slot.member:
                    told = (now.member, pg) in self._highest
                    self.require(told, f"{now.member} becomes a member of PG {pg}, and has never said that it is full")
            lsn = opening.history.pg_last(pg, opening.vdl)
            if lsn:
                self._require_held(f"{opening.name} commits {descriptor.version}", descriptor, pg, lsn, settled=True)

    def crashed(self, node: SimNode) -> None:
        if node.core is not None:  # a truncation or damage may have lowered it since it was claimed
            for pg, segment in node.core.segments.items():
                key = node.name, pg
                self._claims[key] = min(self._claims.get(key, 0), segment.scl)

    def wiped(self, node: SimNode) -> None:
        # What it acknowledged before still counts for its commits: these are the copies that may be lost.
        for key in [key for key in self._claims if key[0] == node.name]:
            del self._claims[key]

    def restarted(self, node: SimNode) -> None:
        core = node.core
        if core is None or node.rotten:
            return
        for (name, pg), claim in sorted(self._claims.items()):
            if (
                name == node.name
                and pg in core.pgs
                and pg not in core.hollow
                and claim
                and not truncation.is_void(core.truncations, claim)
            ):
                found = core.segments[pg].scl if pg in core.segments else 0
                self.require(
                    found >= claim, f"{name} claimed PG {pg} up to {claim}, and has it up to {found} after a crash"
                )
        for pg, segment in sorted(core.segments.items()):
            if pg in core.hollow:
                continue  # its pages are being overwritten in place, and it counts nowhere
            for page_no in self.ledger.pages_of(pg):
                try:
                    segment.store.read(page_no - segment.first_page)
                except InvariantViolation as error:
                    self.require(False, f"{node.name} after a crash: {error}")

    def advanced(self, opening: Opening, vdl: int) -> None:
        for pg in opening.history.pgs:
            lsn = opening.history.pg_last(pg, vdl)
            if lsn > max(opening.history.pg_last(pg, opening.vdl), opening.reached.get(pg, 0)):
                for descriptor in opening.in_force:
                    self._require_held(f"{opening.name} acknowledges {vdl}", descriptor, pg, lsn)

    def _require_held(self, what: str, descriptor: Descriptor, pg: int, lsn: int, settled: bool = False) -> None:
        holders = self._holders(pg, lsn)
        self.require(
            pg < len(descriptor.groups) and enough(holders, descriptor, pg, settled),
            f"{what} under {descriptor.version}, but PG {pg} has {lsn} on {sorted(holders)} only",
        )

    def _holders(self, pg: int, lsn: int) -> set[str]:
        return {name for (name, at), scl in self._highest.items() if at == pg and scl >= lsn}

    def opened(self, opening: Opening, last: Opening | None, newest: bool) -> None:
        vdl = opening.vdl_found
        if newest:
            known = self.ledger.acknowledged
            self.require(vdl >= known, f"{opening.name} recovered VDL {vdl}, but {known} was acknowledged")
        if vdl:
            self.require(
                opening.history.at(vdl) is not None,
                f"{opening.name} recovered VDL {vdl}, which is no record of {last.name if last else 'anybody'}",
            )
            for pg in opening.history.pgs:
                lsn = opening.history.pg_last(pg, vdl)
                self._require_held(f"{opening.name} recovered VDL {vdl}", opening.found, pg, lsn)

    def finished(self, nodes: Sequence[SimNode]) -> None:
        current = self.ledger.current
        if current is not None:
            self.require(current.vdl >= self.ledger.acknowledged, f"the VDL ends at {current.vdl}")


class DescriptorKept(Checker):
    """A descriptor is committed once enough nodes have taken it, by the old membership and by the new, and each later
    writer goes by it or by one that came after it.
    """

    name = "descriptor-kept"
    promise = "a committed change of the fleet is never lost"

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._taken: dict[str, tuple[int, int]] = {}

    def took(self, node: SimNode, descriptor: pb.Descriptor) -> None:
        version = descriptor.proposer_epoch, descriptor.generation
        self._taken[node.name] = max(self._taken.get(node.name, version), version)

    def committed(self, opening: Opening, descriptor: Descriptor) -> None:
        old = opening.committed
        takers = {name for name, version in self._taken.items() if version >= descriptor.version}
        for pg, group in enumerate(descriptor.groups):
            before = old.groups[pg] if pg < len(old.groups) else None
            if pg and group == before:
                continue
            for held in (old, descriptor) if before is not None else (descriptor,):
                self.require(
                    enough(takers, held, pg),
                    f"{opening.name} commits {descriptor.version}, which {sorted(takers)} have taken only",
                )
        for later in self.ledger.openings[self.ledger.openings.index(opening) + 1 :]:
            self._require_found(later, descriptor)

    def opened(self, opening: Opening, last: Opening | None, newest: bool) -> None:
        if last is not None:
            self._require_found(opening, last.committed)

    def _require_found(self, opening: Opening, known: Descriptor) -> None:
        found = opening.found
        self.require(
            found.membership_epoch >= known.membership_epoch
            and len(found.groups) >= len(known.groups)
            and found.index_of.keys() >= known.index_of.keys()
            and (found.membership_epoch > known.membership_epoch or found.groups[: len(known.groups)] == known.groups),
            f"{opening.name} goes by {found.groups}, but {known.version} was committed: {known.groups}",
        )


class NothingHalfThere(Checker):
    """A recovered VDL ends an MTR, no void record comes back, a log holds its history's records and no others, and
    money is neither made nor lost.
    """

    name = "nothing-half-there"
    promise = "nothing unacknowledged is half there"

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._spans: dict[str, set[truncation.Range]] = {}

    def truncated(self, node: SimNode, span: truncation.Range) -> None:
        self._spans.setdefault(node.name, set()).add(span)

    def wiped(self, node: SimNode) -> None:
        self._spans.pop(node.name, None)

    def restarted(self, node: SimNode) -> None:
        known = node.core.truncations if node.core is not None else []
        for span in sorted(self._spans.get(node.name, ())):
            self.require(
                truncation.effective([*known, span]) == known, f"{node.name} has forgotten the truncation {span}"
            )

    def opened(self, opening: Opening, last: Opening | None, newest: bool) -> None:
        change = opening.history.at(opening.vdl_found)
        if change is not None:
            self.require(change.cpl, f"{opening.name} recovered VDL {change.lsn}, in the middle of an MTR")

    def log(self, held: HeldLog) -> None:
        current = self.ledger.current
        for _, lsn in held.records:
            if truncation.is_void(held.truncations, lsn):
                self.require(False, f"{held.node.name} holds record {lsn} of PG {held.pg}, which it knows to be void")
        if current is None or not held.informed:
            return
        known = current.history.lsns(held.pg)
        upto = bisect_right(known, held.scl)
        truth = known[bisect_right(known, held.collected_lsn) : upto]
        found = [lsn for _, lsn in held.records if lsn <= current.vdl]
        self.require(
            found == [lsn for lsn in truth if lsn <= current.vdl],
            f"{held.node.name} PG {held.pg} holds {found[-5:]} up to {held.scl}, the history has {truth[-5:]}",
        )

    def balance(self, total: int, point: int) -> None:
        """The bank's money at a read point."""
        self.require(total == 0, f"the accounts hold {total} at {point}: part of a transfer is there")


class SameBytes(Checker):
    """A read at an LSN gives the model's page, LSN included, from whichever copy and however late."""

    name = "same-bytes"
    promise = "a read at an LSN returns the same bytes on every copy and for ever while it is held"

    def read(self, read: PageRead) -> None:
        if read.image.behind or read.image.collected:
            return
        expected = read.opening.history.page(read.page_no, read.point)
        found = read.image.image or None
        if found != expected:
            differ = [i for i, (a, b) in enumerate(zip(found or b"", expected or b"", strict=False)) if a != b]
            lsn = int.from_bytes(found[:8], "little") if found else None
            self.require(
                False,
                f"page {read.page_no} at {read.point} is wrong on {read.node}: its LSN is {lsn}, {len(differ)} bytes"
                f" differ from {differ[:1]} on",
            )
        self.exercised += 1


class VdlForward(Checker):
    """A writer's VDL only rises, a recovered one is not below its predecessor's, no node is told more than is durable
    or believes more than it was told.
    """

    name = "vdl-forward"
    promise = "VDL never goes back except by recovery's truncation, and never past an acknowledged commit"

    def opened(self, opening: Opening, last: Opening | None, newest: bool) -> None:
        if last is not None:
            self.require(
                opening.vdl_found >= last.vdl,
                f"{opening.name} recovered VDL {opening.vdl_found}, but {last.name} had reached {last.vdl}",
            )

    def advanced(self, opening: Opening, vdl: int) -> None:
        self.require(vdl > opening.vdl, f"VDL of {opening.name} went from {opening.vdl} to {vdl}")
        change = opening.history.at(vdl)
        self.require(change is not None and change.cpl, f"VDL {vdl} of {opening.name} is no end of an MTR")

    def told(self, vdl: int, pgmrpl: int) -> None:
        reached = max([self.ledger.acknowledged, *(opening.vdl_found for opening in self.ledger.openings)])
        self.require(vdl <= reached, f"a writer tells nodes of VDL {vdl}, {reached} is durable")

    def node(self, node: SimNode) -> None:
        if node.core is not None:
            told = self.ledger.told_vdl
            self.require(node.core.vdl <= told, f"{node.name} believes VDL {node.core.vdl}, {told} was told")


class OneWriter(Checker):
    """A node that took a newer epoch acknowledges no older one; a superseded writer is acknowledged nothing beyond what
    the newer one recovered; no two writers share an epoch.
    """

    name = "one-writer"
    promise = "at most one volume epoch's writer gets acks"

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._epochs: dict[str, int] = {}

    def claimed(self, node: SimNode, epoch: int, scls: Iterable[tuple[int, int]]) -> None:
        self._epochs[node.name] = max(self._epochs.get(node.name, 0), epoch)

    def wiped(self, node: SimNode) -> None:
        self._epochs.pop(node.name, None)

    def restarted(self, node: SimNode) -> None:
        taken, now = self._epochs.get(node.name, 0), node.core.epoch if node.core is not None else 0
        self.require(now >= taken, f"{node.name} had adopted epoch {taken}, after a crash it is at {now}")

    def acked(self, node: SimNode, request: pb.AppendRequest) -> None:
        taken = self._epochs.get(node.name, 0)
        self.require(
            request.volume_epoch >= taken,
            f"{node.name} acknowledged epoch {request.volume_epoch} of {request.writer_id}, it had adopted {taken}",
        )

    def opened(self, opening: Opening, last: Opening | None, newest: bool) -> None:
        self.require(
            last is None or opening.epoch > last.epoch,
            f"{opening.name} opened with epoch {opening.epoch}, as {last.name if last else ''} did",
        )

    def advanced(self, opening: Opening, vdl: int) -> None:
        openings = self.ledger.openings
        for later in openings[openings.index(opening) + 1 :]:
            self.require(
                vdl <= later.vdl_found,
                f"{opening.name} was acknowledged {vdl}, {later.name} recovered only {later.vdl_found}",
            )


class SclNoGap(Checker):
    """The chain that a node holds from its collected LSN on is unbroken up to its SCL."""

    name = "scl-no-gap"
    promise = "SCL never claims a gap"

    def claimed(self, node: SimNode, epoch: int, scls: Iterable[tuple[int, int]]) -> None:
        for pg, scl in scls:
            segment = node.core.segments.get(pg) if node.core is not None else None
            if segment is not None:
                end = segment.entries[-1].last_lsn if segment.entries else segment.collected_lsn
                self.require(scl <= end, f"{node.name} claims PG {pg} up to {scl}, its chain ends at {end}")

    def log(self, held: HeldLog) -> None:
        at = held.collected_lsn
        for prev, lsn in held.records:
            if prev != at:
                self.require(False, f"{held.node.name} PG {held.pg}: record {lsn} follows {prev}, not {at}")
            at = lsn
        self.require(at == held.scl, f"{held.node.name} PG {held.pg}: SCL is {held.scl}, the chain held ends at {at}")


class CollectedBelowPgmrpl(Checker):
    """No node gives up a version that some read point told to it may still need."""

    name = "collected-below-pgmrpl"
    promise = "collected versions were below PGMRPL"

    def node(self, node: SimNode) -> None:
        core, told = node.core, self.ledger.told_pgmrpl
        if core is not None:
            for pg, segment in sorted(core.segments.items()):
                self.require(
                    segment.collected_lsn <= told,
                    f"{node.name} has collected PG {pg} to {segment.collected_lsn}, PGMRPL is {told}",
                )

    def read(self, read: PageRead) -> None:
        if read.image.collected:
            self.require(
                not read.held,
                f"{read.node} has collected page {read.page_no} above the read point {read.point}, which is held",
            )


class SixEqualCopies(Checker):
    """At the end each copy has all of the log, then all of it in its page store, byte for byte the same."""

    name = "six-equal-copies"
    promise = "after the faults stop, everything converges to six equal copies"

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self.descriptor: Descriptor | None = None
        """Who is to hold what, by the last writer's word."""

    def holders(self, nodes: Sequence[SimNode], pg: int) -> list[SimNode]:
        """The nodes that are to hold the PG."""
        named = self.descriptor.groups[pg].holders() if self.descriptor is not None else ()
        return [node for node in nodes if node.name in named]

    def keepers(self, nodes: Sequence[SimNode], pg: int) -> list[SimNode]:
        """Those of them that keep its pages."""
        holders = self.holders(nodes, pg)
        return [node for node in holders if node.core is not None and not node.core.segment(pg).tail]

    def differences(self, nodes: Sequence[SimNode]) -> str:
        """Why the copies are not level yet; empty when each has the whole log."""
        current = self.ledger.current
        if current is None or self.descriptor is None:
            return "no writer has opened"
        for node in nodes:
            if node.core is None:
                return f"{node.name} is down"
            if node.name not in self.descriptor.index_of:
                continue
            known = node.core.descriptor
            if known is None or known.version != self.descriptor.version:
                return f"{node.name} knows descriptor {known and known.version}, not {self.descriptor.version}"
            if node.core.hollow:
                return f"{node.name} has hollow segments: {node.core.hollow}"
            if set(node.core.segments) != self.descriptor.groups_of(node.name):
                return f"{node.name} holds {sorted(node.core.segments)}, against the descriptor"
        for pg in current.history.pgs:
            last = current.history.lsns(pg)[-1]
            for node in self.holders(nodes, pg):
                segment = node.core.segment(pg) if node.core is not None else None
                if segment is None or segment.scl != last:
                    return f"{node.name} has PG {pg} up to {segment and segment.scl}, of {last}"
                if segment.pending:
                    return f"{node.name} has entries of PG {pg} behind its end"
        return ""

    def uncoalesced(self, nodes: Sequence[SimNode]) -> str:
        """Why not all pages are in the page stores yet; empty when they are."""
        for node in nodes:
            for pg, segment in sorted(node.core.segments.items()) if node.core is not None else ():
                if segment.tail:
                    continue
                for page_no in self.ledger.pages_of(pg):
                    try:
                        segment.base(page_no)
                    except InvariantViolation as error:  # found now, if not before: a peer's copy will come
                        return f"{node.name} waits for repair: {error}"
                if segment.collected_lsn != segment.scl:
                    return f"{node.name} PG {pg} is coalesced to {segment.collected_lsn}, of {segment.scl}"
        return ""

    def finished(self, nodes: Sequence[SimNode]) -> None:
        current = self.ledger.current
        missing = self.differences(nodes) or self.uncoalesced(nodes)
        self.require(not missing, missing)
        for pg in current.history.pgs if current is not None else ():
            for page_no in self.ledger.pages_of(pg):
                expected = current.history.page(page_no, current.vdl) if current is not None else None
                for node in self.keepers(nodes, pg):
                    segment = node.core.segment(pg) if node.core is not None else None
                    stored = segment.base(page_no) if segment is not None else None
                    self.require(
                        (bytes(stored) if stored is not None else None) == expected,
                        f"the stored page {page_no} of {node.name} is not the model's",
                    )


def _membership_known(node: SimNode, pg: int) -> int:
    """The group's membership epoch as the node knows it; 0 when it knows none."""
    descriptor = node.core.descriptor if node.core is not None else None
    return descriptor.groups[pg].membership_epoch if descriptor is not None and pg < len(descriptor.groups) else 0


CATALOGUE: Final[tuple[type[Checker], ...]] = (
    AcknowledgedNeverLost,
    DescriptorKept,
    NothingHalfThere,
    SameBytes,
    VdlForward,
    OneWriter,
    SclNoGap,
    CollectedBelowPgmrpl,
    SixEqualCopies,
)


class Checks:
    """All checkers over one ledger: what nodes (``NodeWatch``) and writers tell, and inspections from outside."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.half = NothingHalfThere(ledger)
        self.copies = SixEqualCopies(ledger)
        special = {NothingHalfThere: self.half, SixEqualCopies: self.copies}
        self.all: list[Checker] = [special.get(kind) or kind(ledger) for kind in CATALOGUE]

    # What nodes tell

    def answered(self, node: SimNode, method: str, request: Message, reply: Message) -> None:
        """See ``NodeWatch``."""
        if method in ("Fence", "Status", "Gossip"):
            adopted = reply.epoch if method == "Fence" else reply.volume_epoch
            scls = [(state.pg, state.scl) for state in reply.pgs if not state.hollow]
            for checker in self.all:
                checker.claimed(node, adopted, scls)

        elif method == "Truncate" and reply.ok:
            for checker in self.all:
                checker.truncated(node, (request.range.epoch, request.range.vdl, request.range.upper))
        if method in ("Truncate", "WriteDescriptor") and reply.ok and request.HasField("descriptor"):
            for checker in self.all:
                checker.took(node, request.descriptor)

    def acked(self, node: SimNode, request: pb.AppendRequest, reply: pb.AppendReply) -> None:
        """See ``NodeWatch``."""
        if not reply.error and not reply.refused_membership:
            for checker in self.all:
                checker.acked(node, request)
                checker.claimed(node, request.volume_epoch, [(entry.pg, entry.lsn) for entry in reply.scl])

    def crashed(self, node: SimNode) -> None:
        """See ``NodeWatch``."""
        for checker in self.all:
            checker.crashed(node)

    def wiped(self, node: SimNode) -> None:
        """See ``NodeWatch``."""
        for checker in self.all:
            checker.wiped(node)

    def restarted(self, node: SimNode) -> None:
        """See ``NodeWatch``."""
        for checker in self.all:
            checker.restarted(node)

    # What writers tell

    def told(self, vdl: int, pgmrpl: int) -> None:
        """A writer puts these hints into a message."""
        for checker in self.all:
            checker.told(vdl, pgmrpl)
        self.ledger.told_vdl = max(self.ledger.told_vdl, vdl)
        self.ledger.told_pgmrpl = max(self.ledger.told_pgmrpl, pgmrpl)

    def opened(self, name: str, epoch: int, vdl: int, descriptor: Descriptor) -> Opening:
        """A writer has recovered for writing."""
        # One that was paused at the end of its recovery may open after a newer one: too late, but harmless.
        ledger = self.ledger
        openings = ledger.openings
        place = bisect_right([opening.epoch for opening in openings], epoch)
        last = openings[place - 1] if place else None
        history = last.history.upto(vdl) if last else History(ledger.pages_per_pg)
        opening = Opening(name, epoch, vdl, vdl, history, descriptor, descriptor)
        for checker in self.all:
            checker.opened(opening, last, place == len(openings))
        openings.insert(place, opening)
        return opening

    def proposed(self, opening: Opening, proposal: Descriptor) -> None:
        """A writer has proposed a descriptor: from now on that decides too."""
        for checker in self.all:
            checker.proposed(opening, proposal)
        opening.proposal = proposal

    def committed(self, opening: Opening, descriptor: Descriptor) -> None:
        """A writer's proposal is committed: from now on that decides alone."""
        for checker in self.all:
            checker.committed(opening, descriptor)
        self.ledger.steps.update(steps(opening.committed, descriptor))
        opening.committed, opening.proposal = descriptor, None

    def advanced(self, opening: Opening, vdl: int) -> None:
        """A writer's VDL has advanced to ``vdl``, and its clients were told."""
        for checker in self.all:
            checker.advanced(opening, vdl)
        opening.vdl = vdl
        self.ledger.acknowledged = max(self.ledger.acknowledged, vdl)

    def read(self, read: PageRead) -> None:
        """A page was served."""
        for checker in self.all:
            checker.read(read)

    # Looking at the nodes

    def inspect(self, nodes: Sequence[SimNode], point: int) -> None:
        """Compare every node that is up with the model; reads are as of ``point``, at most the VDL."""
        current = self.ledger.current
        if current is None:
            return
        with installed(lambda _: False):
            for node in nodes:
                if node.core is None:
                    continue
                informed = self._informed(node, current)
                for pg in sorted(node.core.segments):
                    held = _held_log(node, pg, informed)
                    if held is not None:
                        for checker in self.all:
                            checker.log(held)
                for checker in self.all:
                    checker.node(node)
                if informed:
                    self._read_all(node, current, point)

    def _informed(self, node: SimNode, current: Opening) -> bool:
        # A node that has not heard of the last truncation may still take void records for its chain: such a one is
        # never asked, for the writer connects only after it has told it.
        if node.core is None or node.core.epoch < current.epoch:
            return False
        first = self.ledger.openings[0] is current
        return first or current.epoch in {epoch for epoch, _, _ in node.core.truncations}

    def _read_all(self, node: SimNode, current: Opening, point: int) -> None:
        held = point >= self.ledger.told_pgmrpl
        for pg in self.ledger.pgs():
            pg_lsn = current.history.pg_last(pg, point)
            if not pg_lsn:
                continue
            request = pb.ReadPagesRequest(volume_id=node.core.volume_id if node.core else b"")
            for page_no in self.ledger.pages_of(pg):
                request.pages.add(page_no=page_no, pg_lsn=pg_lsn, read_point=point)
            reply = node.serve("ReadPages", request)
            for image in reply.pages if reply is not None else ():
                self.read(PageRead(node.name, image.page_no, point, image, current, held))

    def finished(self, nodes: Sequence[SimNode]) -> None:
        """The run is over."""
        with installed(lambda _: False):
            for checker in self.all:
                checker.finished(nodes)


def _held_log(node: SimNode, pg: int, informed: bool) -> HeldLog | None:
    """The segment's log, as the node serves it to peers; None when damage was found in it just now."""
    core = node.core
    if core is None:
        return None
    segment = core.segments[pg]
    version = segment.version
    request = pb.FetchLogRequest(volume_id=core.volume_id, pg=pg, after_lsn=segment.collected_lsn)
    records = list(_records(node.serve("FetchLog", request) or [], segment.collected_lsn, segment.scl))
    if segment.version != version:
        return None
    return HeldLog(node, pg, segment.collected_lsn, segment.scl, records, core.truncations, informed)


def _records(replies: Iterable[pb.FetchLogReply], after_lsn: int, scl: int) -> Iterator[tuple[int, int]]:
    at = after_lsn
    for reply in replies:
        for batch in batches.split(reply.batches):
            prev = batch.prev_lsn
            for lsn, *_ in redo.scan(batch.records, batch.prev_lsn):
                if lsn > scl:
                    return
                if lsn > at:  # else it is in two batches, cut differently
                    yield prev, lsn
                    at = lsn
                prev = lsn
