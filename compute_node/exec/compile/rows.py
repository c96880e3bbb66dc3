"""Whole-node functions: projection with filter over a batch, keys for hashing and sorting, one-row evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, TypeAlias

from aurora.datum import Datum
from compute_node.exec.compile.compiler import Compiler, Linker, tuple_text
from compute_node.exec.compile.runtime import freeze
from compute_node.exec.compile.unit import Code, Scope, StoredValues, Unit, row_scope
from compute_node.hub import HUB
from compute_node.sql import expressions as ex

if TYPE_CHECKING:
    from compute_node.exec.context import ExecContext


STEP_ROWS = 64
"""Rows whose functions are called without a pulse in between."""
Batch = list[Datum]
BatchFunction: TypeAlias = "Callable[[ExecContext, Batch], Batch]"
Nullable = Sequence[bool] | None


def is_identity(output: Sequence[ex.Expr], width: int) -> bool:
    """Whether the projection is the input row itself (through binary-coercible casts)."""
    return len(output) == width and all(column_index(item) == index for index, item in enumerate(output))


def column_index(node: ex.Expr) -> int:
    """The column of side 0 that the expression simply passes on; -1 for any other expression."""
    while isinstance(node, ex.Relabel):
        if ex.value_change(node):
            return -1
        node = node.argument
    return node.index if isinstance(node, ex.Column) and node.side == 0 else -1


def batch_function(
    linker: Linker,
    output: Sequence[ex.Expr],
    filter_: ex.Expr | None,
    width: int,
    nullable: Nullable = None,
    stored: StoredValues | None = None,
) -> BatchFunction | None:
    """``[(output) for row in batch if filter]`` over rows of ``width`` columns; None when rows pass unchanged."""
    whole = is_identity(output, width)
    if whole and filter_ is None:
        return None
    indexes = [column_index(item) for item in output]
    if filter_ is None and min(indexes, default=-1) >= 0 and len(indexes) > 1:
        getter = itemgetter(*indexes)
        return lambda c, b: list(map(getter, b))
    unit = Unit()
    compiler = Compiler(unit, row_scope(nullable, stored=stored), linker)
    row = "r" if whole else compiler.tuple_of(output) if output else "()"
    where = f" if {compiler.truth(filter_).text}" if filter_ is not None else ""
    function = unit.link(unit.function("c, b", [f"return [{row} for r in b{where}]"]))
    if _calls(linker, [*output, *([] if filter_ is None else [filter_])]):
        function = _in_steps(function)
    return function if filter_ is None else linker.filtering(function)


def _calls(linker: Linker, expressions: Sequence[ex.Expr]) -> bool:
    """Whether a function is called for each row: one that has no template may take long."""
    return any(
        isinstance(item, ex.CoerceToDomain)
        or (isinstance(item, ex.Call) and linker.function(item.function).inline is None)
        for expression in expressions
        for item in ex.walk(expression)
    )


def _in_steps(function: BatchFunction) -> BatchFunction:
    """The function over a batch, with others in between."""

    def apply(ctx: ExecContext, batch: Batch) -> Batch:
        if len(batch) <= STEP_ROWS:
            return function(ctx, batch)
        rows: Batch = []
        for start in range(0, len(batch), STEP_ROWS):
            rows += function(ctx, batch[start : start + STEP_ROWS])
            HUB.pulse()
        return rows

    return apply


def row_function(
    linker: Linker, output: Sequence[ex.Expr], scope: Scope | None = None, arguments: str = "c"
) -> Callable[..., Datum]:
    """A function of (context, row variables …) that gives one tuple."""
    unit = Unit()
    compiler = Compiler(unit, scope or Scope(), linker)
    text = compiler.tuple_of(output) if output else "()"
    return unit.link(unit.function(arguments, [f"return {text}"]))


def value_function(
    linker: Linker, node: ex.Expr, scope: Scope | None = None, arguments: str = "c"
) -> Callable[..., Datum]:
    """A function of (context, row variables …) that gives the expression's value."""
    unit = Unit()
    compiler = Compiler(unit, scope or Scope(), linker)
    return unit.link(unit.function(arguments, [f"return {compiler.value(node).text}"]))


def truth_function(
    linker: Linker, node: ex.Expr, scope: Scope | None = None, arguments: str = "c, r"
) -> Callable[..., Datum]:
    """A function of (context, row variables …) that is truthy exactly when the expression is TRUE."""
    unit = Unit()
    compiler = Compiler(unit, scope if scope is not None else row_scope(None), linker)
    return unit.link(unit.function(arguments, [f"return {compiler.truth(node).text}"]))


def flags_function(
    linker: Linker, condition: ex.Expr, nullable: Nullable = None, stored: StoredValues | None = None
) -> BatchFunction:
    """``[whether the condition is TRUE for row in batch]``."""
    unit = Unit()
    text = Compiler(unit, row_scope(nullable, stored=stored), linker).truth(condition).text
    function = unit.link(unit.function("c, b", [f"return [True if {text} else False for r in b]"]))
    return _in_steps(function) if _calls(linker, [condition]) else function


def hash_text(compiler: Compiler, code: Code, type_oid: int) -> str:
    """Source of a hashable form of a value whose ``==`` is the type's equality; None stays None."""
    pg_type = compiler.linker.type(type_oid)
    convert = pg_type.sort_value
    if convert is None:
        if not pg_type.element and pg_type.kind not in ("c", "p"):
            return code.text
        convert = freeze
    name = compiler.unit.bind(convert, "g")
    first, again = compiler.named(code)
    return f"(None if {first} is None else {name}({again}))"


def key_text(compiler: Compiler, keys: Sequence[ex.Expr]) -> str:
    """Source of the hash key of several expressions: one value, or a tuple."""
    parts = [hash_text(compiler, compiler.value(key), key.type) for key in keys]
    return parts[0] if len(parts) == 1 else tuple_text(parts)


def row_key_function(linker: Linker, types: Sequence[int]) -> Callable[[Datum], Datum] | None:
    """Row → hashable key over its first ``len(types)`` columns; None when the row itself will do."""
    unit = Unit()
    compiler = Compiler(unit, row_scope(None), linker)
    parts = [hash_text(compiler, Code(f"r[{index}]", True, True), oid) for index, oid in enumerate(types)]
    if all(part == f"r[{index}]" for index, part in enumerate(parts)):
        return None
    return unit.link(unit.helper("r", [f"return {tuple_text(parts)}"]))
