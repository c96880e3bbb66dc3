"""CREATE EXTENSION: what is needed first, the row of pg_extension, then the scripts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from pglast import ast

from aurora.errors import (
    DuplicateObject,
    InvalidParameterValue,
    InvalidRecursion,
    InvalidSchemaName,
    NotSupported,
    SqlSyntaxError,
    UndefinedObject,
)
from compute_node.catalog.ddl.context import CLASS_EXTENSION, CLASS_NAMESPACE, DdlContext
from compute_node.catalog.ddl.extensions.scripts import check_installer, run_script
from compute_node.catalog.ddl.shared_depend import record_owner
from compute_node.catalog.permissions import denied
from compute_node.extensions.controls import Control, check_name, control, of_version, path
from compute_node.types.acl import CREATE

LANGUAGES_ELSEWHERE: Final = frozenset(("plpgsql",))
"""extensions that each dump of PostgreSQL names, and that are not here: IF NOT EXISTS warns and goes on"""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The options of the statement. ``parents``: the extensions that require this one, in a CASCADE."""

    schema: str | None = None
    version: str | None = None
    cascade: bool = False
    parents: tuple[str, ...] = ()


def create_extension(ctx: DdlContext, node: ast.CreateExtensionStmt) -> str:
    """CREATE EXTENSION [IF NOT EXISTS] name [SCHEMA …] [VERSION …] [CASCADE]."""
    name = node.extname
    check_name("extension", name)
    if ctx.rows.one("pg_extension", extname=name) is not None:
        if not node.if_not_exists:
            raise DuplicateObject(f'extension "{name}" already exists')
        ctx.notice(f'extension "{name}" already exists, skipping', sqlstate="42710")
        return "CREATE EXTENSION"
    if ctx.session.creating_extension:
        raise NotSupported("nested CREATE EXTENSION is not supported")
    if node.if_not_exists and name in LANGUAGES_ELSEWHERE:
        ctx.notice(f'extension "{name}" is not available, skipping', severity="WARNING", sqlstate="0A000")
        return "CREATE EXTENSION"
    _create(ctx, name, _options(node))
    return "CREATE EXTENSION"


def _options(node: ast.CreateExtensionStmt) -> _Wanted:
    given: dict[str, object] = {}
    for item in node.options or ():
        if item.defname in given:
            raise SqlSyntaxError("conflicting or redundant options", position=item.location + 1)
        given[item.defname] = True if item.defname == "cascade" else item.arg.sval
    schema, version = given.get("schema"), given.get("new_version")
    return _Wanted(
        None if schema is None else str(schema), None if version is None else str(version), "cascade" in given
    )


def _create(ctx: DdlContext, name: str, wanted: _Wanted) -> int:
    item = control(name)
    version = item.default_version if wanted.version is None else wanted.version
    if version is None:
        raise InvalidParameterValue("version to install must be specified")
    check_name("extension version", version)
    way = path(item, "", version)
    if way is None:
        raise InvalidParameterValue(
            f'extension "{name}" has no installation script nor update path for version "{version}"'
        )
    item = of_version(item, way[0])
    namespace = _namespace(ctx, item, wanted)
    required = [_required(ctx, name, each, wanted) for each in item.requires]
    oid = _write(ctx, item, way[0], namespace, required)
    advance(ctx, item, oid, "", way)
    return oid


def _namespace(ctx: DdlContext, item: Control, wanted: _Wanted) -> int:
    """The schema that its objects go to. 3F000, 0A000."""
    view = ctx.view
    given = wanted.schema
    if given is not None and view.layer.namespace_oid(given) is None and not (wanted.parents and item.schema):
        raise InvalidSchemaName(f'schema "{given}" does not exist')
    if item.schema is not None:
        if given is not None and given != item.schema and not wanted.parents:
            raise NotSupported(f'extension "{item.name}" must be installed in schema "{item.schema}"')
        found = view.layer.namespace_oid(item.schema)
        return _new_schema(ctx, item.schema) if found is None else int(found)
    if given is not None:
        return int(view.namespace(given))
    if view.creation_schema is None:
        raise InvalidSchemaName("no schema has been selected to create in")
    return int(view.namespace(view.creation_schema))


