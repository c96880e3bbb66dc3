"""Several databases of one volume: copies of pages, catalogs and locks of their own, crashes in the middle."""

from __future__ import annotations

from typing import Any

import pytest
from support_catalog import Session, in_greenlet, open_databases

from aurora.errors import SqlError
from compute_node.access.memory_volume import MemoryVolume
from compute_node.catalog.databases import Databases
from compute_node.session.transactions import IDLE, IN_BLOCK


def session(databases: Databases, name: str = "postgres", pid: int = 1) -> Session:
    """A session that is connected to a database, outside a transaction block."""
    record = databases.catalog.database(name)
    assert record is not None
    made: Session = databases.engine(record.oid).session(pid)
    made.database = name
    made.block = IDLE
    made.pipelined = made.commit_at_once = False  # type: ignore[attr-defined]
    return made


def cut_off(volume: Any) -> MemoryVolume:
    """The volume as a writer finds it that starts after a crash now."""
    volume.advance()
    after = MemoryVolume()
    after.pages = {page_no: bytearray(page) for page_no, page in volume.pages.items()}
    after.log = type(volume.log)(volume.vdl + 1000, volume.vdl, 512, dict(volume.pg_last))
    after.vdl = volume.vdl
    after.pg_last = dict(volume.pg_last)
    return after


def test_a_copy_has_everything_and_is_its_own() -> None:
    def body() -> None:
        databases = open_databases()
        one = session(databases)
        one.run("create database src")
        src = session(databases, "src")
        src.run("create type mood as enum ('sad', 'ok')")
        src.run("create table t (a int primary key, b text, m mood)")
        src.run("insert into t select i, repeat('x', i * 8), 'ok' from generate_series(1, 300) i")
        src.run("create index on t (b)")
        src.run("create view v as select a, m from t where a > 298")
        src.run("delete from t where a = 5")
        src.run("create table big as select string_agg(md5(i::text), '') as v from generate_series(1, 3000) i")
        one.run("create database copy template src")
        copy = session(databases, "copy")
        assert copy.run("select count(*), sum(length(b)) from t") == src.run("select count(*), sum(length(b)) from t")
        assert copy.run("select a from t where b = repeat('x', 80)") == [(10,)]
        assert copy.run("select a from v order by a") == [(299,), (300,)]
        assert copy.run("select 't'::regclass::oid") == src.run("select 't'::regclass::oid")
        src.run("drop table big")
        assert copy.run("select length(v), right(v, 32) = md5('3000') from big") == [(96000, True)]
        copy.run("insert into t values (1000, 'new', 'sad')")
        copy.run("alter table t add column c int default 7")
        src.run("drop view v")
        assert src.run("select count(*) from t") == [(299,)]
        assert copy.run("select count(*), sum(c) from t") == [(300, 2100)]
        assert copy.run("select count(*) from v") == [(3,)]

    in_greenlet(body)


def test_locks_and_names_belong_to_a_database() -> None:
    def body() -> None:
        databases = open_databases()
        one = session(databases)
        one.run("create database src")
        session(databases, "src").run("create table t (a int)")
        one.run("create database copy template src")
        first, second = session(databases, "src", 2), session(databases, "copy", 3)
        first.begin()
        first.block = IN_BLOCK
        first.run("lock table t in access exclusive mode")
        second.run("insert into t values (1)")
        second.run("truncate t")
        first.rollback()
        with pytest.raises(SqlError) as caught:
            one.run("select * from t")
        assert caught.value.sqlstate == "42P01"

    in_greenlet(body)


def test_shared_catalogs_are_everybodys_at_once() -> None:
    def body() -> None:
        databases = open_databases()
        one = session(databases)
        one.run("create database other")
        other = session(databases, "other")
        assert other.run("select count(*) from pg_roles where rolname = 'bob'") == [(0,)]
        one.run("create role bob")
        other.run("alter role bob createdb")
        assert one.run("select rolcreatedb from pg_roles where rolname = 'bob'") == [(True,)]
        one.run("create database third")
        assert other.run("select count(*) from pg_database") == [(5,)]

    in_greenlet(body)


def test_a_transaction_that_is_rolled_back_leaves_nothing() -> None:
    def body() -> None:
        databases = open_databases()
        storage = databases.storage
        one = session(databases)
        one.run("create database first")
        files = set(storage.extents.files)
        one.begin()
        one.run("create database second template first")
        assert len(storage.extents.files) > len(files) + 100
        one.rollback()
        assert set(storage.extents.files) == files
        assert databases.catalog.database("second") is None
        one.run("drop database first")
        one.run("create database second")
        assert session(databases, "second").run("select count(*) from pg_class where oid >= 16384") == [(0,)]

    in_greenlet(body)


@pytest.mark.parametrize("statement", ["create database second template first", "drop database first"])
def test_a_crash_before_the_commit_leaves_nothing(statement: str) -> None:
    def body() -> None:
        databases = open_databases()
        storage = databases.storage
        one = session(databases)
        one.run("create database first")
        session(databases, "first").run("create table t (a int); insert into t values (1), (2)")
        files = set(storage.extents.files)
        one.begin()
        one.run(statement)
        volume = cut_off(storage.volume)
        one.rollback()
        after = open_databases(volume)
        again = after.storage
        assert set(again.extents.files) == files
        assert after.catalog.database("second") is None
        assert session(after, "first").run("select sum(a) from t") == [(3,)]
        session(after).run("create database second template first")
        assert session(after, "second").run("select sum(a) from t") == [(3,)]

    in_greenlet(body)


def test_a_restart_finds_the_databases() -> None:
    def body() -> None:
        databases = open_databases()
        session(databases).run("create database first")
        first = session(databases, "first")
        first.run("create table t (a int primary key); insert into t values (7)")
        files = sorted(databases.files(databases.catalog.database("first").oid))  # type: ignore[union-attr]
        after = open_databases(cut_off(databases.storage.volume))
        assert session(after, "first").run("select a from t") == [(7,)]
        assert sorted(after.files(after.catalog.database("first").oid)) == files  # type: ignore[union-attr]
        session(after).run("drop database first")
        assert not set(files) & set(after.storage.extents.files)

    in_greenlet(body)


def test_vacuum_finds_the_tables_of_every_database() -> None:
    def body() -> None:
        databases = open_databases()
        session(databases).run("create database first")
        first = session(databases, "first")
        first.run("create table t (a int); insert into t select generate_series(1, 100)")
        record = databases.catalog.database("first")
        assert record is not None
        after = open_databases(cut_off(databases.storage.volume))
        names = {
            table.desc.name: table.desc.database
            for relfile in databases.files(record.oid)
            if (table := after.table_of(relfile)) is not None
        }
        assert names["t"] == names["pg_class"] == record.oid
        assert "pg_authid" not in names

    in_greenlet(body)
