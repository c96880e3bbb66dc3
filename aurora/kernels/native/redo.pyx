# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Redo records, compiled. The specification is ``aurora.kernels.python.redo``."""

from cpython cimport array
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memcpy, memmove, memset

from array import array as make_array

from aurora.errors import InvariantViolation
from aurora.kernels.python.redo import (  # constants are shared with the specification
    FLAG_CPL,
    FLAG_NOTE,
    IMAGE,
    IMAGE_FROM,
    MOVE,
    NO_PAGE,
    PUT,
    write_varint,
)

cdef array.array NO_CHAIN = make_array("Q")

cdef enum:
    PAGE_BYTES = 8192
    C_CPL = 1
    C_NOTE = 2
    C_IMAGE_FROM = 12


cdef int varint_size(unsigned long long value) noexcept:
    cdef int n = 1
    while value >= 0x80:
        value >>= 7
        n += 1
    return n


cdef unsigned char* write_varint_c(unsigned char* out, unsigned long long value) noexcept:
    while value >= 0x80:
        out[0] = <unsigned char>(value & 0x7F | 0x80)
        out += 1
        value >>= 7
    out[0] = <unsigned char>value
    return out + 1


cdef inline int next_varint(const unsigned char* data, Py_ssize_t* at, Py_ssize_t total, unsigned long long* value) noexcept:
    # 0 fine, 1 past the end, 2 too long
    cdef unsigned long long result = 0
    cdef int shift = 0
    cdef unsigned char byte
    while True:
        if at[0] >= total:
            return 1
        byte = data[at[0]]
        at[0] += 1
        result |= <unsigned long long>(byte & 0x7F) << shift
        if byte < 0x80:
            value[0] = result
            return 0
        shift += 7
        if shift > 63:
            return 2


cdef inline int read_c(const unsigned char* data, Py_ssize_t* at, Py_ssize_t total, unsigned long long* value) except -1:
    cdef int status = next_varint(data, at, total, value)
    if status == 1:
        raise InvariantViolation("redo run ends inside a record")
    if status == 2:
        raise InvariantViolation("varint longer than 64 bits")
    return 0


def varint(unsigned long long value):
    """``value`` in base 128."""
    cdef unsigned char out[10]
    cdef unsigned char* end = write_varint_c(out, value)
    return PyBytes_FromStringAndSize(<char*>out, end - out)


def read_varint(data, Py_ssize_t at):
    """The varint at ``at`` and the position behind it; IndexError past the end."""
    cdef const unsigned char[::1] view = data
    cdef unsigned long long value = 0
    cdef Py_ssize_t where = at
    cdef int status
    if view.shape[0] == 0:
        raise IndexError("varint past the end")
    status = next_varint(&view[0], &where, view.shape[0], &value)
    if status == 1:
        raise IndexError("varint past the end")
    if status == 2:
        raise InvariantViolation("varint longer than 64 bits")
    return value, where


def encode_record(
    unsigned long long lsn,
    unsigned long long prev_lsn,
    unsigned long long pg_prev_lsn,
    long long page_no,
    unsigned long long page_prev_lsn,
    bytes ops,
    int flags,
):
    """One record's bytes. For a note, ``page_no`` is ``NO_PAGE`` and ``ops`` the payload."""
    cdef unsigned char head[64]
    cdef unsigned char front[10]
    cdef unsigned char* at = head
    cdef Py_ssize_t n_ops = len(ops), n_head, n_front
    cdef bytes out
    cdef unsigned char* target
    at[0] = <unsigned char>flags
    at = write_varint_c(at + 1, lsn - prev_lsn)
    at = write_varint_c(at, lsn - pg_prev_lsn)
    if not flags & C_NOTE:
        at = write_varint_c(at, page_no)
        at = write_varint_c(at, lsn - page_prev_lsn if page_prev_lsn else 0)
    n_head = at - head
    n_front = write_varint_c(front, n_head + n_ops) - front
    out = PyBytes_FromStringAndSize(NULL, n_front + n_head + n_ops)
    target = <unsigned char*>PyBytes_AS_STRING(out)
    memcpy(target, front, n_front)
    memcpy(target + n_front, head, n_head)
    memcpy(target + n_front + n_head, PyBytes_AS_STRING(ops), n_ops)
    return out


