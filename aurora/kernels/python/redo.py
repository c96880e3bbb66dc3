"""Redo records: encoding, scanning and the one ``apply``.

A record changes one page, or is a note that storage does not look into::

    varint  length      of all that follows
    u8      flags       bit 0 CPL, bit 1 NOTE
    varint  vol_delta   lsn - LSN of the volume's previous record
    varint  pg_delta    lsn - LSN of the protection group's previous record
    page record:                          note:
    varint  page_no                       bytes   payload
    varint  page_delta  lsn - page's previous LSN, 0 = the page's first record
    ops, one after another:
      PUT    varint to << 2 | 0    varint n         n bytes
      MOVE   varint to << 2 | 1    varint from      varint n        (memmove)
      IMAGE  varint hole << 2 | 2  varint hole_n    the page from byte 12 on, without hole_n zero bytes at offset hole
    no op at all, with page_delta 0: FREE, the page counts as never written from here on

The LSN of a record is the log position of its first byte; the next record starts at ``lsn + encoded length``, so a run
of records of one protection group needs only the LSN before it. A varint is little-endian base 128. Apply replays the
ops in order and sets ``page_lsn``; it is the same for the writer's cache, the readers and the storage nodes.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable

from aurora.errors import InvariantViolation
from aurora.page import PAGE_BYTES

FLAG_CPL = 1
FLAG_NOTE = 2

PUT, MOVE, IMAGE = 0, 1, 2
IMAGE_FROM = 12
"""First byte of a page that an IMAGE carries: LSN and checksum are not redo."""

NO_PAGE = -1
"""``page_no`` that ``scan`` gives for a note."""


def write_varint(out: bytearray, value: int) -> None:
    """Append ``value`` (≥ 0) in base 128."""
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def varint(value: int) -> bytes:
    """``value`` (≥ 0) in base 128."""
    out = bytearray()
    write_varint(out, value)
    return bytes(out)


def read_varint(data: bytes | bytearray | memoryview, at: int) -> tuple[int, int]:
    """The varint at ``at`` and the position behind it; IndexError past the end."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise InvariantViolation("varint longer than 64 bits")


def encode_record(
    lsn: int, prev_lsn: int, pg_prev_lsn: int, page_no: int, page_prev_lsn: int, ops: bytes, flags: int
) -> bytes:
    """One record's bytes. For a note, ``page_no`` is ``NO_PAGE`` and ``ops`` the payload."""
    body = bytearray((flags,))
    write_varint(body, lsn - prev_lsn)
    write_varint(body, lsn - pg_prev_lsn)
    if not flags & FLAG_NOTE:
        write_varint(body, page_no)
        write_varint(body, lsn - page_prev_lsn if page_prev_lsn else 0)
    body += ops
    out = bytearray()
    write_varint(out, len(body))
    return bytes(out + body)


def scan(data: bytes, pg_prev_lsn: int) -> list[tuple[int, int, int, int, int, int, int]]:
    """Index a run of records of one protection group.

    Returns a list of ``(lsn, prev_lsn, page_no, page_prev_lsn, flags, offset, end)``: ``data[offset:end]`` are the
    record's ops (a note's payload). Raises InvariantViolation when the bytes do not parse.
    """
    found = []
    at, total = 0, len(data)
    try:
        while at < total:
            length, body = read_varint(data, at)
            end = body + length
            if end > total or not length:
                raise InvariantViolation(f"redo record at byte {at} of {total} has length {length}")
            flags = data[body]
            vol_delta, at = read_varint(data, body + 1)
            pg_delta, at = read_varint(data, at)
            lsn = pg_prev_lsn + pg_delta
            page_no, page_prev, page_delta = NO_PAGE, 0, 0
            if not flags & FLAG_NOTE:
                page_no, at = read_varint(data, at)
                page_delta, at = read_varint(data, at)
                page_prev = lsn - page_delta if page_delta else 0
            if at > end or not pg_delta or not vol_delta or vol_delta > lsn or page_delta > lsn:
                raise InvariantViolation(f"redo record ending at byte {end} is malformed")
            found.append((lsn, lsn - vol_delta, page_no, page_prev, flags, at, end))
            pg_prev_lsn, at = lsn, end
    except IndexError as error:
        raise InvariantViolation("redo run ends inside a record") from error
    return found


