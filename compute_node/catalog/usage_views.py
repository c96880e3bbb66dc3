"""SQL of the information schema's views of constraints, of what views and checks use, of array elements, character sets
and collations. Source: PostgreSQL manual, ch. 37."""

from __future__ import annotations

from compute_node.catalog.privilege_views import MAY_CHANGE_TABLE, OWNS_TABLE
from compute_node.catalog.type_views import collation_join

_DATABASE = "pg_catalog.current_database()"
_CLASS, _CONSTRAINT, _PROC, _REWRITE = (
    f"'pg_catalog.{name}'::regclass" for name in ("pg_class", "pg_constraint", "pg_proc", "pg_rewrite")
)
_TABLE = "c.relkind IN ('r', 'p')"


def _yes(condition: str) -> str:
    return f"CASE WHEN {condition} THEN 'YES' ELSE 'NO' END::varchar(3)"


def _action(column: str) -> str:
    return (
        f"CASE {column} WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT'"
        " WHEN 'r' THEN 'RESTRICT' WHEN 'a' THEN 'NO ACTION' END::varchar"
    )


_CONSTRAINT_NAMES = f"{_DATABASE} AS constraint_catalog, nk.nspname AS constraint_schema, k.conname AS constraint_name"
_TABLE_NAMES = f"{_DATABASE} AS table_catalog, n.nspname AS table_schema, c.relname AS table_name"

