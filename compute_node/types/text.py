"""text, varchar, bpchar: I/O, length coercion, comparison, concatenation (manual, 8.3).

A bpchar value keeps its blanks; comparison, length and the cast to text ignore trailing ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aurora.errors import InvalidParameterValue, ProgramLimitExceeded, StringDataRightTruncation
from compute_node.types.common import parse_typmod_int, receive_text, string_key
from compute_node.types.declare import casts, comparisons, fn, fns, operator_classes, operators
from compute_node.types.long_text import concat
from compute_node.types.registry import REGISTRY, PgType, TypeEnv, Wire

MAX_LENGTH = 10485760


def text_in(text: str, typmod: int, env: TypeEnv) -> str:
    """Any string."""
    return text


def text_out(value: str, env: TypeEnv) -> str:
    """The string itself."""
    return value


def _typmod_in(name: str) -> Callable[[list[str]], int]:
    def read(arguments: list[str]) -> int:
        if len(arguments) != 1:
            raise InvalidParameterValue("invalid type modifier")
        length = parse_typmod_int("integer", arguments[0])
        if length < 1:
            raise InvalidParameterValue(f"length for type {name} must be at least 1")
        if length > MAX_LENGTH:
            raise InvalidParameterValue(f"length for type {name} cannot exceed {MAX_LENGTH}")
        return length + 4

    return read


def typmod_out(typmod: int) -> str:
    """``(n)``; nothing for a modifier that no length has."""
    return f"({typmod - 4})" if typmod > 4 else ""


def varchar_typmod(value: str, typmod: int, explicit: bool) -> str:
    """varchar(n): an explicit cast cuts; otherwise only blanks may be lost (22001)."""
    limit = typmod - 4
    if typmod < 4 or len(value) <= limit:
        return value
    if not explicit and value[limit:].strip(" "):
        raise StringDataRightTruncation(f"value too long for type character varying({limit})")
    return value[:limit]


def bpchar_typmod(value: str, typmod: int, explicit: bool) -> str:
    """char(n): pads with blanks; an explicit cast cuts; otherwise only blanks may be lost (22001)."""
    limit = typmod - 4
    if typmod < 4:
        return value
    if len(value) <= limit:
        if limit > MAX_LENGTH:  # a length given to the cast function itself, not a declared type's
            raise ProgramLimitExceeded(f"invalid memory alloc request size {typmod}")
        return value.ljust(limit)
    if not explicit and value[limit:].strip(" "):
        raise StringDataRightTruncation(f"value too long for type character({limit})")
    return value[:limit]


def without_padding(value: str) -> str:
    """A bpchar value as comparison sees it."""
    return value.rstrip(" ")


STRING_WIRE = Wire(b"s", b"s")
"""a value that goes out as it is, and whose input checks or changes it"""
TEXT_WIRE = Wire(b"s", b"s", b"s", "s")


def string_type(oid: int, name: str, **extra: Any) -> PgType:
    """Declare a type whose value is a str and whose text form is the value."""
    fields: dict[str, Any] = {
        "length": -1,
        "by_value": False,
        "category": "S",
        "input": text_in,
        "output": text_out,
        "text_bytes": str.encode,
        "receive": receive_text,
        "send": str.encode,
        "disk": "s",
        "sort_key": string_key,
        "storage": "x",
        "collation": 100,
    }
    return REGISTRY.add_type(PgType(oid=oid, name=name, **{**fields, **extra}))


string_type(25, "text", array=1009, preferred=True, wire=TEXT_WIRE)
string_type(
    1043,
    "varchar",
    formatted_name="character varying",
    wire=TEXT_WIRE,
    array=1015,
    input=lambda text, typmod, env: varchar_typmod(text, typmod, False),
    typmod_in=_typmod_in("varchar"),
    typmod_out=typmod_out,
    typmod_cast=varchar_typmod,
)
string_type(
    1042,
    "bpchar",
    formatted_name="character",
    wire=STRING_WIRE,
    array=1014,
    input=lambda text, typmod, env: bpchar_typmod(text, typmod, False),
    sort_value=without_padding,
    sort_key=lambda value: string_key(value.rstrip(" ")),
    typmod_in=_typmod_in("char"),
    typmod_out=typmod_out,
    typmod_cast=bpchar_typmod,
)
string_type(1790, "refcursor", category="U", collation=0, array=2201, sort_key=None)
string_type(194, "pg_node_tree", category="Z")

comparisons("""
67 texteq(text, text) bool
157 textne(text, text) bool
740 text_lt(text, text) bool
741 text_le(text, text) bool
742 text_gt(text, text) bool
743 text_ge(text, text) bool
360 bttextcmp(text, text) int4
""")
comparisons(
    """
1048 bpchareq(bpchar, bpchar) bool
1053 bpcharne(bpchar, bpchar) bool
1049 bpcharlt(bpchar, bpchar) bool
1050 bpcharle(bpchar, bpchar) bool
1051 bpchargt(bpchar, bpchar) bool
1052 bpcharge(bpchar, bpchar) bool
1078 bpcharcmp(bpchar, bpchar) int4
""",
    without_padding,
)
comparisons(
    """
2174 bpchar_pattern_lt(bpchar, bpchar) bool
2175 bpchar_pattern_le(bpchar, bpchar) bool
2178 bpchar_pattern_gt(bpchar, bpchar) bool
2177 bpchar_pattern_ge(bpchar, bpchar) bool
2180 btbpchar_pattern_cmp(bpchar, bpchar) int4
""",
    without_padding,
)
fns(
    """
2160 text_pattern_lt(text, text) bool
""",
    lambda a, b: a < b,
    "({0} < {1})",
)
fns(
    """
