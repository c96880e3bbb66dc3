-- What random queries (tests/fuzz) have found.
CREATE TABLE fuzzed (id int, c char(3), b bit(3), p bpchar, n numeric, t text);
INSERT INTO fuzzed VALUES (1, 'abc', '101', 'x', 1.50, 'a'), (2, 'q', '000', 'y', NULL, NULL), (3, NULL, NULL, NULL, 2, 'b');
-- A constant without a length has not the length 1.
CREATE VIEW fuzzed_lengths AS SELECT id, c > 'abc' AS x, 'xy'::bpchar AS y, '{ab}'::bpchar[] AS z, b = '101' AS w FROM fuzzed;
SELECT pg_get_viewdef('fuzzed_lengths'::regclass);
SELECT * FROM fuzzed_lengths ORDER BY id;
EXPLAIN (COSTS OFF, VERBOSE) SELECT c > 'abc', '{ab}'::bpchar[] FROM fuzzed WHERE b = '101';
-- A row lock in a sub-select is no change.
BEGIN;
DECLARE locked SCROLL CURSOR FOR SELECT * FROM (SELECT id FROM fuzzed FOR UPDATE) s ORDER BY id;
FETCH 2 FROM locked;
DECLARE changed CURSOR FOR WITH w AS (DELETE FROM fuzzed RETURNING id) SELECT * FROM w;
ROLLBACK;
BEGIN;
DECLARE held SCROLL CURSOR WITH HOLD FOR SELECT id FROM (SELECT id FROM fuzzed FOR SHARE) s ORDER BY id;
COMMIT;
FETCH ALL FROM held;
CLOSE held;
-- A cast with a length is one cast, also to the elements of an array.
CREATE VIEW fuzzed_casts AS SELECT id::bit(3) AS a, id::bit AS b, id::numeric(5,2) AS c, id::numeric::numeric(5,1) AS d, ARRAY[id, NULL, 3]::bit(3)[] AS e, ARRAY['abc', 'd']::varchar(2)[] AS f, ARRAY[ARRAY[id]]::numeric(5,1)[] AS g, timestamp '2024-01-01'::timestamp(2) AS h FROM fuzzed;
SELECT pg_get_viewdef('fuzzed_casts'::regclass);
SELECT * FROM fuzzed_casts ORDER BY c;
SELECT ARRAY[5, NULL]::bit(3)[], ARRAY[ARRAY['abc'::text]]::char(2)[], 5::bit(3)::bit(2);
-- A row equals itself with NULLs in it.
CREATE TYPE fuzzed_pair AS (a int, b text);
SELECT * FROM (VALUES (1, '(,)'::fuzzed_pair), (2, '(1,)'), (3, NULL)) v(id, p) WHERE p = p;
-- A sub-select that is grouped by, written again.
SELECT GROUPING((SELECT max(n) FROM fuzzed)), (SELECT max(n) FROM fuzzed), count(*) FROM fuzzed GROUP BY ROLLUP ((SELECT max(n) FROM fuzzed)) ORDER BY 1, 3;
SELECT f.id % 2, GROUPING((SELECT g.t FROM fuzzed g WHERE g.id = f.id % 2)), (SELECT g.t FROM fuzzed g WHERE g.id = f.id % 2), count(*) FROM fuzzed f GROUP BY GROUPING SETS ((f.id % 2, (SELECT g.t FROM fuzzed g WHERE g.id = f.id % 2)), ()) ORDER BY 1, 2;
-- A condition in parentheses that the grammar leaves out.
CREATE VIEW fuzzed_between AS SELECT id FROM fuzzed WHERE id NOT BETWEEN 1 AND 2 OR id IN (1, 7) OR n IS NULL;
SELECT * FROM fuzzed_between ORDER BY id;
-- IN of a sub-select of one row that is of no table.
SELECT id FROM fuzzed WHERE id IN (SELECT 2 FROM (SELECT 1 AS one) s) ORDER BY id;
SELECT f.id FROM fuzzed f LEFT JOIN fuzzed g ON g.id = f.id WHERE 1 = ANY (SELECT s.one FROM (SELECT 1 AS one) s WHERE f.n IS NULL) ORDER BY f.id;
SELECT id FROM fuzzed f WHERE EXISTS (SELECT 1 FROM (SELECT 1 AS one) s WHERE s.one = f.id) OR NOT EXISTS (SELECT 1 FROM (SELECT 3 AS one) s WHERE s.one <> f.id) ORDER BY id;
SELECT id FROM fuzzed f WHERE NOT EXISTS (SELECT 1 FROM (SELECT 1 AS one) s WHERE s.one = f.id) ORDER BY id;
-- A column of a record whose name a column of the join has.
CREATE VIEW fuzzed_records AS SELECT r.x FROM fuzzed f NATURAL FULL JOIN fuzzed g JOIN jsonb_to_recordset('[{"id": 1, "x": "a"}]') r(id int, x text) ON f.id = r.id;
SELECT pg_get_viewdef('fuzzed_records'::regclass);
SELECT * FROM fuzzed_records;
-- A FULL JOIN that could not be computed, and need not be.
SELECT f.id FROM fuzzed f FULL JOIN fuzzed g ON f.id > g.id;
SELECT f.id FROM fuzzed f FULL JOIN fuzzed g ON f.id > g.id WHERE false;
SELECT f.id FROM fuzzed f FULL JOIN (VALUES (1, timestamp '2024-01-01')) g(id, at) ON g.at = date '2024-01-01' AND f.id > g.id WHERE NULL AND f.id > 0;
-- An aggregate that a sub-select takes from the query around it, beside a column that a sub-select groups by.
SELECT count(*), (SELECT count(f.id)) FROM fuzzed f GROUP BY (SELECT f.id % 2) ORDER BY 1, 2;
SELECT count(*), (SELECT count(f.id) LIMIT 1) FROM fuzzed f WHERE f.id = 77 GROUP BY ROLLUP ((SELECT f.id LIMIT 1));
SELECT count(*), (SELECT max(g.id) + max(f.id) FROM fuzzed g) FROM fuzzed f GROUP BY CUBE ((SELECT f.id % 2)) ORDER BY 1, 2;
-- What is false is false before anything is joined.
--differs: no join is needed
SELECT f.id FROM fuzzed f FULL JOIN fuzzed g ON f.id > g.id WHERE EXISTS (SELECT 1 FROM fuzzed h WHERE h.id = f.id AND false);
