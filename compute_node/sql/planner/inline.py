"""Rule: calls of simple functions in SQL become what their bodies say, before anything else is planned.

A function whose body is ``SELECT expression`` becomes that expression; a function in FROM that returns a set becomes a
sub-select, which may then be merged. So an index can serve what is behind the call. Conditions are PostgreSQL's
(inline_function, inline_set_returning_function): nothing may be evaluated more or less often, as somebody else, or
under other settings than the call would be.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from aurora.errors import SqlError
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.sql.analyze.routines import RoutineBody, shape_of
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import (
    AggregateCall,
    And,
    ArrayCoerce,
    ArrayExpr,
    ArrayOp,
    BooleanTest,
    Call,
    Case,
    Coalesce,
    Const,
    DistinctTest,
    ElementValue,
    Expr,
    MinMax,
    NullIf,
    NullTest,
    Or,
    Param,
    RowCompare,
    RowExpr,
    SqlValue,
    SubLink,
    Var,
    XmlExpr,
    walk,
)
from compute_node.sql.parse import parse
from compute_node.sql.planner.quals import contains_volatile
from compute_node.sql.query import Query, RangeEntry
from compute_node.sql.required import NOTHING, both
from compute_node.sql.rewrite import deep_map, map_query_expressions
from compute_node.sql.rewriter import rewrite
from compute_node.types.oids import RECORD, VOID
from compute_node.types.registry import Function

_NOT_STRICT = (
    AggregateCall, And, ArrayExpr, BooleanTest, Case, Coalesce, DistinctTest, MinMax, NullIf, NullTest, Or,
    RowCompare, RowExpr, SqlValue, SubLink, XmlExpr,
)  # fmt: skip
_EXPENSIVE = 10.0
"""The cost, in calls of a plain function, from which an argument is not evaluated twice."""
_NO_ROW = ("set_op", "group_by", "having", "has_aggregates", "distinct", "distinct_on", "order_by", "has_windows")


def names_routines(query: Query) -> bool:
    """Whether a query calls a user's function at all."""
    required = query.privileges or NOTHING
    return any(oid >= FIRST_NORMAL_OID for oid in required.functions)


class Inliner:
    """One statement's. ``required``, ``relations`` and ``momentary`` tell what the bodies add to it."""

    def __init__(self, catalog: CatalogView, session: object) -> None:
        self.catalog = catalog
        self.session = session
        self.required = NOTHING
        self.relations: frozenset[int] = frozenset()
        self.momentary = False
        self._active: tuple[int, ...] = ()

    def query(self, query: Query) -> Query:
        """The query with what can be inlined inlined."""
        changed = map_query_expressions(query, lambda expr, depth: self.expression(expr))
        return self._with_sets(changed)

    def expression(self, expr: Expr) -> Expr:
        """The same for an expression."""
        return deep_map(expr, lambda node, depth: self._call(node) if isinstance(node, Call) else node)

    # expressions

    def _call(self, node: Call) -> Expr:
        if node.function < FIRST_NORMAL_OID or node.function in self._active:
            return node
        function = self.catalog.function(node.function)
        if not _may_inline(function) or function.returns_set or node.type == RECORD:
            return node
        types = tuple([item.type for item in node.arguments])
        if len(types) != len(function.arguments):
            return node
        body = self._body(function, types, node.type, ())
        if body is None or not _is_expression(body):
            return node
        result = body.targets[0].expression
        if result.type != node.type or not self._as_often(function, result, node.arguments):
            return node
        self._use(body)
        inlined = _substituted(result, node.arguments)
        active, self._active = self._active, (*self._active, function.oid)
        try:
            return self.expression(inlined)
        finally:
            self._active = active

    def _as_often(self, function: Function, result: Expr, arguments: Sequence[Expr]) -> bool:
        """Whether the expression may stand for the call: as volatile, as strict, its arguments evaluated as often."""
        catalog = self.catalog
        if function.volatility == "i" and _is_mutable(catalog, result):
            return False
        if function.volatility == "s" and contains_volatile(catalog, result):
            return False
        if function.strict and _is_not_strict(catalog, result):
            return False
        uses = [0] * len(arguments)
        binds = False
        for item in walk(result):
            if isinstance(item, Param):
                uses[item.number - 1] += 1
            binds = binds or isinstance(item, ArrayCoerce) or (isinstance(item, Case) and item.operand is not None)
        if binds and any(isinstance(part, ElementValue) for argument in arguments for part in walk(argument)):
            # The operand of a CASE would be taken for that of the body's.
            return False
        for count, argument in zip(uses, arguments, strict=True):
            if count == 0 and function.strict:
                return False
            if count == 1:
                continue
            if contains_volatile(catalog, argument) or any(isinstance(item, SubLink) for item in walk(argument)):
                return False
            if count > 1 and _cost(catalog, argument) > _EXPENSIVE:
                return False
        return True

    # functions in FROM

    def _with_sets(self, query: Query) -> Query:
        """Functions in FROM, at every level."""

        def into_links(expr: Expr) -> Expr:
            return deep_map(
                expr,
                lambda node, depth: (
                    dataclasses.replace(node, query=self._with_sets(node.query)) if isinstance(node, SubLink) else node
                ),
            )

        def entry(item: RangeEntry) -> RangeEntry:
            if item.query is not None:
                return dataclasses.replace(item, query=self._with_sets(item.query))
            if item.kind == "function" and isinstance(item.function, Call) and not item.with_ordinality:
                body = self._set(item.function, len(item.column_names))
                if body is not None:
                    return dataclasses.replace(item, kind="subquery", query=body, function=None, lateral=True)
            return item

        def top(expr: Expr, depth: int) -> Expr:
            return into_links(expr) if depth == 1 else expr

        found = map_query_expressions(query, top)
        found.range_table = [entry(item) for item in found.range_table]
        for item in found.ctes:
            item.query = self._with_sets(item.query)
        if found.set_op is not None:
            kind, keep_all, left, right = found.set_op
            found.set_op = (kind, keep_all, self._with_sets(left), self._with_sets(right))
        if found.source is not None:
            found.source = self._with_sets(found.source)
        return found

    def _set(self, node: Call, columns: int) -> Query | None:
        """The sub-select that a call in FROM is; None when it is none."""
        if node.function < FIRST_NORMAL_OID or node.function in self._active:
            return None
        function = self.catalog.function(node.function)
        if not _may_inline(function) or not function.returns_set or function.strict or function.volatility == "v":
            return None
        if node.type == VOID:
            return None
        types = tuple([item.type for item in node.arguments])
        if len(types) != len(function.arguments) or any(
            contains_volatile(self.catalog, item) or any(isinstance(part, SubLink) for part in walk(item))
            for item in node.arguments
        ):
            return None
        columns_given = tuple([(kind, typmod) for kind, typmod, _ in node.columns])
        body = self._body(function, types, node.type, columns_given)
        if body is None or body.command != "select" or body.locking:
            return None
        visible = [item for item in body.targets if not item.junk]
        whole = len(visible) == 1 and self._is_row(node.type) and visible[0].expression.type == node.type
        if len(visible) != columns or whole:
            return None
        self._use(body)
        placed = _with_arguments(body, node.arguments)
        active, self._active = self._active, (*self._active, function.oid)
        try:
            return self.query(placed)
        finally:
            self._active = active

    def _is_row(self, oid: int) -> bool:
        return oid == RECORD or self.catalog.type(oid).kind == "c"

    # bodies

    def _body(
        self, function: Function, types: tuple[int, ...], result: int, columns: tuple[tuple[int, int], ...]
    ) -> Query | None:
        """The body's only statement, analyzed for these types; None for one that is no single query."""
        from compute_node.sql.analyze import analyze

        routine = function.routine
        if routine is None:
            return None
        catalog = self.catalog.of_stored_text() if routine.stored else self.catalog
        try:
            raws = parse(routine.text)
            if len(raws) != 1 or not hasattr(raws[0].node, "targetList"):
                return None
            shape = shape_of(catalog, function, types, result, columns)
            body = RoutineBody(function.name, function.argument_names, shape, stored=routine.stored)
            query = analyze(raws[0].node, catalog, list(types), routine.text, None, self.session, routine=body)
            return rewrite(query, catalog, self.session).only
        except SqlError as error:
            line = f'SQL function "{function.name}" during inlining'
            error.where = line if error.where is None else f"{error.where}\n{line}"
            if error.position is not None:
                error.internal_position, error.internal_query, error.position = error.position, routine.text, None
            raise

    def _use(self, body: Query) -> None:
        self.required = both(self.required, body.privileges or NOTHING)
        self.relations |= body.relations
        self.momentary = self.momentary or body.momentary


