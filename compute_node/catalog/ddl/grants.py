"""GRANT and REVOKE on objects: statement → whose list changes how → the catalogs' ACL columns.

``targets`` finds the objects, ``Change`` is what is given or taken, ``apply`` does it to one object as the best grantor
that the user can be. Source: PostgreSQL manual, reference pages of GRANT and REVOKE, ch. 5.7.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

from pglast import ast, enums

from aurora.datum import Datum
from aurora.errors import (
    DependentObjectsStillExist,
    InsufficientPrivilege,
    InvalidGrantOperation,
    NotSupported,
    SqlSyntaxError,
    UndefinedColumn,
    UndefinedObject,
    UndefinedTable,
    WrongObjectType,
)
from compute_node.catalog.ddl import shared_depend
from compute_node.catalog.ddl.context import CLASS_RELATION, DdlContext
from compute_node.catalog.ddl.grant_targets import Target, grant_targets
from compute_node.catalog.ddl.parameter_grants import change_parameter, parameter_names
from compute_node.catalog.ddl.relation import attribute_record, class_record
from compute_node.catalog.ddl.role_names import grantee_oid, role_oid
from compute_node.catalog.large_objects import objects as large_objects
from compute_node.catalog.permissions import denied, denied_relation
from compute_node.catalog.rights import CLASSES, OBJECTS
from compute_node.catalog.rows import Record
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.analyze.names import SYSTEM_NAMES
from compute_node.txn.locks import SHARE_UPDATE_EXCLUSIVE
from compute_node.types import acl
from compute_node.types.acl import KINDS, PUBLIC, Acl, AclItem, acl_default, acl_mask, best_grantor, decode_all

_O = enums.ObjectType
_COLUMN_ALL = KINDS["column"][0]
_NOUNS = {
    _O.OBJECT_TABLE: ("relation", KINDS["table"][0] | KINDS["sequence"][0]),
    _O.OBJECT_SEQUENCE: ("sequence", KINDS["sequence"][0]),
    _O.OBJECT_DATABASE: ("database", KINDS["database"][0]),
    _O.OBJECT_DOMAIN: ("domain", KINDS["type"][0]),
    _O.OBJECT_FUNCTION: ("function", KINDS["function"][0]),
    _O.OBJECT_PROCEDURE: ("procedure", KINDS["function"][0]),
    _O.OBJECT_ROUTINE: ("routine", KINDS["function"][0]),
    _O.OBJECT_LANGUAGE: ("language", KINDS["language"][0]),
    _O.OBJECT_SCHEMA: ("schema", KINDS["schema"][0]),
    _O.OBJECT_TABLESPACE: ("tablespace", KINDS["tablespace"][0]),
    _O.OBJECT_TYPE: ("type", KINDS["type"][0]),
    _O.OBJECT_FDW: ("foreign-data wrapper", KINDS["foreign-data wrapper"][0]),
    _O.OBJECT_LARGEOBJECT: ("large object", KINDS["large object"][0]),
    _O.OBJECT_FOREIGN_SERVER: ("foreign server", KINDS["foreign server"][0]),
    _O.OBJECT_PARAMETER_ACL: ("parameter", KINDS["parameter"][0]),
}
"""Type of object → how messages name it, the privileges that a statement may name."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a statement gives or takes. ``everything``: it said ALL; ``option``: WITH GRANT OPTION, GRANT OPTION FOR."""

    is_grant: bool
    privileges: int
    everything: bool
    grantees: tuple[int, ...]
    option: bool
    cascade: bool

    def item(self, grantee: int, grantor: int, privileges: int) -> AclItem:
        """The entry that the change adds to a list, or takes from it."""
        plain = privileges if self.is_grant or not self.option else 0
        options = privileges if not self.is_grant or self.option else 0
        return AclItem(grantee, grantor, plain, options)


