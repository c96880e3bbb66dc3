"""What a backup can bring back: from the names and the timeline in an object store to a plan for one LSN.

::

    names ─ Survey: per PG stretches of log, snapshots; the timeline ─ ranges() ─ resolve(LSN or time) ─ plan(lsn)

**When is LSN T complete?** A restore point (v, {PG: x}) with v ≥ T says that every record of a PG at or below v lies at
or below x. So a PG is complete at T when its staged chain reaches T, or reaches the x of some restore point at or above
T. It can be brought to T from a snapshot whose ``upto_lsn`` is ≤ T and from whose base the chain is unbroken; a PG
whose log is staged from its first record needs none. What every PG can be brought to, the volume can, down to the
highest consistency point at or below it.

Nothing of the fleet is asked. Damaged and missing objects are left out, remembered, and named to who wanted what they
held; so are objects that are none of a backup's. Time is linear in what there is; memory is 8 bytes a PG and restore
point (a day of 100 PGs: 66 MiB), and the names.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import accumulate, islice
from operator import itemgetter
from typing import Any, NamedTuple

from aurora import batch as frames
from aurora import truncation
from aurora.batch import Batch, BatchCorrupt
from aurora.kernels import redo
from aurora.kernels.python.mtr import NOTE_PG
from aurora.object_store import ObjectMissing, ObjectStore
from aurora.rpc import storage_pb2 as pb
from storage_node import backup_objects as objects
from storage_node.backup_objects import Kind, LogName, ObjectCorrupt, SnapshotName
from storage_node.restore_times import CommitTimes

READ_AHEAD = 4
"""Objects fetched at once; with their size, the memory that a restore needs."""

REMARKS_MAX = 20
"""Objects that are named at most."""

Range = tuple[int, int]
"""Lowest and highest LSN, both included."""


class RestoreError(Exception):
    """Something that the user should read: what cannot be restored, and what can."""


class Damaged(RestoreError):
    """An object that the plan needs is damaged or gone."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name


class Moment(NamedTuple):
    """The VDL as it was known to be durable then."""

    wall_ms: int
    vdl: int


class Points:
    """The restore points: ``(v, {PG: x})`` says that a PG's records at or below v lie at or below x."""

    def __init__(self) -> None:
        self._vdls = array("Q")
        self._lasts: dict[int, array[int]] = {}
        """PG → for each point its last LSN; from ``settle`` on the lowest in this point and those of higher VDLs."""

    @property
    def last_vdl(self) -> int:
        """The highest point's VDL; 0 when there is none."""
        return self._vdls[-1] if self._vdls else 0

    @property
    def pgs(self) -> Iterable[int]:
        """PGs that some point names."""
        return self._lasts.keys()

    def add(self, vdl: int, pgs: Iterable[pb.PgLsn]) -> None:
        """One more, in any order."""
        n = len(self._vdls)
        self._vdls.append(vdl)
        for last in pgs:
            lasts = self._lasts.setdefault(last.pg, array("Q"))
            if len(lasts) <= n:
                _pad(lasts, n)
                lasts.append(last.lsn)

    def settle(self) -> None:
        """All are there."""
        n = len(self._vdls)
        order = sorted(range(n), key=self._vdls.__getitem__)
        for pg, lasts in self._lasts.items():
            _pad(lasts, n)  # a PG that a point does not name has no record up to there
            in_order = array("Q", map(lasts.__getitem__, reversed(order)))
            self._lasts[pg] = array("Q", accumulate(in_order, min))
            self._lasts[pg].reverse()
        self._vdls = array("Q", map(self._vdls.__getitem__, order))

    def beyond(self, pg: int, end: int) -> int:
        """A PG whose chain reaches ``end`` is complete up to here."""
        lasts = self._lasts.get(pg)
        at = bisect_right(lasts, end) if lasts is not None else len(self._vdls)
        return max(end, self._vdls[at - 1]) if at else end


