"""Copies of relation files, page by page: what CREATE DATABASE makes of its template's.

Each page goes into the log as one IMAGE. A block that was never written stays so. Blocks are numbered within the
relation, so a page's content is right wherever its extents are; only the relation file in its header changes. The
caller has seen to it that nobody changes the source meanwhile.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from aurora.ids import RelFile
from aurora.page import OFF_KIND, OFF_RELFILE, PAGE_BYTES, PageKind
from compute_node.access.extents import RelationFile
from compute_node.hub import HUB
from compute_node.txn.transaction import Txn

if TYPE_CHECKING:
    from compute_node.access.storage import Storage


_REDO_BYTES = 2 * PAGE_BYTES
"""Log space reserved for a page."""


def pages_of(storage: Storage, file: RelationFile) -> Iterator[bytes]:
    """The content of each block, in order."""
    for block in range(int(file.map.blocks)):
        frame = storage.cache.get(file.map.page_no(block))
        yield bytes(storage.arena.page(frame))


def write_pages(storage: Storage, txn: Txn, relfile: RelFile, pages: Iterable[bytes]) -> None:
    """A new relation file of these pages; it goes again when ``txn`` aborts."""
    file = storage.create_storage(txn, relfile)
    number = struct.pack("<I", relfile)
    for content in pages:
        storage.volume.reserve(_REDO_BYTES)
        block = storage.extents.new_block(file)
        page_no = file.map.page_no(block)
        if content[OFF_KIND] != PageKind.FREE:
            frame = storage.cache.get(page_no)
            with storage.mtr:
                storage.mtr.image(frame, content[:OFF_RELFILE] + number + content[OFF_RELFILE + 4 :])
        HUB.pulse()
