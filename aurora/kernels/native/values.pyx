# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Stored values, everyday arithmetic and hashes, compiled. The specification is ``aurora.kernels.python.values``."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.float cimport PyFloat_FromDouble
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.long cimport PyLong_FromLongLong
from cpython.ref cimport Py_INCREF
from cpython.unicode cimport PyUnicode_DecodeASCII, PyUnicode_DecodeUTF8
from libc.string cimport memcpy

from decimal import Decimal

from aurora.errors import SubstringError
from aurora.kernels.python.values import DIGITS_MAX as _DIGITS_MAX
from aurora.kernels.python.values import number as _number

cdef extern from *:
    ctypedef unsigned long long huge "unsigned __int128"

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 most)
    void* PyUnicode_DATA(object text)
    bint PyUnicode_IS_ASCII(object text)
    object PyUnicode_Substring(object text, Py_ssize_t start, Py_ssize_t end)

cdef enum:
    FEW = 18
    ROOM = 39

if _DIGITS_MAX != FEW:
    raise ImportError("the compiled kernel has another limit than its specification")

cdef const char* HEX = "0123456789abcdef"
cdef unsigned long long[20] TENS
cdef int _ten
TENS[0] = 1
for _ten in range(1, 20):
    TENS[_ten] = TENS[_ten - 1] * 10


def uuid_text(bytes data not None):
    """The canonical text of the 16 bytes of a uuid."""
    cdef object made
    cdef const unsigned char* at = <const unsigned char*>PyBytes_AS_STRING(data)
    cdef char* out
    cdef int i
    if PyBytes_GET_SIZE(data) != 16:
        raise ValueError("bytes is not a 16-char string")
    made = PyUnicode_New(36, 127)
    out = <char*>PyUnicode_DATA(made)
    for i in range(16):
        if i == 4 or i == 6 or i == 8 or i == 10:
            out[0] = c"-"
            out += 1
        out[0] = HEX[at[i] >> 4]
        out[1] = HEX[at[i] & 15]
        out += 2
    return made


cdef inline int nibble(char c) noexcept nogil:
    if c"0" <= c <= c"9":
        return c - c"0"
    if c"a" <= c <= c"f":
        return c - c"a" + 10
    return c - c"A" + 10 if c"A" <= c <= c"F" else -1


def uuid_bytes(str text not None):
    """Inverse of ``uuid_text``."""
    cdef Py_ssize_t size, i
    cdef const char* at = PyUnicode_AsUTF8AndSize(text, &size)
    cdef unsigned char[16] out
    cdef int high, low, n = 0
    if size != 36:
        return bytes.fromhex(text.replace("-", ""))
    i = 0
    while i < 36:
        if at[i] == c"-":
            i += 1
            continue
        high = nibble(at[i])
        low = nibble(at[i + 1]) if i < 35 else -1
        if high < 0 or low < 0 or n == 16:
            return bytes.fromhex(text.replace("-", ""))
        out[n] = <unsigned char>(high << 4 | low)
        n += 1
        i += 2
    return PyBytes_FromStringAndSize(<char*>out, n)


# Arrays.

cdef inline unsigned int big(const unsigned char* at) noexcept nogil:
    return (<unsigned int>at[0] << 24) | (<unsigned int>at[1] << 16) | (<unsigned int>at[2] << 8) | at[3]


cdef inline unsigned long long big8(const unsigned char* at) noexcept nogil:
    return (<unsigned long long>big(at) << 32) | big(at + 4)


cdef inline bint is_plain(const unsigned char* at) noexcept nogil:
    return big(at) == 1 and big(at + 4) == 0 and big(at + 16) == 1