def _pad(lasts: array[int], length: int) -> None:
    lasts.frombytes(bytes(lasts.itemsize * (length - len(lasts))))


@dataclass
class PgObjects:
    """What the store holds of one PG. ``stretches``: ``(low, high]`` of unbroken log."""

    pg: int
    logs: list[LogName] = field(default_factory=list)
    snapshots: list[tuple[pb.BackupSnapshot, SnapshotName]] = field(default_factory=list)
    stretches: list[Range] = field(default_factory=list)

    def join(self) -> None:
        """Find the stretches."""
        self.logs.sort(key=_prev_lsn)
        self.stretches.clear()
        for log in self.logs:
            if self.stretches and log.prev_lsn <= self.stretches[-1][1]:
                low, high = self.stretches[-1]
                self.stretches[-1] = (low, max(high, log.last_lsn))
            else:
                self.stretches.append((log.prev_lsn, log.last_lsn))

    def reach(self, base: int) -> int:
        """How far the log goes on without a hole from ``base``."""
        at = bisect_right(self.stretches, base, key=itemgetter(0))
        return max(base, self.stretches[at - 1][1]) if at else base

    def starts(self) -> Iterator[tuple[int, int]]:
        """``(base, upto)`` of everything that a restore may begin with; the PG before its first record is one."""
        yield 0, 0
        for head, _ in self.snapshots:
            yield head.base_lsn, head.upto_lsn


@dataclass(frozen=True)
class PgPlan:
    """How to bring one PG to the LSN: a snapshot (None: from nothing), then these log objects."""

    pg: int
    snapshot: tuple[pb.BackupSnapshot, SnapshotName] | None
    logs: tuple[LogName, ...]


@dataclass(frozen=True)
class Plan:
    """How to bring the volume to ``lsn``, a consistency point; ``wall_ms``: see ``Survey.wall_ms_of``."""

    lsn: int
    wall_ms: int
    pgs: tuple[PgPlan, ...]


