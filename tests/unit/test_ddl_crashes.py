"""A crash after any mini-transaction of a DDL statement leaves all of it or nothing: what the catalogs show is as
before or as after, nothing is half there, and ``aurora_check()`` is content.

The statement runs on a volume that keeps its log. Each crash point is a consistency point of that log: what is below it
is durable, what is above is lost, as recovery's truncation leaves it.
"""

from __future__ import annotations

import asyncio
import copy
import os
import random
from typing import Any

import psycopg
import pytest
from support_server import CountingEngine
from test_session_protocol import connect
from wire_fakes import CLIENTS, FakeRoles, fake_clock

from aurora.kernels import arena as arena_kernel
from aurora.kernels import mtr as mtr_kernel
from compute_node.access.memory_volume import MemoryVolume
from compute_node.access.storage import Storage
from compute_node.catalog.bootstrap import install
from compute_node.catalog.databases import Databases
from compute_node.hub import HUB
from compute_node.wire.server import Server, WireConfig

SETUP = """
create table t (id int primary key, k text, n int, long text);
insert into t select i, 'k' || i % 50, i, case when i % 200 = 0 then repeat('x', 9000) end
from generate_series(1, 900) i;
create table c (ref int references t, note text);
insert into c select i, 'n' from generate_series(1, 300) i;
create view v as select id, k from t;
create sequence q;
create schema s;
create table s.a (x int primary key, y text);
create table s.b (x int references s.a);
create foreign data wrapper w;
create server w1 foreign data wrapper w;
create foreign table s.f (x int, y text) server w1;
"""
STATEMENTS = [
    "create table new (id serial primary key, ref int references t, v text check (v <> ''), w text unique)",
    "create index on t (k, n)",
    "create index on t using hash (k)",
    "create index on t using gin ((array[n, n % 7, n % 50]))",
    "create index on t using gist (box(point(n, n % 30), point(n % 90, n)))",
    "create index on t using spgist (k)",
    "create index on t using brin (id, k text_bloom_ops (n_distinct_per_range = 60)) with (pages_per_range = 1)",
    "create index on t using brin (n int4_minmax_multi_ops) with (pages_per_range = 1); reindex table t",
    "alter table t add column span int4range default null, add exclude using gist (int4range(n, n + 1) with &&)",
    "alter table t add column extra int not null default (random() * 100)::int",
    "alter table t alter column n type text using n::text || 'x'",
    "alter table t add constraint large check (n >= 0), add unique (n)",
    "alter table t drop column k cascade",
    "alter table c drop constraint c_ref_fkey, add foreign key (ref) references t on delete cascade",
    "truncate t, c restart identity",
    "create table copied as select * from t where n > 100",
    "reindex table t",
    "vacuum full t",
    "cluster t using t_pkey",
    "drop table t cascade",
    "drop schema s cascade",
    "create type mood as enum ('sad', 'happy')",
    "alter table t rename to renamed; alter table renamed set schema s",
    "create foreign table new (id serial options (a '1') not null check (id > 0), y text) server w1 options (b '2')",
    "drop foreign data wrapper w cascade",
    "create database other",
    "create rule also as on insert to t do also (insert into c values (new.n, new.k); notify said)",
    "create publication p for table t (id, n) where (n > 1), c; alter publication p set (publish = 'insert')",
]
POINTS = int(os.environ.get("AURORA_DDL_CRASHES", "2"))
"""Crash points of a statement, besides those around its commit"""
SHOWN = """
select 'relation', n.nspname || '.' || relname, relkind::text, relnatts::text from pg_class c join pg_namespace n
on n.oid = relnamespace where nspname in ('public', 's') union all
select 'storage', relname::text, relfilenode::text, '' from pg_class where oid >= 16384 union all
select 'column', attrelid::regclass::text, attname::text, atttypid::regtype::text from pg_attribute join pg_class c
on c.oid = attrelid where c.oid >= 16384 and attnum > 0 and c.relnamespace in
('public'::regnamespace, to_regnamespace('s')) union all
select 'constraint', conname::text, conrelid::regclass::text, pg_get_constraintdef(oid) from pg_constraint
where oid >= 16384 union all
select 'type', typname::text, typtype::text, '' from pg_type where typname = 'mood' union all
select 'schema', nspname::text, '', '' from pg_namespace where oid >= 16384 and nspname !~ '^pg_' union all
select 'wrapper', fdwname::text, '', '' from pg_foreign_data_wrapper union all
select 'server', srvname::text, '', '' from pg_foreign_server union all
select 'foreign table', ftrelid::regclass::text, ftoptions::text, '' from pg_foreign_table union all
select 'rule', rulename::text, ev_class::regclass::text, pg_get_ruledef(oid) from pg_rewrite where oid >= 16384
union all
select 'published', p.pubname::text, r.prrelid::regclass::text, concat(r.prqual, r.prattrs, p.pubupdate)
from pg_publication p left join pg_publication_rel r on r.prpubid = p.oid union all
select 'database', datname::text, '', '' from pg_database order by 1, 2, 3, 4
"""
ROWS = "select count(*), sum(length(x::text)) from {} x"
CHECK = (
    "select f.* from pg_class c, lateral aurora_check_relation(c.oid) f where relkind in ('r', 'S') and"
    " (c.oid >= 16384 or relname in ('pg_class', 'pg_attribute', 'pg_depend', 'pg_index', 'pg_constraint', 'pg_type'))"
)


