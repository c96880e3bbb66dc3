"""Sessions over real sockets, before a small fake database: both protocols, transactions, cursors, cancel, limits."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg import errors
from wire_fakes import CLIENTS, FakeEngine, FakeRoles, fields, serve, tags

from compute_node.protocol import messages
from compute_node.protocol.messages import message
from compute_node.wire import scram
from compute_node.wire.hba import DEFAULT_PASSWORD
from compute_node.wire.server import Server, WireConfig


async def connect(server: Server, **options: Any) -> psycopg.AsyncConnection[Any]:
    host, port = server.addresses[0]
    settings = {"host": host, "port": port, "user": "postgres", "dbname": "postgres", "sslmode": "disable", **options}
    db = await psycopg.AsyncConnection.connect(autocommit=True, **settings)
    CLIENTS.append(db.close)
    return db


class Raw:
    """A client that sends what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @staticmethod
    async def open(server: Server, login: bool = True) -> Raw:
        raw = Raw(*await asyncio.open_connection(*server.addresses[0]))
        CLIENTS.append(raw.close)
        if login:
            body = b"user\0postgres\0\0"
            raw.send(struct.pack("!ii", len(body) + 8, messages.PROTOCOL_3) + body)
            raw.start = await raw.until_ready()
        return raw

    start = b""

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def one(self) -> bytes:
        head = await self.reader.readexactly(5)
        return head + await self.reader.readexactly(int.from_bytes(head[1:], "big") - 4)

    async def until_ready(self) -> bytes:
        data = b""
        while True:
            part = await self.one()
            data += part
            if part[:1] == b"Z":
                return data

    async def query(self, sql: str) -> bytes:
        self.send(message(b"Q", sql.encode() + b"\0"))
        return await self.until_ready()


def parse(name: str, sql: str, *oids: int) -> bytes:
    return message(b"P", f"{name}\0{sql}\0".encode() + struct.pack(f"!H{len(oids)}I", len(oids), *oids))


def bind(portal: str, name: str, *values: str | None) -> bytes:
    body = f"{portal}\0{name}\0".encode() + struct.pack("!HH", 0, len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value.encode())) + value.encode()
    return message(b"B", body + b"\0\0")


def execute(portal: str = "", limit: int = 0) -> bytes:
    return message(b"E", portal.encode() + b"\0" + struct.pack("!i", limit))


SYNC = message(b"S", b"")


def test_deep_recursion_is_postgresqls_error() -> None:
    async def body(server: Server, engine: FakeEngine) -> None:
        def deeper(*_: Any) -> Any:
            return deeper()

        compiled = engine.compile

        def compile_deep(*args: Any) -> Any:
            executable, kept = compiled(*args)
            executable.fetch_all = deeper
            return executable, kept

        engine.compile = compile_deep  # type: ignore[method-assign]
        raw = await Raw.open(server)
        found = fields(await raw.query("select 1"))
        assert (found["C"], found["M"]) == ("54001", "stack depth limit exceeded")
        assert "max_stack_depth" in found["H"]
        engine.compile = compiled  # type: ignore[method-assign]
        assert tags(await raw.query("select 'x'")) == "TDCZ"

    serve(body)


def test_psycopg_round() -> None:
    async def body(server: Server, engine: FakeEngine) -> None:
        db = await connect(server)
        assert await (await db.execute("select %s::int4, %s::text, 1.50", (5, "hé"))).fetchall() != []
        for _ in range(7):
            row = await (await db.execute("select %s::int4 as a", (6,), prepare=True)).fetchone()
            assert row == (6,)
        cursor = db.cursor(binary=True)
        assert await (await cursor.execute("select %s::int4, %s::text", (7, "b"))).fetchall() == [(7, "b")]
        assert len(await (await db.execute("select series(5000)")).fetchall()) == 5000
        async with db.transaction():
            await db.execute("insert into t values (1)")
            async with db.transaction(force_rollback=True):
                await db.execute("insert into t values (2)")
        assert engine.table == [1]
        with pytest.raises(errors.UniqueViolation) as caught:
            await db.execute("insert into t values (1)")
        assert caught.value.diag.constraint_name == "t_pkey"
        async with db.pipeline():
            cursors = [await db.execute("select %s::int4", (i,)) for i in range(5)]
            assert [await c.fetchone() for c in cursors] == [(i,) for i in range(5)]
        async with db.transaction(), db.cursor(name="c") as named:
            await named.execute("select series(250)")
            assert len(await named.fetchmany(100)) == 100
            assert len(await named.fetchall()) == 150
        await db.close()

    serve(body)


