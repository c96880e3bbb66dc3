"""Faults on purpose of a storage node: whom they meet, for how long, and that what is delayed keeps its order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aurora import batch
from aurora.rpc import storage_pb2 as pb
from storage_node.faults import REFUSAL, Faults, groups_of
from storage_node.late import HELD_BYTES_MAX, LateAppends

VOLUME = bytes(16)


class World:
    """A clock, and numbers that come as told."""

    def __init__(self, *chances: float) -> None:
        self.now_s = 100.0
        self.chances = list(chances)
        self.faults = Faults(lambda: self.now_s, lambda: self.chances.pop(0) if self.chances else 0.0)

    def inject(self, **fields: Any) -> None:
        fields = {"share": 1.0, "duration_ms": 5000} | fields
        self.faults.inject(pb.InjectRequest(**fields))


def test_a_fault_meets_what_it_names_for_its_time() -> None:
    world = World()
    assert not world.faults.found
    world.inject(pg=3, refuse=True)
    assert world.faults.found
    assert world.faults.verdict([1, 2]) == 0.0
    assert world.faults.verdict([2, 3]) is None
    assert "refuses 100% of requests for protection group 3 for 5 s" in world.faults.note
    world.now_s += 4.9
    assert world.faults.verdict([3]) is None
    world.now_s += 0.1
    assert world.faults.verdict([3]) == 0.0
    assert not world.faults.found
    assert world.faults.note == ""


def test_a_fault_of_the_node_meets_every_group_and_a_share_of_requests() -> None:
    world = World(0.5, 0.49)
    world.inject(share=0.5, refuse=True)
    assert world.faults.verdict([7]) == 0.0
    assert world.faults.verdict([7]) is None


def test_a_delay_lies_between_its_bounds() -> None:
    world = World(0.0, 0.25)
    world.inject(delay_min_us=20_000, delay_max_us=60_000)
    assert world.faults.verdict([0]) == pytest.approx(0.03)


def test_a_fault_replaces_one_of_its_kind_and_zero_ends_it() -> None:
    world = World()
    world.inject(refuse=True)
    world.inject(delay_min_us=0, delay_max_us=1000)
    world.inject(refuse=True, share=0)
    assert world.faults.verdict([0]) == 0.0, "what is left delays, by the least as chance has it"
    assert world.faults.found
    world.inject(duration_ms=0)
    assert not world.faults.found


@pytest.mark.parametrize(
    "fields",
    [
        {"share": 1.5},
        {"share": float("nan")},
        {"duration_ms": 86_400_001},
        {"delay_min_us": 2, "delay_max_us": 1},
        {"delay_max_us": 200_000},
    ],
)
def test_numbers_that_make_no_sense_are_refused(fields: dict[str, Any]) -> None:
    world = World()
    with pytest.raises(ValueError, match="no such fault"):
        world.inject(**fields)
    assert not world.faults.found


def _log(pg: int, lsn: int) -> bytes:
    return batch.encode(VOLUME, 1, (pg, lsn - 1, lsn, lsn, 0, b"records"))


def test_the_groups_of_an_append_are_read_from_its_batches() -> None:
    assert groups_of(_log(4, 20) + _log(9, 30)) == {4, 9}
    assert groups_of(_log(4, 20) + b"no batch") == {4}
    assert groups_of(b"") == set()


class Stream:
    """Answers of one stream, and what was staged."""

    def __init__(self) -> None:
        self.answers: list[pb.AppendReply] = []

    def put(self, reply: pb.AppendReply) -> None:
        self.answers.append(reply)


def test_delayed_appends_keep_their_order() -> None:
    async def body() -> None:
        world = World(0.0, 1.0, 0.0, 0.0)  # the first waits 20 ms, the second none: it waits for the first
        staged: list[int] = []
        flushed: list[list[int]] = []
        late = LateAppends(
            world.faults, lambda request, _: staged.append(request.sequence), lambda: flushed.append(list(staged))
        )
        stream = Stream()
        assert not late.takes(pb.AppendRequest(sequence=1), stream), "no fault"
        world.inject(delay_min_us=0, delay_max_us=20_000)
        assert late.takes(pb.AppendRequest(sequence=2, batches=_log(0, 20)), stream)
        assert late.takes(pb.AppendRequest(sequence=3, batches=_log(0, 30)), stream)
        world.inject(delay_min_us=0, delay_max_us=20_000, share=0)
        assert late.takes(pb.AppendRequest(sequence=4, batches=_log(0, 40)), stream), "others wait before it"
        assert staged == []
        async with asyncio.timeout(10):
            while len(staged) < 3:
                await asyncio.sleep(0.001)
        assert staged == [2, 3, 4]
        assert flushed[-1] == [2, 3, 4]
        assert not late.takes(pb.AppendRequest(sequence=5), stream)
        assert stream.answers == []

    asyncio.run(body())


def test_refused_appends_and_those_too_many_are_answered_with_an_error() -> None:
    async def body() -> None:
        world = World()
        late = LateAppends(world.faults, lambda request, _: None, lambda: None)
        stream = Stream()
        world.inject(refuse=True)
        assert late.takes(pb.AppendRequest(sequence=8), stream)
        world.inject(refuse=True, share=0)
        world.inject(delay_min_us=100_000, delay_max_us=100_000)
        assert late.takes(pb.AppendRequest(sequence=9, batches=bytes(HELD_BYTES_MAX)), stream)
        assert late.takes(pb.AppendRequest(sequence=10, batches=b"x"), stream)
        assert [(reply.sequence, reply.error) for reply in stream.answers] == [(8, REFUSAL), (10, REFUSAL)]

    asyncio.run(body())
