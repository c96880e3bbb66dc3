"""LIKE and regular expressions against a constant pattern: tried on the histogram's values where there are enough, else
by the pattern's fixed beginning and what follows it (manual, 76.1)."""

from __future__ import annotations

from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Const
from compute_node.sql.planner.selectivity.scalars import common_share, histogram_share
from compute_node.sql.planner.selectivity.variable import Test, Variable, clamp, test_of
from compute_node.types import oids

DEFAULT_MATCH = 0.005
_FIXED_CHAR, _ANY_CHAR, _RANGE = 0.20, 0.9, 0.25
_WILDCARD, _REPEATED = 5.0, 2.0
_HISTOGRAM_MIN, _HISTOGRAM_ENOUGH = 10, 100
_TEXT_GE, _TEXT_LT = 667, 664


def matching(
    catalog: CatalogView, operator: int, variable: Variable, pattern: Const, is_like: bool, folds_case: bool
) -> float:
    """``variable OPERATOR pattern`` for an operator that is no negation."""
    text = pattern.value
    if text is None:
        return 0.0
    test = test_of(catalog, operator, variable, pattern)
    if test is None or not isinstance(text, str):
        return DEFAULT_MATCH
    prefix, rest, is_exact = (_like_parts if is_like else _regex_parts)(text, folds_case)
    if is_exact and variable.statistics is None:
        return 1.0 / variable.distinct
    share = _by_pattern(catalog, variable, prefix, rest)
    bounds = variable.histogram[1:-1]
    if len(variable.histogram) >= _HISTOGRAM_MIN and bounds:
        counted = sum(test(value) for value in bounds) / len(bounds)
        weight = min(len(variable.histogram) / _HISTOGRAM_ENOUGH, 1.0)
        share = counted * weight + share * (1.0 - weight)
        share = min(max(share, 0.0001), 0.9999)
    passing, known = common_share(variable, test)
    return clamp(passing + share * (1.0 - variable.null_fraction - known))


def _by_pattern(catalog: CatalogView, variable: Variable, prefix: str, rest: float) -> float:
    return clamp(_of_prefix(catalog, variable, prefix) * rest)


def _of_prefix(catalog: CatalogView, variable: Variable, prefix: str) -> float:
    """How many values begin so."""
    if not prefix:
        return 1.0
    from_here = Const(type=oids.TEXT, value=prefix)
    to_there = Const(type=oids.TEXT, value=prefix[:-1] + chr(min(ord(prefix[-1]) + 1, 0x10FFFF)))
    tests: list[Test | None] = [
        test_of(catalog, operator, variable, constant)
        for operator, constant in ((_TEXT_GE, from_here), (_TEXT_LT, to_there))
    ]
    if tests[0] is None or tests[1] is None or not variable.histogram:
        return DEFAULT_MATCH
    low = histogram_share(catalog, tests[0], variable, from_here, True, True)
    high = histogram_share(catalog, tests[1], variable, to_there, False, False)
    if low is None or high is None:
        return DEFAULT_MATCH
    return max(low + high - 1.0, 1.0 / max(variable.distinct, 1.0), 1.0e-10)


def _like_parts(pattern: str, folds_case: bool) -> tuple[str, float, bool]:
    """(fixed beginning, share of what follows, whether nothing follows)."""
    prefix: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char in "%_" or (folds_case and char.isalpha()):
            break
        if char == "\\":
            at += 1
            if at >= len(pattern):
                break
            char = pattern[at]
        prefix.append(char)
        at += 1
    is_exact = at >= len(pattern)
    share = 1.0
    while at < len(pattern) and pattern[at] in "%_":
        at += 1
    while at < len(pattern):
        char = pattern[at]
        if char == "%":
            share *= _WILDCARD
        elif char == "_":
            share *= _ANY_CHAR
        else:
            at += char == "\\"
            share *= _FIXED_CHAR
        at += 1
    return "".join(prefix), min(share, 1.0), is_exact


def _regex_parts(pattern: str, folds_case: bool) -> tuple[str, float, bool]:
    prefix: list[str] = []
    at = 0
    anchored = pattern.startswith("^")
    if anchored and "|" not in pattern:
        at = 1
        while at < len(pattern) and (pattern[at].isalnum() or pattern[at] in " -_/@#,:;'\"<>=!~&%"):
            following = pattern[at + 1 : at + 2]
            if following in ("*", "?", "{") or (folds_case and pattern[at].isalpha()):
                break
            prefix.append(pattern[at])
            at += 1
    rest = pattern[at:]
    is_exact = anchored and rest == "$"
    share = _regex_share(rest.removesuffix("$"))
    if not rest.endswith("$") or rest.endswith("\\$"):
        share *= _WILDCARD
    return "".join(prefix), min(share, 1.0), is_exact


def _regex_share(pattern: str) -> float:
    """Of an expression without its anchors, roughly: a factor for each atom, the sum of alternatives. Groups are taken
    as they come, however deep they stand in each other."""
    outer: list[tuple[float, float]] = []
    """of each open group: (the sum of the alternatives before, the factors before it) of what is around it"""
    share, added, at = 1.0, 0.0, 0
    while at < len(pattern):
        char = pattern[at]
        if char == "(":
            outer.append((added, share))
            share, added = 1.0, 0.0
        elif char == "|":
            share, added = 1.0, added + share
        elif char == ")" and outer:
            inner = min(added + share, 1.0)
            added, share = outer.pop()
            share *= inner
        elif char in "[{":
            end = pattern.find("]" if char == "[" else "}", at + 2 if char == "[" else at)
            if char == "{":
                share *= _REPEATED
            else:
                share *= 1.0 - _RANGE if pattern[at + 1 : at + 2] == "^" else _RANGE
            at = len(pattern) if end < 0 else end
        elif char == ".":
            share *= _ANY_CHAR
        elif char in "*?+":
            share *= _REPEATED
        elif char not in "^)":
            at += char == "\\"
            share *= _FIXED_CHAR
        at += 1
    while outer:
        inner = min(added + share, 1.0)
        added, share = outer.pop()
        share *= inner
    return min(added + share, 1.0)
