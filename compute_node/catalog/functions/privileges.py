"""has_…_privilege, pg_has_role: what a role may do, as the check of statements would find it.

The role is a name (``public`` is everybody), an OID or left out: the current user; the object a name or an OID, which
gives NULL when there is none. Source: PostgreSQL manual, 9.26.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aurora.datum import Datum
from aurora.errors import (
    InvalidCatalogName,
    InvalidParameterValue,
    InvalidSchemaName,
    UndefinedColumn,
    UndefinedObject,
    WrongObjectType,
)
from compute_node.catalog.functions.call import Call
from compute_node.catalog.functions.names import regclass_in, regprocedure_in, regtype_in
from compute_node.catalog.rights import OBJECTS, Rights
from compute_node.relations.descriptors import RelationDesc
from compute_node.types.acl import KINDS, NAMES, PUBLIC

Wanted = list[tuple[int, bool]]
"""(privilege, with grant option), of which one is enough"""

_GRANT_OPTION = " WITH GRANT OPTION"


def _names(kind: str) -> dict[str, int]:
    found = {name: bit for name, bit in NAMES.items() if bit & KINDS[kind][0]}
    return found | ({"TEMP": NAMES["TEMPORARY"]} if kind == "database" else {})


_PRIVILEGES = {kind: _names(kind) for kind in KINDS}


def _wanted(kind: str, text: str) -> Wanted:
    """The privileges of a comma list; 22023 for one that this kind of object does not have."""
    found = []
    for part in text.split(","):
        word = part.strip()
        upper = word.upper()
        name = upper.removesuffix(_GRANT_OPTION)
        if name not in _PRIVILEGES[kind]:
            raise InvalidParameterValue(f'unrecognized privilege type: "{word}"')
        found.append((_PRIVILEGES[kind][name], name != upper))
    return found


def _role(call: Call, who: str | int) -> int:
    return PUBLIC if who == "public" else _named_role(call, who)


def _named_role(call: Call, who: str | int) -> int:
    if isinstance(who, int):
        return who
    role = call.view.role(who)
    if role is None:
        raise UndefinedObject(f'role "{who}" does not exist')
    return role.oid


def _rights(call: Call, who: Sequence[Datum]) -> Rights:
    return call.view.rights(_role(call, who[0]) if who else int(call.session.user_oid))


def _relation(call: Call, what: str | int) -> RelationDesc | None:
    return call.view.relation(regclass_in(call, what) if isinstance(what, str) else what)


def has_table_privilege(call: Call, *args: Datum) -> bool | None:
    """On the whole relation."""
    *who, what, text = args
    desc = _relation(call, what)
    wanted = _wanted("table", text)
    rights = _rights(call, who)
    if desc is None:
        return None
    return any(rights.relation(desc, bit, option) for bit, option in wanted)


def has_sequence_privilege(call: Call, *args: Datum) -> bool | None:
    """On a sequence; 42809 for another relation."""
    *who, what, text = args
    wanted = _wanted("sequence", text)
    rights = _rights(call, who)
    desc = _relation(call, what)
    if desc is None:
        return None
    if desc.kind != "S":
        raise WrongObjectType(f'"{desc.name}" is not a sequence')
    return any(rights.relation(desc, bit, option) for bit, option in wanted)


def has_any_column_privilege(call: Call, *args: Datum) -> bool | None:
    """On the relation, or on one of its columns."""
    *who, what, text = args
    desc = _relation(call, what)
    wanted = _wanted("column", text)
    rights = _rights(call, who)
    if desc is None:
        return None
    return any(rights.relation(desc, bit, option) or rights.any_column(desc, bit, option) for bit, option in wanted)


def has_column_privilege(call: Call, *args: Datum) -> bool | None:
    """On the relation, or on this column."""
    *who, what, column, text = args
    desc = _relation(call, what)
    if isinstance(column, str):
        if desc is None:
            return None
        found = desc.column(column)
        if found is None:
            raise UndefinedColumn(f'column "{column}" of relation "{desc.name}" does not exist')
        attno = found.attno
    else:
        attno = column
    wanted = _wanted("column", text)
    rights = _rights(call, who)
    if desc is None or not 0 < attno <= len(desc.columns) or desc.columns[attno - 1].dropped:
        return None
    return any(rights.relation(desc, bit, option) or rights.column(desc, attno, bit, option) for bit, option in wanted)


def _by_name(call: Call, kind: str, name: str) -> int:
    """The OID of an object that is no relation; what PostgreSQL raises when there is none."""
    if kind == "schema":
        oid = call.view.layer.namespace_oid(name)
        if oid is None:
            raise InvalidSchemaName(f'schema "{name}" does not exist')
        return oid
    if kind == "function":
        return regprocedure_in(call, name)
    if kind == "type":
        return regtype_in(call, name)
    catalog, _, column, *_ = OBJECTS[kind]
    record = call.reader.one(catalog, **{column: name})
    if record is None:
        if kind == "database":
            raise InvalidCatalogName(f'database "{name}" does not exist')
        shown = "server" if kind == "foreign server" else kind
        raise UndefinedObject(f'{shown} "{name}" does not exist')
    return int(record.oid)


def _has_object(kind: str) -> Callable[..., bool | None]:
    catalog = OBJECTS[kind][0]

    def has(call: Call, *args: Datum) -> bool | None:
        *who, what, text = args
        rights = _rights(call, who)
        oid = _by_name(call, kind, what) if isinstance(what, str) else what
        wanted = _wanted(kind, text)
        if not isinstance(what, str) and call.reader.one(catalog, oid=oid) is None:
            return None
        return any(rights.object(kind, oid, bit, option) for bit, option in wanted)

    return has


def has_parameter_privilege(call: Call, *args: Datum) -> bool:
    """SET and ALTER SYSTEM on a setting."""
    *who, name, text = args
    wanted = _wanted("parameter", text)
    rights = _rights(call, who)
    return any(rights.parameter(str(name).lower(), bit, option) for bit, option in wanted)


_OPTIONS = (" WITH GRANT OPTION", " WITH ADMIN OPTION")


def pg_has_role(call: Call, *args: Datum) -> bool:
    """USAGE: the role's privileges without SET ROLE; MEMBER: with it; … WITH ADMIN OPTION: may grant it."""
    *who, target, text = args
    member = _named_role(call, who[0]) if who else call.session.user_oid
    role = _named_role(call, target)
    graph = call.view.layer.role_graph
    found: bool = False
    for part in text.split(","):
        word = part.strip().upper()
        base = word.removesuffix(_OPTIONS[0]).removesuffix(_OPTIONS[1])
        if base not in ("USAGE", "MEMBER"):
            raise InvalidParameterValue(f'unrecognized privilege type: "{part.strip()}"')
        if base != word:
            found |= graph.is_admin(member, role)
        elif base == "USAGE":
            found |= graph.has_privileges_of(member, role)
        else:
            found |= graph.is_member(member, role)
    return found


FUNCTIONS: dict[str, Callable[..., Datum]] = {
    "has_table_privilege": has_table_privilege,
    "has_sequence_privilege": has_sequence_privilege,
    "has_any_column_privilege": has_any_column_privilege,
    "has_column_privilege": has_column_privilege,
    "has_database_privilege": _has_object("database"),
    "has_schema_privilege": _has_object("schema"),
    "has_function_privilege": _has_object("function"),
    "has_language_privilege": _has_object("language"),
    "has_tablespace_privilege": _has_object("tablespace"),
    "has_type_privilege": _has_object("type"),
    "has_foreign_data_wrapper_privilege": _has_object("foreign-data wrapper"),
    "has_server_privilege": _has_object("foreign server"),
    "has_parameter_privilege": has_parameter_privilege,
    "pg_has_role": pg_has_role,
}
