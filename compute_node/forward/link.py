"""The reader's end of one ``Forward`` stream: the shell around ``answers``. Its owner runs in a greenlet and waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError

from aurora.ids import Lsn
from aurora.rpc import compute_pb2 as cpb
from aurora.rpc.stream import GrpcStream, open_stream
from aurora.rpc.tls import INSTANCE_NAME
from compute_node.forward.answers import Answer, Messages
from compute_node.hub import HUB, Waiter
from compute_node.replica.service import FORWARD

if TYPE_CHECKING:
    from collections.abc import Callable

PIECE_BYTES: Final = 1 << 18
"""Input of one message, at most."""
UNREAD_BYTES_MAX: Final = 4 << 20
"""Rows that nobody has taken above which no more are read."""


class LinkLost(Exception):
    """The stream has ended, or the session behind it; the message is why."""


class Link:
    """A stream to the writer at ``address``. ``on_lost`` is told once when it ends by itself."""

    def __init__(self, address: str, on_lost: Callable[[], None]) -> None:
        self.address = address
        self.lost = ""
        """why it is gone; empty: it is not"""
        self.opened = False
        """whether there is a session behind it"""
        self._on_lost = on_lost
        self._stream: GrpcStream | None = None
        self._messages = Messages()
        self._answer = Answer()
        self._waiter: Waiter | None = None

    async def connect(self, timeout_s: float | None) -> None:
        """Open the stream. ConnectionError."""
        stream = await open_stream(
            self.address,
            FORWARD,
            self._received,
            self._closed,
            timeout_s,
            name=INSTANCE_NAME,
        )
        if self.lost:
            stream.close()
        else:
            self._stream = stream

    def send(self, request: cpb.ForwardRequest) -> Answer:
        """Send a request, its input in pieces; its answer is filled as it comes."""
        answer = self._answer = Answer(request.ask)
        data = request.input
        if len(data) <= PIECE_BYTES:
            self._put(request)
            return answer
        for at in range(0, len(data), PIECE_BYTES):
            end = at + PIECE_BYTES
            request.input, request.more = data[at:end], end < len(data)
            self._put(request)
            request = cpb.ForwardRequest()
        return answer

    def cancel(self) -> None:
        """End what runs; its answer comes all the same."""
        self._put(cpb.ForwardRequest(cancel=True))

    def _put(self, request: cpb.ForwardRequest) -> None:
        if self._stream is not None:
            self._stream.send(request.SerializeToString())

    def wait(self) -> None:
        """Wait until more of the answer has come. LinkLost; raises what interrupts the session."""
        if self._stream is not None:
            self._stream.pause(False)
        if self.lost:
            raise LinkLost(self.lost)
        self._waiter = Waiter()
        try:
            HUB.wait(self._waiter)
        finally:
            self._waiter = None

    def _received(self, data: bytes) -> None:
        answer = self._answer
        try:
            reply = cpb.ForwardReply.FromString(data)
            if reply.HasField("position"):
                position = reply.position
                answer.lsn, answer.command_id = Lsn(position.lsn), position.command_id
                answer.xids = tuple(position.xids)
                answer.positioned = True
            if reply.output:
                self._messages.feed(reply.output, answer)
        except (DecodeError, ValueError):
            self.fail("the writer sends what is no answer")
            return
        if answer.error is not None and answer.error.severity == "FATAL":
            # The session over there has ended. What it was asked for is answered by that.
            self.fail(answer.error.message)
            return
        if answer.rows_bytes > UNREAD_BYTES_MAX and self._stream is not None:
            self._stream.pause(True)
        self._wake()

    def _closed(self, reason: str) -> None:
        self.fail(reason)

    def fail(self, reason: str) -> None:
        """It is over: whoever waits is told, and so is ``on_lost``."""
        if self.lost:
            return
        self.close(reason)
        self._on_lost()
        if self._waiter is not None:
            self._waiter.fail(LinkLost(reason))

    def _wake(self) -> None:
        if self._waiter is not None:
            self._waiter.wake()

    @property
    def error_at_end(self) -> Exception | None:
        """The error with which the session over there ended, if it said one."""
        return self._answer.error

    def close(self, reason: str = "closed") -> None:
        """End it; the writer rolls back what is open there."""
        self.lost = self.lost or reason
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
