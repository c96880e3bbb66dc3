-- Rows by their addresses: = , lists, ORs, ranges, joins; what the planner makes of them
SET max_parallel_workers_per_gather = 0;
CREATE TABLE ra_t (id int, note text);
INSERT INTO ra_t SELECT i, repeat('x', 800) || i FROM generate_series(1, 200) i;
ANALYZE ra_t;
-- single addresses
EXPLAIN (COSTS OFF) SELECT ctid, id FROM ra_t WHERE ctid = '(0,1)';
SELECT ctid, id FROM ra_t WHERE ctid = '(0,1)';
EXPLAIN (COSTS OFF) SELECT id FROM ra_t WHERE '(2,3)'::tid = ctid;
SELECT id FROM ra_t WHERE '(2,3)'::tid = ctid;
SELECT id FROM ra_t WHERE ctid = '(99,1)';
SELECT id FROM ra_t WHERE ctid = NULL;
SELECT id FROM ra_t WHERE ctid = '(0,0)';
EXPLAIN (COSTS OFF) SELECT id FROM ra_t WHERE ctid = '(1,1)' AND id > 3;
SELECT id FROM ra_t WHERE ctid = '(1,1)' AND id < 3;
EXPLAIN (COSTS OFF) SELECT id FROM ra_t WHERE ctid = (SELECT max(ctid) FROM ra_t);
SELECT id FROM ra_t WHERE ctid = (SELECT max(ctid) FROM ra_t);
EXPLAIN (COSTS OFF) SELECT id FROM ra_t WHERE ctid <> '(0,1)';
SELECT count(*) FROM ra_t WHERE ctid <> '(0,1)';
-- lists
EXPLAIN (COSTS OFF) SELECT ctid, id FROM ra_t WHERE ctid IN ('(0,4)', '(0,2)', '(3,1)');
SELECT ctid, id FROM ra_t WHERE ctid IN ('(0,4)', '(0,2)', '(3,1)', '(0,2)');
EXPLAIN (COSTS OFF) SELECT id FROM ra_t WHERE ctid = ANY ('{"(0,1)","(0,9)",NULL}');
SELECT id FROM ra_t WHERE ctid = ANY ('{"(0,1)","(0,9)",NULL}');
SELECT id FROM ra_t WHERE ctid = ANY (NULL::tid[]);
SELECT id FROM ra_t WHERE ctid = ANY ('{}');
EXPLAIN (COSTS OFF) SELECT id FROM ra_t WHERE ctid <> ALL ('{"(0,1)","(0,9)"}');
SELECT count(*) FROM ra_t WHERE ctid <> ALL ('{"(0,1)","(0,9)"}');
SELECT count(*) FROM ra_t WHERE ctid <> ANY ('{"(0,1)","(0,9)"}');
SELECT count(*) FROM ra_t WHERE ctid NOT IN ('(0,1)', '(1,1)');
-- ORs
EXPLAIN (COSTS OFF) SELECT id FROM ra_t WHERE ctid = '(0,3)' OR ctid = '(0,7)';
SELECT id FROM ra_t WHERE ctid = '(0,3)' OR ctid = '(0,7)';
EXPLAIN (COSTS OFF) SELECT id FROM ra_t WHERE ctid = '(0,3)' OR ctid IN ('(0,7)', '(0,8)');
SELECT id FROM ra_t WHERE ctid = '(0,3)' OR ctid IN ('(0,7)', '(0,8)');
EXPLAIN (COSTS OFF) SELECT id FROM ra_t WHERE (ctid = '(0,3)' AND id = 3) OR (id = 9 AND ctid = '(0,7)');
SELECT id FROM ra_t WHERE (ctid = '(0,3)' AND id = 3) OR (id = 9 AND ctid = '(0,7)');
EXPLAIN (COSTS OFF) SELECT id FROM ra_t WHERE ctid = '(0,3)' OR id = 9;
SELECT id FROM ra_t WHERE ctid = '(0,3)' OR id = 9;
-- ranges
EXPLAIN (COSTS OFF) SELECT id FROM ra_t WHERE ctid < '(1,0)';
SELECT count(*), min(id), max(id) FROM ra_t WHERE ctid < '(1,0)';
EXPLAIN (COSTS OFF) SELECT id FROM ra_t WHERE ctid >= '(1,3)' AND ctid < '(2,5)';
SELECT count(*), min(id), max(id) FROM ra_t WHERE ctid >= '(1,3)' AND ctid < '(2,5)';
SELECT count(*), min(id), max(id) FROM ra_t WHERE ctid > '(1,3)' AND ctid <= '(2,5)';
EXPLAIN (COSTS OFF) SELECT id FROM ra_t WHERE '(1,3)' >= ctid AND id % 2 = 0;
SELECT count(*) FROM ra_t WHERE '(1,3)' >= ctid AND id % 2 = 0;
SELECT count(*) FROM ra_t WHERE ctid > '(4000000000,65535)';
SELECT count(*) FROM ra_t WHERE ctid >= '(0,0)';
SELECT count(*) FROM ra_t WHERE ctid < '(0,0)';
SELECT count(*) FROM ra_t WHERE ctid > '(2,1)' AND ctid < '(1,1)';
SELECT count(*) FROM ra_t WHERE ctid < NULL;
SELECT count(*) FROM ra_t WHERE ctid < (SELECT ctid FROM ra_t WHERE id = 40);
SELECT ctid FROM ra_t WHERE ctid BETWEEN '(0,5)' AND '(0,8)';
SELECT ctid, tableoid::regclass, id FROM ra_t WHERE ctid BETWEEN '(0,5)' AND '(0,8)' ORDER BY ctid DESC;
EXPLAIN (COSTS OFF) SELECT a.id, n FROM ra_t a, LATERAL (SELECT count(*) AS n FROM ra_t b WHERE b.ctid <= a.ctid) c WHERE a.ctid < '(0,4)';
SELECT a.id, n FROM ra_t a, LATERAL (SELECT count(*) AS n FROM ra_t b WHERE b.ctid <= a.ctid) c WHERE a.ctid < '(0,4)';
EXPLAIN (COSTS OFF, VERBOSE) SELECT id FROM ra_t WHERE ctid < '(0,5)';
EXPLAIN (COSTS OFF, FORMAT json) SELECT id FROM ra_t WHERE ctid < '(0,5)';
EXPLAIN (COSTS OFF, FORMAT json) SELECT id FROM ra_t WHERE ctid = '(0,5)';
EXPLAIN (COSTS OFF, ANALYZE, TIMING OFF, SUMMARY OFF) SELECT id FROM ra_t WHERE ctid < '(0,5)' AND id <> 2;
-- joins
CREATE TABLE ra_u (at tid, n int);
INSERT INTO ra_u SELECT ctid, id FROM ra_t WHERE id IN (3, 50, 120);
INSERT INTO ra_u VALUES ('(700,1)', 0), (NULL, 1);
ANALYZE ra_u;
EXPLAIN (COSTS OFF) SELECT u.n, t.id FROM ra_u u LEFT JOIN ra_t t ON t.ctid = u.at;
SELECT u.n, t.id FROM ra_u u LEFT JOIN ra_t t ON t.ctid = u.at ORDER BY 1;
SELECT u.n, t.id FROM ra_u u JOIN ra_t t ON t.ctid = u.at ORDER BY 1;
SELECT t.id FROM ra_t t WHERE EXISTS (SELECT FROM ra_u u WHERE u.at = t.ctid) ORDER BY 1;
SELECT t.id FROM ra_t t WHERE t.ctid IN (SELECT at FROM ra_u) ORDER BY 1;
-- with the kinds of scans off
SET enable_tidscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM ra_t WHERE ctid = '(0,3)';
EXPLAIN (COSTS OFF) SELECT id FROM ra_t WHERE ctid < '(0,3)';
SELECT id FROM ra_t WHERE ctid < '(0,3)';
RESET enable_tidscan;
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM ra_t WHERE ctid > '(1,3)';
RESET enable_seqscan;
-- changes
UPDATE ra_t SET note = 'short' WHERE ctid = '(0,2)' RETURNING id;
EXPLAIN (COSTS OFF) DELETE FROM ra_t WHERE ctid < '(0,4)';
DELETE FROM ra_t WHERE ctid < '(0,4)' RETURNING id;
UPDATE ra_t SET note = 'y' WHERE ctid >= '(1,1)' AND ctid < '(1,3)' AND id > 0;
SELECT count(*) FROM ra_t WHERE note = 'y';
DELETE FROM ra_t WHERE ctid IN (SELECT at FROM ra_u);
SELECT count(*) FROM ra_t WHERE ctid = '(0,2)';
BEGIN;
DECLARE ra_c CURSOR FOR SELECT id FROM ra_t WHERE ctid > '(0,5)' FOR UPDATE;
FETCH 2 FROM ra_c;
EXPLAIN (COSTS OFF) UPDATE ra_t SET note = 'z' WHERE CURRENT OF ra_c;
UPDATE ra_t SET note = 'z' WHERE CURRENT OF ra_c RETURNING id;
DECLARE ra_d SCROLL CURSOR FOR SELECT id FROM ra_t WHERE ctid BETWEEN '(2,1)' AND '(2,3)';
FETCH ALL FROM ra_d;
FETCH BACKWARD 2 FROM ra_d;
COMMIT;
PREPARE ra_p (tid) AS SELECT id FROM ra_t WHERE ctid >= $1 AND ctid < '(2,4)';
EXECUTE ra_p ('(2,2)');
EXECUTE ra_p (NULL);
PREPARE ra_q (tid[]) AS SELECT id FROM ra_t WHERE ctid = ANY ($1);
EXECUTE ra_q ('{"(2,3)","(2,2)"}');
-- what it does not match
SELECT count(*) FROM ra_t WHERE ctid::text = '(0,6)';
SELECT id FROM ra_t WHERE ctid = '(0,x)';
SELECT id FROM ra_t WHERE ctid = 5;
SELECT count(*) FROM ra_t a WHERE a.ctid = a.ctid;
-- estimates by address
CREATE TABLE ra_e (a int, note text);
INSERT INTO ra_e SELECT i, repeat('y', 800) FROM generate_series(1, 2000) i;
ANALYZE ra_e;
EXPLAIN SELECT * FROM ra_e WHERE ctid < '(1,0)';
EXPLAIN SELECT * FROM ra_e WHERE ctid = '(3,5)';
EXPLAIN SELECT * FROM ra_e WHERE ctid = '(3,5)' OR ctid = '(3,6)';
EXPLAIN SELECT * FROM ra_e WHERE ctid IN ('(3,5)', '(3,6)', '(3,7)');
DROP TABLE ra_t, ra_u, ra_e;

-- Rows that are locked and shown without a column.
CREATE TABLE bare_rows (id int PRIMARY KEY, note text);
INSERT INTO bare_rows VALUES (1, 'a'), (2, 'b'), (3, 'c');
SELECT FROM bare_rows WHERE id = 1 FOR UPDATE;
SELECT FROM bare_rows FOR SHARE;
SELECT FROM bare_rows LIMIT 2 FOR UPDATE;
SELECT count(*) FROM (SELECT FROM bare_rows WHERE id > 1 FOR NO KEY UPDATE) locked;
SELECT FROM bare_rows a JOIN bare_rows b USING (id) WHERE id < 3 FOR UPDATE OF b;
DROP TABLE bare_rows;
