"""Access control lists: what each ``aclitem[]`` of the catalogs means, and the arithmetic of GRANT and REVOKE.

Pure: roles are OIDs, and what a role inherits is asked of a ``RoleRights``. An item says that ``grantor`` gave
``grantee`` (0: PUBLIC) some privileges, and which of them with grant option. Catalog columns keep items as text in
OIDs, ``16385=r*w/10``; a column that is NULL means ``acl_default``. Source: PostgreSQL manual, ch. 5.7 and the
reference pages of GRANT and REVOKE.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

PUBLIC: Final = 0

INSERT, SELECT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER = (1 << bit for bit in range(7))
EXECUTE, USAGE, CREATE, TEMPORARY, CONNECT, SET, ALTER_SYSTEM = (1 << bit for bit in range(7, 14))
LETTERS: Final = "arwdDxtXUCTcsA"
"""of the privileges, by bit"""
NAMES: Final = {
    "INSERT": INSERT, "SELECT": SELECT, "UPDATE": UPDATE, "DELETE": DELETE, "TRUNCATE": TRUNCATE,
    "REFERENCES": REFERENCES, "TRIGGER": TRIGGER, "EXECUTE": EXECUTE, "USAGE": USAGE, "CREATE": CREATE,
    "TEMPORARY": TEMPORARY, "CONNECT": CONNECT, "SET": SET, "ALTER SYSTEM": ALTER_SYSTEM,
}  # fmt: skip
_BIT_OF = {letter: 1 << bit for bit, letter in enumerate(LETTERS)}

TABLE_ALL: Final = INSERT | SELECT | UPDATE | DELETE | TRUNCATE | REFERENCES | TRIGGER
KINDS: Final[dict[str, tuple[int, int]]] = {
    "table": (TABLE_ALL, 0),
    "column": (INSERT | SELECT | UPDATE | REFERENCES, 0),
    "sequence": (USAGE | SELECT | UPDATE, 0),
    "database": (CREATE | TEMPORARY | CONNECT, TEMPORARY | CONNECT),
    "schema": (USAGE | CREATE, 0),
    "function": (EXECUTE, EXECUTE),
    "language": (USAGE, USAGE),
    "type": (USAGE, USAGE),
    "tablespace": (CREATE, 0),
    "large object": (SELECT | UPDATE, 0),
    "foreign-data wrapper": (USAGE, 0),
    "foreign server": (USAGE, 0),
    "parameter": (SET | ALTER_SYSTEM, 0),
}
"""Kind of object → (every privilege that it has, those that PUBLIC has by default)."""


class AclItem(NamedTuple):
    """``privileges`` and ``options`` (those with grant option) are bits."""

    grantee: int
    grantor: int
    privileges: int
    options: int = 0


Acl = tuple[AclItem, ...]


class RoleRights(Protocol):
    """Which roles' privileges a role has."""

    def has_privileges_of(self, role: int, other: int) -> bool:
        """Whether ``role`` is ``other``, inherits from it, or is a superuser."""

    def is_superuser(self, role: int) -> bool:
        """Whether nothing is refused to the role."""


def letters(item: AclItem) -> str:
    """``ar*w``: the privileges of an item, a star after those with grant option."""
    return "".join(
        letter + ("*" if item.options >> bit & 1 else "")
        for bit, letter in enumerate(LETTERS)
        if (item.privileges | item.options) >> bit & 1
    )


def encode(item: AclItem) -> str:
    """An item as the catalog keeps it."""
    return f"{item.grantee or ''}={letters(item)}/{item.grantor}"


@lru_cache(maxsize=4096)
def decode(text: str) -> AclItem:
    """``encode`` undone."""
    grantee, _, rest = text.partition("=")
    rights, _, grantor = rest.partition("/")
    privileges = options = 0
    for at, letter in enumerate(rights):
        if letter != "*":
            privileges |= _BIT_OF[letter]
            if rights[at + 1 : at + 2] == "*":
                options |= _BIT_OF[letter]
    return AclItem(int(grantee or 0), int(grantor), privileges, options)


def decode_all(texts: Sequence[str] | None) -> Acl | None:
    """A catalog column's value; NULL stays None."""
    return None if texts is None else tuple(decode(text) for text in texts)


def encode_all(acl: Iterable[AclItem]) -> list[str]:
    """An ACL as a catalog column's value."""
    return [encode(item) for item in acl]


def acl_default(kind: str, owner: int) -> Acl:
    """What an object has as long as nobody granted or revoked anything on it."""
    if kind == "column":
        return ()
    everything, public = KINDS[kind]
    own = AclItem(owner, owner, everything)
    return (AclItem(PUBLIC, owner, public), own) if public else (own,)


def acl_mask(acl: Acl, owner: int, role: int, roles: RoleRights, wanted: int, options: bool = False) -> int:
    """Which of the ``wanted`` privileges (or, with ``options``, grant options) a role holds. The owner holds every
    grant option, whatever the list says."""
    if options and roles.has_privileges_of(role, owner):
        return wanted
    found = 0
    others = []
    for item in acl:
        bits = item.options if options else item.privileges
        if item.grantee in (PUBLIC, role):
            found |= bits & wanted
        else:
            others.append((item.grantee, bits))
    for grantee, bits in others:
        if bits & wanted & ~found and roles.has_privileges_of(role, grantee):
            found |= bits & wanted
    return found


