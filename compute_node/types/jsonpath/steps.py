"""The steps of a path: literals, accessors, methods, arithmetic (manual, 9.16.2, tables 9.48 and 9.49)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal
from typing import Final

from aurora.errors import (
    InvalidDatetimeArgument,
    InvalidSubscript,
    InvalidTextRepresentation,
    InvariantViolation,
    JsonArrayNotFound,
    JsonMemberNotFound,
    JsonNumberNotFound,
    JsonObjectNotFound,
    NonNumericItem,
    NumericValueOutOfRange,
    SingletonItemRequired,
    SqlError,
)
from compute_node.types.floating import parse_float
from compute_node.types.json.value import Jsonb
from compute_node.types.jsonpath.executor import Execution, Found, PathError, handles
from compute_node.types.jsonpath.items import Item, Placed, is_array, item_of, jsonb_of, type_name
from compute_node.types.jsonpath.moments import Moment, check_template, read_by_template, read_iso
from compute_node.types.jsonpath.tree import UNBOUNDED, Step
from compute_node.types.long_text import paced
from compute_node.types.numeric import EXACT, add, divide, in_format, multiply, numeric_out, remainder, subtract


def fail(condition: type[SqlError], message: str, hint: str | None = None) -> PathError:
    """An error of the path."""
    return PathError(condition(message, hint=hint))


# Where a path begins


@handles("literal", "variable")
def _literal(execution: Execution, step: Step, value: Item, found: Found, unwrap: bool) -> bool:
    result = step.value if step.op == "literal" else execution.variable(step.value)
    return execution.after(step, result, found)


@handles("$")
def _root(execution: Execution, step: Step, value: Item, found: Found, unwrap: bool) -> bool:
    return execution.after(step, execution.root, found)


@handles("@")
def _current(execution: Execution, step: Step, value: Item, found: Found, unwrap: bool) -> bool:
    return execution.after(step, execution.current, found)


@handles("last")
def _last(execution: Execution, step: Step, value: Item, found: Found, unwrap: bool) -> bool:
    return execution.after(step, Decimal(execution.last - 1), found)


# Accessors


@handles("key")
def _key(execution: Execution, step: Step, value: Item, found: Found, unwrap: bool) -> bool:
    if isinstance(value, Jsonb):
        if value.kind == "object":
            member = value.key(step.value)
            if member is not None:
                return execution.after(step, item_of(member), found)
            if execution.tolerant:
                return False
            raise fail(JsonMemberNotFound, f'JSON object does not contain key "{step.value}"')
        if unwrap:
            return execution.unwrapped(step, value, found, False)
    if execution.tolerant:
        return False
    raise fail(JsonMemberNotFound, "jsonpath member accessor can only be applied to an object")


@handles(".*")
def _members(execution: Execution, step: Step, value: Item, found: Found, unwrap: bool) -> bool:
    if isinstance(value, Jsonb):
        if value.kind == "object":
            return execution.each(step.next, _children(value), found, execution.lax)
        if unwrap:
            return execution.unwrapped(step, value, found, False)
    if execution.tolerant:
        return False
    raise fail(JsonObjectNotFound, "jsonpath wildcard member accessor can only be applied to an object")


@handles("[*]")
def _elements(execution: Execution, step: Step, value: Item, found: Found, unwrap: bool) -> bool:
    if is_array(value):
        return execution.unwrapped(step.next, value, found, execution.lax)
    if execution.lax:
        return execution.after(step, value, found)
    if execution.tolerant:
        return False
    raise fail(JsonArrayNotFound, "jsonpath wildcard array accessor can only be applied to an array")


def _children(value: Jsonb) -> Iterator[Item]:
    if value.kind == "array":
        yield from map(item_of, value.elements())
    else:
        for _, each in value.items():
            yield item_of(each)


@handles("any")
def _any(execution: Execution, step: Step, value: Item, found: Found, unwrap: bool) -> bool:
    any_found = False
    if step.value[0] == 0:
        before, execution.tolerant = execution.tolerant, True
        try:
            any_found = execution.after(step, value, found)
        except PathError:
            # As in PostgreSQL: what is found below the item itself replaces an error that is not shown.
            if execution.throws or not isinstance(value, Jsonb):
                raise
        finally:
            execution.tolerant = before
        if any_found and found is None:
            return True
    if isinstance(value, Jsonb):
        any_found |= _levels(execution, step, value, found, 1)
    return any_found


def _levels(execution: Execution, step: Step, value: Jsonb, found: Found, level: int) -> bool:
    """The step's next on what is below ``value``, from its first to its last level; ``last`` alone means the leaves."""
    first, last = step.value
    any_found = False
    if level > last:
        return False
    for child in _children(value):
        if level >= first or (first == last == UNBOUNDED and not isinstance(child, Jsonb)):
            before, execution.tolerant = execution.tolerant, True
            try:
                any_found |= execution.after(step, child, found)
            finally:
                execution.tolerant = before
            if any_found and found is None:
                return True
        if level < last and isinstance(child, Jsonb):
            any_found |= _levels(execution, step, child, found, level + 1)
            if any_found and found is None:
                return True
    return any_found


