# C-level row codec, for the other kernels.

cdef enum:
    HEADER = 32
    MAX_TUPLE = 8160
    O_XMAX = 0
    O_NEXT_BLOCK = 8
    O_NEXT_SLOT = 12
    O_CMAX = 14
    O_INFOMASK = 18
    O_XMIN = 20
    O_CMIN = 28
    M_NATTS = 0x07FF
    M_HAS_NULL = 0x0800
    M_HEAP_ONLY = 0x1000
    M_HOT_UPDATED = 0x2000
    M_KEY_CHANGED = 0x4000
    M_HAS_EXTERNAL = 0x8000
    T_SHORT = 0x80
    T_PLAIN = 0xC0
    T_EXTERNAL = 0xE0
    COMPRESSED_HEADER = 8
    POINTER = 18


cdef inline Py_ssize_t fixed_width(char code) noexcept:
    if code == c"i" or code == c"I" or code == c"f":
        return 4
    if code == c"q" or code == c"d":
        return 8
    if code == c"?" or code == c"c":
        return 1
    if code == c"h":
        return 2
    return 0


cdef inline Py_ssize_t value_width(char code, const unsigned char* at) noexcept:
    cdef Py_ssize_t width = fixed_width(code)
    if width:
        return width
    if at[0] < T_SHORT:
        return 1 + at[0]
    if at[0] < T_PLAIN:
        return 2 + ((<Py_ssize_t>(at[0] & 0x3F) << 8) | at[1])
    if at[0] < T_EXTERNAL:
        return COMPRESSED_HEADER + (at[1] | (<Py_ssize_t>at[2] << 8))
    return POINTER


cdef class Toasted:
    cdef readonly RowCodec codec
    cdef readonly Py_ssize_t column
    cdef readonly int method
    cdef readonly Py_ssize_t raw_bytes
    cdef readonly Py_ssize_t stored_bytes
    cdef readonly unsigned int value_id
    cdef readonly unsigned int relation
    cdef readonly bytes data


cdef class RowCodec:
    cdef readonly str codes
    cdef readonly Py_ssize_t natts
    cdef readonly list to_disk
    cdef readonly list from_disk
    cdef readonly list missing
    cdef readonly Py_ssize_t limit
    cdef readonly long long handles
    cdef public object reader
    cdef char* code
    cdef unsigned char scratch[8192]
    cdef Py_ssize_t encode_c(self, object values) except -1
    cdef Py_ssize_t put_toasted(self, Toasted value, Py_ssize_t at) except -1
    cdef object handle_c(self, Py_ssize_t i, const unsigned char* at)
    cdef Py_ssize_t put_value(self, Py_ssize_t i, object value, Py_ssize_t at) except -1
    cdef Py_ssize_t replace_c(self, const unsigned char* tup, object positions, object values) except -1
    cdef list externals_c(self, const unsigned char* tup, object positions)
    cdef object value_c(self, Py_ssize_t i, const unsigned char* at, Py_ssize_t n)


cdef class Projection:
    cdef readonly RowCodec codec
    cdef readonly tuple columns
    cdef readonly bint want_tid
    cdef readonly long long table_oid
    cdef readonly tuple eager
    cdef int* attnos
    cdef int* first
    cdef int* following
    cdef Py_ssize_t width
    cdef Py_ssize_t limit
    cdef bint has_system
    cdef tuple row_c(self, const unsigned char* tup, unsigned long long tid)
