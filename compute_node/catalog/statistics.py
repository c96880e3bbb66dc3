"""What VACUUM leaves in pg_class: relpages and reltuples; where autovacuum finds a table that nobody has opened yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aurora.ids import NO_LSN
from compute_node.access.in_place import overwrite
from compute_node.access.vacuum import VacuumStats
from compute_node.catalog.cache import Catalog
from compute_node.catalog.layer import Change
from compute_node.catalog.rows import CatalogReader
from compute_node.relations.descriptors import RelationDesc

if TYPE_CHECKING:
    from compute_node.access.table import Table


def vacuumed(catalog: Catalog, desc: RelationDesc, stats: VacuumStats) -> None:
    """Note the table's size after a vacuum, and its indexes'. In place, as PostgreSQL does; may wait."""
    storage = catalog.storage
    sizes = [(desc.oid, desc.relfile, float(stats.rows))]
    sizes += [(index.oid, index.relfile, float(stats.rows)) for index in desc.indexes]
    pg_class = catalog.catalogs.tables["pg_class"]
    pages, rows = pg_class.position["relpages"] + 1, pg_class.position["reltuples"] + 1
    changed = set()
    for oid, relfile, count in sizes:
        if not storage.exists(relfile):
            continue
        blocks = int(storage.blocks(relfile))
        with storage.txns.reading("statistics") as snapshot:
            record = CatalogReader(storage, snapshot, catalog.catalogs).one("pg_class", oid=oid)
            if record is None or (record.relpages, record.reltuples) == (blocks, count):
                continue
            if overwrite(storage.table(pg_class.desc), snapshot, record.tid, {pages: blocks, rows: count}):
                changed.add(oid)
    if changed:
        catalog.committed(Change(relations={desc.oid, *changed}), NO_LSN)


def table_of(catalog: Catalog, relfile: int) -> Table | None:
    """The ``Table`` of a relation file of a table of this database; None when it is no table's."""
    for known in catalog.catalogs.tables.values():
        for desc in (known.desc, known.desc.toast):
            if desc is not None and desc.relfile == relfile:
                return catalog.storage.table(desc)
    reader = CatalogReader(catalog.storage, None, catalog.catalogs)
    # No relation is in a tablespace: so the index on both columns finds it.
    for record in reader.find("pg_class", reltablespace=0, relfilenode=relfile):
        desc = catalog.shared().relation(record.oid) if record.relkind in ("r", "m", "t") else None
        if desc is not None and desc.relfile == relfile:
            return catalog.storage.table(desc)
    return None
