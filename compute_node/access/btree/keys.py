"""From an index descriptor to the codec of its key columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aurora.datum import Datum
from aurora.errors import UndefinedObject
from aurora.kernels import btree as btree_kernel
from compute_node.relations.descriptors import IndexDesc, RelationDesc
from compute_node.types.registry import PgType

if TYPE_CHECKING:
    from aurora.kernels.python.btree import KeyCodec


_NATIVE = "hiqI"
_FIXED_KEYS = "?fdcI"


def key_codec(index: IndexDesc, desc: RelationDesc, type_lookup: Callable[[int], PgType]) -> KeyCodec:
    """The codec of an index's key columns. Errors: 42704 for a type without B-tree order."""
    kinds: list[str] = []
    sort_keys: list[Callable[[Datum], bytes] | None] = []
    for position, attno in enumerate(index.columns):
        oid = index.key_types[position] if index.key_types else desc.columns[attno - 1].type
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