def test_asyncpg_round() -> None:
    async def body(server: Server, engine: FakeEngine) -> None:
        host, port = server.addresses[0]
        db = await asyncpg.connect(host=host, port=port, user="postgres", database="postgres")
        assert tuple(await db.fetchrow("select $1::int4, $2::text", 5, "x")) == (5, "x")
        async with db.transaction(isolation="serializable"):
            assert await db.execute("insert into t values (9)") == "INSERT 0 1"
            assert [r[0] async for r in db.cursor("select series(120)", prefetch=50)] == list(range(120))
        with pytest.raises(asyncpg.DivisionByZeroError):
            await db.fetch("select reciprocal($1::int4)", 0)
        await db.reset()
        await db.close()

    serve(body)


def test_start_up_messages() -> None:
    async def body(server: Server, _: FakeEngine) -> None:
        raw = await Raw.open(server)
        assert tags(raw.start) == "R" + "S" * 13 + "KZ"
        for name, value in (("server_version", "15.18"), ("session_authorization", "postgres"), ("TimeZone", "UTC")):
            assert messages.parameter_status(name, value) in raw.start
        assert tags(await raw.query("set timezone = 'Europe/Berlin'")) == "CSZ"

    serve(body)


def test_simple_query_sequences() -> None:
    async def body(server: Server, engine: FakeEngine) -> None:
        raw = await Raw.open(server)
        assert tags(await raw.query("")) == "IZ"
        assert tags(await raw.query("select 1; select 'a'; insert into t values (1)")) == "TDCTDCCZ"
        # One implicit transaction: the failure undoes what came before it.
        data = await raw.query("insert into t values (2); select reciprocal(0); insert into t values (3)")
        assert tags(data) == "CTEZ"
        assert engine.table == [1]
        data = await raw.query(
            "begin; insert into t values (4); commit; insert into t values (5); select reciprocal(0)"
        )
        assert tags(data) == "CCCCTEZ"
        assert engine.table == [1, 4]
        assert (await raw.query("begin"))[-1:] == b"T"
        assert fields(await raw.query("begin"), "N")["C"] == "25001"
        data = await raw.query("select reciprocal(0)")
        assert (fields(data)["C"], data[-1:]) == ("22012", b"E")
        data = await raw.query("select 1")
        assert (fields(data)["C"], data[-1:]) == ("25P02", b"E")
        data = await raw.query("commit")
        assert messages.command_tag("ROLLBACK") in data
        assert fields(await raw.query("commit"), "N")["M"] == "there is no transaction in progress"
        data = await raw.query("select nonsense from")
        assert fields(data)["C"] == "42601"
        assert fields(await raw.query("select $1"))["M"] == "there is no parameter $1"
        assert fields(await raw.query("select v from elsewhere"))["P"] == "15"

    serve(body)


def test_lifted_plans_are_shared_and_right() -> None:
    async def body(server: Server, engine: FakeEngine) -> None:
        raw = await Raw.open(server)
        for value in (5, -6, 7, 2147483648):
            data = await raw.query(f"select {value}, 'x{value}', {value}.25")
            assert str(value).encode() in data
            assert f"x{value}".encode() in data
        # One plan each for positive and negative int4; 2147483648 is not lifted.
        assert len(engine.compiled) == 3
        for value in (1, 2, 1, 2):
            assert b"\0\0\0\x01%d" % value in await raw.query(f"select pinned({value})")
        assert len(engine.compiled) == 5
        engine.catalog.version += 1
        await raw.query("select 8, 'x', 8.25")
        assert len(engine.compiled) == 6
        await raw.query("set aurora.lift_literals = off")
        assert b"\0\0\0\x019" in await raw.query("select 9, 'é', -1")

    serve(body)


