"""ALTER TABLE: one function a subcommand, run in the order given, under an access-exclusive lock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pglast import ast, enums

from aurora.errors import (
    InvalidTableDefinition,
    NotSupported,
    SqlSyntaxError,
    UndefinedColumn,
    UndefinedObject,
    WrongObjectType,
)
from compute_node.catalog.ddl.alter_family import (
    ALIKE,
    Handler,
    add_columns,
    add_constraint,
    drop_columns,
    drop_constraint,
    drop_expressions,
    family,
    prepare_family_types,
    validate_constraint,
)
from compute_node.catalog.ddl.alter_kinds import refuse_kind, require_kind
from compute_node.catalog.ddl.cluster import checked_index, mark_clustered
from compute_node.catalog.ddl.column_specs import altered_column
from compute_node.catalog.ddl.column_types import alter_column_types
from compute_node.catalog.ddl.composites import alter_composite
from compute_node.catalog.ddl.constraints import check_children, require_not_null
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.ddl.expressions import default_text, without_place
from compute_node.catalog.ddl.foreign import tables as foreign_tables
from compute_node.catalog.ddl.foreign_keys import alter_constraint
from compute_node.catalog.ddl.generated_columns import refuse_default
from compute_node.catalog.ddl.identity import add_identity, drop_identity, set_identity
from compute_node.catalog.ddl.inheriting import add_parent, drop_parent
from compute_node.catalog.ddl.objects import refuse_check_option
from compute_node.catalog.ddl.ownership import change_relation_owner
from compute_node.catalog.ddl.partitions.attach import attach_partition
from compute_node.catalog.ddl.partitions.detach import (
    detach_concurrently,
    detach_partition,
    finalize_partition,
    refuse_pending,
)
from compute_node.catalog.ddl.partitions.indexes import attach_index
from compute_node.catalog.ddl.persistence import set_logged
from compute_node.catalog.ddl.policies import set_row_security
from compute_node.catalog.ddl.relation import (
    attribute_record,
    class_record,
    relation,
    set_default,
)
from compute_node.catalog.ddl.replica_identity import names_rows, set_replica_identity
from compute_node.catalog.ddl.rules import enable_rule
from compute_node.catalog.ddl.toast import compression_letter, ensure_toast, storage_letter
from compute_node.catalog.ddl.typed_tables import add_of, drop_of
from compute_node.catalog.reloptions import (
    COLUMN,
    PARTITIONED,
    TABLE,
    TOAST,
    VIEW,
    changed,
    index_options,
    option_text,
    options_of,
    reset,
)
from compute_node.relations.access_methods import METHODS_BY_OID, AccessMethod
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.analyze.from_clause import analyze_view
from compute_node.txn.locks import ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE, SHARE_UPDATE_EXCLUSIVE

_T = enums.AlterTableType
_NOUNS = {
    enums.ObjectType.OBJECT_TABLE: "TABLE",
    enums.ObjectType.OBJECT_INDEX: "INDEX",
    enums.ObjectType.OBJECT_VIEW: "VIEW",
    enums.ObjectType.OBJECT_MATVIEW: "MATERIALIZED VIEW",
    enums.ObjectType.OBJECT_SEQUENCE: "SEQUENCE",
    enums.ObjectType.OBJECT_FOREIGN_TABLE: "FOREIGN TABLE",
}


def alter_table(ctx: DdlContext, node: ast.AlterTableStmt) -> str:
    """ALTER TABLE (INDEX, VIEW, SEQUENCE …) with its list of subcommands."""
    if node.objtype == enums.ObjectType.OBJECT_TYPE:
        return alter_composite(ctx, node)
    if node.objtype not in _NOUNS:
        raise NotSupported("this form of ALTER is not supported")
    noun = _NOUNS[node.objtype]
    found = ctx.find(node.relation, missing_ok=bool(node.missing_ok))
    if found is None:
        ctx.notice(f'relation "{node.relation.relname}" does not exist, skipping')
        return f"ALTER {noun}"
    if found.kind == "c":
        raise WrongObjectType(f'"{found.name}" is a composite type', hint="Use ALTER TYPE instead.")
    if node.objtype == enums.ObjectType.OBJECT_INDEX and found.kind not in "iI":
        raise WrongObjectType(f'"{found.name}" is not an index')
    require_kind(found, node.objtype)
    if found.kind in "rpf":
        level = max(_lock_level(command) for command in node.cmds)
        found = ctx.table(node.relation, level, "rpf")
        ctx.check_unused(found, "ALTER TABLE")
        refuse_pending(ctx, found)
    else:
        level = ACCESS_EXCLUSIVE
        ctx.check_owner(found)
        if found.kind in "vm":
            ctx.lock(found, ACCESS_EXCLUSIVE)
    recurse = bool(node.relation.inh)
    for command in _in_order(ctx, found, node.cmds, recurse):
        if found.kind == "i" and command.subtype in (_T.AT_SetOptions, _T.AT_ResetOptions):
            verb = "SET" if command.subtype == _T.AT_SetOptions else "RESET"
            raise WrongObjectType(
                f'ALTER action ALTER COLUMN ... {verb} cannot be performed on relation "{found.name}"',
                detail="This operation is not supported for indexes.",
            )
        refuse_kind(found, command)
        handler, of_family = _COMMANDS.get(command.subtype), _OF_FAMILIES.get(command.subtype)
        if handler is None and of_family is None:
            what = command.subtype.name.removeprefix("AT_")
            raise NotSupported(f"ALTER {noun} ... {what} is not supported")
        if _detaches_concurrently(command):
            detach_concurrently(ctx, relation(ctx, found.oid), command)
            return f"ALTER {noun}"
        _run(ctx, relation(ctx, found.oid), command, recurse, level)
    if found.kind in "rmp":
        ensure_toast(ctx, found.oid)
    return f"ALTER {noun}"


def _detaches_concurrently(command: ast.AlterTableCmd) -> bool:
    """Whether it is DETACH PARTITION … CONCURRENTLY, which is a statement's only command."""
    return command.subtype == _T.AT_DetachPartition and bool(command.def_.concurrent)


