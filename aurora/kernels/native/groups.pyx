# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Grouping and folding of column batches, compiled. The specification is ``aurora.kernels.python.groups``."""

from os import urandom

import numpy as np

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.math cimport NAN, isfinite, isinf, isnan
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset

from aurora.errors import NumericValueOutOfRange
from aurora.kernels.python.groups import PARTS_MAX

ctypedef unsigned long long word

# Who chooses values shall not know where they go.
cdef word SEED = <word>int.from_bytes(urandom(8), "little")


cdef inline word mixed(word value) noexcept nogil:
    value ^= SEED
    value ^= value >> 32
    value *= <word>0x9E3779B97F4A7C15 ^ (SEED << 1)
    value ^= value >> 29
    value *= <word>0xBF58476D1CE4E5B9
    value ^= value >> 32
    return value


cdef class Groups:
    """Numbers of keys."""

    cdef readonly Py_ssize_t width
    cdef readonly Py_ssize_t count
    cdef Py_ssize_t slots
    cdef Py_ssize_t room
    cdef int* table
    cdef long long* keys
    cdef word* masks

    def __init__(self, Py_ssize_t width):
        if not 0 < width <= PARTS_MAX:
            raise ValueError(f"{width} parts")
        self.width = width
        self.slots = 1024
        self.room = 512
        self.table = <int*>malloc(self.slots * sizeof(int))
        self.keys = <long long*>malloc(self.room * width * sizeof(long long))
        self.masks = <word*>malloc(self.room * sizeof(word))
        if self.table == NULL or self.keys == NULL or self.masks == NULL:
            raise MemoryError()
        memset(self.table, 0xFF, self.slots * sizeof(int))

    def __dealloc__(self):
        free(self.table)
        free(self.keys)
        free(self.masks)

    cdef inline word hash_c(self, const long long* key, word mask) noexcept nogil:
        cdef Py_ssize_t k
        cdef word found = mask
        for k in range(self.width):
            found = mixed(found + <word>key[k])
        return found

    cdef int grow(self) except -1:
        cdef Py_ssize_t slots = self.slots * 2, room = self.room * 2, g
        cdef word at
        cdef int* table
        cdef void* grown
        grown = realloc(self.keys, room * self.width * sizeof(long long))
        if grown == NULL:
            raise MemoryError()
        self.keys = <long long*>grown
        grown = realloc(self.masks, room * sizeof(word))
        if grown == NULL:
            raise MemoryError()
        self.masks = <word*>grown
        table = <int*>malloc(slots * sizeof(int))
        if table == NULL:
            raise MemoryError()
        memset(table, 0xFF, slots * sizeof(int))
        for g in range(self.count):
            at = self.hash_c(self.keys + g * self.width, self.masks[g]) & <word>(slots - 1)
            while table[at] >= 0:
                at = (at + 1) & <word>(slots - 1)
            table[at] = <int>g
        free(self.table)
        self.table, self.slots, self.room = table, slots, room
        return 0

    cdef object run(self, list parts, list nulls, bint add, bint match_null):
        cdef Py_ssize_t rows, row, k, width = self.width
        cdef const long long* columns[64]
        cdef const unsigned char* flags[64]
        cdef const long long[::1] column
        cdef const unsigned char[::1] flag
        cdef long long key[64]
        cdef word mask, at
        cdef int g
        cdef bint some_null = False
        if len(parts) != width or len(nulls) != width:
            raise ValueError(f"{len(parts)} parts of {width}")
        rows = len(parts[0])
        found = np.empty(rows, np.int32)
        cdef int[::1] out = found
        for k in range(width):
            column = parts[k]
            if column.shape[0] != rows:
                raise ValueError("parts of different length")
            columns[k] = &column[0] if rows else NULL
            flags[k] = NULL
            if nulls[k] is not None:
                flag = nulls[k].view(np.uint8)
                if flag.shape[0] != rows:
                    raise ValueError("parts of different length")
                flags[k] = &flag[0] if rows else NULL
                some_null = True
        for row in range(rows):
            mask = 0
            for k in range(width):
                key[k] = columns[k][row]
                if some_null and flags[k] != NULL and flags[k][row]:
                    mask |= <word>1 << k
                    key[k] = 0
            if mask and not match_null:
                out[row] = -1
                continue
            at = self.hash_c(key, mask) & <word>(self.slots - 1)
            while True:
                g = self.table[at]
                if g < 0 or (
                    self.masks[g] == mask and memcmp(self.keys + g * width, key, width * sizeof(long long)) == 0
                ):
                    break
                at = (at + 1) & <word>(self.slots - 1)
            if g < 0 and add:
                if self.count >= self.room:
                    self.grow()
                    at = self.hash_c(key, mask) & <word>(self.slots - 1)
                    while self.table[at] >= 0:
                        at = (at + 1) & <word>(self.slots - 1)
                g = <int>self.count
                self.table[at] = g
                self.masks[g] = mask
                memcpy(self.keys + g * width, key, width * sizeof(long long))
                self.count += 1
            out[row] = g
        return found

    def assign(self, parts, nulls, bint match_null):
        """The number of each row's key, which is added if it is new. Without ``match_null`` a row with a NULL has -1."""
        return self.run(list(parts), list(nulls), True, match_null)

    def find(self, parts, nulls, bint match_null=False):
        """The number of each row's key; -1 where it is not known, and without ``match_null`` of a row with a NULL."""
        return self.run(list(parts), list(nulls), False, match_null)

    def part(self, Py_ssize_t place):
        """(values, nulls) of one part, by group."""
        cdef Py_ssize_t g
        cdef bint some_null = False
        values = np.empty(self.count, np.int64)
        nulls = np.empty(self.count, np.uint8)
        cdef long long[::1] out = values
        cdef unsigned char[::1] flags = nulls
        if not 0 <= place < self.width:
            raise IndexError(f"part {place}")
        for g in range(self.count):
            out[g] = self.keys[g * self.width + place]
            flags[g] = (self.masks[g] >> place) & 1
            some_null = some_null or flags[g]
        return values, nulls.view(np.bool_) if some_null else None


