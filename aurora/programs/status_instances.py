"""Instances as ``aurora status`` shows them: what each says of itself, and what the writer says of its readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from aurora.programs.description import READER, WRITER
from aurora.rpc.instances import writer_of

if TYPE_CHECKING:
    from aurora.documents import JsonObject
    from aurora.programs.description import InstanceSpec
    from aurora.rpc.compute_pb2 import Topology

DISCONNECTED: Final = "disconnected"
SUPERSEDED: Final = "superseded"
"""The role of one that says it writes when another one does, under a higher epoch: it will hear of it soon."""
_STATES: Final = {"available": "up", "": "up"}
"""An instance's own word for what it does → what is shown."""


def writer_among(instances: Sequence[InstanceSpec], topologies: Mapping[str, Topology]) -> str:
    """The id of who writes, or of who did when it was last known."""
    writer = writer_of(topologies.values())
    if writer is not None and any(one.id == writer.id for one in instances):
        return writer.id
    return next((one.id for one in instances if one.role == WRITER), instances[0].id)


def instance_view(
    one: InstanceSpec,
    pid: int | None,
    writer: str,
    topologies: Mapping[str, Topology],
    told: JsonObject | None,
) -> JsonObject:
    """One instance; ``told`` is its ``aurora_status()``. Unknown figures are None: its lag (ms), which the writer has
    not, the LSN that it has applied, and the sessions besides the one that has asked.
    """
    topology = topologies.get(one.id)
    itself = topology.self if topology is not None else None
    sessions = (told or {}).get("sessions")
    lag_us = itself.lag_us if itself is not None and one.id != writer else -1
    return {
        "id": one.id,
        "role": _role(one, writer, topology),
        "address": one.address,
        "feed": one.feed,
        "pid": pid,
        "state": _state(one.id, pid, writer, topologies, told is not None),
        "lag_ms": None if lag_us < 0 else round(lag_us / 1000, 3),
        "applied_lsn": (itself.applied_lsn or None) if itself is not None else None,
        "epoch": (itself.epoch or None) if itself is not None else None,
        "promotion_tier": itself.promotion_tier if itself is not None else one.promotion_tier,
        "sessions": None if sessions is None else max(0, sessions - 1),
        "metrics": one.metrics,
    }


def _role(one: InstanceSpec, writer: str, topology: Topology | None) -> str:
    if one.id == writer:
        return WRITER
    return SUPERSEDED if topology is not None and topology.self.role == WRITER else READER


def _state(name: str, pid: int | None, writer: str, topologies: Mapping[str, Topology], answers: bool) -> str:
    if pid is None:
        return "down"
    topology = topologies.get(name)
    if topology is None:
        return "up" if answers else "not answering"
    said = _STATES.get(topology.self.state, topology.self.state)
    if said == "up" and name != writer and writer in topologies:
        of_it = {state.id: state.state for state in topologies[writer].instances}
        if of_it.get(name) == DISCONNECTED:
            return DISCONNECTED
    return "not answering" if said == "up" and not answers else said
