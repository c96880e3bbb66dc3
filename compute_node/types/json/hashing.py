"""PostgreSQL's hash of jsonb: the parts in their order, each turned and mixed into what was before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Final

from compute_node.types.json import layout
from compute_node.types.json.layout import ARRAY, NULL, NUMBER, OBJECT, STRING, TRUE
from compute_node.types.json.value import Jsonb, decimal_of
from compute_node.types.long_text import paced

_MASK: Final = 0xFFFFFFFF
_MASK64: Final = 0xFFFFFFFFFFFFFFFF
_IN_ARRAY: Final = 0x40000000
_IN_OBJECT: Final = 0x20000000


def _parts(data: bytes) -> Iterator[bytes]:
    """Containers as they begin, keys as strings, scalars."""
    left: list[Iterator[bytes]] = [iter((data,))]
    while left:
        current = next(left[-1], None)
        if current is None:
            left.pop()
            continue
        yield current
        if current[0] == ARRAY:
            left.append(layout.elements(current))
        elif current[0] == OBJECT:
            left.append(part for key, value in layout.pairs(current) for part in (b"\1" + key, value))


def hash_jsonb(value: Jsonb, text: Callable[[bytes], int], number: Callable[[Decimal], int]) -> int:
    """32 bits, unsigned; ``text`` and ``number`` hash those."""
    data = value.data
    if data[0] >= ARRAY and not layout.count_of(data):
        return 0
    found = 0 if data[0] >= ARRAY else _IN_ARRAY  # a scalar counts as an array of itself
    for part in paced(_parts(data)):
        kind = part[0]
        if kind >= ARRAY:
            found ^= _IN_ARRAY if kind == ARRAY else _IN_OBJECT
            continue
        if kind == STRING:
            own = text(part[1:])
        elif kind == NUMBER:
            own = number(decimal_of(part))
        else:
            own = 1 if kind == NULL else 2 if kind == TRUE else 4
        found = (found << 1 & _MASK | found >> 31) ^ (own & _MASK)
    return found


def hash_jsonb_extended(
    value: Jsonb,
    seed: int,
    text: Callable[[bytes, int], int],
    number: Callable[[Decimal, int], int],
    boolean: Callable[[bool, int], int],
) -> int:
    """64 bits, unsigned."""
    data = value.data
    if data[0] >= ARRAY and not layout.count_of(data):
        return seed & _MASK64
    found = 0 if data[0] >= ARRAY else _IN_ARRAY << 32 | _IN_ARRAY
    for part in paced(_parts(data)):
        kind = part[0]
        if kind >= ARRAY:
            mark = _IN_ARRAY if kind == ARRAY else _IN_OBJECT
            found ^= mark << 32 | mark
            continue
        if kind == STRING:
            own = text(part[1:], seed)
        elif kind == NUMBER:
            own = number(decimal_of(part), seed)
        elif kind == NULL:
            own = seed + 1
        else:
            own = boolean(kind == TRUE, seed) if seed else 2 if kind == TRUE else 4
        high, low = found >> 32, found & _MASK
        found = ((high << 1 & _MASK | high >> 31) << 32 | (low << 1 & _MASK | low >> 31)) ^ (own & _MASK64)
    return found
