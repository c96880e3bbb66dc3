"""FOREIGN KEY constraints: definition → rows of pg_constraint, pg_trigger, pg_depend, and the check of the rows.

What the constraint then does at each change is in ``compute_node/session/referential.py``. As in PostgreSQL each has
four rows in pg_trigger, two on either table, by which the tables know it. Sources: PostgreSQL manual, CREATE TABLE and
ALTER TABLE, chapter 5.4.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pglast import ast

from aurora.errors import (
    DatatypeMismatch,
    DuplicateObject,
    InsufficientPrivilege,
    InternalError,
    InvalidColumnReference,
    InvalidForeignKey,
    InvalidTableDefinition,
    InvariantViolation,
    NotSupported,
    ObjectNotInPrerequisiteState,
    SqlSyntaxError,
    TooManyColumns,
    UndefinedColumn,
    UndefinedObject,
    WrongObjectType,
)
from compute_node.catalog.ddl.context import (
    DdlContext,
    cut_name,
)
from compute_node.catalog.ddl.foreign_key_rows import (
    MAY_WAIT,
    check_rows,
    free_name,
    has_constraint,
    record_of,
    store,
)
from compute_node.catalog.ddl.partitions.foreign_keys import add_actions, add_checks
from compute_node.catalog.ddl.partitions.indexes import below
from compute_node.catalog.ddl.relation import relation
from compute_node.catalog.foreign_keys import foreign_key, parts_of
from compute_node.catalog.permissions import denied_relation
from compute_node.catalog.rows import Record
from compute_node.relations.descriptors import ForeignKeyDesc, IndexDesc, RelationDesc
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.sql.analyze.coercion import find_pathway
from compute_node.sql.analyze.typenames import format_type
from compute_node.txn.locks import ACCESS_EXCLUSIVE, ROW_SHARE, SHARE_ROW_EXCLUSIVE
from compute_node.types.acl import REFERENCES

COLUMNS_MAX = 32
_EQUAL = 3
"""the B-tree strategy"""


class _Operators(NamedTuple):
    """Which compare (referenced, referencing), (referenced, referenced), (referencing, referencing)."""

    between: int
    referenced: int
    referencing: int


def add_foreign_key(
    ctx: DdlContext,
    desc: RelationDesc,
    node: ast.Constraint,
    columns: Sequence[str],
    *,
    validate: bool,
    recurse: bool = True,
) -> None:
    """Add one; ``validate``: the table may have rows; ``recurse``: its partitions are meant, too. 23503, 42501, 42703,
    42704, 42710, 42804, 42809, 42830, 42P16."""
    referenced = _referenced_table(ctx, desc, node)
    if desc.is_partitioned:
        _refuse_partitioned(desc, referenced, node, recurse)
    attnos = [_key_column(desc, name) for name in columns]
    if len(attnos) > COLUMNS_MAX:
        raise TooManyColumns(f"cannot have more than {COLUMNS_MAX} keys in a foreign key")
    set_columns = _set_columns(desc, attnos, node)
    index, key = _referenced_key(ctx, referenced, [item.sval for item in node.pk_attrs or ()])
    _check_permission(ctx, referenced, key)
    if len(key) != len(attnos):
        raise InvalidForeignKey("number of referencing and referenced columns for foreign key disagree")
    name = _constraint_name(ctx, desc, node.conname, columns)
    _refuse_generated(desc, attnos, node)
    operators = [
        _operators(ctx, name, (desc, mine), (referenced, theirs), _class_of(index, theirs))
        for mine, theirs in zip(attnos, key, strict=True)
    ]
    values = {
        "conname": name,
        "connamespace": desc.namespace,
        "contype": "f",
        "condeferrable": bool(node.deferrable),
        "condeferred": bool(node.initdeferred),
        "convalidated": not node.skip_validation or not validate,
        "conrelid": desc.oid,
        "conindid": index.oid,
        "confrelid": referenced.oid,
        "confupdtype": node.fk_upd_action,
        "confdeltype": node.fk_del_action,
        "confmatchtype": node.fk_matchtype,
        "conislocal": True,
        "connoinherit": not desc.is_partitioned,
        "conkey": attnos,
        "confkey": key,
        "conpfeqop": [each.between for each in operators],
        "conppeqop": [each.referenced for each in operators],
        "conffeqop": [each.referencing for each in operators],
        "confdelsetcols": set_columns or None,
    }
    record = store(ctx, values)
    add_actions(ctx, record)
    add_checks(ctx, record, validate=validate and not node.skip_validation)


def _refuse_partitioned(desc: RelationDesc, referenced: RelationDesc, node: ast.Constraint, recurse: bool) -> None:
    """42809 for what a partitioned table's key may not be: without its partitions, NOT VALID."""
    tables = f'foreign key on partitioned table "{desc.name}" referencing relation "{referenced.name}"'
    if not recurse:
        raise WrongObjectType(f"cannot use ONLY for {tables}")
    if node.skip_validation and not node.initially_valid:
        raise WrongObjectType(
            f"cannot add NOT VALID {tables}", detail="This feature is not yet supported on partitioned tables."
        )


