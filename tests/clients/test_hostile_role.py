"""What a role without rights must not do: each attempt is refused with 42501, or shows nothing (wall 13).

`mallory` may log in and nothing else; `alice` owns the tables, sequences, views and functions that are tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import psycopg
import pytest

from aurora.programs.supervisor import Cluster

pytestmark = pytest.mark.cluster

_SETUP: Final = """
create role alice login;
create role bystander;
create role mallory login;
grant alice to bystander;
create schema vault authorization alice;
create schema shown authorization alice;
set role alice;
grant usage on schema shown to public;
create table vault.t (a int primary key, secret text);
insert into vault.t values (1, 'xyzzy');
create table shown.t (a int primary key, secret text);
insert into shown.t values (1, 'xyzzy');
create table shown.half (a int primary key, secret text);
insert into shown.half values (1, 'xyzzy');
grant insert, select (a) on shown.half to mallory;
create sequence shown.s;
select nextval('shown.s');
create view shown.v as select * from shown.t;
create type shown.mood as enum ('calm');
create view shown.wrapped with (security_invoker = true) as select * from shown.t;
grant select on shown.wrapped to mallory;
create index shown_i on shown.t (secret);
reset role;
"""

_REFUSED: Final = """
set role alice
set role postgres
set session authorization alice
set session authorization postgres
select set_config('role', 'alice', false)
select set_config('role', 'postgres', true)
select set_config('session_authorization', 'postgres', false)
set local role postgres
alter role mallory superuser
alter role mallory createrole
alter role mallory createdb
alter role mallory replication
alter role mallory bypassrls
alter role mallory login
alter role mallory connection limit -1
alter role mallory valid until 'infinity'
alter role alice password 'x'
alter role postgres password 'x'
alter role alice set search_path = vault
alter role all set work_mem = '1MB'
alter role mallory set log_statement = 'none'
alter database postgres set work_mem = '1MB'
alter system set work_mem = '1MB'
alter system reset all
create role accomplice
create user accomplice superuser
drop role alice
drop role if exists alice
grant alice to mallory
grant postgres to mallory
grant pg_read_all_data to mallory
revoke alice from bystander
alter group alice add user mallory
comment on role alice is 'x'
select * from vault.t
select * from shown.t
select count(*) from shown.t
select 1 from shown.t
select a from shown.v
select * from shown.wrapped
table shown.t
select * from (select secret from shown.t) x
select (select secret from shown.t)
select 1 where exists (select from shown.t)
with x as (select * from shown.t) select * from x
select * from pg_class join shown.t on true
select a from shown.half union all select a from shown.t
select secret from shown.half
select half from shown.half
select * from shown.half
select a from shown.half where secret like 'x%'
select a from shown.half order by secret
select count(secret) from shown.half
select a from shown.half for update
select ctid from shown.half
insert into shown.t values (2, 'x')
insert into shown.half values (1, 'y') on conflict (a) do update set secret = excluded.secret
insert into shown.half (a) values (7) returning secret
insert into shown.half select * from shown.t
update shown.t set secret = ''
update shown.half set secret = ''
delete from shown.t
delete from shown.half where a = 1
truncate shown.t
truncate shown.half
begin; lock table shown.t
create temp view mine as select * from shown.t; begin; lock table mine
begin; lock table shown.wrapped in access share mode
explain select * from shown.t
explain analyze select * from shown.t
create table pg_temp.mine as select * from shown.t
select * into temp mine from shown.t
create temp table mine (like shown.t)
create temp view mine as select * from vault.t
create temp view mine as select * from shown.t; select * from mine
prepare p as select * from shown.t; execute p
begin; declare c cursor for select * from shown.t
copy shown.t to stdout
copy shown.half (secret) to stdout
copy (select * from shown.t) to stdout
copy shown.t from stdin
copy shown.t to '/tmp/stolen'
copy pg_class from '/etc/passwd'
copy pg_class to program 'cat'
alter table shown.t add column b int
alter table shown.t drop column secret
alter table shown.t rename to mine
alter table shown.t rename column secret to open
alter table shown.t owner to mallory
alter table shown.t set schema public
alter table shown.t alter column secret set default 'x'
alter table shown.t set (fillfactor = 50)
create index on shown.t (a)
drop index shown.shown_i
alter index shown.shown_i rename to x
drop table shown.t
drop table shown.t cascade
drop view shown.v
create or replace view shown.v as select 1 as a, ''::text as secret
alter view shown.v owner to mallory
comment on table shown.t is 'x'
comment on column shown.t.secret is 'x'
select nextval('shown.s')
select currval('shown.s')
select setval('shown.s', 100)
select last_value from shown.s
alter sequence shown.s restart
drop sequence shown.s
create table shown.mine (a int)
create table vault.mine (a int)
create table public.mine (a int)
create table pg_catalog.mine (a int)
create view shown.mine as select 1
create sequence shown.mine
create schema mine
create schema mine authorization alice
create type shown.other as enum ('a')
alter type shown.mood add value 'wild'
alter type shown.mood owner to mallory
drop type shown.mood
drop schema shown cascade
alter schema shown rename to mine
alter schema shown owner to mallory
grant select on shown.t to mallory
grant all on schema vault to mallory
revoke all on shown.t from alice
grant alice to mallory with admin option
grant execute on function pg_reload_conf() to mallory
reassign owned by alice to mallory
drop owned by alice
select * from pg_authid
select rolpassword from pg_authid
select * from pg_shadow
select passwd from pg_shadow
select * from pg_user_mapping
select subconninfo from pg_subscription
select * from pg_statistic
select * from pg_largeobject
update pg_authid set rolsuper = true
insert into pg_auth_members values (10, 16384, 10, true)
delete from pg_class
update pg_class set relowner = 0
truncate pg_class
drop table pg_class
alter table pg_class add column x int
select pg_terminate_backend({victim})
select pg_cancel_backend({victim})
select pg_terminate_backend({superuser})
select pg_reload_conf()
select pg_switch_wal()
select aurora_add_storage_node('127.0.0.1:1')
select aurora_remove_storage_node('az1-a')
select aurora_replace_storage_node('az1-a', '')
select aurora_cancel_replacement('az1-a')
select aurora_set_zone_away('az1')
checkpoint
set session_replication_role = replica
set log_statement = 'none'
set log_min_messages = 'panic'
show hba_file
select current_setting('hba_file')
select has_schema_privilege('vault', 'usage') or 1 / (select 0 from vault.t) = 0
select 'vault.t'::regclass
select to_regclass('vault.t')
select * from pg_hba_file_rules
""".strip().splitlines()
"""One attempt a line; of several statements the last one is the attempt."""

_HIDDEN: Final = (
    ("select count(*) from pg_stat_activity where pid <> pg_backend_pid() and query <> '<insufficient privilege>'", 0),
    ("select count(*) from pg_stat_get_activity({victim}) where state is not null or client_addr is not null", 0),
    ("select count(*) from pg_settings where name = 'hba_file'", 0),
    ("select count(*) from pg_roles where rolpassword <> '********'", 0),
    ("select count(*) from pg_user where passwd <> '********'", 0),
    ("select pg_sequence_last_value('shown.s'::regclass)", None),
    ("select has_table_privilege('shown.t', 'select')", False),
    ("select has_column_privilege('shown.half', 'secret', 'select')", False),
    ("select has_schema_privilege('vault', 'usage')", False),
    ("select pg_has_role('alice', 'member')", False),
)


def connect(cluster: Cluster, user: str) -> psycopg.Connection[Any]:
    return psycopg.connect(cluster.dsn(), user=user, autocommit=True, prepare_threshold=None)


@pytest.fixture(scope="module")
def people(shared_cluster: Cluster) -> Iterator[dict[str, psycopg.Connection[Any]]]:
    """mallory's connection, and those that she goes for."""
    with connect(shared_cluster, "postgres") as admin:
        admin.execute(_SETUP)
        with connect(shared_cluster, "alice") as alice, connect(shared_cluster, "mallory") as mallory:
            alice.execute("select 'what alice does'")
            yield {"superuser": admin, "victim": alice, "mallory": mallory}
        admin.execute(
            "drop schema vault, shown cascade; drop owned by mallory, alice; drop role mallory, alice, bystander"
        )


