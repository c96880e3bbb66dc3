"""CREATE, ALTER, DROP RULE and ALTER TABLE … RULE → pg_rewrite (PostgreSQL manual, ch. 41, CREATE RULE).

A rule is kept as SQL over OLD and NEW: its condition, and its actions, a line each. It depends on its relation, and on
what it names. A rule ON SELECT is a view's query and kept as that.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Final

from pglast import ast, enums

from aurora.errors import (
    DuplicateObject,
    InsufficientPrivilege,
    InvalidColumnReference,
    InvalidObjectDefinition,
    InvariantViolation,
    NotSupported,
    ObjectNotInPrerequisiteState,
    SqlError,
    UndefinedObject,
    UndefinedTable,
    WrongObjectType,
)
from compute_node.catalog.ddl.context import CLASS_RELATION, CLASS_REWRITE, DdlContext, cut_name
from compute_node.catalog.ddl.dependencies import drop
from compute_node.catalog.ddl.expressions import named_objects
from compute_node.catalog.ddl.objects import store_query, view_text
from compute_node.catalog.ddl.relation import class_record
from compute_node.catalog.rows import Record
from compute_node.relations.descriptors import NO_QUALIFICATION, RelationDesc, RuleDesc
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.sql.analyze import analyze
from compute_node.sql.analyze.rules import (
    EVENTS,
    NEW,
    OLD,
    AnalyzedRule,
    analyze_rule,
    references,
    references_of,
    refuse_in_with,
    stored_rule,
)
from compute_node.sql.analyze.typenames import format_type
from compute_node.sql.deparse.changes import kept_action, kept_qualification
from compute_node.sql.deparse.expressions import quote_identifier
from compute_node.sql.deparse.same import same_query
from compute_node.sql.expressions import Expr, Var
from compute_node.sql.query import Query, Target
from compute_node.sql.required import read_by_rule
from compute_node.sql.rewrite import deep_walk, own_nodes, query_expressions
from compute_node.txn.locks import ACCESS_EXCLUSIVE

LOGGER = logging.getLogger(__name__)
_T = enums.AlterTableType
_RETURN: Final = "_RETURN"
_COMMANDS: Final = {
    enums.CmdType.CMD_SELECT: "select",
    enums.CmdType.CMD_UPDATE: "update",
    enums.CmdType.CMD_INSERT: "insert",
    enums.CmdType.CMD_DELETE: "delete",
}
_QUERIES: Final = (ast.SelectStmt, ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt)
_ENABLED: Final = {
    _T.AT_EnableRule: "O",
    _T.AT_DisableRule: "D",
    _T.AT_EnableAlwaysRule: "A",
    _T.AT_EnableReplicaRule: "R",
}
_KINDS: Final = "rvpm"


def _relation(ctx: DdlContext, name: ast.RangeVar) -> RelationDesc:
    """The relation of a rule, locked. 42P01, 42809, 42501."""
    desc = ctx.find(name)
    if desc is None:
        raise UndefinedTable(f'relation "{name.relname}" does not exist')
    ctx.lock(desc, ACCESS_EXCLUSIVE)
    found = ctx.view.relation(desc.oid)
    if found is None:
        raise UndefinedTable(f'relation "{name.relname}" does not exist')
    if found.kind in "iI":
        raise WrongObjectType(f'"{found.name}" is an index')
    if found.kind == "c":
        raise WrongObjectType(f'"{found.name}" is a composite type')
    return found


def _rule(ctx: DdlContext, desc: RelationDesc, name: str) -> Record | None:
    return ctx.rows.one("pg_rewrite", ev_class=desc.oid, rulename=name)


def find_rule(ctx: DdlContext, desc: RelationDesc, name: str) -> Record:
    """A rule by name; 42704."""
    found = _rule(ctx, desc, name)
    if found is None:
        raise UndefinedObject(f'rule "{name}" for relation "{desc.name}" does not exist')
    return found


def create_rule(ctx: DdlContext, node: ast.RuleStmt) -> str:
    """CREATE [OR REPLACE] RULE. 42P17, 42710, 42809, 42501, 0A000, and what its parts raise."""
    desc = _relation(ctx, node.relation)
    if desc.kind == "m":
        raise NotSupported("rules on materialized views are not supported")
    command = _COMMANDS[node.event]
    actions = list(node.actions or ())
    if node.whereClause is not None and not all(isinstance(each, _QUERIES) for each in actions):
        raise InvalidObjectDefinition(
            "rules with WHERE conditions can only have SELECT, INSERT, UPDATE, or DELETE actions"
        )
    view = ctx.tracing()
    analyzed = analyze_rule(view, desc, command, node.whereClause, actions, ctx.source, ctx.session)
    _check_actions(command, analyzed)
    if desc.kind not in _KINDS:
        raise WrongObjectType(
            f'relation "{desc.name}" cannot have rules', detail=f"This operation is not supported for {desc.noun}s."
        )
    if desc.oid < FIRST_NORMAL_OID:
        raise InsufficientPrivilege(f'permission denied: "{desc.name}" is a system catalog')
    ctx.check_owner(desc)
    name = cut_name(node.rulename)
    if command == "select":
        _select_rule(ctx, node, desc, name, analyzed)
        return "CREATE RULE"
    if name == _RETURN:
        raise InvalidObjectDefinition(f'non-view rule for "{desc.name}" must not be named "{_RETURN}"')
    _check_returning(ctx, desc, bool(node.instead), analyzed)
    record = _rule(ctx, desc, name)
    if record is not None and not node.replace:
        raise DuplicateObject(f'rule "{name}" for relation "{desc.name}" already exists')
    condition, texts = _texts(ctx, desc, name, command, bool(node.instead), analyzed)
    values = {
        "ev_type": EVENTS[command],
        "is_instead": bool(node.instead),
        "ev_qual": NO_QUALIFICATION if condition is None else condition,
        "ev_action": texts,
    }
    if record is None:
        oid = ctx.next_oid()
        ctx.rows.insert("pg_rewrite", oid=oid, rulename=name, ev_class=desc.oid, ev_enabled="O", **values)
    else:
        oid = record.oid
        ctx.rows.delete_where("pg_depend", classid=CLASS_REWRITE, objid=oid)
        ctx.rows.update("pg_rewrite", record, **values)
    nodes = [node for each in analyzed.actions for node in own_nodes(each)]
    if analyzed.qualification is not None:
        nodes += [node for node, _ in deep_walk(analyzed.qualification, 0, False)]
    ctx.keep(texts, view, named_objects(nodes))
    address = (CLASS_REWRITE, oid, 0)
    ctx.depend(address, (CLASS_RELATION, desc.oid, 0), "a")
    for used in sorted(_used(desc, analyzed)):
        ctx.depend(address, used, "n")
    ctx.depend_on_text(address, texts)
    record = class_record(ctx, desc.oid)
    if not record.relhasrules:
        ctx.rows.update("pg_class", record, relhasrules=True)
    ctx.changes.touch(desc.oid)
    return "CREATE RULE"


def _check_actions(command: str, analyzed: AnalyzedRule) -> None:
    """42P17 for OLD and NEW where there are none; 42P10 and 0A000 where nobody can put the original."""
    named = references_of(analyzed.qualification)
    _check_named(command, named)
    for action in analyzed.actions:
        found = references(action)
        _check_named(command, found)
        refuse_in_with(action)
        level = action
        source = action.source
        if source is not None and source.range_table and source.range_table[0].query is not None:
            level = source.range_table[0].query
            refuse_in_with(level)
        if level.set_op is not None:
            _refuse_in_members(action)


def _check_named(command: str, named: set[int]) -> None:
    if command == "select":
        if OLD in named:
            raise InvalidObjectDefinition("ON SELECT rule cannot use OLD")
        if NEW in named:
            raise InvalidObjectDefinition("ON SELECT rule cannot use NEW")
    if command == "insert" and OLD in named:
        raise InvalidObjectDefinition("ON INSERT rule cannot use OLD")
    if command == "delete" and NEW in named:
        raise InvalidObjectDefinition("ON DELETE rule cannot use NEW")


def _refuse_in_members(action: Query) -> None:
    for top, level in query_expressions(action, 0):
        for node, depth in deep_walk(top, level):
            if isinstance(node, Var) and node.levels_up == depth + 1:
                raise InvalidColumnReference(
                    "UNION/INTERSECT/EXCEPT member statement cannot refer to other relations of same query level",
                    position=node.location + 1 if node.location >= 0 else None,
                )


def _check_returning(ctx: DdlContext, desc: RelationDesc, instead: bool, analyzed: AnalyzedRule) -> None:
    """0A000 and 42P17 for RETURNING lists that are not the relation's columns."""
    seen = False
    for action in analyzed.actions:
        if not action.returning:
            continue
        if seen:
            raise NotSupported("cannot have multiple RETURNING lists in a rule")
        seen = True
        if analyzed.qualification is not None:
            raise NotSupported("RETURNING lists are not supported in conditional rules")
        if not instead:
            raise NotSupported("RETURNING lists are not supported in non-INSTEAD rules")
        _check_columns(ctx, desc, action.returning, "RETURNING")


