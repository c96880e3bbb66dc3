"""String functions (manual, 9.4): lengths, case, trimming, padding, substrings, splitting, quoting, encodings.

Positions count characters from 1; a position before the string is taken as PostgreSQL takes it.
"""

from __future__ import annotations

import base64
import functools
import re
import unicodedata
from collections.abc import Callable
from typing import Final

from aurora.errors import (
    InvalidParameterValue,
    ProgramLimitExceeded,
    SqlSyntaxError,
    SubstringError,
)
from aurora.kernels import values
from compute_node.types import ctype
from compute_node.types.bytea import decode_escape, decode_hex, encode_escape
from compute_node.types.declare import fn, fns
from compute_node.types.long_text import (
    PIECE,
    by_pieces,
    check_length,
    digest,
    filled,
    paced,
    replace,
    size_bytes,
    split,
)
from compute_node.types.regex import compile_regex

_SAFE_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_$]*")

fns(
    """
1317 length(text) int4
1381 char_length(text) int4
1369 character_length(text) int4
1257 textlen(text) int4
""",
    len,
    "_len({0})",
    inline_names={"_len": len},
)
fns(
    """
1318 length(bpchar) int4
1372 char_length(bpchar) int4
1367 character_length(bpchar) int4
""",
    lambda value: len(value.rstrip(" ")),
)
fns(
    """
1374 octet_length(text) int4
1375 octet_length(bpchar) int4
""",
    lambda value: len(value.encode()),
)
fn(1811, "bit_length(text) int4", lambda value: len(value.encode()) * 8)
fn(870, "lower(text) text", by_pieces(ctype.lower))
fn(871, "upper(text) text", by_pieces(ctype.upper))


def _initcap(value: str) -> str:
    quick = values.initcap(value) if len(value) <= PIECE else None
    if quick is not None:
        return quick
    words = compile_regex("[[:alnum:]]+")
    out: list[str] = []
    done = 0
    for spans in words.finditer(value):
        begin, end = spans[0]
        out += [value[done:begin], ctype.upper(value[begin]), ctype.lower(value[begin + 1 : end])]
        done = end
    return "".join((*out, value[done:]))


fn(872, "initcap(text) text", _initcap)


def _trim(cut_left: bool, cut_right: bool) -> Callable[..., str]:
    def apply(value: str, characters: str = " ") -> str:
        if cut_left and characters:
            value = value.lstrip(characters)
        return value.rstrip(characters) if cut_right and characters else value

    return apply


fns(
    """
885 btrim(text) text
884 btrim(text, text) text
""",
    _trim(True, True),
)
fns(
    """
881 ltrim(text) text
875 ltrim(text, text) text
""",
    _trim(True, False),
)
fns(
    """
882 rtrim(text) text
876 rtrim(text, text) text
""",
    _trim(False, True),
)


def substring(value: str, start: int, length: int | None = None) -> str:
    """SQL substring; 22011 for a negative length."""
    if length is None:
        return value[max(start - 1, 0) :]
    if length < 0:
        raise SubstringError("negative substring length not allowed")
    return value[max(start - 1, 0) : max(start - 1 + length, 0)]


fns(
    """
937 substring(text, int4) text
883 substr(text, int4) text
""",
    substring,
)
fns(
    """
936 substring(text, int4, int4) text
877 substr(text, int4, int4) text
""",
    values.substring,
)
fns(
    """
849 position(text, text) int4
868 strpos(text, text) int4
""",
    lambda whole, part: whole.find(part) + 1,
)


def _repeat(value: str, count: int) -> str:
    if count <= 0:
        return ""
    check_length(size_bytes(value) * count)
    return value * count


def _pad(value: str, length: int, fill: str, left: bool) -> str:
    length = max(length, 0)
    if len(value) >= length or not fill:
        return value[:length]
    # As PostgreSQL, which makes room for characters of four bytes.
    check_length(4 * length)
    padding = filled(fill, length - len(value))
    return "".join([*padding, value] if left else [value, *padding])


fn(1622, "repeat(text, int4) text", _repeat)
fn(2087, "replace(text, text, text) text", replace)
fn(3062, "reverse(text) text", lambda value: value[::-1])
fn(3060, "left(text, int4) text", lambda value, count: value[:count])
fn(
    3061,
    "right(text, int4) text",
    # The opposite of -2**31 is itself in 32 bits: nothing is cut off then.
    # In 32 bits the opposite of -2**31 is itself: nothing is cut off.
    lambda value, count: value[max(len(value) - count, 0) :] if count >= 0 else value[-(count % -(2**31)) :],
)
fn(879, "lpad(text, int4) text", lambda value, length: _pad(value, length, " ", True))
fn(873, "lpad(text, int4, text) text", lambda value, length, fill: _pad(value, length, fill, True))
fn(880, "rpad(text, int4) text", lambda value, length: _pad(value, length, " ", False))
fn(874, "rpad(text, int4, text) text", lambda value, length, fill: _pad(value, length, fill, False))


