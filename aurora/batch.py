"""Log batches: the frame in which one run of redo records of one protection group (PG) travels and is kept.

``RedoLog.take`` gives runs; ``encode`` frames one; the same bytes go to all six nodes, into their hot logs and, when a
peer catches up, from node to node. Little-endian, 80 header bytes, then the body::

     0     4  magic      "AURB"
     4     5  version    u8   1
     5     6  flags      u8   bit 0: the body is an lz4 block
     6     8  zero       u16
     8    24  volume_id  16 bytes
    24    32  epoch      u64  volume epoch of the writer that wrote the records
    32    40  prev_lsn   u64  the PG's last LSN before this run; 0 = this is its first
    40    48  first_lsn  u64
    48    56  last_lsn   u64
    56    64  last_cpl   u64  highest CPL in the run, 0 = none
    64    68  pg         u32
    68    72  raw_bytes  u32  length of the records
    72    76  body_bytes u32  length of the body
    76    80  crc32c     u32  over bytes 0 to 76 and the body
    80        body            the records, as they are or compressed

Invariants: ``prev_lsn < first_lsn <= last_lsn`` and ``last_cpl`` is 0 or between the two. Anything else, and any byte
that does not match the checksum, raises ``BatchCorrupt``.
"""

from __future__ import annotations

import struct
from typing import Final

import google_crc32c
import lz4.block

from aurora.errors import InvariantViolation
from aurora.kernels import redo
from aurora.kernels.python.mtr import Run

MAGIC: Final = b"AURB"
VERSION: Final = 1
FLAG_LZ4: Final = 1
COMPRESS_FROM_BYTES: Final = 1024
"""Runs shorter than this are sent as they are: compressing costs more than it saves."""

_HEADER: Final = struct.Struct("<4sBBH16sQQQQQIII")
_CRC: Final = struct.Struct("<I")
HEADER_BYTES: Final = _HEADER.size + _CRC.size


class BatchCorrupt(InvariantViolation):
    """The bytes are not a sound batch: wrong magic, version, length, checksum or LSN order."""


class Batch:
    """One batch. ``frame`` is its encoded bytes; ``records`` the run, decompressed on first use."""

    __slots__ = (
        "_records",
        "epoch",
        "first_lsn",
        "flags",
        "frame",
        "last_cpl",
        "last_lsn",
        "pg",
        "prev_lsn",
        "raw_bytes",
        "volume_id",
    )

    def __init__(
        self,
        frame: bytes | memoryview,
        volume_id: bytes,
        epoch: int,
        pg: int,
        prev_lsn: int,
        first_lsn: int,
        last_lsn: int,
        last_cpl: int,
        raw_bytes: int,
        flags: int,
    ) -> None:
        self.frame = frame
        self.volume_id = volume_id
        self.epoch = epoch
        self.pg = pg
        self.prev_lsn = prev_lsn
        self.first_lsn = first_lsn
        self.last_lsn = last_lsn
        self.last_cpl = last_cpl
        self.raw_bytes = raw_bytes
        self.flags = flags
        self._records: bytes | None = None

    def __repr__(self) -> str:
        return f"Batch(pg={self.pg}, epoch={self.epoch}, {self.prev_lsn} < {self.first_lsn}..{self.last_lsn})"

    @property
    def records(self) -> bytes:
        """The encoded redo records, ``raw_bytes`` long, as ``redo.scan(records, prev_lsn)`` reads them."""
        if self._records is None:
            body = self.frame[HEADER_BYTES:]
            if self.flags & FLAG_LZ4:
                try:
                    data = lz4.block.decompress(body, uncompressed_size=self.raw_bytes)
                except lz4.block.LZ4BlockError as error:
                    raise BatchCorrupt(f"{self!r}: {error}") from error
            else:
                data = bytes(body)
            if len(data) != self.raw_bytes:
                raise BatchCorrupt(f"{self!r}: {len(data)} bytes of records, header says {self.raw_bytes}")
            self._records = data
        return self._records

    @property
    def run(self) -> Run:
        """The batch as the run that ``encode`` takes."""
        return (self.pg, self.prev_lsn, self.first_lsn, self.last_lsn, self.last_cpl, self.records)


