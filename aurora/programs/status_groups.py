"""The protection groups (PGs) as ``aurora status`` shows them: six segments each, worst groups first.

Input: what each storage node says of itself (``status.py``), each PG's last durable LSN if a writer told →
output: for every PG its segments with SCL, lag, epochs, health, and what is being repaired. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from aurora.geometry import AWAY_READ, AWAY_WRITE
from aurora.quorum import READ_SEGMENTS, WRITE_SEGMENTS

if TYPE_CHECKING:
    from aurora.documents import JsonObject


UNREACHABLE: Final = ("down", "not answering", "empty")
"""States of a node in which nothing is known of its segments."""
SERVING: Final = ("up", "behind", "filling")
"""Healths in which a segment takes log."""


def protection_groups(nodes: Sequence[JsonObject], durable: Mapping[int, int], volume_epoch: int) -> list[JsonObject]:
    """All PGs that a node or the writer knows, by number.

    ``durable``: the writer's account; a PG that it lacks is measured by what a write quorum of its segments has.
    ``volume_epoch``: the writer's, 0 when none told; a node with a newer one is *fenced* off from that writer.
    """
    numbers = set(durable)
    for node in nodes:
        numbers.update(node.get("pgs", ()))
    return [_group(pg, nodes, durable.get(pg), volume_epoch) for pg in sorted(numbers)]


def worst_first(groups: Sequence[JsonObject]) -> list[JsonObject]:
    """The groups that need a look most, before the others."""

    def ill(group: JsonObject) -> tuple[int, int, int, int]:
        segments = group["segments"]
        up = sum(segment["health"] == "up" for segment in segments)
        serving = sum(segment["health"] in SERVING for segment in segments)
        lag_bytes = max((segment["lag_bytes"] or 0 for segment in segments), default=0)
        return serving, up, -lag_bytes, group["pg"]

    return sorted(groups, key=ill)


def behind_writer(groups: Sequence[JsonObject]) -> set[str]:
    """The nodes with a segment that has not all that the writer called durable."""
    return {
        segment["node"]
        for group in groups
        if group["durable_from"] == "writer"
        for segment in group["segments"]
        if segment["lag_bytes"]
    }


def membership(nodes: Sequence[JsonObject], pg: int) -> JsonObject:
    """The PG's group in the newest descriptor that a node holds (``slots``, ``membership_epoch``, ``away``), with the
    zones of all nodes as ``zones``. Without one, the nodes that say they have the PG make the slots.
    """
    newest = max(nodes, key=lambda node: node.get("descriptor_version", [0, 0]), default={})
    zones = {node["id"]: node["az"] for node in nodes if "id" in node}
    zones.update((member["id"], member["az"]) for member in newest.get("members", ()))
    groups = newest.get("groups", ())
    if pg < len(groups):
        return {**groups[pg], "zones": zones}
    slots = [{"member": n["id"], "candidate": "", "tail": False} for n in nodes if pg in n.get("pgs", ())]
    return {"membership_epoch": 0, "away": "", "away_next": None, "slots": slots, "zones": zones}


def _group(pg: int, nodes: Sequence[JsonObject], durable: int | None, volume_epoch: int) -> JsonObject:
    by_id = {node["id"]: node for node in nodes if "id" in node}
    group = membership(nodes, pg)
    places = []
    for index, slot in enumerate(group["slots"]):
        places.append((index, slot["member"], "tail" if slot["tail"] else "full"))
        if slot["candidate"]:
            places.append((index, slot["candidate"], "candidate"))
    answering = [by_id[node_id] for _, node_id, _ in places if node_id in by_id]
    durable_lsn = durable if durable is not None else _reached(answering, pg)
    segments = [
        {
            "index": index,
            "node": node_id,
            "az": group["zones"].get(node_id, "?"),
            "role": role,
            **_segment(by_id.get(node_id, {}), pg, durable_lsn, volume_epoch),
        }
        for index, node_id, role in places
    ]
    return {
        "pg": pg,
        "membership_epoch": group["membership_epoch"],
        "away": group["away"],
        "away_next": group["away_next"],
        "durable_lsn": durable_lsn,
        "durable_from": "segments" if durable is None else "writer",
        "state": _state(segments, group),
        "segments": segments,
    }


def _reached(nodes: Sequence[JsonObject], pg: int) -> int:
    """The LSN that a write quorum of those that answer has; with fewer answers, the highest that anybody has."""
    scls = sorted((node["pgs"][pg]["scl"] for node in nodes if pg in node.get("pgs", ())), reverse=True)
    if not scls:
        return 0
    return int(scls[WRITE_SEGMENTS - 1] if len(scls) >= WRITE_SEGMENTS else scls[0])


def _segment(node: JsonObject, pg: int, durable_lsn: int, volume_epoch: int) -> JsonObject:
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
    elif segment.get("hollow") or (repair is not None and repair["kind"] == "pages"):
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


def _state(segments: Sequence[JsonObject], group: JsonObject) -> str:
    """What the segments' healths mean for the group: its members' quorums decide, under the model that holds."""
    counted = [s for s in segments if s["role"] != "candidate" and not (group["away"] and s["az"] == group["away"])]
    serving = sum(segment["health"] in SERVING for segment in counted)
    read, write = (AWAY_READ, AWAY_WRITE) if group["away"] else (READ_SEGMENTS, WRITE_SEGMENTS)
    full = [segment["health"] in SERVING for segment in counted if segment["role"] == "full"]
    silent = sum(segment["health"] == "not answering" for segment in counted)
    if silent and serving < write <= serving + silent:
        return "not answering"  # they may be slow, and serve the writer all the same
    if serving < read or not any(full):
        return "no read quorum"
    if serving < write and not (len(full) < len(counted) and all(full) and not group["away"]):
        return "no write quorum"
    if group["away_next"] is not None or any(segment["role"] == "candidate" for segment in segments):
        return "changing"
    return "ok" if all(segment["health"] == "up" for segment in counted) and not group["away"] else "degraded"
