"""information_schema.routines, parameters and what routines use, as SQL (SQL:2016 part 11)."""

from __future__ import annotations

from typing import Final

ROUTINE_VIEWS: Final = {
    "information_schema.routines": """
SELECT pg_catalog.current_database()::name AS specific_catalog, n.nspname::name AS specific_schema,
 (p.proname::text || '_' || p.oid::text)::name AS specific_name, pg_catalog.current_database()::name AS
 routine_catalog, n.nspname::name AS routine_schema, p.proname::name AS routine_name, CASE p.prokind WHEN 'f'
 THEN 'FUNCTION'::text WHEN 'p' THEN 'PROCEDURE'::text ELSE NULL::text END::varchar AS routine_type, NULL::name
 AS module_catalog, NULL::name AS module_schema, NULL::name AS module_name, NULL::name AS udt_catalog, NULL::name
 AS udt_schema, NULL::name AS udt_name, CASE WHEN p.prokind = 'p' THEN NULL::text WHEN t.typelem <> 0::oid AND
 t.typlen = '-1'::integer THEN 'ARRAY'::text WHEN nt.nspname = 'pg_catalog'::name THEN
 pg_catalog.format_type(t.oid, NULL::integer) ELSE 'USER-DEFINED'::text END::varchar AS data_type, NULL::int4 AS
 character_maximum_length, NULL::int4 AS character_octet_length, NULL::name AS character_set_catalog, NULL::name
 AS character_set_schema, NULL::name AS character_set_name, NULL::name AS collation_catalog, NULL::name AS
 collation_schema, NULL::name AS collation_name, NULL::int4 AS numeric_precision, NULL::int4 AS
 numeric_precision_radix, NULL::int4 AS numeric_scale, NULL::int4 AS datetime_precision, NULL::varchar AS
 interval_type, NULL::int4 AS interval_precision, CASE WHEN nt.nspname IS NOT NULL THEN
 pg_catalog.current_database() ELSE NULL::name END::name AS type_udt_catalog, nt.nspname::name AS
 type_udt_schema, t.typname::name AS type_udt_name, NULL::name AS scope_catalog, NULL::name AS scope_schema,
 NULL::name AS scope_name, NULL::int4 AS maximum_cardinality, CASE WHEN p.prokind <> 'p' THEN 0 ELSE
 NULL::integer END::name AS dtd_identifier, CASE WHEN l.lanname = 'sql'::name THEN 'SQL'::text ELSE
 'EXTERNAL'::text END::varchar AS routine_body, CASE WHEN pg_catalog.pg_has_role(p.proowner, 'USAGE'::text) THEN
 p.prosrc ELSE NULL::text END::varchar AS routine_definition, CASE WHEN l.lanname = 'c'::name THEN p.prosrc ELSE
 NULL::text END::varchar AS external_name, pg_catalog.upper(l.lanname::text)::varchar AS external_language,
 'GENERAL'::varchar AS parameter_style, CASE WHEN p.provolatile = 'i' THEN 'YES'::text ELSE 'NO'::text
 END::varchar(3) AS is_deterministic, 'MODIFIES'::varchar AS sql_data_access, CASE WHEN p.prokind <> 'p' THEN CASE
 WHEN p.proisstrict THEN 'YES'::text ELSE 'NO'::text END ELSE NULL::text END::varchar(3) AS is_null_call,
 NULL::varchar AS sql_path, 'YES'::varchar(3) AS schema_level_routine, 0::int4 AS max_dynamic_result_sets,
 NULL::varchar(3) AS is_user_defined_cast, NULL::varchar(3) AS is_implicitly_invocable, CASE WHEN p.prosecdef THEN
 'DEFINER'::text ELSE 'INVOKER'::text END::varchar AS security_type, NULL::name AS to_sql_specific_catalog,
 NULL::name AS to_sql_specific_schema, NULL::name AS to_sql_specific_name, 'NO'::varchar(3) AS as_locator,
 NULL::timestamptz AS created, NULL::timestamptz AS last_altered, NULL::varchar(3) AS new_savepoint_level,
 'NO'::varchar(3) AS is_udt_dependent, NULL::varchar AS result_cast_from_data_type, NULL::varchar(3) AS
 result_cast_as_locator, NULL::int4 AS result_cast_char_max_length, NULL::int4 AS result_cast_char_octet_length,
 NULL::name AS result_cast_char_set_catalog, NULL::name AS result_cast_char_set_schema, NULL::name AS
 result_cast_char_set_name, NULL::name AS result_cast_collation_catalog, NULL::name AS
 result_cast_collation_schema, NULL::name AS result_cast_collation_name, NULL::int4 AS
 result_cast_numeric_precision, NULL::int4 AS result_cast_numeric_precision_radix, NULL::int4 AS
 result_cast_numeric_scale, NULL::int4 AS result_cast_datetime_precision, NULL::varchar AS
 result_cast_interval_type, NULL::int4 AS result_cast_interval_precision, NULL::name AS
 result_cast_type_udt_catalog, NULL::name AS result_cast_type_udt_schema, NULL::name AS
 result_cast_type_udt_name, NULL::name AS result_cast_scope_catalog, NULL::name AS result_cast_scope_schema,
 NULL::name AS result_cast_scope_name, NULL::int4 AS result_cast_maximum_cardinality, NULL::name AS
 result_cast_dtd_identifier FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_proc p ON n.oid = p.pronamespace
 JOIN pg_catalog.pg_language l ON p.prolang = l.oid LEFT JOIN pg_catalog.pg_type t ON p.prorettype = t.oid AND
 p.prokind <> 'p' LEFT JOIN pg_catalog.pg_namespace nt ON t.typnamespace = nt.oid WHERE
 pg_catalog.pg_has_role(p.proowner, 'USAGE'::text) OR pg_catalog.has_function_privilege(p.oid, 'EXECUTE'::text)""",
    "information_schema.parameters": """
SELECT pg_catalog.current_database()::name AS specific_catalog, ss.n_nspname::name AS specific_schema,
 (ss.proname::text || '_' || ss.p_oid::text)::name AS specific_name, i.n::int4 AS ordinal_position, CASE WHEN
 ss.proargmodes IS NULL THEN 'IN'::text WHEN ss.proargmodes[i.n] = 'i' THEN 'IN'::text WHEN ss.proargmodes[i.n] =
 'o' THEN 'OUT'::text WHEN ss.proargmodes[i.n] = 'b' THEN 'INOUT'::text WHEN ss.proargmodes[i.n] = 'v' THEN
 'IN'::text WHEN ss.proargmodes[i.n] = 't' THEN 'OUT'::text ELSE NULL::text END::varchar AS parameter_mode,
 'NO'::varchar(3) AS is_result, 'NO'::varchar(3) AS as_locator, NULLIF(ss.proargnames[i.n], ''::text)::name AS
 parameter_name, CASE WHEN t.typelem <> 0::oid AND t.typlen = '-1'::integer THEN 'ARRAY'::text WHEN nt.nspname =
 'pg_catalog'::name THEN pg_catalog.format_type(t.oid, NULL::integer) ELSE 'USER-DEFINED'::text END::varchar AS
 data_type, NULL::int4 AS character_maximum_length, NULL::int4 AS character_octet_length, NULL::name AS
 character_set_catalog, NULL::name AS character_set_schema, NULL::name AS character_set_name, NULL::name AS
 collation_catalog, NULL::name AS collation_schema, NULL::name AS collation_name, NULL::int4 AS
 numeric_precision, NULL::int4 AS numeric_precision_radix, NULL::int4 AS numeric_scale, NULL::int4 AS
 datetime_precision, NULL::varchar AS interval_type, NULL::int4 AS interval_precision,
 pg_catalog.current_database()::name AS udt_catalog, nt.nspname::name AS udt_schema, t.typname::name AS udt_name,
 NULL::name AS scope_catalog, NULL::name AS scope_schema, NULL::name AS scope_name, NULL::int4 AS
 maximum_cardinality, i.n::name AS dtd_identifier, CASE WHEN pg_catalog.pg_has_role(ss.proowner, 'USAGE'::text)
 THEN pg_catalog.pg_get_function_arg_default(ss.p_oid, i.n) ELSE NULL::text END::varchar AS parameter_default
 FROM pg_catalog.pg_type t, pg_catalog.pg_namespace nt, ( SELECT n.nspname AS n_nspname, p.proname, p.oid AS
 p_oid, p.proowner, p.proargnames, p.proargmodes, COALESCE(p.proallargtypes, p.proargtypes::oid[]) AS kinds FROM
 pg_catalog.pg_namespace n, pg_catalog.pg_proc p WHERE n.oid = p.pronamespace AND
 (pg_catalog.pg_has_role(p.proowner, 'USAGE'::text) OR pg_catalog.has_function_privilege(p.oid, 'EXECUTE'::text))
 ) ss, LATERAL (SELECT g AS place, g - pg_catalog.array_lower(ss.kinds, 1) + 1 AS n
 FROM pg_catalog.generate_subscripts(ss.kinds, 1) g) i WHERE t.oid = ss.kinds[i.place] AND t.typnamespace =
 nt.oid""",
    "information_schema.routine_table_usage": """
SELECT DISTINCT pg_catalog.current_database()::name AS specific_catalog, np.nspname::name AS specific_schema,
 (p.proname::text || '_' || p.oid::text)::name AS specific_name, pg_catalog.current_database()::name AS
 routine_catalog, np.nspname::name AS routine_schema, p.proname::name AS routine_name,
 pg_catalog.current_database()::name AS table_catalog, nt.nspname::name AS table_schema, t.relname::name AS
 table_name FROM pg_catalog.pg_namespace np, pg_catalog.pg_proc p, pg_catalog.pg_depend d, pg_catalog.pg_class t,
 pg_catalog.pg_namespace nt WHERE np.oid = p.pronamespace AND p.oid = d.objid AND d.classid = 1255 AND d.refobjid
 = t.oid AND d.refclassid = 1259 AND t.relnamespace = nt.oid AND (t.relkind = ANY (ARRAY['r', 'v', 'f', 'p']))
 AND pg_catalog.pg_has_role(t.relowner, 'USAGE'::text)""",
    "information_schema.routine_column_usage": """
SELECT DISTINCT pg_catalog.current_database()::name AS specific_catalog, np.nspname::name AS specific_schema,
 (p.proname::text || '_' || p.oid::text)::name AS specific_name, pg_catalog.current_database()::name AS
 routine_catalog, np.nspname::name AS routine_schema, p.proname::name AS routine_name,
 pg_catalog.current_database()::name AS table_catalog, nt.nspname::name AS table_schema, t.relname::name AS
 table_name, a.attname::name AS column_name FROM pg_catalog.pg_namespace np, pg_catalog.pg_proc p,
 pg_catalog.pg_depend d, pg_catalog.pg_class t, pg_catalog.pg_namespace nt, pg_catalog.pg_attribute a WHERE
 np.oid = p.pronamespace AND p.oid = d.objid AND d.classid = 1255 AND d.refobjid = t.oid AND d.refclassid = 1259
 AND t.relnamespace = nt.oid AND (t.relkind = ANY (ARRAY['r', 'v', 'f', 'p'])) AND t.oid = a.attrelid AND
 d.refobjsubid = a.attnum AND pg_catalog.pg_has_role(t.relowner, 'USAGE'::text)""",
    "information_schema.routine_sequence_usage": """
SELECT DISTINCT pg_catalog.current_database()::name AS specific_catalog, np.nspname::name AS specific_schema,
 (p.proname::text || '_' || p.oid::text)::name AS specific_name, pg_catalog.current_database()::name AS
 routine_catalog, np.nspname::name AS routine_schema, p.proname::name AS routine_name,
 pg_catalog.current_database()::name AS sequence_catalog, ns.nspname::name AS sequence_schema, s.relname::name AS
 sequence_name FROM pg_catalog.pg_namespace np, pg_catalog.pg_proc p, pg_catalog.pg_depend d, pg_catalog.pg_class
 s, pg_catalog.pg_namespace ns WHERE np.oid = p.pronamespace AND p.oid = d.objid AND d.classid = 1255 AND
 d.refobjid = s.oid AND d.refclassid = 1259 AND s.relnamespace = ns.oid AND s.relkind = 'S' AND
 pg_catalog.pg_has_role(s.relowner, 'USAGE'::text)""",
    "information_schema.routine_routine_usage": """
SELECT DISTINCT pg_catalog.current_database()::name AS specific_catalog, np.nspname::name AS specific_schema,
 (p.proname::text || '_' || p.oid::text)::name AS specific_name, pg_catalog.current_database()::name AS
 routine_catalog, np1.nspname::name AS routine_schema, (p1.proname::text || '_' || p1.oid::text)::name AS
 routine_name FROM pg_catalog.pg_namespace np, pg_catalog.pg_proc p, pg_catalog.pg_depend d, pg_catalog.pg_proc
 p1, pg_catalog.pg_namespace np1 WHERE np.oid = p.pronamespace AND p.oid = d.objid AND d.classid = 1255 AND
 d.refobjid = p1.oid AND d.refclassid = 1255 AND p1.pronamespace = np1.oid AND (p.prokind = ANY (ARRAY['f',
 'p'])) AND (p1.prokind = ANY (ARRAY['f', 'p'])) AND pg_catalog.pg_has_role(p1.proowner, 'USAGE'::text)""",
}
