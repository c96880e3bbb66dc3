-- btree_gin 1.3
CREATE FUNCTION gin_btree_consistent(internal, smallint, anyelement, integer, internal, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_btree_consistent';

CREATE FUNCTION gin_extract_value_int2(smallint, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_int2';

CREATE FUNCTION gin_compare_prefix_int2(smallint, smallint, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_int2';

CREATE FUNCTION gin_extract_query_int2(smallint, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_int2';

CREATE FUNCTION gin_extract_value_int4(integer, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_int4';

CREATE FUNCTION gin_compare_prefix_int4(integer, integer, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_int4';

CREATE FUNCTION gin_extract_query_int4(integer, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_int4';

CREATE FUNCTION gin_extract_value_int8(bigint, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_int8';

CREATE FUNCTION gin_compare_prefix_int8(bigint, bigint, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_int8';

CREATE FUNCTION gin_extract_query_int8(bigint, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_int8';

CREATE FUNCTION gin_extract_value_float4(real, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_float4';

CREATE FUNCTION gin_compare_prefix_float4(real, real, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_float4';

CREATE FUNCTION gin_extract_query_float4(real, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_float4';

CREATE FUNCTION gin_extract_value_float8(double precision, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_float8';

CREATE FUNCTION gin_compare_prefix_float8(double precision, double precision, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_float8';

CREATE FUNCTION gin_extract_query_float8(double precision, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_float8';

CREATE FUNCTION gin_extract_value_money(money, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_money';

CREATE FUNCTION gin_compare_prefix_money(money, money, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_money';

CREATE FUNCTION gin_extract_query_money(money, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_money';

CREATE FUNCTION gin_extract_value_oid(oid, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_oid';

CREATE FUNCTION gin_compare_prefix_oid(oid, oid, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_oid';

CREATE FUNCTION gin_extract_query_oid(oid, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_oid';

CREATE FUNCTION gin_extract_value_timestamp(timestamp without time zone, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_timestamp';

CREATE FUNCTION gin_compare_prefix_timestamp(timestamp without time zone, timestamp without time zone, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_timestamp';

CREATE FUNCTION gin_extract_query_timestamp(timestamp without time zone, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_timestamp';

CREATE FUNCTION gin_extract_value_timestamptz(timestamp with time zone, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_timestamptz';

CREATE FUNCTION gin_compare_prefix_timestamptz(timestamp with time zone, timestamp with time zone, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_timestamptz';

CREATE FUNCTION gin_extract_query_timestamptz(timestamp with time zone, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_timestamptz';

CREATE FUNCTION gin_extract_value_time(time without time zone, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_time';

CREATE FUNCTION gin_compare_prefix_time(time without time zone, time without time zone, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_time';

CREATE FUNCTION gin_extract_query_time(time without time zone, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_time';

CREATE FUNCTION gin_extract_value_timetz(time with time zone, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_timetz';

CREATE FUNCTION gin_compare_prefix_timetz(time with time zone, time with time zone, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_timetz';

CREATE FUNCTION gin_extract_query_timetz(time with time zone, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_timetz';

CREATE FUNCTION gin_extract_value_date(date, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_date';

CREATE FUNCTION gin_compare_prefix_date(date, date, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_date';

CREATE FUNCTION gin_extract_query_date(date, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_date';

CREATE FUNCTION gin_extract_value_interval(interval, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_interval';

CREATE FUNCTION gin_compare_prefix_interval(interval, interval, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_interval';

CREATE FUNCTION gin_extract_query_interval(interval, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_interval';

CREATE FUNCTION gin_extract_value_macaddr(macaddr, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_macaddr';

CREATE FUNCTION gin_compare_prefix_macaddr(macaddr, macaddr, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_macaddr';

CREATE FUNCTION gin_extract_query_macaddr(macaddr, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_macaddr';

CREATE FUNCTION gin_extract_value_inet(inet, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_inet';

CREATE FUNCTION gin_compare_prefix_inet(inet, inet, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_inet';

CREATE FUNCTION gin_extract_query_inet(inet, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_inet';

CREATE FUNCTION gin_extract_value_cidr(cidr, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_cidr';

CREATE FUNCTION gin_compare_prefix_cidr(cidr, cidr, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_cidr';

CREATE FUNCTION gin_extract_query_cidr(cidr, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_cidr';

CREATE FUNCTION gin_extract_value_text(text, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_text';

CREATE FUNCTION gin_compare_prefix_text(text, text, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_text';

CREATE FUNCTION gin_extract_query_text(text, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_text';

CREATE FUNCTION gin_extract_value_char("char", internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_char';

CREATE FUNCTION gin_compare_prefix_char("char", "char", smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_char';

CREATE FUNCTION gin_extract_query_char("char", internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_char';

CREATE FUNCTION gin_extract_value_bytea(bytea, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_bytea';

CREATE FUNCTION gin_compare_prefix_bytea(bytea, bytea, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_bytea';

CREATE FUNCTION gin_extract_query_bytea(bytea, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_bytea';

CREATE FUNCTION gin_extract_value_bit(bit, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_bit';

CREATE FUNCTION gin_compare_prefix_bit(bit, bit, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_bit';

CREATE FUNCTION gin_extract_query_bit(bit, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_bit';

CREATE FUNCTION gin_extract_value_varbit(bit varying, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_varbit';

CREATE FUNCTION gin_compare_prefix_varbit(bit varying, bit varying, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_varbit';

CREATE FUNCTION gin_extract_query_varbit(bit varying, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_varbit';

CREATE FUNCTION gin_extract_value_numeric(numeric, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_numeric';

CREATE FUNCTION gin_compare_prefix_numeric(numeric, numeric, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_numeric';

CREATE FUNCTION gin_extract_query_numeric(numeric, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_numeric';

CREATE FUNCTION gin_numeric_cmp(numeric, numeric) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_numeric_cmp';

CREATE FUNCTION gin_extract_value_macaddr8(macaddr8, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_macaddr8';

CREATE FUNCTION gin_compare_prefix_macaddr8(macaddr8, macaddr8, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_macaddr8';

CREATE FUNCTION gin_extract_query_macaddr8(macaddr8, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_macaddr8';

CREATE FUNCTION gin_extract_value_anyenum(anyenum, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_anyenum';

CREATE FUNCTION gin_compare_prefix_anyenum(anyenum, anyenum, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_anyenum';

CREATE FUNCTION gin_extract_query_anyenum(anyenum, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_anyenum';

CREATE FUNCTION gin_enum_cmp(anyenum, anyenum) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_enum_cmp';

CREATE FUNCTION gin_extract_value_uuid(uuid, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_uuid';

CREATE FUNCTION gin_compare_prefix_uuid(uuid, uuid, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_uuid';

CREATE FUNCTION gin_extract_query_uuid(uuid, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_uuid';

CREATE FUNCTION gin_extract_value_name(name, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_name';

CREATE FUNCTION gin_compare_prefix_name(name, name, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_name';

CREATE FUNCTION gin_extract_query_name(name, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_name';

CREATE FUNCTION gin_extract_value_bool(boolean, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_bool';

CREATE FUNCTION gin_compare_prefix_bool(boolean, boolean, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_bool';

CREATE FUNCTION gin_extract_query_bool(boolean, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_bool';

CREATE FUNCTION gin_extract_value_bpchar(character, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_value_bpchar';

CREATE FUNCTION gin_compare_prefix_bpchar(character, character, smallint, internal) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_compare_prefix_bpchar';

CREATE FUNCTION gin_extract_query_bpchar(character, internal, smallint, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT AS 'gin_extract_query_bpchar';

CREATE OPERATOR CLASS int2_ops DEFAULT FOR TYPE smallint USING gin AS
    OPERATOR 1 pg_catalog.< (smallint, smallint),
    OPERATOR 2 pg_catalog.<= (smallint, smallint),
    OPERATOR 3 pg_catalog.= (smallint, smallint),
    OPERATOR 4 pg_catalog.>= (smallint, smallint),
    OPERATOR 5 pg_catalog.> (smallint, smallint),
    FUNCTION 1 pg_catalog.btint2cmp(smallint,smallint),
    FUNCTION 2 gin_extract_value_int2(smallint,internal),
    FUNCTION 3 gin_extract_query_int2(smallint,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_int2(smallint,smallint,smallint,internal);

CREATE OPERATOR CLASS int4_ops DEFAULT FOR TYPE integer USING gin AS
    OPERATOR 1 pg_catalog.< (integer, integer),
    OPERATOR 2 pg_catalog.<= (integer, integer),
    OPERATOR 3 pg_catalog.= (integer, integer),
    OPERATOR 4 pg_catalog.>= (integer, integer),
    OPERATOR 5 pg_catalog.> (integer, integer),
    FUNCTION 1 pg_catalog.btint4cmp(integer,integer),
    FUNCTION 2 gin_extract_value_int4(integer,internal),
    FUNCTION 3 gin_extract_query_int4(integer,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_int4(integer,integer,smallint,internal);

CREATE OPERATOR CLASS int8_ops DEFAULT FOR TYPE bigint USING gin AS
    OPERATOR 1 pg_catalog.< (bigint, bigint),
    OPERATOR 2 pg_catalog.<= (bigint, bigint),
    OPERATOR 3 pg_catalog.= (bigint, bigint),
    OPERATOR 4 pg_catalog.>= (bigint, bigint),
    OPERATOR 5 pg_catalog.> (bigint, bigint),
    FUNCTION 1 pg_catalog.btint8cmp(bigint,bigint),
    FUNCTION 2 gin_extract_value_int8(bigint,internal),
    FUNCTION 3 gin_extract_query_int8(bigint,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_int8(bigint,bigint,smallint,internal);

CREATE OPERATOR CLASS float4_ops DEFAULT FOR TYPE real USING gin AS
    OPERATOR 1 pg_catalog.< (real, real),
    OPERATOR 2 pg_catalog.<= (real, real),
    OPERATOR 3 pg_catalog.= (real, real),
    OPERATOR 4 pg_catalog.>= (real, real),
    OPERATOR 5 pg_catalog.> (real, real),
    FUNCTION 1 pg_catalog.btfloat4cmp(real,real),
    FUNCTION 2 gin_extract_value_float4(real,internal),
    FUNCTION 3 gin_extract_query_float4(real,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_float4(real,real,smallint,internal);

CREATE OPERATOR CLASS float8_ops DEFAULT FOR TYPE double precision USING gin AS
    OPERATOR 1 pg_catalog.< (double precision, double precision),
    OPERATOR 2 pg_catalog.<= (double precision, double precision),
    OPERATOR 3 pg_catalog.= (double precision, double precision),
    OPERATOR 4 pg_catalog.>= (double precision, double precision),
    OPERATOR 5 pg_catalog.> (double precision, double precision),
    FUNCTION 1 pg_catalog.btfloat8cmp(double precision,double precision),
    FUNCTION 2 gin_extract_value_float8(double precision,internal),
    FUNCTION 3 gin_extract_query_float8(double precision,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_float8(double precision,double precision,smallint,internal);

CREATE OPERATOR CLASS money_ops DEFAULT FOR TYPE money USING gin AS
    OPERATOR 1 pg_catalog.< (money, money),
    OPERATOR 2 pg_catalog.<= (money, money),
    OPERATOR 3 pg_catalog.= (money, money),
    OPERATOR 4 pg_catalog.>= (money, money),
    OPERATOR 5 pg_catalog.> (money, money),
    FUNCTION 1 pg_catalog.cash_cmp(money,money),
    FUNCTION 2 gin_extract_value_money(money,internal),
    FUNCTION 3 gin_extract_query_money(money,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_money(money,money,smallint,internal);

CREATE OPERATOR CLASS oid_ops DEFAULT FOR TYPE oid USING gin AS
    OPERATOR 1 pg_catalog.< (oid, oid),
    OPERATOR 2 pg_catalog.<= (oid, oid),
    OPERATOR 3 pg_catalog.= (oid, oid),
    OPERATOR 4 pg_catalog.>= (oid, oid),
    OPERATOR 5 pg_catalog.> (oid, oid),
    FUNCTION 1 pg_catalog.btoidcmp(oid,oid),
    FUNCTION 2 gin_extract_value_oid(oid,internal),
    FUNCTION 3 gin_extract_query_oid(oid,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_oid(oid,oid,smallint,internal);

CREATE OPERATOR CLASS timestamp_ops DEFAULT FOR TYPE timestamp without time zone USING gin AS
    OPERATOR 1 pg_catalog.< (timestamp without time zone, timestamp without time zone),
    OPERATOR 2 pg_catalog.<= (timestamp without time zone, timestamp without time zone),
    OPERATOR 3 pg_catalog.= (timestamp without time zone, timestamp without time zone),
    OPERATOR 4 pg_catalog.>= (timestamp without time zone, timestamp without time zone),
    OPERATOR 5 pg_catalog.> (timestamp without time zone, timestamp without time zone),
    FUNCTION 1 pg_catalog.timestamp_cmp(timestamp without time zone,timestamp without time zone),
    FUNCTION 2 gin_extract_value_timestamp(timestamp without time zone,internal),
    FUNCTION 3 gin_extract_query_timestamp(timestamp without time zone,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_timestamp(timestamp without time zone,timestamp without time zone,smallint,internal);

CREATE OPERATOR CLASS timestamptz_ops DEFAULT FOR TYPE timestamp with time zone USING gin AS
    OPERATOR 1 pg_catalog.< (timestamp with time zone, timestamp with time zone),
    OPERATOR 2 pg_catalog.<= (timestamp with time zone, timestamp with time zone),
    OPERATOR 3 pg_catalog.= (timestamp with time zone, timestamp with time zone),
    OPERATOR 4 pg_catalog.>= (timestamp with time zone, timestamp with time zone),
    OPERATOR 5 pg_catalog.> (timestamp with time zone, timestamp with time zone),
    FUNCTION 1 pg_catalog.timestamptz_cmp(timestamp with time zone,timestamp with time zone),
    FUNCTION 2 gin_extract_value_timestamptz(timestamp with time zone,internal),
    FUNCTION 3 gin_extract_query_timestamptz(timestamp with time zone,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_timestamptz(timestamp with time zone,timestamp with time zone,smallint,internal);

CREATE OPERATOR CLASS time_ops DEFAULT FOR TYPE time without time zone USING gin AS
    OPERATOR 1 pg_catalog.< (time without time zone, time without time zone),
    OPERATOR 2 pg_catalog.<= (time without time zone, time without time zone),
    OPERATOR 3 pg_catalog.= (time without time zone, time without time zone),
    OPERATOR 4 pg_catalog.>= (time without time zone, time without time zone),
    OPERATOR 5 pg_catalog.> (time without time zone, time without time zone),
    FUNCTION 1 pg_catalog.time_cmp(time without time zone,time without time zone),
    FUNCTION 2 gin_extract_value_time(time without time zone,internal),
    FUNCTION 3 gin_extract_query_time(time without time zone,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_time(time without time zone,time without time zone,smallint,internal);

CREATE OPERATOR CLASS timetz_ops DEFAULT FOR TYPE time with time zone USING gin AS
    OPERATOR 1 pg_catalog.< (time with time zone, time with time zone),
    OPERATOR 2 pg_catalog.<= (time with time zone, time with time zone),
    OPERATOR 3 pg_catalog.= (time with time zone, time with time zone),
    OPERATOR 4 pg_catalog.>= (time with time zone, time with time zone),
    OPERATOR 5 pg_catalog.> (time with time zone, time with time zone),
    FUNCTION 1 pg_catalog.timetz_cmp(time with time zone,time with time zone),
    FUNCTION 2 gin_extract_value_timetz(time with time zone,internal),
    FUNCTION 3 gin_extract_query_timetz(time with time zone,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_timetz(time with time zone,time with time zone,smallint,internal);

CREATE OPERATOR CLASS date_ops DEFAULT FOR TYPE date USING gin AS
    OPERATOR 1 pg_catalog.< (date, date),
    OPERATOR 2 pg_catalog.<= (date, date),
    OPERATOR 3 pg_catalog.= (date, date),
    OPERATOR 4 pg_catalog.>= (date, date),
    OPERATOR 5 pg_catalog.> (date, date),
    FUNCTION 1 pg_catalog.date_cmp(date,date),
    FUNCTION 2 gin_extract_value_date(date,internal),
    FUNCTION 3 gin_extract_query_date(date,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_date(date,date,smallint,internal);

CREATE OPERATOR CLASS interval_ops DEFAULT FOR TYPE interval USING gin AS
    OPERATOR 1 pg_catalog.< (interval, interval),
    OPERATOR 2 pg_catalog.<= (interval, interval),
    OPERATOR 3 pg_catalog.= (interval, interval),
    OPERATOR 4 pg_catalog.>= (interval, interval),
    OPERATOR 5 pg_catalog.> (interval, interval),
    FUNCTION 1 pg_catalog.interval_cmp(interval,interval),
    FUNCTION 2 gin_extract_value_interval(interval,internal),
    FUNCTION 3 gin_extract_query_interval(interval,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_interval(interval,interval,smallint,internal);

CREATE OPERATOR CLASS macaddr_ops DEFAULT FOR TYPE macaddr USING gin AS
    OPERATOR 1 pg_catalog.< (macaddr, macaddr),
    OPERATOR 2 pg_catalog.<= (macaddr, macaddr),
    OPERATOR 3 pg_catalog.= (macaddr, macaddr),
    OPERATOR 4 pg_catalog.>= (macaddr, macaddr),
    OPERATOR 5 pg_catalog.> (macaddr, macaddr),
    FUNCTION 1 pg_catalog.macaddr_cmp(macaddr,macaddr),
    FUNCTION 2 gin_extract_value_macaddr(macaddr,internal),
    FUNCTION 3 gin_extract_query_macaddr(macaddr,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_macaddr(macaddr,macaddr,smallint,internal);

CREATE OPERATOR CLASS inet_ops DEFAULT FOR TYPE inet USING gin AS
    OPERATOR 1 pg_catalog.< (inet, inet),
    OPERATOR 2 pg_catalog.<= (inet, inet),
    OPERATOR 3 pg_catalog.= (inet, inet),
    OPERATOR 4 pg_catalog.>= (inet, inet),
    OPERATOR 5 pg_catalog.> (inet, inet),
    FUNCTION 1 pg_catalog.network_cmp(inet,inet),
    FUNCTION 2 gin_extract_value_inet(inet,internal),
    FUNCTION 3 gin_extract_query_inet(inet,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_inet(inet,inet,smallint,internal);

CREATE OPERATOR CLASS cidr_ops DEFAULT FOR TYPE cidr USING gin AS
    OPERATOR 1 pg_catalog.< (inet, inet),
    OPERATOR 2 pg_catalog.<= (inet, inet),
    OPERATOR 3 pg_catalog.= (inet, inet),
    OPERATOR 4 pg_catalog.>= (inet, inet),
    OPERATOR 5 pg_catalog.> (inet, inet),
    FUNCTION 1 pg_catalog.network_cmp(inet,inet),
    FUNCTION 2 gin_extract_value_cidr(cidr,internal),
    FUNCTION 3 gin_extract_query_cidr(cidr,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_cidr(cidr,cidr,smallint,internal);

CREATE OPERATOR CLASS text_ops DEFAULT FOR TYPE text USING gin AS
    OPERATOR 1 pg_catalog.< (text, text),
    OPERATOR 2 pg_catalog.<= (text, text),
    OPERATOR 3 pg_catalog.= (text, text),
    OPERATOR 4 pg_catalog.>= (text, text),
    OPERATOR 5 pg_catalog.> (text, text),
    FUNCTION 1 pg_catalog.bttextcmp(text,text),
    FUNCTION 2 gin_extract_value_text(text,internal),
    FUNCTION 3 gin_extract_query_text(text,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_text(text,text,smallint,internal);

CREATE OPERATOR CLASS varchar_ops DEFAULT FOR TYPE character varying USING gin AS
    OPERATOR 1 pg_catalog.< (text, text),
    OPERATOR 2 pg_catalog.<= (text, text),
    OPERATOR 3 pg_catalog.= (text, text),
    OPERATOR 4 pg_catalog.>= (text, text),
    OPERATOR 5 pg_catalog.> (text, text),
    FUNCTION 1 pg_catalog.bttextcmp(text,text),
    FUNCTION 2 gin_extract_value_text(text,internal),
    FUNCTION 3 gin_extract_query_text(text,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_text(text,text,smallint,internal);

CREATE OPERATOR CLASS char_ops DEFAULT FOR TYPE "char" USING gin AS
    OPERATOR 1 pg_catalog.< ("char", "char"),
    OPERATOR 2 pg_catalog.<= ("char", "char"),
    OPERATOR 3 pg_catalog.= ("char", "char"),
    OPERATOR 4 pg_catalog.>= ("char", "char"),
    OPERATOR 5 pg_catalog.> ("char", "char"),
    FUNCTION 1 pg_catalog.btcharcmp("char","char"),
    FUNCTION 2 gin_extract_value_char("char",internal),
    FUNCTION 3 gin_extract_query_char("char",internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_char("char","char",smallint,internal);

CREATE OPERATOR CLASS bytea_ops DEFAULT FOR TYPE bytea USING gin AS
    OPERATOR 1 pg_catalog.< (bytea, bytea),
    OPERATOR 2 pg_catalog.<= (bytea, bytea),
    OPERATOR 3 pg_catalog.= (bytea, bytea),
    OPERATOR 4 pg_catalog.>= (bytea, bytea),
    OPERATOR 5 pg_catalog.> (bytea, bytea),
    FUNCTION 1 pg_catalog.byteacmp(bytea,bytea),
    FUNCTION 2 gin_extract_value_bytea(bytea,internal),
    FUNCTION 3 gin_extract_query_bytea(bytea,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_bytea(bytea,bytea,smallint,internal);

CREATE OPERATOR CLASS bit_ops DEFAULT FOR TYPE bit USING gin AS
    OPERATOR 1 pg_catalog.< (bit, bit),
    OPERATOR 2 pg_catalog.<= (bit, bit),
    OPERATOR 3 pg_catalog.= (bit, bit),
    OPERATOR 4 pg_catalog.>= (bit, bit),
    OPERATOR 5 pg_catalog.> (bit, bit),
    FUNCTION 1 pg_catalog.bitcmp(bit,bit),
    FUNCTION 2 gin_extract_value_bit(bit,internal),
    FUNCTION 3 gin_extract_query_bit(bit,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_bit(bit,bit,smallint,internal);

CREATE OPERATOR CLASS varbit_ops DEFAULT FOR TYPE bit varying USING gin AS
    OPERATOR 1 pg_catalog.< (bit varying, bit varying),
    OPERATOR 2 pg_catalog.<= (bit varying, bit varying),
    OPERATOR 3 pg_catalog.= (bit varying, bit varying),
    OPERATOR 4 pg_catalog.>= (bit varying, bit varying),
    OPERATOR 5 pg_catalog.> (bit varying, bit varying),
    FUNCTION 1 pg_catalog.varbitcmp(bit varying,bit varying),
    FUNCTION 2 gin_extract_value_varbit(bit varying,internal),
    FUNCTION 3 gin_extract_query_varbit(bit varying,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_varbit(bit varying,bit varying,smallint,internal);

CREATE OPERATOR CLASS numeric_ops DEFAULT FOR TYPE numeric USING gin AS
    OPERATOR 1 pg_catalog.< (numeric, numeric),
    OPERATOR 2 pg_catalog.<= (numeric, numeric),
    OPERATOR 3 pg_catalog.= (numeric, numeric),
    OPERATOR 4 pg_catalog.>= (numeric, numeric),
    OPERATOR 5 pg_catalog.> (numeric, numeric),
    FUNCTION 1 gin_numeric_cmp(numeric,numeric),
    FUNCTION 2 gin_extract_value_numeric(numeric,internal),
    FUNCTION 3 gin_extract_query_numeric(numeric,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_numeric(numeric,numeric,smallint,internal);

CREATE OPERATOR CLASS macaddr8_ops DEFAULT FOR TYPE macaddr8 USING gin AS
    OPERATOR 1 pg_catalog.< (macaddr8, macaddr8),
    OPERATOR 2 pg_catalog.<= (macaddr8, macaddr8),
    OPERATOR 3 pg_catalog.= (macaddr8, macaddr8),
    OPERATOR 4 pg_catalog.>= (macaddr8, macaddr8),
    OPERATOR 5 pg_catalog.> (macaddr8, macaddr8),
    FUNCTION 1 pg_catalog.macaddr8_cmp(macaddr8,macaddr8),
    FUNCTION 2 gin_extract_value_macaddr8(macaddr8,internal),
    FUNCTION 3 gin_extract_query_macaddr8(macaddr8,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_macaddr8(macaddr8,macaddr8,smallint,internal);

CREATE OPERATOR CLASS enum_ops DEFAULT FOR TYPE anyenum USING gin AS
    OPERATOR 1 pg_catalog.< (anyenum, anyenum),
    OPERATOR 2 pg_catalog.<= (anyenum, anyenum),
    OPERATOR 3 pg_catalog.= (anyenum, anyenum),
    OPERATOR 4 pg_catalog.>= (anyenum, anyenum),
    OPERATOR 5 pg_catalog.> (anyenum, anyenum),
    FUNCTION 1 gin_enum_cmp(anyenum,anyenum),
    FUNCTION 2 gin_extract_value_anyenum(anyenum,internal),
    FUNCTION 3 gin_extract_query_anyenum(anyenum,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_anyenum(anyenum,anyenum,smallint,internal);

CREATE OPERATOR CLASS uuid_ops DEFAULT FOR TYPE uuid USING gin AS
    OPERATOR 1 pg_catalog.< (uuid, uuid),
    OPERATOR 2 pg_catalog.<= (uuid, uuid),
    OPERATOR 3 pg_catalog.= (uuid, uuid),
    OPERATOR 4 pg_catalog.>= (uuid, uuid),
    OPERATOR 5 pg_catalog.> (uuid, uuid),
    FUNCTION 1 pg_catalog.uuid_cmp(uuid,uuid),
    FUNCTION 2 gin_extract_value_uuid(uuid,internal),
    FUNCTION 3 gin_extract_query_uuid(uuid,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_uuid(uuid,uuid,smallint,internal);

CREATE OPERATOR CLASS name_ops DEFAULT FOR TYPE name USING gin AS
    OPERATOR 1 pg_catalog.< (name, name),
    OPERATOR 2 pg_catalog.<= (name, name),
    OPERATOR 3 pg_catalog.= (name, name),
    OPERATOR 4 pg_catalog.>= (name, name),
    OPERATOR 5 pg_catalog.> (name, name),
    FUNCTION 1 pg_catalog.btnamecmp(name,name),
    FUNCTION 2 gin_extract_value_name(name,internal),
    FUNCTION 3 gin_extract_query_name(name,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_name(name,name,smallint,internal);

CREATE OPERATOR CLASS bool_ops DEFAULT FOR TYPE boolean USING gin AS
    OPERATOR 1 pg_catalog.< (boolean, boolean),
    OPERATOR 2 pg_catalog.<= (boolean, boolean),
    OPERATOR 3 pg_catalog.= (boolean, boolean),
    OPERATOR 4 pg_catalog.>= (boolean, boolean),
    OPERATOR 5 pg_catalog.> (boolean, boolean),
    FUNCTION 1 pg_catalog.btboolcmp(boolean,boolean),
    FUNCTION 2 gin_extract_value_bool(boolean,internal),
    FUNCTION 3 gin_extract_query_bool(boolean,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_bool(boolean,boolean,smallint,internal);

CREATE OPERATOR CLASS bpchar_ops DEFAULT FOR TYPE character USING gin AS
    OPERATOR 1 pg_catalog.< (character, character),
    OPERATOR 2 pg_catalog.<= (character, character),
    OPERATOR 3 pg_catalog.= (character, character),
    OPERATOR 4 pg_catalog.>= (character, character),
    OPERATOR 5 pg_catalog.> (character, character),
    FUNCTION 1 pg_catalog.bpcharcmp(character,character),
    FUNCTION 2 gin_extract_value_bpchar(character,internal),
    FUNCTION 3 gin_extract_query_bpchar(character,internal,smallint,internal,internal),
    FUNCTION 4 gin_btree_consistent(internal,smallint,anyelement,integer,internal,internal),
    FUNCTION 5 gin_compare_prefix_bpchar(character,character,smallint,internal);
