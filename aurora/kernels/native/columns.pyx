# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Rows by column, compiled. The specification is ``aurora.kernels.python.columns``."""

import numpy as np

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset

from aurora.kernels.native.tuples cimport (
    HEADER,
    M_HAS_NULL,
    M_NATTS,
    O_INFOMASK,
    Projection,
    RowCodec,
    T_EXTERNAL,
    T_PLAIN,
    T_SHORT,
    Toasted,
    fixed_width,
    value_width,
)
from aurora.kernels.native.values cimport SCALE_OF_NARROW_MAX, made_narrow
from aurora.kernels.python.columns import BATCH_ROWS as _BATCH_ROWS
from aurora.kernels.python.columns import FETCH_ROWS_MAX as _FETCH_ROWS_MAX
from aurora.kernels.python.columns import PAGE_ROWS_MAX as _PAGE_ROWS_MAX
from aurora.kernels.python.columns import decimal_of, unscaled

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    object PyUnicode_DecodeUTF8(const char* data, Py_ssize_t size, const char* errors)

cdef extern from "string.h" nogil:
    void* memmem(const void* haystack, size_t haystacklen, const void* needle, size_t needlelen)

BATCH_ROWS = _BATCH_ROWS
cdef Py_ssize_t ROWS = _BATCH_ROWS
cdef Py_ssize_t ROOM = _BATCH_ROWS + max(_PAGE_ROWS_MAX, _FETCH_ROWS_MAX)


