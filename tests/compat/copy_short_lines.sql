-- Lines with too few or too many fields: what is wrong before comes before
CREATE TABLE cs_t (a int, b int, c varchar(3));
COPY cs_t FROM STDIN;
x	1
\.
COPY cs_t FROM STDIN;
1	x
\.
COPY cs_t FROM STDIN;
1	2
\.
COPY cs_t FROM STDIN;
1	2	3	4
\.
COPY cs_t FROM STDIN;
x	2	3	4
\.
COPY cs_t FROM STDIN;
1	2	abc
1	x	abc
1
\.
COPY cs_t FROM STDIN;
1	2	abc
1	2	abcd
1	2	3	4
\.
COPY cs_t FROM STDIN (FORMAT csv, HEADER);
a,b

1,2,3
\.
COPY cs_t FROM STDIN (FORMAT csv);
1,2,abc
99999999999,2
\.
SELECT count(*) FROM cs_t;
DROP TABLE cs_t;
