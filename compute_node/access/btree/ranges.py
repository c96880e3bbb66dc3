"""Scan keys → the half-open range of key bytes that holds their entries.

Equality on leading columns gives a prefix; what is left are bounds on the column behind it: comparisons, IS NOT NULL,
or
a comparison of rows. A comparison of rows gives a range that may hold a little more than its rows (NULLs, columns of
another direction); the executor checks it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aurora.datum import Datum
from aurora.errors import InvariantViolation
from aurora.kernels.python.btree import next_prefix
from compute_node.access.index_access import ScanKey
from compute_node.relations.access_methods import IS_NULL, NOT_NULL

if TYPE_CHECKING:
    from aurora.kernels.python.btree import KeyCodec


LESS, LESS_EQUAL, EQUAL, GREATER_EQUAL, GREATER = 1, 2, 3, 4, 5
_INTEGER_LIMITS = {
    "h": (-(1 << 15), 1 << 15),
    "i": (-(1 << 31), 1 << 31),
    "q": (-(1 << 63), 1 << 63),
    "I": (0, 1 << 32),
}
Range = tuple[bytes, bytes | None]
"""lower ≤ item < upper; None is no bound"""


def byte_range(codec: KeyCodec, keys: Sequence[ScanKey]) -> Range | None:
    """The range of the keys, which are sorted by column; None when nothing can meet them."""
    prefix, column, rest = _prefix(codec, keys)
    if prefix is None:
        return None
    if not rest:
        return prefix, next_prefix(prefix)
    low, high = prefix + b"\1", prefix + b"\2"
    for key in rest:
        if key.column != column:
            raise InvariantViolation(f"scan key on column {key.column} behind a range on column {column}")
        if key.strategy == NOT_NULL:
            continue
        edge = _edge(codec, prefix, key)
        if edge is None:
            return None
        value, is_lower = edge
        if is_lower:
            low = max(low, value)
        else:
            high = min(high, value)
    return (low, high) if low < high else None


def _prefix(codec: KeyCodec, keys: Sequence[ScanKey]) -> tuple[bytes | None, int, list[ScanKey]]:
    """The bytes of the columns known exactly, how many they are, and the keys that are left; None: nothing matches."""
    parts: list[bytes] = []
    for at, key in enumerate(keys):
        exact = key.strategy in (EQUAL, IS_NULL) and key.width == 1
        if not exact or key.column != len(parts):
            return b"".join(parts), len(parts), list(keys[at:])
        if key.strategy == EQUAL and key.value is None:
            return None, 0, []
        try:
            parts.append(codec.column(key.column, key.value))
        except OverflowError:
            return None, 0, []
    return b"".join(parts), len(parts), []


def _edge(codec: KeyCodec, prefix: bytes, key: ScanKey) -> tuple[bytes, bool] | None:
    """(the key bytes that bound the range, whether from below); None when nothing can match."""
    values = key.value if key.width > 1 else (key.value,)
    descending = codec.descending[key.column]
    inclusive = key.strategy in (LESS_EQUAL, GREATER_EQUAL)
    is_lower = (key.strategy in (GREATER, GREATER_EQUAL)) != descending
    data = prefix
    for offset, value in enumerate(values):
        column = key.column + offset
        if codec.descending[column] != descending:
            # From here on the columns run the other way: the ones before decide, and their equals stay in.
            inclusive = True
            break
        if value is None:
            if not offset:
                return None
            inclusive = True
            break
        fitted, inclusive = _clamp(codec, column, value, inclusive, key.strategy in (GREATER, GREATER_EQUAL))
        data += codec.column(column, fitted)
        if fitted != value:
            break
    # A lower bound starts at the key's first entry or behind its last one; an upper bound ends likewise.
    edge = data if is_lower == inclusive else next_prefix(data)
    return None if edge is None else (edge, is_lower)


def _clamp(codec: KeyCodec, column: int, value: Datum, inclusive: bool, is_greater: bool) -> tuple[Datum, bool]:
    """An integer bound outside the column's type becomes the type's limit, included or not as that makes no
    difference."""
    limits = _INTEGER_LIMITS.get(codec.kinds[column])
    if limits is None or limits[0] <= value < limits[1]:
        return value, inclusive
    return (limits[0], is_greater) if value < limits[0] else (limits[1] - 1, not is_greater)
