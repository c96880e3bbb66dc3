"""What functions tell of the catalog, its objects and the server (manual, 9.26, 9.27, 54).

``catalog/functions`` answers: ``properties``, ``object_addresses``, ``information``."""

from __future__ import annotations

from collections.abc import Callable

from aurora.datum import Datum
from compute_node.types.forwards import declare, forwards
from compute_node.types.registry import PgType


def _with_types(name: str) -> Callable[[tuple[PgType, ...], PgType], Callable[..., Datum]]:
    """Of a function that asks which types its arguments have: the catalog gets their OIDs first."""

    def specialized(kinds: tuple[PgType, ...], _result: PgType) -> Callable[..., Datum]:
        found = tuple([kind.oid for kind in kinds])
        return lambda context, *arguments: context.session.catalog_function(name, found, *arguments)

    return specialized


declare(
    "5028 satisfies_hash_partition(oid, int4, int4, variadic any) bool nullable",
    specialize=_with_types("satisfies_hash_partition"),
)

forwards("""
638 pg_index_column_has_property(regclass, int4, text) bool stable
637 pg_index_has_property(regclass, text) bool stable
636 pg_indexam_has_property(oid, text) bool stable
676 pg_indexam_progress_phasename(oid, int8) text
338 amvalidate(oid) bool volatile
3839 pg_identify_object(classid oid, objid oid, objsubid int4) record stable -> type text, schema text, name text, \
identity text
3382 pg_identify_object_as_address(classid oid, objid oid, objsubid int4) record stable -> type text, object_names \
text[], object_args text[]
3954 pg_get_object_address(type text, object_names text[], object_args text[]) record stable -> classid oid, objid \
oid, objsubid int4
1686 pg_get_keywords() setof record stable -> word text, catcode char, barelabel bool, catdesc text, baredesc text
6159 pg_get_catalog_foreign_keys() setof record stable -> fktable regclass, fkcols text[], pktable regclass, pkcols \
text[], is_array bool, is_opt bool
6240 pg_settings_get_flags(text) text[] stable
3078 pg_sequence_parameters(sequence_oid oid) record stable -> start_value int8, minimum_value int8, maximum_value \
int8, increment int8, cycle_option bool, cache_size int8, data_type oid
3842 pg_relation_is_updatable(regclass, bool) int4 stable
3843 pg_column_is_updatable(regclass, int2, bool) bool stable
3423 pg_partition_tree(rootrelid regclass) setof record volatile -> relid regclass, parentrelid regclass, isleaf \
bool, level int4
3424 pg_partition_root(regclass) regclass
3425 pg_partition_ancestors(partitionid regclass) setof regclass volatile -> relid regclass
3427 pg_mcv_list_items(mcv_list pg_mcv_list) setof record stable -> index int4, values text[], nulls bool[], \
frequency float8, base_frequency float8
3400 pg_config() setof record stable -> name text, setting text
2556 pg_tablespace_databases(oid) setof oid stable
1349 oidvectortypes(oidvector) text stable
817 current_query() text volatile nullable
3329 pg_show_all_file_settings() setof record volatile -> sourcefile text, sourceline int4, seqno int4, name text, \
setting text, applied bool, error text
3082 pg_available_extensions() setof record stable -> name name, default_version text, comment text
3083 pg_available_extension_versions() setof record stable -> name name, version text, superuser bool, trusted bool, \
relocatable bool, schema name, requires name[], comment text
3084 pg_extension_update_paths(name name) setof record stable -> source text, target text, path text
3086 pg_extension_config_dump(regclass, text) void volatile
6250 pg_ident_file_mappings() setof record volatile -> line_number int4, map_name text, sys_name text, pg_username \
text, error text
1065 pg_prepared_xact() setof record volatile -> transaction xid, gid text, prepared timestamptz, ownerid oid, dbid \
oid
2246 fmgr_internal_validator(oid) void stable
2248 fmgr_sql_validator(oid) void stable
2622 pg_rotate_logfile() bool volatile
4099 pg_rotate_logfile_old() bool volatile
3800 pg_current_logfile() text volatile nullable
3801 pg_current_logfile(text) text volatile nullable
4543 pg_log_backend_memory_contexts(int4) bool volatile
4014 brin_desummarize_range(regclass, int8) void volatile
3952 brin_summarize_new_values(regclass) int4 volatile
3999 brin_summarize_range(regclass, int8) int4 volatile
3789 gin_clean_pending_list(regclass) int8 volatile
6173 pg_get_statisticsobjdef_expressions(oid) text[] stable
3819 pg_get_multixact_members(multixid xid) setof record volatile -> xid xid, mode text
3581 pg_xact_commit_timestamp(xid) timestamptz volatile
6168 pg_xact_commit_timestamp_origin(xid xid) record volatile -> timestamp timestamptz, roident oid
3583 pg_last_committed_xact() record volatile -> xid xid, timestamp timestamptz, roident oid
2851 pg_walfile_name(pg_lsn) text
2850 pg_walfile_name_offset(lsn pg_lsn) record -> file_name text, file_offset int4
""")
