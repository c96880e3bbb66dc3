"""Every operator class, one line each: OID, name, family OID, family name, input type, access method (403 btree, 405
hash), ``default`` or ``extra``, operators by strategy, support functions by number (0: none) (PostgreSQL's pg_opclass,
pg_amop, pg_amproc). A B-tree orders by ``PgType.sort_key``; the rows exist for resolution and for the catalog.
"""

from __future__ import annotations

from compute_node.types.oids import TYPE_OIDS
from compute_node.types.registry import REGISTRY, FamilyOperators, OperatorClass

_OPERATOR_CLASSES = """
1978 int4_ops 1976 integer_ops int4 403 default 97,523,96,525,521 351,3130,4128,5051
1979 int2_ops 1976 integer_ops int2 403 default 95,522,94,524,520 350,3129,4132,5051
1981 oid_ops 1989 oid_ops oid 403 default 609,611,607,612,610 356,3134,0,5051
3122 date_ops 434 datetime_ops date 403 default 1095,1096,1093,1098,1097 1092,3136,0,5051
3123 float8_ops 1970 float_ops float8 403 default 672,673,670,675,674 355,3133,4139
3124 int8_ops 1976 integer_ops int8 403 default 412,414,410,415,413 842,3131,4126,5051
3125 numeric_ops 1988 numeric_ops numeric 403 default 1754,1755,1752,1757,1756 1769,3283,4141
3126 text_ops 1994 text_ops text 403 default 664,665,98,667,666 360,3255,0,5050
3127 timestamptz_ops 434 datetime_ops timestamptz 403 default 1322,1323,1320,1325,1324 1314,3137,0,5051
3128 timestamp_ops 434 datetime_ops timestamp 403 default 2062,2063,2060,2065,2064 2045,3137,0,5051
4217 text_pattern_ops 2095 text_pattern_ops text 403 extra 2314,2315,98,2317,2318 2166,3332,0,5051
4218 varchar_pattern_ops 2095 text_pattern_ops text 403 extra 2314,2315,98,2317,2318 2166,3332,0,5051
4219 bpchar_pattern_ops 2097 bpchar_pattern_ops bpchar 403 extra 2326,2327,1054,2329,2330 2180,0,0,5051
10000 array_ops 397 array_ops anyarray 403 default 1072,1074,1070,1075,1073 382
10001 array_ops 627 array_ops anyarray 405 default 1070 626,782
10003 bool_ops 424 bool_ops bool 403 default 58,1694,91,1695,59 1693,0,0,5051
10004 bpchar_ops 426 bpchar_ops bpchar 403 default 1058,1059,1054,1061,1060 1078,3328,0,5050
10005 bpchar_ops 427 bpchar_ops bpchar 405 default 1054 1080,972
10006 bytea_ops 428 bytea_ops bytea 403 default 1957,1958,1955,1960,1959 1954,3331,0,5051
10007 char_ops 429 char_ops char 403 default 631,632,92,634,633 358,0,0,5051
10008 char_ops 431 char_ops char 405 default 92 454,446
10011 date_ops 435 date_ops date 405 default 1093 450,425
10012 float4_ops 1970 float_ops float4 403 default 622,624,620,625,623 354,3132
10013 float4_ops 1971 float_ops float4 405 default 620 451,443
10014 float8_ops 1971 float_ops float8 405 default 670 452,444
10019 int2_ops 1977 integer_ops int2 405 default 94 449,441
10020 int4_ops 1977 integer_ops int4 405 default 96 450,425
10021 int8_ops 1977 integer_ops int8 405 default 410 949,442
10022 interval_ops 1982 interval_ops interval 403 default 1332,1333,1330,1335,1334 1315,0,4136
10023 interval_ops 1983 interval_ops interval 405 default 1330 1697,3418
10028 name_ops 1994 text_ops name 403 default 660,661,93,663,662 359,3135,0,5050
10029 name_ops 1995 text_ops name 405 default 93 455,447
10030 numeric_ops 1998 numeric_ops numeric 405 default 1752 432,780
10031 oid_ops 1990 oid_ops oid 405 default 607 453,445
10032 oidvector_ops 1991 oidvector_ops oidvector 403 default 645,647,649,648,646 404,0,0,5051
10033 oidvector_ops 1992 oidvector_ops oidvector 405 default 649 457,776
10034 record_ops 2994 record_ops record 403 default 2990,2992,2988,2993,2991 2987
10035 record_ops 6194 record_ops record 405 default 2988 6192,6193
10037 text_ops 1995 text_ops text 405 default 98 400,448
10038 time_ops 1996 time_ops time 403 default 1110,1111,1108,1113,1112 1107,0,0,5051
10039 time_ops 1997 time_ops time 405 default 1108 1688,3409
10040 timestamptz_ops 1999 timestamptz_ops timestamptz 405 default 1320 2039,3411
10041 timetz_ops 2000 timetz_ops timetz 403 default 1552,1553,1550,1555,1554 1358,0,0,5051
10042 timetz_ops 2001 timetz_ops timetz 405 default 1550 1696,3410
10044 varchar_ops 1994 text_ops text 403 extra 664,665,98,667,666 360,3255,0,5050
10045 varchar_ops 1995 text_ops text 405 extra 98 400,448
10046 timestamp_ops 2040 timestamp_ops timestamp 405 default 2060 2039,3411
10048 bool_ops 2222 bool_ops bool 405 default 91 454,446
10049 bytea_ops 2223 bytea_ops bytea 405 default 1955 456,772
10050 tid_ops 2789 tid_ops tid 403 default 2799,2801,387,2802,2800 2794,0,0,5051
10051 xid_ops 2225 xid_ops xid 405 default 352 450,425
10052 xid8_ops 5032 xid8_ops xid8 405 default 5068 949,442
10053 xid8_ops 5067 xid8_ops xid8 403 default 5073,5075,5068,5076,5074 5096,0,0,5051
10054 cid_ops 2226 cid_ops cid 405 default 385 450,425
10055 tid_ops 2227 tid_ops tid 405 default 387 2233,2234
10056 text_pattern_ops 2229 text_pattern_ops text 405 extra 98 400,448
10057 varchar_pattern_ops 2229 text_pattern_ops text 405 extra 98 400,448
10058 bpchar_pattern_ops 2231 bpchar_pattern_ops bpchar 405 extra 1054 1080,972
10065 uuid_ops 2968 uuid_ops uuid 403 default 2974,2976,2972,2977,2975 2960,3300,0,5051
10066 uuid_ops 2969 uuid_ops uuid 405 default 2972 2963,3412
10067 pg_lsn_ops 3253 pg_lsn_ops pg_lsn 403 default 3224,3226,3222,3227,3225 3251,0,0,5051
10068 pg_lsn_ops 3254 pg_lsn_ops pg_lsn 405 default 3222 3252,3413
"""

