"""ALTER … RENAME, SET SCHEMA, OWNER TO, and COMMENT ON: changes of a single catalog row."""

from __future__ import annotations

from functools import partial
from typing import Any

from pglast import ast, enums

from aurora.errors import (
    DuplicateColumn,
    DuplicateObject,
    DuplicateSchema,
    DuplicateTable,
    InsufficientPrivilege,
    InvalidSchemaName,
    InvalidTableDefinition,
    InvariantViolation,
    NotSupported,
    ReservedName,
    UndefinedColumn,
    UndefinedObject,
    UndefinedTable,
    WrongObjectType,
)
from compute_node.catalog.ddl import schema_objects
from compute_node.catalog.ddl.alter_kinds import require_kind
from compute_node.catalog.ddl.composites import find_composite
from compute_node.catalog.ddl.context import (
    CLASS_CONSTRAINT,
    CLASS_EXTENSION,
    CLASS_NAMESPACE,
    CLASS_POLICY,
    CLASS_PROC,
    CLASS_PUBLICATION,
    CLASS_RELATION,
    CLASS_REWRITE,
    CLASS_SUBSCRIPTION,
    CLASS_TYPE,
    DdlContext,
    cut_name,
)
from compute_node.catalog.ddl.database import rename_database
from compute_node.catalog.ddl.domains import domain_constraint, rename_domain_constraint
from compute_node.catalog.ddl.drop import range_var_of
from compute_node.catalog.ddl.drop_objects import owned_cast
from compute_node.catalog.ddl.extensions import alter as alter_extension
from compute_node.catalog.ddl.extensions.find import owned_extension
from compute_node.catalog.ddl.foreign import find as foreign
from compute_node.catalog.ddl.kept_texts import texts_follow
from compute_node.catalog.ddl.object_kinds import KINDS as KINDS_IN_SCHEMAS
from compute_node.catalog.ddl.policies import find_policy, rename_policy
from compute_node.catalog.ddl.publications import owned_publication, rename_publication
from compute_node.catalog.ddl.relation import attribute_record, class_record
from compute_node.catalog.ddl.roles import may_create_roles, rename_role
from compute_node.catalog.ddl.routines.alter import rename_routine, set_routine_schema
from compute_node.catalog.ddl.routines.find import ROUTINES, owned_routine
from compute_node.catalog.ddl.rules import find_rule, rename_rule
from compute_node.catalog.ddl.subscriptions import owned_subscription, rename_subscription
from compute_node.catalog.ddl.typed_tables import tables_of
from compute_node.catalog.ddl.types import check_type_owner, find_type, rename_type, set_type_schema, type_record
from compute_node.catalog.inheritance import children_of
from compute_node.catalog.large_objects import objects as large_objects
from compute_node.catalog.permissions import denied
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.schema import CATALOGS, NAMESPACE_CATALOG, NAMESPACE_TOAST
from compute_node.sql.analyze.typenames import format_type
from compute_node.txn.locks import ACCESS_EXCLUSIVE
from compute_node.types.acl import CREATE

_O = enums.ObjectType
_RELATIONS = {
    _O.OBJECT_TABLE: "TABLE",
    _O.OBJECT_VIEW: "VIEW",
    _O.OBJECT_MATVIEW: "MATERIALIZED VIEW",
    _O.OBJECT_INDEX: "INDEX",
    _O.OBJECT_SEQUENCE: "SEQUENCE",
    _O.OBJECT_FOREIGN_TABLE: "FOREIGN TABLE",
}


