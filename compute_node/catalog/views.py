"""The system views' SQL, by schema-qualified name; names, types and OIDs of their columns are in ``schema/views.json``.

Written for this system over PostgreSQL 15's catalog columns (manual, ch. 54 and 37). Counters that nothing here
keeps are NULL rather than 0. Views about mechanisms that do not exist here are in ``EMPTY``: there is nothing for
them to show.
"""

from __future__ import annotations

from typing import NamedTuple

from aurora.errors import InvariantViolation
from compute_node.catalog.foreign_views import FOREIGN_VIEWS
from compute_node.catalog.privilege_views import (
    MAY_SEE_COLUMN,
    MAY_SEE_SEQUENCE,
    MAY_SEE_TABLE,
    OWNS_TABLE,
    PRIVILEGE_VIEWS,
)
from compute_node.catalog.progress_views import PROGRESS_VIEWS
from compute_node.catalog.routine_views import ROUTINE_VIEWS
from compute_node.catalog.server_views import (
    NEVER_FILLED,
    SERVER_VIEWS,
    TABLES_AND_INDEXES,
    table_changes,
    table_scans,
)
from compute_node.catalog.type_views import COLUMN_TYPE, COLUMN_TYPE_JOINS, TYPE_VIEWS
from compute_node.catalog.usage_views import OF_ABSENT_THINGS, USAGE_VIEWS
from compute_node.relations.descriptors import NO_QUALIFICATION
from compute_node.relations.schema import DOMAIN_BASES, SYSTEM_VIEWS
from compute_node.types.registry import REGISTRY

_ROLES = {
    "pg_catalog.pg_roles": """
SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolconnlimit,
 '********'::text AS rolpassword, rolvaliduntil, rolbypassrls, setconfig AS rolconfig, pg_authid.oid
FROM pg_catalog.pg_authid LEFT JOIN pg_catalog.pg_db_role_setting s ON pg_authid.oid = s.setrole AND s.setdatabase =
    0""",
    "pg_catalog.pg_shadow": """
SELECT rolname AS usename, pg_authid.oid AS usesysid, rolcreatedb AS usecreatedb, rolsuper AS usesuper,
 rolreplication AS userepl, rolbypassrls AS usebypassrls, rolpassword AS passwd, rolvaliduntil AS valuntil,
 setconfig AS useconfig
FROM pg_catalog.pg_authid LEFT JOIN pg_catalog.pg_db_role_setting s ON pg_authid.oid = s.setrole AND s.setdatabase = 0
WHERE rolcanlogin""",
    "pg_catalog.pg_user": """
SELECT usename, usesysid, usecreatedb, usesuper, userepl, usebypassrls, '********'::text AS passwd, valuntil, useconfig
FROM pg_catalog.pg_shadow""",
    "pg_catalog.pg_group": """
SELECT rolname AS groname, oid AS grosysid,
 ARRAY(SELECT member FROM pg_catalog.pg_auth_members WHERE roleid = pg_authid.oid) AS grolist
FROM pg_catalog.pg_authid WHERE NOT rolcanlogin""",
}