def _run(ctx: DdlContext, desc: RelationDesc, command: Any, recurse: bool, level: int) -> None:
    """One subcommand on a table and, where it is for them, its descendants."""
    of_family = _OF_FAMILIES.get(command.subtype)
    if of_family is not None:
        of_family(ctx, desc, command, recurse)
        return
    alike = command.subtype in ALIKE and desc.kind in "rpf"
    if command.subtype == _T.AT_SetNotNull and not recurse:
        check_children(ctx, desc, [command.name])
    for table in family(ctx, desc, recurse and alike, level):
        _COMMANDS[command.subtype](ctx, relation(ctx, table.oid), command)


def _in_order(ctx: DdlContext, desc: RelationDesc, commands: Sequence[Any], recurse: bool) -> Sequence[Any]:
    """The commands as they are to be run. Types change in one rewrite, after everything that is dropped and before all
    else: they are run here, and left out."""
    typed = [command for command in commands if command.subtype == _T.AT_AlterColumnType]
    if not typed:
        return commands
    if desc.kind not in "rpf":
        raise WrongObjectType(
            f'ALTER action ALTER COLUMN ... SET DATA TYPE cannot be performed on relation "{desc.name}"',
            detail=f"This operation is not supported for {desc.noun}s.".replace("xs.", "xes."),
        )
    _refuse_typed(ctx, desc, "alter column type of")
    changes = prepare_family_types(ctx, desc, typed, recurse)
    others = [command for command in commands if command.subtype != _T.AT_AlterColumnType]
    first = [command for command in others if _drops(command)]
    for command in first:
        _run(ctx, relation(ctx, desc.oid), command, recurse, ACCESS_EXCLUSIVE)
    alter_column_types(ctx, changes)
    return [command for command in others if not _drops(command)]


def _drops(command: ast.AlterTableCmd) -> bool:
    dropping = (_T.AT_DropColumn, _T.AT_DropConstraint, _T.AT_DropNotNull)
    return command.subtype in dropping or (command.subtype == _T.AT_ColumnDefault and command.def_ is None)


def _refuse_typed(ctx: DdlContext, desc: RelationDesc, what: str) -> None:
    """42809 for a table of a composite type, whose columns are the type's."""
    if class_record(ctx, desc.oid).reloftype:
        raise WrongObjectType(f"cannot {what} typed table")


def _lock_level(command: ast.AlterTableCmd) -> int:
    """What a subcommand takes; most change what readers rely on."""
    if command.subtype == _T.AT_AddConstraint and command.def_.contype == enums.ConstrType.CONSTR_FOREIGN:
        return SHARE_ROW_EXCLUSIVE
    if _detaches_concurrently(command):
        return SHARE_UPDATE_EXCLUSIVE
    return _LOCK_LEVELS.get(command.subtype, ACCESS_EXCLUSIVE)


def _add_column(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd, recurse: bool) -> None:
    _refuse_typed(ctx, desc, "add column to")
    add_columns(ctx, desc, command, recurse)


def _drop_column(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd, recurse: bool) -> None:
    if desc.column(command.name) is not None:
        _refuse_typed(ctx, desc, "drop column from")
    drop_columns(ctx, desc, command, recurse)


def _attach_partition(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd, recurse: bool) -> None:
    attach = attach_index if desc.kind in "iI" else attach_partition
    attach(ctx, desc, command, recurse)


