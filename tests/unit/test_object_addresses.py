"""Objects by catalog and OID ↔ by kind and names: what the one gives, the other finds."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support_catalog import Engine, Session, in_greenlet

from aurora.errors import InvalidParameterValue, InvalidTextRepresentation
from compute_node.catalog.functions.signatures import split_signature
from compute_node.types.registry import REGISTRY

_SOME = "oid::int % 5 = 0"


def _round_trip(session: Session, catalog: str, condition: str) -> int:
    text = f"""
select count(*), count(*) filter (where (pg_get_object_address(a.type, a.object_names, a.object_args)).objid = o.oid)
from {catalog} o, pg_identify_object_as_address('{catalog}'::regclass, o.oid, 0) a where {condition}"""
    ((total, found),) = session.run(text)
    assert total == found, catalog
    return int(total)


def test_every_built_in_object_is_found_again() -> None:
    def body() -> None:
        session = Engine().session()
        # PostgreSQL does not find prefix operators again either: it wants two types.
        assert _round_trip(session, "pg_operator", f"{_SOME} and oprleft <> 0") > 50
        for catalog in ("pg_type", "pg_cast", "pg_opclass", "pg_opfamily", "pg_am", "pg_amproc"):
            assert _round_trip(session, catalog, _SOME if catalog != "pg_am" else "true") > 5
        assert _round_trip(session, "pg_proc", "oid::int % 23 = 0 and prokind <> 'w'") > 100
        assert _round_trip(session, "pg_class", "relkind in ('r', 'v', 'i') and oid::int % 3 = 0") > 50

    in_greenlet(body)


def test_users_objects_are_found_again() -> None:
    def body() -> None:
        session = Engine().session()
        session.run('create schema "A b"')
        session.run("create table \"A b\".t (a int primary key default 7, c text check (c <> ''))")
        session.run('create domain "A b".d as int check (value > 0)')
        for catalog, condition in (
            ("pg_class", "relnamespace = '\"A b\"'::regnamespace"),
            ("pg_constraint", "connamespace = '\"A b\"'::regnamespace"),
            ("pg_attrdef", "true"),
            ("pg_namespace", "nspname = 'A b'"),
        ):
            assert _round_trip(session, catalog, condition)
        for catalog, kind in (("pg_user_mapping", "user mapping"), ("pg_class", "relation"), ("pg_proc", "routine")):
            assert session.run(f"select type from pg_identify_object('{catalog}'::regclass, 9, 0)") == [(kind,)]
        with pytest.raises(InvalidParameterValue, match='unrecognized object type "stone"'):
            session.run("select pg_get_object_address('stone', '{a}', '{}')")

    in_greenlet(body)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f()", ("f", [])),
        (' "a(b".f ( numeric(10, 2) , int4[] ) ', (' "a(b".f ', ["numeric(10, 2)", "int4[]"])),
        ('f("a,b", int4)', ("f", ['"a,b"', "int4"])),
    ],
)
def test_a_signature_is_taken_apart(text: str, expected: tuple[str, list[str]]) -> None:
    name, types = split_signature(text)
    assert (name, list(types)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("f", "expected a left parenthesis"),
        ("f(int4", "expected a right parenthesis"),
        ("f(int4,)", "expected a type name"),
        ("f(int4))", "improper type name"),
        ('f("int4)', "improper type name"),
    ],
)
def test_a_wrong_signature_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidTextRepresentation, match=message):
        list(split_signature(text)[1])


_NUMBERS = st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 2), min_size=2, max_size=20)


@given(_NUMBERS, st.integers(1, 19))
def test_states_of_regression_can_be_combined(pairs: list[tuple[float, float]], at: int) -> None:
    """The state of all rows is that of two parts put together, and its sums are the rows' sums."""
    accumulate, combine = (REGISTRY.functions[oid].implementation for oid in (2806, 3342))

    def folded(rows: list[tuple[float, float]]) -> list[float]:
        state = [0.0] * 6
        for y, x in rows:
            state = accumulate(state, y, x)
        return state

    whole, parts = folded(pairs), combine(folded(pairs[:at]), folded(pairs[at:]))
    assert whole[0] == len(pairs)
    assert math.isclose(whole[1], math.fsum(x for _, x in pairs), rel_tol=1e-9, abs_tol=1e-3)
    for one, other in zip(whole, parts, strict=True):
        assert math.isclose(one, other, rel_tol=1e-6, abs_tol=1.0)
