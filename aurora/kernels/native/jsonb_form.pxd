# What the jsonb kernel's parts are: slices, buffers, the tables of arrays and objects (docs/formats.md).

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdlib cimport realloc
from libc.string cimport memcpy

ctypedef const unsigned char* At

cdef enum:
    K_NULL = 0x00
    K_STRING = 0x01
    K_NUMBER = 0x02
    K_FALSE = 0x03
    K_TRUE = 0x04
    K_ARRAY = 0x10
    K_OBJECT = 0x11
    HEAD = 5
    SHORT_CHARS = 1 << 20
    LEVELS_MAX = 100
    DIGITS_MAX = 40
    FRACTION_DIGITS_MAX = 1000

cdef struct Slice:
    At at
    Py_ssize_t size

cdef struct Buffer:
    unsigned char* data
    Py_ssize_t size
    Py_ssize_t room


cdef inline unsigned int u32(At p) noexcept nogil:
    return p[0] | (<unsigned int>p[1] << 8) | (<unsigned int>p[2] << 16) | (<unsigned int>p[3] << 24)


cdef inline void set_u32(unsigned char* p, unsigned int value) noexcept nogil:
    p[0] = value & 0xFF
    p[1] = (value >> 8) & 0xFF
    p[2] = (value >> 16) & 0xFF
    p[3] = value >> 24


cdef inline Slice of(bytes data) noexcept:
    cdef Slice out
    out.at = <At>PyBytes_AS_STRING(data)
    out.size = PyBytes_GET_SIZE(data)
    return out


cdef inline int reserve(Buffer* out, Py_ssize_t more) noexcept nogil:
    cdef Py_ssize_t room
    cdef unsigned char* grown
    if out.size + more > out.room:
        room = 2 * (out.size + more) + 64
        grown = <unsigned char*>realloc(out.data, room)
        if grown == NULL:
            return -2
        out.data = grown
        out.room = room
    return 0


cdef inline int put(Buffer* out, const void* what, Py_ssize_t size) noexcept nogil:
    if reserve(out, size) < 0:
        return -2
    memcpy(out.data + out.size, what, size)
    out.size += size
    return 0


cdef inline int put_byte(Buffer* out, unsigned char byte) noexcept nogil:
    if out.size == out.room and reserve(out, 1) < 0:
        return -2
    out.data[out.size] = byte
    out.size += 1
    return 0


# Parts. A table that does not fit its value makes an empty slice of a null pointer.

cdef inline Slice cut(Slice whole, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    cdef Slice out
    if start < 0 or end < start or end > whole.size:
        out.at = NULL
        out.size = 0
    else:
        out.at = whole.at + start
        out.size = end - start
    return out


cdef inline Py_ssize_t count_in(Slice data) noexcept nogil:
    cdef Py_ssize_t count
    if data.size < HEAD:
        return 0
    count = u32(data.at + 1)
    return count if count <= (data.size - HEAD) // (4 if data.at[0] == K_ARRAY else 8) else 0


cdef inline Slice item_at(Slice data, Py_ssize_t count, Py_ssize_t index) noexcept nogil:
    cdef Py_ssize_t base = HEAD + 4 * count
    cdef At place = data.at + HEAD + 4 * index
    return cut(data, base + (u32(place - 4) if index else 0), base + u32(place))


cdef inline Slice key_at(Slice data, Py_ssize_t count, Py_ssize_t index) noexcept nogil:
    cdef Py_ssize_t base = HEAD + 8 * count
    cdef At place = data.at + HEAD + 4 * index
    return cut(data, base + (u32(place - 4) if index else 0), base + u32(place))


cdef inline Slice member_at(Slice data, Py_ssize_t count, Py_ssize_t index) noexcept nogil:
    cdef At ends = data.at + HEAD + 4 * count
    cdef Py_ssize_t base = HEAD + 8 * count + u32(ends - 4)
    cdef At place = ends + 4 * index
    return cut(data, base + (u32(place - 4) if index else 0), base + u32(place))
