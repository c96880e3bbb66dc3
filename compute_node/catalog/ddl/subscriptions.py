"""CREATE, ALTER and DROP SUBSCRIPTION → pg_subscription: what is wanted of another server's publications.

A subscription is kept, changed, shown and dumped. Nothing subscribes: what would talk to the publisher (connect, a
slot, ENABLE) is 0A000, so each subscription is a disabled one that was made with ``connect = false``. Source:
PostgreSQL manual, ch. 31.2 and the reference pages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pglast import ast, enums

from aurora.datum import Datum
from aurora.errors import (
    DuplicateObject,
    InsufficientPrivilege,
    InvalidName,
    InvalidObjectDefinition,
    InvalidParameterValue,
    NameTooLong,
    NotSupported,
    ObjectNotInPrerequisiteState,
    SqlSyntaxError,
    UndefinedObject,
)
from compute_node.catalog.ddl import shared_depend
from compute_node.catalog.ddl.conninfo import check_conninfo
from compute_node.catalog.ddl.context import CLASS_SUBSCRIPTION, NAME_BYTES_MAX, DdlContext, cut_name
from compute_node.catalog.ddl.new_owner import check_new_owner
from compute_node.catalog.ddl.replication_options import option_flag, option_text, read_options
from compute_node.catalog.ddl.role_names import role_oid
from compute_node.catalog.rows import Record
from compute_node.session.settings import DEFINITIONS, parse_value
from compute_node.session.transactions import forbid_in_block
from compute_node.types.oids import PG_LSN

_K = enums.AlterSubscriptionType
_NO_STREAM = "logical replication is not supported"
_SLOT_NAME = re.compile(r"[a-z0-9_]+")


@dataclass(slots=True)
class _Options:
    """What the options say; ``given``: their names. ``values``: columns of pg_subscription."""

    connect: bool = True
    enabled: bool = True
    create_slot: bool = True
    copy_data: bool = True
    refresh: bool = True
    slot_name: str | None = None
    lsn: int = 0
    given: set[str] = field(default_factory=set)
    values: dict[str, Datum] = field(default_factory=dict)


_FLAGS = ("connect", "enabled", "create_slot", "copy_data", "refresh")
_KEPT_FLAGS = {"binary": "subbinary", "streaming": "substream", "disable_on_error": "subdisableonerr"}
_MADE_WITH = (
    "connect", "enabled", "create_slot", "slot_name", "copy_data", "synchronous_commit", "binary", "streaming",
    "two_phase", "disable_on_error",
)  # fmt: skip
_SET_LATER = ("slot_name", "synchronous_commit", "binary", "streaming", "disable_on_error")


def _read(ctx: DdlContext, options: Sequence[ast.DefElem] | None, known: Sequence[str]) -> _Options:
    found = _Options()

    def flag(item: ast.DefElem) -> None:
        setattr(found, item.defname, option_flag(item))

    def kept_flag(item: ast.DefElem) -> None:
        found.values[_KEPT_FLAGS[item.defname]] = option_flag(item)

    def slot_name(item: ast.DefElem) -> None:
        text = option_text(item)
        found.slot_name = None if text == "none" else _checked_slot(text)

    def synchronous_commit(item: ast.DefElem) -> None:
        text = option_text(item)
        parse_value(DEFINITIONS["synchronous_commit"], text)
        found.values["subsynccommit"] = text

    def two_phase(item: ast.DefElem) -> None:
        found.values["subtwophasestate"] = "p" if option_flag(item) else "d"

    def lsn(item: ast.DefElem) -> None:
        text = option_text(item)
        if text != "none":
            found.lsn = ctx.view.type(PG_LSN).input(text, -1, ctx.session.env)
            if not found.lsn:
                raise InvalidParameterValue(f"invalid WAL location (LSN): {text}")

    readers: dict[str, Callable[[ast.DefElem], None]] = {
        **dict.fromkeys(_FLAGS, flag),
        **dict.fromkeys(_KEPT_FLAGS, kept_flag),
        "slot_name": slot_name,
        "synchronous_commit": synchronous_commit,
        "two_phase": two_phase,
        "lsn": lsn,
    }
    read_options(options, {name: readers[name] for name in known}, "subscription")
    found.given = {item.defname for item in options or ()}
    return found


def _checked_slot(name: str) -> str:
    if not name:
        raise InvalidName(f'replication slot name "{name}" is too short')
    if len(name.encode()) > NAME_BYTES_MAX:
        raise NameTooLong(f'replication slot name "{name}" is too long')
    if _SLOT_NAME.fullmatch(name) is None:
        raise InvalidName(
            f'replication slot name "{name}" contains invalid character',
            hint="Replication slot names may only contain lower case letters, numbers, and the underscore character.",
        )
    return name


def _check_together(options: _Options) -> None:
    """What connect = false and slot_name = NONE leave of the others. 42601."""
    if not options.connect:
        for name in ("enabled", "create_slot", "copy_data"):
            if name in options.given and getattr(options, name):
                raise SqlSyntaxError(f"connect = false and {name} = true are mutually exclusive options")
            setattr(options, name, False)
    if "slot_name" in options.given and options.slot_name is None:
        for name in ("enabled", "create_slot"):
            if not getattr(options, name):
                continue
            if name in options.given:
                raise SqlSyntaxError(f"slot_name = NONE and {name} = true are mutually exclusive options")
            raise SqlSyntaxError(f"subscription with slot_name = NONE must also set {name} = false")


def create_subscription(ctx: DdlContext, node: ast.CreateSubscriptionStmt) -> str:
    """CREATE SUBSCRIPTION … WITH (connect = false). 42501, 42601, 42710; 0A000 for one that is to connect."""
    options = _read(ctx, node.options, _MADE_WITH)
    _check_together(options)
    if options.create_slot:
        forbid_in_block(ctx.session, "CREATE SUBSCRIPTION ... WITH (create_slot = true)")
    ctx.require_superuser("must be superuser to create subscriptions")
    name = cut_name(node.subname)
    if _one(ctx, name) is not None:
        raise DuplicateObject(f'subscription "{name}" already exists')
    slot = options.slot_name if "slot_name" in options.given else name
    check_conninfo(node.conninfo)
    publications = _names(node.publication)
    if options.connect:
        raise NotSupported(_NO_STREAM, hint="Make the subscription with connect = false.")
    values: dict[str, Datum] = {
        "subbinary": False,
        "substream": False,
        "subtwophasestate": "d",
        "subdisableonerr": False,
        "subsynccommit": "off",
    }
    oid = ctx.next_oid()
    ctx.rows.insert(
        "pg_subscription",
        oid=oid,
        subdbid=ctx.view.layer.database_oid,
        subskiplsn=0,
        subname=name,
        subowner=ctx.user_oid,
        subenabled=False,
        subconninfo=node.conninfo,
        subslotname=slot,
        subpublications=publications,
        **(values | options.values),
    )
    shared_depend.record_owner(ctx, CLASS_SUBSCRIPTION, oid, ctx.user_oid)
    ctx.changes.touch()
    ctx.notice(
        "tables were not subscribed, you will have to run ALTER SUBSCRIPTION ... REFRESH PUBLICATION to subscribe the"
        " tables",
        severity="WARNING",
        sqlstate="01000",
    )
    return "CREATE SUBSCRIPTION"


def _one(ctx: DdlContext, name: str) -> Record | None:
    return ctx.rows.one("pg_subscription", subdbid=ctx.view.layer.database_oid, subname=name)


def owned_subscription(ctx: DdlContext, name: str) -> Record:
    """A subscription of the current user's. 42704, 42501."""
    found = _one(ctx, name)
    if found is None:
        raise UndefinedObject(f'subscription "{name}" does not exist')
    if not ctx.owns(found.subowner):
        raise InsufficientPrivilege(f"must be owner of subscription {name}")
    return found