_CONSTRAINTS = {
    "information_schema.table_constraints": f"""
SELECT {_CONSTRAINT_NAMES}, {_TABLE_NAMES}, CASE k.contype WHEN 'c' THEN 'CHECK' WHEN 'f' THEN 'FOREIGN KEY'
  WHEN 'p' THEN 'PRIMARY KEY' WHEN 'u' THEN 'UNIQUE' END::varchar AS constraint_type,
 {_yes("k.condeferrable")} AS is_deferrable, {_yes("k.condeferred")} AS initially_deferred,
 'YES'::varchar(3) AS enforced,
 CASE WHEN k.contype = 'u' THEN CASE WHEN i.indnullsnotdistinct THEN 'NO' ELSE 'YES' END END::varchar(3)
  AS nulls_distinct
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_namespace nk ON nk.oid = k.connamespace
 LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = k.conindid
WHERE k.contype NOT IN ('t', 'x') AND {_TABLE} AND {MAY_CHANGE_TABLE}
UNION ALL
SELECT {_DATABASE}, n.nspname, (n.oid::text || '_' || c.oid::text || '_' || a.attnum::text || '_not_null')::name,
 {_DATABASE}, n.nspname, c.relname, 'CHECK'::varchar, 'NO'::varchar(3), 'NO'::varchar(3), 'YES'::varchar(3),
 NULL::varchar(3)
FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON n.oid = c.relnamespace
 JOIN pg_catalog.pg_attribute a ON c.oid = a.attrelid
WHERE a.attnotnull AND a.attnum > 0 AND NOT a.attisdropped AND {_TABLE} AND {MAY_CHANGE_TABLE}""",
    "information_schema.referential_constraints": f"""
SELECT {_CONSTRAINT_NAMES}, CASE WHEN nu.nspname IS NOT NULL THEN {_DATABASE} END AS unique_constraint_catalog,
 nu.nspname AS unique_constraint_schema, u.conname AS unique_constraint_name,
 CASE k.confmatchtype WHEN 'f' THEN 'FULL' WHEN 'p' THEN 'PARTIAL' WHEN 's' THEN 'NONE' END::varchar AS match_option,
 {_action("k.confupdtype")} AS update_rule, {_action("k.confdeltype")} AS delete_rule
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_namespace nk ON nk.oid = k.connamespace
 JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
 LEFT JOIN pg_catalog.pg_constraint u
  ON u.conrelid = k.confrelid AND u.conindid = k.conindid AND u.contype IN ('p', 'u')
 LEFT JOIN pg_catalog.pg_namespace nu ON nu.oid = u.connamespace
WHERE k.contype = 'f' AND {MAY_CHANGE_TABLE}""",
    "information_schema.key_column_usage": f"""
SELECT {_CONSTRAINT_NAMES}, {_TABLE_NAMES}, a.attname AS column_name, g.place::integer AS ordinal_position,
 CASE WHEN k.contype = 'f' THEN (SELECT p.place::integer FROM pg_catalog.pg_index i,
   pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY p(attnum, place)
  WHERE i.indexrelid = k.conindid AND p.attnum = k.confkey[g.place]) END AS position_in_unique_constraint
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_namespace nk ON nk.oid = k.connamespace
 CROSS JOIN LATERAL pg_catalog.unnest(k.conkey) WITH ORDINALITY g(attnum, place)
 JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = g.attnum
WHERE k.contype IN ('p', 'u', 'f') AND {_TABLE} AND NOT a.attisdropped AND
 (pg_catalog.pg_has_role(c.relowner, 'USAGE')
  OR pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT, INSERT, UPDATE, REFERENCES'))""",
    "information_schema.constraint_column_usage": f"""
SELECT {_TABLE_NAMES}, a.attname AS column_name, {_CONSTRAINT_NAMES}
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_namespace nk ON nk.oid = k.connamespace
 JOIN pg_catalog.pg_class c ON c.oid = CASE k.contype WHEN 'f' THEN k.confrelid ELSE k.conrelid END
 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
  AND a.attnum = ANY (CASE k.contype WHEN 'f' THEN k.confkey ELSE k.conkey END)
WHERE k.contype IN ('p', 'u', 'f', 'c') AND {_TABLE} AND NOT a.attisdropped AND {OWNS_TABLE}""",
    "information_schema.constraint_table_usage": f"""
SELECT {_TABLE_NAMES}, {_CONSTRAINT_NAMES}
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_namespace nk ON nk.oid = k.connamespace
 JOIN pg_catalog.pg_class c ON c.oid = CASE k.contype WHEN 'f' THEN k.confrelid ELSE k.conrelid END
 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype IN ('p', 'u', 'f') AND {_TABLE} AND {OWNS_TABLE}""",
    "information_schema.check_constraint_routine_usage": f"""
SELECT DISTINCT {_CONSTRAINT_NAMES}, {_DATABASE} AS specific_catalog, np.nspname AS specific_schema,
 (p.proname || '_' || p.oid::text)::name AS specific_name
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_namespace nk ON nk.oid = k.connamespace
 JOIN pg_catalog.pg_depend d ON d.classid = {_CONSTRAINT} AND d.objid = k.oid AND d.refclassid = {_PROC}
 JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid JOIN pg_catalog.pg_namespace np ON np.oid = p.pronamespace
WHERE k.contype = 'c' AND pg_catalog.pg_has_role(p.proowner, 'USAGE')""",
}


def _used_by_views(catalog: str) -> str:
    """Views ``v`` and, by ``d``, what their rules use of a catalog."""
    return f"""
FROM pg_catalog.pg_class v JOIN pg_catalog.pg_namespace nv ON nv.oid = v.relnamespace AND v.relkind = 'v'
 JOIN pg_catalog.pg_depend own ON own.refclassid = {_CLASS} AND own.refobjid = v.oid AND own.classid = {_REWRITE}
  AND own.deptype = 'i'
 JOIN pg_catalog.pg_depend d ON d.classid = {_REWRITE} AND d.objid = own.objid AND d.refclassid = {catalog}"""


_VIEW_NAMES = f"{_DATABASE} AS view_catalog, nv.nspname AS view_schema, v.relname AS view_name"
_OF_TABLES = f"""{_used_by_views(_CLASS)} AND d.refobjid <> v.oid
 JOIN pg_catalog.pg_class c ON c.oid = d.refobjid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"""
_READABLE = f"c.relkind IN ('r', 'v', 'f', 'p') AND {OWNS_TABLE}"

