"""SQL text end to end (parse, analyze, plan, execute on in-memory tables) against results recorded from PostgreSQL 15.

``tests/golden/sql_queries.json``: the tables' rows as text, then each query with its column names, types and rows, or
its error (SQLSTATE, message, position). Rows compare as a bag unless the query orders them. Each query also runs with
its literals lifted into parameters, which must change nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aurora.errors import SqlError
from compute_node.exec.context import ExecContext
from compute_node.exec.executable import build
from compute_node.sql.analyze import analyze
from compute_node.sql.analyze.context import DEFAULT_ENV
from compute_node.sql.parse import parse
from compute_node.sql.planner import plan
from compute_node.types.registry import REGISTRY
from tests.unit.support_exec import FakeSession, FakeStorage
from tests.unit.support_sql import FakeCatalog, lifted_literals

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "sql_queries.json").read_text())
CATALOG = FakeCatalog()


@pytest.fixture(scope="module")
def storage() -> FakeStorage:
    made = FakeStorage()
    for name, rows in GOLDEN["tables"].items():
        desc = CATALOG.find_relation(None, name)
        assert desc is not None
        for row in rows:
            values = tuple(
                None if text is None else REGISTRY.types[column.type].input(text, column.typmod, DEFAULT_ENV)
                for text, column in zip(row, desc.columns, strict=True)
            )
            made.table(desc)._append(values, made.tick())
    return made


def run(storage: FakeStorage, sql: str, lift: bool) -> dict[str, Any]:
    statement = parse(sql)[0]
    lifted = lifted_literals(statement.node) if lift else {}
    types: list[int] = []
    query = analyze(
        statement.node, CATALOG, types, sql, {where: slot for where, (slot, _) in lifted.items()}, allow_params=False
    )
    planned = plan(query, CATALOG)
    values: list[Any] = [None] * len(types)
    for where, (slot, text) in lifted.items():
        if where not in planned.kept_literals and slot <= len(types) and types[slot - 1]:
            values[slot - 1] = REGISTRY.types[types[slot - 1]].input(text, -1, DEFAULT_ENV)
    context = ExecContext(FakeSession(), None, storage.now, DEFAULT_ENV, storage)
    rows = build(planned, CATALOG).fetch_all(context, tuple(values))
    columns = planned.columns or ()
    return {
        "names": [column.name for column in columns],
        "types": [column.type for column in columns],
        "rows": [
            [
                None if value is None else REGISTRY.types[column.type].output(value, DEFAULT_ENV)
                for value, column in zip(row, columns, strict=True)
            ]
            for row in rows
        ],
    }


@pytest.mark.parametrize("lift", [False, True], ids=["plain", "lifted"])
@pytest.mark.parametrize("case", GOLDEN["queries"], ids=lambda case: case["sql"][:60])
def test_as_postgresql(storage: FakeStorage, case: dict[str, Any], lift: bool) -> None:
    if "error" in case:
        with pytest.raises(SqlError) as caught:
            run(storage, case["sql"], lift)
        state, message, position = case["error"]
        assert (caught.value.sqlstate, caught.value.message) == (state, message)
        if not lift:
            assert caught.value.position == position
        return
    result = run(storage, case["sql"], lift)
    assert result["names"] == case["names"]
    assert result["types"] == case["types"]
    expected, actual = case["rows"], result["rows"]
    if "order by" not in case["sql"].lower():
        expected, actual = sorted(expected, key=str), sorted(actual, key=str)
    assert actual == expected
