-- operator families' members, what ALTER does with operators, their classes and families
-- t1
create role compat_ofr;
create schema compat_ofs;
create operator family f1 using btree;
alter operator family f1 using btree add operator 1 < (int4, int8), operator 2 <= (int4, int8), function 1 (int4, int8) btint48cmp(int4, int8);
select amoplefttype::regtype, amoprighttype::regtype, amopstrategy, amopopr::regoperator from pg_amop a join pg_opfamily f on f.oid = amopfamily where opfname = 'f1' order by 3;
select amproclefttype::regtype, amprocrighttype::regtype, amprocnum, amproc from pg_amproc a join pg_opfamily f on f.oid = amprocfamily where opfname = 'f1';
alter operator family f1 using btree add operator 1 < (int4, int8);
alter operator family f1 using btree add function 1 (int4, int8) btint48cmp(int4, int8);
alter operator family f1 using btree add operator 6 < (int4, int8);
alter operator family f1 using btree add operator 0 < (int4, int8);
alter operator family f1 using btree add operator 3 =;
alter operator family f1 using btree add function 7 btint4cmp(int4,int4);
alter operator family f1 using btree add storage int4;
alter operator family f1 using btree add operator 4 > (int4,int4) for order by float_ops;
alter operator family f1 using btree add operator 4 + (int4,int4);
alter operator family f1 using btree add operator 4 > (int4,int2), operator 4 > (int4,int2);
alter operator family f1 using btree add function 1 (int4,int2) btint42cmp(int4,int2), function 1 (int4,int2) btint42cmp(int4,int2);
alter operator family f1 using btree add function 1 int4_sum(int8,int4);
alter operator family f1 using btree add function 1 abs(int4);
alter operator family f1 using btree add function 2 btint4cmp(int4,int4);
alter operator family f1 using btree add function 3 btint4cmp(int4,int4);
alter operator family f1 using btree add function 4 (int4,int2) btequalimage(oid);
alter operator family f1 using btree add function 4 btequalimage(oid);
alter operator family f1 using btree add function 1 nofunc(int4);
alter operator family f1 using btree drop operator 1 (int4,int8), operator 1 (int4,int8);
alter operator family f1 using btree drop operator 1 (int4,int2);
alter operator family f1 using btree drop function 1 (int4,int2);
alter operator family f1 using btree drop function 1 (int4,int8);
alter operator family f1 using btree drop operator 1 (int4,int8,int2);
alter operator family f1 using btree drop operator 2 (int4,int8);
alter operator family nof using btree add operator 1 < (int4, int8);
alter operator family f1 using nom add operator 1 < (int4, int8);
alter operator family f1 using hash add operator 1 = (int4, int8);
create operator family f1 using hash;
alter operator family f1 using hash add function 1 hashint4(int4), function 2 hashint4extended(int4,int8), operator 1 = (int4,int8);
alter operator family f1 using hash add function 1 (int8) hashint8(int8), function 2 hashint4(int4);
alter operator family f1 using hash add function 1 hashint4extended(int4,int8);
alter operator family f1 using btree rename to f2;
alter operator family f2 using btree set schema compat_ofs;
alter operator family f2 using btree owner to compat_ofr;
alter operator family compat_ofs.f2 using btree owner to compat_ofr;
select opfname, opfnamespace::regnamespace, opfowner::regrole from pg_opfamily where opfname in ('f1','f2') order by 1,2;
create operator class c1 for type text using btree as storage text;
alter operator class c1 using btree rename to c2;
alter operator class c1 using btree rename to c2;
create operator class c1 for type text using btree as storage text;
alter operator class c1 using btree rename to c2;
alter operator class c1 using btree owner to compat_ofr;
alter operator class c1 using btree set schema compat_ofs;
alter operator class nox using btree set schema compat_ofs;
comment on operator class c2 using btree is 'x';
comment on operator family f1 using hash is 'y';
create function eqt(bool,bool) returns bool as 'booleq' language internal immutable;
create operator === (leftarg=bool,rightarg=bool,function=eqt,commutator= ===, restrict=eqsel, join=eqjoinsel);
alter operator === (bool,bool) set (restrict=none);
alter operator === (bool,bool) set (join=none);
select oprrest, oprjoin from pg_operator where oprname = '===';
alter operator === (bool,bool) set (restrict=neqsel, join=neqjoinsel);
select oprrest, oprjoin from pg_operator where oprname = '===';
alter operator === (bool,bool) set (restrict=nosel);
alter operator === (bool,bool) set (join=nosel);
alter operator === (bool,bool) set (commutator= ===);
alter operator === (bool,bool) set (leftarg=int4);
alter operator === (bool,bool) set (bla=int4);
alter operator ==== (bool,bool) set (restrict=none);
alter operator === (bool,bool) owner to compat_ofr;
alter operator === (bool,bool) set schema compat_ofs;
comment on operator compat_ofs.=== (bool,bool) is 'z';
select oprnamespace::regnamespace, oprowner::regrole from pg_operator where oprname = '===';
drop operator compat_ofs.=== (bool,bool);
drop operator family f1 using hash cascade;
drop operator family compat_ofs.f2 using btree;
drop operator class c2 using btree;
drop operator class compat_ofs.c1 using btree;
drop schema compat_ofs cascade;
drop role compat_ofr;
-- joins go by an operator's own hash functions, not by its name
CREATE SCHEMA compat_tens;
CREATE FUNCTION same_digit(int, int) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS 'SELECT $1 % 10 OPERATOR(pg_catalog.=) $2 % 10 LIMIT 1';
CREATE FUNCTION same_digit(int, bigint) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS 'SELECT $1 % 10 OPERATOR(pg_catalog.=) $2 % 10 LIMIT 1';
CREATE FUNCTION digit(int) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS 'SELECT $1 % 10';
CREATE FUNCTION digit(bigint) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS 'SELECT ($1 % 10)::int';
CREATE OPERATOR compat_tens.= (FUNCTION = same_digit, LEFTARG = int, RIGHTARG = int, COMMUTATOR = OPERATOR(compat_tens.=), HASHES);
CREATE OPERATOR === (FUNCTION = same_digit, LEFTARG = int, RIGHTARG = bigint, HASHES);
CREATE OPERATOR FAMILY digits USING hash;
CREATE OPERATOR CLASS digits FOR TYPE int USING hash FAMILY digits AS OPERATOR 1 compat_tens.= (int, int), FUNCTION 1 digit(int);
ALTER OPERATOR FAMILY digits USING hash ADD OPERATOR 1 === (int, bigint), FUNCTION 1 (bigint) digit(bigint);
CREATE TABLE ones (x int, t text);
CREATE TABLE others (x int, y bigint, t text);
INSERT INTO ones VALUES (1, 'A'), (2, 'b'), (11, 'C'), (NULL, NULL);
INSERT INTO others VALUES (1, 1, 'a'), (12, 12, 'B'), (3, 3, 'x'), (NULL, NULL, NULL);
--differs for a plain role: without a hash family for the operator PostgreSQL has an internal error
SELECT a.x, b.x FROM ones a JOIN others b ON a.x OPERATOR(compat_tens.=) b.x ORDER BY 1, 2;
--differs for a plain role: without a hash family for the operator PostgreSQL has an internal error
SELECT a.x, b.x FROM ones a LEFT JOIN others b ON a.x OPERATOR(compat_tens.=) b.x ORDER BY 1, 2;
--differs for a plain role: without a hash family for the operator PostgreSQL has an internal error
SELECT a.x, b.x FROM ones a FULL JOIN others b ON b.x OPERATOR(compat_tens.=) a.x ORDER BY 1, 2;
--differs for a plain role: without a hash family for the operator PostgreSQL has an internal error
SELECT a.x, b.y FROM ones a FULL JOIN others b ON a.x === b.y ORDER BY 1, 2;
--differs for a plain role: without a hash family for the operator PostgreSQL has an internal error
SELECT a.x, b.y FROM others b RIGHT JOIN ones a ON a.x === b.y ORDER BY 1, 2;
--differs for a plain role: without a hash family for the operator PostgreSQL has an internal error
SELECT x FROM ones a WHERE EXISTS (SELECT FROM others b WHERE a.x OPERATOR(compat_tens.=) b.x) ORDER BY 1;
--differs for a plain role: without a hash family for the operator PostgreSQL has an internal error
SELECT x FROM ones a WHERE NOT EXISTS (SELECT FROM others b WHERE a.x === b.y) ORDER BY 1;
--differs for a plain role: without a hash family for the operator PostgreSQL has an internal error
SELECT x, x OPERATOR(compat_tens.=) ANY (SELECT x FROM others WHERE x IS NOT NULL) FROM ones ORDER BY 1;
SELECT set_config('search_path', 'compat_tens, ' || current_setting('search_path') || ', pg_catalog', false) IS NOT NULL;
--differs for a plain role: without a hash family for the operator PostgreSQL has an internal error
SELECT x, x IN (SELECT x FROM others WHERE x IS NOT NULL), x NOT IN (SELECT x FROM others WHERE x IS NOT NULL) FROM ones ORDER BY 1;
--differs for a plain role: without a hash family for the operator PostgreSQL has an internal error
SELECT x FROM ones WHERE x IN (SELECT x FROM others) ORDER BY 1;
--differs for a plain role: without a hash family for the operator PostgreSQL has an internal error
SELECT x, a.t, b.t FROM ones a FULL JOIN others b USING (x) ORDER BY 1, 2, 3;
RESET search_path;
SELECT date '2020-01-01' IN (SELECT timestamp '2020-01-01'), timestamp '2020-01-01' IN (SELECT date '2020-01-01'), 1 IN (SELECT 1.0), 1::int2 IN (SELECT 1::int8);
drop operator compat_tens.= (int, int) cascade;
drop schema compat_tens cascade;
