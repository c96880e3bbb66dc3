"""Which blocks a scan's read-ahead asks for, and when."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from compute_node.access.read_ahead import FIRST_PAGES, ReadAhead


class FakeLoad:
    def __init__(self, pages: list[int]) -> None:
        self.pages = pages
        self.done = False
        self.cancelled = False

    def is_reading(self, page_no: int) -> bool:
        return not self.done and page_no in self.pages

    def cancel(self) -> None:
        self.cancelled = not self.done


class FakeCache:
    """Remembers what was asked for; ``resident`` pages are not."""

    def __init__(self, read_ahead_pages: int = 64) -> None:
        self.read_ahead_pages = read_ahead_pages
        self.resident: set[int] = set()
        self.loads: list[FakeLoad] = []

    def read_ahead(self, page_nos: Any) -> FakeLoad | None:
        wanted = [page_no for page_no in page_nos if page_no not in self.resident]
        if not wanted:
            return None
        self.loads.append(FakeLoad(wanted))
        return self.loads[-1]

    def finish(self) -> None:
        for load in self.loads:
            load.done = True
            self.resident |= set(load.pages)


def scan(cache: FakeCache, ahead: ReadAhead, blocks: range) -> list[int]:
    """Scan the blocks with every load done at once; how often ``missed`` was called."""
    missed = []
    for block in blocks:
        if block >= ahead.mark:
            ahead.advance(block)
        if 1000 + block not in cache.resident:
            missed.append(block)
            ahead.missed(block)
            cache.resident.add(1000 + block)
        cache.finish()
    return missed


def page_of(block: int) -> int:
    return 1000 + block


def test_windows_double_up_to_the_limit_and_the_scan_misses_once() -> None:
    cache = FakeCache(32)
    assert scan(cache, ReadAhead(cache, page_of, 200), range(200)) == [0]
    sizes = [len(load.pages) for load in cache.loads]
    assert sizes[:6] == [FIRST_PAGES, 8, 16, 32, 32, 32]
    assert [page for load in cache.loads for page in load.pages] == [page_of(block) for block in range(200)]


def test_the_next_window_is_on_its_way_while_the_newest_is_begun() -> None:
    cache = FakeCache()
    ahead = ReadAhead(cache, page_of, 1000)
    ahead.missed(10)
    assert cache.loads[-1].pages == [page_of(block) for block in range(10, 14)] and ahead.mark == 11
    ahead.advance(11)
    assert cache.loads[-1].pages == [page_of(block) for block in range(14, 22)] and ahead.mark == 14
    ahead.advance(14)
    assert cache.loads[-1].pages == [page_of(block) for block in range(22, 38)] and ahead.mark == 22


def test_a_scan_of_what_is_there_asks_for_nothing() -> None:
    cache = FakeCache()
    cache.resident = {page_of(block) for block in range(50)}
    assert scan(cache, ReadAhead(cache, page_of, 50), range(50)) == [] and not cache.loads


def test_a_page_that_is_on_its_way_is_not_asked_for_again() -> None:
    cache = FakeCache()
    ahead = ReadAhead(cache, page_of, 100)
    ahead.missed(0)
    ahead.advance(1)
    ahead.missed(2)
    ahead.missed(5)
    assert len(cache.loads) == 2


def test_a_page_that_came_and_went_starts_the_windows_small_again() -> None:
    cache = FakeCache()
    ahead = ReadAhead(cache, page_of, 500)
    scan(cache, ahead, range(100))
    before = len(cache.loads)
    cache.resident.clear()  # others needed the room
    ahead.missed(101)
    assert len(cache.loads[before].pages) == FIRST_PAGES and cache.loads[before].pages[0] == page_of(101)
    assert ahead.mark == 102


def test_closing_cancels_what_is_on_its_way_alone() -> None:
    cache = FakeCache()
    ahead = ReadAhead(cache, page_of, 500)
    ahead.missed(0)
    cache.finish()
    ahead.advance(1)
    ahead.close()
    assert [load.cancelled for load in cache.loads] == [False, True]


def test_a_cache_too_small_for_two_pages_ahead_has_none() -> None:
    cache = FakeCache(1)
    assert scan(cache, ReadAhead(cache, page_of, 20), range(20)) == list(range(20)) and not cache.loads


@given(st.integers(0, 300), st.integers(2, 64), st.sets(st.integers(0, 299)), st.integers(0, 299))
def test_each_page_is_asked_for_once_and_none_beyond_the_end(
    blocks: int, limit: int, resident: set[int], start: int
) -> None:
    cache = FakeCache(limit)
    cache.resident = {page_of(block) for block in resident}
    scan(cache, ReadAhead(cache, page_of, blocks), range(start, blocks))
    asked = [page for load in cache.loads for page in load.pages]
    assert len(asked) == len(set(asked)) and all(len(load.pages) <= limit for load in cache.loads)
    assert not set(asked) & {page_of(block) for block in resident}
    assert all(page_of(start) <= page < page_of(blocks) for page in asked)
