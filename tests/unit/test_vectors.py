"""Columns and batches of columns by themselves: what is put together, what is kept, what is counted."""

from __future__ import annotations

import gc
import weakref
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from aurora.datum import Datum
from compute_node.exec.vectors.expressions import of_objects
from compute_node.exec.vectors.join import Inner, KeySide
from compute_node.exec.vectors.keys import JoinKeys
from compute_node.exec.vectors.vector import ColumnBatch, Unsuited, concatenated
from compute_node.types.oids import INT8, NUMERIC
from compute_node.work.account import Account, Area, Instance


def numerics(*values: str | None) -> list[Datum]:
    return [None if value is None else Decimal(value) for value in values]


@pytest.mark.parametrize(
    "parts",
    [
        [numerics(None, None), numerics("1.25", None, "2.50")],
        [numerics("1.25", "2.50"), numerics(None), numerics("3.75")],
        [numerics(), numerics("1.25"), numerics()],
        [numerics(None), numerics(None)],
        [numerics("1.5", "2.25"), numerics(None), numerics("3.25")],
    ],
)
def test_numerics_that_are_all_null_take_the_scale_of_the_others(parts: list[list[Datum]]) -> None:
    whole = concatenated([of_objects(part, "n") for part in parts])
    assert whole.kind == "n"
    expected = [value for part in parts for value in part]
    assert [None if value is None else str(value) for value in whole.objects()] == [
        None if value is None else str(value) for value in expected
    ]


def test_numerics_of_different_scales_are_objects() -> None:
    whole = concatenated([of_objects(numerics("1.25"), "n"), of_objects(numerics("1.5"), "n")])
    assert whole.kind == "o"
    assert [str(value) for value in whole.objects()] == ["1.25", "1.5"]


class _Watched(ColumnBatch):
    """With room for a weak reference."""


def test_a_batch_of_some_rows_lets_its_source_go_when_all_columns_are_taken() -> None:
    source = _Watched(4, [of_objects([1, 2, 3, 4], "i"), of_objects(["a", "b", "c", "d"], "s")])
    other = _Watched(2, [of_objects([7, 8], "i")])
    gone = weakref.ref(source), weakref.ref(other)
    rows = np.array([3, 1])
    pairs = ColumnBatch.joined(2, (source.some(rows), np.array([0, 1])), (other, np.array([1, 1])))
    del source, other
    assert pairs.column(0).objects() == [4, 2]
    assert pairs.column(1).objects() == ["d", "b"]
    assert gone[1]() is not None
    assert pairs.column(2).objects() == [8, 8]
    gc.collect()
    assert [each() for each in gone] == [None, None]
    assert pairs.rows() == [(4, "d", 8), (2, "b", 8)]


def test_the_inner_side_of_a_join_is_counted_while_it_is_put_together() -> None:
    rows = 5000
    area = Area(Account(Instance(1 << 30)), 1 << 30)
    ctx: Any = None
    inner = Inner(KeySide([lambda batch, ctx: batch.column(0)], "i", [INT8], "is"))
    gone = []
    for start in range(0, 4 * rows, rows):
        numbers, texts = [*range(start, start + rows)], [f"text {each}" for each in range(rows)]
        batch = _Watched(rows, [of_objects(numbers, "i"), of_objects(texts, "s")])
        gone.append(weakref.ref(batch))
        area.add(inner.add(batch, ctx))
    del batch
    before = area.used_bytes
    inner.finish(area)
    gc.collect()
    assert [each() for each in gone] == [None] * 4
    assert before == area.used_bytes
    assert area.peak_bytes >= before + inner.batch.column(1).size_bytes
    taken = inner.batch.size_bytes + len(inner.met) + inner._order.nbytes + inner.keys.size_bytes
    assert area.used_bytes >= taken + inner.places._counts.nbytes + inner.places._starts.nbytes
    found = inner.keys.find([of_objects([7, 4 * rows, None, 4 * rows - 1], "i")])
    assert [(outer.tolist(), of.tolist()) for outer, of in inner.pairs(found)] == [([0, 3], [7, 4 * rows - 1])]


def test_a_run_of_nulls_does_not_change_the_scale_of_a_joins_keys() -> None:
    keys = JoinKeys("n", [NUMERIC])
    assert keys.add([of_objects(numerics("1.25", "7.00"), "n")]).tolist() == [0, 1]
    assert keys.add([of_objects(numerics(None, None), "n")]).tolist() == [-1, -1]
    assert keys.find([of_objects(numerics("7", "1", None), "n")]).tolist() == [1, -1, -1]
    with pytest.raises(Unsuited):
        keys.find([of_objects(numerics("1.250"), "n")])


@pytest.mark.parametrize("index", [2, 9])
def test_a_column_that_is_not_there_is_an_error(index: int) -> None:
    batch = ColumnBatch(1, [of_objects([1], "i"), of_objects([2], "i")]).some(np.array([0]))
    assert batch.rows() == [(1, 2)]
    with pytest.raises(IndexError):
        batch.column(index)
