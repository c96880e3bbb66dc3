"""The shared plan cache: statement text → ``Statement``.

A cache holds one ``PlanSpace`` for each combination of settings that analysis depends on; within it plans are found
by text and, for simple queries, by the text without its literals (``lifting``). A plan knows the catalog version that
it was made under, and is made again under another one. Bounded: the oldest half goes when a space is full.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from compute_node.session.statement import Statement, Tally

if TYPE_CHECKING:
    from compute_node.session.engine import Engine
    from compute_node.session.lifting import Shape
    from compute_node.session.routines import RoutinePlan
    from compute_node.session.statement_counts import StatementCounts


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

MAX_PLANS = 4096
"""Entries of each table of a space."""
MAX_SPACES = 64


def bounded_put(table: dict[_Key, _Value], key: _Key, value: _Value, limit: int = MAX_PLANS) -> None:
    """Insert; when the table is full, drop its older half first."""
    if len(table) >= limit:
        for old in list(table)[: limit // 2]:
            del table[old]
    table[key] = value


class PlanSpace:
    """The plans of one combination of settings."""

    __slots__ = ("calls", "referential", "routines", "shapes", "texts")

    def __init__(self) -> None:
        self.routines: dict[Hashable, RoutinePlan] = {}
        """functions in the language SQL, by call site (``session/routines``)"""
        self.calls: dict[Hashable, Statement] = {}
        """the arguments of CALL statements (``session/calls``)"""
        self.texts: dict[tuple[bytes, tuple[int, ...]], Statement] = {}
        self.shapes: dict[bytes, Shape] = {}
        self.referential: dict[tuple[int, str], Statement] = {}
        """checks and actions of foreign keys, by constraint (``referential``)"""


class PlanCache:
    """All sessions' plans."""

    def __init__(self) -> None:
        self.utilities: dict[bytes, Statement] = {}
        """Utility statements by text; they depend on no setting."""
        self.statements = 0
        """Utility statements begun, by all sessions."""
        self.counts: StatementCounts | None = None
        """what is counted by statement, where pg_stat_statements is loaded"""
        self._tallies: list[Tally] = []
        self._by_database: WeakKeyDictionary[Engine, dict[str, Tally]] = WeakKeyDictionary()
        self._spaces: dict[tuple[object, ...], PlanSpace] = {}

    @property
    def begun(self) -> int:
        """Statements begun, by all sessions."""
        return self.statements + sum(tally.runs for tally in self._tallies)

    def tally(self, engine: Engine, tag: str) -> Tally:
        """What counts the statements of a kind (SELECT, INSERT …) in a database."""
        kinds = self._by_database.setdefault(engine, {})
        found = kinds.get(tag)
        if found is None:
            found = kinds[tag] = Tally()
            self._tallies.append(found)
        return found

    def tallies(self, engine: Engine) -> dict[str, int]:
        """Kind of statement → how many have begun in a database."""
        return {tag: tally.runs for tag, tally in self._by_database.get(engine, {}).items()}

    def space(self, environment: tuple[object, ...]) -> PlanSpace:
        """The plans for this combination of settings."""
        found = self._spaces.get(environment)
        if found is None:
            found = PlanSpace()
            bounded_put(self._spaces, environment, found, MAX_SPACES)
        return found
