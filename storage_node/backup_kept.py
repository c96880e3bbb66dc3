"""Log that is collected but not staged yet: where it lies in the hot log's files, in runs.

::

    Entry ─ add ─► run: (prev_lsn, last_lsn] of one PG in one file ─ read ─► batches ─► the next log object
                   … drop: staged by some node; give_up: the file is given up; evacuate: moved out of a damaged file

There may be millions of batches when the object store is away, so none has an object here: a run is the offsets of up
to ``RUN_ENTRIES`` batches that follow each other, four bytes each. A file that holds a run is ``HotLog.held``, its
entries are released. All of it counts in the node's index memory (``index_bytes``).

Invariants: a PG's runs are in LSN order; the runs of a file are all that holds it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from operator import attrgetter

from aurora import batch as frames
from aurora.batch import Batch, BatchCorrupt
from aurora.errors import InvariantViolation
from aurora.seams import Disk
from storage_node.hot_log import Entry, HotLog, file_name

RUN_ENTRIES = 256
RUN_BYTES = 512 << 10
"""A run takes no more batches when it has so many bytes."""
RUN_COST_BYTES = 400
OFFSET_COST_BYTES = 5
"""Memory of a run, and of each batch in it: a u32, with what the array holds ready."""
PEEK_BYTES = 1 << 10
"""Read of a batch whose length is not known yet."""

last_lsn_of = attrgetter("last_lsn")


class KeptDamaged(InvariantViolation):
    """A batch that was kept cannot be read back from its file."""

    def __init__(self, file_no: int, reason: str) -> None:
        super().__init__(f"{file_name(file_no)}, kept for the backup: {reason}")
        self.file_no = file_no


class Run:
    """Batches of one PG in one file, each of which follows the one before: the chain's records in
    ``(prev_lsn, last_lsn]``.
    """

    __slots__ = ("closed", "file_no", "last_lsn", "length", "offsets", "pg", "prev_lsn")

    def __init__(self, entry: Entry) -> None:
        self.pg = entry.pg
        self.file_no = entry.file_no
        self.prev_lsn = self.last_lsn = entry.prev_lsn
        self.offsets = array("I")
        self.length = 0
        self.closed = False
        """The last batch has void records behind ``last_lsn``, so no other can follow in this run."""
        self.take(entry)

    def follows(self, entry: Entry) -> bool:
        """Whether the entry can be the run's next one."""
        return (
            entry.prev_lsn == self.last_lsn
            and entry.file_no == self.file_no
            and not self.closed
            and len(self.offsets) < RUN_ENTRIES
            and self.length < RUN_BYTES
        )

    def take(self, entry: Entry) -> None:
        """Make it the run's last one."""
        self.offsets.append(entry.offset)
        self.length += entry.length
        self.last_lsn = entry.last_lsn
        self.closed = entry.last_lsn < entry.batch_last_lsn