def _check_columns(ctx: DdlContext, desc: RelationDesc, targets: Sequence[Target], what: str) -> None:
    """Whether a list gives the relation's columns; ``what``: SELECT, whose names count, too, or RETURNING."""
    is_select = what == "SELECT"
    whose = "SELECT rule's target" if is_select else "RETURNING list's"
    visible = [item for item in targets if not item.junk]
    many = "SELECT rule's target list has too many entries" if is_select else "RETURNING list has too many entries"
    few = "SELECT rule's target list has too few entries" if is_select else "RETURNING list has too few entries"
    for number, item in enumerate(visible, 1):
        if number > len(desc.columns):
            raise InvalidObjectDefinition(many)
        column = desc.columns[number - 1]
        if column.dropped:
            raise NotSupported(
                "cannot convert relation containing dropped columns to view"
                if is_select
                else "cannot create a RETURNING list for a relation containing dropped columns"
            )
        if is_select and column.name != item.name:
            raise InvalidObjectDefinition(
                f'{whose} entry {number} has different column name from column "{column.name}"',
                detail=f'SELECT target entry is named "{item.name}".',
            )
        kind, typmod = item.expression.type, item.expression.typmod
        entry = "SELECT target entry" if is_select else "RETURNING list entry"
        if kind != column.type:
            raise InvalidObjectDefinition(
                f'{whose} entry {number} has different type from column "{column.name}"',
                detail=f"{entry} has type {format_type(ctx.view, kind)}, but column has type"
                f" {format_type(ctx.view, column.type)}.",
            )
        if typmod not in (column.typmod, -1) and column.typmod != -1:
            raise InvalidObjectDefinition(
                f'{whose} entry {number} has different size from column "{column.name}"',
                detail=f"{entry} has type {format_type(ctx.view, kind, typmod)}, but column has type"
                f" {format_type(ctx.view, column.type, column.typmod)}.",
            )
    if len(visible) < len(desc.columns):
        raise InvalidObjectDefinition(few)


