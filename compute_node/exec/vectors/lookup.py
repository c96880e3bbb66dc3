"""Nested loops over an index scan by columns: the keys of a batch of outer rows are looked up together.

::

    outer batch ─ keys ─► index, a run of keys a call ─► addresses ─► rows by column, with the number of their outer row
                                                                       │
                          output ◄─ join condition ◄─ filter of the scan ◄─ pairs

The loop's parameters become columns of the outer side, so that the scan's filter and output are over pairs of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from compute_node.access.stored import LAZY, resolved
from compute_node.exec.compile.rows import is_volatile
from compute_node.exec.index_keys import key_types
from compute_node.exec.stored_values import scan_columns
from compute_node.exec.vectors.expressions import (
    CountedFilter,
    Evaluate,
    Filter,
    Vectorizer,
    filter_of,
    values_of,
)
from compute_node.exec.vectors.join import beside
from compute_node.exec.vectors.project import Rowwise, output_kinds
from compute_node.exec.vectors.scan import has_handles, kind_of
from compute_node.exec.vectors.vector import ColumnBatch, Flags, Ints, Unsuited, concatenated, scanned
from compute_node.sql import expressions as ex
from compute_node.sql import plan as pl
from compute_node.types.oids import BOOL, INT2, INT4, INT8

if TYPE_CHECKING:
    from aurora.datum import Row
    from compute_node.access.table import ColumnRows
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext
    from compute_node.relations.descriptors import IndexDesc, RelationDesc

EQUAL: Final = 3
"""of a B-tree's operator classes"""
OUTER_ROWS_MIN: Final = 16
"""So many outer rows are expected where columns are worth it."""
SEMI_ROWS_MAX: Final = 32
"""Semi and anti joins, which need one match, read all of them here: so many of each key are expected at most."""
_INTEGERS: Final = frozenset((INT2, INT4, INT8))


class _Test:
    """A condition over pairs, by columns as far as that goes."""

    __slots__ = ("_filter", "_rowwise")

    def __init__(self, filter_: Filter, rowwise: Rowwise) -> None:
        self._filter, self._rowwise = filter_, rowwise

    def chosen(self, ctx: ExecContext, pairs: ColumnBatch) -> Ints | None:
        """The pairs for which it is true; None: all."""
        try:
            return self._filter.chosen(pairs, ctx)
        except Unsuited:
            return self._rowwise.chosen(ctx, pairs)


