"""A sequential scan by columns: the filter over whole columns, then what is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

from compute_node.access.stored import LAZY, Toasted, resolved
from compute_node.exec.vectors.expressions import (
    CountedFilter,
    Filter,
    Vectorizer,
    compiled_all,
    compiled_first,
    conjuncts_of,
    row_test,
)
from compute_node.exec.vectors.project import output_kinds
from compute_node.exec.vectors.vector import KINDS, ColumnBatch, Unsuited, scanned
from compute_node.sql import expressions as ex
from compute_node.sql.planner.quals import contains_volatile
from compute_node.sql.planner.selectivity import table_size
from compute_node.txn.serializable import SerialSnapshot
from compute_node.work.spill import setting_of

if TYPE_CHECKING:
    from compute_node.access.table_reader import ColumnRows
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext
    from compute_node.exec.stored_values import ScanColumns
    from compute_node.relations.descriptors import RelationDesc

Source: TypeAlias = "Callable[[tuple[int, ...], str], Iterator[ColumnRows]]"
PAGES_MIN = 16
"""Smaller tables are read by rows."""
SIFTED_SHARE = 0.3
ROWS_MIN = 500
"""Fewer rows that are expected of an index are fetched by rows."""


def is_large(builder: Builder, relation: RelationDesc) -> bool:
    """Whether a scan of the whole table is worth columns."""
    return table_size(builder.catalog, relation)[0] >= PAGES_MIN


def by_columns(ctx: ExecContext) -> bool:
    """Whether this execution may work by columns."""
    return type(ctx.snapshot) is not SerialSnapshot and bool(setting_of(ctx.session, "aurora.column_batches"))


class ColumnScan:
    """What a scan node needs to give columns. ``filter``: None when the condition is not for columns."""

    __slots__ = ("_attnos", "_eager", "_kinds", "_outputs", "_relation", "filter", "kinds", "sifts")

    def __init__(
        self,
        builder: Builder,
        relation: RelationDesc,
        read: ScanColumns,
        output: Sequence[ex.Expr],
        condition: ex.Expr | None,
        nullable: Sequence[bool],
    ) -> None:
        self._attnos, self._relation = read.columns, relation
        self._kinds = "".join(kind_of(relation, attno) for attno in read.columns)
        self._eager = tuple(place for place, attno in enumerate(read.columns) if attno < LAZY)
        conjuncts = conjuncts_of(condition)
        tests = compiled_first(Vectorizer(builder, self._kinds, False), conjuncts)
        rest = conjuncts[len(tests) :]
        self.sifts = bool(tests)
        """whether the filter is for columns, and leaves so few rows that it pays where they become tuples"""
        if rest:
            tests.append(row_test(builder, rest, nullable, read.stored))
        self.filter = None if contains_volatile(builder, *rest) else Filter(tests)
        if self.filter is not None and (told := builder.column_filtering()) is not None:
            self.filter = CountedFilter(self.filter, told)
        self._outputs = None if self.filter is None else compiled_all(Vectorizer(builder, self._kinds, True), output)
        self.kinds: str | None = None
        """of the output; None when there is an expression that is not for columns"""
        if self._outputs is not None:
            self.kinds = output_kinds(output, self._kinds)

    def expects(self, rows: float, builder: Builder) -> None:
        """So many rows are expected to pass the filter."""
        if rows > SIFTED_SHARE * table_size(builder.catalog, self._relation)[1]:
            self.sifts = False

    @classmethod
    def of(
        cls,
        builder: Builder,
        relation: RelationDesc,
        read: ScanColumns,
        output: Sequence[ex.Expr],
        condition: ex.Expr | None,
        nullable: Sequence[bool],
    ) -> ColumnScan | None:
        """None for what is read by rows: system columns. Whether it is many rows is the caller's to know."""
        attnos = [attno & (LAZY - 1) if attno > 0 else attno for attno in read.columns]
        if relation.kind not in ("r", "m", "t") or min(attnos, default=1) < 1 or len(set(attnos)) < len(attnos):
            return None
        return cls(builder, relation, read, output, condition, nullable)

    def batches(
        self, ctx: ExecContext, source: Callable[[tuple[int, ...], str], Iterator[ColumnRows]]
    ) -> Iterator[ColumnBatch]:
        """The rows of ``source`` (table columns, their kinds), unfiltered."""
        for count, columns, may_have_handles in source(self._attnos, self._kinds):
            ctx.check()
            batch = ColumnBatch(count, [scanned(column) for column in columns])
            if may_have_handles and has_handles(batch, self._eager):
                for rows in resolved(batch.rows(), self._eager):
                    yield ColumnBatch.of_rows(rows, len(columns))
            else:
                yield batch

    def output(self, batch: ColumnBatch, ctx: ExecContext) -> ColumnBatch:
        """The output columns of filtered rows. ``Unsuited`` when they are to be computed by rows."""
        if self._outputs is None:
            raise Unsuited
        return ColumnBatch(batch.count, [output(batch, ctx) for output in self._outputs])


def has_handles(batch: ColumnBatch, places: Sequence[int]) -> bool:
    """Whether there is a handle of a stored value in these columns."""
    return any(
        type(value) is Toasted
        for place in places
        if (column := batch.column(place)).kind == "o"
        for value in column.values
    )


def kind_of(relation: RelationDesc, attno: int) -> str:
    """The form of a table's column."""
    return KINDS.get(relation.columns[(attno & (LAZY - 1)) - 1].type, "o")
