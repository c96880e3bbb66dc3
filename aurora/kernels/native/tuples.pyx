# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Row codec, compiled. The specification is ``aurora.kernels.python.tuples``."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.float cimport PyFloat_AsDouble, PyFloat_FromDouble
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE, PyTuple_New, PyTuple_SET_ITEM
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from aurora.errors import DataCorrupted, NumericValueOutOfRange, ProgramLimitExceeded

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    object PyUnicode_DecodeUTF8(const char* data, Py_ssize_t size, const char* errors)
    object PyUnicode_DecodeLatin1(const char* data, Py_ssize_t size, const char* errors)
    object PyLong_FromLongLong(long long value)
    long long PyLong_AsLongLong(object value) except? -1
    int PyLong_Check(object value)
    double PyFloat_AS_DOUBLE(object value)

cdef enum:
    LAZY_MARK = 65536

LAZY = LAZY_MARK
HANDLE_BYTES = 120
"""Added to an attno of a projection: the value may come as its handle."""


cdef bytes value_image(Toasted value):
    # The bytes that stand in the row.
    cdef unsigned char head[18]
    cdef unsigned int word
    cdef Py_ssize_t n
    memset(head, 0, 18)
    if value.data is None:
        head[0] = <unsigned char>(T_EXTERNAL | value.method)
        word = <unsigned int>value.raw_bytes
        memcpy(head + 2, &word, 4)
        word = <unsigned int>value.stored_bytes
        memcpy(head + 6, &word, 4)
        memcpy(head + 10, &value.value_id, 4)
        memcpy(head + 14, &value.relation, 4)
        return PyBytes_FromStringAndSize(<char*>head, POINTER)
    n = PyBytes_GET_SIZE(value.data)
    if value.method:
        head[0] = <unsigned char>(T_PLAIN | value.method)
        head[1] = <unsigned char>n
        head[2] = <unsigned char>(n >> 8)
        word = <unsigned int>value.raw_bytes
        memcpy(head + 4, &word, 4)
        return PyBytes_FromStringAndSize(<char*>head, COMPRESSED_HEADER) + value.data
    if n < T_SHORT:
        head[0] = <unsigned char>n
        return PyBytes_FromStringAndSize(<char*>head, 1) + value.data
    head[0] = <unsigned char>(0x80 | (n >> 8 & 0x3F))
    head[1] = <unsigned char>n
    return PyBytes_FromStringAndSize(<char*>head, 2) + value.data


def too_big(Py_ssize_t size):
    """54000 for a tuple image of that size."""
    return ProgramLimitExceeded(f"row is too big: size {size}, maximum size {<int>MAX_TUPLE}")


cdef class Toasted:
    """A value as it is stored: plain or compressed bytes in the row, or a pointer to chunks out of line."""

    def __init__(
        self, RowCodec codec not None, Py_ssize_t column, int method, Py_ssize_t raw_bytes, Py_ssize_t stored_bytes,
        unsigned int value_id=0, unsigned int relation=0, bytes data=None
    ):
        self.codec = codec
        self.column = column
        self.method = method
        self.raw_bytes = raw_bytes
        self.stored_bytes = stored_bytes
        self.value_id = value_id
        self.relation = relation
        self.data = data

    @property
    def is_external(self):
        """Whether the bytes are out of line."""
        return self.data is None

    def __len__(self):
        return HANDLE_BYTES + (0 if self.data is None else len(self.data))

    def value(self, bytes raw not None):
        """The SQL value whose bytes are ``raw``."""
        return self.codec.value_of(self.column, raw)

    def image(self):
        """The bytes that stand in the row."""
        return value_image(self)

    def _key(self):
        return self.column, self.method, self.raw_bytes, self.stored_bytes, self.value_id, self.relation, self.data

    def __eq__(self, other):
        return type(other) is Toasted and self._key() == (<Toasted>other)._key()

    def __hash__(self):
        return hash(self._key())


