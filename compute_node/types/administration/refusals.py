"""Functions that PostgreSQL lets nobody call but its own machinery: triggers, event triggers, pg_upgrade;
and small ones of that machinery that SQL may call.

Called by SQL they have one answer, an error. What the trigger functions of foreign keys do is in
``session/referential``.
"""

from __future__ import annotations

from collections.abc import Callable

from aurora.datum import Datum
from aurora.errors import (
    CannotChangeRuntimeParam,
    EventTriggerProtocolViolated,
    IndeterminateCollation,
    NotSupported,
    NullValueNotAllowed,
    SqlError,
    SqlSyntaxError,
    TriggerProtocolViolated,
)
from compute_node.types.array_value import flatten
from compute_node.types.declare import fn, fns
from compute_node.types.forwards import declare


def _raises(error: type[SqlError], message: str, hint: str | None = None) -> Callable[..., Datum]:
    def refuse(*_: Datum) -> Datum:
        raise error(message, hint=hint)

    return refuse


_FOREIGN_KEYS = (
    (1644, "RI_FKey_check_ins"), (1645, "RI_FKey_check_upd"), (1646, "RI_FKey_cascade_del"),
    (1647, "RI_FKey_cascade_upd"), (1648, "RI_FKey_restrict_del"), (1649, "RI_FKey_restrict_upd"),
    (1650, "RI_FKey_setnull_del"), (1651, "RI_FKey_setnull_upd"), (1652, "RI_FKey_setdefault_del"),
    (1653, "RI_FKey_setdefault_upd"), (1654, "RI_FKey_noaction_del"), (1655, "RI_FKey_noaction_upd"),
    (1250, "unique_key_recheck"),
)  # fmt: skip
for _oid, _name in _FOREIGN_KEYS:
    _message = f'function "{_name}" was not called by trigger manager'
    fn(_oid, f"{_name}() trigger volatile", _raises(TriggerProtocolViolated, _message))
fn(
    1291,
    "suppress_redundant_updates_trigger() trigger volatile",
    _raises(TriggerProtocolViolated, "suppress_redundant_updates_trigger: must be called as trigger"),
)

_UPGRADE = """
3582 binary_upgrade_set_next_pg_type_oid(oid) void volatile
3584 binary_upgrade_set_next_array_pg_type_oid(oid) void volatile
3586 binary_upgrade_set_next_heap_pg_class_oid(oid) void volatile
3587 binary_upgrade_set_next_index_pg_class_oid(oid) void volatile
3588 binary_upgrade_set_next_toast_pg_class_oid(oid) void volatile
3589 binary_upgrade_set_next_pg_enum_oid(oid) void volatile
3590 binary_upgrade_set_next_pg_authid_oid(oid) void volatile
3591 binary_upgrade_create_empty_extension(text, text, bool, text, oid[], text[], text[]) void volatile nullable
4083 binary_upgrade_set_record_init_privs(bool) void volatile
4101 binary_upgrade_set_missing_value(oid, text, text) void volatile
4390 binary_upgrade_set_next_multirange_pg_type_oid(oid) void volatile
4391 binary_upgrade_set_next_multirange_array_pg_type_oid(oid) void volatile
4545 binary_upgrade_set_next_heap_relfilenode(oid) void volatile
4546 binary_upgrade_set_next_index_relfilenode(oid) void volatile
4547 binary_upgrade_set_next_toast_relfilenode(oid) void volatile
4548 binary_upgrade_set_next_pg_tablespace_oid(oid) void volatile
"""
for _line in _UPGRADE.strip().splitlines():
    _number, _signature = _line.split(" ", 1)
    _message = "function can only be called when server is in binary upgrade mode"
    fn(int(_number), _signature, _raises(CannotChangeRuntimeParam, _message))

