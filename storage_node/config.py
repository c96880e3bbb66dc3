"""Configuration of a storage node: flags, each also an environment variable, into one frozen dataclass."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aurora.addresses import is_loopback, parse_listen
from aurora.errors import InvariantViolation
from aurora.keys import KeySource
from aurora.rpc import secret
from aurora.rpc.tls import TlsFiles, files_of

PROCESS_MB = 64
"""What the process takes with empty caches and an empty log."""
QUEUES_MB = 64
"""Messages that come in and go out: bounded by storage_node/admission.py and storage_node/gossip.py."""
LOG_FILE_MB_MAX = 2048
"""Offsets in a log file are kept as u32 (``storage_node/backup_kept.py``)."""
INDEX_MIN_MB = 16


@dataclass(frozen=True)
class Peer:
    """Another node of the volume: its id, availability zone and ``host:port``."""

    node_id: str
    az: str
    address: str


@dataclass(frozen=True)
class NodeConfig:
    """What a node is told at its start. Sizes in MiB, times in milliseconds or seconds as the names say."""

    node_id: str = "node"
    az: str = ""
    listen: str = "127.0.0.1:0"
    log_port: int = 0
    """Port on the same host that serves the writer's append stream alone; 0 takes a free one."""
    metrics_listen: str = ""
    """``host:port`` for /metrics and /healthz (port 0: a free one); empty: nowhere."""
    data: Path = field(default_factory=lambda: Path("aurora-data/node"))
    peers: tuple[Peer, ...] = ()
    cache_mb: float = 16
    """Cache of materialized pages."""
    log_cache_mb: float = 16
    """Recent log batches kept in memory."""
    log_file_mb: float = 16
    """A hot log file is closed and the next one begun at this size."""
    coalesce_log_mb: float = 32
    """Hot log that makes coalescing start."""
    coalesce_age_s: float = 300
    """Age of the oldest uncoalesced log that makes coalescing start."""
    gossip_ms: float = 200
    refill_mb_s: float = 0
    """How fast at most this node takes pages over from its peers (1 MB = 10^6 bytes); 0 = as fast as it goes."""
    refill_busy_mb_s: float = 110
    """The same while the volume is being written to; 0 = no other limit then."""
    refill_range_kb: float = 2048
    """Pages asked for at once; each such range is checked and written in one stretch of background work."""
    slice_ms: float = 2
    """Longest stretch of background work between two turns of the append path."""
    slow_ms: float = 0
    """Fault drill: every answer to compute is held back this long."""
    secret: str | None = field(default=None, repr=False)
    """What clients and peers must show when they show no certificate; None: nothing."""
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    master_key_file: Path | None = None
    key_provider: str | None = None

    scrub_mb_s: float = 8
    """Rate at which files are read in the background to find what has decayed."""
    scrub_interval_s: float = 86_400
    """Time between two passes over all files."""
    memory_mb: float = 256
    """Memory of the whole process; appends are refused before it is exceeded."""
    backup: str = ""
    """Object store that the backup goes to, ``file:///…`` or ``s3://…`` (aurora/object_store.py); empty: no backup."""
    stage_age_s: float = 1
    """Age of log at which it is staged."""
    stage_mb: float = 4
    """Log that is staged before that age, and the most that one object holds."""
    snapshot_log_mb: float = 256
    """Staged log after which pages are staged anew, if it is no less than the pages take."""
    snapshot_age_s: float = 21600
    """Age of the newest snapshot after which pages are staged anew, if any log has been staged since."""
    backup_window_s: float = 86400
    """How far back the volume can be restored."""
    backup_hold_mb: float = 2048
    """Log files that the node keeps for the backup alone; beyond that the oldest go, and the backup has a hole."""
    takeover_s: float = 10
    """Standstill of the backup after which the next node takes it over."""
    hole_wait_s: float = 600
    """How long the backup waits for a silent node that may have log which no other has, before it leaves a hole."""

    @property
    def tls(self) -> TlsFiles | None:
        """This node's TLS identity; None: in the clear."""
        return files_of(self.tls_ca, self.tls_cert, self.tls_key, "--tls-ca, --tls-cert and --tls-key")

    @property
    def key_source(self) -> KeySource | None:
        """Where the master key is; None: files are not encrypted."""
        return KeySource.of(self.master_key_file, self.key_provider)

    def __post_init__(self) -> None:
        if self.metrics_listen:
            try:
                parse_listen(self.metrics_listen)
            except ValueError as error:
                raise InvariantViolation(f"setting metrics_listen: {error}") from error
        for name in (
            "cache_mb",
            "log_cache_mb",
            "log_file_mb",
            "coalesce_log_mb",
            "coalesce_age_s",
            "gossip_ms",
            "refill_range_kb",
            "slice_ms",
            "scrub_mb_s",
            "scrub_interval_s",
            "memory_mb",
            "stage_age_s",
            "stage_mb",
            "snapshot_log_mb",
            "snapshot_age_s",
            "backup_window_s",
            "backup_hold_mb",
            "takeover_s",
            "hole_wait_s",
        ):
            if getattr(self, name) <= 0:
                raise InvariantViolation(f"setting {name} must be above zero, not {getattr(self, name)}")
        if self.log_file_mb > LOG_FILE_MB_MAX:
            raise InvariantViolation(f"setting log_file_mb must be {LOG_FILE_MB_MAX} at most, not {self.log_file_mb:g}")
        if self.slow_ms < 0:
            raise InvariantViolation(f"setting slow_ms must not be below zero: {self.slow_ms}")
        try:
            _ = self.tls, self.key_source
        except ValueError as error:
            raise InvariantViolation(str(error)) from error
        least_mb = PROCESS_MB + QUEUES_MB + INDEX_MIN_MB + self.cache_mb + self.log_cache_mb
        if self.memory_mb < least_mb:
            raise InvariantViolation(
                f"setting memory_mb is {self.memory_mb:g}; with caches of {self.cache_mb:g} and {self.log_cache_mb:g}"
                f" MiB it must be {least_mb:g} at least"
            )
        for name in ("refill_mb_s", "refill_busy_mb_s"):
            if getattr(self, name) < 0:
                raise InvariantViolation(f"setting {name} must not be below zero, but is {getattr(self, name)}")


