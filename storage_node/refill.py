"""Refill: the stored pages of a segment taken over from its peers, range by range, several peers at a time.

::

    begin ─ survey (who has collected how far) ─ ask ranges ─ check ─ place ─ [sync] ─ note in meta ─ … ─ adopt baseline
                                                └ fetch the log after the floor at the same time

Gossip says that a segment needs it: its peers have collected log that it lacks. Each range comes with what its source
had collected when it read it; the lowest of these LSNs is the baseline. With the log after the baseline on top, a page
is right at every LSN from its own on, and the segment refuses reads below that. The sources coalesce and collect as
they like meanwhile: nothing is held for a refill. What makes that safe is that the log comes first: the *floor* is an
LSN from which on this node has, or is fetching, all log; pages of a source that has collected less are not taken. When
some of that log has gone everywhere, the floor rises, and the ranges taken below it are asked for again
(docs/decisions/refill.md has the proof).

Pages go in place with no double write, since no range counts before it is synced: a torn page is found by its checksum
when the segment serves at all, and its range is asked for again. The meta file says which ranges are done; a restarted
node goes on with the others. One segment is refilled at a time; nothing else writes its page file meanwhile.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from aurora.errors import InvariantViolation
from aurora.page import PAGE_BYTES
from aurora.rpc import storage_pb2 as pb
from storage_node.effects import Call, Effect, SyncFile
from storage_node.page_range import RANGE_PAGES_MAX, holes, open_reply, unsound
from storage_node.repairs import PAGES
from storage_node.segment import Segment

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from storage_node.node import AnyNode

IN_FLIGHT_MAX = 8
IN_FLIGHT_PEER_MAX = 2
SYNC_BYTES = 32 << 20
SURVEY_S = 0.5
"""How long the peers have to say what they have collected, before those that have are enough."""
CHECK_S = 0.5
BACKOFF_S = 1.0
"""How long a peer that failed, or the disk that refused, is left alone."""
WRITTEN_S = 1.0
"""The volume counts as being written to for so long after its VDL has moved."""
FETCH_TIMEOUT_S = 120.0

logger = logging.getLogger(__name__)


class Heard(NamedTuple):
    """What a peer has of a PG. ``pages``: it gives pages, for its segment is neither hollow nor a tail."""

    collected_lsn: int
    scl: int
    pages: bool


@dataclass(eq=False)
class Range:
    """Pages of the segment, and the LSN up to which they are known to be whole; 0 while some are missing."""

    first: int
    count: int
    lsn: int = 0
    cpl: int = 0
    pieces: int = 0
    """Pieces that are asked for or wait to be."""


@dataclass(eq=False)
class Piece:
    """What one request asks for: a whole range, or one page of it that came damaged. ``refused``: peers that could not
    give that page.
    """

    range: Range
    first: int
    count: int
    checked: bool = False
    refused: set[str] = field(default_factory=set)
    paid_s: float = 0.0
    """Time that the limit of the rate took for it."""


@dataclass
class Job:
    """One segment's refill."""

    segment: Segment
    began_s: float
    heard: set[str] = field(default_factory=set)
    """Peers that have told their state since it began."""
    floor: int = 0
    """No page of a source that has collected less is taken; 0 during the survey."""
    end: int = 0
    """Pages of the segment; behind it none is stored, so the source of range 0 says."""
    todo: deque[Piece] = field(default_factory=deque)
    flying: dict[int, tuple[Call, Piece]] = field(default_factory=dict)
    """The calls under way by their ``id``; they are the very objects that come back."""
    written: list[Range] = field(default_factory=list)
    syncing: list[Range] = field(default_factory=list)
    done: list[Range] = field(default_factory=list)
    unsynced_bytes: int = 0
    unsynced: bool = False
    """Whether the page file has changed since its last sync: bytes, or holes in place of pages."""
    sync_out: bool = False
    log_call: Call | None = None
    ahead: int = 0
    """Highest SCL that peers had at the last look at the log."""
    check_s: float = 0.0
    seen_vdl: int = -1
    written_s: float = -WRITTEN_S
    """When the VDL last moved."""
    allowed_s: float = 0.0
    """When the next range may be asked for."""
    backoff: dict[str, float] = field(default_factory=dict)
    bytes_by_peer: dict[str, int] = field(default_factory=dict)
    told_tenths: int = 0

    def asked_of(self, peer_id: str) -> int:
        """Requests under way at the peer."""
        return sum(call.peer_id == peer_id for call, _ in self.flying.values())


