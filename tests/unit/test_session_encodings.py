"""Output and COPY of a session in another encoding than UTF-8: messages are converted where they are put in."""

from __future__ import annotations

from datetime import UTC

import pytest

from aurora.errors import SqlError, UndefinedTable
from compute_node.protocol import messages
from compute_node.protocol.messages import Column
from compute_node.session.copy_options import CopyOptions
from compute_node.session.copy_output import CopyWriter
from compute_node.session.encoded import EncodedOut, converted_fields
from compute_node.session.output import Output
from compute_node.session.results import is_text_in_binary
from compute_node.types import REGISTRY
from compute_node.types.charsets.charset import charset
from compute_node.types.oids import BYTEA, INT4, JSONB, TEXT
from compute_node.types.registry import TypeEnv


def _out(name: str) -> EncodedOut:
    out = Output()
    out.__class__ = EncodedOut
    assert isinstance(out, EncodedOut)
    out.charset, out.texts = charset(name), None
    return out


def _row(*fields: bytes | None) -> bytes:
    parts = [b"\xff\xff\xff\xff" if each is None else len(each).to_bytes(4, "big") + each for each in fields]
    return messages.message(b"D", len(fields).to_bytes(2, "big") + b"".join(parts))


def test_rows_errors_names_and_settings_go_out_in_the_clients_encoding() -> None:
    out = _out("LATIN1")
    text = REGISTRY.types[TEXT]
    out.append(messages.row_description([Column("é", text)], [text.length], [0]) + _row("é".encode(), None, b"a"))
    out += [messages.error_response(UndefinedTable('relation "é" does not exist')), messages.command_tag("SELECT 1")]
    described = messages.row_description([Column("e", text)], [text.length], [0]).replace(b"e\0", b"\xe9\0", 1)
    assert out[0] == described + _row(b"\xe9", None, b"a")
    assert b'relation "\xe9" does not exist\0' in out[1]
    assert int.from_bytes(out[1][1:5], "big") == len(out[1]) - 1
    assert out[2] == messages.command_tag("SELECT 1")


def test_a_row_that_the_encoding_lacks_is_an_error_and_an_error_becomes_that_error() -> None:
    out = _out("LATIN1")
    with pytest.raises(SqlError) as caught:
        out.append(_row("☃".encode()))
    assert caught.value.sqlstate == "22P05"
    out.append(messages.error_response(UndefinedTable("☃")))
    assert b"C22P05\0" in out[0]


def test_binary_fields_are_converted_where_they_are_texts() -> None:
    data = _row("é".encode(), "é".encode(), b"\x01" + '"é"'.encode())
    found = converted_fields(data, 5, len(data), charset("LATIN1"), [True, False, True], [0, 0, 1])
    assert messages.message(b"D", found) == _row(b"\xe9", "é".encode(), b'\x01"\xe9"')
    assert [is_text_in_binary(REGISTRY.types[oid]) for oid in (TEXT, JSONB, BYTEA, INT4)] == [True, True, False, False]


@pytest.mark.parametrize("form", ["text", "csv"])
def test_copy_writes_in_its_encoding(form: str) -> None:
    columns = [Column("a", REGISTRY.types[TEXT])]
    writer = CopyWriter(columns, CopyOptions(form), TypeEnv(timezone=UTC), charset("SJIS"))
    line = "日本\n".encode("cp932")
    assert writer.rows([("日本",), ("a",)]) == messages.message(b"d", line) + messages.message(b"d", b"a\n")
