"""Which plan a run of a statement with parameters has: generic or custom, and whose plan lifted literals share."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support_server import CountingEngine, serve_engine
from test_session_protocol import connect

from compute_node.session.plan_choice import CUSTOM_PLANS, PlanChoice
from compute_node.wire.server import Server

ROWS = 40_000


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30), st.floats(0, 1e6))
def test_auto_follows_the_average_of_the_custom_plans(costs: list[float], generic: float) -> None:
    """The rule of the manual, against a model that keeps the costs."""
    choice, seen = PlanChoice(), list[float]()
    for cost in costs:
        expected = len(seen) < CUSTOM_PLANS or generic >= sum(seen) / len(seen)
        assert choice.wants_custom("auto", generic) is expected
        assert choice.wants_custom("force_custom_plan", generic)
        assert not choice.wants_custom("force_generic_plan", generic)
        if not expected:
            return
        choice.add_custom(cost)
        seen.append(cost)


async def filled(server: Server, engine: CountingEngine) -> psycopg.AsyncConnection[Any]:
    db = await connect(server)
    await db.execute("create table t (id int primary key, kind int, note text)")
    await db.execute(
        "insert into t select g, case when mod(g, 100) = 0 then g else 0 end, 'n' || g from generate_series(1, %s) g",
        [ROWS],
    )
    await db.execute("create index on t (kind)")
    await db.execute("analyze t")
    engine.compiled.clear()
    return db


async def one(db: psycopg.AsyncConnection[Any], sql: str) -> Any:
    row = await (await db.execute(sql.encode(), prepare=False)).fetchone()
    assert row is not None
    return row[0]


def test_literals_of_about_as_many_rows_share_a_plan() -> None:
    """Narrow ranges all have one plan, wide ones another, and each plan gives the right rows for other literals."""

    async def body(server: Server, engine: CountingEngine) -> None:
        db = await filled(server, engine)
        for low in range(1, 30_000, 977):
            assert await one(db, f"select count(note) from t where id between {low} and {low + 7}") == 8
        narrow = len(engine.compiled)
        assert narrow <= 4
        for low in range(1, 200, 7):
            assert await one(db, f"select count(note) from t where id between {low} and {low + 35_000}") == 35_001
        assert narrow < len(engine.compiled) <= narrow + 4
        await db.close()

    serve_engine(body)


def test_a_common_value_and_a_rare_one_have_plans_of_their_own() -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        db = await filled(server, engine)
        assert await one(db, "select count(note) from t where kind = 0") == ROWS - ROWS // 100
        assert await one(db, "select count(note) from t where kind = 100") == 1
        assert len(engine.compiled) == 2
        for value in range(200, 4000, 100):
            assert await one(db, f"select count(note) from t where kind = {value}") == 1
        assert len(engine.compiled) == 2
        await db.close()

    serve_engine(body)


@pytest.mark.parametrize("name", ["", "s1"])
def test_custom_plans_are_used_again(name: str) -> None:
    """Values that only change estimates do not cost planning each time; a NULL does."""

    async def body(server: Server, engine: CountingEngine) -> None:
        db = await filled(server, engine)
        sql = "select count(note) from t where id between %s and %s"
        await db.execute("set plan_cache_mode = force_custom_plan")
        for low in range(1, 20_000, 977):
            found = await (await db.execute(sql, (low, low + 7), prepare=bool(name))).fetchone()
            assert found == (8,)
        assert len(engine.compiled) <= 4
        engine.compiled.clear()
        assert await (await db.execute(sql, (None, 5), prepare=bool(name))).fetchone() == (0,)
        await db.close()

    serve_engine(body)


def test_statistics_change_the_plans() -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        db = await filled(server, engine)
        assert await one(db, "select count(note) from t where id < 100") == 99
        await db.execute("delete from t where id > 200")
        await db.execute("analyze t")
        engine.compiled.clear()
        assert await one(db, "select count(note) from t where id < 120") == 119
        assert len(engine.compiled) == 1
        await db.close()

    serve_engine(body)


def test_runs_of_a_statement_with_one_plan_are_counted_as_postgresqls() -> None:
    """A row by its key has one plan for all values: the first five runs of a named statement count as custom ones all
    the same, the further ones as generic."""

    async def body(server: Server, engine: CountingEngine) -> None:
        db = await filled(server, engine)
        for key in range(7, 15):
            rows = await (await db.execute("select note from t where id = %s::int", [key], prepare=True)).fetchall()
            assert rows == [(f"n{key}",)]
        counted = "select custom_plans, generic_plans from pg_prepared_statements where statement like '%note%::int'"
        assert await (await db.execute(counted, prepare=False)).fetchall() == [(5, 3)]

    serve_engine(body)
