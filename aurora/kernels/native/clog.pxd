# C-level visibility, for the other kernels.

from aurora.kernels.native.arena cimport Arena
from aurora.kernels.native.mtr cimport Mtr

cdef enum:
    XIDS = 1021
    C_ABORTED = 1
    C_PREPARED = 2


cdef class BlockMap:
    cdef long long* start_p
    cdef Py_ssize_t n_starts
    cdef Py_ssize_t room
    cdef public long long blocks
    cdef long long page_c(self, long long block) except -1


cdef class Snapshot:
    cdef readonly long long lsn
    cdef readonly set own
    cdef readonly unsigned int cid


cdef class Clog:
    cdef readonly Arena arena
    cdef readonly Mtr mtr
    cdef readonly BlockMap blocks
    cdef public unsigned long long recovered_below
    cdef long long** chunks
    cdef Py_ssize_t n_chunks
    cdef long long state_c(self, unsigned long long xid) except? -1
    cdef long long _load(self, unsigned long long block) except? -1
