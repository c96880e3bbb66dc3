"""Extensions: what a script makes and whose it is, other sessions, rollback, roles, versions, what requires what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors
from support_server import CountingEngine, serve_engine
from test_session_protocol import connect

from compute_node.extensions import controls
from compute_node.session.settings import DEFINITIONS
from compute_node.wire.server import Server

Db = psycopg.AsyncConnection[Any]
FILES = {
    "base/base.control": "comment = 'a base'\ndefault_version = '1.0'\nrelocatable = false\ntrusted = true\n",
    "base/base--1.0.sql": "create function base_schema() returns text language sql return '@extschema@';",
    "tool/tool.control": """# a tool
comment = 'it''s a tool'
default_version = '1.1'
requires = 'base'
trusted = on
""",
    "tool/tool--1.0.sql": """
create table tool_settings (name text primary key, value int);
create sequence tool_numbers;
create type tool_kind as enum ('a');
create type tool_pair as (one int, other int);
create view tool_view as select name from tool_settings;
create function tool_one() returns int language sql return 1;
insert into tool_settings values ('own', 1);
select pg_extension_config_dump('tool_settings', 'where name <> ''own''');
""",
    "tool/tool--1.0--1.1.sql": """
create or replace function tool_one() returns int language sql return 11;
create function tool_two() returns int language sql return 2;
""",
    "tool/tool--1.1--1.2.sql": "create or replace function stranger() returns int language sql return 3;",
    "ring/ring.control": "default_version = '1'\nrequires = 'ring2'\n",
    "ring/ring--1.sql": "",
    "ring2/ring2.control": "default_version = '1'\nrequires = 'ring'\n",
    "ring2/ring2--1.sql": "",
    "broken/broken.control": "default_version = '1'\ntrusted = true\n",
    "broken/broken--1.sql": "create table half (a int); create table half (a int);",
    "modest/modest.control": "default_version = '1'\nsuperuser = false\nschema = modest_place\n",
    "modest/modest--1.sql": "create function modest_user() returns name language sql return current_user;",
}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(controls, "FOLDERS", [*controls.FOLDERS, tmp_path])


def served(test: Callable[[Db, Db, Server], Awaitable[None]]) -> None:
    """Two connections to a server."""

    async def body(server: Server, engine: CountingEngine) -> None:
        await test(await connect(server), await connect(server), server)

    serve_engine(body)


async def rows(db: Db, sql: str) -> list[tuple[Any, ...]]:
    return await (await db.execute(sql)).fetchall()


async def refused(db: Db, sql: str, error: type[psycopg.Error]) -> psycopg.errors.Diagnostic:
    with pytest.raises(error) as caught:
        await db.execute(sql)
    return caught.value.diag


MEMBERS = """select pg_describe_object(classid, objid, 0) from pg_depend
where deptype = 'e' and refobjid = (select oid from pg_extension where extname = 'tool') order by 1"""


def test_what_a_script_makes_belongs_to_the_extension() -> None:
    async def test(db: Db, other: Db, server: Server) -> None:
        assert (await refused(db, "create extension tool", errors.UndefinedObject)).message_hint is not None
        notices: list[str] = []
        db.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
        await db.execute("create extension tool version '1.0' cascade")
        assert notices == ['installing required extension "base"']
        assert [each for (each,) in await rows(db, MEMBERS)] == [
            "function tool_one()", "sequence tool_numbers", "table tool_settings", "type tool_kind", "type tool_pair",
            "view tool_view",
        ]  # fmt: skip
        kept = "select extconfig::regclass[]::text, extcondition from pg_extension where extname = 'tool'"
        assert await rows(db, kept) == [("{tool_settings}", ["where name <> 'own'"])]
        assert (await refused(db, "drop table tool_settings cascade", errors.DependentObjectsStillExist)).message_hint
        assert await rows(db, "select description from pg_description where classoid = 'pg_extension'::regclass") == [
            ("a base",), ("it's a tool",),
        ]  # fmt: skip
        diag = await refused(db, "drop extension base", errors.DependentObjectsStillExist)
        assert diag.message_detail == "extension tool depends on extension base"
        assert await rows(other, "select base_schema()") == [("public",)]
        await db.execute("create schema elsewhere")
        await refused(db, "alter extension base set schema elsewhere", errors.FeatureNotSupported)
        await db.execute("drop extension base cascade")
        assert await rows(db, "select count(*) from pg_class where relname like 'tool%'") == [(0,)]
        assert await rows(db, "select count(*) from pg_depend where deptype = 'e'") == [(0,)]

    served(test)


def test_an_extension_goes_from_version_to_version() -> None:
    async def test(db: Db, other: Db, server: Server) -> None:
        await db.execute("create extension base; create extension tool version '1.0'")
        await db.execute("alter extension tool update")
        assert await rows(db, "select tool_one(), tool_two(), extversion from pg_extension where extname = 'tool'") == [
            (11, 2, "1.1")
        ]
        assert ("function tool_two()",) in await rows(db, MEMBERS)
        assert ("function tool_one()",) in await rows(db, MEMBERS)
        await db.execute("create function stranger() returns int language sql return 0")
        diag = await refused(db, "alter extension tool update to '1.2'", errors.ObjectNotInPrerequisiteState)
        assert diag.message_primary == 'function stranger() is not a member of extension "tool"'
        assert await rows(db, "select stranger(), extversion from pg_extension where extname = 'tool'") == [(0, "1.1")]
        paths = await rows(db, "select * from pg_extension_update_paths('tool') where path is not null order by 1, 2")
        assert paths == [("1.0", "1.1", "1.0--1.1"), ("1.0", "1.2", "1.0--1.1--1.2"), ("1.1", "1.2", "1.1--1.2")]
        versions = "select version, installed, requires from pg_available_extension_versions where name = 'tool'"
        assert await rows(db, f"{versions} order by 1") == [
            ("1.0", False, ["base"]), ("1.1", True, ["base"]), ("1.2", False, ["base"]),
        ]  # fmt: skip

    served(test)


def test_a_circle_of_requirements_is_refused() -> None:
    async def test(db: Db, other: Db, server: Server) -> None:
        diag = await refused(db, "create extension ring cascade", errors.InvalidRecursion)
        assert diag.message_primary == 'cyclic dependency detected between extensions "ring" and "ring2"'
        assert await rows(db, "select count(*) from pg_extension") == [(0,)]

    served(test)


def test_other_sessions_see_it_when_it_is_committed() -> None:
    async def test(db: Db, other: Db, server: Server) -> None:
        await refused(other, "select uuid_nil()", errors.UndefinedFunction)
        await db.execute('begin; create extension "uuid-ossp"')
        await refused(other, "select uuid_nil()", errors.UndefinedFunction)
        await db.execute("commit")
        assert len(await rows(other, "select uuid_nil()")) == 1
        await db.execute('begin; savepoint a; drop extension "uuid-ossp"')
        await refused(db, "select uuid_nil()", errors.UndefinedFunction)
        await db.execute("rollback to a")
        assert len(await rows(db, "select uuid_nil()")) == 1
        await db.execute('drop extension "uuid-ossp"; rollback')
        assert len(await rows(other, "select uuid_nil()")) == 1
        await db.execute('drop extension "uuid-ossp"')
        await refused(other, "select uuid_nil()", errors.UndefinedFunction)
        assert await rows(db, "select count(*) from pg_proc where prosrc = 'uuid_nil'") == [(0,)]

    served(test)


def test_a_script_that_fails_leaves_nothing() -> None:
    async def test(db: Db, other: Db, server: Server) -> None:
        await db.execute("create role plain; grant create on database postgres to plain")
        await other.execute("set role plain")
        for session, role in ((db, "postgres"), (other, "plain")):
            await session.execute("set client_min_messages = 'log'")
            await refused(session, "create extension broken", errors.DuplicateTable)
            assert await rows(session, "select count(*) from pg_extension") == [(0,)]
            shown = "select current_setting('search_path'), current_setting('client_min_messages'), current_user"
            assert await rows(session, shown) == [('"$user", public', "log", role)]
            await session.execute("create temp table mine (a int)")
            assert await rows(session, "select count(*) from pg_depend where deptype = 'e'") == [(0,)]

    served(test)


def test_a_trusted_extension_belongs_to_who_made_it_and_its_objects_to_a_superuser() -> None:
    async def test(db: Db, plain: Db, server: Server) -> None:
        await db.execute("create role plain")
        await plain.execute("set role plain")
        diag = await refused(plain, "create extension citext", errors.InsufficientPrivilege)
        assert diag.message_hint == "Must have CREATE privilege on current database to create this extension."
        await db.execute("grant create on database postgres to plain")
        await plain.execute("create extension citext")
        assert await rows(plain, "select extowner::regrole::text from pg_extension") == [("plain",)]
        assert await rows(plain, "select typowner::regrole::text from pg_type where typname = 'citext'") == [
            ("postgres",)
        ]
        assert await rows(plain, "select 'A'::citext = 'a'") == [(True,)]
        await refused(plain, "drop function citext_eq(citext, citext)", errors.InsufficientPrivilege)
        await refused(plain, "drop role plain", errors.InsufficientPrivilege)
        diag = await refused(db, "drop role plain", errors.DependentObjectsStillExist)
        assert "owner of extension citext" in (diag.message_detail or "")
        await plain.execute("drop extension citext")
        await plain.execute("create extension modest")
        assert await rows(plain, "select modest_place.modest_user()") == [("plain",)]
        owner = "select proowner::regrole::text from pg_proc where proname = 'modest_user'"
        assert await rows(plain, owner) == [("plain",)]
        await db.execute("drop owned by plain; drop role plain")
        assert await rows(db, "select count(*) from pg_extension") == [(0,)]

    served(test)


def test_a_reader_uses_what_the_writer_has_made() -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        engine.databases.sessions = lambda: list(server.sessions.values())
        writer = await connect(server)
        await writer.execute("create extension citext; create table t (a citext primary key)")
        await writer.execute("insert into t values ('One')")
        await writer.close()
        engine.in_recovery = True
        reader = await connect(server)
        assert await rows(reader, "select a from t where a = 'oNE'") == [("One",)]
        for sql in ("create extension pgcrypto", "alter extension citext update", "drop extension citext"):
            await refused(reader, sql, errors.ReadOnlySqlTransaction)

    serve_engine(body)


def test_what_a_member_goes_with_takes_the_extension_along() -> None:
    async def test(db: Db, other: Db, server: Server) -> None:
        await db.execute("create extension base; create extension tool; create schema own")
        await db.execute("create type own.t as (a int); create function public.of_t(own.t) returns int return 1")
        await db.execute("alter extension tool add function public.of_t(own.t)")
        diag = await refused(db, "drop type own.t", errors.DependentObjectsStillExist)
        assert diag.message_detail == "extension tool depends on type own.t"
        await db.execute("alter extension tool drop function public.of_t(own.t); drop schema own cascade")
        assert await rows(db, "select count(*) from pg_extension") == [(2,)]

    served(test)


def test_plpgsql_of_a_dump_is_passed_over_with_a_warning() -> None:
    async def test(db: Db, other: Db, server: Server) -> None:
        told: list[tuple[str | None, str | None]] = []
        db.add_notice_handler(lambda notice: told.append((notice.severity, notice.message_primary)))
        await db.execute("create extension if not exists plpgsql with schema pg_catalog")
        assert told == [("WARNING", 'extension "plpgsql" is not available, skipping')]
        await refused(db, "create extension plpgsql", errors.FeatureNotSupported)

    served(test)


def test_hashes_of_blowfish_are_bcrypts() -> None:

    async def test(db: Db, other: Db, server: Server) -> None:
        await db.execute("create extension pgcrypto")
        known = "$2a$06$RQiOJ.3ELirrXwxIZY8q0OusTIuehfvOWb1sloIGcfkRVgt2LFfbi"
        assert await rows(db, f"select crypt('foo', '{known}'), crypt('foo', '{known[:29]}')") == [(known, known)]
        long = "$2a$04$RQiOJ.3ELirrXwxIZY8q0Or9EigV/TfQcYVI/PY8OHeWiUoJU9Gzu"
        assert await rows(db, f"select crypt(repeat('x', 100), '{long}')") == [(long,)]
        assert await rows(db, "select crypt('a', crypt('a', gen_salt('bf', 4))) like '$2a$04$%'") == [(True,)]
        for salt in ("$2a$06$RQiO", "$2a$3$RQiOJ.3ELirrXwxIZY8q0O", "$2a$32$RQiOJ.3ELirrXwxIZY8q0O"):
            diag = await refused(db, f"select crypt('foo', '{salt}')", errors.InvalidParameterValue)
            assert diag.message_primary == "invalid salt"

    served(test)


def test_the_setting_names_the_extensions() -> None:
    own = {path.parent.parent for path in controls.FOLDERS[0].glob("*/*.control")}
    there = [item.name for item in controls.available() if item.folder.parent in own]
    assert DEFINITIONS["rds.extensions"].boot == ", ".join(sorted([*there, "aurora_stat_utils"]))
