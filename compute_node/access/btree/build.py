"""Builds a B-tree over the rows that a table has: scan, sort by key bytes, unique check, bottom-up load.

scan ─► ``EntryRun`` ─ sort ─┬─ within ``maintenance_work_mem`` ──────────────► leaves, then the levels above
                             └─ past it: runs in files ─► merge ─► ``EntryRun`` ─┘
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from aurora.errors import UniqueViolation
from aurora.kernels.python.btree import TID_BYTES
from aurora.page import PAGE_BYTES
from compute_node.access.index_build import BATCH_ROWS, EntrySort, live_rows, take_turn
from compute_node.access.stored import resolved_row
from compute_node.txn.transaction import Txn

if TYPE_CHECKING:
    from aurora.kernels.python.btree import BTree
    from aurora.kernels.python.entries import EntryRun
    from compute_node.access.btree.index import BTreeIndex

PAGES_BYTES = 16 * PAGE_BYTES
"""Entries from files are cut into pages when so much of them is together."""


def build_tree(index: BTreeIndex, txn: Txn) -> None:
    """See ``IndexAccess.build``. Entries past ``maintenance_work_mem`` are sorted in files."""
    with EntrySort(txn) as sort:
        run = sort.run
        for rows in live_rows(txn, index):
            index.codec.gather(run, rows, None, None)
            index.writer.check_size(run.too_long)
            if sort.is_full(run.bytes) and len(run) > BATCH_ROWS:
                sort.spill()
            take_turn(txn)
        check = partial(_check_unique, txn, index) if index.unique else None
        index.writer.load(leaves(txn, index.tree, *sort.finish(), check), sort.area)


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
