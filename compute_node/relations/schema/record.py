"""Records the facts of PostgreSQL 15's system catalogs from a live server: run once, by a developer, after a change.

    python -m compute_node.relations.schema.record "host=… user=postgres dbname=postgres"

Input: a pristine PostgreSQL 15. Output, beside this file: ``tables.json`` (catalogs: OIDs, columns, indexes),
``views.json`` (names and types of the system views' columns; their SQL is ours, in ``catalog/views.py``),
``seeds.json`` (rows of small catalogs that are not declared in ``compute_node/types``) and ``io.json`` (support
functions of the types) and ``acls.json`` (what initdb grants and revokes; most relations have the default entry).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import psycopg

from compute_node.relations.schema import USUAL_ACL
from compute_node.types.acl import NAMES, AclItem, encode_all

_HERE = Path(__file__).parent

_RELATIONS = """
select c.oid, c.relname, c.reltype, coalesce(t.typarray, 0), c.relisshared, n.nspname
from pg_class c join pg_namespace n on n.oid = c.relnamespace left join pg_type t on t.oid = c.reltype
where c.relkind = %s and n.nspname in ('pg_catalog', 'information_schema') order by n.nspname desc, c.relname"""

_COLUMNS = """
select attname, atttypid::int, atttypmod, attnotnull, attcollation::int from pg_attribute
where attrelid = %s and attnum > 0 order by attnum"""

_INDEXES = """
select c.oid::int, c.relname, i.indisunique, i.indisprimary, i.indkey::text, i.indclass::text
from pg_index i join pg_class c on c.oid = i.indexrelid where i.indrelid = %s order by c.oid"""

_SEEDS = {
    "pg_am": "select oid::int, amname, amhandler::oid::int, amtype from pg_am order by oid",
    "pg_language": "select oid::int, lanname, lanispl, lanpltrusted, lanvalidator::int from pg_language where"
    " oid < 10000"
    " order by oid",
    "pg_namespace": "select oid::int, nspname from pg_namespace where nspname !~ '^pg_(toast_)?temp' order by oid",
    "pg_authid": "select oid::int, rolname from pg_authid where oid < 16384 order by oid",
    "pg_tablespace": "select oid::int, spcname from pg_tablespace order by oid",
    "pg_database": "select oid::int, datname, datistemplate, datallowconn from pg_database where oid < 16384"
    " order by oid",
    "pg_collation": "select oid::int, collname, collprovider, collencoding, collcollate from pg_collation"
    " where oid < 1000 or collname in ('ucs_basic', 'C.utf8') order by oid",
    "icu_collations": "select oid::int, colliculocale, collversion, obj_description(oid, 'pg_collation')"
    " from pg_collation where collprovider = 'i' and oid < 16384 order by oid",
    "pg_conversion": "select oid::int, conname, conforencoding, contoencoding, conproc::oid::int, condefault from"
    " pg_conversion where oid < 16384 order by oid",
    "shared_descriptions": "select classoid::int, objoid::int, description from pg_shdescription order by 1, 2",
}

_IO = """
select oid::int, typinput::oid::int, typoutput::oid::int, typreceive::oid::int, typsend::oid::int, typmodin::oid::int,
       typmodout::oid::int, typsubscript::oid::int, typalign, typstorage
