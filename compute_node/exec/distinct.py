"""The first row of each set of equals, and what is in two sets, in bounded memory.

Keys are hashed; past the memory of a hash, rows whose key is new go to files by a hash of their key, and each file is
worked on by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from aurora.datum import Datum
from compute_node.exec.nodes.base import Batch
from compute_node.work.account import batch_bytes
from compute_node.work.spill import LEVELS_MAX, PARTITIONS, Partitions

if TYPE_CHECKING:
    from compute_node.exec.context import ExecContext

ENTRY_BYTES = 100
"""A key's place in a set or dict."""

Key = Callable[[Datum], Datum]


def distinct_rows(
    ctx: ExecContext, key: Key, source: Iterable[Batch], level: int = 0, known: Iterable[Batch] = ()
) -> Iterator[Batch]:
    """Rows with new keys, as they come; then those that had to wait in files. ``known``: rows with keys that were
    there before."""
    seen: set[Datum] = set()
    area = ctx.area(hashed=True)
    for batch in known:
        ctx.check()
        seen.update([key(row) for row in batch])
        area.add(batch_bytes(batch) + ENTRY_BYTES * len(batch))
    parts: Partitions | None = None
    for batch in source:
        ctx.check()
        rows = []
        if parts is not None:
            keys = [key(row) for row in batch]
            fresh = [number for number, value in enumerate(keys) if value not in seen]
            parts.add([keys[number] for number in fresh], [batch[number] for number in fresh])
            continue
        for row in batch:
            value = key(row)
            if value not in seen:
                seen.add(value)
                rows.append(row)
        if rows:
            if area.add(batch_bytes(rows) + ENTRY_BYTES * len(rows)) and level < LEVELS_MAX:
                parts = Partitions(ctx.open_file, PARTITIONS, level)
            yield rows
    area.clear()
    if parts is not None:
        del seen
        parts.flush()
        for writer in parts.files:
            yield from distinct_rows(ctx, key, writer.file.batches(), level + 1)
            writer.file.close()


def combined_rows(
    ctx: ExecContext,
    key: Key,
    left: Iterable[Batch],
    right: Iterable[list[Datum]],
    *,
    wanted: bool,
    keep_duplicates: bool,
    level: int = 0,
) -> Iterator[Batch]:
    """INTERSECT (``wanted``: what is on the right too) and EXCEPT (what is not), with ALL's counting of duplicates.
    ``right`` gives keys."""
    counts: Counter[Datum] = Counter()
    area = ctx.area(hashed=True)
    parts: Partitions | None = None
    for keys in right:
        ctx.check()
        if parts is not None:
            parts.add(keys, [(each,) for each in keys])
            continue
        before = len(counts)
        counts.update(keys)
        fresh = len(counts) - before
        each_bytes = batch_bytes([(item,) for item in keys[:1]]) + ENTRY_BYTES
        if fresh and area.add(each_bytes * fresh) and level < LEVELS_MAX:
            parts = Partitions(ctx.open_file, PARTITIONS, level)
            for chunk in _chunks(counts.elements()):
                parts.add(chunk, [(each,) for each in chunk])
                ctx.check()
            counts = Counter()
            area.clear()
    if parts is None:
        rows = _counted(ctx, key, left, counts, wanted, keep_duplicates)
        yield from rows if keep_duplicates else distinct_rows(ctx, key, rows, level)
        area.clear()
        return
    left_parts = Partitions(ctx.open_file, PARTITIONS, level)
    for batch in left:
        ctx.check()
        left_parts.add([key(row) for row in batch], batch)
    parts.flush()
    left_parts.flush()
    for mine, theirs in zip(left_parts.files, parts.files, strict=True):
        yield from combined_rows(
            ctx,
            key,
            mine.file.batches(),
            ([row[0] for row in batch] for batch in theirs.file.batches()),
            wanted=wanted,
            keep_duplicates=keep_duplicates,
            level=level + 1,
        )
        mine.file.close()
        theirs.file.close()


def _chunks(values: Iterable[Datum]) -> Iterator[list[Datum]]:
    source = iter(values)
    while chunk := list(islice(source, 1000)):
        yield chunk


def _counted(
    ctx: ExecContext, key: Key, left: Iterable[Batch], counts: Counter[Datum], wanted: bool, keep_duplicates: bool
) -> Iterator[Batch]:
    for batch in left:
        ctx.check()
        rows = []
        for row in batch:
            value = key(row)
            present = counts[value] > 0 if keep_duplicates else value in counts
            if present and keep_duplicates:
                counts[value] -= 1
            if present is wanted:
                rows.append(row)
        if rows:
            yield rows
