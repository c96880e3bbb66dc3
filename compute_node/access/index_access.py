"""The protocol of index access methods: what tables, vacuum, DDL and the executor ask of any index.

row values → ``RowKeys`` → keys → the method's entries; scan keys → row addresses → ``HeapReader`` → visible rows. A
method is a subclass of ``IndexAccess`` in a folder of its own (``btree``, ``hash``); ``methods.py`` finds it by the
index's access method. What a method can do is data: ``relations/access_methods.py``.

A scan may be lossy: it then gives rows that need not meet the keys, and the executor checks the conditions again. An
entry may stand for a row that no snapshot sees any more; only vacuum takes entries out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple, TypeAlias

from aurora.datum import Datum, Row
from aurora.errors import InvariantViolation, NotSupported, SqlError, UniqueViolation
from compute_node.access.read_ahead import FIRST_PAGES
from compute_node.access.stored import resolved
from compute_node.relations.access_methods import AccessMethod
from compute_node.relations.descriptors import IndexDesc, RelationDesc
from compute_node.txn.serializable import EVERYTHING, SerialSnapshot, Span
from compute_node.txn.transaction import Txn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aurora.kernels.python.clog import Snapshot
    from aurora.kernels.python.columns import Columns
    from aurora.kernels.python.tuples import Projection
    from compute_node.access.cache import Load
    from compute_node.access.dead_rows import DeadRows
    from compute_node.access.storage import Storage
    from compute_node.access.table_reader import ColumnRows, TableReader
    from compute_node.txn.serializable import SerialTxn
    from compute_node.work.account import Area


Found: TypeAlias = "NDArray[np.uint8]"
KeyedRows: TypeAlias = "tuple[NDArray[np.int64], ColumnRows]"
"""(the number of the key of each row, the rows by column)"""


Finder: TypeAlias = "Callable[[Snapshot, Row], list[Row]]"
"""(snapshot, values of the whole key) → rows"""
Settings = Callable[[str, bool], str | None]
"""Name of a setting, and whether there need not be one → its text"""
BATCH_VALUES = 1 << 18
"""A batch by columns has at most about so many values"""


class ScanKey(NamedTuple):
    """One condition on key columns: ``column`` (from 0) ``strategy`` of its operator class ``value``, or
    ``IS_NULL``/``NOT_NULL``. A comparison of rows covers ``width`` columns from there on, and ``value`` is a tuple.
    Of an ordering operator ``measure`` is its function. ``kind``: the value's type, where each class has its own
    strategies; ``settings``: the session's, where a condition may depend on them."""

    column: int
    strategy: int
    value: Datum = None
    width: int = 1
    measure: Callable[..., float] | None = None
    kind: int = 0
    settings: Settings | None = None


def equality_keys(values: Sequence[Datum], strategy: int = 3) -> list[ScanKey]:
    """Equality on the leading columns (``strategy``: the method's number of equality)."""
    return [ScanKey(column, strategy, value) for column, value in enumerate(values)]


class RowExpression(NamedTuple):
    """A compiled expression of an index: its value for a whole row, the columns it reads (0: the whole row), and the
    text that messages show."""

    value: Callable[[Row], Datum]
    attnos: frozenset[int]
    shown: str


