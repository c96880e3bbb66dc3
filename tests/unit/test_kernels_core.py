"""Redo, arena and page editor: round trips, corruption, and the compiled kernels held equal to their specification."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora.errors import InvariantViolation
from aurora.kernels.python import arena as py_arena
from aurora.kernels.python import mtr as py_mtr
from aurora.kernels.python import redo as py_redo
from aurora.page import PAGE_BYTES


def _native(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(f"aurora.kernels.native.{name}")
    except ImportError:
        return None


SIDES = [
    pytest.param((py_arena, py_mtr, py_redo), id="python"),
    pytest.param(
        (_native("arena"), _native("mtr"), _native("redo")),
        id="native",
        marks=pytest.mark.skipif(_native("mtr") is None, reason="the compiled kernels are not built"),
    ),
]

PAGES_PER_PG = 4
offsets = st.integers(12, PAGE_BYTES - 1)
edits = st.one_of(
    st.tuples(st.just("put"), st.integers(0, 9), offsets, st.binary(max_size=300)),
    st.tuples(st.just("move"), st.integers(0, 9), offsets, offsets, st.integers(0, 600)),
    st.tuples(
        st.just("image"),
        st.integers(0, 9),
        st.integers(24, 4000),
        st.integers(4000, PAGE_BYTES),
        st.binary(max_size=64),
    ),
    st.tuples(st.just("u64"), st.integers(0, 9), st.integers(12, PAGE_BYTES - 8), st.integers(0, 2**64 - 1)),
    st.tuples(st.just("note"), st.binary(max_size=40)),
    st.tuples(st.just("free"), st.integers(10, 19)),  # pages that are not in the arena
)
scripts = st.lists(st.tuples(st.lists(edits, min_size=1, max_size=8), st.booleans()), min_size=1, max_size=8)


def _image(lower: int, upper: int, fill: bytes) -> bytes:
    page = bytearray(PAGE_BYTES)
    page[14:16], page[16:18] = lower.to_bytes(2, "little"), upper.to_bytes(2, "little")
    page[24 : 24 + len(fill)] = fill
    page[PAGE_BYTES - len(fill) :] = fill
    return bytes(page)


def _play(
    side: tuple[Any, Any, Any], script: list[tuple[list[tuple[Any, ...]], bool]]
) -> tuple[Any, list[Any], list[int]]:
    """Run MTRs; those marked False are rolled back. Returns the arena, the runs and the CPLs."""
    arena_module, mtr_module, _ = side
    arena = arena_module.Arena(16)
    log = mtr_module.RedoLog(16, 0, PAGES_PER_PG, {})
    mtr = mtr_module.Mtr(arena, log)
    mtr.verify = True
    for page_no in range(10):
        arena.install(page_no, None)
    runs, cpls = [], []
    for number, (steps, keep) in enumerate(script):
        before = bytes(arena.data)
        for step in steps:
            if step[0] == "note":
                mtr.note(step[1])
                continue
            if step[0] == "free":
                mtr.free_page(step[1])
                continue
            frame = arena.lookup(step[1])
            if step[0] == "put":
                mtr.put(frame, step[2], step[3][: PAGE_BYTES - step[2]])
            elif step[0] == "move":
                mtr.move(frame, step[2], step[3], min(step[4], PAGE_BYTES - max(step[2], step[3])))
            elif step[0] == "u64":
                mtr.put_u64(frame, step[2], step[3])
            else:
                mtr.image(frame, _image(step[2], step[3], step[4]))
        assert mtr.active
        if keep:
            cpls.append(mtr.commit())
        else:
            mtr.rollback()
            assert bytes(arena.data) == before
        assert not mtr.active
        if number % 3 == 2:
            runs += log.take()
    return arena, runs + log.take(), cpls


@pytest.mark.parametrize("side", SIDES)
@given(script=scripts)
@settings(max_examples=60, deadline=None)
def test_applying_the_log_gives_the_pages(side: tuple[Any, Any, Any], script: Any) -> None:
    arena, runs, cpls = _play(side, script)
    redo = side[2]
    pages = {page_no: bytearray(PAGE_BYTES) for page_no in range(10)}
    found: list[tuple[int, int, int]] = []
    last_of_pg: dict[int, int] = {}
    last_of_page: dict[int, int] = {}
    for pg, prev, first, last, last_cpl, data in runs:
        assert prev == last_of_pg.get(pg, 0)
        records = redo.scan(data, prev)
        assert (records[0][0], records[-1][0]) == (first, last)
        assert max((r[0] for r in records if r[4] & py_redo.FLAG_CPL), default=0) == last_cpl
        for lsn, prev_lsn, page_no, page_prev, flags, offset, end in records:
            found.append((lsn, prev_lsn, flags))
            if page_no >= 10:
                assert py_redo.is_free(page_prev, offset, end)
                assert page_no // PAGES_PER_PG == pg
            elif page_no != py_redo.NO_PAGE:
                assert page_no // PAGES_PER_PG == pg
                assert page_prev == last_of_page.get(page_no, 0)
                last_of_page[page_no] = lsn
                redo.apply(pages[page_no], data, offset, end, lsn)
        last_of_pg[pg] = last
    for page_no, page in pages.items():
        assert bytes(arena.page(arena.lookup(page_no))) == bytes(page)
    found.sort()
    assert [prev for _, prev, _ in found] == [0, *[lsn for lsn, _, _ in found]][:-1] if found else True
    assert [lsn for lsn, _, flags in found if flags & py_redo.FLAG_CPL] == [lsn for lsn in cpls if lsn]


@pytest.mark.parametrize("side", SIDES)
def test_a_page_in_the_arena_is_not_freed_and_the_mtr_stays_bounded(side: tuple[Any, Any, Any]) -> None:
    arena_module, mtr_module, redo = side
    arena = arena_module.Arena(4)
    log = mtr_module.RedoLog(16, 0, 1 << 20, {})
    mtr = mtr_module.Mtr(arena, log)
    arena.install(7, None)
    with pytest.raises(InvariantViolation, match="is in the arena"):
        mtr.free_page(7)
    with pytest.raises(InvariantViolation, match="exceeds"), mtr:
        for page_no in range(py_mtr.MTR_MAX_BYTES // py_mtr.FREE_BYTES + 1):
            mtr.free_page(100 + page_no)
    assert not mtr.active
    assert log.pending_bytes == 0
    with mtr:
        for page_no in range(1024):
            mtr.free_page((1 << 20) - 512 + page_no)
    runs = log.take()
    assert sum(len(run[5]) for run in runs) < 1024 * 12
    assert [run[0] for run in runs] == [0, 1]
    records = [record for run in runs for record in redo.scan(run[5], run[1])]
    assert all(py_redo.is_free(record[3], record[5], record[6]) for record in records)
    assert [record[0] for record in records if record[4] & py_redo.FLAG_CPL] == [log.last_lsn]


@pytest.mark.skipif(_native("mtr") is None, reason="the compiled kernels are not built")
@given(script=scripts)
@settings(max_examples=60, deadline=None)
def test_native_equals_python(script: Any) -> None:
    py = _play((py_arena, py_mtr, py_redo), script)
    native = _play((_native("arena"), _native("mtr"), _native("redo")), script)
    assert bytes(py[0].data) == bytes(native[0].data)
    assert py[1:] == native[1:]
    for _, prev, _, _, _, data in py[1]:
        assert py_redo.scan(data, prev) == _native("redo").scan(data, prev)  # type: ignore[union-attr]


@pytest.mark.parametrize("side", SIDES)
@given(script=scripts, cut=st.floats(0, 1), upto=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_the_index_of_a_run_is_that_of_its_scan(
    side: tuple[Any, Any, Any], script: Any, cut: float, upto: float
) -> None:
    chains: dict[int, Any] = {}
    fresh: dict[int, list[int]] = {}
    wanted: dict[int, list[int]] = {}
    anew: dict[int, list[int]] = {}
    for _, prev, first, last, _, data in _play((py_arena, py_mtr, py_redo), script)[1]:
        # A stretch that a page's chain continues from: its start is inside the run for a page's first records only.
        after, until = first - 1, first + int((last - first) * upto)
        if not chains:
            after += int((last - first) * cut)
        for lsn, _, page_no, page_prev, _, offset, end in py_redo.scan(data, prev):
            if page_no != py_redo.NO_PAGE and after < lsn <= until:
                if page_prev and page_no in wanted and wanted[page_no][-2] != page_prev:
                    with pytest.raises(InvariantViolation, match="the last one indexed is"):
                        side[2].index_run(chains, fresh, data, prev, after, until)
                    return
                wanted.setdefault(page_no, [page_prev]).extend((lsn, offset << 32 | end))
                if not page_prev:
                    anew.setdefault(page_no, []).append(lsn)
        side[2].index_run(chains, fresh, data, prev, after, until)
        assert {page_no: list(chain) for page_no, chain in chains.items()} == wanted
        assert fresh == anew


@pytest.mark.parametrize("side", SIDES)
@given(script=scripts, spoil=st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)))
@settings(max_examples=100, deadline=None)
def test_a_run_that_passes_its_check_can_be_indexed_and_applied(
    side: tuple[Any, Any, Any], script: Any, spoil: tuple[float, int]
) -> None:
    def passes(module: Any, run: Any, pages: tuple[int, int], data: bytes) -> bool:
        try:
            module.check_run(data, *run[1:5], *pages)
        except InvariantViolation:
            return False
        return True

    for run in _play((py_arena, py_mtr, py_redo), script)[1]:
        records = py_redo.scan(run[5], run[1])
        changed = [record[2] for record in records if record[2] != py_redo.NO_PAGE]
        pages = (min(changed, default=0), max(changed, default=0) + 1)
        assert passes(side[2], run, pages, run[5])
        for at in range(1, 5):  # the LSN before it, the first, the last, the highest CPL
            other = (*run[:at], run[at] + 1, *run[at + 1 :])
            assert not passes(side[2], other, pages, run[5])
        if changed:
            assert not passes(side[2], run, (pages[0] + 1, pages[1]), run[5])
            assert not passes(side[2], run, (pages[0], pages[1] - 1), run[5])
        spoilt = bytearray(run[5])
        spoilt[int(len(spoilt) * spoil[0])] ^= spoil[1]
        if passes(side[2], run, pages, bytes(spoilt)):
            page = bytearray(PAGE_BYTES)
            for lsn, _, page_no, _, _, offset, end in py_redo.scan(bytes(spoilt), run[1]):
                if page_no != py_redo.NO_PAGE:
                    py_redo.apply(page, bytes(spoilt), offset, end, lsn)


@pytest.mark.parametrize("side", SIDES)
@given(data=st.binary(max_size=200), prev=st.integers(0, 2**40))
@settings(max_examples=200, deadline=None)
def test_scan_of_garbage_raises_or_parses_alike(side: tuple[Any, Any, Any], data: bytes, prev: int) -> None:
    def outcome(module: Any) -> Any:
        try:
            return module.scan(data, prev)
        except InvariantViolation:
            return "malformed"

    assert outcome(side[2]) == outcome(py_redo)


@pytest.mark.parametrize("side", SIDES)
@given(data=st.binary(min_size=1, max_size=80))
@settings(max_examples=200, deadline=None)
def test_apply_of_garbage_never_leaves_the_page(side: tuple[Any, Any, Any], data: bytes) -> None:
    page = bytearray(PAGE_BYTES)
    try:
        side[2].apply(page, data, 0, len(data), 77)
    except (InvariantViolation, IndexError):
        pass
    assert len(page) == PAGE_BYTES


@pytest.mark.parametrize("side", SIDES)
def test_eviction_keeps_pinned_and_undurable_pages(side: tuple[Any, Any, Any]) -> None:
    arena = side[0].Arena(4)
    log = side[1].RedoLog(16, 0, 100, {})
    mtr = side[1].Mtr(arena, log)
    for page_no in range(4):
        arena.install(page_no, None)
    arena.pin(arena.lookup(0))
    with mtr:
        mtr.put(arena.lookup(1), 100, b"new")
    arena.install(4, bytes(PAGE_BYTES))
    arena.install(5, None)
    assert arena.contains(0)
    assert arena.contains(1)
    arena.pin(arena.lookup(4))
    arena.pin(arena.lookup(5))
    with pytest.raises(py_arena.ArenaFull):
        arena.install(6, None)
    arena.durable_lsn = log.last_lsn
    arena.install(6, None)
    assert not arena.contains(1)
    arena.unpin(arena.lookup(0))
    with pytest.raises(InvariantViolation):
        arena.unpin(arena.lookup(0))
    arena.drop(0)
    assert arena.lookup(0) == py_arena.MISSING


@pytest.mark.parametrize("side", SIDES)
@given(operations=st.lists(st.tuples(st.sampled_from(["install", "drop", "lookup"]), st.integers(0, 60)), max_size=200))
@settings(max_examples=60, deadline=None)
def test_page_table_against_a_model(side: tuple[Any, Any, Any], operations: list[tuple[str, int]]) -> None:
    arena = side[0].Arena(64)
    model: dict[int, int] = {}
    for verb, page_no in operations:
        if verb == "install":
            model.setdefault(page_no, arena.install(page_no, None))
        elif verb == "drop":
            arena.drop(page_no)
            model.pop(page_no, None)
        assert arena.lookup(page_no) == model.get(page_no, py_arena.MISSING)
    assert len(arena) == len(model)
    assert {p: arena.lookup(p) for p in model} == model


@pytest.mark.parametrize("side", SIDES)
def test_an_exception_while_editing_restores_the_page(side: tuple[Any, Any, Any]) -> None:
    arena = side[0].Arena(2)
    log = side[1].RedoLog(16, 0, 100, {})
    mtr = side[1].Mtr(arena, log)
    frame = arena.install(3, None)
    with pytest.raises(ZeroDivisionError), mtr:
        mtr.put(frame, 50, b"half")
        raise ZeroDivisionError
    assert bytes(arena.page(frame)) == bytes(PAGE_BYTES)
    assert log.take() == []
    with pytest.raises(InvariantViolation):
        mtr.put(frame, 4, b"lsn")
    with pytest.raises(InvariantViolation):
        mtr.put(1, 40, b"free frame")
