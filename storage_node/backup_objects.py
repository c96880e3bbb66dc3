"""The backup's objects: their names and their bytes.

Names sort by LSN, so that a listing alone tells what there is. ``V`` is the volume's id in hex, numbers have leading
zeros::

    V/pg-0000000003/log/<last LSN>-<LSN before the first>            log: batches of one chain, one behind the other
    V/pg-0000000003/chunk/<base>-<begin ms>-<node>/<number>          pages of a snapshot
    V/pg-0000000003/snapshot/<base>-<end ms>-<begin ms>-<node>       its manifest, written last: it makes it count
    V/time/<wall ms>-<node>                                          timeline: when the VDL was what

Every object has the same frame. Little-endian, 44 header bytes, a head (protobuf), a body::

     0     4  magic       "AURO"
     4     5  version     u8   1
     5     6  kind        u8   1 log, 2 pages, 3 snapshot, 4 timeline
     6     8  flags       u16  bit 0: the body is an lz4 block
     8    24  volume_id   16 bytes
    24    28  pg          u32
    28    32  head_bytes  u32
    32    36  body_bytes  u32
    36    40  raw_bytes   u32  length of the body before compression
    40    44  crc32c      u32  over bytes 0 to 40, head and body
    44        head        BackupLog, BackupPages, BackupSnapshot or BackupTimeline of protos/storage.proto
              body        log: batch frames (aurora/batch.py)
                          pages: count × { u64 index in the PG, 8192 bytes page with checksum field zero }
                          others: empty

Anything that does not match, and any wrong bit, is ``ObjectCorrupt``. An encrypted node's objects are sealed, and
``V/keys/…`` has the keys (``aurora/sealed_store.py``); these bytes are what is in the seal.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import google_crc32c
import lz4.block
from google.protobuf.message import DecodeError

from aurora.encryption import SealBroken
from aurora.errors import InvariantViolation
from aurora.object_store import ObjectStore
from aurora.page import PAGE_BYTES
from aurora.rpc import storage_pb2 as pb
from storage_node.effects import DeleteObjects, ListObjects, PutObject, StoreEffect

if TYPE_CHECKING:
    from google.protobuf.message import Message


T = TypeVar("T")

MAGIC: Final = b"AURO"
VERSION: Final = 1
FLAG_LZ4: Final = 1

_HEADER: Final = struct.Struct("<4sBBH16sIIII")
_CRC: Final = struct.Struct("<I")
_INDEX: Final = struct.Struct("<Q")
HEADER_BYTES: Final = _HEADER.size + _CRC.size
_NODE: Final = re.compile(r"[^\w.]")


class Kind(IntEnum):
    """What an object holds."""

    LOG = 1
    PAGES = 2
    SNAPSHOT = 3
    TIMELINE = 4


_HEADS: Final[dict[Kind, Any]] = {
    Kind.LOG: pb.BackupLog,
    Kind.PAGES: pb.BackupPages,
    Kind.SNAPSHOT: pb.BackupSnapshot,
    Kind.TIMELINE: pb.BackupTimeline,
}


class ObjectCorrupt(InvariantViolation):
    """The bytes are not a sound object of the backup."""


@dataclass(frozen=True, slots=True)
class Content:
    """One object. Made by the core, encoded by who carries it out: joining, compressing and checksums cost the core
    nothing.
    """

    kind: Kind
    volume_id: bytes
    pg: int
    head: Message
    body: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """The object's bytes."""
        body = raw = b"".join(self.body)
        flags = 0
        if self.kind is Kind.PAGES:
            packed = lz4.block.compress(raw, store_size=False)
            if len(packed) < len(raw):
                body, flags = packed, FLAG_LZ4
        head = self.head.SerializeToString(deterministic=True)
        header = _HEADER.pack(MAGIC, VERSION, self.kind, flags, self.volume_id, self.pg, len(head), len(body), len(raw))
        crc = google_crc32c.extend(google_crc32c.extend(google_crc32c.value(header), head), body)
        return b"".join((header, _CRC.pack(crc), head, body))


@dataclass(frozen=True, slots=True)
class Decoded:
    """What an object's bytes say."""

    kind: Kind
    volume_id: bytes
    pg: int
    head: Message
    body: bytes


