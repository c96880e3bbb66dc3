"""COPY FROM's sink: batches of typed input rows → full rows with defaults → checked → ``Table.insert_many``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from aurora.datum import Row
from aurora.errors import DuplicateColumn, InvalidColumnReference, SqlError, UndefinedColumn
from compute_node.exec.assignments import generator
from compute_node.exec.builder import Builder
from compute_node.exec.compile.rows import batch_function, truth_function
from compute_node.exec.constraints import row_verifier
from compute_node.exec.context import ExecContext
from compute_node.exec.placing import PartitionTest
from compute_node.exec.routing import Router
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.relations.partitions import NONE
from compute_node.sql import expressions as ex
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.plan import Insert, PlannedStmt, Result, Route
from compute_node.sql.required import RelationAccess, Required
from compute_node.types.acl import INSERT
from compute_node.types.registry import PgType


def input_columns(relation: RelationDesc, names: Sequence[str] | None) -> list[ColumnDesc]:
    """The columns that COPY's input has, in its order. 42703 for an unknown one, 42701 for one named twice."""
    if names is None:
        return [column for column in relation.columns if not column.dropped and not column.generated]
    found: list[ColumnDesc] = []
    for name in names:
        column = relation.column(name)
        if column is None:
            raise UndefinedColumn(f'column "{name}" of relation "{relation.name}" does not exist')
        if column.generated:
            raise InvalidColumnReference(
                f'column "{name}" is a generated column', detail="Generated columns cannot be used in COPY."
            )
        if column in found:
            raise DuplicateColumn(f'column "{name}" specified more than once')
        found.append(column)
    return found


class CopyTarget:
    """One COPY FROM into one table, or by ``route`` into the partitions of one. ``defaults``: analyzed expressions,
    already of the column's type, for columns that the input lacks (evaluated per row); ``checks``: the table's CHECK
    constraints over the full row. Errors: 23502, 23505, 23514."""

    __slots__ = (
        "_ctx", "_generate", "_insert_many", "_router", "_shape", "_test", "_touched", "_verify", "_wanted", "_watched",
        "columns", "excluded", "oid", "stored", "table_columns",
    )  # fmt: skip

    def __init__(
        self,
        ctx: ExecContext,
        catalog: CatalogView,
        relation: RelationDesc,
        names: Sequence[str] | None,
        defaults: Mapping[int, ex.Expr],
        checks: Sequence[tuple[str, ex.Expr]],
        generated: Sequence[tuple[int, ex.Expr]],
        where: ex.Expr | None = None,
        route: Route | None = None,
    ) -> None:
        given = input_columns(relation, names)
        writes = RelationAccess(relation, INSERT, inserted=frozenset(column.attno for column in given))
        planned = PlannedStmt(command="copy", plan=Result(), columns=None, privileges=Required((writes,)))
        builder = Builder(planned, catalog)
        self.columns: list[tuple[str, PgType, int]] = [
            (column.name, builder.type(column.type), column.typmod) for column in given
        ]
        self.table_columns = tuple([column.name for column in relation.columns if not column.dropped])
        positions = {column.attno: position for position, column in enumerate(given)}
        output: list[ex.Expr] = []
        for column in relation.columns:
            if column.attno in positions:
                output.append(ex.Column(type=column.type, index=positions[column.attno]))
            elif column.attno in defaults and not column.dropped:
                output.append(defaults[column.attno])
            else:
                output.append(ex.Const(type=column.type, value=None))
        self._shape = batch_function(builder, output, None, len(given))
        self._wanted = None if where is None else truth_function(builder, where)
        self._generate = generator(builder, relation, generated)
        self._verify = row_verifier(builder, relation, checks)
        plan = Insert(relation=relation, child=Result(), checks=tuple(checks), generated=tuple(generated), route=route)
        self._router = None if route is None else Router(plan, route, builder)
        self._test = PartitionTest(builder, relation) if relation.is_partition and route is None else None
        self._touched: dict[int, set[int]] = {}
        self._insert_many = None if route is not None else ctx.storage.table(relation).insert_many
        self._watched = relation.is_watched or any(
            leaf.relation.is_watched for leaf in (() if route is None else route.leaves())
        )
        self._ctx = ctx
        self.oid: int = relation.oid
        self.stored = self.excluded = 0
        """rows so far: inserted, and those that WHERE was not true of"""
        ctx.start((), 0)

    def write_rows(self, rows: list[Row]) -> None:
        """Insert a batch; the caller chooses its size (about a thousand). Errors say by its index which ``row`` it
        was."""
        ctx = self._ctx
        ctx.check()
        if self._shape is not None:
            rows = self._shape(ctx, rows)
        if self._wanted is not None:
            self._write_wanted(rows)
            return
        self._write(rows)

    def _write_wanted(self, rows: list[Row]) -> None:
        """Insert the rows of a batch that WHERE is true of."""
        wanted, ctx = self._wanted, self._ctx
        places = [place for place, row in enumerate(rows) if wanted is None or wanted(ctx, row)]
        self.excluded += len(rows) - len(places)
        try:
            self._write([rows[place] for place in places])
        except SqlError as error:
            if error.row is not None:
                error.row = places[error.row]
            raise

    def _write(self, rows: list[Row]) -> None:
        ctx = self._ctx
        if self._router is not None:
            self.stored += self._router.store(ctx, rows, self._touched)
            return
        if self._generate is not None:
            rows = self._generate(ctx, rows)
        if self._verify is not None:
            try:
                self._verify(ctx, rows)
            except SqlError as error:
                error.row = self._first_wrong(self._verify, rows)
                raise
        if self._test is not None and (at := self._test.wrong(ctx, rows)) != NONE:
            wrong = self._test.violation(ctx, rows[at])
            wrong.row = at
            raise wrong
        if self._insert_many is not None:
            self.stored += self._insert_many(ctx.txn, rows)

    def _first_wrong(self, verify: Callable[[ExecContext, list[Row]], None], rows: list[Row]) -> int:
        """The index of the first row that the constraints refuse."""
        for number, row in enumerate(rows):
            try:
                verify(self._ctx, [row])
            except SqlError:
                return number
        return 0

    def finish(self) -> int:
        """The number of rows inserted, once what foreign keys want of them is done."""
        if self._watched:
            self._ctx.session.follow_changes()
        return self.stored
