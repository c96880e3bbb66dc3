"""CREATE TYPE … AS ENUM, ALTER TYPE of enums, and finding types for DROP TYPE. Source: PostgreSQL manual, ch. 8.7."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from pglast import ast

from aurora.errors import (
    DuplicateObject,
    InsufficientPrivilege,
    InvalidName,
    InvalidParameterValue,
    InvariantViolation,
    NotSupported,
    UndefinedObject,
    UniqueViolation,
    WrongObjectType,
)
from compute_node.catalog.builders import array_type_row, enum_type_row, shell_type_row
from compute_node.catalog.ddl.context import CLASS_NAMESPACE, CLASS_TYPE, NAME_BYTES_MAX, DdlContext, cut_name
from compute_node.catalog.ddl.kept_texts import texts_follow
from compute_node.catalog.ddl.shared_depend import record_owner
from compute_node.catalog.ddl.type_users import columns_containing
from compute_node.catalog.permissions import denied
from compute_node.catalog.rows import Record
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.sql.analyze.typenames import format_type, resolve_type_name
from compute_node.types.acl import CREATE
from compute_node.types.registry import PgType


def array_name(ctx: DdlContext, namespace: int, name: str) -> str:
    """A free name for the array type of a type."""
    candidate = f"_{name}"[:NAME_BYTES_MAX]
    while ctx.view.layer.type_oid(namespace, candidate) is not None:
        candidate = f"_{candidate}"[:NAME_BYTES_MAX]
    return candidate


def type_name_taken(ctx: DdlContext, namespace: int, name: str) -> bool:
    """Whether a type has that name. An array type that was named after its elements gets another one instead."""
    oid = ctx.view.layer.type_oid(namespace, name)
    if oid is None:
        return False
    record = type_record(ctx, oid)
    element = ctx.rows.one("pg_type", oid=record.typelem) if record.typelem else None
    if element is None or element.typarray != oid or oid < FIRST_NORMAL_OID:
        return True
    ctx.rows.update("pg_type", record, typname=array_name(ctx, namespace, element.typname))
    ctx.changes.touch(oid)
    return False


def _check_label(label: str) -> None:
    if len(label.encode()) > NAME_BYTES_MAX or not label:
        raise InvalidName(f'invalid enum label "{label}"', detail=f"Labels must be {NAME_BYTES_MAX} bytes or less.")


def create_enum(ctx: DdlContext, node: ast.CreateEnumStmt) -> str:
    """CREATE TYPE … AS ENUM."""
    namespace, name = ctx.place(node.typeName)
    labels = [item.sval for item in node.vals or ()]
    if type_name_taken(ctx, namespace, name):
        raise DuplicateObject(f'type "{name}" already exists')
    oid, array = ctx.next_oid(), ctx.next_oid()
    seen: set[str] = set()
    for label in labels:
        _check_label(label)
        if label in seen:
            raise UniqueViolation(
                'duplicate key value violates unique constraint "pg_enum_typid_label_index"',
                detail=f"Key (enumtypid, enumlabel)=({oid}, {label}) already exists.",
                schema="pg_catalog",
                table="pg_enum",
                constraint="pg_enum_typid_label_index",
            )
        seen.add(label)
    owner = ctx.user_oid
    ctx.rows.insert_many(
        "pg_type",
        [
            enum_type_row(oid, name, namespace, array, owner),
            array_type_row(array, array_name(ctx, namespace, name), namespace, oid, owner, align="i"),
        ],
    )
    for number, label in enumerate(labels, 1):
        ctx.rows.insert("pg_enum", oid=ctx.next_oid(), enumtypid=oid, enumsortorder=float(number), enumlabel=label)
    record_owner(ctx, CLASS_TYPE, oid, owner)
    ctx.depend((CLASS_TYPE, oid, 0), (CLASS_NAMESPACE, namespace, 0), "n")
    ctx.depend((CLASS_TYPE, array, 0), (CLASS_TYPE, oid, 0), "i")
    ctx.changes.touch(oid)
    return "CREATE TYPE"


def create_shell(ctx: DdlContext, node: ast.DefineStmt) -> str:
    """CREATE TYPE name: a name to which functions may refer."""
    ctx.require_superuser("must be superuser to create a base type")
    namespace, name = ctx.place(node.defnames)
    if type_name_taken(ctx, namespace, name):
        raise DuplicateObject(f'type "{name}" already exists')
    oid = ctx.next_oid()
    ctx.rows.insert_many("pg_type", [shell_type_row(oid, name, namespace, ctx.user_oid)])
    record_owner(ctx, CLASS_TYPE, oid, ctx.user_oid)
    ctx.depend((CLASS_TYPE, oid, 0), (CLASS_NAMESPACE, namespace, 0), "n")
    ctx.changes.touch(oid)
    return "CREATE TYPE"


def find_type(ctx: DdlContext, node: ast.TypeName, *, missing_ok: bool = False) -> PgType | None:
    """The type that a TypeName names, not its array; 42704 unless ``missing_ok``."""
    names = [item.sval for item in node.names]
    schema = names[-2] if len(names) > 1 else None
    if schema is not None and missing_ok and ctx.view.layer.namespace_oid(schema) is None:
        return None
    found = ctx.view.find_type(schema, names[-1])
    if found is None and not missing_ok:
        raise UndefinedObject(f'type "{".".join(names)}" does not exist')
    return found


def type_of(ctx: DdlContext, node: ast.TypeName) -> int:
    """The OID of a written type, arrays too; 42704 without a position."""
    node.location = -1
    return resolve_type_name(ctx.view, node)[0]


def type_record(ctx: DdlContext, oid: int) -> Record:
    """The pg_type row of a type that must be there."""
    found = ctx.rows.one("pg_type", oid=oid)
    if found is None:
        raise UndefinedObject(f"type with OID {oid} does not exist")
    return found


def check_type_owner(ctx: DdlContext, oid: int) -> Record:
    """42501 unless the user owns the type."""
    record = type_record(ctx, oid)
    if not ctx.owns(record.typowner):
        raise InsufficientPrivilege(f"must be owner of type {format_type(ctx.view, oid)}")
    return record


def alter_enum(ctx: DdlContext, node: ast.AlterEnumStmt) -> str:
    """ALTER TYPE … ADD VALUE and RENAME VALUE."""
    kind = find_type(ctx, ast.TypeName(names=node.typeName))
    if kind is None:
        raise InvariantViolation("kind is not there")
    if kind.kind != "e":
        raise WrongObjectType(f"{format_type(ctx.view, kind.oid)} is not an enum")
    check_type_owner(ctx, kind.oid)
    labels = sorted(ctx.rows.find("pg_enum", enumtypid=kind.oid), key=lambda row: float(row.enumsortorder))
    if node.oldVal is not None:
        _rename_value(ctx, labels, node)
    else:
        _add_value(ctx, kind.oid, labels, node)
    ctx.changes.touch(kind.oid)
    return "ALTER TYPE"


def _rename_value(ctx: DdlContext, labels: list[Record], node: ast.AlterEnumStmt) -> None:
    _check_label(node.newVal)
    record = next((row for row in labels if row.enumlabel == node.oldVal), None)
    if record is None:
        raise InvalidParameterValue(f'"{node.oldVal}" is not an existing enum label')
    if any(row.enumlabel == node.newVal for row in labels):
        raise DuplicateObject(f'enum label "{node.newVal}" already exists')
    with texts_follow(ctx, [node.oldVal], (CLASS_TYPE, record.enumtypid)):
        ctx.rows.update("pg_enum", record, enumlabel=node.newVal)
        ctx.changes.touch(record.enumtypid)


def _add_value(ctx: DdlContext, oid: int, labels: list[Record], node: ast.AlterEnumStmt) -> None:
    _check_label(node.newVal)
    if any(row.enumlabel == node.newVal for row in labels):
        if not node.skipIfNewValExists:
            raise DuplicateObject(f'enum label "{node.newVal}" already exists')
        ctx.notice(f'enum label "{node.newVal}" already exists, skipping', sqlstate="42710")
        return
    label = ctx.next_oid()
    order = _place(labels, node)
    if order is None:
        labels = _renumber(ctx, oid, labels)
        order = _place(labels, node)
    if order is None:
        raise InvariantViolation(f"no place among the labels of enum {oid}")
    ctx.rows.insert("pg_enum", oid=label, enumtypid=oid, enumsortorder=order, enumlabel=node.newVal)
    ctx.rows.new_labels.add(label)


def _place(labels: list[Record], node: ast.AlterEnumStmt) -> float | None:
    """The order of a new label; None when there is no float4 between its neighbours."""
    orders = [float(row.enumsortorder) for row in labels]
    if node.newValNeighbor is None:
        return orders[-1] + 1 if orders else 1.0
    at = next((index for index, row in enumerate(labels) if row.enumlabel == node.newValNeighbor), None)
    if at is None:
        raise InvalidParameterValue(f'"{node.newValNeighbor}" is not an existing enum label')
    low, high = (at, at + 1) if node.newValIsAfter else (at - 1, at)
    if low < 0:
        return orders[high] - 1
    if high == len(orders):
        return orders[low] + 1
    (middle,) = struct.unpack("<f", struct.pack("<f", (orders[low] + orders[high]) / 2))
    return float(middle) if orders[low] < middle < orders[high] else None


def _renumber(ctx: DdlContext, oid: int, labels: list[Record]) -> list[Record]:
    """The labels in the same order with numbers from 1. 0A000 when an index has values of the type: orders are part of
    its keys."""
    for desc, _ in columns_containing(ctx, oid):
        for index in desc.indexes:
            if any(oid in {kind, *ctx.view.type(kind).parts} for kind in index.key_types):
                raise NotSupported(
                    f'there is no room for another label, and index "{index.name}" is in the order of the labels',
                    hint="Drop the index, add the label and create the index again.",
                )
    for number in range(len(labels), 0, -1):  # upwards first: no two are the same in between
        ctx.rows.update("pg_enum", labels[number - 1], enumsortorder=float(number))
    return sorted(ctx.rows.find("pg_enum", enumtypid=oid), key=lambda row: float(row.enumsortorder))


def _altered(ctx: DdlContext, names: Sequence[ast.String], domain: bool) -> tuple[PgType, Record]:
    """The type that ALTER TYPE or ALTER DOMAIN names, and its row; 42809 when that is no domain."""
    kind = find_type(ctx, ast.TypeName(names=names))
    if kind is None:
        raise InvariantViolation("kind is not there")
    record = check_type_owner(ctx, kind.oid)
    if domain and kind.kind != "d":
        raise WrongObjectType(f"{format_type(ctx.view, kind.oid)} is not a domain")
    return kind, record


def _refuse_row_type(ctx: DdlContext, kind: PgType, record: Record) -> None:
    """42809 for a table's row type and for an array type, which go with what they belong to."""
    shown = format_type(ctx.view, kind.oid)
    if kind.kind == "c":
        row = ctx.rows.one("pg_class", oid=record.typrelid)
        if row is not None and row.relkind != "c":
            raise WrongObjectType(f"{shown} is a table's row type", hint="Use ALTER TABLE instead.")
    if record.typelem and record.typcategory == "A":
        element = format_type(ctx.view, record.typelem)
        raise WrongObjectType(
            f"cannot alter array type {shown}",
            hint=f"You can alter type {element}, which will alter the array type as well.",
        )