class ColumnLookup:
    """A nested loop whose inner side is a scan of a B-tree by equal leading columns. ``kinds``: of the output."""

    __slots__ = (
        "_attnos", "_eager", "_index", "_inner_kinds", "_keys", "_kind", "_of_scan", "_outputs", "_relation",
        "_rowwise", "_tests", "kinds",
    )  # fmt: skip

    def __init__(
        self,
        kind: str,
        table: tuple[RelationDesc, IndexDesc, tuple[int, ...], str],
        keys: Sequence[Evaluate],
        tests: tuple[Sequence[_Test], int],
        outputs: tuple[Sequence[Evaluate], str],
        rowwise: Rowwise,
    ) -> None:
        self._kind = kind
        self._relation, self._index, self._attnos, self._inner_kinds = table
        self._eager = tuple(range(len(self._attnos)))
        self._keys = keys
        self._tests, self._of_scan = tests
        """the first ones are the scan's"""
        self._outputs, self.kinds = outputs
        self._rowwise = rowwise

    @classmethod
    def of(cls, plan: pl.NestLoop, builder: Builder, outer: str | None) -> ColumnLookup | None:
        """None when the inner side is another one, or something is not for columns."""
        scan = plan.inner.child if isinstance(plan.inner, pl.Memoize) else plan.inner
        if outer is None or plan.outer.rows < OUTER_ROWS_MIN:
            return None
        if not isinstance(scan, pl.IndexScan) or not _is_lookup(plan, scan):
            return None
        width = len(outer)
        given = {number: beside(value, 0, 0) for number, value in plan.parameters}
        conditions = [each for each in (scan.recheck, scan.filter) if each is not None]
        within = None if not conditions else ex.And(type=BOOL, arguments=tuple(conditions))
        read = scan_columns(builder, scan.relation, scan.columns, scan.output, within, as_values=True)
        if any(attno >= LAZY for attno in read.columns):
            return None
        kinds = "".join(kind_of(scan.relation, attno) for attno in read.columns)
        inner = [_paired(item, given, None, width) for item in scan.output]
        shown = [_paired(item, {}, inner, 0) for item in plan.output]
        both = Vectorizer(builder, outer + kinds, True)
        over_outer = Vectorizer(builder, outer, True)
        keys = [
            over_outer.compile(_paired(key.value, given, None, width)) for key in scan.keys if key.value is not None
        ]
        outputs = [both.compile(item) for item in shown]
        if None in keys or None in outputs:
            return None
        tests: list[_Test] = []
        for condition, told in (
            (None if within is None else _paired(within, given, None, width), builder.column_filtering(scan)),
            (None if plan.condition is None else _paired(plan.condition, {}, inner, 0), None),
        ):
            if condition is None:
                continue
            filter_ = filter_of(both, condition)
            if filter_ is None or is_volatile(builder, condition):
                return None
            filter_ = filter_ if told is None else CountedFilter(filter_, told)
            tests.append(_Test(filter_, Rowwise(builder, condition, (), width + len(kinds))))
        return cls(
            plan.kind,
            (scan.relation, scan.index, read.columns, kinds),
            [each for each in keys if each is not None],
            (tests, int(within is not None)),
            ([each for each in outputs if each is not None], output_kinds(shown, outer + kinds)),
            Rowwise(builder, None, shown, width + len(kinds)),
        )

    def keys_of(self, ctx: ExecContext, batch: ColumnBatch) -> list[Row]:
        """The key of each outer row. ``Unsuited`` when that is for the row-wise code."""
        columns = [values_of(key(batch, ctx).spread(batch.count)) for key in self._keys]
        return list(zip(*columns, strict=True))

    def joined(self, ctx: ExecContext, batch: ColumnBatch, keys: list[Row]) -> Iterator[ColumnBatch | int]:
        """The output for a batch of outer rows, in their order; and how many rows the scan has given, as numbers."""
        index = ctx.storage.table(self._relation).index(self._index)
        found = index.rows_of_keys(ctx.snapshot, keys, self._attnos, self._inner_kinds)
        if found is None:
            raise Unsuited
        met = np.zeros(batch.count, np.bool_)
        batch = ColumnBatch(batch.count, [batch.column(place).narrow for place in range(batch.width)])
        given = 0  # outer rows before this one are done
        for numbers, rows in found:
            for outer_rows, inner in self._parts(numbers, rows):
                ctx.check()
                until = int(outer_rows[-1])
                pairs = ColumnBatch.joined(inner.count, (batch, outer_rows), (inner, np.arange(inner.count)))
                for place, test in enumerate(self._tests):
                    if place == self._of_scan:
                        yield pairs.count
                    chosen = test.chosen(ctx, pairs)
                    if chosen is not None:
                        pairs, outer_rows = pairs.some(chosen), outer_rows[chosen]
                if self._of_scan == len(self._tests):
                    yield pairs.count
                met[outer_rows] = True
                if self._kind == "left":
                    # Of the last row more matches may come.
                    pairs = self._with_missed(batch, met, given, until, pairs, outer_rows)
                    given = max(given, until)
                if pairs.count and self._kind in ("inner", "left"):
                    yield self._shown(ctx, pairs)
        if self._kind == "inner":
            return
        missed = np.flatnonzero(met if self._kind == "semi" else ~met)
        missed = missed[missed >= given]
        if len(missed):
            yield self._shown(ctx, self._alone(batch, missed))

    def _parts(self, numbers: Ints, rows: ColumnRows) -> Iterator[tuple[Ints, ColumnBatch]]:
        """The rows, values in place of handles."""
        count, columns, may_have_handles = rows
        batch = ColumnBatch(count, [scanned(column) for column in columns])
        if not may_have_handles or not has_handles(batch, self._eager):
            yield numbers, batch
            return
        start = 0
        for part in resolved(batch.rows(), self._eager):
            yield numbers[start : start + len(part)], ColumnBatch.of_rows(part, batch.width)
            start += len(part)

    def _alone(self, batch: ColumnBatch, rows: Ints) -> ColumnBatch:
        """Outer rows beside nothing."""
        nulls = ColumnBatch.of_nulls(1, self._inner_kinds)
        return ColumnBatch.joined(len(rows), (batch, rows), (nulls, np.zeros(len(rows), np.int64)))

    def _with_missed(
        self, batch: ColumnBatch, met: Flags, start: int, until: int, pairs: ColumnBatch, outer_rows: Ints
    ) -> ColumnBatch:
        """The pairs, and in their places the outer rows from ``start`` to before ``until`` that have none."""
        missed = np.flatnonzero(~met[start:until]) + start if until > start else np.zeros(0, np.int64)
        if not len(missed):
            return pairs
        alone = self._alone(batch, missed)
        order = np.argsort(np.concatenate([outer_rows, missed]), kind="stable")
        columns = []
        for place in range(pairs.width):
            first, second = (each.column(place).spread(each.count) for each in (pairs, alone))
            columns.append(concatenated((first, second)).take(order))
        return ColumnBatch(len(order), columns)

    def _shown(self, ctx: ExecContext, pairs: ColumnBatch) -> ColumnBatch:
        try:
            return ColumnBatch(pairs.count, [output(pairs, ctx) for output in self._outputs])
        except Unsuited:
            return ColumnBatch.of_rows(self._rowwise.shown(ctx, pairs), len(self.kinds))


def _is_lookup(plan: pl.NestLoop, scan: pl.IndexScan) -> bool:
    """Whether the inner side is a scan of a B-tree for equal leading columns, of columns of the table."""
    if plan.kind not in ("inner", "left", "semi", "anti"):
        return False
    if plan.kind in ("semi", "anti") and scan.rows > SEMI_ROWS_MAX:
        return False
    if scan.index.method != "btree" or scan.want_tid or scan.relation.kind not in ("r", "m", "t"):
        return False
    if min(scan.columns, default=1) < 1 or len(set(scan.columns)) < len(scan.columns) or not scan.keys:
        return False
    types = key_types(scan.relation, scan.index)
    return all(
        key.column == place
        and key.strategy == EQUAL
        and key.width == 1
        and not key.array
        and key.value is not None
        and (key.value.type == types[place] or (key.value.type in _INTEGERS and types[place] in _INTEGERS))
        for place, key in enumerate(scan.keys)
    )


def _paired(node: ex.Expr, given: dict[int, ex.Expr], inner: Sequence[ex.Expr] | None, width: int) -> ex.Expr:
    """An expression over a pair of rows side by side. Of the scan's (``inner`` None): its columns stand behind
    ``width`` others, and parameters become what they are ``given``. Of the join's: columns of side 1 become
    ``inner``."""
    if isinstance(node, ex.ExecParam):
        return given.get(node.number, node)
    if isinstance(node, ex.Column):
        if inner is None:
            return ex.Column(type=node.type, typmod=node.typmod, index=node.index + width)
        return inner[node.index] if node.side else node
    return ex.map_children(node, lambda child: _paired(child, given, inner, width))
