"""SQL of pg_user_mappings and of information_schema's views about foreign data (manual, 37, 54.29)."""

from __future__ import annotations

from typing import Final

_DATABASE: Final = "pg_catalog.current_database()"
_IS_SUPERUSER: Final = "(SELECT rolsuper FROM pg_catalog.pg_authid WHERE rolname = CURRENT_USER)"

_WRAPPERS = """
FROM pg_catalog.pg_foreign_data_wrapper w JOIN pg_catalog.pg_authid o ON o.oid = w.fdwowner"""
_MAY_SEE_WRAPPER = """
WHERE pg_catalog.pg_has_role(w.fdwowner, 'USAGE') OR pg_catalog.has_foreign_data_wrapper_privilege(w.oid, 'USAGE')"""
_WRAPPER_NAMES = f"{_DATABASE} AS foreign_data_wrapper_catalog, w.fdwname AS foreign_data_wrapper_name"

_SERVERS = """
FROM pg_catalog.pg_foreign_server s JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
 JOIN pg_catalog.pg_authid o ON o.oid = s.srvowner"""
_MAY_SEE_SERVER = "(pg_catalog.pg_has_role(s.srvowner, 'USAGE') OR pg_catalog.has_server_privilege(s.oid, 'USAGE'))"
_SERVER_NAMES = f"{_DATABASE} AS foreign_server_catalog, s.srvname AS foreign_server_name"

_TABLES = """
FROM pg_catalog.pg_foreign_table t JOIN pg_catalog.pg_class c ON c.oid = t.ftrelid
 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_foreign_server s ON s.oid = t.ftserver
 JOIN pg_catalog.pg_authid o ON o.oid = c.relowner
WHERE c.relkind = 'f' AND (pg_catalog.pg_has_role(c.relowner, 'USAGE')
 OR pg_catalog.has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
 OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE, REFERENCES'))"""
_TABLE_NAMES = (
    f"{_DATABASE} AS foreign_table_catalog, n.nspname AS foreign_table_schema, c.relname AS foreign_table_name"
)

_COLUMNS = """
FROM pg_catalog.pg_foreign_table t JOIN pg_catalog.pg_class c ON c.oid = t.ftrelid AND c.relkind = 'f'
 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"""
_MAY_SEE_COLUMN = """
WHERE pg_catalog.pg_has_role(c.relowner, 'USAGE')
 OR pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT, INSERT, UPDATE, REFERENCES')"""

_MAPPINGS = """
FROM pg_catalog.pg_user_mapping u JOIN pg_catalog.pg_foreign_server s ON s.oid = u.umserver
 JOIN pg_catalog.pg_authid o ON o.oid = s.srvowner
 LEFT JOIN pg_catalog.pg_authid m ON m.oid = u.umuser"""
_MAPPED = "coalesce(m.rolname, 'PUBLIC'::name) AS authorization_identifier"


def _options(column: str) -> str:
    """A row for each option that a column holds."""
    return f" CROSS JOIN LATERAL pg_catalog.pg_options_to_table({column}) p(option_name, option_value)"


_OPTION = "p.option_name::name AS option_name, p.option_value::varchar AS option_value"

