"""Changes of a running cluster's fleet, as ``aurora node add``, ``node replace`` and ``quorum`` make them.

The processes are the supervisor's; what holds which segment is the writer's word, asked for in SQL
(``aurora_replace_storage_node`` and its kin). A replacement that does not come to its end in time goes back.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import psycopg

from aurora.status import ask_nodes
from aurora.supervisor import Cluster, ClusterError

POLL_S = 0.2
TELL_EVERY_S = 1.0


def ask(cluster: Cluster, function: str, *arguments: str) -> str:
    """Call one of the writer's functions; ClusterError with its message when it refuses or does not answer."""
    marks = ", ".join(["%s"] * len(arguments))
    try:
        with psycopg.connect(cluster.dsn(), connect_timeout=5, autocommit=True) as connection:
            row = connection.execute(f"select {function}({marks})", arguments).fetchone()
    except psycopg.Error as error:
        raise ClusterError(str(error).strip()) from error
    return str(row[0]) if row else ""


def volume_status(cluster: Cluster) -> dict[str, Any]:
    """The volume as the writer sees it."""
    found: dict[str, Any] = json.loads(ask(cluster, "aurora_status"))["volume"]
    return found


def _wait(what: str, condition: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what} takes longer than {timeout_s:g} s")
        time.sleep(POLL_S)


def add(cluster: Cluster, az: str) -> str:
    """Start a new node in a zone and have it join the fleet, as a spare; what happened, in words."""
    node = cluster.add_node(az)
    try:
        _wait(f"the start of {node.id}", lambda: ask_nodes([node.address], cluster.tls())[0]["state"] != "down", 30.0)
        said = ask(cluster, "aurora_add_storage_node", node.address)
        _wait("the change of the descriptor", lambda: _knows(cluster, node.id), 30.0)
    except ClusterError:
        cluster.remove_node(node.id)
        raise
    return f"{said} at {node.address}"


def _knows(cluster: Cluster, node_id: str) -> bool:
    return any(node["id"] == node_id for node in volume_status(cluster)["nodes"])


def replace(cluster: Cluster, lost: str, by: str | None, timeout_s: float, tell: Callable[[str], None]) -> None:
    """Move all segments of ``lost`` to ``by``, or to a new node of its zone; returns when that is done.

    ClusterError when the writer refuses, or when it takes longer than ``timeout_s``: then it goes back.
    """
    spec = cluster.required.node(lost)
    if by is None:
        tell(add(cluster, spec.az))
        by = cluster.required.nodes[-1].id
    cluster.required.node(by)
    tell(ask(cluster, "aurora_replace_storage_node", lost, by))
    deadline = time.monotonic() + timeout_s
    next_line = time.monotonic() + TELL_EVERY_S
    while _holds(cluster, lost):
        if time.monotonic() > deadline:
            if _goes_back(cluster, lost, by):
                raise ClusterError(
                    f"{by} was not filled within {timeout_s:g} s: {lost} keeps the segments that it has not handed over"
                )
            break
        if time.monotonic() > next_line:
            tell(progress(cluster, by))
            next_line = time.monotonic() + TELL_EVERY_S
        time.sleep(POLL_S)
    cluster.remove_node(lost)
    tell(f"{by} has taken over from {lost}, which is stopped; its files are in {cluster.data / 'storage' / lost}")


def _goes_back(cluster: Cluster, lost: str, by: str) -> bool:
    """Give the replacement up; False when it has come to its end just now."""
    try:
        ask(cluster, "aurora_cancel_replacement", by)
    except ClusterError:
        if _holds(cluster, lost):
            raise
        return False
    return True


def remove(cluster: Cluster, node_id: str) -> str:
    """Stop a node that was replaced and forget it; ClusterError for one that the volume counts on."""
    cluster.required.node(node_id)
    if _holds(cluster, node_id):
        raise ClusterError(f"{node_id} belongs to the volume; first: aurora node replace {node_id}")
    cluster.remove_node(node_id)
    return f"{node_id} is stopped and forgotten; its files are in {cluster.data / 'storage' / node_id}"


def _holds(cluster: Cluster, node_id: str) -> bool:
    """Whether the volume counts on the node."""
    return any(node["id"] == node_id for node in volume_status(cluster)["nodes"])


def progress(cluster: Cluster, node_id: str) -> str:
    """How far a node is filled, in words."""
    (shown,) = ask_nodes([cluster.required.node(node_id).address], cluster.tls())
    if shown["state"] == "down":
        return f"{node_id} does not answer"
    segments = shown["pgs"].values()
    filled = sum(not segment["hollow"] for segment in segments)
    return f"{node_id}: {filled} of {len(segments)} segments filled, {shown['page_bytes'] / 1e6:.0f} MB of pages"


def set_away(cluster: Cluster, az: str, timeout_s: float = 60.0) -> str:
    """Count a zone out, or all zones again (""); what holds now, in words. ClusterError when it is still on its way
    after ``timeout_s``.
    """
    ask(cluster, "aurora_set_zone_away", az)
    _wait("the change of the quorums (it goes on)", lambda: volume_status(cluster)["zone_away"] == az, timeout_s)
    if az:
        return (
            f"zone {az} is counted out: writes need three of the other four segments; aurora quorum all takes it back"
        )
    return "all three zones count: writes need four of six segments"
