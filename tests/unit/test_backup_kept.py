"""Runs of log that is kept for the backup: whatever the order in which batches came, what is read is the chain."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from aurora import batch
from aurora.sim.disk import SimDisk
from storage_node import backup_kept
from storage_node.backup_kept import KeptDamaged, KeptLog
from storage_node.hot_log import HotLog

VOLUME = b"volume-of-a-test"


def _kept(file_bytes: int = 600) -> tuple[KeptLog, HotLog, SimDisk]:
    disk = SimDisk()
    log = HotLog(disk, file_bytes, 1 << 20)
    return KeptLog(disk, log), log, disk


def _keep(kept: KeptLog, log: HotLog, pg: int, lsn: int, size: int = 20) -> None:
    """The batch of one record that follows the PG's record of the LSN before."""
    frame = batch.encode(VOLUME, 1, (pg, lsn - 1, lsn, lsn, lsn, bytes(size)))
    entries = log.append([batch.decode(frame)])
    kept.add(entries[0])
    log.release(entries)


def _read(kept: KeptLog, pg: int, after_lsn: int) -> list[int]:
    found = []
    for run in kept.of(pg):
        if run.last_lsn > after_lsn:
            found += [held.last_lsn for held in kept.read(run, after_lsn)]
    return found


def _consistent(kept: KeptLog, log: HotLog) -> None:
    runs = [run for pg in (0, 1) for run in kept.of(pg)]
    assert kept.bytes == sum(run.length for run in runs)
    assert log.held == {run.file_no for run in runs} == set(kept.files())
    assert (kept.index_bytes == 0) == (not runs)


@given(st.data())
def test_batches_come_back_in_chain_order_each_once(data: st.DataObject) -> None:
    kept, log, _ = _kept()
    order = data.draw(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 30)), max_size=90))  # with copies
    for pg, lsn in order:
        _keep(kept, log, pg, lsn, data.draw(st.sampled_from((20, 3_000))))
        if data.draw(st.booleans()):
            log.collect()
        _consistent(kept, log)
    held = {pg: sorted({lsn for at, lsn in order if at == pg}) for pg in (0, 1)}
    for pg, lsns in held.items():
        after = data.draw(st.integers(0, 30))
        assert _read(kept, pg, after) == [lsn for lsn in lsns if lsn > after]
    staged = data.draw(st.integers(0, 30))
    kept.drop(0, staged)
    left = _read(kept, 0, 0)
    assert [lsn for lsn in left if lsn > staged] == [lsn for lsn in held[0] if lsn > staged]
    _consistent(kept, log)
    for number in kept.files():
        names = {(run.pg, run.last_lsn) for pg in (0, 1) for run in kept.of(pg) if run.file_no == number}
        assert kept.give_up(number) == {pg: max(lsn for at, lsn in names if at == pg) for pg in {pg for pg, _ in names}}
        _consistent(kept, log)
    log.roll()
    log.collect()
    assert not log.files()


@given(st.integers(0, 1 << 32))
def test_only_what_is_damaged_is_lost_when_a_file_is_left(seed: int) -> None:
    rng = random.Random(seed)
    kept, log, disk = _kept(2_000)
    for lsn in range(1, 60):
        _keep(kept, log, rng.randrange(2), lsn)
    log.sync()
    number = rng.choice(kept.files())
    run = rng.choice([run for pg in (0, 1) for run in kept.of(pg) if run.file_no == number])
    offset = rng.choice(run.offsets)
    lost = batch.decode(disk.read(f"log-{number:08d}", offset, 1_000)).last_lsn
    before = _read(kept, 0, 0) + _read(kept, 1, 0)
    disk.flip_bit(f"log-{number:08d}", offset + rng.randrange(100))
    if log.is_current(number):
        log.roll()
    told: list[KeptDamaged] = []
    while number in log.held:
        told += kept.evacuate(number, 1)
    assert len(told) == 1
    assert told[0].file_no == number
    assert sorted(_read(kept, 0, 0) + _read(kept, 1, 0)) == sorted(lsn for lsn in before if lsn != lost)
    _consistent(kept, log)
    log.collect()
    assert number not in log.files()


def test_runs_are_bounded() -> None:
    kept, log, _ = _kept(1 << 30)
    for lsn in range(1, 1_000):
        _keep(kept, log, 0, lsn)
    assert [len(run.offsets) for run in kept.of(0)] == [backup_kept.RUN_ENTRIES] * 3 + [231]
    for lsn in range(1_000, 1_004):
        _keep(kept, log, 1, lsn, backup_kept.RUN_BYTES // 2)
    assert max(run.length for run in kept.of(1)) < 2 * backup_kept.RUN_BYTES
