"""oid, the reg* aliases, tid, xid, cid, xid8, pg_lsn: I/O, comparison, casts (manual, 8.19, 8.20).

The reg* types hold an OID; their names go through ``TypeEnv.lookup``, the catalog's hook.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal

from aurora.errors import (
    InvalidParameterValue,
    NotSupported,
    NumericValueOutOfRange,
    UndefinedFunction,
    UndefinedObject,
    UndefinedTable,
)
from aurora.ids import make_tid, tid_text
from compute_node.types.common import fixed_codec, invalid_syntax, value_out_of_range, whole_number, wrong_length
from compute_node.types.declare import casts, comparisons, fn, operator_classes, operators
from compute_node.types.numeric import EXACT
from compute_node.types.registry import REGISTRY, PgType, TypeEnv, Wire

_UNSIGNED = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)[ \t\n\v\f\r]*")
_U32 = 0xFFFFFFFF
_pack_u32 = struct.Struct(">I").pack
_pack_u64 = struct.Struct(">Q").pack


def oid_in(text: str, typmod: int = -1, env: TypeEnv | None = None) -> int:
    """Unsigned 32-bit integer; a negative one wraps, as strtoul's does."""
    match = _UNSIGNED.fullmatch(text)
    if match is None:
        raise invalid_syntax("oid", text)
    value = whole_number(match[1])
    if not -0x80000000 <= value <= _U32:
        raise value_out_of_range("oid", text)
    return value & _U32


_U64 = 0xFFFFFFFFFFFFFFFF
_LONG = re.compile(r"[ \t\n\v\f\r]*([+-]?)(?:0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))")


def _unsigned(text: str) -> int:
    """C's strtoul with base 0: hexadecimal, octal or decimal; what is no number is 0, what is too large the largest."""
    match = _LONG.match(text)
    if match is None:
        return 0
    number = int(match[2], 16) if match[2] else int(match[3], 8) if match[3] else whole_number(match[4])
    if number > _U64:
        return _U64
    return -number & _U64 if match[1] == "-" else number


def _xid_in(text: str, typmod: int, env: TypeEnv) -> int:
    return _unsigned(text) & _U32


def _u32_type(oid: int, name: str, array: int, read: Callable[[str, int, TypeEnv], int], **extra: object) -> None:
    receive, send = fixed_codec(">I")
    fields: dict[str, object] = {
        "length": 4,
        "by_value": True,
        "category": "N",
        "output": lambda value, env: str(value),
        "text_bytes": lambda value: b"%d" % value,
        "receive": receive,
        "send": send,
        "disk": "I",
        "sort_key": _pack_u32,
    }
    REGISTRY.add_type(PgType(oid=oid, name=name, array=array, input=read, **{**fields, **extra}))  # type: ignore[arg-type]


_u32_type(26, "oid", 1028, oid_in, preferred=True, wire=Wire(b"i", b"U", b"U"))
_u32_type(28, "xid", 1011, _xid_in, category="U")
_u32_type(29, "cid", 1012, _xid_in, category="U")

REG_TYPES: dict[str, tuple[int, int, type[Exception]]] = {
    "regproc": (24, 1008, UndefinedFunction),
    "regprocedure": (2202, 2207, UndefinedFunction),
    "regoper": (2203, 2208, UndefinedFunction),
    "regoperator": (2204, 2209, UndefinedFunction),
    "regclass": (2205, 2210, UndefinedTable),
    "regtype": (2206, 2211, UndefinedObject),
    "regconfig": (3734, 3735, UndefinedObject),
    "regdictionary": (3769, 3770, UndefinedObject),
    "regnamespace": (4089, 4090, UndefinedObject),
    "regrole": (4096, 4097, UndefinedObject),
    "regcollation": (4191, 4192, UndefinedObject),
}
"""Name → OID, array OID, and the error when there is no catalog to find a name in."""


