"""Foreign keys of a relation: rows of pg_constraint → ``ForeignKeyDesc``.

A relation with foreign keys, or whose keys are named by some, has ``relhastriggers``; which they are is found by its
rows in pg_trigger, the only catalog that knows them by either table.
"""

from __future__ import annotations

from compute_node.catalog.rows import CatalogReader, Record
from compute_node.relations.descriptors import ForeignKeyDesc


def foreign_key(row: Record) -> ForeignKeyDesc:
    """The descriptor of one pg_constraint row of contype f."""
    return ForeignKeyDesc(
        oid=row.oid,
        parent=row.conparentid,
        name=row.conname,
        table=row.conrelid,
        columns=tuple(row.conkey),
        referenced=row.confrelid,
        referenced_columns=tuple(row.confkey),
        index=row.conindid,
        match_full=row.confmatchtype == "f",
        on_update=row.confupdtype,
        on_delete=row.confdeltype,
        set_columns=tuple(row.confdelsetcols or ()),
        deferrable=row.condeferrable,
        deferred=row.condeferred,
        validated=row.convalidated,
        operators=tuple(row.conpfeqop),
        referenced_operators=tuple(row.conppeqop),
        referencing_operators=tuple(row.conffeqop),
    )


def foreign_keys_of(
    reader: CatalogReader, relation: int
) -> tuple[tuple[ForeignKeyDesc, ...], tuple[ForeignKeyDesc, ...]]:
    """(the relation's own, those that refer to it), each in the order of their triggers' names."""
    triggers = sorted(reader.find("pg_trigger", tgrelid=relation), key=lambda each: str(each.tgname))
    found: dict[int, ForeignKeyDesc] = {}
    for oid in dict.fromkeys(each.tgconstraint for each in triggers if each.tgconstraint):
        row = reader.one("pg_constraint", oid=oid)
        if row is not None and row.contype == "f":
            found[oid] = foreign_key(row)
    own = tuple(key for key in found.values() if key.table == relation)
    return own, tuple(key for key in found.values() if key.referenced == relation)


def parts_of(reader: CatalogReader, oid: int) -> list[int]:
    """The constraints that are parts of one, for partitions, on all levels."""
    found = [oid]
    for each in found:
        found += [row.oid for row in reader.find("pg_constraint", conparentid=each)]
    return found[1:]
