"""name (a string of at most 63 bytes) and "char" (one byte): I/O, comparison, casts (manual, 8.3)."""

from __future__ import annotations

from collections.abc import Callable

from aurora.errors import NumericValueOutOfRange
from compute_node.types.common import receive_text, wrong_length
from compute_node.types.declare import casts, comparisons, family_operators, fn, fns, operator_classes, operators
from compute_node.types.oids import CHAR
from compute_node.types.registry import REGISTRY, PgType, TypeEnv
from compute_node.types.text import STRING_WIRE, string_type

NAME_BYTES_MAX = 63


def truncate_name(text: str) -> str:
    """Cut to 63 bytes at a character boundary, as every identifier is."""
    if len(text) <= NAME_BYTES_MAX // 4:
        return text
    encoded = text.encode()
    return text if len(encoded) <= NAME_BYTES_MAX else encoded[:NAME_BYTES_MAX].decode(errors="ignore")


def _character(code: int) -> str:
    """The value for a byte; the zero byte is the empty string, as a row's decoder gives it."""
    return chr(code) if code else ""


def _char_byte(value: str) -> bytes:
    return value.encode("latin-1") or b"\0"


def char_in(text: str, typmod: int = -1, env: TypeEnv | None = None) -> str:
    """The first byte of the text, ``\\ooo`` for a byte above 127; the empty string stands for the zero byte."""
    encoded = text.encode()
    if len(text) == 4 and text[0] == "\\" and all(digit in "01234567" for digit in text[1:]):
        return _character(int(text[1:], 8) & 0xFF)
    return _character(encoded[0]) if encoded else ""


def char_out(value: str) -> str:
    """Inverse of ``char_in``; the zero byte shows as nothing."""
    return value if value < "\x80" else f"\\{ord(value):03o}"


def _char_receive(data: bytes, typmod: int) -> str:
    if len(data) != 1:
        raise wrong_length(data, 1)
    return _character(data[0])


string_type(
    19,
    "name",
    length=64,
    align="c",
    storage="p",
    collation=950,
    wire=STRING_WIRE,
    array=1003,
    element=18,
    input=lambda text, typmod, env: truncate_name(text),
    receive=lambda data, typmod: truncate_name(receive_text(data, typmod)),
)
REGISTRY.add_type(
    PgType(
        oid=CHAR,
        name="char",
        formatted_name='"char"',
        length=1,
        by_value=True,
        category="Z",
        align="c",
        array=1002,
        input=char_in,
        output=lambda value, env: char_out(value),
        text_bytes=lambda value: char_out(value).encode(),
        receive=_char_receive,
        send=_char_byte,
        disk="c",
        sort_key=_char_byte,
    )
)

comparisons("""
62 nameeq(name, name) bool
659 namene(name, name) bool
655 namelt(name, name) bool
656 namele(name, name) bool
657 namegt(name, name) bool
658 namege(name, name) bool
359 btnamecmp(name, name) int4
61 chareq(char, char) bool
70 charne(char, char) bool
1246 charlt(char, char) bool
72 charle(char, char) bool
73 chargt(char, char) bool
74 charge(char, char) bool
""")


fn(358, "btcharcmp(char, char) int4", lambda a, b: _char_byte(a)[0] - _char_byte(b)[0])


def _mixed(block: str, compare: Callable[[str, str], bool | int], inline: str | None) -> None:
    fns(block, compare, inline)


_mixed(
    """
240 nameeqtext(name, text) bool
247 texteqname(text, name) bool
""",
    lambda a, b: a == b,
    "({0} == {1})",
)
_mixed(
    """
245 namenetext(name, text) bool
252 textnename(text, name) bool
""",
    lambda a, b: a != b,
    "({0} != {1})",
)
_mixed(
    """
241 namelttext(name, text) bool
248 textltname(text, name) bool
""",
    lambda a, b: a < b,
    "({0} < {1})",
)
_mixed(
    """
242 nameletext(name, text) bool
249 textlename(text, name) bool
""",
    lambda a, b: a <= b,
    "({0} <= {1})",
)
_mixed(
    """
244 namegttext(name, text) bool
251 textgtname(text, name) bool
""",
    lambda a, b: a > b,
    "({0} > {1})",
)
_mixed(
    """
243 namegetext(name, text) bool
250 textgename(text, name) bool
""",
    lambda a, b: a >= b,
    "({0} >= {1})",
)
_mixed(
    """
246 btnametextcmp(name, text) int4
253 bttextnamecmp(text, name) int4
""",
    lambda a, b: (a > b) - (a < b),
    None,
)

