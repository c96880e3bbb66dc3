"""Expressions over a batch: a function of (batch, context) that gives a column.

An expression that names no column is computed once a batch, by the row-wise code. One that has no form by columns is
computed row by row from the columns that it names, if that is allowed: it pays where the rest of the work is by
columns. AND, OR and CASE look only at the rows for which the row-wise code would go on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from aurora.datum import Datum, Row
from aurora.kernels import columns as kernel
from aurora.kernels import groups as groups_kernel
from compute_node.access.stored import Toasted
from compute_node.exec.compile.rows import batch_function, column_index, flags_function, value_function
from compute_node.exec.stored_values import HOW_STORED
from compute_node.exec.subplan import SubplanRunner, equality_pairs
from compute_node.exec.vectors.operators import Operator, column_operator, is_membership, nulls_of
from compute_node.exec.vectors.vector import (
    KINDS,
    SHORT_BYTES,
    ColumnBatch,
    Flags,
    Ints,
    Unsuited,
    Vector,
    constant,
    guarded,
    rescaled,
    scanned,
)  # fmt: skip
from compute_node.sql import expressions as ex
from compute_node.sql.planner.quals import contains_volatile
from compute_node.types.oids import BOOL, BPCHAR, INT2, INT4, INT8

if TYPE_CHECKING:
    from compute_node.exec.compile.compiler import Linker
    from compute_node.exec.compile.unit import StoredValues
    from compute_node.exec.context import ExecContext

Evaluate: TypeAlias = "Callable[[ColumnBatch, ExecContext], Vector]"

_BESIDES: Final = (
    ex.SubPlan,
    ex.SubLink,
    ex.ElementValue,
    ex.DomainValue,
    ex.CurrentOf,
    ex.AggregateCall,
    ex.WindowCall,
)
"""what is computed by somebody else, or in the middle of something"""
LIST_MAX: Final = 16
KEYS_AT_ONCE: Final = 8192
KEY_BYTES: Final = 24
"""of a number's place among those that are looked up"""
_WHOLE: Final = frozenset((INT2, INT4, INT8))


