"""TOAST: rows longer than about 2 kB → values compressed in the row or moved out of line, and back.

```
row too long ─► plan (PostgreSQL's order) ─► compress ─► chunks into pg_toast_<oid> ─► pointer in the row
handle of a scan ─► chunks by (chunk_id, chunk_seq) ─► decompress ─► value, or a slice of it
```
The order is PostgreSQL's (manual, chapter 73.2): EXTENDED values are compressed, longest first, and moved out where one
alone is too long; then EXTENDED and EXTERNAL ones are moved out; then MAIN ones are compressed, and moved out only when
the row would not fit a page. A value out of line is never changed: an update that sets the column deletes its chunks as
of its own xid, one that leaves the column copies the pointer. So chunks live and die by the rule for rows, with the
xids of the row versions that point to them; a chunk is read whoever sees it, since who holds a handle has seen the row.

Invariants: chunks are written and deleted in batches of a few pages, with turns of the loop and log back-pressure
between them; a value is compressed in a worker thread where that takes more than a moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeGuard, TypeVar, TypeVarTuple, Unpack

import lz4.block

from aurora.datum import Datum, Row
from aurora.errors import DataCorrupted, InvariantViolation, ProgramLimitExceeded
from aurora.kernels import pglz
from aurora.kernels import tuples as tuples_kernel
from aurora.kernels.python.heap import RETRY
from aurora.kernels.python.tuples import METHOD_LZ4, METHOD_PGLZ, METHOD_PLAIN, POINTER_BYTES
from compute_node.access.index_access import ScanKey
from compute_node.access.stored import LAZY, Toasted
from compute_node.hub import HUB
from compute_node.relations.descriptors import RelationDesc
from compute_node.txn.transaction import Txn
from compute_node.work.spill import setting_of

if TYPE_CHECKING:
    from aurora.kernels.python.tuples import Projection
    from compute_node.access.cache import Load
    from compute_node.access.table import Table
    from compute_node.access.table_reader import TableReader


TUPLE_BYTES_TARGET = 2032
"""PostgreSQL's TOAST_TUPLE_THRESHOLD and default toast_tuple_target."""
MAIN_BYTES_TARGET = 8160
CHUNK_BYTES = 1996
VALUE_BYTES_MAX = (1 << 30) - 5
"""PostgreSQL's limit of a palloc, less the length word."""
AT_MOST, EQUAL, AT_LEAST = 2, 3, 4
"""Strategies of a B-tree operator class."""
CHUNKS_PER_TURN = 64
PARTS_AHEAD = 2
"""So many times CHUNKS_PER_TURN chunks are read ahead."""
VALUE_ID_MAX = 0xFFFFFFFF
DELETE_REDO_BYTES = 256
WORKER_BYTES_MIN = 1 << 18
"""A longer value is (de)compressed in a worker thread."""
METHODS = {"pglz": METHOD_PGLZ, "lz4": METHOD_LZ4}
METHOD_LETTERS = {"p": METHOD_PGLZ, "l": METHOD_LZ4}
METHOD_NAMES = {METHOD_PGLZ: "pglz", METHOD_LZ4: "lz4"}
_CODE_WIDTHS = {"?": 1, "h": 2, "i": 4, "q": 8, "I": 4, "f": 4, "d": 8, "c": 1}


def check_size(size: int) -> None:
    """54000 for a value that PostgreSQL could not hold."""
    if size > VALUE_BYTES_MAX:
        raise ProgramLimitExceeded("requested length too large")


def plain_bytes(n: int) -> int:
    """What PostgreSQL's varlena of ``n`` bytes takes in a row."""
    return n + (1 if n <= 126 else 4)


def stored_bytes(value: Datum) -> int:
    """What a stored value takes: pg_column_size of it, and its share of a row out of line apart."""
    if value.is_external:
        return int(value.stored_bytes)
    return int(value.stored_bytes) + 8 if value.method else plain_bytes(int(value.stored_bytes))


def compress(method: int, data: bytes) -> bytes | None:
    """The compressed bytes; None when they would not be fewer."""
    if method == METHOD_PGLZ:
        packed: bytes | None = _in_worker(len(data), pglz.compress, data)
    else:
        packed = _in_worker(len(data), _lz4_compress, data)
    return None if packed is None or len(packed) + 8 >= len(data) - 2 else packed


