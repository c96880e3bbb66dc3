"""Columns, groups and folds: the compiled kernels answer what their specification answers."""

from __future__ import annotations

import importlib
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora.errors import NumericValueOutOfRange
from aurora.kernels.python import columns as py_columns
from aurora.kernels.python import groups as py_groups
from aurora.kernels.python import tuples as py_tuples
from compute_node.types.numeric import from_disk, to_disk

try:
    columns = importlib.import_module("aurora.kernels.native.columns")
    groups = importlib.import_module("aurora.kernels.native.groups")
    tuples = importlib.import_module("aurora.kernels.native.tuples")
except ImportError:
    pytest.skip("the compiled kernels are not built", allow_module_level=True)

INT8 = st.integers(-(1 << 63), (1 << 63) - 1)
NUMERICS = st.one_of(
    st.decimals(allow_nan=True, allow_infinity=True, places=2),
    st.decimals(min_value=-(10**25), max_value=10**25, places=4),
    st.sampled_from(
        [Decimal("1E-30"), Decimal("-0.00"), Decimal(1 << 63), Decimal(-(1 << 63)), Decimal((1 << 63) - 1)]
    ),
)
TEXTS = st.one_of(
    st.text(alphabet="ab é\0x"[:4] + "€", max_size=5), st.text(max_size=300).map(lambda t: t.replace("\0", ""))
)
ROW = st.tuples(
    st.one_of(st.none(), st.integers(-(1 << 31), (1 << 31) - 1)),
    st.one_of(st.none(), INT8),
    st.one_of(st.none(), st.booleans()),
    st.one_of(st.none(), st.floats(allow_nan=False)),
    st.one_of(st.none(), TEXTS),
    st.one_of(st.none(), NUMERICS),
    st.one_of(st.none(), st.binary(max_size=9)),
)
CODES, KINDS = "iq?dsxy", "iibfsno"


def codec_of(module: Any, missing: Any = None) -> Any:
    hooks: list[Any] = [None] * 5 + [to_disk, None]
    back: list[Any] = [None] * 5 + [from_disk, None]
    return module.RowCodec(CODES, hooks, back, missing)


def plain(column: Any) -> Any:
    """A column as something that can be compared."""
    return tuple(
        (part.dtype.str, [str(each) for each in part.tolist()])
        if isinstance(part, np.ndarray)
        else [str(each) for each in part]
        if isinstance(part, list)
        else part
        for part in column
    )


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(ROW, max_size=12),
    attnos=st.permutations(range(1, 8)).flatmap(lambda order: st.integers(1, 7).map(lambda n: tuple(order[:n]))),
    cut=st.integers(0, 7),
    undo=st.integers(0, 12),
)
def test_columns_are_the_rows(rows: list[Any], attnos: tuple[int, ...], cut: int, undo: int) -> None:
    kinds = "".join(KINDS[attno - 1] for attno in attnos)
    found = []
    for module, kernel in ((tuples, columns), (py_tuples, py_columns)):
        codec = codec_of(module, [7, None, True, 1.5, "zé", Decimal("2.50"), b"y"])
        # Rows of before columns were added have the first ones only.
        short = module.RowCodec(CODES[:cut], [None] * cut, [None] * cut) if 0 < cut < 6 else None
        gathered = kernel.Columns(module.Projection(codec, attnos, False), kinds)
        for at, row in enumerate(rows):
            image = short.encode(row[:cut]) if short is not None and at % 3 == 2 else codec.encode(row)
            gathered.put(image, 0)
        if undo < gathered.count:
            gathered.undo(undo)
        taken = gathered.take()
        assert gathered.count == 0
        found.append([plain(each) for each in taken])
    assert found[0] == found[1]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.one_of(st.none(), NUMERICS, st.decimals(allow_nan=False, allow_infinity=False)), max_size=6))
def test_numerics_have_the_same_parts(values: list[Any]) -> None:
    own, specified = columns.unscaled_each(values), py_columns.unscaled_each(values)
    assert (own is None) == (specified is None)
    if own is not None:
        assert plain(own) == plain(specified)
        assert columns.decimals(*own) == py_columns.decimals(*own) == [value or 0 for value in values]


OFFSETS = st.lists(TEXTS, max_size=8)


def packed(texts: list[str]) -> tuple[bytes, Any]:
    encoded = [text.encode() for text in texts]
    return b"".join(encoded), np.cumsum([0, *map(len, encoded)], dtype=np.int64)


@settings(max_examples=80, deadline=None)
@given(
    texts=OFFSETS,
    other=st.data(),
    padded=st.booleans(),
    parts=st.lists(st.text(alphabet="ab €", max_size=2), min_size=1, max_size=4),
)
def test_texts_are_looked_at_alike(texts: list[str], other: Any, padded: bool, parts: list[str]) -> None:
    pool, offsets = packed(texts)
    second, second_offsets = packed(other.draw(st.lists(TEXTS, min_size=len(texts), max_size=len(texts))))
    rows = np.array(other.draw(st.lists(st.integers(0, max(len(texts) - 1, 0)), max_size=5 if texts else 0)), np.int64)
    pieces = tuple(part.encode() for part in parts)
    for name, arguments in (
        ("strings", (pool, offsets)),
        ("gathered", (pool, offsets, rows)),
        ("equal_to", (pool, offsets, pieces[0], padded)),
        ("pairwise_equal", (pool, offsets, second, second_offsets, padded)),
        ("like", (pool, offsets, pieces)),
    ):
        own, specified = getattr(columns, name)(*arguments), getattr(py_columns, name)(*arguments)
        assert plain((own,) if name != "gathered" else own) == plain((specified,) if name != "gathered" else specified)


