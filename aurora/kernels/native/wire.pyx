# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Wire codecs, compiled; ``aurora.kernels.python.wire`` is the specification."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memchr, memcmp, memcpy

from aurora.kernels.python.wire import message_too_large

cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    long long PyLong_AsLongLong(object value) except? -1

cdef const char* EXECUTE_SYNC = "E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04"
cdef const char* DESCRIBE_PORTAL = "D\0\0\0\x06P\0"
cdef const unsigned char* COPY_LETTERS = b"btnvfr"


cdef inline unsigned int get16(const unsigned char* p) noexcept:
    return (<unsigned int>p[0] << 8) | p[1]


cdef inline unsigned int get32(const unsigned char* p) noexcept:
    return (<unsigned int>p[0] << 24) | (<unsigned int>p[1] << 16) | (<unsigned int>p[2] << 8) | p[3]


cdef inline void put32(unsigned char* p, unsigned int v) noexcept:
    p[0] = v >> 24
    p[1] = (v >> 16) & 255
    p[2] = (v >> 8) & 255
    p[3] = v & 255


def next_message(bytes buffer, Py_ssize_t position, Py_ssize_t limit):
    cdef Py_ssize_t size = PyBytes_GET_SIZE(buffer)
    cdef const unsigned char* p = <const unsigned char*>PyBytes_AS_STRING(buffer)
    cdef int length
    cdef Py_ssize_t end
    if size - position < 5:
        return None
    length = <int>get32(p + position + 1)
    if length < 4 or length > limit:
        raise ValueError(length)
    end = position + 1 + length
    if end > size:
        return None
    return p[position], position + 5, end


