"""Function calls: resolution (manual 10.3), variadic, named and defaulted arguments, aggregates."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from pglast import ast

from aurora.errors import (
    AmbiguousFunction,
    DatatypeMismatch,
    GroupingError,
    InsufficientPrivilege,
    InvalidColumnReference,
    InvalidSchemaName,
    InvariantViolation,
    NotSupported,
    SqlError,
    SqlSyntaxError,
    UndefinedFunction,
    WrongObjectType,
)
from compute_node.sql.analyze.candidates import select_candidate
from compute_node.sql.analyze.coercion import coerce, coerce_to_boolean, coerce_type, find_pathway
from compute_node.sql.analyze.context import Scope, fail, start_of
from compute_node.sql.analyze.names import fields_of
from compute_node.sql.analyze.operators import check_groupable, check_sortable, match_declared
from compute_node.sql.analyze.polymorphism import POLYMORPHIC
from compute_node.sql.analyze.typenames import format_type, is_true_array
from compute_node.sql.expressions import (
    AggregateCall,
    ArrayExpr,
    Call,
    Const,
    Expr,
    Param,
    Relabel,
    SortKey,
    SubLink,
    Var,
    WindowCall,
    walk,
)
from compute_node.sql.rewrite import deep_walk
from compute_node.types import oids
from compute_node.types.collation.code import COLLATION_FOR
from compute_node.types.registry import Function

_NO_MATCH = "No %s matches the given name and argument types. You might need to add explicit type casts."
_NO_BEST = "Could not choose a best candidate %s. You might need to add explicit type casts."


def _with_defaults(
    scope: Scope, function: Function, chosen: Candidate, arguments: list[Expr]
) -> tuple[list[Expr], tuple[int, ...]]:
    """The arguments in the order in which they are declared, defaults in the places of those that are not given; and
    their declared types."""
    if chosen.order is not None:
        given = [
            arguments[source] if source >= 0 else default_argument(scope, function, index)
            for index, source in enumerate(chosen.order)
        ]
        return given, function.arguments
    if not chosen.defaults:
        return arguments, chosen.types
    count = len(arguments)
    rest = [default_argument(scope, function, index) for index in range(count, len(function.arguments))]
    return arguments + rest, function.arguments


def default_argument(scope: Scope, function: Function, index: int) -> Expr:
    """The default of an argument: a built-in function's value, or a user's expression."""
    from compute_node.sql.analyze.stored import argument_default

    number = index - (len(function.arguments) - len(function.defaults))
    if function.default_texts:
        value, kind = argument_default(scope, function.default_texts[number]), function.arguments[index]
        # The text has no implicit casts; the one to the argument's type is an assignment's.
        fitted = None if kind in POLYMORPHIC else coerce(scope, value, kind, context="a")
        return value if fitted is None else fitted
    return Const(type=function.arguments[index], value=function.defaults[number])


class Candidate(NamedTuple):
    """A function with its parameter types laid out for this call.

    ``order``: for each parameter the index of its argument, -1 for a default. ``expanded``: how many trailing
    arguments are gathered into the variadic array (0 none).
    """

    function: Function
    types: tuple[int, ...]
    order: tuple[int, ...] | None = None
    defaults: int = 0
    expanded: int = 0


def _candidates(
    functions: Sequence[Function], count: int, names: Sequence[str], explicit_variadic: bool
) -> list[Candidate]:
    found: list[Candidate] = []
    for item in functions:
        declared = item.arguments
        if names:
            candidate = None if item.variadic and not explicit_variadic else _named(item, count, names)
            if candidate is not None:
                found.append(candidate)
            continue
        if len(declared) == count and not (item.variadic and not explicit_variadic):
            found.append(Candidate(item, declared))
        elif item.variadic and not explicit_variadic and count >= len(declared):
            extra = count - len(declared) + 1
            types = declared[:-1] + (item.variadic,) * extra
            found.append(Candidate(item, types, expanded=0 if item.variadic == oids.ANY else extra))
        elif item.defaults and len(declared) - len(item.defaults) <= count < len(declared):
            found.append(Candidate(item, declared[:count], defaults=len(declared) - count))
    return found


def _named(item: Function, count: int, names: Sequence[str]) -> Candidate | None:
    declared = item.arguments
    if len(declared) < count or not item.argument_names:
        return None
    positional = count - len(names)
    order = [-1] * len(declared)
    for index in range(positional):
        order[index] = index
    for offset, name in enumerate(names):
        if name not in item.argument_names:
            return None
        position = item.argument_names.index(name)
        if position >= len(order) or order[position] >= 0:
            return None
        order[position] = positional + offset
    missing = [index for index, source in enumerate(order) if source < 0]
    if missing and min(missing) < len(declared) - len(item.defaults):
        return None
    types = [0] * count
    for position, source in enumerate(order):
        if source >= 0:
            types[source] = declared[position]
    return Candidate(item, tuple(types), order=tuple(order), defaults=len(missing))


def _choose(scope: Scope, candidates: list[Candidate], types: tuple[int, ...]) -> tuple[Candidate | None, bool]:
    candidates = _distinct(candidates)
    for item in candidates:
        if item.types == types:
            return (None, True) if _twins(candidates, item) else (item, False)
    chosen, ambiguous = select_candidate(scope.catalog, types, [item.types for item in candidates])
    if chosen is None and ambiguous:
        plain = [item for item in candidates if not item.expanded]
        if len(plain) < len(candidates):
            again, _ = select_candidate(scope.catalog, types, [item.types for item in plain])
            if again is not None:
                return plain[again], False
    if chosen is not None and _twins(candidates, candidates[chosen]):
        return None, True
    return (None if chosen is None else candidates[chosen]), ambiguous


def _distinct(candidates: list[Candidate]) -> list[Candidate]:
    """Of those that this call cannot tell apart the first on the search path, plain ones before variadic ones; two of
    one schema stay, for the call is ambiguous then."""
    kept: list[Candidate] = []
    for item in candidates:
        same = [other for other in kept if other.types == item.types]
        if any(bool(other.expanded) < bool(item.expanded) for other in same):
            continue
        if any(other.function.namespace != item.function.namespace for other in same if not other.expanded):
            continue
        if not item.expanded:
            kept = [other for other in kept if other not in same or not other.expanded]
        kept.append(item)
    return kept


def _twins(candidates: list[Candidate], chosen: Candidate) -> bool:
    return any(item is not chosen and item.types == chosen.types for item in candidates)


def function_signature(scope: Scope, name: str, arguments: Sequence[Expr], names: Sequence[str] = ()) -> str:
    """``name(integer, text)`` as messages show it."""
    positional = len(arguments) - len(names)
    shown = []
    for index, item in enumerate(arguments):
        text = format_type(scope.catalog, item.type)
        shown.append(f"{names[index - positional]} => {text}" if index >= positional else text)
    return f"{name}({', '.join(shown)})"


def _type_coercion(scope: Scope, schema: str | None, name: str, argument: Expr, location: int) -> Expr | None:
    """``typename(value)`` read as a cast, where PostgreSQL does."""
    kind = scope.catalog.find_type(schema, name)
    if kind is None or kind.kind == "p" or (kind.kind == "c" and argument.type != oids.UNKNOWN):
        return None
    if argument.type == oids.UNKNOWN:
        return coerce_type(scope, argument, kind.oid, -1, "e", location)
    pathway = find_pathway(scope.catalog, kind.oid, argument.type, "e")
    if pathway is None or pathway.method not in ("relabel", "io"):
        return None
    source = scope.catalog.type(argument.type).root
    if pathway.method == "io" and source.category == "S" == kind.category:
        return None
    if pathway.method == "io" and kind.category == "S" and (source.kind == "c" or source.oid == oids.RECORD):
        return None
    return coerce_type(scope, argument, kind.oid, -1, "e", location)


def choose_function(
    scope: Scope,
    functions: Sequence[Function],
    schema: str | None,
    name: str,
    arguments: Sequence[Expr],
    location: int,
    *,
    names: Sequence[str] = (),
    variadic: bool = False,
    star: bool = False,
    noun: str = "function",
) -> tuple[Function, tuple[Expr, ...], int, bool]:
    """Which of some functions a call means; its arguments as declared, defaults among them; its result type; whether
    the last argument is the array of a VARIADIC one. Raises 42883, 42725."""
    shown_name = f"{schema}.{name}" if schema else name
    if star:
        candidates = [Candidate(item, ()) for item in functions if not item.arguments]
    else:
        candidates = _candidates(functions, len(arguments), names, variadic)
    types = tuple(item.type for item in arguments)
    chosen, ambiguous = _choose(scope, candidates, types) if candidates else (None, False)
    if chosen is None:
        shown = function_signature(scope, shown_name, arguments, names)
        if ambiguous:
            raise fail(AmbiguousFunction, f"{noun} {shown} is not unique", location, hint=_NO_BEST % noun)
        raise fail(UndefinedFunction, f"{noun} {shown} does not exist", location, hint=_NO_MATCH % noun)
    function = chosen.function
    if function.missing:
        raise fail(NotSupported, function.missing, location)
    given, declared = _with_defaults(scope, function, chosen, list(arguments))
    values, result = match_declared(scope, given, declared, function.result, location)
    if not chosen.expanded:
        return function, values, result, variadic
    gathered = values[len(values) - chosen.expanded :]
    element = gathered[0].type
    array = scope.catalog.type(element).array
    values = (
        *values[: len(values) - chosen.expanded],
        ArrayExpr(type=array, elements=gathered, element_type=element, location=gathered[0].location),
    )
    return function, values, result, True


def call_function(
    scope: Scope,
    schema: str | None,
    name: str,
    arguments: Sequence[Expr],
    location: int,
    *,
    names: Sequence[str] = (),
    variadic: bool = False,
    aggregate_syntax: str = "",
    star: bool = False,
    display: str = "",
) -> tuple[Function, Expr | tuple[tuple[Expr, ...], int]]:
    """Resolve a call. For a plain function the second item is the Call, for an aggregate (arguments, result type).

    Raises 42883 ``function f(integer) does not exist``, 42725 ``… is not unique``.
    """
    functions = scope.catalog.functions(schema, name)
    shown_name = f"{schema}.{name}" if schema else name
    alone = len(arguments) == 1 and not (names or variadic or aggregate_syntax or star)
    if alone:
        # A function for exactly this type comes first.
        if not any(item.types == (arguments[0].type,) for item in _candidates(functions, 1, (), False)):
            cast = _type_coercion(scope, schema, name, arguments[0], location)
            if cast is not None:
                return _CAST, cast
    try:
        chosen, values, result, is_variadic = choose_function(
            scope, functions, schema, name, arguments, location, names=names, variadic=variadic, star=star
        )
    except UndefinedFunction:
        # ``field(row)`` is ``row.field``, where there is no such function.
        fields = fields_of(scope, arguments[0]) if alone and not schema else None
        field = next((each for key, each in fields or () if key == name), None)
        if field is None:
            raise
        return _CAST, field
    function = scope.catalog.function(chosen.oid)
    if function.oid == COLLATION_FOR:
        scope.analysis.collated = True
    if function.kind == "p":
        shown = function_signature(scope, shown_name, arguments, names)
        raise fail(WrongObjectType, f"{shown} is a procedure", location, hint="To call a procedure, use CALL.")
    if function.kind in ("a", "w"):
        return function, (values, result)
    if aggregate_syntax or star:
        raise not_an_aggregate(aggregate_syntax or "*", shown_name, location)
    if function.returns_set:
        if scope.in_aggregate:
            raise fail(NotSupported, "aggregate function calls cannot contain set-returning function calls", location)
        if scope.clause != "FROM":
            _check_srf_place(scope, location)
        scope.has_srf = True
    call = Call(
        type=result, function=function.oid, arguments=values, variadic=is_variadic, display=display, location=location
    )
    return function, call


_SRF_REFUSED = {
    "WHERE": "WHERE",
    "JOIN/ON": "JOIN conditions",
    "HAVING": "HAVING",
    "LIMIT": "LIMIT",
    "OFFSET": "OFFSET",
    "UPDATE": "UPDATE",
    "RETURNING": "RETURNING",
    "VALUES": "VALUES",
    "FILTER": "FILTER",
    "CASE": "CASE",
    "COALESCE": "COALESCE",
    "TRANSFORM": "transform expressions",
    "DEFAULT": "DEFAULT expressions",
    "GENERATED": "column generation expressions",
    "CALL": "CALL arguments",
    "EXECUTE": "EXECUTE parameters",
    "WHEN": "MERGE WHEN conditions",
    "COPY": "COPY FROM WHERE conditions",
    "PUBLICATION": "WHERE",
    "POLICY": "policy expressions",
    "STATISTICS": "statistics expressions",
    "PARTITION": "partition key expressions",
    "BOUND": "partition bound",
}


def _check_srf_place(scope: Scope, location: int) -> None:
    place = _SRF_REFUSED.get(scope.clause)
    if place is not None:
        raise fail(NotSupported, f"set-returning functions are not allowed in {place}", location)


def _no_code(*_: object) -> None:
    raise InvariantViolation("a cast written as a function call has no function of its own")


_CAST = Function(oid=0, name="", arguments=(), result=0, implementation=_no_code, kind="cast")


def transform_call(scope: Scope, node: ast.FuncCall) -> Expr:
    """A FuncCall node: plain function or aggregate."""
    location = node.location if node.location is not None else -1
    parts = [item.sval for item in node.funcname]
    if len(parts) > 2:
        parts = parts[1:]
    schema, name = (parts[0], parts[1]) if len(parts) == 2 else (None, parts[0])
    if node.over is not None and not node.agg_within_group:
        return _over(scope, node, schema, name, location)
    aggregate_syntax = aggregate_syntax_of(node)
    try:
        is_aggregate = any(item.kind == "a" for item in scope.catalog.functions(schema, name))
    except (InsufficientPrivilege, InvalidSchemaName) as error:
        raise fail(type(error), error.message, location) from None
    if node.agg_within_group:
        from compute_node.sql.analyze.ordered_sets import ordered_set_call

        return ordered_set_call(scope, node, schema, name, location)
    outer = scope.in_aggregate
    if is_aggregate:
        scope.in_aggregate = True
        scope.analysis.keep_depth += 1
    try:
        arguments, names = given_arguments(scope, node)
        if not is_aggregate:
            display = name if node.funcformat == 3 else ""
            variadic = bool(node.func_variadic)
            function, result = call_function(
                scope,
                schema,
                name,
                arguments,
                location,
                names=names,
                variadic=variadic,
                aggregate_syntax=aggregate_syntax,
                star=bool(node.agg_star),
                display=display,
            )
            if variadic and function.variadic == oids.ANY:
                last = arguments[-1]
                if last.type != oids.UNKNOWN and not is_true_array(scope.catalog.type(last.type)):
                    raise fail(DatatypeMismatch, "VARIADIC argument must be an array", last.location)
            if isinstance(result, Expr):
                return result
            raise fail(WrongObjectType, f"window function {name} requires an OVER clause", location)
        function, resolved = call_function(
            scope,
            schema,
            name,
            arguments,
            location,
            names=names,
            variadic=bool(node.func_variadic),
            aggregate_syntax=aggregate_syntax,
            star=bool(node.agg_star),
        )
        if isinstance(resolved, Expr):
            return resolved
        if function.kind == "w":
            raise fail(WrongObjectType, f"window function {name} requires an OVER clause", location)
        if not arguments and not node.agg_star:
            message = f"{name}(*) must be used to call a parameterless aggregate function"
            raise fail(WrongObjectType, message, location)
        _check_ordered(scope, function, name, location)
        if outer:
            check_nested(scope, resolved[0], location)
        return _aggregate(scope, node, function, resolved[0], resolved[1], location)
    finally:
        if is_aggregate:
            scope.analysis.keep_depth -= 1
        scope.in_aggregate = outer


def _over(scope: Scope, node: ast.FuncCall, schema: str | None, name: str, location: int) -> Expr:
    """A call with OVER."""
    from compute_node.sql.analyze.windows import window_call

    arguments, names = given_arguments(scope, node)
    function, resolved = call_function(
        scope,
        schema,
        name,
        arguments,
        location,
        names=names,
        variadic=bool(node.func_variadic),
        aggregate_syntax=aggregate_syntax_of(node) or "OVER",
        star=bool(node.agg_star),
    )
    if isinstance(resolved, Expr):
        raise not_an_aggregate("OVER", name, location)
    return window_call(scope, node, function, name, resolved[0], resolved[1], location)


def aggregate_syntax_of(node: ast.FuncCall) -> str:
    """What of the call only an aggregate may have, as messages name it; empty for nothing."""
    if node.agg_star:
        return "*"
    if node.agg_distinct:
        return "DISTINCT"
    if node.agg_within_group:
        return "WITHIN GROUP"
    if node.agg_order:
        return "ORDER BY"
    return "FILTER" if node.agg_filter else ""


def not_an_aggregate(syntax: str, name: str, location: int) -> SqlError:
    if syntax == "*":
        message = f"{name}(*) specified, but {name} is not an aggregate function"
    elif syntax == "OVER":
        message = f"OVER specified, but {name} is not a window function nor an aggregate function"
    else:
        message = f"{syntax} specified, but {name} is not an aggregate function"
    return fail(WrongObjectType, message, location)


def given_arguments(scope: Scope, node: ast.FuncCall) -> tuple[list[Expr], list[str]]:
    """The arguments of a call, and the names of the last ones where they are named."""
    from compute_node.sql.analyze.expressions import expression_location, transform

    arguments: list[Expr] = []
    names: list[str] = []
    for item in node.args or ():
        if isinstance(item, ast.NamedArgExpr):
            if item.name in names:
                raise fail(SqlSyntaxError, f'argument name "{item.name}" used more than once', item.location)
            names.append(item.name)
            arguments.append(transform(scope, item.arg))
        else:
            if names:
                raise fail(
                    SqlSyntaxError, "positional argument cannot follow named argument", expression_location(item)
                )
            arguments.append(transform(scope, item))
    return arguments, names


_PLACES = {
    "WHERE": "WHERE",
    "JOIN/ON": "JOIN conditions",
    "GROUP BY": "GROUP BY",
    "FRAME ROWS": "window ROWS",
    "FRAME RANGE": "window RANGE",
    "FRAME GROUPS": "window GROUPS",
    "LIMIT": "LIMIT",
    "OFFSET": "OFFSET",
    "UPDATE": "UPDATE",
    "VALUES": "VALUES",
    "VALUES ROW": "VALUES",
    "RETURNING": "RETURNING",
    "FILTER": "FILTER",
    "FROM": "functions in FROM",
    "FROM SUBSELECT": "FROM clause of their own query level",
    "CHECK": "check constraints",
    "POLICY": "policy expressions",
    "STATISTICS": "statistics expressions",
    "COPY": "COPY FROM WHERE conditions",
    "PUBLICATION": "WHERE",
    "DEFAULT": "DEFAULT expressions",
    "GENERATED": "column generation expressions",
    "INDEX": "index expressions",
    "TRANSFORM": "transform expressions",
    "CALL": "CALL arguments",
    "EXECUTE": "EXECUTE parameters",
    "WHEN": "MERGE WHEN conditions",
    "PARTITION": "partition key expressions",
    "BOUND": "partition bound",
}
"""Clauses without aggregates, as messages name them"""


def check_nested(scope: Scope, arguments: tuple[Expr, ...], location: int) -> None:
    if level_of(scope, arguments) == 0:
        raise fail(GroupingError, "aggregate function calls cannot be nested", location)


def level_of(scope: Scope, arguments: Sequence[Expr]) -> int:
    """How many levels out the innermost query is that the arguments' columns belong to (0 when they have none)."""
    level = None
    for argument in arguments:
        for item, depth in deep_walk(argument):
            if isinstance(item, (Var, AggregateCall)) and item.levels_up >= depth:
                own = item.levels_up - depth
                level = own if level is None else min(level, own)
    found = scope.of_original() if level else None
    return (level or 0) if found is None else min(level or 0, found[0])


