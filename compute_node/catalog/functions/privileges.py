"""has_…_privilege and pg_has_role.

There is no GRANT on objects yet: an owner and a superuser may do everything; others may use schemas, connect, read
the system catalogs and execute functions, as PostgreSQL's defaults for PUBLIC have it. Source: PostgreSQL manual,
ch. 5.7.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aurora.errors import InvalidParameterValue, UndefinedColumn, UndefinedObject, UndefinedTable
from compute_node.catalog.functions.call import Call
from compute_node.catalog.functions.names import regclass_in
from compute_node.catalog.layer import Role
from compute_node.catalog.rows import Record
from compute_node.relations.schema import FIRST_NORMAL_OID

_TABLE = ("select", "insert", "update", "delete", "truncate", "references", "trigger")
_KINDS: dict[str, tuple[str, ...]] = {
    "table": _TABLE,
    "column": ("select", "insert", "update", "references"),
    "any_column": ("select", "insert", "update", "references"),
    "sequence": ("usage", "select", "update"),
    "database": ("create", "temporary", "temp", "connect"),
    "schema": ("create", "usage"),
    "function": ("execute",),
    "language": ("usage",),
    "tablespace": ("create",),
    "type": ("usage",),
    "foreign_data_wrapper": ("usage",),
    "server": ("usage",),
    "parameter": ("set", "alter system"),
}
_PUBLIC = {
    "database": ("temporary", "temp", "connect"),
    "schema": ("usage",),
    "function": ("execute",),
    "language": ("usage",),
    "type": ("usage",),
}


def _role(call: Call, who: str | int) -> Role | None:
    name = call.view.layer.role_name(who) if isinstance(who, int) else who
    role = None if name is None else call.view.role(name)
    if role is None and isinstance(who, str):
        raise UndefinedObject(f'role "{who}" does not exist')
    return role


def _wanted(kind: str, text: str) -> list[str]:
    words = []
    for part in text.split(","):
        word = part.strip().lower()
        base = word.removesuffix(" with grant option")
        if base not in _KINDS[kind]:
            raise InvalidParameterValue(f'unrecognized privilege type: "{part.strip()}"')
        words.append(word)
    return words


def _owner_and_public(call: Call, kind: str, what: str | int) -> tuple[int, tuple[str, ...]] | None:
    """(owner, what everybody may do); None for an unknown OID."""
    if kind in ("table", "column", "any_column", "sequence"):
        oid = regclass_in(call, what) if isinstance(what, str) else what
        desc = call.view.relation(oid)
        if desc is None:
            return None
        readable = desc.oid < FIRST_NORMAL_OID and desc.name not in ("pg_authid", "pg_shadow", "pg_statistic")
        return desc.owner, ("select",) if readable else ()
    public = _PUBLIC.get(kind, ())
    if kind in ("schema", "database"):
        catalog, column, owner = (
            ("pg_namespace", "nspname", "nspowner") if kind == "schema" else ("pg_database", "datname", "datdba")
        )
        record: Record | None = call.reader.one(catalog, **({"oid": what} if isinstance(what, int) else {column: what}))
        if record is None:
            if isinstance(what, str):
                raise UndefinedObject(f'{kind} "{what}" does not exist')
            return None
        return int(getattr(record, owner)), public
    return 10, public


def _has(kind: str) -> Callable[..., bool | None]:
    extra = 1 if kind == "column" else 0

    def has(call: Call, *args: Any) -> bool | None:
        *who, what = args[: len(args) - 1 - extra]
        role = _role(call, who[0] if who else call.session.user)
        wanted = _wanted(kind, args[-1])
        found = _owner_and_public(call, kind, what)
        if found is None:
            return None
        if extra:
            _check_column(call, what, args[-2])
        if role is None:
            return False
        owner, public = found
        if role.superuser or role.oid == owner:
            return True
        return any(word in public for word in wanted)

    return has


def _check_column(call: Call, what: str | int, column: str | int) -> None:
    desc = call.view.relation(regclass_in(call, what) if isinstance(what, str) else what)
    if desc is None:
        raise UndefinedTable(f"relation with OID {what} does not exist")
    if isinstance(column, str) and desc.column(column) is None:
        raise UndefinedColumn(f'column "{column}" of relation "{desc.name}" does not exist')


def pg_has_role(call: Call, *args: Any) -> bool:
    """Membership, direct or not; a superuser is a member of every role."""
    *who, target, wanted = args
    member = _role(call, who[0] if who else call.session.user)
    role = _role(call, target)
    if member is None or role is None:
        return False
    for part in wanted.split(","):
        if part.strip().lower().removesuffix(" with grant option").removesuffix(" with admin option") not in (
            "member",
            "usage",
            "set",
        ):
            raise InvalidParameterValue(f'unrecognized privilege type: "{part.strip()}"')
    if member.superuser or member.oid == role.oid:
        return True
    seen, waiting = {member.oid}, [member.oid]
    while waiting:
        for row in call.reader.find("pg_auth_members", member=waiting.pop()):
            if row.roleid == role.oid:
                return True
            if row.roleid not in seen:
                seen.add(row.roleid)
                waiting.append(row.roleid)
    return False


FUNCTIONS: dict[str, Callable[..., Any]] = {f"has_{kind}_privilege": _has(kind) for kind in _KINDS} | {
    "pg_has_role": pg_has_role
}