def fixed_array(bytes data not None, str code not None):
    """A stored array of one dimension from 1 on without NULLs, of elements of one of struct's codes ``h i q I d``; None
    of any other."""
    cdef const unsigned char* at = <const unsigned char*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data) - 20, step, count, i
    cdef Py_UCS4 kind = code[0]
    cdef list out
    cdef object item
    cdef unsigned long long word
    cdef double real
    step = 6 if kind == u"h" else 8 if kind == u"i" or kind == u"I" else 12
    count = size // step
    if count < 1 or count > 1000 or size % step or not is_plain(at):
        return None
    out = PyList_New(count)
    at += 24
    for i in range(count):
        if kind == u"i":
            item = PyLong_FromLongLong(<int>big(at))
        elif kind == u"q":
            item = PyLong_FromLongLong(<long long>big8(at))
        elif kind == u"h":
            item = PyLong_FromLongLong(<short>((<unsigned short>at[0] << 8) | at[1]))
        elif kind == u"I":
            item = PyLong_FromLongLong(big(at))
        else:
            word = big8(at)
            memcpy(&real, &word, 8)
            item = PyFloat_FromDouble(real)
        Py_INCREF(item)
        PyList_SET_ITEM(out, i, item)
        at += step
    return out


def text_array(bytes data not None):
    """As ``fixed_array``, of texts."""
    cdef const unsigned char* start = <const unsigned char*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data), at = 20, length
    cdef list out = []
    if size < 24 or size > 8000 or not is_plain(start):
        return None
    while at < size:
        if at + 4 > size:
            return None
        length = big(start + at)
        at += 4
        if length > size - at:
            return None
        out.append(PyUnicode_DecodeUTF8(<const char*>start + at, length, NULL))
        at += length
    return out


def whole_range(bytes data not None):
    """(lower, upper, flags) of a stored range between two signed integers of four or eight bytes; None of another."""
    cdef const unsigned char* at = <const unsigned char*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    if (size != 17 and size != 25) or at[0] & 25:
        return None
    size = (size - 9) // 2
    if big(at + 1) != <unsigned int>size or big(at + 5 + size) != <unsigned int>size:
        return None
    if size == 4:
        return <int>big(at + 5), <int>big(at + 13), at[0] & 31
    return <long long>big8(at + 5), <long long>big8(at + 17), at[0] & 31


def initcap(str text not None):
    """Words with a capital first letter and small others; None of a text that is not ASCII."""
    cdef Py_ssize_t size = len(text), i
    cdef const char* at
    cdef char* out
    cdef char c
    cdef bint inside = False
    cdef object made
    if not PyUnicode_IS_ASCII(text):
        return None
    if not size:
        return ""
    made = PyUnicode_New(size, 127)
    at = <const char*>PyUnicode_DATA(text)
    out = <char*>PyUnicode_DATA(made)
    for i in range(size):
        c = at[i]
        if c"a" <= c <= c"z":
            out[i] = c if inside else c - 32
            inside = True
        elif c"A" <= c <= c"Z":
            out[i] = c + 32 if inside else c
            inside = True
        else:
            out[i] = c
            inside = c"0" <= c <= c"9"
    return made


def substring(str text not None, long long start, long long length):
    """``length`` characters from ``start`` on, which counts from 1; 22011."""
    cdef Py_ssize_t size = len(text)
    cdef long long first = start - 1, end = first + length
    if length < 0:
        raise SubstringError("negative substring length not allowed")
    if first < 0:
        first = 0
    if end > size:
        end = size
    if end <= first:
        return ""
    return PyUnicode_Substring(text, <Py_ssize_t>first, <Py_ssize_t>end)


# Hashes.

cdef struct Triple:
    unsigned int a
    unsigned int b
    unsigned int c


cdef inline unsigned int turn(unsigned int x, int count) noexcept nogil:
    return (x << count) | (x >> (32 - count))


cdef inline void mix(Triple* t) noexcept nogil:
    t.a = (t.a - t.c) ^ turn(t.c, 4)
    t.c += t.b
    t.b = (t.b - t.a) ^ turn(t.a, 6)
    t.a += t.c
    t.c = (t.c - t.b) ^ turn(t.b, 8)
    t.b += t.a
    t.a = (t.a - t.c) ^ turn(t.c, 16)
    t.c += t.b
    t.b = (t.b - t.a) ^ turn(t.a, 19)
    t.a += t.c
    t.c = (t.c - t.b) ^ turn(t.b, 4)
    t.b += t.a


