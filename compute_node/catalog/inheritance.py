"""pg_inherits → who inherits from whom (manual, 53.27)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compute_node.catalog.rows import CatalogReader


def parents_of(reader: CatalogReader, oid: int) -> tuple[int, ...]:
    """The direct parents of a table, in the order in which they were named."""
    found = sorted(reader.find("pg_inherits", inhrelid=oid), key=lambda row: row.inhseqno)
    return tuple(row.inhparent for row in found)


def children_of(reader: CatalogReader, oid: int) -> tuple[int, ...]:
    """The direct children of a table, by their OIDs."""
    return tuple(sorted(row.inhrelid for row in reader.find("pg_inherits", inhparent=oid)))


def descendants_of(reader: CatalogReader, oid: int) -> list[int]:
    """The table and all that inherit from it, each once, in PostgreSQL's order: level by level."""
    found = [oid]
    for each in found:
        found += [child for child in children_of(reader, each) if child not in found]
    return found
