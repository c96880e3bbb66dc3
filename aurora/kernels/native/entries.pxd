# C-level runs of index entries.

cdef enum:
    NULL_BIT = 0x8000
    C_ITEM_MAX = 2704


cdef struct Entry:
    # Eight bytes of the item, big-endian: those behind what all items have in common, once the run is sorted.
    unsigned long long rank
    # A u16, the item's length and whether its key has a NULL, and the item's bytes.
    const unsigned char* at


cdef inline unsigned int size_of(const unsigned char* at) noexcept nogil:
    return (at[0] | <unsigned int>at[1] << 8) & 0x7FFF


cdef class EntryRun:
    cdef readonly Py_ssize_t bytes
    cdef readonly Py_ssize_t too_long
    cdef Entry* entries
    cdef Py_ssize_t count
    cdef Py_ssize_t room
    cdef unsigned char** chunks
    cdef Py_ssize_t n_chunks
    cdef Py_ssize_t room_chunks
    cdef unsigned char* at
    cdef unsigned char* end
    cdef void _free(self) noexcept
    cdef int put(self, const unsigned char* item, Py_ssize_t n, bint has_null) except -1
    cdef void sort_c(self) noexcept nogil