class Survey:
    """What the store holds of one volume."""

    def __init__(self, store: ObjectStore, volume_id: bytes) -> None:
        self.store = store
        self.volume_id = volume_id
        self.pgs: dict[int, PgObjects] = {}
        self.moments: list[Moment] = []
        """In order of time."""
        self.points = Points()
        self.damaged: dict[str, str] = {}
        """Object → what is wrong with it, or that it is none of a backup's."""
        self.descriptor: pb.Descriptor | None = None
        self.truncations: list[truncation.Range] = []
        self._read_names(store.list(volume_id.hex()))
        held = self.pgs.get(NOTE_PG)
        self.times = CommitTimes([] if held is None else list(held.logs), self._read_log, self.truncations)
        for pg in self.points.pgs:
            self.pgs.setdefault(pg, PgObjects(pg))

    def _read_log(self, log: LogName) -> list[Batch] | None:
        try:
            return read_log(self.store, log, self.volume_id)
        except Damaged:
            # The plan names it, if it needs it.
            return None

    def _read_names(self, names: Iterable[str]) -> None:
        timeline: list[str] = []
        manifests: dict[str, tuple[int, SnapshotName]] = {}
        for name in names:
            try:
                self._take_name(name, timeline, manifests)
            except ObjectCorrupt:
                self.damaged[name] = f"object {name} is none of a backup's: passed over"
        for held in self.pgs.values():
            held.join()
        for name, timeline_head in self._heads(timeline, Kind.TIMELINE):
            self._take_timeline(name, timeline_head)
        for name, head in self._heads(list(manifests), Kind.SNAPSHOT):
            pg, snapshot = manifests[name]
            self._pg(pg).snapshots.append((head, snapshot))
        self.moments.sort(key=_wall_ms)
        self.points.settle()

    def _take_name(self, name: str, timeline: list[str], manifests: dict[str, tuple[int, SnapshotName]]) -> None:
        match name.split("/")[1:]:
            case ["time", _]:
                objects.time_wall_ms(name)
                timeline.append(name)
            case [folder, "log", _]:
                log = objects.parse_log(name)
                self._pg(objects.parse_pg(folder)).logs.append(log)
            case [folder, "snapshot", _]:
                manifests[name] = objects.parse_pg(folder), objects.parse_snapshot(name)
            case [folder, "chunk", _, _]:
                objects.parse_pg(folder)
            case ["keys", *_]:
                pass
            case _:
                raise ObjectCorrupt(f"{name} is no name of a backup's")

    def _pg(self, pg: int) -> PgObjects:
        return self.pgs.setdefault(pg, PgObjects(pg))

    def _heads(self, names: list[str], kind: Kind) -> Iterator[tuple[str, Any]]:
        for name, found in fetch(self.store, names, kind, self.volume_id):
            if isinstance(found, Damaged):
                self.damaged[name] = str(found)
            else:
                yield name, found.head

    def _take_timeline(self, name: str, head: pb.BackupTimeline) -> None:
        if head.descriptor.volume_id != self.volume_id:
            self.damaged[name] = f"object {name} is of another volume"
            return
        for moment in head.moments:
            self.moments.append(Moment(moment.wall_ms, moment.vdl))
            if moment.pgs:
                self.points.add(moment.vdl, moment.pgs)
        if self.descriptor is None or _version(head.descriptor) >= _version(self.descriptor):
            self.descriptor = head.descriptor
        self.truncations = truncation.effective(
            [*self.truncations, *((t.epoch, t.vdl, t.upper) for t in head.truncations)]
        )

    def drop(self, name: str, reason: str) -> None:
        """An object turned out to be damaged: what can be restored without it?"""
        self.damaged[name] = reason
        for held in self.pgs.values():
            if not name.startswith(f"{objects.pg_folder(self.volume_id, held.pg)}/"):
                continue
            held.logs = [log for log in held.logs if log.name != name]
            held.snapshots = [
                (head, snapshot)
                for head, snapshot in held.snapshots
                if snapshot.name != name and f"/chunk/{snapshot.key}/" not in name
            ]
            held.join()

    def remarks(self) -> Iterator[str]:
        """What is wrong with objects, one by one; of many the first, and how many more there are."""
        yield from islice(self.damaged.values(), REMARKS_MAX)
        if len(self.damaged) > REMARKS_MAX:
            yield f"and {len(self.damaged) - REMARKS_MAX} more objects"

    # --- what can be restored

    def pg_ranges(self, held: PgObjects) -> list[Range]:
        """LSNs that the PG can be brought to."""
        return _joined((upto, self.points.beyond(held.pg, held.reach(base))) for base, upto in held.starts())

    def ranges(self) -> list[Range]:
        """LSNs that the volume can be brought to; each down to the consistency point below it."""
        if not self.points.last_vdl:
            return []
        found: list[Range] = [(1, self.points.last_vdl)]
        for held in self.pgs.values():
            found = _meet(found, self.pg_ranges(held))
        return found

    def wall_ms_of(self, lsn: int) -> int:
        """When the last commit at or below ``lsn`` was made, by the writer's clock; of a log without commits when
        ``lsn`` was first known to be durable. 0 when nothing says."""
        when = self.times.at(lsn)
        if when:
            return when
        return next((moment.wall_ms for moment in self.moments if moment.vdl >= lsn), 0)

    def at_time(self, wall_ms: int) -> int:
        """The LSN that has every commit up to that time, by the writer's clock, and none after it. In a log without
        commits: the VDL as of then."""
        if self.times.any:
            found = self.times.first_after(wall_ms)
            if found is None:
                return self.ranges()[-1][1]
            lsn, nothing_before = found
            if nothing_before:
                raise RestoreError(f"the backup begins after {time_text(wall_ms)}. {self.summary()}")
            return lsn - 1
        vdl = max((moment.vdl for moment in self.moments if moment.wall_ms <= wall_ms), default=0)
        if not vdl:
            raise RestoreError(f"the backup begins after {time_text(wall_ms)}. {self.summary()}")
        return vdl

    def summary(self) -> str:
        """What can be restored, in words."""
        ranges = self.ranges()
        if not ranges:
            text = f"Nothing can be restored from this backup{self._why(self.points.last_vdl)}."
        else:
            text = "It can be restored to " + ", or to ".join(
                f"LSN {low} to {high} ({time_text(self.wall_ms_of(low))} to {time_text(self.wall_ms_of(high))})"
                for low, high in ranges
            )
        return "\n".join((text, *self.remarks()))

    def check(self, lsn: int) -> Range:
        """The range that ``lsn`` lies in; RestoreError when it lies in none."""
        ranges = self.ranges()
        for low, high in ranges:
            if low <= lsn <= high:
                return low, high
        below = max((high for _, high in ranges if high < lsn), default=0)
        above = min((low for low, _ in ranges if low > lsn), default=0)
        nearest = " and ".join(
            f"{text} LSN {found}" for text, found in (("before it", below), ("after it", above)) if found
        )
        raise RestoreError(
            f"LSN {lsn} cannot be restored{self._why(lsn)}."
            + (f" The nearest that can: {nearest}." if nearest else "")
            + "".join(f"\n{reason}" for reason in self.remarks())
        )

    def _why(self, lsn: int) -> str:
        if not self.points.last_vdl:
            return ": it has no restore point"
        if lsn > self.points.last_vdl:
            return f": the last restore point is at {self.points.last_vdl}"
        for held in self.pgs.values():
            if not any(low <= lsn <= high for low, high in self.pg_ranges(held)):
                last = max(held.reach(base) for base, upto in held.starts() if upto <= lsn)
                then = min((low for low, _ in held.stretches if low > last), default=0)
                upto = f" up to {then} is missing" if then else " has not been staged"
                return f": log of PG {held.pg} after LSN {last}{upto}"
        return ""

    # --- the plan

    def plan(self, lsn: int) -> Plan:
        """The way to the highest consistency point at or below ``lsn``. RestoreError when there is none; Damaged."""
        low, _ = self.check(lsn)
        cpl = self._highest_cpl(lsn)
        if cpl < low:
            raise RestoreError(f"there is no consistency point between LSN {low} and {lsn}")
        pgs = [self._plan_pg(held, cpl) for _, held in sorted(self.pgs.items())]
        return Plan(cpl, self.wall_ms_of(cpl), tuple(pg for pg in pgs if pg.snapshot or pg.logs))

    def _plan_pg(self, held: PgObjects, lsn: int) -> PgPlan:
        best: tuple[pb.BackupSnapshot, SnapshotName] | None = None
        for snapshot in held.snapshots:
            head = snapshot[0]
            if head.upto_lsn <= lsn <= self.points.beyond(held.pg, held.reach(head.base_lsn)):
                if best is None or head.base_lsn > best[0].base_lsn:
                    best = snapshot
        base = best[0].base_lsn if best else 0
        end = held.reach(base)
        logs = tuple(log for log in held.logs if base < log.last_lsn and log.prev_lsn < min(lsn, end))
        return PgPlan(held.pg, best, logs)

    def _highest_cpl(self, lsn: int) -> int:
        # Each VDL was a consistency point; what a PG was collected to, has one that may be in no log any more.
        best = max((moment.vdl for moment in self.moments if moment.vdl <= lsn), default=0)
        for held in self.pgs.values():
            if best == lsn:
                break
            best = max([best, *(head.base_cpl for head, _ in held.snapshots if head.base_cpl <= lsn)])
            for log in sorted(held.logs, reverse=True):
                if log.prev_lsn >= lsn:
                    continue
                if log.last_lsn <= best:
                    break
                found = 0
                for batch in read_log(self.store, log, self.volume_id):
                    found = max(found, _cpl_upto(batch, lsn, self.truncations))
                best = max(best, found)
                if found:
                    break
        return best