def decompress(method: int, data: bytes, raw_bytes: int, upto: int = -1) -> bytes:
    """The value, or at least its first ``upto`` bytes. XX001 when that does not give ``raw_bytes``."""
    if method == METHOD_PLAIN:
        return data
    if method == METHOD_PGLZ:
        found: bytes = _in_worker(raw_bytes if upto < 0 else upto, pglz.decompress, data, raw_bytes, upto)
        return found
    if method != METHOD_LZ4:
        raise DataCorrupted(f"invalid compression method id {method}")
    try:
        raw: bytes = _in_worker(raw_bytes, _lz4_decompress, data, raw_bytes)
    except lz4.block.LZ4BlockError:
        raw = b""
    if len(raw) != raw_bytes:
        raise DataCorrupted("compressed lz4 data is corrupt")
    return raw


def _lz4_compress(data: bytes) -> bytes:
    return bytes(lz4.block.compress(data, store_size=False))


def _lz4_decompress(data: bytes, raw_bytes: int) -> bytes:
    return bytes(lz4.block.decompress(data, uncompressed_size=raw_bytes))


_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")


def _in_worker(size: int, function: Callable[[Unpack[_Args]], _T], *args: *_Args) -> _T:
    if size < WORKER_BYTES_MIN or not HUB.in_greenlet():
        return function(*args)
    return HUB.in_thread(function, *args)


