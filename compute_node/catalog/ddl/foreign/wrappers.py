"""CREATE and ALTER FOREIGN DATA WRAPPER: superusers' alone."""

from __future__ import annotations

from collections.abc import Sequence

from pglast import ast

from aurora.errors import DuplicateObject, InsufficientPrivilege, SqlSyntaxError, WrongObjectType
from compute_node.catalog.ddl.context import CLASS_FOREIGN_DATA_WRAPPER, CLASS_PROC, DdlContext, cut_name
from compute_node.catalog.ddl.foreign.find import WRAPPER, find, touch
from compute_node.catalog.ddl.foreign.options import changed_options
from compute_node.catalog.ddl.functions import need_function
from compute_node.catalog.ddl.ownership import give_object
from compute_node.catalog.ddl.role_names import role_oid
from compute_node.catalog.ddl.shared_depend import record_owner
from compute_node.types import oids

_VALIDATED = (oids.TYPE_OIDS["text[]"], oids.OID)
"""the arguments of a validator: the options, the OID of the catalog that they are for"""


def create_wrapper(ctx: DdlContext, node: ast.CreateFdwStmt) -> str:
    """CREATE FOREIGN DATA WRAPPER. 42501, 42710, 42883, 42809."""
    name = cut_name(node.fdwname)
    if not ctx.rights.superuser:
        raise InsufficientPrivilege(
            f'permission denied to create foreign-data wrapper "{name}"',
            hint="Must be superuser to create a foreign-data wrapper.",
        )
    if ctx.rows.one(WRAPPER.catalog, fdwname=name) is not None:
        raise DuplicateObject(f'foreign-data wrapper "{name}" already exists')
    functions = _functions(ctx, node.func_options or ())
    handler, validator = functions.get("handler", 0), functions.get("validator", 0)
    options = changed_options(ctx, None, node.options, CLASS_FOREIGN_DATA_WRAPPER, validator)
    oid = ctx.next_oid()
    ctx.rows.insert(
        WRAPPER.catalog, oid=oid, fdwname=name, fdwowner=ctx.user_oid, fdwhandler=handler, fdwvalidator=validator,
        fdwoptions=options,
    )  # fmt: skip
    _depend_on_functions(ctx, oid, handler, validator)
    record_owner(ctx, CLASS_FOREIGN_DATA_WRAPPER, oid, ctx.user_oid)
    ctx.changes.touch()
    return "CREATE FOREIGN DATA WRAPPER"


def alter_wrapper(ctx: DdlContext, node: ast.AlterFdwStmt) -> str:
    """ALTER FOREIGN DATA WRAPPER … HANDLER, VALIDATOR, OPTIONS. 42501, 42704, 42883, 42809."""
    name = node.fdwname
    if not ctx.rights.superuser:
        raise InsufficientPrivilege(
            f'permission denied to alter foreign-data wrapper "{name}"',
            hint="Must be superuser to alter a foreign-data wrapper.",
        )
    oid = find(ctx, WRAPPER, name).oid
    ctx.lock_object(CLASS_FOREIGN_DATA_WRAPPER, oid, name)
    row = find(ctx, WRAPPER, name)
    functions = _functions(ctx, node.func_options or ())
    changed: dict[str, int] = {"handler": row.fdwhandler, "validator": row.fdwvalidator} | functions
    handler, validator = changed["handler"], changed["validator"]
    if "handler" in functions:
        ctx.notice(
            "changing the foreign-data wrapper handler can change behavior of existing foreign tables",
            severity="WARNING", sqlstate="01000",
        )  # fmt: skip
    if functions.get("validator"):
        ctx.notice(
            "changing the foreign-data wrapper validator can cause the options for dependent objects to become invalid",
            severity="WARNING", sqlstate="01000",
        )  # fmt: skip
    options = row.fdwoptions
    if node.options:
        options = changed_options(ctx, options, node.options, CLASS_FOREIGN_DATA_WRAPPER, validator)
    ctx.rows.update(WRAPPER.catalog, row, fdwhandler=handler, fdwvalidator=validator, fdwoptions=options)
    if functions:
        for each in ctx.rows.find("pg_depend", classid=CLASS_FOREIGN_DATA_WRAPPER, objid=row.oid):
            if each.refclassid == CLASS_PROC:
                ctx.rows.delete("pg_depend", each)
        _depend_on_functions(ctx, row.oid, handler, validator)
    touch(ctx, WRAPPER, row.oid)
    return "ALTER FOREIGN DATA WRAPPER"


def alter_wrapper_owner(ctx: DdlContext, name: str, spec: ast.RoleSpec) -> str:
    """ALTER FOREIGN DATA WRAPPER … OWNER TO: from a superuser to a superuser. 42501."""
    owner = role_oid(ctx, spec)
    row = find(ctx, WRAPPER, name)
    message = f'permission denied to change owner of foreign-data wrapper "{name}"'
    if not ctx.rights.superuser:
        raise InsufficientPrivilege(message, hint="Must be superuser to change owner of a foreign-data wrapper.")
    if not ctx.view.rights(owner).superuser:
        raise InsufficientPrivilege(message, hint="The owner of a foreign-data wrapper must be a superuser.")
    if row.fdwowner != owner:
        give_object(ctx, WRAPPER.owned_as, row.oid, owner)
    return "ALTER FOREIGN DATA WRAPPER"


def _functions(ctx: DdlContext, given: Sequence[ast.DefElem]) -> dict[str, int]:
    """``handler`` and ``validator``, those that are said, as OIDs; 0 for NO. 42601, 42883, 42809."""
    found: dict[str, int] = {}
    for item in given:
        if item.defname in found:
            raise SqlSyntaxError("conflicting or redundant options", position=(item.location or 0) + 1)
        if item.arg is None:
            found[item.defname] = 0
        elif item.defname == "validator":
            found["validator"] = need_function(ctx, item.arg, _VALIDATED).oid
        else:
            function = need_function(ctx, item.arg, ())
            if function.result != oids.TYPE_OIDS["fdw_handler"]:
                shown = ".".join(each.sval for each in item.arg)
                raise WrongObjectType(f"function {shown} must return type fdw_handler")
            found["handler"] = function.oid
    return found


def _depend_on_functions(ctx: DdlContext, oid: int, *functions: int) -> None:
    for function in functions:
        if function:
            ctx.depend((CLASS_FOREIGN_DATA_WRAPPER, oid, 0), (CLASS_PROC, function, 0), "n")
