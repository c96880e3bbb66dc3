"""Reads from a medium that may have decayed: a sector that it does not give is damage, as a wrong checksum is.

Input: a place in a file → output: its bytes, other ones where the medium gives none, so that the checksums above judge
both kinds of damage. Any other error of the disk (too many open files, no permission) says nothing about what the file
holds, and is raised.
"""

from __future__ import annotations

import errno
import logging
from typing import Protocol

BLOCK_BYTES = 4096
"""What is lost of a file with one unreadable sector."""
_FILLER = b"\xff"
"""Neither a magic number, nor space that is held ready, nor a page that was never written."""

logger = logging.getLogger(__name__)


class Readable(Protocol):
    """Files by name."""

    def read(self, name: str, offset: int, length: int) -> bytes:
        """See ``Disk.read``."""


def is_unreadable(error: OSError) -> bool:
    """Whether the medium did not give what lies there."""
    return error.errno == errno.EIO


def read_around(disk: Readable, name: str, offset: int, length: int) -> tuple[bytes, int]:
    """As ``Disk.read``, and how many of the bytes are filler, since they cannot be read. Says so in the log."""
    data, lost_bytes = _read(disk, name, offset, length)
    if lost_bytes:
        logger.error("%s: %d of the %d bytes at %d cannot be read", name, lost_bytes, length, offset)
    return data, lost_bytes


def _read(disk: Readable, name: str, offset: int, length: int) -> tuple[bytes, int]:
    try:
        return disk.read(name, offset, length), 0
    except OSError as error:
        if not is_unreadable(error):
            raise
    if length <= BLOCK_BYTES:
        return _FILLER * length, length
    first_bytes = -(-length // (2 * BLOCK_BYTES)) * BLOCK_BYTES
    first, first_lost = _read(disk, name, offset, first_bytes)
    second, second_lost = _read(disk, name, offset + first_bytes, length - first_bytes)
    return first + second, first_lost + second_lost
