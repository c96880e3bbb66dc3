"""Instances' states between the wire (``protos/compute.proto``) and ``topology``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aurora.ids import Lsn
from aurora.rpc import compute_pb2 as cpb
from compute_node.replica.topology import InstanceState, writer_of

_FIELDS = (
    "id", "role", "state", "sql_address", "feed_address", "promotion_tier", "lag_us", "session_id", "last_update_us",
    "cpu_percent", "epoch", "started_us", "feed_bytes", "stream_port",
)  # fmt: skip


def to_proto(state: InstanceState) -> cpb.InstanceState:
    """For the wire."""
    made = cpb.InstanceState(**{name: getattr(state, name) for name in _FIELDS})
    made.applied_lsn, made.oldest_read_lsn = state.applied_lsn, state.oldest_read_lsn
    return made


def from_proto(state: cpb.InstanceState) -> InstanceState:
    """From the wire."""
    fields = {name: getattr(state, name) for name in _FIELDS}
    return InstanceState(**fields, applied_lsn=Lsn(state.applied_lsn), oldest_read_lsn=Lsn(state.oldest_read_lsn))


def topology(me: InstanceState, known: Mapping[str, InstanceState]) -> cpb.Topology:
    """What an instance tells: itself, and all that it knows."""
    writer = writer_of(known)
    told = cpb.Topology(instances=[to_proto(state) for state in known.values()])
    told.self.CopyFrom(to_proto(me))
    if writer is not None:
        told.writer_id, told.epoch = writer.id, writer.epoch
    return told


def states(told: Iterable[cpb.InstanceState]) -> dict[str, InstanceState]:
    """By id."""
    return {state.id: from_proto(state) for state in told}