def _new_schema(ctx: DdlContext, name: str) -> int:
    if not ctx.rights.database(ctx.view.layer.database_oid, CREATE):
        raise denied("database", ctx.session.database)
    oid = ctx.next_oid()
    ctx.rows.insert("pg_namespace", oid=oid, nspname=name, nspowner=ctx.user_oid)
    record_owner(ctx, CLASS_NAMESPACE, oid, ctx.user_oid)
    ctx.changes.touch()
    return int(oid)


def _required(ctx: DdlContext, name: str, needed: str, wanted: _Wanted) -> int:
    """The OID of an extension that another requires, installed with CASCADE. 42704, 42P19."""
    row = ctx.rows.one("pg_extension", extname=needed)
    if row is not None:
        return int(row.oid)
    if not wanted.cascade:
        raise UndefinedObject(
            f'required extension "{needed}" is not installed',
            hint="Use CREATE EXTENSION ... CASCADE to install required extensions too.",
        )
    parents = (*wanted.parents, name)
    if needed in parents:
        raise InvalidRecursion(f'cyclic dependency detected between extensions "{needed}" and "{name}"')
    ctx.notice(f'installing required extension "{needed}"')
    return _create(ctx, needed, replace(wanted, version=None, parents=parents))


def _write(ctx: DdlContext, item: Control, version: str, namespace: int, required: list[int]) -> int:
    check_installer(ctx, item, updates=False)
    oid = ctx.next_oid()
    ctx.rows.insert(
        "pg_extension", oid=oid, extname=item.name, extowner=ctx.user_oid, extnamespace=namespace,
        extrelocatable=item.relocatable, extversion=version, extconfig=None, extcondition=None,
    )  # fmt: skip
    record_owner(ctx, CLASS_EXTENSION, oid, ctx.user_oid)
    address = (CLASS_EXTENSION, int(oid), 0)
    ctx.depend(address, (CLASS_NAMESPACE, namespace, 0), "n")
    for each in required:
        ctx.depend(address, (CLASS_EXTENSION, each, 0), "n")
    if item.comment is not None:
        ctx.rows.insert("pg_description", objoid=oid, classoid=CLASS_EXTENSION, objsubid=0, description=item.comment)
    ctx.changes.touch()
    return int(oid)


def advance(ctx: DdlContext, item: Control, oid: int, source: str, way: list[str]) -> None:
    """Run the scripts of a way from one version (``""``: none) to the last of it; each keeps the row up to date."""
    for target in way:
        here = of_version(item, target)
        row = ctx.rows.one("pg_extension", oid=oid)
        if row is None:
            raise UndefinedObject(f'extension "{item.name}" does not exist')
        if source:
            required = [_required(ctx, item.name, each, _Wanted()) for each in here.requires]
            _depend_anew(ctx, oid, required)
            ctx.rows.update("pg_extension", row, extversion=target, extrelocatable=here.relocatable)
        needed = [ctx.rows.one("pg_extension", extname=each) for each in here.requires]
        schemas = [ctx.view.namespace_name(each.extnamespace) for each in needed if each is not None]
        run_script(ctx, here, oid, (source, target), ctx.view.namespace_name(row.extnamespace), schemas)
        source = target
    ctx.changes.touch()


def _depend_anew(ctx: DdlContext, oid: int, required: list[int]) -> None:
    """Another version requires other extensions."""
    for row in ctx.rows.find("pg_depend", classid=CLASS_EXTENSION, objid=oid):
        if row.refclassid == CLASS_EXTENSION:
            ctx.rows.delete("pg_depend", row)
    for each in required:
        ctx.depend((CLASS_EXTENSION, oid, 0), (CLASS_EXTENSION, each, 0), "n")
