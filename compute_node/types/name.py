"""name (a string of at most 63 bytes) and "char" (one byte): I/O, comparison, casts (manual, 8.3)."""

from __future__ import annotations

from collections.abc import Callable

from aurora.errors import NumericValueOutOfRange
from compute_node.types.common import receive_text, wrong_length
from compute_node.types.declare import comparisons, fn, fns
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
358 btcharcmp(char, char) int4
""")


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
