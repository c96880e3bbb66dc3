"""The function, procedure or aggregate that a name with argument types means, whoever asks: DROP, ALTER, GRANT,
COMMENT."""

from __future__ import annotations

from collections.abc import Sequence

from pglast import ast, enums

from aurora.errors import (
    AmbiguousFunction,
    InsufficientPrivilege,
    NotSupported,
    SqlError,
    UndefinedFunction,
    WrongObjectType,
)
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.routines import parameters_of
from compute_node.catalog.rows import Record
from compute_node.sql.analyze.typenames import format_type, resolve_type_name

_O = enums.ObjectType
NOUNS = {
    _O.OBJECT_FUNCTION: "function",
    _O.OBJECT_PROCEDURE: "procedure",
    _O.OBJECT_ROUTINE: "routine",
    _O.OBJECT_AGGREGATE: "aggregate",
}
ROUTINES = {_O.OBJECT_FUNCTION: "faw", _O.OBJECT_PROCEDURE: "p", _O.OBJECT_ROUTINE: "fpaw", _O.OBJECT_AGGREGATE: "a"}
"""type of object → pg_proc.prokind"""


def shown_routine(ctx: DdlContext, name: str, types: Sequence[int]) -> str:
    """``f(integer, text)`` as messages show it."""
    return f"{name}({', '.join(format_type(ctx.view, each) for each in types)})"


def find_routine(ctx: DdlContext, node: ast.ObjectWithArgs, kind: enums.ObjectType) -> Record:
    """The pg_proc row. Raises 42883, 42725, 42809."""
    parts = [item.sval for item in node.objname]
    name, schema = parts[-1], parts[-2] if len(parts) > 1 else None
    if len(parts) > 2:
        raise NotSupported("names of another database are not supported")
    spaces = [ctx.view.namespace(schema)] if schema else [oid for _, oid in ctx.view.path]
    rows = [row for space in spaces for row in ctx.rows.find("pg_proc", proname=name) if row.pronamespace == space]
    shown = ".".join(parts)
    if node.args_unspecified:
        return _only(rows, shown, kind)
    types = argument_types(ctx, node)
    # Modes that are written say that only arguments which come in are; else OUT arguments may be among them.
    modes = {each.mode for each in node.objfuncargs or ()}
    found = _fitting(rows, types, shown, kind, modes <= {enums.FunctionParameterMode.FUNC_PARAM_DEFAULT})
    if found is None:
        raise _missing(ctx, shown, types, kind)
    if found.prokind not in ROUTINES[kind]:
        signature = shown_routine(ctx, shown, types)
        if kind == _O.OBJECT_AGGREGATE:
            raise WrongObjectType(f"function {signature} is not an aggregate")
        raise WrongObjectType(f"{signature} is not a {NOUNS[kind]}")
    return found


def argument_types(ctx: DdlContext, node: ast.ObjectWithArgs) -> list[int]:
    """The types that are written."""
    found = []
    for each in node.objargs or ():
        each.location = -1
        found.append(resolve_type_name(ctx.view, each)[0])
    return found


def _only(rows: Sequence[Record], shown: str, kind: enums.ObjectType) -> Record:
    noun = NOUNS[kind]
    fitting = [row for row in rows if row.prokind in ROUTINES[kind]]
    if len(fitting) > 1:
        raise AmbiguousFunction(
            f'{noun} name "{shown}" is not unique',
            hint=f"Specify the argument list to select the {noun} unambiguously.",
        )
    if not fitting:
        article = "an" if noun == "aggregate" else "a"
        raise UndefinedFunction(f'could not find {article} {noun} named "{shown}"')
    return fitting[0]


def _fitting(
    rows: Sequence[Record], types: Sequence[int], shown: str, kind: enums.ObjectType, with_out: bool
) -> Record | None:
    """The first on the search path with these argument types; ``with_out``: of a procedure OUT arguments, too."""
    found = next((row for row in rows if list(row.proargtypes) == list(types)), None)
    if kind not in (_O.OBJECT_PROCEDURE, _O.OBJECT_ROUTINE) or not with_out:
        return found
    for row in rows:
        if row.prokind == "p" and [item.type for item in parameters_of(row)] == list(types):
            if found is not None and found.oid != row.oid:
                raise AmbiguousFunction(f'{NOUNS[kind]} name "{shown}" is not unique')
            return row
    return found


def _missing(ctx: DdlContext, shown: str, types: Sequence[int], kind: enums.ObjectType) -> SqlError:
    if kind == _O.OBJECT_AGGREGATE and not types:
        return UndefinedFunction(f"aggregate {shown}(*) does not exist")
    noun = "function" if kind == _O.OBJECT_ROUTINE else NOUNS[kind]
    return UndefinedFunction(f"{noun} {shown_routine(ctx, shown, types)} does not exist")


def check_routine_owner(
    ctx: DdlContext, row: Record, node: ast.ObjectWithArgs, kind: enums.ObjectType, *, schema_too: bool = False
) -> None:
    """42501 unless the user owns it (or, to drop it, its schema)."""
    if ctx.owns(row.proowner) or (schema_too and ctx.owns_schema(row.pronamespace)):
        return
    raise InsufficientPrivilege(f"must be owner of {NOUNS[kind]} {'.'.join(item.sval for item in node.objname)}")


def owned_routine(ctx: DdlContext, node: ast.ObjectWithArgs, kind: enums.ObjectType) -> Record:
    """The same, of the user's."""
    row = find_routine(ctx, node, kind)
    check_routine_owner(ctx, row, node, kind)
    return row


def owned_as_object(ctx: DdlContext, node: ast.ObjectWithArgs, kind: enums.ObjectType) -> Record:
    """The same, for what is done alike to objects of all kinds (name, owner, schema): the error calls it a function."""
    row = find_routine(ctx, node, kind)
    if not ctx.owns(row.proowner):
        raise InsufficientPrivilege(f"must be owner of function {row.proname}")
    return row
