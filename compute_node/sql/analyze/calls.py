"""CALL: which procedure, and the expressions of its input arguments. Source: PostgreSQL manual, CALL, 38.4."""

from __future__ import annotations

import dataclasses

from pglast import ast

from aurora.errors import InsufficientPrivilege, InvalidSchemaName, NotSupported, WrongObjectType
from compute_node.sql.analyze.context import Scope, fail
from compute_node.sql.analyze.functions import choose_function, function_signature, given_arguments
from compute_node.sql.analyze.naming import column_name
from compute_node.sql.query import Query, Target
from compute_node.sql.required import Required, required_privileges
from compute_node.types.oids import RECORD
from compute_node.types.registry import Function, RoutineCall


def analyze_call(scope: Scope, node: ast.CallStmt) -> Query:
    """A SELECT of the input arguments' values; ``extra["procedure"]`` is what they are for. Output arguments have
    their places in the list, and are not evaluated. 42883, 42809, 0A000."""
    call = node.funccall
    location = call.location if call.location is not None else -1
    scope.clause = "CALL"
    parts = [item.sval for item in call.funcname][-2:]
    schema, name = (parts[0], parts[1]) if len(parts) == 2 else (None, parts[0])
    for item in call.args or ():
        if isinstance(item, ast.SubLink) or isinstance(getattr(item, "arg", None), ast.SubLink):
            place = (item if isinstance(item, ast.SubLink) else item.arg).location
            raise fail(NotSupported, "cannot use subquery in CALL argument", place)
    try:
        known = scope.catalog.functions(schema, name)
    except (InsufficientPrivilege, InvalidSchemaName) as error:
        raise fail(type(error), error.message, location) from None
    arguments, names = given_arguments(scope, call)
    chosen, values, result, _ = choose_function(
        scope,
        [_whole(item) for item in known],
        schema,
        name,
        arguments,
        location,
        names=names,
        variadic=bool(call.func_variadic),
        noun="procedure",
    )
    procedure = scope.catalog.function(chosen.oid)
    if procedure.kind != "p":
        shown = function_signature(scope, ".".join(parts), arguments, names)
        raise fail(WrongObjectType, f"{shown} is not a procedure", location, hint="To call a function, use SELECT.")
    inputs = [value for value, item in zip(values, procedure.parameters, strict=True) if item.mode in "ibv"]
    query = scope.query
    query.targets = [Target(value, column_name(call)) for value in inputs]
    if scope.analysis.routine is not None and result == RECORD:
        raise NotSupported("calling procedures with output arguments is not supported in SQL functions")
    query.procedure = RoutineCall(procedure, tuple([value.type for value in inputs]), result)
    return query


def call_privileges(query: Query) -> Required:
    """What the arguments need, and the right to call the procedure."""
    found = required_privileges(query)
    called = set() if query.procedure is None else {query.procedure.function.oid}
    return found._replace(functions=found.functions | called)


def _whole(item: Function) -> Function:
    """A procedure as CALL sees it: output arguments count."""
    if item.kind != "p":
        return item
    return dataclasses.replace(
        item,
        arguments=tuple([each.type for each in item.parameters]),
        argument_names=tuple([each.name for each in item.parameters]),
    )
