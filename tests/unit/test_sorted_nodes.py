"""Nodes over rows in an order, each against a plain model: merge joins, incremental sorts, sorted groups; and the
cache of a nested loop's inner side."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute_node.exec.nodes import merge_join
from compute_node.exec.nodes.memoize import COUNTED, ENTRY_BYTES, _Cache
from compute_node.sql import expressions as ex
from compute_node.sql import plan as pl
from compute_node.work.account import Account, Area
from compute_node.work.spill import Tuplestore
from tests.unit.test_exec_nodes import INT4, Fixture, agg, col, const, op

Row = tuple[Any, ...]
Rows = list[Row]

keys = st.one_of(st.none(), st.integers(0, 6))
pairs = st.lists(st.tuples(keys, st.integers(0, 3)), max_size=40)


def values(rows: Rows) -> pl.ValuesScan:
    made = tuple((const(one), const(other)) for one, other in rows)
    return pl.ValuesScan(values=made, output=(col(0), col(1)))


def by_key(row: Row, descending: bool) -> Row:
    """NULLs last when ascending, first when descending."""
    known = row[0] is not None
    return (known != descending if descending else not known, (-row[0] if descending else row[0]) if known else 0)


def sorted_rows(rows: Rows, descending: bool) -> Rows:
    nulls = [row for row in rows if row[0] is None]
    known = sorted((row for row in rows if row[0] is not None), key=lambda row: row[0], reverse=descending)
    return nulls + known if descending else known + nulls


def model(kind: str, left: Rows, right: Rows, condition: bool) -> Rows:
    """What a join on the first columns gives, where with a condition the second ones must not be equal."""

    def match(one: Row, other: Row) -> bool:
        return one[0] is not None and one[0] == other[0] and (not condition or one[1] != other[1])

    nulls = (None, None)
    found: Rows = []
    for one in left:
        mine = [other for other in right if match(one, other)]
        if kind == "semi":
            found += [(*one, None, None)] if mine else []
        elif kind == "anti":
            found += [] if mine else [(*one, None, None)]
        else:
            found += [(*one, *other) for other in mine]
            if not mine and kind in ("left", "full"):
                found.append((*one, *nulls))
    if kind in ("right", "full"):
        found += [(*nulls, *other) for other in right if not any(match(one, other) for one in left)]
    return found


def sortable(rows: Rows) -> Rows:
    return sorted(rows, key=lambda row: [(item is None, item or 0) for item in row])


@pytest.mark.parametrize("kind", ["inner", "left", "right", "full", "semi", "anti"])
@settings(max_examples=25, deadline=None)
@given(left=pairs, right=pairs, condition=st.booleans(), descending=st.booleans())
def test_merge_join_is_the_model(kind: str, left: Rows, right: Rows, condition: bool, descending: bool) -> None:
    left, right = sorted_rows(left, descending), sorted_rows(right, descending)
    output = (col(0), col(1), col(0, side=1), col(1, side=1))
    if kind in ("semi", "anti"):
        output = (col(0), col(1), const(None), const(None))  # type: ignore[assignment]
    plan = pl.MergeJoin(
        kind=kind,
        outer=values(left),
        inner=values(right),
        outer_keys=(col(0),),
        inner_keys=(col(0),),
        descending=(descending,),
        nulls_first=(descending,),
        condition=op("<>", col(1), col(1, side=1)) if condition else None,
        output=output,
    )
    found = Fixture().query(plan)
    assert sortable(found) == sortable(model(kind, left, right, condition))
    if kind in ("inner", "left", "semi", "anti"):
        assert [row[0] for row in found] == [row[0] for row in sorted_rows(found, descending)]


def test_merge_join_by_keys_of_two_directions() -> None:
    rows = [(one, other) for one in range(3) for other in (5, 3, 1)]
    plan = pl.MergeJoin(
        kind="inner",
        outer=values(rows),
        inner=values(rows[::2]),
        outer_keys=(col(0), col(1)),
        inner_keys=(col(0), col(1)),
        descending=(False, True),
        nulls_first=(False, True),
        output=(col(0), col(1, side=1)),
    )
    assert Fixture().query(plan) == rows[::2]


def test_a_large_group_goes_through_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge_join, "GROUP_ROWS", 10)
    right = [(1, n) for n in range(300)] + [(2, 0)]
    plan = pl.MergeJoin(
        kind="full",
        outer=values([(1, 7), (1, 8), (3, 0)]),
        inner=values(right),
        outer_keys=(col(0),),
        inner_keys=(col(0),),
        descending=(False,),
        nulls_first=(False,),
        output=(col(1), col(1, side=1)),
    )
    found = Fixture().query(plan)
    assert len(found) == 602
    assert sortable(found) == sortable([*((one, n) for one in (7, 8) for n in range(300)), (0, None), (None, 0)])


@pytest.mark.parametrize("kind", ["right", "full"])
def test_inner_rows_that_are_passed_go_through_a_store(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge_join, "GROUP_ROWS", 10)
    stored: list[int] = []
    append = Tuplestore.append

    def told(self: Tuplestore, batch: Rows) -> None:
        stored.append(len(batch))
        append(self, batch)

    monkeypatch.setattr(Tuplestore, "append", told)
    left = [(295, 7), (400, 8)]
    right = [(n, n) for n in range(300)] + [(None, n) for n in range(50)]
    plan = pl.MergeJoin(
        kind=kind,
        outer=values(left),
        inner=values(right),
        outer_keys=(col(0),),
        inner_keys=(col(0),),
        descending=(False,),
        nulls_first=(False,),
        output=(col(0), col(1), col(0, side=1), col(1, side=1)),
    )
    assert sortable(Fixture().query(plan)) == sortable(model(kind, left, right, False))
    assert sum(stored) >= 280


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), max_size=80), limit=st.integers(-1, 12))
def test_incremental_sort_is_a_sort(rows: Rows, limit: int) -> None:
    rows.sort(key=lambda row: row[0])
    plan = pl.IncrementalSort(
        child=values(rows),
        keys=(ex.SortKey(col(0), INT4), ex.SortKey(col(1), INT4, descending=True, nulls_first=True)),
        presorted=1,
        limit=None if limit < 0 else const(limit),
        output=(col(0), col(1)),
    )
    expected = sorted(rows, key=lambda row: (row[0], -row[1]))
    assert Fixture().query(plan) == (expected if limit < 0 else expected[:limit])


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(keys, st.integers(0, 9)), max_size=60))
def test_sorted_groups_are_hashed_groups(rows: Rows) -> None:
    rows = sorted_rows(rows, False)
    calls = (agg("count"), agg("sum", col(1)))
    output = (col(0), col(1, 20), col(2, 20))
    by_sort = pl.SortedGroups(child=values(rows), keys=(col(0),), aggregates=calls, output=output)
    by_hash = pl.AggregatePlan(child=values(rows), keys=(col(0),), aggregates=calls, output=output)
    assert Fixture().query(by_sort) == Fixture().query(by_hash)


def test_a_cache_gives_up_what_was_used_least_recently() -> None:
    area = Area(Account(), 3 * ENTRY_BYTES)
    cache = _Cache(area)
    for key in (1, 2, 3):
        assert cache.find(key) is None
        cache.keep(key, [[(key,)]], ENTRY_BYTES)
    assert cache.find(1) == [[(1,)]]
    cache.keep(4, [], ENTRY_BYTES)
    assert cache.find(2) is None
    assert cache.find(1) is not None
    assert area.used_bytes <= area.limit_bytes
    cache.keep(5, [], 4 * ENTRY_BYTES)
    assert [cache.facts[name] for name in COUNTED[:4]] == [2, 4, 1, 1]


def test_memoize_runs_its_child_once_for_a_key() -> None:
    fixture = Fixture()
    looked_up = ex.ExecParam(type=INT4, number=0)
    inner = pl.Memoize(child=fixture.by_key(looked_up), keys=(col(0),), output=(col(0), col(1), col(2, 25)))
    plan = pl.NestLoop(
        kind="left",
        outer=values([(3, 0), (3, 1), (None, 2), (77, 3), (3, 4)]),
        inner=inner,
        parameters=((0, col(0)),),
        output=(col(1), col(2, 25, side=1)),
    )
    assert fixture.query(plan, exec_params=1) == [(0, "t3"), (1, "t3"), (2, None), (3, None), (4, "t3")]