_VIEWS = {
    "information_schema.view_table_usage": f"""
SELECT DISTINCT {_VIEW_NAMES}, {_TABLE_NAMES} {_OF_TABLES}
WHERE {_READABLE}""",
    "information_schema.view_column_usage": f"""
SELECT DISTINCT {_VIEW_NAMES}, {_TABLE_NAMES}, a.attname AS column_name {_OF_TABLES}
 JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
WHERE {_READABLE}""",
    "information_schema.view_routine_usage": f"""
SELECT DISTINCT {_DATABASE} AS table_catalog, nv.nspname AS table_schema, v.relname AS table_name,
 {_DATABASE} AS specific_catalog, np.nspname AS specific_schema, (p.proname || '_' || p.oid::text)::name AS
 specific_name {_used_by_views(_PROC)}
 JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid JOIN pg_catalog.pg_namespace np ON np.oid = p.pronamespace
WHERE pg_catalog.pg_has_role(p.proowner, 'USAGE')""",
}


def _typed(view: str, schema: str, name: str, kind: str) -> str:
    return f"""SELECT {_DATABASE} AS object_catalog, {schema} AS object_schema, {name} AS object_name,
 '{kind}'::varchar AS object_type, dtd_identifier FROM information_schema.{view}"""


_NO_NUMBERS = ", ".join(
    f"NULL::integer AS {name}"
    for name in ("numeric_precision", "numeric_precision_radix", "numeric_scale", "datetime_precision")
)

_ELEMENTS = {
    "information_schema.data_type_privileges": "\nUNION ALL ".join(
        (
            _typed("attributes", "udt_schema", "udt_name", "USER-DEFINED TYPE"),
            _typed("columns", "table_schema", "table_name", "TABLE"),
            _typed("domains", "domain_schema", "domain_name", "DOMAIN"),
            _typed("parameters", "specific_schema", "specific_name", "ROUTINE"),
            _typed("routines", "specific_schema", "specific_name", "ROUTINE"),
        )
    ),
    "information_schema.element_types": f"""
SELECT {_DATABASE} AS object_catalog, n.nspname AS object_schema, x.name AS object_name,
 x.kind::varchar AS object_type, x.place::name AS collection_type_identifier,
 CASE WHEN nbt.nspname = 'pg_catalog' THEN pg_catalog.format_type(bt.oid, NULL) ELSE 'USER-DEFINED' END::varchar
  AS data_type, NULL::integer AS character_maximum_length, NULL::integer AS character_octet_length,
 NULL::name AS character_set_catalog, NULL::name AS character_set_schema, NULL::name AS character_set_name,
 CASE WHEN nco.nspname IS NOT NULL THEN {_DATABASE} END AS collation_catalog, nco.nspname AS collation_schema,
 co.collname AS collation_name, {_NO_NUMBERS}, NULL::varchar AS interval_type, NULL::integer AS interval_precision,
 NULL::varchar AS domain_default, {_DATABASE} AS udt_catalog, nbt.nspname AS udt_schema, bt.typname AS udt_name,
 NULL::name AS scope_catalog, NULL::name AS scope_schema, NULL::name AS scope_name,
 NULL::integer AS maximum_cardinality, ('a' || x.place)::name AS dtd_identifier
FROM (SELECT c.relnamespace, c.relname, CASE c.relkind WHEN 'c' THEN 'USER-DEFINED TYPE' ELSE 'TABLE' END,
   a.attnum::text, a.atttypid, a.attcollation
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
  WHERE c.relkind IN ('r', 'v', 'f', 'c', 'p') AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL SELECT t.typnamespace, t.typname, 'DOMAIN', '1', t.typbasetype, t.typcollation
  FROM pg_catalog.pg_type t WHERE t.typtype = 'd'
  UNION ALL SELECT p.pronamespace, (p.proname || '_' || p.oid::text)::name, 'ROUTINE', g.place::text, g.type, 0::oid
  FROM pg_catalog.pg_proc p, LATERAL pg_catalog.unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]))
   WITH ORDINALITY g(type, place)
  UNION ALL SELECT p.pronamespace, (p.proname || '_' || p.oid::text)::name, 'ROUTINE', '0', p.prorettype, 0::oid
  FROM pg_catalog.pg_proc p) x(namespace, name, kind, place, type, collation_of)
 JOIN pg_catalog.pg_namespace n ON n.oid = x.namespace JOIN pg_catalog.pg_type at ON at.oid = x.type
 JOIN pg_catalog.pg_type bt ON bt.oid = at.typelem AND at.typlen = -1
 JOIN pg_catalog.pg_namespace nbt ON nbt.oid = bt.typnamespace {collation_join("x.collation_of")}
WHERE (n.nspname, x.name, x.kind, x.place) IN
 (SELECT object_schema, object_name, object_type::text, dtd_identifier::text
  FROM information_schema.data_type_privileges)""",
    "information_schema.column_column_usage": f"""
SELECT DISTINCT {_TABLE_NAMES}, a.attname AS column_name, g.attname AS dependent_column
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 JOIN pg_catalog.pg_attribute g ON g.attrelid = c.oid AND g.attgenerated <> ''
 JOIN pg_catalog.pg_depend d ON d.classid = {_CLASS} AND d.objid = c.oid AND d.objsubid = g.attnum
  AND d.refclassid = {_CLASS} AND d.refobjid = c.oid
 JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid AND a.attnum <> g.attnum
WHERE {OWNS_TABLE}""",
    "information_schema.column_udt_usage": f"""
SELECT {_DATABASE} AS udt_catalog, coalesce(nbt.nspname, nt.nspname) AS udt_schema,
 coalesce(bt.typname, t.typname) AS udt_name, {_TABLE_NAMES}, a.attname AS column_name
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
 JOIN pg_catalog.pg_namespace nt ON nt.oid = t.typnamespace
 LEFT JOIN pg_catalog.pg_type bt ON t.typtype = 'd' AND bt.oid = t.typbasetype
 LEFT JOIN pg_catalog.pg_namespace nbt ON nbt.oid = bt.typnamespace
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'v', 'f', 'p')
 AND pg_catalog.pg_has_role(coalesce(bt.typowner, t.typowner), 'USAGE')""",
}

