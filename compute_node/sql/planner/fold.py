"""Rule: evaluate what needs no row. Immutable functions of constants become constants, boolean expressions are
simplified.

Params (declared or lifted) are never looked into. A fold that raises leaves the expression as it is; ``failing`` finds
it in the finished plan, and whoever runs the plan gets its error before anything else, as in PostgreSQL, whose planner
raises it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from aurora.datum import Datum
from aurora.errors import SqlError, is_of_a_value
from compute_node.hub import HUB
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import (
    And,
    ArrayCoerce,
    ArrayExpr,
    ArrayOp,
    BooleanTest,
    Call,
    Case,
    Coalesce,
    CoerceToDomain,
    CoerceTypmod,
    Collate,
    Const,
    DistinctTest,
    ElementValue,
    Expr,
    MinMax,
    Not,
    NullIf,
    NullTest,
    Or,
    Param,
    Relabel,
    RowExpr,
    children,
    map_children,
    value_change,
    walk,
)
from compute_node.types import oids
from compute_node.types.array_value import from_vector
from compute_node.types.collation import collation_of
from compute_node.types.collation.code import code_under
from compute_node.types.record import Record


def fold(catalog: CatalogView, node: Expr) -> Expr:
    """The expression with constant parts evaluated."""
    if isinstance(node, Const):
        return node
    if isinstance(node, Case):
        return _case(catalog, node)
    HUB.pulse()
    node = map_children(node, lambda child: fold(catalog, child))
    handler = _HANDLERS.get(type(node))
    return node if handler is None else handler(catalog, node)


def failing(catalog: CatalogView, node: Expr) -> Callable[[], None] | None:
    """What raises the error of the first constant part that could not be evaluated; None when there is none."""
    for part in _certain(node):
        if isinstance(part, (Call, CoerceTypmod)):
            evaluate = _evaluation(catalog, part)
            if evaluate is not None:
                try:
                    evaluate()
                except SqlError as error:
                    if not is_of_a_value(error):
                        raise
                    return evaluate
    return None


def _certain(node: Expr) -> Iterator[Expr]:
    """The expression and all of its parts, but for those that a parameter's value may make unreachable."""
    waiting = [(node, False)]
    while waiting:
        item, free = waiting.pop()
        if not free and isinstance(item, (Case, Coalesce, And, Or)):
            if any(isinstance(part, Param) for part in walk(item)):
                continue
            free = True
        yield item
        waiting += [(child, free) for child in children(item)]


def _evaluation(catalog: CatalogView, node: Call | CoerceTypmod) -> Callable[[], Any] | None:
    """How to evaluate a node whose arguments are all constants; None for what is not for now."""
    if isinstance(node, CoerceTypmod):
        argument, cast = node.argument, catalog.type(node.type).typmod_cast
        if not isinstance(argument, Const) or cast is None or argument.value is None:
            return None
        return partial(cast, argument.value, node.typmod, node.explicit)
    if not all(isinstance(item, Const) for item in node.arguments):
        return None
    function = catalog.function(node.function)
    if node.variadic and function.variadic == oids.ANY:
        return None
    values = [item.value for item in node.arguments if isinstance(item, Const)]
    if function.strict and None in values:
        return None
    implementation = evaluation(catalog, node.function, [item.type for item in node.arguments], node.type)
    return None if implementation is None else partial(implementation, *values)


def evaluation(
    catalog: CatalogView, function_oid: int, arguments: Sequence[int], result: int
) -> Callable[..., Datum] | None:
    """An immutable function over values of the types ``arguments``; None for any other function."""
    function = catalog.function(function_oid)
    if function.volatility != "i" or function.needs_context or function.returns_set or function.kind != "f":
        return None
    if function.specialize is not None:
        return function.specialize(tuple([catalog.type(item) for item in arguments]), catalog.type(result))
    for item in arguments:
        if collation_of(item) and (under := catalog.type(item).collated) is not None:
            return code_under(function, under) or function.implementation
    return function.implementation