cdef class Texts:
    """Numbers of texts."""

    cdef bint padded
    cdef Py_ssize_t count
    cdef Py_ssize_t slots
    cdef Py_ssize_t room
    cdef int* table
    cdef word* hashes
    cdef long long* ends
    cdef char* pool
    cdef Py_ssize_t pool_room

    def __init__(self, bint padded):
        self.padded = padded
        self.slots = 1024
        self.room = 512
        self.pool_room = 65536
        self.table = <int*>malloc(self.slots * sizeof(int))
        self.hashes = <word*>malloc(self.room * sizeof(word))
        self.ends = <long long*>calloc(self.room + 1, sizeof(long long))
        self.pool = <char*>malloc(self.pool_room)
        if self.table == NULL or self.hashes == NULL or self.ends == NULL or self.pool == NULL:
            raise MemoryError()
        memset(self.table, 0xFF, self.slots * sizeof(int))

    def __dealloc__(self):
        free(self.table)
        free(self.hashes)
        free(self.ends)
        free(self.pool)

    @property
    def size_bytes(self):
        """What the texts take."""
        return self.ends[self.count]

    cdef inline Py_ssize_t length(self, const char* at, Py_ssize_t n) noexcept nogil:
        while self.padded and n and at[n - 1] == c" ":
            n -= 1
        return n

    cdef inline word hash_c(self, const char* at, Py_ssize_t n) noexcept nogil:
        cdef word found = <word>n, part
        while n >= 8:
            memcpy(&part, at, 8)
            found = mixed(found ^ part)
            at += 8
            n -= 8
        if n:
            part = 0
            memcpy(&part, at, n)
            found = mixed(found ^ part)
        return found

    cdef int grow(self) except -1:
        cdef Py_ssize_t slots = self.slots * 2, room = self.room * 2, g
        cdef word at
        cdef int* table
        cdef void* grown = realloc(self.hashes, room * sizeof(word))
        if grown == NULL:
            raise MemoryError()
        self.hashes = <word*>grown
        grown = realloc(self.ends, (room + 1) * sizeof(long long))
        if grown == NULL:
            raise MemoryError()
        self.ends = <long long*>grown
        table = <int*>malloc(slots * sizeof(int))
        if table == NULL:
            raise MemoryError()
        memset(table, 0xFF, slots * sizeof(int))
        for g in range(self.count):
            at = self.hashes[g] & <word>(slots - 1)
            while table[at] >= 0:
                at = (at + 1) & <word>(slots - 1)
            table[at] = <int>g
        free(self.table)
        self.table, self.slots, self.room = table, slots, room
        return 0

    cdef int add(self, const char* text, Py_ssize_t n, word hash_) except -1:
        cdef Py_ssize_t used = <Py_ssize_t>self.ends[self.count], room
        cdef char* grown
        if used + n > self.pool_room:
            room = max(2 * self.pool_room, used + n)
            grown = <char*>realloc(self.pool, room)
            if grown == NULL:
                raise MemoryError()
            self.pool = grown
            self.pool_room = room
        if self.count >= self.room:
            self.grow()
        memcpy(self.pool + used, text, n)
        self.hashes[self.count] = hash_
        self.ends[self.count + 1] = used + n
        self.count += 1
        return <int>(self.count - 1)

    cdef object run(self, bytes pool, const long long[::1] offsets, object nulls, bint add):
        cdef const char* base = PyBytes_AS_STRING(pool)
        cdef const char* text
        cdef const unsigned char[::1] view
        cdef const unsigned char* flags = NULL
        cdef Py_ssize_t rows = offsets.shape[0] - 1, row, n, m
        cdef word hash_, at
        cdef int g
        found = np.empty(rows, np.int64)
        cdef long long[::1] out = found
        if nulls is not None and rows:
            view = nulls.view(np.uint8)
            flags = &view[0]
        for row in range(rows):
            if flags != NULL and flags[row]:
                out[row] = 0
                continue
            text = base + offsets[row]
            n = self.length(text, <Py_ssize_t>(offsets[row + 1] - offsets[row]))
            hash_ = self.hash_c(text, n)
            at = hash_ & <word>(self.slots - 1)
            while True:
                g = self.table[at]
                if g < 0:
                    break
                if self.hashes[g] == hash_:
                    m = self.length(self.pool + self.ends[g], <Py_ssize_t>(self.ends[g + 1] - self.ends[g]))
                    if m == n and memcmp(self.pool + self.ends[g], text, n) == 0:
                        break
                at = (at + 1) & <word>(self.slots - 1)
            if g < 0 and add:
                g = self.add(text, <Py_ssize_t>(offsets[row + 1] - offsets[row]), hash_)
                at = hash_ & <word>(self.slots - 1)
                while self.table[at] >= 0:
                    at = (at + 1) & <word>(self.slots - 1)
                self.table[at] = g
            out[row] = g
        return found

    def assign(self, bytes pool not None, const long long[::1] offsets not None, nulls):
        """The number of each text, which is added if it is new; 0 for a NULL."""
        return self.run(pool, offsets, nulls, True)

    def find(self, bytes pool not None, const long long[::1] offsets not None, nulls):
        """The number of each text, -1 where it is not known; 0 for a NULL."""
        return self.run(pool, offsets, nulls, False)

    def taken(self, const long long[::1] numbers not None):
        """(pool, offsets) of the texts of these numbers."""
        cdef Py_ssize_t i, n = numbers.shape[0], size
        cdef long long g, total = 0
        offsets = np.zeros(n + 1, np.int64)
        cdef long long[::1] out = offsets
        cdef bytes data
        cdef char* to
        if not self.count:
            return b"", offsets
        for i in range(n):
            g = numbers[i]
            if not 0 <= g < self.count:
                raise IndexError(f"text {g}")
            total += self.ends[g + 1] - self.ends[g]
            out[i + 1] = total
        data = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>total)
        to = PyBytes_AS_STRING(data)
        for i in range(n):
            g = numbers[i]
            size = <Py_ssize_t>(self.ends[g + 1] - self.ends[g])
            memcpy(to + out[i], self.pool + self.ends[g], size)
        return data, offsets


