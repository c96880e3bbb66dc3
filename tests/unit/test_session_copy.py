"""COPY: readers and writers by themselves, and over the wire."""

from __future__ import annotations

from datetime import UTC
from functools import partial
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pglast import parse_sql
from test_session_protocol import Raw, connect
from wire_fakes import FakeEngine, serve

from aurora.errors import OutOfMemory, ProgramLimitExceeded, SqlError
from compute_node.protocol.messages import Column, message
from compute_node.session import copy_kept
from compute_node.session.copy_binary import BinaryReader
from compute_node.session.copy_input import LineReader
from compute_node.session.copy_options import CopyOptions, parse_options
from compute_node.session.copy_output import CopyWriter
from compute_node.types import REGISTRY
from compute_node.types.charsets.charset import Charset, charset
from compute_node.types.registry import TypeEnv
from compute_node.wire.server import Server
from compute_node.work.account import Account, Instance

ENV = TypeEnv(timezone=UTC)
INT4, TEXT = REGISTRY.types[23], REGISTRY.types[25]
COLUMNS = [("a", INT4, -1), ("b", TEXT, -1)]
OUTPUT = [Column("a", INT4), Column("b", TEXT)]


def options(text: str, is_from: bool = True) -> CopyOptions:
    node = parse_sql(f"copy t {'from stdin' if is_from else 'to stdout'} {text}")[0].stmt
    return parse_options(node.options, is_from)


def read(data: bytes, text: str = "", piece: int = 0, columns: Any = None) -> list[Any]:
    chosen = options(text)
    reader: Any
    if chosen.format == "binary":
        reader = BinaryReader("t", columns or COLUMNS, ENV)
    else:
        reader = LineReader("t", columns or COLUMNS, chosen, ENV)
    rows = []
    step = piece or len(data) or 1
    for at in range(0, len(data), step):
        rows += reader.feed(data[at : at + step])
    return rows + reader.finish()


def write(rows: list[Any], text: str = "", encoding: Charset | None = None) -> bytes:
    framed, plain = (CopyWriter(OUTPUT, options(text, False), ENV, encoding, framed=framed) for framed in (True, False))
    data = framed.start() + framed.rows(rows) + framed.end()
    out, at = b"", 0
    while at < len(data):
        length = int.from_bytes(data[at + 1 : at + 5], "big")
        out += data[at + 5 : at + 1 + length]
        at += 1 + length
    assert plain.start() + plain.rows(rows[:1]) + plain.rows(rows[1:]) + plain.end() == out
    return out


TEXTS = [("a", TEXT, -1), ("b", TEXT, -1)]


@pytest.mark.parametrize("piece", [0, 1, 3])
@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"a\tb\\\nc\nd\te\n", [("a", "b\nc"), ("d", "e")]),
        (b"a\tb\\\n", [("a", "b\n")]),
        (b"a\tb\\\n\\.\n", [("a", "b\n")]),
        (b"a\tb\\\nc\\\n\\.\nd\te\n", [("a", "b\nc\n")]),
        (b"a\tb\\", [("a", "b")]),
        (b"a\tb\\.\nx\ty\n", [("a", "b")]),
        (b"a\tb\n\\.", "COPY t, line 2"),
        (b"a\tb\n\\.x\n", "COPY t, line 2"),
        (b"a\tb\\.c\n", "COPY t, line 1"),
        (b"1\ta\\\nb\nbad\tc\tz\n", 'COPY t, line 2: "bad\tc\tz"'),
        (b"q\tr\na\\\nx\\\ny\n", 'COPY t, line 2: "a\\\nx\\\ny"'),
    ],
)
def test_a_line_that_goes_on_is_one_line(data: bytes, found: Any, piece: int) -> None:
    """Answers and errors' contexts are those of PostgreSQL 15."""
    if isinstance(found, str):
        with pytest.raises(SqlError) as caught:
            read(data, piece=piece, columns=TEXTS)
        assert (caught.value.sqlstate, caught.value.where) == ("22P04", found)
    else:
        assert read(data, piece=piece, columns=TEXTS) == found


def test_a_record_that_ends_with_the_data_has_its_place() -> None:
    reader = LineReader("t", TEXTS, options(""), ENV)
    rows = [row for piece in (b"a\tb\n\\N\tq\\\n", b"x\\\n", b"y\\\n") for row in reader.feed(piece)]
    assert rows == [("a", "b")]
    assert reader.finish() == [(None, "q\nx\ny\n")]
    assert reader.place(0, True) == 'COPY t, line 2: "\\N\tq\\\nx\\\ny\\\n"'


