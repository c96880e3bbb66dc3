"""The tables of a run: their shapes, and the catalog, itself a table, that says which relation files they have now.

Columns: ``a`` int4, the row's number (unique); ``b`` int4, a value that conflicts; ``c`` text; ``d`` int4. A descriptor
is one object as long as its catalog row is the same, as in production. The relation files of the catalog row's text are
those of the indexes, and behind a semicolon those of the TOAST table and its index.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aurora.datum import Datum, Row
from aurora.ids import Oid, RelFile
from compute_node.relations.descriptors import ColumnDesc, IndexDesc, RelationDesc
from compute_node.relations.schema import NAMESPACE_TOAST, TOAST_COLUMNS, toast_index, toast_name

INT4, TEXT = 23, 25
COLUMNS: Final = (1, 2, 3, 4)
CATALOG_OID, CATALOG_RELFILE, CATALOG_INDEX = 900, 900, 901


def _columns(compression: str = "") -> tuple[ColumnDesc, ...]:
    kinds = zip("abcd", (INT4, INT4, TEXT, INT4), strict=True)
    return tuple(
        ColumnDesc(at, name, kind, -1, False, compression=compression if kind == TEXT else "")
        for at, (name, kind) in enumerate(kinds, 1)
    )


TOAST_OID, TOAST_INDEX_OID = 8, 9
"""Added to a table's OID"""


TEXT_BYTES_MAX: Final = 2000
"""Longer texts have no room in an index."""


@dataclass(frozen=True)
class Shape:
    """``keys``: the columns of each index; those in ``unique`` (positions in ``keys``) are unique ones, those in
    ``hashed`` hash indexes. ``toast``: how the texts of one with a TOAST table are compressed (p, l)."""

    name: str
    keys: tuple[tuple[int, ...], ...]
    unique: tuple[int, ...]
    fillfactor: int = 100
    hashed: tuple[int, ...] = ()
    toast: str = ""

    @property
    def files(self) -> int:
        """How many relation files it has, beside the table's own."""
        return len(self.keys) + (2 if self.toast else 0)

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
    Shape("long", ((1,), (2,)), (0,), toast="p"),
    Shape("longer", ((1,),), (0,), 70, toast="l"),
)
CATALOG_SHAPE: Final = Shape("catalog", ((1,),), (0,))


def index_desc(oid: int, at: int, relfile: int, shape: Shape) -> IndexDesc:
    """The index that is number ``at`` of its shape; from ``len(shape.keys)`` on, one on ``d`` made later."""
    keys = shape.keys[at] if at < len(shape.keys) else (4,)
    method = "hash" if at in shape.hashed else "btree"
    return IndexDesc(
        Oid(oid + 1 + at), RelFile(relfile), f"t{oid}_{at}", keys, at in shape.unique, at == 0, method=method
    )


def describe(
    oid: int, relfile: int, indexes: tuple[int, ...], shape: Shape, toast: tuple[int, ...] = ()
) -> RelationDesc:
    """The descriptor of a table with these relation files."""
    made = tuple(index_desc(oid, at, each, shape) for at, each in enumerate(indexes))
    beside = _toast_desc(oid, *toast) if toast else None
    return RelationDesc(
        Oid(oid), RelFile(relfile), f"t{oid}", "public", 2200, "r", _columns(shape.toast), made,
        fillfactor=shape.fillfactor, toast=beside, database=0,
    )  # fmt: skip


def _toast_desc(oid: int, relfile: int, index: int) -> RelationDesc:
    name = toast_name(oid)
    made = (toast_index(oid + TOAST_INDEX_OID, index, name),)
    return RelationDesc(
        Oid(oid + TOAST_OID), RelFile(relfile), name, "pg_toast", NAMESPACE_TOAST, "t", TOAST_COLUMNS, made, database=0
    )  # fmt: skip


CATALOG_DESC: Final = describe(CATALOG_OID, CATALOG_RELFILE, (CATALOG_INDEX,), CATALOG_SHAPE)


def catalog_row(oid: int, relfile: int, indexes: tuple[int, ...], shape: int, toast: tuple[int, ...] = ()) -> Row:
    """The catalog row of a table."""
    return oid, relfile, ";".join(",".join(map(str, each)) for each in (indexes, toast)), shape


def new_catalog_row(oid: int, shape: int, new_relfile: Callable[[], int]) -> Row:
    """The catalog row of a table with new relation files."""
    made = SHAPES[shape]
    files = tuple(new_relfile() for _ in range(made.files + 1))
    return catalog_row(oid, files[0], files[1 : len(made.keys) + 1], shape, files[len(made.keys) + 1 :])


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
            files, toast = (tuple(int(each) for each in part.split(",") if each) for part in indexes.split(";"))
            known = self._known[row] = (describe(oid, relfile, files, shape, toast), shape)
        return known


def lock_id(oid: int) -> int:
    """What the table is called in the lock table."""
    return CATALOG_DESC.database << 32 | oid


def toast_files(desc: RelationDesc) -> tuple[RelFile, ...]:
    """The relation files of a table's TOAST table and its index; none without one."""
    return () if desc.toast is None else (desc.toast.relfile, desc.toast.indexes[0].relfile)


def relfiles(desc: RelationDesc) -> list[RelFile]:
    """The relation files of a table, its indexes and its TOAST table."""
    return [desc.relfile, *(index.relfile for index in desc.indexes), *toast_files(desc)]


def changed_columns(old: Row, new: Row) -> tuple[int, ...]:
    """Attribute numbers of the columns that differ; ``c`` at least."""
    return tuple(at + 1 for at in range(1, 4) if old[at] != new[at]) or (3,)


def values_of(row: Row, columns: tuple[int, ...]) -> list[Datum]:
    """The values of these columns."""
    return [row[attno - 1] for attno in columns]
