"""DDL statements against what PostgreSQL 15 answers: tags, errors with SQLSTATE, notices, and their effects."""

from __future__ import annotations

from typing import Any

import pytest
from support_catalog import Engine, Session, in_greenlet

from aurora.errors import SqlError
from compute_node.catalog.ddl import kept_texts, objects

_ENGINES: list[Engine] = []


def run(*statements: str, expect: str | None = None) -> Any:
    """Run statements in one transaction that is rolled back; the last one's result, or its (SQLSTATE, message)."""

    def body() -> Any:
        if not _ENGINES:
            _ENGINES.append(Engine())
        session = _ENGINES[0].session()
        session.begin()
        result: Any = None
        try:
            for statement in statements:
                session.notices.clear()
                session.details.clear()
                result = session.run(statement)
        except SqlError as error:
            if statement != statements[-1]:
                raise
            return error.sqlstate, error.message, error.detail, error.hint
        finally:
            session.rollback()
        return result, [text for _, text in session.notices], list(session.details)

    return in_greenlet(body)


T = "create table t (a int, b int)"


@pytest.mark.parametrize(
    ("statements", "sqlstate", "message"),
    [
        (["create table t(a int, a int)"], "42701", 'column "a" specified more than once'),
        (
            ["create table t(a int primary key, b int, primary key (b))"],
            "42P16",
            'multiple primary keys for table "t" are not allowed',
        ),
        (
            ["create table t(a int default 'x'::text)"],
            "42804",
            'column "a" is of type integer but default expression is of type text',
        ),
        (["create table t(a int default b)"], "0A000", "cannot use column reference in DEFAULT expression"),
        (["create table t(a int check (z > 0))"], "42703", 'column "z" does not exist'),
        (["create table t(a int check (a))"], "42804", "argument of CHECK must be type boolean, not type integer"),
        (["create table t(a int, unique (zz))"], "42703", 'column "zz" named in key does not exist'),
        (
            ["create table t(a int not null null)"],
            "42601",
            'conflicting NULL/NOT NULL declarations for column "a" of table "t"',
        ),
        (
            ["create table t(a int default 1 default 2)"],
            "42601",
            'multiple default values specified for column "a" of table "t"',
        ),
        (["create table t(a nope)"], "42704", 'type "nope" does not exist'),
        (["create table t(a int) with (foo=1)"], "22023", 'unrecognized parameter "foo"'),
        (["create table t(a int) with (fillfactor=1)"], "22023", 'value 1 out of bounds for option "fillfactor"'),
        (["create table t(a int) tablespace nope"], "42704", 'tablespace "nope" does not exist'),
        (["create table t(ctid int)"], "42701", 'column name "ctid" conflicts with a system column name'),
        ([T, T], "42P07", 'relation "t" already exists'),
        (["create table nope.t(a int)"], "3F000", 'schema "nope" does not exist'),
        (["drop table x"], "42P01", 'table "x" does not exist'),
        (["drop schema x"], "3F000", 'schema "x" does not exist'),
        (["drop index x"], "42704", 'index "x" does not exist'),
        (["drop view x"], "42P01", 'view "x" does not exist'),
        (["drop table pg_class"], "42501", 'permission denied: "pg_class" is a system catalog'),
        ([T, "drop view t"], "42809", '"t" is not a view'),
        (["alter table nope add primary key (a)"], "42P01", 'relation "nope" does not exist'),
        (
            ["create table t(a int primary key, b int)", "alter table t add primary key (b)"],
            "42P16",
            'multiple primary keys for table "t" are not allowed',
        ),
        (
            [T, "insert into t values (null)", "alter table t alter a set not null"],
            "23502",
            'column "a" of relation "t" contains null values',
        ),
        (
            [T, "insert into t values (null)", "alter table t add primary key (a)"],
            "23502",
            'column "a" of relation "t" contains null values',
        ),
        (
            [T, "insert into t values (1), (1)", "create unique index i on t(a)"],
            "23505",
            'could not create unique index "i"',
        ),
        (
            [T, "insert into t values (1)", "alter table t add check (a > 1)"],
            "23514",
            'check constraint "t_a_check" of relation "t" is violated by some row',
        ),
        (
            [T, "insert into t values (1)", "alter table t add c int not null"],
            "23502",
            'column "c" of relation "t" contains null values',
        ),
        ([T, "alter table t add a int"], "42701", 'column "a" of relation "t" already exists'),
        ([T, "alter table t drop column zz"], "42703", 'column "zz" of relation "t" does not exist'),
        ([T, "alter table t rename column q to r"], "42703", 'column "q" does not exist'),
        ([T, "alter table t rename column a to b"], "42701", 'column "b" of relation "t" already exists'),
        ([T, "create index on t(zz)"], "42703", 'column "zz" does not exist'),
        ([T, "alter table t drop constraint nope"], "42704", 'constraint "nope" of relation "t" does not exist'),
        (
            ["create table t(a int primary key)", "drop index t_pkey"],
            "2BP01",
            "cannot drop index t_pkey because constraint t_pkey on table t requires it",
        ),
        (
            [T, "create view v as select a from t", "drop table t"],
            "2BP01",
            "cannot drop table t because other objects depend on it",
        ),
        (
            [T, "create view v as select a from t", "alter table t drop column a"],
            "2BP01",
            "cannot drop column a of table t because other objects depend on it",
        ),
        (
            ["create schema s", "create table s.a(a int)", "drop schema s"],
            "2BP01",
            "cannot drop schema s because other objects depend on it",
        ),
        (["create schema pg_foo"], "42939", 'unacceptable schema name "pg_foo"'),
        (["create schema public"], "42P06", 'schema "public" already exists'),
        (["create role postgres"], "42710", 'role "postgres" already exists'),
        (["drop role nope"], "42704", 'role "nope" does not exist'),
        (["drop role postgres"], "55006", "current user cannot be dropped"),
        (["alter role nope login"], "42704", 'role "nope" does not exist'),
        (
            ["create view v as select 1 as a, 2 as b", "create or replace view v as select 1 as a"],
            "42P16",
            "cannot drop columns from view",
        ),
        (
            ["create view v as select 1 as a", "create or replace view v as select 1 as b"],
            "42P16",
            'cannot change name of view column "a" to "b"',
        ),
        (
            ["create view v as select 1 as a", "create or replace view v as select 'x'::text as a"],
            "42P16",
            'cannot change data type of view column "a" from integer to text',
        ),
        (["create view v as select 1 as a, 2 as a"], "42701", 'column "a" specified more than once'),
        (["create table t(a,b) as select 1"], "42601", "too many column names were specified"),
        (["create view v(a,b) as select 1"], "42601", "CREATE VIEW specifies more column names than columns"),
        ([T, "comment on column t.zz is 'x'"], "42703", 'column "zz" of relation "t" does not exist'),
        ([T, "create sequence t"], "42P07", 'relation "t" already exists'),
        (["drop sequence nope"], "42P01", 'sequence "nope" does not exist'),
        (["create database d"], "25001", "CREATE DATABASE cannot run inside a transaction block"),
        (
            [T, "create index on t using gist(a)"],
            "42704",
            'data type integer has no default operator class for access method "gist"',
        ),
        (
            [T, "alter table t add foreign key (a) references t(b)"],
            "42830",
            'there is no unique constraint matching given keys for referenced table "t"',
        ),
    ],
)
def test_error(statements: list[str], sqlstate: str, message: str) -> None:
    found = run(*statements)
    assert found[:2] == (sqlstate, message)


