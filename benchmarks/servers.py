"""The servers that are compared: PostgreSQL alone, PostgreSQL with five synchronous standbys, and our six-node cluster.

All on loopback, free ports, a temporary folder. PostgreSQL refuses to run as root, so as root it runs as ``postgres``.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

import psycopg

from aurora.addresses import LOOPBACK
from aurora.programs.places import free_ports
from aurora.programs.supervisor import Cluster

STANDBYS = 5
ANY = 3
"""Acknowledgements a commit waits for beside the primary's own: four copies of six, as ours."""


def postgres_bin() -> Path | None:
    """The folder of PostgreSQL's server programs; None when it is not installed."""
    config = shutil.which("pg_config")
    if config:
        folder = Path(subprocess.run([config, "--bindir"], capture_output=True, text=True, check=True).stdout.strip())
        if (folder / "initdb").exists():
            return folder
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    return None


class Postgres:
    """PostgreSQL with ``standbys`` streaming copies; ``dsn`` connects to the primary."""

    def __init__(self, root: Path, name: str, standbys: int = 0) -> None:
        found = postgres_bin()
        if found is None:
            raise RuntimeError("PostgreSQL's server programs are not installed")
        self.bin, self.name, self.standbys = found, name, standbys
        self.root = root / f"postgres{standbys}"
        self.ports = free_ports(1 + standbys)
        self.root.mkdir(parents=True)
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(self.root, account.pw_uid, account.pw_gid)

    @property
    def port(self) -> int:
        """The primary's port."""
        return self.ports[0]

    @property
    def dsn(self) -> str:
        """libpq connection string."""
        return f"host={LOOPBACK} port={self.port} user=postgres dbname=postgres"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.bin / program), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(command, check=True, cwd=self.root, stdout=subprocess.DEVNULL)

    def start(self) -> None:
        """Create and start primary and standbys; returns when all stream."""
        primary = self.root / "primary"
        self._run("initdb", "-D", str(primary), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8")
        settings = [
            f"port = {self.port}",
            f"listen_addresses = '{LOOPBACK}'",
            f"unix_socket_directories = '{self.root}'",
            "shared_buffers = 512MB",
            "max_connections = 1200",
            "max_wal_size = 4GB",
            "wal_level = replica",
        ]
        (primary / "postgresql.auto.conf").write_text("\n".join(settings) + "\n")
        self._run("pg_ctl", "-D", str(primary), "-w", "-l", str(self.root / "primary.log"), "start")
        names = []
        for number in range(1, self.standbys + 1):
            name = f"standby{number}"
            names.append(name)
            data = self.root / name
            connection = f"host={LOOPBACK} port={self.port} user=postgres application_name={name}"
            self._run("pg_basebackup", "-D", str(data), "-d", connection, "-c", "fast", "-R")
            with open(data / "postgresql.auto.conf", "a") as conf:
                conf.write(f"port = {self.ports[number]}\nshared_buffers = 128MB\n")
            self._run("pg_ctl", "-D", str(data), "-w", "-l", str(self.root / f"{name}.log"), "start")
        if names:
            with psycopg.connect(self.dsn, autocommit=True) as primary_connection:
                primary_connection.execute(
                    f"ALTER SYSTEM SET synchronous_standby_names = 'ANY {ANY} ({', '.join(names)})'"
                )
                primary_connection.execute("SELECT pg_reload_conf()")

    def stop(self) -> None:
        """Stop all of them."""
        for name in [f"standby{n}" for n in range(1, self.standbys + 1)] + ["primary"]:
            data = self.root / name
            if (data / "postmaster.pid").exists():
                self._run("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")

    def backend_rss(self) -> int:
        """Bytes of memory of all the primary's processes that no other process shares (Pss)."""
        primary_pid = (self.root / "primary" / "postmaster.pid").read_text().split()[0]
        pids = [
            primary_pid,
            *subprocess.run(["pgrep", "-P", primary_pid], capture_output=True, text=True).stdout.split(),
        ]
        return sum(pss_bytes(int(pid)) for pid in pids)

    def wal_bytes(self) -> int:
        """WAL written so far."""
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()
            return int(row[0]) if row else 0


class Aurora:
    """Our cluster in the same form."""

    def __init__(self, root: Path, name: str = "aurora") -> None:
        self.name = name
        self.cluster = Cluster(root / name)

    @property
    def port(self) -> int:
        """The writer's port."""
        return self.cluster.writer.port

    @property
    def dsn(self) -> str:
        """libpq connection string of the writer."""
        return self.cluster.dsn()

    def start(self) -> None:
        """Create and start it; returns when it answers."""
        self.cluster.create(host=LOOPBACK, port=0, pages_per_pg=(10 << 30) // 8192, cache_mb=1024, password=None)
        self.cluster.up()

    def stop(self) -> None:
        """Stop all processes."""
        self.cluster.down()

    def backend_rss(self) -> int:
        """Bytes of memory of the writer's process (Pss)."""
        pid = self.cluster.pid(self.cluster.writer.id)
        return pss_bytes(pid) if pid else 0

    def volume(self) -> dict[str, int]:
        """The volume's counters."""
        return dict(self.cluster.status()["volume"])

    def wal_bytes(self) -> int:
        """Log written so far: LSNs are byte positions."""
        return int(self.volume()["next_lsn"])


Server = Postgres | Aurora


def pss_bytes(pid: int) -> int:
    """A process's proportional memory in bytes."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
