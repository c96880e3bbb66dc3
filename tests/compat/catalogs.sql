-- system catalogs, information functions, regclass and co
CREATE TABLE t (id int PRIMARY KEY, a varchar(10) NOT NULL DEFAULT 'x', b numeric(6,2));
CREATE INDEX t_a ON t (a);
CREATE VIEW v AS SELECT id FROM t;
CREATE SEQUENCE s;
SELECT relname, relkind, relnatts, relhasindex, relpersistence, relispartition FROM pg_class WHERE relnamespace = 'compat_catalogs'::regnamespace ORDER BY relname;
SELECT 't'::regclass, 'compat_catalogs.t'::regclass, 't'::regclass::oid > 16383, 'pg_class'::regclass::oid, 'int4'::regtype, 'integer'::regtype::oid, 'varchar(10)'::regtype, 'pg_catalog'::regnamespace;
SELECT 'nosuch'::regclass;
SELECT 'nosuch'::regtype;
SELECT 'nosuch.x'::regclass;
SELECT to_regclass('nosuch'), to_regclass('t'), to_regtype('int4'), to_regtype('nosuch');
SELECT 'now'::regproc, 'lower(text)'::regprocedure, 'nosuch'::regproc;
SELECT format_type(23, NULL), format_type(1043, 14), format_type(1700, 393222), format_type(0, 0), format_type(1231, NULL), format_type(99999, NULL), format_type(1184, 3);
SELECT typname, typlen, typbyval, typtype, typcategory, typispreferred, typdelim, typelem, typarray FROM pg_type WHERE oid IN (16, 17, 20, 21, 23, 25, 26, 700, 701, 1042, 1043, 1082, 1114, 1184, 1700) ORDER BY oid;
SELECT nspname FROM pg_namespace WHERE nspname IN ('pg_catalog', 'public', 'information_schema', 'compat_catalogs', 'pg_toast') ORDER BY 1;
SELECT datname, encoding, datistemplate, datallowconn FROM pg_database WHERE datname IN ('template0', 'template1', 'postgres') ORDER BY 1;
SELECT rolname, rolsuper, rolcreatedb, rolcanlogin FROM pg_roles WHERE rolname = 'postgres';
SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE table_schema = 'compat_catalogs' ORDER BY 2;
SELECT column_name, ordinal_position, column_default, is_nullable, data_type, character_maximum_length, numeric_precision, numeric_scale, udt_name FROM information_schema.columns WHERE table_schema = 'compat_catalogs' AND table_name = 't' ORDER BY 2;
SELECT schemaname, tablename, tableowner, hasindexes FROM pg_tables WHERE schemaname = 'compat_catalogs';
--differs: the layout of pg_get_viewdef
SELECT schemaname, viewname, definition FROM pg_views WHERE schemaname = 'compat_catalogs';
SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 't' AND schemaname = 'compat_catalogs' ORDER BY 1;
SELECT i.indisunique, i.indisprimary, i.indkey, pg_get_indexdef(i.indexrelid), pg_get_indexdef(i.indexrelid, 1, true) FROM pg_index i WHERE i.indrelid = 't'::regclass ORDER BY i.indexrelid;
SELECT conname, contype, conkey, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 't'::regclass;
SELECT amname, amtype FROM pg_am WHERE amname IN ('heap', 'btree') ORDER BY 1;
SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 't'::regclass;
SELECT pg_table_is_visible('t'::regclass), pg_type_is_visible('int4'::regtype), has_table_privilege('t', 'select'), has_schema_privilege('public', 'usage'), pg_get_userbyid(10);
SELECT pg_relation_size('t'), pg_table_size('nosuch');
SELECT pg_encoding_to_char(6), pg_char_to_encoding('UTF8'), getdatabaseencoding(), pg_client_encoding();
SELECT obj_description(1), shobj_description(1, 'pg_database'), col_description('t'::regclass, 1);
SELECT count(*) > 100 FROM pg_proc;
SELECT count(*) > 100 FROM pg_operator;
SELECT oprname, oprleft::regtype, oprright::regtype, oprresult::regtype FROM pg_operator WHERE oprname = '=' AND oprleft IN (23, 25) ORDER BY 2, 3;
SELECT proname, pronargs, prorettype::regtype FROM pg_proc WHERE proname IN ('abs', 'lower') AND pronargs = 1 AND prorettype IN (21, 23, 20, 700, 701, 1700, 25) ORDER BY 1, 3;
SELECT castsource::regtype, casttarget::regtype, castcontext FROM pg_cast WHERE castsource = 23 AND casttarget IN (20, 21, 16, 701, 1700) ORDER BY 2;
SELECT name, setting, unit, vartype, context FROM pg_settings WHERE name IN ('work_mem', 'search_path', 'TimeZone', 'server_version_num') AND name <> 'server_version_num' ORDER BY 1;
SELECT opcname FROM pg_opclass WHERE opcmethod = 403 AND opcdefault AND opcname IN ('int4_ops', 'text_ops') ORDER BY 1;
SELECT c.relname, a.attname, t.typname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid WHERE c.relname = 't' AND c.relnamespace = 'compat_catalogs'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum;
SELECT n.nspname, c.relname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relname OPERATOR(pg_catalog.~) '^(t)$' COLLATE pg_catalog.default AND n.nspname ~ 'compat_catalogs' ORDER BY 1, 2;
--differs: system columns have no rows in pg_attribute
SELECT attname FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum < 0 ORDER BY attnum;
SELECT oid::regclass FROM pg_class WHERE relname = 'pg_class';
SELECT 1 FROM pg_stat_activity WHERE pid = pg_backend_pid();
SELECT pg_typeof(oid), pg_typeof(relname), pg_typeof(relkind), pg_typeof(relacl) FROM pg_class LIMIT 1;
SELECT indkey[0], indkey FROM pg_index WHERE indexrelid = 't_pkey'::regclass;
SELECT tgname FROM pg_trigger WHERE tgrelid = 't'::regclass;
--differs: PL/pgSQL is not there
SELECT extname FROM pg_extension;
SELECT collname, collprovider FROM pg_collation WHERE collname IN ('default', 'C', 'POSIX') ORDER BY 1;
SELECT spcname FROM pg_tablespace ORDER BY 1;
SELECT tablename, indexname FROM pg_indexes WHERE schemaname = 'pg_catalog' AND tablename = 'pg_class' ORDER BY 2;
SELECT seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle FROM pg_sequence WHERE seqrelid = 's'::regclass;
SELECT txid_current() > 0, pg_is_in_recovery(), inet_server_addr() IS NULL OR true, pg_postmaster_start_time() < now();
SELECT constraint_name, constraint_type FROM information_schema.table_constraints WHERE table_schema = 'compat_catalogs' AND constraint_type = 'PRIMARY KEY';
SELECT column_name FROM information_schema.key_column_usage WHERE table_schema = 'compat_catalogs';
SELECT schema_name FROM information_schema.schemata WHERE schema_name = 'compat_catalogs';
--differs: the layout of pg_get_viewdef
SELECT pg_get_viewdef('v'), pg_get_viewdef('v', true);
--differs: catalogs are written by DDL only (42501)
UPDATE pg_class SET relname = 'x' WHERE false;
SELECT attrelid::regclass, attname FROM pg_attribute WHERE attrelid IN ('t'::regclass, 't_a'::regclass) AND attnum > 0 ORDER BY 1, attnum;
SELECT relname FROM pg_class WHERE oid = 'pg_type'::regclass;
SELECT array_agg(a.attname ORDER BY k.n) FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k (attnum, n) JOIN pg_attribute a ON a.attrelid = 't'::regclass AND a.attnum = k.attnum WHERE i.indexrelid = 't_pkey'::regclass;
