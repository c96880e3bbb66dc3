"""Quorum arithmetic against the papers' examples and a naive model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora.errors import InvariantViolation
from aurora.quorum import READ_QUORUM, WRITE_QUORUM, AllOf, AnyOf, QuorumTracker, Threshold


def test_figure_3_of_the_2018_paper() -> None:
    tracker = QuorumTracker(start=100)
    for lsn in range(101, 108):
        tracker.append(1 if lsn % 2 else 2, lsn, lsn, lsn)
    for segment in range(6):
        tracker.ack(1, segment, 103 if segment >= 3 else 107)
        tracker.ack(2, segment, 104 if segment >= 3 else 106)
    assert (tracker.pgcl(1), tracker.pgcl(2), tracker.vcl) == (103, 104, 104)


def test_durable_lsn_of_the_2017_paper() -> None:
    tracker = QuorumTracker(start=899)
    for lsn in range(900, 1101):
        tracker.append(0, lsn, lsn, lsn if lsn in (900, 1000, 1100) else 0)
    for segment in range(4):
        tracker.ack(0, segment, 1007)
    assert (tracker.vcl, tracker.vdl) == (1007, 1000)
    assert tracker.pg_durable == {0: 1000}


def test_a_flush_over_two_groups_counts_as_a_whole() -> None:
    tracker = QuorumTracker()
    tracker.append_group([(0, 16, 90, 20), (1, 30, 100, 100)])
    for segment in range(4):
        assert not tracker.ack(0, segment, 90)
    assert (tracker.vcl, tracker.vdl, tracker.pg_durable) == (0, 0, {})
    assert [tracker.ack(1, segment, 100) for segment in range(4)] == [False, False, False, True]
    assert (tracker.vcl, tracker.vdl, tracker.pg_durable) == (100, 100, {0: 90, 1: 100})


def test_append_must_go_up_and_end_in_a_consistency_point() -> None:
    tracker = QuorumTracker(start=50)
    with pytest.raises(InvariantViolation):
        tracker.append(0, 50, 60, 60)
    with pytest.raises(InvariantViolation):
        tracker.append(0, 51, 60, 55)
    tracker.append(0, 51, 60, 60)
    with pytest.raises(InvariantViolation):
        tracker.append(1, 60, 70, 70)


def test_expressions_of_a_membership_change() -> None:
    old, new = Threshold(4, (0, 1, 2, 3, 4, 5)), Threshold(4, (0, 1, 2, 3, 4, 6))
    write, read = AllOf((old, new)), AnyOf((Threshold(3, old.segments), Threshold(3, new.segments)))
    assert write.satisfied(0b0001111)
    assert not write.satisfied(0b0100111)
    assert write.satisfied(0b1100111)
    assert read.satisfied(0b1000011) and not read.satisfied(0b1100001)
    scls = [9, 8, 7, 0, 0, 6, 5]
    assert (old.reached(scls), new.reached(scls), write.reached(scls)) == (6, 5, 5)
    assert read.reached(scls) == 7
    tracker = QuorumTracker(quorum_of=lambda pg: write, nodes=7)
    tracker.append(0, 1, 5, 5)
    for segment in (0, 1, 2, 5):
        assert not tracker.ack(0, segment, 5)
    assert tracker.ack(0, 6, 5)


@given(st.lists(st.integers(0, 20), min_size=6, max_size=6))
def test_reached_is_what_satisfied_says(scls: list[int]) -> None:
    for quorum in (WRITE_QUORUM, READ_QUORUM):
        reached = quorum.reached(scls)
        assert quorum.satisfied(sum(1 << i for i, scl in enumerate(scls) if scl >= reached))
        assert not quorum.satisfied(sum(1 << i for i, scl in enumerate(scls) if scl > reached))


@st.composite
def histories(draw: st.DrawFn) -> list[tuple]:
    lsn, out = 0, []
    ends: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for _ in range(draw(st.integers(1, 40))):
        if draw(st.booleans()):
            pgs = draw(st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True))
            has_cpl = draw(st.booleans())
            first = {pg: lsn + 1 + i for i, pg in enumerate(pgs)}
            lsn += len(pgs)
            last = {pg: lsn + 1 + i for i, pg in enumerate(pgs)}
            lsn += len(pgs)
            out.append(("append", [(pg, first[pg], last[pg], lsn if has_cpl and last[pg] == lsn else 0) for pg in pgs]))
            for pg in pgs:
                ends[pg].append(last[pg])
        else:
            pg = draw(st.integers(0, 2))
            if ends[pg]:
                out.append(("ack", pg, draw(st.integers(0, 5)), draw(st.sampled_from(ends[pg]))))
    return out


@given(histories())
def test_against_a_naive_model(history: list[tuple]) -> None:
    tracker, groups, scls = QuorumTracker(), [], {pg: [0] * 6 for pg in range(3)}
    for step in history:
        if step[0] == "append":
            groups.append(step[1])
            tracker.append_group(step[1])
        else:
            _, pg, segment, scl = step
            before = tracker.vdl
            assert tracker.ack(pg, segment, scl) == (tracker.vdl > before)
            scls[pg][segment] = max(scl, scls[pg][segment])
        pgcl = {pg: sorted(values)[2] for pg, values in scls.items()}
        vcl = vdl = 0
        for runs in groups:
            if any(last > pgcl[pg] for pg, _, last, _ in runs):
                break
            vcl = max(last for _, _, last, _ in runs)
            vdl = max([vdl] + [cpl for *_, cpl in runs])
        assert (tracker.vcl, tracker.vdl) == (vcl, vdl)
        assert all(tracker.pgcl(pg) == pgcl[pg] for pg in pgcl)
        durable = {
            pg: max((last for runs in groups for p, _, last, _ in runs if p == pg and last <= vdl), default=0)
            for pg in pgcl
        }
        assert all(tracker.pg_durable.get(pg, 0) == durable[pg] for pg in pgcl)