def _names(written: Sequence[ast.String]) -> list[str]:
    names: list[str] = []
    for item in written:
        if item.sval in names:
            raise DuplicateObject(f'publication name "{item.sval}" used more than once')
        names.append(item.sval)
    return names


def alter_subscription(ctx: DdlContext, node: ast.AlterSubscriptionStmt) -> str:
    """ALTER SUBSCRIPTION. 42501, 42704, 55000; 0A000 for ENABLE."""
    found = owned_subscription(ctx, node.subname)
    ctx.lock_object(CLASS_SUBSCRIPTION, found.oid, found.subname, shared=True)
    found = owned_subscription(ctx, node.subname)
    ctx.rows.update("pg_subscription", found, **_ALTERS[node.kind](ctx, node, found))
    ctx.changes.touch()
    return "ALTER SUBSCRIPTION"


def _set_options(ctx: DdlContext, node: ast.AlterSubscriptionStmt, found: Record) -> dict[str, Datum]:
    options = _read(ctx, node.options, _SET_LATER)
    if "slot_name" in options.given:
        options.values["subslotname"] = options.slot_name
    return options.values


def _set_enabled(ctx: DdlContext, node: ast.AlterSubscriptionStmt, found: Record) -> dict[str, Datum]:
    if _read(ctx, node.options, ("enabled",)).enabled:
        if found.subslotname is None:
            raise ObjectNotInPrerequisiteState("cannot enable subscription that does not have a slot name")
        raise NotSupported(_NO_STREAM)
    return {"subenabled": False}


