"""Calls of set-returning functions: an iterable of values per evaluation; strict ones give none for a NULL argument."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from aurora.datum import Datum
from compute_node.exec.compile.calls import guarded
from compute_node.exec.compile.compiler import Compiler, Linker
from compute_node.exec.compile.unit import Scope, Unit, row_scope
from compute_node.sql import expressions as ex
from compute_node.types.oids import ANY, RECORD
from compute_node.types.record import Record
from compute_node.types.registry import PgType


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


def _rows_source(compiler: Compiler, call: ex.Call) -> str:
    """The same, of values as a query's column has them: rows that know their columns."""
    text = f"{call_source(compiler, call)} or ()"
    columns = compiler.linker.function(call.function).out_columns
    if not columns or call.type != RECORD:
        return text
    types = tuple(compiler.linker.type(oid) for _, oid in columns)
    names = tuple(name for name, _ in columns)
    return f"{compiler.unit.bind(partial(_records, types, names), 'g')}({text})"


def _records(types: tuple[PgType, ...], names: tuple[str, ...], rows: Iterable[Any]) -> Iterator[Record]:
    return (row if isinstance(row, Record) else Record.of(row, types, names) for row in rows)


def set_function(linker: Linker, call: ex.Call, scope: Scope | None) -> Callable[..., Iterable[Datum]]:
    """A function of the context (and, with a scope, the row) that gives the iterable."""
    unit = Unit()
    text = call_source(Compiler(unit, scope or Scope(), linker), call)
    return unit.link(unit.function("c" if scope is None else "c, r", [f"return {text} or ()"]))


def set_functions(linker: Linker, calls: list[ex.Call]) -> Callable[..., tuple[Iterable[Datum], ...]]:
    """A function of (context, row) that gives the iterables of several calls."""
    unit = Unit()
    compiler = Compiler(unit, row_scope(None), linker)
    parts = [_rows_source(compiler, call) for call in calls]
    return unit.link(unit.function("c, r", [f"return ({', '.join(parts)},)"]))
