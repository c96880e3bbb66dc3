# C-level access to whole heap pages.

from aurora.kernels.native.heap cimport HeapFile


cdef class HeapPages(HeapFile):
    cdef long long freeze_c(self, unsigned long long block, long long horizon, unsigned long long before_xid) except? -1
