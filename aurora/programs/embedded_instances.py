"""The instances of an embedded cluster with readers: processes, which are killed and taken over from as real ones are.

The hub that runs an instance's sessions is one a process, so a writer and its readers cannot share one; and a test of
failover is to kill something. The storage nodes stay in the test's process: a start costs the instances' imports, and
not those of six nodes more (2026-11-29, a writer and two readers on two busy cores: 4.5 s, with the nodes as processes
8 s).

A shell waits for the end of the test's process, and stops the instances when that was too sudden to do it itself.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from aurora.programs import instances as verbs
from aurora.programs.description import READER, WRITER, connect_host
from aurora.programs.supervisor import BACKUP_OFF, Cluster
from aurora.rpc.instances import writer_of

WARDEN = ("/bin/sh", "-c", 'read -r ended; test "$ended" || exec "$@" >/dev/null 2>&1', "warden")
"""Runs the command behind it when its input ends without a line."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of an embedded cluster: its role now, and where it listens."""

    id: str
    role: str
    address: tuple[str, int]

    @property
    def dsn(self) -> str:
        """libpq connection string."""
        return dsn_of([self.address])


def dsn_of(addresses: list[tuple[str, int]], database: str = "postgres") -> str:
    """libpq connection string of a server, or of the one of several that answers and fits."""
    hosts = ",".join(host for host, _ in addresses)
    ports = ",".join(str(port) for _, port in addresses)
    return f"host={hosts} port={ports} user=postgres dbname={database}"


class EmbeddedInstances:
    """A writer and readers on storage nodes that are somebody else's. ``cluster`` has their files and the verbs."""

    def __init__(self, folder: Path, node_ports: list[int], readers: int, pages_per_pg: int, cache_mb: int) -> None:
        self.cluster = Cluster(folder)
        self.cluster.config_path.unlink(missing_ok=True)  # of the last time: the nodes' ports are new
        self.cluster = Cluster(folder)
        self.cluster.create(
            host="",
            port=0,
            pages_per_pg=pages_per_pg,
            cache_mb=cache_mb,
            password=None,
            backup=BACKUP_OFF,
            node_ports=node_ports,
            readers=readers,
        )
        self._warden: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when all answer."""
        down = [sys.executable, "-m", "aurora.programs.cli", "down", "--data", str(self.cluster.data)]
        self._warden = subprocess.Popen([*WARDEN, *down], stdin=subprocess.PIPE, start_new_session=True)
        self.cluster.start_instances()

    def stop(self) -> None:
        """End all of them."""
        self.cluster.down()
        if self._warden is not None:
            self._warden.communicate(b"in order\n")

    def instances(self) -> tuple[Instance, ...]:
        """Those that run, the writer first; the last known one while nobody says that it writes."""
        told = self.cluster.topologies()
        writer = writer_of(told.values())
        first = writer.id if writer is not None else self.cluster.noted_writer.id
        specs = sorted(self.cluster.required.instances, key=lambda one: one.id != first)
        return tuple(
            Instance(one.id, WRITER if one.id == first else READER, (connect_host(one), one.port))
            for one in specs
            if one.id == first or self.cluster.pid(one.id) is not None
        )

    def failover(self, to: str) -> verbs.Failover:
        """See ``EmbeddedCluster.failover``."""
        done = verbs.failover(self.cluster, to)
        if done.before:
            self._wait_following(done.before)
        return done

    def restart(self, name: str) -> None:
        """See ``EmbeddedCluster.restart``."""
        verbs.start(self.cluster, name)

    def _wait_following(self, name: str) -> None:
        """Until who wrote before is a reader that answers; it is started again if it has ended."""
        deadline = time.monotonic() + verbs.FOLLOW_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.cluster.pid(name) is None:
                self.cluster.start_instance(name)
            told = self.cluster.topologies().get(name)
            if told is not None and told.self.role == READER and told.self.state == verbs.AVAILABLE:
                self.cluster.wait_instance(name)
                return
            time.sleep(0.02)
        raise TimeoutError(f"{name} does not follow its successor after {verbs.FOLLOW_TIMEOUT_S:g} s")
