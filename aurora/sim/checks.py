"""What must hold whatever fails: the model of the volume, and the checkers that compare it with the nodes.

Each opened writer has its own ``History``: the records of its predecessor up to the VDL that it recovered, then its
own. A broken promise raises ``CheckFailed``. The checks, by number in the messages:

1. an acknowledged commit is never lost: a later recovery's VDL lies at or above it;
2. nothing above a truncation comes back: a node's log holds no void record that it knows to be void, and what it holds
   at or below the VDL is exactly the history's;
3. a read at the VDL gives the same bytes on each node that covers it, and they equal the model's;
4. once a writer has opened, an older one is acknowledged nothing beyond what the newer one recovered;
5. the VDL never goes back;
6. an SCL never claims a gap: the chain held from the collected LSN on is unbroken up to it;
7. a recovered VDL never splits an MTR.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from aurora import batch as batches
from aurora import truncation
from aurora.geometry import Descriptor
from aurora.kernels import redo
from aurora.page import PAGE_BYTES
from aurora.rpc import storage_pb2 as pb
from aurora.sim.nodes import SimNode


class CheckFailed(Exception):
    """A promise was broken."""


@dataclass(frozen=True, slots=True)
class Change:
    """One record: ``data`` put at ``offset`` of ``page_no``; ``cpl``: it ends its MTR."""

    lsn: int
    page_no: int
    offset: int
    data: bytes
    cpl: bool


@dataclass
class History:
    """The records of one line of writers, by LSN."""

    changes: list[Change] = field(default_factory=list)

    def upto(self, lsn: int) -> History:
        """The part at or below ``lsn``."""
        return History([change for change in self.changes if change.lsn <= lsn])

    def page(self, page_no: int, lsn: int) -> bytes | None:
        """The page's content behind its LSN and checksum, as of ``lsn``; None when never written."""
        page, seen = bytearray(PAGE_BYTES), False
        for change in self.changes:
            if change.page_no == page_no and change.lsn <= lsn:
                page[change.offset : change.offset + len(change.data)] = change.data
                seen = True
        return bytes(page[redo.IMAGE_FROM :]) if seen else None

    def page_last(self, page_no: int) -> int:
        """LSN of the page's last record, 0 when it has none."""
        return max((change.lsn for change in self.changes if change.page_no == page_no), default=0)

    def lsns(self, pg: int, pages_per_pg: int) -> list[int]:
        """The LSNs of a protection group's records."""
        return [change.lsn for change in self.changes if change.page_no // pages_per_pg == pg]


@dataclass
class Opening:
    """A writer that opened: what it found, and how far it was acknowledged."""

    name: str
    epoch: int
    vdl_found: int
    vdl: int
    history: History


class Checker:
    """Follows the openings. ``acknowledged`` is the highest LSN that any writer told a client was durable."""

    def __init__(self, nodes: list[SimNode], pages: int, pages_per_pg: int) -> None:
        self.openings: list[Opening] = []
        self.acknowledged = 0
        self.commits = 0
        self.reads = 0
        self._nodes = nodes
        self._pages = pages
        self._pages_per_pg = pages_per_pg

    def opened(self, name: str, epoch: int, vdl: int) -> Opening:
        """A writer has recovered for writing. ``openings`` are in the order of their epochs."""
        # One that was paused at the end of its recovery may open after a newer one: too late, but harmless.
        place = bisect_right([opening.epoch for opening in self.openings], epoch)
        last = self.openings[place - 1] if place else None
        if place == len(self.openings) and vdl < self.acknowledged:
            raise CheckFailed(f"1: {name} recovered VDL {vdl}, but {self.acknowledged} was acknowledged")
        if last is not None and epoch == last.epoch:
            raise CheckFailed(f"4: {name} opened with epoch {epoch}, as {last.name} did")
        if last is not None and vdl < last.vdl:
            raise CheckFailed(f"5: {name} recovered VDL {vdl}, but {last.name} had reached {last.vdl}")
        opening = Opening(name, epoch, vdl, vdl, last.history.upto(vdl) if last else History())
        if vdl and (not opening.history.changes or opening.history.changes[-1].lsn != vdl):
            raise CheckFailed(f"1: {name} recovered VDL {vdl}, which is no record of {last and last.name}")
        if vdl and not opening.history.changes[-1].cpl:
            raise CheckFailed(f"7: {name} recovered VDL {vdl}, in the middle of an MTR")
        self.openings.insert(place, opening)
        return opening

    def advanced(self, opening: Opening, vdl: int) -> None:
        """A writer's VDL has advanced to ``vdl``, and its clients were told."""
        if vdl <= opening.vdl:
            raise CheckFailed(f"5: VDL of {opening.name} went from {opening.vdl} to {vdl}")
        opening.vdl = vdl
        self.acknowledged = max(self.acknowledged, vdl)
        for later in self.openings[self.openings.index(opening) + 1 :]:
            if vdl > later.vdl_found:
                raise CheckFailed(
                    f"4: {opening.name} was acknowledged {vdl}, {later.name} recovered only {later.vdl_found}"
                )

    def nodes_hold_the_truth(self) -> None:
        """Checks 2, 3 and 6 on every node that is up, as of now."""
        if not self.openings:
            return
        current = self.openings[-1]
        for node in self._nodes:
            if node.core is not None:
                self._check_log(node, current)
        for pg in range(-(-self._pages // self._pages_per_pg)):
            lsns = [lsn for lsn in current.history.lsns(pg, self._pages_per_pg) if lsn <= current.vdl]
            if lsns:
                self._check_reads(pg, lsns[-1], current)

    def _check_reads(self, pg: int, pg_lsn: int, current: Opening) -> None:
        request = pb.ReadPagesRequest(volume_id=b"v" * 16)
        for page_no in range(pg * self._pages_per_pg, min((pg + 1) * self._pages_per_pg, self._pages)):
            request.pages.add(page_no=page_no, pg_lsn=pg_lsn, read_point=current.vdl)
        expected = {page.page_no: current.history.page(page.page_no, current.vdl) for page in request.pages}
        for node in self._nodes:
            if node.core is None or pg not in node.core.segments or pg in node.core.filling:
                continue
            reply = node.serve("ReadPages", request)
            # A node that has not heard of the last truncations may still take void records for its chain: such a one is
            # never asked, for the writer connects only after it has told it.
            if reply is None or node.core is None or node.core.epoch < current.epoch or self._ignorant(node):
                continue
            for image in reply.pages:
                if image.behind:
                    continue
                if image.collected:
                    raise CheckFailed(
                        f"3: {node.name} has collected page {image.page_no} above the read point {current.vdl}"
                    )
                self.reads += 1
                found = image.image[redo.IMAGE_FROM :] if image.image else None
                if found != expected[image.page_no]:
                    raise CheckFailed(
                        f"3: page {image.page_no} at {current.vdl} (PG at {pg_lsn}) is wrong on {node.name}"
                    )

    def _ignorant(self, node: SimNode) -> bool:
        """Whether the node has not heard of the range that the current writer's recovery voided."""
        if node.core is None or len(self.openings) == 1:
            return False
        return self.openings[-1].epoch not in {epoch for epoch, _, _ in node.core.truncations}

    def _check_log(self, node: SimNode, current: Opening) -> None:
        core = node.core
        if core is None:
            return
        for pg, segment in sorted(core.segments.items()):
            at = segment.collected_lsn
            truth = current.history.lsns(pg, self._pages_per_pg)
            for reply in node.serve("FetchLog", pb.FetchLogRequest(volume_id=b"v" * 16, pg=pg, after_lsn=at)) or []:
                for batch in batches.split(reply.batches):
                    prev = batch.prev_lsn
                    for lsn, *_ in redo.scan(batch.records, batch.prev_lsn):
                        if lsn > segment.scl:
                            break
                        if truncation.is_void(core.truncations, lsn):
                            raise CheckFailed(
                                f"2: {node.name} holds record {lsn} of PG {pg}, which it knows to be void"
                            )
                        if lsn > at:  # else it is in two batches, cut differently
                            if prev != at:
                                raise CheckFailed(f"6: {node.name} PG {pg}: record {lsn} follows {prev}, not {at}")
                            at = lsn
                        prev = lsn
            if at != segment.scl:
                raise CheckFailed(f"6: {node.name} PG {pg}: SCL is {segment.scl}, the chain held ends at {at}")
            if core.epoch < current.epoch or self._ignorant(node):
                continue
            if segment.scl <= current.vdl and truth and segment.scl:
                place = bisect_right(truth, segment.scl)
                if not place or truth[place - 1] != segment.scl:
                    raise CheckFailed(f"2: {node.name} PG {pg}: SCL {segment.scl} is no record of the history")

    def all_caught_up(self, descriptor: Descriptor) -> None:
        """At the end, with everything healed: every node has all of the log of the PGs that it holds."""
        current = self.openings[-1]
        for node in self._nodes:
            if node.core is None:
                raise CheckFailed(f"{node.name} is down at the end")
            if node.name not in descriptor.index_of:
                continue
            if node.core.descriptor is None or node.core.descriptor.version != descriptor.version:
                raise CheckFailed(f"{node.name} does not know descriptor {descriptor.version}")
            if node.core.filling:
                raise CheckFailed(f"{node.name} is hollow still: {node.core.filling}")
            if node.core.pgs != descriptor.groups_of(node.name) or node.core.pgs != set(node.core.segments):
                raise CheckFailed(f"{node.name} holds {sorted(node.core.segments)}, against the descriptor")
            for pg in sorted(node.core.pgs):
                lsns = current.history.lsns(pg, self._pages_per_pg)
                scl = node.core.segment(pg).scl
                if lsns and scl != lsns[-1]:
                    raise CheckFailed(f"{node.name} PG {pg} has caught up to {scl} only, of {lsns[-1]}")