_RELATIONS = {
    "pg_catalog.pg_tables": """
SELECT n.nspname AS schemaname, c.relname AS tablename, pg_catalog.pg_get_userbyid(c.relowner) AS tableowner,
 t.spcname AS tablespace, c.relhasindex AS hasindexes, c.relhasrules AS hasrules, c.relhastriggers AS hastriggers,
 c.relrowsecurity AS rowsecurity
FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 LEFT JOIN pg_catalog.pg_tablespace t ON t.oid = c.reltablespace
WHERE c.relkind IN ('r', 'p')""",
    "pg_catalog.pg_views": """
SELECT n.nspname AS schemaname, c.relname AS viewname, pg_catalog.pg_get_userbyid(c.relowner) AS viewowner,
 pg_catalog.pg_get_viewdef(c.oid) AS definition
FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'v'""",
    "pg_catalog.pg_rules": """
SELECT n.nspname AS schemaname, c.relname AS tablename, r.rulename AS rulename,
 pg_catalog.pg_get_ruledef(r.oid) AS definition
FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
 LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE r.rulename <> '_RETURN'""",
    "pg_catalog.pg_policies": """
SELECT n.nspname AS schemaname, c.relname AS tablename, p.polname AS policyname,
 CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END AS permissive,
 CASE WHEN p.polroles = '{0}' THEN '{public}'::name[] ELSE
  ARRAY(SELECT a.rolname FROM pg_catalog.pg_authid a WHERE a.oid = ANY (p.polroles) ORDER BY a.rolname) END AS roles,
 CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE'
  WHEN '*' THEN 'ALL' END AS cmd,
 pg_catalog.pg_get_expr(p.polqual, p.polrelid) AS qual, pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) AS with_check
FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
 LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace""",
    "pg_catalog.pg_publication_tables": """
SELECT p.pubname, n.nspname AS schemaname, c.relname AS tablename,
 (SELECT pg_catalog.array_agg(a.attname ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
  WHERE a.attrelid = t.relid AND a.attnum = ANY (t.attrs)) AS attnames,
 pg_catalog.pg_get_expr(t.qual, t.relid) AS rowfilter
FROM pg_catalog.pg_publication p, LATERAL pg_catalog.pg_get_publication_tables(p.pubname) t
 JOIN pg_catalog.pg_class c ON c.oid = t.relid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace""",
    "pg_catalog.pg_matviews": """
SELECT n.nspname AS schemaname, c.relname AS matviewname, pg_catalog.pg_get_userbyid(c.relowner) AS matviewowner,
 t.spcname AS tablespace, c.relhasindex AS hasindexes, c.relispopulated AS ispopulated,
 pg_catalog.pg_get_viewdef(c.oid) AS definition
FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 LEFT JOIN pg_catalog.pg_tablespace t ON t.oid = c.reltablespace
WHERE c.relkind = 'm'""",
    "pg_catalog.pg_indexes": """
SELECT n.nspname AS schemaname, c.relname AS tablename, i.relname AS indexname, t.spcname AS tablespace,
 pg_catalog.pg_get_indexdef(i.oid) AS indexdef
FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class c ON c.oid = x.indrelid
 JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 LEFT JOIN pg_catalog.pg_tablespace t ON t.oid = i.reltablespace
WHERE c.relkind IN ('r', 'm', 'p') AND i.relkind IN ('i', 'I')""",
    "pg_catalog.pg_sequences": """
SELECT n.nspname AS schemaname, c.relname AS sequencename, pg_catalog.pg_get_userbyid(c.relowner) AS sequenceowner,
 s.seqtypid::pg_catalog.regtype AS data_type, s.seqstart AS start_value, s.seqmin AS min_value, s.seqmax AS max_value,
 s.seqincrement AS increment_by, s.seqcycle AS cycle, s.seqcache AS cache_size,
 pg_catalog.pg_sequence_last_value(c.oid) AS last_value
FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
 LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S'""",
}

