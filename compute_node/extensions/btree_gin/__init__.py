"""btree_gin: operator classes of GIN with a B-tree's operators (manual, F.8).

A value is its own and only item: bytes that a B-tree orders by (``PgType.sort_key``). A comparison is a span of items.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aurora.datum import Datum
from aurora.errors import InvariantViolation
from compute_node.access.gin.classes import GIN_CLASSES, GinClass
from compute_node.access.gin.search import Between, Item, Search
from compute_node.extensions.library import CLASS_CODES, define, supports
from compute_node.sql.planner.item_counts import COUNTS
from compute_node.types.registry import PgType

CODE: Final = 110
"""Of ``IndexDesc.codes``"""
_EQUAL: Final = 3
_SPAN_ITEMS: Final = 100
"""What the planner takes for the items of a span"""
_KINDS: Final = (
    "int2", "int4", "int8", "float4", "float8", "money", "oid", "timestamp", "timestamptz", "time", "timetz", "date",
    "interval", "macaddr", "inet", "cidr", "text", "char", "bytea", "bit", "varbit", "numeric", "macaddr8", "anyenum",
    "uuid", "name", "bool", "bpchar",
)  # fmt: skip


def _class(kind: PgType) -> GinClass:
    order = kind.sort_key
    if order is None:
        raise InvariantViolation(f"type {kind.name} has no order of bytes")
    encode = order

    def search(strategy: int, value: Datum) -> Search:
        data = encode(value)
        if strategy == _EQUAL:
            return Item(data)
        return Between(None, data) if strategy < _EQUAL else Between(data, None)

    return GinClass(lambda value: (value,), encode, search)


def _count(strategy: int, value: Datum) -> int:
    return 1 if strategy == _EQUAL else _SPAN_ITEMS


def _order(one: Datum, other: Datum) -> int:
    return int(one > other) - int(one < other)


def _compare(types: tuple[PgType, ...], result: PgType) -> Callable[..., Datum]:
    """The order of an enum, or of numbers."""
    key = types[0].sort_key
    if key is None:
        raise InvariantViolation(f"type {types[0].name} has no order of bytes")
    to_bytes = key
    return lambda one, other: _order(to_bytes(one), to_bytes(other))


GIN_CLASSES[CODE] = _class
COUNTS[CODE] = _count
for _kind in _KINDS:
    CLASS_CODES[f"gin_extract_value_{_kind}"] = CODE
    supports(f"gin_extract_value_{_kind} 2 gin_extract_query_{_kind} 5 gin_compare_prefix_{_kind} 4")
supports("gin_btree_consistent 6")
for _symbol in ("gin_numeric_cmp", "gin_enum_cmp"):
    define(_symbol, 2, _order, specialize=_compare)
