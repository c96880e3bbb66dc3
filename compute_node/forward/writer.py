"""The writer's side: a ``Forward`` stream is the connection of an ordinary session.

``Forwarded`` takes the stream's messages and is the transport of a ``ForwardedConnection``, which is what the wire has
for every client, with its durability gate, timeouts and shutdown; it only begins differently: the reader has
authenticated its user, and shows the cluster's secret.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Final

import greenlet
from google.protobuf.message import DecodeError

from aurora.errors import (
    CannotConnectNow,
    InvalidAuthorizationSpecification,
    ProtocolViolation,
    SerializationFailure,
    TooManyConnections,
)
from aurora.ids import Lsn
from aurora.rpc import compute_pb2 as cpb
from aurora.rpc.stream_server import ServedStream
from compute_node.forward import along
from compute_node.hub import HUB
from compute_node.session import transactions, turn
from compute_node.session.encoded import behind
from compute_node.session.state import IDLE, IN_BLOCK
from compute_node.wire.connection import Connection
from compute_node.wire.startup import Authenticated

if TYPE_CHECKING:
    from compute_node.session.session import Session
    from compute_node.wire.server import Server

LOGGER = logging.getLogger(__name__)

PIECE_BYTES: Final = 1 << 18
"""Output of one message, at most."""
BACKLOG_BYTES_MAX: Final = 2 << 20
"""Output that the reader has not taken above which its session waits."""
LOOK_AGAIN_S: Final = 0.005
LEVELS: Final = ("read committed", "repeatable read")
READY_BYTES: Final = 6
PERCENT: Final = "apg_write_forward.max_forwarding_connections_percent"


class ForwardedConnection(Connection):
    """A reader's session as the wire sees it."""

    __slots__ = ("_request",)
    stays = False

    def __init__(self, server: Server, transport: Forwarded) -> None:
        super().__init__(server)
        self._transport = transport
        self._request: cpb.ForwardRequest | None = None
        server.connections.add(self)

    def admit(self, request: cpb.ForwardOpen, is_writing: Callable[[bytes], bool]) -> None:
        """Make the session; runs in a greenlet. What forbids it is told, and ends the stream."""
        self._running = True
        self._admit(self._open, request, is_writing)

    def _open(self, request: cpb.ForwardOpen, is_writing: Callable[[bytes], bool]) -> None:
        self._welcome(self._authenticated(request, is_writing))
        session = self.session
        if session is not None:
            session.idle_timeout_ms = request.idle_timeout_ms
            session.idle_in_txn_timeout_ms = request.idle_in_transaction_timeout_ms

    def _authenticated(self, request: cpb.ForwardOpen, is_writing: Callable[[bytes], bool]) -> Authenticated:
        server = self._server
        if not is_writing(request.volume_id):
            raise CannotConnectNow("the instance is not the writer")
        role = server.lookup(request.user)
        if role is None or not role.can_login:
            raise InvalidAuthorizationSpecification(f'role "{request.user}" does not exist on the writer')
        engine = server.engine
        percent = int(engine.session_function(None, "system_setting", PERCENT))
        limit = max(1, server.config.max_connections * percent // 100)
        if sum(isinstance(behind(session.port), ForwardedConnection) for session in server.sessions.values()) >= limit:
            raise TooManyConnections(
                "remaining connection slots of the writer are not for forwarded sessions",
                detail=f"{limit} sessions of readers are connected to it ({PERCENT} = {percent}).",
            )
        return Authenticated(request.user, request.database, role, {"application_name": request.application_name})

    def take(self, request: cpb.ForwardRequest, data: bytes) -> None:
        """A whole request and its input."""
        self._request = request
        self.data_received(data)

    def _turn(self) -> None:
        request, self._request = self._request, None
        session = self.session
        if session is not None and request is not None:
            session.greenlet = greenlet.getcurrent()
            try:
                _prepare(session, request)
            except Exception as error:
                # The answer to all of the input.
                self.data, self.position = b"", 0
                turn.fail(session, error)
                session.out.append(turn.READY[session.block])
        super()._turn()


def _prepare(session: Session, request: cpb.ForwardRequest) -> None:
    """Begin the transaction, if one begins, and bring the settings that go along."""
    if request.HasField("begin"):
        _begin(session, request.begin)
    for setting in request.settings:
        along.bring(session, setting.name, setting.value)
    txn = session.txn
    if txn is not None and request.command_id > txn.cid:
        txn.cid = request.command_id


def _begin(session: Session, begin: cpb.ForwardBegin) -> None:
    if session.block != IDLE or begin.isolation not in LEVELS:
        raise ProtocolViolation(f"a transaction ({begin.isolation}) cannot begin here", severity="FATAL")
    transactions.abort(session)
    engine, lsn = session.engine, Lsn(begin.snapshot_lsn)
    txn = session.txn = engine.txns.begin(begin.isolation, False, False, session)
    session.env.transaction_timestamp = begin.started_us
    if not begin.alone:
        session.block = IN_BLOCK
    if lsn and not txn.follow:
        if lsn < engine.txns.row_horizon():
            raise SerializationFailure(
                "the snapshot of the reader's transaction is too old for the writer",
                hint="The transaction might succeed if retried.",
            )
        txn.snapshot_lsn = txn.oldest_lsn = lsn
        # Another writer may have shown it before it failed.
        txn.depend(lsn)


class Forwarded:
    """One stream, on the writer: the stream's receiver, and the connection's transport. ``is_writing`` says whether
    this instance writes a volume."""

    def __init__(self, stream: ServedStream, server: Server, is_writing: Callable[[bytes], bool]) -> None:
        self._stream = stream
        self._server = server
        self._is_writing = is_writing
        self._connection: ForwardedConnection | None = None
        self._first: cpb.ForwardRequest | None = None
        """the request whose input is not whole yet"""
        self._parts = BytesIO()
        self._is_full = self._is_over = False

    # The stream's receiver

    def received(self, message: bytes) -> None:
        """See ``Receiver``."""
        try:
            request = cpb.ForwardRequest.FromString(message)
        except DecodeError:
            LOGGER.info("a forwarding reader is sent away: what it says is no request")
            self.abort()
            return
        connection = self._connection
        if request.ask:
            position = cpb.ForwardPosition(lsn=self._server.engine.volume.vdl)
            self._stream.send(cpb.ForwardReply(position=position).SerializeToString())
        elif request.cancel:
            if connection is not None:
                connection.cancel()
        elif request.HasField("open") and connection is None:
            connection = self._connection = ForwardedConnection(self._server, self)
            HUB.run(connection.admit, request.open, self._is_writing)
        elif connection is None or connection.session is None or (connection.is_running and self._first is None):
            LOGGER.info("a forwarding reader is sent away: it sends a request out of turn")
            self.abort()
        else:
            self._gather(connection, request)

    def _gather(self, connection: ForwardedConnection, request: cpb.ForwardRequest) -> None:
        if request.more:
            if self._first is None:
                self._first = request
            self._parts.write(request.input)
            return
        data = request.input
        if self._first is not None:
            self._parts.write(data)
            data, self._parts = self._parts.getvalue(), BytesIO()
            request, self._first = self._first, None
        connection.take(request, data)

    def read_done(self) -> None:
        """See ``Receiver``."""

    def ended(self) -> None:
        """See ``Receiver``."""
        if not self._is_over:
            self._is_over = True
            if self._connection is not None:
                # From the loop, as transports do: who ends it may be another session's greenlet.
                HUB.loop.call_soon(self._connection.connection_lost, None)

    # The connection's transport

    def write(self, data: bytes) -> None:
        """Send output; with the end of an answer goes the position."""
        for at in range(0, len(data), PIECE_BYTES):
            reply = cpb.ForwardReply(output=data[at : at + PIECE_BYTES])
            if at + PIECE_BYTES >= len(data) and data[-READY_BYTES:-1] == b"Z\0\0\0\5":
                self._add_position(reply.position)
            self._stream.send(reply.SerializeToString())
        self._look()

    def _add_position(self, position: cpb.ForwardPosition) -> None:
        session = None if self._connection is None else self._connection.session
        if session is None:
            return
        volume, txn = session.engine.volume, session.txn
        lsn = max(volume.vdl, session.dependency.lsn)
        if txn is not None and txn.own:
            lsn = max(lsn, volume.log.last_cpl)
            position.xids.extend(txn.own)
            position.command_id = txn.cid
            volume.flush_soon("a reader waits for it")
        position.lsn = lsn

    def _look(self) -> None:
        """Have the session wait while the reader takes nothing."""
        connection = self._connection
        if connection is None or self._is_over:
            return
        full = self._stream.backlog_bytes > BACKLOG_BYTES_MAX
        if full != self._is_full:
            self._is_full = full
            if full:
                connection.pause_writing()
            else:
                connection.resume_writing()
        if full:
            HUB.loop.call_later(LOOK_AGAIN_S, self._look)

    def pause_reading(self) -> None:
        """A request is answered before the next comes, so there is no more input than its own."""

    def resume_reading(self) -> None:
        """See ``pause_reading``."""

    def is_closing(self) -> bool:
        """Whether the stream has ended."""
        return self._is_over

    def close(self) -> None:
        """End the stream when the output is sent."""
        self._stream.finish()

    def abort(self) -> None:
        """End it at once."""
        self._stream.close()
        self.ended()

    def get_extra_info(self, name: str, default: object = None) -> object:
        """The reader's address as the client's."""
        return self._stream.peer if name == "peername" else default
