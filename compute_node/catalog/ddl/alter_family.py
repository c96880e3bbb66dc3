"""ALTER TABLE of a table that others inherit from: what is done to it is done to them, too, unless ONLY says otherwise.

Two kinds of commands: those that do the same to each table of the family (``ALIKE``), and those that ask what a child
has of its own (columns, CHECK constraints): its counts of parents tell whether something goes or only becomes its own.
Source: PostgreSQL manual, 5.10 and ALTER TABLE.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from functools import partial

from pglast import ast, enums

from aurora.errors import (
    CollationMismatch,
    DatatypeMismatch,
    InvalidTableDefinition,
    InvariantViolation,
    NotSupported,
    UndefinedObject,
    WrongObjectType,
)
from compute_node.catalog.ddl.add_column import add_column, store_column
from compute_node.catalog.ddl.column_specs import ColumnSpec, live_column
from compute_node.catalog.ddl.column_types import TypeChange, prepare_column_types
from compute_node.catalog.ddl.constraints import add_check, validate_check
from compute_node.catalog.ddl.context import CLASS_CONSTRAINT, CLASS_RELATION, DdlContext
from compute_node.catalog.ddl.create_table import add_table_constraint
from compute_node.catalog.ddl.dependencies import Address, drop, refresh_has_index
from compute_node.catalog.ddl.expressions import walk, without_place
from compute_node.catalog.ddl.foreign.tables import refuse_constraints
from compute_node.catalog.ddl.foreign_keys import find_constraint, validate_foreign_key
from compute_node.catalog.ddl.generated_columns import drop_expression
from compute_node.catalog.ddl.inheritance import sequence_of
from compute_node.catalog.ddl.kept_texts import queries_follow
from compute_node.catalog.ddl.relation import attribute_record, relation
from compute_node.catalog.inheritance import children_of
from compute_node.catalog.rows import Record
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.sql.expressions import Var
from compute_node.sql.expressions import walk as walk_expression
from compute_node.sql.partitioning import key_expressions
from compute_node.txn.locks import ACCESS_EXCLUSIVE

Handler = Callable[[DdlContext, RelationDesc, ast.AlterTableCmd, bool], None]
"""(context, table, command, whether descendants are meant, too)"""
_T = enums.AlterTableType
ALIKE = frozenset((_T.AT_ColumnDefault, _T.AT_SetNotNull, _T.AT_DropNotNull, _T.AT_SetStatistics, _T.AT_SetStorage))
"""Commands that do the same to each table of a family."""


def family(ctx: DdlContext, desc: RelationDesc, recurse: bool, mode: int = ACCESS_EXCLUSIVE) -> list[RelationDesc]:
    """A table and, with ``recurse``, its descendants: locked, owned, not in use. 42501, 55006."""
    if not recurse:
        return [desc]
    return [desc, *_opened(ctx, ctx.lock_descendants(desc, partial(ctx.lock, mode=mode)))]


def _children(ctx: DdlContext, desc: RelationDesc, mode: int = ACCESS_EXCLUSIVE) -> list[RelationDesc]:
    """The same of a table's children."""
    found = []
    for oid in children_of(ctx.rows, desc.oid):
        child = ctx.view.relation(oid)
        if child is not None:
            ctx.lock(child, mode)
            child = ctx.view.relation(oid)
        found += [] if child is None else [child]
    return _opened(ctx, found)


def _opened(ctx: DdlContext, tables: list[RelationDesc]) -> list[RelationDesc]:
    for desc in tables:
        ctx.check_owner(desc)
        ctx.check_unused(desc, "ALTER TABLE")
    return tables


# --- columns --------------------------------------------------------------------------------------------------------


