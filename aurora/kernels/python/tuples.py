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
Fixed-width values are little-endian. A variable-length value has a length of one byte when below 128, else of four
bytes, big-endian with the top bit set. What an update changes lies together: bytes 0-20 of the old version, 18-32 of
the new one. A row with fewer columns than the codec was written before ADD COLUMN: the codec's ``missing`` values
stand in.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from aurora.errors import DataCorrupted, NumericValueOutOfRange, ProgramLimitExceeded

TUPLE_HEADER_BYTES = 32
MAX_TUPLE_BYTES = 8160
"""Largest tuple image; more is 54000."""

OFF_XMAX, OFF_NEXT_BLOCK, OFF_NEXT_SLOT, OFF_CMAX, OFF_INFOMASK, OFF_XMIN, OFF_CMIN = 0, 8, 12, 14, 18, 20, 28

NATTS_MASK = 0x07FF
HAS_NULL = 0x0800
HEAP_ONLY = 0x1000
"""No index entry points at this version: it is reached through its predecessor on the same page."""
HOT_UPDATED = 0x2000
"""The successor is heap-only."""
KEY_CHANGED = 0x4000
"""xmax deleted the row or changed a unique key: conflicts with FOR KEY SHARE."""

_FIXED = {"?": 1, "h": 2, "i": 4, "q": 8, "I": 4, "f": 4, "d": 8, "c": 1}
_RANGE_NAMES = {"h": "smallint", "i": "integer", "q": "bigint", "I": "OID"}

Hook = Callable[[Any], Any] | None


class RowCodec:
    """Codec of one table's rows.

    ``codes`` has one ``PgType.disk`` code a column; ``to_disk``/``from_disk`` the hooks of code ``x`` (else None);
    ``missing`` the value of each column in rows that lack it.
    """

    def __init__(
        self, codes: str, to_disk: Sequence[Hook], from_disk: Sequence[Hook], missing: Sequence[Any] | None = None
    ) -> None:
        self.codes = codes
        self.natts = len(codes)
        self.to_disk = list(to_disk)
        self.from_disk = list(from_disk)
        self.missing = list(missing) if missing is not None else [None] * len(codes)

    def encode(self, values: Sequence[Any]) -> bytes:
        """The tuple image of ``values``, its transaction fields zero. Errors: 22003, 54000."""
        if len(values) != self.natts:
            raise ValueError(f"{len(values)} values for {self.natts} columns")
        return self._image([None if value is None else self._encode(i, value) for i, value in enumerate(values)])

    def _image(self, parts: list[bytes | None]) -> bytes:
        infomask, bitmap = self.natts, b""
        if None in parts:
            infomask |= HAS_NULL
            bits = sum(1 << i for i, part in enumerate(parts) if part is None)
            bitmap = bits.to_bytes((self.natts + 7) // 8, "little")
        body = bitmap + b"".join(part for part in parts if part is not None)
        size = TUPLE_HEADER_BYTES + len(body)
        if size > MAX_TUPLE_BYTES:
            raise ProgramLimitExceeded(f"row is too big: size {size}, maximum size {MAX_TUPLE_BYTES}")
        return bytes(OFF_INFOMASK) + infomask.to_bytes(2, "little") + bytes(12) + body

    def _encode(self, i: int, value: Any) -> bytes:
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
        data: bytes
        if code == "s":
            data = value.encode()
        elif code == "y":
            data = bytes(value)
        else:
            hook = self.to_disk[i]
            if hook is None:
                raise ValueError(f"column {i + 1} has disk code {code!r} and no hook")
            data = hook(value)
        n = len(data)
        return (bytes((n,)) if n < 128 else (n | 0x80000000).to_bytes(4, "big")) + data

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
                width = 1 + head if head < 128 else 4 + (int.from_bytes(page[at : at + 4], "big") & 0x7FFFFFFF)
            found.append((at, at + width))
            at += width
        return found

    def value(self, i: int, page: memoryview | bytes, start: int, end: int) -> Any:
        """The value of column ``i`` (from 0) whose bytes are ``page[start:end]``."""
        code = self.codes[i]
        if code in "hiqIfd":
            return struct.unpack_from("<" + code, page, start)[0]
        if code == "?":
            return page[start] != 0
        if code == "c":
            return bytes(page[start:end]).decode("latin-1") if page[start] else ""
        data = bytes(page[start + (1 if page[start] < 128 else 4) : end])
        if code == "s":
            return data.decode()
        if code == "y":
            return data
        hook = self.from_disk[i]
        if hook is None:
            raise DataCorrupted(f"column {i + 1} has disk code {code!r} and no hook")
        return hook(data)

    def decode(self, page: memoryview | bytes, offset: int) -> tuple[Any, ...]:
        """All values of the tuple at ``offset``."""
        spans = self.spans(page, offset, self.natts)
        row = [None if span is None else self.value(i, page, *span) for i, span in enumerate(spans)]
        return tuple(row + self.missing[len(row) :])

    def replace(self, page: memoryview | bytes, offset: int, positions: Sequence[int], values: Sequence[Any]) -> bytes:
        """A new image of the tuple at ``offset`` with the columns ``positions`` (from 0) set to ``values``; the bytes
        of the others are copied."""
        parts: list[bytes | None] = [
            None if span is None else bytes(page[span[0] : span[1]]) for span in self.spans(page, offset, self.natts)
        ]
        for i in range(len(parts), self.natts):
            parts.append(None if self.missing[i] is None else self._encode(i, self.missing[i]))
        for i, value in zip(positions, values, strict=True):
            parts[i] = None if value is None else self._encode(i, value)
        return self._image(parts)


class Projection:
    """Which columns of a version become a row: ``columns`` are attnos (from 1; ctid -1, xmin -2, cmin -3, xmax -4,
    cmax -5, tableoid -6); with ``want_tid`` the tid (int) comes last."""

    def __init__(self, codec: RowCodec, columns: Sequence[int], want_tid: bool, table_oid: int = 0) -> None:
        self.codec = codec
        self.columns = tuple(columns)
        self.want_tid = want_tid
        self.table_oid = table_oid
        self._limit = max((attno for attno in columns), default=0)
        if self._limit > codec.natts:
            raise ValueError(f"column {self._limit} of {codec.natts}")

    def row(self, page: memoryview | bytes, offset: int, tid: int) -> tuple[Any, ...]:
        """The row of the tuple image at ``offset``."""
        codec = self.codec
        spans = codec.spans(page, offset, max(self._limit, 0))
        out = []
        for attno in self.columns:
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
