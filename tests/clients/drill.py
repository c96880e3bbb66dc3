"""A cluster of a writer and two readers whose writer is killed, again and again, while some driver is connected."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
import pytest

from aurora.programs.description import WRITER, InstanceSpec
from aurora.programs.endpoints import spec as endpoints
from aurora.programs.instances import AVAILABLE
from aurora.programs.supervisor import LOOPBACK, Cluster
from tests.cluster.support import wait_for
from tests.conftest import SMALL_PAGES_PER_PG
from tests.log_rule import WATCH

READERS: Final = 2
KILLED: Final = pytest.mark.logs(r"has ended \(", "writer", "lease", "feed", "promot", "fence")
"""What the others say of a writer that is gone."""


class Drill:
    """The cluster, and what a test does to it. Instances are named by the last number of their addresses, so that the
    wrappers' host pattern ``127.0.0.?`` finds them."""

    PATTERN: Final = "127.0.0.?"

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.port = cluster.required.instances[0].port

    @property
    def instances(self) -> list[InstanceSpec]:
        return self.cluster.required.instances

    @property
    def writer(self) -> InstanceSpec:
        return self.cluster.writer

    @property
    def readers(self) -> list[InstanceSpec]:
        writer = self.writer.id
        return [one for one in self.instances if one.id != writer]

    @property
    def hosts(self) -> list[str]:
        """All addresses; the writer's is not the first, so that a driver which takes the first it reaches is seen."""
        return [one.host for one in self.readers] + [self.writer.host]

    def conninfo(self, **settings: object) -> str:
        """libpq's connection string of all instances."""
        told = {"host": ",".join(self.hosts), "port": self.port, "user": "postgres", "dbname": "postgres", **settings}
        return " ".join(f"{name}={value}" for name, value in told.items())

    def endpoint(self, name: str) -> str:
        """Where an endpoint listens, on the instances' port."""
        (found,) = [one for one in endpoints.load(self.cluster.data / "endpoints.json") if one.name == name]
        host, _, port = found.address.rpartition(":")
        assert int(port) == self.port
        return host

    def kill_writer(self) -> InstanceSpec:
        """SIGKILL; the keeper starts it again. The instance that wrote."""
        old = self.writer
        assert self.cluster.signal(old.id, signal.SIGKILL)
        return old

    def table(self, name: str, columns: str) -> None:
        with psycopg.connect(self.cluster.dsn(), autocommit=True) as connection:
            connection.execute(f"DROP TABLE IF EXISTS {name}; CREATE TABLE {name} ({columns})")

    def settle(self) -> None:
        """Wait until all instances serve, one of them as the writer, and each knows the others."""
        wait_for(self._settled, "a writer and two readers that follow it", timeout_s=60)

    def _settled(self) -> bool:
        told = self.cluster.topologies()
        everybody = {one.id for one in self.instances}
        writers = {each.self.id for each in told.values() if each.self.role == WRITER}
        if len(writers) != 1 or any({one.id for one in each.instances} != everybody for each in told.values()):
            return False
        return len(told) == len(everybody) and all(each.self.state == AVAILABLE for each in told.values())


def first_success(attempt: Callable[[], object], errors: tuple[type[Exception], ...], timeout_s: float = 30) -> float:
    """Try until it succeeds, as an application does that has to write; seconds that it took."""
    begun_s = time.monotonic()
    while True:
        try:
            attempt()
            return time.monotonic() - begun_s
        except errors:
            if time.monotonic() - begun_s > timeout_s:
                raise
            time.sleep(0.01)


def tell(driver: str, seconds: float) -> None:
    """The figure that the drill is for; ``pytest -s`` shows it."""
    print(f"\n{driver}: first write {seconds:.2f} s after SIGKILL of the writer")


@contextmanager
def running(folder: Path) -> Iterator[Drill]:
    cluster = Cluster(folder)
    cluster.create(
        host=LOOPBACK, port=0, pages_per_pg=SMALL_PAGES_PER_PG, cache_mb=64, password=None,
        readers=READERS, names_by_address=True,
    )  # fmt: skip
    WATCH.follow(cluster.data / "log")
    cluster.up()
    try:
        yield Drill(cluster)
    finally:
        cluster.down()
