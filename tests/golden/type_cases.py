"""What ``record_types.py`` asks PostgreSQL: texts for each type, and calls of functions by their text arguments.

``INPUTS``: type, texts between bars. ``CALLS``: one call a line, its arguments between bars; ``~`` is NULL, ``\\n`` a newline.
"""

# ruff: noqa: E501  (one case a line)
from __future__ import annotations

INPUTS: dict[str, list[str]] = {
    name: texts.split("|")
    for name, texts in {
        "bool": "t|TRUE| yes |on|of|o|1|0|n|x||tru|truely",
        "int2": "0|-32768|32767|32768| 12 |+5|1.5|abc||0x10|1_000",
        "int4": "0|-2147483648|2147483647|2147483648| 12\n|+5|--5|1e3||-|٣",
        "int8": "9223372036854775807|-9223372036854775808|9223372036854775808|99999999999999999999999|1 2",
        "float4": "0|-0|1.5|0.1|1e6|123456|1234567|1e-5|0.0001|3.4028235e38|1e39|1e-46|nan|-inf|x|16777216|1.17549435e-38",
        "float8": "0|-0|0.1|1e15|123456789012345|1234567890123456|1e-5|0.0001|1e308|1e309|1e-400|NaN|infinity|-Inf|+inf|1.|.5|1e|"
        "4.9e-324|2.2250738585072014e-308|1e22|1.7976931348623157e308|5e-324|",
        "numeric": "0|-0.00|1.10|1e3|1e-5|.5|5.|NaN|-inf|Infinity|1e131071|1e131072|abc|1.2.3|1 2| 7 |0e9|1.5e1|-99999999|10000|0.0001|1e+2|e5|"
        "+nan|123456789012345678901234567890.123456789",
        "text": "|abc| é漢字 ",
        "name": "|abc|" + "x" * 70 + "|" + "é" * 40,
        "char": "|a|abc|\\101|é|\\377",
        "bytea": "\\x|\\xDEADbeef|\\x de ad|\\x1|\\xzz|abc\\\\d\\001|a\\1|\\|abc|\\400",
        "oid": "0|4294967295|4294967296|-1|-2147483649|abc| 7 ",
        "xid": "0|42|abc|4294967295",
        "xid8": "0|42|18446744073709551615",
        "tid": "(0,1)|(4294967295,65535)|(1,2|(1,65536)|x",
        "pg_lsn": "0/0|16/B374D848|FFFFFFFF/FFFFFFFF|x|1|1/G",
        "date": "2000-01-01|1999-01-08|January 8, 1999|1/8/1999|1/18/1999|01/02/03|1999-Jan-08|Jan-08-1999|08-Jan-1999|19990108|990108|1999.008|J2451187|"
        "January 8, 99 BC|0044-03-15 BC|2020-02-29|2019-02-29|2020-13-01|2020-00-10|0000-01-01|infinity|-infinity|epoch|foo||5874897-12-31|5874898-01-01|"
        "4714-11-24 BC|4714-11-23 BC|2020-01-01 10:00:00|Monday January 6, 2020|18/1/1999|10000-01-01",
        "timestamp": "2000-01-01 00:00:00|2020-02-29 23:59:59.999999|2020-01-01T10:00:00|2020-01-01 10:00|2020-01-01 24:00:00|2020-01-01 25:00:00|"
        "2020-01-01 10:60|2020-01-01 10:00:60|Jan 8 04:05:06 1999|1999-01-08 04:05:06.789 PM|1999-01-08 13:05 PM|20200101T101112|2020-01-01 10:00+02|"
        "infinity|-infinity|294276-12-31 23:59:59.999999|294277-01-01|4713-01-01 BC 00:00:00|epoch|2020-01-01 10:00 foo|nope|2020-01-01 10:00:00.1234567|"
        "2020-02-30 10:00|10:00 2020-01-01|1900-01-01 00:00:00.5",
        "timestamptz": "2020-01-01 10:00:00+02|2020-01-01 10:00:00Z|2020-01-01 10:00 PST|2020-07-01 10:00 America/New_York|2021-03-14 02:30 America/New_York|"
        "2021-11-07 01:30 America/New_York|2020-01-01 10:00 -05:30|2020-01-01 10:00+0530|2020-01-01|infinity|2020-01-01 10:00 Nowhere/City|x|"
        "2020-01-01 10:00+99|1880-01-01 00:00 Europe/Paris|0001-01-01 00:00 BC|12000-06-01 12:00 Europe/Berlin",
        "time": "10:00|10:00:01.5|24:00:00|25:00|04:05 PM|040506|x|12:00 AM",
        "timetz": "10:00+02|10:00:01.5-05:30|04:05:06 PST|x",
        "interval": "1 day|1 year 2 mons 3 days 04:05:06.7|-1 day +2 hours|P1Y2M3DT4H5M6S|1.5 days ago|1-2|3 4:05:06|1 week|@ 1 minute|2 hours 30 min|"
        "1.5 months|0.5 year|00:00:00|-00:01|1 fortnight|x||1 day 1 day|100 years|5|1.25 hours|P1W|PT0.5S|1 decade|90 min",
        "uuid": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11|A0EEBC999C0B4EF8BB6D6BB9BD380A11|{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}|x|a0eebc99|"
        "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
        "int4[]": "{}|{1,2,3}|{1,NULL,3}|{{1,2},{3,4}}|{ 1 , 2 }|{1,2|1,2|{1,{2}}|{{1},{2,3}}|{a}|{1,,2}|{1}x|[1:2]={1,2}|{null}",
        "text[]": '{}|{a,"b c","",NULL,"NULL"}|{"a\\"b","c\\\\d"}|{a b}|{"x,y","{z}"}|{a"b}|{é}|{\\\\}',
        "float8[]": "{1,2.5,NaN}",
        "timestamp[]": '{"2020-01-01 10:00:00",infinity}',
        "numeric[]": "{1.10,NaN}",
        "bool[]": "{t,f,NULL}",
        "oidvector": "|1 2 3",
        "int2vector": "1 2 3|-1",
        "int4range": "empty| EMPTY |[1,5]|(1,5)| [1,5) |(,)|[,]|[,5]|(5,|[1|1,5]|[1,2,3]|[1,2]x|empty x|(1,2)|[5,1]|[1,1)|[1,1]|(2147483647,]|"
        '[ 1 , 5 ]|["1","5"]|[a,5]||[1)|[1\\,2]|[1,2147483647]',
        "numrange": "[1.10,2]|(1.1,1.1)|[NaN,NaN]|[-inf,inf]|[2,NaN)|[NaN,2]",
        "daterange": "[2020-01-01,2020-12-31]|(2020-01-01,infinity]|(-infinity,2020-01-01]|[infinity,infinity]|(5874897-12-31,)",
        "tsrange": '["2020-01-01 10:00:00",2020-02-01)|[2020-01-01,2020-01-01]',
        "int4multirange": "{}|{ [1,2) , [5,9] }|{[5,9),[1,2)}|{[1,3),[2,6),[6,7]}|{empty}|{empty,[1,2)}|{(,)}|{[1,2)|[1,2)|{[1,2)}x|{1,2}|{[1,2),}|{,[1,2)}|"
        "{[1,2)[3,4)}|{ }|{[2,1]}|",
        "nummultirange": '{(1,2],(2,3)}|{(1,2),(2,3)}|{["1.5",2\\.5)}|{["1""5",2)}',
        "int4range[]": '{"[1,2)",empty,NULL}|{}',
        "int4multirange[]": '{"{[1,2),[3,4)}","{}"}',
    }.items()
}

