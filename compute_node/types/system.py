"""Session, catalog and administration functions (manual, 9.26, 9.27).

What depends on the catalog, the buffers or the cluster goes to ``session.catalog_function`` under its pg_proc name.
"""

from __future__ import annotations

from decimal import Decimal

from aurora.errors import InvalidParameterValue
from compute_node.types.calendar_ import SECOND_US
from compute_node.types.datetime_functions import add_interval_zoned, clock_us
from compute_node.types.declare import fn, fns
from compute_node.types.forwards import forward
from compute_node.types.interval import Interval
from compute_node.types.numeric import quotient, round_scale
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.registry import REGISTRY, Function, FunctionContext

SERVER_VERSION = "15.18"
VERSION_TEXT = f"PostgreSQL {SERVER_VERSION} (Aurora-architecture storage) on python, 64-bit"


def _delegate(block: str) -> None:
    """Functions that the catalog helper answers."""
    for line in block.strip().splitlines():
        oid, signature = line.strip().split(" ", 1)
        fn(int(oid), signature, forward(signature[: signature.index("(")]), needs_context=True)


fn(89, "version() text stable", lambda: VERSION_TEXT)
fn(745, "current_user() name stable", lambda context: context.session.user, needs_context=True)
fn(746, "session_user() name stable", lambda context: context.session.session_user, needs_context=True)
fn(861, "current_database() name stable", lambda context: context.session.database, needs_context=True)
fn(
    1402,
    "current_schema() name stable",
    lambda context: next(iter(context.session.search_path_schemas(False)), None),
    needs_context=True,
)
fn(
    1403,
    "current_schemas(bool) name[] stable",
    lambda context, implicit: context.session.search_path_schemas(implicit),
    needs_context=True,
)
fn(2026, "pg_backend_pid() int4 stable", lambda context: context.session.pid, needs_context=True)
_delegate("""
2196 inet_client_addr() inet stable nullable
2198 inet_server_addr() inet stable nullable
2197 inet_client_port() int4 stable nullable
2199 inet_server_port() int4 stable nullable
""")
_delegate("""
2854 pg_my_temp_schema() oid stable
2855 pg_is_other_temp_schema(oid) bool stable
""")
fn(3163, "pg_trigger_depth() int4 stable", lambda: 0)
fn(315, "pg_jit_available() bool volatile", lambda: False)


def _current_setting(context: FunctionContext, name: str, missing_ok: bool = False) -> str | None:
    return context.session.get_setting(name, missing_ok)


def _set_config(context: FunctionContext, name: str | None, value: str | None, is_local: bool | None) -> str:
    if name is None:
        raise InvalidParameterValue("SET requires parameter name")
    return context.session.set_setting(name, value, bool(is_local))


fns(
    """
2077 current_setting(text) text stable
3294 current_setting(text, bool) text stable
""",
    _current_setting,
    needs_context=True,
)
fn(2078, "set_config(text, text, bool) text volatile nullable", _set_config, needs_context=True)

fns(
    """
2943 txid_current() int8 stable
5059 pg_current_xact_id() xid8 stable
""",
    lambda context: context.session.current_xid(True),
    needs_context=True,
)
fns(
    """
3348 txid_current_if_assigned() int8 stable
5060 pg_current_xact_id_if_assigned() xid8 stable
""",
    lambda context: context.session.current_xid(False),
    needs_context=True,
)
fn(3165, "pg_wal_lsn_diff(pg_lsn, pg_lsn) numeric", lambda a, b: Decimal(a - b))


def _sleep(context: FunctionContext, seconds: float) -> str:
    if seconds > 0:
        context.session.sleep(seconds)
    return ""


def _sleep_for(context: FunctionContext, span: Interval) -> str:
    return _sleep(context, (add_interval_zoned(clock_us(), span, context.env) - clock_us()) / SECOND_US)


