"""Planning: analyzed ``Query`` → ``PlannedStmt``; next stage: the executor.

Rules, in the order in which they run on each query level (``RULES``), each in its own module. Invariants: the analyzed
query is never changed (rules copy); the result holds no Var, SubLink or join alias, only columns of input rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aurora.errors import StatementTooComplex
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.plan import PlannedStmt, Result, ResultColumn
from compute_node.sql.planner.inline import Inliner, names_routines
from compute_node.sql.planner.modify import plan_modify
from compute_node.sql.planner.query_planner import QueryPlanner
from compute_node.sql.planner.state import Statement
from compute_node.sql.planner.values import KnownValues, values_decide, with_values
from compute_node.sql.query import Query, Target
from compute_node.sql.required import NOTHING, both

if TYPE_CHECKING:
    from compute_node.sql.planner.state import PlannerSettings


RULES = (
    "inline: calls of simple functions in SQL become their bodies",
    "query_planner.plan_ctes: plan or mark for inlining each WITH item",
    "query_planner.simplify: inline CTEs, then pull_up: merge simple sub-selects and views",
    "sublinks: EXISTS and IN conditions become semi joins, NOT EXISTS anti joins",
    "fold: evaluate constants, simplify boolean expressions, plan the remaining sub-selects",
    "disjunctions: what the branches of an OR have in common, what they ask of one table",
    "from_tree: outer joins under null-rejecting conditions become inner",
    "access: scan of each table, conditions pushed into it",
    "classes: what conditions hold equal, and the orders of rows",
    "joining: order and methods of joins",
    "ordering: which path serves what is above the joins",
    "grouping: groups, grouping sets, aggregates",
    "windows: window functions, a node for each window",
    "upper: set-returning targets, DISTINCT, ORDER BY, locking, LIMIT, set operations",
    "modify: INSERT, UPDATE, DELETE, MERGE on top",
    "create: paths become plan nodes, Vars become columns",
)


def plan(
    query: Query,
    catalog: CatalogView,
    settings: PlannerSettings | None = None,
    session: object = None,
    values: KnownValues | None = None,
) -> PlannedStmt:
    """Plan an analyzed statement. ``settings`` is kept for cost parameters and may be None; ``session`` is whose
    settings the literals in functions' bodies depend on; ``values`` are those of parameters.

    Raises NotSupported (0A000) for what no plan exists, 54001 for expressions nested too deeply.
    """
    decided = values is None and bool(query.param_types) and values_decide(query)
    if values is not None and values.placed:
        query = with_values(query, values.of)
    inliner = Inliner(catalog, session)
    if names_routines(query):
        query = inliner.query(query)
    statement = Statement(catalog, settings)
    if values is not None:
        statement.peeking.value_of, statement.peeking.eager = values.of, values.eager
    planner = QueryPlanner(statement, query)
    try:
        root = planner.plan() if query.command == "select" else plan_modify(planner)
    except RecursionError:
        raise StatementTooComplex("stack depth limit exceeded") from None
    visible = [item for item in query.targets if not item.junk] if query.command == "select" else query.returning
    command = query.command if query.procedure is None else "call"
    columns = tuple(_column(item) for item in visible) if query.command == "select" or visible else None
    if query.notifies is not None:
        command, columns = "notify", None
    return PlannedStmt(
        command=command,
        plan=root,
        columns=columns,
        param_types=tuple(query.param_types),
        subplans=statement.subplans,
        ctes=statement.ctes,
        exec_params=statement.exec_params,
        read_only=not statement.writes,
        relations=frozenset(statement.relations) | query.relations | inliner.relations,
        momentary=query.momentary or inliner.momentary,
        kept_literals=frozenset(query.kept_literals),
        decisive_slots=frozenset(param.number for param in statement.decisive_literals),
        privileges=both(query.privileges or NOTHING, inliner.required),
        procedure=query.procedure,
        range_entries=sum(statement.entries.values()),
        probes=statement.peeking.found(),
        values_decide=decided or bool(statement.decisive_literals),
    )


def combined(query: Query, steps: Sequence[PlannedStmt], main: int, shape: str) -> PlannedStmt:
    """The plan of a statement that rules have made ``steps`` of. ``main``: which of them is the statement for its
    client; -1: none."""
    told = steps[main] if main >= 0 else None
    return PlannedStmt(
        command=query.command,
        plan=Result(rows=0.0, total_cost=sum(step.plan.total_cost for step in steps)),
        columns=None if told is None else told.columns,
        param_types=tuple(query.param_types),
        read_only=all(step.read_only for step in steps),
        relations=query.relations.union(*(step.relations for step in steps)),
        momentary=query.momentary or any(step.momentary for step in steps),
        kept_literals=frozenset(query.kept_literals),
        decisive_slots=frozenset[int]().union(*(step.decisive_slots for step in steps)),
        privileges=steps[0].privileges if steps else NOTHING,
        probes=tuple(probe for step in steps for probe in step.probes),
        values_decide=any(step.values_decide for step in steps),
        steps=tuple(steps),
        main=main,
        shape=shape,
    )


def _column(target: Target) -> ResultColumn:
    return ResultColumn(target.name, target.expression.type, target.expression.typmod, target.table, target.column)