def _update_relation(ctx: DdlContext, record: Record, **values: Any) -> None:
    """The same change in pg_class of a composite type."""
    row = ctx.rows.one("pg_class", oid=record.typrelid) if record.typtype == "c" else None
    if row is not None:
        ctx.rows.update("pg_class", row, **values)
        ctx.changes.touch(row.oid)


def rename_type(ctx: DdlContext, names: Sequence[ast.String], new: str, *, domain: bool = False) -> str:
    """ALTER TYPE … RENAME TO, ALTER DOMAIN … RENAME TO."""
    kind, record = _altered(ctx, names, domain)
    _refuse_row_type(ctx, kind, record)
    new = cut_name(new)
    if type_name_taken(ctx, record.typnamespace, new):
        raise DuplicateObject(f'type "{new}" already exists')
    with texts_follow(ctx, [record.typname], (CLASS_TYPE, kind.oid)):
        ctx.rows.update("pg_type", record, typname=new)
        _update_relation(ctx, record, relname=new)
        if record.typarray:
            array = type_record(ctx, record.typarray)
            ctx.rows.update("pg_type", array, typname=array_name(ctx, record.typnamespace, new))
        ctx.changes.touch(kind.oid)
    return "ALTER DOMAIN" if domain else "ALTER TYPE"


