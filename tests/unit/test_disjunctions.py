"""What the branches of an OR have in common: the condition is the same one, and nothing common is left inside."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from compute_node.sql.expressions import And, Expr, Or, Var
from compute_node.sql.planner.disjunctions import factored
from compute_node.types import oids

COLUMNS = 5
Row = tuple[bool | None, ...]

variables = st.integers(0, COLUMNS - 1).map(lambda number: Var(type=oids.BOOL, rte=0, attno=number + 1))
conditions = st.recursive(
    variables,
    lambda inner: st.builds(
        lambda kind, items: kind(type=oids.BOOL, arguments=tuple(items)),
        st.sampled_from([And, Or]),
        st.lists(inner, min_size=2, max_size=4),
    ),
    max_leaves=16,
)
rows = st.tuples(*[st.sampled_from([True, False, None])] * COLUMNS)


def truth(node: Expr, row: Row) -> bool | None:
    """The condition's value by three-valued logic."""
    if isinstance(node, Var):
        return row[node.attno - 1]
    assert isinstance(node, (And, Or))
    decisive = isinstance(node, Or)
    values = [truth(item, row) for item in node.arguments]
    if decisive in values:
        return decisive
    return None if None in values else not decisive


@given(conditions, rows)
def test_same_condition(node: Expr, row: Row) -> None:
    """By all three values of logic."""
    assert truth(factored(node), row) == truth(node, row)


@given(conditions)
def test_nothing_common_is_left(node: Expr) -> None:
    """No OR of the result has a part that all of its branches have."""

    def check(part: Expr) -> None:
        if isinstance(part, (And, Or)):
            for item in part.arguments:
                check(item)
        if isinstance(part, Or):
            branches = [item.arguments if isinstance(item, And) else (item,) for item in part.arguments]
            assert not [item for item in branches[0] if all(item in other for other in branches)]

    check(factored(node))
