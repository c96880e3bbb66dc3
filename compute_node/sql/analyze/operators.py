"""Operator resolution (manual 10.2) and the expressions built of operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aurora.errors import (
    AmbiguousFunction,
    DatatypeMismatch,
    InsufficientPrivilege,
    InvalidSchemaName,
    NotSupported,
    SqlError,
    SqlSyntaxError,
    UndefinedFunction,
    UndefinedObject,
    WrongObjectType,
)
from compute_node.hub import HUB
from compute_node.sql.analyze.candidates import select_candidate
from compute_node.sql.analyze.coercion import (
    can_coerce,
    coerce_type,
    is_binary_coercible,
)
from compute_node.sql.analyze.context import Scope, fail
from compute_node.sql.analyze.polymorphism import POLYMORPHIC, resolve
from compute_node.sql.analyze.typenames import format_type, is_true_array
from compute_node.sql.expressions import And, ArrayOp, Call, Expr, Or, RowCompare
from compute_node.types import oids

if TYPE_CHECKING:
    from compute_node.sql.catalog_view import CatalogView
    from compute_node.types.registry import Operator, PgType

_BTREE, _HASH, _EQUAL = 403, 405, 3
_KINDS = {1: "<", 2: "<=", 4: ">=", 5: ">"}
_NO_MATCH = "No operator matches the given name and argument types. You might need to add explicit type casts."
_NO_MATCH_UNARY = "No operator matches the given name and argument type. You might need to add an explicit type cast."
_NO_BEST = "Could not choose a best candidate operator. You might need to add explicit type casts."


def signature(scope: Scope, schema: str | None, name: str, left: int, right: int) -> str:
    """The operator as messages show it: ``integer + text``, or ``- text``."""
    shown = f"{schema}.{name}" if schema else name
    text = f"{shown} {format_type(scope.catalog, right)}"
    return f"{format_type(scope.catalog, left)} {text}" if left else text


def find_operator(
    scope: Scope, schema: str | None, name: str, left: int, right: int, location: int, missing_ok: bool = False
) -> Operator | None:
    """The operator for the operand types (``left`` 0: prefix). Raises 42883 when there is none, 42725 when not
    unique."""
    catalog = scope.catalog
    try:
        candidates = catalog.operators(schema, name)
    except (InsufficientPrivilege, InvalidSchemaName) as error:
        raise fail(type(error), error.message, location) from None
    first, second = left, right
    if left and (left == oids.UNKNOWN) != (right == oids.UNKNOWN):
        # one unknown operand: first try it as the type of the other
        first = second = right if left == oids.UNKNOWN else left
    for item in candidates:
        if item.left == first and item.right == second:
            return catalog.operator(item.oid)
    if (first, second) != (left, right):
        root = catalog.type(first).root.oid
        for item in candidates if root != first else ():
            if item.left == root and item.right == root:
                return catalog.operator(item.oid)
    if left:
        matching = [item for item in candidates if item.left]
        types: tuple[int, ...] = (left, right)
        signatures: list[tuple[int, ...]] = [(item.left, item.right) for item in matching]
    else:
        matching = [item for item in candidates if not item.left]
        types = (right,)
        signatures = [(item.right,) for item in matching]
    if (first, second) != (left, right):
        for item in candidates:
            if item.left == left and item.right == right:
                return catalog.operator(item.oid)
    chosen, ambiguous = select_candidate(catalog, types, signatures)
    if chosen is not None:
        return catalog.operator(matching[chosen].oid)
    if missing_ok:
        return None
    shown = signature(scope, schema, name, left, right)
    if ambiguous:
        raise fail(AmbiguousFunction, f"operator is not unique: {shown}", location, hint=_NO_BEST)
    raise fail(
        UndefinedFunction, f"operator does not exist: {shown}", location, hint=_NO_MATCH if left else _NO_MATCH_UNARY
    )


def make_operator(scope: Scope, schema: str | None, name: str, left: Expr | None, right: Expr, location: int) -> Expr:
    """``left op right`` (or ``op right``) as a call, operands coerced."""
    HUB.pulse()
    left_type = left.type if left is not None else 0
    operator = find_operator(scope, schema, name, left_type, right.type, location)
    if operator is None:
        raise fail(UndefinedFunction, f"operator does not exist: {name}", location)
    if operator.function == 0:
        shown = signature(scope, schema, name, operator.left, operator.right)
        raise fail(UndefinedFunction, f"operator is only a shell: {shown}", location)
    operands = [right] if left is None else [left, right]
    declared = [operator.right] if left is None else [operator.left, operator.right]
    arguments, result = match_declared(scope, operands, declared, operator.result, location)
    function = scope.catalog.function(operator.function)
    if function.returns_set:
        scope.has_srf = True
    return Call(
        type=result,
        function=operator.function,
        arguments=arguments,
        operator=operator.oid,
        display=name,
        location=location,
    )


def match_declared(
    scope: Scope, operands: Sequence[Expr], declared: Sequence[int], result: int, location: int
) -> tuple[tuple[Expr, ...], int]:
    """Operands coerced to the declared parameter types (polymorphic ones resolved), and the actual result type."""
    catalog = scope.catalog
    if any(item in POLYMORPHIC for item in declared):
        targets, actual_result = resolve(catalog, [item.type for item in operands], declared, result)
    else:
        targets, actual_result = list(declared), result
    arguments = tuple(
        operand if operand.type == target else coerce_type(scope, operand, target, -1, "i")
        for operand, target in zip(operands, targets, strict=True)
    )
    return arguments, actual_result


def make_array_operator(
    scope: Scope, schema: str | None, name: str, left: Expr, right: Expr, use_or: bool, location: int
) -> Expr:
    """``left op ANY|ALL (array)``."""
    catalog = scope.catalog
    if right.type == oids.UNKNOWN:
        element = oids.UNKNOWN
    else:
        kind = catalog.type(right.type).root
        if kind.oid != right.type:
            right = coerce_type(scope, right, kind.oid, -1, "i")
        element = kind.element if is_true_array(kind) or right.type in (oids.OIDVECTOR, oids.INT2VECTOR) else 0
        if not element:
            raise fail(WrongObjectType, "op ANY/ALL (array) requires array on right side", location)
    operator = find_operator(scope, schema, name, left.type, element, location)
    if operator is None:
        raise fail(UndefinedFunction, f"operator does not exist: {name}", location)
    if operator.result != oids.BOOL:
        raise fail(WrongObjectType, "op ANY/ALL (array) requires operator to yield boolean", location)
    if catalog.function(operator.function).returns_set:
        raise fail(WrongObjectType, "op ANY/ALL (array) requires operator not to return a set", location)
    wanted, target = operator.left, operator.right
    if wanted in POLYMORPHIC or target in POLYMORPHIC:
        (wanted, target), _ = resolve(catalog, (left.type, element), (wanted, target), operator.result)
    array = right.type if element == target else catalog.type(target).array
    if not array:
        shown = format_type(catalog, target)
        raise fail(UndefinedObject, f"could not find array type for data type {shown}", location)
    left = coerce_type(scope, left, wanted, -1, "i")
    if right.type != array and not can_coerce(catalog, (right.type,), (array,), "i"):
        shown = signature(scope, schema, name, left.type, right.type)
        raise fail(UndefinedFunction, f"operator does not exist: {shown}", location, hint=_NO_MATCH)
    right = right if right.type == array else coerce_type(scope, right, array, -1, "i")
    return ArrayOp(
        type=oids.BOOL,
        function=operator.function,
        operator=operator.oid,
        left=left,
        right=right,
        use_or=use_or,
        location=location,
    )


def make_row_comparison(
    scope: Scope, schema: str | None, name: str, left: Sequence[Expr], right: Sequence[Expr], location: int
) -> Expr:
    """``(a, b) op (c, d)``: equality rows become AND of calls, inequality OR, the ordering ones ``RowCompare``."""
    if len(left) != len(right):
        raise fail(SqlSyntaxError, "unequal number of entries in row expressions", location)
    if not left:
        raise fail(NotSupported, "cannot compare rows of zero length", location)
    pairs = [make_operator(scope, schema, name, one, other, location) for one, other in zip(left, right, strict=True)]
    for item in pairs:
        if item.type != oids.BOOL:
            shown = format_type(scope.catalog, item.type)
            raise fail(DatatypeMismatch, f"row comparison operator must yield type boolean, not type {shown}", location)
    if len(pairs) == 1:
        return pairs[0]
    if name == "=":
        return And(type=oids.BOOL, arguments=tuple(pairs), location=location)
    if name == "<>":
        return Or(type=oids.BOOL, arguments=tuple(pairs), location=location)
    if name not in ("<", "<=", ">", ">="):
        found = _ordering_of(scope, pairs)
        if found is not None:
            return _family_comparison(pairs, found, location)
        raise fail(
            NotSupported,
            f"could not determine interpretation of row comparison operator {name}",
            location,
            hint="Row comparison operators must be associated with btree operator families.",
        )
    less: list[int] = []
    equal: list[int] = []
    lefts: list[Expr] = []
    rights: list[Expr] = []
    for item in pairs:
        if not isinstance(item, Call):
            raise fail(NotSupported, "row comparison of this kind is not supported", location)
        one, other = item.arguments
        for symbol, functions in (("<", less), ("=", equal)):
            operator = find_operator(scope, None, symbol, one.type, other.type, location)
            functions.append(operator.function if operator is not None else 0)
        lefts.append(one)
        rights.append(other)
    return RowCompare(
        type=oids.BOOL,
        kind=name,
        less=tuple(less),
        equal=tuple(equal),
        left=tuple(lefts),
        right=tuple(rights),
        location=location,
    )


def _ordering_of(scope: Scope, pairs: Sequence[Expr]) -> tuple[int, list[tuple[int, int]]] | None:
    """(strategy, (less, equal) functions of each pair) when the operators are one strategy of B-tree families."""
    catalog = scope.catalog
    families = {item.family: item for item in catalog.operator_classes(_BTREE)}
    chosen: list[tuple[int, list[int]]] = []
    for pair in pairs:
        if not isinstance(pair, Call):
            return None
        found = [(catalog.operator_strategy(family, pair.operator), family) for family in families]
        chosen.append((0, [family for strategy, family in found if strategy]))
    for strategy in (1, 2, 3, 4, 5):
        functions = []
        for pair, (_, members) in zip(pairs, chosen, strict=True):
            if not isinstance(pair, Call):
                return None
            item = catalog.operator(pair.operator)
            family = next((each for each in members if catalog.operator_strategy(each, item.oid) == strategy), None)
            if family is None:
                break
            less = catalog.family_operator(family, item.left, item.right, 1)
            equal = catalog.family_operator(family, item.left, item.right, 3)
            if not less or not equal:
                break
            functions.append((catalog.operator(less).function, catalog.operator(equal).function))
        else:
            return strategy, functions
    return None


def _family_comparison(pairs: Sequence[Expr], found: tuple[int, list[tuple[int, int]]], location: int) -> Expr:
    strategy, functions = found
    if strategy == _EQUAL:
        return And(type=oids.BOOL, arguments=tuple(pairs), location=location)
    arguments = [pair.arguments for pair in pairs if isinstance(pair, Call)]
    return RowCompare(
        type=oids.BOOL,
        kind=_KINDS[strategy],
        less=tuple(less for less, _ in functions),
        equal=tuple(equal for _, equal in functions),
        left=tuple(one for one, _ in arguments),
        right=tuple(other for _, other in arguments),
        location=location,
    )


def equality_function(scope: Scope, type_oid: int, location: int) -> int:
    """The function behind ``=`` for two values of a type; 42883 when the type has no equality."""
    catalog = scope.catalog
    type_oid = catalog.type(type_oid).root.oid
    for item in catalog.operators(None, "="):
        if item.left == type_oid and item.right == type_oid:
            return item.function
    operator = find_operator(scope, None, "=", type_oid, type_oid, location, missing_ok=True)
    if operator is None or not is_binary_coercible(catalog, type_oid, operator.left):
        raise _lacks(scope, "an equality operator", type_oid, location)
    return operator.function


def check_sortable(scope: Scope, type_oid: int, location: int) -> None:
    """42883 when a type has no ordering."""
    if not _has_class(scope.catalog, scope.catalog.type(type_oid), (_BTREE,)):
        hint = "Use an explicit ordering operator or modify the query."
        raise _lacks(scope, "an ordering operator", type_oid, location, hint)


def check_comparable(scope: Scope, type_oid: int) -> None:
    """42883 when values of a type have no order to choose the least by."""
    if not _has_class(scope.catalog, scope.catalog.type(type_oid), (_BTREE,)):
        raise _lacks(scope, "a comparison function", type_oid, -1)


def check_groupable(scope: Scope, type_oid: int, location: int) -> None:
    """42883 when a type has no equality (json, point …)."""
    if not _has_class(scope.catalog, scope.catalog.type(type_oid), (_BTREE, _HASH)):
        raise _lacks(scope, "an equality operator", type_oid, location)


def _has_class(catalog: CatalogView, kind: PgType, methods: Sequence[int]) -> bool:
    """Whether a type has a default operator class of one of the access methods, and with the class of arrays or of rows
    its elements or columns have one too. Those of a ``record`` show when it runs."""
    kind = kind.root
    classes = (catalog.default_operator_class(kind.oid, method) for method in methods)
    found = next((each for each in classes if each is not None), None)
    if found is None:
        return False
    if found.input_type == oids.ANYARRAY and kind.element_type is not None:
        return _has_class(catalog, kind.element_type, methods)
    if found.input_type == oids.RECORD:
        return all(field.type is None or _has_class(catalog, field.type, methods) for field in kind.fields)
    return True


def _lacks(scope: Scope, what: str, type_oid: int, location: int, hint: str | None = None) -> SqlError:
    shown = format_type(scope.catalog, type_oid)
    return fail(UndefinedFunction, f"could not identify {what} for type {shown}", location, hint=hint)
