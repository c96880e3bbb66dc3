-- COPY in and out, text and CSV
CREATE TABLE t (id int, a text, b numeric(6,2), c bool);
COPY t FROM STDIN;
1	one	1.5	t
2	two\twith tab	2.25	f
3	\N	\N	\N
4	back\\slash\nnl	-1	true
\.
SELECT * FROM t ORDER BY id;
COPY t TO STDOUT;
COPY t (a, id) TO STDOUT;
COPY (SELECT id, a FROM t WHERE id > 2 ORDER BY id DESC) TO STDOUT;
COPY t TO STDOUT WITH (FORMAT csv, HEADER);
COPY t TO STDOUT (FORMAT csv, DELIMITER ';', NULL 'nil', FORCE_QUOTE (a));
COPY t TO STDOUT CSV HEADER QUOTE '''' ESCAPE '\' FORCE QUOTE *;
COPY t TO STDOUT (DELIMITER '|', NULL '');
COPY t (id, a) FROM STDIN (FORMAT csv);
10,"quoted, ""text"""
11,
12,""
13,"two
lines"
\.
SELECT id, a, a IS NULL FROM t WHERE id >= 10 ORDER BY id;
COPY t FROM STDIN (FORMAT csv, HEADER, DELIMITER ';', NULL 'nil');
id;a;b;c
20;x;1;t
21;nil;nil;nil
\.
COPY t FROM STDIN (FORMAT csv, HEADER match);
id,a,b
20,x,1
\.
COPY t FROM STDIN;
30	x
\.
COPY t FROM STDIN;
30	x	1	t	extra
\.
COPY t FROM STDIN;
31	ok	1	t
abc	x	1	t
\.
COPY t FROM STDIN;
32	ok	99999.99	t
\.
COPY t FROM STDIN (FORMAT csv);
33,"unterminated,1,t
\.
COPY nosuch FROM STDIN;
\.
COPY t (nosuch) FROM STDIN;
\.
COPY t (id, id) FROM STDIN;
\.
COPY t FROM STDIN (FORMAT nosuch);
\.
COPY t TO STDOUT (DELIMITER 'ab');
COPY t TO STDOUT (FORMAT csv, QUOTE 'ab');
COPY t TO STDOUT (QUOTE '"');
COPY t TO STDOUT (nosuch true);
COPY nosuch TO STDOUT;
COPY (SELECT nosuch FROM t) TO STDOUT;
SELECT count(*) FROM t;
CREATE TABLE u (id int PRIMARY KEY, v int NOT NULL CHECK (v > 0), w text DEFAULT 'dflt');
COPY u (id, v) FROM STDIN;
1	1
2	2
\.
SELECT * FROM u ORDER BY id;
COPY u (id, v) FROM STDIN;
3	3
1	4
\.
COPY u (id, v) FROM STDIN;
3	\N
\.
COPY u (id, v) FROM STDIN;
3	-1
\.
SELECT * FROM u ORDER BY id;
COPY u FROM STDIN (FREEZE off);
5	5	five
\.
BEGIN;
COPY u FROM STDIN;
6	6	six
\.
ROLLBACK;
SELECT count(*) FROM u;
CREATE VIEW cv AS SELECT * FROM u;
COPY cv TO STDOUT;
COPY (SELECT 1, 'a', NULL, true, 1.50, date '2024-01-01', '\x01'::bytea, ARRAY['a b', NULL]) TO STDOUT;
COPY (SELECT 1, 'a', NULL, true, 1.50, date '2024-01-01', '\x01'::bytea, ARRAY['a b', NULL]) TO STDOUT (FORMAT csv);
COPY (INSERT INTO u VALUES (50, 50) RETURNING id, v) TO STDOUT;
COPY (VALUES ('\.'), ('a' || chr(13) || 'b'), (E'\\.')) TO STDOUT;
COPY (VALUES ('\.'), ('a' || chr(13) || 'b'), (E'\\.')) TO STDOUT CSV;
