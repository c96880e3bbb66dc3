"""Native and Python kernels: the same operations give the same answers, page bytes and redo."""

from __future__ import annotations

import importlib
from array import array
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

SIDES = ("python", "native")


def _load(side: str, name: str) -> Any:
    return importlib.import_module(f"aurora.kernels.{side}.{name}")


try:
    _load("native", "btree")
except ImportError:
    pytest.skip("the compiled kernels are not built", allow_module_level=True)

COLUMNS = "ihq?dfscyI"
ROW = st.tuples(
    st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1)),
    st.one_of(st.none(), st.integers(-(2**15), 2**15 - 1)),
    st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
    st.one_of(st.none(), st.booleans()),
    st.one_of(st.none(), st.floats(allow_nan=False)),
    st.one_of(st.none(), st.floats(width=32, allow_nan=False)),
    st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=300)),
    st.one_of(st.none(), st.sampled_from(["", "r", "\xe9"])),
    st.one_of(st.none(), st.binary(max_size=300)),
    st.one_of(st.none(), st.integers(0, 2**32 - 1)),
)


class Side:
    """One implementation's kernels over the same starting pages."""

    def __init__(self, side: str, codes: str) -> None:
        self.name = side
        self.run: Any = None
        self.tuples, clog, heap = _load(side, "tuples"), _load(side, "clog"), _load(side, "heap_pages")
        mtr, btree = _load(side, "mtr"), _load(side, "btree")
        self.tree_module = btree
        self.arena = _load(side, "arena").Arena(32)
        self.log = mtr.RedoLog(16, 0, 8, {})
        self.mtr = mtr.Mtr(self.arena, self.log)
        self.mtr.verify = True
        for page_no in range(2, 12):
            self.arena.install(page_no, None)
        clog_map, heap_map, tree_map = clog.BlockMap(), clog.BlockMap(), clog.BlockMap()
        clog_map.add_extent(2)
        clog_map.blocks = 1
        for start in (3, 4, 5):
            heap_map.add_extent(start)
        heap_map.blocks = 4
        for start in (7, 8, 9):
            tree_map.add_extent(start)
        tree_map.blocks = 4
        self.mtr.put(self.arena.lookup(2), 12, b"\5")
        self.mtr.commit()
        n = len(codes)
        self.codec = self.tuples.RowCodec(codes, [None] * n, [None] * n)
        self.clog = clog.Clog(self.arena, self.mtr, clog_map)
        self.heap = heap.HeapPages(self.arena, self.mtr, self.clog, heap_map, self.codec, 77)
        self.tree = btree.BTree(self.arena, self.mtr, tree_map, 78)
        self.keys = btree.KeyCodec("iV", [None, lambda value: value.encode()], (False, True), (False, True))
        self.snapshot = clog.Snapshot
        self.all = self.tuples.Projection(self.codec, (*range(1, n + 1), -1, -2, -3, -4, -5, -6), True, 5)

    def pages(self) -> list[bytes]:
        return [bytes(self.arena.page(self.arena.lookup(page_no))) for page_no in range(2, 12)]


@settings(max_examples=150, deadline=None)
@given(ROW, ROW, st.sets(st.integers(0, 9)))
def test_codec(row: tuple[Any, ...], other: tuple[Any, ...], positions: set[int]) -> None:
    python, native = (Side(side, COLUMNS) for side in SIDES)
    image = python.codec.encode(row)
    assert image == native.codec.encode(row) == native.codec.encode(list(row))
    assert python.codec.decode(image, 0) == native.codec.decode(image, 0) == row
    order = tuple(sorted(positions))
    values = [other[i] for i in order]
    new = python.codec.replace(image, 0, order, values)
    assert new == native.codec.replace(image, 0, order, values)
    assert python.codec.decode(new, 0) == tuple(other[i] if i in positions else row[i] for i in range(10))
    assert new == python.codec.encode(python.codec.decode(new, 0))


