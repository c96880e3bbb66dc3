"""A volume's built-in catalog rows, made what this program's are: at the writer's start, before the first session.

The superblock holds ``CATALOG_VERSION`` and a hash of the built-in rows. Equal: nothing to do. An older version, or
other rows of the same version: every database's built-in rows are compared with those that ``bootstrap_rows`` makes,
and added, changed or removed, all in one transaction; then the superblock says so. A crash in the middle leaves the
rows as they were, and the next start begins again. A newer version is refused: the program may not know what it means.

Built-in is what has an OID below 16384. Users' rows are not looked at, and of built-in rows what belongs to users is
kept: owners, privileges, statistics, storage, and comments.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from aurora.datum import Row
from aurora.errors import InvariantViolation, VolumeTooNew
from compute_node.access.methods import build_index
from compute_node.catalog import bootstrap
from compute_node.catalog.bootstrap import CATALOG_VERSION
from compute_node.catalog.bootstrap_rows import bootstrap_rows
from compute_node.catalog.databases import Databases
from compute_node.catalog.rows import CatalogReader, CatalogRows
from compute_node.hub import HUB
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.schema import (
    FIRST_NORMAL_OID,
    INITIAL,
    INITIAL_DATABASE,
    NAMESPACE_INFORMATION,
    CatalogTable,
    SystemCatalogs,
)
from compute_node.txn.transaction import Txn

if TYPE_CHECKING:
    from compute_node.access.storage import Storage


LOGGER = logging.getLogger(__name__)

_KEPT: dict[str, tuple[str, ...]] = {
    "pg_class": ("relfilenode", "relpages", "reltuples", "relallvisible", "relfrozenxid", "relminmxid", "reloptions"),
    "pg_attribute": ("attstattarget", "attoptions"),
}
"""Columns of built-in rows that a volume has of its own, besides owners and privileges."""
_ADDED_ONLY = frozenset(("pg_description",))
"""Catalogs of which built-in rows may be a user's by now. Shared ones are among them, too."""


@dataclass(slots=True)
class Changes:
    """How many rows were added, changed and removed."""

    added: int = 0
    changed: int = 0
    removed: int = 0


def is_current(databases: Databases) -> bool:
    """Whether the volume's built-in rows are this program's. Raises ``VolumeTooNew``."""
    superblock = databases.storage.superblock
    if superblock.catalog_version > CATALOG_VERSION:
        raise VolumeTooNew(
            f"the volume has catalog version {superblock.catalog_version}, this program knows {CATALOG_VERSION}",
            hint="Start a program at least as new as the last one that had the volume open.",
        )
    return (superblock.catalog_version, superblock.rows_hash) == (CATALOG_VERSION, bootstrap.rows_hash())


def reconcile(databases: Databases) -> Changes:
    """Make the built-in rows of every database this program's. In a greenlet, before the first session."""
    storage = databases.storage
    txn = storage.txns.begin()
    try:
        changes = apply(databases, txn)
        storage.txns.commit(txn)
    finally:
        storage.txns.abort(txn)
    storage.superblock.set_catalog_version(CATALOG_VERSION, bootstrap.rows_hash())
    storage.volume.flush_soon("reconciled")
    LOGGER.info(
        "built-in catalog rows: %d added, %d changed, %d removed", changes.added, changes.changed, changes.removed
    )
    return changes


def apply(databases: Databases, txn: Txn) -> Changes:
    """The rows of every database, in a transaction that the caller ends."""
    expected = bootstrap_rows()
    changes = Changes()
    for catalogs in _open(databases, txn):
        initial = catalogs.database == INITIAL_DATABASE
        _storage(databases.storage, txn, catalogs)
        rows = CatalogRows(databases.storage, txn, catalogs)
        for name, table in catalogs.tables.items():
            if initial or not table.desc.is_shared:
                _rows(rows, name, table, expected[name], changes)
    return changes


def _open(databases: Databases, txn: Txn) -> Iterator[SystemCatalogs]:
    """The catalogs of every database that has been used."""
    yield INITIAL
    for record in CatalogReader(databases.storage).all("pg_database"):
        if record.oid != INITIAL_DATABASE:
            catalogs = databases.extended_catalogs(txn, int(record.oid))
            if catalogs is not None:
                yield catalogs


def _storage(storage: Storage, txn: Txn, catalogs: SystemCatalogs) -> None:
    """Relation files of catalogs and indexes that the program has and the volume has not. A new index of a catalog
    with rows is built."""
    for table in catalogs.tables.values():
        for desc in (table.desc.toast, table.desc):
            if desc is None:
                continue
            if not storage.exists(desc.relfile):
                storage.create_storage(txn, desc.relfile)
            missing = [index for index in desc.indexes if not storage.exists(index.relfile)]
            for index in missing:
                storage.create_storage(txn, index.relfile)
            if missing:
                heap = _without(storage, desc, {index.oid for index in missing})
                for index in missing:
                    build_index(txn, heap, index)


def _without(storage: Storage, desc: RelationDesc, indexes: set[int]) -> Any:
    return storage.table(replace(desc, indexes=tuple(each for each in desc.indexes if each.oid not in indexes)))


def _key(table: CatalogTable) -> tuple[int, ...]:
    """Positions of the columns that identify a row: of the primary key, else of a unique index. All of what
    information_schema says of the standard, which has no index."""
    if table.desc.namespace == NAMESPACE_INFORMATION:
        return tuple(range(len(table.declared)))
    indexes = sorted((index for index in table.desc.indexes if index.unique), key=lambda index: not index.primary)
    return tuple(attno - 1 for attno in indexes[0].columns) if indexes else ()


def _rows(rows: CatalogRows, name: str, table: CatalogTable, expected: list[Row], changes: Changes) -> None:
    key = _key(table)
    if not key:
        if expected:
            raise InvariantViolation(f"{name} has built-in rows and no key")
        return
    wanted = {tuple(row[at] for at in key): row for row in expected}
    kept = {table.position[column] for column in _KEPT.get(name, ())}
    kept |= {at for column, at in table.position.items() if column.endswith(("acl", "owner"))}
    names = [column.name for column in table.desc.columns]
    added_only = table.desc.is_shared or name in _ADDED_ONLY
    unique = {attno - 1 for index in table.desc.indexes if index.unique for attno in index.columns}
    moved: list[Row] = []
    for record in rows.all(name):
        if not _is_builtin(table, record.values):
            continue
        HUB.pulse()
        new = wanted.pop(tuple(record.values[at] for at in key), None)
        if added_only:
            continue
        if new is None:
            rows.delete(name, record)
            changes.removed += 1
            continue
        different = [at for at, value in enumerate(new) if at not in kept and record.values[at] != value]
        if not unique.isdisjoint(different):
            # What it is to be may still be another row's.
            moved.append(tuple(record.values[at] if at in kept else value for at, value in enumerate(new)))
            rows.delete(name, record)
            changes.changed += 1
        elif different:
            rows.update(name, record, **{names[at]: new[at] for at in different})
            changes.changed += 1
    rows.insert_many(name, [*moved, *wanted.values()])
    changes.added += len(wanted)


def _is_builtin(table: CatalogTable, values: Row) -> bool:
    """Whether the row is of an object with an OID below 16384: the first column of every key is one. What
    information_schema says of the standard is all built in."""
    if table.desc.namespace == NAMESPACE_INFORMATION:
        return True
    first = values[_key(table)[0]]
    return isinstance(first, int) and first < FIRST_NORMAL_OID
