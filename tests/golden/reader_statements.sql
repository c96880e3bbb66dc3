-- What a hot standby answers, one script a line, its statements separated by ;; and run one after the other in one
-- session. Answers: reader_statements.json, by record_reader.py.
insert into t values(100)
update t set v='y'
delete from t
select * from t for update
select * from t for share
select * from t for no key update
select * from t for key share
select * from vw for update
select nextval('s')
select currval('s')
select lastval()
select setval('s', 5)
select nx()
select wr()
call pr()
create temp table tt(a int)
create table ct(a int)
create unlogged table uu(a int)
create table if not exists t(id int)
create table ct2 as select 1
create table t2 (like t)
select 1 into zz
select 1 into temp zz
alter table t add c int
alter table t rename to t9
alter table t rename column v to w
alter table t set schema public
alter table t owner to plain
alter table t rename constraint t_pkey to x
drop table t
drop table if exists nothere
drop table nothere
insert into nothere values(1)
truncate t
create index on t(v)
drop index t_pkey
alter index t_pkey rename to x
alter index t_pkey set (fillfactor=50)
create view v2 as select 1
drop view vw
alter view vw rename to vw2
alter view vw owner to plain
alter view vw alter column id set default 1
create schema sc
drop schema sc
alter schema public rename to p2
create sequence s3
create temp sequence ts
drop sequence s
alter sequence s increment 2
alter sequence s rename to s9
alter sequence s owner to plain
create type ty as (a int)
create type e as enum('a')
create type rr as range (subtype=int4)
drop type ty
alter type ty rename to t2
alter type ty add attribute a int
alter type e add value 'x'
create domain d as int
drop domain d
alter domain d drop not null
alter domain d rename to dd
create function f() returns int language sql as 'select 1'
create or replace function ff() returns int language sql as 'select 1'
create procedure pp() language sql as 'select 1'
alter function wr() stable
alter function wr() rename to x
alter procedure pr() security definer
drop function wr()
drop procedure pr()
drop routine pr()
create aggregate ag(int) (sfunc=int4pl, stype=int)
alter aggregate ag(int) rename to x
drop aggregate ag(int)
create operator === (leftarg=int, rightarg=int, function=int4eq)
alter operator ===(int,int) set (restrict=none)
drop operator ===(int,int)
create cast (t as text) with inout
drop cast (int as text)
create operator class oc for type int using btree as operator 1 <
create operator family of using btree
alter operator family of using btree owner to plain
drop operator class oc using btree
create collation co from "C"
alter collation co refresh version
create extension hstore
create trigger tr before insert on t execute function f()
alter trigger tr on t rename to x
drop trigger tr on t
create rule ru as on insert to t do nothing
create policy p on t
create statistics st on id, v from t
create publication p
create materialized view mv as select 1
refresh materialized view mv
refresh materialized view concurrently mv
alter materialized view mv rename to mv2
create foreign data wrapper w
create server sv foreign data wrapper w
create user mapping for postgres server s
import foreign schema x from server s into public
create text search configuration c (parser=default)
alter text search configuration c add mapping for word with simple
create role x
create user xuser
create group xgroup
drop role plain
drop user plain
alter role plain createdb
alter role plain set work_mem = '1MB'
alter role plain rename to p2
grant select on t to public
revoke select on t from plain
grant plain to postgres
revoke plain from postgres
reassign owned by plain to postgres
drop owned by plain
alter default privileges grant select on tables to plain
security label on table t is 'x'
comment on table t is 'x'
comment on column t.v is 'x'
create database d
drop database d
alter database postgres set work_mem='1MB'
alter database postgres connection limit 5
create tablespace ts location '/x'
begin ;; create database d
set work_mem='5MB'
set work_mem='5MB' ;; reset all
vacuum
vacuum t
vacuum (analyze) t
vacuum full t
analyze
analyze t
reindex table t
reindex index t_pkey
reindex database postgres
cluster t
cluster t using t_pkey
checkpoint
begin ;; vacuum t
listen c
unlisten c
unlisten *
notify c
begin ;; notify c
select pg_notify('c', 'x')
select pg_notify('', 'x')
lock table t in access share mode
lock table t in row exclusive mode
lock table t in share mode
lock table t in share update exclusive mode
begin ;; lock table t in access share mode
begin ;; lock table t in row share mode
begin ;; lock table t in row exclusive mode
begin ;; lock table t in share mode
begin ;; lock table t in share row exclusive mode
begin ;; lock table t in access exclusive mode
begin ;; lock table t
prepare transaction 'p'
begin ;; prepare transaction 'p'
commit prepared 'p'
rollback prepared 'p'
begin ;; commit prepared 'p'
begin isolation level serializable ;; select 1
begin isolation level repeatable read ;; select count(*) from t ;; select count(*) from t
set transaction isolation level serializable
begin ;; set transaction isolation level serializable
begin ;; set transaction_isolation = serializable
begin ;; select 1 ;; set transaction isolation level serializable
select set_config('transaction_isolation', 'serializable', false)
set default_transaction_isolation=serializable ;; show transaction_isolation ;; select 1 ;; begin ;; select 1
begin read write
begin read write ;; select 1
begin read write, isolation level repeatable read ;; select 1
start transaction read write
start transaction read only ;; select 1
set transaction_read_only=off
set transaction_read_only=on
select set_config('transaction_read_only', 'off', false)
begin ;; set transaction read write
begin ;; set transaction read only ;; set transaction_read_only = on
begin ;; select 1 ;; set transaction read write
begin ;; savepoint a ;; set transaction read write
set default_transaction_read_only=off ;; insert into t values(200)
set session characteristics as transaction read write
set session characteristics as transaction read write ;; show transaction_read_only
begin ;; commit and chain ;; show transaction_read_only
commit and chain
select txid_current()
select pg_current_xact_id()
select pg_current_xact_id_if_assigned()
select txid_current_if_assigned()
select pg_current_snapshot() is not null
select pg_current_wal_lsn()
select pg_current_wal_insert_lsn()
select pg_current_wal_flush_lsn()
select pg_switch_wal()
select pg_create_restore_point('x')
select pg_last_wal_replay_lsn() is not null
select pg_last_wal_receive_lsn() is not null
select pg_is_in_recovery()
select pg_is_wal_replay_paused(), pg_get_wal_replay_pause_state()
select pg_wal_replay_pause() ;; select pg_is_wal_replay_paused() ;; select pg_wal_replay_resume() ;; select pg_is_wal_replay_paused()
select pg_promote(true, 0)
select pg_promote(wait => false, wait_seconds => -1)
select pg_advisory_lock(1)
select pg_try_advisory_xact_lock(1)
select pg_advisory_lock(2) ;; select pg_advisory_unlock(2)
select length(pg_export_snapshot()) > 0
begin ;; savepoint a ;; select pg_export_snapshot()
begin isolation level repeatable read ;; set transaction snapshot 'x'
begin isolation level repeatable read ;; set transaction snapshot '0000FFFF-0000001B-1'
begin ;; set transaction snapshot '00000003-0000001B-1'
begin isolation level repeatable read ;; select 1 ;; set transaction snapshot '00000003-0000001B-1'
set transaction snapshot '00000003-0000001B-1'
declare c cursor for select 1
begin ;; declare c cursor for select * from t order by id ;; fetch c
declare c cursor with hold for select * from t order by id ;; fetch 1 c
begin ;; declare c cursor for select * from t for update
begin ;; savepoint a ;; rollback to a
begin ;; savepoint a ;; insert into t values(1) ;; rollback to a ;; select 1
begin ;; select wr() ;; select 1 ;; rollback ;; select 1
explain (costs off) insert into t values(300)
explain (costs off) select * from t for update
explain analyze insert into t values(300)
explain analyze select * from t for update
prepare q as insert into t values($1)
prepare q2 as insert into t values(1) ;; execute q2
prepare q as select * from t for update ;; execute q
prepare q as update t set v='1' ;; explain (costs off) execute q ;; explain analyze execute q
prepare q as select count(*) from t ;; execute q
set constraints all deferred
begin ;; set constraints all deferred
discard all
discard temp
discard plans
discard sequences
begin ;; discard all
show hot_standby
show in_hot_standby
show transaction_read_only
show default_transaction_read_only
show transaction_isolation
set in_hot_standby = off
select name, setting from pg_settings where name in ('transaction_read_only', 'in_hot_standby', 'hot_standby') order by 1
set session authorization plain ;; insert into t values(1) ;; select count(*) from t ;; drop table t ;; select nextval('s')
set session authorization plain ;; select pg_switch_wal()
set session authorization plain ;; select pg_wal_replay_pause()
set session authorization plain ;; select pg_promote()
set session authorization plain ;; select pg_create_restore_point('x')
set session authorization plain ;; select pg_is_wal_replay_paused()
set session authorization plain ;; checkpoint
select datname, confl_tablespace, confl_lock, confl_snapshot, confl_bufferpin, confl_deadlock from pg_stat_database_conflicts where datname='postgres'
select conflicts from pg_stat_database where datname='postgres'