@pytest.mark.parametrize("side", SIDES)
def test_codec_limits_and_missing_columns(side: str) -> None:
    from aurora.errors import NumericValueOutOfRange, ProgramLimitExceeded

    tuples = _load(side, "tuples")
    short = tuples.RowCodec("is", [None] * 2, [None] * 2)
    wide = tuples.RowCodec("isiq", [None] * 4, [None] * 4, [None, None, 42, None])
    image = short.encode((1, "x"))
    assert wide.decode(image, 0) == (1, "x", 42, None)
    assert wide.decode(wide.replace(image, 0, (1,), ("y",)), 0) == (1, "y", 42, None)
    assert tuples.Projection(wide, (3, 1, 3, 4), False).row(image, 0, 0) == (42, 1, 42, None)
    with pytest.raises(NumericValueOutOfRange, match="integer out of range"):
        short.encode((2**31, ""))
    with pytest.raises(ProgramLimitExceeded, match="row is too big: size 9039, maximum size 8160"):
        short.encode((1, "x" * 9001))
    hooked = tuples.RowCodec("x", [lambda v: v[::-1]], [lambda b: b[::-1]])
    assert hooked.decode(hooked.encode((b"abc" * 100,)), 0) == (b"abc" * 100,)


OPERATION = st.one_of(
    st.tuples(st.just("insert"), st.integers(0, 3), st.integers(0, 1200), st.integers(0, 300)),
    st.tuples(st.just("update"), st.integers(0, 40), st.integers(0, 1200), st.integers(-1, 3), st.booleans()),
    st.tuples(st.just("delete"), st.integers(0, 40)),
    st.tuples(st.just("delete_many"), st.integers(0, 40)),
    st.tuples(st.just("insert_rows"), st.integers(0, 3), st.integers(0, 900), st.integers(1, 12), st.integers(0, 300)),
    st.tuples(st.just("update_page"), st.integers(0, 40), st.integers(0, 900), st.integers(-1, 3), st.integers(0, 255)),
    st.tuples(st.just("vacuum"), st.integers(0, 3), st.booleans()),
    st.tuples(st.just("end"), st.booleans()),
    st.tuples(st.just("prune"), st.integers(0, 3), st.integers(0, 400)),
    st.tuples(st.just("free"), st.integers(0, 3)),
    st.tuples(st.just("freeze"), st.integers(0, 3)),
    st.tuples(st.just("look"), st.integers(0, 3), st.integers(0, 2000), st.booleans()),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(OPERATION, max_size=60))
def test_heap(operations: list[tuple[Any, ...]]) -> None:
    sides = [Side(side, "is") for side in SIDES]
    xid, tids = 3, [3 << 16 | 1]
    for number, operation in enumerate(operations):
        kind, *args = operation
        answers = []
        for side in sides:
            heap = side.heap
            if kind == "insert":
                image = side.codec.encode((number, "x" * args[1]))
                answers.append(heap.insert(args[0], image, xid, number, args[2]))
            elif kind == "update":
                tid = tids[args[0] % len(tids)]
                answers.append(heap.update(tid, (1,), ("y" * args[1],), xid, number, args[3], not args[3], args[2]))
            elif kind == "delete":
                answers.append(heap.delete(tids[args[0] % len(tids)], xid, number, bool(args[0] & 1)))
            elif kind == "delete_many":
                some = sorted(set(tids))
                answers.append(heap.delete_many(some, args[0] % len(some), xid, number))
            elif kind == "insert_rows":
                rows = [(number + i, "z" * (args[1] * (i + 1) % 977)) for i in range(args[2])]
                rows[-1:] = [side.codec.encode(row) for row in rows[-1:]]
                answers.append(heap.insert_rows(args[0], rows, 0, xid, number, args[3]))
            elif kind == "update_page":
                some = sorted(set(tids))
                at = args[0] % len(some)
                seen = heap.probe_page(some, at, side.all)
                values = [
                    None if not (args[3] + i) % 5 else ("u" * (args[1] * (i + 3) % 951),) for i in range(len(seen))
                ]
                keys = None if args[3] & 1 else bytes(i & 1 for i in range(len(seen)))
                hot = not args[3] & 2
                answers.append((seen, heap.update_page(some, at, values, (1,), xid, number, hot, keys, args[2])))
            elif kind == "vacuum":
                horizon = int(side.log.next_lsn) - 1
                found = heap.vacuum_page(args[0], horizon, xid, horizon, args[1])
                lsns, oldest = array("Q", [7] * 4), array("Q", [9] * 4)
                lsns[args[0]], oldest[args[0]] = found[6:]
                skipped = [heap.clean_run(args[0], 4, lsns, oldest, before) for before in (3, xid)]
                assert skipped == [args[0] + (found[6] > 0), args[0] + (found[6] > 0 and found[7] >= xid)]
                assert found[4] == len(heap.scan_page(side.snapshot(horizon, set(), 0), args[0], side.all, False))
                if not (found[0] or found[1]):
                    assert heap.prune(args[0], horizon) == heap.freeze(args[0], horizon, xid) == 0
                answers.append((found, skipped))
            elif kind == "end":
                answers.append(side.clog.set(xid, int(side.log.next_lsn) if args[0] else 1))
                side.mtr.commit()
            elif kind == "prune":
                answers.append(heap.prune(args[0], args[1] * 50))
            elif kind == "free":
                dead = heap.vacuum_page(args[0], 0, 0, 0, True)[2]
                answers.append((dead, heap.free_dead(args[0], dead), heap.free_space(args[0])))
            elif kind == "freeze":
                answers.append(heap.freeze(args[0], int(side.log.next_lsn), xid))
            else:
                snapshot = side.snapshot(args[1] * 5, {xid}, number)
                answers.append(heap.scan_page(snapshot, args[0], side.all, args[2]))
                for tid in tids:
                    answers[-1].append(heap.fetch_chain(snapshot, tid, side.all))
                    answers[-1].append(heap.fetch(snapshot, tid, side.all))
                    answers[-1].append(heap.probe(tid, snapshot, side.all, args[2]))
                    answers[-1].append(heap.conflict(tid, {xid}))
        assert answers[0] == answers[1]
        if kind in ("insert", "update") and answers[0] > 0:
            tids.append(answers[0])
        if kind == "insert_rows":
            tids += answers[0]
        if kind == "update_page":
            tids += filter(None, answers[0][1])
        if kind == "end":
            xid += 1
    assert sides[0].pages() == sides[1].pages()
    assert sides[0].log.take() == sides[1].log.take()


