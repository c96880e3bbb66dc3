"""How many pairs of rows an equality of two columns leaves: by the values that are common on both sides, and by the
number of different values for the rest."""

from __future__ import annotations

from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.planner.selectivity.variable import Untestable, Variable, clamp, comparison, sorts_as

PAIRS_MAX = 20_000
"""Values are compared one by one up to that many times."""
PAIRS_FEW = 16
"""More than that are found by what they sort as, where that tells what is equal."""


def equal(catalog: CatalogView, operator: int, left: Variable, right: Variable) -> float:
    """Of all pairs, those that are equal."""
    nulls = (1.0 - left.null_fraction) * (1.0 - right.null_fraction)
    many = max(left.distinct, right.distinct)
    matches = _matches(catalog, operator, left, right)
    if matches is None:
        return clamp(nulls / many)
    product, left_matched, right_matched, count = matches
    left_known, right_known = sum(left.common[1]), sum(right.common[1])
    left_rest = clamp(1.0 - left.null_fraction - left_known)
    right_rest = clamp(1.0 - right.null_fraction - right_known)
    left_only, right_only = clamp(left_known - left_matched), clamp(right_known - right_matched)
    results = []
    for only, rest, other_rest, other_only, other, other_count in (
        (left_only, left_rest, right_rest, right_only, right, len(right.common[0])),
        (right_only, right_rest, left_rest, left_only, left, len(left.common[0])),
    ):
        found = product
        if other.distinct > other_count:
            found += only * other_rest / (other.distinct - other_count)
        if other.distinct > count:
            found += rest * (other_rest + other_only) / (other.distinct - count)
        results.append(found)
    return clamp(min(results))


def _matches(
    catalog: CatalogView, operator: int, left: Variable, right: Variable
) -> tuple[float, float, float, int] | None:
    """Of the most common values of both sides: (the sum of the products of equal ones' frequencies, the frequencies of
    those on the left and on the right, how many); None where either has none."""
    left_values, left_shares = left.common
    right_values, right_shares = right.common
    if not left_values or not right_values:
        return None
    try:
        pairs = _equal_values(catalog, operator, left, right)
    except Untestable:
        pairs = None
    if pairs is None:
        return None
    product = sum(left_shares[one] * right_shares[other] for one, other in pairs)
    left_sum = sum(left_shares[one] for one, _ in pairs)
    return product, left_sum, sum(right_shares[other] for _, other in pairs), len(pairs)


def _equal_values(catalog: CatalogView, operator: int, left: Variable, right: Variable) -> list[tuple[int, int]] | None:
    """The places of equal most common values of both sides; None when that cannot be told."""
    left_values, right_values = left.common[0], right.common[0]
    compare = comparison(catalog, operator, left, right.node.type, right.may_test)
    if compare is None:
        return None
    count = len(left_values) * len(right_values)
    key = sorts_as(catalog, operator, left, right.node.type) if count > PAIRS_FEW else None
    if key is not None:
        places = {key(value): place for place, value in enumerate(right_values)}
        found = ((place, places.get(key(value))) for place, value in enumerate(left_values))
        return [(one, other) for one, other in found if other is not None]
    if count > PAIRS_MAX:
        return None
    pairs: list[tuple[int, int]] = []
    free = dict(enumerate(right_values))
    for place, value in enumerate(left_values):
        other = next((at for at, each in free.items() if compare(value, each)), None)
        if other is not None:
            pairs.append((place, other))
            del free[other]
    return pairs


def semi(catalog: CatalogView, operator: int, left: Variable, right: Variable, inner_rows: float) -> float:
    """Of the rows on the left, those that have an equal one among the ``inner_rows`` on the right."""
    nulls = left.null_fraction
    left_distinct, left_guessed = left.counted
    right_distinct, right_guessed = right.counted
    if right_distinct > inner_rows:
        right_distinct, right_guessed = max(inner_rows, 1.0), False
    matches = _matches(catalog, operator, left, right)
    if matches is not None:
        _, matched, _, count = matches
        if left_guessed or right_guessed:
            uncertain = 0.5
        else:
            one, other = left_distinct - count, right_distinct - count
            uncertain = 1.0 if one <= other or other < 0 else other / one
        rest = clamp(1.0 - matched - nulls)
        return clamp(matched + uncertain * rest)
    if left_guessed or right_guessed:
        return 0.5 * (1.0 - nulls)
    if left_distinct <= right_distinct or right_distinct < 0:
        return 1.0 - nulls
    return right_distinct / left_distinct * (1.0 - nulls)
