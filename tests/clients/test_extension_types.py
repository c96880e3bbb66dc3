"""Types of extensions as drivers and pg_dump use them: psycopg's and asyncpg's codecs of hstore, a schema dumped and
restored, what a reader sees of it."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg.types import TypeInfo
from psycopg.types.hstore import register_hstore

from aurora.programs.supervisor import LOOPBACK, Cluster
from tests.conftest import needs

pytestmark = pytest.mark.cluster

VALUES: list[dict[str, str | None] | None] = [
    {}, {"a": "1", "b": None}, {'q"u\\o': "ü, =>", "": "", "null": "NULL"}, {str(n): "x" * n for n in range(200)}, None,
]  # fmt: skip


@pytest.fixture(scope="module")
def database(shared_cluster: Cluster) -> Iterator[str]:
    """A database with the extensions."""
    with psycopg.connect(shared_cluster.dsn(), autocommit=True) as db:
        db.execute("CREATE DATABASE extension_types")
        dsn = f"{shared_cluster.dsn()} dbname=extension_types"
        with psycopg.connect(dsn, autocommit=True) as inside:
            inside.execute("CREATE SCHEMA ext")
            inside.execute("CREATE EXTENSION hstore SCHEMA ext")
        yield dsn
        db.execute("DROP DATABASE extension_types WITH (FORCE)")


def _type_info(db: psycopg.Connection[Any]) -> TypeInfo:
    found = TypeInfo.fetch(db, "ext.hstore")
    assert found is not None
    return found


def test_psycopg_hstore(database: str) -> None:
    with psycopg.connect(database, autocommit=True, options="-c search_path=public,ext") as db:
        info = _type_info(db)
        register_hstore(info, db)
        db.execute("CREATE TABLE of_psycopg (id serial, h hstore)")
        for each in VALUES:
            db.execute("INSERT INTO of_psycopg (h) VALUES (%s)", (each,))
            db.execute("INSERT INTO of_psycopg (h) VALUES (%t)", (each,))
        wanted = [(each,) for each in VALUES for _ in range(2)]
        assert db.execute("SELECT h FROM of_psycopg ORDER BY id").fetchall() == wanted
        with db.cursor().copy("COPY of_psycopg (h) TO STDOUT (FORMAT binary)") as copy:
            data = b"".join(copy)
        with db.cursor().copy("COPY of_psycopg (h) FROM STDIN (FORMAT binary)") as copy:
            copy.write(data)
        assert db.execute("SELECT h FROM of_psycopg ORDER BY id").fetchall() == wanted * 2
        found = db.execute("SELECT count(*) FROM of_psycopg WHERE h @> %s", ({"a": "1"},)).fetchone()
        assert found == (4,)
        assert db.execute("SELECT array_agg(h ORDER BY id) FROM of_psycopg WHERE id < 5").fetchone() == (
            [{}, {}, {"a": "1", "b": None}, {"a": "1", "b": None}],
        )


def test_asyncpg_hstore(shared_cluster: Cluster, database: str) -> None:
    async def run() -> None:
        db = await asyncpg.connect(
            host=LOOPBACK, port=shared_cluster.writer.port, user="postgres", database="extension_types",
            server_settings={"search_path": "public, ext"},
        )  # fmt: skip
        try:
            await db.set_builtin_type_codec("hstore", schema="ext", codec_name="pg_contrib.hstore")
            await db.execute("CREATE TABLE of_asyncpg (id serial, h hstore)")
            for each in VALUES:
                await db.execute("INSERT INTO of_asyncpg (h) VALUES ($1)", each)
            assert [row["h"] for row in await db.fetch("SELECT h FROM of_asyncpg ORDER BY id")] == VALUES
            assert await db.fetchval("SELECT $1::hstore -> 'b'", {"b": "5"}) == "5"
            await db.copy_records_to_table("of_asyncpg", records=[({"k": "v"},)], columns=["h"])
            assert await db.fetchval("SELECT h FROM of_asyncpg ORDER BY id DESC LIMIT 1") == {"k": "v"}
        finally:
            await db.close()

    asyncio.run(run())


SCHEMA = """
create table kept (
    id int primary key, h ext.hstore default 'a=>1', c text generated always as (h operator(ext.->) 'c'::text) stored,
    check (not h operator(ext.?) 'bad')
);
insert into kept values (1, 'x=>"y z", n=>NULL'), (2, 'c=>d'), (3, null), (4, default);
create index kept_gin on kept using gin (h);
create index kept_gist on kept using gist (h ext.gist_hstore_ops (siglen='40'));
create unique index kept_btree on kept (h);
create index kept_hash on kept using hash (h);
create domain with_a as ext.hstore check (value operator(ext.?) 'a');
create view kept_view as select id, h['x'] as x from kept;
create materialized view kept_made as select ext.hstore(kept.*) as h from kept;
create table tree (p ext.ltree primary key, several ext.ltree[], q ext.lquery default 'a.*{2}', w ext.ltxtquery);
insert into tree values ('a', '{a.b,c}', '*.b|c%', 'a & !(b | c)'), ('a.b', '{}', default, null),
  ('a.b.c', null, default, null);
create index tree_gist on tree using gist (p ext.gist_ltree_ops (siglen='16'), several);
create view tree_view as select p, p operator(ext.<@) 'a.b' as below from tree;
create view pivot as select * from ext.crosstab2('select 1::text, 2::text, ''x''::text') c;
"""
SHOWN = (
    "select * from kept order by id", "select * from kept_view order by id", "select * from kept_made order by 1",
    "select * from tree_view order by 1", "select p, several, q::text, w::text from tree order by 1", "table pivot",
    "select indexdef from pg_indexes where schemaname = 'public' order by 1",
    "select extname, extversion, nspname from pg_extension e join pg_namespace n on n.oid = extnamespace order by 1",
)  # fmt: skip


def _command(*words: str, text: str | None = None) -> str:
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


def _shown(dsn: str) -> list[list[Any]]:
    with psycopg.connect(dsn) as db:
        return [db.execute(each).fetchall() for each in SHOWN]


@needs("psql")
@needs("pg_dump")
def test_a_schema_is_dumped_and_restored(shared_cluster: Cluster, database: str) -> None:
    with psycopg.connect(shared_cluster.dsn(), autocommit=True) as db:
        for name in ("extension_source", "extension_copy"):
            db.execute(f"CREATE DATABASE {name}")
        source, copy = (f"{shared_cluster.dsn()} dbname=extension_{name}" for name in ("source", "copy"))
        try:
            with psycopg.connect(source, autocommit=True) as inside:
                inside.execute("CREATE SCHEMA ext")
                for name in ("hstore", "ltree", "tablefunc"):
                    inside.execute(f"CREATE EXTENSION {name} SCHEMA ext")
                inside.execute(SCHEMA)
            _command("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", copy, text=_command("pg_dump", "-d", source))
            assert _shown(copy) == _shown(source)
            assert (
                _command("pg_dump", "-s", "-d", copy).splitlines()[5:-3]
                == (_command("pg_dump", "-s", "-d", source).splitlines()[5:-3])
            )
        finally:
            for name in ("extension_source", "extension_copy"):
                db.execute(f"DROP DATABASE {name} WITH (FORCE)")
