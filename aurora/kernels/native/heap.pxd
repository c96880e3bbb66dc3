# C-level heap access, for the B-tree kernel.

from aurora.kernels.native.arena cimport Arena
from aurora.kernels.native.clog cimport BlockMap, Clog, Snapshot
from aurora.kernels.native.mtr cimport Mtr
from aurora.kernels.native.tuples cimport Projection, RowCodec


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