@pytest.mark.parametrize(
    ("statements", "tag", "notices"),
    [
        (["create table if not exists t(a int)"], "CREATE TABLE", []),
        ([T, "create table if not exists t(a int)"], "CREATE TABLE", ['relation "t" already exists, skipping']),
        (
            ["drop table if exists x, q.y"],
            "DROP TABLE",
            ['table "x" does not exist, skipping', 'schema "q" does not exist, skipping'],
        ),
        ([T, "create index i on t(a)", "create index if not exists i on t(b)"], "CREATE INDEX",
         ['relation "i" already exists, skipping']),
        ([T, "alter table t add column if not exists a int"], "ALTER TABLE",
         ['column "a" of relation "t" already exists, skipping']),
        ([T, "alter table t drop column if exists zz"], "ALTER TABLE",
         ['column "zz" of relation "t" does not exist, skipping']),
        (["create schema if not exists public"], "CREATE SCHEMA", ['schema "public" already exists, skipping']),
        (["drop role if exists nope"], "DROP ROLE", ['role "nope" does not exist, skipping']),
        ([T, "create view v as select a from t", "drop table t cascade"], "DROP TABLE", ["drop cascades to view v"]),
        (
            ["create schema s", "create table s.a(a int)", "create table s.b(a int)", "drop schema s cascade"],
            "DROP SCHEMA",
            ["drop cascades to 2 other objects"],
        ),
        ([T, "truncate t"], "TRUNCATE TABLE", []),
        ([T, "analyze t"], "ANALYZE", []),
        (["create table t as select 1 as a"], "SELECT 1", []),
        (["select 1 as a into t"], "SELECT 1", []),
        ([T, "comment on table t is 'x'"], "COMMENT", []),
        ([T, "lock table t in share mode"], "LOCK TABLE", []),
        (["alter system set work_mem = '8MB'"], "ALTER SYSTEM", []),
    ],
)  # fmt: skip
def test_tag_and_notices(statements: list[str], tag: str, notices: list[str]) -> None:
    found = run(*statements)
    assert found[:2] == (tag, notices)


