"""lo_open, loread, lowrite, lo_get … (manual, 35.3 and 35.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aurora.datum import Datum
from aurora.errors import InvalidParameterValue, NumericValueOutOfRange
from compute_node.catalog.functions.call import Call
from compute_node.catalog.large_objects import objects
from compute_node.catalog.large_objects.descriptors import (
    END,
    READ,
    SET,
    WRITE,
    Descriptor,
    add,
    find,
    find_to_write,
)
from compute_node.catalog.large_objects.opened import opened
from compute_node.work import server_files

_INT4_MAX: Final = 2**31 - 1
_COPIED: Final = 65536


def _creat(call: Call, mode: int) -> int:
    return objects.create(call, 0, "lo_creat")


def _create(call: Call, oid: int) -> int:
    return objects.create(call, oid, "lo_create")


def _open(call: Call, oid: int, flags: int) -> int:
    return add(call, Descriptor(call, oid, flags))


def _close(call: Call, number: int) -> int:
    find(call, number)
    opened(call.txn).close(number)
    return 0


def _read(call: Call, number: int, count: int) -> bytes:
    return find(call, number).read(call, max(count, 0))


def _write(call: Call, number: int, data: bytes) -> int:
    return find_to_write(call, number).write(call, data, "lowrite")


def _short(value: int, what: str, number: int) -> int:
    if value > _INT4_MAX:
        raise NumericValueOutOfRange(f"{what} result out of range for large-object descriptor {number}")
    return value


def _seek(call: Call, number: int, offset: int, whence: int) -> int:
    return _short(find(call, number).seek(call, offset, whence), "lo_lseek", number)


def _seek64(call: Call, number: int, offset: int, whence: int) -> int:
    return find(call, number).seek(call, offset, whence)


def _tell(call: Call, number: int) -> int:
    return _short(find(call, number).offset, "lo_tell", number)


def _truncate(call: Call, number: int, size: int) -> int:
    find_to_write(call, number).pages_to_write(call, "lo_truncate").truncate(size)
    return 0


def _unlink(call: Call, oid: int) -> int:
    ctx = objects.writable(call, "lo_unlink")
    objects.remove(ctx, objects.lock_existing(ctx, oid, not objects.compatible(call)))
    return 1


def _from_bytes(call: Call, oid: int, data: bytes) -> int:
    oid = objects.create(call, oid, "lo_from_bytea")
    objects.pages_to_write(objects.writable(call, "lo_from_bytea"), oid).write(0, data)
    return oid


def _get(call: Call, oid: int, offset: int = 0, count: int | None = None) -> bytes:
    if count is not None and count < 0:
        raise InvalidParameterValue("requested length cannot be negative")
    descriptor = Descriptor(call, oid, READ)
    try:
        size = descriptor.seek(call, 0, END)
        descriptor.seek(call, offset, SET)
        wanted = max(size - offset, 0)
        if count is not None:
            wanted = min(wanted, count)
        return descriptor.read(call, wanted)
    finally:
        descriptor.close()


def _put(call: Call, oid: int, offset: int, data: bytes) -> str:
    descriptor = Descriptor(call, oid, WRITE)
    descriptor.seek(call, offset, SET)
    descriptor.write(call, data, "lo_put")
    return ""


def _import(call: Call, name: str, oid: int = 0) -> int:
    with server_files.opened(name, True) as file:
        oid = objects.create(call, oid, "lo_import")
        descriptor = Descriptor(call, oid, WRITE)
        while data := file.read(_COPIED):
            descriptor.write(call, data, "lo_import")
    return oid


def _export(call: Call, oid: int, name: str) -> int:
    descriptor = Descriptor(call, oid, READ)
    try:
        with server_files.opened(name, False) as file:
            while data := descriptor.read(call, _COPIED):
                file.write(data)
    finally:
        descriptor.close()
    return 1


FUNCTIONS: dict[str, Callable[..., Datum]] = {
    "lo_creat": _creat,
    "lo_create": _create,
    "lo_open": _open,
    "lo_close": _close,
    "loread": _read,
    "lowrite": _write,
    "lo_lseek": _seek,
    "lo_lseek64": _seek64,
    "lo_tell": _tell,
    "lo_tell64": lambda call, number: find(call, number).offset,
    "lo_truncate": _truncate,
    "lo_truncate64": _truncate,
    "lo_unlink": _unlink,
    "lo_from_bytea": _from_bytes,
    "lo_get": _get,
    "lo_put": _put,
    "lo_import": _import,
    "lo_export": _export,
}
