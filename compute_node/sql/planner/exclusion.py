"""Constraint exclusion: whether a table's CHECK constraints say that no row of it can meet the conditions (PostgreSQL's
predicate_refuted_by).

A constraint is refuted when the conditions, being true, make it false: then no row has both. It says nothing where it
may be NULL instead. Conditions with functions that are not immutable prove nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.analyze.stored import analyze_stored
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
    Param,
    Var,
    map_children,
    walk,
)
from compute_node.sql.planner.fold import fold
from compute_node.sql.planner.index_columns import commuted
from compute_node.sql.planner.index_match import SAME_KEYS
from compute_node.sql.planner.index_proof import Proof
from compute_node.sql.planner.quals import conjuncts, strip_relabel
from compute_node.types import oids

_LESS, _LESS_EQUAL, _EQUAL, _GREATER_EQUAL, _GREATER, _NOT_EQUAL = 1, 2, 3, 4, 5, 6
_REFUTED_BY: dict[int, dict[int, tuple[str, ...]]] = {
    # strategy of the condition → of the constraint → how the condition's constant must stand to the constraint's
    _LESS: {_EQUAL: ("<", "="), _GREATER_EQUAL: ("<", "="), _GREATER: ("<", "=")},
    _LESS_EQUAL: {_EQUAL: ("<",), _GREATER_EQUAL: ("<",), _GREATER: ("<", "=")},
    _EQUAL: {
        _LESS: (">", "="),
        _LESS_EQUAL: (">",),
        _EQUAL: ("<", ">"),
        _GREATER_EQUAL: ("<",),
        _GREATER: ("<", "="),
        _NOT_EQUAL: ("=",),
    },
    _GREATER_EQUAL: {_LESS: (">", "="), _LESS_EQUAL: (">",), _EQUAL: (">",)},
    _GREATER: {_LESS: (">", "="), _LESS_EQUAL: (">", "="), _EQUAL: (">", "=")},
    _NOT_EQUAL: {_EQUAL: ("=",)},
}


def constraints_of(catalog: CatalogView, relation: RelationDesc, rte: int) -> list[Expr]:
    """What a table's valid CHECK constraints and NOT NULL say of each row, over the range entry ``rte``."""
    known = relation.extra.get("constraints")
    if known is None:
        known = relation.extra["constraints"] = [
            fold(catalog, analyze_stored(catalog, relation, text))
            for name, text in relation.checks
            if name not in relation.unproven
        ]

    def of_entry(node: Expr) -> Expr:
        if isinstance(node, Var):
            return Var(type=node.type, typmod=node.typmod, rte=rte, attno=node.attno)
        return node if isinstance(node, Const) else map_children(node, of_entry)

    found = [part for item in known for part in conjuncts(of_entry(item))]
    for column in relation.columns:
        if column.not_null and not column.dropped:
            var = Var(type=column.type, typmod=column.typmod, rte=rte, attno=column.attno)
            found.append(NullTest(type=oids.BOOL, argument=var, negated=True))
    return found


