"""Scalar expressions: parse nodes → typed expressions, one function per node class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from pglast import ast

from aurora.errors import (
    DatatypeMismatch,
    IndeterminateDatatype,
    NotSupported,
    SqlError,
    SqlSyntaxError,
    StatementTooComplex,
    UndefinedObject,
    UndefinedParameter,
)
from compute_node.hub import HUB
from compute_node.sql.analyze.coercion import (
    cannot_cast,
    coerce,
    coerce_to_boolean,
    coerce_to_common,
    coerce_type,
    common_type_or_none,
    common_typmod,
    literal_value,
    select_common_type,
)
from compute_node.sql.analyze.context import Scope, fail, shift_levels
from compute_node.sql.analyze.functions import resolve_unknown, transform_call
from compute_node.sql.analyze.names import (
    find_table,
    missing_table,
    resolve_column,
    select_field,
    split_fields,
    whole_row,
)
from compute_node.sql.analyze.operators import (
    check_comparable,
    make_array_operator,
    make_operator,
    make_row_comparison,
)
from compute_node.sql.analyze.routines import find_argument
from compute_node.sql.analyze.typenames import find_collation, format_type, is_true_array, resolve_type_name
from compute_node.sql.expressions import (
    And,
    ArrayExpr,
    BooleanTest,
    Call,
    Case,
    Coalesce,
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
    RowExpr,
    SetDefault,
    SqlValue,
    SubColumn,
    SubLink,
    Subscript,
    Var,
    leftmost_location,
    walk,
)
from compute_node.sql.parse import literal_location
from compute_node.sql.query import FromItem, Query, RangeEntry, Target
from compute_node.sql.rewrite import nested_query
from compute_node.types import oids
from compute_node.types.array_value import DIMENSIONS_MAX, too_many_dimensions
from compute_node.types.common import whole_number
from compute_node.types.long_text import paced
from compute_node.types.registry import Subscripts

LONG_LIST = 1000
"""Constants of an IN list that become one array at once."""
_INT4_MAX, _INT8_MAX = 2**31 - 1, 2**63 - 1


def transform(scope: Scope, node: ast.Node) -> Expr:
    """A parse node as a typed expression (possibly still of type unknown). 54001 when nested too deeply."""
    handler = _HANDLERS.get(type(node))
    if handler is None:
        raise NotSupported(f"{type(node).__name__} expressions are not supported")
    HUB.pulse()
    try:
        return handler(scope, node)
    except RecursionError:
        raise StatementTooComplex(
            "stack depth limit exceeded",
            hint='Increase the configuration parameter "max_stack_depth" (currently 2048kB), after ensuring the '
            "platform's stack depth limit is adequate.",
        ) from None


def _location(node: ast.Node) -> int:
    location = getattr(node, "location", None)
    return -1 if location is None else int(location)


def expression_location(node: ast.Node) -> int:
    """The leftmost character offset of an expression's text, as PostgreSQL's ``exprLocation``; -1 when unknown."""
    if isinstance(node, ast.A_Const):
        return literal_location(node)
    own = _location(node)
    left = None
    if isinstance(node, ast.A_Expr):
        left = node.lexpr
    elif isinstance(node, (ast.TypeCast, ast.NullTest, ast.BooleanTest, ast.CollateClause)):
        left = node.arg
    elif isinstance(node, ast.BoolExpr) and node.args:
        left = node.args[0]
    elif isinstance(node, ast.A_Indirection):
        left = node.arg
    if left is None or isinstance(left, tuple):
        return own
    other = expression_location(left)
    return own if other < 0 else other if own < 0 else min(own, other)


# --- leaves ---------------------------------------------------------------------------------------------------------


def _constant(scope: Scope, node: ast.A_Const) -> Expr:
    location = literal_location(node)
    if node.isnull or node.val is None:
        return Const(type=oids.UNKNOWN, value=None, location=location)
    value = node.val
    if isinstance(value, ast.String):
        return Const(type=oids.UNKNOWN, value=value.sval, location=location)
    if isinstance(value, ast.Boolean):
        return Const(type=oids.BOOL, value=bool(value.boolval), location=location)
    if isinstance(value, ast.BitString):
        return literal_value(scope.analysis, value.bsval, oids.BIT, -1, location)
    if isinstance(value, ast.Integer):
        text = str(value.ival or 0)
    else:
        text = value.fval.replace("_", "")
    return _number(scope, text, location)


def _number(scope: Scope, text: str, location: int) -> Expr:
    lowered = text.lower().lstrip("-")
    if lowered[:2] in ("0x", "0o", "0b"):
        text = str(int(text, 0))
    value: int | Decimal
    if text.lstrip("-").isdigit():
        value = whole_number(text)
        kind = oids.INT4 if -_INT4_MAX - 1 <= value <= _INT4_MAX else oids.INT8
        if not -_INT8_MAX - 1 <= value <= _INT8_MAX:
            kind, value = oids.NUMERIC, Decimal(text)
    else:
        kind = oids.NUMERIC
        try:
            number = scope.catalog.type(oids.NUMERIC).input(text, -1, scope.analysis.env)
        except SqlError as error:
            raise fail(type(error), error.message, location) from None
        value = number
    negative = text.startswith("-")
    slot_location = location
    if kind in (oids.INT4, oids.INT8, oids.NUMERIC) and value not in (-_INT4_MAX - 1, -_INT8_MAX - 1):
        slot = scope.analysis.slot(location)
        if not slot and negative:
            slot_location = _digits_location(scope, location)
            slot = scope.analysis.slot(slot_location)
        if slot:
            scope.analysis.used.add(slot_location)
            scope.analysis.set_param_type(slot, kind)
            if slot_location == location:
                return Param(type=kind, number=slot, location=location)
            operand = Param(type=kind, number=slot, location=slot_location)
            return make_operator(scope, "pg_catalog", "-", None, operand, location)
    if slot_location >= 0:
        scope.analysis.kept.add(slot_location)
    return Const(type=kind, value=value, location=location)


def _digits_location(scope: Scope, location: int) -> int:
    """Where the digits of a negative literal start: the grammar folds the sign into it, a lifter may leave it
    outside."""
    source = scope.analysis.source
    if location < 0 or location >= len(source) or source[location] != "-":
        return location
    location += 1
    while location < len(source) and source[location].isspace():
        location += 1
    return location


_PARAMETERS_MAX = 0xFFFF
_PARAMETER_NUMBER_MAX = 0x7FFFFFFF // 4


def _parameter(scope: Scope, node: ast.ParamRef) -> Expr:
    analysis, number, location = scope.analysis, node.number or 0, _location(node)
    if not 0 < number <= _PARAMETER_NUMBER_MAX or not analysis.allow_params:
        raise fail(UndefinedParameter, f"there is no parameter ${number}", location)
    if analysis.routine is not None and number > len(analysis.param_types):
        raise fail(UndefinedParameter, f"there is no parameter ${number}", location)
    if number > _PARAMETERS_MAX:
        # More than a Bind can give. Those between are not there, so that one of them has no type; PostgreSQL makes room
        # for all of them before it says so.
        missing = next((at for at, each in enumerate([*analysis.param_types, 0], 1) if not each), 0)
        raise IndeterminateDatatype(f"could not determine data type of parameter ${missing}")
    while len(analysis.param_types) < number:
        analysis.param_types.append(0)
    known = analysis.param_types[number - 1]
    return Param(type=known or oids.UNKNOWN, number=number, location=location)


def _sql_value(scope: Scope, node: ast.SQLValueFunction) -> Expr:
    name = node.op.name.removeprefix("SVFOP_").lower()
    typmod = node.typmod if node.typmod is not None else -1
    base = name.removesuffix("_n")
    kinds = {
        "current_date": oids.DATE,
        "current_time": oids.TIMETZ,
        "current_timestamp": oids.TIMESTAMPTZ,
        "localtime": oids.TIME,
        "localtimestamp": oids.TIMESTAMP,
    }
    kind = kinds.get(base, oids.NAME)
    if typmod >= 0 and typmod > 6:
        typmod = 6
    return SqlValue(type=kind, typmod=typmod, name=base, location=_location(node))


def _default(scope: Scope, node: ast.SetToDefault) -> Expr:
    raise fail(SqlSyntaxError, "DEFAULT is not allowed in this context", _location(node))


def transform_assigned(scope: Scope, node: ast.Node) -> Expr:
    """What a column is set to: an expression or DEFAULT."""
    if isinstance(node, ast.SetToDefault):
        return SetDefault(type=oids.UNKNOWN, location=_location(node))
    return transform(scope, node)


def _column(scope: Scope, node: ast.ColumnRef) -> Expr:
    if isinstance(node.fields[-1], ast.A_Star):
        if len(node.fields) == 1:
            raise fail(SqlSyntaxError, 'invalid use of "*"', _location(node))
        schema, table, _ = split_fields(scope, node)
        entry = find_table(scope, schema, table or "", _location(node))
        if entry is None:
            names = (table or "",) if schema is None else (schema, table or "")
            argument = find_argument(scope, names, _location(node))
            if argument is not None:
                return argument
            raise missing_table(scope, table or "", _location(node), schema)
        return whole_row(entry[0], entry[1], _location(node))
    return resolve_column(scope, node)


# --- operators ------------------------------------------------------------------------------------------------------


def _operator_name(node: ast.A_Expr) -> tuple[str | None, str]:
    parts = [item.sval for item in node.name]
    return (parts[-2] if len(parts) > 1 else None), parts[-1]


def _row_of(scope: Scope, node: ast.Node) -> list[Expr] | None:
    return [transform(scope, item) for item in node.args or ()] if isinstance(node, ast.RowExpr) else None


def _expression(scope: Scope, node: ast.A_Expr) -> Expr:
    kind = node.kind.name
    return _A_EXPR[kind](scope, node)


def _simple_operator(scope: Scope, node: ast.A_Expr) -> Expr:
    schema, name = _operator_name(node)
    location = _location(node)
    if isinstance(node.lexpr, ast.RowExpr) and isinstance(node.rexpr, ast.RowExpr):
        left, right = _row_of(scope, node.lexpr) or [], _row_of(scope, node.rexpr) or []
        return make_row_comparison(scope, schema, name, left, right, location)
    if isinstance(node.lexpr, ast.RowExpr) and isinstance(node.rexpr, ast.SubLink):
        if node.rexpr.subLinkType.name == "EXPR_SUBLINK":
            left = [transform(scope, item) for item in node.lexpr.args or ()]
            return _row_sublink(scope, schema, name, left, node.rexpr, location)
    left_expr = transform(scope, node.lexpr) if node.lexpr is not None else None
    right_expr = transform(scope, node.rexpr)
    return make_operator(scope, schema, name, left_expr, right_expr, location)


def _any_all(scope: Scope, node: ast.A_Expr) -> Expr:
    schema, name = _operator_name(node)
    left, right = transform(scope, node.lexpr), transform(scope, node.rexpr)
    return make_array_operator(scope, schema, name, left, right, node.kind.name == "AEXPR_OP_ANY", _location(node))


def _distinct_from(scope: Scope, node: ast.A_Expr) -> Expr:
    negated = node.kind.name == "AEXPR_NOT_DISTINCT"
    schema, name = _operator_name(node)
    location = _location(node)
    lefts, rights = _row_of(scope, node.lexpr), _row_of(scope, node.rexpr)
    if lefts is not None and rights is not None:
        if len(lefts) != len(rights):
            raise fail(SqlSyntaxError, "unequal number of entries in row expressions", location)
        tests = tuple(
            _distinct_test(scope, schema, name, one, other, False, location)
            for one, other in zip(lefts, rights, strict=True)
        )
        whole: Expr = Or(type=oids.BOOL, arguments=tests, location=location) if len(tests) > 1 else tests[0]
        return Not(type=oids.BOOL, argument=whole, location=location) if negated else whole
    for one, other in ((node.lexpr, node.rexpr), (node.rexpr, node.lexpr)):
        if isinstance(one, ast.A_Const) and one.isnull:
            argument = transform(scope, other)
            return NullTest(type=oids.BOOL, argument=argument, negated=not negated, as_value=True, location=location)
    left, right = transform(scope, node.lexpr), transform(scope, node.rexpr)
    return _distinct_test(scope, schema, name, left, right, negated, location)


def _distinct_test(
    scope: Scope, schema: str | None, name: str, left: Expr, right: Expr, negated: bool, location: int
) -> Expr:
    call = make_operator(scope, schema, name, left, right, location)
    if not isinstance(call, Call) or call.type != oids.BOOL:
        raise fail(DatatypeMismatch, "IS DISTINCT FROM requires = operator to yield boolean", location)
    return DistinctTest(
        type=oids.BOOL,
        left=call.arguments[0],
        right=call.arguments[1],
        equality=call.function,
        negated=negated,
        location=location,
    )


def _null_if(scope: Scope, node: ast.A_Expr) -> Expr:
    schema, name = _operator_name(node)
    call = make_operator(
        scope, schema, name, transform(scope, node.lexpr), transform(scope, node.rexpr), _location(node)
    )
    if not isinstance(call, Call) or call.type != oids.BOOL:
        raise fail(DatatypeMismatch, "NULLIF requires = operator to yield boolean", _location(node))
    left, right = call.arguments
    return NullIf(
        type=left.type, typmod=left.typmod, left=left, right=right, equality=call.function, location=_location(node)
    )


def _in_list(scope: Scope, node: ast.A_Expr) -> Expr:
    schema, name = _operator_name(node)
    use_or = name == "="
    location = _location(node)
    items = list(node.rexpr)
    if isinstance(node.lexpr, ast.RowExpr) or any(isinstance(item, ast.RowExpr) for item in items):
        left_row = _row_of(scope, node.lexpr)
        tests = []
        for item in items:
            right_row = _row_of(scope, item)
            if left_row is None or right_row is None:
                tests.append(
                    make_operator(scope, schema, name, transform(scope, node.lexpr), transform(scope, item), location)
                )
            else:
                tests.append(make_row_comparison(scope, schema, name, left_row, right_row, location))
    else:
        left = transform(scope, node.lexpr)
        values = [transform(scope, item) for item in items]
        plain = [item for item in values if not _has_var(item)]
        rest = [item for item in values if _has_var(item)]
        tests = []
        if len(plain) > 1:
            test = _in_array(scope, schema, name, left, plain, use_or, location)
            if test is None:
                rest = values
            else:
                tests.append(test)
        else:
            rest = values
        for item in rest:
            tests.append(make_operator(scope, schema, name, left, item, location))
    if len(tests) == 1:
        return coerce_to_boolean(scope, tests[0], "IN")
    kind = Or if use_or else And
    return kind(type=oids.BOOL, arguments=tuple(tests), location=location)


def _has_var(node: Expr) -> bool:
    return any(isinstance(item, (Var, SubLink)) for item in walk(node))


def _in_array(
    scope: Scope, schema: str | None, name: str, left: Expr, values: list[Expr], use_or: bool, location: int
) -> Expr | None:
    common = common_type_or_none(scope.catalog, [left.type] + [item.type for item in values])
    if common is None or common in (oids.RECORD,):
        return None
    array = scope.catalog.type(common).array
    if not array:
        return None
    elements = tuple([coerce_to_common(scope, item, common, "IN") for item in paced(values)])
    right: Expr = ArrayExpr(type=array, elements=elements, element_type=common, location=values[0].location)
    if len(elements) > LONG_LIST:
        constants = [item.value for item in elements if isinstance(item, Const)]
        if len(constants) == len(elements):
            # As it will be folded: until then every walk would look at each of them.
            right = Const(type=array, value=constants, location=right.location)
    return make_array_operator(scope, schema, name, left, right, use_or, location)


def _like(scope: Scope, node: ast.A_Expr) -> Expr:
    return _simple_operator(scope, node)


def _between(scope: Scope, node: ast.A_Expr) -> Expr:
    kind = node.kind.name
    location = _location(node)
    low, high = node.rexpr

    def compare(name: str, bound: Any) -> Expr:
        return make_operator(scope, None, name, transform(scope, node.lexpr), transform(scope, bound), location)

    def both(first: str, one: Any, second: str, other: Any, conjunction: bool) -> Expr:
        arguments = (compare(first, one), compare(second, other))
        return (And if conjunction else Or)(type=oids.BOOL, arguments=arguments, location=location)

    if kind == "AEXPR_BETWEEN":
        return both(">=", low, "<=", high, True)
    if kind == "AEXPR_NOT_BETWEEN":
        return both("<", low, ">", high, False)
    if kind == "AEXPR_BETWEEN_SYM":
        arguments = (both(">=", low, "<=", high, True), both(">=", high, "<=", low, True))
        return Or(type=oids.BOOL, arguments=arguments, location=location)
    arguments = (both("<", low, ">", high, False), both("<", high, ">", low, False))
    return And(type=oids.BOOL, arguments=arguments, location=location)


_A_EXPR: dict[str, Callable[[Scope, ast.A_Expr], Expr]] = {
    "AEXPR_OP": _simple_operator,
    "AEXPR_OP_ANY": _any_all,
    "AEXPR_OP_ALL": _any_all,
    "AEXPR_DISTINCT": _distinct_from,
    "AEXPR_NOT_DISTINCT": _distinct_from,
    "AEXPR_NULLIF": _null_if,
    "AEXPR_IN": _in_list,
    "AEXPR_LIKE": _like,
    "AEXPR_ILIKE": _like,
    "AEXPR_SIMILAR": _like,
    "AEXPR_BETWEEN": _between,
    "AEXPR_NOT_BETWEEN": _between,
    "AEXPR_BETWEEN_SYM": _between,
    "AEXPR_NOT_BETWEEN_SYM": _between,
}


def _boolean(scope: Scope, node: ast.BoolExpr) -> Expr:
    construct = {0: "AND", 1: "OR", 2: "NOT"}[int(node.boolop)]
    arguments = tuple(coerce_to_boolean(scope, transform(scope, item), construct) for item in node.args)
    if construct == "NOT":
        return Not(type=oids.BOOL, argument=arguments[0], location=_location(node))
    return (And if construct == "AND" else Or)(type=oids.BOOL, arguments=arguments, location=_location(node))


def _null_test(scope: Scope, node: ast.NullTest) -> Expr:
    negated = node.nulltesttype.name == "IS_NOT_NULL"
    argument = transform(scope, node.arg)
    return NullTest(type=oids.BOOL, argument=argument, negated=negated, location=_location(node))


def _boolean_test(scope: Scope, node: ast.BooleanTest) -> Expr:
    name = node.booltesttype.name
    argument = coerce_to_boolean(scope, transform(scope, node.arg), name.replace("_", " "))
    target = True if name.endswith("TRUE") else False if name.endswith("FALSE") else None
    return BooleanTest(
        type=oids.BOOL, argument=argument, target=target, negated="NOT" in name, location=_location(node)
    )


# --- conditionals ---------------------------------------------------------------------------------------------------


def _case(scope: Scope, node: ast.CaseExpr) -> Expr:
    location = _location(node)
    operand = test = None
    if node.arg is not None:
        operand = resolve_unknown(scope, transform(scope, node.arg))
        test = ElementValue(type=operand.type, typmod=operand.typmod)
    conditions, results = [], []
    before, scope.has_srf = scope.has_srf, False
    for item in node.args:
        if test is not None:
            condition = make_operator(scope, None, "=", test, transform(scope, item.expr), _location(item))
        else:
            condition = transform(scope, item.expr)
        conditions.append(coerce_to_boolean(scope, condition, "CASE/WHEN"))
        results.append(transform(scope, item.result))
    default = transform(scope, node.defresult) if node.defresult is not None else Const(type=oids.UNKNOWN, value=None)
    _refuse_sets(scope, [*conditions, *results, default], "CASE", before)
    # PostgreSQL takes the ELSE result first when it chooses the common type
    common = select_common_type(scope, [default, *results], "CASE")
    branches = tuple(
        (condition, coerce_to_common(scope, result, common, "CASE/WHEN"))
        for condition, result in zip(conditions, results, strict=True)
    )
    default = coerce_to_common(scope, default, common, "CASE/ELSE")
    typmod = common_typmod([default, *(result for _, result in branches)], common)
    return Case(type=common, typmod=typmod, operand=operand, branches=branches, default=default, location=location)


def _refuse_sets(scope: Scope, parts: Sequence[Expr], construct: str, before: bool) -> None:
    """0A000 for a set-returning function in what may not be evaluated; ``before``: what the scope said until then."""
    if not scope.has_srf:
        scope.has_srf = before
        return
    for part in parts:
        for item in walk(part):
            if isinstance(item, Call) and scope.catalog.function(item.function).returns_set:
                raise fail(
                    NotSupported,
                    f"set-returning functions are not allowed in {construct}",
                    item.location,
                    hint="You might be able to move the set-returning function into a LATERAL FROM item.",
                )
    scope.has_srf = True


def _coalesce(scope: Scope, node: ast.CoalesceExpr) -> Expr:
    before, scope.has_srf = scope.has_srf, False
    arguments = [transform(scope, item) for item in node.args]
    _refuse_sets(scope, arguments, "COALESCE", before)
    common = select_common_type(scope, arguments, "COALESCE")
    values = tuple(coerce_to_common(scope, item, common, "COALESCE") for item in arguments)
    return Coalesce(type=common, typmod=common_typmod(values, common), arguments=values, location=_location(node))


def _min_max(scope: Scope, node: ast.MinMaxExpr) -> Expr:
    greatest = node.op.name == "IS_GREATEST"
    construct = "GREATEST" if greatest else "LEAST"
    arguments = [transform(scope, item) for item in node.args]
    common = select_common_type(scope, arguments, construct)
    check_comparable(scope, common)
    values = tuple(coerce_to_common(scope, item, common, construct) for item in arguments)
    return MinMax(
        type=common, typmod=common_typmod(values, common), arguments=values, greatest=greatest, location=_location(node)
    )


# --- casts ----------------------------------------------------------------------------------------------------------


def _cast(scope: Scope, node: ast.TypeCast) -> Expr:
    target, typmod = resolve_type_name(scope.catalog, node.typeName)
    location = _location(node)
    if isinstance(node.arg, ast.A_ArrayExpr):
        kind = scope.catalog.type(target).root
        is_flat = not any(isinstance(item, ast.A_ArrayExpr) for item in node.arg.elements or ())
        if is_true_array(kind) or (is_flat and kind.oid in (oids.OIDVECTOR, oids.INT2VECTOR)):
            argument: Expr = _array(scope, node.arg, kind.oid, typmod)
        else:
            argument = _array(scope, node.arg)
    else:
        argument = transform(scope, node.arg)
    result = coerce(scope, argument, target, typmod, "e", location)
    if result is None:
        raise cannot_cast(scope, argument.type, target, location if location >= 0 else expression_location(node))
    return result


def _collate(scope: Scope, node: ast.CollateClause) -> Expr:
    argument = transform(scope, node.arg)
    found = find_collation(scope.catalog, node.collname, _location(node))
    if argument.type == oids.UNKNOWN:
        argument = resolve_unknown(scope, argument)
    kind = scope.catalog.type(argument.type)
    base = scope.catalog.type(kind.element) if is_true_array(kind) else kind
    if not base.collation and base.category != "S":
        shown = format_type(scope.catalog, argument.type)
        raise fail(DatatypeMismatch, f"collations are not supported by type {shown}", _location(node))
    scope.analysis.collated = True
    return Collate(
        type=argument.type, typmod=argument.typmod, argument=argument, collation=found.oid, location=_location(node)
    )


# --- arrays, rows ---------------------------------------------------------------------------------------------------


def _array(scope: Scope, node: ast.A_ArrayExpr, target: int = 0, typmod: int = -1) -> Expr:
    """ARRAY[…], perhaps right under a cast to the type ``target``: its elements have that cast, with the length."""
    location = _location(node)
    elements: list[Expr] = []
    nested = False
    for item in node.elements or ():
        if isinstance(item, ast.A_ArrayExpr):
            elements.append(_array(scope, item, target, typmod))
            nested = True
        else:
            value = transform(scope, item)
            if is_true_array(scope.catalog.type(value.type)):
                nested = True
            elements.append(value)
    if target:
        element_type = target if nested else scope.catalog.type(target).element
        array_type = target
        coerced = []
        for item in elements:
            converted = coerce(scope, item, element_type, typmod, "e", location)
            if converted is None:
                raise cannot_cast(scope, item.type, element_type, item.location)
            coerced.append(converted)
        elements = coerced
    else:
        if not elements:
            raise fail(
                IndeterminateDatatype,
                "cannot determine type of empty array",
                location,
                hint="Explicitly cast to the desired type, for example ARRAY[]::integer[].",
            )
        element_type = select_common_type(scope, elements, "ARRAY")
        elements = [coerce_to_common(scope, item, element_type, "ARRAY") for item in elements]
        if nested:
            array_type = element_type
        else:
            array_type = scope.catalog.type(element_type).array
            if not array_type:
                shown = format_type(scope.catalog, element_type)
                raise fail(UndefinedObject, f"could not find array type for data type {shown}", location)
    scalar = scope.catalog.type(array_type).element
    root = scope.catalog.type(scalar).root
    if root.element and root.length == -1:
        # Its values could not be told from further dimensions.
        raise fail(NotSupported, "arrays of a domain over arrays, or of a vector, are not supported", location)
    length = typmod if all(item.typmod == typmod for item in elements) else -1
    return ArrayExpr(
        type=array_type,
        typmod=length,
        elements=tuple(elements),
        element_type=scalar,
        nested=nested,
        location=location,
    )


def _indirection(scope: Scope, node: ast.A_Indirection) -> Expr:
    value = transform(scope, node.arg)
    location = leftmost_location(value) if value.location >= 0 else expression_location(node.arg)
    pending: list[ast.A_Indices] = []
    for item in node.indirection:
        if isinstance(item, ast.A_Indices):
            pending.append(item)
            continue
        value, pending = subscript(scope, value, pending, location), []
        if isinstance(item, ast.A_Star):
            raise fail(NotSupported, 'row expansion via "*" is not supported here', location)
        value = select_field(scope, value, item.sval, location)
    return subscript(scope, value, pending, location)


def subscript(scope: Scope, value: Expr, indices: Sequence[ast.A_Indices], location: int) -> Expr:
    """``value[…]``; 42804 for a type that cannot be subscripted."""
    if not indices:
        return value
    kind = scope.catalog.type(value.type).root
    if kind.oid != value.type:
        value = coerce_type(scope, value, kind.oid, -1, "i", location)
    if kind.oid == oids.JSONB:
        return Subscript(type=kind.oid, container=value, indexes=json_subscripts(scope, indices), location=location)
    if kind.subscripts is not None:
        key = _one_subscript(scope, kind.subscripts, indices)
        return Subscript(type=kind.subscripts.element, container=value, indexes=(key,), location=location)
    if not kind.element:
        shown = format_type(scope.catalog, value.type)
        raise fail(
            DatatypeMismatch, f"cannot subscript type {shown} because it does not support subscripting", location
        )

    if len(indices) > DIMENSIONS_MAX:
        raise too_many_dimensions(len(indices))

    def index(item: ast.Node | None) -> Expr | None:
        if item is None:
            return None
        expr = transform(scope, item)
        result = coerce(scope, expr, oids.INT4, context="a")
        if result is None:
            raise fail(DatatypeMismatch, "array subscript must have type integer", expr.location)
        return result

    if any(item.is_slice for item in indices):
        if kind.length > 0:
            raise NotSupported("slices of fixed-length arrays not implemented")
        slices = tuple(
            (index(item.lidx), index(item.uidx))
            if item.is_slice
            else (Const(type=oids.INT4, value=1), index(item.uidx))
            for item in indices
        )
        return Subscript(
            type=value.type, typmod=value.typmod, container=value, indexes=(), slices=slices, location=location
        )
    return Subscript(
        type=kind.element,
        typmod=value.typmod,
        container=value,
        indexes=tuple(index(item.uidx) for item in indices),
        location=location,
    )


def _one_subscript(scope: Scope, rules: Subscripts, indices: Sequence[ast.A_Indices]) -> Expr:
    """The subscript of a type that takes one. 0A000, 42804."""
    if len(indices) != 1 or indices[0].is_slice:
        raise NotSupported(f"{rules.name} allows only one subscript")
    expr = transform(scope, indices[0].uidx)
    result = coerce(scope, expr, rules.index, context="a")
    if result is None:
        shown = format_type(scope.catalog, rules.index)
        raise fail(DatatypeMismatch, f"{rules.name} subscript must have type {shown}", expr.location)
    return result


def json_subscripts(scope: Scope, indices: Sequence[ast.A_Indices]) -> tuple[Expr, ...]:
    """The subscripts of a jsonb value: each of type text or integer. 42804 for another type, or a slice."""
    found = []
    for item in indices:
        if item.is_slice:
            at = item.uidx if item.uidx is not None else item.lidx
            raise fail(
                DatatypeMismatch,
                "jsonb subscript does not support slices",
                -1 if at is None else expression_location(at),
            )
        expr = transform(scope, item.uidx)
        if expr.type == oids.UNKNOWN:
            found.append(resolve_unknown(scope, expr))
            continue
        targets = [coerce(scope, expr, target, context="i") for target in (oids.INT4, oids.TEXT)]
        usable = [each for each in targets if each is not None]
        if len(usable) != 1:
            several = "jsonb subscript must be coercible to only one type, integer or text."
            raise fail(
                DatatypeMismatch,
                f"subscript type {format_type(scope.catalog, expr.type)} is not supported",
                expression_location(item.uidx),
                hint=several if usable else "jsonb subscript must be coercible to either integer or text.",
            )
        found.append(usable[0])
    return tuple(found)


def _row(scope: Scope, node: ast.RowExpr) -> Expr:
    from compute_node.sql.analyze.targets import expand_row_items

    arguments = tuple(expand_row_items(scope, node.args or ()))
    for item in arguments:
        if item.type == oids.UNKNOWN and isinstance(item, Const) and item.location >= 0:
            # Its type is known only when the row gets one, if ever.
            scope.analysis.kept.add(item.location)
    names = tuple(f"f{index + 1}" for index in range(len(arguments)))
    return RowExpr(type=oids.RECORD, arguments=arguments, names=names, location=_location(node))


# --- sub-selects ----------------------------------------------------------------------------------------------------


def _subquery(scope: Scope, node: ast.SubLink) -> Query:
    from compute_node.sql.analyze.select import analyze_select

    child = scope.child()
    return analyze_select(child, node.subselect, resolve_unknowns=True)


def _visible(query: Query) -> list[Target]:
    return [item for item in query.targets if not item.junk]


_WITHOUT_QUERIES = {
    "CHECK": "check constraint",
    "COPY": "COPY FROM WHERE condition",
    "DEFAULT": "DEFAULT expression",
    "INDEX": "index expression",
    "EXECUTE": "EXECUTE parameter",
    "STATISTICS": "statistics expression",
    "PARTITION": "partition key expression",
    "BOUND": "partition bound",
}


def _sublink(scope: Scope, node: ast.SubLink) -> Expr:
    kind = node.subLinkType.name.removesuffix("_SUBLINK")
    location = _location(node)
    if scope.clause in _WITHOUT_QUERIES:
        raise fail(NotSupported, f"cannot use subquery in {_WITHOUT_QUERIES[scope.clause]}", location)
    if kind in ("ANY", "ALL"):
        names = [item.sval for item in node.operName or ()] or ["="]
        schema = names[-2] if len(names) > 1 else None
        left = _row_of(scope, node.testexpr)
        if left is None:
            whole = transform(scope, node.testexpr)
            left = list(whole.arguments) if isinstance(whole, RowExpr) else [whole]
        query = _subquery(scope, node)
        columns = _visible(query)
        if len(left) < len(columns):
            raise fail(SqlSyntaxError, "subquery has too many columns", location)
        if len(left) > len(columns):
            raise fail(SqlSyntaxError, "subquery has too few columns", location)
        right = [
            SubColumn(type=item.expression.type, typmod=item.expression.typmod, index=index)
            for index, item in enumerate(columns)
        ]
        test = make_row_comparison(scope, schema, names[-1], left, right, location)
        return SubLink(type=oids.BOOL, kind=kind, query=query, test=test, location=location)
    query = _subquery(scope, node)
    if kind == "EXISTS":
        return SubLink(type=oids.BOOL, kind=kind, query=query, location=location)
    columns = _visible(query)
    if kind in ("EXPR", "ARRAY"):
        if len(columns) != 1:
            raise fail(SqlSyntaxError, "subquery must return only one column", location)
        first = columns[0].expression
        if kind == "EXPR":
            return SubLink(type=first.type, typmod=first.typmod, kind=kind, query=query, location=location)
        source = scope.catalog.type(first.type)
        array = first.type if is_true_array(source) else source.array
        if not array:
            shown = format_type(scope.catalog, first.type)
            raise fail(UndefinedObject, f"could not find array type for data type {shown}", location)
        return SubLink(type=array, kind=kind, query=query, location=location)
    raise fail(NotSupported, f"sub-selects of kind {kind} are not supported", location)


def _wrapped(query: Query) -> tuple[Query, list[Expr]]:
    """``SELECT … FROM (query)`` without its targets yet, and the columns of the inner query."""
    columns = _visible(query)
    entry = RangeEntry(
        "subquery",
        "unnamed_subquery",
        tuple(item.name for item in columns),
        tuple(item.expression.type for item in columns),
        tuple(item.expression.typmod for item in columns),
        query=query,
    )
    outer = Query("select", range_table=[entry], from_items=[FromItem(0)], made=True)
    values: list[Expr] = [
        Var(type=item.expression.type, typmod=item.expression.typmod, rte=0, attno=index + 1)
        for index, item in enumerate(columns)
    ]
    return outer, values


def _row_sublink(
    scope: Scope, schema: str | None, name: str, left: list[Expr], node: ast.SubLink, location: int
) -> Expr:
    """``(a, b) op (SELECT c, d …)``: the scalar ``(SELECT (a, b) op (c, d) FROM (SELECT c, d …))``."""
    query = _subquery(scope, node)
    # the sub-select moves one level further in
    query = nested_query(query)
    outer, right = _wrapped(query)
    if len(left) < len(right):
        raise fail(SqlSyntaxError, "subquery has too many columns", location)
    if len(left) > len(right):
        raise fail(SqlSyntaxError, "subquery has too few columns", location)
    shifted = [shift_levels(item, 1) for item in left]
    test = make_row_comparison(scope, schema, name, shifted, right, location)
    outer.targets = [Target(test, "?column?")]
    return SubLink(type=oids.BOOL, kind="EXPR", query=outer, location=location)


def _is_star(node: ast.Node) -> bool:
    return isinstance(node, ast.ColumnRef) and isinstance(node.fields[-1], ast.A_Star)


def _multi_assign(scope: Scope, node: ast.MultiAssignRef) -> Expr:
    """One column of ``SET (a, b) = (…)``."""
    from compute_node.sql.analyze.targets import expand_row_items

    source = node.source
    if isinstance(source, ast.RowExpr):
        given = source.args or ()
        if any(_is_star(item) for item in given):
            values = expand_row_items(scope, given, True)
            if len(values) == node.ncolumns:
                chosen: Expr = values[node.colno - 1]
                return chosen
        elif len(given) == node.ncolumns:
            return transform_assigned(scope, given[node.colno - 1])
        raise fail(SqlSyntaxError, "number of columns does not match number of values", _location(source))
    if isinstance(source, ast.SubLink) and source.subLinkType.name == "EXPR_SUBLINK":
        query = _subquery(scope, source)
        columns = _visible(query)
        if len(columns) != node.ncolumns:
            raise fail(SqlSyntaxError, "number of columns does not match number of values", _location(source))
        query = nested_query(query)
        outer, values = _wrapped(query)
        column = values[node.colno - 1]
        outer.targets = [Target(column, columns[node.colno - 1].name)]
        return SubLink(type=column.type, typmod=column.typmod, kind="EXPR", query=outer, location=_location(source))
    raise fail(
        NotSupported,
        "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression",
        literal_location(source) if isinstance(source, ast.A_Const) else _location(source),
    )


def _grouping_bits(scope: Scope, node: ast.GroupingFunc) -> Expr:
    from compute_node.sql.analyze.grouping import grouping_call

    return grouping_call(scope, node)


_HANDLERS: dict[type, Callable[[Scope, Any], Expr]] = {
    ast.A_Const: _constant,
    ast.ParamRef: _parameter,
    ast.ColumnRef: _column,
    ast.A_Expr: _expression,
    ast.BoolExpr: _boolean,
    ast.NullTest: _null_test,
    ast.BooleanTest: _boolean_test,
    ast.CaseExpr: _case,
    ast.CoalesceExpr: _coalesce,
    ast.MinMaxExpr: _min_max,
    ast.TypeCast: _cast,
    ast.CollateClause: _collate,
    ast.FuncCall: transform_call,
    ast.GroupingFunc: _grouping_bits,
    ast.SubLink: _sublink,
    ast.A_ArrayExpr: _array,
    ast.A_Indirection: _indirection,
    ast.RowExpr: _row,
    ast.SQLValueFunction: _sql_value,
    ast.SetToDefault: _default,
    ast.MultiAssignRef: _multi_assign,
    ast.GroupingFunc: _grouping_bits,
}


def handle(kind: type, handler: Callable[[Scope, ast.Node], Expr]) -> None:
    """Have nodes of a class transformed by a function of another module."""
    _HANDLERS[kind] = handler


def transform_where(scope: Scope, node: ast.Node, clause: str) -> Expr | None:
    """A condition of WHERE, ON or HAVING as boolean; None without one."""
    if node is None:
        return None
    previous, scope.clause = scope.clause, clause
    try:
        return coerce_to_boolean(scope, transform(scope, node), clause)
    finally:
        scope.clause = previous
