"""Notes: round trips, damage, and what the writer puts into the log."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora import notes
from aurora.errors import InvariantViolation
from aurora.kernels import arena as arena_kernel
from aurora.kernels import mtr as mtr_kernel
from aurora.kernels.python import arena as python_arena
from aurora.kernels.python import mtr as python_mtr
from aurora.kernels.python import redo
from aurora.kernels.python.mtr import NOTE_PG
from aurora.notes import ABORT, COMMIT, UNDO, Ended, Invalidations, Locked
from compute_node.access.memory_volume import MemoryVolume
from compute_node.access.storage import Storage
from compute_node.txn.locks import ACCESS_EXCLUSIVE, SHARE
from tests.unit.support_access import INT4, TYPES, create, describe

OIDS = st.frozensets(st.integers(1, (1 << 32) - 1), max_size=8)
XIDS = st.integers(3, (1 << 62) - 1)
INVALIDATIONS = st.builds(
    Invalidations, st.integers(0, (1 << 32) - 1), OIDS, st.dictionaries(st.integers(1, 1 << 31), OIDS, max_size=4)
)


@given(
    st.sampled_from([COMMIT, ABORT, UNDO]),
    XIDS,
    st.lists(XIDS, unique=True, max_size=9),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.none() | INVALIDATIONS,
)
def test_ends_come_back(kind: int, xid: int, subxids: list[int], time_us: int, what: Invalidations | None) -> None:
    payload = notes.encode_end(kind, xid, sorted(subxids), time_us, what)
    assert notes.decode(payload) == Ended(kind, xid, tuple(sorted(subxids)), time_us, what)
    assert notes.time_of(payload) == time_us


@given(XIDS, OIDS)
def test_locks_come_back(xid: int, relations: frozenset[int]) -> None:
    payload = notes.encode_lock(xid, relations)
    assert notes.decode(payload) == Locked(xid, tuple(sorted(relations)))
    assert notes.time_of(payload) is None


def test_a_commit_without_savepoints_is_small() -> None:
    assert len(notes.encode_end(COMMIT, 100_000, [], 850_000_000_000_000)) == 13


def test_an_unknown_section_is_passed_over() -> None:
    what = Invalidations(5, frozenset({16384}))
    payload = notes.encode_end(COMMIT, 9, [10], 77, what) + bytes((200, 3)) + b"new"
    assert notes.decode(payload) == Ended(COMMIT, 9, (10,), 77, what)


@given(st.data())
def test_a_note_that_is_cut_off_is_refused(data: st.DataObject) -> None:
    what = Invalidations(5, frozenset({16384, 16390}), {1259: frozenset({16384})})
    payload = notes.encode_end(COMMIT, 900, [901, 905], 77, what)
    whole = len(notes.encode_end(COMMIT, 900, [901, 905], 77))
    first_section = len(notes.encode_end(COMMIT, 900, [901, 905], 77, Invalidations(5, what.relations)))
    size = data.draw(st.integers(0, len(payload) - 1).filter(lambda at: at not in (whole, first_section)))
    with pytest.raises(InvariantViolation):
        notes.decode(payload[:size])


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        bytes((0x80 | 1,)) + bytes(10),  # version 0
        bytes((0x80 | 0x20 | 1,)) + bytes(10),  # version 2
        bytes((0x80 | 0x10 | 9,)) + bytes(10),  # an unknown kind
        bytes((0x10 | 1, 5, 0)),  # a commit without a time
        notes.encode_lock(5, [7]) + b"\0",  # a lock with more behind it
        notes.encode_lock(5, [])[:-1] + bytes((2, 7, 0)),  # the same relation twice
        notes.encode_lock(5, [])[:-1] + bytes((99, 7)),  # more numbers than bytes
    ],
)
def test_what_is_no_note_is_refused(payload: bytes) -> None:
    with pytest.raises(InvariantViolation):
        notes.decode(payload)


def notes_of(volume: MemoryVolume) -> list[tuple[int, Ended | Locked]]:
    volume.advance()
    return [
        (lsn, notes.decode(bytes(data[offset:end])))
        for pg, prev_lsn, _, _, _, data in volume.history
        for lsn, _, _, _, flags, offset, end in redo.scan(data, prev_lsn)
        if flags & redo.FLAG_NOTE and pg == NOTE_PG
    ]


class Writer:
    """A storage whose log is kept, and its clock."""

    def __init__(self) -> None:
        self.volume = MemoryVolume(keep_history=True)
        self.now_us = 1000
        self.storage = Storage(arena_kernel.Arena(256), self.volume, TYPES.__getitem__, lambda: self.now_us)
        self.table = create(self.storage, describe(9000, [INT4]))
        self.txns = self.storage.txns
        self.known = len(notes_of(self.volume))

    def new(self) -> list[tuple[int, Ended | Locked]]:
        """The notes since the last look."""
        found = notes_of(self.volume)[self.known :]
        self.known += len(found)
        return found


def test_a_commit_says_who_and_when_at_its_commit_lsn() -> None:
    writer = Writer()
    txn = writer.txns.begin()
    writer.table.insert(txn, (1,))
    writer.now_us = 2000
    lsn = writer.txns.commit(txn)
    assert writer.new() == [(lsn, Ended(COMMIT, txn.levels[0].xid, (), 2000))]
    reader = writer.txns.begin()
    writer.txns.snapshot(reader)
    writer.txns.commit(reader)
    assert not writer.new()


def test_savepoints_are_in_the_ends() -> None:
    writer = Writer()
    txn = writer.txns.begin()
    writer.table.insert(txn, (1,))
    top = txn.levels[0].xid
    subxids = []
    for name, undone in (("kept", False), ("undone", True), ("more", False)):
        writer.txns.savepoint(txn, name)
        writer.table.insert(txn, (2,))
        subxids.append(txn.levels[-1].xid)
        if undone:
            writer.txns.rollback_to(txn, name)
        writer.txns.release(txn, name)
    writer.txns.commit(txn)
    assert [note for _, note in writer.new()] == [
        Ended(UNDO, top, (subxids[1],), 1000),
        Ended(COMMIT, top, (subxids[0], subxids[2]), 1000),
    ]


def test_an_abort_is_told_when_there_was_something_to_undo() -> None:
    writer = Writer()
    idle, busy = writer.txns.begin(), writer.txns.begin()
    writer.table.insert(busy, (1,))
    writer.txns.abort(idle)
    writer.txns.abort(busy)
    assert [note for _, note in writer.new()] == [Ended(ABORT, busy.levels[0].xid, (), 1000)]


def test_access_exclusive_locks_are_told_before_what_they_protect() -> None:
    writer = Writer()
    locks = writer.storage.locks
    txn = writer.txns.begin()
    locks.lock_relation(txn, 9000, SHARE)
    assert not txn.own
    locks.lock_relation(txn, 9000, ACCESS_EXCLUSIVE)
    locks.lock_relation(txn, 9000, ACCESS_EXCLUSIVE)
    writer.txns.savepoint(txn, "s")
    locks.lock_relation(txn, 9001, ACCESS_EXCLUSIVE)
    top, sub = (level.xid for level in txn.levels)
    writer.txns.rollback_to(txn, "s")
    writer.txns.commit(txn)
    assert [note for _, note in writer.new()] == [
        Locked(top, (9000,)),
        Locked(top, (9001,)),  # the transaction's: a reader holds it until that ends
        Ended(UNDO, top, (sub,), 1000),
        Ended(COMMIT, top, (), 1000),
    ]


def test_a_change_of_the_catalog_is_in_the_commit() -> None:
    writer = Writer()
    txn = writer.txns.begin()
    writer.table.insert(txn, (1,))
    what = Invalidations(5, frozenset({16384}), {1259: frozenset({16384})})
    txn.tie().catalog = SimpleNamespace(invalidations=lambda: what, ended=lambda: None)
    txn.catalog_changed = True
    writer.txns.commit(txn)
    ((_, note),) = writer.new()
    assert isinstance(note, Ended) and note.invalidations == what


@pytest.mark.parametrize("mtr", [python_mtr, mtr_kernel])
def test_notes_count_for_the_size_of_a_mini_transaction(mtr: Any) -> None:
    log = mtr.RedoLog(4096, 0, 512, {})
    edit = mtr.Mtr(arena_kernel.Arena(4) if mtr is mtr_kernel else python_arena.Arena(4), log)
    with pytest.raises(InvariantViolation, match="mini-transaction exceeds"), edit:
        edit.note(bytes(1 << 19))
        edit.note(bytes(1 << 19))
        edit.note(b"more")
    assert log.next_lsn == 4096