def _version(descriptor: pb.Descriptor) -> tuple[int, int]:
    """Order of descriptors, as in ``aurora.geometry.Descriptor.version``."""
    return descriptor.proposer_epoch, descriptor.generation


def _cpl_upto(batch: Batch, lsn: int, void: list[truncation.Range]) -> int:
    if batch.first_lsn > lsn:
        return 0
    if batch.last_lsn <= lsn and not void:
        return batch.last_cpl
    cpls = (
        record[0]
        for record in redo.scan(batch.records, batch.prev_lsn)
        if record[0] <= lsn and record[4] & redo.FLAG_CPL and not truncation.is_void(void, record[0])
    )
    return max(cpls, default=0)


def read_log(store: ObjectStore, log: LogName, volume_id: bytes) -> list[Batch]:
    """The batches of a log object; Damaged."""
    return _batches(log.name, _fetch_one(store, log.name, Kind.LOG, volume_id))


def _batches(name: str, found: objects.Decoded | Damaged) -> list[Batch]:
    if isinstance(found, Damaged):
        raise found
    try:
        return frames.split(found.body)
    except BatchCorrupt as error:
        raise Damaged(name, f"object {name} is damaged: {error}") from error


def logs_of(store: ObjectStore, logs: Iterable[LogName], volume_id: bytes) -> Iterator[tuple[LogName, list[Batch]]]:
    """The log objects with their batches, in the order given, read ahead; Damaged."""
    held = list(logs)
    found = fetch(store, [log.name for log in held], Kind.LOG, volume_id)
    for log, (name, decoded) in zip(held, found, strict=True):
        yield log, _batches(name, decoded)


