"""The cluster supervisor: six storage nodes and the instances of one cluster, as processes on this machine.

``DIR/cluster.json`` names the processes and their addresses, ``DIR/run/ID.json`` the running ones (pid and start time,
so that a reused pid is not mistaken for ours), ``DIR/log/ID.log`` holds what they print. There is no daemon: every verb
reads these files and acts. The processes are those that compose and Kubernetes run: ``python -m storage_node``,
``python -m compute_node``.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aurora.errors import InvariantViolation
from aurora.object_store import ObjectStoreError, open_store

AZS = ("az1", "az2", "az3")
NODES = tuple((f"{az}-{letter}", az) for az in AZS for letter in "ab")
"""The six storage nodes: (id, availability zone)."""

LOOPBACK = "127.0.0.1"
BACKUP_OFF = "off"


class ClusterError(Exception):
    """Something the user of a verb should read; printed without a traceback."""


@dataclass(slots=True)
class NodeSpec:
    """One storage node of the cluster."""

    id: str
    az: str
    address: str


@dataclass(slots=True)
class InstanceSpec:
    """One compute instance of the cluster."""

    id: str
    role: str
    host: str
    port: int

    @property
    def address(self) -> str:
        """host:port"""
        return f"{self.host}:{self.port}"


@dataclass(slots=True)
class ClusterSpec:
    """What ``cluster.json`` holds."""

    nodes: list[NodeSpec]
    instances: list[InstanceSpec]
    pages_per_pg: int
    cache_mb: int
    settings: dict[str, str] = field(default_factory=dict)
    password_file: str | None = None
    backup: str = ""
    """URL of the backup's object store; empty: the folder ``backup`` beside the rest, ``off``: none."""

    def node(self, node_id: str) -> NodeSpec:
        """The node of that id."""
        for node in self.nodes:
            if node.id == node_id:
                return node
        raise ClusterError(f"no storage node {node_id!r}; there are {', '.join(n.id for n in self.nodes)}")

    def instance(self, instance_id: str) -> InstanceSpec:
        """The instance of that id."""
        for instance in self.instances:
            if instance.id == instance_id:
                return instance
        raise ClusterError(f"no instance {instance_id!r}; there are {', '.join(i.id for i in self.instances)}")

    @property
    def storage(self) -> str:
        """The nodes' addresses, comma separated: enough to find the volume."""
        return ",".join(node.address for node in self.nodes)


def free_ports(count: int) -> list[int]:
    """``count`` different ports that are free on loopback right now."""
    sockets = []
    try:
        for _ in range(count):
            probe = socket.socket()
            probe.bind((LOOPBACK, 0))
            sockets.append(probe)
        return [s.getsockname()[1] for s in sockets]
    finally:
        for probe in sockets:
            probe.close()


