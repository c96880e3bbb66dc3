# C-level heap access, for the other kernels.

from libc.string cimport memcpy

from aurora.kernels.native.arena cimport Arena
from aurora.kernels.native.clog cimport BlockMap, Clog, Snapshot
from aurora.kernels.native.columns cimport Columns
from aurora.kernels.native.mtr cimport Mtr
from aurora.kernels.native.tuples cimport Projection, RowCodec


cdef enum:
    PAGE_BYTES = 8192
    PAGE_HEADER = 24
    OFF_KIND = 12
    OFF_LOWER = 14
    OFF_UPPER = 16
    MAX_SLOTS = 2042
    GAP = 4
    C_UNUSED = 0
    C_NORMAL = 1
    C_REDIRECT = 2
    C_DEAD = 3
    C_HEAP_KIND = 3
    C_ABORTED = 1
    C_FROZEN = 2
    C_AWAY_BLOCK = 1


cdef inline unsigned short get16(const unsigned char* at) noexcept:
    cdef unsigned short value
    memcpy(&value, at, 2)
    return value


cdef inline unsigned int get32(const unsigned char* at) noexcept:
    cdef unsigned int value
    memcpy(&value, at, 4)
    return value


cdef inline unsigned long long get64(const unsigned char* at) noexcept:
    cdef unsigned long long value
    memcpy(&value, at, 8)
    return value


cdef inline int slots_of(const unsigned char* page) noexcept:
    cdef int lower = get16(page + OFF_LOWER)
    return (lower - PAGE_HEADER) // 4 if lower > PAGE_HEADER else 0


cdef inline int line_of(const unsigned char* page, int slot, int* offset, int* length) noexcept:
    cdef unsigned short word
    cdef int at = PAGE_HEADER + 4 * (slot - 1)
    if slot < 1 or at >= get16(page + OFF_LOWER):
        offset[0] = 0
        length[0] = 0
        return C_UNUSED
    offset[0] = get16(page + at)
    word = get16(page + at + 2)
    length[0] = word & 0x3FFF
    return word >> 14


cdef inline bint is_ours(const unsigned char* page, unsigned int relfile) noexcept:
    # A recycled extent still holds its earlier owner's pages: they count as empty.
    return page[OFF_KIND] == C_HEAP_KIND and get32(page + 20) == relfile


cdef int put_diff_c(Mtr mtr, Py_ssize_t frame, int offset, const unsigned char* data, int n) except -1
cdef void header_c(unsigned char* out, unsigned int relfile) noexcept
cdef int free_c(const unsigned char* page) noexcept


cdef struct Place:
    int slot
    int offset
    int compact


cdef class HeapFile:
    cdef readonly Arena arena
    cdef readonly Mtr mtr
    cdef readonly Clog clog
    cdef readonly BlockMap blocks
    cdef readonly RowCodec codec
    cdef readonly unsigned int relfile
    cdef long long missing
    cdef long long scan_columns_c(self, Snapshot snap, unsigned long long block, Columns columns) except -1
    cdef int visible_c(self, const unsigned char* tup, Snapshot snap) except -2
    cdef int seen_c(self, const unsigned char* page, int root, Snapshot snap, int* at) except -1
    cdef tuple chain_c(
        self, const unsigned char* page, unsigned long long block, int root, Snapshot snap, Projection proj, bint root_tid
    )
    cdef tuple fetch_chain_c(self, Snapshot snap, unsigned long long tid, Projection proj)
    cdef int place_c(self, const unsigned char* page, int n, int reserve, Place* place) except -1
    cdef int claim_c(self, Py_ssize_t frame, int n, Place* place) except -1
    cdef int init_c(self, Py_ssize_t frame) except -1
    cdef int supersede_c(
        self, Py_ssize_t frame, int offset, unsigned long long xid, unsigned int cid, unsigned int next_block,
        unsigned short next_slot, bint hot, bint key_changed
    ) except -1
    cdef long long open_c(self, unsigned long long tid, Py_ssize_t* frame, int* offset, int* length) except? -1
    cdef long long prune_c(self, unsigned long long block, long long horizon, bint indexed) except? -1
    cdef int put_lines_c(self, Py_ssize_t frame, int slots, const int* becomes, const unsigned short* target) except -1
