"""Finding what DROP TYPE, FUNCTION, OPERATOR, CAST, OPERATOR CLASS and OPERATOR FAMILY name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from pglast import ast, enums

from aurora.errors import InsufficientPrivilege, SqlSyntaxError, UndefinedFunction, UndefinedObject, WrongObjectType
from compute_node.catalog.ddl.context import (
    CLASS_CAST,
    CLASS_OPCLASS,
    CLASS_OPERATOR,
    CLASS_OPFAMILY,
    CLASS_PROC,
    CLASS_TYPE,
    DdlContext,
)
from compute_node.catalog.ddl.dependencies import Address
from compute_node.catalog.ddl.extensions.find import dropped_extension
from compute_node.catalog.ddl.foreign import find as foreign
from compute_node.catalog.ddl.functions import argument_types
from compute_node.catalog.ddl.object_kinds import KINDS, SchemaObject
from compute_node.catalog.ddl.operator_classes import find_family
from compute_node.catalog.ddl.operators import check_operator_owner, find_operator, shown_operator
from compute_node.catalog.ddl.publications import find_publication
from compute_node.catalog.ddl.routines.find import NOUNS, check_routine_owner, find_routine
from compute_node.catalog.ddl.schema_objects import dropped
from compute_node.catalog.ddl.types import check_type_owner, find_type, type_of
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.sql.analyze.typenames import format_type


def _skips_schema(ctx: DdlContext, names: Sequence[ast.String]) -> bool:
    """IF EXISTS: whether it is the schema that does not exist; says so."""
    if len(names) < 2 or ctx.view.layer.namespace_oid(names[-2].sval) is not None:
        return False
    ctx.notice(f'schema "{names[-2].sval}" does not exist, skipping')
    return True


def _type(ctx: DdlContext, node: ast.TypeName, missing_ok: bool) -> Address | None:
    found = find_type(ctx, node, missing_ok=missing_ok)
    if found is None and _skips_schema(ctx, node.names):
        return None
    if found is None:
        ctx.notice(f'type "{".".join(item.sval for item in node.names)}" does not exist, skipping')
        return None
    if found.oid < FIRST_NORMAL_OID or not ctx.owns_schema(found.namespace):
        check_type_owner(ctx, found.oid)
    return CLASS_TYPE, found.oid, 0


def _domain(ctx: DdlContext, node: ast.TypeName, missing_ok: bool) -> Address | None:
    address = _type(ctx, node, missing_ok)
    if address is not None and ctx.view.type(address[1]).kind != "d":
        raise WrongObjectType(f'"{".".join(item.sval for item in node.names)}" is not a domain')
    return address


def _routine(kind: enums.ObjectType) -> Callable[[DdlContext, ast.ObjectWithArgs, bool], Address | None]:
    def find(ctx: DdlContext, node: ast.ObjectWithArgs, missing_ok: bool) -> Address | None:
        if missing_ok and (_skips_schema(ctx, node.objname) or _skips_types(ctx, node.objargs or ())):
            return None
        name = ".".join(item.sval for item in node.objname)
        try:
            record = find_routine(ctx, node, kind)
        except UndefinedFunction:
            if not missing_ok:
                raise
            ctx.notice(f"{NOUNS[kind]} {name}({_written(node.objargs or ())}) does not exist, skipping")
            return None
        if record.prokind == "a" and kind == enums.ObjectType.OBJECT_FUNCTION:
            raise WrongObjectType(
                f'"{name}" is an aggregate function', hint="Use DROP AGGREGATE to drop aggregate functions."
            )
        check_routine_owner(ctx, record, node, kind, schema_too=True)
        return CLASS_PROC, record.oid, 0

    return find


def _written(nodes: Sequence[ast.TypeName]) -> str:
    """A list of types as it is written, keywords as the types that they stand for."""
    texts = [".".join(item.sval for item in node.names) + "[]" * len(node.arrayBounds or ()) for node in nodes]
    return ",".join(texts)


def _skips_types(ctx: DdlContext, nodes: Sequence[ast.TypeName]) -> bool:
    """IF EXISTS: whether it is a type of the arguments that does not exist; says so."""
    for node in nodes:
        if _skips_schema(ctx, node.names):
            return True
        names = [item.sval for item in node.names]
        if ctx.view.find_type(names[-2] if len(names) > 1 else None, names[-1]) is None:
            ctx.notice(f'type "{_written((node,))}" does not exist, skipping')
            return True
    return False


def _operator(ctx: DdlContext, node: ast.ObjectWithArgs, missing_ok: bool) -> Address | None:
    if missing_ok and (_skips_schema(ctx, node.objname) or _skips_types(ctx, [each for each in node.objargs if each])):
        return None
    left, right = argument_types(ctx, node) or [0, 0]
    if not right:
        raise SqlSyntaxError("postfix operators are not supported")
    found = find_operator(ctx, node.objname, left, right)
    if found is None:
        name = ".".join(item.sval for item in node.objname)
        if not missing_ok:
            raise UndefinedFunction(f"operator does not exist: {shown_operator(ctx, name, left, right)}")
        ctx.notice(f"operator {name} does not exist, skipping")
        return None
    check_operator_owner(ctx, found.oid)
    return CLASS_OPERATOR, found.oid, 0


def owned_cast(ctx: DdlContext, names: Sequence[ast.TypeName], missing_ok: bool = False) -> Address | None:
    """A cast by its types, of which the current role owns one. None: it is not there, which ``missing_ok`` allows.
    Errors: 42501, 42704."""
    if missing_ok and _skips_types(ctx, names):
        return None
    source, target = (type_of(ctx, each) for each in names)
    record = ctx.rows.one("pg_cast", castsource=source, casttarget=target)
    shown = f"cast from type {format_type(ctx.view, source)} to type {format_type(ctx.view, target)}"
    if record is None:
        if not missing_ok:
            raise UndefinedObject(f"{shown} does not exist")
        written = [".".join(part.sval for part in each.names) for each in names]
        ctx.notice(f"cast from type {written[0]} to type {written[1]} does not exist, skipping")
        return None
    if not any(
        (row := ctx.rows.one("pg_type", oid=oid)) is not None and ctx.owns(row.typowner) for oid in (source, target)
    ):
        raise InsufficientPrivilege(
            f"must be owner of type {format_type(ctx.view, source)} or type {format_type(ctx.view, target)}"
        )
    return CLASS_CAST, record.oid, 0


def _class(ctx: DdlContext, names: Sequence[ast.String], missing_ok: bool) -> Address | None:
    method, *rest = [item.sval for item in names]
    access_method = ctx.view.access_method(method)
    if access_method is None:
        raise UndefinedObject(f'access method "{method}" does not exist')
    if missing_ok and _skips_schema(ctx, names[1:]):
        return None
    found = ctx.view.find_operator_class(rest[-2] if len(rest) > 1 else None, rest[-1], access_method)
    if found is None:
        text = f'operator class "{".".join(rest)}" does not exist for access method "{method}"'
        if not missing_ok:
            raise UndefinedObject(text)
        ctx.notice(f"{text}, skipping")
        return None
    record = ctx.rows.one("pg_opclass", oid=found.oid)
    if record is None or not ctx.owns(record.opcowner):
        raise InsufficientPrivilege(f"must be owner of operator class {rest[-1]}")
    return CLASS_OPCLASS, found.oid, 0


def _family(ctx: DdlContext, names: Sequence[ast.String], missing_ok: bool) -> Address | None:
    method = names[0].sval
    access_method = ctx.view.access_method(method)
    if access_method is None:
        raise UndefinedObject(f'access method "{method}" does not exist')
    if missing_ok and _skips_schema(ctx, names[1:]):
        return None
    record = find_family(ctx, names[1:], access_method)
    if record is None:
        shown = ".".join(item.sval for item in names[1:])
        text = f'operator family "{shown}" does not exist for access method "{method}"'
        if not missing_ok:
            raise UndefinedObject(text)
        ctx.notice(f"{text}, skipping")
        return None
    if not ctx.owns(record.opfowner):
        raise InsufficientPrivilege(f"must be owner of operator family {record.opfname}")
    return CLASS_OPFAMILY, record.oid, 0


def _in_schema(kind: SchemaObject, ctx: DdlContext, names: Sequence[ast.String], missing_ok: bool) -> Address | None:
    return dropped(ctx, kind, names, missing_ok)


OBJECTS: dict[enums.ObjectType, Callable[[DdlContext, ast.Node, bool], Address | None]] = {
    **{kind: partial(_in_schema, item) for kind, item in KINDS.items()},
    **{kind: partial(foreign.dropped, item) for kind, item in foreign.KINDS.items()},
    enums.ObjectType.OBJECT_EXTENSION: dropped_extension,
    enums.ObjectType.OBJECT_PUBLICATION: find_publication,
    enums.ObjectType.OBJECT_TYPE: _type,
    enums.ObjectType.OBJECT_DOMAIN: _domain,
    **{kind: _routine(kind) for kind in NOUNS},
    enums.ObjectType.OBJECT_OPERATOR: _operator,
    enums.ObjectType.OBJECT_CAST: owned_cast,
    enums.ObjectType.OBJECT_OPCLASS: _class,
    enums.ObjectType.OBJECT_OPFAMILY: _family,
}