def _boolean(value: bool | None) -> Const:
    return Const(type=oids.BOOL, value=value)


def _call(catalog: CatalogView, node: Call) -> Expr:
    arguments = node.arguments
    for item in arguments:
        if not isinstance(item, Const):
            if not any(isinstance(other, Const) and other.value is None for other in arguments):
                return node
            break
    function = catalog.function(node.function)
    if function.returns_set or function.kind != "f":
        return node
    if function.strict and any(isinstance(item, Const) and item.value is None for item in arguments):
        if function.volatility != "v":
            return Const(type=node.type, typmod=node.typmod, value=None, location=node.location)
        return node
    evaluate = _evaluation(catalog, node)
    if evaluate is None:
        return node
    try:
        value: Datum = evaluate()
    except SqlError as error:
        if not is_of_a_value(error):
            raise
        return node
    return Const(type=node.type, typmod=node.typmod, value=value, location=node.location)


def _collate(catalog: CatalogView, node: Collate) -> Expr:
    """What depends on the collation knows it by now."""
    return node.argument


def _relabel(catalog: CatalogView, node: Relabel) -> Expr:
    argument = node.argument
    if isinstance(argument, Const):
        value = argument.value
        change = value_change(node)
        if change == "bounds" and value is not None:
            value = from_vector(value)
        elif change and value is not None:
            value = value & 0xFFFFFFFF if change == "unsigned" else (value ^ 0x80000000) - 0x80000000
        return Const(type=node.type, typmod=node.typmod, value=value, location=node.location)
    if isinstance(argument, Relabel):
        return Relabel(type=node.type, typmod=node.typmod, argument=argument.argument, implicit=node.implicit)
    return node


def _to_domain(catalog: CatalogView, node: CoerceToDomain) -> Expr:
    """Constraints are tested when the statement runs; a domain without any is only another name."""
    if catalog.type(node.type).check is not None:
        return node
    if isinstance(node.argument, Const):
        return Const(type=node.type, value=node.argument.value, location=node.location)
    return Relabel(type=node.type, argument=node.argument, implicit=node.implicit, location=node.location)


def _typmod(catalog: CatalogView, node: CoerceTypmod) -> Expr:
    argument = node.argument
    cast = catalog.type(node.type).typmod_cast
    if not isinstance(argument, Const) or cast is None:
        return node
    try:
        value = None if argument.value is None else cast(argument.value, node.typmod, node.explicit)
    except SqlError as error:
        if not is_of_a_value(error):
            raise
        return node
    return Const(type=node.type, typmod=node.typmod, value=value, location=node.location)


def _and(catalog: CatalogView, node: And) -> Expr:
    return _junction(node, And, False)


def _or(catalog: CatalogView, node: Or) -> Expr:
    return _junction(node, Or, True)


def _junction(node: And | Or, kind: type, decisive: bool) -> Expr:
    items: list[Expr] = []
    seen_null = False
    for item in node.arguments:
        parts = item.arguments if isinstance(item, kind) else (item,)  # type: ignore[attr-defined]
        for part in parts:
            if isinstance(part, Const):
                if part.value is decisive:
                    return _boolean(decisive)
                seen_null = seen_null or part.value is None
            else:
                items.append(part)
    if not items:
        return _boolean(None if seen_null else not decisive)
    if seen_null:
        items.append(_boolean(None))
    if len(items) == 1:
        return items[0]
    if tuple(items) == node.arguments:
        return node
    return dataclasses.replace(node, arguments=tuple(items))


