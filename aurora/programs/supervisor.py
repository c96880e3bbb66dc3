"""The cluster supervisor: the storage nodes and the instances of one cluster, as processes on this machine.

``DIR/cluster.json`` names the processes and their addresses; ``processes`` keeps what became of them. Every verb reads
these files and acts; the keeper (``keeper``) starts again what has died and no verb has stopped. The processes are
those that compose and Kubernetes run: ``python -m storage_node``, ``python -m compute_node``.

Verbs may run at the same time. Invariants: ``cluster.json`` is changed, and a process started, only under the lock
``DIR/lock``, on the description as it is then (``Cluster.changing``); a process runs only after its run file stands.
The folder is its owner's alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from aurora import exit_status, sealed_store
from aurora.addresses import LOOPBACK
from aurora.errors import InvariantViolation
from aurora.keys import KeyRefused, KeySource, make_master_key_file, rekey_folder
from aurora.object_store import ObjectStore, ObjectStoreError, open_store
from aurora.programs import certs
from aurora.programs.description import (
    ANY_HOST,
    READER,
    WRITER,
    ClusterError,
    ClusterSpec,
    InstanceSpec,
    NodeSpec,
    connect_host,
)
from aurora.programs.endpoints import command as endpoint_files
from aurora.programs.endpoints.command import ENDPOINTS
from aurora.programs.places import INSTANCES_MAX, NoPlace, address_in, free_block, free_port_and_block, free_ports
from aurora.programs.processes import FILE_MODE, FOLDER_MODE, Processes, Run, atomic, end_text
from aurora.rpc import secret
from aurora.rpc.channels import Access
from aurora.rpc.instances import DESCRIBE_TIMEOUT_S, Instances, writer_of
from aurora.rpc.tls import Tls, TlsUnusable
from aurora.sealed_store import Rewrapped

if TYPE_CHECKING:
    from aurora.documents import JsonObject
    from aurora.rpc.compute_pb2 import Topology


AZS = ("az1", "az2", "az3")
NODES = tuple((f"{az}-{letter}", az) for az in AZS for letter in "ab")
"""The storage nodes of a cluster of six: (id, availability zone)."""

INSTANCE_SETTINGS = (
    "replace-after-s",
    "zone-away-after-s",
    "read-only-after-s",
    "max-connections",
    "memory-mb",
    "authentication-timeout-s",
    "hba-file",
    "tsearch-data",
    "tls-cert",
    "tls-key",
)
"""Flags of an instance that the cluster's settings may hold."""
KEEPER = "keeper"
"""The process that starts the others again when they die."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"
CERTIFICATE_DAYS = 3650
"""How long the certificates that ``up`` makes are good: nobody is there to renew them."""
BACKUP_OFF = "off"
MASTER_KEY = "master.key"
"""The file in a cluster's folder that ``up --encrypt`` makes."""


def _check_keys(keys: KeySource) -> None:
    try:
        keys.open()
    except KeyRefused as error:
        raise ClusterError(str(error)) from error