def test_extended_protocol() -> None:
    async def body(server: Server, engine: FakeEngine) -> None:
        raw = await Raw.open(server)
        raw.send(parse("s", "select $1::int4") + message(b"D", b"Ss\0") + SYNC)
        assert tags(await raw.until_ready()) == "1tTZ"
        raw.send(bind("p", "s", "5") + execute("p") + message(b"C", b"Pp\0") + SYNC)
        assert tags(await raw.until_ready()) == "2DC3Z"
        # Row limits.
        raw.send(parse("", "select series(5)") + bind("", "") + execute("", 2) + execute("", 2) + execute("", 2) + SYNC)
        assert tags(await raw.until_ready()) == "12DDsDDsDCZ"
        # An error skips to Sync, and the statements before it are undone.
        raw.send(parse("", "insert into t values (1)") + bind("", "") + execute())
        raw.send(
            parse("", "select reciprocal(0)") + bind("", "") + execute() + execute() + parse("x", "select 1") + SYNC
        )
        assert tags(await raw.until_ready()) == "12C12EZ"
        assert engine.table == []
        for sent, sqlstate in (
            (bind("", "missing"), "26000"), (execute("missing"), "34000"), (bind("", "s"), "08P01"),
            (parse("s", "select 1"), "42P05"), (bind("", "s", "abc"), "22P02"),
            (parse("", "select 1; select 2"), "42601"),
            (message(b"D", b"Smissing\0"), "26000"),
        ):  # fmt: skip
            raw.send(sent + SYNC)
            assert fields(await raw.until_ready())["C"] == sqlstate
        raw.send(parse("", "") + bind("", "") + message(b"D", b"P\0") + execute() + SYNC)
        assert tags(await raw.until_ready()) == "12nIZ"
        raw.send(parse("", "show work_mem") + bind("", "") + message(b"D", b"P\0") + execute() + SYNC)
        assert tags(await raw.until_ready()) == "12TDCZ"
        raw.send(message(b"C", b"Ss\0") + message(b"H", b""))
        assert (await raw.one())[:1] == b"3"

    serve(body)


def test_fast_packet_agrees_with_the_general_way() -> None:
    async def body(server: Server, engine: FakeEngine) -> None:
        raw = await Raw.open(server)
        raw.send(parse("s", "select $1::int4, $2::text") + parse("b", "begin") + parse("c", "commit") + SYNC)
        await raw.until_ready()
        describe = message(b"D", b"P\0")
        for _ in range(3):
            raw.send(bind("", "s", "5", "é") + describe + execute() + SYNC)
            fast = await raw.until_ready()
            raw.send(bind("q", "s", "5", "é") + message(b"D", b"Pq\0") + execute("q") + SYNC)
            assert await raw.until_ready() == fast
        raw.send(bind("", "b") + describe + execute() + SYNC)
        assert (await raw.until_ready())[-1:] == b"T"
        raw.send(bind("", "c") + execute() + SYNC)
        assert tags(await raw.until_ready()) == "2CZ"
        engine.catalog.version += 1
        raw.send(bind("", "s", "6", None) + describe + execute() + SYNC)
        assert tags(await raw.until_ready()) == "2TDCZ"

    serve(body)


