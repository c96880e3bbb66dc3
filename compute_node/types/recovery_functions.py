"""Recovery control, positions of the log, recovery conflicts (manual, 9.27.3, 9.27.4, 28.2), and our own functions for
reading one's own writes from a reader. What they do is in ``catalog/functions/recovery.py``."""

from __future__ import annotations

from compute_node.types.declare import fn
from compute_node.types.forwards import declare, forward
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.registry import REGISTRY, Function

_SIGNATURES = """
2849 pg_current_wal_lsn() pg_lsn volatile
2852 pg_current_wal_insert_lsn() pg_lsn volatile
3330 pg_current_wal_flush_lsn() pg_lsn volatile
2848 pg_switch_wal() pg_lsn volatile
3098 pg_create_restore_point(text) pg_lsn volatile
3810 pg_is_in_recovery() bool volatile
3820 pg_last_wal_receive_lsn() pg_lsn volatile
3821 pg_last_wal_replay_lsn() pg_lsn volatile
3830 pg_last_xact_replay_timestamp() timestamptz volatile
3071 pg_wal_replay_pause() void volatile
3072 pg_wal_replay_resume() void volatile
3073 pg_is_wal_replay_paused() bool volatile
1137 pg_get_wal_replay_pause_state() text volatile
3809 pg_export_snapshot() text volatile
3065 pg_stat_get_db_conflict_tablespace(oid) int8 stable
3066 pg_stat_get_db_conflict_lock(oid) int8 stable
3067 pg_stat_get_db_conflict_snapshot(oid) int8 stable
3068 pg_stat_get_db_conflict_bufferpin(oid) int8 stable
3069 pg_stat_get_db_conflict_startup_deadlock(oid) int8 stable
3070 pg_stat_get_db_conflict_all(oid) int8 stable
"""
for _line in _SIGNATURES.strip().splitlines():
    _number, _signature = _line.split(" ", 1)
    fn(int(_number), _signature, forward(_signature[: _signature.index("(")]), needs_context=True)

fn(
    3436,
    "pg_promote(bool, int4) bool volatile",
    forward("pg_promote"),
    needs_context=True,
    argument_names=("wait", "wait_seconds"),
    defaults=(True, 60),
)

declare(
    "3317 pg_stat_get_wal_receiver() record stable nullable -> pid int4, status text, receive_start_lsn pg_lsn,"
    " receive_start_tli int4, written_lsn pg_lsn, flushed_lsn pg_lsn, received_tli int4, last_msg_send_time"
    " timestamptz, last_msg_receipt_time timestamptz, latest_end_lsn pg_lsn, latest_end_time timestamptz, slot_name"
    " text, sender_host text, sender_port int4, conninfo text"
)

for _oid, _name, _arguments, _result in (
    (8901, "aurora_wait_for_lsn", ("pg_lsn", "int4"), "bool"),
    (8902, "aurora_last_commit_lsn", (), "pg_lsn"),
):
    REGISTRY.add_function(
        Function(
            _oid, _name, tuple(TYPE_OIDS[each] for each in _arguments), TYPE_OIDS[_result], forward(_name),
            volatility="v", needs_context=True, source=_name,
        )
    )  # fmt: skip
