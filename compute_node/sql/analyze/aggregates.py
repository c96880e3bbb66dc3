"""Grouping checks: what SELECT and HAVING may reference beside aggregates (manual 7.2.3)."""

from __future__ import annotations

from aurora.errors import GroupingError
from compute_node.sql.analyze.context import Scope, fail, shift_levels
from compute_node.sql.analyze.grouping import not_grouped
from compute_node.sql.analyze.names import SYSTEM_NAMES
from compute_node.sql.expressions import AggregateCall, Expr, GroupingCall, SubLink, Var, children
from compute_node.sql.query import Query
from compute_node.sql.rewrite import query_expressions


def check_grouping(scope: Scope, query: Query) -> None:
    """Raise 42803 for a column outside the GROUP BY that is not inside an aggregate nor determined by a grouped
    primary key."""
    groups = [query.targets[index].expression for index in query.group_by]
    checker = _Checker(scope, query, groups)
    for target in query.targets:
        checker.check(target.expression, 0)
    if query.having is not None:
        checker.check(query.having, 0)


class _Checker:
    def __init__(self, scope: Scope, query: Query, groups: list[Expr]) -> None:
        self.scope = scope
        self.query = query
        self.groups = groups
        sets = query.grouping_sets
        self.common = [
            query.targets[index].expression
            for index in query.group_by
            if sets is None or all(index in each for each in sets)
        ]
        """what is in all grouping sets"""
        self.original = _original_of(scope)
        self.shifted: dict[int, list[Expr]] = {0: groups}
        self.determined: dict[int, bool] = {}

    def _groups_at(self, depth: int) -> list[Expr]:
        found = self.shifted.get(depth)
        if found is None:
            found = self.shifted[depth] = [shift_levels(item, depth) for item in self.groups]
        return found

    def _is_determined(self, rte: int) -> bool:
        """Whether the grouped columns hold the entry's whole primary key."""
        known = self.determined.get(rte)
        if known is None:
            relation = self.query.range_table[rte].relation
            known = False
            if relation is not None and self.query.range_table[rte].kind == "relation":
                common = self.common
                grouped = {item.attno for item in common if isinstance(item, Var) and item.rte == rte}
                for index in relation.indexes:
                    if index.primary and index.immediate and set(index.columns) <= grouped:
                        known = True
                        if index.constraint:
                            self.scope.catalog.rely_on_key(index.constraint)
            self.determined[rte] = known
        return known

    def check(self, node: Expr, depth: int) -> None:
        if node in self._groups_at(depth):
            return
        if isinstance(node, GroupingCall):
            if node.levels_up == depth:
                for argument in node.arguments:
                    if argument not in self._groups_at(depth):
                        raise not_grouped(argument.location)
            return
        if isinstance(node, AggregateCall) and node.levels_up >= depth:
            if node.levels_up == depth and node.direct:
                self._check_direct(node, depth)
            return
        if isinstance(node, Var):
            if node.levels_up == depth and not self._is_determined(node.rte):
                self._refuse(self.query, node, depth)
            elif self.original is not None and node.levels_up == depth + self.original[0]:
                self._refuse(self.original[1], node, depth)
            return
        for child in children(node):
            self.check(child, depth)
        if isinstance(node, SubLink):
            for expr, level in query_expressions(node.query, depth + 1):
                self.check(expr, level)

    def _check_direct(self, node: AggregateCall, depth: int) -> None:
        try:
            for argument in node.direct:
                self.check(argument, depth)
        except GroupingError as error:
            error.detail = "Direct arguments of an ordered-set aggregate must use only grouped columns."
            raise

    @staticmethod
    def _refuse(query: Query, node: Var, depth: int) -> None:
        entry = query.range_table[node.rte]
        if node.attno > 0:
            name = f"{entry.alias}.{entry.column_names[node.attno - 1]}"
        elif node.attno == 0:
            name = f"{entry.alias}.*"
        else:
            name = f"{entry.alias}.{SYSTEM_NAMES[node.attno]}"
        if depth:
            raise fail(GroupingError, f'subquery uses ungrouped column "{name}" from outer query', node.location)
        raise fail(
            GroupingError,
            f'column "{name}" must appear in the GROUP BY clause or be used in an aggregate function',
            node.location,
        )


def _original_of(scope: Scope) -> tuple[int, Query] | None:
    """OLD and NEW of a rule, where they are columns of this level: how many levels out they stand, and their query."""
    found = scope.of_original()
    if found is None or found[0]:
        return None
    levels, outer = 0, scope
    while outer.parent is not None:
        levels, outer = levels + 1, outer.parent
    return levels, outer.query
