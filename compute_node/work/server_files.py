"""Files of the machine that the instance runs on, for lo_import, pg_read_file and their kin: read and written in a
worker thread, with PostgreSQL's errors. Who may is the caller's to check; the file is the instance's, not the client's.
A relative name is one in the instance's folder. And where an instance's configuration has other files of its own
(``PLACES``).
"""

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
from typing import Final, NamedTuple, TypeVar

from aurora.errors import (
    DiskFull,
    InsufficientPrivilege,
    InvalidParameterValue,
    InvariantViolation,
    IoError,
    ProgramLimitExceeded,
    SqlError,
    UndefinedFile,
    WrongObjectType,
)
from compute_node.work import instance_folder
from compute_node.work.account import Account
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


def failed(what: str, error: OSError) -> SqlError:
    """The error that says what could not be done, and why."""
    return _CONDITIONS.get(error.errno, IoError)(f"could not {what}: {error.strerror}")


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
        number = os.open(instance_folder.resolved(self._name), how | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
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
            raise self._failed(what, error) from None

    def _failed(self, what: str, error: OSError) -> SqlError:
        return failed(f'{what} server file "{self._name}"', error)

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


class Entry(NamedTuple):
    """One file of a folder. ``modified_us``: since 1970."""

    name: str
    size: int
    modified_us: int


class Facts(NamedTuple):
    """What the system tells of one file. Times in µs since 1970."""

    size: int
    accessed_us: int
    modified_us: int
    changed_us: int
    is_folder: bool


READ_BYTES_MAX: Final = (1 << 30) - 1 - 4
"""of one file: what a value may have"""
_PIECE_BYTES = 16 << 20
_COPIES = 3
"""of what is read until it is a value: pieces, the whole, its text"""
_NS_IN_US = 1000


def read_part(
    account: Account, name: str, offset: int = 0, count: int | None = None, missing_ok: bool = False
) -> list[bytes] | None:
    """Up to ``count`` bytes from ``offset``, or from the end if that is below 0, as pieces; None for a file that is
    missing and may be. ``account``: charged for the value that the pieces become. 53200, 58P01, 42501, 42809, 54000."""
    if count is not None and count > READ_BYTES_MAX:
        raise InvalidParameterValue("requested length too large")
    file = _PlainFile(name)
    try:
        if not file.found(missing_ok):
            return None
        file.seek(offset)
        pieces, left = [], READ_BYTES_MAX + 1 if count is None else count
        while left and (piece := file.read(min(left, _PIECE_BYTES))):
            account.charge(_COPIES * len(piece))
            pieces.append(piece)
            left -= len(piece)
        if count is None and not left:
            raise ProgramLimitExceeded("file length too large")
        return pieces
    finally:
        file.leave()


class _PlainFile(ServerFile):
    """A file as the functions read it that name no server in their messages."""

    def __init__(self, name: str) -> None:
        super().__init__(name, True)

    def found(self, missing_ok: bool = False) -> bool:
        """Open it; whether it is there."""
        try:
            run_in_thread(self._while_used, self._open)
        except IsADirectoryError as error:
            raise failed(f'read file "{self._name}"', error) from None
        except OSError as error:
            if missing_ok and error.errno == errno.ENOENT:
                return False
            raise failed(f'open file "{self._name}" for reading', error) from None
        return True

    def seek(self, offset: int) -> None:
        """To an offset from the start, or from the end if below 0."""
        try:
            self._opened.seek(offset, os.SEEK_SET if offset >= 0 else os.SEEK_END)
        except OSError as error:
            raise failed(f'seek in file "{self._name}"', error) from None

    def _failed(self, what: str, error: OSError) -> SqlError:
        return failed(f'{what} file "{self._name}"', error)


def names(folder: str, missing_ok: bool = False) -> list[str] | None:
    """The names of a folder's entries without ``.`` and ``..``; None for one that is missing and may be."""
    try:
        return run_in_thread(os.listdir, instance_folder.resolved(folder))
    except OSError as error:
        if missing_ok and error.errno == errno.ENOENT:
            return None
        raise failed(f'open directory "{folder}"', error) from None


def _regular(folder: str) -> list[Entry]:
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(".") and entry.is_file():
                facts = entry.stat()
                found.append(Entry(entry.name, facts.st_size, facts.st_mtime_ns // _NS_IN_US))
    return found


def regular_files(folder: str) -> list[Entry]:
    """The files of a folder that are not hidden."""
    try:
        return run_in_thread(_regular, instance_folder.resolved(folder))
    except OSError as error:
        raise failed(f'open directory "{folder}"', error) from None


def facts_of(name: str, missing_ok: bool = False) -> Facts | None:
    """What the system tells of a file; None for one that is missing and may be."""
    try:
        found = run_in_thread(os.stat, instance_folder.resolved(name))
    except OSError as error:
        if missing_ok and error.errno == errno.ENOENT:
            return None
        raise failed(f'stat file "{name}"', error) from None
    times = (found.st_atime_ns // _NS_IN_US, found.st_mtime_ns // _NS_IN_US, found.st_ctime_ns // _NS_IN_US)
    return Facts(found.st_size, *times, stat.S_ISDIR(found.st_mode))
