"""One connection: the asyncio protocol between a socket and a session.

Bytes in: until authenticated they go to the ``Startup`` machine, then to ``Session.process`` in a greenlet; what
arrives while that greenlet waits is kept, and reading stops above a limit. Bytes out: the session's output leaves in
one write at the end of a turn, behind the durability gate: what depends on an LSN above VDL waits in ``_outbox``, and
all later output behind it.

A message that breaks the protocol ends this connection and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from io import BytesIO
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVarTuple, Unpack

import greenlet

from aurora.errors import (
    AdminShutdown,
    IdleInTransactionSessionTimeout,
    IdleSessionTimeout,
    InternalError,
    ProtocolViolation,
    QueryCanceled,
    SqlError,
    TooManyConnections,
    TransactionResolutionUnknown,
)
from aurora.histogram import Histogram
from aurora.ids import NO_LSN, Lsn
from aurora.kernels import wire as wire_kernel
from compute_node.hub import HUB, Waiter
from compute_node.protocol import messages
from compute_node.session import notifications
from compute_node.session.session import Session
from compute_node.session.state import IDLE, Disconnected
from compute_node.session.turn import MAX_MESSAGE_BYTES, READY
from compute_node.wire.startup import Action, Authenticated, Cancel, Drop, Send, StartTls, Startup, Wait

if TYPE_CHECKING:
    from compute_node.wire.server import Server

LOGGER = logging.getLogger(__name__)

_Args = TypeVarTuple("_Args")

COPY_DATA = 100
READ_LIMIT_BYTES = 1 << 20
"""Unprocessed input above which reading stops while a session waits."""
OUTBOX_LIMIT_BYTES = 4 << 20
"""Output held back by the durability gate above which its session waits."""


class Connection(asyncio.Protocol):
    """A client's connection; it is the session's ``Port``."""

    __slots__ = (
        "_authentication_timer", "_closing", "_gate_timer", "_held_input", "_idle_timer", "_is_ended", "_lost",
        "_missing_bytes", "_outbox", "_outbox_bytes", "_parts", "_paused_reading", "_paused_writing", "_room",
        "_running", "_server", "_startup", "_transport", "_unsure", "_waiting_input", "data", "eager",
        "position", "session",
    )  # fmt: skip
    stays = True

    def __init__(self, server: Server) -> None:
        self._server = server
        self._transport: Any = None
        self._startup: Startup | None = None
        self.session: Session | None = None
        self.data = b""
        self.position = 0
        self._parts: BytesIO | None = None
        """a long message, as far as it has come: what ``BytesIO`` has gathered it gives away without a copy"""
        self._missing_bytes = 0
        self._running = self._closing = self._lost = self._is_ended = False
        self._paused_reading = self._paused_writing = self._held_input = False
        self._waiting_input: Waiter | None = None
        self._room: Waiter | None = None
        self._outbox: deque[tuple[int, bytes, float]] | None = None
        self._outbox_bytes = 0
        self._authentication_timer: asyncio.TimerHandle | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._gate_timer: asyncio.TimerHandle | None = None
        self.eager = False
        self._unsure = False
        """whether output waits until it is clear that no other writer has opened the volume"""

    # ---- asyncio's side ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected, or TLS is up."""
        self._transport = transport
        if self._startup is None:
            if self._server.is_crowded:
                self._end_with(TooManyConnections("sorry, too many clients already", severity="FATAL"))
                return
            self._startup = self._server.make_startup(transport)
            self._authentication_timer = HUB.loop.call_later(
                self._server.config.authentication_timeout_s, self._authentication_timed_out
            )
            self._server.connections.add(self)
            if self._server.holds_input:
                HUB.loop.call_soon(self._hold_if_held)  # uvloop begins to read after this callback, paused or not

    def data_received(self, data: bytes) -> None:
        """Input: process what is complete of it."""
        if self._parts is not None:
            # A long message is put together once, not at every piece.
            self._parts.write(data)
            self._missing_bytes -= len(data)
            if self._missing_bytes > 0:
                return
            data, self._parts = self._parts.getvalue(), None
        if self.position < len(self.data):
            self.data = self.data[self.position :] + data
        else:
            self.data = data
        self.position = 0
        if self._running:
            waiter = self._waiting_input
            if waiter is not None:
                self._waiting_input = None
                waiter.wake()
            else:
                self._limit_input()
        elif self.session is not None:
            if self._idle_timer is not None:
                self._idle_timer.cancel()
                self._idle_timer = None
            if self._paused_writing or self._outbox_bytes > OUTBOX_LIMIT_BYTES:  # ``_is_full``, without a call
                # The client sends more while it does not read what it asked for before.
                self._held_input = True
                self._limit_input()
                return
            self._running = True
            HUB.run(self._turn)
            if self._running:
                self._send_answers()
        elif self._startup is not None and not self._closing:
            # Looking up a role may read pages, so this too runs where it may wait.
            self._running = True
            HUB.run(self._startup_turn)

    def _limit_input(self) -> None:
        """Input that nobody takes yet is bounded."""
        if len(self.data) > READ_LIMIT_BYTES and not self._paused_reading:
            self._paused_reading = True
            self._transport.pause_reading()

    @property
    def _is_full(self) -> bool:
        """Whether so much output waits, for the client or for the log, that no more should be made."""
        return self._paused_writing or self._outbox_bytes > OUTBOX_LIMIT_BYTES

    def pause_writing(self) -> None:
        """The client does not read."""
        self._paused_writing = True

    def resume_writing(self) -> None:
        """The client reads again."""
        self._paused_writing = False
        self._wake_writer()

    def eof_received(self) -> bool:
        """The client has closed its side: so do we."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: stop what runs for it, drop what waits for it."""
        session = self.session
        if session is not None and not self._closing and not session.ended_by:
            session.ended_by = "abandoned"
        self._lost = self._closing = True
        self._outbox = None
        self._cancel_timers()
        self._server.connections.discard(self)
        if self._running:
            gone = Disconnected()
            for waiter in (self._waiting_input, self._room):
                if waiter is not None:
                    waiter.fail(gone)
            if session is not None:
                session.interrupt(gone)
        elif session is not None:
            # Rolling back may write, so it runs where it may wait.
            HUB.run(self._bury)
        self._transport = None

    def _expect_rest(self) -> None:
        """The input ends in a part of a message: gather until it is whole."""
        left = len(self.data) - self.position
        if left < 5:
            return
        length = int.from_bytes(self.data[self.position + 1 : self.position + 5], "big")
        self._missing_bytes = length + 1 - left
        if self._missing_bytes > 0:
            self._parts = BytesIO()
            self._parts.write(self.data[self.position :])
            self.data, self.position = b"", 0

    # ---- turns ----

    def _turn(self) -> None:
        session = self.session
        if session is None:
            return
        try:
            session.process()
        except Disconnected:
            self._lost = True
        except SqlError as error:
            self._fatal(session, error)
        except Exception as error:
            LOGGER.exception("internal error outside a statement")
            self._fatal(session, InternalError(f"internal error: {type(error).__name__}", severity="FATAL"))
        if not self._lost:
            self._write_out(session)
            if self.position < len(self.data):
                self._expect_rest()
            elif self.data:
                self.data, self.position = b"", 0
            if self._paused_reading:
                self._paused_reading = False
                self._transport.resume_reading()
        self._running = self.eager = False
        session.greenlet = None
        if self._lost:
            self._bury()
            return
        if self._closing:
            self._finish()
            return
        if session.inbox:
            self.deliver()
        if session.idle_timeout_ms or session.idle_in_txn_timeout_ms:
            self._arm_idle(session)

    def _fatal(self, session: Session, error: SqlError) -> None:
        """An error that ends the connection."""
        error.severity = "FATAL"
        session.fail(error)

    def _startup_turn(self) -> None:
        data, self.data, self.position = self.data[self.position :], b"", 0
        self._admit(self._greet, data)
        if not self._lost and self.position < len(self.data) and not self._closing:
            rest, self.data, self.position = self.data[self.position :], b"", 0
            self.data_received(rest)

    def _admit(self, step: Callable[[Unpack[_Args]], object], *args: *_Args) -> None:
        """A step on the way to a session; what forbids it is told, and ends the connection."""
        try:
            step(*args)
        except Disconnected:
            self._lost = True
        except SqlError as error:
            error.severity = "FATAL"
            self._refuse(error)
        except Exception:
            LOGGER.exception("internal error while a client connects")
            self._refuse(InternalError("internal error while connecting", severity="FATAL"))
        finally:
            self._running = False
            if self.session is not None:
                # The pool's, which is others' from here on.
                self.session.greenlet = None
        if self._lost and self.session is not None:
            self._bury()

    def _greet(self, data: bytes) -> None:
        """Feed the startup machine, and again after each wait that it asks for."""
        startup = self._startup
        more: bytes | None = data
        while startup is not None and more is not None and not self._closing:
            fed, more = more, None
            for action in startup.feed(fed):
                if isinstance(action, Wait):
                    if action.seconds:
                        HUB.sleep(action.seconds)
                    more = b""
                else:
                    self._act(action)

    def _act(self, action: Action) -> None:
        if isinstance(action, Send):
            self._transport.write(action.data)
        elif isinstance(action, StartTls):
            self._transport.write(b"S")
            self._transport.pause_reading()
            HUB.loop.create_task(self._start_tls())
        elif isinstance(action, Drop):
            LOGGER.info("connection closed: %s", action.reason)
            self._closing = True
            self._finish()
        elif isinstance(action, Cancel):
            self._server.cancel(action.pid, action.secret)
            self._closing = True
            self._finish()
        elif isinstance(action, Authenticated):
            self._welcome(action)

    async def _start_tls(self) -> None:
        context = self._server.tls_context
        if context is None or self._transport is None:
            return
        try:
            transport = await HUB.loop.start_tls(self._transport, self, context, server_side=True)
        except (OSError, asyncio.CancelledError):
            # The handshake failed: asyncio has closed the transport.
            self._closing = True
            return
        if transport is None:
            return
        self._transport = transport
        transport.resume_reading()

    def _welcome(self, who: Authenticated) -> None:
        if self._closing:  # it left, or was told to, while its role was looked up
            raise Disconnected
        self._cancel_timers()
        session = self._server.make_session(self, who)
        self._startup = None
        self.session = session
        session.greenlet = greenlet.getcurrent()
        out = [messages.AUTHENTICATION_OK]
        session.reported = {name: session.settings.show(name) for name in self._server.reported}
        out += [messages.parameter_status(name, text) for name, text in session.reported.items()]
        out += [messages.backend_key(session.pid, session.secret), messages.READY_IDLE]
        session.status_changes = None
        self._transport.write(b"".join(out))
        self.data = who.rest + self.data[self.position :]
        self.position = 0

    # ---- the session's port ----

    def flush(self) -> None:
        """Send the session's output so far; wait while the client does not read or too much is held back."""
        session = self.session
        if session is None:
            return
        self._write_out(session)
        while self._is_full and not self._lost:
            self._room = Waiter()
            session.client_wait = "ClientWrite" if self._paused_writing else None
            try:
                HUB.wait(self._room)
            finally:
                self._room = session.client_wait = None
        if self._lost:
            raise Disconnected

    def next_message(self) -> tuple[int, bytes]:
        """The next message; waits for the client. CopyData messages at hand come joined into one. Raises Disconnected,
        and ProtocolViolation for what is no message.
        """
        while True:
            if self._lost:
                raise Disconnected
            try:
                found = wire_kernel.next_message(self.data, self.position, MAX_MESSAGE_BYTES)
            except ValueError:
                raise messages.malformed("invalid message length") from None
            if found is not None:
                kind, start, end = found
                if kind == COPY_DATA:
                    payload, self.position = wire_kernel.join_copy_data(self.data, self.position)
                    return kind, payload
                self.position = end
                return kind, self.data[start:end]
            if self._paused_reading:
                self._paused_reading = False
                self._transport.resume_reading()
            self._expect_rest()
            self._waiting_input = Waiter()
            if self.session is not None:
                self.session.client_wait = "ClientRead"
            try:
                HUB.wait(self._waiting_input)
            finally:
                self._waiting_input = None
                if self.session is not None:
                    self.session.client_wait = None

    def hold_input(self) -> None:
        """Read nothing that the client sends. See ``Server.hold_input``."""
        if self._transport is not None and not self._paused_reading and not self._transport.is_closing():
            self._transport.pause_reading()

    def _hold_if_held(self) -> None:
        if self._server.holds_input:
            self.hold_input()

    def release_input(self) -> None:
        """Read again."""
        if self._transport is not None and not self._paused_reading and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Close once the output so far is sent."""
        self._closing = True

    def deliver(self) -> None:
        """Notifications have come: they go out if nothing runs and the client reads; else with the end of what runs, or
        when it reads again."""
        session = self.session
        idle = not self._running and not self._closing and not self._is_full
        if session is not None and idle and session.inbox and session.block == IDLE:
            notifications.take(session)
            self._write_out(session)

    # ---- output ----

    def _write_out(self, session: Session) -> None:
        out = session.out
        if not out:
            return
        payload = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        volume = session.engine.volume
        if (now_s := monotonic()) > volume.doubt.late_s and not self._unsure and volume.holds_back(now_s):
            self._unsure = True
            volume.when_sure(self._sure)
        if session.gated:
            session.gated = False
            dependency = session.dependency
            lsn = dependency.lsn
            if lsn > volume.vdl and (lsn := dependency.gate_lsn) > volume.vdl:
                self._hold(session, lsn, payload)
                return
        if self._outbox or self._unsure:
            self._hold(session, NO_LSN, payload)
        elif self._transport is not None:
            self._transport.write(payload)

    def _send_answers(self) -> None:
        """The turn waits. The client may wait too, for the answers to what it sent before, so they go out: these now,
        the following ones one by one."""
        session = self.session
        if session is None:
            return
        self.eager = True
        out = session.out
        end = len(out)
        while end and out[end - 1] not in READY:
            end -= 1
        if end:
            rest, gated = out[end:], session.gated
            del out[end:]
            self._write_out(session)
            out.extend(rest)
            session.gated = gated

    def _hold(self, session: Session, lsn: Lsn, payload: bytes) -> None:
        if self._outbox is None:
            self._outbox = deque()
        self._outbox.append((lsn, payload, monotonic()))
        self._outbox_bytes += len(payload)
        if lsn:
            session.engine.volume.when_durable(lsn, self._release)
            if session.statement_timeout_ms and self._gate_timer is None:
                self._gate_timer = HUB.loop.call_later(session.statement_timeout_ms / 1000, self._give_up_gate)

    def _sure(self, error: SqlError | None) -> None:
        """After a pause of this process: it still is the writer, and what was held may go; or it is over."""
        self._unsure = False
        if error is None:
            self._release()
        elif self._outbox:
            self._outbox, self._outbox_bytes = None, 0
            self._end_with(error)

    def _release(self, error: Any = None) -> None:
        """VDL has advanced: send what it covers. With an error (this writer is fenced) nothing more will be durable."""
        if isinstance(error, BaseException):
            self._give_up_gate()
            return
        outbox, session = self._outbox, self.session
        if not outbox or session is None or self._unsure:
            return
        vdl = session.engine.volume.vdl
        ready = []
        now_s = monotonic()
        while outbox and outbox[0][0] <= vdl:
            lsn, part, held_s = outbox.popleft()
            ready.append(part)
            if lsn:
                if (waits := session.commit_waits) is None:
                    waits = session.commit_waits = Histogram()
                waits.observe(now_s - held_s)
        if not ready:
            return
        payload = ready[0] if len(ready) == 1 else b"".join(ready)
        self._outbox_bytes -= len(payload)
        if not outbox:
            self._outbox = None
            if self._gate_timer is not None:
                self._gate_timer.cancel()
                self._gate_timer = None
        if self._transport is not None:
            self._transport.write(payload)
        self._wake_writer()
        if self._closing and not self._running:
            self._finish()

    def _wake_writer(self) -> None:
        if self._room is not None:
            self._room.wake()
        elif self._held_input and not self._running and not self._closing and not self._is_full:
            self._held_input = False
            self._running = True
            HUB.run(self._turn)
        else:
            self.deliver()

    def _finish(self) -> None:
        """Close the transport when nothing is held back any more."""
        if self._transport is not None and not self._outbox:
            self._close_transport()

    def _close_transport(self) -> None:
        """Close once the output is sent; of a session that was told to end and whose client does not read, at once:
        what it would wait for may never come."""
        if self._transport is None:
            return
        if self._is_ended and self._is_full:
            self._transport.abort()
        else:
            self._transport.close()

    def _bury(self) -> None:
        """The last turn: give back what the session holds."""
        session, self.session = self.session, None
        self.data = b""
        if session is None:
            return
        try:
            session.disconnect()
        except Exception:
            LOGGER.exception("rollback of a lost session failed")
        self._server.forget(session)

    # ---- cancel, timeouts, shutdown ----

    def cancel(self) -> None:
        """A cancel request: end the running statement; when only the log is waited for, the outcome stays unknown."""
        session = self.session
        if session is None:
            return
        if self._running:
            session.interrupt(QueryCanceled("canceling statement due to user request"))
        elif self._outbox:
            self._give_up_gate()

    def _give_up_gate(self) -> None:
        """Stop waiting for the log: 08007, and the connection ends."""
        self._gate_timer = None
        if not self._outbox:
            return
        self._outbox = None
        self._outbox_bytes = 0
        self._end_with(
            TransactionResolutionUnknown(
                "canceled while waiting for the commit to become durable",
                detail="The transaction may or may not have been committed.",
                severity="FATAL",
            )
        )

    def terminate(self, error: SqlError | None = None) -> None:
        """End the session (57P01 unless told otherwise): at once if idle, else at its next wait or batch. Who has no
        session yet may be asking for TLS, and an error would be no answer: it is told nothing, as in PostgreSQL."""
        if self.session is None:
            self._closing = True
            self._close_transport()
            return
        error = error or AdminShutdown("terminating connection due to administrator command")
        error.severity = "FATAL"
        session = self.session
        if isinstance(error, AdminShutdown):
            session.ended_by = "killed"
        self._is_ended = True
        if self._running and session is not None:
            session.interrupt(error)
        elif self._outbox:
            self._closing = True
        else:
            self._end_with(error)

    def abandon(self) -> None:
        """Shutdown does not wait any longer."""
        if self._transport is not None:
            self._transport.abort()

    def _end_with(self, error: SqlError) -> None:
        self._closing = True
        if self._transport is not None:
            self._transport.write(messages.error_response(error))
            self._close_transport()

    def _refuse(self, error: SqlError) -> None:
        if isinstance(error, ProtocolViolation):
            LOGGER.info("connection refused: %s", error.message)
        self._end_with(error)

    def _authentication_timed_out(self) -> None:
        self._authentication_timer = None
        if self.session is None and self._transport is not None:
            self._closing = True
            self._transport.abort()

    def _arm_idle(self, session: Session) -> None:
        timeout_ms = session.idle_in_txn_timeout_ms if session.block else session.idle_timeout_ms
        if timeout_ms:
            self._idle_timer = HUB.loop.call_later(timeout_ms / 1000, self._idle_too_long)

    def _idle_too_long(self) -> None:
        self._idle_timer = None
        session = self.session
        if session is None or self._running:
            return
        if session.block:
            message = "terminating connection due to idle-in-transaction timeout"
            self._end_with(IdleInTransactionSessionTimeout(message, severity="FATAL"))
        else:
            self._end_with(IdleSessionTimeout("terminating connection due to idle-session timeout", severity="FATAL"))

    def _cancel_timers(self) -> None:
        for timer in (self._authentication_timer, self._idle_timer, self._gate_timer):
            if timer is not None:
                timer.cancel()
        self._authentication_timer = self._idle_timer = self._gate_timer = None

    @property
    def local_address(self) -> tuple[str, int] | None:
        """Host and port that the client has connected to; None when it is not TCP."""
        name = None if self._transport is None else self._transport.get_extra_info("sockname")
        return (name[0], name[1]) if isinstance(name, tuple) else None

    @property
    def peer(self) -> object:
        """The client's address."""
        return None if self._transport is None else self._transport.get_extra_info("peername")

    @property
    def is_running(self) -> bool:
        """Whether a statement runs (or waits)."""
        return self._running

    @property
    def is_held(self) -> bool:
        """Whether output waits for the log."""
        return bool(self._outbox)
