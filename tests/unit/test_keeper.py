"""The keeper: what has died and nobody has stopped is started again, after a pause that grows."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aurora import exit_status
from aurora.programs.keeper import HOLD_AFTER_S, PAUSE_MAX_S, PAUSE_S, SETTLED_S, Keeper
from aurora.programs.processes import Processes, Run, end_text, process_start
from aurora.programs.supervisor import LOOPBACK, Cluster

pytestmark = pytest.mark.logs(r"keeper: a has ended", r"keeper: .* cannot be started")

DEADLINE_S = 30.0


class FakeProcesses:
    """Processes that live and die as the test says."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.statuses: dict[str, int] = {}
        self.noting: set[str] = set()
        self.alive: set[str] = set()
        self.held: set[str] = set()

    def run(self, name: str) -> Run:
        return self.runs.setdefault(name, Run())

    def pid(self, name: str) -> int | None:
        return self.run(name).pid if name in self.alive else None

    def is_being_noted(self, name: str) -> bool:
        return name in self.noting

    def exit_status(self, name: str) -> int | None:
        return self.statuses.get(name)

    def let_go(self, name: str) -> None:
        self.held.discard(name)


class FakeCluster:
    """One process, ``a``."""

    def __init__(self) -> None:
        self.processes = FakeProcesses()
        self.given_up: list[str] = []
        self.others = False
        self.names = ["a"]

    def process_ids(self) -> list[str]:
        return self.names

    def alone(self, name: str) -> bool:
        return not self.others

    def is_instance(self, name: str) -> bool:
        return True

    def hold(self, name: str) -> None:
        self.processes.held.add(name)

    def last_end(self, name: str) -> str:
        return end_text(self.processes.exit_status(name))

    def give_up(self, name: str) -> None:
        self.given_up.append(name)
        self.processes.run(name).wanted = False