def _reg_input(name: str, missing: type[Exception]) -> Callable[[str, int, TypeEnv], int]:
    hook = name + "in"
    nothing = "0" if name in ("regoper", "regoperator") else "-"

    def read(text: str, typmod: int, env: TypeEnv) -> int:
        if text == nothing:
            return 0
        if text.isascii() and text.isdigit():
            return oid_in(text)
        if env.lookup is None:
            raise missing(f'{name} "{text}" does not exist')
        found: int = env.lookup(hook, text)
        return found

    return read


def _reg_output(name: str) -> Callable[[int, TypeEnv], str]:
    hook = name + "out"
    nothing = "0" if name in ("regoper", "regoperator") else "-"

    def write(value: int, env: TypeEnv) -> str:
        if value == 0:
            return nothing
        found = env.lookup(hook, value) if env.lookup is not None else None
        return str(value) if found is None else str(found)

    return write


for _name, (_oid, _array, _missing) in REG_TYPES.items():
    _u32_type(_oid, _name, _array, _reg_input(_name, _missing), output=_reg_output(_name), text_bytes=None)

_TID_PART = r"(?:[ \t\n\v\f\r]*([+-]?[0-9]+)|)"
_TID = re.compile(rf"[^(,)]*\({_TID_PART},{_TID_PART}\).*", re.DOTALL)
"""A number that is not there is 0."""
_TID_CODEC = struct.Struct(">IH")


def tid_in(text: str, typmod: int, env: TypeEnv) -> int:
    """``(block,slot)``; 22P02 otherwise."""
    match = _TID.fullmatch(text)
    block, slot = (0, 0) if match is None else [whole_number(each or "0") for each in match.groups()]
    if match is None or not -0x80000000 <= block <= _U32 or not 0 <= slot <= 0xFFFF:
        raise invalid_syntax("tid", text)
    return make_tid(block & _U32, slot)


def _tid_receive(data: bytes, typmod: int) -> int:
    if len(data) != 6:
        raise wrong_length(data, 6)
    return make_tid(*_TID_CODEC.unpack(data))


REGISTRY.add_type(
    PgType(
        oid=27,
        name="tid",
        length=6,
        by_value=False,
        category="U",
        align="s",
        array=1010,
        input=tid_in,
        output=lambda value, env: tid_text(value),
        text_bytes=lambda value: tid_text(value).encode(),
        receive=_tid_receive,
        send=lambda value: _TID_CODEC.pack(value >> 16, value & 0xFFFF),
        disk="q",
        sort_key=_pack_u64,
    )
)


def _xid8_in(text: str, typmod: int, env: TypeEnv) -> int:
    return _unsigned(text)


_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")


def parse_lsn(text: str) -> int | None:
    """``high/low`` in hexadecimal; None for what is none."""
    match = _LSN.fullmatch(text)
    return None if match is None else int(match[1], 16) << 32 | int(match[2], 16)


def lsn_in(text: str, typmod: int, env: TypeEnv) -> int:
    """``high/low`` in hexadecimal; 22P02 otherwise."""
    value = parse_lsn(text)
    if value is None:
        raise invalid_syntax("pg_lsn", text)
    return value


def lsn_out(value: int) -> str:
    """``high/low`` in upper-case hexadecimal."""
    return f"{value >> 32:X}/{value & _U32:X}"


_receive64, _send64 = fixed_codec(">Q")
REGISTRY.add_type(
    PgType(
        oid=5069,
        name="xid8",
        length=8,
        by_value=True,
        category="U",
        align="d",
        array=271,
        input=_xid8_in,
        output=lambda value, env: str(value),
        text_bytes=lambda value: b"%d" % value,
        receive=_receive64,
        send=_send64,
        disk="x",
        to_disk=_send64,
        from_disk=lambda data: _receive64(data, -1),
        sort_key=_pack_u64,
    )
)
REGISTRY.add_type(
    PgType(
        oid=3220,
        name="pg_lsn",
        length=8,
        by_value=True,
        category="U",
        align="d",
        array=3221,
        input=lsn_in,
        output=lambda value, env: lsn_out(value),
        text_bytes=lambda value: lsn_out(value).encode(),
        receive=_receive64,
        send=_send64,
        disk="x",
        to_disk=_send64,
        from_disk=lambda data: _receive64(data, -1),
        sort_key=_pack_u64,
    )
)