def fill(text: str, people: dict[str, psycopg.Connection[Any]]) -> str:
    return text.format(**{who: connection.info.backend_pid for who, connection in people.items()})


@pytest.mark.parametrize("attempt", _REFUSED)
def test_it_is_refused(people: dict[str, psycopg.Connection[Any]], attempt: str) -> None:
    mallory = people["mallory"]
    *before, last = fill(attempt, people).split("; ")
    try:
        for statement in before:
            mallory.execute(statement)
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
            if last.startswith("copy"):
                with mallory.cursor().copy(last) as copy:
                    list(copy) if " to " in last else copy.write(b"9\tx\n")
            else:
                mallory.execute(last)
        assert "xyzzy" not in str(caught.value)
    finally:
        mallory.rollback()
        mallory.execute("discard all")


@pytest.mark.parametrize(("query", "expected"), _HIDDEN)
def test_it_is_hidden(people: dict[str, psycopg.Connection[Any]], query: str, expected: object) -> None:
    row = people["mallory"].execute(fill(query, people)).fetchone()
    assert row == (expected,)


def test_errors_do_not_show_rows(people: dict[str, psycopg.Connection[Any]]) -> None:
    """A conflict tells of the key that one may read, a failed constraint of the columns that one has set."""
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        people["mallory"].execute("insert into shown.half values (1, 'x')")
    assert caught.value.diag.message_detail == "Key (a)=(1) already exists."
    people["superuser"].execute("revoke select (a) on shown.half from mallory")
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        people["mallory"].execute("insert into shown.half values (1, 'x')")
    assert caught.value.diag.message_detail is None
    with pytest.raises(psycopg.errors.NotNullViolation) as missing:
        people["mallory"].execute("insert into shown.half (secret) values ('mine')")
    assert missing.value.diag.message_detail == "Failing row contains (secret) = (mine)."
    people["superuser"].execute("grant select (a) on shown.half to mallory")


