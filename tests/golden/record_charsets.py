"""Records how PostgreSQL 15 converts every character: ``python tests/golden/record_charsets.py DSN``.

Output: ``charsets.json``, two digests a character set: of all characters and the bytes that they become, and of all
byte sequences of one and two bytes (three after 8F) and the characters that they stand for. The function that asks is
made in a temporary schema; it takes some minutes.
"""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg

HERE = Path(__file__).resolve().parent
SETS = (
    "EUC_JP EUC_CN EUC_KR EUC_TW EUC_JIS_2004 LATIN1 LATIN2 LATIN3 LATIN4 LATIN5 LATIN6 LATIN7 LATIN8 LATIN9 LATIN10"
    " WIN1256 WIN1258 WIN866 WIN874 KOI8R WIN1251 WIN1252 ISO_8859_5 ISO_8859_6 ISO_8859_7 ISO_8859_8 WIN1250 WIN1253"
    " WIN1254 WIN1255 WIN1257 KOI8U SJIS BIG5 GBK UHC GB18030 JOHAB SHIFT_JIS_2004"
)
BEYOND_BMP = ("EUC_JIS_2004", "SHIFT_JIS_2004", "GB18030", "EUC_TW")
_FUNCTIONS = """
create function pg_temp.sent(enc text, high int) returns table(code int, data bytea) language plpgsql as $$
begin
  for i in 1..high loop
    continue when i between 55296 and 57343;
    begin data := convert_to(chr(i), enc); code := i; return next;
    exception when others then null; end;
  end loop;
end $$;
create function pg_temp.read(enc text, prefix bytea, count int) returns table(data bytea, found text)
language plpgsql as $$
declare sequence bytea;
begin
  for i in (case count when 1 then 1 else 128 end)..255 loop for j in 1..(case count when 1 then 1 else 255 end) loop
    sequence := prefix || set_byte('\\x00', 0, i);
    if count = 2 then sequence := sequence || set_byte('\\x00', 0, j); end if;
    begin found := convert_from(sequence, enc); data := sequence; return next;
    exception when others then null; end;
  end loop; end loop;
end $$"""


def sent_digest(pairs: dict[int, bytes]) -> str:
    """Of code points and their bytes."""
    return sha256("".join(f"{code:x}={data.hex()};" for code, data in sorted(pairs.items())).encode()).hexdigest()[:16]


def read_digest(pairs: dict[bytes, str]) -> str:
    """Of byte sequences and their texts."""
    return sha256("".join(f"{data.hex()}={text};" for data, text in sorted(pairs.items())).encode()).hexdigest()[:16]


def of_one_character(pairs: dict[bytes, str]) -> dict[bytes, str]:
    """Without sequences of two characters of a byte each."""
    singles = {data: text for data, text in pairs.items() if len(data) == 1}
    return {
        data: text
        for data, text in pairs.items()
        if len(data) != 2 or text != singles.get(data[:1], "?") + singles.get(data[1:], "?")
    }


def record(connection: psycopg.Connection[Any], name: str) -> list[str]:
    """The two digests of one set."""
    high = 0x2FFFF if name in BEYOND_BMP else 0xFFFF
    sent = {code: bytes(data) for code, data in connection.execute("select * from pg_temp.sent(%s, %s)", (name, high))}
    read: dict[bytes, str] = {}
    for prefix, count in ((b"", 1), (b"", 2), *([(b"\x8f", 2)] if name in ("EUC_JP", "EUC_JIS_2004") else [])):
        found = connection.execute("select * from pg_temp.read(%s, %s, %s)", (name, prefix, count))
        read |= {bytes(data): text for data, text in found}
    return [sent_digest(sent), read_digest(of_one_character(read))]


if __name__ == "__main__":
    with psycopg.connect(sys.argv[1], autocommit=True) as main:
        main.execute(_FUNCTIONS)
        lines = [f"{json.dumps(name)}: {json.dumps(record(main, name))}" for name in SETS.split()]
    (HERE / "charsets.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
