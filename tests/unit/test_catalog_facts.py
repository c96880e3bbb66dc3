"""What the catalog says of types, functions and operators is PostgreSQL 15's; what has no code says so when called."""

from __future__ import annotations

import pytest
from support_catalog import Engine, in_greenlet

from aurora.errors import NotSupported
from compute_node.catalog import coverage
from compute_node.catalog.bootstrap_rows import bootstrap_rows
from compute_node.catalog.facts import fact_rows
from compute_node.catalog.information_functions import FUNCTIONS
from compute_node.catalog.rows import make_row
from compute_node.relations.schema import CATALOGS
from compute_node.relations.schema.record_facts import CATALOGS_OF_FACTS
from compute_node.types.registry import REGISTRY

ROWS = bootstrap_rows()


def test_a_new_volume_has_the_rows_that_were_recorded() -> None:
    """What a session reads there: the image of the first catalogs may be older than the facts, or lose something."""

    def body() -> None:
        session = Engine().session()
        for catalog in CATALOGS_OF_FACTS:
            names = [name for name in CATALOGS[catalog].position if not name.endswith("acl")]
            stored = session.run(f"select {', '.join(names)} from {catalog}")
            ours = {repr(list(row)) for row in stored}
            places = [CATALOGS[catalog].position[name] for name in names]
            rows = [make_row(catalog, values) for values in fact_rows(catalog)]
            recorded = {repr([row[place] for place in places]) for row in rows}
            assert len(recorded) > 5
            assert recorded - ours == set(), catalog
            if catalog == "pg_proc":
                added = {row[names.index("proname")] for row in stored} - {row[1] for row in rows}
                assert all(str(name).startswith("aurora_") for name in added - {each.name for each in FUNCTIONS})

    in_greenlet(body)


@pytest.mark.parametrize(
    ("catalog", "column", "target"),
    [
        ("pg_operator", "oprcode", "pg_proc"),
        ("pg_operator", "oprrest", "pg_proc"),
        ("pg_operator", "oprcom", "pg_operator"),
        ("pg_operator", "oprnegate", "pg_operator"),
        ("pg_type", "typinput", "pg_proc"),
        ("pg_type", "typanalyze", "pg_proc"),
        ("pg_type", "typelem", "pg_type"),
        ("pg_type", "typarray", "pg_type"),
        ("pg_proc", "prorettype", "pg_type"),
        ("pg_proc", "prosupport", "pg_proc"),
        ("pg_aggregate", "aggtransfn", "pg_proc"),
        ("pg_aggregate", "aggsortop", "pg_operator"),
        ("pg_amop", "amopopr", "pg_operator"),
        ("pg_amop", "amopfamily", "pg_opfamily"),
        ("pg_amproc", "amproc", "pg_proc"),
        ("pg_opclass", "opcfamily", "pg_opfamily"),
        ("pg_opclass", "opcmethod", "pg_am"),
        ("pg_cast", "castfunc", "pg_proc"),
    ],
)
def test_what_a_row_names_is_there(catalog: str, column: str, target: str) -> None:
    known = {row[CATALOGS[target].position["oid"]] for row in ROWS[target]} | {0}
    assert {row[CATALOGS[catalog].position[column]] for row in ROWS[catalog]} <= known


def test_a_function_without_code_is_there_and_says_so() -> None:
    """pg_get_wal_resource_managers tells of a part of the log that is not here."""

    def body() -> None:
        session = Engine().session()
        assert 6224 not in REGISTRY.functions
        name = "pg_get_wal_resource_managers"
        assert session.run(f"select '{name}'::regproc::text") == [(name,)]
        assert session.run("select 'pg_get_wal_resource_managers()'::regprocedure::oid") == [(6224,)]
        with pytest.raises(NotSupported, match=r"function pg_get_wal_resource_managers\(\) is not supported"):
            session.run("select * from pg_get_wal_resource_managers()")

    in_greenlet(body)


def test_sql_has_no_value_of_type_internal() -> None:
    def body() -> None:
        session = Engine().session()
        for call in ("eqsel(null, 96, null, 0)", "eqsel('x', 96, null, 0)", "array_agg_transfn(null, 1)"):
            with pytest.raises(NotSupported, match="cannot accept a value of type internal"):
                session.run(f"select {call}")

    in_greenlet(body)


def test_the_page_of_functions_is_current() -> None:
    """``python -m compute_node.catalog.coverage`` writes it."""
    assert coverage.PAGE.read_text() == coverage.page()


def test_what_the_page_calls_missing_is_refused() -> None:
    rows = [row for row in fact_rows("pg_proc") if coverage.function_state(row) == coverage.GAP]
    assert rows

    def body() -> None:
        engine = Engine()
        session = engine.session()
        session.begin()
        view = engine.catalog.view(session)
        for row in rows:
            assert row["oid"] not in REGISTRY.functions
            assert view.function(row["oid"]).missing, row["proname"]

    in_greenlet(body)


def test_an_aggregate_over_internal_states_runs_as_the_built_in_one() -> None:
    def body() -> None:
        session = Engine().session()
        made = "(sfunc = numeric_avg_accum, stype = internal, finalfunc = numeric_avg)"
        session.run(f"create aggregate mean(numeric) {made}")
        assert session.run("select mean(x)::text from generate_series(1, 4) x") == [("2.5000000000000000",)]
        session.run("create aggregate odd(int8) (sfunc = int8_avg_accum, stype = internal, finalfunc = numeric_avg)")
        with pytest.raises(NotSupported, match="aggregates over int8_avg_accum and numeric_avg are not supported"):
            session.run("select odd(1)")

    in_greenlet(body)