def index_run(
    chains: dict[int, array[int]],
    fresh: dict[int, list[int]],
    data: bytes,
    pg_prev_lsn: int,
    after_lsn: int,
    upto_lsn: int,
) -> None:
    """Add a run's page records above ``after_lsn`` and at or below ``upto_lsn`` to a segment's index.

    ``chains``: page → u64s: the LSN that the first record follows (0: it starts the page anew), then two a record in
    LSN order: its LSN, and offset << 32 | end of its ops in ``data``.
    ``fresh``: page → LSNs of those records that start it anew. InvariantViolation when the bytes do not parse or a
    record does not follow the last one of its page; how much has been added by then is not defined.
    """
    for lsn, _, page_no, page_prev, _, offset, end in scan(data, pg_prev_lsn):
        if page_no < 0 or lsn <= after_lsn:
            continue
        if lsn > upto_lsn:
            return
        chain = chains.get(page_no)
        if chain is None:
            chain = chains[page_no] = array("Q", (page_prev,))
        elif page_prev and chain[-2] != page_prev:
            raise InvariantViolation(
                f"page {page_no}: record {lsn} follows {page_prev}, the last one indexed is {chain[-2]}"
            )
        if not page_prev:
            fresh.setdefault(page_no, []).append(lsn)
        chain.append(lsn)
        chain.append(offset << 32 | end)


def check_run(
    data: bytes, pg_prev_lsn: int, first_lsn: int, last_lsn: int, last_cpl: int, first_page: int, end_page: int
) -> None:
    """InvariantViolation when ``data`` is not a run of records from ``first_lsn`` to ``last_lsn`` with ``last_cpl`` for
    its highest CPL (0: none), whose pages are ``first_page`` to before ``end_page`` and whose ops can be applied.
    """
    found = scan(data, pg_prev_lsn)
    first = found[0][0] if found else 0
    last = found[-1][0] if found else 0
    cpl = max((record[0] for record in found if record[4] & FLAG_CPL), default=0)
    if (first, last, cpl) != (first_lsn, last_lsn, last_cpl):
        raise InvariantViolation(f"redo run {first}..{last}, CPL {cpl}, is not {first_lsn}..{last_lsn}, CPL {last_cpl}")
    scratch = bytearray(PAGE_BYTES)
    for lsn, _, page_no, _, _, offset, end in found:
        if page_no == NO_PAGE:
            continue
        if not first_page <= page_no < end_page:
            raise InvariantViolation(f"redo run changes page {page_no}, which is not in {first_page} to {end_page - 1}")
        try:
            apply(scratch, data, offset, end, lsn)
        except IndexError as error:
            raise InvariantViolation("redo run ends inside an op") from error


def is_free(page_prev_lsn: int, offset: int, end: int) -> bool:
    """Whether a page record, as ``scan`` gives it, is a FREE: nobody needs the page any more. Who keeps pages drops it,
    storage serves it as never written, and the next record of the page starts it anew.
    """
    return not page_prev_lsn and offset == end


def apply(page: bytearray | memoryview, data: bytes, offset: int, end: int, lsn: int) -> None:
    """Apply the ops ``data[offset:end]`` to ``page`` (8192 writable bytes) and set its LSN."""
    at = offset
    while at < end:
        tag, at = read_varint(data, at)
        kind, to = tag & 3, tag >> 2
        if kind == PUT:
            n, at = read_varint(data, at)
            if to + n > PAGE_BYTES or at + n > end:
                raise InvariantViolation(f"PUT of {n} bytes at {to} leaves the page or the record")
            page[to : to + n] = data[at : at + n]
            at += n
        elif kind == MOVE:
            source, at = read_varint(data, at)
            n, at = read_varint(data, at)
            if to + n > PAGE_BYTES or source + n > PAGE_BYTES:
                raise InvariantViolation(f"MOVE of {n} bytes from {source} to {to} leaves the page")
            page[to : to + n] = bytes(page[source : source + n])
        elif kind == IMAGE:
            hole_n, at = read_varint(data, at)
            head, tail = to - IMAGE_FROM, PAGE_BYTES - to - hole_n
            if head < 0 or tail < 0 or at + head + tail > end:
                raise InvariantViolation(f"IMAGE with a hole of {hole_n} bytes at {to} does not fit")
            page[IMAGE_FROM:to] = data[at : at + head]
            page[to : to + hole_n] = bytes(hole_n)
            page[to + hole_n : PAGE_BYTES] = data[at + head : at + head + tail]
            at += head + tail
        else:
            raise InvariantViolation(f"redo op {kind} is unknown")
    struct.pack_into("<Q", page, 0, lsn)


def apply_chain(page: bytearray | memoryview, records: Iterable[tuple[bytes, int, int, int]]) -> None:
    """Apply ``(data, offset, end, lsn)`` records in order."""
    for data, offset, end, lsn in records:
        apply(page, data, offset, end, lsn)
