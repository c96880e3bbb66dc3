"""Read-ahead under real scans: a volume whose reads take a turn of the loop, small caches, failures, races."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import greenlet
import pytest
from support_access import INT4, TEXT, create, describe, latest, make_storage, rows_of, run_greenlets

from aurora.errors import IoError
from compute_node.access.memory_volume import MemoryVolume
from compute_node.access.methods import build_index
from compute_node.access.storage import Storage
from compute_node.access.vacuum import vacuum
from compute_node.catalog.column_statistics.sample import take
from compute_node.hub import HUB
from compute_node.work.account import Account, Area

ROWS = 1050
KEYS = [((1,), True), ((2,), False)]


class SlowVolume(MemoryVolume):
    """Reads are answered some turns of the loop later. ``requests``: the pages of each read; ``broken`` pages fail."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[list[int]] = []
        self.broken: set[int] = set()
        self.gate: asyncio.Event | None = None
        self.before_answer: Callable[[list[int]], None] | None = None

    def read_page(self, page_no: int) -> bytes | None:
        if not HUB.in_greenlet():
            return super().read_page(page_no)
        pages: list[bytes | None] = HUB.await_(self.read_pages([page_no]))
        return pages[0]

    async def read_pages(self, page_nos: Sequence[int]) -> list[bytes | None]:
        self.requests.append(list(page_nos))
        found = [None if page is None else bytes(page) for page in map(self.pages.get, page_nos)]
        for _ in range(3):
            await asyncio.sleep(0)
        if self.gate is not None and len(page_nos) > 1:
            await self.gate.wait()
        if self.broken & set(page_nos):
            raise IoError("could not read the page")
        if self.before_answer is not None:
            self.before_answer(list(page_nos))
        return found


def filled() -> tuple[Storage, Any]:
    """A table of some 80 pages; its indexes are a unique one and one whose order is not the heap's."""
    storage = make_storage(SlowVolume(), frames=512, verify=False)
    table = create(storage, describe(100, [INT4, INT4, TEXT], KEYS))
    txn = storage.txns.begin()
    table.insert_many(txn, [(n, n * 7919 % 1009, "x" * 480) for n in range(ROWS)])
    storage.txns.commit(txn)
    storage.volume.advance()
    return storage, table


def reopened(storage: Storage, frames: int) -> tuple[Storage, Any]:
    """The same volume through an empty cache of ``frames`` frames."""
    again = make_storage(storage.volume, frames=frames, verify=False)
    table = again.table(describe(100, [INT4, INT4, TEXT], KEYS))
    again.volume.requests.clear()
    return again, table


def scan_all(table: Any) -> int:
    snapshot = latest(table.storage)
    return sum(len(batch) for batch in table.scan(snapshot, (1,), False))


def heap_pages(table: Any) -> list[int]:
    return [table.file.map.page_no(block) for block in range(table.file.fresh)]