def _fetch_one(store: ObjectStore, name: str, kind: Kind, volume_id: bytes) -> objects.Decoded | Damaged:
    try:
        return objects.read(store, name, kind, volume_id)
    except ObjectCorrupt as error:
        return Damaged(name, str(error))
    except ObjectMissing:
        return Damaged(name, f"object {name} is missing")


def fetch(
    store: ObjectStore, names: Iterable[str], kind: Kind, volume_id: bytes
) -> Iterator[tuple[str, objects.Decoded | Damaged]]:
    """The objects in the order given, ``READ_AHEAD`` of them under way."""
    waiting = iter(names)
    with ThreadPoolExecutor(READ_AHEAD, "restore") as pool:

        def ask(name: str) -> tuple[str, Future[objects.Decoded | Damaged]]:
            return name, pool.submit(_fetch_one, store, name, kind, volume_id)

        asked = [ask(name) for name in islice(waiting, READ_AHEAD)]
        while asked:
            name, future = asked.pop(0)
            yield name, future.result()
            asked += [ask(name) for name in islice(waiting, 1)]


def volumes(store: ObjectStore) -> list[bytes]:
    """The volumes that have a backup here."""
    found: list[bytes] = []
    after = ""
    while names := store.list("", after, 1):
        head = names[0].partition("/")[0]
        try:
            volume_id = bytes.fromhex(head)
        except ValueError:
            volume_id = b""
        if len(volume_id) == 16:
            found.append(volume_id)
        after = f"{head}/~"
    return found


def time_text(wall_ms: int) -> str:
    """A moment as people write it."""
    return datetime.fromtimestamp(wall_ms / 1000, UTC).isoformat(sep=" ", timespec="milliseconds") if wall_ms else "?"


def _joined(ranges: Iterable[Range]) -> list[Range]:
    out: list[Range] = []
    for low, high in sorted(ranges):
        if out and low <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], high))
        else:
            out.append((low, high))
    return out


def _meet(one: list[Range], other: list[Range]) -> list[Range]:
    """What lies in both; each is in order and does not overlap."""
    found = []
    i = j = 0
    while i < len(one) and j < len(other):
        low, high = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if low <= high:
            found.append((low, high))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return found


def _prev_lsn(log: LogName) -> int:
    return log.prev_lsn


def _wall_ms(moment: Moment) -> int:
    return moment.wall_ms
