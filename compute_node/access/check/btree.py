"""B-trees: each level's pages by their right links, the order of keys in and between them, a downlink to each page."""

from __future__ import annotations

import struct
from abc import abstractmethod
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from aurora.datum import Datum
from aurora.kernels.python.btree import (
    DELETED,
    INCOMPLETE_SPLIT,
    META_MAGIC,
    META_ROOT,
    OFF_LEVEL,
    OFF_RIGHT,
    TID_BYTES,
)
from aurora.page import HEADER_BYTES, OFF_FLAGS, OFF_KIND, OFF_LOWER, OFF_RELFILE, PageKind
from compute_node.access.btree.index import BTreeIndex
from compute_node.access.check.findings import NONSENSE, IndexCheck, page_of
from compute_node.hub import HUB

if TYPE_CHECKING:
    from compute_node.access.index_access import IndexAccess
    from compute_node.work.account import Area

Found = tuple[str, str]
"""(place, what is wrong)"""
Child = tuple[bytes, int]
"""(separator, block)"""


class _Page:
    """One page, taken apart; ValueError when it makes no sense."""

    __slots__ = ("flags", "high", "items", "level", "right")

    def __init__(self, page: bytes, relfile: int) -> None:
        if page[OFF_KIND] != PageKind.BTREE:
            raise ValueError(f"page is of kind {page[OFF_KIND]}, not a B-tree page")
        owner = int.from_bytes(page[OFF_RELFILE:HEADER_BYTES], "little")
        if owner != relfile:
            raise ValueError(f"page belongs to relation file {owner}")
        lower, upper = struct.unpack_from("<HH", page, OFF_LOWER)
        if not HEADER_BYTES < lower <= upper <= OFF_RIGHT or (lower - HEADER_BYTES) % 4:
            raise ValueError(f"bounds {lower} and {upper} of the page make no sense")
        lines = [struct.unpack_from("<HH", page, at) for at in range(HEADER_BYTES, lower, 4)]
        if any(offset + length > OFF_RIGHT or (length and offset < upper) for offset, length in lines):
            raise ValueError("a line pointer leads outside of the page's items")
        self.high, *self.items = [page[offset : offset + length] for offset, length in lines]
        self.flags = page[OFF_FLAGS]
        self.right = int(struct.unpack_from("<I", page, OFF_RIGHT)[0])
        self.level = int(struct.unpack_from("<H", page, OFF_LEVEL)[0])


class _Unreadable(Exception):
    """A page that the walk cannot go on from."""

    def __init__(self, block: int, text: str) -> None:
        super().__init__(text)
        self.block = block