def decode(data: bytes) -> Decoded:
    """The object; ObjectCorrupt when the bytes are none."""
    if len(data) < HEADER_BYTES:
        raise ObjectCorrupt(f"{len(data)} bytes are shorter than an object's header")
    magic, version, kind, flags, volume_id, pg, head_bytes, body_bytes, raw_bytes = _HEADER.unpack_from(data)
    if magic != MAGIC or version != VERSION or len(data) != HEADER_BYTES + head_bytes + body_bytes:
        raise ObjectCorrupt(f"magic {magic!r}, version {version}, {len(data)} bytes")
    if (
        google_crc32c.extend(google_crc32c.value(data[: _HEADER.size]), data[HEADER_BYTES:])
        != _CRC.unpack_from(data, _HEADER.size)[0]
    ):
        raise ObjectCorrupt("the checksum does not match")
    body = data[HEADER_BYTES + head_bytes :]
    try:
        head = _HEADS[Kind(kind)].FromString(data[HEADER_BYTES : HEADER_BYTES + head_bytes])
        if flags & FLAG_LZ4:
            body = lz4.block.decompress(body, uncompressed_size=raw_bytes)
    except (DecodeError, ValueError, lz4.block.LZ4BlockError) as error:
        raise ObjectCorrupt(f"object of kind {kind}: {error}") from error
    if len(body) != raw_bytes or flags & ~FLAG_LZ4:
        raise ObjectCorrupt(f"{len(body)} bytes of body, the header says {raw_bytes}; flags {flags}")
    return Decoded(Kind(kind), volume_id, pg, head, body)


def read(store: ObjectStore, name: str, kind: Kind, volume_id: bytes) -> Decoded:
    """The object of that name; ObjectCorrupt, which names it, when it is not sound or of another volume."""
    try:
        found = decode(store.get(name))
    except (ObjectCorrupt, SealBroken) as error:
        raise ObjectCorrupt(f"object {name} is damaged: {error}") from error
    if found.kind is not kind or found.volume_id != volume_id:
        raise ObjectCorrupt(
            f"object {name} is a {found.kind.name.lower()} object of volume {found.volume_id.hex()},"
            f" not a {kind.name.lower()} object of {volume_id.hex()}"
        )
    return found


def pages_body(pages: Iterable[tuple[int, bytes | bytearray]]) -> tuple[bytes, ...]:
    """``(index in the PG, page)`` as the body of a pages object."""
    return tuple(part for index, page in pages for part in (_INDEX.pack(index), bytes(page)))


def pages_of(body: bytes) -> Iterator[tuple[int, bytes]]:
    """The reverse; ObjectCorrupt when it is no whole number of pages."""
    step = _INDEX.size + PAGE_BYTES
    if len(body) % step:
        raise ObjectCorrupt(f"a body of {len(body)} bytes is no whole number of pages")
    for at in range(0, len(body), step):
        yield int(_INDEX.unpack_from(body, at)[0]), body[at + _INDEX.size : at + step]


# --- names


class LogName(NamedTuple):
    """A log object: the chain's records in ``(prev_lsn, last_lsn]``."""

    last_lsn: int
    prev_lsn: int
    name: str


class SnapshotName(NamedTuple):
    """A snapshot's manifest: ``key`` is what its chunks have in common; at ``end_ms`` all its pages had been read."""

    base_lsn: int
    end_ms: int
    key: str
    name: str


def passing(names: Iterable[str], parse: Callable[[str], T]) -> tuple[list[T], list[str]]:
    """What the names say, and those that are none of a backup's: anybody may put an object into a folder."""
    found, strays = [], []
    for name in names:
        try:
            found.append(parse(name))
        except ObjectCorrupt:
            strays.append(name)
    return found, strays


def pg_folder(volume_id: bytes, pg: int) -> str:
    """Where a PG's objects lie."""
    return f"{volume_id.hex()}/pg-{pg:010d}"


def log_folder(volume_id: bytes, pg: int) -> str:
    """Where a PG's log lies."""
    return f"{pg_folder(volume_id, pg)}/log"


