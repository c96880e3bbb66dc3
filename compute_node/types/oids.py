"""OIDs of the built-in types (PostgreSQL's pg_type), by typname. Array types are spelled ``int4[]``."""

from __future__ import annotations

from typing import Final

TYPE_OIDS: Final[dict[str, int]] = {
    "bool": 16,
    "bytea": 17,
    "char": 18,
    "name": 19,
    "int8": 20,
    "int2": 21,
    "int2vector": 22,
    "int4": 23,
    "regproc": 24,
    "text": 25,
    "oid": 26,
    "tid": 27,
    "xid": 28,
    "cid": 29,
    "oidvector": 30,
    "pg_ddl_command": 32,
    "json": 114,
    "xml": 142,
    "xml[]": 143,
    "pg_node_tree": 194,
    "json[]": 199,
    "pg_type[]": 210,
    "table_am_handler": 269,
    "pg_attribute[]": 270,
    "xid8[]": 271,
    "pg_proc[]": 272,
    "pg_class[]": 273,
    "index_am_handler": 325,
    "point": 600,
    "lseg": 601,
    "path": 602,
    "box": 603,
    "polygon": 604,
    "line": 628,
    "line[]": 629,
    "cidr": 650,
    "cidr[]": 651,
    "float4": 700,
    "float8": 701,
    "unknown": 705,
    "circle": 718,
    "circle[]": 719,
    "macaddr8": 774,
    "macaddr8[]": 775,
    "money": 790,
    "money[]": 791,
    "macaddr": 829,
    "inet": 869,
    "bool[]": 1000,
    "bytea[]": 1001,
    "char[]": 1002,
    "name[]": 1003,
    "int2[]": 1005,
    "int2vector[]": 1006,
    "int4[]": 1007,
    "regproc[]": 1008,
    "text[]": 1009,
    "tid[]": 1010,
    "xid[]": 1011,
    "cid[]": 1012,
    "oidvector[]": 1013,
    "bpchar[]": 1014,
    "varchar[]": 1015,
    "int8[]": 1016,
    "point[]": 1017,
    "lseg[]": 1018,
    "path[]": 1019,
    "box[]": 1020,
    "float4[]": 1021,
    "float8[]": 1022,
    "polygon[]": 1027,
    "oid[]": 1028,
    "aclitem": 1033,
    "aclitem[]": 1034,
    "macaddr[]": 1040,
    "inet[]": 1041,
    "bpchar": 1042,
    "varchar": 1043,
    "date": 1082,
    "time": 1083,
    "timestamp": 1114,
    "timestamp[]": 1115,
    "date[]": 1182,
    "time[]": 1183,
    "timestamptz": 1184,
    "timestamptz[]": 1185,
    "interval": 1186,
    "interval[]": 1187,
    "numeric[]": 1231,
    "cstring[]": 1263,
    "timetz": 1266,
    "timetz[]": 1270,
    "bit": 1560,
    "bit[]": 1561,
    "varbit": 1562,
    "varbit[]": 1563,
    "numeric": 1700,
    "refcursor": 1790,
    "refcursor[]": 2201,
    "regprocedure": 2202,
    "regoper": 2203,
    "regoperator": 2204,
    "regclass": 2205,
    "regtype": 2206,
    "regprocedure[]": 2207,
    "regoper[]": 2208,
    "regoperator[]": 2209,
    "regclass[]": 2210,
    "regtype[]": 2211,
    "record": 2249,
    "cstring": 2275,
    "any": 2276,
    "anyarray": 2277,
    "void": 2278,
    "trigger": 2279,
    "language_handler": 2280,
    "internal": 2281,
    "anyelement": 2283,
    "record[]": 2287,
    "anynonarray": 2776,
    "txid_snapshot[]": 2949,
    "uuid": 2950,
    "uuid[]": 2951,
    "txid_snapshot": 2970,
    "fdw_handler": 3115,
    "pg_lsn": 3220,
    "pg_lsn[]": 3221,
    "tsm_handler": 3310,
    "anyenum": 3500,
    "tsvector": 3614,
    "tsquery": 3615,
    "pg_ndistinct": 3361,
    "pg_dependencies": 3402,
    "pg_brin_bloom_summary": 4600,
    "pg_brin_minmax_multi_summary": 4601,
    "pg_mcv_list": 5017,
    "gtsvector": 3642,
    "tsvector[]": 3643,
    "gtsvector[]": 3644,
    "tsquery[]": 3645,
    "regconfig": 3734,
    "regconfig[]": 3735,
    "regdictionary": 3769,
    "regdictionary[]": 3770,
    "jsonb": 3802,
    "jsonb[]": 3807,
    "anyrange": 3831,
    "event_trigger": 3838,
    "int4range": 3904,
    "int4range[]": 3905,
    "numrange": 3906,
    "numrange[]": 3907,
    "tsrange": 3908,
    "tsrange[]": 3909,
    "tstzrange": 3910,
    "tstzrange[]": 3911,
    "daterange": 3912,
    "daterange[]": 3913,
    "int8range": 3926,
    "int8range[]": 3927,
    "jsonpath": 4072,
    "jsonpath[]": 4073,
    "regnamespace": 4089,
    "regnamespace[]": 4090,
    "regrole": 4096,
    "regrole[]": 4097,
    "regcollation": 4191,
    "regcollation[]": 4192,
    "int4multirange": 4451,
    "nummultirange": 4532,
    "tsmultirange": 4533,
    "tstzmultirange": 4534,
    "datemultirange": 4535,
    "int8multirange": 4536,
    "anymultirange": 4537,
    "anycompatiblemultirange": 4538,
    "pg_snapshot": 5038,
    "pg_snapshot[]": 5039,
    "xid8": 5069,
    "anycompatible": 5077,
    "anycompatiblearray": 5078,
    "anycompatiblenonarray": 5079,
    "anycompatiblerange": 5080,
    "int4multirange[]": 6150,
    "nummultirange[]": 6151,
    "tsmultirange[]": 6152,
    "tstzmultirange[]": 6153,
    "datemultirange[]": 6155,
    "int8multirange[]": 6157,
}


