"""Functions of character sets: ``convert``, names and numbers of encodings, ``to_ascii`` (manual, 9.4 and 9.5).

Conversions are those of ``charsets``, between UTF-8 and each other set, and between the pairs that PostgreSQL has
conversions for; MULE_INTERNAL is known by name, and what PostgreSQL converts to and from it is 0A000.
"""

from __future__ import annotations

from typing import Final

from aurora.errors import InvalidParameterValue, NotSupported, UndefinedFunction, UndefinedObject
from compute_node.types.charsets.charset import charset, invalid, untranslatable
from compute_node.types.charsets.names import (
    ENCODINGS,
    MULE,
    SQL_ASCII,
    UTF8,
    find_encoding,
)
from compute_node.types.declare import fn
from compute_node.types.long_text import check_bytes
from compute_node.types.registry import FunctionContext

_MOST_BYTES: Final = {
    "EUC_JP": 3,
    "EUC_CN": 3,
    "EUC_KR": 3,
    "EUC_TW": 4,
    "EUC_JIS_2004": 3,
    "UTF8": 4,
    "MULE_INTERNAL": 4,
}
_MOST_BYTES_CLIENT: Final = {"SJIS": 2, "BIG5": 2, "GBK": 2, "UHC": 2, "GB18030": 4, "JOHAB": 3, "SHIFT_JIS_2004": 2}
_DIRECT: Final = (
    frozenset({"LATIN2", "WIN1250"}),
    frozenset({"KOI8R", "WIN1251", "WIN866", "ISO_8859_5"}),
    frozenset({"EUC_JP", "SJIS"}),
    frozenset({"EUC_TW", "BIG5"}),
    frozenset({"EUC_JIS_2004", "SHIFT_JIS_2004"}),
)
"""Sets that are converted to each other."""
_MULE: Final = frozenset(
    ("KOI8R", "ISO_8859_5", "WIN1251", "WIN866", "EUC_CN", "EUC_JP", "SJIS", "EUC_KR", "EUC_TW", "BIG5", "LATIN1",
     "LATIN2", "LATIN3", "LATIN4", "WIN1250")
)  # fmt: skip
"""Sets that PostgreSQL converts to and from MULE_INTERNAL."""


def _encoding(name: str, role: str) -> str:
    found = find_encoding(name)
    if found is None:
        raise InvalidParameterValue(f'invalid {role} encoding name "{name}"')
    return found


def has_conversion(source: str, target: str) -> bool:
    """Whether PostgreSQL has a conversion between two different sets."""
    if MULE in (source, target):
        return (target if source == MULE else source) in _MULE
    return UTF8 in (source, target) or any({source, target} <= group for group in _DIRECT)


def check_conversion(source: str, target: str) -> None:
    """42883 where PostgreSQL has none between the two, 0A000 where this server has none."""
    if not has_conversion(source, target):
        raise UndefinedFunction(f'default conversion function for encoding "{source}" to "{target}" does not exist')
    if MULE in (source, target):
        raise NotSupported(f"conversion between {source} and {target} is not supported")


def _verify(value: bytes, name: str) -> None:
    """22021 for bytes that are not of the set, whatever they may stand for."""
    if name == SQL_ASCII:
        if (zero := value.find(b"\0")) >= 0:
            raise invalid(name, value[zero : zero + 1])
    elif name != MULE:
        charset(name).verify(value)


def _convert(value: bytes, source: str, target: str) -> bytes:
    """22021 for bytes that are none of the source's, 22P05 for what the target lacks."""
    check_bytes(len(value), 0)
    _verify(value, source)
    if not value:
        return value
    if source == target or SQL_ASCII in (source, target):
        if source == SQL_ASCII != target:
            _verify(value, target)
        return value
    check_conversion(source, target)
    text = charset(source).decode(value)
    if target == UTF8 or source == UTF8:
        return charset(target).encode(text)
    return _between(text, source, target)


def _between(text: str, source: str, target: str) -> bytes:
    """Two sets of which neither is Unicode's: what is missing is shown as the source has it."""
    from aurora.errors import UntranslatableCharacter

    try:
        return charset(target).encode(text)
    except UntranslatableCharacter:
        for character in text:
            try:
                charset(target).encode(character)
            except UntranslatableCharacter:
                raise untranslatable(source, target, charset(source).encode(character)) from None
        raise


