"""What views and policies make of an analyzed statement: ``Query`` → ``Query``, before it is planned.

Views in FROM are sub-selects since analysis. A change of a view becomes a change of the table behind it (``views``);
then the policies of all tables become conditions (``policies``). Privileges that this adds are in the result's
``privileges``. The analyzed query is never changed. Source: PostgreSQL manual, ch. 5.8 and 41, CREATE VIEW ("Updatable
Views").
"""

from __future__ import annotations

import dataclasses

from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.query import Query
from compute_node.sql.required import NOTHING, Required, both, required_privileges
from compute_node.sql.rewriter.policies import with_policies
from compute_node.sql.rewriter.views import Found, is_view_change, through_views

__all__ = ["rewrite"]


def rewrite(query: Query, catalog: CatalogView, session: object = None) -> Query:
    """The statement as it is run. 55000 and 0A000 for views that cannot be changed so, 428C9, 42601, 42501, 42P17."""
    found = Found()
    changed = _with_items(query, catalog, session, found)
    if is_view_change(changed):
        changed = through_views(changed, catalog, session, found)
    changed = with_policies(changed, catalog, session, found)
    if changed is query:
        return query
    named = both(query.privileges or NOTHING, Required(tuple(found.accesses)))
    return dataclasses.replace(
        changed,
        privileges=both(named, required_privileges(changed)),
        relations=query.relations | found.relations,
        momentary=query.momentary or found.momentary,
    )


def _with_items(query: Query, catalog: CatalogView, session: object, found: Found) -> Query:
    """The same with what its WITH items change."""
    if not any(is_view_change(item.query) for item in query.ctes):
        return query
    items = [
        dataclasses.replace(item, query=through_views(item.query, catalog, session, found))
        if is_view_change(item.query)
        else item
        for item in query.ctes
    ]
    return dataclasses.replace(query, ctes=items)
