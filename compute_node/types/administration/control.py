"""Functions of the server's own state: its volume's facts, memory, backups, OIDs (manual, 9.27.3, 9.28, 54).

``catalog/functions/control`` answers."""

from __future__ import annotations

from compute_node.types.forwards import forwards

forwards("""
3441 pg_control_system() record volatile -> pg_control_version int4, catalog_version_no int4, system_identifier int8, \
pg_control_last_modified timestamptz
3442 pg_control_checkpoint() record volatile -> checkpoint_lsn pg_lsn, redo_lsn pg_lsn, redo_wal_file text, \
timeline_id int4, prev_timeline_id int4, full_page_writes bool, next_xid text, next_oid oid, next_multixact_id xid, \
next_multi_offset xid, oldest_xid xid, oldest_xid_dbid oid, oldest_active_xid xid, oldest_multi_xid xid, \
oldest_multi_dbid oid, oldest_commit_ts_xid xid, newest_commit_ts_xid xid, checkpoint_time timestamptz
3443 pg_control_recovery() record volatile -> min_recovery_end_lsn pg_lsn, min_recovery_end_timeline int4, \
backup_start_lsn pg_lsn, backup_end_lsn pg_lsn, end_of_backup_record_required bool
3444 pg_control_init() record volatile -> max_data_alignment int4, database_block_size int4, blocks_per_segment int4, \
wal_block_size int4, bytes_per_wal_segment int4, max_identifier_length int4, max_index_columns int4, \
max_toast_chunk_size int4, large_object_chunk_size int4, float8_pass_by_value bool, data_page_checksum_version int4
2282 pg_get_backend_memory_contexts() setof record volatile -> name text, ident text, parent text, level int4, \
total_bytes int8, total_nblocks int8, free_bytes int8, free_chunks int8, used_bytes int8
5052 pg_get_shmem_allocations() setof record volatile -> name text, off int8, size int8, allocated_size int8
275 pg_nextoid(regclass, name, regclass) oid volatile
6241 pg_stop_making_pinned_objects() void volatile
""")