class Vectorizer:
    """Compiles expressions over rows whose columns have ``kinds``."""

    def __init__(self, linker: Linker, kinds: Sequence[str], by_rows: bool) -> None:
        self._linker = linker
        self._kinds = kinds
        self._by_rows = by_rows
        """whether what has no form by columns may be computed row by row"""

    def compile(self, node: ex.Expr) -> Evaluate | None:
        """None when it is not for columns."""
        found = self._of_columns(node)
        return found if found is not None or not self._by_rows else self._row_by_row(node)

    def _of_columns(self, node: ex.Expr) -> Evaluate | None:
        index = column_index(node)
        if index >= 0:
            return lambda batch, ctx: batch.column(index)
        if not self._names_columns(node):
            return self._constant(node)
        if isinstance(node, ex.Relabel):
            return self._of_columns(node.argument) if not ex.value_change(node) and node.type in KINDS else None
        if isinstance(node, ex.Call):
            return self._call(node)
        if isinstance(node, (ex.And, ex.Or)):
            return self._connected(node)
        if isinstance(node, ex.Not):
            argument = self.compile(node.argument)
            return None if argument is None else _negated(argument)
        if isinstance(node, ex.NullTest):
            # A row is NULL when all its fields are, and a domain may be over one.
            if node.argument.type not in KINDS and self._linker.type(node.argument.type).kind not in "ber":
                return None
            argument = self.compile(node.argument)
            return None if argument is None else _null_test(argument, node.negated)
        if isinstance(node, ex.ArrayOp):
            return self._any_of(node)
        if isinstance(node, ex.Case):
            return self._case(node)
        if isinstance(node, ex.SubPlan):
            return self._in_hashed(node)
        return None

    @staticmethod
    def _names_columns(node: ex.Expr) -> bool:
        return any(isinstance(item, (ex.Column, *_BESIDES)) for item in ex.walk(node))

    def _constant(self, node: ex.Expr) -> Evaluate | None:
        kind = KINDS.get(node.type)
        if kind is None or contains_volatile(self._linker, node):
            return None
        if isinstance(node, ex.Const):
            try:
                known = constant(node.value, kind)
            except Unsuited:
                return None
            return lambda batch, ctx: known
        function = value_function(self._linker, node)

        def evaluate(batch: ColumnBatch, ctx: ExecContext) -> Vector:
            return constant(guarded(lambda: function(ctx)), kind)

        return evaluate

    def _call(self, node: ex.Call) -> Evaluate | None:
        if node.variadic:
            return None
        function = self._linker.function(node.function)
        operator = column_operator(function)
        if operator is None:
            return None
        parts = [self.compile(item) for item in node.arguments]
        if any(item.type not in KINDS for item in node.arguments):
            return None
        return _applied(operator, [part for part in parts if part is not None]) if None not in parts else None

    def _connected(self, node: ex.And | ex.Or) -> Evaluate | None:
        parts = [self.compile(item) for item in node.arguments]
        if None in parts:
            return None
        return _connected([part for part in parts if part is not None], isinstance(node, ex.And))

    def _any_of(self, node: ex.ArrayOp) -> Evaluate | None:
        """ANY and ALL of an array that names no column: each element alone."""
        function = self._linker.function(node.function)
        operator, left = column_operator(function), self.compile(node.left)
        kind = KINDS.get(function.arguments[1]) if len(function.arguments) == 2 else None
        if operator is None or left is None or kind is None or node.left.type not in KINDS:
            return None
        if self._names_columns(node.right) or contains_volatile(self._linker, node.right):
            return None
        array = value_function(self._linker, node.right)
        if is_membership(function, node.use_or):
            return _member(left, array, kind, function.arguments[1] == BPCHAR, node.use_or)
        return _any_of(operator, left, array, kind, node.use_or)

    def _in_hashed(self, node: ex.SubPlan) -> Evaluate | None:
        """IN of a hashed sub-select over one column of integers, dates or times."""
        pairs = equality_pairs(node)
        if pairs is None or len(pairs) != 1:
            return None
        left, right = pairs[0]
        same = left.type == right.type or (left.type in _WHOLE and right.type in _WHOLE)
        argument = self.compile(left)
        if not same or KINDS.get(left.type) != "i" or argument is None:
            return None
        runner = self._linker.subplan(node)
        return None if runner.hash_pairs is None else _in_hashed(argument, runner)

    def _case(self, node: ex.Case) -> Evaluate | None:
        if node.operand is not None or node.type not in KINDS or KINDS[node.type] == "s":
            return None
        conditions = [self.compile(condition) for condition, _ in node.branches]
        default = node.default if node.default is not None else ex.Const(type=node.type, value=None)
        results = [self.compile(result) for result in [*(result for _, result in node.branches), default]]
        if None in conditions or None in results:
            return None
        return _case(
            [each for each in conditions if each is not None],
            [each for each in results if each is not None],
            KINDS[node.type],
        )

    def _row_by_row(self, node: ex.Expr) -> Evaluate | None:
        items = list(ex.walk(node))
        if any(isinstance(item, _BESIDES) or (isinstance(item, ex.Column) and item.side) for item in items):
            return None
        if contains_volatile(self._linker, node) or any(
            isinstance(item, ex.Call) and item.function in HOW_STORED for item in items
        ):
            return None
        kind = KINDS.get(node.type, "o")
        named = sorted({item.index for item in items if isinstance(item, ex.Column)})
        places = {index: place for place, index in enumerate(named)}
        function = batch_function(self._linker, [_renumbered(node, places)], None, len(named) + 1)
        if function is None:
            return None

        def evaluate(batch: ColumnBatch, ctx: ExecContext) -> Vector:
            columns = [values_of(batch.column(index).spread(batch.count)) for index in named]
            rows = list(zip(*columns, strict=True)) if columns else [()] * batch.count
            return of_objects([row[0] for row in guarded(lambda: function(ctx, rows))], kind)

        return evaluate


