"""What a role may do in one state of the catalog: objects' ACLs, ownership, membership, predefined roles.

``Rights`` is for one role and one state, of which it asks what it needs to know (``CatalogLayer.ask``). It answers with
the privileges held, as bits of ``types/acl``; whoever asks words the error. Source: PostgreSQL manual, ch. 5.7, 22.5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aurora.datum import Datum
from aurora.errors import InternalError
from compute_node.catalog.roles import PG_READ_ALL_DATA, PG_WRITE_ALL_DATA, RoleGraph
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.schema import CATALOGS, CATALOGS_BY_OID, ROLE_POSTGRES
from compute_node.types import acl
from compute_node.types.acl import Acl, acl_default, acl_mask, decode_all

_CHANGES: Final = acl.INSERT | acl.UPDATE | acl.DELETE | acl.TRUNCATE | acl.USAGE
_WRITES: Final = acl.INSERT | acl.UPDATE | acl.DELETE

OBJECTS: Final[dict[str, tuple[str, str, str, str, str]]] = {
    "schema": ("pg_namespace", "oid", "nspname", "nspowner", "nspacl"),
    "database": ("pg_database", "oid", "datname", "datdba", "datacl"),
    "function": ("pg_proc", "oid", "proname", "proowner", "proacl"),
    "type": ("pg_type", "oid", "typname", "typowner", "typacl"),
    "language": ("pg_language", "oid", "lanname", "lanowner", "lanacl"),
    "tablespace": ("pg_tablespace", "oid", "spcname", "spcowner", "spcacl"),
    "foreign-data wrapper": ("pg_foreign_data_wrapper", "oid", "fdwname", "fdwowner", "fdwacl"),
    "foreign server": ("pg_foreign_server", "oid", "srvname", "srvowner", "srvacl"),
    "large object": ("pg_largeobject_metadata", "oid", "oid", "lomowner", "lomacl"),
}
"""Kind → its catalog, and there the columns of OID, name, owner and ACL."""
CLASSES: Final = {kind: CATALOGS[catalog].desc.oid for kind, (catalog, *_) in OBJECTS.items()} | {
    "large object": CATALOGS["pg_largeobject"].desc.oid
}
"""Kind → the class OID under which pg_depend, pg_shdepend and pg_description know it."""


class Rights:
    """See the module. ``role`` 0, of a role that has been dropped, holds what PUBLIC holds."""

    def __init__(self, ask: Callable[..., Datum], role: int, database: int) -> None:
        self.role = role
        self.graph: RoleGraph = ask("role graph")
        self.superuser = self.graph.is_superuser(role)
        self._ask = ask
        self._database = database

    def acl_of(self, kind: str, oid: int) -> tuple[str, int, Acl]:
        """(name, owner, access control list) of an object of a kind in ``OBJECTS``."""
        found: tuple[str, int, Acl] | None = self._ask("acl", kind, oid)
        if found is None:
            raise InternalError(f"cache lookup failed for {kind} {oid}")
        return found

    def function(self, oid: int) -> bool:
        """Whether the role may call a function."""
        found = None if self.superuser else self._ask("restricted functions").get(oid)
        return found is None or bool(acl_mask(found[2], found[1], self.role, self.graph, acl.EXECUTE))

    def parameter(self, name: str, wanted: int, options: bool = False) -> int:
        """Privileges on a setting, by its lower-case name; what everybody may SET is not asked for."""
        if self.superuser:
            return wanted
        items: Acl | None = self._ask("parameter acl", name)
        if items is None:
            return 0
        return acl_mask(items, ROLE_POSTGRES, self.role, self.graph, wanted, options)

    def policies_hold(self, desc: RelationDesc) -> bool:
        """Whether a table's policies restrict what the role sees of it."""
        if not desc.row_security or self.graph.bypasses_policies(self.role):
            return False
        return desc.force_row_security or not self.owns(desc.owner)

    def owns(self, owner: int) -> bool:
        """Whether the role has the owner's privileges."""
        return self.graph.has_privileges_of(self.role, owner)

    def has_role(self, other: int) -> bool:
        """Whether the role has the privileges of another, a predefined one say."""
        return self.graph.has_privileges_of(self.role, other)

    def relation(self, desc: RelationDesc, wanted: int, options: bool = False) -> int:
        """Privileges on a whole table, view, sequence …"""
        if self.superuser:
            return wanted
        if desc.oid in CATALOGS_BY_OID:
            # Nobody else changes a system catalog, whatever its list says.
            wanted &= ~_CHANGES
        kind = "sequence" if desc.kind == "S" else "table"
        items = desc.acl if desc.acl is not None else acl_default(kind, desc.owner)
        found = acl_mask(items, desc.owner, self.role, self.graph, wanted, options)
        if options:
            return found
        if wanted & acl.SELECT & ~found and self.has_role(PG_READ_ALL_DATA):
            found |= acl.SELECT
        if wanted & _WRITES & ~found and self.has_role(PG_WRITE_ALL_DATA):
            found |= wanted & _WRITES
        return found

    def column(self, desc: RelationDesc, attno: int, wanted: int, options: bool = False) -> int:
        """Privileges on one column by its own list, to be added to those on the table."""
        if self.superuser:
            return wanted
        if attno < 1 or attno > len(desc.columns):
            return 0
        items = desc.columns[attno - 1].acl
        return 0 if items is None else acl_mask(items, desc.owner, self.role, self.graph, wanted, options)

    def any_column(self, desc: RelationDesc, wanted: int, options: bool = False) -> bool:
        """Whether one live column at least has one of the privileges."""
        return any(not column.dropped and self.column(desc, column.attno, wanted, options) for column in desc.columns)

    def schema(self, oid: int, wanted: int, options: bool = False) -> int:
        """Privileges on a schema; USAGE is with whoever may read or write all data. (A session finds its own temporary
        schema on its path; nobody uses another's.)"""
        if self.superuser:
            return wanted
        _, owner, items = self.acl_of("schema", oid)
        found = acl_mask(items, owner, self.role, self.graph, wanted, options)
        if wanted & acl.USAGE & ~found and not options:
            if self.has_role(PG_READ_ALL_DATA) or self.has_role(PG_WRITE_ALL_DATA):
                found |= acl.USAGE
        return found

    def database(self, oid: int, wanted: int, options: bool = False) -> int:
        """Privileges on a database."""
        return self.object("database", oid, wanted, options)

    def object(self, kind: str, oid: int, wanted: int, options: bool = False) -> int:
        """Privileges on an object of a kind in ``OBJECTS``."""
        if kind == "schema":
            return self.schema(oid, wanted, options)
        if self.superuser:
            return wanted
        _, owner, items = self.acl_of(kind, oid)
        return acl_mask(items, owner, self.role, self.graph, wanted, options)


def effective(kind: str, owner: int, stored: list[str] | None) -> Acl:
    """An object's ACL: what is stored, or the default."""
    items = decode_all(stored)
    return acl_default(kind, owner) if items is None else items
