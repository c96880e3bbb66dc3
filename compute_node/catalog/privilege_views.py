"""SQL of information_schema's views of privileges and roles (manual, ch. 37): who was granted what, by whom.

Each view of grants reads one catalog's lists, explodes them and shows those that concern a role of the current user,
or PUBLIC. Names, types and OIDs of the columns are in ``relations/schema/views.json``.
"""

from __future__ import annotations

_CATALOG = "pg_catalog.current_database()"
_GRANTEES = "(SELECT oid, rolname FROM pg_catalog.pg_authid UNION ALL SELECT 0::pg_catalog.oid, 'PUBLIC')"
_CONCERNS = "(pg_catalog.pg_has_role(r.oid, 'USAGE') OR pg_catalog.pg_has_role(e.oid, 'USAGE') OR e.rolname = 'PUBLIC')"


def _yes(condition: str) -> str:
    return f"CASE WHEN {condition} THEN 'YES' ELSE 'NO' END::varchar(3)"


def _granted(columns: str, source: str, kinds: str) -> str:
    """``source`` gives rows ``o`` with ``owner`` and the items of their lists as ``x``."""
    return f"""
SELECT r.rolname AS grantor, e.rolname AS grantee, {columns}
FROM {source}
 JOIN pg_catalog.pg_authid r ON r.oid = x.grantor JOIN {_GRANTEES} e (oid, rolname) ON e.oid = x.grantee
 JOIN pg_catalog.pg_namespace n ON n.oid = o.namespace
WHERE x.privilege_type IN ({kinds}) AND {_CONCERNS}"""


def _listed(catalog: str, prefix: str, letter: str, more: str = "", where: str = "true") -> str:
    """A catalog's objects with the items of their lists."""
    return f"""(SELECT oid, {prefix}name AS name, {prefix}namespace AS namespace, {prefix}owner AS owner,
 coalesce({prefix}acl, pg_catalog.acldefault('{letter}', {prefix}owner)) AS items{more}
 FROM pg_catalog.{catalog} WHERE {where}) o CROSS JOIN LATERAL pg_catalog.aclexplode(o.items) x"""


_GRANTABLE = _yes("pg_catalog.pg_has_role(e.oid, o.owner, 'USAGE') OR x.is_grantable")
_HIERARCHY = _yes("x.privilege_type = 'SELECT'")
_COLUMN_GRANTABLE = _yes("pg_catalog.pg_has_role(x.grantee, x.owner, 'USAGE') OR x.is_grantable")
_ADMIN = _yes("m.admin_option")
_TABLES = "'INSERT', 'SELECT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'"
_COLUMNS = "'INSERT', 'SELECT', 'UPDATE', 'REFERENCES'"
_TABLE_KINDS = "relkind IN ('r', 'v', 'f', 'p')"


def _usage(kind: str, source: str) -> str:
    return _granted(
        f"{_CATALOG} AS object_catalog, n.nspname AS object_schema, o.name AS object_name, '{kind}'::varchar AS "
        f"object_type, 'USAGE'::varchar AS privilege_type, {_GRANTABLE} AS is_grantable",
        source,
        "'USAGE'",
    )


_COLUMN_LISTS = f"""(SELECT c.relname AS name, c.relnamespace AS namespace, c.relowner AS owner, a.attname,
  x.grantor, x.grantee, x.privilege_type, x.is_grantable
 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
  CROSS JOIN LATERAL pg_catalog.aclexplode(coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner))) x
 WHERE c.{_TABLE_KINDS} AND a.attnum > 0 AND NOT a.attisdropped
 UNION SELECT c.relname, c.relnamespace, c.relowner, a.attname, x.grantor, x.grantee, x.privilege_type, x.is_grantable
 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
  CROSS JOIN LATERAL pg_catalog.aclexplode(a.attacl) x
 WHERE c.{_TABLE_KINDS} AND a.attnum > 0 AND NOT a.attisdropped)"""


_DOMAINS = _listed("pg_type", "typ", "T", where="typtype = 'd'")
_SEQUENCES = _listed("pg_class", "rel", "r", where="relkind = 'S'")


def _usage_alone(kind: str, catalog: str, prefix: str, letter: str) -> str:
    """The same of objects that are in no schema."""
    return f"""
SELECT r.rolname AS grantor, e.rolname AS grantee, {_CATALOG} AS object_catalog, ''::name AS object_schema,
 o.name AS object_name, '{kind}'::varchar AS object_type, 'USAGE'::varchar AS privilege_type,
 {_GRANTABLE} AS is_grantable
FROM (SELECT {prefix}name AS name, {prefix}owner AS owner,
  coalesce({prefix}acl, pg_catalog.acldefault('{letter}', {prefix}owner)) AS items FROM pg_catalog.{catalog}) o
 CROSS JOIN LATERAL pg_catalog.aclexplode(o.items) x
 JOIN pg_catalog.pg_authid r ON r.oid = x.grantor JOIN {_GRANTEES} e (oid, rolname) ON e.oid = x.grantee
WHERE x.privilege_type = 'USAGE' AND {_CONCERNS}"""


def _column_privileges() -> str:
    return f"""
SELECT r.rolname AS grantor, e.rolname AS grantee, {_CATALOG} AS table_catalog, n.nspname AS table_schema,
 x.name AS table_name, x.attname AS column_name, x.privilege_type::varchar AS privilege_type,
 {_COLUMN_GRANTABLE} AS is_grantable
FROM {_COLUMN_LISTS} x
 JOIN pg_catalog.pg_authid r ON r.oid = x.grantor JOIN {_GRANTEES} e (oid, rolname) ON e.oid = x.grantee
 JOIN pg_catalog.pg_namespace n ON n.oid = x.namespace
WHERE x.privilege_type IN ({_COLUMNS}) AND {_CONCERNS}"""