class RowKeys:
    """From a row to its key in one index: columns, expressions over the row, and the predicate of a partial index."""

    def __init__(self, storage: Storage, table: RelationDesc, desc: IndexDesc) -> None:
        self.positions = tuple(attno - 1 for attno in desc.columns)
        self.is_plain = not desc.expressions and desc.predicate is None
        self._expressions: list[Callable[[Row], Datum]] = []
        self._predicate: Callable[[Row], Datum] | None = None
        used = {attno for attno in desc.columns if attno > 0}
        shown: list[str] = []
        if not self.is_plain:
            compile_row = storage.compile_row_expression
            if compile_row is None:
                raise NotSupported("indexes on expressions and partial indexes are not supported")
            for text in desc.expressions:
                expression = compile_row(table, text)
                self._expressions.append(expression.value)
                shown.append(f"({expression.shown})" if text.startswith("(") else expression.shown)
                used |= expression.attnos
            if desc.predicate is not None:
                predicate = compile_row(table, desc.predicate)
                self._predicate = predicate.value
                used |= predicate.attnos
        texts = iter(shown)
        self.names = [table.columns[attno - 1].name if attno else next(texts) for attno in desc.columns]
        """the key columns as messages name them"""
        self.attnos = frozenset(used)
        """the columns on which the row's entries depend; 0: on all of them"""
        self.columns = tuple(desc.columns) if self.is_plain else tuple(range(1, len(table.columns) + 1))
        """what ``of`` needs of a row when only some columns are read, in order"""

    def depends_on(self, changed: set[int]) -> bool:
        """Whether a change of these columns may change the row's entries."""
        return 0 in self.attnos or not self.attnos.isdisjoint(changed)

    def of(self, values: Sequence[Datum]) -> Row | None:
        """The key of a whole row; None when the index's predicate leaves it out."""
        if self.is_plain:
            return tuple([values[position] for position in self.positions])
        row = tuple(values)
        if self._predicate is not None and self._predicate(row) is not True:
            return None
        if not self._expressions:
            return tuple([row[position] for position in self.positions])
        expressions = iter(self._expressions)
        return tuple([row[position] if position >= 0 else next(expressions)(row) for position in self.positions])


class HeapReader:
    """Visible rows of row addresses, in the order of the addresses."""

    def __init__(self, table: TableReader) -> None:
        self._file = table.file
        self._codec = table.codec
        self._toasted = table.desc.toast is not None
        self._cache = table.storage.cache
        self._fetch_many = table.heap.fetch_many
        self._fetch_columns = table.heap.fetch_columns

    def rows(self, snapshot: Snapshot, tids: list[int], proj: Projection) -> Iterator[list[Row]]:
        """All in one batch when their pages are here and their values not too long."""
        found = self._rows(snapshot, tids, proj)
        return self._resolving(found, proj) if self._toasted and proj.eager else found

    def _resolving(self, found: Iterator[list[Row]], proj: Projection) -> Iterator[list[Row]]:
        """Batches with values in place of handles; one without handles passes unseen."""
        codec = self._codec
        seen = codec.handles
        for rows in found:
            if codec.handles == seen:
                yield rows
            else:
                seen = codec.handles
                yield from resolved(rows, proj.eager)

    def put(self, snapshot: Snapshot, tids: list[int], columns: Columns, found: Found | None = None) -> None:
        """The rows into ``columns``, which has room for them. ``found``: becomes 1 for each address with a row."""
        if self._fetch_columns(snapshot, tids, columns, found) is not None:
            start = 0
            for part in self._read_ahead(tids):
                flags = None if found is None else found[start : start + len(part)]
                while (missing := self._fetch_columns(snapshot, part, columns, flags)) is not None:
                    self._cache.load(missing)
                start += len(part)

    def _rows(self, snapshot: Snapshot, tids: list[int], proj: Projection) -> Iterator[list[Row]]:
        rows = self._fetch_many(snapshot, tids, proj)
        if type(rows) is list:
            yield rows
            return
        for part in self._read_ahead(tids):
            while isinstance(rows := self._fetch_many(snapshot, part, proj), int):
                self._cache.load(rows)
            yield rows

    def _read_ahead(self, tids: list[int]) -> Iterator[list[int]]:
        # Parts, so that they fit a small cache, and so that each is on its way while the one before is looked at.
        page_no = self._file.map.page_no
        parts = list(_parts(tids, self._cache.read_ahead_pages))
        loads: list[Load | None] = []
        try:
            for at, part in enumerate(parts):
                for wanted in parts[at : at + 2] if not at else parts[at + 1 : at + 2]:
                    loads.append(self._cache.read_ahead(dict.fromkeys(page_no(tid >> 16) for tid in wanted)))
                yield part
        finally:
            for load in loads:
                if load is not None:
                    load.cancel()


