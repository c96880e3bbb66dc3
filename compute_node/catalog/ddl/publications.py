"""CREATE, ALTER and DROP PUBLICATION → pg_publication, pg_publication_rel, pg_publication_namespace.

A publication says which changes of which tables logical replication would send. It belongs to a role and is in no
schema; its parts go when it goes, or the table or schema they name. The catalogs are kept, and asked when published
rows are changed (``catalog/publications``); there is no logical decoding that would send anything. Source: PostgreSQL
manual, ch. 31.1 to 31.3 and the reference pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pglast import ast, enums

from aurora.datum import Datum
from aurora.errors import (
    DuplicateObject,
    InsufficientPrivilege,
    InvalidParameterValue,
    InvalidSchemaName,
    ObjectNotInPrerequisiteState,
    SqlSyntaxError,
    UndefinedObject,
)
from compute_node.catalog.ddl import shared_depend
from compute_node.catalog.ddl.context import (
    CLASS_NAMESPACE,
    CLASS_PUBLICATION,
    CLASS_PUBLICATION_NAMESPACE,
    CLASS_PUBLICATION_REL,
    CLASS_RELATION,
    DdlContext,
    cut_name,
)
from compute_node.catalog.ddl.dependencies import Address, drop
from compute_node.catalog.ddl.new_owner import check_new_owner
from compute_node.catalog.ddl.published_tables import Member, check_lists, named_tables
from compute_node.catalog.ddl.replication_options import option_flag, option_text, read_options, split_names
from compute_node.catalog.ddl.role_names import role_oid
from compute_node.catalog.permissions import denied
from compute_node.catalog.rows import Record
from compute_node.relations.schema import NAMESPACE_CATALOG, NAMESPACE_TOAST
from compute_node.types.acl import CREATE

_K = enums.PublicationObjSpecType
_A = enums.AlterPublicationAction
_CHANGES = ("insert", "update", "delete", "truncate")


def create_publication(ctx: DdlContext, node: ast.CreatePublicationStmt) -> str:
    """CREATE PUBLICATION. 42501, 42710, 42601 and what its tables raise."""
    if not ctx.rights.database(ctx.view.layer.database_oid, CREATE):
        raise denied("database", ctx.session.database)
    if node.for_all_tables:
        ctx.require_superuser("must be superuser to create FOR ALL TABLES publication")
    name = cut_name(node.pubname)
    if ctx.rows.one("pg_publication", pubname=name) is not None:
        raise DuplicateObject(f'publication "{name}" already exists')
    values = {f"pub{change}": True for change in _CHANGES} | {"pubviaroot": False} | _options(node.options)
    oid = ctx.next_oid()
    ctx.rows.insert(
        "pg_publication", oid=oid, pubname=name, pubowner=ctx.user_oid, puballtables=bool(node.for_all_tables), **values
    )
    shared_depend.record_owner(ctx, CLASS_PUBLICATION, oid, ctx.user_oid)
    if not node.for_all_tables:
        publication = _found(ctx, name)
        tables, schemas = _named(ctx, node.pubobjects)
        if schemas:
            ctx.require_superuser("must be superuser to create FOR TABLES IN SCHEMA publication")
        members = named_tables(ctx, tables)
        _check_members(ctx, publication, members, bool(schemas))
        _add_tables(ctx, publication, members)
        _add_schemas(ctx, publication, schemas)
    ctx.changes.touch()
    ctx.notice(
        "wal_level is insufficient to publish logical changes",
        severity="WARNING",
        sqlstate="55000",
        hint='Set wal_level to "logical" before creating subscriptions.',
    )
    return "CREATE PUBLICATION"


def alter_publication(ctx: DdlContext, node: ast.AlterPublicationStmt) -> str:
    """ALTER PUBLICATION … SET (options), ADD, SET and DROP of tables and schemas. 42501, 42704, 42710, 55000."""
    publication = owned_publication(ctx, node.pubname)
    if node.options:
        _set_options(ctx, publication, _options(node.options))
    else:
        tables, schemas = _named(ctx, node.pubobjects)
        _check_kind(ctx, publication, node.action, tables, schemas)
        ctx.lock_object(CLASS_PUBLICATION, publication.oid, publication.pubname)
        publication = _found(ctx, node.pubname)
        _alter_tables(ctx, publication, node.action, tables, bool(schemas))
        _alter_schemas(ctx, publication, node.action, schemas)
    ctx.changes.touch()
    return "ALTER PUBLICATION"


def _found(ctx: DdlContext, name: str) -> Record:
    found = ctx.rows.one("pg_publication", pubname=name)
    if found is None:
        raise UndefinedObject(f'publication "{name}" does not exist')
    return found


def owned_publication(ctx: DdlContext, name: str) -> Record:
    """A publication of the current user's. 42704, 42501."""
    found = _found(ctx, name)
    if not ctx.owns(found.pubowner):
        raise InsufficientPrivilege(f"must be owner of publication {name}")
    return found


