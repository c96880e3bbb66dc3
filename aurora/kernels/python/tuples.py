"""Row codec: tuple of SQL values ↔ tuple image, the bytes of one row version in a heap page.

```
 0   8  xmax        u64  deleting or updating xid, 0 none
 8  12  next_block  u32  successor version (only meaningful with xmax and next_slot)
12  14  next_slot   u16  0: no successor, the row was deleted
14  18  cmax        u32  command of xmax
18  20  infomask    u16  bits 0-10 column count, then the flags below
20  28  xmin        u64  inserting xid
28  32  cmin        u32  command of xmin
32      null bitmap, one bit a column (set: NULL), only with HAS_NULL; then the values that are not NULL, packed
```
Fixed-width values are little-endian. The first byte of a variable-length value tells how it is stored (row format 2;
TOAST is in compute_node/access/toast.py):
```
0xxxxxxx                  plain, that many bytes follow
10xxxxxx u8               plain, a 14-bit length, high bits first, then the bytes
110000mm                  compressed in the row: u16 stored bytes, u8 zero, u32 raw bytes, then the stored bytes
111000mm                  out of line: u8 zero, u32 raw bytes, u32 stored bytes, u32 value id, u32 TOAST table's OID
```
``mm`` is the method: 0 plain, 1 pglz, 2 lz4 block. Compressed and out-of-line values are decoded to their handle,
``Toasted``: a kernel neither waits nor decompresses. What an update changes lies together: bytes 0-20 of the old
version, 18-32 of the new one. A row with fewer columns than the codec was written before ADD COLUMN: the codec's
``missing`` values stand in.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Protocol

from aurora.datum import Datum, Row
from aurora.errors import DataCorrupted, NumericValueOutOfRange, ProgramLimitExceeded, SqlError

TUPLE_HEADER_BYTES = 32
MAX_TUPLE_BYTES = 8160
"""Largest tuple image; more is 54000 where TOAST cannot help."""

OFF_XMAX, OFF_NEXT_BLOCK, OFF_NEXT_SLOT, OFF_CMAX, OFF_INFOMASK, OFF_XMIN, OFF_CMIN = 0, 8, 12, 14, 18, 20, 28

NATTS_MASK = 0x07FF
HAS_NULL = 0x0800
HEAP_ONLY = 0x1000
"""No index entry points at this version: it is reached through its predecessor on the same page."""
HOT_UPDATED = 0x2000
"""The successor is heap-only."""
KEY_CHANGED = 0x4000
"""xmax deleted the row or changed a unique key: conflicts with FOR KEY SHARE."""
HAS_EXTERNAL = 0x8000
"""Some value is out of line."""

METHOD_PLAIN, METHOD_PGLZ, METHOD_LZ4 = 0, 1, 2
SHORT, PLAIN, EXTERNAL = 0x80, 0xC0, 0xE0
"""First bytes of variable-length values: below ``SHORT`` and ``PLAIN`` plain, below ``EXTERNAL`` compressed."""
COMPRESSED_HEADER_BYTES, POINTER_BYTES = 8, 18
HANDLE_BYTES = 120
LAZY = 1 << 16
"""Added to an attno of a projection: the value may come as its handle."""

_FIXED = {"?": 1, "h": 2, "i": 4, "q": 8, "I": 4, "f": 4, "d": 8, "c": 1}
_RANGE_NAMES = {"h": "smallint", "i": "integer", "q": "bigint", "I": "OID"}

Hook = Callable[[Datum], Datum] | None


def too_big(size: int) -> SqlError:
    """54000 for a tuple image of that size."""
    return ProgramLimitExceeded(f"row is too big: size {size}, maximum size {MAX_TUPLE_BYTES}")


class ToastReader(Protocol):
    """Who reads what a ``Toasted`` stands for: its table's TOAST."""

    def value(self, handle: Toasted) -> Datum:
        """The SQL value of a handle."""

    def stored(self, handle: Toasted) -> bytes:
        """Its bytes as they are stored."""

    def prefix(self, handle: Toasted, upto: int) -> bytes:
        """Its first bytes."""

    def slice(self, handle: Toasted, start: int, length: int) -> bytes:
        """Some of its bytes."""