def _aggregate(
    scope: Scope,
    node: ast.FuncCall,
    function: Function,
    values: tuple[Expr, ...],
    result: int,
    location: int,
) -> Expr:
    from compute_node.sql.analyze.expressions import transform
    from compute_node.sql.analyze.select import sort_direction

    condition = aggregate_filter(scope, node)
    keys = []
    for item in node.agg_order or ():
        expr = resolve_unknown(scope, transform(scope, item.node))
        descending, nulls_first = sort_direction(item)
        check_sortable(scope, expr.type, expr.location)
        keys.append(SortKey(expr, expr.type, descending, nulls_first))
    if node.agg_distinct:
        if not values:
            raise fail(SqlSyntaxError, "DISTINCT specified, but the aggregate has no arguments", location)
        for value in values:
            check_groupable(scope, value.type, value.location)
        given = list(map(_without_implicit, values))
        for place, key in enumerate(keys):
            if key.expression in given:
                # Sorted is what the aggregate gets: the argument after its implicit cast.
                value = values[given.index(key.expression)]
                keys[place] = dataclasses.replace(key, expression=value, type=value.type)
            else:
                raise fail(
                    InvalidColumnReference,
                    "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list",
                    start_of(key.expression),
                )
    inner = list(values) + [key.expression for key in keys] + ([condition] if condition is not None else [])
    for item in (part for each in inner for part in walk(each)):
        if isinstance(item, WindowCall):
            raise fail(GroupingError, "aggregate function calls cannot contain window function calls", item.location)
    owner, level = owner_of_aggregate(scope, inner, location)
    if level:
        _check_outer(inner, level, location)
    owner.query.has_aggregates = True
    return AggregateCall(
        type=result,
        function=function.oid,
        arguments=values,
        distinct=bool(node.agg_distinct),
        order_by=tuple(keys),
        filter=condition,
        star=bool(node.agg_star),
        levels_up=level,
        location=location,
    )