# --- options ----------------------------------------------------------------------------------------------------------


def _options(options: Sequence[ast.DefElem] | None) -> dict[str, Datum]:
    """The columns of pg_publication that the options set."""
    values: dict[str, Datum] = {}

    def publish(item: ast.DefElem) -> None:
        names = split_names(option_text(item))
        if names is None:
            raise SqlSyntaxError('invalid list syntax in parameter "publish"')
        values.update({f"pub{change}": False for change in _CHANGES})
        for name in names:
            if name not in _CHANGES:
                raise SqlSyntaxError(f'unrecognized value for publication option "publish": "{name}"')
            values[f"pub{name}"] = True

    def via_root(item: ast.DefElem) -> None:
        values["pubviaroot"] = option_flag(item)

    read_options(options, {"publish": publish, "publish_via_partition_root": via_root}, "publication")
    return values


def _set_options(ctx: DdlContext, publication: Record, values: dict[str, Datum]) -> None:
    """Without publish_via_partition_root it is the partitions' filters and lists that count."""
    if values.get("pubviaroot") is False and not publication.puballtables:
        ctx.lock_object(CLASS_PUBLICATION, publication.oid, publication.pubname)
        for member in _members(ctx, publication):
            row = ctx.rows.one("pg_class", oid=member.prrelid)
            if row is None or row.relkind != "p":
                continue
            for kept, what in ((member.prqual, "WHERE clause"), (member.prattrs, "column list")):
                if kept is not None:
                    raise InvalidParameterValue(
                        'cannot set parameter "publish_via_partition_root" to false for publication'
                        f' "{publication.pubname}"',
                        detail=f'The publication contains a {what} for partitioned table "{row.relname}", which is not'
                        ' allowed when "publish_via_partition_root" is false.',
                    )
    ctx.rows.update("pg_publication", publication, **values)


# --- tables and schemas -----------------------------------------------------------------------------------------------


def _named(
    ctx: DdlContext, specs: Sequence[ast.PublicationObjSpec] | None
) -> tuple[list[ast.PublicationTable], list[int]]:
    """The tables and the OIDs of the schemas that a statement names. 3F000."""
    tables: list[ast.PublicationTable] = []
    schemas: dict[int, None] = {}
    for spec in specs or ():
        if spec.pubobjtype == _K.PUBLICATIONOBJ_TABLE:
            tables.append(spec.pubtable)
            continue
        if spec.pubobjtype == _K.PUBLICATIONOBJ_TABLES_IN_SCHEMA:
            oid = ctx.view.layer.namespace_oid(spec.name)
            if oid is None:
                raise InvalidSchemaName(f'schema "{spec.name}" does not exist')
        else:
            current = ctx.view.creation_schema
            oid = None if current is None else ctx.view.layer.namespace_oid(current)
            if oid is None:
                raise InvalidSchemaName("no schema has been selected for CURRENT_SCHEMA")
        schemas[oid] = None
    return tables, list(schemas)


def _check_kind(
    ctx: DdlContext,
    publication: Record,
    action: enums.AlterPublicationAction,
    tables: Sequence[ast.PublicationTable],
    schemas: Sequence[int],
) -> None:
    if action != _A.AP_DropObjects and schemas:
        ctx.require_superuser("must be superuser to add or set schemas")
    if publication.puballtables and (tables or schemas):
        what = "Schemas" if schemas else "Tables"
        raise ObjectNotInPrerequisiteState(
            f'publication "{publication.pubname}" is defined as FOR ALL TABLES',
            detail=f"{what} cannot be added to or dropped from FOR ALL TABLES publications.",
        )


def _members(ctx: DdlContext, publication: Record) -> list[Record]:
    return ctx.rows.find("pg_publication_rel", prpubid=publication.oid)


