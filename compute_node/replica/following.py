"""A reader's connection to the writer: one ``Follow`` stream, kept up by whoever owns it.

::

    connect ─► introduces itself ─► Begin | Moved
    then: Log and topology come, what the reader needs goes back every ``TELL_S``
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import monotonic
from typing import Final

from aurora.ids import Lsn
from aurora.rpc import compute_pb2 as cpb
from aurora.rpc.stream import GrpcStream, open_stream
from aurora.rpc.tls import INSTANCE_NAME
from compute_node.replica.messages import to_proto
from compute_node.replica.service import FOLLOW
from compute_node.replica.topology import InstanceState

LOGGER = logging.getLogger(__name__)

TELL_S: Final = 0.1
CONNECT_TIMEOUT_S: Final = 1.0
BEGIN_TIMEOUT_S: Final = 5.0
SILENT_S: Final = 2.0
"""The lease: a writer that has said nothing for so long is not there for this reader."""


class Moved(Exception):
    """The instance is not the writer; ``address`` is where it thinks that one is, may be empty. Or it is, and has a
    ``problem`` with this reader."""

    def __init__(self, address: str, problem: str = "") -> None:
        super().__init__(problem or address or "nobody writes")
        self.address = address
        self.problem = problem


class Following:
    """One stream. ``on_log`` and ``on_topology`` get what comes, ``on_end`` why it ended, once."""

    def __init__(
        self,
        me: Callable[[], InstanceState],
        on_log: Callable[[cpb.Log], None],
        on_topology: Callable[[cpb.Topology], None],
        on_descriptor: Callable[[bytes], None],
        on_end: Callable[[str], None],
    ) -> None:
        self._me = me
        self._on_log, self._on_topology, self._on_descriptor, self._on_end = on_log, on_topology, on_descriptor, on_end
        self._stream: GrpcStream | None = None
        self._begun: asyncio.Future[cpb.Begin] = asyncio.get_running_loop().create_future()
        self._heard_s = monotonic()
        self._telling: asyncio.Task[None] | None = None
        self._paused = False
        self.writer_address = ""

    async def connect(
        self, host: str, port: int, resume_lsn: Lsn, row_horizon: Lsn, volume_id: bytes = b""
    ) -> cpb.Begin:
        """Open the stream and wait for its beginning; ``volume_id`` as far as it is known. ConnectionError; Moved."""
        self.writer_address = f"{host}:{port}"
        stream = self._stream = await open_stream(
            self.writer_address, FOLLOW, self._received, self._closed, CONNECT_TIMEOUT_S, name=INSTANCE_NAME
        )
        request = cpb.FollowRequest(resume_lsn=resume_lsn, row_horizon=row_horizon, volume_id=volume_id)
        request.self.CopyFrom(to_proto(self._me()))
        stream.send(request.SerializeToString())
        try:
            async with asyncio.timeout(BEGIN_TIMEOUT_S):
                return await self._begun
        except TimeoutError:
            self.close()
            raise ConnectionError(f"the instance at {self.writer_address} takes no reader") from None
        except asyncio.CancelledError:
            self.close()
            raise

    def _received(self, message: bytes) -> None:
        reply = cpb.FollowReply.FromString(message)
        self._heard_s = monotonic()
        kind = reply.WhichOneof("body")
        if kind == "log":
            self._on_log(reply.log)
        elif kind == "topology":
            self._on_topology(reply.topology)
        elif kind == "descriptor":
            self._on_descriptor(reply.descriptor)
        elif kind == "begin" and not self._begun.done():
            self._begun.set_result(reply.begin)
        elif kind == "moved" and not self._begun.done():
            self._begun.set_exception(Moved(reply.moved.writer_feed_address, reply.moved.problem))
            self.close()

    def _closed(self, reason: str) -> None:
        self._stream = None
        if not self._begun.done():
            self._begun.set_exception(ConnectionError(reason))
            return
        self._over(reason)

    def _over(self, reason: str) -> None:
        on_end, self._on_end = self._on_end, lambda _: None
        self.close()
        on_end(reason)

    def keep_telling(self, needs: Callable[[], tuple[Lsn, Lsn]]) -> None:
        """Tell the writer regularly how far this reader is and what it needs: (row horizon, read point)."""
        self._telling = asyncio.ensure_future(self._tell(needs))

    async def _tell(self, needs: Callable[[], tuple[Lsn, Lsn]]) -> None:
        while self._stream is not None:
            if not self._paused and monotonic() - self._heard_s > SILENT_S:
                self._over(f"the writer has been silent for {SILENT_S:g} s")
                return
            row_horizon, read_point = needs()
            me = self._me()
            request = cpb.FollowRequest(applied_lsn=me.applied_lsn, row_horizon=row_horizon, read_point=read_point)
            request.self.CopyFrom(to_proto(me))
            self._stream.send(request.SerializeToString())
            await asyncio.sleep(TELL_S)

    def pause(self, much: bool) -> None:
        """Read nothing until there is less to do; the writer keeps what does not fit on the way."""
        if self._stream is not None:
            self._stream.pause(much)
            self._paused, self._heard_s = much, monotonic()

    def close(self) -> None:
        """End the stream; nothing is told."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        if self._telling is not None and self._telling is not asyncio.current_task():
            self._telling.cancel()
