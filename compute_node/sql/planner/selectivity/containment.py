"""Elements of arrays and lexemes of documents against constants, by the most common elements; and the shares that
PostgreSQL takes for operators of which nothing is known (manual, 53.51)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aurora.datum import Datum
from compute_node.relations.column_statistics import COMMON_ELEMENTS
from compute_node.sql.expressions import Const
from compute_node.sql.planner.selectivity.variable import Variable, clamp
from compute_node.types.array_value import flatten

AREA, POSITION, CONTAINED, MATCHING = 139, 1300, 1302, 5040
RANGE, NETWORK, DOCUMENT, ARRAY, MULTIRANGE = 3169, 3560, 3686, 3817, 4243
DEFAULTS: Final = {AREA: 0.005, POSITION: 0.1, CONTAINED: 0.001, MATCHING: 0.010}
"""By the estimator's OID (pg_operator.oprrest): what it always says."""
_CONTAINS, _OVERLAPS, _DOCUMENT = 0.005, 0.01, 0.001
_RANGES: Final = {
    "&&": 0.01, "@>": 0.005, "<@": 0.005, "<": 1 / 3, "<=": 1 / 3, ">": 1 / 3, ">=": 1 / 3, "<<": 1 / 3, ">>": 1 / 3,
    "&<": 1 / 3, "&>": 1 / 3,
}  # fmt: skip


def ranges(name: str) -> float:
    """Of ranges and multiranges."""
    return _RANGES.get(name, 0.01)


def networks(name: str) -> float:
    """Of network addresses."""
    return _OVERLAPS if name == "&&" else 0.005


def _elements(variable: Variable) -> tuple[dict[Datum, float], float] | None:
    """(the common elements' frequencies, that of the rarest of them), of rows that are not NULL."""
    slot = None if variable.statistics is None else variable.statistics.slot(COMMON_ELEMENTS)
    if slot is None or not slot.values or not slot.numbers:
        return None
    try:
        known = dict(zip(slot.values, slot.numbers, strict=False))
    except TypeError:  # elements that have no hash
        return None
    return known, slot.numbers[len(slot.values)]


def arrays(name: str, variable: Variable, constant: Const | None) -> float:
    """@>, <@ and && of arrays."""
    default = _OVERLAPS if name == "&&" else _CONTAINS
    known = _elements(variable)
    if constant is not None and constant.value is None:
        return 0.0
    if known is None or constant is None or name == "<@" or not isinstance(constant.value, list):
        return default
    frequencies, rarest = known
    wanted: Sequence[Datum] = list(flatten(constant.value))
    if None in wanted:
        if name == "@>":
            return 0.0
        wanted = [each for each in wanted if each is not None]
    missing = min(_CONTAINS, rarest / 2)
    try:
        shares = [frequencies.get(each, missing) for each in set(wanted)]
    except TypeError:
        return default
    whole = 1.0
    for share in shares:
        whole *= share if name == "@>" else 1.0 - share
    return clamp((whole if name == "@>" else 1.0 - whole) * (1.0 - variable.null_fraction))
