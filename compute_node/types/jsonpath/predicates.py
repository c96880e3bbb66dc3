"""Predicates: true, false or unknown (None). An error inside makes it unknown (manual, 9.16.2, table 9.50)."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

from compute_node.types.json.value import Jsonb
from compute_node.types.jsonpath import moments
from compute_node.types.jsonpath.executor import Execution, Found, PathError, handles
from compute_node.types.jsonpath.items import Item, is_array, type_name
from compute_node.types.jsonpath.moments import Moment
from compute_node.types.jsonpath.tree import PREDICATES, Step

_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@handles("filter")
def _filter(execution: Execution, step: Step, value: Item, found: Found, unwrap: bool) -> bool:
    if unwrap and is_array(value):
        return execution.unwrapped(step, value, found, False)
    before, execution.current = execution.current, value
    try:
        passes = truth(execution, step.operand, value)
    finally:
        execution.current = before
    return bool(passes) and execution.after(step, value, found)


@handles(*PREDICATES)
def _result(execution: Execution, step: Step, value: Item, found: Found, unwrap: bool) -> bool:
    """A predicate as an item: true, false, or null for unknown."""
    return execution.after(step, truth(execution, step, value), found)


def truth(execution: Execution, step: Step, value: Item) -> bool | None:
    """What a predicate is for an item."""
    op, left = step.op, step.operand
    if op in ("&&", "||"):
        return _connected(execution, op == "||", left, step.operands[1], value)
    if op == "!":
        inner = truth(execution, left, value)
        return None if inner is None else not inner
    if op == "is unknown":
        return truth(execution, left, value) is None
    if op == "exists":
        return _exists(execution, left, value)
    if op == "like_regex":
        return _pairs(execution, left, None, value, lambda one, _: _matches(one, step))
    if op == "starts with":
        return _pairs(execution, left, step.operands[1], value, _starts, unwrap_right=False)
    return _pairs(execution, left, step.operands[1], value, lambda one, other: compared(execution, op, one, other))


def _connected(execution: Execution, decisive: bool, left: Step, right: Step, value: Item) -> bool | None:
    """``&&`` and ``||``: one side's ``decisive`` value decides."""
    first = truth(execution, left, value)
    if first is decisive:
        return first
    second = truth(execution, right, value)
    return first if second is not decisive and second is not None else second


def _exists(execution: Execution, operand: Step, value: Item) -> bool | None:
    before, execution.throws = execution.throws, False
    try:
        if execution.lax:
            return execution.item(operand, value, None, True)
        # Strict mode looks at all of them, since one may be an error.
        return bool(execution.operand(operand, value, unwrap=False))
    except PathError:
        return None
    finally:
        execution.throws = before


def _pairs(
    execution: Execution,
    left: Step,
    right: Step | None,
    value: Item,
    test: Callable[[Item, Item], bool | None],
    unwrap_right: bool = True,
) -> bool | None:
    """Whether a pair of items passes. In lax mode the first that does decides, in strict mode an unknown one does."""
    before, execution.throws = execution.throws, False
    try:
        lefts = execution.operand(left, value)
        rights: list[Item] = [None] if right is None else execution.operand(right, value, unwrap_right)
    except PathError:
        return None
    finally:
        execution.throws = before
    passed = unknown = False
    for one in lefts:
        for other in rights:
            result = test(one, other)
            if result is None:
                if not execution.lax:
                    return None
                unknown = True
            elif result:
                if execution.lax:
                    return True
                passed = True
    return True if passed else None if unknown else False


def compared(execution: Execution, op: str, one: Item, other: Item) -> bool | None:
    """null equals null only; objects, arrays and values of different kinds do not compare."""
    if one is None or other is None:
        if (one is None) and (other is None):
            return op in ("==", "<=", ">=")
        return op == "!="
    if isinstance(one, Jsonb) or isinstance(other, Jsonb):
        return None
    if isinstance(one, Moment) and isinstance(other, Moment):
        order = moments.compare(one, other, execution.env, execution.with_zone)
        return None if order is None else _COMPARE[op](order, 0)
    if type_name(one) != type_name(other):
        return None
    return _COMPARE[op](one, other)


def _starts(one: Item, other: Item) -> bool | None:
    if isinstance(one, str) and isinstance(other, str):
        return one.startswith(other)
    return None


def _matches(one: Item, step: Step) -> bool | None:
    return bool(step.value.regex.test(one)) if isinstance(one, str) else None
