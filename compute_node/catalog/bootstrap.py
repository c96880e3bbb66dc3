"""A new volume's catalogs: rows → heap pages and indexes → a log image that is installed into fresh volumes.

``bootstrap`` writes the rows with the same code as user tables. ``build_image`` does so once on a volume in memory
and packs its pages; ``install`` appends them to an empty volume as IMAGE records, some tens of pages an MTR. The
image is kept beside the package (or in the user's cache folder), named by a hash of the sources that it depends on.

Image file::

    0   8  magic    "AURORAIM"
    8  12  format   u32
   12  16  crc      u32  CRC-32C of the stream
   16  20  rows     u32  hash of the built-in rows
   20      zlib stream of: (u64 page number, u32 length, ops of an IMAGE record) …

Invariant: the bootstrap transaction's commit LSN is the first LSN, so its rows are visible in every volume at any time.
"""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
import zlib
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import google_crc32c

from aurora.datum import Row
from aurora.errors import DataCorrupted, InvariantViolation
from aurora.ids import FIRST_LSN, Lsn
from aurora.kernels import arena as arena_kernel
from aurora.page import HEADER_BYTES, OFF_LOWER, PAGE_BYTES
from compute_node.access.extents import file_pages
from compute_node.access.memory_volume import MemoryVolume
from compute_node.access.methods import build_index
from compute_node.access.storage import Storage
from compute_node.catalog.bootstrap_rows import bootstrap_rows
from compute_node.catalog.rows import CatalogRows
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.schema import CATALOGS

if TYPE_CHECKING:
    from compute_node.txn.transaction import Txn
    from compute_node.volume.interface import PagedVolume


CATALOG_VERSION = 1
"""Of the built-in rows and what they mean. It is raised with a release whose volumes an older one must not open; what
else changes in the rows is seen by their hash. ``reconcile`` compares both."""

_MAGIC = b"AURORAIM"
_FORMAT = 2
_HEADER = struct.Struct("<8sIII")
_ENTRY = struct.Struct("<QI")
_MTR_BYTES = 512 * 1024
_ARENA_FRAMES = 4096
_IMAGE, _IMAGE_FROM = 2, 12
_FLAG_CPL = 1
_FOLDER = Path(__file__).parent / "image"
_SOURCES = (
    "compute_node/catalog",
    "compute_node/relations",
    "compute_node/types",
    "compute_node/access",
    "aurora/kernels/python",
    "aurora/page.py",
)


def bootstrap(storage: Storage) -> None:
    """Make and fill every system catalog of an empty volume, in one transaction."""
    txn = storage.txns.begin()
    rows = bootstrap_rows()
    rows_hash = hash_of(rows)
    counts: dict[int, float] = {}
    for table in CATALOGS.values():
        if table.desc.toast is not None:
            _create_toast(storage, txn, table.desc.toast)
    for name, table in CATALOGS.items():
        desc = table.desc
        storage.create_storage(txn, desc.relfile)
        for index in desc.indexes:
            storage.create_storage(txn, index.relfile)
        heap = storage.table(replace(desc, indexes=()))
        if rows[name]:
            heap.insert_many(txn, rows[name])
        counts[desc.oid] = float(len(rows[name]))
    for table in CATALOGS.values():
        heap = storage.table(table.desc)
        for index in table.desc.indexes:
            build_index(txn, heap, index)
    _statistics(storage, txn, counts)
    xid = txn.write_xid
    storage.txns.commit(txn)
    storage.superblock.set_catalog_version(CATALOG_VERSION, rows_hash)
    with storage.mtr:
        if storage.clog.set(xid, FIRST_LSN):
            raise InvariantViolation("the commit log's first page went away during bootstrap")


def hash_of(rows: dict[str, list[Row]]) -> int:
    """A number that tells these rows from others."""
    return int(google_crc32c.value(repr(sorted(rows.items())).encode()))


def _create_toast(storage: Storage, txn: Txn, desc: RelationDesc) -> None:
    """A catalog's TOAST table, which must be there before the catalog's long rows."""
    storage.create_storage(txn, desc.relfile)
    storage.create_storage(txn, desc.indexes[0].relfile)
    build_index(txn, storage.table(replace(desc, indexes=())), desc.indexes[0])


def _statistics(storage: Storage, txn: Txn, counts: dict[int, float]) -> None:
    """What ANALYZE would find."""
    catalog = CatalogRows(storage, txn)
    for table in CATALOGS.values():
        for oid, relfile in [(table.desc.oid, table.desc.relfile), *((i.oid, i.relfile) for i in table.desc.indexes)]:
            record = catalog.one("pg_class", oid=oid)
            if record is None:
                raise InvariantViolation(f"pg_class has no row {oid}")
            pages = int(storage.blocks(relfile))
            catalog.update("pg_class", record, relpages=pages, reltuples=counts[table.desc.oid])


