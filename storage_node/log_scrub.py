"""The hot log's part of scrubbing: files are read batch by batch and held against what memory says lies there.

::

    verify(file) ─ all sound? ─ no ─► the file is one of ``HotLog.damaged``
    evacuate(file) ─ each needed entry: from the cache, else from the file ─► written anew at the log's end
                     neither is sound ─► forgotten; the chain has a gap until a peer has sent what is missing
                     no entry left ─► the file is deleted

Files are read past the cache. A file with an unsound batch in it is never kept, so that a restart finds sound ones.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from aurora import batch as frames
from aurora.batch import Batch, BatchCorrupt
from aurora.seams import Disk
from storage_node.evidence import set_aside
from storage_node.hot_log import Entry, HotLog, LogDamaged, file_name

WINDOW_BYTES = 64 << 10
"""Read at once: a slice that a slow disk gives within a few milliseconds."""

logger = logging.getLogger(__name__)


def verify(disk: Disk, log: HotLog, number: int) -> Iterator[int]:
    """Read one file; yields bytes read, after each window."""
    at = 0
    name = file_name(number)
    while at < log.size(number):
        want = WINDOW_BYTES
        data = _read(disk, name, at, min(want, log.size(number) - at))
        try:
            want = min(frames.frame_bytes(data), log.size(number) - at)
        except BatchCorrupt:
            want = len(data)
        if want > len(data):
            data = _read(disk, name, at, want)
        disk.uncache(name, at, len(data))
        used, damaged = _check(log, number, at, data)
        for start, stop in damaged:
            aside = set_aside(disk, name, start, data[start - at : stop - at])
            logger.error("%s: %d damaged bytes at %d, copied to %s", name, stop - start, start, aside or "nowhere")
        if damaged:
            log.damaged.add(number)
        at += used
        yield len(data)


def _read(disk: Disk, name: str, at: int, length: int) -> bytes:
    """``length`` bytes; zeros, which are no batch, in place of what the disk does not give."""
    try:
        data = disk.read(name, at, length)
    except OSError as error:
        logger.error("%s at %d cannot be read: %s", name, at, error)
        data = b""
    return data.ljust(length, b"\0")


def _check(log: HotLog, number: int, base: int, data: bytes) -> tuple[int, list[tuple[int, int]]]:
    """``(bytes judged, unsound stretches as (start, stop) in the file)`` of a window that starts with a batch.

    Behind an unsound batch the next one that is needed tells where batches start again.
    """
    live = log.live(number)
    size = log.size(number)
    damaged: list[tuple[int, int]] = []
    at = 0
    while at < len(data):
        try:
            batch = frames.decode(data, at)
            entry = live.get(base + at)
            if entry is not None:
                log.compare(entry, batch)
        except (BatchCorrupt, LogDamaged):
            if at and _leaves(data, at, size - base):
                break  # it goes on behind the window
            stop = min((start for start in live if start > base + at), default=size)
            damaged.append((base + at, stop))
            at = stop - base
            continue
        at += len(batch.frame)
    return at, damaged


def _leaves(data: bytes, at: int, rest_bytes: int) -> bool:
    """Whether the window ends inside the batch at ``at``, as far as its header can be trusted."""
    try:
        end = at + frames.frame_bytes(data, at)
    except BatchCorrupt:
        return len(data) - at < frames.HEADER_BYTES and len(data) < rest_bytes
    return len(data) < end <= rest_bytes


def evacuate(log: HotLog, number: int, bytes_max: int) -> list[Entry]:
    """Write some of a damaged file's needed entries anew; returns those that cannot be read. OSError as above."""
    if log.is_current(number):
        log.roll()
    moved: list[tuple[Entry, Batch]] = []
    lost: list[Entry] = []
    total = 0
    for _, entry in sorted(log.live(number).items()):
        try:
            batch = log.cached(entry) or log.reread(entry)
        except LogDamaged:
            lost.append(entry)
            continue
        moved.append((entry, batch))
        total += entry.length
        if total >= bytes_max:
            break
    if moved:
        log.move(moved)
    return lost
