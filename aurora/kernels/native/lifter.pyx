# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The literal lifter, compiled; ``aurora.kernels.python.lifter`` is the specification."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memchr, memcpy

MAX_BYTES = 16384
MAX_LITERALS = 256

cdef unsigned char CLASS[256]
# 1 white space, 2 digit, 4 starts a word, 8 goes on in a word

cdef void fill_classes() noexcept:
    cdef int i
    for i in range(256):
        CLASS[i] = 0
        if i == 32 or 9 <= i <= 13:
            CLASS[i] |= 1
        if 48 <= i <= 57:
            CLASS[i] |= 2 | 8
        if 65 <= i <= 90 or 97 <= i <= 122 or i == 95 or i >= 128:
            CLASS[i] |= 4 | 8
        if i == 36:
            CLASS[i] |= 8

fill_classes()


cdef bint first_word_ok(const unsigned char* p, Py_ssize_t length) noexcept:
    cdef const char* word
    cdef Py_ssize_t i
    cdef unsigned char c = p[0] & 0xDF
    if c == 83 and length == 6:
        word = "SELECT"
    elif c == 73 and length == 6:
        word = "INSERT"
    elif c == 85 and length == 6:
        word = "UPDATE"
    elif c == 68 and length == 6:
        word = "DELETE"
    elif c == 87 and length == 4:
        word = "WITH"
    elif c == 86 and length == 6:
        word = "VALUES"
    else:
        return False
    for i in range(length):
        c = p[i]
        if 97 <= c <= 122:
            c -= 32
        if c != <unsigned char>word[i]:
            return False
    return True


cdef object lex(bytes sql, list offsets):
    cdef Py_ssize_t size = PyBytes_GET_SIZE(sql)
    cdef const unsigned char* p = <const unsigned char*>PyBytes_AS_STRING(sql)
    cdef unsigned char key[49200]
    cdef unsigned char text[16400]
    cdef Py_ssize_t at = 0, start, used = 0, length, look
    cdef unsigned char c
    cdef const unsigned char* close
    cdef bint first_word = True, integral
    cdef long long value
    cdef int depth
    cdef list literals = []
    cdef int count = 0
    if size > 16384:
        return None
    while at < size:
        c = p[at]
        if CLASS[c] & 4:
            start = at
            while at < size and CLASS[p[at]] & 8:
                at += 1
            length = at - start
            if first_word:
                if not first_word_ok(p + start, length):
                    return None
                first_word = False
            if at < size and p[at] == 39:
                return None
            if at < size and p[at] == 38 and length == 1 and (c == 117 or c == 85):
                return None
            memcpy(key + used, p + start, length)
            used += length
        elif CLASS[c] & 2 or (c == 46 and at + 1 < size and CLASS[p[at + 1]] & 2):
            start = at
            value = 0
            while at < size and CLASS[p[at]] & 2:
                if at - start < 18:
                    value = value * 10 + (p[at] - 48)
                at += 1
            integral = True
            if at < size and p[at] == 46:
                if at + 1 < size and p[at + 1] == 46:
                    return None
                integral = False
                at += 1
                while at < size and CLASS[p[at]] & 2:
                    at += 1
            if at < size and (p[at] == 101 or p[at] == 69):
                integral = False
                at += 1
                if at < size and (p[at] == 43 or p[at] == 45):
                    at += 1
                if at >= size or not CLASS[p[at]] & 2:
                    return None
                while at < size and CLASS[p[at]] & 2:
                    at += 1
            if at < size and (CLASS[p[at]] & 8 or p[at] == 46):
                return None
            length = at - start
            key[used] = 0
            if integral and length <= 18:
                if value == 2147483648LL:
                    return None
                literals.append(value)
                key[used + 1] = 105 if value < 2147483648LL else 108
            elif integral and length == 19:
                return None
            else:
                literals.append(PyUnicode_DecodeUTF8(<const char*>p + start, length, NULL))
                key[used + 1] = 110
            used += 2
            count += 1
            if offsets is not None:
                offsets.append(start)
        elif c == 39:
            start = at
            at += 1
            length = 0
            while True:
                close = <const unsigned char*>memchr(p + at, 39, size - at)
                if close == NULL:
                    return None
                memcpy(text + length, p + at, close - p - at)
                length += close - p - at
                at = close - p + 1
                if at < size and p[at] == 39:
                    text[length] = 39
                    length += 1
                    at += 1
                    continue
                break
            look = at
            while look < size and CLASS[p[look]] & 1:
                look += 1
            if look < size and (p[look] == 39 or (p[look] == 45 and look + 1 < size and p[look + 1] == 45)):
                return None
            try:
                literals.append(PyUnicode_DecodeUTF8(<const char*>text, length, NULL))
            except UnicodeDecodeError:
                return None
            key[used] = 0
            key[used + 1] = 115
            used += 2
            count += 1
            if offsets is not None:
                offsets.append(start)
        elif c == 34:
            close = <const unsigned char*>memchr(p + at + 1, 34, size - at - 1)
            if close == NULL:
                return None
            length = close - p + 1 - at
            memcpy(key + used, p + at, length)
            used += length
            at += length
        elif c == 45 and at + 1 < size and p[at + 1] == 45:
            while at < size and p[at] != 10 and p[at] != 13:
                at += 1
            key[used] = 32
            used += 1
        elif c == 47 and at + 1 < size and p[at + 1] == 42:
            depth = 1
            at += 2
            while depth:
                if at + 1 >= size:
                    return None
                if p[at] == 47 and p[at + 1] == 42:
                    depth += 1
                    at += 2
                elif p[at] == 42 and p[at + 1] == 47:
                    depth -= 1
                    at += 2
                else:
                    at += 1
            key[used] = 32
            used += 1
        elif c == 36 or c == 92 or c == 96 or c == 0:
            return None
        elif c == 59:
            while at < size and (p[at] == 59 or CLASS[p[at]] & 1):
                at += 1
            if at < size:
                return None
        else:
            key[used] = c
            used += 1
            at += 1
        if count > 256:
            return None
    if first_word:
        return None
    return PyBytes_FromStringAndSize(<const char*>key, used), literals


def lift(bytes sql):
    return lex(sql, None)


def positions(bytes sql):
    cdef list offsets = []
    return None if lex(sql, offsets) is None else offsets
