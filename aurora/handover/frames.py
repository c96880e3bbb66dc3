"""The frames of a handover link, and the sockets that carry them. See the package.

Each packet is one frame of 16 bytes, little-endian::

    0      1         2     4                       12              16
    | kind | version | 0   | number (u64)          | secret (u32)  |

Invariant: a file descriptor comes with GIVE, and with nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Final, NamedTuple

TOO_MANY_ON_THE_WAY: Final = errno.ETOOMANYREFS
"""Sending a descriptor fails with this while so many are in sockets' queues."""
AVAILABLE: Final = hasattr(socket, "SO_PEERCRED") and hasattr(socket, "AF_UNIX")
VERSION: Final = 1
BACKLOG: Final = 64
PATH_BYTES_MAX: Final = 107
"""What the address of a Unix socket has room for."""
_FRAME: Final = struct.Struct("<BBHQI")
FRAME_BYTES: Final = _FRAME.size
_CREDENTIALS: Final = struct.Struct("3i")


class Kind(IntEnum):
    """What a frame says: router → instance (→), instance → router (←)."""

    HELLO = 1  # ←→ first
    GIVE = 2  # → with the descriptor of connection ``number``
    TAKEN = 3  # ← the connection is the instance's from here on
    GONE = 4  # ← it is closed
    CANCEL = 5  # ← a cancel request (pid, secret) fits no session here; → does it fit one there?
    BACK = 6  # ← it cannot be taken now: it is the router's still
    CHANGED = 7  # ← what the instance said of itself may not be so any more: ask again


class Frame(NamedTuple):
    """``number``: the connection's; of CANCEL the pid, whose secret is ``secret``."""

    kind: Kind
    number: int = 0
    secret: int = 0


class BadFrame(Exception):
    """What came is no frame of this version; the message says why."""


def pack(frame: Frame) -> bytes:
    """A frame's 16 bytes."""
    return _FRAME.pack(frame.kind, VERSION, 0, frame.number, frame.secret)


def unpack(data: bytes) -> Frame:
    """The frame in a packet. Raises BadFrame."""
    if len(data) != FRAME_BYTES:
        raise BadFrame(f"a packet of {len(data)} bytes")
    kind, version, _, number, secret = _FRAME.unpack(data)
    if version != VERSION:
        raise BadFrame(f"version {version}, this program has {VERSION}")
    try:
        return Frame(Kind(kind), number, secret)
    except ValueError as error:
        raise BadFrame(f"kind {kind}") from error


def is_same_user(link: socket.socket) -> bool:
    """Whether the process at the other end is this user's."""
    raw = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return bool(_CREDENTIALS.unpack(raw)[1] == os.geteuid())


def listen(path: Path) -> socket.socket:
    """A listening socket at a path, whose file is its owner's alone; takes the place of one that nobody serves any
    more. OSError when the path is something else, or cannot be bound."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(f"{path} is there and no socket")
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        old = os.umask(0o177)  # the file is never anybody else's, not even between bind and chmod
        try:
            with _short(path) as address:
                listener.bind(address)
        finally:
            os.umask(old)
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def connect(path: Path) -> socket.socket:
    """A link to the instance that listens at a path. OSError when nobody does, or somebody else."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        with _short(path) as address:
            link.connect(address)
        if not is_same_user(link):
            raise PermissionError(f"{path} is served by another user's process")
    except BaseException:
        link.close()
        raise
    return link


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """The path in a form that a socket's address has room for."""
    if len(os.fsencode(path)) <= PATH_BYTES_MAX:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def send(link: socket.socket, frame: Frame, fd: int | None = None) -> bool:
    """Send a frame, and a file descriptor with GIVE; False when there is no room now. OSError: the link is gone."""
    try:
        if fd is None:
            link.send(pack(frame))
        else:
            socket.send_fds(link, [pack(frame)], [fd])
    except (BlockingIOError, InterruptedError):
        return False
    return True


def receive(link: socket.socket) -> tuple[Frame, int | None] | None:
    """The next frame and the descriptor that came with it, which is the caller's; None when nothing is there now. A
    GIVE without one: this process has no descriptor left to receive it with.

    EOFError when the other side has ended; BadFrame; OSError.
    """
    try:
        data, fds, _, _ = socket.recv_fds(link, FRAME_BYTES + 1, 1)
    except (BlockingIOError, InterruptedError):
        return None
    fd = fds[0] if fds else None
    try:
        if not data:
            raise EOFError
        frame = unpack(data)
        if fd is not None and frame.kind is not Kind.GIVE:
            raise BadFrame(f"{frame.kind.name} with a file descriptor")
    except BaseException:
        if fd is not None:
            os.close(fd)
        raise
    return frame, fd
