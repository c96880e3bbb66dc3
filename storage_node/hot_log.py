"""The hot log: batches as they were received, appended to files ``log-<n>``, synced once a turn.

Input: batch frames → output: ``Entry`` locations, and the batches again when they are read. A file holds frames of all
PGs one behind the other, nothing between them, and perhaps zeros behind the last (format of a frame: aurora/batch.py).
A file that has reached its size is closed; it is deleted when none of its entries is needed. At start all files are
read: a torn tail of the last one, which was never acknowledged, is cut; other damaged bytes are copied to
``damaged-<file>-<offset>`` and skipped, which leaves a gap that peers fill.
"""

from __future__ import annotations

import logging
import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence

from aurora import batch as frames
from aurora.batch import Batch, BatchCorrupt
from aurora.buggify import buggify
from aurora.errors import InvariantViolation
from aurora.medium import read_around
from aurora.seams import Disk
from storage_node.evidence import set_aside

SPARSE_BYTES = 500
"""A dict that takes so much memory an item has had many more: one that has only grown takes 110 at the most."""
CACHED_BATCH_BYTES = 640
"""What a batch in the cache takes besides its bytes: its object, its key, its place."""

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
        "raw_bytes",
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
        self.raw_bytes = batch.raw_bytes

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


class StorageFailed(Exception):
    """The log could not be synced: nothing further may be acknowledged."""


