"""Snapshots of a PG's pages for the backup, and the end of what has left the window.

A snapshot is the page store as it stands, chunk by chunk, while coalescing goes on: a page may already be newer than
the base, the LSN to which the store was collected when the snapshot began. So it is right, with the log after the base
on top, at every LSN from the highest page LSN in it on, and from the floor of its holes on (``upto_lsn``). Its manifest
is written last. A snapshot is due when as much log has been staged as the pages take, but no less than
``snapshot_log_mb``, or after ``snapshot_age_s``; and at once when the log in the store does not reach back to the PG's
first record and there is none.

Expiry keeps, of each PG, the newest snapshot that was complete before the window began, and all that came after its
base.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from aurora.object_store import DELETE_MAX
from aurora.rpc import storage_pb2 as pb
from storage_node import backup_objects as objects
from storage_node.backup_objects import Content, Kind
from storage_node.effects import DeleteObjects, ListObjects, PutObject, StoreEffect
from storage_node.page_store import page_lsn
from storage_node.segment import Segment

if TYPE_CHECKING:
    from storage_node.backup import PgStaging, Stager
    from storage_node.node import AnyNode

CHUNK_PAGES = 256
"""Pages an object, 2 MiB: what a node holds in memory for it."""
LOOK_S = 1.0
"""Time between two looks for a snapshot that is due."""
EXPIRE_S_MAX = 60.0


class Snapshot:
    """One that is being made."""

    def __init__(self, segment: Segment, wall_ms: int, node_id: str) -> None:
        self.segment = segment
        self.key = objects.snapshot_key(segment.collected_lsn, wall_ms, node_id)
        self.head = pb.BackupSnapshot(
            base_lsn=segment.collected_lsn,
            base_cpl=segment.collected_cpl,
            upto_lsn=segment.collected_lsn,
            wall_ms=wall_ms,
        )
        self.pages: Iterator[tuple[int, bytearray | None]] = segment.store.pages()
        self.chunk: list[tuple[int, bytearray]] = []
        self.read = False
        self.busy = False
        self.unwritten: PutObject | None = None
        """What the store did not take and gets again."""


class Snapshots:
    """Makes one snapshot at a time."""

    def __init__(self, node: AnyNode, stager: Stager) -> None:
        self._node = node
        self._stager = stager
        self._current: Snapshot | None = None
        self._next_s = 0.0
        self._last_s: dict[int, float] = {}
        """PG → when its newest snapshot was made, or this node first thought of one."""

    @property
    def busy(self) -> bool:
        """Whether there is something to do that waits for nothing."""
        work = self._current
        return work is not None and not work.busy and self._node.clock.monotonic() >= self._stager.calls.not_before

    def forget(self, pg: int) -> None:
        """The PG is held by others now: its snapshot, if one is being made, remains without a manifest."""
        if self._current is not None and self._current.segment.pg == pg:
            self._current = None

    def step(self, now: float) -> list[StoreEffect]:
        """Do one slice of work."""
        if self._current is None:
            if now < self._next_s:
                return []
            self._next_s = now + LOOK_S
            self._begin(now)
        work = self._current
        if work is None or work.busy:
            return []
        if work.unwritten is not None:
            return [self._ask(work, work.unwritten)]
        return self._go_on(work, now)

    def _begin(self, now: float) -> None:
        for pg, segment in sorted(self._node.segments.items()):
            if self._due(segment, self._stager.pg(pg), now):
                wall_ms = int(self._node.clock.wall() * 1000)
                self._current = Snapshot(segment, wall_ms, self._node.config.node_id)
                return

    def _due(self, segment: Segment, staging: PgStaging, now: float) -> bool:
        if not (staging.turn.holding and staging.known) or segment.broken or segment.tail:
            return False
        if not segment.collected_lsn or self._node.gossip.fetching(segment.pg):
            return False
        last_s = self._last_s.setdefault(segment.pg, now)
        held = staging.snapshot
        if staging.rebased or (held is None and not staging.from_zero):
            return segment.collected_lsn >= staging.rebased
        if held is not None and held.base_lsn >= segment.collected_lsn:
            return False
        config = self._node.config
        enough = max(config.snapshot_log_mb * (1 << 20), segment.store.file_bytes)
        return staging.log_bytes >= enough or (staging.log_bytes > 0 and now - last_s >= config.snapshot_age_s)

    def _go_on(self, work: Snapshot, now: float) -> list[StoreEffect]:
        deadline = now + self._node.config.slice_ms / 1000
        while len(work.chunk) < CHUNK_PAGES and not work.read:
            index, page = next(work.pages, (-1, None))
            if page is None:
                if index >= 0:
                    work.segment.broken.add(index)  # gossip repairs it; the snapshot begins anew after that
                    self._current = None
                    return []
                work.read = True
                break
            work.chunk.append((index, page))
            work.head.upto_lsn = max(work.head.upto_lsn, page_lsn(page))
            if self._node.clock.monotonic() >= deadline:
                return []
        volume_id, pg = self._node.volume_id, work.segment.pg
        if work.chunk:
            head = pb.BackupPages(base_lsn=work.head.base_lsn, chunk=work.head.chunks)
            name = objects.chunk_name(volume_id, pg, work.key, work.head.chunks)
            content = Content(Kind.PAGES, volume_id, pg, head, objects.pages_body(work.chunk))
            work.head.chunks += 1
            work.head.pages += len(work.chunk)
            work.chunk = []
        else:
            # A page that is missing here was never written, or freed at or below the floor.
            work.head.upto_lsn = max(work.head.upto_lsn, work.segment.floor_lsn)
            name = objects.snapshot_name(volume_id, pg, work.key, int(self._node.clock.wall() * 1000))
            content = Content(Kind.SNAPSHOT, volume_id, pg, work.head)
        return [self._ask(work, PutObject(name, content))]

    def _ask(self, work: Snapshot, effect: PutObject) -> StoreEffect:
        work.busy, work.unwritten = True, None
        manifests = objects.snapshot_folder(self._node.volume_id, work.segment.pg)

        def stored(_: Sequence[str]) -> None:
            work.busy = False
            if effect.name.startswith(f"{manifests}/"):
                self._finish(work, effect.name)

        def failed() -> None:
            work.busy, work.unwritten = False, effect

        return self._stager.calls.ask(effect, stored, failed)

    def _finish(self, work: Snapshot, name: str) -> None:
        if self._current is not work:
            return  # its PG was given to another node while the manifest was on its way
        staging = self._stager.pg(work.segment.pg)
        staging.bridge(objects.parse_snapshot(name))
        staging.log_bytes = 0
        self._last_s[work.segment.pg] = self._node.clock.monotonic()
        self._current = None


class Expiry:
    """Deletes what has left the window, of the PGs whose turn is this node's; a slice of each listing at a time."""

    def __init__(self, node: AnyNode, stager: Stager) -> None:
        self._node = node
        self._stager = stager
        self._next_s = 0.0
        self._turns: list[int] = []
        self._busy = 0

    def step(self, now: float) -> list[StoreEffect]:
        """Begin with the next PG when it is time."""
        if self._busy:
            return []
        if not self._turns:
            if now < self._next_s:
                return []
            window_s = self._node.config.backup_window_s
            self._next_s = now + min(window_s / 10, EXPIRE_S_MAX)
            self._turns = sorted(pg for pg, staging in self._stager.pgs.items() if staging.turn.holding)
            return self._times() if self._stager.timeline.turn.holding else []
        pg = self._turns.pop()
        return self._list(
            ListObjects(objects.snapshot_folder(self._node.volume_id, pg)), lambda names: self._snapshots(pg, names)
        )

    def _start_ms(self) -> int:
        return int((self._node.clock.wall() - self._node.config.backup_window_s) * 1000)

    def _ask(self, effect: StoreEffect, done: Any) -> StoreEffect:
        self._busy += 1

        def ended(names: Sequence[str] = ()) -> None:
            self._busy -= 1

        def listed(names: Sequence[str]) -> None:
            ended()
            done(names)

        return self._stager.calls.ask(effect, listed, ended)

    def _list(self, effect: ListObjects, done: Any) -> list[StoreEffect]:
        return [self._ask(effect, done)]

    def _delete(self, names: Sequence[str]) -> None:
        for at in range(0, len(names), DELETE_MAX):
            self._stager.later(self._ask(DeleteObjects(tuple(names[at : at + DELETE_MAX])), lambda _: None))

    def _times(self) -> list[StoreEffect]:
        def found(names: Sequence[str]) -> None:
            # An object ends where the same node's next one begins; others' may overlap it. A node's last one stays.
            start_ms = self._start_ms()
            begun, _ = objects.passing(names, lambda name: (objects.time_wall_ms(name), name))
            begun.sort(key=lambda one: (objects.time_node(one[1]), one[0]))
            self._delete(
                [
                    name
                    for (_, name), (then_ms, then) in pairwise(begun)
                    if then_ms < start_ms and objects.time_node(name) == objects.time_node(then)
                ]
            )

        return self._list(ListObjects(objects.time_folder(self._node.volume_id), "", DELETE_MAX), found)

    def _snapshots(self, pg: int, names: Sequence[str]) -> None:
        start_ms = self._start_ms()
        # It is right from ``upto_lsn`` on, which was reached at its end at the latest.
        snapshots, _ = objects.passing(names, objects.parse_snapshot)
        old = [snapshot for snapshot in snapshots if snapshot.end_ms <= start_ms]
        if not old:
            return
        keep = max(old)
        self._delete([snapshot.name for snapshot in old if snapshot.base_lsn < keep.base_lsn])
        volume_id = self._node.volume_id
        for folder, lsn_of, below in (
            (objects.log_folder(volume_id, pg), lambda name: objects.parse_log(name).last_lsn, keep.base_lsn + 1),
            (objects.chunk_folder(volume_id, pg), objects.chunk_base, keep.base_lsn),
        ):
            self._sweep(ListObjects(folder, "", DELETE_MAX), lsn_of, below)

    def _sweep(self, effect: ListObjects, lsn_of: Callable[[str], int], below: int) -> None:
        """Delete what belongs to lower LSNs; what is no object of a backup stays."""

        def found(names: Sequence[str]) -> None:
            held, _ = objects.passing(names, lambda name: (lsn_of(name), name))
            self._delete([name for lsn, name in held if lsn < below])

        self._stager.later(self._ask(effect, found))