def _refuse_generated(desc: RelationDesc, attnos: Sequence[int], node: ast.Constraint) -> None:
    """42601 for an action that would change a generated column."""
    if not any(desc.columns[attno - 1].generated for attno in attnos):
        return
    for event, action, refused in (("UPDATE", node.fk_upd_action, "ndc"), ("DELETE", node.fk_del_action, "nd")):
        if str(action) in refused:
            message = f"invalid ON {event} action for foreign key constraint containing generated column"
            raise SqlSyntaxError(message)


def _referenced_table(ctx: DdlContext, desc: RelationDesc, node: ast.Constraint) -> RelationDesc:
    """The table that it refers to, locked against changes of its rows and definition."""
    found = ctx.find(node.pktable)
    if found is None:
        raise InvariantViolation("a referenced table that is not there")
    if found.kind not in "rp":
        raise WrongObjectType(f'referenced relation "{found.name}" is not a table')
    if found.oid < FIRST_NORMAL_OID:
        raise InsufficientPrivilege(f'permission denied: "{found.name}" is a system catalog')
    ctx.lock(found, SHARE_ROW_EXCLUSIVE)
    found = relation(ctx, found.oid)
    if desc.persistence == "p" and found.persistence != "p":
        raise InvalidTableDefinition("constraints on permanent tables may reference only permanent tables")
    if desc.persistence == "u" and found.persistence == "t":
        raise InvalidTableDefinition("constraints on unlogged tables may reference only permanent or unlogged tables")
    if desc.persistence == "t" and found.persistence != "t":
        raise InvalidTableDefinition("constraints on temporary tables may reference only temporary tables")
    return found


def _key_column(desc: RelationDesc, name: str) -> int:
    column = desc.column(name)
    if column is None:
        raise UndefinedColumn(f'column "{name}" referenced in foreign key constraint does not exist')
    return column.attno


def _set_columns(desc: RelationDesc, attnos: list[int], node: ast.Constraint) -> list[int]:
    """Those that ON DELETE SET NULL (…) names."""
    found = []
    for item in node.fk_del_set_cols or ():
        attno = _key_column(desc, item.sval)
        if attno not in attnos:
            raise InvalidColumnReference(
                f'column "{item.sval}" referenced in ON DELETE SET action must be part of foreign key'
            )
        found.append(attno)
    return found