def rename(ctx: DdlContext, node: ast.RenameStmt) -> str:
    """ALTER … RENAME of relations, columns, constraints, schemas and roles."""
    new = cut_name(node.newname)
    if node.renameType == _O.OBJECT_SCHEMA:
        return _rename_schema(ctx, node.subname, new)
    if node.renameType == _O.OBJECT_ROLE:
        return rename_role(ctx, node.subname, new)
    if node.renameType == _O.OBJECT_DATABASE:
        return rename_database(ctx, node.subname, new)
    if node.renameType == _O.OBJECT_POLICY:
        return rename_policy(ctx, node, new)
    if node.renameType == _O.OBJECT_PUBLICATION:
        return rename_publication(ctx, node.object.sval, new)
    if node.renameType == _O.OBJECT_SUBSCRIPTION:
        return rename_subscription(ctx, node.object.sval, new)
    if node.renameType == _O.OBJECT_RULE:
        return rename_rule(ctx, node, new)
    if node.renameType in (_O.OBJECT_TYPE, _O.OBJECT_DOMAIN):
        return rename_type(ctx, node.object, new, domain=node.renameType == _O.OBJECT_DOMAIN)
    if node.renameType == _O.OBJECT_DOMCONSTRAINT:
        return rename_domain_constraint(ctx, node.object, node.subname, new)
    if node.renameType == _O.OBJECT_ATTRIBUTE:
        return _rename_attribute(ctx, node, new)
    if node.renameType in ROUTINES:
        return rename_routine(ctx, node.object, node.renameType, new)
    if (plain := KINDS_IN_SCHEMAS.get(node.renameType)) is not None:
        return schema_objects.rename(ctx, plain, node.object, new)
    if (named := foreign.KINDS.get(node.renameType)) is not None:
        return _rename_foreign(ctx, named, node.object.sval, new)
    kinds = (*_RELATIONS, _O.OBJECT_COLUMN, _O.OBJECT_TABCONSTRAINT)
    if node.renameType not in kinds:
        what = node.renameType.name.removeprefix("OBJECT_").replace("_", " ")
        raise NotSupported(f"ALTER {what} ... RENAME is not supported")
    noun = _RELATIONS.get(node.renameType) or _RELATIONS.get(node.relationType, "TABLE")
    desc = ctx.find(node.relation, missing_ok=bool(node.missing_ok))
    if desc is None:
        ctx.notice(f'relation "{node.relation.relname}" does not exist, skipping')
        return f"ALTER {noun}"
    require_kind(desc, node.renameType if node.renameType in _RELATIONS else node.relationType)
    ctx.check_owner(desc)
    ctx.lock(desc, ACCESS_EXCLUSIVE)
    if node.renameType == _O.OBJECT_COLUMN:
        if class_record(ctx, desc.oid).reloftype:
            raise WrongObjectType("cannot rename column of typed table")
        rename_columns(ctx, desc, node.subname, new, bool(node.relation.inh))
    elif node.renameType == _O.OBJECT_TABCONSTRAINT:
        _rename_constraints(ctx, desc, node.subname, new, bool(node.relation.inh))
    else:
        if not ctx.rights.schema(desc.namespace, CREATE):
            raise denied("schema", desc.schema)
        with texts_follow(ctx, [desc.name], (CLASS_RELATION, desc.oid)):
            rename_relation(ctx, desc, new)
    return f"ALTER {noun}"


def _rename_foreign(ctx: DdlContext, kind: foreign.ForeignKind, old: str, new: str) -> str:
    """A wrapper or a server gets another name; 42704, 42501, 42710."""
    row = foreign.owned(ctx, kind, old)
    if ctx.rows.one(kind.catalog, **{f"{kind.prefix}name": new}) is not None:
        raise DuplicateObject(f'{kind.noun} "{new}" already exists')
    ctx.rows.update(kind.catalog, row, **{f"{kind.prefix}name": new})
    foreign.touch(ctx, kind, row.oid)
    return kind.tag


def rename_relation(ctx: DdlContext, desc: RelationDesc, new: str) -> None:
    """Change a relation's name, its row type's and its constraint's with it; 42P07."""
    if ctx.view.layer.relation_oid(desc.namespace, new) is not None:
        raise DuplicateTable(f'relation "{new}" already exists')
    ctx.rows.update("pg_class", class_record(ctx, desc.oid), relname=new)
    if desc.row_type:
        for record in ctx.rows.find("pg_type", oid=desc.row_type):
            ctx.rows.update("pg_type", record, typname=new)
            for array in ctx.rows.find("pg_type", oid=record.typarray):
                ctx.rows.update("pg_type", array, typname=f"_{new}"[:63])
    if desc.kind in "iI":
        index = ctx.rows.one("pg_index", indexrelid=desc.oid)
        if index is not None:
            ctx.changes.touch(index.indrelid)
            for record in ctx.rows.find("pg_constraint", conrelid=index.indrelid):
                if record.conindid == desc.oid and record.contype != "f":
                    ctx.rows.update("pg_constraint", record, conname=new)
    ctx.changes.touch(desc.oid)