comparisons("""
184 oideq(oid, oid) bool
185 oidne(oid, oid) bool
716 oidlt(oid, oid) bool
717 oidle(oid, oid) bool
1638 oidgt(oid, oid) bool
1639 oidge(oid, oid) bool
356 btoidcmp(oid, oid) int4
1292 tideq(tid, tid) bool
1265 tidne(tid, tid) bool
2791 tidlt(tid, tid) bool
2793 tidle(tid, tid) bool
2790 tidgt(tid, tid) bool
2792 tidge(tid, tid) bool
2794 bttidcmp(tid, tid) int4
68 xideq(xid, xid) bool
69 cideq(cid, cid) bool
5084 xid8eq(xid8, xid8) bool
5085 xid8ne(xid8, xid8) bool
5034 xid8lt(xid8, xid8) bool
5036 xid8le(xid8, xid8) bool
5035 xid8gt(xid8, xid8) bool
5037 xid8ge(xid8, xid8) bool
5096 xid8cmp(xid8, xid8) int4
3233 pg_lsn_eq(pg_lsn, pg_lsn) bool
3236 pg_lsn_ne(pg_lsn, pg_lsn) bool
3231 pg_lsn_lt(pg_lsn, pg_lsn) bool
3232 pg_lsn_le(pg_lsn, pg_lsn) bool
3235 pg_lsn_gt(pg_lsn, pg_lsn) bool
3234 pg_lsn_ge(pg_lsn, pg_lsn) bool
3251 pg_lsn_cmp(pg_lsn, pg_lsn) int4
""")
fn(3308, "xidneq(xid, xid) bool", lambda a, b: a != b, "({0} != {1})")
fn(1319, "xideqint4(xid, int4) bool", lambda a, b: a == b & _U32)
fn(3309, "xidneqint4(xid, int4) bool", lambda a, b: a != b & _U32)
fn(1965, "oidlarger(oid, oid) oid", max)
fn(1966, "oidsmaller(oid, oid) oid", min)
fn(2795, "tidlarger(tid, tid) tid", max)
fn(2796, "tidsmaller(tid, tid) tid", min)
fn(3237, "pg_lsn_mi(pg_lsn, pg_lsn) numeric", lambda a, b: Decimal(a - b))
fn(4187, "pg_lsn_larger(pg_lsn, pg_lsn) pg_lsn", max)
fn(4188, "pg_lsn_smaller(pg_lsn, pg_lsn) pg_lsn", min)
fn(5097, "xid8_larger(xid8, xid8) xid8", max)
fn(5098, "xid8_smaller(xid8, xid8) xid8", min)
fn(5071, "xid(xid8) xid", lambda value: value & _U32)


def _int8_to_oid(value: int) -> int:
    if not 0 <= value <= _U32:
        raise NumericValueOutOfRange("OID out of range")
    return value


fn(1287, "oid(int8) oid", _int8_to_oid)
fn(1288, "int8(oid) int8", lambda value: value, "{0}")


def _text_to_regclass(context: object, text: str) -> int:
    """A relation by its name: a number is none, other than in regclass' input."""
    return context.session.catalog_function("regclassin", text)  # type: ignore[attr-defined, no-any-return]


fn(1079, "regclass(text) regclass stable", _text_to_regclass, needs_context=True)


def _numeric_to_lsn(value: Decimal) -> int:
    if not value.is_finite():
        raise NotSupported(f"cannot convert {'NaN' if value.is_nan() else 'infinity'} to pg_lsn")
    result = int(value.to_integral_value(ROUND_HALF_UP, EXACT))
    if not 0 <= result <= _U64:
        raise InvalidParameterValue("pg_lsn out of range")
    return result


def _lsn_plus(lsn: int, count: Decimal) -> int:
    if count.is_nan():
        raise NotSupported("cannot add NaN to pg_lsn")
    return _numeric_to_lsn(EXACT.add(Decimal(lsn), count))


def _lsn_minus(lsn: int, count: Decimal) -> int:
    if count.is_nan():
        raise NotSupported("cannot subtract NaN from pg_lsn")
    return _numeric_to_lsn(EXACT.subtract(Decimal(lsn), count))


