"""Operators, operator classes and operator families as objects in schemas: RENAME, SET SCHEMA, OWNER TO, COMMENT ON;
and ALTER OPERATOR … SET (PostgreSQL manual, ALTER OPERATOR, ALTER OPERATOR CLASS, ALTER OPERATOR FAMILY)."""

from __future__ import annotations

from collections.abc import Sequence

from pglast import ast, enums

from aurora.errors import (
    InsufficientPrivilege,
    InvalidFunctionDefinition,
    InvariantViolation,
    SqlSyntaxError,
    UndefinedFunction,
    UndefinedObject,
)
from compute_node.catalog.ddl.context import (
    CLASS_OPCLASS,
    CLASS_OPERATOR,
    CLASS_OPFAMILY,
    CLASS_PROC,
    DdlContext,
)
from compute_node.catalog.ddl.functions import argument_types
from compute_node.catalog.ddl.operator_classes import find_family
from compute_node.catalog.ddl.operators import estimator, find_operator, shown_operator
from compute_node.catalog.ddl.schema_objects import KINDS, SchemaObject, dotted
from compute_node.catalog.rows import Record
from compute_node.types import oids

_O = enums.ObjectType


def _operator(ctx: DdlContext, node: ast.ObjectWithArgs) -> Record:
    left, right = argument_types(ctx, node) or [0, 0]
    if not right:
        raise SqlSyntaxError("postfix operators are not supported")
    found = find_operator(ctx, node.objname, left, right)
    row = None if found is None else ctx.rows.one("pg_operator", oid=found.oid)
    if row is None:
        raise UndefinedFunction(f"operator does not exist: {shown_operator(ctx, dotted(node.objname), left, right)}")
    return row


def _method(ctx: DdlContext, name: str) -> int:
    found = ctx.view.access_method(name)
    if found is None:
        raise UndefinedObject(f'access method "{name}" does not exist')
    return found


def _class(ctx: DdlContext, names: Sequence[ast.String]) -> Record:
    method, rest = _method(ctx, names[0].sval), [item.sval for item in names[1:]]
    found = ctx.view.find_operator_class(rest[-2] if len(rest) > 1 else None, rest[-1], method)
    row = None if found is None else ctx.rows.one("pg_opclass", oid=found.oid)
    if row is None:
        shown = ".".join(rest)
        raise UndefinedObject(f'operator class "{shown}" does not exist for access method "{names[0].sval}"')
    return row


def family(ctx: DdlContext, names: Sequence[ast.String]) -> Record:
    """The family of an access method's name and its own. 42704."""
    row = find_family(ctx, names[1:], _method(ctx, names[0].sval))
    if row is None:
        shown = dotted(names[1:])
        raise UndefinedObject(f'operator family "{shown}" does not exist for access method "{names[0].sval}"')
    return row


def _behind_method(names: Sequence[ast.String]) -> str:
    return dotted(names[1:])


LOCATED: dict[enums.ObjectType, SchemaObject] = {
    _O.OBJECT_OPERATOR: SchemaObject(
        "pg_operator", "opr", "operator", CLASS_OPERATOR, locate=_operator,
        written=lambda node: dotted(node.objname), also=("oprleft", "oprright"),
    ),
    _O.OBJECT_OPCLASS: SchemaObject(
        "pg_opclass", "opc", "operator class", CLASS_OPCLASS, locate=_class, written=_behind_method,
        also=("opcmethod",),
    ),
    _O.OBJECT_OPFAMILY: SchemaObject(
        "pg_opfamily", "opf", "operator family", CLASS_OPFAMILY, locate=family, written=_behind_method,
        also=("opfmethod",),
    ),
}  # fmt: skip
ALL = KINDS | LOCATED
"""Every kind of object that is one row in a schema, with an owner and no privileges."""

_FIXED = frozenset(("leftarg", "rightarg", "function", "procedure", "commutator", "negator", "hashes", "merges"))


def alter_operator(ctx: DdlContext, node: ast.AlterOperatorStmt) -> str:
    """ALTER OPERATOR … SET: its selectivity estimators. 42601, 42501, 42P13."""
    row = _operator(ctx, node.opername)
    given: dict[str, ast.DefElem] = {}
    for option in node.options or ():
        if option.defname in _FIXED:
            raise SqlSyntaxError(f'operator attribute "{option.defname}" cannot be changed')
        if option.defname not in ("restrict", "join"):
            raise SqlSyntaxError(f'operator attribute "{option.defname}" not recognized')
        given[option.defname] = option
    if not ctx.owns(row.oprowner):
        raise InsufficientPrivilege(f"must be owner of operator {row.oprname}")
    values = {
        column: estimator(ctx, given[word])
        for word, column in (("restrict", "oprrest"), ("join", "oprjoin"))
        if word in given
    }
    if not row.oprleft and values.get("oprjoin"):
        raise InvalidFunctionDefinition("only binary operators can have join selectivity")
    if row.oprresult != oids.BOOL:
        for column, what in (("oprrest", "restriction"), ("oprjoin", "join")):
            if values.get(column):
                raise InvalidFunctionDefinition(f"only boolean operators can have {what} selectivity")
    ctx.rows.update("pg_operator", row, **values)
    changed = ctx.rows.one("pg_operator", oid=row.oid)
    if changed is None:
        raise InvariantViolation(f"operator {row.oid} went away while it was altered")
    for entry in ctx.rows.find("pg_depend", classid=CLASS_OPERATOR, objid=row.oid, objsubid=0):
        if entry.refclassid == CLASS_PROC:
            ctx.rows.delete("pg_depend", entry)
    for oid in {changed.oprcode, changed.oprrest, changed.oprjoin} - {0}:
        ctx.depend((CLASS_OPERATOR, row.oid, 0), (CLASS_PROC, oid, 0), "n")
    ctx.changes.touch(row.oid)
    return "ALTER OPERATOR"