class ToastReader:
    """The values out of line of one table: what the handles of its scans ask (``RowCodec.reader``). It reads the TOAST
    table's own ``Table``, and keeps nothing in memory that refers to it."""

    def __init__(self, table: TableReader) -> None:
        if table.desc.toast is None:
            raise InvariantViolation(f"relation {table.name} has no TOAST table")
        self._storage = table.storage
        self._load = table.storage.cache.load
        self._desc: RelationDesc = table.desc
        self._toast: RelationDesc = table.desc.toast

    @property
    def _chunks(self) -> Table:
        return self._storage.table(self._toast)

    def value(self, handle: Toasted) -> Datum:
        """The SQL value of a handle."""
        return decoded(handle, self.raw(handle))

    def raw(self, handle: Toasted) -> bytes:
        """The bytes of a handle's value."""
        data = self.stored(handle)
        if handle.method == METHOD_PLAIN and len(data) != handle.raw_bytes:
            raise DataCorrupted(f"value of {len(data)} bytes, where {handle.raw_bytes} are expected")
        return decompress(handle.method, data, handle.raw_bytes)

    def prefix(self, handle: Toasted, upto: int) -> bytes:
        """The first ``upto`` bytes of a handle's value, or all if it has fewer."""
        return self.slice(handle, 0, upto)

    def slice(self, handle: Toasted, start: int, length: int) -> bytes:
        """``length`` bytes of a handle's value from ``start`` on, fewer at its end. Of an uncompressed value only the
        chunks that hold them are read; of a pglz one only what lies before their end."""
        end = max(0, min(start + length, handle.raw_bytes))
        start = max(0, start)
        if start >= end:
            return b""
        if handle.method == METHOD_PLAIN and handle.data is None:
            return self._fetch(handle, start, end)
        if handle.method == METHOD_PGLZ and end < handle.raw_bytes:
            data = handle.data
            if data is None:
                # At worst every item is a literal: nine bytes for eight, and a control byte and a copy to end with.
                data = self._fetch(handle, 0, min(handle.stored_bytes, end + (end + 7) // 8 + 4))
            return decompress(METHOD_PGLZ, data, handle.raw_bytes, end)[start:]
        return self.raw(handle)[start:end]

    def _fetch(self, handle: Toasted, start: int, end: int) -> bytes:
        """Stored bytes ``start`` to ``end`` of a value out of line."""
        if handle.relation != self._toast.oid:
            raise DataCorrupted(
                f"TOAST pointer of {self._desc.name} names relation {handle.relation}, not {self._toast.oid}"
            )
        count = -(-handle.stored_bytes // CHUNK_BYTES)
        first, last = start // CHUNK_BYTES, (end - 1) // CHUNK_BYTES
        parts: list[bytes] = []
        expected = first
        name, value_id = self._toast.name, handle.value_id
        for batch in self._chunk_rows(value_id, first, last):
            for _, seq, data in batch:
                if seq != expected:
                    if expected < seq <= last:
                        raise DataCorrupted(f"missing chunk number {expected} for toast value {value_id} in {name}")
                    raise DataCorrupted(
                        f"unexpected chunk number {seq} (expected {expected}) for toast value {value_id} in {name}"
                    )
                size = CHUNK_BYTES if seq < count - 1 else handle.stored_bytes - CHUNK_BYTES * (count - 1)
                if len(data) != size:
                    raise DataCorrupted(
                        f"unexpected chunk size {len(data)} (expected {size}) in chunk {seq} of {count} "
                        f"for toast value {value_id} in {name}"
                    )
                parts.append(data)
                expected += 1
        if expected <= last:
            raise DataCorrupted(f"missing chunk number {expected} for toast value {value_id} in {name}")
        if len(parts) == 1:
            return parts[0][start - first * CHUNK_BYTES : end - first * CHUNK_BYTES]
        parts[-1] = parts[-1][: end - last * CHUNK_BYTES]
        parts[0] = parts[0][start - first * CHUNK_BYTES :]
        return b"".join(parts)

    def _chunk_rows(self, value_id: int, first: int, last: int) -> Iterator[list[Row]]:
        """The chunks ``first`` to ``last`` of a value, in order, a few pages' at a time."""
        chunks = self._chunks
        projection = chunks.projection((1, 2, 3), False)
        for tids in self._parts(value_id, first, last):
            while isinstance(rows := chunks.heap.fetch_stored(tids, projection), int):
                self._load(rows)
            # A line pointer may be another chunk's by now where the index was read before a wait.
            yield [row for row in rows if row[0] == value_id and first <= row[1] <= last]

    def _parts(self, value_id: int, first: int, last: int | None) -> Iterator[list[int]]:
        """Row addresses of chunks, in order, so few at a time that their pages fit the cache; others run in between.
        The pages of each part are on their way while the one before is looked at."""
        chunks, cache = self._chunks, self._storage.cache
        page_no = chunks.file.map.page_no
        loads: list[Load | None] = []
        waiting: list[list[int]] = []
        try:
            for tids in self._chunk_tids(value_id, first, last):
                for start in range(0, len(tids), CHUNKS_PER_TURN):
                    part = tids[start : start + CHUNKS_PER_TURN]
                    loads.append(cache.read_ahead(dict.fromkeys(page_no(tid >> 16) for tid in part)))
                    waiting.append(part)
                    if len(waiting) > PARTS_AHEAD:
                        yield waiting.pop(0)
                        del loads[:-PARTS_AHEAD]
                        HUB.pulse()
            yield from waiting
        finally:
            for load in loads:
                if load is not None:
                    load.cancel()

    def _chunk_tids(self, value_id: int, first: int, last: int | None) -> Iterator[list[int]]:
        keys = [ScanKey(0, EQUAL, value_id), ScanKey(1, AT_LEAST, first)]
        if last is not None:
            keys.append(ScanKey(1, AT_MOST, last))
        return self._chunks.indexes[0].tids(keys)

    def stored(self, handle: Toasted) -> bytes:
        """The stored bytes of a handle."""
        found: bytes = handle.data if handle.data is not None else self._fetch(handle, 0, handle.stored_bytes)
        return found


class Toaster(ToastReader):
    """TOAST of one table; ``Table.toast``. It writes the rows of the TOAST table, too."""

    def __init__(self, table: TableReader) -> None:
        super().__init__(table)
        self._heap = table.heap
        self._codec = table.codec
        # Not this object, which has the codec.
        self._codec.reader = ToastReader(table)
        type_of = table.desc.type_lookup(table.storage.type_lookup)
        types = [type_of(column.type) for column in table.desc.columns]
        self._modes = [
            (column.storage or item.storage) if item.disk not in _CODE_WIDTHS else "p"
            for column, item in zip(table.desc.columns, types, strict=True)
        ]
        self._target = TUPLE_BYTES_TARGET
        for option in table.desc.options:
            if option.startswith("toast_tuple_target="):
                self._target = int(option.partition("=")[2])
        self.lazy_columns = tuple(
            attno if code in _CODE_WIDTHS else attno + LAZY for attno, code in enumerate(self._codec.codes, 1)
        )
        """Every column, those of variable length as they are stored."""

    def adopt(self, handle: Toasted, column: int) -> Datum:
        """What to store in ``column`` (from 0) for a value of another table: its bytes as they are stored there, or the
        value where the column must be plain."""
        if self._modes[column] == "p":
            return handle.codec.reader.value(handle)
        return Toasted(
            self._codec,
            column,
            handle.method,
            handle.raw_bytes,
            handle.stored_bytes,
            data=handle.codec.reader.stored(handle),
        )

    def image(self, txn: Txn, values: Sequence[Datum]) -> bytes:
        """The tuple image of a row that is longer than the codec's limit; its long values are stored by then."""
        image = self._codec.encode(self.shrink(txn, values), True)
        if image is None:
            raise InvariantViolation("a row without a limit was too long")
        return image

    def shrink(self, txn: Txn, values: Sequence[Datum]) -> list[Datum]:
        """The row with handles in place of values, so that it is as short as PostgreSQL would make it. ``values`` may
        hold handles already: they are kept."""
        HUB.pulse()
        plan = _Plan(self, txn, values)
        plan.run()
        return plan.cells

    def store(self, txn: Txn, column: int, method: int, raw_bytes: int, data: bytes) -> Toasted:
        """Write a value's stored bytes out of line; its handle."""
        chunks = self._chunks
        value_id = self._new_id(chunks)
        step = CHUNKS_PER_TURN * CHUNK_BYTES
        for start in range(0, len(data), step):
            HUB.pulse()
            seq = start // CHUNK_BYTES
            ends = range(start, min(start + step, len(data)), CHUNK_BYTES)
            chunks.insert_many(txn, [(value_id, seq + i, data[at : at + CHUNK_BYTES]) for i, at in enumerate(ends)])
        return Toasted(self._codec, column, method, raw_bytes, len(data), value_id, self._toast.oid)

    def _new_id(self, chunks: Table) -> int:
        file = chunks.file
        if not file.next_value_id:
            last = self._last_id(chunks)
            file.next_value_id = max(file.next_value_id, last + 1)
        while True:
            value_id = int(file.next_value_id)
            if value_id > VALUE_ID_MAX:
                value_id, file.value_ids_wrapped = 1, True
            file.next_value_id = value_id + 1
            if not file.value_ids_wrapped or not any(True for _ in self._chunk_tids(value_id, 0, None)):
                return value_id

    def _last_id(self, chunks: Table) -> int:
        """The greatest id that any chunk, dead ones included, has; 0 without one."""
        projection = chunks.projection((1,), False)
        for tids in chunks.indexes[0].tids((), True):
            for tid in tids:
                while isinstance(rows := chunks.heap.fetch_stored([tid], projection), int):
                    self._load(rows)
                if rows:
                    return int(rows[0][0])
        return 0

    def drop_version(self, txn: Txn, tid: int) -> None:
        """Version ``tid`` was deleted: so are its values out of line."""
        for handle in self.externals(tid, None):
            self.delete(txn, handle)

    def drop_superseded(self, txn: Txn, tid: int, positions: Sequence[int], new_tid: int) -> None:
        """Version ``tid`` was superseded by ``new_tid``, with columns ``positions`` (from 0) set: what they had out of
        line and have no more is deleted."""
        old = self.externals(tid, positions)
        if old:
            kept = {handle.value_id for handle in self.externals(new_tid, positions)}
            for handle in old:
                if handle.value_id not in kept:
                    self.delete(txn, handle)

    @staticmethod
    def is_external(value: Datum) -> TypeGuard[Toasted]:
        """Whether a column's value is a handle of one out of line."""
        return type(value) is Toasted and bool(value.is_external)

    def externals(self, tid: int, positions: Sequence[int] | None = None) -> list[Toasted]:
        """Handles of the values out of line of version ``tid``, of all columns or those at ``positions``."""
        while isinstance(found := self._heap.externals(tid, positions), int):
            self._load(found)
        return found

    def delete(self, txn: Txn, handle: Toasted) -> None:
        """Delete the chunks of a value out of line, as of the transaction's xid."""
        chunks = self._chunks
        xid = txn.write_xid or self._storage.txns.assign(txn)
        done = 0
        for tids in self._parts(handle.value_id, 0, None):
            self._storage.volume.reserve(DELETE_REDO_BYTES * len(tids))
            for tid in tids:
                while (outcome := chunks.heap.delete(tid, xid, txn.cid)) < RETRY:
                    self._load(-outcome)
                # RETRY: a dead version that an index entry still names, or one that is deleted already.
                done += outcome == 1
        chunks.file.dead_rows += done

    def version(self, tid: int) -> Row | None:
        """All columns of version ``tid`` as they are stored, whoever sees it; None without one."""
        projection = self._projection()
        while isinstance(rows := self._heap.fetch_stored([tid], projection), int):
            self._load(rows)
        return rows[0] if rows else None

    def _projection(self) -> Projection:
        return tuples_kernel.Projection(self._codec, self.lazy_columns, False, self._desc.oid)

    def mode(self, column: int) -> str:
        """The storage mode of a column (from 0): p, e, x or m; p for one of fixed width."""
        return self._modes[column]

    def method(self, column: int, txn: Txn) -> int:
        """The compression method of a column (from 0): its own, else the session's ``default_toast_compression``."""
        letter = self._desc.columns[column].compression
        if letter:
            return METHOD_LETTERS[letter]
        return METHODS.get(setting_of(txn.session, "default_toast_compression"), METHOD_PGLZ)

    @property
    def target(self) -> int:
        """toast_tuple_target."""
        return self._target


class _Plan:
    """One row on its way to being short enough; sizes are PostgreSQL's."""

    def __init__(self, toaster: Toaster, txn: Txn, values: Sequence[Datum]) -> None:
        self._toaster = toaster
        self._txn = txn
        self._codec = toaster._codec
        self.cells: list[Datum] = list(values)
        self._raw: list[bytes | None] = [None] * len(self.cells)
        self._sizes = [0] * len(self.cells)
        self._incompressible: set[int] = set()
        for i, value in enumerate(self.cells):
            if value is None:
                continue
            width = _CODE_WIDTHS.get(self._codec.codes[i])
            if width is not None:
                self._sizes[i] = width
            elif type(value) is Toasted:
                self._sizes[i] = POINTER_BYTES if value.is_external else stored_bytes(value)
                if not value.is_external and not value.method:
                    self._raw[i] = value.data
            else:
                raw = self._codec.raw(i, value)
                check_size(len(raw))
                self._raw[i] = raw
                self._sizes[i] = plain_bytes(len(raw))
                self.cells[i] = Toasted(self._codec, i, METHOD_PLAIN, len(raw), len(raw), data=raw)
        bitmap = (len(self.cells) + 7) // 8 if None in self.cells else 0
        header = (23 + bitmap + 7) & ~7
        self._target = toaster.target - header
        self._main_target = MAIN_BYTES_TARGET - header

    def run(self) -> None:
        """The four rounds."""
        mode = self._toaster.mode
        while self._too_long() and (i := self._longest("ex", compressible=True)) >= 0:
            if mode(i) == "x":
                self._compress(i)
            else:
                self._incompressible.add(i)
            if self._sizes[i] > self._target:
                self._move(i)
        while self._too_long() and (i := self._longest("ex", compressible=False)) >= 0:
            self._move(i)
        while self._too_long() and (i := self._longest("m", compressible=True)) >= 0:
            self._compress(i)
        self._target = self._main_target
        while self._too_long() and (i := self._longest("m", compressible=False)) >= 0:
            self._move(i)

    def _too_long(self) -> bool:
        return sum(self._sizes) > self._target

    def _longest(self, modes: str, compressible: bool) -> int:
        """The longest value of these storage modes that is in the row still, -1 without one."""
        best, size = -1, 24
        for i, value in enumerate(self.cells):
            if self._sizes[i] <= size or type(value) is not Toasted or value.is_external:
                continue
            if self._toaster.mode(i) not in modes or (compressible and (value.method or i in self._incompressible)):
                continue
            best, size = i, self._sizes[i]
        return best

    def _compress(self, i: int) -> None:
        raw = self._raw[i]
        method = self._toaster.method(i, self._txn)
        packed = None if raw is None else compress(method, raw)
        if raw is None or packed is None:
            self._incompressible.add(i)
            return
        self.cells[i] = Toasted(self._codec, i, method, len(raw), len(packed), data=packed)
        self._sizes[i] = len(packed) + 8

    def _move(self, i: int) -> None:
        value = self.cells[i]
        self.cells[i] = self._toaster.store(self._txn, i, value.method, value.raw_bytes, value.data)
        self._raw[i] = None
        self._sizes[i] = POINTER_BYTES


def decoded(handle: Toasted, raw: bytes) -> Datum:
    """The SQL value of a handle whose bytes are ``raw``; XX001 when they are not one."""
    try:
        return handle.value(raw)
    except UnicodeDecodeError as error:
        raise DataCorrupted("a stored value is not valid UTF-8") from error