def _with_descendants(ctx: DdlContext, desc: RelationDesc) -> dict[int, int]:
    """A table (OID) and its descendants, locked, with how many parents each has among them."""
    tables = ctx.lock_descendants(desc, partial(ctx.lock, mode=ACCESS_EXCLUSIVE))
    for table in tables:
        ctx.check_owner(table)
    oids = [desc.oid, *(table.oid for table in tables)]
    return {oid: sum(each.inhparent in oids for each in ctx.rows.find("pg_inherits", inhrelid=oid)) for oid in oids}


def rename_columns(ctx: DdlContext, desc: RelationDesc, old: str, new: str, recurse: bool) -> None:
    """Rename a column of a table and of all that inherit it. 42703, 42701, 42P16 for one that comes from elsewhere."""
    if recurse:
        for oid, parents in _with_descendants(ctx, desc).items():
            table = ctx.view.relation(oid)
            if table is not None:
                _rename_inherited(ctx, table, old, new, parents)
        return
    if children_of(ctx.rows, desc.oid) and desc.column(old) is not None:
        raise InvalidTableDefinition(f'inherited column "{old}" must be renamed in child tables too')
    _rename_inherited(ctx, desc, old, new, 0)


def _rename_inherited(ctx: DdlContext, desc: RelationDesc, old: str, new: str, parents: int) -> None:
    column = desc.column(old)
    if column is not None and attribute_record(ctx, desc.oid, column.attno).attinhcount > parents:
        raise InvalidTableDefinition(f'cannot rename inherited column "{old}"')
    _rename_column(ctx, desc, old, new)


def _rename_constraints(ctx: DdlContext, desc: RelationDesc, old: str, new: str, recurse: bool) -> None:
    """Rename a constraint of a table, a CHECK of all that inherit it, too. 42704, 42710, 42P16."""
    tables: dict[int, int] = {desc.oid: 0}
    record = next((each for each in ctx.rows.find("pg_constraint", conrelid=desc.oid) if each.conname == old), None)
    inherits = record is not None and record.contype == "c" and not record.connoinherit
    if inherits and recurse:
        tables = _with_descendants(ctx, desc)
    elif inherits and children_of(ctx.rows, desc.oid):
        raise InvalidTableDefinition(f'inherited constraint "{old}" must be renamed in child tables too')
    for oid, parents in tables.items():
        table = ctx.view.relation(oid)
        if table is None:
            continue
        for mine in ctx.rows.find("pg_constraint", conrelid=oid):
            if mine.conname == old and mine.coninhcount > parents:
                raise InvalidTableDefinition(f'cannot rename inherited constraint "{old}"')
        _rename_constraint(ctx, table, old, new)


def _rename_column(ctx: DdlContext, desc: RelationDesc, old: str, new: str) -> None:
    column = desc.column(old)
    if column is None:
        raise UndefinedColumn(f'column "{old}" does not exist')
    if desc.column(new) is not None:
        raise DuplicateColumn(f'column "{new}" of relation "{desc.name}" already exists')
    with texts_follow(ctx, [old, new], (CLASS_RELATION, desc.oid)):
        ctx.rows.update("pg_attribute", attribute_record(ctx, desc.oid, column.attno), attname=new)
        ctx.changes.touch(desc.oid)


def _rename_attribute(ctx: DdlContext, node: ast.RenameStmt, new: str) -> str:
    """ALTER TYPE … RENAME ATTRIBUTE, with CASCADE of the tables of the type too."""
    desc = find_composite(ctx, node.relation)
    tables = tables_of(ctx, desc, node.behavior == enums.DropBehavior.DROP_CASCADE)
    _rename_column(ctx, desc, node.subname, new)
    for each in tables:
        rename_columns(ctx, each, node.subname, new, True)
    return "ALTER TYPE"


