"""From histories to restored folders: every LSN of the window comes back as the model has it, or is refused by name."""

from __future__ import annotations

import errno
import os
import random
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from backup_tools import TARGET, BackupFleet
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_tools import PAGES_PER_PG, VOLUME, append

from aurora import batch
from aurora.kernels import redo
from aurora.object_store import MemoryStore
from aurora.page import PAGE_BYTES
from aurora.rpc import storage_pb2 as pb
from storage_node import backup_objects as objects
from storage_node import restore_plan
from storage_node.backup_objects import SnapshotName
from storage_node.effects import StoreEffect
from storage_node.restore import parse_at, restore, survey_of
from storage_node.restore_plan import PgObjects, Points, RestoreError, Survey
from storage_node.snapshots import Snapshot, Snapshots
from tests.log_rule import STORE_FAILS

pytestmark = pytest.mark.logs(r"is no object of a backup: passed over", STORE_FAILS)


@pytest.fixture(autouse=True, scope="module")
def unsynced() -> Iterator[None]:
    """Nobody cuts the power here, and syncs are most of what a small restore costs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda fd: None)
        yield


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_any_lsn_of_a_random_history_comes_back(seed: int) -> None:
    fleet = BackupFleet(seed, nodes=3, takeover_s=3, hole_wait_s=1e6)
    rng = fleet.rng
    cpls = []
    for _ in range(rng.randrange(5, 40)):
        luck = rng.random()
        if luck < 0.6:
            cpls.append(fleet.write(rng.randrange(1, 8), rng.choice((1, 1, 3))))
        elif luck < 0.7:
            fleet.point()
        elif luck < 0.75 and len(fleet.up) > 1:
            fleet.crash(rng.choice(fleet.up).config.node_id)
        elif luck < 0.8 and fleet.net.down:
            fleet.start(rng.choice(sorted(fleet.net.down)))
        elif luck < 0.85:
            fleet.store.broken = rng.choice(("", "no route to host"))
        else:
            fleet.net.tick(rng.randrange(1, 6), rng.choice((0.2, 1.0, 6.0)))
    fleet.store.broken = ""
    for name in sorted(fleet.net.down):
        fleet.start(name)
    cpls.append(fleet.write(3))
    fleet.settle(60, 1.0)
    survey = Survey(fleet.store, VOLUME)
    assert survey.ranges() == [(1, cpls[-1])]
    with tempfile.TemporaryDirectory() as folder:
        fleet.check(Path(folder) / "last", cpls[-1])
        for number in range(2):
            wanted = rng.randrange(cpls[0], cpls[-1] + 1)
            cpl = max(lsn for lsn in _cpls(fleet) if lsn <= wanted)
            fleet.check(Path(folder) / str(number), wanted, cpl)


def _cpls(fleet: BackupFleet) -> list[int]:
    found = set()
    for name, data in fleet.store.objects.items():
        if "/log/" in name:
            for held in batch.split(objects.decode(data).body):
                found |= {r[0] for r in redo.scan(held.records, held.prev_lsn) if r[4] & redo.FLAG_CPL}
    return sorted(found)


def _log_names(fleet: BackupFleet) -> list[str]:
    return [name for name in sorted(fleet.store.objects) if "/log/" in name]


def _snapshots(fleet: BackupFleet) -> list[str]:
    return [name for name in sorted(fleet.store.objects) if "/snapshot/" in name]


def test_snapshots_stand_in_for_log_that_is_gone(tmp_path: Path) -> None:
    fleet = BackupFleet(1, snapshot_age_s=2)
    for _ in range(30):
        fleet.write(20)
        fleet.settle(4)
    fleet.settle()
    assert len(_snapshots(fleet)) > 3
    last = objects.parse_snapshot(_snapshots(fleet)[-1])
    whole = fleet.writer.log.last_lsn
    fleet.check(tmp_path / "one", whole)
    pg = int(last.name.split("/")[1].removeprefix("pg-"))
    for name in list(fleet.store.objects):
        if f"/pg-{pg:010d}/log/" in name and objects.parse_log(name).last_lsn <= last.base_lsn:
            del fleet.store.objects[name]
    fleet.check(tmp_path / "two", whole)
    low = Survey(fleet.store, VOLUME).ranges()[0][0]
    assert low > 1
    with pytest.raises(RestoreError, match=f"The nearest that can: .*after it LSN {low}"):
        restore(fleet.store, str(low - 1), tmp_path / "three", TARGET)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_what_has_left_the_window_is_deleted_and_the_window_stays_whole(tmp_path: Path) -> None:
    fleet = BackupFleet(2, snapshot_age_s=2, backup_window_s=60)
    vdls = []
    for _ in range(60):
        vdls.append((fleet.clock.wall(), fleet.write(20)))
        fleet.settle(10)
    start = min(lsn for wall, lsn in vdls if wall >= fleet.clock.wall() - 60)
    ((low, high),) = Survey(fleet.store, VOLUME).ranges()
    assert vdls[5][1] < low <= start
    assert high == vdls[-1][1]
    for number, lsn in enumerate((low, start, high)):
        expected = max(cpl for cpl in (*_cpls(fleet), low) if cpl <= lsn)
        fleet.check(tmp_path / str(number), lsn, expected)
    oldest = min(objects.time_wall_ms(name) for name in fleet.store.objects if "/time/" in name)
    assert len(fleet.store.objects) < 400
    assert oldest


def test_a_snapshot_counts_for_the_window_from_its_end_on(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = BackupFleet(12, nodes=1, pages=10, snapshot_age_s=5, backup_window_s=100)
    real = Snapshots._go_on

    def slow(snapshots: Snapshots, work: Snapshot, now: float) -> list[StoreEffect]:
        return real(snapshots, work, now) if now - begun.setdefault(work.key, now) >= 40 else []

    begun: dict[str, float] = {}
    monkeypatch.setattr(Snapshots, "_go_on", slow)
    vdls = []
    for step in range(80):
        vdls.append((fleet.clock.wall(), fleet.write(10)))
        fleet.settle(5, 1.0)
        start = max((lsn for wall, lsn in vdls if wall <= fleet.clock.wall() - 100), default=1)
        ((low, _),) = Survey(fleet.store, VOLUME).ranges()
        assert low <= start, f"what the window begins with can be restored, step {step}"
    assert len(begun) > 5
    assert low > vdls[20][1], "and what has left it is deleted"


STRAYS = (
    "README",
    "other/x",
    "pg-0000000000",
    "pg-0000000000/log/README",
    "pg-0000000000/log/.marker",
    "pg-0000000000/log/9-9",
    "pg-0000000000/log/1-0/deeper",
    "pg-0000000000/snapshot/ZZZ",
    "pg-0000000000/chunk/!first",
    "pg-0000000000/chunk/x/first",
    "pg-0000000077/log/README",
    "pg-x/log/00000000000000000009-00000000000000000000",
    "time/!first",
)


@pytest.mark.parametrize("expired", [False, True])
def test_strays_are_passed_over_and_named(expired: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fleet = BackupFleet(13, pages=10, snapshot_age_s=2, backup_window_s=30 if expired else 1e6)
    strays = {f"{VOLUME.hex()}/{stray}": b"not ours" for stray in STRAYS}
    fleet.store.objects.update(strays)
    for _ in range(20):
        last = fleet.write(20)
        fleet.settle(8)
    assert len(_snapshots(fleet)) > 2
    assert not any(node.stager.note for node in fleet.up)
    assert "log/README is no object of a backup: passed over" in caplog.text
    assert strays.items() <= fleet.store.objects.items()
    survey = Survey(fleet.store, VOLUME)
    assert list(survey.pgs) == [0]
    ((low, high),) = survey.ranges()
    assert (low > 1, high) == (expired, last)
    named = "\n".join(survey.remarks())
    assert [stray for stray in STRAYS if stray not in named and "/chunk/x/" not in stray] == []
    told: list[str] = []
    restore(fleet.store, None, tmp_path / "one", TARGET, progress=told.append)
    assert set(survey.remarks()) <= set(told)


def test_of_many_strays_the_first_are_named() -> None:
    fleet = BackupFleet(14, nodes=1, pages=10)
    fleet.write(20)
    fleet.settle()
    for number in range(100):
        fleet.store.objects[f"{VOLUME.hex()}/stray-{number:03d}"] = b""
    lines = Survey(fleet.store, VOLUME).summary().splitlines()
    assert len(lines) == 22
    assert lines[-1] == "and 80 more objects"


@given(st.data())
def test_restore_points_say_how_far_a_pg_is_complete(data: st.DataObject) -> None:
    lsns = st.integers(0, 50)
    points = data.draw(st.lists(st.tuples(lsns, st.dictionaries(st.integers(0, 2), lsns, min_size=1))))
    held = Points()
    for vdl, lasts in points:
        held.add(vdl, [pb.PgLsn(pg=pg, lsn=lsn) for pg, lsn in lasts.items()])
    held.settle()
    assert held.last_vdl == max((vdl for vdl, _ in points), default=0)
    for pg in range(4):
        end = data.draw(lsns)
        assert held.beyond(pg, end) == max([end, *(vdl for vdl, lasts in points if lasts.get(pg, 0) <= end)])


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 6))),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 6))),
)
def test_ranges_meet_where_both_are(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    both = [restore_plan._joined((low, low + more) for low, more in held) for held in (one, other)]
    members = [{lsn for low, high in held for lsn in range(low, high + 1)} for held in both]
    met = restore_plan._meet(*both)
    assert {lsn for low, high in met for lsn in range(low, high + 1)} == members[0] & members[1]


def test_planning_takes_time_by_what_there_is() -> None:
    survey = Survey(MemoryStore(), VOLUME)
    pgs, points, snapshots = 60, 5_000, 8
    for at in range(1, points + 1):
        survey.points.add(at * 1000, [pb.PgLsn(pg=pg, lsn=at * 1000 - pg) for pg in range(pgs)])
    survey.points.settle()
    for pg in range(pgs):
        held = survey.pgs[pg] = PgObjects(pg, stretches=[(0, points * 1000 - pg)])
        for number in range(1, snapshots + 1):
            head = pb.BackupSnapshot(base_lsn=number * 1000, upto_lsn=number * 1000 + 1)
            held.snapshots.append((head, SnapshotName(number * 1000, 0, "", "")))
    begun_s = time.process_time()
    assert survey.ranges() == [(1, points * 1000)]
    assert time.process_time() - begun_s < 5  # PGs × starts × points × PGs: 70 s and more


@pytest.mark.parametrize(("start", "gone"), [(150, []), (186, ["128-b"]), (196, ["100-a", "128-b"])])
def test_a_timeline_object_ends_where_its_own_nodes_next_one_begins(start: int, gone: list[str]) -> None:
    fleet = BackupFleet(19, nodes=1, backup_window_s=1)
    (node,) = fleet.up
    folder = objects.time_folder(VOLUME)
    for name in ("100-a", "128-b", "184-b", "190-a", "README"):
        fleet.store.objects[f"{folder}/{name}"] = b""
    fleet.clock.now = start / 1000 + 1 - 1_700_000_000
    (listing,) = node.stager.expiry._times()
    node.on_stored(listing, objects.perform(fleet.store, listing))
    for effect in node.stager._out:
        objects.perform(fleet.store, effect)
    left = {"100-a", "128-b", "184-b", "190-a", "README"} - set(gone)
    assert set(fleet.store.objects) == {f"{folder}/{name}" for name in left}


class SlowSnapshot:
    """A fleet of one node with a snapshot that has begun, when it had pages 0 to 7, and has read nothing yet."""

    def __init__(self, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        real = Snapshots._go_on
        self.reads = False
        monkeypatch.setattr(Snapshots, "_go_on", lambda made, work, now: real(made, work, now) if self.reads else [])
        self.fleet = fleet = BackupFleet(seed, nodes=1, pages=8, snapshot_age_s=1)
        for page_no in range(8):
            fleet.writer.edit(page_no)
        fleet.flush()
        (self.node,) = fleet.up
        while self.node.stager.snapshots._current is None:
            fleet.settle(1)
        self.base_lsn = self.node.stager.snapshots._current.head.base_lsn
        assert self.base_lsn == fleet.writer.log.last_lsn

    def finish(self) -> str:
        """Collect everything, then have the snapshot read; the manifest's name."""
        while self.node.segments[0].collected_lsn < self.fleet.writer.log.last_lsn:
            self.fleet.settle(1)
        self.reads = True
        while not _snapshots(self.fleet):
            self.fleet.settle(1)
        self.reads = False
        (name,) = _snapshots(self.fleet)
        return name

    def edit(self, page_no: int) -> int:
        """A record that follows the page's last one."""
        rng, self.fleet.writer.rng = self.fleet.writer.rng, NoNewPages(self.fleet.writer.rng.random())
        try:
            return self.fleet.writer.edit(page_no)
        finally:
            self.fleet.writer.rng = rng