def grant_statement(ctx: DdlContext, node: ast.GrantStmt) -> str:
    """GRANT … ON … TO, REVOKE … ON … FROM."""
    if node.objtype not in _NOUNS:
        what = node.objtype.name.removeprefix("OBJECT_").replace("_", " ").lower()
        raise NotSupported(f"GRANT and REVOKE on a {what} are not supported")
    if node.grantor is not None and role_oid(ctx, node.grantor) != ctx.user_oid:
        raise NotSupported("grantor must be current user")
    is_parameter = node.objtype == _O.OBJECT_PARAMETER_ACL
    parameters = parameter_names(node.objects, bool(node.is_grant)) if is_parameter else []
    targets = [] if is_parameter else grant_targets(ctx, node)
    grantees = tuple(grantee_oid(ctx, spec) for spec in node.grantees)
    privileges, columns = _privileges(node)
    change = Change(
        bool(node.is_grant),
        privileges,
        node.privileges is None,
        grantees,
        bool(node.grant_option),
        node.behavior == enums.DropBehavior.DROP_CASCADE,
    )
    for name in parameters:
        change_parameter(ctx, name, change.is_grant, partial(_of_parameter, ctx, change))
    for target in targets:
        if target.desc is not None:
            _grant_relation(ctx, target.desc, change, columns, node.objtype)
        else:
            _grant_object(ctx, target, change)
    ctx.changes.touch()
    return "GRANT" if node.is_grant else "REVOKE"


def _privileges(node: ast.GrantStmt) -> tuple[int, list[tuple[int, list[str]]]]:
    """(bits on whole objects, (bits, columns) …). Raises 42601, 0LP01."""
    noun, known = _NOUNS[node.objtype]
    if node.privileges is None:
        return 0, []
    bits = 0
    columns: list[tuple[int, list[str]]] = []
    for item in node.privileges:
        if item.cols and node.objtype != _O.OBJECT_TABLE:
            raise InvalidGrantOperation("column privileges are only valid for relations")
        if item.priv_name is None:
            columns.append((0, [each.sval for each in item.cols]))
            continue
        bit = privilege_bit(item.priv_name)
        if item.cols:
            if bit & ~_COLUMN_ALL:
                raise InvalidGrantOperation(f"invalid privilege type {privilege_name(bit)} for column")
            columns.append((bit, [each.sval for each in item.cols]))
            continue
        if bit & ~known:
            raise InvalidGrantOperation(f"invalid privilege type {privilege_name(bit)} for {noun}")
        bits |= bit
    return bits, columns


def privilege_bit(name: str) -> int:
    """A privilege by its name; 42601."""
    key = {"temp": "TEMPORARY"}.get(name, name.upper())
    if key not in acl.NAMES:
        raise SqlSyntaxError(f'unrecognized privilege type "{name}"')
    return acl.NAMES[key]


def privilege_name(bit: int) -> str:
    """Its name, as messages have it."""
    names = {value: name for name, value in acl.NAMES.items()}
    return {acl.TEMPORARY: "TEMP"}.get(bit, names[bit])


# --- relations ------------------------------------------------------------------------------------------------------


def _grant_relation(
    ctx: DdlContext, desc: RelationDesc, change: Change, columns: list[tuple[int, list[str]]], kind: enums.ObjectType
) -> None:
    if desc.kind in "iI":
        raise WrongObjectType(f'"{desc.name}" is an index')
    if desc.kind == "c":
        raise WrongObjectType(f'"{desc.name}" is a composite type')
    sequence = desc.kind == "S"
    if kind == _O.OBJECT_SEQUENCE and not sequence:
        raise WrongObjectType(f'"{desc.name}" is not a sequence')
    desc = _locked(ctx, desc)
    change = replace(change, privileges=_fitting(ctx, desc, change, kind))
    wanted: dict[int, int] = {}
    if not change.is_grant and change.privileges & _COLUMN_ALL:
        # What is taken from the table is taken from its columns too, the system's first.
        numbers = [] if desc.kind == "v" else sorted(SYSTEM_NAMES)
        numbers += [column.attno for column in desc.columns if not column.dropped]
        wanted = dict.fromkeys(numbers, change.privileges & _COLUMN_ALL)
    for bits, names in columns:
        for name in names:
            found = desc.column(name)
            if found is None:
                raise UndefinedColumn(f'column "{name}" of relation "{desc.name}" does not exist')
            wanted[found.attno] = wanted.get(found.attno, 0) | (bits or _COLUMN_ALL)
    if change.privileges:
        _grant_whole(ctx, desc, change)
    for attno, bits in wanted.items():
        if sequence and bits & ~acl.SELECT:
            ctx.notice(
                f'sequence "{desc.name}" only supports SELECT column privileges', severity="WARNING", sqlstate="0LP01"
            )
            bits &= acl.SELECT
        name = SYSTEM_NAMES[attno] if attno < 0 else desc.columns[attno - 1].name
        everything = change.everything or any(not each for each, names in columns if name in names)
        _grant_column(ctx, desc, attno, name, replace(change, privileges=bits, everything=everything))
    ctx.changes.touch(desc.oid)


