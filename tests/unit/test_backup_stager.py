"""Whose turn it is, what is kept for the backup and for how long, and that the append path never notices."""

from __future__ import annotations

import sys
from copy import deepcopy
from pathlib import Path

import pytest
from backup_tools import BackupFleet
from storage_tools import VOLUME, append, make_node

from aurora import batch
from aurora.errors import InvariantViolation
from aurora.object_store import MemoryStore
from aurora.rpc import storage_pb2 as pb
from aurora.sim.disk import SimDisk
from storage_node import backup_objects as objects
from storage_node import scrub
from storage_node.backup import KEPT_SHARE
from storage_node.backup_holes import NOTHING, HoleWatch, Told
from storage_node.backup_kept import KeptLog, Run
from storage_node.backup_turn import Turn
from storage_node.config import NodeConfig
from storage_node.effects import Call, PutObject, SyncFile
from storage_node.node import StorageNode
from storage_node.restore_plan import Survey
from tests.log_rule import DAMAGE, STORE_FAILS

pytestmark = pytest.mark.logs(
    STORE_FAILS,
    DAMAGE,
    r"storage_node\.backup: (the backup is stuck|backup: log of PG)",
    r"kept for the backup: nothing sound",
)


def _whole(fleet: BackupFleet) -> list[tuple[int, int]]:
    return Survey(fleet.store, VOLUME).ranges()


def _log_names(fleet: BackupFleet) -> list[str]:
    return [name for name in sorted(fleet.store.objects) if "/log/" in name]


def test_a_turn_waits_by_rank_and_rests_when_it_is_overtaken() -> None:
    first, second = Turn(), Turn()
    assert first.mine(100, 0.0, 0.0)
    assert not second.mine(100, 0.0, 10.0)
    first.advanced(100, 1.0)
    assert not first.mine(100, 2.0, 0.0)
    second.heard(100, 2.0)
    assert not second.mine(200, 3.0, 10.0)
    assert not second.mine(200, 11.9, 10.0)
    assert second.mine(200, 12.0, 10.0)
    second.advanced(200, 13.0)
    assert second.mine(300, 13.1, 10.0)
    assert not second.heard(150, 14.0)
    assert second.holding
    assert second.heard(300, 14.0)
    assert not second.holding


def test_a_hole_is_one_when_everybody_has_said_so() -> None:
    watch = HoleWatch()
    assert watch.may_come(100, ["a", "b"], 0.0, 50)
    watch.heard("a", Told(120, 300, 1.0))
    assert watch.may_come(100, ["a", "b"], 1.0, 50)
    watch.heard("b", Told(NOTHING, 300, 2.0))  # no backup is configured there
    assert not watch.may_come(100, ["a", "b"], 2.0, 50)
    assert watch.look_first()
    assert not watch.look_first()
    assert not watch.may_come(150, ["b"], 2.0, 50)
    assert watch.look_first()  # another hole


def test_who_can_go_on_is_waited_for_while_it_speaks_and_the_silent_for_a_while() -> None:
    watch = HoleWatch()
    watch.heard("able", Told(90, 300, 0.0))
    assert watch.may_come(100, ["able"], 1.0, 50)
    watch.heard("able", Told(90, 300, 90.0))
    assert watch.may_come(100, ["able"], 139.0, 50)
    assert not watch.may_come(100, ["able"], 140.0, 50)
    assert watch.may_come(200, ["silent"], 200.0, 50)
    assert not watch.may_come(200, ["silent"], 250.0, 50)
    watch.heard("behind", Told(90, 200, 299.0))
    assert watch.may_come(200, ["behind"], 249.0, 50)
    assert not watch.may_come(200, ["behind"], 300.0, 50)


def test_one_node_stages_and_the_others_learn_of_it() -> None:
    fleet = BackupFleet(1, nodes=6, pages=10, takeover_s=10)
    last = fleet.write(20)
    fleet.settle(40)
    assert {node.stager.staged_lsn(0) for node in fleet.up} == {last}
    assert fleet.store.puts == 2  # log and timeline, once each
    assert [node.config.node_id for node in fleet.up if node.stager.pg(0).turn.holding] == ["n0"]