cdef inline unsigned long long final(Triple t) noexcept nogil:
    t.c = (t.c ^ t.b) - turn(t.b, 14)
    t.a = (t.a ^ t.c) - turn(t.c, 11)
    t.b = (t.b ^ t.a) - turn(t.a, 25)
    t.c = (t.c ^ t.b) - turn(t.b, 16)
    t.a = (t.a ^ t.c) - turn(t.c, 4)
    t.b = (t.b ^ t.a) - turn(t.a, 14)
    t.c = (t.c ^ t.b) - turn(t.b, 24)
    return (<unsigned long long>t.b << 32) | t.c


cdef inline Triple seeded(Py_ssize_t length, unsigned long long seed) noexcept nogil:
    cdef Triple t
    t.a = t.b = t.c = <unsigned int>(0x9E3779B9u + 3923095u + <unsigned long long>length)
    if seed:
        t.a += <unsigned int>(seed >> 32)
        t.b += <unsigned int>seed
        mix(&t)
    return t


cdef inline unsigned int little(const unsigned char* at) noexcept nogil:
    return at[0] | (<unsigned int>at[1] << 8) | (<unsigned int>at[2] << 16) | (<unsigned int>at[3] << 24)


cdef inline void mix_all(Triple* t, const unsigned char* at, Py_ssize_t size) noexcept nogil:
    # ``size`` is a multiple of 12.
    while size:
        t.a += little(at)
        t.b += little(at + 4)
        t.c += little(at + 8)
        mix(t)
        at += 12
        size -= 12


cdef inline unsigned long long ended(Triple t, const unsigned char* at, Py_ssize_t size) noexcept nogil:
    # With the last bytes, less than 12.
    cdef Py_ssize_t i
    for i in range(size):
        if i < 4:
            t.a += <unsigned int>at[i] << (8 * i)
        elif i < 8:
            t.b += <unsigned int>at[i] << (8 * (i - 4))
        else:
            t.c += <unsigned int>at[i] << (8 * (i - 7))
    return final(t)


cdef unsigned long long hashed(const unsigned char* at, Py_ssize_t size, unsigned long long seed) noexcept nogil:
    cdef Triple t = seeded(size, seed)
    cdef Py_ssize_t whole = size - size % 12
    mix_all(&t, at, whole)
    return ended(t, at + whole, size - whole)


cdef inline Triple state_of(tuple state):
    cdef Triple t
    t.a, t.b, t.c = state
    return t


def hash_begin(Py_ssize_t length, seed=0):
    """The state before the first piece of so many bytes."""
    cdef Triple t = seeded(length, <unsigned long long>(seed & 0xFFFFFFFFFFFFFFFF))
    return t.a, t.b, t.c