cdef class RowCodec:
    """Codec of one table's rows."""

    def __init__(self, str codes, to_disk, from_disk, missing=None, Py_ssize_t limit=0):
        cdef Py_ssize_t i
        cdef bytes text = codes.encode("ascii")
        self.codes = codes
        self.natts = len(codes)
        self.to_disk = list(to_disk)
        self.from_disk = list(from_disk)
        self.missing = list(missing) if missing is not None else [None] * self.natts
        self.limit = limit
        if not len(self.to_disk) == len(self.from_disk) == len(self.missing) == self.natts:
            raise ValueError("one entry a column is needed")
        if self.natts > M_NATTS:
            raise ValueError(f"{self.natts} columns")
        self.code = <char*>malloc(self.natts + 1)
        if self.code == NULL:
            raise MemoryError()
        for i in range(self.natts):
            self.code[i] = text[i]

    def __dealloc__(self):
        free(self.code)

    cdef Py_ssize_t put_value(self, Py_ssize_t i, object value, Py_ssize_t at) except -1:
        # Writes one value at scratch[at]; returns the position behind it. Beyond MAX_TUPLE only the size is counted.
        cdef char code = self.code[i]
        cdef unsigned char* out = self.scratch + at
        cdef long long number
        cdef double real
        cdef float single
        cdef const char* text
        cdef Py_ssize_t n, width = fixed_width(code)
        cdef bytes data
        if width:
            if at + width > MAX_TUPLE:
                return at + width
            if code == c"i" or code == c"q" or code == c"h" or code == c"I":
                try:
                    number = PyLong_AsLongLong(value)
                except OverflowError:
                    raise self._range_error(code) from None
                if code == c"q":
                    memcpy(out, &number, 8)
                elif code == c"i":
                    if not -2147483648 <= number <= 2147483647:
                        raise self._range_error(code)
                    memcpy(out, &number, 4)
                elif code == c"h":
                    if not -32768 <= number <= 32767:
                        raise self._range_error(code)
                    memcpy(out, &number, 2)
                else:
                    if not 0 <= number <= 4294967295:
                        raise self._range_error(code)
                    memcpy(out, &number, 4)
            elif code == c"?":
                out[0] = 1 if value else 0
            elif code == c"d":
                real = PyFloat_AsDouble(value)
                memcpy(out, &real, 8)
            elif code == c"f":
                real = PyFloat_AsDouble(value)
                single = <float>real
                if single - single != 0 and real - real == 0:
                    raise OverflowError("float too large to pack with f format")
                memcpy(out, &single, 4)
            else:
                data = (<str>value).encode("latin-1")
                out[0] = <unsigned char>PyBytes_AS_STRING(data)[0] if PyBytes_GET_SIZE(data) else 0
            return at + width
        if type(value) is Toasted:
            return self.put_toasted(<Toasted>value, at)
        if code == c"s":
            text = PyUnicode_AsUTF8AndSize(value, &n)
        else:
            if code == c"y":
                data = bytes(value)
            else:
                hook = self.to_disk[i]
                if hook is None:
                    raise ValueError(f"column {i + 1} has disk code {self.codes[i]!r} and no hook")
                data = hook(value)
            text = PyBytes_AS_STRING(data)
            n = PyBytes_GET_SIZE(data)
        width = n + (1 if n < T_SHORT else 2)
        if at + width > MAX_TUPLE:
            return at + width
        if n < T_SHORT:
            out[0] = <unsigned char>n
            memcpy(out + 1, text, n)
        else:
            out[0] = <unsigned char>(0x80 | (n >> 8))
            out[1] = <unsigned char>n
            memcpy(out + 2, text, n)
        return at + width

    cdef Py_ssize_t put_toasted(self, Toasted value, Py_ssize_t at) except -1:
        cdef bytes image = value_image(value)
        cdef Py_ssize_t n = PyBytes_GET_SIZE(image)
        cdef unsigned short infomask
        if at + n <= MAX_TUPLE:
            memcpy(self.scratch + at, PyBytes_AS_STRING(image), n)
            if value.data is None:
                memcpy(&infomask, self.scratch + O_INFOMASK, 2)
                infomask |= M_HAS_EXTERNAL
                memcpy(self.scratch + O_INFOMASK, &infomask, 2)
        return at + n

    cdef object handle_c(self, Py_ssize_t i, const unsigned char* at):
        # The handle of a value that is stored compressed or out of line.
        cdef unsigned int raw, stored, value_id, relation
        cdef Py_ssize_t n
        self.handles += 1
        if at[0] < T_EXTERNAL:
            memcpy(&raw, at + 4, 4)
            n = at[1] | (<Py_ssize_t>at[2] << 8)
            return Toasted(
                self, i, at[0] & 0x1F, raw, n, 0, 0, PyBytes_FromStringAndSize(<const char*>at + COMPRESSED_HEADER, n)
            )
        memcpy(&raw, at + 2, 4)
        memcpy(&stored, at + 6, 4)
        memcpy(&value_id, at + 10, 4)
        memcpy(&relation, at + 14, 4)
        return Toasted(self, i, at[0] & 0x1F, raw, stored, value_id, relation)

    cdef list externals_c(self, const unsigned char* tup, object positions):
        # Handles of the values out of line among ``positions`` (None: all).
        cdef unsigned short infomask
        cdef Py_ssize_t i, natts
        cdef const unsigned char* at = tup + HEADER
        cdef const unsigned char* bits = NULL
        cdef list found = []
        memcpy(&infomask, tup + O_INFOMASK, 2)
        if not infomask & M_HAS_EXTERNAL:
            return found
        natts = infomask & M_NATTS
        if infomask & M_HAS_NULL:
            bits = at
            at += (natts + 7) >> 3
        for i in range(natts):
            if bits != NULL and (bits[i >> 3] >> (i & 7)) & 1:
                continue
            if fixed_width(self.code[i]) == 0 and at[0] >= T_EXTERNAL and (positions is None or i in positions):
                found.append(self.handle_c(i, at))
            at += value_width(self.code[i], at)
        return found

    def externals(self, page, Py_ssize_t offset, positions):
        """Handles of the values out of line among ``positions`` (None: all) of the tuple at ``offset``."""
        cdef const unsigned char[::1] view = page
        return self.externals_c(&view[offset], positions)

    def raw(self, Py_ssize_t i, value):
        """The bytes of a variable-length column's value."""
        if self.code[i] == c"s":
            return value.encode()
        if self.code[i] == c"y":
            return bytes(value)
        hook = self.to_disk[i]
        if hook is None:
            raise ValueError(f"column {i + 1} has disk code {self.codes[i]!r} and no hook")
        return hook(value)

    def value_of(self, Py_ssize_t i, bytes raw not None):
        """Inverse of ``raw``."""
        if self.code[i] == c"s":
            return raw.decode()
        if self.code[i] == c"y":
            return raw
        hook = self.from_disk[i]
        if hook is None:
            raise DataCorrupted(f"column {i + 1} has disk code {self.codes[i]!r} and no hook")
        return hook(raw)

    def _range_error(self, char code):
        name = "integer" if code == c"i" else "bigint" if code == c"q" else "smallint" if code == c"h" else "OID"
        return NumericValueOutOfRange(f"{name} out of range")

    cdef Py_ssize_t encode_c(self, object values) except -1:
        # The image in scratch; returns its size.
        cdef Py_ssize_t i, at = HEADER, n = len(values)
        cdef bint nulls = False
        cdef bint is_tuple = type(values) is tuple
        cdef bint is_list = type(values) is list
        cdef unsigned short infomask
        cdef Py_ssize_t bitmap = (self.natts + 7) >> 3
        cdef object value
        if n != self.natts:
            raise ValueError(f"{n} values for {self.natts} columns")
        if not is_tuple and not is_list:
            values = tuple(values)
            is_tuple = True
        for i in range(n):
            if (<object>PyTuple_GET_ITEM(values, i) if is_tuple else <object>PyList_GET_ITEM(values, i)) is None:
                nulls = True
                break
        infomask = <unsigned short>self.natts
        memset(self.scratch, 0, HEADER)
        if nulls:
            infomask |= M_HAS_NULL
            memset(self.scratch + HEADER, 0, bitmap)
            at += bitmap
        memcpy(self.scratch + O_INFOMASK, &infomask, 2)
        for i in range(n):
            value = <object>PyTuple_GET_ITEM(values, i) if is_tuple else <object>PyList_GET_ITEM(values, i)
            if value is None:
                self.scratch[HEADER + (i >> 3)] |= <unsigned char>(1 << (i & 7))
            else:
                at = self.put_value(i, value, at)
        return at

    def encode(self, values, bint forced=False):
        """The tuple image of ``values``, its transaction fields zero; None when it is longer than ``limit``."""
        cdef Py_ssize_t n = self.encode_c(values)
        if self.limit and not forced and n > self.limit:
            return None
        if n > MAX_TUPLE:
            raise too_big(n)
        return PyBytes_FromStringAndSize(<char*>self.scratch, n)

    cdef object value_c(self, Py_ssize_t i, const unsigned char* at, Py_ssize_t n):
        cdef char code = self.code[i]
        cdef long long number
        cdef int small
        cdef short tiny
        cdef unsigned int unsigned_number
        cdef double real
        cdef float single
        if code == c"i":
            memcpy(&small, at, 4)
            return PyLong_FromLongLong(small)
        if code == c"s":
            if at[0] < T_SHORT:
                return PyUnicode_DecodeUTF8(<const char*>at + 1, n - 1, NULL)
            if at[0] < T_PLAIN:
                return PyUnicode_DecodeUTF8(<const char*>at + 2, n - 2, NULL)
            return self.handle_c(i, at)
        if code == c"q":
            memcpy(&number, at, 8)
            return PyLong_FromLongLong(number)
        if code == c"h":
            memcpy(&tiny, at, 2)
            return PyLong_FromLongLong(tiny)
        if code == c"I":
            memcpy(&unsigned_number, at, 4)
            return PyLong_FromLongLong(unsigned_number)
        if code == c"?":
            return at[0] != 0
        if code == c"d":
            memcpy(&real, at, 8)
            return PyFloat_FromDouble(real)
        if code == c"f":
            memcpy(&single, at, 4)
            return PyFloat_FromDouble(single)
        if code == c"c":
            return PyUnicode_DecodeLatin1(<const char*>at, 1, NULL) if at[0] else ""
        if at[0] < T_SHORT:
            data = PyBytes_FromStringAndSize(<const char*>at + 1, n - 1)
        elif at[0] < T_PLAIN:
            data = PyBytes_FromStringAndSize(<const char*>at + 2, n - 2)
        else:
            return self.handle_c(i, at)
        if code == c"y":
            return data
        hook = self.from_disk[i]
        if hook is None:
            raise DataCorrupted(f"column {i + 1} has disk code {self.codes[i]!r} and no hook")
        return hook(data)

    def decode(self, page, Py_ssize_t offset):
        """All values of the tuple at ``offset``."""
        return Projection(self, range(1, self.natts + 1), False).row(page, offset, 0)

    cdef Py_ssize_t replace_c(self, const unsigned char* tup, object positions, object values) except -1:
        # A new image in scratch; returns its size.
        cdef unsigned short infomask
        cdef Py_ssize_t natts, i, k, width, at, start, bitmap = (self.natts + 7) >> 3
        cdef const unsigned char* source
        cdef const unsigned char* old_bits = NULL
        cdef bint nulls = False, external = False
        cdef bint replaced, is_null
        cdef Py_ssize_t n = len(positions)
        cdef object value
        cdef list targets
        if len(values) != n:
            raise ValueError("one value a position is needed")
        memcpy(&infomask, tup + O_INFOMASK, 2)
        natts = infomask & M_NATTS
        source = tup + HEADER
        if infomask & M_HAS_NULL:
            old_bits = source
            source += (natts + 7) >> 3
        targets = [None] * self.natts
        cdef unsigned char flags[2048]
        memset(flags, 0, self.natts)
        for k in range(n):
            i = positions[k]
            if i < 0 or i >= self.natts:
                raise ValueError(f"column {i + 1} of {self.natts}")
            flags[i] = 1
            targets[i] = values[k]
        # Whether the new row has a NULL decides where the values start.
        for i in range(self.natts):
            if flags[i]:
                is_null = targets[i] is None
            elif i < natts:
                is_null = old_bits != NULL and (old_bits[i >> 3] >> (i & 7)) & 1
            else:
                is_null = self.missing[i] is None
            if is_null:
                nulls = True
                break
        memset(self.scratch, 0, HEADER)
        at = HEADER
        infomask = <unsigned short>self.natts
        if nulls:
            infomask |= M_HAS_NULL
            memset(self.scratch + HEADER, 0, bitmap)
            at += bitmap
        memcpy(self.scratch + O_INFOMASK, &infomask, 2)
        for i in range(self.natts):
            if i < natts:
                is_null = old_bits != NULL and (old_bits[i >> 3] >> (i & 7)) & 1
                width = 0 if is_null else value_width(self.code[i], source)
            else:
                is_null = True
                width = 0
            if flags[i]:
                value = targets[i]
            elif i >= natts:
                value = self.missing[i]
            elif not is_null:
                if width == POINTER and source[0] >= T_EXTERNAL and fixed_width(self.code[i]) == 0:
                    external = True
                if at + width <= MAX_TUPLE:
                    memcpy(self.scratch + at, source, width)
                at += width
                source += width
                continue
            else:
                value = None
            source += width
            if value is None:
                self.scratch[HEADER + (i >> 3)] |= <unsigned char>(1 << (i & 7))
            else:
                at = self.put_value(i, value, at)
        if external:
            memcpy(&infomask, self.scratch + O_INFOMASK, 2)
            infomask |= M_HAS_EXTERNAL
            memcpy(self.scratch + O_INFOMASK, &infomask, 2)
        return at

    def replace(self, page, Py_ssize_t offset, positions, values, bint forced=False):
        """A new image of the tuple at ``offset`` with the columns ``positions`` (from 0) set to ``values``; None when it
        is longer than ``limit``."""
        cdef const unsigned char[::1] view = page
        cdef Py_ssize_t n = self.replace_c(&view[offset], positions, values)
        if self.limit and not forced and n > self.limit:
            return None
        if n > MAX_TUPLE:
            raise too_big(n)
        return PyBytes_FromStringAndSize(<char*>self.scratch, n)


