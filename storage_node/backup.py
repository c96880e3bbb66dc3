"""Backup staging: the hot log, snapshots of the pages and the timeline go to an object store, off the write path.

::

    Advance (VDL, each PG's last LSN) ─ Timeline ──────────────── V/time/…
    segment: chain up to the durable limit ─ Stager ───────────── V/pg-…/log/…        one object a second, or 4 MiB
    page store, as it stands ─ Snapshots ──────────────────────── V/pg-…/chunk/…, then V/pg-…/snapshot/…
    what is older than the window ─ Expiry ────────────────────── deleted

Input: ``step``, word from peers, the ends of the effects → output: ``PutObject``, ``ListObjects``, ``DeleteObjects``.
Sans-I/O; an append never waits for any of it. Every node has the log, one stages it (``Turn``); how far it is staged
travels with gossip.

Log that is coalesced and collected but not staged yet stays in the hot log's files: the coalescer hands its entries
over (``keep``) and they are released once some node has staged them. Beyond ``backup_hold_mb`` the oldest go all the
same, for a backup that is stuck must not fill the disk: the backup then has a hole, says so, and begins anew with a
snapshot.

Invariants: only log that can never become void is staged (``StorageNode.durable_limit``); a PG's objects follow each
other without a hole, except where the node said so; at most ``PUTS_MAX`` log objects are under way.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from aurora import batch as frames
from aurora.quorum import SEGMENTS
from aurora.rpc import storage_pb2 as pb
from storage_node import backup_objects as objects
from storage_node.backup_holes import NOTHING, HoleWatch, Told
from storage_node.backup_objects import Content, Kind, LogName, SnapshotName
from storage_node.backup_time import Timeline
from storage_node.backup_turn import StoreCalls, Turn
from storage_node.effects import ListObjects, PutObject, StoreEffect
from storage_node.hot_log import Entry, LogDamaged
from storage_node.segment import Segment
from storage_node.snapshots import Expiry, Snapshots

if TYPE_CHECKING:
    from storage_node.node import StorageNode

PUTS_MAX = 2
"""Log objects under way at once, over all PGs."""
PACE_S = 0.1
"""Time between two looks at the PGs."""
LIST_MAX = 1000
LIST_LOG, LIST_FIRST, LIST_SNAPSHOTS = range(3)

logger = logging.getLogger(__name__)

_last_lsn = attrgetter("last_lsn")


class PgStaging:
    """What a node knows of the backup of one PG."""

    def __init__(self, pg: int, staged: int = 0) -> None:
        self.pg = pg
        self.turn = Turn(staged)
        self.kept: list[Entry] = []
        """Collected entries that nobody has staged yet, in LSN order."""
        self.asking: set[int] = set()
        """Listings under way."""
        self.known = False
        """Whether the store has been asked what it holds, since this node's turn began."""
        self.empty = False
        """Whether the store held nothing of the PG when it was asked."""
        self.busy = False
        self.taken: list[frames.Batch] = []
        """What goes into the next object."""
        self.taken_bytes = 0
        self.snapshot: SnapshotName | None = None
        """The newest snapshot."""
        self.from_zero = False
        """Whether the log in the store begins with the PG's first record: then it needs no snapshot to begin with."""
        self.rebased = 0
        """The log in the store begins anew here, behind a hole that no snapshot has bridged yet; 0: it does not."""
        self.log_bytes = 0
        """Log staged by this node since the newest snapshot."""
        self.watch = HoleWatch()

    @property
    def staged(self) -> int:
        """The backup holds the PG's log up to here."""
        return self.turn.done

    def rest(self) -> None:
        """The turn is another node's: forget what was prepared."""
        self.known = False
        self.taken, self.taken_bytes = [], 0


