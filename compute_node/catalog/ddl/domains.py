"""CREATE, ALTER and DROP DOMAIN: rows of pg_type and pg_constraint; tables that use a domain are looked through when
its constraints grow. Source: PostgreSQL manual, ch. 8.18 and the reference page of ALTER DOMAIN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pglast import ast, enums

from aurora.errors import (
    CheckViolation,
    DatatypeMismatch,
    DuplicateObject,
    InvalidObjectDefinition,
    InvariantViolation,
    NotNullViolation,
    NotSupported,
    SqlError,
    SqlSyntaxError,
    UndefinedObject,
    WrongObjectType,
)
from compute_node.catalog.builders import array_type_row, domain_type_row
from compute_node.catalog.ddl.context import (
    CLASS_CONSTRAINT,
    CLASS_NAMESPACE,
    CLASS_PROC,
    CLASS_RELATION,
    CLASS_TYPE,
    DdlContext,
    cut_name,
)
from compute_node.catalog.ddl.create_table import check_type_usage
from compute_node.catalog.ddl.dependencies import drop
from compute_node.catalog.ddl.expressions import default_text, named_objects, references, used_fields
from compute_node.catalog.ddl.relation import depend_on_collation
from compute_node.catalog.ddl.shared_depend import record_owner
from compute_node.catalog.ddl.type_users import columns_of_type
from compute_node.catalog.ddl.types import array_name, check_type_owner, find_type, type_name_taken, type_record
from compute_node.catalog.rows import Record, make_row
from compute_node.hub import HUB
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.sql.analyze.stored import analyze_domain_check, analyze_new_domain_check
from compute_node.sql.analyze.typenames import find_collation, format_type, resolve_type_name
from compute_node.sql.deparse.expressions import deparse_stored, quote_literal
from compute_node.sql.expressions import walk
from compute_node.txn.locks import SHARE
from compute_node.types.registry import PgType

_C = enums.ConstrType
_ELSEWHERE = {
    _C.CONSTR_UNIQUE: "unique constraints not possible for domains",
    _C.CONSTR_PRIMARY: "primary key constraints not possible for domains",
    _C.CONSTR_EXCLUSION: "exclusion constraints not possible for domains",
    _C.CONSTR_FOREIGN: "foreign key constraints not possible for domains",
}
_KINDS_ALLOWED = "bdercm"


def create_domain(ctx: DdlContext, node: ast.CreateDomainStmt) -> str:
    """CREATE DOMAIN."""
    namespace, name = ctx.place(node.domainname)
    if type_name_taken(ctx, namespace, name):
        raise DuplicateObject(f'type "{name}" already exists')
    node.typeName.location = -1
    base_oid, typmod = resolve_type_name(ctx.view, node.typeName)
    base = ctx.view.type(base_oid)
    if base.kind not in _KINDS_ALLOWED:
        raise DatatypeMismatch(f'"{base.name}" is not a valid base type for a domain')
    check_type_usage(ctx, base)
    collation = _collation(ctx, node.collClause, base)
    default, not_null, checks = _taken_apart(node.constraints or ())
    oid, array = ctx.next_oid(), ctx.next_oid()
    record = ctx.rows.one("pg_type", oid=base_oid)
    if record is None:
        raise InvariantViolation(f"pg_type has no row {base_oid}")
    text = record.typdefault
    if text is not None and record.typtype == "b":
        text = quote_literal(text)  # a base type's is what its input function reads
    if default is not None:
        text = _default(ctx, default.raw_expr, ColumnDesc(1, name, base_oid, typmod, False))
    owner = ctx.user_oid
    ctx.rows.insert_many(
        "pg_type",
        [
            domain_type_row(
                oid,
                name,
                namespace,
                array,
                owner,
                record,
                typmod=typmod,
                not_null=bool(not_null),
                default=text,
                collation=collation,
                dimensions=len(node.typeName.arrayBounds or ()),
            ),
            array_type_row(array, array_name(ctx, namespace, name), namespace, oid, owner, align=_align(record)),
        ],
    )
    record_owner(ctx, CLASS_TYPE, oid, owner)
    address = (CLASS_TYPE, oid, 0)
    ctx.depend(address, (CLASS_NAMESPACE, namespace, 0), "n")
    ctx.depend(address, (CLASS_TYPE, base_oid, 0), "n")
    for function in (record.typoutput, record.typsend):
        if function >= FIRST_NORMAL_OID:
            ctx.depend(address, (CLASS_PROC, function, 0), "n")
    ctx.depend((CLASS_TYPE, array, 0), address, "i")
    depend_on_collation(ctx, address, collation)
    if text is not None:
        ctx.depend_on_text(address, text)
    ctx.changes.touch(oid)
    for check in checks:
        _add_check(ctx, type_record(ctx, oid), check)
    return "CREATE DOMAIN"


def _align(record: Record) -> str:
    return "d" if record.typalign == "d" else "i"


def _collation(ctx: DdlContext, clause: ast.CollateClause | None, base: PgType) -> int:
    if clause is None:
        return base.collation
    found = find_collation(ctx.view, clause.collname)
    if not base.root.collation:
        raise DatatypeMismatch(f"collations are not supported by type {format_type(ctx.view, base.oid)}")
    return found.oid


def _taken_apart(nodes: Any) -> tuple[ast.Constraint | None, bool | None, list[ast.Constraint]]:
    """The default, whether NOT NULL or NULL was said, and the checks; 42601, 42P17, 0A000."""
    default, not_null, checks = None, None, []
    for node in nodes:
        kind = node.contype
        if kind == _C.CONSTR_DEFAULT:
            if default is not None:
                raise SqlSyntaxError("multiple default expressions")
            default = node
        elif kind in (_C.CONSTR_NOTNULL, _C.CONSTR_NULL):
            wanted = kind == _C.CONSTR_NOTNULL
            if not_null is not None and not_null != wanted:
                raise SqlSyntaxError("conflicting NULL/NOT NULL constraints")
            not_null = wanted
        elif kind == _C.CONSTR_CHECK:
            if node.is_no_inherit:
                raise InvalidObjectDefinition("check constraints for domains cannot be marked NO INHERIT")
            checks.append(node)
        elif kind in _ELSEWHERE:
            raise SqlSyntaxError(_ELSEWHERE[kind])
        else:
            raise NotSupported("specifying constraint deferrability not supported for domains")
    return default, not_null, checks


def _default(ctx: DdlContext, node: ast.Node, column: ColumnDesc) -> str | None:
    """A domain's default as text; DEFAULT NULL is none."""
    try:
        text = default_text(ctx, node, column)
    except SqlError as error:
        error.position = None
        raise
    return None if text.startswith("NULL::") else text