2161 text_pattern_le(text, text) bool
""",
    lambda a, b: a <= b,
    "({0} <= {1})",
)
fns(
    """
2164 text_pattern_gt(text, text) bool
""",
    lambda a, b: a > b,
    "({0} > {1})",
)
fns(
    """
2163 text_pattern_ge(text, text) bool
""",
    lambda a, b: a >= b,
    "({0} >= {1})",
)
fns(
    """
2166 bttext_pattern_cmp(text, text) int4
""",
    lambda a, b: (a > b) - (a < b),
)
fn(458, "text_larger(text, text) text", max)
fn(459, "text_smaller(text, text) text", min)
fn(1063, "bpchar_larger(bpchar, bpchar) bpchar", lambda a, b: a if a.rstrip(" ") >= b.rstrip(" ") else b)
fn(1064, "bpchar_smaller(bpchar, bpchar) bpchar", lambda a, b: a if a.rstrip(" ") <= b.rstrip(" ") else b)
fn(1258, "textcat(text, text) text", concat, "_concat({0}, {1})", inline_names={"_concat": concat})
fn(669, "varchar(varchar, int4, bool) varchar", varchar_typmod)
fn(668, "bpchar(bpchar, int4, bool) bpchar", bpchar_typmod)
fn(401, "text(bpchar) text", without_padding)
operators("""
98 text = text bool 67 commutator=98 negator=531 merges hashes
531 text <> text bool 157 commutator=531 negator=98
641 text ~ text bool 1254 negator=642
642 text !~ text bool 1256 negator=641
654 text || text text 1258
664 text < text bool 740 commutator=666 negator=667
665 text <= text bool 741 commutator=667 negator=666
666 text > text bool 742 commutator=664 negator=665
667 text >= text bool 743 commutator=665 negator=664
1054 bpchar = bpchar bool 1048 commutator=1054 negator=1057 merges hashes
1055 bpchar ~ text bool 1658 negator=1056
1056 bpchar !~ text bool 1659 negator=1055
1057 bpchar <> bpchar bool 1053 commutator=1057 negator=1054
1058 bpchar < bpchar bool 1049 commutator=1060 negator=1061
1059 bpchar <= bpchar bool 1050 commutator=1061 negator=1060
1060 bpchar > bpchar bool 1051 commutator=1058 negator=1059
1061 bpchar >= bpchar bool 1052 commutator=1059 negator=1058
1209 text ~~ text bool 850 negator=1210
1210 text !~~ text bool 851 negator=1209
1211 bpchar ~~ text bool 1631 negator=1212
1212 bpchar !~~ text bool 1632 negator=1211
1228 text ~* text bool 1238 negator=1229
1229 text !~* text bool 1239 negator=1228
1234 bpchar ~* text bool 1656 negator=1235
1235 bpchar !~* text bool 1657 negator=1234
1627 text ~~* text bool 1633 negator=1628
1628 text !~~* text bool 1634 negator=1627
1629 bpchar ~~* text bool 1660 negator=1630
1630 bpchar !~~* text bool 1661 negator=1629
2314 text ~<~ text bool 2160 commutator=2318 negator=2317
2315 text ~<=~ text bool 2161 commutator=2317 negator=2318
2317 text ~>=~ text bool 2163 commutator=2315 negator=2314
2318 text ~>~ text bool 2164 commutator=2314 negator=2315
2326 bpchar ~<~ bpchar bool 2174 commutator=2330 negator=2329
2327 bpchar ~<=~ bpchar bool 2175 commutator=2329 negator=2330
2329 bpchar ~>=~ bpchar bool 2177 commutator=2327 negator=2326
2330 bpchar ~>~ bpchar bool 2178 commutator=2326 negator=2327
3877 text ^@ text bool 3696
""")
casts("""
10125 text bpchar 0 i b
10126 text varchar 0 i b
10127 bpchar text 401 i f
10128 bpchar varchar 401 i f
10129 varchar text 0 i b
10130 varchar bpchar 0 i b
10145 pg_node_tree text 0 i b
10191 bool text 2971 a f
10196 bool varchar 2971 a f
10201 bool bpchar 2971 a f
10204 bpchar bpchar 668 i f
10205 varchar varchar 669 i f
""")
operator_classes("""
3126 text_ops 1994 text_ops text 403 default 664,665,98,667,666 360,3255,0,5050
4217 text_pattern_ops 2095 text_pattern_ops text 403 extra 2314,2315,98,2317,2318 2166,3332,0,5051
4218 varchar_pattern_ops 2095 text_pattern_ops text 403 extra 2314,2315,98,2317,2318 2166,3332,0,5051
4219 bpchar_pattern_ops 2097 bpchar_pattern_ops bpchar 403 extra 2326,2327,1054,2329,2330 2180,0,0,5051
10004 bpchar_ops 426 bpchar_ops bpchar 403 default 1058,1059,1054,1061,1060 1078,3328,0,5050
10005 bpchar_ops 427 bpchar_ops bpchar 405 default 1054 1080,972
10037 text_ops 1995 text_ops text 405 default 98 400,448
10044 varchar_ops 1994 text_ops text 403 extra 664,665,98,667,666 360,3255,0,5050
10045 varchar_ops 1995 text_ops text 405 extra 98 400,448
10056 text_pattern_ops 2229 text_pattern_ops text 405 extra 98 400,448
10057 varchar_pattern_ops 2229 text_pattern_ops text 405 extra 98 400,448
10058 bpchar_pattern_ops 2231 bpchar_pattern_ops bpchar 405 extra 1054 1080,972
""")