@pytest.mark.parametrize("frames", [16, 24, 64, 512])
def test_a_scan_reads_each_page_once_whatever_the_cache(frames: int) -> None:
    def body() -> None:
        storage, table = reopened(filled()[0], frames)
        assert scan_all(table) == ROWS
        asked = [page for request in storage.volume.requests for page in request]
        for page_no in heap_pages(table):
            assert asked.count(page_no) == 1
        assert max(map(len, storage.volume.requests)) == min(32, frames // 8)
        assert storage.cache.pages_ahead >= len(heap_pages(table)) and not storage.cache._loading

    run_greenlets(body)


def test_a_long_scan_has_a_request_on_its_way_while_it_works() -> None:
    def body() -> None:
        _, table = reopened(filled()[0], 512)
        volume, waits = table.storage.volume, table.storage.cache
        snapshot = latest(table.storage)
        waited = 0
        for number, _ in enumerate(table.scan(snapshot, (1,), False)):
            before = waits.waits
            for _ in range(5):
                HUB.yield_turn()  # work that lets the loop turn
            waited += waits.waits - before
            if number == 30:
                assert len(volume.requests) <= 8
        assert waited == 0 and waits.waits <= 4  # the first pages, and those of the commit log

    run_greenlets(body)


def test_a_scan_that_ends_early_reads_little_and_cancels_the_rest() -> None:
    def body() -> None:
        storage, table = reopened(filled()[0], 512)
        snapshot = latest(storage)
        rows = table.scan(snapshot, (1,), False)
        next(rows)
        asked = [page for request in storage.volume.requests for page in request]
        assert len(asked) <= 8
        storage.volume.gate = asyncio.Event()
        next(rows)  # the second window is on its way, and stays there
        rows.close()
        HUB.yield_turn()
        HUB.yield_turn()
        assert not storage.cache._loading
        storage.volume.gate = None
        assert scan_all(table) == ROWS

    run_greenlets(body)


def test_a_failed_read_ahead_is_nobodys_error_until_the_page_is_needed() -> None:
    def body() -> None:
        storage, table = reopened(filled()[0], 512)
        volume, pages = storage.volume, heap_pages(table)
        volume.broken = {pages[40]}
        snapshot = latest(storage)
        rows = table.scan(snapshot, (1,), False)
        with pytest.raises(IoError):
            for number, _ in enumerate(rows):
                reached = number
        assert reached == 39
        volume.broken.clear()
        assert scan_all(table) == ROWS and not storage.cache._loading

    run_greenlets(body)


def test_who_wants_a_page_that_is_on_its_way_waits_for_it_and_reads_it_himself_when_it_does_not_come() -> None:
    def body() -> None:
        storage, table = reopened(filled()[0], 512)
        cache, volume, page = storage.cache, storage.volume, heap_pages(table)[5]
        for cancels in (False, True):
            volume.gate = asyncio.Event()
            volume.requests.clear()
            load = cache.read_ahead([page, page + 1])
            got: list[int] = []
            HUB.loop.call_soon(HUB.run, lambda got=got: got.append(cache.get(page)))
            HUB.yield_turn()
            HUB.yield_turn()
            assert not got and len(volume.requests) == 1
            assert cache.read_ahead([page]) is None  # one load a page
            if cancels:
                load.cancel()
            else:
                volume.gate.set()
            while not got:
                HUB.yield_turn()
            assert len(volume.requests) == 1 + cancels
            storage.arena.drop(page)
            if storage.arena.contains(page + 1):
                storage.arena.drop(page + 1)

    run_greenlets(body)


def test_a_page_made_anew_while_its_old_content_is_on_its_way_keeps_the_new() -> None:
    def body() -> None:
        storage, table = reopened(filled()[0], 512)
        cache, volume, page = storage.cache, storage.volume, heap_pages(table)[7]
        volume.gate = asyncio.Event()
        cache.read_ahead([page, page + 1])
        HUB.yield_turn()
        frame = cache.create(page)
        assert bytes(storage.arena.page(frame)[:64]) == bytes(64)
        storage.arena.drop(page)  # evicted before the old content arrives
        volume.gate.set()
        while cache._loading:
            HUB.yield_turn()
        assert storage.arena.contains(page + 1) and not storage.arena.contains(page)

    run_greenlets(body)


def test_a_cancelled_session_does_not_fail_others_that_wait_for_the_same_page() -> None:
    class Cancelled(Exception):
        pass

    def body() -> None:
        storage, table = reopened(filled()[0], 512)
        cache, page = storage.cache, heap_pages(table)[9]
        seen: list[Any] = []
        sessions: list[Any] = []

        def session(name: str) -> None:
            sessions.append(greenlet.getcurrent())
            try:
                seen.append((name, cache.get(page) >= 0))
            except Cancelled:
                seen.append((name, "cancelled"))

        HUB.loop.call_soon(HUB.run, session, "first")
        HUB.loop.call_soon(HUB.run, session, "second")
        HUB.yield_turn()
        HUB.interrupt(sessions[0], Cancelled())
        while len(seen) < 2:
            HUB.yield_turn()
        assert sorted(seen) == [("first", "cancelled"), ("second", True)]

    run_greenlets(body)


def test_no_read_ahead_where_nobody_can_wait_and_none_when_turned_off() -> None:
    storage, _ = filled()
    again, table = reopened(storage, 64)
    assert scan_all(table) == ROWS and again.cache.pages_ahead == 0

    def body() -> None:
        off, other = reopened(storage, 64)
        off.cache.read_ahead_max = 0
        assert scan_all(other) == ROWS and off.cache.pages_ahead == 0

    run_greenlets(body)


@pytest.mark.parametrize("frames", [16, 20, 512])
@pytest.mark.parametrize("backward", [False, True])
def test_index_scans_in_another_order_than_the_heap_fit_a_small_cache(frames: int, backward: bool) -> None:
    def body() -> None:
        storage, table = reopened(filled()[0], frames)
        snapshot = latest(storage)
        index = table.indexes[1]
        got = [row for batch in index.scan(snapshot, [], backward, (2, 1), False) for row in batch]
        expected = sorted((n * 7919 % 1009, n) for n in range(ROWS))
        assert [key for key, _ in got] == sorted((key for key, _ in expected), reverse=backward)
        assert sorted(got) == expected
        key = 5 * 7919 % 1009
        assert sorted(index.lookup(snapshot, (key,), (1,), False)) == [(n,) for n in range(5, ROWS, 1009)]
        assert not storage.cache._loading

    run_greenlets(body)


def test_an_index_scan_that_ends_early_reads_little() -> None:
    def body() -> None:
        storage, table = reopened(filled()[0], 512)
        snapshot = latest(storage)
        rows = table.indexes[1].scan(snapshot, [], False, (1,), False)
        next(rows)
        rows.close()
        HUB.yield_turn()
        heap = set(heap_pages(table))
        assert sum(len(heap & set(request)) for request in storage.volume.requests) <= 12

    run_greenlets(body)


def test_vacuum_index_build_and_sample_read_ahead_and_see_everything() -> None:
    def body() -> None:
        storage = filled()[0]
        again, table = reopened(storage, 64)
        assert vacuum(table).rows == ROWS
        assert max(map(len, again.volume.requests)) == 8
        again, table = reopened(storage, 64)
        desc = describe(100, [INT4, INT4, TEXT], [((3,), False)]).indexes[0]
        txn = again.txns.begin()
        index = build_index(txn, table, replace(desc, oid=9100, relfile=9100))
        again.txns.commit(txn)
        snapshot = latest(again)
        assert len(index.lookup(snapshot, ("x" * 480,), (1,), False)) == ROWS
        assert max(map(len, again.volume.requests)) == 8
        again, table = reopened(storage, 512)
        sample = take(table, latest(again), (1,), 100, Area(Account(), 1 << 30))
        assert (sample.pages, sample.total, len(sample.rows)) == (table.file.map.blocks, float(ROWS), 100)
        assert max(map(len, again.volume.requests)) > 8

    run_greenlets(body)


def test_readers_writers_and_a_small_cache_at_the_same_time() -> None:
    async def go() -> None:
        HUB.bind(asyncio.get_running_loop())
        storage, table = await HUB.call(lambda: reopened(filled()[0], 40))
        counts: list[int] = []

        def read() -> None:
            for _ in range(3):
                counts.append(scan_all(table))
                HUB.yield_turn()

        def write(first: int) -> None:
            for number in range(first, first + 60):
                txn = storage.txns.begin()
                table.insert(txn, (number, number, "y" * 150))
                storage.txns.commit(txn)
                storage.volume.advance()
                HUB.yield_turn()

        await asyncio.gather(*(HUB.call(read) for _ in range(3)), HUB.call(write, 10_000), HUB.call(write, 20_000))
        assert all(ROWS <= count <= ROWS + 120 for count in counts)
        rows = await HUB.call(rows_of, table)
        assert len(rows) == ROWS + 120 and not storage.cache._loading

    asyncio.run(go())


def test_a_full_cache_of_unevictable_pages_leaves_the_read_to_who_needs_it() -> None:
    def body() -> None:
        storage, table = reopened(filled()[0], 64)
        arena = storage.arena
        for page_no in range(900_000, 900_000 + arena.frames - len(arena)):
            arena.install(page_no, None)
        pinned = [frame for frame in range(arena.frames) if not arena.pins[frame]]
        for frame in pinned:
            arena.pin(frame)
        wanted = heap_pages(table)[60:64]
        storage.cache.read_ahead(wanted)
        while storage.cache._loading:
            HUB.yield_turn()
        assert not any(map(storage.arena.contains, wanted))
        for frame in pinned:
            storage.arena.unpin(frame)
        assert storage.cache.get(wanted[0]) >= 0

    run_greenlets(body)