def hash_more(tuple state not None, bytes piece not None):
    """The state after a piece, whose length is a multiple of 12."""
    cdef Triple t = state_of(state)
    if PyBytes_GET_SIZE(piece) % 12:
        raise ValueError("a piece of whole words")
    mix_all(&t, <const unsigned char*>PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
    return t.a, t.b, t.c


def hash_end(tuple state not None, bytes rest not None):
    """The hash, 64 bits, unsigned, after the last piece of less than 12 bytes."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(rest)
    return ended(state_of(state), <const unsigned char*>PyBytes_AS_STRING(rest), size if size < 12 else 12)


def hash_bytes(bytes data not None, seed=0):
    """64 bits, unsigned; without a seed the lower 32 are the plain hash."""
    cdef const unsigned char* at = <const unsigned char*>PyBytes_AS_STRING(data)
    return hashed(at, PyBytes_GET_SIZE(data), <unsigned long long>(seed & 0xFFFFFFFFFFFFFFFF))


def hash_word(value, seed=0):
    """As ``hash_bytes``, of 32 bits."""
    cdef Triple t = seeded(4, <unsigned long long>(seed & 0xFFFFFFFFFFFFFFFF))
    t.a += <unsigned int>(value & 0xFFFFFFFF)
    return final(t)


def hash_text(str text not None):
    """A text's plain hash, as a signed number of 32 bits."""
    cdef Py_ssize_t size
    cdef const char* at = PyUnicode_AsUTF8AndSize(text, &size)
    return <int>(<unsigned int>hashed(<const unsigned char*>at, size, 0))


def hash_int(long long value):
    """The plain hash of 32 bits, as a signed number of 32 bits."""
    cdef Triple t = seeded(4, 0)
    t.a += <unsigned int>value
    return <int>(<unsigned int>final(t))


# Numbers.

cdef object made(huge value, int scale, bint negative):
    # The Decimal of an unscaled value.
    cdef char[ROOM + 64] room
    cdef char* end = room + ROOM + 62
    cdef char* out = end
    cdef int count = 0, left
    cdef unsigned long long chunk
    if not value:
        negative = False
    while True:
        left = 0
        if value >> 64:
            left = 19
            chunk = <unsigned long long>(value % TENS[19])
            value = value // TENS[19]
        else:
            chunk = <unsigned long long>value
            value = 0
        while chunk or left > 0 or (not value and count <= scale):
            if scale and count == scale:
                out -= 1
                out[0] = c"."
            out -= 1
            out[0] = <char>(c"0" + <int>(chunk % 10))
            chunk //= 10
            count += 1
            left -= 1
        if not value:
            break
    if negative:
        out -= 1
        out[0] = c"-"
    return Decimal(PyUnicode_DecodeASCII(out, end - out, NULL))


cdef object made_narrow(unsigned long long value, int scale, bint negative):
    # As ``made``, of a value of 64 bits.
    cdef char[ROOM + 64] room
    cdef char* end = room + ROOM + 62
    cdef char* out = end
    cdef int count = 0
    if not value:
        negative = False
    while value or count <= scale:
        if scale and count == scale:
            out -= 1
            out[0] = c"."
        out -= 1
        out[0] = <char>(c"0" + <int>(value % 10))
        value //= 10
        count += 1
    if negative:
        out -= 1
        out[0] = c"-"
    return Decimal(PyUnicode_DecodeASCII(out, end - out, NULL))


def number(bytes data not None):
    """A stored numeric: scale (u16, 0x8000 and a code for NaN and the infinities), then the unscaled value as a signed
    little-endian integer."""
    cdef const unsigned char* at = <const unsigned char*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data), i
    cdef int scale
    cdef unsigned long long value
    if not 3 <= size <= 10:
        return _number(data)
    scale = at[0] | (<int>at[1] << 8)
    if scale > SCALE_OF_NARROW_MAX:
        return _number(data)
    value = <unsigned long long>(<long long>(<signed char>at[size - 1]))
    for i in range(size - 2, 1, -1):
        value = (value << 8) | at[i]
    if <long long>value < 0:
        return made_narrow(0 - value, scale, True)
    return made_narrow(value, scale, False)


cdef struct Parts:
    unsigned long long value
    int digits
    int scale
    bint negative


cdef bint parts_of(object value, Parts* out) except -1:
    # Whether it is a number of few digits.
    cdef Py_ssize_t size, i = 0
    cdef const char* at
    cdef str text
    cdef bint point = False
    cdef Py_ssize_t highest = value.adjusted()
    if not -FEW <= highest < FEW:
        return False
    text = str(value)
    at = PyUnicode_AsUTF8AndSize(text, &size)
    out.value = 0
    out.digits = 0
    out.scale = 0
    out.negative = at[0] == c"-"
    if size > FEW + 2:
        return False
    if out.negative:
        i = 1
    while i < size:
        if at[i] == c"." and not point:
            point = True
        elif c"0" <= at[i] <= c"9":
            out.value = out.value * 10 + <unsigned long long>(at[i] - c"0")
            out.digits += 1
            if point:
                out.scale += 1
        else:
            return False
        i += 1
    return 0 < out.digits <= FEW


