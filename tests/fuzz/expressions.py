"""Expressions of a wanted type over the columns at hand, and conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.fuzz.choice import Choice
from tests.fuzz.functions import CONDITIONS, FUNCTIONS, GENERIC
from tests.fuzz.scalars import TYPES, bare, literal

COMPARED = ("=", "<>", "<", "<=", ">", ">=")


@dataclass(frozen=True, slots=True)
class Reference:
    """A column that an expression may use, as it is written there."""

    text: str
    type: str


def expression(choice: Choice, columns: Sequence[Reference], kind: str, depth: int = 0) -> str:
    """An expression of a type."""
    own = [each for each in columns if each.type == kind]
    ways = ["column", "column"] if own else ["literal"]
    if own:
        ways.append("literal")
    if depth < choice.expression_depth:
        ways += ["function", "function", "generic", "case", "switch"]
        if kind not in FUNCTIONS:
            ways = [each for each in ways if each != "function"]
    if kind == "boolean" and depth < choice.expression_depth:
        ways.append("condition")
    way = choice.of(ways)
    if way == "column":
        return choice.of(own).text
    if way == "literal":
        return literal(choice, kind)
    if way == "condition":
        return f"({condition(choice, columns, depth + 1)})"
    if way == "case":
        test = condition(choice, columns, depth + 1)
        one, other = (expression(choice, columns, kind, depth + 1) for _ in range(2))
        return f"CASE WHEN {test} THEN {one} ELSE {other} END"
    if way == "switch":
        subject = choice.of(TYPES)
        tested = expression(choice, columns, subject, depth + 1)
        first, second = (literal(choice, subject) for _ in range(2))
        one, other = (expression(choice, columns, kind, depth + 1) for _ in range(2))
        return f"CASE {tested} WHEN {first} THEN {one} WHEN {second} THEN {other} END"
    if way == "generic":
        template, operands = choice.of(GENERIC)
        kinds: Sequence[str] = (kind,) * operands
    else:
        template, kinds = choice.of(FUNCTIONS[kind])
    return template.format(*(expression(choice, columns, each, depth + 1) for each in kinds))


def condition(choice: Choice, columns: Sequence[Reference], depth: int = 0) -> str:
    """A condition over the columns."""
    ways = ["compare", "compare", "bare", "null", "among", "between", "template", "boolean"]
    if depth < choice.expression_depth:
        ways += ["and", "or", "not"]
    way = choice.of(ways)
    if way in ("and", "or"):
        parts = [condition(choice, columns, depth + 1) for _ in range(choice.number(2, 3))]
        return f"({f' {way.upper()} '.join(parts)})"
    if way == "not":
        return f"NOT ({condition(choice, columns, depth + 1)})"
    kind = choice.of(columns).type if columns and choice.chance(80) else choice.of(TYPES)
    if way == "boolean":
        test = choice.of(("IS TRUE", "IS NOT FALSE", "IS UNKNOWN"))
        return f"({expression(choice, columns, 'boolean', depth + 1)}) {test}"
    if way == "template":
        template, kinds = choice.of(CONDITIONS)
        return template.format(*(expression(choice, columns, each, depth + 1) for each in kinds))
    subject = expression(choice, columns, kind, depth + 1)
    if way == "null":
        return f"{subject} {choice.of(('IS NULL', 'IS NOT NULL'))}"
    if way == "among":
        values = ", ".join(literal(choice, kind) for _ in range(choice.number(1, 4)))
        return f"{subject} {choice.of(('IN', 'NOT IN'))} ({values})"
    if way == "between":
        return f"{subject} {choice.of(('', 'NOT '))}BETWEEN {literal(choice, kind)} AND {literal(choice, kind)}"
    if way == "bare" and kind != "pair":  # rows are compared as any records: a constant would have no type
        return f"{subject} {choice.of(COMPARED)} {bare(choice, kind)}"
    return f"{subject} {choice.of(COMPARED)} {expression(choice, columns, kind, depth + 1)}"