def scan(data, unsigned long long pg_prev_lsn):
    """Index a run of records of one protection group: a list of ``(lsn, prev_lsn, page_no, page_prev_lsn, flags, offset, end)``."""
    cdef const unsigned char[::1] view
    cdef const unsigned char* p
    cdef Py_ssize_t at = 0, total = len(data), end, body
    cdef unsigned long long length = 0, vol_delta = 0, pg_delta = 0, page_no = 0, page_delta = 0, lsn, page_prev
    cdef int flags
    cdef list found = []
    if total == 0:
        return found
    view = data
    p = &view[0]
    while at < total:
        read_c(p, &at, total, &length)
        body = at
        if length == 0 or length > <unsigned long long>(total - body):
            raise InvariantViolation(f"redo record at byte {body} of {total} has length {length}")
        end = body + <Py_ssize_t>length
        flags = p[body]
        at = body + 1
        read_c(p, &at, total, &vol_delta)
        read_c(p, &at, total, &pg_delta)
        lsn = pg_prev_lsn + pg_delta
        page_prev = 0
        if not flags & C_NOTE:
            read_c(p, &at, total, &page_no)
            read_c(p, &at, total, &page_delta)
            if page_delta:
                page_prev = lsn - page_delta
        if at > end or pg_delta == 0 or vol_delta == 0 or vol_delta > lsn or (not flags & C_NOTE and page_delta > lsn):
            raise InvariantViolation(f"redo record ending at byte {end} is malformed")
        found.append((lsn, lsn - vol_delta, NO_PAGE if flags & C_NOTE else page_no, page_prev, flags, at, end))
        pg_prev_lsn = lsn
        at = end
    return found


def index_run(
    dict chains,
    dict fresh,
    bytes data,
    unsigned long long pg_prev_lsn,
    unsigned long long after_lsn,
    unsigned long long upto_lsn,
):
    """Add a run's page records above ``after_lsn`` and at or below ``upto_lsn`` to a segment's index."""
    cdef const unsigned char* p = <const unsigned char*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t at = 0, total = len(data), end, body, held
    cdef unsigned long long length = 0, vol_delta = 0, pg_delta = 0, page_no = 0, page_delta = 0, lsn, page_prev
    cdef unsigned long long pair[2]
    cdef int flags
    cdef array.array chain
    while at < total:
        read_c(p, &at, total, &length)
        body = at
        if length == 0 or length > <unsigned long long>(total - body):
            raise InvariantViolation(f"redo record at byte {body} of {total} has length {length}")
        end = body + <Py_ssize_t>length
        flags = p[body]
        at = body + 1
        read_c(p, &at, total, &vol_delta)
        read_c(p, &at, total, &pg_delta)
        lsn = pg_prev_lsn + pg_delta
        page_prev = 0
        if not flags & C_NOTE:
            read_c(p, &at, total, &page_no)
            read_c(p, &at, total, &page_delta)
            if page_delta:
                page_prev = lsn - page_delta
        if at > end or pg_delta == 0 or vol_delta == 0 or vol_delta > lsn or (not flags & C_NOTE and page_delta > lsn):
            raise InvariantViolation(f"redo record ending at byte {end} is malformed")
        if not flags & C_NOTE and after_lsn < lsn <= upto_lsn:
            key = page_no
            found = chains.get(key)
            if found is None:
                chain = array.clone(NO_CHAIN, 1, False)
                chain.data.as_ulonglongs[0] = page_prev
                chains[key] = chain
            else:
                chain = found
                held = len(chain)
                if page_prev and chain.data.as_ulonglongs[held - 2] != page_prev:
                    raise InvariantViolation(
                        f"page {page_no}: record {lsn} follows {page_prev}, "
                        f"the last one indexed is {chain.data.as_ulonglongs[held - 2]}"
                    )
            if not page_prev:
                fresh.setdefault(key, []).append(lsn)
            pair[0] = lsn
            pair[1] = <unsigned long long>at << 32 | <unsigned long long>end
            array.extend_buffer(chain, <char*>pair, 2)
        pg_prev_lsn = lsn
        at = end


