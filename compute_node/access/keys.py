"""From catalog descriptors to codecs: row codecs of tables, key codecs of indexes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aurora.errors import NotSupported, UndefinedObject
from aurora.kernels import btree as btree_kernel
from aurora.kernels import tuples as tuples_kernel
from compute_node.relations.descriptors import IndexDesc, RelationDesc
from compute_node.types.registry import PgType

IMAGE_BYTES_MAX = 2038
"""A longer tuple image is for TOAST: PostgreSQL's 2032 bytes, eight more in the header, two fewer before a long
value."""
_NATIVE = "hiqI"
_FIXED_KEYS = "?fdcI"


def row_codec(desc: RelationDesc, type_lookup: Callable[[int], PgType]) -> Any:
    """The codec of a relation's rows. A dropped column's descriptor must still name its type."""
    types = [type_lookup(column.type) for column in desc.columns]
    missing = [column.missing if column.has_missing else None for column in desc.columns]
    limit = 0 if desc.toast is None else IMAGE_BYTES_MAX
    return tuples_kernel.RowCodec(
        "".join(each.disk for each in types),
        [each.to_disk for each in types],
        [each.from_disk for each in types],
        missing,
        limit,
    )


def key_codec(index: IndexDesc, desc: RelationDesc, type_lookup: Callable[[int], PgType]) -> Any:
    """The codec of an index's key columns. Errors: 42704 for a type without B-tree order, 0A000 for expressions."""
    if index.method != "btree":
        raise NotSupported(f'access method "{index.method}" is not supported')
    kinds: list[str] = []
    sort_keys: list[Callable[[Any], bytes] | None] = []
    for position, attno in enumerate(index.columns):
        if index.key_types:
            oid = index.key_types[position]
        elif attno > 0:
            oid = desc.columns[attno - 1].type
        else:
            raise NotSupported("indexes on expressions are not supported")
        item = type_lookup(oid)
        if item.disk in _NATIVE and item.sort_value is None:
            kinds.append(item.disk)
            sort_keys.append(None)
            continue
        if item.sort_key is None:
            raise UndefinedObject(
                f'data type {item.formatted_name or item.name} has no default operator class for access method "btree"',
                hint="You must specify an operator class for the index or define a default operator class "
                "for the data type.",
            )
        kinds.append("F" if item.disk in _FIXED_KEYS else "V")
        sort_keys.append(item.sort_key)
    n = len(index.columns)
    descending = index.descending or (False,) * n
    return btree_kernel.KeyCodec("".join(kinds), sort_keys, descending, index.nulls_first or descending)
