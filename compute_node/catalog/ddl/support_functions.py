"""What the support functions of B-tree and hash operator classes must take and give (PostgreSQL manual, 38.16.3)."""

from __future__ import annotations

from aurora.errors import InvalidObjectDefinition
from compute_node.relations.schema import BTREE_AM
from compute_node.types import oids
from compute_node.types.registry import Function

_HASH_AM = 405
_OPTIONS = {BTREE_AM: 5, _HASH_AM: 3, 783: 10, 2742: 7, 3580: 5, 4000: 6}
"""which support function of an access method parses the options of operator classes"""
_COUNTS = {1: "one argument", 2: "two arguments", 5: "five arguments"}
_SHAPES = {
    (BTREE_AM, 1): ("btree comparison functions", 2, oids.INT4, "integer"),
    (BTREE_AM, 3): ("btree in_range functions", 5, oids.BOOL, "boolean"),
    (BTREE_AM, 4): ("btree equal image functions", 1, oids.BOOL, "boolean"),
    (_HASH_AM, 1): ("hash function 1", 1, oids.INT4, "integer"),
    (_HASH_AM, 2): ("hash function 2", 2, oids.INT8, "bigint"),
}
"""(access method, number) → what messages call it, how many arguments, which result"""


def check_support(function: Function, number: int, method: int, kind: int, types: tuple[int, int]) -> None:
    """42P17. ``kind``: the operator class's type, 0 in ALTER OPERATOR FAMILY; ``types``: those that are written."""
    if number == _OPTIONS[method]:
        _check_options(function, kind, types)
        return
    if (method, number) == (BTREE_AM, 2):
        if function.arguments != (oids.INTERNAL,):
            raise InvalidObjectDefinition('btree sort support functions must accept type "internal"')
        if function.result != oids.VOID:
            raise InvalidObjectDefinition("btree sort support functions must return void")
    shape = _SHAPES.get((method, number))
    if shape is None:
        return
    what, count, result, name = shape
    if len(function.arguments) != count:
        raise InvalidObjectDefinition(f"{what} must have {_COUNTS[count]}")
    if function.result != result:
        raise InvalidObjectDefinition(f"{what} must return {name}")
    if (method, number) == (BTREE_AM, 4) and types[0] != types[1]:
        raise InvalidObjectDefinition("btree equal image functions must not be cross-type")


def _check_options(function: Function, kind: int, types: tuple[int, int]) -> None:
    what = "associated data types for operator class options parsing functions must match"
    if kind and types != (kind, kind):
        raise InvalidObjectDefinition(f"{what} opclass input type")
    if types[0] != types[1]:
        raise InvalidObjectDefinition(f"left and right {what}")
    if function.result != oids.VOID or function.arguments != (oids.INTERNAL,):
        raise InvalidObjectDefinition(
            "invalid operator class options parsing function",
            hint="Valid signature of operator class options parsing function is (internal) RETURNS void.",
        )
