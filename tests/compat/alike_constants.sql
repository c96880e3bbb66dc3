-- Constants of GROUP BY, DISTINCT and ORDER BY are the select list's where they are written alike: a NaN is itself, 1.0
-- and 1.00 are two, as are zeros of two signs.
CREATE TABLE alike (a int, r real, f float8, n numeric, c cidr);
INSERT INTO alike VALUES (1, 1, 2, 3, '10.0.0.0/8'), (2, NULL, 'NaN', 'NaN', '192.168.1.0/24'), (3, 1, -2, 0.5, NULL);
SELECT r = 'NaN'::real AS x FROM alike GROUP BY r = 'NaN'::real ORDER BY 1;
SELECT r = 'NaN' AS x FROM alike GROUP BY r = 'NaN' ORDER BY 1;
SELECT r IN ('NaN', '1') AS x FROM alike GROUP BY r IN ('NaN', '1') ORDER BY 1;
SELECT r = ANY ('{NaN,1}') AS x FROM alike GROUP BY r = ANY ('{NaN,1}') ORDER BY 1;
SELECT f + 'NaN'::float8 AS x, count(*) FROM alike GROUP BY f + 'NaN'::float8;
SELECT n + 'NaN'::numeric AS x, count(*) FROM alike GROUP BY n + 'NaN'::numeric;
SELECT DISTINCT r < 'NaN' AS x FROM alike ORDER BY r < 'NaN';
SELECT count(*) FROM alike GROUP BY DISTINCT ROLLUP (r = 'NaN'), ROLLUP (r = 'NaN') ORDER BY 1;
SELECT n + 1.0 AS x FROM alike GROUP BY n + 1.00;
SELECT n + 1.0 AS x FROM alike GROUP BY n + 1.0 ORDER BY 1;
SELECT f + '-0'::float8 AS x FROM alike GROUP BY f + '0'::float8;
SELECT f + '-0'::float8 AS x FROM alike GROUP BY f + '-0'::float8 ORDER BY 1;
-- cidr is ordered, grouped and indexed as inet is.
SELECT c FROM alike ORDER BY c DESC NULLS LAST;
SELECT c, count(*) FROM alike GROUP BY c ORDER BY c;
SELECT array_agg(c ORDER BY c DESC), count(DISTINCT c) FROM alike;
CREATE INDEX ON alike (c);
CREATE INDEX ON alike USING hash (c);
SELECT a FROM alike WHERE c = '10.0.0.0/8';
SELECT x.a, y.a FROM alike x FULL JOIN alike y ON x.c = y.c ORDER BY 1, 2;
SELECT rank() OVER (ORDER BY c) AS x FROM alike ORDER BY 1;
-- What a view's definition says of rows of a type, and of SEARCH and CYCLE.
CREATE TYPE alike_pair AS (a int, b text);
CREATE VIEW alike_rows AS SELECT ROW(1, 'a')::alike_pair AS a, coalesce(ROW(a, 'a')::alike_pair, '(1,b)') AS b, ROW(a, 2) < ROW(2, 3) AS d FROM alike;
SELECT pg_get_viewdef('alike_rows');
SELECT * FROM alike_rows ORDER BY 2;
CREATE VIEW alike_search AS WITH RECURSIVE w(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM w WHERE n < 3) SEARCH DEPTH FIRST BY n SET o SELECT n FROM w;
SELECT pg_get_viewdef('alike_search');
CREATE VIEW alike_cycle AS WITH RECURSIVE w(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM w WHERE n < 3) CYCLE n SET c USING p SELECT n FROM w;
SELECT pg_get_viewdef('alike_cycle');
SELECT * FROM alike_cycle ORDER BY 1;
-- An UPDATE whose values or condition have sub-selects with ANY and ALL of the row itself.
UPDATE alike SET a = CASE WHEN a < ALL (SELECT s.a FROM alike s) THEN 11 ELSE 12 END RETURNING a;
UPDATE alike SET a = length(ctid::text) + CASE WHEN (xmin::text, n) < ANY (SELECT s.a::text, s.n FROM alike s) THEN 1 ELSE 1 END WHERE n IS NOT NULL AND (n, f) >= ANY (SELECT s.n, s.f FROM alike s) RETURNING a;
-- FULL JOIN by types that are ordered but have no hashes.
CREATE TABLE alike_full (a int, m money, b bit(3), v tsvector);
INSERT INTO alike_full VALUES (1, 1, '101', 'a'), (2, 2, '101', NULL), (3, NULL, '000', 'b'), (4, 2, NULL, 'c');
SELECT x.a, y.a FROM alike_full x FULL JOIN alike_full y ON x.m = y.m ORDER BY 1, 2;
SELECT x.a, y.a FROM alike_full x FULL JOIN (SELECT * FROM alike_full WHERE a > 2) y ON x.b = y.b AND x.m = y.m ORDER BY 1, 2;
SELECT count(*) FROM alike_full x FULL JOIN (SELECT * FROM alike_full WHERE a < 3) y USING (v);
SELECT x.a, y.a FROM alike_full x FULL JOIN alike_full y ON x.m < y.m ORDER BY 1, 2;
SELECT x.a, y.a FROM alike_full x FULL JOIN alike_full y ON x.m = y.m AND x.b = '101' ORDER BY 1, 2;
SELECT x.a, y.a FROM alike_full x FULL JOIN alike_full y ON x.m = y.m AND x.a = y.a ORDER BY 1, 2;
-- A field of a row that is NULL.
SELECT (NULL::alike_pair).a, (NULL::alike_pair).b FROM alike WHERE (NULL::alike_pair).a IS NULL AND a > 11;