def add_columns(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd, recurse: bool) -> None:
    """ADD COLUMN. 42P16 with ONLY where there are children, 0A000 for an identity column there."""
    node = command.def_
    if desc.is_partition:
        raise WrongObjectType("cannot add column to a partition")
    kids = _children(ctx, desc)
    identity = any(each.contype == enums.ConstrType.CONSTR_IDENTITY for each in node.constraints or ())
    if kids and recurse and identity:
        raise NotSupported("cannot recursively add identity column to table that has child tables")
    checks = [each for each in node.constraints or () if each.contype == enums.ConstrType.CONSTR_CHECK]
    node.constraints = tuple(each for each in node.constraints or () if each not in checks) or None
    column = add_column(ctx, desc, command)
    if column is None:
        return
    if kids and not recurse:
        raise InvalidTableDefinition("column must be added to child tables too")
    for child in kids:
        _inherit_column(ctx, child, column)
    for check in checks:
        with without_place():
            add_checks(ctx, relation(ctx, desc.oid), check, recurse, column.name)


def _inherit_column(ctx: DdlContext, desc: RelationDesc, column: ColumnDesc) -> None:
    """A child gets a column of its parent, and its own children with it. It may have got it by another way already."""
    desc = relation(ctx, desc.oid)
    known = desc.column(column.name)
    if known is not None:
        if (known.type, known.typmod) != (column.type, column.typmod):
            raise DatatypeMismatch(f'child table "{desc.name}" has different type for column "{column.name}"')
        if known.collation != column.collation:
            raise CollationMismatch(f'child table "{desc.name}" has different collation for column "{column.name}"')
        record = attribute_record(ctx, desc.oid, known.attno)
        ctx.rows.update("pg_attribute", record, attinhcount=record.attinhcount + 1)
        ctx.changes.touch(desc.oid)
        ctx.notice(f'merging definition of column "{column.name}" for child "{desc.name}"')
        return
    own = replace(
        column, attno=len(desc.columns) + 1, has_default=False, default=None, missing=None, has_missing=False, acl=None
    )
    spec = ColumnSpec(own, dimensions=0, default_text=column.default, sequence=sequence_of(column.default))
    made = store_column(ctx, desc, spec)
    record = attribute_record(ctx, desc.oid, made.attno)
    ctx.rows.update("pg_attribute", record, attislocal=False, attinhcount=1)
    ctx.changes.touch(desc.oid)
    for child in _children(ctx, relation(ctx, desc.oid)):
        _inherit_column(ctx, child, made)


def drop_columns(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd, recurse: bool) -> None:
    """DROP COLUMN. 42P16 for an inherited one."""
    column = desc.column(command.name)
    if column is None:
        if not command.missing_ok:
            live_column(desc, command.name)
        ctx.notice(f'column "{command.name}" of relation "{desc.name}" does not exist, skipping')
        return
    if attribute_record(ctx, desc.oid, column.attno).attinhcount:
        raise InvalidTableDefinition(f'cannot drop inherited column "{command.name}"')
    refuse_key_column(ctx, desc, column, "drop")
    if desc.is_partitioned and desc.children and not recurse:
        raise InvalidTableDefinition(
            "cannot drop column from only the partitioned table when partitions exist",
            hint="Do not specify the ONLY keyword.",
        )
    with ExitStack() as following:
        gone: list[Address] = []
        _leave_column(ctx, desc, column, recurse, gone, following)
        drop(ctx, gone, cascade=command.behavior == enums.DropBehavior.DROP_CASCADE)
    for _, oid, _ in gone:
        refresh_has_index(ctx, oid)


def refuse_key_column(ctx: DdlContext, desc: RelationDesc, column: ColumnDesc, verb: str) -> None:
    """42P16 for a column that a partition key reads."""
    if desc.is_partitioned and any(
        isinstance(node, Var) and node.attno == column.attno
        for item in key_expressions(ctx.view, desc)
        for node in walk_expression(item)
    ):
        raise InvalidTableDefinition(
            f'cannot {verb} column "{column.name}" because it is part of the partition key of relation "{desc.name}"'
        )