_EVENTS = (
    ("4566 pg_event_trigger_table_rewrite_oid() oid stable -> oid oid", "a table_rewrite event trigger"),
    ("4567 pg_event_trigger_table_rewrite_reason() int4 stable", "a table_rewrite event trigger"),
    (
        "4568 pg_event_trigger_ddl_commands() setof record stable -> classid oid, objid oid, objsubid int4, command_tag"
        " text, object_type text, schema_name text, object_identity text, in_extension bool, command pg_ddl_command",
        "an event trigger",
    ),
    (
        "3566 pg_event_trigger_dropped_objects() setof record stable -> classid oid, objid oid, objsubid int4, original"
        " bool, normal bool, is_temporary bool, object_type text, schema_name text, object_name text, object_identity"
        " text, address_names text[], address_args text[]",
        "a sql_drop event trigger",
    ),
)
for _line, _where in _EVENTS:
    _name = _line.split(" ", 1)[1].split("(")[0]
    _message = f"{_name}() can only be called in {_where} function"
    if _name.endswith("_oid"):
        fn(4566, "pg_event_trigger_table_rewrite_oid() oid stable", _raises(EventTriggerProtocolViolated, _message),
           output_name="oid")  # fmt: skip
    else:
        declare(_line, _raises(EventTriggerProtocolViolated, _message))
fn(5051, "btequalimage(oid) bool", lambda kind: True)
fn(
    5050,
    "btvarstrequalimage(oid) bool",
    _raises(
        IndeterminateCollation,
        "could not determine which collation to use for string comparison",
        "Use the COLLATE clause to set the collation explicitly.",
    ),
)

_SERVERS, _USER_MAPPINGS = 1417, 1418
_OPTIONS = {
    _SERVERS: [
        "authtype", "service", "connect_timeout", "dbname", "host", "hostaddr", "port", "tty", "options", "requiressl",
        "sslmode", "gsslib",
    ],
    _USER_MAPPINGS: ["user", "password"],
}  # fmt: skip


def _valid_options(options: list[str | None], catalog: int) -> bool:
    """postgresql_fdw_validator: the options of a connection. 22004, 42601."""
    if None in flatten(options):
        raise NullValueNotAllowed("null array element not allowed in this context")
    known = _OPTIONS.get(catalog, [])
    for option in flatten(options):
        name = str(option).partition("=")[0]
        if name not in known:
            hint = f"Valid options in this context are: {', '.join(known)}" if known else None
            raise SqlSyntaxError(f'invalid option "{name}"', hint=hint or "There are no valid options in this context.")
    return True


fn(2316, "postgresql_fdw_validator(text[], oid) bool", _valid_options)

_NAME_BYTES_MAX = 63


def _name_and_oid(name: str, oid: int) -> str:
    """The name, cut so that ``_`` and the OID follow it: of a specific routine in the information schema."""
    tail = f"_{oid}"
    return name.encode()[: _NAME_BYTES_MAX - len(tail)].decode("utf-8", "ignore") + tail


fn(266, "nameconcatoid(name, oid) name", _name_and_oid)
fn(710, "getpgusername() name stable", lambda context: context.session.user, needs_context=True)
_INT4_MAX = 2**31 - 1
fn(3939, "mxid_age(xid) int4 stable", lambda xid: _signed(1 - xid) if xid else _INT4_MAX)


def _signed(value: int) -> int:
    return (value + 2**31) % 2**32 - 2**31


def _compared_bytes(one: str, other: str) -> int:
    """As C compares memory: by the first byte that differs, else by length."""
    a, b = one.encode(), other.encode()
    for x, y in zip(a, b, strict=False):
        if x != y:
            return x - y
    return (len(a) > len(b)) - (len(a) < len(b))


fns(
    """
3480 gin_compare_jsonb(text, text) int4
3724 gin_cmp_tslexeme(text, text) int4
""",
    _compared_bytes,
)
fn(
    86,
    "pg_ddl_command_in(cstring) pg_ddl_command",
    _raises(NotSupported, "cannot accept a value of type pg_ddl_command"),
)
for _line in ("87 pg_ddl_command_out(pg_ddl_command) cstring", "90 pg_ddl_command_send(pg_ddl_command) bytea"):
    _number, _signature = _line.split(" ", 1)
    fn(int(_number), _signature, _raises(NotSupported, "cannot display a value of type pg_ddl_command"))
