"""State of planning: what one statement shares (``Statement``) and the outer-reference bookkeeping of one query
level."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from aurora.errors import InvariantViolation
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import AggregateCall, ExecParam, Expr, Param, SubLink, Var, walk
from compute_node.sql.plan import Plan
from compute_node.sql.planner.cost.parameters import CostParameters
from compute_node.sql.planner.values import Peeking
from compute_node.sql.query import CommonTable, Query

if TYPE_CHECKING:
    from compute_node.sql.planner.families import Member
    from compute_node.sql.planner.selectivity import Estimator


class PlannerSettings(Protocol):
    """A session's settings, as far as the planner looks at them."""

    def get(self, name: str) -> bool | int | float | str | None:
        """A setting's value."""


@dataclass(slots=True)
class Statement:
    """What is shared by all levels: numbering of execution parameters, sub-plans and CTE plans."""

    catalog: CatalogView
    settings: PlannerSettings | None = None
    exec_params: int = 0
    subplans: list[Plan] = field(default_factory=list)
    ctes: list[Plan] = field(default_factory=list)
    relations: set[int] = field(default_factory=set)
    writes: bool = False
    decisive_literals: list[Param] = field(default_factory=list)
    """literals that were lifted out and whose value would decide about an index: the statement is analyzed again with
    them in place"""
    entries: dict[int, int] = field(default_factory=dict)
    """how many range entries each level has"""
    peeking: Peeking = field(default_factory=Peeking)
    estimators: dict[int, Estimator] = field(default_factory=dict)
    """by the identity of the range table, so that what they found is remembered"""
    _costs: CostParameters | None = None

    @property
    def costs(self) -> CostParameters:
        """What the session's settings make of costs."""
        if self._costs is None:
            self._costs = CostParameters.of(self.settings)
        return self._costs

    def enabled(self, name: str) -> bool:
        """Whether a planner setting such as ``enable_seqscan`` is on."""
        return self.settings is None or bool(self.settings.get(name))

    def number(self, name: str, default: float) -> float:
        """A setting that is a number; ``default`` where there is no session."""
        found = None if self.settings is None else self.settings.get(name)
        return default if found is None else float(found)

    def new_param(self) -> int:
        """A fresh execution parameter number (from 0)."""
        self.exec_params += 1
        return self.exec_params - 1


@dataclass(slots=True)
class CtePlan:
    """How a WITH item is read: index into PlannedStmt.ctes, or None when it is to be inlined."""

    table: CommonTable
    index: int | None
    rows: float = 100.0
    working: bool = False


@dataclass(slots=True)
class Level:
    """One query level. ``params``: references to this level's rows that deeper levels make, each with the number of the
    execution parameter that carries it. ``uses_outer``: this level refers to a level outside it."""

    statement: Statement
    query: Query
    parent: Level | None = None
    params: dict[Expr, int] = field(default_factory=dict)
    ctes: dict[str, CtePlan] = field(default_factory=dict)
    uses_outer: bool = False
    resolve: Callable[[Expr], Expr] | None = None
    """plans the sub-selects in an expression of this level"""
    families: dict[int, tuple[Member, ...]] = field(default_factory=dict)
    """by range entry, the tables that are read for a table with descendants"""

    def outer_param(self, node: Var | AggregateCall, levels: int) -> ExecParam:
        """The execution parameter for a reference ``levels`` (≥ 1) levels out of this one."""
        level: Level | None = self
        for _ in range(levels):
            if level is None:
                raise InvariantViolation(f"outer reference {node!r} has no query level")
            level.uses_outer = True
            level = level.parent
        if level is None:
            raise InvariantViolation(f"outer reference {node!r} has no query level")
        if isinstance(node, Var):
            own: Expr = dataclasses.replace(node, levels_up=0, location=-1)
        else:
            from compute_node.sql.analyze.context import shift_levels

            own = level.planned(shift_levels(node, -levels))
        number = level.params.get(own)
        if number is None:
            number = level.params[own] = self.statement.new_param()
        return ExecParam(type=node.type, typmod=node.typmod, number=number)

    def planned(self, node: Expr) -> Expr:
        """An aggregate of this level that a deeper one computes with, its sub-selects planned. What they take from this
        level's rows they are given where the aggregate is computed."""
        if self.resolve is None or not any(isinstance(item, SubLink) for item in walk(node)):
            return node
        before = set(self.params)
        node = self.resolve(node)
        for own in [each for each in self.params if each not in before]:
            del self.params[own]
        return node
