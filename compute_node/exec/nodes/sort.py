"""Sort, by PostgreSQL's order: NULLs where the key says, NaN above all numbers, strings by collation (manual, 7.5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

from aurora.datum import Datum
from compute_node.exec.compile.compiler import Compiler
from compute_node.exec.compile.rows import batch_function, column_index, value_function
from compute_node.exec.compile.unit import Unit, row_scope
from compute_node.exec.nodes.base import Batch, Node, executes, output_nullable
from compute_node.exec.stored_values import passed_on
from compute_node.exec.vectors.sort import ColumnSort, Kept, sifted
from compute_node.exec.vectors.vector import ColumnBatch
from compute_node.sql import plan as pl
from compute_node.sql.expressions import Expr, SortKey
from compute_node.types.collation import collation_of
from compute_node.work.account import KB
from compute_node.work.sorting import BATCH_ROWS, Pass, Sorter

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.compile.compiler import Linker
    from compute_node.exec.context import ExecContext


def sort_passes(linker: Linker, keys: Sequence[SortKey[Expr]], nullable: Sequence[bool] | None) -> list[Pass]:
    """(key function of a row, reverse) per run of keys of one direction, in the order to apply them by stable sorts."""
    runs: list[list[SortKey[Expr]]] = []
    for key in keys:
        if runs and runs[-1][0].descending == key.descending:
            runs[-1].append(key)
        else:
            runs.append([key])
    passes = []
    for run in runs:
        unit = Unit()
        compiler = Compiler(unit, row_scope(nullable), linker)
        parts: list[str] = []
        for key in run:
            parts += _key_parts(compiler, key)
        body = parts[0] if len(parts) == 1 else f"({', '.join(parts)})"
        name = unit.function("r", [f"return {body}"])
        function = unit.link(name)
        columns = [column_index(key.expression) for key in run]
        if min(columns) >= 0 and all(_order_of(linker, key) is None for key in run):
            setattr(function, "plain", [itemgetter(each) for each in columns])  # noqa: B010
        passes.append((function, run[0].descending))
    return passes[::-1]


def _order_of(linker: Linker, key: SortKey[Expr]) -> Callable[[Datum], Datum] | None:
    """What makes of a value an object that sorts as it does, by the key's collation; None: it does by itself."""
    kind = key.type if collation_of(key.type) else key.expression.type
    return linker.type(kind).sort_value


def _key_parts(compiler: Compiler, key: SortKey[Expr]) -> list[str]:
    code = compiler.value(key.expression)
    convert = _order_of(compiler.linker, key)
    name = compiler.unit.bind(convert, "g") if convert is not None else ""
    if not code.nullable:
        return [f"{name}({code.text})" if name else code.text]
    first, again = compiler.named(code)
    # The flag decides before values are compared; equal flags of NULLs meet the identical None.
    null_sorts_high = key.nulls_first if key.descending else not key.nulls_first
    flag = f"{first} is {'' if null_sorts_high else 'not '}None"
    return [flag, f"(None if {again} is None else {name}({again}))" if name else again]


@executes(pl.Sort)
class SortNode(Node):
    """With a short ``limit``, only about twice as many rows are kept at any time; past ``work_mem`` rows go to
    files."""

    __slots__ = ("_by_columns", "_child", "_limit", "_offset", "_passes", "_shape", "_stored")

    def __init__(self, plan: pl.Sort, builder: Builder) -> None:
        self._child = builder.node(plan.child)
        self._passes = sort_passes(builder, plan.keys, self._child.nullable)
        self._limit = None if plan.limit is None else value_function(builder, plan.limit)
        self._offset = None if plan.offset is None else value_function(builder, plan.offset)
        width = len(plan.child.output)
        keys = [key.expression for key in plan.keys]
        stored, self._stored = passed_on(self._child, width, plan.output, keys)
        self._shape = batch_function(builder, plan.output, None, width, None, stored) if plan.output else None
        self.nullable = output_nullable(plan.output, self._child.nullable) if plan.output else self._child.nullable
        self._by_columns = ColumnSort.of(plan.keys, builder, self._child.column_kinds)

    def keep_stored(self, positions: frozenset[int]) -> frozenset[int]:
        """See ``Node``."""
        return self._stored.keep(positions)

    @property
    def column_kinds(self) -> str | None:
        """See ``Node``: of a sort of all rows whose keys are for columns."""
        if self._by_columns is None or not self._by_columns.is_whole or self._limit or self._shape or self._stored:
            return None
        return self._child.column_kinds

    @property
    def columns_from(self) -> Node:
        """See ``Node``."""
        return self._child

    def columns(self, ctx: ExecContext) -> Iterator[ColumnBatch]:
        """As ``batches``, by columns as far as that goes."""
        if self._by_columns is None:
            return
        columns = Kept(self._by_columns, ctx.area(), ctx.open_file)
        rest = columns.rest(ctx, self._child.columns(ctx))
        if rest is None:
            self._tell(ctx, columns)
            for batch in columns.ordered():
                ctx.check()
                yield batch
            return
        for rows in self._sorted(ctx, rest, None):
            ctx.check()
            yield ColumnBatch.of_rows(rows, len(rows[0]))

    def _tell(self, ctx: ExecContext, columns: Kept) -> None:
        ctx.tell(
            self,
            Sort_Method="external merge" if columns.file_bytes else "quicksort",
            Sort_Space_Used=-(-(columns.file_bytes or columns.peak_bytes) // KB),
            Sort_Space_Type="Disk" if columns.file_bytes else "Memory",
        )

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """Everything is read before the first row comes."""
        limit = self._limit(ctx) if self._limit is not None else None
        left = limit if limit is not None and limit >= 0 else None
        if left is not None and self._offset is not None:
            left += max(self._offset(ctx) or 0, 0)
        kept = ctx.area()
        columns: Kept | None = None
        if left != 0 and self._by_columns is not None and self._child.has_columns(ctx):
            if left is None and self._by_columns.is_whole:
                columns = Kept(self._by_columns, kept, ctx.open_file)
                source = columns.rest(ctx, self._child.columns(ctx))
            else:
                source = sifted(ctx, self._by_columns, self._child.columns(ctx), left)
        else:
            source = self._child.batches(ctx)
        if source is None and columns is not None:
            self._tell(ctx, columns)
            ordered: Iterator[Batch] = columns.rows()
        else:
            kept.clear()
            ordered = self._sorted(ctx, source or iter(()), left)
        for rows in ordered:
            ctx.check()
            part = rows if self._shape is None else self._shape(ctx, rows)
            if self._stored:
                yield from self._stored.resolved(part)
            else:
                yield part

    def _sorted(self, ctx: ExecContext, source: Iterator[Batch], left: int | None) -> Iterator[Batch]:
        sorter = Sorter(self._passes, ctx.area(), ctx.open_file, left)
        for batch in source:
            ctx.check()
            sorter.add(batch)
        ordered = sorter.finish()
        ctx.tell(
            self,
            Sort_Method=sorter.method,
            Sort_Space_Used=-(-(sorter.file_bytes or sorter.peak_bytes) // KB),
            Sort_Space_Type="Disk" if sorter.file_bytes else "Memory",
        )
        for rows in ordered:
            for start in range(0, len(rows), BATCH_ROWS):
                part = rows if len(rows) <= BATCH_ROWS else rows[start : start + BATCH_ROWS]
                if left is not None:
                    part = part[:left]
                    left -= len(part)
                if part:
                    yield part
            if left == 0:
                return