@pytest.mark.parametrize(
    ("statements", "rows"),
    [
        (["create table t(a serial, b int)", "insert into t(b) values (5), (6)", "select * from t"], [(1, 5), (2, 6)]),
        (
            ["create table t(a int generated always as identity, b int)", "insert into t(b) values (5)", "table t"],
            [(1, 5)],
        ),
        ([T, "insert into t values (1, 2)", "alter table t add c int default 7", "select * from t"], [(1, 2, 7)]),
        (
            [T, "insert into t values (1, 2)", "alter table t add c varchar(3) default 'ab'", "insert into t values (3)",  # noqa: E501
             "select * from t"],
            [(1, 2, "ab"), (3, None, "ab")],
        ),
        (
            [T, "insert into t values (1), (2)", "create sequence s", "alter table t add c int default nextval('s')",
             "select a, c from t"],
            [(1, 1), (2, 2)],
        ),
        ([T, "insert into t values (1, 2)", "alter table t drop column a", "select * from t"], [(2,)]),
        (
            [T, "alter table t drop column a", "insert into t values (4)", "select * from t"],
            [(4,)],
        ),
        ([T, "insert into t values (1, 2)", "truncate t", "insert into t values (3, 4)", "select * from t"], [(3, 4)]),
        (
            ["create table t(a int primary key)", "insert into t values (1), (2)", "truncate t", "insert into t values (1)",  # noqa: E501
             "select * from t where a = 1"],
            [(1,)],
        ),
        ([T, "alter table t rename to u", "insert into u values (1, 2)", "select b from u"], [(2,)]),
        ([T, "alter table t rename column a to z", "insert into t values (1, 2)", "select z from t"], [(1,)]),
        (["create schema s", T, "alter table t set schema s", "select count(*) from s.t"], [(0,)]),
        (["create view v(x) as select 1 + 1", "select x from v"], [(2,)]),
        (
            ["create table t as select g as a from generate_series(1, 100) g", "create index on t(a desc)",
             "select count(*) from t where a = 50"],
            [(1,)],
        ),
        (["create sequence s start 5 increment 2", "select nextval('s'), nextval('s'), currval('s')"], [(5, 7, 7)]),
        (["create sequence s", "select setval('s', 41), nextval('s')"], [(41, 42)]),
        ([T, "alter table t alter a set default 9", "insert into t(b) values (1)", "select a from t"], [(9,)]),
        (["create table t(a int, b text default 'x''y')", "create table u (like t including all)",
          "insert into u values (1)", "select * from u"], [(1, "x'y")]),
        (["create temp table t(a int)", "insert into t values (1)", "select * from pg_temp.t"], [(1,)]),
        ([T, "comment on column t.b is 'hello'", "select col_description('t'::regclass, 2)"], [("hello",)]),
        (["create table t(a int primary key, b int unique)",
          "select conname, pg_get_constraintdef(oid) from pg_constraint where conrelid = 't'::regclass order by 1"],
         [("t_b_key", "UNIQUE (b)"), ("t_pkey", "PRIMARY KEY (a)")]),
        ([T, "create unique index i on t(a desc nulls last, b nulls first)", "select pg_get_indexdef('i'::regclass)"],
         [("CREATE UNIQUE INDEX i ON public.t USING btree (a DESC NULLS LAST, b NULLS FIRST)",)]),
        ([T, "insert into t select g, g from generate_series(1, 500) g", "analyze t",
          "select reltuples, relpages > 0 from pg_class where relname = 't'"], [(500.0, True)]),
        (["create table t(a int, b text default 'x', c varchar(4) default 'y', d bool default true)",
          "select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = 't'::regclass order by adnum"],
         [("'x'::text",), ("'y'::character varying",), ("true",)]),
    ],
)  # fmt: skip
def test_effect(statements: list[str], rows: list[tuple[Any, ...]]) -> None:
    assert run(*statements)[0] == rows


