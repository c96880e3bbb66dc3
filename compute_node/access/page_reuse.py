"""New pages of an index: pages that have left it long ago are used again.

A page that has left a tree is offered in the index's space map. It is taken once the LSN of its removal is at or below
the row horizon: then nobody, on a reader instance either, can be on the way to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from compute_node.access import free_space

if TYPE_CHECKING:
    from compute_node.access.extents import RelationFile
    from compute_node.access.storage import Storage


def find_deleted(storage: Storage, file: RelationFile, is_deleted: Callable[[memoryview], bool]) -> None:
    """Have the blocks in memory whose pages have left the index. May wait."""
    free_space.load(storage, file, lambda page: free_space.WHOLE_BLOCK if is_deleted(page) else 0)


def take_block(storage: Storage, file: RelationFile, is_deleted: Callable[[memoryview], bool]) -> int:
    """A block for a new page: one whose page has left the index long ago, or a fresh one. May wait."""
    if not file.free.loaded:
        find_deleted(storage, file, is_deleted)
    block: int = file.free.take(0, file.fresh)
    if block < 0:
        return int(storage.extents.new_block(file))
    try:
        frame = storage.cache.get(file.map.page_no(block))
    except BaseException:
        file.free.put(block, free_space.WHOLE_BLOCK)
        raise
    arena = storage.cache.arena
    was_deleted = is_deleted(arena.page(frame))
    if was_deleted and arena.page_lsn(frame) <= storage.row_horizon():
        storage.txns.removed(arena.page_lsn(frame))
        return block
    if was_deleted:
        file.free.put(block, free_space.WHOLE_BLOCK)
    return int(storage.extents.new_block(file))
