"""The instance's own folder, which ``data_directory`` shows: relative names of the server's files are names in it.

An instance keeps no data on its machine. The folder is the process's alone (mode 0700), made when it is first needed,
with nothing in it that the process put there by itself, and removed when the process ends.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import shutil
import tempfile
from functools import cache
from typing import Final

_NAME: Final = f"aurora-{os.getpid()}-{secrets.token_hex(8)}"


@cache
def path() -> str:
    """Its name, whether it is there yet or not."""
    return os.path.join(os.path.realpath(tempfile.gettempdir()), _NAME)


@cache
def _made() -> str:
    os.mkdir(path(), 0o700)
    atexit.register(shutil.rmtree, path(), ignore_errors=True)
    return path()


def resolved(name: str) -> str:
    """The file that a name means. The folder is there afterwards if it is in it. OSError is the caller's to meet at
    the file itself."""
    if not name or os.path.isabs(name):
        return name
    with contextlib.suppress(OSError):
        _made()
    return os.path.join(path(), name)


def canonical(name: str) -> str:
    """Without ``.``, doubled slashes and what ``..`` takes back, as PostgreSQL's canonicalize_path; links are left."""
    found = os.path.normpath(name) if name else ""
    return found[1:] if found.startswith("//") else found


def is_inside(name: str) -> bool:
    """Whether a canonical absolute name is the folder or below it."""
    return name == path() or name.startswith(path() + os.sep)