def text_hashes(bytes pool not None, const long long[::1] offsets not None, bint padded, word seed):
    """A hash of each text (FNV-1a from ``seed`` on). ``padded``: without the blanks at its end."""
    cdef const unsigned char* base = <const unsigned char*>PyBytes_AS_STRING(pool)
    cdef Py_ssize_t rows = offsets.shape[0] - 1, row
    cdef long long at, end
    cdef word hash_
    found = np.empty(rows, np.uint64)
    cdef word[::1] out = found
    for row in range(rows):
        at, end = offsets[row], offsets[row + 1]
        while padded and end > at and base[end - 1] == c" ":
            end -= 1
        hash_ = seed
        while at < end:
            hash_ = (hash_ ^ base[at]) * <word>0x100000001B3
            at += 1
        out[row] = hash_
    return found


# Folds.

cdef struct Rows:
    const int* groups
    const unsigned char* nulls
    Py_ssize_t count


cdef int rows_of(object groups, object nulls, Py_ssize_t rows, Py_ssize_t states, Rows* out) except -1:
    # Checks that every group has a state.
    cdef const int[::1] numbers
    cdef const unsigned char[::1] flags
    cdef Py_ssize_t row
    out.count = rows
    out.groups = NULL
    out.nulls = NULL
    if nulls is not None and rows:
        flags = nulls.view(np.uint8)
        if flags.shape[0] != rows:
            raise ValueError("nulls of another length")
        out.nulls = &flags[0]
    if groups is not None and rows:
        numbers = groups
        if numbers.shape[0] != rows:
            raise ValueError("groups of another length")
        out.groups = &numbers[0]
        for row in range(rows):
            if not 0 <= out.groups[row] < states:
                raise IndexError(f"group {out.groups[row]}")
    elif rows and not states:
        raise IndexError("no state")
    return 0