cdef class Projection:
    """Which columns of a version become a row."""

    def __init__(self, RowCodec codec, columns, bint want_tid, long long table_oid=0):
        cdef Py_ssize_t i
        cdef int attno
        cdef list eager = []
        self.codec = codec
        self.columns = tuple(columns)
        self.want_tid = want_tid
        self.table_oid = table_oid
        self.width = len(self.columns)
        self.limit = 0
        free(self.attnos)
        free(self.first)
        free(self.following)
        # For each attno the first output position, and from there a chain of further ones.
        self.attnos = <int*>malloc((self.width + 1) * sizeof(int))
        self.following = <int*>malloc((self.width + 1) * sizeof(int))
        self.first = <int*>malloc((codec.natts + 1) * sizeof(int))
        if self.attnos == NULL or self.following == NULL or self.first == NULL:
            raise MemoryError()
        for i in range(codec.natts + 1):
            self.first[i] = -1
        for i in range(self.width):
            attno = self.columns[i]
            if attno >= LAZY_MARK:
                attno -= LAZY_MARK
            elif 0 < attno <= codec.natts and fixed_width(codec.code[attno - 1]) == 0:
                eager.append(i)
            if attno > codec.natts:
                raise ValueError(f"column {attno} of {codec.natts}")
            if attno < -6 or attno == 0:
                raise ValueError(f"system column {attno}")
            self.attnos[i] = attno
            self.following[i] = -1
            if attno > 0:
                self.following[i] = self.first[attno]
                self.first[attno] = <int>i
                self.limit = max(self.limit, attno)
            else:
                self.has_system = True
        self.eager = tuple(eager)

    def __dealloc__(self):
        free(self.attnos)
        free(self.first)
        free(self.following)

    cdef tuple row_c(self, const unsigned char* tup, unsigned long long tid):
        cdef RowCodec codec = self.codec
        cdef Py_ssize_t width = self.width, i, n, natts, stop
        cdef tuple row = PyTuple_New(width + (1 if self.want_tid else 0))
        cdef unsigned short infomask
        cdef const unsigned char* at = tup + HEADER
        cdef const unsigned char* bits = NULL
        cdef int position
        cdef unsigned long long wide
        cdef unsigned int narrow
        cdef object value
        memcpy(&infomask, tup + O_INFOMASK, 2)
        natts = infomask & M_NATTS
        if infomask & M_HAS_NULL:
            bits = at
            at += (natts + 7) >> 3
        stop = self.limit if self.limit < natts else natts
        for i in range(stop):
            position = self.first[i + 1]
            if bits != NULL and (bits[i >> 3] >> (i & 7)) & 1:
                value = None
            else:
                n = value_width(codec.code[i], at)
                if position >= 0:
                    value = codec.value_c(i, at, n)
                at += n
            while position >= 0:
                Py_INCREF(value)
                PyTuple_SET_ITEM(row, position, value)
                position = self.following[position]
        for i in range(stop, self.limit):
            position = self.first[i + 1]
            value = codec.missing[i]
            while position >= 0:
                Py_INCREF(value)
                PyTuple_SET_ITEM(row, position, value)
                position = self.following[position]
        if self.has_system:
            for i in range(width):
                if self.attnos[i] > 0:
                    continue
                if self.attnos[i] == -1:
                    value = tid
                elif self.attnos[i] == -2:
                    memcpy(&wide, tup + O_XMIN, 8)
                    value = wide
                elif self.attnos[i] == -4:
                    memcpy(&wide, tup + O_XMAX, 8)
                    value = wide
                elif self.attnos[i] == -3:
                    memcpy(&narrow, tup + O_CMIN, 4)
                    value = narrow
                elif self.attnos[i] == -5:
                    memcpy(&narrow, tup + O_CMAX, 4)
                    value = narrow
                else:
                    value = self.table_oid
                Py_INCREF(value)
                PyTuple_SET_ITEM(row, i, value)
        if self.want_tid:
            value = tid
            Py_INCREF(value)
            PyTuple_SET_ITEM(row, width, value)
        return row

    def row(self, page, Py_ssize_t offset, unsigned long long tid):
        """The row of the tuple image at ``offset``."""
        cdef const unsigned char[::1] view = page
        return self.row_c(&view[offset], tid)
