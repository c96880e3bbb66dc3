"""Temporary files: rows that a statement cannot keep in memory.

A file has no name: it is gone when it is closed, when the process ends, and after a crash. Its blocks are compressed
and encrypted (AES-256-GCM) with a key that only this process's memory has, so that what a cluster with encryption at
rest writes is not readable beside it.

::

    block, in the file:  AES-GCM( lz4( 'm' marshal(rows) | 'p' pickle(rows) ) ), nonce: a number that counts blocks

Where blocks are is kept in memory.
"""

from __future__ import annotations

import logging
import marshal
import os
import pickle
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import WeakKeyDictionary

import lz4.block

from aurora.datum import Datum, Row
from aurora.errors import ConfigurationLimitExceeded, DiskFull
from aurora.lazy import lazy
from compute_node.hub import HUB
from compute_node.work.account import KB, Account, Area, batch_bytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import aead
else:
    aead = lazy("cryptography.hazmat.primitives.ciphers.aead")

LOGGER = logging.getLogger(__name__)

BLOCK_BYTES: Final = 64 << 10
"""Rows are written when about that much of them is together."""
PARTITIONS: Final = 16
"""files that rows are divided among"""
LEVELS_MAX: Final = 5
"""So often is divided; what is larger then has too many rows of one key, and stays in memory."""

Batch = list[Row]

_nonces = count()


@cache
def _cipher() -> aead.AESGCM:
    """This process's own key, gone with it."""
    return aead.AESGCM(aead.AESGCM.generate_key(bit_length=256))


class TempCounts(Protocol):
    """What statistics count of temporary files, once they are gone."""

    temp_files: int
    temp_bytes: int


class TempUsage:
    """The temporary files of one session. ``limit_kb``: ``temp_file_limit``, -1 for none; ``log_kb``:
    ``log_temp_files``, -1 for never."""

    __slots__ = ("bytes", "counts", "limit_kb", "log_kb")

    def __init__(self) -> None:
        self.counts: TempCounts | None = None
        self.bytes = 0
        self.limit_kb = self.log_kb = -1


_DEFAULTS: dict[str, Any] = {
    "work_mem": 4096, "maintenance_work_mem": 65536, "hash_mem_multiplier": 2.0, "temp_file_limit": -1,
    "log_temp_files": -1, "default_toast_compression": "pglz", "aurora.column_batches": False,
}  # fmt: skip
_usages: WeakKeyDictionary[object, TempUsage] = WeakKeyDictionary()


def setting_of(session: object, name: str) -> Datum:
    """A session's setting of memory, files or storage; its default without a session."""
    settings = getattr(session, "settings", None)
    return _DEFAULTS[name] if settings is None else settings.get(name)


def temp_usage(session: object) -> TempUsage:
    """The session's temporary files, under its limits of now."""
    if session is None:
        return TempUsage()
    usage = _usages.get(session)
    if usage is None:
        usage = _usages[session] = TempUsage()
        usage.counts = getattr(getattr(session, "engine", None), "counts", None)
    usage.limit_kb, usage.log_kb = setting_of(session, "temp_file_limit"), setting_of(session, "log_temp_files")
    return usage


class TempStatistics:
    """Of all sessions, since the start."""

    def __init__(self) -> None:
        self.files = 0
        self.bytes = 0


TEMP_STATISTICS = TempStatistics()


def _dump(rows: Sequence[Row]) -> bytes:
    try:
        return b"m" + marshal.dumps(rows)  # type: ignore[arg-type]
    except ValueError:
        return b"p" + pickle.dumps(rows, 5)


def _load(data: bytes) -> Batch:
    rows: Batch = marshal.loads(data[1:]) if data[:1] == b"m" else pickle.loads(data[1:])
    return rows


class TempFile:
    """Blocks of rows, written one after the other and read by number. 53400 past ``temp_file_limit``."""

    __slots__ = ("__weakref__", "_account", "_fd", "_places", "_usage", "bytes", "rows")

    def __init__(self, account: Account, usage: TempUsage) -> None:
        self._fd = -1
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - the account closes it
        self._fd = os.dup(file.fileno())
        file.close()
        self._account, self._usage = account, usage
        self._places: list[tuple[int, int, int]] = []
        self.bytes = self.rows = 0
        TEMP_STATISTICS.files += 1
        account.own(self)

    def __len__(self) -> int:
        return len(self._places)

    def write(self, rows: Sequence[Row]) -> int:
        """Append a block; returns its number."""
        number = next(_nonces)
        data = _cipher().encrypt(number.to_bytes(12, "big"), lz4.block.compress(_dump(rows)), None)
        usage = self._usage
        if usage.limit_kb >= 0 and usage.bytes + len(data) > usage.limit_kb * KB:
            raise ConfigurationLimitExceeded(f"temporary file size exceeds temp_file_limit ({usage.limit_kb}kB)")
        view = memoryview(data)
        at = self.bytes
        while view:
            try:
                written = os.pwrite(self._fd, view, at)
            except OSError as error:
                raise DiskFull(f"could not write to a temporary file: {error.strerror}") from error
            at += written
            view = view[written:]
        self._places.append((self.bytes, len(data), number))
        self.bytes += len(data)
        self.rows += len(rows)
        usage.bytes += len(data)
        TEMP_STATISTICS.bytes += len(data)
        HUB.pulse()
        return len(self._places) - 1

    def read(self, block: int) -> Batch:
        """The rows of a block."""
        offset, length, number = self._places[block]
        data = os.pread(self._fd, length, offset)
        HUB.pulse()
        return _load(lz4.block.decompress(_cipher().decrypt(number.to_bytes(12, "big"), data, None)))

    def batches(self) -> Iterator[Batch]:
        """All rows, block by block."""
        for block in range(len(self._places)):
            yield self.read(block)

    def close(self) -> None:
        """The file is gone."""
        if self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1
        self._usage.bytes -= self.bytes
        counts = self._usage.counts
        if counts is not None:
            counts.temp_files += 1
            counts.temp_bytes += self.bytes
        self._account.disown(self)
        if 0 <= self._usage.log_kb * KB <= self.bytes:
            LOGGER.info("temporary file: size %d", self.bytes)

    def __del__(self) -> None:
        self.close()


