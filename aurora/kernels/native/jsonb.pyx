# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""jsonb values, compiled. The specification is ``aurora.kernels.python.jsonb``."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdlib cimport free, malloc, qsort
from libc.string cimport memcmp, memcpy, memmove

from aurora.kernels.native.jsonb_form cimport (
    K_NULL,
    K_STRING,
    K_NUMBER,
    K_FALSE,
    K_TRUE,
    K_ARRAY,
    K_OBJECT,
    HEAD,
    SHORT_CHARS,
    LEVELS_MAX,
    DIGITS_MAX,
    FRACTION_DIGITS_MAX,
    At,
    Buffer,
    Slice,
    count_in,
    cut,
    item_at,
    key_at,
    member_at,
    of,
    put,
    put_byte,
    reserve,
    set_u32,
    u32,
)
from aurora.kernels.python.jsonb import DEPTH_MAX, SHORT_BYTES
from aurora.kernels.python.jsonb import number_text as _number_text

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL


if DEPTH_MAX != LEVELS_MAX or SHORT_BYTES != SHORT_CHARS:
    raise ImportError("the compiled kernel has other limits than its specification")


cdef Py_ssize_t key_index(Slice data, At name, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t low = 0, count = count_in(data), high = count, middle
    cdef Slice key
    cdef int order
    while low < high:
        middle = (low + high) >> 1
        key = key_at(data, count, middle)
        if key.size == size:
            order = memcmp(key.at, name, size) if size else 0
            if order == 0:
                return middle
        else:
            order = -1 if key.size < size else 1
        if order < 0:
            low = middle + 1
        else:
            high = middle
    return -1


cdef bytes taken(Slice part):
    if part.at == NULL:
        raise ValueError("a jsonb value's table does not fit it")
    return PyBytes_FromStringAndSize(<const char*>part.at, part.size)


def find_key(bytes data not None, bytes name not None):
    return key_index(of(data), <At>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))


def value_at(bytes data not None, Py_ssize_t index):
    cdef Slice whole = of(data)
    return taken(member_at(whole, count_in(whole), index))


def field(bytes data not None, str name not None):
    cdef Slice whole = of(data)
    cdef Py_ssize_t size, found
    cdef const char* wanted
    if whole.at[0] != K_OBJECT:
        return None
    wanted = PyUnicode_AsUTF8AndSize(name, &size)
    found = key_index(whole, <At>wanted, size)
    return None if found < 0 else taken(member_at(whole, count_in(whole), found))


def element(bytes data not None, Py_ssize_t index):
    cdef Slice whole = of(data)
    cdef Py_ssize_t count
    if whole.at[0] == K_OBJECT:
        return None
    if whole.at[0] != K_ARRAY:
        return data if index == 0 or index == -1 else None
    count = count_in(whole)
    if index < 0:
        index += count
    if index < 0 or index >= count:
        return None
    return taken(item_at(whole, count, index))


def parts(bytes data not None):
    """An array's elements."""
    cdef Slice whole = of(data)
    cdef Py_ssize_t count = count_in(whole), i
    return [taken(item_at(whole, count, i)) for i in range(count)]


def members(bytes data not None):
    """An object's keys and values, as they are stored."""
    cdef Slice whole = of(data)
    cdef Py_ssize_t count = count_in(whole), i
    return [(taken(key_at(whole, count, i)), taken(member_at(whole, count, i))) for i in range(count)]


def exists(bytes data not None, str name not None):
    cdef Slice whole = of(data), part
    cdef Py_ssize_t size, count, i
    cdef const char* wanted = PyUnicode_AsUTF8AndSize(name, &size)
    if whole.at[0] == K_OBJECT:
        return key_index(whole, <At>wanted, size) >= 0
    if whole.at[0] != K_ARRAY:
        return whole.at[0] == K_STRING and whole.size == size + 1 and memcmp(whole.at + 1, wanted, size) == 0
    count = count_in(whole)
    for i in range(count):
        part = item_at(whole, count, i)
        if part.size == size + 1 and part.at[0] == K_STRING and memcmp(part.at + 1, wanted, size) == 0:
            return True
    return False


# Numbers


