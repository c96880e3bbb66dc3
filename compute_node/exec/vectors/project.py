"""Conditions and output over batches: what sub-query scans, the groups of aggregates and joins need. What is not for
columns is asked by rows, of that batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from compute_node.exec.compile.rows import BatchFunction, batch_function, column_index, is_identity
from compute_node.exec.vectors.expressions import CountedFilter, Evaluate, Filter, Vectorizer, compiled_all, filter_of
from compute_node.exec.vectors.vector import KINDS, ColumnBatch, Ints, Unsuited

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.compile.unit import StoredValues
    from compute_node.exec.context import ExecContext
    from compute_node.sql import expressions as ex


def output_kinds(output: Sequence[ex.Expr], kinds: Sequence[str]) -> str:
    """The form of each output column over input columns of ``kinds``."""
    found = [kinds[at] if (at := column_index(item)) >= 0 else KINDS.get(item.type, "o") for item in output]
    return "".join(found)


class ColumnTest:
    """A condition over batches whose columns have ``kinds``; over the rows where it is not for columns."""

    __slots__ = ("_builder", "_by_rows", "_condition", "_filter", "_width")

    def __init__(self, builder: Builder, filter_: Filter, condition: ex.Expr, width: int) -> None:
        self._builder, self._filter, self._condition, self._width = builder, filter_, condition, width
        self._by_rows: BatchFunction | None = None
        """compiled at first need"""

    @classmethod
    def of(
        cls, builder: Builder, kinds: str, condition: ex.Expr, told: Callable[[int], None] | None = None
    ) -> ColumnTest | None:
        """None when the condition is not for columns. ``told``: how many rows it leaves out."""
        filter_ = filter_of(Vectorizer(builder, kinds, True), condition)
        if filter_ is None:
            return None
        return cls(builder, filter_ if told is None else CountedFilter(filter_, told), condition, len(kinds))

    def chosen(self, batch: ColumnBatch, ctx: ExecContext) -> Ints | None:
        """The rows for which it is true; None: every row. ``Unsuited`` when that is for the row-wise code."""
        return self._filter.chosen(batch, ctx)

    def chosen_anyway(self, batch: ColumnBatch, ctx: ExecContext) -> Ints | None:
        """The same; the row-wise code then looks at all rows, and raises their errors."""
        try:
            return self.chosen(batch, ctx)
        except Unsuited:
            if self._by_rows is None:
                # One column more than there is, so that the condition is never the row itself.
                self._by_rows = batch_function(self._builder, [self._condition], None, self._width + 1)
            rows = batch.rows()
            found = rows if self._by_rows is None else self._by_rows(ctx, rows)
            return np.flatnonzero(np.array([row[0] is True for row in found], np.bool_))


class ColumnOutput:
    """Output columns over batches; over the rows where they are not for columns. ``kinds``: of the output."""

    __slots__ = ("_builder", "_by_rows", "_columns", "_is_compiled", "_output", "_stored", "_width", "kinds")

    def __init__(
        self,
        builder: Builder,
        columns: Sequence[Evaluate],
        output: Sequence[ex.Expr],
        kinds: str,
        stored: StoredValues | None,
    ) -> None:
        self._builder, self._stored = builder, stored
        self._columns, self._output, self._width = columns, output, len(kinds)
        self._by_rows: BatchFunction | None = None
        self._is_compiled = False
        """whether ``_by_rows``, which is at first need"""
        self.kinds = output_kinds(output, kinds)

    @classmethod
    def of(
        cls, builder: Builder, kinds: str, output: Sequence[ex.Expr], stored: StoredValues | None = None
    ) -> ColumnOutput | None:
        """Over columns of ``kinds``. None when a column is not for columns. ``stored``: what may be handles."""
        columns = compiled_all(Vectorizer(builder, kinds, True), output)
        return None if columns is None else cls(builder, columns, output, kinds, stored)

    def shown(self, batch: ColumnBatch, ctx: ExecContext) -> ColumnBatch:
        """Of all rows of the batch."""
        try:
            return ColumnBatch(batch.count, [column(batch, ctx) for column in self._columns])
        except Unsuited:
            if not self._is_compiled:
                self._by_rows = batch_function(self._builder, self._output, None, self._width, None, self._stored)
                self._is_compiled = True
            rows = batch.rows()
            return ColumnBatch.of_rows(rows if self._by_rows is None else self._by_rows(ctx, rows), len(self.kinds))


class ColumnProjection:
    """A filter and output columns. ``kinds``: of the output."""

    __slots__ = ("_filter", "_output", "kinds")

    def __init__(self, filter_: Filter | None, output: ColumnOutput | None, kinds: str) -> None:
        self._filter, self._output = filter_, output
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
        filter_: Filter | None = None
        if condition is not None:
            filter_ = filter_of(Vectorizer(builder, kinds, True), condition)
            if filter_ is None:
                return None
            if (told := builder.column_filtering()) is not None:
                filter_ = CountedFilter(filter_, told)
        if is_identity(output, len(kinds)):
            return cls(filter_, None, kinds)
        shown = ColumnOutput.of(builder, kinds, output, stored)
        return None if shown is None else cls(filter_, shown, shown.kinds)

    def shown(self, batch: ColumnBatch, ctx: ExecContext) -> ColumnBatch:
        """The output of the rows that pass, which may be none. ``Unsuited`` when the filter is for the row-wise
        code."""
        if self._filter is not None:
            batch = self._filter.passed(batch, ctx)
        return batch if self._output is None or not batch.count else self._output.shown(batch, ctx)
