"""Calls of set-returning functions: an iterable of values per evaluation; strict ones give none for a NULL argument."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aurora.datum import Datum
from compute_node.exec.compile.calls import guarded
from compute_node.exec.compile.compiler import Compiler, Linker
from compute_node.exec.compile.unit import Scope, Unit, row_scope
from compute_node.sql import expressions as ex
from compute_node.types.oids import ANY


def call_source(compiler: Compiler, call: ex.Call) -> str:
    """Source of an expression that gives the function's iterable."""
    function = compiler.linker.function(call.function)
    args = [compiler.value(argument) for argument in call.arguments]
    types = tuple(argument.type for argument in call.arguments)
    star = call.variadic and function.variadic == ANY
    code = guarded(compiler, function, args, types, call.type, star=star, columns=call.columns)
    if code.always_null:
        return "()"
    if not code.guards:
        return code.body
    nulls = " or ".join(f"{guard} is None" for guard in code.guards)
    return f"(() if {nulls} else {code.body})"


def set_function(linker: Linker, call: ex.Call, scope: Scope | None) -> Callable[..., Iterable[Datum]]:
    """A function of the context (and, with a scope, the row) that gives the iterable."""
    unit = Unit()
    text = call_source(Compiler(unit, scope or Scope(), linker), call)
    return unit.link(unit.function("c" if scope is None else "c, r", [f"return {text} or ()"]))


def set_functions(linker: Linker, calls: list[ex.Call]) -> Callable[..., tuple[Iterable[Datum], ...]]:
    """A function of (context, row) that gives the iterables of several calls."""
    unit = Unit()
    compiler = Compiler(unit, row_scope(None), linker)
    parts = [f"{call_source(compiler, call)} or ()" for call in calls]
    return unit.link(unit.function("c, r", [f"return ({', '.join(parts)},)"]))
