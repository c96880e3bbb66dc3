# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Index entries in runs, compiled. The specification is ``aurora.kernels.python.entries``."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport free, malloc, qsort, realloc
from libc.string cimport memcmp, memcpy

cdef enum:
    TID = 6
    C_ENTRY = 18
    FIRST_CHUNK = 4096
    CHUNK = 1 << 18


cdef int by_item(const void* a, const void* b) noexcept nogil:
    cdef const Entry* one = <const Entry*>a
    cdef const Entry* other = <const Entry*>b
    cdef unsigned int n, m
    cdef int order
    if one.rank != other.rank:
        return -1 if one.rank < other.rank else 1
    n = size_of(one.at)
    m = size_of(other.at)
    order = memcmp(one.at + 2, other.at + 2, n if n < m else m)
    if order:
        return order
    return -1 if n < m else 1 if n > m else 0


cdef class EntryRun:
    """Leaf items of one index."""

    def __dealloc__(self):
        self._free()
        free(self.entries)
        free(self.chunks)

    cdef void _free(self) noexcept:
        cdef Py_ssize_t i
        for i in range(self.n_chunks):
            free(self.chunks[i])
        self.n_chunks = 0
        self.at = self.end = NULL
        self.count = 0

    def __len__(self):
        return self.count

    cdef int put(self, const unsigned char* item, Py_ssize_t n, bint has_null) except -1:
        cdef unsigned char** chunks
        cdef Entry* entries
        cdef Py_ssize_t room
        cdef unsigned short size
        if n > C_ITEM_MAX:
            if not self.too_long:
                self.too_long = n
            n = C_ITEM_MAX
        size = <unsigned short>(n | (NULL_BIT if has_null else 0))
        if self.end - self.at < n + 2:
            if self.n_chunks == self.room_chunks:
                room = self.room_chunks * 2 + 16
                chunks = <unsigned char**>realloc(self.chunks, room * sizeof(unsigned char*))
                if chunks == NULL:
                    raise MemoryError()
                self.chunks = chunks
                self.room_chunks = room
            # A short run takes a short piece of memory.
            room = CHUNK if self.n_chunks else FIRST_CHUNK
            self.at = <unsigned char*>malloc(room)
            if self.at == NULL:
                self.end = NULL
                raise MemoryError()
            self.end = self.at + room
            self.chunks[self.n_chunks] = self.at
            self.n_chunks += 1
        if self.count == self.room:
            room = self.room * 2 if self.room else 64
            entries = <Entry*>realloc(self.entries, room * sizeof(Entry))
            if entries == NULL:
                raise MemoryError()
            self.entries = entries
            self.room = room
        memcpy(self.at, &size, 2)
        memcpy(self.at + 2, item, n)
        self.entries[self.count].at = self.at
        self.count += 1
        self.at += n + 2
        self.bytes += n + C_ENTRY
        return 0

    def add(self, items, bint has_null):
        """More items."""
        cdef bytes item
        for each in items:
            item = each
            self.put(<const unsigned char*>PyBytes_AS_STRING(item), PyBytes_GET_SIZE(item), has_null)

    def sort(self):
        """Put the items into key order."""
        with nogil:
            self.sort_c()

    cdef void sort_c(self) noexcept nogil:
        cdef Py_ssize_t i, common, n, m
        cdef int k
        cdef const unsigned char* first
        cdef const unsigned char* item
        cdef unsigned long long rank
        cdef bint in_order = True
        if self.count < 2:
            return
        first = self.entries[0].at + 2
        common = size_of(self.entries[0].at)
        for i in range(1, self.count):
            item = self.entries[i].at + 2
            m = size_of(self.entries[i].at)
            if m < common:
                common = m
            n = 0
            while n < common and first[n] == item[n]:
                n += 1
            common = n
        for i in range(self.count):
            item = self.entries[i].at + 2
            n = size_of(self.entries[i].at)
            rank = 0
            for k in range(8):
                rank = rank << 8 | (item[common + k] if common + k < n else 0)
            self.entries[i].rank = rank
            if in_order and i and by_item(&self.entries[i - 1], &self.entries[i]) > 0:
                in_order = False
        if not in_order:
            qsort(self.entries, self.count, sizeof(Entry), &by_item)

    def items(self, Py_ssize_t start, Py_ssize_t end):
        """The items from ``start`` to before ``end``."""
        cdef list found = []
        cdef Py_ssize_t i
        for i in range(max(start, 0), min(end, self.count)):
            found.append(PyBytes_FromStringAndSize(<const char*>self.entries[i].at + 2, size_of(self.entries[i].at)))
        return found

    def has_null(self, Py_ssize_t at):
        """Whether the key of the item there has a NULL."""
        if not 0 <= at < self.count:
            raise IndexError(at)
        return bool(self.entries[at].at[1] & 0x80)

    def equal_key(self, Py_ssize_t start, bint nulls):
        """The first place from ``start`` on whose key is that of the item before it; -1 without one."""
        cdef Py_ssize_t i
        cdef unsigned int n
        for i in range(max(start, 1), self.count):
            n = size_of(self.entries[i].at)
            if n == size_of(self.entries[i - 1].at) and n >= TID and (nulls or not self.entries[i].at[1] & 0x80):
                if memcmp(self.entries[i].at + 2, self.entries[i - 1].at + 2, n - TID) == 0:
                    return i
        return -1

    def clear(self):
        """No items any more."""
        self._free()
        self.bytes = self.too_long = 0