def test_the_next_node_takes_over_and_gives_back() -> None:
    fleet = BackupFleet(2, nodes=6, pages=10, takeover_s=4, gossip_ms=50)
    fleet.write(20)
    fleet.settle(20)
    fleet.crash("n0")
    last = fleet.write(20)
    fleet.settle(8)
    assert _whole(fleet)[-1][1] < last
    fleet.settle(20)
    assert _whole(fleet) == [(1, last)]
    holder = [node.config.node_id for node in fleet.up if node.stager.pg(0).turn.holding]
    assert holder == ["n1"]
    fleet.start("n0")
    for _ in range(6):
        last = fleet.write(20)
        fleet.settle(10)
    assert [node.config.node_id for node in fleet.up if node.stager.pg(0).turn.holding] == ["n0"]
    assert _whole(fleet) == [(1, last)]


def test_a_failing_store_stops_nothing_and_loses_nothing(tmp_path: Path) -> None:
    fleet = BackupFleet(3, pages=20)
    fleet.write(10)
    fleet.settle()
    fleet.store.broken = "503 Slow Down"
    for _ in range(20):
        last = fleet.write(20)  # each append is acknowledged
        fleet.net.tick(3, 1.0)
    node = fleet.up[0]
    assert node.segments[0].collected_lsn > node.stager.staged_lsn(0)
    assert node.stager.kept_bytes
    status = node.on_status(pb.StatusRequest())
    assert "503 Slow Down" in status.backup
    assert status.state == "serving"
    fleet.store.broken = ""
    fleet.settle(60, 1.0)
    assert _whole(fleet) == [(1, last)]
    assert not any(node.stager.kept_bytes for node in fleet.up)
    assert not node.on_status(pb.StatusRequest()).backup
    fleet.check(tmp_path / "all", last)


def test_log_kept_for_the_backup_survives_a_crash(tmp_path: Path) -> None:
    fleet = BackupFleet(4, pages=20)
    fleet.store.broken = "no route to host"
    for _ in range(10):
        last = fleet.write(20)
        fleet.net.tick(4, 1.5)
    for name in ("n0", "n1"):
        assert fleet.net.nodes[name].stager.kept_bytes
        fleet.crash(name)
        node = fleet.start(name)
        assert node.stager.kept_bytes
        live = sum(len(node.log.live(number)) for number in node.log.files())
        assert live == sum(len(segment.entries) for segment in node.segments.values())  # no object for what is kept
    fleet.store.broken = ""
    fleet.settle(60, 1.0)
    assert _whole(fleet) == [(1, last)]
    fleet.check(tmp_path / "all", last)


def test_the_only_node_with_the_log_is_waited_for(tmp_path: Path) -> None:
    fleet = BackupFleet(12, nodes=3, pages=10, hole_wait_s=1e6)
    fleet.write(10)
    fleet.settle()
    fleet.crash("n0")
    fleet.crash("n2")
    fleet.store.broken = "no route to host"
    for _ in range(10):
        fleet.write(20)
        fleet.net.tick(4, 1.5)
    assert fleet.net.nodes["n1"].stager.kept_bytes
    fleet.start("n0")
    fleet.start("n2")
    fleet.net.tick(30)  # these two take n1's pages, and have no log of what they cover
    assert fleet.net.nodes["n0"].segments[0].scl == fleet.net.nodes["n1"].segments[0].scl
    fleet.crash("n1")
    fleet.store.broken = ""
    last = fleet.write(10)
    fleet.settle(200, 1.0)
    assert _whole(fleet)[-1][1] < last
    fleet.start("n1")
    fleet.settle(60, 1.0)
    assert _whole(fleet) == [(1, last)]
    fleet.check(tmp_path / "all", last)


