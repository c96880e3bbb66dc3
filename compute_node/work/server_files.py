"""Files of the machine that the instance runs on, for lo_import and lo_export: read and written in a worker thread,
with PostgreSQL's errors. Only a superuser gets here unless told otherwise; the file is the
instance's, not the client's. And where an instance's configuration has other files of its own (``PLACES``)."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

from aurora.errors import (
    DiskFull,
    InsufficientPrivilege,
    InvariantViolation,
    IoError,
    SqlError,
    UndefinedFile,
    WrongObjectType,
)
from compute_node.work.workers import run_in_thread

_T = TypeVar("_T")


class Places:
    """Folders of the machine that the instance's configuration names. ``tsearch_data``: files of text search
    dictionaries, before those that come with the program."""

    def __init__(self) -> None:
        self.tsearch_data: Path | None = None


PLACES: Final = Places()
_CONDITIONS: Final[dict[int | None, type[SqlError]]] = {
    errno.ENOENT: UndefinedFile,
    errno.EACCES: InsufficientPrivilege,
    errno.EPERM: InsufficientPrivilege,
    errno.EROFS: InsufficientPrivilege,
    errno.EISDIR: WrongObjectType,
    errno.ENOTDIR: WrongObjectType,
    errno.ENOSPC: DiskFull,
}


def _failed(what: str, name: str, error: OSError) -> SqlError:
    return _CONDITIONS.get(error.errno, IoError)(f'could not {what} server file "{name}": {error.strerror}')


class ServerFile:
    """One open file. All of its calls run in a thread, which may go on after the session has been cancelled: the file
    is closed when both have done with it."""

    def __init__(self, name: str, to_read: bool) -> None:
        self._name, self._to_read = name, to_read
        self._file: io.FileIO | None = None
        self._guard = Lock()
        self._users = 1

    def open(self) -> None:
        """58P01, 42501, 42809."""
        self._run(self._open, "open" if self._to_read else "create")

    def read(self, count: int) -> bytes:
        """The next bytes, none at the end."""
        return self._run(lambda: self._opened.read(count) or b"", "read")

    def write(self, data: bytes) -> None:
        """All of the bytes."""
        while data:
            data = data[self._run(partial(self._opened.write, data), "write") or 0 :]

    def finish(self) -> None:
        """Close it in a thread: the system may tell only then that it could not write."""
        self._run(self._opened.close, "close")

    def leave(self) -> None:
        """The session has done with it."""
        with self._guard:
            self._users -= 1
            last = not self._users
        if last and self._file is not None:
            self._file.close()

    @property
    def _opened(self) -> io.FileIO:
        if self._file is None:
            raise InvariantViolation(f'file "{self._name}" is used before it is open')
        return self._file

    def _open(self) -> None:
        how = os.O_RDONLY if self._to_read else os.O_WRONLY | os.O_CREAT
        # What is no file, as a pipe, must not keep the thread waiting.
        number = os.open(self._name, how | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
        self._file = io.FileIO(number, "r" if self._to_read else "w")
        mode = os.fstat(number).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise WrongObjectType(f'"{self._name}" is not a regular file')
        if not self._to_read:
            os.ftruncate(number, 0)

    def _run(self, work: Callable[[], _T], what: str) -> _T:
        try:
            return run_in_thread(self._while_used, work)
        except OSError as error:
            raise _failed(what, self._name, error) from None

    def _while_used(self, work: Callable[[], _T]) -> _T:
        with self._guard:
            if not self._users:
                raise InvariantViolation(f'file "{self._name}" is used after its session has left it')
            self._users += 1
        try:
            return work()
        finally:
            self.leave()


@contextmanager
def opened(name: str, to_read: bool) -> Iterator[ServerFile]:
    """The file, closed in the end. 58P01, 42501, 42809."""
    file = ServerFile(name, to_read)
    try:
        file.open()
        yield file
        file.finish()
    finally:
        file.leave()
