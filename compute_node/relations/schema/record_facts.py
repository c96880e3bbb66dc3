"""Records the built-in rows of PostgreSQL 15's catalogs of types, functions and operators: run once, by a developer.

    python -m compute_node.relations.schema.record_facts "host=… user=postgres dbname=postgres"

Input: a pristine PostgreSQL 15. Output, beside this file: ``facts_CATALOG.json`` for each of ``CATALOGS_OF_FACTS``: one
row a line, without the columns that have the catalog's usual value (``usual``, the first line). Row types of relations
are left out: they follow from ``tables.json`` and ``views.json``. ``facts_NAME.json`` for each of ``_ANSWERS``, and
``facts_sql_standard.json``: what information_schema says of the standard.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg

_HERE = Path(__file__).parent

CATALOGS_OF_FACTS = {
    "pg_type": "typtype <> 'c' and typrelid = 0 and not exists (select from pg_type e"
    " where e.oid = t.typelem and e.typtype = 'c')",
    "pg_proc": "oid < 12000 or proname in ('dsnowball_init', 'dsnowball_lexize')",
    "pg_operator": "true",
    "pg_cast": "true",
    "pg_opclass": "true",
    "pg_opfamily": "true",
    "pg_amop": "true",
    "pg_amproc": "true",
    "pg_aggregate": "true",
    "pg_range": "true",
    "pg_constraint": "true",
    "pg_description": "objoid < 12000",
}
"""Each catalog and which of its rows (``t``) are recorded."""

_ORDERS = {
    "pg_description": "1, 2, 3",
    "pg_opclass": "t.ctid",  # queries of psql show the types of a family as they come
}
_FORMS = {
    "regproc": "{0}::oid::int8",
    "oid": "{0}::int8",
    "oidvector": "{0}::oid[]::int8[]",
    "oid[]": "{0}::int8[]",
    '"char"': "{0}::text",
    '"char"[]': "{0}::text[]",
    "name": "{0}::text",
}
"""How the values of a type are asked for."""
_DEFAULTS = """(select string_agg(pg_get_function_arg_default(t.oid, n), E'\\n' order by n)
 from generate_series(1, t.pronargs) n where pg_get_function_arg_default(t.oid, n) is not null)"""
_TEXTS = {
    "proargdefaults": _DEFAULTS,
    "prosqlbody": "pg_get_function_sqlbody(t.oid)",
    "conbin": "pg_get_expr(t.conbin, t.conrelid)",
}
"""Parse trees as the SQL that the catalog keeps."""
_COLUMNS = """
select attname, format_type(atttypid, -1) from pg_attribute
where attrelid = %s::regclass and attnum > 0 and attname !~ 'acl$' order by attnum"""


def _rows(connection: psycopg.Connection[Any], catalog: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    columns = connection.execute(_COLUMNS, (catalog,)).fetchall()
    asked = [_TEXTS.get(name) or _FORMS.get(kind, "{0}").format(f"t.{name}") for name, kind in columns]
    order = _ORDERS.get(catalog, "1")
    text = f"select {', '.join(asked)} from {catalog} t where {CATALOGS_OF_FACTS[catalog]} order by {order}"
    return [name for name, _ in columns], connection.execute(text).fetchall()


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _derived(catalog: str, row: dict[str, Any]) -> dict[str, Any]:
    """What follows from the other columns of a row, and is written down only where it does not hold."""
    if catalog != "pg_proc":
        return {}
    return {"prosrc": row["proname"], "pronargs": len(row["proargtypes"])}


def _shortened(catalog: str, names: list[str], rows: list[tuple[Any, ...]]) -> tuple[dict[str, Any], list[Any]]:
    """The usual values, and of each row what differs from them."""
    usual = {}
    for at, name in enumerate(names[1:], 1):
        value, count = Counter(_hashable(row[at]) for row in rows).most_common(1)[0]
        if count > len(rows) // 2:
            usual[name] = list(value) if isinstance(value, tuple) else value
    out = []
    for row in rows:
        values = dict(zip(names, row, strict=True))
        known = usual | _derived(catalog, values)
        out.append({name: value for name, value in values.items() if name not in known or known[name] != value})
    return usual, out


_ANSWERS = {
    "keywords": "select word, catcode::text, barelabel from pg_get_keywords()",
    "foreign_keys": "select fktable::oid::int8, fkcols, pktable::oid::int8, pkcols, is_array, is_opt"
    " from pg_get_catalog_foreign_keys()",
    "setting_flags": "select name, pg_settings_get_flags(name) from (select name from pg_settings union"
    " select unnest(array['role', 'session_authorization', 'is_superuser', 'seed'])) n"
    " where pg_settings_get_flags(name) <> '{}' order by name",
    "setting_descriptions": "select name, short_desc, extra_desc from pg_settings order by name",
}
"""What functions answer that only tell facts."""
_ABOUT_THE_STANDARD = ("sql_features", "sql_implementation_info", "sql_parts", "sql_sizing")
"""Tables of information_schema: all of their rows."""


def record(dsn: str) -> None:
    """Write the files."""
    with psycopg.connect(dsn) as connection:
        connection.execute("LOAD 'pg_trgm'")  # for its settings
        for name, question in _ANSWERS.items():
            answers = ",\n".join(json.dumps(row) for row in connection.execute(question))
            (_HERE / f"facts_{name}.json").write_text(f"[\n{answers}\n]\n")
        tables = []
        for name in _ABOUT_THE_STANDARD:
            found = connection.execute(f"select * from information_schema.{name}").fetchall()
            tables.append(f'"{name}": [\n' + ",\n".join(json.dumps(row) for row in found) + "\n]")
        (_HERE / "facts_sql_standard.json").write_text("{\n" + ",\n".join(tables) + "\n}\n")
        for catalog in CATALOGS_OF_FACTS:
            usual, rows = _shortened(catalog, *_rows(connection, catalog))
            lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
            text = f'{{"usual": {json.dumps(usual)},\n"rows": [\n{lines}\n]}}\n'
            (_HERE / f"facts_{catalog}.json").write_text(text)


if __name__ == "__main__":
    record(sys.argv[1])
