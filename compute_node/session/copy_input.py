"""COPY FROM: pieces of the client's data → lists of typed rows (manual, reference page of COPY, file formats).

Most lines are plain: no backslash, no quote. Those are split by str methods and converted column by column; whatever is
not plain, or fails that way, goes through the exact path, which also makes the errors with their line and column.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from sys import getsizeof
from typing import Any, Final

from aurora.datum import Datum, Row
from aurora.errors import BadCopyFileFormat, InvalidColumnReference, InvariantViolation, SqlError, UndefinedColumn
from aurora.kernels import wire as wire_kernel
from compute_node.hub import HUB
from compute_node.session.copy_kept import KeptInput
from compute_node.session.copy_options import CopyOptions
from compute_node.session.results import decode_text
from compute_node.types.registry import PgType, TypeEnv
from compute_node.work.account import Account

_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPED = re.compile(r"\\(x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
_MEMO_LIMIT = 1024
_COPIES = 3
"""of a long line while it becomes a row: bytes, text, fields"""

Column = tuple[str, PgType, int]


def unescape(field: str) -> str:
    """Undo the text format's backslashes."""

    def one(match: re.Match[str]) -> str:
        text = match[1]
        if text[0] == "x" and len(text) > 1:
            return chr(int(text[1:], 16))
        if text[0] in "01234567":
            return chr(int(text, 8) & 0xFF)
        return _ESCAPES.get(text, text)

    return _ESCAPED.sub(one, field)


def _integer_code(item: PgType) -> bytes:
    return b"%d" % item.length if item.wire.copy == "i" and item.length in (2, 4, 8) else b"d"


class _Batch:
    """Converts raw rows (fields are str, None is NULL) to typed rows."""

    def __init__(self, relation: str, columns: Sequence[Column], env: TypeEnv) -> None:
        self.relation = relation
        self._columns = columns
        self._env = env
        self._memos: list[dict[str, Datum]] = [{} for _ in columns]

    def convert(self, rows: list[list[str | None]], first_line: int) -> list[Row]:
        """All rows, column by column; row by row when something is wrong, for the error's sake."""
        if not self._columns:
            return [() for _ in rows]
        try:
            return list(zip(*[self._column(index, values) for index, values in enumerate(zip(*rows, strict=True))]))
        except (ValueError, TypeError, SqlError):
            return [self._exact(row, first_line + offset) for offset, row in enumerate(rows)]

    def codes(self) -> bytes:
        """What ``split_copy`` makes of each column."""
        kinds = [(item, typmod) for _, item, typmod in self._columns]
        return b"".join(_integer_code(item) if typmod < 0 else b"d" for item, typmod in kinds)

    def split(self, columns: list[list[int | str | None]]) -> list[Row] | None:
        """The rows of columns that ``split_copy`` has made; None when something is wrong, for the error's sake."""
        try:
            return list(zip(*[self._converted(index, values) for index, values in enumerate(columns)]))
        except (ValueError, TypeError, SqlError):
            return None

    def _converted(self, index: int, values: list[Any]) -> Sequence[Datum]:
        _, item, typmod = self._columns[index]
        done = typmod < 0 and (item.wire.copy == "s" or _integer_code(item) != b"d")
        return values if done else self._column(index, values)

    def _column(self, index: int, values: Sequence[str | None]) -> Sequence[Datum]:
        _, item, typmod = self._columns[index]
        if item.wire.copy == "i":
            bits = 8 * item.length - 1
            numbers = [None if value is None else int(value) for value in values]
            present = [number for number in numbers if number is not None]
            if present and (min(present) < -(1 << bits) or max(present) >= 1 << bits):
                raise ValueError(index)
            for value in values:
                # int() is more generous than SQL.
                if value is not None and ("_" in value or not value.isascii()):
                    raise ValueError(value)
            return numbers
        if item.wire.copy == "s" and typmod < 0:
            return values
        memo, convert, env = self._memos[index], item.input, self._env
        out: list[Datum] = []
        for value in values:
            if value is None:
                if item.check is not None:
                    item.check(None, env)
                out.append(None)
                continue
            found = memo.get(value)
            if found is None:
                found = convert(value, typmod, env)
                if len(memo) < _MEMO_LIMIT:
                    memo[value] = found
            out.append(found)
        return out

    def check(self, fields: list[str | None], line: int) -> None:
        """Convert the first fields of a line that has too few: whichever of them is wrong is told first."""
        self._exact(fields, line)

    def _exact(self, row: list[str | None], line: int) -> Row:
        values = []
        for (name, item, typmod), value in zip(self._columns, row, strict=False):
            try:
                if value is not None:
                    values.append(item.input(value, typmod, self._env))
                    continue
                if item.check is not None:
                    item.check(None, self._env)
                values.append(None)
            except SqlError as error:
                if error.where is None:
                    shown = "null input" if value is None else f'"{value}"'
                    error.where = f"COPY {self.relation}, line {line}, column {name}: {shown}"
                raise
        return tuple(values)

    def error(self, message: str, line: int, text: str) -> SqlError:
        """22P04 with the line."""
        return BadCopyFileFormat(message, where=f'COPY {self.relation}, line {line}: "{shorten(text)}"')