from pg_type where oid < 10000 and typtype <> 'c' order by oid"""

_PROCS = """
select p.oid::int, p.proname, p.proargtypes::text, p.prorettype::int, p.proisstrict, p.provolatile
from pg_proc p where p.oid in (
    select unnest(array[typinput, typoutput, typreceive, typsend, typmodin, typmodout, typsubscript]::oid[])
    from pg_type where oid < 10000
    union select amhandler::oid from pg_am
    union select amproc::oid from pg_amproc m join pg_opfamily f on f.oid = m.amprocfamily
    where opfmethod in (403, 405))
    or p.proname in ('enum_in', 'enum_out', 'enum_recv', 'enum_send', 'domain_in', 'domain_recv') order by p.oid"""

_ACLS = """
select kind, key, grantee::int, grantor::int, privilege_type, is_grantable from (
  select 'relation' kind, nspname || '.' || relname key, relacl acl from pg_class c join pg_namespace n
    on n.oid = relnamespace where nspname in ('pg_catalog', 'information_schema') and relkind in ('r', 'v')
  union all select 'column', attrelid::regclass || '.' || attname, attacl from pg_attribute
  union all select 'function', oid::text, proacl from pg_proc where oid < 16384
  union all select 'schema', nspname, nspacl from pg_namespace where oid < 16384
  union all select 'database', datname, datacl from pg_database where oid < 16384
  union all select 'language', lanname, lanacl from pg_language where oid < 16384
) o, aclexplode(acl) with ordinality x(grantor, grantee, privilege_type, is_grantable, number)
order by kind, key, number"""

_WITHOUT_ACL = """
select 'information_schema.' || relname from pg_class
where relnamespace = 'information_schema'::regnamespace and relkind in ('r', 'v') and relacl is null
order by relname desc"""


def _acls(query: Any) -> dict[str, Any]:
    """Kind → object → its items as the catalog keeps them; relations with the usual ones under ``relation`` are left
    out."""
    found: dict[str, dict[str, dict[tuple[int, int], AclItem]]] = {}
    for kind, key, grantee, grantor, name, grantable in query(_ACLS):
        items = found.setdefault(kind, {}).setdefault(key, {})
        old = items.get((grantee, grantor), AclItem(grantee, grantor, 0))
        bit = NAMES[name]
        items[grantee, grantor] = old._replace(
            privileges=old.privileges | bit, options=old.options | (bit if grantable else 0)
        )
    plain = {kind: {key: encode_all(items.values()) for key, items in each.items()} for kind, each in found.items()}
    bare: dict[str, Any] = {key: [] for (key,) in query(_WITHOUT_ACL)}
    plain["relation"] = bare | {key: items for key, items in plain["relation"].items() if items != USUAL_ACL}
    return plain


def _dump(name: str, content: dict[str, Any] | list[Any]) -> None:
    """One entry a line, so that a diff shows what changed."""
    if isinstance(content, dict):
        lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()]
        text = "{\n" + ",\n".join(lines) + "\n}\n"
    else:
        text = "[\n" + ",\n".join(json.dumps(value) for value in content) + "\n]\n"
    (_HERE / name).write_text(text)


def record(dsn: str) -> None:
    """Write the files."""
    with psycopg.connect(dsn) as connection:
        query = connection.execute
        tables: dict[str, Any] = {}
        for oid, name, row_type, array_type, shared, schema in query(_RELATIONS, ("r",)).fetchall():
            tables[name] = {
                **({} if schema == "pg_catalog" else {"schema": schema}),
                "oid": int(oid),
                "type": int(row_type),
                "array": int(array_type),
                "shared": shared,
                "columns": [list(row) for row in query(_COLUMNS, (oid,))],
                "indexes": [
                    [
                        index,
                        index_name,
                        unique,
                        primary,
                        [int(n) for n in keys.split()],
                        [int(n) for n in classes.split()],
                    ]
                    for index, index_name, unique, primary, keys, classes in query(_INDEXES, (oid,))
                ],
            }
        views = {
            f"{schema}.{name}": {
                "oid": int(oid),
                "type": int(row_type),
                "array": int(array_type),
                "columns": [[row[0], row[1], row[2], row[4]] for row in query(_COLUMNS, (oid,))],
            }
            for oid, name, row_type, array_type, _, schema in query(_RELATIONS, ("v",)).fetchall()
        }
        seeds = {name: [list(row) for row in query(text)] for name, text in _SEEDS.items()}
        io = {"types": {row[0]: list(row[1:]) for row in query(_IO)}, "functions": [list(row) for row in query(_PROCS)]}
        acls = _acls(query)
    _dump("tables.json", tables)
    _dump("acls.json", acls)
    _dump("views.json", views)
    _dump("seeds.json", seeds)
    _dump("io.json", {"types": io["types"], "functions": io["functions"]})


if __name__ == "__main__":
    record(sys.argv[1])
