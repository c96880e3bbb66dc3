"""Who is a member of whom: pg_authid and pg_auth_members as one immutable picture of a catalog state.

``RoleGraph`` is made when it is first asked for and replaced as a whole when a role or a membership changes;
``generation`` names it, so that what was decided by an older one can tell. Source: PostgreSQL manual, ch. 22.3.
"""

from __future__ import annotations

import itertools
from typing import Final

from compute_node.catalog.rows import CatalogReader

PG_DATABASE_OWNER: Final = 6171
PG_READ_ALL_DATA: Final = 6181
PG_WRITE_ALL_DATA: Final = 6182
PG_MONITOR: Final = 3373
PG_READ_ALL_SETTINGS: Final = 3374
PG_READ_ALL_STATS: Final = 3375
PG_STAT_SCAN_TABLES: Final = 3377
PG_SIGNAL_BACKEND: Final = 4200

_GENERATIONS = itertools.count(1)


class RoleGraph:
    """Memberships among roles. ``database_owner`` is an implicit member of pg_database_owner."""

    def __init__(
        self,
        superusers: frozenset[int],
        reluctant: frozenset[int],
        parents: dict[int, tuple[tuple[int, bool], ...]],
        database_owner: int,
        bypassing: frozenset[int] = frozenset(),
    ) -> None:
        self._bypassing = bypassing
        self.generation = next(_GENERATIONS)
        self.database_owner = database_owner
        self._superusers = superusers
        self._reluctant = reluctant
        """roles with NOINHERIT"""
        self._parents = parents
        self._privileges: dict[int, frozenset[int]] = {}
        self._memberships: dict[int, frozenset[int]] = {}

    def is_superuser(self, role: int) -> bool:
        """Whether nothing is refused to the role."""
        return role in self._superusers

    def bypasses_policies(self, role: int) -> bool:
        """Whether row security is not for the role: BYPASSRLS, superusers."""
        return role in self._bypassing or role in self._superusers

    def privileges_of(self, role: int) -> frozenset[int]:
        """The roles whose privileges a role has without SET ROLE, itself included; a superuser's memberships only."""
        found = self._privileges.get(role)
        if found is None:
            found = self._privileges[role] = self._closure(role, self._reluctant)
        return found

    def memberships_of(self, role: int) -> frozenset[int]:
        """The roles that a role may SET ROLE to by membership, itself included."""
        found = self._memberships.get(role)
        if found is None:
            found = self._memberships[role] = self._closure(role, frozenset())
        return found

    def _closure(self, role: int, closed: frozenset[int]) -> frozenset[int]:
        found = {role: None}
        waiting = [role]
        while waiting:
            member = waiting.pop()
            if member in closed:
                continue
            parents = [parent for parent, _ in self._parents.get(member, ())]
            if member == self.database_owner:
                parents.append(PG_DATABASE_OWNER)
            for parent in parents:
                if parent not in found:
                    found[parent] = None
                    waiting.append(parent)
        return frozenset(found)

    def has_privileges_of(self, role: int, other: int) -> bool:
        """See ``acl.RoleRights``."""
        return role == other or role in self._superusers or other in self.privileges_of(role)

    def is_member(self, role: int, other: int) -> bool:
        """Whether a role may SET ROLE to another."""
        return role == other or role in self._superusers or other in self.memberships_of(role)

    def is_member_without_superuser(self, role: int, other: int) -> bool:
        """Membership as such, which being a superuser does not give."""
        return role == other or other in self.memberships_of(role)

    def is_admin(self, role: int, other: int) -> bool:
        """Whether a role may grant membership in another: by ADMIN OPTION, its own or inherited membership's."""
        if role in self._superusers:
            return True
        return any(
            parent == other and admin
            for member in self.memberships_of(role)
            for parent, admin in self._parents.get(member, ())
        )


def load_graph(reader: CatalogReader, database_owner: int) -> RoleGraph:
    """Read the two catalogs."""
    superusers, reluctant, bypassing = set(), set(), set()
    for role in reader.all("pg_authid"):
        if role.rolsuper:
            superusers.add(role.oid)
        if role.rolbypassrls:
            bypassing.add(role.oid)
        if not role.rolinherit:
            reluctant.add(role.oid)
    parents: dict[int, list[tuple[int, bool]]] = {}
    for row in reader.all("pg_auth_members"):
        parents.setdefault(row.member, []).append((row.roleid, row.admin_option))
    known = {member: tuple(sorted(items)) for member, items in parents.items()}
    return RoleGraph(frozenset(superusers), frozenset(reluctant), known, database_owner, frozenset(bypassing))
