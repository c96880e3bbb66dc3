"""Functions of our own, named as Aurora PostgreSQL names its: what they are called, take and give, and what for.

Their OIDs are in 8000–9999, which PostgreSQL leaves to others. The catalog answers them
(``catalog/functions/aurora``, ``catalog/functions/faults``), those about storage nodes the volume
(``volume/commands``, ``volume/faults``). ``aurora_list_builtins()`` reads this list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from aurora.datum import Datum, Row
from aurora.errors import InvariantViolation
from compute_node.types.forwards import forward
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.registry import REGISTRY, Function

VERSION = "15.18.0"
_RECORD = TYPE_OIDS["record"]
_LINE = re.compile(r"(\d+) (\w+)\(([^)]*)\) (setof )?([\w\[\]]+) (stable|volatile)( nullable)? : (.+)")

_ACTIVITY = (
    "datid oid, datname name, pid int4, leader_pid int4, usesysid oid, usename name, application_name text,"
    " client_addr inet, client_hostname text, client_port int4, backend_start timestamptz, xact_start timestamptz,"
    " query_start timestamptz, state_change timestamptz, wait_event_type text, wait_event text, state text,"
    " backend_xid xid, backend_xmin xid, query_id int8, query text, backend_type text, plan_id int8"
)
_BGWRITER = (
    "checkpoints_timed int8, checkpoints_req int8, checkpoint_write_time float8, checkpoint_sync_time float8,"
    " buffers_checkpoint int8, buffers_clean int8, maxwritten_clean int8, buffers_backend int8,"
    " buffers_backend_fsync int8, buffers_alloc int8, stats_reset timestamptz, orcache_blks_written int8,"
    " orcache_blk_write_time float8"
)
_DATABASE = (
    "datid oid, datname name, numbackends int4, xact_commit int8, xact_rollback int8, blks_read int8, blks_hit int8,"
    " tup_returned int8, tup_fetched int8, tup_inserted int8, tup_updated int8, tup_deleted int8, conflicts int8,"
    " temp_files int8, temp_bytes int8, deadlocks int8, checksum_failures int8, checksum_last_failure timestamptz,"
    " blk_read_time float8, blk_write_time float8, session_time float8, active_time float8,"
    " idle_in_transaction_time float8, sessions int8, sessions_abandoned int8, sessions_fatal int8,"
    " sessions_killed int8, stats_reset timestamptz, storage_blks_read int8, orcache_blks_hit int8,"
    " local_blks_read int8, storage_blk_read_time float8, local_blk_read_time float8, orcache_blk_read_time float8"
)

_STATEMENTS = (
    "userid oid, dbid oid, toplevel bool, queryid int8, query text, plans int8, total_plan_time float8,"
    " min_plan_time float8, max_plan_time float8, mean_plan_time float8, stddev_plan_time float8, calls int8,"
    " total_exec_time float8, min_exec_time float8, max_exec_time float8, mean_exec_time float8,"
    " stddev_exec_time float8, rows int8, shared_blks_hit int8, shared_blks_read int8, shared_blks_dirtied int8,"
    " shared_blks_written int8, local_blks_hit int8, local_blks_read int8, local_blks_dirtied int8,"
    " local_blks_written int8, temp_blks_read int8, temp_blks_written int8, blk_read_time float8,"
    " blk_write_time float8, temp_blk_read_time float8, temp_blk_write_time float8, wal_records int8, wal_fpi int8,"
    " wal_bytes numeric, jit_functions int8, jit_generation_time float8, jit_inlining_count int8,"
    " jit_inlining_time float8, jit_optimization_count int8, jit_optimization_time float8, jit_emission_count int8,"
    " jit_emission_time float8, storage_blks_read int8, orcache_blks_hit int8, storage_blk_read_time float8,"
    " local_blk_read_time float8, orcache_blk_read_time float8, total_plan_peakmem int8, min_plan_peakmem int8,"
    " max_plan_peakmem int8, total_exec_peakmem int8, min_exec_peakmem int8, max_exec_peakmem int8"
)
"""pg_stat_statements 1.10 and what Aurora adds."""

_COLUMNS: Final = {
    "aurora_replica_status": "server_id text, session_id text, durable_lsn int8, highest_lsn_rcvd int8,"
    " current_read_lsn int8, cur_replay_latency_in_usec int8, active_txns int8, is_current bool,"
    " last_transport_error int4, last_error_timestamp timestamptz, last_update_timestamp timestamptz,"
    " feedback_xmin int8, feedback_epoch int8, replica_lag_in_msec float8, log_stream_speed_in_kib_per_second float8,"
    " log_buffer_sequence_number int8, oldest_read_view_trx_id int8, oldest_read_view_lsn int8,"
    " pending_read_ios int8, read_ios int8, iops int8, cpu float8",
    "aurora_check": "relation text, place text, problem text",
    "aurora_check_catalogs": "relation text, place text, problem text",
    "aurora_check_relation": "relation text, place text, problem text",
    "aurora_global_db_status": "aws_region text, highest_lsn_written int8, durability_lag_in_msec int8,"
    " rpo_lag_in_msec int8, last_lag_calculation_time timestamptz, feedback_epoch int8, feedback_xmin int8",
    "aurora_global_db_instance_status": "server_id text, session_id text, aws_region text, durable_lsn int8,"
    " highest_lsn_rcvd int8, feedback_epoch int8, feedback_xmin int8, oldest_read_view_lsn int8,"
    " visibility_lag_in_msec int8",
    "aurora_ccm_status": "buffers_sent_last_minute int8, buffers_found_last_minute int8, buffers_sent_last_scan int8,"
    " buffers_found_last_scan int8, buffers_sent_current_scan int8, buffers_found_current_scan int8,"
    " current_scan_progress int8",
    "aurora_stat_activity": _ACTIVITY,
    "aurora_stat_backend_waits": "type_id int2, event_id int4, waits int8, wait_time int8",
    "aurora_stat_system_waits": "type_id int2, event_id int4, waits int8, wait_time int8",
    "aurora_stat_wait_event": "type_id int2, event_id int4, event_name text",
    "aurora_stat_wait_type": "type_id int2, type_name text",
    "aurora_wait_report": "type_name text, event_name text, waits int8, wait_time int8, ms_per_wait numeric,"
    " waits_per_xact numeric, ms_per_xact numeric",
    "aurora_stat_bgwriter": _BGWRITER,
    "aurora_stat_database": _DATABASE,
    "aurora_stat_dml_activity": "select_count int8, select_latency_microsecs int8, insert_count int8,"
    " insert_latency_microsecs int8, update_count int8, update_latency_microsecs int8, delete_count int8,"
    " delete_latency_microsecs int8",
    "aurora_stat_logical_wal_cache": "name text, active_pid int4, cache_hit int8, cache_miss int8, blks_read int8,"
    " hit_rate text, last_reset_timestamp timestamptz",
    "aurora_stat_memctx_usage": "pid int4, name text, allocated int8, used int8, instances int4",
    "aurora_stat_statements": _STATEMENTS,
    "aurora_stat_plans": _STATEMENTS
    + ", planid int8, explain_plan text, plan_type text, plan_captured_time timestamptz",
    "aurora_stat_optimized_reads_cache": "total_size int8, used_size int8",
    "aurora_stat_file": "filename text, allocated_bytes int8, used_bytes int8",
    "aurora_show_volume_status": "disks int4, nodes int4",
    "aurora_list_builtins": "Name text, Result data type text, Argument data types text, Type text, Volatility text,"
    " Parallel text, Security text, Description text",
}
"""The columns of those that give rows."""

DECLARED: Final = """
8001 aurora_status() text volatile : What this instance and the storage nodes are doing, as JSON
8002 aurora_version() text stable : Version of the Aurora edition
8003 aurora_add_storage_node(address text) text volatile : Takes a storage node into the fleet
8004 aurora_replace_storage_node(lost text, by text) text volatile : Replaces a storage node by another one
8005 aurora_cancel_replacement(candidate text) text volatile : Gives a replacement up
8006 aurora_set_zone_away(zone text) text volatile : Counts a zone out, or in again
8007 aurora_remove_storage_node(node text) text volatile : Lets a storage node leave the fleet
8020 aurora_db_instance_identifier() varchar stable : Identifier of the instance that the session is connected to
8021 aurora_replica_status() setof record volatile : The instances of the cluster and how far each is
8022 aurora_global_db_status() setof record volatile : The regions of a global database
8023 aurora_global_db_instance_status() setof record volatile : The instances of a global database
8024 aurora_list_builtins() setof record stable : This list
8025 aurora_ccm_status() setof record volatile : What cluster cache management has sent
8026 aurora_stat_activity() setof record volatile : pg_stat_activity with the identifier of the plan
8027 aurora_stat_backend_waits(pid int4) setof record volatile : What one session has waited for
8028 aurora_stat_system_waits() setof record volatile : What all sessions have waited for
8029 aurora_stat_wait_event() setof record stable : The events that are waited for
8030 aurora_stat_wait_type() setof record stable : The types of these events
8031 aurora_wait_report(seconds int4) setof record volatile : What is waited for in the next seconds, 10 by default
8032 aurora_wait_report() setof record volatile : What is waited for in the next 10 seconds
8033 aurora_stat_bgwriter() setof record volatile : pg_stat_bgwriter with the writes of the local cache
8034 aurora_stat_database() setof record volatile : pg_stat_database with reads by where they were answered
8037 aurora_stat_dml_activity(database_oid oid) setof record volatile : How many statements of each kind a database ran
8038 aurora_stat_get_db_commit_latency(database_oid oid) int8 volatile : Time that a database's commits took, in us
8039 aurora_stat_logical_wal_cache() setof record volatile : The cache of logical replication, by slot
8040 aurora_stat_reset_wal_cache(slot_name text) text volatile nullable : Begins the counters of that cache anew
8041 aurora_stat_memctx_usage() setof record volatile : Memory that statements keep
8042 aurora_stat_optimized_reads_cache() setof record volatile : The size of the local cache
8050 aurora_stat_statements(showtext bool) setof record volatile : pg_stat_statements with reads by where they were \
answered
8051 aurora_stat_plans(showtext bool) setof record volatile : The same by plan
8043 aurora_stat_file() setof record volatile : The files of the volume
8044 aurora_show_volume_status() setof record volatile : How many logical blocks and storage nodes the volume has
8045 aurora_volume_logical_start_lsn() pg_lsn volatile : The LSN up to which the volume is durable
8046 aurora_inject_crash(crash_type text) void volatile : Ends this instance without notice
8047 aurora_inject_replica_failure(percentage_of_failure float8, time_interval int4, replica_name text) void volatile \
: Keeps log from readers
8048 aurora_inject_disk_failure(percentage_of_failure float8, index int4, is_disk bool, time_interval int4) void \
volatile : Storage refuses requests
8049 aurora_inject_disk_congestion(percentage_of_failure float8, index int4, is_disk bool, time_interval int4, \
minimum float8, maximum float8) void volatile : Storage answers late
8052 aurora_check() setof record volatile : What is wrong in this database: pages, index entries, constraints, catalogs
8053 aurora_check_relation(relation oid) setof record volatile : What is wrong in a table or sequence
8054 aurora_check_catalogs() setof record volatile : What is wrong in catalogs and relation files
"""


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    """(name, type) of each of a list; a name may have blanks."""
    found = (item.strip().rpartition(" ") for item in text.split(",") if item.strip())
    return tuple((name, kind) for name, _, kind in found)


DESCRIPTIONS: dict[str, str] = {
    "aurora_last_commit_lsn": "What a reader must have applied to show what this session has committed",
    "aurora_wait_for_lsn": "Waits until this instance shows an LSN",
}
"""Those of ``recovery_functions``; the others' stand in their declarations."""
_LOCAL: dict[str, Callable[..., Datum]] = {
    "aurora_status": lambda context: str(context.session.catalog_function("aurora_status")),
    "aurora_version": lambda context: VERSION,
    "aurora_list_builtins": lambda context: list_builtins(),
    "aurora_check": lambda context: context.session.catalog_function("aurora_check", context.run),
    "aurora_check_catalogs": lambda context: context.session.catalog_function("aurora_check_catalogs", context.run),
    "aurora_check_relation": lambda context, oid: context.session.catalog_function(
        "aurora_check_relation", context.run, oid
    ),
}
"""Those that need no catalog, or more than that."""