class NoNewPages(random.Random):
    """Never has the writer start a page anew."""

    def random(self) -> float:
        """See ``random.Random``."""
        return 0.5


def test_a_page_freed_after_the_snapshot_is_a_hole(tmp_path: Path) -> None:
    fleet = BackupFleet(15, nodes=1, pages=8, snapshot_age_s=1)
    for page_no in range(8):
        fleet.writer.edit(page_no)
    fleet.flush()
    fleet.settle(40)
    assert _snapshots(fleet)
    written = fleet.write(20)
    fleet.settle(2, 0.1)
    for page_no in (2, 5):
        fleet.writer.free(page_no)
    fleet.flush()
    fleet.writer.edit(5)
    last = fleet.write(1)
    fleet.settle(10)
    survey = Survey(fleet.store, VOLUME)
    (plan,) = survey.plan(last).pgs
    assert plan.snapshot
    assert plan.snapshot[0].upto_lsn <= written  # the pages are in the snapshot
    fleet.check(tmp_path / "after", last)
    fleet.check(tmp_path / "before", written)
    for peer in TARGET:
        data = (tmp_path / "after" / peer.node_id / "pages-0").read_bytes().ljust(8 * PAGE_BYTES, b"\0")
        held = [page_no for page_no in range(8) if any(data[page_no * PAGE_BYTES : (page_no + 1) * PAGE_BYTES])]
        assert held == [0, 1, 3, 4, 5, 6, 7]