fn(406, "text(name) text", lambda value: value, "{0}")
fn(408, "bpchar(name) bpchar", lambda value: value, "{0}")
fn(407, "name(text) name", truncate_name)
fn(1400, "name(varchar) name", truncate_name)
fn(409, "name(bpchar) name", lambda value: truncate_name(value.rstrip(" ")))
fn(946, "text(char) text", char_out)
fn(860, "bpchar(char) bpchar", char_out)
fn(944, "char(text) char", char_in)
fn(77, "int4(char) int4", lambda value: int.from_bytes(_char_byte(value), signed=True))


def _char_from_int(value: int) -> str:
    if not -128 <= value <= 127:
        raise NumericValueOutOfRange('"char" out of range')
    return _character(value & 0xFF)


fn(78, "char(int4) char", _char_from_int)
fns(
    """
    1401 varchar(name) varchar
    """,
    lambda value: value,
)
operators("""
92 char = char bool 61 commutator=92 negator=630 merges hashes
93 name = name bool 62 commutator=93 negator=643 merges hashes
254 name = text bool 240 commutator=260 negator=259 merges hashes
255 name < text bool 241 commutator=264 negator=257
256 name <= text bool 242 commutator=263 negator=258
257 name >= text bool 243 commutator=262 negator=255
258 name > text bool 244 commutator=261 negator=256
259 name <> text bool 245 commutator=265 negator=254
260 text = name bool 247 commutator=254 negator=265 merges hashes
261 text < name bool 248 commutator=258 negator=263
262 text <= name bool 249 commutator=257 negator=264
263 text >= name bool 250 commutator=256 negator=261
264 text > name bool 251 commutator=255 negator=262
265 text <> name bool 252 commutator=259 negator=260
630 char <> char bool 70 commutator=630 negator=92
631 char < char bool 1246 commutator=633 negator=634
632 char <= char bool 72 commutator=634 negator=633
633 char > char bool 73 commutator=631 negator=632
634 char >= char bool 74 commutator=632 negator=631
639 name ~ text bool 79 negator=640
640 name !~ text bool 1252 negator=639
643 name <> name bool 659 commutator=643 negator=93
660 name < name bool 655 commutator=662 negator=663
661 name <= name bool 656 commutator=663 negator=662
662 name > name bool 657 commutator=660 negator=661
663 name >= name bool 658 commutator=661 negator=660
1207 name ~~ text bool 858 negator=1208
1208 name !~~ text bool 859 negator=1207
1226 name ~* text bool 1240 negator=1227
1227 name !~* text bool 1241 negator=1226
1625 name ~~* text bool 1635 negator=1626
1626 name !~~* text bool 1636 negator=1625
""")
casts("""
10131 char text 946 i f
10132 char bpchar 860 a f
10133 char varchar 946 a f
10134 name text 406 i f
10135 name bpchar 408 a f
10136 name varchar 1401 a f
10137 text char 944 a f
10138 bpchar char 944 a f
10139 varchar char 944 a f
10140 text name 407 i f
10141 bpchar name 409 i f
10142 varchar name 1400 i f
10143 char int4 77 e f
10144 int4 char 78 e f
""")
operator_classes("""
10007 char_ops 429 char_ops char 403 default 631,632,92,634,633 358,0,0,5051
10008 char_ops 431 char_ops char 405 default 92 454,446
10028 name_ops 1994 text_ops name 403 default 660,661,93,663,662 359,3135,0,5050
10029 name_ops 1995 text_ops name 405 default 93 455,447
""")
family_operators("""
1994 403 name text 255,256,254,257,258
1994 403 text name 261,262,260,263,264
1995 405 name text 254
1995 405 text name 260
""")
