"""Builds a B-tree over the rows that a table has: scan, sort by key bytes, unique check, bottom-up load.

scan ─► ``EntryRun`` ─ sort ─┬─ within ``maintenance_work_mem`` ──────────────► leaves, then the levels above
                             └─ past it: runs in files ─► merge ─► ``EntryRun`` ─┘
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from aurora.datum import Row
from aurora.errors import UniqueViolation
from aurora.kernels import entries as entries_kernel
from aurora.kernels.python.btree import TID_BYTES
from aurora.page import PAGE_BYTES
from compute_node.access.stored import resolved_row
from compute_node.hub import HUB
from compute_node.txn.transaction import Txn
from compute_node.work.account import KB, Account, Area
from compute_node.work.sorting import Sorter, itself
from compute_node.work.spill import TempFile, setting_of, temp_usage
from compute_node.work.workers import run_in_thread

if TYPE_CHECKING:
    from aurora.kernels.python.btree import BTree
    from aurora.kernels.python.entries import EntryRun
    from compute_node.access.btree.index import BTreeIndex
    from compute_node.access.index_access import IndexAccess

BATCH_ROWS = 2048
SORT_INLINE_MAX = 10_000
"""Entries that are sorted without a thread: that takes a millisecond or two."""
PAGES_BYTES = 16 * PAGE_BYTES
"""Entries from files are cut into pages when so much of them is together."""


def build_tree(index: BTreeIndex, txn: Txn) -> None:
    """See ``IndexAccess.build``. Entries past ``maintenance_work_mem`` are sorted in files."""
    account = Account()
    area = Area(account, setting_of(txn.session, "maintenance_work_mem") * KB)
    usage = temp_usage(txn.session)
    sorter = Sorter([(itself, False)], area, lambda: TempFile(account, usage), tuples=False)
    run: EntryRun = entries_kernel.EntryRun()
    try:
        charged = 0
        for rows in live_rows(txn, index):
            index.codec.gather(run, rows, None, None)
            index.writer.check_size(run.too_long)
            full = area.add(run.bytes - charged)
            charged = run.bytes
            if full and len(run) > BATCH_ROWS:
                sort_entries(run)
                sorter.add_run(entry_batches(run))
                run.clear()
                charged = 0
            take_turn(txn)
        sort_entries(run)
        more: Iterator[list[bytes]] = iter(())
        if sorter.file_bytes:
            sorter.add_run(entry_batches(run))
            run.clear()
            more = sorter.finish()
        check = partial(_check_unique, txn, index) if index.unique else None
        index.writer.load(leaves(txn, index.tree, run, more, check))
    finally:
        account.close()


def sort_entries(run: EntryRun) -> None:
    """Put a run in key order; many in a thread, which lets others run."""
    if len(run) > SORT_INLINE_MAX:
        run_in_thread(run.sort)
    else:
        run.sort()


def entry_batches(run: EntryRun) -> Iterator[list[bytes]]:
    """The items of a run, some at a time."""
    for start in range(0, len(run), BATCH_ROWS):
        yield run.items(start, start + BATCH_ROWS)
        HUB.pulse()


def leaves(
    txn: Txn,
    tree: BTree,
    run: EntryRun,
    more: Iterator[list[bytes]],
    check: Callable[[EntryRun], None] | None = None,
) -> Iterator[tuple[bytes, bytes]]:
    """The leaves of a sorted run, and of ``more`` items behind it: ``BTreeWriter.load`` takes them. ``check`` looks at
    the items that are together in memory."""
    if check is not None:
        check(run)
    at, block, is_all = 0, 1, False
    while True:
        take_turn(txn)
        end, image = tree.leaf_page(run, at, block + 1)
        if end == len(run) and not is_all:
            # It may be that what comes next belongs on this page.
            rest = run.items(at, end)
            run.clear()
            run.add(rest, False)
            at, is_all = 0, not _refill(run, more)
            if check is not None and not is_all:
                check(run)
            continue
        yield image, run.items(end, end + 1)[0] if end < len(run) else b""
        if end == len(run):
            return
        at, block = end, block + 1


def _refill(run: EntryRun, more: Iterator[list[bytes]]) -> bool:
    """Some pages' items more; whether there were any."""
    found = False
    for batch in more:
        run.add(batch, False)
        found = True
        if run.bytes > PAGES_BYTES:
            break
    return found


def take_turn(txn: Txn) -> None:
    """Others run, and a cancel ends the build."""
    check = getattr(txn.session, "check_interrupts", None)
    if check is not None:
        check()
    HUB.pulse()


def live_rows(txn: Txn, index: IndexAccess) -> Iterator[list[Row]]:
    """The keys of all live chains, each with its row's address."""
    table, keys = index.table, index.keys
    snapshot = table.storage.txns.latest_snapshot(txn)
    batch: list[Row] = []
    for rows in table.scan_blocks(snapshot, keys.columns, True, 0, None, True):
        if keys.is_plain:
            batch += rows
        else:
            for row in rows:
                key = keys.of(row[:-1])
                if key is not None:
                    batch.append((*key, row[-1]))
        if len(batch) >= BATCH_ROWS:
            yield batch
            batch = []
    yield batch


def _check_unique(txn: Txn, index: BTreeIndex, run: EntryRun) -> None:
    """23505 for a repeated key of a unique index. A run that was in files does not know which keys have NULLs."""
    nulls = index.desc.nulls_not_distinct
    at = run.equal_key(1, nulls)
    while at > 0:
        _report(txn, index, run.items(at, at + 1)[0])
        take_turn(txn)
        at = run.equal_key(at + 1, nulls)


def _report(txn: Txn, index: BTreeIndex, item: bytes) -> None:
    """Raise 23505 for a repeated key, unless it has NULLs, which are distinct."""
    desc, table = index.desc, index.table
    storage = table.storage
    tid = int.from_bytes(item[-TID_BYTES:], "big")
    every = table.projection(tuple(range(1, len(table.desc.columns) + 1)), False)
    snapshot = storage.txns.latest_snapshot(txn)
    while isinstance(row := table.heap.fetch_chain(snapshot, tid, every), int):
        storage.cache.load(row)
    if row is not None and table.toast is not None:
        row = resolved_row(row, every.eager)
    key = None if row is None else index.keys.of(row)
    if key is None or (None in key and not desc.nulls_not_distinct):
        return
    detail = (index.violation(key).detail or "").replace(" already exists.", " is duplicated.")
    raise UniqueViolation(
        f'could not create unique index "{desc.name}"',
        detail=detail,
        schema=table.desc.schema,
        table=table.desc.name,
        constraint=desc.name,
    )
