-- btree_gist 1.7
CREATE TYPE gbtreekey4;

CREATE TYPE gbtreekey8;

CREATE TYPE gbtreekey16;

CREATE TYPE gbtreekey32;

CREATE TYPE gbtreekey_var;

CREATE TYPE gbtreekey2;

CREATE FUNCTION gbtreekey4_in(cstring) RETURNS gbtreekey4
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbtreekey_in';

CREATE FUNCTION gbtreekey4_out(gbtreekey4) RETURNS cstring
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbtreekey_out';

CREATE TYPE gbtreekey4 (
    INTERNALLENGTH = 4, INPUT = gbtreekey4_in, OUTPUT = gbtreekey4_out, ALIGNMENT = int4
);

CREATE FUNCTION gbtreekey8_in(cstring) RETURNS gbtreekey8
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbtreekey_in';

CREATE FUNCTION gbtreekey8_out(gbtreekey8) RETURNS cstring
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbtreekey_out';

CREATE TYPE gbtreekey8 (
    INTERNALLENGTH = 8, INPUT = gbtreekey8_in, OUTPUT = gbtreekey8_out, ALIGNMENT = int4
);

CREATE FUNCTION gbtreekey16_in(cstring) RETURNS gbtreekey16
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbtreekey_in';

CREATE FUNCTION gbtreekey16_out(gbtreekey16) RETURNS cstring
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbtreekey_out';

CREATE TYPE gbtreekey16 (
    INTERNALLENGTH = 16, INPUT = gbtreekey16_in, OUTPUT = gbtreekey16_out, ALIGNMENT = int4
);

CREATE FUNCTION gbtreekey32_in(cstring) RETURNS gbtreekey32
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbtreekey_in';

CREATE FUNCTION gbtreekey32_out(gbtreekey32) RETURNS cstring
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbtreekey_out';

CREATE TYPE gbtreekey32 (
    INTERNALLENGTH = 32, INPUT = gbtreekey32_in, OUTPUT = gbtreekey32_out, ALIGNMENT = int4
);

CREATE FUNCTION gbtreekey_var_in(cstring) RETURNS gbtreekey_var
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbtreekey_in';

CREATE FUNCTION gbtreekey_var_out(gbtreekey_var) RETURNS cstring
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbtreekey_out';

CREATE TYPE gbtreekey_var (
    INTERNALLENGTH = VARIABLE, INPUT = gbtreekey_var_in, OUTPUT = gbtreekey_var_out, STORAGE = extended
);

CREATE FUNCTION cash_dist(money, money) RETURNS money
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'cash_dist';

CREATE FUNCTION date_dist(date, date) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'date_dist';

CREATE FUNCTION float4_dist(real, real) RETURNS real
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'float4_dist';

CREATE FUNCTION float8_dist(double precision, double precision) RETURNS double precision
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'float8_dist';

CREATE FUNCTION int2_dist(smallint, smallint) RETURNS smallint
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'int2_dist';

CREATE FUNCTION int4_dist(integer, integer) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'int4_dist';

CREATE FUNCTION int8_dist(bigint, bigint) RETURNS bigint
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'int8_dist';

CREATE FUNCTION interval_dist(interval, interval) RETURNS interval
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'interval_dist';

CREATE FUNCTION oid_dist(oid, oid) RETURNS oid
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'oid_dist';

CREATE FUNCTION time_dist(time without time zone, time without time zone) RETURNS interval
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'time_dist';

CREATE FUNCTION ts_dist(timestamp without time zone, timestamp without time zone) RETURNS interval
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ts_dist';

CREATE FUNCTION tstz_dist(timestamp with time zone, timestamp with time zone) RETURNS interval
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'tstz_dist';

