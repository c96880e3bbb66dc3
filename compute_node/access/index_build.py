"""What the builds of all indexes share: the rows of the table, and a sort of entries in bounded memory.

scan ─► ``EntrySort.run`` ─ sort ─┬─ within ``maintenance_work_mem`` ─► the run
                                  └─ past it: runs in files ─► merge ─► batches
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aurora.datum import Row
from aurora.kernels import entries as entries_kernel
from compute_node.hub import HUB
from compute_node.txn.transaction import Txn
from compute_node.work.account import KB, Account, Area
from compute_node.work.progress import CreateIndex, Progress
from compute_node.work.sorting import Sorter, itself
from compute_node.work.spill import TempFile, setting_of, temp_usage
from compute_node.work.workers import run_in_thread

if TYPE_CHECKING:
    from aurora.kernels.python.entries import EntryRun
    from compute_node.access.index_access import IndexAccess

BATCH_ROWS = 2048
SORT_INLINE_MAX = 10_000
"""Entries that are sorted without a thread: that takes a millisecond or two."""
PARENT_BYTES = 48
"""What an entry of the level above takes in memory, beside its bytes."""


class EntrySort:
    """The entries of a new index, sorted by their bytes. What it keeps in memory (``area``) and in files is gone at the
    end of the context."""

    def __init__(self, txn: Txn) -> None:
        account = self._account = Account()
        self.area = Area(account, setting_of(txn.session, "maintenance_work_mem") * KB)
        usage = temp_usage(txn.session)
        self._sorter = Sorter([(itself, False)], self.area, lambda: TempFile(account, usage), tuples=False)
        self._counted = 0
        self.run: EntryRun = entries_kernel.EntryRun()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._account.close()

    def is_full(self, size: int) -> bool:
        """What is kept for entries that are not in a file takes ``size`` bytes by now; whether that is more than it
        should."""
        full = self.area.add(size - self._counted)
        self._counted = size
        return full

    def spill(self) -> None:
        """Move the run to a file."""
        _sort(self.run)
        self._sorter.add_run(_batches(self.run))  # which clears the area
        self.run.clear()
        self._counted = 0

    def finish(self) -> tuple[EntryRun, Iterator[list[bytes]]]:
        """All entries in order: those in memory, and batches behind them."""
        if self._sorter.file_bytes:
            self.spill()
            return self.run, self._sorter.finish()
        _sort(self.run)
        return self.run, iter(())

    def batches(self) -> Iterator[list[bytes]]:
        """The same, all in batches."""
        run, more = self.finish()
        yield from _batches(run)
        yield from more


def _sort(run: EntryRun) -> None:
    """Many in a thread, which lets others run."""
    if len(run) > SORT_INLINE_MAX:
        run_in_thread(run.sort)
    else:
        run.sort()


def _batches(run: EntryRun) -> Iterator[list[bytes]]:
    for start in range(0, len(run), BATCH_ROWS):
        yield run.items(start, start + BATCH_ROWS)
        HUB.pulse()


def take_turn(txn: Txn) -> None:
    """Others run, and a cancel ends the build."""
    check = getattr(txn.session, "check_interrupts", None)
    if check is not None:
        check()
    HUB.pulse()


def live_rows(txn: Txn, index: IndexAccess) -> Iterator[list[Row]]:
    """The keys of all live chains, each with its row's address."""
    table, keys, built = index.table, index.keys, index.built
    snapshot = table.storage.txns.latest_snapshot(txn)
    progress: Progress | None = getattr(txn.session, "progress", None)
    told = progress if progress is not None and progress.command == "CREATE INDEX" else Progress("CREATE INDEX", 0)
    batch: list[Row] = []
    for rows in table.scan_blocks(snapshot, keys.columns, True, 0, None, True):
        built.rows += len(rows)
        told.add(CreateIndex.ROWS, len(rows))
        if keys.is_plain:
            batch += rows
        else:
            for row in rows:
                key = keys.of(row[:-1])
                if key is not None:
                    batch.append((*key, row[-1]))
        if len(batch) >= BATCH_ROWS:
            built.entries += len(batch)
            yield batch
            batch = []
    built.entries += len(batch)
    yield batch
