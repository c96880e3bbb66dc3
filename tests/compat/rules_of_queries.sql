CREATE TABLE rq (a int, b int, c text);
INSERT INTO rq VALUES (1, 2, 'x'), (2, 3, 'y'), (3, NULL, 'z');
CREATE TABLE rq2 (a int, d int);
INSERT INTO rq2 VALUES (1, 10), (3, 30), (5, 50);
UPDATE rq SET b = s.d FROM (SELECT d FROM rq2 WHERE rq2.a = rq.a) s;
UPDATE rq SET b = s.d FROM (SELECT d FROM rq2 WHERE d = c) s;
UPDATE rq SET b = s.d FROM LATERAL (SELECT d FROM rq2 WHERE rq2.a = rq.a) s;
UPDATE rq SET b = s.d FROM rq2 JOIN LATERAL (SELECT rq2.d) s ON rq.a = s.d;
DELETE FROM rq USING LATERAL generate_series(1, rq.a);
DELETE FROM rq USING generate_series(1, b);
DELETE FROM rq USING rq2 LEFT JOIN LATERAL (SELECT rq2.a WHERE false) z ON true WHERE rq.a = rq2.a AND false;
SELECT * FROM rq JOIN rq2 USING (a, a);
SELECT * FROM rq FULL JOIN rq2 ON true ORDER BY 1, 2, 3, 4, 5;
SELECT * FROM rq FULL JOIN rq2 ON false ORDER BY 1, 2, 3, 4, 5;
SELECT * FROM rq FULL JOIN rq2 ON rq.a = rq2.a AND false ORDER BY 1, 2, 3, 4, 5;
SELECT * FROM rq FULL JOIN rq2 ON NULL ORDER BY 1, 2, 3, 4, 5;
SELECT * FROM rq FULL JOIN rq2 ON rq.a < rq2.a;
SELECT v, g, h FROM (VALUES (1), (2)) v (v) LEFT JOIN LATERAL (SELECT * FROM generate_series(1, v) g FULL JOIN generate_series(5, 4 + v) h ON false) s ON true ORDER BY 1, 2, 3;
SELECT (SELECT max((SELECT d FROM rq2 WHERE rq2.a = rq.a))) FROM rq;
SELECT (SELECT max((SELECT d FROM rq2 WHERE rq2.a = rq.a)) FILTER (WHERE rq.a < 3)) FROM rq;
SELECT a, (SELECT sum(b + (SELECT count(*) FROM rq2 WHERE d > rq.b))), max(b) FROM rq GROUP BY a ORDER BY a;
SELECT a, sum(b) FROM rq GROUP BY a HAVING (SELECT max((SELECT d FROM rq2 WHERE rq2.a = rq.a))) > 20 ORDER BY a;
SELECT (SELECT max(a) FILTER (WHERE sum(b) > 0) FROM rq2 LIMIT 1) FROM rq;
SELECT (SELECT max(rq.a) FILTER (WHERE sum(rq.b) > 0) FROM rq2 LIMIT 1) FROM rq;
SELECT (SELECT max(rq.a + sum(rq.b)) FROM rq2) FROM rq;
SELECT a, (WITH w AS (SELECT 1) SELECT count((SELECT rq.b FROM w))) FROM rq;
SELECT count(*) FROM rq GROUP BY 1;
SELECT count(*) AS n FROM rq GROUP BY n;
SELECT a AS x, row_number() OVER () AS r FROM rq GROUP BY r;
SELECT a, b FROM rq ORDER BY a FETCH FIRST NULL ROWS WITH TIES;
SELECT a, b FROM rq ORDER BY a FETCH FIRST NULL ROWS ONLY;
SELECT CASE WHEN generate_series(1, 2) > 1 THEN 1 END;
SELECT generate_series(1, 2) > 1 AND true;
SELECT NOT (generate_series(1, 2) > 1);
UPDATE rq SET (a, b) = ROW(v.*) FROM (VALUES (1, 7)) v (x, y) WHERE a = x RETURNING *;
UPDATE rq SET (a, b) = (v.*) FROM (VALUES (1, 8)) v (x, y) WHERE a = x RETURNING *;
UPDATE rq SET (a, b) = ROW(v.*, 3) FROM (VALUES (1, 7)) v (x, y) WHERE a = x RETURNING *;
UPDATE rq SET (c, a, b) = ROW(DEFAULT, v.*) FROM (VALUES (3, 7)) v (x, y) WHERE a = x RETURNING *;
SELECT '{}'::json EXCEPT ALL SELECT '{}'::json;
SELECT '{}'::json INTERSECT ALL SELECT '{}'::json;
(SELECT a FROM rq FOR SHARE) UNION ALL SELECT 1;
SELECT 1 UNION (SELECT a FROM rq FOR NO KEY UPDATE NOWAIT);
SELECT string_agg(DISTINCT v, ',' ORDER BY v) FROM (VALUES ('b'::varchar), ('a'), ('b')) s (v);
SELECT string_agg(DISTINCT v, ',' ORDER BY v::text) FROM (VALUES ('b'::varchar), ('a'), ('b')) s (v);
SELECT string_agg(DISTINCT v::text, ',' ORDER BY v) FROM (VALUES ('b'::varchar), ('a'), ('b')) s (v);
SELECT sum(DISTINCT v ORDER BY v), avg(DISTINCT v::float8 ORDER BY v) FROM (VALUES (1::int2), (3), (1)) s (v);
SELECT corr(DISTINCT x, y ORDER BY x) FROM (VALUES (1, 2.5::float4), (2, 3), (3, 9)) s (x, y);
WITH RECURSIVE r (x) AS (SELECT 1::numeric(3,0) UNION ALL SELECT (x + 1)::numeric(5,0) FROM r WHERE x < 3) SELECT * FROM r;
WITH RECURSIVE r (x) AS (SELECT 'a'::varchar(3) UNION ALL SELECT x || 'b' FROM r WHERE x < 'abb') SELECT * FROM r;
WITH RECURSIVE r (x) AS (SELECT 'a'::varchar(3) UNION ALL SELECT (x || 'b')::varchar(3) FROM r WHERE x < 'abb') SELECT * FROM r;
WITH RECURSIVE w (c) AS (SELECT 1 UNION (WITH w AS (SELECT * FROM w) SELECT * FROM w)) SEARCH DEPTH FIRST BY c SET s SELECT * FROM w;
SELECT * FROM rq WHERE (a, b) < ALL (SELECT a, d FROM rq2) ORDER BY a;
SELECT * FROM rq WHERE (a, b) >= ANY (SELECT a, d FROM rq2) ORDER BY a;
SELECT (1, 2) < ALL (SELECT 1, 3 UNION SELECT 2, 0), (1, 2) > ANY (SELECT NULL, 1), (1, 'a', 2.5) <= ALL (VALUES (1, 'b', 0), (2, NULL, 1));
SELECT a, (a, 1) < ANY (SELECT d / 10, (rq.a = ANY (SELECT d FROM rq2))::int FROM rq2) FROM rq ORDER BY a;
SELECT rq2.a, count(s.*), count(s) FROM rq2 LEFT JOIN (SELECT a, 1 AS k FROM rq) s ON s.a = rq2.a GROUP BY 1 ORDER BY 1;
SELECT rq2.a, s, s IS NULL FROM rq2 LEFT JOIN (SELECT a, sum(a) FROM rq GROUP BY a) s ON s.a = rq2.a ORDER BY 1;
SELECT rq2.a, s FROM rq2 LEFT JOIN (VALUES (1, 2)) s (x, y) ON s.x = rq2.a ORDER BY 1;
WITH w AS MATERIALIZED (SELECT a FROM rq) SELECT rq2.a, w, (SELECT w), row_to_json(w) FROM rq2 LEFT JOIN w ON w.a = rq2.a ORDER BY 1;
CREATE VIEW rqv AS SELECT a, b FROM rq;
SELECT rq2.a, rqv, count(rqv) FROM rq2 LEFT JOIN rqv ON rqv.a = rq2.a GROUP BY 1, 2 ORDER BY 1;
SELECT s, rq2 FROM (SELECT a FROM rq OFFSET 0) s FULL JOIN rq2 ON s.a = rq2.a ORDER BY s.a, rq2.a;
SELECT s, s.b FROM rq2 LEFT JOIN LATERAL (SELECT rq2.a AS q, b FROM rq WHERE rq.a = rq2.a) s ON true ORDER BY rq2.a;
CREATE UNIQUE INDEX ON rq2 (a);
INSERT INTO rq2 VALUES (1, 2) ON CONFLICT (a) DO UPDATE SET d = (excluded.ctid::text)::int;
CREATE TABLE rqt (n int, k int, t text);
INSERT INTO rqt SELECT i, (i * 7919) % 5, chr(97 + (i * 31) % 3) FROM generate_series(1, 60) i;
SELECT n, k FROM rqt WHERE n < 12 ORDER BY k;
SELECT n, k FROM rqt ORDER BY k;
SELECT n, k FROM rqt ORDER BY k DESC, t;
SELECT n, t FROM rqt ORDER BY t;
SELECT n, k FROM rqt ORDER BY k LIMIT 7;
SELECT n, k FROM rqt ORDER BY k LIMIT 7 OFFSET 3;
SELECT n, t FROM rqt ORDER BY t DESC LIMIT 10;
SELECT n, k FROM rqt ORDER BY k LIMIT 40;
SELECT n, k, row_number() OVER (ORDER BY k) AS r, first_value(n) OVER (ORDER BY t) FROM rqt ORDER BY n;
SELECT k, array_agg(n ORDER BY t) FROM rqt GROUP BY k ORDER BY k;
SELECT DISTINCT ON (k) k, n FROM rqt ORDER BY k;
SELECT n, k FROM rqt ORDER BY k FETCH FIRST 5 ROWS WITH TIES;
SELECT n, k, nullif(k, 3) FROM rqt ORDER BY nullif(k, 3) NULLS FIRST, t LIMIT 25;
SELECT DISTINCT ON (k) k, n, generate_series(1, 3) AS g FROM rqt WHERE n < 9;
SELECT DISTINCT ON (k) k, n, generate_series(1, 3) AS g FROM rqt WHERE n < 9 ORDER BY k, n DESC;
SELECT DISTINCT ON (k) k, n, generate_series(1, 3) AS g FROM rqt WHERE n < 9 ORDER BY k, n DESC, g DESC;
SELECT DISTINCT ON (g) k, n, generate_series(1, 3) AS g FROM rqt WHERE n < 9;
CREATE TABLE rqc (a int, b text DEFAULT 'dflt', c int GENERATED ALWAYS AS (a * 2) STORED, CHECK (a < 100));
COPY rqc (a) FROM STDIN WHERE a > 2 AND b = 'dflt';
1
3
4
\.
COPY rqc FROM STDIN (FORMAT csv) WHERE b LIKE 'q%';
5,qa
6,wa
7,qb
\.
COPY rqc (a) FROM STDIN WHERE a < 200;
200
8
199
\.
COPY rqc (a) FROM STDIN WHERE a < 100 OR a IS NULL;
300
9
\N
\.
TABLE rqc;
COPY rqc FROM STDIN WHERE nosuch = 1;
COPY rqc FROM STDIN WHERE a;
COPY rqc FROM STDIN WHERE max(a) = 1;
COPY rqc FROM STDIN WHERE row_number() OVER () = 1;
COPY rqc FROM STDIN WHERE generate_series(1, a) = 1;
COPY rqc FROM STDIN WHERE a = (SELECT 1);
COPY rqc TO STDOUT WHERE a = 1;
COPY (SELECT 1 INTO rqx) TO STDOUT;
COPY (SELECT 1 INTO rqx UNION SELECT 2) TO STDOUT;
COPY rqc (a) FROM STDIN (FORMAT csv, FORCE_NULL (b));
COPY rqc (a) FROM STDIN (FORMAT csv, FORCE_NOT_NULL (b));
COPY rqc (a) FROM STDIN (FORMAT csv, FORCE_NOT_NULL (z));
CREATE TABLE rqf (a text, b text, c text);
COPY rqf FROM STDIN (FORMAT csv, FORCE_NULL (a, b), FORCE_NOT_NULL (b, c));
,,
"","",""
x,y,z
\.
COPY rqf FROM STDIN;
one\
line	two\\	three\
\
lines
a\\\
b	c	d
\.
COPY rqf FROM STDIN;
x	y	z\
\.
COPY rqf FROM STDIN;
x	y\
z
\.
TABLE rqf;
CREATE DOMAIN rqd AS text;
CREATE FUNCTION rq_make(text) RETURNS rqd LANGUAGE sql VOLATILE AS 'SELECT $1::rqd';
CREATE FUNCTION rq_eq(rqd, rqd) RETURNS boolean LANGUAGE sql AS 'SELECT CASE $2::text WHEN $1::text THEN true ELSE false END';
CREATE OPERATOR = (PROCEDURE = rq_eq, LEFTARG = rqd, RIGHTARG = rqd);
SELECT CASE rq_make('bar') WHEN 'foo'::rqd THEN 'foo' ELSE 'other' END;
SELECT CASE rq_make('bar') WHEN 'foo'::rqd THEN 'foo' WHEN 'bar'::rqd THEN 'bar' ELSE 'other' END;
SELECT t, CASE t::rqd WHEN 'a'::rqd THEN 1 WHEN 'b'::rqd THEN 2 END FROM (VALUES ('a'), ('b'), ('c')) v (t);
DROP OPERATOR = (rqd, rqd);
DROP FUNCTION rq_eq(rqd, rqd);
DROP FUNCTION rq_make(text);
DROP DOMAIN rqd;
DROP TABLE rqt, rqc, rqf;
DROP VIEW rqv;
DROP TABLE rq, rq2;
