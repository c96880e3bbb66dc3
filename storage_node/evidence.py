"""Damaged bytes that are set aside for a human to look at: ``damaged-<file>-<offset>``, bounded in number and size.

Input: the unsound bytes of a log file → output: a copy of their beginning. Nothing reads these files again, so they are
neither scrubbed nor needed: a disk that refuses one costs a line in the log, and the oldest go when there are too many.
"""

from __future__ import annotations

import logging

from aurora.seams import Disk

PREFIX = "damaged-"
FILES_MAX = 32
FILE_BYTES_MAX = 256 << 10
"""Of a longer stretch the beginning is kept."""

logger = logging.getLogger(__name__)


def set_aside(disk: Disk, name: str, offset: int, data: bytes) -> str:
    """Copy what was found at ``offset`` of the file; returns the copy's name, empty when the disk has no room."""
    copy = f"{PREFIX}{name}-{offset}"
    kept = sorted((held for held in disk.list() if held.startswith(PREFIX) and held != copy), key=_age)
    try:
        for old in kept[: max(0, len(kept) - FILES_MAX + 1)]:
            disk.delete(old)
        disk.write_atomic(copy, data[:FILE_BYTES_MAX])
    except OSError as error:
        logger.warning("%d damaged bytes at %d of %s could not be set aside: %s", len(data), offset, name, error)
        return ""
    return copy


def _age(name: str) -> tuple[str, int]:
    """Log files are numbered in the order in which they were begun."""
    file_name, _, offset = name.removeprefix(PREFIX).rpartition("-")
    return file_name, int(offset) if offset.isdigit() else 0
