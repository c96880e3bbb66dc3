"""A range of a PG's stored pages as one node reads it and another takes it: request → reply → runs of sealed pages.

The source (``RangeRead``) notes what it has collected, then reads the bytes as they lie in ``pages-<pg>``, maybe in
another thread and maybe while coalescing goes on: what a page holds only grows, so each page read holds at least what
was noted. A page that was being written at that moment may be torn; its checksum tells, and it is asked for again.

The bytes of a reply, in the order of its checksum (CRC-32C)::

     0     8  collected_lsn  u64
     8    16  collected_cpl  u64
    16    20  pg             u32
    20    24  first          u32  of the request
    24    28  count          u32  of the request
    28    32  end            u32
    32    40  floor_lsn      u64
    40        runs × { u32 first, u32 count }, ascending, within the range
              pages of the runs, 8192 bytes each, sealed
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import google_crc32c
import numpy as np

from aurora.errors import InvariantViolation
from aurora.page import OFF_CHECKSUM, PAGE_BYTES
from aurora.rpc import storage_pb2 as pb
from aurora.seams import Disk

RANGE_PAGES_MAX = 1024
"""Longest range that is read at once: 8 MiB."""

_HEAD = struct.Struct("<QQIIIIQ")
_RUN = struct.Struct("<II")
_U32 = struct.Struct("<I")
_IDENTITY = struct.Struct("<II")
_LSN = np.dtype("<u8")
_ZERO_PAGE = bytes(PAGE_BYTES)


@dataclass(frozen=True)
class RangeRead:
    """A read of stored pages that may be carried out in any thread: ``name`` from page ``first`` of the PG on."""

    name: str
    pg: int
    first: int
    count: int
    end: int
    collected_lsn: int
    collected_cpl: int
    floor_lsn: Callable[[], int]
    """From where on the segment's holes are right; asked for when the bytes have been read, for a hole that is made
    meanwhile raises it first.
    """

    def reply(self, disk: Disk) -> pb.FetchRangeReply:
        """Read and answer. OSError when the disk does not give the bytes."""
        stored = max(0, min(self.count, self.end - self.first))
        data = disk.read(self.name, self.first * PAGE_BYTES, stored * PAGE_BYTES) if stored else b""
        if len(data) != stored * PAGE_BYTES:
            raise OSError(f"{self.name} gave {len(data)} bytes at page {self.first}, not {stored} pages")
        runs = _runs(data)
        if runs != [(0, stored)]:
            data = b"".join(data[at * PAGE_BYTES : (at + count) * PAGE_BYTES] for at, count in runs)
        reply = pb.FetchRangeReply(
            collected_lsn=self.collected_lsn, collected_cpl=self.collected_cpl, end=self.end, pages=data,
            floor_lsn=self.floor_lsn(),
            runs=[pb.PageRun(first=self.first + at, count=count) for at, count in runs],
        )  # fmt: skip
        reply.crc32c = _checksum(self.pg, self.first, self.count, reply, data)
        return reply


def open_reply(request: pb.FetchRangeRequest, reply: pb.FetchRangeReply) -> list[tuple[int, bytes]]:
    """The runs ``(first page, bytes)`` of a reply; InvariantViolation when it is not sound or not what was asked for.

    Whether each page is sound is another question: see ``unsound``.
    """
    data = reply.pages
    what = f"pages {request.first} to {request.first + request.count} of PG {request.pg}"
    if reply.crc32c != _checksum(request.pg, request.first, request.count, reply, data):
        raise InvariantViolation(f"{what}: the reply does not match its checksum")
    if reply.collected_lsn < request.floor_lsn:
        raise InvariantViolation(f"{what}: collected to {reply.collected_lsn}, asked for {request.floor_lsn}")
    found, at, after = [], 0, request.first
    for run in reply.runs:
        if run.first < after or not run.count:
            raise InvariantViolation(f"{what}: run of {run.count} pages at {run.first}")
        size = run.count * PAGE_BYTES
        found.append((run.first, data if size == len(data) else data[at : at + size]))
        at += size
        after = run.first + run.count
    if after > request.first + request.count or at != len(data):
        raise InvariantViolation(f"{what}: {len(data)} bytes up to page {after}")
    return found


def holes(request: pb.FetchRangeRequest, runs: list[tuple[int, bytes]]) -> list[tuple[int, int]]:
    """``(first, count)`` of the pages asked for that none of the runs of ``open_reply`` holds."""
    found, after = [], request.first
    for first, data in [*runs, (request.first + request.count, b"")]:
        if first > after:
            found.append((after, first - after))
        after = first + len(data) // PAGE_BYTES
    return found


def unsound(data: bytes, pg: int, first: int) -> list[int]:
    """Which of the sealed pages in ``data``, of that PG from index ``first`` on, do not match their checksum: by
    position.
    """
    extend, after = google_crc32c.extend, OFF_CHECKSUM + 4
    return [
        at // PAGE_BYTES
        for at in range(0, len(data), PAGE_BYTES)
        if _U32.unpack_from(data, at + OFF_CHECKSUM)[0]
        != extend(
            google_crc32c.value(data[at : at + OFF_CHECKSUM] + _IDENTITY.pack(pg, first + at // PAGE_BYTES)),
            data[at + after : at + PAGE_BYTES],
        )
    ]


def _runs(data: bytes) -> list[tuple[int, int]]:
    """``(first, count)`` of the written pages, by position. A page of zeros was never written."""
    written = np.frombuffer(data, _LSN)[:: PAGE_BYTES // _LSN.itemsize] != 0
    for at in np.flatnonzero(~written).tolist():
        # An LSN of zero with something behind it is damage, which the receiver must see.
        written[at] = data[at * PAGE_BYTES : (at + 1) * PAGE_BYTES] != _ZERO_PAGE
    edges = np.flatnonzero(np.diff(written.astype(np.int8), prepend=0, append=0)).tolist()
    return [(start, stop - start) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


def _checksum(pg: int, first: int, count: int, reply: pb.FetchRangeReply, data: bytes) -> int:
    head = _HEAD.pack(reply.collected_lsn, reply.collected_cpl, pg, first, count, reply.end, reply.floor_lsn)
    runs = b"".join(_RUN.pack(run.first, run.count) for run in reply.runs)
    return int(google_crc32c.extend(google_crc32c.value(head + runs), data))
