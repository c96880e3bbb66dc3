"""``Estimator``: the fraction of rows for which a condition is true, by its kind and by the estimator that
pg_operator.oprrest and oprjoin name for its operator."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial

from compute_node.hub import HUB
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.extended_statistics import ExtendedStatistics
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import (
    And,
    ArrayExpr,
    ArrayOp,
    BooleanTest,
    Call,
    Const,
    DistinctTest,
    Expr,
    Not,
    NullTest,
    Or,
    Param,
    RowCompare,
    SubPlan,
    Var,
    walk,
)
from compute_node.sql.planner.fold import fold
from compute_node.sql.planner.quals import local_vars, relids, strip_relabel
from compute_node.sql.planner.selectivity import containment, joins, patterns, scalars
from compute_node.sql.planner.selectivity.extended import by_combinations, by_dependencies
from compute_node.sql.planner.selectivity.groups import count_groups
from compute_node.sql.planner.selectivity.variable import Untestable, Variable, clamp, examine, sorts_as
from compute_node.sql.planner.values import Peeking
from compute_node.sql.query import RangeEntry
from compute_node.sql.rewrite import deep_map
from compute_node.types import oids

EQUAL, NOT_EQUAL = 101, 102
LESS, GREATER, LESS_EQUAL, GREATER_EQUAL = 103, 104, 336, 337
ORDERED = frozenset((LESS, GREATER, LESS_EQUAL, GREATER_EQUAL))
LIKE = {1819: False, 1814: True, 3437: False}
NOT_LIKE = {1822: False, 1815: True}
REGEX = {1818: False, 1820: True}
NOT_REGEX = {1821: False, 1823: True}
JOIN_EQUAL, JOIN_NOT_EQUAL = 105, 106
JOINS_ORDERED = frozenset((107, 108, 386, 398))
UNKNOWN = 0.5
FUNCTION = 1.0 / 3.0
_IS_NULL = 0.005
_ARRAY_ELEMENTS = 10
_JOIN_DEFAULTS = {140: 0.005, 1301: 0.1, 1303: 0.001, 3561: 0.005, 3687: 0.001, 3818: 0.005, 5041: 0.010}


class Estimator:
    """Of one query level's range entries. ``peeking``: what may be known of parameters' values. What was found of a
    condition and of a column is remembered: rules ask again and again."""

    def __init__(self, catalog: CatalogView, entries: Sequence[RangeEntry], peeking: Peeking) -> None:
        self.catalog = catalog
        self._entries = entries
        self._peeking = peeking
        self._asked: dict[int, RelationDesc] = {}
        """parameters whose values told something of the condition at hand, each with its table"""
        self._known: dict[int, tuple[Expr, float, dict[int, RelationDesc]]] = {}
        """of conditions, by identity: each itself, which keeps its number its own, its share, what it asked"""
        self._variables: dict[Var, Variable] = {}

    def variable(self, node: Expr) -> Variable:
        """What is known of an expression."""
        if not isinstance(node, Var):
            return examine(self.catalog, self._entries, node)
        found = self._variables.get(node)
        if found is None:
            found = self._variables[node] = examine(self.catalog, self._entries, node)
        return found

    def column(self, rte: int, attno: int) -> Variable:
        """What is known of a table's column."""
        kind = self._entries[rte].column_types[attno - 1]
        return self.variable(Var(type=kind, rte=rte, attno=attno))

    def groups(self, keys: Sequence[Expr], rows: float, left_of: Callable[[int], float]) -> float:
        """See ``count_groups``."""
        return count_groups(keys, rows, self.variable, left_of, self._together)

    def _together(self, rte: int) -> Sequence[ExtendedStatistics]:
        """What is known of several columns of a range entry."""
        entry = self._entries[rte]
        if entry.kind != "relation" or entry.relation is None:
            return ()
        return self.catalog.extended_statistics(entry.relation.oid, entry.has_family)

    def of_all(self, conditions: Sequence[Expr]) -> float:
        """All of them together: independent of each other, but for what statistics objects know, and for the two ends
        of a range."""
        entries = {rte for node in conditions for rte in relids(node)}
        known = self._together(next(iter(entries))) if len(conditions) > 1 and len(entries) == 1 else ()
        if not known:
            return self._independent(conditions)
        (rte,) = entries
        found = 1.0
        if any(each.common for each in known) and self._may_test(rte, conditions):
            outer, self._asked = self._asked, {}
            whole = conditions
            found, conditions = by_combinations(
                self.catalog, conditions, known, self._independent, partial(self._constant, rte)
            )
            for relation in self._asked.values():
                self._peeking.note(self._entries, whole, frozenset(self._asked), relation)
                break
            self._asked = outer
        share, conditions = by_dependencies(self.catalog, conditions, known, self._independent)
        return clamp(found * share * self._independent(conditions))

    def _may_test(self, rte: int, conditions: Sequence[Expr]) -> bool:
        """Whether any operator may be tried on the values of these columns."""
        columns = {part for node in conditions for part in local_vars(node) if part.rte == rte}
        return all(self.variable(each).may_test for each in columns)

    def _constant(self, rte: int, node: Expr) -> Const | None:
        """The value of an expression without columns, if it is known."""
        node = strip_relabel(node)
        if isinstance(node, Const):
            return node
        relation = self._entries[rte].relation
        value_of = self._peeking.value_of
        if relation is None or not isinstance(node, Param):
            return None
        self._asked[node.number] = relation
        return None if value_of is None else value_of(node)

    def _independent(self, conditions: Sequence[Expr]) -> float:
        found = 1.0
        ends: dict[Expr, dict[bool, float]] = {}
        ranges: dict[Expr, list[Expr]] = {}
        for node in conditions:
            share = self.of(node)
            end = self._range_end(node)
            if end is None:
                found *= share
                continue
            key, is_lower = end
            known = ends.setdefault(key, {})
            known[is_lower] = min(known.get(is_lower, 1.0), share)
            ranges.setdefault(key, []).append(node)
        for key, sides in ends.items():
            shares = list(sides.values())
            if len(shares) == 2:
                self._note(ranges[key])
            found *= shares[0] if len(shares) == 1 else scalars.range_of(shares, self.variable(key).null_fraction)
        return clamp(found)

    def _range_end(self, node: Expr) -> tuple[Expr, bool] | None:
        """(the variable, whether it is a lower bound) of a comparison with what is no column."""
        if not isinstance(node, Call) or not node.operator or len(node.arguments) != 2:
            return None
        estimator = self.catalog.estimators(node.operator)[0]
        if estimator not in ORDERED:
            return None
        left, right = node.arguments
        is_greater = estimator in (GREATER, GREATER_EQUAL)
        if relids(left) and not relids(right):
            return strip_relabel(left), is_greater
        if relids(right) and not relids(left):
            return strip_relabel(right), not is_greater
        return None

    def _note(self, conditions: Sequence[Expr]) -> None:
        """Conditions that are estimated together."""
        asked: dict[int, RelationDesc] = {}
        for node in conditions:
            if (known := self._known.get(id(node))) is not None:
                asked |= known[2]
        if asked:
            self._peeking.note(self._entries, conditions, frozenset(asked), next(iter(asked.values())))

    def of(self, node: Expr) -> float:
        """One condition, 0 to 1."""
        known = self._known.get(id(node))
        if known is not None:
            return known[1]
        outer, self._asked = self._asked, {}
        share = self._of(node)
        self._known[id(node)] = (node, share, self._asked)
        if not isinstance(node, (And, Or, Not)):
            self._note((node,))
        self._asked = outer
        return share

    def _of(self, node: Expr) -> float:
        if isinstance(node, Const):
            return 1.0 if node.value is True else 0.0
        if isinstance(node, And):
            return self.of_all(node.arguments)
        if isinstance(node, Or):
            found = 0.0
            for item in node.arguments:
                share = self.of(item)
                found += share - found * share
            return clamp(found)
        if isinstance(node, Not):
            return clamp(1.0 - self.of(node.argument))
        if isinstance(node, NullTest):
            known = self.variable(node.argument)
            nulls = _IS_NULL if known.statistics is None else known.null_fraction
            return clamp(1.0 - nulls if node.negated else nulls)
        if isinstance(node, (Var, BooleanTest)):
            return self._boolean(node)
        if isinstance(node, ArrayOp):
            return self._array(node)
        if isinstance(node, RowCompare):
            return scalars.DEFAULT_RANGE
        if isinstance(node, DistinctTest):
            share = self._equality(node.left, node.right)
            return share if node.negated else clamp(1.0 - share)
        if isinstance(node, Call):
            return self._operator(node.operator, *node.arguments) if node.operator else FUNCTION
        return UNKNOWN if isinstance(node, SubPlan) else FUNCTION

    # --- booleans ---------------------------------------------------------------------------------------------------

    def _boolean(self, node: Expr) -> float:
        argument = node.argument if isinstance(node, BooleanTest) else node
        known = self.variable(argument)
        if known.statistics is None:
            return self._boolean_unknown(node)
        true = scalars.equal_to(self.catalog, 91, known, Const(type=oids.BOOL, value=True), False)
        if not isinstance(node, BooleanTest):
            return true
        nulls = known.null_fraction
        share = {True: true, False: clamp(1.0 - true - nulls), None: nulls}[node.target]
        return clamp(1.0 - share if node.negated else share)

    def _boolean_unknown(self, node: Expr) -> float:
        if not isinstance(node, BooleanTest):
            return UNKNOWN
        if node.target is None:
            return 1.0 - _IS_NULL if node.negated else _IS_NULL
        inner = UNKNOWN if isinstance(node.argument, Var) else self.of(node.argument)
        share = inner if node.target else 1.0 - inner
        return clamp(1.0 - share if node.negated else share)

    def _equality(self, left: Expr, right: Expr) -> float:
        found = self.catalog.default_operator_class(left.type)
        return UNKNOWN if found is None else self._operator(found.operators[2], left, right)

    # --- operators --------------------------------------------------------------------------------------------------

    def _operator(self, operator: int, *arguments: Expr) -> float:
        restriction, join = self.catalog.estimators(operator)
        if len(arguments) != 2:
            return UNKNOWN
        left, right = arguments
        if relids(left) and relids(right):
            return self._pair(operator, join, left, right)
        if not relids(left) and relids(right):
            commutator = self.catalog.operator(operator).commutator
            if not commutator:
                return UNKNOWN
            left, right, operator = right, left, commutator
            restriction = self.catalog.estimators(operator)[0]
        return clamp(self._restriction(operator, restriction, self.variable(left), right))

    def _restriction(self, operator: int, estimator: int, variable: Variable, other: Expr) -> float:
        try:
            return self._tested(operator, estimator, variable, other)
        except Untestable:
            return self._tested(operator, estimator, dataclasses.replace(variable, statistics=None), other)

    def _tested(self, operator: int, estimator: int, variable: Variable, other: Expr) -> float:
        other = strip_relabel(other)
        constant = other if isinstance(other, Const) else self._peeked(estimator, variable, other)
        name = self.catalog.operator(operator).name
        negated = estimator == NOT_EQUAL
        if estimator == EQUAL or negated:
            if constant is None:
                return scalars.equal_to_unknown(variable, negated)
            equality = self.catalog.operator(operator).negator if negated else operator
            return scalars.equal_to(self.catalog, equality or operator, variable, constant, negated)
        if estimator in ORDERED:
            if constant is None:
                return scalars.DEFAULT_RANGE
            is_greater, is_equal = estimator in (GREATER, GREATER_EQUAL), estimator in (LESS_EQUAL, GREATER_EQUAL)
            if variable.is_address:
                return scalars.address_share(self.catalog, variable, constant, is_greater, is_equal)
            return scalars.ordered(self.catalog, operator, variable, constant, is_greater, is_equal)
        if estimator in LIKE or estimator in REGEX:
            return self._matching(operator, estimator, variable, constant)
        if estimator in NOT_LIKE or estimator in NOT_REGEX:
            positive = self.catalog.operator(operator).negator
            share = self._matching(positive, self.catalog.estimators(positive)[0], variable, constant)
            return clamp(1.0 - share - variable.null_fraction)
        if estimator == containment.ARRAY:
            return containment.arrays(name, variable, constant)
        if estimator in (containment.RANGE, containment.MULTIRANGE):
            return containment.ranges(name)
        if estimator == containment.NETWORK:
            return containment.networks(name)
        if estimator == containment.DOCUMENT:
            return 0.001 if variable.statistics is None else 0.005
        return containment.DEFAULTS.get(estimator, UNKNOWN)

    def _matching(self, operator: int, estimator: int, variable: Variable, constant: Const | None) -> float:
        if constant is None:
            return patterns.DEFAULT_MATCH
        is_like = estimator in LIKE
        folds_case = LIKE[estimator] if is_like else REGEX.get(estimator, False)
        return patterns.matching(self.catalog, operator, variable, constant, is_like, folds_case)

    def _peeked(self, estimator: int, variable: Variable, other: Expr) -> Const | None:
        """What an expression of parameters alone is, where that tells much more than that there is one."""
        relation = variable.relation
        if relation is None or not self._tells(estimator, variable):
            return None
        params = [part for part in walk(other) if isinstance(part, Param)]
        if not params or relids(other):
            return None
        self._asked |= dict.fromkeys([item.number for item in params], relation)
        value_of = self._peeking.value_of
        if value_of is None:
            return None
        found: dict[Param, Const] = {}
        for item in params:
            value = value_of(item)
            if value is None:
                return None
            found[item] = value
        if isinstance(other, Param):
            return found[other]
        folded = fold(self.catalog, deep_map(other, lambda part, _: found[part] if isinstance(part, Param) else part))
        return folded if isinstance(folded, Const) else None

    def _tells(self, estimator: int, variable: Variable) -> bool:
        """Whether a value would tell more than that there is one, much more unless eager."""
        if variable.statistics is None or variable.relation is None:
            return False
        if variable.relation.pages < LITERAL_PAGES and not self._peeking.eager:
            return False
        _, frequencies = variable.common
        if estimator in ORDERED:
            return bool(variable.histogram or frequencies)
        usual = (1.0 - variable.null_fraction) / variable.distinct
        likely = self._peeking.eager or (bool(frequencies) and frequencies[0] > SKEW * usual)
        return not variable.is_unique and bool(frequencies) and likely

    def _array(self, node: ArrayOp) -> float:
        """``variable OPERATOR ANY/ALL (array)``."""
        right = node.right
        elements: list[Expr]
        if isinstance(right, ArrayExpr) and not right.nested:
            elements = list(right.elements)
        elif isinstance(right, Const):
            if right.value is None:
                return 0.0
            kind = self.catalog.type(right.type).element
            elements = [Const(type=kind, value=each) for each in right.value if not isinstance(each, list)]
        else:
            elements = [right] * _ARRAY_ELEMENTS
        estimator = self.catalog.estimators(node.operator)[0]
        exclusive = estimator == (EQUAL if node.use_or else NOT_EQUAL)
        variable = self.variable(node.left)
        which: Callable[[Expr], object] = lambda element: element  # noqa: E731
        if len(elements) > LONG_LIST and exclusive:
            which = self._classes(node.operator, variable, elements[0].type)
        known: dict[object, float] = {}
        found, added = (0.0, 0.0) if node.use_or else (1.0, 1.0)
        for element in elements:
            # Most elements of a long list are values that are not common, and all of these have one share.
            group = which(element)
            if group not in known:
                known[group] = clamp(self._restriction(node.operator, estimator, variable, element))
            share = known[group]
            if node.use_or:
                found += share - found * share
                added += share
            else:
                found *= share
                added += share - 1.0
        return clamp(added) if exclusive and 0.0 <= added <= 1.0 else clamp(found)

    def _classes(self, operator: int, variable: Variable, kind: int) -> Callable[[Expr], object]:
        """Maps elements of an array to what is the same for all of one share: the place among the most common values,
        or that a value has none there."""
        key = sorts_as(self.catalog, operator, variable, kind)
        places = {} if key is None else {key(value): at for at, value in enumerate(variable.common[0])}

        def which(element: Expr) -> object:
            HUB.pulse()
            if key is None or not isinstance(element, Const) or element.value is None:
                return element
            return places.get(key(element.value), -1)

        return which

    # --- joins ------------------------------------------------------------------------------------------------------

    def _pair(self, operator: int, estimator: int, left: Expr, right: Expr) -> float:
        if estimator in (JOIN_EQUAL, JOIN_NOT_EQUAL):
            one, other = self.variable(left), self.variable(right)
            if estimator == JOIN_EQUAL:
                return joins.equal(self.catalog, operator, one, other)
            equality = self.catalog.operator(operator).negator or operator
            return clamp(1.0 - joins.equal(self.catalog, equality, one, other))
        if estimator in JOINS_ORDERED:
            return scalars.DEFAULT_RANGE
        return _JOIN_DEFAULTS.get(estimator, patterns.DEFAULT_MATCH if estimator else UNKNOWN)

    def semi(self, node: Expr, inner: frozenset[int], inner_rows: float) -> float:
        """Of rows outside ``inner``, those for which some row of it makes the condition true."""
        if isinstance(node, Call) and node.operator and len(node.arguments) == 2:
            left, right = node.arguments
            operator = node.operator
            if relids(left) <= inner and relids(left) and not relids(right) & inner:
                left, right = right, left
                operator = self.catalog.operator(operator).commutator or operator
            if relids(left) and relids(right) <= inner and relids(right):
                _, estimator = self.catalog.estimators(operator)
                if estimator == JOIN_EQUAL:
                    return joins.semi(self.catalog, operator, self.variable(left), self.variable(right), inner_rows)
        return self.of(node)


LONG_LIST = 32
LITERAL_PAGES = 32
"""Of smaller tables it hardly matters how they are read."""
SKEW = 3.0
