"""The wire format of a range of pages: what is read is what is taken, and no wrong bit gets through."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_tools import PAGES_PER_PG, VOLUME, StepClock, Writer, append, make_node

from aurora.errors import InvariantViolation
from aurora.page import PAGE_BYTES
from aurora.rpc import storage_pb2 as pb
from aurora.sim.disk import SimDisk
from storage_node.heap import keep_buffers
from storage_node.node import Refused
from storage_node.page_range import RangeRead, open_reply, unsound
from storage_node.page_store import seal

NAME = "pages-3"


def _sealed(rng: random.Random, lsn: int, index: int) -> bytes:
    page = bytearray(rng.randbytes(PAGE_BYTES))
    page[:8] = lsn.to_bytes(8, "little")
    page[8:12] = bytes(4)
    return seal(page, 3, index)


def _stored(rng: random.Random, count: int) -> tuple[SimDisk, dict[int, bytes]]:
    """A page file with holes, its last page written."""
    disk, pages = SimDisk(), {}
    for index in range(count):
        if index == count - 1 or rng.random() < 0.6:
            pages[index] = _sealed(rng, 100 + index, index)
            disk.write(NAME, index * PAGE_BYTES, pages[index])
    return disk, pages


def _exchange(disk: SimDisk, first: int, count: int, end: int) -> tuple[pb.FetchRangeRequest, pb.FetchRangeReply]:
    request = pb.FetchRangeRequest(volume_id=VOLUME, pg=3, first=first, count=count, floor_lsn=50)
    reply = RangeRead(NAME, 3, first, count, end, collected_lsn=90, collected_cpl=80, floor_lsn=lambda: 70).reply(disk)
    return request, pb.FetchRangeReply.FromString(reply.SerializeToString())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 12), st.integers(1, 12))
def test_round_trip(seed: int, first: int, count: int) -> None:
    disk, pages = _stored(random.Random(seed), 10)
    request, reply = _exchange(disk, first, count, 10)
    found: dict[int, bytes] = {}
    for start, data in open_reply(request, reply):
        assert not unsound(data, 3, start)
        for at in range(len(data) // PAGE_BYTES):
            found[start + at] = data[at * PAGE_BYTES : (at + 1) * PAGE_BYTES]
    assert found == {index: page for index, page in pages.items() if first <= index < first + count}
    assert (reply.end, reply.collected_lsn, reply.collected_cpl) == (10, 90, 80)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_no_wrong_bit_gets_through(seed: int) -> None:
    rng = random.Random(seed)
    disk, _ = _stored(rng, 6)
    request, reply = _exchange(disk, 0, 6, 6)
    encoded = bytearray(reply.SerializeToString())
    encoded[rng.randrange(len(encoded))] ^= 1 << rng.randrange(8)
    try:
        changed = pb.FetchRangeReply.FromString(bytes(encoded))
    except Exception as error:  # protobuf's own DecodeError, in whatever class this version has
        assert "pars" in str(error).lower() or "decod" in type(error).__name__.lower()  # noqa: PT017
        return
    if changed != reply:
        with pytest.raises(InvariantViolation):
            open_reply(request, changed)


@pytest.mark.parametrize(("offset", "bit"), [(0, 0), (9, 3), (11, 7), (12, 0), (5000, 2), (8191, 7)])
def test_a_page_that_rotted_at_its_source_is_found(offset: int, bit: int) -> None:
    disk, pages = _stored(random.Random(1), 8)
    index = sorted(pages)[1]
    disk.flip_bit(NAME, index * PAGE_BYTES + offset, bit)
    request, reply = _exchange(disk, 0, 8, 8)
    bad = [start + at for start, data in open_reply(request, reply) for at in unsound(data, 3, start)]
    assert bad == [index]


def test_a_page_that_belongs_elsewhere_is_found() -> None:
    page = _sealed(random.Random(4), 100, 5)
    assert unsound(page, 3, 5) == []
    assert unsound(page, 3, 6) == unsound(page, 2, 5) == [0]
    assert unsound(page * 2, 3, 5) == [1]


def test_a_page_whose_lsn_rotted_to_zero_is_no_hole() -> None:
    disk, pages = _stored(random.Random(2), 8)
    index = sorted(pages)[0]
    disk.write(NAME, index * PAGE_BYTES, bytes(8))
    request, reply = _exchange(disk, 0, 8, 8)
    assert [start + at for start, data in open_reply(request, reply) for at in unsound(data, 3, start)] == [index]


def test_a_reply_to_another_request_is_refused() -> None:
    disk, _ = _stored(random.Random(3), 8)
    _, reply = _exchange(disk, 0, 4, 8)
    for other in ({"first": 1}, {"count": 5}, {"pg": 4}, {"floor_lsn": 91}):
        with pytest.raises(InvariantViolation):
            open_reply(pb.FetchRangeRequest(**{"pg": 3, "first": 0, "count": 4, "floor_lsn": 50, **other}), reply)


def test_a_file_that_is_shorter_than_it_should_be_is_an_error() -> None:
    disk, _ = _stored(random.Random(4), 4)
    with pytest.raises(OSError, match="not 8 pages"):
        _exchange(disk, 0, 8, 8)


def test_who_is_refused() -> None:
    node = make_node(SimDisk(), StepClock(), coalesce_log_mb=0.001)
    writer = Writer(random.Random(5), pages=PAGES_PER_PG)
    append(node, writer.frames(50))
    ask = {"volume_id": VOLUME, "pg": 0, "first": 0, "count": 8}
    assert not node.on_fetch_range(pb.FetchRangeRequest(**ask)).runs
    for wrong in ({"floor_lsn": 1}, {"count": 0}, {"count": 5000}, {"volume_id": b"another volume.."}):
        with pytest.raises(Refused):
            node.on_fetch_range(pb.FetchRangeRequest(**{**ask, **wrong}))


def test_the_heap_keeps_buffers_where_it_can() -> None:
    assert keep_buffers() in (True, False)
