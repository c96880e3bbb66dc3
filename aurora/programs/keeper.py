"""``python -m aurora.programs.keeper --data DIR``: starts again what has died and nobody has stopped.

``aurora up`` starts one a cluster, detached or not. It owns nothing: a keeper that is gone leaves the cluster running,
and the next ``aurora up`` starts another. It learns of a death at once, by a pidfd of the shell that waits for the
process, and of processes that verbs start or stop by looking at the run files.

Of an instance that has lived for ``HOLD_AFTER_S`` it holds another process ready, which has done its imports and waits
to be told its role and the rest of its arguments: a writer that dies is back as soon as the volume is open.

An instance comes back as a reader when any other one lives (``Cluster.start_role``): they elect the writer among
themselves, and nothing that the keeper does can make two.

The pause before a start doubles from ``PAUSE_S`` to ``PAUSE_MAX_S`` while the process dies young, and begins anew once
one has lived for ``SETTLED_S``. A writer that another one has superseded comes back as a reader, after the shortest
pause however often roles have changed, for it has not failed; in a cluster of one instance it is not started again, for
it would fence that other one.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import logging
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from aurora import exit_status
from aurora.programs.description import ClusterError
from aurora.programs.processes import FILE_MODE, process_start
from aurora.programs.supervisor import KEEPER, Cluster

PAUSE_S: Final = 0.05
PAUSE_MAX_S: Final = 30.0
SETTLED_S: Final = 60.0
SERVED_S: Final = 1.0
"""What ends sooner than that has not served, whatever it says of its end."""
HOLD_AFTER_S: Final = 5.0
LOOK_S: Final = 0.5
"""Between two looks at the run files."""
NOTED_S: Final = 0.01
"""Between two looks while a shell is noting an exit status."""

LOGGER = logging.getLogger("keeper")


@dataclass(slots=True)
class Watched:
    """One process as the keeper sees it: when the one that runs was first seen, how long to pause when it dies."""

    pid: int = 0
    seen_s: float = 0.0
    pause_s: float = PAUSE_S
    due_s: float | None = None
    """When to start it again; None: it runs, or is not to run."""


class Keeper:
    """Decides; ``now`` gives seconds of one monotonic clock, ``restart(id, last_end)`` starts a process again."""

    def __init__(self, cluster: Cluster, now: Callable[[], float], restart: Callable[[str, str], object]) -> None:
        self._cluster = cluster
        self._now = now
        self._restart = restart
        self._watched: dict[str, Watched] = {}

    def look(self) -> float:
        """Look at every process once, start what is due; returns how long nothing is due."""
        now = self._now()
        processes = self._cluster.processes
        names = self._cluster.process_ids()
        for removed in self._watched.keys() - set(names):
            processes.let_go(removed)
        self._watched = {name: self._watched.get(name) or Watched() for name in names}
        sleep_s = LOOK_S
        for name, watched in self._watched.items():
            run, pid = processes.run(name), processes.pid(name)
            if pid is None and run.wanted and processes.is_being_noted(name):
                sleep_s = NOTED_S
                continue
            if pid is not None or not run.wanted:
                self._alive(watched, pid or 0, now)
                self._hold(name, watched, bool(pid) and run.wanted, now)
                continue
            if watched.due_s is None:
                if not self._died(name, watched, now):
                    continue
            if watched.due_s is not None and watched.due_s <= now:
                watched.due_s = None
                self._start(name)
                sleep_s = min(sleep_s, NOTED_S)  # it may have died at once
            if watched.due_s is not None:
                sleep_s = min(sleep_s, watched.due_s - now)
        return max(0.0, sleep_s)

    def _alive(self, watched: Watched, pid: int, now: float) -> None:
        watched.due_s = None
        if pid != watched.pid:
            watched.pid, watched.seen_s = pid, now
        elif pid and now - watched.seen_s > SETTLED_S:
            watched.pause_s = PAUSE_S

    def _hold(self, name: str, watched: Watched, wanted: bool, now: float) -> None:
        """Have another process ready for an instance that has begun well; none for one that nobody wants."""
        if not self._cluster.is_instance(name):
            return
        if not wanted:
            self._cluster.processes.let_go(name)
        elif now - watched.seen_s > HOLD_AFTER_S:
            try:
                self._cluster.hold(name)
            except (ClusterError, OSError) as error:
                LOGGER.error("no process can be held ready for %s: %s", name, error)

    def _died(self, name: str, watched: Watched, now: float) -> bool:
        """Set when it is started again; False: not at all."""
        if self._cluster.processes.exit_status(name) == exit_status.FENCED and self._cluster.alone(name):
            LOGGER.info("%s was superseded by another writer: it stays down", name)
            self._cluster.give_up(name)
            return False
        if self._cluster.processes.exit_status(name) == exit_status.TOO_NEW:
            LOGGER.error("%s is older than the program that had the volume open last: it stays down", name)
            self._cluster.give_up(name)
            return False
        served = self._cluster.processes.run(name).pid == watched.pid and now - watched.seen_s > SERVED_S
        gave_way = served and self._cluster.processes.exit_status(name) == exit_status.FENCED
        pause_s = PAUSE_S if gave_way else watched.pause_s
        watched.due_s = now + pause_s
        LOGGER.warning("%s has ended (%s): starts again in %g s", name, self._cluster.last_end(name), pause_s)
        if not gave_way:
            watched.pause_s = min(PAUSE_MAX_S, pause_s * 2)
        return True

    def _start(self, name: str) -> None:
        try:
            self._restart(name, self._cluster.last_end(name))
        except (ClusterError, OSError) as error:
            LOGGER.error("%s cannot be started: %s", name, error)


def _shell_fds(cluster: Cluster, held: dict[str, tuple[int, int]]) -> list[int]:
    """A pidfd for the shell of each running process: readable once it is gone, its exit status noted."""
    for name in cluster.process_ids():
        run = cluster.processes.run(name)
        pid, fd = held.get(name, (0, -1))
        if run.shell != pid:
            if fd >= 0:
                os.close(fd)
            held.pop(name, None)
            if run.shell and process_start(run.shell) is not None:
                with contextlib.suppress(ProcessLookupError):  # it has gone since: the next look finds that
                    held[name] = (run.shell, os.pidfd_open(run.shell))
    return [fd for _, fd in held.values() if fd >= 0]


class _Stop(Exception):
    """SIGTERM or SIGINT."""


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stop


def run(cluster: Cluster) -> None:
    """Keep the cluster until told to stop."""
    keeper = Keeper(cluster, time.monotonic, cluster.restart)
    held: dict[str, tuple[int, int]] = {}
    while True:
        cluster.read()
        sleep_s = keeper.look()
        if not hasattr(os, "pidfd_open"):
            time.sleep(min(sleep_s, 0.1))
            continue
        poll = select.poll()
        for fd in _shell_fds(cluster, held):
            poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll(sleep_s * 1000):
            for name, (_, mine) in list(held.items()):
                if mine == fd:
                    os.close(fd)
                    held[name] = (held[name][0], -1)


def main(arguments: list[str] | None = None) -> int:
    """Keep until SIGTERM; exit status 1 when there is no cluster, 0 at once when another keeper is there."""
    parser = argparse.ArgumentParser(
        prog="python -m aurora.programs.keeper", description="Starts again what has died and nobody has stopped."
    )
    parser.add_argument("--data", type=Path, required=True, help="cluster folder")
    cluster = Cluster(parser.parse_args(arguments).data)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        _ = cluster.required
    except ClusterError as error:
        print(f"keeper: {error}", file=sys.stderr)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    lock = os.open(cluster.data / "run" / f"{KEEPER}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    try:
        run(cluster)
    except _Stop:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
