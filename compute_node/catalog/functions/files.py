"""Files of the machine that the instance runs on: what may be named, read, listed (manual, 9.27.9).

Whoever may call one of these functions names files in the instance's folder; superusers and members of
``pg_read_server_files`` name any file. The log, what waits to be archived and temporary files are not files that have
names here: the storage nodes keep the log, and a temporary file has no name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TypeVar

from aurora.datum import Datum, Row
from aurora.errors import InsufficientPrivilege, InvalidParameterValue, UndefinedObject
from compute_node.catalog.functions.call import Call
from compute_node.catalog.functions.server import has_predefined_role
from compute_node.session.results import decode_text
from compute_node.types.long_text import joined_bytes
from compute_node.work import instance_folder, server_files
from compute_node.work.account import Account

_T = TypeVar("_T")
_POSTGRES_EPOCH_US = 946_684_800_000_000
_LOG_FOLDER = "log"
"""log_directory's default; the server's messages go to its standard error, and the folder is not there"""


def _named(call: Call, name: str) -> str:
    """The canonical form of a name that the caller may use. 42501."""
    found = instance_folder.canonical(name)
    if has_predefined_role(call, "pg_read_server_files"):
        return found
    if os.path.isabs(found):
        if not instance_folder.is_inside(found):
            raise InsufficientPrivilege("absolute path not allowed")
    elif found.split(os.sep, 1)[0] == os.pardir:
        raise InsufficientPrivilege("path must be in or below the current directory")
    return found


def _read(call: Call, name: str, part: tuple[Datum, ...], made: Callable[[list[bytes]], _T]) -> _T | None:
    offset, count, missing_ok = (*part, False)[:3] if part else (0, None, False)
    if count is not None and count < 0:
        raise InvalidParameterValue("requested length cannot be negative")
    account = Account()
    try:
        pieces = server_files.read_part(account, _named(call, name), offset, count, missing_ok)
        return None if pieces is None else made(pieces)
    finally:
        account.close()


def _text(pieces: list[bytes]) -> str:
    return decode_text(joined_bytes(pieces))


def read_binary_file(call: Call, name: str, *part: Datum) -> bytes | None:
    """pg_read_binary_file: of the whole, or of an offset, a length and whether the file may be missing."""
    return _read(call, name, part, joined_bytes)


def read_file(call: Call, name: str, *part: Datum) -> str | None:
    """pg_read_file: the same as text. 22021."""
    return _read(call, name, part, _text)


def read_file_old(call: Call, name: str, offset: int, count: int) -> str | None:
    """pg_read_file_old, for superusers, to the end where the length is below 0. 42501."""
    if not call.session.superuser:
        raise InsufficientPrivilege(
            "must be superuser to read files with adminpack 1.0",
            hint="Consider using pg_read_file(), which is part of core, instead.",
        )
    return _read(call, name, (offset, None if count < 0 else count), _text)


def list_folder(call: Call, name: str, missing_ok: bool = False, with_dots: bool = False) -> Iterator[str]:
    """pg_ls_dir."""
    found = server_files.names(_named(call, name), missing_ok)
    if found is not None:
        yield from (os.curdir, os.pardir) if with_dots else ()
        yield from found


def _moment(unix_us: int) -> int:
    """A file's times are shown in whole seconds."""
    return unix_us // 1_000_000 * 1_000_000 - _POSTGRES_EPOCH_US


def describe(call: Call, name: str, missing_ok: bool = False) -> Row | None:
    """pg_stat_file: NULL for a file that is missing and may be."""
    found = server_files.facts_of(_named(call, name), missing_ok)
    if found is None:
        return None
    times = [_moment(each) for each in (found.accessed_us, found.modified_us, found.changed_us)]
    return (found.size, *times, None, found.is_folder)


def log_folder(call: Call) -> Iterator[Row]:
    """pg_ls_logdir. 58P01: there is no such folder, unless somebody makes one in the instance's."""
    for entry in server_files.regular_files(_LOG_FOLDER):
        yield entry.name, entry.size, _moment(entry.modified_us)


def temporary_files(call: Call, tablespace: int | None = None) -> Iterator[Row]:
    """pg_ls_tmpdir: temporary files have no names. 42704."""
    if tablespace is not None and call.reader.one("pg_tablespace", oid=tablespace) is None:
        raise UndefinedObject(f"tablespace with OID {tablespace} does not exist")
    return iter(())


def slot_files(call: Call, slot: str) -> Iterator[Row]:
    """pg_ls_replslotdir: there are no slots. 42704."""
    raise UndefinedObject(f'replication slot "{slot}" does not exist')


def _none(_call: Call) -> Iterator[Row]:
    return iter(())


FUNCTIONS: dict[str, Callable[..., Datum]] = {
    "pg_ls_dir": list_folder,
    "pg_read_file": read_file,
    "pg_read_file_old": read_file_old,
    "pg_read_binary_file": read_binary_file,
    "pg_stat_file": describe,
    "pg_ls_logdir": log_folder,
    "pg_ls_waldir": _none,
    "pg_ls_archive_statusdir": _none,
    "pg_ls_tmpdir": temporary_files,
    "pg_ls_logicalsnapdir": _none,
    "pg_ls_logicalmapdir": _none,
    "pg_ls_replslotdir": slot_files,
}
