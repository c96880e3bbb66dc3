"""Configuration of a storage node: flags, each also an environment variable, into one frozen dataclass."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aurora.errors import InvariantViolation


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
    slice_ms: float = 2
    """Longest stretch of background work between two turns of the append path."""
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
    """Log that the node keeps for the backup beyond its own need; more than that is given up, and the backup has a
    hole."""
    takeover_s: float = 10
    """Standstill of the backup after which the next node takes it over."""

    def __post_init__(self) -> None:
        for name in (
            "cache_mb",
            "log_cache_mb",
            "log_file_mb",
            "coalesce_log_mb",
            "coalesce_age_s",
            "gossip_ms",
            "slice_ms",
            "stage_age_s",
            "stage_mb",
            "snapshot_log_mb",
            "snapshot_age_s",
            "backup_window_s",
            "backup_hold_mb",
            "takeover_s",
        ):
            if getattr(self, name) <= 0:
                raise InvariantViolation(f"setting {name} must be above zero, not {getattr(self, name)}")


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
    ("data", Path, "folder of this node's files"),
    ("peers", str, "the other nodes: id=az=host:port,…"),
    ("cache-mb", float, "cache of materialized pages"),
    ("log-cache-mb", float, "recent log kept in memory"),
    ("log-file-mb", float, "size of one hot log file"),
    ("coalesce-log-mb", float, "hot log that makes coalescing start"),
    ("coalesce-age-s", float, "age of log that makes coalescing start"),
    ("gossip-ms", float, "time between two gossip rounds"),
    ("slice-ms", float, "longest slice of background work"),
    ("backup", str, "object store for the backup: file:///folder or s3://bucket/prefix?endpoint=URL; empty: none"),
    ("stage-age-s", float, "age of log at which it is staged"),
    ("stage-mb", float, "log that is staged before that age"),
    ("snapshot-log-mb", float, "staged log after which pages are staged anew"),
    ("snapshot-age-s", float, "age after which pages are staged anew"),
    ("backup-window-s", float, "how far back the volume can be restored"),
    ("backup-hold-mb", float, "log kept for the backup beyond the node's own need"),
    ("takeover-s", float, "standstill of the backup after which the next node takes it over"),
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
        given["peers"] = tuple(p for p in parse_peers(given.get("peers", "")) if p.node_id != given["node_id"])
        return NodeConfig(**given)
    except (argparse.ArgumentTypeError, InvariantViolation) as error:
        parser.error(str(error))