TYPMODS: list[tuple[str, str]] = [
    (line.split("|")[0], line.split("|")[1])
    for line in """
numeric(4,2)|12.345
numeric(4,2)|99.995
numeric(4,2)|123.4
numeric(3,-1)|125
numeric(2,4)|0.00123
numeric(5)|1.5
numeric(4,2)|inf
numeric(4,2)|nan
numeric(3,3)|1
varchar(3)|abcdef
varchar(3)|ab
char(3)|a
char(3)|abcdef
timestamp(0)|2020-01-01 00:00:00.5
timestamp(3)|2020-01-01 00:00:00.123456
timestamptz(2)|2020-01-01 00:00:00.129+00
time(1)|10:00:00.25
interval(2)|1.239 seconds
interval hour to minute|1 day 02:03:04
interval year|1 year 5 months
""".strip().splitlines()
]
"""Types with modifiers; recorded: an explicit cast of the text."""

_CALLS = r"""
int4pl(int4,int4)|2147483647|1
int4pl(int4,int4)|1|2
int4div(int4,int4)|-7|2
int4div(int4,int4)|7|-2
int4div(int4,int4)|1|0
int4div(int4,int4)|-2147483648|-1
int4mod(int4,int4)|-7|2
int4mod(int4,int4)|7|-2
int2pl(int2,int2)|32767|1
int8mul(int8,int8)|9223372036854775807|2
int4shl(int4,int4)|5|33
int4shl(int4,int4)|1|31
int4shr(int4,int4)|-16|2
int2shl(int2,int4)|1|15
int2shl(int2,int4)|1|16
int2shl(int2,int4)|3|14
int4um(int4)|-2147483648
int2(int4)|40000
int4(float8)|2.5
int4(float8)|3.5
int4(float8)|-2.5
int4(float8)|1e10
int4(float8)|nan
int4(numeric)|2.5
int4(numeric)|-2.5
int4(numeric)|2147483647.5
int4(numeric)|nan
int4(numeric)|inf
int8(float8)|9.3e18
lcm(int4,int4)|6|4
lcm(int4,int4)|2147483647|2147483646
gcd(int8,int8)|-12|18
float8div(float8,float8)|1|0
float8div(float8,float8)|1|3
float8div(float8,float8)|0|0
float8div(float8,float8)|nan|0
float8mul(float8,float8)|1e308|10
float8mul(float8,float8)|1e-300|1e-300
float8mul(float8,float8)|0.1|3
float4pl(float4,float4)|0.1|0.2
float4pl(float4,float4)|3e38|3e38
float4(float8)|1e39
float4(float8)|1e-50
float8(float4)|0.1
power(float8,float8)|2|0.5
power(float8,float8)|-8|0.5
power(float8,float8)|0|-1
power(float8,float8)|-2|3
power(float8,float8)|1e200|2
power(float8,float8)|nan|0
ln(float8)|0
ln(float8)|-1
round(float8)|2.5
round(float8)|-0.4
ceil(float8)|-0.5
cbrt(float8)|27
cbrt(float8)|2
asin(float8)|2
numeric_add(numeric,numeric)|1.10|2
numeric_add(numeric,numeric)|inf|-inf
numeric_add(numeric,numeric)|nan|1
numeric_add(numeric,numeric)|-0.5|0.5
numeric_mul(numeric,numeric)|10.0|2.50
numeric_mul(numeric,numeric)|-0.0|5
numeric_mul(numeric,numeric)|inf|0
numeric_div(numeric,numeric)|1|3
numeric_div(numeric,numeric)|10|4
numeric_div(numeric,numeric)|1e-20|3
numeric_div(numeric,numeric)|123456789012345678901234567890|7.0
numeric_div(numeric,numeric)|1|0
numeric_div(numeric,numeric)|2|-3
numeric_div(numeric,numeric)|1|inf
numeric_div(numeric,numeric)|0|5.00
numeric_div(numeric,numeric)|9999|10000
numeric_div(numeric,numeric)|10000|9999
numeric_div(numeric,numeric)|1.000|3e10
numeric_mod(numeric,numeric)|7.5|2
numeric_mod(numeric,numeric)|-7.5|2
numeric_mod(numeric,numeric)|5|0
numeric_mod(numeric,numeric)|5|inf
div(numeric,numeric)|-7.5|2
round(numeric,int4)|2.345|2
round(numeric,int4)|-2.345|2
round(numeric,int4)|1234.5|-2
round(numeric,int4)|5|3
round(numeric)|2.5
round(numeric)|-2.5
round(numeric)|nan
trunc(numeric,int4)|2.345|2
trunc(numeric,int4)|-1267|-2
ceil(numeric)|-0.5
floor(numeric)|-0.5
sign(numeric)|-0.5
sign(numeric)|nan
sign(numeric)|inf
scale(numeric)|1.500
scale(numeric)|nan
min_scale(numeric)|1.500
min_scale(numeric)|100
trim_scale(numeric)|1.500
trim_scale(numeric)|100
sqrt(numeric)|2
sqrt(numeric)|200
sqrt(numeric)|20000
sqrt(numeric)|0.0002
sqrt(numeric)|0.00000000002
sqrt(numeric)|1e20
sqrt(numeric)|-1
sqrt(numeric)|0
exp(numeric)|1
exp(numeric)|10.5
exp(numeric)|-5.0
exp(numeric)|100
exp(numeric)|6000000
ln(numeric)|2
ln(numeric)|1e-10
ln(numeric)|1.05
ln(numeric)|10000
ln(numeric)|0
ln(numeric)|-1
ln(numeric)|1
ln(numeric)|0.95
log(numeric)|100
log(numeric)|2
log(numeric)|0.001
log(numeric,numeric)|2|64
log(numeric,numeric)|1|5
power(numeric,numeric)|2|0.5
power(numeric,numeric)|2.5|3
power(numeric,numeric)|10.0|-3
power(numeric,numeric)|1.0001|10000
power(numeric,numeric)|0|0
power(numeric,numeric)|2|0
power(numeric,numeric)|-2|3
power(numeric,numeric)|-2|0.5
power(numeric,numeric)|0|-1
power(numeric,numeric)|0|2
power(numeric,numeric)|100|-0.5
power(numeric,numeric)|1.5|100
power(numeric,numeric)|0.5|0.5
power(numeric,numeric)|inf|2
power(numeric,numeric)|2|-inf
power(numeric,numeric)|nan|0
factorial(int8)|20
factorial(int8)|-1
width_bucket(float8,float8,float8,int4)|5.35|0.024|10.06|5
width_bucket(float8,float8,float8,int4)|5|10|0|4
width_bucket(float8,float8,float8,int4)|1|0|10|0
numeric(float8)|0.1
numeric(float8)|1e20
numeric(float8)|1234567.891
numeric(float4)|0.1
numeric(float4)|1234567
substring(text,int4,int4)|hello|2|3
substring(text,int4,int4)|hello|-1|3
substring(text,int4,int4)|hello|2|-1
substring(text,int4)|hello|-3
left(text,int4)|hello|-2
left(text,int4)|hello|-9
right(text,int4)|hello|2
right(text,int4)|hello|-2
right(text,int4)|hello|9
right(text,int4)|hello|0
right(text,int4)|hello|-9
lpad(text,int4,text)|hi|5|xy
lpad(text,int4,text)|hello|2|x
lpad(text,int4,text)|hi|-1|x
lpad(text,int4,text)|hi|5|
split_part(text,text,int4)|a,b,c|,|2
split_part(text,text,int4)|a,b,c|,|-1
split_part(text,text,int4)|a,b,c|,|0
split_part(text,text,int4)|a,b,c|,|9
split_part(text,text,int4)||,|1
split_part(text,text,int4)|abc||1
initcap(text)|hello WORLD it's
initcap(text)|a1b_c d-e
translate(text,text,text)|12345|143|ax
replace(text,text,text)|abc||x
chr(int4)|65
chr(int4)|0
chr(int4)|-1
chr(int4)|1114112
ascii(text)|é
to_hex(int4)|-1
md5(text)|abc
quote_ident(text)|abc
quote_ident(text)|Abc
quote_ident(text)|select
quote_ident(text)|a"b
quote_ident(text)|name
quote_ident(text)|between
quote_ident(text)|
quote_ident(text)|1a
quote_literal(text)|it's
quote_literal(text)|a\b
quote_nullable(text)|~
btrim(text,text)|xyxtrimyyx|xyz
strpos(text,text)|a|
overlay(text,text,int4,int4)|Txxxxas|hom|2|4
overlay(text,text,int4,int4)|abc|X|0|1
encode(bytea,text)|\x000102ff|base64
encode(bytea,text)|\x000102ff|escape
encode(bytea,text)|\x00|foo
decode(text,text)|00ff|hex
decode(text,text)|AAEC/w==|base64
decode(text,text)|A|base64
decode(text,text)|a\\b\001|escape
decode(text,text)|*|base64
textlike(text,text)|abc|a%
textlike(text,text)|abc|_b_
textlike(text,text)|a%c|a\%c
textlike(text,text)|abc|abc\
textlike(text,text)||%
textlike(text,text)||
textlike(text,text)|abc|%b%
texticlike(text,text)|ABC|a%
textregexeq(text,text)|abc|^a.c$
textregexeq(text,text)|abc|(
textregexeq(text,text)|abc|[[:alpha:]]+
textregexeq(text,text)|abc|^(abc)$
textregexeq(text,text)|abc|\mabc\M
textregexeq(text,text)|x1|\d
textregexeq(text,text)|abc|*
textregexeq(text,text)|ABC|(?i)abc
textregexeq(text,text)|a]b|[]]
textregexeq(text,text)|a-b|[a\-]
textregexeq(text,text)|abc|[b
textregexeq(text,text)|aa|(a)\1
textregexeq(text,text)|abc|***=b
textregexeq(text,text)|abc|a)
textregexeq(text,text)|pg_x|^(pg_)
substring(text,text)|foobar|o(.)b
substring(text,text)|foobar|o.b
substring(text,text)|foobar|z
regexp_replace(text,text,text)|foobarbaz|b..|X
regexp_replace(text,text,text)|abc|(b)|[\1\&]
regexp_replace(text,text,text,text)|foobarbaz|b..|X|g
regexp_replace(text,text,text,text)|a|a|b|z
regexp_match(text,text)|foobarbequebaz|(bar)(beque)
regexp_match(text,text)|foo|z
regexp_split_to_array(text,text)|hello world|\s+
regexp_split_to_array(text,text)|hello|
regexp_split_to_array(text,text)|,a,|,
regexp_count(text,text)|ABCABC|B
similar_to_escape(text)|abc%
similar_to_escape(text)|a_b
similar_to_escape(text)|a.b$
similar_to_escape(text)|[a%]
similar_to_escape(text)|(ab)*
string_to_array(text,text)|a,b,,c|,
string_to_array(text,text)||,
string_to_array(text,text)|abc|~
string_to_array(text,text,text)|a,b,,c|,|
date_pli(date,int4)|2020-02-28|2
date_pli(date,int4)|infinity|1
date_pli(date,int4)|5874897-12-31|1
date_mi(date,date)|2020-03-01|2020-02-01
date_mi(date,date)|infinity|2020-01-01
date_pl_interval(date,interval)|2020-01-31|1 month
timestamp_pl_interval(timestamp,interval)|2020-01-31 10:00|1 month
timestamp_pl_interval(timestamp,interval)|2020-03-31|-1 month
timestamp_pl_interval(timestamp,interval)|infinity|1 day
timestamp_pl_interval(timestamp,interval)|294276-12-31|1 year
timestamp_mi(timestamp,timestamp)|2020-03-01 10:00|2020-02-01 12:00
timestamp_mi(timestamp,timestamp)|2020-01-01|2020-01-02 01:00
timestamp_mi(timestamp,timestamp)|infinity|2020-01-01
interval_mul(interval,float8)|1 month 1 day|1.5
interval_mul(interval,float8)|1 day|0.1
interval_mul(interval,float8)|1 year|-2
interval_mul(interval,float8)|1 mon|0.3
interval_div(interval,float8)|1 day|7
interval_div(interval,float8)|1 month|0
interval_div(interval,float8)|1 year|5
interval_div(interval,float8)|10 days|3
justify_interval(interval)|1 mon -1 hour
justify_interval(interval)|35 days 25 hours
justify_hours(interval)|50 hours
age(timestamp,timestamp)|2020-03-01|2019-02-28
age(timestamp,timestamp)|2019-02-28|2020-03-01
age(timestamp,timestamp)|2020-03-31|2020-02-29 12:00
age(timestamp,timestamp)|2001-04-10|1957-06-13
extract(text,timestamp)|epoch|2020-01-01 00:00:00.5
extract(text,timestamp)|second|2020-01-01 00:00:01.25
extract(text,timestamp)|dow|2020-01-05
extract(text,timestamp)|isodow|2020-01-05
extract(text,timestamp)|week|2021-01-01
extract(text,timestamp)|isoyear|2021-01-01
extract(text,timestamp)|century|2000-12-31
extract(text,timestamp)|millennium|2001-01-01
extract(text,timestamp)|decade|1999-01-01
extract(text,timestamp)|quarter|2020-08-01
extract(text,timestamp)|doy|2020-12-31
extract(text,timestamp)|millisecond|2020-01-01 00:00:01.25
extract(text,timestamp)|microseconds|2020-01-01 00:00:01.25
extract(text,timestamp)|julian|2020-01-01 12:00
extract(text,timestamp)|foo|2020-01-01
extract(text,timestamp)|timezone|2020-01-01
extract(text,timestamp)|year|infinity
extract(text,timestamp)|month|infinity
extract(text,timestamp)|year|0044-01-01 BC
extract(text,timestamp)|century|0044-01-01 BC
extract(text,timestamp)|hour|2020-01-01 13:14
extract(text,timestamp)|hour|2020-01-01 00:14
extract(text,date)|epoch|2020-01-01
extract(text,date)|hour|2020-01-01
extract(text,date)|julian|2020-01-01
extract(text,interval)|epoch|1 year 2 mons 3 days 04:05:06.7
extract(text,interval)|month|14 months
extract(text,interval)|second|-1.5 seconds
extract(text,interval)|hour|50:00:00
extract(text,interval)|dow|1 day
extract(text,interval)|quarter|5 months
extract(text,time)|second|10:11:12.5
extract(text,time)|epoch|10:11:12.5
extract(text,time)|day|10:00
date_part(text,timestamp)|epoch|2020-01-01 00:00:00.5
date_part(text,timestamp)|julian|2020-01-01 12:00
date_trunc(text,timestamp)|month|2020-05-17 10:11:12
date_trunc(text,timestamp)|week|2020-05-17 10:11:12
date_trunc(text,timestamp)|quarter|2020-05-17
date_trunc(text,timestamp)|century|2020-05-17
date_trunc(text,timestamp)|decade|2025-01-01
date_trunc(text,timestamp)|foo|2020-01-01
date_trunc(text,timestamp)|dow|2020-01-01
date_trunc(text,interval)|hour|1 day 02:03:04
date_trunc(text,interval)|month|14 mons 3 days
date_trunc(text,interval)|year|-14 mons
date_trunc(text,interval)|week|1 day
timezone(text,timestamp)|America/New_York|2020-07-01 10:00
timezone(text,timestamp)|PST|2020-07-01 10:00
timezone(text,timestamp)|nowhere|2020-01-01
timezone(text,timestamptz)|America/New_York|2020-07-01 10:00+00
timezone(text,timestamptz)|+03|2020-01-01 00:00+00
make_date(int4,int4,int4)|2019|2|29
make_date(int4,int4,int4)|-44|3|15
make_date(int4,int4,int4)|0|1|1
make_time(int4,int4,float8)|10|11|12.5
make_time(int4,int4,float8)|25|0|0
make_timestamp(int4,int4,int4,int4,int4,float8)|2020|1|2|3|4|5.5
make_interval(int4,int4,int4,int4,int4,int4,float8)|1|2|3|4|5|6|7.5
to_timestamp(float8)|1577836800.5
to_timestamp(float8)|infinity
date_bin(interval,timestamp,timestamp)|15 minutes|2020-02-11 15:44:17|2001-01-01
date_bin(interval,timestamp,timestamp)|1 month|2020-01-01|2001-01-01
date_eq_timestamp(date,timestamp)|infinity|infinity
bpchareq(bpchar,bpchar)|a |a
pg_size_pretty(int8)|10239
pg_size_pretty(int8)|10240
pg_size_pretty(int8)|12345
pg_size_pretty(int8)|-12345
pg_size_pretty(int8)|123456789
pg_size_pretty(int8)|10485247
pg_size_pretty(int8)|10485248
pg_size_pretty(int8)|9223372036854775807
pg_size_pretty(numeric)|123456789.5
pg_size_pretty(numeric)|10240
pg_size_pretty(numeric)|5.5
int4(char)|\377
char(int4)|200
char(int4)|-1
get_byte(bytea,int4)|\x0102|2
normalize(text,text)|a|foo
pg_lsn_mi(pg_lsn,pg_lsn)|1/0|0/1
"""


def calls() -> list[tuple[str, list[str | None]]]:
    """(signature, argument texts) of every line."""
    lines = [line.split("|") for line in _CALLS.strip("\n").splitlines()]
    return [(signature, [None if each == "~" else each for each in arguments]) for signature, *arguments in lines]