_CROSS_TYPE = """
434 403 date timestamp 2345,2346,2347,2348,2349
434 403 date timestamptz 2358,2359,2360,2361,2362
434 403 timestamp date 2371,2372,2373,2374,2375
434 403 timestamp timestamptz 2534,2535,2536,2537,2538
434 403 timestamptz date 2384,2385,2386,2387,2388
434 403 timestamptz timestamp 2540,2541,2542,2543,2544
1970 403 float4 float8 1122,1124,1120,1125,1123
1970 403 float8 float4 1132,1134,1130,1135,1133
1976 403 int8 int2 1870,1872,1868,1873,1871
1976 403 int8 int4 418,420,416,430,419
1976 403 int2 int8 1864,1866,1862,1867,1865
1976 403 int2 int4 534,540,532,542,536
1976 403 int4 int8 37,80,15,82,76
1976 403 int4 int2 535,541,533,543,537
1994 403 name text 255,256,254,257,258
1994 403 text name 261,262,260,263,264
1971 405 float4 float8 1120
1971 405 float8 float4 1130
1977 405 int8 int2 1868
1977 405 int8 int4 416
1977 405 int2 int8 1862
1977 405 int2 int4 532
1977 405 int4 int8 15
1977 405 int4 int2 533
1995 405 name text 254
1995 405 text name 260
"""
"""Members of a family between its types: family, access method, left and right type, operators by strategy."""


def _oids(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.split(",")) if text != "-" else ()


for _line in _OPERATOR_CLASSES.strip().splitlines():
    _oid, _name, _family, _family_name, _input, _method, _default, _operators, _support = _line.split()
    REGISTRY.add_operator_class(
        OperatorClass(
            oid=int(_oid),
            name=_name,
            family=int(_family),
            family_name=_family_name,
            input_type=TYPE_OIDS[_input],
            method=int(_method),
            default=_default == "default",
            operators=_oids(_operators),
            support=_oids(_support),
        )
    )

for _line in _CROSS_TYPE.strip().splitlines():
    _family, _method, _left, _right, _operators = _line.split()
    REGISTRY.add_family_operators(
        FamilyOperators(int(_family), int(_method), TYPE_OIDS[_left], TYPE_OIDS[_right], _oids(_operators))
    )
