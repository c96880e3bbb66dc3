"""The index access methods that this program has, by name: descriptor → ``IndexAccess``.

To add one: describe it in ``relations/access_methods.py``, subclass ``IndexAccess`` in a folder beside ``btree``, and
name the class here. Storage need not know of it: its pages change by redo as all others do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from aurora.errors import NotSupported
from compute_node.access.brin.index import BrinIndex
from compute_node.access.btree.index import BTreeIndex
from compute_node.access.exclusion import EXCLUDING
from compute_node.access.gin.index import GinIndex
from compute_node.access.gist.index import GistIndex, SpGistIndex
from compute_node.access.hash.index import HashIndex
from compute_node.access.index_access import IndexAccess
from compute_node.relations.descriptors import IndexDesc
from compute_node.txn.transaction import Txn

if TYPE_CHECKING:
    from compute_node.access.table_reader import TableReader


IMPLEMENTATIONS: Mapping[str, type[IndexAccess]] = {
    each.method.name: each for each in (BTreeIndex, HashIndex, GinIndex, GistIndex, SpGistIndex, BrinIndex)
}


def open_index(table: TableReader, desc: IndexDesc) -> IndexAccess:
    """The access to an index whose relation file exists. Errors: 0A000 for a method without an implementation."""
    implementation = (EXCLUDING if desc.exclusion else IMPLEMENTATIONS).get(desc.method)
    if implementation is None:
        raise NotSupported(f'access method "{desc.method}" is not supported')
    return implementation(table, desc)


def build_index(txn: Txn, table: TableReader, desc: IndexDesc) -> IndexAccess:
    """Fill ``desc``'s relation file (created in ``txn`` when missing) from the rows of ``table``; see
    ``IndexAccess.build``."""
    storage = table.storage
    if not storage.exists(desc.relfile):
        storage.create_storage(txn, desc.relfile)
    index = open_index(table, desc)
    index.build(txn)
    return index
