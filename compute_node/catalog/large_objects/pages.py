"""The bytes of one large object: read under a snapshot, written by a transaction that holds the object's lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from aurora.datum import Row
from aurora.errors import InvalidParameterValue, InvariantViolation
from compute_node.access.index_access import ScanKey, equality_keys
from compute_node.access.toast import AT_LEAST, AT_MOST
from compute_node.catalog.rows import CatalogReader, CatalogRows, Record
from compute_node.hub import HUB
from compute_node.relations.schema import CATALOGS, SystemCatalogs

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from compute_node.access.storage import Storage

PAGE: Final = 2048
SIZE_MAX: Final = (2**31 - 1) * PAGE
_PAGES: Final = CATALOGS["pg_largeobject"]
_NUMBER: Final = (_PAGES.position["pageno"] + 1,)
_NUMBER_AND_DATA: Final = (*_NUMBER, _PAGES.position["data"] + 1)


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

    def _scan(self, keys: list[ScanKey], columns: tuple[int, ...], backward: bool = False) -> Iterator[list[Row]]:
        """Columns and addresses of its rows that meet the keys too, in order, a batch at a time."""
        desc = self._catalogs.tables["pg_largeobject"].desc
        access = self._storage.table(desc).index(desc.indexes[0])
        return access.scan(self._moment(), [*equality_keys((self.oid,)), *keys], backward, columns, True)

    def _page(self, number: int) -> Record | None:
        reader = CatalogReader(self._storage, self._moment(), self._catalogs)
        return reader.one("pg_largeobject", loid=self.oid, pageno=number)

    def size(self) -> int:
        """Bytes up to the end of the last row."""
        for rows in self._scan([], _NUMBER, True):
            last = self._page(rows[0][0])
            if last is not None:
                return int(last.pageno) * PAGE + len(last.data)
        return 0

    def read(self, offset: int, count: int) -> bytes:
        """Up to ``count`` bytes from there; what nobody has written reads as zeros."""
        end = min(offset + count, self.size())
        if offset >= end:
            return b""
        parts = []
        keys = [ScanKey(1, AT_LEAST, offset // PAGE), ScanKey(1, AT_MOST, (end - 1) // PAGE)]
        for rows in self._scan(keys, _NUMBER_AND_DATA):
            for number, data, _ in rows:
                start = number * PAGE
                if start > offset:
                    parts.append(bytes(start - offset))
                    offset = start
                parts.append(bytes(data[offset - start : end - start]))
                offset += len(parts[-1])
            HUB.pulse()
        parts.append(bytes(end - offset))
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
        self._delete([ScanKey(1, AT_LEAST, number + 1)])
        last = self._page(number)
        if last is None:
            self._rows.insert("pg_largeobject", loid=self.oid, pageno=number, data=bytes(within))
        elif len(last.data) != within:
            self._rows.update("pg_largeobject", last, data=bytes(last.data[:within]).ljust(within, b"\0"))

    def remove(self) -> None:
        """Delete all rows."""
        self._delete([])

    def _delete(self, keys: list[ScanKey]) -> None:
        rows = self._rows
        for batch in self._scan(keys, _NUMBER):
            for number, tid in batch:
                rows.delete("pg_largeobject", Record(_PAGES.position, (self.oid, number, None), tid))
                HUB.pulse()
