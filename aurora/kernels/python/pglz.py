"""pglz, the LZ compression of PostgreSQL's TOAST: bytes ↔ a stream that any PostgreSQL reads.

```
repeated: u8 control, lowest bit first, then one item a bit, to the end of the stream
          bit 0: one literal byte
          bit 1: offset bits 8-11 << 4 | length - 3, u8 offset bits 0-7; with the low half 15: u8 length - 18 follows
```
A copy takes ``length`` bytes (3 to 273) from ``offset`` bytes back (1 to 4095) and may overlap itself. The compressor
keeps the last 4095 positions in hash chains, newest first, and is content with shorter matches the longer it looks, as
PostgreSQL's is, so that a value takes as many bytes here as there.
"""

from __future__ import annotations

from aurora.errors import DataCorrupted, SqlError

INPUT_BYTES_MIN = 32
LITERALS_BYTES_MAX = 1024
"""A value whose first so many bytes have no match at all is not compressed."""
SAVED_PERCENT_MIN = 25
MATCH_BYTES_MAX = 273
HISTORY = 4096
GOOD_MATCH_BYTES, GOOD_MATCH_DROP_PERCENT = 128, 10


def _buckets(size: int) -> int:
    for below, buckets in ((128, 512), (256, 1024), (512, 2048), (1024, 4096)):
        if size < below:
            return buckets
    return 8192


def compress(data: bytes) -> bytes | None:
    """The compressed form; None when it would not save a quarter."""
    size = len(data)
    if size < INPUT_BYTES_MIN:
        return None
    mask = _buckets(size) - 1
    limit = size * (100 - SAVED_PERCENT_MIN) // 100
    heads: dict[int, int] = {}
    older = [-1] * HISTORY  # of position p at p % HISTORY: the position before it in its chain
    out = bytearray()
    control_at, bit, found = -1, 256, False

    def remember(at: int) -> None:
        key = _hash(data, at, size) & mask
        older[at % HISTORY] = heads.get(key, -1)
        heads[key] = at

    at = 0
    while at < size:
        if len(out) >= limit or (not found and len(out) >= LITERALS_BYTES_MAX):
            return None
        if bit == 256:
            control_at, bit = len(out), 1
            out.append(0)
        length, offset = _longest(data, at, size, heads.get(_hash(data, at, size) & mask, -1), older)
        if length > 2:
            found = True
            out[control_at] |= bit
            out.append(offset >> 4 & 0xF0 | min(length - 3, 15))
            out.append(offset & 0xFF)
            if length > 17:
                out.append(length - 18)
        else:
            length = 1
            out.append(data[at])
        bit <<= 1
        for position in range(at, at + length):
            remember(position)
        at += length
    return bytes(out) if len(out) < limit else None


def _hash(data: bytes, at: int, size: int) -> int:
    if size - at < 4:
        return _signed(data[at])
    a, b, c, d = data[at : at + 4]
    return _signed(a) << 6 ^ _signed(b) << 4 ^ _signed(c) << 2 ^ _signed(d)


def _signed(byte: int) -> int:
    return byte - 256 if byte > 127 else byte


def _longest(data: bytes, at: int, size: int, candidate: int, older: list[int]) -> tuple[int, int]:
    """(length, offset) of the match chosen for position ``at``; length 0 without one."""
    best = offset = 0
    good = GOOD_MATCH_BYTES
    most = min(MATCH_BYTES_MAX, size - at)
    while candidate >= 0:
        distance = at - candidate
        if distance >= HISTORY - 1:
            break
        length = 0
        while length < most and data[candidate + length] == data[at + length]:
            length += 1
        if length > best:
            best, offset = length, distance
        following = older[candidate % HISTORY]
        # A slot that was overwritten by a newer position ends the chain.
        candidate = following if following < candidate else -1
        if candidate >= 0:
            if best >= good:
                break
            good -= good * GOOD_MATCH_DROP_PERCENT // 100
    return best, offset


def decompress(data: bytes, raw_bytes: int, upto: int = -1) -> bytes:
    """The value of ``raw_bytes`` bytes, or (``upto`` ≥ 0) at least its first ``upto``, no more than the value has.
    XX001 when the stream is not one of a value of that size."""
    wanted = raw_bytes if upto < 0 else min(upto, raw_bytes)
    out = bytearray()
    at, size = 0, len(data)
    while at < size and len(out) < wanted:
        control = data[at]
        at += 1
        for _ in range(8):
            if at >= size or len(out) >= wanted:
                break
            if control & 1:
                if at + 2 > size:
                    raise corrupt()
                length, offset = (data[at] & 0x0F) + 3, (data[at] & 0xF0) << 4 | data[at + 1]
                at += 2
                if length == 18:
                    if at >= size:
                        raise corrupt()
                    length += data[at]
                    at += 1
                if not 0 < offset <= len(out) or len(out) + length > raw_bytes:
                    raise corrupt()
                start = len(out) - offset
                if offset >= length:
                    out += out[start : start + length]
                else:
                    pattern = bytes(out[start:])
                    out += (pattern * (length // offset + 1))[:length]
            else:
                out.append(data[at])
                at += 1
            control >>= 1
    if len(out) < wanted or (upto < 0 and at != size):
        raise corrupt()
    return bytes(out[:wanted])


def corrupt() -> SqlError:
    """XX001, as PostgreSQL words it."""
    return DataCorrupted("compressed pglz data is corrupt")