def join_copy_data(bytes buffer, Py_ssize_t position):
    """The payloads of the complete CopyData messages at ``position``, joined, and the position behind them."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(buffer)
    cdef const unsigned char* p = <const unsigned char*>PyBytes_AS_STRING(buffer)
    cdef Py_ssize_t at = position, total = 0
    cdef int length
    cdef bytes joined
    cdef unsigned char* out
    while size - at >= 5 and p[at] == 100:
        length = <int>get32(p + at + 1)
        if length < 4 or at + 1 + <Py_ssize_t>length > size:
            break
        total += length - 4
        at += 1 + length
    joined = PyBytes_FromStringAndSize(NULL, total)
    out = <unsigned char*>PyBytes_AS_STRING(joined)
    while position < at:
        length = <int>get32(p + position + 1)
        memcpy(out, p + position + 5, length - 4)
        out += length - 4
        position += 1 + length
    return joined, at


cdef object parameter(const unsigned char* p, Py_ssize_t length, unsigned char code, unsigned int binary):
    """The value, or None to decline."""
    cdef long long value = 0
    cdef Py_ssize_t i = 0
    cdef bint negative = False
    cdef long long limit
    cdef int width
    if code == 50 or code == 52 or code == 56 or code == 85:
        width = 4 if code == 85 else code - 48
        if binary:
            if length != width:
                return None
            if width == 2:
                return <short>get16(p)
            if width == 4:
                if code == 85:
                    return get32(p)
                return <int>get32(p)
            return <long long>((<unsigned long long>get32(p) << 32) | get32(p + 4))
        if length and p[0] == 45:
            negative = True
            i = 1
        if length - i < 1 or length - i > 18:
            return None
        while i < length:
            if p[i] < 48 or p[i] > 57:
                return None
            value = value * 10 + (p[i] - 48)
            i += 1
        if negative:
            value = -value
        if code == 85:
            if value < 0 or value > 4294967295LL:
                return None
            return value
        if width < 8:
            limit = 1LL << (8 * width - 1)
            if value < -limit or value >= limit:
                return None
        return value
    if code == 115:
        if length and memchr(p, 0, length) != NULL:
            return None
        try:
            return PyUnicode_DecodeUTF8(<const char*>p, length, NULL)
        except UnicodeDecodeError:
            return None
    if code == 98:
        if binary:
            if length == 1 and p[0] <= 1:
                return p[0] == 1
            return None
        if length == 1 and p[0] == 116 or length == 4 and memcmp(p, b"true", 4) == 0:
            return True
        if length == 1 and p[0] == 102 or length == 5 and memcmp(p, b"false", 5) == 0:
            return False
    return None


def match_point(bytes buffer, Py_ssize_t position, dict statements):
    cdef Py_ssize_t size = PyBytes_GET_SIZE(buffer)
    cdef const unsigned char* p = <const unsigned char*>PyBytes_AS_STRING(buffer)
    cdef const unsigned char* found
    cdef Py_ssize_t end, tail, at, formats_at, name_end
    cdef unsigned int format_count, count, result_count, binary, index
    cdef int length
    cdef bint described = False
    cdef const unsigned char* codes
    if size - position < 7 or p[position] != 66:
        return None
    end = position + 1 + <Py_ssize_t>get32(p + position + 1)
    tail = end
    if tail + 15 > size:
        return None
    if memcmp(p + tail, DESCRIBE_PORTAL, 7) == 0:
        tail += 7
        described = True
    if tail + 15 > size or memcmp(p + tail, EXECUTE_SYNC, 15) != 0 or end < position + 7 or p[position + 5]:
        return None
    found = <const unsigned char*>memchr(p + position + 6, 0, end - position - 6)
    if found == NULL:
        return None
    name_end = found - p
    statement = statements.get(PyBytes_FromStringAndSize(<const char*>p + position + 6, name_end - position - 6))
    if statement is None:
        return None
    cdef bytes code_bytes = statement.codes
    codes = <const unsigned char*>PyBytes_AS_STRING(code_bytes)
    at = name_end + 1
    if at + 2 > end:
        return None
    format_count = get16(p + at)
    formats_at = at + 2
    at = formats_at + 2 * <Py_ssize_t>format_count
    if at + 2 > end or (format_count > 1 and format_count != <unsigned int>PyBytes_GET_SIZE(code_bytes)):
        return None
    count = get16(p + at)
    at += 2
    if count != <unsigned int>PyBytes_GET_SIZE(code_bytes):
        return None
    cdef list values = []
    for index in range(count):
        if at + 4 > end:
            return None
        length = <int>get32(p + at)
        at += 4
        if length == -1:
            values.append(None)
            continue
        if length < 0 or at + length > end:
            return None
        binary = 0
        if format_count:
            binary = get16(p + formats_at + (2 * index if format_count > 1 else 0))
            if binary > 1:
                return None
        value = parameter(p + at, length, codes[index], binary)
        if value is None:
            return None
        values.append(value)
        at += length
    if at + 2 > end:
        return None
    result_count = get16(p + at)
    at += 2
    if at + 2 * <Py_ssize_t>result_count != end:
        return None
    return statement, tuple(values), PyBytes_FromStringAndSize(<const char*>p + at, end - at), described, tail + 15


cdef class Out:
    """A growing buffer, freed with its owner whatever is raised."""

    cdef unsigned char* data
    cdef Py_ssize_t size
    cdef Py_ssize_t room
    cdef Py_ssize_t start
    cdef Py_ssize_t limit

    def __cinit__(self, Py_ssize_t room):
        self.data = <unsigned char*>PyMem_Malloc(room)
        if self.data == NULL:
            raise MemoryError
        self.size = 0
        self.room = room
        self.start = 0
        self.limit = PY_SSIZE_T_MAX

    def __dealloc__(self):
        PyMem_Free(self.data)

    cdef int reserve(self, Py_ssize_t more) except -1:
        cdef unsigned char* grown
        cdef Py_ssize_t room
        if self.size + more > self.room:
            room = (self.size + more) * 2
            grown = <unsigned char*>PyMem_Realloc(self.data, room)
            if grown == NULL:
                raise MemoryError
            self.data = grown
            self.room = room
        return 0

    cdef int value(self, const char* data, Py_ssize_t length) except -1:
        """A length word and the bytes."""
        if self.size - self.start + length + 4 > self.limit:
            raise message_too_large(self.size - self.start, length + 4)
        self.reserve(length + 4)
        put32(self.data + self.size, <unsigned int>length)
        memcpy(self.data + self.size + 4, data, length)
        self.size += 4 + length
        return 0

    cdef int integer(self, long long number) except -1:
        """A length word and the decimal digits."""
        cdef unsigned char digits[24]
        cdef int at = 24
        cdef bint negative = number < 0
        cdef unsigned long long rest = 0 - <unsigned long long>number if negative else <unsigned long long>number
        while True:
            at -= 1
            digits[at] = 48 + rest % 10
            rest = rest // 10
            if rest == 0:
                break
        if negative:
            at -= 1
            digits[at] = 45
        return self.value(<const char*>&digits[at], 24 - at)

    cdef int put(self, const char* data, Py_ssize_t length) except -1:
        """The bytes alone."""
        if self.size - self.start + length > self.limit:
            raise message_too_large(self.size - self.start, length)
        self.reserve(length)
        memcpy(self.data + self.size, data, length)
        self.size += length
        return 0

    cdef int escaped(self, const unsigned char* data, Py_ssize_t length, unsigned char delimiter) except -1:
        """The bytes as a field of COPY's text format."""
        cdef Py_ssize_t i, more = length
        cdef unsigned char c
        cdef unsigned char* out
        for i in range(length):
            c = data[i]
            if 8 <= c <= 13 or c == 92 or c == delimiter:
                more += 1
        if more == length:
            return self.put(<const char*>data, length)
        if self.size - self.start + more > self.limit:
            raise message_too_large(self.size - self.start, more)
        self.reserve(more)
        out = self.data + self.size
        for i in range(length):
            c = data[i]
            if 8 <= c <= 13:
                out[0] = 92
                out[1] = COPY_LETTERS[c - 8]
                out += 2
                continue
            if c == 92 or c == delimiter:
                out[0] = 92
                out += 1
            out[0] = c
            out += 1
        self.size = out - self.data
        return 0

    cdef int big_endian(self, long long number, int width) except -1:
        cdef unsigned char raw[8]
        cdef int i
        if width < 8 and (number >= (1LL << (8 * width - 1)) or number < -(1LL << (8 * width - 1))):
            raise OverflowError("int too big to convert")
        for i in range(width):
            raw[width - 1 - i] = (<unsigned long long>number >> (8 * i)) & 255
        return self.value(<const char*>&raw[0], width)


