# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""B-tree pages, compiled. The specification is ``aurora.kernels.python.btree``."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset

from aurora.errors import IndexCorrupted
from aurora.kernels.native.arena cimport Arena
from aurora.kernels.native.clog cimport BlockMap, Snapshot
from aurora.kernels.native.entries cimport EntryRun, size_of
from aurora.kernels.native.heap cimport HeapFile
from aurora.kernels.native.mtr cimport Mtr
from aurora.kernels.native.tuples cimport Projection
from aurora.kernels.python.btree import next_prefix, pack_tid
from aurora.page import PageKind

cdef enum:
    PAGE_BYTES = 8192
    PAGE_HEADER = 24
    OFF_KIND = 12
    OFF_FLAGS = 13
    OFF_LOWER = 14
    OFF_UPPER = 16
    OFF_RIGHT = 8184
    OFF_LEVEL = 8188
    META_ROOT = 24
    TID = 6
    C_NEEDS_SPLIT = -1
    C_DUPLICATE = 1
    MAX_ITEM = 2704
    C_LEAF = 1
    C_INCOMPLETE = 2
    FILL = PAGE_BYTES * 9 // 10
    C_NULLS_DISTINCT = 1
    C_NULLS_EQUAL = 2

cdef int BTREE_KIND = PageKind.BTREE

cdef extern from "Python.h":
    long long PyLong_AsLongLong(object value) except? -1


cdef inline unsigned short get16(const unsigned char* at) noexcept:
    cdef unsigned short value
    memcpy(&value, at, 2)
    return value


cdef inline unsigned int get32(const unsigned char* at) noexcept:
    cdef unsigned int value
    memcpy(&value, at, 4)
    return value


cdef inline unsigned long long get64(const unsigned char* at) noexcept:
    cdef unsigned long long value
    memcpy(&value, at, 8)
    return value


cdef inline int compare(const unsigned char* a, Py_ssize_t n, const unsigned char* b, Py_ssize_t m) noexcept:
    cdef int order = memcmp(a, b, n if n < m else m)
    if order:
        return order
    return -1 if n < m else 1 if n > m else 0


cdef inline int count_of(const unsigned char* page) noexcept:
    # Items, the high key not counted.
    return (get16(page + OFF_LOWER) - PAGE_HEADER) // 4 - 1


cdef inline const unsigned char* item_of(const unsigned char* page, int index, Py_ssize_t* n) noexcept:
    n[0] = get16(page + PAGE_HEADER + 4 * index + 2)
    return page + get16(page + PAGE_HEADER + 4 * index)


cdef int lower_bound(const unsigned char* page, const unsigned char* key, Py_ssize_t n, int cut) noexcept:
    # Number of items below key; each item without its last ``cut`` bytes.
    cdef int low = 0, high = count_of(page), middle
    cdef Py_ssize_t m
    cdef const unsigned char* item
    while low < high:
        middle = (low + high) >> 1
        item = item_of(page, middle + 1, &m)
        if compare(item, m - cut, key, n) < 0:
            low = middle + 1
        else:
            high = middle
    return low


cdef inline int lower_bound_from(const unsigned char* page, const unsigned char* key, Py_ssize_t n, int low) noexcept:
    # ``lower_bound`` of a key that is known not to be below the first ``low`` items.
    cdef int high = count_of(page), middle
    cdef Py_ssize_t m
    cdef const unsigned char* item
    while low < high:
        middle = (low + high) >> 1
        item = item_of(page, middle + 1, &m)
        if compare(item, m, key, n) < 0:
            low = middle + 1
        else:
            high = middle
    return low


cdef inline unsigned long long tid_of(const unsigned char* item, Py_ssize_t n) noexcept:
    cdef const unsigned char* at = item + n - TID
    cdef unsigned long long tid = 0
    cdef int i
    for i in range(TID):
        tid = tid << 8 | at[i]
    return tid


