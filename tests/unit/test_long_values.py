"""Functions over long values work a piece at a time, and results have PostgreSQL's limits."""

from __future__ import annotations

import hashlib
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

import compute_node.types  # noqa: F401 - fills the registry
from aurora.errors import InvalidTextRepresentation, ProgramLimitExceeded, QueryCanceled
from compute_node.hub import HUB
from compute_node.types import long_text
from compute_node.types.registry import REGISTRY, TypeEnv

ENV = TypeEnv(timezone=UTC)
TEXT = st.text(alphabet="ab", max_size=60)
WORD = st.text(alphabet="ab", min_size=1, max_size=4)


@given(value=TEXT, old=WORD, new=st.text(alphabet="xyz", max_size=3), piece=st.integers(4, 16))
def test_pieces_give_the_whole(value: str, old: str, new: str, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_text, "PIECE", piece)
        assert long_text.split(value, old) == value.split(old)
        assert long_text.replace(value, old, new) == value.replace(old, new)
        assert long_text.by_pieces(str.upper)(value) == value.upper()
        assert long_text.digest("md5", value) == hashlib.md5(value.encode()).digest()
        assert long_text.digest("sha256", value.encode()) == hashlib.sha256(value.encode()).digest()


def function(oid: int) -> object:
    """The code of a function."""
    return REGISTRY.functions[oid].implementation


LONG = "ab" * 1_000_000
CALLS = [
    (870, (LONG,)),
    (871, (LONG,)),
    (2087, (LONG, "a", "xyz")),
    (2311, (LONG,)),
    (878, (LONG, "a", "b")),
    (394, (LONG, "a")),
    (2088, (LONG, "a", 5)),
    (3419, (LONG.encode(),)),
]


@pytest.mark.parametrize(("oid", "arguments"), CALLS)
def test_long_work_can_be_canceled(oid: int, arguments: tuple[object, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HUB, "pulse", canceled)
    with pytest.raises(QueryCanceled):
        function(oid)(*arguments)  # type: ignore[operator]


def canceled() -> None:
    raise QueryCanceled("canceled")


@pytest.mark.parametrize("oid", [3277, 3279, 3167, 3168])
@pytest.mark.parametrize("element", ["int4", "float8"])
def test_searches_of_long_arrays_can_be_canceled(oid: int, element: str, monkeypatch: pytest.MonkeyPatch) -> None:
    array = REGISTRY.types_by_name["_" + element]
    specialize = REGISTRY.functions[oid].specialize
    assert specialize is not None
    search = specialize((array, REGISTRY.types_by_name[element]), array)
    monkeypatch.setattr(HUB, "pulse", canceled)
    with pytest.raises(QueryCanceled):
        search([1] * 100_000, 2, *([3] if oid == 3168 else []))


def test_the_numbers_of_a_vector_are_read_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that ends in a fault is read a second time, number by number, and the whole text not for each."""
    vector = REGISTRY.types_by_name["oidvector"]
    stripped = []

    class Text(str):
        def rstrip(self, chars: str | None = None, /) -> str:
            stripped.append(len(self))
            return super().rstrip(chars)

    with pytest.raises(InvalidTextRepresentation, match='"x"'):
        vector.input(Text("12 " * 1_000 + "x"), -1, ENV)
    assert len(stripped) < 10
    monkeypatch.setattr(HUB, "pulse", canceled)
    with pytest.raises(QueryCanceled):
        vector.input("12 " * 10_000 + "x", -1, ENV)


@pytest.mark.parametrize(
    ("oid", "arguments", "message"),
    [
        (1622, ("x", 2147483647), "requested length too large"),
        (879, ("x", 2147483647), "requested length too large"),
        (874, ("x", 2147483647, "ab"), "requested length too large"),
        (2087, ("a" * 300_000, "a", "x" * 10_000), "out of memory"),
        (1193, (0, [1_000_000_000]), "array size exceeds the maximum allowed (134217727)"),
    ],
)
def test_results_have_a_limit(oid: int, arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ProgramLimitExceeded) as caught:
        function(oid)(*arguments)  # type: ignore[operator]
    assert caught.value.message == message


def test_aggregated_text_has_a_limit() -> None:
    part = "x" * 300_000
    with pytest.raises(ProgramLimitExceeded, match="out of memory") as caught:
        long_text.joined([part] * 5000)
    detail = "Cannot enlarge string buffer containing 1073700000 bytes by 300000 more bytes."
    assert caught.value.detail == detail
    assert long_text.joined(["a", "b"]) == "ab"