_SESSIONS = {
    "pg_catalog.pg_settings": "SELECT * FROM pg_catalog.pg_show_all_settings() a",
    "pg_catalog.pg_timezone_abbrevs": "SELECT * FROM pg_catalog.pg_timezone_abbrevs()",
    "pg_catalog.pg_timezone_names": "SELECT * FROM pg_catalog.pg_timezone_names()",
    "pg_catalog.pg_hba_file_rules": "SELECT * FROM pg_catalog.pg_hba_file_rules()",
    "pg_catalog.pg_locks": "SELECT * FROM pg_catalog.pg_lock_status()",
    "pg_catalog.pg_prepared_statements": "SELECT * FROM pg_catalog.pg_prepared_statement()",
    "pg_catalog.pg_cursors": "SELECT * FROM pg_catalog.pg_cursor()",
    "pg_catalog.pg_prepared_xacts": """
SELECT p.transaction, p.gid, p.prepared, u.rolname AS owner, d.datname AS database FROM pg_catalog.pg_prepared_xact() p
 LEFT JOIN pg_catalog.pg_authid u ON p.ownerid = u.oid LEFT JOIN pg_catalog.pg_database d ON p.dbid = d.oid""",
    "pg_catalog.pg_stat_activity": """
SELECT s.datid, d.datname, s.pid, s.leader_pid, s.usesysid, u.rolname AS usename, s.application_name, s.client_addr,
 s.client_hostname, s.client_port, s.backend_start, s.xact_start, s.query_start, s.state_change, s.wait_event_type,
 s.wait_event, s.state, s.backend_xid, s.backend_xmin, s.query_id, s.query, s.backend_type
FROM pg_catalog.pg_stat_get_activity(NULL) s LEFT JOIN pg_catalog.pg_database d ON s.datid = d.oid
 LEFT JOIN pg_catalog.pg_authid u ON s.usesysid = u.oid""",
    "pg_catalog.pg_stat_database": """
SELECT d.oid AS datid, d.datname,
 CASE WHEN d.oid = 0::oid THEN 0 ELSE pg_catalog.pg_stat_get_db_numbackends(d.oid) END AS numbackends,
 pg_catalog.pg_stat_get_db_xact_commit(d.oid) AS xact_commit,
 pg_catalog.pg_stat_get_db_xact_rollback(d.oid) AS xact_rollback,
 pg_catalog.pg_stat_get_db_blocks_fetched(d.oid) - pg_catalog.pg_stat_get_db_blocks_hit(d.oid) AS blks_read,
 pg_catalog.pg_stat_get_db_blocks_hit(d.oid) AS blks_hit,
 pg_catalog.pg_stat_get_db_tuples_returned(d.oid) AS tup_returned,
 pg_catalog.pg_stat_get_db_tuples_fetched(d.oid) AS tup_fetched,
 pg_catalog.pg_stat_get_db_tuples_inserted(d.oid) AS tup_inserted,
 pg_catalog.pg_stat_get_db_tuples_updated(d.oid) AS tup_updated,
 pg_catalog.pg_stat_get_db_tuples_deleted(d.oid) AS tup_deleted,
 pg_catalog.pg_stat_get_db_conflict_all(d.oid) AS conflicts, pg_catalog.pg_stat_get_db_temp_files(d.oid) AS temp_files,
 pg_catalog.pg_stat_get_db_temp_bytes(d.oid) AS temp_bytes, pg_catalog.pg_stat_get_db_deadlocks(d.oid) AS deadlocks,
 pg_catalog.pg_stat_get_db_checksum_failures(d.oid) AS checksum_failures,
 pg_catalog.pg_stat_get_db_checksum_last_failure(d.oid) AS checksum_last_failure,
 pg_catalog.pg_stat_get_db_blk_read_time(d.oid) AS blk_read_time,
 pg_catalog.pg_stat_get_db_blk_write_time(d.oid) AS blk_write_time,
 pg_catalog.pg_stat_get_db_session_time(d.oid) AS session_time,
 pg_catalog.pg_stat_get_db_active_time(d.oid) AS active_time,
 pg_catalog.pg_stat_get_db_idle_in_transaction_time(d.oid) AS idle_in_transaction_time,
 pg_catalog.pg_stat_get_db_sessions(d.oid) AS sessions,
 pg_catalog.pg_stat_get_db_sessions_abandoned(d.oid) AS sessions_abandoned,
 pg_catalog.pg_stat_get_db_sessions_fatal(d.oid) AS sessions_fatal,
 pg_catalog.pg_stat_get_db_sessions_killed(d.oid) AS sessions_killed,
 pg_catalog.pg_stat_get_db_stat_reset_time(d.oid) AS stats_reset
FROM (SELECT 0::oid AS oid, NULL::name AS datname UNION ALL SELECT oid, datname FROM pg_catalog.pg_database) d""",
    "pg_catalog.pg_stat_database_conflicts": """
SELECT d.oid AS datid, d.datname, pg_catalog.pg_stat_get_db_conflict_tablespace(d.oid) AS confl_tablespace,
 pg_catalog.pg_stat_get_db_conflict_lock(d.oid) AS confl_lock,
 pg_catalog.pg_stat_get_db_conflict_snapshot(d.oid) AS confl_snapshot,
 pg_catalog.pg_stat_get_db_conflict_bufferpin(d.oid) AS confl_bufferpin,
 pg_catalog.pg_stat_get_db_conflict_startup_deadlock(d.oid) AS confl_deadlock
FROM pg_catalog.pg_database d""",
    "pg_catalog.pg_stat_wal_receiver": """
SELECT s.pid, s.status, s.receive_start_lsn, s.receive_start_tli, s.written_lsn, s.flushed_lsn, s.received_tli,
 s.last_msg_send_time, s.last_msg_receipt_time, s.latest_end_lsn, s.latest_end_time, s.slot_name, s.sender_host,
 s.sender_port, s.conninfo
FROM pg_catalog.pg_stat_get_wal_receiver() s WHERE s.pid IS NOT NULL""",
}


