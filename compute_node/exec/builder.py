"""Plan tree → node tree: makes one node per plan node, and links expressions to functions, types and sub-selects."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from compute_node.exec.nodes.base import NODE_CLASSES, Node
from compute_node.exec.plan_walk import free_parameters, free_working_tables
from compute_node.exec.subplan import SubplanRunner
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import SubPlan
from compute_node.sql.plan import Plan, PlannedStmt
from compute_node.types.registry import Aggregate, Function, Operator, PgType

if TYPE_CHECKING:
    from compute_node.exec.compile.rows import BatchFunction


class FilterCounts(Protocol):
    """Counts what filters leave out."""

    def counted(self, plan: Plan, function: BatchFunction) -> BatchFunction:
        """A node's compiled filter, which counts."""

    def add(self, plan: Plan, rows: int) -> None:
        """A node's filter has left out so many more."""


class Builder:
    """The ``Linker`` of one statement. ``wrap`` may replace each node as it is made, and ``removed`` count what filters
    leave out (EXPLAIN ANALYZE does both)."""

    def __init__(
        self,
        planned: PlannedStmt,
        catalog: CatalogView,
        wrap: Callable[[Plan, Node], Node] | None = None,
        removed: FilterCounts | None = None,
    ) -> None:
        self.planned = planned
        self.catalog = catalog
        self._wrap = wrap
        self._removed = removed
        self._making: Plan | None = None
        """the plan node whose executor node is being made"""
        self._subplans: dict[int, Node] = {}
        self._runners: dict[int, tuple[SubPlan, SubplanRunner]] = {}
        self._ctes: dict[int, Node] = {}
        self._free: dict[int, frozenset[int]] = {}

    def node(self, plan: Plan, original: Plan | None = None) -> Node:
        """The executor node of a plan node; ``original`` is the statement's own node when ``plan`` is a variant of
        it."""
        outer, self._making = self._making, original or plan
        node = NODE_CLASSES[type(plan)](plan, self)
        self._making = outer
        return node if self._wrap is None else self._wrap(original or plan, node)

    def filtering(self, function: BatchFunction) -> BatchFunction:
        """A filter of the node that is being made; counted where somebody wants to know."""
        if self._removed is None or self._making is None:
            return function
        return self._removed.counted(self._making, function)

    def column_filtering(self, plan: Plan | None = None) -> Callable[[int], None] | None:
        """What a filter over columns of ``plan``, or of the node that is being made, tells how many rows it leaves
        out."""
        filtered = self._making if plan is None else plan
        if self._removed is None or filtered is None:
            return None
        return partial(self._removed.add, filtered)

    def cte(self, number: int) -> Node:
        """The node that computes CTE ``number``; one per statement, made at first use in a run."""
        node = self._ctes.get(number)
        if node is None:
            node = self._ctes[number] = self.node(self.planned.ctes[number])
        return node

    def free(self, plan: Plan) -> frozenset[int]:
        """Execution parameters that ``plan`` needs from outside."""
        known = self._free.get(id(plan))
        if known is None:
            known = self._free[id(plan)] = free_parameters(self.planned, plan)
        return known

    def working(self, plan: Plan) -> frozenset[int]:
        """CTEs of whose recursion ``plan`` sees one step's rows (``free_working_tables``)."""
        return free_working_tables(self.planned, plan)

    def function(self, oid: int) -> Function:
        """By OID."""
        return self.catalog.function(oid)

    def type(self, oid: int) -> PgType:
        """By OID."""
        return self.catalog.type(oid)

    def operator(self, oid: int) -> Operator:
        """By OID."""
        return self.catalog.operator(oid)

    def equality(self, left: int, right: int) -> int | None:
        """The function of ``=`` between two types, when there is one for exactly these."""
        for item in self.catalog.operators("pg_catalog", "="):
            if item.left == left and item.right == right:
                return item.function
        return None

    def aggregate(self, oid: int) -> Aggregate | None:
        """By OID."""
        return self.catalog.aggregate(oid)

    def subplan(self, node: SubPlan) -> SubplanRunner:
        """The runner of a sub-select at its place: the same for each way in which that is compiled."""
        known = self._runners.get(id(node))
        if known is not None:
            return known[1]
        plan = self.planned.subplans[node.plan]
        inner = self._subplans.get(node.plan)
        if inner is None:
            inner = self._subplans[node.plan] = self.node(plan)
        runner = SubplanRunner(node, inner, self, self.free(plan))
        self._runners[id(node)] = (node, runner)
        return runner