def _referenced_key(ctx: DdlContext, desc: RelationDesc, names: list[str]) -> tuple[IndexDesc, list[int]]:
    """The unique index, and its columns in the order given; without names the primary key's."""
    if not names:
        primary = next((index for index in desc.indexes if index.primary and index.valid), None)
        if primary is None:
            raise UndefinedObject(f'there is no primary key for referenced table "{desc.name}"')
        _require_immediate(desc, primary, "primary key")
        return primary, list(primary.columns)
    attnos = [_key_column(desc, name) for name in names]
    if len(set(attnos)) < len(attnos):
        raise InvalidForeignKey("foreign key referenced-columns list must not contain duplicates")
    for index in desc.indexes:
        plain = index.unique and index.valid and index.predicate is None and not index.expressions
        if plain and sorted(index.columns) == sorted(attnos):
            _require_immediate(desc, index, "unique constraint")
            return index, attnos
    raise InvalidForeignKey(f'there is no unique constraint matching given keys for referenced table "{desc.name}"')


def _require_immediate(desc: RelationDesc, index: IndexDesc, what: str) -> None:
    if not index.immediate:
        raise ObjectNotInPrerequisiteState(f'cannot use a deferrable {what} for referenced table "{desc.name}"')


def _check_permission(ctx: DdlContext, desc: RelationDesc, columns: list[int]) -> None:
    """REFERENCES on the referenced table, or on each of the columns."""
    rights = ctx.rights
    if not rights.relation(desc, REFERENCES) and not all(rights.column(desc, each, REFERENCES) for each in columns):
        raise denied_relation(desc)


def _constraint_name(ctx: DdlContext, desc: RelationDesc, given: str | None, columns: Sequence[str]) -> str:
    if given:
        name = cut_name(given)
        if has_constraint(ctx, desc, name):
            raise DuplicateObject(f'constraint "{name}" for relation "{desc.name}" already exists')
        return name
    return free_name(ctx, desc, columns)


def _class_of(index: IndexDesc, attno: int) -> int:
    return index.operator_classes[index.columns.index(attno)]


def _operators(
    ctx: DdlContext, name: str, mine: tuple[RelationDesc, int], theirs: tuple[RelationDesc, int], operator_class: int
) -> _Operators:
    """How one column pair is compared; 42804 when the index's operator family cannot."""
    view = ctx.view
    table, referenced = mine[0].columns[mine[1] - 1], theirs[0].columns[theirs[1] - 1]
    found = view.operator_class(operator_class)
    if found is None:
        raise InvariantViolation(f"operator class {operator_class} is not in the catalog")
    family, own = found.family, found.input_type
    equal = view.family_operator(family, own, own, _EQUAL)
    between = view.family_operator(family, own, table.type, _EQUAL)
    referencing = view.family_operator(family, table.type, table.type, _EQUAL)
    if not between or not referencing:
        # Otherwise the referencing value becomes one of the index's type.
        pathway = find_pathway(view, own, table.type, "i")
        if pathway is not None or (view.type(own).kind == "p" and table.type == referenced.type):
            between = referencing = equal
    if not equal or not between or not referencing:
        raise DatatypeMismatch(
            f'foreign key constraint "{name}" cannot be implemented',
            detail=f'Key columns "{table.name}" and "{referenced.name}" are of incompatible types: '
            f"{format_type(view, table.type, table.typmod)} and "
            f"{format_type(view, referenced.type, referenced.typmod)}.",
        )
    return _Operators(between, equal, referencing)


def renew_foreign_keys(ctx: DdlContext, oid: int, changed: set[int]) -> list[ForeignKeyDesc]:
    """Columns of a table have other types: its keys, and those that refer to it, compare by other operators. Returns
    those whose rows are to be checked again, without parts of others. 42804."""
    desc = relation(ctx, oid)
    found = []
    for key in dict.fromkeys((*desc.foreign_keys, *desc.referenced_by)):
        mine = changed.intersection(key.columns) if key.table == oid else set()
        theirs = changed.intersection(key.referenced_columns) if key.referenced == oid else set()
        if not mine and not theirs:
            continue
        table, referenced = relation(ctx, key.table), relation(ctx, key.referenced)
        ctx.lock(referenced if key.table == oid else table, ACCESS_EXCLUSIVE)
        index = next(each for each in referenced.indexes if each.oid == key.index)
        operators = [
            _operators(ctx, key.name, (table, attno), (referenced, other), _class_of(index, other))
            for attno, other in zip(key.columns, key.referenced_columns, strict=True)
        ]
        for each in (key.oid, *parts_of(ctx.rows, key.oid)):
            ctx.rows.update(
                "pg_constraint",
                record_of(ctx, each),
                conpfeqop=[each.between for each in operators],
                conppeqop=[each.referenced for each in operators],
                conffeqop=[each.referencing for each in operators],
            )
        ctx.changes.touch(key.table, key.referenced)
        if key.validated and not key.parent:
            found.append(foreign_key(record_of(ctx, key.oid)))
    return found


