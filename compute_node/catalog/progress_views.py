"""SQL of the progress views over ``pg_stat_get_progress_info`` (manual, 28.4).

A phase is the number of its name in PostgreSQL's manual; ``work/progress`` says which parameter means what.
"""

from __future__ import annotations


def _named(parameter: int, names: str, first: int = 0) -> str:
    """The name that a parameter is the number of; NULL for another one."""
    cases = " ".join(f"WHEN {number} THEN '{name}'" for number, name in enumerate(names.split(", "), first))
    return f"CASE s.param{parameter} {cases} END"


def _view(command: str, columns: dict[str, int | str], of_relation: bool = True) -> str:
    """``columns``: name → the parameter of a number, or an expression."""
    shown = [f"{f's.param{each}' if isinstance(each, int) else each} AS {name}" for name, each in columns.items()]
    table = "s.pid, s.datid, d.datname, s.relid, " if of_relation else "s.pid, "
    joined = " LEFT JOIN pg_catalog.pg_database d ON s.datid = d.oid" if of_relation else ""
    return f"SELECT {table}{', '.join(shown)} FROM pg_catalog.pg_stat_get_progress_info('{command}') s{joined}"


_BUILDING = (
    "CASE s.param10 WHEN 0 THEN 'initializing' WHEN 1 THEN 'waiting for writers before build'"
    " WHEN 2 THEN 'building index' || coalesce(': ' ||"
    " pg_catalog.pg_indexam_progress_phasename(s.param9::oid, s.param11), '')"
    " WHEN 3 THEN 'waiting for writers before validation' WHEN 4 THEN 'index validation: scanning index'"
    " WHEN 5 THEN 'index validation: sorting tuples' WHEN 6 THEN 'index validation: scanning table'"
    " WHEN 7 THEN 'waiting for old snapshots' WHEN 8 THEN 'waiting for readers before marking dead'"
    " WHEN 9 THEN 'waiting for readers before dropping' END"
)

PROGRESS_VIEWS: dict[str, str] = {
    "pg_catalog.pg_stat_progress_analyze": _view(
        "ANALYZE",
        {
            "phase": _named(
                1,
                "initializing, acquiring sample rows, acquiring inherited sample rows, computing statistics,"
                " computing extended statistics, finalizing analyze",
            ),
            "sample_blks_total": 2, "sample_blks_scanned": 3, "ext_stats_total": 4, "ext_stats_computed": 5,
            "child_tables_total": 6, "child_tables_done": 7, "current_child_table_relid": "s.param8::oid",
        },
    ),
    "pg_catalog.pg_stat_progress_vacuum": _view(
        "VACUUM",
        {
            "phase": _named(
                1,
                "initializing, scanning heap, vacuuming indexes, vacuuming heap, cleaning up indexes,"
                " truncating heap, performing final cleanup",
            ),
            "heap_blks_total": 2, "heap_blks_scanned": 3, "heap_blks_vacuumed": 4, "index_vacuum_count": 5,
            "max_dead_tuples": 6, "num_dead_tuples": 7,
        },
    ),
    "pg_catalog.pg_stat_progress_cluster": _view(
        "CLUSTER",
        {
            "command": _named(1, "CLUSTER, VACUUM FULL", 1),
            "phase": _named(
                2,
                "initializing, seq scanning heap, index scanning heap, sorting tuples, writing new heap,"
                " swapping relation files, rebuilding index, performing final cleanup",
            ),
            "cluster_index_relid": "s.param3::oid", "heap_tuples_scanned": 4, "heap_tuples_written": 5,
            "heap_blks_total": 6, "heap_blks_scanned": 7, "index_rebuild_count": 8,
        },
    ),
    "pg_catalog.pg_stat_progress_create_index": _view(
        "CREATE INDEX",
        {
            "index_relid": "s.param7::oid",
            "command": _named(1, "CREATE INDEX, CREATE INDEX CONCURRENTLY, REINDEX, REINDEX CONCURRENTLY", 1),
            "phase": _BUILDING,
            "lockers_total": 4, "lockers_done": 5, "current_locker_pid": 6, "blocks_total": 16, "blocks_done": 17,
            "tuples_total": 12, "tuples_done": 13, "partitions_total": 14, "partitions_done": 15,
        },
    ),
    "pg_catalog.pg_stat_progress_basebackup": _view(
        "BASEBACKUP",
        {
            "phase": _named(
                1,
                "initializing, waiting for checkpoint to finish, estimating backup size, streaming database files,"
                " waiting for wal archiving to finish, transferring wal files",
            ),
            "backup_total": "CASE s.param2 WHEN -1 THEN NULL ELSE s.param2 END",
            "backup_streamed": 3, "tablespaces_total": 4, "tablespaces_streamed": 5,
        },
        of_relation=False,
    ),
    "pg_catalog.pg_stat_progress_copy": _view(
        "COPY",
        {
            "command": _named(5, "COPY FROM, COPY TO", 1),
            "type": _named(6, "FILE, PROGRAM, PIPE, CALLBACK", 1),
            "bytes_processed": 1, "bytes_total": 2, "tuples_processed": 3, "tuples_excluded": 4,
        },
    ),
}  # fmt: skip
