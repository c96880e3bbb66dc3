"""Which plan a statement with parameters runs: a generic one, or one for its values (PostgreSQL's plancache).

```
values ─► PlanChoice ─┬─ generic: the statement's own plan
                      └─ custom ─┬─ the values only change estimates: the Family's plan for as many rows ─► used again
                                 └─ else constants in the parameters' places, planned anew
```

The first five runs have custom plans; from then on the generic one is taken where it is no dearer than the average of
those, planning included (``plan_cache_mode``). The same families serve simple queries, whose literals are parameters
(``lifting``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from compute_node.sql.planner.selectivity import Estimator
from compute_node.sql.planner.values import Peeking, ValueOf

if TYPE_CHECKING:
    from compute_node.session.state import SessionState
    from compute_node.sql.plan import PlannedStmt, Probe

CUSTOM_PLANS: Final = 5
MAX_MEMBERS: Final = 64
_FEW_ROWS: Final = 16.0
_PLANNING_OPERATORS: Final = 1000.0
"""What planning costs for each table, in operators"""
_Member = TypeVar("_Member")


def planning_cost(planned: PlannedStmt, operator_cost: float) -> float:
    """What planning it is taken to cost, in the planner's units."""
    return _PLANNING_OPERATORS * operator_cost * (len(planned.relations) + 1)


class PlanChoice:
    """What is known of a statement's custom plans. ``customs`` and ``generics`` count the runs."""

    __slots__ = ("custom_cost", "customs", "generics")

    def __init__(self) -> None:
        self.customs = self.generics = 0
        self.custom_cost = 0.0
        """of all custom plans together"""

    def wants_custom(self, mode: str, generic_cost: float) -> bool:
        """Whether the next run of a statement with parameters plans for its values."""
        if mode != "auto":
            return mode == "force_custom_plan"
        return self.customs < CUSTOM_PLANS or generic_cost >= self.custom_cost / self.customs

    def add_custom(self, cost: float) -> None:
        """A run with a custom plan, which cost so much with its planning."""
        self.customs += 1
        self.custom_cost += cost


class Family(Generic[_Member]):
    """Plans of one statement that differ in nothing but what was estimated for its parameters' values. Each serves all
    values for which every probe gives about as many rows: within a factor of two of each other."""

    __slots__ = ("_members", "_probes")

    def __init__(self, probes: Sequence[Probe]) -> None:
        self._probes = tuple(probes)
        self._members: dict[tuple[int, ...], _Member] = {}

    def asks_as(self, probes: Sequence[Probe]) -> bool:
        """Whether a plan with these probes is of the family."""
        return [probe.slots for probe in probes] == [probe.slots for probe in self._probes]

    def shares(self, session: SessionState, value_of: ValueOf) -> tuple[int, ...]:
        """What the probes give for values: the base-2 logarithm of how many rows each leaves, in whole numbers, where
        a few more or less do not count."""
        view = session.engine.catalog.view(session)
        peeking = Peeking(value_of)
        found = []
        for probe in self._probes:
            share = Estimator(view, probe.entries, peeking).of_all(probe.conditions)
            found.append(round(math.log2(share * max(probe.rows, 1.0) + _FEW_ROWS)))
        return tuple(found)

    def at(self, shares: tuple[int, ...]) -> _Member | None:
        """The plan for what the probes gave."""
        return self._members.get(shares)

    def find(self, session: SessionState, value_of: ValueOf) -> _Member | None:
        """The plan for values; None: there is none yet."""
        return self._members.get(self.shares(session, value_of))

    def add(self, shares: tuple[int, ...], member: _Member) -> None:
        """Keep a plan; all are dropped when there are too many."""
        if len(self._members) >= MAX_MEMBERS and shares not in self._members:
            self._members.clear()
        self._members[shares] = member
