"""oid, the reg* aliases, tid, xid, cid, xid8, pg_lsn, aclitem: I/O, comparison, casts (manual, 8.19, 8.20).

The reg* types hold an OID; their names go through ``TypeEnv.lookup``, the catalog's hook.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from decimal import Decimal

from aurora.errors import (
    InvalidTextRepresentation,
    NumericValueOutOfRange,
    UndefinedFunction,
    UndefinedObject,
    UndefinedTable,
)
from aurora.ids import make_tid, tid_text
from compute_node.types.common import fixed_codec, invalid_syntax, string_key, value_out_of_range, wrong_length
from compute_node.types.declare import comparisons, fn, fns
from compute_node.types.registry import REGISTRY, PgType, TypeEnv, Wire
from compute_node.types.text import string_type

_UNSIGNED = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)[ \t\n\v\f\r]*")
_U32 = 0xFFFFFFFF
_pack_u32 = struct.Struct(">I").pack
_pack_u64 = struct.Struct(">Q").pack


def oid_in(text: str, typmod: int = -1, env: TypeEnv | None = None) -> int:
    """Unsigned 32-bit integer; a negative one wraps, as strtoul's does."""
    match = _UNSIGNED.fullmatch(text)
    if match is None:
        raise invalid_syntax("oid", text)
    value = int(match[1])
    if not -0x80000000 <= value <= _U32:
        raise value_out_of_range("oid", text)
    return value & _U32


def _xid_in(text: str, typmod: int, env: TypeEnv) -> int:
    match = re.match(r"\s*([+-]?[0-9]+)", text)
    return int(match[1]) & _U32 if match else 0


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

    def read(text: str, typmod: int, env: TypeEnv) -> int:
        if text == "-":
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

    def write(value: int, env: TypeEnv) -> str:
        if value == 0:
            return "-"
        found = env.lookup(hook, value) if env.lookup is not None else None
        return str(value) if found is None else str(found)

    return write


for _name, (_oid, _array, _missing) in REG_TYPES.items():
    _u32_type(_oid, _name, _array, _reg_input(_name, _missing), output=_reg_output(_name), text_bytes=None)

_TID = re.compile(r"\(([0-9]+),([0-9]+)\)")
_TID_CODEC = struct.Struct(">IH")


def tid_in(text: str, typmod: int, env: TypeEnv) -> int:
    """``(block,slot)``; 22P02 otherwise."""
    match = _TID.fullmatch(text.strip())
    if match is None or int(match[1]) > _U32 or int(match[2]) > 0xFFFF:
        raise invalid_syntax("tid", text)
    return make_tid(int(match[1]), int(match[2]))


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
    match = re.match(r"\s*([0-9]+)", text)
    return int(match[1]) & 0xFFFFFFFFFFFFFFFF if match else 0


_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")


def lsn_in(text: str, typmod: int, env: TypeEnv) -> int:
    """``high/low`` in hexadecimal; 22P02 otherwise."""
    match = _LSN.fullmatch(text)
    if match is None:
        raise invalid_syntax("pg_lsn", text)
    return int(match[1], 16) << 32 | int(match[2], 16)


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
        disk="q",
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
        disk="q",
        sort_key=_pack_u64,
    )
)


def aclitem_in(text: str, typmod: int, env: TypeEnv) -> str:
    """``grantee=privileges/grantor``, kept as text; 22P02 without the two signs."""
    if "=" not in text or "/" not in text:
        raise InvalidTextRepresentation('missing "=" sign' if "=" not in text else 'a name must follow the "/" sign')
    return text


string_type(
    1033,
    "aclitem",
    length=12,
    category="U",
    align="i",
    storage="p",
    collation=0,
    array=1034,
    input=aclitem_in,
    receive=None,
    send=None,
    sort_key=string_key,
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
    return REGISTRY.types_by_name["regclass"].input(text, -1, context.env)  # type: ignore[attr-defined, no-any-return]


fn(1079, "regclass(text) regclass stable", _text_to_regclass, needs_context=True)
fns(
    """
6103 pg_lsn(numeric) pg_lsn
""",
    int,
)