def _locked(ctx: DdlContext, desc: RelationDesc) -> RelationDesc:
    """The relation, its lists changed by nobody else from now on; only who may grant something on it waits for that."""
    lists = [desc.acl, *(column.acl for column in desc.columns)]
    if not _may_grant(ctx, desc.owner, [item for items in lists for item in items or ()]):
        return desc
    ctx.lock(desc, SHARE_UPDATE_EXCLUSIVE)
    found = ctx.view.relation(desc.oid)
    if found is None:
        raise UndefinedTable(f'relation "{desc.name}" does not exist')
    return found


def _may_grant(ctx: DdlContext, owner: int, items: Iterable[AclItem]) -> bool:
    rights = ctx.rights
    return rights.owns(owner) or any(item.options and rights.has_role(item.grantee) for item in items if item.grantee)


def _fitting(ctx: DdlContext, desc: RelationDesc, change: Change, kind: enums.ObjectType) -> int:
    """The privileges that this kind of relation has, of those that the statement names."""
    usual = KINDS["sequence" if desc.kind == "S" else "table"][0]
    if change.everything:
        return usual
    strange = change.privileges & ~usual
    if strange and kind == _O.OBJECT_TABLE:
        if desc.kind != "S":
            raise InvalidGrantOperation("invalid privilege type USAGE for table")
        ctx.notice(
            f'sequence "{desc.name}" only supports USAGE, SELECT, and UPDATE privileges',
            severity="WARNING",
            sqlstate="0LP01",
        )
    return change.privileges & usual


def _grant_whole(ctx: DdlContext, desc: RelationDesc, change: Change) -> None:
    kind = "sequence" if desc.kind == "S" else "table"
    old = desc.acl if desc.acl is not None else acl_default(kind, desc.owner)
    grantor, available = _grantor(ctx, desc.owner, old, change.privileges)
    if not available and not _holds_any(ctx, old, desc.owner, grantor, KINDS[kind][0]):
        raise denied_relation(desc)
    bits = _restricted(ctx, change, available, f'"{desc.name}"')
    new = _merged(ctx, old, desc.owner, change, grantor, bits)
    ctx.rows.update("pg_class", class_record(ctx, desc.oid), relacl=acl.encode_all(new))
    shared_depend.change_acl(ctx, (CLASS_RELATION, desc.oid, 0), desc.owner, desc.acl, new)
    ctx.changes.touch(desc.oid)


def _grant_column(ctx: DdlContext, desc: RelationDesc, attno: int, name: str, change: Change) -> None:
    stored = desc.columns[attno - 1].acl if attno > 0 else None
    old = stored or ()
    table = desc.acl if desc.acl is not None else acl_default("table", desc.owner)
    # Who may grant on the table may grant on its columns.
    both = (*old, *table)
    grantor, available = _grantor(ctx, desc.owner, both, change.privileges)
    if not available and not _holds_any(ctx, both, desc.owner, grantor, _COLUMN_ALL):
        raise InsufficientPrivilege(f'permission denied for column "{name}" of relation "{desc.name}"')
    bits = _restricted(ctx, change, available, f'column "{name}" of relation "{desc.name}"')
    new = _merged(ctx, old, desc.owner, change, grantor, bits)
    if new != old:
        record = attribute_record(ctx, desc.oid, attno)
        ctx.rows.update("pg_attribute", record, attacl=acl.encode_all(new) if new else None)
        shared_depend.change_acl(ctx, (CLASS_RELATION, desc.oid, attno), desc.owner, stored, new)


# --- other objects --------------------------------------------------------------------------------------------------