RUN_ROW = st.tuples(st.one_of(st.none(), st.integers(-50, 50)), st.text("ab\0\xff", max_size=400))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(RUN_ROW, max_size=60), max_size=5), st.integers(0, 2))
def test_btree_runs(runs: list[list[tuple[Any, ...]]], unique: int) -> None:
    """Runs of items, some of which may be there once only, go in as single ones would."""
    from compute_node.access.btree.writer import build_meta, build_page

    sides = [Side(side, "is") for side in SIDES]
    for side in sides:
        for block, image in enumerate((build_meta(78, 1), build_page(78, 1, 0, 0, b"", []))):
            side.mtr.image(side.arena.lookup(7 + block), image)
        side.mtr.commit()
    model: set[bytes] = set()
    number = 0
    for rows in runs:
        tids = range(number + 1, number + 1 + len(rows))
        number += len(rows)
        turned = [(text, each) for each, text in rows]
        for side in sides:
            side.run = _load(side.name, "entries").EntryRun()
            side.keys.gather(side.run, turned, (1, 0), tids)
            side.run.sort()
        items = sorted(sides[0].keys.item(row, tid) for row, tid in zip(rows, tids, strict=True))
        checks = [unique == 2 or (unique == 1 and item[0] == 1) for item in items]
        assert {tuple(side.run.items(0, len(items))) for side in sides} == {tuple(items)}
        at = 0
        while at < len(items):
            answers = {side.tree.insert_run(side.run, at, unique) for side in sides}
            assert len(answers) == 1
            done = answers.pop()
            for index in range(at, at + done):
                key = items[index][:-6]
                assert not (checks[index] and any(each[:-6] == key for each in model))
                model.add(items[index])
            at += done
            if not done:
                key, room = items[at][:-6], 8184 - 24 - 4 - sum(len(item) + 4 for item in model)
                repeated = any(each[:-6] == key for each in model)
                assert room < len(items[at]) + 4 or (checks[at] and repeated)
                at += 1
    assert sides[0].tree.page_items(1)[4] == sorted(model)
    assert sides[0].tree.page_items(1) == sides[1].tree.page_items(1)
    dead = set(range(0, number + 1, 3))
    bits = {0: sum(1 << tid for tid in dead).to_bytes(number // 8 + 1, "little")}
    answers = [side.tree.without(1, bits) for side in sides]
    assert answers[0] == answers[1]
    _, level, _, removed, left, image = answers[0]
    assert (level, removed + left) == (0, len(model))
    if removed:
        for side in sides:
            side.mtr.image(side.arena.lookup(8), image)
            side.mtr.commit()
        kept = [item for item in sorted(model) if int.from_bytes(item[-6:], "big") not in dead]
        assert sides[0].tree.page_items(1)[4] == kept
        assert sides[0].tree.page_items(1) == sides[1].tree.page_items(1)
    assert sides[0].pages() == sides[1].pages()
    assert sides[0].log.take() == sides[1].log.take()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-50, 50), st.text("ab\0\xff", max_size=4)), max_size=60), st.data())
