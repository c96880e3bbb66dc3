# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The open end of the log and the page editor, compiled. The specification is ``aurora.kernels.python.mtr``."""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcmp, memcpy, memmove

from aurora.errors import InvariantViolation
from aurora.kernels.native.arena cimport Arena
from aurora.kernels.native.redo cimport apply_c, write_varint_c
from aurora.kernels.python.mtr import FREE_BYTES, MTR_MAX_BYTES, NOTE_PG
from aurora.kernels.python.redo import NO_PAGE

cdef enum:
    PAGE_BYTES = 8192
    IMAGE_FROM = 12
    FLAG_CPL = 1
    FLAG_NOTE = 2
    C_MTR_MAX = 1 << 20
    C_FREE_BYTES = 24
    KEEP_OPS = 1024
    KEEP_TOUCHED = 16

if MTR_MAX_BYTES != C_MTR_MAX or FREE_BYTES != C_FREE_BYTES:
    raise ImportError("MTR_MAX_BYTES or FREE_BYTES differs from the compiled constant")


cdef class _Run:
    """The open run of one protection group."""

    cdef long long pg
    cdef unsigned long long prev_lsn
    cdef unsigned long long first_lsn
    cdef unsigned long long last_lsn
    cdef unsigned long long last_cpl
    cdef bytearray data


cdef class RedoLog:
    """Allocates LSNs and gathers encoded records per protection group until ``take``."""

    def __init__(self, next_lsn, last_lsn, pages_per_pg, pg_last):
        if pages_per_pg <= 0:
            raise ValueError("a protection group has at least one page")
        self.next_lsn = next_lsn
        self.last_lsn = last_lsn
        self.last_cpl = last_lsn
        self.pages_per_pg = pages_per_pg
        self.pg_last = dict(pg_last)
        self.pending_bytes = 0
        self._order = []
        self._open = {}
        self._last_run = None

    cdef unsigned long long append_c(
        self, long long page_no, unsigned long long page_prev_lsn, const unsigned char* ops, Py_ssize_t n, int flags
    ) except? 0:
        cdef long long pg = 0 if flags & FLAG_NOTE else page_no // self.pages_per_pg
        cdef unsigned long long lsn = self.next_lsn
        cdef unsigned char head[64]
        cdef unsigned char front[10]
        cdef unsigned char* at = head
        cdef unsigned char* target
        cdef Py_ssize_t n_head, n_front, old
        cdef _Run run = <_Run>self._last_run
        if run is None or run.pg != pg:
            run = self._open.get(pg)
            if run is None:
                run = _Run.__new__(_Run)
                run.pg = pg
                run.prev_lsn = self.pg_last.get(pg, 0)
                run.last_lsn = run.prev_lsn
                run.first_lsn = lsn
                run.last_cpl = 0
                run.data = bytearray()
                self._open[pg] = run
                self._order.append(run)
            self._last_run = run
        at[0] = <unsigned char>flags
        at = write_varint_c(at + 1, lsn - self.last_lsn)
        at = write_varint_c(at, lsn - run.last_lsn)
        if not flags & FLAG_NOTE:
            at = write_varint_c(at, page_no)
            at = write_varint_c(at, lsn - page_prev_lsn if page_prev_lsn else 0)
        n_head = at - head
        n_front = write_varint_c(front, n_head + n) - front
        old = PyByteArray_GET_SIZE(run.data)
        PyByteArray_Resize(run.data, old + n_front + n_head + n)
        target = <unsigned char*>PyByteArray_AS_STRING(run.data) + old
        memcpy(target, front, n_front)
        memcpy(target + n_front, head, n_head)
        memcpy(target + n_front + n_head, ops, n)
        run.last_lsn = lsn
        if flags & FLAG_CPL:
            run.last_cpl = lsn
            self.last_cpl = lsn
        self.last_lsn = lsn
        self.pg_last[pg] = lsn
        self.next_lsn = lsn + n_front + n_head + n
        self.pending_bytes += n_front + n_head + n
        return lsn

    def append(self, long long page_no, unsigned long long page_prev_lsn, bytes ops, int flags):
        """Encode one record; returns its LSN. ``page_no`` is ``NO_PAGE`` for a note."""
        if page_no == NO_PAGE and not flags & FLAG_NOTE:
            raise InvariantViolation("a record without a page must be a note")
        return self.append_c(page_no, page_prev_lsn, <const unsigned char*>PyBytes_AS_STRING(ops), PyBytes_GET_SIZE(ops), flags)

    def take(self):
        """What has been appended since the last call, a run a protection group; empties the log's open end."""
        cdef _Run run
        cdef list runs = []
        for run in self._order:
            runs.append((run.pg, run.prev_lsn, run.first_lsn, run.last_lsn, run.last_cpl, bytes(run.data)))
        self._order.clear()
        self._open.clear()
        self._last_run = None
        self.pending_bytes = 0
        return runs


