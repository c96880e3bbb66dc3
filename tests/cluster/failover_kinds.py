"""The failovers of ``failover_ledger``: each kind does it to the instance that writes, and gives back what it took.

A kind returns when it has done what it does; who writes then is for the instances to find out.
"""

from __future__ import annotations

import asyncio
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import psycopg

from aurora.programs import instances
from aurora.programs.description import ClusterError
from aurora.programs.supervisor import Cluster
from aurora.rpc.instances import InstanceRefused, promote, writer_of

PAUSE_S: Final = 1.5
"""How much longer than until another one writes, at most."""
CUT_S: Final = 6.0
"""Longer than the writer holds anything for a reader that says nothing."""
BLINK_S: Final = 0.7
"""Shorter than the lease."""


def settled(condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    """Wait until it holds; AssertionError after the timeout."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"timed out waiting for {what}"
        time.sleep(0.05)


def who_writes(cluster: Cluster) -> str:
    """The instance that says that it writes; empty when none of those that answer does."""
    found = writer_of(cluster.topologies().values())
    return found.id if found is not None else ""


@dataclass
class Stage:
    """One failover: the cluster, who writes when it begins; ``wrong`` takes what must not be."""

    cluster: Cluster
    writer: str
    rng: random.Random
    wrong: list[str]
    mending: list[Callable[[], object]] = field(default_factory=list)

    @property
    def readers(self) -> list[str]:
        """Those that do not write, in a random order."""
        names = [one.id for one in self.cluster.required.instances if one.id != self.writer]
        return self.rng.sample(names, len(names))

    def signal(self, name: str, number: signal.Signals) -> None:
        """It may have ended by itself."""
        self.cluster.signal(name, number)

    def best_reader(self) -> str:
        """Who would be elected."""
        told = self.cluster.topologies()
        best = instances.best_reader([told[name].self for name in told if name != self.writer])
        return best.id if best is not None else self.readers[0]

    def mend(self) -> None:
        """Give back what was taken."""
        for each in self.mending:
            each()


def kill(stage: Stage) -> None:
    """The writer dies; the keeper brings it back beside the readers' election."""
    stage.signal(stage.writer, signal.SIGKILL)


def pause(stage: Stage) -> None:
    """The writer stops for longer than the leases, with an answer owed; awake, it acknowledges nothing."""
    pid = stage.cluster.pid(stage.writer)
    answers: list[str] = []
    connection = psycopg.connect(stage.cluster.dsn(stage.writer), autocommit=True)

    def write() -> None:
        try:
            connection.execute("UPDATE accounts SET balance = balance WHERE id = 2")
            answers.append("acknowledged")
        except psycopg.Error as error:
            answers.append(error.sqlstate or "cut")

    stage.signal(stage.writer, signal.SIGSTOP)
    writing = threading.Thread(target=write, daemon=True)
    writing.start()
    settled(lambda: who_writes(stage.cluster) not in ("", stage.writer), "another writer")
    time.sleep(max(0.0, stage.rng.uniform(0, PAUSE_S)))
    stage.signal(stage.writer, signal.SIGCONT)
    writing.join(30)
    if writing.is_alive():
        stage.wrong.append(f"{stage.writer} gives no answer after its pause")
    elif answers == ["acknowledged"]:
        stage.wrong.append(f"{stage.writer} acknowledges a commit after its pause")
    connection.close()
    settled(lambda: stage.cluster.pid(stage.writer) != pid, "the fenced writer to end")


def blink(stage: Stage) -> None:
    """The writer stops for less than the leases."""
    stage.signal(stage.writer, signal.SIGSTOP)
    time.sleep(BLINK_S)
    stage.signal(stage.writer, signal.SIGCONT)


def planned(stage: Stage) -> None:
    """``aurora failover``"""
    instances.failover(stage.cluster)


def planned_to(stage: Stage) -> None:
    """``aurora failover --to ID``"""
    wanted = stage.readers[0]
    done = instances.failover(stage.cluster, wanted)
    if done.after != wanted:
        stage.wrong.append(f"{done.after} took over, and not {wanted}")


def kill_two(stage: Stage) -> None:
    """The writer and the reader that would take over die at once."""
    best = stage.best_reader()
    stage.signal(stage.writer, signal.SIGKILL)
    stage.signal(best, signal.SIGKILL)


def kill_all(stage: Stage) -> None:
    """No instance is left."""
    for name in (stage.writer, *stage.readers):
        stage.signal(name, signal.SIGKILL)


def zone_down(stage: Stage) -> None:
    """The writer dies while a zone of storage nodes is down."""
    nodes = stage.cluster.nodes_of(stage.rng.choice(("az1", "az2", "az3")))
    for node in nodes:
        stage.cluster.kill(node)

    def bring_back() -> None:
        for node in nodes:
            stage.cluster.start_node(node)
        for node in nodes:
            stage.cluster.wait_node(node)

    stage.mending.append(bring_back)
    stage.signal(stage.writer, signal.SIGKILL)


def two_promotions(stage: Stage) -> None:
    """Two readers are asked to become the writer at the same time, while the writer writes."""
    feeds = [stage.cluster.required.instance(name).feed for name in stage.readers[:2]]
    access = stage.cluster.access()

    async def both() -> list[object]:
        return list(
            await asyncio.gather(*(promote(feed, access, "at the same time") for feed in feeds), return_exceptions=True)
        )

    answers = asyncio.run(both())
    unexpected = [
        each
        for each in answers
        if isinstance(each, Exception) and not isinstance(each, (InstanceRefused, ConnectionError))
    ]
    if unexpected:
        stage.wrong.append(f"two promotions end with {unexpected}")


def cut(stage: Stage) -> None:
    """A reader stops for longer than the writer waits for it, and goes on."""
    reader = stage.readers[0]
    stage.signal(reader, signal.SIGSTOP)
    time.sleep(CUT_S)
    stage.signal(reader, signal.SIGCONT)


def writer_again(stage: Stage) -> None:
    """The writer dies, and somebody starts it as a writer beside the readers' election."""
    cluster, name = stage.cluster, stage.writer
    stage.signal(name, signal.SIGKILL)
    cluster.wait_gone(name)
    with cluster.changing():  # the keeper waits for the same lock
        if cluster.pid(name) is None:
            cluster.processes.spawn(name, cluster.instance_command(name, "writer"))


def killed_successor(stage: Stage) -> None:
    """A planned failover whose successor dies on the way."""
    wanted = stage.readers[0]

    def ask() -> None:
        try:
            instances.failover(stage.cluster, wanted)
        except ClusterError:
            pass  # it says that the successor did not become the writer

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    time.sleep(stage.rng.uniform(0, 0.15))
    stage.signal(wanted, signal.SIGKILL)
    asking.join(60)
    if asking.is_alive():
        stage.wrong.append("aurora failover hangs when the successor dies")


KINDS: Final[dict[str, Callable[[Stage], None]]] = {
    "kill": kill,
    "pause": pause,
    "blink": blink,
    "planned": planned,
    "planned_to": planned_to,
    "kill_two": kill_two,
    "kill_all": kill_all,
    "zone_down": zone_down,
    "two_promotions": two_promotions,
    "cut": cut,
    "writer_again": writer_again,
    "killed_successor": killed_successor,
}
