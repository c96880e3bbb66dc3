"""Who sees what: block maps, the commit log's window, snapshots.

xid → state → visible or not. The commit log is a relation of pages with one u64 per xid: 0 in progress, 1 aborted,
2 in progress and prepared for two-phase commit, else the LSN at which the xid committed::

    24 + 8 * (xid % 1021)    u64  state of xid, in block xid // 1021

In memory a chunk of 1021 states is kept per page once it was looked at; a prepared one is in progress there, also below
``recovered_below``. A kernel that finds a chunk absent fills it
from the resident page, else reports the page as missing. Invariant: chunk and page change together.
"""

from __future__ import annotations

import struct

from aurora.errors import InvariantViolation
from aurora.ids import Lsn, PageNo, Xid
from aurora.kernels.python.arena import MISSING, Arena
from aurora.kernels.python.mtr import Mtr
from aurora.page import HEADER_BYTES, PAGE_BYTES, PageKind

XIDS_PER_PAGE = (PAGE_BYTES - HEADER_BYTES) // 8
IN_PROGRESS, ABORTED, PREPARED = 0, 1, 2
BOOTSTRAP_LSN = 2
"""Commit LSN of the bootstrap and frozen xids, which have no place on a page: below every snapshot."""
FIRST_NORMAL_XID = 3


def extent_of(block: int) -> int:
    """Index of the extent that holds ``block``: extents have 1, 1, 2, 4 … 512, 1024, 1024 … pages."""
    return block.bit_length() if block < 1024 else 10 + block // 1024


def extent_first(extent: int) -> int:
    """First block of an extent."""
    return 0 if extent == 0 else 1 << (extent - 1) if extent <= 11 else 1024 * (extent - 10)


def extent_pages(extent: int) -> int:
    """Length of an extent in pages."""
    return 1 if extent == 0 else min(1 << (extent - 1), 1024)


class BlockMap:
    """A relation's extents: block → page number. ``blocks`` counts the blocks in use."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.blocks = 0

    def add_extent(self, start_page: int) -> None:
        """Append the next extent."""
        self.starts.append(start_page)

    def pop_extent(self) -> None:
        """Take the last extent off; InvariantViolation while blocks of it are in use."""
        if not self.starts or self.blocks > extent_first(len(self.starts) - 1):
            raise InvariantViolation(f"extent {len(self.starts) - 1} of a relation of {self.blocks} blocks is in use")
        self.starts.pop()

    def capacity(self) -> int:
        """Blocks that the extents hold."""
        n = len(self.starts)
        return extent_first(n - 1) + extent_pages(n - 1) if n else 0

    def page_no(self, block: int) -> PageNo:
        """Page number of ``block``; InvariantViolation outside the relation."""
        if block < 0 or block >= self.blocks:
            raise InvariantViolation(f"block {block} of a relation of {self.blocks} blocks")
        extent = extent_of(block)
        return PageNo(self.starts[extent] + block - extent_first(extent))


class Snapshot:
    """What a statement sees: commits up to ``lsn``, and of the xids in ``own`` (a set, shared with the transaction)
    the commands before ``cid``."""

    __slots__ = ("cid", "lsn", "own")

    def __init__(self, lsn: int, own: set[Xid], cid: int) -> None:
        self.lsn = Lsn(lsn)
        self.own = own
        self.cid = cid


class Clog:
    """The commit log over its pages. Xids below ``recovered_below`` that are unmarked count as aborted."""

    def __init__(self, arena: Arena, mtr: Mtr, blocks: BlockMap) -> None:
        self.arena = arena
        self.mtr = mtr
        self.blocks = blocks
        self.recovered_below = 0
        self._chunks: dict[int, list[int]] = {}

    def forget(self) -> None:
        """Drop the chunks: another process has changed the pages."""
        self._chunks.clear()

    def state(self, xid: int) -> int:
        """0 in progress, 1 aborted, a commit LSN, or minus the page number that must be loaded first."""
        if xid < FIRST_NORMAL_XID:
            return BOOTSTRAP_LSN
        block, index = divmod(xid, XIDS_PER_PAGE)
        chunk = self._chunks.get(block)
        if chunk is None:
            page_no = self.blocks.page_no(block)
            frame = self.arena.lookup(page_no)
            if frame == MISSING:
                return -page_no
            chunk = list(struct.unpack_from(f"<{XIDS_PER_PAGE}Q", self.arena.page(frame), HEADER_BYTES))
            for i in range(min(XIDS_PER_PAGE, max(0, self.recovered_below - block * XIDS_PER_PAGE))):
                chunk[i] = chunk[i] or ABORTED
            chunk = [IN_PROGRESS if state == PREPARED else state for state in chunk]
            self._chunks[block] = chunk
        return chunk[index]

    def set(self, xid: int, state: int) -> int:
        """Write a state into page and chunk, inside the current MTR; 0, or minus the page that must be loaded first."""
        known = self.state(xid)
        if known < 0:
            return known
        block, index = divmod(xid, XIDS_PER_PAGE)
        page_no = self.blocks.page_no(block)
        frame = self.arena.lookup(page_no)
        if frame == MISSING:
            return -page_no
        if self.arena.page(frame)[12] != PageKind.CLOG:
            raise InvariantViolation(f"page {page_no} is not a page of the commit log")
        self.mtr.put_u64(frame, HEADER_BYTES + 8 * index, state)
        self._chunks[block][index] = IN_PROGRESS if state == PREPARED else state
        return 0