cdef class KeyCodec:
    """Key columns ↔ bytes."""

    cdef readonly str kinds
    cdef readonly list sort_keys
    cdef readonly tuple descending
    cdef readonly tuple nulls_first
    cdef char* kind
    cdef unsigned char* inverted
    cdef unsigned char* null_marker
    cdef unsigned char* buffer
    cdef Py_ssize_t room
    cdef Py_ssize_t width

    def __init__(self, str kinds, sort_keys, descending, nulls_first):
        cdef Py_ssize_t i, n = len(kinds)
        cdef bytes text = kinds.encode("ascii")
        self.kinds = kinds
        self.sort_keys = list(sort_keys)
        self.descending = tuple(descending)
        self.nulls_first = tuple(nulls_first)
        if not len(self.sort_keys) == len(self.descending) == len(self.nulls_first) == n:
            raise ValueError("one entry a key column is needed")
        self.width = n
        self.kind = <char*>malloc(n + 1)
        self.inverted = <unsigned char*>malloc(n + 1)
        self.null_marker = <unsigned char*>malloc(n + 1)
        self.room = 256
        self.buffer = <unsigned char*>malloc(self.room)
        if self.kind == NULL or self.inverted == NULL or self.null_marker == NULL or self.buffer == NULL:
            raise MemoryError()
        for i in range(n):
            self.kind[i] = text[i]
            self.inverted[i] = 1 if self.descending[i] else 0
            self.null_marker[i] = 0 if self.nulls_first[i] else 2

    def __dealloc__(self):
        free(self.kind)
        free(self.inverted)
        free(self.null_marker)
        free(self.buffer)

    cdef int grow(self, Py_ssize_t need) except -1:
        cdef unsigned char* grown
        if need > self.room:
            grown = <unsigned char*>realloc(self.buffer, need * 2)
            if grown == NULL:
                raise MemoryError()
            self.buffer = grown
            self.room = need * 2
        return 0

    cdef Py_ssize_t column_c(self, Py_ssize_t i, object value, Py_ssize_t at) except -1:
        # Appends one column at buffer[at]; returns the position behind it.
        cdef char kind
        cdef long long number
        cdef unsigned long long bits
        cdef int size, k
        cdef Py_ssize_t n, j, start
        cdef bytes data
        cdef const unsigned char* source
        if i >= self.width:
            raise IndexError(f"key column {i + 1} of {self.width}")
        kind = self.kind[i]
        self.grow(at + 16)
        if value is None:
            self.buffer[at] = self.null_marker[i]
            return at + 1
        self.buffer[at] = 1
        start = at + 1
        if kind == c"i" or kind == c"q" or kind == c"h" or kind == c"I":
            number = PyLong_AsLongLong(value)
            if kind == c"i":
                size = 4
                if not -2147483648 <= number <= 2147483647:
                    raise OverflowError("integer outside the key column's type")
                bits = <unsigned long long>(number + 2147483648)
            elif kind == c"q":
                size = 8
                bits = <unsigned long long>number ^ 0x8000000000000000ULL
            elif kind == c"h":
                size = 2
                if not -32768 <= number <= 32767:
                    raise OverflowError("integer outside the key column's type")
                bits = <unsigned long long>(number + 32768)
            else:
                size = 4
                if not 0 <= number <= 4294967295:
                    raise OverflowError("integer outside the key column's type")
                bits = <unsigned long long>number
            for k in range(size):
                self.buffer[start + k] = <unsigned char>(bits >> (8 * (size - 1 - k)))
            at = start + size
        else:
            sort_key = self.sort_keys[i]
            if sort_key is None:
                raise ValueError(f"key column {i + 1} has no sort key")
            data = sort_key(value)
            n = PyBytes_GET_SIZE(data)
            source = <const unsigned char*>PyBytes_AS_STRING(data)
            self.grow(start + 2 * n + 2)
            if kind == c"V":
                at = start
                for j in range(n):
                    self.buffer[at] = source[j]
                    at += 1
                    if source[j] == 0:
                        self.buffer[at] = 255
                        at += 1
                self.buffer[at] = 0
                self.buffer[at + 1] = 0
                at += 2
            else:
                memcpy(self.buffer + start, source, n)
                at = start + n
        if self.inverted[i]:
            for j in range(start, at):
                self.buffer[j] = 255 - self.buffer[j]
        return at

    cdef Py_ssize_t encode_c(self, object values) except -1:
        cdef Py_ssize_t i = 0, at = 0
        for value in values:
            at = self.column_c(i, value, at)
            i += 1
        return at

    def encode(self, values):
        """Key bytes of the leading ``len(values)`` columns; OverflowError for an integer outside its column's type."""
        cdef Py_ssize_t n = self.encode_c(values)
        return PyBytes_FromStringAndSize(<char*>self.buffer, n)

    cdef Py_ssize_t tid_c(self, Py_ssize_t at, unsigned long long tid) except -1:
        cdef int k
        self.grow(at + TID)
        for k in range(TID):
            self.buffer[at + k] = <unsigned char>(tid >> (8 * (TID - 1 - k)))
        return at + TID

    def item(self, values, unsigned long long tid):
        """The leaf item of a row's key columns."""
        cdef Py_ssize_t n = self.tid_c(self.encode_c(values), tid)
        return PyBytes_FromStringAndSize(<char*>self.buffer, n)

    def column(self, Py_ssize_t i, value):
        """Marker and bytes of one column."""
        cdef Py_ssize_t n = self.column_c(i, value, 0)
        return PyBytes_FromStringAndSize(<char*>self.buffer, n)

    def encode_many(self, rows):
        """Leaf items of rows whose last value is the tid."""
        cdef list items = []
        cdef Py_ssize_t n, i, last
        for row in rows:
            last = len(row) - 1
            n = 0
            for i in range(last):
                n = self.column_c(i, row[i], n)
            n = self.tid_c(n, row[last])
            items.append(PyBytes_FromStringAndSize(<char*>self.buffer, n))
        return items


    def gather(self, EntryRun run not None, rows, positions, tids):
        """Add the leaf items of rows to a run."""
        cdef Py_ssize_t n, i, last, number = 0
        cdef bint has_null
        for row in rows:
            n = 0
            has_null = False
            if positions is None:
                last = len(row) - 1
                for i in range(last):
                    value = row[i]
                    has_null = has_null or value is None
                    n = self.column_c(i, value, n)
                n = self.tid_c(n, row[last] if tids is None else tids[number])
            else:
                i = 0
                for position in positions:
                    value = row[position]
                    has_null = has_null or value is None
                    n = self.column_c(i, value, n)
                    i += 1
                n = self.tid_c(n, row[len(row) - 1] if tids is None else tids[number])
            number += 1
            run.put(self.buffer, n, has_null)