def test_prepare_execute_and_cursors() -> None:
    async def body(server: Server, _: FakeEngine) -> None:
        db = await connect(server)
        await db.execute("prepare p(int4) as select $1")
        assert await (await db.execute("execute p(42)")).fetchone() == (42,)
        with pytest.raises(errors.SyntaxError, match="wrong number of parameters"):
            await db.execute("execute p(1, 2)")
        await db.execute("deallocate p")
        with pytest.raises(errors.InvalidSqlStatementName):
            await db.execute("execute p(42)")
        with pytest.raises(errors.NoActiveSqlTransaction):
            await db.execute("declare c cursor for select series(3)")
        await db.execute("begin")
        await db.execute("declare c scroll cursor with hold for select series(10)")
        fetches = [
            ("forward 3", [0, 1, 2]), ("backward 2", [1, 0]), ("last", [9]), ("next", []), ("prior", [9]),
            ("first", [0]), ("absolute -2", [8]), ("relative -3", [5]), ("0", [5]), ("backward all", [4, 3, 2, 1, 0]),
            ("absolute 99", []), ("backward 1", [9]),
        ]  # fmt: skip
        for what, expected in fetches:
            rows = await (await db.execute(f"fetch {what} from c")).fetchall()
            assert [row[0] for row in rows] == expected, what
        await db.execute("commit")
        assert len(await (await db.execute("fetch backward all from c")).fetchall()) == 9
        await db.execute("close c")
        await db.execute("begin")
        await db.execute("declare d cursor for select series(3)")
        with pytest.raises(errors.ObjectNotInPrerequisiteState, match="can only scan forward"):
            await db.execute("fetch prior from d")
        await db.execute("rollback")
        await db.close()

    serve(body)


def test_savepoints_and_settings_roll_back() -> None:
    async def body(server: Server, engine: FakeEngine) -> None:
        raw = await Raw.open(server)
        await raw.query("begin; insert into t values (1); savepoint a; insert into t values (2); set work_mem='9MB'")
        assert (await raw.query("select reciprocal(0)"))[-1:] == b"E"
        assert engine.table == [1]
        assert (await raw.query("rollback to a"))[-1:] == b"T"
        assert b"4MB" in await raw.query("show work_mem")
        assert fields(await raw.query("release b"))["C"] == "3B001"
        await raw.query("rollback to a; release a; commit")
        assert engine.table == [1]
        for sql, sqlstate in (
            ("savepoint x", "25P01"), ("commit and chain", "25P01"),
            ("vacuum; select 1", "25001"),
        ):  # fmt: skip
            assert fields(await raw.query(sql))["C"] == sqlstate
        await raw.query("begin isolation level serializable")
        assert b"serializable" in await raw.query("show transaction_isolation")
        await raw.query("select 1")
        assert fields(await raw.query("set transaction isolation level read committed"))["C"] == "25001"
        await raw.query("rollback")
        assert b"on" in await raw.query("begin read only; show transaction_read_only; rollback and chain; commit")
        assert fields(await raw.query("set local work_mem='5MB'"), "N")["C"] == "25P01"

    serve(body)


def test_cancel_timeout_terminate() -> None:
    async def body(server: Server, engine: FakeEngine) -> None:
        db = await connect(server)
        running = asyncio.create_task(db.execute("select nap('a')"))
        while "a" not in engine.naps:
            await asyncio.sleep(0)
        assert [row["state"] for row in server.activity()] == ["active"]
        await db.cancel_safe()
        with pytest.raises(errors.QueryCanceled, match="due to user request"):
            await running
        await db.execute("set statement_timeout = '20ms'")
        with pytest.raises(errors.QueryCanceled, match="due to statement timeout"):
            await db.execute("select nap('b')")
        await db.execute("set statement_timeout = 0")
        running = asyncio.create_task(db.execute("select nap('c')"))
        while "c" not in engine.naps:
            await asyncio.sleep(0)
        assert server.signal(next(iter(server.sessions)), True)
        with pytest.raises(errors.AdminShutdown):
            await running
        other = await connect(server)
        running = asyncio.create_task(other.execute("select nap('d')"))
        while "d" not in engine.naps:
            await asyncio.sleep(0)
        engine.naps["d"].wake("slept")
        assert await (await running).fetchone() == ("slept",)

    serve(body)


