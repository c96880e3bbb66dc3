"""The writer core: what goes to whom, and what is durable."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora import batch as batches
from aurora.errors import InvariantViolation
from aurora.geometry import Member
from aurora.kernels import mtr, redo
from aurora.placement import initial
from compute_node.volume.durable import DurableQueue
from compute_node.volume.recovery import LAL_BYTES, Recovered
from compute_node.volume.writer_core import WriterCore

VOLUME = b"v" * 16
MEMBERS = [Member(f"n{i}", f"az{i // 2}", f"n{i}:1") for i in range(6)]
DESCRIPTOR = initial(VOLUME, MEMBERS, 4, groups=3)
START = Recovered(1, 0, 16, {}, frozenset(), False, {}, DESCRIPTOR)


def build(sequence: int, data: bytes, vdl: int, pgmrpl: int) -> bytes:
    return b"%d %d %d " % (sequence, vdl, pgmrpl) + data


def parts(message: bytes) -> tuple[int, int, list[batches.Batch]]:
    sequence, vdl, _, data = message.split(b" ", 3)
    return int(sequence), int(vdl), batches.split(data)


class Rig:
    def __init__(self, **settings: int) -> None:
        self.core = WriterCore(VOLUME, START, build, **settings)
        self.log = mtr.RedoLog(16, 0, 4, {})

    def commit(self, page: int = 0, ops: bytes = b"\0\1x") -> int:
        lsn = self.log.append(page, 0, ops, redo.FLAG_CPL)
        self.core.flush(self.log.take())
        return lsn

    def connect(self, *nodes: int) -> None:
        for node in nodes:
            self.core.on_connected(node, {})
            message = self.core.next_message(node)
            if message is not None:
                self.ack(node, message)

    def ack(self, node: int, message: bytes) -> bool:
        sequence, _, found = parts(message)
        return self.core.on_ack(node, sequence, [(batch.pg, batch.last_lsn) for batch in found])


def test_the_same_bytes_go_to_all_and_four_acks_make_it_durable() -> None:
    rig = Rig()
    rig.connect(*range(6))
    lsn = rig.commit()
    messages = [rig.core.next_message(node) for node in range(6)]
    assert all(message is messages[0] for message in messages)
    assert [rig.ack(node, message) for node, message in enumerate(messages) if message] == [False] * 3 + [True] + [
        False
    ] * 2
    assert rig.core.vdl == lsn
    assert rig.core.retained_bytes == 0


def test_a_slow_node_gathers_and_slows_nobody() -> None:
    rig = Rig()
    rig.connect(*range(6))
    slow = None
    for turn in range(5):
        lsn = rig.commit()
        for node in range(5):
            message = rig.core.next_message(node)
            assert message is not None
            rig.ack(node, message)
        assert rig.core.vdl == lsn
        message = rig.core.next_message(5)
        assert (message is None) == bool(turn)
        slow = slow or message
    assert slow is not None and rig.core.retained_bytes
    rig.ack(5, slow)
    message = rig.core.next_message(5)
    assert message is not None and len(parts(message)[2]) == 4
    rig.ack(5, message)
    assert rig.core.retained_bytes == 0 and not rig.core.lagging(5)


def test_beyond_its_bound_the_queue_forgets_what_is_durable_and_the_node_is_behind() -> None:
    rig = Rig(retained_bytes_max=1000)
    rig.connect(*range(6))
    first = None
    for _ in range(20):
        rig.commit(ops=b"\0\x64" + b"x" * 100)
        for node in range(5):
            message = rig.core.next_message(node)
            assert message is not None
            rig.ack(node, message)
        first = first or rig.core.next_message(5)
    assert rig.core.retained_bytes <= 1200
    link = rig.core.links[5]
    assert link.behind and first is not None
    sequence, _, found = parts(first)
    rig.core.on_ack(5, sequence, [(0, found[0].last_lsn)])
    message = rig.core.next_message(5)
    assert message is not None
    rig.core.on_ack(5, parts(message)[0], [(0, found[0].last_lsn)])
    assert rig.core.lagging(5) and rig.core.lag_bytes(5) > 1000
    rig.core.on_scls(5, [(0, rig.core.tracker.appended)])
    assert not rig.core.lagging(5)


def test_what_is_not_durable_is_kept_whatever_its_size_and_sent_again() -> None:
    rig = Rig(retained_bytes_max=500)
    rig.connect(0, 1, 2)
    lsns = [rig.commit(ops=b"\0\x64" + b"x" * 100) for _ in range(20)]
    for node in range(3):
        message = rig.core.next_message(node)
        assert message is not None
        rig.ack(node, message)
        while (message := rig.core.next_message(node)) is not None:
            rig.ack(node, message)
    assert rig.core.vdl == 0 and rig.core.undurable
    rig.core.on_connected(3, {0: lsns[9]})
    message = rig.core.next_message(3)
    assert message is not None
    assert [batch.last_lsn for batch in parts(message)[2]] == lsns[10:]
    assert rig.ack(3, message)
    assert rig.core.vdl == lsns[-1]


def test_refusals_fence_when_no_quorum_is_left() -> None:
    rig = Rig()
    rig.connect(*range(6))
    rig.commit()
    for node in range(3):
        assert not rig.core.fenced_by()
        assert rig.core.next_message(node) is not None
        rig.core.on_ack(node, 1, [], refused_epoch=7)
        assert rig.core.next_message(node) is None
    assert rig.core.fenced_by() == 7


def test_idle_nodes_are_told_the_vdl_once() -> None:
    rig = Rig()
    rig.connect(*range(6))
    rig.commit()
    for node in range(6):
        message = rig.core.next_message(node)
        assert message is not None
        rig.ack(node, message)
    rig.core.nudge_idle()
    for node in range(6):
        message = rig.core.next_message(node)
        assert message is not None
        assert parts(message)[1:] == (rig.core.vdl, [])
        rig.ack(node, message)
    rig.core.nudge_idle()
    assert all(rig.core.next_message(node) is None for node in range(6))


def test_no_lsn_above_the_limit() -> None:
    rig = Rig()
    rig.log.next_lsn = LAL_BYTES + (2 << 20)
    with pytest.raises(InvariantViolation):
        rig.commit()
    fresh = WriterCore(VOLUME, Recovered(2, 50, 12_000_000, {0: 50}, frozenset(), False, {}, DESCRIPTOR), build)
    assert fresh.lsn_limit == 11_999_999 + LAL_BYTES


@given(st.lists(st.integers(1, 30), max_size=40), st.lists(st.integers(1, 30), max_size=10))
def test_durable_queue_calls_in_order_and_once(lsns: list[int], vdls: list[int]) -> None:
    queue, called = DurableQueue(), []
    for lsn in lsns:
        queue.add(lsn, lambda error, lsn=lsn: called.append(lsn))
    for vdl in sorted(vdls):
        queue.advance(vdl)
        assert called == sorted(lsn for lsn in lsns if lsn <= vdl)


def test_the_status_of_a_node_under_another_epoch_counts_for_nothing() -> None:
    rig = Rig()
    rig.connect(*range(6))
    lsn = rig.commit()
    assert not any(rig.core.on_polled(node, 2, 1, {0: lsn + 1000}) for node in range(6))
    assert rig.core.vdl == 0
    assert [rig.core.on_polled(node, 1, 1, {0: lsn}) for node in range(4)] == [False, False, False, True]