def _table_statistics(condition: str) -> str:
    done = "vacuum autovacuum analyze autoanalyze".split()  # noqa: SIM905
    times = ", ".join(f"pg_catalog.pg_stat_get_last_{each}_time(c.oid) AS last_{each}" for each in done)
    counts = ", ".join(f"pg_catalog.pg_stat_get_{each}_count(c.oid) AS {each}_count" for each in done)
    return f"""
SELECT c.oid AS relid, n.nspname AS schemaname, c.relname, {table_scans("")}, {table_changes("")},
 pg_catalog.pg_stat_get_live_tuples(c.oid) AS n_live_tup, pg_catalog.pg_stat_get_dead_tuples(c.oid) AS n_dead_tup,
 pg_catalog.pg_stat_get_mod_since_analyze(c.oid) AS n_mod_since_analyze,
 pg_catalog.pg_stat_get_ins_since_vacuum(c.oid) AS n_ins_since_vacuum, {times}, {counts}
{TABLES_AND_INDEXES}{condition} GROUP BY c.oid, n.nspname, c.relname"""


def _index_statistics(condition: str) -> str:
    return f"""
SELECT c.oid AS relid, i.oid AS indexrelid, n.nspname AS schemaname, c.relname, i.relname AS indexrelname,
 pg_catalog.pg_stat_get_numscans(i.oid) AS idx_scan, pg_catalog.pg_stat_get_tuples_returned(i.oid) AS idx_tup_read,
 pg_catalog.pg_stat_get_tuples_fetched(i.oid) AS idx_tup_fetch
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_index x ON c.oid = x.indrelid
 JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 't', 'm'){condition}"""


def _table_io(condition: str) -> str:
    return f"""
SELECT c.oid AS relid, n.nspname AS schemaname, c.relname, NULL::bigint AS heap_blks_read, NULL::bigint AS
 heap_blks_hit, NULL::bigint AS idx_blks_read, NULL::bigint AS idx_blks_hit, NULL::bigint AS toast_blks_read,
 NULL::bigint AS toast_blks_hit, NULL::bigint AS tidx_blks_read, NULL::bigint AS tidx_blks_hit
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 't', 'm'){condition}"""


_USER = " AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
_SYSTEM = " AND n.nspname IN ('pg_catalog', 'information_schema', 'pg_toast')"


def _slot(kind: int, column: str, type_name: str, element: str = "") -> str:
    """What pg_statistic has of one kind of facts, whichever of its slots holds them."""
    cases = " ".join(f"WHEN s.stakind{number} = {kind} THEN s.{column}{number}{element}" for number in range(1, 6))
    return f"CASE {cases} ELSE NULL::{type_name} END"


_COLUMN_STATISTICS = f"""
SELECT n.nspname AS schemaname, c.relname AS tablename, a.attname, s.stainherit AS inherited,
 s.stanullfrac AS null_frac, s.stawidth AS avg_width, s.stadistinct AS n_distinct,
 {_slot(1, "stavalues", "anyarray")} AS most_common_vals,
 {_slot(1, "stanumbers", "real[]")} AS most_common_freqs,
 {_slot(2, "stavalues", "anyarray")} AS histogram_bounds,
 {_slot(3, "stanumbers", "real", "[1]")} AS correlation,
 {_slot(4, "stavalues", "anyarray")} AS most_common_elems,
 {_slot(4, "stanumbers", "real[]")} AS most_common_elem_freqs,
 {_slot(5, "stanumbers", "real[]")} AS elem_count_histogram
FROM pg_catalog.pg_statistic s JOIN pg_catalog.pg_class c ON c.oid = s.starelid
 JOIN pg_catalog.pg_attribute a ON c.oid = a.attrelid AND a.attnum = s.staattnum
 LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT a.attisdropped AND pg_catalog.has_column_privilege(c.oid, a.attnum, 'select')
 AND (NOT c.relrowsecurity OR NOT pg_catalog.row_security_active(c.oid))"""