def shorten(text: str) -> str:
    """A line as messages show it."""
    return text if len(text) <= 100 else text[:100] + "..."


_MARK: Final = re.compile(r"(?:[^\\]|\\[^.])*\\\.", re.DOTALL)
"""a text's line up to the mark of its end"""


_SEQUENCE_BYTES = 3
"""that may follow the first of a sequence"""


class LineReader:
    """Text and CSV: ``feed(bytes)`` gives the rows that are complete, ``finish()`` those of a last line without
    newline."""

    def __init__(
        self,
        relation: str,
        columns: Sequence[Column],
        options: CopyOptions,
        env: TypeEnv,
        decode: Callable[[bytes], str] = decode_text,
        account: Account | None = None,
        table_columns: Sequence[str] = (),
    ) -> None:
        self._decode = decode
        self._table_columns = table_columns
        self._batch = _Batch(relation, columns, env)
        self._names = [name for name, _, _ in columns]
        self._options = options
        self._csv = options.format == "csv"
        self._rest: list[bytes] = []
        """pieces of a line that is not whole yet"""
        self._kept = KeptInput(account)
        """what those and ``_open_record`` have"""
        self._line = 0
        self._broken: SqlError | None = None
        """of a line that is not in its encoding, after those that have been given"""
        self._newline: str | None = None
        self.ended = False
        """whether the end of the data was marked"""
        self._open_record: list[str] = []
        """lines of a record, one of whose fields goes on"""
        self._is_quoted = False
        self._open_line = 0
        self._marks = re.compile(f"[{re.escape(options.quote)}{re.escape(options.escape)}]")
        self._bounds = re.compile(f"[{re.escape(options.quote)}{re.escape(options.delimiter)}]")
        self._header = options.header != "none"
        self._given: list[str] = []
        self._chunk: bytes | None = None
        """what ``_given`` is made from when it is asked for"""
        self._special = b"\\" + options.quote.encode() if self._csv else b""
        self._codes = self._batch.codes()
        self._given_first = 1
        self._numbers: Sequence[int] = ()
        self._force_null = self._chosen("FORCE_NULL", options.force_null)
        self._force_not_null = self._chosen("FORCE_NOT_NULL", options.force_not_null)

    def _chosen(self, option: str, names: tuple[str, ...]) -> frozenset[int]:
        if names == ("*",):
            return frozenset(range(len(self._names)))
        for name in names:
            if name not in self._names:
                if name not in self._table_columns:
                    raise UndefinedColumn(f'column "{name}" of relation "{self._batch.relation}" does not exist')
                raise InvalidColumnReference(f'{option} column "{name}" not referenced by COPY')
        return frozenset(self._names.index(name) for name in names)

    def feed(self, data: bytes) -> list[Row]:
        """Take a piece; returns complete rows. 53200, 54000."""
        if self.ended:
            return []
        self._refuse_broken()
        cut = data.rfind(b"\n") + 1
        if not cut:
            self._keep(data)
            return []
        rest = self._rest
        if not rest:
            rows = self._rows(data[:cut])
        else:
            kept_bytes = sum(map(len, rest))
            self._kept.drop(kept_bytes)
            with self._kept.working(_COPIES * kept_bytes):
                self._rest = []
                rest.append(data[:cut])
                rows = self._rows(b"".join(rest))
        if cut < len(data):
            self._keep(data[cut:])
        return rows

    def _refuse_broken(self) -> None:
        if self._broken is not None:
            raise self._broken

    def _refusal(self, line: bytes) -> SqlError | None:
        """Why bytes are not in the input's encoding; None: they are."""
        try:
            self._decode(line)
        except SqlError as error:
            return error
        return None

    def _keep(self, data: bytes) -> None:
        self._kept.add(len(data), len(data), f"COPY {self._batch.relation}, line {self._line + 1}")
        self._rest.append(data)

    def _rows(self, chunk: bytes) -> list[Row]:
        rows = self._plain(chunk) if self._decode is decode_text else None
        if rows is not None:
            return rows
        try:
            text = self._decode(chunk)
        except SqlError:
            return self._before_broken(chunk)
        return self._lines(text)

    def _before_broken(self, chunk: bytes) -> list[Row]:
        """The rows of the lines before the first that is not in its encoding, whose error comes after them."""
        at = 0
        while (end := chunk.find(b"\n", at) + 1) > 0:
            if (error := self._refusal(chunk[at:end])) is not None:
                rows = self._lines(self._decode(chunk[:at]))
                # A sequence that the line's end cuts off is shown with bytes of the next one.
                error = self._refusal(chunk[at : end + _SEQUENCE_BYTES]) or error
                error.where = f"COPY {self._batch.relation}, line {self._line + 1}"
                self._broken = error
                return rows
            HUB.pulse()
            at = end
        raise InvariantViolation("lines are in their encoding, and not together")

    def _plain(self, chunk: bytes) -> list[Row] | None:
        """The rows of lines without anything special, split by the kernel; None for all others."""
        options = self._options
        if self.ended or self._header or self._open_record or self._newline == "\r\n" or self._force_not_null:
            return None
        null = options.null.encode()
        columns = wire_kernel.split_copy(chunk, self._codes, ord(options.delimiter), null, self._special, not self._csv)
        rows = None if columns is None else self._batch.split(columns)
        if rows is None:
            return None
        self._newline = "\n"
        first = self._line + 1
        self._line += len(rows)
        self._chunk, self._given_first, self._numbers = chunk, first, range(first, first + len(rows))
        return rows

    def finish(self) -> list[Row]:
        """The end of the data."""
        if not self.ended:
            self._refuse_broken()
        rows = []
        rest = b"".join(self._rest)
        if rest:
            self._rest = []
            self._kept.drop(len(rest))
            with self._kept.working(_COPIES * len(rest)):
                try:
                    text = self._decode(rest)
                except SqlError as error:
                    error.where = f"COPY {self._batch.relation}, line {self._line + 1}"
                    raise
                if text == "\\." and not self._csv and not self.ended:
                    raise self._corrupt(self._line + 1)
                rows = self._lines(text + "\n", at_end=True)
        if self._open_record and not self._csv:
            rows += self._exact([""], self._open_line, at_end=True)
        if self._open_record and not self.ended:
            raise self._batch.error("unterminated CSV quoted field", self._open_line, "".join(self._open_record))
        return rows

    def place(self, row: int, with_text: bool) -> str:
        """Where a row that ``feed`` or ``finish`` has just given came from, as an error's context says it."""
        if self._chunk is not None:
            self._given, self._chunk = decode_text(self._chunk).split("\n"), None
        number = self._numbers[row]
        where = f"COPY {self._batch.relation}, line {number}"
        return f'{where}: "{shorten(self._given[number - self._given_first])}"' if with_text else where

    def _lines(self, text: str, at_end: bool = False) -> list[Row]:
        if self.ended:
            return []
        # A line's end within quotes is a part of the field, and says nothing of how lines end.
        in_fields = self._csv and "\r" in text and (bool(self._open_record) or self._options.quote in text)
        if self._newline is None and not in_fields:
            end = text.find("\n")
            self._newline = "\r\n" if end > 0 and text[end - 1] == "\r" else "\n"
        lines = text.split("\n")
        lines.pop()
        if self._newline == "\r\n" and not in_fields:
            lines = [line[:-1] if line.endswith("\r") else line for line in lines]
        first = self._line + 1
        self._line += len(lines)
        self._chunk = None
        self._given, self._given_first, self._numbers = lines, first, range(first, first + len(lines))
        special = "\\" in text or self._header or bool(self._open_record) or (self._csv and self._options.quote in text)
        special = special or (not self._csv and "\r" in text and self._newline == "\n")
        delimiter, null, width = self._options.delimiter, self._options.null, len(self._names)
        if not special and width > 1:
            rows: list[list[str | None]] = [line.split(delimiter) for line in lines]  # type: ignore[misc]
            if null in text if null else True:
                rows = [[None if field == null else field for field in row] for row in rows]
            if self._csv and self._force_not_null:
                rows = [self._forced(row, [False] * width) for row in rows]
            if all(len(row) == width for row in rows):
                return self._batch.convert(rows, first)
        return self._exact(lines, first, at_end)

    def _forced(self, row: list[str | None], quoted: list[bool]) -> list[str | None]:
        for index in self._force_null:
            if index < len(row) and row[index] == self._options.null:
                row[index] = None
                quoted[index] = True
        for index in self._force_not_null:
            if index < len(row) and row[index] is None and not quoted[index]:
                row[index] = self._options.null
        return row

    def _exact(self, lines: list[str], first: int, at_end: bool = False) -> list[Row]:
        """``at_end``: no more lines come."""
        rows: list[list[str | None]] = []
        numbers: list[int] = []
        records: list[str] = []
        for offset, line in enumerate(lines):
            number = first + offset
            if line.startswith("\\.") and self._is_end(line) and not (self._csv and self._open_record):
                self.ended = True
                if not self._open_record:
                    break
                line = ""
            if self._csv:
                self._is_quoted = self._goes_on(line)
                if self._is_quoted:
                    self._open_line = self._open_line or number
                    where = f"COPY {self._batch.relation}, line {number}"
                    self._kept.add(len(line) + 1, getsizeof(line), where)
                    self._open_record += (line, "\n")
                    continue
                if self._newline is None:
                    self._newline = "\r\n" if line.endswith("\r") else "\n"
                if self._newline == "\r\n":
                    line = line.removesuffix("\r")
                record = line
                if self._open_record:
                    record = "".join((*self._open_record, line))
                    self._open_record, self._open_line = [], 0
                    self._kept.clear()
                fields = self._csv_fields(record)
            else:
                if "\r" in line:
                    raise self._batch.error("literal carriage return found in data", number, line)
                if "\\." in line and (mark := _MARK.match(line)) is not None:
                    if mark.end() < len(line):
                        raise self._corrupt(number)
                    self.ended, line = True, line[:-2]
                is_open = (len(line) - len(line.rstrip("\\"))) & 1
                if is_open and at_end:
                    line = line[:-1]
                elif is_open:
                    # A line's end behind a backslash is a part of the field, and no line more.
                    self._open_line = self._open_line or number
                    self._kept.add(len(line) + 1, getsizeof(line), f"COPY {self._batch.relation}, line {number}")
                    self._open_record += (line, "\n")
                    first -= 1
                    self._line -= 1
                    continue
                if self._open_record:
                    line, number = "".join((*self._open_record, line)), self._open_line
                    self._open_record, self._open_line = [], 0
                    self._kept.clear()
                records.append(line)
                self._given, self._given_first, self._chunk = records, number - len(records) + 1, None
                fields = self._text_fields(line)
            if self._header:
                self._header = False
                self._check_header(fields, number, line)
                continue
            width = len(self._names)
            if len(fields) < width:
                if width == 0 and line == "":
                    fields = []
                else:
                    self._converted(rows, numbers)  # what is wrong before comes before
                    self._batch.check(fields, number)
                    raise self._batch.error(f'missing data for column "{self._names[len(fields)]}"', number, line)
            if len(fields) > width:
                if width == 0 and line == "":
                    fields = []
                else:
                    self._converted(rows, numbers)
                    raise self._batch.error("extra data after last expected column", number, line)
            rows.append(fields)
            numbers.append(number)
            if self.ended:
                break
        self._numbers = numbers
        return self._converted(rows, numbers)

    def _converted(self, rows: list[list[str | None]], numbers: Sequence[int]) -> list[Row]:
        """The rows of lines with these numbers."""
        if not rows:
            return []
        if numbers[-1] - numbers[0] == len(numbers) - 1:
            return self._batch.convert(rows, numbers[0])
        return [
            row for fields, number in zip(rows, numbers, strict=True) for row in self._batch.convert([fields], number)
        ]

    def _corrupt(self, number: int) -> SqlError:
        return BadCopyFileFormat("end-of-copy marker corrupt", where=f"COPY {self._batch.relation}, line {number}")

    def _is_end(self, line: str) -> bool:
        """Whether a line marks the end of the data. A text's line has lost its carriage return by now."""
        return line == "\\." or (self._csv and self._newline == "\r\n" and line == "\\.\r")

    def _text_fields(self, line: str) -> list[str | None]:
        delimiter, null = self._options.delimiter, self._options.null
        if "\\" not in line:
            return [None if field == null else field for field in line.split(delimiter)]
        pieces = re.split(
            rf"((?:[^\\{re.escape(delimiter)}]|\\.)*)(?:{re.escape(delimiter)}|\Z)", line, flags=re.DOTALL
        )
        fields = [pieces[index] for index in range(1, len(pieces), 2)]
        # The pattern also matches the empty text at the end, unless the line ends in a delimiter.
        if len(fields) > 1 and not _ends_in_delimiter(line, delimiter):
            fields.pop()
        return [None if field == null else unescape(field) for field in fields]

    def _goes_on(self, line: str) -> bool:
        """Whether a quoted field goes on behind this line of a record."""
        quote, escape = self._options.quote, self._options.escape
        if quote == escape:
            return self._is_quoted ^ bool(line.count(quote) & 1)
        is_quoted, escaped = self._is_quoted, -1
        for found in self._marks.finditer(line):
            at = found.start()
            if line[at] == escape:
                if is_quoted and escaped != at:
                    escaped = at + 1
            elif escaped != at:
                is_quoted = not is_quoted
        return is_quoted

    def _csv_fields(self, record: str) -> list[str | None]:
        """The fields of a whole record."""
        null = self._options.null
        fields: list[str | None] = []
        quoted: list[bool] = []
        at = 0
        while at <= len(record):
            text, was_quoted, end = self._csv_field(record, at)
            fields.append(None if text == null and not was_quoted else text)
            quoted.append(was_quoted)
            at = end + 1
        return self._forced(fields, quoted)

    def _csv_field(self, record: str, at: int) -> tuple[str, bool, int]:
        """The field that begins at ``at``, whether a part of it is quoted, and where it ends."""
        quote, escape = self._options.quote, self._options.escape
        parts: list[str] = []
        was_quoted = is_quoted = False
        while found := (self._marks if is_quoted else self._bounds).search(record, at):
            mark = found.start()
            parts.append(record[at:mark])
            at = mark + 1
            if not is_quoted:
                if record[mark] != quote:
                    return "".join(parts), was_quoted, mark
                was_quoted = is_quoted = True
            elif record[mark] == escape and at < len(record) and record[at] in (quote, escape):
                parts.append(record[at])
                at += 1
            elif record[mark] == quote:
                is_quoted = False
            else:
                parts.append(escape)
        parts.append(record[at:])
        return "".join(parts), was_quoted, len(record)

    def _check_header(self, fields: list[str | None], number: int, line: str) -> None:
        if self._options.header != "match":
            return
        where = f'COPY {self._batch.relation}, line {number}: "{line}"'
        if len(fields) != len(self._names):
            raise BadCopyFileFormat(
                f"wrong number of fields in header line: got {len(fields)}, expected {len(self._names)}", where=where
            )
        for index, (got, name) in enumerate(zip(fields, self._names, strict=True), 1):
            if got != name:
                shown = f'got "{got}"' if got is not None else f'got null value ("{self._options.null}")'
                raise BadCopyFileFormat(
                    f'column name mismatch in header line field {index}: {shown}, expected "{name}"', where=where
                )


def _ends_in_delimiter(line: str, delimiter: str) -> bool:
    """Whether the last character is a delimiter that no backslash takes."""
    if not line.endswith(delimiter):
        return False
    slashes = len(line) - 1 - len(line[:-1].rstrip("\\"))
    return slashes % 2 == 0