def image_ops(page: bytes | bytearray) -> bytes:
    """The IMAGE op of a page; its unused middle is left out."""
    lower, upper = struct.unpack_from("<HH", page, OFF_LOWER)
    if not (HEADER_BYTES <= lower <= upper <= PAGE_BYTES) or any(page[lower:upper]):
        lower = upper = PAGE_BYTES
    out = bytearray()
    for value in (lower << 2 | _IMAGE, upper - lower):
        while value >= 0x80:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)
    return bytes(out) + bytes(page[_IMAGE_FROM:lower]) + bytes(page[upper:])


def build_image() -> bytes:
    """Bootstrap on a volume in memory; returns the image file's content."""
    volume = MemoryVolume()
    storage = Storage(arena_kernel.Arena(_ARENA_FRAMES), volume)
    bootstrap(storage)
    volume.advance()
    parts = []
    for page_no in sorted(volume.pages):
        page = volume.pages[page_no]
        if any(page[_IMAGE_FROM:]):
            ops = image_ops(page)
            parts.append(_ENTRY.pack(page_no, len(ops)) + ops)
    body = zlib.compress(b"".join(parts), 6)
    return _HEADER.pack(_MAGIC, _FORMAT, google_crc32c.value(body), storage.superblock.rows_hash) + body


def read_image(data: bytes) -> list[tuple[int, bytes]]:
    """``(page number, IMAGE ops)`` of each page; XX001 when the bytes are not an image."""
    if len(data) < _HEADER.size:
        raise DataCorrupted("catalog image is cut off")
    magic, version, crc, _ = _HEADER.unpack_from(data)
    body = data[_HEADER.size :]
    if magic != _MAGIC or version != _FORMAT or google_crc32c.value(body) != crc:
        raise DataCorrupted("catalog image is damaged or of another version")
    content = zlib.decompress(body)
    pages = []
    at = 0
    while at < len(content):
        page_no, length = _ENTRY.unpack_from(content, at)
        at += _ENTRY.size
        pages.append((page_no, content[at : at + length]))
        at += length
    return pages


@cache
def source_hash() -> str:
    """Names the image that these sources build, as they were when this process first asked."""
    root = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for source in _SOURCES:
        path = root / source
        files = [path] if path.is_file() else sorted([*path.rglob("*.py"), *path.rglob("*.json")])
        for file in files:
            if "ddl" not in file.parts:
                digest.update(file.relative_to(root).as_posix().encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _folders() -> list[Path]:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return [_FOLDER, Path(cache) / "aurora-catalog"]


def load_image() -> bytes:
    """The image for these sources: kept from earlier, or built now and kept where that can be written."""
    name = f"{source_hash()}.bin"
    for folder in _folders():
        path = folder / name
        if path.is_file():
            data = path.read_bytes()
            read_image(data)
            return data
    data = build_image()
    keep_image(data, name)
    return data


@cache
def rows_hash() -> int:
    """Of this program's built-in rows. An instance asks when it starts: its files may be another program's by the time
    it becomes the writer, and it must not make the volume's rows theirs, nor look at them all for nothing."""
    name = f"{source_hash()}.bin"
    for folder in _folders():
        path = folder / name
        if path.is_file():
            with path.open("rb") as file:
                head = file.read(_HEADER.size)
            if len(head) == _HEADER.size and head[:8] == _MAGIC:
                return int(_HEADER.unpack(head)[3])
    return int(_HEADER.unpack_from(load_image())[3])


def keep_image(data: bytes, name: str) -> Path | None:
    """Write the image into the first folder that can be written; None when there is none, which costs a build a
    start."""
    for folder in _folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
                file.write(data)
                os.fchmod(file.fileno(), 0o644)
            os.replace(file.name, folder / name)
        except OSError:
            continue
        for old in folder.glob("*.bin"):
            if old.name != name:
                old.unlink(missing_ok=True)
        return folder / name
    return None


def install(volume: PagedVolume) -> int:
    """Append the image to the log of an empty volume, in a greenlet; returns the last LSN, durable on return."""
    pages = read_image(load_image())
    log = volume.log
    last = pending = 0
    volume.ensure_pages(max(page_no for page_no, _ in pages) + 1)
    for number, (page_no, ops) in enumerate(pages):
        if not pending:
            volume.reserve(_MTR_BYTES + PAGE_BYTES)
        pending += len(ops)
        complete = pending >= _MTR_BYTES or number == len(pages) - 1
        last = log.append(page_no, 0, ops, _FLAG_CPL if complete else 0)
        if complete:
            pending = 0
            volume.flush_soon("install")
    volume.wait_durable(Lsn(last))
    return int(last)


def image_files() -> dict[int, list[bytes]]:
    """The pages of each relation file of a new volume, by block."""
    volume = MemoryVolume()
    for page_no, ops in read_image(load_image()):
        volume.log.append(page_no, 0, ops, _FLAG_CPL)
    volume.advance()
    unwritten = bytes(PAGE_BYTES)
    files = file_pages(volume.pages)
    return {
        relfile: [bytes(volume.pages.get(page_no, unwritten)) for page_no in found] for relfile, found in files.items()
    }


if __name__ == "__main__":
    print(keep_image(build_image(), f"{source_hash()}.bin"))
