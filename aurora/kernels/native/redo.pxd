# C-level redo encoding, for the other kernels.

cdef int varint_size(unsigned long long value) noexcept
cdef unsigned char* write_varint_c(unsigned char* out, unsigned long long value) noexcept
cdef int apply_c(unsigned char* page, const unsigned char* data, Py_ssize_t offset, Py_ssize_t end, unsigned long long lsn) except -1
