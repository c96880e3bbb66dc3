"""Access control lists: arithmetic of GRANT and REVOKE against a plain model, text forms, defaults."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute_node.catalog.roles import PG_DATABASE_OWNER, RoleGraph
from compute_node.types import acl
from compute_node.types.acl import KINDS, PUBLIC, Acl, AclItem, acl_default, acl_mask, decode, encode

OWNER, ROLES = 100, (101, 102, 103, 104)
BITS = (acl.SELECT, acl.INSERT, acl.UPDATE)
NOBODY = RoleGraph(frozenset(), frozenset(), {}, 0)


class Model:
    """Who was given what by whom: a set of (grantor, grantee, bit, with option), no arithmetic of bits."""

    def __init__(self) -> None:
        self.given: set[tuple[int, int, int]] = {(OWNER, OWNER, bit) for bit in BITS}
        self.options: set[tuple[int, int, int]] = set()

    def may_grant(self, role: int, bit: int) -> bool:
        return role == OWNER or any(grantee == role and each == bit for _, grantee, each in self.options)

    def grant(self, grantor: int, grantee: int, bit: int, option: bool) -> None:
        if option and self._leads_back(grantor, grantee, bit):
            raise acl.CircularGrant
        self.given.add((grantor, grantee, bit))
        if option:
            self.options.add((grantor, grantee, bit))

    def _leads_back(self, grantor: int, grantee: int, bit: int) -> bool:
        """Whether the grantor would have no option without the grantee's."""
        if grantor == OWNER:
            return False
        trial = Model()
        trial.given, trial.options = set(self.given), set(self.options)
        for source, target, each in list(trial.options):
            if target == grantee:
                trial.revoke(source, target, each, False, True)
        return not trial.may_grant(grantor, bit)

    def revoke(self, grantor: int, grantee: int, bit: int, only_option: bool, cascade: bool) -> None:
        before = set(self.given), set(self.options)
        had = (grantor, grantee, bit) in self.options
        self.options.discard((grantor, grantee, bit))
        if not only_option:
            self.given.discard((grantor, grantee, bit))
        if had and not self.may_grant(grantee, bit):
            for target in [t for s, t, b in self.given if s == grantee and b == bit]:
                if not cascade:
                    self.given, self.options = before
                    raise acl.DependentPrivileges
                self.revoke(grantee, target, bit, False, True)

    def has(self, role: int, bit: int) -> bool:
        return any(grantee in (role, PUBLIC) and each == bit for _, grantee, each in self.given)


STEPS = st.lists(
    st.tuples(
        st.booleans(),
        st.sampled_from((OWNER, *ROLES)),
        st.sampled_from((PUBLIC, OWNER, *ROLES)),
        st.sampled_from(BITS),
        st.booleans(),
        st.booleans(),
    ),
    max_size=30,
)


@settings(max_examples=400, deadline=None)
@given(STEPS)
def test_grants_and_revokes_are_the_models(steps: list[tuple[bool, int, int, int, bool, bool]]) -> None:
    model = Model()
    items: Acl = (AclItem(OWNER, OWNER, sum(BITS)),)
    for is_grant, grantor, grantee, bit, option, cascade in steps:
        if not model.may_grant(grantor, bit) or (grantee == PUBLIC and option and is_grant):
            # The statement restricts itself to what the grantor may give before it comes here.
            continue
        outcomes = []
        taken = AclItem(grantee, grantor, 0 if option else bit, bit)
        given_item = AclItem(grantee, grantor, bit, bit if option else 0)
        try:
            changed = (
                acl.grant(items, OWNER, given_item, NOBODY)
                if is_grant
                else acl.revoke(items, OWNER, taken, NOBODY, cascade)
            )
            outcomes.append("")
        except (acl.CircularGrant, acl.DependentPrivileges) as error:
            changed = items
            outcomes.append(type(error).__name__)
        try:
            if is_grant:
                model.grant(grantor, grantee, bit, option)
            else:
                model.revoke(grantor, grantee, bit, option, cascade)
            outcomes.append("")
        except (acl.CircularGrant, acl.DependentPrivileges) as error:
            outcomes.append(type(error).__name__)
        assert outcomes[0] == outcomes[1]
        items = changed
        for role, each in itertools.product((OWNER, *ROLES), BITS):
            assert bool(acl_mask(items, OWNER, role, NOBODY, each)) == model.has(role, each)
            assert bool(acl_mask(items, OWNER, role, NOBODY, each, options=True)) == model.may_grant(role, each)