def _texts(
    ctx: DdlContext, desc: RelationDesc, name: str, command: str, instead: bool, analyzed: AnalyzedRule
) -> tuple[str | None, str]:
    """The condition and the actions as they are kept; 0A000 for what would not be the same when it is read again."""
    around, stored = analyzed.around, ctx.stored_view
    condition = analyzed.qualification
    refused = NotSupported(
        "this rule cannot be kept",
        detail="Its text, with all names written whole, would mean something else or nothing when it is read again.",
    )
    try:
        written = None if condition is None else kept_qualification(around, condition, stored)
        actions = "".join(f"{kept_action(around, each, stored)};\n" for each in analyzed.actions).rstrip("\n")
        rule = RuleDesc(name, EVENTS[command], "O", instead, written, actions)
        again = stored_rule(ctx.view, desc, rule, ctx.session)
    except (SqlError, InvariantViolation) as error:
        LOGGER.info("a rule does not come back: %s", error)
        raise refused from None
    mine = [*_as_query(condition), *analyzed.actions]
    others = [*_as_query(again.qualification), *again.actions]
    if len(mine) != len(others) or not all(map(same_query, mine, others)):
        LOGGER.info("a rule is not the same when it is read again: %s", actions)
        raise refused
    return written, actions


def _as_query(condition: Expr | None) -> list[Query]:
    return [] if condition is None else [Query("select", targets=[Target(condition, "")])]


