"""Holes in files: file, range → the same file with that range zero and off the disk.

Python has no call for it, so libc's ``fallocate(2)`` is called; where there is none, or the file system makes no holes,
the caller is told and writes zeros.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from typing import Final

_KEEP_SIZE: Final = 0x01
_PUNCH_HOLE: Final = 0x02
_CANNOT: Final = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV, errno.EINVAL})
"""Answers that mean "not here", unlike those that mean "not now"."""


def _find_fallocate() -> Callable[[int, int, int, int], int] | None:
    library = ctypes.CDLL(None, use_errno=True)
    try:
        function = library.fallocate64
    except AttributeError:
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    function.restype = ctypes.c_int
    found: Callable[[int, int, int, int], int] = function
    return found


_FALLOCATE: Final = _find_fallocate()


def punch_hole(fd: int, offset: int, length: int) -> bool:
    """Make a hole of ``length`` > 0 bytes; False where that is not possible. OSError when the disk refuses."""
    if _FALLOCATE is None:
        return False
    while _FALLOCATE(fd, _PUNCH_HOLE | _KEEP_SIZE, offset, length):
        code = ctypes.get_errno()
        if code in _CANNOT:
            return False
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code))
    return True
