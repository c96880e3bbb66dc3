"""Edge values of every type, as texts: the ends of its range, what sits beside them, and its special values.

``EDGES``: type → texts, which are all valid. The first four of each are the most telling ones: a call of three arguments
takes only those. ``STAND_INS``: what a polymorphic argument is given.
"""

# ruff: noqa: E501  (one type a line)
from __future__ import annotations

EDGES: dict[str, list[str]] = {
    "bool": ["t", "f"],
    "int2": ["0", "-32768", "32767", "3", "-1", "1", "-7", "100"],
    "int4": ["0", "-2147483648", "3", "2147483647", "-1", "1", "-7", "100"],
    "int8": ["0", "-9223372036854775808", "3", "9223372036854775807", "-1", "1", "-2147483649", "4294967296"],
    "float4": ["0", "-1.5", "NaN", "3.4028235e38", "Infinity", "-Infinity", "1e-45", "2.5", "-0", "0.1"],
    "float8": ["0", "-1.5", "NaN", "0.5", "Infinity", "-Infinity", "1.7976931348623157e308", "5e-324", "-0", "100", "0.1", "3"],
    "numeric": ["0", "-1.50", "NaN", "3", "Infinity", "-Infinity", "123456789012345678901234567890.123456789", "0.00001", "1e20", "-7", "99.995", "2.5"],
    "text": ["", "abc", "1.5", "a%b_c", "Ünïcode 漢字", "  x y ", "ABC", "a,b;c"],
    "varchar": ["", "abc", "a%b", "ABC "],
    "bpchar": ["", "abc", "abc  ", "ABC"],
    "name": ["", "abc", "Abc d", "a%b"],
    "char": ["a", "", "Z", "\\377"],
    "bytea": ["\\x", "\\x00ff", "\\xdeadbeef", "\\x616263", "\\x0001", "\\x61"],
    "bit": ["1", "0", "1010", "11110000111", "10101010101010101010101010101010101"],
    "varbit": ["", "1", "1010", "0000", "11110000111", "101"],
    "date": ["2000-01-01", "infinity", "4714-11-24 BC", "2024-02-29", "-infinity", "5874897-12-31", "1999-12-31", "0001-01-01 BC", "2023-07-15"],
    "time": ["00:00", "24:00:00", "12:34:56.789", "23:59:59.999999", "00:00:00.000001"],
    "timetz": ["00:00+00", "24:00:00-15:59", "12:34:56.789+05:30", "23:59:59.999999-08", "12:34:56.789+00"],
    "timestamp": ["2000-01-01 00:00", "infinity", "4714-11-24 00:00:00 BC", "2024-02-29 12:34:56.789", "-infinity", "294276-12-31 23:59:59.999999", "1999-12-31 23:59:59.5", "2023-07-15 03:04:05"],
    "timestamptz": ["2000-01-01 00:00+00", "infinity", "4714-11-24 00:00:00+00 BC", "2024-02-29 12:34:56.789-08", "-infinity", "294276-12-31 23:59:59.999999+00", "1999-12-31 23:59:59.5+05:30", "2023-07-15 03:04:05+00"],
    "interval": ["0", "1 mon", "-1 day 23:59:59.999999", "1 year 2 mons 3 days 04:05:06.789", "178000000 years", "-5 mons 40 days -00:00:00.000001", "1000000 hours", "1 day", "10:30:00"],
    "uuid": ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    "oid": ["0", "4294967295", "1", "2147483648"],
    "xid": ["0", "4294967295", "3"],
    "xid8": ["0", "18446744073709551615", "3"],
    "cid": ["0", "4294967295", "3"],
    "tid": ["(0,0)", "(0,1)", "(4294967295,65535)"],
    "pg_lsn": ["0/0", "FFFFFFFF/FFFFFFFF", "16/B374D848", "0/1"],
    "pg_snapshot": ["10:20:10,14,15", "1:1:", "12:13:"],
    "money": ["0", "-92233720368547758.08", "1.50", "92233720368547758.07", "-0.01", "1234567.89"],
    "inet": ["0.0.0.0/0", "192.168.1.5/24", "::1", "192.168.1.226", "fe80::/10", "255.255.255.255", "10.1.0.0/16", "2001:db8::ff00:42:8329/64"],
    "cidr": ["0.0.0.0/0", "192.168.1.0/24", "::/0", "10.0.0.1/32", "2001:db8::/32"],
    "macaddr": ["08:00:2b:01:02:03", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"],
    "macaddr8": ["08:00:2b:01:02:03:04:05", "00:00:00:00:00:00:00:00", "08:00:2b:ff:fe:01:02:03"],
    "point": ["(0,0)", "(1,2)", "(NaN,1)", "(-3.5,4)", "(Infinity,0)", "(1e300,-1e300)", "(5.1,34.5)"],
    "line": ["{1,-1,0}", "{0,1,5}", "{1,0,-3}", "{3,2,7.5}", "{NaN,1,0}"],
    "lseg": ["[(0,0),(1,1)]", "[(1,2),(3,4)]", "[(0,0),(0,5)]", "[(2,2),(2,2)]", "[(NaN,1),(2,3)]"],
    "box": ["(1,1),(0,0)", "(4,5),(-1,2)", "(2.5,2.5),(2.5,2.5)", "(Infinity,1),(0,-Infinity)", "(0.5,3),(0.5,-3)"],
    "path": ["[(0,0),(3,4)]", "((0,0),(1,0),(1,1))", "[(1,2)]", "((1,1),(2,5),(-3,4),(0.5,0.5))"],
    "polygon": ["((0,0),(4,0),(4,4),(0,4))", "((1,1),(2,1),(2,2))", "((2,2))", "((-5,-5),(10,0),(0,10))"],
    "circle": ["<(0,0),1>", "<(1,2),0>", "<(3,3),5.5>", "<(-1,0.5),1e10>", "<(NaN,0),1>"],
    "json": ["null", '{"a": 1, "b": [1, {"c": null}], "a": 2}', '[1, 2.50, "x", true]', '"str"', "12.50", "{}", "[]", '[{"a": 1, "b": "x"}, {"a": null}]'],
    "jsonb": ["null", '{"a": 1, "b": [1, {"c": null}]}', '[1, 2.50, "x", true]', '"str"', "12.50", "{}", "[]", '[{"a": 1, "b": "x"}, {"a": null}]', '{"a": 1}'],
    "jsonpath": ["$", "$.a", "strict $.b[*].c", "$[*] ? (@ > 1)", "lax $.**", "$.a == 1"],
    "tsvector": ["", "a:1 b:2A c:3", "'fat':2,4B 'rat':5 'cat'", "x"],
    "tsquery": ["", "a & b", "!'fat' | 'rat':A", "a <-> b", "'ca':*"],
    "int4[]": ["{}", "{1,2,3}", "{NULL,1}", "{{1,2},{3,4}}", "[0:2]={5,6,7}", "{3,2,1,2}"],
    "int2[]": ["{}", "{1,-2,3}"],
    "int8[]": ["{}", "{1,-2,3}"],
    "text[]": ["{}", "{a,b,NULL}", '{"","x y","NULL"}', "{{a,b},{c,d}}", "{abc}"],
    "float8[]": ["{}", "{1.5,NaN,0}", "{0,0.25,0.5}"],
    "numeric[]": ["{}", "{1.50,NaN}", "{0.1}"],
    "oid[]": ["{}", "{1,2}"],
    "bool[]": ["{}", "{t,f,NULL}"],
    "char[]": ["{}", "{a,b}"],
    "timestamptz[]": ["{}", "{2000-01-01 00:00+00,infinity}"],
    "jsonb[]": ["{}", '{"{\\"a\\": 1}",NULL}'],
    "int2vector": ["", "1 2 3", "-1"],
    "oidvector": ["", "1 2 3", "23"],
    "int4range": ["empty", "[1,5)", "(,3)", "[3,)", "(,)", "[5,6)", "[-2147483648,2147483647)"],
    "int8range": ["empty", "[1,5)", "(,3)", "[5,9)"],
    "numrange": ["empty", "[1.1,5)", "(1.1,2.2]", "(,NaN]", "[5,5]", "(,)", "[Infinity,)"],
    "daterange": ["empty", "[2000-01-01,2000-02-01)", "(,infinity]", "[2000-02-01,)"],
    "tsrange": ["empty", '["2000-01-01 00:00","2000-01-02 00:00"]', "(,infinity)", "[2000-01-02,)"],
    "tstzrange": ["empty", '["2000-01-01 00:00+00","2000-01-02 00:00+00"]', "(,infinity)", "[2000-01-02,)"],
    "int4multirange": ["{}", "{[1,5)}", "{(,1),[3,5),[9,)}", "{(,)}", "{[5,6),[7,8)}"],
    "int8multirange": ["{}", "{[1,5)}", "{(,1),[3,5)}"],
    "nummultirange": ["{}", "{[1.1,5)}", "{(,1),[3.5,5]}", "{[5,5]}"],
    "datemultirange": ["{}", "{[2000-01-01,2000-02-01)}", "{(,infinity]}"],
    "tsmultirange": ["{}", "{[2000-01-01,2000-02-01)}", "{(,infinity]}"],
    "tstzmultirange": ["{}", "{[2000-01-01 00:00+00,2000-02-01 00:00+00)}", "{(,infinity]}"],
    "regclass": ["pg_class", "0"],
    "regproc": ["pg_catalog.now", "0"],
    "regtype": ["integer", "0"],
    "regconfig": ["simple", "english"],
    "regdictionary": ["simple", "english_stem"],
}  # fmt: skip

STAND_INS: dict[str, list[str]] = {
    "any": ["int4", "text"],
    "anyelement": ["int4", "text"],
    "anynonarray": ["int4", "text"],
    "anycompatible": ["int4", "text"],
    "anycompatiblenonarray": ["int4", "text"],
    "anyarray": ["int4[]", "text[]"],
    "anycompatiblearray": ["int4[]", "text[]"],
    "anyrange": ["int4range", "numrange"],
    "anycompatiblerange": ["int4range", "numrange"],
    "anymultirange": ["int4multirange", "nummultirange"],
    "anycompatiblemultirange": ["int4multirange", "nummultirange"],
}
ELEMENTS = {
    "int4[]": "int4", "text[]": "text", "int4range": "int4", "numrange": "numeric",
    "int4multirange": "int4", "nummultirange": "numeric",
}  # fmt: skip
"""What anyelement is beside an array or range."""

CAST_TEXTS: dict[str, list[str]] = {
    "text": ["", "0", "-1", " 12 ", "1.5", "1e3", "NaN", "inf", "t", "yes", "2000-01-01", "2000-01-01 12:34:56.789+02", "10:30", "1 day", "{}", "{1,2}", "[1,2)", "(1,2)",
             "1,2", "abc", "99999999999999999999", "\\x00", "101", "null", '{"a": [1, 2]}', "08:00:2b:01:02:03", "10.0.0.1/8", "0/1A", "{1,2,3}", "<(1,2),3>", "((1,2),(3,4))", "$1.50", "b"],
}  # fmt: skip
"""Texts that every type is asked to read."""

TYPMODS = [
    "numeric(5,2)", "numeric(3)", "numeric(3,-2)", "numeric(2,4)", "varchar(2)", "char(2)", "char", "bit(3)", "bit", "varbit(3)", "time(2)", "timetz(0)", "timestamp(1)",
    "timestamptz(0)", "interval(1)", "interval year", "interval month", "interval day", "interval hour to minute", "interval day to second(2)", "interval year to month", "float(10)", "varchar(2)[]", "numeric(5,2)[]",
]  # fmt: skip
"""Types with modifiers, which values of their base type are cast to."""