@handles("subscripts")
def _subscripts(execution: Execution, step: Step, value: Item, found: Found, unwrap: bool) -> bool:
    array = value if isinstance(value, Jsonb) and value.kind == "array" else None
    if array is None and not execution.lax:
        if execution.tolerant:
            return False
        raise fail(JsonArrayNotFound, "jsonpath array accessor can only be applied to an array")
    size = 1 if array is None else len(array)
    before, execution.last = execution.last, size
    any_found = False
    try:
        for first, last in step.value:
            low = _index(execution, first, value)
            high = low if last is None else _index(execution, last, value)
            if not execution.tolerant and (low < 0 or low > high or high >= size):
                raise fail(InvalidSubscript, "jsonpath array subscript is out of bounds")
            for index in range(max(low, 0), min(high, size - 1) + 1):
                any_found |= execution.after(step, value if array is None else _element(array, index), found)
                if any_found and found is None:
                    return True
    finally:
        execution.last = before
    return any_found


def _element(array: Jsonb, index: int) -> Item:
    element = array.element(index)
    if element is None:
        raise InvariantViolation(f"element {index} of {len(array)}")
    return item_of(element)


def _index(execution: Execution, step: Step, value: Item) -> int:
    found: list[Item] = []
    execution.item(step, value, found, execution.lax)
    if len(found) != 1 or not isinstance(found[0], Decimal):
        raise fail(InvalidSubscript, "jsonpath array subscript is not a single numeric value")
    index = int(found[0].to_integral_value(ROUND_DOWN, EXACT))
    if not -(2**31) <= index < 2**31:
        raise fail(InvalidSubscript, "jsonpath array subscript is out of integer range")
    return index


# Arithmetic

_BINARY: Final[dict[str, Callable[[Decimal, Decimal], Decimal]]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "%": remainder,
}


@handles(*_BINARY)
def _binary(execution: Execution, step: Step, value: Item, found: Found, unwrap: bool) -> bool:
    left, right = (execution.operand(each, value) for each in step.operands)
    numbers = []
    for side, items in (("left", left), ("right", right)):
        if len(items) != 1 or not isinstance(items[0], Decimal):
            message = f"{side} operand of jsonpath operator {step.op} is not a single numeric value"
            raise fail(SingletonItemRequired, message)
        numbers.append(items[0])
    try:
        result = _BINARY[step.op](*numbers)
    except SqlError as error:
        raise PathError(error) from None
    return execution.after(step, result, found)


@handles("unary +", "unary -")
def _unary(execution: Execution, step: Step, value: Item, found: Found, unwrap: bool) -> bool:
    only_whether = found is None and step.next is None
    any_found = False
    for each in execution.operand(step.operand, value):
        if not isinstance(each, Decimal):
            if only_whether:
                continue
            raise fail(JsonNumberNotFound, f"operand of unary jsonpath operator {step.op[-1]} is not a numeric value")
        result = each if step.op == "unary +" or not each else each.copy_negate()
        any_found |= execution.after(step, result, found)
        if any_found and found is None:
            return True
    return any_found


# Methods


