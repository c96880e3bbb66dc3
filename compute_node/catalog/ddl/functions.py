"""CREATE FUNCTION … LANGUAGE internal, and finding functions by name and argument types.

``internal`` functions are other names of built-in ones. Source: PostgreSQL manual, ch. 38.9.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pglast import ast, enums

from aurora.datum import Datum
from aurora.errors import (
    AmbiguousFunction,
    DuplicateFunction,
    InsufficientPrivilege,
    InvalidFunctionDefinition,
    NotSupported,
    UndefinedFunction,
    UndefinedObject,
)
from compute_node.catalog.builders import function_row
from compute_node.catalog.ddl.context import CLASS_NAMESPACE, CLASS_PROC, CLASS_TYPE, DdlContext
from compute_node.catalog.ddl.shared_depend import record_owner
from compute_node.catalog.ddl.types import type_of
from compute_node.catalog.objects import INTERNAL_LANGUAGE, internal_function
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.sql.analyze.typenames import format_type
from compute_node.types.registry import Function

if TYPE_CHECKING:
    from compute_node.catalog.rows import Record


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


def create_function(ctx: DdlContext, node: ast.CreateFunctionStmt) -> str:
    """CREATE FUNCTION in the language internal; the others are 0A000."""
    options: dict[str, ast.Node] = {item.defname: item.arg for item in node.options or ()}
    language = options["language"].sval.lower() if "language" in options else "sql"
    if ctx.rows.one("pg_language", lanname=language) is None:
        raise UndefinedObject(f'language "{language}" does not exist')
    if node.is_procedure or language != "internal":
        what = "PROCEDURE" if node.is_procedure else "FUNCTION"
        raise NotSupported(f"CREATE {what} in language {language} is not supported")
    role = ctx.view.role(ctx.session.user)
    if role is None or not role.superuser:
        raise InsufficientPrivilege("permission denied for language internal")
    parameters = node.parameters or ()
    if node.returnType is None or any(each.mode not in _IN or each.defexpr is not None for each in parameters):
        raise NotSupported("OUT, VARIADIC and default arguments are not supported for internal functions")
    if "as" not in options:
        raise InvalidFunctionDefinition("no function body specified")
    namespace, name = ctx.place(node.funcname)
    arguments = [type_of(ctx, each.argType) for each in parameters]
    symbol = options["as"][0].sval
    base = internal_function(symbol, len(arguments))
    if base is None:
        raise UndefinedFunction(f'there is no built-in function named "{symbol}"')
    returns_set = bool(node.returnType.setof)
    node.returnType.setof = False
    existing = next(
        (row for row in ctx.rows.find("pg_proc", proname=name)
         if row.pronamespace == namespace and tuple(row.proargtypes) == tuple(arguments)),
        None,
    )  # fmt: skip
    values = {
        "prokind": "f",
        "prolang": INTERNAL_LANGUAGE,
        "prosrc": symbol,
        "prorettype": type_of(ctx, node.returnType),
        "proretset": returns_set,
        "prorows": 1000.0 if returns_set else 0.0,
        "proisstrict": bool(options["strict"].boolval) if "strict" in options else False,
        "provolatile": _VOLATILITY[options["volatility"].sval] if "volatility" in options else "v",
        "proargnames": [each.name or "" for each in node.parameters] if _named(node) else None,
        "proowner": ctx.user_oid,
    }
    if existing is not None:
        _replace(ctx, node, existing, values)
        return "CREATE FUNCTION"
    oid = ctx.next_oid()
    ctx.rows.insert_many("pg_proc", [function_row(oid, name, namespace, arguments, values)])
    record_owner(ctx, CLASS_PROC, oid, ctx.user_oid)
    ctx.depend((CLASS_PROC, oid, 0), (CLASS_NAMESPACE, namespace, 0), "n")
    for kind in {*arguments, values["prorettype"]}:
        ctx.depend((CLASS_PROC, oid, 0), (CLASS_TYPE, kind, 0), "n")
    ctx.changes.touch(oid)
    return "CREATE FUNCTION"


def _named(node: ast.CreateFunctionStmt) -> bool:
    return any(each.name for each in node.parameters or ())


def _replace(ctx: DdlContext, node: ast.CreateFunctionStmt, existing: Record, values: dict[str, Datum]) -> None:
    if not node.replace:
        raise DuplicateFunction(f'function "{existing.proname}" already exists with same argument types')
    if existing.oid < FIRST_NORMAL_OID or not ctx.owns(existing.proowner):
        raise InsufficientPrivilege(f"must be owner of function {existing.proname}")
    if existing.prorettype != values["prorettype"]:
        shown = shown_function(ctx, existing.proname, existing.proargtypes).replace(", ", ",")
        raise InvalidFunctionDefinition(
            "cannot change return type of existing function", hint=f"Use DROP FUNCTION {shown} first."
        )
    ctx.rows.update("pg_proc", existing, **values)
    ctx.changes.touch(existing.oid)