class Writer:
    """Gathers rows until a block is full."""

    __slots__ = ("_bytes", "_pending", "file")

    def __init__(self, file: TempFile) -> None:
        self.file = file
        self._pending: Batch = []
        self._bytes = 0

    def add(self, rows: Batch, size: int) -> None:
        """Append rows that take ``size`` bytes in memory."""
        self._pending += rows
        self._bytes += size
        if self._bytes >= BLOCK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is gathered: in blocks of about the right size."""
        rows, size = self._pending, self._bytes
        self._pending, self._bytes = [], 0
        if not rows:
            return
        each = max(1, len(rows) * BLOCK_BYTES // max(size, BLOCK_BYTES))
        for start in range(0, len(rows), each):
            self.file.write(rows[start : start + each])


class Partitions:
    """Rows in ``len(files)`` files by a hash of their keys, to be worked on one file at a time."""

    __slots__ = ("_level", "files")

    def __init__(self, open_file: Callable[[], TempFile], number: int, level: int) -> None:
        self.files = [Writer(open_file()) for _ in range(number)]
        self._level = level

    def of(self, key: Datum) -> int:
        """The partition of a key; another one at each level."""
        return hash((self._level, hash(key))) % len(self.files)

    def add(self, keys: Sequence[Datum], rows: Sequence[Row]) -> None:
        """Put rows where their keys belong."""
        files = self.files
        parts: list[Batch] = [[] for _ in files]
        number, level = len(files), self._level
        for key, row in zip(keys, rows, strict=True):
            parts[hash((level, hash(key))) % number].append(row)
        for writer, part in zip(files, parts, strict=True):
            if part:
                writer.add(part, batch_bytes(part))

    def flush(self) -> None:
        """No more rows."""
        for writer in self.files:
            writer.flush()


class Tuplestore:
    """Rows in their order, in memory up to the area's limit, then in a file; read any number of times, also while rows
    are added."""

    __slots__ = ("_area", "_cached", "_ends", "_entries", "_file", "_kept", "_open_file")

    def __init__(self, area: Area, open_file: Callable[[], TempFile]) -> None:
        self._area, self._open_file = area, open_file
        self._entries: list[Batch | int] = []
        self._ends: list[int] = []
        self._kept = 0
        """entries before this one are in the file"""
        self._file: TempFile | None = None
        self._cached: tuple[int, Batch] = (-1, [])

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @property
    def spilled(self) -> bool:
        """Whether rows are in a file."""
        return self._file is not None

    def append(self, batch: Batch) -> None:
        """Add rows."""
        if not batch:
            return
        self._ends.append(len(self) + len(batch))
        self._entries.append(batch)
        if self._area.add(batch_bytes(batch)):
            file = self._file
            if file is None:
                file = self._file = self._open_file()
            for index in range(self._kept, len(self._entries)):
                entry = self._entries[index]
                if isinstance(entry, list):
                    self._entries[index] = file.write(entry)
            self._kept = len(self._entries)
            self._area.clear()

    def entry(self, index: int) -> Batch | None:
        """The ``index``-th batch that was added; None past the last."""
        if index >= len(self._entries):
            return None
        found = self._entries[index]
        if isinstance(found, list):
            return found
        if self._cached[0] != index and self._file is not None:
            self._cached = (index, self._file.read(found))
        return self._cached[1]

    def batches(self) -> Iterator[Batch]:
        """All rows, those too that are added meanwhile."""
        index = 0
        while (batch := self.entry(index)) is not None:
            yield batch
            index += 1

    def rows(self, start: int, stop: int) -> Batch:
        """The rows from ``start`` up to ``stop``, counted from 0."""
        start, stop = max(start, 0), min(stop, len(self))
        out: Batch = []
        index = bisect_right(self._ends, start)
        while start < stop:
            batch = self.entry(index) or []
            first = self._ends[index] - len(batch)
            out += batch[start - first : stop - first]
            start = self._ends[index]
            index += 1
        return out

    def close(self) -> None:
        """Give memory and file back."""
        self._entries, self._ends, self._cached = [], [], (-1, [])
        self._area.clear()
        if self._file is not None:
            self._file.close()
            self._file = None
