"""The tables of a run: their shapes, and the catalog, itself a table, that says which relation files they have now.

Columns: ``a`` int4, the row's number (unique); ``b`` int4, a value that conflicts; ``c`` text; ``d`` int4. A descriptor
is one object as long as its catalog row is the same, as in production.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from aurora.sim.compute.model import Row
from compute_node.relations.descriptors import ColumnDesc, IndexDesc, RelationDesc

INT4, TEXT = 23, 25
COLUMNS: Final = (1, 2, 3, 4)
CATALOG_OID, CATALOG_RELFILE, CATALOG_INDEX = 900, 900, 901
_COLUMNS = tuple(
    ColumnDesc(at + 1, name, kind, -1, False) for at, (name, kind) in enumerate(zip("abcd", (INT4, INT4, TEXT, INT4)))
)


TEXT_BYTES_MAX: Final = 2000
"""Longer texts have no room in an index."""


@dataclass(frozen=True)
class Shape:
    """``keys``: the columns of each index; those in ``unique`` (positions in ``keys``) are unique ones, those in
    ``hashed`` hash indexes."""

    name: str
    keys: tuple[tuple[int, ...], ...]
    unique: tuple[int, ...]
    fillfactor: int = 100
    hashed: tuple[int, ...] = ()

    @property
    def unique_columns(self) -> tuple[int, ...]:
        """Positions of the columns with a unique index of their own."""
        return tuple(self.keys[at][0] - 1 for at in self.unique)


SHAPES: Final = (
    Shape("plain", ((1,), (2,), (4, 1)), (0,)),
    Shape("keyed", ((1,), (2,)), (0, 1), 80),
    Shape("narrow", ((1,),), (0,)),
    Shape("hashed", ((1,), (2,), (4,)), (0,), hashed=(1, 2)),
    Shape("texts", ((1,), (3,)), (0,)),
)
CATALOG_SHAPE: Final = Shape("catalog", ((1,),), (0,))


def index_desc(oid: int, at: int, relfile: int, shape: Shape) -> IndexDesc:
    """The index that is number ``at`` of its shape; from ``len(shape.keys)`` on, one on ``d`` made later."""
    keys = shape.keys[at] if at < len(shape.keys) else (4,)
    method = "hash" if at in shape.hashed else "btree"
    return IndexDesc(oid + 1 + at, relfile, f"t{oid}_{at}", keys, at in shape.unique, at == 0, method=method)


def describe(oid: int, relfile: int, indexes: tuple[int, ...], shape: Shape) -> RelationDesc:
    """The descriptor of a table with these relation files."""
    made = tuple(index_desc(oid, at, each, shape) for at, each in enumerate(indexes))
    return RelationDesc(
        oid, relfile, f"t{oid}", "public", 2200, "r", _COLUMNS, made, fillfactor=shape.fillfactor, database=0
    )  # fmt: skip


CATALOG_DESC: Final = describe(CATALOG_OID, CATALOG_RELFILE, (CATALOG_INDEX,), CATALOG_SHAPE)


def catalog_row(oid: int, relfile: int, indexes: tuple[int, ...], shape: int) -> Row:
    """The catalog row of a table."""
    return oid, relfile, ",".join(map(str, indexes)), shape


class Descriptors:
    """Catalog row → descriptor."""

    def __init__(self) -> None:
        self._known: dict[Row, tuple[RelationDesc, Shape]] = {}

    def of(self, row: Row) -> tuple[RelationDesc, Shape]:
        """The descriptor and shape that a catalog row stands for."""
        known = self._known.get(row)
        if known is None:
            oid, relfile, indexes, shape = row
            shape = SHAPES[shape]
            files = tuple(int(each) for each in indexes.split(","))
            known = self._known[row] = (describe(oid, relfile, files, shape), shape)
        return known


def lock_id(oid: int) -> int:
    """What the table is called in the lock table."""
    return CATALOG_DESC.database << 32 | oid


def relfiles(desc: RelationDesc) -> list[int]:
    """The relation files of a table and its indexes."""
    return [desc.relfile, *(index.relfile for index in desc.indexes)]


def changed_columns(old: Row, new: Row) -> tuple[int, ...]:
    """Attribute numbers of the columns that differ; ``c`` at least."""
    return tuple(at + 1 for at in range(1, 4) if old[at] != new[at]) or (3,)


def values_of(row: Row, columns: tuple[int, ...]) -> list[Any]:
    """The values of these columns."""
    return [row[attno - 1] for attno in columns]