@pytest.mark.parametrize(
    ("data", "text", "rows"),
    [
        (b"1\tx\n2\ty\n", "", [(1, "x"), (2, "y")]),
        (b"1\tx\n2\ty", "", [(1, "x"), (2, "y")]),
        (b"1\tx\r\n2\ty\r\n", "", [(1, "x"), (2, "y")]),
        (b"\\N\t\\N\n 3 \t\n", "", [(None, None), (3, "")]),
        (b"1\ta\\tb\\\\c\\x41\\101\\q\\n\n", "", [(1, "a\tb\\cAAq\n")]),
        (b"1\ta\\\tb\n", "", [(1, "a\tb")]),
        (b"1,'a\\'b\n\\'\\\\'c\n", "(format csv, quote '''', escape '\\')", [(1, "a'b\n'\\c")]),
        (b"1\t\\\\N\n", "", [(1, "\\N")]),
        (b"1\tx\n\\.\n2\ty\n", "", [(1, "x")]),
        (b"1|x\n", "(delimiter '|')", [(1, "x")]),
        (b"1,x\n2,\n", "csv", [(1, "x"), (2, None)]),
        (b'1,"x,""y""\nz"\n2,""\n', "csv", [(1, 'x,"y"\nz'), (2, "")]),
        (b'1,"a\r\nb"\n2,"c\rd"\n', "csv", [(1, "a\r\nb"), (2, "c\rd")]),
        (b'1,"a\r\nb"\r\n2,"c\nd"\r\n3,e\r\n', "csv", [(1, "a\r\nb"), (2, "c\nd"), (3, "e")]),
        (b"a,b\n1,x\n", "csv header", [(1, "x")]),
        (b"a,b\n1,x\n", "(format csv, header match)", [(1, "x")]),
        (b"1;'a''b\\'\n", "(format csv, delimiter ';', quote '''', escape '''')", [(1, "a'b\\")]),
        (b'1,"NULL"\n2,NULL\n', "(format csv, null 'NULL')", [(1, "NULL"), (2, None)]),
        (b'1,"NULL"\n', "(format csv, null 'NULL', force_null (b))", [(1, None)]),
        (b"1,\n", "(format csv, force_not_null (b))", [(1, "")]),
    ],
)  # fmt: skip
def test_read(data: bytes, text: str, rows: list[Any]) -> None:
    for piece in (0, 1, 3):
        assert read(data, text, piece) == rows


@pytest.mark.parametrize(
    ("data", "text", "sqlstate", "message", "where"),
    [
        (b"1\tx\n2\n", "", "22P04", 'missing data for column "b"', 'COPY t, line 2: "2"'),
        (b"1\tx\ty\n", "", "22P04", "extra data after last expected column", 'COPY t, line 1: "1\tx\ty"'),
        (b"1\tx\n1\tx\nq\tx\n", "", "22P02", 'invalid input syntax for type integer: "q"',
         'COPY t, line 3, column a: "q"'),
        (b"1_0\tx\n", "", "22P02", 'invalid input syntax for type integer: "1_0"', 'COPY t, line 1, column a: "1_0"'),
        (b"9999999999\tx\n", "", "22003", 'value "9999999999" is out of range for type integer',
         'COPY t, line 1, column a: "9999999999"'),
        (b'1,"x\n', "csv", "22P04", "unterminated CSV quoted field", 'COPY t, line 1: "1,"x\n"'),
        (b"a,c\n", "(format csv, header match)", "22P04",
         'column name mismatch in header line field 2: got "c", expected "b"', 'COPY t, line 1: "a,c"'),
        (b"PGCOPX", "binary", "22P04", "unexpected EOF in COPY data", "COPY t, line 1"),
        (b"x" * 30, "binary", "22P04", "COPY file signature not recognized", None),
    ],
)  # fmt: skip
def test_read_errors(data: bytes, text: str, sqlstate: str, message: str, where: str | None) -> None:
    with pytest.raises(SqlError) as caught:
        read(data, text)
    assert (caught.value.sqlstate, caught.value.message, caught.value.where) == (sqlstate, message, where)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(format xml)", 'COPY format "xml" not recognized'), ("(nope 1)", 'option "nope" not recognized'),
        ("(delimiter ',', delimiter ';')", "conflicting or redundant options"),
        ("(delimiter 'ab')", "COPY delimiter must be a single one-byte character"),
        ("(quote 'x')", "COPY quote available only in CSV mode"),
        ("(format csv, quote ',')", "COPY delimiter and quote must be different"),
        ("(format binary, header)", "cannot specify HEADER in BINARY mode"),
        ("(delimiter 'a')", 'COPY delimiter cannot be "a"'),
        ("(format csv, force_quote *)", "COPY force quote only available using COPY TO"),
    ],
)  # fmt: skip
def test_option_errors(text: str, message: str) -> None:
    with pytest.raises(SqlError) as caught:
        options(text)
    assert caught.value.message == message


