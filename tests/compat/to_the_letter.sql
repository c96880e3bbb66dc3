-- values, errors and their words at the edges of every family
SELECT x, avg(x) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS pair, avg(x) OVER (ORDER BY x ROWS 2 PRECEDING) FROM (VALUES (interval '1 mon'), ('2 mons 1 day'), ('1 day 00:00:01'), ('100 years'), ('7 days -3 mons')) v(x);
SELECT avg(x) FROM (VALUES (interval '1 mon'), ('2 mons 1 day'), ('1 day 00:00:01')) v(x);
SELECT float8_corr('{}');
SELECT interval_avg('{}');
SELECT postgresql_fdw_validator('{a,NULL}', 0);
SELECT postgresql_fdw_validator('{{a=1,b},{c,d}}', 0);
SELECT ts_headline('null'::json, 'a', 'abc');
SELECT ts_headline('[1]'::jsonb, 'a', 'MaxWords=1');
SELECT y, timezone('FOO5BAR3', (y || '-01-15 12:00:00+00')::timestamptz), timezone('FOO5BAR3', (y || '-07-15 12:00:00+00 BC')::timestamptz) FROM (VALUES ('0001'), ('0004'), ('1500'), ('4712')) v(y);
SELECT timezone('UTC-14', '294276-12-31 23:00:00+00'::timestamptz);
SET TimeZone = 'Asia/Tokyo';
SELECT '4714-11-24 BC'::date::timestamptz;
SELECT '4714-11-25 BC'::date::timestamptz, 'infinity'::date::timestamptz;
RESET TimeZone;