def _schemas_of(ctx: DdlContext, publication: Record) -> list[Record]:
    return ctx.rows.find("pg_publication_namespace", pnpubid=publication.oid)


def _check_members(ctx: DdlContext, publication: Record, members: Sequence[Member], has_schemas: bool) -> None:
    """Filters, then lists, each of all tables: so PostgreSQL tells of the first that is wrong."""
    for member in members:
        member.analyze_filter(ctx, publication)
    check_lists(publication, members, has_schemas)


def _alter_tables(
    ctx: DdlContext,
    publication: Record,
    action: enums.AlterPublicationAction,
    tables: Sequence[ast.PublicationTable],
    with_schemas: bool,
) -> None:
    if not tables and action != _A.AP_SetObjects:
        return
    members = named_tables(ctx, tables)
    if action == _A.AP_DropObjects:
        _drop_tables(ctx, publication, members)
        return
    if action == _A.AP_AddObjects:
        with_schemas = with_schemas or bool(_schemas_of(ctx, publication))
    _check_members(ctx, publication, members, with_schemas)
    if action == _A.AP_SetObjects:
        wanted = {member.desc.oid: member for member in members}
        gone = []
        for row in _members(ctx, publication):
            member = wanted.get(row.prrelid)
            if member is not None and member.is_kept(row):
                members.remove(member)
            else:
                gone.append(row)
        _forget(ctx, CLASS_PUBLICATION_REL, gone)
    _add_tables(ctx, publication, members)


def _add_tables(ctx: DdlContext, publication: Record, members: Iterable[Member]) -> None:
    for member in members:
        desc = member.desc
        if not ctx.owns(desc.owner):
            raise InsufficientPrivilege(f"must be owner of {desc.noun} {desc.name}")
        if ctx.rows.one("pg_publication_rel", prrelid=desc.oid, prpubid=publication.oid) is not None:
            raise DuplicateObject(f'relation "{desc.name}" is already member of publication "{publication.pubname}"')
        member.check_publishable()
        columns = member.column_numbers()
        oid = ctx.next_oid()
        ctx.rows.insert(
            "pg_publication_rel",
            oid=oid,
            prpubid=publication.oid,
            prrelid=desc.oid,
            prqual=member.row_filter,
            prattrs=columns,
        )
        address = (CLASS_PUBLICATION_REL, int(oid), 0)
        ctx.depend(address, (CLASS_PUBLICATION, publication.oid, 0), "a")
        ctx.depend(address, (CLASS_RELATION, desc.oid, 0), "a")
        for attno in (*sorted(member.filtered_columns()), *(columns or ())):
            ctx.depend(address, (CLASS_RELATION, desc.oid, attno), "n")
        if member.row_filter is not None:
            ctx.depend_on_text(address, member.row_filter)


def _drop_tables(ctx: DdlContext, publication: Record, members: Iterable[Member]) -> None:
    for member in members:
        if member.has_columns:
            raise SqlSyntaxError("column list must not be specified in ALTER PUBLICATION ... DROP")
        row = ctx.rows.one("pg_publication_rel", prrelid=member.desc.oid, prpubid=publication.oid)
        if row is None:
            raise UndefinedObject(f'relation "{member.desc.name}" is not part of the publication')
        if member.has_filter:
            raise SqlSyntaxError("cannot use a WHERE clause when removing a table from a publication")
        _forget(ctx, CLASS_PUBLICATION_REL, [row])


def _forget(ctx: DdlContext, class_oid: int, rows: Iterable[Record]) -> None:
    targets: list[Address] = [(class_oid, int(row.oid), 0) for row in rows]
    if targets:
        drop(ctx, targets, cascade=True, silent=True)


def _alter_schemas(
    ctx: DdlContext, publication: Record, action: enums.AlterPublicationAction, schemas: list[int]
) -> None:
    if not schemas and action != _A.AP_SetObjects:
        return
    there = {row.pnnspid: row for row in _schemas_of(ctx, publication)}
    if action == _A.AP_DropObjects:
        for oid in schemas:
            if oid not in there:
                name = ctx.view.layer.namespace_name(oid)
                raise UndefinedObject(f'tables from schema "{name}" are not part of the publication')
            _forget(ctx, CLASS_PUBLICATION_NAMESPACE, [there[oid]])
        return
    if action == _A.AP_SetObjects:
        _forget(ctx, CLASS_PUBLICATION_NAMESPACE, [row for oid, row in there.items() if oid not in schemas])
        schemas = [oid for oid in schemas if oid not in there]
    elif any(row.prattrs is not None for row in _members(ctx, publication)):
        raise InvalidParameterValue(
            f'cannot add schema to publication "{publication.pubname}"',
            detail="Schemas cannot be added if any tables that specify a column list are already part of the"
            " publication.",
        )
    _add_schemas(ctx, publication, schemas)


