"""Files of the machine that the instance runs on, for lo_import and lo_export: read and written in a worker thread,
with PostgreSQL's errors. Only a superuser gets here unless told otherwise; the file is the
instance's, not the client's."""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aurora.errors import DiskFull, InsufficientPrivilege, IoError, SqlError, UndefinedFile, WrongObjectType
from compute_node.work.workers import run_in_thread

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


@contextmanager
def opened(name: str, to_read: bool) -> Iterator[io.FileIO]:
    """The file, closed in the end. 58P01, 42501, 42809."""
    try:
        file = run_in_thread(io.FileIO, name, "r" if to_read else "w")
    except OSError as error:
        raise _failed("open" if to_read else "create", name, error) from None
    try:
        yield file
    finally:
        file.close()


def read(file: io.FileIO, name: str, count: int) -> bytes:
    """The next bytes, none at the end."""
    try:
        return run_in_thread(file.read, count)
    except OSError as error:
        raise _failed("read", name, error) from None


def write(file: io.FileIO, name: str, data: bytes) -> None:
    """All of the bytes."""
    try:
        while data:
            data = data[run_in_thread(file.write, data) :]
    except OSError as error:
        raise _failed("write", name, error) from None
