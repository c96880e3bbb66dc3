"""The volume as a reader instance sees it: pages at the applied point, and no log of its own.

It is a ``Volume`` that is never opened for writing: its VDL is the applied LSN, which the replica stream moves, and it
reads from the same six copies by the same page reads. A reader does not know the SCLs of the nodes: it asks the
fastest, and one that does not cover the read point says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from aurora.errors import ReadOnlySqlTransaction
from aurora.geometry import Descriptor
from aurora.ids import Lsn
from aurora.kernels import mtr
from compute_node.volume.recovery import Recovered
from compute_node.volume.volume import Volume

ANY_SCL = (1 << 64) - 1


class ReplicaVolume(Volume):
    """``vdl``: what is applied. ``pg_last``: each protection group's last LSN up to there; kept by ``ApplyCore``."""

    def __init__(self, descriptor: Descriptor, reader_id: str, vdl: Lsn, epoch: int, pg_last: dict[int, int]) -> None:
        super().__init__(descriptor, reader_id)
        self.recovered = Recovered(epoch, vdl, Lsn(vdl + 1), pg_last, frozenset(), True, {}, descriptor)
        self.vdl = vdl
        self.log = mtr.RedoLog(vdl + 1, vdl, descriptor.pages_per_pg, {})
        self.background(self._housekeeping())

    def applied(self, lsn: Lsn) -> None:
        """The pages in the cache, and those read from now on, are of ``lsn``."""
        log = self.log
        log.next_lsn, log.last_lsn, log.last_cpl = Lsn(lsn + 1), lsn, lsn  # what there is to see ends here
        self._advance(lsn)

    def follow(self, epoch: int, descriptor: Descriptor | None = None) -> None:
        """The writer has this epoch; the volume is as it says."""
        if epoch != self.recovered.epoch:
            self.recovered = replace(self.recovered, epoch=epoch)
        if descriptor is not None and descriptor != self.descriptor:
            self.descriptor = descriptor
            self._meet(descriptor.nodes)

    def begin_anew(self, vdl: Lsn, pg_last: Mapping[int, int]) -> None:
        """The stream begins again at ``vdl``: what was read before is of another point."""
        self.recovered.pg_last.clear()
        self.recovered.pg_last.update(pg_last)
        self.applied(vdl)

    def scl(self, pg: int, index: int) -> int:
        """Nobody tells a reader: each node is asked."""
        return ANY_SCL

    def reserve(self, nbytes: int) -> None:
        """A reader logs nothing: 25006."""
        raise ReadOnlySqlTransaction("cannot write to the volume during recovery")

    def ensure_pages(self, upto_page: int) -> None:
        """See ``reserve``."""
        self.reserve(0)

    @property
    def state(self) -> str:
        """In a word."""
        return "following"
