"""COPY TO: rows → text, CSV or binary format; for a client in CopyData messages, one a row."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from aurora.datum import Datum, Row
from aurora.errors import UndefinedColumn
from aurora.kernels import wire as wire_kernel
from compute_node.protocol import messages
from compute_node.protocol.messages import Column
from compute_node.session.copy_binary import SIGNATURE
from compute_node.session.copy_options import CopyOptions
from compute_node.session.encoded import converted_fields
from compute_node.session.results import binary_code, text_code, text_fields
from compute_node.types.charsets.charset import Charset
from compute_node.types.registry import PgType, TypeEnv

_ESCAPES = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\"}


def _to_text(kind: PgType, env: TypeEnv) -> Callable[[Datum], str]:
    code, converter = text_code(kind)
    if code == b"i":
        return str
    if code == b"s":
        return lambda value: value
    if code == b"b":
        return lambda value: "t" if value else "f"
    if converter is None:
        return str
    if code == b"t":
        return lambda value: converter(value).decode()
    return lambda value: converter(value, env)


class CopyWriter:
    """Encodes one COPY's rows. ``start`` and ``end`` are the bytes around them. ``framed``: in messages."""

    def __init__(
        self,
        columns: Sequence[Column],
        options: CopyOptions,
        env: TypeEnv,
        charset: Charset | None = None,
        framed: bool = True,
    ) -> None:
        self._charset = charset
        self._framed = framed
        self._options = options
        self._env = env
        self._columns = columns
        self.binary = options.format == "binary"
        self._signature = SIGNATURE + bytes(8)
        """the binary format's header, which goes out in one message with what follows it"""
        if options.format != "csv":
            pairs = [(binary_code if self.binary else text_code)(column.kind) for column in columns]
            self._codes = b"".join(code for code, _ in pairs)
            self._converters = tuple(converter for _, converter in pairs)
        else:
            self._convert = [_to_text(column.kind, env) for column in columns]
        escaped = "".join(_ESCAPES) + options.delimiter
        self._escaped = re.compile(f"[{re.escape(escaped)}]")
        self._quoted = re.compile(f"[{re.escape(options.delimiter + options.quote)}\r\n]")
        names = [column.name for column in columns]
        for name in options.force_quote:
            if name != "*" and name not in names:
                raise UndefinedColumn(f'column "{name}" does not exist')
        self._force = [options.force_quote == ("*",) or name in options.force_quote for name in names]

    def start(self) -> bytes:
        """What comes before the rows."""
        if self.binary or self._options.header == "none":
            return b""
        names = [column.name for column in self._columns]
        if self._options.format == "csv":
            names = [self._csv(name, False, len(names) == 1) for name in names]
        else:
            names = [self._text(name) for name in names]
        return self._recoded(self._line(names))

    def end(self) -> bytes:
        """What comes after the rows."""
        if not self.binary:
            return b""
        signature, self._signature = self._signature, b""
        return self._message(signature + b"\xff\xff")

    def rows(self, rows: list[Row]) -> bytes:
        """A batch."""
        if self.binary:
            return self._binary_rows(rows)
        if self._options.format == "text":
            delimiter, none = ord(self._options.delimiter), self._options.null.encode()
            data = wire_kernel.encode_copy(
                rows, self._codes, self._converters, self._env, delimiter, none, framed=self._framed
            )
            return data if self._charset is None else self._recoded(data)
        null, convert, force = self._options.null, self._convert, self._force
        out = []
        alone = len(convert) == 1
        for row in rows:
            out.append(
                self._line(
                    [
                        null if value is None else self._csv(to_text(value), must, alone)
                        for value, to_text, must in zip(row, convert, force, strict=True)
                    ]
                )
            )
        return self._recoded(b"".join(out))

    def _recoded(self, data: bytes) -> bytes:
        """Lines in UTF-8 → the same in the encoding of the data."""
        charset = self._charset
        if charset is None or data.isascii():
            return data
        if not self._framed:
            return charset.encode(data.decode())
        return b"".join(
            [messages.message(b"d", charset.encode(data[at + 5 : end].decode())) for at, end in messages.places(data)]
        )

    def _message(self, payload: bytes) -> bytes:
        return messages.message(b"d", payload) if self._framed else payload

    def _line(self, fields: list[str]) -> bytes:
        return self._message((self._options.delimiter.join(fields) + "\n").encode())

    def _text(self, text: str) -> str:
        if self._escaped.search(text) is None:
            return text
        return self._escaped.sub(lambda match: _ESCAPES.get(match[0], "\\" + match[0]), text)

    def _csv(self, text: str, must: bool, alone: bool) -> str:
        options = self._options
        # A lone \. in a line would read as the end of the data.
        if not must and text != options.null and self._quoted.search(text) is None and not (alone and text == "\\."):
            return text
        quote, escape = options.quote, options.escape
        body = text if escape == quote else text.replace(escape, escape * 2)
        return quote + body.replace(quote, escape + quote) + quote

    def _binary_rows(self, rows: list[Row]) -> bytes:
        data = wire_kernel.encode_rows(rows, self._codes, self._converters, self._env)
        if self._charset is not None and not data.isascii():
            data = self._converted(data, self._charset)
        signature, self._signature = self._signature, b""
        # A row of the binary format is the body of a DataRow: only the message type differs.
        if not self._framed:
            return signature + b"".join([data[at + 5 : end] for at, end in messages.places(data)])
        out = bytearray(data)
        for at, _ in messages.places(data):
            out[at] = 100
        if not signature:
            return bytes(out)
        first_bytes = 1 + int.from_bytes(data[1:5], "big")
        return messages.message(b"d", signature + bytes(out[5:first_bytes])) + bytes(out[first_bytes:])

    def _converted(self, data: bytes, charset: Charset) -> bytes:
        """DataRow messages in UTF-8 → the same in the client's encoding."""
        text, skip = text_fields([column.kind for column in self._columns], [1] * len(self._columns))
        return b"".join(
            [
                messages.message(b"D", converted_fields(data, at + 5, end, charset, text, skip))
                for at, end in messages.places(data)
            ]
        )