def best_grantor(
    role: int, owner: int, acl: Acl, roles: RoleRights, wanted: int, inherited: Iterable[int]
) -> tuple[int, int]:
    """(grantor, which of ``wanted`` it may grant): the owner if the role has its privileges, else the one of the roles
    whose privileges it has (``inherited``) that holds the most of the grant options; the role itself when none holds
    any."""
    if roles.has_privileges_of(role, owner):
        return owner, wanted
    best, best_bits = role, 0
    for candidate in (role, *(each for each in inherited if each != role)):
        bits = _options_of(acl, owner, candidate) & wanted
        if bits == wanted:
            return candidate, bits
        if bits.bit_count() > best_bits.bit_count():
            best, best_bits = candidate, bits
    return best, best_bits


class DependentPrivileges(Exception):
    """A revoke without CASCADE would leave privileges that others were given by the grantee."""


class CircularGrant(Exception):
    """A grant option would come back to the one who gave it."""


def grant(acl: Acl, owner: int, item: AclItem, roles: RoleRights) -> Acl:
    """The list after ``item.grantor`` gave ``item`` to its grantee. Raises CircularGrant."""
    if item.options and item.grantee != PUBLIC:
        _check_circularity(acl, owner, item, roles)
    return _changed(acl, item, adding=True)


def added(acl: Acl, item: AclItem) -> Acl:
    """The list with an entry more, as it is."""
    return _changed(acl, item, adding=True)


def revoke(acl: Acl, owner: int, item: AclItem, roles: RoleRights, cascade: bool) -> Acl:
    """The list after ``item.grantor`` took ``item`` back: privileges, and the grant options in it. What the grantee
    gave others with an option that is gone goes too with ``cascade``; else DependentPrivileges is raised."""
    before = sum(old.options for old in acl if old[:2] == item[:2])
    result = _changed(acl, item, adding=False)
    lost = before & item.options
    return _revoke_dependents(result, owner, item.grantee, lost, roles, cascade) if lost else result


def _changed(acl: Acl, item: AclItem, *, adding: bool) -> Acl:
    found = list(acl)
    keys = [(old.grantee, old.grantor) for old in found]
    if (item.grantee, item.grantor) in keys:
        at = keys.index((item.grantee, item.grantor))
    elif adding:
        at = len(found)
        found.append(AclItem(item.grantee, item.grantor, 0))
    else:
        return acl
    old = found[at]
    if adding:
        new = old._replace(privileges=old.privileges | item.privileges, options=old.options | item.options)
    else:
        new = old._replace(privileges=old.privileges & ~item.privileges, options=old.options & ~item.options)
    if new.privileges or new.options:
        found[at] = new
    else:
        del found[at]
    return tuple(found)


def _options_of(acl: Acl, owner: int, role: int) -> int:
    """The grant options that a role itself holds."""
    if role == owner:
        return (1 << len(LETTERS)) - 1
    bits = 0
    for item in acl:
        if item.grantee == role:
            bits |= item.options
    return bits


def _revoke_dependents(acl: Acl, owner: int, grantee: int, lost: int, roles: RoleRights, cascade: bool) -> Acl:
    """Take back what ``grantee`` gave with options that it holds from nobody any more."""
    if grantee == owner:
        return acl
    lost &= ~acl_mask(acl, owner, grantee, roles, lost, options=True)
    for item in acl:
        if item.grantor == grantee and item.privileges & lost:
            if not cascade:
                raise DependentPrivileges
            rest = revoke(acl, owner, AclItem(item.grantee, grantee, lost, lost), roles, cascade)
            return _revoke_dependents(rest, owner, grantee, lost, roles, cascade)
    return acl


def _check_circularity(acl: Acl, owner: int, item: AclItem, roles: RoleRights) -> None:
    """The grantor must hold its options without help of the new grantee: they are revoked on trial."""
    if item.grantor == owner:
        return
    trial = acl
    while True:
        held = next((each for each in trial if each.grantee == item.grantee and each.options), None)
        if held is None:
            break
        taken = AclItem(held.grantee, held.grantor, held.options, held.options)
        trial = revoke(trial, owner, taken, roles, cascade=True)
    if item.options & ~acl_mask(trial, owner, item.grantor, roles, item.options, options=True):
        raise CircularGrant


def change_owner(acl: Acl, old: int, new: int) -> Acl:
    """The list after the object went to another owner: what the old one gave and held is the new one's; items that
    become alike are merged."""
    merged: dict[tuple[int, int], AclItem] = {}
    for item in acl:
        grantee = new if item.grantee == old else item.grantee
        grantor = new if item.grantor == old else item.grantor
        known = merged.get((grantee, grantor), AclItem(grantee, grantor, 0))
        merged[grantee, grantor] = known._replace(
            privileges=known.privileges | item.privileges, options=known.options | item.options
        )
    return tuple(merged.values())


def roles_of(acl: Iterable[AclItem]) -> set[int]:
    """The roles that a list names, PUBLIC aside."""
    return {role for item in acl for role in (item.grantee, item.grantor) if role}
