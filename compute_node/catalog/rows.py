"""Rows of the system catalogs: values by column name → whole rows, written through the tables' own access code.

``make_row`` fills what a caller leaves out with the column's neutral value (NULL where it may be). ``CatalogRows``
reads and writes on behalf of one transaction. It is used by bootstrap and DDL alike, so that a built-in and a user's
object differ in nothing but their OID. After each write the transaction's command counter moves on, so that the next
read sees it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from aurora.datum import Datum, Row
from aurora.errors import InvariantViolation
from compute_node.access.index_access import equality_keys
from compute_node.relations.schema import CATALOGS, INITIAL, CatalogTable, SystemCatalogs

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from compute_node.access.storage import Storage
    from compute_node.txn.transaction import Txn


_OWNER = {"pg_enum": "enumtypid", "pg_amop": "amopfamily", "pg_amproc": "amprocfamily"}
"""The column that says of which object a row is a part, in catalogs of parts."""
_NEUTRAL: dict[int, Any] = {16: False, 18: "", 19: "", 25: "", 194: "", 22: [], 30: [], 700: 0.0, 701: 0.0}


def _neutral_row(table: CatalogTable) -> list[Datum]:
    return [_NEUTRAL.get(column.type, 0) if column.not_null else None for column in table.desc.columns]


_NEUTRAL_ROWS = {name: _neutral_row(table) for name, table in CATALOGS.items()}


def make_row(catalog: str, values: dict[str, Datum]) -> Row:
    """A whole row of ``catalog`` from some of its columns; KeyError for a column it does not have."""
    position = CATALOGS[catalog].position
    row = list(_NEUTRAL_ROWS[catalog])
    for name, value in values.items():
        row[position[name]] = value
    return tuple(row)


class Record:
    """A row read from a catalog: its columns as attributes, its place in ``tid``."""

    __slots__ = ("_position", "tid", "values")

    def __init__(self, position: dict[str, int], values: Row, tid: int) -> None:
        self._position = position
        self.values = values
        self.tid = tid

    def __getattr__(self, name: str) -> Datum:
        try:
            return self.values[self._position[name]]
        except KeyError:
            raise AttributeError(name) from None


class CatalogReader:
    """Reads catalogs as of ``snapshot``, which its owner holds; without one each ``find`` sees the committed state of
    its moment."""

    def __init__(self, storage: Storage, snapshot: Snapshot | None = None, catalogs: SystemCatalogs = INITIAL) -> None:
        self.storage = storage
        self.catalogs = catalogs
        self._snapshot = snapshot
        self.new_labels: set[int] = set()
        """OIDs of the labels that the transaction has added to enums"""

    @contextmanager
    def at_one_moment(self) -> Iterator[CatalogReader]:
        """A reader that sees what is committed now for as long as the ``with`` lasts: pages may have to be waited for,
        and meanwhile rows may be replaced and pruned."""
        if self._snapshot is not None:
            yield self
            return
        with self._moment() as snapshot:
            made = CatalogReader(self.storage, snapshot, self.catalogs)
            made.new_labels = self.new_labels
            yield made

    def _moment(self) -> AbstractContextManager[Snapshot]:
        return self.storage.txns.reading("catalog")

    def find(self, catalog: str, **key: Datum) -> list[Record]:
        """The rows whose columns equal ``key``: by the index on exactly these leading columns, else by a scan."""
        if self._snapshot is not None:
            return self._find(self._snapshot, catalog, key)
        with self._moment() as snapshot:
            return self._find(snapshot, catalog, key)

    def _find(self, snapshot: Snapshot, catalog: str, key: dict[str, Datum]) -> list[Record]:
        table = self.catalogs.tables[catalog]
        heap = self.storage.table(table.desc)
        every = tuple(range(1, len(table.desc.columns) + 1))
        names = tuple(key)
        index = next((each for each in table.desc.indexes if self._leads(table, each.columns, names)), None)
        if index is None:
            wanted = [(table.position[name], value) for name, value in key.items()]
            rows: Iterable[Row] = (
                row
                for batch in heap.scan(snapshot, every, True)
                for row in batch
                if all(row[at] == value for at, value in wanted)
            )
        else:
            by_attno = {table.position[name] + 1: value for name, value in key.items()}
            values = tuple(by_attno[attno] for attno in index.columns[: len(names)])
            access = heap.index(index)
            if len(values) == len(index.columns):
                rows = access.lookup(snapshot, values, every, True)
            else:
                rows = (
                    row for batch in access.scan(snapshot, equality_keys(values), False, every, True) for row in batch
                )
        return [Record(table.position, row[:-1], row[-1]) for row in rows]

    @staticmethod
    def _leads(table: CatalogTable, columns: Sequence[int], names: Sequence[str]) -> bool:
        return {table.position[name] + 1 for name in names} == set(columns[: len(names)])

    def one(self, catalog: str, **key: Datum) -> Record | None:
        """The only row with that key, None without one."""
        found = self.find(catalog, **key)
        if len(found) > 1:
            raise InvariantViolation(f"{len(found)} rows of {catalog} have {key}")
        return found[0] if found else None

    def all(self, catalog: str) -> list[Record]:
        """Every row."""
        return self.find(catalog)


class CatalogRows(CatalogReader):
    """Reads and writes as one transaction, which sees its own changes."""

    def __init__(self, storage: Storage, txn: Txn, catalogs: SystemCatalogs = INITIAL) -> None:
        super().__init__(storage, None, catalogs)
        self.txn = txn
        self.written: dict[str, set[int]] = {}
        """by catalog, the OIDs of the rows written (of a part's row: of the object that it is a part of)"""
        self.unseen: dict[str, set[int]] = {}
        """the same of those written since the transaction's catalog layer was made"""
        self.made: list[tuple[str, int]] | None = None
        """(catalog, OID) of the rows that are added, while somebody wants to know (``catalog/ddl/extensions``)"""

    def snapshot(self) -> Snapshot:
        """The committed state now, and this transaction's own changes; the transaction holds it."""
        return self.storage.txns.latest_snapshot(self.txn)

    def _moment(self) -> AbstractContextManager[Snapshot]:
        return nullcontext(self.snapshot())

    def insert(self, catalog: str, **values: Datum) -> None:
        """Add one row."""
        self.insert_many(catalog, [make_row(catalog, values)])

    def insert_many(self, catalog: str, rows: list[Row]) -> None:
        """Add whole rows."""
        if rows:
            self._note(catalog, rows)
            if self.made is not None and (place := self.catalogs.tables[catalog].position.get("oid")) is not None:
                self.made += [(catalog, row[place]) for row in rows]
            table = self.storage.table(self.catalogs.tables[catalog].desc)
            if len(rows) < 8:
                for row in rows:
                    table.insert(self.txn, row)
            else:
                table.insert_many(self.txn, rows)
            self._advance()

    def update(self, catalog: str, record: Record, **values: Datum) -> None:
        """Replace columns of a row. InvariantViolation when another transaction changed it: DDL locks what it
        changes."""
        table = self.catalogs.tables[catalog]
        self._note(catalog, [record.values])
        changed = tuple(table.position[name] + 1 for name in values)
        new = list(record.values)
        for name, value in values.items():
            new[table.position[name]] = value
        done = self.storage.table(table.desc).update(
            self.txn, self.snapshot(), record.tid, tuple(new), changed, lambda _: None
        )
        if done is None:
            raise InvariantViolation(f"row {record.values[:2]} of {catalog} changed under a catalog update")
        self._advance()

    def delete(self, catalog: str, record: Record) -> None:
        """Remove a row; one that another transaction removed first is as good as removed."""
        self._note(catalog, [record.values])
        table = self.storage.table(self.catalogs.tables[catalog].desc)
        table.delete(self.txn, self.snapshot(), record.tid, lambda row, at: True, ())
        self._advance()

    def delete_where(self, catalog: str, **key: Datum) -> int:
        """Remove the rows with that key; returns how many."""
        found = self.find(catalog, **key)
        for record in found:
            self.delete(catalog, record)
        return len(found)

    def _note(self, catalog: str, rows: Iterable[Row]) -> None:
        position = self.catalogs.tables[catalog].position.get(_OWNER.get(catalog, "oid"))
        oids = set() if position is None else {row[position] for row in rows}
        for noted in (self.written, self.unseen):
            noted.setdefault(catalog, set()).update(oids)

    def _advance(self) -> None:
        self.txn.cid += 1
