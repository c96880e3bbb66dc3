"""Changes of a running cluster's fleet, as ``aurora node add``, ``node replace`` and ``quorum`` make them.

The processes are the supervisor's; what holds which segment is the writer's word, asked for in SQL
(``aurora_replace_storage_node`` and its kin). A replacement that does not come to its end in time goes back.

Invariant: a node that the volume may count on keeps its process and its place in ``cluster.json``; what stands after a
verb that failed is in its ClusterError.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import psycopg

from aurora.programs.description import ClusterError, NodeSpec
from aurora.programs.status import ask_nodes
from aurora.programs.supervisor import Cluster

if TYPE_CHECKING:
    from aurora.documents import JsonObject


POLL_S = 0.2
TELL_EVERY_S = 1.0
AGREE_S = 30.0
"""How long a node's start, or the volume's agreement to it, is waited for."""
_REFUSALS = frozenset(("22023", "42501", "55000"))
"""SQLSTATEs of a change that was not begun: invalid parameter, insufficient privilege, not in prerequisite state."""


class Refused(ClusterError):
    """The writer has said no; nothing has been changed."""


def ask(cluster: Cluster, function: str, *arguments: str) -> str:
    """Call one of the writer's functions; Refused with its message when it says no, ClusterError when it is not known
    what became of the call.
    """
    marks = ", ".join(["%s"] * len(arguments))
    try:
        with psycopg.connect(cluster.dsn(), connect_timeout=5, autocommit=True) as connection:
            row = connection.execute(f"select {function}({marks})", arguments).fetchone()
    except psycopg.Error as error:
        raise (Refused if error.sqlstate in _REFUSALS else ClusterError)(str(error).strip()) from error
    return str(row[0]) if row else ""


def volume_status(cluster: Cluster) -> JsonObject:
    """The volume as the writer sees it."""
    found: JsonObject = json.loads(ask(cluster, "aurora_status"))["volume"]
    return found


def _wait(what: str, condition: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what} takes longer than {timeout_s:g} s")
        time.sleep(POLL_S)


def add(cluster: Cluster, az: str) -> str:
    """Start a new node in a zone and have it join the fleet, as a spare; what happened, in words. ClusterError; nothing
    is left of it when the volume cannot have heard of it, else the node stays.
    """
    return _add(cluster, az)[1]


def _add(cluster: Cluster, az: str) -> tuple[NodeSpec, str]:
    _check_open(cluster)
    node = cluster.add_node(az)
    try:
        _wait(f"the start of {node.id}", lambda: _answers(cluster, node), AGREE_S)
    except ClusterError:
        cluster.remove_node(node.id)
        raise
    try:
        said = ask(cluster, "aurora_add_storage_node", node.address)
        _wait("the change of the descriptor", lambda: _knows(cluster, node.id), AGREE_S)
    except Refused:
        cluster.remove_node(node.id)
        raise
    except ClusterError as error:
        raise ClusterError(
            f"{error}\n{node.id} runs at {node.address} and stays: it joins the fleet once the volume agrees, if that "
            f"has been asked; aurora node remove {node.id} takes it back"
        ) from error
    return node, f"{said} at {node.address}"


def _check_open(cluster: Cluster) -> None:
    state = volume_status(cluster)["state"]
    if state != "open":
        raise ClusterError(f"the volume is {state}: its fleet cannot be changed now")


def _answers(cluster: Cluster, node: NodeSpec) -> bool:
    (shown,) = ask_nodes([node.address], cluster.access())
    return bool(shown["state"] != "down")


def _knows(cluster: Cluster, node_id: str) -> bool:
    """Whether the node belongs to the fleet."""
    return _holds(volume_status(cluster), node_id)


def _holds(volume: JsonObject, node_id: str) -> bool:
    return any(node["id"] == node_id for node in volume["nodes"])


def replace(cluster: Cluster, lost: str, by: str | None, timeout_s: float, tell: Callable[[str], None]) -> None:
    """Move all segments of ``lost`` to ``by``, or to a new node of its zone; returns when that is done.

    ClusterError when the writer refuses, or goes back (its monitor does), or when it takes longer than ``timeout_s``:
    then it goes back. A node that
    was added for it stays, as a spare.
    """
    az, stays = cluster.required.node(lost).az, ""
    if by is None:
        _check_replaceable(cluster, lost)
        node, said = _add(cluster, az)
        tell(said)
        by, stays = node.id, f"; {node.id} stays, as a spare: aurora node remove {node.id} takes it back"
    cluster.required.node(by)
    try:
        tell(ask(cluster, "aurora_replace_storage_node", lost, by))
    except Refused as error:
        raise Refused(f"{error}{stays}") from error
    deadline = time.monotonic() + timeout_s
    next_line = time.monotonic() + TELL_EVERY_S
    while _holds(volume := volume_status(cluster), lost):
        if volume["state"] == "open" and not volume["fleet_changing"]:
            raise ClusterError(
                f"the writer has given {by} up, as its log says: {lost} keeps the segments that it has not handed over"
                + stays
            )
        if time.monotonic() > deadline:
            if _goes_back(cluster, lost, by):
                raise ClusterError(
                    f"{by} was not filled within {timeout_s:g} s: {lost} keeps the segments that it has not handed over"
                    + stays
                )
            break
        if time.monotonic() > next_line:
            tell(progress(cluster, by))
            next_line = time.monotonic() + TELL_EVERY_S
        time.sleep(POLL_S)
    cluster.remove_node(lost)
    tell(f"{by} has taken over from {lost}, which is stopped; its files are in {cluster.data / 'storage' / lost}")


def _check_replaceable(cluster: Cluster, lost: str) -> None:
    """ClusterError for what the writer would refuse, before a node is started for it: by the newest descriptor that
    the nodes have.
    """
    told = ask_nodes([node.address for node in cluster.required.nodes], cluster.access())
    newest = max(told, key=lambda node: node.get("descriptor_version", [0, 0]))
    held = [slot for group in newest.get("groups", ()) for slot in group["slots"] if slot["member"] == lost]
    candidates = sorted({slot["candidate"] for slot in held} - {""})
    if candidates:
        raise ClusterError(f"{lost} is being replaced by {', '.join(candidates)} already")
    if not held and "groups" in newest:
        raise ClusterError(f"{lost} holds no segment that another node could take; aurora node remove {lost}")


def _goes_back(cluster: Cluster, lost: str, by: str) -> bool:
    """Give the replacement up; False when it has come to its end just now."""
    try:
        ask(cluster, "aurora_cancel_replacement", by)
    except ClusterError:
        if _knows(cluster, lost):
            raise
        return False
    return True


def remove(cluster: Cluster, node_id: str) -> str:
    """Have a node that holds nothing leave the fleet, stop it and forget it. Refused for one that holds segments;
    ClusterError when the volume does not agree in time: the node stays then, and the verb can be given again.
    """
    cluster.required.node(node_id)
    _check_open(cluster)
    known = _knows(cluster, node_id)
    if _leaves(cluster, node_id):
        what = f"the leave of {node_id}, which runs until then,"
        # One that was about to join does that first, and leaves then.
        _wait(what, lambda: not _knows(cluster, node_id) and (known or not _is_changing(cluster)), AGREE_S)
    cluster.remove_node(node_id)
    return f"{node_id} is stopped and forgotten; its files are in {cluster.data / 'storage' / node_id}"


def _leaves(cluster: Cluster, node_id: str) -> bool:
    """Ask the volume to do without the node; False when it belongs to the fleet no more, or never did."""
    try:
        ask(cluster, "aurora_remove_storage_node", node_id)
    except Refused as error:
        if _knows(cluster, node_id):
            raise Refused(f"{error}\n{node_id} belongs to the volume; first: aurora node replace {node_id}") from error
        return False
    return True


def _is_changing(cluster: Cluster) -> bool:
    return bool(volume_status(cluster)["fleet_changing"])


def progress(cluster: Cluster, node_id: str) -> str:
    """How far a node is filled, in words."""
    (shown,) = ask_nodes([cluster.required.node(node_id).address], cluster.access())
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