def process_start(pid: int) -> str | None:
    """A token for the process's start time; None when there is no such process (a zombie counts as none)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        if os.path.isdir("/proc/self"):
            return None
        shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return shown.stdout.strip() or None
    except ProcessLookupError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]


class Cluster:
    """One cluster in one folder. Methods raise ClusterError for what the user can mend."""

    def __init__(self, data: Path) -> None:
        self.data = data.absolute()
        self.spec: ClusterSpec | None = None
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        if self.config_path.exists():
            self.spec = self._read()

    @property
    def config_path(self) -> Path:
        """The file that makes a folder a cluster."""
        return self.data / "cluster.json"

    def _read(self) -> ClusterSpec:
        try:
            raw = json.loads(self.config_path.read_text())
            return ClusterSpec(
                nodes=[NodeSpec(**item) for item in raw.pop("nodes")],
                instances=[InstanceSpec(**item) for item in raw.pop("instances")],
                **raw,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ClusterError(f"{self.config_path} does not describe a cluster: {error}") from error

    def _write(self) -> None:
        self._atomic(self.config_path, json.dumps(asdict(self.required), indent=1))

    @staticmethod
    def _atomic(path: Path, text: str) -> None:
        temporary = path.with_suffix(".tmp")
        temporary.write_text(text)
        os.replace(temporary, path)

    @property
    def required(self) -> ClusterSpec:
        """The cluster's description; ClusterError when the folder holds no cluster."""
        if self.spec is None:
            raise ClusterError(f"no cluster in {self.data}; start one with: aurora up --data {self.data}")
        return self.spec

    def create(
        self,
        *,
        host: str,
        port: int,
        pages_per_pg: int,
        cache_mb: int,
        password: str | None,
        backup: str = "",
        node_ports: Sequence[int] | None = None,
    ) -> None:
        """Describe a new cluster of six nodes and a writer; nothing is started."""
        self._check_host(host, bool(password))
        self._check_backup(backup)
        port = self._checked_port(port)
        self.data.mkdir(parents=True, exist_ok=True)
        ports = node_ports or free_ports(len(NODES))
        self.spec = ClusterSpec(
            nodes=[NodeSpec(i, az, f"{LOOPBACK}:{p}") for (i, az), p in zip(NODES, ports, strict=True)],
            instances=[InstanceSpec("instance-1", "writer", host, port)],
            pages_per_pg=pages_per_pg,
            cache_mb=cache_mb,
            backup=backup,
        )
        if password:
            secret = self.data / "password"
            secret.touch(mode=0o600)
            secret.write_text(password)
            self.spec.password_file = str(secret)
        self._write()

    def move_writer(self, host: str, port: int) -> None:
        """Let the writer listen elsewhere from its next start on; ClusterError while it runs."""
        writer = self.writer
        if (writer.host, writer.port) == (host, port):
            return
        if self.pid(writer.id) is not None:
            raise ClusterError(
                f"{writer.id} runs at {writer.address}; to move it, first: aurora instance stop {writer.id}"
            )
        self._check_host(host, self.required.password_file is not None)
        writer.host, writer.port = host, self._checked_port(port)
        self._write()

    @staticmethod
    def _check_backup(backup: str) -> None:
        if backup not in ("", BACKUP_OFF):
            try:
                open_store(backup)
            except ObjectStoreError as error:
                raise ClusterError(f"--backup: {error}; or off") from error

    def set_backup(self, backup: str) -> None:
        """Let the backup go elsewhere from the nodes' next start on; ClusterError while one runs."""
        spec = self.required
        if backup == spec.backup:
            return
        self._check_backup(backup)
        running = [node.id for node in spec.nodes if self.pid(node.id) is not None]
        if running:
            raise ClusterError(f"{', '.join(running)} run and would not change their backup; first: aurora down")
        spec.backup = backup
        self._write()

    @property
    def backup_url(self) -> str | None:
        """Where the backup goes; None: nowhere."""
        backup = self.required.backup
        return None if backup == BACKUP_OFF else backup or (self.data / "backup").as_uri()

    @staticmethod
    def _checked_port(port: int) -> int:
        if not 0 <= port <= 65535:
            raise ClusterError(f"port {port} is not between 1 and 65535 (or 0 for a free one)")
        return port or free_ports(1)[0]

    @staticmethod
    def _check_host(host: str, has_password: bool) -> None:
        if host not in (LOOPBACK, "localhost", "::1") and not has_password:
            raise ClusterError(
                "listening beyond loopback needs a password: "
                "set AURORA_PASSWORD or give --password-file when the cluster is created"
            )

    @property
    def writer(self) -> InstanceSpec:
        """The instance in the writer's role."""
        for instance in self.required.instances:
            if instance.role == "writer":
                return instance
        raise InvariantViolation("a cluster without a writer")

    # -- processes -------------------------------------------------------------------------------------------------

    def _run_path(self, process_id: str) -> Path:
        return self.data / "run" / f"{process_id}.json"

    def pid(self, process_id: str) -> int | None:
        """The pid of a running process of ours; a file that a crash of the machine left empty names none."""
        try:
            run = json.loads(self._run_path(process_id).read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        running = run["start"] is not None and process_start(run["pid"]) == run["start"]
        child = self._children.get(process_id)
        if child is not None and (child.poll() is not None or (not running and child.pid == run["pid"])):
            child.wait()  # it has ended: reap it
            del self._children[process_id]
        return run["pid"] if running else None

    def _spawn(self, process_id: str, arguments: list[str], environment: dict[str, str] | None = None) -> None:
        for folder in ("run", "log"):
            (self.data / folder).mkdir(exist_ok=True)
        with open(self.data / "log" / f"{process_id}.log", "ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **(environment or {})},
            )
        self._children[process_id] = child
        run = {"pid": child.pid, "start": process_start(child.pid)}
        self._atomic(self._run_path(process_id), json.dumps(run))

    def start_node(self, node_id: str) -> None:
        """Start one storage node; nothing happens when it runs already."""
        node = self.required.node(node_id)
        if self.pid(node_id) is not None:
            return
        peers = ",".join(f"{n.id}={n.az}={n.address}" for n in self.required.nodes if n.id != node_id)
        self._spawn(
            node_id,
            [
                *("storage_node", "--id", node.id, "--az", node.az, "--listen", node.address),
                *("--data", str(self.data / "storage" / node.id), "--peers", peers),
                *("--backup", self.backup_url or ""),
            ],
        )

    def start_instance(self, instance_id: str) -> None:
        """Start one compute instance; nothing happens when it runs already."""
        instance = self.required.instance(instance_id)
        if self.pid(instance_id) is not None:
            return
        spec = self.required
        arguments = ["compute_node", "--id", instance.id, "--role", instance.role, "--listen", instance.address]
        arguments += [
            "--storage",
            spec.storage,
            "--pages-per-pg",
            str(spec.pages_per_pg),
            "--cache-mb",
            str(spec.cache_mb),
        ]
        if spec.password_file:
            arguments += ["--password-file", spec.password_file]
        self._spawn(instance_id, arguments)

    def signal(self, process_id: str, number: signal.Signals) -> bool:
        """Send a signal to a process of ours; False when it does not run."""
        pid = self.pid(process_id)
        if pid is None:
            return False
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True

    def wait_gone(self, process_id: str, timeout_s: float = 30.0) -> bool:
        """Wait until the process has ended."""
        deadline = time.monotonic() + timeout_s
        while self.pid(process_id) is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def kill(self, process_id: str) -> None:
        """SIGKILL and wait for the end."""
        if self.signal(process_id, signal.SIGKILL):
            self.wait_gone(process_id)

    def stop(self, process_id: str) -> None:
        """SIGTERM, then SIGKILL when it does not end in time."""
        if self.signal(process_id, signal.SIGTERM) and not self.wait_gone(process_id, 10.0):
            self.kill(process_id)

    def nodes_of(self, az: str) -> list[str]:
        """The ids of a zone's nodes."""
        found = [node.id for node in self.required.nodes if node.az == az]
        if not found:
            raise ClusterError(f"no availability zone {az!r}; there are {', '.join(AZS)}")
        return found

    def up(self, *, timeout_s: float = 60.0) -> None:
        """Start everything that does not run and wait until the writer answers queries. ClusterError when it does not:
        what was started here is stopped again then, what ran before goes on.
        """
        spec = self.required
        process_ids = [*(i.id for i in spec.instances), *(n.id for n in spec.nodes)]
        running = {process_id for process_id in process_ids if self.pid(process_id) is not None}
        for instance in spec.instances:
            if instance.id not in running:
                self._check_port(instance)
        try:
            self._start_all(timeout_s)
        except BaseException:
            self._end([i.id for i in spec.instances if i.id not in running])
            self._end([n.id for n in spec.nodes if n.id not in running])
            raise

    def _check_port(self, instance: InstanceSpec) -> None:
        """Somebody else on the port could be taken for the writer, above all another PostgreSQL."""
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                instance.host, instance.port, type=socket.SOCK_STREAM
            )[0]
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except (OSError, OverflowError) as error:
            raise ClusterError(
                f"{instance.id} cannot listen on {instance.address}: {error}; choose another port with --port"
            ) from error

    def _start_all(self, timeout_s: float) -> None:
        spec = self.required
        for node in spec.nodes:
            self.start_node(node.id)
        for instance in spec.instances:
            self.start_instance(instance.id)
        self.wait_ready(timeout_s)

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Wait until the writer answers ``select 1``; ClusterError with its log's end when it dies or is too slow."""
        writer = self.writer
        deadline = time.monotonic() + timeout_s
        while True:
            if self._answers(writer):
                return
            if self.pid(writer.id) is None:
                raise ClusterError(f"{writer.id} ended while starting:\n{self.log_tail(writer.id)}")
            if time.monotonic() > deadline:
                raise ClusterError(f"{writer.id} does not answer after {timeout_s:g} s:\n{self.log_tail(writer.id)}")
            time.sleep(0.02)

    def _answers(self, instance: InstanceSpec) -> bool:
        import psycopg

        host = LOOPBACK if instance.host in ("0.0.0.0", "*") else instance.host
        try:
            with socket.create_connection((host, instance.port), timeout=1):
                pass
            with psycopg.connect(self.dsn(instance.id), connect_timeout=5, autocommit=True) as connection:
                connection.execute("select 1")
        except (OSError, psycopg.OperationalError):
            return False
        return True

    def dsn(self, instance_id: str | None = None) -> str:
        """A libpq connection string for an instance (default: the writer)."""
        instance = self.writer if instance_id is None else self.required.instance(instance_id)
        host = LOOPBACK if instance.host in ("0.0.0.0", "*") else instance.host
        text = f"host={host} port={instance.port} user=postgres dbname=postgres"
        password = self.password()
        if password is not None:
            quoted = "'" + password.replace("\\", "\\\\").replace("'", "\\'") + "'"
            text += f" password={password if password.isalnum() else quoted}"
        return text

    def password(self) -> str | None:
        """The superuser's password; None where nobody needs one."""
        file = self.required.password_file
        return Path(file).read_text().strip() if file else None

    def log_tail(self, process_id: str, lines: int = 15) -> str:
        """The end of a process's log."""
        path = self.data / "log" / f"{process_id}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else "(no log)"

    def down(self) -> None:
        """Stop everything: the instances first, so that they end in order."""
        spec = self.required
        for group in ([i.id for i in spec.instances], [n.id for n in spec.nodes]):
            self._end(group)

    def _end(self, process_ids: list[str]) -> None:
        for process_id in process_ids:
            self.signal(process_id, signal.SIGTERM)
        for process_id in process_ids:
            if not self.wait_gone(process_id, 10.0):
                self.kill(process_id)

    def status(self) -> dict[str, Any]:
        """The form of ``aurora status --json``."""
        from aurora.status import cluster_status

        return cluster_status(self)
