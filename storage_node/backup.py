"""Backup staging: the hot log, snapshots of the pages and the timeline go to an object store, off the write path.

::

    Advance (VDL, each PG's last LSN) ─ Timeline ──────────────── V/time/…
    segment: chain up to the durable limit ─ Stager ───────────── V/pg-…/log/…        one object a second, or 4 MiB
    page store, as it stands ─ Snapshots ──────────────────────── V/pg-…/chunk/…, then V/pg-…/snapshot/…
    what is older than the window ─ Expiry ────────────────────── deleted

Input: ``step``, word from peers, the ends of the effects → output: ``PutObject``, ``ListObjects``, ``DeleteObjects``.
Sans-I/O; an append never waits for any of it. Every node has the log, one stages it (``Turn``); how far it is staged
travels with gossip.

Log that is coalesced and collected but not staged yet stays in the hot log's files until some node has staged it
(``keep``, ``KeptLog``). Beyond ``backup_hold_mb`` of files that are there for the backup alone, or ``KEPT_SHARE`` of
the index memory, the oldest go all the same, for a backup that is stuck must fill neither the disk nor the memory: the
backup then has a hole, says so, and begins anew with a snapshot.

Invariants: only log that can never become void is staged (``StorageNode.durable_limit``); a PG's objects follow each
other without a hole, except where the node said so; at most ``PUTS_MAX`` log objects are under way.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from aurora import batch as frames
from aurora.batch import Batch
from aurora.quorum import SEGMENTS
from aurora.rpc import storage_pb2 as pb
from storage_node import backup_objects as objects
from storage_node.backup_holes import NOTHING, HoleWatch, Told
from storage_node.backup_kept import KeptDamaged, KeptLog, Run, last_lsn_of
from storage_node.backup_objects import Content, Kind, LogName, SnapshotName
from storage_node.backup_time import Timeline
from storage_node.backup_turn import StoreCalls, Turn
from storage_node.effects import ListObjects, PutObject, StoreEffect
from storage_node.hot_log import Entry, LogDamaged
from storage_node.segment import Segment
from storage_node.snapshots import Expiry, Snapshots

if TYPE_CHECKING:
    from aurora.truncation import Range
    from storage_node.node import AnyNode

PUTS_MAX = 2
"""Log objects under way at once, over all PGs."""
PACE_S = 0.1
"""Time between two looks at the PGs."""
KEPT_SHARE = 0.25
"""Of the index memory: what log that is kept for the backup may take."""
LIST_MAX = 1000
LIST_LOG, LIST_FIRST, LIST_SNAPSHOTS = range(3)

logger = logging.getLogger(__name__)


class PgStaging:
    """What a node knows of the backup of one PG."""

    def __init__(self, pg: int, staged: int = 0) -> None:
        self.pg = pg
        self.turn = Turn(staged)
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
        self.hole = ""
        """What is missing before ``rebased``; empty when the backup begins there."""
        self.log_bytes = 0
        """Log staged by this node since the newest snapshot."""
        self.given_up = 0
        """Log up to here was given up by this node before it was staged; 0: none was."""
        self.watch = HoleWatch()

    @property
    def staged(self) -> int:
        """The backup holds the PG's log up to here."""
        return self.turn.done

    def bridge(self, snapshot: SnapshotName) -> None:
        """This is the newest snapshot: what the backup holds from its base on needs nothing from before."""
        self.snapshot = snapshot
        if snapshot.base_lsn >= self.rebased:
            self.rebased, self.hole = 0, ""

    def rest(self) -> None:
        """The turn is another node's: forget what was prepared."""
        self.known = False
        self.taken, self.taken_bytes = [], 0


