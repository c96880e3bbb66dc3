"""Filter and output over the batches of a child: what a sub-query scan, a Result and an aggregate's groups need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from compute_node.exec.compile.rows import BatchFunction, batch_function, column_index, is_identity
from compute_node.exec.vectors.expressions import CountedFilter, Evaluate, Filter, Vectorizer, filter_of
from compute_node.exec.vectors.vector import KINDS, ColumnBatch, Ints, Unsuited

if TYPE_CHECKING:
    from aurora.datum import Row
    from compute_node.exec.builder import Builder
    from compute_node.exec.compile.unit import StoredValues
    from compute_node.exec.context import ExecContext
    from compute_node.sql import expressions as ex


def output_kinds(output: Sequence[ex.Expr], kinds: Sequence[str]) -> str:
    """The form of each output column over input columns of ``kinds``."""
    found = [kinds[at] if (at := column_index(item)) >= 0 else KINDS.get(item.type, "o") for item in output]
    return "".join(found)


class Rowwise:
    """Condition and output over rows of ``width`` columns, for what is not for columns; compiled at first need."""

    __slots__ = ("_builder", "_condition", "_output", "_shape", "_stored", "_test", "_width")

    def __init__(
        self,
        builder: Builder,
        condition: ex.Expr | None,
        output: Sequence[ex.Expr],
        width: int,
        stored: StoredValues | None = None,
    ) -> None:
        self._builder, self._stored = builder, stored
        self._condition, self._output, self._width = condition, output, width
        self._test: BatchFunction | None = None
        self._shape: BatchFunction | None = None

    def chosen(self, ctx: ExecContext, batch: ColumnBatch) -> Ints:
        """The rows for which the condition is true."""
        if self._test is None and self._condition is not None:
            # One column more than there is, so that the condition is never the row itself.
            self._test = batch_function(self._builder, [self._condition], None, self._width + 1)
        if self._test is None:
            return np.arange(batch.count)
        return np.flatnonzero(np.array([row[0] is True for row in self._test(ctx, batch.rows())], np.bool_))

    def shown(self, ctx: ExecContext, batch: ColumnBatch) -> list[Row]:
        """The output."""
        if self._shape is None:
            self._shape = batch_function(self._builder, self._output, None, self._width, None, self._stored)
        rows = batch.rows()
        return rows if self._shape is None else self._shape(ctx, rows)


class ColumnProjection:
    """A filter and output columns. ``kinds``: of the output."""

    __slots__ = ("_filter", "_outputs", "_rowwise", "kinds")

    def __init__(
        self, filter_: Filter | None, outputs: Sequence[Evaluate] | None, rowwise: Rowwise, kinds: str
    ) -> None:
        self._filter, self._outputs, self._rowwise = filter_, outputs, rowwise
        self.kinds = kinds

    @classmethod
    def of(
        cls,
        builder: Builder,
        kinds: str | None,
        output: Sequence[ex.Expr],
        condition: ex.Expr | None,
        stored: StoredValues | None = None,
    ) -> ColumnProjection | None:
        """None when the input, the condition or an expression is not for columns. ``stored``: what of the input may be
        handles."""
        if kinds is None:
            return None
        vectorizer = Vectorizer(builder, kinds, True)
        filter_: Filter | None = None
        if condition is not None:
            filter_ = filter_of(vectorizer, condition)
            if filter_ is None:
                return None
            if (told := builder.column_filtering()) is not None:
                filter_ = CountedFilter(filter_, told)
        rowwise = Rowwise(builder, None, output, len(kinds), stored)
        if is_identity(output, len(kinds)):
            return cls(filter_, None, rowwise, kinds)
        outputs = [vectorizer.compile(item) for item in output]
        if None in outputs:
            return None
        return cls(filter_, [each for each in outputs if each is not None], rowwise, output_kinds(output, kinds))

    def shown(self, batch: ColumnBatch, ctx: ExecContext) -> ColumnBatch:
        """The output of the rows that pass, which may be none. ``Unsuited`` when the filter is for the row-wise
        code."""
        if self._filter is not None:
            batch = self._filter.passed(batch, ctx)
        if self._outputs is None or not batch.count:
            return batch
        try:
            return ColumnBatch(batch.count, [output(batch, ctx) for output in self._outputs])
        except Unsuited:
            return ColumnBatch.of_rows(self._rowwise.shown(ctx, batch), len(self.kinds))