cdef int put_number_key(Slice data, Buffer* out) noexcept nogil:
    cdef Py_ssize_t i = 1, first = -1, last = -1, seen = 0, whole = -1, exponent = 0, begun, start
    cdef bint negative = False, down = False
    cdef unsigned char c, digit, flip
    if data.size > 1 and data.at[1] == c'-':
        negative = True
        i = 2
    start = i
    while i < data.size:
        c = data.at[i]
        if c == c'.':
            whole = seen
        elif c == c'E':
            break
        else:
            if c != c'0':
                if first < 0:
                    first = seen
                last = seen
            seen += 1
        i += 1
    if whole < 0:
        whole = seen
    if first < 0:
        return put_byte(out, 0x30)
    i += 1
    if i < data.size:
        if data.at[i] == c'-' or data.at[i] == c'+':
            down = data.at[i] == c'-'
            i += 1
        while i < data.size:
            exponent = exponent * 10 + (data.at[i] - c'0')
            i += 1
        if down:
            exponent = -exponent
    flip = 0xFF if negative else 0
    exponent += whole - 1 - first + (<Py_ssize_t>1 << 31)
    if reserve(out, 8 + (last - first) // 2 + 1) < 0:
        return -2
    put_byte(out, 0x20 if negative else 0x40)
    put_byte(out, ((exponent >> 24) & 0xFF) ^ flip)
    put_byte(out, ((exponent >> 16) & 0xFF) ^ flip)
    put_byte(out, ((exponent >> 8) & 0xFF) ^ flip)
    put_byte(out, (exponent & 0xFF) ^ flip)
    # Digit pairs from the first to the last digit that is not zero.
    seen = 0
    begun = 0
    digit = 0
    i = start
    while i < data.size and seen <= last:
        c = data.at[i]
        i += 1
        if c == c'.':
            continue
        if seen >= first:
            if begun & 1:
                put_byte(out, (digit * 10 + (c - c'0') + 1) ^ flip)
            else:
                digit = c - c'0'
            begun += 1
        seen += 1
    if begun & 1:
        put_byte(out, (digit * 10 + 1) ^ flip)
    return put_byte(out, flip)


def number_key(bytes data not None):
    cdef Buffer out
    out.data = NULL
    out.size = out.room = 0
    cdef int state = put_number_key(of(data), &out)
    return made(&out, state)


cdef made(Buffer* out, int state):
    try:
        if state == -4:
            return None
        if state == -2:
            raise MemoryError
        if state == -1:
            raise ValueError("a jsonb value's table does not fit it")
        return PyBytes_FromStringAndSize(<const char*>out.data, out.size)
    finally:
        free(out.data)


def number_text(bytes data not None):
    return _number_text(data)


cdef bint plain_integer(Slice data) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(1, data.size):
        if data.at[i] == c'.' or data.at[i] == c'E':
            return False
    return True


cdef int same(Slice a, Slice b) noexcept nogil:
    # Of two values, one of them a scalar: 1 equal, 0 not, -2 no memory.
    cdef Buffer one, other
    cdef int result
    if a.size == b.size and memcmp(a.at, b.at, a.size) == 0:
        return 1
    if a.size == 0 or b.size == 0 or a.at[0] != K_NUMBER or b.at[0] != K_NUMBER:
        return 0
    if plain_integer(a) and plain_integer(b):
        return 0
    one.data = other.data = NULL
    one.size = one.room = other.size = other.room = 0
    if put_number_key(a, &one) < 0 or put_number_key(b, &other) < 0:
        result = -2
    else:
        result = one.size == other.size and memcmp(one.data, other.data, one.size) == 0
    free(one.data)
    free(other.data)
    return result


def same_scalar(bytes a not None, bytes b not None):
    cdef int result = same(of(a), of(b))
    if result < 0:
        raise MemoryError
    return result == 1


# Containment


cdef int holds(Slice whole, Slice part, int depth) noexcept nogil:
    # Of two containers: 1, 0, -2, -4 too deep.
    cdef Py_ssize_t count, wanted_count, i, at
    cdef Slice wanted, key
    cdef int result
    if depth > LEVELS_MAX:
        return -4
    if whole.size == 0 or part.size == 0 or whole.at[0] != part.at[0]:
        return 0
    count = count_in(whole)
    wanted_count = count_in(part)
    if part.at[0] == K_OBJECT:
        if wanted_count > count:
            return 0
        for i in range(wanted_count):
            key = key_at(part, wanted_count, i)
            at = key_index(whole, key.at, key.size)
            if at < 0:
                return 0
            wanted = member_at(part, wanted_count, i)
            if wanted.size and wanted.at[0] < K_ARRAY:
                result = same(member_at(whole, count, at), wanted)
            else:
                result = holds(member_at(whole, count, at), wanted, depth + 1)
            if result != 1:
                return result
        return 1
    for i in range(wanted_count):
        result = has_element(whole, count, item_at(part, wanted_count, i), depth)
        if result != 1:
            return result
    return 1


cdef int has_element(Slice whole, Py_ssize_t count, Slice wanted, int depth) noexcept nogil:
    cdef Py_ssize_t i
    cdef int result
    cdef bint scalar = wanted.size > 0 and wanted.at[0] < K_ARRAY
    for i in range(count):
        if scalar:
            result = same(item_at(whole, count, i), wanted)
        else:
            result = holds(item_at(whole, count, i), wanted, depth + 1)
        if result != 0:
            return result
    return 0


def contains(bytes whole not None, bytes part not None):
    cdef Slice a = of(whole), b = of(part)
    cdef int result
    if (a.at[0] == K_OBJECT) != (b.at[0] == K_OBJECT):
        return False
    if a.at[0] < K_ARRAY:
        result = same(a, b) if b.at[0] < K_ARRAY else 0
    elif b.at[0] < K_ARRAY:
        result = has_element(a, count_in(a), b, 0)
    else:
        result = holds(a, b, 0)
    if result == -4:
        return None
    if result < 0:
        raise MemoryError
    return result == 1


# Order


cdef int put_key(Slice data, Buffer* out, int depth) noexcept nogil:
    cdef Py_ssize_t count, i
    cdef int state
    cdef Slice key
    cdef unsigned char kind
    if data.size == 0:
        return -1
    if depth > LEVELS_MAX:
        return -4
    kind = data.at[0]
    if kind == K_NULL:
        return put_byte(out, 1)
    if kind == K_STRING:
        if put_byte(out, 2) < 0 or put(out, data.at + 1, data.size - 1) < 0:
            return -2
        return put_byte(out, 0)
    if kind == K_NUMBER:
        return -2 if put_byte(out, 3) < 0 else put_number_key(data, out)
    if kind == K_FALSE or kind == K_TRUE:
        return -2 if put_byte(out, 4) < 0 else put_byte(out, kind == K_TRUE)
    count = count_in(data)
    if reserve(out, 5) < 0:
        return -2
    put_byte(out, 5 if kind == K_ARRAY else 6)
    put_byte(out, (count >> 24) & 0xFF)
    put_byte(out, (count >> 16) & 0xFF)
    put_byte(out, (count >> 8) & 0xFF)
    put_byte(out, count & 0xFF)
    for i in range(count):
        if kind == K_OBJECT:
            key = key_at(data, count, i)
            if key.at == NULL:
                return -1
            if put(out, key.at, key.size) < 0 or put_byte(out, 0) < 0:
                return -2
        state = put_key(item_at(data, count, i) if kind == K_ARRAY else member_at(data, count, i), out, depth + 1)
        if state < 0:
            return state
    return 0


def sort_key(bytes data not None, bint inside=False):
    cdef Slice whole = of(data)
    cdef Buffer out
    if not inside and whole.size == HEAD and whole.at[0] == K_ARRAY and count_in(whole) == 0:
        return b"\0"
    out.data = NULL
    out.size = out.room = 0
    cdef int state = put_key(whole, &out, 0)
    return made(&out, state)


# Text


cdef int put_string(At at, Py_ssize_t size, Buffer* out) noexcept nogil:
    cdef Py_ssize_t i, begun = 0
    cdef unsigned char c, short_form
    cdef const char* digits = "0123456789abcdef"
    if put_byte(out, c'"') < 0:
        return -2
    for i in range(size):
        c = at[i]
        if c >= 0x20 and c != c'"' and c != c'\\':
            continue
        if put(out, at + begun, i - begun) < 0 or reserve(out, 6) < 0:
            return -2
        begun = i + 1
        put_byte(out, c'\\')
        if c == c'"' or c == c'\\':
            short_form = c
        elif c == c'\n':
            short_form = c'n'
        elif c == c'\r':
            short_form = c'r'
        elif c == c'\t':
            short_form = c't'
        elif c == 8:
            short_form = c'b'
        elif c == 12:
            short_form = c'f'
        else:
            put(out, "u00", 3)
            put_byte(out, digits[c >> 4])
            short_form = digits[c & 15]
        put_byte(out, short_form)
    if put(out, at + begun, size - begun) < 0:
        return -2
    return put_byte(out, c'"')


cdef int put_text(Slice data, Buffer* out, int depth) except -3:
    cdef Py_ssize_t count, i
    cdef Slice key
    cdef unsigned char kind
    cdef bytes digits
    cdef int state
    if data.size == 0:
        return -1
    if depth > LEVELS_MAX:
        return -4
    kind = data.at[0]
    if kind == K_STRING:
        return put_string(data.at + 1, data.size - 1, out)
    if kind == K_NUMBER:
        for i in range(1, data.size):
            if data.at[i] == c'E':
                digits = (<str>_number_text(taken(data))).encode()
                return put(out, PyBytes_AS_STRING(digits), PyBytes_GET_SIZE(digits))
        return put(out, data.at + 1, data.size - 1)
    if kind == K_NULL:
        return put(out, "null", 4)
    if kind == K_TRUE:
        return put(out, "true", 4)
    if kind == K_FALSE:
        return put(out, "false", 5)
    count = count_in(data)
    if put_byte(out, c'[' if kind == K_ARRAY else c'{') < 0:
        return -2
    for i in range(count):
        if i and put(out, ", ", 2) < 0:
            return -2
        if kind == K_OBJECT:
            key = key_at(data, count, i)
            if key.at == NULL:
                return -1
            if put_string(key.at, key.size, out) < 0 or put(out, ": ", 2) < 0:
                return -2
            state = put_text(member_at(data, count, i), out, depth + 1)
        else:
            state = put_text(item_at(data, count, i), out, depth + 1)
        if state < 0:
            return state
    return put_byte(out, c']' if kind == K_ARRAY else c'}')


def text(bytes data not None):
    cdef Buffer out
    cdef int state
    out.data = NULL
    out.size = out.room = 0
    try:
        state = put_text(of(data), &out, 0)
        if state == -4:
            return None
        if state == -2:
            raise MemoryError
        if state == -1:
            raise ValueError("a jsonb value's table does not fit it")
        return PyUnicode_DecodeUTF8(<const char*>out.data, out.size, NULL)
    finally:
        free(out.data)


def scalar_text(bytes data not None):
    return text(data)


# Reading. 0: done, -1: not plain, -2: no memory.

cdef struct Entry:
    Py_ssize_t start
    Py_ssize_t size
    Py_ssize_t value
    Py_ssize_t value_size
    At key

cdef struct Source:
    At at
    At end
    int depth


cdef inline void space(Source* source) noexcept nogil:
    while source.at < source.end and (
        source.at[0] == c' ' or source.at[0] == c'\t' or source.at[0] == c'\n' or source.at[0] == c'\r'
    ):
        source.at += 1


cdef int read_string(Source* source, Buffer* out) noexcept nogil:
    # After the opening quote.
    cdef At begun = source.at
    cdef unsigned char c
    while source.at < source.end:
        c = source.at[0]
        if c == c'"':
            if put(out, begun, source.at - begun) < 0:
                return -2
            source.at += 1
            return 0
        if c < 0x20:
            return -1
        if c == c'\\':
            if put(out, begun, source.at - begun) < 0:
                return -2
            source.at += 1
            if source.at >= source.end:
                return -1
            c = source.at[0]
            if c == c'n':
                c = c'\n'
            elif c == c't':
                c = c'\t'
            elif c == c'r':
                c = c'\r'
            elif c == c'b':
                c = 8
            elif c == c'f':
                c = 12
            elif c != c'"' and c != c'\\' and c != c'/':
                return -1
            if put_byte(out, c) < 0:
                return -2
            begun = source.at + 1
        source.at += 1
    return -1


cdef inline bint is_digit(Source* source) noexcept nogil:
    return source.at < source.end and c'0' <= source.at[0] <= c'9'


cdef int read_number(Source* source, Buffer* out) noexcept nogil:
    cdef At begun = source.at, whole, fraction
    cdef bint zero = True
    cdef At i
    if source.at[0] == c'-':
        source.at += 1
    whole = source.at
    if not is_digit(source):
        return -1
    if source.at[0] == c'0':
        source.at += 1
    else:
        while is_digit(source):
            source.at += 1
    if source.at - whole > DIGITS_MAX:
        return -1
    if source.at < source.end and source.at[0] == c'.':
        source.at += 1
        fraction = source.at
        while is_digit(source):
            source.at += 1
        if source.at == fraction or source.at - fraction > FRACTION_DIGITS_MAX:
            return -1
    if source.at < source.end and (source.at[0] == c'e' or source.at[0] == c'E'):
        return -1
    if begun[0] == c'-':
        i = whole
        while i < source.at:
            if i[0] != c'0' and i[0] != c'.':
                zero = False
                break
            i += 1
        if zero:
            return -1
    if put_byte(out, K_NUMBER) < 0:
        return -2
    return put(out, begun, source.at - begun)


cdef int read_word(Source* source, const char* word, Py_ssize_t size, unsigned char kind, Buffer* out) noexcept nogil:
    if source.end - source.at < size or memcmp(source.at, word, size) != 0:
        return -1
    source.at += size
    return put_byte(out, kind)


cdef int read_value(Source* source, Buffer* out) noexcept nogil:
    cdef unsigned char c
    cdef int state
    space(source)
    if source.at >= source.end:
        return -1
    c = source.at[0]
    if c == c'"':
        source.at += 1
        return -2 if put_byte(out, K_STRING) < 0 else read_string(source, out)
    if c == c'{' or c == c'[':
        source.at += 1
        if source.depth == LEVELS_MAX:
            return -1
        source.depth += 1
        state = read_object(source, out) if c == c'{' else read_array(source, out)
        source.depth -= 1
        return state
    if c == c't':
        return read_word(source, "true", 4, K_TRUE, out)
    if c == c'f':
        return read_word(source, "false", 5, K_FALSE, out)
    if c == c'n':
        return read_word(source, "null", 4, K_NULL, out)
    if c == c'-' or c'0' <= c <= c'9':
        return read_number(source, out)
    return -1


cdef int read_array(Source* source, Buffer* out) noexcept nogil:
    cdef Buffer ends
    cdef int state
    ends.data = NULL
    ends.size = ends.room = 0
    state = read_elements(source, out, &ends)
    free(ends.data)
    return state


cdef int read_elements(Source* source, Buffer* out, Buffer* ends) noexcept nogil:
    # Elements are appended to ``out``; then the head is put before them.
    cdef Py_ssize_t start = out.size, head
    cdef unsigned int end
    cdef int state
    space(source)
    if source.at < source.end and source.at[0] == c']':
        source.at += 1
    else:
        while True:
            state = read_value(source, out)
            if state < 0:
                return state
            end = <unsigned int>(out.size - start)
            if reserve(ends, 4) < 0:
                return -2
            set_u32(ends.data + ends.size, end)
            ends.size += 4
            space(source)
            if source.at >= source.end:
                return -1
            source.at += 1
            if (source.at - 1)[0] == c']':
                break
            if (source.at - 1)[0] != c',':
                return -1
    head = HEAD + ends.size
    if reserve(out, head) < 0:
        return -2
    memmove(out.data + start + head, out.data + start, out.size - start)
    out.data[start] = K_ARRAY
    set_u32(out.data + start + 1, <unsigned int>(ends.size // 4))
    if ends.size:
        memcpy(out.data + start + HEAD, ends.data, ends.size)
    out.size += head
    return 0


cdef int entry_order(const void* a, const void* b) noexcept nogil:
    cdef const Entry* one = <const Entry*>a
    cdef const Entry* other = <const Entry*>b
    cdef int order
    if one.size != other.size:
        return -1 if one.size < other.size else 1
    order = memcmp(one.key, other.key, one.size) if one.size else 0
    if order:
        return order
    return -1 if one.value < other.value else 1


cdef int read_object(Source* source, Buffer* out) noexcept nogil:
    cdef Buffer names, entries, values
    cdef int state
    names.data = entries.data = values.data = NULL
    names.size = names.room = entries.size = entries.room = values.size = values.room = 0
    state = read_members(source, &names, &entries, &values)
    if state == 0:
        state = put_object(&names, &entries, &values, out)
    free(names.data)
    free(entries.data)
    free(values.data)
    return state


cdef int read_members(Source* source, Buffer* names, Buffer* entries, Buffer* values) noexcept nogil:
    cdef Entry entry
    cdef int state
    space(source)
    if source.at < source.end and source.at[0] == c'}':
        source.at += 1
        return 0
    while True:
        space(source)
        if source.at >= source.end or source.at[0] != c'"':
            return -1
        source.at += 1
        entry.start = names.size
        state = read_string(source, names)
        if state < 0:
            return state
        entry.size = names.size - entry.start
        space(source)
        if source.at >= source.end or source.at[0] != c':':
            return -1
        source.at += 1
        entry.value = values.size
        state = read_value(source, values)
        if state < 0:
            return state
        entry.value_size = values.size - entry.value
        entry.key = NULL
        if put(entries, &entry, sizeof(Entry)) < 0:
            return -2
        space(source)
        if source.at >= source.end:
            return -1
        source.at += 1
        if (source.at - 1)[0] == c'}':
            return 0
        if (source.at - 1)[0] != c',':
            return -1


cdef int put_object(Buffer* names, Buffer* entries, Buffer* values, Buffer* out) noexcept nogil:
    # Sorted by key; of equal keys the last one stays.
    cdef Entry* entry = <Entry*>entries.data
    cdef Py_ssize_t count = entries.size // <Py_ssize_t>sizeof(Entry), kept = 0, i
    cdef unsigned char* place
    cdef unsigned int end = 0
    for i in range(count):
        entry[i].key = <At>names.data + entry[i].start if entry[i].size else <At>entries.data
    if count > 1:
        qsort(entry, count, sizeof(Entry), entry_order)
    for i in range(count):
        if i + 1 < count and entry[i].size == entry[i + 1].size and (
            entry[i].size == 0 or memcmp(entry[i].key, entry[i + 1].key, entry[i].size) == 0
        ):
            continue
        entry[kept] = entry[i]
        kept += 1
    if reserve(out, HEAD + 8 * kept + names.size + values.size) < 0:
        return -2
    place = out.data + out.size
    place[0] = K_OBJECT
    set_u32(place + 1, <unsigned int>kept)
    place += HEAD
    for i in range(kept):
        end += <unsigned int>entry[i].size
        set_u32(place, end)
        place += 4
    end = 0
    for i in range(kept):
        end += <unsigned int>entry[i].value_size
        set_u32(place, end)
        place += 4
    for i in range(kept):
        memcpy(place, entry[i].key, entry[i].size)
        place += entry[i].size
    for i in range(kept):
        memcpy(place, values.data + entry[i].value, entry[i].value_size)
        place += entry[i].value_size
    out.size = place - out.data
    return 0


def parse(str source not None):
    cdef Py_ssize_t size
    cdef const char* begin
    cdef Source reader
    cdef Buffer out
    cdef int state
    if len(source) > SHORT_CHARS:
        return None
    try:
        begin = PyUnicode_AsUTF8AndSize(source, &size)
    except UnicodeEncodeError:
        return None
    reader.at = <At>begin
    reader.end = <At>begin + size
    reader.depth = 0
    out.data = NULL
    out.size = out.room = 0
    state = read_value(&reader, &out)
    if state == 0:
        space(&reader)
        if reader.at != reader.end:
            state = -1
    if state == -1:
        free(out.data)
        return None
    return made(&out, state)


def parse_part(str source not None, Py_ssize_t start):
    cdef Py_ssize_t size
    cdef const char* begin
    cdef Source reader
    cdef Buffer out
    cdef int state
    try:
        begin = PyUnicode_AsUTF8AndSize(source, &size)
    except UnicodeEncodeError:
        return None
    if start < 0 or start > size:
        return None
    reader.at = <At>begin + start
    reader.end = <At>begin + (size if size - start < SHORT_CHARS else start + SHORT_CHARS)
    reader.depth = 0
    out.data = NULL
    out.size = out.room = 0
    state = read_value(&reader, &out)
    if state == 0 and reader.at == reader.end and reader.end != <At>begin + size:
        state = -1
    if state == -1:
        free(out.data)
        return None
    return made(&out, state), reader.at - <At>begin


# Building


def array_of(list parts not None):
    cdef Py_ssize_t count = len(parts), total = 0, i, size
    cdef bytes part, result
    cdef unsigned char* place
    cdef unsigned char* ends
    for part in parts:
        total += PyBytes_GET_SIZE(part)
    if total > 0xFFFFFFFF:
        raise OverflowError("too many bytes for one array")
    result = PyBytes_FromStringAndSize(NULL, HEAD + 4 * count + total)
    ends = <unsigned char*>PyBytes_AS_STRING(result)
    ends[0] = K_ARRAY
    set_u32(ends + 1, <unsigned int>count)
    ends += HEAD
    place = ends + 4 * count
    total = 0
    for i in range(count):
        part = parts[i]
        size = PyBytes_GET_SIZE(part)
        memcpy(place, PyBytes_AS_STRING(part), size)
        place += size
        total += size
        set_u32(ends + 4 * i, <unsigned int>total)
    return result


def object_of(dict members not None):
    cdef Py_ssize_t count = len(members), names_size = 0, values_size = 0, i
    cdef Buffer entries
    cdef Entry* entry
    cdef bytes name, value, result
    cdef unsigned char* ends
    cdef unsigned char* place
    entries.data = NULL
    entries.size = entries.room = 0
    if reserve(&entries, count * sizeof(Entry)) < 0:
        raise MemoryError
    entry = <Entry*>entries.data
    try:
        i = 0
        for name, value in members.items():
            entry[i].key = <At>PyBytes_AS_STRING(name)
            entry[i].size = PyBytes_GET_SIZE(name)
            entry[i].start = <Py_ssize_t>PyBytes_AS_STRING(value)
            entry[i].value = i
            entry[i].value_size = PyBytes_GET_SIZE(value)
            names_size += entry[i].size
            values_size += entry[i].value_size
            i += 1
        if names_size > 0xFFFFFFFF or values_size > 0xFFFFFFFF:
            raise OverflowError("too many bytes for one object")
        if count > 1:
            qsort(entry, count, sizeof(Entry), entry_order)
        result = PyBytes_FromStringAndSize(NULL, HEAD + 8 * count + names_size + values_size)
        ends = <unsigned char*>PyBytes_AS_STRING(result)
        ends[0] = K_OBJECT
        set_u32(ends + 1, <unsigned int>count)
        ends += HEAD
        place = ends + 8 * count
        names_size = 0
        for i in range(count):
            memcpy(place, entry[i].key, entry[i].size)
            place += entry[i].size
            names_size += entry[i].size
            set_u32(ends + 4 * i, <unsigned int>names_size)
        ends += 4 * count
        values_size = 0
        for i in range(count):
            memcpy(place, <const void*>entry[i].start, entry[i].value_size)
            place += entry[i].value_size
            values_size += entry[i].value_size
            set_u32(ends + 4 * i, <unsigned int>values_size)
        return result
    finally:
        free(entries.data)


def replaced(bytes data not None, Py_ssize_t index, bytes value not None):
    cdef Slice whole = of(data), old
    cdef Py_ssize_t count = count_in(whole), size = PyBytes_GET_SIZE(value), before, i, place
    cdef long long shift
    cdef bytes result
    cdef unsigned char* out
    if index < 0 or index >= count:
        raise IndexError(index)
    if whole.at[0] == K_ARRAY:
        old = item_at(whole, count, index)
        place = HEAD
    else:
        old = member_at(whole, count, index)
        place = HEAD + 4 * count
    if old.at == NULL:
        raise ValueError("a jsonb value's table does not fit it")
    shift = size - old.size
    if whole.size + shift > 0xFFFFFFFF:
        raise OverflowError("too many bytes for one container")
    before = old.at - whole.at
    result = PyBytes_FromStringAndSize(NULL, whole.size + shift)
    out = <unsigned char*>PyBytes_AS_STRING(result)
    memcpy(out, whole.at, before)
    memcpy(out + before, PyBytes_AS_STRING(value), size)
    memcpy(out + before + size, old.at + old.size, whole.size - before - old.size)
    for i in range(index, count):
        set_u32(out + place + 4 * i, <unsigned int>(u32(whole.at + place + 4 * i) + shift))
    return result
