"""The meta file: what a node must remember besides log and pages.

Input: fence, truncation, descriptor and collection → output: two identical files ``meta`` and ``meta-copy``, each
written atomically before the answer goes out, the second after the first. Little-endian::

     0     4  magic      "AURM"
     4     8  version    u32  1
     8    16  generation u64  counts the writes
    16    20  body_bytes u32
    20    24  crc32c     u32  over bytes 0 to 20 and the body
    24        body       NodeMeta of protos/storage.proto

When the disk refuses the second copy, the first one holds what its writer was told is refused, and would count after a
restart: ``MetaStore.ahead``, until a write succeeds (``settle``).

At start the sound copy with the greater generation is taken. When no copy is sound the node refuses to start: it may
have promised a writer something that it no longer knows, so a human must give it an empty folder.
"""

from __future__ import annotations

import logging
import struct

import google_crc32c
from google.protobuf.message import DecodeError

from aurora.errors import InvariantViolation
from aurora.medium import read_around
from aurora.rpc import storage_pb2 as pb
from aurora.seams import Disk

MAGIC = b"AURM"
VERSION = 1
NAMES = ("meta", "meta-copy")
_HEADER = struct.Struct("<4sIQI")
_CRC = struct.Struct("<I")

logger = logging.getLogger(__name__)


def encode(generation: int, meta: pb.NodeMeta) -> bytes:
    """The bytes of one meta file."""
    body: bytes = meta.SerializeToString(deterministic=True)
    header = _HEADER.pack(MAGIC, VERSION, generation, len(body))
    return header + _CRC.pack(google_crc32c.extend(google_crc32c.value(header), body)) + body


def decode(data: bytes) -> tuple[int, pb.NodeMeta]:
    """``(generation, meta)``; InvariantViolation when the bytes are not a sound meta file."""
    start = _HEADER.size + _CRC.size
    if len(data) < start:
        raise InvariantViolation(f"meta file of {len(data)} bytes")
    magic, version, generation, body_bytes = _HEADER.unpack_from(data)
    body = data[start:]
    crc = google_crc32c.extend(google_crc32c.value(data[: _HEADER.size]), body)
    if (
        magic != MAGIC
        or version != VERSION
        or len(body) != body_bytes
        or crc != _CRC.unpack_from(data, _HEADER.size)[0]
    ):
        raise InvariantViolation(
            f"meta file: magic {magic!r}, version {version}, {len(body)} of {body_bytes} bytes, or checksum"
        )
    return generation, pb.NodeMeta.FromString(body)


class MetaStore:
    """Holds the current ``NodeMeta`` and writes it."""

    def __init__(self, disk: Disk, node_id: str) -> None:
        """Load the meta; InvariantViolation when files are there and none is sound, or they belong to another node."""
        self._disk = disk
        self.generation = 0
        self.value = pb.NodeMeta(node_id=node_id)
        self.ahead = False
        """Whether a file holds, or may hold, a value that has been taken back."""
        present = [name for name in NAMES if name in disk.list()]
        damaged = []
        generations: set[int] = set()
        for name in present:
            try:
                generation, value = decode(read_around(disk, name, 0, disk.size(name))[0])
            except InvariantViolation as error:
                damaged.append(f"{name}: {error}")
                continue
            generations.add(generation)
            if generation > self.generation:
                self.generation, self.value = generation, value
        if present and not self.generation:
            raise InvariantViolation(f"no sound meta file ({'; '.join(damaged)}); start the node with an empty folder")
        if self.value.node_id != node_id:
            raise InvariantViolation(f"the folder belongs to node {self.value.node_id!r}, not to {node_id!r}")
        self._durable = pb.NodeMeta()
        self._durable.CopyFrom(self.value)
        self._durable_generation = self.generation
        if damaged:
            logger.warning("damaged meta file, to be replaced from its copy: %s", "; ".join(damaged))
        if damaged or len(generations) > 1 or len(present) == 1:
            # Power lost between the two writes: what is promised from here on must not hang on one copy.
            try:
                self.write()
            except OSError as error:
                logger.error("the meta file could not be replaced: %s; one sound copy is left", error)

    def unsound(self) -> list[str]:
        """Those of the two files that do not hold what was written last."""
        return [name for name in NAMES if self.generation and not self._holds(name)]

    def _holds(self, name: str) -> bool:
        try:
            generation, value = decode(read_around(self._disk, name, 0, self._disk.size(name))[0])
        except (InvariantViolation, FileNotFoundError, DecodeError):
            return False
        return value == self._durable or (self.ahead and generation > self._durable_generation)

    def write(self) -> None:
        """Make ``value`` durable. OSError when the disk refuses: ``value`` is then what it was at the last write."""
        self.generation += 1
        data = encode(self.generation, self.value)
        try:
            for name in NAMES:
                self._disk.write_atomic(name, data)
        except OSError:
            self.value.CopyFrom(self._durable)
            self.ahead = self.ahead or self._took(NAMES[0], self.generation)
            raise
        self._durable.CopyFrom(self.value)
        self._durable_generation = self.generation
        self.ahead = False

    def settle(self) -> None:
        """Have the files hold ``value`` and nothing that was taken back, before something relies on it. OSError when
        the disk refuses.
        """
        if self.ahead:
            self.write()

    def _took(self, name: str, generation: int) -> bool:
        """Whether the file holds the write of that number, or cannot be asked."""
        try:
            return decode(read_around(self._disk, name, 0, self._disk.size(name))[0])[0] == generation
        except (InvariantViolation, FileNotFoundError, DecodeError):
            return False
        except OSError:
            return True
