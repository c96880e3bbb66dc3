"""The operator classes of pg_trgm: whatever meets a condition is let through by its trigrams, in GIN, in GiST's leaves
and above them; indexes in storage give what a scan gives, also after vacuum, and in the order of the distances."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from aurora.datum import Datum
from aurora.errors import InvalidRegularExpression
from compute_node.access.gin.classes import gin_class
from compute_node.access.gin.search import AtLeast, Both, Either, Every, Item, Search, places
from compute_node.access.gist.classes import gist_class
from compute_node.access.gist.keys import KeyForms
from compute_node.access.index_access import ScanKey
from compute_node.access.vacuum import vacuum
from compute_node.extensions.pg_trgm.index_classes import GIN_CODE, GIST_CODE
from compute_node.extensions.pg_trgm.patterns import like_search, regex_search
from compute_node.extensions.pg_trgm.signatures import TRIGRAMS_MAX, TrigramForm
from compute_node.extensions.pg_trgm.similarity import similarity, word_similarity
from compute_node.extensions.pg_trgm.trigrams import distinct, in_order
from compute_node.relations.descriptors import ColumnDesc, IndexDesc, RelationDesc
from compute_node.types.like import like_test
from compute_node.types.regex import compile_regex
from compute_node.types.regex.syntax import ADVANCED, ICASE
from compute_node.types.registry import REGISTRY
from compute_node.work.account import Account, Area
from tests.unit.support_access import create, latest, run_greenlets
from tests.unit.test_index_trees import make_storage

INT4, TEXT = 23, 25
LIMITS = {
    "pg_trgm.similarity_threshold": 0.3,
    "pg_trgm.word_similarity_threshold": 0.6,
    "pg_trgm.strict_word_similarity_threshold": 0.5,
}
SIMILAR, LIKE, ILIKE, REGEX, IREGEX, WORD, STRICT_WORD, EQUAL = 1, 3, 4, 5, 6, 7, 9, 11
NEAREST, NEAREST_WORD = 2, 8


def settings(name: str, missing_ok: bool) -> str | None:
    return str(LIMITS[name])


MEETS: dict[int, Callable[[str, str], bool]] = {
    SIMILAR: lambda text, value: similarity(text, value) >= 0.3,
    LIKE: lambda text, value: like_test(value)(text),
    ILIKE: lambda text, value: like_test(value, True)(text),
    REGEX: lambda text, value: compile_regex(value, ADVANCED).test(text),
    IREGEX: lambda text, value: compile_regex(value, ADVANCED | ICASE).test(text),
    WORD: lambda text, value: word_similarity(value, text) >= 0.6,
    STRICT_WORD: lambda text, value: word_similarity(value, text, True) >= 0.5,
    EQUAL: lambda text, value: text == value,
}
SIGNS = "abABcé_1 -.ΣſKİ\n"
TEXTS = st.text(st.sampled_from(SIGNS), max_size=14) | st.lists(
    st.sampled_from(["word", "Words", "two", "foo", "bar baz", "x"]), max_size=4
).map(" ".join)
LIKES = st.lists(st.sampled_from(["%", "_", "a", "ab", "Bc", "é", " ", "-", "foo", "word", "\\%"]), max_size=7).map(
    "".join
)
ATOMS = st.sampled_from(
    ["a", "b", "ab", "Ab1", "foo", "word", "é", " ", "\\s", "\\w", ".", "[a-c]", "[^a]", "^", "$", "\\m", "\\M", "\\y",
     "(?=a)", "\\A", "\\Z", "[[:alnum:]]", "-", "_"]
)  # fmt: skip
REGEXES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{3,}", "+?"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=8,
)


def has(search: Search, items: frozenset[Datum]) -> bool:
    match search:
        case Item(data):
            return data in items
        case Both(parts):
            return all(has(part, items) for part in parts)
        case Either(parts):
            return any(has(part, items) for part in parts)
        case AtLeast(count, wanted):
            return sum(item.data in items for item in wanted) >= count
        case Every():
            return True
        case _:
            raise AssertionError(search)


def check_let_through(strategy: int, text: str, value: str, others: list[str]) -> bool:
    """Whether GIN lets the text through, which must be so if it meets the condition; the same of GiST."""
    key = ScanKey(0, strategy, value, settings=settings)
    kind = REGISTRY.types[TEXT]
    gin = gin_class(GIN_CODE, kind)
    search = gin.asked(key)
    found = has(search, frozenset(gin.items(text)))
    meets = MEETS[strategy](text, value)
    assert found or not meets
    for options in ((), ("siglen=1",), ("siglen=300",)):
        gist = gist_class(GIST_CODE, kind, options)
        form, test = gist.form, gist.asked(key)
        own = form.decode(form.encode(gist.key(text)))
        above = form.union([own, *map(gist.key, others)])
        assert form.holds(above, own)
        assert form.union_of_stored([form.encode(own), *(form.encode(gist.key(each)) for each in others)]) == above
        if meets:
            assert test(own, True)
            assert test(above, False)
            assert test(form.decode(form.encode(above)), False)
    return found


@given(st.sampled_from([SIMILAR, WORD, STRICT_WORD, EQUAL]), TEXTS, TEXTS, st.lists(TEXTS, max_size=2))
def test_likeness_lets_through_what_is_alike(strategy: int, text: str, value: str, others: list[str]) -> None:
    check_let_through(strategy, text, value, others)
    check_let_through(strategy, text, text, others)


@given(st.sampled_from([LIKE, ILIKE]), TEXTS, LIKES, st.lists(TEXTS, max_size=2))
def test_like_lets_through_what_matches(strategy: int, text: str, pattern: str, others: list[str]) -> None:
    check_let_through(strategy, text, pattern, others)
    if not text.endswith("\\"):
        check_let_through(strategy, text, f"%{text[1:-1]}%", others)
        check_let_through(strategy, text, text[:4] + "%" + text[6:], others)


@given(st.sampled_from([REGEX, IREGEX]), TEXTS, REGEXES, st.lists(TEXTS, max_size=2))
def test_expressions_let_through_what_matches(strategy: int, text: str, pattern: str, others: list[str]) -> None:
    try:
        compile_regex(pattern, ADVANCED)
    except InvalidRegularExpression:
        assume(False)
    check_let_through(strategy, text, pattern, others)


def _distance(alike: float) -> float:
    """As the operators give it: in single precision."""
    return float(np.float32(1) - np.float32(alike))


@given(TEXTS, TEXTS, st.lists(TEXTS, max_size=2))
@example("1", "1_A1", [])
@example("1", "111A", [])
def test_distances_are_not_less_than_those_of_keys(text: str, value: str, others: list[str]) -> None:
    for options in ((), ("siglen=1",)):
        gist = gist_class(GIST_CODE, REGISTRY.types[TEXT], options)
        assert gist.distance is not None
        far = gist.distance(1, value)
        key = gist.key(text)
        above = gist.form.union([key, *map(gist.key, others)])
        assert far(above) <= far(key) <= _distance(similarity(text, value))
        assert far(key) <= _distance(word_similarity(value, text))


@given(TEXTS)
def test_distinct_trigrams_are_those_in_order(text: str) -> None:
    assert distinct(text) == frozenset(in_order(text).trigrams)


def test_what_patterns_ask() -> None:
    def asked(search: Search) -> set[str]:
        match search:
            case Item(data):
                return {data.decode()}
            case Both(parts) | Either(parts):
                return {each for part in parts for each in asked(part)}
            case _:
                return set()

    assert asked(like_search("%foo b_r%")) == {"foo", "oo ", "  b"}
    assert asked(like_search("ab")) == {"  a", " ab", "ab "}
    assert asked(regex_search("^foo", False)) == {"  f", " fo", "foo"}
    assert asked(regex_search("a(bc|de)f", False)) == {"abc", "bcf", "ade", "def"}
    assert asked(regex_search("Word\\M", True)) == {"wor", "ord", "rd "}
    assert asked(regex_search("ab{2,}c", False)) == {"abb", "bbc"}
    assert regex_search("a.c", False) == regex_search("(abc)?", False) == like_search("%a_c%") == Every()


def test_places_of_at_least_some_items() -> None:
    """Of three items two must be there, so that one of any two is."""
    wanted = AtLeast(2, (Item(b"aaa"), Item(b"bbb"), Item(b"ccc")))
    assert [lower[2:5] for lower, _ in places(wanted, 0)] == [b"bbb", b"ccc"]


def test_a_text_of_many_trigrams_has_a_signature() -> None:
    form = TrigramForm(12)
    many = frozenset(number.to_bytes(3, "big") for number in range(TRIGRAMS_MAX + 1))
    assert form.of(many).trigrams is None
    assert form.of(many) == form.decode(form.encode(form.of(many)))
    assert form.of(frozenset(list(many)[1:])).trigrams is not None


@pytest.mark.parametrize("options", [(), ("siglen=1",), ("siglen=77",)])
def test_what_grows_least_is_found_by_arrays(options: tuple[str, ...]) -> None:
    rng = random.Random(3)
    forms = KeyForms([gist_class(GIST_CODE, REGISTRY.types[TEXT], options)])
    keys = [forms.union([forms.of((row(rng, 0)[1] or "x",)) for _ in range(2)]) for _ in range(30)]
    together = forms.together(keys)
    assert together is not None
    for _ in range(60):
        inner = forms.of((row(rng, 0)[1] or "y",))
        found = forms.least(keys, together, inner)
        assert found == forms.least(keys, None, inner)
        keys[found] = forms.union([keys[found], inner])
        together = together.replaced(found, keys[found][0].key)
        assert together is not None


# In storage


def index(oid: int, method: str, code: int, *options: str) -> IndexDesc:
    return IndexDesc(
        oid, oid, f"i{oid}", (2,), False, False, key_types=(TEXT,), operator_classes=(99,), method=method,
        codes=(code,), class_options=(options,),
    )  # fmt: skip


INDEXES = (index(2001, "gin", GIN_CODE), index(2002, "gist", GIST_CODE), index(2003, "gist", GIST_CODE, "siglen=64"))
WORDS = ("alpha", "Alphabet", "beta", "gamma-ray", "delta_x", "épée", "x1", "")


def row(rng: random.Random, number: int) -> tuple[Any, ...]:
    words = " ".join(rng.choice(WORDS) + str(rng.randrange(30)) for _ in range(rng.randrange(5)))
    return number, None if rng.random() < 0.1 else words


def check(table: Any, rng: random.Random) -> None:
    rows = [found for batch in table.scan(latest(table.storage), (1, 2), False) for found in batch]
    texts = [text for _, text in rows if text]
    some = rng.choice(texts)
    asked = [
        (SIMILAR, some), (LIKE, f"%{some[2:7]}%"), (ILIKE, "%ALPHA1%"), (REGEX, "beta[12]\\M"), (IREGEX, "Gamma.RAY2"),
        (WORD, "alphabet1"), (STRICT_WORD, some[:9]), (EQUAL, some), (LIKE, "%"), (REGEX, "x|y"),
    ]  # fmt: skip
    for strategy, value in asked:
        key = ScanKey(0, strategy, value, settings=settings)
        wanted = sorted(number for number, text in rows if text is not None and MEETS[strategy](text, value))
        for each in table.indexes:
            found = [
                number
                for batch in each.scan(latest(table.storage), [key], False, (1, 2), False)
                for number, text in batch
                if text is not None and MEETS[strategy](text, value)
            ]
            assert sorted(found) == wanted, (strategy, value, each.desc.name)
    for strategy, measure in (
        (NEAREST, lambda text, value: 1 - similarity(text, value)),
        (NEAREST_WORD, lambda text, value: 1 - word_similarity(value, text)),
    ):
        order = ScanKey(0, strategy, some, measure=measure)
        wanted = sorted(measure(text, some) for _, text in rows if text is not None)
        for each in table.indexes[1:]:
            area = Area(Account(), 1 << 30)
            found = [
                measure(text, some)
                for batch in each.scan_nearest(latest(table.storage), [], [order], (1, 2), False, area)
                for _, text in batch
                if text is not None
            ]
            assert found == wanted, (strategy, each.desc.name)


@pytest.mark.parametrize("seed", [1, 2])
def test_indexes_agree_with_the_table(seed: int) -> None:
    def body() -> None:
        rng = random.Random(seed)
        storage = make_storage()
        columns = (ColumnDesc(1, "a", INT4, -1, False), ColumnDesc(2, "b", TEXT, -1, False))
        table: Any = create(storage, RelationDesc(2000, 2000, "t", "public", 2200, "r", columns, INDEXES, database=0))
        for step in range(6):
            txn = storage.txns.begin()
            table.insert_many(txn, [row(rng, 1000 * step + each) for each in range(rng.choice([1, 20, 150]))])
            snapshot = storage.txns.snapshot(txn)
            known = [found[-1] for batch in table.scan(latest(storage), (1,), True) for found in batch]
            for tid in rng.sample(known, min(len(known), 12)):
                table.delete(txn, snapshot, tid, lambda _: True, (1,))
            storage.txns.commit(txn)
            if step % 2:
                vacuum(table)
        check(table, rng)

    run_greenlets(body)
