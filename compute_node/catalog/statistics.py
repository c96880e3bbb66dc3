"""relpages and reltuples in pg_class, which VACUUM, ANALYZE and builds of indexes set; where autovacuum finds a table
that nobody has opened yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aurora.ids import NO_LSN
from compute_node.access.in_place import overwrite
from compute_node.access.vacuum import VacuumStats
from compute_node.catalog.cache import Catalog
from compute_node.catalog.layer import Change
from compute_node.catalog.rows import CatalogReader, CatalogRows, Record
from compute_node.relations.descriptors import RelationDesc

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from compute_node.access.table import Table


def vacuumed(catalog: Catalog, desc: RelationDesc, stats: VacuumStats) -> None:
    """Note the table's size after a vacuum, and its indexes'. In place, as PostgreSQL does; may wait."""
    storage = catalog.storage
    sizes = [(desc.oid, desc.relfile, float(stats.rows))]
    sizes += [(index.oid, index.relfile, float(stats.rows)) for index in desc.indexes]
    changed = set()
    for oid, relfile, count in sizes:
        if not storage.exists(relfile):
            continue
        blocks = int(storage.blocks(relfile))
        with storage.txns.reading("statistics") as snapshot:
            reader = CatalogReader(storage, snapshot, catalog.catalogs)
            record = reader.one("pg_class", oid=oid)
            if record is not None and _put(reader, snapshot, record, blocks, count):
                changed.add(oid)
    if changed:
        have_changed(catalog, {desc.oid, *changed})


def have_changed(catalog: Catalog, relations: set[int]) -> None:
    """What is kept of relations in memory has old sizes."""
    catalog.committed(Change(relations=relations), NO_LSN)


def _put(reader: CatalogReader, snapshot: Snapshot, record: Record, blocks: int, count: float) -> bool:
    """Overwrite the size of a relation where it says another one; whether it was done."""
    if (record.relpages, record.reltuples) == (blocks, count):
        return False
    pg_class = reader.catalogs.tables["pg_class"]
    pages, rows = pg_class.position["relpages"] + 1, pg_class.position["reltuples"] + 1
    return overwrite(reader.storage.table(pg_class.desc), snapshot, record.tid, {pages: blocks, rows: count})


def set_size(rows: CatalogRows, record: Record, blocks: int, count: int) -> bool:
    """Note a relation's size in place, so that two who index a table at a time do not wait for each other; whether it
    is another one than before. A row that the transaction has written goes with it."""
    return _put(rows, rows.snapshot(), record, blocks, float(count))


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