def values_of(column: Vector) -> list[Datum]:
    """The values; ``Unsuited`` when some are handles of stored ones."""
    found = column.objects()
    if column.kind == "o" and any(type(value) is Toasted for value in found):
        raise Unsuited
    return found


def _renumbered(node: ex.Expr, places: dict[int, int]) -> ex.Expr:
    if isinstance(node, ex.Column):
        return ex.Column(type=node.type, typmod=node.typmod, index=places[node.index])
    return ex.map_children(node, lambda child: _renumbered(child, places))


def of_objects(values: list[Datum], kind: str) -> Vector:
    """Python values as a column; as objects if they do not fit."""
    if kind == "o":
        return Vector("o", values)
    nulls = np.array([value is None for value in values], np.bool_)
    known: Flags | None = nulls if nulls.any() else None
    if kind == "s":
        encoded = [b"" if value is None else str(value).encode() for value in values]
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(each) for each in encoded], out=offsets[1:])
        if offsets[-1] > SHORT_BYTES * len(encoded):
            return Vector("o", values)
        return Vector("s", b"".join(encoded), known, offsets=offsets)
    if kind == "n":
        parts = kernel.unscaled_each(values)
        return Vector("o", values) if parts is None else scanned(("n", *parts, known))
    dtype = {"i": np.int64, "f": np.float64, "b": np.bool_}[kind]
    return Vector(kind, np.array([0 if value is None else value for value in values], dtype), known)


def columns_of(rows: list[Row], kinds: str) -> ColumnBatch:
    """Rows as columns of these kinds."""
    columns = [list(column) for column in zip(*rows, strict=True)] if kinds else []
    return ColumnBatch(len(rows), [of_objects(column, kind) for column, kind in zip(columns, kinds, strict=True)])


def _applied(operator: Operator, parts: Sequence[Evaluate]) -> Evaluate:
    def evaluate(batch: ColumnBatch, ctx: ExecContext) -> Vector:
        return operator(*[part(batch, ctx) for part in parts])

    return evaluate


def _truths(vector: Vector, count: int) -> tuple[Flags, Flags]:
    """(true, unknown), a flag a row."""
    if vector.kind != "b":
        raise Unsuited
    vector = vector.spread(count)
    if vector.nulls is None:
        return vector.values, np.zeros(count, np.bool_)
    return vector.values & ~vector.nulls, vector.nulls


def _connected(parts: Sequence[Evaluate], conjunction: bool) -> Evaluate:
    def evaluate(batch: ColumnBatch, ctx: ExecContext) -> Vector:
        count = batch.count
        decided = np.zeros(count, np.bool_)
        unknown = np.zeros(count, np.bool_)
        for number, part in enumerate(parts):
            open_rows: Ints | None = np.flatnonzero(~decided) if number else None
            if open_rows is not None and not len(open_rows):
                break
            some = batch if open_rows is None or len(open_rows) == count else batch.some(open_rows)
            true, null = _truths(part(some, ctx), some.count)
            ends = ~true & ~null if conjunction else true
            if some is batch:
                decided |= ends
                unknown |= null
            else:
                decided[open_rows] |= ends
                unknown[open_rows] |= null
        nulls = unknown & ~decided
        values = ~decided & ~nulls if conjunction else decided
        return Vector("b", values, nulls if nulls.any() else None)

    return evaluate


def _negated(argument: Evaluate) -> Evaluate:
    def evaluate(batch: ColumnBatch, ctx: ExecContext) -> Vector:
        found = argument(batch, ctx)
        if found.kind != "b":
            raise Unsuited
        return Vector("b", ~found.values, found.nulls, is_constant=found.is_constant)

    return evaluate


def _null_test(argument: Evaluate, negated: bool) -> Evaluate:
    def evaluate(batch: ColumnBatch, ctx: ExecContext) -> Vector:
        found = argument(batch, ctx).spread(batch.count)
        if found.kind == "o":
            nulls = np.array([value is None for value in found.values], np.bool_)
        else:
            nulls = np.zeros(batch.count, np.bool_) if found.nulls is None else found.nulls
        return Vector("b", ~nulls if negated else nulls)

    return evaluate


