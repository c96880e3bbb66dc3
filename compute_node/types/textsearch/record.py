"""Records the built-in configurations and stop words: ``python -m compute_node.types.textsearch.record DSN FOLDER``.

PostgreSQL 15 at DSN and its folder of stop words → ``builtin.json``, which ``configurations`` and the catalog's first
rows read. The stop words are Snowball's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import psycopg

_QUERIES = {
    "templates": "select oid::int8, tmplname::text, tmplinit::oid::int8, tmpllexize::oid::int8 from pg_ts_template",
    "parsers": "select oid::int8, prsname::text, prsstart::oid::int8, prstoken::oid::int8, prsend::oid::int8,"
    " prsheadline::oid::int8, prslextype::oid::int8 from pg_ts_parser",
    "dictionaries": "select oid::int8, dictname::text, dicttemplate::int8, dictinitoption from pg_ts_dict",
    "configurations": "select oid::int8, cfgname::text, cfgparser::int8 from pg_ts_config",
    "maps": "select mapcfg::int8, mapdict::int8, min(mapseqno), array_agg(maptokentype order by maptokentype)"
    " from pg_ts_config_map group by 1, 2",
}


def main(dsn: str, folder: str) -> None:
    """Write the file."""
    with psycopg.connect(dsn) as connection:
        found: dict[str, object] = {
            name: [list(row) for row in connection.execute(f"{sql} order by 1, 2".encode()).fetchall()]
            for name, sql in _QUERIES.items()
        }
    found["stop"] = {path.stem: " ".join(path.read_text().split()) for path in sorted(Path(folder).glob("*.stop"))}
    parts = []
    for name, value in found.items():
        rows = value.items() if isinstance(value, dict) else enumerate(value)  # type: ignore[arg-type]
        lines = [
            (f"{json.dumps(key)}: " if isinstance(value, dict) else "") + json.dumps(row, ensure_ascii=False)
            for key, row in rows
        ]
        begin, end = "{}" if isinstance(value, dict) else "[]"
        parts.append(f"{json.dumps(name)}: {begin}\n" + ",\n".join(lines) + f"\n{end}")
    (Path(__file__).parent / "builtin.json").write_text("{\n" + ",\n".join(parts) + "\n}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
