"""SEARCH and CYCLE of a recursive WITH item (manual, 7.8.2.1 and 7.8.2.2): columns that it gets besides its own.

As in PostgreSQL each term becomes a sub-select of one that adds them::

    initial     SELECT *, ARRAY[ROW(a)] FROM (initial)
    recursive   SELECT *, x.seq || ARRAY[ROW(a)] FROM (SELECT …, item.seq FROM item …) x

SEARCH BREADTH FIRST has ``ROW(depth, a)``. CYCLE has the path likewise, and a mark that says whether the row is in it;
the recursive term goes on from unmarked rows only.
"""

from __future__ import annotations

from dataclasses import dataclass

from pglast import ast

from aurora.errors import DuplicateColumn, NotSupported, SqlSyntaxError, UndefinedFunction
from compute_node.sql.analyze.coercion import coerce_to_common, select_common_type
from compute_node.sql.analyze.context import Scope, fail
from compute_node.sql.analyze.operators import find_operator, make_operator
from compute_node.sql.analyze.typenames import format_type
from compute_node.sql.expressions import (
    And,
    ArrayExpr,
    ArrayOp,
    Case,
    Const,
    Expr,
    FieldSelect,
    RowExpr,
    Var,
)
from compute_node.sql.query import FromItem, Query, RangeEntry, Target
from compute_node.sql.rewrite import nested_query
from compute_node.types import oids

RECORD_ARRAY = 2287


@dataclass(slots=True)
class Extra:
    """What SEARCH and CYCLE add to an item's columns."""

    item: ast.CommonTableExpr
    search: tuple[int, ...] = ()
    """places of the columns to search by"""
    breadth: bool = False
    cycle: tuple[int, ...] = ()
    mark: Expr | None = None
    unmarked: Expr | None = None

    def columns(self) -> list[tuple[str, int]]:
        """Names and types."""
        found: list[tuple[str, int]] = []
        if self.item.search_clause is not None:
            found.append((self.item.search_clause.search_seq_column, oids.RECORD if self.breadth else RECORD_ARRAY))
        if self.item.cycle_clause is not None and self.mark is not None:
            found.append((self.item.cycle_clause.cycle_mark_column, self.mark.type))
            found.append((self.item.cycle_clause.cycle_path_column, RECORD_ARRAY))
        return found


def read_clauses(scope: Scope, item: ast.CommonTableExpr, names: list[str]) -> Extra | None:
    """The clauses of an item whose columns are ``names``; None without one. Raises 42601, 42701, 42804."""
    search, cycle = item.search_clause, item.cycle_clause
    if search is None and cycle is None:
        return None
    extra = Extra(item)
    if search is not None:
        extra.search = _columns("search", search.search_col_list, names, search.location)
        extra.breadth = bool(search.search_breadth_first)
    if cycle is not None:
        extra.cycle = _columns("cycle", cycle.cycle_col_list, names, cycle.location)
        _mark(scope, extra, cycle)
    return extra


def check_names(extra: Extra, names: list[str]) -> None:
    """42601 for a further column whose name is taken."""
    search, cycle = extra.item.search_clause, extra.item.cycle_clause
    if search is not None:
        _unused("search sequence column name", search.search_seq_column, names, search.location)
    if cycle is not None:
        _unused("cycle mark column name", cycle.cycle_mark_column, names, cycle.location)
        _unused("cycle path column name", cycle.cycle_path_column, names, cycle.location)
        if cycle.cycle_mark_column == cycle.cycle_path_column:
            message = "cycle mark column name and cycle path column name are the same"
            raise fail(SqlSyntaxError, message, _at(cycle.location))
    if search is not None and cycle is not None:
        for name, what in ((cycle.cycle_mark_column, "mark"), (cycle.cycle_path_column, "path")):
            if search.search_seq_column == name:
                message = f"search sequence column name and cycle {what} column name are the same"
                raise fail(SqlSyntaxError, message, _at(search.location))


def _at(location: int | None) -> int:
    return location if location is not None else -1


def _columns(kind: str, nodes: tuple[ast.String, ...], names: list[str], location: int | None) -> tuple[int, ...]:
    found: list[int] = []
    for node in nodes:
        if node.sval not in names:
            raise fail(SqlSyntaxError, f'{kind} column "{node.sval}" not in WITH query column list', _at(location))
        place = names.index(node.sval)
        if place in found:
            raise fail(DuplicateColumn, f'{kind} column "{node.sval}" specified more than once', _at(location))
        found.append(place)
    return tuple(found)


def _unused(what: str, name: str, names: list[str], location: int | None) -> None:
    if name in names:
        raise fail(SqlSyntaxError, f'{what} "{name}" already used in WITH query column list', _at(location))


def _mark(scope: Scope, extra: Extra, cycle: ast.CTECycleClause) -> None:
    from compute_node.sql.analyze.expressions import transform

    scope.analysis.keep_depth += 1
    values = [
        Const(type=oids.BOOL, value=default) if node is None else transform(scope, node)
        for node, default in ((cycle.cycle_mark_value, True), (cycle.cycle_mark_default, False))
    ]
    scope.analysis.keep_depth -= 1
    common = select_common_type(scope, values, "CYCLE")
    extra.mark, extra.unmarked = (coerce_to_common(scope, value, common, "CYCLE/SET/TO") for value in values)
    if find_operator(scope, None, "=", common, common, -1, missing_ok=True) is None:
        shown = format_type(scope.catalog, common)
        raise fail(UndefinedFunction, f"could not identify an equality operator for type {shown}")


