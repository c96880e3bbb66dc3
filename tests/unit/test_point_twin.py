"""The inlined way of point statements (``turn.run_point``) and the door give the same bytes and the same effects."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import pytest
from support_server import CountingEngine, serve_engine
from test_session_protocol import SYNC, Raw, parse

from compute_node.protocol.messages import message
from compute_node.session import turn
from compute_node.wire.server import Server

STATEMENTS = {
    "get": "select a, b, c from t where a = $1",
    "one": "select $1::int4 + 1, $2::text",
    "hold": "select b || '!', c, a from t where a = $1 and b <> 'z' for update",
    "keep": "select b from t where a = $1 for key share skip locked",
    "put": "insert into t values ($1, $2, $3)",
    "set": "update t set b = b || $2 where a = $1",
    "take": "delete from t where a = $1",
    "part_put": "insert into p values ($1, $2)",
    "part_get": "select b, a, tableoid::regclass from p where a = $1",
    "part_set": "update p set b = b || $2 where a = $1",
    "part_move": "update p set a = a + $2 where a = $1",
    "part_take": "delete from p where a = $1",
    "ratio": "select 10 / $1::int4",
    "many": "select a from t order by a",
    "all": "update t set b = $1",
    "begin": "begin",
    "commit": "commit",
    "rollback": "rollback",
    "show": "show timezone",
}

Step = str | tuple[str, tuple[str | None, ...]] | tuple[str, tuple[str | None, ...], bytes, bool]

STEPS: tuple[Step, ...] = (
    ("put", ("1", "x", "1.5")),
    ("put", ("2", None, None)),
    ("put", ("1", "again", "0")),
    ("put", (None, "x", "0")),
    ("put", ("99999999999", "x", "0")),
    ("get", ("1",)),
    ("get", ("1",), struct.pack("!HH", 1, 1), True),
    ("get", ("1",), struct.pack("!HHHH", 3, 1, 0, 1), True),
    ("get", ("1",), struct.pack("!H", 0), False),
    ("get", ("3",)),
    ("get", (None,)),
    ("get", ("x",)),
    ("one", ("5", "häus")),
    ("one", (None, None)),
    ("set", ("1", "y")),
    ("set", ("7", "y")),
    ("hold", ("1",)),
    ("hold", ("2",)),
    ("hold", ("9",)),
    ("hold", (None,)),
    ("keep", ("2",)),
    ("part_put", ("5", "five")),
    ("part_put", ("105", "more")),
    *(("part_get", (key,)) for key in ("5", "105", "205", None, "x")),
    ("part_set", ("5", "!")),
    ("part_set", ("105", "?")),
    ("part_set", ("77", "!")),
    ("part_set", (None, "!")),
    ("part_move", ("5", "90")),
    ("part_move", ("5", "1")),
    ("part_get", ("95",)),
    ("part_move", ("95", "10")),
    ("part_move", ("95", "11")),
    ("part_move", ("106", "1000")),
    ("part_take", ("5",)),
    ("part_take", ("105",)),
    ("part_get", ("106",)),
    ("ratio", ("0",)),
    ("ratio", ("3",)),
    ("begin", ()),
    ("keep", ("2",)),
    ("set", ("2", "z")),
    ("hold", ("2",)),
    ("keep", ("2",)),
    ("put", ("3", "three", "3")),
    ("get", ("3",)),
    ("ratio", ("0",)),
    ("get", ("3",)),
    ("commit", ()),
    ("begin", ()),
    ("begin", ()),
    ("put", ("4", "four", "4")),
    ("commit", ()),
    "begin read only",
    ("get", ("4",)),
    ("hold", ("4",)),
    ("rollback", ()),
    "begin read only",
    ("put", ("5", "five", "5")),
    ("rollback", ()),
    "set statement_timeout = 10000",
    ("get", ("4",)),
    "set statement_timeout = 0",
    "set synchronous_commit = off",
    ("put", ("6", "six", "6")),
    "set default_transaction_isolation = 'repeatable read'",
    ("get", ("6",)),
    ("take", ("6",)),
    ("take", ("6",)),
    "reset default_transaction_isolation",
    "set timezone = 'Asia/Tokyo'",
    ("show", ()),
    ("get", ("1",)),
    ("many", ()),
    ("all", ("9",)),
    ("all", ("8",)),
    ("get", ("2",)),
    "alter table t add column d int",
    ("get", ("2",)),
    "alter table t drop column d",
    ("get", ("2",)),
    ("get", ("2",)),
)


def packet(name: str, values: tuple[str | None, ...], formats: bytes = b"\0\0", described: bool = True) -> bytes:
    body = b"\0" + name.encode() + b"\0" + struct.pack("!HH", 0, len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value.encode())) + value.encode()
    describe = message(b"D", b"P\0") if described else b""
    return message(b"B", body + formats) + describe + message(b"E", b"\0\0\0\0\0") + SYNC


def replay(monkeypatch: pytest.MonkeyPatch, inlined: bool) -> tuple[list[bytes], list[str], dict[str, Any]]:
    """The answers to all steps, the steps that went the inlined way, and what is left behind."""
    answers: list[bytes] = []
    taken: list[str] = []
    whole = turn.run_point

    def run_point(session: Any, found: Any) -> bool:
        done = inlined and whole(session, found)
        if done:
            taken.append(found[0].name)
        return done

    effects: dict[str, Any] = {}

    async def body(server: Server, engine: CountingEngine) -> None:
        raw = await Raw.open(server)
        # The first runs of a prepared statement plan for their values: those go the general way.
        await raw.query("set plan_cache_mode = force_generic_plan")
        await raw.query("create table t (a int primary key, b text not null default 'd', c numeric)")
        await raw.query("create table p (a int primary key, b text) partition by range (a)")
        await raw.query("create table p0 partition of p for values from (0) to (100)")
        await raw.query("create table p1 partition of p for values from (100) to (200)")
        for name, sql in STATEMENTS.items():
            raw.send(parse(name, sql) + SYNC)
            await raw.until_ready()
        for step in STEPS:
            raw.send(message(b"Q", step.encode() + b"\0") if isinstance(step, str) else packet(*step))
            answers.append(await raw.until_ready())
        answers.append(await raw.query("select * from t order by a"))
        answers.append(await raw.query("select *, tableoid::regclass from p order by a"))
        (session,) = server.sessions.values()
        effects.update(
            statements=server.plans.begun,
            commits=engine.txns.commits,
            rollbacks=engine.txns.rollbacks,
            xids=engine.txns.next_xid,
            query=session.query,
            timestamps=(session.query_start, session.env.statement_timestamp),
            block=session.block,
            in_txn=session.statements_in_txn,
            active=len(engine.txns.active),
        )

    with monkeypatch.context() as patch:
        patch.setattr(turn, "run_point", run_point)
        serve_engine(body)
    return answers, taken, effects


def test_the_inlined_way_is_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    fast, taken, effects = replay(monkeypatch, True)
    general, none, expected = replay(monkeypatch, False)
    assert not none
    assert {"get", "one", "put", "set", "take", "ratio", "all", "begin", "commit", "rollback",
                "hold", "keep", "part_put", "part_get", "part_set", "part_move", "part_take"} <= set(taken)  # fmt: skip
    for step, mine, theirs in zip((*STEPS, "at last", "of p"), fast, general, strict=True):
        assert mine == theirs, step
    assert effects == expected


def test_input_that_comes_while_a_packet_waits() -> None:
    """Two packets in one piece, the second waits for a row lock, and meanwhile a third comes: each is answered."""

    async def body(server: Server, engine: CountingEngine) -> None:
        raw, other = await Raw.open(server), await Raw.open(server)
        await raw.query("create table t (a int primary key, b text not null default 'd', c numeric)")
        await raw.query("insert into t values (1, 'x'), (2, 'y')")
        for name in ("get", "set"):
            raw.send(parse(name, STATEMENTS[name]) + SYNC)
            await raw.until_ready()
            raw.send(packet(name, ("0",) if name == "get" else ("0", "-")))
            await raw.until_ready()
        await other.query("begin")
        await other.query("update t set b = 'z' where a = 1")
        raw.send(packet("get", ("2",)) + packet("set", ("1", "!")))
        await raw.until_ready()
        (waiting,) = [each for each in server.sessions.values() if each.query == STATEMENTS["set"]]
        third = packet("get", ("1",))
        raw.send(third)
        while not waiting.port.data.endswith(third) or waiting.port.data == third:
            await asyncio.sleep(0)
        await other.query("commit")
        assert b"UPDATE 1" in await raw.until_ready()
        assert b"z!" in await raw.until_ready()

    serve_engine(body)