cdef int apply_c(unsigned char* page, const unsigned char* data, Py_ssize_t offset, Py_ssize_t end, unsigned long long lsn) except -1:
    cdef Py_ssize_t at = offset, head, tail
    cdef unsigned long long tag = 0, n = 0, source = 0, to
    cdef int kind
    while at < end:
        read_c(data, &at, end, &tag)
        kind = tag & 3
        to = tag >> 2
        if kind == 0:
            read_c(data, &at, end, &n)
            if n > PAGE_BYTES or to > PAGE_BYTES or to + n > PAGE_BYTES or <Py_ssize_t>n > end - at:
                raise InvariantViolation(f"PUT of {n} bytes at {to} leaves the page or the record")
            memcpy(page + to, data + at, n)
            at += n
        elif kind == 1:
            read_c(data, &at, end, &source)
            read_c(data, &at, end, &n)
            if n > PAGE_BYTES or to > PAGE_BYTES or source > PAGE_BYTES or to + n > PAGE_BYTES or source + n > PAGE_BYTES:
                raise InvariantViolation(f"MOVE of {n} bytes from {source} to {to} leaves the page")
            memmove(page + to, page + source, n)
        elif kind == 2:
            read_c(data, &at, end, &n)
            if to < C_IMAGE_FROM or to > PAGE_BYTES or n > PAGE_BYTES or to + n > PAGE_BYTES:
                raise InvariantViolation(f"IMAGE with a hole of {n} bytes at {to} does not fit")
            head = to - C_IMAGE_FROM
            tail = PAGE_BYTES - to - n
            if head + tail > end - at:
                raise InvariantViolation(f"IMAGE with a hole of {n} bytes at {to} does not fit")
            memcpy(page + C_IMAGE_FROM, data + at, head)
            memset(page + to, 0, n)
            memcpy(page + to + n, data + at + head, tail)
            at += head + tail
        else:
            raise InvariantViolation(f"redo op {kind} is unknown")
    (<unsigned long long*>page)[0] = lsn
    return 0


def check_run(
    bytes data,
    unsigned long long pg_prev_lsn,
    unsigned long long first_lsn,
    unsigned long long last_lsn,
    unsigned long long last_cpl,
    unsigned long long first_page,
    unsigned long long end_page,
):
    """InvariantViolation when ``data`` is not the run of records that is described."""
    cdef const unsigned char* p = <const unsigned char*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t at = 0, total = len(data), end, body
    cdef unsigned long long length = 0, vol_delta = 0, pg_delta = 0, page_no = 0, page_delta = 0, lsn = 0
    cdef unsigned long long first = 0, cpl = 0, strange = 0
    cdef bint outside = False
    cdef unsigned char scratch[PAGE_BYTES]
    cdef int flags
    while at < total:
        read_c(p, &at, total, &length)
        body = at
        if length == 0 or length > <unsigned long long>(total - body):
            raise InvariantViolation(f"redo record at byte {body} of {total} has length {length}")
        end = body + <Py_ssize_t>length
        flags = p[body]
        at = body + 1
        read_c(p, &at, total, &vol_delta)
        read_c(p, &at, total, &pg_delta)
        lsn = pg_prev_lsn + pg_delta
        if not flags & C_NOTE:
            read_c(p, &at, total, &page_no)
            read_c(p, &at, total, &page_delta)
        if at > end or pg_delta == 0 or vol_delta == 0 or vol_delta > lsn or (not flags & C_NOTE and page_delta > lsn):
            raise InvariantViolation(f"redo record ending at byte {end} is malformed")
        if not flags & C_NOTE:
            if not outside and not first_page <= page_no < end_page:
                outside, strange = True, page_no
            apply_c(scratch, p, at, end, lsn)
        if not first:
            first = lsn
        if flags & C_CPL:
            cpl = lsn
        pg_prev_lsn = lsn
        at = end
    if first != first_lsn or lsn != last_lsn or cpl != last_cpl:
        raise InvariantViolation(
            f"redo run {first}..{lsn}, CPL {cpl}, is not {first_lsn}..{last_lsn}, CPL {last_cpl}"
        )
    if outside:
        raise InvariantViolation(f"redo run changes page {strange}, which is not in {first_page} to {end_page - 1}")


def apply(page, data, Py_ssize_t offset, Py_ssize_t end, unsigned long long lsn):
    """Apply the ops ``data[offset:end]`` to ``page`` (8192 writable bytes) and set its LSN."""
    cdef unsigned char[::1] target = page
    cdef const unsigned char[::1] source = data
    cdef const unsigned char* p = NULL
    if target.shape[0] != PAGE_BYTES:
        raise InvariantViolation(f"page of {target.shape[0]} bytes")
    if offset < 0 or end > source.shape[0]:
        raise InvariantViolation(f"ops {offset}..{end} leave the data of {source.shape[0]} bytes")
    if source.shape[0]:
        p = &source[0]
    apply_c(&target[0], p, offset, end, lsn)


def apply_chain(page, records):
    """Apply ``(data, offset, end, lsn)`` records in order."""
    for data, offset, end, lsn in records:
        apply(page, data, offset, end, lsn)
