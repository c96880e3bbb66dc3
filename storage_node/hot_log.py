"""The hot log: batches as they were received, appended to files ``log-<n>``, synced once a turn.

Input: batch frames → output: ``Entry`` locations, and the batches again when they are read. A file holds frames of all
PGs one behind the other, nothing between them, and perhaps zeros behind the last (format of a frame: aurora/batch.py).
A file that has reached its size is closed; it is deleted when none of its entries is needed. At start all files are
read: a torn tail is cut; damaged bytes with sound frames behind them are copied to ``damaged-<file>-<offset>`` and
skipped, which leaves a gap that peers fill.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence

from aurora import batch as frames
from aurora.batch import Batch, BatchCorrupt
from aurora.buggify import buggify
from aurora.errors import InvariantViolation
from aurora.seams import Disk

logger = logging.getLogger(__name__)


class Entry:
    """Where a batch lies, and what its header says. ``last_lsn`` and ``last_cpl`` leave out what is void."""

    __slots__ = (
        "batch_last_lsn",
        "epoch",
        "file_no",
        "first_lsn",
        "last_cpl",
        "last_lsn",
        "length",
        "offset",
        "pg",
        "prev_lsn",
    )

    def __init__(self, batch: Batch, file_no: int, offset: int) -> None:
        self.pg = batch.pg
        self.epoch = batch.epoch
        self.prev_lsn = batch.prev_lsn
        self.first_lsn = batch.first_lsn
        self.last_lsn = batch.last_lsn
        self.batch_last_lsn = batch.last_lsn
        self.last_cpl = batch.last_cpl
        self.file_no = file_no
        self.offset = offset
        self.length = len(batch.frame)

    def __repr__(self) -> str:
        where = f"{file_name(self.file_no)}@{self.offset}"
        return f"Entry(pg={self.pg}, {self.prev_lsn} < {self.first_lsn}..{self.last_lsn} in {where})"


class LogDamaged(InvariantViolation):
    """A batch read back from the hot log is not what was written; ``entry`` says which."""

    def __init__(self, entry: Entry, reason: str) -> None:
        super().__init__(f"{entry!r} is damaged: {reason}")
        self.entry = entry


def file_name(number: int) -> str:
    """Name of the hot log file of that number."""
    return f"log-{number:08d}"


class HotLog:
    """The files and a cache of recent batches, ``cache_bytes`` of frames and decompressed records."""

    def __init__(self, disk: Disk, file_bytes: int, cache_bytes: int) -> None:
        self._disk = disk
        self._file_bytes = file_bytes
        self._cache_bytes = cache_bytes
        self._cache: OrderedDict[tuple[int, int], Batch] = OrderedDict()
        self._cached_bytes = 0
        self._sizes: dict[int, int] = {}
        self._live: dict[int, int] = {}
        self._current = 0
        self._unsynced: str | None = None

    @property
    def total_bytes(self) -> int:
        """Bytes in all files."""
        return sum(self._sizes.values())

    def load(self) -> list[Entry]:
        """Read all files; the entries in the order they were appended. Called once, before anything else."""
        numbers = sorted(int(name[4:]) for name in self._disk.list() if name.startswith("log-"))
        entries: list[Entry] = []
        for number in numbers:
            name = file_name(number)
            data = self._disk.read(name, 0, self._disk.size(name))
            found, end = self._load_file(number, data)
            if end < len(data):
                if data.count(0, end) < len(data) - end:  # else it is space that was held ready
                    logger.warning("%s: torn tail of %d bytes cut at %d", name, len(data) - end, end)
                self._disk.truncate(name, end)
            self._sizes[number] = end
            self._live[number] = len(found)
            entries += found
        if numbers:
            # The process may have been killed between write and sync: what is claimed from here on must be durable.
            self._disk.sync(file_name(numbers[-1]))
        self._current = numbers[-1] + 1 if numbers else 1
        return entries

    def _load_file(self, number: int, data: bytes) -> tuple[list[Entry], int]:
        found: list[Entry] = []
        at, end = 0, 0
        while at < len(data):
            try:
                batch = frames.decode(data, at)
            except BatchCorrupt as error:
                following = self._next_sound(data, at + 1)
                if following is None:
                    break
                aside = f"damaged-{file_name(number)}-{at}"
                self._disk.write_atomic(aside, data[at:following])
                logger.error(
                    "%s: %d damaged bytes at %d (%s), copied to %s; peers will be asked for the log that was there",
                    file_name(number), following - at, at, error, aside,
                )  # fmt: skip
                at = following
                continue
            found.append(Entry(batch, number, at))
            at += len(batch.frame)
            end = at
        return found, end

    @staticmethod
    def _next_sound(data: bytes, start: int) -> int | None:
        at = data.find(frames.MAGIC, start)
        while at >= 0:
            try:
                frames.decode(data, at)
            except BatchCorrupt:
                at = data.find(frames.MAGIC, at + 1)
            else:
                return at
        return None

    def append(self, batches: Sequence[Batch]) -> list[Entry]:
        """Write the frames in one go; durable after ``sync``. OSError when the disk refuses: nothing is appended."""
        held_bytes = self._sizes.get(self._current, 0)
        if held_bytes >= self._file_bytes or (held_bytes and buggify("hot-log-rolls-early")):
            self.sync()
            self._current += 1
        number = self._current
        name = file_name(number)
        offset = self._disk.append(name, [batch.frame for batch in batches])
        self._unsynced = name
        entries = []
        for batch in batches:
            entry = Entry(batch, number, offset)
            offset += entry.length
            entries.append(entry)
            self._remember(entry, batch)
        self._sizes[number] = offset
        self._live[number] = self._live.get(number, 0) + len(entries)
        return entries

    def sync(self) -> None:
        """Make all that was appended durable; OSError is final: what the file holds is unknown from then on."""
        if self._unsynced is not None:
            self._disk.sync(self._unsynced)
            self._unsynced = None

    def _remember(self, entry: Entry, batch: Batch) -> None:
        self._cache[(entry.file_no, entry.offset)] = batch
        self._cached_bytes += entry.length + batch.raw_bytes
        while self._cached_bytes > self._cache_bytes and len(self._cache) > 1:
            _, old = self._cache.popitem(last=False)
            self._cached_bytes -= len(old.frame) + old.raw_bytes

    def read(self, entry: Entry) -> Batch:
        """The batch as it was received; LogDamaged when the file does not hold it any more."""
        batch = self._cache.get((entry.file_no, entry.offset))
        if batch is not None and not buggify("hot-log-cache-misses"):
            return batch
        try:
            batch = frames.decode(self._disk.read(file_name(entry.file_no), entry.offset, entry.length))
        except (BatchCorrupt, FileNotFoundError) as error:
            raise LogDamaged(entry, str(error)) from error
        if (batch.pg, batch.first_lsn, batch.last_lsn) != (entry.pg, entry.first_lsn, entry.batch_last_lsn):
            raise LogDamaged(entry, f"the file holds {batch!r}")
        self._remember(entry, batch)
        return batch

    def release(self, entries: Sequence[Entry]) -> None:
        """These entries are not needed any more; ``collect`` deletes the files that hold no others."""
        for entry in entries:
            self._live[entry.file_no] -= 1
            old = self._cache.pop((entry.file_no, entry.offset), None)
            if old is not None:
                self._cached_bytes -= entry.length + old.raw_bytes

    def collect(self) -> int:
        """Delete the closed files without live entries; returns how many."""
        dead = [number for number, live in self._live.items() if not live and number != self._current]
        for number in dead:
            self._disk.delete(file_name(number))
            del self._live[number], self._sizes[number]
        return len(dead)