def test_the_valid_head_of_a_batch_is_kept_over_a_restart(tmp_path: Path) -> None:
    fleet = BackupFleet(13, nodes=1, pages=10)
    fleet.store.broken = "no route to host"
    head = fleet.write(20)
    writer, log = fleet.writer, fleet.writer.log
    valid = writer.edit()
    held = deepcopy((writer.images, writer.versions, writer.lsns, dict(log.pg_last)))
    writer.edit()
    (run,) = log.take()
    (node,) = fleet.up
    append(node, [batch.encode(VOLUME, 1, run)], vdl=head, pgmrpl=head)
    writer.images, writer.versions, writer.lsns, pg_last = held
    log.next_lsn, log.last_lsn = 1_000_000, valid
    log.pg_last.clear()
    log.pg_last.update(pg_last)
    fleet.epoch, fleet.name = 2, "w2"
    node.on_fence(pb.FenceRequest(volume_id=VOLUME, volume_epoch=2, writer_id="w2"))
    node.on_truncate(pb.TruncateRequest(volume_id=VOLUME, volume_epoch=2, writer_id="w2",
                                        range=pb.Truncation(epoch=2, vdl=valid, upper=999_999)))  # fmt: skip
    last = fleet.write(5)
    fleet.net.tick(10, 1.5)
    assert node.segments[0].collected_lsn == last
    fleet.crash("n0")
    fleet.start("n0")
    fleet.store.broken = ""
    fleet.settle(60, 1.0)
    assert _whole(fleet) == [(1, last)]
    fleet.check(tmp_path / "all", last)


def test_staged_log_leaves_the_nodes() -> None:
    fleet = BackupFleet(5, nodes=2, pages=10)
    for _ in range(40):
        fleet.write(30)
        fleet.settle(6, 1.0)
    for node in fleet.up:
        assert node.log.total_bytes < 60_000
        assert sum(1 for name in node.disk.list() if name.startswith("log-")) < 5


def test_a_backup_that_is_stuck_gives_log_up_and_begins_anew(tmp_path: Path) -> None:
    fleet = BackupFleet(6, pages=10, backup_hold_mb=0.02, snapshot_age_s=1e9)
    first = fleet.write(10)
    fleet.settle(30)
    fleet.store.broken = "bucket is full"
    for _ in range(30):
        fleet.write(20)
        fleet.net.tick(4, 1.5)
    for node in fleet.up:
        alone = sum(map(node.log.size, node.stager.kept.only_files()))
        assert 0 < alone <= 0.02 * (1 << 20)
    fleet.store.broken = ""
    notes = set()
    for _ in range(120):
        notes |= {node.stager.note for node in fleet.up}
        fleet.settle(1, 1.0)
    assert any("given up" in note for note in notes)
    assert any("in no object" in note for note in notes)
    assert [node.stager.note for node in fleet.up] == ["", ""]  # a snapshot has bridged the hole
    last = fleet.write(20)
    fleet.settle(30)
    before, after = _whole(fleet)
    assert before == (1, first)
    assert after[1] == last
    fleet.check(tmp_path / "before", first)
    fleet.check(tmp_path / "after", last)


def _fill(node: StorageNode[int], batches: int, first: int = 1) -> int:
    """So many small batches to PG 0, in the log but in no segment, and collected, 1000 at a time: the last LSN."""
    entries = []
    for lsn in range(first, first + batches):
        frame = batch.encode(VOLUME, 1, (0, lsn - 1, lsn, lsn, lsn, b"y" * 20))
        entries += node.log.append([batch.decode(frame)])
        if len(entries) == 1000 or lsn == first + batches - 1:
            node.log.release(node.stager.keep(entries))
            entries = []
    node.log.sync()
    node.log.collect()
    return first + batches - 1


def test_what_is_noted_of_kept_log_is_small_and_counts_in_the_nodes_memory() -> None:
    node = make_node(SimDisk(), backup="memory:", log_file_mb=1)
    node.tick()
    before = node.memory.bytes
    _fill(node, 20_000)
    node.tick()
    kept = node.stager.kept
    assert sum(len(run.offsets) for run in kept.of(0)) == 20_000
    # No object a batch, and no table that once had them.
    assert max(sys.getsizeof(node.log.live(number)) for number in node.log.files()) <= 500
    assert node.memory.bytes - before == kept.index_bytes
    assert sys.getsizeof(kept.of(0)) + sum(map(_run_bytes, kept.of(0))) <= kept.index_bytes < 20_000 * 8


def _run_bytes(run: Run) -> int:
    return sum(sys.getsizeof(held) for held in (run, run.offsets, run.prev_lsn, run.last_lsn, run.length))