def test_write() -> None:
    rows = [(1, "a\tb\\"), (None, None), (3, "")]
    assert write(rows) == b"1\ta\\tb\\\\\n\\N\t\\N\n3\t\n"
    assert write(rows, "csv header") == b'a,b\n1,a\tb\\\n,\n3,""\n'
    assert write([(1, 'x,"y"')], "(format csv, force_quote *)") == b'"1","x,""y"""\n'


ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-(2**31), 2**31 - 1),
        st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
    ),
    max_size=6,
)


@given(ROWS, st.sampled_from(["", "csv", "binary", "(format csv, quote '''', escape '\\')", "(delimiter '|')"]),
       st.integers(1, 9))  # fmt: skip
def test_round_trip(rows: list[Any], text: str, piece: int) -> None:
    assert read(write(rows, text), text, piece) == rows


@pytest.mark.parametrize("text", ["", "(header)", "csv header", "binary"])
def test_write_in_another_encoding(text: str) -> None:
    rows = [(1, "ä"), (2, "x"), (3, None)]
    assert write(rows, text, charset("LATIN1")).count(b"\xe4") == 1
    assert "ä".encode() in write(rows, text)


def test_over_the_wire() -> None:
    async def body(server: Server, engine: FakeEngine) -> None:
        engine.copy_columns = COLUMNS
        db = await connect(server)
        async with db.cursor().copy("copy t from stdin") as copy:
            for i in range(5000):
                await copy.write_row((i, f"v{i}\t" if i % 7 else None))
        assert len(engine.copied) == 5000
        assert engine.copied[1] == (1, "v1\t")
        with pytest.raises(psycopg.errors.BadCopyFileFormat) as caught:
            async with db.cursor().copy("copy t from stdin") as copy:
                await copy.write(b"1\n")
        assert caught.value.diag.context == 'COPY t, line 1: "1"'
        with pytest.raises(RuntimeError, match="the client gives up"):
            async with db.cursor().copy("copy t from stdin"):
                raise RuntimeError("the client gives up")
        assert db.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        with pytest.raises(psycopg.errors.UndefinedTable):
            async with db.cursor().copy("copy nope from stdin") as copy:
                await copy.write(b"")
        async with db.cursor().copy("copy (select 1, 'x') to stdout (format csv, header)") as copy:
            assert b"".join([bytes(part) async for part in copy]) == b"?column?,?column?\n1,x\n"
        assert await (await db.execute("select 1")).fetchone() == (1,)

    serve(body)


def test_a_long_message_is_read_a_piece_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    fed: list[int] = []
    feed = LineReader.feed

    def counting(reader: LineReader, data: bytes) -> list[Any]:
        fed.append(len(data))
        return feed(reader, data)

    monkeypatch.setattr(LineReader, "feed", counting)

    async def body(server: Server, engine: FakeEngine) -> None:
        engine.copy_columns = COLUMNS
        raw = await Raw.open(server)
        raw.send(message(b"Q", b"copy t from stdin\0"))
        assert (await raw.one())[:1] == b"G"
        raw.send(message(b"d", b"1\tsome text\n" * 400_000) + message(b"c", b""))
        assert b"COPY 400000\0" in await raw.until_ready()
        assert engine.copied == [(1, "some text")] * 400_000
        assert max(fed) == 1 << 20

    serve(body)


@pytest.mark.parametrize("text", ["", "csv", "binary"])
def test_a_long_value_in_many_pieces(text: str) -> None:
    rows = [(1, "a\tb\n" * 1_000_000), (2, "z")]
    assert read(write(rows, text), text, 1000) == rows


