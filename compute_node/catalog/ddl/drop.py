"""DROP TABLE, VIEW, INDEX, SEQUENCE, SCHEMA: names → objects, then ``dependencies.drop``."""

from __future__ import annotations

from collections.abc import Sequence

from pglast import ast, enums

from aurora.errors import (
    InsufficientPrivilege,
    InvalidSchemaName,
    InvariantViolation,
    NotSupported,
    UndefinedObject,
    UndefinedTable,
    WrongObjectType,
)
from compute_node.catalog.ddl.absent_objects import ABSENT, tell_absent
from compute_node.catalog.ddl.concurrently import Parts, drop_beside_others, is_concurrent
from compute_node.catalog.ddl.context import CLASS_NAMESPACE, CLASS_RELATION, DdlContext
from compute_node.catalog.ddl.dependencies import Address, drop, refresh_has_index
from compute_node.catalog.ddl.drop_objects import OBJECTS
from compute_node.catalog.ddl.policies import drop_policies
from compute_node.catalog.ddl.relation import class_record, relation
from compute_node.catalog.ddl.rules import drop_rules
from compute_node.catalog.inheritance import descendants_of
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.schema import FIRST_NORMAL_OID, NAMESPACE_TOAST
from compute_node.sql.command_tags import command_tag
from compute_node.txn.locks import ACCESS_EXCLUSIVE, SHARE_UPDATE_EXCLUSIVE

_RELATIONS = {
    enums.ObjectType.OBJECT_TABLE: ("table", "r"),
    enums.ObjectType.OBJECT_VIEW: ("view", "v"),
    enums.ObjectType.OBJECT_MATVIEW: ("materialized view", "m"),
    enums.ObjectType.OBJECT_INDEX: ("index", "i"),
    enums.ObjectType.OBJECT_SEQUENCE: ("sequence", "S"),
    enums.ObjectType.OBJECT_FOREIGN_TABLE: ("foreign table", "f"),
}
_ALSO = {("p", "r"), ("I", "i")}
"""a partitioned table is a table, a partitioned index an index"""
_ARTICLES = {"index": "an index"}


def range_var_of(names: Sequence[ast.String]) -> ast.RangeVar:
    """A qualified name list as a RangeVar."""
    parts = [item.sval for item in names]
    return ast.RangeVar(
        catalogname=parts[-3] if len(parts) > 2 else None,
        schemaname=parts[-2] if len(parts) > 1 else None,
        relname=parts[-1],
        inh=True,
        relpersistence="p",
        location=-1,
    )


def drop_statement(ctx: DdlContext, node: ast.DropStmt) -> str:
    """DROP of relations, schemas, types, functions, operators, casts and operator classes."""
    cascade = node.behavior == enums.DropBehavior.DROP_CASCADE
    if node.removeType == enums.ObjectType.OBJECT_SCHEMA:
        targets = _schemas(ctx, node)
        if targets:
            drop(ctx, targets, cascade=cascade)
        return "DROP SCHEMA"
    finder = OBJECTS.get(node.removeType)
    if finder is not None:
        found = [target for item in node.objects if (target := finder(ctx, item, bool(node.missing_ok))) is not None]
        if found:
            drop(ctx, list(dict.fromkeys(found)), cascade=cascade)
        return command_tag(node)
    if node.concurrent and (len(node.objects) > 1 or cascade):
        what = "CASCADE" if len(node.objects) == 1 else "dropping multiple objects"
        raise NotSupported(f"DROP INDEX CONCURRENTLY does not support {what}")
    if node.removeType == enums.ObjectType.OBJECT_POLICY:
        return drop_policies(ctx, node)
    if node.removeType == enums.ObjectType.OBJECT_RULE:
        return drop_rules(ctx, node)
    if node.removeType in ABSENT:
        for item in node.objects:
            tell_absent(ctx, node.removeType, item, bool(node.missing_ok))
        return command_tag(node)
    if node.removeType not in _RELATIONS:
        what = node.removeType.name.removeprefix("OBJECT_").replace("_", " ")
        raise NotSupported(f"DROP {what} is not supported")
    noun, kind = _RELATIONS[node.removeType]
    targets = []
    tables: list[int] = []
    for names in node.objects:
        name = range_var_of(names)
        beside = kind == "i" and is_concurrent(ctx, name, bool(node.concurrent))
        mode = SHARE_UPDATE_EXCLUSIVE if beside else ACCESS_EXCLUSIVE
        desc = _relation(ctx, name, noun, kind, bool(node.missing_ok), mode)
        if desc is not None:
            if node.concurrent and desc.persistence != "t" and class_record(ctx, desc.oid).relkind == "I":
                raise NotSupported(f'cannot drop partitioned index "{desc.name}" concurrently')
            if beside:
                with Parts(ctx, relation(ctx, _table_of(ctx, desc.oid))) as parts:
                    drop_beside_others(parts, [desc.oid])
                continue
            targets.append((CLASS_RELATION, desc.oid, 0))
            if kind == "i":
                tables.append(_table_of(ctx, desc.oid))
    if targets:
        drop(ctx, list(dict.fromkeys(targets)), cascade=cascade)
    for table in tables:
        refresh_has_index(ctx, table)
    return f"DROP {noun.upper()}"