def _any_of(
    operator: Operator, left: Evaluate, array: Callable[[ExecContext], Datum], kind: str, use_or: bool
) -> Evaluate:
    def evaluate(batch: ColumnBatch, ctx: ExecContext) -> Vector:
        elements = guarded(lambda: array(ctx))
        if elements is None or not 0 < len(elements) <= LIST_MAX:
            raise Unsuited
        values = left(batch, ctx).spread(batch.count)
        found = np.full(batch.count, not use_or, np.bool_)
        for element in elements:
            if element is None or isinstance(element, (list, tuple)):
                raise Unsuited
            each = operator(values, constant(element, kind)).values
            found = found | each if use_or else found & each
        return Vector("b", found, nulls_of((values,)))

    return evaluate


def _member(left: Evaluate, array: Callable[[ExecContext], Datum], kind: str, padded: bool, positive: bool) -> Evaluate:
    """``= ANY`` and ``<> ALL``: one look-up for each value, however many elements there are."""

    def evaluate(batch: ColumnBatch, ctx: ExecContext) -> Vector:
        elements = guarded(lambda: array(ctx))
        values = left(batch, ctx).spread(batch.count)
        if values.kind != kind or not elements or any(each is None or isinstance(each, list) for each in elements):
            raise Unsuited
        if kind == "i":
            found = np.isin(values.values, np.array(elements, np.int64))
        else:
            texts = groups_kernel.Texts(padded)
            listed = of_objects(list(elements), "s")
            if listed.kind != "s":
                raise Unsuited
            texts.assign(listed.values, listed.offsets, None)
            found = texts.find(values.values, values.offsets, None) >= 0
        return Vector("b", found if positive else ~found, values.nulls)

    return evaluate


def _in_hashed(argument: Evaluate, runner: SubplanRunner) -> Evaluate:
    def evaluate(batch: ColumnBatch, ctx: ExecContext) -> Vector:
        values = argument(batch, ctx).spread(batch.count)
        if values.kind != "i":
            raise Unsuited
        rows = runner.hashed(ctx)
        numbered = ctx.scratch.get(("numbered", runner))
        if numbered is None:
            numbered = ctx.scratch["numbered", runner] = groups_kernel.Groups(1)
            keys = iter(rows.keys)
            while some := list(islice(keys, KEYS_AT_ONCE)):
                ctx.check()
                ctx.account.charge(KEY_BYTES * len(some))
                numbered.assign([np.array([row[0] for row in some], np.int64)], [None], False)
        found = numbered.find([values.values], [values.nulls]) >= 0
        if rows.partial:
            return Vector("b", found, ~found)
        # Nothing is in nothing, NULL neither.
        return Vector("b", found, values.nulls if rows.keys else None)

    return evaluate


def _case(conditions: Sequence[Evaluate], results: Sequence[Evaluate], kind: str) -> Evaluate:
    def evaluate(batch: ColumnBatch, ctx: ExecContext) -> Vector:
        rows = np.arange(batch.count)
        pieces: list[tuple[Ints, Vector]] = []
        some = batch
        for condition, result in zip(conditions, results, strict=False):
            if not len(rows):
                break
            true, _ = _truths(condition(some, ctx), some.count)
            if true.any():
                chosen = some.some(np.flatnonzero(true))
                pieces.append((rows[true], result(chosen, ctx).spread(chosen.count)))
                rest = np.flatnonzero(~true)
                rows, some = rows[rest], some.some(rest)
        if len(rows):
            pieces.append((rows, results[-1](some, ctx).spread(some.count)))
        return _merged(pieces, kind, batch.count)

    return evaluate