def _add_schemas(ctx: DdlContext, publication: Record, schemas: Iterable[int]) -> None:
    for schema in schemas:
        name = ctx.view.layer.namespace_name(schema) or ""
        if ctx.rows.one("pg_publication_namespace", pnnspid=schema, pnpubid=publication.oid) is not None:
            raise DuplicateObject(f'schema "{name}" is already member of publication "{publication.pubname}"')
        detail = None
        if schema in (NAMESPACE_CATALOG, NAMESPACE_TOAST):
            detail = "This operation is not supported for system schemas."
        elif name.startswith(("pg_temp_", "pg_toast_temp_")):
            detail = "Temporary schemas cannot be replicated."
        if detail is not None:
            raise InvalidParameterValue(f'cannot add schema "{name}" to publication', detail=detail)
        ctx.lock_object(CLASS_NAMESPACE, schema, name)
        oid = ctx.next_oid()
        ctx.rows.insert("pg_publication_namespace", oid=oid, pnpubid=publication.oid, pnnspid=schema)
        address = (CLASS_PUBLICATION_NAMESPACE, int(oid), 0)
        ctx.depend(address, (CLASS_PUBLICATION, publication.oid, 0), "a")
        ctx.depend(address, (CLASS_NAMESPACE, schema, 0), "a")


# --- name, owner, DROP ------------------------------------------------------------------------------------------------


def rename_publication(ctx: DdlContext, name: str, new: str) -> str:
    """ALTER PUBLICATION … RENAME TO. 42704, 42710, 42501."""
    found = _found(ctx, name)
    if not ctx.owns(found.pubowner):
        raise InsufficientPrivilege(f"must be owner of publication {name}")
    if ctx.rows.one("pg_publication", pubname=new) is not None:
        raise DuplicateObject(f'publication "{new}" already exists')
    ctx.rows.update("pg_publication", found, pubname=new)
    ctx.changes.touch()
    return "ALTER PUBLICATION"


def alter_publication_owner(ctx: DdlContext, name: str, spec: ast.RoleSpec) -> str:
    """ALTER PUBLICATION … OWNER TO."""
    owner = role_oid(ctx, spec)
    give_publication(ctx, _found(ctx, name), owner)
    return "ALTER PUBLICATION"


def give_publication(ctx: DdlContext, found: Record, owner: int) -> None:
    """A publication belongs to another role: one that may create in the database, and a superuser where only such may
    make one. 42501."""
    if found.pubowner == owner:
        return
    if not ctx.rights.superuser:
        owned_publication(ctx, found.pubname)
        check_new_owner(ctx, owner)
        rights = ctx.view.rights(owner)
        if not rights.database(ctx.view.layer.database_oid, CREATE):
            raise denied("database", ctx.session.database)
        what = None
        if found.puballtables:
            what = "FOR ALL TABLES"
        elif _schemas_of(ctx, found):
            what = "FOR TABLES IN SCHEMA"
        if what is not None and not rights.superuser:
            raise InsufficientPrivilege(
                f'permission denied to change owner of publication "{found.pubname}"',
                hint=f"The owner of a {what} publication must be a superuser.",
            )
    ctx.rows.update("pg_publication", found, pubowner=owner)
    shared_depend.change_owner(ctx, CLASS_PUBLICATION, found.oid, owner)
    ctx.changes.touch()


def find_publication(ctx: DdlContext, node: ast.String, missing_ok: bool) -> Address | None:
    """What DROP PUBLICATION names; None with a notice for one that is not there."""
    if missing_ok and ctx.rows.one("pg_publication", pubname=node.sval) is None:
        ctx.notice(f'publication "{node.sval}" does not exist, skipping')
        return None
    return CLASS_PUBLICATION, int(owned_publication(ctx, node.sval).oid), 0
