"""The simulator's own parts: disk, world, clocks, fault points, model."""

from __future__ import annotations

import errno
import random
from collections.abc import Iterator

import pytest

from aurora import buggify
from aurora.page import PAGE_BYTES
from aurora.sim.disk import PowerLost, SimDisk
from aurora.sim.model import Change, History
from aurora.sim.points import Luck, points
from aurora.sim.workloads import image, move, put
from aurora.sim.world import CALM, SkewedClock, StreamBroken, Weather, World


def test_power_goes_before_or_after_an_operation() -> None:
    for before in (True, False):
        disk = SimDisk()
        disk.append("log", [b"one"])
        disk.sync("log")
        disk.light_fuse(2, before)
        disk.append("log", [b"two"])
        with pytest.raises(PowerLost):
            disk.sync("log")
        disk.crash(random.Random(0))
        held = disk.read("log", 0, 100)
        assert held.startswith(b"one")
        assert before or held == b"onetwo"
        disk.append("log", [b"three"])  # the fuse is gone


def test_power_lost_is_seen_by_no_handler_of_errors() -> None:
    assert not issubclass(PowerLost, Exception)


def test_a_deletion_that_was_not_synced_may_be_undone_by_a_crash() -> None:
    back = set()
    for seed in range(20):
        disk = SimDisk()
        disk.append("log", [b"x"])
        disk.sync("log")
        disk.delete("log")
        back.add("log" in disk.crash(random.Random(seed)).list())
        disk.delete("log") if "log" in disk.list() else None
        disk.write_atomic("meta", b"m")  # syncs the folder
        assert disk.crash(random.Random(seed)).list() == ["meta"]
    assert back == {True, False}


def test_a_full_disk_refuses_and_a_failed_sync_fails_once() -> None:
    disk = SimDisk(capacity_bytes=4)
    disk.append("log", [b"1234"])
    with pytest.raises(OSError, match="No space") as refused:
        disk.append("log", [b"5"])
    assert refused.value.errno == errno.ENOSPC
    disk.sync_fails = True
    with pytest.raises(OSError, match="Input/output"):
        disk.sync("log")
    disk.sync("log")


def test_after_a_failed_sync_only_the_cache_has_what_was_written() -> None:
    disk = SimDisk()
    disk.append("log", [b"12"])
    disk.sync("log")
    disk.append("log", [b"34"])
    disk.sync_fails = True
    with pytest.raises(OSError, match="Input/output"):
        disk.sync("log")
    disk.append("log", [b"56"])
    assert disk.read("log", 0, 9) == b"123456"
    disk.uncache("log", 0, 9)
    assert disk.read("log", 0, 9) == b"12\0\x0056"
    disk.sync("log")
    assert disk.crash(random.Random(1)).read("log", 0, 9) == b"12\0\x0056"


def test_a_stopped_process_gets_what_came_when_it_goes_on() -> None:
    world, got = World(1, CALM), []
    world.stop("b")
    world.stop("b")
    world.send("a", "b", lambda: got.append("message"))
    world.run(1.0)
    world.go_on("b")
    assert got == [] and world.stands_still("b")
    world.go_on("b")
    assert got == ["message"]


def test_what_waited_for_a_process_is_gone_with_it() -> None:
    world, got = World(1, CALM), []
    world.stop("b")
    world.send("a", "b", lambda: got.append("message"))
    world.run(1.0)
    world.forget("b")
    world.run(2.0)
    assert got == [] and not world.stands_still("b")


def test_one_way_cuts_and_slow_links() -> None:
    world, got = World(1, CALM), []
    world.one_way.add(("a", "b"))
    world.send("a", "b", lambda: got.append("there"))
    world.send("b", "a", lambda: got.append("back"))
    world.run(1.0)
    assert got == ["back"]
    world.heal()
    world.slow_links["a", "b"] = 0.5
    world.send("a", "b", lambda: got.append("late"))
    world.run(1.4)
    assert got == ["back"]
    world.run(2.0)
    assert got == ["back", "late"]


def test_a_stream_keeps_its_order_in_bad_weather_and_tells_how_it_ended() -> None:
    world = World(3, Weather(loss=0.3, duplicate=0.3, slow=0.3))
    items: list[int] = []
    ends: list[bool] = []
    world.call_streamed("a", "b", lambda: iter(range(20)), items.append, ends.append, silence_s=5.0)
    world.run(60.0)
    assert items == list(range(20)) and ends == [True]

    def broken() -> Iterator[int]:
        yield 1
        raise StreamBroken("the disk")

    world.call_streamed("a", "b", broken, items.append, ends.append, silence_s=5.0)
    world.cuts.add(frozenset(("a", "c")))
    world.call_streamed("a", "c", lambda: iter(range(20)), items.append, ends.append)
    world.run(120.0)
    assert items[20:] == [1] and ends == [True, False, False]


def test_a_skewed_clock_only_moves_forward() -> None:
    world = World(1, CALM)
    clock = SkewedClock(world, 50.0)
    world.run(10.0)
    assert clock.monotonic() == 60.0
    clock.run_at(2.0)
    world.run(20.0)
    clock.run_at(0.5)
    clock.jump(100.0)
    world.run(30.0)
    assert clock.monotonic() == 60.0 + 20.0 + 100.0 + 5.0


def test_fault_points_are_off_outside_the_simulator_and_drawn_from_the_seed_inside() -> None:
    names = [name for name, _ in points()]
    assert not any(buggify.buggify(name) for name in names)

    def fires(seed: int) -> dict[str, int]:
        luck = Luck(seed)
        with buggify.installed(luck):
            for _ in range(200):
                for name in names:
                    buggify.buggify(name)
        return dict(luck.fired)

    runs = [fires(seed) for seed in range(40)]
    assert runs[5] == fires(5)
    assert {name for run in runs for name in run} == set(names)
    assert any(len(run) < len(names) // 2 for run in runs)
    assert not buggify.buggify(names[0])


def test_the_model_replays_its_records() -> None:
    history = History(4)
    history.add(Change(16, 1, put(100, b"abc"), False, True))
    history.add(Change(40, 1, move(200, 100, 3), False, True))
    history.add(Change(60, 1, put(300, b"new"), True, True))
    history.add(Change(80, 5, image(b"head", b"tail"), False, False))
    history.add(Change(90, -1, b"commit", False, True))
    early, late = history.page(1, 50), history.page(1, 1000)
    assert early is not None and late is not None
    assert early[:8] == (40).to_bytes(8, "little") and early[100:103] == early[200:203] == b"abc"
    assert late[300:303] == b"new" and not any(late[100:203])
    assert history.page(1, 50) == early and history.page(1, 10) is None
    whole = history.page(5, 80)
    assert whole is not None and whole[12:16] == b"head" and whole[PAGE_BYTES - 4 :] == b"tail"
    assert history.pg_last(0, 85) == 60 and history.pg_last(0, 90) == 90 and history.pg_last(1, 79) == 0
    assert history.upto(60).page_last(5) == 0 and history.at(61) is None
