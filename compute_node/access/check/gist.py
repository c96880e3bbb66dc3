"""GiST and SP-GiST indexes: each key lies within the key above it, each row is on a leaf."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from aurora.datum import Datum
from aurora.errors import InvariantViolation
from compute_node.access.check.findings import NONSENSE, IndexCheck
from compute_node.access.gist.index import GistIndex
from compute_node.access.gist.pages import ROOT
from compute_node.hub import HUB

if TYPE_CHECKING:
    from compute_node.access.gist.keys import Keys
    from compute_node.access.gist.tree import Node
    from compute_node.work.account import Area


class GistCheck(IndexCheck):
    """See ``IndexCheck``. An entry is known by its key's bytes and its row's address."""

    def __init__(self, index: GistIndex, area: Area) -> None:
        super().__init__(area)
        self._index = index
        self._tree = index.tree

    def of_row(self, values: Sequence[Datum], tid: int) -> tuple[Sequence[bytes], bytes]:
        """See ``IndexCheck``: key and address, as the leaf has them."""
        key = self._index.keys.of(values)
        if key is None:
            return (), b""
        return (self._item(self._index.forms.of(key), tid),), b""

    def _item(self, key: Keys, tid: int) -> bytes:
        return self._tree.encoded(key) + tid.to_bytes(8, "little")

    def walk(self) -> Iterator[tuple[str, str]]:
        """See ``IndexCheck``: from the root down; what a split has moved is to the right."""
        stack: list[tuple[int, int, int]] = [(ROOT, self._tree.splits(), 0)]
        seen: set[int] = set()
        while stack:
            HUB.pulse()
            block, splits, parent = stack.pop()
            if block in seen:
                yield f"block {block}", "links lead there twice"
                continue
            seen.add(block)
            try:
                node, number, bound = self._node(block, parent)
                keys = node.keys
            except (*NONSENSE, InvariantViolation, struct.error) as error:
                yield f"block {block}", str(error)
                continue
            if node.right and node.number > splits:
                stack.append((node.right, splits, 0))
            if bound is not None and not all(self._index.forms.holds(bound, key) for key in keys):
                yield f"block {block}", "has keys that the key above it does not hold"
            if node.is_leaf:
                tids = [node.tid(at) for at in range(len(node.entries))]
                self.keep([(self._item(key, tid), tid) for key, tid in zip(keys, tids, strict=True)])
            else:
                stack += [(node.child(at), number, block) for at in range(len(node.entries))]

    def _node(self, block: int, parent: int) -> tuple[Node, int, Keys | None]:
        """A page, how many splits there had been, and the key above it, all of one moment."""
        cache = self._index.table.storage.cache
        while True:
            node, number = self._tree.node_now(block)
            waits = cache.waits
            bound = self._bound(parent, block)
            if cache.waits == waits:
                return node, number, bound

    def _bound(self, parent: int, block: int) -> Keys | None:
        """The key above a block as it is now; None when a split has moved it."""
        if not parent:
            return None
        node, _ = self._tree.node_now(parent)
        children = [node.child(at) for at in range(len(node.entries))] if not node.is_leaf else []
        return node.keys[children.index(block)] if block in children else None