class Cluster:
    """One cluster in one folder. Methods raise ClusterError for what the user can mend."""

    def __init__(self, data: Path) -> None:
        self.data = data.absolute()
        self.spec: ClusterSpec | None = None
        self.processes = Processes(self.data)
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
        atomic(self.config_path, json.dumps(asdict(self.required), indent=1))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Wait until no other verb changes the cluster, and have the others wait; not reentrant."""
        fd = os.open(self.data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    @contextmanager
    def changing(self) -> Iterator[ClusterSpec]:
        """The description as it is now, to be changed: it is stored at the end, unless an exception leaves. Changes
        made at the same time, by whatever process, follow one another.
        """
        _ = self.required
        with self._locked():
            self.spec = self._read()
            yield self.spec
            self._write()

    def make_folder(self) -> None:
        """Make the cluster's folder, or take one that is there; for its owner alone from now on."""
        self.data.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        self.data.chmod(FOLDER_MODE)

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
        nodes_per_az: int = 2,
        tails: bool = False,
        storage_tls: bool = False,
        encrypt: bool = False,
        keys: KeySource | None = None,
        backup: str = "",
        node_ports: Sequence[int] | None = None,
        readers: int = 0,
        names_by_address: bool = False,
    ) -> None:
        """Describe a new cluster of two or more nodes a zone, a writer and readers; nothing is started. With readers
        ``host`` does not count: the instances have addresses of their own, and ``names_by_address`` makes the last
        number of each address its name. ``keys`` says where
        the master key of encryption at rest is, ``encrypt`` asks for a new one in ``DIR/master.key``.
        """
        self.check_options(host=LOOPBACK if readers else host, port=port, password=password, backup=backup)
        if keys is not None:
            _check_keys(keys)
        self.make_folder()
        with self._locked():
            if self.config_path.exists():
                raise ClusterError(f"{self.data} holds a cluster already")
            names = [(f"{az}-{letter}", az) for az in AZS for letter in LETTERS[:nodes_per_az]]
            ports = [f"{LOOPBACK}:{port}" for port in free_ports(2 * len(names))]
            block, port = self._block_for(port) if readers else (0, port or free_ports(1)[0])
            if node_ports is not None:
                ports[: len(names)] = [f"{LOOPBACK}:{port}" for port in node_ports]
            places = zip(names, ports[: len(names)], ports[len(names) :], strict=True)
            self.spec = ClusterSpec(
                nodes=[NodeSpec(node_id, az, address, metrics) for (node_id, az), address, metrics in places],
                instances=[],
                pages_per_pg=pages_per_pg,
                cache_mb=cache_mb,
                settings={"tails": "on"} if tails else {},
                storage_tls=storage_tls,
                backup=backup,
                block=block,
                names_by_address=names_by_address,
            )
            first = self.describe_instance(WRITER, "", port)
            first.host = first.host if readers else host
            for _ in range(readers):
                self.describe_instance(READER, "", port)
            self._make_secrets(self.spec, encrypt, keys, password)
            self._write()

    @staticmethod
    def _block_for(port: int) -> tuple[int, int]:
        """A block of addresses for instances that listen on a port (0: a free one), and that port."""
        try:
            if port:
                return free_block(port), port
            port, block = free_port_and_block()
            return block, port
        except NoPlace as error:
            raise ClusterError(f"{error}; choose another port with --port") from error

    def describe_instance(self, role: str, instance_id: str, port: int) -> InstanceSpec:
        """One more instance in the description that is being changed, by default of the next free name; nothing is
        started."""
        spec = self.required
        if len(spec.instances) >= INSTANCES_MAX:
            raise ClusterError(f"a cluster has at most {INSTANCES_MAX} instances")
        names, hosts = set(self.process_ids()) | {KEEPER, ENDPOINTS}, {one.host for one in spec.instances}
        places = (address_in(spec.block, n) for n in range(1, INSTANCES_MAX + 1))
        host = next(host for host in places if host not in hosts) if spec.block else LOOPBACK
        if not instance_id and spec.names_by_address and spec.block and (last := host.rpartition(".")[2]) not in names:
            instance_id = last
        if not instance_id:
            instance_id = next(name for n in range(1, 100) if (name := f"instance-{n}") not in names)
        elif instance_id in names:
            raise ClusterError(f"{instance_id} is there already")
        metrics, feed = (f"{LOOPBACK}:{free}" for free in free_ports(2))
        instance = InstanceSpec(instance_id, role, host, port, metrics, feed)
        spec.instances.append(instance)
        return instance

    def give_block(self) -> None:
        """Addresses for more instances, in the description that is being changed."""
        spec = self.required
        if not spec.block:
            first = spec.instances[0]
            if first.host in ANY_HOST:
                raise ClusterError(
                    f"{first.id} listens on all addresses, and leaves none for others on port {first.port}; move it: "
                    f"aurora instance stop {first.id}, aurora up --host 127.0.0.1"
                )
            spec.block, _ = self._block_for(first.port)

    def check_options(self, *, host: str, port: int, password: str | None, backup: str) -> None:
        """ClusterError for what ``create`` would refuse; nothing is made."""
        self._check_host(host, bool(password))
        self._check_backup(backup)
        self._check_port_number(port)

    def _make_secrets(self, spec: ClusterSpec, encrypt: bool, keys: KeySource | None, password: str | None) -> None:
        if spec.storage_tls:
            if not self.certs.exists():  # else they were made with aurora certs
                certs.make(self.certs, days=CERTIFICATE_DAYS)
            self.tls()
        if encrypt and keys is None:
            keys = KeySource(self.data / MASTER_KEY)
            if not (self.data / MASTER_KEY).exists():
                make_master_key_file(self.data / MASTER_KEY)
        if keys is not None:
            _check_keys(keys)
            self._set_keys(keys)
        if password:
            secret = self.data / "password"
            secret.touch(mode=FILE_MODE)
            secret.write_text(password)
            spec.password_file = str(secret)

    @property
    def certs(self) -> Path:
        """The folder of the cluster's certificates."""
        return self.data / "certs"

    def tls(self) -> Tls | None:
        """How the cluster's storage nodes are spoken to from outside; None: in the clear."""
        try:
            return Tls(certs.tls_files(self.certs, "compute")) if self.required.storage_tls else None
        except TlsUnusable as error:
            raise ClusterError(str(error)) from error

    def access(self) -> Access:
        """What the cluster's storage nodes are shown by who asks them from outside."""
        return Access(self.tls(), self.secret())

    @property
    def secret_path(self) -> Path:
        """The file of the cluster's secret."""
        return self.data / "secret"

    def secret(self) -> str:
        """What the storage nodes ask for; a cluster that has none yet gets one."""
        if not self.secret_path.exists():
            with contextlib.suppress(FileExistsError):  # another verb has just made it
                return secret.make(self.secret_path)
        try:
            return secret.read(self.secret_path)
        except secret.SecretUnusable as error:
            raise ClusterError(str(error)) from error

    @property
    def keys(self) -> KeySource | None:
        """Where the master key is; None: nothing is encrypted."""
        spec = self.required
        return KeySource.of(Path(spec.master_key_file) if spec.master_key_file else None, spec.key_provider)

    def check_safety(self, storage_tls: bool, encrypted: bool) -> None:
        """ClusterError when a cluster that is there is asked to become what it was not created as."""
        spec = self.required
        if storage_tls and not spec.storage_tls:
            raise ClusterError("the cluster was created without --storage-tls")
        if encrypted and self.keys is None:
            raise ClusterError("the cluster was created without encryption; its files are in the clear")

    def set_keys(self, keys: KeySource) -> None:
        """The master key is to be found elsewhere from the nodes' next start on."""
        with self.changing():
            if keys != self.keys:
                _check_keys(keys)
                self._set_keys(keys)

    def _set_keys(self, keys: KeySource) -> None:
        spec = self.required
        spec.master_key_file = str(keys.master_key_file.absolute()) if keys.master_key_file is not None else None
        spec.key_provider = keys.provider

    def rekey(self, new: KeySource | None) -> tuple[int, Rewrapped]:
        """Have every node's data key wrapped by another master key: that of ``new``, or a new one in
        ``DIR/master.key``; then the keys of the backup, also of nodes that are gone. Processes may run meanwhile. A
        round that was interrupted is finished by the next. Returns how many nodes' keys were wrapped, and what became
        of those of the backup.
        """
        with self.changing():  # no node may join or start meanwhile: it would keep the old key
            return self._rekey(new)

    def _rekey(self, new: KeySource | None) -> tuple[int, Rewrapped]:
        old = self.keys
        if old is None:
            raise ClusterError("the cluster is not encrypted; that is chosen when it is created: aurora up --encrypt")
        made = None
        if new is None:
            made = self.data / f"{MASTER_KEY}.new"
            if not made.exists():
                make_master_key_file(made)
            new = KeySource(made)
        try:
            backup = self._backup_keys()  # a store that fails is to do so before anything has been changed
            count = self._rekey_folders(old, new)
        except (KeyRefused, ObjectStoreError) as error:
            raise ClusterError(str(error)) from error
        try:
            # After the folders: from now on a node puts its key into the store as its folder has it, wrapped anew.
            rewrapped = sealed_store.rewrap(backup, old.open(), new.open()) if backup is not None else Rewrapped()
        except (KeyRefused, ObjectStoreError) as error:
            raise ClusterError(f"the backup's keys: {error}; aurora rekey once more finishes the round") from error
        if made is not None:
            new = KeySource(self.data / MASTER_KEY)
            os.replace(made, self.data / MASTER_KEY)
        self._set_keys(new)
        return count, rewrapped

    def _backup_keys(self) -> ObjectStore | None:
        """The backup's store, which has told its keys' names; None: there is no backup. ObjectStoreError."""
        if self.backup_url is None:
            return None
        store = open_store(self.backup_url)
        for _ in sealed_store.key_folders(store):
            pass
        return store

    def _rekey_folders(self, old: KeySource, new: KeySource) -> int:
        count = 0
        for node in self.required.nodes:
            folder = self.data / "storage" / node.id
            if not folder.exists():
                if self.pid(node.id) is not None:
                    raise KeyRefused(f"{node.id} is making its key just now; try again")
                continue  # it gets its key at its first start
            try:
                count += rekey_folder(folder, old, new)
            except KeyRefused as error:
                raise KeyRefused(f"{node.id}: {error}") from error
        return count

    def move_writer(self, host: str | None, port: int | None) -> None:
        """Let the writer listen elsewhere from its next start on, or, with readers, all on another port; ClusterError
        while they run."""
        with self.changing() as spec:
            if len(spec.instances) > 1:
                return self._move_all(spec, host, port)
            writer = self.noted_writer
            host, port = host or writer.host, writer.port if port is None else port
            if (writer.host, writer.port) == (host, port):
                return None
            if self.pid(writer.id) is not None:
                raise ClusterError(
                    f"{writer.id} runs at {writer.address}; to move it, first: aurora instance stop {writer.id}"
                )
            self._check_host(host, spec.password_file is not None)
            self._check_port_number(port)
            writer.host, writer.port = host, port or free_ports(1)[0]
            return None

    def _move_all(self, spec: ClusterSpec, host: str | None, port: int | None) -> None:
        if host is not None:
            raise ClusterError("with readers each instance has an address of its own; --host cannot be given")
        if port in (None, spec.instances[0].port):
            return
        running = [instance.id for instance in spec.instances if self.pid(instance.id) is not None]
        if running:
            raise ClusterError(f"{', '.join(running)} run; to move them, first: aurora down")
        self._check_port_number(port or 0)
        spec.block, port = self._block_for(port or 0)
        for number, instance in enumerate(spec.instances, 1):
            named_so = spec.names_by_address and instance.id == instance.host.rpartition(".")[2]
            instance.host, instance.port = address_in(spec.block, number), port
            if named_so:
                instance.id = instance.host.rpartition(".")[2]

    @staticmethod
    def _check_backup(backup: str) -> None:
        if backup not in ("", BACKUP_OFF):
            try:
                open_store(backup)
            except ObjectStoreError as error:
                raise ClusterError(f"--backup: {error}; or off") from error

    def set_backup(self, backup: str) -> None:
        """Let the backup go elsewhere from the nodes' next start on; ClusterError while one runs."""
        with self.changing() as spec:
            if backup == spec.backup:
                return
            self._check_backup(backup)
            running = [node.id for node in spec.nodes if self.pid(node.id) is not None]
            if running:
                raise ClusterError(f"{', '.join(running)} run and would not change their backup; first: aurora down")
            spec.backup = backup

    @property
    def backup_url(self) -> str | None:
        """Where the backup goes; None: nowhere."""
        backup = self.required.backup
        return None if backup == BACKUP_OFF else backup or (self.data / "backup").as_uri()

    @staticmethod
    def _check_port_number(port: int) -> None:
        if not 0 <= port <= 65535:
            raise ClusterError(f"port {port} is not between 1 and 65535 (or 0 for a free one)")

    @staticmethod
    def _check_host(host: str, has_password: bool) -> None:
        if host not in (LOOPBACK, "localhost", "::1") and not has_password:
            raise ClusterError(
                "listening beyond loopback needs a password: "
                "set AURORA_PASSWORD or give --password-file when the cluster is created"
            )

    @property
    def writer(self) -> InstanceSpec:
        """The instance that writes. Where there are several they are asked; when none of them says so, the last one
        that was known to."""
        if len(self.required.instances) > 1:
            found = writer_of(self.topologies().values())
            for instance in self.required.instances:
                if found is not None and instance.id == found.id:
                    return instance
        return self.noted_writer

    @property
    def noted_writer(self) -> InstanceSpec:
        """Who wrote when a verb last knew."""
        for instance in self.required.instances:
            if instance.role == WRITER:
                return instance
        raise InvariantViolation("a cluster without a writer")

    def topologies(self, timeout_s: float = DESCRIBE_TIMEOUT_S) -> dict[str, Topology]:
        """What each instance that runs and answers says of itself and the others, by its id."""
        running = {i.feed: i.id for i in self.required.instances if i.feed and self.pid(i.id) is not None}
        with Instances(self.access()) as calls:
            return {running[feed]: told for feed, told in calls.describe(running, timeout_s).items()}

    def note_writer(self, instance_id: str) -> None:
        """Who writes, for a time when there is nobody to ask."""
        if self.noted_writer.id != instance_id:
            with self.changing() as spec:
                for instance in spec.instances:
                    instance.role = WRITER if instance.id == instance_id else READER

    # -- processes -------------------------------------------------------------------------------------------------

    def process_ids(self) -> list[str]:
        """All processes that the cluster's description names, instances first."""
        spec = self.required
        return [*(i.id for i in spec.instances), *(n.id for n in spec.nodes), *([ENDPOINTS] if spec.block else [])]

    def is_instance(self, process_id: str) -> bool:
        """Whether it is a compute instance."""
        return any(instance.id == process_id for instance in self.required.instances)

    def read(self) -> None:
        """Take the description as it is now."""
        self.spec = self._read()

    def pid(self, process_id: str) -> int | None:
        """The pid of a running process of ours."""
        return self.processes.pid(process_id)

    def _start(self, process_id: str, arguments: Callable[[str], list[str]]) -> None:
        _ = self.required
        with self._locked():
            self.spec = self._read()
            command = arguments(process_id)
            if self.pid(process_id) is None:
                self._spawn(process_id, command)

    def _spawn(self, process_id: str, arguments: list[str], before: Run | None = None) -> None:
        self.processes.spawn(process_id, arguments, before)

    def restart(self, process_id: str, last_end: str) -> None:
        """Start again what has died; nothing happens when a verb has stopped, removed or started it meanwhile."""
        with self._locked():
            self.spec = self._read()
            if process_id not in self.process_ids():
                return
            run = self.processes.run(process_id)
            if not run.wanted or self.pid(process_id) is not None:
                return
            command = self._command(process_id)
            run.restarts, run.last_end, run.ended_at = run.restarts + 1, last_end, time.time()
            self._spawn(process_id, command, run)

    def _command(self, process_id: str) -> list[str]:
        if process_id == ENDPOINTS:
            return self._endpoints_command(process_id)
        is_node = any(node.id == process_id for node in self.required.nodes)
        return self._node_command(process_id) if is_node else self._instance_command(process_id)

    def hold(self, process_id: str) -> None:
        """Have an instance ready that begins when the one that runs has died, in the role that it has then."""
        self.processes.hold(process_id, "compute_node")

    def alone(self, instance_id: str) -> bool:
        """Whether the cluster has no other instance."""
        return all(one.id == instance_id for one in self.required.instances)

    def start_role(self, instance_id: str) -> str:
        """What an instance is started as: the writer only while nobody else could be it.

        Storage lets one writer write, whoever is started: a second one would fence the first, and end its sessions.
        So whoever finds another process of the cluster alive follows; if that one does not write they elect a writer.
        One that was fenced by somebody who is not ours follows, too.
        """
        if self.alone(instance_id):
            return WRITER
        lives = any(self.pid(one.id) is not None for one in self.required.instances if one.id != instance_id)
        fenced = self.processes.exit_status(instance_id) == exit_status.FENCED
        return READER if lives or fenced else WRITER

    def give_up(self, process_id: str) -> None:
        """A process that has died is not to be started again."""
        with self._locked():
            if self.pid(process_id) is None:
                run = self.processes.run(process_id)
                run.wanted, run.last_end, run.ended_at = False, self.last_end(process_id), time.time()
                self.processes.write(process_id, run)

    def last_end(self, process_id: str) -> str:
        """How the process ended that ran last, in words; empty while it runs."""
        return "" if self.pid(process_id) is not None else end_text(self.processes.exit_status(process_id))

    def start_node(self, node_id: str) -> None:
        """Start one storage node; nothing happens when it runs already."""
        self._start(node_id, self._node_command)

    def _node_command(self, node_id: str) -> list[str]:
        node = self.required.node(node_id)
        peers = ",".join(f"{n.id}={n.az}={n.address}" for n in self.required.nodes if n.id != node_id)
        return [
            *("storage_node", "--id", node.id, "--az", node.az, "--listen", node.address),
            *("--data", str(self.data / "storage" / node.id), "--peers", peers),
            *(("--metrics-listen", node.metrics) if node.metrics else ()),
            *self._node_safety(),
            *("--backup", self.backup_url or ""),
        ]

    def _node_safety(self) -> list[str]:
        """A storage node's flags for TLS and encryption."""
        self.secret()
        spec, flags = self.required, ["--secret-file", str(self.secret_path)]
        if spec.storage_tls:
            files = certs.tls_files(self.certs, "storage")
            flags += ["--tls-ca", str(files.ca), "--tls-cert", str(files.certificate), "--tls-key", str(files.key)]
        if spec.master_key_file:
            flags += ["--master-key-file", spec.master_key_file]
        if spec.key_provider:
            flags += ["--key-provider", spec.key_provider]
        return flags

    def start_instance(self, instance_id: str) -> None:
        """Start one compute instance; nothing happens when it runs already. It is the writer if no other one runs."""
        if not self.required.instance(instance_id).feed:  # an older program has described it
            with self.changing() as spec:
                spec.instance(instance_id).feed = f"{LOOPBACK}:{free_ports(1)[0]}"
        self._start(instance_id, self._instance_command)

    def _instance_command(self, instance_id: str) -> list[str]:
        return self.instance_command(instance_id, self.start_role(instance_id))

    def instance_command(self, instance_id: str, role: str) -> list[str]:
        """What runs an instance."""
        instance = self.required.instance(instance_id)
        spec = self.required
        peers = [i.feed for i in spec.instances if i.id != instance_id and i.feed]
        arguments = ["compute_node", "--id", instance.id, "--role", role, "--listen", instance.address]
        if instance.feed:
            arguments += ["--feed-listen", instance.feed, "--promotion-tier", str(instance.promotion_tier)]
        if peers:
            arguments += ["--peers", ",".join(peers)]
        arguments += [
            "--storage",
            spec.storage,
            "--pages-per-pg",
            str(spec.pages_per_pg),
            "--cache-mb",
            str(instance.cache_mb or spec.cache_mb),
        ]
        if spec.settings.get("tails") == "on":
            arguments.append("--tails")
        for name in INSTANCE_SETTINGS:
            if name in spec.settings:
                arguments += [f"--{name}", spec.settings[name]]
        arguments += endpoint_files.handover_flags(self.data, instance_id)
        if instance.metrics:
            arguments += ["--metrics-listen", instance.metrics]
        if spec.password_file:
            arguments += ["--password-file", spec.password_file]
        self.secret()
        arguments += ["--storage-secret-file", str(self.secret_path)]
        if spec.storage_tls:
            files = certs.tls_files(self.certs, "compute")
            arguments += ["--storage-tls-ca", str(files.ca), "--storage-tls-cert", str(files.certificate)]
            arguments += ["--storage-tls-key", str(files.key)]
        return arguments

    def signal(self, process_id: str, number: signal.Signals) -> bool:
        """Send a signal to a process of ours; False when it does not run. One that it ends is started again."""
        return self.processes.signal(process_id, number)

    def wait_gone(self, process_id: str, timeout_s: float = 30.0) -> bool:
        """Wait until the process has ended."""
        return self.processes.wait_gone(process_id, timeout_s)

    def _stay_down(self, process_ids: Sequence[str]) -> None:
        """From now on nobody starts these again but a verb."""
        with self._locked():
            for process_id in process_ids:
                self.processes.want(process_id, False)

    def kill(self, process_id: str) -> None:
        """SIGKILL and wait for the end; it stays down."""
        self._stay_down([process_id])
        self._kill(process_id)

    def _kill(self, process_id: str) -> None:
        if self.signal(process_id, signal.SIGKILL):
            self.wait_gone(process_id)

    def stop(self, process_id: str) -> None:
        """SIGTERM, then SIGKILL when it does not end in time; it stays down."""
        self._stay_down([process_id])
        self.stop_running(process_id)

    def stop_running(self, process_id: str) -> None:
        """SIGTERM, then SIGKILL when it does not end in time."""
        if self.signal(process_id, signal.SIGTERM) and not self.wait_gone(process_id, 10.0):
            self._kill(process_id)

    def add_node(self, az: str) -> NodeSpec:
        """Describe and start one more node in a zone; the volume does not know it yet."""
        if az not in AZS:
            raise ClusterError(f"no availability zone {az!r}; there are {', '.join(AZS)}")
        with self.changing() as spec:
            # The files of a node that was replaced stay: its name is not given again.
            left = {folder.name for folder in (self.data / "storage").glob(f"{az}-*")}
            taken = left | {node.id for node in spec.nodes}
            node_id = next((f"{az}-{letter}" for letter in LETTERS if f"{az}-{letter}" not in taken), None)
            if node_id is None:
                raise ClusterError(
                    f"zone {az} has used all {len(LETTERS)} names of storage nodes; remove a folder of a node that was "
                    f"replaced from {self.data / 'storage'}"
                )
            address, metrics = (f"{LOOPBACK}:{port}" for port in free_ports(2))
            node = NodeSpec(node_id, az, address, metrics)
            spec.nodes.append(node)
        self.start_node(node_id)
        return node

    def remove_node(self, node_id: str) -> None:
        """Stop a node that the volume does not need any more, and forget it; its files stay."""
        with self.changing() as spec:  # nobody starts it meanwhile
            self.processes.want(node_id, False)
            self.stop_running(node_id)
            spec.nodes = [node for node in spec.nodes if node.id != node_id]

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
        process_ids = self.process_ids()
        running = {process_id for process_id in process_ids if self.pid(process_id) is not None}
        for instance in spec.instances:
            if instance.id not in running:
                self._check_port(instance)
        try:
            self.start_endpoints()
            self._start_all(timeout_s)
            self.wait_endpoints(timeout_s)
            self.start_keeper()
        except BaseException:
            if ENDPOINTS not in running:
                self._end([ENDPOINTS])
            self._end([i.id for i in spec.instances if i.id not in running])
            self._end([n.id for n in spec.nodes if n.id not in running])
            raise

    def _endpoints_command(self, _process_id: str) -> list[str]:
        self.secret()
        spec, tls = self.required, certs.tls_files(self.certs, "compute") if self.required.storage_tls else None
        return endpoint_files.command_line(self.data, spec, self.secret_path, tls)

    def start_endpoints(self) -> None:
        """Listen on the cluster's endpoints, if it has any; nothing happens when somebody does."""
        spec = self.required
        if spec.block:
            if not (self.data / endpoint_files.FILE).exists():
                endpoint_files.write(self.data, endpoint_files.endpoints_of(self.data, spec))
            if not spec.endpoints_metrics:
                with self.changing() as spec:
                    spec.endpoints_metrics = spec.endpoints_metrics or f"{LOOPBACK}:{free_ports(1)[0]}"
            self._start(ENDPOINTS, self._endpoints_command)

    def wait_endpoints(self, timeout_s: float = 60.0) -> None:
        """Wait until all endpoints listen; ClusterError with their process's log when they do not."""
        deadline = time.monotonic() + timeout_s
        for endpoint in endpoint_files.endpoints_of(self.data, self.required):
            while not endpoint_files.listens(endpoint):
                if self.pid(ENDPOINTS) is None or time.monotonic() > deadline:
                    raise ClusterError(
                        f"endpoint {endpoint.name} does not listen on {endpoint.address}:\n{self.log_tail(ENDPOINTS)}"
                    )
                time.sleep(0.02)

    def serve_endpoints(self) -> None:
        """Have the endpoints served, if the cluster runs; who serves them sees by itself that they have changed."""
        self.read()
        if any(self.pid(instance.id) is not None for instance in self.required.instances):
            self.start_endpoints()
            self.wait_endpoints()

    def start_keeper(self) -> None:
        """Start what starts the others again when they die; nothing happens when it runs already."""
        with self._locked():
            if self.pid(KEEPER) is None:
                self._spawn(KEEPER, ["aurora.programs.keeper", "--data", str(self.data)])

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
        for node in self.required.nodes:
            self.start_node(node.id)
        self.start_instances(timeout_s)

    def start_instances(self, timeout_s: float = 60.0) -> None:
        """Start the instances that do not run, the last known writer first; returns when all answer."""
        instances = self.required.instances
        if all(self.pid(instance.id) is None for instance in instances):
            first = self.noted_writer.id
            for instance in instances:
                if instance.id != first:
                    self.hold(instance.id)  # its imports are done when the writer is there for it to follow
            self.start_instance(first)
            self.wait_ready(timeout_s)
        for instance in instances:
            self.start_instance(instance.id)
        for instance in instances:
            self.wait_instance(instance.id, timeout_s)
        self.wait_ready(timeout_s)

    def wait_instance(self, instance_id: str, timeout_s: float = 60.0) -> None:
        """Wait until an instance answers ``select 1``; ClusterError with its log's end when it dies or is too slow."""
        instance = self.required.instance(instance_id)
        deadline = time.monotonic() + timeout_s
        while not self._answers(instance):
            if self.pid(instance_id) is None and self.processes.exit_status(instance_id) != exit_status.FENCED:
                raise ClusterError(f"{instance_id} ended while starting:\n{self.log_tail(instance_id)}")
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"{instance_id} does not answer after {timeout_s:g} s:\n{self.log_tail(instance_id)}"
                )
            time.sleep(0.02)

    def wait_node(self, node_id: str, timeout_s: float = 60.0) -> None:
        """Wait until a storage node listens; ClusterError with its log's end when it ends instead: then it stays
        down."""
        host, _, port = self.required.node(node_id).address.rpartition(":")
        deadline = time.monotonic() + timeout_s
        while self.pid(node_id) is not None:
            try:
                with socket.create_connection((host, int(port)), timeout=1):
                    return
            except OSError:
                if time.monotonic() > deadline:
                    raise ClusterError(f"{node_id} does not listen after {timeout_s:g} s") from None
                time.sleep(0.02)
        self._stay_down([node_id])
        raise ClusterError(f"{node_id} ended while starting:\n{self.log_tail(node_id)}")

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Wait until the writer answers ``select 1``; ClusterError with its log's end when it dies or is too slow."""
        deadline = time.monotonic() + timeout_s
        while True:
            writer = self.writer
            if self._answers(writer):
                return
            if all(self.pid(instance.id) is None for instance in self.required.instances):
                raise ClusterError(f"{writer.id} ended while starting:\n{self.log_tail(writer.id)}")
            if time.monotonic() > deadline:
                raise ClusterError(f"{writer.id} does not answer after {timeout_s:g} s:\n{self.log_tail(writer.id)}")
            time.sleep(0.02)

    def _answers(self, instance: InstanceSpec) -> bool:
        import psycopg

        host = connect_host(instance)
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
        host = connect_host(instance)
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
        return self.processes.log_tail(process_id, lines)

    def down(self) -> None:
        """Stop everything: the instances first, so that they end in order. Nodes that other verbs have added, too."""
        if self.config_path.exists():
            self.spec = self._read()
        spec = self.required
        self._end([KEEPER, ENDPOINTS])
        if sum(self.pid(instance.id) is not None for instance in spec.instances) > 1:
            self.note_writer(self.writer.id)  # the readers end before it: none is to take over
            self._end([i.id for i in self.required.instances if i.id != self.noted_writer.id])
        spec = self.required
        for group in ([i.id for i in spec.instances], [n.id for n in spec.nodes]):
            self._end(group)

    def _end(self, process_ids: list[str]) -> None:
        self._stay_down(process_ids)
        for process_id in process_ids:
            self.signal(process_id, signal.SIGTERM)
        for process_id in process_ids:
            if not self.wait_gone(process_id, 10.0):
                self._kill(process_id)

    def status(self) -> JsonObject:
        """The form of ``aurora status --json``."""
        from aurora.programs.status import cluster_status

        return cluster_status(self)
