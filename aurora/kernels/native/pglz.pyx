# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""pglz, compiled. The specification is ``aurora.kernels.python.pglz``. Both directions run without the GIL."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from aurora.kernels.python.pglz import corrupt

cdef enum:
    INPUT_MIN = 32
    LITERALS_MAX = 1024
    MATCH_MAX = 273
    HISTORY = 4096
    BUCKETS_MAX = 8192


cdef inline int hash_of(const signed char* at, Py_ssize_t left) noexcept nogil:
    if left < 4:
        return at[0]
    return (<int>at[0] << 6) ^ (<int>at[1] << 4) ^ (<int>at[2] << 2) ^ <int>at[3]


cdef Py_ssize_t compress_c(const unsigned char* data, Py_ssize_t size, unsigned char* out, Py_ssize_t limit,
                           Py_ssize_t* heads, Py_ssize_t* older, int mask) noexcept nogil:
    # The length written, -1 when it does not pay. ``out`` has room for ``limit`` and one item with its control byte.
    cdef Py_ssize_t at = 0, n = 0, control = 0, candidate, following, distance, length, best, offset, most, end
    cdef int bit = 256, good, key
    cdef bint found = False
    while at < size:
        if n >= limit or (not found and n >= LITERALS_MAX):
            return -1
        if bit == 256:
            control = n
            out[n] = 0
            n += 1
            bit = 1
        best = 0
        offset = 0
        good = 128
        most = size - at if size - at < MATCH_MAX else MATCH_MAX
        candidate = heads[hash_of(<const signed char*>data + at, size - at) & mask]
        while candidate >= 0:
            distance = at - candidate
            if distance >= HISTORY - 1:
                break
            # A longer match than the best one agrees with it at the best one's length.
            if best < most and data[candidate + best] == data[at + best]:
                length = 0
                while length < most and data[candidate + length] == data[at + length]:
                    length += 1
                if length > best:
                    best = length
                    offset = distance
            following = older[candidate & (HISTORY - 1)]
            candidate = following if following < candidate else -1
            if candidate >= 0:
                if best >= good:
                    break
                good -= good * 10 // 100
        if best > 2:
            found = True
            out[control] |= <unsigned char>bit
            out[n] = <unsigned char>(((offset >> 4) & 0xF0) | (best - 3 if best < 18 else 15))
            out[n + 1] = <unsigned char>(offset & 0xFF)
            n += 2
            if best > 17:
                out[n] = <unsigned char>(best - 18)
                n += 1
        else:
            best = 1
            out[n] = data[at]
            n += 1
        bit <<= 1
        end = at + best
        while at < end:
            key = hash_of(<const signed char*>data + at, size - at) & mask
            older[at & (HISTORY - 1)] = heads[key]
            heads[key] = at
            at += 1
    return n if n < limit else -1


def compress(data):
    """The compressed form; None when it would not save a quarter."""
    cdef const unsigned char[::1] view = data
    cdef Py_ssize_t size = view.shape[0], limit = size * 75 // 100, n
    cdef int buckets = 8192
    cdef Py_ssize_t* heads
    cdef Py_ssize_t* older
    cdef unsigned char* out
    cdef const unsigned char* source
    if size < INPUT_MIN:
        return None
    if size < 128:
        buckets = 512
    elif size < 256:
        buckets = 1024
    elif size < 512:
        buckets = 2048
    elif size < 1024:
        buckets = 4096
    heads = <Py_ssize_t*>malloc((buckets + HISTORY) * sizeof(Py_ssize_t))
    out = <unsigned char*>malloc(limit + 8)
    try:
        if heads == NULL or out == NULL:
            raise MemoryError()
        older = heads + buckets
        memset(heads, 0xFF, (buckets + HISTORY) * sizeof(Py_ssize_t))
        source = &view[0]
        with nogil:
            n = compress_c(source, size, out, limit, heads, older, buckets - 1)
        return None if n < 0 else PyBytes_FromStringAndSize(<char*>out, n)
    finally:
        free(heads)
        free(out)


cdef Py_ssize_t decompress_c(const unsigned char* data, Py_ssize_t size, unsigned char* out, Py_ssize_t raw,
                             Py_ssize_t wanted, bint whole) noexcept nogil:
    # The bytes of ``out`` that are good, -1 when the stream is not sound.
    cdef Py_ssize_t at = 0, n = 0, length, offset, i
    cdef int control, k
    while at < size and n < wanted:
        control = data[at]
        at += 1
        for k in range(8):
            if at >= size or n >= wanted:
                break
            if control & 1:
                if at + 2 > size:
                    return -1
                length = (data[at] & 0x0F) + 3
                offset = ((data[at] & 0xF0) << 4) | data[at + 1]
                at += 2
                if length == 18:
                    if at >= size:
                        return -1
                    length += data[at]
                    at += 1
                if offset == 0 or offset > n or n + length > raw:
                    return -1
                # ``out`` ends at ``wanted``, the copy perhaps beyond.
                if n + length > wanted:
                    length = wanted - n
                if offset >= length:
                    memcpy(out + n, out + n - offset, length)
                else:
                    for i in range(length):
                        out[n + i] = out[n + i - offset]
                n += length
            else:
                out[n] = data[at]
                n += 1
                at += 1
            control >>= 1
    if n < wanted or (whole and at != size):
        return -1
    return n


def decompress(data, Py_ssize_t raw_bytes, Py_ssize_t upto=-1):
    """The value of ``raw_bytes`` bytes, or (``upto`` ≥ 0) at least its first ``upto``, no more than the value has."""
    cdef const unsigned char[::1] view = data
    cdef Py_ssize_t size = view.shape[0], wanted = raw_bytes, n
    cdef bint whole = upto < 0
    cdef bytes result
    cdef unsigned char* out
    cdef const unsigned char* source
    if not whole and upto < wanted:
        wanted = upto
    result = PyBytes_FromStringAndSize(NULL, wanted)
    out = <unsigned char*>PyBytes_AS_STRING(result)
    source = &view[0] if size else NULL
    with nogil:
        n = decompress_c(source, size, out, raw_bytes, wanted, whole)
    if n < 0:
        raise corrupt()
    return result
