"""SQL of the information schema's views of types: domains and their constraints, composite types and their attributes;
and what its views say of the type of a column. Source: PostgreSQL manual, ch. 37."""

from __future__ import annotations

from compute_node.relations.schema import NAMESPACE_CATALOG

MAY_USE_TYPE = "(pg_catalog.pg_has_role(t.typowner, 'USAGE') OR pg_catalog.has_type_privilege(t.oid, 'USAGE'))"
_NO_CHARACTER_SET = (
    "NULL::name AS character_set_catalog, NULL::name AS character_set_schema, NULL::name AS character_set_name"
)
_COLLATION = """CASE WHEN nco.nspname IS NOT NULL THEN pg_catalog.current_database() END AS collation_catalog,
 nco.nspname AS collation_schema, co.collname AS collation_name"""


def collation_join(column: str) -> str:
    """The collation that a column of a catalog names, without the default one."""
    return f"""LEFT JOIN pg_catalog.pg_collation co ON {column} = co.oid
   AND (co.collnamespace <> {NAMESPACE_CATALOG} OR co.collname <> 'default')
  LEFT JOIN pg_catalog.pg_namespace nco ON co.collnamespace = nco.oid"""


def data_type(of: str, base: str, oid: str) -> str:
    """How the standard calls a type: by its name if it is built in, else ARRAY or USER-DEFINED. ``of``: alias of its
    pg_type row; ``base``: the one of its base type, if it is a domain."""
    return f"""CASE WHEN {of}.typtype = 'd' THEN
  CASE WHEN {base}.typelem <> 0 AND {base}.typlen = -1 THEN 'ARRAY'
   WHEN {base}.typnamespace = 11 THEN pg_catalog.format_type({of}.typbasetype, NULL) ELSE 'USER-DEFINED' END
 ELSE CASE WHEN {of}.typelem <> 0 AND {of}.typlen = -1 THEN 'ARRAY' WHEN {of}.typnamespace = 11
   THEN pg_catalog.format_type({oid}, NULL) ELSE 'USER-DEFINED' END END::varchar"""


def character_facts(kind: str, typmod: str) -> str:
    """Lengths of a character or bit string type."""
    return f"""
 CASE WHEN {typmod} < 0 THEN NULL WHEN {kind} IN (1042, 1043) THEN {typmod} - 4
  WHEN {kind} IN (1560, 1562) THEN {typmod} END AS character_maximum_length,
 CASE WHEN {kind} IN (25, 1042, 1043) THEN CASE WHEN {typmod} < 0 THEN 1073741824 ELSE ({typmod} - 4) * 4 END END
  AS character_octet_length"""


def number_facts(kind: str, typmod: str) -> str:
    """Precision and scale of a numeric type."""
    return f"""
 CASE {kind} WHEN 21 THEN 16 WHEN 23 THEN 32 WHEN 20 THEN 64 WHEN 700 THEN 24 WHEN 701 THEN 53
  WHEN 1700 THEN CASE WHEN {typmod} > 0 THEN (({typmod} - 4) / 65536) % 65536 END END AS numeric_precision,
 CASE WHEN {kind} IN (20, 21, 23, 700, 701) THEN 2 WHEN {kind} = 1700 THEN 10 END AS numeric_precision_radix,
 CASE WHEN {kind} IN (20, 21, 23) THEN 0
  WHEN {kind} = 1700 AND {typmod} > 0 THEN ({typmod} - 4) % 2048 END AS numeric_scale"""


def time_facts(kind: str, typmod: str) -> str:
    """Precision of a date, time or interval."""
    return f"""
 CASE WHEN {kind} = 1082 THEN 0
  WHEN {kind} IN (1083, 1114, 1184, 1266) THEN CASE WHEN {typmod} < 0 THEN 6 ELSE {typmod} END
  WHEN {kind} = 1186 THEN CASE WHEN {typmod} < 0 OR {typmod} % 65536 = 65535 THEN 6 ELSE {typmod} % 65536 END END
  AS datetime_precision,
 NULL::varchar AS interval_type, NULL::integer AS interval_precision"""


