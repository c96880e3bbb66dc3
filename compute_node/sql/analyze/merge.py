"""MERGE (manual, MERGE): the target joined with the source, and what is done with each row of that."""

from __future__ import annotations

import dataclasses

from pglast import ast
from pglast.enums import OverridingKind

from aurora.errors import DuplicateAlias, InvalidColumnReference, NotSupported, SqlSyntaxError, WrongObjectType
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.analyze.context import NameItem, Scope, fail
from compute_node.sql.analyze.ctes import transform_with
from compute_node.sql.analyze.dml import assignments, insert_columns, new_row, refuse_catalog
from compute_node.sql.analyze.expressions import transform_assigned, transform_where
from compute_node.sql.analyze.from_clause import from_item, open_relation, relation_entry
from compute_node.sql.analyze.names import SYSTEM_NAMES
from compute_node.sql.expressions import Expr, Var, walk
from compute_node.sql.query import FromItem, JoinItem, MergeAction, Query

_COMMANDS = {"CMD_UPDATE": "update", "CMD_DELETE": "delete", "CMD_INSERT": "insert", "CMD_NOTHING": "nothing"}
_KINDS = {
    "v": "views", "m": "materialized views", "I": "partitioned indexes", "S": "sequences", "t": "TOAST tables",
    "f": "foreign tables",
}  # fmt: skip
_TABLEOID = -6


def analyze_merge(scope: Scope, node: ast.MergeStmt) -> Query:
    """MERGE INTO … USING … ON … WHEN …"""
    query = scope.query
    query.command = "merge"
    if node.withClause is not None:
        if node.withClause.recursive:
            raise SqlSyntaxError("WITH RECURSIVE is not supported for MERGE statement")
        transform_with(scope, node.withClause)
    _check_clauses(node)
    relation = _target(scope, node.relation)
    query.target = relation
    target = relation_entry(scope, relation, node.relation.alias, bool(node.relation.inh))
    query.result_rte = target.rte
    source, items = from_item(scope, node.sourceRelation)
    for item in items:
        if item.table_visible and item.alias == target.alias:
            raise fail(
                DuplicateAlias,
                f'name "{target.alias}" specified more than once',
                -1,
                detail="The name is used both as MERGE target table and data source.",
            )
    scope.items = [target, *items]
    condition = transform_where(scope, node.joinCondition, "JOIN/ON")
    query.merge_actions = [_action(scope, clause, relation, target, items) for clause in node.mergeWhenClauses]
    scope.items = [target, *items]
    inserts = any(not action.matched and action.command == "insert" for action in query.merge_actions)
    query.from_items.append(JoinItem("left" if inserts else "inner", source, FromItem(target.rte), condition, -1))
    return query


def _check_clauses(node: ast.MergeStmt) -> None:
    final: set[bool] = set()
    for clause in node.mergeWhenClauses:
        matched = bool(clause.matched)
        if matched in final:
            raise SqlSyntaxError("unreachable WHEN clause specified after unconditional WHEN clause")
        if clause.condition is None:
            final.add(matched)


def _target(scope: Scope, node: ast.RangeVar) -> RelationDesc:
    relation = open_relation(scope, node)
    if relation.kind in "ci":
        what = "a composite type" if relation.kind == "c" else "an index"
        raise fail(WrongObjectType, f'"{relation.name}" is {what}', node.location if node.location is not None else -1)
    if relation.kind not in ("r", "p"):
        raise fail(
            NotSupported,
            f'cannot execute MERGE on relation "{relation.name}"',
            -1,
            detail=f"This operation is not supported for {_KINDS.get(relation.kind, 'relations of this kind')}.",
        )
    refuse_catalog(relation)
    return relation


def _action(
    scope: Scope, clause: ast.MergeWhenClause, relation: RelationDesc, target: NameItem, source: list[NameItem]
) -> MergeAction:
    matched, command = bool(clause.matched), _COMMANDS[clause.commandType.name]
    # Where no row of it matches, the target is only known so that the error can say where it is not.
    scope.items = [target if matched else dataclasses.replace(target, lateral_only=True), *source]
    condition = transform_where(scope, clause.condition, "WHEN")
    _check_condition(condition)
    action = MergeAction(matched, command, condition)
    if command == "update":
        action = dataclasses.replace(action, assignments=assignments(scope, clause.targetList, relation, target.rte))
    elif command == "insert":
        columns = insert_columns(relation, clause.targetList)
        steps = [item if item.indirection else None for item in clause.targetList or ()] or [None] * len(columns)
        values: list[Expr] = []
        if clause.values is None:
            columns, steps = [], []
        else:
            previous, scope.clause = scope.clause, "VALUES"
            values = [transform_assigned(scope, item) for item in clause.values]
            scope.clause = previous
        override = OverridingKind(clause.override)
        row = new_row(scope, relation, columns, values, clause.targetList, steps, override)
        inserted = tuple(column.attno for column in columns[: len(values)])
        action = dataclasses.replace(action, values=row, inserted=inserted)
    return action


def _check_condition(condition: Expr | None) -> None:
    for item in () if condition is None else walk(condition):
        if isinstance(item, Var) and item.attno < 0 and item.attno != _TABLEOID and not item.levels_up:
            message = f'cannot use system column "{SYSTEM_NAMES[item.attno]}" in MERGE WHEN condition'
            raise fail(InvalidColumnReference, message, item.location)