class HotLog:
    """The files and a cache of recent batches, ``cache_bytes`` of frames and decompressed records."""

    def __init__(self, disk: Disk, file_bytes: int, cache_bytes: int) -> None:
        self._disk = disk
        self._file_bytes = file_bytes
        self._cache_bytes = cache_bytes
        self._cache: OrderedDict[tuple[int, int], Batch] = OrderedDict()
        self._cached_bytes = 0
        self._sizes: dict[int, int] = {}
        self._live: dict[int, dict[int, Entry]] = {}
        self._current = 0
        self._unsynced: str | None = None
        self._failed = ""
        """Why a sync failed. The kernel says so once: a sync after it would succeed with nothing on the disk."""
        self.appended_batches = 0
        self.appended_bytes = 0
        self.damaged: set[int] = set()
        """Files with bytes in them that are no sound batch: what is needed of them is to be moved (``move``)."""
        self.held: set[int] = set()
        """Files that the backup reads from still (``storage_node/backup_kept.py``): not deleted."""

    @property
    def total_bytes(self) -> int:
        """Bytes in all files."""
        return sum(self._sizes.values())

    def load(self) -> Iterator[Entry]:
        """Read all files, from the medium; the entries in the order they were appended. Called once and read to its
        end, before anything else but ``release``: what is not needed takes memory for one file at a time. OSError when
        the last file cannot be synced.
        """
        numbers = sorted(int(name[4:]) for name in self._disk.list() if name.startswith("log-"))
        if numbers:
            # The process may have been killed between write and sync: what is claimed from here on must be durable.
            self._disk.sync(file_name(numbers[-1]))
        for number in numbers:
            name = file_name(number)
            # After a failed sync the system's cache may hold what the medium does not, and call it written.
            self._disk.uncache(name, 0, self._disk.size(name))
            data, lost_bytes = read_around(self._disk, name, 0, self._disk.size(name))
            found, end = self._load_file(number, data)
            if end == len(data):
                pass
            elif data.count(0, end) == len(data) - end:
                self._disk.truncate(name, end)  # space that was held ready
            elif number == numbers[-1] and not lost_bytes:
                logger.warning("%s: torn tail of %d bytes cut at %d", name, len(data) - end, end)
                self._disk.truncate(name, end)
            else:
                # A file is synced before it is closed: what was here may have been acknowledged.
                self._set_aside(number, data, end, len(data), "no sound batch to the file's end")
            self._sizes[number] = end
            self._live[number] = {entry.offset: entry for entry in found}
            yield from found
        self._current = numbers[-1] + 1 if numbers else 1

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
                self._set_aside(number, data, at, following, str(error))
                at = following
                continue
            found.append(Entry(batch, number, at))
            at += len(batch.frame)
            end = at
        return found, end

    def _set_aside(self, number: int, data: bytes, start: int, stop: int, reason: str) -> None:
        aside = set_aside(self._disk, file_name(number), start, data[start:stop])
        logger.error(
            "%s: %d damaged bytes at %d (%s), copied to %s; peers will be asked for the log that was there",
            file_name(number), stop - start, start, reason, aside or "nowhere",
        )  # fmt: skip
        self.damaged.add(number)

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
        """Write the frames in one go; durable after ``sync``. OSError when the disk refuses: nothing is appended.
        StorageFailed as in ``sync``.
        """
        self.check()
        held_bytes = self._sizes.get(self._current, 0)
        if held_bytes >= self._file_bytes or (held_bytes and buggify("hot-log-rolls-early")):
            self.roll()
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
        self.appended_batches += len(entries)
        self.appended_bytes += offset - entries[0].offset if entries else 0
        self._sizes[number] = offset
        self._live.setdefault(number, {}).update((entry.offset, entry) for entry in entries)
        return entries

    def roll(self) -> None:
        """Close the current file: what is appended next begins another."""
        self.sync()
        self._current += 1

    def sync(self) -> None:
        """Make all that was appended durable; StorageFailed is final: what the file holds is unknown from then on."""
        self.check()
        if self._unsynced is not None:
            try:
                self._disk.sync(self._unsynced)
            except OSError as error:
                self._failed = f"sync of the hot log: {error}"
                raise StorageFailed(self._failed) from error
            self._unsynced = None

    def check(self) -> None:
        """StorageFailed when a sync has failed."""
        if self._failed:
            raise StorageFailed(self._failed)

    def _remember(self, entry: Entry, batch: Batch) -> None:
        self._cache[(entry.file_no, entry.offset)] = batch
        self._cached_bytes += _cost(batch)
        while self._cached_bytes > self._cache_bytes and len(self._cache) > 1:
            _, old = self._cache.popitem(last=False)
            self._cached_bytes -= _cost(old)

    def _forget(self, entry: Entry) -> None:
        old = self._cache.pop((entry.file_no, entry.offset), None)
        if old is not None:
            self._cached_bytes -= _cost(old)

    def read(self, entry: Entry) -> Batch:
        """The batch as it was received; LogDamaged when the file does not hold it any more."""
        batch = self._cache.get((entry.file_no, entry.offset))
        if batch is None or buggify("hot-log-cache-misses"):
            self._forget(entry)
            batch = self.reread(entry)
            self._remember(entry, batch)
        return batch

    def reread(self, entry: Entry) -> Batch:
        """The batch as the file holds it, whatever the cache has; LogDamaged as in ``read``."""
        try:
            batch = frames.decode(self._disk.read(file_name(entry.file_no), entry.offset, entry.length))
        except (BatchCorrupt, OSError) as error:
            raise LogDamaged(entry, str(error)) from error
        self.compare(entry, batch)
        return batch

    @staticmethod
    def compare(entry: Entry, batch: Batch) -> None:
        """LogDamaged when the sound batch at the entry's place is not the entry's."""
        if (batch.pg, batch.epoch, batch.prev_lsn, batch.first_lsn, batch.last_lsn) != (
            entry.pg, entry.epoch, entry.prev_lsn, entry.first_lsn, entry.batch_last_lsn
        ):  # fmt: skip
            raise LogDamaged(entry, f"the file holds {batch!r}")

    def cached(self, entry: Entry) -> Batch | None:
        """The entry's batch as the cache has it, checksum verified once more."""
        batch = self._cache.get((entry.file_no, entry.offset))
        if batch is None:
            return None
        try:
            return frames.decode(batch.frame)
        except BatchCorrupt as error:
            logger.error("%r has decayed in memory: %s", entry, error)
            self._forget(entry)
            return None

    def release(self, entries: Sequence[Entry]) -> None:
        """These entries are not needed any more; ``collect`` deletes the files that hold no others."""
        for entry in entries:
            if self._live.get(entry.file_no, {}).pop(entry.offset, None) is not entry:
                raise InvariantViolation(f"{entry!r} is given up, but was not held")
            self._forget(entry)
        for number in {entry.file_no for entry in entries}:
            live = self._live[number]
            if sys.getsizeof(live) > SPARSE_BYTES * (len(live) + 1):
                self._live[number] = dict(live)  # a dict does not shrink, and the file may be held for long

    def collect(self) -> int:
        """Delete the closed files without live entries that are not held; returns how many."""
        needless = [number for number, live in self._live.items() if not live and number != self._current]
        dead = [number for number in needless if number not in self.held]
        for number in dead:
            self._disk.delete(file_name(number))
            del self._live[number], self._sizes[number]
            self.damaged.discard(number)
        return len(dead)

    # --- for the scrubber

    def files(self) -> list[int]:
        """Numbers of the files, oldest first."""
        return sorted(self._sizes)

    def size(self, number: int) -> int:
        """Where the file's last batch ends; 0 when the file is gone."""
        return self._sizes.get(number, 0)

    def live(self, number: int) -> Mapping[int, Entry]:
        """The file's needed entries by their offset."""
        return self._live.get(number, {})

    def is_current(self, number: int) -> bool:
        """Whether the next append may go to that file."""
        return number == self._current

    def move(self, moved: Sequence[tuple[Entry, Batch]]) -> None:
        """Write these entries' batches anew, at the log's end; the caller syncs. OSError as in ``append``."""
        copies = self.append([batch for _, batch in moved])
        for (entry, _), copy in zip(moved, copies, strict=True):
            del self._live[entry.file_no][entry.offset]
            self._forget(entry)
            entry.file_no, entry.offset = copy.file_no, copy.offset
            self._live[entry.file_no][entry.offset] = entry


def _cost(batch: Batch) -> int:
    return len(batch.frame) + batch.raw_bytes + CACHED_BATCH_BYTES
