"""The batch frame: round trip, split, clip, and every kind of damage refused."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from storage_tools import VOLUME, Writer

from aurora import batch
from aurora.kernels import redo


@given(st.integers(0, 2**32), st.integers(1, 60), st.sampled_from([0, 200, 1 << 30]))
def test_round_trip(seed: int, edits: int, compress_from: int) -> None:
    writer = Writer(random.Random(seed), pages=130)
    runs = [run for _ in range(2) for run in writer.runs(edits)]
    data = b"".join(batch.encode(VOLUME, 3, run, compress_from) for run in runs)
    found = batch.split(data)
    assert [b.run for b in found] == runs
    assert all(b.volume_id == VOLUME and b.epoch == 3 for b in found)


@given(st.integers(0, 2**32), st.data())
def test_any_flipped_bit_is_noticed(seed: int, data: st.DataObject) -> None:
    frame = bytearray(Writer(random.Random(seed)).frames(20)[0])
    at = data.draw(st.integers(0, len(frame) * 8 - 1))
    frame[at // 8] ^= 1 << at % 8
    with pytest.raises(batch.BatchCorrupt):
        batch.split(bytes(frame))


def test_cut_frames_are_refused() -> None:
    frame = Writer(random.Random(1)).frames(20)[0]
    for length in (1, 40, 79, 80, len(frame) - 1):
        with pytest.raises(batch.BatchCorrupt):
            batch.split(frame[:length])
        with pytest.raises(batch.BatchCorrupt):
            batch.split(frame + frame[:length])


def test_large_runs_are_compressed() -> None:
    ops = b"\0" * 0 + bytes([12 << 2 & 0x7F, 0])
    record = redo.encode_record(16, 0, 0, 5, 0, ops, redo.FLAG_CPL)
    run = (0, 0, 16, 16, 16, record)
    assert batch.split(batch.encode(VOLUME, 1, run))[0].flags == 0
    big = (0, 0, 16, 16, 16, redo.encode_record(16, 0, 0, redo.NO_PAGE, 0, b"x" * 5000, redo.FLAG_NOTE | redo.FLAG_CPL))
    frame = batch.encode(VOLUME, 1, big)
    assert len(frame) < 300
    assert batch.split(frame)[0].records == big[5]


def test_clip_keeps_whole_records() -> None:
    writer = Writer(random.Random(2))
    whole = batch.split(writer.frames(10)[0])[0]
    lsns = writer.lsns[0]
    assert batch.clip(whole, lsns[-1]) is whole
    assert batch.clip(whole, lsns[0] - 1) is None
    for upto in (lsns[4], lsns[5] - 1):
        part = batch.clip(whole, upto)
        assert part is not None
        assert (part.first_lsn, part.last_lsn, part.last_cpl) == (lsns[0], lsns[4], lsns[4])
        assert whole.records.startswith(part.records)
        assert [r[0] for r in redo.scan(part.records, part.prev_lsn)] == lsns[:5]