def _rename_constraint(ctx: DdlContext, desc: RelationDesc, old: str, new: str) -> None:
    found = {record.conname: record for record in ctx.rows.find("pg_constraint", conrelid=desc.oid)}
    if old not in found:
        raise UndefinedObject(f'constraint "{old}" for table "{desc.name}" does not exist')
    if new in found:
        raise DuplicateObject(f'constraint "{new}" for relation "{desc.name}" already exists')
    record = found[old]
    # A foreign key's index is that of the table it refers to.
    index = ctx.view.relation(record.conindid) if record.conindid and record.contype != "f" else None
    # ON CONFLICT ON CONSTRAINT names it.
    with texts_follow(ctx, [old], (CLASS_RELATION, desc.oid)):
        if index is not None:
            rename_relation(ctx, index, new)
        else:
            ctx.rows.update("pg_constraint", record, conname=new)
        ctx.changes.touch(desc.oid)


def _rename_schema(ctx: DdlContext, old: str, new: str) -> str:
    record = _schema(ctx, old)
    if ctx.view.layer.namespace_oid(new) is not None:
        raise DuplicateSchema(f'schema "{new}" already exists')
    if new.startswith("pg_"):
        raise ReservedName(
            f'unacceptable schema name "{new}"', detail='The prefix "pg_" is reserved for system schemas.'
        )
    if not ctx.rights.database(ctx.view.layer.database_oid, CREATE):
        raise denied("database", ctx.session.database)
    with texts_follow(ctx, [old], (CLASS_NAMESPACE, record.oid)):
        ctx.rows.update("pg_namespace", record, nspname=new)
        ctx.changes.touch(*(each.oid for each in ctx.rows.find("pg_class") if each.relnamespace == record.oid))
    return "ALTER SCHEMA"


def _schema(ctx: DdlContext, name: str) -> Any:
    record = ctx.rows.one("pg_namespace", nspname=name)
    if record is None:
        raise InvalidSchemaName(f'schema "{name}" does not exist')
    if record.oid == NAMESPACE_CATALOG or not ctx.owns(record.nspowner):
        raise InsufficientPrivilege(f"must be owner of schema {name}")
    return record


def set_schema(ctx: DdlContext, node: ast.AlterObjectSchemaStmt) -> str:
    """ALTER TABLE … SET SCHEMA: the relation, its indexes, types, constraints and owned sequences."""
    if node.objectType in (_O.OBJECT_TYPE, _O.OBJECT_DOMAIN):
        return set_type_schema(ctx, node.object, node.newschema, domain=node.objectType == _O.OBJECT_DOMAIN)
    if node.objectType in ROUTINES:
        return set_routine_schema(ctx, node.object, node.objectType, node.newschema)
    if (plain := KINDS_IN_SCHEMAS.get(node.objectType)) is not None:
        return schema_objects.set_schema(ctx, plain, node.object, node.newschema)
    if node.objectType == _O.OBJECT_EXTENSION:
        return alter_extension.set_schema(ctx, node.object.sval, node.newschema)
    if node.objectType not in _RELATIONS:
        raise NotSupported("this form of ALTER ... SET SCHEMA is not supported")
    return _move_relation(ctx, node)


def _move_relation(ctx: DdlContext, node: ast.AlterObjectSchemaStmt) -> str:
    tag = f"ALTER {_RELATIONS[node.objectType]}"
    desc = ctx.find(node.relation, missing_ok=bool(node.missing_ok))
    if desc is None:
        ctx.notice(f'relation "{node.relation.relname}" does not exist, skipping')
        return tag
    require_kind(desc, node.objectType)
    ctx.check_owner(desc)
    ctx.lock(desc, ACCESS_EXCLUSIVE)
    namespace = ctx.view.schema_oid(node.newschema)
    if desc.schema.startswith("pg_temp_") or ctx.view.namespace_name(namespace).startswith("pg_temp_"):
        raise NotSupported("cannot move objects into or out of temporary schemas")
    if NAMESPACE_TOAST in (desc.namespace, namespace):
        raise NotSupported("cannot move objects into or out of TOAST schema")
    if not ctx.rights.schema(namespace, CREATE):
        raise denied("schema", node.newschema)
    if ctx.view.layer.relation_oid(namespace, desc.name) is not None:
        raise DuplicateTable(f'relation "{desc.name}" already exists in schema "{node.newschema}"')
    with texts_follow(ctx, [desc.name], (CLASS_RELATION, desc.oid)):
        _set_namespace(ctx, desc, namespace)
    return tag