def test_details_and_hints() -> None:
    found = run(T, "create view v as select a from t", "drop table t")
    assert found[2:] == ("view v depends on table t", "Use DROP ... CASCADE to drop the dependent objects too.")
    found = run("create schema s", "create table s.a(a int)", "create table s.b(a int)", "drop schema s cascade")
    assert found[2] == ["drop cascades to table s.a\ndrop cascades to table s.b"]
    found = run("create table t(a int primary key)", "drop index t_pkey")
    assert found[3] == "You can drop constraint t_pkey on table t instead."


def _two() -> tuple[Engine, Session, Session]:
    engine = Engine()
    return engine, engine.session(1), engine.session(2)


def test_uncommitted_table_is_seen_by_its_transaction_alone() -> None:
    def body() -> None:
        engine, one, two = _two()
        version = engine.catalog.version
        one.begin()
        one.run("create table t(a int); insert into t values (1)")
        assert one.run("select * from t") == [(1,)]
        assert one.txn.catalog_changed
        with pytest.raises(SqlError, match='relation "t" does not exist'):
            two.run("select * from t")
        assert engine.catalog.version == version
        one.commit()
        assert engine.catalog.version > version
        assert two.run("select * from t") == [(1,)]

    in_greenlet(body)


def test_rollback_takes_back_relation_and_storage() -> None:
    def body() -> None:
        engine, one, _ = _two()
        files = len(engine.storage.extents.files)
        version = engine.catalog.version
        one.begin()
        one.run("create table t(a int primary key)")
        one.rollback()
        assert len(engine.storage.extents.files) == files
        assert engine.catalog.version == version
        with pytest.raises(SqlError, match="does not exist"):
            one.run("drop table t")
        one.run("create table t(a int)")

    in_greenlet(body)


def test_rollback_of_drop_and_truncate_keeps_rows() -> None:
    def body() -> None:
        _, one, _ = _two()
        one.run("create table t(a int primary key); insert into t values (1)")
        for statement in ("drop table t", "truncate t", "alter table t drop column a"):
            one.begin()
            one.run(statement)
            one.rollback()
            assert one.run("select a from t where a = 1") == [(1,)]

    in_greenlet(body)


