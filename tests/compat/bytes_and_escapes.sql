-- bytea: LIKE, overlay, single bits; unistr.
select 'abc'::bytea like '_b_'::bytea, 'abc'::bytea not like '_b_'::bytea, '\x61ff63'::bytea like '\x615f63'::bytea, 'a_c'::bytea like 'a$__'::bytea escape '$'::bytea, 'abc'::bytea like 'a%'::bytea;
select '\x61255c'::bytea like '\x615c'::bytea;
select 'abc'::bytea like 'a$_'::bytea escape '$$'::bytea;
select overlay('\x1234567890'::bytea placing '\xff'::bytea from 2), overlay('\x1234567890'::bytea placing '\xff'::bytea from 2 for 3), overlay('\x12'::bytea placing '\xff'::bytea from 5);
select overlay('\x1234'::bytea placing '\xff'::bytea from 0);
select set_bit('\x1234567890abcdef00'::bytea, 43, 0), set_bit('\x00'::bytea, 7, 1), get_bit('\x80'::bytea, 7), bit_count('\x1234567890'::bytea);
select set_bit('\x12'::bytea, 99, 0);
select set_bit('\x12'::bytea, 3, 2);
select get_bit('\x12'::bytea, -1);
select unistr('\0064at\+0000610'), unistr('d\u0061t\U000000610'), unistr('a\\b'), unistr('\d83d\de00'), unistr('');
select unistr('wrong: \xyz');
select unistr('wrong: \db99');
select unistr('wrong: \db99\0061');
select unistr('wrong: \db99x');
select unistr('wrong: \dead');
select unistr('wrong: \U002FFFFF');
select unistr('a\0000b');
select unistr('a\');
