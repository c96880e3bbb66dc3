"""Values of thousands of digits are read or refused as any others; loops take their turns by the clock."""

from __future__ import annotations

import psycopg
import pytest
from support_server import CountingEngine, serve_engine
from test_session_protocol import connect

from compute_node.hub import HUB, Hub
from compute_node.types.common import whole_number
from compute_node.types.long_text import paced
from compute_node.wire.server import Server

_ZEROS, _ONES = "repeat('0', 5000)", "repeat('1', 5000)"
READ = {
    f"({_ZEROS} || '1')::int = 1": True,
    "(repeat(' ', 5000) || '-1')::int8 = -1": True,
    f"('1e' || {_ZEROS} || '1')::numeric = 10": True,
    f"({_ZEROS} || '1')::oid = 1": True,
    f"({_ZEROS} || '1')::money = '1'::money": True,
    f"('(' || {_ZEROS} || '1,1)')::tid = '(1,1)'::tid": True,
    f"('[' || {_ZEROS} || '1:1]={{1}}')::int[] = '{{1}}'": True,
    f"('1.2.3.4/' || {_ZEROS} || '1')::inet = '1.2.3.4/1'": True,
    f"{_ONES}::xid8 = '18446744073709551615'::xid8": True,
    f"format('%' || {_ZEROS} || '2s', 'x')": " x",
    f"{'1' * 5000} > 0": True,
}
REFUSED = {
    f"{_ONES}::int": "22003",
    f"{_ONES}::money": "22003",
    f"('1e' || {_ONES})::numeric": "22003",
    f"('1e' || {_ONES})::jsonb": "22003",
    f"({_ONES} || ' days')::interval": "22015",
    f"set_config('work_mem', {_ONES}, true)": "22023",
    "to_timestamp(1e308)": "22008",
    "format('%2000000000s', 'x')": "54000",
    "format('%2147483648s', 'x')": "22003",
}


def test_many_digits() -> None:
    async def test(server: Server, _: CountingEngine) -> None:
        db = await connect(server)
        for sql, value in READ.items():
            assert await (await db.execute(f"select {sql}")).fetchall() == [(value,)], sql[:80]
        for sql, code in REFUSED.items():
            with pytest.raises(psycopg.Error) as caught:
                await db.execute(f"select {sql}")
            assert caught.value.sqlstate == code, sql[:80]
        await db.close()

    serve_engine(test)


def test_whole_number() -> None:
    assert whole_number("-" + "0" * 9000 + "12") == -12
    assert whole_number("1" * 9000) > 2**64
    assert whole_number("-" + "9" * 9000) < -(2**64)
    assert whole_number("0" * 9000) == 0


@pytest.mark.parametrize(("item_s", "pulses"), [(0.0, range(2, 12)), (0.0005, range(1000, 4001))])
def test_slow_items_get_more_pulses(monkeypatch: pytest.MonkeyPatch, item_s: float, pulses: range) -> None:
    now_s = 0.0

    monkeypatch.setattr(Hub, "now_s", staticmethod(lambda: now_s))
    before = HUB.pulses
    for _ in paced(range(4000)):
        now_s += item_s
    assert HUB.pulses - before in pulses


def test_long_names_are_refused_at_once() -> None:
    async def test(server: Server, _: CountingEngine) -> None:
        db = await connect(server)
        for value, code in (
            ("(repeat('a', 3000000) || '=r/b')::aclitem", "22P02"),
            ("('a(' || repeat('int,', 100000) || 'int)')::regprocedure", "54023"),
        ):
            with pytest.raises(psycopg.Error) as caught:
                await db.execute(f"select {value}")
            assert caught.value.sqlstate == code
        escaped = r"length((repeat('\\', 9000) || '\101b')::bytea), (repeat('\\', 2) || '\101b')::bytea"
        assert await (await db.execute(f"select {escaped}")).fetchall() == [(9002, b"\\\\Ab")]
        await db.close()

    serve_engine(test)
