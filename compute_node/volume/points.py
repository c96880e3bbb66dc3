"""Restore points: the writer tells the nodes, once a second, the VDL and which LSN of each PG belongs to it.

A storage node that stages the backup cannot know by itself whether a PG's log is complete up to the VDL: it may lack
records that others have. With a restore point, whoever holds each PG's log up to the LSN named there can restore the
volume at any LSN up to that VDL. Nobody waits for it; a node that does not answer hears the next one.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import grpc.aio

from aurora.rpc import storage_pb2 as pb

if TYPE_CHECKING:
    from compute_node.volume.streams import NodeStream
    from compute_node.volume.volume import Volume

TIMEOUT_S = 2.0

logger = logging.getLogger(__name__)


class RestorePoints:
    """Tells every node of the volume; one message a node under way at a time."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._told_vdl: dict[int, int] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def tell(self) -> None:
        """Send the point to the nodes that do not know it yet."""
        volume = self._volume
        vdl = volume.core.vdl
        late = [
            stream
            for stream in volume.streams
            if self._told_vdl.get(stream.index, 0) < vdl and stream.index not in self._tasks
        ]
        if not late:
            return
        point = volume.requests.restore_point(volume.epoch, volume.core.pgmrpl, volume.core.tracker)
        for stream in late:
            self._tasks[stream.index] = volume.background(self._send(stream, point))

    async def _send(self, stream: NodeStream, point: pb.AdvanceRequest) -> None:
        try:
            await stream.calls.stub.Advance(point, timeout=TIMEOUT_S)
            self._told_vdl[stream.index] = point.vdl
        except grpc.aio.AioRpcError as error:
            logger.debug("restore point %d to %s: %s", point.vdl, stream.member.node_id, error.code().name)
        finally:
            del self._tasks[stream.index]
