"""What ``cluster.json`` holds: the processes of one cluster and their addresses.

``supervisor`` reads and writes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from aurora.addresses import LOOPBACK

WRITER: Final = "writer"
READER: Final = "reader"
PROMOTION_TIER_DEFAULT: Final = 1
ANY_HOST: Final = ("0.0.0.0", "*")


class ClusterError(Exception):
    """Something the user of a verb should read; printed without a traceback."""


@dataclass(slots=True)
class NodeSpec:
    """One storage node of the cluster."""

    id: str
    az: str
    address: str
    metrics: str = ""
    """Where it serves /metrics and /healthz; empty: nowhere."""


@dataclass(slots=True)
class InstanceSpec:
    """One compute instance of the cluster. ``role`` is what it was when a verb last knew: the instances themselves
    decide who writes (``Cluster.writer``)."""

    id: str
    role: str
    host: str
    port: int
    metrics: str = ""
    feed: str = ""
    """Where the other instances find it; empty until its next start in a cluster of an older program."""
    promotion_tier: int = PROMOTION_TIER_DEFAULT
    cache_mb: int = 0
    """0: as the cluster's."""

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
    storage_tls: bool = False
    """Mutual TLS between compute and storage, with the certificates in ``DIR/certs``."""
    master_key_file: str | None = None
    key_provider: str | None = None
    backup: str = ""
    """URL of the backup's object store; empty: the folder ``backup`` beside the rest, ``off``: none."""
    block: int = 0
    """The instances' block of addresses (``places``); 0 while there is one instance, which needs none."""
    endpoints_metrics: str = ""
    """Where the endpoints' process serves /metrics and /healthz; empty until its first start."""
    names_by_address: bool = False
    """An instance in the block is named by the last number of its address, if nobody names it: a driver's host
    pattern ``127.0.0.?`` then finds it by the name that ``aurora_replica_status()`` gives, and nothing is resolved."""

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


def connect_host(instance: InstanceSpec) -> str:
    """Where a client on this machine finds it."""
    return LOOPBACK if instance.host in ANY_HOST else instance.host
