"""Expressions of indexes as functions of a whole row: stored SQL text → analyzed expression → compiled function.

What an index is made of is immutable, so the functions run without a session: in neutral settings, whoever writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from aurora.datum import Datum, Row
from aurora.errors import InvariantViolation, SqlError
from compute_node.access.index_access import RowExpression
from compute_node.exec.builder import Builder
from compute_node.exec.compile.rows import value_function
from compute_node.exec.compile.unit import row_scope
from compute_node.exec.context import ExecContext
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.analyze.stored import analyze_stored
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.deparse.pretty import deparse_pretty
from compute_node.sql.expressions import Call, Column, Const, Expr, RowExpr, Var, map_children, walk
from compute_node.sql.plan import PlannedStmt, Result
from compute_node.sql.planner.fold import fold
from compute_node.sql.planner.inline import Inliner
from compute_node.types.oids import BOOL
from compute_node.types.registry import PgType, RoutineCall, SessionView

if TYPE_CHECKING:
    from compute_node.access.storage import Storage


Running: TypeAlias = "Callable[[], SessionView | None]"
CatalogFunction = Callable[..., Datum]
"""see ``SessionView.catalog_function``"""


class _Linker(Builder):
    """Links to the catalog, and to the types of the table's own columns."""

    def __init__(self, catalog: CatalogView, relation: RelationDesc) -> None:
        super().__init__(PlannedStmt(command="select", plan=Result(), columns=None), catalog)
        self._types = relation.types

    def type(self, oid: int) -> PgType:
        """By OID."""
        return self._types.get(oid) or self.catalog.type(oid)


class _Writer:
    """The session that happens to write, with what an immutable function may ask of it: to run a function in SQL, the
    catalog (a text search configuration), to tell of something. Its settings and its user are none of that. Where no
    session writes (autoanalyze), the catalog is asked all the same, and nobody is told."""

    def __init__(self, running: Running, catalog_function: CatalogFunction) -> None:
        self._running = running
        self._catalog_function = catalog_function

    def call_routine(self, call: RoutineCall, arguments: Row, snapshot: object) -> Any:
        """See ``SessionView``."""
        session = self._running()
        if session is None:
            raise InvariantViolation("a function in SQL is called where no session runs")
        return session.call_routine(call, arguments, None)

    def catalog_function(self, name: str, *args: Datum) -> Datum:
        """See ``SessionView``."""
        session = self._running()
        return self._catalog_function(name, *args) if session is None else session.catalog_function(name, *args)

    def notice(self, notice: SqlError, severity: str = "NOTICE") -> None:
        """See ``SessionView``."""
        session = self._running()
        if session is not None:
            session.notice(notice, severity)


class RowExpressions:
    """Compiles the expressions and predicates of indexes; ``view`` gives the catalog as it is committed now,
    ``running`` the session whose statement writes, ``catalog_function`` what is asked where there is none."""

    def __init__(
        self, storage: Storage, view: Callable[[], CatalogView], running: Running, catalog_function: CatalogFunction
    ) -> None:
        self._storage = storage
        self._view = view
        self._writer = _Writer(running, catalog_function)

    def comparison(self, relation: RelationDesc, operator: int, kind: int) -> Callable[[Datum, Datum], Datum]:
        """The function of an operator on two values of the type ``kind``."""
        view = self._view()
        sides = tuple(Column(type=kind, typmod=-1, index=index) for index in range(2))
        node = Call(type=BOOL, function=view.operator(operator).function, operator=operator, arguments=sides)
        compiled = value_function(_Linker(view, relation), node, row_scope([True, True]), "c, r")
        context = self._context()
        return lambda one, other: compiled(context, (one, other))

    def compile(self, relation: RelationDesc, text: str) -> RowExpression:
        """See ``RowExpression``."""
        view = self._view()
        analyzed = analyze_stored(view, relation, text, "INDEX")
        expression = fold(view, Inliner(view, None).expression(analyzed))
        attnos = frozenset(item.attno for item in walk(expression) if isinstance(item, Var))
        nullable = [not column.not_null for column in relation.columns]
        compiled = value_function(_Linker(view, relation), _over_row(relation, expression), row_scope(nullable), "c, r")
        context = self._context()
        return RowExpression(lambda row: compiled(context, row), attnos, deparse_pretty(analyzed, view, relation))

    def _context(self) -> ExecContext:
        """Immutable functions of the row alone: nobody runs it, and it reads nothing. But for what ``_Writer`` asks of
        whoever writes the row."""
        nobody: Any = None
        writer: Any = self._writer
        env = replace(self._storage.type_env)
        # The checks of domains run in it, too.
        found = env.check_context = ExecContext(writer, nobody, nobody, env, self._storage)
        return found


def _over_row(relation: RelationDesc, node: Expr) -> Expr:
    """The expression with the table's columns as columns of the row."""
    if isinstance(node, Var):
        if node.attno > 0:
            return Column(type=node.type, typmod=node.typmod, index=node.attno - 1)
        if node.attno < 0:
            raise InvariantViolation(f"system column {node.attno} in an index of {relation.name}")
        return RowExpr(
            type=node.type,
            arguments=tuple(
                Const(type=column.type, value=None)
                if column.dropped
                else Column(type=column.type, typmod=column.typmod, index=column.attno - 1)
                for column in relation.columns
            ),
            names=tuple(column.name for column in relation.columns),
        )
    return map_children(node, lambda child: _over_row(relation, child))