@pytest.mark.parametrize("attempt", ["truncate shown.t", "drop table shown.t", "lock table shown.t", "vacuum shown.t"])
def test_nobody_waits_for_what_is_not_theirs(people: dict[str, psycopg.Connection[Any]], attempt: str) -> None:
    """Refused at once, while another transaction has the table locked: else she would hold up whoever comes next."""
    mallory, admin = people["mallory"], people["superuser"]
    admin.execute("begin; lock table shown.t in access exclusive mode")
    try:
        mallory.execute("set lock_timeout = '10s'")
        if attempt.startswith("vacuum"):
            mallory.execute(attempt)
            return
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            if attempt.startswith("lock"):
                mallory.execute("begin")
            mallory.execute(attempt)
    finally:
        mallory.rollback()
        mallory.execute("reset lock_timeout")
        admin.execute("rollback")


def test_a_prepared_statement_loses_what_is_revoked(people: dict[str, psycopg.Connection[Any]]) -> None:
    """The check is made when the statement runs, with the rights of then."""
    mallory, admin = people["mallory"], people["superuser"]
    query = "select secret from shown.t where a = %s"
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        mallory.execute(query, (1,), prepare=True)
    admin.execute("grant select on shown.t to mallory")
    for _ in range(3):
        assert mallory.execute(query, (1,), prepare=True).fetchone() == ("xyzzy",)
    admin.execute("revoke select on shown.t from mallory")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        mallory.execute(query, (1,), prepare=True)
    admin.execute("grant alice to mallory")
    assert mallory.execute(query, (1,), prepare=True).fetchone() == ("xyzzy",)
    admin.execute("revoke alice from mallory")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        mallory.execute(query, (1,), prepare=True)