def _used(desc: RelationDesc, analyzed: AnalyzedRule) -> set[tuple[int, int, int]]:
    """The relations and columns that a rule names, those of OLD and NEW among them."""
    used: set[tuple[int, int, int]] = set()
    condition = analyzed.qualification
    queries = list(analyzed.actions)
    if condition is not None:
        queries.append(dataclasses.replace(analyzed.around, targets=[Target(condition, "")]))
    for query in queries:
        for access in read_by_rule(query):
            if not access.in_view:
                used.add((CLASS_RELATION, access.relation.oid, 0))
                named = access.selected | access.inserted | access.updated
                used |= {(CLASS_RELATION, access.relation.oid, attno) for attno in named if attno > 0}
    tops = [(top, level + 1) for action in analyzed.actions for top, level in query_expressions(action, 0)]
    for top, level in tops:
        for node, depth in deep_walk(top, level):
            if isinstance(node, Var) and node.levels_up == depth and node.attno > 0:
                used.add((CLASS_RELATION, desc.oid, node.attno))
    # Who depends on a column depends on its table.
    whole = {address for address in used if not address[2]}
    by_column = {address[1] for address in used if address[2]}
    return used - {address for address in whole if address[1] in by_column or address[1] == desc.oid}


# --- ON SELECT ------------------------------------------------------------------------------------------------------


def _select_rule(ctx: DdlContext, node: ast.RuleStmt, desc: RelationDesc, name: str, analyzed: AnalyzedRule) -> None:
    """A rule ON SELECT, which is a view's query: the query of a view that is there is another one then."""
    if len(analyzed.actions) > 1:
        raise NotSupported("multiple actions for rules on SELECT are not implemented")
    action = analyzed.actions[0] if analyzed.actions else None
    if action is None or not node.instead or action.command != "select":
        raise NotSupported("rules on SELECT must have action INSTEAD SELECT")
    if any(item.query.command != "select" for item in action.ctes):
        raise NotSupported("rules on SELECT must not contain data-modifying statements in WITH")
    if analyzed.qualification is not None:
        raise NotSupported("event qualifications are not implemented for rules on SELECT")
    _check_columns(ctx, desc, action.targets, "SELECT")
    record = _rule(ctx, desc, _RETURN)
    if record is not None and record.ev_type == "1" and not node.replace:
        raise ObjectNotInPrerequisiteState(f'"{desc.name}" is already a view')
    if name != _RETURN:
        raise InvalidObjectDefinition(f'view rule for "{desc.name}" must be named "{_RETURN}"')
    if desc.kind != "v":
        _become_view(ctx, desc)
    select = node.actions[0]
    view = ctx.tracing()
    query = analyze(select, view, [], ctx.source, session=ctx.session, allow_params=False)
    text = ctx.keep(view_text(ctx, select, query), view, named_objects(own_nodes(query)))
    if record is not None:
        ctx.rows.delete_where("pg_depend", classid=CLASS_REWRITE, objid=record.oid)
        ctx.rows.delete("pg_rewrite", record)
    store_query(ctx, desc.oid, query, text)