_STATISTICS = {
    "pg_catalog.pg_stats": _COLUMN_STATISTICS,
    "pg_catalog.pg_stats_ext": """
SELECT cn.nspname AS schemaname, c.relname AS tablename, sn.nspname AS statistics_schemaname,
 s.stxname AS statistics_name, pg_catalog.pg_get_userbyid(s.stxowner) AS statistics_owner,
 (SELECT pg_catalog.array_agg(a.attname ORDER BY a.attnum) FROM pg_catalog.unnest(s.stxkeys) AS k(k)
  JOIN pg_catalog.pg_attribute a ON a.attrelid = s.stxrelid AND a.attnum = k.k) AS attnames,
 pg_catalog.pg_get_statisticsobjdef_expressions(s.oid) AS exprs, s.stxkind AS kinds, sd.stxdinherit AS inherited,
 sd.stxdndistinct AS n_distinct, sd.stxddependencies AS dependencies, m.most_common_vals, m.most_common_val_nulls,
 m.most_common_freqs, m.most_common_base_freqs
FROM pg_catalog.pg_statistic_ext s JOIN pg_catalog.pg_class c ON c.oid = s.stxrelid
 JOIN pg_catalog.pg_statistic_ext_data sd ON s.oid = sd.stxoid
 LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
 LEFT JOIN pg_catalog.pg_namespace sn ON sn.oid = s.stxnamespace
 LEFT JOIN LATERAL (SELECT pg_catalog.array_agg(i.values) AS most_common_vals,
  pg_catalog.array_agg(i.nulls) AS most_common_val_nulls, pg_catalog.array_agg(i.frequency) AS most_common_freqs,
  pg_catalog.array_agg(i.base_frequency) AS most_common_base_freqs
  FROM pg_catalog.pg_mcv_list_items(sd.stxdmcv) i) m ON sd.stxdmcv IS NOT NULL
WHERE pg_catalog.pg_has_role(c.relowner, 'USAGE')
 AND (NOT c.relrowsecurity OR NOT pg_catalog.row_security_active(c.oid))""",
    "pg_catalog.pg_stat_all_tables": _table_statistics(""),
    "pg_catalog.pg_stat_user_tables": _table_statistics(_USER),
    "pg_catalog.pg_stat_sys_tables": _table_statistics(_SYSTEM),
    "pg_catalog.pg_stat_all_indexes": _index_statistics(""),
    "pg_catalog.pg_stat_user_indexes": _index_statistics(_USER),
    "pg_catalog.pg_stat_sys_indexes": _index_statistics(_SYSTEM),
    "pg_catalog.pg_statio_all_tables": _table_io(""),
    "pg_catalog.pg_statio_user_tables": _table_io(_USER),
    "pg_catalog.pg_statio_sys_tables": _table_io(_SYSTEM),
}

_NOT_TEMPORARY = "NOT pg_catalog.starts_with(n.nspname::text, 'pg_temp_')"

