"""The helper functions of ``information_schema``, in SQL: drivers and tools call them (pgjdbc reads the columns of keys
by ``_pg_expandarray``). Names, arguments and OIDs are PostgreSQL 15's; the values are those of its manual, ch. 37."""

from __future__ import annotations

from typing import Final, NamedTuple


class InformationFunction(NamedTuple):
    """One function: ``arguments`` and ``result`` are OIDs of types; ``body`` is its query; ``names`` are those of all
    its arguments, "" without one. ``outputs`` are the types of the columns of a set-returning one."""

    oid: int
    name: str
    arguments: list[int]
    result: int
    body: str
    names: list[str]
    outputs: list[int]
    volatility: str = "i"
    parallel: str = "s"


_INT2, _INT4, _OID, _TEXT, _RECORD, _ANYARRAY, _ANYELEMENT = 21, 23, 26, 25, 2249, 2277, 2283
_PG_ATTRIBUTE, _PG_TYPE = 75, 71
_CHARACTERS, _BITS = "1042, 1043", "1560, 1562"
_UNLIMITED = 1 << 30
"""The most bytes that a text has"""


def _of_type(oid: int, name: str, result: int, body: str, typmod: str = "typmod") -> InformationFunction:
    return InformationFunction(oid, name, [_OID, _INT4], result, f"SELECT CASE {body} END", ["typid", typmod], [])


FUNCTIONS: Final = (
    InformationFunction(
        13208, "_pg_expandarray", [_ANYARRAY], _RECORD,
        "SELECT $1[s], s OPERATOR(pg_catalog.-) pg_catalog.array_lower($1, 1) OPERATOR(pg_catalog.+) 1"
        " FROM pg_catalog.generate_subscripts($1, 1) AS g(s)",
        ["", "x", "n"], [_ANYELEMENT, _INT4],
    ),
    InformationFunction(
        13209, "_pg_index_position", [_OID, _INT2], _INT4,
        "SELECT k.n::pg_catalog.int4 FROM pg_catalog.pg_index i,"
        " pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k(attnum, n)"
        " WHERE i.indexrelid = $1 AND k.attnum = $2 ORDER BY k.n LIMIT 1",
        [], [], "s", "u",
    ),
    InformationFunction(
        13210, "_pg_truetypid", [_PG_ATTRIBUTE, _PG_TYPE], _OID,
        "SELECT CASE $2.typtype WHEN 'd' THEN $2.typbasetype ELSE $1.atttypid END", [], [],
    ),
    InformationFunction(
        13211, "_pg_truetypmod", [_PG_ATTRIBUTE, _PG_TYPE], _INT4,
        "SELECT CASE $2.typtype WHEN 'd' THEN $2.typtypmod ELSE $1.atttypmod END", [], [],
    ),
    _of_type(
        13212, "_pg_char_max_length", _INT4,
        f"WHEN $2 = -1 THEN NULL WHEN $1 IN ({_CHARACTERS}) THEN $2 - 4 WHEN $1 IN ({_BITS}) THEN $2",
    ),
    _of_type(
        13213, "_pg_char_octet_length", _INT4,
        f"WHEN $1 NOT IN (25, {_CHARACTERS}) THEN NULL WHEN $2 = -1 THEN {_UNLIMITED} ELSE"
        " information_schema._pg_char_max_length($1, $2) * pg_catalog.pg_encoding_max_length("
        "pg_catalog.pg_char_to_encoding(pg_catalog.getdatabaseencoding()))",
    ),
    _of_type(
        13215, "_pg_numeric_precision", _INT4,
        "$1 WHEN 21 THEN 16 WHEN 23 THEN 32 WHEN 20 THEN 64 WHEN 700 THEN 24 WHEN 701 THEN 53"
        " WHEN 1700 THEN CASE WHEN $2 <> -1 THEN ($2 - 4) >> 16 & 65535 END",
    ),
    _of_type(
        13216, "_pg_numeric_precision_radix", _INT4, "WHEN $1 IN (20, 21, 23, 700, 701) THEN 2 WHEN $1 = 1700 THEN 10"
    ),
    _of_type(
        13217, "_pg_numeric_scale", _INT4,
        "WHEN $1 IN (20, 21, 23) THEN 0 WHEN $1 = 1700 AND $2 <> -1 THEN ($2 - 4) & 65535",
    ),
    _of_type(
        13218, "_pg_datetime_precision", _INT4,
        "WHEN $1 = 1082 THEN 0 WHEN $1 IN (1083, 1114, 1184, 1266) THEN CASE WHEN $2 < 0 THEN 6 ELSE $2 END"
        " WHEN $1 = 1186 THEN CASE WHEN $2 < 0 OR $2 & 65535 = 65535 THEN 6 ELSE $2 & 65535 END",
    ),
    _of_type(
        13219, "_pg_interval_type", _TEXT,
        "WHEN $1 = 1186 THEN pg_catalog.upper(pg_catalog.substring("
        "pg_catalog.format_type($1, $2), '^interval[()0-9]* (.*)$'))",
        "mod",
    ),
)  # fmt: skip