def _become_view(ctx: DdlContext, desc: RelationDesc) -> None:
    """A table without rows, indexes and relatives becomes a view. 42809, 55000."""
    if desc.kind == "p":
        raise WrongObjectType(f'cannot convert partitioned table "{desc.name}" to a view')
    if desc.is_partition:
        raise WrongObjectType(f'cannot convert partition "{desc.name}" to a view')
    record = class_record(ctx, desc.oid)
    name = f"{quote_identifier(desc.schema)}.{quote_identifier(desc.name)}"
    reasons = (
        (any(True for _ in ctx.fetch_own(f"SELECT 1 FROM ONLY {name} LIMIT 1")), "it is not empty"),
        (record.relhastriggers or bool(desc.foreign_keys or desc.referenced_by), "it has triggers"),
        (record.relhasindex, "it has indexes"),
        (record.relhassubclass, "it has child tables"),
        (bool(desc.parents), "it has parent tables"),
        (desc.row_security, "it has row security enabled"),
        (ctx.rows.one("pg_policy", polrelid=desc.oid) is not None, "it has row security policies"),
    )
    for holds, why in reasons:
        if holds:
            hint = None
            if why == "it has triggers":
                hint = "In particular, the table cannot be involved in any foreign key relationships."
            raise ObjectNotInPrerequisiteState(
                f'could not convert table "{desc.name}" to a view because {why}', hint=hint
            )
    if desc.toast is not None:
        ctx.rows.delete_where("pg_depend", classid=CLASS_RELATION, objid=desc.toast.oid, refobjid=desc.oid)
        drop(ctx, [(CLASS_RELATION, desc.toast.oid, 0)], cascade=True, silent=True)
    ctx.drop_storage(record.relfilenode)
    ctx.rows.delete_where("pg_statistic", starelid=desc.oid)
    ctx.rows.update(
        "pg_class",
        class_record(ctx, desc.oid),
        relkind="v",
        relam=0,
        relfilenode=0,
        reltablespace=0,
        relpages=0,
        reltuples=0.0,
        relallvisible=0,
        reltoastrelid=0,
        relhasrules=True,
        relreplident="n",
        relfrozenxid=0,
        relminmxid=0,
    )


# --- ALTER, DROP ----------------------------------------------------------------------------------------------------


def rename_rule(ctx: DdlContext, node: ast.RenameStmt, new: str) -> str:
    """ALTER RULE … RENAME TO. 42704, 42710, 42P17."""
    desc = ctx.find(node.relation)
    if desc is None:
        raise UndefinedTable(f'relation "{node.relation.relname}" does not exist')
    if desc.kind not in "rvp":
        raise WrongObjectType(
            f'relation "{desc.name}" cannot have rules', detail=f"This operation is not supported for {desc.noun}s."
        )
    ctx.check_owner(desc)
    ctx.lock(desc, ACCESS_EXCLUSIVE)
    record = find_rule(ctx, desc, node.subname)
    if _rule(ctx, desc, new) is not None:
        raise DuplicateObject(f'rule "{new}" for relation "{desc.name}" already exists')
    if record.ev_type == "1":
        raise InvalidObjectDefinition("renaming an ON SELECT rule is not allowed")
    ctx.rows.update("pg_rewrite", record, rulename=new)
    ctx.changes.touch(desc.oid)
    return "ALTER RULE"


def enable_rule(ctx: DdlContext, desc: RelationDesc, command: ast.AlterTableCmd) -> None:
    """ALTER TABLE … ENABLE, DISABLE RULE. 42704."""
    ctx.rows.update("pg_rewrite", find_rule(ctx, desc, command.name), ev_enabled=_ENABLED[command.subtype])
    ctx.changes.touch(desc.oid)


def drop_rules(ctx: DdlContext, node: ast.DropStmt) -> str:
    """DROP RULE … ON …; what is not there is a notice with IF EXISTS."""
    for item in node.objects:
        names = [part.sval for part in item]
        table = ast.RangeVar(relname=names[-2], schemaname=names[-3] if len(names) > 2 else None, location=-1)
        if node.missing_ok and len(names) > 2 and ctx.view.layer.namespace_oid(names[-3]) is None:
            ctx.notice(f'schema "{names[-3]}" does not exist, skipping')
            continue
        desc = ctx.find(table, missing_ok=bool(node.missing_ok))
        if desc is None:
            ctx.notice(f'relation "{".".join(names[:-1])}" does not exist, skipping')
            continue
        if node.missing_ok and _rule(ctx, desc, names[-1]) is None:
            ctx.notice(f'rule "{names[-1]}" for relation "{desc.name}" does not exist, skipping')
            continue
        find_rule(ctx, desc, names[-1])
        ctx.check_owner(desc, "relation")
        ctx.lock(desc, ACCESS_EXCLUSIVE)
        record = find_rule(ctx, desc, names[-1])
        if desc.oid < FIRST_NORMAL_OID:
            raise InvariantViolation("a rule of a system catalog")
        address = (CLASS_REWRITE, int(record.oid), 0)
        drop(ctx, [address], cascade=node.behavior == enums.DropBehavior.DROP_CASCADE)
    return "DROP RULE"
