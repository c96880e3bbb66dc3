"""How the process's allocator treats buffers of some MiB, such as ranges of pages on their way from node to node.

glibc gives a freed buffer of that size back to the kernel, which must then clear every page of the next one: half of
what a range costs, measured. ``keep_buffers`` has the heap keep ``KEPT_BYTES`` of free memory instead.
"""

from __future__ import annotations

import ctypes
import sys

BUFFER_BYTES_MAX = 16 << 20
"""Larger ones are still mapped and unmapped each time."""
KEPT_BYTES = 32 << 20

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_buffers() -> bool:
    """Set it; False where the C library is not glibc, which then does as it always does."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, BUFFER_BYTES_MAX) and mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES))