_INFORMATION_SCHEMA = {
    "information_schema.information_schema_catalog_name": "SELECT pg_catalog.current_database() AS catalog_name",
    "information_schema.schemata": """
SELECT pg_catalog.current_database() AS catalog_name, n.nspname AS schema_name, u.rolname AS schema_owner,
 NULL::name AS default_character_set_catalog, NULL::name AS default_character_set_schema,
 NULL::name AS default_character_set_name, NULL::varchar AS sql_path
FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_authid u ON n.nspowner = u.oid
WHERE pg_catalog.pg_has_role(n.nspowner, 'USAGE') OR pg_catalog.has_schema_privilege(n.oid, 'CREATE, USAGE')""",
    "information_schema.tables": f"""
SELECT pg_catalog.current_database() AS table_catalog, n.nspname AS table_schema, c.relname AS table_name,
 CASE WHEN pg_catalog.starts_with(n.nspname::text, 'pg_temp_') THEN 'LOCAL TEMPORARY' WHEN c.relkind IN ('r', 'p')
  THEN 'BASE TABLE' WHEN c.relkind = 'v' THEN 'VIEW' WHEN c.relkind = 'f' THEN 'FOREIGN' ELSE NULL END::varchar AS
 table_type, NULL::name AS self_referencing_column_name, NULL::varchar AS reference_generation,
 CASE WHEN t.typname IS NOT NULL THEN pg_catalog.current_database() END AS user_defined_type_catalog,
 nt.nspname AS user_defined_type_schema, t.typname AS user_defined_type_name,
 CASE WHEN c.relkind IN ('r', 'p')
  OR (c.relkind IN ('v', 'f') AND pg_catalog.pg_relation_is_updatable(c.oid, false) & 8 = 8)
  THEN 'YES' ELSE 'NO' END::varchar(3) AS is_insertable_into,
 CASE WHEN t.typname IS NOT NULL THEN 'YES' ELSE 'NO' END::varchar(3) AS is_typed, NULL::varchar AS commit_action
FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON n.oid = c.relnamespace
 LEFT JOIN pg_catalog.pg_type t ON c.reloftype = t.oid LEFT JOIN pg_catalog.pg_namespace nt ON nt.oid = t.typnamespace
WHERE c.relkind IN ('r', 'v', 'f', 'p') AND {MAY_SEE_TABLE}""",
    "information_schema.columns": f"""
SELECT pg_catalog.current_database() AS table_catalog, n.nspname AS table_schema, c.relname AS table_name,
 a.attname AS column_name, a.attnum::integer AS ordinal_position,
 CASE WHEN a.attgenerated = '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END::varchar AS column_default,
 CASE WHEN a.attnotnull OR (t.typtype = 'd' AND t.typnotnull) THEN 'NO' ELSE 'YES' END::varchar(3) AS is_nullable,
 {COLUMN_TYPE}, NULL::name AS scope_catalog, NULL::name AS scope_schema, NULL::name AS scope_name,
 NULL::integer AS maximum_cardinality, a.attnum::text::name AS dtd_identifier, 'NO'::varchar(3) AS is_self_referencing,
 CASE WHEN a.attidentity IN ('a', 'd') THEN 'YES' ELSE 'NO' END::varchar(3) AS is_identity,
 CASE a.attidentity WHEN 'a' THEN 'ALWAYS' WHEN 'd' THEN 'BY DEFAULT' END::varchar AS identity_generation,
 s.seqstart::text::varchar AS identity_start, s.seqincrement::text::varchar AS identity_increment,
 s.seqmax::text::varchar AS identity_maximum, s.seqmin::text::varchar AS identity_minimum,
 CASE WHEN s.seqcycle THEN 'YES' ELSE 'NO' END::varchar(3) AS identity_cycle,
 CASE WHEN a.attgenerated <> '' THEN 'ALWAYS' ELSE 'NEVER' END::varchar AS is_generated,
 CASE WHEN a.attgenerated <> '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END::varchar AS generation_expression,
 CASE WHEN c.relkind IN ('r', 'p')
  OR (c.relkind IN ('v', 'f') AND pg_catalog.pg_column_is_updatable(c.oid, a.attnum, false))
  THEN 'YES' ELSE 'NO' END::varchar(3) AS is_updatable
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON a.attrelid = c.oid
 JOIN pg_catalog.pg_namespace n ON c.relnamespace = n.oid JOIN pg_catalog.pg_type t ON a.atttypid = t.oid
 JOIN pg_catalog.pg_namespace nt ON t.typnamespace = nt.oid {COLUMN_TYPE_JOINS}
 LEFT JOIN pg_catalog.pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum
 LEFT JOIN pg_catalog.pg_depend dep ON dep.refclassid = 'pg_catalog.pg_class'::regclass AND dep.refobjid = c.oid
  AND dep.refobjsubid = a.attnum AND dep.classid = 'pg_catalog.pg_class'::regclass AND dep.deptype = 'i'
 LEFT JOIN pg_catalog.pg_sequence s ON s.seqrelid = dep.objid
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'v', 'f', 'p') AND {MAY_SEE_COLUMN}""",
    "information_schema.views": f"""
SELECT pg_catalog.current_database() AS table_catalog, n.nspname AS table_schema, c.relname AS table_name,
 CASE WHEN {OWNS_TABLE} THEN pg_catalog.pg_get_viewdef(c.oid) END::varchar AS view_definition,
 CASE WHEN 'check_option=cascaded' = ANY (c.reloptions) THEN 'CASCADED'
  WHEN 'check_option=local' = ANY (c.reloptions) THEN 'LOCAL' ELSE 'NONE' END::varchar AS check_option,
 CASE WHEN pg_catalog.pg_relation_is_updatable(c.oid, false) & 20 = 20 THEN 'YES' ELSE 'NO' END::varchar(3)
  AS is_updatable,
 CASE WHEN pg_catalog.pg_relation_is_updatable(c.oid, false) & 8 = 8 THEN 'YES' ELSE 'NO' END::varchar(3)
  AS is_insertable_into, 'NO'::varchar(3) AS is_trigger_updatable,
 'NO'::varchar(3) AS is_trigger_deletable, 'NO'::varchar(3) AS is_trigger_insertable_into
FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON n.oid = c.relnamespace
WHERE c.relkind = 'v' AND {MAY_SEE_TABLE}""",
    "information_schema.check_constraints": f"""
SELECT pg_catalog.current_database() AS constraint_catalog, nc.nspname AS constraint_schema, k.conname AS
 constraint_name, "substring"(pg_catalog.pg_get_constraintdef(k.oid), 7)::varchar AS check_clause
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_namespace nc ON nc.oid = k.connamespace
 LEFT JOIN pg_catalog.pg_class c ON c.oid = k.conrelid LEFT JOIN pg_catalog.pg_type t ON t.oid = k.contypid
WHERE k.contype = 'c' AND pg_catalog.pg_has_role(coalesce(c.relowner, t.typowner), 'USAGE')
UNION
SELECT pg_catalog.current_database(), n.nspname,
 (n.oid::text || '_' || c.oid::text || '_' || a.attnum::text || '_not_null')::name,
 (a.attname || ' IS NOT NULL')::varchar
FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON n.oid = c.relnamespace
 JOIN pg_catalog.pg_attribute a ON c.oid = a.attrelid
WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull AND c.relkind IN ('r', 'p') AND {OWNS_TABLE}""",
    "information_schema.sequences": f"""
SELECT pg_catalog.current_database() AS sequence_catalog, n.nspname AS sequence_schema, c.relname AS sequence_name,
 pg_catalog.format_type(s.seqtypid, NULL)::varchar AS data_type,
 CASE s.seqtypid WHEN 21 THEN 16 WHEN 23 THEN 32 ELSE 64 END AS numeric_precision, 2 AS numeric_precision_radix,
 0 AS numeric_scale, s.seqstart::text::varchar AS start_value, s.seqmin::text::varchar AS minimum_value,
 s.seqmax::text::varchar AS maximum_value, s.seqincrement::text::varchar AS increment,
 CASE WHEN s.seqcycle THEN 'YES' ELSE 'NO' END::varchar(3) AS cycle_option
FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE {_NOT_TEMPORARY} AND {MAY_SEE_SEQUENCE} AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend
 WHERE classid = 'pg_catalog.pg_class'::regclass AND objid = c.oid AND deptype = 'i')""",
}