_NO_SCOPE = (
    "NULL::name AS scope_catalog, NULL::name AS scope_schema, NULL::name AS scope_name,"
    " NULL::integer AS maximum_cardinality"
)
_TRUE_TYPE = "CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE a.atttypid END"
_TRUE_TYPMOD = "CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END"

TYPE_VIEWS = {
    "information_schema.domains": f"""
SELECT pg_catalog.current_database() AS domain_catalog, nt.nspname AS domain_schema, t.typname AS domain_name,
 CASE WHEN bt.typnamespace = 11 THEN pg_catalog.format_type(t.typbasetype, NULL) ELSE 'USER-DEFINED' END::varchar
  AS data_type, {character_facts("t.typbasetype", "t.typtypmod")}, {_NO_CHARACTER_SET},
 {_COLLATION}, {number_facts("t.typbasetype", "t.typtypmod")}, {time_facts("t.typbasetype", "t.typtypmod")},
 t.typdefault::varchar AS domain_default, pg_catalog.current_database() AS udt_catalog, nbt.nspname AS udt_schema,
 bt.typname AS udt_name, {_NO_SCOPE}, '1'::name AS dtd_identifier
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace nt ON t.typnamespace = nt.oid
 JOIN pg_catalog.pg_type bt ON t.typbasetype = bt.oid AND t.typtype = 'd'
 JOIN pg_catalog.pg_namespace nbt ON bt.typnamespace = nbt.oid {collation_join("t.typcollation")}
WHERE {MAY_USE_TYPE}""",
    "information_schema.domain_constraints": """
SELECT pg_catalog.current_database() AS constraint_catalog, nc.nspname AS constraint_schema,
 k.conname AS constraint_name, pg_catalog.current_database() AS domain_catalog, n.nspname AS domain_schema,
 t.typname AS domain_name, CASE WHEN k.condeferrable THEN 'YES' ELSE 'NO' END::varchar(3) AS is_deferrable,
 CASE WHEN k.condeferred THEN 'YES' ELSE 'NO' END::varchar(3) AS initially_deferred
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_namespace nc ON nc.oid = k.connamespace
 JOIN pg_catalog.pg_type t ON t.oid = k.contypid JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE pg_catalog.pg_has_role(t.typowner, 'USAGE') OR pg_catalog.has_type_privilege(t.oid, 'USAGE')""",
    "information_schema.domain_udt_usage": """
SELECT pg_catalog.current_database() AS udt_catalog, nbt.nspname AS udt_schema, bt.typname AS udt_name,
 pg_catalog.current_database() AS domain_catalog, nt.nspname AS domain_schema, t.typname AS domain_name
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace nt ON t.typnamespace = nt.oid
 JOIN pg_catalog.pg_type bt ON t.typbasetype = bt.oid JOIN pg_catalog.pg_namespace nbt ON bt.typnamespace = nbt.oid
WHERE t.typtype = 'd' AND pg_catalog.pg_has_role(bt.typowner, 'USAGE')""",
    "information_schema.column_domain_usage": """
SELECT pg_catalog.current_database() AS domain_catalog, nt.nspname AS domain_schema, t.typname AS domain_name,
 pg_catalog.current_database() AS table_catalog, n.nspname AS table_schema, c.relname AS table_name,
 a.attname AS column_name
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace nt ON t.typnamespace = nt.oid
 JOIN pg_catalog.pg_attribute a ON a.atttypid = t.oid JOIN pg_catalog.pg_class c ON a.attrelid = c.oid
 JOIN pg_catalog.pg_namespace n ON c.relnamespace = n.oid
WHERE t.typtype = 'd' AND c.relkind IN ('r', 'v', 'f', 'p') AND a.attnum > 0 AND NOT a.attisdropped
 AND pg_catalog.pg_has_role(t.typowner, 'USAGE')""",
    "information_schema.attributes": f"""
SELECT pg_catalog.current_database() AS udt_catalog, n.nspname AS udt_schema, c.relname AS udt_name,
 a.attname AS attribute_name, a.attnum::integer AS ordinal_position, NULL::varchar AS attribute_default,
 CASE WHEN a.attnotnull OR (t.typtype = 'd' AND t.typnotnull) THEN 'NO' ELSE 'YES' END::varchar(3) AS is_nullable,
 CASE WHEN t.typelem <> 0 AND t.typlen = -1 THEN 'ARRAY' WHEN t.typnamespace = 11
  THEN pg_catalog.format_type(a.atttypid, NULL) ELSE 'USER-DEFINED' END::varchar AS data_type,
 {character_facts(_TRUE_TYPE, _TRUE_TYPMOD)}, {_NO_CHARACTER_SET}, {_COLLATION},
 {number_facts(_TRUE_TYPE, _TRUE_TYPMOD)}, {time_facts(_TRUE_TYPE, _TRUE_TYPMOD)},
 pg_catalog.current_database() AS attribute_udt_catalog, nt.nspname AS attribute_udt_schema,
 t.typname AS attribute_udt_name, {_NO_SCOPE}, a.attnum::text::name AS dtd_identifier,
 'NO'::varchar(3) AS is_derived_reference_attribute
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON a.attrelid = c.oid
 JOIN pg_catalog.pg_namespace n ON c.relnamespace = n.oid JOIN pg_catalog.pg_type t ON a.atttypid = t.oid
 JOIN pg_catalog.pg_namespace nt ON t.typnamespace = nt.oid {collation_join("a.attcollation")}
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind = 'c'
 AND (pg_catalog.pg_has_role(c.relowner, 'USAGE') OR pg_catalog.has_type_privilege(c.reltype, 'USAGE'))""",
    "information_schema.user_defined_types": """
SELECT pg_catalog.current_database() AS user_defined_type_catalog, n.nspname AS user_defined_type_schema,
 c.relname AS user_defined_type_name, 'STRUCTURED'::varchar AS user_defined_type_category,
 'YES'::varchar(3) AS is_instantiable, NULL::varchar(3) AS is_final, NULL::varchar AS ordering_form,
 NULL::varchar AS ordering_category, NULL::name AS ordering_routine_catalog, NULL::name AS ordering_routine_schema,
 NULL::name AS ordering_routine_name, NULL::varchar AS reference_type, NULL::varchar AS data_type,
 NULL::integer AS character_maximum_length, NULL::integer AS character_octet_length,
 NULL::name AS character_set_catalog, NULL::name AS character_set_schema, NULL::name AS character_set_name,
 NULL::name AS collation_catalog, NULL::name AS collation_schema, NULL::name AS collation_name,
 NULL::integer AS numeric_precision, NULL::integer AS numeric_precision_radix, NULL::integer AS numeric_scale,
 NULL::integer AS datetime_precision, NULL::varchar AS interval_type, NULL::integer AS interval_precision,
 NULL::name AS source_dtd_identifier, NULL::name AS ref_dtd_identifier
FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON n.oid = c.relnamespace
 JOIN pg_catalog.pg_type t ON c.reltype = t.oid
WHERE c.relkind = 'c' AND (pg_catalog.pg_has_role(t.typowner, 'USAGE')
 OR pg_catalog.has_type_privilege(t.oid, 'USAGE'))""",
}