def test_btree(rows: list[tuple[int, str]], data: st.DataObject) -> None:
    from compute_node.access.btree.writer import build_meta, build_page

    sides = [Side(side, "is") for side in SIDES]
    for side in sides:
        for block, image in enumerate((build_meta(78, 1), build_page(78, 1, 0, 0, b"", []))):
            side.mtr.image(side.arena.lookup(7 + block), image)
        side.mtr.commit()
    model: set[bytes] = set()
    for number, row in enumerate(rows):
        unique = number % 3 == 0
        answers = [side.tree.insert(side.keys.item(row, number), unique) for side in sides]
        item = sides[0].keys.item(row, number)
        assert item == sides[1].keys.item(row, number) == sides[1].keys.encode_many([(*row, number)])[0]
        assert answers[0] == answers[1] == int(unique and any(each[:-6] == item[:-6] for each in model))
        if not answers[0]:
            model.add(item)
    bounds = [sides[0].keys.encode((data.draw(st.integers(-60, 60)),)) for _ in range(2)]
    for lower, upper in ((b"", None), (min(bounds), max(bounds))):
        inside = [item for item in sorted(model) if lower <= item and (upper is None or item < upper)]
        expected = [int.from_bytes(item[-6:], "big") for item in inside]
        for side in sides:
            assert side.tree.range_tids(lower, upper, False) == (expected, None)
            assert side.tree.range_tids(lower, upper, True) == (expected[::-1], None)
    keys: list[tuple[Any, ...]] = [(data.draw(st.one_of(st.none(), st.integers(-60, 60))),) for _ in range(6)]
    keys.append((1 << 80,))
    of_keys = []
    for key in keys[:-1]:
        prefix = None if None in key else sides[0].keys.encode(key)
        found = [item for item in sorted(model) if prefix is not None and item.startswith(prefix)]
        of_keys.append([int.from_bytes(item[-6:], "big") for item in found])
    for room in (1, 3, 100):
        answers = [side.tree.tids_of(side.keys, keys, 1, room) for side in sides]
        assert answers[0] == answers[1]
        tids, counts, missing = answers[0]
        expected = []
        for place, count in enumerate(counts, 1):
            here = of_keys[place] if place < len(of_keys) else []
            assert count == (len(here) if len(here) <= room else -1)
            expected += here if count >= 0 else []
        assert tids == expected and not missing
        assert room < 100 or len(counts) == len(keys) - 1
    assert sides[0].tree.page_items(1) == sides[1].tree.page_items(1)
    assert sides[0].pages() == sides[1].pages()
    assert sides[0].log.take() == sides[1].log.take()


@settings(max_examples=60, deadline=None)
@given(st.lists(RUN_ROW, min_size=1, max_size=200), st.booleans())
def test_entries(rows: list[tuple[Any, ...]], nulls: bool) -> None:
    """A run gives its items in order, says which keys are equal, and cuts itself into leaves."""
    sides = [Side(side, "is") for side in SIDES]
    every = []
    for side in sides:
        side.run = run = _load(side.name, "entries").EntryRun()
        side.keys.gather(run, [(*row, number) for number, row in enumerate(rows)], None, None)
        run.sort()
        items = run.items(0, len(run))
        places, at = [], run.equal_key(1, nulls)
        while at > 0:
            places.append(at)
            at = run.equal_key(at + 1, nulls)
        leaves, at = [], 0
        while at < len(run):
            following, image = side.tree.leaf_page(run, at, 9)
            leaves.append((following, image))
            assert image == side.tree_module.leaf_image(
                78,
                9 if following < len(run) else 0,
                items[following] if following < len(run) else b"",
                items[at:following],
            )
            at = following
        flags = [run.has_null(at) for at in range(len(run))]
        every.append((items, flags, places, leaves, run.bytes, run.too_long))
    assert every[0] == every[1]
    items, flags, places, _, _, too_long = every[0]
    assert (items, too_long) == (sorted(items), 0)
    assert len(items) == len(rows)
    assert flags == [item[0] != 1 for item in items]
    equal = [at for at, (one, other) in enumerate(pairwise(items), 1) if one[:-6] == other[:-6]]
    assert places == [at for at in equal if nulls or not flags[at]]


