"""Reads over six nodes with scripted answers: slow, failing, behind, mute and returning ones, in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from support_virtual_loop import run_virtual

from aurora.errors import AdminShutdown, DataCorrupted, IoError
from aurora.geometry import Slot
from aurora.page import PAGE_BYTES
from aurora.rpc import storage_pb2 as pb
from compute_node.volume.latency import HEDGE_MIN_S, HEDGE_UNKNOWN_S, KNOWN, weight
from compute_node.volume.reads import PATIENCE_S, PROBE_EVERY, PageReader, Source

LSN = 500
MUTE = -1.0


def page_of(page_no: int) -> bytes:
    return page_no.to_bytes(8, "little") * (PAGE_BYTES // 8)


class FakeNode:
    """One node: answers after ``delay_s``; ``kind`` of answer: page, behind, collected, fail, short."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.delay_s = 0.001
        self.kind = "page"
        self.asked: list[Any] = []
        self.membership_epochs: set[int] = set()
        self.source = Source(self)  # type: ignore[arg-type]

    def ask(self, request: Any, answered: Callable[[Any], None]) -> None:
        self.membership_epochs.add(request.membership_epoch)
        self.asked.append([page.page_no for page in request.pages])
        assert all(page.pg_lsn == LSN and page.read_point == 900 for page in request.pages)
        if self.delay_s != MUTE:
            kind = self.kind
            wait_s = self.delay_s * weight(len(request.pages))
            asyncio.get_running_loop().call_later(wait_s, lambda: answered(self._reply(request, kind)))

    @staticmethod
    def _reply(request: Any, kind: str) -> Any:
        if kind == "fail":
            return None
        reply = pb.ReadPagesReply()
        for page in request.pages:
            image = {"page": page_of(page.page_no), "short": b"x"}.get(kind, b"")
            reply.pages.add(page_no=page.page_no, image=image, behind=kind == "behind", collected=kind == "collected")
        return reply


class FakeVolume:
    """Six nodes that hold everything; 100 pages a protection group."""

    def __init__(self) -> None:
        self.streams = [FakeNode(index) for index in range(6)]
        self.descriptor: Any = SimpleNamespace(
            volume_id=b"v" * 16,
            membership_epoch=4,
            pg_of=lambda page_no: page_no // 100,
            index_of={f"n{index}": index for index in range(6)},
        )
        self.set_tails()
        self.epoch, self.vdl, self.over = 3, 900, False
        self.behind: set[tuple[int, int]] = set()
        """(PG, node) pairs whose SCL does not cover the read."""
        self.down: set[int] = set()
        self.empty: set[int] = set()

    def set_tails(self, *tails: int) -> None:
        slots = [Slot(f"n{index}", tail=index in tails) for index in range(6)]
        self.descriptor.groups = [SimpleNamespace(slots=slots)] * 10

    def scl(self, pg: int, index: int) -> int:
        return LSN - 1 if (pg, index) in self.behind else LSN

    def pg_last(self, pg: int) -> int:
        return 0 if pg in self.empty else LSN

    def connected(self, index: int) -> bool:
        return index not in self.down

    def over_error(self) -> AdminShutdown:
        return AdminShutdown("fenced")

    def problems(self) -> str:
        return "none"