def _column_default(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd) -> None:
    column = altered_column(desc, command.name)
    if column.identity:
        message = f'column "{column.name}" of relation "{desc.name}" is an identity column'
        hint = "Use ALTER TABLE ... ALTER COLUMN ... DROP IDENTITY instead." if command.def_ is None else None
        raise SqlSyntaxError(message, hint=hint)
    refuse_default(desc, column, command.def_ is None)
    with without_place():
        text = None if command.def_ is None else default_text(ctx, command.def_, column)
    set_default(ctx, desc.oid, column.attno, text)


def _add_identity(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd) -> None:
    add_identity(ctx, desc, altered_column(desc, command.name), command.def_)


def _set_identity(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd) -> None:
    set_identity(ctx, desc, altered_column(desc, command.name), command.def_)


def _drop_identity(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd) -> None:
    drop_identity(ctx, desc, altered_column(desc, command.name), bool(command.missing_ok))


def _set_not_null(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd) -> None:
    require_not_null(ctx, desc, altered_column(desc, command.name).attno)


def _drop_not_null(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd) -> None:
    column = altered_column(desc, command.name)
    if any(index.primary and column.attno in index.columns for index in desc.indexes):
        raise InvalidTableDefinition(f'column "{column.name}" is in a primary key')
    if desc.is_partition:
        above = relation(ctx, desc.parents[0]).column(column.name)
        if above is not None and above.not_null:
            raise InvalidTableDefinition(f'column "{column.name}" is marked NOT NULL in parent table')
    if names_rows(ctx, desc, column.attno):
        raise InvalidTableDefinition(f'column "{column.name}" is in index used as replica identity')
    if column.identity:
        raise InvalidTableDefinition(f'column "{column.name}" of relation "{desc.name}" is an identity column')
    ctx.rows.update("pg_attribute", attribute_record(ctx, desc.oid, column.attno), attnotnull=False)
    ctx.changes.touch(desc.oid)


def _change_owner(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd) -> None:
    change_relation_owner(ctx, desc, command.newowner)


def _set_options(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd) -> None:
    if desc.kind == "i":
        given = index_options(_method_of(ctx, desc), command.def_)
    else:
        kinds = {"v": VIEW, "p": PARTITIONED}
        given = options_of(kinds.get(desc.kind, TABLE), command.def_)
        if desc.kind == "v":
            refuse_check_option(given, analyze_view(ctx.view, desc, ctx.session).query)
    _store_options(ctx, desc, changed(desc.options, given))
    if desc.kind == "r":
        given = options_of(TOAST, command.def_)
        if given and desc.toast is not None:
            _store_options(ctx, desc.toast, changed(desc.toast.options, given))
            ctx.changes.touch(desc.oid)  # its descriptor holds the other's


def _method_of(ctx: DdlContext, desc: RelationDesc) -> AccessMethod:
    return METHODS_BY_OID[class_record(ctx, desc.oid).relam]


def _reset_options(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd) -> None:
    _store_options(ctx, desc, reset(desc.options, command.def_, None))
    if desc.toast is not None:
        _store_options(ctx, desc.toast, reset(desc.toast.options, command.def_, "toast"))
        ctx.changes.touch(desc.oid)


def _store_options(ctx: DdlContext, desc: RelationDesc, options: list[str]) -> None:
    if options != list(desc.options):
        ctx.rows.update("pg_class", class_record(ctx, desc.oid), reloptions=options or None)
        ctx.changes.touch(desc.oid)


def _set_statistics(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd) -> None:
    attno = _index_column(ctx, desc, command.num or 0) if desc.kind == "i" else altered_column(desc, command.name).attno
    target = command.def_.ival or 0
    ctx.rows.update("pg_attribute", attribute_record(ctx, desc.oid, attno), attstattarget=target)


def _set_column_options(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd) -> None:
    record = attribute_record(ctx, desc.oid, altered_column(desc, command.name).attno)
    held = list(record.attoptions or ())
    if command.subtype == _T.AT_SetOptions:
        found = changed(held, options_of(COLUMN, command.def_))
    else:
        found = reset(held, command.def_, None)
    ctx.rows.update("pg_attribute", record, attoptions=found or None)


def _index_column(ctx: DdlContext, desc: RelationDesc, number: int) -> int:
    """An index's column by number, which must be an expression; 42703, 0A000."""
    record = ctx.rows.one("pg_index", indexrelid=desc.oid)
    if record is None or not 0 < number <= len(record.indkey):
        raise UndefinedColumn(f'column number {number} of relation "{desc.name}" does not exist')
    if record.indkey[number - 1]:
        raise NotSupported(
            f'cannot alter statistics on non-expression column "{desc.columns[number - 1].name}" of index'
            f' "{desc.name}"',
            hint="Alter statistics on table column instead.",
        )
    return number