COLUMN_TYPE = f"""
 {data_type("t", "bt", "a.atttypid")} AS data_type, {character_facts(_TRUE_TYPE, _TRUE_TYPMOD)},
 {number_facts(_TRUE_TYPE, _TRUE_TYPMOD)}, {time_facts(_TRUE_TYPE, _TRUE_TYPMOD)}, {_NO_CHARACTER_SET}, {_COLLATION},
 CASE WHEN t.typtype = 'd' THEN pg_catalog.current_database() END AS domain_catalog,
 CASE WHEN t.typtype = 'd' THEN nt.nspname END AS domain_schema,
 CASE WHEN t.typtype = 'd' THEN t.typname END AS domain_name, pg_catalog.current_database() AS udt_catalog,
 coalesce(nbt.nspname, nt.nspname) AS udt_schema, coalesce(bt.typname, t.typname) AS udt_name"""
"""What ``information_schema.columns`` says of a column's type, from data_type to udt_name."""

COLUMN_TYPE_JOINS = f"""LEFT JOIN pg_catalog.pg_type bt ON t.typtype = 'd' AND t.typbasetype = bt.oid
  LEFT JOIN pg_catalog.pg_namespace nbt ON bt.typnamespace = nbt.oid {collation_join("a.attcollation")}"""