def _set_connection(ctx: DdlContext, node: ast.AlterSubscriptionStmt, found: Record) -> dict[str, Datum]:
    check_conninfo(node.conninfo)
    return {"subconninfo": node.conninfo}


def _change_publications(ctx: DdlContext, node: ast.AlterSubscriptionStmt, found: Record) -> dict[str, Datum]:
    options = _read(ctx, node.options, ("copy_data", "refresh"))
    verb = {_K.ALTER_SUBSCRIPTION_ADD_PUBLICATION: "ADD", _K.ALTER_SUBSCRIPTION_DROP_PUBLICATION: "DROP"}.get(
        node.kind, "SET"
    )
    names = _names(node.publication)
    if verb != "SET":
        names = _merged(list(found.subpublications), names, node)
    if options.refresh:
        raise ObjectNotInPrerequisiteState(
            "ALTER SUBSCRIPTION with refresh is not allowed for disabled subscriptions",
            hint=f"Use ALTER SUBSCRIPTION ... {verb} PUBLICATION ... WITH (refresh = false).",
        )
    return {"subpublications": names}


def _merged(before: list[str], names: list[str], node: ast.AlterSubscriptionStmt) -> list[str]:
    """What ADD and DROP leave."""
    adds = node.kind == _K.ALTER_SUBSCRIPTION_ADD_PUBLICATION
    for name in names:
        if adds and name in before:
            raise DuplicateObject(f'publication "{name}" is already in subscription "{node.subname}"')
        if adds:
            before.append(name)
        elif name not in before:
            raise InvalidObjectDefinition(f'publication "{name}" is not in subscription "{node.subname}"')
        else:
            before.remove(name)
    if not before:
        raise InvalidObjectDefinition("cannot drop all the publications from a subscription")
    return before


def _refresh(ctx: DdlContext, node: ast.AlterSubscriptionStmt, found: Record) -> dict[str, Datum]:
    raise ObjectNotInPrerequisiteState("ALTER SUBSCRIPTION ... REFRESH is not allowed for disabled subscriptions")


def _skip(ctx: DdlContext, node: ast.AlterSubscriptionStmt, found: Record) -> dict[str, Datum]:
    options = _read(ctx, node.options, ("lsn",))
    ctx.require_superuser("must be superuser to skip transaction")
    return {"subskiplsn": options.lsn}


