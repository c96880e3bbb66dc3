"""Rule: columns that conditions hold equal to each other and to a constant are each compared with the constant, and not
with each other any more (PostgreSQL's equivalence classes, as far as constants go).

``a.x = b.y AND a.x = 5`` becomes ``a.x = 5 AND b.y = 5``: both tables may be read by index, and the rows that are left
need no join condition. Only for equalities of one B-tree operator family, which are transitive.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Call, Expr, SubPlan, Var, walk
from compute_node.sql.planner.quals import contains_volatile, relids
from compute_node.types.collation import collation_of

_EQUAL = 3
"""strategy of equality in a B-tree operator family"""


class Equivalences:
    """What a list of conditions that all hold makes equal."""

    def __init__(self, catalog: CatalogView, conditions: Sequence[Expr]) -> None:
        self._catalog = catalog
        self._constants: dict[Var, tuple[Expr, int]] = {}
        """column → (what it equals, the operator family)"""
        self._replaced: list[Expr] = []
        """conditions that the constants make superfluous"""
        self._derived: list[Expr] = []
        pairs: list[tuple[Call, int]] = []
        fixed: list[tuple[Call, int]] = []
        for item in conditions:
            family = self._family(item)
            if family and isinstance(item, Call):
                columns = [isinstance(each, Var) and each.attno > 0 and each.levels_up == 0 for each in item.arguments]
                if all(columns):
                    pairs.append((item, family))
                elif any(columns) and self._is_constant(item.arguments[columns.index(False)]):
                    fixed.append((item, family))
        if fixed:
            self._settle(pairs, fixed)

    def conditions(self, conditions: Sequence[Expr]) -> list[Expr]:
        """The same conditions, said with the constants."""
        if not self._derived:
            return list(conditions)
        return [*(item for item in conditions if item not in self._replaced), *self._derived]

    def below(self, conditions: Sequence[Expr], inner: frozenset[int]) -> list[Expr]:
        """Conditions of an outer join whose nullable side is ``inner``, where the other side's column is known."""
        found: list[Expr] = []
        for item in conditions:
            family = self._family(item) if self._constants else 0
            derived = None
            if family and isinstance(item, Call):
                for column, other in (item.arguments, item.arguments[::-1]):
                    known = self._constants.get(column) if isinstance(column, Var) else None
                    if known and known[1] == family and isinstance(other, Var) and other.rte in inner:
                        derived = self._equal(item, other, known[0], family)
                        break
            found.append(item if derived is None else derived)
        return found

    def _settle(self, pairs: list[tuple[Call, int]], fixed: list[tuple[Call, int]]) -> None:
        for item, family in fixed:
            column, constant = item.arguments
            if not isinstance(column, Var):
                column, constant = constant, column
            if isinstance(column, Var):
                self._constants.setdefault(column, (constant, family))
        changed = True
        while changed:
            changed = False
            for item, family in pairs:
                if item in self._replaced:
                    continue
                for column, other in (item.arguments, item.arguments[::-1]):
                    known = self._constants.get(column) if isinstance(column, Var) else None
                    if known is None or known[1] != family or not isinstance(other, Var):
                        continue
                    if other in self._constants:
                        if self._constants[other] == known:
                            self._replaced.append(item)
                        break
                    derived = self._equal(item, other, known[0], family)
                    if derived is not None:
                        self._derived.append(derived)
                        self._replaced.append(item)
                        self._constants[other] = known
                        changed = True
                    break

    def _family(self, node: Expr) -> int:
        """The operator family of which the condition is an equality; 0 for any other condition."""
        if not isinstance(node, Call) or not node.operator or len(node.arguments) != 2:
            return 0
        if not self._catalog.operator(node.operator).can_merge or any(collation_of(a.type) for a in node.arguments):
            return 0
        found = self._catalog.default_operator_class(node.arguments[0].type)
        if found is None or self._catalog.operator_strategy(found.family, node.operator) != _EQUAL:
            return 0
        return found.family

    def _is_constant(self, node: Expr) -> bool:
        if relids(node) or contains_volatile(self._catalog, node):
            return False
        return not any(isinstance(item, (SubPlan, Var)) for item in walk(node))

    def _equal(self, pattern: Call, column: Var, constant: Expr, family: int) -> Expr | None:
        found = self._catalog.family_operator(family, column.type, constant.type, _EQUAL)
        if not found:
            return None
        operator = self._catalog.operator(found)
        return dataclasses.replace(
            pattern, function=operator.function, operator=found, display=operator.name, arguments=(column, constant)
        )
