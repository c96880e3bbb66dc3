# C-level interface of the page arena, for the other kernels.

cdef class Arena:
    cdef readonly Py_ssize_t frames
    cdef readonly object data
    cdef readonly object page_of
    cdef readonly object pins
    cdef readonly object referenced
    cdef public unsigned long long durable_lsn
    cdef public long long hits
    cdef public long long misses
    cdef public long long evictions
    cdef unsigned char* base
    cdef long long* page_of_p
    cdef int* pins_p
    cdef unsigned char* referenced_p
    cdef object _memory
    # open addressing page table: key page_no (-1 empty) → frame
    cdef long long* keys
    cdef int* values
    cdef size_t mask
    cdef size_t used
    cdef int* free_list
    cdef Py_ssize_t free_count
    cdef Py_ssize_t hand

    cdef long long find_c(self, long long page_no) noexcept
    cdef long long lookup_c(self, long long page_no) noexcept
    cdef void _insert(self, long long page_no, int frame) noexcept
    cdef void _remove(self, long long page_no) noexcept
    cdef Py_ssize_t _evict(self) except -1
