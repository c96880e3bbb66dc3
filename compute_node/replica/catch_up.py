"""Log from storage: what a reader has not applied when its stream does not go on from there.

When a reader becomes the writer, it keeps the pages of its cache that were not written after what it had applied
(``changed_pages``). When it follows another writer, which no longer has the log in between, it reads that from the
storage nodes and applies it as if the stream had brought it (``missing_log``).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import grpc.aio

from aurora import batch
from aurora.kernels import redo
from compute_node.volume.recovery import SendFetch

if TYPE_CHECKING:
    from compute_node.volume.volume import Volume

FETCH_BYTES_MAX: Final = 64 << 20
"""Reading more log than this costs more than reading the pages anew."""

LOGGER = logging.getLogger(__name__)


async def _fetch(volume: Volume, pg: int, after_lsn: int, upto_lsn: int) -> list[batch.Batch] | None:
    """The group's log in ``(after_lsn, upto_lsn]``, in order and without a gap; None when no node tells all of it."""
    if upto_lsn - after_lsn > FETCH_BYTES_MAX:
        return None
    for stream in volume.streams:
        effect = SendFetch(0, stream.index, pg, after_lsn, upto_lsn)
        try:
            answer = await stream.calls.fetch(effect)
        except (grpc.aio.AioRpcError, ConnectionError) as error:
            LOGGER.info("log of protection group %d from %s: %s", pg, stream.member.node_id, error)
            continue
        if answer.collected:
            continue
        found, reached = [], after_lsn
        for each in sorted(batch.split(answer.frames), key=lambda each: each.first_lsn):
            if each.last_lsn <= reached:
                continue
            if each.prev_lsn > reached:
                break
            found.append(each)
            reached = each.last_lsn
        if reached >= upto_lsn:
            return found
    return None


async def changed_pages(volume: Volume, pg: int, after_lsn: int) -> set[int] | None:
    """The pages that the group's log in ``(after_lsn, VDL]`` touches; None when no node tells all of it."""
    batches = await _fetch(volume, pg, after_lsn, volume.recovered.pg_last[pg])
    if batches is None:
        return None
    return {record[2] for each in batches for record in redo.scan(each.records, each.prev_lsn) if record[0] > after_lsn}


async def missing_log(
    volume: Volume, applied: Mapping[int, int], wanted: Mapping[int, int]
) -> list[tuple[int, int, int, int, bytes]] | None:
    """Runs ``(pg, prev_lsn, first_lsn, last_lsn, records)`` from each group's ``applied`` LSN to the ``wanted`` one;
    None when some of it is not to be had, or is too much."""
    if sum(max(0, last - applied.get(pg, 0)) for pg, last in wanted.items() if applied.get(pg)) > FETCH_BYTES_MAX:
        return None
    runs: list[tuple[int, int, int, int, bytes]] = []
    for pg, last in wanted.items():
        after = applied.get(pg, 0)
        if last <= after:
            continue
        batches = await _fetch(volume, pg, after, last)
        if batches is None or (batches and batches[-1].last_lsn > last):
            return None
        runs += [(pg, each.prev_lsn, each.first_lsn, each.last_lsn, each.records) for each in batches]
    return runs
