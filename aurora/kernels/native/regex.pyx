# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Compiled twin of ``aurora.kernels.python.regex``: the same states, with transitions in one array."""

from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memset

from aurora.kernels.python.regex import CHAR, COND, FINAL, LOOK, PULSE, SPLIT, STATES_MAX, Colors, Lazy, condition_holds

cdef extern from "Python.h":
    int PyUnicode_KIND(object text)
    void* PyUnicode_DATA(object text)
    unsigned int PyUnicode_READ(int kind, void* data, Py_ssize_t index)

cdef Py_ssize_t _PULSE = PULSE


cdef class _Table:
    """``cells[state * width + color]``: 2 * next + accepts, or -1 where it is not made yet."""
    cdef int* cells
    cdef Py_ssize_t width, room, used

    def __cinit__(self, Py_ssize_t width):
        self.width = width
        self.room = 16
        self.used = 0
        self.cells = <int*>malloc(self.room * width * sizeof(int))
        if self.cells == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.cells)

    cdef int add(self) except -1:
        cdef int* grown
        if self.used == self.room:
            grown = <int*>realloc(self.cells, 2 * self.room * self.width * sizeof(int))
            if grown == NULL:
                raise MemoryError
            self.cells = grown
            self.room *= 2
        memset(self.cells + self.used * self.width, 0xFF, self.width * sizeof(int))
        self.used += 1
        return 0


cdef class _ColorTable:
    """Colors by code point: 256 code points a page, equal pages shared."""
    cdef unsigned short* pages
    cdef unsigned short index[0x1100]

    def __cinit__(self, object colors):
        cdef Py_ssize_t page, count = 0, run, runs = len(colors.starts), code, end
        cdef list starts = colors.starts, kinds = colors.colors
        found = {}
        pages = []
        run = 0
        for page in range(0x1100):
            code = page << 8
            while run + 1 < runs and <Py_ssize_t>starts[run + 1] <= code:
                run += 1
            if run + 1 == runs or <Py_ssize_t>starts[run + 1] >= code + 256:
                key = kinds[run]
                body = None
            else:
                body = []
                while len(body) < 256:
                    end = 256
                    if run + 1 < runs and <Py_ssize_t>starts[run + 1] - code < 256:
                        end = <Py_ssize_t>starts[run + 1] - code
                    body += [kinds[run]] * (end - len(body))
                    if end < 256:
                        run += 1
                key = tuple(body)
            if key not in found:
                found[key] = count
                count += 1
                pages.append([key] * 256 if body is None else body)
            self.index[page] = found[key]
        self.pages = <unsigned short*>malloc(count * 256 * sizeof(unsigned short))
        if self.pages == NULL:
            raise MemoryError
        for page in range(count):
            for run in range(256):
                self.pages[page * 256 + run] = pages[page][run]

    def __dealloc__(self):
        free(self.pages)


def _color_table(colors):
    found = getattr(colors, "table", None)
    if found is None:
        found = colors.table = _ColorTable(colors)
    return found


class Dfa(Lazy):
    """See the twin."""

    def __init__(self, nodes, start, colors, reverse=False):
        super().__init__(nodes, start, colors, reverse)
        self.table = _Table(colors.count + 1)
        self.masked = {}

    def flush(self):
        """Transitions name dropped states."""
        self.table = _Table(self.colors.count + 1)
        self.masked.clear()

    def added(self):
        """Room for one more state."""
        cdef _Table table = self.table
        table.add()

    def longest(self, str text not None, Py_ssize_t begin, Py_ssize_t stop, masks, pulse):
        """See the twin."""
        return _run(self, text, begin, stop, masks, pulse, 0, 0, None)

    def shortest(self, str text not None, Py_ssize_t begin, Py_ssize_t least, Py_ssize_t stop, masks, pulse):
        """See the twin."""
        return _run(self, text, begin, stop, masks, pulse, 1, least, None)

    def leftmost(self, str text not None, Py_ssize_t begin, Py_ssize_t tried, Py_ssize_t stop, masks, pulse):
        """See the twin."""
        cdef Py_ssize_t at, end, width, length = len(text)
        cdef _ColorTable colors
        cdef _Table table
        cdef int first = 0, kind = 0, color
        cdef void* data = NULL
        cdef unsigned int code
        cdef bint quick = masks is None and not self.conditional and not self.reverse and stop > begin
        if quick:
            # From most places nothing can begin, as one transition says.
            colors = _color_table(self.colors)
            first = self.first(text, begin)
            table = self.table
            width = table.width
            kind = PyUnicode_KIND(text)
            data = PyUnicode_DATA(text)
            generation = self.generation
        for at in range(begin, tried):
            if quick and at < length and at < stop:
                code = PyUnicode_READ(kind, data, at)
                color = colors.pages[(<Py_ssize_t>colors.index[code >> 8] << 8) + (code & 255)]
                if table.cells[first * width + color] == 0:
                    continue
            if quick and generation != self.generation:
                quick = False
            end = _run(self, text, at, stop, masks, pulse, 0, 0, None)
            if end >= 0:
                return at, end
        return None

    def marks(self, str text not None, Py_ssize_t begin, Py_ssize_t stop, masks, pulse):
        """See the twin."""
        out = bytearray(abs(stop - begin) + 1)
        _run(self, text, begin, stop, masks, pulse, 2, 0, out)
        return out


cdef Py_ssize_t _run(object self, str text, Py_ssize_t begin, Py_ssize_t stop, object masks, object pulse, int mode,
                     Py_ssize_t least, bytearray out) except -2:
    cdef _ColorTable colors = _color_table(self.colors)
    cdef int border = self.colors.count
    cdef bint reverse = self.reverse, masked = masks is not None
    cdef Py_ssize_t at = begin, step = -1 if reverse else 1, ahead = -1 if reverse else 0, length = len(text)
    cdef Py_ssize_t last = -1, low = min(begin, stop), left = _PULSE, place
    cdef int kind = PyUnicode_KIND(text)
    cdef void* data = PyUnicode_DATA(text)
    cdef int state = self.first(text, begin), following, color
    cdef _Table table = self.table
    cdef int* cells = table.cells
    cdef Py_ssize_t width = table.width
    cdef unsigned int code
    cdef unsigned char* flags = NULL
    if out is not None:
        flags = out
    while True:
        place = at + ahead
        if 0 <= place < length:
            code = PyUnicode_READ(kind, data, place)
            color = colors.pages[(<Py_ssize_t>colors.index[code >> 8] << 8) + (code & 255)]
        else:
            color = border
        if not masked:
            following = cells[state * width + color]
            if following < 0:
                generation = self.generation
                following = self.make(state, color, 0)
                table = self.table
                cells = table.cells
                if generation == self.generation:
                    cells[state * width + color] = following
        else:
            key = (state, color, masks[at])
            found = self.masked.get(key)
            if found is None:
                generation = self.generation
                found = self.make(state, color, masks[at])
                table = self.table
                cells = table.cells
                if generation == self.generation:
                    self.masked[key] = found
            following = found
        if following & 1:
            if mode == 0:
                last = at
            elif mode == 2:
                flags[at - low] = 1
            elif (at <= least) if reverse else (at >= least):
                return at
        state = following >> 1
        if at == stop or state == 0:
            return last
        at += step
        left -= 1
        if left == 0:
            left = _PULSE
            kept = self.keys[state]
            pulse()
            state = self.intern(kept)
            table = self.table
            cells = table.cells