fn(6103, "pg_lsn(numeric) pg_lsn", _numeric_to_lsn)
fn(5022, "pg_lsn_pli(pg_lsn, numeric) pg_lsn", _lsn_plus)
fn(5023, "numeric_pl_pg_lsn(numeric, pg_lsn) pg_lsn", lambda count, lsn: _lsn_plus(lsn, count))
fn(5024, "pg_lsn_mii(pg_lsn, numeric) pg_lsn", _lsn_minus)
operators("""
352 xid = xid bool 68 commutator=352 negator=3315 hashes
353 xid = int4 bool 1319 negator=3316
385 cid = cid bool 69 commutator=385 hashes
387 tid = tid bool 1292 commutator=387 negator=402 merges hashes
402 tid <> tid bool 1265 commutator=402 negator=387
607 oid = oid bool 184 commutator=607 negator=608 merges hashes
608 oid <> oid bool 185 commutator=608 negator=607
609 oid < oid bool 716 commutator=610 negator=612
610 oid > oid bool 1638 commutator=609 negator=611
611 oid <= oid bool 717 commutator=612 negator=610
612 oid >= oid bool 1639 commutator=611 negator=609
644 oidvector <> oidvector bool 619 commutator=644 negator=649
645 oidvector < oidvector bool 677 commutator=646 negator=648
646 oidvector > oidvector bool 681 commutator=645 negator=647
647 oidvector <= oidvector bool 678 commutator=648 negator=646
648 oidvector >= oidvector bool 680 commutator=647 negator=645
649 oidvector = oidvector bool 679 commutator=649 negator=644 merges hashes
2799 tid < tid bool 2791 commutator=2800 negator=2802
2800 tid > tid bool 2790 commutator=2799 negator=2801
2801 tid <= tid bool 2793 commutator=2802 negator=2800
2802 tid >= tid bool 2792 commutator=2801 negator=2799
3222 pg_lsn = pg_lsn bool 3233 commutator=3222 negator=3223 merges hashes
3223 pg_lsn <> pg_lsn bool 3236 commutator=3223 negator=3222
3224 pg_lsn < pg_lsn bool 3231 commutator=3225 negator=3227
3225 pg_lsn > pg_lsn bool 3235 commutator=3224 negator=3226
3226 pg_lsn <= pg_lsn bool 3232 commutator=3227 negator=3225
3227 pg_lsn >= pg_lsn bool 3234 commutator=3226 negator=3224
3228 pg_lsn - pg_lsn numeric 3237
5025 pg_lsn + numeric pg_lsn 5022 commutator=5026
5026 numeric + pg_lsn pg_lsn 5023 commutator=5025
5027 pg_lsn - numeric pg_lsn 5024
3315 xid <> xid bool 3308 commutator=3315 negator=352
3316 xid <> int4 bool 3309 negator=353
5068 xid8 = xid8 bool 5084 commutator=5068 negator=5072 merges hashes
5072 xid8 <> xid8 bool 5085 commutator=5072 negator=5068
5073 xid8 < xid8 bool 5034 commutator=5074 negator=5076
5074 xid8 > xid8 bool 5035 commutator=5073 negator=5075
5075 xid8 <= xid8 bool 5036 commutator=5076 negator=5074
5076 xid8 >= xid8 bool 5037 commutator=5075 negator=5073
""")
casts("""
10036 xid8 xid 5071 e f
10037 int8 oid 1287 i f
10038 int2 oid 313 i f
10039 int4 oid 0 i b
10040 oid int8 1288 a f
10041 oid int4 0 a b
10042 oid regproc 0 i b
10043 regproc oid 0 i b
10044 int8 regproc 1287 i f
10045 int2 regproc 313 i f
10046 int4 regproc 0 i b
10047 regproc int8 1288 a f
10048 regproc int4 0 a b
10049 regproc regprocedure 0 i b
10050 regprocedure regproc 0 i b
10051 oid regprocedure 0 i b
10052 regprocedure oid 0 i b
10053 int8 regprocedure 1287 i f
10054 int2 regprocedure 313 i f
10055 int4 regprocedure 0 i b
10056 regprocedure int8 1288 a f
10057 regprocedure int4 0 a b
10058 oid regoper 0 i b
10059 regoper oid 0 i b
10060 int8 regoper 1287 i f
10061 int2 regoper 313 i f
10062 int4 regoper 0 i b
10063 regoper int8 1288 a f
10064 regoper int4 0 a b
10065 regoper regoperator 0 i b
10066 regoperator regoper 0 i b
10067 oid regoperator 0 i b
10068 regoperator oid 0 i b
10069 int8 regoperator 1287 i f
10070 int2 regoperator 313 i f
10071 int4 regoperator 0 i b
10072 regoperator int8 1288 a f
10073 regoperator int4 0 a b
10074 oid regclass 0 i b
10075 regclass oid 0 i b
10076 int8 regclass 1287 i f
10077 int2 regclass 313 i f
10078 int4 regclass 0 i b
10079 regclass int8 1288 a f
10080 regclass int4 0 a b
10081 oid regcollation 0 i b
10082 regcollation oid 0 i b
10083 int8 regcollation 1287 i f
10084 int2 regcollation 313 i f
10085 int4 regcollation 0 i b
10086 regcollation int8 1288 a f
10087 regcollation int4 0 a b
10088 oid regtype 0 i b
10089 regtype oid 0 i b
10090 int8 regtype 1287 i f
10091 int2 regtype 313 i f
10092 int4 regtype 0 i b
10093 regtype int8 1288 a f
10094 regtype int4 0 a b
10095 oid regconfig 0 i b
10096 regconfig oid 0 i b
10097 int8 regconfig 1287 i f
10098 int2 regconfig 313 i f
10099 int4 regconfig 0 i b
10100 regconfig int8 1288 a f
10101 regconfig int4 0 a b
10102 oid regdictionary 0 i b
10103 regdictionary oid 0 i b
10104 int8 regdictionary 1287 i f
10105 int2 regdictionary 313 i f
10106 int4 regdictionary 0 i b
10107 regdictionary int8 1288 a f
10108 regdictionary int4 0 a b
10109 text regclass 1079 i f
10110 varchar regclass 1079 i f
10111 oid regrole 0 i b
10112 regrole oid 0 i b
10113 int8 regrole 1287 i f
10114 int2 regrole 313 i f
10115 int4 regrole 0 i b
10116 regrole int8 1288 a f
10117 regrole int4 0 a b
10118 oid regnamespace 0 i b
10119 regnamespace oid 0 i b
10120 int8 regnamespace 1287 i f
10121 int2 regnamespace 313 i f
10122 int4 regnamespace 0 i b
10123 regnamespace int8 1288 a f
10124 regnamespace int4 0 a b
""")
operator_classes("""
1981 oid_ops 1989 oid_ops oid 403 default 609,611,607,612,610 356,3134,0,5051
10031 oid_ops 1990 oid_ops oid 405 default 607 453,445
10032 oidvector_ops 1991 oidvector_ops oidvector 403 default 645,647,649,648,646 404,0,0,5051
10033 oidvector_ops 1992 oidvector_ops oidvector 405 default 649 457,776
10050 tid_ops 2789 tid_ops tid 403 default 2799,2801,387,2802,2800 2794,0,0,5051
10051 xid_ops 2225 xid_ops xid 405 default 352 450,425
10052 xid8_ops 5032 xid8_ops xid8 405 default 5068 949,442
10053 xid8_ops 5067 xid8_ops xid8 403 default 5073,5075,5068,5076,5074 5096,0,0,5051
10054 cid_ops 2226 cid_ops cid 405 default 385 450,425
10055 tid_ops 2227 tid_ops tid 405 default 387 2233,2234
10067 pg_lsn_ops 3253 pg_lsn_ops pg_lsn 403 default 3224,3226,3222,3227,3225 3251,0,0,5051
10068 pg_lsn_ops 3254 pg_lsn_ops pg_lsn 405 default 3222 3252,3413
""")
