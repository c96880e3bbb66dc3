"""What ``aurora status`` knows: each storage node asked over gRPC, each instance over gRPC and in SQL, all at once.

::

    instances ─ Describe ────────► who writes, lag, promotion tier (status_instances.py)
    instances ─ aurora_status() ─┐ (the writer gets a head start, so that its durable LSNs are older than the answers)
    storage nodes ─ Status ──────┴─► volume, storage_nodes, instances, protection_groups (status_groups.py)

Nobody is waited for longer than ``TIMEOUT_S``, however many do not answer.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import grpc
import psycopg

from aurora.programs.endpoints.command import ENDPOINTS, endpoints_of
from aurora.programs.endpoints.spec import leads_to
from aurora.programs.status_groups import UNREACHABLE, behind_writer, protection_groups
from aurora.programs.status_instances import instance_view, writer_among
from aurora.rpc import storage_pb2
from aurora.rpc.channels import NO_ACCESS, Access, open_blocking_channel, storage_stub

if TYPE_CHECKING:
    from aurora.documents import JsonObject
    from aurora.programs.supervisor import Cluster

TIMEOUT_S: Final = 2.0
HEAD_START_S: Final = 1.0
"""How long the nodes are not asked yet while the writer has not answered."""
_STATES = {"serving": "up", "behind": "catching up"}
"""A storage node's own word for what it does → what is shown."""


def ask_nodes(addresses: Sequence[str], access: Access = NO_ACCESS) -> list[JsonObject]:
    """Each node's own account, in the order of the addresses; ``state`` is ``down`` for one that cannot be reached or
    refuses, ``not answering`` for one that does not answer within ``TIMEOUT_S``."""
    channels = [open_blocking_channel(address, access.tls) for address in addresses]
    try:
        calls = [
            storage_stub(channel, access.secret).Status.future(storage_pb2.StatusRequest(), timeout=TIMEOUT_S)
            for channel in channels
        ]
        return [_answer(address, call) for address, call in zip(addresses, calls, strict=True)]
    finally:
        for channel in channels:
            channel.close()


def _answer(address: str, call: Any) -> JsonObject:
    try:
        return node_view(address, call.result())
    except grpc.RpcError as error:
        slow = error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        shown = {"address": address, "state": "not answering" if slow else "down", "error": error.code().name.lower()}
        return shown | ({"note": error.details()} if error.code() == grpc.StatusCode.UNAUTHENTICATED else {})


def node_view(address: str, reply: storage_pb2.StatusReply) -> JsonObject:
    """A node's answer as it is shown."""
    beside = {status.pg: status for status in reply.pg_status}
    descriptor = reply.descriptor
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
        "descriptor_version": [descriptor.proposer_epoch, descriptor.generation],
        "membership_epoch": descriptor.membership_epoch,
        "geometry_epoch": descriptor.geometry_epoch,
        "members": [{"id": m.node_id, "az": m.az, "address": m.address} for m in descriptor.nodes if not m.retired],
        "groups": [_group_view(group) for group in descriptor.groups],
        "log_bytes": reply.log_bytes,
        "page_bytes": reply.page_bytes,
        "cached_pages": reply.cached_pages,
        "pgs": {pg.pg: _segment_view(pg, beside.get(pg.pg, storage_pb2.PgStatus())) for pg in reply.pgs},
        "note": reply.note,
        "duty": _duty(reply.node_id, descriptor),
        "backup": reply.backup,
        "refills": [
            {
                "pg": refill.pg,
                "pages_done": refill.pages_done,
                "pages_total": refill.pages_total,
                "mb_s": round(refill.bytes_per_s / 1e6, 1),
                "peers": list(refill.peers),
            }
            for refill in reply.refills
        ],
    }


def _duty(node_id: str, descriptor: storage_pb2.Descriptor) -> str:
    """What the node is to the volume when it holds no segment of it: a ``spare`` or ``replaced``; else empty."""
    if any(node_id in (slot.member, slot.candidate) for group in descriptor.groups for slot in group.slots):
        return ""
    retired = {node.node_id: node.retired for node in descriptor.nodes}.get(node_id)
    return "" if retired is None else "replaced" if retired else "spare"


def _group_view(group: storage_pb2.Group) -> JsonObject:
    return {
        "membership_epoch": group.membership_epoch,
        "away": group.away,
        "away_next": group.away_next if group.HasField("away_next") else None,
        "slots": [{"member": s.member, "candidate": s.candidate, "tail": s.tail} for s in group.slots],
    }


def _segment_view(state: storage_pb2.PgState, status: storage_pb2.PgStatus) -> JsonObject:
    repair = None
    if status.HasField("repair"):
        told = status.repair
        repair = {
            "kind": told.kind,
            "from": told.peer_id,
            "done": told.done,
            "total": told.total,
            "percent": 100 * told.done // told.total if told.total else None,
            "fetched_bytes": told.fetched_bytes,
            "running_s": told.running_s,
        }
    return {
        "scl": state.scl,
        "collected": state.collected_lsn,
        "staged": state.staged_lsn,
        "hollow": state.hollow,
        "entries": status.entries,
        "pending": status.pending,
        "log_bytes": status.log_bytes,
        "page_bytes": status.page_bytes,
        "broken_pages": status.broken_pages,
        "repair": repair,
    }