def test_a_page_freed_while_the_snapshot_was_made_is_restored_as_a_hole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = SlowSnapshot(16, monkeypatch)
    fleet = slow.fleet
    slow.edit(2)
    slow.edit(2)
    fleet.writer.free(2)
    for page_no in (0, 1, 3):
        slow.edit(page_no)
    last = fleet.flush()
    manifest = slow.finish()
    fleet.settle(20)
    (plan,) = Survey(fleet.store, VOLUME).plan(last).pgs
    assert plan.snapshot
    assert plan.snapshot[1].name == manifest
    assert plan.snapshot[0].base_lsn == slow.base_lsn
    fleet.check(tmp_path / "all", last)


def test_a_page_that_the_snapshot_lacks_and_the_log_does_not_free_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = SlowSnapshot(17, monkeypatch)
    fleet = slow.fleet
    for page_no in (2, 3):
        slow.edit(page_no)
    last = fleet.flush()
    manifest = slow.finish()
    fleet.settle(20)
    (chunk,) = (name for name in fleet.store.objects if "/chunk/" in name)
    held = objects.read(fleet.store, chunk, objects.Kind.PAGES, VOLUME)
    pages = [(index, page) for index, page in objects.pages_of(held.body) if index != 2]
    content = objects.Content(objects.Kind.PAGES, VOLUME, 0, held.head, objects.pages_body(pages))
    fleet.store.put(chunk, content.encode())
    del fleet.store.objects[min(_log_names(fleet))]  # from nothing it would do
    with pytest.raises(RestoreError, match=f"{manifest} lacks page 2"):
        restore(fleet.store, str(last), tmp_path / "no", TARGET)


