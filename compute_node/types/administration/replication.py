"""Publications, and replication slots and origins, of which there are none (manual, 9.27.6): questions after one that
has a name are answered as PostgreSQL answers where that one is not.

``catalog/functions/replication`` answers."""

from __future__ import annotations

from compute_node.types.forwards import declare, forwards

forwards("""
3780 pg_drop_replication_slot(name) void volatile
3878 pg_replication_slot_advance(slot_name name, upto_lsn pg_lsn) record volatile -> slot_name name, end_lsn pg_lsn
4222 pg_copy_logical_replication_slot(src_slot_name name, dst_slot_name name, temporary bool, plugin name) record \
volatile -> slot_name name, lsn pg_lsn
4223 pg_copy_logical_replication_slot(src_slot_name name, dst_slot_name name, temporary bool) record volatile -> \
slot_name name, lsn pg_lsn
4224 pg_copy_logical_replication_slot(src_slot_name name, dst_slot_name name) record volatile -> slot_name name, lsn \
pg_lsn
4220 pg_copy_physical_replication_slot(src_slot_name name, dst_slot_name name, temporary bool) record volatile -> \
slot_name name, lsn pg_lsn
4221 pg_copy_physical_replication_slot(src_slot_name name, dst_slot_name name) record volatile -> slot_name name, \
lsn pg_lsn
3781 pg_get_replication_slots() setof record stable nullable -> slot_name name, plugin name, slot_type text, datoid \
oid, temporary bool, active bool, active_pid int4, xmin xid, catalog_xmin xid, restart_lsn pg_lsn, \
confirmed_flush_lsn pg_lsn, wal_status text, safe_wal_size int8, two_phase bool
6012 pg_replication_origin_advance(text, pg_lsn) void volatile
6004 pg_replication_origin_drop(text) void volatile
6005 pg_replication_origin_oid(text) oid stable
6013 pg_replication_origin_progress(text, bool) pg_lsn volatile
6008 pg_replication_origin_session_is_setup() bool volatile
6009 pg_replication_origin_session_progress(bool) pg_lsn volatile
6007 pg_replication_origin_session_reset() void volatile
6006 pg_replication_origin_session_setup(text) void volatile
6011 pg_replication_origin_xact_reset() void volatile
6010 pg_replication_origin_xact_setup(pg_lsn, timestamptz) void volatile
6014 pg_show_replication_origin_status() setof record volatile nullable -> local_id oid, external_id text, \
remote_lsn pg_lsn, local_lsn pg_lsn
6119 pg_get_publication_tables(pubname text) setof record stable -> relid oid, attrs int2vector, qual pg_node_tree
3099 pg_stat_get_wal_senders() setof record stable nullable -> pid int4, state text, sent_lsn pg_lsn, write_lsn \
pg_lsn, flush_lsn pg_lsn, replay_lsn pg_lsn, write_lag interval, flush_lag interval, replay_lag interval, \
sync_priority int4, sync_state text, reply_time timestamptz
6169 pg_stat_get_replication_slot(slot_name text) record stable -> slot_name text, spill_txns int8, spill_count \
int8, spill_bytes int8, stream_txns int8, stream_count int8, stream_bytes int8, total_txns int8, total_bytes int8, \
stats_reset timestamptz
6118 pg_stat_get_subscription(subid oid) setof record stable nullable -> subid oid, relid oid, pid int4, \
received_lsn pg_lsn, last_msg_send_time timestamptz, last_msg_receipt_time timestamptz, latest_end_lsn pg_lsn, \
latest_end_time timestamptz
6231 pg_stat_get_subscription_stats(subid oid) record stable -> subid oid, apply_error_count int8, sync_error_count \
int8, stats_reset timestamptz
6170 pg_stat_reset_replication_slot(text) void volatile nullable
6232 pg_stat_reset_subscription_stats(oid) void volatile nullable
""")

_CHANGES = """
3782 pg_logical_slot_get_changes text
3784 pg_logical_slot_peek_changes text
3783 pg_logical_slot_get_binary_changes bytea
3785 pg_logical_slot_peek_binary_changes bytea
"""
for _line in _CHANGES.strip().splitlines():
    _oid, _name, _data = _line.split()
    declare(
        f"{_oid} {_name}(slot_name name, upto_lsn pg_lsn, upto_nchanges int4, variadic options text[]) setof record"
        f" volatile nullable -> lsn pg_lsn, xid xid, data {_data}",
        defaults=([],),
    )
declare(
    "3786 pg_create_logical_replication_slot(slot_name name, plugin name, temporary bool, twophase bool) record"
    " volatile -> slot_name name, lsn pg_lsn",
    defaults=(False, False),
)
