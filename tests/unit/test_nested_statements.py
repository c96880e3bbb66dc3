"""Functions that run statements: in the caller's transaction, by the same door."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import errors
from support_server import CountingEngine, serve_engine
from test_session_protocol import connect

from compute_node.types.registry import REGISTRY, Function, FunctionContext
from compute_node.wire.server import Server

TEXT, INT4, INT8 = 25, 23, 20


def _sql(context: FunctionContext, text: str) -> str:
    result = context.run(text)
    return f"{result.tag} {result.count} {result.rows}"


def _add(context: FunctionContext, number: int) -> int:
    """Insert a row and count what is there."""
    context.run("insert into log (n) values ($1)", (number,), (INT4,))
    return int(context.run("select count(*) from log").rows[0][0])


def _down(context: FunctionContext, number: int) -> int:
    if number == 0:
        return 0
    return 1 + int(context.run("select down($1)", (number - 1,), (INT4,)).rows[0][0])


def _first(context: FunctionContext, text: str, wanted: int) -> str:
    rows = context.read(text)
    return ",".join(str(row[0]) for row, _ in zip(rows, range(wanted), strict=False))


@contextmanager
def registered(*items: tuple[str, tuple[int, ...], int, str, Callable[..., Any]]) -> Iterator[None]:
    """Built-ins for the length of a test."""
    for number, (name, arguments, result, volatility, code) in enumerate(items):
        REGISTRY.add_function(
            Function(9900 + number, name, arguments, result, code, volatility=volatility, needs_context=True)
        )
    try:
        yield
    finally:
        for number, (name, *_) in enumerate(items):
            del REGISTRY.functions[9900 + number], REGISTRY.functions_by_name[name]


FUNCTIONS = (
    ("sql", (TEXT,), TEXT, "v", _sql),
    ("stable_sql", (TEXT,), TEXT, "s", _sql),
    ("add", (INT4,), INT8, "v", _add),
    ("down", (INT4,), INT4, "v", _down),
    ("first", (TEXT, INT4), TEXT, "v", _first),
)


def serve_functions(test: Callable[[psycopg.AsyncConnection[Any], Server, CountingEngine], Any]) -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        db = await connect(server)
        await db.execute("create table log (n int)")
        await db.execute("create table t (a int primary key, b text)")
        await db.execute("insert into t select g, 'x' from generate_series(1, 400) g")
        await test(db, server, engine)

    with registered(*FUNCTIONS):
        serve_engine(body)


async def rows(db: psycopg.AsyncConnection[Any], sql: str, prepare: bool | None = None) -> list[Any]:
    return await (await db.execute(sql, prepare=prepare)).fetchall()


@pytest.mark.parametrize("prepare", [False, True])
def test_it_sees_what_it_wrote_and_the_caller_does_not(prepare: bool) -> None:
    async def body(db: psycopg.AsyncConnection[Any], server: Server, engine: CountingEngine) -> None:
        # The caller scans the table that its function writes.
        await db.execute("insert into log values (0)")
        for times in range(2):
            before = 4**times if times else 1
            found = await rows(db, "select n, add(n + 100) from log", prepare)
            assert [count for _, count in found] == [before + number + 1 for number in range(before)]
            await db.execute("delete from log where n > 100 and n < 0")
            assert (await rows(db, "select count(*) from log"))[0][0] == 2 * before
            await db.execute("insert into log select 0 from generate_series(1, %s)" % (4 - 2 * before))
        assert await rows(db, "select sql('update t set b = ''y'' where a <= 3'), sql('select count(*) from log')") == [
            ("UPDATE 3 []", f"SELECT 1 [({2 * 4},)]")
        ]

    serve_functions(body)


def test_a_scan_goes_on_while_its_function_changes_the_table() -> None:
    async def body(db: psycopg.AsyncConnection[Any], server: Server, engine: CountingEngine) -> None:
        sql = "select a, sql('update t set b = b || ''z'' where a = ' || (401 - a)) from t order by 1"
        assert [row[0] for row in await rows(db, sql)] == list(range(1, 401))
        assert await rows(db, "select b, count(*) from t group by b") == [("xz", 400)]
        # The caller writes into the table that its function writes: a batch of its rows is computed, then written.
        await db.execute("insert into log select add(g)::int from generate_series(1, 3) g")
        assert await rows(db, "select n from log order by n") == [(1,), (1,), (2,), (2,), (3,), (3,)]

    serve_functions(body)


def test_a_stable_function_sees_what_its_caller_sees_and_changes_nothing() -> None:
    async def body(db: psycopg.AsyncConnection[Any], server: Server, engine: CountingEngine) -> None:
        found = await rows(db, "select add(1), stable_sql('select count(*) from log')")
        assert found == [(1, "SELECT 1 [(0,)]")]
        found = await rows(db, "select add(a), stable_sql('select count(*) from log') from t where a < 4")
        assert found == [(2, "SELECT 1 [(1,)]"), (3, "SELECT 1 [(1,)]"), (4, "SELECT 1 [(1,)]")]
        for sql, name in (("insert into log values (1)", "INSERT"), ("create table x ()", "CREATE TABLE")):
            with pytest.raises(errors.FeatureNotSupported, match=f"{name} is not allowed in a non-volatile function"):
                await db.execute("select stable_sql(%s::text)", (sql,))

    serve_functions(body)


def test_others_commits_are_seen_by_volatile_functions_alone() -> None:
    async def body(db: psycopg.AsyncConnection[Any], server: Server, engine: CountingEngine) -> None:
        other = await connect(server)
        async with db.transaction(), db.cursor(name="c") as cursor:
            await cursor.execute(
                "select stable_sql('select count(*) from log'), sql('select count(*) from log') from t"
            )
            assert await cursor.fetchone() == ("SELECT 1 [(0,)]", "SELECT 1 [(0,)]")
            await other.execute("insert into log values (1)")
            await other.execute("update t set b = 'other'")
            await other.execute("vacuum t")
            # Rows of the batch that was read ahead are what they were.
            rest = await cursor.fetchall()
            assert len(rest) == 399
            assert rest[-1] == ("SELECT 1 [(0,)]", "SELECT 1 [(1,)]")

    serve_functions(body)


def test_an_error_inside_undoes_the_callers_statement() -> None:
    async def body(db: psycopg.AsyncConnection[Any], server: Server, engine: CountingEngine) -> None:
        with pytest.raises(errors.UniqueViolation):
            await db.execute("select add(1), sql('insert into t values (7, null)')")
        assert await rows(db, "select count(*) from log") == [(0,)]
        async with db.transaction():
            await db.execute("select add(1)")
            with pytest.raises(errors.DivisionByZero):
                async with db.transaction():
                    await db.execute("insert into log select add(2) + length(sql('select 1/0')) from t")
            assert await rows(db, "select count(*) from log") == [(1,)]
        (session,) = server.sessions.values()
        assert session.depth == 0

    serve_functions(body)


def test_recursion_is_bounded() -> None:
    async def body(db: psycopg.AsyncConnection[Any], server: Server, engine: CountingEngine) -> None:
        assert await rows(db, "select down(250)") == [(250,)]
        with pytest.raises(errors.StatementTooComplex, match="stack depth limit exceeded"):
            await db.execute("select down(100000)")
        assert await rows(db, "select down(10)") == [(10,)]

    serve_functions(body)


def test_a_query_is_read_as_far_as_it_is_wanted() -> None:
    async def body(db: psycopg.AsyncConnection[Any], server: Server, engine: CountingEngine) -> None:
        await db.execute("create sequence s")
        assert await rows(db, "select first('select nextval(''s'') from t a, t b', 3)") == [("1,2,3",)]
        assert (await rows(db, "select last_value from s"))[0][0] < 160_000
        assert await rows(db, "select first('select b from t where a = ' || g, 1) from generate_series(1, 2) g") == [
            ("x",), ("x",),
        ]  # fmt: skip
        with pytest.raises(errors.FeatureNotSupported):
            await db.execute("select first('delete from t', 1)")

    serve_functions(body)


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("commit", errors.InvalidTransactionTermination),
        ("copy t to stdout", errors.FeatureNotSupported),
        ("vacuum t", errors.ActiveSqlTransaction),
        ("discard all", errors.ActiveSqlTransaction),
    ],
)
def test_what_a_function_cannot_run(sql: str, error: type[Exception]) -> None:
    async def body(db: psycopg.AsyncConnection[Any], server: Server, engine: CountingEngine) -> None:
        with pytest.raises(error):
            await db.execute("select sql(%s::text)", (sql,))
        assert await rows(db, "select 1") == [(1,)]

    serve_functions(body)


def test_ddl_inside_is_seen_inside() -> None:
    async def body(db: psycopg.AsyncConnection[Any], server: Server, engine: CountingEngine) -> None:
        made = "create temp table made (x int); insert into made values (1), (2); select sum(x) from made"
        assert await rows(db, f"select sql('{made}')") == [("SELECT 1 [(3,)]",)]
        assert await rows(db, "select count(*) from made") == [(2,)]

    serve_functions(body)


def test_its_statements_are_planned_once() -> None:
    async def body(db: psycopg.AsyncConnection[Any], server: Server, engine: CountingEngine) -> None:
        engine.compiled.clear()
        await db.execute("select add(a) from t where a < 50")
        assert len(engine.compiled) == 3

    serve_functions(body)