def _convert_from(value: bytes, encoding: str) -> str:
    return _convert(value, _encoding(encoding, "source"), UTF8).decode()


def _length(value: bytes, name: str) -> int:
    encoding = find_encoding(name)
    if encoding is None:
        raise InvalidParameterValue(f'invalid encoding name "{name}"')
    if encoding == SQL_ASCII:
        _verify(value, encoding)
        return len(value)
    if encoding == MULE:
        raise NotSupported(f"conversion between {MULE} and UTF8 is not supported")
    return charset(encoding).verify(value)


fn(
    1813,
    "convert(bytea, name, name) bytea stable",
    lambda value, source, target: _convert(value, _encoding(source, "source"), _encoding(target, "destination")),
)
fn(1714, "convert_from(bytea, name) text stable", _convert_from)
fn(
    1717,
    "convert_to(text, name) bytea stable",
    lambda value, encoding: _convert(value.encode(), UTF8, _encoding(encoding, "destination")),
)
fn(1713, "length(bytea, name) int4 stable", _length)


def _number(name: str) -> int:
    found = find_encoding(name)
    return -1 if found is None else ENCODINGS.index(found)


def _most_bytes(number: int) -> int | None:
    if not 0 <= number < len(ENCODINGS):
        return None
    name = ENCODINGS[number]
    return _MOST_BYTES_CLIENT.get(name) or _MOST_BYTES.get(name, 1)


def _client_encoding(context: FunctionContext) -> str:
    return find_encoding(context.session.get_setting("client_encoding", True) or UTF8) or UTF8


fn(810, "pg_client_encoding() name stable", _client_encoding, needs_context=True)
fn(
    1597,
    "pg_encoding_to_char(int4) name stable",
    lambda number: ENCODINGS[number] if 0 <= number < len(ENCODINGS) else "",
)
fn(1264, "pg_char_to_encoding(name) int4 stable", _number)
fn(2319, "pg_encoding_max_length(int4) int4", _most_bytes)

_PLAIN: Final = {
    "LATIN1": "                                  cL Y  \"Ca  -R     'u .,      ?"
    "  AAAAACEEEEIIII NOOOOOxOUUUUYTBaaaaaaaceeeeiiii nooo           ",
    "LATIN2": '                                 A L LS "SSTZ-ZZ a,l\'ls ,sstz"zz'
    "  AAALCCCEEEEIIDDNNOOOOxRUUUUYTBraaaalccceeeeiiddnnoo           ",
    "LATIN9": "                                  cL YS sCa  -R     Zu .z   EeY?"
    "  AAAAACEEEEIIII NOOOOOxOUUUUYTBaaaaaaaceeeeiiii nooo           ",
    "WIN1250": '  \' "    %S<STZZ `\'"".--  s>stzz   L A  "CS  -RZ  ,l\'u .,as L"lz'
    "  AAALCCCEEEEIIDDNNOOOOxRUUUUYTBraaaalccceeeeiiddnnoo           ",
}
"""What bytes 128 to 255 of the sets look like in ASCII; those that no character of UTF-8 has are blanks."""


def _to_ascii(value: str, encoding: str = UTF8) -> str:
    """The text's bytes taken for that set's, without their accents; only some single-byte sets have a table."""
    plain = _PLAIN.get(encoding)
    if plain is None:
        raise NotSupported(f"encoding conversion from {encoding} to ASCII not supported")
    return (
        value
        if value.isascii()
        else value.encode().decode("latin-1").translate({128 + at: character for at, character in enumerate(plain)})
    )


def _named_to_ascii(value: str, name: str) -> str:
    encoding = find_encoding(name)
    if encoding is None:
        raise UndefinedObject(f"{name} is not a valid encoding name")
    return _to_ascii(value, encoding)


def _numbered_to_ascii(value: str, number: int) -> str:
    if not 0 <= number < len(ENCODINGS):
        raise UndefinedObject(f"{number} is not a valid encoding code")
    return _to_ascii(value, ENCODINGS[number])


fn(1845, "to_ascii(text) text", _to_ascii)
fn(1846, "to_ascii(text, int4) text", _numbered_to_ascii)
fn(1847, "to_ascii(text, name) text", _named_to_ascii)