class Toasted:
    """A value as it is stored: plain or compressed bytes in the row (``data``), or a pointer to chunks out of line.

    Of ``column`` (from 0) of ``codec``; ``raw_bytes`` before and ``stored_bytes`` after compression by ``method``;
    ``value_id`` in the TOAST table of OID ``relation``. It encodes as what it stands for.
    """

    def __init__(
        self,
        codec: RowCodec,
        column: int,
        method: int,
        raw_bytes: int,
        stored_bytes: int,
        value_id: int = 0,
        relation: int = 0,
        data: bytes | None = None,
    ) -> None:
        self.codec = codec
        self.column = column
        self.method = method
        self.raw_bytes = raw_bytes
        self.stored_bytes = stored_bytes
        self.value_id = value_id
        self.relation = relation
        self.data = data

    @property
    def is_external(self) -> bool:
        """Whether the bytes are out of line."""
        return self.data is None

    def __len__(self) -> int:
        """The memory that it takes: who counts rows takes it for a value of that length."""
        return HANDLE_BYTES + (0 if self.data is None else len(self.data))

    def value(self, raw: bytes) -> Datum:
        """The SQL value whose bytes are ``raw``."""
        return self.codec.value_of(self.column, raw)

    def image(self) -> bytes:
        """The bytes that stand in the row."""
        if self.data is None:
            words = (self.raw_bytes, self.stored_bytes, self.value_id, self.relation)
            return struct.pack("<BBIIII", EXTERNAL | self.method, 0, *words)
        if self.method:
            head = struct.pack("<BHBI", PLAIN | self.method, len(self.data), 0, self.raw_bytes)
            return head + self.data
        return _plain_image(self.data)

    def _key(self) -> Row:
        return self.column, self.method, self.raw_bytes, self.stored_bytes, self.value_id, self.relation, self.data

    def __eq__(self, other: object) -> bool:
        return type(other) is Toasted and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())


def _plain_image(data: bytes) -> bytes:
    """A value stored plain in the row. Longer ones than any row give an image longer than any row."""
    n = len(data)
    return (bytes((n,)) if n < SHORT else bytes((0x80 | n >> 8 & 0x3F, n & 0xFF))) + data