EDGES = st.lists(st.tuples(st.sampled_from(ROLES), st.sampled_from(ROLES), st.booleans()), max_size=8)


@given(EDGES, st.frozensets(st.sampled_from(ROLES)), st.sampled_from((0, *ROLES)))
def test_membership_is_reachability(
    edges: list[tuple[int, int, bool]], reluctant: frozenset[int], database_owner: int
) -> None:
    """``has_privileges_of`` stops at roles with NOINHERIT, ``is_member`` does not."""
    parents: dict[int, list[tuple[int, bool]]] = {}
    for member, role, admin in edges:
        parents.setdefault(member, []).append((role, admin))
    graph = RoleGraph(frozenset(), reluctant, {m: tuple(items) for m, items in parents.items()}, database_owner)

    def reach(start: int, closed: frozenset[int]) -> set[int]:
        found, more = set[int](), {start}
        while more:
            found |= more
            inner = [role for role in more if role not in closed]
            more = {role for member in inner for role, _ in parents.get(member, ())}
            if database_owner in inner:
                more.add(PG_DATABASE_OWNER)
            more -= found
        return found

    for one, other in itertools.product(ROLES, (*ROLES, PG_DATABASE_OWNER)):
        assert graph.has_privileges_of(one, other) == (other in reach(one, reluctant))
        assert graph.is_member(one, other) == (other in reach(one, frozenset()))


@given(
    st.builds(
        AclItem, st.sampled_from((PUBLIC, *ROLES)), st.sampled_from(ROLES), st.integers(0, (1 << 14) - 1), st.just(0)
    ),
    st.integers(0, (1 << 14) - 1),
)
def test_text_round_trip(item: AclItem, options: int) -> None:
    item = item._replace(options=options & item.privileges)
    assert decode(encode(item)) == item


def test_a_superuser_is_granted_as_the_owner() -> None:
    graph = RoleGraph(frozenset([101]), frozenset(), {}, 0)
    items = acl_default("table", OWNER)
    assert acl.best_grantor(101, OWNER, items, graph, acl.SELECT, (101,)) == (OWNER, acl.SELECT)
    assert acl.best_grantor(102, OWNER, items, graph, acl.SELECT, (102,)) == (102, 0)


def test_the_role_with_most_options_grants() -> None:
    items = (
        *acl_default("table", OWNER),
        AclItem(103, OWNER, acl.SELECT | acl.INSERT, acl.SELECT | acl.INSERT),
        AclItem(102, OWNER, acl.SELECT, acl.SELECT),
    )
    graph = RoleGraph(frozenset(), frozenset(), {101: ((102, False), (103, False))}, 0)
    wanted = acl.SELECT | acl.INSERT | acl.UPDATE
    assert acl.best_grantor(101, OWNER, items, graph, wanted, (101, 102, 103)) == (103, acl.SELECT | acl.INSERT)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_defaults_give_the_owner_all_and_public_little(kind: str) -> None:
    everything, public = KINDS[kind]
    items = acl_default(kind, OWNER)
    expected = 0 if kind == "column" else everything
    assert acl_mask(items, OWNER, OWNER, NOBODY, everything) == expected
    assert acl_mask(items, OWNER, ROLES[0], NOBODY, everything) == public


def test_another_owner_takes_over_what_the_old_one_gave() -> None:
    items = (AclItem(OWNER, OWNER, acl.SELECT), AclItem(101, OWNER, acl.INSERT), AclItem(102, 101, acl.UPDATE))
    assert acl.change_owner(items, OWNER, 101) == (
        AclItem(101, 101, acl.SELECT | acl.INSERT),
        AclItem(102, 101, acl.UPDATE),
    )
