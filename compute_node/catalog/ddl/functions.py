"""CREATE FUNCTION … LANGUAGE internal, and finding functions by name and argument types.

``internal`` functions are other names of built-in ones. Source: PostgreSQL manual, ch. 38.9.
"""

from __future__ import annotations

from collections.abc import Sequence

from pglast import ast, enums

from aurora.errors import (
    AmbiguousFunction,
    UndefinedFunction,
)
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.ddl.types import type_of
from compute_node.sql.analyze.typenames import format_type
from compute_node.types.registry import Function

_VOLATILITY = {"immutable": "i", "stable": "s", "volatile": "v"}
_IN = (enums.FunctionParameterMode.FUNC_PARAM_IN, enums.FunctionParameterMode.FUNC_PARAM_DEFAULT)


def shown_function(ctx: DdlContext, name: str, types: Sequence[int]) -> str:
    """``f(integer, text)`` as messages show it."""
    return f"{name}({', '.join(format_type(ctx.view, each) for each in types)})"


def find_function(ctx: DdlContext, names: Sequence[ast.String], types: Sequence[int] | None) -> Function | None:
    """The function of that name with exactly these argument types; without types the only one of that name (42725)."""
    parts = [item.sval for item in names]
    if len(parts) > 1 and ctx.view.layer.namespace_oid(parts[-2]) is None:
        return None
    found = ctx.view.functions(parts[-2] if len(parts) > 1 else None, parts[-1])
    if types is not None:
        return next((item for item in found if item.arguments == tuple(types)), None)
    if len(found) > 1:
        raise AmbiguousFunction(
            f'function name "{".".join(parts)}" is not unique',
            hint="Specify the argument list to select the function unambiguously.",
        )
    return found[0] if found else None


def need_function(ctx: DdlContext, names: Sequence[ast.String], types: Sequence[int] | None) -> Function:
    """The same; 42883 without one."""
    found = find_function(ctx, names, types)
    if found is None:
        name = ".".join(item.sval for item in names)
        if types is None:
            raise UndefinedFunction(f'could not find a function named "{name}"')
        raise UndefinedFunction(f"function {shown_function(ctx, name, types)} does not exist")
    return found


def argument_types(ctx: DdlContext, node: ast.ObjectWithArgs) -> list[int] | None:
    """The types that an ObjectWithArgs lists (0 for NONE); None when it lists none."""
    if node.args_unspecified:
        return None
    return [0 if item is None else type_of(ctx, item) for item in node.objargs or ()]