class Recording(MemoryVolume):
    """Keeps the log and its consistency points."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []
        self.cpls: list[int] = []

    def _take(self) -> None:
        before, cpls = {id(each) for each in self._records}, len(self._cpls)
        super()._take()
        self.records += [each for each in self._records if id(each) not in before]
        self.cpls += self._cpls[cpls:]


def cut(base: MemoryVolume, records: list[Any], upto: int) -> MemoryVolume:
    """What a crash leaves when the log is durable up to ``upto``."""
    left = MemoryVolume()
    left.pages, left.pg_last = copy.deepcopy(base.pages), dict(base.pg_last)
    left._records = [each for each in records if each[0] <= upto]
    left._apply(upto)
    left.vdl = type(base.vdl)(upto)
    left.log = mtr_kernel.RedoLog(upto + 20_000_000, upto, 512, left.pg_last)
    return left


async def served(volume: MemoryVolume, test: Any) -> Any:
    """``await test(connection)`` of a server on this volume."""
    HUB.bind(asyncio.get_running_loop())

    def open_engine() -> CountingEngine:
        storage = Storage(arena_kernel.Arena(4096), volume)
        databases = Databases(storage, lambda catalogs: CountingEngine(storage, catalogs))
        databases.restore_prepared()
        storage.reclaim(storage.orphans())
        engine: CountingEngine = databases.initial
        engine.catalog.warm()
        return engine

    server = Server(await HUB.call(open_engine), FakeRoles(), WireConfig(port=0), fake_clock)
    await server.start()
    try:
        db = await connect(server)
        return await test(db)
    finally:
        for close in CLIENTS:
            await close()
        CLIENTS.clear()
        await server.shutdown(1.0)


async def shown(db: psycopg.AsyncConnection[Any]) -> list[Any]:
    """What catalogs say, and the rows of the tables."""
    found = await (await db.execute(SHOWN)).fetchall()
    tables = [name for kind, name, relkind, _ in found if kind == "relation" and relkind == "r"]
    for name in tables:
        found += [(name, *row) for row in await (await db.execute(ROWS.format(name))).fetchall()]
    return found


@pytest.mark.parametrize("statement", STATEMENTS, ids=[each[:40] for each in STATEMENTS])
def test_a_crash_leaves_all_or_nothing(statement: str) -> None:
    volume = Recording()
    install(volume)

    async def run(db: psycopg.AsyncConnection[Any]) -> tuple[Any, ...]:
        await db.execute(SETUP)
        await db.execute("vacuum analyze")
        volume.advance()
        base = copy.copy(volume)
        base.pages, base.pg_last = copy.deepcopy(volume.pages), dict(volume.pg_last)
        before, at, records = await shown(db), volume.vdl, len(volume.records)
        await db.execute(statement)
        volume.advance()
        return base, before, at, volume.records[records:], await shown(db)

    base, before, at, records, after = asyncio.run(served(volume, run))
    cpls = sorted(lsn for lsn in volume.cpls if lsn > at)
    assert len(cpls) > 3
    rng = random.Random(statement)
    points = sorted({*rng.sample(cpls, min(POINTS, len(cpls))), *cpls[-2:]})
    seen = []

    async def look(db: psycopg.AsyncConnection[Any]) -> None:
        found = await shown(db)
        assert found in (before, after), "half of it is there"
        seen.append(found == after)
        assert await (await db.execute(CHECK)).fetchall() == []
        if upto == points[len(points) // 2]:
            assert await (await db.execute("select * from aurora_check()")).fetchall() == []
        await db.execute("create table again (a int primary key); insert into again values (1)")

    for upto in points:
        asyncio.run(served(cut(base, records, upto), look))
    assert seen == sorted(seen), "what was durable is gone later"
    assert seen[-1]


CONCURRENT = [
    "create unique index concurrently made on t (n)",
    "create index concurrently made on t using hash (k)",
    "create index concurrently made on t using gin ((array[n, n % 7]))",
    "create index concurrently made on t using gist (box(point(n, n % 30), point(n % 90, n)))",
    "create index concurrently made on t using brin (n) with (pages_per_range = 1)",
    "reindex index concurrently t_pkey",
    "reindex table concurrently s.a",
    "drop index concurrently old",
]
FLAGS = """
select relname::text, indisvalid, indisready, indislive from pg_index join pg_class c on c.oid = indexrelid
where c.oid >= 16384 and indrelid in ('t'::regclass, 's.a'::regclass) order by 1
"""
USED = "select count(*) from t where n between 100 and 199"


@pytest.mark.parametrize("statement", CONCURRENT)
def test_a_crash_of_one_beside_writers_leaves_an_index_that_can_be_mended(statement: str) -> None:
    """Between its parts, and within them: the table and its other indexes are whole, what is not valid is not used,
    takes new rows if it is ready, and goes by DROP INDEX or becomes valid by REINDEX."""
    volume = Recording()
    install(volume)

    async def run(db: psycopg.AsyncConnection[Any]) -> tuple[Any, ...]:
        await db.execute(SETUP)
        await db.execute("create index old on t (n); insert into s.a select i, i from generate_series(1, 300) i")
        await db.execute("vacuum analyze")
        volume.advance()
        base = copy.copy(volume)
        base.pages, base.pg_last = copy.deepcopy(volume.pages), dict(volume.pg_last)
        at, records = volume.vdl, len(volume.records)
        await db.execute(statement)
        volume.advance()
        return base, at, volume.records[records:], await (await db.execute(FLAGS)).fetchall()

    base, at, records, after = asyncio.run(served(volume, run))
    assert all(valid and ready and live for _, valid, ready, live in after)
    cpls = sorted(lsn for lsn in volume.cpls if lsn > at)
    rng = random.Random(statement)
    points = sorted({*rng.sample(cpls[:-1], min(POINTS + 2, len(cpls) - 1)), cpls[-1]})
    states: set[tuple[Any, ...]] = set()

    async def look(db: psycopg.AsyncConnection[Any]) -> None:
        found = await (await db.execute(FLAGS)).fetchall()
        states.add(tuple(each for each in found if not all(each[1:])))
        assert await (await db.execute(CHECK)).fetchall() == []
        await db.execute("update t set n = n + 1000 where n = 150; insert into t values (901, 'k', 150)")
        await db.execute("set enable_seqscan = off")
        assert await (await db.execute(USED)).fetchone() == (100,)
        for number, (name, *flags) in enumerate(found):
            if all(flags):
                continue
            schema = "s" if name.startswith("a_") else "public"
            verb = "drop" if (upto + number) % 2 or name.endswith("ccnew") or not flags[2] else "reindex"
            await db.execute(f"{verb} index {schema}.{name}")
        assert all(all(each[1:]) for each in await (await db.execute(FLAGS)).fetchall())
        assert await (await db.execute(USED)).fetchone() == (100,)
        if upto == points[len(points) // 2]:
            assert await (await db.execute("select * from aurora_check()")).fetchall() == []

    for upto in points:
        asyncio.run(served(cut(base, records, upto), look))
    assert any(states), "no crash was between the parts"
