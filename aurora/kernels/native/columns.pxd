# C-level column buffers, for the heap kernel.

from aurora.kernels.native.tuples cimport Projection


cdef class Columns:
    cdef readonly Projection projection
    cdef readonly str kinds
    cdef readonly Py_ssize_t count
    cdef Py_ssize_t room
    cdef Py_ssize_t width
    cdef char* kind
    cdef int* order
    cdef int* fixed_at
    cdef void** data
    cdef unsigned char** nulls
    cdef short** scales
    cdef bint* some_null
    cdef char** pool
    cdef Py_ssize_t* pool_used
    cdef Py_ssize_t* pool_room
    cdef list arrays
    cdef list null_arrays
    cdef list scale_arrays
    cdef list odd
    cdef Py_ssize_t mark
    cdef int prepare(self) except -1
    cdef int begin_page(self, Py_ssize_t rows) except -1
    cdef int undo_page(self) except -1
    cdef int put_c(self, const unsigned char* tup) except -1
    cdef int put_null(self, Py_ssize_t k) except -1
    cdef int put_text(self, Py_ssize_t k, const char* text, Py_ssize_t n) except -1
    cdef int put_value(self, Py_ssize_t k, Py_ssize_t attno, const unsigned char* at, Py_ssize_t n) except -1
    cdef int put_object(self, Py_ssize_t k, object value) except -1
    cdef int put_odd(self, Py_ssize_t k, object value) except -1
