"""Orders of collations: keys of sorting, indexes and hashes agree; what is there without ICU says what it lacks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora.errors import IndeterminateCollation, NotSupported
from compute_node.types import REGISTRY
from compute_node.types.collation import (
    DEFAULT,
    INDETERMINATE,
    UNDETERMINED,
    Collation,
    collated,
    collated_type,
    collation_of,
    icu_,
    plain,
)
from compute_node.types.collation.code import code_under, depends
from compute_node.types.oids import BPCHAR, TEXT

needs_icu = pytest.mark.skipif(not icu_.available(), reason="PyICU is not installed")
GERMAN = Collation(20000, "de", 11, "i", True, "de")
LOOSE = Collation(20001, "loose", 11, "i", False, "und-u-ks-level1")
C = Collation(950, "C", 11, "c", True, "C", "C")
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)


@given(st.integers(1, 2**32 - 1), st.one_of(st.integers(1, 2**31), st.just(INDETERMINATE)))
def test_a_type_under_a_collation_has_a_number_of_both(kind: int, collation: int) -> None:
    number = collated(kind, collation)
    assert (plain(number), collation_of(number)) == (kind, collation)
    assert collated(kind, 0) == kind
    assert collated(number, collation) == number


@needs_icu
@pytest.mark.parametrize("collation", [GERMAN, LOOSE], ids=lambda each: each.name)
@given(texts, texts)
def test_order_index_keys_and_equality_agree(collation: Collation, one: str, other: str) -> None:
    kind = collated_type(REGISTRY.types[TEXT], collation)
    assert kind.sort_value is not None
    assert kind.sort_key is not None
    less, same = kind.sort_value(one) < kind.sort_value(other), kind.sort_value(one) == kind.sort_value(other)
    assert (kind.sort_key(one) < kind.sort_key(other), kind.sort_key(one) == kind.sort_key(other)) == (less, same)
    assert not same or one == other or not collation.deterministic
    if kind.sort_key(one) != kind.sort_key(other):
        assert not kind.sort_key(other).startswith(kind.sort_key(one))
    equal = code_under(REGISTRY.functions[67], collation)
    assert (equal is None) == collation.deterministic
    assert equal is None or equal(one, other) == same


@needs_icu
def test_arrays_and_padded_strings_are_ordered_by_their_texts() -> None:
    array = collated_type(REGISTRY.types[1009], LOOSE)
    assert array.sort_value is not None
    assert array.sort_value(["a", "B"]) == array.sort_value(["Á", "b"])
    padded = collated_type(REGISTRY.types[BPCHAR], LOOSE)
    assert padded.sort_value is not None
    assert padded.sort_value("a  ") == padded.sort_value("A")
    assert collated_type(REGISTRY.types[23], LOOSE) is REGISTRY.types[23]


def test_c_maps_ascii_alone_and_orders_by_code_points() -> None:
    assert C.order() is None
    assert (C.lower()("ÄB"), C.upper()("äb")) == ("Äb", "äB")
    assert depends(REGISTRY.functions[870], C)
    assert not depends(REGISTRY.functions[740], C)
    default = Collation(DEFAULT, "default", 11, "d", True)
    assert not any(depends(REGISTRY.functions[oid], default) for oid in (67, 740, 870, 850, 1633))


def test_what_disagrees_fails_when_it_is_compared() -> None:
    kind = collated_type(REGISTRY.types[TEXT], UNDETERMINED)
    assert kind.sort_value is not None
    with pytest.raises(IndeterminateCollation, match="string comparison"):
        kind.sort_value("a")
    lower = code_under(REGISTRY.functions[870], UNDETERMINED)
    assert lower is not None
    with pytest.raises(IndeterminateCollation, match=r"lower\(\) function"):
        lower("a")
    assert code_under(REGISTRY.functions[850], UNDETERMINED) is None, "LIKE compares characters"


def test_without_the_binding_an_icu_collation_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(icu_, "_library", lambda: None)
    icu_.icu_locale.cache_clear()
    try:
        with pytest.raises(NotSupported, match="PyICU"):
            GERMAN.order()
        assert icu_.actual_version.__wrapped__("de") is None
    finally:
        icu_.icu_locale.cache_clear()