def test_a_read_error_while_pages_are_copied_is_no_hole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = BackupFleet(18, nodes=1, pages=8)
    last = fleet.write(20)
    fleet.settle()
    real = os.lseek

    def unreadable(fd: int, at: int, whence: int) -> int:
        if whence == os.SEEK_DATA:
            raise OSError(errno.EIO, "Input/output error")
        return real(fd, at, whence)

    monkeypatch.setattr(os, "lseek", unreadable)
    with pytest.raises(OSError, match="Input/output error"):
        restore(fleet.store, str(last), tmp_path / "no", TARGET)
    assert not list(tmp_path.iterdir())


def test_times_resolve_to_the_vdl_of_then(tmp_path: Path) -> None:
    fleet = BackupFleet(3)
    moments = []
    for _ in range(5):
        lsn = fleet.write(10)
        fleet.settle(5)
        moments.append((fleet.clock.wall(), lsn))
        fleet.clock.now += 100
    survey = Survey(fleet.store, VOLUME)
    for wall, lsn in moments:
        assert survey.at_time(int(wall * 1000)) == survey.at_time(int((wall + 90) * 1000)) == lsn
    text = datetime.fromtimestamp(moments[2][0] + 50, UTC).isoformat()
    done = restore(fleet.store, text, tmp_path / "then", TARGET)
    assert done.lsn == moments[2][1]
    assert done.wall_ms <= moments[2][0] * 1000
    with pytest.raises(RestoreError, match="the backup begins after"):
        restore(fleet.store, "2001-01-01", tmp_path / "no", TARGET)


