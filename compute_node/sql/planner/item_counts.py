"""How many items of an index a condition looks for, as far as its value is known: a constant array's elements, a text
search query's lexemes, the keys and scalars of a jsonb value, what an extension counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from aurora.datum import Datum
from compute_node.sql.expressions import Const, Expr
from compute_node.sql.planner.index_match import IndexClause
from compute_node.types.array_value import flatten
from compute_node.types.json.value import Jsonb
from compute_node.types.textsearch.query import TsQuery, nodes

PATH_CLASS = 10091
"""jsonb_path_ops, whose items are scalars alone"""
COUNTS: Final[dict[int, Callable[[int, Datum], int]]] = {}
"""by an operator class's code: how many items a condition (strategy, value) looks for; 0: it reads the whole index"""


def count_items(clauses: Sequence[IndexClause], codes: Sequence[int]) -> int:
    """Of all conditions; ``codes``: the operator class of each column. 0: they read the whole index."""
    return sum(_of_clause(each, codes[each.column] if codes else 0) for each in clauses)


def _of_clause(clause: IndexClause, code: int) -> int:
    counted = COUNTS.get(code)
    if counted is None or clause.array or not isinstance(clause.value, Const) or clause.value.value is None:
        return _of_value(clause.value, code == PATH_CLASS)
    return counted(clause.strategy, clause.value.value)


def _of_value(value: Expr | None, scalars_only: bool) -> int:
    if not isinstance(value, Const):
        return 1
    found = value.value
    if isinstance(found, list):
        return max(1, sum(1 for each in flatten(found) if each is not None))
    if isinstance(found, TsQuery):
        return max(1, sum(1 for node in nodes(found.root) if not node.operator))
    if isinstance(found, Jsonb):
        return max(1, sum(1 for is_key in _jsonb_items(found) if not (is_key and scalars_only)))
    return 1


def _jsonb_items(value: Jsonb) -> Iterator[bool]:
    """Of each item, whether it is a key."""
    stack = [value]
    while stack:
        part = stack.pop()
        if part.kind == "object":
            for _, member in part.items():
                yield True
                stack.append(member)
        elif part.kind == "array":
            stack += part.elements()
        else:
            yield False
