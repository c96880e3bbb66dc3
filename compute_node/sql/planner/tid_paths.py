"""Rule: reading rows of a table by their addresses: ``ctid = …``, ``ctid = ANY (…)``, an OR of such conditions, or a
range of them (PostgreSQL's TID scans and TID range scans).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from compute_node.sql.expressions import ArrayOp, Call, CurrentOf, Expr, Or, Var
from compute_node.sql.plan import TidBound
from compute_node.sql.planner.cost.parameters import DISABLED_COST
from compute_node.sql.planner.paths import (
    CPU_TUPLE_COST,
    RANDOM_PAGE_COST,
    SEQ_PAGE_COST,
    ScanPath,
    TidAccess,
    array_elements,
    test_cost,
)
from compute_node.sql.planner.quals import as_given, conjuncts, contains_volatile, relids
from compute_node.sql.planner.selectivity import Estimator, table_size
from compute_node.sql.planner.state import Statement
from compute_node.sql.query import RangeEntry
from compute_node.types import oids

CTID = -1
_OPERATORS = {387: "=", 2799: "<", 2800: ">", 2801: "<=", 2802: ">="}
"""those of tid, by OID"""
_TESTS = {"<": (False, False), "<=": (False, True), ">": (True, False), ">=": (True, True)}
"""comparison → (whether it is a lower bound, whether the bound belongs to the range)"""
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


class TidPaths:
    """Such paths of the tables of one query level."""

    def __init__(self, statement: Statement, estimator: Estimator) -> None:
        self._statement, self._estimator = statement, estimator
        self._catalog = statement.catalog

    def paths(self, rte: int, entry: RangeEntry, quals: Sequence[Expr]) -> Iterator[ScanPath]:
        """By single addresses, then by a range. What ``quals`` say of other entries' columns counts as known."""
        relation = entry.relation
        if relation is None or entry.sample is not None:
            return
        for qual in quals:
            found = self._addresses(qual, rte)
            if found:
                yield self._single(rte, entry, quals, qual, found)
                break
        bounds = [(qual, bound) for qual in quals for bound in [self._bound(qual, rte)] if bound is not None]
        if bounds:
            yield self._range(rte, entry, quals, bounds)

    # --- single addresses -------------------------------------------------------------------------------------------

    def _addresses(self, qual: Expr, rte: int) -> list[tuple[Expr, Expr]]:
        """(condition, address or array of addresses), of which a row that meets ``qual`` meets one."""
        if isinstance(qual, Or):
            found: list[tuple[Expr, Expr]] = []
            for branch in qual.arguments:
                of_branch = next((one for item in conjuncts(branch) if (one := self._addresses(item, rte))), [])
                if not of_branch:
                    return []
                found += of_branch
            return found
        if isinstance(qual, ArrayOp):
            named = qual.use_or and _is_ctid(qual.left, rte) and _OPERATORS.get(qual.operator, "") == "="
            return [(qual, qual.right)] if named and self._is_known(qual.right, rte) else []
        value = self._other_side(qual, rte, {"="})
        if value is None:
            return []
        return [(value[1] if isinstance(value[1], CurrentOf) else qual, value[1])]

    def _single(
        self, rte: int, entry: RangeEntry, quals: Sequence[Expr], qual: Expr, found: list[tuple[Expr, Expr]]
    ) -> ScanPath:
        conditions = [condition for condition, _ in found]
        values = [value for _, value in found]
        fetched = float(sum(array_elements(value) if value.type == oids.TID_ARRAY else 1 for value in values))
        is_cursor = any(isinstance(value, CurrentOf) for value in values)
        # Of an OR whose branches say more, the rest is left to check.
        is_exact = not isinstance(qual, Or) or list(qual.arguments) == conditions
        rest = [item for item in quals if item is not qual or not is_exact]
        startup = test_cost(conditions)
        if is_cursor:
            startup -= DISABLED_COST
        elif not self._statement.enabled("enable_tidscan"):
            startup += DISABLED_COST
        per_row = CPU_TUPLE_COST + max(test_cost(quals) - test_cost(conditions), 0.0)
        return ScanPath(
            relids=frozenset({rte}),
            rows=self._rows(rte, entry, quals),
            startup=startup,
            cost=startup + fetched * (RANDOM_PAGE_COST + per_row),
            rte=rte,
            entry=entry,
            filter=rest,
            keys=[qual] if is_exact else [],
            conditions=conditions,
            tids=TidAccess(values=tuple(values)),
        )

    # --- ranges -----------------------------------------------------------------------------------------------------

    def _bound(self, qual: Expr, rte: int) -> tuple[bool, TidBound] | None:
        """(whether it is a lower one, the bound)."""
        found = self._other_side(qual, rte, set(_TESTS))
        if found is None:
            return None
        is_lower, inclusive = _TESTS[found[0]]
        return is_lower, TidBound(found[1], inclusive)

    def _range(
        self,
        rte: int,
        entry: RangeEntry,
        quals: Sequence[Expr],
        bounds: Sequence[tuple[Expr, tuple[bool, TidBound]]],
    ) -> ScanPath:
        conditions = [qual for qual, _ in bounds]
        pages, total = self._size(entry)
        fraction = self._estimator.of_all([as_given(item, rte) for item in conditions])
        read = max(math.ceil(fraction * pages), 1)
        startup = test_cost(conditions)
        if not self._statement.enabled("enable_tidscan"):
            startup += DISABLED_COST
        per_row = CPU_TUPLE_COST + max(test_cost(quals) - test_cost(conditions), 0.0)
        return ScanPath(
            relids=frozenset({rte}),
            rows=self._rows(rte, entry, quals),
            startup=startup,
            cost=startup + RANDOM_PAGE_COST + SEQ_PAGE_COST * (read - 1) + per_row * fraction * total,
            rte=rte,
            entry=entry,
            filter=[item for item in quals if all(item is not each for each in conditions)],
            keys=conditions,
            conditions=conditions,
            tids=TidAccess(
                lower=tuple(bound for _, (is_lower, bound) in bounds if is_lower),
                upper=tuple(bound for _, (is_lower, bound) in bounds if not is_lower),
            ),
        )

    # --- both -------------------------------------------------------------------------------------------------------

    def _other_side(self, qual: Expr, rte: int, names: set[str]) -> tuple[str, Expr] | None:
        """(operator, value) of a comparison of ctid with a value that is known before the scan."""
        if not isinstance(qual, Call) or not qual.operator or len(qual.arguments) != 2:
            return None
        name = _OPERATORS.get(qual.operator, "")
        left, right = qual.arguments
        for column, value, shown in ((left, right, name), (right, left, _TURNED.get(name, name))):
            if shown in names and _is_ctid(column, rte) and self._is_known(value, rte):
                return shown, value
        return None

    def _is_known(self, value: Expr, rte: int) -> bool:
        return (
            value.type in (oids.TID, oids.TID_ARRAY)
            and rte not in relids(value)
            and not contains_volatile(self._catalog, value)
        )

    def _size(self, entry: RangeEntry) -> tuple[float, float]:
        return (1.0, 1.0) if entry.relation is None else table_size(self._catalog, entry.relation)

    def _rows(self, rte: int, entry: RangeEntry, quals: Sequence[Expr]) -> float:
        fraction = self._estimator.of_all([as_given(item, rte) for item in quals])
        return float(max(1.0, round(self._size(entry)[1] * fraction)))


def _is_ctid(node: Expr, rte: int) -> bool:
    return isinstance(node, Var) and node.rte == rte and node.attno == CTID and node.levels_up == 0
