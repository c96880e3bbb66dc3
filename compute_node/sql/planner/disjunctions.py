"""Rule: what all branches of an OR ask for stands beside it, and what they ask of one table alone is asked of its scan.

    (a = b AND x) OR (a = b AND y)         ─► a = b AND (x OR y)            a join by a = b
    (t.c = 1 AND u.d = 2) OR (t.c = 3 …)   ─► … AND (t.c = 1 OR t.c = 3)    fewer rows to join

The first is PostgreSQL's find_duplicate_ors (prepqual.c), the second its extract_restriction_or_clauses (orclauses.c).
A condition that was taken out is asked for twice, so the OR's share of the rows that are left is larger by as much.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import And, Expr, Or
from compute_node.sql.planner.quals import conjunction, conjuncts, contains_volatile, relids
from compute_node.sql.planner.selectivity import Estimator
from compute_node.types import oids

SHARE_MAX = 0.9
"""a condition that leaves more of a table's rows is not worth asking for"""


def factored(node: Expr) -> Expr:
    """The condition with what all branches of its ORs have in common in front of them."""
    if isinstance(node, And):
        arguments = tuple(factored(item) for item in node.arguments)
        if all(new is old for new, old in zip(arguments, node.arguments, strict=True)):
            return node
        return conjunction(part for item in arguments for part in conjuncts(item)) or node
    if not isinstance(node, Or):
        return node
    branches = [factored(item) for item in node.arguments]
    flat = [part for item in branches for part in (item.arguments if isinstance(item, Or) else (item,))]
    return _without_common(node, flat)


def _without_common(node: Or, branches: list[Expr]) -> Expr:
    parts = [list(item.arguments) if isinstance(item, And) else [item] for item in branches]
    common: list[Expr] = []
    for item in min(parts, key=len):
        if item not in common:
            common.append(item)
    for each in parts:
        common = [item for item in common if item in each]
        if not common:
            return node if tuple(branches) == node.arguments else Or(type=oids.BOOL, arguments=tuple(branches))
    left = [conjunction(item for item in each if item not in common) for each in parts]
    if all(item is not None for item in left):
        common.append(Or(type=oids.BOOL, arguments=tuple(item for item in left if item is not None)))
    return conjunction(common) or node


def restrictions(
    catalog: CatalogView, estimator: Estimator, conditions: Iterable[Expr], entries: Iterable[int]
) -> Iterator[tuple[Expr, Expr, float]]:
    """(condition, what it asks of one of the entries alone, the share of rows that this leaves) of ORs over several."""
    entries = list(entries)
    for condition in conditions:
        if not isinstance(condition, Or):
            continue
        mentioned = relids(condition)
        if len(mentioned) < 2:
            continue
        for rte in entries:
            if rte in mentioned:
                asked = _of_one(catalog, condition, frozenset({rte}))
                if asked is not None and (share := estimator.of(asked)) <= SHARE_MAX:
                    yield condition, asked, share


def _of_one(catalog: CatalogView, node: Or, entry: frozenset[int]) -> Expr | None:
    """What every branch asks of the entry, by OR; None where a branch asks nothing of it."""
    branches: list[Expr] = []
    for branch in node.arguments:
        mine: list[Expr] = []
        for part in conjuncts(branch):
            if isinstance(part, Or):
                nested = _of_one(catalog, part, entry)
                mine += [nested] if nested is not None else []
            elif relids(part) == entry and not contains_volatile(catalog, part):
                mine.append(part)
        found = conjunction(mine)
        if found is None:
            return None
        branches += found.arguments if isinstance(found, Or) else (found,)
    return Or(type=oids.BOOL, arguments=tuple(branches))