cdef void first_group(Parts p, int* weight, int* group) noexcept nogil:
    # Weight and first digit in base 10000; zeros of zero.
    cdef int digits = 0, exponent, count
    weight[0] = 0
    group[0] = 0
    if not p.value:
        return
    while digits < 20 and p.value >= TENS[digits]:
        digits += 1
        if digits == 20:
            break
    exponent = digits - 1 - p.scale
    weight[0] = exponent // 4 if exponent >= 0 else -((3 - exponent) // 4)
    count = exponent - 4 * weight[0] + 1
    if digits >= count:
        group[0] = <int>(p.value // TENS[digits - count])
    else:
        group[0] = <int>(p.value * TENS[count - digits])


cdef inline huge shifted(unsigned long long value, int count) noexcept nogil:
    if count <= 19:
        return <huge>value * TENS[count]
    return <huge>value * TENS[19] * TENS[count - 19]


def divided(a, b):
    """a / b with at least 16 significant digits and both scales, rounded half away from zero; None of a number of many
    digits, and of a division by zero."""
    cdef Parts first, second
    cdef int weight_a, group_a, weight_b, group_b, scale, shift
    cdef huge numerator, whole, left
    if not parts_of(a, &first) or not parts_of(b, &second) or not second.value:
        return None
    first_group(first, &weight_a, &group_a)
    first_group(second, &weight_b, &group_b)
    scale = 16 - 4 * (weight_a - weight_b - (1 if group_a <= group_b else 0))
    scale = max(max(scale, first.scale), max(second.scale, 0))
    shift = scale - first.scale + second.scale
    if shift > 38 - FEW:
        return None
    numerator = shifted(first.value, shift)
    if numerator >> 64:
        whole = numerator // second.value
        left = numerator - whole * second.value
    else:
        whole = <unsigned long long>numerator // second.value
        left = <unsigned long long>numerator % second.value
    if 2 * left >= second.value:
        whole += 1
    if whole >> 64:
        return made(whole, scale, first.negative != second.negative)
    return made_narrow(<unsigned long long>whole, scale, first.negative != second.negative)


def rest(a, b):
    """a % b with the sign of a and the larger scale; None as of ``divided``."""
    cdef Parts first, second
    cdef int scale
    cdef huge found
    if not parts_of(a, &first) or not parts_of(b, &second) or not second.value:
        return None
    scale = max(first.scale, second.scale)
    found = shifted(first.value, scale - first.scale) % shifted(second.value, scale - second.scale)
    return made(found, scale, first.negative)


cdef object cut(object value, int scale, bint half):
    cdef Parts p
    cdef unsigned long long unit, whole
    if not 0 <= scale <= FEW or not parts_of(value, &p):
        return None
    if scale == p.scale:
        return value
    if scale > p.scale:
        if scale - p.scale > FEW:
            return None
        return made(shifted(p.value, scale - p.scale), scale, p.negative)
    unit = TENS[p.scale - scale]
    whole = p.value // unit
    if half and 2 * (p.value - whole * unit) >= unit:
        whole += 1
    return made_narrow(whole, scale, p.negative)


def rounded(value, int scale):
    """Half away from zero, to ``scale`` decimals from 0 on; None of a number of many digits."""
    return cut(value, scale, True)


def truncated(value, int scale):
    """Towards zero, as ``rounded``."""
    return cut(value, scale, False)


def whole_number(value):
    """The nearest integer, half away from zero; None of a number of many digits."""
    cdef Parts p
    cdef unsigned long long unit, whole
    if not parts_of(value, &p):
        return None
    unit = TENS[p.scale]
    whole = p.value // unit
    if 2 * (p.value - whole * unit) >= unit:
        whole += 1
    return -<long long>whole if p.negative else <long long>whole
