-- Joins whose inner side has one match at most: EXPLAIN says so
SET max_parallel_workers_per_gather = 0;
CREATE TABLE xu_s (id int PRIMARY KEY, val int);
CREATE TABLE xu_t (id int PRIMARY KEY, val int);
INSERT INTO xu_s SELECT x, x * 10 FROM generate_series(1, 500) x;
INSERT INTO xu_t SELECT x, x FROM generate_series(1, 500) x;
ANALYZE xu_s, xu_t;
EXPLAIN (COSTS OFF, FORMAT JSON) SELECT * FROM xu_s LEFT JOIN xu_t USING (id);
EXPLAIN (COSTS OFF, FORMAT YAML, VERBOSE) SELECT * FROM xu_s JOIN xu_t ON xu_s.val = xu_t.val;
EXPLAIN (COSTS OFF, FORMAT XML) SELECT * FROM xu_s FULL JOIN xu_t USING (id);
EXPLAIN (COSTS OFF, VERBOSE) SELECT * FROM xu_s FULL JOIN xu_t USING (id);
EXPLAIN (COSTS OFF) SELECT * FROM xu_s FULL JOIN xu_t USING (id);
EXPLAIN (COSTS OFF, VERBOSE) SELECT * FROM xu_s WHERE val IN (SELECT id FROM xu_t);
SET enable_hashjoin = off;
EXPLAIN (COSTS OFF, VERBOSE) SELECT * FROM xu_s a JOIN xu_t b USING (id) WHERE a.id < 5;
SET enable_mergejoin = off;
EXPLAIN (COSTS OFF, VERBOSE) SELECT a.*, b.val FROM xu_s a LEFT JOIN xu_t b ON b.id = a.val WHERE a.id < 5;
DROP TABLE xu_s, xu_t;
