"""Conditions on several columns of one table that statistics objects know together (manual, 76.2): conditions → their
share, and those that are left to be taken as independent. The most common combinations come first, then dependencies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from compute_node.relations.extended_statistics import Combination, Dependency, ExtendedStatistics
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import (
    And,
    ArrayExpr,
    ArrayOp,
    Call,
    Const,
    Expr,
    Not,
    NullTest,
    Or,
    Var,
)
from compute_node.sql.planner.quals import relids, strip_relabel
from compute_node.sql.planner.selectivity.variable import clamp
from compute_node.types import oids

EQUAL, NOT_EQUAL = 101, 102
TESTED = frozenset((EQUAL, NOT_EQUAL, 103, 104, 336, 337))
"""pg_operator.oprrest of operators that are tried on combinations"""

Share = Callable[[Sequence[Expr]], float]
"""of conditions as if their columns were independent"""
Tester = Callable[[Combination], bool | None]


def column_of(node: Expr) -> int:
    """The table's column that an expression is; 0 for another expression."""
    node = strip_relabel(node)
    return node.attno if isinstance(node, Var) and not node.levels_up and node.attno > 0 else 0


# --- dependencies -----------------------------------------------------------------------------------------------------


def by_dependencies(
    catalog: CatalogView, conditions: Sequence[Expr], known: Sequence[ExtendedStatistics], share: Share
) -> tuple[float, list[Expr]]:
    """(the share of conditions on columns of which one follows from the others, the other conditions)."""
    columns = [equated(catalog, node) for node in conditions]
    left = {column for column in columns if column}
    chosen: list[Dependency] = []
    while len(left) > 1:
        fitting = [
            each
            for statistics in known
            for each in statistics.dependencies
            if each.implied in left and left.issuperset(each.known)
        ]
        if not fitting:
            break
        # Of those of most columns the strongest, of equals the last.
        chosen.append(max(reversed(fitting), key=lambda each: (len(each.known), each.degree)))
        left.remove(chosen[-1].implied)
    if not chosen:
        return 1.0, list(conditions)
    used = {column for each in chosen for column in (*each.known, each.implied)}
    shares = {
        column: share([node for node, of in zip(conditions, columns, strict=True) if of == column])
        for column in sorted(used)
    }
    for each in reversed(chosen):
        knowing = 1.0
        for column in each.known:
            knowing *= shares[column]
        implied = shares[each.implied]
        follows = each.degree if knowing <= implied else each.degree * implied / knowing
        shares[each.implied] = follows + (1.0 - each.degree) * implied
    found = 1.0
    for value in shares.values():
        found *= value
    return clamp(found), [node for node, of in zip(conditions, columns, strict=True) if of not in used]


def equated(catalog: CatalogView, node: Expr) -> int:
    """The column that a condition says to equal some values, which no row decides; 0 for any other condition."""
    if isinstance(node, Or):
        columns = {equated(catalog, each) for each in node.arguments}
        return columns.pop() if len(columns) == 1 else 0
    if isinstance(node, Not):
        return _flag(node.argument)
    if isinstance(node, ArrayOp):
        equals = node.use_or and catalog.estimators(node.operator)[0] == EQUAL
        return column_of(node.left) if equals and not relids(node.right) else 0
    if isinstance(node, Call) and node.operator and len(node.arguments) == 2:
        if catalog.estimators(node.operator)[0] != EQUAL:
            return 0
        left, right = node.arguments
        if not relids(right):
            return column_of(left)
        return 0 if relids(left) else column_of(right)
    return _flag(node)


def _flag(node: Expr) -> int:
    return column_of(node) if node.type == oids.BOOL else 0


# --- the most common combinations -------------------------------------------------------------------------------------


def by_combinations(
    catalog: CatalogView,
    conditions: Sequence[Expr],
    known: Sequence[ExtendedStatistics],
    share: Share,
    value_of: Callable[[Expr], Const | None],
) -> tuple[float, list[Expr]]:
    """(the share of conditions that can be tried on common combinations, the other conditions)."""
    found, left = 1.0, list(conditions)
    tests: dict[int, tuple[frozenset[int], Callable[[Sequence[int]], Tester]]] = {}
    for node in conditions:
        columns: set[int] = set()
        test = _test(catalog, node, value_of, columns)
        if test is not None and columns:
            tests[id(node)] = frozenset(columns), test
    while True:
        best: tuple[int, int] = (1, 0)
        chosen: ExtendedStatistics | None = None
        for statistics in known:
            if not statistics.common:
                continue
            own = frozenset(statistics.columns)
            matched = frozenset[int]().union(
                *(tests[id(node)][0] for node in left if id(node) in tests and tests[id(node)][0] <= own)
            )
            rank = len(matched), -statistics.size
            if rank[0] > 1 and (chosen is None or rank > best):
                best, chosen = rank, statistics
        if chosen is None:
            return clamp(found), left
        own = frozenset(chosen.columns)
        together = [node for node in left if id(node) in tests and tests[id(node)][0] <= own]
        left = [node for node in left if all(node is not each for each in together)]
        found *= _combined(chosen, [tests[id(node)][1](chosen.columns) for node in together], share(together))


