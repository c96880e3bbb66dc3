"""Aggregation of column batches: which calls it takes, and one run of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aurora.datum import Datum, Row
from aurora.errors import InvariantViolation
from compute_node.exec.vectors.expressions import Evaluate, Filter, Vectorizer, filter_of
from compute_node.exec.vectors.keys import KEY_KINDS, GroupKeys, key_kinds
from compute_node.exec.vectors.project import ColumnProjection
from compute_node.exec.vectors.states import COUNT_ANY, STATES, CountDistinct, GroupState
from compute_node.exec.vectors.vector import KINDS, ColumnBatch, Ints, Vector
from compute_node.sql import expressions as ex

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext
    from compute_node.exec.vectors.files import ColumnPartitions
    from compute_node.sql import plan as pl


PART_GROUPS = 4096
"""Groups that become rows at once."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One aggregate call over batches."""

    make: Callable[[], GroupState]
    argument: Evaluate | None
    where: Filter | None


class ColumnAggregate:
    """The keys and calls of an aggregation, compiled for columns. ``shown``: HAVING and the output over keys and
    results; None when that is not for columns."""

    __slots__ = ("_folds", "_keys", "_kinds", "_types", "shown")

    def __init__(
        self,
        keys: Sequence[Evaluate],
        kinds: str,
        types: Sequence[int],
        folds: Sequence[Fold],
        shown: ColumnProjection | None,
    ) -> None:
        self._keys, self._kinds, self._types = keys, kinds, types
        self._folds = folds
        self.shown = shown

    @classmethod
    def of(cls, plan: pl.AggregatePlan, builder: Builder, kinds: str | None) -> ColumnAggregate | None:
        """None when a key or a call is not for columns."""
        if kinds is None:
            return None
        vectorizer = Vectorizer(builder, kinds, True)
        keys = [vectorizer.compile(key) for key in plan.keys]
        of_keys = key_kinds(plan.keys, [KINDS.get(key.type, "o") for key in plan.keys]) if plan.keys else ""
        folds = [_fold(call, builder, vectorizer) for call in plan.aggregates]
        if of_keys is None or None in keys or None in folds:
            return None
        types = [key.type for key in plan.keys]
        known = of_keys + "".join(KINDS.get(call.type, "o") for call in plan.aggregates)
        shown = ColumnProjection.of(builder, known, plan.output, plan.having)
        return cls([key for key in keys if key], of_keys, types, [fold for fold in folds if fold], shown)

    def start(self) -> Running:
        """A run, without rows."""
        keys = GroupKeys(self._kinds, self._types) if self._keys else None
        return Running(self._keys, keys, self._folds)


def _fold(call: ex.AggregateCall, builder: Builder, vectorizer: Vectorizer) -> Fold | None:
    if call.order_by or call.direct or len(call.arguments) > 1 or isinstance(call, ex.GroupingCall):
        return None
    where = filter_of(vectorizer, call.filter) if call.filter is not None else None
    if call.filter is not None and where is None:
        return None
    argument = vectorizer.compile(call.arguments[0]) if call.arguments else None
    if call.arguments and argument is None:
        return None
    if call.distinct:
        kind = KINDS.get(call.arguments[0].type, "o") if call.arguments else "o"
        if call.function != COUNT_ANY or kind not in KEY_KINDS or kind == "n":
            return None
        type_oid = call.arguments[0].type
        return Fold(lambda: CountDistinct(kind, type_oid), argument, where)
    make = STATES.get(call.function)
    return None if make is None else Fold(make, argument, where)


class Running:
    """One run: the groups so far."""

    __slots__ = ("_evaluate", "_folds", "_keys", "_states")

    def __init__(self, evaluate: Sequence[Evaluate], keys: GroupKeys | None, folds: Sequence[Fold]) -> None:
        self._evaluate, self._keys, self._folds = evaluate, keys, folds
        self._states = [fold.make() for fold in folds]

    @property
    def count(self) -> int:
        """Groups so far."""
        return 1 if self._keys is None else self._keys.count

    @property
    def size_bytes(self) -> int:
        """What they take."""
        keys = 0 if self._keys is None else self._keys.size_bytes
        return keys + sum(state.size_bytes for state in self._states)

    def add(self, batch: ColumnBatch, ctx: ExecContext) -> None:
        """Fold a batch's rows. ``Unsuited``, and nothing has changed, when that is for the row-wise code."""
        self._fold(batch, self._keys_of(batch, ctx), ctx)

    def add_known(self, batch: ColumnBatch, ctx: ExecContext, files: ColumnPartitions, level: int) -> None:
        """Fold the rows of the groups that are there; the others go to files. ``Unsuited`` as ``add``."""
        columns = self._keys_of(batch, ctx)
        if self._keys is None:
            raise InvariantViolation("rows without keys are of one group")
        fresh = self._keys.find(columns) < 0
        known = np.flatnonzero(~fresh)
        if len(known):
            some = batch if len(known) == batch.count else batch.some(known)
            self._fold(some, columns if some is batch else [column.take(known) for column in columns], ctx)
        if len(known) < batch.count:
            rest = np.flatnonzero(fresh)
            files.add(batch.some(rest), self._keys.hashes([column.take(rest) for column in columns], level))

    def _keys_of(self, batch: ColumnBatch, ctx: ExecContext) -> list[Vector]:
        found = [evaluate(batch, ctx).spread(batch.count) for evaluate in self._evaluate]
        if self._keys is not None:
            self._keys.check(found)
        return found

    def _fold(self, batch: ColumnBatch, keys: Sequence[Vector], ctx: ExecContext) -> None:
        inputs: list[tuple[Ints | None, int, Vector | None]] = []
        for fold, state in zip(self._folds, self._states, strict=True):
            rows = None if fold.where is None else fold.where.chosen(batch, ctx)
            some = batch if rows is None else batch.some(rows)
            column = None
            if fold.argument is not None and some.count:
                column = fold.argument(some, ctx).spread(some.count)
                state.check(column)
            inputs.append((rows, some.count, column))
        groups = None if self._keys is None else self._keys.assign(keys)
        for state, (rows, count, column) in zip(self._states, inputs, strict=True):
            state.grow(self.count)
            if count:
                state.add(groups if groups is None or rows is None else groups[rows], count, column)

    def parts(self) -> Iterator[tuple[int, int]]:
        """Where groups begin and end that become rows at once, when no more rows come."""
        for state in self._states:
            state.grow(self.count)
        for start in range(0, self.count, PART_GROUPS):
            yield start, min(start + PART_GROUPS, self.count)

    def states(self, start: int, stop: int, finished: bool) -> list[list[Datum]]:
        """A list a group: the keys' values, then the row-wise states; ``finished``: for the final functions alone."""
        keys: Sequence[Row] = [()] * (stop - start)
        if self._keys is not None:
            keys = self._keys.rows_of(np.arange(start, stop))
        lists = [state.finished(start, stop) if finished else state.states(start, stop) for state in self._states]
        return [list(group) for group in zip(keys, *lists, strict=True)]

    def results(self, start: int, stop: int) -> ColumnBatch:
        """Keys and results of these groups. ``Unsuited`` when some result has no such form."""
        results = [state.result(start, stop) for state in self._states]
        keys = [] if self._keys is None else self._keys.columns_of(np.arange(start, stop))
        return ColumnBatch(stop - start, [*keys, *results])