class Setup:
    def __init__(self) -> None:
        self.volume = FakeVolume()
        self.nodes = self.volume.streams
        self.reader = PageReader(self.volume, random.Random(5))  # type: ignore[arg-type]

    async def read(self, *page_nos: int) -> float:
        """Read and check; seconds it took."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        got = await self.reader.read(page_nos)
        assert got == [page_of(page_no) for page_no in page_nos]
        return loop.time() - start

    async def warm(self, reads: int = 200) -> None:
        for number in range(reads):
            await self.read(number)
        self.clear()

    def clear(self) -> None:
        for node in self.nodes:
            node.asked.clear()

    def asked(self) -> list[int]:
        return [len(node.asked) for node in self.nodes]


def test_one_slow_node_is_asked_by_probes_alone_and_costs_nothing() -> None:
    async def body() -> None:
        setup = Setup()
        setup.nodes[2].delay_s = 0.05
        await setup.warm()
        took = [await setup.read(number % 400) for number in range(3000)]
        assert max(took) < 0.0011
        assert setup.reader.hedges <= 1  # the one read before anything was known of it
        assert 0 < setup.asked()[2] < 3000 / PROBE_EVERY

    run_virtual(body)


def test_a_node_that_gets_slow_costs_a_few_hedge_delays_and_wins_its_place_back() -> None:
    async def body() -> None:
        setup = Setup()
        for node in setup.nodes[1:]:
            node.delay_s = 0.002
        await setup.warm()
        first = setup.nodes[0]
        first.delay_s = 0.05
        hedges = setup.reader.hedges
        took = [await setup.read(number) for number in range(200)]
        late = [one for one in took if one > 0.0021]
        assert 1 <= len(late) <= 3 and max(late) <= HEDGE_MIN_S + 0.0021, late
        assert setup.reader.hedges == hedges + len(late)
        setup.clear()
        first.delay_s = 0.001
        for number in range(60 * PROBE_EVERY):
            await setup.read(number % 300)
        setup.clear()
        await setup.read(7)
        assert setup.asked() == [1, 0, 0, 0, 0, 0]

    run_virtual(body)


def test_all_slow_means_no_hedges() -> None:
    async def body() -> None:
        setup = Setup()
        for node in setup.nodes:
            node.delay_s = 0.05
            for _ in range(KNOWN):
                node.source.latency.answered(0.0501)
        for number in range(100):
            assert await setup.read(number) <= 0.0501
        assert not setup.reader.hedges

    run_virtual(body)


def test_a_failing_node_is_followed_at_once_and_comes_last_until_it_answers() -> None:
    async def body() -> None:
        setup = Setup()
        await setup.warm()
        order = [node for node in setup.nodes if node.source.latency.typical_s]
        first = min(order, key=lambda node: node.source.latency.typical_s)
        first.kind = "fail"
        assert await setup.read(1) == pytest.approx(0.002)
        setup.clear()
        for number in range(PROBE_EVERY // 2):
            assert await setup.read(number) == pytest.approx(0.001)
        assert not first.asked
        first.kind = "page"
        for number in range(40 * PROBE_EVERY):
            await setup.read(number % 90)
        assert first.source.latency.failures == 0

    run_virtual(body)


def test_behind_and_collected_are_followed_by_the_next_and_uncovering_nodes_are_not_asked() -> None:
    async def body() -> None:
        setup = Setup()
        setup.volume.behind = {(0, 0), (0, 1)}
        setup.nodes[2].kind, setup.nodes[3].kind = "behind", "collected"
        await setup.read(5)
        assert setup.asked()[:5] == [0, 0, 1, 1, 1]

    run_virtual(body)


def test_tail_segments_are_never_asked_and_the_membership_epoch_goes_along() -> None:
    async def body() -> None:
        setup = Setup()
        setup.volume.set_tails(1, 3, 5)
        for number in range(10 * PROBE_EVERY):
            await setup.read(number % 900)
        asked = setup.asked()
        assert not asked[1] + asked[3] + asked[5] and asked[0] and asked[2] and asked[4]
        assert setup.nodes[0].membership_epochs == {4}

    run_virtual(body)


def test_pages_of_several_groups_are_asked_of_each_groups_own_nodes_at_the_same_time() -> None:
    async def body() -> None:
        setup = Setup()
        setup.volume.behind = {(0, node) for node in (1, 2, 3, 4, 5)} | {(1, node) for node in (0, 2, 3, 4, 5)}
        setup.volume.empty = {2}
        got = await setup.reader.read((150, 3, 250, 4, 151))
        assert got == [page_of(150), page_of(3), None, page_of(4), page_of(151)]
        assert [node.asked for node in setup.nodes[:2]] == [[[3, 4]], [[150, 151]]]
        assert asyncio.get_running_loop().time() == pytest.approx(0.001 * weight(2))

    run_virtual(body)


def test_a_mute_node_costs_one_hedge_delay() -> None:
    async def body() -> None:
        setup = Setup()
        setup.nodes[0].delay_s = MUTE
        assert await setup.read(1) == pytest.approx(HEDGE_UNKNOWN_S + 0.001)
        assert setup.nodes[0].source.latency.typical_s == pytest.approx(HEDGE_UNKNOWN_S + 0.001)

    run_virtual(body)


def test_no_answer_at_all_is_an_io_error_after_patience_and_holds_the_read_point_meanwhile() -> None:
    async def body() -> None:
        setup = Setup()
        for node in setup.nodes:
            node.delay_s = MUTE
        reading = asyncio.ensure_future(setup.reader.read((1,)))
        await asyncio.sleep(1)
        assert setup.reader.lowest_read_point() == 900
        with pytest.raises(IoError) as caught:
            await reading
        assert asyncio.get_running_loop().time() > PATIENCE_S
        assert "page 1 " in str(caught.value) and setup.reader.retries > 1
        assert setup.reader.lowest_read_point() is None

    run_virtual(body)


def test_nodes_that_come_back_end_the_wait() -> None:
    async def body() -> None:
        setup = Setup()
        for node in setup.nodes:
            node.kind = "fail"
        asyncio.get_running_loop().call_later(3, lambda: setattr(setup.nodes[4], "kind", "page"))
        assert 3 <= await setup.read(1) < 3.1

    run_virtual(body)


def test_nonsense_and_fencing_are_told() -> None:
    async def body() -> None:
        setup = Setup()
        for node in setup.nodes:
            node.kind = "short"
        with pytest.raises(DataCorrupted):
            await setup.reader.read((1, 101))
        setup.volume.over = True
        with pytest.raises(AdminShutdown):
            await setup.reader.read((1,))

    run_virtual(body)


def test_a_cancelled_read_leaves_nothing_held() -> None:
    async def body() -> None:
        setup = Setup()
        reading = asyncio.ensure_future(setup.reader.read((1, 101)))
        await asyncio.sleep(0.0001)
        reading.cancel()
        await asyncio.wait([reading])
        assert reading.cancelled() and setup.reader.held == Counter()
        await asyncio.sleep(10)  # late answers and timers of the race find nobody
        await setup.read(1)

    run_virtual(body)
