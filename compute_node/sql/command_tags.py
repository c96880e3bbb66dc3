"""A utility statement's name in messages and command tags, whether or not it is supported here.

``CREATE TABLE``, ``ALTER VIEW``, ``DROP INDEX``, …: PostgreSQL's ``CreateCommandTag`` (src/backend/tcop/utility.c),
over the parse tree.
"""

from __future__ import annotations

from collections.abc import Callable

from pglast import ast, enums

_OBJECTS = {
    "ATTRIBUTE": "TYPE",
    "COLUMN": "TABLE",
    "DOMCONSTRAINT": "DOMAIN",
    "FDW": "FOREIGN DATA WRAPPER",
    "FOREIGN_SERVER": "SERVER",
    "LARGEOBJECT": "LARGE OBJECT",
    "MATVIEW": "MATERIALIZED VIEW",
    "OPCLASS": "OPERATOR CLASS",
    "OPFAMILY": "OPERATOR FAMILY",
    "STATISTIC_EXT": "STATISTICS",
    "TABCONSTRAINT": "TABLE",
    "TSCONFIGURATION": "TEXT SEARCH CONFIGURATION",
    "TSDICTIONARY": "TEXT SEARCH DICTIONARY",
    "TSPARSER": "TEXT SEARCH PARSER",
    "TSTEMPLATE": "TEXT SEARCH TEMPLATE",
}
"""Kinds of objects whose name in the tag is not their name in the grammar"""

_PLAIN = {
    "AlterCollationStmt": "ALTER COLLATION",
    "AlterDatabaseStmt": "ALTER DATABASE",
    "AlterDatabaseRefreshCollStmt": "ALTER DATABASE",
    "AlterDatabaseSetStmt": "ALTER DATABASE",
    "AlterDefaultPrivilegesStmt": "ALTER DEFAULT PRIVILEGES",
    "AlterDomainStmt": "ALTER DOMAIN",
    "AlterEnumStmt": "ALTER TYPE",
    "AlterEventTrigStmt": "ALTER EVENT TRIGGER",
    "AlterExtensionContentsStmt": "ALTER EXTENSION",
    "AlterExtensionStmt": "ALTER EXTENSION",
    "AlterFdwStmt": "ALTER FOREIGN DATA WRAPPER",
    "AlterForeignServerStmt": "ALTER SERVER",
    "AlterOpFamilyStmt": "ALTER OPERATOR FAMILY",
    "AlterOperatorStmt": "ALTER OPERATOR",
    "AlterPolicyStmt": "ALTER POLICY",
    "AlterPublicationStmt": "ALTER PUBLICATION",
    "AlterRoleSetStmt": "ALTER ROLE",
    "AlterRoleStmt": "ALTER ROLE",
    "AlterSeqStmt": "ALTER SEQUENCE",
    "AlterStatsStmt": "ALTER STATISTICS",
    "AlterSubscriptionStmt": "ALTER SUBSCRIPTION",
    "AlterSystemStmt": "ALTER SYSTEM",
    "AlterTSConfigurationStmt": "ALTER TEXT SEARCH CONFIGURATION",
    "AlterTSDictionaryStmt": "ALTER TEXT SEARCH DICTIONARY",
    "AlterTableSpaceOptionsStmt": "ALTER TABLESPACE",
    "AlterTypeStmt": "ALTER TYPE",
    "AlterUserMappingStmt": "ALTER USER MAPPING",
    "CallStmt": "CALL",
    "CheckPointStmt": "CHECKPOINT",
    "ClusterStmt": "CLUSTER",
    "CommentStmt": "COMMENT",
    "CompositeTypeStmt": "CREATE TYPE",
    "ConstraintsSetStmt": "SET CONSTRAINTS",
    "CopyStmt": "COPY",
    "CreateAmStmt": "CREATE ACCESS METHOD",
    "CreateCastStmt": "CREATE CAST",
    "CreateConversionStmt": "CREATE CONVERSION",
    "CreateDomainStmt": "CREATE DOMAIN",
    "CreateEnumStmt": "CREATE TYPE",
    "CreateEventTrigStmt": "CREATE EVENT TRIGGER",
    "CreateExtensionStmt": "CREATE EXTENSION",
    "CreateFdwStmt": "CREATE FOREIGN DATA WRAPPER",
    "CreateForeignServerStmt": "CREATE SERVER",
    "CreateForeignTableStmt": "CREATE FOREIGN TABLE",
    "CreateOpClassStmt": "CREATE OPERATOR CLASS",
    "CreateOpFamilyStmt": "CREATE OPERATOR FAMILY",
    "CreatePLangStmt": "CREATE LANGUAGE",
    "CreatePolicyStmt": "CREATE POLICY",
    "CreatePublicationStmt": "CREATE PUBLICATION",
    "CreateRangeStmt": "CREATE TYPE",
    "CreateRoleStmt": "CREATE ROLE",
    "CreateSchemaStmt": "CREATE SCHEMA",
    "CreateSeqStmt": "CREATE SEQUENCE",
    "CreateStatsStmt": "CREATE STATISTICS",
    "CreateStmt": "CREATE TABLE",
    "CreateSubscriptionStmt": "CREATE SUBSCRIPTION",
    "CreateTableSpaceStmt": "CREATE TABLESPACE",
    "CreateTransformStmt": "CREATE TRANSFORM",
    "CreateTrigStmt": "CREATE TRIGGER",
    "CreateUserMappingStmt": "CREATE USER MAPPING",
    "CreatedbStmt": "CREATE DATABASE",
    "DeclareCursorStmt": "DECLARE CURSOR",
    "DoStmt": "DO",
    "DropOwnedStmt": "DROP OWNED",
    "DropRoleStmt": "DROP ROLE",
    "DropSubscriptionStmt": "DROP SUBSCRIPTION",
    "DropTableSpaceStmt": "DROP TABLESPACE",
    "DropUserMappingStmt": "DROP USER MAPPING",
    "DropdbStmt": "DROP DATABASE",
    "ExecuteStmt": "EXECUTE",
    "ExplainStmt": "EXPLAIN",
    "ImportForeignSchemaStmt": "IMPORT FOREIGN SCHEMA",
    "IndexStmt": "CREATE INDEX",
    "ListenStmt": "LISTEN",
    "LoadStmt": "LOAD",
    "LockStmt": "LOCK TABLE",
    "NotifyStmt": "NOTIFY",
    "PrepareStmt": "PREPARE",
    "ReassignOwnedStmt": "REASSIGN OWNED",
    "RefreshMatViewStmt": "REFRESH MATERIALIZED VIEW",
    "ReindexStmt": "REINDEX",
    "RuleStmt": "CREATE RULE",
    "SecLabelStmt": "SECURITY LABEL",
    "SelectStmt": "SELECT INTO",
    "TruncateStmt": "TRUNCATE TABLE",
    "UnlistenStmt": "UNLISTEN",
    "VariableShowStmt": "SHOW",
    "ViewStmt": "CREATE VIEW",
}


