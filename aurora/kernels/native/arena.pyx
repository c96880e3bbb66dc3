# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The page arena, compiled. The specification is ``aurora.kernels.python.arena``."""

from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

import numpy as np

from aurora.errors import InvariantViolation
from aurora.kernels.python.arena import MISSING, ArenaFull

cdef enum:
    PAGE_BYTES = 8192


cdef inline size_t mix(long long key) noexcept:
    cdef unsigned long long value = <unsigned long long>key * 0x9E3779B97F4A7C15ULL
    return <size_t>(value ^ (value >> 32))


cdef class Arena:
    """``data`` is uint8 of shape (frames, 8192); ``page_of[frame]`` is int64, -1 when free; ``pins[frame]`` int32."""

    def __cinit__(self, Py_ssize_t frames):
        cdef Py_ssize_t i
        cdef size_t size = 16
        cdef unsigned char[:, ::1] data
        cdef long long[::1] page_of
        cdef int[::1] pins
        cdef unsigned char[::1] referenced
        if frames <= 0:
            raise ValueError("an arena needs at least one frame")
        self.frames = frames
        self.data = np.zeros((frames, PAGE_BYTES), dtype=np.uint8)
        self.page_of = np.full(frames, -1, dtype=np.int64)
        self.pins = np.zeros(frames, dtype=np.int32)
        self.referenced = np.zeros(frames, dtype=np.uint8)
        data = self.data
        page_of = self.page_of
        pins = self.pins
        referenced = self.referenced
        self.base = &data[0, 0]
        self.page_of_p = &page_of[0]
        self.pins_p = &pins[0]
        self.referenced_p = &referenced[0]
        self._memory = memoryview(self.data).cast("B")
        while size < <size_t>frames * 2:
            size *= 2
        self.mask = size - 1
        self.keys = <long long*>malloc(size * sizeof(long long))
        self.values = <int*>calloc(size, sizeof(int))
        self.free_list = <int*>malloc(frames * sizeof(int))
        if self.keys == NULL or self.values == NULL or self.free_list == NULL:
            raise MemoryError()
        memset(self.keys, 0xFF, size * sizeof(long long))
        for i in range(frames):
            self.free_list[i] = <int>(frames - 1 - i)
        self.free_count = frames

    def __dealloc__(self):
        free(self.keys)
        free(self.values)
        free(self.free_list)

    def __len__(self):
        return self.used

    cdef long long find_c(self, long long page_no) noexcept:
        cdef size_t at = mix(page_no) & self.mask
        while self.keys[at] != -1:
            if self.keys[at] == page_no:
                return self.values[at]
            at = (at + 1) & self.mask
        return -1

    cdef long long lookup_c(self, long long page_no) noexcept:
        cdef long long frame = self.find_c(page_no)
        if frame < 0:
            self.misses += 1
        else:
            self.hits += 1
            self.referenced_p[frame] = 1
        return frame

    cdef void _insert(self, long long page_no, int frame) noexcept:
        cdef size_t at = mix(page_no) & self.mask
        while self.keys[at] != -1:
            at = (at + 1) & self.mask
        self.keys[at] = page_no
        self.values[at] = frame
        self.used += 1

    cdef void _remove(self, long long page_no) noexcept:
        # Deletion by shifting later members of the cluster back, so that no tombstones gather.
        cdef size_t at = mix(page_no) & self.mask
        cdef size_t nxt, home
        while self.keys[at] != page_no:
            if self.keys[at] == -1:
                return
            at = (at + 1) & self.mask
        nxt = at
        while True:
            nxt = (nxt + 1) & self.mask
            if self.keys[nxt] == -1:
                break
            home = mix(self.keys[nxt]) & self.mask
            if ((nxt - home) & self.mask) >= ((nxt - at) & self.mask):
                self.keys[at] = self.keys[nxt]
                self.values[at] = self.values[nxt]
                at = nxt
        self.keys[at] = -1
        self.used -= 1

    def lookup(self, long long page_no):
        """The frame that holds ``page_no``, or ``MISSING``. Marks the frame as recently used."""
        return self.lookup_c(page_no)

    def contains(self, long long page_no):
        """Whether the page is here; counts nothing."""
        return self.find_c(page_no) >= 0

    def page(self, Py_ssize_t frame):
        """The frame's 8192 bytes, writable."""
        if frame < 0 or frame >= self.frames:
            raise IndexError(f"no frame {frame}")
        return self._memory[frame * PAGE_BYTES:(frame + 1) * PAGE_BYTES]

    def page_lsn(self, Py_ssize_t frame):
        """The frame's page LSN."""
        if frame < 0 or frame >= self.frames:
            raise IndexError(f"no frame {frame}")
        return (<unsigned long long*>(self.base + frame * PAGE_BYTES))[0]

    def install(self, long long page_no, image):
        """Put a page (8192 bytes; None is a zero page) into a frame, evicting one if need be; raises ArenaFull."""
        cdef Py_ssize_t frame = self.find_c(page_no)
        cdef const unsigned char[::1] view
        if frame >= 0:
            return frame
        if image is not None:
            view = image
            if view.shape[0] != PAGE_BYTES:
                raise ValueError(f"page image of {view.shape[0]} bytes")
        if self.free_count:
            self.free_count -= 1
            frame = self.free_list[self.free_count]
        else:
            frame = self._evict()
        if image is None:
            memset(self.base + frame * PAGE_BYTES, 0, PAGE_BYTES)
        else:
            memcpy(self.base + frame * PAGE_BYTES, &view[0], PAGE_BYTES)
        self.page_of_p[frame] = page_no
        self.referenced_p[frame] = 1
        self.pins_p[frame] = 0
        self._insert(page_no, <int>frame)
        return frame

    cdef Py_ssize_t _evict(self) except -1:
        cdef Py_ssize_t step, frame
        for step in range(2 * self.frames + 1):
            frame = self.hand
            self.hand = frame + 1 if frame + 1 < self.frames else 0
            if self.pins_p[frame] or (<unsigned long long*>(self.base + frame * PAGE_BYTES))[0] > self.durable_lsn:
                continue
            if self.referenced_p[frame]:
                self.referenced_p[frame] = 0
                continue
            self._remove(self.page_of_p[frame])
            self.page_of_p[frame] = -1
            self.evictions += 1
            return frame
        raise ArenaFull(f"none of {self.frames} frames can be evicted")

    def drop(self, long long page_no):
        """Forget a page, whatever its LSN; InvariantViolation when it is pinned."""
        cdef long long frame = self.find_c(page_no)
        if frame < 0:
            return
        if self.pins_p[frame]:
            raise InvariantViolation(f"page {page_no} is pinned and cannot be dropped")
        self._remove(page_no)
        self.page_of_p[frame] = -1
        self.free_list[self.free_count] = <int>frame
        self.free_count += 1

    def pin(self, Py_ssize_t frame):
        """Keep the frame in place until ``unpin``."""
        if frame < 0 or frame >= self.frames:
            raise IndexError(f"no frame {frame}")
        self.pins_p[frame] += 1

    def unpin(self, Py_ssize_t frame):
        """Undo one ``pin``."""
        if frame < 0 or frame >= self.frames:
            raise IndexError(f"no frame {frame}")
        if self.pins_p[frame] <= 0:
            raise InvariantViolation(f"frame {frame} is not pinned")
        self.pins_p[frame] -= 1
