"""Rules: a qualification and actions over OLD and NEW → expressions and queries (PostgreSQL manual, ch. 41).

OLD and NEW are the two range entries of a level around each action: there they are ``Var``s of range entry ``OLD`` or
``NEW``, as many levels up as the action is deep. The qualification is at that level itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from pglast import ast

from aurora.errors import NotSupported
from compute_node.relations.descriptors import RelationDesc, RuleDesc
from compute_node.sql.analyze import analyze_in
from compute_node.sql.analyze.collations import collate_query
from compute_node.sql.analyze.context import Analysis, NameItem, Scope, session_env, stored_env
from compute_node.sql.analyze.expressions import transform_where
from compute_node.sql.analyze.from_clause import entry_columns
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Call, Const, Expr, Var
from compute_node.sql.parse import parse
from compute_node.sql.query import Query, RangeEntry, Target
from compute_node.sql.rewrite import deep_walk, query_expressions
from compute_node.types import oids

_PG_NOTIFY: Final = 3036
OLD: Final = 0
NEW: Final = 1
"""their range entries"""
EVENTS: Final = {"select": "1", "update": "2", "insert": "3", "delete": "4"}
"""pg_rewrite.ev_type by the command"""


class AnalyzedRule(NamedTuple):
    """A rule's condition and actions; ``around`` is the level of OLD and NEW. ``relations``: OIDs of what it reads."""

    qualification: Expr | None
    actions: list[Query]
    around: Query
    relations: frozenset[int]
    momentary: bool


def around_rule(relation: RelationDesc) -> Query:
    """The level of OLD and NEW."""
    query = Query("select")
    for name in ("old", "new"):
        query.range_table.append(
            RangeEntry(
                "relation",
                name,
                tuple("" if column.dropped else column.name for column in relation.columns),
                tuple(column.type for column in relation.columns),
                tuple(column.typmod for column in relation.columns),
                relation=relation,
                written=ast.Alias(aliasname=name),
            )
        )
    return query


def analyze_rule(
    catalog: CatalogView,
    relation: RelationDesc,
    event: str,
    where: ast.Node | None,
    actions: Sequence[ast.Node],
    source: str,
    session: object,
) -> AnalyzedRule:
    """Analyze a rule on ``event`` (insert, update, delete, select) of a relation. Raises what its parts raise, and
    42P17 for what a rule may not be."""
    env = session_env(session)
    analysis = Analysis(
        catalog, [], source, stored_env(env) if catalog.reads_stored_text else env, allow_params=False
    )  # fmt: skip
    around = around_rule(relation)
    scope = Scope(analysis, around)
    items = list(_items(relation, around))
    # The condition names columns without OLD or NEW, too, and those alone that there are for the event.
    scope.items = [dataclasses.replace(item, columns_visible=True) for item in items if _is_there(item.alias, event)]
    scope.unreachable = tuple((item.alias, item.names) for item in items if not _is_there(item.alias, event))
    condition = transform_where(scope, where, "WHERE")
    scope.items, scope.unreachable = items, ()
    scope.is_around_rule = True
    made = [_notify(node) if isinstance(node, ast.NotifyStmt) else analyze_in(scope.child(), node) for node in actions]
    if analysis.collated:
        for query in made:
            collate_query(Scope(analysis, query, parent=scope), query)
    return AnalyzedRule(condition, made, around, frozenset(analysis.relations), analysis.momentary)


def _notify(node: ast.NotifyStmt) -> Query:
    """NOTIFY as the query that does it."""
    said = (node.conditionname, node.payload or "")
    arguments = tuple([Const(type=oids.TEXT, value=each) for each in said])
    call = Call(type=oids.VOID, function=_PG_NOTIFY, arguments=arguments)
    return Query("select", targets=[Target(call, "pg_notify")], notifies=said)


def _is_there(name: str, event: str) -> bool:
    return event in ("update", "select") or name == ("new" if event == "insert" else "old")


def meeting_level(action: Query) -> tuple[Query, int]:
    """The level of an action that the original is put into, and how many levels up OLD and NEW are there: the action
    itself, or for an INSERT the query that gives its rows."""
    source = action.source
    if source is None:
        return action, 1
    inner = source.range_table[0] if source.range_table else None
    if inner is not None and inner.kind == "subquery" and inner.alias == "*SELECT*" and inner.query is not None:
        return inner.query, 3
    return source, 2


def names_original(entry: RangeEntry, up: int) -> bool:
    """Whether a range entry names OLD or NEW, which are ``up`` levels up from its own."""
    return any(
        isinstance(node, Var) and node.levels_up == depth + up
        for top, level in query_expressions(Query("select", range_table=[entry]), 0)
        for node, depth in deep_walk(top, level)
    )


def _items(relation: RelationDesc, around: Query) -> Iterator[NameItem]:
    dropped = frozenset(index for index, column in enumerate(relation.columns) if column.dropped)
    for rte, entry in enumerate(around.range_table):
        item = NameItem(
            rte, entry.alias, entry.column_names, entry_columns(rte, entry), relation, relation.schema, dropped=dropped
        )
        item.columns_visible = False
        item.system_columns = relation.kind != "v"
        yield item


def stored_rule(catalog: CatalogView, relation: RelationDesc, rule: RuleDesc, session: object) -> AnalyzedRule:
    """A rule that the catalog keeps."""
    where = None
    if rule.qualification is not None:
        where = parse(f"SELECT {rule.qualification}")[0].node.targetList[0].val
    event = next(name for name, code in EVENTS.items() if code == rule.event)
    nodes = [raw.node for raw in parse(rule.actions)] if rule.actions else []
    return analyze_rule(catalog.of_stored_text(), relation, event, where, nodes, rule.actions, session)


def references(query: Query) -> set[int]:
    """Which of OLD and NEW an action names."""
    found: set[int] = set()
    for top, level in query_expressions(query, 0):
        for node, depth in deep_walk(top, level):
            if isinstance(node, Var) and node.levels_up == depth + 1:
                found.add(node.rte)
    return found


def references_of(condition: Expr | None) -> set[int]:
    """Which of OLD and NEW a qualification names."""
    if condition is None:
        return set()
    return {node.rte for node, depth in deep_walk(condition) if isinstance(node, Var) and node.levels_up == depth}


def refuse_in_with(query: Query) -> None:
    """0A000 where a WITH item names OLD or NEW."""
    for item in query.ctes:
        for top, level in query_expressions(item.query, 1):
            for node, depth in deep_walk(top, level):
                if isinstance(node, Var) and node.levels_up == depth + 1:
                    name = "NEW" if node.rte == NEW else "OLD"
                    raise NotSupported(f"cannot refer to {name} within WITH query")