def _object(kind: enums.ObjectType) -> str:
    name = str(kind.name).removeprefix("OBJECT_")
    return _OBJECTS.get(name, name.replace("_", " "))


def _renamed(node: ast.RenameStmt) -> str:
    """A column, attribute or constraint is renamed by an ALTER of what it belongs to."""
    kinds = enums.ObjectType
    if node.renameType in (kinds.OBJECT_COLUMN, kinds.OBJECT_ATTRIBUTE):
        return _object(node.relationType)
    return _object(node.renameType)


def _function(node: ast.AlterFunctionStmt) -> str:
    return _object(node.objtype)


_ENDS = {
    "TRANS_STMT_BEGIN": "BEGIN",
    "TRANS_STMT_START": "START TRANSACTION",
    "TRANS_STMT_COMMIT": "COMMIT",
    "TRANS_STMT_ROLLBACK": "ROLLBACK",
    "TRANS_STMT_ROLLBACK_TO": "ROLLBACK",
    "TRANS_STMT_SAVEPOINT": "SAVEPOINT",
    "TRANS_STMT_RELEASE": "RELEASE",
    "TRANS_STMT_PREPARE": "PREPARE TRANSACTION",
    "TRANS_STMT_COMMIT_PREPARED": "COMMIT PREPARED",
    "TRANS_STMT_ROLLBACK_PREPARED": "ROLLBACK PREPARED",
}

_COMPUTED: dict[type, Callable[[ast.Node], str]] = {
    ast.AlterFunctionStmt: lambda node: f"ALTER {_function(node)}",
    ast.AlterObjectDependsStmt: lambda node: f"ALTER {_object(node.objectType)}",
    ast.AlterObjectSchemaStmt: lambda node: f"ALTER {_object(node.objectType)}",
    ast.AlterOwnerStmt: lambda node: f"ALTER {_object(node.objectType)}",
    ast.AlterTableMoveAllStmt: lambda node: f"ALTER {_object(node.objtype)}",
    ast.AlterTableStmt: lambda node: f"ALTER {_object(node.objtype)}",
    ast.CreateFunctionStmt: lambda node: "CREATE PROCEDURE" if node.is_procedure else "CREATE FUNCTION",
    ast.CreateTableAsStmt: lambda node: (
        "CREATE MATERIALIZED VIEW"
        if node.objtype == enums.ObjectType.OBJECT_MATVIEW
        else "SELECT INTO"
        if node.is_select_into
        else "CREATE TABLE AS"
    ),
    ast.DefineStmt: lambda node: f"CREATE {_object(node.kind)}",
    ast.DropStmt: lambda node: f"DROP {_object(node.removeType)}",
    ast.GrantRoleStmt: lambda node: "GRANT ROLE" if node.is_grant else "REVOKE ROLE",
    ast.GrantStmt: lambda node: "GRANT" if node.is_grant else "REVOKE",
    ast.RenameStmt: lambda node: f"ALTER {_renamed(node)}",
    ast.TransactionStmt: lambda node: _ENDS[str(node.kind.name)],
    ast.VacuumStmt: lambda node: "VACUUM" if node.is_vacuumcmd else "ANALYZE",
}


def command_tag(node: ast.Node) -> str:
    """The statement's name: ``ALTER TABLE``, ``REINDEX``, …"""
    computed = _COMPUTED.get(type(node))
    computed = _COMPUTED.get(type(node))
    if computed is not None:
        return computed(node)
    name = type(node).__name__
    return _PLAIN.get(name, name.removesuffix("Stmt").upper())