_ALTERS: dict[
    enums.AlterSubscriptionType, Callable[[DdlContext, ast.AlterSubscriptionStmt, Record], dict[str, Datum]]
] = {
    _K.ALTER_SUBSCRIPTION_OPTIONS: _set_options,
    _K.ALTER_SUBSCRIPTION_CONNECTION: _set_connection,
    _K.ALTER_SUBSCRIPTION_SET_PUBLICATION: _change_publications,
    _K.ALTER_SUBSCRIPTION_ADD_PUBLICATION: _change_publications,
    _K.ALTER_SUBSCRIPTION_DROP_PUBLICATION: _change_publications,
    _K.ALTER_SUBSCRIPTION_REFRESH: _refresh,
    _K.ALTER_SUBSCRIPTION_ENABLED: _set_enabled,
    _K.ALTER_SUBSCRIPTION_SKIP: _skip,
}


def rename_subscription(ctx: DdlContext, name: str, new: str) -> str:
    """ALTER SUBSCRIPTION … RENAME TO. 42704, 42501, 42710."""
    found = owned_subscription(ctx, name)
    if _one(ctx, new) is not None:
        raise DuplicateObject(f'subscription "{new}" already exists')
    ctx.rows.update("pg_subscription", found, subname=new)
    ctx.changes.touch()
    return "ALTER SUBSCRIPTION"


def alter_subscription_owner(ctx: DdlContext, name: str, spec: ast.RoleSpec) -> str:
    """ALTER SUBSCRIPTION … OWNER TO."""
    owner = role_oid(ctx, spec)
    found = _one(ctx, name)
    if found is None:
        raise UndefinedObject(f'subscription "{name}" does not exist')
    give_subscription(ctx, found, owner)
    return "ALTER SUBSCRIPTION"


def give_subscription(ctx: DdlContext, found: Record, owner: int) -> None:
    """A subscription belongs to another superuser. 42501."""
    if found.subowner == owner:
        return
    if not ctx.owns(found.subowner):
        raise InsufficientPrivilege(f"must be owner of subscription {found.subname}")
    if not ctx.view.rights(owner).superuser:
        raise InsufficientPrivilege(
            f'permission denied to change owner of subscription "{found.subname}"',
            hint="The owner of a subscription must be a superuser.",
        )
    check_new_owner(ctx, owner)
    ctx.rows.update("pg_subscription", found, subowner=owner)
    shared_depend.change_owner(ctx, CLASS_SUBSCRIPTION, found.oid, owner)
    ctx.changes.touch()


def drop_subscription(ctx: DdlContext, node: ast.DropSubscriptionStmt) -> str:
    """DROP SUBSCRIPTION; one with a slot would have to drop that first: 0A000."""
    if node.missing_ok and _one(ctx, node.subname) is None:
        ctx.notice(f'subscription "{node.subname}" does not exist, skipping')
        return "DROP SUBSCRIPTION"
    found = owned_subscription(ctx, node.subname)
    ctx.lock_object(CLASS_SUBSCRIPTION, found.oid, found.subname, shared=True)
    found = owned_subscription(ctx, node.subname)
    if found.subslotname is not None:
        forbid_in_block(ctx.session, "DROP SUBSCRIPTION")
        raise NotSupported(
            _NO_STREAM,
            detail=f'The subscription has the replication slot "{found.subslotname}".',
            hint="Use ALTER SUBSCRIPTION ... SET (slot_name = NONE) to disassociate the subscription from the slot.",
        )
    shared_depend.forget(ctx, CLASS_SUBSCRIPTION, found.oid)
    ctx.rows.delete_where("pg_description", objoid=found.oid, classoid=CLASS_SUBSCRIPTION)
    ctx.rows.delete("pg_subscription", found)
    ctx.changes.touch()
    return "DROP SUBSCRIPTION"
