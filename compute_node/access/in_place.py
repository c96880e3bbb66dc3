"""Overwrites fixed-width columns of a row where it stands, for statistics in pg_class (PostgreSQL's
heap_inplace_update).

It makes no version and belongs to no transaction: every snapshot that sees the row sees the new values, and nobody who
changes the row at the same time fails or waits. So it is for values alone of which any recent one will do.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aurora.datum import Datum
from aurora.kernels.python import tuples
from aurora.kernels.python.heap import OK
from aurora.page import HEADER_BYTES

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from compute_node.access.table import Table


_FORMS = {"i": struct.Struct("<i"), "f": struct.Struct("<f"), "I": struct.Struct("<I"), "q": struct.Struct("<q")}
REDO_BYTES = 256


def overwrite(table: Table, snapshot: Snapshot, tid: int, values: Mapping[int, Datum]) -> bool:
    """Set columns (attno → value, none NULL before or after) of the version ``tid``. False: it is no longer the newest,
    or somebody is changing it. May wait before it writes."""
    storage = table.storage
    nothing = table.projection((), False)
    storage.volume.reserve(REDO_BYTES)
    while True:
        frame = storage.cache.get(table.file.map.page_no(tid >> 16))
        found = table.heap.probe(tid, snapshot, nothing, False)
        if not isinstance(found, int):
            break
        storage.cache.load(found)
    if found[0] != OK:
        return False
    page = storage.arena.page(frame)
    offset = struct.unpack_from("<H", page, HEADER_BYTES + 4 * ((tid & 0xFFFF) - 1))[0]
    codes = "".join(storage.type_lookup(column.type).disk for column in table.desc.columns)
    spans = tuples.RowCodec(codes, [None] * len(codes), [None] * len(codes)).spans(page, offset, len(codes))
    with storage.mtr:
        for attno, value in values.items():
            span = spans[attno - 1]
            if span is not None:
                storage.mtr.put(frame, span[0], _FORMS[codes[attno - 1]].pack(value))
    return True
