"""Truncation ranges: what is found by bisection is what a look at every range finds; nothing said twice costs twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_tools import VOLUME, make_node

from aurora import truncation
from aurora.rpc import storage_pb2 as pb
from aurora.sim.disk import SimDisk
from aurora.truncation import Range

many = st.lists(
    st.tuples(st.integers(1, 12), st.integers(0, 60), st.integers(0, 20)).map(lambda r: (r[0], r[1], r[1] + r[2])),
    max_size=12,
)


class Watched(list[Range]):
    """Counts the ranges that are looked at."""

    looks = 0

    def __getitem__(self, at: object) -> Range:  # type: ignore[override]
        self.looks += 1
        return super().__getitem__(at)  # type: ignore[index, no-any-return, call-overload]

    def __iter__(self) -> Iterator[Range]:
        self.looks += len(self)
        return super().__iter__()


@given(ranges=many, first=st.integers(1, 90), length=st.integers(0, 30))
@settings(max_examples=300, deadline=None)
def test_every_question_is_answered_as_by_looking_at_all(ranges: list[Range], first: int, length: int) -> None:
    wanted: list[Range] = []
    for epoch, vdl, upper in sorted(set(ranges)):
        wanted = [held for held in wanted if vdl >= held[2]]
        wanted.append((epoch, vdl, upper))
    held = truncation.effective(ranges)
    assert held == wanted == truncation.effective(held)
    last = first + length
    voided = [vdl for _, vdl, upper in held if vdl < last and first <= upper]
    assert truncation.valid_upto(held, first, last) == min([last, *voided])
    assert truncation.is_void(held, first) == any(vdl < first <= upper for _, vdl, upper in held)
    for epoch in range(14):
        assert truncation.has_epoch(held, epoch) == any(held_epoch == epoch for held_epoch, _, _ in held)


def test_an_entry_is_held_against_few_of_many_ranges() -> None:
    ranges = Watched((epoch, epoch * 1000, epoch * 1000 + 500) for epoch in range(1, 5001))
    assert truncation.valid_upto(ranges, 2_500_400, 2_500_700) == 2_500_000
    assert not truncation.is_void(ranges, 2_500_700)
    assert truncation.has_epoch(ranges, 2500)
    assert 0 < ranges.looks < 100


def test_ranges_that_are_known_are_not_weighed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    node = make_node(SimDisk())
    told = [pb.Truncation(epoch=epoch, vdl=epoch * 1000, upper=epoch * 1000 + 500) for epoch in range(1, 4)]
    node.on_gossip(pb.GossipRequest(volume_id=VOLUME, node_id="n1", volume_epoch=3, truncations=told))
    assert len(node.truncations) == 3

    def effective(_: object) -> list[Range]:
        raise AssertionError("weighed again")

    monkeypatch.setattr(truncation, "effective", effective)
    node.on_gossip(pb.GossipRequest(volume_id=VOLUME, node_id="n2", volume_epoch=3, truncations=told[:2]))
    assert len(node.truncations) == 3