def _add_check(ctx: DdlContext, record: Record, node: ast.Constraint, *, validated: bool = True) -> None:
    """A CHECK of a domain: its row; 42710, 42703, 0A000, 42804."""
    taken = {row.conname for row in ctx.rows.find("pg_constraint", contypid=record.oid)}
    if node.conname:
        name = cut_name(node.conname)
        if name in taken:
            raise DuplicateObject(f'constraint "{name}" for domain "{record.typname}" already exists')
    else:
        name = ctx.free_name(0, [record.typname], "check", taken)
    if references(node.raw_expr)[1]:
        raise NotSupported("cannot use subquery in check constraint")
    view = ctx.tracing()
    found = analyze_new_domain_check(view, record.typbasetype, node.raw_expr, session=ctx.session)
    text = ctx.keep(deparse_stored(found, ctx.stored_view, None), view, named_objects(walk(found)))
    ctx.also_uses(text, used_fields(ctx, found))
    oid = ctx.next_oid()
    values = {
        "oid": oid,
        "conname": name,
        "connamespace": record.typnamespace,
        "contype": "c",
        "convalidated": validated,
        "contypid": record.oid,
        "confupdtype": " ",
        "confdeltype": " ",
        "confmatchtype": " ",
        "conislocal": True,
        "conbin": text,
    }
    ctx.rows.insert_many("pg_constraint", [make_row("pg_constraint", values)])
    ctx.depend((CLASS_CONSTRAINT, oid, 0), (CLASS_TYPE, record.oid, 0), "a")
    ctx.depend_on_text((CLASS_CONSTRAINT, oid, 0), text)
    ctx.changes.touch(record.oid)


def renew_checks(ctx: DdlContext, relation: int, attno: int) -> None:
    """A composite type's column has another type: the domains' constraints that select it are analyzed again."""
    for row in ctx.rows.find("pg_depend", refclassid=CLASS_RELATION, refobjid=relation, refobjsubid=attno):
        if row.classid != CLASS_CONSTRAINT:
            continue
        record = ctx.rows.one("pg_constraint", oid=row.objid)
        if record is not None and record.contypid:
            base = type_record(ctx, record.contypid).typbasetype
            found = analyze_domain_check(ctx.view, base, record.conbin)
            ctx.rows.update("pg_constraint", record, conbin=deparse_stored(found, ctx.stored_view, None))
            ctx.changes.touch(record.contypid)


def find_domain(ctx: DdlContext, names: Sequence[ast.String]) -> Record:
    """The pg_type row of a domain by name, its owner checked; 42704, 42809, 42501."""
    kind = find_type(ctx, ast.TypeName(names=names))
    if kind is None:
        raise InvariantViolation("kind is not there")
    if kind.kind != "d":
        raise WrongObjectType(f"{format_type(ctx.view, kind.oid)} is not a domain")
    return check_type_owner(ctx, kind.oid)


