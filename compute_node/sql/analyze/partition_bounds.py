"""Values of partition bounds: what stands in FOR VALUES → an expression of the key column's type."""

from __future__ import annotations

from pglast import ast

from aurora.errors import DatatypeMismatch, NotSupported
from compute_node.sql.analyze.coercion import coerce
from compute_node.sql.analyze.collations import collate_stored
from compute_node.sql.analyze.context import Analysis, Scope, fail, session_env
from compute_node.sql.analyze.expressions import transform
from compute_node.sql.analyze.typenames import format_type
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Expr
from compute_node.sql.query import Query


def analyze_bound(
    catalog: CatalogView,
    node: ast.Node,
    source: str,
    column: str,
    key: tuple[int, int],
    session: object = None,
) -> Expr:
    """One value of FOR VALUES for the key column that messages call ``column``; ``key``: its type and typmod.
    0A000 for what reads rows, 42804 where it has no assignment cast."""
    kind, typmod = key
    analysis = Analysis(catalog, [], source, session_env(session), allow_params=False)
    scope = Scope(analysis, Query("select"), clause="BOUND")
    value = transform(scope, node)
    found = coerce(scope, value, kind, typmod, "a")
    if found is None:
        shown = format_type(catalog, kind)
        raise fail(
            DatatypeMismatch,
            f'specified value cannot be cast to type {shown} for column "{column}"',
            value.location,
        )
    return collate_stored(scope, None, found) if scope.analysis.collated else found


def refuse_columns(node: ast.Node) -> None:
    """0A000 for a column reference: a bound has no rows."""
    for each in _nodes(node):
        if isinstance(each, ast.ColumnRef):
            raise fail(NotSupported, "cannot use column reference in partition bound expression", each.location or 0)


def _nodes(node: object) -> list[ast.Node]:
    if isinstance(node, tuple):
        return [found for item in node for found in _nodes(item)]
    if not isinstance(node, ast.Node) or isinstance(node, ast.SubLink):
        return []
    return [node, *(found for name in node for found in _nodes(getattr(node, name)))]