def _merged(pieces: Sequence[tuple[Ints, Vector]], kind: str, count: int) -> Vector:
    if any(piece.kind != kind for _, piece in pieces):
        raise Unsuited
    dtype = {"i": np.int64, "n": np.int64, "f": np.float64, "b": np.bool_}[kind]
    values: Any = np.zeros(count, dtype)
    nulls = np.zeros(count, np.bool_)
    scale = max([piece.scale for _, piece in pieces], default=0)
    scales = np.full(count, scale, np.int16)
    for rows, piece in pieces:
        values[rows] = rescaled(piece, scale) if kind == "n" else piece.values
        scales[rows] = piece.scale if piece.scales is None else piece.scales
        if piece.nulls is not None:
            nulls[rows] = piece.nulls
    varied = kind == "n" and bool((scales != scale).any())
    return Vector(kind, values, nulls if nulls.any() else None, scale, scales if varied else None)


class Filter:
    """Conjuncts over a batch: each looks at the rows that passed those before."""

    def __init__(self, conjuncts: Sequence[Evaluate]) -> None:
        self._conjuncts = conjuncts

    def chosen(self, batch: ColumnBatch, ctx: ExecContext) -> Ints | None:
        """The rows for which all are true; None: every row."""
        rows: Ints | None = None
        some = batch
        for conjunct in self._conjuncts:
            if not some.count:
                break
            true, _ = _truths(conjunct(some, ctx), some.count)
            if not true.all():
                passed = np.flatnonzero(true)
                rows = passed if rows is None else rows[passed]
                some = batch.some(rows)
        return rows

    def passed(self, batch: ColumnBatch, ctx: ExecContext) -> ColumnBatch:
        """The batch of those."""
        rows = self.chosen(batch, ctx)
        return batch if rows is None else batch.some(rows)


class CountedFilter(Filter):
    """A filter that tells how many rows it leaves out."""

    def __init__(self, filter_: Filter, told: Callable[[int], None]) -> None:
        super().__init__(filter_._conjuncts)
        self._told = told

    def chosen(self, batch: ColumnBatch, ctx: ExecContext) -> Ints | None:
        """The rows for which all are true; None: every row."""
        rows = super().chosen(batch, ctx)
        if rows is not None:
            self._told(batch.count - len(rows))
        return rows


def filter_of(vectorizer: Vectorizer, condition: ex.Expr | None) -> Filter | None:
    """The condition over batches; None when it is not for columns."""
    conjuncts = conjuncts_of(condition)
    compiled = compiled_first(vectorizer, conjuncts)
    return Filter(compiled) if len(compiled) == len(conjuncts) else None


def conjuncts_of(condition: ex.Expr | None) -> Sequence[ex.Expr]:
    """What all have to be true."""
    if condition is None:
        return ()
    return condition.arguments if isinstance(condition, ex.And) else (condition,)


def compiled_first(vectorizer: Vectorizer, conjuncts: Sequence[ex.Expr]) -> list[Evaluate]:
    """As many of the first ones as are for columns: they are looked at in their order."""
    compiled = []
    for conjunct in conjuncts:
        evaluate = vectorizer.compile(conjunct)
        if evaluate is None:
            break
        compiled.append(evaluate)
    return compiled


def compiled_all(vectorizer: Vectorizer, nodes: Sequence[ex.Expr]) -> list[Evaluate] | None:
    """None when one is not for columns."""
    found = [vectorizer.compile(node) for node in nodes]
    return [each for each in found if each is not None] if None not in found else None


def row_test(
    linker: Linker, conjuncts: Sequence[ex.Expr], nullable: Sequence[bool], stored: StoredValues | None
) -> Evaluate:
    """What is not for columns, over rows that passed all before it: errors are raised as by rows."""
    condition = conjuncts[0] if len(conjuncts) == 1 else ex.And(type=BOOL, arguments=tuple(conjuncts))
    function = flags_function(linker, condition, nullable, stored)

    def evaluate(batch: ColumnBatch, ctx: ExecContext) -> Vector:
        return Vector("b", np.array(function(ctx, batch.rows()), np.bool_))

    return evaluate