def test_rollback_to_savepoint_undoes_ddl_in_the_transactions_view() -> None:
    def body() -> None:
        engine, one, _ = _two()
        txns = engine.storage.txns
        one.begin()
        one.run("create table t(a int)")
        txns.savepoint(one.txn, "s")
        one.run("alter table t add b int; create table u(a int)")
        assert len(one.run("select * from t") or [(1, 2)]) == 1
        txns.rollback_to(one.txn, "s")
        with pytest.raises(SqlError, match='column "b" does not exist'):
            one.run("select b from t")
        with pytest.raises(SqlError, match='relation "u" does not exist'):
            one.run("select * from u")
        one.commit()
        assert one.run("select * from t") == []

    in_greenlet(body)


def test_descriptor_of_an_untouched_table_survives_a_catalog_change() -> None:
    def body() -> None:
        engine, one, _ = _two()
        one.run("create table t(a int)")
        one.begin()
        before = engine.catalog.view(one).find_relation(None, "t")
        one.rollback()
        one.run("create table u(a int)")
        one.begin()
        assert engine.catalog.view(one).find_relation(None, "t") is before
        one.rollback()

    in_greenlet(body)


def test_temporary_tables_end_with_the_session() -> None:
    def body() -> None:
        engine, one, two = _two()
        one.run("create temp table t(a int); insert into t values (1)")
        with pytest.raises(SqlError, match="does not exist"):
            two.run("select * from t")
        one.begin()
        engine.ddl.end_session(one, one.txn)
        one.commit()
        assert two.run("select count(*) from pg_class where oid >= 16384") == [(0,)]
        assert not one.notices

    in_greenlet(body)


def test_sequence_values_are_not_rolled_back_and_survive_a_restart_upwards() -> None:
    def body() -> None:
        engine, one, _ = _two()
        one.run("create sequence s")
        one.begin()
        assert one.run("select nextval('s')") == [(1,)]
        one.rollback()
        assert one.run("select nextval('s')") == [(2,)]
        engine.volume.advance()
        again = Engine(engine.volume).session()
        assert again.run("select nextval('s')")[0][0] > 2

    in_greenlet(body)


def test_sequence_limit_and_cycle() -> None:
    assert run("create sequence s maxvalue 2", "select nextval('s'), nextval('s'), nextval('s')")[:2] == (
        "2200H",
        'nextval: reached maximum value of sequence "s" (2)',
    )
    assert run("create sequence s maxvalue 2 cycle", "select nextval('s'), nextval('s'), nextval('s')")[0] == [
        (1, 2, 1)
    ]


def test_a_role_without_rights_cannot_change_anothers_table() -> None:
    def body() -> None:
        engine, one, _ = _two()
        one.run("create table t(a int); create role joe login password 'secret'")
        role = engine.catalog.role("joe")
        assert role is not None
        assert role.can_login
        assert (role.verifier or "").startswith("SCRAM-SHA-256$4096:")
        joe = engine.session(3, "joe")
        with pytest.raises(SqlError, match="must be owner of table t") as caught:
            joe.run("drop table t")
        assert caught.value.sqlstate == "42501"
        one.run("alter table t owner to joe")
        assert joe.run("drop table t") == "DROP TABLE"

    in_greenlet(body)


def test_read_only_transaction_refuses_ddl() -> None:
    def body() -> None:
        engine, one, _ = _two()
        one.txn = engine.storage.txns.begin(read_only=True, session=one)
        with pytest.raises(SqlError, match="cannot execute CREATE TABLE in a read-only transaction") as caught:
            one.run("create table t(a int)")
        assert caught.value.sqlstate == "25006"
        one.rollback()

    in_greenlet(body)