EMPTY = (  # noqa: SIM905
    " pg_catalog.pg_replication_origin_status pg_catalog.pg_replication_slots"
    " pg_catalog.pg_seclabels"
    " pg_catalog.pg_stat_replication pg_catalog.pg_stat_subscription"
    " pg_catalog.pg_stats_ext_exprs"
).split()


def _empty(name: str) -> str:
    columns = []
    for column in SYSTEM_VIEWS[name].columns:
        item = REGISTRY.types[DOMAIN_BASES.get(column.type, (column.type, -1))[0]]
        base = (
            f'pg_catalog."{REGISTRY.types[item.element].name}"[]'
            if item.category == "A"
            else f'pg_catalog."{item.name}"'
        )
        columns.append(f'NULL::{base} AS "{column.name}"')
    return f"SELECT {', '.join(columns)} WHERE false"


def view_sql() -> dict[str, str]:
    """Each system view's SELECT. The declared types must be loaded."""
    groups = (
        _ROLES, _RELATIONS, _SESSIONS, _STATISTICS, _INFORMATION_SCHEMA, ROUTINE_VIEWS, TYPE_VIEWS, PRIVILEGE_VIEWS,
        SERVER_VIEWS, USAGE_VIEWS, FOREIGN_VIEWS, PROGRESS_VIEWS,
        {name: _empty(name) for name in (*EMPTY, *NEVER_FILLED, *OF_ABSENT_THINGS)},
    )  # fmt: skip
    written: dict[str, str] = {}
    for group in groups:
        twice = written.keys() & group.keys()
        if twice:
            raise InvariantViolation(f"system views are written twice: {sorted(twice)}")
        written |= group
    return {name: text.strip() for name, text in written.items()}


class ViewRule(NamedTuple):
    """A rule of a system view, as ``pg_rewrite`` keeps it. ``event``: 2 for UPDATE."""

    name: str
    event: str
    is_instead: bool
    condition: str
    action: str


RULES = {
    "pg_catalog.pg_settings": (
        ViewRule(
            "pg_settings_u",
            "2",
            False,
            "(new.name = old.name)",
            "SELECT set_config(old.name, new.setting, false) AS set_config;",
        ),
        ViewRule("pg_settings_n", "2", True, NO_QUALIFICATION, ""),
    )
}
"""UPDATE of ``pg_settings`` is SET."""