def _grant_object(ctx: DdlContext, target: Target, change: Change) -> None:
    catalog, key, name_column, owner_column, acl_column = OBJECTS[target.kind]
    record = ctx.rows.one(catalog, **{key: target.oid})
    if record is None:
        raise NotSupported(f"{target.kind} {target.oid} has been dropped meanwhile")
    owner, name = getattr(record, owner_column), getattr(record, name_column)
    if target.kind == large_objects.KIND:
        name = f"{target.kind} {target.oid}"
    if _may_grant(ctx, owner, decode_all(getattr(record, acl_column)) or ()):
        ctx.lock_object(CLASSES[target.kind], target.oid, name, shared=target.kind == "tablespace")
        record = ctx.rows.one(catalog, **{key: target.oid})
        if record is None:
            raise UndefinedObject(f'{target.noun} "{name}" does not exist')
        owner = getattr(record, owner_column)
    stored = decode_all(getattr(record, acl_column))
    old = acl_default(target.kind, owner) if stored is None else stored
    whole = KINDS[target.kind][0]
    change = replace(change, privileges=change.privileges or (whole if change.everything else 0))
    grantor, available = _grantor(ctx, owner, old, change.privileges)
    if not available and not _holds_any(ctx, old, owner, grantor, whole):
        raise denied(target.noun, name)
    bits = _restricted(ctx, change, available, f'"{name}"')
    new = _merged(ctx, old, owner, change, grantor, bits)
    store_acl(ctx, catalog, record, acl_column, new)
    shared_depend.change_acl(ctx, (CLASSES[target.kind], target.oid, 0), owner, stored, new)


def _of_parameter(ctx: DdlContext, change: Change, name: str, items: Acl, owner: int) -> Acl:
    """A setting's list after the change."""
    whole = KINDS["parameter"][0]
    change = replace(change, privileges=change.privileges or (whole if change.everything else 0))
    grantor, available = _grantor(ctx, owner, items, change.privileges)
    if not available and not _holds_any(ctx, items, owner, grantor, whole):
        raise denied("parameter", name)
    return _merged(ctx, items, owner, change, grantor, _restricted(ctx, change, available, f'"{name}"'))


def store_acl(ctx: DdlContext, catalog: str, record: Record, column: str, items: Acl | None) -> None:
    """Write an object's list."""
    value: Datum = None if items is None else acl.encode_all(items)
    ctx.rows.update(catalog, record, **{column: value})


# --- one list -------------------------------------------------------------------------------------------------------


def _grantor(ctx: DdlContext, owner: int, items: Acl, bits: int) -> tuple[int, int]:
    graph = ctx.rights.graph
    inherited = sorted(graph.privileges_of(ctx.user_oid))
    return best_grantor(ctx.user_oid, owner, items, graph, bits, inherited)


def _holds_any(ctx: DdlContext, items: Acl, owner: int, role: int, bits: int) -> bool:
    """Whether a role holds anything at all on the object, which makes the refusal a warning."""
    graph = ctx.rights.graph
    if graph.is_superuser(role):
        return True
    return bool(acl_mask(items, owner, role, graph, bits) or acl_mask(items, owner, role, graph, bits, options=True))


def _restricted(ctx: DdlContext, change: Change, available: int, what: str) -> int:
    """What can be given or taken after all; a warning tells when that is less than was asked."""
    bits = change.privileges & available
    verb, end, sqlstate = (
        ("were granted", "01007", "01007") if change.is_grant else ("could be revoked", "01006", "01006")
    )
    if not bits:
        ctx.notice(f"no privileges {verb} for {what}", severity="WARNING", sqlstate=end)
    elif bits != change.privileges and not change.everything:
        ctx.notice(f"not all privileges {verb} for {what}", severity="WARNING", sqlstate=sqlstate)
    return bits


def _merged(ctx: DdlContext, items: Acl, owner: int, change: Change, grantor: int, bits: int) -> Acl:
    graph = ctx.rights.graph
    for grantee in change.grantees:
        if grantee == PUBLIC and change.is_grant and change.option:
            raise InvalidGrantOperation("grant options can only be granted to roles")
        item = change.item(grantee, grantor, bits)
        try:
            if change.is_grant:
                items = acl.grant(items, owner, item, graph)
            else:
                items = acl.revoke(items, owner, item, graph, change.cascade)
        except acl.CircularGrant:
            raise InvalidGrantOperation("grant options cannot be granted back to your own grantor") from None
        except acl.DependentPrivileges:
            raise DependentObjectsStillExist(
                "dependent privileges exist", hint="Use CASCADE to revoke them too."
            ) from None
    return items