class Stager:
    """The backup's side of one node; idle when there is no ``backup`` in its configuration."""

    def __init__(self, node: AnyNode) -> None:
        self._node = node
        self.on = bool(node.config.backup)
        self.calls = StoreCalls()
        self.pgs: dict[int, PgStaging] = {}
        self.timeline = Timeline(node, self.calls)
        self.snapshots = Snapshots(node, self)
        self.expiry = Expiry(node, self)
        self.next_s = 0.0
        """When ``step`` has something to do."""
        self.kept = KeptLog(node.disk, node.log)
        self._bound_s = 0.0
        self._puts = 0
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
    def kept_bytes(self) -> int:
        """Log that is kept for the backup."""
        return self.kept.bytes

    @property
    def busy(self) -> bool:
        """Whether there is work that need not wait for anything."""
        return self.on and self.snapshots.busy

    @property
    def note(self) -> str:
        """What keeps the backup back; empty when nothing does."""
        if self.calls.problem:
            return f"the object store fails: {self.calls.problem} ({self.kept_bytes >> 20} MiB of log wait)"
        for pg, staging in sorted(self.pgs.items()):
            if staging.given_up > staging.staged:
                return f"log of PG {pg} up to {staging.given_up} was given up before it was staged"
            if staging.rebased and staging.turn.holding and staging.hole:
                return staging.hole
        return ""

    # --- what the node tells

    def load(self, pg: int, staged_lsn: int) -> None:
        """At start: what the meta file says."""
        if self.on:
            self.pgs[pg] = PgStaging(pg, staged_lsn)

    def keep_loaded(self, segment: Segment, entry: Entry, truncations: Sequence[Range]) -> bool:
        """At start: whether an entry that the page store covers is still to be staged, and so is kept."""
        # A collected PG knows of every range below its collected LSN: what is void there is seen to be.
        if not self.on or (truncations and not segment.clip(entry, truncations)):
            return False
        if entry.last_lsn > segment.collected_lsn or entry.last_lsn <= self.staged_lsn(entry.pg):
            return False
        self.kept.add(entry)
        self._node.log.release((entry,))
        return True

    def keep(self, entries: Iterable[Entry]) -> list[Entry]:
        """The page store covers these entries. All of them may be released: what is to be staged yet is kept."""
        held = list(entries)
        if self.on:
            for entry in held:
                if entry.pg in self._node.segments and entry.last_lsn > self.staged_lsn(entry.pg):
                    self.kept.add(entry)
        return held

    def _bound(self, now: float) -> None:
        """Give up the oldest of what is kept while it is too much, a file at a time."""
        node, kept = self._node, self.kept
        deadline = now + node.config.slice_ms / 1000
        while (number := self._surplus()) is not None:
            for pg, upto in sorted(kept.give_up(number).items()):
                staging = self.pg(pg)
                if staging.given_up <= staging.staged:
                    logger.error(
                        "the backup is stuck, and more than %g MiB of files or a quarter of the index memory are held"
                        " for it: the oldest log goes, of PG %d up to LSN %d and on",
                        node.config.backup_hold_mb, pg, upto,
                    )  # fmt: skip
                staging.given_up = max(staging.given_up, upto)
            node.log.collect()
            if node.clock.monotonic() >= deadline:
                break

    def _surplus(self) -> int | None:
        """The file that is to be given up next; None when none is."""
        node, kept = self._node, self.kept
        alone = kept.only_files()
        if sum(map(node.log.size, alone)) > node.config.backup_hold_mb * (1 << 20):
            return alone[0]
        if kept.index_bytes > node.memory.limit_bytes * KEPT_SHARE:
            return kept.files()[0]
        return None

    def evacuate(self, number: int, bytes_max: int) -> bool:
        """Move some of what is kept in a damaged log file to the log's end; the caller syncs. Whether there was any.
        OSError.
        """
        held = number in self._node.log.held
        for error in self.kept.evacuate(number, bytes_max):
            logger.error("%s; another node will have to stage it", error)
        return held

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

    def forget(self, pg: int) -> None:
        """The PG is held by others now: nothing is kept for it."""
        self.pgs.pop(pg, None)
        self.kept.forget(pg)

    def point(self, vdl: int, pgs: Sequence[pb.PgLsn]) -> None:
        """The writer's word: the VDL and each PG's last LSN at or below it."""
        if self.on:
            self.timeline.point(vdl, pgs)

    def later(self, effect: StoreEffect) -> None:
        """Ask for this with the next step."""
        self._out.append(effect)

    def _release(self, staging: PgStaging) -> None:
        if self.kept.drop(staging.pg, staging.staged):
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
        if not self.on or node.descriptor is None:
            return []
        if now >= self._bound_s:
            self._bound_s = now + PACE_S
            self._bound(now)
        if now < max(self.next_s, self.calls.not_before):
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

    def _after(self, segment: Segment, staging: PgStaging, lsn: int) -> Iterator[Run | Entry]:
        """What ends above ``lsn``, in LSN order."""
        kept = self.kept.of(staging.pg)
        for at in range(bisect_right(kept, lsn, key=last_lsn_of), len(kept)):
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
        try:
            for batch in self._batches(segment, staging, at):
                if batch.last_lsn > limit or batch.prev_lsn > at:
                    break
                if staging.taken_bytes >= node.config.stage_mb * (1 << 20):
                    break
                staging.taken.append(batch)
                staging.taken_bytes += len(batch.frame)
                at = batch.last_lsn
                if node.clock.monotonic() >= deadline:
                    self.next_s = now
                    return False
        except LogDamaged as error:
            node.log_damaged(segment, error)
            return False
        except KeptDamaged as error:
            if error.file_no not in node.log.damaged:
                logger.error("%s", error)
                node.log.damaged.add(error.file_no)  # the scrubber has it moved out of the file, or given up
            return False
        return bool(staging.taken)

    def _batches(self, segment: Segment, staging: PgStaging, lsn: int) -> Iterator[Batch]:
        """What ends above ``lsn``, in LSN order, without void records. LogDamaged; KeptDamaged."""
        for held in self._after(segment, staging, lsn):
            if isinstance(held, Run):
                yield from self.kept.read(held, lsn)
            else:
                batch = frames.clip(self._node.log.read(held), held.last_lsn)
                if batch is not None:
                    yield batch

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
            staging.rebased, staging.hole = prev, ""
            return
        staging.hole = f"log of PG {staging.pg} after {staged} up to {prev} is in no object"
        logger.error("backup: %s; it goes on from there with a snapshot", staging.hole)
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
            (LIST_FIRST, ListObjects(logs, "", LIST_MAX)),
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
        if what == LIST_SNAPSHOTS:
            snapshots, strays = objects.passing(names, objects.parse_snapshot)
            staging.snapshot = None
            if snapshots:
                staging.bridge(snapshots[-1])
                staging.empty = False
        else:
            logs, strays = objects.passing(names, objects.parse_log)
            staging.empty = staging.empty and not logs
        for name in strays:
            logger.warning("%s is no object of a backup: passed over", name)
        if what == LIST_FIRST:
            staging.from_zero = bool(logs) and not logs[0].prev_lsn
        elif what == LIST_LOG:
            self._reaches(staging, logs, lowest)

    def _reaches(self, staging: PgStaging, logs: list[LogName], lowest: int) -> None:
        """The store holds this log after what is staged, or after where this node's begins."""
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
