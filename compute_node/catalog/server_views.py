"""SQL of the system views over functions that tell of the server, its log and what it counts (manual, 28.2, 54).

What nothing counts is NULL.
"""

from __future__ import annotations


def _all_of(function: str, columns: str) -> str:
    """A view of a function's columns."""
    return f"SELECT {', '.join(f's.{name}' for name in columns.split())} FROM pg_catalog.{function}() s"


TABLES_AND_INDEXES = """
FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_index i ON c.oid = i.indrelid
 LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 't', 'm', 'p')"""
"""for a GROUP BY of the table"""


def table_scans(prefix: str) -> str:
    """Columns about a table's scans and its indexes'; ``prefix`` of the functions' last part: ``xact_``."""
    get = f"pg_catalog.pg_stat_get_{prefix}"
    return (
        f"{get}numscans(c.oid) AS seq_scan, {get}tuples_returned(c.oid) AS seq_tup_read,"
        f" pg_catalog.sum({get}numscans(i.indexrelid))::bigint AS idx_scan,"
        f" pg_catalog.sum({get}tuples_fetched(i.indexrelid))::bigint + {get}tuples_fetched(c.oid) AS idx_tup_fetch"
    )


def table_changes(prefix: str) -> str:
    """Columns about a table's rows that were changed."""
    names = {"inserted": "ins", "updated": "upd", "deleted": "del", "hot_updated": "hot_upd"}
    return ", ".join(
        f"pg_catalog.pg_stat_get_{prefix}tuples_{name}(c.oid) AS n_tup_{short}" for name, short in names.items()
    )


def _xact_tables(condition: str) -> str:
    return f"""
SELECT c.oid AS relid, n.nspname AS schemaname, c.relname, {table_scans("xact_")}, {table_changes("xact_")}
{TABLES_AND_INDEXES}{condition} GROUP BY c.oid, n.nspname, c.relname"""


def _io_indexes(condition: str) -> str:
    return f"""
SELECT c.oid AS relid, i.oid AS indexrelid, n.nspname AS schemaname, c.relname, i.relname AS indexrelname,
 NULL::bigint AS idx_blks_read, NULL::bigint AS idx_blks_hit
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_index x ON c.oid = x.indrelid
 JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 't', 'm'){condition}"""


def _io_sequences(condition: str) -> str:
    return f"""
SELECT c.oid AS relid, n.nspname AS schemaname, c.relname, NULL::bigint AS blks_read, NULL::bigint AS blks_hit
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S'{condition}"""


_USER = " AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
_SYSTEM = " AND n.nspname IN ('pg_catalog', 'information_schema', 'pg_toast')"

