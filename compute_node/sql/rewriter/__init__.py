"""What rules, views and policies make of an analyzed statement: ``Query`` → the queries that are planned and run.

Views in FROM are sub-selects since analysis. Rules make several queries of a change, or none (``rules``); a change of a
view becomes a change of the table behind it (``views``); then the policies of all tables become conditions
(``policies``). Privileges that this adds are in the result's ``privileges``. The analyzed query is never changed.
Source: PostgreSQL manual, ch. 5.8 and 41, CREATE VIEW ("Updatable Views"), CREATE RULE.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.query import Query
from compute_node.sql.required import NOTHING, Required, both, required_privileges
from compute_node.sql.rewriter.policies import with_policies
from compute_node.sql.rewriter.rules import (
    CONDITIONAL,
    INSTEAD,
    ORIGINAL,
    Step,
    is_ruled,
    refused_shape,
    through_rules,
)
from compute_node.sql.rewriter.views import Found

__all__ = ["Rewritten", "rewrite"]


class Rewritten(NamedTuple):
    """The queries that a statement has become, in the order in which they run. ``main``: which of them is the
    statement for its client, who gets its count and its rows; -1: none. ``shape``: of what kind the rules were that
    have made them, in words; empty without any."""

    queries: tuple[Query, ...]
    main: int
    shape: str

    @property
    def only(self) -> Query | None:
        """The one query that the statement is; None where it is to be several, or none, or one that is no answer."""
        return self.queries[0] if len(self.queries) == 1 and self.main == 0 else None


def rewrite(query: Query, catalog: CatalogView, session: object = None) -> Rewritten:
    """The statement as it is run. 55000 and 0A000 for views that cannot be changed so, 428C9, 42601, 42501, 42P17."""
    found = Found()
    steps = through_rules(query, catalog, session, found) if is_ruled(query) else [Step(query, ORIGINAL)]
    changed = [with_policies(step.query, catalog, session, found) for step in steps]
    if len(changed) == 1 and changed[0] is query:
        return Rewritten((query,), 0, "")
    needed = both(query.privileges or NOTHING, Required(tuple(found.accesses), found.functions))
    for each in changed:
        needed = both(needed, required_privileges(each))
    made = [
        dataclasses.replace(
            each,
            privileges=needed,
            relations=query.relations | found.relations,
            momentary=query.momentary or found.momentary,
            param_types=query.param_types,
            kept_literals=query.kept_literals,
        )
        for each in changed
    ]
    is_original = len(steps) == 1 and steps[0].origin == ORIGINAL
    return Rewritten(tuple(made), _main(query, steps), "" if is_original else refused_shape(steps))


def _main(query: Query, steps: list[Step]) -> int:
    """The original; without it the last of INSTEAD that does the same."""
    for number, step in enumerate(steps):
        if step.origin == ORIGINAL:
            return number
    for number in reversed(range(len(steps))):
        if steps[number].origin in (INSTEAD, CONDITIONAL) and steps[number].query.command == query.command:
            return number
    return -1
