"""A value of hstore: keys, each once, with a text or NULL (manual, F.18).

Pairs lie in the order of their keys: shorter keys first (in bytes), then by bytes. Stored as PostgreSQL stores them,
little-endian, so that sizes and hashes are PostgreSQL's::

    u32 count | 1 << 31    u32 × 2 × count: where a key, a text ends    keys and texts, UTF-8

An end has bit 31 in the first entry, and bit 30 where the text is NULL.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Final

from aurora.datum import Row
from aurora.errors import (
    InvalidBinaryRepresentation,
    NullValueNotAllowed,
    ProgramLimitExceeded,
    ProtocolViolation,
    SqlError,
)
from compute_node.types.common import decode_utf8
from compute_node.types.long_text import paced

_NEW_FORM: Final = 1 << 31
_FIRST, _NULL, _END = 1 << 31, 1 << 30, (1 << 30) - 1
_U32: Final = struct.Struct("<I")
_I32: Final = struct.Struct(">i")
PAIRS_MAX: Final = 0x3FFFFFFF // 40
"""What PostgreSQL can have in memory at once"""


class Hstore:
    """Immutable. What is read from a row is taken apart when it is first asked for its pairs."""

    __slots__ = ("_data", "_pairs")

    def __init__(self, pairs: Mapping[str, str | None] | None, data: bytes | None = None) -> None:
        """``pairs`` in their order, or the stored form; see ``of``."""
        self._pairs = pairs
        self._data = data

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str | None]]) -> Hstore:
        """Of pairs in any order; of several with one key the first stays."""
        found: dict[str, str | None] = {}
        for key, text in pairs:
            found.setdefault(key, text)
        return cls.of_mapping(found)

    @classmethod
    def of_mapping(cls, found: Mapping[str, str | None]) -> Hstore:
        """Of keys in any order."""
        return cls({key: found[key] for key in sorted(found, key=_place)})

    @property
    def pairs(self) -> Mapping[str, str | None]:
        """By key, in order."""
        found = self._pairs
        if found is None:
            found = self._pairs = _read(self._data or b"")
        return found

    @property
    def data(self) -> bytes:
        """The stored form."""
        found = self._data
        if found is None:
            found = self._data = _written(self.pairs)
        return found

    def __reduce__(self) -> Row:
        return Hstore, (None, self.data)

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + len(self.data) + 33

    def __repr__(self) -> str:
        return f"Hstore({dict(self.pairs)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hstore) and self.data == other.data

    def __hash__(self) -> int:
        return hash(self.data)


def _place(key: str) -> tuple[int, bytes]:
    data = key.encode()
    return len(data), data


def _written(pairs: Mapping[str, str | None]) -> bytes:
    ends, parts, at = [], [], 0
    for key, text in pairs.items() if len(pairs) < 64 else paced(pairs.items()):
        data = key.encode()
        at += len(data)
        parts.append(data)
        ends.append(at)
        if text is None:
            ends.append(at | _NULL)
        else:
            data = text.encode()
            at += len(data)
            parts.append(data)
            ends.append(at)
    if at > _END:
        raise ProgramLimitExceeded("string too long for hstore value")
    if ends:
        ends[0] |= _FIRST
    return struct.pack(f"<{1 + len(ends)}I", len(pairs) | _NEW_FORM, *ends) + b"".join(parts)


def _entries(data: bytes) -> tuple[tuple[int, ...], int]:
    """The ends of keys and texts with their bits, and where the texts begin."""
    size = 2 * (_U32.unpack_from(data)[0] & ~_NEW_FORM)
    return struct.unpack_from(f"<{size}I", data, 4), 4 + 4 * size


def _read(data: bytes) -> dict[str, str | None]:
    entries, base = _entries(data)
    found: dict[str, str | None] = {}
    begin = base
    ends = iter(entries)
    together = zip(ends, ends, strict=True)
    for key_end, text_end in together if len(entries) < 128 else paced(together):
        middle, end = base + (key_end & _END), base + (text_end & _END)
        key = data[begin:middle].decode()
        found[key] = None if text_end & _NULL else data[middle:end].decode()
        begin = end
    return found


def from_disk(data: bytes) -> Hstore:
    """Of the stored form."""
    return Hstore(None, bytes(data))


def sort_key(value: Hstore) -> bytes:
    """Bytes in the order of B-trees: by all keys and texts in one run, then by its length, the number of pairs, the
    places where they end, NULL behind a text. No text has a NUL."""
    data = value.data
    entries, base = _entries(data)
    if not entries:
        return b"\0"
    ends = b"".join([struct.pack(">IB", each & _END, bool(each & _NULL)) for each in entries])
    return b"\1" + data[base:] + struct.pack(">BI", 0, len(entries)) + ends


def send(value: Hstore) -> bytes:
    """i32 count, then for each pair: i32 length and bytes of the key, and of the text, length -1 for NULL."""
    parts = [_I32.pack(len(value.pairs))]
    for key, text in paced(value.pairs.items()):
        data = key.encode()
        parts += (_I32.pack(len(data)), data)
        if text is None:
            parts.append(_I32.pack(-1))
        else:
            data = text.encode()
            parts += (_I32.pack(len(data)), data)
    return b"".join(parts)


class _Message:
    def __init__(self, data: bytes) -> None:
        self.data = bytes(data)
        self.at = 0

    def number(self) -> int:
        if len(self.data) - self.at < 4:
            raise ProtocolViolation("insufficient data left in message")
        (found,) = _I32.unpack_from(self.data, self.at)
        self.at += 4
        return int(found)

    def text(self, size: int) -> str:
        if len(self.data) - self.at < size:
            raise ProtocolViolation("insufficient data left in message")
        self.at += size
        return decode_utf8(self.data[self.at - size : self.at])


def receive(data: bytes, typmod: int) -> Hstore:
    """Inverse of ``send``. 08P01, 22P03, 22004, 22021, 54000."""
    message = _Message(data)
    count = message.number()
    if not 0 <= count <= PAIRS_MAX:
        raise too_many_pairs(count)
    found: dict[str, str | None] = {}
    for _ in paced(range(count)):
        size = message.number()
        if size < 0:
            raise null_key()
        key = message.text(size)
        size = message.number()
        found.setdefault(key, None if size < 0 else message.text(size))
    if message.at < len(message.data):
        raise InvalidBinaryRepresentation("incorrect binary data format")
    return Hstore.of_mapping(found)


def null_key() -> SqlError:
    """22004."""
    return NullValueNotAllowed("null value not allowed for hstore key")


def too_many_pairs(count: int) -> SqlError:
    """54000."""
    return ProgramLimitExceeded(f"number of pairs ({count}) exceeds the maximum allowed ({PAIRS_MAX})")