cdef class Columns:
    """Rows of a scan, gathered by column."""

    def __init__(self, Projection projection not None, str kinds):
        cdef Py_ssize_t k, at
        cdef bytes text = kinds.encode("ascii")
        cdef RowCodec codec = projection.codec
        self.width = len(projection.columns)
        if projection.want_tid or projection.has_system or self.width != len(kinds):
            raise ValueError("columns of the table only, and one kind for each")
        self.projection = projection
        self.kinds = kinds
        self.room = ROOM
        n = max(self.width, 1)
        self.kind = <char*>malloc(n)
        self.order = <int*>malloc(n * sizeof(int))
        self.fixed_at = <int*>malloc(n * sizeof(int))
        self.data = <void**>malloc(n * sizeof(void*))
        self.nulls = <unsigned char**>malloc(n * sizeof(void*))
        self.scales = <short**>malloc(n * sizeof(void*))
        self.some_null = <bint*>malloc(n * sizeof(bint))
        self.pool = <char**>malloc(n * sizeof(void*))
        self.pool_used = <Py_ssize_t*>malloc(n * sizeof(Py_ssize_t))
        self.pool_room = <Py_ssize_t*>malloc(n * sizeof(Py_ssize_t))
        if (
            self.kind == NULL or self.order == NULL or self.fixed_at == NULL or self.data == NULL or self.nulls == NULL
            or self.scales == NULL or self.some_null == NULL or self.pool == NULL or self.pool_used == NULL
            or self.pool_room == NULL
        ):
            raise MemoryError()
        memset(self.pool, 0, n * sizeof(void*))
        memset(self.pool_room, 0, n * sizeof(Py_ssize_t))
        by_attno = sorted(range(self.width), key=lambda place: projection.attnos[place])
        for k in range(self.width):
            self.kind[k] = text[k]
            self.order[k] = by_attno[k]
            if k and projection.attnos[by_attno[k]] == projection.attnos[by_attno[k - 1]]:
                raise ValueError("a column is there twice")
            # Where the value stands when no column before it is NULL or of variable length.
            at = 0
            for before in range(projection.attnos[by_attno[k]] - 1):
                if fixed_width(codec.code[before]) == 0:
                    at = -1
                    break
                at += fixed_width(codec.code[before])
            self.fixed_at[k] = <int>at
        self.prepare()

    def __dealloc__(self):
        cdef Py_ssize_t k
        if self.pool != NULL:
            for k in range(self.width):
                free(self.pool[k])
        free(self.kind)
        free(self.order)
        free(self.fixed_at)
        free(self.data)
        free(self.nulls)
        free(self.scales)
        free(self.some_null)
        free(self.pool)
        free(self.pool_used)
        free(self.pool_room)

    cdef int prepare(self) except -1:
        # Fresh arrays: those before belong to who has taken them.
        cdef Py_ssize_t k
        cdef long long[::1] ints
        cdef double[::1] reals
        cdef unsigned char[::1] bytes_
        cdef short[::1] shorts
        self.count = 0
        self.arrays = []
        self.null_arrays = []
        self.scale_arrays = []
        self.odd = [[] for _ in range(self.width)]
        for k in range(self.width):
            self.some_null[k] = False
            self.pool_used[k] = 0
            self.scales[k] = NULL
            self.data[k] = NULL
            scales = None
            if self.kind[k] == c"o":
                self.arrays.append([])
            elif self.kind[k] == c"f":
                array = np.empty(self.room, np.float64)
                reals = array
                self.data[k] = &reals[0]
                self.arrays.append(array)
            elif self.kind[k] == c"b":
                array = np.empty(self.room, np.uint8)
                bytes_ = array
                self.data[k] = &bytes_[0]
                self.arrays.append(array)
            else:
                array = np.empty(self.room + 1, np.int64)
                ints = array
                self.data[k] = &ints[0]
                ints[0] = 0
                self.arrays.append(array)
                if self.kind[k] == c"n":
                    scales = np.empty(self.room, np.int16)
                    shorts = scales
                    self.scales[k] = &shorts[0]
            self.scale_arrays.append(scales)
            nulls = np.zeros(self.room, np.uint8)
            bytes_ = nulls
            self.nulls[k] = &bytes_[0]
            self.null_arrays.append(nulls)
        return 0

    @property
    def is_full(self):
        """Whether a batch is complete."""
        return self.count >= ROWS

    cdef int begin_page(self, Py_ssize_t rows) except -1:
        if self.count + rows > self.room:
            raise ValueError("take what is there first")
        self.mark = self.count
        return 0

    cdef int undo_page(self) except -1:
        # The rows of a page that has to be read again.
        cdef Py_ssize_t k
        for k in range(self.width):
            memset(self.nulls[k] + self.mark, 0, self.count - self.mark)
            if self.kind[k] == c"o":
                del (<list>self.arrays[k])[self.mark:]
            elif self.kind[k] == c"s":
                self.pool_used[k] = <Py_ssize_t>(<long long*>self.data[k])[self.mark]
            self.odd[k] = [each for each in <list>self.odd[k] if each[0] < self.mark]
        self.count = self.mark
        return 0

    cdef int put_null(self, Py_ssize_t k) except -1:
        cdef char kind = self.kind[k]
        if kind == c"o":
            (<list>self.arrays[k]).append(None)
            return 0
        self.nulls[k][self.count] = 1
        self.some_null[k] = True
        if kind == c"b":
            (<unsigned char*>self.data[k])[self.count] = 0
        elif kind == c"f":
            (<double*>self.data[k])[self.count] = 0.0
        elif kind == c"s":
            (<long long*>self.data[k])[self.count + 1] = self.pool_used[k]
        else:
            (<long long*>self.data[k])[self.count] = 0
            if kind == c"n":
                self.scales[k][self.count] = 0
        return 0

    cdef int put_odd(self, Py_ssize_t k, object value) except -1:
        # A value that has no place in the column's form.
        self.put_null(k)
        (<list>self.odd[k]).append((self.count, value))
        return 0

    cdef int put_text(self, Py_ssize_t k, const char* text, Py_ssize_t n) except -1:
        cdef Py_ssize_t used = self.pool_used[k], room = self.pool_room[k]
        cdef char* grown
        if used + n > room:
            room = max(2 * room, used + n + 65536)
            grown = <char*>realloc(self.pool[k], room)
            if grown == NULL:
                raise MemoryError()
            self.pool[k] = grown
            self.pool_room[k] = room
        memcpy(self.pool[k] + used, text, n)
        self.pool_used[k] = used + n
        (<long long*>self.data[k])[self.count + 1] = used + n
        return 0

    cdef int put_value(self, Py_ssize_t k, Py_ssize_t i, const unsigned char* at, Py_ssize_t n) except -1:
        cdef RowCodec codec = self.projection.codec
        cdef char kind = self.kind[k], code = codec.code[i]
        cdef long long number
        cdef int small
        cdef short tiny
        cdef unsigned int unsigned_number
        cdef double real
        cdef float single
        cdef Py_ssize_t size, j
        cdef unsigned short scale
        cdef unsigned long long word
        cdef const unsigned char* start
        if kind == c"i":
            if code == c"i":
                memcpy(&small, at, 4)
                number = small
            elif code == c"q":
                memcpy(&number, at, 8)
            elif code == c"h":
                memcpy(&tiny, at, 2)
                number = tiny
            else:
                memcpy(&unsigned_number, at, 4)
                number = unsigned_number
            (<long long*>self.data[k])[self.count] = number
        elif kind == c"f":
            if code == c"d":
                memcpy(&real, at, 8)
            else:
                memcpy(&single, at, 4)
                real = single
            (<double*>self.data[k])[self.count] = real
        elif kind == c"b":
            (<unsigned char*>self.data[k])[self.count] = at[0] != 0
        elif kind == c"o":
            (<list>self.arrays[k]).append(codec.value_c(i, at, n))
        elif at[0] >= T_PLAIN:
            self.put_odd(k, codec.handle_c(i, at))
        else:
            size = 1 if at[0] < T_SHORT else 2
            start = at + size
            size = n - size
            if kind == c"s":
                self.put_text(k, <const char*>start, size)
            else:
                memcpy(&scale, start, 2)
                if scale >= 0x8000 or not 3 <= size <= 10:
                    self.put_odd(k, codec.value_c(i, at, n))
                else:
                    word = <unsigned long long>(<long long>(<signed char>start[size - 1]))
                    for j in range(size - 2, 1, -1):
                        word = (word << 8) | start[j]
                    (<long long*>self.data[k])[self.count] = <long long>word
                    self.scales[k][self.count] = <short>scale
        return 0

    cdef int put_object(self, Py_ssize_t k, object value) except -1:
        # A value that is not in the row: the column was added later.
        cdef char kind = self.kind[k]
        cdef const char* text
        cdef Py_ssize_t n
        if value is None:
            return self.put_null(k)
        if kind == c"o":
            (<list>self.arrays[k]).append(value)
        elif kind == c"i":
            (<long long*>self.data[k])[self.count] = value
        elif kind == c"f":
            (<double*>self.data[k])[self.count] = value
        elif kind == c"b":
            (<unsigned char*>self.data[k])[self.count] = 1 if value else 0
        elif kind == c"s" and type(value) is str:
            text = PyUnicode_AsUTF8AndSize(value, &n)
            self.put_text(k, text, n)
        else:
            parts = unscaled(value) if kind == c"n" and type(value) is not Toasted else None
            if parts is None:
                self.put_odd(k, value)
            else:
                (<long long*>self.data[k])[self.count] = parts[0]
                self.scales[k][self.count] = parts[1]
        return 0

    cdef int put_c(self, const unsigned char* tup) except -1:
        # A damaged page may have more rows than fit one.
        if self.count >= self.room:
            raise ValueError("take what is there first")
        cdef RowCodec codec = self.projection.codec
        cdef unsigned short infomask
        cdef Py_ssize_t natts, k, place, i, n, attno, walked = 0
        cdef const unsigned char* base = tup + HEADER
        cdef const unsigned char* at
        cdef const unsigned char* bits = NULL
        memcpy(&infomask, tup + O_INFOMASK, 2)
        natts = infomask & M_NATTS
        if infomask & M_HAS_NULL:
            bits = base
            base += (natts + 7) >> 3
        at = base
        for k in range(self.width):
            place = self.order[k]
            attno = self.projection.attnos[place] - 1
            if attno >= natts:
                self.put_object(place, codec.missing[attno])
                continue
            if bits == NULL:
                if self.fixed_at[k] >= 0:
                    at = base + self.fixed_at[k]
                    walked = attno
                while walked < attno:
                    at += value_width(codec.code[walked], at)
                    walked += 1
            else:
                while walked < attno:
                    if not (bits[walked >> 3] >> (walked & 7)) & 1:
                        at += value_width(codec.code[walked], at)
                    walked += 1
                if (bits[attno >> 3] >> (attno & 7)) & 1:
                    self.put_null(place)
                    continue
            n = value_width(codec.code[attno], at)
            self.put_value(place, attno, at, n)
        self.count += 1
        return 0

    def put(self, page, Py_ssize_t offset):
        """Add the tuple image at ``offset``."""
        cdef const unsigned char[::1] view = page
        self.mark = self.count
        self.put_c(&view[offset])

    def undo(self, Py_ssize_t count):
        """Forget all but the first ``count`` rows."""
        self.mark = count
        self.undo_page()

    def take(self):
        """The columns of the rows that were put since."""
        cdef Py_ssize_t k, n = self.count
        cdef list found = []
        for k in range(self.width):
            kind = chr(self.kind[k])
            nulls = (<object>self.null_arrays[k])[:n].view(np.bool_) if self.some_null[k] else None
            if nulls is not None and not nulls.any():
                nulls = None
            values = self.arrays[k]
            if kind == "o":
                found.append((kind, values))
            elif self.odd[k]:
                found.append(("o", self._objects(k, kind, nulls)))
            elif kind == "n":
                found.append((kind, values[:n], (<object>self.scale_arrays[k])[:n], nulls))
            elif kind == "s":
                pool = PyBytes_FromStringAndSize(self.pool[k], self.pool_used[k])
                found.append((kind, pool, values[: n + 1], nulls))
            elif kind == "b":
                found.append((kind, values[:n].view(np.bool_), nulls))
            else:
                found.append((kind, values[:n], nulls))
        self.prepare()
        return found

    def _objects_of(self, Py_ssize_t k, str kind):
        cdef Py_ssize_t n = self.count
        if kind == "s":
            pool = PyBytes_FromStringAndSize(self.pool[k], self.pool_used[k])
            return strings(pool, (<object>self.arrays[k])[: n + 1])
        return decimals((<object>self.arrays[k])[:n], (<object>self.scale_arrays[k])[:n])

    def _objects(self, Py_ssize_t k, str kind, nulls):
        values = self._objects_of(k, kind)
        if nulls is not None:
            for row in np.flatnonzero(nulls):
                values[row] = None
        for row, value in <list>self.odd[k]:
            values[row] = value
        return values