class World:
    """A keeper, its clock and what it starts."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.cluster = FakeCluster()
        self.started: list[tuple[float, str]] = []
        self.dies_at_once = False
        self.keeper = Keeper(self.cluster, lambda: self.now_s, self._restart)  # type: ignore[arg-type]
        self.start()

    def start(self) -> None:
        run = self.cluster.processes.run("a")
        run.pid, run.wanted = run.pid + 1, True
        self.cluster.processes.alive.add("a")

    def die(self, status: int = 137) -> None:
        self.cluster.processes.alive.discard("a")
        self.cluster.processes.statuses["a"] = status

    def _restart(self, name: str, last_end: str) -> None:
        self.started.append((self.now_s, last_end))
        if not self.dies_at_once:
            self.start()
        else:
            self.cluster.processes.run(name).pid += 1

    def run(self, seconds: float) -> None:
        until = self.now_s + seconds
        while self.now_s < until:
            self.now_s += max(self.keeper.look(), 1e-6)


def test_what_dies_is_started_again_and_it_is_known_why() -> None:
    world = World()
    world.run(1)
    died_s = world.now_s
    world.die()
    world.run(5)
    assert len(world.started) == 1
    at_s, why = world.started[0]
    assert at_s - died_s == pytest.approx(PAUSE_S, abs=0.001)
    assert why == "killed by SIGKILL"


def test_what_a_verb_has_stopped_stays_down() -> None:
    world = World()
    world.run(1)
    world.cluster.processes.run("a").wanted = False
    world.die()
    world.run(100)
    assert world.started == []


def test_the_pause_grows_while_it_dies_young_and_is_short_again_after_a_quiet_life() -> None:
    world = World()
    world.run(1)
    world.dies_at_once = True
    world.die(1)
    world.run(400)
    times = [at for at, _ in world.started]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    expected = [min(PAUSE_MAX_S, PAUSE_S * 2**n) for n in range(1, len(pauses) + 1)]
    assert len(pauses) > 12
    assert pauses == pytest.approx(expected, abs=0.02)

    world.dies_at_once = False
    world.run(2 * PAUSE_MAX_S)
    world.run(SETTLED_S + 1)
    died_s = world.now_s
    world.die(1)
    world.run(1)
    assert world.started[-1][0] - died_s == pytest.approx(PAUSE_S, abs=0.001)


def test_another_is_held_ready_for_one_that_has_begun_well() -> None:
    world = World()
    processes = world.cluster.processes
    world.run(HOLD_AFTER_S - 1)
    assert not processes.held
    world.run(2)
    assert processes.held == {"a"}
    processes.run("a").wanted = False
    world.die()
    world.run(1)
    assert not processes.held


def test_the_held_one_of_an_instance_that_is_removed_ends() -> None:
    """Between two looks it is stopped and its name is gone."""
    world = World()
    world.run(HOLD_AFTER_S + 1)
    assert world.cluster.processes.held == {"a"}
    world.die()
    world.cluster.names = []
    world.run(1)
    assert not world.cluster.processes.held


def test_a_superseded_writer_is_not_started_again() -> None:
    world = World()
    world.run(1)
    world.die(exit_status.FENCED)
    world.run(100)
    assert world.started == []
    assert world.cluster.given_up == ["a"]


def test_a_superseded_writer_comes_back_to_the_other_instances() -> None:
    world = World()
    world.cluster.others = True
    world.run(1)
    died_s = world.now_s
    world.die(exit_status.FENCED)
    world.run(5)
    assert [at for at, _ in world.started] == [pytest.approx(died_s + PAUSE_S, abs=0.001)]
    assert world.cluster.given_up == []


def test_role_changes_do_not_make_it_wait_longer() -> None:
    """An old writer is back as a reader at once, after ten failovers as after the first."""
    world = World()
    world.cluster.others = True
    for status in [*[137] * 8, *[exit_status.FENCED] * 10]:  # the kills before have made the pause long
        world.run(5)
        died_s = world.now_s
        world.die(status)
        world.run(PAUSE_MAX_S)
    assert len(world.started) == 18
    assert world.started[-1][0] - died_s == pytest.approx(PAUSE_S, abs=0.001)


def test_one_that_is_superseded_as_soon_as_it_starts_is_started_ever_later() -> None:
    world = World()
    world.cluster.others = True
    world.run(2)
    world.dies_at_once = True
    world.die(exit_status.FENCED)
    world.run(400)
    assert len(world.started) < 30


def test_nothing_is_decided_before_the_exit_status_is_noted() -> None:
    world = World()
    world.run(1)
    world.cluster.processes.alive.discard("a")
    world.cluster.processes.noting.add("a")
    world.run(0.2)
    assert world.started == []
    world.cluster.processes.noting.clear()
    world.cluster.processes.statuses["a"] = exit_status.FENCED
    world.run(1)
    assert world.cluster.given_up == ["a"]


# -- the shell around a process


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes what runs as ``python -m …`` a shell script."""

    def set_to(text: str) -> None:
        path = tmp_path / "program"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(path))

    return set_to


@pytest.mark.parametrize(
    ("script", "status", "words"),
    [
        ("exit 0", 0, "exit status 0"),
        ("exit 3", 3, "exit status 3: another instance writes"),
        ("kill -9 $$", 137, "killed by SIGKILL"),
    ],
)
def test_how_a_process_ended_is_noted(
    tmp_path: Path, program: Callable[[str], None], script: str, status: int, words: str
) -> None:
    program(script)
    processes = Processes(tmp_path)
    run = processes.spawn("a", ["x"])
    assert processes.wait_gone("a", DEADLINE_S)
    assert processes.exit_status("a") == status
    assert end_text(status) == words
    assert processes.pid("a") is None
    assert processes.run("a").pid == run.pid


def test_a_process_gets_its_arguments_an_empty_input_and_the_log(
    tmp_path: Path, program: Callable[[str], None]
) -> None:
    program('cat; echo "$0 $@"; echo oops >&2')
    processes = Processes(tmp_path)
    processes.spawn("a", ["x", "two words"])
    assert processes.wait_gone("a", DEADLINE_S)
    assert processes.log_tail("a").splitlines() == [f"{sys.executable} -m x two words", "oops"]


