"""Row security: the policies of the tables that a statement reads and writes become conditions (PostgreSQL manual,
ch. 5.8, CREATE POLICY).

What a role may see of a table is ``RangeEntry.security``, checked before anything else looks at a row. What it may
write is ``Query.row_checks``, an error when a row does not meet them. Both are for the role that reads: the current
user, inside a view its owner. Policies that allow something are joined by OR, those that restrict by AND.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

from aurora.errors import InsufficientPrivilege, InvalidObjectDefinition, InvariantViolation, SqlError
from compute_node.relations.descriptors import PolicyDesc, RelationDesc
from compute_node.sql.analyze.stored import analyze_stored
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Const, Expr, Or, Var
from compute_node.sql.query import Query, RangeEntry, RowCheck
from compute_node.sql.required import Place, places_in, places_of, read_as
from compute_node.sql.rewrite import deep_map, map_query_expressions
from compute_node.sql.rewriter.views import Found
from compute_node.types import oids
from compute_node.types.acl import SELECT, UPDATE

_SELECT, _INSERT, _UPDATE, _DELETE = "r", "a", "w", "d"
_COMMANDS = {"select": _SELECT, "insert": _INSERT, "update": _UPDATE, "delete": _DELETE}
_NEVER = Const(type=oids.BOOL, value=False)


def with_policies(query: Query, catalog: CatalogView, session: object, found: Found) -> Query:
    """The statement with the policies of its tables. 42501 where row_security is off, 42P17 for policies that ask for
    themselves."""
    user = getattr(session, "user_oid", None)
    if user is None or getattr(session, "bypasses_policies", False):
        return query
    relations = (catalog.relation(oid) for oid in sorted(query.relations | found.relations))
    if not any(relation is not None and relation.row_security for relation in relations):
        return query
    return _Policies(catalog, session, int(user), found).query(query)


def affected(catalog: CatalogView, relation: RelationDesc, role: int) -> SqlError:
    """42501 where policies hold for the role and row_security is off."""
    hint = None
    if catalog.owns(relation, role):
        hint = "To disable the policy for the table's owner, use ALTER TABLE NO FORCE ROW LEVEL SECURITY."
    return InsufficientPrivilege(
        f'query would be affected by row-level security policy for table "{relation.name}"', hint=hint
    )


class _Policies:
    """Those of one statement, for one current user."""

    def __init__(self, catalog: CatalogView, session: object, user: int, found: Found) -> None:
        self.catalog = catalog
        self.session = session
        self.user = user
        self.found = found

    def query(self, query: Query) -> Query:
        """The whole statement."""
        places = places_of(query)
        changed = self._mapped(query, places, ())
        changed = self._checked(changed, query, places)
        items = [
            dataclasses.replace(item, query=self._checked(item.query, before.query, places))
            for item, before in zip(changed.ctes, query.ctes, strict=True)
        ]
        return dataclasses.replace(changed, ctes=items)

    def _hook(self, places: dict[int, Place], active: tuple[int, ...]) -> Callable[[RangeEntry, int], RangeEntry]:
        def hook(entry: RangeEntry, _depth: int) -> RangeEntry:
            if entry.kind != "relation" or entry.relation is None:
                return entry
            place = places.get(id(entry))
            if place is None:
                raise InvariantViolation(f"a use of {entry.relation.name} whose policies nobody has looked for")
            security = self._visible(entry.relation, place, active)
            return dataclasses.replace(entry, security=(*security, *entry.security)) if security else entry

        return hook

    def _mapped(self, query: Query, places: dict[int, Place], active: tuple[int, ...]) -> Query:
        hook = self._hook(places, active)
        changed = map_query_expressions(
            query, lambda expr, depth: deep_map(expr, _same, depth - 1, hook), entry_hook=hook, hook_depth=0
        )
        return _never_first(changed)

    def _role(self, place: Place) -> int:
        return place.check_as or self.user

    def _holds(self, relation: RelationDesc, place: Place) -> bool:
        role = self._role(place)
        if not self.catalog.policies_hold(relation, role):
            return False
        settings = getattr(self.session, "settings", None)
        if settings is not None and settings.show("row_security") == "off":
            raise affected(self.catalog, relation, role)
        return True

    # --- which policies, and what they say --------------------------------------------------------------------------

    def _policies(
        self, relation: RelationDesc, place: Place, command: str
    ) -> tuple[list[PolicyDesc], list[PolicyDesc]]:
        """(those that allow, those that restrict) a command for the role."""
        role = self._role(place)
        mine = [
            policy
            for policy in sorted(relation.policies, key=lambda policy: policy.name.encode(), reverse=True)
            if policy.command in ("*", command)
            and any(not each or self.catalog.has_role(role, each) for each in policy.roles)
        ]
        restricting = [policy for policy in mine if not policy.permissive]
        return [policy for policy in mine if policy.permissive], restricting[::-1]

    def _condition(self, relation: RelationDesc, place: Place, text: str, active: tuple[int, ...]) -> Expr:
        """A policy's expression over the range entry, with the policies of what it reads in its turn."""
        if relation.oid in active:
            raise InvalidObjectDefinition(f'infinite recursion detected in policy for relation "{relation.name}"')
        expr = read_as(analyze_stored(self.catalog, relation, text, "POLICY", self.session), place.check_as)
        places = places_in(expr)
        self.found.relations |= {each.relation.oid for each in places.values()}

        def move(node: Expr, depth: int) -> Expr:
            if isinstance(node, Var) and node.levels_up == depth and node.rte == 0:
                return dataclasses.replace(node, rte=place.number)
            return node

        return deep_map(expr, move, 0, self._hook(places, (*active, relation.oid)))

    def _visible(self, relation: RelationDesc, place: Place, active: tuple[int, ...]) -> list[Expr]:
        """What a row must meet to be seen, in the order in which it is checked."""
        if not relation.row_security or not self._holds(relation, place):
            return []
        command = _COMMANDS.get(place.command, "") if place.is_target else _SELECT
        found: list[Expr] = []
        if place.is_target:
            if place.command == "insert":
                return []
            if command in (_UPDATE, _DELETE):
                found += self._using(relation, place, command, active)
            # MERGE that only does nothing asks as much as a SELECT.
            if place.modes & SELECT or not place.modes:
                found += self._using(relation, place, _SELECT, active)
            return list(dict.fromkeys(found))
        if place.modes & UPDATE:
            found += self._using(relation, place, _UPDATE, active)
        found += self._using(relation, place, _SELECT, active)
        return list(dict.fromkeys(found))

    def _using(self, relation: RelationDesc, place: Place, command: str, active: tuple[int, ...]) -> list[Expr]:
        allowing, restricting = self._policies(relation, place, command)
        allowed = [policy.using for policy in allowing if policy.using is not None]
        if not allowed:
            return [_NEVER]
        found = [
            self._condition(relation, place, policy.using, active) for policy in restricting if policy.using is not None
        ]
        return [*found, _any(self._condition(relation, place, text, active) for text in allowed)]

    # --- what may be written ----------------------------------------------------------------------------------------

    def _checked(self, changed: Query, query: Query, places: dict[int, Place]) -> Query:
        """A data change with what its new rows must meet. ``query``: as it was before."""
        relation = query.target
        if relation is None or query.command not in ("insert", "update", "merge"):
            return changed
        place = places[id(query.range_table[query.result_rte])]
        if not relation.row_security or not self._holds(relation, place):
            return changed
        made: list[RowCheck] = []

        def add(kind: str, command: str, using: bool = False) -> None:
            made.extend(self._checks(relation, place, kind, command, using))

        reads = bool(place.modes & SELECT)
        if query.command == "merge":
            for kind, command in (("merge update", _UPDATE), ("merge delete", _DELETE)):
                add(kind, command, True)
            add("update", _UPDATE)
            if reads:
                add("update", _SELECT, True)
            add("insert", _INSERT)
        else:
            kind = query.command
            add(kind, _COMMANDS[kind])
            if reads:
                add(kind, _SELECT, True)
            if query.on_conflict is not None and query.on_conflict.action == "update":
                for kind, using in (("conflict", True), ("update", False)):
                    add(kind, _UPDATE, using)
                    if reads:
                        add(kind, _SELECT, True)
        return dataclasses.replace(changed, row_checks=(*dict.fromkeys(made), *changed.row_checks))

    def _checks(self, relation: RelationDesc, place: Place, kind: str, command: str, using: bool) -> Iterable[RowCheck]:
        """Those of a command's policies; ``using``: by what they let be seen, whatever they say of new rows."""
        allowing, restricting = self._policies(relation, place, command)

        def text(policy: PolicyDesc) -> str | None:
            return policy.using if using or policy.check is None else policy.check

        allowed = [each for policy in allowing if (each := text(policy)) is not None]
        if not allowed:
            yield RowCheck(kind, relation.name, _NEVER)
            return
        yield RowCheck(kind, relation.name, _any(self._condition(relation, place, each, ()) for each in allowed))
        for policy in restricting:
            each = text(policy)
            if each is not None:
                yield RowCheck(kind, relation.name, self._condition(relation, place, each, ()), policy=policy.name)


def _same(node: Expr, _depth: int) -> Expr:
    return node


def _any(conditions: Iterable[Expr]) -> Expr:
    found: Sequence[Expr] = tuple(conditions)
    return found[0] if len(found) == 1 else Or(type=oids.BOOL, arguments=tuple(found))


def _never_first(query: Query) -> Query:
    """A table of which nothing may be seen makes a query over it alone one without rows."""
    if len(query.from_items) == 1 and query.command in ("select", "update", "delete"):
        rte = getattr(query.from_items[0], "rte", -1)
        if 0 <= rte < len(query.range_table) and _NEVER in query.range_table[rte].security:
            return dataclasses.replace(query, where=_NEVER)
    return query
