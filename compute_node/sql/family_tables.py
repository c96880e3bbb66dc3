"""Which tables stand behind the name of one: itself and those that inherit from it (manual, 5.10)."""

from __future__ import annotations

from aurora.errors import InvariantViolation
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.partitioning import leaves_of


def tables_of(catalog: CatalogView, relation: RelationDesc) -> list[RelationDesc]:
    """The tables whose rows a table without ONLY has, in the order in which they are read. A partitioned table is none
    of them."""
    if relation.is_partitioned:
        return leaves_of(catalog, relation)
    found = [relation]
    seen = {relation.oid}
    for each in found:
        for oid in each.children:
            child = catalog.relation(oid)
            if child is not None and oid not in seen:
                seen.add(child.oid)
                found.append(child)
    return found


def matching_attnos(parent: RelationDesc, child: RelationDesc) -> tuple[int, ...]:
    """For each column of the parent the child's of the same name; 0 for a dropped one. XX000 where it has none."""
    by_name = {column.name: column.attno for column in child.columns if not column.dropped}
    found = []
    for column in parent.columns:
        attno = 0 if column.dropped else by_name.get(column.name)
        if attno is None:
            raise InvariantViolation(f'table "{child.name}" has no column "{column.name}" of its parent')
        found.append(attno)
    return tuple(found)
