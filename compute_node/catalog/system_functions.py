"""Set-returning functions under the system views: declared here, answered in ``functions/server``.

Importing the module adds them to ``REGISTRY``. Columns are those of PostgreSQL 15's functions of the same OID.
"""

from __future__ import annotations

import compute_node.catalog.io_functions
import compute_node.types  # noqa: F401  (fills REGISTRY first)
from compute_node.types.forwards import forward
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.registry import REGISTRY, Function

_COLUMNS = {
    "pg_show_all_settings": "name text, setting text, unit text, category text, short_desc text, extra_desc text,"
    " context text, vartype text, source text, min_val text, max_val text, enumvals text[], boot_val text,"
    " reset_val text,"
    " sourcefile text, sourceline int4, pending_restart bool",
    "pg_lock_status": "locktype text, database oid, relation oid, page int4, tuple int2, virtualxid text,"
    " transactionid xid, classid oid, objid oid, objsubid int2, virtualtransaction text, pid int4, mode text,"
    " granted bool,"
    " fastpath bool, waitstart timestamptz",
    "pg_prepared_statement": "name text, statement text, prepare_time timestamptz, parameter_types regtype[],"
    " from_sql bool, generic_plans int8, custom_plans int8",
    "pg_cursor": "name text, statement text, is_holdable bool, is_binary bool, is_scrollable bool,"
    " creation_time timestamptz",
    "pg_stat_get_activity": "datid oid, pid int4, usesysid oid, application_name text, state text, query text,"
    " wait_event_type text, wait_event text, xact_start timestamptz, query_start timestamptz, backend_start"
    " timestamptz,"
    " state_change timestamptz, client_addr inet, client_hostname text, client_port int4, backend_xid xid,"
    " backend_xmin xid, backend_type text, ssl bool, sslversion text, sslcipher text, sslbits int4, ssl_client_dn text,"
    " ssl_client_serial numeric, ssl_issuer_dn text, gss_auth bool, gss_princ text, gss_enc bool, leader_pid int4,"
    " query_id int8",
    "pg_hba_file_rules": "line_number int4, type text, database text[], user_name text[], address text, netmask text,"
    " auth_method text, options text[], error text",
}
_FUNCTIONS = (
    (2084, "pg_show_all_settings", ()),
    (1371, "pg_lock_status", ()),
    (2510, "pg_prepared_statement", ()),
    (2511, "pg_cursor", ()),
    (2022, "pg_stat_get_activity", ("int4",)),
    (3401, "pg_hba_file_rules", ()),
)
_RECORD, _TEXT = 2249, 25


def _columns(text: str) -> tuple[tuple[str, int], ...]:
    pairs = (item.split() for item in text.split(", "))
    # A type without code is shown as its text.
    return tuple((name, TYPE_OIDS[kind] if TYPE_OIDS[kind] in REGISTRY.types else _TEXT) for name, kind in pairs)


for _oid, _name, _arguments in _FUNCTIONS:
    REGISTRY.add_function(
        Function(
            oid=_oid,
            name=_name,
            arguments=tuple(TYPE_OIDS[each] for each in _arguments),
            result=_RECORD,
            implementation=forward(_name),
            strict=_name != "pg_stat_get_activity",
            volatility="v" if _name in ("pg_lock_status", "pg_hba_file_rules") else "s",
            returns_set=True,
            needs_context=True,
            out_columns=_columns(_COLUMNS[_name]),
        )
    )