def _split_part(value: str, delimiter: str, field: int) -> str:
    if field == 0:
        raise InvalidParameterValue("field position must not be zero")
    if not value:
        return ""
    if 0 < field <= len(value) <= PIECE and delimiter:
        parts = value.split(delimiter, field)
        return parts[field - 1] if field <= len(parts) else ""
    parts = split(value, delimiter) if delimiter else [value]
    index = field - 1 if field > 0 else len(parts) + field
    return parts[index] if 0 <= index < len(parts) else ""


fn(2088, "split_part(text, text, int4) text", _split_part)
fn(2311, "md5(text) text", lambda value: digest("md5", value).hex())
fn(1620, "ascii(text) int4", lambda value: ord(value[0]) if value else 0)


def _chr(code: int) -> str:
    if code < 0:
        raise InvalidParameterValue("character number must be positive")
    if code == 0:
        raise ProgramLimitExceeded("null character not permitted")
    if code > 0x10FFFF:
        raise ProgramLimitExceeded(f"requested character too large for encoding: {code}")
    if 0xD800 <= code <= 0xDFFF:
        raise ProgramLimitExceeded(f"requested character not valid for encoding: {code}")
    return chr(code)


fn(1621, "chr(int4) text", _chr)
fn(2089, "to_hex(int4) text", lambda value: f"{value & 0xFFFFFFFF:x}")
fn(2090, "to_hex(int8) text", lambda value: f"{value & 0xFFFFFFFFFFFFFFFF:x}")


def _translate(value: str, old: str, new: str) -> str:
    if len(old) <= 256 and len(value) <= PIECE:
        return value.translate(_translation(old, new[: len(old)]))
    table = _translated(old, new)
    return by_pieces(lambda piece: piece.translate(table))(value)


def _translated(old: str, new: str) -> dict[int, str | None]:
    table: dict[int, str | None] = {}
    for at, character in enumerate(old):
        table.setdefault(ord(character), new[at] if at < len(new) else None)
    return table


_translation = functools.lru_cache(maxsize=256)(_translated)


fn(878, "translate(text, text, text) text", _translate)
fn(3696, "starts_with(text, text) bool", str.startswith)
fn(1404, "overlay(text, text, int4, int4) text", lambda value, new, start, count: _overlay(value, new, start, count))
fn(1405, "overlay(text, text, int4) text", lambda value, new, start: _overlay(value, new, start, len(new)))


def _overlay(value: str, new: str, start: int, count: int) -> str:
    if start <= 0:
        raise SubstringError("negative substring length not allowed")
    return value[: start - 1] + new + value[max(start - 1 + count, 0) :]


RESERVED_WORDS = frozenset(
    [
        "all",
        "analyse",
        "analyze",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "asymmetric",
        "authorization",
        "between",
        "bigint",
        "binary",
        "bit",
        "boolean",
        "both",
        "case",
        "cast",
        "char",
        "character",
        "check",
        "coalesce",
        "collate",
        "collation",
        "column",
        "concurrently",
        "constraint",
        "create",
        "cross",
        "current_catalog",
        "current_date",
        "current_role",
        "current_schema",
        "current_time",
        "current_timestamp",
        "current_user",
        "dec",
        "decimal",
        "default",
        "deferrable",
        "desc",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "exists",
        "extract",
        "false",
        "fetch",
        "float",
        "for",
        "foreign",
        "freeze",
        "from",
        "full",
        "grant",
        "greatest",
        "group",
        "grouping",
        "having",
        "ilike",
        "in",
        "initially",
        "inner",
        "inout",
        "int",
        "integer",
        "intersect",
        "interval",
        "into",
        "is",
        "isnull",
        "join",
        "lateral",
        "leading",
        "least",
        "left",
        "like",
        "limit",
        "localtime",
        "localtimestamp",
        "national",
        "natural",
        "nchar",
        "none",
        "normalize",
        "not",
        "notnull",
        "null",
        "nullif",
        "numeric",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "out",
        "outer",
        "overlaps",
        "overlay",
        "placing",
        "position",
        "precision",
        "primary",
        "real",
        "references",
        "returning",
        "right",
        "row",
        "select",
        "session_user",
        "setof",
        "similar",
        "smallint",
        "some",
        "substring",
        "symmetric",
        "table",
        "tablesample",
        "then",
        "time",
        "timestamp",
        "to",
        "trailing",
        "treat",
        "trim",
        "true",
        "union",
        "unique",
        "user",
        "using",
        "values",
        "varchar",
        "variadic",
        "verbose",
        "when",
        "where",
        "window",
        "with",
        "xmlattributes",
        "xmlconcat",
        "xmlelement",
        "xmlexists",
        "xmlforest",
        "xmlnamespaces",
        "xmlparse",
        "xmlpi",
        "xmlroot",
        "xmlserialize",
        "xmltable",
    ]
)
"""Keywords that an identifier may not be without quotes."""


def quote_identifier(name: str) -> str:
    """The name as it must be written in SQL."""
    if _SAFE_IDENTIFIER.fullmatch(name) is not None and name not in RESERVED_WORDS and "$" not in name:
        return name
    return '"' + name.replace('"', '""') + '"'