def encode(volume_id: bytes, epoch: int, run: Run, compress_from: int = COMPRESS_FROM_BYTES) -> bytes:
    """Frame one run. The body is compressed when it has ``compress_from`` bytes or more and becomes shorter by that."""
    pg, prev_lsn, first_lsn, last_lsn, last_cpl, records = run
    raw_bytes = len(records)
    body, flags = records, 0
    if raw_bytes >= compress_from:
        packed = lz4.block.compress(records, store_size=False)
        if len(packed) < raw_bytes:
            body, flags = packed, FLAG_LZ4
    header = _HEADER.pack(
        MAGIC, VERSION, flags, 0, volume_id, epoch, prev_lsn, first_lsn, last_lsn, last_cpl, pg, raw_bytes, len(body)
    )
    crc = google_crc32c.extend(google_crc32c.value(header), body)
    return header + _CRC.pack(crc) + body


def frame_bytes(data: bytes | memoryview, at: int = 0) -> int:
    """Length of the frame that starts at ``at``, from its header alone; BatchCorrupt when that is no header."""
    if len(data) - at < HEADER_BYTES:
        raise BatchCorrupt(f"{len(data) - at} bytes at {at} are shorter than a batch header")
    if bytes(data[at : at + 4]) != MAGIC or data[at + 4] != VERSION:
        raise BatchCorrupt(f"no batch of version {VERSION} at byte {at}: {bytes(data[at : at + 5])!r}")
    return HEADER_BYTES + int(_CRC.unpack_from(data, at + 72)[0])


def decode_header(data: bytes | memoryview, at: int = 0) -> Batch:
    """The batch at ``at`` with its header checked for form, its checksum not looked at; ``frame`` is a slice of
    ``data``.

    BatchCorrupt when the header is malformed or ``data`` ends inside the frame.
    """
    length = frame_bytes(data, at)
    if at + length > len(data):
        raise BatchCorrupt(f"batch of {length} bytes at {at} leaves {len(data)} bytes")
    _, _, flags, zero, volume_id, epoch, prev, first, last, cpl, pg, raw, body = _HEADER.unpack_from(data, at)
    if (
        zero
        or flags & ~FLAG_LZ4
        or not prev < first <= last
        or (cpl and not first <= cpl <= last)
        or (not flags and raw != body)
    ):
        raise BatchCorrupt(f"batch header at {at}: flags {flags}, prev {prev}, first {first}, last {last}, cpl {cpl}")
    return Batch(data[at : at + length], volume_id, epoch, pg, prev, first, last, cpl, raw, flags)


def decode(data: bytes | memoryview, at: int = 0) -> Batch:
    """The batch at ``at``, its checksum verified."""
    batch = decode_header(data, at)
    frame = bytes(batch.frame)
    batch.frame = frame
    crc = google_crc32c.extend(google_crc32c.value(frame[:76]), frame[HEADER_BYTES:])
    if crc != _CRC.unpack_from(frame, 76)[0]:
        raise BatchCorrupt(f"{batch!r} at byte {at}: checksum does not match")
    return batch


def split(data: bytes) -> list[Batch]:
    """The batches that ``data`` is the concatenation of, all checksums verified."""
    found = []
    at, total = 0, len(data)
    while at < total:
        batch = decode(data, at)
        found.append(batch)
        at += len(batch.frame)
    return found


def check_records(batch: Batch, pages_per_pg: int) -> None:
    """BatchCorrupt when the records are not those that the header tells of, change a page of another group, or cannot
    be applied: who acknowledges them must be able to read them.
    """
    first_page = batch.pg * pages_per_pg
    try:
        redo.check_run(
            batch.records, batch.prev_lsn, batch.first_lsn, batch.last_lsn, batch.last_cpl,
            first_page, first_page + pages_per_pg,
        )  # fmt: skip
    except BatchCorrupt:
        raise
    except InvariantViolation as error:
        raise BatchCorrupt(f"{batch!r}: {error}") from error


def clip(batch: Batch, upto_lsn: int) -> Batch | None:
    """The batch without its records above ``upto_lsn``; None when none is left. A whole batch is returned as it is."""
    if batch.last_lsn <= upto_lsn:
        return batch
    last = cpl = end = 0
    for lsn, _, _, _, flags, _, stop in redo.scan(batch.records, batch.prev_lsn):
        if lsn > upto_lsn:
            break
        last, end = lsn, stop
        if flags & redo.FLAG_CPL:
            cpl = lsn
    if not last:
        return None
    run = (batch.pg, batch.prev_lsn, batch.first_lsn, last, cpl, batch.records[:end])
    return decode(encode(batch.volume_id, batch.epoch, run))