def find_constraint(ctx: DdlContext, desc: RelationDesc, name: str) -> Record:
    """A table's constraint by name; 42704."""
    for record in ctx.rows.find("pg_constraint", conrelid=desc.oid):
        if record.conname == name:
            return record
    raise UndefinedObject(f'constraint "{name}" of relation "{desc.name}" does not exist')


def validate_foreign_key(ctx: DdlContext, record: Record) -> None:
    """VALIDATE CONSTRAINT of one that was added NOT VALID."""
    referenced = relation(ctx, record.confrelid)
    ctx.lock(referenced, ROW_SHARE)
    check_rows(ctx, foreign_key(record))
    ctx.rows.update("pg_constraint", record, convalidated=True)
    ctx.changes.touch(record.conrelid, record.confrelid)


def alter_constraint(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd) -> None:
    """ALTER CONSTRAINT … [NOT] DEFERRABLE, INITIALLY …, of a key and its parts. 42704, 42809, XX000 for a part."""
    node = command.def_
    record = find_constraint(ctx, desc, node.conname)
    if record.contype != "f":
        raise WrongObjectType(
            f'constraint "{record.conname}" of relation "{desc.name}" is not a foreign key constraint'
        )
    if record.conparentid:
        origin = record
        while origin.conparentid:
            origin = record_of(ctx, origin.conparentid)
        name = relation(ctx, origin.conrelid).name
        raise InternalError(
            f'cannot alter constraint "{record.conname}" on relation "{desc.name}"',
            detail=f'Constraint "{record.conname}" is derived from constraint "{origin.conname}" of relation "{name}".',
            hint="You may alter the constraint it derives from, instead.",
        )
    deferrable, deferred = bool(node.deferrable), bool(node.initdeferred)
    for oid in (record.oid, *parts_of(ctx.rows, record.oid)):
        each = record_of(ctx, oid)
        ctx.rows.update("pg_constraint", each, condeferrable=deferrable, condeferred=deferred)
        for trigger in ctx.rows.find("pg_trigger", tgconstraint=oid):
            if trigger.tgfoid in MAY_WAIT:
                ctx.rows.update("pg_trigger", trigger, tgdeferrable=deferrable, tginitdeferred=deferred)
        ctx.changes.touch(each.conrelid, each.confrelid)


def truncation(ctx: DdlContext, tables: list[RelationDesc], cascade: bool) -> list[RelationDesc]:
    """The tables that TRUNCATE empties: with CASCADE those that refer to one of them, too; 0A000 without it."""
    found: dict[int, RelationDesc] = {desc.oid: desc for desc in tables}
    for desc in (waiting := list(found.values())):
        for key in desc.referenced_by:
            if key.table in found:
                continue
            other = relation(ctx, key.table)
            if not cascade:
                raise NotSupported(
                    "cannot truncate a table referenced in a foreign key constraint",
                    detail=f'Table "{other.name}" references "{desc.name}".',
                    hint=f'Truncate table "{other.name}" at the same time, or use TRUNCATE ... CASCADE.',
                )
            for each in (other, *below(ctx, other)):
                if each.oid in found:
                    continue
                ctx.notice(f'truncate cascades to table "{each.name}"')
                name = ast.RangeVar(schemaname=each.schema, relname=each.name, inh=True, relpersistence="p")
                found[each.oid] = ctx.truncatable(name)
                waiting.append(found[each.oid])
    return list(found.values())
