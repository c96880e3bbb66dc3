"""The settings: PostgreSQL 15's names, types, defaults, contexts, units and limits (manual, chapter 20), plus ours.

By category, one line a setting: ``name|type|default|context|unit|least|greatest|enum values``; the type is bool,
integer, real, string or enum; ``~`` stands for a blank. Settings that steer a mechanism that does not exist here (log
files, archiving) are left out, except those that clients ask for. ``settings`` reads this table; nothing else does.
"""

from __future__ import annotations

ENUMS = {
    "@client": "debug5,debug4,debug3,debug2,debug1,log,notice,warning,error",
    "@logging": "disabled,debug5,debug4,debug3,debug2,debug1,info,notice,warning,error,log,fatal,panic",
    "@levels": "debug5,debug4,debug3,debug2,debug1,info,notice,warning,error,log,fatal,panic",
}
"""Enum lists that several settings share."""

CATEGORIES: dict[str, str] = {
    "Autovacuum": """
autovacuum|bool|on|sighup||||
autovacuum_analyze_scale_factor|real|0.1|sighup||0|100|
autovacuum_analyze_threshold|integer|50|sighup||0|2147483647|
autovacuum_freeze_max_age|integer|200000000|postmaster||100000|2000000000|
autovacuum_max_workers|integer|3|postmaster||1|262143|
autovacuum_multixact_freeze_max_age|integer|400000000|postmaster||10000|2000000000|
autovacuum_naptime|integer|60|sighup|s|1|2147483|
autovacuum_vacuum_cost_delay|real|2|sighup|ms|-1|100|
autovacuum_vacuum_cost_limit|integer|-1|sighup||-1|10000|
autovacuum_vacuum_insert_scale_factor|real|0.2|sighup||0|100|
autovacuum_vacuum_insert_threshold|integer|1000|sighup||-1|2147483647|
autovacuum_vacuum_scale_factor|real|0.2|sighup||0|100|
autovacuum_vacuum_threshold|integer|50|sighup||0|2147483647|
""",
    "Client Connection Defaults / Shared Library Preloading": """
shared_preload_libraries|string||postmaster||||
""",
    "Customized Options": """
ansi_constraint_trigger_ordering|bool|off|sighup||||
ansi_force_foreign_key_checks|bool|off|sighup||||
ansi_qualified_update_set_target|bool|off|user||||
apg_ccm_enabled|bool|off|sighup||||
apg_enable_batch_mode_function_execution|bool|off|user||||
apg_enable_correlated_any_transform|bool|off|user||||
apg_enable_function_migration|bool|off|user||||
apg_enable_not_in_transform|bool|off|user||||
apg_enable_remove_redundant_inner_joins|bool|off|user||||
apg_enable_semijoin_push_down|bool|off|user||||
apg_plan_mgmt.capture_plan_baselines|enum|off|user||||manual,automatic,off
apg_plan_mgmt.max_databases|integer|10|postmaster||10|2147483647|
apg_plan_mgmt.max_plans|integer|10000|postmaster||500|2147483647|
apg_plan_mgmt.plan_hash_version|integer|1|sighup||1|3|
apg_plan_mgmt.plan_retention_period|integer|32|sighup||32|2147483647|
apg_plan_mgmt.unapproved_plan_execution_threshold|integer|0|user||0|2147483647|
apg_plan_mgmt.use_plan_baselines|bool|off|user||||
apg_write_forward.connect_timeout|integer|30|user|s|0|2147483647|
apg_write_forward.consistency_mode|enum|session|user||||off,eventual,session,global
apg_write_forward.idle_in_transaction_session_timeout|integer|86400000|user|ms|0|2147483647|
apg_write_forward.idle_session_timeout|integer|300000|user|ms|0|2147483647|
apg_write_forward.max_forwarding_connections_percent|integer|25|postmaster||1|100|
aurora.local_write_forwarding|bool|off|sighup||||
aurora.refuse_wal_functions|bool|off|user||||
aurora_compute_plan_id|bool|off|sighup||||
pg_stat_statements.max|integer|5000|postmaster||100|1073741823|
pg_stat_statements.save|bool|off|sighup||||
pg_stat_statements.track|enum|top|superuser||||none,top,all
pg_stat_statements.track_planning|bool|off|superuser||||
pg_stat_statements.track_utility|bool|on|superuser||||
pg_trgm.similarity_threshold|real|0.3|user||0|1|
pg_trgm.strict_word_similarity_threshold|real|0.5|user||0|1|
pg_trgm.word_similarity_threshold|real|0.6|user||0|1|
rds.accepted_password_auth_method|enum|md5+scram|sighup||||md5+scram,scram
rds.adaptive_autovacuum|bool|on|sighup||||
rds.babelfish_status|enum|off|postmaster||||on,off,datatypesonly
rds.enable_plan_management|bool|off|postmaster||||
rds.extensions|string|aurora_stat_utils,~btree_gin,~btree_gist,~citext,~cube,~earthdistance,~file_fdw,~fuzzystrmatch,~hstore,~intarray,~ltree,~pg_stat_statements,~pg_trgm,~pgcrypto,~tablefunc,~unaccent,~uuid-ossp|internal||||
rds.force_admin_logging_level|enum|disabled|sighup||||@logging
rds.force_autovacuum_logging_level|enum|warning|sighup||||@logging
rds.force_ssl|bool|off|sighup||||
rds.global_db_rpo|integer|-1|sighup|s|-1|2147483647|
rds.log_retention_period|integer|4320|sighup|min|1440|10080|
rds.logical_replication|bool|off|postmaster||||
rds.logically_replicate_unlogged_tables|bool|on|postmaster||||
rds.pg_stat_ramdisk_size|integer|0|postmaster|MB|0|1024|
rds.rds_superuser_reserved_connections|integer|2|postmaster||0|262143|
rds.restrict_password_commands|bool|off|postmaster||||
rds.superuser_variables|string|session_replication_role|internal||||
""",
    "Client Connection Defaults / Locale and Formatting": """
client_encoding|string|UTF8|user||||
DateStyle|string|ISO,~MDY|user||||
default_text_search_config|string|pg_catalog.english|user||||
extra_float_digits|integer|1|user||-15|3|
IntervalStyle|enum|postgres|user||||postgres,postgres_verbose,sql_standard,iso_8601
lc_messages|string|C.UTF-8|superuser||||
lc_monetary|string|C.UTF-8|user||||
lc_numeric|string|C.UTF-8|user||||
lc_time|string|C.UTF-8|user||||
TimeZone|string|UTC|user||||
timezone_abbreviations|string||user||||
""",
    "Client Connection Defaults / Other Defaults": """
gin_fuzzy_search_limit|integer|0|user||0|2147483647|
""",
    "Client Connection Defaults / Statement Behavior": """
bytea_output|enum|hex|user||||escape,hex
check_function_bodies|bool|on|user||||
client_min_messages|enum|notice|user||||@client
default_table_access_method|string|heap|user||||
default_tablespace|string||user||||
default_toast_compression|enum|pglz|user||||pglz,lz4
default_transaction_deferrable|bool|off|user||||
default_transaction_isolation|enum|read~committed|user||||serializable,repeatable~read,read~committed,read~uncommitted
default_transaction_read_only|bool|off|user||||
gin_pending_list_limit|integer|4096|user|kB|64|2147483647|
idle_in_transaction_session_timeout|integer|0|user|ms|0|2147483647|
idle_session_timeout|integer|0|user|ms|0|2147483647|
lock_timeout|integer|0|user|ms|0|2147483647|
restrict_nonsystem_relation_kind|string||user||||
role|string|none|user||||
row_security|bool|on|user||||
search_path|string|"$user",~public|user||||
session_authorization|string||user||||
session_replication_role|enum|origin|superuser||||origin,replica,local
statement_timeout|integer|0|user|ms|0|2147483647|
temp_tablespaces|string||user||||
transaction_deferrable|bool|off|user||||
transaction_isolation|enum|read~committed|user||||serializable,repeatable~read,read~committed,read~uncommitted
transaction_read_only|bool|off|user||||
vacuum_failsafe_age|integer|1600000000|user||0|2100000000|
vacuum_freeze_min_age|integer|50000000|user||0|1000000000|
vacuum_freeze_table_age|integer|150000000|user||0|2000000000|
vacuum_multixact_failsafe_age|integer|1600000000|user||0|2100000000|
vacuum_multixact_freeze_min_age|integer|5000000|user||0|1000000000|
vacuum_multixact_freeze_table_age|integer|150000000|user||0|2000000000|
xmlbinary|enum|base64|user||||base64,hex
xmloption|enum|content|user||||content,document
""",
    "Connections and Authentication / Authentication": """
authentication_timeout|integer|60|sighup|s|1|600|
password_encryption|enum|scram-sha-256|user||||md5,scram-sha-256
""",
    "Connections and Authentication / Connection Settings": """
client_connection_check_interval|integer|0|user|ms|0|2147483647|
listen_addresses|string|localhost|postmaster||||
max_connections|integer|10000|postmaster||1|262143|
port|integer|5432|postmaster||1|65535|
superuser_reserved_connections|integer|3|postmaster||0|262143|
tcp_keepalives_count|integer|0|user||0|2147483647|
tcp_keepalives_idle|integer|0|user|s|0|2147483647|
tcp_keepalives_interval|integer|0|user|s|0|2147483647|
tcp_user_timeout|integer|0|user|ms|0|2147483647|
""",
    "Connections and Authentication / SSL": """
ssl|bool|off|sighup||||
ssl_cert_file|string||sighup||||
ssl_key_file|string||sighup||||
ssl_min_protocol_version|enum|TLSv1.2|sighup||||TLSv1,TLSv1.1,TLSv1.2,TLSv1.3
""",
    "Developer Options": """
allow_in_place_tablespaces|bool|off|superuser||||
allow_system_table_mods|bool|off|superuser||||
force_parallel_mode|enum|off|user||||off,on,regress
ignore_checksum_failure|bool|off|superuser||||
jit_debugging_support|bool|off|superuser-backend||||
jit_dump_bitcode|bool|off|superuser||||
jit_expressions|bool|on|user||||
jit_profiling_support|bool|off|superuser-backend||||
jit_tuple_deforming|bool|on|user||||
trace_notify|bool|off|user||||
trace_sort|bool|off|user||||
wal_consistency_checking|string||superuser||||
zero_damaged_pages|bool|off|superuser||||
""",
    "File Locations": """
data_directory|string||postmaster||||
hba_file|string||postmaster||||
""",
    "Lock Management": """
deadlock_timeout|integer|1000|superuser|ms|1|2147483647|
max_locks_per_transaction|integer|64|postmaster||10|2147483647|
max_pred_locks_per_page|integer|2|sighup||0|2147483647|
max_pred_locks_per_relation|integer|-2|sighup||-2147483648|2147483647|
max_pred_locks_per_transaction|integer|64|postmaster||10|2147483647|
""",
    "Preset Options": """
block_size|integer|8192|internal||8192|8192|
data_checksums|bool|off|internal||||
data_directory_mode|integer|448|internal||0|511|
debug_assertions|bool|off|internal||||
in_hot_standby|bool|off|internal||||
integer_datetimes|bool|on|internal||||
is_superuser|bool|off|internal||||
lc_collate|string|C.UTF-8|internal||||
lc_ctype|string|C.UTF-8|internal||||
max_function_args|integer|100|internal||100|100|
max_identifier_length|integer|63|internal||63|63|
max_index_keys|integer|32|internal||32|32|
segment_size|integer|131072|internal|8kB|131072|131072|
server_encoding|string|UTF8|internal||||
server_version|string|15.18|internal||||
server_version_num|integer|150018|internal||150018|150018|
wal_block_size|integer|8192|internal||8192|8192|
wal_segment_size|integer|16777216|internal|B|1048576|1073741824|
""",
    "Query Tuning / Genetic Query Optimizer": """
geqo|bool|on|user||||
geqo_effort|integer|5|user||1|10|
geqo_threshold|integer|12|user||2|2147483647|
""",
    "Query Tuning / Other Planner Options": """
aurora.column_batches|bool|on|user||||
aurora.lift_literals|bool|on|user||||
constraint_exclusion|enum|partition|user||||partition,on,off
cursor_tuple_fraction|real|0.1|user||0|1|
default_statistics_target|integer|100|user||1|10000|
from_collapse_limit|integer|8|user||1|2147483647|
jit|bool|on|user||||
join_collapse_limit|integer|8|user||1|2147483647|
plan_cache_mode|enum|auto|user||||auto,force_generic_plan,force_custom_plan
recursive_worktable_factor|real|10|user||0.001|1e+06|
""",
    "Query Tuning / Planner Cost Constants": """
cpu_index_tuple_cost|real|0.005|user||0|1.79769e+308|
cpu_operator_cost|real|0.0025|user||0|1.79769e+308|
cpu_tuple_cost|real|0.01|user||0|1.79769e+308|
effective_cache_size|integer|524288|user|8kB|1|2147483647|
jit_above_cost|real|100000|user||-1|1.79769e+308|
jit_inline_above_cost|real|500000|user||-1|1.79769e+308|
jit_optimize_above_cost|real|500000|user||-1|1.79769e+308|
min_parallel_index_scan_size|integer|64|user|8kB|0|715827882|
min_parallel_table_scan_size|integer|1024|user|8kB|0|715827882|
parallel_setup_cost|real|1000|user||0|1.79769e+308|
parallel_tuple_cost|real|0.1|user||0|1.79769e+308|
random_page_cost|real|4|user||0|1.79769e+308|
seq_page_cost|real|1|user||0|1.79769e+308|
""",
    "Query Tuning / Planner Method Configuration": """
enable_async_append|bool|on|user||||
enable_bitmapscan|bool|on|user||||
enable_gathermerge|bool|on|user||||
enable_hashagg|bool|on|user||||
enable_hashjoin|bool|on|user||||
enable_incremental_sort|bool|on|user||||
enable_indexonlyscan|bool|on|user||||
enable_indexscan|bool|on|user||||
enable_material|bool|on|user||||
enable_memoize|bool|on|user||||
enable_mergejoin|bool|on|user||||
enable_nestloop|bool|on|user||||
enable_parallel_append|bool|on|user||||
enable_parallel_hash|bool|on|user||||
enable_partition_pruning|bool|on|user||||
enable_partitionwise_aggregate|bool|off|user||||
enable_partitionwise_join|bool|off|user||||
enable_seqscan|bool|on|user||||
enable_sort|bool|on|user||||
enable_tidscan|bool|on|user||||
""",
    "Replication / Primary Server": """
synchronous_standby_names|string||sighup||||
vacuum_defer_cleanup_age|integer|0|sighup||0|1000000|
""",
    "Replication / Sending Servers": """
max_replication_slots|integer|10|postmaster||0|262143|
max_slot_wal_keep_size|integer|-1|sighup|MB|-1|2147483647|
max_wal_senders|integer|10|postmaster||0|262143|
track_commit_timestamp|bool|off|postmaster||||
wal_keep_size|integer|0|sighup|MB|0|2147483647|
wal_sender_timeout|integer|60000|user|ms|0|2147483647|
""",
    "Replication / Standby Servers": """
aurora.failover_keeps_connections|bool|off|sighup||||
aurora.read_after_lsn|string||user||||
hot_standby|bool|on|postmaster||||
hot_standby_feedback|bool|on|sighup||||
max_standby_archive_delay|integer|30000|sighup|ms|-1|2147483647|
max_standby_streaming_delay|integer|14000|sighup|ms|-1|2147483647|
primary_conninfo|string||sighup||||
primary_slot_name|string||sighup||||
promote_trigger_file|string||sighup||||
recovery_min_apply_delay|integer|0|sighup|ms|0|2147483647|
wal_receiver_create_temp_slot|bool|off|sighup||||
wal_receiver_status_interval|integer|10|sighup|s|0|2147483|
wal_receiver_timeout|integer|60000|sighup|ms|0|2147483647|
wal_retrieve_retry_interval|integer|5000|sighup|ms|1|2147483647|
""",
    "Replication / Subscribers": """
max_logical_replication_workers|integer|4|postmaster||0|262143|
max_sync_workers_per_subscription|integer|2|sighup||0|262143|
""",
    "Reporting and Logging / Process Title": """
cluster_name|string||postmaster||||
update_process_title|bool|on|superuser||||
""",
    "Reporting and Logging / What to Log": """
application_name|string||user||||
debug_pretty_print|bool|on|user||||
debug_print_parse|bool|off|user||||
debug_print_plan|bool|off|user||||
debug_print_rewritten|bool|off|user||||
log_autovacuum_min_duration|integer|600000|sighup|ms|-1|2147483647|
log_connections|bool|off|superuser-backend||||
log_disconnections|bool|off|superuser-backend||||
log_duration|bool|off|superuser||||
log_error_verbosity|enum|default|superuser||||terse,default,verbose
log_lock_waits|bool|off|superuser||||
log_parameter_max_length|integer|-1|superuser|B|-1|1073741823|
log_parameter_max_length_on_error|integer|0|user|B|-1|1073741823|
log_recovery_conflict_waits|bool|off|sighup||||
log_replication_commands|bool|off|superuser||||
log_statement|enum|none|superuser||||none,ddl,mod,all
log_temp_files|integer|-1|superuser|kB|-1|2147483647|
log_timezone|string|UTC|sighup||||
""",
    "Reporting and Logging / When to Log": """
log_min_duration_sample|integer|-1|superuser|ms|-1|2147483647|
log_min_duration_statement|integer|-1|superuser|ms|-1|2147483647|
log_min_error_statement|enum|error|superuser||||@levels
log_min_messages|enum|warning|superuser||||@levels
log_statement_sample_rate|real|1|superuser||0|1|
log_transaction_sample_rate|real|0|superuser||0|1|
""",
    "Resource Usage / Asynchronous Behavior": """
backend_flush_after|integer|0|user|8kB|0|256|
effective_io_concurrency|integer|1|user||0|1000|
maintenance_io_concurrency|integer|10|user||0|1000|
max_parallel_maintenance_workers|integer|2|user||0|1024|
max_parallel_workers|integer|8|user||0|1024|
max_parallel_workers_per_gather|integer|2|user||0|1024|
max_worker_processes|integer|8|postmaster||0|262143|
parallel_leader_participation|bool|on|user||||
""",
    "Resource Usage / Background Writer": """
bgwriter_delay|integer|200|sighup|ms|10|10000|
bgwriter_flush_after|integer|64|sighup|8kB|0|256|
bgwriter_lru_maxpages|integer|100|sighup||0|1073741823|
bgwriter_lru_multiplier|real|2|sighup||0|10|
""",
    "Resource Usage / Cost-Based Vacuum Delay": """
vacuum_cost_delay|real|0|user|ms|0|100|
vacuum_cost_limit|integer|200|user||1|10000|
vacuum_cost_page_dirty|integer|20|user||0|10000|
vacuum_cost_page_hit|integer|1|user||0|10000|
vacuum_cost_page_miss|integer|2|user||0|10000|
""",
    "Resource Usage / Disk": """
temp_file_limit|integer|-1|superuser|kB|-1|2147483647|
""",
    "Resource Usage / Kernel Resources": """
max_files_per_process|integer|1000|postmaster||64|2147483647|
""",
    "Resource Usage / Memory": """
aurora.memory_limit|integer|0|postmaster|kB|0|2147483647|
autovacuum_work_mem|integer|-1|sighup|kB|-1|2147483647|
hash_mem_multiplier|real|2|user||1|1000|
huge_pages|enum|try|postmaster||||off,on,try
logical_decoding_work_mem|integer|65536|user|kB|64|2147483647|
maintenance_work_mem|integer|65536|user|kB|1024|2147483647|
max_prepared_transactions|integer|0|postmaster||0|262143|
max_stack_depth|integer|2048|superuser|kB|100|2147483647|
shared_buffers|integer|16384|postmaster|8kB|16|1073741823|
temp_buffers|integer|1024|user|8kB|100|1073741823|
work_mem|integer|4096|user|kB|64|2147483647|
""",
    "Statistics / Cumulative Query and Index Statistics": """
stats_fetch_consistency|enum|cache|user||||none,cache,snapshot
track_activities|bool|on|superuser||||
track_activity_query_size|integer|1024|postmaster|B|100|1048576|
track_counts|bool|on|superuser||||
track_functions|enum|none|superuser||||none,pl,all
track_io_timing|bool|off|superuser||||
track_wal_io_timing|bool|off|superuser||||
""",
    "Statistics / Monitoring": """
compute_query_id|enum|auto|superuser||||auto,regress,on,off
log_executor_stats|bool|off|superuser||||
log_parser_stats|bool|off|superuser||||
log_planner_stats|bool|off|superuser||||
log_statement_stats|bool|off|superuser||||
""",
    "Ungrouped": """
seed|real|0|user||-1|1|
""",
    "Version and Platform Compatibility / Other Platforms and Clients": """
transform_null_equals|bool|off|user||||
""",
    "Version and Platform Compatibility / Previous PostgreSQL Versions": """
array_nulls|bool|on|user||||
backslash_quote|enum|safe_encoding|user||||safe_encoding,on,off
default_with_oids|bool|off|user||||
escape_string_warning|bool|on|user||||
lo_compat_privileges|bool|off|superuser||||
quote_all_identifiers|bool|off|user||||
standard_conforming_strings|bool|on|user||||
synchronize_seqscans|bool|on|user||||
""",
    "Write-Ahead Log / Checkpoints": """
checkpoint_completion_target|real|0.9|sighup||0|1|
checkpoint_flush_after|integer|32|sighup|8kB|0|256|
checkpoint_timeout|integer|300|sighup|s|30|86400|
checkpoint_warning|integer|30|sighup|s|0|2147483647|
max_wal_size|integer|1024|sighup|MB|2|2147483647|
min_wal_size|integer|80|sighup|MB|2|2147483647|
""",
    "Write-Ahead Log / Settings": """
commit_delay|integer|0|superuser||0|100000|
commit_siblings|integer|5|user||0|1000|
fsync|bool|on|sighup||||
full_page_writes|bool|on|sighup||||
synchronous_commit|enum|on|user||||local,remote_write,remote_apply,on,off
wal_buffers|integer|-1|postmaster|8kB|-1|262143|
wal_compression|enum|off|superuser||||pglz,lz4,zstd,on,off
wal_level|enum|replica|postmaster||||minimal,replica,logical
wal_log_hints|bool|off|postmaster||||
wal_skip_threshold|integer|2048|user|kB|0|2147483647|
wal_writer_delay|integer|200|sighup|ms|1|10000|
wal_writer_flush_after|integer|128|sighup|8kB|0|2147483647|
""",
}