def instance_status(dsn: str) -> JsonObject | None:
    """What an instance says of itself and the volume; None when it does not answer."""
    try:
        with psycopg.connect(dsn, connect_timeout=int(TIMEOUT_S), autocommit=True) as connection:
            row = connection.execute("select aurora_status()").fetchone()
    except psycopg.Error:
        return None
    return json.loads(row[0]) if row else None


class _Instances:
    """Instances that are being asked, each in a thread of its own: one that hangs holds nobody up, not even the end
    of this process.
    """

    def __init__(self, dsns: Mapping[str, str]) -> None:
        self.told: dict[str, JsonObject | None] = {}
        self._asked = len(dsns)
        self._answers: SimpleQueue[tuple[str, JsonObject | None]] = SimpleQueue()
        for name, dsn in dsns.items():
            threading.Thread(target=self._ask, args=(name, dsn), daemon=True).start()

    def _ask(self, name: str, dsn: str) -> None:
        self._answers.put((name, instance_status(dsn)))

    def wait(self, deadline_s: float, name: str = "") -> None:
        """Until ``name`` (or, without one, everybody) has answered, or until the deadline."""
        while len(self.told) < self._asked and not (name and name in self.told):
            try:
                who, answer = self._answers.get(timeout=max(0.0, deadline_s - monotonic()))
            except Empty:
                return
            self.told[who] = answer


def cluster_status(cluster: Cluster) -> JsonObject:
    """Volume, storage nodes, instances and protection groups of a cluster on this machine.

    The writer is asked before the nodes: a node that then has not what was durable before is behind, and not merely
    asked early. A writer that takes longer is shown, but nobody is measured by what it says.
    """
    spec = cluster.required
    start_s = monotonic()
    ids = [*(node.id for node in spec.nodes), *(one.id for one in spec.instances)]
    pids = {process_id: cluster.pid(process_id) for process_id in ids}
    asked = _Instances({one.id: cluster.dsn(one.id) for one in spec.instances if pids[one.id] is not None})
    topologies = cluster.topologies(HEAD_START_S)
    writer = writer_among(spec.instances, topologies)
    if pids[writer] is not None:
        asked.wait(start_s + HEAD_START_S, writer)
    early = (asked.told.get(writer) or {}).get("volume", {})
    durable = {int(pg): lsn for pg, lsn in early.get("pg_durable", {}).items()}
    running = [node.address for node in spec.nodes if pids[node.id] is not None]
    answers = dict(zip(running, ask_nodes(running, cluster.access()), strict=True))
    asked.wait(start_s + HEAD_START_S + TIMEOUT_S)
    volume = (asked.told.get(writer) or {}).get("volume", {})

    nodes = []
    for node in spec.nodes:
        shown = {"address": node.address, "state": "down", **answers.get(node.address, {})}
        shown.update(id=node.id, az=node.az, pid=pids[node.id], metrics=node.metrics, **_ends(cluster, node.id))
        if shown["pid"] is not None and shown["state"] == "down":
            shown["state"] = "not answering"
        nodes.append(shown)
    groups = protection_groups(nodes, durable, early.get("epoch", 0))
    behind = behind_writer(groups)
    for shown in nodes:
        if shown["state"] == "up" and shown["id"] in behind:
            shown["state"] = "catching up"
    instances = [
        instance_view(one, pids[one.id], writer, topologies, asked.told.get(one.id)) | _ends(cluster, one.id)
        for one in spec.instances
    ]
    return {
        "volume": volume,
        "storage_nodes": nodes,
        "instances": instances,
        "endpoints": _endpoints(cluster),
        "protection_groups": groups,
    }


def _endpoints(cluster: Cluster) -> list[JsonObject]:
    """The cluster's endpoints, which one process serves."""
    pid = cluster.pid(ENDPOINTS)
    state = "down" if pid is None else "up"
    return [
        {
            "name": each.name,
            "kind": str(each.kind),
            "address": each.address,
            "state": state,
            "pid": pid,
            "leads_to": leads_to(each),
            "metrics": cluster.required.endpoints_metrics,
            **_ends(cluster, ENDPOINTS),
        }
        for each in endpoints_of(cluster.data, cluster.required)
    ]


def _ends(cluster: Cluster, process_id: str) -> JsonObject:
    """How often a process was started again, how the one before ended, and when (s since 1970)."""
    run = cluster.processes.run(process_id)
    last_end = cluster.last_end(process_id) if run.pid else ""
    return {"restarts": run.restarts, "last_end": last_end or run.last_end, "ended_at": run.ended_at}


def storage_status(addresses: Sequence[str], access: Access = NO_ACCESS) -> JsonObject:
    """The same, as far as the storage nodes alone can tell it: no writer is needed."""
    nodes = ask_nodes(addresses, access)
    up = [node for node in nodes if node["state"] not in UNREACHABLE]
    _name_the_silent(nodes)
    volume = {}
    if up:
        volume = {
            "id": up[0]["volume_id"],
            "vdl": max(node["vdl"] for node in up),
            "epoch": max(node["epoch"] for node in up),
        }
    groups = protection_groups(nodes, {}, 0)
    return {"volume": volume, "storage_nodes": nodes, "instances": [], "protection_groups": groups}


def _name_the_silent(nodes: Sequence[JsonObject]) -> None:
    """Who does not answer is known by its address, if the volume's descriptor has it."""
    known = {member["address"]: member for node in nodes for member in node.get("members", ())}
    for node in nodes:
        member = known.get(node["address"])
        if "id" not in node and member is not None:
            node.update(id=member["id"], az=member["az"])