@pytest.mark.parametrize("side", SIDES)
def test_an_entry_that_is_too_long(side: str) -> None:
    run = _load(side, "entries").EntryRun()
    run.add([b"a" * 2704], False)
    assert run.too_long == 0
    run.add([b"b" * 70_000, b"c" * 2705], True)
    assert run.too_long == 70_000
    assert [len(item) for item in run.items(0, 3)] == [2704] * 3
    run.clear()
    assert (len(run), run.bytes, run.too_long) == (0, 0, 0)


@settings(max_examples=60, deadline=None)
@given(st.lists(RUN_ROW, min_size=2, max_size=150), st.integers(2, 100), st.integers(0, 2))
def test_the_rightmost_leaf_is_split_by_a_run(rows: list[tuple[Any, ...]], cut: int, unique: int) -> None:
    from compute_node.access.btree.writer import build_meta

    sides = [Side(side, "is") for side in SIDES]
    answers = []
    for side in sides:
        run = _load(side.name, "entries").EntryRun()
        side.keys.gather(run, [(*row, number) for number, row in enumerate(rows)], None, None)
        run.sort()
        items = run.items(0, len(run))
        cut = min(cut, len(items) - 1)
        first = items[max(0, cut - 20) : cut]
        for block, image in enumerate((build_meta(78, 1), side.tree_module.leaf_image(78, 0, b"", first))):
            side.mtr.image(side.arena.lookup(7 + block), image)
        side.mtr.commit()
        assert side.tree.split_right(1, 1, run, 0, unique) == 0 or cut == 0  # it does not come behind the last one
        done = side.tree.split_right(1, 2, run, cut, unique)
        answers.append((done, side.tree.page_items(1), side.tree.page_head(1), side.tree.page_items(2)))
    assert answers[0] == answers[1]
    done, left, head, right = answers[0]
    if done:
        assert (left[0], left[2], left[3], left[4]) == (3, 2, first[-1], first[:-1])
        assert head == left[:4]
        assert right[:4] == (1, 0, 0, b"")
        assert right[4] == [first[-1], *items[cut : cut + done]]
    assert sides[0].pages() == sides[1].pages()
    assert sides[0].log.take() == sides[1].log.take()


def test_key_order_is_the_value_order() -> None:
    for side in SIDES:
        keys = Side(side, "is").keys
        texts = (None, "b", "ab", "a\0b", "a\0", "a", "")
        values = [(a, b) for a in (-(2**31), -1, 0, 1, 2**31 - 1, None) for b in texts]
        encoded = [keys.encode(value) for value in values]
        # The second column is descending with NULLs first, and what is listed above is its order.
        assert encoded == sorted(encoded)
        with pytest.raises(OverflowError):
            keys.encode((2**31, "a"))


@pytest.mark.parametrize("side", SIDES)
def test_missing_pages_are_named(side: str) -> None:
    it = Side(side, "is")
    snapshot = it.snapshot(1000, set(), 0)
    tid = it.heap.insert(0, it.codec.encode((1, "a")), 3, 0, 0)
    it.arena.drop(3)
    assert it.heap.fetch(snapshot, tid, it.all) == 3
    assert it.heap.fetch_chain(snapshot, tid, it.all) == 3
    assert it.heap.scan_page(snapshot, 0, it.all, False) == 3
    assert it.heap.probe(tid, snapshot, it.all, True) == 3
    assert it.heap.insert(0, it.codec.encode((1, "a")), 3, 0, 0) == -3
    assert it.heap.update(tid, (), (), 3, 0, True, False, -1) == -3
    assert it.heap.delete(tid, 3, 0) == -3
    assert it.heap.prune(0, 0) == -3
    it.arena.drop(7)
    assert it.tree.range_tids(b"", None, False) == 7
    assert it.tree.tids_of(it.keys, [(None,), (1,)], 0, 10) == ([], [0], 7)
    assert it.tree.insert(b"\1aaaaaa", False) == -7
