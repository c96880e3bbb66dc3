"""What ``aurora status`` shows: each storage node asked over gRPC, each instance asked in SQL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import grpc
import psycopg

from aurora.rpc import storage_pb2, storage_pb2_grpc

if TYPE_CHECKING:
    from aurora.supervisor import Cluster

TIMEOUT_S = 2.0
_STATES = {"serving": "up", "behind": "catching up"}
"""A storage node's own word for what it does → what is shown."""
_NO_PG = {"scl": 0, "collected": 0}


def node_status(address: str) -> dict[str, Any]:
    """One storage node's own account; ``state`` is ``down`` when it does not answer."""
    with grpc.insecure_channel(address) as channel:
        try:
            reply = storage_pb2_grpc.StorageStub(channel).Status(storage_pb2.StatusRequest(), timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            return {"address": address, "state": "down", "error": error.code().name.lower()}
    return {
        "id": reply.node_id,
        "az": reply.az,
        "address": address,
        "pid": reply.pid,
        "state": _STATES.get(reply.state, reply.state),
        "scl": max((pg.scl for pg in reply.pgs), default=0),
        "vdl": reply.vdl,
        "epoch": reply.volume_epoch,
        "volume_id": reply.volume_id.hex(),
        "log_bytes": reply.log_bytes,
        "page_bytes": reply.page_bytes,
        "cached_pages": reply.cached_pages,
        "pgs": {pg.pg: {"scl": pg.scl, "collected": pg.collected_lsn, "staged": pg.staged_lsn} for pg in reply.pgs},
        "note": reply.note,
        "backup": reply.backup,
    }


def instance_status(dsn: str) -> dict[str, Any] | None:
    """What an instance says of itself and the volume; None when it does not answer."""
    try:
        with psycopg.connect(dsn, connect_timeout=int(TIMEOUT_S) + 1, autocommit=True) as connection:
            row = connection.execute("select aurora_status()").fetchone()
    except psycopg.Error:
        return None
    return json.loads(row[0]) if row else None


def cluster_status(cluster: Cluster) -> dict[str, Any]:
    """Volume, storage nodes and instances of a cluster on this machine.

    The writer is asked before the nodes: a node that then has not what was durable before is behind, and not merely
    asked early.
    """
    spec = cluster.required
    volume: dict[str, Any] = {}
    instances = []
    for instance in spec.instances:
        pid = cluster.pid(instance.id)
        told = instance_status(cluster.dsn(instance.id)) if pid is not None else None
        state = "down" if pid is None else "not answering" if told is None else "up"
        instances.append(
            {
                "id": instance.id,
                "role": instance.role,
                "address": instance.address,
                "pid": pid,
                "state": state,
                "lag_ms": 0,
            }
        )
        if told is not None and instance.role == "writer":
            volume = told["volume"]
    durable = {int(pg): lsn for pg, lsn in volume.get("pg_durable", {}).items()}
    nodes = []
    for node in spec.nodes:
        pid = cluster.pid(node.id)
        shown: dict[str, Any] = {"address": node.address, "state": "down"}
        if pid is not None:
            shown = node_status(node.address)
        shown.update(id=node.id, az=node.az, pid=pid)
        if pid is not None and shown["state"] == "down":
            shown["state"] = "not answering"
        if shown["state"] == "up" and any(shown["pgs"].get(pg, _NO_PG)["scl"] < lsn for pg, lsn in durable.items()):
            shown["state"] = "catching up"
        nodes.append(shown)
    return {"volume": volume, "storage_nodes": nodes, "instances": instances}


def storage_status(addresses: list[str]) -> dict[str, Any]:
    """The same, as far as the storage nodes alone can tell it."""
    nodes = [node_status(address) for address in addresses]
    up = [node for node in nodes if node["state"] != "down"]
    volume = {}
    if up:
        volume = {
            "id": up[0]["volume_id"],
            "vdl": max(node["vdl"] for node in up),
            "epoch": max(node["epoch"] for node in up),
        }
    return {"volume": volume, "storage_nodes": nodes, "instances": []}


def status_text(status: dict[str, Any]) -> str:
    """A table for people."""
    lines = ["volume   " + "  ".join(f"{k}={v}" for k, v in status["volume"].items() if not isinstance(v, dict | list))]
    lines.append(f"{'storage node':<14}{'az':<6}{'state':<15}{'scl':>14}  {'pid':>8}  address")
    for node in status["storage_nodes"]:
        lines.append(
            f"{node.get('id', '?'):<14}{node.get('az', '?'):<6}{node['state']:<15}{node.get('scl', '-'):>14}  "
            f"{node.get('pid') or '-':>8}  {node['address']}"
        )
    for instance in status["instances"]:
        lines.append(
            f"{instance['id']:<14}{'':<6}{instance['state']:<15}{instance['role']:>14}  "
            f"{instance['pid'] or '-':>8}  {instance['address']}"
        )
    return "\n".join(lines)
