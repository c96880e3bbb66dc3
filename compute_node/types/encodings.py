"""Character sets by PostgreSQL's names: which there are, and conversion of byte strings (manual, 24.3 and 9.4).

Conversions are Python's codecs. One without a codec (EUC_TW, MULE_INTERNAL) is known by name, and converting is 0A000.
"""

from __future__ import annotations

import re
from typing import Final

from aurora.errors import (
    CharacterNotInRepertoire,
    InvalidParameterValue,
    NotSupported,
    SqlError,
    UndefinedObject,
    UntranslatableCharacter,
)
from compute_node.types.declare import fn
from compute_node.types.long_text import check_bytes

_TABLE = """
SQL_ASCII=latin-1 EUC_JP=euc_jp EUC_CN=gb2312 EUC_KR=euc_kr EUC_TW= EUC_JIS_2004=euc_jis_2004 UTF8=utf-8 MULE_INTERNAL=
LATIN1=latin-1 LATIN2=iso8859-2 LATIN3=iso8859-3 LATIN4=iso8859-4 LATIN5=iso8859-9 LATIN6=iso8859-10 LATIN7=iso8859-13
LATIN8=iso8859-14 LATIN9=iso8859-15 LATIN10=iso8859-16 WIN1256=cp1256 WIN1258=cp1258 WIN866=cp866 WIN874=cp874
KOI8R=koi8-r WIN1251=cp1251 WIN1252=cp1252 ISO_8859_5=iso8859-5 ISO_8859_6=iso8859-6 ISO_8859_7=iso8859-7
ISO_8859_8=iso8859-8 WIN1250=cp1250 WIN1253=cp1253 WIN1254=cp1254 WIN1255=cp1255 WIN1257=cp1257 KOI8U=koi8-u
SJIS=cp932 BIG5=big5 GBK=gbk UHC=cp949 GB18030=gb18030 JOHAB=johab SHIFT_JIS_2004=shift_jis_2004
"""
ENCODINGS: Final = tuple(entry.split("=")[0] for entry in _TABLE.split())
"""Names by number."""
_CODECS: Final = dict(entry.split("=") for entry in _TABLE.split())
_MOST_BYTES: Final = {
    "EUC_JP": 3,
    "EUC_CN": 2,
    "EUC_KR": 3,
    "EUC_TW": 4,
    "EUC_JIS_2004": 3,
    "UTF8": 4,
    "MULE_INTERNAL": 4,
}
_MOST_BYTES_CLIENT: Final = {"SJIS": 2, "BIG5": 2, "GBK": 2, "UHC": 2, "GB18030": 4, "JOHAB": 3, "SHIFT_JIS_2004": 2}
_ALIASES: Final = {
    "abc": "WIN1258",
    "alt": "WIN866",
    "koi8": "KOI8R",
    "mskanji": "SJIS",
    "shiftjis": "SJIS",
    "tcvn": "WIN1258",
    "tcvn5712": "WIN1258",
    "unicode": "UTF8",
    "vscii": "WIN1258",
    "win": "WIN1251",
    "win932": "SJIS",
    "win936": "GBK",
    "win949": "UHC",
    "win950": "BIG5",
    "windows932": "SJIS",
    "windows936": "GBK",
    "windows949": "UHC",
    "windows950": "BIG5",
} | {f"iso8859{number}": name for number, name in (
    (1, "LATIN1"), (2, "LATIN2"), (3, "LATIN3"), (4, "LATIN4"), (9, "LATIN5"), (10, "LATIN6"), (13, "LATIN7"),
    (14, "LATIN8"), (15, "LATIN9"), (16, "LATIN10"),
)}  # fmt: skip
_BY_NAME: Final = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in ENCODINGS}


def find_encoding(name: str) -> str | None:
    """The proper name of an encoding, by any of its spellings."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    plain = re.sub(r"^(windows|cp)(?=125|866|874)", "win", plain)
    return _BY_NAME.get(plain) or _ALIASES.get(plain)


def _encoding(name: str, role: str) -> str:
    found = find_encoding(name)
    if found is None:
        raise InvalidParameterValue(f'invalid {role} encoding name "{name}"')
    return found


def _codec(source: str, target: str) -> tuple[str, str]:
    if not _CODECS[source] or not _CODECS[target]:
        raise NotSupported(f"conversion between {source} and {target} is not supported")
    return _CODECS[source], _CODECS[target]


def _shown(data: bytes) -> str:
    return " ".join(f"0x{byte:02x}" for byte in data)


def _undecodable(encoding: str, data: bytes, error: UnicodeDecodeError) -> SqlError:
    wrong = data[error.start : max(error.end, error.start + 1)]
    return CharacterNotInRepertoire(f'invalid byte sequence for encoding "{encoding}": {_shown(wrong)}')


def _convert(value: bytes, source: str, target: str) -> bytes:
    """22021 for bytes that are none of the source's, 22P05 for what the target lacks."""
    decoder, encoder = _codec(source, target)
    check_bytes(len(value), 0)
    try:
        text = value.decode(decoder)
    except UnicodeDecodeError as error:
        raise _undecodable(source, value, error) from None
    if "\0" in text:
        raise CharacterNotInRepertoire(f'invalid byte sequence for encoding "{source}": 0x00')
    try:
        return text.encode(encoder)
    except UnicodeEncodeError as error:
        wrong = _shown(text[error.start].encode(decoder))
        raise UntranslatableCharacter(
            f'character with byte sequence {wrong} in encoding "{source}" has no equivalent in encoding "{target}"'
        ) from None


def _convert_from(value: bytes, encoding: str) -> str:
    return _convert(value, _encoding(encoding, "source"), "UTF8").decode()


def _length(value: bytes, name: str) -> int:
    encoding = find_encoding(name)
    if encoding is None:
        raise InvalidParameterValue(f'invalid encoding name "{name}"')
    if b"\0" in value:
        raise CharacterNotInRepertoire(f'invalid byte sequence for encoding "{encoding}": 0x00')
    try:
        return len(value.decode(_codec(encoding, encoding)[0]))
    except UnicodeDecodeError as error:
        raise _undecodable(encoding, value, error) from None


fn(
    1813,
    "convert(bytea, name, name) bytea stable",
    lambda value, source, target: _convert(value, _encoding(source, "source"), _encoding(target, "destination")),
)
fn(1714, "convert_from(bytea, name) text stable", _convert_from)
fn(
    1717,
    "convert_to(text, name) bytea stable",
    lambda value, encoding: _convert(value.encode(), "UTF8", _encoding(encoding, "destination")),
)
fn(1713, "length(bytea, name) int4 stable", _length)


def _number(name: str) -> int:
    found = find_encoding(name)
    return -1 if found is None else ENCODINGS.index(found)


def _most_bytes(number: int) -> int | None:
    if not 0 <= number < len(ENCODINGS):
        return None
    name = ENCODINGS[number]
    return _MOST_BYTES.get(name, 1)


fn(
    1597,
    "pg_encoding_to_char(int4) name stable",
    lambda number: ENCODINGS[number] if 0 <= number < len(ENCODINGS) else "",
)
fn(1264, "pg_char_to_encoding(name) int4 stable", _number)
fn(2319, "pg_encoding_max_length(int4) int4", _most_bytes)


def _to_ascii(value: str, encoding: str = "UTF8") -> str:
    """Only single-byte sets have accents to take off."""
    raise NotSupported(f"encoding conversion from {encoding} to ASCII not supported")


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
