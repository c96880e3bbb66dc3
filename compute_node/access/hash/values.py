"""The hash of a value: 32 bits that stay the same for ever, for they are stored.

Values that are equal by an operator of the hash family have equal hashes, across the types of the family: integers of
all widths by their value, floats as float8, all others by the bytes that order them (``PgType.sort_key``), which are
equal where the values are.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

from aurora.datum import Datum
from aurora.errors import UndefinedObject
from compute_node.types.registry import PgType

_INTEGERS = "hiqI"


def _hash_bytes(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=4).digest(), "big")


def _hash_integer(value: int) -> int:
    return _hash_bytes(value.to_bytes(9, "big", signed=True))


def value_hash(kind: PgType) -> Callable[[Datum], int]:
    """The hash function of a type. Errors: 42704 for a type without one."""
    if kind.disk in _INTEGERS and kind.sort_value is None:
        return _hash_integer
    key = kind.sort_key
    if key is None:
        raise UndefinedObject(
            f'data type {kind.formatted_name or kind.name} has no default operator class for access method "hash"',
            hint="You must specify an operator class for the index or define a default operator class "
            "for the data type.",
        )
    sort_key = key
    return lambda value: _hash_bytes(sort_key(value))
