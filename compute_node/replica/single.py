"""The topology of an instance that stands alone: one writer, which is this one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aurora.ids import Lsn
from compute_node.replica.topology import LAG_UNKNOWN, WRITER, InstanceState


class SingleInstance:
    """A ``TopologySource``. ``session_id``: a UUID of this life of the process; ``vdl``, ``now_us`` (µs since
    2000-01-01 UTC) and ``cpu_percent`` tell how things are when somebody asks."""

    def __init__(
        self,
        instance_id: str,
        session_id: str,
        vdl: Callable[[], Lsn],
        now_us: Callable[[], int],
        cpu_percent: Callable[[], float] = lambda: 0.0,
        epoch: Callable[[], int] = lambda: 0,
    ) -> None:
        self.sql_address = ""
        self._id, self._session_id = instance_id, session_id
        self._vdl, self._now_us, self._cpu_percent, self._epoch = vdl, now_us, cpu_percent, epoch
        self._started_us = now_us()

    @property
    def self_id(self) -> str:
        """See ``TopologySource``."""
        return self._id

    def instances(self) -> Iterable[InstanceState]:
        """See ``TopologySource``."""
        vdl = self._vdl()
        yield InstanceState(
            id=self._id,
            role=WRITER,
            sql_address=self.sql_address,
            applied_lsn=vdl,
            oldest_read_lsn=vdl,
            session_id=self._session_id,
            last_update_us=self._now_us(),
            cpu_percent=self._cpu_percent(),
            epoch=self._epoch(),
            started_us=self._started_us,
        )

    def lag_of(self, instance_id: str) -> int:
        """See ``TopologySource``: a writer has none."""
        return LAG_UNKNOWN
