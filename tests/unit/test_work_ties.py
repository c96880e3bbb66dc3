"""Equal rows in PostgreSQL's order: ``compute_node.work.ties``."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from compute_node.work.sorting import sort_few
from compute_node.work.ties import arranged

RANKS = st.lists(st.integers(0, 5), max_size=120)


@given(RANKS)
def test_every_row_comes_once_and_in_order(ranks: list[int]) -> None:
    places = arranged(ranks, None)
    assert sorted(places) == list(range(len(ranks)))
    assert [ranks[place] for place in places] == sorted(ranks)


@given(RANKS, st.integers(1, 30))
def test_a_heap_has_the_first_rows(ranks: list[int], least: int) -> None:
    places = arranged(ranks, least)
    assert len(set(places)) == len(places)
    assert [ranks[place] for place in places[:least]] == sorted(ranks)[:least]


@given(st.lists(st.integers(0, 5), max_size=60))
def test_sorted_rows_stay(ranks: list[int]) -> None:
    assert arranged(sorted(ranks), None) == list(range(len(ranks)))


def test_equal_rows_as_postgresql_leaves_them() -> None:
    rows = [(4, 0), (2, 2), (1, 1), (6, 2), (9, 1), (8, 0), (5, 1), (3, 3), (7, 3), (0, 0)]
    sort_few(rows, [(lambda row: row[1], False)])
    assert [row[0] for row in rows] == [0, 8, 4, 5, 9, 1, 6, 2, 3, 7]


@given(st.lists(st.tuples(st.integers(0, 3), st.none() | st.integers(0, 2)), max_size=60))
def test_two_keys_of_two_directions(rows: list[tuple[int, int | None]]) -> None:
    passes = [(lambda row: (row[1] is None, row[1]), True), (lambda row: row[0], False)]
    found = list(rows)
    sort_few(found, passes)
    wanted = sorted(rows, key=lambda row: (row[1] is not None, -(row[1] or 0)))
    wanted.sort(key=lambda row: row[0])
    assert found == wanted
