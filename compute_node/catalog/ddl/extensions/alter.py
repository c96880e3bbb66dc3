"""ALTER EXTENSION: UPDATE, ADD and DROP of members, SET SCHEMA."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from pglast import ast, enums

from aurora.errors import (
    InsufficientPrivilege,
    InvalidObjectDefinition,
    InvalidParameterValue,
    NotSupported,
    ObjectNotInPrerequisiteState,
    UndefinedObject,
    WrongObjectType,
)
from compute_node.catalog.ddl.context import (
    CLASS_EXTENSION,
    CLASS_NAMESPACE,
    CLASS_PROC,
    CLASS_RELATION,
    CLASS_TYPE,
    DdlContext,
)
from compute_node.catalog.ddl.dependencies import Address, describe, extension_of
from compute_node.catalog.ddl.drop import range_var_of
from compute_node.catalog.ddl.drop_objects import OBJECTS
from compute_node.catalog.ddl.extensions import members
from compute_node.catalog.ddl.extensions.create import advance
from compute_node.catalog.ddl.extensions.find import extension, owned_extension
from compute_node.catalog.ddl.kept_texts import texts_follow
from compute_node.catalog.ddl.object_kinds import KINDS
from compute_node.catalog.permissions import denied
from compute_node.catalog.rows import Record
from compute_node.extensions.controls import check_name, control, path
from compute_node.relations.schema import CATALOGS_BY_OID
from compute_node.types.acl import CREATE

_O = enums.ObjectType
_RELATIONS = {
    _O.OBJECT_TABLE: ("rp", "a table"),
    _O.OBJECT_VIEW: ("v", "a view"),
    _O.OBJECT_MATVIEW: ("m", "a materialized view"),
    _O.OBJECT_SEQUENCE: ("S", "a sequence"),
    _O.OBJECT_FOREIGN_TABLE: ("f", "a foreign table"),
}
_NEVER = (_O.OBJECT_EXTENSION, _O.OBJECT_INDEX, _O.OBJECT_DATABASE, _O.OBJECT_ROLE, _O.OBJECT_TABLESPACE)
"""kinds that the grammar takes and no extension has"""
_NAMESPACE_COLUMNS = {
    CLASS_RELATION: "relnamespace", CLASS_TYPE: "typnamespace", CLASS_PROC: "pronamespace",
    **{kind.class_oid: f"{kind.prefix}namespace" for kind in KINDS.values()},
}  # fmt: skip
_NAME_COLUMNS = {
    CLASS_RELATION: "relname", CLASS_TYPE: "typname", CLASS_PROC: "proname",
    **{kind.class_oid: f"{kind.prefix}name" for kind in KINDS.values()},
}  # fmt: skip


def update(ctx: DdlContext, node: ast.AlterExtensionStmt) -> str:
    """ALTER EXTENSION … UPDATE [TO version]. 22023, 42501."""
    _check_alone(ctx)
    name = node.extname
    row = owned_extension(ctx, name)
    item = control(name)
    given = [each.arg.sval for each in node.options or () if each.defname == "new_version"]
    version = given[0] if given else item.default_version
    if version is None:
        raise InvalidParameterValue("version to install must be specified")
    check_name("extension version", version)
    if version == row.extversion:
        ctx.notice(f'version "{version}" of extension "{name}" is already installed')
        return "ALTER EXTENSION"
    way = path(item, row.extversion, version)
    if way is None:
        raise InvalidParameterValue(
            f'extension "{name}" has no update path from version "{row.extversion}" to version "{version}"'
        )
    advance(ctx, item, row.oid, row.extversion, way)
    return "ALTER EXTENSION"


def _check_alone(ctx: DdlContext) -> None:
    if ctx.session.creating_extension:
        raise NotSupported("nested ALTER EXTENSION is not supported")


def change_contents(ctx: DdlContext, node: ast.AlterExtensionContentsStmt) -> str:
    """ALTER EXTENSION … ADD | DROP object. 55000, 42P17, 42501."""
    row = owned_extension(ctx, node.extname)
    if node.objtype in _NEVER:
        raise InvalidObjectDefinition("cannot add an object of this type to an extension")
    address = _member(ctx, node.objtype, node.object)
    if node.action > 0:
        if address == (CLASS_NAMESPACE, row.extnamespace, 0):
            shown = ctx.view.namespace_name(row.extnamespace)
            raise ObjectNotInPrerequisiteState(
                f'cannot add schema "{shown}" to extension "{row.extname}" because the schema contains the extension'
            )
        owner = extension_of(ctx, address)
        if owner == row.oid:
            raise ObjectNotInPrerequisiteState(
                f'{describe(ctx, address)} is already a member of extension "{row.extname}"'
            )
        members.join(ctx, address, row.oid)
    else:
        _leave(ctx, address, row)
    ctx.changes.touch()
    return "ALTER EXTENSION"


def _leave(ctx: DdlContext, address: Address, row: Record) -> None:
    if extension_of(ctx, address) != row.oid:
        raise ObjectNotInPrerequisiteState(f'{describe(ctx, address)} is not a member of extension "{row.extname}"')
    for each in ctx.rows.find("pg_depend", classid=address[0], objid=address[1]):
        if each.deptype == "e" and (each.refclassid, each.refobjid) == (CLASS_EXTENSION, row.oid):
            ctx.rows.delete("pg_depend", each)
    if address[0] == CLASS_RELATION and row.extconfig and address[1] in row.extconfig:
        at = row.extconfig.index(address[1])
        configured = [*row.extconfig[:at], *row.extconfig[at + 1 :]]
        conditions = [*row.extcondition[:at], *row.extcondition[at + 1 :]]
        ctx.rows.update(
            "pg_extension", row, extconfig=configured or None, extcondition=conditions if configured else None
        )


def _member(ctx: DdlContext, kind: enums.ObjectType, named: Any) -> Address:
    """The object that is named, which the user owns."""
    if kind in _RELATIONS:
        name = range_var_of(named)
        desc = ctx.find(name)
        if desc is None:
            raise UndefinedObject(f'relation "{name.relname}" does not exist')
        relkinds, shown = _RELATIONS[kind]
        if desc.kind not in relkinds:
            raise WrongObjectType(f'"{desc.name}" is not {shown}')
        ctx.check_owner(desc)
        return CLASS_RELATION, desc.oid, 0
    if kind == _O.OBJECT_SCHEMA:
        record = ctx.rows.one("pg_namespace", oid=ctx.view.namespace(named.sval))
        if record is None or not ctx.owns(record.nspowner):
            raise denied("schema", named.sval)
        return CLASS_NAMESPACE, record.oid, 0
    finder = OBJECTS.get(kind)
    if finder is None:
        what = kind.name.removeprefix("OBJECT_").replace("_", " ")
        raise NotSupported(f"ALTER EXTENSION ... ADD {what} is not supported")
    address = finder(ctx, named, False)
    if address is None:
        raise UndefinedObject("the object does not exist")
    return address


def set_schema(ctx: DdlContext, name: str, schema: str) -> str:
    """ALTER EXTENSION … SET SCHEMA: all members go along. 0A000 for one that is not relocatable."""
    extension(ctx, name)
    namespace = ctx.view.schema_oid(schema)
    if not ctx.rights.schema(namespace, CREATE):
        raise denied("schema", schema)
    row = owned_extension(ctx, name)
    if not row.extrelocatable:
        raise NotSupported(f'extension "{name}" does not support SET SCHEMA')
    if namespace == row.extnamespace:
        return "ALTER EXTENSION"
    moved = sorted(  # as they were made: the first that cannot go is told
        (
            (each.classid, each.objid)
            for each in ctx.rows.find("pg_depend", refclassid=CLASS_EXTENSION, refobjid=row.oid)
            if each.deptype == "e" and each.classid in _NAMESPACE_COLUMNS
        ),
        key=itemgetter(1),
    )
    with texts_follow(ctx, _names(ctx, moved), *moved):
        for class_oid, oid in moved:
            _move(ctx, row, class_oid, oid, namespace)
        ctx.changes.touch(*(oid for _, oid in moved))
    ctx.rows.update("pg_extension", row, extnamespace=namespace)
    _depend_on_schema(ctx, (CLASS_EXTENSION, row.oid, 0), namespace)
    ctx.changes.touch(*(oid for _, oid in moved))
    return "ALTER EXTENSION"


def _names(ctx: DdlContext, moved: Sequence[tuple[int, int]]) -> list[str]:
    found = []
    for class_oid, oid in moved:
        record = ctx.rows.one(CATALOGS_BY_OID[class_oid].desc.name, oid=oid)
        if record is not None:
            found.append(str(getattr(record, _NAME_COLUMNS[class_oid])))
    return found


def _move(ctx: DdlContext, extension_row: Record, class_oid: int, oid: int, namespace: int) -> None:
    catalog, column = CATALOGS_BY_OID[class_oid].desc.name, _NAMESPACE_COLUMNS[class_oid]
    record = ctx.rows.one(catalog, oid=oid)
    if record is None:
        raise UndefinedObject(f"object {oid} of {catalog} does not exist")
    if not ctx.owns(getattr(record, column.replace("namespace", "owner"))):
        noun, _, name = describe(ctx, (class_oid, oid, 0)).partition(" ")
        raise InsufficientPrivilege(f"must be owner of {noun} {name.partition('(')[0]}")
    if getattr(record, column) != extension_row.extnamespace:
        raise NotSupported(
            f'extension "{extension_row.extname}" does not support SET SCHEMA',
            detail=f"{describe(ctx, (class_oid, oid, 0))} is not in the extension's schema "
            f'"{ctx.view.namespace_name(extension_row.extnamespace)}"',
        )
    ctx.rows.update(catalog, record, **{column: namespace})
    _depend_on_schema(ctx, (class_oid, oid, 0), namespace)
    if class_oid == CLASS_RELATION:
        for each in ctx.rows.find("pg_type", oid=record.reltype):
            _move_type(ctx, each, namespace)
        for each in ctx.rows.find("pg_index", indrelid=oid):
            for index in ctx.rows.find("pg_class", oid=each.indexrelid):
                ctx.rows.update("pg_class", index, relnamespace=namespace)
        for each in ctx.rows.find("pg_constraint", conrelid=oid):
            ctx.rows.update("pg_constraint", each, connamespace=namespace)
    if class_oid == CLASS_TYPE:
        for each in ctx.rows.find("pg_type", oid=record.typarray):
            ctx.rows.update("pg_type", each, typnamespace=namespace)
        for each in ctx.rows.find("pg_class", oid=record.typrelid):
            ctx.rows.update("pg_class", each, relnamespace=namespace)
        for each in ctx.rows.find("pg_constraint", contypid=oid):
            ctx.rows.update("pg_constraint", each, connamespace=namespace)


def _move_type(ctx: DdlContext, record: Record, namespace: int) -> None:
    ctx.rows.update("pg_type", record, typnamespace=namespace)
    for array in ctx.rows.find("pg_type", oid=record.typarray):
        ctx.rows.update("pg_type", array, typnamespace=namespace)


def _depend_on_schema(ctx: DdlContext, address: Address, namespace: int) -> None:
    for each in ctx.rows.find("pg_depend", classid=address[0], objid=address[1]):
        if each.refclassid == CLASS_NAMESPACE and each.deptype == "n":
            ctx.rows.delete("pg_depend", each)
    ctx.depend(address, (CLASS_NAMESPACE, namespace, 0), "n")