def _leave_column(
    ctx: DdlContext, desc: RelationDesc, column: ColumnDesc, recurse: bool, gone: list[Address], following: ExitStack
) -> None:
    """A table loses a column; what its descendants lose with it is gathered, too."""
    for child in _children(ctx, desc):
        mine = live_column(child, column.name)
        record = attribute_record(ctx, child.oid, mine.attno)
        if recurse and record.attinhcount == 1 and not record.attislocal:
            _leave_column(ctx, child, mine, recurse, gone, following)
            continue
        local = {} if recurse else {"attislocal": True}
        ctx.rows.update("pg_attribute", record, attinhcount=record.attinhcount - 1, **local)
        ctx.changes.touch(child.oid)
    following.enter_context(queries_follow(ctx, desc))
    gone.append((CLASS_RELATION, desc.oid, column.attno))


def drop_expressions(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd, recurse: bool) -> None:
    """DROP EXPRESSION. 0A000 with ONLY where there are children, 42P16 for an inherited column."""
    kids = children_of(ctx.rows, desc.oid)
    if kids and not recurse:
        raise NotSupported("ALTER TABLE / DROP EXPRESSION must be applied to child tables too")
    column = live_column(desc, command.name)
    if attribute_record(ctx, desc.oid, column.attno).attinhcount:
        raise InvalidTableDefinition("cannot drop generation expression from inherited column")
    for table in family(ctx, desc, recurse):
        drop_expression(ctx, table, live_column(table, command.name), bool(command.missing_ok))


def prepare_family_types(
    ctx: DdlContext, desc: RelationDesc, commands: Sequence[ast.AlterTableCmd], recurse: bool
) -> list[tuple[RelationDesc, list[TypeChange]]]:
    """What ALTER COLUMN TYPE asks of a table and each of its descendants. 42P16 for an inherited column, and with ONLY
    where there are children."""
    for command in commands:
        column = desc.column(command.name)
        if column is not None and attribute_record(ctx, desc.oid, column.attno).attinhcount:
            raise InvalidTableDefinition(f'cannot alter inherited column "{command.name}"')
        if column is not None:
            refuse_key_column(ctx, desc, column, "alter")
    changes = [(desc, prepare_column_types(ctx, desc, commands))]
    if not recurse:
        if children_of(ctx.rows, desc.oid):
            raise InvalidTableDefinition(
                f'type of inherited column "{commands[0].name}" must be changed in child tables too'
            )
        return changes
    tables = family(ctx, desc, recurse)
    for command in commands if len(tables) > 1 else ():
        _check_parents(ctx, [table.oid for table in tables], command.name)
        using = command.def_.raw_default
        if using is not None and any(isinstance(each, ast.ColumnRef) and _is_row(desc, each) for each in walk(using)):
            raise NotSupported(
                "cannot convert whole-row table reference",
                detail="USING expression contains a whole-row table reference.",
            )
    for table in tables[1:]:
        for command in commands:
            if table.is_partitioned and (mine := table.column(command.name)) is not None:
                refuse_key_column(ctx, table, mine, "alter")
        changes.append((table, prepare_column_types(ctx, table, commands)))
    return changes


def _is_row(desc: RelationDesc, node: ast.ColumnRef) -> bool:
    last = node.fields[-1]
    return isinstance(last, ast.A_Star) or (
        len(node.fields) == 1 and last.sval == desc.name and desc.column(last.sval) is None
    )


def _check_parents(ctx: DdlContext, oids: list[int], name: str) -> None:
    """42P16 where a descendant has the column from a table that is none of these, too."""
    for oid in oids[1:]:
        table = relation(ctx, oid)
        parents = [each for each in ctx.rows.find("pg_inherits", inhrelid=oid) if each.inhparent in oids]
        record = attribute_record(ctx, oid, live_column(table, name).attno)
        if record.attinhcount > len(parents):
            raise InvalidTableDefinition(f'cannot alter inherited column "{name}" of relation "{table.name}"')


# --- constraints ----------------------------------------------------------------------------------------------------


def add_constraint(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd, recurse: bool) -> None:
    """ADD CONSTRAINT: CHECK is every descendant's, keys are the table's alone."""
    is_check = command.def_.contype == enums.ConstrType.CONSTR_CHECK
    if desc.kind == "f":
        refuse_constraints((command.def_,))
    with without_place() if is_check else nullcontext():
        if is_check:
            add_checks(ctx, desc, command.def_, recurse)
        else:
            add_table_constraint(ctx, desc.oid, command.def_, validate=True, recurse=recurse)


