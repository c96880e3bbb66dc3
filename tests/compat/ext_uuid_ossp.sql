-- uuid-ossp
create extension "uuid-ossp";
select extname, extversion, extrelocatable, extnamespace::regnamespace from pg_extension where extname = 'uuid-ossp';
select uuid_nil(), uuid_ns_dns(), uuid_ns_url(), uuid_ns_oid(), uuid_ns_x500();
select uuid_generate_v3(uuid_ns_url(), 'https://example.com/ä'), uuid_generate_v5(uuid_ns_dns(), 'example.com'), uuid_generate_v5(uuid_nil(), '');
select uuid_generate_v3(null, 'a'), uuid_generate_v5(uuid_nil(), null);
select substr(uuid_generate_v1()::text, 15, 1), substr(uuid_generate_v1mc()::text, 15, 1), substr(uuid_generate_v4()::text, 15, 1), substr(uuid_generate_v3(uuid_nil(), 'x')::text, 15, 1), substr(uuid_generate_v5(uuid_nil(), 'x')::text, 15, 1);
select uuid_generate_v4() = uuid_generate_v4(), uuid_generate_v1() < uuid_generate_v1() and false, (('x' || substr(uuid_generate_v1mc()::text, 25, 2))::bit(8) & x'01') = x'01';
create table t (id uuid primary key default uuid_generate_v4(), n int);
insert into t (n) values (1), (2);
select count(distinct id) from t;
drop extension "uuid-ossp";
drop function uuid_nil();
alter table t alter column id drop default;
select p.proname, p.provolatile, p.proisstrict, p.proparallel, pg_get_function_arguments(p.oid), p.prorettype::regtype from pg_proc p join pg_depend d on d.objid = p.oid and d.classid = 'pg_proc'::regclass and d.deptype = 'e' join pg_extension e on e.oid = d.refobjid where e.extname = 'uuid-ossp' order by 1, 5;
drop extension "uuid-ossp";
select uuid_nil();