class Refill:
    """The refills of one node."""

    def __init__(self, node: AnyNode) -> None:
        self._node = node
        self._job: Job | None = None
        self._heard: dict[int, dict[str, Heard]] = {}
        """PG → peer → what it said last."""
        self._range_pages = min(max(1, int(node.config.refill_range_kb * 1024) // PAGE_BYTES), RANGE_PAGES_MAX)

    # --- what others ask

    def holds(self, pg: int) -> bool:
        """Whether the PG's page file is this module's alone: no coalescing, no repair."""
        return self._job is not None and self._job.segment.pg == pg

    @property
    def busy(self) -> bool:
        """Whether it waits for something that only a tick notices."""
        job = self._job
        if job is None:
            return False
        return not job.floor or bool(job.todo and len(job.flying) < IN_FLIGHT_MAX and self._limit())

    def owns(self, call: Call) -> bool:
        """Whether the call is one of the refill under way."""
        job = self._job
        return job is not None and (call is job.log_call or id(call) in job.flying)

    def states(self) -> list[pb.RefillState]:
        """Progress, for the node's status."""
        job = self._job
        if job is None:
            return []
        received = sum(job.bytes_by_peer.values())
        elapsed_s = max(self._node.clock.monotonic() - job.began_s, 0.001)
        return [
            pb.RefillState(
                pg=job.segment.pg, pages_done=min(_pages(job.done), job.end), pages_total=job.end,
                bytes_done=received, bytes_per_s=int(received / elapsed_s), peers=sorted(job.bytes_by_peer),
            )
        ]  # fmt: skip

    def hear(self, peer_id: str, states: list[pb.PgState]) -> None:
        """What a peer has of each PG."""
        for state in states:
            pages = state.pg in self._node.pgs and not state.hollow and not self._node.is_tail(peer_id, state.pg)
            self._heard.setdefault(state.pg, {})[peer_id] = Heard(state.collected_lsn, state.scl, pages)
        if self._job is not None:
            self._job.heard.add(peer_id)

    def forget(self, pg: int) -> None:
        """The PG is held by others now, and its page file goes."""
        self._heard.pop(pg, None)
        if self._job is not None and self._job.segment.pg == pg:
            self._job = None
            self._node.gossip.repairs.end(pg, failed=True)

    def keep_notes(self, pgs: frozenset[int]) -> None:
        """Drop what the meta file is to say of refills of other PGs; the caller writes it."""
        refills = self._node.meta.value.refills
        kept = [note for note in refills if note.pg in pgs]
        del refills[:]
        refills.extend(kept)

    # --- beginning

    def begin(self, segment: Segment) -> list[Effect]:
        """Refill the segment, unless another is being refilled; every peer is asked for its state first."""
        if self._job is not None:
            return []
        node = self._node
        self._job = Job(segment, node.clock.monotonic())
        logger.info("PG %d: peers have collected what this node lacks above %d: refill", segment.pg, segment.scl)
        return [
            Call(peer_id, address, "Gossip", node.gossip_request()) for peer_id, address in sorted(node.peers().items())
        ]

    def _start(self, job: Job, now: float) -> None:
        """The survey is over and nobody else writes the page file: choose the floor, plan."""
        node, segment = self._node, job.segment
        ahead = {
            peer_id: heard.collected_lsn
            for peer_id, heard in self._heard.get(segment.pg, {}).items()
            if heard.pages and heard.collected_lsn > segment.scl
        }
        if not ahead:
            self._job = None
            return
        try:
            node.hollow.begin(segment)
            segment.store.forget_torn()
        except OSError as error:
            node.refused_by_disk(error, "pages")
            job.began_s = now
            return
        # The lowest: that peer has the log from there on, and every one further on can give pages.
        job.floor = min(ahead.values())
        node.gossip.repairs.begin(segment.pg, PAGES, ", ".join(sorted(ahead)), now)
        job.seen_vdl = node.vdl
        job.began_s, job.check_s = now, now
        saved = next((refill for refill in node.meta.value.refills if refill.pg == segment.pg), None)
        if saved is not None:
            job.end = saved.end
        for old in saved.done if saved is not None else ():
            for first in range(old.first, old.first + old.count, self._range_pages):
                count = min(self._range_pages, old.first + old.count - first)
                job.done.append(Range(first, count, old.collected_lsn, old.collected_cpl))
        covered = {page for old in job.done for page in range(old.first, old.first + old.count)}
        job.done, low = [r for r in job.done if r.lsn >= job.floor], [r for r in job.done if r.lsn < job.floor]
        for old in low:
            self._again(job, old)
        if 0 not in covered:
            self._again(job, Range(0, self._range_pages))
            covered.update(range(self._range_pages))
        self._plan(job, [page for page in range(job.end) if page not in covered])
        if saved is not None:
            logger.info("PG %d: refill goes on, %d of %d pages are there", segment.pg, _pages(job.done), job.end)

    def _plan(self, job: Job, pages: list[int]) -> None:
        """Queue the pages, ascending, in ranges."""
        start = 0
        for at in range(1, len(pages) + 1):
            if at == len(pages) or pages[at] != pages[at - 1] + 1 or at - start == self._range_pages:
                self._again(job, Range(pages[start], at - start))
                start = at

    @staticmethod
    def _again(job: Job, wanted: Range) -> None:
        wanted.lsn = wanted.cpl = 0
        wanted.pieces = 1
        job.todo.append(Piece(wanted, wanted.first, wanted.count))

    # --- asking

    def tick(self, now: float) -> list[Effect]:
        """Go on with what waited for time to pass."""
        job = self._job
        if job is None:
            return []
        if not job.floor:
            peers = self._node.peers()
            surveyed = now >= job.began_s + SURVEY_S or job.heard.issuperset(peers)
            if not surveyed or self._node.coalescer.touches(job.segment):
                return []
            self._start(job, now)
        return self._go_on(now)

    def _go_on(self, now: float) -> list[Effect]:
        job = self._job
        if job is None or not job.floor:
            return []
        effects: list[Effect] = self._check_log(job, now) if now >= job.check_s else []
        effects += self._ask(job, now)
        effects += self._sync(job)
        if not (job.todo or job.flying or job.written or job.sync_out):
            effects += self._check_log(job, now)
            if not job.todo:
                self._finish(job)
        return effects

    def _limit(self) -> float:
        """Bytes a second; 0 = none. The VDL moves while somebody writes, whose throughput comes first then."""
        node, job = self._node, self._job
        limits = [node.config.refill_mb_s]
        if job is not None:
            now = node.clock.monotonic()
            if node.vdl != job.seen_vdl:
                job.seen_vdl, job.written_s = node.vdl, now
            if now - job.written_s < WRITTEN_S:
                limits.append(node.config.refill_busy_mb_s)
        return min((limit for limit in limits if limit), default=0.0) * 1e6

    def _ask(self, job: Job, now: float) -> list[Effect]:
        node, effects = self._node, []
        peers = node.peers()
        limit = self._limit()
        while job.todo and len(job.flying) < IN_FLIGHT_MAX and now >= job.allowed_s:
            peer_id = self._source(job, job.todo[0], peers, now)
            if not peer_id:
                job.todo.rotate(-1)
                break
            piece = job.todo.popleft()
            request = pb.FetchRangeRequest(
                volume_id=node.volume_id, pg=job.segment.pg, first=piece.first, count=piece.count, floor_lsn=job.floor,
                checked=piece.checked, membership_epoch=node.membership_epoch,
            )  # fmt: skip
            call = Call(peer_id, peers[peer_id], "FetchRange", request)
            job.flying[id(call)] = (call, piece)
            effects.append(call)
            if limit:
                piece.paid_s = piece.count * PAGE_BYTES / limit
                job.allowed_s = max(job.allowed_s, now) + piece.paid_s
        return list(effects)

    def _source(self, job: Job, piece: Piece, peers: dict[str, str], now: float) -> str:
        """The least asked peer that has what the piece needs; empty when there is none now."""
        heard = self._heard.get(job.segment.pg, {})
        able = [p for p in sorted(peers) if p in heard and heard[p].pages and heard[p].collected_lsn >= job.floor]
        if piece.refused.issuperset(able):
            piece.refused.clear()  # one of them may have been repaired meanwhile
            for peer in able:
                job.backoff[peer] = now + BACKOFF_S
        free = [
            peer
            for peer in able
            if peer not in piece.refused
            and job.backoff.get(peer, 0.0) <= now
            and job.asked_of(peer) < IN_FLIGHT_PEER_MAX
        ]
        return min(free, key=job.asked_of, default="")

    # --- the log after the floor

    def _check_log(self, job: Job, now: float) -> list[Effect]:
        """Fetch what is missing between the floor and the log that the writer's stream brings."""
        job.check_s = now + CHECK_S
        if job.log_call is not None:
            return []
        node, segment = self._node, job.segment
        heard = self._heard.get(segment.pg, {})
        reach, gap_end = segment.reach(job.floor)
        ahead = max((told.scl for told in heard.values()), default=0)
        first_look, behind = not job.ahead, reach < min(job.ahead, ahead)
        job.ahead = ahead
        if not (first_look or behind or gap_end) or reach >= max(job.ahead, gap_end):
            return []
        having = {peer: told for peer, told in heard.items() if told.scl > reach}
        peers = node.peers()
        holders = sorted(
            peer
            for peer, told in having.items()
            if told.collected_lsn <= reach and peer in peers and job.backoff.get(peer, 0.0) <= now
        )
        if holders:
            peer_id = node.rng.choice(holders)
            request = pb.FetchLogRequest(
                volume_id=node.volume_id, pg=segment.pg, after_lsn=reach, upto_lsn=gap_end,
                membership_epoch=node.membership_epoch,
            )  # fmt: skip
            job.log_call = Call(peer_id, peers[peer_id], "FetchLog", request, streaming=True, timeout_s=FETCH_TIMEOUT_S)
            return [job.log_call]
        lsns = [told.collected_lsn for told in having.values()]
        pages = [told.collected_lsn for told in having.values() if told.pages]
        if pages and min(lsns) > reach:
            self._raise_floor(job, min(pages))
        return []

    def _raise_floor(self, job: Job, floor: int) -> None:
        """The log after ``reach`` is nowhere any more: only pages from ``floor`` on are of use."""
        logger.info(
            "PG %d: log after %d has gone everywhere, the refill's floor is %d", job.segment.pg, job.floor, floor
        )
        job.floor = floor
        for held in (job.written, job.done):
            low = [taken for taken in held if taken.lsn < floor]
            held[:] = [taken for taken in held if taken.lsn >= floor]
            for taken in low:
                self._again(job, taken)
        # What is being synced, or asked for now, is looked at when it comes.

    # --- replies

    def on_reply(self, call: Call, reply: Message) -> list[Effect]:
        """A reply to a call that ``owns`` says is of this module."""
        job = self._job
        if job is None:
            return []
        if call is job.log_call:
            if reply.collected:
                heard = self._heard.setdefault(job.segment.pg, {})
                pages = call.peer_id in heard and heard[call.peer_id].pages
                heard[call.peer_id] = Heard(reply.collected_lsn, reply.scl, pages)
            self._node.take_log(job.segment.pg, reply.batches)
            return []
        _, piece = job.flying.pop(id(call))
        self._take(job, call, piece, reply)
        return self._go_on(self._node.clock.monotonic())

    def on_end(self, call: Call) -> None:
        """The call's last reply has been handled."""
        job = self._job
        if job is not None and call is job.log_call:
            job.log_call = None
            job.check_s = 0.0

    def on_failed(self, call: Call, reason: str) -> None:
        """The call failed: another peer is asked."""
        job = self._job
        if job is None:
            return
        self._node.gossip.failed_calls += 1
        if call is job.log_call:
            job.log_call = None
        else:
            _, piece = job.flying.pop(id(call))
            job.todo.appendleft(piece)
            if piece.checked:
                piece.refused.add(call.peer_id)
                return
        logger.info("PG %d: %s from %s: %s", job.segment.pg, call.method, call.peer_id, reason)
        job.backoff[call.peer_id] = self._node.clock.monotonic() + BACKOFF_S

    def _take(self, job: Job, call: Call, piece: Piece, reply: pb.FetchRangeReply) -> None:
        node, taken = self._node, piece.range
        try:
            runs = open_reply(call.request, reply)
        except InvariantViolation as error:
            logger.error("%s gave what cannot be used: %s", call.peer_id, error)
            job.backoff[call.peer_id] = node.clock.monotonic() + BACKOFF_S
            job.todo.appendleft(piece)
            return
        damaged: list[int] = []
        try:
            empty = holes(call.request, runs)
            if piece.first == 0:
                empty.append((reply.end, max(0, job.segment.store.file_pages - reply.end)))
            self._make_holes(job, reply.floor_lsn, empty)
            for first, data in runs:
                damaged += self._place(job, first, data)
        except OSError as error:
            node.refused_by_disk(error, "pages")
            job.allowed_s = node.clock.monotonic() + BACKOFF_S
            job.todo.appendleft(piece)
            return
        node.refusals.clear("pages")
        received = sum(len(data) for _, data in runs)
        job.bytes_by_peer[call.peer_id] = job.bytes_by_peer.get(call.peer_id, 0) + received
        job.allowed_s -= piece.paid_s * (1 - received / (piece.count * PAGE_BYTES))  # holes cost nothing
        for page in damaged:
            # Torn by a write while it was read, or rotten: checked before it is sent, it tells which.
            logger.warning("page %d of PG %d came damaged from %s", page, job.segment.pg, call.peer_id)
            job.todo.appendleft(Piece(taken, page, 1, checked=True))
        taken.pieces += len(damaged) - 1
        if not taken.lsn or reply.collected_lsn < taken.lsn:
            taken.lsn, taken.cpl = reply.collected_lsn, reply.collected_cpl
        if piece.first == 0 and reply.end > job.end:
            # This source vouches that nothing is stored behind its end.
            self._plan(job, list(range(max(job.end, piece.range.count), reply.end)))
            job.end = reply.end
        if not taken.pieces:
            self._keep(job, taken, job.written)
        there = _pages(job.done) + _pages(job.syncing) + _pages(job.written)
        node.gossip.repairs.progress(job.segment.pg, received, there, job.end)

    def _make_holes(self, job: Job, floor_lsn: int, ranges: list[tuple[int, int]]) -> None:
        """What the source does not store was never written, or freed: it goes here as well, and so that nobody reads a
        hole as of an older LSN, the source's floor is taken over first.
        """
        node, segment = self._node, job.segment
        if floor_lsn > segment.floor_lsn:
            node.raise_floor(segment, floor_lsn)
        for first, count in ranges:
            job.unsynced |= segment.store.discard(first, count)
            segment.broken.difference_update(range(first, first + count))
            node.cache.drop_range(segment.first_page + first, segment.first_page + first + count)

    def _place(self, job: Job, first: int, data: bytes) -> list[int]:
        """Write the sound pages of a run; the indexes of the others."""
        node, segment = self._node, job.segment
        bad = unsound(data, segment.pg, first)
        start = 0
        for stop in [*bad, len(data) // PAGE_BYTES]:
            if stop > start:
                part = data if stop - start == len(data) // PAGE_BYTES else data[start * PAGE_BYTES : stop * PAGE_BYTES]
                segment.store.overwrite(first + start, part)
                job.unsynced_bytes += len(part)
                job.unsynced = True
                node.coalescer.stored_pages += stop - start
            start = stop + 1
        after = first + len(data) // PAGE_BYTES
        segment.broken.difference_update(set(range(first, after)).difference(first + at for at in bad))
        for index in range(first, after):
            node.cache.drop(segment.first_page + index)
        return [first + at for at in bad]

    def _keep(self, job: Job, taken: Range, where: list[Range]) -> None:
        """The range is whole; as of an LSN below a floor that has risen meanwhile, it must come again."""
        if taken.lsn < job.floor:
            self._again(job, taken)
        else:
            where.append(taken)

    # --- syncing

    def _sync(self, job: Job) -> list[Effect]:
        """Sync what is written, when it is much or the last."""
        if job.sync_out or not job.written:
            return []
        if job.unsynced_bytes < SYNC_BYTES and (job.todo or job.flying):
            return []
        job.syncing, job.written = job.written, []
        if not job.unsynced:  # nothing but holes behind the last page: there may not even be a file
            self._synced(job)
            return []
        job.unsynced_bytes, job.unsynced = 0, False
        job.sync_out = True
        return [SyncFile(job.segment.store.name)]

    def on_synced(self, name: str) -> list[Effect] | None:
        """A sync is done; None when it is not one of this module's."""
        job = self._job
        if job is None or not job.sync_out or name != job.segment.store.name:
            return None
        job.sync_out = False
        self._synced(job)
        return self._go_on(self._node.clock.monotonic())

    def _synced(self, job: Job) -> None:
        synced, job.syncing = job.syncing, []
        for taken in synced:
            self._keep(job, taken, job.done)
        self._note(job)
        tenths = 10 * _pages(job.done) // max(job.end, 1)
        if job.done and tenths > job.told_tenths:
            job.told_tenths = tenths
            state = self.states()[0]
            logger.info(
                "PG %d: refill %d %%, %d of %d pages, %.0f MB/s from %s",
                state.pg, min(100, 10 * tenths), state.pages_done, state.pages_total, state.bytes_per_s / 1e6,
                ", ".join(state.peers),
            )  # fmt: skip

    def _note(self, job: Job) -> None:
        """Say durably which ranges are done. When the disk refuses, a crash costs them, and no more."""
        value = self._node.meta.value
        self.keep_notes(self._node.pgs - {job.segment.pg})
        note = value.refills.add(pg=job.segment.pg, end=job.end)
        for taken in sorted(job.done, key=lambda taken: taken.first):
            last = note.done[-1] if note.done else None
            if last and last.first + last.count == taken.first and last.collected_lsn == taken.lsn:
                last.count += taken.count
            else:
                note.done.add(first=taken.first, count=taken.count, collected_lsn=taken.lsn, collected_cpl=taken.cpl)
        try:
            self._node.write_meta()
        except OSError as error:
            self._node.refused_by_disk(error, "meta")

    def _finish(self, job: Job) -> None:
        """Every range is there and durable: the segment's chain starts at the lowest of their LSNs."""
        lowest = min(job.done, key=lambda taken: taken.lsn)
        if lowest.lsn < job.floor or _pages(job.done) < job.end:
            raise InvariantViolation(
                f"PG {job.segment.pg}: refill of {_pages(job.done)} of {job.end} pages as of {lowest.lsn},"
                f" floor {job.floor}"
            )
        self._job = None
        node = self._node
        self.keep_notes(node.pgs - {job.segment.pg})
        node.gossip.repairs.end(job.segment.pg)
        node.adopt_baseline(job.segment, lowest.lsn, lowest.cpl)


def _pages(ranges: list[Range]) -> int:
    return sum(taken.count for taken in ranges)