def strings(bytes pool not None, const long long[::1] offsets not None):
    """The texts between the offsets."""
    cdef const char* base = PyBytes_AS_STRING(pool)
    cdef Py_ssize_t i
    cdef list found = []
    for i in range(offsets.shape[0] - 1):
        found.append(PyUnicode_DecodeUTF8(base + offsets[i], <Py_ssize_t>(offsets[i + 1] - offsets[i]), NULL))
    return found


def gathered(bytes pool not None, const long long[::1] offsets not None, const long long[::1] rows not None):
    """(pool, offsets) of these rows alone."""
    cdef Py_ssize_t i, n = rows.shape[0], size
    cdef long long total = 0, row
    cdef const char* base = PyBytes_AS_STRING(pool)
    ends = np.empty(n + 1, np.int64)
    cdef long long[::1] out = ends
    cdef bytes data
    cdef char* to
    out[0] = 0
    for i in range(n):
        row = rows[i]
        total += offsets[row + 1] - offsets[row]
        out[i + 1] = total
    data = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>total)
    to = PyBytes_AS_STRING(data)
    for i in range(n):
        row = rows[i]
        size = <Py_ssize_t>(offsets[row + 1] - offsets[row])
        memcpy(to + out[i], base + offsets[row], size)
    return data, ends