def test_kept_log_that_takes_too_much_memory_goes_oldest_first() -> None:
    node = make_node(SimDisk(), backup="memory:")
    node.memory.limit_bytes = 200_000
    last = _fill(node, 10_000)
    files = len(node.log.files())
    node.tick()
    kept = node.stager.kept
    assert 40_000 < kept.index_bytes <= 200_000 * KEPT_SHARE
    assert kept.of(0)[-1].last_lsn == last
    assert [run.prev_lsn for run in kept.of(0)[1:]] == [run.last_lsn for run in kept.of(0)[:-1]]
    assert len(node.log.files()) < files  # the oldest are deleted
    assert "given up" in node.stager.note


def test_giving_log_up_costs_by_the_file_and_not_by_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    node = make_node(SimDisk(), backup="memory:", backup_hold_mb=0.1)
    _fill(node, 5_000)
    given_up: list[int] = []
    real = KeptLog.give_up
    monkeypatch.setattr(KeptLog, "give_up", lambda kept, number: given_up.append(number) or real(kept, number))
    files = len(node.log.files())
    node.tick()
    assert given_up == list(range(1, len(given_up) + 1))
    assert files - len(given_up) == len(node.log.files())
    assert sum(map(node.log.size, node.log.files())) < 0.1 * (1 << 20) + 20_000


def test_the_files_that_a_backup_holds_are_bounded_however_little_of_them_it_needs() -> None:
    node = make_node(SimDisk(), backup="memory:", backup_hold_mb=0.05)
    _fill(node, 1)  # makes the stagings
    node.stager.pg(1).turn.heard(1 << 60, node.clock.monotonic())  # PG 1 is staged at once, PG 0 is stuck
    for at in range(60):
        _fill(node, 1, first=at * 40 + 2)
        for lsn in range(at * 40 + 2, at * 40 + 42):
            frame = batch.decode(batch.encode(VOLUME, 1, (1, lsn - 1, lsn, lsn, lsn, node.rng.randbytes(400))))
            node.log.release(node.stager.keep(node.log.append([frame])))
        node.log.collect()
        node.tick()
        node.clock.now += 1
    assert 0 < node.stager.kept_bytes < 1_000  # little is needed
    assert node.log.total_bytes < 0.05 * (1 << 20) + 2 * 11_000  # and the current file


def test_kept_log_moves_out_of_a_damaged_file_and_only_what_is_damaged_is_lost(tmp_path: Path) -> None:
    fleet = BackupFleet(14, nodes=2, pages=10, takeover_s=2, hole_wait_s=1e6)
    fleet.store.broken = "down"
    for _ in range(8):
        last = fleet.write(20)
        fleet.net.tick(4, 1.5)
    node = fleet.net.nodes["n0"]
    number = node.stager.kept.files()[0]
    run = next(run for run in node.stager.kept.of(0) if run.file_no == number)
    entries = sum(len(run.offsets) for run in node.stager.kept.of(0))
    assert len(run.offsets) > 2
    fleet.disks["n0"].flip_bit(f"log-{number:08d}", run.offsets[1] + 90)
    node.scrub.demand()
    fleet.net.tick(8, 1.0)
    assert not node.log.damaged
    assert f"log-{number:08d}" not in node.disk.list()
    assert sum(len(run.offsets) for run in node.stager.kept.of(0)) == entries - 1
    fleet.crash("n0")
    assert sum(len(run.offsets) for run in fleet.start("n0").stager.kept.of(0)) == entries - 1
    fleet.store.broken = ""
    fleet.settle(60, 1.0)
    assert _whole(fleet) == [(1, last)]
    fleet.check(tmp_path / "all", last)


def test_kept_log_leaves_a_large_damaged_file_without_a_pause() -> None:
    node = make_node(SimDisk(), backup="memory:", log_file_mb=3)
    _fill(node, 25_000)
    number, *_ = node.stager.kept.files()
    assert node.log.size(number) > 4 * scrub.MOVE_BYTES
    node.log.damaged.add(number)
    ticks = 0
    while number in node.log.damaged and ticks < 20:
        node.tick()  # time stands still
        ticks += 1
    assert ticks > 4
    assert number not in node.log.files()
    assert sum(len(run.offsets) for run in node.stager.kept.of(0)) == 25_000