def _set_namespace(ctx: DdlContext, desc: RelationDesc, namespace: int) -> None:
    moved = [desc.oid, *(index.oid for index in desc.indexes)]
    for record in ctx.rows.find("pg_depend", refclassid=CLASS_RELATION, refobjid=desc.oid):
        owned = ctx.view.relation(record.objid) if record.classid == CLASS_RELATION else None
        if owned is not None and owned.kind == "S":
            moved.append(owned.oid)
    for oid in moved:
        ctx.rows.update("pg_class", class_record(ctx, oid), relnamespace=namespace)
    for record in ctx.rows.find("pg_constraint", conrelid=desc.oid):
        ctx.rows.update("pg_constraint", record, connamespace=namespace)
    for record in ctx.rows.find("pg_type", oid=desc.row_type):
        ctx.rows.update("pg_type", record, typnamespace=namespace)
        for array in ctx.rows.find("pg_type", oid=record.typarray):
            ctx.rows.update("pg_type", array, typnamespace=namespace)
    for record in ctx.rows.find("pg_depend", classid=CLASS_RELATION, objid=desc.oid, objsubid=0):
        if record.refclassid == CLASS_NAMESPACE:
            ctx.rows.update("pg_depend", record, refobjid=namespace)
    ctx.changes.touch(*moved)


