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
    """The direct children of a table, by their OIDs; without a partition that is being detached."""
    found = reader.find("pg_inherits", inhparent=oid)
    return tuple(sorted(row.inhrelid for row in found if not row.inhdetachpending))


def detaching_of(reader: CatalogReader, oid: int) -> int:
    """The partition that is being detached from a table, CONCURRENTLY; 0 without one."""
    return next((row.inhrelid for row in reader.find("pg_inherits", inhparent=oid) if row.inhdetachpending), 0)


def descendants_of(reader: CatalogReader, oid: int) -> list[int]:
    """The table and all that inherit from it, each once, in PostgreSQL's order: level by level."""
    found = [oid]
    for each in found:
        found += [child for child in children_of(reader, each) if child not in found]
    return found