cdef int put_value(Out out, object value, unsigned char code, object converter, object env) except -1:
    cdef const char* text
    cdef Py_ssize_t length
    cdef long long number
    cdef double real
    cdef float single
    cdef unsigned char raw[4]
    cdef unsigned long long bits
    if code == 105:
        try:
            number = PyLong_AsLongLong(value)
        except OverflowError:
            digits = b"%d" % value
            return out.value(PyBytes_AS_STRING(digits), PyBytes_GET_SIZE(digits))
        return out.integer(number)
    if code == 115:
        text = PyUnicode_AsUTF8AndSize(value, &length)
        return out.value(text, length)
    if code == 98:
        return out.value("t" if value else "f", 1)
    if code == 50 or code == 52 or code == 56:
        return out.big_endian(PyLong_AsLongLong(value), code - 48)
    if code == 85:
        number = PyLong_AsLongLong(value)
        if number < 0 or number > 4294967295LL:
            raise OverflowError("int too big to convert")
        put32(raw, <unsigned int>number)
        return out.value(<const char*>&raw[0], 4)
    if code == 66:
        return out.value("\1" if value else "\0", 1)
    if code == 100:
        real = value
        memcpy(&bits, &real, 8)
        return out.big_endian(<long long>bits, 8)
    if code == 102:
        real = value
        single = <float>real
        if single - single != 0 and real - real == 0:
            raise OverflowError("float too large to pack with f format")
        memcpy(raw, &single, 4)
        raw[0], raw[1], raw[2], raw[3] = raw[3], raw[2], raw[1], raw[0]
        return out.value(<const char*>&raw[0], 4)
    cdef bytes data
    if code == 121:
        data = bytes(value)
    elif code == 116 and converter is not None:
        data = converter(value)
    elif code == 111 and converter is not None:
        rendered = converter(value, env)
        text = PyUnicode_AsUTF8AndSize(rendered, &length)
        return out.value(text, length)
    else:
        raise ValueError(f"row code {code}")
    return out.value(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))


def encode_rows(list rows, bytes codes, tuple converters, object env, Py_ssize_t limit=0x3FFFFFFF):
    cdef Py_ssize_t width = PyBytes_GET_SIZE(codes)
    cdef const unsigned char* code = <const unsigned char*>PyBytes_AS_STRING(codes)
    cdef Out out = Out(64 + 24 * width)
    cdef Py_ssize_t start, index
    cdef tuple row
    out.limit = limit
    for row in rows:
        if PyTuple_GET_SIZE(row) != width:
            raise ValueError(f"row of {len(row)} columns where {width} were announced")
        start = out.start = out.size
        out.reserve(7)
        out.data[start] = 68
        out.data[start + 5] = (width >> 8) & 255
        out.data[start + 6] = width & 255
        out.size += 7
        for index in range(width):
            value = <object>PyTuple_GET_ITEM(row, index)
            if value is None:
                out.reserve(4)
                put32(out.data + out.size, 0xFFFFFFFF)
                out.size += 4
            else:
                put_value(out, value, code[index], <object>PyTuple_GET_ITEM(converters, index), env)
        put32(out.data + start + 1, <unsigned int>(out.size - start - 1))
    return PyBytes_FromStringAndSize(<const char*>out.data, out.size)


cdef int copy_value(
    Out out, object value, unsigned char code, object converter, object env, unsigned char delimiter
) except -1:
    cdef const char* text
    cdef Py_ssize_t length
    cdef bytes data
    if code == 105:
        data = b"%d" % value
        return out.put(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
    if code == 115:
        text = PyUnicode_AsUTF8AndSize(value, &length)
        return out.escaped(<const unsigned char*>text, length, delimiter)
    if code == 98:
        return out.put("t" if value else "f", 1)
    if code == 116 and converter is not None:
        data = converter(value)
        return out.escaped(<const unsigned char*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), delimiter)
    if code == 111 and converter is not None:
        rendered = converter(value, env)
        text = PyUnicode_AsUTF8AndSize(rendered, &length)
        return out.escaped(<const unsigned char*>text, length, delimiter)
    raise ValueError(f"row code {code}")