cdef inline bint is_checked(EntryRun run, Py_ssize_t at, int unique) noexcept:
    return unique == C_NULLS_EQUAL or (unique == C_NULLS_DISTINCT and not run.entries[at].at[1] & 0x80)


cdef class _Leaf:
    # The image of a leaf in the making.

    cdef bytes image
    cdef unsigned char* page
    cdef int line
    cdef int upper

    def __cinit__(self):
        self.image = PyBytes_FromStringAndSize(NULL, PAGE_BYTES)
        self.page = <unsigned char*>PyBytes_AS_STRING(self.image)
        memset(self.page, 0, PAGE_BYTES)
        self.line = PAGE_HEADER
        self.upper = OFF_RIGHT

    cdef int put(self, const unsigned char* item, Py_ssize_t n) except -1:
        cdef unsigned short words[2]
        if self.upper - self.line < n + 4:
            raise IndexCorrupted("items do not fit on a page")
        self.upper -= <int>n
        if n:
            memcpy(self.page + self.upper, item, n)
        words[0] = <unsigned short>self.upper
        words[1] = <unsigned short>n
        memcpy(self.page + self.line, words, 4)
        self.line += 4
        return 0

    cdef bytes finish(self, unsigned int relfile, unsigned int right):
        cdef unsigned short words[3]
        self.page[OFF_KIND] = <unsigned char>BTREE_KIND
        self.page[OFF_FLAGS] = C_LEAF
        words[0] = <unsigned short>self.line
        words[1] = <unsigned short>self.upper
        words[2] = OFF_RIGHT
        memcpy(self.page + OFF_LOWER, words, 6)
        memcpy(self.page + OFF_UPPER + 4, &relfile, 4)
        memcpy(self.page + OFF_RIGHT, &right, 4)
        return self.image


def leaf_image(unsigned int relfile, unsigned int right, bytes high not None, items):
    """The image of a leaf; IndexCorrupted when the items do not fit."""
    cdef _Leaf leaf = _Leaf()
    cdef bytes item
    leaf.put(<const unsigned char*>PyBytes_AS_STRING(high), PyBytes_GET_SIZE(high))
    for each in items:
        item = each
        leaf.put(<const unsigned char*>PyBytes_AS_STRING(item), PyBytes_GET_SIZE(item))
    return leaf.finish(relfile, right)


