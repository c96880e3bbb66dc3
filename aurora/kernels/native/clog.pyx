# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Block maps, the commit log's window, snapshots, compiled. The specification is ``aurora.kernels.python.clog``."""

from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

from aurora.errors import InvariantViolation
from aurora.kernels.native.arena cimport Arena
from aurora.kernels.native.mtr cimport Mtr
from aurora.kernels.python.clog import extent_first, extent_pages
from aurora.page import PageKind

cdef enum:
    PAGE_BYTES = 8192
    PAGE_HEADER = 24
    OFF_KIND = 12

cdef int CLOG_KIND = PageKind.CLOG

IN_PROGRESS, ABORTED, PREPARED = 0, 1, 2


cdef class BlockMap:
    """A relation's extents: block → page number."""

    def __dealloc__(self):
        free(self.start_p)

    @property
    def starts(self):
        """First pages of the extents."""
        return [self.start_p[i] for i in range(self.n_starts)]

    def add_extent(self, long long start_page):
        """Append the next extent."""
        cdef long long* grown
        if self.n_starts == self.room:
            grown = <long long*>realloc(self.start_p, (self.room * 2 + 16) * sizeof(long long))
            if grown == NULL:
                raise MemoryError()
            self.start_p = grown
            self.room = self.room * 2 + 16
        self.start_p[self.n_starts] = start_page
        self.n_starts += 1

    def pop_extent(self):
        """Take the last extent off; InvariantViolation while blocks of it are in use."""
        if not self.n_starts or self.blocks > extent_first(self.n_starts - 1):
            raise InvariantViolation(f"extent {self.n_starts - 1} of a relation of {self.blocks} blocks is in use")
        self.n_starts -= 1

    def capacity(self):
        """Blocks that the extents hold."""
        return extent_first(self.n_starts - 1) + extent_pages(self.n_starts - 1) if self.n_starts else 0

    cdef long long page_c(self, long long block) except -1:
        cdef long long extent, first
        if block < 0 or block >= self.blocks:
            raise InvariantViolation(f"block {block} of a relation of {self.blocks} blocks")
        if block == 0:
            return self.start_p[0]
        if block < 1024:
            extent = 64 - __builtin_clzll(<unsigned long long>block)
            first = 1LL << (extent - 1)
        else:
            extent = 10 + (block >> 10)
            first = (extent - 10) << 10
        return self.start_p[extent] + block - first

    def page_no(self, long long block):
        """Page number of ``block``; InvariantViolation outside the relation."""
        return self.page_c(block)


cdef extern from *:
    int __builtin_clzll(unsigned long long value) noexcept


cdef class Snapshot:
    """What a statement sees."""

    def __cinit__(self, long long lsn, set own not None, unsigned int cid):
        self.lsn = lsn
        self.own = own
        self.cid = cid


cdef class Clog:
    """The commit log over its pages."""

    def __init__(self, Arena arena not None, Mtr mtr not None, BlockMap blocks not None):
        self.arena = arena
        self.mtr = mtr
        self.blocks = blocks
        self.recovered_below = 0

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.n_chunks):
            free(self.chunks[i])
        free(self.chunks)

    def forget(self):
        """Drop the chunks: another process has changed the pages."""
        cdef Py_ssize_t i
        for i in range(self.n_chunks):
            free(self.chunks[i])
            self.chunks[i] = NULL

    cdef long long state_c(self, unsigned long long xid) except? -1:
        cdef unsigned long long block
        if xid < 3:
            return 2
        block = xid // XIDS
        if block < <unsigned long long>self.n_chunks and self.chunks[block] != NULL:
            return self.chunks[block][xid - block * XIDS]
        cdef long long missing = self._load(block)
        if missing < 0:
            return missing
        return self.chunks[block][xid - block * XIDS]

    cdef long long _load(self, unsigned long long block) except? -1:
        # Fills the chunk from its page: 0, or minus the page to load.
        cdef long long page_no = self.blocks.page_c(block)
        cdef long long frame = self.arena.lookup_c(page_no)
        cdef long long** grown
        cdef long long* chunk
        cdef Py_ssize_t room, i
        if frame < 0:
            return -page_no
        if <Py_ssize_t>block >= self.n_chunks:
            room = <Py_ssize_t>block * 2 + 16
            grown = <long long**>realloc(self.chunks, room * sizeof(long long*))
            if grown == NULL:
                raise MemoryError()
            for i in range(self.n_chunks, room):
                grown[i] = NULL
            self.chunks = grown
            self.n_chunks = room
        chunk = <long long*>malloc(XIDS * sizeof(long long))
        if chunk == NULL:
            raise MemoryError()
        memcpy(chunk, self.arena.base + frame * PAGE_BYTES + PAGE_HEADER, XIDS * sizeof(long long))
        for i in range(XIDS):
            if chunk[i] == C_PREPARED:
                chunk[i] = 0
            elif chunk[i] == 0 and block * XIDS + <unsigned long long>i < self.recovered_below:
                chunk[i] = C_ABORTED
        self.chunks[block] = chunk
        return 0

    def state(self, unsigned long long xid):
        """0 in progress, 1 aborted, a commit LSN, or minus the page number that must be loaded first."""
        return self.state_c(xid)

    def set(self, unsigned long long xid, unsigned long long state):
        """Write a state into page and chunk, inside the current MTR; 0, or minus the page that must be loaded first."""
        cdef long long known = self.state_c(xid)
        cdef unsigned long long block = xid // XIDS
        cdef long long page_no, frame
        if known < 0:
            return known
        page_no = self.blocks.page_c(block)
        frame = self.arena.lookup_c(page_no)
        if frame < 0:
            return -page_no
        if self.arena.base[frame * PAGE_BYTES + OFF_KIND] != CLOG_KIND:
            raise InvariantViolation(f"page {page_no} is not a page of the commit log")
        self.mtr.put_u64_c(frame, PAGE_HEADER + 8 * (xid - block * XIDS), state)
        self.chunks[block][xid - block * XIDS] = 0 if state == C_PREPARED else state
        return 0