def check_terms(item: ast.CommonTableExpr) -> None:
    """0A000 and 42601 for terms that are no plain SELECTs."""
    message = "with a SEARCH or CYCLE clause, the %s side of the UNION must be a SELECT"
    if int(item.ctequery.larg.op or 0):
        raise NotSupported(message % "left")
    if int(item.ctequery.rarg.op or 0):
        raise SqlSyntaxError(message % "right")


def extended_initial(scope: Scope, extra: Extra, initial: Query, names: list[str]) -> Query:
    """The non-recursive term with the further columns."""
    outer, columns = _around(initial, names, "*TLOCRN*")
    if extra.item.search_clause is not None:
        row = _row(columns, extra.search, Const(type=oids.INT8, value=0) if extra.breadth else None)
        outer.targets.append(Target(row if extra.breadth else _array(row), extra.columns()[0][0]))
    if extra.unmarked is not None:
        (mark, _), (path, _) = extra.columns()[-2:]
        outer.targets.append(Target(extra.unmarked, mark))
        outer.targets.append(Target(_array(_row(columns, extra.cycle)), path))
    return outer


def extended_recursive(scope: Scope, extra: Extra, recursive: Query, names: list[str]) -> Query:
    """The recursive term with the further columns."""
    name, added = extra.item.ctename, extra.columns()
    rte = next(
        (
            number
            for number, entry in enumerate(recursive.range_table)
            if entry.kind == "cte" and entry.cte == name and entry.cte_levels_up
        ),
        -1,
    )
    if rte < 0:
        raise NotSupported(
            f'with a SEARCH or CYCLE clause, the recursive reference to WITH query "{name}" must be at the top level'
            " of its right-hand SELECT"
        )
    own = [Var(type=kind, rte=rte, attno=len(names) + 1 + place) for place, (_, kind) in enumerate(added)]
    visible = [item for item in recursive.targets if not item.junk]
    junk = [item for item in recursive.targets if item.junk]
    if junk:
        raise NotSupported("a recursive term with SEARCH or CYCLE that sorts by what it does not give is not supported")
    recursive.targets = visible + [Target(var, each) for var, (each, _) in zip(own, added, strict=True)]
    if extra.mark is not None:
        test = make_operator(scope, None, "<>", own[-2], extra.mark, -1)
        parts = (recursive.where, test) if recursive.where is not None else (test,)
        recursive.where = test if len(parts) == 1 else And(type=oids.BOOL, arguments=parts)
    outer, columns = _around(recursive, [*names, *(each for each, _ in added)], "*TROCRN*")
    outer.targets = outer.targets[: len(names)]
    before = columns[len(names) :]
    if extra.item.search_clause is not None:
        outer.targets.append(Target(_search(scope, extra, columns, before[0]), added[0][0]))
    if extra.mark is not None and extra.unmarked is not None:
        row, path = _row(columns, extra.cycle), before[-1]
        equal = find_operator(scope, None, "=", oids.RECORD, oids.RECORD, -1)
        seen = ArrayOp(
            type=oids.BOOL,
            function=equal.function if equal is not None else 0,
            operator=equal.oid if equal is not None else 0,
            left=row,
            right=path,
            use_or=True,
        )
        mark = Case(
            type=extra.mark.type, typmod=extra.mark.typmod, operand=None, branches=((seen, extra.mark),),
            default=extra.unmarked,
        )  # fmt: skip
        outer.targets.append(Target(mark, added[-2][0]))
        outer.targets.append(Target(_longer(scope, path, row), added[-1][0]))
    return outer


def _search(scope: Scope, extra: Extra, columns: list[Expr], before: Expr) -> Expr:
    if not extra.breadth:
        return _longer(scope, before, _row(columns, extra.search))
    depth = FieldSelect(type=oids.INT8, argument=before, index=0)
    return _row(columns, extra.search, make_operator(scope, None, "+", depth, Const(type=oids.INT8, value=1), -1))


def _longer(scope: Scope, array: Expr, row: Expr) -> Expr:
    return make_operator(scope, None, "||", array, _array(row), -1)


def _around(query: Query, names: list[str], alias: str) -> tuple[Query, list[Expr]]:
    """``SELECT * FROM (query)``, and its columns."""
    visible = [item for item in query.targets if not item.junk]
    types = tuple([item.expression.type for item in visible])
    typmods = tuple([item.expression.typmod for item in visible])
    outer = Query("select")
    outer.range_table = [RangeEntry("subquery", alias, tuple(names), types, typmods, query=nested_query(query))]
    outer.from_items = [FromItem(0)]
    columns: list[Expr] = [
        Var(type=kind, typmod=typmod, rte=0, attno=place + 1)
        for place, (kind, typmod) in enumerate(zip(types, typmods, strict=True))
    ]
    outer.targets = [Target(column, name) for column, name in zip(columns, names, strict=True)]
    return outer, columns


def _row(columns: list[Expr], places: tuple[int, ...], first: Expr | None = None) -> Expr:
    items = ([] if first is None else [first]) + [columns[place] for place in places]
    return RowExpr(type=oids.RECORD, arguments=tuple(items), names=tuple([f"f{at + 1}" for at in range(len(items))]))


def _array(row: Expr) -> Expr:
    return ArrayExpr(type=RECORD_ARRAY, elements=(row,), element_type=oids.RECORD)