def _table_of(ctx: DdlContext, index: int) -> int:
    record = ctx.rows.one("pg_index", indexrelid=index)
    if record is None:
        raise InvariantViolation(f"pg_index has no row {index}")
    return int(record.indrelid)


def _relation(
    ctx: DdlContext, name: ast.RangeVar, noun: str, kind: str, missing_ok: bool, mode: int = ACCESS_EXCLUSIVE
) -> RelationDesc | None:
    """The relation that is to be dropped, locked; an index with its table."""
    if name.schemaname is not None and ctx.view.layer.namespace_oid(name.schemaname) is None:
        if not missing_ok:
            raise InvalidSchemaName(f'schema "{name.schemaname}" does not exist')
        ctx.notice(f'schema "{name.schemaname}" does not exist, skipping')
        return None
    desc = ctx.find(name, missing_ok=True)
    if desc is None:
        if not missing_ok:
            error = UndefinedObject if kind in "if" else UndefinedTable
            raise error(f'{noun} "{name.relname}" does not exist')
        ctx.notice(f'{noun} "{name.relname}" does not exist, skipping')
        return None
    if desc.kind != kind and (desc.kind, kind) not in _ALSO:
        actual = "type" if desc.kind == "c" else desc.noun
        raise WrongObjectType(
            f'"{desc.name}" is not {_ARTICLES.get(noun, "a " + noun)}',
            hint=f"Use DROP {actual.upper()} to remove {_ARTICLES.get(actual, 'a ' + actual)}.",
        )
    is_system = desc.oid < FIRST_NORMAL_OID or desc.namespace == NAMESPACE_TOAST
    if is_system or not ctx.owns_schema(desc.namespace):
        ctx.check_owner(desc)
    if kind == "i":
        # Who reads the table may be using the index.
        table = ctx.view.relation(_table_of(ctx, desc.oid))
        if table is not None:
            ctx.lock(table, mode)
    if desc.is_partition and (parent := ctx.view.relation(desc.parents[0])) is not None:
        # Before it: whoever reads the whole table locks it first.
        ctx.lock(parent, ACCESS_EXCLUSIVE)
    ctx.lock(desc, mode)
    if ctx.view.relation(desc.oid) is None:
        raise UndefinedTable(f'{noun} "{name.relname}" does not exist')
    if kind == "i" and class_record(ctx, desc.oid).relkind == "I":
        # Its partitions go with it: their tables first, in the order in which everybody locks them.
        for oid in descendants_of(ctx.rows, _table_of(ctx, desc.oid)):
            partition = ctx.view.relation(oid)
            if partition is not None:
                ctx.lock(partition, ACCESS_EXCLUSIVE)
    return desc


def _schemas(ctx: DdlContext, node: ast.DropStmt) -> list[Address]:
    targets = []
    for item in node.objects:
        name = item.sval
        record = ctx.rows.one("pg_namespace", nspname=name)
        if record is None:
            if not node.missing_ok:
                raise InvalidSchemaName(f'schema "{name}" does not exist')
            ctx.notice(f'schema "{name}" does not exist, skipping')
            continue
        if record.oid in (11, 99, 13207) or not ctx.owns(record.nspowner):
            raise InsufficientPrivilege(f"must be owner of schema {name}")
        targets.append((CLASS_NAMESPACE, record.oid, 0))
    return targets


def drop_temp_schema(ctx: DdlContext, name: str) -> None:
    """The end of a session: its temporary relations go, and their schema with them."""
    record = ctx.rows.one("pg_namespace", nspname=name)
    if record is not None:
        drop(ctx, [(CLASS_NAMESPACE, record.oid, 0)], cascade=True, silent=True)
