"""CREATE FOREIGN TABLE, and what ALTER FOREIGN TABLE changes besides what it has in common with ALTER TABLE; IMPORT
FOREIGN SCHEMA. A foreign table has no storage: its wrapper gives the rows, so nothing checks or rewrites them here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pglast import ast, enums

from aurora.errors import FdwNoSchemas, InvariantViolation, NotSupported, ObjectNotInPrerequisiteState, WrongObjectType
from compute_node.catalog.ddl.column_specs import altered_column
from compute_node.catalog.ddl.context import CLASS_FOREIGN_SERVER, CLASS_RELATION, DdlContext
from compute_node.catalog.ddl.create_table import create_table_of
from compute_node.catalog.ddl.foreign.find import SERVER, check_usage, find, wrapper_of
from compute_node.catalog.ddl.foreign.options import changed_options
from compute_node.catalog.ddl.relation import attribute_record, relation
from compute_node.catalog.rows import Record
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.schema import CATALOGS

_CLASS_TABLE: Final = CATALOGS["pg_foreign_table"].desc.oid
_CLASS_COLUMN: Final = CATALOGS["pg_attribute"].desc.oid
_C = enums.ConstrType
_REFUSED: Final = {
    _C.CONSTR_PRIMARY: "primary key",
    _C.CONSTR_UNIQUE: "unique",
    _C.CONSTR_EXCLUSION: "exclusion",
    _C.CONSTR_FOREIGN: "foreign key",
}
"""constraints that a foreign table has not"""


def create_foreign_table(ctx: DdlContext, node: ast.CreateForeignTableStmt) -> str:
    """CREATE FOREIGN TABLE. 0A000, 42704, 42501 for who may not use the server, and what CREATE TABLE raises."""
    elements: Sequence[ast.Node] = node.base.tableElts or ()
    check_elements(elements)
    desc = create_table_of(ctx, node.base, "f")
    if desc is None:
        return "CREATE FOREIGN TABLE"
    server = find(ctx, SERVER, node.servername)
    check_usage(ctx, SERVER, server)
    options = changed_options(ctx, None, node.options, _CLASS_TABLE, wrapper_of(ctx, server).fdwvalidator)
    ctx.rows.insert("pg_foreign_table", ftrelid=desc.oid, ftserver=server.oid, ftoptions=options)
    ctx.depend((CLASS_RELATION, desc.oid, 0), (CLASS_FOREIGN_SERVER, server.oid, 0), "n")
    ctx.changes.touch(desc.oid)
    for element in elements:
        if isinstance(element, ast.ColumnDef) and element.fdwoptions:
            set_column_options(ctx, relation(ctx, desc.oid), element.colname, element.fdwoptions)
    return "CREATE FOREIGN TABLE"


def check_elements(elements: Sequence[ast.Node]) -> None:
    """0A000 for constraints and clauses that a foreign table has not."""
    for element in elements:
        if isinstance(element, ast.TableLikeClause):
            position = element.relation.location + 1
            raise NotSupported("LIKE is not supported for creating foreign tables", position=position)
        if isinstance(element, ast.Constraint):
            refuse_constraints((element,))
        elif isinstance(element, ast.ColumnDef):
            refuse_constraints(element.constraints or ())


def refuse_constraints(constraints: Sequence[ast.Constraint]) -> None:
    """0A000 for keys of a foreign table."""
    for each in constraints:
        if each.contype in _REFUSED:
            raise NotSupported(
                f"{_REFUSED[each.contype]} constraints are not supported on foreign tables",
                position=(each.location or 0) + 1,
            )


def _table_row(ctx: DdlContext, desc: RelationDesc) -> Record:
    row = ctx.rows.one("pg_foreign_table", ftrelid=desc.oid)
    if row is None:
        raise InvariantViolation(f"pg_foreign_table has no row {desc.oid}")
    return row


def _server_row(ctx: DdlContext, row: Record) -> Record:
    server = ctx.rows.one(SERVER.catalog, oid=row.ftserver)
    if server is None:
        raise InvariantViolation(f"pg_foreign_server has no row {row.ftserver}")
    return server


def set_options(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd) -> None:
    """ALTER FOREIGN TABLE … OPTIONS."""
    row = _table_row(ctx, desc)
    validator = wrapper_of(ctx, _server_row(ctx, row)).fdwvalidator
    options = changed_options(ctx, row.ftoptions, command.def_, _CLASS_TABLE, validator)
    ctx.rows.update("pg_foreign_table", row, ftoptions=options)
    ctx.changes.touch(desc.oid)


def alter_column_options(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd) -> None:
    """ALTER FOREIGN TABLE … ALTER COLUMN … OPTIONS. 42703, 0A000."""
    set_column_options(ctx, desc, command.name, command.def_)


def set_column_options(ctx: DdlContext, desc: RelationDesc, name: str, given: Sequence[ast.DefElem]) -> None:
    """The options of one column. 42809 for one of another kind of relation."""
    if desc.kind != "f":
        raise WrongObjectType(f'"{desc.name}" is not a foreign table')
    record = attribute_record(ctx, desc.oid, altered_column(desc, name).attno)
    validator = wrapper_of(ctx, _server_row(ctx, _table_row(ctx, desc))).fdwvalidator
    options = changed_options(ctx, record.attfdwoptions, given, _CLASS_COLUMN, validator)
    ctx.rows.update("pg_attribute", record, attfdwoptions=options)
    ctx.changes.touch(desc.oid)


def import_schema(ctx: DdlContext, node: ast.ImportForeignSchemaStmt) -> str:
    """IMPORT FOREIGN SCHEMA: no wrapper that is here has schemas. 42704, 42501, 3F000, 55000, HV00P."""
    server = find(ctx, SERVER, node.server_name)
    check_usage(ctx, SERVER, server)
    ctx.place((ast.String(sval=node.local_schema), ast.String(sval="")))
    wrapper = wrapper_of(ctx, server)
    if not wrapper.fdwhandler:
        raise ObjectNotInPrerequisiteState(f'foreign-data wrapper "{wrapper.fdwname}" has no handler')
    raise FdwNoSchemas(f'foreign-data wrapper "{wrapper.fdwname}" does not support IMPORT FOREIGN SCHEMA')
