-- The plans of joins, sorts and groups, as EXPLAIN shows them, and their rows.
CREATE TABLE big (id int PRIMARY KEY, x int, y int, t text);
CREATE TABLE part (id int PRIMARY KEY, big_id int, x int, v numeric);
CREATE TABLE leaf (id int PRIMARY KEY, part_id int, y int);
CREATE TABLE tiny (id int PRIMARY KEY, n text);
CREATE TABLE holes (i int, j int);
CREATE TABLE dup (k int, l int);
INSERT INTO big SELECT i, i % 100, i % 7, 'text ' || (i % 50) FROM generate_series(1, 3000) i;
INSERT INTO part SELECT i, (i * 7) % 3000 + 1, i % 300, i / 3.0 FROM generate_series(1, 6000) i;
INSERT INTO leaf SELECT i, (i * 13) % 6000 + 1, i % 10 FROM generate_series(1, 1500) i;
INSERT INTO tiny SELECT i, 'n' || i FROM generate_series(1, 20) i;
INSERT INTO holes SELECT CASE WHEN i % 5 = 0 THEN NULL ELSE i % 30 END, i FROM generate_series(1, 500) i;
INSERT INTO dup SELECT i % 10, i FROM generate_series(1, 300) i;
CREATE INDEX part_big_id ON part (big_id);
CREATE INDEX part_x ON part (x);
CREATE INDEX leaf_part_id ON leaf (part_id);
CREATE INDEX big_x_y ON big (x, y);
ANALYZE big;
ANALYZE part;
ANALYZE leaf;
ANALYZE tiny;
ANALYZE holes;
ANALYZE dup;
SET max_parallel_workers_per_gather = 0;
-- merge joins over orders that are there
EXPLAIN (COSTS OFF) SELECT * FROM big JOIN part ON big.id = part.id ORDER BY big.id;
EXPLAIN (COSTS OFF) SELECT * FROM big JOIN part ON big.id = part.big_id ORDER BY big.id;
EXPLAIN (COSTS OFF) SELECT * FROM big LEFT JOIN part ON big.id = part.id ORDER BY big.id;
EXPLAIN (COSTS OFF) SELECT * FROM big a JOIN big b ON a.id = b.id JOIN big c ON b.id = c.id ORDER BY a.id LIMIT 5;
SELECT a.id, b.x, c.t FROM big a JOIN big b ON a.id = b.id JOIN big c ON b.id = c.id ORDER BY a.id LIMIT 5;
EXPLAIN (COSTS OFF) SELECT * FROM part WHERE EXISTS (SELECT 1 FROM big WHERE big.id = part.id) ORDER BY part.id;
SET enable_hashjoin = off;
SET enable_nestloop = off;
EXPLAIN (COSTS OFF) SELECT * FROM tiny s FULL JOIN holes n ON s.id = n.i;
EXPLAIN (COSTS OFF) SELECT * FROM tiny s LEFT JOIN holes n ON s.id = n.i AND n.j > 100;
EXPLAIN (COSTS OFF) SELECT * FROM holes n WHERE NOT EXISTS (SELECT 1 FROM tiny s WHERE s.id = n.i);
EXPLAIN (COSTS OFF) SELECT * FROM dup a JOIN dup b ON a.k = b.k AND a.l < b.l ORDER BY a.k DESC;
SELECT count(*), sum(s.id), sum(n.j) FROM tiny s FULL JOIN holes n ON s.id = n.i;
SELECT count(*), sum(s.id), sum(n.j) FROM tiny s LEFT JOIN holes n ON s.id = n.i AND n.j > 480;
SELECT count(*), sum(s.id), sum(n.j) FROM tiny s RIGHT JOIN holes n ON s.id = n.i AND n.j > 100;
SELECT count(*), sum(j) FROM holes n WHERE NOT EXISTS (SELECT 1 FROM tiny s WHERE s.id = n.i);
SELECT count(*), sum(j) FROM holes n WHERE EXISTS (SELECT 1 FROM tiny s WHERE s.id = n.i AND n.j > 20);
SELECT count(*), sum(a.l), sum(b.l) FROM dup a JOIN dup b ON a.k = b.k AND a.l < b.l;
SELECT a.i, b.i FROM holes a FULL JOIN holes b ON a.i = b.j WHERE a.j IS NULL OR b.j IS NULL ORDER BY a.i, b.i, a.j, b.j LIMIT 20;
SELECT count(*) FROM (SELECT 1 FROM holes a JOIN holes b ON a.i = b.i AND a.j = b.j) q;
SELECT count(*), sum(x.a), sum(y.b) FROM (VALUES (1.0, 'x'), (1.00, 'y'), (NULL, 'z'), (2, 'x')) x(a, t) FULL JOIN (VALUES (1.000), (3), (NULL)) y(b) ON x.a = y.b;
SELECT * FROM (VALUES ('NaN'::float8), (1), (NULL)) x(a) JOIN (VALUES ('NaN'::float8), (-0.0), (1)) y(b) ON x.a = y.b ORDER BY 1;
RESET enable_hashjoin;
RESET enable_nestloop;
-- either side may be hashed
EXPLAIN (COSTS OFF) SELECT * FROM big RIGHT JOIN part ON big.id = part.big_id;
EXPLAIN (COSTS OFF) SELECT * FROM tiny LEFT JOIN big ON big.x = tiny.id;
EXPLAIN (COSTS OFF) SELECT * FROM big LEFT JOIN part ON big.id = part.big_id WHERE part.x IS NULL;
EXPLAIN (COSTS OFF) SELECT * FROM big LEFT JOIN tiny ON big.id = tiny.id;
-- bushy trees, classes of equal columns
EXPLAIN (COSTS OFF) SELECT * FROM tiny a, tiny b, tiny c WHERE a.id = b.id AND b.id = c.id;
EXPLAIN (COSTS OFF) SELECT s.n, count(*) FROM tiny s JOIN big ON big.x = s.id JOIN part ON part.big_id = big.id GROUP BY s.n ORDER BY s.n;
SELECT s.n, count(*) FROM tiny s JOIN big ON big.x = s.id JOIN part ON part.big_id = big.id GROUP BY s.n ORDER BY s.n;
-- semi joins
EXPLAIN (COSTS OFF) SELECT * FROM big WHERE EXISTS (SELECT 1 FROM part WHERE part.big_id = big.id AND part.x = 3);
EXPLAIN (COSTS OFF) SELECT * FROM part WHERE big_id IN (SELECT id FROM big WHERE x = 3);
SELECT count(*) FROM big WHERE EXISTS (SELECT 1 FROM part WHERE part.big_id = big.id AND part.x = 3);
-- incremental sort
EXPLAIN (COSTS OFF) SELECT * FROM big ORDER BY x, y, id LIMIT 10;
EXPLAIN (COSTS OFF) SELECT * FROM big ORDER BY x, id LIMIT 5;
EXPLAIN (COSTS OFF) SELECT * FROM (SELECT * FROM dup ORDER BY k) s ORDER BY k, l LIMIT 31;
SELECT x, y, id FROM big ORDER BY x, y, id LIMIT 10;
SELECT x, id FROM big ORDER BY x DESC, id LIMIT 7 OFFSET 3;
SET enable_incremental_sort = off;
EXPLAIN (COSTS OFF) SELECT * FROM big ORDER BY x, id LIMIT 5;
RESET enable_incremental_sort;
-- groups over sorted rows
EXPLAIN (COSTS OFF) SELECT x, count(DISTINCT y) FROM big GROUP BY x;
EXPLAIN (COSTS OFF) SELECT t, count(*) FROM big GROUP BY t HAVING count(*) > 5 ORDER BY count(*) DESC, t;
EXPLAIN (COSTS OFF) SELECT big.id, count(*) FROM big JOIN part ON big.id = part.id GROUP BY big.id ORDER BY big.id;
SET enable_hashagg = off;
EXPLAIN (COSTS OFF) SELECT x, y, count(*) FROM big GROUP BY x, y;
EXPLAIN (COSTS OFF) SELECT DISTINCT t FROM big;
SELECT x, count(*), sum(y), count(DISTINCT y) FROM big WHERE x < 5 GROUP BY x ORDER BY x;
SELECT y, x > 50, count(*) FROM big GROUP BY y, x > 50 ORDER BY 1, 2;
SELECT DISTINCT y, x / 50 FROM big ORDER BY 1 DESC, 2;
RESET enable_hashagg;
-- DISTINCT ON by an index, windows by an index
EXPLAIN (COSTS OFF) SELECT DISTINCT ON (x) * FROM big ORDER BY x, y;
EXPLAIN (COSTS OFF) SELECT t, rank() OVER (ORDER BY id) FROM big;
-- a cache of the inner side
SET enable_hashjoin = off;
SET enable_mergejoin = off;
EXPLAIN (COSTS OFF) SELECT count(*), sum(big.y) FROM part JOIN big ON big.id = part.x WHERE part.id < 2000;
SELECT count(*), sum(big.y) FROM part JOIN big ON big.id = part.x WHERE part.id < 2000;
SELECT count(*), sum(q.s) FROM part, LATERAL (SELECT sum(y) AS s FROM big WHERE big.x = part.x OFFSET 0) q WHERE part.id < 500;
SET enable_memoize = off;
EXPLAIN (COSTS OFF) SELECT count(*), sum(big.y) FROM part JOIN big ON big.id = part.x WHERE part.id < 2000;
RESET ALL;
-- sub-selects that run once
EXPLAIN (COSTS OFF) SELECT * FROM big WHERE x = (SELECT max(k) FROM dup);
EXPLAIN (COSTS OFF) SELECT t FROM big WHERE y = (SELECT min(k) FROM dup WHERE dup.l > big.id);
-- what equals itself is not NULL
EXPLAIN (COSTS OFF) SELECT * FROM holes WHERE i = i AND j > 3;
SELECT count(*) FROM holes WHERE i = i AND j > 3;
-- the order of joins as written
SET join_collapse_limit = 1;
EXPLAIN (COSTS OFF) SELECT * FROM dup a CROSS JOIN tiny b JOIN holes c ON c.i = a.k AND c.j = b.id;
RESET join_collapse_limit;
DROP TABLE big, part, leaf, tiny, holes, dup;
-- What is known of constants is known when a statement is planned.
CREATE TABLE plan_known (id int PRIMARY KEY, a int);
INSERT INTO plan_known SELECT i, i % 7 FROM generate_series(1, 500) i;
ANALYZE plan_known;
EXPLAIN (COSTS OFF) SELECT a FROM plan_known WHERE id = least(9, 3, NULL) AND greatest('b', 'a') = 'b';
EXPLAIN (COSTS OFF) SELECT a FROM plan_known WHERE nullif(1, 2) = 1 AND nullif('b', 'a') IS NOT DISTINCT FROM 'b';
EXPLAIN (COSTS OFF) SELECT a FROM plan_known WHERE 1 IN (2, 3) OR 4 <> ALL (ARRAY[4, NULL]) OR 1 IS DISTINCT FROM 1;
EXPLAIN (COSTS OFF) SELECT a FROM plan_known WHERE 1 IN (2, 3, 1) AND 4 = ANY (ARRAY[4, NULL]) AND NULL IS DISTINCT FROM 1;
EXPLAIN (COSTS OFF) SELECT id, 5 AS five FROM plan_known ORDER BY five, nullif(1, 1), least(1, 2) LIMIT 2;
EXPLAIN (COSTS OFF) SELECT id, 5 AS five FROM plan_known ORDER BY five, a, least(1, 2) LIMIT 2;
EXPLAIN (COSTS OFF) SELECT id FROM plan_known WHERE a < ANY (SELECT k.a FROM plan_known k WHERE k.id <> 3 AND 1 = ANY (ARRAY[2, 3]));
SELECT count(*) FROM plan_known p WHERE NOT EXISTS (SELECT FROM plan_known k WHERE k.id < p.id AND least(1, 2) = 2);
SELECT count(*) FROM plan_known WHERE a < ANY (SELECT k.a FROM plan_known k WHERE k.id <> 3 AND nullif(1, 1) = 1);
SELECT least('b', 'a'), greatest(NULL, 1, 3, 2), least(1.50, 1.5), greatest('a'::char(3), 'b'), least(NULL::int, NULL), greatest('NaN'::float8, 1), nullif(1, 1), nullif(1.0, 2), nullif(NULL, 1), nullif(2, NULL);
SELECT 1 IS DISTINCT FROM NULL, NULL IS NOT DISTINCT FROM NULL, 1 IS NOT DISTINCT FROM 1, 2 IN (1, NULL), 1 IN (1, NULL), NULL IN (1), 3 <> ALL (ARRAY[1, 2]), 3 <> ALL (ARRAY[1, NULL]);
SELECT 1 = ANY ('{}'::int[]), NULL = ANY ('{}'::int[]), NULL <> ALL ('{}'::int[]), 1 = ANY (NULL::int[]), 1 = ANY ('{{1,2},{3,4}}'), 'x' LIKE ANY (ARRAY['y%', 'x%']);
SELECT greatest('{1}'::int[], '{2}'), least(ROW(1, 2), ROW(1, 3)), nullif(ROW(1, 2), ROW(1, 2)), least('abc'::varchar(2), 'zz'), least('a' COLLATE "C", 'B');
SELECT a FROM plan_known WHERE id = 3 AND ROW(1, '{}'::json) IS DISTINCT FROM ROW(1, '[]'::json);
DROP TABLE plan_known;
