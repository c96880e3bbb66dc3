"""Entries of a GIN index, as leaf items of its B-tree.

::

    column u8 | category u8 | item | row address | width u8 | distances

``item`` is there in category ``ITEM`` alone: its bytes in memcmp order, of a long one its beginning and a hash, escaped
(0 → 0 255) and ended by two zero bytes. The row address is the first one, as in every leaf item: u32 block, u16 slot,
big-endian. An entry of several rows goes on with the distance of each from the one before, little-endian in ``width``
bytes (1, 2, 4 or 8); addresses are counted as ``block << 11 | slot`` there, so that the next block is 2 bytes away.
Entries of one item are in the order of their first addresses; the rows of one may lie between those of another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aurora.errors import IndexCorrupted
from aurora.kernels.python.btree import MAX_ITEM_BYTES, TID_BYTES, next_prefix, pack_tid

ITEM, NULL_ITEM, NO_ITEMS, NULL_VALUE = 0, 1, 2, 3
"""Categories: an item; an item that is NULL; a value without items; NULL."""
SLOT_BITS: Final = 11
ROWS_MAX: Final = 256
"""Rows of one entry."""
ITEM_BYTES_MAX: Final = 1200
"""Bytes of an item as it is kept; doubled by escapes it leaves room for a row address and a distance."""
_HASH_BYTES: Final = 16
_BEGINNING_BYTES: Final = ITEM_BYTES_MAX - _HASH_BYTES
"""Of a long item"""
_SLOTS: Final = (1 << SLOT_BITS) - 1
_END: Final = b"\0\0"
_WIDTHS: Final = {1: "<u1", 2: "<u2", 4: "<u4", 8: "<u8"}
Tids = NDArray[np.int64]
Span = tuple[bytes, bytes | None]
"""Of keys: from the first on, up to the second; None: to the end"""


def shortened(item: bytes) -> bytes:
    """What stands for an item that is longer than ``ITEM_BYTES_MAX``: its beginning and a hash."""
    return item[:_BEGINNING_BYTES] + blake2b(item, digest_size=_HASH_BYTES).digest()


def item_key(column: int, item: bytes) -> bytes:
    """The key of an item."""
    if len(item) > ITEM_BYTES_MAX:
        item = shortened(item)
    return bytes((column, ITEM)) + item.replace(b"\0", b"\0\xff") + _END


def item_prefix(column: int, prefix: bytes) -> bytes:
    """What the keys of all items begin with that begin so; of long items there is the beginning alone."""
    return bytes((column, ITEM)) + prefix[:_BEGINNING_BYTES].replace(b"\0", b"\0\xff")


def item_span(column: int, low: bytes | None, high: bytes | None) -> Span:
    """From where to where the keys of items from ``low`` to ``high`` are, None: from the first, to the last; of long
    ones it may be those of a few others, too."""
    every = category_key(column, ITEM)
    lower = every if low is None else item_prefix(column, low)
    if high is None:
        return lower, next_prefix(every)
    return lower, next_prefix((item_key if len(high) <= _BEGINNING_BYTES else item_prefix)(column, high))


def category_key(column: int, category: int) -> bytes:
    """The key of a category without items."""
    return bytes((column, category))


def key_bytes(entry: bytes) -> int:
    """The length of an entry's key."""
    if entry[1] != ITEM:
        return 2
    end = entry.find(_END, 2)
    if end < 0:
        raise IndexCorrupted("an entry of a GIN index has no end of its item")
    return end + len(_END)


def entries_of(key: bytes, tids: Tids) -> Iterator[bytes]:
    """The entries of an item whose rows are ``tids``: in order, each once."""
    count = len(tids)
    if count == 1:
        yield key + pack_tid(int(tids[0]))
        return
    places = tids >> 16 << SLOT_BITS | tids & _SLOTS
    most = min(ROWS_MAX, 1 + (MAX_ITEM_BYTES - len(key) - TID_BYTES - 1) // 8)
    for start in range(0, count, most):
        head = key + pack_tid(int(tids[start]))
        distances = np.diff(places[start : start + most])
        if not len(distances):
            yield head
            continue
        longest = int(distances.max())
        width = 1 if longest < 1 << 8 else 2 if longest < 1 << 16 else 4 if longest < 1 << 32 else 8
        yield head + bytes((width,)) + distances.astype(_WIDTHS[width]).tobytes()


def first_tid(entry: bytes, end: int) -> int:
    """The first row address of an entry whose key has ``end`` bytes."""
    return int.from_bytes(entry[end : end + TID_BYTES], "big")


def tids_of(entry: bytes, end: int) -> Tids:
    """All row addresses, in order."""
    at = end + TID_BYTES
    first = first_tid(entry, end)
    if at == len(entry):
        return np.array((first,), dtype=np.int64)
    width = _WIDTHS.get(entry[at])
    if width is None or (len(entry) - at - 1) % entry[at]:
        raise IndexCorrupted("an entry of a GIN index has no distances of a known width")
    places = np.empty(1 + (len(entry) - at - 1) // entry[at], dtype=np.int64)
    places[0] = first >> 16 << SLOT_BITS | first & _SLOTS
    places[1:] = np.frombuffer(entry, dtype=width, offset=at + 1)
    np.cumsum(places, out=places)
    return places >> SLOT_BITS << 16 | places & _SLOTS


def gathered(entries: Iterable[bytes]) -> Tids:
    """The row addresses of entries, whatever their keys: in order, each once."""
    single: list[int] = []
    several: list[Tids] = []
    for entry in entries:
        end = key_bytes(entry)
        if len(entry) == end + TID_BYTES:
            single.append(first_tid(entry, end))
        else:
            several.append(tids_of(entry, end))
    several.append(np.array(single, dtype=np.int64))
    return np.unique(np.concatenate(several))


def compacted(entries: Sequence[bytes]) -> list[bytes]:
    """The same rows in as few entries; ``entries`` are in order."""
    found: list[bytes] = []
    at = 0
    while at < len(entries):
        end = key_bytes(entries[at])
        key = entries[at][:end]
        start = at
        at += 1
        while at < len(entries) and entries[at].startswith(key):
            at += 1
        if at - start == 1:
            found.append(entries[start])
        else:
            found += entries_of(key, gathered(entries[start:at]))
    return found


def without(entries: Sequence[bytes], is_dead: Callable[[int], bool]) -> tuple[list[bytes], int]:
    """(the entries without the rows that are dead, how many these are)."""
    kept: list[bytes] = []
    removed = 0
    for entry in entries:
        end = key_bytes(entry)
        if len(entry) == end + TID_BYTES:
            if is_dead(first_tid(entry, end)):
                removed += 1
            else:
                kept.append(entry)
            continue
        tids = tids_of(entry, end)
        alive = [tid for tid in tids.tolist() if not is_dead(tid)]
        if len(alive) == len(tids):
            kept.append(entry)
            continue
        removed += len(tids) - len(alive)
        if alive:
            kept += entries_of(entry[:end], np.array(alive, dtype=np.int64))
    return kept, removed