def type_oid(name: str) -> int:
    """The OID of a built-in type by its typname; arrays as ``int4[]``. KeyError for other names."""
    return TYPE_OIDS[name]


BOOL: Final = 16
BYTEA: Final = 17
CHAR: Final = 18
NAME: Final = 19
INT8: Final = 20
INT2: Final = 21
INT4: Final = 23
TEXT: Final = 25
OID: Final = 26
UNKNOWN: Final = 705
FLOAT4: Final = 700
FLOAT8: Final = 701
NUMERIC: Final = 1700
BPCHAR: Final = 1042
BIT: Final = 1560
VARCHAR: Final = 1043
DATE: Final = 1082
TIME: Final = 1083
TIMETZ: Final = 1266
TIMESTAMP: Final = 1114
TIMESTAMPTZ: Final = 1184
INTERVAL: Final = 1186
UUID: Final = 2950
JSON: Final = 114
JSONB: Final = 3802
RECORD: Final = 2249
CSTRING: Final = 2275
ANY: Final = 2276
ANYARRAY: Final = 2277
ANYELEMENT: Final = 2283
ANYNONARRAY: Final = 2776
VOID: Final = 2278
INTERNAL: Final = 2281
REGCLASS: Final = 2205
REGTYPE: Final = 2206
REGPROC: Final = 24
REGNAMESPACE: Final = 4089
TID: Final = 27
TID_ARRAY: Final = 1010
XID: Final = 28
CID: Final = 29
XID8: Final = 5069
PG_LSN: Final = 3220
INT2VECTOR: Final = 22
OIDVECTOR: Final = 30
