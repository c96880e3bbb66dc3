"""What a plan knows of the values of its parameters, and what it asked of them.

```
no values                    a generic plan: estimates take a parameter for any value
values for estimates alone   a plan for all values, its estimates those of these (a simple query's lifted literals)
values in their places       a custom plan: constants stand for the parameters, and are folded
```

A condition that was estimated by a parameter's value, or would have been, leaves a ``Probe``: other values for which
all probes give nearly the same may use the plan too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.expressions import (
    AggregateCall,
    And,
    BooleanTest,
    Case,
    Coalesce,
    Const,
    DistinctTest,
    Expr,
    Not,
    NullTest,
    Or,
    Param,
    SubLink,
    Var,
    children,
    walk,
)
from compute_node.sql.plan import Probe
from compute_node.sql.query import Query, RangeEntry
from compute_node.sql.rewrite import deep_map, deep_walk, map_query_expressions, nested_queries, query_expressions

ValueOf = Callable[[Param], Const | None]
"""A parameter's value; None: it is not known, or no value of its type"""
_DECIDING = (NullTest, Case, Coalesce, BooleanTest, DistinctTest, And, Or, Not)


@dataclass(slots=True)
class KnownValues:
    """``placed``: constants take the parameters' places, so the plan is for these values alone. ``eager``: see
    ``Peeking``."""

    of: ValueOf
    placed: bool = False
    eager: bool = True


@dataclass(slots=True)
class Peeking:
    """What estimates may know of parameters, and the probes that they leave, by the parameters asked for and the
    table. ``eager``: they look at a value wherever they can; else only where it is likely to tell much."""

    value_of: ValueOf | None = None
    eager: bool = True
    probes: dict[tuple[frozenset[int], int], Probe] = field(default_factory=dict)

    def note(
        self, entries: Sequence[RangeEntry], conditions: Sequence[Expr], slots: frozenset[int], table: RelationDesc
    ) -> None:
        """Conditions on a table whose estimate depends on these parameters."""
        self.probes.setdefault((slots, table.oid), Probe(tuple(entries), tuple(conditions), slots, table.rows))

    def found(self) -> tuple[Probe, ...]:
        """The probes; the two ends of a range are probed together."""
        return tuple(
            [
                probe
                for (slots, table), probe in self.probes.items()
                if not any(slots < others and table == other for others, other in self.probes)
            ]
        )


def with_values(query: Query, value_of: ValueOf) -> Query:
    """The query with constants in its parameters' places."""

    def place(node: Expr, depth: int) -> Expr:
        return (value_of(node) or node) if isinstance(node, Param) else node

    return map_query_expressions(query, lambda expr, depth: deep_map(expr, place, depth))


def values_decide(query: Query) -> bool:
    """Whether a constant in a parameter's place could make another query of it: in LIMIT, and where a condition would
    be folded."""
    for expr, _ in query_expressions(query):
        for node, _ in deep_walk(expr):
            if isinstance(node, _DECIDING) and any(map(_would_fold, children(node))):
                return True
            if isinstance(node, SubLink) and any(map(_bounded, _levels(node.query))):
                return True
    return any(map(_bounded, _levels(query)))


def _would_fold(node: Expr) -> bool:
    """Whether an expression is of parameters and constants alone."""
    found = False
    for part in walk(node):
        if isinstance(part, (Var, SubLink, AggregateCall)):
            return False
        found = found or isinstance(part, Param)
    return found


def _bounded(query: Query) -> bool:
    """Whether a parameter bounds the query's rows, or is its condition."""
    bounds = [item for item in (query.limit, query.offset, query.where, query.having) if item is not None]
    return any(map(_would_fold, bounds))


def _levels(query: Query) -> Iterator[Query]:
    yield query
    for inner in nested_queries(query):
        yield from _levels(inner)