def comment(ctx: DdlContext, node: ast.CommentStmt) -> str:
    """COMMENT ON relations, columns, schemas, constraints, databases and roles."""
    kind = node.objtype
    shared = False
    column = oid = 0
    if kind in _RELATIONS:
        desc = _commented(ctx, range_var_of(node.object))
        wanted = _RELATIONS[kind].lower()
        if desc.noun != wanted:
            raise WrongObjectType(f'"{desc.name}" is not {"an" if wanted == "index" else "a"} {wanted}')
        class_oid, oid = CLASS_RELATION, desc.oid
    elif kind == _O.OBJECT_COLUMN:
        desc = _commented(ctx, range_var_of(node.object[:-1]), "relation")
        name = node.object[-1].sval
        found = desc.column(name)
        if found is None:
            raise UndefinedColumn(f'column "{name}" of relation "{desc.name}" does not exist')
        class_oid, oid, column = CLASS_RELATION, desc.oid, found.attno
    elif kind == _O.OBJECT_SCHEMA:
        class_oid, oid = CLASS_NAMESPACE, _schema(ctx, node.object.sval).oid
    elif kind == _O.OBJECT_POLICY:
        desc = _commented(ctx, range_var_of(node.object[:-1]), "relation")
        class_oid, oid = CLASS_POLICY, find_policy(ctx, desc, node.object[-1].sval).oid
    elif kind == _O.OBJECT_RULE:
        desc = _commented(ctx, range_var_of(node.object[:-1]), "relation")
        class_oid, oid = CLASS_REWRITE, find_rule(ctx, desc, node.object[-1].sval).oid
    elif kind == _O.OBJECT_TABCONSTRAINT:
        desc = _commented(ctx, range_var_of(node.object[:-1]), "relation")
        name = node.object[-1].sval
        oid = next((r.oid for r in ctx.rows.find("pg_constraint", conrelid=desc.oid) if r.conname == name), 0)
        if not oid:
            raise UndefinedObject(f'constraint "{name}" for table "{desc.name}" does not exist')
        class_oid = CLASS_CONSTRAINT
    elif kind in (_O.OBJECT_TYPE, _O.OBJECT_DOMAIN):
        class_oid, oid = CLASS_TYPE, _commented_type(ctx, node.object, kind == _O.OBJECT_DOMAIN)
    elif kind == _O.OBJECT_DOMCONSTRAINT:
        domain = type_record(ctx, _commented_type(ctx, node.object[0], True))
        found_row = domain_constraint(ctx, domain, node.object[1].sval)
        if found_row is None:
            shown = format_type(ctx.view, domain.oid)
            raise UndefinedObject(f'constraint "{node.object[1].sval}" for domain {shown} does not exist')
        class_oid, oid = CLASS_CONSTRAINT, found_row.oid
    elif kind == _O.OBJECT_LARGEOBJECT:
        large = large_objects.lock_existing(ctx, large_objects.number_of(node.object), True)
        class_oid, oid = large_objects.CLASS, large.oid
    elif kind == _O.OBJECT_PUBLICATION:
        class_oid, oid = CLASS_PUBLICATION, owned_publication(ctx, node.object.sval).oid
    elif kind == _O.OBJECT_SUBSCRIPTION:
        class_oid, oid = CLASS_SUBSCRIPTION, owned_subscription(ctx, node.object.sval).oid
    elif kind == _O.OBJECT_EXTENSION:
        class_oid, oid = CLASS_EXTENSION, owned_extension(ctx, node.object.sval).oid
    elif (named := foreign.KINDS.get(kind)) is not None:
        class_oid, oid = named.class_oid, foreign.owned(ctx, named, node.object.sval).oid
    elif kind in ROUTINES:
        class_oid, oid = CLASS_PROC, owned_routine(ctx, node.object, kind).oid
    elif kind in (_O.OBJECT_DATABASE, _O.OBJECT_ROLE):
        catalog, key = ("pg_database", "datname") if kind == _O.OBJECT_DATABASE else ("pg_authid", "rolname")
        record = ctx.rows.one(catalog, **{key: node.object.sval})
        if record is None and kind == _O.OBJECT_DATABASE:
            # A dump of another cluster goes on.
            ctx.notice(f'database "{node.object.sval}" does not exist', severity="WARNING", sqlstate="3D000")
            return "COMMENT"
        if record is None:
            raise UndefinedObject(f'role "{node.object.sval}" does not exist')
        _check_comment(ctx, record, node.object.sval, kind == _O.OBJECT_ROLE)
        class_oid, oid, shared = CATALOGS[catalog].desc.oid, record.oid, True
    elif kind == _O.OBJECT_CAST and (cast := owned_cast(ctx, node.object)) is not None:
        class_oid, oid, _ = cast
    elif (plain := KINDS_IN_SCHEMAS.get(kind)) is not None:
        class_oid, oid = plain.class_oid, schema_objects.owned(ctx, plain, node.object).oid
    else:
        what = kind.name.removeprefix("OBJECT_").replace("_", " ")
        raise NotSupported(f"COMMENT ON {what} is not supported")
    catalog = "pg_shdescription" if shared else "pg_description"
    key_values = {"objoid": oid, "classoid": class_oid} | ({} if shared else {"objsubid": column})
    ctx.rows.delete_where(catalog, **key_values)
    if node.comment:
        ctx.rows.insert(catalog, **key_values, description=node.comment)
    ctx.changes.touch()
    return "COMMENT"


def _commented_type(ctx: DdlContext, node: ast.TypeName, domain: bool) -> int:
    """The OID of a type to be commented on, its owner checked."""
    found = find_type(ctx, node)
    if found is None:
        raise InvariantViolation("found is not there")
    if domain and found.kind != "d":
        raise WrongObjectType(f'"{".".join(item.sval for item in node.names)}" is not a domain')
    check_type_owner(ctx, found.oid)
    return found.oid


def _check_comment(ctx: DdlContext, record: Any, name: str, is_role: bool) -> None:
    if not is_role:
        if not ctx.owns(record.datdba):
            raise InsufficientPrivilege(f"must be owner of database {name}")
    elif record.rolsuper:
        ctx.require_superuser("must be superuser")
    elif not may_create_roles(ctx):
        raise InsufficientPrivilege("must have CREATEROLE privilege")


def _commented(ctx: DdlContext, name: ast.RangeVar, noun: str | None = None) -> RelationDesc:
    desc = ctx.find(name)
    if desc is None:
        raise UndefinedTable(f'relation "{name.relname}" does not exist')
    ctx.check_owner(desc, noun)
    return desc