def quote_literal(value: str) -> str:
    """The string as a SQL literal."""
    quoted = "'" + value.replace("'", "''").replace("\\", "\\\\") + "'"
    return "E" + quoted if "\\" in value else quoted


fn(1282, "quote_ident(text) text", quote_identifier)
fn(1283, "quote_literal(text) text", quote_literal)
fn(1289, "quote_nullable(text) text nullable", lambda value: "NULL" if value is None else quote_literal(value))


def _base64_lines(value: bytes) -> str:
    text = base64.b64encode(value).decode()
    return "\n".join(text[at : at + 76] for at in range(0, len(text), 76))


def _encode(value: bytes, form: str) -> str:
    encoders: dict[str, Callable[[bytes], str]] = {
        "hex": lambda each: each.hex(),
        "base64": _base64_lines,
        "escape": encode_escape,
    }
    encoder = encoders.get(form.lower())
    if encoder is None:
        raise InvalidParameterValue(f'unrecognized encoding: "{form}"')
    return encoder(value)


_BLANKS: Final = str.maketrans("", "", " \t\n\r")
_BASE64: Final = re.compile("[A-Za-z0-9+/]*+={0,2}")
_BASE64_DIGITS: Final = {
    digit: value for value, digit in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
}


def _decode_base64(text: str) -> bytes:
    digits = text.translate(_BLANKS)
    if len(digits) % 4 == 0 and _BASE64.fullmatch(digits) is not None:
        return base64.b64decode(digits)
    return _decode_odd_base64(digits)


def _decode_odd_base64(digits: str) -> bytes:
    """A text that goes on after its end, or has errors, in the order in which PostgreSQL finds them."""
    out = bytearray()
    group, count, end = 0, 0, 0
    for digit in paced(digits):
        if digit == "=":
            if not end and count < 2:
                raise InvalidParameterValue('unexpected "=" while decoding base64 sequence')
            end = end or count - 1
        elif digit not in _BASE64_DIGITS:
            raise InvalidParameterValue(f'invalid symbol "{digit}" found while decoding base64 sequence')
        group, count = group << 6 | _BASE64_DIGITS.get(digit, 0), count + 1
        if count == 4:
            out += group.to_bytes(3, "big")[: end or 3]
            group = count = 0
    if count:
        raise InvalidParameterValue(
            "invalid base64 end sequence",
            hint="Input data is missing padding, is truncated, or is otherwise corrupted.",
        )
    return bytes(out)


def _decode(text: str, form: str) -> bytes:
    decoders = {"hex": decode_hex, "base64": _decode_base64, "escape": decode_escape}
    decoder = decoders.get(form.lower())
    if decoder is None:
        raise InvalidParameterValue(f'unrecognized encoding: "{form}"')
    return decoder(text)


fn(1946, "encode(bytea, text) text", _encode)
fn(1947, "decode(text, text) bytea", _decode)


def _normalize(value: str, form: str) -> str:
    if form.upper() not in ("NFC", "NFD", "NFKC", "NFKD"):
        raise InvalidParameterValue(f"invalid normalization form: {form}")
    return unicodedata.normalize(form.upper(), value)  # type: ignore[arg-type]


fn(4350, "normalize(text, text) text", _normalize, defaults=("NFC",))


def _is_normalized(value: str, form: str) -> bool:
    return _normalize(value, form) == value


fn(4351, "is_normalized(text, text) bool", _is_normalized, defaults=("NFC",))
_UNICODE = re.compile(r"\\(?:([0-9a-fA-F]{4})|\+([0-9a-fA-F]{6})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(\\))")


def _unistr(value: str) -> str:
    """Text with Unicode escapes, pairs of surrogates too. 42601 or 22023 for what is none."""
    out: list[str] = []
    at, high = 0, 0
    while at < len(value):
        mark = value.find("\\", at)
        plain = value[at : mark if mark >= 0 else len(value)]
        if plain:
            out.append(plain)
            at += len(plain)
        escape = _UNICODE.match(value, at) if mark >= 0 else None
        if mark >= 0 and escape is None:
            raise SqlSyntaxError(
                "invalid Unicode escape", hint="Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX."
            )
        digits = None if escape is None else escape[1] or escape[2] or escape[3] or escape[4]
        code = int(digits, 16) if digits else 0
        if digits and not 0 < code <= 0x10FFFF:
            raise InvalidParameterValue(f"invalid Unicode code point: {code:04X}")
        low = 0xDC00 <= code < 0xE000
        if (high and (plain or not low)) or (low and not high):
            raise SqlSyntaxError("invalid Unicode surrogate pair")
        if escape is None:
            break
        at = escape.end()
        if 0xD800 <= code < 0xDC00:
            high = code
        else:
            out.append(
                chr(0x10000 + ((high & 0x3FF) << 10) + (code & 0x3FF)) if high else chr(code) if digits else "\\"
            )
            high = 0
    if high:
        raise SqlSyntaxError("invalid Unicode surrogate pair")
    return "".join(out)


fn(6198, "unistr(text) text", _unistr)
