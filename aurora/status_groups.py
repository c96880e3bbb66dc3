"""The protection groups (PGs) as ``aurora status`` shows them: six segments each, worst groups first.

Input: what each storage node says of itself (``aurora/status.py``), each PG's last durable LSN if a writer told →
output: for every PG its segments with SCL, lag, epochs, health, and what is being repaired. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aurora.quorum import READ_SEGMENTS, WRITE_SEGMENTS

UNREACHABLE: Final = ("down", "not answering", "empty")
"""States of a node in which nothing is known of its segments."""
SERVING: Final = ("up", "behind", "filling")
"""Healths in which a segment takes log."""


def protection_groups(
    nodes: Sequence[Mapping[str, Any]], durable: Mapping[int, int], volume_epoch: int
) -> list[dict[str, Any]]:
    """All PGs that a node or the writer knows, by number.

    ``durable``: the writer's account; a PG that it lacks is measured by what a write quorum of its segments has.
    ``volume_epoch``: the writer's, 0 when none told; a node with a newer one is *fenced* off from that writer.
    """
    numbers = set(durable)
    for node in nodes:
        numbers.update(node.get("pgs", ()))
    return [_group(pg, nodes, durable.get(pg), volume_epoch) for pg in sorted(numbers)]


def worst_first(groups: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The groups that need a look most, before the others."""

    def ill(group: dict[str, Any]) -> tuple[int, int, int, int]:
        segments = group["segments"]
        up = sum(segment["health"] == "up" for segment in segments)
        serving = sum(segment["health"] in SERVING for segment in segments)
        lag_bytes = max((segment["lag_bytes"] or 0 for segment in segments), default=0)
        return serving, up, -lag_bytes, group["pg"]

    return sorted(groups, key=ill)


def behind_writer(groups: Sequence[Mapping[str, Any]]) -> set[str]:
    """The nodes with a segment that has not all that the writer called durable."""
    return {
        segment["node"]
        for group in groups
        if group["durable_from"] == "writer"
        for segment in group["segments"]
        if segment["lag_bytes"]
    }


def members(nodes: Sequence[Mapping[str, Any]], pg: int) -> list[tuple[str, str]]:
    """``(node id, zone)`` of the PG's segments, in order: from the newest descriptor that a node holds; without one,
    the nodes that say they have the PG.
    """
    newest = max(nodes, key=lambda node: node.get("generation", 0), default=None)
    if newest is not None and newest.get("members"):
        return [(member["id"], member["az"]) for member in newest["members"]]
    return [(node["id"], node["az"]) for node in nodes if pg in node.get("pgs", ())]


def _group(pg: int, nodes: Sequence[Mapping[str, Any]], durable: int | None, volume_epoch: int) -> dict[str, Any]:
    by_id = {node["id"]: node for node in nodes if "id" in node}
    found = [(node_id, az, by_id.get(node_id, {})) for node_id, az in members(nodes, pg)]
    durable_lsn = durable if durable is not None else _reached([node for _, _, node in found], pg)
    segments = [
        {"index": index, "node": node_id, "az": az, **_segment(node, pg, durable_lsn, volume_epoch)}
        for index, (node_id, az, node) in enumerate(found)
    ]
    return {
        "pg": pg,
        "membership_epoch": max((node.get("membership_epoch", 0) for _, _, node in found), default=0),
        "durable_lsn": durable_lsn,
        "durable_from": "segments" if durable is None else "writer",
        "state": _state(segments),
        "segments": segments,
    }


def _reached(nodes: Sequence[Mapping[str, Any]], pg: int) -> int:
    """The LSN that a write quorum of those that answer has; with fewer answers, the highest that anybody has."""
    scls = sorted((node["pgs"][pg]["scl"] for node in nodes if pg in node.get("pgs", ())), reverse=True)
    if not scls:
        return 0
    return int(scls[WRITE_SEGMENTS - 1] if len(scls) >= WRITE_SEGMENTS else scls[0])


def _segment(node: Mapping[str, Any], pg: int, durable_lsn: int, volume_epoch: int) -> dict[str, Any]:
    """One segment; what only its node could tell is None where the node does not answer."""
    state = node.get("state", "unknown")
    if state in (*UNREACHABLE, "unknown"):
        nothing = dict.fromkeys(("scl", "lag_bytes", "collected", "epoch", "membership_epoch", "pending"))
        return {**nothing, "health": state, "broken_pages": 0, "repair": None}
    # A node that has no such segment yet has everything of it to get.
    segment = node.get("pgs", {}).get(pg, {})
    scl = segment.get("scl", 0)
    lag_bytes = max(0, durable_lsn - scl)
    repair = segment.get("repair")
    if state == "refusing":
        health = "refusing"
    elif volume_epoch and node["epoch"] > volume_epoch:
        health = "fenced"
    elif repair is not None and repair["kind"] == "pages":
        health = "filling"
    else:
        health = "behind" if lag_bytes else "up"
    return {
        "scl": scl,
        "lag_bytes": lag_bytes,
        "collected": segment.get("collected", 0),
        "epoch": node["epoch"],
        "membership_epoch": node["membership_epoch"],
        "pending": segment.get("pending", 0),
        "health": health,
        "broken_pages": segment.get("broken_pages", 0),
        "repair": repair,
    }


def _state(segments: Sequence[Mapping[str, Any]]) -> str:
    """What the segments' healths mean for the group."""
    serving = sum(segment["health"] in SERVING for segment in segments)
    if serving < READ_SEGMENTS:
        return "no read quorum"
    if serving < WRITE_SEGMENTS:
        return "no write quorum"
    return "ok" if all(segment["health"] == "up" for segment in segments) else "degraded"
