"""One end of a handover link on an event loop: frames in by callback, frames out in order when there is room."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from aurora.handover import frames
from aurora.handover.frames import BadFrame, Frame, Kind

LOGGER = logging.getLogger(__name__)

FRAMES_A_TURN: Final = 32
"""Frames taken in one turn of the loop: what else runs there waits no longer than for these."""
OUT_FRAMES_MAX: Final = 100_000
"""Frames that wait for a peer that does not read, above which the link ends."""
RETRY_S: Final = 0.01

Done = Callable[[bool], None]


class _Waiting(NamedTuple):
    frame: Frame
    fd: int | None
    done: Done | None


class FrameLink:
    """``on_frame(frame, fd)`` is called for each frame, whose descriptor is the callee's; ``on_end(reason)`` once, when
    the link is over by the peer's doing. Takes the socket over."""

    def __init__(
        self, link: socket.socket, on_frame: Callable[[Frame, int | None], None], on_end: Callable[[str], None]
    ) -> None:
        self._link: socket.socket | None = link
        self.on_frame, self.on_end = on_frame, on_end
        self._out: deque[_Waiting] = deque()
        self._blocked = self._losing = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(link.fileno(), self._read)
        self.send(Frame(Kind.HELLO))

    @property
    def is_open(self) -> bool:
        """Whether frames may be sent."""
        return self._link is not None

    def _read(self) -> None:
        for _ in range(FRAMES_A_TURN):
            if not self._step():
                return

    def _step(self) -> bool:
        """Hear one frame; False when there is none now, or the link is over."""
        if self._link is None:
            return False
        try:
            got = frames.receive(self._link)
        except ConnectionResetError:
            return True  # the peer has ended and left something unread; what it has sent is still there
        except EOFError:
            self._fail("the other side has ended")
            return False
        except (BadFrame, OSError) as error:
            self._fail(str(error))
            return False
        if got is not None:
            self.on_frame(*got)
        return got is not None

    def send(self, frame: Frame, fd: int | None = None, done: Done | None = None) -> None:
        """Send a frame as soon as there is room; ``done`` is told whether it was. The descriptor stays the caller's,
        open until then."""
        if self._link is not None and len(self._out) >= OUT_FRAMES_MAX:
            self._lose("the other side does not read")
        if self._link is None or self._losing:
            if done is not None:
                done(False)
            return
        self._out.append(_Waiting(frame, fd, done))
        if not self._blocked and len(self._out) == 1:
            self._flush()

    def forget(self, number: int) -> None:
        """Do not give a connection, if that has not been done yet: its descriptor is to be closed."""
        self._out = deque(each for each in self._out if each.frame != Frame(Kind.GIVE, number))

    def _flush(self) -> None:
        while self._link is not None and self._out:
            waiting = self._out[0]
            try:
                if not frames.send(self._link, waiting.frame, waiting.fd):
                    self._block(self._link)
                    return
            except OSError as error:
                if error.errno == frames.TOO_MANY_ON_THE_WAY:  # and the system tells nobody when there are fewer
                    self._loop.call_later(RETRY_S, self._flush)
                    return
                self._lose(str(error))
                return
            self._out.popleft()
            if waiting.done is not None:
                waiting.done(True)
        if self._blocked and self._link is not None:
            self._blocked = False
            self._loop.remove_writer(self._link.fileno())

    def _block(self, link: socket.socket) -> None:
        if not self._blocked:
            self._blocked = True
            self._loop.add_writer(link.fileno(), self._flush)

    def _fail(self, reason: str) -> None:
        if self._link is not None:
            self.end()
            self.on_end(reason)

    def _lose(self, reason: str) -> None:
        """Nothing can be sent any more: what the peer has sent is heard still, later, for the sender's sake."""
        if not self._losing:
            self._losing = True
            LOGGER.info("a link ends: %s", reason)
            self._loop.call_soon(self.settle)

    def settle(self) -> None:
        """Have the peer send nothing more, hear all that it has sent, and end, with ``on_end``: what it has not said by
        now it never says."""
        if self._link is not None:
            with contextlib.suppress(OSError):  # it is not connected any more: the peer is gone
                self._link.shutdown(socket.SHUT_RD)
            while self._step():
                pass
            self._fail("settled")

    def end(self) -> None:
        """Close; what could not be sent is dropped. ``on_end`` is not called."""
        link, self._link = self._link, None
        if link is None:
            return
        self._loop.remove_reader(link.fileno())
        if self._blocked:
            self._loop.remove_writer(link.fileno())
        link.close()
        out, self._out = self._out, deque()
        for waiting in out:
            if waiting.done is not None:
                waiting.done(False)


def close_fd(fd: int | None) -> None:
    """Close a descriptor, if there is one."""
    if fd is not None:
        os.close(fd)