def test_a_pg_that_nobody_has_staged_bounds_what_can_be_restored(tmp_path: Path) -> None:
    fleet = BackupFleet(4)
    for page_no in range(PAGES_PER_PG):
        fleet.writer.edit(page_no)
    fleet.flush()
    fleet.settle()
    fleet.write(60)
    fleet.settle()
    whole = fleet.writer.log.last_lsn
    folder = f"{VOLUME.hex()}/pg-0000000001/"
    first = min(lsn for lsn in fleet.writer.lsns[1])
    for name in [name for name in fleet.store.objects if name.startswith(folder)]:
        del fleet.store.objects[name]
    with pytest.raises(RestoreError, match="log of PG 1 after LSN 0 has not been staged"):
        restore(fleet.store, str(whole), tmp_path / "no", TARGET)
    ((low, high),) = Survey(fleet.store, VOLUME).ranges()
    assert low < high < first
    fleet.check(tmp_path / "before", high)


@pytest.mark.parametrize("damage", ["flip", "missing", "foreign", "cut"])
@pytest.mark.parametrize("kind", ["log", "chunk", "snapshot", "time"])
def test_a_bad_object_is_named_and_what_needs_it_refused(kind: str, damage: str, tmp_path: Path) -> None:
    fleet = BackupFleet(5, pages=30, snapshot_age_s=1e9 if kind == "log" else 2)
    for _ in range(12):
        fleet.write(20)
        fleet.settle(6)
    fleet.settle()
    whole = fleet.writer.log.last_lsn
    names = [name for name in sorted(fleet.store.objects) if f"/{kind}/" in name]
    if kind == "time":
        fleet.store.delete(names[:-1])
    victim = names[len(names) // 2] if kind == "log" else names[-1]
    data = bytearray(fleet.store.objects[victim])
    if damage == "missing":
        del fleet.store.objects[victim]
    elif damage == "cut":
        fleet.store.objects[victim] = bytes(data[:-1])
    elif damage == "foreign":
        fleet.store.objects[victim] = bytes(data).replace(VOLUME, b"volume of others")
    else:
        data[len(data) // 2] ^= 1
        fleet.store.objects[victim] = bytes(data)
    if kind == "log":
        named = "is missing" if damage == "missing" else victim
        with pytest.raises(RestoreError, match=named) as caught:
            restore(fleet.store, str(whole), tmp_path / "no", TARGET)
        assert not list(tmp_path.iterdir())
        assert f"before it LSN {objects.parse_log(victim).prev_lsn}" in str(caught.value)
        before = objects.parse_log(victim).prev_lsn
        fleet.check(tmp_path / "before", before)
    elif kind == "time":
        with pytest.raises(RestoreError, match="." if damage == "missing" else victim):
            restore(fleet.store, str(whole), tmp_path / "no", TARGET)
    else:
        fleet.check(tmp_path / "another-snapshot", whole)


def test_void_log_in_the_store_is_left_out(tmp_path: Path) -> None:
    fleet = BackupFleet(6, nodes=1, pages=10)
    fleet.write(20)
    fleet.settle()
    vdl = fleet.writer.log.last_lsn
    kept = {page_no: list(versions) for page_no, versions in fleet.writer.versions.items()}
    lsns = {pg: list(held) for pg, held in fleet.writer.lsns.items()}
    log = fleet.writer.log
    state = (log.next_lsn, log.last_lsn, dict(log.pg_last))
    images = {page_no: bytearray(page) for page_no, page in fleet.writer.images.items()}
    # What no node does: void log in the store, staged before its writer was found to have ended at ``vdl``.
    fleet.writer.edit()
    frame = batch.decode(batch.encode(VOLUME, 1, log.take()[0]))
    name = objects.log_name(VOLUME, 0, frame.prev_lsn, frame.last_lsn)
    head = pb.BackupLog(prev_lsn=frame.prev_lsn, last_lsn=frame.last_lsn)
    content = objects.Content(objects.Kind.LOG, VOLUME, 0, head, (bytes(frame.frame),))
    fleet.store.put(name, content.encode())
    fleet.writer.versions, fleet.writer.lsns, fleet.writer.images = kept, lsns, images
    log.next_lsn, log.last_lsn = 1_000_000, state[1]
    log.pg_last.clear()
    log.pg_last.update(state[2])
    node = fleet.up[0]
    fleet.epoch, fleet.name = 2, "w2"
    node.on_fence(pb.FenceRequest(volume_id=VOLUME, volume_epoch=2, writer_id="w2"))
    node.on_truncate(pb.TruncateRequest(volume_id=VOLUME, volume_epoch=2, writer_id="w2",
                                        range=pb.Truncation(epoch=2, vdl=vdl, upper=999_999)))  # fmt: skip
    fleet.write(20)
    fleet.settle()
    fleet.check(tmp_path / "after", fleet.writer.log.last_lsn)
    fleet.check(tmp_path / "within", 500_000, vdl)


def test_nothing_is_staged_that_could_become_void() -> None:
    fleet = BackupFleet(7, nodes=1, pages=10)
    first = fleet.write(10)
    fleet.settle()
    node = fleet.up[0]
    assert node.stager.staged_lsn(0) == first
    runs = fleet.writer.runs(5)
    append(node, [batch.encode(VOLUME, 1, run) for run in runs], vdl=first, pgmrpl=first)
    # A new writer's VDL lies far above, and what the older one's records are worth is not known here yet.
    append(node, [], epoch=2, writer="w2", vdl=20_000_000, pgmrpl=20_000_000)
    fleet.net.tick(30, 1.0)
    assert node.stager.staged_lsn(0) == first
    node.on_truncate(pb.TruncateRequest(volume_id=VOLUME, volume_epoch=2, writer_id="w2",
                                        range=pb.Truncation(epoch=2, vdl=first, upper=19_000_000)))  # fmt: skip
    fleet.net.tick(30, 1.0)
    assert node.stager.staged_lsn(0) == first


def test_wrong_volume_no_backup_and_a_folder_in_use(tmp_path: Path) -> None:
    with pytest.raises(RestoreError, match="there is no backup"):
        restore(MemoryStore(), None, tmp_path / "no", TARGET)
    fleet = BackupFleet(8)
    fleet.write(10)
    fleet.settle()
    with pytest.raises(RestoreError, match="no backup of volume 0000"):
        restore(fleet.store, None, tmp_path / "no", TARGET, "0000")
    other = "ab" * 16
    for name, data in list(fleet.store.objects.items()):
        fleet.store.objects[name.replace(VOLUME.hex(), other)] = data.replace(VOLUME, bytes.fromhex(other))
    with pytest.raises(RestoreError, match="choose one with --volume"):
        restore(fleet.store, None, tmp_path / "no", TARGET)
    assert survey_of(fleet.store, VOLUME.hex()).volume_id == VOLUME
    (tmp_path / "used").mkdir()
    with pytest.raises(RestoreError, match="is there already"):
        restore(fleet.store, None, tmp_path / "used", TARGET, VOLUME.hex())
    with pytest.raises(RestoreError, match="the last restore point is at"):
        restore(fleet.store, "999999999", tmp_path / "no", TARGET, VOLUME.hex())


def test_how_a_point_may_be_written() -> None:
    assert parse_at("123456") == ("lsn", 123456)
    assert parse_at("1/1E240") == ("lsn", (1 << 32) + 123456)
    assert parse_at("1970-01-01T00:00:01.5+00:00") == ("time", 1500)
    for wrong in ("x/y", "tomorrow", "0/123456789"):
        with pytest.raises(RestoreError, match="is n"):
            parse_at(wrong)
