"""A writer that stood still shows nothing until the nodes have said that no other writer has opened the volume."""

from __future__ import annotations

from aurora.errors import AdminShutdown, SqlError
from compute_node.volume.doubt import PAUSE_S, Doubt


def test_beats_in_time_leave_no_doubt() -> None:
    doubt = Doubt(10.0)
    now = 10.0
    for _ in range(50):
        now += PAUSE_S * 0.9
        assert not doubt.is_late(now)
        assert not doubt.beat(now)
    assert doubt.times == 0


def test_a_late_beat_begins_one_round_of_asking() -> None:
    doubt = Doubt(10.0)
    late = 10.0 + PAUSE_S * 2
    assert doubt.is_late(late), "whoever looks first sees it, also before the beat"
    assert doubt.beat(late)
    assert not doubt.beat(late + 0.1), "it is being asked already"
    assert doubt.late_s < late, "whoever looks at the time alone sees it too"
    assert doubt.is_late(late + 0.1)
    told: list[SqlError | None] = []
    doubt.when_sure(told.append)
    assert told == []
    doubt.settle(late + 0.2)
    assert told == [None]
    assert not doubt.is_late(late + 0.2)
    doubt.settle(late + 0.3)
    assert told == [None]


def test_a_pause_while_the_nodes_are_asked_begins_a_new_one_afterwards() -> None:
    doubt = Doubt(0.0)
    assert doubt.beat(1.0)
    doubt.settle(1.1)
    assert doubt.is_late(1.2 + PAUSE_S)
    assert doubt.beat(1.2 + PAUSE_S)
    assert doubt.times == 2


def test_who_waits_is_told_when_the_writer_is_over() -> None:
    doubt = Doubt(0.0)
    assert doubt.beat(1.0)
    told: list[SqlError | None] = []
    doubt.when_sure(told.append)
    over = AdminShutdown("over")
    doubt.fail(over)
    assert told == [over]