def _not(catalog: CatalogView, node: Not) -> Expr:
    argument = node.argument
    if isinstance(argument, Const):
        return _boolean(None if argument.value is None else not argument.value)
    if isinstance(argument, Not):
        return argument.argument
    if isinstance(argument, And):
        return Or(type=oids.BOOL, arguments=tuple(_negated(catalog, item) for item in argument.arguments))
    if isinstance(argument, Or):
        return And(type=oids.BOOL, arguments=tuple(_negated(catalog, item) for item in argument.arguments))
    # A row may be neither NULL nor NOT NULL, and a domain may be over one.
    if isinstance(argument, NullTest) and (argument.as_value or catalog.type(argument.argument.type).kind in "ber"):
        return dataclasses.replace(argument, negated=not argument.negated)
    if isinstance(argument, Call) and argument.operator and len(argument.arguments) == 2:
        negator = catalog.operator(argument.operator).negator
        if negator:
            other = catalog.operator(negator)
            return dataclasses.replace(argument, function=other.function, operator=other.oid, display=other.name)
    if isinstance(argument, ArrayOp) and (negator := catalog.operator(argument.operator).negator):
        function = catalog.operator(negator).function
        return dataclasses.replace(argument, function=function, operator=negator, use_or=not argument.use_or)
    return node


def _negated(catalog: CatalogView, node: Expr) -> Expr:
    return _not(catalog, Not(type=oids.BOOL, argument=node))


def _null_test(catalog: CatalogView, node: NullTest) -> Expr:
    if isinstance(node.argument, Const):
        value = node.argument.value
        if isinstance(value, Record) and not node.as_value:
            # A row is NULL when all its fields are, and NOT NULL when none is.
            fields = [each for each, item in zip(value, value.types, strict=True) if item is not None]
            return _boolean(all((each is None) != node.negated for each in fields))
        return _boolean((value is None) != node.negated)
    # A table's row may have columns that were dropped, of which its value knows.
    row = node.argument
    if isinstance(row, RowExpr) and row.type == oids.RECORD and row.arguments and not node.as_value:
        tests = [dataclasses.replace(node, argument=item, as_value=True) for item in row.arguments]
        return _and(catalog, And(type=oids.BOOL, arguments=tuple([_null_test(catalog, item) for item in tests])))
    return node


def _boolean_test(catalog: CatalogView, node: BooleanTest) -> Expr:
    if isinstance(node.argument, Const):
        return _boolean((node.argument.value is node.target) != node.negated)
    return node


def _coalesce(catalog: CatalogView, node: Coalesce) -> Expr:
    items: list[Expr] = []
    for item in node.arguments:
        if isinstance(item, Const):
            if item.value is None:
                continue
            items.append(item)
            break
        items.append(item)
    if not items:
        return Const(type=node.type, typmod=node.typmod, value=None)
    if isinstance(items[0], Const):
        return items[0]
    return node if len(items) == len(node.arguments) else dataclasses.replace(node, arguments=tuple(items))


def _tried(handler: Callable[[CatalogView, Any], Expr]) -> Callable[[CatalogView, Any], Expr]:
    """The rule; what it would raise of a value is raised when the statement runs."""

    def tried(catalog: CatalogView, node: Expr) -> Expr:
        try:
            return handler(catalog, node)
        except SqlError as error:
            if not is_of_a_value(error):
                raise
            return node

    return tried


def _min_max(catalog: CatalogView, node: MinMax) -> Expr:
    values = [item.value for item in node.arguments if isinstance(item, Const)]
    if len(values) < len(node.arguments):
        return node
    known = [value for value in values if value is not None]
    key = catalog.type(node.arguments[0].type).sort_value
    value = (max if node.greatest else min)(known, key=key) if known else None
    return Const(type=node.type, typmod=node.typmod, value=value, location=node.location)


def _are_equal(catalog: CatalogView, node: DistinctTest | NullIf) -> bool | None:
    """Whether two constants are equal, NULLs too; None where that is not known now."""
    if not isinstance(node.left, Const) or not isinstance(node.right, Const):
        return None
    left, right = node.left.value, node.right.value
    if left is None or right is None:
        return left is right
    equal = evaluation(catalog, node.equality, [node.left.type, node.right.type], oids.BOOL)
    return None if equal is None else equal(left, right)