_COLLATION_NAMES = f"{_DATABASE} AS collation_catalog, n.nspname AS collation_schema, c.collname AS collation_name"
_COLLATIONS_OF_DATABASE = f"""
FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace
WHERE c.collencoding IN (-1, (SELECT encoding FROM pg_catalog.pg_database WHERE datname = {_DATABASE}))"""

_CHARACTERS = {
    "information_schema.character_sets": f"""
SELECT NULL::name AS character_set_catalog, NULL::name AS character_set_schema,
 pg_catalog.getdatabaseencoding() AS character_set_name,
 CASE pg_catalog.getdatabaseencoding() WHEN 'UTF8' THEN 'UCS' ELSE pg_catalog.getdatabaseencoding() END::name
  AS character_repertoire, pg_catalog.getdatabaseencoding() AS form_of_use, {_DATABASE} AS default_collate_catalog,
 n.nspname AS default_collate_schema, c.collname AS default_collate_name
FROM pg_catalog.pg_database d LEFT JOIN (pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n
  ON n.oid = c.collnamespace) ON d.datcollate = c.collcollate AND d.datctype = c.collctype
WHERE d.datname = {_DATABASE} ORDER BY pg_catalog.char_length(c.collname::text) DESC, c.collname LIMIT 1""",
    "information_schema.collations": f"""
SELECT {_COLLATION_NAMES}, 'NO PAD'::varchar AS pad_attribute {_COLLATIONS_OF_DATABASE}""",
    "information_schema.collation_character_set_applicability": f"""
SELECT {_COLLATION_NAMES}, NULL::name AS character_set_catalog, NULL::name AS character_set_schema,
 pg_catalog.getdatabaseencoding() AS character_set_name {_COLLATIONS_OF_DATABASE}""",
}

USAGE_VIEWS = _CONSTRAINTS | _VIEWS | _ELEMENTS | _CHARACTERS
OF_ABSENT_THINGS = tuple(
    f"information_schema.{name}"
    for name in (
        "transforms", "triggered_update_columns", "triggers",
    )
)  # fmt: skip
"""Views about transforms and triggers: there is nothing for them to show."""