def flags_of(values: list[Any]) -> Any:
    nulls = np.array([value is None for value in values], np.bool_)
    return nulls if nulls.any() else None


KEYS = st.lists(st.tuples(st.one_of(st.none(), st.integers(-2, 2)), st.one_of(st.none(), INT8)), max_size=40)


@settings(max_examples=80, deadline=None)
@given(batches=st.lists(KEYS, max_size=3), match_null=st.booleans())
def test_keys_get_the_same_numbers(batches: list[list[Any]], match_null: bool) -> None:
    own, specified = groups.Groups(2), py_groups.Groups(2)
    for batch in batches:
        parts = [np.array([key[place] or 0 for key in batch], np.int64) for place in (0, 1)]
        nulls = [flags_of([key[place] for key in batch]) for place in (0, 1)]
        assert own.assign(parts, nulls, match_null).tolist() == specified.assign(parts, nulls, match_null).tolist()
        assert own.find(parts, nulls).tolist() == specified.find(parts, nulls).tolist()
        assert own.find(parts, nulls, match_null).tolist() == specified.find(parts, nulls, match_null).tolist()
    assert own.count == specified.count
    assert [plain(own.part(place)) for place in (0, 1)] == [plain(specified.part(place)) for place in (0, 1)]


def test_many_keys_and_texts_keep_their_numbers() -> None:
    own, texts = groups.Groups(1), groups.Texts(False)
    values = np.arange(5000, dtype=np.int64) * 1_000_003
    pool, offsets = packed([f"text {number}" for number in range(5000)])
    for _ in range(2):
        assert own.assign([values], [None], True).tolist() == list(range(5000))
        assert texts.assign(pool, offsets, None).tolist() == list(range(5000))
    assert own.part(0)[0].tolist() == values.tolist()
    assert texts.taken(np.arange(5000, dtype=np.int64))[0] == pool


@settings(max_examples=80, deadline=None)
@given(batches=st.lists(st.lists(st.one_of(st.none(), TEXTS), max_size=12), max_size=3), padded=st.booleans())
def test_texts_get_the_same_numbers(batches: list[list[Any]], padded: bool) -> None:
    own, specified = groups.Texts(padded), py_groups.Texts(padded)
    for batch in batches:
        pool, offsets = packed([text or "" for text in batch])
        nulls = flags_of(batch)
        assert own.find(pool, offsets, nulls).tolist() == specified.find(pool, offsets, nulls).tolist()
        numbers = own.assign(pool, offsets, nulls)
        assert numbers.tolist() == specified.assign(pool, offsets, nulls).tolist()
        assert own.size_bytes == specified.size_bytes
        assert plain(own.taken(numbers)) == plain(specified.taken(numbers))


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(TEXTS, max_size=12), padded=st.booleans(), seed=st.integers(0, (1 << 64) - 1))
def test_texts_get_the_same_hashes(texts: list[str], padded: bool, seed: int) -> None:
    own = groups.text_hashes(*packed(texts), padded, seed)
    assert plain((own,)) == plain((py_groups.text_hashes(*packed(texts), padded, seed),))
    if padded:
        assert own.tolist() == groups.text_hashes(*packed([text + "  " for text in texts]), True, seed).tolist()


FLOATS = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=120, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.one_of(st.none(), INT8), st.one_of(st.none(), FLOATS)), max_size=20),
    is_one=st.booleans(),
)
def test_folds_give_the_same_states(rows: list[Any], is_one: bool) -> None:
    numbers = None if is_one else np.array([row[0] for row in rows], np.int32)
    ints = np.array([row[1] or 0 for row in rows], np.int64)
    reals = np.array([row[2] or 0.0 for row in rows], np.float64)
    int_nulls, real_nulls = flags_of([row[1] for row in rows]), flags_of([row[2] for row in rows])
    results = []
    for kernel in (groups, py_groups):
        states: list[Any] = []

        def fresh(dtype: Any, states: list[Any] = states) -> Any:
            states.append(np.zeros(3, dtype))
            return states[-1]

        outcome: list[Any] = [states]
        kernel.count_into(numbers, len(rows), int_nulls, fresh(np.int64))
        kernel.sum_into(numbers, ints, int_nulls, fresh(np.uint64), fresh(np.int64), fresh(np.int64))
        for greatest in (False, True):
            kernel.extreme_into(numbers, ints, int_nulls, fresh(np.int64), fresh(np.int64), greatest)
            kernel.extreme_floats_into(numbers, reals, real_nulls, fresh(np.float64), fresh(np.int64), greatest)
        try:
            kernel.sum_floats_into(numbers, reals, real_nulls, fresh(np.float64), fresh(np.int64))
            kernel.moments_into(numbers, reals, real_nulls, fresh(np.float64), fresh(np.float64), fresh(np.int64))
        except NumericValueOutOfRange as error:
            outcome.append(str(error))
        results.append((plain(states), outcome[1:]))
    assert results[0] == results[1]


def test_a_sum_has_more_than_64_bits() -> None:
    low, high, counts = np.zeros(1, np.uint64), np.zeros(1, np.int64), np.zeros(1, np.int64)
    for value in ((1 << 63) - 1, -(1 << 63)):
        low[:], high[:] = 0, 0
        groups.sum_into(None, np.full(1000, value, np.int64), None, low, high, counts)
        assert (int(high[0]) << 64) + int(low[0]) == value * 1000
    assert counts[0] == 2000


@pytest.mark.parametrize("kernel", [groups, py_groups])
def test_a_group_without_a_state_is_refused(kernel: Any) -> None:
    with pytest.raises(IndexError):
        kernel.count_into(np.array([3], np.int32), 1, None, np.zeros(3, np.int64))