def _declare(line: str) -> None:
    match = _LINE.fullmatch(line)
    if match is None:
        raise InvariantViolation(f"malformed declaration: {line}")
    oid, name, arguments, setof, result, volatility, nullable, description = match.groups()
    taken = _pairs(arguments)
    DESCRIPTIONS[name] = description
    REGISTRY.add_function(
        Function(
            oid=int(oid),
            name=name,
            arguments=tuple(TYPE_OIDS[kind] for _, kind in taken),
            argument_names=tuple(argument for argument, _ in taken),
            result=TYPE_OIDS[result],
            implementation=_LOCAL.get(name) or forward(name),
            strict=nullable is None,
            volatility=volatility[0],
            returns_set=setof is not None,
            needs_context=True,
            out_columns=tuple((column, TYPE_OIDS[kind]) for column, kind in _pairs(_COLUMNS.get(name, ""))),
            source=f"{name}_{oid}" if name in REGISTRY.functions_by_name else name,
        )
    )


def _shown(oid: int) -> str:
    kind = REGISTRY.types[oid]
    return kind.formatted_name or kind.name


def _argument_list(function: Function) -> str:
    names = [*function.argument_names, *[""] * (len(function.arguments) - len(function.argument_names))]
    taken = [f"{name} {_shown(kind)}".strip() for name, kind in zip(names, function.arguments, strict=True)]
    return ", ".join(taken + [f"OUT {_quoted(name)} {_shown(kind)}" for name, kind in function.out_columns])


def _quoted(name: str) -> str:
    return name if name == name.lower() and " " not in name else f'"{name}"'


def list_builtins() -> Iterator[Row]:
    """The rows of ``aurora_list_builtins()``, by name, as ``\\df+`` shows functions."""
    found = [each for each in REGISTRY.functions.values() if each.name.startswith("aurora_") and each.namespace]
    for function in sorted(found, key=lambda each: (each.name, each.oid)):
        yield (
            function.name,
            ("SETOF " if function.returns_set else "") + _shown(function.result),
            _argument_list(function),
            "func",
            {"s": "stable", "v": "volatile", "i": "immutable"}[function.volatility],
            "safe",
            "invoker",
            DESCRIPTIONS.get(function.name, ""),
        )


for _declared in DECLARED.strip().splitlines():
    _declare(_declared)
