"""levenshtein and levenshtein_less_equal: the least cost of insertions, deletions and substitutions. Errors: 22023."""

from __future__ import annotations

from typing import Final

from aurora.errors import InvalidParameterValue
from compute_node.extensions.library import define
from compute_node.hub import HUB

_LENGTH_MAX: Final = 255


def _distance(source: str, target: str, costs: tuple[int, int, int] = (1, 1, 1), bound: int = -1) -> int:
    """The cost of making ``target`` of ``source``. ``bound`` (negative: none): the exact cost up to it, else something
    greater; only a band of columns that can stay below it is computed."""
    insertion, deletion, substitution = costs
    columns, rows = len(source), len(target)
    if not columns:
        return rows * insertion
    if not rows:
        return columns * deletion
    if columns > _LENGTH_MAX or rows > _LENGTH_MAX:
        raise InvalidParameterValue(f"levenshtein argument exceeds maximum length of {_LENGTH_MAX} characters")
    HUB.pulse()
    first, end = 0, columns + 1
    if bound >= 0:
        surplus = rows - columns
        least = surplus * insertion if surplus >= 0 else -surplus * deletion
        if least > bound:
            return bound + 1
        substitution = min(substitution, insertion + deletion)
        if bound >= least + substitution * min(columns, rows):
            bound = -1
        elif insertion + deletion > 0:
            end = min(max(-surplus, 0) + (bound - least) // (insertion + deletion) + 1, columns + 1)
    before = [column * deletion for column in range(columns + 1)]
    current = [0] * (columns + 1)
    for row, character in enumerate(target, 1):
        if bound >= 0 and end < columns + 1:
            before[end] = bound + 1
            end += 1
        if first == 0:
            current[0] = row * insertion
        for column in range(max(first, 1), end):
            same = source[column - 1] == character
            current[column] = min(
                before[column] + insertion,
                current[column - 1] + deletion,
                before[column - 1] + (0 if same else substitution),
            )
        before, current = current, before
        if bound < 0:
            continue
        level = row - (rows - columns)
        while end > 0 and before[end - 1] + _rest(end - 1 - level, insertion, deletion) > bound:
            end -= 1
        while first < end and before[first] + _rest(first - level, insertion, deletion) > bound:
            before[first] = current[first] = bound + 1
            first += 1
        if first >= end:
            return bound + 1
    return before[columns]


def _rest(surplus: int, insertion: int, deletion: int) -> int:
    """What the rest costs at least where that many characters more are left of the target than of the source."""
    return surplus * insertion if surplus > 0 else -surplus * deletion


define("levenshtein", 2, _distance)
define("levenshtein_with_costs", 5, lambda one, other, i, d, s: _distance(one, other, (i, d, s)))
define("levenshtein_less_equal", 3, lambda one, other, bound: _distance(one, other, bound=bound))
define(
    "levenshtein_less_equal_with_costs", 6,
    lambda one, other, i, d, s, bound: _distance(one, other, (i, d, s), bound),
)  # fmt: skip
