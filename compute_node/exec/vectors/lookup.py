"""Nested loops over an index scan by columns: the keys of a batch of outer rows are looked up together.

::

    outer batch ─ keys ─► index, a run of keys a call ─► addresses ─► rows by column, with the number of their outer row
                                                                       │
                          output ◄─ join condition ◄─ filter of the scan ◄─ pairs

The loop's parameters become columns of the outer side, so that the scan's filter and output are over pairs of rows.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Final

import numpy as np

from compute_node.access.stored import LAZY, resolved
from compute_node.exec.compile.runtime import exact
from compute_node.exec.index_keys import key_types, scan_condition
from compute_node.exec.nodes.base import Node, Ran
from compute_node.exec.stored_values import scan_columns
from compute_node.exec.vectors.expressions import Evaluate, Vectorizer, compiled_all, values_of
from compute_node.exec.vectors.join import Places, beside
from compute_node.exec.vectors.keys import KEY_KINDS, GroupKeys, Numbers
from compute_node.exec.vectors.project import ColumnOutput, ColumnTest
from compute_node.exec.vectors.scan import has_handles, kind_of
from compute_node.exec.vectors.vector import ColumnBatch, Flags, Ints, concatenated, scanned, stacked
from compute_node.sql import expressions as ex
from compute_node.sql import plan as pl
from compute_node.types.oids import INT2, INT4, INT8, TEXT

if TYPE_CHECKING:
    from aurora.datum import Datum, Row
    from compute_node.access.table_reader import ColumnRows
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


class _Scan:
    """The inner side: a scan of a B-tree by the values of outer rows, and what its rows must meet."""

    __slots__ = ("_attnos", "_eager", "_index", "_keys", "_relation", "_test", "kinds")

    def __init__(
        self,
        table: tuple[RelationDesc, IndexDesc],
        attnos: tuple[int, ...],
        kinds: str,
        keys: Sequence[Evaluate],
        test: ColumnTest | None,
    ) -> None:
        self._relation, self._index = table
        self._attnos = attnos
        self._eager = tuple(range(len(attnos)))
        self.kinds = kinds
        """of its columns"""
        self._keys, self._test = keys, test

    def keys(self, ctx: ExecContext, outer: ColumnBatch) -> list[Row]:
        """The key of each outer row. ``Unsuited`` when that is for the row-wise code."""
        columns = [values_of(key(outer, ctx).spread(outer.count)) for key in self._keys]
        return list(zip(*columns, strict=True))

    def found(
        self, ctx: ExecContext, outer: ColumnBatch, keys: list[Row], anyway: bool
    ) -> Generator[tuple[Ints, ColumnBatch]]:
        """(outer rows, in their order; the scan's row for each), some at a time. ``Unsuited`` without ``anyway``, when
        the scan's condition is for the row-wise code."""
        index = ctx.storage.table(self._relation).index(self._index)
        for numbers, rows in index.rows_of_keys(ctx.snapshot, keys, self._attnos, self.kinds):
            for outer_rows, inner in self._parts(numbers, rows):
                ctx.check()
                if self._test is not None:
                    pairs = ColumnBatch.joined(inner.count, (outer, outer_rows), (inner, np.arange(inner.count)))
                    chosen = (self._test.chosen_anyway if anyway else self._test.chosen)(pairs, ctx)
                    if chosen is not None:
                        inner, outer_rows = inner.some(chosen), outer_rows[chosen]
                yield outer_rows, inner

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


class ColumnLookup:
    """A nested loop whose inner side is a scan of a B-tree by equal leading columns. ``kinds``: of the output."""

    __slots__ = ("_condition", "_kind", "_memoized", "_output", "_scan", "kinds")

    def __init__(
        self,
        kind: str,
        scan: _Scan,
        memoized: Sequence[Evaluate] | None,
        condition: ColumnTest | None,
        output: ColumnOutput,
    ) -> None:
        self._kind = kind
        self._scan = scan
        self._memoized = memoized
        """all that the scan depends on, where the plan says that equal ones come again"""
        self._condition = condition
        self._output, self.kinds = output, output.kinds

    @classmethod
    def of(cls, plan: pl.NestLoop, builder: Builder, outer: str | None) -> ColumnLookup | None:
        """None when the inner side is another one, or something is not for columns. A scan that does not depend on the
        outer row is read once, and kept by the row-wise code."""
        scan = plan.inner.child if isinstance(plan.inner, pl.Memoize) else plan.inner
        if outer is None or plan.outer.rows < OUTER_ROWS_MIN or not plan.parameters:
            return None
        if not isinstance(scan, pl.IndexScan) or not _is_lookup(plan, scan):
            return None
        width = len(outer)
        given = {number: beside(value, 0, 0) for number, value in plan.parameters}
        within = scan_condition(scan)
        read = scan_columns(builder, scan.relation, scan.columns, scan.output, within, as_values=True)
        if any(attno >= LAZY for attno in read.columns):
            return None
        kinds = "".join(kind_of(scan.relation, attno) for attno in read.columns)
        inner = [_paired(item, given, None, width) for item in scan.output]
        over_outer = Vectorizer(builder, outer, True)
        wanted = [_paired(key.value, given, None, width) for key in scan.keys if key.value is not None]
        keys, memoized = compiled_all(over_outer, wanted), None
        if isinstance(plan.inner, pl.Memoize):
            memoized = compiled_all(over_outer, [*given.values()])
        output = ColumnOutput.of(builder, outer + kinds, [_paired(item, {}, inner, 0) for item in plan.output])
        test = condition = None
        if within is not None:
            told = builder.column_filtering(scan)
            test = ColumnTest.of(builder, outer + kinds, _paired(within, given, None, width), told)
        if plan.condition is not None:
            condition = ColumnTest.of(builder, outer + kinds, _paired(plan.condition, {}, inner, 0))
        if keys is None or output is None or (memoized is None and isinstance(plan.inner, pl.Memoize)):
            return None
        if (test is None and within is not None) or (condition is None and plan.condition is not None):
            return None
        table = scan.relation, scan.index
        return cls(plan.kind, _Scan(table, read.columns, kinds, keys, test), memoized, condition, output)

    def joined(self, ctx: ExecContext, batch: ColumnBatch, inner: Node) -> Iterator[ColumnBatch]:
        """The output for a batch of outer rows, in their order. ``inner`` is told of the work that is done for it.
        ``Unsuited``, before anything is given, when the batch is for the row-wise code: its keys, and of semi and anti
        joins what rows after the first match would be asked."""
        run = _Run(ctx, self._scan, batch.narrow)
        if self._memoized is not None:
            run.distinct(self._memoized)
        run.look_up()
        if self._kind not in ("semi", "anti"):
            return self._matches(run, inner)
        met = np.zeros(batch.count, np.bool_)
        for outer_rows, found, places in run.pairs(False):
            if self._condition is not None:
                pairs = ColumnBatch.joined(len(outer_rows), (run.outer, outer_rows), (found, places))
                chosen = self._condition.chosen(pairs, ctx)
                outer_rows = outer_rows if chosen is None else outer_rows[chosen]
            met[outer_rows] = True
        inner.ran(ctx, *run.ran)
        return self._alone_shown(run, np.flatnonzero(met if self._kind == "semi" else ~met))

    def _matches(self, run: _Run, inner: Node) -> Iterator[ColumnBatch]:
        met = np.zeros(run.outer.count, np.bool_)
        given = 0  # outer rows before this one are done
        try:
            for outer_rows, found, places in run.pairs(True):
                until = int(outer_rows[-1])
                pairs = ColumnBatch.joined(len(outer_rows), (run.outer, outer_rows), (found, places))
                chosen = None if self._condition is None else self._condition.chosen_anyway(pairs, run.ctx)
                if chosen is not None:
                    pairs, outer_rows = pairs.some(chosen), outer_rows[chosen]
                met[outer_rows] = True
                if self._kind == "left":
                    # Of the last row more matches may come.
                    pairs = self._with_missed(run.outer, met, given, until, pairs, outer_rows)
                    given = max(given, until)
                if pairs.count:
                    yield self._output.shown(pairs, run.ctx)
            if self._kind == "left":
                yield from self._alone_shown(run, np.flatnonzero(~met[given:]) + given)
        finally:
            inner.ran(run.ctx, *run.ran)

    def _alone_shown(self, run: _Run, rows: Ints) -> Iterator[ColumnBatch]:
        if len(rows):
            yield self._output.shown(self._alone(run.outer, rows), run.ctx)

    def _alone(self, batch: ColumnBatch, rows: Ints) -> ColumnBatch:
        """Outer rows beside nothing."""
        nulls = ColumnBatch.of_nulls(1, self._scan.kinds)
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


class _Run:
    """The look-ups of one batch of outer rows."""

    __slots__ = ("_found", "_keys", "_numbers", "_scan", "_some", "ctx", "outer")

    def __init__(self, ctx: ExecContext, scan: _Scan, outer: ColumnBatch) -> None:
        self.ctx, self.outer = ctx, outer
        self._scan = scan
        self._numbers: Ints | Numbers | None = None
        """of each outer row its place in ``_some``; None: it is the same"""
        self._some = outer
        """the rows that are looked up"""
        self._keys: list[Row] = []
        self._found = Ran(0, 0), Ran(0, 0)

    @property
    def ran(self) -> tuple[Ran, Ran]:
        """(what the inner side has given, what of it was read)."""
        return self._found

    def distinct(self, values: Sequence[Evaluate]) -> None:
        """Of outer rows with equal values the first one is looked up alone. ``Unsuited``: the values are for the
        row-wise code."""
        columns = [value(self.outer, self.ctx).spread(self.outer.count) for value in values]
        if all(column.kind in KEY_KINDS and column.scales is None for column in columns):
            # As texts blanks at the end count.
            keys = GroupKeys("".join(column.kind for column in columns), [TEXT] * len(columns))
            numbers = keys.assign(columns)
        else:
            known: dict[Datum, int] = {}
            rows = zip(*map(values_of, columns), strict=True)
            numbers = np.array([known.setdefault(exact(row), len(known)) for row in rows], np.int32)
        first = np.unique(numbers, return_index=True)[1]
        if len(first) < self.outer.count:
            self._numbers, self._some = numbers, self.outer.some(first)

    def look_up(self) -> None:
        """Begin. ``Unsuited``: the keys are for the row-wise code."""
        self._keys = self._scan.keys(self.ctx, self._some)

    def pairs(self, anyway: bool) -> Iterator[tuple[Ints, ColumnBatch, Ints]]:
        """(outer rows, rows of the scan, the place in them for each of the outer rows), outer rows in order.
        ``anyway``: as ``_Scan.found``."""
        if self._numbers is None:
            yield from self._one_by_one(0, anyway)
            return
        # All that belongs to an outer row comes together, so what may be asked for again is kept.
        area = self.ctx.area(hashed=True)
        kept: list[ColumnBatch] = []
        numbers: list[Ints] = []
        done = len(self._keys)
        with closing(self._scan.found(self.ctx, self._some, self._keys, anyway)) as found:
            for of, inner in found:
                if inner.count:
                    numbers.append(of)
                    kept.append(ColumnBatch(inner.count, [inner.column(place) for place in range(inner.width)]))
                    if area.add(kept[-1].size_bytes + of.nbytes):
                        # Of the last one more may come.
                        done = int(of[-1])
                        break
        count = self.outer.count
        until = count if done == len(self._keys) else int(np.argmax(self._numbers >= done))
        together = np.concatenate([np.zeros(0, np.int64), *numbers])
        self._tell(Ran(until, 0), Ran(done, int((together < done).sum())))
        inner = stacked(kept or [ColumnBatch.of_nulls(0, self._scan.kinds)], area)
        places = Places(np.bincount(together, minlength=len(self._keys)))
        for rows, of in places.pairs(self._numbers[:until]):
            self.ctx.check()
            self._tell(Ran(0, len(rows)), Ran(0, 0))
            yield rows, inner, of
        if until < count:
            # There is no room to keep more.
            del inner, kept
            area.clear()
            self._keys = [self._keys[number] for number in self._numbers[until:].tolist()]
            yield from self._one_by_one(until, anyway)

    def _one_by_one(self, start: int, anyway: bool) -> Iterator[tuple[Ints, ColumnBatch, Ints]]:
        """Outer rows from ``start`` on, each looked up by itself."""
        outer = self.outer if not start else self.outer.some(np.arange(start, self.outer.count))
        self._tell(Ran(outer.count, 0), Ran(outer.count, 0))
        for rows, inner in self._scan.found(self.ctx, outer, self._keys, anyway):
            self._tell(Ran(0, inner.count), Ran(0, inner.count))
            if inner.count:
                yield rows + start, inner, np.arange(inner.count)

    def _tell(self, given: Ran, read: Ran) -> None:
        before = self._found
        self._found = (
            Ran(before[0].loops + given.loops, before[0].rows + given.rows),
            Ran(before[1].loops + read.loops, before[1].rows + read.rows),
        )


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