cdef class Mtr:
    """The page editor. One object serves a process: it holds one MTR at a time."""

    def __cinit__(self, Arena arena, RedoLog log):
        self.arena = arena
        self.log = log
        self._notes = []
        self._freed = []
        self.touched = NULL

    def __dealloc__(self):
        cdef int i
        for i in range(self.room_touched):
            free(self.touched[i].ops)
            free(self.touched[i].before)
        free(self.touched)

    def __enter__(self):
        if self.active:
            raise InvariantViolation("a mini-transaction is already being edited")
        self.active = True
        return self

    def __exit__(self, kind, error, tb):
        if kind is None:
            self.commit_c()
        else:
            self.rollback()

    cdef Touched* _touch(self, Py_ssize_t frame, Py_ssize_t cost) except NULL:
        cdef Touched* entry
        cdef int i, new_room
        for i in range(self.n_touched):
            if self.touched[i].frame == frame:
                entry = &self.touched[i]
                break
        else:
            if frame < 0 or frame >= self.arena.frames or self.arena.page_of_p[frame] < 0:
                raise InvariantViolation(f"edit of the free frame {frame}")
            if self.n_touched == self.room_touched:
                new_room = self.room_touched * 2 if self.room_touched else KEEP_TOUCHED
                entry = <Touched*>realloc(self.touched, new_room * sizeof(Touched))
                if entry == NULL:
                    raise MemoryError()
                self.touched = entry
                for i in range(self.room_touched, new_room):
                    self.touched[i].ops = NULL
                    self.touched[i].room = 0
                    self.touched[i].before = NULL
                self.room_touched = new_room
            entry = &self.touched[self.n_touched]
            if entry.before == NULL:
                entry.before = <unsigned char*>malloc(PAGE_BYTES)
                if entry.before == NULL:
                    raise MemoryError()
            self.active = True
            memcpy(entry.before, self.arena.base + frame * PAGE_BYTES, PAGE_BYTES)
            entry.frame = <int>frame
            entry.is_image = 0
            entry.used = 0
            self.n_touched += 1
        self.total_bytes += cost
        if self.total_bytes > C_MTR_MAX:
            raise InvariantViolation(f"mini-transaction exceeds {C_MTR_MAX} bytes")
        # An op's header takes at most 3 varints of 3 bytes within a page; an image replaces the ops at commit.
        cdef Py_ssize_t need = entry.used + cost + 16
        cdef Py_ssize_t room
        cdef unsigned char* ops
        if need > entry.room:
            room = entry.room * 2 if entry.room else KEEP_OPS
            while room < need:
                room *= 2
            ops = <unsigned char*>realloc(entry.ops, room)
            if ops == NULL:
                raise MemoryError()
            entry.ops = ops
            entry.room = room
        return entry

    cdef int put_c(self, Py_ssize_t frame, Py_ssize_t offset, const unsigned char* data, Py_ssize_t n) except -1:
        cdef Touched* entry
        cdef unsigned char* at
        if offset < IMAGE_FROM or n < 0 or offset + n > PAGE_BYTES:
            raise InvariantViolation(f"edit of {n} bytes at {offset}")
        entry = self._touch(frame, n + 4)
        memcpy(self.arena.base + frame * PAGE_BYTES + offset, data, n)
        at = write_varint_c(entry.ops + entry.used, <unsigned long long>offset << 2)
        at = write_varint_c(at, n)
        memcpy(at, data, n)
        entry.used = at + n - entry.ops
        return 0

    cdef int put_u8_c(self, Py_ssize_t frame, Py_ssize_t offset, unsigned char value) except -1:
        return self.put_c(frame, offset, &value, 1)

    cdef int put_u16_c(self, Py_ssize_t frame, Py_ssize_t offset, unsigned short value) except -1:
        return self.put_c(frame, offset, <unsigned char*>&value, 2)

    cdef int put_u32_c(self, Py_ssize_t frame, Py_ssize_t offset, unsigned int value) except -1:
        return self.put_c(frame, offset, <unsigned char*>&value, 4)

    cdef int put_u64_c(self, Py_ssize_t frame, Py_ssize_t offset, unsigned long long value) except -1:
        return self.put_c(frame, offset, <unsigned char*>&value, 8)

    cdef int move_c(self, Py_ssize_t frame, Py_ssize_t source, Py_ssize_t to, Py_ssize_t n) except -1:
        cdef Touched* entry
        cdef unsigned char* page
        cdef unsigned char* at
        if source < IMAGE_FROM or to < IMAGE_FROM or n < 0 or source + n > PAGE_BYTES or to + n > PAGE_BYTES:
            raise InvariantViolation(f"move of {n} bytes from {source} to {to}")
        entry = self._touch(frame, 8)
        page = self.arena.base + frame * PAGE_BYTES
        memmove(page + to, page + source, n)
        at = write_varint_c(entry.ops + entry.used, <unsigned long long>to << 2 | 1)
        at = write_varint_c(at, source)
        at = write_varint_c(at, n)
        entry.used = at - entry.ops
        return 0

    def put(self, Py_ssize_t frame, Py_ssize_t offset, data):
        """Write ``data`` at ``offset`` of the frame's page."""
        cdef const unsigned char[::1] view = data
        cdef unsigned char nothing = 0
        self.put_c(frame, offset, &view[0] if view.shape[0] else &nothing, view.shape[0])

    def put_u8(self, Py_ssize_t frame, Py_ssize_t offset, unsigned char value):
        """Write one byte."""
        self.put_u8_c(frame, offset, value)

    def put_u16(self, Py_ssize_t frame, Py_ssize_t offset, unsigned short value):
        """Write a little-endian u16."""
        self.put_u16_c(frame, offset, value)

    def put_u32(self, Py_ssize_t frame, Py_ssize_t offset, unsigned int value):
        """Write a little-endian u32."""
        self.put_u32_c(frame, offset, value)

    def put_u64(self, Py_ssize_t frame, Py_ssize_t offset, unsigned long long value):
        """Write a little-endian u64."""
        self.put_u64_c(frame, offset, value)

    def move(self, Py_ssize_t frame, Py_ssize_t source, Py_ssize_t to, Py_ssize_t length):
        """Copy ``length`` bytes within the page, as memmove does."""
        self.move_c(frame, source, to, length)

    def image(self, Py_ssize_t frame, content):
        """Replace the page's bytes from 12 on by ``content[12:8192]``; its redo is one IMAGE, which takes in later edits."""
        cdef const unsigned char[::1] view = content
        cdef Touched* entry
        if view.shape[0] != PAGE_BYTES:
            raise InvariantViolation(f"page image of {view.shape[0]} bytes")
        entry = self._touch(frame, PAGE_BYTES)
        memcpy(self.arena.base + frame * PAGE_BYTES + IMAGE_FROM, &view[IMAGE_FROM], PAGE_BYTES - IMAGE_FROM)
        entry.is_image = 1

    def note(self, bytes payload):
        """Add a note, opaque to storage."""
        self.active = True
        self.total_bytes += len(payload)
        if self.total_bytes > C_MTR_MAX:
            raise InvariantViolation(f"mini-transaction exceeds {C_MTR_MAX} bytes")
        self._notes.append(payload)

    def free_page(self, long long page_no):
        """Make a page that is not in the arena count as never written from this MTR on (FREE)."""
        if self.arena.find_c(page_no) >= 0:
            raise InvariantViolation(f"page {page_no} is in the arena and cannot be freed")
        self.active = True
        self.total_bytes += C_FREE_BYTES
        if self.total_bytes > C_MTR_MAX:
            raise InvariantViolation(f"mini-transaction exceeds {C_MTR_MAX} bytes")
        self._freed.append(page_no)

    def commit(self):
        """Encode and append the records; returns the LSN of the last one, the CPL (0 when nothing was edited)."""
        return self.commit_c()

    cdef unsigned long long commit_c(self) except? 0:
        cdef unsigned long long last = 0
        cdef Py_ssize_t left = self.n_touched + len(self._freed)
        cdef long long page_no
        cdef unsigned char nothing = 0
        cdef Py_ssize_t lower, upper, i
        cdef int t, flags
        cdef Touched* entry
        cdef unsigned char* page
        cdef unsigned char* at
        cdef bytes payload
        if self._notes:
            left += len(self._notes)
            for payload in self._notes:
                left -= 1
                flags = FLAG_NOTE if left else FLAG_NOTE | FLAG_CPL
                last = self.log.append_c(-1, 0, <const unsigned char*>PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload), flags)
        for t in range(self.n_touched):
            entry = &self.touched[t]
            page = self.arena.base + <Py_ssize_t>entry.frame * PAGE_BYTES
            if entry.is_image:
                lower = (<unsigned short*>(page + 14))[0]
                upper = (<unsigned short*>(page + 16))[0]
                if not (16 < lower <= upper <= PAGE_BYTES):
                    lower = upper = PAGE_BYTES
                else:
                    for i in range(lower, upper):
                        if page[i]:
                            lower = upper = PAGE_BYTES
                            break
                at = write_varint_c(entry.ops, <unsigned long long>lower << 2 | 2)
                at = write_varint_c(at, upper - lower)
                memcpy(at, page + IMAGE_FROM, lower - IMAGE_FROM)
                at += lower - IMAGE_FROM
                memcpy(at, page + upper, PAGE_BYTES - upper)
                at += PAGE_BYTES - upper
                entry.used = at - entry.ops
            left -= 1
            last = self.log.append_c(
                self.arena.page_of_p[entry.frame],
                (<unsigned long long*>page)[0],
                entry.ops,
                entry.used,
                0 if left else FLAG_CPL,
            )
            (<unsigned long long*>page)[0] = last
            if self.verify:
                apply_c(entry.before, entry.ops, 0, entry.used, last)
                if memcmp(entry.before, page, PAGE_BYTES) != 0:
                    raise InvariantViolation(f"redo of page {self.arena.page_of_p[entry.frame]} does not give the page")
        for page_no in self._freed:
            left -= 1
            last = self.log.append_c(page_no, 0, &nothing, 0, 0 if left else FLAG_CPL)
        self._reset()
        return last

    def rollback(self):
        """Put every touched page back to its before-image; nothing reaches the log."""
        cdef int t
        for t in range(self.n_touched):
            memcpy(self.arena.base + <Py_ssize_t>self.touched[t].frame * PAGE_BYTES, self.touched[t].before, PAGE_BYTES)
        self._reset()

    cdef void _reset(self) noexcept:
        cdef int t
        # Give back what an unusually large MTR took.
        for t in range(KEEP_TOUCHED, self.n_touched):
            free(self.touched[t].ops)
            free(self.touched[t].before)
            self.touched[t].ops = NULL
            self.touched[t].before = NULL
            self.touched[t].room = 0
        self.n_touched = 0
        self.total_bytes = 0
        if self._notes:
            self._notes.clear()
        if self._freed:
            self._freed.clear()
        self.active = False