CREATE FUNCTION gbt_oid_consistent(internal, oid, smallint, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_oid_consistent';

CREATE FUNCTION gbt_oid_distance(internal, oid, smallint, oid, internal) RETURNS double precision
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_oid_distance';

CREATE FUNCTION gbt_oid_fetch(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_oid_fetch';

CREATE FUNCTION gbt_oid_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_oid_compress';

CREATE FUNCTION gbt_decompress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_decompress';

CREATE FUNCTION gbt_var_decompress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_var_decompress';

CREATE FUNCTION gbt_var_fetch(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_var_fetch';

CREATE FUNCTION gbt_oid_penalty(internal, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_oid_penalty';

CREATE FUNCTION gbt_oid_picksplit(internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_oid_picksplit';

CREATE FUNCTION gbt_oid_union(internal, internal) RETURNS gbtreekey8
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_oid_union';

CREATE FUNCTION gbt_oid_same(gbtreekey8, gbtreekey8, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_oid_same';

CREATE FUNCTION gbt_int2_consistent(internal, smallint, smallint, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_int2_consistent';

CREATE FUNCTION gbt_int2_distance(internal, smallint, smallint, oid, internal) RETURNS double precision
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_int2_distance';

CREATE FUNCTION gbt_int2_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_int2_compress';

CREATE FUNCTION gbt_int2_fetch(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_int2_fetch';

CREATE FUNCTION gbt_int2_penalty(internal, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_int2_penalty';

CREATE FUNCTION gbt_int2_picksplit(internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_int2_picksplit';

CREATE FUNCTION gbt_int2_union(internal, internal) RETURNS gbtreekey4
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_int2_union';

CREATE FUNCTION gbt_int2_same(gbtreekey4, gbtreekey4, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_int2_same';

CREATE FUNCTION gbt_int4_consistent(internal, integer, smallint, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_int4_consistent';

CREATE FUNCTION gbt_int4_distance(internal, integer, smallint, oid, internal) RETURNS double precision
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_int4_distance';

CREATE FUNCTION gbt_int4_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_int4_compress';

CREATE FUNCTION gbt_int4_fetch(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_int4_fetch';

CREATE FUNCTION gbt_int4_penalty(internal, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_int4_penalty';

CREATE FUNCTION gbt_int4_picksplit(internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_int4_picksplit';

CREATE FUNCTION gbt_int4_union(internal, internal) RETURNS gbtreekey8
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_int4_union';

CREATE FUNCTION gbt_int4_same(gbtreekey8, gbtreekey8, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_int4_same';

CREATE FUNCTION gbt_int8_consistent(internal, bigint, smallint, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_int8_consistent';

CREATE FUNCTION gbt_int8_distance(internal, bigint, smallint, oid, internal) RETURNS double precision
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_int8_distance';

CREATE FUNCTION gbt_int8_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_int8_compress';

CREATE FUNCTION gbt_int8_fetch(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_int8_fetch';

CREATE FUNCTION gbt_int8_penalty(internal, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_int8_penalty';

CREATE FUNCTION gbt_int8_picksplit(internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_int8_picksplit';

CREATE FUNCTION gbt_int8_union(internal, internal) RETURNS gbtreekey16
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_int8_union';

CREATE FUNCTION gbt_int8_same(gbtreekey16, gbtreekey16, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_int8_same';

CREATE FUNCTION gbt_float4_consistent(internal, real, smallint, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_float4_consistent';

CREATE FUNCTION gbt_float4_distance(internal, real, smallint, oid, internal) RETURNS double precision
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_float4_distance';

CREATE FUNCTION gbt_float4_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_float4_compress';

CREATE FUNCTION gbt_float4_fetch(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_float4_fetch';

CREATE FUNCTION gbt_float4_penalty(internal, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_float4_penalty';

CREATE FUNCTION gbt_float4_picksplit(internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_float4_picksplit';

CREATE FUNCTION gbt_float4_union(internal, internal) RETURNS gbtreekey8
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_float4_union';

CREATE FUNCTION gbt_float4_same(gbtreekey8, gbtreekey8, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_float4_same';

CREATE FUNCTION gbt_float8_consistent(internal, double precision, smallint, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_float8_consistent';

CREATE FUNCTION gbt_float8_distance(internal, double precision, smallint, oid, internal) RETURNS double precision
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_float8_distance';

CREATE FUNCTION gbt_float8_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_float8_compress';

CREATE FUNCTION gbt_float8_fetch(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_float8_fetch';

CREATE FUNCTION gbt_float8_penalty(internal, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_float8_penalty';

CREATE FUNCTION gbt_float8_picksplit(internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_float8_picksplit';

CREATE FUNCTION gbt_float8_union(internal, internal) RETURNS gbtreekey16
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_float8_union';

CREATE FUNCTION gbt_float8_same(gbtreekey16, gbtreekey16, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_float8_same';

CREATE FUNCTION gbt_ts_consistent(internal, timestamp without time zone, smallint, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_ts_consistent';

CREATE FUNCTION gbt_ts_distance(internal, timestamp without time zone, smallint, oid, internal) RETURNS double precision
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_ts_distance';

CREATE FUNCTION gbt_tstz_consistent(internal, timestamp with time zone, smallint, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_tstz_consistent';

CREATE FUNCTION gbt_tstz_distance(internal, timestamp with time zone, smallint, oid, internal) RETURNS double precision
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_tstz_distance';

CREATE FUNCTION gbt_ts_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_ts_compress';

CREATE FUNCTION gbt_tstz_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_tstz_compress';

CREATE FUNCTION gbt_ts_fetch(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_ts_fetch';

CREATE FUNCTION gbt_ts_penalty(internal, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_ts_penalty';

CREATE FUNCTION gbt_ts_picksplit(internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_ts_picksplit';

CREATE FUNCTION gbt_ts_union(internal, internal) RETURNS gbtreekey16
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_ts_union';

CREATE FUNCTION gbt_ts_same(gbtreekey16, gbtreekey16, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_ts_same';

CREATE FUNCTION gbt_time_consistent(internal, time without time zone, smallint, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_time_consistent';

CREATE FUNCTION gbt_time_distance(internal, time without time zone, smallint, oid, internal) RETURNS double precision
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_time_distance';

CREATE FUNCTION gbt_timetz_consistent(internal, time with time zone, smallint, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_timetz_consistent';

CREATE FUNCTION gbt_time_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_time_compress';

CREATE FUNCTION gbt_timetz_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_timetz_compress';

CREATE FUNCTION gbt_time_fetch(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_time_fetch';

CREATE FUNCTION gbt_time_penalty(internal, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_time_penalty';

CREATE FUNCTION gbt_time_picksplit(internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_time_picksplit';

CREATE FUNCTION gbt_time_union(internal, internal) RETURNS gbtreekey16
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_time_union';

CREATE FUNCTION gbt_time_same(gbtreekey16, gbtreekey16, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_time_same';

CREATE FUNCTION gbt_date_consistent(internal, date, smallint, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_date_consistent';

CREATE FUNCTION gbt_date_distance(internal, date, smallint, oid, internal) RETURNS double precision
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_date_distance';

CREATE FUNCTION gbt_date_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_date_compress';

CREATE FUNCTION gbt_date_fetch(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_date_fetch';

CREATE FUNCTION gbt_date_penalty(internal, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_date_penalty';

CREATE FUNCTION gbt_date_picksplit(internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_date_picksplit';

CREATE FUNCTION gbt_date_union(internal, internal) RETURNS gbtreekey8
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_date_union';

CREATE FUNCTION gbt_date_same(gbtreekey8, gbtreekey8, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_date_same';

CREATE FUNCTION gbt_intv_consistent(internal, interval, smallint, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_intv_consistent';

CREATE FUNCTION gbt_intv_distance(internal, interval, smallint, oid, internal) RETURNS double precision
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_intv_distance';

CREATE FUNCTION gbt_intv_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_intv_compress';

CREATE FUNCTION gbt_intv_decompress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_intv_decompress';

CREATE FUNCTION gbt_intv_fetch(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_intv_fetch';

CREATE FUNCTION gbt_intv_penalty(internal, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_intv_penalty';

CREATE FUNCTION gbt_intv_picksplit(internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_intv_picksplit';

CREATE FUNCTION gbt_intv_union(internal, internal) RETURNS gbtreekey32
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_intv_union';

CREATE FUNCTION gbt_intv_same(gbtreekey32, gbtreekey32, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_intv_same';

CREATE FUNCTION gbt_cash_consistent(internal, money, smallint, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_cash_consistent';

CREATE FUNCTION gbt_cash_distance(internal, money, smallint, oid, internal) RETURNS double precision
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_cash_distance';

CREATE FUNCTION gbt_cash_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_cash_compress';

CREATE FUNCTION gbt_cash_fetch(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_cash_fetch';

CREATE FUNCTION gbt_cash_penalty(internal, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_cash_penalty';

CREATE FUNCTION gbt_cash_picksplit(internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_cash_picksplit';

CREATE FUNCTION gbt_cash_union(internal, internal) RETURNS gbtreekey16
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_cash_union';

CREATE FUNCTION gbt_cash_same(gbtreekey16, gbtreekey16, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_cash_same';

CREATE FUNCTION gbt_macad_consistent(internal, macaddr, smallint, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_macad_consistent';

CREATE FUNCTION gbt_macad_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_macad_compress';

CREATE FUNCTION gbt_macad_fetch(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_macad_fetch';

CREATE FUNCTION gbt_macad_penalty(internal, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_macad_penalty';

CREATE FUNCTION gbt_macad_picksplit(internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_macad_picksplit';

CREATE FUNCTION gbt_macad_union(internal, internal) RETURNS gbtreekey16
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_macad_union';

CREATE FUNCTION gbt_macad_same(gbtreekey16, gbtreekey16, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_macad_same';

CREATE FUNCTION gbt_text_consistent(internal, text, smallint, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_text_consistent';

CREATE FUNCTION gbt_bpchar_consistent(internal, character, smallint, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_bpchar_consistent';

CREATE FUNCTION gbt_text_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_text_compress';

CREATE FUNCTION gbt_bpchar_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_bpchar_compress';

CREATE FUNCTION gbt_text_penalty(internal, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_text_penalty';

CREATE FUNCTION gbt_text_picksplit(internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_text_picksplit';

CREATE FUNCTION gbt_text_union(internal, internal) RETURNS gbtreekey_var
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_text_union';

CREATE FUNCTION gbt_text_same(gbtreekey_var, gbtreekey_var, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_text_same';

CREATE FUNCTION gbt_bytea_consistent(internal, bytea, smallint, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_bytea_consistent';

CREATE FUNCTION gbt_bytea_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_bytea_compress';

CREATE FUNCTION gbt_bytea_penalty(internal, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_bytea_penalty';

CREATE FUNCTION gbt_bytea_picksplit(internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_bytea_picksplit';

CREATE FUNCTION gbt_bytea_union(internal, internal) RETURNS gbtreekey_var
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_bytea_union';

CREATE FUNCTION gbt_bytea_same(gbtreekey_var, gbtreekey_var, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_bytea_same';

CREATE FUNCTION gbt_numeric_consistent(internal, numeric, smallint, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_numeric_consistent';

CREATE FUNCTION gbt_numeric_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_numeric_compress';

CREATE FUNCTION gbt_numeric_penalty(internal, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_numeric_penalty';

CREATE FUNCTION gbt_numeric_picksplit(internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_numeric_picksplit';

CREATE FUNCTION gbt_numeric_union(internal, internal) RETURNS gbtreekey_var
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_numeric_union';

CREATE FUNCTION gbt_numeric_same(gbtreekey_var, gbtreekey_var, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_numeric_same';

CREATE FUNCTION gbt_bit_consistent(internal, bit, smallint, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_bit_consistent';

CREATE FUNCTION gbt_bit_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_bit_compress';

CREATE FUNCTION gbt_bit_penalty(internal, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_bit_penalty';

CREATE FUNCTION gbt_bit_picksplit(internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_bit_picksplit';

CREATE FUNCTION gbt_bit_union(internal, internal) RETURNS gbtreekey_var
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_bit_union';

CREATE FUNCTION gbt_bit_same(gbtreekey_var, gbtreekey_var, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_bit_same';

CREATE FUNCTION gbt_inet_consistent(internal, inet, smallint, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_inet_consistent';

CREATE FUNCTION gbt_inet_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_inet_compress';

CREATE FUNCTION gbt_inet_penalty(internal, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_inet_penalty';

CREATE FUNCTION gbt_inet_picksplit(internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_inet_picksplit';

CREATE FUNCTION gbt_inet_union(internal, internal) RETURNS gbtreekey16
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_inet_union';

CREATE FUNCTION gbt_inet_same(gbtreekey16, gbtreekey16, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_inet_same';

CREATE FUNCTION gbt_uuid_consistent(internal, uuid, smallint, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_uuid_consistent';

CREATE FUNCTION gbt_uuid_fetch(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_uuid_fetch';

CREATE FUNCTION gbt_uuid_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_uuid_compress';

CREATE FUNCTION gbt_uuid_penalty(internal, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_uuid_penalty';

CREATE FUNCTION gbt_uuid_picksplit(internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_uuid_picksplit';

CREATE FUNCTION gbt_uuid_union(internal, internal) RETURNS gbtreekey32
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_uuid_union';

CREATE FUNCTION gbt_uuid_same(gbtreekey32, gbtreekey32, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_uuid_same';

CREATE FUNCTION gbt_macad8_consistent(internal, macaddr8, smallint, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_macad8_consistent';

CREATE FUNCTION gbt_macad8_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_macad8_compress';

CREATE FUNCTION gbt_macad8_fetch(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_macad8_fetch';

CREATE FUNCTION gbt_macad8_penalty(internal, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_macad8_penalty';

CREATE FUNCTION gbt_macad8_picksplit(internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_macad8_picksplit';

CREATE FUNCTION gbt_macad8_union(internal, internal) RETURNS gbtreekey16
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_macad8_union';

CREATE FUNCTION gbt_macad8_same(gbtreekey16, gbtreekey16, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_macad8_same';

CREATE FUNCTION gbt_enum_consistent(internal, anyenum, smallint, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_enum_consistent';

CREATE FUNCTION gbt_enum_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_enum_compress';

CREATE FUNCTION gbt_enum_fetch(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_enum_fetch';

CREATE FUNCTION gbt_enum_penalty(internal, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_enum_penalty';

CREATE FUNCTION gbt_enum_picksplit(internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_enum_picksplit';

CREATE FUNCTION gbt_enum_union(internal, internal) RETURNS gbtreekey8
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_enum_union';

CREATE FUNCTION gbt_enum_same(gbtreekey8, gbtreekey8, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbt_enum_same';

CREATE FUNCTION gbtreekey2_in(cstring) RETURNS gbtreekey2
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbtreekey_in';

CREATE FUNCTION gbtreekey2_out(gbtreekey2) RETURNS cstring
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gbtreekey_out';

CREATE TYPE gbtreekey2 (
    INTERNALLENGTH = 2, INPUT = gbtreekey2_in, OUTPUT = gbtreekey2_out, ALIGNMENT = int4
);

CREATE FUNCTION gbt_bool_consistent(internal, boolean, smallint, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT AS 'gbt_bool_consistent';

CREATE FUNCTION gbt_bool_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gbt_bool_compress';

CREATE FUNCTION gbt_bool_fetch(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gbt_bool_fetch';

CREATE FUNCTION gbt_bool_penalty(internal, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gbt_bool_penalty';

CREATE FUNCTION gbt_bool_picksplit(internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gbt_bool_picksplit';

CREATE FUNCTION gbt_bool_union(internal, internal) RETURNS gbtreekey2
    LANGUAGE internal IMMUTABLE STRICT AS 'gbt_bool_union';

CREATE FUNCTION gbt_bool_same(gbtreekey2, gbtreekey2, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gbt_bool_same';

CREATE OPERATOR <-> (
    LEFTARG = money, RIGHTARG = money, FUNCTION = cash_dist, COMMUTATOR = <->
);

CREATE OPERATOR <-> (
    LEFTARG = date, RIGHTARG = date, FUNCTION = date_dist, COMMUTATOR = <->
);

CREATE OPERATOR <-> (
    LEFTARG = real, RIGHTARG = real, FUNCTION = float4_dist, COMMUTATOR = <->
);

CREATE OPERATOR <-> (
    LEFTARG = double precision, RIGHTARG = double precision, FUNCTION = float8_dist, COMMUTATOR = <->
);

CREATE OPERATOR <-> (
    LEFTARG = smallint, RIGHTARG = smallint, FUNCTION = int2_dist, COMMUTATOR = <->
);

CREATE OPERATOR <-> (
    LEFTARG = integer, RIGHTARG = integer, FUNCTION = int4_dist, COMMUTATOR = <->
);

CREATE OPERATOR <-> (
    LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = int8_dist, COMMUTATOR = <->
);

CREATE OPERATOR <-> (
    LEFTARG = interval, RIGHTARG = interval, FUNCTION = interval_dist, COMMUTATOR = <->
);

CREATE OPERATOR <-> (
    LEFTARG = oid, RIGHTARG = oid, FUNCTION = oid_dist, COMMUTATOR = <->
);

CREATE OPERATOR <-> (
    LEFTARG = time without time zone, RIGHTARG = time without time zone, FUNCTION = time_dist, COMMUTATOR = <->
);

CREATE OPERATOR <-> (
    LEFTARG = timestamp without time zone, RIGHTARG = timestamp without time zone, FUNCTION = ts_dist, COMMUTATOR = <->
);

CREATE OPERATOR <-> (
    LEFTARG = timestamp with time zone, RIGHTARG = timestamp with time zone, FUNCTION = tstz_dist, COMMUTATOR = <->
);

CREATE OPERATOR CLASS gist_oid_ops DEFAULT FOR TYPE oid USING gist AS
    OPERATOR 1 pg_catalog.< (oid, oid),
    OPERATOR 2 pg_catalog.<= (oid, oid),
    OPERATOR 3 pg_catalog.= (oid, oid),
    OPERATOR 4 pg_catalog.>= (oid, oid),
    OPERATOR 5 pg_catalog.> (oid, oid),
    OPERATOR 6 pg_catalog.<> (oid, oid),
    OPERATOR 15 <-> (oid, oid) FOR ORDER BY pg_catalog.oid_ops,
    FUNCTION 1 gbt_oid_consistent(internal,oid,smallint,oid,internal),
    FUNCTION 2 gbt_oid_union(internal,internal),
    FUNCTION 3 gbt_oid_compress(internal),
    FUNCTION 4 gbt_decompress(internal),
    FUNCTION 5 gbt_oid_penalty(internal,internal,internal),
    FUNCTION 6 gbt_oid_picksplit(internal,internal),
    FUNCTION 7 gbt_oid_same(gbtreekey8,gbtreekey8,internal),
    FUNCTION 8 gbt_oid_distance(internal,oid,smallint,oid,internal),
    FUNCTION 9 gbt_oid_fetch(internal),
    STORAGE gbtreekey8;

CREATE OPERATOR CLASS gist_int2_ops DEFAULT FOR TYPE smallint USING gist AS
    OPERATOR 1 pg_catalog.< (smallint, smallint),
    OPERATOR 2 pg_catalog.<= (smallint, smallint),
    OPERATOR 3 pg_catalog.= (smallint, smallint),
    OPERATOR 4 pg_catalog.>= (smallint, smallint),
    OPERATOR 5 pg_catalog.> (smallint, smallint),
    OPERATOR 6 pg_catalog.<> (smallint, smallint),
    OPERATOR 15 <-> (smallint, smallint) FOR ORDER BY pg_catalog.integer_ops,
    FUNCTION 1 gbt_int2_consistent(internal,smallint,smallint,oid,internal),
    FUNCTION 2 gbt_int2_union(internal,internal),
    FUNCTION 3 gbt_int2_compress(internal),
    FUNCTION 4 gbt_decompress(internal),
    FUNCTION 5 gbt_int2_penalty(internal,internal,internal),
    FUNCTION 6 gbt_int2_picksplit(internal,internal),
    FUNCTION 7 gbt_int2_same(gbtreekey4,gbtreekey4,internal),
    FUNCTION 8 gbt_int2_distance(internal,smallint,smallint,oid,internal),
    FUNCTION 9 gbt_int2_fetch(internal),
    STORAGE gbtreekey4;

CREATE OPERATOR CLASS gist_int4_ops DEFAULT FOR TYPE integer USING gist AS
    OPERATOR 1 pg_catalog.< (integer, integer),
    OPERATOR 2 pg_catalog.<= (integer, integer),
    OPERATOR 3 pg_catalog.= (integer, integer),
    OPERATOR 4 pg_catalog.>= (integer, integer),
    OPERATOR 5 pg_catalog.> (integer, integer),
    OPERATOR 6 pg_catalog.<> (integer, integer),
    OPERATOR 15 <-> (integer, integer) FOR ORDER BY pg_catalog.integer_ops,
    FUNCTION 1 gbt_int4_consistent(internal,integer,smallint,oid,internal),
    FUNCTION 2 gbt_int4_union(internal,internal),
    FUNCTION 3 gbt_int4_compress(internal),
    FUNCTION 4 gbt_decompress(internal),
    FUNCTION 5 gbt_int4_penalty(internal,internal,internal),
    FUNCTION 6 gbt_int4_picksplit(internal,internal),
    FUNCTION 7 gbt_int4_same(gbtreekey8,gbtreekey8,internal),
    FUNCTION 8 gbt_int4_distance(internal,integer,smallint,oid,internal),
    FUNCTION 9 gbt_int4_fetch(internal),
    STORAGE gbtreekey8;

CREATE OPERATOR CLASS gist_int8_ops DEFAULT FOR TYPE bigint USING gist AS
    OPERATOR 1 pg_catalog.< (bigint, bigint),
    OPERATOR 2 pg_catalog.<= (bigint, bigint),
    OPERATOR 3 pg_catalog.= (bigint, bigint),
    OPERATOR 4 pg_catalog.>= (bigint, bigint),
    OPERATOR 5 pg_catalog.> (bigint, bigint),
    OPERATOR 6 pg_catalog.<> (bigint, bigint),
    OPERATOR 15 <-> (bigint, bigint) FOR ORDER BY pg_catalog.integer_ops,
    FUNCTION 1 gbt_int8_consistent(internal,bigint,smallint,oid,internal),
    FUNCTION 2 gbt_int8_union(internal,internal),
    FUNCTION 3 gbt_int8_compress(internal),
    FUNCTION 4 gbt_decompress(internal),
    FUNCTION 5 gbt_int8_penalty(internal,internal,internal),
    FUNCTION 6 gbt_int8_picksplit(internal,internal),
    FUNCTION 7 gbt_int8_same(gbtreekey16,gbtreekey16,internal),
    FUNCTION 8 gbt_int8_distance(internal,bigint,smallint,oid,internal),
    FUNCTION 9 gbt_int8_fetch(internal),
    STORAGE gbtreekey16;

CREATE OPERATOR CLASS gist_float4_ops DEFAULT FOR TYPE real USING gist AS
    OPERATOR 1 pg_catalog.< (real, real),
    OPERATOR 2 pg_catalog.<= (real, real),
    OPERATOR 3 pg_catalog.= (real, real),
    OPERATOR 4 pg_catalog.>= (real, real),
    OPERATOR 5 pg_catalog.> (real, real),
    OPERATOR 6 pg_catalog.<> (real, real),
    OPERATOR 15 <-> (real, real) FOR ORDER BY pg_catalog.float_ops,
    FUNCTION 1 gbt_float4_consistent(internal,real,smallint,oid,internal),
    FUNCTION 2 gbt_float4_union(internal,internal),
    FUNCTION 3 gbt_float4_compress(internal),
    FUNCTION 4 gbt_decompress(internal),
    FUNCTION 5 gbt_float4_penalty(internal,internal,internal),
    FUNCTION 6 gbt_float4_picksplit(internal,internal),
    FUNCTION 7 gbt_float4_same(gbtreekey8,gbtreekey8,internal),
    FUNCTION 8 gbt_float4_distance(internal,real,smallint,oid,internal),
    FUNCTION 9 gbt_float4_fetch(internal),
    STORAGE gbtreekey8;

CREATE OPERATOR CLASS gist_float8_ops DEFAULT FOR TYPE double precision USING gist AS
    OPERATOR 1 pg_catalog.< (double precision, double precision),
    OPERATOR 2 pg_catalog.<= (double precision, double precision),
    OPERATOR 3 pg_catalog.= (double precision, double precision),
    OPERATOR 4 pg_catalog.>= (double precision, double precision),
    OPERATOR 5 pg_catalog.> (double precision, double precision),
    OPERATOR 6 pg_catalog.<> (double precision, double precision),
    OPERATOR 15 <-> (double precision, double precision) FOR ORDER BY pg_catalog.float_ops,
    FUNCTION 1 gbt_float8_consistent(internal,double precision,smallint,oid,internal),
    FUNCTION 2 gbt_float8_union(internal,internal),
    FUNCTION 3 gbt_float8_compress(internal),
    FUNCTION 4 gbt_decompress(internal),
    FUNCTION 5 gbt_float8_penalty(internal,internal,internal),
    FUNCTION 6 gbt_float8_picksplit(internal,internal),
    FUNCTION 7 gbt_float8_same(gbtreekey16,gbtreekey16,internal),
    FUNCTION 8 gbt_float8_distance(internal,double precision,smallint,oid,internal),
    FUNCTION 9 gbt_float8_fetch(internal),
    STORAGE gbtreekey16;

CREATE OPERATOR CLASS gist_timestamp_ops DEFAULT FOR TYPE timestamp without time zone USING gist AS
    OPERATOR 1 pg_catalog.< (timestamp without time zone, timestamp without time zone),
    OPERATOR 2 pg_catalog.<= (timestamp without time zone, timestamp without time zone),
    OPERATOR 3 pg_catalog.= (timestamp without time zone, timestamp without time zone),
    OPERATOR 4 pg_catalog.>= (timestamp without time zone, timestamp without time zone),
    OPERATOR 5 pg_catalog.> (timestamp without time zone, timestamp without time zone),
    OPERATOR 6 pg_catalog.<> (timestamp without time zone, timestamp without time zone),
    OPERATOR 15 <-> (timestamp without time zone, timestamp without time zone) FOR ORDER BY pg_catalog.interval_ops,
    FUNCTION 1 gbt_ts_consistent(internal,timestamp without time zone,smallint,oid,internal),
    FUNCTION 2 gbt_ts_union(internal,internal),
    FUNCTION 3 gbt_ts_compress(internal),
    FUNCTION 4 gbt_decompress(internal),
    FUNCTION 5 gbt_ts_penalty(internal,internal,internal),
    FUNCTION 6 gbt_ts_picksplit(internal,internal),
    FUNCTION 7 gbt_ts_same(gbtreekey16,gbtreekey16,internal),
    FUNCTION 8 gbt_ts_distance(internal,timestamp without time zone,smallint,oid,internal),
    FUNCTION 9 gbt_ts_fetch(internal),
    STORAGE gbtreekey16;

CREATE OPERATOR CLASS gist_timestamptz_ops DEFAULT FOR TYPE timestamp with time zone USING gist AS
    OPERATOR 1 pg_catalog.< (timestamp with time zone, timestamp with time zone),
    OPERATOR 2 pg_catalog.<= (timestamp with time zone, timestamp with time zone),
    OPERATOR 3 pg_catalog.= (timestamp with time zone, timestamp with time zone),
    OPERATOR 4 pg_catalog.>= (timestamp with time zone, timestamp with time zone),
    OPERATOR 5 pg_catalog.> (timestamp with time zone, timestamp with time zone),
    OPERATOR 6 pg_catalog.<> (timestamp with time zone, timestamp with time zone),
    OPERATOR 15 <-> (timestamp with time zone, timestamp with time zone) FOR ORDER BY pg_catalog.interval_ops,
    FUNCTION 1 gbt_tstz_consistent(internal,timestamp with time zone,smallint,oid,internal),
    FUNCTION 2 gbt_ts_union(internal,internal),
    FUNCTION 3 gbt_tstz_compress(internal),
    FUNCTION 4 gbt_decompress(internal),
    FUNCTION 5 gbt_ts_penalty(internal,internal,internal),
    FUNCTION 6 gbt_ts_picksplit(internal,internal),
    FUNCTION 7 gbt_ts_same(gbtreekey16,gbtreekey16,internal),
    FUNCTION 8 gbt_tstz_distance(internal,timestamp with time zone,smallint,oid,internal),
    FUNCTION 9 gbt_ts_fetch(internal),
    STORAGE gbtreekey16;

CREATE OPERATOR CLASS gist_time_ops DEFAULT FOR TYPE time without time zone USING gist AS
    OPERATOR 1 pg_catalog.< (time without time zone, time without time zone),
    OPERATOR 2 pg_catalog.<= (time without time zone, time without time zone),
    OPERATOR 3 pg_catalog.= (time without time zone, time without time zone),
    OPERATOR 4 pg_catalog.>= (time without time zone, time without time zone),
    OPERATOR 5 pg_catalog.> (time without time zone, time without time zone),
    OPERATOR 6 pg_catalog.<> (time without time zone, time without time zone),
    OPERATOR 15 <-> (time without time zone, time without time zone) FOR ORDER BY pg_catalog.interval_ops,
    FUNCTION 1 gbt_time_consistent(internal,time without time zone,smallint,oid,internal),
    FUNCTION 2 gbt_time_union(internal,internal),
    FUNCTION 3 gbt_time_compress(internal),
    FUNCTION 4 gbt_decompress(internal),
    FUNCTION 5 gbt_time_penalty(internal,internal,internal),
    FUNCTION 6 gbt_time_picksplit(internal,internal),
    FUNCTION 7 gbt_time_same(gbtreekey16,gbtreekey16,internal),
    FUNCTION 8 gbt_time_distance(internal,time without time zone,smallint,oid,internal),
    FUNCTION 9 gbt_time_fetch(internal),
    STORAGE gbtreekey16;

CREATE OPERATOR CLASS gist_timetz_ops DEFAULT FOR TYPE time with time zone USING gist AS
    OPERATOR 1 pg_catalog.< (time with time zone, time with time zone),
    OPERATOR 2 pg_catalog.<= (time with time zone, time with time zone),
    OPERATOR 3 pg_catalog.= (time with time zone, time with time zone),
    OPERATOR 4 pg_catalog.>= (time with time zone, time with time zone),
    OPERATOR 5 pg_catalog.> (time with time zone, time with time zone),
    OPERATOR 6 pg_catalog.<> (time with time zone, time with time zone),
    FUNCTION 1 gbt_timetz_consistent(internal,time with time zone,smallint,oid,internal),
    FUNCTION 2 gbt_time_union(internal,internal),
    FUNCTION 3 gbt_timetz_compress(internal),
    FUNCTION 4 gbt_decompress(internal),
    FUNCTION 5 gbt_time_penalty(internal,internal,internal),
    FUNCTION 6 gbt_time_picksplit(internal,internal),
    FUNCTION 7 gbt_time_same(gbtreekey16,gbtreekey16,internal),
    STORAGE gbtreekey16;

CREATE OPERATOR CLASS gist_date_ops DEFAULT FOR TYPE date USING gist AS
    OPERATOR 1 pg_catalog.< (date, date),
    OPERATOR 2 pg_catalog.<= (date, date),
    OPERATOR 3 pg_catalog.= (date, date),
    OPERATOR 4 pg_catalog.>= (date, date),
    OPERATOR 5 pg_catalog.> (date, date),
    OPERATOR 6 pg_catalog.<> (date, date),
    OPERATOR 15 <-> (date, date) FOR ORDER BY pg_catalog.integer_ops,
    FUNCTION 1 gbt_date_consistent(internal,date,smallint,oid,internal),
    FUNCTION 2 gbt_date_union(internal,internal),
    FUNCTION 3 gbt_date_compress(internal),
    FUNCTION 4 gbt_decompress(internal),
    FUNCTION 5 gbt_date_penalty(internal,internal,internal),
    FUNCTION 6 gbt_date_picksplit(internal,internal),
    FUNCTION 7 gbt_date_same(gbtreekey8,gbtreekey8,internal),
    FUNCTION 8 gbt_date_distance(internal,date,smallint,oid,internal),
    FUNCTION 9 gbt_date_fetch(internal),
    STORAGE gbtreekey8;

CREATE OPERATOR CLASS gist_interval_ops DEFAULT FOR TYPE interval USING gist AS
    OPERATOR 1 pg_catalog.< (interval, interval),
    OPERATOR 2 pg_catalog.<= (interval, interval),
    OPERATOR 3 pg_catalog.= (interval, interval),
    OPERATOR 4 pg_catalog.>= (interval, interval),
    OPERATOR 5 pg_catalog.> (interval, interval),
    OPERATOR 6 pg_catalog.<> (interval, interval),
    OPERATOR 15 <-> (interval, interval) FOR ORDER BY pg_catalog.interval_ops,
    FUNCTION 1 gbt_intv_consistent(internal,interval,smallint,oid,internal),
    FUNCTION 2 gbt_intv_union(internal,internal),
    FUNCTION 3 gbt_intv_compress(internal),
    FUNCTION 4 gbt_intv_decompress(internal),
    FUNCTION 5 gbt_intv_penalty(internal,internal,internal),
    FUNCTION 6 gbt_intv_picksplit(internal,internal),
    FUNCTION 7 gbt_intv_same(gbtreekey32,gbtreekey32,internal),
    FUNCTION 8 gbt_intv_distance(internal,interval,smallint,oid,internal),
    FUNCTION 9 gbt_intv_fetch(internal),
    STORAGE gbtreekey32;

CREATE OPERATOR CLASS gist_cash_ops DEFAULT FOR TYPE money USING gist AS
    OPERATOR 1 pg_catalog.< (money, money),
    OPERATOR 2 pg_catalog.<= (money, money),
    OPERATOR 3 pg_catalog.= (money, money),
    OPERATOR 4 pg_catalog.>= (money, money),
    OPERATOR 5 pg_catalog.> (money, money),
    OPERATOR 6 pg_catalog.<> (money, money),
    OPERATOR 15 <-> (money, money) FOR ORDER BY pg_catalog.money_ops,
    FUNCTION 1 gbt_cash_consistent(internal,money,smallint,oid,internal),
    FUNCTION 2 gbt_cash_union(internal,internal),
    FUNCTION 3 gbt_cash_compress(internal),
    FUNCTION 4 gbt_decompress(internal),
    FUNCTION 5 gbt_cash_penalty(internal,internal,internal),
    FUNCTION 6 gbt_cash_picksplit(internal,internal),
    FUNCTION 7 gbt_cash_same(gbtreekey16,gbtreekey16,internal),
    FUNCTION 8 gbt_cash_distance(internal,money,smallint,oid,internal),
    FUNCTION 9 gbt_cash_fetch(internal),
    STORAGE gbtreekey16;

CREATE OPERATOR CLASS gist_macaddr_ops DEFAULT FOR TYPE macaddr USING gist AS
    OPERATOR 1 pg_catalog.< (macaddr, macaddr),
    OPERATOR 2 pg_catalog.<= (macaddr, macaddr),
    OPERATOR 3 pg_catalog.= (macaddr, macaddr),
    OPERATOR 4 pg_catalog.>= (macaddr, macaddr),
    OPERATOR 5 pg_catalog.> (macaddr, macaddr),
    OPERATOR 6 pg_catalog.<> (macaddr, macaddr),
    FUNCTION 1 gbt_macad_consistent(internal,macaddr,smallint,oid,internal),
    FUNCTION 2 gbt_macad_union(internal,internal),
    FUNCTION 3 gbt_macad_compress(internal),
    FUNCTION 4 gbt_decompress(internal),
    FUNCTION 5 gbt_macad_penalty(internal,internal,internal),
    FUNCTION 6 gbt_macad_picksplit(internal,internal),
    FUNCTION 7 gbt_macad_same(gbtreekey16,gbtreekey16,internal),
    FUNCTION 9 gbt_macad_fetch(internal),
    STORAGE gbtreekey16;

CREATE OPERATOR CLASS gist_text_ops DEFAULT FOR TYPE text USING gist AS
    OPERATOR 1 pg_catalog.< (text, text),
    OPERATOR 2 pg_catalog.<= (text, text),
    OPERATOR 3 pg_catalog.= (text, text),
    OPERATOR 4 pg_catalog.>= (text, text),
    OPERATOR 5 pg_catalog.> (text, text),
    OPERATOR 6 pg_catalog.<> (text, text),
    FUNCTION 1 gbt_text_consistent(internal,text,smallint,oid,internal),
    FUNCTION 2 gbt_text_union(internal,internal),
    FUNCTION 3 gbt_text_compress(internal),
    FUNCTION 4 gbt_var_decompress(internal),
    FUNCTION 5 gbt_text_penalty(internal,internal,internal),
    FUNCTION 6 gbt_text_picksplit(internal,internal),
    FUNCTION 7 gbt_text_same(gbtreekey_var,gbtreekey_var,internal),
    FUNCTION 9 gbt_var_fetch(internal),
    STORAGE gbtreekey_var;

CREATE OPERATOR CLASS gist_bpchar_ops DEFAULT FOR TYPE character USING gist AS
    OPERATOR 1 pg_catalog.< (character, character),
    OPERATOR 2 pg_catalog.<= (character, character),
    OPERATOR 3 pg_catalog.= (character, character),
    OPERATOR 4 pg_catalog.>= (character, character),
    OPERATOR 5 pg_catalog.> (character, character),
    OPERATOR 6 pg_catalog.<> (character, character),
    FUNCTION 1 gbt_bpchar_consistent(internal,character,smallint,oid,internal),
    FUNCTION 2 gbt_text_union(internal,internal),
    FUNCTION 3 gbt_bpchar_compress(internal),
    FUNCTION 4 gbt_var_decompress(internal),
    FUNCTION 5 gbt_text_penalty(internal,internal,internal),
    FUNCTION 6 gbt_text_picksplit(internal,internal),
    FUNCTION 7 gbt_text_same(gbtreekey_var,gbtreekey_var,internal),
    FUNCTION 9 gbt_var_fetch(internal),
    STORAGE gbtreekey_var;

CREATE OPERATOR CLASS gist_bytea_ops DEFAULT FOR TYPE bytea USING gist AS
    OPERATOR 1 pg_catalog.< (bytea, bytea),
    OPERATOR 2 pg_catalog.<= (bytea, bytea),
    OPERATOR 3 pg_catalog.= (bytea, bytea),
    OPERATOR 4 pg_catalog.>= (bytea, bytea),
    OPERATOR 5 pg_catalog.> (bytea, bytea),
    OPERATOR 6 pg_catalog.<> (bytea, bytea),
    FUNCTION 1 gbt_bytea_consistent(internal,bytea,smallint,oid,internal),
    FUNCTION 2 gbt_bytea_union(internal,internal),
    FUNCTION 3 gbt_bytea_compress(internal),
    FUNCTION 4 gbt_var_decompress(internal),
    FUNCTION 5 gbt_bytea_penalty(internal,internal,internal),
    FUNCTION 6 gbt_bytea_picksplit(internal,internal),
    FUNCTION 7 gbt_bytea_same(gbtreekey_var,gbtreekey_var,internal),
    FUNCTION 9 gbt_var_fetch(internal),
    STORAGE gbtreekey_var;

CREATE OPERATOR CLASS gist_numeric_ops DEFAULT FOR TYPE numeric USING gist AS
    OPERATOR 1 pg_catalog.< (numeric, numeric),
    OPERATOR 2 pg_catalog.<= (numeric, numeric),
    OPERATOR 3 pg_catalog.= (numeric, numeric),
    OPERATOR 4 pg_catalog.>= (numeric, numeric),
    OPERATOR 5 pg_catalog.> (numeric, numeric),
    OPERATOR 6 pg_catalog.<> (numeric, numeric),
    FUNCTION 1 gbt_numeric_consistent(internal,numeric,smallint,oid,internal),
    FUNCTION 2 gbt_numeric_union(internal,internal),
    FUNCTION 3 gbt_numeric_compress(internal),
    FUNCTION 4 gbt_var_decompress(internal),
    FUNCTION 5 gbt_numeric_penalty(internal,internal,internal),
    FUNCTION 6 gbt_numeric_picksplit(internal,internal),
    FUNCTION 7 gbt_numeric_same(gbtreekey_var,gbtreekey_var,internal),
    FUNCTION 9 gbt_var_fetch(internal),
    STORAGE gbtreekey_var;

CREATE OPERATOR CLASS gist_bit_ops DEFAULT FOR TYPE bit USING gist AS
    OPERATOR 1 pg_catalog.< (bit, bit),
    OPERATOR 2 pg_catalog.<= (bit, bit),
    OPERATOR 3 pg_catalog.= (bit, bit),
    OPERATOR 4 pg_catalog.>= (bit, bit),
    OPERATOR 5 pg_catalog.> (bit, bit),
    OPERATOR 6 pg_catalog.<> (bit, bit),
    FUNCTION 1 gbt_bit_consistent(internal,bit,smallint,oid,internal),
    FUNCTION 2 gbt_bit_union(internal,internal),
    FUNCTION 3 gbt_bit_compress(internal),
    FUNCTION 4 gbt_var_decompress(internal),
    FUNCTION 5 gbt_bit_penalty(internal,internal,internal),
    FUNCTION 6 gbt_bit_picksplit(internal,internal),
    FUNCTION 7 gbt_bit_same(gbtreekey_var,gbtreekey_var,internal),
    FUNCTION 9 gbt_var_fetch(internal),
    STORAGE gbtreekey_var;

CREATE OPERATOR CLASS gist_vbit_ops DEFAULT FOR TYPE bit varying USING gist AS
    OPERATOR 1 pg_catalog.< (bit varying, bit varying),
    OPERATOR 2 pg_catalog.<= (bit varying, bit varying),
    OPERATOR 3 pg_catalog.= (bit varying, bit varying),
    OPERATOR 4 pg_catalog.>= (bit varying, bit varying),
    OPERATOR 5 pg_catalog.> (bit varying, bit varying),
    OPERATOR 6 pg_catalog.<> (bit varying, bit varying),
    FUNCTION 1 gbt_bit_consistent(internal,bit,smallint,oid,internal),
    FUNCTION 2 gbt_bit_union(internal,internal),
    FUNCTION 3 gbt_bit_compress(internal),
    FUNCTION 4 gbt_var_decompress(internal),
    FUNCTION 5 gbt_bit_penalty(internal,internal,internal),
    FUNCTION 6 gbt_bit_picksplit(internal,internal),
    FUNCTION 7 gbt_bit_same(gbtreekey_var,gbtreekey_var,internal),
    FUNCTION 9 gbt_var_fetch(internal),
    STORAGE gbtreekey_var;

CREATE OPERATOR CLASS gist_inet_ops DEFAULT FOR TYPE inet USING gist AS
    OPERATOR 1 pg_catalog.< (inet, inet),
    OPERATOR 2 pg_catalog.<= (inet, inet),
    OPERATOR 3 pg_catalog.= (inet, inet),
    OPERATOR 4 pg_catalog.>= (inet, inet),
    OPERATOR 5 pg_catalog.> (inet, inet),
    OPERATOR 6 pg_catalog.<> (inet, inet),
    FUNCTION 1 gbt_inet_consistent(internal,inet,smallint,oid,internal),
    FUNCTION 2 gbt_inet_union(internal,internal),
    FUNCTION 3 gbt_inet_compress(internal),
    FUNCTION 4 gbt_decompress(internal),
    FUNCTION 5 gbt_inet_penalty(internal,internal,internal),
    FUNCTION 6 gbt_inet_picksplit(internal,internal),
    FUNCTION 7 gbt_inet_same(gbtreekey16,gbtreekey16,internal),
    STORAGE gbtreekey16;

CREATE OPERATOR CLASS gist_cidr_ops DEFAULT FOR TYPE cidr USING gist AS
    OPERATOR 1 pg_catalog.< (inet, inet),
    OPERATOR 2 pg_catalog.<= (inet, inet),
    OPERATOR 3 pg_catalog.= (inet, inet),
    OPERATOR 4 pg_catalog.>= (inet, inet),
    OPERATOR 5 pg_catalog.> (inet, inet),
    OPERATOR 6 pg_catalog.<> (inet, inet),
    FUNCTION 1 gbt_inet_consistent(internal,inet,smallint,oid,internal),
    FUNCTION 2 gbt_inet_union(internal,internal),
    FUNCTION 3 gbt_inet_compress(internal),
    FUNCTION 4 gbt_decompress(internal),
    FUNCTION 5 gbt_inet_penalty(internal,internal,internal),
    FUNCTION 6 gbt_inet_picksplit(internal,internal),
    FUNCTION 7 gbt_inet_same(gbtreekey16,gbtreekey16,internal),
    STORAGE gbtreekey16;

CREATE OPERATOR CLASS gist_uuid_ops DEFAULT FOR TYPE uuid USING gist AS
    OPERATOR 1 pg_catalog.< (uuid, uuid),
    OPERATOR 2 pg_catalog.<= (uuid, uuid),
    OPERATOR 3 pg_catalog.= (uuid, uuid),
    OPERATOR 4 pg_catalog.>= (uuid, uuid),
    OPERATOR 5 pg_catalog.> (uuid, uuid),
    OPERATOR 6 pg_catalog.<> (uuid, uuid),
    FUNCTION 1 gbt_uuid_consistent(internal,uuid,smallint,oid,internal),
    FUNCTION 2 gbt_uuid_union(internal,internal),
    FUNCTION 3 gbt_uuid_compress(internal),
    FUNCTION 4 gbt_decompress(internal),
    FUNCTION 5 gbt_uuid_penalty(internal,internal,internal),
    FUNCTION 6 gbt_uuid_picksplit(internal,internal),
    FUNCTION 7 gbt_uuid_same(gbtreekey32,gbtreekey32,internal),
    FUNCTION 9 gbt_uuid_fetch(internal),
    STORAGE gbtreekey32;

CREATE OPERATOR CLASS gist_macaddr8_ops DEFAULT FOR TYPE macaddr8 USING gist AS
    OPERATOR 1 pg_catalog.< (macaddr8, macaddr8),
    OPERATOR 2 pg_catalog.<= (macaddr8, macaddr8),
    OPERATOR 3 pg_catalog.= (macaddr8, macaddr8),
    OPERATOR 4 pg_catalog.>= (macaddr8, macaddr8),
    OPERATOR 5 pg_catalog.> (macaddr8, macaddr8),
    OPERATOR 6 pg_catalog.<> (macaddr8, macaddr8),
    FUNCTION 1 gbt_macad8_consistent(internal,macaddr8,smallint,oid,internal),
    FUNCTION 2 gbt_macad8_union(internal,internal),
    FUNCTION 3 gbt_macad8_compress(internal),
    FUNCTION 4 gbt_decompress(internal),
    FUNCTION 5 gbt_macad8_penalty(internal,internal,internal),
    FUNCTION 6 gbt_macad8_picksplit(internal,internal),
    FUNCTION 7 gbt_macad8_same(gbtreekey16,gbtreekey16,internal),
    FUNCTION 9 gbt_macad8_fetch(internal),
    STORAGE gbtreekey16;

CREATE OPERATOR CLASS gist_enum_ops DEFAULT FOR TYPE anyenum USING gist AS
    OPERATOR 1 pg_catalog.< (anyenum, anyenum),
    OPERATOR 2 pg_catalog.<= (anyenum, anyenum),
    OPERATOR 3 pg_catalog.= (anyenum, anyenum),
    OPERATOR 4 pg_catalog.>= (anyenum, anyenum),
    OPERATOR 5 pg_catalog.> (anyenum, anyenum),
    OPERATOR 6 pg_catalog.<> (anyenum, anyenum),
    FUNCTION 1 gbt_enum_consistent(internal,anyenum,smallint,oid,internal),
    FUNCTION 2 gbt_enum_union(internal,internal),
    FUNCTION 3 gbt_enum_compress(internal),
    FUNCTION 4 gbt_decompress(internal),
    FUNCTION 5 gbt_enum_penalty(internal,internal,internal),
    FUNCTION 6 gbt_enum_picksplit(internal,internal),
    FUNCTION 7 gbt_enum_same(gbtreekey8,gbtreekey8,internal),
    FUNCTION 9 gbt_enum_fetch(internal),
    STORAGE gbtreekey8;

CREATE OPERATOR CLASS gist_bool_ops DEFAULT FOR TYPE boolean USING gist AS
    OPERATOR 1 pg_catalog.< (boolean, boolean),
    OPERATOR 2 pg_catalog.<= (boolean, boolean),
    OPERATOR 3 pg_catalog.= (boolean, boolean),
    OPERATOR 4 pg_catalog.>= (boolean, boolean),
    OPERATOR 5 pg_catalog.> (boolean, boolean),
    OPERATOR 6 pg_catalog.<> (boolean, boolean),
    FUNCTION 1 gbt_bool_consistent(internal,boolean,smallint,oid,internal),
    FUNCTION 2 gbt_bool_union(internal,internal),
    FUNCTION 3 gbt_bool_compress(internal),
    FUNCTION 4 gbt_decompress(internal),
    FUNCTION 5 gbt_bool_penalty(internal,internal,internal),
    FUNCTION 6 gbt_bool_picksplit(internal,internal),
    FUNCTION 7 gbt_bool_same(gbtreekey2,gbtreekey2,internal),
    FUNCTION 9 gbt_bool_fetch(internal),
    STORAGE gbtreekey2;