def test_a_signal_reaches_the_process_itself(tmp_path: Path, program: Callable[[str], None]) -> None:
    program("exec sleep 600")
    processes = Processes(tmp_path)
    processes.spawn("a", ["x"])
    assert processes.signal("a", signal.SIGTERM)
    assert processes.wait_gone("a", DEADLINE_S)
    assert end_text(processes.exit_status("a")) == "killed by SIGTERM"


WAITS = (
    f'if [ "$3" = {exit_status.HELD} ]; then read -r line || exit {exit_status.UNBEGUN}; fi; '
    'echo "${line:-$*}" >&2; exec sleep 600'
)
"""A program that waits for a line when it is to be held, and tells its arguments."""


def held_pid(processes: Processes) -> int:
    return processes._held["a"].pid


def wait_gone(pid: int) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while process_start(pid) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def reap(processes: Processes) -> None:
    """Every shell has ended too."""
    for shell in processes._shells.values():
        shell.wait(DEADLINE_S)
    processes.pid("a")
    assert not processes._shells


def test_a_held_process_begins_in_place_of_a_new_one(tmp_path: Path, program: Callable[[str], None]) -> None:
    program(WAITS)
    processes = Processes(tmp_path)
    first = processes.spawn("a", ["x", "y"])
    processes.hold("a", "x")
    ready = held_pid(processes)
    processes.hold("a", "x")
    assert held_pid(processes) == ready
    processes.signal("a", signal.SIGKILL)
    assert processes.wait_gone("a", DEADLINE_S)
    second = processes.spawn("a", ["x", "--role", "another one"], first)
    assert second.pid == ready == processes.pid("a")
    deadline = time.monotonic() + DEADLINE_S
    while '["--role", "another one"]' not in processes.log_tail("a"):
        assert time.monotonic() < deadline, "it was not told its arguments"
        time.sleep(0.01)
    processes.signal("a", signal.SIGKILL)
    assert processes.wait_gone("a", DEADLINE_S)
    assert end_text(processes.exit_status("a")) == "killed by SIGKILL"


def test_a_held_process_that_is_not_wanted_or_not_there_changes_nothing(
    tmp_path: Path, program: Callable[[str], None]
) -> None:
    program(WAITS)
    processes = Processes(tmp_path)
    processes.spawn("a", ["x", "y"])
    processes.signal("a", signal.SIGKILL)
    assert processes.wait_gone("a", DEADLINE_S)
    processes.hold("a", "x")
    ready = held_pid(processes)
    processes.let_go("a")
    wait_gone(ready)
    assert end_text(processes.exit_status("a")) == "killed by SIGKILL"

    processes.hold("a", "x")
    ready = held_pid(processes)
    assert processes.spawn("a", ["z", "y"]).pid != ready
    wait_gone(ready)
    processes.hold("a", "z")
    ready = held_pid(processes)
    os.kill(ready, signal.SIGKILL)
    wait_gone(ready)
    processes.signal("a", signal.SIGKILL)
    assert processes.wait_gone("a", DEADLINE_S)
    again = processes.spawn("a", ["z", "y"])
    assert again.pid not in (0, ready)
    processes.signal("a", signal.SIGKILL)
    assert processes.wait_gone("a", DEADLINE_S)
    reap(processes)


def test_a_process_that_was_stopped_is_not_restarted(tmp_path: Path, program: Callable[[str], None]) -> None:
    program("exec sleep 600")
    cluster = Cluster(tmp_path / "c")
    cluster.create(host=LOOPBACK, port=5999, pages_per_pg=512, cache_mb=64, password=None)
    cluster.start_node("az1-a")
    first = cluster.pid("az1-a")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    cluster.wait_gone("az1-a")
    cluster.restart("az1-a", "killed by SIGKILL")
    second = cluster.pid("az1-a")
    assert second not in (None, first)
    assert cluster.processes.run("az1-a").restarts == 1
    assert cluster.processes.run("az1-a").last_end == "killed by SIGKILL"
    cluster.kill("az1-a")
    cluster.restart("az1-a", "x")
    assert cluster.pid("az1-a") is None
    cluster.start_node("az1-a")
    assert cluster.processes.run("az1-a").restarts == 0
    cluster.kill("az1-a")
