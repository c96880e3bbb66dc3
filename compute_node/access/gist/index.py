"""A GiST or SP-GiST index of a table: rows by tests of bounding keys, and by distance.

value → key → entry of a leaf; condition → test of keys → leaves whose keys may meet it → row addresses. Both methods
have the same tree and differ in their operator classes: what SP-GiST's partitions are, the division of a page's keys
makes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from aurora.datum import Datum, Row
from aurora.errors import InvariantViolation
from compute_node.access.gist.build import build_gist
from compute_node.access.gist.classes import GistClass, Test, gist_class
from compute_node.access.gist.keys import NULLS, VALUES, KeyForms, Keys
from compute_node.access.gist.nearest import nearest_tids
from compute_node.access.gist.pages import DELETED, is_deleted
from compute_node.access.gist.tree import GistTree, Node
from compute_node.access.index_access import IndexAccess, ScanKey
from compute_node.access.page_reuse import find_deleted
from compute_node.hub import HUB
from compute_node.relations.access_methods import GIST, IS_NULL, NOT_NULL, SPGIST
from compute_node.relations.descriptors import IndexDesc
from compute_node.txn.transaction import Txn

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from compute_node.access.dead_rows import DeadRows
    from compute_node.access.table_reader import TableReader
    from compute_node.work.account import Area


class GistIndex(IndexAccess):
    """One index of ``table``."""

    method = GIST

    def __init__(self, table: TableReader, desc: IndexDesc) -> None:
        super().__init__(table, desc)
        types = table.desc.type_lookup(table.storage.type_lookup)
        options = desc.class_options or ((),) * len(desc.codes)
        self.classes: list[GistClass] = [
            gist_class(code, types(kind), given)
            for code, kind, given in zip(desc.codes, desc.key_types, options, strict=True)
        ]
        self.forms = KeyForms(self.classes)
        self.tree = GistTree(table.storage, self.file, self.forms, desc.name)

    def build(self, txn: Txn) -> None:
        """See ``IndexAccess``: leaves of neighbours, then the levels above."""
        build_gist(self, txn)

    # Reading

    def lookup(self, snapshot: Snapshot, key_values: Row, columns: tuple[int, ...], want_tid: bool) -> list[Row]:
        """There is no whole key to look up."""
        raise InvariantViolation(f"look-up of a whole key in index {self.desc.name} of method {self.method.name}")

    def test(self, keys: Sequence[ScanKey]) -> Callable[[Keys, bool], bool]:
        """Whether a key, of a leaf or not, may meet all conditions."""
        tests = [(key.column, *self._part_test(key)) for key in keys]

        def meets(found: Keys, leaf: bool) -> bool:
            for column, flag, wanted in tests:
                flags, key = found[column]
                if not flags & flag or (wanted is not None and not wanted(key, leaf)):
                    return False
            return True

        return meets

    def _part_test(self, key: ScanKey) -> tuple[int, Test | None]:
        """(what a column must have, a test of its values' key)."""
        if key.strategy == IS_NULL:
            return NULLS, None
        if key.strategy == NOT_NULL:
            return VALUES, None
        return VALUES, self.classes[key.column].asked(key)

    def tids(self, keys: Sequence[ScanKey], backward: bool = False, area: Area | None = None) -> Iterator[list[int]]:
        """See ``IndexAccess``: a batch a leaf, in no order."""
        meets = self.test(keys)
        for node in self.tree.walk(meets):
            found = [node.tid(at) for at, key in enumerate(node.keys) if meets(key, True)]
            HUB.pulse()
            if found:
                yield found

    def nearest(
        self, snapshot: Snapshot, keys: Sequence[ScanKey], orders: Sequence[ScanKey], area: Area
    ) -> Iterator[list[int]]:
        """See ``IndexAccess``: first a few at a time."""
        return nearest_tids(self, snapshot, self.test(keys), orders, area)

    # Writing

    def add(self, txn: Txn, values: Sequence[Datum], tid: int, check: bool = True) -> int:
        """See ``IndexAccess``."""
        key = self.keys.of(values)
        if key is not None:
            self.tree.insert([(self.forms.of(key), tid)])
        return 0

    def add_many(self, txn: Txn, rows: Sequence[Sequence[Datum]], tids: Sequence[int], check: bool = True) -> None:
        """See ``IndexAccess``: neighbours one after the other, those of a leaf together."""
        of, forms = self.keys.of, self.forms
        keyed = ((of(row), tid) for row, tid in zip(rows, tids, strict=True))
        found = [(forms.of(key), tid) for key, tid in keyed if key is not None]
        curves = forms.curves([key for key, _ in found]) if len(found) > 1 else [b""]
        self.tree.insert([found[at] for at in sorted(range(len(found)), key=curves.__getitem__)])

    # Vacuum

    def remove(self, dead: DeadRows, breathe: Callable[[], None]) -> int:
        """See ``IndexAccess``. Block after block; what a split has moved to a block before is looked at there."""
        tree = self.tree
        find_deleted(self._storage, self.file, is_deleted)
        start = tree.splits()
        removed, empty = 0, set()
        left: list[bytes] = []

        def alive(node: Node) -> list[bytes] | None:
            nonlocal left
            left = node.entries
            if node.is_leaf:
                left = [each for at, each in enumerate(node.entries) if not dead.has(node.tid(at))]
            return None if len(left) == len(node.entries) else left

        block = 1
        while block < tree.blocks:
            at = block
            while at:
                breathe()
                if not tree.is_written(at):
                    break
                node = tree.rewrite(at, alive)
                removed += len(node.entries) - len(left)
                if not left and node.is_leaf and not node.flags & DELETED:
                    empty.add(at)
                at = node.right if node.number > start and node.right < block else 0
            block += 1
        if empty:
            for parent in list(tree.inner_blocks()):
                breathe()
                tree.drop_empty(parent, empty)
        tree.keep_map()
        return removed


class SpGistIndex(GistIndex):
    """One SP-GiST index of ``table``."""

    method = SPGIST
