-- input, output, send and modifier functions by name
SELECT int4in('12'), int4out(12), int4send(12), int8send(-1), int2in(' 7 '), float8in('1e3'), float8out(1.50), float8send(1.5), numeric_in('1.239', 0, 655366), numeric_out(1.20), numeric_send(1.5), boolin('yes'), boolout(true), boolsend(false);
SELECT int4in('x');
SELECT int4in(NULL), textout(NULL), pg_typeof(int4out(1)), int4out(1)::text, textin('abc'), textsend('abc'), byteain('\x01'), byteaout('\x01'), bpcharin('abc', 0, 9), varcharin('abcdef', 0, 10);
SELECT varcharin('abc', 0, 9)::text || '|', bpcharout('ab'::char(4)), charin('a'), charout('b'), namein('n'), nameout('n'), namesend('n'), oidin('17'), oidout(17), oidsend(17), tidout('(1,2)'), xidout('5'), cidout('6');
SELECT date_in('2020-01-02'), date_out('2020-01-02'), date_send('2000-01-02'), timestamp_in('2020-01-02 10:00:00.129', 0, 2), timestamp_out('2020-01-02'), interval_in('1 day', 0, -1), interval_out('1 day'), time_out('10:00'), timetz_out('10:00+02'), uuid_out('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'), uuid_send('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
SELECT array_out(ARRAY[1, NULL]), array_send(ARRAY[1]), range_out('[1,2)'::int4range), range_send('[1,2)'::int4range), multirange_out('{[1,2)}'::int4multirange), multirange_send('{}'::int4multirange), record_out(ROW(1, 'a b')), anyarray_out(ARRAY['x']), anyrange_out('[1,2)'::numrange);
SELECT anyelement_out(1);
SELECT anyrange_in('[1,2)', 3904, -1);
SELECT anyarray_in('{1}');
SELECT void_out(pg_notify('a', 'b')) WHERE false;
SELECT numerictypmodin('{10,2}'), numerictypmodout(655366), varchartypmodin('{5}'), varchartypmodout(9), bpchartypmodout(-1), timestamptypmodin('{3}'), timestamptypmodout(3), timestamptztypmodout(3), timetypmodout(2), bittypmodin('{4}'), bittypmodout(4), varbittypmodout(4), intervaltypmodout(2147418115);
SELECT varchartypmodin('{0}');
SELECT varchartypmodin('{a}');
SELECT varchartypmodin('{NULL}');
SELECT regtypein('int4'), regtypeout(23), regclassout(1259), regprocout('now'::regproc), regtypesend(23), regclassin('pg_class');
SELECT json_out('{"a": 1}'), jsonb_out('{"a": 1}'), json_send('1'), jsonb_send('1'), bit_out(B'101'), bit_send(B'101'), inet_out('10.0.0.1'), macaddr_out('08:00:2b:01:02:03'), cash_out('1.5'), pg_lsn_out('0/10'), pg_lsn_send('0/10');
SELECT oid::regprocedure FROM pg_proc WHERE proname IN ('int4in', 'int4out', 'int4send', 'numerictypmodin') ORDER BY 1;
