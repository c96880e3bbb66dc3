"""Where the new rows of a partitioned table go: descriptors of its partitions → ``Route``."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aurora.errors import InternalError
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Expr
from compute_node.sql.partitioning import ancestors_of, key_columns, partitions_of, places_of
from compute_node.sql.plan import Moves, PlannedCheck, Route

NewRow = Callable[[CatalogView, RelationDesc], tuple[tuple[str, Expr], ...]]


def route_of(
    catalog: CatalogView,
    root: RelationDesc,
    checks: NewRow,
    generated: Callable[[CatalogView, RelationDesc], tuple[tuple[int, Expr], ...]],
    arbiters: tuple[int, ...] = (),
) -> Route | None:
    """The route of rows that the statement inserts into ``root``; None when they stay there. ``arbiters``: indexes of
    ``root`` whose partitions decide about conflicts."""
    if root.is_partition:
        # What its rows must satisfy is looked up when the plan is made, so that the plan goes when that changes.
        for each in ancestors_of(catalog, root):
            partitions_of(catalog, each)
    if not root.is_partitioned:
        return None
    return _route(catalog, root, root, checks, generated, arbiters)


def _route(
    catalog: CatalogView,
    root: RelationDesc,
    relation: RelationDesc,
    checks: NewRow,
    generated: Callable[[CatalogView, RelationDesc], tuple[tuple[int, Expr], ...]],
    arbiters: tuple[int, ...],
) -> Route:
    places = places_of(root, relation)
    back = {name: attno - 1 for name, attno in ((each.name, each.attno) for each in relation.columns)}
    target_of = tuple([-1 if column.dropped else back[column.name] for column in root.columns])
    if not relation.is_partitioned:
        return Route(
            relation,
            places,
            target_of,
            checks=checks(catalog, relation),
            generated=generated(catalog, relation),
            arbiters=_own_arbiters(catalog, relation, arbiters),
        )
    found: list[Route] = []
    for oid in partitions_of(catalog, relation).oids:
        child = catalog.relation(oid)
        if child is None:
            raise InternalError(f'partition {oid} of "{relation.name}" is not there')
        found.append(_route(catalog, root, child, checks, generated, arbiters))
    return Route(relation, places, target_of, tuple(found))


def moves_of(
    catalog: CatalogView,
    root: RelationDesc,
    assigned: Iterable[str],
    checks: NewRow,
    generated: Callable[[CatalogView, RelationDesc], tuple[tuple[int, Expr], ...]],
    row_checks: tuple[PlannedCheck, ...],
) -> Moves | None:
    """What an UPDATE of ``root`` that assigns these columns does with rows that belong into another partition; None
    when none can: no partition key is among them. ``row_checks``: what views and policies ask of them."""
    tables = [*ancestors_of(catalog, root), *_partitioned(catalog, root)]
    if not tables or not set(assigned) & {name for table in tables for name in key_columns(catalog, table)}:
        return None
    return Moves(root, route_of(catalog, root, checks, generated), row_checks)


def _partitioned(catalog: CatalogView, relation: RelationDesc) -> list[RelationDesc]:
    """A partitioned table and those below it."""
    if not relation.is_partitioned:
        return []
    found = [relation]
    for oid in partitions_of(catalog, relation).oids:
        child = catalog.relation(oid)
        found += [] if child is None else _partitioned(catalog, child)
    return found


def _own_arbiters(catalog: CatalogView, leaf: RelationDesc, arbiters: tuple[int, ...]) -> tuple[int, ...]:
    """Those indexes of a partition that are parts of the given ones."""
    if not arbiters:
        return ()
    found: list[int] = []
    for index in leaf.indexes:
        oid: int = index.oid
        while oid:
            if oid in arbiters:
                found.append(index.oid)
                break
            above = catalog.relation(oid)
            oid = above.parents[0] if above is not None and above.parents else 0
    if not found:
        raise InternalError(f'no index of "{leaf.name}" is a part of the inferred ones')
    return tuple(found)
