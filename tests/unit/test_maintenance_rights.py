"""What a table's owner has made runs as the owner, whoever keeps the table up. Answers are PostgreSQL 15's."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import errors
from support_server import CountingEngine, serve_engine
from test_session_protocol import connect

from compute_node.wire.server import Server

SETUP = """
create role pl;
create schema s;
grant all on schema s to pl;
set session authorization pl;
create table s.log (who name);
create function s.note(int) returns int language sql as 'insert into s.log values (current_user); select $1';
create function s.f(int) returns int language sql immutable as 'select s.note($1)';
create table s.t (a int, b int); insert into s.t values (1, 2), (2, 3);
create index i on s.t (s.f(a)); alter table s.t cluster on i;
create type s.e as enum ('a');
create function s.number(s.e) returns int language sql immutable as 'select s.note(1)';
create cast (s.e as int) with function s.number(s.e) as implicit;
create table s.st (a int, b int); insert into s.st values (1, 2), (2, 3);
create statistics s.st_of on (s.f(a)), b from s.st;
create table s.p (a int primary key); insert into s.p values (1);
create table s.c (x s.e); insert into s.c values ('a')
"""


async def _prepared(server: Server, engine: CountingEngine) -> psycopg.AsyncConnection[Any]:
    engine.databases.sessions = lambda: list(server.sessions.values())
    maker = await connect(server)
    for statement in SETUP.split(";\n"):
        await maker.execute(statement)
    await maker.close()
    return await connect(server)


async def _who(db: psycopg.AsyncConnection[Any]) -> set[str]:
    return {who for (who,) in await (await db.execute("select who from s.log")).fetchall()}


@pytest.mark.parametrize(
    ("sql", "who"),
    [
        ("cluster s.t", {"pl"}),
        ("cluster s.t using i", {"pl"}),
        ("cluster", {"pl"}),
        ("reindex table s.t", {"pl"}),
        ("reindex index s.i", {"pl"}),
        ("reindex schema s", {"pl"}),
        ("reindex database postgres", {"pl"}),
        ("create index on s.t (b) where s.f(b) > 0", {"pl"}),
        ("create index concurrently on s.t (s.f(b))", {"pl"}),
        ("create unique index on s.t (s.f(b))", {"pl"}),
        ("alter table s.t add c float8 default random()", {"pl"}),
        ("alter table s.t alter b type text", {"pl"}),
        # What the statement's writer names is called as the writer.
        ("alter table s.t add c int default s.note(3)", {"pl", "postgres"}),
        ("alter table s.t add check (s.f(a) > 0)", {"postgres"}),
        ("alter table s.t add g int generated always as (s.f(b)) stored", {"pl", "postgres"}),
        ("alter table s.t alter b type int using s.f(b)", {"postgres", "pl"}),
        ("alter table s.t add unique (b)", set()),
        ("create index on s.t (a) where s.f(3) = 3", {"pl"}),
        ("create index on s.t ((s.f(7) + b))", {"pl"}),
        ("vacuum s.t", set()),
        ("analyze s.st", {"pl"}),
        ("vacuum analyze s.st", {"pl"}),
    ],
)
def test_a_superuser_s_upkeep_runs_the_table_s_functions_as_its_owner(sql: str, who: set[str]) -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        db = await _prepared(server, engine)
        await db.execute("truncate s.log")
        await db.execute(sql)
        assert await _who(db) == who
        assert await (await db.execute("select current_user")).fetchall() == [("postgres",)]
        await db.close()

    serve_engine(test)


def test_a_foreign_key_s_rows_are_checked_as_nobody_higher() -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        db = await _prepared(server, engine)
        await db.execute("set session authorization pl; truncate s.log")
        await db.execute("alter table s.c add foreign key (x) references s.p")
        assert await _who(db) == {"pl"}
        await db.execute("reset session authorization")
        await db.execute("insert into s.c values ('a')")
        assert await _who(db) == {"pl"}
        body = "select set_config(''role'', ''postgres'', false); select 1"
        await db.execute(f"create or replace function s.note(int) returns int language sql as '{body}'")
        with pytest.raises(errors.InsufficientPrivilege, match='cannot set parameter "role" within security-definer'):
            await db.execute("insert into s.c values ('a')")
        await db.close()

    serve_engine(test)


def test_a_plan_that_a_foreign_key_s_owner_may_run_stays_the_owner_s() -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        db = await _prepared(server, engine)
        await db.execute("alter table s.c add foreign key (x) references s.p")
        await db.execute("create role po; grant usage on schema s to po; grant insert on s.c to po")
        await db.execute("set session authorization po")
        await db.execute("insert into s.c values ('a')")
        with pytest.raises(errors.InsufficientPrivilege, match="permission denied for table log"):
            await db.execute("select s.number('a')")
        await db.close()

    serve_engine(test)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("select set_config(''role'', ''postgres'', false)", 'cannot set parameter "role"'),
        ("reset role", 'cannot set parameter "role"'),
        ("set session authorization default", 'cannot set parameter "session_authorization"'),
        ("create temp table x (a int)", "cannot create temporary table"),
        ("create temp view x as select 1", "cannot create temporary table"),
        ("create table x as select 1", None),
        ("create table pg_temp.x as select 1", "cannot create temporary table"),
        ("listen x", "cannot execute LISTEN"),
        ("unlisten x", "cannot execute UNLISTEN"),
        ("discard plans", "cannot execute DISCARD"),
        ("prepare x as select 1", "cannot execute PREPARE"),
        ("deallocate all", "cannot execute DEALLOCATE"),
        ("close all", "cannot execute CLOSE"),
        ("declare x cursor with hold for select 1", "cannot create a cursor WITH HOLD"),
    ],
)
def test_upkeep_leaves_nothing_in_the_session(body: str, problem: str | None) -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        db = await _prepared(server, engine)
        await db.execute(
            f"grant all on schema public to pl; create or replace function s.note(int) returns int language sql"
            f" as '{body}; select 1'; alter function s.note owner to pl; drop index s.i; truncate s.t"
        )
        await db.execute("insert into s.t values (1, 2)")
        if problem is None:
            await db.execute("create index on s.t (s.f(a))")
        else:
            with pytest.raises(errors.InsufficientPrivilege, match=f"{problem} within security-restricted operation"):
                await db.execute("create index on s.t (s.f(a))")
        await db.close()

    serve_engine(test)


def test_settings_of_upkeep_end_with_it() -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        db = await _prepared(server, engine)
        await db.execute(
            "create or replace function s.note(int) returns int language sql"
            " as 'set search_path = s; set work_mem = ''77MB''; select 1'"
        )
        await db.execute("cluster s.t")
        rows = await (await db.execute("select current_setting('search_path'), current_setting('work_mem')")).fetchall()
        assert rows == [('"$user", public', "4MB")]
        await db.close()

    serve_engine(test)


def test_owners_without_privileges_cluster_their_tables() -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        db = await _prepared(server, engine)
        await db.execute("create index bs on s.t (b desc); revoke all on s.t from pl; set session authorization pl")
        await db.execute("cluster s.t using bs")
        await db.execute("reset session authorization")
        assert await (await db.execute("select b from s.t")).fetchall() == [(3,), (2,)]
        await db.close()

    serve_engine(test)
