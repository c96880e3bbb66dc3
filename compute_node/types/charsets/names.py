"""The character sets by PostgreSQL's names and numbers, and the spellings that mean them."""

from __future__ import annotations

import re
from typing import Final

_TABLE = """
SQL_ASCII=latin-1 EUC_JP= EUC_CN= EUC_KR= EUC_TW= EUC_JIS_2004= UTF8=utf-8 MULE_INTERNAL=
LATIN1=latin-1 LATIN2=iso8859-2 LATIN3=iso8859-3 LATIN4=iso8859-4 LATIN5=iso8859-9 LATIN6=iso8859-10 LATIN7=iso8859-13
LATIN8=iso8859-14 LATIN9=iso8859-15 LATIN10=iso8859-16 WIN1256=cp1256 WIN1258=cp1258 WIN866=cp866 WIN874=cp874
KOI8R=koi8-r WIN1251=cp1251 WIN1252=cp1252 ISO_8859_5=iso8859-5 ISO_8859_6=iso8859-6 ISO_8859_7=iso8859-7
ISO_8859_8=iso8859-8 WIN1250=cp1250 WIN1253=cp1253 WIN1254=cp1254 WIN1255=cp1255 WIN1257=cp1257 KOI8U=koi8-u
SJIS= BIG5= GBK= UHC= GB18030= JOHAB= SHIFT_JIS_2004=
"""
ENCODINGS: Final = tuple(entry.split("=")[0] for entry in _TABLE.split())
"""Names by number."""
CODECS: Final = {name: codec for name, codec in (entry.split("=") for entry in _TABLE.split()) if codec}
"""Those that Python's codec converts exactly."""
UTF8: Final = "UTF8"
SQL_ASCII: Final = "SQL_ASCII"
MULE: Final = "MULE_INTERNAL"
SERVER_ENCODINGS: Final = ENCODINGS.index("KOI8U") + 1
"""Those of smaller numbers may be a database's; the rest are clients' alone."""
_ALIASES: Final = {
    "abc": "WIN1258",
    "alt": "WIN866",
    "koi8": "KOI8R",
    "mskanji": "SJIS",
    "shiftjis": "SJIS",
    "tcvn": "WIN1258",
    "tcvn5712": "WIN1258",
    "unicode": UTF8,
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


def shown_bytes(data: bytes) -> str:
    """As messages show them; of a long sequence the first eight."""
    return " ".join(f"0x{byte:02x}" for byte in data[:8])