class Refutation:
    """Of constraints by one list of conditions. ``literals`` gathers lifted literals on whose value a proof hangs."""

    def __init__(self, catalog: CatalogView, quals: Sequence[Expr], literals: list[Param]) -> None:
        self._catalog = catalog
        self._literals = literals
        self._quals = [part for qual in quals for part in conjuncts(qual) if self._is_safe(part)]

    def _is_safe(self, node: Expr) -> bool:
        return all(
            self._catalog.function(item.function).volatility == "i"
            for item in walk(node)
            if isinstance(item, (Call, ArrayOp)) and item.function
        )

    def refutes(self, constraints: Sequence[Expr]) -> bool:
        """Whether a row that meets the conditions would break one of the constraints."""
        return bool(self._quals) and any(self._is_safe(item) and self._breaks(item) for item in constraints)

    def _breaks(self, constraint: Expr) -> bool:
        if isinstance(constraint, And):
            return any(self._breaks(item) for item in constraint.arguments)
        if isinstance(constraint, Or):
            return all(self._breaks(item) for item in constraint.arguments)
        if isinstance(constraint, Not):
            return Proof(self._catalog, self._quals, self._literals).implies([constraint.argument])
        if isinstance(constraint, ArrayOp) and constraint.use_or:
            cases = self._cases(constraint)
            if cases:
                return all(self._breaks(case) for case in cases)
        return any(self._contradict(constraint, qual) for qual in self._quals)

    def _contradict(self, constraint: Expr, qual: Expr) -> bool:
        """Whether the constraint is false wherever the condition is true."""
        if isinstance(qual, Or):
            return all(self._alone(branch)._breaks(constraint) for branch in qual.arguments)
        if isinstance(qual, ArrayOp) and qual.use_or:
            cases = self._cases(qual)
            return bool(cases) and all(self._contradict(constraint, case) for case in cases)
        if isinstance(qual, Not):
            return qual.argument == constraint
        if isinstance(qual, NullTest) and isinstance(constraint, NullTest):
            return qual.negated != constraint.negated and qual.argument == constraint.argument
        if isinstance(constraint, NullTest) and not constraint.negated:
            # What is known not to be NULL.
            known = NullTest(type=oids.BOOL, argument=constraint.argument, negated=True)
            return Proof(self._catalog, [qual], self._literals).implies([known])
        if isinstance(qual, Call) and isinstance(constraint, Call):
            return self._comparisons_contradict(constraint, qual)
        return False

    def _alone(self, qual: Expr) -> Refutation:
        return Refutation(self._catalog, [qual], self._literals)

    def _cases(self, node: ArrayOp) -> list[Expr]:
        """``x = ANY (values)`` as one comparison for each value; nothing where they are not known."""
        element = self._catalog.type(node.right.type).element
        if isinstance(node.right, ArrayExpr) and not node.right.nested:
            values = list(node.right.elements)
        elif isinstance(node.right, Const) and isinstance(node.right.value, list):
            values = [Const(type=element, value=value) for value in node.right.value if value is not None]
        else:
            return []
        function = self._catalog.operator(node.operator).function
        return [
            Call(type=node.type, function=function, operator=node.operator, arguments=(node.left, value))
            for value in values
        ]

    def _comparisons_contradict(self, constraint: Call, qual: Call) -> bool:
        """Comparisons of the same expression with constants that no value meets both."""
        one, other = self._comparison(qual), self._comparison(constraint)
        if one is None or other is None or strip_relabel(one.arguments[0]) != strip_relabel(other.arguments[0]):
            return False
        declared = self._catalog.operator(one.operator)
        opclass = self._catalog.default_operator_class(declared.left)
        if opclass is None:
            return False
        strategies = self._strategy(opclass.family, one.operator), self._strategy(opclass.family, other.operator)
        relations = _REFUTED_BY.get(strategies[0], {}).get(strategies[1])
        if relations is None:
            return False
        value, bound = one.arguments[1], other.arguments[1]
        if isinstance(value, Param):
            self._literals.append(value)
            return False
        if not isinstance(bound, Const) or not isinstance(value, Const) or bound.value is None or value.value is None:
            return False
        if bound.type != value.type and not any({bound.type, value.type} <= family for family in SAME_KEYS):
            return False
        key = self._catalog.type(bound.type).sort_value or (lambda item: item)
        left, right = key(value.value), key(bound.value)
        return ("<" if left < right else ">" if right < left else "=") in relations

    def _comparison(self, node: Call) -> Call | None:
        """The comparison with its constant on the right; None for any other call."""
        if not node.operator or len(node.arguments) != 2:
            return None
        if isinstance(node.arguments[1], (Const, Param)):
            return node
        return commuted(self._catalog, node) if isinstance(node.arguments[0], (Const, Param)) else None

    def _strategy(self, family: int, operator: int) -> int:
        found = self._catalog.operator_strategy(family, operator)
        if found:
            return found
        negator = self._catalog.operator(operator).negator
        is_unequal = bool(negator) and self._catalog.operator_strategy(family, negator) == _EQUAL
        return _NOT_EQUAL if is_unequal else 0