FOREIGN_VIEWS: Final[dict[str, str]] = {
    "pg_catalog.pg_user_mappings": f"""
SELECT u.oid AS umid, s.oid AS srvid, s.srvname, u.umuser,
 CASE WHEN u.umuser = 0 THEN 'public'::name ELSE m.rolname END AS usename,
 CASE WHEN u.umuser <> 0 AND m.rolname = CURRENT_USER AND {_MAY_SEE_SERVER}
  OR u.umuser = 0 AND pg_catalog.pg_has_role(s.srvowner, 'USAGE') OR {_IS_SUPERUSER} THEN u.umoptions END AS umoptions
{_MAPPINGS}""",
    "information_schema._pg_foreign_data_wrappers": f"""
SELECT w.oid, w.fdwowner, w.fdwoptions, {_WRAPPER_NAMES}, o.rolname AS authorization_identifier,
 'c'::varchar AS foreign_data_wrapper_language {_WRAPPERS} {_MAY_SEE_WRAPPER}""",
    "information_schema.foreign_data_wrappers": f"""
SELECT {_WRAPPER_NAMES}, o.rolname AS authorization_identifier, NULL::varchar AS library_name,
 'c'::varchar AS foreign_data_wrapper_language {_WRAPPERS} {_MAY_SEE_WRAPPER}""",
    "information_schema.foreign_data_wrapper_options": f"""
SELECT {_WRAPPER_NAMES}, {_OPTION} {_WRAPPERS} {_options("w.fdwoptions")} {_MAY_SEE_WRAPPER}""",
    "information_schema._pg_foreign_servers": f"""
SELECT s.oid, s.srvoptions, {_SERVER_NAMES}, {_WRAPPER_NAMES}, s.srvtype::varchar AS foreign_server_type,
 s.srvversion::varchar AS foreign_server_version, o.rolname AS authorization_identifier
{_SERVERS} WHERE {_MAY_SEE_SERVER}""",
    "information_schema.foreign_servers": f"""
SELECT {_SERVER_NAMES}, {_WRAPPER_NAMES}, s.srvtype::varchar AS foreign_server_type,
 s.srvversion::varchar AS foreign_server_version, o.rolname AS authorization_identifier
{_SERVERS} WHERE {_MAY_SEE_SERVER}""",
    "information_schema.foreign_server_options": f"""
SELECT {_SERVER_NAMES}, {_OPTION} {_SERVERS} {_options("s.srvoptions")} WHERE {_MAY_SEE_SERVER}""",
    "information_schema._pg_foreign_tables": f"""
SELECT {_TABLE_NAMES}, t.ftoptions, {_SERVER_NAMES}, o.rolname AS authorization_identifier {_TABLES}""",
    "information_schema.foreign_tables": f"""
SELECT {_TABLE_NAMES}, {_SERVER_NAMES} {_TABLES}""",
    "information_schema.foreign_table_options": f"""
SELECT v.foreign_table_catalog, v.foreign_table_schema, v.foreign_table_name, {_OPTION}
FROM (SELECT {_TABLE_NAMES}, t.ftoptions {_TABLES}) v {_options("v.ftoptions")}""",
    "information_schema._pg_foreign_table_columns": f"""
SELECT n.nspname, c.relname, a.attname, a.attfdwoptions {_COLUMNS} {_MAY_SEE_COLUMN}""",
    "information_schema.column_options": f"""
SELECT {_DATABASE} AS table_catalog, n.nspname AS table_schema, c.relname AS table_name, a.attname AS column_name,
 {_OPTION} {_COLUMNS} {_options("a.attfdwoptions")} {_MAY_SEE_COLUMN}""",
    "information_schema._pg_user_mappings": f"""
SELECT u.oid, u.umoptions, u.umuser, {_MAPPED}, {_SERVER_NAMES}, o.rolname AS srvowner
{_MAPPINGS} WHERE {_MAY_SEE_SERVER}""",
    "information_schema.user_mappings": f"""
SELECT {_MAPPED}, {_SERVER_NAMES} {_MAPPINGS} WHERE {_MAY_SEE_SERVER}""",
    "information_schema.user_mapping_options": f"""
SELECT {_MAPPED}, {_SERVER_NAMES}, p.option_name::name AS option_name,
 CASE WHEN u.umuser <> 0 AND m.rolname = CURRENT_USER OR u.umuser = 0 AND pg_catalog.pg_has_role(s.srvowner, 'USAGE')
  OR {_IS_SUPERUSER} THEN p.option_value END::varchar AS option_value
{_MAPPINGS} {_options("u.umoptions")} WHERE {_MAY_SEE_SERVER}""",
}
