"""The check of what a statement needs (``sql/required``) against what its user holds (``rights``): 42501 or nothing.

Made when a statement's plan is: a plan is for one user and one state of the catalog, so a statement that runs again
need not be asked again. Sources: PostgreSQL manual, ch. 5.7; messages as PostgreSQL's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from aurora.errors import InsufficientPrivilege, SqlError
from compute_node.catalog.rights import Rights
from compute_node.relations.descriptors import RELATION_NOUNS, RelationDesc
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.sql.required import WHOLE_ROW, RelationAccess, Required
from compute_node.types.acl import INSERT, SELECT, UPDATE

if TYPE_CHECKING:
    from compute_node.catalog.view import CatalogView

_KINDS = RELATION_NOUNS | {"t": "table", "c": "type"}


def denied_relation(desc: RelationDesc) -> SqlError:
    """The error for a relation."""
    return InsufficientPrivilege(f"permission denied for {_KINDS.get(desc.kind, 'table')} {desc.name}")


def denied(kind: str, name: str) -> SqlError:
    """The error for any other object."""
    return InsufficientPrivilege(f"permission denied for {kind} {name}")


def check_required(view: CatalogView, user: int, required: Required) -> None:
    """Raise 42501 unless the user (and for views their owners) may do all that the statement needs."""
    rights = view.rights(user)
    for access in required.relations:
        if not may_access(view.rights(access.check_as) if access.check_as else rights, access):
            raise denied_relation(access.relation)
    check_functions(view, user, required.functions)


def check_functions(view: CatalogView, user: int, functions: Iterable[int]) -> None:
    """Raise 42501 unless the user may call all of these functions, and for aggregates of users, their owners what they
    are made of."""
    rights = view.rights(user)
    for oid in sorted(functions):
        if not rights.function(oid):
            raise _denied_function(view, oid)
        aggregate = view.aggregate(oid) if oid >= FIRST_NORMAL_OID else None
        if aggregate is not None:
            owner = view.rights(rights.acl_of("function", oid)[1])
            for part in aggregate.parts:
                if not owner.function(part):
                    raise _denied_function(view, part)


def _denied_function(view: CatalogView, oid: int) -> SqlError:
    function = view.function(oid)
    return denied({"p": "procedure", "a": "aggregate"}.get(function.kind, "function"), function.name)


def may_access(rights: Rights, access: RelationAccess) -> bool:
    """Whether a role holds what one use of a relation needs: on the table, or on each column that it touches."""
    desc = access.relation
    lacking = access.modes & ~rights.relation(desc, access.modes)
    if not lacking:
        return True
    if lacking & ~(SELECT | INSERT | UPDATE):
        return False
    return all(
        _columns_allowed(rights, desc, mode, columns)
        for mode, columns in ((SELECT, access.selected), (INSERT, access.inserted), (UPDATE, access.updated))
        if lacking & mode
    )


def _columns_allowed(rights: Rights, desc: RelationDesc, mode: int, columns: frozenset[int]) -> bool:
    if not columns:
        return rights.any_column(desc, mode)
    if WHOLE_ROW in columns:
        columns |= {column.attno for column in desc.columns if not column.dropped}
        columns -= {WHOLE_ROW}
    return all(rights.column(desc, attno, mode) for attno in columns)
