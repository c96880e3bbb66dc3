"""Which rows are rows of another table, too: those of a table that inherits from it, or is of its type."""

from __future__ import annotations

from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.catalog_view import CatalogView


def inherits_from(catalog: CatalogView, relation: RelationDesc, ancestor: int) -> bool:
    """Whether a table inherits from the table with the OID ``ancestor``, by however many steps."""
    waiting, seen = list(relation.parents), set[int]()
    while waiting:
        oid = waiting.pop()
        if oid == ancestor:
            return True
        if oid not in seen:
            seen.add(oid)
            parent = catalog.relation(oid)
            waiting += parent.parents if parent is not None else ()
    return False


def is_row_of(catalog: CatalogView, source: int, target: int) -> bool:
    """Whether rows of one composite type have all columns of another: its table is of that type, or inherits from the
    other's table."""
    kind, wanted = catalog.type(source).root, catalog.type(target)
    if kind.kind != "c" or wanted.kind != "c":
        return False
    if kind.of_type == target:
        return True
    relation = catalog.relation(kind.relation) if kind.relation and wanted.relation else None
    return relation is not None and inherits_from(catalog, relation, wanted.relation)
