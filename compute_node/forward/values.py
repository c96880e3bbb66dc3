"""Rows of the writer's answer → typed values, as if the statement had run here."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from aurora.datum import Datum, Row
from compute_node.forward.requests import goes_binary
from compute_node.hub import HUB
from compute_node.session.results import decode_text
from compute_node.types.oids import RECORD
from compute_node.types.record import Record
from compute_node.types.registry import PgType

if TYPE_CHECKING:
    from compute_node.session.state import SessionState

PULSE_ROWS: Final = 256
PULSE_BYTES: Final = 1 << 16
_I32 = struct.Struct(">i")


def decoders(session: SessionState, columns: Sequence[PgType]) -> list[Callable[[bytes], Datum]]:
    """What makes a column's value of its bytes."""
    return [_decoder(session, kind) for kind in columns]


def _decoder(session: SessionState, kind: PgType) -> Callable[[bytes], Datum]:
    if kind.oid == RECORD:
        return lambda raw: _record(session, raw)
    receive = kind.receive
    if goes_binary(kind) and receive is not None:
        return lambda raw: receive(raw, -1)
    return lambda raw: kind.input(decode_text(raw), -1, session.env)


def _record(session: SessionState, raw: bytes) -> Record:
    """See ``types.record.record_send``."""
    values: list[Datum] = []
    kinds: list[PgType | None] = []
    at = 4
    for _ in range(_I32.unpack_from(raw)[0]):
        oid, length = struct.unpack_from(">Ii", raw, at)
        at += 8
        kind = session.type_of(oid)
        kinds.append(kind)
        values.append(None if length < 0 else _decoder(session, kind)(raw[at : at + length]))
        at += max(length, 0)
    return Record.of(values, kinds)


def rows(payloads: list[bytes], reads: Sequence[Callable[[bytes], Datum]]) -> list[Row]:
    """The rows of DataRow messages. Others run in between."""
    found: list[Row] = []
    for number, payload in enumerate(payloads):
        if number % PULSE_ROWS == PULSE_ROWS - 1 or len(payload) > PULSE_BYTES:
            HUB.pulse()
        values: list[Datum] = []
        at = 2
        for read in reads:
            length = _I32.unpack_from(payload, at)[0]
            at += 4
            if length < 0:
                values.append(None)
            else:
                values.append(read(payload[at : at + length]))
                at += length
        found.append(tuple(values))
    return found