def set_type_schema(ctx: DdlContext, names: Sequence[ast.String], schema: str, *, domain: bool = False) -> str:
    """ALTER TYPE … SET SCHEMA, ALTER DOMAIN … SET SCHEMA."""
    namespace = ctx.view.namespace(schema)
    if not ctx.rights.schema(namespace, CREATE):
        raise denied("schema", schema)
    kind, record = _altered(ctx, names, domain)
    if ctx.view.layer.type_oid(namespace, kind.name) is not None:
        raise DuplicateObject(f'type "{kind.name}" already exists in schema "{schema}"')
    _refuse_row_type(ctx, kind, record)
    with texts_follow(ctx, [record.typname], (CLASS_TYPE, kind.oid)):
        for oid in (kind.oid, record.typarray):
            if oid:
                ctx.rows.update("pg_type", type_record(ctx, oid), typnamespace=namespace)
        _update_relation(ctx, record, relnamespace=namespace)
        ctx.changes.touch(kind.oid)
    for row in ctx.rows.find("pg_depend", classid=CLASS_TYPE, objid=kind.oid, objsubid=0):
        if row.refclassid == CLASS_NAMESPACE:
            ctx.rows.update("pg_depend", row, refobjid=namespace)
    for row in ctx.rows.find("pg_constraint", contypid=kind.oid):
        ctx.rows.update("pg_constraint", row, connamespace=namespace)
    ctx.changes.touch(kind.oid)
    return "ALTER DOMAIN" if domain else "ALTER TYPE"
