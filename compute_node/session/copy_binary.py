"""COPY FROM's binary format: pieces of the data → typed rows (manual, reference page of COPY, binary format)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from aurora.datum import Datum, Row
from aurora.errors import BadCopyFileFormat, SqlError
from compute_node.session.copy_input import Column
from compute_node.session.copy_kept import KeptInput, check_buffer
from compute_node.types.registry import PgType, TypeEnv
from compute_node.work.account import Account

SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0"
_HEADER_BYTES: Final = len(SIGNATURE) + 8
_COUNT_BYTES: Final = 2
_LENGTH_BYTES: Final = 4


class BinaryReader:
    """Header, then per row a field count and fields; -1 ends it. A row may come in any pieces: what is whole of it is
    read once."""

    ended = False
    """never: all of the data are read, for nothing may follow the end's mark"""

    def __init__(self, relation: str, columns: Sequence[Column], env: TypeEnv, account: Account | None = None) -> None:
        self._env = env
        self._relation = relation
        self._columns = columns
        self._rest: list[bytes] = []
        """pieces of what is read as one and is not whole yet: the header, a field"""
        self._have = 0
        self._wanted = _HEADER_BYTES
        """bytes that ``_rest`` has, and that it needs"""
        self._kept = KeptInput(account)
        """what ``_rest`` and ``_values`` have"""
        self._in_header, self._at_end = True, False
        self._skip = 0
        """bytes of the header's extension that are still to come"""
        self._values: list[Datum] | None = None
        """of a row that has begun"""
        self._row = 0
        self._given = 0

    def feed(self, data: bytes) -> list[Row]:
        """Take a piece; returns complete rows. 22P04, 53200, 54000."""
        rows: list[Row] = []
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        if self._have + len(data) >= self._wanted:
            if self._rest:
                data = b"".join((*self._rest, data))
                self._kept.drop(self._have)
                self._rest, self._have = [], 0
            at = self._header(data) if self._in_header else 0
            while not self._at_end:
                row, at = self._one(data, at)
                if row is None:
                    break
                rows.append(row)
            data = data[at:]
            if self._at_end and data:
                raise BadCopyFileFormat("received copy data after EOF marker", where=self._where())
        if data:
            self._keep(data)
        self._given = len(rows)
        return rows

    def _keep(self, data: bytes) -> None:
        self._kept.add(len(data), len(data), self._where())
        self._rest.append(data)
        self._have += len(data)

    def _where(self) -> str:
        return f"COPY {self._relation}, line {self._row + 1}"

    def place(self, row: int, with_text: bool) -> str:
        """As ``LineReader.place``; there is no text to show."""
        return f"COPY {self._relation}, line {self._row - self._given + row + 1}"

    def finish(self) -> list[Row]:
        """The end of the data."""
        if self._have or self._in_header or self._skip or self._values is not None:
            raise BadCopyFileFormat("unexpected EOF in COPY data", where=self._where())
        return []

    def _header(self, data: bytes) -> int:
        """The header, and what has come of its extension; returns where that ends."""
        size = len(SIGNATURE)
        if data[:size] != SIGNATURE:
            raise BadCopyFileFormat("COPY file signature not recognized")
        if int.from_bytes(data[size : size + 4], "big") >> 16:
            raise BadCopyFileFormat("unrecognized critical flags in COPY file header")
        extension_bytes = int.from_bytes(data[size + 4 : _HEADER_BYTES], "big")
        skipped = min(extension_bytes, len(data) - _HEADER_BYTES)
        self._skip = extension_bytes - skipped
        self._in_header, self._wanted = False, _COUNT_BYTES
        return _HEADER_BYTES + skipped

    def _one(self, data: bytes, at: int) -> tuple[Row | None, int]:
        """Begin a row, or go on with one: the row, or None for one that is not whole; and where the rest begins."""
        start, values, where = at, self._values, self._where()
        if values is None:
            if len(data) < at + _COUNT_BYTES:
                self._wanted = _COUNT_BYTES
                return None, at
            count = int.from_bytes(data[at : at + _COUNT_BYTES], "big", signed=True)
            at += _COUNT_BYTES
            if count == -1:
                self._at_end, self._wanted = True, 0
                return None, at
            if count != len(self._columns):
                raise BadCopyFileFormat(f"row field count is {count}, expected {len(self._columns)}", where=where)
            values = []
        for name, item, typmod in self._columns[len(values) :] if values else self._columns:
            begin = at + _LENGTH_BYTES
            if len(data) < begin:
                return self._later(values, at - start, at, _LENGTH_BYTES)
            length = int.from_bytes(data[at:begin], "big", signed=True)
            if length == -1:
                if item.check is not None:
                    item.check(None, self._env)
                values.append(None)
                at = begin
                continue
            if length < 0:
                raise BadCopyFileFormat("invalid field size", where=f"{where}, column {name}")
            if len(data) < begin + length:
                check_buffer(0, length, f"{where}, column {name}")
                return self._later(values, at - start, at, _LENGTH_BYTES + length)
            at = begin + length
            values.append(self._receive(item, data[begin:at], typmod, f"{where}, column {name}"))
        if self._values is not None:
            self._values = None
            self._kept.clear()
        self._row += 1
        return tuple(values), at

    def _later(self, values: list[Datum], read_bytes: int, at: int, wanted: int) -> tuple[None, int]:
        """Go on when so many bytes are there."""
        self._values, self._wanted = values, wanted
        self._kept.charge(read_bytes)
        return None, at

    def _receive(self, item: PgType, raw: bytes, typmod: int, where: str) -> Any:
        receive: Callable[[bytes, int], Datum] | None = item.receive
        try:
            if receive is None:
                raise BadCopyFileFormat(f"no binary input function available for type {item.name}")
            value = receive(raw, typmod)
            if item.check is not None:
                item.check(value, self._env)
            return value
        except SqlError as error:
            error.where = error.where or where
            raise
