"""Sessions of a client in LATIN1, message by message: which fields of a row are texts, function calls, bad input."""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable

import pytest
from support_server import CountingEngine, serve_engine
from test_session_protocol import Raw, parse

from compute_node.protocol import messages
from compute_node.protocol.messages import message
from compute_node.session import encoded
from compute_node.wire.server import Server

BYTEA = b"\xc3\xa9\xff"
SYNC = message(b"S", b"")
EXECUTE = message(b"E", b"\0" + struct.pack("!i", 0))


def served(test: Callable[[Raw], Awaitable[None]]) -> None:
    """A client that has said what it writes."""

    async def body(server: Server, engine: CountingEngine) -> None:
        raw = await Raw.open(server)
        await raw.query("set client_encoding to latin1")
        await test(raw)

    serve_engine(body)


async def query(raw: Raw, sql: str) -> bytes:
    raw.send(message(b"Q", sql.encode("latin-1") + b"\0"))
    return await raw.until_ready()


def rows(data: bytes) -> list[list[bytes | None]]:
    """The DataRows of an answer."""
    found = []
    for at, _ in messages.places(data):
        if data[at : at + 1] == b"E":
            raise AssertionError(data[at:])
        if data[at : at + 1] != b"D":
            continue
        reader = messages.Reader(data, at + 5)
        found.append([None if (size := reader.i32()) < 0 else reader.take(size) for _ in range(reader.u16())])
    return found


def code(data: bytes) -> bytes:
    """The SQLSTATE of an answer's one error."""
    (start,) = [at for at, _ in messages.places(data) if data[at : at + 1] == b"E"]
    return next(field[1:] for field in data[start + 5 :].split(b"\0") if field[:1] == b"C")


def in_binary(sql: str, *formats: int) -> bytes:
    bound = b"\0\0" + struct.pack(f"!HHH{len(formats)}H", 0, 0, len(formats), *formats)
    return parse("", sql) + message(b"B", bound) + EXECUTE + SYNC


def function_call(oid: int, formats: tuple[int, ...], values: tuple[bytes | None, ...], result: int) -> bytes:
    body = struct.pack(f"!IH{len(formats)}HH", oid, len(formats), *formats, len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    return message(b"F", body + struct.pack("!H", result))


def test_a_query_after_an_execute_in_binary_has_formats_of_its_own() -> None:
    async def body(raw: Raw) -> None:
        raw.send(in_binary("select '\\xc3a9ff'::bytea, chr(233)", 1, 1))
        assert rows(await raw.until_ready()) == [[BYTEA, b"\xe9"]]
        assert rows(await query(raw, "select 'é', 'ü', 'ö'")) == [[b"\xe9", b"\xfc", b"\xf6"]]
        raw.send(in_binary("select 'x'::text, '\\xc3a9ff'::bytea, chr(233)", 0, 1, 0))
        raw.send(in_binary("select chr(233), chr(252)"))
        assert rows(await raw.until_ready() + await raw.until_ready()) == [[b"x", BYTEA, b"\xe9"], [b"\xe9", b"\xfc"]]

    served(body)


def test_rows_of_binary_cursors_and_what_follows_them() -> None:
    async def body(raw: Raw) -> None:
        await query(raw, "create table t (b bytea, a text); insert into t values ('\\xc3a9ff', 'é')")
        await query(raw, "begin; declare k binary cursor for select t.*, 50089 as c from t, generate_series(1, 3)")
        number = struct.pack("!i", 50089)
        assert rows(await query(raw, "fetch 1 from k; select 'é', 'ü'")) == [
            [BYTEA, b"\xe9", number],
            [b"\xe9", b"\xfc"],
        ]
        raw.send(in_binary("fetch 1 from k", 1) + in_binary("select chr(233)", 0))
        found = rows(await raw.until_ready() + await raw.until_ready())
        assert found == [[BYTEA, b"\xe9", number], [b"\xe9"]]
        await query(raw, "fetch 1 from k")
        await query(raw, "prepare p as select a, 'ü' from t")
        assert rows(await query(raw, "execute p")) == [[b"\xe9", b"\xfc"]]
        raw.send(in_binary("execute p", 1))
        assert rows(await raw.until_ready()) == [[b"\xe9", b"\xfc"]]
        answer = await query(raw, "copy t (a) to stdout")
        assert message(b"d", b"\xe9\n") in answer
        assert rows(await query(raw, "table t")) == [[b"\\xc3a9ff", b"\xe9"]]

    served(body)


UPPER, CONCAT, BYTEACAT, JSONB_STRIP = 871, 1258, 2011, 3262


@pytest.mark.parametrize("form", [0, 1])
def test_function_calls_take_and_give_the_clients_texts(form: int) -> None:
    async def body(raw: Raw) -> None:
        async def call(oid: int, formats: tuple[int, ...], values: tuple[bytes | None, ...]) -> bytes:
            raw.send(function_call(oid, formats, values, form))
            answer = await raw.until_ready()
            assert answer[:1] == b"V", answer
            return answer[9 : 1 + int.from_bytes(answer[1:5], "big")]

        assert await call(CONCAT, (form,), (b"\xe9", b"\xfc\xf6")) == b"\xe9\xfc\xf6"
        assert await call(BYTEACAT, (1,), (BYTEA, BYTEA)) == (BYTEA * 2 if form else b"\\xc3a9ffc3a9ff")
        version = b"\1" if form else b""
        assert await call(JSONB_STRIP, (form,), (version + b'["\xe9"]',)) == version + b'["\xe9"]'
        raw.send(function_call(CONCAT, (form,), (b"\xe9", None), form))
        assert (await raw.until_ready())[5:9] == b"\xff\xff\xff\xff"

    served(body)


def test_what_the_encoding_lacks_is_an_error_of_its_message() -> None:
    async def body(raw: Raw) -> None:
        await query(raw, "set client_encoding to 'EUC_JP'")
        for bad, error in ((b"select '\xff\xff'", b"22021"), (b"\xa4", b"22021")):
            raw.send(message(b"Q", bad + b"\0") + message(b"Q", b"select 1\0"))
            assert code(await raw.until_ready()) == error
            assert rows(await raw.until_ready()) == [[b"1"]]
        # An unreadable Parse skips to Sync, unreadable ones on the way included.
        unreadable = message(b"P", b"\0select '\xff\xff'\0\0\0")
        raw.send(unreadable + unreadable + EXECUTE + SYNC + message(b"Q", b"select 2\0"))
        assert code(await raw.until_ready()) == b"22021"
        assert rows(await raw.until_ready()) == [[b"2"]]
        raw.send(function_call(UPPER, (0,), (b"\xff\xff",), 0))
        assert code(await raw.until_ready()) == b"22021"
        # The encoding changes between messages that come together.
        raw.send(message(b"Q", b"set client_encoding to latin1\0") + message(b"Q", b"select '\xe9\xe9'\0"))
        raw.send(message(b"Q", b"set client_encoding to utf8\0") + message(b"Q", "select 'é'\0".encode()))
        answers = [await raw.until_ready() for _ in range(4)]
        assert rows(answers[1]) == [[b"\xe9\xe9"]] and rows(answers[3]) == [["é".encode()]]

    served(body)


def test_asking_a_port_that_was_replaced_for_more_allocates_nothing() -> None:
    class Wire:
        data, position = b"Q\0\0\0\x04", 0

    class Session:
        port: object = None

    port = encoded.EncodedPort(Wire(), Session(), None)  # type: ignore[arg-type]
    port.position = 1 << 62
    assert port.retire().position < len(port.data) == port.position + 1
