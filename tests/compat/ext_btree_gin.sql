-- btree_gin: a B-tree's operators in GIN, beside arrays and documents
create extension btree_gin;
create type mood as enum ('sad', 'ok', 'happy');
set timezone = 'UTC';
create table every (
    id int, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric, ts timestamp, tz timestamptz, t time,
    tt timetz, d date, iv interval, o oid, m money, c char(4), ch "char", tx text, nm name, vc varchar(9), by bytea, b bit(5),
    vb varbit, mac macaddr, mac8 macaddr8, ip inet, net cidr, u uuid, bo bool, e mood, tags int[], doc jsonb
);
insert into every select
    n, n % 50 - 25, n * 7 % 1000 - 500, n * 1234567891::int8 % 100003 - 50000, n % 64 / 4.0, n % 100 / 8.0 - 3,
    (n % 70 - 35) / 10.0, timestamp '2020-01-01' + n * interval '7 hours', timestamptz '2020-01-01 UTC' + n * interval '9 hours',
    time '00:00' + n * interval '11 min', (time '00:00' + n * interval '11 min')::timetz, date '2020-01-01' + n % 90,
    n % 40 * interval '1 day 3 hours' - interval '20 days', n * 17 % 90, (n % 60 - 30)::money,
    chr(97 + n % 5) || n % 3, chr(97 + n % 26)::"char", 'w' || n % 37, 'n' || n % 31, 'v' || n % 41,
    decode(lpad(to_hex(n % 77), 4, '0'), 'hex'), (n % 32)::bit(5), (n % 16)::bit(4)::varbit || (n % 3)::bit(2)::varbit,
    ('08:00:2b:01:02:' || to_hex(16 + n % 200))::macaddr, ('08:00:2b:01:02:03:04:' || to_hex(16 + n % 200))::macaddr8,
    '10.0.0.0'::inet + n % 99, set_masklen(('10.' || n % 90 || '.0.0')::cidr, 16),
    ('00000000-0000-0000-0000-0000000000' || to_hex(16 + n % 99))::uuid, n % 2 = 0, (array['sad', 'ok', 'happy'])[1 + n % 3]::mood,
    array[n % 7, n % 11], jsonb_build_object('k', n % 13)
from generate_series(1, 400) n;
insert into every (id, f8) values (401, 'nan'), (402, 'infinity'), (403, '-infinity');
insert into every (id, tx, tags) values (404, repeat('long ', 3000), '{}'), (405, repeat('long ', 3000) || 'x', null);
create index on every using gin (i2, i4, i8, f4, f8, n, ts, tz, t, tt, d, iv, o, m, c, ch);
create index on every using gin (tx, nm, vc, by, b, vb, mac, mac8, ip, net, u, bo, e);
create index by_tags on every using gin (e, tags, doc, d);
set enable_seqscan = off;
explain (costs off) select id from every where i2 = -3::int2;
select count(*), min(id), max(id) from every where i2 = -3::int2;
select count(*), min(id), max(id) from every where i2 < -3::int2;
select count(*), min(id), max(id) from every where i4 between -100 and 99;
select count(*), min(id), max(id) from every where i4 in (3, 4, 5, null, -500);
select count(*), min(id), max(id) from every where i4 is null;
select count(*), min(id), max(id) from every where i8 >= 1000 and i8 < 20000;
select count(*), min(id), max(id) from every where f4 > 3.5::float4;
select count(*), min(id), max(id) from every where f8 <= 'nan' and f8 > '-infinity';
select count(*), min(id), max(id) from every where f8 = 'nan';
select count(*), min(id), max(id) from every where n >= 1.10 and n < 2;
select count(*), min(id), max(id) from every where ts < '2020-02-03';
select count(*), min(id), max(id) from every where tz > '2020-03-03';
select count(*), min(id), max(id) from every where t > '13:00';
select count(*), min(id), max(id) from every where tt <= '13:00+00';
select count(*), min(id), max(id) from every where d = '2020-02-03';
select count(*), min(id), max(id) from every where iv < '1 day';
select count(*), min(id), max(id) from every where o > 80::oid;
select count(*), min(id), max(id) from every where m <= '-2.00';
select count(*), min(id), max(id) from every where c = 'b1';
select count(*), min(id), max(id) from every where c > 'b';
select count(*), min(id), max(id) from every where ch >= 'x'::"char";
select count(*), min(id), max(id) from every where tx >= 'w3' and tx < 'w30';
select count(*), min(id), max(id) from every where tx = repeat('long ', 3000);
select count(*), min(id), max(id) from every where tx > repeat('long ', 3000);
select count(*), min(id), max(id) from every where tx < 'm';
select count(*), min(id), max(id) from every where nm < 'n2';
select count(*), min(id), max(id) from every where vc = 'v7';
select count(*), min(id), max(id) from every where by > '\x0020';
select count(*), min(id), max(id) from every where b = b'00101';
select count(*), min(id), max(id) from every where vb < b'0101';
select count(*), min(id), max(id) from every where mac = '08:00:2b:01:02:40';
select count(*), min(id), max(id) from every where mac8 >= '08:00:2b:01:02:03:04:40';
select count(*), min(id), max(id) from every where ip < '10.0.0.50';
select count(*), min(id), max(id) from every where net > '10.50.0.0/16'::cidr;
select count(*), min(id), max(id) from every where u = '00000000-0000-0000-0000-000000000040';
select count(*), min(id), max(id) from every where bo;
select count(*), min(id), max(id) from every where bo >= true;
select count(*), min(id), max(id) from every where e > 'sad';
create table two (i int, tags int[]);
insert into two select n % 100, array[n % 70] from generate_series(1, 2000) n;
create index on two using gin (i, tags);
analyze two;
explain (costs off) select * from two where i = 5 and tags @> '{3}';
explain (costs off) select * from two where i < 5 and tags @> '{3}';
select count(*) from two where i < 5 and tags @> '{3}';
select id from every where e = 'ok' and tags @> '{3}' and doc @> '{"k": 4}' order by 1;
select count(*), min(id), max(id) from every where d < '2020-02-01' and tags && '{3,5}';
select count(*), min(id), max(id) from every where tags = '{}' or e < 'ok';
alter type mood add value 'meh' before 'ok';
select count(*) from every where e < 'meh';
update every set e = 'meh' where id < 20;
select count(*) from every where e >= 'meh' and e < 'ok';
delete from every where i4 > 0;
vacuum every;
select count(*), min(id), max(id) from every where i4 > -50;
prepare by_i4 (int) as select count(*) from every where i4 >= $1;
execute by_i4 (-20);
execute by_i4 (-300);
execute by_i4 (null);
select opcname, opcdefault, opcintype::regtype, opckeytype::regtype from pg_opclass o join pg_depend d on d.objid = o.oid and d.classid = 'pg_opclass'::regclass and d.deptype = 'e' order by 1;
select gin_numeric_cmp(1, 2), gin_numeric_cmp(2.0, 2), gin_numeric_cmp('nan', 2), gin_numeric_cmp(null, 1), gin_enum_cmp('sad'::mood, 'meh'), gin_enum_cmp('ok'::mood, 'meh');
create table wrong (a jsonpath);
create index on wrong using gin (a);
create index on every using gin (i4 int8_ops);
create index on every using gin (id desc);
drop extension btree_gin;
drop index every_i2_i4_i8_f4_f8_n_ts_tz_t_tt_d_iv_o_m_c_ch_idx, every_tx_nm_vc_by_b_vb_mac_mac8_ip_net_u_bo_e_idx, by_tags;
drop extension btree_gin;
create index on every using gin (i4);