cdef inline Py_ssize_t without_blanks(const char* at, Py_ssize_t n, bint padded) noexcept nogil:
    while padded and n and at[n - 1] == c" ":
        n -= 1
    return n


def equal_to(bytes pool not None, const long long[::1] offsets not None, bytes text not None, bint padded):
    """Which of the texts are ``text``; ``padded``: blanks at the end do not count."""
    cdef const char* base = PyBytes_AS_STRING(pool)
    cdef const char* wanted = PyBytes_AS_STRING(text)
    cdef Py_ssize_t size, n = without_blanks(wanted, PyBytes_GET_SIZE(text), padded), i, rows = offsets.shape[0] - 1
    found = np.empty(rows, np.uint8)
    cdef unsigned char[::1] out = found
    for i in range(rows):
        size = without_blanks(base + offsets[i], <Py_ssize_t>(offsets[i + 1] - offsets[i]), padded)
        out[i] = size == n and memcmp(base + offsets[i], wanted, n) == 0
    return found.view(np.bool_)


def pairwise_equal(
    bytes pool not None, const long long[::1] offsets not None, bytes other not None,
    const long long[::1] other_offsets not None, bint padded
):
    """Which texts are the same, row by row."""
    cdef const char* a = PyBytes_AS_STRING(pool)
    cdef const char* b = PyBytes_AS_STRING(other)
    cdef Py_ssize_t i, n, m, rows = offsets.shape[0] - 1
    found = np.empty(rows, np.uint8)
    cdef unsigned char[::1] out = found
    for i in range(rows):
        n = without_blanks(a + offsets[i], <Py_ssize_t>(offsets[i + 1] - offsets[i]), padded)
        m = without_blanks(b + other_offsets[i], <Py_ssize_t>(other_offsets[i + 1] - other_offsets[i]), padded)
        out[i] = n == m and memcmp(a + offsets[i], b + other_offsets[i], n) == 0
    return found.view(np.bool_)


