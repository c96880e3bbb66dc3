"""The bytes of one large object: read under a snapshot, written by a transaction that holds the object's lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from aurora.errors import InvalidParameterValue, InvariantViolation
from compute_node.access.index_access import equality_keys
from compute_node.catalog.rows import CatalogReader, CatalogRows, Record
from compute_node.hub import HUB
from compute_node.relations.schema import CATALOGS, SystemCatalogs

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from compute_node.access.storage import Storage

PAGE: Final = 2048
SIZE_MAX: Final = (2**31 - 1) * PAGE
_PAGES: Final = CATALOGS["pg_largeobject"]
_COLUMNS: Final = tuple(range(1, len(_PAGES.desc.columns) + 1))


class Pages:
    """One object's. ``moment`` gives the snapshot to read with; ``rows`` writes, None for who only reads."""

    def __init__(
        self,
        storage: Storage,
        catalogs: SystemCatalogs,
        oid: int,
        moment: Callable[[], Snapshot],
        rows: CatalogRows | None = None,
    ) -> None:
        self._storage, self._catalogs, self.oid, self._moment, self._changes = storage, catalogs, oid, moment, rows

    @property
    def _rows(self) -> CatalogRows:
        if self._changes is None:
            raise InvariantViolation(f"large object {self.oid} was not opened for writing")
        return self._changes

    def _backward(self) -> Iterator[Record]:
        """The rows from the last on."""
        desc = self._catalogs.tables["pg_largeobject"].desc
        access = self._storage.table(desc).index(desc.indexes[0])
        for batch in access.scan(self._moment(), equality_keys((self.oid,)), True, _COLUMNS, True):
            for row in batch:
                yield Record(_PAGES.position, row[:-1], row[-1])

    def _page(self, number: int) -> Record | None:
        reader = CatalogReader(self._storage, self._moment(), self._catalogs)
        return reader.one("pg_largeobject", loid=self.oid, pageno=number)

    def size(self) -> int:
        """Bytes up to the end of the last row."""
        last = next(self._backward(), None)
        return 0 if last is None else last.pageno * PAGE + len(last.data)

    def read(self, offset: int, count: int) -> bytes:
        """Up to ``count`` bytes from there; what nobody has written reads as zeros."""
        end = min(offset + count, self.size())
        parts = []
        while offset < end:
            number, within = divmod(offset, PAGE)
            record = self._page(number)
            wanted = min(PAGE - within, end - offset)
            part = b"" if record is None else bytes(record.data[within : within + wanted])
            parts.append(part + bytes(wanted - len(part)))
            offset += wanted
            HUB.pulse()
        return b"".join(parts)

    def write(self, offset: int, data: bytes) -> None:
        """Put the bytes there. 22023 for what would reach beyond the greatest size."""
        if offset + len(data) > SIZE_MAX:
            raise InvalidParameterValue(f"invalid large object write request size: {len(data)}")
        at = 0
        while at < len(data):
            number, within = divmod(offset + at, PAGE)
            part = data[at : at + PAGE - within]
            record = self._page(number)
            old = b"" if record is None else bytes(record.data)
            new = old[:within].ljust(within, b"\0") + part + old[within + len(part) :]
            if record is None:
                self._rows.insert("pg_largeobject", loid=self.oid, pageno=number, data=new)
            elif new != old:
                self._rows.update("pg_largeobject", record, data=new)
            at += len(part)
            HUB.pulse()

    def truncate(self, size: int) -> None:
        """Cut, or lengthen with zeros. 22023."""
        if not 0 <= size <= SIZE_MAX:
            raise InvalidParameterValue(f"invalid large object truncation target: {size}")
        number, within = divmod(size, PAGE)
        for record in list(self._from(number + 1)):
            self._rows.delete("pg_largeobject", record)
            HUB.pulse()
        last = self._page(number)
        if last is None:
            self._rows.insert("pg_largeobject", loid=self.oid, pageno=number, data=bytes(within))
        elif len(last.data) != within:
            self._rows.update("pg_largeobject", last, data=bytes(last.data[:within]).ljust(within, b"\0"))

    def _from(self, number: int) -> Iterator[Record]:
        for record in self._backward():
            if record.pageno < number:
                return
            yield record

    def remove(self) -> None:
        """Delete all rows."""
        for record in list(self._backward()):
            self._rows.delete("pg_largeobject", record)
            HUB.pulse()
