"""Publications' tables; and replication slots and origins, of which there are none: what has a name is answered as
where PostgreSQL has nothing of that name, what makes one is 0A000 (no code)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from aurora.datum import Datum, Row
from aurora.errors import (
    InsufficientPrivilege,
    InvalidParameterValue,
    ObjectNotInPrerequisiteState,
    SqlError,
    UndefinedObject,
)
from compute_node.catalog.functions.call import Call
from compute_node.catalog.publications import is_publishable, published_tables


def _unknown(what: str, error: type[SqlError] = UndefinedObject) -> Callable[..., Datum]:
    def refuse(call: Call, name: str, *_: Datum) -> Datum:
        raise error(f'{what} "{name}" does not exist')

    return refuse


def _needs(message: str) -> Callable[..., Datum]:
    def refuse(call: Call, *_: Datum) -> Datum:
        raise ObjectNotInPrerequisiteState(message)

    return refuse


def _of_slots(function: Callable[..., Datum]) -> Callable[..., Datum]:
    """For superusers and replication roles: 42501."""

    def run(call: Call, *arguments: Datum) -> Datum:
        role = call.view.role(call.session.user)
        if role is None or not (role.superuser or role.replication):
            raise InsufficientPrivilege("must be superuser or replication role to use replication slots")
        return function(call, *arguments)

    return run


def _nothing(call: Call, *_: Datum) -> Iterator[Row]:
    return iter(())


def publication_tables(call: Call, name: str) -> Iterator[Row]:
    """pg_get_publication_tables: OID, columns and row filter of each. 42704."""
    publication = call.reader.one("pg_publication", pubname=name)
    if publication is None:
        raise UndefinedObject(f'publication "{name}" does not exist')
    for table in published_tables(call.reader, publication):
        yield table.relation, list(table.columns) or None, table.row_filter


def relation_is_publishable(call: Call, oid: int) -> bool | None:
    """pg_relation_is_publishable; NULL of what is not there."""
    row = call.reader.one("pg_class", oid=oid)
    return None if row is None else is_publishable(row)


def slot_statistics(call: Call, name: str) -> Row:
    """pg_stat_get_replication_slot: of one that nothing was decoded from."""
    return (name, *(0,) * 8, None)


def subscription_statistics(call: Call, oid: int) -> Row:
    """pg_stat_get_subscription_stats: of one without errors."""
    return oid, 0, 0, None


def reset_slot_statistics(call: Call, name: str | None) -> str:
    """pg_stat_reset_replication_slot. 22023."""
    if name is not None:
        raise InvalidParameterValue(f'replication slot "{name}" does not exist')
    return ""


_NO_ORIGIN = "no replication origin is configured"
_NO_DECODING = "logical decoding requires wal_level >= logical"
FUNCTIONS: dict[str, Callable[..., Datum]] = {
    "pg_get_replication_slots": _nothing,
    "pg_show_replication_origin_status": _nothing,
    "pg_stat_get_wal_senders": _nothing,
    "pg_stat_get_subscription": _nothing,
    "pg_drop_replication_slot": _of_slots(_unknown("replication slot")),
    "pg_replication_slot_advance": _of_slots(_unknown("replication slot")),
    "pg_copy_physical_replication_slot": _of_slots(_unknown("replication slot")),
    "pg_copy_logical_replication_slot": _of_slots(_needs(_NO_DECODING)),
    "pg_create_logical_replication_slot": _of_slots(_needs(_NO_DECODING)),
    "pg_logical_slot_get_changes": _of_slots(_needs(_NO_DECODING)),
    "pg_logical_slot_peek_changes": _of_slots(_needs(_NO_DECODING)),
    "pg_logical_slot_get_binary_changes": _of_slots(_needs(_NO_DECODING)),
    "pg_logical_slot_peek_binary_changes": _of_slots(_needs(_NO_DECODING)),
    "pg_replication_origin_oid": lambda call, name: None,
    "pg_replication_origin_drop": _unknown("replication origin"),
    "pg_replication_origin_progress": _unknown("replication origin"),
    "pg_replication_origin_advance": _unknown("replication origin"),
    "pg_replication_origin_session_setup": _unknown("replication origin"),
    "pg_replication_origin_session_is_setup": lambda call: False,
    "pg_replication_origin_session_progress": _needs(_NO_ORIGIN),
    "pg_replication_origin_session_reset": _needs(_NO_ORIGIN),
    "pg_replication_origin_xact_setup": _needs(_NO_ORIGIN),
    "pg_replication_origin_xact_reset": lambda call: "",
    "pg_get_publication_tables": publication_tables,
    "pg_relation_is_publishable": relation_is_publishable,
    "pg_stat_get_replication_slot": slot_statistics,
    "pg_stat_get_subscription_stats": subscription_statistics,
    "pg_stat_reset_replication_slot": reset_slot_statistics,
    "pg_stat_reset_subscription_stats": lambda call, oid: "",
}
