"""Functions that look after one index: gin_clean_pending_list and its like (manual, 9.27.8)."""

from __future__ import annotations

from collections.abc import Callable

from aurora.datum import Datum
from aurora.errors import InsufficientPrivilege, InternalError, WrongObjectType
from compute_node.catalog.functions.call import Call
from compute_node.relations.access_methods import GIN, AccessMethod
from compute_node.relations.descriptors import IndexDesc, RelationDesc


def _index(call: Call, oid: int, method: AccessMethod, shown: str) -> tuple[RelationDesc, IndexDesc]:
    """The table and the index; the caller owns it. Errors: XX000, 42809, 42501."""
    desc = call.view.relation(oid)
    if desc is None:
        raise InternalError(f"could not open relation with OID {oid}")
    if desc.kind != "i":
        raise WrongObjectType(f'"{desc.name}" is not an index')
    row = call.reader.one("pg_index", indexrelid=oid)
    table = None if row is None else call.view.relation(row.indrelid)
    index = None if table is None else next((each for each in table.indexes if each.oid == oid), None)
    if table is None or index is None or index.method != method.name:
        raise WrongObjectType(f'"{desc.name}" is not a {shown} index')
    if not call.view.layer.rights(call.session.user_oid).owns(desc.owner):
        raise InsufficientPrivilege(f"must be owner of index {desc.name}")
    return table, index


def clean_pending_list(call: Call, oid: int) -> int:
    """gin_clean_pending_list: no entry is ever pending, so no page is freed."""
    _index(call, oid, GIN, "GIN")
    return 0


FUNCTIONS: dict[str, Callable[..., Datum]] = {
    "gin_clean_pending_list": clean_pending_list,
}