def parse_peers(text: str) -> tuple[Peer, ...]:
    """``id=az=host:port,…`` → peers."""
    found = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        parts = item.split("=")
        if len(parts) != 3 or not all(parts):
            raise argparse.ArgumentTypeError(f"a peer is id=az=address, not {item!r}")
        found.append(Peer(*parts))
    return tuple(found)


_FLAGS: tuple[tuple[str, type, str], ...] = (
    ("id", str, "name of this node, as the volume's descriptor has it"),
    ("az", str, "availability zone of this node"),
    ("listen", str, "host:port to serve on; port 0 takes a free one"),
    ("log-port", int, "second port, on the same host, for the writer's log stream alone; 0 takes a free one"),
    ("metrics-listen", str, "host:port for /metrics and /healthz; port 0 takes a free one; off unless given"),
    ("data", Path, "folder of this node's files"),
    ("peers", str, "the other nodes: id=az=host:port,…"),
    ("cache-mb", float, "cache of materialized pages"),
    ("log-cache-mb", float, "recent log kept in memory"),
    ("log-file-mb", float, "size of one hot log file"),
    ("coalesce-log-mb", float, "hot log that makes coalescing start"),
    ("coalesce-age-s", float, "age of log that makes coalescing start"),
    ("gossip-ms", float, "time between two gossip rounds"),
    ("refill-mb-s", float, "limit of pages taken over from peers, MB a second; 0 = none"),
    ("refill-busy-mb-s", float, "the same while the volume is being written to; 0 = none"),
    ("refill-range-kb", float, "size of one range of pages taken over from a peer"),
    ("slice-ms", float, "longest slice of background work"),
    ("slow-ms", float, "fault drill: hold every answer back this long"),
    ("secret-file", Path, "file with the cluster's secret, which clients and peers must show without mutual TLS"),
    ("tls-ca", Path, "certificate (PEM) of the authority whose certificates clients and peers must show"),
    ("tls-cert", Path, "this node's certificate (PEM)"),
    ("tls-key", Path, "its private key (PEM)"),
    ("master-key-file", Path, "encrypt the files: file with the master key, 32 bytes or 64 hexadecimal digits"),
    ("key-provider", str, "encrypt the files: module:factory that gives the holder of the master key"),
    ("scrub-mb-s", float, "rate of reading files to find what has decayed"),
    ("scrub-interval-s", float, "time between two passes over all files"),
    ("memory-mb", float, "memory of the process; appends are refused before it is exceeded"),
    ("backup", str, "object store for the backup: file:///folder or s3://bucket/prefix?endpoint=URL; empty: none"),
    ("stage-age-s", float, "age of log at which it is staged"),
    ("stage-mb", float, "log that is staged before that age"),
    ("snapshot-log-mb", float, "staged log after which pages are staged anew"),
    ("snapshot-age-s", float, "age after which pages are staged anew"),
    ("backup-window-s", float, "how far back the volume can be restored"),
    ("backup-hold-mb", float, "log kept for the backup beyond the node's own need"),
    ("takeover-s", float, "standstill of the backup after which the next node takes it over"),
    ("hole-wait-s", float, "wait of the backup for a silent node that alone may have the next log"),
)


def load(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> NodeConfig:
    """Flags over ``AURORA_NODE_<FLAG>`` variables over defaults. SystemExit with a message when they do not parse."""
    parser = argparse.ArgumentParser(prog="python -m storage_node", description="One storage node of an aurora volume.")
    for flag, kind, text in _FLAGS:
        variable = "AURORA_NODE_" + flag.upper().replace("-", "_")
        default = environ.get(variable)
        parser.add_argument(
            f"--{flag}", type=kind, default=default, required=flag in ("id", "data") and default is None,
            help=f"{text} (environment: {variable})",
        )  # fmt: skip
    given = {name: value for name, value in vars(parser.parse_args(argv)).items() if value is not None}
    given["node_id"] = given.pop("id")
    try:
        file = given.pop("secret_file", None)
        if file is not None:
            given["secret"] = secret.read(file)
        given["peers"] = tuple(p for p in parse_peers(given.get("peers", "")) if p.node_id != given["node_id"])
        config = NodeConfig(**given)
        _check_port(config)
        return config
    except (argparse.ArgumentTypeError, InvariantViolation, secret.SecretUnusable) as error:
        parser.error(str(error))


def _check_port(config: NodeConfig) -> None:
    """Whoever reaches a node's port could read and void the volume. InvariantViolation for a port that would ask for
    nothing, or for a secret that others can read on the way.
    """
    if config.tls is not None or config.listen.startswith("unix:"):
        return
    host = config.listen.rpartition(":")[0]
    if not is_loopback(host):
        raise InvariantViolation(
            f"--listen {config.listen} is beyond loopback: that needs mutual TLS (--tls-ca, --tls-cert, --tls-key; "
            "aurora certs makes the files)"
        )
    if config.secret is None:
        raise InvariantViolation(
            f"--listen {config.listen} asks its clients for nothing: give the cluster's secret (--secret-file) or "
            "mutual TLS (--tls-ca, --tls-cert, --tls-key)"
        )
