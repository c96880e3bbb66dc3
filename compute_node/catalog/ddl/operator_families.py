"""ALTER OPERATOR FAMILY … ADD and DROP: members between types, outside of any operator class (PostgreSQL manual, ALTER
OPERATOR FAMILY)."""

from __future__ import annotations

from pglast import ast

from aurora.errors import DuplicateObject, UndefinedObject
from compute_node.catalog.ddl.context import CLASS_OPERATOR, CLASS_OPFAMILY, CLASS_PROC, DdlContext
from compute_node.catalog.ddl.operator_classes import (
    Member,
    check_number,
    check_once,
    class_types,
    find_family,
    members,
)
from compute_node.catalog.rows import Record
from compute_node.relations.schema import BTREE_AM
from compute_node.sql.analyze.typenames import format_type

_OPERATOR = 1


def alter_operator_family(ctx: DdlContext, node: ast.AlterOpFamilyStmt) -> str:
    """ADD or DROP; superusers alone. 42704, 42710, 42P17."""
    method = ctx.view.access_method(node.amname)
    if method is None:
        raise UndefinedObject(f'access method "{node.amname}" does not exist')
    family = find_family(ctx, node.opfamilyname, method)
    if family is None:
        shown = ".".join(item.sval for item in node.opfamilyname)
        raise UndefinedObject(f'operator family "{shown}" does not exist for access method "{node.amname}"')
    ctx.require_superuser("must be superuser to alter an operator family")
    if node.isDrop:
        _drop(ctx, family, node, method)
    else:
        _add(ctx, family, node, method)
    ctx.changes.touch(family.oid)
    return "ALTER OPERATOR FAMILY"


def _shown(ctx: DdlContext, what: str, number: int, left: int, right: int) -> str:
    return f"{what} {number}({format_type(ctx.view, left)},{format_type(ctx.view, right)})"


def _find(ctx: DdlContext, family: Record, prefix: str, number: int, left: int, right: int) -> Record | None:
    column = "amopstrategy" if prefix == "amop" else "amprocnum"
    keys = {f"{prefix}family": family.oid, f"{prefix}lefttype": left, f"{prefix}righttype": right, column: number}
    return ctx.rows.one("pg_amop" if prefix == "amop" else "pg_amproc", **keys)


def _add(ctx: DdlContext, family: Record, node: ast.AlterOpFamilyStmt, method: int) -> None:
    operators, functions = members(ctx, node.items or (), 0, method)
    for prefix, what, found in (("amop", "operator", operators), ("amproc", "function", functions)):
        for number, _, left, right in found:
            if _find(ctx, family, prefix, number, left, right) is not None:
                text = _shown(ctx, what, number, left, right)
                raise DuplicateObject(f'{text} already exists in operator family "{family.opfname}"')
    orders = _orders(ctx, node)
    for strategy, operator, left, right in operators:
        order = orders.get(strategy, 0)
        ctx.rows.insert(
            "pg_amop", oid=ctx.next_oid(), amopfamily=family.oid, amoplefttype=left, amoprighttype=right,
            amopstrategy=strategy, amoppurpose="o" if order else "s", amopopr=operator, amopmethod=method,
            amopsortfamily=order,
        )  # fmt: skip
        ctx.depend((CLASS_OPFAMILY, family.oid, 0), (CLASS_OPERATOR, operator, 0), "n")
    for number, function, left, right in functions:
        ctx.rows.insert(
            "pg_amproc", oid=ctx.next_oid(), amprocfamily=family.oid, amproclefttype=left, amprocrighttype=right,
            amprocnum=number, amproc=function,
        )  # fmt: skip
        ctx.depend((CLASS_OPFAMILY, family.oid, 0), (CLASS_PROC, function, 0), "n")


def _orders(ctx: DdlContext, node: ast.AlterOpFamilyStmt) -> dict[int, int]:
    """Strategies of operators that only order → the B-tree family whose order it is."""
    found = {}
    for item in node.items or ():
        if item.itemtype == _OPERATOR and item.order_family:
            row = find_family(ctx, item.order_family, BTREE_AM)
            if row is None:
                shown = ".".join(each.sval for each in item.order_family)
                raise UndefinedObject(f'operator family "{shown}" does not exist for access method "btree"')
            found[item.number] = row.oid
    return found


def _drop(ctx: DdlContext, family: Record, node: ast.AlterOpFamilyStmt, method: int) -> None:
    operators: list[Member] = []
    functions: list[Member] = []
    for item in node.items or ():
        check_number(item, method)
        types = class_types(ctx, item)
        (operators if item.itemtype == _OPERATOR else functions).append((item.number, 0, types[0], types[-1]))
    check_once(ctx, operators, "operator")
    check_once(ctx, functions, "function")
    for prefix, what, found in (("amop", "operator", operators), ("amproc", "function", functions)):
        for number, _, left, right in found:
            row = _find(ctx, family, prefix, number, left, right)
            if row is None:
                text = _shown(ctx, what, number, left, right)
                raise UndefinedObject(f'{text} does not exist in operator family "{family.opfname}"')
            ctx.rows.delete("pg_amop" if prefix == "amop" else "pg_amproc", row)
            _forget(ctx, family, row.amopopr if prefix == "amop" else row.amproc, prefix)


def _forget(ctx: DdlContext, family: Record, member: int, prefix: str) -> None:
    """The family does not depend on the member any more."""
    target = CLASS_OPERATOR if prefix == "amop" else CLASS_PROC
    for entry in ctx.rows.find("pg_depend", classid=CLASS_OPFAMILY, objid=family.oid, objsubid=0):
        if (entry.refclassid, entry.refobjid) == (target, member):
            ctx.rows.delete("pg_depend", entry)
            return