def _without_implicit(node: Expr) -> Expr:
    """The expression before an implicit cast of its."""
    while (isinstance(node, Relabel) and node.implicit) or (isinstance(node, Call) and node.display == "coercion"):
        node = node.argument if isinstance(node, Relabel) else node.arguments[0]
    return node


def _check_outer(inner: Sequence[Expr], level: int, location: int) -> None:
    """What an aggregate of an outer level may not hold: an aggregate of that level (42803), a WITH item of a level
    further in (0A000)."""
    for item, depth in (pair for each in inner for pair in deep_walk(each)):
        if isinstance(item, AggregateCall) and item.levels_up - depth == level:
            raise fail(GroupingError, "aggregate function calls cannot be nested", item.location)
        if isinstance(item, SubLink):
            for entry in item.query.range_table:
                if entry.kind == "cte" and 0 <= entry.cte_levels_up - depth - 1 < level:
                    message = "outer-level aggregate cannot use a nested CTE"
                    detail = f'CTE "{entry.cte}" is below the aggregate\'s semantic level.'
                    raise fail(NotSupported, message, location, detail=detail)


def aggregate_filter(scope: Scope, node: ast.FuncCall) -> Expr | None:
    """The condition of FILTER."""
    from compute_node.sql.analyze.expressions import transform

    if node.agg_filter is None:
        return None
    clause, scope.clause = scope.clause, "FILTER"
    inside, scope.in_aggregate = scope.in_aggregate, False
    try:
        return coerce_to_boolean(scope, transform(scope, node.agg_filter), "FILTER")
    finally:
        scope.clause, scope.in_aggregate = clause, inside


def _check_ordered(scope: Scope, function: Function, name: str, location: int) -> None:
    """An ordered-set aggregate must have WITHIN GROUP."""
    found = scope.catalog.aggregate(function.oid)
    if found is not None and found.ordered_set:
        raise fail(WrongObjectType, f"WITHIN GROUP is required for ordered-set aggregate {name}", location)


def owner_of_aggregate(
    scope: Scope, inner: Sequence[Expr], location: int, what: str = "aggregate functions"
) -> tuple[Scope, int]:
    """The query level that an aggregate over these expressions belongs to, and how many levels out that is; 42803 where
    that level may have none."""
    level = level_of(scope, inner)
    owner = scope
    for _ in range(level):
        if owner.parent is not None:
            owner = owner.parent
    place = _PLACES.get(owner.clause)
    if place is not None:
        raise fail(GroupingError, f"{what} are not allowed in {place}", location)
    return owner, level


def resolve_unknown(scope: Scope, node: Expr) -> Expr:
    """An expression that is still of type unknown becomes text."""
    if node.type != oids.UNKNOWN:
        return node
    if isinstance(node, (Const, Param)):
        return coerce_type(scope, node, oids.TEXT, -1, "i")
    return Relabel(type=oids.TEXT, argument=node, location=node.location)