def snapshot_folder(volume_id: bytes, pg: int) -> str:
    """Where a PG's manifests lie."""
    return f"{pg_folder(volume_id, pg)}/snapshot"


def chunk_folder(volume_id: bytes, pg: int) -> str:
    """Where the pages of a PG's snapshots lie."""
    return f"{pg_folder(volume_id, pg)}/chunk"


def time_folder(volume_id: bytes) -> str:
    """Where the timeline lies."""
    return f"{volume_id.hex()}/time"


def log_name(volume_id: bytes, pg: int, prev_lsn: int, last_lsn: int) -> str:
    """A log object's name."""
    return f"{log_folder(volume_id, pg)}/{last_lsn:020d}-{prev_lsn:020d}"


def log_from(volume_id: bytes, pg: int, lsn: int) -> str:
    """Below the names of all log objects that end at ``lsn`` or later, above all others."""
    return f"{log_folder(volume_id, pg)}/{lsn:020d}"


def snapshot_key(base_lsn: int, begin_ms: int, node_id: str) -> str:
    """What tells a snapshot from all others of its PG."""
    return f"{base_lsn:020d}-{begin_ms:015d}-{_NODE.sub('_', node_id)}"


def chunk_name(volume_id: bytes, pg: int, key: str, chunk: int) -> str:
    """A pages object's name."""
    return f"{chunk_folder(volume_id, pg)}/{key}/{chunk:08d}"


def snapshot_name(volume_id: bytes, pg: int, key: str, end_ms: int) -> str:
    """A manifest's name."""
    base, _, rest = key.partition("-")
    return f"{snapshot_folder(volume_id, pg)}/{base}-{end_ms:015d}-{rest}"


def time_name(volume_id: bytes, wall_ms: int, node_id: str) -> str:
    """A timeline object's name."""
    return f"{time_folder(volume_id)}/{wall_ms:015d}-{_NODE.sub('_', node_id)}"


def parse_log(name: str) -> LogName:
    """The reverse of ``log_name``; ObjectCorrupt when it is none."""
    last, _, prev = name.rpartition("/")[2].partition("-")
    if not (last.isdecimal() and prev.isdecimal() and int(prev) < int(last)):
        raise ObjectCorrupt(f"{name} is no log object's name")
    return LogName(int(last), int(prev), name)


def parse_snapshot(name: str) -> SnapshotName:
    """The reverse of ``snapshot_name``; ObjectCorrupt when it is none."""
    parts = name.rpartition("/")[2].split("-", 3)
    if len(parts) != 4 or not all(part.isdecimal() for part in parts[:3]):
        raise ObjectCorrupt(f"{name} is no snapshot's name")
    base, end, begin, node = parts
    return SnapshotName(int(base), int(end), f"{base}-{begin}-{node}", name)


def parse_pg(folder: str) -> int:
    """The PG whose objects lie in the folder of that name; ObjectCorrupt when it is none's."""
    number = folder.removeprefix("pg-")
    if number == folder or not number.isdecimal():
        raise ObjectCorrupt(f"{folder} is no PG's folder")
    return int(number)


def chunk_base(name: str) -> int:
    """The base LSN of the snapshot that a pages object belongs to."""
    base = name.rsplit("/", 2)[1].partition("-")[0]
    if not base.isdecimal():
        raise ObjectCorrupt(f"{name} is no pages object's name")
    return int(base)


def time_wall_ms(name: str) -> int:
    """The moment at which a timeline object begins."""
    wall = name.rpartition("/")[2].partition("-")[0]
    if not wall.isdecimal():
        raise ObjectCorrupt(f"{name} is no timeline object's name")
    return int(wall)


def time_node(name: str) -> str:
    """The node that wrote a timeline object."""
    return name.rpartition("/")[2].partition("-")[2]


def perform(store: ObjectStore, effect: StoreEffect) -> Sequence[str]:
    """Carry an effect out; the names found, when it was a listing."""
    if isinstance(effect, PutObject):
        store.put(effect.name, effect.content.encode())
    elif isinstance(effect, ListObjects):
        return store.list(effect.folder, effect.after, effect.limit)
    elif isinstance(effect, DeleteObjects):
        store.delete(effect.names)
    return ()
