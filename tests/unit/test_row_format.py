"""Row format 2 and pglz: compressed and out-of-line values, both sides of the kernels alike."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora.errors import DataCorrupted, ProgramLimitExceeded

SIDES = ("python", "native")


def _load(side: str, name: str) -> Any:
    return importlib.import_module(f"aurora.kernels.{side}.{name}")


try:
    _load("native", "pglz")
except ImportError:
    pytest.skip("the compiled kernels are not built", allow_module_level=True)

CODES = "isyxcs"
HOOK = [None, None, None, lambda value: value[::-1], None, None]
VALUE = st.one_of(st.none(), st.integers(0, 8000))
STORED = st.sampled_from(["plain", "pglz", "lz4", "outside"])


def codec(side: str, limit: int = 0) -> Any:
    return _load(side, "tuples").RowCodec(CODES, HOOK, HOOK, None, limit)


def toasted(side: str, row_codec: Any, column: int, how: str, size: int) -> Any:
    """A stored value of ``column`` in each of the forms."""
    handle = _load(side, "tuples").Toasted
    data = bytes(each % 127 for each in range(size % 700))
    if how == "outside":
        return handle(row_codec, column, size % 3, size * 7, size, size + 1, 4711)
    method = {"plain": 0, "pglz": 1, "lz4": 2}[how]
    return handle(row_codec, column, method, size + len(data) if method else len(data), len(data), data=data)


def same(a: Any, b: Any) -> bool:
    """Rows of both sides alike, handles by what they say."""
    if hasattr(a, "raw_bytes") and hasattr(b, "raw_bytes"):
        return all(
            getattr(a, name) == getattr(b, name)
            for name in ("column", "method", "raw_bytes", "stored_bytes", "value_id", "relation", "data", "is_external")
        )
    if isinstance(a, tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([1, 2, 3, 5]), STORED, st.integers(0, 5000)), max_size=4), st.booleans())
def test_stored_forms(parts: list[tuple[int, str, int]], with_null: bool) -> None:
    images, rows, found, wide = [], [], [], []
    for side in SIDES:
        it = codec(side)
        row: list[Any] = [7, "short", b"b" * 200, None if with_null else b"hook", "c", "e" * 127]
        for column, how, size in parts:
            row[column] = toasted(side, it, column, how, size)
        image = it.encode(row)
        images.append(image)
        rows.append(it.decode(image, 0))
        found.append(tuple(it.externals(image, 0, None)))
        # What an update leaves is copied as it stands; a column added since is its missing value.
        longer = _load(side, "tuples").RowCodec(CODES + "s", [*HOOK, None], [*HOOK, None], [*[None] * 6, "new"])
        new = longer.replace(image, 0, (0, 4), (8, "d"))
        assert same(longer.decode(new, 0)[1:4], rows[-1][1:4])
        assert same(tuple(longer.externals(new, 0, None)), found[-1])
        assert [each.column for each in it.externals(image, 0, (1, 2))] == [
            each.column for each in found[-1] if each.column in (1, 2)
        ]
        wide.append(new)
        # A handle encodes as what it stands for.
        assert it.encode(rows[-1]) == image
    assert images[0] == images[1]
    assert wide[0] == wide[1]
    assert same(rows[0], rows[1])
    assert same(found[0], found[1])
    outside = {column for column, how, _ in parts if how == "outside"}
    last = {column: how for column, how, _ in parts}
    assert {each.column for each in found[0]} == {column for column in outside if last[column] == "outside"}


@pytest.mark.parametrize("side", SIDES)
def test_a_short_value_takes_one_byte_more_than_its_text(side: str) -> None:
    it = _load(side, "tuples").RowCodec("s", [None], [None])
    for size, head in ((0, 1), (1, 1), (127, 1), (128, 2), (1996, 2), (8126, 2)):
        image = it.encode(("x" * size,))
        assert len(image) == 32 + head + size
        assert it.decode(image, 0) == ("x" * size,)


@pytest.mark.parametrize("side", SIDES)
def test_limits(side: str) -> None:
    with_toast = codec(side, 2038)
    row = (1, "x" * 2005, None, None, None, None)
    assert with_toast.encode(row) is None
    assert with_toast.replace(with_toast.encode((1, "", *row[2:])), 0, (1,), (row[1],)) is None
    assert len(with_toast.encode(row, True)) == 32 + 1 + 4 + 2 + 2005
    with pytest.raises(ProgramLimitExceeded, match="row is too big: size 100039, maximum size 8160"):
        with_toast.encode((1, "x" * 100_000, *row[2:]), True)
    with pytest.raises(ValueError, match="2048 columns"):
        _load(side, "tuples").RowCodec("i" * 2048, [None] * 2048, [None] * 2048)


@pytest.mark.parametrize("side", SIDES)
def test_sixteen_hundred_columns(side: str) -> None:
    codes = "i?s" * 533 + "h"
    it = _load(side, "tuples").RowCodec(codes, [None] * 1600, [None] * 1600)
    row = [None if i % 5 == 0 else {"i": i, "?": i % 2 == 0, "s": str(i % 10), "h": 3}[codes[i]] for i in range(1600)]
    image = it.encode(row)
    assert it.decode(image, 0) == tuple(row)
    new = it.replace(image, 0, (0, 1599), (None, None))
    assert it.decode(new, 0) == (None, *row[1:1599], None)


@pytest.mark.parametrize("side", SIDES)
def test_projection_says_where_a_handle_must_give_way(side: str) -> None:
    tuples = _load(side, "tuples")
    it = codec(side)
    image = it.encode((1, toasted(side, it, 1, "outside", 5), b"y", b"x", "c", "s"))
    lazy = tuples.Projection(it, (1, 2 + tuples.LAZY, 3, -1, 6), True)
    assert lazy.eager == (2, 4)
    assert tuples.Projection(it, (2, 5), False).eager == (0,)
    before = it.handles
    row = lazy.row(image, 0, 77)
    assert (row[0], row[1].value_id, row[2:]) == (1, 6, (b"y", 77, "s", 77))
    assert it.handles == before + 1


# -- pglz


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_pglz_round_trip(data: st.DataObject) -> None:
    python, native = _load("python", "pglz"), _load("native", "pglz")
    words = data.draw(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=12))
    order = data.draw(st.lists(st.integers(0, len(words) - 1), max_size=300))
    value = b"".join(words[at] for at in order)
    packed = python.compress(value)
    assert packed == native.compress(value)
    if packed is None:
        return
    assert len(packed) < len(value) * 3 // 4
    cut = data.draw(st.integers(0, len(value) + 5))
    for side in (python, native):
        assert side.decompress(packed, len(value)) == value
        assert side.decompress(packed, len(value), cut) == value[:cut]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 100), st.integers(-1, 100))
def test_pglz_of_garbage_is_an_error_or_the_same_bytes(data: bytes, raw_bytes: int, upto: int) -> None:
    answers = []
    for side in SIDES:
        try:
            answers.append(_load(side, "pglz").decompress(data, raw_bytes, upto))
        except DataCorrupted as error:
            answers.append(str(error))
    assert answers[0] == answers[1]
    assert answers[0] == "compressed pglz data is corrupt" or len(answers[0]) == (
        raw_bytes if upto < 0 else min(upto, raw_bytes)
    )


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("value", "size"),
    [
        # What pg_column_size says in PostgreSQL 15, without the eight bytes of its header.
        (b"abcd" * 3000, 142),
        (b"x" * 2005, 27),
        (bytes(range(256)) * 20, None),
        (b"", None),
        (b"y" * 31, None),
    ],
)
def test_pglz_packs_as_postgresql_does(side: str, value: bytes, size: int | None) -> None:
    packed = _load(side, "pglz").compress(value)
    if size is None:
        assert packed is None or len(value) == 5120
    else:
        assert packed is not None
        assert len(packed) == size


@pytest.mark.parametrize("side", SIDES)
def test_pglz_damage_is_told(side: str) -> None:
    pglz = _load(side, "pglz")
    value = b"the same words again and again; " * 200
    packed = pglz.compress(value)
    for at in range(len(packed)):
        damaged = packed[:at] + bytes((packed[at] ^ 0x55,)) + packed[at + 1 :]
        with contextlib.suppress(DataCorrupted):
            assert len(pglz.decompress(damaged, len(value))) == len(value)
    with pytest.raises(DataCorrupted, match="compressed pglz data is corrupt"):
        pglz.decompress(packed[:-3], len(value))
    with pytest.raises(DataCorrupted, match="compressed pglz data is corrupt"):
        pglz.decompress(packed, len(value) + 1)