def _set_storage(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd) -> None:
    column = altered_column(desc, command.name)
    letter = storage_letter(option_text(ast.DefElem(arg=command.def_)), ctx.view.type(column.type))
    ctx.rows.update("pg_attribute", attribute_record(ctx, desc.oid, column.attno), attstorage=letter)
    ctx.changes.touch(desc.oid)


def _set_compression(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd) -> None:
    column = altered_column(desc, command.name)
    letter = compression_letter(command.def_.sval, ctx.view.type(column.type))
    ctx.rows.update("pg_attribute", attribute_record(ctx, desc.oid, column.attno), attcompression=letter)
    ctx.changes.touch(desc.oid)


def _cluster_on(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd) -> None:
    oid = ctx.view.layer.relation_oid(desc.namespace, command.name)
    if oid is None:
        raise UndefinedObject(f'index "{command.name}" for table "{desc.name}" does not exist')
    mark_clustered(ctx, desc, checked_index(desc, oid, command.name).oid)


def _drop_cluster(ctx: DdlContext, desc: RelationDesc, _command: ast.AlterTableCmd) -> None:
    mark_clustered(ctx, desc, 0)


def _drop_oids(_ctx: DdlContext, _desc: RelationDesc, _command: ast.AlterTableCmd) -> None:
    """SET WITHOUT OIDS: there are none."""


_COMMANDS: dict[Any, Callable[[DdlContext, RelationDesc, Any], None]] = {
    _T.AT_ColumnDefault: _column_default,
    _T.AT_AddIdentity: _add_identity,
    _T.AT_SetIdentity: _set_identity,
    _T.AT_DropIdentity: _drop_identity,
    _T.AT_SetNotNull: _set_not_null,
    _T.AT_DropNotNull: _drop_not_null,
    _T.AT_AlterConstraint: alter_constraint,
    _T.AT_ChangeOwner: _change_owner,
    _T.AT_SetRelOptions: _set_options,
    _T.AT_ResetRelOptions: _reset_options,
    _T.AT_SetStatistics: _set_statistics,
    _T.AT_SetOptions: _set_column_options,
    _T.AT_ResetOptions: _set_column_options,
    _T.AT_SetStorage: _set_storage,
    _T.AT_SetCompression: _set_compression,
    _T.AT_GenericOptions: foreign_tables.set_options,
    _T.AT_AlterColumnGenericOptions: foreign_tables.alter_column_options,
    _T.AT_DropOids: _drop_oids,
    _T.AT_AddOf: add_of,
    _T.AT_DropOf: drop_of,
    _T.AT_SetLogged: set_logged,
    _T.AT_SetUnLogged: set_logged,
    _T.AT_ClusterOn: _cluster_on,
    _T.AT_DropCluster: _drop_cluster,
    _T.AT_ReplicaIdentity: set_replica_identity,
    _T.AT_EnableRowSecurity: set_row_security,
    _T.AT_DisableRowSecurity: set_row_security,
    _T.AT_ForceRowSecurity: set_row_security,
    _T.AT_NoForceRowSecurity: set_row_security,
    _T.AT_EnableRule: enable_rule,
    _T.AT_DisableRule: enable_rule,
    _T.AT_EnableAlwaysRule: enable_rule,
    _T.AT_EnableReplicaRule: enable_rule,
}
_OF_FAMILIES: dict[Any, Handler] = {
    _T.AT_AddColumn: _add_column,
    _T.AT_DropColumn: _drop_column,
    _T.AT_DropExpression: drop_expressions,
    _T.AT_AddConstraint: add_constraint,
    _T.AT_DropConstraint: drop_constraint,
    _T.AT_ValidateConstraint: validate_constraint,
    _T.AT_AddInherit: add_parent,
    _T.AT_DropInherit: drop_parent,
    _T.AT_AttachPartition: _attach_partition,
    _T.AT_DetachPartition: detach_partition,
    _T.AT_DetachPartitionFinalize: finalize_partition,
}
_LOCK_LEVELS = {
    _T.AT_ValidateConstraint: SHARE_UPDATE_EXCLUSIVE,
    _T.AT_SetStatistics: SHARE_UPDATE_EXCLUSIVE,
    _T.AT_SetOptions: SHARE_UPDATE_EXCLUSIVE,
    _T.AT_ResetOptions: SHARE_UPDATE_EXCLUSIVE,
    _T.AT_SetRelOptions: SHARE_UPDATE_EXCLUSIVE,
    _T.AT_ResetRelOptions: SHARE_UPDATE_EXCLUSIVE,
    _T.AT_ClusterOn: SHARE_UPDATE_EXCLUSIVE,
    _T.AT_DropCluster: SHARE_UPDATE_EXCLUSIVE,
    _T.AT_AttachPartition: SHARE_UPDATE_EXCLUSIVE,
    _T.AT_DetachPartitionFinalize: SHARE_UPDATE_EXCLUSIVE,
}