fn(2626, "pg_sleep(float8) void volatile", _sleep, needs_context=True)
fn(3935, "pg_sleep_for(interval) void volatile", _sleep_for, needs_context=True)
fn(
    3936,
    "pg_sleep_until(timestamptz) void volatile",
    lambda context, us: _sleep(context, (us - clock_us()) / SECOND_US),
    needs_context=True,
)
fn(
    2171,
    "pg_cancel_backend(int4) bool volatile",
    lambda context, pid: context.session.signal_backend(pid, False),
    needs_context=True,
)
fn(
    2096,
    "pg_terminate_backend(int4, int8) bool volatile",
    lambda context, pid, timeout: context.session.signal_backend(pid, True),
    needs_context=True,
    argument_names=("pid", "timeout"),
    defaults=(0,),
)

fn(1039, "getdatabaseencoding() name stable", lambda: "UTF8")


def _size_pretty(size: int) -> str:
    """Bytes in the largest unit that keeps at least 10 of it, rounded half away from zero."""
    for at, unit in enumerate(("bytes", "kB", "MB", "GB", "TB", "PB")):
        limit = 10 * 1024 if at == 0 else 20 * 1024 - 1
        if abs(size) < limit or unit == "PB":
            return f"{_half(size) if at else size} {unit}"
        size = (
            size // 2**9
            if at == 0 and size >= 0
            else -(-size // 2**9)
            if at == 0
            else size // 2**10
            if size >= 0
            else -(-size // 2**10)
        )
    return f"{size} PB"


def _half(doubled: int) -> int:
    return (doubled + 1) // 2 if doubled >= 0 else -((-doubled + 1) // 2)


def _numeric_size_pretty(size: Decimal) -> str:
    if not size.is_finite():
        return f"{size:f} PB"
    if size.copy_abs() < 10 * 1024:
        return f"{size:f} bytes"
    for power, unit in ((1, "kB"), (2, "MB"), (3, "GB"), (4, "TB"), (5, "PB")):
        rounded = round_scale(quotient(size, Decimal(1024**power), 20), 0)
        if unit == "PB" or (rounded.is_finite() and rounded.copy_abs() < 10 * 1024):
            return f"{rounded:f} {unit}"
    return f"{size:f} bytes"


fn(2288, "pg_size_pretty(int8) text", _size_pretty)
fn(3166, "pg_size_pretty(numeric) text", _numeric_size_pretty)

_delegate("""
1642 pg_get_userbyid(oid) name stable
2079 pg_table_is_visible(oid) bool stable
2080 pg_type_is_visible(oid) bool stable
2081 pg_function_is_visible(oid) bool stable
2082 pg_operator_is_visible(oid) bool stable
2083 pg_opclass_is_visible(oid) bool stable
3829 pg_opfamily_is_visible(oid) bool stable
2093 pg_conversion_is_visible(oid) bool stable
3815 pg_collation_is_visible(oid) bool stable
3448 pg_collation_actual_version(oid) text volatile
6249 pg_database_collation_actual_version(oid) text volatile
3403 pg_statistics_obj_is_visible(oid) bool stable
3758 pg_ts_config_is_visible(oid) bool stable
3757 pg_ts_dict_is_visible(oid) bool stable
3756 pg_ts_parser_is_visible(oid) bool stable
3768 pg_ts_template_is_visible(oid) bool stable
1716 pg_get_expr(pg_node_tree, oid) text stable
2509 pg_get_expr(pg_node_tree, oid, bool) text stable
1643 pg_get_indexdef(oid) text stable
2507 pg_get_indexdef(oid, int4, bool) text stable
1387 pg_get_constraintdef(oid) text stable
2508 pg_get_constraintdef(oid, bool) text stable
1641 pg_get_viewdef(oid) text stable
2506 pg_get_viewdef(oid, bool) text stable
3159 pg_get_viewdef(oid, int4) text stable
1640 pg_get_viewdef(text) text stable
2505 pg_get_viewdef(text, bool) text stable
1573 pg_get_ruledef(oid) text stable
2504 pg_get_ruledef(oid, bool) text stable
1662 pg_get_triggerdef(oid) text stable
2730 pg_get_triggerdef(oid, bool) text stable
2098 pg_get_functiondef(oid) text stable
2165 pg_get_function_result(oid) text stable
2162 pg_get_function_arguments(oid) text stable
2232 pg_get_function_identity_arguments(oid) text stable
3808 pg_get_function_arg_default(oid, int4) text stable
6197 pg_get_function_sqlbody(oid) text stable
3352 pg_get_partkeydef(oid) text stable
3408 pg_get_partition_constraintdef(oid) text stable
3415 pg_get_statisticsobjdef(oid) text stable
6174 pg_get_statisticsobjdef_columns(oid) text stable
1665 pg_get_serial_sequence(text, text) text stable
6120 pg_get_replica_identity_index(regclass) regclass stable
6121 pg_relation_is_publishable(regclass) bool stable
3537 pg_describe_object(oid, oid, int4) text stable
1348 obj_description(oid) text stable
1215 obj_description(oid, name) text stable
1216 col_description(oid, int4) text stable
1993 shobj_description(oid, name) text stable
2325 pg_relation_size(regclass) int8 volatile
2332 pg_relation_size(regclass, text) int8 volatile
2997 pg_table_size(regclass) int8 volatile
2998 pg_indexes_size(regclass) int8 volatile
2286 pg_total_relation_size(regclass) int8 volatile
2324 pg_database_size(oid) int8 volatile
2168 pg_database_size(name) int8 volatile
2322 pg_tablespace_size(oid) int8 volatile
2323 pg_tablespace_size(name) int8 volatile
3778 pg_tablespace_location(oid) text stable
2999 pg_relation_filenode(regclass) oid stable
3034 pg_relation_filepath(regclass) text stable
3454 pg_filenode_relation(oid, oid) regclass stable
2560 pg_postmaster_start_time() timestamptz stable
2034 pg_conf_load_time() timestamptz stable
2621 pg_reload_conf() bool volatile
2561 pg_blocking_pids(int4) int4[] volatile
3376 pg_safe_snapshot_blocking_pids(int4) int4[] volatile
3378 pg_isolation_test_session_is_blocked(int4, int4[]) bool volatile
3035 pg_listening_channels() setof text stable
3036 pg_notify(text, text) void volatile nullable
3296 pg_notification_queue_usage() float8 volatile
1928 pg_stat_get_numscans(oid) int8 stable
1929 pg_stat_get_tuples_returned(oid) int8 stable
1930 pg_stat_get_tuples_fetched(oid) int8 stable
1931 pg_stat_get_tuples_inserted(oid) int8 stable
1932 pg_stat_get_tuples_updated(oid) int8 stable
1933 pg_stat_get_tuples_deleted(oid) int8 stable
1972 pg_stat_get_tuples_hot_updated(oid) int8 stable
2878 pg_stat_get_live_tuples(oid) int8 stable
2879 pg_stat_get_dead_tuples(oid) int8 stable
3177 pg_stat_get_mod_since_analyze(oid) int8 stable
5053 pg_stat_get_ins_since_vacuum(oid) int8 stable
2781 pg_stat_get_last_vacuum_time(oid) timestamptz stable
2782 pg_stat_get_last_autovacuum_time(oid) timestamptz stable
2783 pg_stat_get_last_analyze_time(oid) timestamptz stable
2784 pg_stat_get_last_autoanalyze_time(oid) timestamptz stable
3054 pg_stat_get_vacuum_count(oid) int8 stable
3055 pg_stat_get_autovacuum_count(oid) int8 stable
3056 pg_stat_get_analyze_count(oid) int8 stable
3057 pg_stat_get_autoanalyze_count(oid) int8 stable
1934 pg_stat_get_blocks_fetched(oid) int8 stable
1935 pg_stat_get_blocks_hit(oid) int8 stable
1574 nextval(regclass) int8 volatile
1575 currval(regclass) int8 volatile
1576 setval(regclass, int8) int8 volatile
1765 setval(regclass, int8, bool) int8 volatile
2559 lastval() int8 volatile
4032 pg_sequence_last_value(regclass) int8 volatile
3495 to_regclass(text) regclass stable
3493 to_regtype(text) regtype stable
3494 to_regproc(text) regproc stable
3479 to_regprocedure(text) regprocedure stable
3492 to_regoper(text) regoper stable
3476 to_regoperator(text) regoperator stable
4086 to_regnamespace(text) regnamespace stable
4093 to_regrole(text) regrole stable
4195 to_regcollation(text) regcollation stable
3298 row_security_active(oid) bool stable
3299 row_security_active(text) bool stable
2880 pg_advisory_lock(int8) void volatile
2886 pg_advisory_lock(int4, int4) void volatile
3089 pg_advisory_xact_lock(int8) void volatile
3093 pg_advisory_xact_lock(int4, int4) void volatile
2884 pg_advisory_unlock(int8) bool volatile
2890 pg_advisory_unlock(int4, int4) bool volatile
2892 pg_advisory_unlock_all() void volatile
2882 pg_try_advisory_lock(int8) bool volatile
2888 pg_try_advisory_lock(int4, int4) bool volatile
3091 pg_try_advisory_xact_lock(int8) bool volatile
3095 pg_try_advisory_xact_lock(int4, int4) bool volatile
2881 pg_advisory_lock_shared(int8) void volatile
2887 pg_advisory_lock_shared(int4, int4) void volatile
3090 pg_advisory_xact_lock_shared(int8) void volatile
3094 pg_advisory_xact_lock_shared(int4, int4) void volatile
2885 pg_advisory_unlock_shared(int8) bool volatile
2891 pg_advisory_unlock_shared(int4, int4) bool volatile
2883 pg_try_advisory_lock_shared(int8) bool volatile
2889 pg_try_advisory_lock_shared(int4, int4) bool volatile
3092 pg_try_advisory_xact_lock_shared(int8) bool volatile
3096 pg_try_advisory_xact_lock_shared(int4, int4) bool volatile
1922 has_table_privilege(name, text, text) bool stable
1923 has_table_privilege(name, oid, text) bool stable
1924 has_table_privilege(oid, text, text) bool stable
1925 has_table_privilege(oid, oid, text) bool stable
1926 has_table_privilege(text, text) bool stable
1927 has_table_privilege(oid, text) bool stable
2181 has_sequence_privilege(name, text, text) bool stable
2182 has_sequence_privilege(name, oid, text) bool stable
2183 has_sequence_privilege(oid, text, text) bool stable
2184 has_sequence_privilege(oid, oid, text) bool stable
2185 has_sequence_privilege(text, text) bool stable
2186 has_sequence_privilege(oid, text) bool stable
2250 has_database_privilege(name, text, text) bool stable
2251 has_database_privilege(name, oid, text) bool stable
2252 has_database_privilege(oid, text, text) bool stable
2253 has_database_privilege(oid, oid, text) bool stable
2254 has_database_privilege(text, text) bool stable
2255 has_database_privilege(oid, text) bool stable
2256 has_function_privilege(name, text, text) bool stable
2257 has_function_privilege(name, oid, text) bool stable
2258 has_function_privilege(oid, text, text) bool stable
2259 has_function_privilege(oid, oid, text) bool stable
2260 has_function_privilege(text, text) bool stable
2261 has_function_privilege(oid, text) bool stable
2262 has_language_privilege(name, text, text) bool stable
2263 has_language_privilege(name, oid, text) bool stable
2264 has_language_privilege(oid, text, text) bool stable
2265 has_language_privilege(oid, oid, text) bool stable
2266 has_language_privilege(text, text) bool stable
2267 has_language_privilege(oid, text) bool stable
2268 has_schema_privilege(name, text, text) bool stable
2269 has_schema_privilege(name, oid, text) bool stable
2270 has_schema_privilege(oid, text, text) bool stable
2271 has_schema_privilege(oid, oid, text) bool stable
2272 has_schema_privilege(text, text) bool stable
2273 has_schema_privilege(oid, text) bool stable
2390 has_tablespace_privilege(name, text, text) bool stable
2391 has_tablespace_privilege(name, oid, text) bool stable
2392 has_tablespace_privilege(oid, text, text) bool stable
2393 has_tablespace_privilege(oid, oid, text) bool stable
2394 has_tablespace_privilege(text, text) bool stable
2395 has_tablespace_privilege(oid, text) bool stable
2705 pg_has_role(name, name, text) bool stable
2706 pg_has_role(name, oid, text) bool stable
2707 pg_has_role(oid, name, text) bool stable
2708 pg_has_role(oid, oid, text) bool stable
2709 pg_has_role(name, text) bool stable
2710 pg_has_role(oid, text) bool stable
3000 has_foreign_data_wrapper_privilege(name, text, text) bool stable
3001 has_foreign_data_wrapper_privilege(name, oid, text) bool stable
3002 has_foreign_data_wrapper_privilege(oid, text, text) bool stable
3003 has_foreign_data_wrapper_privilege(oid, oid, text) bool stable
3004 has_foreign_data_wrapper_privilege(text, text) bool stable
3005 has_foreign_data_wrapper_privilege(oid, text) bool stable
3006 has_server_privilege(name, text, text) bool stable
3007 has_server_privilege(name, oid, text) bool stable
3008 has_server_privilege(oid, text, text) bool stable
3009 has_server_privilege(oid, oid, text) bool stable
3010 has_server_privilege(text, text) bool stable
3011 has_server_privilege(oid, text) bool stable
3012 has_column_privilege(name, text, text, text) bool stable
3013 has_column_privilege(name, text, int2, text) bool stable
3014 has_column_privilege(name, oid, text, text) bool stable
3015 has_column_privilege(name, oid, int2, text) bool stable
3016 has_column_privilege(oid, text, text, text) bool stable
3017 has_column_privilege(oid, text, int2, text) bool stable
3018 has_column_privilege(oid, oid, text, text) bool stable
3019 has_column_privilege(oid, oid, int2, text) bool stable
3020 has_column_privilege(text, text, text) bool stable
3021 has_column_privilege(text, int2, text) bool stable
3022 has_column_privilege(oid, text, text) bool stable
3023 has_column_privilege(oid, int2, text) bool stable
3024 has_any_column_privilege(name, text, text) bool stable
3025 has_any_column_privilege(name, oid, text) bool stable
3026 has_any_column_privilege(oid, text, text) bool stable
3027 has_any_column_privilege(oid, oid, text) bool stable
3028 has_any_column_privilege(text, text) bool stable
3029 has_any_column_privilege(oid, text) bool stable
3138 has_type_privilege(name, text, text) bool stable
3139 has_type_privilege(name, oid, text) bool stable
3140 has_type_privilege(oid, text, text) bool stable
3141 has_type_privilege(oid, oid, text) bool stable
3142 has_type_privilege(text, text) bool stable
3143 has_type_privilege(oid, text) bool stable
6205 has_parameter_privilege(name, text, text) bool stable
6206 has_parameter_privilege(oid, text, text) bool stable
6207 has_parameter_privilege(text, text) bool stable
""")

IDENTITY_NEXTVAL = 8010
"""nextval for an identity column, which asks for no privilege on the sequence. No name leads to it."""
REGISTRY.functions[IDENTITY_NEXTVAL] = Function(
    oid=IDENTITY_NEXTVAL,
    name="aurora_identity_nextval",
    arguments=(TYPE_OIDS["regclass"],),
    result=TYPE_OIDS["int8"],
    implementation=forward("identity_nextval"),
    volatility="v",
    needs_context=True,
    namespace=0,
)