cdef class BTree:
    """The kernels of one B-tree relation."""

    cdef readonly Arena arena
    cdef readonly Mtr mtr
    cdef readonly BlockMap blocks
    cdef readonly unsigned int relfile
    cdef long long missing
    cdef const unsigned char* low
    cdef Py_ssize_t low_n

    def __init__(self, Arena arena not None, Mtr mtr not None, BlockMap blocks not None, unsigned int relfile):
        self.arena = arena
        self.mtr = mtr
        self.blocks = blocks
        self.relfile = relfile

    cdef long long frame_c(self, long long block) except -2:
        # The frame, or -1 with self.missing set.
        cdef long long page_no = self.blocks.page_c(block)
        cdef long long frame = self.arena.lookup_c(page_no)
        if frame < 0:
            self.missing = page_no
            return -1
        return frame

    cdef long long root_c(self) except -2:
        cdef long long frame = self.frame_c(0)
        cdef const unsigned char* page
        cdef long long root
        if frame < 0:
            return -1
        page = self.arena.base + frame * PAGE_BYTES
        root = get32(page + META_ROOT)
        if not root or page[OFF_KIND] != BTREE_KIND:
            raise IndexCorrupted(f"relation file {self.relfile} has no B-tree root")
        return root

    def root(self):
        """Block of the root, or minus a missing page."""
        cdef long long root = self.root_c()
        return -self.missing if root < 0 else root

    cdef long long descend_c(
        self, const unsigned char* key, Py_ssize_t n, int level, bint below, long long* at_frame
    ) except -2:
        # The block, or -1 with self.missing set; self.low is the separator below the page (in a resident page).
        cdef long long block = self.root_c(), frame
        cdef const unsigned char* page
        cdef const unsigned char* item
        cdef Py_ssize_t m
        cdef int order, index, low, high, middle
        self.low = NULL
        self.low_n = 0
        if block < 0:
            return -1
        while True:
            frame = self.frame_c(block)
            if frame < 0:
                return -1
            page = self.arena.base + frame * PAGE_BYTES
            if page[OFF_KIND] != BTREE_KIND:
                raise IndexCorrupted(f"block {block} of relation file {self.relfile} is not a B-tree page")
            item = item_of(page, 0, &m)
            if m:
                order = compare(item, m, key, n)
                if order < 0 or (order == 0 and not below):
                    self.low = item
                    self.low_n = m
                    block = get32(page + OFF_RIGHT)
                    continue
            if get16(page + OFF_LEVEL) <= level:
                at_frame[0] = frame
                return block
            low = 0
            high = count_of(page)
            while low < high:
                middle = (low + high) >> 1
                item = item_of(page, middle + 1, &m)
                order = compare(item, m - 4, key, n)
                if order < 0 or (order == 0 and not below):
                    low = middle + 1
                else:
                    high = middle
            index = low - 1 if low > 0 else 0
            item = item_of(page, index + 1, &m)
            if compare(item, m - 4, self.low, self.low_n) > 0:
                self.low = item
                self.low_n = m - 4
            block = get32(item + m - 4)

    def descend(self, bytes key not None, int level, bint below):
        """The block at ``level`` where ``key`` belongs and the separator that bounds it from below; a missing page."""
        cdef long long frame
        cdef long long block = self.descend_c(
            <const unsigned char*>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), level, below, &frame
        )
        if block < 0:
            return self.missing
        return block, PyBytes_FromStringAndSize(<const char*>self.low, self.low_n)

    # Reading

    def range_tids(self, bytes lower not None, bytes upper, bint backward):
        """Row addresses of one leaf's items in ``[lower, upper)``, and the bound to go on with; a missing page."""
        cdef const unsigned char* low_key = <const unsigned char*>PyBytes_AS_STRING(lower)
        cdef Py_ssize_t low_n = PyBytes_GET_SIZE(lower), up_n = 0, n
        cdef const unsigned char* up_key = NULL
        cdef unsigned char above[MAX_ITEM + 1]
        cdef const unsigned char* page
        cdef const unsigned char* item
        cdef long long frame, block
        cdef int start, end, i
        cdef list tids = []
        if upper is not None:
            up_key = <const unsigned char*>PyBytes_AS_STRING(upper)
            up_n = PyBytes_GET_SIZE(upper)
        elif backward:
            memset(above, 255, MAX_ITEM + 1)
            up_key = above
            up_n = MAX_ITEM + 1
        if backward:
            block = self.descend_c(up_key, up_n, 0, True, &frame)
        else:
            block = self.descend_c(low_key, low_n, 0, False, &frame)
        if block < 0:
            return self.missing
        page = self.arena.base + frame * PAGE_BYTES
        start = lower_bound(page, low_key, low_n, 0)
        end = count_of(page) if up_key == NULL else lower_bound(page, up_key, up_n, 0)
        if backward:
            for i in range(end - 1, start - 1, -1):
                item = item_of(page, i + 1, &n)
                tids.append(tid_of(item, n))
            if self.low_n and compare(self.low, self.low_n, low_key, low_n) > 0:
                return tids, PyBytes_FromStringAndSize(<const char*>self.low, self.low_n)
            return tids, None
        for i in range(start, end):
            item = item_of(page, i + 1, &n)
            tids.append(tid_of(item, n))
        item = item_of(page, 0, &n)
        if n and (up_key == NULL or compare(item, n, up_key, up_n) < 0):
            return tids, PyBytes_FromStringAndSize(<const char*>item, n)
        return tids, None

    cdef object lookup_c(
        self, Snapshot snap, const unsigned char* prefix, Py_ssize_t n, HeapFile heap, Projection proj, bint first_only
    ):
        cdef long long frame, block = self.descend_c(prefix, n, 0, False, &frame)
        cdef const unsigned char* page
        cdef const unsigned char* item
        cdef Py_ssize_t m
        cdef int index, count
        cdef list rows = []
        cdef tuple row
        if block < 0:
            return self.missing
        page = self.arena.base + frame * PAGE_BYTES
        index = lower_bound(page, prefix, n, 0)
        while True:
            count = count_of(page)
            while index < count:
                item = item_of(page, index + 1, &m)
                if m < n or memcmp(item, prefix, n) != 0:
                    return rows
                row = heap.fetch_chain_c(snap, tid_of(item, m), proj)
                if row is not None:
                    rows.append(row)
                    if first_only:
                        return rows
                elif heap.missing:
                    return heap.missing
                index += 1
            item = item_of(page, 0, &m)
            # Further items with the prefix are on the right only if the high key is not beyond them.
            if not m or compare(item, m if m < n else n, prefix, n) > 0:
                return rows
            block = get32(page + OFF_RIGHT)
            frame = self.frame_c(block)
            if frame < 0:
                return self.missing
            page = self.arena.base + frame * PAGE_BYTES
            index = 0

    def lookup(self, Snapshot snap not None, bytes prefix not None, HeapFile heap not None, Projection proj not None, bint first_only):
        """Visible rows whose key starts with ``prefix``, in index order; a missing page. ``first_only``: at most one."""
        return self.lookup_c(
            snap, <const unsigned char*>PyBytes_AS_STRING(prefix), PyBytes_GET_SIZE(prefix), heap, proj, first_only
        )

    def lookup_key(
        self, Snapshot snap not None, KeyCodec codec not None, values, HeapFile heap not None, Projection proj not None,
        bint first_only
    ):
        """``lookup`` of the key ``values``; nothing equals NULL or an integer outside the column's type."""
        cdef unsigned char key[64]
        cdef Py_ssize_t n
        for value in values:
            if value is None:
                return []
        try:
            n = codec.encode_c(values)
        except OverflowError:
            return []
        if n <= 64:
            memcpy(key, codec.buffer, n)
            return self.lookup_c(snap, key, n, heap, proj, first_only)
        prefix = PyBytes_FromStringAndSize(<char*>codec.buffer, n)
        return self.lookup(snap, prefix, heap, proj, first_only)

    def tids_of(self, KeyCodec codec not None, list keys not None, Py_ssize_t start, Py_ssize_t room):
        """Row addresses of the items whose leading columns are each of ``keys``: (addresses, how many of each key from
        ``start`` on, a missing page or 0). It ends with ``room`` addresses; a key with more than that has -1, and
        none."""
        cdef list tids = [], counts = []
        cdef Py_ssize_t at, n, before
        cdef unsigned char buffer[64]
        cdef bytes prefix
        cdef const unsigned char* key
        cdef bint is_null
        for at in range(start, len(keys)):
            if len(tids) >= room:
                break
            values = keys[at]
            is_null = False
            for value in values:
                if value is None:
                    is_null = True
                    break
            n = 0
            if not is_null:
                try:
                    n = codec.encode_c(values)
                except OverflowError:
                    is_null = True
            if is_null:
                counts.append(0)
                continue
            if n <= 64:
                memcpy(buffer, codec.buffer, n)
                key = buffer
            else:
                prefix = PyBytes_FromStringAndSize(<char*>codec.buffer, n)
                key = <const unsigned char*>PyBytes_AS_STRING(prefix)
            before = len(tids)
            if not self.tids_c(key, n, tids, before + room + 1):
                del tids[before:]
                return tids, counts, self.missing
            if len(tids) - before > room:
                del tids[before:]
                counts.append(-1)
                break
            counts.append(len(tids) - before)
        return tids, counts, 0

    cdef bint tids_c(self, const unsigned char* prefix, Py_ssize_t n, list tids, Py_ssize_t most) except -1:
        # The addresses of a prefix, until there are ``most``; False for a missing page.
        cdef long long frame, block = self.descend_c(prefix, n, 0, False, &frame)
        cdef const unsigned char* page
        cdef const unsigned char* item
        cdef Py_ssize_t m
        cdef int index, count
        if block < 0:
            return False
        page = self.arena.base + frame * PAGE_BYTES
        index = lower_bound(page, prefix, n, 0)
        while True:
            count = count_of(page)
            while index < count:
                item = item_of(page, index + 1, &m)
                if m < n or memcmp(item, prefix, n) != 0 or len(tids) >= most:
                    return True
                tids.append(tid_of(item, m))
                index += 1
            item = item_of(page, 0, &m)
            if not m or compare(item, m if m < n else n, prefix, n) > 0:
                return True
            block = get32(page + OFF_RIGHT)
            frame = self.frame_c(block)
            if frame < 0:
                return False
            page = self.arena.base + frame * PAGE_BYTES
            index = 0

    # Writing

    def insert(self, bytes item not None, bint unique):
        """Add a leaf item: ``DONE``, ``NEEDS_SPLIT``, ``DUPLICATE``, or minus a missing page."""
        cdef const unsigned char* key = <const unsigned char*>PyBytes_AS_STRING(item)
        cdef Py_ssize_t n = PyBytes_GET_SIZE(item) - (TID if unique else 0), m
        cdef long long frame, block = self.descend_c(key, n, 0, False, &frame)
        cdef const unsigned char* page
        cdef const unsigned char* other
        cdef int position
        if block < 0:
            return -self.missing
        page = self.arena.base + frame * PAGE_BYTES
        position = lower_bound(page, key, n, 0)
        if unique:
            if position < count_of(page):
                other = item_of(page, position + 1, &m)
                if m >= n and memcmp(other, key, n) == 0:
                    return C_DUPLICATE
            else:
                other = item_of(page, 0, &m)
                if m >= n and memcmp(other, key, n) == 0:
                    return C_DUPLICATE
        return self._put_item(frame, position, item, True)

    def insert_run(self, EntryRun run not None, Py_ssize_t start, int unique):
        """Add the items of a sorted run from ``start`` on that go to one page: how many, 0 when the first needs a split
        or a look at its key, or minus a missing page."""
        cdef const unsigned char* key = run.entries[start].at + 2
        cdef Py_ssize_t n = size_of(run.entries[start].at), total = run.count, m, i, room, key_n
        cdef long long frame, block
        cdef const unsigned char* page
        cdef const unsigned char* high
        cdef const unsigned char* other
        cdef const unsigned char* before = NULL
        cdef Py_ssize_t high_n, before_n = 0
        cdef int count, position = 0, lower, upper, added = 0, first = 0, at, index, taken
        cdef unsigned char body[8192]
        cdef unsigned short lines[4096]
        cdef int places[2048]
        cdef int sizes[2048]
        cdef int offset, words
        cdef unsigned short head[2]
        block = self.descend_c(key, n - (TID if is_checked(run, start, unique) else 0), 0, False, &frame)
        if block < 0:
            return -self.missing
        page = self.arena.base + frame * PAGE_BYTES
        count = count_of(page)
        lower = get16(page + OFF_LOWER)
        upper = get16(page + OFF_UPPER)
        room = upper - lower
        high = item_of(page, 0, &high_n)
        offset = upper
        for i in range(start, total):
            key = run.entries[i].at + 2
            n = size_of(run.entries[i].at)
            if room < n + 4 or (high_n and compare(key, n, high, high_n) >= 0):
                break
            # Sorted items go to ever higher places: at the end of a page there is nothing to be searched.
            if position < count:
                position = lower_bound_from(page, key, n, position)
            if is_checked(run, i, unique):
                key_n = n - TID
                if before != NULL and before_n >= key_n and memcmp(before, key, key_n) == 0:
                    break
                if position < count:
                    other = item_of(page, position + 1, &m)
                    if m >= key_n and memcmp(other, key, key_n) == 0:
                        break
                elif high_n >= key_n and memcmp(high, key, key_n) == 0:
                    break
                if position > 0:
                    other = item_of(page, position, &m)
                    if m >= key_n and memcmp(other, key, key_n) == 0:
                        break
            if not added:
                first = position
            places[added] = position
            sizes[added] = <int>n
            offset -= <int>n
            memcpy(body + offset, key, n)
            room -= n + 4
            before = key
            before_n = n
            added += 1
        if not added:
            return 0
        # The line pointers from the first new one on: old and new ones in order.
        words = 0
        index = first
        at = upper
        for taken in range(added):
            while index < places[taken]:
                memcpy(&lines[words], page + PAGE_HEADER + 4 * (index + 1), 4)
                words += 2
                index += 1
            at -= sizes[taken]
            lines[words] = <unsigned short>at
            lines[words + 1] = <unsigned short>sizes[taken]
            words += 2
        while index < count:
            memcpy(&lines[words], page + PAGE_HEADER + 4 * (index + 1), 4)
            words += 2
            index += 1
        try:
            head[0] = <unsigned short>(lower + 4 * added)
            head[1] = <unsigned short>offset
            self.mtr.put_c(frame, OFF_LOWER, <unsigned char*>head, 4)
            self.mtr.put_c(frame, PAGE_HEADER + 4 * (first + 1), <unsigned char*>lines, 2 * words)
            self.mtr.put_c(frame, offset, body + offset, upper - offset)
            self.mtr.commit_c()
        except BaseException:
            self.mtr.rollback()
            raise
        return added

    def split_right(self, long long block, long long new_block, EntryRun run not None, Py_ssize_t start, int unique):
        """Split the rightmost leaf ``block``: its last item and those of the run that fill a page go to ``new_block``.
        How many of the run's, 0 when the first one does not belong there, or minus a missing page."""
        cdef long long frame = self.frame_c(block), new_frame
        cdef const unsigned char* page
        cdef const unsigned char* last
        cdef const unsigned char* before
        cdef const unsigned char* key
        cdef Py_ssize_t last_n, before_n, n, i, key_n, room
        cdef int count, lower
        cdef unsigned int right = <unsigned int>new_block
        cdef unsigned char head[3]
        cdef unsigned short word
        cdef _Leaf leaf
        if frame < 0:
            return -self.missing
        new_frame = self.frame_c(new_block)
        if new_frame < 0:
            return -self.missing
        page = self.arena.base + frame * PAGE_BYTES
        count = count_of(page)
        if page[OFF_FLAGS] != C_LEAF or get32(page + OFF_RIGHT) or get16(page + OFF_LEVEL) or count < 2:
            return 0
        last = item_of(page, count, &last_n)
        if compare(run.entries[start].at + 2, size_of(run.entries[start].at), last, last_n) <= 0:
            return 0
        leaf = _Leaf()
        leaf.put(NULL, 0)
        leaf.put(last, last_n)
        room = OFF_RIGHT - PAGE_HEADER - 8 - last_n
        before = last
        before_n = last_n
        i = start
        while i < run.count:
            key = run.entries[i].at + 2
            n = size_of(run.entries[i].at)
            room -= n + 4
            if room < 0:
                break
            key_n = n - TID
            if is_checked(run, i, unique) and before_n >= key_n and memcmp(before, key, key_n) == 0:
                break
            leaf.put(key, n)
            before = key
            before_n = n
            i += 1
        if i == start:
            return 0
        lower = PAGE_HEADER + 4 * count
        head[0] = C_LEAF | C_INCOMPLETE
        word = <unsigned short>lower
        memcpy(head + 1, &word, 2)
        try:
            self.mtr.put_c(frame, OFF_FLAGS, head, 3)
            self.mtr.put_c(frame, PAGE_HEADER, page + lower, 4)
            self.mtr.put_c(frame, OFF_RIGHT, <unsigned char*>&right, 4)
            self.mtr.image(new_frame, leaf.finish(self.relfile, 0))
            self.mtr.commit_c()
        except BaseException:
            self.mtr.rollback()
            raise
        return i - start

    def leaf_page(self, EntryRun run not None, Py_ssize_t start, unsigned int right):
        """The place of the first item that is not on it, and the image of a leaf with a run's items from ``start`` on."""
        cdef Py_ssize_t at = start, total = run.count, used = 0, n, high, i
        cdef _Leaf leaf = _Leaf()
        while at < total:
            n = size_of(run.entries[at].at) + 4
            high = 4 if at + 1 == total else size_of(run.entries[at + 1].at) + 4
            if at > start and (used + n > FILL or used + n + high > OFF_RIGHT - PAGE_HEADER):
                break
            used += n
            at += 1
        if at < total:
            leaf.put(run.entries[at].at + 2, size_of(run.entries[at].at))
        else:
            leaf.put(NULL, 0)
        for i in range(start, at):
            leaf.put(run.entries[i].at + 2, size_of(run.entries[i].at))
        return at, leaf.finish(self.relfile, right if at < total else 0)

    def page_head(self, long long block):
        """``page_items`` without the items."""
        cdef long long frame = self.frame_c(block)
        cdef const unsigned char* page
        cdef const unsigned char* item
        cdef Py_ssize_t n
        if frame < 0:
            return self.missing
        page = self.arena.base + frame * PAGE_BYTES
        item = item_of(page, 0, &n)
        high = PyBytes_FromStringAndSize(<const char*>item, n)
        return page[OFF_FLAGS], get16(page + OFF_LEVEL), get32(page + OFF_RIGHT), high

    def insert_inner(self, long long block, bytes item not None):
        """Add an inner item to ``block``: ``DONE``, ``NEEDS_SPLIT``, or minus a missing page. Part of the current MTR."""
        cdef long long frame = self.frame_c(block)
        cdef int position
        if frame < 0:
            return -self.missing
        position = lower_bound(
            self.arena.base + frame * PAGE_BYTES, <const unsigned char*>PyBytes_AS_STRING(item), PyBytes_GET_SIZE(item) - 4, 4
        )
        return self._put_item(frame, position, item, False)

    cdef int _put_item(self, Py_ssize_t frame, int position, bytes item, bint commit) except -2:
        cdef const unsigned char* page = self.arena.base + frame * PAGE_BYTES
        cdef int lower = get16(page + OFF_LOWER), upper = get16(page + OFF_UPPER)
        cdef int n = <int>PyBytes_GET_SIZE(item)
        cdef int at = PAGE_HEADER + 4 * (position + 1)
        cdef unsigned short words[2]
        if upper - lower < n + 4:
            return C_NEEDS_SPLIT
        try:
            words[0] = <unsigned short>(lower + 4)
            words[1] = <unsigned short>(upper - n)
            self.mtr.put_c(frame, OFF_LOWER, <unsigned char*>words, 4)
            if at < lower:
                self.mtr.move_c(frame, at, at + 4, lower - at)
            words[0] = <unsigned short>(upper - n)
            words[1] = <unsigned short>n
            self.mtr.put_c(frame, at, <unsigned char*>words, 4)
            self.mtr.put_c(frame, upper - n, <const unsigned char*>PyBytes_AS_STRING(item), n)
            if commit:
                self.mtr.commit_c()
        except BaseException:
            self.mtr.rollback()
            raise
        return 0

    def page_items(self, long long block):
        """``(flags, level, right, high key, items)`` of a block; a missing page."""
        cdef long long frame = self.frame_c(block)
        cdef const unsigned char* page
        cdef const unsigned char* item
        cdef Py_ssize_t n
        cdef int i
        cdef list items = []
        if frame < 0:
            return self.missing
        page = self.arena.base + frame * PAGE_BYTES
        for i in range(1, count_of(page) + 1):
            item = item_of(page, i, &n)
            items.append(PyBytes_FromStringAndSize(<const char*>item, n))
        item = item_of(page, 0, &n)
        high = PyBytes_FromStringAndSize(<const char*>item, n)
        return page[OFF_FLAGS], get16(page + OFF_LEVEL), get32(page + OFF_RIGHT), high, items

    def without(self, long long block, dict dead not None):
        """``(LSN, level, right, entries removed, entries left, image)``: a leaf without the entries of dead rows."""
        cdef long long frame = self.frame_c(block)
        cdef const unsigned char* page
        cdef const unsigned char* item
        cdef unsigned char* out
        cdef Py_ssize_t n
        cdef int i, count, kept = 1, at = OFF_RIGHT, level
        cdef unsigned short word
        cdef unsigned long long tid
        cdef long long of_block = -1
        cdef Py_ssize_t slot, n_bits = 0
        cdef const unsigned char* bits = NULL
        cdef bytes image = b""
        if frame < 0:
            return self.missing
        page = self.arena.base + frame * PAGE_BYTES
        count, level = count_of(page), get16(page + OFF_LEVEL)
        if not level:
            image = PyBytes_FromStringAndSize(NULL, PAGE_BYTES)
            out = <unsigned char*>PyBytes_AS_STRING(image)
            memset(out, 0, PAGE_BYTES)
            for i in range(count + 1):
                item = item_of(page, i, &n)
                if i:
                    tid = tid_of(item, n)
                    if <long long>(tid >> 16) != of_block:
                        of_block = tid >> 16
                        found = dead.get(of_block)
                        n_bits = 0
                        if found is not None:
                            n_bits = PyBytes_GET_SIZE(found)
                            bits = <const unsigned char*>PyBytes_AS_STRING(found)
                    slot = tid & 0xFFFF
                    if slot >> 3 < n_bits and bits[slot >> 3] >> (slot & 7) & 1:
                        continue
                at -= <int>n
                memcpy(out + at, item, n)
                word = at
                memcpy(out + PAGE_HEADER + 4 * (kept if i else 0), &word, 2)
                word = <unsigned short>n
                memcpy(out + PAGE_HEADER + 4 * (kept if i else 0) + 2, &word, 2)
                kept += 1 if i else 0
            if kept == count + 1:
                image = b""
            else:
                memcpy(out + OFF_KIND, page + OFF_KIND, PAGE_HEADER - OFF_KIND)
                word = PAGE_HEADER + 4 * kept
                memcpy(out + OFF_LOWER, &word, 2)
                word = at
                memcpy(out + OFF_UPPER, &word, 2)
                memcpy(out + OFF_RIGHT, page + OFF_RIGHT, PAGE_BYTES - OFF_RIGHT)
        else:
            kept = count + 1
        return get64(page), level, get32(page + OFF_RIGHT), count + 1 - kept, kept - 1, image