@handles("type")
def _type(execution: Execution, step: Step, value: Item, found: Found, unwrap: bool) -> bool:
    return execution.after(step, type_name(value), found)


@handles("size")
def _size(execution: Execution, step: Step, value: Item, found: Found, unwrap: bool) -> bool:
    if isinstance(value, Jsonb) and value.kind == "array":
        return execution.after(step, Decimal(len(value)), found)
    if execution.lax:
        return execution.after(step, Decimal(1), found)
    if execution.tolerant:
        return False
    raise fail(JsonArrayNotFound, "jsonpath item method .size() can only be applied to an array")


_ROUNDINGS: Final = {"floor": ROUND_FLOOR, "ceiling": ROUND_CEILING}


@handles("abs", "floor", "ceiling")
def _number(execution: Execution, step: Step, value: Item, found: Found, unwrap: bool) -> bool:
    if unwrap and is_array(value):
        return execution.unwrapped(step, value, found, False)
    if not isinstance(value, Decimal):
        raise fail(NonNumericItem, f"jsonpath item method .{step.op}() can only be applied to a numeric value")
    if step.op == "abs":
        return execution.after(step, value.copy_abs(), found)
    result = value.to_integral_value(_ROUNDINGS[step.op], EXACT)
    return execution.after(step, result if result else Decimal(0), found)


@handles("double")
def _double(execution: Execution, step: Step, value: Item, found: Found, unwrap: bool) -> bool:
    if unwrap and is_array(value):
        return execution.unwrapped(step, value, found, False)
    if isinstance(value, Decimal):
        try:
            parse_float(numeric_out(value), "double precision")
        except NumericValueOutOfRange:
            message = "numeric argument of jsonpath item method .double() is out of range for type double precision"
            raise fail(NonNumericItem, message) from None
        return execution.after(step, value, found)
    if not isinstance(value, str):
        message = "jsonpath item method .double() can only be applied to a string or numeric value"
        raise fail(NonNumericItem, message)
    try:
        number = parse_float(value, "double precision")
    except (InvalidTextRepresentation, NumericValueOutOfRange):
        number = math.nan
    if not math.isfinite(number):
        message = "string argument of jsonpath item method .double() is not a valid representation"
        raise fail(NonNumericItem, message + " of a double precision number")
    return execution.after(step, in_format(Decimal(f"{number:.15g}")), found)


@handles("keyvalue")
def _keyvalue(execution: Execution, step: Step, value: Item, found: Found, unwrap: bool) -> bool:
    if unwrap and is_array(value):
        return execution.unwrapped(step, value, found, False)
    if not isinstance(value, Placed) or value.kind != "object":
        raise fail(JsonObjectNotFound, "jsonpath item method .keyvalue() can only be applied to an object")
    identity = value.document * 10_000_000_000 + value.place
    any_found = False
    for key, member in paced(value.items()):
        if step.next is None and found is None:
            return True
        made = Jsonb.of({"key": key, "value": jsonb_of(item_of(member)), "id": identity})
        any_found |= execution.after(step, Placed(made.data, execution.generated, 0), found)
        execution.generated += 1
        if any_found and found is None:
            return True
    return any_found


def _by_template(text: str, template: str) -> Moment:
    """A malformed template is an error of the statement, a text that it does not fit one of the path."""
    check_template(template)
    try:
        return read_by_template(text, template)
    except SqlError as error:
        raise PathError(error) from None


@handles("datetime")
def _datetime(execution: Execution, step: Step, value: Item, found: Found, unwrap: bool) -> bool:
    if unwrap and is_array(value):
        return execution.unwrapped(step, value, found, False)
    if not isinstance(value, str):
        raise fail(InvalidDatetimeArgument, "jsonpath item method .datetime() can only be applied to a string")
    if step.left is not None:
        moment: Moment | None = _by_template(value, step.left.value)
    else:
        moment = read_iso(value)
    if moment is None:
        raise fail(
            InvalidDatetimeArgument,
            f'datetime format is not recognized: "{value}"',
            "Use a datetime template argument to specify the input data format.",
        )
    return execution.after(step, moment, found)