SERVER_VIEWS: dict[str, str] = {
    "pg_catalog.pg_available_extensions": """
SELECT e.name, e.default_version, x.extversion AS installed_version, e.comment
FROM pg_catalog.pg_available_extensions() e LEFT JOIN pg_catalog.pg_extension x ON e.name = x.extname""",
    "pg_catalog.pg_available_extension_versions": """
SELECT e.name, e.version, x.extname IS NOT NULL AS installed, e.superuser, e.trusted, e.relocatable, e.schema,
 e.requires, e.comment
FROM pg_catalog.pg_available_extension_versions() e
 LEFT JOIN pg_catalog.pg_extension x ON e.name = x.extname AND e.version = x.extversion""",
    "pg_catalog.pg_config": _all_of("pg_config", "name setting"),
    "pg_catalog.pg_file_settings": _all_of(
        "pg_show_all_file_settings", "sourcefile sourceline seqno name setting applied error"
    ),
    "pg_catalog.pg_backend_memory_contexts": _all_of(
        "pg_get_backend_memory_contexts",
        "name ident parent level total_bytes total_nblocks free_bytes free_chunks used_bytes",
    ),
    "pg_catalog.pg_shmem_allocations": _all_of("pg_get_shmem_allocations", "name off size allocated_size"),
    "pg_catalog.pg_ident_file_mappings": _all_of(
        "pg_ident_file_mappings", "line_number map_name sys_name pg_username error"
    ),
    "pg_catalog.pg_stat_ssl": """
SELECT s.pid, s.ssl, s.sslversion AS version, s.sslcipher AS cipher, s.sslbits AS bits, s.ssl_client_dn AS client_dn,
 s.ssl_client_serial AS client_serial, s.ssl_issuer_dn AS issuer_dn
FROM pg_catalog.pg_stat_get_activity(NULL) s WHERE s.client_port IS NOT NULL""",
    "pg_catalog.pg_stat_wal": _all_of(
        "pg_stat_get_wal",
        "wal_records wal_fpi wal_bytes wal_buffers_full wal_write wal_sync wal_write_time wal_sync_time stats_reset",
    ),
    "pg_catalog.pg_stat_archiver": _all_of(
        "pg_stat_get_archiver",
        "archived_count last_archived_wal last_archived_time failed_count last_failed_wal last_failed_time stats_reset",
    ),
    "pg_catalog.pg_stat_slru": _all_of(
        "pg_stat_get_slru",
        "name blks_zeroed blks_hit blks_read blks_written blks_exists flushes truncates stats_reset",
    ),
    "pg_catalog.pg_stat_recovery_prefetch": _all_of(
        "pg_stat_get_recovery_prefetch",
        "stats_reset prefetch hit skip_init skip_new skip_fpw skip_rep wal_distance block_distance io_depth",
    ),
    "pg_catalog.pg_stat_bgwriter": """
SELECT pg_catalog.pg_stat_get_bgwriter_timed_checkpoints() AS checkpoints_timed,
 pg_catalog.pg_stat_get_bgwriter_requested_checkpoints() AS checkpoints_req,
 pg_catalog.pg_stat_get_checkpoint_write_time() AS checkpoint_write_time,
 pg_catalog.pg_stat_get_checkpoint_sync_time() AS checkpoint_sync_time,
 pg_catalog.pg_stat_get_bgwriter_buf_written_checkpoints() AS buffers_checkpoint,
 pg_catalog.pg_stat_get_bgwriter_buf_written_clean() AS buffers_clean,
 pg_catalog.pg_stat_get_bgwriter_maxwritten_clean() AS maxwritten_clean,
 pg_catalog.pg_stat_get_buf_written_backend() AS buffers_backend,
 pg_catalog.pg_stat_get_buf_fsync_backend() AS buffers_backend_fsync,
 pg_catalog.pg_stat_get_buf_alloc() AS buffers_alloc,
 pg_catalog.pg_stat_get_bgwriter_stat_reset_time() AS stats_reset""",
    "pg_catalog.pg_stat_gssapi": """
SELECT s.pid, s.gss_auth AS gss_authenticated, s.gss_princ AS principal, s.gss_enc AS encrypted
FROM pg_catalog.pg_stat_get_activity(NULL) s WHERE s.client_port IS NOT NULL""",
    "pg_catalog.pg_stat_user_functions": """
SELECT p.oid AS funcid, n.nspname AS schemaname, p.proname AS funcname,
 pg_catalog.pg_stat_get_function_calls(p.oid) AS calls, pg_catalog.pg_stat_get_function_total_time(p.oid) AS total_time,
 pg_catalog.pg_stat_get_function_self_time(p.oid) AS self_time
FROM pg_catalog.pg_proc p LEFT JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE p.prolang <> 12::oid AND pg_catalog.pg_stat_get_function_calls(p.oid) IS NOT NULL""",
    "pg_catalog.pg_stat_xact_all_tables": _xact_tables(""),
    "pg_catalog.pg_stat_xact_user_tables": _xact_tables(_USER),
    "pg_catalog.pg_stat_xact_sys_tables": _xact_tables(_SYSTEM),
    "pg_catalog.pg_statio_all_indexes": _io_indexes(""),
    "pg_catalog.pg_statio_user_indexes": _io_indexes(_USER),
    "pg_catalog.pg_statio_sys_indexes": _io_indexes(_SYSTEM),
    "pg_catalog.pg_statio_all_sequences": _io_sequences(""),
    "pg_catalog.pg_statio_user_sequences": _io_sequences(_USER),
    "pg_catalog.pg_statio_sys_sequences": _io_sequences(_SYSTEM),
}

NEVER_FILLED = (
    "pg_catalog.pg_stat_replication_slots",
    "pg_catalog.pg_stat_subscription_stats",
    "pg_catalog.pg_stat_xact_user_functions",
)
"""Views of what is not here."""