def _may_inline(function: Function) -> bool:
    routine = function.routine
    return (
        routine is not None and function.kind == "f" and not routine.security_definer and not routine.settings
    )  # fmt: skip


def _is_expression(body: Query) -> bool:
    """Whether a query is nothing but one expression."""
    if body.command != "select" or body.range_table or body.from_items or body.where is not None or body.ctes:
        return False
    if any(getattr(body, name) for name in _NO_ROW) or body.limit is not None or body.offset is not None:
        return False
    if len(body.targets) != 1 or body.has_srfs:
        return False
    return not any(isinstance(item, (SubLink, AggregateCall)) for item in walk(body.targets[0].expression))


def _is_mutable(catalog: CatalogView, node: Expr) -> bool:
    return any(
        isinstance(item, SqlValue) or any(catalog.function(oid).volatility != "i" for oid in _functions(item))
        for item in walk(node)
    )


def _is_not_strict(catalog: CatalogView, node: Expr) -> bool:
    """Whether the expression may be something else than NULL when an argument is NULL."""
    for item in walk(node):
        if isinstance(item, _NOT_STRICT) or any(not catalog.function(oid).strict for oid in _functions(item)):
            return True
        if isinstance(item, ArrayCoerce):
            return True
    return False


def _functions(item: Expr) -> tuple[int, ...]:
    if isinstance(item, (Call, ArrayOp)):
        return (item.function,)
    if isinstance(item, (DistinctTest, NullIf)):
        return (item.equality,)
    return ()


def _cost(catalog: CatalogView, node: Expr) -> float:
    """In calls of a plain function."""
    return sum(catalog.function(oid).cost for item in walk(node) for oid in _functions(item))


def _substituted(result: Expr, arguments: Sequence[Expr]) -> Expr:
    def place(node: Expr, depth: int) -> Expr:
        return arguments[node.number - 1] if isinstance(node, Param) else node

    return deep_map(result, place)


def _with_arguments(body: Query, arguments: Sequence[Expr]) -> Query:
    """The body as a sub-select of the query that the arguments belong to."""

    def deeper(argument: Expr, levels: int) -> Expr:
        def shift(node: Expr, depth: int) -> Expr:
            if isinstance(node, (Var, AggregateCall)) and node.levels_up >= depth:
                return dataclasses.replace(node, levels_up=node.levels_up + levels)
            return node

        return deep_map(argument, shift)

    def place(node: Expr, depth: int) -> Expr:
        if isinstance(node, Param):
            argument = arguments[node.number - 1]
            return argument if isinstance(argument, Const) else deeper(argument, depth)
        return node

    return map_query_expressions(body, lambda expr, depth: deep_map(expr, place, depth))
