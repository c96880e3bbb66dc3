"""DDL: utility statements that change the catalog → catalog rows, storage and a command tag.

``Ddl.execute`` dispatches by parse node class, one statement family a file. Everything is transactional: catalog
rows are written under the transaction, new storage goes when it aborts, dropped storage when it commits, and the
process's catalog moves on at commit (``cache.Catalog.committed``). Statements that are not here raise 0A000 naming
themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pglast import ast, enums

from aurora.datum import Row
from aurora.errors import NotSupported
from compute_node.catalog.ddl import (
    alter_owner,
    alter_table,
    base_types,
    cluster,
    collations,
    composites,
    conversions,
    create_table,
    database,
    default_privileges,
    domains,
    drop,
    grants,
    indexes,
    maintenance,
    matviews,
    objects,
    on_commit,
    operator_classes,
    operator_families,
    operators,
    ownership,
    policies,
    publications,
    range_types,
    reindex,
    rename,
    roles,
    rules,
    schema_objects,
    sequence,
    statistics_objects,
    subscriptions,
    table_as,
    text_search,
    types,
)
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.ddl.extensions import alter as alter_extension
from compute_node.catalog.ddl.extensions.create import create_extension
from compute_node.catalog.ddl.foreign import servers, wrappers
from compute_node.catalog.ddl.foreign import tables as foreign_tables
from compute_node.catalog.ddl.routines import aggregates, alter, create
from compute_node.catalog.ddl.settings import alter_database_set, alter_role_set, alter_system
from compute_node.session import audit, read_only

if TYPE_CHECKING:
    from compute_node.catalog.engine import DatabaseEngine
    from compute_node.exec.nodes.base import Batch
    from compute_node.session.state import SessionState
    from compute_node.txn.transaction import Txn


Handler = Callable[[DdlContext, ast.Node], str]


def define(ctx: DdlContext, node: ast.DefineStmt) -> str:
    """CREATE OPERATOR, AGGREGATE, COLLATION …: what the grammar makes one node of."""
    if node.kind == enums.ObjectType.OBJECT_AGGREGATE:
        return aggregates.create_aggregate(ctx, node)
    if node.kind == enums.ObjectType.OBJECT_TYPE:
        return base_types.create_type(ctx, node)
    if node.kind == enums.ObjectType.OBJECT_COLLATION:
        return collations.create_collation(ctx, node)
    if node.kind in text_search.KINDS_MADE:
        return text_search.define(ctx, node)
    if node.kind != enums.ObjectType.OBJECT_OPERATOR:
        what = node.kind.name.removeprefix("OBJECT_").replace("_", " ")
        raise NotSupported(f"CREATE {what} is not supported")
    return operators.create_operator(ctx, node)


_HANDLERS: dict[type, Handler] = {
    ast.CreateStmt: create_table.create_table,
    ast.CreateTableAsStmt: table_as.create_table_as,
    ast.RefreshMatViewStmt: matviews.refresh_statement,
    ast.SelectStmt: table_as.select_into,
    ast.IndexStmt: indexes.create_index_statement,
    ast.ReindexStmt: reindex.reindex_statement,
    ast.ViewStmt: objects.create_view,
    ast.CreateSeqStmt: sequence.create_sequence,
    ast.AlterSeqStmt: sequence.alter_sequence,
    ast.AlterDefaultPrivilegesStmt: default_privileges.alter_default_privileges,
    ast.SecLabelStmt: schema_objects.security_label,
    ast.CreateStatsStmt: statistics_objects.create_statistics,
    ast.AlterStatsStmt: statistics_objects.alter_statistics,
    ast.CreatePolicyStmt: policies.create_policy,
    ast.RuleStmt: rules.create_rule,
    ast.CreatePublicationStmt: publications.create_publication,
    ast.AlterPublicationStmt: publications.alter_publication,
    ast.CreateSubscriptionStmt: subscriptions.create_subscription,
    ast.AlterSubscriptionStmt: subscriptions.alter_subscription,
    ast.DropSubscriptionStmt: subscriptions.drop_subscription,
    ast.AlterPolicyStmt: policies.alter_policy,
    ast.DropStmt: drop.drop_statement,
    ast.AlterTableStmt: alter_table.alter_table,
    ast.RenameStmt: rename.rename,
    ast.AlterObjectSchemaStmt: rename.set_schema,
    ast.AlterOwnerStmt: alter_owner.alter_owner,
    ast.CommentStmt: rename.comment,
    ast.TruncateStmt: objects.truncate_statement,
    ast.LockStmt: objects.lock_statement,
    ast.VacuumStmt: maintenance.vacuum_statement,
    ast.ClusterStmt: cluster.cluster_statement,
    ast.CreateRoleStmt: roles.create_role,
    ast.AlterRoleStmt: roles.alter_role,
    ast.DropRoleStmt: roles.drop_role,
    ast.GrantRoleStmt: roles.grant_role,
    ast.GrantStmt: grants.grant_statement,
    ast.ReassignOwnedStmt: ownership.reassign_owned,
    ast.DropOwnedStmt: ownership.drop_owned,
    ast.AlterSystemStmt: alter_system,
    ast.AlterDatabaseSetStmt: alter_database_set,
    ast.AlterRoleSetStmt: alter_role_set,
    ast.CreatedbStmt: database.create_database,
    ast.AlterDatabaseStmt: database.alter_database,
    ast.DropdbStmt: database.drop_database,
    ast.CompositeTypeStmt: composites.create_composite,
    ast.CreateDomainStmt: domains.create_domain,
    ast.AlterDomainStmt: domains.alter_domain,
    ast.CreateEnumStmt: types.create_enum,
    ast.AlterEnumStmt: types.alter_enum,
    ast.AlterTypeStmt: base_types.alter_type,
    ast.CreateRangeStmt: range_types.create_range,
    ast.CreateExtensionStmt: create_extension,
    ast.AlterExtensionStmt: alter_extension.update,
    ast.AlterExtensionContentsStmt: alter_extension.change_contents,
    ast.CreateFdwStmt: wrappers.create_wrapper,
    ast.AlterFdwStmt: wrappers.alter_wrapper,
    ast.CreateForeignServerStmt: servers.create_server,
    ast.AlterForeignServerStmt: servers.alter_server,
    ast.CreateUserMappingStmt: servers.create_mapping,
    ast.AlterUserMappingStmt: servers.alter_mapping,
    ast.DropUserMappingStmt: servers.drop_mapping,
    ast.CreateForeignTableStmt: foreign_tables.create_foreign_table,
    ast.ImportForeignSchemaStmt: foreign_tables.import_schema,
    ast.CreateFunctionStmt: create.create_function,
    ast.AlterFunctionStmt: alter.alter_function,
    ast.AlterObjectDependsStmt: alter.alter_depends,
    ast.DefineStmt: define,
    ast.AlterTSConfigurationStmt: text_search.alter_configuration,
    ast.AlterTSDictionaryStmt: text_search.alter_dictionary,
    ast.CreateConversionStmt: conversions.create_conversion,
    ast.AlterCollationStmt: collations.refresh_version,
    ast.AlterDatabaseRefreshCollStmt: collations.refresh_database,
    ast.CreateCastStmt: operators.create_cast,
    ast.CreateOpClassStmt: operator_classes.create_operator_class,
    ast.CreateOpFamilyStmt: operator_classes.create_operator_family,
    ast.AlterOpFamilyStmt: operator_families.alter_operator_family,
    ast.AlterOperatorStmt: operators.alter_operator,
}

_AUDITED = (
    ast.CreateRoleStmt,
    ast.AlterRoleStmt,
    ast.AlterRoleSetStmt,
    ast.DropRoleStmt,
    ast.GrantRoleStmt,
    ast.GrantStmt,
    ast.AlterOwnerStmt,
    ast.ReassignOwnedStmt,
    ast.DropOwnedStmt,
    ast.AlterDefaultPrivilegesStmt,
    ast.CreatePolicyStmt,
    ast.AlterPolicyStmt,
)

_NAMES = {
    "CreatedbStmt": "CREATE DATABASE",
    "DropdbStmt": "DROP DATABASE",
    "CreateTrigStmt": "CREATE TRIGGER",
    "CreateAmStmt": "CREATE ACCESS METHOD",
    "CreateEventTrigStmt": "CREATE EVENT TRIGGER",
    "CreateTransformStmt": "CREATE TRANSFORM",
    "DefineStmt": "CREATE OPERATOR",
    "CreateEnumStmt": "CREATE TYPE",
    "AlterEnumStmt": "ALTER TYPE",
    "CreateFunctionStmt": "CREATE FUNCTION",
    "AlterFunctionStmt": "ALTER FUNCTION",
    "CreateCastStmt": "CREATE CAST",
    "CreateOpClassStmt": "CREATE OPERATOR CLASS",
    "CreateOpFamilyStmt": "CREATE OPERATOR FAMILY",
    "CompositeTypeStmt": "CREATE TYPE",
    "CreateRangeStmt": "CREATE TYPE",
    "CreateDomainStmt": "CREATE DOMAIN",
    "AlterDomainStmt": "ALTER DOMAIN",
    "RuleStmt": "CREATE RULE",
    "RefreshMatViewStmt": "REFRESH MATERIALIZED VIEW",
    "CreatePolicyStmt": "CREATE POLICY",
    "CreateStatsStmt": "CREATE STATISTICS",
    "DoStmt": "DO",
    "CallStmt": "CALL",
    "LoadStmt": "LOAD",
    "SecLabelStmt": "SECURITY LABEL",
    "CreateTableSpaceStmt": "CREATE TABLESPACE",
    "ConstraintsSetStmt": "SET CONSTRAINTS",
    "ReassignOwnedStmt": "REASSIGN OWNED",
    "DropOwnedStmt": "DROP OWNED",
    "AlterDefaultPrivilegesStmt": "ALTER DEFAULT PRIVILEGES",
}


def statement_name(node: ast.Node) -> str:
    """How messages name a statement that is not supported."""
    name = type(node).__name__
    return _NAMES.get(name, name.removesuffix("Stmt"))


class Ddl:
    """The engine's door to DDL; ``engine`` has ``catalog``, ``storage``, ``sequences``, ``compile`` and
    ``begin_statement``."""

    def __init__(self, engine: DatabaseEngine) -> None:
        self._engine = engine

    def execute(
        self,
        session: SessionState,
        txn: Txn,
        node: ast.Node,
        source: str,
        param_types: tuple[int, ...] = (),
        params: Row = (),
        query_rows: Callable[[], Iterator[Batch]] | None = None,
    ) -> str:
        """Run one statement inside ``txn``; returns its command tag. ``source`` is the text its locations point
        into; ``params`` are the values of ``$1`` … in the query of CREATE TABLE AS, ``query_rows`` runs it for
        EXPLAIN."""
        handler = _HANDLERS.get(type(node))
        if handler is None and not isinstance(node, ast.CreateSchemaStmt):
            raise NotSupported(f"{statement_name(node)} is not supported")
        if txn.read_only:
            read_only.judge(node, self._engine.in_recovery)
        ctx = DdlContext(self._engine, session, txn, source, drop.drop_temp_schema)
        ctx.param_types, ctx.params, ctx.query_rows = param_types, params, query_rows
        if handler is None:
            tag = objects.create_schema(ctx, node, lambda each: self.execute(session, txn, each, source))
        else:
            tag = handler(ctx, node)
        if isinstance(node, _AUDITED):
            audit.changed(session, tag)
        txn.cid += 1
        return tag

    def has_made(self, session: SessionState, txn: Txn, node: ast.CreateTableAsStmt, source: str) -> bool:
        """Whether there is nothing for CREATE TABLE AS to do; see ``table_as.has_made``."""
        return table_as.has_made(DdlContext(self._engine, session, txn, source, drop.drop_temp_schema), node)

    def before_commit(self, session: SessionState, txn: Txn) -> None:
        """What ON COMMIT says of the session's temporary tables."""
        if session.on_commit:
            on_commit.before_commit(
                DdlContext(self._engine, session, txn, "", drop.drop_temp_schema), session.on_commit
            )

    def end_session(self, session: SessionState, txn: Txn) -> None:
        """Drop the session's temporary relations; in a transaction of the caller's."""
        name = session.temp_schema
        if name is not None:
            drop.drop_temp_schema(DdlContext(self._engine, session, txn, "", drop.drop_temp_schema), name)