def test_input_while_a_statement_waits_and_disconnect() -> None:
    async def body(server: Server, engine: FakeEngine) -> None:
        raw = await Raw.open(server)
        raw.send(message(b"Q", b"begin; insert into t values (1); select nap('n')\0") + message(b"Q", b"select 7\0"))
        while "n" not in engine.naps:
            await asyncio.sleep(0)
        raw.send(message(b"Q", b"commit\0"))
        engine.naps["n"].wake("x")
        assert tags(await raw.until_ready()) == "CCTDCZ"
        assert tags(await raw.until_ready()) == "TDCZ"
        assert tags(await raw.until_ready()) == "CZ"
        gone = await Raw.open(server)
        gone.send(message(b"Q", b"begin; insert into t values (2); select nap('g')\0"))
        while "g" not in engine.naps:
            await asyncio.sleep(0)
        gone.writer.transport.abort()
        while len(server.sessions) > 1:
            await asyncio.sleep(0.001)
        assert engine.table == [1]
        idle = await Raw.open(server)
        await idle.query("begin; insert into t values (3)")
        idle.writer.close()
        while len(server.sessions) > 1:
            await asyncio.sleep(0.001)
        assert engine.table == [1]

    serve(body)


@pytest.mark.parametrize(
    "garbage",
    [b"Q\0\0\0\1", b"Q\x7f\xff\xff\xff", b"!\0\0\0\4", b"B\0\0\0\6\0\0", message(b"D", b"X\0"),
     message(b"Q", b"no end"),
     message(b"S", b"x"), message(b"P", b"a\0b\0\0\5")],
)  # fmt: skip
def test_malformed_message_ends_its_own_connection(garbage: bytes) -> None:
    async def body(server: Server, engine: FakeEngine) -> None:
        other, raw = await Raw.open(server), await Raw.open(server)
        raw.send(garbage)
        data = await raw.reader.read()
        assert (fields(data)["S"], fields(data)["C"]) == ("FATAL", "08P01")
        assert tags(await other.query("select 1")) == "TDCZ"

    serve(body)


def test_long_messages_in_pieces() -> None:
    async def body(server: Server, _: FakeEngine) -> None:
        raw = await Raw.open(server)
        text = "x" * 300_000
        assert text.encode() in await raw.query(f"select '{text}'")
        for byte in message(b"Q", b"select 1\0") + message(b"Q", b"select 2\0"):
            raw.send(bytes([byte]))
            await raw.writer.drain()
            await asyncio.sleep(0)
        assert b"\0\0\0\x011" in await raw.until_ready()
        assert b"\0\0\0\x012" in await raw.until_ready()

    serve(body)


def test_limits_and_refusals() -> None:
    async def body(server: Server, _: FakeEngine) -> None:
        first = await connect(server)
        with pytest.raises(psycopg.OperationalError, match="too many clients"):
            await connect(server)
        await first.close()
        while server.sessions:
            await asyncio.sleep(0.001)
        for options, text in (
            ({"dbname": "nowhere"}, 'database "nowhere" does not exist'),
            ({"user": "eve"}, 'role "eve" does not exist'),
            ({"options": "-c nope=1"}, "unrecognized configuration parameter"),
        ):  # fmt: skip
            with pytest.raises(psycopg.OperationalError, match=text):
                await connect(server, **options)
        db = await connect(server, options="-c work_mem=7MB -c search_path=a\\ b", application_name="me")
        assert await (await db.execute("show work_mem")).fetchone() == ("7MB",)
        assert server.activity()[0]["application_name"] == "me"

    serve(body, WireConfig(port=0, max_connections=1, reserved_connections=0))


def test_scram_over_the_wire() -> None:
    verifier = scram.make_verifier("right", bytes(16)).text()

    async def body(server: Server, _: FakeEngine) -> None:
        db = await connect(server, user="alice", password="right")
        assert await (await db.execute("select 1")).fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            await connect(server, user="alice", password="wrong")
        host, port = server.addresses[0]
        other = await asyncpg.connect(host=host, port=port, user="alice", password="right", database="x", ssl=False)
        await other.close()

    serve(body, WireConfig(port=0, default_rules=DEFAULT_PASSWORD), FakeRoles(alice=verifier))


def test_shutdown_says_goodbye() -> None:
    async def body(server: Server, _: FakeEngine) -> None:
        raw = await Raw.open(server)
        await server.shutdown(1.0)
        assert fields(await raw.reader.read())["C"] == "57P01"
        assert not server.sessions

    serve(body)