def test_stored_expressions_are_shown_as_postgresql_shows_them() -> None:
    table = (
        "create table t(a serial, b text default 'x', c varchar(4) default 'y', d timestamptz default now(),"
        " e int default 1 + 2, check (a > 1 and b like 'x%'))"
    )
    shown = run(
        table, "select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = 't'::regclass order by adnum"
    )
    assert [row[0] for row in shown[0]] == [
        "nextval('t_a_seq'::regclass)",
        "'x'::text",
        "'y'::character varying",
        "now()",
        "(1 + 2)",
    ]
    query = "select pg_get_constraintdef(oid) from pg_constraint where conrelid = 't'::regclass"
    assert run(table, query)[0] == [("CHECK (((a > 1) AND (b ~~ 'x%'::text)))",)]
    renamed = run(table, "alter table t rename column a to z", query)
    assert renamed[0] == [("CHECK (((z > 1) AND (b ~~ 'x%'::text)))",)]


def test_check_constraint_is_kept_by_writes() -> None:
    assert run("create table t(a int check (a > 1))", "insert into t values (1)")[:2] == (
        "23514",
        'new row for relation "t" violates check constraint "t_a_check"',
    )


def test_vacuum_cuts_a_table_unless_told_not_to() -> None:
    def body() -> None:
        _, one, _ = _two()
        one.run("create table t(a int); insert into t values (1), (2)")
        one.run("delete from t")
        one.run("vacuum (truncate off) t")
        assert one.run("select pg_relation_size('t')") == [(8192,)]
        with pytest.raises(SqlError, match="truncate requires a Boolean value"):
            one.run("vacuum (truncate maybe) t")
        one.run("vacuum (truncate) t")
        assert one.run("select pg_relation_size('t')") == [(0,)]
        one.run("insert into t values (3)")
        assert one.run("select * from t") == [(3,)]

    in_greenlet(body)


def test_a_function_whose_statements_cannot_follow_is_in_the_way_of_a_new_name() -> None:
    made = "create function f() returns void language sql begin atomic insert into t (a) values (1); end"
    assert run(T, made, "alter table t rename to t2") == (
        "0A000",
        'function "f" cannot follow the change',
        "Its body has an INSERT, UPDATE or DELETE that may use what gets another name.",
        "Drop the function, and create it again after the change.",
    )
    assert run(T, made, "alter table t rename b to c")[0] == "ALTER TABLE"
    assert run(T, made, "alter table t add column c int", "alter table t drop column b")[0] == "ALTER TABLE"


def test_a_constraint_that_a_statement_names_keeps_its_name() -> None:
    insert = "insert into t (a) values (1) on conflict on constraint k do nothing"
    made = f"create function f() returns void language sql begin atomic {insert}; end"
    key = "alter table t add constraint k unique (a), add constraint c check (a > 0)"
    assert run(T, key, made, "alter table t rename constraint k to k2")[0] == "0A000"
    assert run(T, key, made, "alter table t rename constraint c to c2")[0] == "ALTER TABLE"


def test_a_view_is_not_kept_in_words_that_mean_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "kept_query", lambda query, view: "SELECT t.b AS a FROM public.t")
    shown = "select ev_action from pg_rewrite where ev_class = 'v'::regclass"
    assert run(T, "create view v as select a from t", shown)[0] == [("SELECT a FROM public.t",)]
    monkeypatch.setattr(objects, "expression_text", lambda node: "SELECT nothing")
    assert run(T, "create view v as select a from t") == (
        "0A000",
        "this query cannot be kept",
        "Its text, with all names written whole, would mean something else or nothing when it is read again.",
        None,
    )


def test_a_view_that_cannot_follow_is_in_the_way_of_a_new_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_texts, "kept_query", lambda query, view: "SELECT t.b AS a FROM public.t")
    view = "create view v as select a from t"
    assert run(T, view, "alter table t rename a to c") == (
        "0A000",
        'view "v" cannot follow the change',
        "Its text would mean something else or nothing.",
        None,
    )
    # What it has is as good as before.
    assert run(T, view, "alter table t add column c int")[0] == "ALTER TABLE"
