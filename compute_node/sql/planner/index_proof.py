"""Partial indexes: whether a query's conditions imply the predicate, so that the index holds all its rows.

A conjunct of the predicate holds when it is among the conditions, when a stronger comparison with a constant is, when
it
is an OR of which one branch holds, or when it is IS NOT NULL of an operand of a strict condition. Source: PostgreSQL's
predicate tests (manual, ch. 11.8).
"""

from __future__ import annotations

from collections.abc import Sequence

from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import And, ArrayExpr, ArrayOp, Call, Const, Expr, NullTest, Or, Param
from compute_node.sql.planner.index_columns import commuted, same_but_literals
from compute_node.sql.planner.index_match import SAME_KEYS
from compute_node.sql.planner.quals import conjuncts, strip_relabel

_BTREE = 403
_LESS, _LESS_EQUAL, _EQUAL, _GREATER_EQUAL, _GREATER = 1, 2, 3, 4, 5
_NOT_EQUAL = 6
_IMPLIED_BY: dict[int, dict[int, tuple[str, ...]]] = {
    # wanted strategy → known strategy → how the known constant must stand to the wanted one
    _LESS: {_LESS: ("<", "="), _LESS_EQUAL: ("<",), _EQUAL: ("<",)},
    _LESS_EQUAL: {_LESS: ("<", "="), _LESS_EQUAL: ("<", "="), _EQUAL: ("<", "=")},
    _EQUAL: {_EQUAL: ("=",)},
    _GREATER_EQUAL: {_GREATER: (">", "="), _GREATER_EQUAL: (">", "="), _EQUAL: (">", "=")},
    _GREATER: {_GREATER: (">", "="), _GREATER_EQUAL: (">",), _EQUAL: (">",)},
    _NOT_EQUAL: {
        _EQUAL: ("<", ">"),
        _LESS: ("<", "="),
        _LESS_EQUAL: ("<",),
        _GREATER: (">", "="),
        _GREATER_EQUAL: (">",),
        _NOT_EQUAL: ("=",),
    },
}


def _compare(one: int, other: int) -> bool:
    """Whether values of the two types compare as they are."""
    return one == other or any({one, other} <= family for family in SAME_KEYS)


class Proof:
    """Proofs from one list of conditions. ``literals`` gathers lifted literals on whose value a proof hangs."""

    def __init__(self, catalog: CatalogView, quals: Sequence[Expr], literals: list[Param]) -> None:
        self._catalog = catalog
        self._quals = [part for qual in quals for part in conjuncts(qual)]
        self._literals = literals

    def implies(self, predicate: Sequence[Expr]) -> bool:
        """Whether every conjunct of the predicate follows from the conditions."""
        return all(self._holds(item) for item in predicate)

    def _holds(self, wanted: Expr) -> bool:
        if isinstance(wanted, And):
            return all(self._holds(item) for item in wanted.arguments)
        if isinstance(wanted, Or) and any(self._holds(item) for item in wanted.arguments):
            return True
        return any(self._follows(wanted, known) for known in self._quals)

    def _follows(self, wanted: Expr, known: Expr) -> bool:
        """Whether ``wanted`` is true wherever ``known`` is."""
        if wanted == known:
            return True
        if isinstance(known, Or):
            return all(Proof(self._catalog, [item], self._literals).implies([wanted]) for item in known.arguments)
        if isinstance(wanted, NullTest):
            return wanted.negated and self._is_strict_in(known, wanted.argument)
        literals: list[Param] = []
        if same_but_literals(wanted, known, literals):
            self._literals += literals
            return not literals
        if isinstance(known, ArrayOp) and known.use_or:
            return self._array_follows(wanted, known)
        if isinstance(wanted, Call) and isinstance(known, Call):
            return self._comparison_follows(wanted, known)
        return False

    def _is_strict_in(self, node: Expr, wanted: Expr) -> bool:
        """Whether the condition can be true only where ``wanted`` is not NULL."""
        if strip_relabel(node) == strip_relabel(wanted):
            return True
        if isinstance(node, Call) and self._catalog.function(node.function).strict:
            return any(self._is_strict_in(item, wanted) for item in node.arguments)
        if isinstance(node, ArrayOp) and node.use_or and self._catalog.function(node.function).strict:
            return self._is_strict_in(node.left, wanted)
        return False

    def _array_follows(self, wanted: Expr, known: ArrayOp) -> bool:
        """``x = ANY (values)`` implies what follows from ``x = value`` for each value."""
        element = self._catalog.type(known.right.type).element
        if isinstance(known.right, ArrayExpr) and not known.right.nested:
            values = list(known.right.elements)
        elif isinstance(known.right, Const) and isinstance(known.right.value, list):
            values = [Const(type=element, value=value) for value in known.right.value if value is not None]
        else:
            return False
        function = self._catalog.operator(known.operator).function
        cases = [
            Call(type=known.type, function=function, operator=known.operator, arguments=(known.left, value))
            for value in values
        ]
        return bool(cases) and all(self._follows(wanted, case) for case in cases)

    def _comparison_follows(self, wanted: Call, known: Call) -> bool:
        """A comparison of the same expression with a constant that is at least as strong."""
        one, other = self._comparison(wanted), self._comparison(known)
        if one is None or other is None or strip_relabel(one.arguments[0]) != strip_relabel(other.arguments[0]):
            return False
        for family in self._families(one.operator):
            strategies = self._strategy(family, one.operator), self._strategy(family, other.operator)
            relations = _IMPLIED_BY.get(strategies[0], {}).get(strategies[1])
            if relations is None:
                continue
            bound, value = one.arguments[1], other.arguments[1]
            if isinstance(value, Param):
                self._literals.append(value)
                return False
            if not isinstance(bound, Const) or not isinstance(value, Const) or not _compare(bound.type, value.type):
                return False
            if bound.value is None or value.value is None:
                return False
            key = self._catalog.type(bound.type).sort_value or (lambda item: item)
            left, right = key(value.value), key(bound.value)
            return ("<" if left < right else ">" if right < left else "=") in relations
        return False

    def _comparison(self, node: Call) -> Call | None:
        """The comparison with its constant on the right; None for any other call."""
        if not node.operator or len(node.arguments) != 2:
            return None
        if isinstance(node.arguments[1], (Const, Param)):
            return node
        return commuted(self._catalog, node) if isinstance(node.arguments[0], (Const, Param)) else None

    def _families(self, operator: int) -> list[int]:
        declared = self._catalog.operator(operator)
        opclass = self._catalog.default_operator_class(declared.left, _BTREE)
        return [opclass.family] if opclass is not None else []

    def _strategy(self, family: int, operator: int) -> int:
        found = self._catalog.operator_strategy(family, operator)
        if found:
            return found
        negator = self._catalog.operator(operator).negator
        is_unequal = bool(negator) and self._catalog.operator_strategy(family, negator) == _EQUAL
        return _NOT_EQUAL if is_unequal else 0