def test_a_pg_that_leaves_the_node_takes_its_kept_log_along() -> None:
    node = make_node(SimDisk(), backup="memory:")
    _fill(node, 300)
    _, *files = reversed(node.log.files())
    assert files
    node.stager.forget(0)
    node.log.collect()
    assert node.log.files() == [max(files) + 1]
    assert not node.stager.kept_bytes
    assert not node.stager.kept.index_bytes


def test_a_backup_begun_later_starts_with_a_snapshot(tmp_path: Path) -> None:
    fleet = BackupFleet(7, pages=10)
    for node in list(fleet.up):
        name = node.config.node_id
        fleet.net.nodes[name] = make_node(fleet.disks[name], fleet.clock, name, **fleet.settings)
    for _ in range(40):
        fleet.write(30)
        fleet.settle(6, 1.0)
    assert not fleet.store.objects
    assert fleet.up[0].segments[0].collected_lsn
    for name in list(fleet.disks):
        fleet.start(name)
    middle = fleet.write(20)
    fleet.settle(20)
    last = fleet.write(20)
    fleet.settle(20)
    held = [objects.parse_snapshot(name) for name in fleet.store.objects if "/snapshot/" in name]
    assert held
    assert held[0].base_lsn < middle
    assert _whole(fleet)[-1][1] == last
    fleet.check(tmp_path / "middle", middle)
    fleet.check(tmp_path / "last", last)


def test_objects_are_bounded_and_follow_each_other() -> None:
    fleet = BackupFleet(8, nodes=1, pages=10, stage_mb=0.002)
    for _ in range(50):
        fleet.write(5)
    fleet.settle(60)
    logs = sorted(map(objects.parse_log, _log_names(fleet)))
    assert len(logs) > 5
    assert logs[0].prev_lsn == 0
    assert [log.prev_lsn for log in logs[1:]] == [log.last_lsn for log in logs[:-1]]
    assert max(len(fleet.store.objects[log.name]) for log in logs) < 0.002 * (1 << 20) + 1000


def test_a_store_that_never_answers_takes_no_more_memory() -> None:
    fleet = BackupFleet(9, nodes=1, pages=10, stage_mb=0.001)
    node = fleet.up[0]
    puts: list[PutObject] = []
    for _ in range(50):
        fleet.write(10)
        fleet.point()
        fleet.clock.now += 1
        for effect in node.tick():
            if isinstance(effect, PutObject):
                puts.append(effect)
            elif isinstance(effect, SyncFile):
                _sync(node, effect)
            elif not isinstance(effect, Call):
                node.on_stored(effect, ())
    assert len(puts) == 3  # one of the log, one of the timeline, one of a snapshot
    assert node.segments[0].scl == fleet.writer.log.last_lsn


def _sync(node: StorageNode[int], effect: SyncFile) -> None:
    node.disk.sync(effect.name)
    for further in node.on_synced(effect.name):
        if isinstance(further, SyncFile):
            _sync(node, further)


def test_damaged_log_is_staged_by_another_node() -> None:
    fleet = BackupFleet(10, nodes=2, pages=10, log_cache_mb=0.0001, takeover_s=2)
    fleet.store.broken = "down"
    fleet.write(10)
    fleet.write(10)
    last = fleet.write(10)
    fleet.net.tick(2)
    fleet.disks["n0"].flip_bit("log-00000001", 100)
    fleet.store.broken = ""
    fleet.settle(60, 1.0)
    assert _whole(fleet) == [(1, last)]


def test_without_a_backup_nothing_is_kept() -> None:
    fleet = BackupFleet(11, nodes=1, pages=10)
    node = make_node(fleet.disks["n0"], fleet.clock, "n0", **fleet.settings)
    fleet.net.nodes["n0"] = node
    for _ in range(10):
        fleet.write(20)
        fleet.settle(6, 1.0)
    assert node.segments[0].collected_lsn
    assert not node.stager.kept_bytes
    assert not fleet.store.objects
    assert isinstance(fleet.store, MemoryStore)


@pytest.mark.parametrize("setting", ["stage_age_s", "stage_mb", "backup_window_s", "takeover_s", "backup_hold_mb"])
def test_settings_are_checked(setting: str) -> None:
    with pytest.raises(InvariantViolation, match=setting):
        NodeConfig(**{setting: 0})