class KeptLog:
    """What one node keeps for the backup, of all PGs."""

    def __init__(self, disk: Disk, log: HotLog) -> None:
        self._disk = disk
        self._log = log
        self._pgs: dict[int, list[Run]] = {}
        self._files: dict[int, dict[int, int]] = {}
        """File → PG → number of runs."""
        self._runs = self._entries = 0
        self.bytes = 0
        """Log in the runs."""

    @property
    def index_bytes(self) -> int:
        """Memory that the runs take."""
        return self._runs * RUN_COST_BYTES + self._entries * OFFSET_COST_BYTES

    def of(self, pg: int) -> list[Run]:
        """The PG's runs, in LSN order."""
        return self._pgs.get(pg, [])

    def files(self) -> list[int]:
        """Files that hold a run, oldest first."""
        return sorted(self._files)

    def only_files(self) -> list[int]:
        """Files that are there for the backup alone, oldest first."""
        log = self._log
        return [number for number in self.files() if not log.live(number) and not log.is_current(number)]

    def add(self, entry: Entry) -> None:
        """Keep the batch; its entry can be released."""
        runs = self._pgs.setdefault(entry.pg, [])
        at = len(runs)
        if runs and entry.last_lsn <= runs[-1].last_lsn:
            at = bisect_right(runs, entry.last_lsn, key=last_lsn_of)
            near = runs[max(0, at - 1) : at + 1]
            if any(run.prev_lsn <= entry.prev_lsn and entry.last_lsn <= run.last_lsn for run in near):
                return  # a copy
        if at and runs[at - 1].follows(entry):
            runs[at - 1].take(entry)
            self._entries += 1
            self.bytes += entry.length
        else:
            runs.insert(at, run := Run(entry))
            self._count(run, 1)

    def _count(self, run: Run, sign: int) -> None:
        """``sign``: 1 when the run comes, -1 when it goes."""
        self._runs += sign
        self._entries += sign * len(run.offsets)
        self.bytes += sign * run.length
        held = self._files.setdefault(run.file_no, {})
        held[run.pg] = held.get(run.pg, 0) + sign
        if not held[run.pg]:
            del held[run.pg]
        if held:
            self._log.held.add(run.file_no)
        else:
            del self._files[run.file_no]
            self._log.held.discard(run.file_no)

    def drop(self, pg: int, upto_lsn: int) -> bool:
        """Runs that end at or below the LSN are not needed; whether there were any."""
        runs = self.of(pg)
        n = bisect_right(runs, upto_lsn, key=last_lsn_of)
        for run in runs[:n]:
            self._count(run, -1)
        del runs[:n]
        return n > 0

    def forget(self, pg: int) -> None:
        """Nothing of the PG is needed."""
        for run in self._pgs.pop(pg, ()):
            self._count(run, -1)

    def give_up(self, number: int) -> dict[int, int]:
        """Nothing in that file is needed; PG → the highest LSN that it held of it."""
        gone = {}
        for pg, count in list(self._files.get(number, {}).items()):
            runs = self._pgs[pg]
            doomed = runs[:count]
            if all(run.file_no == number for run in doomed):
                del runs[:count]  # as a rule: the oldest file has the oldest runs
            else:
                doomed = [run for run in runs if run.file_no == number]
                self._pgs[pg] = [run for run in runs if run.file_no != number]
            for run in doomed:
                self._count(run, -1)
            gone[pg] = doomed[-1].last_lsn
        return gone

    def read(self, run: Run, after_lsn: int) -> Iterator[Batch]:
        """The run's batches that end above the LSN, without void records. KeptDamaged."""
        first = 0
        if run.prev_lsn < after_lsn:
            first = bisect_right(run.offsets, after_lsn, key=lambda offset: self._batch(run, offset).last_lsn)
        for offset in run.offsets[first:]:
            batch = frames.clip(self._batch(run, offset), run.last_lsn)
            if batch is not None:
                yield batch

    def _batch(self, run: Run, offset: int) -> Batch:
        name = file_name(run.file_no)
        try:
            data = self._disk.read(name, offset, PEEK_BYTES)
            length = frames.frame_bytes(data)
            if length > len(data):
                data += self._disk.read(name, offset + len(data), length - len(data))
            batch = frames.decode(data)
        except (BatchCorrupt, OSError) as error:
            raise KeptDamaged(run.file_no, f"nothing sound at {offset}: {error}") from error
        if batch.pg != run.pg or not run.prev_lsn <= batch.prev_lsn < run.last_lsn:
            wanted = f"{run.prev_lsn} to {run.last_lsn} of PG {run.pg}"
            raise KeptDamaged(run.file_no, f"{batch!r} at {offset} is not of {wanted}")
        return batch

    def evacuate(self, number: int, bytes_max: int) -> list[KeptDamaged]:
        """Write some of a damaged file's runs anew, at the log's end; the caller syncs. Returns why what could not be
        read is gone. OSError when the disk refuses.
        """
        lost: list[KeptDamaged] = []
        moved_bytes = 0
        for pg in list(self._files.get(number, ())):
            for run in [run for run in self._pgs[pg] if run.file_no == number]:
                if moved_bytes >= bytes_max:
                    return lost
                moved_bytes += run.length
                self._move(run, lost)
        return lost

    def _move(self, run: Run, lost: list[KeptDamaged]) -> None:
        sound = []
        for offset in run.offsets:
            try:
                sound.append(self._batch(run, offset))
            except KeptDamaged as error:
                lost.append(error)
        copies = self._log.append(sound) if sound else []
        self._pgs[run.pg].remove(run)
        self._count(run, -1)
        for entry in copies:
            entry.last_lsn = min(entry.last_lsn, run.last_lsn)
            self.add(entry)
        self._log.release(copies)