def like(bytes pool not None, const long long[::1] offsets not None, tuple parts not None):
    """Which texts are the first part, anything, the next part, anything … and the last part at their end."""
    cdef const char* base = PyBytes_AS_STRING(pool)
    cdef Py_ssize_t rows = offsets.shape[0] - 1, i, k, count = len(parts), size
    cdef const char* at
    cdef const char* end
    cdef const char** texts = <const char**>malloc(count * sizeof(char*))
    cdef Py_ssize_t* sizes = <Py_ssize_t*>malloc(count * sizeof(Py_ssize_t))
    cdef bint matches
    found = np.empty(rows, np.uint8)
    cdef unsigned char[::1] out = found
    if texts == NULL or sizes == NULL:
        free(texts)
        free(sizes)
        raise MemoryError()
    try:
        for k in range(count):
            texts[k] = PyBytes_AS_STRING(<bytes>parts[k])
            sizes[k] = PyBytes_GET_SIZE(<bytes>parts[k])
        for i in range(rows):
            at = base + offsets[i]
            end = base + offsets[i + 1]
            if count == 1:
                out[i] = end - at == sizes[0] and memcmp(at, texts[0], sizes[0]) == 0
                continue
            size = sizes[0] + sizes[count - 1]
            matches = (
                end - at >= size
                and memcmp(at, texts[0], sizes[0]) == 0
                and memcmp(end - sizes[count - 1], texts[count - 1], sizes[count - 1]) == 0
            )
            if matches:
                at += sizes[0]
                end -= sizes[count - 1]
                for k in range(1, count - 1):
                    if not sizes[k]:
                        continue
                    at = <const char*>memmem(at, end - at, texts[k], sizes[k])
                    if at == NULL:
                        matches = False
                        break
                    at += sizes[k]
            out[i] = matches
    finally:
        free(texts)
        free(sizes)
    return found.view(np.bool_)


def decimals(const long long[::1] numbers not None, const short[::1] scales not None):
    """Numerics of unscaled values."""
    cdef Py_ssize_t i
    cdef list found = []
    for i in range(numbers.shape[0]):
        found.append(decimal_c(numbers[i], scales[i]))
    return found


cdef object decimal_c(long long number, int scale):
    if scale > SCALE_OF_NARROW_MAX:
        return decimal_of(number, scale)
    if number < 0:
        return made_narrow(0 - <unsigned long long>number, scale, True)
    return made_narrow(<unsigned long long>number, scale, False)


def unscaled_each(values not None):
    """``unscaled`` of all, zeros for NULL; None when one of them has no such form."""
    cdef Py_ssize_t i, k, size, rows = len(values)
    cdef unsigned long long number
    cdef int digits, scale
    cdef bint negative, point, plain
    cdef const char* at
    cdef str text
    numbers = np.zeros(rows, np.int64)
    scales = np.zeros(rows, np.int16)
    cdef long long[::1] out = numbers
    cdef short[::1] shown = scales
    for i in range(rows):
        value = values[i]
        if value is None:
            continue
        text = str(value)
        at = PyUnicode_AsUTF8AndSize(text, &size)
        negative = at[0] == c"-"
        number = 0
        digits = scale = 0
        point = False
        plain = size <= 20
        for k in range(1 if negative else 0, size if plain else 0):
            if c"0" <= at[k] <= c"9":
                number = number * 10 + <unsigned long long>(at[k] - c"0")
                digits += 1
                scale += point
            elif at[k] == c"." and not point:
                point = True
            else:
                plain = False
                break
        if plain and 0 < digits <= 18:
            out[i] = -<long long>number if negative else <long long>number
            shown[i] = <short>scale
            continue
        # In scientific notation, or of many digits.
        parts = unscaled(value)
        if parts is None:
            return None
        out[i] = parts[0]
        shown[i] = parts[1]
    return numbers, scales