def encode_copy(
    list rows, bytes codes, tuple converters, object env, unsigned char delimiter, bytes null,
    Py_ssize_t limit=0x3FFFFFFF, bint framed=True
):
    cdef Py_ssize_t width = PyBytes_GET_SIZE(codes)
    cdef const unsigned char* code = <const unsigned char*>PyBytes_AS_STRING(codes)
    cdef Out out = Out(64 + 24 * width)
    cdef Py_ssize_t start, index
    cdef tuple row
    out.limit = limit
    for row in rows:
        if PyTuple_GET_SIZE(row) != width:
            raise ValueError(f"row of {len(row)} columns where {width} were announced")
        start = out.start = out.size
        if framed:
            out.reserve(5)
            out.data[start] = 100
            out.size += 5
        for index in range(width):
            out.reserve(2)
            if index:
                out.data[out.size] = delimiter
                out.size += 1
            value = <object>PyTuple_GET_ITEM(row, index)
            if value is None:
                out.put(PyBytes_AS_STRING(null), PyBytes_GET_SIZE(null))
            else:
                copy_value(out, value, code[index], <object>PyTuple_GET_ITEM(converters, index), env, delimiter)
        out.reserve(1)
        out.data[out.size] = 10
        out.size += 1
        if framed:
            put32(out.data + start + 1, <unsigned int>(out.size - start - 1))
    return PyBytes_FromStringAndSize(<const char*>out.data, out.size)


cdef object copy_field(const unsigned char* p, Py_ssize_t length, unsigned char code):
    """The value, or None to decline."""
    if code == 50 or code == 52 or code == 56:
        return parameter(p, length, code, 0)
    return PyUnicode_DecodeUTF8(<const char*>p, length, NULL)


cdef Py_ssize_t unescaped(const unsigned char* p, Py_ssize_t length, unsigned char* out) noexcept:
    # A field without its backslashes; what ``split_copy`` declines is not in it. Its new length.
    cdef Py_ssize_t i = 0, size = 0
    cdef const void* found
    cdef unsigned char c
    while i < length:
        c = p[i]
        if c == 92:
            i += 1
            c = p[i]
            found = memchr(COPY_LETTERS, c, 6)
            if found != NULL:
                c = <unsigned char>(8 + (<const unsigned char*>found - COPY_LETTERS))
        out[size] = c
        size += 1
        i += 1
    return size


def split_copy(bytes data, bytes codes, unsigned char delimiter, bytes null, bytes special, bint escapes):
    cdef Py_ssize_t width = PyBytes_GET_SIZE(codes), size = PyBytes_GET_SIZE(data)
    cdef Py_ssize_t at = 0, begin = 0, column = 0, nulls = PyBytes_GET_SIZE(null), index, length
    cdef const unsigned char* p = <const unsigned char*>PyBytes_AS_STRING(data)
    cdef const unsigned char* code = <const unsigned char*>PyBytes_AS_STRING(codes)
    cdef const unsigned char* field
    cdef const char* none = PyBytes_AS_STRING(null)
    cdef unsigned char c
    cdef unsigned char[256] declined
    cdef bint escaped = False
    cdef Out scratch = Out(256)
    cdef list columns = [[] for _ in range(width)]
    cdef list values
    if not width or not size or p[size - 1] != 10:
        return None
    for index in range(256):
        declined[index] = 0
    declined[0] = declined[13] = 1
    for index in range(PyBytes_GET_SIZE(special)):
        declined[<unsigned char>special[index]] = 1
    values = columns[0]
    while at < size:
        c = p[at]
        if declined[c]:
            return None
        if c == 92 and escapes:
            at += 1
            c = p[at]  # there is one: the last byte is a newline
            if declined[c] or c == 10 or c == 46 or c == 120 or 48 <= c <= 55:
                return None
            escaped = True
        elif c == 10 or c == delimiter:
            field, length = p + begin, at - begin
            if length == nulls and memcmp(field, none, nulls) == 0:
                values.append(None)
            else:
                if escaped:
                    scratch.size = 0
                    scratch.reserve(length)
                    length = unescaped(field, length, scratch.data)
                    field = scratch.data
                try:
                    value = copy_field(field, length, code[column])
                except UnicodeDecodeError:
                    return None
                if value is None:
                    return None
                values.append(value)
            escaped = False
            column += 1
            if c == 10:
                if column != width:
                    return None
                column = 0
            elif column == width:
                return None
            values = columns[column]
            begin = at + 1
        at += 1
    return columns
