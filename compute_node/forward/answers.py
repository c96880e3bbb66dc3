"""What the writer answers: backend messages → one ``Answer`` a request. Sans-I/O."""

from __future__ import annotations

from io import BytesIO
from typing import Final

from aurora.errors import SQLSTATES, SqlError
from aurora.ids import NO_LSN, Lsn
from aurora.kernels import wire as wire_kernel
from compute_node.protocol.messages import Reader, message

MESSAGE_MAX_BYTES: Final = 1 << 30
_DATA_ROW, _ERROR, _NOTICE, _COMPLETE, _DESCRIPTION, _READY = b"DENCTZ"
_KINDS: dict[str, type[SqlError]] = {}
"""classes of SQLSTATEs that the project itself never raises"""


class Answer:
    """As much as has come of the answer to one request. ``ready``: the block's state, once it is whole; ``asked``: it
    was for the position alone."""

    def __init__(self, asked: bool = False) -> None:
        self.asked = asked
        self.columns: tuple[int, ...] | None = None
        """the types of the result's columns, by OID"""
        self.rows: list[bytes] = []
        """payloads of DataRow messages that nobody has taken yet"""
        self.rows_bytes = 0
        self.notices: list[bytes] = []
        """NoticeResponse messages as they came, not yet taken"""
        self.tag = ""
        self.error: SqlError | None = None
        self.ready = b""
        self.lsn: Lsn = NO_LSN
        self.xids: tuple[int, ...] = ()
        self.command_id = 0
        self.positioned = False

    @property
    def done(self) -> bool:
        """Whether it is whole."""
        return self.positioned and (self.asked or bool(self.ready))

    @property
    def count(self) -> int:
        """The command tag's row count; 0 where it has none."""
        word = self.tag.rpartition(" ")[2]
        return int(word) if word.isdigit() else 0

    def take_rows(self) -> list[bytes]:
        """What has come since the last time."""
        rows, self.rows, self.rows_bytes = self.rows, [], 0
        return rows

    def take_notices(self) -> list[bytes]:
        """What has come since the last time."""
        notices, self.notices = self.notices, []
        return notices


class Messages:
    """Bytes in any pieces → messages, given to an answer."""

    def __init__(self) -> None:
        self._data = b""
        self._parts: BytesIO | None = None
        """a long message, as far as it has come"""
        self._missing_bytes = 0

    def feed(self, data: bytes, answer: Answer) -> None:
        """Take every message that is whole. ValueError for what is none."""
        if self._parts is not None:
            self._parts.write(data)
            self._missing_bytes -= len(data)
            if self._missing_bytes > 0:
                return
            data, self._parts = self._parts.getvalue(), None
        elif self._data:
            data = self._data + data
        at = 0
        while (found := wire_kernel.next_message(data, at, MESSAGE_MAX_BYTES)) is not None:
            kind, start, end = found
            _take(answer, kind, data, start, end)
            at = end
        self._data = data[at:] if at else data
        if len(self._data) >= DEFERRED_BYTES:
            length = int.from_bytes(self._data[1:5], "big") + 1
            self._missing_bytes = length - len(self._data)
            self._parts = BytesIO()
            self._parts.write(self._data)
            self._data = b""


DEFERRED_BYTES: Final = 1 << 16
"""A part of a message above which it is put together once, when it is whole."""


def _take(answer: Answer, kind: int, data: bytes, start: int, end: int) -> None:
    if kind == _DATA_ROW:
        answer.rows.append(data[start:end])
        answer.rows_bytes += end - start
    elif kind == _COMPLETE:
        answer.tag = data[start : end - 1].decode()
    elif kind == _NOTICE:
        answer.notices.append(message(b"N", data[start:end]))
    elif kind == _ERROR:
        if answer.error is None:
            answer.error = read_error(data[start:end])
    elif kind == _DESCRIPTION:
        answer.columns = _described_types(Reader(data, start, end))
    elif kind == _READY:
        answer.ready = data[start:end]
    # ParseComplete, BindComplete, NoData, ParameterStatus and what a log-in brings say nothing new.


def _described_types(reader: Reader) -> tuple[int, ...]:
    found = []
    for _ in range(reader.u16()):
        reader.cstring()
        reader.take(6)  # table and column
        found.append(reader.i32() & 0xFFFFFFFF)
        reader.take(8)  # length, modifier, format
    return tuple(found)


def read_error(payload: bytes) -> SqlError:
    """The error of an ErrorResponse, with all its fields."""
    fields: dict[str, str] = {}
    for field in payload.split(b"\0"):
        if field:
            fields[chr(field[0])] = field[1:].decode(errors="replace")
    state = fields.get("C", "XX000")
    kind = SQLSTATES.get(state) or _KINDS.get(state)
    if kind is None:
        kind = _KINDS[state] = type("ForwardedError", (SqlError,), {"sqlstate": state})
    error = kind(
        fields.get("M", ""),
        detail=fields.get("D"),
        hint=fields.get("H"),
        position=int(fields["P"]) if "P" in fields else None,
        severity=fields.get("V", "ERROR"),
        where=fields.get("W"),
        schema=fields.get("s"),
        table=fields.get("t"),
        column=fields.get("c"),
        data_type=fields.get("d"),
        constraint=fields.get("n"),
    )
    error.routine = fields.get("R")
    error.internal_position = int(fields["p"]) if "p" in fields else None
    error.internal_query = fields.get("q")
    return error
