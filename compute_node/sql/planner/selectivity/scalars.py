"""Equality and order against a constant: most common values first, the histogram for the others (manual, 76.1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal

from aurora.datum import Datum
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Const
from compute_node.sql.planner.selectivity.variable import Test, Variable, clamp, table_size, test_of
from compute_node.types import oids

DEFAULT_RANGE = 1.0 / 3.0
_CHARS_MAX = 12


def equal_to(catalog: CatalogView, operator: int, variable: Variable, constant: Const, negated: bool) -> float:
    """``variable = constant``; ``operator`` is that equality, also where ``negated``."""
    if constant.value is None:
        return 0.0
    nulls = variable.null_fraction
    if variable.is_unique and variable.rows >= 1:
        found = 1.0 / variable.rows
    elif variable.statistics is None:
        found = 1.0 / variable.distinct
    else:
        found = _of_value(catalog, operator, variable, constant)
    return clamp(1.0 - found - nulls if negated else found)


def _of_value(catalog: CatalogView, operator: int, variable: Variable, constant: Const) -> float:
    values, frequencies = variable.common
    test = test_of(catalog, operator, variable, constant)
    if test is None:
        return equal_to_unknown(variable, False)
    for value, frequency in zip(values, frequencies, strict=True):
        if test(value):
            return frequency
    # One of the values that are not common: those share the rest.
    rest = clamp(1.0 - sum(frequencies) - variable.null_fraction)
    others = variable.distinct - len(values)
    if others > 1:
        rest /= others
    return min(rest, frequencies[-1]) if frequencies else rest


def equal_to_unknown(variable: Variable, negated: bool) -> float:
    """``variable = `` a value that is not known yet."""
    nulls = variable.null_fraction
    if variable.is_unique and variable.rows >= 1:
        found = 1.0 / variable.rows
    elif variable.statistics is None:
        found = 1.0 / variable.distinct
    else:
        found = (1.0 - nulls) / max(variable.distinct, 1.0)
        _, frequencies = variable.common
        if frequencies:
            found = min(found, frequencies[0])
    return clamp(1.0 - found - nulls if negated else found)


def common_share(variable: Variable, test: Test) -> tuple[float, float]:
    """(how many rows have a most common value that passes, how many have a most common value)."""
    values, frequencies = variable.common
    passing = sum(share for value, share in zip(values, frequencies, strict=True) if test(value))
    return passing, sum(frequencies)


def ordered(
    catalog: CatalogView, operator: int, variable: Variable, constant: Const, is_greater: bool, is_equal: bool
) -> float:
    """``variable OPERATOR constant`` for an operator of an order: < and > (``is_greater``), or with ``is_equal`` <= and
    >=, whatever they are called."""
    if constant.value is None:
        return 0.0
    test = test_of(catalog, operator, variable, constant)
    if variable.statistics is None or test is None:
        return DEFAULT_RANGE
    passing, known = common_share(variable, test)
    family = catalog.default_operator_class(variable.node.type)
    if family is not None and catalog.operator_strategy(family.family, operator):
        part = histogram_share(catalog, test, variable, constant, is_greater, is_equal)
    else:
        # The histogram stands in another order than the operator's.
        bounds = variable.histogram
        part = sum(test(value) for value in bounds) / len(bounds) if bounds else None
    rest = 1.0 - variable.null_fraction - known
    return clamp(passing + rest * (0.5 if part is None else part))


def address_share(catalog: CatalogView, variable: Variable, constant: Const, is_greater: bool, is_equal: bool) -> float:
    """The rows below an address (above, with ``is_greater``): as many as the table has pages before its own, and of its
    own page as many as the slot says."""
    if not isinstance(constant.value, int) or variable.relation is None:
        return 0.0
    pages, rows = table_size(catalog, variable.relation)
    density = rows / (pages - 0.5)
    block, slot = float(constant.value >> 16), constant.value & 0xFFFF
    if block >= pages - 1:
        density *= 0.5
    part = (block + min(slot / density, 1.0)) / (pages - 0.5)
    if is_equal == is_greater:
        part -= 1.0 / rows
    return clamp(1.0 - part if is_greater else part)


def histogram_share(
    catalog: CatalogView, test: Test, variable: Variable, constant: Const, is_greater: bool, is_equal: bool
) -> float | None:
    """Of the values in the histogram, how many pass; None without one."""
    bounds = variable.histogram
    parts = len(bounds) - 1
    if parts < 1:
        return None
    low, high = 0, len(bounds)
    while low < high:
        middle = (low + high) // 2
        if test(bounds[middle]) != is_greater:
            low = middle + 1
        else:
            high = middle
    if low <= 0:
        below = 0.0
    elif low >= len(bounds):
        below = 1.0
    else:
        values, _ = variable.common
        others = variable.distinct - len(values)
        equal = 1.0 / others if others > 1 and (low == 1 or is_greater == is_equal) else 0.0
        within = _position(catalog, variable, constant, bounds[low - 1], bounds[low])
        below = (low - 1 + within) / parts
        if low == 1:
            below += equal * (1.0 - within)
        if is_greater == is_equal:
            below -= equal
    found = 1.0 - below if is_greater else below
    cutoff = 0.01 / parts
    return min(max(found, cutoff), 1.0 - cutoff)


def _position(catalog: CatalogView, variable: Variable, constant: Const, low: Datum, high: Datum) -> float:
    """Where in a part of the histogram the constant lies, 0 to 1; in the middle where values have no distances."""
    known = _scalars(catalog, variable.node.type, constant, low, high)
    if known is None:
        return 0.5
    value, first, last = known
    if not last > first:
        return 0.5
    if value <= first:
        return 0.0
    if value >= last:
        return 1.0
    found = (value - first) / (last - first)
    return found if 0.0 <= found <= 1.0 else 0.5


def _scalars(
    catalog: CatalogView, kind: int, constant: Const, low: Datum, high: Datum
) -> tuple[float, float, float] | None:
    values = (constant.value, low, high)
    if all(isinstance(value, str) for value in values):
        return _of_texts(*values)
    found = []
    for oid, value in zip((constant.type, kind, kind), values, strict=True):
        item = catalog.type(oid).root
        if oid in (oids.DATE, oids.TIMESTAMP, oids.TIMESTAMPTZ) and constant.type != kind:
            return None
        number = value if item.sort_value is None else item.sort_value(value)
        if isinstance(number, bool) or not isinstance(number, (int, float, Decimal)):
            return None
        try:
            found.append(float(number))
        except OverflowError:
            return None
    return (found[0], found[1], found[2]) if all(map(math.isfinite, found)) else None


def _of_texts(value: str, low: str, high: str) -> tuple[float, float, float]:
    """Texts as fractions in the base of the characters that stand in the bounds (with the whole of the alphabet or
    digits that any of them is in), without what both bounds begin with."""
    used = low + high
    first, last = min(used, default=" "), max(used, default="\x7f")
    for begin, end in ("AZ", "az", "09"):
        if first <= end and last >= begin:
            first, last = min(first, begin), max(last, end)
    if ord(last) - ord(first) < 9:
        first, last = " ", "\x7f"
    same = 0
    while same < min(len(low), len(high), len(value)) and low[same] == high[same] == value[same]:
        same += 1
    base = ord(last) - ord(first) + 1

    def scalar(text: str) -> float:
        number, unit = 0.0, 1.0 / base
        for char in text[same : same + _CHARS_MAX]:
            number += (min(max(ord(char), ord(first) - 1), ord(last) + 1) - ord(first)) * unit
            unit /= base
        return number

    return scalar(value), scalar(low), scalar(high)


def range_of(shares: Sequence[float], null_fraction: float) -> float:
    """A lower and an upper bound of one variable together."""
    low, high = shares
    if low == high == DEFAULT_RANGE:
        return 0.005
    found = low + high - 1.0 + null_fraction
    if found > 0:
        return found
    # Bounds that exclude each other, or nearly: rounding alone decides.
    return 0.005 if found < -0.01 else 1.0e-10