def _of_roles(view: str) -> str:
    """The rows of a view of grants that name a role of the current user."""
    roles = "(SELECT role_name FROM information_schema.enabled_roles)"
    return f"SELECT * FROM information_schema.{view} WHERE grantor IN {roles} OR grantee IN {roles}"


PRIVILEGE_VIEWS = {
    "information_schema.enabled_roles": """
SELECT a.rolname AS role_name FROM pg_catalog.pg_authid a WHERE pg_catalog.pg_has_role(a.oid, 'USAGE')""",
    "information_schema.applicable_roles": f"""
SELECT a.rolname AS grantee, b.rolname AS role_name, {_ADMIN} AS is_grantable
FROM (SELECT member, roleid, admin_option FROM pg_catalog.pg_auth_members
  UNION SELECT d.datdba, r.oid, false FROM pg_catalog.pg_database d CROSS JOIN pg_catalog.pg_authid r
  WHERE d.datname = {_CATALOG} AND r.rolname = 'pg_database_owner') m
 JOIN pg_catalog.pg_authid a ON m.member = a.oid JOIN pg_catalog.pg_authid b ON m.roleid = b.oid
WHERE pg_catalog.pg_has_role(a.oid, 'USAGE')""",
    "information_schema.administrable_role_authorizations": """
SELECT grantee, role_name, is_grantable FROM information_schema.applicable_roles WHERE is_grantable = 'YES'""",
    "information_schema.table_privileges": _granted(
        f"{_CATALOG} AS table_catalog, n.nspname AS table_schema, o.name AS table_name, x.privilege_type::varchar AS "
        f"privilege_type, {_GRANTABLE} AS is_grantable, {_HIERARCHY} AS with_hierarchy",
        _listed("pg_class", "rel", "r", where=_TABLE_KINDS),
        _TABLES,
    ),
    "information_schema.column_privileges": _column_privileges(),
    "information_schema.routine_privileges": _granted(
        f"{_CATALOG} AS specific_catalog, n.nspname AS specific_schema, (o.name::text || '_' || o.oid::text)::name AS "
        f"specific_name, {_CATALOG} AS routine_catalog, n.nspname AS routine_schema, o.name AS routine_name, "
        f"'EXECUTE'::varchar AS privilege_type, {_GRANTABLE} AS is_grantable",
        _listed("pg_proc", "pro", "f"),
        "'EXECUTE'",
    ),
    "information_schema.udt_privileges": _granted(
        f"{_CATALOG} AS udt_catalog, n.nspname AS udt_schema, o.name AS udt_name, 'TYPE USAGE'::varchar AS "
        f"privilege_type, {_GRANTABLE} AS is_grantable",
        _listed("pg_type", "typ", "T", where="typtype = 'c'"),
        "'USAGE'",
    ),
    "information_schema.usage_privileges": f"""
SELECT u.rolname AS grantor, 'PUBLIC'::name AS grantee, {_CATALOG} AS object_catalog, n.nspname AS object_schema,
 c.collname AS object_name, 'COLLATION'::varchar AS object_type, 'USAGE'::varchar AS privilege_type,
 'NO'::varchar(3) AS is_grantable
FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_authid u ON u.oid = c.collowner
 JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace WHERE c.collencoding IN (-1, 6)
UNION ALL {_usage("DOMAIN", _DOMAINS)}
UNION ALL {_usage_alone("FOREIGN DATA WRAPPER", "pg_foreign_data_wrapper", "fdw", "F")}
UNION ALL {_usage_alone("FOREIGN SERVER", "pg_foreign_server", "srv", "S")}
UNION ALL {_usage("SEQUENCE", _SEQUENCES)}""",
    "information_schema.role_table_grants": _of_roles("table_privileges"),
    "information_schema.role_column_grants": _of_roles("column_privileges"),
    "information_schema.role_routine_grants": _of_roles("routine_privileges"),
    "information_schema.role_udt_grants": _of_roles("udt_privileges"),
    "information_schema.role_usage_grants": _of_roles("usage_privileges"),
}

MAY_SEE_TABLE = (
    "(pg_catalog.pg_has_role(c.relowner, 'USAGE') OR pg_catalog.has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, "
    "DELETE, TRUNCATE, REFERENCES, TRIGGER') OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE, "
    "REFERENCES'))"
)
"""What information_schema shows of relations ``c`` to the current user."""
MAY_CHANGE_TABLE = (
    "(pg_catalog.pg_has_role(c.relowner, 'USAGE') OR pg_catalog.has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, "
    "TRUNCATE, REFERENCES, TRIGGER') OR pg_catalog.has_any_column_privilege(c.oid, 'INSERT, UPDATE, REFERENCES'))"
)
MAY_SEE_COLUMN = (
    "(pg_catalog.pg_has_role(c.relowner, 'USAGE') OR pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT, INSERT, "
    "UPDATE, REFERENCES'))"
)
"""The same of columns ``a``."""
MAY_SEE_SEQUENCE = (
    "CASE WHEN c.relkind = 'S' THEN pg_catalog.pg_has_role(c.relowner, 'USAGE') OR "
    "pg_catalog.has_sequence_privilege(c.oid, 'SELECT, UPDATE, USAGE') END"
)
OWNS_TABLE = "pg_catalog.pg_has_role(c.relowner, 'USAGE')"
"""Only whose owner the current user is."""
