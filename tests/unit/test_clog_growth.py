"""The commit log's growth, cut off by a restart after each of its mini-transactions."""

from __future__ import annotations

from typing import Any

from aurora.kernels import mtr as mtr_kernel
from aurora.kernels import redo
from compute_node.access.memory_volume import MemoryVolume
from tests.unit.support_access import make_storage, run_greenlets


def _grow(storage: Any, ranges: int) -> None:
    """Use up xid ranges; a transaction at the begin of each one commits."""
    for _ in range(ranges):
        storage.txns.next_xid = storage.superblock.xid_limit
        txn = storage.txns.begin()
        storage.txns.assign(txn)
        storage.txns.commit(txn)


def _cut_off(volume: MemoryVolume, lsn: int) -> MemoryVolume:
    """What a writer finds that starts after the log was lost above ``lsn``."""
    volume.advance(lsn)
    found = MemoryVolume()
    found.pages = volume.pages
    found.vdl = volume.vdl
    found.log = mtr_kernel.RedoLog(volume.log.next_lsn + 1000, volume.vdl, 512, {})
    return found


def test_the_log_ends_anywhere_in_the_growth_of_the_commit_log() -> None:
    def scenario() -> None:
        whole = MemoryVolume(auto=False, keep_history=True)
        storage = make_storage(whole)
        _grow(storage, 3)
        whole.advance()
        points = sorted(
            {
                at
                for _, prev, _, _, _, data in whole.history
                for at, _, _, _, flags, _, _ in redo.scan(data, prev)
                if flags & 1
            }
        )
        assert len(points) > 20
        for point in points:
            volume = MemoryVolume(auto=False)
            _grow(make_storage(volume), 3)
            reopened = make_storage(_cut_off(volume, point))
            _grow(reopened, 3)
            txn = reopened.txns.begin()
            for _ in range(2):
                xid = reopened.txns.assign(txn)
                reopened.txns.savepoint(txn, "s")
            reopened.txns.abort(txn)
            assert reopened.txns.is_aborted(xid)
            reopened.volume.advance()
            again = make_storage(reopened.volume)
            assert again.txns.is_aborted(xid)

    run_greenlets(scenario)