def _pieces(piece: bytes, count: int, text: str, account: Account, first: bytes = b"") -> None:
    chosen = options(text)
    kind: Any = BinaryReader if chosen.format == "binary" else partial(LineReader, options=chosen)
    reader = kind("t", COLUMNS, env=ENV, account=account)
    reader.feed(first)
    for _ in range(count):
        reader.feed(piece)


HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)


@pytest.mark.parametrize(
    ("text", "first", "piece"),
    [("", b"", b"x" * 65536), ("csv", b'1,"', (b"x" * 63 + b"\n") * 1024),
     ("binary", HEADER + b"\0\2\0\0\0\4\0\0\0\1\x10\0\0\0", b"x" * 65536)],
)  # fmt: skip
def test_what_is_not_whole_is_charged(text: str, first: bytes, piece: bytes) -> None:
    instance = Instance(1 << 22)
    account = Account(instance)
    _pieces(piece, 4, text, account, first)
    assert 4 << 16 <= account.used_bytes < 16 << 20
    with pytest.raises(OutOfMemory):
        _pieces(piece, 64, text, account, first)
    account.close()
    assert instance.used_bytes == 0


@pytest.mark.parametrize("text", ["", "csv", "binary"])
def test_nothing_stays_charged(text: str) -> None:
    rows = [(number, "a\tb\n" * number * 50) for number in range(40)]
    data, account = write(rows, text), Account(Instance(1 << 24))
    chosen = options(text)
    kind: Any = BinaryReader if text == "binary" else partial(LineReader, options=chosen)
    for step in (1, 7, 1000, 4096):
        reader = kind("t", COLUMNS, env=ENV, account=account)
        found = [row for at in range(0, len(data), step) for row in reader.feed(data[at : at + step])]
        assert found + reader.finish() == rows
        assert account.used_bytes == 0
    assert 1000 < account.peak_bytes < 1 << 20


def test_a_buffer_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_kept, "BUFFER_BYTES", 1000)
    for text, first in (("", b"1\tx\n"), ("csv", b'1,x\n2,"\n')):
        with pytest.raises(ProgramLimitExceeded) as caught:
            _pieces(b"x" * 300, 4, text, Account(), first)
        assert caught.value.message == "out of memory"
        kept = 900 if text == "" else 904
        assert caught.value.detail == f"Cannot enlarge string buffer containing {kept} bytes by 300 more bytes."
        assert caught.value.where == f"COPY t, line {2 if text == '' else 3}"
    with pytest.raises(ProgramLimitExceeded) as caught:
        _pieces(b"", 1, "binary", Account(), HEADER + b"\0\2\0\0\0\4\0\0\0\1\0\0\3\xe8")
    assert caught.value.detail == "Cannot enlarge string buffer containing 0 bytes by 1000 more bytes."
    assert caught.value.where == "COPY t, line 1, column b"


def test_a_binary_headers_extension_is_passed_over_as_it_comes() -> None:
    account = Account(Instance(1 << 20))
    reader = BinaryReader("t", COLUMNS, ENV, account)
    reader.feed(HEADER[:15] + (1 << 27).to_bytes(4, "big"))
    for _ in range(1 << 11):
        assert reader.feed(bytes(1 << 16)) == []
    assert account.peak_bytes < 100
    row = write([(1, "x")], "binary")[19:]
    assert reader.feed(row) == [(1, "x")]
    assert reader.finish() == []


def test_a_wide_row_is_read_once() -> None:
    """However it comes: each field is received once."""
    received = 0

    class Counting:
        check, name = None, "int4"

        def receive(self, raw: bytes, typmod: int) -> int:
            nonlocal received
            received += 1
            return int.from_bytes(raw, "big")

    kind: Any = Counting()
    reader = BinaryReader("t", [(f"c{number}", kind, -1) for number in range(500)], ENV)
    data = HEADER + (500).to_bytes(2, "big") + b"".join(b"\0\0\0\4" + n.to_bytes(4, "big") for n in range(500))
    rows = [row for at in range(len(data)) for row in reader.feed(data[at : at + 1])]
    assert rows == [tuple(range(500))]
    assert received == 500


def test_nothing_follows_the_end() -> None:
    data = write([(1, "x")], "binary")
    for rest in (b"\0", b"\0\0"):
        with pytest.raises(SqlError, match="received copy data after EOF marker"):
            read(data + rest, "binary", 1)
    account = Account(Instance(1000))
    _pieces(b"x" * 600, 4, "", account, b"\\.\n")
    assert account.used_bytes == 0
