"""Sub-selects in expressions: EXISTS, scalar, ARRAY, ANY/ALL, hashed ANY.

A sub-select without parameters from outside runs once an execution (an init plan); a correlated one runs per outer row,
after its execution parameters are set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from aurora.datum import Datum, Row
from aurora.errors import CardinalityViolation
from compute_node.exec.compile.compiler import Compiler, tuple_text
from compute_node.exec.compile.rows import hash_text, row_function
from compute_node.exec.compile.unit import Code, Scope, Unit
from compute_node.sql import expressions as ex
from compute_node.work.account import batch_bytes

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext
    from compute_node.exec.nodes.base import Node


def _has_sub_column(node: ex.Expr) -> bool:
    return any(isinstance(item, ex.SubColumn) for item in ex.walk(node))


def _plain_sub_column(node: ex.Expr) -> bool:
    while isinstance(node, ex.Relabel):
        node = node.argument
    return isinstance(node, ex.SubColumn)


def equality_pairs(node: ex.SubPlan) -> list[tuple[ex.Expr, ex.Expr]] | None:
    """(outer expression, sub-select column) pairs of a hashed sub-select, whose test is a conjunction of equalities."""
    if node.kind != "ANY" or not node.hashed or node.parameters or node.test is None:
        return None
    tests = node.test.arguments if isinstance(node.test, ex.And) else (node.test,)
    pairs = []
    for test in tests:
        if not isinstance(test, ex.Call):
            return None
        left, right = test.arguments
        if _has_sub_column(left):
            left, right = right, left
        if _has_sub_column(left) or not _plain_sub_column(right):
            return None
        pairs.append((left, right))
    return pairs


class HashedRows:
    """The rows of a hashed sub-select: keys without NULLs, and those with some."""

    __slots__ = ("keys", "partial")

    def __init__(self) -> None:
        self.keys: set[Row] = set()
        self.partial: list[Row] = []

    def add(self, rows: list[Row]) -> None:
        """More rows."""
        self.keys.update([row for row in rows if None not in row])
        self.partial += [row for row in rows if None in row]

    def probe(self, key: Row) -> bool | None:
        """Three-valued ``key IN rows``."""
        if None not in key:
            if key in self.keys:
                return True
            candidates: Any = self.partial
        elif not self.keys and not self.partial:
            return False
        elif len(key) == 1:
            return None
        else:
            candidates = [*self.keys, *self.partial]
        for row in candidates:
            if all(a is None or b is None or a == b for a, b in zip(key, row, strict=True)):
                return None
        return False


class SubplanRunner:
    """One sub-select at one place of the statement. Results are kept in ``ctx.scratch`` when nothing outside it
    varies."""

    __slots__ = (
        "_cached",
        "_key",
        "_kind",
        "_node",
        "_numbers",
        "_sub_key",
        "hash_pairs",
    )

    def __init__(self, subplan: ex.SubPlan, node: Node, builder: Builder, free: frozenset[int]) -> None:
        self._kind = subplan.kind
        self._node = node
        self._numbers = tuple(number for number, _ in subplan.parameters)
        self._cached = not free
        self.hash_pairs = None if free else equality_pairs(subplan)
        self._key: Callable[[ExecContext, Row], Row] | None = None
        self._sub_key: Callable[[ExecContext, Row], Row] | None = None
        if self.hash_pairs is not None:
            self._key = _hash_row(builder, [left.type for left, _ in self.hash_pairs])
            scope = Scope(lambda side, index: Code(f"q[{index}]", True, True), ("q",))
            columns: Callable[[ExecContext, Row], Row] = row_function(
                builder, [right for _, right in self.hash_pairs], scope, "c, q"
            )
            canonical = _hash_row(builder, [right.type for _, right in self.hash_pairs])
            self._sub_key = lambda c, q: canonical(c, columns(c, q))

    def run(self, ctx: ExecContext, values: Row) -> Datum:
        """EXISTS, EXPR or ARRAY. 21000 for a second row of a scalar sub-select."""
        if self._cached and self in ctx.scratch:
            return ctx.scratch[self]
        self._set(ctx, values)
        if self._kind == "EXISTS":
            result: Any = next(iter(self._node.batches(ctx)), None) is not None
        elif self._kind == "ARRAY":
            result = [row[0] for row in self._gathered(ctx)]
        else:
            result = self._scalar(ctx)
        if self._cached:
            ctx.scratch[self] = result
        return result

    def _scalar(self, ctx: ExecContext) -> Datum:
        rows: list[Row] = []
        for batch in self._node.batches(ctx):
            rows += batch
            if len(rows) > 1:
                raise CardinalityViolation("more than one row returned by a subquery used as an expression")
        return rows[0][0] if rows else None

    def quantify(self, ctx: ExecContext, values: Row, test: Callable[[Row], bool | None]) -> bool | None:
        """ANY or ALL with the test per row of the sub-select."""
        decisive = self._kind == "ANY"
        unknown = False
        for batch in self._rows(ctx, values):
            for row in batch:
                result = test(row)
                if result is decisive:
                    return decisive
                unknown = unknown or result is None
        return None if unknown else not decisive

    def _rows(self, ctx: ExecContext, values: Row) -> Datum:
        if not self._cached:
            self._set(ctx, values)
            return self._node.batches(ctx)
        rows = ctx.scratch.get(self)
        if rows is None:
            rows = ctx.scratch[self] = ctx.tuplestore()
            for batch in self._node.batches(ctx):
                ctx.check()
                rows.append(batch)
        return rows.batches()

    def _gathered(self, ctx: ExecContext) -> list[Row]:
        """All rows, counted while they are gathered and as long as the result is kept."""
        rows: list[Row] = []
        size = 0
        for batch, count in self._charged(ctx):
            size += count
            rows += batch
        if not self._cached:
            ctx.account.release(size)
        return rows

    def _charged(self, ctx: ExecContext) -> Iterator[tuple[list[Row], int]]:
        """All rows in batches, and the bytes that each is charged with."""
        for batch in self._node.batches(ctx):
            ctx.check()
            ctx.account.charge(count := batch_bytes(batch))
            yield batch, count

    def probe(self, ctx: ExecContext, values: Row, key: Row) -> bool | None:
        """Hashed ANY."""
        table = ctx.scratch.get(self) or self.hashed(ctx)
        result: bool | None = table.probe(self._key(ctx, key))  # type: ignore[misc]
        return result

    def hashed(self, ctx: ExecContext) -> HashedRows:
        """The rows of a hashed ANY, gathered at first use."""
        table: HashedRows | None = ctx.scratch.get(self)
        if table is None:
            sub_key, table = self._sub_key, HashedRows()
            for batch, _ in self._charged(ctx):
                table.add([sub_key(ctx, row) for row in batch])  # type: ignore[misc]
            ctx.scratch[self] = table
        return table

    def _set(self, ctx: ExecContext, values: Row) -> None:
        parameters = ctx.exec_params
        for number, value in zip(self._numbers, values, strict=True):
            parameters[number] = value


def _hash_row(builder: Builder, types: list[int]) -> Callable[[ExecContext, Row], Row]:
    unit = Unit()
    compiler = Compiler(unit, Scope(), builder)
    parts = [hash_text(compiler, Code(f"r[{index}]", True, True), oid) for index, oid in enumerate(types)]
    return unit.link(unit.helper("c, r", [f"return {tuple_text(parts)}"]))
