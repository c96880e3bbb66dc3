-- pg_stat_statements 1.10
CREATE FUNCTION pg_stat_statements_reset(IN userid oid DEFAULT 0, IN dbid oid DEFAULT 0, IN queryid bigint DEFAULT 0)
    RETURNS void LANGUAGE internal STRICT PARALLEL SAFE AS 'pg_stat_statements_reset_1_7';

CREATE FUNCTION pg_stat_statements_info(OUT dealloc bigint, OUT stats_reset timestamptz) RETURNS record
    LANGUAGE internal STRICT VOLATILE PARALLEL SAFE AS 'pg_stat_statements_info';

CREATE FUNCTION pg_stat_statements(IN showtext boolean,
    OUT userid oid, OUT dbid oid, OUT toplevel bool, OUT queryid bigint, OUT query text, OUT plans bigint, OUT
    total_plan_time float8, OUT min_plan_time float8, OUT max_plan_time float8, OUT mean_plan_time float8, OUT
    stddev_plan_time float8, OUT calls bigint, OUT total_exec_time float8, OUT min_exec_time float8, OUT
    max_exec_time float8, OUT mean_exec_time float8, OUT stddev_exec_time float8, OUT rows bigint, OUT
    shared_blks_hit bigint, OUT shared_blks_read bigint, OUT shared_blks_dirtied bigint, OUT
    shared_blks_written bigint, OUT local_blks_hit bigint, OUT local_blks_read bigint, OUT local_blks_dirtied
    bigint, OUT local_blks_written bigint, OUT temp_blks_read bigint, OUT temp_blks_written bigint, OUT
    blk_read_time float8, OUT blk_write_time float8, OUT temp_blk_read_time float8, OUT temp_blk_write_time
    float8, OUT wal_records bigint, OUT wal_fpi bigint, OUT wal_bytes numeric, OUT jit_functions bigint, OUT
    jit_generation_time float8, OUT jit_inlining_count bigint, OUT jit_inlining_time float8, OUT
    jit_optimization_count bigint, OUT jit_optimization_time float8, OUT jit_emission_count bigint, OUT
    jit_emission_time float8)
    RETURNS SETOF record LANGUAGE internal STRICT VOLATILE PARALLEL SAFE AS 'pg_stat_statements_1_10';

CREATE VIEW pg_stat_statements_info AS SELECT * FROM pg_stat_statements_info();

CREATE VIEW pg_stat_statements AS SELECT * FROM pg_stat_statements(true);

GRANT SELECT ON pg_stat_statements_info TO PUBLIC;
GRANT SELECT ON pg_stat_statements TO PUBLIC;

-- What all have run is not for everybody to forget.
REVOKE ALL ON FUNCTION pg_stat_statements_reset(oid, oid, bigint) FROM PUBLIC;
