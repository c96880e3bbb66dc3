"""How many groups rows make (manual, 76.2): the product of the different values of each table's columns, never more
than its rows. Of rows that conditions have left, Yao's and Dell'Era's estimate of the values that are left."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from compute_node.sql.expressions import Expr
from compute_node.sql.planner.quals import local_vars
from compute_node.sql.planner.selectivity.variable import Variable
from compute_node.types import oids

CORRELATED = 0.1
"""of a table's rows: more groups by several of its columns than that are not believed"""


def count_groups(
    keys: Iterable[Expr], rows: float, examine: Callable[[Expr], Variable], left_of: Callable[[int], float]
) -> float:
    """Groups by ``keys`` of so many input rows; ``left_of`` a range entry: its rows after its conditions."""
    by_entry: dict[int, dict[Expr, Variable]] = {}
    found = 1.0
    for key in dict.fromkeys(keys):
        if key.type == oids.BOOL:
            found *= 2.0
            continue
        known = examine(key)
        parts = [key] if known.statistics is not None or known.is_unique else list(local_vars(key))
        for part in parts:
            entry = next((var.rte for var in local_vars(part)), -1)
            by_entry.setdefault(entry, {}).setdefault(part, known if part is key else examine(part))
    for entry, variables in by_entry.items():
        found *= _of_entry(list(variables.values()), left_of(entry) if entry >= 0 else rows)
    return min(max(found, 1.0), max(rows, 1.0))


def _of_entry(variables: list[Variable], left: float) -> float:
    product = 1.0
    most = 1.0
    total = max((each.rows for each in variables), default=0.0)
    for each in variables:
        product *= each.distinct
        most = max(most, each.distinct)
    if total <= 0:
        return product
    bound = total
    if len(variables) > 1:
        bound = min(max(total * CORRELATED, most), total)
    product = min(product, bound)
    if product > 0 and left < total:
        product *= 1.0 - ((total - left) / total) ** (total / product)
    return max(product, 1.0)