def test_a_superuser_who_is_one_no_more(people: dict[str, psycopg.Connection[Any]], shared_cluster: Cluster) -> None:
    """What a session has cached of its rights goes with them."""
    admin = people["superuser"]
    admin.execute("create role fallen login superuser")
    with connect(shared_cluster, "fallen") as fallen:
        assert fallen.execute("select secret from vault.t").fetchone() == ("xyzzy",)
        fallen.execute("set log_statement = 'none'")
        admin.execute("alter role fallen nosuperuser")
        for attempt in ("select secret from vault.t", "set log_statement = 'all'", "create role accomplice"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                fallen.execute(attempt)
    admin.execute("drop role fallen")


@pytest.mark.parametrize(
    ("options", "sqlstate"),
    [("-c role=postgres", "42501"), ("-c session_authorization=postgres", "42501"), ("-c role=nobody", "22023")],
)
def test_startup_options_make_nobody_another(
    people: dict[str, psycopg.Connection[Any]], shared_cluster: Cluster, options: str, sqlstate: str
) -> None:
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(shared_cluster.dsn(), user="mallory", options=options)
    expected = {"42501": "permission denied to set", "22023": 'role "nobody" does not exist'}[sqlstate]
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("first", "second", "query", "expected"),
    [
        (
            "grant select on shown.t to bystander",
            "grant insert on shown.t to mallory",
            "select has_table_privilege('bystander', 'shown.t', 'select'),"
            " has_table_privilege('mallory', 'shown.t', 'insert')",
            (True, True),
        ),
        (
            "grant usage on schema vault to bystander",
            "grant create on schema vault to mallory",
            "select has_schema_privilege('bystander', 'vault', 'usage'),"
            " has_schema_privilege('mallory', 'vault', 'create')",
            (True, True),
        ),
        (
            "alter role bystander createdb",
            "alter role bystander createrole",
            "select rolcreatedb, rolcreaterole from pg_roles where rolname = 'bystander'",
            (True, True),
        ),
        (
            "grant bystander to mallory",
            "grant bystander to mallory",
            "select count(*) from pg_auth_members where roleid = 'bystander'::regrole",
            (1,),
        ),
        (
            "alter role bystander set work_mem = '1MB'",
            "alter role bystander set statement_timeout = '1s'",
            "select cardinality(setconfig) from pg_db_role_setting where setrole = 'bystander'::regrole",
            (2,),
        ),
    ],
)
def test_two_grants_at_once_both_count(
    people: dict[str, psycopg.Connection[Any]],
    shared_cluster: Cluster,
    first: str,
    second: str,
    query: str,
    expected: tuple[object, ...],
) -> None:
    """The second waits for the first, and adds to what it finds."""
    admin = people["superuser"]
    with connect(shared_cluster, "postgres") as other, ThreadPoolExecutor(1) as threads:
        admin.execute("begin")
        admin.execute(first)
        waiting = threads.submit(other.execute, second)
        pid = other.info.backend_pid
        while admin.execute("select cardinality(pg_blocking_pids(%s)) > 0", (pid,)).fetchone() != (True,):
            assert not waiting.done()
        admin.execute("commit")
        waiting.result(30)
    assert admin.execute(query).fetchone() == expected
    admin.execute("revoke bystander from mallory")
    admin.execute("revoke all on schema vault from bystander, mallory; revoke all on shown.t from bystander, mallory")
    admin.execute("alter role bystander reset all; alter role bystander nocreatedb nocreaterole")


@pytest.mark.logs(r'stored setting role of mallory: permission denied to set role "alice"')
def test_a_stored_role_is_asked_for_at_log_in(
    people: dict[str, psycopg.Connection[Any]], shared_cluster: Cluster
) -> None:
    people["mallory"].execute("alter role mallory set role = 'alice'")
    with connect(shared_cluster, "mallory") as again:
        assert again.execute("select current_user").fetchone() == ("mallory",)
    people["superuser"].execute("grant alice to mallory")
    with connect(shared_cluster, "mallory") as again:
        assert again.execute("select current_user, session_user").fetchone() == ("alice", "mallory")
    people["superuser"].execute("revoke alice from mallory")
    people["mallory"].execute("alter role mallory reset role")


def test_connect_can_be_revoked(people: dict[str, psycopg.Connection[Any]], shared_cluster: Cluster) -> None:
    admin = people["superuser"]
    admin.execute("revoke connect on database postgres from public")
    try:
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            connect(shared_cluster, "mallory")
    finally:
        admin.execute("grant connect on database postgres to public")
    connect(shared_cluster, "mallory").close()
