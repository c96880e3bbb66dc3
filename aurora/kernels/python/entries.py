"""Index entries in runs: many leaf items gathered and sorted, for a tree that is being built or grows by them.

```
KeyCodec.gather ─► items in the order of their coming ─ sort ─► items in key order ─► BTree.insert_run, leaf_page …
```
What an item is, is told in ``aurora.kernels.python.btree``.
"""

from __future__ import annotations

from collections.abc import Iterable

TID_BYTES = 6
ITEM_MAX = 2704
"""Bytes of the longest item that a tree takes; of a longer one a run keeps the beginning."""
ENTRY_BYTES = 18
"""What an entry of a run takes beside its bytes."""


class EntryRun:
    """Leaf items of one index, and of each whether its key has a NULL. ``sort`` runs without the interpreter's lock;
    nothing else may be done with the run meanwhile."""

    def __init__(self) -> None:
        self._entries: list[tuple[bytes, bool]] = []
        self.bytes = 0
        """memory that the entries take"""
        self.too_long = 0
        """bytes of the first item that is longer than ``ITEM_MAX``; 0: none is"""

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, items: Iterable[bytes], has_null: bool) -> None:
        """More items."""
        for item in items:
            self.too_long = self.too_long or (len(item) if len(item) > ITEM_MAX else 0)
            kept = item[:ITEM_MAX]
            self._entries.append((kept, has_null))
            self.bytes += len(kept) + ENTRY_BYTES

    def sort(self) -> None:
        """Put the items into key order."""
        self._entries.sort()

    def items(self, start: int, end: int) -> list[bytes]:
        """The items from ``start`` to before ``end``."""
        return [item for item, _ in self._entries[start:end]]

    def has_null(self, at: int) -> bool:
        """Whether the key of the item there has a NULL."""
        return self._entries[at][1]

    def equal_key(self, start: int, nulls: bool) -> int:
        """Of a sorted run: the first place from ``start`` on (at least 1) whose key is that of the item before it, keys
        with a NULL left out without ``nulls``; -1 without one."""
        for at in range(max(start, 1), len(self._entries)):
            item, has_null = self._entries[at]
            if self._entries[at - 1][0][:-TID_BYTES] == item[:-TID_BYTES] and (nulls or not has_null):
                return at
        return -1

    def clear(self) -> None:
        """No items any more."""
        self._entries.clear()
        self.bytes = self.too_long = 0