def count_into(groups, Py_ssize_t rows, nulls, long long[::1] counts not None):
    """Count the rows that are not NULL."""
    cdef Rows each
    cdef Py_ssize_t row
    rows_of(groups, nulls, rows, counts.shape[0], &each)
    for row in range(each.count):
        if each.nulls == NULL or not each.nulls[row]:
            counts[each.groups[row] if each.groups != NULL else 0] += 1


def sum_into(
    groups, const long long[::1] values not None, nulls, word[::1] low not None, long long[::1] high not None,
    long long[::1] counts not None
):
    """Sums of 128 bits in two words, and how many values there were."""
    cdef Rows each
    cdef Py_ssize_t row
    cdef Py_ssize_t g
    cdef word before, after
    cdef long long value
    rows_of(groups, nulls, values.shape[0], min(low.shape[0], high.shape[0], counts.shape[0]), &each)
    for row in range(each.count):
        if each.nulls != NULL and each.nulls[row]:
            continue
        g = each.groups[row] if each.groups != NULL else 0
        value = values[row]
        before = low[g]
        after = before + <word>value
        low[g] = after
        high[g] += (after < before) - (value < 0)
        counts[g] += 1


def sum_floats_into(
    groups, const double[::1] values not None, nulls, double[::1] sums not None, long long[::1] counts not None
):
    """Errors: 22003."""
    cdef Rows each
    cdef Py_ssize_t row, g
    cdef double value, total
    rows_of(groups, nulls, values.shape[0], min(sums.shape[0], counts.shape[0]), &each)
    for row in range(each.count):
        if each.nulls != NULL and each.nulls[row]:
            continue
        g = each.groups[row] if each.groups != NULL else 0
        value = values[row]
        total = sums[g] + value if counts[g] else value
        if isinf(total) and not isinf(sums[g]) and not isinf(value):
            raise NumericValueOutOfRange("value out of range: overflow")
        sums[g] = total
        counts[g] += 1


def moments_into(
    groups, const double[::1] values not None, nulls, double[::1] sums not None, double[::1] spreads not None,
    long long[::1] counts not None
):
    """Sums, and sums of squared distances from the mean (Youngs and Cramer). Errors: 22003."""
    cdef Rows each
    cdef Py_ssize_t row, g
    cdef double value, total, spread, rest, n
    rows_of(groups, nulls, values.shape[0], min(sums.shape[0], spreads.shape[0], counts.shape[0]), &each)
    for row in range(each.count):
        if each.nulls != NULL and each.nulls[row]:
            continue
        g = each.groups[row] if each.groups != NULL else 0
        value = values[row]
        n = <double>counts[g]
        total = sums[g] + value
        spread = spreads[g]
        if counts[g]:
            rest = value * (n + 1.0) - total
            spread += rest * rest / ((n + 1.0) * n)
            if isinf(total) or isinf(spread):
                if not isinf(sums[g]) and not isinf(value):
                    raise NumericValueOutOfRange("value out of range: overflow")
                spread = NAN
        elif not isfinite(value):
            spread = NAN
        sums[g] = total
        spreads[g] = spread
        counts[g] += 1


def extreme_into(
    groups, const long long[::1] values not None, nulls, long long[::1] best not None, long long[::1] counts not None,
    bint greatest
):
    """The least or greatest value."""
    cdef Rows each
    cdef Py_ssize_t row, g
    cdef long long value
    rows_of(groups, nulls, values.shape[0], min(best.shape[0], counts.shape[0]), &each)
    for row in range(each.count):
        if each.nulls != NULL and each.nulls[row]:
            continue
        g = each.groups[row] if each.groups != NULL else 0
        value = values[row]
        if not counts[g] or (value > best[g] if greatest else value < best[g]):
            best[g] = value
        counts[g] += 1


def extreme_floats_into(
    groups, const double[::1] values not None, nulls, double[::1] best not None, long long[::1] counts not None,
    bint greatest
):
    """The least or greatest value; NaN is above all. Of equal ones, such as zeros, the last."""
    cdef Rows each
    cdef Py_ssize_t row, g
    cdef double value, known
    cdef bint above, below
    rows_of(groups, nulls, values.shape[0], min(best.shape[0], counts.shape[0]), &each)
    for row in range(each.count):
        if each.nulls != NULL and each.nulls[row]:
            continue
        g = each.groups[row] if each.groups != NULL else 0
        value = values[row]
        known = best[g]
        above = (isnan(value) and not isnan(known)) or value > known
        below = (isnan(known) and not isnan(value)) or value < known
        if not counts[g] or not (below if greatest else above):
            best[g] = value
        counts[g] += 1