def add_checks(
    ctx: DdlContext,
    desc: RelationDesc,
    node: ast.Constraint,
    recurse: bool,
    column: str | None = None,
    validate: bool = True,
) -> None:
    """A CHECK constraint of a table and its descendants; without ``validate`` it is known that their rows satisfy it.
    42P16 with ONLY where there are children."""
    name = add_check(ctx, desc, node, column, validate)
    if name is None or node.is_no_inherit:
        return
    kids = _children(ctx, desc)
    if kids and not recurse:
        raise InvalidTableDefinition("constraint must be added to child tables too")
    node.conname = name
    for child in kids:
        _inherit_check(ctx, child, node, validate)


def _inherit_check(ctx: DdlContext, desc: RelationDesc, node: ast.Constraint, validate: bool) -> None:
    if add_check(ctx, desc, node, None, validate, inherited=True) is None:
        return
    for child in _children(ctx, desc):
        _inherit_check(ctx, child, node, validate)


def drop_constraint(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd, recurse: bool) -> None:
    """DROP CONSTRAINT. 42704, 42P16 for an inherited one."""
    record = _constraint(ctx, desc, command.name)
    if record is None:
        message = f'constraint "{command.name}" of relation "{desc.name}" does not exist'
        if not command.missing_ok:
            raise UndefinedObject(message)
        ctx.notice(f"{message}, skipping")
        return
    if record.coninhcount:
        raise InvalidTableDefinition(f'cannot drop inherited constraint "{command.name}" of relation "{desc.name}"')
    _leave_constraint(ctx, desc, record, recurse, command.behavior == enums.DropBehavior.DROP_CASCADE)


def _leave_constraint(ctx: DdlContext, desc: RelationDesc, record: Record, recurse: bool, cascade: bool) -> None:
    inherited = record.contype == "c" and not record.connoinherit
    drop(ctx, [(CLASS_CONSTRAINT, record.oid, 0)], cascade=cascade)
    refresh_has_index(ctx, desc.oid)
    for child in _children(ctx, desc) if inherited else ():
        mine = _constraint(ctx, child, record.conname)
        if mine is None:
            raise UndefinedObject(f'constraint "{record.conname}" of relation "{child.name}" does not exist')
        if recurse and mine.coninhcount == 1 and not mine.conislocal:
            _leave_constraint(ctx, child, mine, recurse, cascade)
            continue
        local = {} if recurse else {"conislocal": True}
        ctx.rows.update("pg_constraint", mine, coninhcount=mine.coninhcount - 1, **local)
        ctx.changes.touch(child.oid)


def _constraint(ctx: DdlContext, desc: RelationDesc, name: str) -> Record | None:
    return next((each for each in ctx.rows.find("pg_constraint", conrelid=desc.oid) if each.conname == name), None)


def validate_constraint(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd, recurse: bool) -> None:
    """VALIDATE CONSTRAINT. 42809, 42P16 with ONLY where a child is to be looked at, too."""
    record = find_constraint(ctx, desc, command.name)
    if record.contype not in "cf":
        raise WrongObjectType(
            f'constraint "{command.name}" of relation "{desc.name}" is not a foreign key or check constraint'
        )
    if record.convalidated:
        return
    if record.contype == "f":
        validate_foreign_key(ctx, record)
        return
    tables = [desc]
    if not record.connoinherit:
        tables = [*family(ctx, desc, recurse=True)[1:], desc]
        if len(tables) > 1 and not recurse:
            raise InvalidTableDefinition("constraint must be validated on child tables too")
    for table in tables:
        mine = _constraint(ctx, table, command.name)
        if mine is None:
            raise InvariantViolation(f"{table.name} has not the constraint {command.name} of its parent")
        if not mine.convalidated:
            validate_check(ctx, table, mine)