def alter_domain(ctx: DdlContext, node: ast.AlterDomainStmt) -> str:
    """ALTER DOMAIN but for RENAME, OWNER and SET SCHEMA. The domain is locked: who changes it comes one by one."""
    record = find_domain(ctx, node.typeName)
    ctx.lock_object(CLASS_TYPE, record.oid, record.typname)
    record = find_domain(ctx, node.typeName)
    subtype = str(node.subtype)
    if subtype == "T":
        _set_default(ctx, record, node.def_)
    elif subtype in "NO":
        _set_not_null(ctx, record, subtype == "O")
    elif subtype == "C":
        _add_constraint(ctx, record, node.def_)
    elif subtype == "X":
        _drop_constraint(ctx, record, node)
    elif subtype == "V":
        _validate(ctx, record, node.name)
    else:
        raise NotSupported("this form of ALTER DOMAIN is not supported")
    ctx.changes.touch(record.oid)
    return "ALTER DOMAIN"


def _set_default(ctx: DdlContext, record: Record, node: ast.Node) -> None:
    text = None
    if node is not None:
        column = ColumnDesc(1, record.typname, record.typbasetype, record.typtypmod, False)
        text = _default(ctx, node, column)
    ctx.rows.update("pg_type", record, typdefault=text, typdefaultbin=text)
    if text is not None:
        ctx.depend_on_text((CLASS_TYPE, record.oid, 0), text)


def _set_not_null(ctx: DdlContext, record: Record, wanted: bool) -> None:
    if record.typnotnull == wanted:
        return
    if wanted:
        for desc, column in columns_of_type(ctx, record.oid):
            ctx.lock(desc, SHARE)
            for batch in ctx.storage.table(desc).scan(ctx.rows.snapshot(), (column.attno,), False):
                ctx.session.check_interrupts()
                HUB.pulse()
                if any(row[0] is None for row in batch):
                    raise NotNullViolation(
                        f'column "{column.name}" of table "{desc.name}" contains null values',
                        schema=desc.schema,
                        table=desc.name,
                        column=column.name,
                    )
    ctx.rows.update("pg_type", record, typnotnull=wanted)


def _add_constraint(ctx: DdlContext, record: Record, node: ast.Constraint) -> None:
    _taken_apart((node,))
    if node.contype != _C.CONSTR_CHECK:
        raise NotSupported("only CHECK constraints can be added to a domain")
    _add_check(ctx, record, node, validated=not node.skip_validation)
    if not node.skip_validation:
        _check_rows(ctx, record.oid)


def _check_rows(ctx: DdlContext, oid: int) -> None:
    """Every stored value of the domain satisfies it as it is now; 23514."""
    kind, env = ctx.view.type(oid), ctx.session.env
    if kind.check is None:
        return
    for desc, column in columns_of_type(ctx, oid):
        ctx.lock(desc, SHARE)
        for batch in ctx.storage.table(desc).scan(ctx.rows.snapshot(), (column.attno,), False):
            ctx.session.check_interrupts()
            HUB.pulse()
            for (value,) in batch:
                try:
                    kind.check(value, env)
                except (CheckViolation, NotNullViolation):
                    raise _violated(desc, column) from None


def _violated(desc: RelationDesc, column: ColumnDesc) -> SqlError:
    return CheckViolation(
        f'column "{column.name}" of table "{desc.name}" contains values that violate the new constraint',
        schema=desc.schema,
        table=desc.name,
        column=column.name,
    )


def domain_constraint(ctx: DdlContext, record: Record, name: str) -> Record | None:
    """The pg_constraint row of a domain's constraint."""
    rows = ctx.rows.find("pg_constraint", contypid=record.oid)
    return next((row for row in rows if row.conname == name), None)


def missing_constraint(record: Record, name: str) -> str:
    """How messages say that there is no such constraint."""
    return f'constraint "{name}" of domain "{record.typname}" does not exist'


def _drop_constraint(ctx: DdlContext, record: Record, node: ast.AlterDomainStmt) -> None:
    found = domain_constraint(ctx, record, node.name)
    if found is not None:
        cascade = node.behavior == enums.DropBehavior.DROP_CASCADE
        drop(ctx, [(CLASS_CONSTRAINT, found.oid, 0)], cascade=cascade)
    elif not node.missing_ok:
        raise UndefinedObject(missing_constraint(record, node.name))
    else:
        ctx.notice(f"{missing_constraint(record, node.name)}, skipping")


def _validate(ctx: DdlContext, record: Record, name: str) -> None:
    found = domain_constraint(ctx, record, name)
    if found is None:
        raise UndefinedObject(missing_constraint(record, name))
    if not found.convalidated:
        _check_rows(ctx, record.oid)
        ctx.rows.update("pg_constraint", found, convalidated=True)


def rename_domain_constraint(ctx: DdlContext, names: Sequence[ast.String], old: str, new: str) -> str:
    """ALTER DOMAIN … RENAME CONSTRAINT."""
    record = find_domain(ctx, names)
    found = domain_constraint(ctx, record, old)
    if found is None:
        raise UndefinedObject(f'constraint "{old}" for domain {format_type(ctx.view, record.oid)} does not exist')
    if domain_constraint(ctx, record, new) is not None:
        shown = format_type(ctx.view, record.oid)
        raise DuplicateObject(f'constraint "{new}" for domain {shown} already exists')
    ctx.rows.update("pg_constraint", found, conname=new)
    ctx.changes.touch(record.oid)
    return "ALTER DOMAIN"
