# C-level page editor, for the other kernels.

from aurora.kernels.native.arena cimport Arena


cdef struct Touched:
    int frame
    int is_image
    unsigned char* ops
    Py_ssize_t used
    Py_ssize_t room
    unsigned char* before


cdef class RedoLog:
    cdef public unsigned long long next_lsn
    cdef public unsigned long long last_lsn
    cdef public unsigned long long last_cpl
    cdef public Py_ssize_t pending_bytes
    cdef readonly long long pages_per_pg
    cdef readonly dict pg_last
    cdef list _order
    cdef dict _open
    cdef object _last_run
    cdef unsigned long long append_c(
        self, long long page_no, unsigned long long page_prev_lsn, const unsigned char* ops, Py_ssize_t n, int flags
    ) except? 0


cdef class Mtr:
    cdef readonly Arena arena
    cdef readonly RedoLog log
    cdef public bint verify
    cdef public bint active
    cdef Touched* touched
    cdef int n_touched
    cdef int room_touched
    cdef Py_ssize_t total_bytes
    cdef list _notes
    cdef list _freed
    cdef Touched* _touch(self, Py_ssize_t frame, Py_ssize_t cost) except NULL
    cdef int put_c(self, Py_ssize_t frame, Py_ssize_t offset, const unsigned char* data, Py_ssize_t n) except -1
    cdef int put_u8_c(self, Py_ssize_t frame, Py_ssize_t offset, unsigned char value) except -1
    cdef int put_u16_c(self, Py_ssize_t frame, Py_ssize_t offset, unsigned short value) except -1
    cdef int put_u32_c(self, Py_ssize_t frame, Py_ssize_t offset, unsigned int value) except -1
    cdef int put_u64_c(self, Py_ssize_t frame, Py_ssize_t offset, unsigned long long value) except -1
    cdef int move_c(self, Py_ssize_t frame, Py_ssize_t source, Py_ssize_t to, Py_ssize_t n) except -1
    cdef unsigned long long commit_c(self) except? 0
    cdef void _reset(self) noexcept
