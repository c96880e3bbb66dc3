"""Which pages were written after what a reader had applied: when it becomes the writer, it keeps the others."""

from __future__ import annotations

import logging
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


async def changed_pages(volume: Volume, pg: int, after_lsn: int) -> set[int] | None:
    """The pages that the group's log in ``(after_lsn, VDL]`` touches; None when no node tells all of it."""
    upto_lsn = volume.recovered.pg_last[pg]
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
        found: set[int] = set()
        reached = after_lsn
        for each in batch.split(answer.frames):
            found.update(record[2] for record in redo.scan(each.records, each.prev_lsn) if record[0] > after_lsn)
            reached = max(reached, each.last_lsn)
        if reached >= upto_lsn:
            return found
    return None