def _combined(statistics: ExtendedStatistics, tests: Sequence[Tester], simple: float) -> float:
    """The share of the common combinations that pass, and of the others what the columns alone say."""
    passed = based = total = 0.0
    for each in statistics.common:
        total += each.frequency
        if all(test(each) is True for test in tests):
            passed += each.frequency
            based += each.base_frequency
    other = min(clamp(simple - based), 1.0 - total)
    return clamp(passed + other)


def _test(
    catalog: CatalogView, node: Expr, value_of: Callable[[Expr], Const | None], columns: set[int]
) -> Callable[[Sequence[int]], Tester] | None:
    """How a condition is tried on a combination of given columns; None when it cannot be. ``columns`` gets its own."""
    if isinstance(node, (And, Or)):
        parts = [_test(catalog, each, value_of, columns) for each in node.arguments]
        if None in parts:
            return None
        made = [each for each in parts if each is not None]
        return lambda order: _connected([each(order) for each in made], isinstance(node, Or))
    if isinstance(node, Not):
        inner = _test(catalog, node.argument, value_of, columns)
        return None if inner is None else lambda order: _negated(inner(order))
    if isinstance(node, NullTest):
        column, negated = column_of(node.argument), node.negated
        columns.add(column)
        return None if not column else lambda order: _null_test(order.index(column), negated)
    if isinstance(node, ArrayOp):
        return _list_test(catalog, node, value_of, columns)
    if isinstance(node, Call) and node.operator and len(node.arguments) == 2:
        return _comparison(catalog, node, value_of, columns)
    if column := _flag(node):
        columns.add(column)
        return lambda order: _flag_test(order.index(column))
    return None


def _comparison(
    catalog: CatalogView, node: Call, value_of: Callable[[Expr], Const | None], columns: set[int]
) -> Callable[[Sequence[int]], Tester] | None:
    left, right = node.arguments
    flipped = not column_of(left)
    column = column_of(right if flipped else left)
    constant = value_of(left if flipped else right)
    function = catalog.function(node.function)
    if not column or constant is None or catalog.estimators(node.operator)[0] not in TESTED or function.needs_context:
        return None
    columns.add(column)
    call, value = function.implementation, constant.value

    def test(order: Sequence[int]) -> Tester:
        place = order.index(column)

        def passes(each: Combination) -> bool | None:
            own = each.values[place]
            if own is None or value is None:
                return None
            return bool(call(value, own) if flipped else call(own, value))

        return passes

    return test


def _list_test(
    catalog: CatalogView, node: ArrayOp, value_of: Callable[[Expr], Const | None], columns: set[int]
) -> Callable[[Sequence[int]], Tester] | None:
    column = column_of(node.left)
    function = catalog.function(node.function)
    if not column or catalog.estimators(node.operator)[0] not in TESTED or function.needs_context:
        return None
    if isinstance(node.right, ArrayExpr) and not node.right.nested:
        found = [value_of(each) for each in node.right.elements]
        if None in found:
            return None
        values = [each.value for each in found if each is not None]
    else:
        constant = value_of(node.right)
        if constant is None or constant.value is None or any(isinstance(each, list) for each in constant.value):
            return None
        values = list(constant.value)
    columns.add(column)
    call, use_or = function.implementation, node.use_or

    def test(order: Sequence[int]) -> Tester:
        place = order.index(column)

        def passes(each: Combination) -> bool | None:
            own = each.values[place]
            if own is None:
                return None
            results = (bool(call(own, value)) for value in values if value is not None)
            return any(results) if use_or else all(results)

        return passes

    return test


def _connected(tests: Sequence[Tester], use_or: bool) -> Tester:
    def passes(each: Combination) -> bool | None:
        found: Iterator[bool] = (test(each) is True for test in tests)
        return any(found) if use_or else all(found)

    return passes


def _negated(test: Tester) -> Tester:
    def passes(each: Combination) -> bool | None:
        found = test(each)
        return None if found is None else not found

    return passes


def _null_test(place: int, negated: bool) -> Tester:
    return lambda each: (each.values[place] is None) != negated


def _flag_test(place: int) -> Tester:
    def passes(each: Combination) -> bool | None:
        value = each.values[place]
        return None if value is None else bool(value)

    return passes
