"""ALTER COLUMN … ADD GENERATED AS IDENTITY, SET GENERATED, DROP IDENTITY (manual, ALTER TABLE).

The sequence of an identity column belongs to it by a dependency of kind i; nothing else says which it is.
"""

from __future__ import annotations

from pglast import ast

from aurora.errors import InvalidParameterValue, InvariantViolation, ObjectNotInPrerequisiteState, SqlError
from compute_node.catalog.ddl.context import CLASS_RELATION, DdlContext
from compute_node.catalog.ddl.dependencies import drop
from compute_node.catalog.ddl.relation import attribute_record
from compute_node.catalog.ddl.sequence import change_sequence, create_owned_sequence
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.sql.parse import parse
from compute_node.types import oids

_TYPES = (oids.INT2, oids.INT4, oids.INT8)


def identity_sequence(ctx: DdlContext, desc: RelationDesc, attno: int) -> int:
    """The OID of the sequence behind an identity column."""
    for record in ctx.rows.find("pg_depend", refclassid=CLASS_RELATION, refobjid=desc.oid, refobjsubid=attno):
        if record.classid == CLASS_RELATION and record.deptype == "i" and record.objsubid == 0:
            return int(record.objid)
    raise InvariantViolation(f"the identity column {desc.name}.{attno} has no sequence")


def add_identity(ctx: DdlContext, desc: RelationDesc, column: ColumnDesc, node: ast.Constraint) -> None:
    """22023, 55000."""
    if column.type not in _TYPES:
        raise InvalidParameterValue("identity column type must be smallint, integer, or bigint")
    where = f'column "{column.name}" of relation "{desc.name}"'
    if not column.not_null:
        raise ObjectNotInPrerequisiteState(f"{where} must be declared NOT NULL before identity can be added")
    if column.identity:
        raise ObjectNotInPrerequisiteState(f"{where} is already an identity column")
    if column.has_default:
        raise ObjectNotInPrerequisiteState(f"{where} already has a default value")
    create_owned_sequence(ctx, desc, column, node.options, identity=True)
    _mark(ctx, desc, column, node.generated_when)


def set_identity(ctx: DdlContext, desc: RelationDesc, column: ColumnDesc, options: tuple[ast.DefElem, ...]) -> None:
    """Another kind of identity, or other options of its sequence. 55000, 42601."""
    if not column.identity:
        raise _no_identity(desc, column)
    mine = [option for option in options if option.defname != "generated"]
    if mine:
        sequence = ctx.view.relation(identity_sequence(ctx, desc, column.attno))
        if sequence is None:
            raise InvariantViolation("an identity column without its sequence")
        change_sequence(ctx, sequence, mine)
    for option in options:
        if option.defname == "generated":
            _mark(ctx, desc, column, chr(option.arg.ival))


def drop_identity(ctx: DdlContext, desc: RelationDesc, column: ColumnDesc, missing_ok: bool) -> None:
    """An ordinary column from now on; its sequence goes. 55000."""
    if not column.identity:
        error = _no_identity(desc, column)
        if not missing_ok:
            raise error
        ctx.notice(f"{error.message}, skipping")
        return
    sequence = identity_sequence(ctx, desc, column.attno)
    ctx.rows.delete_where("pg_depend", classid=CLASS_RELATION, objid=sequence, refobjid=desc.oid)
    drop(ctx, [(CLASS_RELATION, sequence, 0)], cascade=False, silent=True)
    _mark(ctx, desc, column, "")


def _mark(ctx: DdlContext, desc: RelationDesc, column: ColumnDesc, kind: str) -> None:
    ctx.rows.update("pg_attribute", attribute_record(ctx, desc.oid, column.attno), attidentity=kind)
    ctx.changes.touch(desc.oid)


def _no_identity(desc: RelationDesc, column: ColumnDesc) -> SqlError:
    message = f'column "{column.name}" of relation "{desc.name}" is not an identity column'
    return ObjectNotInPrerequisiteState(message)


def like_identity(ctx: DdlContext, source: RelationDesc, column: ColumnDesc) -> ast.Constraint:
    """The identity of a column of another table, for LIKE … INCLUDING IDENTITY."""
    row = ctx.rows.one("pg_sequence", seqrelid=identity_sequence(ctx, source, column.attno))
    if row is None:
        raise InvariantViolation("an identity column without its sequence")
    cycle = "CYCLE" if row.seqcycle else "NO CYCLE"
    text = (
        f"CREATE SEQUENCE s INCREMENT {row.seqincrement} MINVALUE {row.seqmin} MAXVALUE {row.seqmax} "
        f"START {row.seqstart} CACHE {row.seqcache} {cycle}"
    )
    return ast.Constraint(generated_when=column.identity, options=parse(text)[0].node.options)