class RowCodec:
    """Codec of one table's rows.

    ``codes`` has one ``PgType.disk`` code a column; ``to_disk``/``from_disk`` the hooks of code ``x`` (else None);
    ``missing`` the value of each column in rows that lack it. With a ``limit`` the table has TOAST: a longer image is
    not made, so that the caller can compress and move values; ``handles`` counts the handles decoded.
    """

    def __init__(
        self,
        codes: str,
        to_disk: Sequence[Hook],
        from_disk: Sequence[Hook],
        missing: Sequence[Datum] | None = None,
        limit: int = 0,
    ) -> None:
        self.limit = limit
        self.handles = 0
        self.reader: ToastReader = None  # type: ignore[assignment] # the table that stores handles sets it
        """who resolves handles of this codec"""
        if len(codes) > NATTS_MASK:
            raise ValueError(f"{len(codes)} columns")
        self.codes = codes
        self.natts = len(codes)
        self.to_disk = list(to_disk)
        self.from_disk = list(from_disk)
        self.missing = list(missing) if missing is not None else [None] * len(codes)

    def encode(self, values: Sequence[Datum], forced: bool = False) -> bytes | None:
        """The tuple image of ``values``, its transaction fields zero; None when it is longer than ``limit`` and not
        ``forced``. Errors: 22003, 54000."""
        if len(values) != self.natts:
            raise ValueError(f"{len(values)} values for {self.natts} columns")
        return self._image(
            [None if value is None else self._encode(i, value) for i, value in enumerate(values)], forced
        )

    def _image(self, parts: list[bytes | None], forced: bool) -> bytes | None:
        infomask, bitmap = self.natts, b""
        if any(part and self.codes[i] not in _FIXED and part[0] >= EXTERNAL for i, part in enumerate(parts)):
            infomask |= HAS_EXTERNAL
        if None in parts:
            infomask |= HAS_NULL
            bits = sum(1 << i for i, part in enumerate(parts) if part is None)
            bitmap = bits.to_bytes((self.natts + 7) // 8, "little")
        body = bitmap + b"".join(part for part in parts if part is not None)
        size = TUPLE_HEADER_BYTES + len(body)
        if self.limit and not forced and size > self.limit:
            return None
        if size > MAX_TUPLE_BYTES:
            raise too_big(size)
        return bytes(OFF_INFOMASK) + infomask.to_bytes(2, "little") + bytes(12) + body

    def _encode(self, i: int, value: Datum) -> bytes:
        code = self.codes[i]
        if code in "hiqIfd":
            try:
                return struct.pack("<" + code, value)
            except (struct.error, OverflowError) as error:
                if code in _RANGE_NAMES and isinstance(value, int):
                    raise NumericValueOutOfRange(f"{_RANGE_NAMES[code]} out of range") from error
                raise
        if code == "?":
            return b"\1" if value else b"\0"
        if code == "c":
            return (value.encode("latin-1") or b"\0")[:1]
        return value.image() if type(value) is Toasted else _plain_image(self.raw(i, value))

    def raw(self, i: int, value: Datum) -> bytes:
        """The bytes of a variable-length column's value."""
        code = self.codes[i]
        if code == "s":
            return value.encode()  # type: ignore[no-any-return]
        if code == "y":
            return bytes(value)
        hook = self.to_disk[i]
        if hook is None:
            raise ValueError(f"column {i + 1} has disk code {code!r} and no hook")
        return hook(value)  # type: ignore[no-any-return]

    def value_of(self, i: int, raw: bytes) -> Datum:
        """Inverse of ``raw``."""
        code = self.codes[i]
        if code == "s":
            return raw.decode()
        if code == "y":
            return raw
        hook = self.from_disk[i]
        if hook is None:
            raise DataCorrupted(f"column {i + 1} has disk code {code!r} and no hook")
        return hook(raw)

    def spans(self, page: memoryview | bytes, offset: int, limit: int) -> list[tuple[int, int] | None]:
        """Where the values of the first ``limit`` columns of the tuple at ``offset`` lie (None: NULL); length
        included."""
        infomask = page[offset + OFF_INFOMASK] | page[offset + OFF_INFOMASK + 1] << 8
        natts = infomask & NATTS_MASK
        at = offset + TUPLE_HEADER_BYTES
        bitmap = 0
        if infomask & HAS_NULL:
            width = (natts + 7) // 8
            bitmap = int.from_bytes(page[at : at + width], "little")
            at += width
        found: list[tuple[int, int] | None] = []
        for i in range(min(natts, limit)):
            if bitmap >> i & 1:
                found.append(None)
                continue
            width = _FIXED.get(self.codes[i], 0)
            if not width:
                head = page[at]
                if head < SHORT:
                    width = 1 + head
                elif head < PLAIN:
                    width = 2 + ((head & 0x3F) << 8 | page[at + 1])
                elif head < EXTERNAL:
                    width = COMPRESSED_HEADER_BYTES + (page[at + 1] | page[at + 2] << 8)
                else:
                    width = POINTER_BYTES
            found.append((at, at + width))
            at += width
        return found

    def value(self, i: int, page: memoryview | bytes, start: int, end: int) -> Datum:
        """The value of column ``i`` (from 0) whose bytes are ``page[start:end]``."""
        code = self.codes[i]
        if code in "hiqIfd":
            return struct.unpack_from("<" + code, page, start)[0]
        if code == "?":
            return page[start] != 0
        if code == "c":
            return bytes(page[start:end]).decode("latin-1") if page[start] else ""
        head = page[start]
        if head < PLAIN:
            return self.value_of(i, bytes(page[start + (1 if head < SHORT else 2) : end]))
        return self._handle(i, bytes(page[start:end]))

    def _handle(self, i: int, stored: bytes) -> Toasted:
        self.handles += 1
        method = stored[0] & 0x1F
        if stored[0] < EXTERNAL:
            raw_bytes = struct.unpack_from("<I", stored, 4)[0]
            data = stored[COMPRESSED_HEADER_BYTES:]
            return Toasted(self, i, method, raw_bytes, len(data), data=data)
        return Toasted(self, i, method, *struct.unpack_from("<IIII", stored, 2))

    def externals(self, page: memoryview | bytes, offset: int, positions: Sequence[int] | None) -> list[Toasted]:
        """Handles of the values out of line among ``positions`` (None: all) of the tuple at ``offset``."""
        if not page[offset + OFF_INFOMASK + 1] << 8 & HAS_EXTERNAL:
            return []
        return [
            self._handle(i, bytes(page[span[0] : span[1]]))
            for i, span in enumerate(self.spans(page, offset, self.natts))
            if span is not None
            and self.codes[i] not in _FIXED
            and page[span[0]] >= EXTERNAL
            and (positions is None or i in positions)
        ]

    def decode(self, page: memoryview | bytes, offset: int) -> Row:
        """All values of the tuple at ``offset``."""
        spans = self.spans(page, offset, self.natts)
        row = [None if span is None else self.value(i, page, *span) for i, span in enumerate(spans)]
        return tuple(row + self.missing[len(row) :])

    def replace(
        self,
        page: memoryview | bytes,
        offset: int,
        positions: Sequence[int],
        values: Sequence[Datum],
        forced: bool = False,
    ) -> bytes | None:
        """A new image of the tuple at ``offset`` with the columns ``positions`` (from 0) set to ``values``; the bytes
        of the others are copied. None when it is longer than ``limit`` and not ``forced``."""
        parts: list[bytes | None] = [
            None if span is None else bytes(page[span[0] : span[1]]) for span in self.spans(page, offset, self.natts)
        ]
        for i in range(len(parts), self.natts):
            parts.append(None if self.missing[i] is None else self._encode(i, self.missing[i]))
        for i, value in zip(positions, values, strict=True):
            parts[i] = None if value is None else self._encode(i, value)
        return self._image(parts, forced)


class Projection:
    """Which columns of a version become a row: ``columns`` are attnos (from 1; ctid -1, xmin -2, cmin -3, xmax -4,
    cmax -5, tableoid -6); with ``want_tid`` the tid (int) comes last. ``eager`` are the positions in the row of
    variable-length columns that are not marked ``LAZY``: there a handle must give way to its value."""

    def __init__(self, codec: RowCodec, columns: Sequence[int], want_tid: bool, table_oid: int = 0) -> None:
        self.codec = codec
        self.columns = tuple(columns)
        self.want_tid = want_tid
        self.table_oid = table_oid
        self._attnos = [attno - LAZY if attno >= LAZY else attno for attno in columns]
        self._limit = max(self._attnos, default=0)
        if self._limit > codec.natts:
            raise ValueError(f"column {self._limit} of {codec.natts}")
        self.eager = tuple(
            i for i, attno in enumerate(columns) if 0 < attno < LAZY and codec.codes[attno - 1] not in _FIXED
        )

    def row(self, page: memoryview | bytes, offset: int, tid: int) -> Row:
        """The row of the tuple image at ``offset``."""
        codec = self.codec
        spans = codec.spans(page, offset, max(self._limit, 0))
        out = []
        for attno in self._attnos:
            if attno > len(spans):
                out.append(codec.missing[attno - 1])
            elif attno > 0:
                span = spans[attno - 1]
                out.append(None if span is None else codec.value(attno - 1, page, *span))
            else:
                out.append(self._system(page, offset, tid, attno))
        if self.want_tid:
            out.append(tid)
        return tuple(out)

    def _system(self, page: memoryview | bytes, offset: int, tid: int, attno: int) -> int:
        if attno == -1:
            return tid
        if attno == -2:
            return int(struct.unpack_from("<Q", page, offset + OFF_XMIN)[0])
        if attno == -3:
            return int(struct.unpack_from("<I", page, offset + OFF_CMIN)[0])
        if attno == -4:
            return int(struct.unpack_from("<Q", page, offset + OFF_XMAX)[0])
        if attno == -5:
            return int(struct.unpack_from("<I", page, offset + OFF_CMAX)[0])
        if attno == -6:
            return self.table_oid
        raise ValueError(f"system column {attno}")