def _null_if(catalog: CatalogView, node: NullIf) -> Expr:
    equal = _are_equal(catalog, node)
    if equal is None or not isinstance(node.left, Const):
        return node
    value = None if equal else node.left.value
    return Const(type=node.type, typmod=node.typmod, value=value, location=node.location)


def _distinct_test(catalog: CatalogView, node: DistinctTest) -> Expr:
    equal = _are_equal(catalog, node)
    return node if equal is None else _boolean(equal == node.negated)


def _array_op(catalog: CatalogView, node: ArrayOp) -> Expr:
    """``operator ANY | ALL`` of a constant and an array of them."""
    left, right = node.left, node.right
    if not isinstance(left, Const) or not isinstance(right, Const):
        return node
    if right.value is None:
        return _boolean(None)
    element = catalog.type(right.type).root.element
    if not element or not catalog.function(node.function).strict or any(isinstance(item, list) for item in right.value):
        return node
    test = evaluation(catalog, node.function, [left.type, element], oids.BOOL)
    if test is None:
        return node
    found = [None if left.value is None or item is None else test(left.value, item) for item in right.value]
    if node.use_or in found:
        return _boolean(node.use_or)
    return _boolean(None if None in found else not node.use_or)


def _array(catalog: CatalogView, node: ArrayExpr) -> Expr:
    if node.nested or not all(isinstance(item, Const) for item in node.elements):
        return node
    values = [item.value for item in node.elements if isinstance(item, Const)]
    return Const(type=node.type, value=values, location=node.location)


def _row(catalog: CatalogView, node: RowExpr) -> Expr:
    if not all(isinstance(item, Const) for item in node.arguments):
        return node
    values = [item.value for item in node.arguments if isinstance(item, Const)]
    fields = catalog.type(node.type).fields
    types = [item.type for item in fields] or [catalog.type(item.type) for item in node.arguments]
    return Const(type=node.type, value=Record.of(values, types, node.names), location=node.location)


def _case(catalog: CatalogView, node: Case) -> Expr:
    """Branches are folded only when they can be reached."""
    operand = None if node.operand is None else fold(catalog, node.operand)
    branches: list[tuple[Expr, Expr]] = []
    default = node.default
    for condition, result in node.branches:
        if isinstance(operand, Const):
            condition = _with_element(condition, operand)
        condition = fold(catalog, condition)
        if isinstance(condition, Const):
            if condition.value is not True:
                continue
            default = result
            break
        branches.append((condition, fold(catalog, result)))
    if default is not None:
        default = fold(catalog, default)
    if not branches:
        return default if default is not None else Const(type=node.type, typmod=node.typmod, value=None)
    if isinstance(operand, Const):
        operand = None
    return dataclasses.replace(node, operand=operand, branches=tuple(branches), default=default)


def _with_element(node: Expr, value: Const) -> Expr:
    """A condition of a CASE with the constant that it compares in place of ``ElementValue``."""
    if isinstance(node, ElementValue):
        return dataclasses.replace(value, type=node.type, typmod=node.typmod)
    if isinstance(node, (Case, ArrayCoerce)):  # these have elements of their own
        return node
    return map_children(node, lambda child: _with_element(child, value))


_HANDLERS: dict[type, Any] = {
    Call: _call,
    Relabel: _relabel,
    Collate: _collate,
    CoerceToDomain: _to_domain,
    CoerceTypmod: _typmod,
    And: _and,
    Or: _or,
    Not: _not,
    NullTest: _null_test,
    BooleanTest: _boolean_test,
    Coalesce: _coalesce,
    MinMax: _tried(_min_max),
    NullIf: _tried(_null_if),
    DistinctTest: _tried(_distinct_test),
    ArrayOp: _tried(_array_op),
    ArrayExpr: _array,
    RowExpr: _row,
}
