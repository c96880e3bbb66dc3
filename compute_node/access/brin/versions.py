"""The row versions of a page that a summary must hold: those that some snapshot sees, now or when their transaction
commits."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from aurora.datum import Row
from aurora.errors import DataCorrupted
from aurora.kernels.python.clog import ABORTED, IN_PROGRESS
from aurora.kernels.python.heap import NORMAL
from aurora.kernels.python.tuples import OFF_XMIN
from aurora.page import HEADER_BYTES, OFF_KIND, OFF_LOWER, OFF_RELFILE, PageKind
from compute_node.access.stored import resolved_row

if TYPE_CHECKING:
    from aurora.kernels.python.tuples import Projection
    from compute_node.access.table_reader import TableReader

_XID = struct.Struct("<Q")
_RELFILE = struct.Struct("<I")
_LOWER = struct.Struct("<H")
_LINE = struct.Struct("<HH")


def versions_of(table: TableReader, block: int, columns: tuple[int, ...]) -> list[Row]:
    """The columns of each such version of a block, as of one moment. May wait. Errors: XX001."""
    proj = table.projection(columns, False)
    failed: list[int] = []
    while True:
        found = _of_one_moment(table, block, proj)
        if found is None:
            continue
        slots, rows = found
        if table.toast is None:
            return rows
        try:
            return [resolved_row(row, proj.eager) for row in rows]
        except DataCorrupted:
            # A version that nobody wants any more may have lost what it has out of line since it was read.
            if slots == failed:
                raise
            failed = slots


def _of_one_moment(table: TableReader, block: int, proj: Projection) -> tuple[list[int], list[Row]] | None:
    """The slots of the versions, and their columns; None when something had to be waited for."""
    storage = table.storage
    cache = storage.cache
    frame = cache.get(table.file.map.page_no(block))
    waits, horizon = cache.waits, storage.row_horizon()
    page = storage.arena.page(frame)
    if page[OFF_KIND] != PageKind.HEAP or _RELFILE.unpack_from(page, OFF_RELFILE)[0] != table.relfile:
        return [], []
    slots: list[int] = []
    rows: list[Row] = []
    (lower,) = _LOWER.unpack_from(page, OFF_LOWER)
    for slot, at in enumerate(range(HEADER_BYTES, lower, _LINE.size), 1):
        offset, word = _LINE.unpack_from(page, at)
        if word >> 14 != NORMAL:
            continue
        is_of_use = _is_of_use(table, page, offset, horizon)
        if cache.waits != waits:
            return None
        if is_of_use:
            slots.append(slot)
            rows.append(proj.row(page, offset, block << 16 | slot))
    return slots, rows


def _is_of_use(table: TableReader, page: memoryview, offset: int, horizon: int) -> bool:
    """Whether the version's transaction has not been undone, and none that all see has removed it. May wait."""
    if _state(table, _XID.unpack_from(page, offset + OFF_XMIN)[0]) == ABORTED:
        return False
    (xmax,) = _XID.unpack_from(page, offset)
    if not xmax:
        return True
    state = _state(table, xmax)
    return state in (ABORTED, IN_PROGRESS) or state > horizon


def _state(table: TableReader, xid: int) -> int:
    clog, cache = table.storage.clog, table.storage.cache
    while (state := int(clog.state(xid))) < 0:
        cache.load(-state)
    return state