class Built:
    """What a build has seen: the table's live rows, and the entries that it made of them."""

    __slots__ = ("entries", "rows")

    def __init__(self) -> None:
        self.rows = self.entries = 0


class IndexAccess(ABC):
    """One index of a table. Constructed for an index whose relation file exists; ``build`` fills a new one. It has the
    table's reader, not the ``Table``, which has its indexes: nothing here is a circle that only the garbage collector
    could free."""

    method: ClassVar[AccessMethod]

    def __init__(self, table: TableReader, desc: IndexDesc) -> None:
        storage = table.storage
        self.table = table
        self.built = Built()
        self.desc = desc
        self.unique = desc.unique
        self.relfile = desc.relfile
        self.file = storage.file(desc.relfile)
        self.counts = storage.counts.relation(table.desc.database, desc.oid)
        self.keys = RowKeys(storage, table.desc, desc)
        self.serial_id = table.desc.database << 32 | desc.oid if table.serial_id else 0
        self.is_row_key = desc.unique and self.keys.is_plain
        """a change of its columns is a change of the row's key, which FOR KEY SHARE holds against"""
        self._storage = storage
        self._cache = storage.cache
        self._load = storage.cache.load
        self._heap = table.heap
        self._reader = HeapReader(table)

    # Building

    @abstractmethod
    def build(self, txn: Txn) -> None:
        """Fill the new, empty index from the rows of the table; the caller holds a lock that keeps writers out.
        Entries are made for the latest committed versions and the transaction's own; a snapshot older than those must
        not use the index. Errors: 23505 "could not create unique index", 54000."""

    # Reading

    @abstractmethod
    def lookup(self, snapshot: Snapshot, key_values: Row, columns: tuple[int, ...], want_tid: bool) -> list[Row]:
        """Rows whose whole key equals ``key_values``; ``columns`` are attnos, the tid comes last with ``want_tid``."""

    def finder(self, columns: tuple[int, ...], want_tid: bool) -> Finder:
        """``lookup`` of these columns, for a statement that runs often."""

        def find(snapshot: Snapshot, key_values: Row) -> list[Row]:
            return self.lookup(snapshot, key_values, columns, want_tid)

        return find

    @abstractmethod
    def tids(self, keys: Sequence[ScanKey], backward: bool = False, area: Area | None = None) -> Iterator[list[int]]:
        """Row addresses of the entries that meet the keys, some at a time; in key order if the method is ordered. Not
        all of them have a visible row. What a method gathers is counted in ``area``. May wait between batches. Of a
        method for bitmaps alone slot 0 stands for all rows of a page."""

    def entered(self) -> Iterator[list[int]]:
        """The row addresses of all entries, some at a time, in no order and some more than once. Those that are entered
        meanwhile may be left out. Of a method without entries of rows: none. May wait between batches."""
        yield from self.tids(())

    def scan(
        self, snapshot: Snapshot, keys: Sequence[ScanKey], backward: bool, columns: tuple[int, ...], want_tid: bool
    ) -> Iterator[list[Row]]:
        """Visible rows of the entries that meet the keys, in the order of ``tids``."""
        if type(snapshot) is SerialSnapshot:
            self.note_span(snapshot, keys)
            rows = self.scan(snapshot.plain, keys, backward, columns, True)
            yield from self.table.noting(snapshot, rows, want_tid)
            return
        proj = self.table.projection(columns, want_tid)
        counts = self.counts
        counts.scans += 1
        for tids in self.tids(keys, backward):
            counts.returned += len(tids)
            for batch in self._reader.rows(snapshot, tids, proj):
                if batch:
                    counts.fetched += len(batch)
                    yield batch

    def scan_nearest(
        self,
        snapshot: Snapshot,
        keys: Sequence[ScanKey],
        orders: Sequence[ScanKey],
        columns: tuple[int, ...],
        want_tid: bool,
        area: Area,
    ) -> Iterator[list[Row]]:
        """``scan`` in the order of the values of ordering operators, the first one before the next. What has been
        found and is not the nearest is counted in ``area``."""
        if type(snapshot) is SerialSnapshot:
            self.note_span(snapshot, keys)
            rows = self.scan_nearest(snapshot.plain, keys, orders, columns, True, area)
            yield from self.table.noting(snapshot, rows, want_tid)
            return
        counts = self.counts
        counts.scans += 1
        for tids in self.nearest(snapshot, keys, orders, area):
            counts.returned += len(tids)
            for batch in self.table.fetch_chains(snapshot, tids, columns, want_tid):
                counts.fetched += len(batch)
                yield batch

    def nearest(
        self, snapshot: Snapshot, keys: Sequence[ScanKey], orders: Sequence[ScanKey], area: Area
    ) -> Iterator[list[int]]:
        """Row addresses for ``scan_nearest``."""
        raise InvariantViolation(f'index "{self.desc.name}" of method {self.method.name} knows no distances')

    def scan_columns(
        self, snapshot: Snapshot, keys: Sequence[ScanKey], backward: bool, columns: tuple[int, ...], kinds: str
    ) -> Iterator[ColumnRows]:
        """``scan`` by column, as ``Table.scan_columns``."""
        counts = self.counts
        counts.scans += 1
        for found in self.table.fetch_columns(snapshot, self._counted(keys, backward), columns, kinds):
            counts.fetched += found[0]
            yield found

    def rows_of_keys(
        self, snapshot: Snapshot, keys: list[Row], columns: tuple[int, ...], kinds: str
    ) -> Iterator[KeyedRows]:
        """The visible rows whose leading key columns equal each of ``keys``, in the order of the keys and, for each,
        of the index; by column as ``Table.scan_columns``. Not for serializable transactions."""
        raise InvariantViolation(f'index "{self.desc.name}" of method {self.method.name} has no rows of many keys')

    def _counted(self, keys: Sequence[ScanKey], backward: bool) -> Iterator[list[int]]:
        for tids in self.tids(keys, backward):
            self.counts.returned += len(tids)
            yield tids

    # Serializable transactions (``txn/serializable.py``)

    def span(self, keys: Sequence[ScanKey]) -> Span | None:
        """The range of ``entry_key`` in which entries that meet the keys are; None: there can be none."""
        return EVERYTHING

    def entry_key(self, values: Sequence[Datum]) -> bytes | None:
        """The row's place in the index for ``span``; None: it has no entry."""
        return b""

    def note_span(self, snapshot: SerialSnapshot, keys: Sequence[ScanKey]) -> None:
        """A serializable transaction reads what meets the keys."""
        if self.serial_id and (span := self.span(keys)) is not None:
            snapshot.reader.reads_span(self.serial_id, span)

    def note_entry(self, serial: SerialTxn, values: Sequence[Datum]) -> None:
        """It enters a row."""
        if self.serial_id and (key := self.entry_key(values)) is not None:
            serial.enters(self.serial_id, key)

    def noted_lookup(
        self, snapshot: SerialSnapshot, key_values: Row, columns: tuple[int, ...], want_tid: bool
    ) -> list[Row]:
        """``lookup`` of a serializable transaction."""
        self.note_span(snapshot, equality_keys(key_values, self.method.equality))
        rows = self.lookup(snapshot.plain, key_values, columns, True)
        return [row for batch in self.table.noting(snapshot, iter((rows,)), want_tid) for row in batch]

    # Writing

    @abstractmethod
    def add(self, txn: Txn, values: Sequence[Datum], tid: int, check: bool = True) -> int:
        """Enter the row at ``tid``. Errors: 23505, 40P01, 54000. ``check`` False: the key is known not to be a new
        one."""

    @abstractmethod
    def add_many(self, txn: Txn, rows: Sequence[Sequence[Datum]], tids: Sequence[int], check: bool = True) -> None:
        """Enter many rows at once, in the order that suits the method. ``check`` and errors as for ``add``, with
        ``row`` where it is known which one it was."""

    def try_add(self, txn: Txn, values: Sequence[Datum], tid: int) -> int:
        """``add`` that answers a unique conflict with 1 instead of an error; 0 when entered."""
        raise InvariantViolation(f'index "{self.desc.name}" of method {self.method.name} finds no conflicts')

    def recheck(self, txn: Txn, values: Sequence[Datum], tid: int) -> None:
        """Of a constraint that can be deferred: the key of the row at ``tid`` must be its own by now. Errors: 23505,
        23P01, 40P01."""
        raise InvariantViolation(f'index "{self.desc.name}" of method {self.method.name} finds no conflicts')

    def key_bytes(self, key: Sequence[Datum]) -> bytes:
        """Of a unique index's key: what is equal for keys that are equal to it."""
        raise InvariantViolation(f'index "{self.desc.name}" of method {self.method.name} finds no conflicts')

    def find_conflict(self, txn: Txn, values: Sequence[Datum]) -> int:
        """The tid of the live row (committed or own) with the key of ``values``, 0 without; waits for rows in doubt."""
        raise InvariantViolation(f'index "{self.desc.name}" of method {self.method.name} finds no conflicts')

    # Vacuum

    @abstractmethod
    def remove(self, dead: DeadRows, breathe: Callable[[], None]) -> int:
        """Remove the entries of dead row addresses; how many. ``breathe`` is called at each page and may wait."""

    def summarize(self, breathe: Callable[[], None], only: int | None = None, partial: bool = True) -> int:
        """Of a method with summaries of the table's pages (``BrinIndex``) make those that are missing; how many.
        ``breathe`` as for ``remove``."""
        return 0

    # Errors

    def violation(self, key: Row, txn: Txn | None = None) -> SqlError:
        """The 23505 of a key, which is not shown to a user who may not read its columns."""
        if txn is not None and txn.serial is not None:
            # It may have come after what this transaction has read, which is the better thing to tell.
            txn.serial.check_doomed("write")
        desc = self.desc
        detail = None
        if txn is None or self._is_readable(txn):
            shown = ", ".join(self._text(position, value) for position, value in enumerate(key))
            detail = f"Key ({', '.join(self.keys.names)})=({shown}) already exists."
        return UniqueViolation(
            f'duplicate key value violates unique constraint "{desc.name}"',
            detail=detail,
            schema=self.table.desc.schema,
            table=self.table.desc.name,
            constraint=desc.name,
        )

    def _is_readable(self, txn: Txn) -> bool:
        if txn.session is None:
            return True
        columns = txn.session.catalog_function("readable_columns", self.table.desc.oid)
        return columns is None or all(attno in columns for attno in self.desc.columns)

    def _text(self, position: int, value: Datum) -> str:
        if value is None:
            return "null"
        attno = self.desc.columns[position]
        oid = self.table.desc.columns[attno - 1].type if attno else self.desc.key_types[position]
        item = self.table.desc.type_lookup(self._storage.type_lookup)(oid)
        if item.text_bytes is not None:
            return str(item.text_bytes(value).decode())
        return str(item.output(value, self._storage.type_env))


def _parts(tids: list[int], pages_max: int) -> Iterator[list[int]]:
    """``tids`` cut where they come to more pages than ``FIRST_PAGES``, then twice as many, up to ``pages_max``."""
    pages = min(FIRST_PAGES, max(1, pages_max))
    part: list[int] = []
    blocks: set[int] = set()
    for tid in tids:
        blocks.add(tid >> 16)
        if len(blocks) > pages:
            yield part
            part, blocks = [], {tid >> 16}
            pages = min(2 * pages, max(1, pages_max))
        part.append(tid)
    yield part
