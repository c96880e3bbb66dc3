"""Page reads of one node: on a stream of its own to the node's log port, else by the contract's unary call.

::

    ask(request) ─► stream up: request with an id, written in this turn of the loop ─► answered(reply)
                 └ none yet: ReadPages by grpc.aio; meanwhile Status names the port, and the stream is opened

``grpc.aio`` costs about 0.4 ms a read on each side (docs/decisions/page-reads.md). What is asked is answered exactly
once, with a reply or with None; who has lost interest ignores it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import grpc
import grpc.aio

from aurora.rpc import storage_pb2 as pb
from aurora.rpc.stream import GrpcStream, open_stream

if TYPE_CHECKING:
    from aurora.rpc.storage_pb2_grpc import StorageStub


METHOD: Final = "/aurora.storage.v1.Storage/ReadStream"
ATTEMPT_TIMEOUT_S: Final = 2.0
"""A node that has not answered by then has failed; its stream is given up."""
RECONNECT_S: Final = 1.0
"""Between two attempts to have a stream."""
MUTE_PAUSE_S: Final = 60.0
"""The same after a stream that never answered anything: something else listens there as seen from here."""
PENDING_MAX: Final = 1024
"""Requests that may be unanswered on one stream; further ones fail at once, and another node is asked."""

Answered = Callable[[pb.ReadPagesReply | None], None]
"""Takes the reply, None for a failure."""

logger = logging.getLogger(__name__)


class ReadChannel:
    """One node's. ``stub`` serves what the stream cannot; it belongs to the caller."""

    def __init__(self, address: str, stub: StorageStub) -> None:
        self.problem = ""
        """Why the last attempt failed."""
        self._address = address
        self._stub = stub
        self._stream: GrpcStream | None = None
        self._next_id = 1
        self._pending: dict[int, tuple[Answered, float]] = {}
        self._connecting: asyncio.Task[None] | None = None
        self._not_before_s = 0.0
        self._answers = False
        """Whether the stream has ever answered."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def streaming(self) -> bool:
        """Whether reads go over the stream."""
        return self._stream is not None

    def ask(self, request: pb.ReadPagesRequest, answered: Answered) -> None:
        """Send a request; ``answered`` is called once, never before this returns."""
        loop = asyncio.get_running_loop()
        if self._closed:
            loop.call_soon(answered, None)
            return
        now = loop.time()
        if self._stream is not None and self._pending:
            _, since = next(iter(self._pending.values()))
            if now - since > ATTEMPT_TIMEOUT_S:
                self._end("the node does not answer")
                self._not_before_s = now + (RECONNECT_S if self._answers else MUTE_PAUSE_S)
        stream = self._stream
        if stream is None:
            if self._connecting is None and now >= self._not_before_s:
                self._not_before_s = now + RECONNECT_S
                self._connecting = loop.create_task(self._connect())
            task = loop.create_task(self._unary(request, answered))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif len(self._pending) >= PENDING_MAX:
            self.problem = f"{PENDING_MAX} reads wait for an answer"
            loop.call_soon(answered, None)
        else:
            request.request_id = number = self._next_id
            self._next_id = number + 1
            self._pending[number] = answered, now
            stream.send(request.SerializeToString())

    async def _unary(self, request: pb.ReadPagesRequest, answered: Answered) -> None:
        reply = None
        try:
            reply = await self._stub.ReadPages(request, timeout=ATTEMPT_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            self.problem = f"{error.code().name}: {error.details()}"
            logger.debug("page read from %s: %s", self._address, self.problem)
        finally:
            answered(reply)

    async def _connect(self) -> None:
        try:
            status = await self._stub.Status(pb.StatusRequest(), timeout=ATTEMPT_TIMEOUT_S)
            if status.log_port:
                address = f"{self._address.rpartition(':')[0]}:{status.log_port}"
                self._answers = False
                self._stream = await open_stream(address, METHOD, self._on_message, self._end)
        except grpc.aio.AioRpcError as error:
            self.problem = f"{error.code().name}: {error.details()}"
        except ConnectionError as error:
            self.problem = str(error)
            logger.info("page reads of %s: log port: %s", self._address, error)
        finally:
            self._connecting = None

    def _on_message(self, data: bytes) -> None:
        self._answers = True
        reply = pb.ReadPagesReply.FromString(data)
        answered, _ = self._pending.pop(reply.request_id, (None, 0.0))
        if answered is None:
            return
        if reply.error:
            self.problem = reply.error
            logger.debug("page read from %s: %s", self._address, reply.error)
        answered(None if reply.error else reply)

    def _end(self, reason: str) -> None:
        """The stream has ended, or is given up: what waits on it has failed."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        self.problem = reason
        pending, self._pending = self._pending, {}
        for answered, _ in pending.values():
            asyncio.get_running_loop().call_soon(answered, None)

    async def close(self) -> None:
        """End the stream; what is unanswered fails, and what is asked from now on."""
        self._closed = True
        tasks = [*self._tasks, *([self._connecting] if self._connecting is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._end("closed")