class Stager:
    """The backup's side of one node; idle when there is no ``backup`` in its configuration."""

    def __init__(self, node: StorageNode[Any]) -> None:
        self._node = node
        self.on = bool(node.config.backup)
        self.calls = StoreCalls()
        self.pgs: dict[int, PgStaging] = {}
        self.timeline = Timeline(node, self.calls)
        self.snapshots = Snapshots(node, self)
        self.expiry = Expiry(node, self)
        self.next_s = 0.0
        """When ``step`` has something to do."""
        self.kept_bytes = 0
        self._puts = 0
        self._hole = ""
        self._out: list[StoreEffect] = []

    def pg(self, pg: int) -> PgStaging:
        """The PG's staging, made at first mention."""
        found = self.pgs.get(pg)
        if found is None:
            found = self.pgs[pg] = PgStaging(pg)
        return found

    def staged_lsn(self, pg: int) -> int:
        """What the PG's log is staged up to, as far as this node knows; 0 without a backup."""
        found = self.pgs.get(pg)
        return found.staged if found is not None else 0

    def staging_from(self, segment: Segment) -> int | None:
        """The log after what is staged that this node has follows this LSN; None without a backup."""
        if not self.on:
            return None
        staging = self.pg(segment.pg)
        return self._begin(segment, staging, staging.staged)

    @property
    def busy(self) -> bool:
        """Whether there is work that need not wait for anything."""
        return self.on and self.snapshots.busy

    @property
    def note(self) -> str:
        """What keeps the backup back; empty when nothing does."""
        if self.calls.problem:
            return f"the object store fails: {self.calls.problem} ({self.kept_bytes >> 20} MiB of log wait)"
        return self._hole

    # --- what the node tells

    def load(self, pg: int, staged_lsn: int) -> None:
        """At start: what the meta file says."""
        if self.on:
            self.pgs[pg] = PgStaging(pg, staged_lsn)

    def keep_loaded(self, segment: Segment, entry: Entry, truncations: Sequence[Any]) -> bool:
        """At start: whether an entry that the page store covers is still to be staged, and so is kept."""
        # A collected PG knows of every range below its collected LSN: what is void there is seen to be.
        if not self.on or (truncations and not segment.clip(entry, truncations)):
            return False
        if entry.last_lsn > segment.collected_lsn or entry.last_lsn <= self.staged_lsn(entry.pg):
            return False
        self._keep(entry)
        return True

    def keep(self, entries: Iterable[Entry]) -> list[Entry]:
        """The page store covers these entries: those that may be released now. The others are, once they are staged."""
        if not self.on:
            return list(entries)
        free = []
        for entry in entries:
            if entry.last_lsn <= self.staged_lsn(entry.pg):
                free.append(entry)
            else:
                self._keep(entry)
        while self.kept_bytes > self._node.config.backup_hold_mb * (1 << 20):
            free.append(self._give_up())
        return free

    def _keep(self, entry: Entry) -> None:
        kept = self.pg(entry.pg).kept
        kept.insert(bisect_right(kept, entry.last_lsn, key=_last_lsn), entry)
        self.kept_bytes += entry.length

    def _give_up(self) -> Entry:
        staging = max(self.pgs.values(), key=lambda staging: len(staging.kept))
        entry = staging.kept.pop(0)
        self.kept_bytes -= entry.length
        if not self._hole:
            logger.error(
                "the backup is stuck and %g MiB of log are held for it: the oldest go, from LSN %d of PG %d on",
                self._node.config.backup_hold_mb, entry.first_lsn, entry.pg,
            )  # fmt: skip
        self._hole = f"log of PG {staging.pg} up to {entry.last_lsn} was given up before it was staged"
        return entry

    def heard(self, state: pb.GossipRequest | pb.GossipReply) -> None:
        """A peer's word on what is staged."""
        if not self.on:
            return
        now = self._node.clock.monotonic()
        self.timeline.heard(state.staged_vdl, now)
        for told in state.pgs:
            if told.pg not in self._node.pgs:
                continue
            staging = self.pg(told.pg)
            begin = told.staging_from if told.HasField("staging_from") else NOTHING
            staging.watch.heard(state.node_id, Told(begin, told.scl, now))
            if staging.turn.heard(told.staged_lsn, now):
                self._release(staging)
                if not staging.turn.holding:
                    staging.rest()

    def forget(self, pg: int) -> list[Entry]:
        """The PG is held by others now: the entries that were kept for it, which are the caller's to release."""
        staging, kept = self.pgs.pop(pg, None), []
        if staging is not None:
            kept, staging.kept = staging.kept, []  # a put under way still has the staging
        self.kept_bytes -= sum(entry.length for entry in kept)
        return kept

    def point(self, vdl: int, pgs: Sequence[pb.PgLsn]) -> None:
        """The writer's word: the VDL and each PG's last LSN at or below it."""
        if self.on:
            self.timeline.point(vdl, pgs)

    def later(self, effect: StoreEffect) -> None:
        """Ask for this with the next step."""
        self._out.append(effect)

    def _release(self, staging: PgStaging) -> None:
        n = bisect_right(staging.kept, staging.staged, key=_last_lsn)
        if n:
            free = staging.kept[:n]
            del staging.kept[:n]
            self.kept_bytes -= sum(entry.length for entry in free)
            self._node.log.release(free)
            self._node.log.collect()

    def rank(self, pg: int) -> int:
        """This node's place in the order of those that may stage the PG; each PG begins with another node."""
        descriptor = self._node.descriptor
        if descriptor is None or pg not in self._node.pgs:
            return SEGMENTS
        members = [slot.member for slot in descriptor.groups[pg].slots if not slot.tail]
        if self._node.config.node_id not in members:
            return SEGMENTS  # a tail has no pages to stage, a candidate may lack some
        return (members.index(self._node.config.node_id) - pg) % len(members)

    # --- work

    def step(self, now: float) -> list[StoreEffect]:
        """Do one slice of work."""
        node = self._node
        if not self.on or node.descriptor is None or now < max(self.next_s, self.calls.not_before):
            return []
        self.next_s = now + PACE_S
        self._out += self.timeline.step(now, self.rank(0))
        for pg in sorted(node.segments):
            self._step_pg(node.segments[pg], self.pg(pg), now)
        self._out += self.snapshots.step(now)
        self._out += self.expiry.step(now)
        if self.snapshots.busy:
            self.next_s = now
        out, self._out = self._out, []
        return out

    def _step_pg(self, segment: Segment, staging: PgStaging, now: float) -> None:
        node, turn = self._node, staging.turn
        limit = node.durable_limit(segment)
        available = segment.last_lsn_upto(limit)
        if not turn.mine(available, now, self.rank(segment.pg) * node.config.takeover_s):
            return
        if not staging.known:
            self._look(segment, staging)
            return
        if staging.busy or self._puts >= PUTS_MAX:
            return
        # The age counts from the moment at which there was something to stage, or from the last object on.
        due = now - (turn.since or now) >= node.config.stage_age_s
        if not due and self._waiting_bytes(segment, staging) < node.config.stage_mb * (1 << 20):
            return
        if self._take(segment, staging, limit, now):
            self._put(staging)

    def _after(self, segment: Segment, staging: PgStaging, lsn: int) -> Iterator[Entry]:
        """Entries that end above ``lsn``, in LSN order."""
        kept = staging.kept
        for at in range(bisect_right(kept, lsn, key=_last_lsn), len(kept)):
            yield kept[at]
        for at in range(segment.target(lsn), len(segment.entries)):
            yield segment.entries[at]

    def _begin(self, segment: Segment, staging: PgStaging, lsn: int) -> int:
        """The LSN that this node's log after ``lsn`` follows; greater than ``lsn`` when some of it is not here."""
        first = next(self._after(segment, staging, lsn), None)
        return first.prev_lsn if first is not None else segment.collected_lsn

    def _waiting_bytes(self, segment: Segment, staging: PgStaging) -> int:
        enough = self._node.config.stage_mb * (1 << 20)
        waiting = 0
        for entry in self._after(segment, staging, staging.staged):
            waiting += entry.length
            if waiting >= enough:
                break
        return waiting

    def _take(self, segment: Segment, staging: PgStaging, limit: int, now: float) -> bool:
        """Gather the next object's batches, a slice at a time; True when they are together."""
        node = self._node
        deadline = now + node.config.slice_ms / 1000
        at = staging.taken[-1].last_lsn if staging.taken else staging.staged
        begin = self._begin(segment, staging, at)
        if begin > at:
            if not staging.taken:
                self._on_hole(staging, at, begin, now)
            return bool(staging.taken)
        for entry in self._after(segment, staging, at):
            if entry.last_lsn > limit or entry.prev_lsn > at:
                break
            if staging.taken_bytes >= node.config.stage_mb * (1 << 20):
                break
            try:
                batch = frames.clip(node.log.read(entry), entry.last_lsn)
            except LogDamaged as error:
                if entry.last_lsn > segment.collected_lsn:
                    node.log_damaged(segment, error)
                else:
                    logger.error("%s; another node will have to stage it", error)
                    staging.kept.remove(entry)
                    self.kept_bytes -= entry.length
                    node.log.release((entry,))
                return False
            if batch is not None:
                staging.taken.append(batch)
                staging.taken_bytes += len(batch.frame)
            at = entry.last_lsn
            if node.clock.monotonic() >= deadline:
                self.next_s = now
                return False
        return bool(staging.taken)

    def _put(self, staging: PgStaging) -> None:
        taken, size = staging.taken, staging.taken_bytes
        staging.taken, staging.taken_bytes = [], 0
        prev, last = taken[0].prev_lsn, taken[-1].last_lsn
        volume_id = self._node.volume_id
        content = Content(
            Kind.LOG, volume_id, staging.pg, pb.BackupLog(prev_lsn=prev, last_lsn=last),
            tuple(bytes(batch.frame) for batch in taken),
        )  # fmt: skip
        staging.busy = True
        self._puts += 1

        def ended() -> None:
            staging.busy = False
            self._puts -= 1

        def stored(_: Sequence[str]) -> None:
            ended()
            staging.log_bytes += size
            staging.from_zero = staging.from_zero or not prev
            staging.turn.advanced(last, self._node.clock.monotonic())
            self._release(staging)

        name = objects.log_name(volume_id, staging.pg, prev, last)
        self._out.append(self.calls.ask(PutObject(name, content), stored, ended))

    def _on_hole(self, staging: PgStaging, staged: int, prev: int, now: float) -> None:
        """The log after what is staged is not here. Others may have it; when none does, the backup begins anew."""
        node = self._node
        holders = node.descriptor.groups[staging.pg].holders() if node.descriptor is not None else ()
        peers = [node_id for node_id in holders if node_id != node.config.node_id]
        if staging.watch.may_come(staged, peers, now, node.config.hole_wait_s):
            return
        if staging.watch.look_first():
            staging.known = False
            return
        if staging.empty:
            logger.info("backup: PG %d had none so far, its log goes back no further than %d", staging.pg, prev)
            staging.turn.advanced(prev, now)
            staging.rebased = prev
            return
        self._hole = f"log of PG {staging.pg} after {staged} up to {prev} is in no object"
        logger.error("backup: %s; it goes on from there with a snapshot", self._hole)
        staging.turn.advanced(prev, now)
        staging.rebased, staging.from_zero = prev, False

    # --- what the store holds already

    def _look(self, segment: Segment, staging: PgStaging) -> None:
        if staging.asking:
            return
        volume_id, pg = self._node.volume_id, staging.pg
        # Log below what this node has is none that it could follow up, and there may be days of it.
        lowest = max(staging.staged, self._begin(segment, staging, staging.staged))
        logs = objects.log_folder(volume_id, pg)
        staging.empty = True
        for what, effect in (
            (LIST_LOG, ListObjects(logs, objects.log_from(volume_id, pg, lowest), LIST_MAX)),
            (LIST_FIRST, ListObjects(logs, "", 1)),
            (LIST_SNAPSHOTS, ListObjects(objects.snapshot_folder(volume_id, pg), "", 0)),
        ):
            self._list(segment, what, effect, lowest)

    def _list(self, segment: Segment, what: int, effect: ListObjects, lowest: int) -> None:
        staging = self.pg(segment.pg)
        staging.asking.add(what)

        def found(names: Sequence[str]) -> None:
            staging.asking.discard(what)
            self._found(staging, what, names, lowest)
            if what == LIST_LOG and len(names) == LIST_MAX:
                self._list(segment, what, ListObjects(effect.folder, names[-1], LIST_MAX), lowest)
            if not staging.asking:
                self._looked(segment, staging)

        self._out.append(self.calls.ask(effect, found, lambda: staging.asking.discard(what)))

    def _looked(self, segment: Segment, staging: PgStaging) -> None:
        staging.known = True

    def _found(self, staging: PgStaging, what: int, names: Sequence[str], lowest: int) -> None:
        staging.empty = staging.empty and not names
        if what == LIST_SNAPSHOTS:
            staging.snapshot = objects.parse_snapshot(names[-1]) if names else None
            return
        logs = [objects.parse_log(name) for name in names]
        if what == LIST_FIRST:
            staging.from_zero = bool(logs) and not logs[0].prev_lsn
            return
        reach = staging.staged
        for log in sorted(logs, key=_prev_lsn):
            # What covers the place where this node's log begins is as good as what it knows to be staged.
            if log.prev_lsn <= max(reach, lowest):
                reach = max(reach, log.last_lsn)
        if staging.turn.heard(reach, self._node.clock.monotonic()):
            staging.turn.holding = True
            self._release(staging)


def _prev_lsn(log: LogName) -> int:
    return log.prev_lsn
