"""How many items of an index a condition looks for, as far as its value is known: a constant array's elements, a text
search query's lexemes, the keys and scalars of a jsonb value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compute_node.sql.expressions import Const, Expr
from compute_node.sql.planner.index_match import IndexClause
from compute_node.types.array_value import flatten
from compute_node.types.json.value import Jsonb
from compute_node.types.textsearch.query import TsQuery, nodes

PATH_CLASS = 10091
"""jsonb_path_ops, whose items are scalars alone"""


def count_items(clauses: Sequence[IndexClause], codes: Sequence[int]) -> int:
    """Of all conditions; ``codes``: the operator class of each column."""
    return sum(_of_value(each.value, codes[each.column] == PATH_CLASS if codes else False) for each in clauses)


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
