"""The instance's side of handed-over connections: sockets come over a Unix socket and are served as if accepted here.

::

    router ─ GIVE + descriptor ─► Receiver ─ TAKEN ─► then Server.take ─► Connection (startup, TLS, session)
           ◄─ GONE ─────────────  when its socket is closed
           ◄─ BACK ─────────────  while the instance changes its role, or has no descriptor left
           ◄─ CANCEL ───────────  a cancel request that fits no session here; the router asks the other instances

Invariants: nothing of a connection is read or written before its TAKEN is sent; one whose TAKEN cannot be sent is
dropped, for the router gives it to another instance. A link that ends leaves the connections that came over it.
The frames are those of ``aurora.handover``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from aurora.handover import frames
from aurora.handover.frames import Frame, Kind
from aurora.handover.link import FrameLink, close_fd

if TYPE_CHECKING:
    from compute_node.wire.server import Server

LOGGER = logging.getLogger(__name__)


class HandedSocket(socket.socket):
    """A handed-over socket. Its end is told when the event loop gives it up: asyncio closes it, uvloop detaches it."""

    on_gone: Callable[[], None] | None = None

    def _gone(self) -> None:
        told, self.on_gone = self.on_gone, None
        if told is not None:
            told()

    def close(self) -> None:
        """See ``socket.socket``."""
        super().close()
        self._gone()

    def detach(self) -> int:
        """See ``socket.socket``."""
        fd = super().detach()
        self._gone()
        return fd


class Receiver:
    """Takes connections for a server from routers that link to ``path``. Lives on the running loop."""

    def __init__(self, server: Server, path: Path) -> None:
        self._server = server
        self._path = path
        self._listener: socket.socket | None = None
        self._links: set[FrameLink] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ask_instances: Callable[[int, int], None] | None = None
        """Asks the other instances without a router."""

    def start(self) -> None:
        """Listen. OSError when the path cannot be bound."""
        self._listener = frames.listen(self._path)
        self._ask_instances, self._server.on_stray_cancel = self._server.on_stray_cancel, self._ask_others
        self._server.on_away = self._changed
        asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)

    def close(self) -> None:
        """Take no more; connections that came stay."""
        listener, self._listener = self._listener, None
        if listener is not None:
            asyncio.get_running_loop().remove_reader(listener.fileno())
            listener.close()
            self._path.unlink(missing_ok=True)
        links, self._links = self._links, set()
        for link in links:
            link.end()

    def _accept(self) -> None:
        if self._listener is None:
            return
        try:
            accepted, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            LOGGER.warning("a router could not link: %s", error)
            return
        accepted.setblocking(False)
        if not frames.is_same_user(accepted):
            LOGGER.warning("a link by another user's process was refused")
            accepted.close()
            return

        def heard(frame: Frame, fd: int | None) -> None:
            self._heard(link, frame, fd)

        def ended(reason: str) -> None:
            LOGGER.info("a router's link has ended: %s", reason)
            self._links.discard(link)

        link = FrameLink(accepted, heard, ended)
        if link.is_open:
            self._links.add(link)

    def _heard(self, link: FrameLink, frame: Frame, fd: int | None) -> None:
        if frame.kind is Kind.GIVE:
            self._take(link, frame.number, fd)
        elif frame.kind is Kind.CANCEL:
            self._server.cancel_here(frame.number, frame.secret)

    def _take(self, link: FrameLink, number: int, fd: int | None) -> None:
        if fd is None or not self._server.lets_in:
            if fd is None:
                LOGGER.warning("no file descriptor is left for a handed-over connection")
            close_fd(fd)
            link.send(Frame(Kind.BACK, number))
            return
        given = fd

        def told(sent: bool) -> None:
            if sent:
                self._serve(given, lambda: link.send(Frame(Kind.GONE, number)))
            else:
                os.close(given)

        link.send(Frame(Kind.TAKEN, number), done=told)

    def _serve(self, fd: int, on_gone: Callable[[], None]) -> None:
        try:
            handed = HandedSocket(fileno=fd)
        except OSError as error:
            LOGGER.info("what was handed over is no socket: %s", error)
            close_fd(fd)
            on_gone()
            return
        handed.setblocking(False)
        handed.on_gone = on_gone
        task = asyncio.ensure_future(self._server.take(handed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _changed(self) -> None:
        """The instance changes its role, or has: the routers ask at once what it is."""
        for link in list(self._links):
            link.send(Frame(Kind.CHANGED))

    def _ask_others(self, pid: int, secret: int) -> None:
        """A cancel request for no session of this instance: a router, which knows all instances, asks them."""
        if not self._links and self._ask_instances is not None:
            self._ask_instances(pid, secret)
        for link in list(self._links):
            link.send(Frame(Kind.CANCEL, pid & 0xFFFFFFFF, secret))
