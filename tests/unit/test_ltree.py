"""ltree: what is shown is read as the same; a query's test is that of a plain search over all ways to match; the order
is label by label; its operator classes of GiST let through whatever meets a condition."""

from __future__ import annotations

from functools import cmp_to_key

from hypothesis import given
from hypothesis import strategies as st

from aurora.errors import SqlError
from compute_node.access.gist.classes import gist_class
from compute_node.extensions.library import BASE_TYPES, LIBRARY
from compute_node.extensions.ltree import lquery, ltxtquery, paths
from compute_node.extensions.ltree.index_classes import ARRAYS_CODE, PATHS_CODE
from compute_node.extensions.ltree.lquery import Item
from compute_node.types.array import make_array_type

LABELS = st.sampled_from(["a", "b", "ab", "A", "a_b", "É", "b_c_a", "x" * 255])
PATHS = st.lists(LABELS, max_size=5).map(".".join)
NAMES = st.tuples(LABELS, st.sampled_from(["", "", "", "@", "*", "%", "@*", "%*"])).map("".join)
ITEMS = st.one_of(
    st.sampled_from(["*", "*", "*{1}", "*{,2}", "*{1,}", "*{0}", "*{2,3}"]),
    NAMES,
    st.lists(NAMES, min_size=1, max_size=2).map(lambda names: "!" + "|".join(names)),
    st.tuples(NAMES, st.sampled_from(["{,1}", "{2}", "{1,}", "{,}"])).map("".join),
    st.lists(NAMES, min_size=2, max_size=2).map("|".join),
)
QUERIES = st.lists(ITEMS, min_size=1, max_size=4).map(".".join)
WORDS = st.recursive(
    NAMES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["&", " | "]), inner).map("".join),
        inner.map(lambda part: f"!({part})"),
        inner.map(lambda part: f"( {part} )"),
    ),
    max_leaves=4,
)
SIGNS = st.text(st.sampled_from("ab_.*!|@%{},&() 1-É"), max_size=12)


@given(PATHS, QUERIES, WORDS)
def test_what_is_shown_is_read_as_the_same(path: str, query: str, words: str) -> None:
    assert paths.path_of(path) == path
    shown = lquery.query_of(query)
    assert lquery.query_of(shown) == shown
    assert lquery.items_of(shown) == lquery.items_of(query)
    joined = ltxtquery.query_of(words)
    assert ltxtquery.query_of(joined) == joined
    for name, value in (("ltree", path), ("lquery", shown), ("ltxtquery", joined)):
        kind = BASE_TYPES[{"ltree": "ltree_in", "lquery": "lquery_in", "ltxtquery": "ltxtq_in"}[name]]
        assert kind.send is not None
        assert kind.receive is not None
        assert kind.receive(kind.send(value), -1) == value


@given(SIGNS)
def test_a_text_is_read_or_refused(text: str) -> None:
    for reads in (paths.path_of, lquery.query_of, ltxtquery.query_of):
        try:
            shown = reads(text)
        except SqlError:
            continue
        assert reads(shown) == shown


def _searched(labels: list[str], items: tuple[Item, ...]) -> bool:
    """Every way to share the labels among the items."""
    if not items:
        return not labels
    item = items[0]
    for count in range(min(item.high, len(labels)) + 1):
        if count and not item.matches(labels[count - 1]):
            return False
        if count >= item.low and _searched(labels[count:], items[1:]):
            return True
    return False


@given(PATHS, QUERIES)
def test_a_query_matches_what_a_search_finds(path: str, query: str) -> None:
    assert lquery.matches(path, query) == _searched(paths.labels_of(path), lquery.items_of(query))


@given(st.lists(PATHS, min_size=2, max_size=6))
def test_the_order_is_that_of_labels(several: list[str]) -> None:
    assert sorted(several, key=paths.sort_key) == sorted(several, key=cmp_to_key(paths.compare))
    above = paths.common_ancestor_of(several)
    if above is not None:
        assert all(paths.is_ancestor(above, each) and above != each for each in several)


CONDITIONS = st.one_of(
    st.tuples(st.sampled_from([(1, "lt"), (2, "le"), (3, "eq"), (4, "ge"), (5, "gt")]), PATHS).map(
        lambda pair: (pair[0][0], f"ltree_{pair[0][1]}", pair[1])
    ),
    PATHS.map(lambda path: (10, "ltree_isparent", path)),
    PATHS.map(lambda path: (11, "ltree_risparent", path)),
    QUERIES.map(lambda query: (12, "ltq_regex", query)),
    WORDS.map(lambda words: (14, "ltxtq_exec", words)),
    st.lists(QUERIES, max_size=2).map(lambda queries: (16, "lt_q_regex", queries)),
)


@given(PATHS, st.lists(PATHS, max_size=2), CONDITIONS)
def test_indexes_of_paths_let_through_what_meets_a_condition(
    path: str, others: list[str], condition: tuple[int, str, object]
) -> None:
    strategy, symbol, asked = condition
    if not LIBRARY[symbol, 2].implementation(path, asked):
        return
    for options in ((), ("siglen=4",), ("siglen=2024",)):
        gist = gist_class(PATHS_CODE, BASE_TYPES["ltree_in"], options)
        key = gist.form.decode(gist.form.encode(gist.key(path)))
        above = gist.form.union([key, *map(gist.key, others)])
        test = gist.test(strategy, asked)
        assert gist.form.holds(above, key)
        assert test(key, True)
        assert test(gist.form.decode(gist.form.encode(above)), False)


OF_ARRAYS = st.one_of(
    PATHS.map(lambda path: (10, "_ltree_risparent", path)),
    QUERIES.map(lambda query: (12, "_ltq_regex", query)),
    WORDS.map(lambda words: (14, "_ltxtq_exec", words)),
    st.lists(QUERIES, max_size=2).map(lambda queries: (16, "_lt_q_regex", queries)),
)


@given(st.lists(PATHS, max_size=3), st.lists(PATHS, max_size=2), OF_ARRAYS)
def test_indexes_of_arrays_let_through_what_meets_a_condition(
    several: list[str], others: list[str], condition: tuple[int, str, object]
) -> None:
    strategy, symbol, asked = condition
    if not LIBRARY[symbol, 2].implementation(several, asked):
        return
    for options in ((), ("siglen=1",)):
        gist = gist_class(ARRAYS_CODE, make_array_type(BASE_TYPES["ltree_in"]), options)
        key = gist.form.decode(gist.form.encode(gist.key(several)))
        test = gist.test(strategy, asked)
        assert test(key, True)
        assert test(gist.form.union([key, gist.key(others)]), False)


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    query = ".".join(["*.a"] * 200)
    assert lquery.matches(".".join(["a"] * 1000), query)
    assert not lquery.matches(".".join(["a"] * 1000 + ["b"]), query)
