"""Which forms of ALTER TABLE a relation of each kind takes (manual, ALTER TABLE, ALTER VIEW, ALTER INDEX …)."""

from __future__ import annotations

from typing import Any, Final

from pglast import ast, enums

from aurora.errors import WrongObjectType
from compute_node.relations.descriptors import RelationDesc

_T = enums.AlterTableType
_KINDS: Final = {
    "r": "tables", "p": "tables",
    "v": "views", "m": "materialized views", "i": "indexes", "I": "partitioned indexes", "S": "sequences",
    "t": "TOAST tables", "c": "composite types", "f": "foreign tables",
}  # fmt: skip
_MUST_BE: Final[dict[Any, tuple[str, str]]] = {
    enums.ObjectType.OBJECT_VIEW: ("v", "a view"),
    enums.ObjectType.OBJECT_MATVIEW: ("m", "a materialized view"),
    enums.ObjectType.OBJECT_SEQUENCE: ("S", "a sequence"),
    enums.ObjectType.OBJECT_FOREIGN_TABLE: ("f", "a foreign table"),
}
_ALLOWED: Final[dict[Any, str]] = {
    _T.AT_ColumnDefault: "rpvf",
    _T.AT_ChangeOwner: "rpvmiISf",
    _T.AT_SetRelOptions: "rpvmi",
    _T.AT_ResetRelOptions: "rpvmi",
    _T.AT_SetStatistics: "rpmiIf",
    _T.AT_SetOptions: "rpmf",
    _T.AT_ResetOptions: "rpmf",
    _T.AT_SetStorage: "rpmf",
    _T.AT_SetCompression: "rpm",
    _T.AT_ClusterOn: "rpm",
    _T.AT_DropCluster: "rpm",
    _T.AT_ReplicaIdentity: "rpm",
    _T.AT_AttachPartition: "rpI",
    _T.AT_DetachPartition: "rp",
    _T.AT_SetLogged: "rpS",
    _T.AT_SetUnLogged: "rpS",
    _T.AT_GenericOptions: "f",
    _T.AT_AlterColumnGenericOptions: "f",
    **dict.fromkeys(
        (
            _T.AT_AddColumn,
            _T.AT_DropColumn,
            _T.AT_DropExpression,
            _T.AT_AddIdentity,
            _T.AT_SetIdentity,
            _T.AT_DropIdentity,
            _T.AT_SetNotNull,
            _T.AT_DropNotNull,
            _T.AT_AddConstraint,
            _T.AT_DropConstraint,
            _T.AT_ValidateConstraint,
            _T.AT_EnableTrig,
            _T.AT_EnableAlwaysTrig,
            _T.AT_EnableReplicaTrig,
            _T.AT_DisableTrig,
            _T.AT_EnableTrigAll,
            _T.AT_DisableTrigAll,
            _T.AT_EnableTrigUser,
            _T.AT_DisableTrigUser,
            _T.AT_AddInherit,
            _T.AT_DropInherit,
            _T.AT_DropOids,
        ),
        "rpf",
    ),
}
"""relkinds; of all others, tables alone"""
_SHOWN: Final[dict[Any, str]] = {
    _T.AT_GenericOptions: "OPTIONS",
    _T.AT_AlterColumnGenericOptions: "ALTER COLUMN ... OPTIONS",
    _T.AT_SetTableSpace: "SET TABLESPACE",
    _T.AT_AddColumn: "ADD COLUMN",
    _T.AT_DropColumn: "DROP COLUMN",
    _T.AT_ColumnDefault: "ALTER COLUMN ... SET DEFAULT",
    _T.AT_DropExpression: "ALTER COLUMN ... DROP EXPRESSION",
    _T.AT_AddIdentity: "ALTER COLUMN ... ADD IDENTITY",
    _T.AT_SetIdentity: "ALTER COLUMN ... SET",
    _T.AT_DropIdentity: "ALTER COLUMN ... DROP IDENTITY",
    _T.AT_SetNotNull: "ALTER COLUMN ... SET NOT NULL",
    _T.AT_DropNotNull: "ALTER COLUMN ... DROP NOT NULL",
    _T.AT_AddConstraint: "ADD CONSTRAINT",
    _T.AT_DropConstraint: "DROP CONSTRAINT",
    _T.AT_ValidateConstraint: "VALIDATE CONSTRAINT",
    _T.AT_AlterConstraint: "ALTER CONSTRAINT",
    _T.AT_SetRelOptions: "SET",
    _T.AT_ResetRelOptions: "RESET",
    _T.AT_SetStatistics: "ALTER COLUMN ... SET STATISTICS",
    _T.AT_SetOptions: "ALTER COLUMN ... SET",
    _T.AT_ResetOptions: "ALTER COLUMN ... RESET",
    _T.AT_SetStorage: "ALTER COLUMN ... SET STORAGE",
    _T.AT_SetCompression: "ALTER COLUMN ... SET COMPRESSION",
    _T.AT_AddOf: "OF",
    _T.AT_DropOf: "NOT OF",
    _T.AT_SetLogged: "SET LOGGED",
    _T.AT_SetUnLogged: "SET UNLOGGED",
    _T.AT_AttachPartition: "ATTACH PARTITION",
    _T.AT_DetachPartition: "DETACH PARTITION",
    _T.AT_DetachPartitionFinalize: "DETACH PARTITION ... FINALIZE",
    _T.AT_ClusterOn: "CLUSTER ON",
    _T.AT_DropCluster: "SET WITHOUT CLUSTER",
    _T.AT_ReplicaIdentity: "REPLICA IDENTITY",
    _T.AT_EnableRowSecurity: "ENABLE ROW SECURITY",
    _T.AT_DisableRowSecurity: "DISABLE ROW SECURITY",
    _T.AT_ForceRowSecurity: "FORCE ROW SECURITY",
    _T.AT_NoForceRowSecurity: "NO FORCE ROW SECURITY",
    _T.AT_EnableRule: "ENABLE RULE",
    _T.AT_DisableRule: "DISABLE RULE",
    _T.AT_EnableAlwaysRule: "ENABLE ALWAYS RULE",
    _T.AT_EnableReplicaRule: "ENABLE REPLICA RULE",
}


def require_kind(desc: RelationDesc, named: enums.ObjectType) -> None:
    """42809 where ALTER VIEW, say, names another relation (``named``: an ObjectType); ALTER TABLE may name any."""
    kind, shown = _MUST_BE.get(named, (desc.kind, ""))
    if desc.kind != kind:
        raise WrongObjectType(f'"{desc.name}" is not {shown}')


def refuse_kind(desc: RelationDesc, command: ast.AlterTableCmd) -> None:
    """42809 for a form that a relation of this kind does not take."""
    if desc.kind in _ALLOWED.get(command.subtype, "rp"):
        return
    shown = _SHOWN.get(command.subtype, command.subtype.name.removeprefix("AT_"))
    if command.subtype == _T.AT_ColumnDefault and command.def_ is None:
        shown = "ALTER COLUMN ... DROP DEFAULT"
    raise WrongObjectType(
        f'ALTER action {shown} cannot be performed on relation "{desc.name}"',
        detail=f"This operation is not supported for {_KINDS.get(desc.kind, 'this kind of relation')}.",
    )
