"""Who the instances of the cluster are, as this one knows it: what status, endpoints and clients' drivers ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from aurora.ids import NO_LSN, Lsn

WRITER: Final = "writer"
READER: Final = "reader"
LAG_UNKNOWN: Final = -1


@dataclass(frozen=True, slots=True)
class InstanceState:
    """One instance. ``sql_address`` and ``feed_address``: HOST:PORT; ``lag_us`` of a reader in µs, -1 unknown and on
    the writer; ``session_id``: a UUID of this life of the process; times in µs since 2000-01-01 UTC. ``state``:
    "starting", "available", "promoting" or "disconnected"."""

    id: str
    role: str
    sql_address: str = ""
    feed_address: str = ""
    state: str = "available"
    promotion_tier: int = 1
    applied_lsn: Lsn = NO_LSN
    oldest_read_lsn: Lsn = NO_LSN
    lag_us: int = LAG_UNKNOWN
    session_id: str = ""
    last_update_us: int = 0
    cpu_percent: float = 0.0
    epoch: int = 0
    started_us: int = 0
    feed_bytes: int = 0
    stream_port: int = 0


class TopologySource(Protocol):
    """What an engine asks of the instance that it runs in."""

    @property
    def self_id(self) -> str:
        """This instance's id."""

    def instances(self) -> Iterable[InstanceState]:
        """All known instances, this one among them; at most one of them a writer."""

    def lag_of(self, instance_id: str) -> int:
        """Its replica lag in µs, -1 unknown."""


def writer_of(instances: Mapping[str, InstanceState]) -> InstanceState | None:
    """The writer: of several that say so, the one with the highest epoch."""
    return max((each for each in instances.values() if each.role == WRITER), key=lambda each: each.epoch, default=None)
