"""What a transaction has open: numbered descriptors, each with a place in its object.

They end with the transaction; those opened under a savepoint, with its rollback. One for reading alone sees the object
as it was when it was opened; one for writing, always the newest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aurora.errors import InvalidParameterValue, ObjectNotInPrerequisiteState, ProgramLimitExceeded, UndefinedObject
from aurora.kernels import clog as clog_kernel
from compute_node.catalog.large_objects import objects
from compute_node.catalog.large_objects.opened import command, opened
from compute_node.catalog.large_objects.pages import SIZE_MAX, Pages
from compute_node.catalog.rows import CatalogReader
from compute_node.types.acl import SELECT, UPDATE

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from compute_node.catalog.functions.call import Call
    from compute_node.txn.horizon import Hold

WRITE: Final = 0x20000
READ: Final = 0x40000
SET, CURRENT, END = 0, 1, 2
_READ_MAX: Final = 0x3FFFFFFF - 4
"""bytes of the greatest value"""


class Descriptor:
    """One open object."""

    def __init__(self, call: Call, oid: int, flags: int) -> None:
        if not flags & (READ | WRITE):
            raise InvalidParameterValue(f"invalid flags for opening a large object: {flags}")
        self.oid = oid
        self.writes = bool(flags & WRITE)
        self.offset = 0
        self._hold: Hold | None = None
        self._writing: Pages | None = None
        self._snapshot: Snapshot | None = None
        txns, txn = call.engine.storage.txns, call.txn
        if not self.writes:
            lsn = txn.snapshot_lsn or txn.oldest_lsn or txns.vdl
            self._snapshot = clog_kernel.Snapshot(lsn, txn.own, command(call))
            self._hold = txns.hold(lsn, "large object", txn)
        try:
            self._check(call)
        except BaseException:
            self.close()
            raise

    def _check(self, call: Call) -> None:
        """42704, 42501."""
        storage, catalogs = call.engine.storage, call.engine.catalog.catalogs
        record = objects.metadata(CatalogReader(storage, self._moment(call), catalogs), self.oid)
        # One for writing may be read, too.
        objects.check_privilege(call, record, SELECT)
        if self.writes:
            objects.check_privilege(call, record, UPDATE)

    def _moment(self, call: Call) -> Snapshot:
        if self._snapshot is not None:
            return self._snapshot
        storage = call.engine.storage
        call.txn.depend(storage.locks.last_commit_lsn)
        return storage.txns.latest_snapshot(call.txn)

    def pages(self, call: Call) -> Pages:
        """Its object's bytes, as it sees them."""
        return Pages(call.engine.storage, call.engine.catalog.catalogs, self.oid, lambda: self._moment(call))

    def pages_to_write(self, call: Call, what: str) -> Pages:
        """The same, for changing them: nobody else does so now, nor removes it. 42704"""
        objects.changing(call, what)
        # A rollback to a savepoint lets the lock go.
        if self._writing is None or not objects.is_locked(call, self.oid):
            ctx = objects.writable(call, what)
            objects.lock_existing(ctx, self.oid)
            self._writing = objects.pages_to_write(ctx, self.oid)
        return self._writing

    def seek(self, call: Call, offset: int, whence: int) -> int:
        """Move; returns the place. 22023."""
        if whence == CURRENT:
            offset += self.offset
        elif whence == END:
            offset += self.pages(call).size()
        elif whence != SET:
            raise InvalidParameterValue(f"invalid whence setting: {whence}")
        if not 0 <= offset <= SIZE_MAX:
            raise InvalidParameterValue(f"invalid large object seek target: {offset}")
        self.offset = offset
        return offset

    def read(self, call: Call, count: int) -> bytes:
        """The next bytes. 54000"""
        if count > _READ_MAX:
            raise ProgramLimitExceeded("large object read request is too large")
        data = self.pages(call).read(self.offset, count)
        self.offset += len(data)
        return data

    def write(self, call: Call, data: bytes, what: str) -> int:
        """Put bytes there; returns how many."""
        if data:
            self.pages_to_write(call, what).write(self.offset, data)
            self.offset += len(data)
        return len(data)

    def close(self) -> None:
        """It sees nothing any more."""
        if self._hold is not None:
            self._hold.release()
            self._hold = None


def add(call: Call, descriptor: Descriptor) -> int:
    """Its number: the least that is free."""
    table = opened(call.txn)
    number = table.add(descriptor)

    def undo() -> None:
        if table.get(number) is descriptor:
            table.close(number)

    call.txn.on_undo(undo)
    return number


def find(call: Call, number: int) -> Descriptor:
    """42704"""
    found = opened(call.txn).get(number)
    if found is None:
        raise UndefinedObject(f"invalid large-object descriptor: {number}")
    return found


def find_to_write(call: Call, number: int) -> Descriptor:
    """42704, 55000."""
    found = find(call, number)
    if not found.writes:
        raise ObjectNotInPrerequisiteState(f"large object descriptor {number} was not opened for writing")
    return found