class TreeCheck(IndexCheck):
    """The walk through a tree of B-tree pages, whatever its leaves' items are. Writers may split pages meanwhile: a
    page without a downlink is looked for once more in the level above before it is a fault."""

    def __init__(self, index: IndexAccess, area: Area) -> None:
        super().__init__(area)
        self._file = index.file
        self._cache = index.table.storage.cache

    @abstractmethod
    def rows_of(self, items: Sequence[bytes]) -> Iterable[tuple[bytes, int]]:
        """The entries of a leaf's items with their rows' addresses. Errors: ``NONSENSE``."""

    def walk(self) -> Iterator[Found]:
        """See ``IndexCheck``: from the root down."""
        meta = page_of(self._cache, self._file, 0)
        root = int(struct.unpack_from("<I", meta, META_ROOT)[0])
        if meta[OFF_KIND] != PageKind.BTREE or meta[META_ROOT + 4 : META_ROOT + 4 + len(META_MAGIC)] != META_MAGIC:
            yield "block 0", "is not a B-tree's meta page"
            return
        above, expected = 0, -1
        children: list[Child] | None = [(b"", root)]
        while children:
            try:
                level, following = yield from self._level(children, expected, above)
            except _Unreadable as error:
                yield f"block {error.block}", str(error)
                return
            above, expected, children = children[0][1], level - 1, following

    def _page(self, block: int) -> _Page:
        if block >= self._file.map.blocks:
            raise _Unreadable(block, "a link leads there, beyond the index")
        try:
            return _Page(page_of(self._cache, self._file, block), self._file.relfile)
        except ValueError as error:
            raise _Unreadable(block, str(error)) from error

    def _along(self, block: int) -> Iterator[tuple[int, _Page]]:
        """The pages of a level from one on, by right links; deleted ones are passed over."""
        seen: set[int] = set()
        while block:
            HUB.pulse()
            if block in seen:
                raise _Unreadable(block, "the right links of its level lead there twice")
            seen.add(block)
            page = self._page(block)
            if not page.flags & DELETED:
                yield block, page
            block = page.right

    def _level(
        self, children: Sequence[Child], expected: int, above: int
    ) -> Generator[Found, None, tuple[int, list[Child]]]:
        """The pages of a level, whose downlinks are ``children`` (of the level that begins at ``above``, 0: of none);
        gives its number, and the downlinks in it."""
        following: list[Child] = []
        unlinked: list[int] = []
        at, low, level, was_split = 0, b"", expected, False
        for block, page in self._along(children[0][1]):
            if level < 0:
                level = page.level
            yield from self._order(block, page, low, level)
            if at < len(children) and children[at][1] == block:
                if children[at][0] > low or (at and children[at][0] < low and not was_split):
                    yield f"block {block}", "its downlink is not the high key of the page to its left"
                at += 1
            elif not was_split:
                unlinked.append(block)
            low, was_split = page.high, bool(page.flags & INCOMPLETE_SPLIT)
            if page.level:
                following += [(item[:-4], int.from_bytes(item[-4:], "little")) for item in page.items]
            else:
                try:
                    self.keep(list(self.rows_of(page.items)))
                except NONSENSE as error:
                    yield f"block {block}", f"has an item that makes no sense: {error}"
        if at < len(children):
            yield f"block {children[at][1]}", "the right links of its level do not lead there"
        if unlinked and above:
            linked = {int.from_bytes(item[-4:], "little") for _, page in self._along(above) for item in page.items}
            yield from ((f"block {block}", "has no downlink") for block in unlinked if block not in linked)
        return level, following

    def is_below(self, item: bytes, low: bytes) -> bool:
        """Whether a leaf's item does not belong on a page whose items begin at ``low``."""
        return item < low

    def _order(self, block: int, page: _Page, low: bytes, level: int) -> Iterator[Found]:
        items = [item[:-4] for item in page.items] if page.level else page.items
        if page.level != level:
            yield f"block {block}", f"is of level {page.level} among pages of level {level}"
        if any(one >= other for one, other in pairwise(items)):
            yield f"block {block}", "items are not in order"
        if items and page.high and items[-1] >= page.high:
            yield f"block {block}", "its last item is not below its high key"
        if items and items[0] and (items[0] < low if page.level else self.is_below(items[0], low)):
            yield f"block {block}", "its first item is below the high key of the page to its left"
        if page.high and page.high <= low:
            yield f"block {block}", "its high key is not above that of the page to its left"


class BTreeCheck(TreeCheck):
    """See ``TreeCheck``: an item is a key with the row's address."""

    def __init__(self, index: BTreeIndex, area: Area) -> None:
        super().__init__(index, area)
        self._index = index
        self._nulls_equal = index.desc.nulls_not_distinct

    def of_row(self, values: Sequence[Datum], tid: int) -> tuple[Sequence[bytes], bytes]:
        """See ``IndexCheck``: the leaf's item, and that without the address."""
        key = self._index.keys.of(values)
        if key is None:
            return (), b""
        item = self._index.codec.item(key, tid)
        return (item,), item[:-TID_BYTES] if self._nulls_equal or None not in key else b""

    def rows_of(self, items: Sequence[bytes]) -> Iterable[tuple[bytes, int]]:
        """See ``TreeCheck``."""
        return [(item, int.from_bytes(item[-TID_BYTES:], "big")) for item in items]
