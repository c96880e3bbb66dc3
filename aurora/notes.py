"""NOTE records: what the writer tells those who follow its log, beside the pages' redo.

A note's payload::

     0     1  kind        bits 0–3: kind; bits 4–6: version, 1; bit 7: a time follows
     1     9  time        i64   µs since 2000-01-01 UTC by the writer's clock; only with bit 7
    then the kind's body, of which storage knows nothing:

    COMMIT, ABORT, UNDO   varint xid of the whole transaction, sub-xids; then sections
    LOCK                  varint xid (of the savepoint level that took it), relation OIDs

    sub-xids, OIDs        varint count, then varint differences, ascending
    section               u8 tag, varint length, content:
      1 RELATIONS         varint database OID, OIDs of relations whose descriptor is out of date
      2 ROWS              varint database OID; per catalog: varint its OID, OIDs of written rows

COMMIT stands first in its mini-transaction, so its LSN is the commit LSN. ABORT ends a transaction that has an xid.
UNDO is a rollback to a savepoint: its sub-xids are aborted, the transaction goes on. LOCK says that ACCESS EXCLUSIVE
locks were taken, before anything that they protect; they end with the COMMIT, ABORT or UNDO that names their xid. A
section of an unknown tag is passed over, a kind or version that is unknown is an error.

The time is the generic part: who knows nothing of transactions (a restore to a time) reads it with ``time_of``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from aurora.errors import InvariantViolation
from aurora.kernels import redo
from aurora.kernels.python.redo import read_varint, write_varint

COMMIT, ABORT, UNDO, LOCK = 1, 2, 3, 4
VERSION = 1
_VERSION_BITS = VERSION << 4
_TIMED = 0x80
_HEAD = struct.Struct("<Bq")
RELATIONS, ROWS = 1, 2


@dataclass(slots=True)
class Invalidations:
    """What a commit has changed in the catalogs of ``database``: relations whose descriptors are out of date, and for
    each catalog (its OID) the OIDs of the rows written."""

    database: int
    relations: frozenset[int] = frozenset()
    rows: dict[int, frozenset[int]] = field(default_factory=dict)

    @property
    def numbers(self) -> int:
        """How many numbers its sections hold, at most."""
        return 8 + len(self.relations) + sum(2 + len(oids) for oids in self.rows.values())


@dataclass(slots=True)
class Ended:
    """A COMMIT, ABORT or UNDO note. ``subxids`` ascending, without ``xid``."""

    kind: int
    xid: int
    subxids: tuple[int, ...]
    time_us: int
    invalidations: Invalidations | None = None


@dataclass(slots=True)
class Locked:
    """A LOCK note: ``xid`` has ACCESS EXCLUSIVE locks on ``relations``, each database OID << 32 | OID."""

    xid: int
    relations: tuple[int, ...]


def encode_end(
    kind: int, xid: int, subxids: Sequence[int], time_us: int, invalidations: Invalidations | None = None
) -> bytes:
    """A COMMIT, ABORT or UNDO note."""
    if not subxids and invalidations is None:
        # Every small commit's.
        return _HEAD.pack(_TIMED | _VERSION_BITS | kind, time_us) + redo.varint(xid) + b"\0"
    out = bytearray(_HEAD.pack(_TIMED | _VERSION_BITS | kind, time_us))
    write_varint(out, xid)
    _put_ascending(out, subxids)
    if invalidations is not None:
        content = bytearray()
        write_varint(content, invalidations.database)
        _put_ascending(content, sorted(invalidations.relations))
        _put_section(out, RELATIONS, content)
        if invalidations.rows:
            content = bytearray()
            write_varint(content, invalidations.database)
            for catalog, oids in sorted(invalidations.rows.items()):
                write_varint(content, catalog)
                _put_ascending(content, sorted(oids))
            _put_section(out, ROWS, content)
    return bytes(out)


def encode_lock(xid: int, relations: Iterable[int]) -> bytes:
    """A LOCK note."""
    out = bytearray((_VERSION_BITS | LOCK,))
    write_varint(out, xid)
    _put_ascending(out, sorted(relations))
    return bytes(out)


def time_of(payload: bytes | memoryview) -> int | None:
    """The time of a note, µs since 2000-01-01 UTC; None when it has none."""
    if len(payload) < _HEAD.size or not payload[0] & _TIMED:
        return None
    time_us: int = _HEAD.unpack_from(payload)[1]
    return time_us


def decode(payload: bytes) -> Ended | Locked:
    """Raises InvariantViolation for what is no note of this version."""
    try:
        note = _decode(payload)
    except (IndexError, struct.error):
        raise InvariantViolation(f"a note of {len(payload)} bytes ends inside a field") from None
    return note


def _decode(payload: bytes) -> Ended | Locked:
    first = payload[0]
    kind = first & 0x0F
    if first & 0x70 != _VERSION_BITS or kind not in (COMMIT, ABORT, UNDO, LOCK):
        raise InvariantViolation(f"a note begins with {first:#04x}, which is no kind of version {VERSION}")
    if bool(first & _TIMED) != (kind != LOCK):
        raise InvariantViolation(f"a note of kind {kind} {'has a' if first & _TIMED else 'lacks its'} time")
    time_us, at = (0, 1) if kind == LOCK else (_HEAD.unpack_from(payload)[1], _HEAD.size)
    xid, at = read_varint(payload, at)
    items, at = _ascending(payload, at)
    if kind == LOCK:
        if at != len(payload):
            raise InvariantViolation(f"a lock note has {len(payload) - at} bytes too many")
        return Locked(xid, items)
    return Ended(kind, xid, items, time_us, _invalidations(payload, at))


def _invalidations(payload: bytes, at: int) -> Invalidations | None:
    found: Invalidations | None = None
    for tag, content in _sections(payload, at):
        if tag not in (RELATIONS, ROWS):
            continue
        database, place = read_varint(content, 0)
        found = found or Invalidations(database)
        if tag == RELATIONS:
            oids, place = _ascending(content, place)
            found.relations = frozenset(oids)
        else:
            while place < len(content):
                catalog, place = read_varint(content, place)
                oids, place = _ascending(content, place)
                found.rows[catalog] = frozenset(oids)
        if place != len(content):
            raise InvariantViolation(f"section {tag} of a note has {len(content) - place} bytes too many")
    return found


def _sections(payload: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    while at < len(payload):
        tag = payload[at]
        length, at = read_varint(payload, at + 1)
        if at + length > len(payload):
            raise InvariantViolation(f"section {tag} of a note has {length} bytes, and {len(payload) - at} are left")
        yield tag, payload[at : at + length]
        at += length


def _put_section(out: bytearray, tag: int, content: bytearray) -> None:
    out.append(tag)
    write_varint(out, len(content))
    out += content


def _put_ascending(out: bytearray, items: Iterable[int]) -> None:
    items = list(items)
    write_varint(out, len(items))
    before = 0
    for item in items:
        write_varint(out, item - before)
        before = item


def _ascending(data: bytes, at: int) -> tuple[tuple[int, ...], int]:
    count, at = read_varint(data, at)
    if count > len(data) - at:
        raise InvariantViolation(f"a note has {count} numbers in {len(data) - at} bytes")
    found, value = [], 0
    for number in range(count):
        difference, at = read_varint(data, at)
        if number and not difference:
            raise InvariantViolation(f"number {value} stands twice in a note")
        value += difference
        found.append(value)
    return tuple(found), at
