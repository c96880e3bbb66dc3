"""The instance's own folder, which ``data_directory`` shows: relative names of the server's files are names in it.

An instance keeps no data on its machine. The folder is the process's alone (mode 0700), made when it is needed, and
again where it is gone, with nothing in it that the process put there by itself. The process removes it when it ends;
one that is killed leaves it.
"""

from __future__ import annotations

import atexit
import errno
import os
import secrets
import shutil
import stat
import tempfile
from functools import cache
from typing import Final

_NAME: Final = f"aurora-{os.getpid()}-{secrets.token_hex(8)}"


@cache
def path() -> str:
    """Its name, whether it is there yet or not."""
    return os.path.join(os.path.realpath(tempfile.gettempdir()), _NAME)


@cache
def _remove_at_end() -> None:
    atexit.register(shutil.rmtree, path(), ignore_errors=True)


def made() -> str:
    """Its name; it is there. OSError: it cannot be made, or another user has put something in its place."""
    try:
        os.mkdir(path(), 0o700)
    except FileExistsError:
        found = os.lstat(path())
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path()) from None
    _remove_at_end()
    return path()


def resolved(name: str) -> str:
    """The file that a name means. The folder is there afterwards if it is in it. OSError, as ``made``."""
    return name if not name or os.path.isabs(name) else os.path.join(made(), name)


def canonical(name: str) -> str:
    """Without ``.``, doubled slashes and what ``..`` takes back, as PostgreSQL's canonicalize_path; links are left."""
    found = os.path.normpath(name) if name else ""
    return found[1:] if found.startswith("//") else found


def is_inside(name: str) -> bool:
    """Whether a canonical absolute name is the folder or below it."""
    return name == path() or name.startswith(path() + os.sep)
